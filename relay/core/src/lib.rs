//! Everything a relay decides, and nothing it does: no socket, no clock, no task, no disk, no key that opens a frame.
//!
//! ```text
//!                        Node: one loop, impl io::Machine
//!            +---------------------------+---------------------------+
//!   control  |  relay                    |  shard                    |  data
//!            |   room (hub | follower)   |   connection (a Session,  |
//!            |   subscribe               |               its aliases)|
//!            |   link     admit          |   fanout    egress        |
//!            +------------ between: ToRelay / ToShard ---------------+
//!                              stats   limits
//! ```
//!
//! Invariants:
//! - an object crosses `connection`, `fanout` and `egress` in one direct loop over its subscribers: the same bytes for
//!   everyone, no queue for a subscriber that is not blocked, and control never in its way;
//! - N subscribers here are one subscription upstream, and none here is none there;
//! - nothing is acknowledged before the store confirmed it;
//! - whatever a remote can grow has a bound in [`limits`], a typed refusal and a counter in [`stats`];
//! - no order that reaches the wire depends on anything but the inputs and the seed.
//!
//! ```
//! use conclave_federation::{
//!     id::RelayId, peering::Policy, proof::SigningKey, record::RelayDescriptor, session::LocalRelay, wire::List,
//! };
//! use conclave_relay_core::{Node, limits::Limits, node};
//!
//! let (operator, key) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
//! let id = RelayId::new(*key.verifying_key().as_bytes());
//! let descriptor = RelayDescriptor::issue(&operator, id, "Alder", List::default());
//! let local = LocalRelay { descriptor, key, nonce_secret: [3; 32] };
//! let config = node::Config { local, peers: vec![], policy: Policy::Open, limits: Limits::default() };
//! let relay = Node::new(config, [4; 32], vec![]);
//! assert_eq!(relay.stats().rooms, 0);
//! ```

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod admit;
mod between;
mod cache;
mod connection;
mod egress;
mod fanout;
pub mod limits;
mod link;
pub mod node;
pub mod order;
mod relay;
mod room;
mod shard;
pub mod stats;
mod subscribe;
mod window;

pub use node::{Config, Input, Node, Output, Peer, Restored, RestoredLog, StoreFailed, StoreKey, StoredEntry, Write};
pub use order::{Closure, Order, OrderKey};
pub use stats::Stats;

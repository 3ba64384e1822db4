//! What two strangers must agree on before a call can cross from one operator to another.
//!
//! ```text
//!   session ---- requests, answers, objects ----+
//!      |                                        |
//!   peering   log   record   well_known  proof  io: Now, Net, Outlet (the seam to drivers)
//!      |       |      |        |                |
//!      +-------+------+--------+---- wire ------+
//!                                     |
//!                       id   key   track   limits
//! ```
//!
//! Invariants:
//! - nothing here opens a socket, reads a clock, spawns, or draws randomness that was not handed in as a seed;
//! - decoding checks a length before it allocates, refuses trailing bytes, and never panics;
//! - every maximum is a constant in [`limits`], with its reason;
//! - ids, keys and bodies are redacted in `Debug`.
//!
//! ```
//! use conclave_federation::{id::RoomId, proof::SigningKey};
//!
//! let founder = SigningKey::from_seed([7; 32]);
//! let room = RoomId::of_founder(&founder.verifying_key());
//! assert_eq!(room, RoomId::of_founder(&founder.verifying_key()));
//! ```

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod call;
pub mod host;
pub mod id;
pub mod io;
pub mod key;
pub mod limits;
pub mod log;
pub mod mux;
pub mod peering;
pub mod proof;
pub mod record;
pub mod session;
pub mod track;
pub mod well_known;
pub mod wire;

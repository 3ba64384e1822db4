//! Whole Conclave networks in one thread: relays and participants as they are, on a virtual clock, with delay, loss,
//! reordering, cuts and deaths drawn from a seed.
//!
//! ```text
//!   script  -- joins, publishes, kills, cuts -->  world  -- handle/poll -->  Node, Client   (the real machines)
//!                                                  |  ^
//!                                            writes|  |Net
//!                                                  v  |
//!   check  <--- everything sent, received and told -- net  (seeded links, the transport's promises and no more)
//! ```
//!
//! A failing seed is printed with the command that runs it again; two runs of one seed have the same trace.

#![forbid(unsafe_code)]

pub mod chance;
pub mod check;
pub mod net;
pub mod script;
pub mod tap;
pub mod trace;
pub mod world;

pub use script::Story;
pub use world::{Outcome, World};

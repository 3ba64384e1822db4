//! Whole machines, driven by a list of operations that the input spells, one after the other.
//!
//! What a decoder never sees, a machine may still stumble over: things in the wrong order, twice, on the wrong stream, of
//! somebody who has gone. The operations know the protocol well enough to get far: they open sessions, found a room, prove
//! membership, publish and subscribe; in between they do what nobody should.

mod mux;
mod relay;
mod room;
mod script;

pub use mux::mux;
pub use relay::relay;
pub use script::Script;

/// A machine and how to drive it.
#[derive(Clone, Copy)]
pub struct Drive {
    /// As in `corpus/` and in reports.
    pub name: &'static str,
    /// Drives it with one list of operations; gives how many were more than noise. Panics if anything is wrong.
    pub run: fn(&[u8]) -> u32,
}

/// All of them.
pub const DRIVES: &[Drive] = &[Drive { name: "relay", run: relay }, Drive { name: "mux", run: mux }];

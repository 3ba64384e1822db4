//! A call of real processes on loopback: programs that are built for it, relays of several operators, and participants
//! without a face. What is played with them is somebody else's: the demo's, or the browser test's.

pub(crate) mod check;
pub(crate) mod folder;
pub(crate) mod metrics;
pub(crate) mod programs;
pub(crate) mod relays;
pub(crate) mod seat;

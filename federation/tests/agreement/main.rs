//! What two strangers must agree on, held down by tests: the spelling, the log, and the manners of a session.

mod common;
mod hosts;
mod log;
mod mux;
mod session;
mod well_known;
mod wire;

//! Conclave.
fn main() {}

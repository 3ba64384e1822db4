//! Whole groups on a log in memory: no clock, no network, every byte from a seed.

mod bytes;
mod hostile;
mod life;
mod world;

//! Participants against a hub of the tests' own, on a virtual clock.

mod calls;
mod hub;
mod media;
mod talk;
mod trouble;
mod world;

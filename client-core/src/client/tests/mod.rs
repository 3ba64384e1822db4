//! Participants against a hub of the tests' own, on a virtual clock.

mod hub;
mod world;

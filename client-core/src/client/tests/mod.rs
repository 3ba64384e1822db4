//! Participants against a hub of the tests' own, on a virtual clock.

mod calls;
mod fresh;
mod hub;
mod media;
mod people;
mod reports;
mod talk;
mod trouble;
mod world;

//! Participants against a hub of the tests' own, on a virtual clock.

mod calls;
mod evictions;
mod fresh;
mod hosts;
mod hub;
mod knocks;
mod media;
mod people;
mod reports;
mod talk;
mod trouble;
mod world;

//! Whole groups on a log in memory: no clock, no network, every byte from a seed.

mod bytes;
mod door;
mod faults;
mod forge;
mod hostile;
mod hosts;
mod life;
mod votes;
mod world;

pub(crate) use world::NOW as TEST_NOW;

/// A call of one, and somebody at its door.
pub(crate) fn for_tests() -> (super::Group, super::Joining) {
    let (mut world, founder) = world::World::new(99, 10);
    let joining = world.joiner("somebody");
    (founder, joining)
}

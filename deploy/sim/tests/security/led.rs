//! A world that is led by hand.

use std::time::Duration;

use conclave_client_core::api::{Command, Mode};
use conclave_sim::{Story, World, check::PersonNo, script::Act};

pub(crate) const HOST: PersonNo = PersonNo(0);

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A room at so many relays that its founder is in, and as many people of whom nobody has come.
pub(crate) fn founded(relays: usize, people: usize, mode: Mode) -> World {
    let mut story = Story::quiet(relays, people);
    story.acts.retain(|(_, act)| *act == Act::Found(HOST));
    story.mode = mode;
    let mut world = World::new(1, story).with_diary();
    world.run_until(seconds(1));
    assert_eq!(world.names(HOST), ["person 0"]);
    world
}

/// A room with everybody in it.
pub(crate) fn full(relays: usize, people: usize) -> World {
    let mut world = World::new(1, Story::quiet(relays, people)).with_diary();
    world.run_until(seconds(4));
    for person in 0..people {
        assert_eq!(world.names(PersonNo(person)).len(), people);
    }
    world
}

/// Somebody is put out by the founder, and nobody minds.
pub(crate) fn put_out(world: &mut World, person: PersonNo) {
    let participant = world.id_of(person).unwrap();
    world.let_go(person);
    world.order(HOST, Command::Remove { participant });
}

/// All that has to hold in every world does.
pub(crate) fn holds(world: &World) {
    assert_eq!(world.check().report(), "", "{}", told(world));
}

/// What people were told and did, without the messages between relays.
pub(crate) fn told(world: &World) -> String {
    let lines = world.diary().iter().filter(|line| !line.contains("  relay "));
    lines.map(String::as_str).collect::<Vec<_>>().join("\n")
}

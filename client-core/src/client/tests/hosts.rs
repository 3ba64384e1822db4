//! Who is a host, how that is handed on, and how a call ends.

use std::time::Duration;

use super::world::{World, code, link, names, room_of};
use crate::api::{Command, Ended, Event, Mode, ParticipantId, Warning};

fn id(world: &World, who: usize) -> ParticipantId {
    room_of(world, who).unwrap().0
}

fn count(world: &World, who: usize, which: impl Fn(&Event) -> bool) -> usize {
    world.events(who).filter(|event| which(event)).count()
}

/// Those who have a host's rights, as the newest word of it says.
fn hosts(world: &World, who: usize) -> Vec<ParticipantId> {
    let last = world.events(who).filter_map(|event| match event {
        Event::HostsChanged { hosts } => Some(hosts.clone()),
        _ => None,
    });
    last.last().unwrap_or_default()
}

#[test]
fn a_host_makes_another_one_who_can_do_what_hosts_do() {
    let mut world = World::with_room(3);
    let (first, second) = (id(&world, 0), id(&world, 1));
    world.command(0, Command::MakeHost { participant: second });
    world.until("known", |world| (0..3).all(|who| hosts(world, who).len() == 2));
    assert!(hosts(&world, 2).contains(&first) && hosts(&world, 2).contains(&second));
    let told = |event: &Event| matches!(event, Event::ParticipantChanged(one) if one.id == second && one.host);
    assert_eq!(count(&world, 2, told), 1, "the one who is meant is shown as a host");
    let third = id(&world, 2);
    world.command(1, Command::Remove { participant: third });
    world.until("removed", |world| names(world, 0).len() == 2);
}

#[test]
fn who_is_no_host_is_told_and_nothing_changes() {
    let mut world = World::with_room(3);
    let (first, third) = (id(&world, 0), id(&world, 2));
    for command in [
        Command::SetMode(Mode::Locked),
        Command::Remove { participant: third },
        Command::RotateLink,
        Command::MakeHost { participant: third },
        Command::DropHost { participant: first },
        Command::EndForAll,
        Command::SetHistory { messages: 5, minutes: 0 },
    ] {
        world.command(1, command);
    }
    let entries = world.hub.entries().len();
    world.run(Duration::from_secs(5));
    assert_eq!(count(&world, 1, |event| matches!(event, Event::Warning(Warning::NotHost))), 7);
    assert_eq!(world.hub.entries().len(), entries);
    assert!((0..3).all(|who| names(&world, who).len() == 3));
}

#[test]
fn the_last_host_is_asked_once_before_they_leave() {
    let mut world = World::with_room(2);
    world.command(0, Command::Leave);
    world.run(Duration::from_secs(5));
    assert_eq!(count(&world, 0, |event| matches!(event, Event::LastHost)), 1);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Ended(_))), 0, "still there");
    world.command(0, Command::Leave);
    world.until("gone", |world| names(world, 1).len() == 1);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::Ended(Ended::Left))), 1);
    // No lock-out: the room goes on as its mode lets it.
    let link = link(&world, 1);
    let late = world.join("Late", &link);
    world.until("in", |world| room_of(world, late).is_some());
}

#[test]
fn who_hands_over_leaves_without_being_asked() {
    let mut world = World::with_room(2);
    let second = id(&world, 1);
    world.command(0, Command::MakeHost { participant: second });
    world.until("known", |world| hosts(world, 0).len() == 2);
    world.command(0, Command::Leave);
    world.until("gone", |world| names(world, 1).len() == 1);
    assert_eq!(count(&world, 0, |event| matches!(event, Event::LastHost)), 0);
    // And the other one can remove, with a link that everybody has to be given anew.
    let link = link(&world, 1);
    let late = world.join("Late", &link);
    world.until("in", |world| names(world, late).len() == 2);
    let participant = id(&world, late);
    world.command(1, Command::Remove { participant });
    world.until("removed", |world| names(world, 1).len() == 1);
}

#[test]
fn a_host_ends_the_call_for_everybody() {
    let mut world = World::with_room(3);
    world.command(0, Command::EndForAll);
    world.until("over", |world| (0..3).all(|who| world.events(who).any(|event| matches!(event, Event::Ended(Ended::CallEnded)))));
    // The room is still there: whoever has its link begins the next call.
    let link = link(&world, 1);
    let again = world.join("Again", &link);
    world.until("in", |world| room_of(world, again).is_some());
    assert_eq!(names(&world, again).len(), 1);
}

#[test]
fn a_new_link_is_told_to_everybody_and_the_old_one_leads_to_the_waiting_room() {
    let mut world = World::with_room(2);
    let old = link(&world, 0);
    world.command(0, Command::RotateLink);
    world.until("told", |world| (0..2).all(|who| world.events(who).any(|event| matches!(event, Event::LinkChanged { .. }))));
    let new = link(&world, 1);
    assert_eq!(new, link(&world, 0));
    assert_ne!(new.secret, old.secret);
    let late = world.join("Late", &new);
    world.until("in", |world| room_of(world, late).is_some());
    let stranger = world.join("Stranger", &old);
    world.until("a knock", |world| {
        world.events(0).any(|event| matches!(event, Event::Knock { old_link: true, name, .. } if name == "Stranger"))
    });
    world.run(Duration::from_secs(10));
    assert!(room_of(&world, stranger).is_none());
    assert!((0..3).all(|who| code(&world, who) == code(&world, 0)));
}

#[test]
fn two_hosts_who_want_something_at_the_same_moment_both_get_it() {
    let mut world = World::with_room(4);
    let (second, third, fourth) = (id(&world, 1), id(&world, 2), id(&world, 3));
    world.command(0, Command::MakeHost { participant: second });
    world.until("known", |world| (0..4).all(|who| hosts(world, who).len() == 2));
    world.command(0, Command::Remove { participant: third });
    world.command(1, Command::Remove { participant: fourth });
    world.until("both", |world| (0..2).all(|who| names(world, who).len() == 2));
    world.run(Duration::from_secs(5));
    assert_eq!(code(&world, 0), code(&world, 1));
    let conflicts = world.client(0).stats().entries_made + world.client(1).stats().entries_made;
    assert!(conflicts >= 3, "both committed");
}

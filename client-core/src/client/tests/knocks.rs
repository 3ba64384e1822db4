//! Somebody asks to come in, and a host decides.

use std::time::Duration;

use super::world::{World, code, link, names, room_of};
use crate::api::{ClientError, Command, DeclineReason, Ended, Event, Mode, RequestId, Warning};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Those who knock at `who`'s screen, and have not gone: request, name, code, whether with an old link.
fn knocks(world: &World, who: usize) -> Vec<(RequestId, String, String, bool)> {
    let mut open = vec![];
    for event in world.events(who) {
        match event {
            Event::Knock { request, name, code, old_link } => open.push((*request, name.clone(), code.clone(), *old_link)),
            Event::KnockGone { request } => open.retain(|(known, ..)| known != request),
            _ => {}
        }
    }
    open
}

fn ended(world: &World, who: usize) -> Option<&ClientError> {
    world.events(who).find_map(|event| match event {
        Event::Ended(Ended::Failed(error)) => Some(error),
        _ => None,
    })
}

fn waiting(world: &World, who: usize) -> Option<String> {
    world.events(who).find_map(|event| match event {
        Event::Waiting { code } => Some(code.clone()),
        _ => None,
    })
}

fn declined(world: &World, who: usize) -> Option<DeclineReason> {
    match ended(world, who) {
        Some(ClientError::Declined { reason }) => Some(*reason),
        _ => None,
    }
}

#[test]
fn who_knocks_waits_until_a_host_lets_them_in_and_both_see_the_same_code() {
    let mut world = World::in_mode(Mode::Knock, 50);
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("a knock", |world| !knocks(world, 0).is_empty());
    world.run(Duration::from_secs(30));
    let [(request, name, code, old_link)] = &knocks(&world, 0)[..] else { panic!("one knocks: {}", world.story()) };
    assert_eq!((name.as_str(), *old_link), ("Bob", false));
    assert_eq!(waiting(&world, bob).as_ref(), Some(code));
    assert!(room_of(&world, bob).is_none() && names(&world, 0).len() == 1);
    assert_eq!(world.hub.entries().len(), 1, "nothing was committed for who only knocks");
    let request = *request;
    world.command(0, Command::Admit { request });
    world.until("in", |world| room_of(world, bob).is_some());
    world.run(ms(200));
    assert_eq!(names(&world, 0).len(), 2);
    assert!(knocks(&world, 0).is_empty(), "answered");
    assert_eq!(super::world::code(&world, 0), super::world::code(&world, bob));
}

#[test]
fn who_is_refused_is_told_so_and_holds_nothing() {
    let mut world = World::in_mode(Mode::Knock, 50);
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("a knock", |world| !knocks(world, 0).is_empty());
    world.run(Duration::from_secs(9));
    let request = knocks(&world, 0)[0].0;
    world.command(0, Command::Refuse { request });
    world.until("told", |world| ended(world, bob).is_some());
    assert_eq!(declined(&world, bob), Some(DeclineReason::Refused));
    assert!(knocks(&world, 0).is_empty());
    assert_eq!(world.hub.entries().len(), 1);
    world.command(0, Command::Admit { request });
    world.run(Duration::from_secs(2));
    let gone = world.events(0).any(|event| matches!(event, Event::Warning(Warning::Gone)));
    assert!(gone && names(&world, 0).len() == 1, "who was refused cannot be let in");
}

#[test]
fn a_participant_who_is_no_host_can_let_nobody_in() {
    let mut world = World::with_room(2);
    world.command(0, Command::SetMode(Mode::Knock));
    world.until("known", |world| world.events(1).any(|event| matches!(event, Event::ModeChanged { mode: Mode::Knock, .. })));
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("a knock", |world| !knocks(world, 0).is_empty());
    assert!(knocks(&world, 1).is_empty(), "a host's matter");
    let request = knocks(&world, 0)[0].0;
    world.command(1, Command::Admit { request });
    world.run(Duration::from_secs(20));
    assert!(world.events(1).any(|event| matches!(event, Event::Warning(Warning::NotHost))));
    assert!(room_of(&world, bob).is_none());
}

#[test]
fn a_locked_room_says_so_and_whoever_was_in_comes_back() {
    let mut world = World::with_room(2);
    world.command(0, Command::SetMode(Mode::Locked));
    world.until("locked", |world| world.events(1).any(|event| matches!(event, Event::ModeChanged { mode: Mode::Locked, .. })));
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("told", |world| ended(world, bob).is_some());
    assert_eq!(declined(&world, bob), Some(DeclineReason::Locked));
    // Away for two minutes and back on the same leaf: nobody was removed meanwhile.
    world.dark = true;
    world.cut(1);
    world.run(Duration::from_secs(60));
    assert_eq!(names(&world, 0).len(), 2, "shown grey, and there");
    world.dark = false;
    world.run(Duration::from_secs(10));
    assert_eq!(code(&world, 0), code(&world, 1));
    world.command(0, Command::SetMode(Mode::Open));
    world.until("open", |world| world.events(1).any(|event| matches!(event, Event::ModeChanged { mode: Mode::Open, .. })));
    let cy = world.join("Cy", &link);
    world.until("in", |world| room_of(world, cy).is_some());
}

#[test]
fn a_full_room_says_so() {
    let mut world = World::in_mode(Mode::Open, 2);
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("in", |world| room_of(world, bob).is_some());
    let cy = world.join("Cy", &link);
    world.until("told", |world| ended(world, cy).is_some());
    assert_eq!(declined(&world, cy), Some(DeclineReason::Full));
}

#[test]
fn whoever_becomes_a_host_learns_who_knocks() {
    let mut world = World::with_room(2);
    world.command(0, Command::SetMode(Mode::Knock));
    world.run(ms(500));
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("a knock", |world| !knocks(world, 0).is_empty());
    let other = room_of(&world, 1).unwrap().0;
    world.command(0, Command::MakeHost { participant: other });
    world.until("a knock there", |world| !knocks(world, 1).is_empty());
    assert_eq!(knocks(&world, 0), knocks(&world, 1));
    let request = knocks(&world, 1)[0].0;
    world.command(1, Command::Admit { request });
    world.until("in", |world| room_of(world, bob).is_some());
    world.run(ms(500));
    assert!(knocks(&world, 0).is_empty() && knocks(&world, 1).is_empty());
}

#[test]
fn who_gives_up_knocking_is_shown_no_more() {
    let mut world = World::in_mode(Mode::Knock, 50);
    let link = link(&world, 0);
    let bob = world.join("Bob", &link);
    world.until("a knock", |world| !knocks(world, 0).is_empty());
    world.command(bob, Command::Leave);
    world.run(Duration::from_secs(61));
    assert!(knocks(&world, 0).is_empty());
}

#[test]
fn coming_early_admits_nobody_where_a_host_is_required() {
    let mut world = World::in_mode(Mode::Knock, 50);
    let link = link(&world, 0);
    world.command(0, Command::Leave);
    world.until("left", |world| world.events(0).any(|event| matches!(event, Event::Ended(Ended::Left))));
    let early = world.join("Early", &link);
    world.until("told", |world| ended(world, early).is_some());
    assert_eq!(ended(&world, early), Some(&ClientError::NobodyThere));
}

/// Of the joiners that have been in for two seconds by now, the one who falls silent.
fn number_of_silent(number: usize) -> Option<usize> {
    number.checked_sub(20).filter(|number| number % 10 != 0)
}

#[test]
fn a_hundred_who_come_within_ten_seconds_are_in_with_at_most_thirty_commits_and_none_waits_two_seconds() {
    let mut world = World::in_mode(Mode::Open, 200);
    let link = link(&world, 0);
    world.join("Participant 1", &link);
    world.until("two are in", |world| names(world, 1).len() == 2);
    world.run(Duration::from_secs(6));
    let before = world.hub.entries().len();
    let mut asked = vec![];
    for number in 0..100 {
        asked.push((world.join(&format!("Joiner {number}"), &link), world.now().mono));
        world.run(ms(100));
        // Nine of ten fall silent soon after they are in: a hundred who all go on cost minutes, and are the simulator's.
        if let Some((silent, _)) = number_of_silent(number).and_then(|number| asked.get(number)) {
            world.kill(*silent);
        }
    }
    world.run(Duration::from_secs(2));
    let commits = world.hub.entries().len() - before;
    let entered = |who: usize| {
        let joined = world.timed_events(who).iter().find(|(_, event)| matches!(event, Event::Joined { .. }));
        joined.map(|(at, _)| *at).expect("everybody is in")
    };
    let worst = asked.iter().map(|(who, at)| entered(*who) - *at).max().unwrap();
    assert!(commits <= 30, "{commits} commits");
    assert!(worst < Duration::from_secs(2), "{worst:?}");
}

//! Somebody is put out: seen by those who stay, by the one who goes, and by who slept through it.

use std::time::Duration;

use super::world::{World, chats, code, frames, link, names, room_of};
use crate::api::{ClientError, Command, Departure, Ended, Event, LocalTrack, Media, ParticipantId};

const VOICE: LocalTrack = LocalTrack(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(world: &World, who: usize) -> ParticipantId {
    room_of(world, who).unwrap().0
}

fn removed(world: &World, who: usize) -> bool {
    world.events(who).any(|event| matches!(event, Event::Ended(Ended::Failed(ClientError::Removed))))
}

/// Three who talk.
fn talking() -> World {
    let mut world = World::with_room(3);
    for who in 0..3 {
        world.publish(who, VOICE, Media::microphone());
    }
    world.run(ms(500));
    talk(&mut world, 0..3, 10);
    world
}

fn talk(world: &mut World, who: std::ops::Range<usize>, frames: usize) {
    for _ in 0..frames {
        for one in who.clone() {
            world.write(one, VOICE, 160, true);
        }
        world.run(ms(20));
    }
}

#[test]
fn who_is_removed_is_told_and_those_who_stay_go_on_without_a_gap() {
    let mut world = talking();
    let (first, second, third) = (id(&world, 0), id(&world, 1), id(&world, 2));
    world.forget_frames();
    world.command(0, Command::Remove { participant: third });
    talk(&mut world, 0..2, 200);
    assert!(removed(&world, 2));
    for who in 0..2 {
        let left = world.events(who).find_map(|event| match event {
            Event::ParticipantLeft { id, how } if *id == third => Some(*how),
            _ => None,
        });
        assert_eq!(left, Some(Departure::Removed { by: Some(first) }));
        assert_eq!(names(&world, who).len(), 2);
        assert!(world.events(who).any(|event| matches!(event, Event::LinkChanged { .. })));
        let sender = if who == 0 { second } else { first };
        let heard = frames(&world, who, sender).len();
        assert!(heard >= 195, "{who} heard {heard} of 200");
    }
    assert_eq!(link(&world, 0), link(&world, 1));
    assert_eq!(code(&world, 0), code(&world, 1));
    world.command(1, Command::Chat { text: "among ourselves".to_owned() });
    world.run(Duration::from_secs(1));
    assert_eq!(chats(&world, 0).len(), 1);
    // Somebody can come in with the new link, long after the grace.
    let link = link(&world, 1);
    let late = world.join("Late", &link);
    world.until("in", |world| names(world, late).len() == 3);
}

#[test]
fn who_was_removed_knocks_like_a_stranger_with_their_old_link() {
    let mut world = World::with_room(3);
    let old = link(&world, 2);
    let third = id(&world, 2);
    world.command(0, Command::Remove { participant: third });
    world.until("out", |world| removed(world, 2));
    let again = world.join("Participant 2", &old);
    world.until("a knock", |world| world.events(0).any(|event| matches!(event, Event::Knock { old_link: true, .. })));
    world.run(Duration::from_secs(30));
    assert!(room_of(&world, again).is_none(), "the mode is open, the link is not the room's");
    assert!(world.events(again).any(|event| matches!(event, Event::Waiting { .. })));
    let request = world.events(0).find_map(|event| match event {
        Event::Knock { request, .. } => Some(*request),
        _ => None,
    });
    world.command(0, Command::Admit { request: request.unwrap() });
    world.until("in", |world| names(world, again).len() == 3);
    assert_eq!(link(&world, again), link(&world, 0), "whoever is let in is given the current link");
}

#[test]
fn who_sleeps_through_an_eviction_learns_of_it_from_the_log_and_goes_on() {
    let mut world = talking();
    let third = id(&world, 2);
    world.dark = true;
    world.cut(1);
    world.command(0, Command::Remove { participant: third });
    world.run(Duration::from_secs(8));
    assert_eq!(names(&world, 0).len(), 2);
    world.dark = false;
    world.until("back", |world| names(world, 1).len() == 2);
    world.run(Duration::from_secs(3));
    assert_eq!(code(&world, 0), code(&world, 1));
    assert_eq!(link(&world, 0), link(&world, 1));
    let (first, second) = (id(&world, 0), id(&world, 1));
    world.forget_frames();
    talk(&mut world, 0..2, 50);
    world.run(ms(200));
    assert!(frames(&world, 0, second).len() >= 48 && frames(&world, 1, first).len() >= 48, "both are heard again");
    assert_eq!(world.client(1).stats().rejoins, 0, "on the same leaf");
}

#[test]
fn who_is_removed_while_away_learns_it_when_they_come_back() {
    let mut world = World::with_room(3);
    let third = id(&world, 2);
    world.dark = true;
    world.cut(2);
    world.command(0, Command::Remove { participant: third });
    world.run(Duration::from_secs(10));
    world.dark = false;
    world.until("told", |world| removed(world, 2));
}

#[test]
fn removing_goes_on_however_many_come_in_at_the_same_moment() {
    let mut world = World::with_room(3);
    let third = id(&world, 2);
    let link = link(&world, 0);
    for number in 0..5 {
        world.join(&format!("Joiner {number}"), &link);
    }
    world.run(ms(40));
    let asked = world.now().mono;
    world.command(0, Command::Remove { participant: third });
    world.until("out", |world| removed(world, 2));
    let took = world.now().mono - asked;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn two_evictions_in_a_row_leave_nobody_behind() {
    let mut world = World::with_room(5);
    let (third, fourth) = (id(&world, 2), id(&world, 3));
    world.command(0, Command::Remove { participant: third });
    world.command(0, Command::Remove { participant: fourth });
    world.until("both out", |world| removed(world, 2) && removed(world, 3));
    world.run(Duration::from_secs(5));
    for who in [0, 1, 4] {
        assert_eq!(names(&world, who).len(), 3);
        assert_eq!(code(&world, who), code(&world, 0));
        assert_eq!(link(&world, who), link(&world, 0));
    }
    world.command(4, Command::Chat { text: "still here".to_owned() });
    world.run(Duration::from_secs(1));
    assert_eq!(chats(&world, 0).len(), 1);
}

//! Who is put out is out everywhere at once; who has no host helps themselves; what ends, ends for all.

use std::time::Duration;

use conclave_client_core::api::{Command, Mode};
use conclave_sim::{
    Story, World,
    check::PersonNo,
    script::{Act, Place},
};

use crate::led::{HOST, founded, full, holds, ms, put_out, seconds, told};

/// No relay of any operator forwards to the removed one for longer, counted from the commit's acknowledgement.
const CUT_WITHIN: Duration = Duration::from_secs(2);

/// The newest byte of an object that these relays sent to this machine, and when the eviction was acknowledged.
fn last_sent(world: &World, relays: &[usize], to: Place) -> (Duration, Duration) {
    let [evicted] = *world.generations() else { panic!("one eviction:\n{}", told(world)) };
    let last = relays.iter().filter_map(|relay| world.last_object(*relay, to)).max();
    (evicted, last.unwrap_or_else(|| panic!("something was sent before:\n{}", told(world))))
}

#[test]
fn no_relay_forwards_to_the_removed_who_will_not_go() {
    let mut world = full(3, 6);
    let removed = PersonNo(5);
    // They hold on to their session, and take whatever they are sent.
    world.stand_still(Place::Person(5));
    put_out(&mut world, removed);
    world.run_until(seconds(12));
    let (evicted, last) = last_sent(&world, &[0, 1, 2], Place::Person(5));
    assert!(last > evicted - ms(500), "they were served until then: {last:?}");
    assert!(last <= evicted + CUT_WITHIN, "evicted at {evicted:?}, served until {last:?}");
    for person in 0..5 {
        assert_eq!(world.names(PersonNo(person)).len(), 5);
    }
    holds(&world);
}

#[test]
fn a_removed_client_opens_no_frame_of_the_time_after() {
    let mut world = full(3, 6);
    put_out(&mut world, PersonNo(4));
    world.run_until(seconds(9));
    let evicted = world.generations()[0];
    let ended = world.told(PersonNo(4), "Ended(Failed(Removed");
    assert!(ended.len() == 1 && ended[0] <= evicted + CUT_WITHIN, "{}", told(&world));
    // The books have every frame with the epoch that it was written in: none was opened by somebody outside.
    holds(&world);
    let outcome = world.play();
    assert!(outcome.is_fine(), "{outcome}");
}

#[test]
fn the_other_relays_drop_the_relay_of_the_removed_when_it_will_not_let_go() {
    let mut world = full(3, 6);
    // Both people of this relay go: what it was shown for the room is of the old generation, and it unsubscribes nothing.
    world.stand_still(Place::Relay(2));
    for person in [2, 5] {
        world.stand_still(Place::Person(person));
        world.let_go(PersonNo(person));
    }
    put_out(&mut world, PersonNo(5));
    world.run_until(seconds(9));
    let (evicted, last) = last_sent(&world, &[0, 1], Place::Relay(2));
    assert!(last > evicted - ms(500), "it was served until then: {last:?}");
    assert!(last <= evicted + CUT_WITHIN, "evicted at {evicted:?}, served until {last:?}");
    let before = world.names(HOST);
    assert!(!before.contains(&"person 5".to_owned()), "{before:?}");
}

#[test]
fn people_without_a_host_vote_somebody_out_and_the_room_is_locked() {
    // The newcomer's entry is what shows that the others have been there for five minutes.
    let mut story = Story::quiet(2, 6).and(seconds(5), Act::Die(HOST));
    story.acts.retain(|(_, act)| *act != Act::Join(PersonNo(5)));
    let mut story = story.and(seconds(324), Act::Join(PersonNo(5)));
    story.media = false;
    let mut world = World::new(1, story).with_diary();
    world.run_until(seconds(328));
    let target = PersonNo(3);
    assert_eq!(world.names(PersonNo(1)).len(), 5);
    let participant = world.id_of(target).unwrap();
    world.let_go(target);
    world.order(PersonNo(1), Command::Vote { participant });
    world.run_until(seconds(332));
    assert_eq!(world.told(target, "Ended").len(), 0, "one of three is not two thirds");
    for voter in [2, 4] {
        world.order(PersonNo(voter), Command::Vote { participant });
    }
    world.run_until(seconds(345));
    assert_eq!(world.told(target, "Ended(Failed(Removed").len(), 1, "{}", told(&world));
    assert_eq!(world.names(PersonNo(1)).len(), 4);
    assert!(world.generations().is_empty(), "only a host makes a new link");
    world.come_with(target, 0);
    world.run_until(seconds(355));
    assert_eq!(world.names(PersonNo(1)).len(), 4, "locked:\n{}", told(&world));
    holds(&world);
}

#[test]
fn the_end_for_all_is_the_end_at_every_relay() {
    let mut world = full(3, 5);
    for person in 0..5 {
        world.let_go(PersonNo(person));
    }
    world.order(HOST, Command::EndForAll);
    world.run_until(seconds(6));
    for person in 0..5 {
        assert_eq!(world.told(PersonNo(person), "Ended(CallEnded").len(), 1, "{}", told(&world));
    }
    holds(&world);
}

#[test]
fn after_everybody_has_left_the_link_alone_reopens_the_room() {
    // The others come through a relay that is not the hub, which has to know the keys of the call that they begin.
    let mut world = founded(2, 3, Mode::Open);
    world.come_with(PersonNo(1), 0);
    world.run_until(seconds(3));
    for person in [1, 0] {
        world.let_go(PersonNo(person));
        world.order(PersonNo(person), Command::Leave);
        world.run_until(seconds(5) - ms(1_000 * u64::try_from(person).unwrap_or(0)));
    }
    world.run_until(seconds(8));
    assert_eq!((world.told(HOST, "Ended(Left").len(), world.told(PersonNo(1), "Ended(Left").len()), (1, 1), "{}", told(&world));
    world.next_call();
    for guest in [1, 2] {
        world.come_with(PersonNo(guest), 0);
        world.run_until(seconds(8 + 20 * u64::try_from(guest).unwrap_or(0)));
    }
    assert_eq!(world.names(PersonNo(1)), ["person 1", "person 2"], "{}", told(&world));
    holds(&world);
}

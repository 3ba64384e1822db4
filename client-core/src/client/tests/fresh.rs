//! A hub that withholds, and one that tells two histories.

use std::time::Duration;

use super::world::{World, frames, room_of};
use crate::{
    api::{Command, ConnectionState, Event, LocalTrack, Media},
    equivocation,
};

const VOICE: LocalTrack = LocalTrack(1);

fn states(world: &World, who: usize) -> Vec<(u64, ConnectionState)> {
    let state = |(at, event): &(Duration, Event)| match event {
        Event::Connection(state) => Some((at.as_secs(), *state)),
        _ => None,
    };
    world.timed_events(who).iter().filter_map(state).collect()
}

#[test]
fn whoever_is_kept_from_the_room_says_so_after_45_s_and_sends_nothing_after_60() {
    let mut world = World::with_room(3);
    world.publish(1, VOICE, Media::microphone());
    world.run(Duration::from_secs(20));
    let since = world.now().mono;
    world.withhold(1, true);
    let (mut sent, me) = (Vec::new(), room_of(&world, 1).unwrap().0);
    for second in 0..80u64 {
        world.write(1, VOICE, 160, true);
        world.run(Duration::from_secs(1));
        sent.push((second, frames(&world, 0, me).len()));
    }
    let told: Vec<_> = states(&world, 1)
        .into_iter()
        .filter(|(at, _)| *at >= since.as_secs())
        .map(|(at, state)| (at - since.as_secs(), state))
        .collect();
    let [(lost, ConnectionState::ControlLost), (stopped, ConnectionState::SendingStopped)] = told.as_slice() else {
        panic!("lost, then stopped: {told:?}")
    };
    // The newest counter that somebody echoed was sent up to two periods before.
    assert!((34..=45).contains(lost), "{lost}");
    assert_eq!(stopped - lost, 15);
    let stopped = usize::try_from(*stopped).unwrap();
    assert_eq!(sent[stopped - 1].1, stopped, "until then all that was said arrived");
    assert_eq!(sent.last().unwrap().1, sent[stopped + 1].1, "and then nothing");
    assert!(world.client(1).stats().frames_stopped >= 15);
    assert!(world.client(1).stats().log_asked_again >= 2);
    // What is said meanwhile waits, and goes with the first echo.
    world.command(1, Command::Chat { text: "are you there?".to_owned() });
    world.run(Duration::from_secs(1));
    assert!(!world.events(0).any(|event| matches!(event, Event::Chat { .. })));
    world.withhold(1, false);
    world.run(Duration::from_secs(11));
    assert_eq!(states(&world, 1).last().unwrap().1, ConnectionState::Connected);
    let before = frames(&world, 0, me).len();
    world.write(1, VOICE, 160, true);
    world.run(Duration::from_secs(1));
    assert_eq!(frames(&world, 0, me).len(), before + 1);
    assert!(world.events(0).any(|event| matches!(event, Event::Chat { .. })));
}

#[test]
fn in_an_honest_room_nobody_ever_doubts_that_they_are_heard() {
    let mut world = World::with_room(4);
    world.run(Duration::from_secs(300));
    for who in 0..4 {
        let doubts = states(&world, who).into_iter().filter(|(_, state)| *state != ConnectionState::Connected).count();
        assert_eq!(doubts, 1, "but for the first connecting: {:?}", states(&world, who));
        let stats = world.client(who).stats();
        assert_eq!((stats.heads_contradicted, stats.beacons_refused, stats.frames_stopped), (0, 0, 0));
        assert!(!world.events(who).any(|event| matches!(event, Event::Equivocation { .. })));
    }
}

#[test]
fn a_hub_that_signs_two_histories_is_told_of_once_with_a_proof_for_strangers() {
    let mut world = World::with_room(2);
    world.run(Duration::from_secs(1));
    world.tell_another_history();
    world.run(Duration::from_secs(1));
    world.tell_another_history();
    world.run(Duration::from_secs(20));
    for who in 0..2 {
        let proofs: Vec<_> = world
            .events(who)
            .filter_map(|event| match event {
                Event::Equivocation { relay, proof } => Some((*relay, proof.clone())),
                _ => None,
            })
            .collect();
        let [(relay, proof)] = proofs.as_slice() else { panic!("told once: {proofs:?}") };
        let shown = equivocation::verify(proof).unwrap();
        assert_eq!((*relay, shown.relay), (world.hub.id(), world.hub.id()));
    }
}

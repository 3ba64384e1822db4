//! A host ends a call for all.

use std::time::Duration;

use conclave_federation::{
    id::{Head, TrackId},
    track::Class,
    wire::{
        Wire,
        code::Code,
        message::{Answer, Append, Entry, EntryKind, Request, Start},
    },
};

use crate::{
    room::Room,
    world::{Store, World},
};

const VOICE: u64 = 100;

fn kinds(world: &World, client: usize, log: conclave_federation::id::Alias) -> Vec<EntryKind> {
    world.clients[client].reliable_of(log).iter().map(|object| Entry::decode(object).unwrap().header.kind).collect()
}

fn next_call(room: &Room) -> (Room, Append) {
    let mut next = Room { seq: 0, head: Head::START, ..room.clone() };
    next.instance = next.instance.next();
    let genesis = next.genesis(b"again");
    next.follow(&genesis);
    (next, genesis)
}

#[test]
fn everybody_reads_who_ended_the_call_and_then_it_is_over() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let (near, far) = (world.member(0, &room), world.member(1, &room));
    let logs = [near, far].map(|client| (client, world.subscribe(client, &room, TrackId::LOG.0, Start::From(0))));
    let voice = world.publish(founder, &room, VOICE, Class::Datagram);
    let heard = world.subscribe(far, &room, VOICE, Start::Next);

    assert!(matches!(world.ask(founder, Request::Append(room.end())), Answer::Appended(_)));
    for (client, log) in logs {
        assert_eq!(kinds(&world, client, log), [EntryKind::Genesis, EntryKind::End]);
    }
    assert_eq!(world.stats(0).calls_ended, 1);
    world.pass(Duration::from_millis(1_600));
    for (client, log) in logs {
        assert!(world.clients[client].ended_tracks().contains(&log));
    }
    assert!(world.clients[far].ended_tracks().contains(&heard));
    world.datagram(founder, voice, 1, b"anybody?");
    assert!(world.clients[far].datagrams.is_empty());
    for relay in 0..2 {
        assert_eq!(world.stats(relay).attached, 0, "at relay {relay}");
    }
    for client in [near, far] {
        let attach = room.attach(&world.clients[client], world.unix());
        let code = world.refused(client, Request::Attach(attach));
        assert!(matches!(code, Code::WRONG_INSTANCE | Code::UNKNOWN_ROOM), "{code:?}");
    }
}

#[test]
fn the_next_call_begins_at_once_and_nothing_follows_in_the_old_one() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    let end = room.end();
    assert!(matches!(world.ask(founder, Request::Append(end.clone())), Answer::Appended(_)));
    room.follow(&end);
    assert_eq!(world.refused(founder, Request::Append(room.commit(b"after", vec![]))), Code::WRONG_INSTANCE);
    assert!(!world.resolved(founder, &room).occupied);

    let (next, genesis) = next_call(&room);
    assert!(matches!(world.ask(founder, Request::Append(genesis)), Answer::Appended(_)));
    world.attach(founder, &next);
    world.attach(far, &next);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.resolved(far, &next).instance, next.instance);
    assert!(world.resolved(far, &next).occupied, "the end of the old call does not touch the new one");
}

#[test]
fn who_is_no_host_ends_nothing() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    let member = world.member(0, &room);
    let alone = Append { reserve: None, ..room.end() };
    assert_eq!(world.refused(member, Request::Append(alone)), Code::BAD_PROOF);
    let mut pretended = room.clone();
    pretended.founder = room.access.clone();
    assert_eq!(world.refused(member, Request::Append(pretended.end())), Code::BAD_PROOF);
    assert_eq!((world.stats(0).calls_ended, world.stats(0).appends.invalid), (0, 2));
    assert!(world.resolved(founder, &room).occupied);
}

#[test]
fn a_call_that_was_ended_stays_over_after_a_kill() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    assert!(matches!(world.ask(founder, Request::Append(room.end())), Answer::Appended(_)));
    world.restart(0, &[]);
    let back = world.client(0);
    let resolved = world.resolved(back, &room);
    assert_eq!((resolved.occupied, resolved.seq), (false, 2));
    let attach = room.attach(&world.clients[back], world.unix());
    assert_eq!(world.refused(back, Request::Attach(attach)), Code::WRONG_INSTANCE);
    let (next, genesis) = next_call(&room);
    assert!(matches!(world.ask(back, Request::Append(genesis)), Answer::Appended(_)));
    world.attach(back, &next);
}

#[test]
fn whoever_waits_at_the_door_of_an_ended_call_is_told() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    let outside = world.client(0);
    let tag = world.begin(outside, Request::Join(room.knock(7, b"may I", world.unix())));
    assert!(matches!(world.ask(founder, Request::Append(room.end())), Answer::Appended(_)));
    let Some(Answer::Refused(refusal)) = world.answer(outside, tag) else { panic!("told") };
    assert_eq!(refusal.code, Code::WRONG_INSTANCE);
}

#[test]
fn an_end_that_cannot_be_kept_ends_nothing() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.store = Store::Fails;
    assert_eq!(world.refused(founder, Request::Append(room.end())), Code::STORE);
    world.pass(Duration::from_secs(6));
    assert!(world.resolved(founder, &room).occupied);
    assert_eq!(world.stats(0).calls_ended, 0);
}

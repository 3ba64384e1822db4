//! When a room's keys change: who goes on, who is cut off, and what nobody gets any more.

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Generation, Head, TrackId},
    limits::MAX_PENDING_JOINS,
    proof::SigningKey,
    record::{CallKeys, Delegation, RoomRecord},
    track::Class,
    wire::{
        List, Wire,
        code::Code,
        message::{Answer, Append, Detach, Entry, Notice, Present, PutRecord, Request, Start, Subscribe},
        object::Knock,
    },
};
use conclave_relay_core::{StoreFailed, Write};

use crate::{
    links::Rogue,
    room::Room,
    rooms::listed,
    world::{Store, World, relay_id},
};

const VOICE: u64 = 100;
const OTHER: u64 = 200;

/// Just before and just after those who are late are cut off.
const BEFORE: Duration = Duration::from_millis(1_450);
const AFTER: Duration = Duration::from_millis(100);

/// The room's next generation begins; `client` says so, and is the only one who has new keys.
fn evict(world: &mut World, client: usize, room: &Room) -> Room {
    let (mut append, after) = room.eviction();
    append.via = room.via(world.clients[client].relay);
    let answer = world.ask(client, Request::Append(append));
    assert!(matches!(answer, Answer::Appended(_)), "{answer:?}");
    attach(world, client, &after);
    after
}

/// Shows a proof in a session that is there.
fn attach(world: &mut World, client: usize, room: &Room) {
    let attach = room.attach(&world.clients[client], world.unix());
    assert_eq!(world.ask(client, Request::Attach(attach)), Answer::Done(()));
}

fn seqs(world: &World, client: usize, log: Alias) -> Vec<u64> {
    world.clients[client].reliable_of(log).iter().map(|object| Entry::decode(object).unwrap().header.seq).collect()
}

fn heard(world: &World, client: usize) -> Vec<Bytes> {
    world.clients[client].datagrams.iter().map(|(_, payload)| payload.clone()).collect()
}

fn put(record: RoomRecord) -> Request {
    Request::PutRecord(PutRecord { via: None, record })
}

#[test]
fn whoever_was_removed_gets_nothing_after_a_second_and_a_half() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let (stays, removed) = (world.member(0, &room), world.member(0, &room));
    let voice = world.publish(host, &room, VOICE, Class::Datagram);
    for listener in [stays, removed] {
        world.subscribe(listener, &room, VOICE, Start::Next);
    }
    let [directory, requests] =
        [TrackId::DIRECTORY, TrackId::REQUESTS].map(|track| world.subscribe(removed, &room, track.0, Start::From(0)));
    let after = evict(&mut world, host, &room);
    attach(&mut world, stays, &after);
    world.pass(BEFORE);
    world.datagram(host, voice, 1, b"one");
    assert_eq!(heard(&world, stays), heard(&world, removed), "nobody is cut off while they may still be on their way");
    world.pass(AFTER);
    let (datagrams, objects) = (world.clients[removed].datagrams.len(), world.clients[removed].reliable.len());
    let before = world.wires.sent.clone();

    world.datagram(host, voice, 2, b"two");
    world.publish(host, &after, OTHER, Class::Groups);
    let newcomer = world.client(0);
    world.begin(newcomer, Request::Join(after.knock(7, b"may I", world.unix())));
    assert_eq!(heard(&world, stays).len(), 2);
    assert_eq!((world.clients[removed].datagrams.len(), world.clients[removed].reliable.len()), (datagrams, objects));
    let to_removed = |sent: &std::collections::BTreeMap<_, _>| {
        sent.get(&(crate::world::At::Relay(0), crate::world::At::Client(removed))).copied()
    };
    assert_eq!(to_removed(&world.wires.sent), to_removed(&before), "not a byte");
    assert!([directory, requests].iter().all(|track| world.clients[removed].ended_tracks().contains(track)));
    let detach = Notice::Detach(Detach { room: room.id, instance: room.instance });
    assert_eq!(world.clients[removed].notices.iter().filter(|notice| **notice == detach).count(), 1, "told once");
    for track in [TrackId::DIRECTORY, TrackId::REQUESTS, TrackId(VOICE), TrackId(OTHER)] {
        assert_eq!(world.refused(removed, room.subscribe(track, Start::From(0))), Code::NOT_ATTACHED);
    }
    assert_eq!(world.refused(removed, room.publish(300, Class::Datagram)), Code::NOT_ATTACHED);
    assert_eq!(world.stats(0).generations, 1);
    assert_eq!((world.stats(0).cut.client, world.stats(0).cut.link), (1, 0));
}

#[test]
fn nothing_is_taken_from_whoever_was_removed() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let (near, far) = (world.member(0, &room), world.member(1, &room));
    let directory = world.subscribe(host, &room, TrackId::DIRECTORY.0, Start::Current);
    let published = [(near, VOICE), (far, OTHER)].map(|(client, track)| {
        let alias = world.publish(client, &room, track, Class::Datagram);
        world.subscribe(host, &room, track, Start::Next);
        (client, alias)
    });
    let after = evict(&mut world, host, &room);
    world.pass(BEFORE + AFTER);
    for (client, alias) in published {
        world.datagram(client, alias, 1, b"still here");
    }
    assert!(world.clients[host].datagrams.is_empty());
    assert!(listed(&world.clients[host].reliable_of(directory)).is_empty(), "and nobody is told of their tracks");
    assert_eq!(world.stats(0).cut.link, 1, "the far relay has nobody with a proof");
    let back = world.client(0);
    assert_eq!(world.resolved(back, &after).record.generation, Generation(1));
}

#[test]
fn the_log_is_read_up_to_the_entry_that_removed_and_no_further() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let removed = [world.member(0, &room), world.member(1, &room)];
    let logs = removed.map(|client| (client, world.subscribe(client, &room, TrackId::LOG.0, Start::From(0))));
    let mut after = evict(&mut world, host, &room);
    world.append(host, &mut after, b"within the grace", vec![]);
    for (client, log) in logs {
        assert_eq!(seqs(&world, client, log), [0, 1], "at once");
    }
    world.pass(BEFORE + AFTER);
    world.append(host, &mut after, b"after it", vec![]);
    for (client, log) in logs {
        assert_eq!(seqs(&world, client, log), [0, 1], "and for good");
        let again = world.subscribe(client, &room, TrackId::LOG.0, Start::From(0));
        assert_eq!(seqs(&world, client, again).last(), Some(&1), "whoever asks again is given no more");
    }
}

#[test]
fn a_member_who_was_slow_learns_the_keys_from_the_log_and_is_back() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let slow = [0, 1].map(|relay| {
        let client = world.member(relay, &room);
        let log = world.subscribe(client, &room, TrackId::LOG.0, Start::From(0));
        (client, log)
    });
    let mut after = evict(&mut world, host, &room);
    world.pass(Duration::from_secs(60));
    world.append(host, &mut after, b"later", vec![]);
    for (client, log) in slow {
        assert_eq!(seqs(&world, client, log), [0, 1]);
        attach(&mut world, client, &after);
        world.pass(Duration::from_secs(9));
        assert_eq!(seqs(&world, client, log), [0, 1, 2], "the same subscription goes on");
        let directory = world.subscribe(client, &after, TrackId::DIRECTORY.0, Start::Current);
        assert!(!world.clients[client].reliable_of(directory).is_empty());
    }
    let (near, far) = (slow[0].0, slow[1].0);
    let voice = world.publish(far, &after, VOICE, Class::Datagram);
    world.subscribe(near, &after, VOICE, Start::Next);
    world.datagram(far, voice, 1, b"back");
    assert_eq!(heard(&world, near).len(), 1);
}

#[test]
fn the_proof_of_the_generation_before_reads_the_log_for_ten_minutes_and_does_nothing_else() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let mut after = evict(&mut world, host, &room);
    world.append(host, &mut after, b"later", vec![]);
    world.pass(Duration::from_secs(5));
    let slow = world.client(0);
    world.resolved(slow, &room);
    attach(&mut world, slow, &room);
    let log = world.subscribe(slow, &room, TrackId::LOG.0, Start::From(0));
    assert_eq!(seqs(&world, slow, log), [0, 1]);
    for track in [TrackId::DIRECTORY, TrackId::REQUESTS, TrackId(VOICE)] {
        assert_eq!(world.refused(slow, room.subscribe(track, Start::From(0))), Code::NOT_ATTACHED);
    }
    assert_eq!(world.refused(slow, room.publish(VOICE, Class::Datagram)), Code::NOT_ATTACHED);
    assert_eq!(world.refused(slow, Request::Append(after.commit(b"x", vec![]))), Code::NOT_ATTACHED);
    let renewed = room.capability(relay_id(0), world.unix() + 60_000);
    assert_eq!(world.refused(slow, Request::Renew(renewed)), Code::NOT_ATTACHED);
    assert!(world.resolved(host, &after).occupied);
    assert_eq!(world.stats(0).attached, 1, "a reader is not in the room");

    world.pass(Duration::from_secs(600));
    assert!(world.clients[slow].ended_tracks().contains(&log));
    let late = world.client(0);
    let attach = room.attach(&world.clients[late], world.unix());
    assert_eq!(world.refused(late, Request::Attach(attach)), Code::STALE_GENERATION);
}

#[test]
fn a_relay_that_keeps_its_old_capability_gets_nothing_more_from_anybody() {
    // 0 is the hub, 1 a publisher's relay, 5 serves who was removed.
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let speaker = world.member(1, &room);
    let voices =
        [(host, VOICE), (speaker, OTHER)].map(|(client, track)| (client, world.publish(client, &room, track, Class::Datagram)));
    let mut rogues = [Rogue::link(&mut world, 0, 5), Rogue::link(&mut world, 1, 5)];
    let subscribe = |track| {
        let path = List::new(vec![relay_id(5)]).unwrap();
        Request::Subscribe(Subscribe { room: room.id, instance: room.instance, track, start: Start::From(0), path })
    };
    for (rogue, voice) in rogues.iter_mut().zip([VOICE, OTHER]) {
        rogue.present(&mut world, &room);
        assert!(matches!(rogue.ask(&mut world, subscribe(TrackId(voice))), Answer::Subscribed(_)));
    }
    let Answer::Subscribed(log) = rogues[0].ask(&mut world, subscribe(TrackId::LOG)) else { panic!("subscribed") };
    let say = |world: &mut World, group| {
        for (client, alias) in voices {
            world.datagram(client, alias, group, b"voice");
        }
    };
    say(&mut world, 1);
    let counts = rogues.each_ref().map(|rogue| world.clients[rogue.client].datagrams.len());
    assert_eq!(counts, [1, 1]);

    let mut after = evict(&mut world, host, &room);
    attach(&mut world, speaker, &after);
    assert!(world.clients[rogues[0].client].notices.iter().any(|notice| matches!(notice, Notice::Record(_))), "it was told");
    world.pass(BEFORE + AFTER);
    say(&mut world, 2);
    world.append(host, &mut after, b"later", vec![]);
    let counts = rogues.each_ref().map(|rogue| world.clients[rogue.client].datagrams.len());
    assert_eq!(counts, [1, 1], "nothing more");
    assert_eq!(seqs(&world, rogues[0].client, log.alias), [0, 1]);
    assert_eq!((world.stats(0).cut.link, world.stats(1).cut.link), (1, 1));
    for rogue in &mut rogues {
        // Again with what it has: it may read the end of the log, and nothing else.
        rogue.present(&mut world, &room);
        for track in [TrackId(VOICE), TrackId(OTHER), TrackId::DIRECTORY, TrackId::REQUESTS] {
            assert_eq!(rogue.refused(&mut world, subscribe(track)), Code::NOT_ATTACHED);
        }
    }
    assert_eq!(rogues[0].refused(&mut world, Request::Append(after.commit(b"x", vec![]))), Code::NOT_ATTACHED);
    // Those who stay hear each other, over the link that was shown the new capability.
    world.subscribe(host, &after, OTHER, Start::Next);
    world.subscribe(speaker, &after, VOICE, Start::Next);
    say(&mut world, 3);
    assert_eq!((heard(&world, host).len(), heard(&world, speaker).len()), (1, 1));
}

#[test]
fn who_stays_is_heard_without_a_gap_across_relays() {
    let mut world = World::new(3);
    let (room, host) = world.call(0);
    let (speaker, listener) = (world.member(1, &room), world.member(2, &room));
    let voice = world.publish(speaker, &room, VOICE, Class::Datagram);
    let heard_as = world.subscribe(listener, &room, VOICE, Start::Next);
    let mut after = evict(&mut world, host, &room);
    for client in [speaker, listener] {
        attach(&mut world, client, &after);
    }
    for group in 0..40 {
        world.datagram(speaker, voice, group, b"voice");
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(heard(&world, listener).len(), 40);
    assert!(!world.clients[listener].ended_tracks().contains(&heard_as));
    assert!((0..3).all(|relay| world.stats(relay).cut == Default::default()), "nobody was cut off");
    let answer = world.append(listener, &mut after, b"by a follower's client", vec![]);
    assert!(matches!(answer, Answer::Appended(_)));
}

#[test]
fn appends_under_the_old_key_are_refused() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let (near, far) = (world.member(0, &room), world.member(1, &room));
    let after = evict(&mut world, host, &room);
    let stale = Append { via: None, ..room.commit(b"old", vec![]) };
    assert_eq!(world.refused(near, Request::Append(stale.clone())), Code::STALE_GENERATION);
    let via = room.via(Some(relay_id(1)));
    assert_eq!(world.refused(far, Request::Append(Append { via, ..stale })), Code::STALE_GENERATION);
    let mut pretended = after.clone();
    pretended.access = room.access.clone();
    assert_eq!(world.refused(near, Request::Append(pretended.commit(b"old", vec![]))), Code::BAD_PROOF);
    world.pass(BEFORE + AFTER);
    assert_eq!(world.refused(near, Request::Append(pretended.commit(b"old", vec![]))), Code::NOT_ATTACHED);
    assert_eq!(world.stats(0).appends.invalid, 3);
}

#[test]
fn the_next_generation_needs_its_record_and_a_record_its_place() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let (good, after) = room.eviction();
    let bare = room.sign(Append { record: None, ..good.clone() });
    assert_eq!(world.refused(host, Request::Append(bare)), Code::VIOLATION, "the flag without a record");
    let mut unflagged = good.clone();
    unflagged.header.flags = 0;
    assert_eq!(world.refused(host, Request::Append(room.sign(unflagged))), Code::VIOLATION, "a record without the flag");
    let foreign = Room::new(0, 70);
    assert_eq!(world.refused(host, Request::Append(room.turning(foreign.record(9)))), Code::BAD_RECORD, "of another room");
    let elsewhere = Room { hub: 3, ..after.clone() };
    let code = world.refused(host, Request::Append(room.turning(elsewhere.record(2))));
    assert_eq!(code, Code::BAD_RECORD, "of another hub");
    assert_eq!(world.refused(host, Request::Append(room.turning(after.record(1)))), Code::BAD_RECORD, "not newer");
    let twice = after.turned();
    assert_eq!(world.refused(host, Request::Append(room.turning(twice.record(9)))), Code::BAD_RECORD, "two generations at once");
    let mut forged = after.record(2);
    forged.max_members = 1;
    assert_eq!(world.refused(host, Request::Append(room.turning(forged))), Code::BAD_RECORD, "changed after it was signed");
    let mut member = after.record(2);
    member.sign(&room.access);
    assert_eq!(world.refused(host, Request::Append(room.turning(member))), Code::BAD_RECORD, "signed by a member");
    assert_eq!(world.stats(0).appends.invalid, 8);
    assert_eq!(world.resolved(host, &room).record.generation, Generation(0));
    assert_eq!(world.stats(0).generations, 0);
    assert!(matches!(world.ask(host, Request::Append(good)), Answer::Appended(_)));
}

#[test]
fn a_host_who_is_none_any_more_begins_no_generation() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let (dropped, other) = (SigningKey::from_seed([90; 32]), SigningKey::from_seed([91; 32]));
    let hour = world.unix() + 3_600_000;
    let right = |by: &SigningKey, whom: &SigningKey| Delegation::issue(by, room.id, whom.verifying_key(), hour);
    let own = List::new(vec![right(&room.founder, &dropped)]).unwrap();
    let through = List::new(vec![right(&room.founder, &dropped), right(&dropped, &other)]).unwrap();
    let mut after = room.turned();
    let mut record = after.record(2);
    record.revoked = List::new(vec![dropped.verifying_key()]).unwrap();
    record.sign(&room.founder);
    let append = room.turning(record.clone());
    assert!(matches!(world.ask(host, Request::Append(append.clone())), Answer::Appended(_)));
    after.follow(&append);
    attach(&mut world, host, &after);

    let next = after.turned();
    for (key, chain) in [(&dropped, own), (&other, through)] {
        for revoked in [record.revoked.clone(), List::default()] {
            let mut next = RoomRecord { revoked, ..next.record(3) };
            next.sign_as(key, chain.clone());
            assert_eq!(world.refused(host, Request::Append(after.turning(next))), Code::BAD_RECORD);
        }
    }
    let mut forgotten = next.record(3);
    let again = List::new(vec![right(&room.founder, &other)]).unwrap();
    forgotten.sign_as(&other, again.clone());
    assert_eq!(world.refused(host, Request::Append(after.turning(forgotten))), Code::BAD_RECORD, "it forgets who was revoked");
    let mut good = RoomRecord { revoked: record.revoked, ..next.record(3) };
    good.sign_as(&other, again);
    assert!(matches!(world.ask(host, Request::Append(after.turning(good))), Answer::Appended(_)));
}

#[test]
fn records_never_go_back() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let far = world.member(1, &room);
    let after = evict(&mut world, host, &room);
    attach(&mut world, far, &after);
    assert_eq!(world.refused(host, put(room.record(1))), Code::BAD_RECORD);
    assert_eq!(world.refused(host, put(room.record(9))), Code::BAD_RECORD, "newer by its number, older by its keys");
    assert_eq!(world.refused(far, put(room.record(9))), Code::BAD_RECORD, "at a follower as well");
    let refused = (world.stats(0).records_refused, world.stats(1).records_refused);
    assert_eq!(refused, (2, 1));
    // Nor by the word of a relay that is not the hub.
    let rogue = Rogue::link(&mut world, 1, 5);
    world.notify(rogue.client, Notice::Record(Box::new(after.turned().record(9))));
    assert_eq!(world.stats(1).records_refused, 2);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.resolved(far, &after).record, after.record(2));
    assert_eq!(world.stats(1).cut.client, 0);
}

#[test]
fn while_a_call_is_on_the_keys_change_by_its_log_alone() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let after = room.turned();
    assert_eq!(world.refused(host, put(after.record(2))), Code::BAD_RECORD);
    let mut larger = room.record(2);
    larger.max_members = 200;
    larger.sign(&room.founder);
    assert_eq!(world.ask(host, put(larger)), Answer::Done(()), "what leaves the keys alone may change");
    world.notify(host, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    assert_eq!(world.ask(host, put(after.record(3))), Answer::Done(()), "nobody is in");
    let mut old = Room { seq: 0, head: Head::START, ..room.clone() };
    old.instance = old.instance.next();
    assert_eq!(world.refused(host, Request::Append(old.genesis(b"old link"))), Code::STALE_GENERATION);
    let new = Room { instance: old.instance, ..after };
    let genesis = Room { seq: 0, head: Head::START, ..new }.genesis(b"new link");
    assert!(matches!(world.ask(host, Request::Append(genesis)), Answer::Appended(_)));
}

#[test]
fn the_entry_and_its_record_are_kept_together_or_not_at_all() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let (append, after) = room.eviction();
    world.store = Store::Fails;
    assert_eq!(world.refused(host, Request::Append(append.clone())), Code::STORE);
    assert_eq!(world.resolved(host, &room).record.generation, Generation(0));
    assert_eq!(world.stats(0).generations, 0);
    world.pass(Duration::from_secs(6));
    world.store = Store::Holds;
    let tag = world.begin(host, Request::Append(append.clone()));
    let Some((_, _, Write::Append { entry, .. })) = world.held.front() else { panic!("one write, with both in it") };
    assert_eq!(entry.entry.record.as_ref(), append.record.as_ref());
    assert_eq!((world.held.len(), world.answer(host, tag)), (1, None));
    assert_eq!(world.resolved(host, &room).record.generation, Generation(0), "not before it is durable");
    world.confirm_next(Err(StoreFailed { words: "the disk is full: make room".into() }));
    assert_eq!(world.resolved(host, &room).record.generation, Generation(0));
    world.pass(Duration::from_secs(6));
    let tag = world.begin(host, Request::Append(append));
    world.confirm_next(Ok(()));
    assert!(matches!(world.answer(host, tag), Some(Answer::Appended(_))));
    assert_eq!(world.resolved(host, &room).record, after.record(2));
}

#[test]
fn after_a_kill_the_new_keys_count() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let mut after = evict(&mut world, host, &room);
    world.restart(0, &[]);
    let back = world.client(0);
    assert_eq!(world.resolved(back, &room).record, after.record(2));
    let old = room.attach(&world.clients[back], world.unix());
    assert_eq!(world.refused(back, Request::Attach(old)), Code::STALE_GENERATION);
    attach(&mut world, back, &after);
    assert!(matches!(world.append(back, &mut after, b"on it goes", vec![]), Answer::Appended(_)));
}

#[test]
fn a_follower_that_cannot_reach_the_hub_believes_the_record_of_its_client() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let (stays, removed) = (world.member(1, &room), world.member(1, &room));
    let voice = world.publish(stays, &room, VOICE, Class::Datagram);
    world.subscribe(removed, &room, VOICE, Start::Next);
    world.unreachable.insert((0, 1));
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    let after = evict(&mut world, host, &room);
    let early = after.attach(&world.clients[stays], world.unix());
    assert_eq!(world.refused(stays, Request::Attach(early.clone())), Code::STALE_GENERATION, "it has not heard of it");
    assert_eq!(world.ask(stays, put(after.record(2))), Answer::Done(()));
    assert_eq!(world.ask(stays, Request::Attach(early)), Answer::Done(()));
    world.pass(BEFORE + AFTER);
    world.datagram(stays, voice, 1, b"among us");
    assert!(heard(&world, removed).is_empty());
    assert_eq!(world.stats(1).cut.client, 1);
}

/// A host who was removed signs a record of the same generation for those who have not heard of the real one.
#[test]
fn of_two_records_of_a_generation_the_hubs_counts() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let (stays, removed) = (world.member(1, &room), world.member(1, &room));
    let log = world.subscribe(stays, &room, TrackId::LOG.0, Start::From(0));
    world.unreachable.insert((0, 1));
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    let mut false_room = room.turned();
    false_room.access = SigningKey::from_seed([99; 32]);
    assert_eq!(world.ask(removed, put(false_room.record(7))), Answer::Done(()));
    attach(&mut world, removed, &false_room);
    let after = evict(&mut world, host, &room);
    world.unreachable.clear();
    world.pass(Duration::from_secs(90));
    assert_eq!(seqs(&world, stays, log), [0], "its relay has no capability to ask with");
    // Any answer of the hub about the room sets it right.
    world.resolved(stays, &room);
    attach(&mut world, stays, &after);
    world.pass(Duration::from_secs(9));
    assert_eq!(seqs(&world, stays, log), [0, 1]);
    let stale = false_room.attach(&world.clients[removed], world.unix());
    assert_ne!(world.ask(removed, Request::Attach(stale)), Answer::Done(()), "the false keys are worth nothing any more");
}

#[test]
fn a_host_changes_no_keys_past_the_hub() {
    let mut world = World::new(2);
    let (room, host) = world.call(0);
    let [stays, hasty] = [(); 2].map(|()| world.member(1, &room));
    let voice = world.publish(host, &room, VOICE, Class::Datagram);
    world.subscribe(stays, &room, VOICE, Start::Next);
    assert_eq!(world.ask(hasty, put(room.turned().record(2))), Answer::Done(()));
    // The hub was asked at once, and says otherwise: a new proof of the old keys is as good as ever.
    attach(&mut world, stays, &room);
    world.pass(Duration::from_secs(10));
    world.datagram(host, voice, 1, b"as before");
    assert_eq!(heard(&world, stays).len(), 1);
}

fn call_keys(room: &Room, key: u8) -> CallKeys {
    let access = SigningKey::from_seed([key; 32]).verifying_key();
    CallKeys::issue(&room.join, room.id, room.instance, room.generation, access, [key; 32])
}

/// A call whose founder holds the link and nothing else, at relay 0: the room as its members know it.
fn link_call(world: &mut World) -> (Room, usize) {
    let mut room = Room::new(0, 40);
    let founder = world.client(0);
    assert_eq!(world.ask(founder, room.put(1)), Answer::Done(()));
    let genesis = Append { call: Some(call_keys(&room, 66)), ..room.genesis(b"group") };
    assert!(matches!(world.ask(founder, Request::Append(genesis.clone())), Answer::Appended(_)));
    room.follow(&genesis);
    room.access = SigningKey::from_seed([66; 32]);
    world.attach(founder, &room);
    (room, founder)
}

#[test]
fn the_link_alone_reopens_a_room_with_keys_of_its_own() {
    let mut world = World::new(2);
    let (mut room, _founder) = link_call(&mut world);
    let of_record = Room { access: SigningKey::from_seed([41; 32]), ..room.clone() };
    let (near, far) = (world.client(0), world.client(1));
    for client in [near, far] {
        let resolved = world.resolved(client, &room);
        let call = resolved.call.expect("told with the room");
        assert!(call.verify(room.instance, &resolved.record));
        let attach = of_record.attach(&world.clients[client], world.unix());
        assert_eq!(world.refused(client, Request::Attach(attach)), Code::BAD_PROOF, "the record's key is not the call's");
        world.attach(client, &room);
    }
    assert!(matches!(world.append(far, &mut room, b"commit", vec![]), Answer::Appended(_)));
    assert_eq!(world.refused(near, Request::Append(of_record.commit(b"x", vec![]))), Code::CONFLICT);
    world.restart(0, &[1]);
    world.pass(Duration::from_secs(3));
    let back = world.client(0);
    assert_eq!(world.resolved(back, &room).call, Some(call_keys(&Room { access: room.access.clone(), ..Room::new(0, 40) }, 66)));
    world.attach(back, &room);
    // The next generation ends them.
    let after = evict(&mut world, back, &room);
    world.pass(BEFORE + AFTER);
    let late = world.client(0);
    world.attach(late, &after);
}

#[test]
fn keys_of_a_call_that_the_link_did_not_sign_are_refused() {
    let mut world = World::new(1);
    let room = Room::new(0, 40);
    let founder = world.client(0);
    assert_eq!(world.ask(founder, room.put(1)), Answer::Done(()));
    let mut forged = call_keys(&room, 66);
    forged.access = SigningKey::from_seed([67; 32]).verifying_key();
    let genesis = Append { call: Some(forged), ..room.genesis(b"group") };
    assert_eq!(world.refused(founder, Request::Append(genesis)), Code::BAD_PROOF);
    let other = call_keys(&Room { instance: room.instance.next(), ..room.clone() }, 66);
    let genesis = Append { call: Some(other), ..room.genesis(b"group") };
    assert_eq!(world.refused(founder, Request::Append(genesis)), Code::BAD_PROOF);
    assert_eq!(world.stats(0).appends.invalid, 2);
}

#[test]
fn a_link_that_was_retired_begins_no_call() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let after = evict(&mut world, host, &room);
    world.notify(host, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    world.pass(Duration::from_secs(30));
    let outside = world.client(0);
    let next = |of: &Room| Room { instance: of.instance.next(), seq: 0, head: Head::START, ..of.clone() };
    let old = next(&room);
    let genesis = Append { call: Some(call_keys(&old, 66)), ..old.genesis(b"look-alike") };
    assert_eq!(world.refused(outside, Request::Append(genesis)), Code::STALE_GENERATION);
    // Under the new number, with either signature of the old link.
    let mixed = Room { generation: after.generation, ..old.clone() };
    let genesis = Append { call: Some(call_keys(&mixed, 66)), ..mixed.genesis(b"look-alike") };
    assert_eq!(world.refused(outside, Request::Append(genesis)), Code::BAD_PROOF);
    let new = next(&after);
    let genesis = Append { call: Some(call_keys(&mixed, 66)), ..new.genesis(b"look-alike") };
    assert_eq!(world.refused(outside, Request::Append(genesis)), Code::BAD_PROOF);
    let genesis = Append { call: Some(call_keys(&new, 66)), ..new.genesis(b"the room") };
    assert!(matches!(world.ask(outside, Request::Append(genesis)), Answer::Appended(_)));
}

#[test]
fn retired_links_lead_to_the_waiting_room_and_crowd_nobody_out() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let after = evict(&mut world, host, &room);
    let requests = world.subscribe(host, &after, TrackId::REQUESTS.0, Start::From(0));
    let unix = world.unix();
    let ask = |world: &mut World, room: &Room, id: u8| {
        let client = world.client(0);
        let tag = world.begin(client, Request::Join(room.knock(id, b"may I", unix)));
        world.answer(client, tag)
    };
    for id in 0..16 {
        assert_eq!(ask(&mut world, &room, id), None, "it waits");
    }
    let Some(Answer::Refused(refusal)) = ask(&mut world, &room, 16) else { panic!("refused") };
    assert_eq!(refusal.code, Code::FULL);
    for id in 0..u8::try_from(MAX_PENDING_JOINS - 16).unwrap() {
        assert_eq!(ask(&mut world, &after, 100 + id), None, "{id}");
    }
    let knocks: Vec<_> =
        world.clients[host].reliable_of(requests).iter().map(|object| Knock::decode(object).unwrap().generation).collect();
    assert_eq!(knocks.iter().filter(|generation| **generation == Generation(0)).count(), 16, "members see which link it was");
    assert_eq!(knocks.len(), MAX_PENDING_JOINS);
    // Two links back is still known; who forges its generation is not.
    let forged = Room { generation: Generation(1), ..room.clone() };
    let Some(Answer::Refused(refusal)) = ask(&mut world, &forged, 17) else { panic!("refused") };
    assert_eq!(refusal.code, Code::BAD_PROOF);
    let unknown = Room { generation: Generation(5), ..room };
    let Some(Answer::Refused(refusal)) = ask(&mut world, &unknown, 18) else { panic!("refused") };
    assert_eq!(refusal.code, Code::STALE_GENERATION);
}

#[test]
fn whoever_is_two_generations_behind_reads_to_the_end_of_their_own() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    let slow = world.member(0, &room);
    let log = world.subscribe(slow, &room, TrackId::LOG.0, Start::From(0));
    let first = evict(&mut world, host, &room);
    let second = evict(&mut world, host, &first);
    world.pass(BEFORE + AFTER);
    assert_eq!(seqs(&world, slow, log), [0, 1]);
    // With the keys that it found there it reads on, and with those that it finds then it is in.
    attach(&mut world, slow, &first);
    assert_eq!(seqs(&world, slow, log), [0, 1, 2]);
    assert_eq!(world.refused(slow, first.subscribe(TrackId::DIRECTORY, Start::Current)), Code::NOT_ATTACHED);
    attach(&mut world, slow, &second);
    world.subscribe(slow, &second, TrackId::DIRECTORY.0, Start::Current);
    assert_eq!(world.stats(0).cut.client, 1);
    assert_eq!(world.stats(0).generations, 2);
}

#[test]
fn a_capability_of_the_old_keys_is_of_no_use_at_a_relay_that_knows_the_new() {
    let mut world = World::new(1);
    let (room, host) = world.call(0);
    evict(&mut world, host, &room);
    world.pass(Duration::from_secs(700));
    let mut rogue = Rogue::link(&mut world, 0, 5);
    let capability = room.capability(relay_id(5), world.unix() + 60_000);
    let present = Present { capability, attached: true };
    assert_eq!(rogue.refused(&mut world, Request::Present(present)), Code::STALE_GENERATION);
}

//! Records, the log, joins and attachment, at the hub and through another relay.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Instance, JoinId, TrackId},
    limits::MAX_PENDING_JOINS,
    proof::{Capability, SigningKey},
    track::Class,
    wire::{
        Wire,
        code::Code,
        message::{Admitted, Answer, Detach, Entry, EntryKind, HubHead, Notice, PutRecord, Request, Resolve, Start, Unpublish},
        object::{Directory, Knock},
    },
};
use conclave_relay_core::{StoreFailed, Write, stats::Limit};

use crate::{
    room::Room,
    world::{Store, World, addresses, relay_id},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn appended(answer: Answer) -> HubHead {
    match answer {
        Answer::Appended(head) => head,
        other => panic!("appended, not {other:?}"),
    }
}

fn admitted(answer: Option<Answer>) -> Admitted {
    match answer {
        Some(Answer::Admitted(admitted)) => *admitted,
        other => panic!("admitted, not {other:?}"),
    }
}

/// What a reader of the directory knows in the end.
pub(crate) fn listed(objects: &[Bytes]) -> Vec<TrackId> {
    let mut tracks = BTreeSet::new();
    for object in objects {
        match Directory::decode(object).unwrap() {
            Directory::Whole(whole) => tracks = whole.iter().map(|listing| listing.track).collect(),
            Directory::Added(listing) => drop(tracks.insert(listing.track)),
            Directory::Removed(track) => drop(tracks.remove(&track)),
        }
    }
    tracks.into_iter().collect()
}

#[test]
fn a_record_is_acknowledged_only_when_it_is_durable() {
    let mut world = World::new(1);
    let room = Room::new(0, 40);
    let client = world.client(0);
    world.store = Store::Holds;
    let tag = world.begin(client, room.put(1));
    assert!(world.answer(client, tag).is_none());
    assert_eq!(world.refused(client, Request::Resolve(Resolve { via: None, room: room.id })), Code::UNKNOWN_ROOM);
    world.confirm_next(Ok(()));
    assert_eq!(world.answer(client, tag), Some(Answer::Done(())));
    let resolved = world.resolved(client, &room);
    assert_eq!((resolved.instance, resolved.occupied, resolved.seq), (Instance(0), false, 0));
}

#[test]
fn the_newest_record_stays() {
    let mut world = World::new(1);
    let room = Room::new(0, 40);
    let client = world.client(0);
    assert_eq!(world.ask(client, room.put(2)), Answer::Done(()));
    assert_eq!(world.ask(client, room.put(2)), Answer::Done(()), "the same again");
    assert_eq!(world.refused(client, room.put(1)), Code::BAD_RECORD);
    assert_eq!(world.ask(client, room.put(3)), Answer::Done(()));
    assert_eq!(world.resolved(client, &room).record.seq, 3);
}

#[test]
fn a_record_that_is_not_its_founders_or_not_for_this_hub_is_refused() {
    let mut world = World::new(2);
    let client = world.client(0);
    let room = Room::new(0, 40);
    let mut forged = room.record(1);
    forged.seq = 9;
    assert_eq!(world.refused(client, Request::PutRecord(PutRecord { via: None, record: forged })), Code::BAD_RECORD);
    let mut expired = room.record(1);
    expired.not_after = 1;
    expired.sign(&room.founder);
    assert_eq!(world.refused(client, Request::PutRecord(PutRecord { via: None, record: expired })), Code::BAD_RECORD);
    let elsewhere = Room::new(1, 50);
    assert_eq!(world.refused(client, elsewhere.put(1)), Code::BAD_RECORD);
    assert!(world.writes.is_empty());
}

#[test]
fn a_room_is_registered_and_resolved_through_another_relay() {
    let mut world = World::new(2);
    let room = Room::new(0, 40);
    let client = world.client(1);
    let put = PutRecord { via: room.via(Some(relay_id(1))), record: room.record(1) };
    assert_eq!(world.ask(client, Request::PutRecord(put)), Answer::Done(()));
    let resolved = world.resolved(client, &room);
    assert_eq!(resolved.record, room.record(1));
    assert_eq!(world.stats(0).rooms_hub, 1);
    assert_eq!(world.stats(1).rooms, 0, "a follower keeps no room that nobody is in");
}

#[test]
fn a_relay_that_is_in_no_address_book_is_not_dialled() {
    let mut world = World::new(1);
    let room = Room::new(5, 40);
    let client = world.client(0);
    let Answer::Refused(refusal) = world.resolve(client, &room) else { panic!("refused") };
    assert_eq!(refusal.code, Code::UNKNOWN_RELAY);
    assert!(refusal.words.as_str().contains(&relay_id(5).to_hex()), "{}", refusal.words.as_str());
    assert_eq!(world.stats(0).dials, 0);
}

#[test]
fn of_two_who_begin_a_call_one_wins() {
    let mut world = World::new(2);
    let room = Room::new(0, 40);
    let (here, there) = (world.client(0), world.client(1));
    assert_eq!(world.ask(here, room.put(1)), Answer::Done(()));
    world.store = Store::Holds;
    let first = world.begin(here, Request::Append(room.genesis(b"first")));
    let mut genesis = room.genesis(b"second");
    genesis.via = room.via(Some(relay_id(1)));
    let second = world.begin(there, Request::Append(genesis));
    assert!(world.answer(here, first).is_none() && world.answer(there, second).is_none());
    assert_eq!(world.held.len(), 1, "one write at a time");
    world.confirm_next(Ok(()));
    let head = appended(world.answer(here, first).expect("durable"));
    assert!(head.verify(relay_id(0)));
    let Some(Answer::Refused(refusal)) = world.answer(there, second) else { panic!("refused") };
    assert_eq!(refusal.code, Code::CONFLICT);
    let resolved = world.resolved(there, &room);
    assert_eq!((resolved.instance, resolved.occupied, resolved.seq, resolved.head), (Instance(1), true, 1, head.head));
    assert_eq!(resolved.group.bytes().as_ref(), b"first");
}

#[test]
fn entries_follow_each_other_and_everybody_reads_them() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    let near_log = world.subscribe(founder, &room, TrackId::LOG.0, Start::From(0));
    let far_log = world.subscribe(far, &room, TrackId::LOG.0, Start::From(0));
    for body in 0..5_u8 {
        let by = if body % 2 == 0 { founder } else { far };
        assert!(appended(world.append(by, &mut room, &[body], vec![])).verify(relay_id(0)));
    }
    for (client, alias) in [(founder, near_log), (far, far_log)] {
        let log = world.clients[client].reliable_of(alias);
        let entries: Vec<_> = log.iter().map(|payload| Entry::decode(payload).unwrap()).collect();
        assert_eq!(entries.len(), 6);
        for (seq, pair) in entries.windows(2).enumerate() {
            assert_eq!(pair[1].header.prev_head, pair[0].header.head(), "after {seq}");
        }
    }
    let late = world.member(1, &room);
    let log = world.subscribe(late, &room, TrackId::LOG.0, Start::From(4));
    let seqs: Vec<_> =
        world.clients[late].reliable.iter().filter(|(header, _)| header.alias == log).map(|(header, _)| header.object).collect();
    assert_eq!(seqs, [4, 5], "a catch-up is a subscription with a start");
}

#[test]
fn an_entry_that_is_wrong_is_refused_with_its_reason() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let refused = |world: &mut World, append| world.refused(founder, Request::Append(append));
    let head = room.head;
    let stale = room.entry(EntryKind::Commit, 1, conclave_federation::id::Head::START, b"x", vec![]);
    assert_eq!(refused(&mut world, stale), Code::CONFLICT);
    let mut forged = room.commit(b"x", vec![]);
    forged.signature = room.join.sign(conclave_federation::proof::Label::Append, &forged.header.encode());
    assert_eq!(refused(&mut world, forged), Code::BAD_PROOF);
    let mut old = room.commit(b"x", vec![]);
    old.header.generation = Generation(7);
    assert_eq!(refused(&mut world, old), Code::STALE_GENERATION);
    let mut swapped = room.commit(b"x", vec![]);
    swapped.commit = room.commit(b"y", vec![]).commit;
    assert_eq!(refused(&mut world, swapped), Code::VIOLATION);
    room.instance = Instance(3);
    assert_eq!(refused(&mut world, room.genesis(b"g")), Code::WRONG_INSTANCE);
    room.instance = Instance(2);
    assert_eq!(refused(&mut world, room.genesis(b"g")), Code::CONFLICT, "somebody is there");
    room.instance = Instance(1);
    assert_eq!((room.seq, room.head), (1, head));
    appended(world.append(founder, &mut room, b"good", vec![]));
    assert_eq!(world.stats(0).appends.invalid, 4);
    assert_eq!(world.stats(0).appends.conflict, 2);
}

#[test]
fn the_same_entry_once_more_finds_its_answer() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let append = room.commit(b"x", vec![]);
    let first = appended(world.append(founder, &mut room, b"x", vec![]));
    assert_eq!(appended(world.ask(founder, Request::Append(append))), first);
}

#[test]
fn nobody_appends_who_is_not_attached() {
    let mut world = World::new(2);
    let (room, _) = world.call(0);
    let stranger = world.client(0);
    assert_eq!(world.refused(stranger, Request::Append(room.commit(b"x", vec![]))), Code::NOT_ATTACHED);
    let far = world.client(1);
    let mut append = room.commit(b"x", vec![]);
    append.via = room.via(Some(relay_id(1)));
    assert_eq!(world.refused(far, Request::Append(append)), Code::NOT_ATTACHED);
}

#[test]
fn nothing_of_an_entry_is_seen_before_it_is_durable() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    let log = world.subscribe(far, &room, TrackId::LOG.0, Start::From(1));
    let joiner = world.client(0);
    let join = world.begin(joiner, Request::Join(room.knock(1, b"let me in", world.unix())));
    world.store = Store::Holds;
    let append = room.commit(b"add", vec![JoinId::new([1; 16])]);
    let tag = world.begin(founder, Request::Append(append.clone()));
    world.pass(seconds(5));
    assert!(world.answer(founder, tag).is_none());
    assert!(world.answer(joiner, join).is_none());
    assert!(world.clients[far].reliable_of(log).is_empty());
    assert_eq!(world.resolved(far, &room).seq, 1);
    world.confirm_next(Ok(()));
    appended(world.answer(founder, tag).expect("durable"));
    let admitted = admitted(world.answer(joiner, join));
    assert_eq!(admitted.header, append.header);
    assert_eq!(admitted.welcome, append.welcome);
    assert!(admitted.head.verify(relay_id(0)));
    assert_eq!(world.clients[far].reliable_of(log).len(), 1);
    room.follow(&append);
}

#[test]
fn a_store_that_cannot_write_makes_the_room_read_only_and_media_goes_on() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let listener = world.member(0, &room);
    let alias = world.publish(founder, &room, 100, Class::Datagram);
    world.subscribe(listener, &room, 100, Start::Next);
    world.store = Store::Fails;
    let Answer::Refused(refusal) = world.append(founder, &mut room, b"x", vec![]) else { panic!("refused") };
    assert_eq!(refusal.code, Code::STORE);
    assert!(refusal.words.as_str().contains("disk is full"));
    world.store = Store::Works;
    let writes = world.writes.len();
    let Answer::Refused(refusal) = world.append(founder, &mut room, b"x", vec![]) else { panic!("refused") };
    assert_eq!((refusal.code, world.writes.len()), (Code::STORE, writes), "the store is left alone for a while");
    world.datagram(founder, alias, 1, b"voice");
    assert_eq!(world.clients[listener].datagrams.len(), 1);
    world.pass(seconds(6));
    appended(world.append(founder, &mut room, b"x", vec![]));
    assert_eq!(world.stats(0).store_failures, 1);
}

#[test]
fn a_failed_write_fails_those_that_wait_behind_it() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.store = Store::Holds;
    let first = world.begin(founder, Request::Append(room.commit(b"a", vec![])));
    let second = world.begin(founder, Request::Append(room.commit(b"b", vec![])));
    world.confirm_next(Err(StoreFailed { words: "no space".into() }));
    for tag in [first, second] {
        let Some(Answer::Refused(refusal)) = world.answer(founder, tag) else { panic!("refused") };
        assert_eq!(refusal.code, Code::STORE);
    }
    assert!(world.held.is_empty());
}

#[test]
fn appends_that_wait_are_bounded_and_checked_again_in_their_turn() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    let others = [founder, world.member(0, &room)];
    world.store = Store::Holds;
    let tags: Vec<_> = (0..10_u8)
        .map(|body| {
            let by = others[usize::from(body) % 2];
            (by, world.begin(by, Request::Append(room.commit(&[body], vec![]))))
        })
        .collect();
    let (by, tag) = tags[9];
    let Some(Answer::Refused(refusal)) = world.answer(by, tag) else { panic!("refused") };
    assert_eq!(refusal.code, Code::RATE, "four of each wait, and one is being written");
    assert_eq!(world.stats(0).hits(Limit::RoomCommits), 1);
    // Whoever has fewer is not kept out by those who have many.
    let third = world.member(0, &room);
    let late = world.begin(third, Request::Append(room.commit(&[10], vec![])));
    assert!(world.answer(third, late).is_none());
    let gave_way: Vec<_> = tags[1..9].iter().filter(|(by, tag)| world.clients[*by].answers.contains_key(tag)).copied().collect();
    assert_eq!((gave_way.len(), world.stats(0).hits(Limit::WaitingAppends)), (1, 1));
    let Some(Answer::Refused(refusal)) = world.answer(gave_way[0].0, gave_way[0].1) else { panic!("refused") };
    assert_eq!(refusal.code, Code::RATE);
    world.confirm_next(Ok(()));
    appended(world.answer(tags[0].0, tags[0].1).expect("the first wins"));
    for (by, tag) in tags[1..9].iter().filter(|tag| !gave_way.contains(tag)).chain([&(third, late)]) {
        let Some(Answer::Refused(refusal)) = world.answer(*by, *tag) else { panic!("refused") };
        assert_eq!(refusal.code, Code::CONFLICT);
    }
    assert!(world.held.is_empty(), "losers are never written");
}

#[test]
fn a_join_is_put_before_the_members_and_served_by_an_entry() {
    let mut world = World::new(3);
    let (mut room, founder) = world.call(0);
    let member = world.member(1, &room);
    let requests = world.subscribe(member, &room, TrackId::REQUESTS.0, Start::From(0));
    let joiner = world.client(2);
    let mut knock = room.knock(9, b"sealed", world.unix());
    knock.via = room.via(Some(relay_id(2)));
    let tag = world.begin(joiner, Request::Join(knock.clone()));
    let seen = world.clients[member].reliable_of(requests);
    let seen = Knock::decode(&seen[0]).unwrap();
    assert_eq!((seen.id, seen.body.bytes().as_ref()), (knock.id, b"sealed".as_ref()));
    appended(world.append(member, &mut room, b"add", vec![knock.id]));
    let first = admitted(world.answer(joiner, tag));
    assert_eq!(first.welcome.bytes().as_ref(), b"welcome");
    // The answer was lost and the joiner comes back elsewhere with the same request.
    let again = world.client(0);
    let mut knock = knock;
    knock.via = None;
    let tag = world.begin(again, Request::Join(knock.clone()));
    assert_eq!(admitted(world.answer(again, tag)), first);
    let mut other = room.knock(9, b"another body", world.unix());
    other.via = None;
    assert_eq!(world.refused(again, Request::Join(other)), Code::EXISTS);
    let late = world.subscribe(founder, &room, TrackId::REQUESTS.0, Start::From(0));
    assert!(world.clients[founder].reliable_of(late).is_empty(), "what was served is not asked again");
    assert_eq!(world.stats(0).joins.served, 1);
}

#[test]
fn an_open_join_is_resumed_by_its_id() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let (first, second) = (world.client(0), world.client(0));
    let knock = room.knock(1, b"body", world.unix());
    let early = world.begin(first, Request::Join(knock.clone()));
    let late = world.begin(second, Request::Join(knock.clone()));
    let Some(Answer::Refused(refusal)) = world.answer(first, early) else { panic!("replaced") };
    assert_eq!(refusal.code, Code::EXISTS);
    appended(world.append(founder, &mut room, b"add", vec![knock.id]));
    admitted(world.answer(second, late));
    assert_eq!((world.stats(0).joins.asked, world.stats(0).joins.resumed), (1, 1));
}

#[test]
fn a_join_that_nobody_answers_is_told_so_after_a_minute() {
    let mut world = World::new(2);
    let (room, _founder) = world.call(0);
    let joiner = world.client(1);
    let mut knock = room.knock(1, b"body", world.unix());
    knock.via = room.via(Some(relay_id(1)));
    let tag = world.begin(joiner, Request::Join(knock));
    world.pass(seconds(59));
    assert!(world.answer(joiner, tag).is_none());
    world.pass(seconds(3));
    let Some(Answer::Refused(refusal)) = world.answer(joiner, tag) else { panic!("refused") };
    assert_eq!(refusal.code, Code::UNANSWERED);
}

#[test]
fn joins_are_checked_and_bounded() {
    let mut world = World::new(1);
    let (mut room, _founder) = world.call(0);
    let joiner = world.client(0);
    let time = world.unix();
    let mut forged = room.knock(1, b"x", time);
    forged.signature = room.access.sign(conclave_federation::proof::Label::Request, b"something else");
    assert_eq!(world.refused(joiner, Request::Join(forged)), Code::BAD_PROOF);
    let old = room.knock(1, b"x", time - 121_000);
    assert_eq!(world.refused(joiner, Request::Join(old)), Code::EXPIRED);
    room.instance = Instance(2);
    let wrong = room.knock(1, b"x", time);
    assert_eq!(world.refused(joiner, Request::Join(wrong)), Code::WRONG_INSTANCE);
    room.instance = Instance(1);
    for id in 0..4 {
        world.begin(joiner, Request::Join(room.knock(id, b"x", time)));
    }
    assert_eq!(world.refused(joiner, Request::Join(room.knock(4, b"x", time))), Code::FULL);
    assert_eq!(world.stats(0).hits(Limit::JoinsPerSession), 1);
    for id in 4..u8::try_from(MAX_PENDING_JOINS).unwrap() {
        let other = world.client(0);
        let tag = world.begin(other, Request::Join(room.knock(id, b"x", time)));
        assert!(world.answer(other, tag).is_none());
    }
    // Who asks often gives way to those who ask for the first time, until all have one.
    for id in 200..203 {
        let other = world.client(0);
        let tag = world.begin(other, Request::Join(room.knock(id, b"x", time)));
        assert!(world.answer(other, tag).is_none(), "{id}");
        let refused = world.clients[joiner].answers.values().filter(|answer| matches!(answer, Answer::Refused(_))).count();
        assert_eq!(refused, usize::from(id - 199));
    }
    let last = world.client(0);
    assert_eq!(world.refused(last, Request::Join(room.knock(210, b"x", time))), Code::FULL);
    assert_eq!((world.stats(0).hits(Limit::PendingJoins), world.stats(0).joins.crowded), (4, 3));
}

#[test]
fn attachment_needs_a_proof_for_this_relay_this_session_and_this_call() {
    let mut world = World::new(2);
    let (mut room, _founder) = world.call(0);
    let client = world.client(0);
    let good = room.attach(&world.clients[client], world.unix());
    let other = world.client(0);
    let replayed = room.attach(&world.clients[other], world.unix());
    assert_eq!(world.refused(client, Request::Attach(replayed)), Code::BAD_PROOF, "another session's nonce");
    let mut foreign = good.clone();
    foreign.capability = room.capability(relay_id(1), world.unix() + 1_000_000);
    assert_eq!(world.refused(client, Request::Attach(foreign)), Code::FOREIGN_PROOF);
    let mut expired = good.clone();
    expired.capability = room.capability(relay_id(0), world.unix() - 200_000);
    assert_eq!(world.refused(client, Request::Attach(expired)), Code::EXPIRED);
    let mut forever = good.clone();
    forever.capability = room.capability(relay_id(0), world.unix() + 10_000_000);
    assert_eq!(world.refused(client, Request::Attach(forever)), Code::EXPIRED);
    let mut forged = good.clone();
    forged.capability = Capability::issue(
        &SigningKey::from_seed([200; 32]),
        relay_id(0),
        room.id,
        room.instance,
        Generation(0),
        world.unix() + 1_000,
    );
    assert_eq!(world.refused(client, Request::Attach(forged)), Code::BAD_PROOF);
    let mut stale = good.clone();
    stale.generation = Generation(1);
    assert_eq!(world.refused(client, Request::Attach(stale)), Code::STALE_GENERATION);
    let mut role = good.clone();
    role.role = 1;
    assert_eq!(world.refused(client, Request::Attach(role)), Code::UNSUPPORTED);
    room.instance = Instance(2);
    let next = room.attach(&world.clients[client], world.unix());
    assert_eq!(world.refused(client, Request::Attach(next)), Code::WRONG_INSTANCE);
    let unknown = Room::new(0, 90).attach(&world.clients[client], world.unix());
    assert_eq!(world.refused(client, Request::Attach(unknown)), Code::UNKNOWN_ROOM);
    assert_eq!(world.ask(client, Request::Attach(good)), Answer::Done(()));
}

#[test]
fn a_proof_made_by_name_is_good_for_the_relays_own_names_only() {
    let mut world = World::new(2);
    let (room, _founder) = world.call(0);
    let client = world.client(0);
    for name in ["relay-1.example:4433", "relay-0.example", "relay-0.example:443", "relay-0.example:4433 ", "example:4433"] {
        let attach = room.attach_by_name(&world.clients[client], world.unix(), name);
        assert_eq!(world.refused(client, Request::Attach(attach)), Code::BAD_PROOF, "{name}");
    }
    for name in addresses(0) {
        let client = world.client(0);
        let attach = room.attach_by_name(&world.clients[client], world.unix(), &name);
        assert_eq!(world.ask(client, Request::Attach(attach)), Answer::Done(()), "{name}");
        let browser = world.client(0);
        let attach = room.attach_by_name(&world.clients[browser], world.unix(), &name.to_ascii_lowercase());
        assert_eq!(world.ask(browser, Request::Attach(attach)), Answer::Done(()), "{name} in small letters");
    }
}

#[test]
fn a_followers_client_is_attached_when_the_hub_has_agreed() {
    let mut world = World::new(2);
    let (mut room, _founder) = world.call(0);
    let client = world.client(1);
    let resolved = world.resolved(client, &room);
    assert_eq!(resolved.instance, Instance(1));
    room.instance = Instance(2);
    let early = room.attach(&world.clients[client], world.unix());
    assert_eq!(world.refused(client, Request::Attach(early)), Code::WRONG_INSTANCE);
    assert_eq!(world.stats(1).rooms, 0);
    room.instance = Instance(1);
    world.attach(client, &room);
    assert_eq!((world.stats(1).rooms, world.stats(1).attached), (1, 1));
}

#[test]
fn a_new_call_begins_at_once_after_the_last_has_left_and_later_after_a_loss() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    let detach = |room: &Room| Notice::Detach(Detach { room: room.id, instance: room.instance });
    world.notify(founder, detach(&room));
    assert!(world.resolved(founder, &room).occupied, "somebody is at the other relay");
    world.notify(far, detach(&room));
    assert!(!world.resolved(founder, &room).occupied);
    room.instance = Instance(2);
    let genesis = room.genesis(b"next");
    appended(world.ask(founder, Request::Append(genesis.clone())));
    assert!(world.writes.iter().any(|(_, write)| matches!(write, Write::Forget { instance: Instance(1), .. })));
    room.follow(&genesis);
    let far = world.member(1, &room);
    let session = world.clients[far].key.unwrap();
    world.pass(seconds(25));
    world.wires.cut(session);
    world.run();
    world.pass(seconds(15));
    assert!(world.resolved(founder, &room).occupied, "who was lost may come back");
    world.pass(seconds(30));
    assert!(!world.resolved(founder, &room).occupied);
}

#[test]
fn a_call_that_was_just_begun_is_not_taken_over() {
    let mut world = World::new(1);
    let mut room = Room::new(0, 40);
    let founder = world.client(0);
    world.ask(founder, room.put(1));
    appended(world.ask(founder, Request::Append(room.genesis(b"group"))));
    room.instance = Instance(2);
    assert_eq!(world.refused(founder, Request::Append(room.genesis(b"other"))), Code::CONFLICT);
    world.pass(seconds(21));
    appended(world.ask(founder, Request::Append(room.genesis(b"other"))));
}

#[test]
fn a_log_is_forgotten_an_hour_after_the_last_has_left() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.notify(founder, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    world.pass(seconds(3_590));
    assert_eq!(world.resolved(founder, &room).seq, 1);
    world.pass(seconds(20));
    let resolved = world.resolved(founder, &room);
    assert_eq!((resolved.seq, resolved.instance), (0, Instance(1)), "the next call has the next number all the same");
    assert!(world.writes.iter().any(|(_, write)| matches!(write, Write::Forget { .. })));
}

#[test]
fn a_hub_that_starts_again_has_every_acknowledged_entry_and_its_followers_back() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    world.publish(far, &room, 500, Class::Datagram);
    appended(world.append(founder, &mut room, b"one", vec![]));
    appended(world.append(far, &mut room, b"two", vec![]));
    let log = world.subscribe(far, &room, TrackId::LOG.0, Start::From(0));
    assert_eq!(world.clients[far].reliable_of(log).len(), 3);
    world.restart(0, &[1]);
    world.pass(seconds(3));
    assert!(world.link(0, 1).is_some());
    let back = world.member(0, &room);
    let resolved = world.resolved(back, &room);
    assert_eq!((resolved.seq, resolved.head, resolved.instance), (3, room.head, Instance(1)));
    appended(world.append(back, &mut room, b"three", vec![]));
    assert_eq!(world.clients[far].reliable_of(log).len(), 4, "the subscription goes on, without repetition");
    assert!(world.clients[far].ended_tracks().is_empty());
    let directory = world.subscribe(back, &room, TrackId::DIRECTORY.0, Start::Current);
    let listed = world.clients[back].reliable_of(directory);
    assert_eq!(crate::rooms::listed(&listed), [TrackId(500)], "the follower announces its tracks again");
}

#[test]
fn regression_a_hub_whose_clock_went_back_is_still_heard() {
    // The hub counts the groups of its directory and of its mailbox from its clock. It was started anew before its clock was
    // set, and its followers took all that it said for what they had already: nobody behind them saw a new track or a knock
    // again.
    let mut world = World::new(2);
    let (room, _founder) = world.call(0);
    let far = world.member(1, &room);
    let [directory, requests] =
        [TrackId::DIRECTORY, TrackId::REQUESTS].map(|track| world.subscribe(far, &room, track.0, Start::From(0)));
    let early = world.client(1);
    world.begin(early, Request::Join(room.knock(1, b"before", world.unix())));
    world.clock_back = 60_000;
    world.restart(0, &[1]);
    world.pass(seconds(3));
    assert!(world.link(0, 1).is_some());
    let back = world.member(0, &room);
    world.publish(back, &room, 600, Class::Reliable);
    assert_eq!(listed(&world.clients[far].reliable_of(directory)), [TrackId(600)]);
    world.subscribe(far, &room, 600, Start::From(0));
    let before = world.clients[far].reliable_of(requests).len();
    let joiner = world.client(0);
    world.begin(joiner, Request::Join(room.knock(2, b"after", world.unix())));
    assert_eq!(world.clients[far].reliable_of(requests).len(), before + 1);
}

#[test]
fn the_directory_begins_with_all_there_is_and_goes_on_with_changes() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    world.publish(founder, &room, 100, Class::Datagram);
    let alias = world.subscribe(far, &room, TrackId::DIRECTORY.0, Start::Next);
    for track in 200..280 {
        // No faster than a client may talk.
        world.pass(Duration::from_millis(60));
        let by = if track % 2 == 0 { far } else { founder };
        world.publish(by, &room, track, Class::Groups);
        let unpublish = Unpublish { room: room.id, instance: room.instance, track: TrackId(track) };
        world.notify(by, Notice::Unpublish(unpublish));
    }
    let objects = world.clients[far].reliable_of(alias);
    assert!(matches!(Directory::decode(&objects[0]).unwrap(), Directory::Whole(_)));
    assert_eq!(listed(&objects), [TrackId(100)]);
    assert!(objects.len() > 160, "80 tracks came and went: {}", objects.len());
    let late = world.member(1, &room);
    let alias = world.subscribe(late, &room, TrackId::DIRECTORY.0, Start::From(0));
    let objects = world.clients[late].reliable_of(alias);
    assert!(matches!(Directory::decode(&objects[0]).unwrap(), Directory::Whole(_)), "a late one begins with a snapshot");
    assert_eq!(listed(&objects), [TrackId(100)]);
    assert!(objects.len() <= 70, "and not with history: {}", objects.len());
}

//! What is bounded, what a slow or a hostile remote gets, and that nobody else notices.

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    io::StreamKey,
    track::Class,
    wire::{
        code::Code,
        message::{Answer, Message, Request, Resolve, Start, grease},
        stream::{GroupHeader, reliable_start},
    },
};
use conclave_relay_core::{
    Input,
    limits::{Limits, Rate},
    stats::Limit,
};

use crate::{
    room::Room,
    world::{World, config},
};

const VOICE: u64 = 100;
const CAMERA: u64 = 200;
const CHAT: u64 = 300;

fn with_limits(change: impl FnOnce(&mut Limits)) -> World {
    let mut config = config(0, &[]);
    change(&mut config.limits);
    World::with(vec![config])
}

/// Sends something as this client.
type Send = fn(&mut World, usize);

fn closed(world: &World, client: usize) -> Option<Code> {
    world.clients[client].closed.as_ref().map(|(code, _)| *code)
}

/// A call with a camera, somebody who takes everything and somebody whose path the test governs.
struct Scene {
    world: World,
    room: Room,
    camera: usize,
    good: usize,
    slow: usize,
    alias: Alias,
}

fn scene(world: World) -> Scene {
    let mut world = world;
    let (room, camera) = world.call(0);
    let (good, slow) = (world.member(0, &room), world.member(0, &room));
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    for viewer in [good, slow] {
        world.subscribe(viewer, &room, CAMERA, Start::Next);
    }
    Scene { world, room, camera, good, slow, alias }
}

impl Scene {
    /// Groups with a large object first and small ones after it.
    fn group(&mut self, group: u64, key: usize, deltas: u64) {
        self.world.object(self.camera, self.alias, (group, 0), 0, &vec![1; key]);
        for object in 1..=deltas {
            self.world.object(self.camera, self.alias, (group, 0), object, &[2; 1_000]);
        }
        self.world.finish(self.camera, self.alias, (group, 0));
    }

    fn block(&mut self) {
        let session = self.world.served(self.slow);
        self.world.wires.budget.insert(session, 0);
    }

    fn unblock(&mut self) {
        let session = self.world.served(self.slow);
        self.world.wires.allow(session, None);
        self.world.run();
    }

    fn groups(&self, client: usize) -> Vec<u64> {
        let mut groups: Vec<_> = self.world.clients[client].objects.keys().map(|(_, group, ..)| *group).collect();
        groups.dedup();
        groups
    }
}

#[test]
fn a_short_stall_costs_a_subscriber_nothing() {
    let mut scene = scene(World::new(1));
    scene.group(1, 20_000, 5);
    scene.block();
    scene.group(2, 20_000, 5);
    assert_eq!(scene.groups(scene.slow), [1]);
    assert!(scene.world.stats(0).egress_queued > 25_000);
    scene.world.pass(Duration::from_millis(300));
    scene.unblock();
    scene.group(3, 20_000, 5);
    assert_eq!(scene.groups(scene.slow), [1, 2, 3]);
    assert_eq!(scene.world.clients[scene.slow].objects, scene.world.clients[scene.good].objects);
    assert_eq!(scene.world.clients[scene.slow].ended.len(), 3);
    assert_eq!(scene.world.stats(0).egress_queued, 0);
    assert_eq!(scene.world.stats(0).dropped.total(), 0);
}

#[test]
fn a_group_that_waits_too_long_is_dropped_whole_and_the_next_one_starts_clean() {
    let mut scene = scene(World::new(1));
    scene.block();
    scene.group(1, 20_000, 5);
    scene.world.pass(Duration::from_millis(600));
    assert_eq!(scene.world.stats(0).egress_queued, 0, "too old");
    assert_eq!(scene.world.stats(0).dropped.late, 1);
    assert!(scene.world.wires.resets.iter().any(|(.., code)| *code == Code::LATE));
    scene.unblock();
    scene.group(2, 20_000, 5);
    assert_eq!(scene.groups(scene.slow), [2]);
    assert_eq!(scene.groups(scene.good), [1, 2], "others lose nothing");
}

#[test]
fn what_waits_for_a_subscriber_never_exceeds_its_bound() {
    let mut scene = scene(World::new(1));
    let cap = u64::try_from(Limits::default().egress_queue).unwrap();
    scene.block();
    for group in 1..=40 {
        scene.group(group, 60_000, 10);
        assert!(scene.world.stats(0).egress_queued <= cap, "group {group}");
    }
    let stats = scene.world.stats(0);
    assert!(stats.egress_queue_peak <= cap && stats.egress_queue_peak > cap / 2);
    assert!(stats.dropped.overflow > 0);
    assert_eq!(stats.hits(Limit::EgressQueue), stats.dropped.overflow);
    assert_eq!(scene.groups(scene.good).len(), 40);
    scene.unblock();
    scene.group(41, 20_000, 1);
    assert!(scene.groups(scene.slow).contains(&41));
    assert_eq!(scene.world.stats(0).egress_queued, 0);
}

#[test]
fn what_waits_for_a_session_never_exceeds_its_bound() {
    let mut scene = scene(with_limits(|limits| limits.egress_client = 300 * 1024));
    let mut cameras = vec![scene.alias];
    for track in 201..206 {
        cameras.push(scene.world.publish(scene.camera, &scene.room, track, Class::Groups));
        scene.world.subscribe(scene.slow, &scene.room, track, Start::Next);
    }
    scene.block();
    for group in 1..5 {
        for alias in &cameras {
            scene.world.object(scene.camera, *alias, (group, 0), 0, &[1; 50_000]);
            assert!(scene.world.stats(0).egress_queued <= 300 * 1024);
        }
    }
    assert!(scene.world.stats(0).hits(Limit::EgressSession) > 0);
}

#[test]
fn upper_layers_are_dropped_before_the_base() {
    let mut scene = scene(World::new(1));
    scene.block();
    for object in 0..15 {
        scene.world.object(scene.camera, scene.alias, (1, 0), object, &[0; 10_000]);
        scene.world.object(scene.camera, scene.alias, (1, 1), object, &[1; 10_000]);
    }
    scene.unblock();
    let layers: Vec<_> = scene.world.clients[scene.slow].objects.keys().map(|(_, _, layer, _)| *layer).collect();
    assert_eq!(layers, [0; 15]);
}

#[test]
fn regression_a_layer_that_begins_again_goes_on_where_its_end_still_waits() {
    // The publisher ended a layer and opened it again, while a slow subscriber's stream waited for its path. The head of the
    // new stream was written into the old one, where it was read as an object, and that cost the subscriber its session.
    let mut scene = scene(World::new(1));
    scene.world.object(scene.camera, scene.alias, (1, 0), 0, &[0; 2_000]);
    scene.block();
    scene.world.object(scene.camera, scene.alias, (1, 1), 1, &[1; 2_000]);
    scene.world.finish(scene.camera, scene.alias, (1, 1));
    scene.world.object(scene.camera, scene.alias, (1, 1), 2, &[2; 2_000]);
    scene.unblock();
    scene.world.object(scene.camera, scene.alias, (1, 1), 3, &[3; 2_000]);
    for layer in [0, 1] {
        scene.world.finish(scene.camera, scene.alias, (1, layer));
    }
    let (slow, good) = (&scene.world.clients[scene.slow], &scene.world.clients[scene.good]);
    assert_eq!(slow.objects.len(), 4);
    assert_eq!(slow.objects, good.objects);
    assert_eq!((slow.ended.len(), good.ended.len()), (2, 3), "each of its streams ends, and complete");
    assert!(slow.ended.iter().all(|(_, complete)| *complete));
}

#[test]
fn a_lost_upper_layer_is_there_again_when_it_is_opened_again_and_in_the_next_group() {
    let mut scene = scene(World::new(1));
    scene.block();
    for object in 0..15 {
        scene.world.object(scene.camera, scene.alias, (1, 0), object, &[0; 10_000]);
        scene.world.object(scene.camera, scene.alias, (1, 1), 100 + object, &[1; 10_000]);
    }
    scene.unblock();
    let upper = |scene: &Scene| {
        let objects = scene.world.clients[scene.slow].objects.keys();
        objects.filter(|(_, _, layer, _)| *layer == 1).map(|(_, group, _, object)| (*group, *object)).collect::<Vec<_>>()
    };
    scene.world.object(scene.camera, scene.alias, (1, 1), 115, &[1; 100]);
    assert_eq!(upper(&scene), [], "its stream was given up: what follows on it is not for this one");
    scene.world.finish(scene.camera, scene.alias, (1, 1));
    scene.world.object(scene.camera, scene.alias, (1, 1), 116, &[1; 100]);
    assert_eq!(upper(&scene), [(1, 116)]);
    scene.world.object(scene.camera, scene.alias, (2, 0), 0, &[0; 100]);
    scene.world.object(scene.camera, scene.alias, (2, 1), 1, &[1; 100]);
    assert_eq!(upper(&scene), [(1, 116), (2, 1)]);
}

#[test]
fn a_path_that_takes_a_little_at_a_time_gets_whole_objects_in_order() {
    let mut scene = scene(World::new(1));
    scene.block();
    scene.group(1, 30_000, 3);
    let session = scene.world.served(scene.slow);
    while scene.world.stats(0).egress_queued > 0 {
        scene.world.wires.allow(session, Some(777));
        scene.world.run();
    }
    scene.unblock();
    assert_eq!(scene.world.clients[scene.slow].objects, scene.world.clients[scene.good].objects);
}

#[test]
fn audio_that_cannot_leave_at_once_is_dropped_and_counted() {
    let mut scene = scene(World::new(1));
    let voice = scene.world.publish(scene.camera, &scene.room, VOICE, Class::Datagram);
    for listener in [scene.good, scene.slow] {
        scene.world.subscribe(listener, &scene.room, VOICE, Start::Next);
    }
    scene.block();
    for group in 0..10 {
        scene.world.datagram(scene.camera, voice, group, b"voice");
    }
    assert_eq!(scene.world.stats(0).dropped.datagram_blocked, 10);
    assert_eq!(scene.world.stats(0).egress_queued, 0, "audio is not queued");
    scene.unblock();
    scene.world.datagram(scene.camera, voice, 10, b"voice");
    assert_eq!(scene.world.clients[scene.slow].datagrams.len(), 1);
    assert_eq!(scene.world.clients[scene.good].datagrams.len(), 11);
}

#[test]
fn a_subscriber_without_streams_left_misses_groups_and_gets_the_next() {
    let mut scene = scene(World::new(1));
    let session = scene.world.served(scene.slow);
    scene.world.wires.no_streams.insert(session);
    scene.group(1, 1_000, 1);
    assert_eq!(scene.world.stats(0).dropped.no_stream, 1);
    scene.world.wires.no_streams.clear();
    scene.group(2, 1_000, 1);
    assert_eq!(scene.groups(scene.slow), [2]);
    assert_eq!(scene.groups(scene.good), [1, 2]);
}

#[test]
fn a_session_that_reads_nothing_of_what_must_not_be_lost_is_closed() {
    let mut scene = scene(World::new(1));
    let chat = scene.world.publish(scene.camera, &scene.room, CHAT, Class::Reliable);
    for reader in [scene.good, scene.slow] {
        scene.world.subscribe(reader, &scene.room, CHAT, Start::From(0));
    }
    scene.block();
    scene.world.reliable(scene.camera, chat, (0, 0), b"hello");
    scene.world.pass(Duration::from_secs(9));
    assert_eq!(closed(&scene.world, scene.slow), None);
    scene.world.pass(Duration::from_secs(2));
    assert_eq!(closed(&scene.world, scene.slow), Some(Code::SLOW));
    assert_eq!(closed(&scene.world, scene.good), None);
    assert_eq!(scene.world.clients[scene.good].reliable_of(chat).len(), 1);
}

#[test]
fn a_cursor_that_falls_off_the_window_ends_its_session() {
    let mut scene = scene(World::new(1));
    let chat = scene.world.publish(scene.camera, &scene.room, CHAT, Class::Reliable);
    for reader in [scene.good, scene.slow] {
        scene.world.subscribe(reader, &scene.room, CHAT, Start::From(0));
    }
    scene.block();
    for object in 0..400 {
        scene.world.reliable(scene.camera, chat, (0, object), b"hello");
    }
    assert!(scene.world.stats(0).retained < 300 * 1024);
    scene.unblock();
    assert_eq!(closed(&scene.world, scene.slow), Some(Code::SLOW));
    assert_eq!(scene.world.clients[scene.good].reliable_of(chat).len(), 400);
}

#[test]
fn the_cached_group_is_bounded_and_whoever_is_shown_it_slowly_is_not_queued_for() {
    let mut scene = scene(with_limits(|limits| limits.cache_track = 200_000));
    scene.world.object(scene.camera, scene.alias, (1, 0), 0, &[1; 150_000]);
    assert!(scene.world.stats(0).cached >= 150_000);
    let late = scene.world.member(0, &scene.room);
    let session = scene.world.served(late);
    scene.world.run();
    let tag = {
        let tag = scene.world.begin(late, scene.room.subscribe(TrackId(VOICE), Start::Current));
        scene.world.answer(late, tag);
        scene.world.wires.budget.insert(session, 1_000);
        scene.world.begin(late, scene.room.subscribe(TrackId(CAMERA), Start::Current))
    };
    assert!(matches!(scene.world.answer(late, tag), Some(Answer::Subscribed(_))));
    assert!(scene.world.stats(0).egress_queued <= 150_100);
    scene.world.wires.allow(session, Some(60_000));
    scene.world.run();
    scene.world.object(scene.camera, scene.alias, (1, 0), 1, &[2; 20_000]);
    scene.world.wires.allow(session, None);
    scene.world.run();
    let shown = &scene.world.clients[late].objects;
    assert_eq!(shown.values().map(Vec::len).collect::<Vec<_>>(), [150_000, 20_000]);
    // The group grows beyond what is kept: nobody is shown it from now on.
    scene.world.object(scene.camera, scene.alias, (1, 0), 2, &[3; 50_000]);
    assert_eq!(scene.world.stats(0).cached, 0);
    assert_eq!(scene.world.stats(0).hits(Limit::CacheTrack), 1);
    let later = scene.world.member(0, &scene.room);
    scene.world.subscribe(later, &scene.room, CAMERA, Start::Current);
    assert!(scene.world.clients[later].objects.is_empty());
    scene.world.object(scene.camera, scene.alias, (2, 0), 0, b"key");
    assert_eq!(scene.world.clients[later].objects.len(), 1);
}

#[test]
fn a_slow_replay_ends_when_the_next_group_begins() {
    let mut scene = scene(World::new(1));
    scene.world.object(scene.camera, scene.alias, (1, 0), 0, &[1; 100_000]);
    let late = scene.world.member(0, &scene.room);
    let session = scene.world.served(late);
    scene.world.wires.budget.insert(session, 500);
    scene.world.begin(late, scene.room.subscribe(TrackId(CAMERA), Start::Current));
    scene.world.pass(Duration::from_secs(2));
    scene.world.object(scene.camera, scene.alias, (2, 0), 0, b"key");
    scene.world.wires.allow(session, None);
    scene.world.run();
    let client = &scene.world.clients[late];
    assert!(client.objects.contains_key(&(scene.alias, 2, 0, 0)));
    assert!(client.ended.iter().any(|(header, complete)| header.group == 1 && !complete));
    assert_eq!(scene.world.stats(0).egress_queued, 0);
}

#[test]
fn a_publisher_that_sends_too_much_is_cut_short_then_closed() {
    let rate = Rate { per_second: 10_000, burst: 20_000 };
    let mut scene = scene(with_limits(|limits| limits.ingress_bytes = rate));
    let voice = scene.world.publish(scene.camera, &scene.room, VOICE, Class::Datagram);
    scene.world.subscribe(scene.good, &scene.room, VOICE, Start::Next);
    for group in 0..100 {
        scene.world.datagram(scene.camera, voice, group, &[0; 1_000]);
    }
    let heard = scene.world.clients[scene.good].datagrams.len();
    assert!((15..=20).contains(&heard), "{heard} of 100");
    assert_eq!(scene.world.stats(0).dropped.rate, 100 - heard as u64);
    scene.world.object(scene.camera, scene.alias, (1, 0), 0, &[0; 15_000]);
    assert!(scene.world.clients[scene.good].objects.is_empty());
    for group in 0..1_200 {
        scene.world.pass(Duration::from_millis(10));
        scene.world.datagram(scene.camera, voice, 200 + group, &[0; 1_000]);
    }
    assert_eq!(closed(&scene.world, scene.camera), Some(Code::RATE));
    assert_eq!(closed(&scene.world, scene.good), None);
}

#[test]
fn too_much_talk_is_refused_and_may_go_on_later() {
    let mut world = World::new(1);
    let (room, _founder) = world.call(0);
    let client = world.client(0);
    let resolve = Request::Resolve(Resolve { via: None, room: room.id });
    for _ in 0..60 {
        assert!(matches!(world.ask(client, resolve.clone()), Answer::Resolved(_)));
    }
    assert_eq!(world.refused(client, resolve.clone()), Code::RATE);
    assert_eq!(world.stats(0).hits(Limit::Control), 1);
    let other = world.client(0);
    assert!(matches!(world.ask(other, resolve.clone()), Answer::Resolved(_)), "nobody else pays");
    world.pass(Duration::from_millis(100));
    assert!(matches!(world.ask(client, resolve), Answer::Resolved(_)));
}

#[test]
fn entries_are_rationed_for_each_session_and_for_each_room() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let mut codes = Vec::new();
    for body in 0..12_u8 {
        if let Answer::Refused(refusal) = world.append(founder, &mut room, &[body], vec![]) {
            codes.push(refusal.code);
        }
    }
    // The genesis was the first of the founder's ten.
    assert_eq!(codes, [Code::RATE; 3]);
    assert_eq!(world.stats(0).hits(Limit::SessionCommits), 3);
    let others: Vec<_> = (0..3).map(|_| world.member(0, &room)).collect();
    for at in 0..20_usize {
        let answer = world.append(others[at % 3], &mut room, &[200], vec![]);
        assert!(matches!(answer, Answer::Appended(_)), "of thirty at once ten were the founder's: {at} {answer:?}");
    }
    // From here on entries wait for the room's pace, a few of each.
    let slow = world.member(0, &room);
    let tags: Vec<_> = (0..5_u8).map(|body| world.begin(slow, Request::Append(room.commit(&[body], vec![])))).collect();
    let Some(Answer::Refused(refusal)) = world.answer(slow, tags[4]) else { panic!("refused") };
    assert_eq!((refusal.code, world.stats(0).hits(Limit::RoomCommits)), (Code::RATE, 1));
    assert!(world.answer(slow, tags[0]).is_none());
    world.pass(Duration::from_millis(100));
    assert!(matches!(world.answer(slow, tags[0]), Some(Answer::Appended(_))), "ten a second");
    let Some(Answer::Refused(refusal)) = world.answer(slow, tags[1]) else { panic!("refused") };
    assert_eq!(refusal.code, Code::CONFLICT, "what follows another head waits for nothing");
}

#[test]
fn each_count_that_a_client_can_grow_ends_with_a_refusal() {
    let mut world = with_limits(|limits| {
        limits.sessions = 6;
        limits.rooms = 3;
        limits.rooms_per_session = 1;
        limits.tracks_per_session = 2;
        limits.subscriptions_per_client = 2;
    });
    let (room, founder) = world.call(0);
    let other = Room::new(0, 60);
    assert_eq!(world.ask(founder, other.put(1)), Answer::Done(()));
    assert!(matches!(world.ask(founder, Request::Append(other.genesis(b"group"))), Answer::Appended(_)));
    let attach = other.attach(&world.clients[founder], world.unix());
    assert_eq!(world.refused(founder, Request::Attach(attach)), Code::FULL);
    assert_eq!(world.ask(founder, Room::new(0, 70).put(1)), Answer::Done(()));
    assert_eq!(world.refused(founder, Room::new(0, 80).put(1)), Code::FULL);
    for track in [100, 101] {
        world.publish(founder, &room, track, Class::Datagram);
    }
    assert_eq!(world.refused(founder, room.publish(102, Class::Datagram)), Code::FULL);
    let viewer = world.member(0, &room);
    for track in [100, 101] {
        world.subscribe(viewer, &room, track, Start::Next);
    }
    assert_eq!(world.refused(viewer, room.subscribe(TrackId::LOG, Start::From(0))), Code::FULL);
    let clients: Vec<_> = (0..5).map(|_| world.client(0)).collect();
    assert_eq!(closed(&world, clients[4]), Some(Code::FULL));
    let stats = world.stats(0);
    for limit in [Limit::Sessions, Limit::Rooms, Limit::RoomsPerSession, Limit::TracksPerSession, Limit::Subscriptions] {
        assert_eq!(stats.hits(limit), 1, "{}", limit.name());
    }
}

#[test]
fn bytes_that_cannot_be_read_end_their_session_and_no_other() {
    let mut scene = scene(World::new(1));
    let voice = scene.world.publish(scene.camera, &scene.room, VOICE, Class::Datagram);
    scene.world.subscribe(scene.good, &scene.room, VOICE, Start::Next);
    let malformed: [(&str, Send); 6] = [
        ("control", |world, client| world.raw(client, StreamKey::CONTROL, vec![0x17, 0x40, 0x05, 1, 2, 3, 4, 5])),
        ("control length", |world, client| {
            world.raw(client, StreamKey::CONTROL, vec![0x10, 0xff, 255, 255, 255, 255, 255, 255, 255])
        }),
        ("datagram", |world, client| world.raw_datagram(client, Bytes::from_static(&[1, 2, 3]))),
        ("empty datagram", |world, client| world.raw_datagram(client, Bytes::new())),
        ("group stream", |world, client| {
            let stream = world.open_uni(client);
            world.raw(client, stream, vec![1, 0, 0, 0, 0, 0, 0, 0, 0]);
        }),
        ("object length", |world, client| {
            let stream = world.open_uni(client);
            world.raw(client, stream, reliable_start());
            world.raw(client, stream, vec![0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0xbf, 255, 255, 255]);
        }),
    ];
    for (at, (what, send)) in malformed.into_iter().enumerate() {
        let client = scene.world.client(0);
        send(&mut scene.world, client);
        assert_eq!(closed(&scene.world, client), Some(Code::MALFORMED), "{what}");
        assert_eq!(scene.world.stats(0).malformed, at as u64 + 1);
        scene.world.datagram(scene.camera, voice, at as u64, b"goes on");
    }
    assert_eq!(scene.world.clients[scene.good].datagrams.len(), 6);
    assert_eq!(scene.world.stats(0).sessions_closed["malformed"], 6);
    // What is only new is skipped.
    let client = scene.world.client(0);
    scene.world.raw(client, StreamKey::CONTROL, Message::Unknown(grease(3)).encode());
    let strange = scene.world.open_uni(client);
    scene.world.raw(client, strange, vec![0x3f, 1, 2, 3, 4]);
    assert_eq!(closed(&scene.world, client), None);
}

#[test]
fn any_bytes_at_all_end_at_worst_their_own_session() {
    let mut scene = scene(World::new(1));
    let voice = scene.world.publish(scene.camera, &scene.room, VOICE, Class::Datagram);
    scene.world.subscribe(scene.good, &scene.room, VOICE, Start::Next);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut byte = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for round in 0..400 {
        let client = scene.world.client(0);
        let bytes: Vec<u8> = (0..40).map(|_| byte()).collect();
        match round % 4 {
            0 => scene.world.raw(client, StreamKey::CONTROL, bytes),
            1 => scene.world.raw_datagram(client, bytes.into()),
            2 => {
                let stream = scene.world.open_uni(client);
                scene.world.raw(client, stream, [vec![1 + byte() % 2, 0x80 | (byte() % 64)], bytes].concat());
            }
            _ => {
                let header = GroupHeader { alias: scene.alias, group: 1, layer: 0, flags: 0, priority: 0 };
                let stream = scene.world.open_uni(client);
                scene.world.raw(client, stream, [header.encode().to_vec(), bytes].concat());
            }
        }
        let session = scene.world.clients[client].key.unwrap();
        scene.world.wires.cut(session);
        scene.world.run();
    }
    scene.world.datagram(scene.camera, voice, 1, b"goes on");
    assert_eq!(scene.world.clients[scene.good].datagrams.len(), 1);
    assert_eq!(scene.world.stats(0).sessions.client, 3);
    assert_eq!(scene.world.stats(0).sessions_opening, 0);
}

#[test]
fn an_opening_that_does_not_come_is_not_waited_for() {
    let mut world = World::new(1);
    let silent = world.silent(0);
    world.pass(Duration::from_secs(4));
    assert_eq!(world.stats(0).sessions_opening, 1);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.stats(0).sessions_opening, 0);
    assert_eq!(closed(&world, silent), Some(Code::TIMEOUT));
}

#[test]
fn a_relay_that_stops_says_so_to_everybody_and_then_is_done() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    world.input(0, Input::Shutdown);
    world.run();
    assert_eq!(world.relays[0].stopped, 1);
    assert_eq!(closed(&world, founder), Some(Code::SHUTTING_DOWN));
    assert_eq!(closed(&world, far), None, "the other relay's clients stay");
    assert_eq!(world.stats(1).sessions.link, 0);
    let late = world.client(0);
    assert_eq!(closed(&world, late), Some(Code::SHUTTING_DOWN));
    world.input(0, Input::Shutdown);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.relays[0].stopped, 1, "once");
}

#[test]
fn nobody_is_always_last() {
    let mut world = World::new(1);
    let (room, speaker) = world.call(0);
    let alias = world.publish(speaker, &room, VOICE, Class::Datagram);
    let listeners: Vec<_> = (0..30).map(|_| world.member(0, &room)).collect();
    for listener in &listeners {
        world.subscribe(*listener, &room, VOICE, Start::Next);
    }
    world.wires.datagrams.clear();
    for group in 0..30 {
        world.datagram(speaker, alias, group, b"x");
    }
    let copies: Vec<_> =
        world.wires.datagrams.iter().filter(|session| **session != world.clients[speaker].key.unwrap()).collect();
    assert_eq!(copies.len(), 900);
    let mut first: Vec<_> = copies.chunks(30).map(|order| order[0]).collect();
    first.sort_unstable();
    first.dedup();
    assert_eq!(first.len(), 30, "each was first once");
    assert_eq!(world.stats(0).fanout.buckets[5], 30, "thirty are between 25 and 50");
}

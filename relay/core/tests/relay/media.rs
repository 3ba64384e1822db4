//! Tracks: published, subscribed, forwarded to those here and over links, as they are and once.

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    io::StreamKey,
    limits::WHOLE_OBJECT,
    track::Class,
    wire::{
        List,
        code::Code,
        message::{Answer, Detach, Notice, Request, Start, Subscribe, Unpublish},
        object::ObjectHeader,
        stream::GroupHeader,
    },
};

use crate::{
    room::Room,
    rooms::listed,
    world::{Client, World, relay_id},
};

const VOICE: u64 = 100;
const CAMERA: u64 = 200;
const CHAT: u64 = 300;

fn bytes_of(client: &Client, alias: Alias, group: u64, layer: u8, object: u64) -> Option<&[u8]> {
    client.objects.get(&(alias, group, layer, object)).map(Vec::as_slice)
}

fn unpublish(room: &Room, track: u64) -> Notice {
    Notice::Unpublish(Unpublish { room: room.id, instance: room.instance, track: TrackId(track) })
}

#[test]
fn audio_reaches_everybody_here_and_there_as_it_was_sent() {
    let mut world = World::new(3);
    let (room, speaker) = world.call(0);
    let here = world.member(0, &room);
    let (near, far) = (world.member(1, &room), world.member(2, &room));
    let published = world.publish(speaker, &room, VOICE, Class::Datagram);
    let listeners: Vec<_> =
        [here, near, far].map(|listener| (listener, world.subscribe(listener, &room, VOICE, Start::Next))).into();
    for group in 0..20 {
        world.datagram(speaker, published, group, &[u8::try_from(group).unwrap(); 120]);
    }
    for (listener, alias) in listeners {
        let got = &world.clients[listener].datagrams;
        assert_eq!(got.len(), 20);
        for (group, (header, payload)) in got.iter().enumerate() {
            let expected = ObjectHeader { alias, group: group as u64, object: 0, layer: 0, flags: 0, priority: 1 };
            assert_eq!((header, payload.as_ref()), (&expected, [u8::try_from(group).unwrap(); 120].as_ref()));
        }
    }
    assert!(world.clients[speaker].datagrams.is_empty(), "nobody hears themselves");
}

#[test]
fn any_number_of_listeners_at_another_relay_are_one_stream_on_the_link() {
    let mut world = World::new(2);
    let (room, speaker) = world.call(0);
    let listeners: Vec<_> = (0..8).map(|_| world.member(1, &room)).collect();
    let alias = world.publish(speaker, &room, VOICE, Class::Datagram);
    let before = world.on_link(0, 1);
    world.datagram(speaker, alias, 1, &[1; 1_000]);
    assert_eq!(world.on_link(0, 1), before, "nobody there listens: nothing crosses");
    for listener in &listeners {
        world.subscribe(*listener, &room, VOICE, Start::Next);
    }
    let before = world.on_link(0, 1);
    for group in 0..50 {
        world.datagram(speaker, alias, group, &[1; 1_000]);
    }
    let crossed = world.on_link(0, 1) - before;
    assert!((50_000..=51_000).contains(&crossed), "{crossed} bytes for 50 kB");
    assert!(listeners.iter().all(|listener| world.clients[*listener].datagrams.len() == 50));
    let link = world.stats(0).link(relay_id(1)).expect("counted");
    assert_eq!(link.media_out, crossed as u64);
    assert_eq!(world.stats(1).link(relay_id(0)).expect("counted").media_in, crossed as u64);
    assert_eq!(world.stats(1).media_objects_out.client, 400);
    // One after the other has heard enough.
    let heard = world.subscribe(listeners[0], &room, VOICE, Start::Next);
    for listener in &listeners[1..] {
        world.notify(*listener, Notice::Unsubscribe(heard));
    }
    let before = world.on_link(0, 1);
    world.datagram(speaker, alias, 60, &[1; 1_000]);
    assert!(world.on_link(0, 1) > before, "one is left");
    world.notify(listeners[0], Notice::Unsubscribe(heard));
    let before = world.on_link(0, 1);
    world.datagram(speaker, alias, 61, &[1; 1_000]);
    assert_eq!(world.on_link(0, 1), before, "nobody is left");
    assert_eq!(world.stats(0).subscriptions.link, 1, "the directory alone");
    // And somebody comes back.
    world.subscribe(listeners[3], &room, VOICE, Start::Next);
    world.datagram(speaker, alias, 62, &[1; 1_000]);
    assert_eq!(world.clients[listeners[3]].datagrams.last().unwrap().0.group, 62);
}

#[test]
fn a_change_of_mind_while_the_answer_is_on_its_way_leaves_one_subscription() {
    let mut world = World::new(2);
    let (room, speaker) = world.call(0);
    let listener = world.member(1, &room);
    let alias = world.publish(speaker, &room, VOICE, Class::Datagram);
    let again = world.member(1, &room);
    let heard = world.subscribe(again, &room, VOICE, Start::Next);
    world.notify(again, Notice::Unsubscribe(heard));
    // However far the first wish has come when it is withdrawn and made again, the last word counts.
    for steps in 0..12 {
        let tag = world.send(listener, room.subscribe(TrackId(VOICE), Start::Next));
        world.steps(1);
        let mut at = 0;
        let heard = loop {
            if let Some(Answer::Subscribed(subscribed)) = world.answer(listener, tag) {
                break subscribed.alias;
            }
            world.steps(1);
            at += 1;
            assert!(at < 50);
        };
        world.say(listener, Notice::Unsubscribe(heard));
        let tag = world.send(listener, room.subscribe(TrackId(VOICE), Start::Next));
        world.steps(steps);
        world.run();
        let Some(Answer::Subscribed(subscribed)) = world.answer(listener, tag) else { panic!("subscribed") };
        let before = world.clients[listener].datagrams.len();
        world.datagram(speaker, alias, steps as u64, b"x");
        assert_eq!(world.clients[listener].datagrams.len(), before + 1, "after {steps} steps");
        world.notify(listener, Notice::Unsubscribe(subscribed.alias));
        let crossed = world.on_link(0, 1);
        world.datagram(speaker, alias, steps as u64, b"x");
        assert_eq!(world.on_link(0, 1), crossed, "nothing is left behind after {steps} steps");
    }
}

#[test]
fn video_travels_in_groups_piece_by_piece_and_arrives_whole() {
    let mut world = World::new(3);
    let (room, founder) = world.call(0);
    let camera = world.member(1, &room);
    let far = world.member(2, &room);
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    let viewers = [founder, far].map(|viewer| (viewer, world.subscribe(viewer, &room, CAMERA, Start::Next)));
    let large: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    for group in 0..3 {
        world.object(camera, alias, (group, 0), 0, &large);
        world.object(camera, alias, (group, 0), 1, b"delta");
        world.object(camera, alias, (group, 0), 2, b"");
        world.object(camera, alias, (group, 1), 0, b"upper layer");
        world.finish(camera, alias, (group, 0));
        world.finish(camera, alias, (group, 1));
    }
    for (viewer, alias) in viewers {
        let client = &world.clients[viewer];
        for group in 0..3 {
            assert_eq!(bytes_of(client, alias, group, 0, 0), Some(large.as_slice()));
            assert_eq!(bytes_of(client, alias, group, 0, 1), Some(b"delta".as_slice()));
            assert_eq!(bytes_of(client, alias, group, 0, 2), Some(b"".as_slice()));
            assert_eq!(bytes_of(client, alias, group, 1, 0), Some(b"upper layer".as_slice()));
        }
        assert_eq!(client.ended.len(), 6);
        assert!(client.ended.iter().all(|(_, complete)| *complete));
    }
    assert!(world.link(1, 2).is_some());
    assert!(world.stats(0).link(relay_id(2)).unwrap().media_out == 0, "straight from relay to relay, not through the hub");
}

#[test]
fn the_bytes_of_a_large_object_pass_before_it_is_complete_and_those_of_a_small_one_together() {
    let mut world = World::new(1);
    let (room, camera) = world.call(0);
    let viewer = world.member(0, &room);
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    world.subscribe(viewer, &room, CAMERA, Start::Next);
    let header = GroupHeader { alias, group: 1, layer: 0, flags: 0, priority: 2 };
    let small = world.open_uni(camera);
    world.raw(camera, small, header.encode());
    world.raw(camera, small, GroupHeader::object_head(0, 1_000));
    world.raw(camera, small, vec![1; 999]);
    assert!(world.clients[viewer].objects.is_empty());
    world.raw(camera, small, vec![1; 1]);
    assert_eq!(bytes_of(&world.clients[viewer], alias, 1, 0, 0).map(<[u8]>::len), Some(1_000));
    world.raw(camera, small, GroupHeader::object_head(1, WHOLE_OBJECT + 1));
    world.raw(camera, small, vec![2; 10]);
    assert_eq!(bytes_of(&world.clients[viewer], alias, 1, 0, 1).map(<[u8]>::len), Some(10));
}

#[test]
fn who_subscribes_in_the_middle_begins_with_the_next_group() {
    let mut world = World::new(1);
    let (room, camera) = world.call(0);
    let viewer = world.member(0, &room);
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    world.object(camera, alias, (7, 0), 0, b"key");
    world.subscribe(viewer, &room, CAMERA, Start::Next);
    world.object(camera, alias, (7, 0), 1, b"delta");
    world.object(camera, alias, (7, 1), 0, b"late layer of the old group");
    assert!(world.clients[viewer].objects.is_empty());
    world.object(camera, alias, (8, 0), 0, b"key");
    assert_eq!(world.clients[viewer].objects.keys().collect::<Vec<_>>(), [&(alias, 8, 0, 0)]);
}

#[test]
fn who_comes_back_is_shown_the_current_group_from_its_beginning() {
    let mut world = World::new(2);
    let (room, camera) = world.call(0);
    let first = world.member(1, &room);
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    let heard = world.subscribe(first, &room, CAMERA, Start::Next);
    world.object(camera, alias, (1, 0), 0, &[1; 20_000]);
    world.object(camera, alias, (1, 0), 1, b"delta");
    let before = world.on_link(0, 1);
    let second = world.member(1, &room);
    let again = world.subscribe(second, &room, CAMERA, Start::Current);
    assert_eq!(again, heard, "one alias for all sessions");
    assert_eq!(bytes_of(&world.clients[second], again, 1, 0, 0).map(<[u8]>::len), Some(20_000));
    assert_eq!(bytes_of(&world.clients[second], again, 1, 0, 1), Some(b"delta".as_slice()));
    assert!(world.on_link(0, 1) - before < 1_000, "from the cache, not over the link");
    world.object(camera, alias, (1, 0), 2, b"more");
    world.finish(camera, alias, (1, 0));
    assert_eq!(bytes_of(&world.clients[second], again, 1, 0, 2), Some(b"more".as_slice()));
    assert!(world.clients[second].ended.iter().all(|(_, complete)| *complete));
    // A finished group is shown to the end.
    let third = world.member(1, &room);
    world.subscribe(third, &room, CAMERA, Start::Current);
    assert_eq!(bytes_of(&world.clients[third], again, 1, 0, 2), Some(b"more".as_slice()));
    assert_eq!(world.clients[third].ended.len(), 1);
    // The next group replaces it.
    world.object(camera, alias, (2, 0), 0, b"key");
    let fourth = world.member(1, &room);
    world.subscribe(fourth, &room, CAMERA, Start::Current);
    assert_eq!(world.clients[fourth].objects.keys().collect::<Vec<_>>(), [&(again, 2, 0, 0)]);
    assert!(world.stats(1).cached < 100);
}

#[test]
fn a_group_that_its_publisher_gives_up_is_given_up_everywhere() {
    let mut world = World::new(2);
    let (room, camera) = world.call(0);
    let (near, far) = (world.member(0, &room), world.member(1, &room));
    let alias = world.publish(camera, &room, CAMERA, Class::Groups);
    for viewer in [near, far] {
        world.subscribe(viewer, &room, CAMERA, Start::Next);
    }
    world.object(camera, alias, (1, 0), 0, b"key");
    world.reset(camera, alias, (1, 0));
    world.object(camera, alias, (2, 0), 0, b"key");
    for viewer in [near, far] {
        let client = &world.clients[viewer];
        assert_eq!(client.ended.len(), 1);
        assert!(!client.ended[0].1, "not complete");
        assert_eq!(client.objects.len(), 2);
    }
}

#[test]
fn reliable_tracks_are_complete_and_in_order_for_early_and_late_ones() {
    let mut world = World::new(3);
    let (room, founder) = world.call(0);
    let writer = world.member(1, &room);
    let reader = world.member(2, &room);
    let alias = world.publish(writer, &room, CHAT, Class::Reliable);
    let early = world.subscribe(reader, &room, CHAT, Start::From(0));
    for object in 0..100_u8 {
        world.reliable(writer, alias, (0, object.into()), &[object; 50]);
    }
    let late = world.subscribe(founder, &room, CHAT, Start::From(0));
    let middle = world.member(2, &room);
    let part = world.subscribe(middle, &room, CHAT, Start::From(90));
    let all: Vec<Bytes> = (0..100_u8).map(|object| Bytes::from(vec![object; 50])).collect();
    assert_eq!(world.clients[reader].reliable_of(early), all);
    assert_eq!(world.clients[founder].reliable_of(late), all);
    assert_eq!(world.clients[middle].reliable_of(part), all[90..]);
}

#[test]
fn a_late_start_skips_what_comes_before_even_when_the_relay_has_nothing_yet() {
    let mut world = World::new(2);
    let (room, writer) = world.call(0);
    let reader = world.member(1, &room);
    let alias = world.publish(writer, &room, CHAT, Class::Reliable);
    for object in 0..10_u8 {
        world.reliable(writer, alias, (0, object.into()), &[object]);
    }
    let heard = world.subscribe(reader, &room, CHAT, Start::From(8));
    assert_eq!(world.clients[reader].reliable_of(heard), [Bytes::from_static(&[8]), Bytes::from_static(&[9])]);
    let other = world.member(1, &room);
    let heard = world.subscribe(other, &room, CHAT, Start::From(0));
    assert_eq!(world.clients[other].reliable_of(heard).len(), 10, "and the next one may want all of it");
}

#[test]
fn a_subscription_that_has_been_here_before_is_refused() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    world.publish(founder, &room, VOICE, Class::Datagram);
    let client = world.client(0);
    let subscribe = |path: Vec<_>| {
        Request::Subscribe(Subscribe {
            room: room.id,
            instance: room.instance,
            track: TrackId(VOICE),
            start: Start::Next,
            path: List::new(path).unwrap(),
        })
    };
    world.attach(client, &room);
    assert_eq!(world.refused(client, subscribe(vec![relay_id(0)])), Code::VIOLATION, "a client has no path");
    let mut rogue = crate::links::Rogue::link(&mut world, 0, 5);
    rogue.present(&mut world, &room);
    assert_eq!(rogue.refused(&mut world, subscribe(vec![relay_id(0), relay_id(5)])), Code::LOOP);
    assert_eq!(rogue.refused(&mut world, subscribe(vec![relay_id(1); 4])), Code::VIOLATION, "it does not end with the asker");
    let long = vec![relay_id(1), relay_id(2), relay_id(3), relay_id(5)];
    assert_eq!(rogue.refused(&mut world, subscribe(long)), Code::LOOP);
    assert!(matches!(rogue.ask(&mut world, subscribe(vec![relay_id(5)])), Answer::Subscribed(_)));
}

#[test]
fn a_track_ends_when_its_publisher_says_so_leaves_or_is_lost() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let publisher = world.member(1, &room);
    let other = world.member(1, &room);
    let directory = world.subscribe(founder, &room, TrackId::DIRECTORY.0, Start::Current);
    for (track, by) in [(100, publisher), (101, publisher), (102, other)] {
        world.publish(by, &room, track, Class::Datagram);
    }
    let aliases = [100, 101, 102].map(|track| world.subscribe(founder, &room, track, Start::Next));
    world.notify(publisher, unpublish(&room, 100));
    assert_eq!(world.clients[founder].ended_tracks(), aliases[..1]);
    world.notify(other, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    assert_eq!(world.clients[founder].ended_tracks().len(), 2);
    let session = world.clients[publisher].key.unwrap();
    world.wires.cut(session);
    world.run();
    assert_eq!(world.clients[founder].ended_tracks().len(), 3);
    assert!(listed(&world.clients[founder].reliable_of(directory)).is_empty());
    assert_eq!(world.refused(founder, room.subscribe(TrackId(100), Start::Next)), Code::UNKNOWN_TRACK);
    assert_eq!(world.stats(0).tracks.datagram + world.stats(1).tracks.datagram, 0);
}

#[test]
fn key_frame_requests_go_to_the_publisher_at_most_twice_a_second() {
    let mut world = World::new(2);
    let (room, camera) = world.call(0);
    let viewers: Vec<_> = (0..10).map(|at| world.member(at % 2, &room)).collect();
    world.publish(camera, &room, CAMERA, Class::Groups);
    let aliases: Vec<_> = viewers.iter().map(|viewer| world.subscribe(*viewer, &room, CAMERA, Start::Next)).collect();
    for (viewer, alias) in viewers.iter().zip(&aliases) {
        world.notify(*viewer, Notice::KeyFrame(*alias));
    }
    assert_eq!(world.clients[camera].key_frames(), 1);
    world.pass(Duration::from_millis(510));
    world.notify(viewers[1], Notice::KeyFrame(aliases[1]));
    assert_eq!(world.clients[camera].key_frames(), 2);
    assert_eq!(world.stats(1).key_frames_asked, 6);
    assert_eq!(world.stats(1).key_frames_passed, 2);
    let stranger = world.member(0, &room);
    world.pass(Duration::from_secs(1));
    world.notify(stranger, Notice::KeyFrame(aliases[0]));
    assert_eq!(world.clients[camera].key_frames(), 2, "who does not watch does not ask");
}

#[test]
fn what_is_published_has_to_be_new_and_ours() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let other = world.member(1, &room);
    world.publish(founder, &room, VOICE, Class::Datagram);
    assert_eq!(world.refused(founder, room.publish(VOICE, Class::Groups)), Code::EXISTS);
    assert_eq!(world.refused(other, room.publish(VOICE, Class::Groups)), Code::EXISTS, "the directory knows it");
    assert_eq!(world.refused(founder, room.publish(2, Class::Reliable)), Code::VIOLATION);
    let stranger = world.client(0);
    assert_eq!(world.refused(stranger, room.publish(VOICE + 1, Class::Groups)), Code::NOT_ATTACHED);
    assert_eq!(world.refused(stranger, room.subscribe(TrackId(VOICE), Start::Next)), Code::NOT_ATTACHED);
    assert_eq!(world.refused(founder, room.subscribe(TrackId(9), Start::Next)), Code::UNKNOWN_TRACK);
    world.notify(other, unpublish(&room, VOICE));
    world.subscribe(other, &room, VOICE, Start::Next);
}

#[test]
fn objects_that_mean_nothing_here_are_dropped_and_counted() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    let other = world.member(0, &room);
    let voice = world.publish(founder, &room, VOICE, Class::Datagram);
    let camera = world.publish(founder, &room, CAMERA, Class::Groups);
    world.subscribe(other, &room, VOICE, Start::Next);
    world.subscribe(other, &room, CAMERA, Start::Next);
    world.datagram(other, voice, 1, b"somebody else's track");
    world.datagram(founder, Alias::new(1), 1, b"no track");
    world.object(other, camera, (1, 0), 0, b"somebody else's track");
    assert_eq!(world.stats(0).dropped.unknown_alias, 3);
    world.datagram(founder, camera, 1, b"video does not travel so");
    assert_eq!(world.stats(0).dropped.misplaced, 1);
    world.object(founder, camera, (1, 0), 0, b"once");
    let twice = world.open_uni(founder);
    world.raw(founder, twice, GroupHeader { alias: camera, group: 1, layer: 0, flags: 0, priority: 2 }.encode());
    assert_eq!(world.stats(0).dropped.misplaced, 2);
    assert!(world.clients[other].datagrams.is_empty());
    assert_eq!(world.clients[other].objects.len(), 1);
    // Long audio goes by stream.
    world.object(founder, voice, (9, 0), 0, &[5; 2_000]);
    assert_eq!(world.clients[other].objects.len(), 2);
    assert!(world.clients.iter().all(|client| client.closed.is_none()));
    assert_ne!(twice, StreamKey::CONTROL);
}

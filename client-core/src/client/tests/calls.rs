//! Calls in which everybody behaves.

use std::time::Duration;

use bytes::Bytes;

use super::{
    hub::NAME,
    world::{World, chats, code, frames, link, lost, names, room_of},
};
use crate::{
    api::{Carrier, Codec, Command, Departure, Ended, Event, LocalTrack, Media, OutFrame, Presence},
    chat::epoch_of_message,
};

const VOICE: LocalTrack = LocalTrack(1);
const FACE: LocalTrack = LocalTrack(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_room_is_created_and_its_founder_is_alone_in_it() {
    let mut world = World::new();
    let founder = world.create("Ada");
    world.until("joined", |world| room_of(world, founder).is_some());
    let (_, title, roster, tracks) = room_of(&world, founder).unwrap();
    assert_eq!((title.as_str(), roster.len(), tracks.len()), ("A title", 1, 0));
    assert!(roster[0].is_me && roster[0].host && roster[0].name == "Ada");
    assert_eq!(world.client(founder).link(), Some(&link(&world, founder)));
    assert_eq!(world.client(founder).stats().sessions, 1);
}

#[test]
fn a_second_one_joins_with_the_link_and_both_have_the_same_code() {
    let mut world = World::new();
    let ada = world.create("Ada");
    world.until("a link", |world| world.client(ada).link().is_some());
    let link = link(&world, ada);
    world.until("joined", |world| room_of(world, ada).is_some());
    let bob = world.join("Bob", &link);
    world.until("joined", |world| room_of(world, bob).is_some());
    world.run(ms(100));
    assert_eq!(names(&world, ada), ["Ada", "Bob"]);
    assert_eq!(names(&world, bob), ["Ada", "Bob"]);
    assert_eq!(code(&world, ada), code(&world, bob));
    let (me, title, roster, _) = room_of(&world, bob).unwrap();
    assert_eq!(title, "A title");
    let mine = roster.iter().find(|one| one.is_me).unwrap();
    assert_eq!((mine.id, mine.host), (me, false));
    assert!(roster.iter().find(|one| !one.is_me).unwrap().host);
    let joined_in = world.timed_events(bob).iter().find(|(_, event)| matches!(event, Event::Joined { .. })).unwrap().0;
    assert!(joined_in < Duration::from_secs(1), "it took {joined_in:?}");
}

#[test]
fn a_link_that_is_followed_before_the_founder_is_in_waits_for_them() {
    let mut world = World::new();
    let ada = world.create("Ada");
    world.until("a link", |world| world.events(ada).any(|event| matches!(event, Event::RoomCreated { .. })));
    assert!(room_of(&world, ada).is_none());
    let link = link(&world, ada);
    let bob = world.join("Bob", &link);
    world.until("both in", |world| names(world, bob).len() == 2 && names(world, ada).len() == 2);
}

#[test]
fn five_join_at_once_and_everybody_sees_everybody() {
    let mut world = World::with_room(1);
    let link = link(&world, 0);
    for name in ["Bob", "Cy", "Dee", "Eve"] {
        world.join(name, &link);
    }
    world.until("all in", |world| (0..5).all(|who| names(world, who).len() == 5));
    world.run(Duration::from_secs(1));
    let codes: Vec<_> = (0..5).map(|who| code(&world, who)).collect();
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    assert!(world.hub.entries().len() <= 5, "those who knock together come in together");
}

#[test]
fn sound_and_pictures_arrive_in_order_and_whole() {
    let mut world = World::with_room(3);
    for who in 0..3 {
        world.publish(who, VOICE, Media::microphone());
        world.publish(who, FACE, Media::camera(Codec::Vp8, 320, 180));
    }
    world.until("published", |world| {
        (0..3).all(|who| world.events(who).filter(|event| matches!(event, Event::Published { .. })).count() == 2)
    });
    world.run(Duration::from_secs(1));
    for number in 0..100 {
        for who in 0..3 {
            world.write(who, VOICE, 160, true);
            if number % 2 == 0 {
                world.write(who, FACE, if number % 50 == 0 { 20_000 } else { 900 }, number % 50 == 0);
            }
        }
        world.run(ms(20));
    }
    world.run(Duration::from_secs(1));
    for who in 0..3 {
        for from in (0..3).filter(|from| *from != who) {
            let sender = room_of(&world, from).unwrap().0;
            let got = frames(&world, who, sender);
            assert_eq!(got.iter().filter(|frame| frame.data.len() == 160).count(), 100, "{who} from {from}");
            let pictures: Vec<_> = got.iter().filter(|frame| frame.data.len() != 160).collect();
            assert_eq!(pictures.len(), 50);
            assert!(pictures[0].key && pictures.iter().filter(|frame| frame.key).count() == 2);
            assert!(pictures.windows(2).all(|pair| (pair[0].group, pair[0].object) < (pair[1].group, pair[1].object)));
            assert!(got.windows(2).all(|pair| pair[0].captured_us <= pair[1].captured_us));
        }
        assert_eq!(lost(&world, who), 0);
        assert_eq!(world.client(who).stats().frames_dropped, 0);
    }
}

#[test]
fn chat_arrives_once_at_everybody_else() {
    let mut world = World::with_room(3);
    for number in 0..20 {
        world.command(number % 3, Command::Chat { text: format!("message {number}") });
    }
    world.run(Duration::from_secs(2));
    for who in 0..3 {
        let got = chats(&world, who);
        assert_eq!(got.len(), 20 - (0..20).filter(|number| number % 3 == who).count());
        let mut ids: Vec<_> = got.iter().map(|(_, id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), got.len());
        for (from, _, text) in got {
            let number: usize = text.strip_prefix("message ").unwrap().parse().unwrap();
            assert_eq!(from, room_of(&world, number % 3).unwrap().0);
        }
    }
}

#[test]
fn a_late_one_gets_the_whole_state_first_and_a_picture_with_the_next_key_frame() {
    let mut world = World::with_room(2);
    world.publish(0, FACE, Media::camera(Codec::Vp8, 320, 180));
    world.publish(1, VOICE, Media::microphone());
    world.command(0, Command::Chat { text: "before".to_owned() });
    for number in 0..50 {
        world.write(0, FACE, 500, number % 25 == 0);
        world.write(1, VOICE, 160, true);
        world.run(ms(40));
    }
    let link = link(&world, 0);
    let late = world.join("Late", &link);
    let asked = |world: &World| world.events(0).filter(|event| matches!(event, Event::KeyFrameWanted { .. })).count();
    let before = asked(&world);
    for number in 0..75 {
        world.write(0, FACE, 500, number % 25 == 0);
        world.write(1, VOICE, 160, true);
        world.run(ms(40));
    }
    assert!(asked(&world) > before, "the encoder is asked for a key frame when somebody comes");
    let told: Vec<_> =
        world.events(late).filter(|event| !matches!(event, Event::Connection(_) | Event::Warning(_))).take(1).collect();
    let [Event::Joined { roster, tracks, .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((roster.len(), tracks.len()), (3, 2));
    assert!(!world.events(late).any(|event| matches!(event, Event::TrackPublished(_) | Event::ParticipantJoined(_))));
    for from in 0..2 {
        let sender = room_of(&world, from).unwrap().0;
        assert!(frames(&world, late, sender).len() >= 40, "from {from}: {}", frames(&world, late, sender).len());
    }
    let first = frames(&world, late, room_of(&world, 0).unwrap().0)[0].clone();
    assert!(first.key);
    assert_eq!(lost(&world, late), 0, "what was before is not lost");
    assert_eq!(chats(&world, late).len(), 0);
    assert_eq!(world.client(late).stats().refused_damaged, 0);
    for who in 0..2 {
        assert_eq!(lost(&world, who), 0);
    }
}

#[test]
fn somebody_leaves_and_is_gone_from_every_roster() {
    let mut world = World::with_room(3);
    world.publish(2, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    let gone = room_of(&world, 2).unwrap().0;
    let track_count =
        |world: &World, who| world.events(who).filter(|event| matches!(event, Event::TrackUnpublished { .. })).count();
    world.command(2, Command::Leave);
    world.until("the end", |world| world.events(2).any(|event| matches!(event, Event::Ended(Ended::Left))));
    assert!(matches!(world.events(2).last(), Some(Event::Ended(Ended::Left))));
    world.until("the others see it", |world| {
        (0..2).all(|who| {
            world.events(who).any(|event| matches!(event, Event::ParticipantLeft { id, how: Departure::Left } if *id == gone))
        })
    });
    assert_eq!(names(&world, 0), names(&world, 1));
    assert_eq!(names(&world, 0).len(), 2);
    assert!(track_count(&world, 0) == 1 && track_count(&world, 1) == 1);
    let grey = world
        .events(0)
        .any(|event| matches!(event, Event::ParticipantChanged(one) if one.id == gone && one.present == Presence::Grey));
    assert!(grey, "a leaver is shown grey at once");
    assert_eq!(code(&world, 0), code(&world, 1));
}

#[test]
fn the_last_one_leaves_and_the_link_alone_opens_the_room_again() {
    let mut world = World::with_room(1);
    let link = link(&world, 0);
    world.command(0, Command::Leave);
    world.until("the end", |world| world.events(0).any(|event| matches!(event, Event::Ended(Ended::Left))));
    let late = world.join("Late", &link);
    world.until("in", |world| room_of(world, late).is_some());
    let (_, _, roster, _) = room_of(&world, late).unwrap();
    assert!(roster.len() == 1 && !roster[0].host, "whoever opens it again is no host");
    let later = world.join("Later", &link);
    world.until("both in", |world| names(world, late).len() == 2 && names(world, later).len() == 2);
    assert_eq!(code(&world, late), code(&world, later));
}

#[test]
fn a_track_ends_and_its_number_may_be_used_again() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media::microphone());
    world.run(ms(300));
    for _ in 0..10 {
        world.write(0, VOICE, 100, true);
        world.run(ms(20));
    }
    world.command(0, Command::Unpublish { track: VOICE });
    world.run(ms(300));
    assert!(world.events(1).any(|event| matches!(event, Event::TrackUnpublished { .. })));
    world.publish(0, LocalTrack(9), Media::microphone());
    world.run(ms(300));
    for _ in 0..10 {
        world.write(0, LocalTrack(9), 100, true);
        world.run(ms(20));
    }
    let sender = room_of(&world, 0).unwrap().0;
    assert_eq!(frames(&world, 1, sender).len(), 20);
    assert_eq!(lost(&world, 1), 0);
    assert_eq!(world.client(1).stats().refused_replayed, 0);
}

#[test]
fn nothing_that_people_say_is_in_what_the_relay_sees() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media { label: "label-marker".to_owned(), ..Media::microphone() });
    world.command(0, Command::Chat { text: "chat-marker".to_owned() });
    world.run(ms(500));
    let data = Bytes::from_static(b"media-marker media-marker media-marker");
    let frame = OutFrame { data, captured_us: 1, key: true, layer: 0, level: 0 };
    world.command(0, Command::Write { track: VOICE, frame });
    world.run(Duration::from_secs(6));
    let markers: [&[u8]; 5] = [b"label-marker", b"chat-marker", b"media-marker", b"A title", b"Participant 1"];
    for marker in markers {
        let hit = world.hub.seen.iter().any(|bytes| bytes.windows(marker.len()).any(|window| window == marker));
        assert!(!hit, "{} was seen", String::from_utf8_lossy(marker));
    }
    // And what outsiders see of catalogs, heartbeats and chat is of the kinds that it should be.
    let kinds = world.hub.reliable_objects();
    assert!(kinds.iter().any(|(_, _, _, payload)| epoch_of_message(payload).is_some()));
    assert!(kinds.iter().any(|(_, _, _, payload)| epoch_of_message(payload).is_none()));
}

#[test]
fn a_proof_names_what_was_dialled_where_only_a_name_was_proved_and_nothing_else() {
    let mut world = World::with_room(1);
    assert_eq!(world.hub.authorities, [""]);
    world.by_name = true;
    let link = link(&world, 0);
    world.join("Bob", &link);
    world.until("both in", |world| names(world, 1).len() == 2);
    assert_eq!(world.hub.authorities, ["", NAME]);
    // The next way there may be another one.
    world.by_name = false;
    world.cut(1);
    world.until("attached again", |world| world.hub.authorities.len() == 3);
    assert_eq!(world.hub.authorities, ["", NAME, ""]);
}

#[test]
fn a_muted_track_is_said_to_be_and_goes_on_where_it_was() {
    let mut world = World::with_room(2);
    // Muted before it is there: it is announced so.
    world.publish(0, VOICE, Media::microphone());
    world.command(0, Command::Mute { track: VOICE, muted: true });
    world.command(0, Command::Mute { track: LocalTrack(77), muted: true });
    world.until("published", |world| world.events(1).any(|event| matches!(event, Event::TrackPublished(_))));
    let said = |world: &World| -> Vec<bool> {
        let muted = |event: &Event| match event {
            Event::TrackPublished(track) | Event::TrackChanged(track) => Some(track.muted),
            _ => None,
        };
        world.events(1).filter_map(muted).collect()
    };
    world.run(ms(300));
    assert_eq!(said(&world).last(), Some(&true));
    for muted in [false, false, true, false] {
        world.command(0, Command::Mute { track: VOICE, muted });
        world.write(0, VOICE, 160, true);
        world.run(ms(100));
    }
    let told = said(&world);
    assert_eq!(told.get(told.len() - 3..), Some([false, true, false].as_slice()), "what changes nothing is not said: {told:?}");
    let published = world.events(1).filter(|event| matches!(event, Event::TrackPublished(_))).count();
    let ended = world.events(1).filter(|event| matches!(event, Event::TrackUnpublished { .. })).count();
    assert_eq!((published, ended), (1, 0));
    let sender = room_of(&world, 0).unwrap().0;
    // What is said to be muted is not sent, and nobody misses it.
    assert_eq!((frames(&world, 1, sender).len(), lost(&world, 1)), (3, 0));
    assert_eq!(world.client(0).stats().frames_muted, 1);
    // Whoever comes later is told with the rest.
    world.command(0, Command::Mute { track: VOICE, muted: true });
    let link = link(&world, 0);
    let late = world.join("Late", &link);
    world.until("in", |world| room_of(world, late).is_some());
    assert!(room_of(&world, late).unwrap().3.iter().all(|track| track.muted));
}

#[test]
fn people_are_told_which_relays_carry_the_call_and_when_that_changes() {
    let mut world = World::with_room(2);
    let told = |world: &World, who| -> Vec<Vec<Carrier>> {
        let carriers = |event: &Event| match event {
            Event::Carriers(carriers) => Some(carriers.clone()),
            _ => None,
        };
        world.events(who).filter_map(carriers).collect()
    };
    let alder = |publishers| Carrier {
        relay: world.hub.id(),
        operator: Some((world.hub.operator(), "Alder".to_owned())),
        address: Some(NAME.to_owned()),
        hub: true,
        entry: true,
        publishers,
    };
    let (nobody, one) = (alder(0), alder(1));
    assert_eq!(told(&world, 1), [vec![nobody.clone()]]);
    world.publish(0, VOICE, Media::microphone());
    world.publish(0, FACE, Media::camera(Codec::Vp8, 320, 180));
    world.run(Duration::from_secs(2));
    assert_eq!(told(&world, 1), [vec![nobody.clone()], vec![one.clone()]], "one person, whatever they publish");
    assert_eq!(told(&world, 0), [vec![nobody.clone()]], "ours do not count");
    for _ in 0..50 {
        world.command(0, Command::Unpublish { track: VOICE });
        world.command(0, Command::Unpublish { track: FACE });
        world.run(ms(60));
        world.publish(0, VOICE, Media::microphone());
        world.run(ms(60));
    }
    world.run(Duration::from_secs(2));
    let times: Vec<_> =
        world.timed_events(1).iter().filter(|(_, event)| matches!(event, Event::Carriers(_))).map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Carrier::PAUSE), "{times:?}");
    assert_eq!(told(&world, 1).last(), Some(&vec![one]), "the last word is right");
}

#[test]
fn a_picture_of_two_layers_arrives_in_order_with_its_layers() {
    let mut world = World::with_room(2);
    world.publish(0, FACE, Media { layers: 2, ..Media::camera(Codec::Vp8, 640, 360) });
    world.run(Duration::from_secs(1));
    for number in 0..60 {
        let key = number % 30 == 0;
        let layer = u8::from(number % 2 == 1);
        let frame = OutFrame { data: Bytes::from(vec![layer; 3_000]), captured_us: 1_000 * number, key, layer, level: 0 };
        world.command(0, Command::Write { track: FACE, frame });
        world.run(ms(33));
    }
    world.run(Duration::from_secs(1));
    let got = frames(&world, 1, room_of(&world, 0).unwrap().0);
    assert_eq!((got.len(), lost(&world, 1)), (60, 0));
    assert!(got.windows(2).all(|pair| pair[0].captured_us < pair[1].captured_us));
    assert!(got.iter().all(|frame| frame.data[0] == frame.layer && (!frame.key || frame.layer == 0)));
    assert!(got.iter().all(|frame| frame.object == frame.captured_us / 1_000 % 30), "objects count over all layers");
    let remote = world.events(1).find_map(|event| match event {
        Event::TrackPublished(track) => Some(track.media.layers),
        _ => None,
    });
    assert_eq!(remote, Some(2));
}

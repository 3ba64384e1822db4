//! Who really sent what, what relays see of sound, and frames that cannot be opened.

use std::{collections::BTreeSet, time::Duration};

use conclave_federation::id::TrackId;

use super::world::{World, chats, frames, link, lost, names, room_of};
use crate::{
    api::{Codec, Command, Event, Kind, LocalTrack, Media, Muted, OpenError, ParticipantId, Trust},
    chat::epoch_of_message,
};

const VOICE: LocalTrack = LocalTrack(1);
const FACE: LocalTrack = LocalTrack(2);
const SCREEN: LocalTrack = LocalTrack(3);
const SCREEN_SOUND: LocalTrack = LocalTrack(4);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn id(world: &World, who: usize) -> ParticipantId {
    room_of(world, who).unwrap().0
}

/// What was told of the tracks of somebody, in order.
fn trusts(world: &World, who: usize, from: ParticipantId) -> Vec<(TrackId, Trust)> {
    let of = |event: &Event| match event {
        Event::TrackTrust { participant, track, trust } if *participant == from => Some((*track, *trust)),
        _ => None,
    };
    world.events(who).filter_map(of).collect()
}

fn last_trust(world: &World, who: usize, from: ParticipantId) -> Option<Trust> {
    trusts(world, who, from).last().map(|(_, trust)| *trust)
}

fn speak(world: &mut World, who: usize, track: LocalTrack, frames: u64) {
    for _ in 0..frames {
        world.write(who, track, 80, true);
        world.run(ms(20));
    }
}

fn room_with_voice(people: usize) -> World {
    let mut world = World::with_room(people);
    world.publish(0, VOICE, Media::microphone());
    world.run(ms(500));
    world
}

#[test]
fn voice_face_screen_and_its_sound_are_each_verified_and_stay_so() {
    let mut world = World::with_room(3);
    world.publish(0, VOICE, Media::microphone());
    world.publish(0, FACE, Media { layers: 3, ..Media::camera(Codec::Vp8, 320, 180) });
    world.publish(0, SCREEN, Media::screen(Codec::Vp8, 640, 360));
    world.publish(0, SCREEN_SOUND, Media { kind: Kind::ScreenAudio, ..Media::microphone() });
    world.run(ms(500));
    for at in 0..200_u32 {
        world.write(0, VOICE, 80, true);
        world.write(0, SCREEN_SOUND, 100, true);
        if at % 2 == 0 {
            world.write(0, FACE, 3_000, at % 50 == 0);
            world.write(0, SCREEN, 9_000, at % 50 == 0);
        }
        world.run(ms(20));
    }
    let sender = id(&world, 0);
    for who in 1..3 {
        let told = trusts(&world, who, sender);
        let tracks: BTreeSet<TrackId> = told.iter().map(|(track, _)| *track).collect();
        assert_eq!((told.len(), tracks.len()), (4, 4), "each once: {told:?}");
        assert!(told.iter().all(|(_, trust)| *trust == Trust::Verified), "{told:?}");
        assert_eq!(frames(&world, who, sender).len(), 600);
        let stats = world.client(who).stats();
        assert_eq!((stats.frames_withheld, stats.attest_refused), (0, 0), "{stats:?}");
    }
    // Four streams, one word a second each, and the key.
    let said = world.client(0).stats().attest_said;
    assert!((16..=28).contains(&said), "{said}");
}

#[test]
fn a_newcomer_and_one_who_comes_back_verify_from_their_first_second_on() {
    let mut world = room_with_voice(2);
    speak(&mut world, 0, VOICE, 100);
    let link = link(&world, 0);
    let late = world.join("Cy", &link);
    for _ in 0..100 {
        world.write(0, VOICE, 80, true);
        world.run(ms(20));
    }
    let sender = id(&world, 0);
    assert_eq!(trusts(&world, late, sender).len(), 1, "{:?}", trusts(&world, late, sender));
    assert_eq!(last_trust(&world, late, sender), Some(Trust::Verified));
    // The sender's session is lost and comes back: what was not covered is said again.
    world.cut(0);
    for _ in 0..150 {
        world.write(0, VOICE, 80, true);
        world.run(ms(20));
    }
    for who in [1, late] {
        assert_eq!(last_trust(&world, who, sender), Some(Trust::Verified));
        assert!(
            trusts(&world, who, sender).iter().all(|(_, trust)| *trust == Trust::Verified),
            "{:?}",
            trusts(&world, who, sender)
        );
    }
    // And so does a receiver's.
    world.cut(1);
    for _ in 0..400 {
        world.write(0, VOICE, 80, true);
        world.run(ms(20));
    }
    assert_eq!(last_trust(&world, 1, sender), Some(Trust::Verified));
    assert!(trusts(&world, 1, sender).iter().all(|(_, trust)| *trust == Trust::Verified), "{:?}", trusts(&world, 1, sender));
}

#[test]
fn without_the_words_a_stream_is_doubted_then_not_shown_and_comes_back_with_them() {
    let mut world = room_with_voice(2);
    speak(&mut world, 0, VOICE, 100);
    let sender = id(&world, 0);
    assert_eq!(last_trust(&world, 1, sender), Some(Trust::Verified));
    world.hub.mischief.no_control = true;
    speak(&mut world, 0, VOICE, 400);
    let told: Vec<Trust> = trusts(&world, 1, sender).into_iter().map(|(_, trust)| trust).collect();
    assert_eq!(told, [Trust::Verified, Trust::Doubtful, Trust::Muted(Muted::NoWords)]);
    let shown = frames(&world, 1, sender).len();
    let withheld = world.client(1).stats().frames_withheld;
    assert!(withheld > 50 && shown < 450, "{withheld} withheld, {shown} shown");
    assert_eq!(shown as u64 + withheld, 500, "nothing is lost, and nothing is shown late");
    world.hub.mischief.no_control = false;
    speak(&mut world, 0, VOICE, 400);
    assert_eq!(last_trust(&world, 1, sender), Some(Trust::Verified));
    assert!(frames(&world, 1, sender).len() > shown + 50);
}

#[test]
fn a_frame_forged_by_an_insider_is_found_out_by_the_next_word_and_mutes_until_the_track_is_published_anew() {
    let mut world = room_with_voice(3);
    speak(&mut world, 0, VOICE, 100);
    let victim = id(&world, 0);
    let before = frames(&world, 1, victim).len();
    // The insider 2 and the relay: the next counter of the victim, with other words in it.
    world.forge(2, victim, 100, b"what was never said");
    world.run(ms(15));
    assert!(frames(&world, 1, victim).len() >= before, "it opens: everybody in the room has the key");
    speak(&mut world, 0, VOICE, 100);
    assert_eq!(last_trust(&world, 1, victim), Some(Trust::Muted(Muted::Contradiction)));
    let shown = frames(&world, 1, victim).len();
    speak(&mut world, 0, VOICE, 200);
    assert_eq!(frames(&world, 1, victim).len(), shown, "nothing more is shown");
    assert_eq!(last_trust(&world, 1, victim), Some(Trust::Muted(Muted::Contradiction)), "true words do not heal it");
    assert_eq!(last_trust(&world, 2, victim), Some(Trust::Verified), "who got the true frame sees no contradiction");
    world.command(0, Command::Unpublish { track: VOICE });
    world.publish(0, VOICE, Media::microphone());
    world.run(ms(200));
    speak(&mut world, 0, VOICE, 100);
    assert_eq!(last_trust(&world, 1, victim), Some(Trust::Verified));
    assert!(frames(&world, 1, victim).len() > shown + 90);
}

#[test]
fn frames_forged_with_counters_that_are_never_used_end_in_silence() {
    let mut world = room_with_voice(3);
    speak(&mut world, 0, VOICE, 50);
    let victim = id(&world, 0);
    for second in 0..8 {
        for step in 0..5 {
            world.forge(2, victim, 700 + second * 5 + step, b"beside");
            speak(&mut world, 0, VOICE, 10);
        }
    }
    let told: Vec<Trust> = trusts(&world, 1, victim).into_iter().map(|(_, trust)| trust).collect();
    assert!(told.contains(&Trust::Doubtful), "{told:?}");
    assert_eq!(told.last(), Some(&Trust::Muted(Muted::NoWords)), "{told:?}");
}

#[test]
fn in_a_small_room_silence_is_sent_where_nothing_is_written_until_the_track_is_muted() {
    let mut world = room_with_voice(2);
    let sender = id(&world, 0);
    world.run(Duration::from_secs(2));
    assert_eq!(world.client(0).stats().cover_sent, 0, "before the first frame there is nothing to cover");
    speak(&mut world, 0, VOICE, 50);
    world.run(Duration::from_secs(4));
    let sent = world.client(0).stats().cover_sent;
    assert!((195..=200).contains(&sent), "fifty a second: {sent}");
    assert!(world.client(1).stats().cover_received >= sent - 1);
    assert_eq!(frames(&world, 1, sender).len(), 50, "nobody hears it");
    assert_eq!(lost(&world, 1), 0);
    assert!(trusts(&world, 1, sender).iter().all(|(_, trust)| *trust == Trust::Verified), "it is signed for like all");
    let sizes: BTreeSet<usize> = world.hub.sound.iter().map(|(_, len)| *len).collect();
    assert!(sizes.len() <= 3, "a counter of another length changes the header, nothing else the object: {sizes:?}");
    world.command(0, Command::Mute { track: VOICE, muted: true });
    world.run(Duration::from_secs(1));
    let muted = world.client(0).stats().cover_sent;
    world.run(Duration::from_secs(5));
    assert_eq!(world.client(0).stats().cover_sent, muted, "who mutes shows it");
    world.command(0, Command::Mute { track: VOICE, muted: false });
    speak(&mut world, 0, VOICE, 10);
    world.run(Duration::from_secs(1));
    assert!(world.client(0).stats().cover_sent > muted);
}

#[test]
fn in_a_room_of_nine_no_silence_is_sent() {
    let mut world = World::with_room(9);
    world.publish(0, VOICE, Media::microphone());
    world.run(ms(500));
    speak(&mut world, 0, VOICE, 50);
    world.run(Duration::from_secs(2));
    assert_eq!(world.client(0).stats().cover_sent, 0);
    assert_eq!(frames(&world, 8, id(&world, 0)).len(), 50);
}

#[test]
fn all_that_is_not_media_has_the_length_of_a_bucket() {
    let mut world = World::with_room(3);
    world.publish(0, VOICE, Media::microphone());
    world.publish(1, FACE, Media { label: "a camera with a name of its own".to_owned(), ..Media::camera(Codec::Vp8, 320, 180) });
    world.run(ms(500));
    speak(&mut world, 0, VOICE, 150);
    for words in ["hi", "hi again", &"x".repeat(700)] {
        world.command(1, Command::Chat { text: words.to_owned() });
        world.run(ms(100));
    }
    world.run(Duration::from_secs(6));
    world.command(2, Command::Leave);
    world.run(Duration::from_secs(2));
    assert_eq!(chats(&world, 0).len(), 3);
    let is_bucket = |len: usize| len >= 256 && len.is_power_of_two();
    let mut kinds = BTreeSet::new();
    for (what, len) in &world.hub.sizes {
        kinds.insert(*what);
        assert!(*len == 0 || is_bucket(len - 32), "{what}: {len} B");
    }
    assert_eq!(kinds, BTreeSet::from(["request", "commit", "box", "welcome"]));
    let mut chat = BTreeSet::new();
    for (_, _, _, payload) in world.hub.reliable_objects() {
        if epoch_of_message(&payload).is_some() && payload.first() == Some(&0) {
            chat.insert(payload.len());
        } else if payload.first() == Some(&1) {
            // A beacon: one byte, and what is sealed.
            assert!(is_bucket(payload.len() - 33), "{} B", payload.len());
        } else {
            assert!(is_bucket(payload.len()), "{} B", payload.len());
        }
    }
    let around: BTreeSet<usize> = chat.iter().map(|len| len % 256).collect();
    assert_eq!((chat.len(), around.len()), (2, 1), "two of the three are of one bucket: {chat:?}");
}

fn refused(world: &World, who: usize) -> Vec<OpenError> {
    let of = |event: &Event| match event {
        Event::FrameRefused { reason, .. } => Some(*reason),
        _ => None,
    };
    world.events(who).filter_map(of).collect()
}

#[test]
fn an_entry_that_was_lost_is_asked_for_when_frames_of_its_epoch_come_and_they_are_opened() {
    let mut world = room_with_voice(2);
    world.publish(1, VOICE, Media::microphone());
    world.run(ms(500));
    world.hub.mischief.lose_entries = 1;
    let link = link(&world, 0);
    let late = world.join("Cy", &link);
    world.until("the newcomer is added", |world| world.hub.entries().len() == 3);
    world.run(ms(20));
    // Whoever committed knows of it by the hub's answer; the other one lost the entry.
    let lacks: Vec<usize> = (0..2).filter(|who| names(&world, *who).len() == 2).collect();
    let &[lacks] = lacks.as_slice() else { panic!("one of the two lacks it: {lacks:?}") };
    let speaker = 1 - lacks;
    let before = frames(&world, lacks, id(&world, speaker)).len();
    speak(&mut world, speaker, VOICE, 50);
    world.until("the newcomer is in", |world| room_of(world, late).is_some());
    world.run(ms(200));
    assert_eq!(world.client(lacks).stats().log_asked_again, 1);
    assert_eq!(names(&world, lacks).len(), 3);
    assert_eq!(
        frames(&world, lacks, id(&world, speaker)).len() - before,
        50,
        "held, and opened when the log brought their epoch"
    );
    assert_eq!(refused(&world, lacks), []);
    assert_eq!(world.client(lacks).stats().refused_no_key_yet, 0);
}

#[test]
fn frames_of_an_epoch_that_never_comes_are_given_up_after_half_a_second_and_said_to_have_no_key_yet() {
    let mut world = room_with_voice(2);
    speak(&mut world, 0, VOICE, 5);
    // KID 0x0009: the microphone of leaf 0, in epoch 9.
    let sent = u64::try_from(world.junk(&[0x80, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])).unwrap();
    world.run(ms(450));
    assert_eq!(world.client(1).stats().refused_no_key_yet, 0, "held");
    world.run(ms(100));
    assert_eq!(world.client(1).stats().refused_no_key_yet, sent);
    assert_eq!(world.client(1).stats().log_asked_again, 1, "and the log was asked meanwhile");
    assert_eq!(refused(&world, 1), [OpenError::NoKeyYet]);
}

#[test]
fn each_frame_that_is_not_opened_has_one_reason() {
    let mut world = World::with_room(2);
    let link = link(&world, 0);
    world.publish(0, VOICE, Media::microphone());
    world.publish(0, SCREEN_SOUND, Media { kind: Kind::ScreenAudio, ..Media::microphone() });
    world.run(ms(500));
    speak(&mut world, 0, VOICE, 5);
    speak(&mut world, 0, SCREEN_SOUND, 5);
    for track in [VOICE, SCREEN_SOUND] {
        world.command(0, Command::Mute { track, muted: true });
    }
    let counted = |world: &World| {
        let stats = world.client(1).stats();
        [
            stats.refused_malformed,
            stats.refused_no_key_yet,
            stats.refused_left_epoch,
            stats.refused_before_join,
            stats.refused_damaged,
            stats.refused_wrong_object,
            stats.refused_replayed,
            stats.refused_unknown_sender,
        ]
    };
    // What was said before we came is no mistake of anybody's.
    let base = counted(&world);
    let total = |world: &World| {
        let mut now = counted(world);
        now.iter_mut().zip(base).for_each(|(now, base)| *now -= base);
        now
    };
    let once = |world: &mut World| {
        world.command(0, Command::Mute { track: VOICE, muted: false });
        world.write(0, VOICE, 80, true);
        world.run(ms(20));
        world.command(0, Command::Mute { track: VOICE, muted: true });
    };
    // Bits of it are others.
    world.hub.mischief.damage_media = true;
    once(&mut world);
    world.hub.mischief.damage_media = false;
    assert_eq!(total(&world), [0, 0, 0, 0, 1, 0, 0, 0]);
    // The relay lets it come as of another of the sender's tracks.
    world.hub.mischief.swap_media = true;
    once(&mut world);
    world.hub.mischief.swap_media = false;
    assert_eq!(total(&world), [0, 0, 0, 0, 1, 1, 0, 0]);
    // It comes twice.
    world.hub.mischief.repeat_media = true;
    once(&mut world);
    world.hub.mischief.repeat_media = false;
    assert_eq!(total(&world), [0, 0, 0, 0, 1, 1, 1, 0]);
    // Nobody sits on leaf 7, in this epoch.
    let now = u8::try_from(super::world::code(&world, 1).0).unwrap();
    let named = |leaf: u8, epoch: u8| [&[0x90, leaf, epoch][..], &[7; 20]].concat();
    let tracks = u64::try_from(world.junk(&named(7, now))).unwrap();
    world.run(ms(20));
    assert_eq!(total(&world), [0, 0, 0, 0, 1, 1, 1, tracks]);
    // Of an epoch that was left six seconds ago.
    world.join("Cy", &link);
    world.until("all in", |world| (0..3).all(|who| names(world, who).len() == 3));
    world.run(Duration::from_secs(6));
    let before = world.client(2).stats().refused_before_join;
    let tracks = u64::try_from(world.junk(&named(0, now))).unwrap() / 2;
    world.run(ms(20));
    assert_eq!(total(&world)[2], tracks);
    assert_eq!(world.client(2).stats().refused_before_join - before, tracks, "to the newcomer the same is from before");
}

#[test]
fn a_damaged_picture_asks_for_a_key_frame_at_once_and_not_with_every_frame() {
    let mut world = World::with_room(2);
    world.publish(0, FACE, Media::camera(Codec::Vp8, 320, 180));
    world.run(ms(500));
    for at in 0..10 {
        world.write(0, FACE, 500, at == 0);
        world.run(ms(40));
    }
    let before = world.hub.key_frames;
    world.hub.mischief.damage_media = true;
    for _ in 0..10 {
        world.write(0, FACE, 500, false);
        world.run(ms(40));
    }
    assert_eq!(world.client(1).stats().repairs_asked, 1);
    assert_eq!(world.hub.key_frames, before + 1);
    world.hub.mischief.damage_media = false;
    world.write(0, FACE, 900, true);
    world.run(ms(300));
    assert_eq!(frames(&world, 1, id(&world, 0)).len(), 11);
}

//! Calls in which something goes wrong: sessions, participants, the hub.

use std::time::Duration;

use super::world::{World, chats, code, frames, link, lost, names, room_of};
use crate::{
    api::{
        ClientError, Codec, Command, ConnectionState, Departure, Ended, Event, LocalTrack, Media, OpenError, Presence, Warning,
    },
    keys::{BaseKey, Epoch},
    sframe::{NotOpened, Opener},
};

const VOICE: LocalTrack = LocalTrack(1);
const FACE: LocalTrack = LocalTrack(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// So many frames, and nothing after them: no cover either.
fn talk(world: &mut World, who: usize, frames: u32) {
    world.command(who, Command::Mute { track: VOICE, muted: false });
    for _ in 0..frames {
        world.write(who, VOICE, 160, true);
        world.run(ms(20));
    }
    world.command(who, Command::Mute { track: VOICE, muted: true });
}

fn refused(world: &World, who: usize, why: OpenError) -> bool {
    world.events(who).any(|event| matches!(event, Event::FrameRefused { reason, .. } if *reason == why))
}

#[test]
fn one_who_is_killed_turns_grey_and_is_gone_within_twenty_seconds() {
    let mut world = World::with_room(4);
    let dead = room_of(&world, 3).unwrap().0;
    world.run(Duration::from_secs(7));
    let died = world.now().mono;
    world.kill(3);
    world.run(Duration::from_secs(20));
    for who in 0..3 {
        let when = |wanted: &dyn Fn(&Event) -> bool| {
            world.timed_events(who).iter().find(|(_, event)| wanted(event)).map(|(at, _)| *at - died)
        };
        let grey =
            when(&|event| matches!(event, Event::ParticipantChanged(one) if one.id == dead && one.present == Presence::Grey));
        let gone = when(&|event| matches!(event, Event::ParticipantLeft { id, how: Departure::Reaped } if *id == dead));
        let (grey, gone) = (grey.expect("grey"), gone.expect("gone"));
        assert!(grey < gone && gone < Duration::from_secs(20), "{who}: {grey:?} {gone:?}");
        assert_eq!(names(&world, who).len(), 3);
    }
    assert_eq!(code(&world, 0), code(&world, 2));
}

#[test]
fn the_founder_is_killed_and_the_others_go_on_and_let_others_in() {
    let mut world = World::with_room(3);
    let link = link(&world, 1);
    world.kill(0);
    world.run(Duration::from_secs(25));
    assert_eq!((names(&world, 1).len(), names(&world, 2).len()), (2, 2));
    let late = world.join("Late", &link);
    world.until("let in", |world| names(world, late).len() == 3 && names(world, 1).len() == 3);
    assert_eq!(code(&world, 1), code(&world, late));
}

#[test]
fn a_lost_session_is_made_again_and_the_call_goes_on() {
    let mut world = World::with_room(3);
    for who in 0..3 {
        world.publish(who, VOICE, Media::microphone());
    }
    world.run(Duration::from_secs(1));
    for who in 0..3 {
        talk(&mut world, who, 10);
    }
    world.cut(1);
    world.run(ms(50));
    // While one is away the others say something and somebody else comes in: it is all there afterwards.
    world.command(0, Command::Chat { text: "missed?".to_owned() });
    world.command(1, Command::Chat { text: "said while away".to_owned() });
    let link = link(&world, 0);
    let late = world.join("Late", &link);
    world.until("all back", |world| names(world, 1).len() == 4 && names(world, late).len() == 4 && chats(world, 1).len() == 1);
    world.run(Duration::from_secs(2));
    let states: Vec<_> = world
        .events(1)
        .filter_map(|event| match event {
            Event::Connection(state) => Some(*state),
            _ => None,
        })
        .collect();
    use ConnectionState::{Connected, Connecting, Reconnecting};
    assert_eq!(states, [Connecting, Connected, Reconnecting, Connected]);
    assert_eq!(world.events(1).filter(|event| matches!(event, Event::Joined { .. })).count(), 1);
    for who in 0..3 {
        talk(&mut world, who, 20);
    }
    world.run(ms(500));
    for who in 0..3 {
        for from in (0..3).filter(|from| *from != who) {
            let sender = room_of(&world, from).unwrap().0;
            assert_eq!(frames(&world, who, sender).len(), 30, "{who} from {from}\n{}", world.story());
        }
    }
    assert_eq!(chats(&world, 0).len(), 1, "what was said while away was said once");
    assert_eq!(chats(&world, 2).len(), 2);
    let codes: Vec<_> = (0..4).map(|who| code(&world, who)).collect();
    assert!(codes.iter().all(|code| *code == codes[0]));
}

#[test]
fn chat_is_exactly_once_however_often_the_session_is_cut() {
    let mut world = World::with_room(2);
    for number in 0..30 {
        world.command(0, Command::Chat { text: format!("message {number}") });
        if number % 5 == 4 {
            // Some of it is still on the wire, and is lost with the session.
            world.run(ms(3));
            world.cut(0);
            world.run(Duration::from_secs(2));
        }
        world.run(ms(20));
    }
    world.run(Duration::from_secs(3));
    let texts: Vec<_> = chats(&world, 1).into_iter().map(|(_, _, text)| text).collect();
    let expected: Vec<_> = (0..30).map(|number| format!("message {number}")).collect();
    assert_eq!(texts, expected);
}

#[test]
fn one_who_is_away_for_too_long_is_removed_and_comes_back_by_themselves() {
    let mut world = World::with_room(3);
    world.publish(1, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    let before = room_of(&world, 1).unwrap().0;
    world.dark = true;
    world.cut(1);
    world.run(Duration::from_secs(25));
    assert_eq!(names(&world, 0).len(), 2);
    assert!(world.events(0).any(|event| matches!(event, Event::ParticipantLeft { id, how: Departure::Reaped } if *id == before)));
    world.dark = false;
    world.until("back", |world| names(world, 0).len() == 3 && names(world, 1).len() == 3 && names(world, 2).len() == 3);
    world.run(Duration::from_secs(1));
    assert!(world.events(1).any(|event| matches!(event, Event::Warning(Warning::Rejoined))));
    assert_eq!(world.events(1).filter(|event| matches!(event, Event::Joined { .. })).count(), 2);
    assert_eq!(code(&world, 0), code(&world, 1));
    world.forget_frames();
    talk(&mut world, 1, 20);
    world.run(ms(500));
    let sender = room_of(&world, 1).unwrap().0;
    assert_eq!(frames(&world, 0, sender).len(), 20);
    assert_eq!(frames(&world, 2, sender).len(), 20);
}

#[test]
fn an_acknowledgement_that_is_lost_is_made_up_by_the_log() {
    let mut world = World::with_room(1);
    world.hub.mischief.swallow_appended = 3;
    let link = link(&world, 0);
    for name in ["Bob", "Cy", "Dee"] {
        world.join(name, &link);
        world.run(Duration::from_secs(2));
    }
    world.until("all in", |world| (0..4).all(|who| names(world, who).len() == 4));
    assert_eq!(world.hub.entries().len(), 4, "nothing is appended twice");
}

#[test]
fn junk_is_counted_and_ignored() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    talk(&mut world, 0, 5);
    let counted = |world: &World| {
        let stats = world.client(1).stats();
        stats.refused_malformed
            + stats.refused_damaged
            + stats.refused_wrong_object
            + stats.refused_unknown_sender
            + stats.refused_no_key_yet
            + stats.refused_left_epoch
            + stats.refused_before_join
            + stats.refused_replayed
            + stats.refused_too_much
    };
    let before = counted(&world);
    let mut sent = 0;
    for junk in
        [&b""[..], b"x", b"\xff\xff\xff", &[0x80; 40], &[0xb0, 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]]
    {
        for _ in 0..50 {
            sent += world.junk(junk);
        }
    }
    world.run(Duration::from_secs(1));
    talk(&mut world, 0, 5);
    world.run(ms(500));
    assert!(sent >= 250);
    assert_eq!(counted(&world) - before, sent as u64, "{:?}", world.client(1).stats());
    let told = world.events(1).filter(|event| matches!(event, Event::FrameRefused { .. })).count();
    assert!(told > 0 && told < 10, "told {told} times");
    let sender = room_of(&world, 0).unwrap().0;
    assert_eq!(frames(&world, 1, sender).len(), 10);
    assert_eq!(lost(&world, 1), 0);
}

#[test]
fn replayed_objects_are_dropped() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    world.hub.mischief.repeat_media = true;
    talk(&mut world, 0, 20);
    world.run(ms(500));
    let sender = room_of(&world, 0).unwrap().0;
    assert_eq!(frames(&world, 1, sender).len(), 20);
    assert_eq!(world.client(1).stats().refused_replayed, 20);
    assert!(refused(&world, 1, OpenError::Replayed));
}

#[test]
fn an_object_that_was_moved_or_damaged_is_refused() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    world.hub.mischief.move_media = true;
    talk(&mut world, 0, 20);
    world.run(ms(500));
    let sender = room_of(&world, 0).unwrap().0;
    assert_eq!(frames(&world, 1, sender).len(), 0);
    assert_eq!(world.client(1).stats().refused_damaged, 20, "for another place than its own it does not open");
    world.hub.mischief.move_media = false;
    world.hub.mischief.damage_media = true;
    talk(&mut world, 0, 20);
    world.run(ms(500));
    assert_eq!(frames(&world, 1, sender).len(), 0);
    assert_eq!(world.client(1).stats().refused_damaged, 40);
    assert!(refused(&world, 1, OpenError::Damaged));
    world.hub.mischief.damage_media = false;
    talk(&mut world, 0, 5);
    world.run(ms(500));
    assert_eq!(frames(&world, 1, sender).len(), 5);
}

#[test]
fn after_damage_a_picture_begins_again_with_the_next_key_frame_that_was_asked_for() {
    let mut world = World::with_room(2);
    world.publish(0, FACE, Media::camera(Codec::Vp8, 320, 180));
    world.run(Duration::from_secs(1));
    let mut wanted = 0;
    for number in 0..100 {
        world.hub.mischief.damage_media = number == 20;
        let asked = world.events(0).filter(|event| matches!(event, Event::KeyFrameWanted { .. })).count();
        world.write(0, FACE, 500, number == 0 || asked > wanted);
        wanted = asked;
        world.run(ms(40));
    }
    world.run(Duration::from_secs(1));
    let sender = room_of(&world, 0).unwrap().0;
    let got = frames(&world, 1, sender);
    assert!(world.hub.key_frames > 0);
    assert!(got.len() > 80 && got.len() < 100, "{}", got.len());
    assert_eq!(got.len() as u64 + lost(&world, 1), 100);
}

#[test]
fn a_catalog_is_nothing_to_an_outsider() {
    let mut world = World::with_room(2);
    world.publish(0, VOICE, Media::microphone());
    world.run(Duration::from_secs(1));
    let objects = world.hub.reliable_objects();
    let mut opener = Opener::new(Epoch { number: 1, base: BaseKey::new([0; 16]) });
    let mut sealed = 0;
    for (name, group, object, payload) in objects {
        let place = conclave_federation::wire::object::ObjectIdentity { name, group, object, layer: 0, flags: 0 };
        sealed += usize::from(payload.first().is_some_and(|first| first & 0x80 != 0));
        let outcome = opener.open(&place, &payload).map(|_| ());
        assert!(matches!(outcome, Err(NotOpened::Refused(_) | NotOpened::Later)));
    }
    assert!(sealed >= 4, "catalogs and heartbeats of both");
}

#[test]
fn wrong_links_and_unknown_rooms_each_get_their_sentence() {
    let mut world = World::with_room(1);
    let good = link(&world, 0);
    let mut wrong = good.clone();
    wrong.secret = crate::room::LinkSecret::new([9; 32]);
    let who = world.join("Wrong", &wrong);
    world.until("told", |world| world.events(who).any(|event| matches!(event, Event::Ended(_))));
    assert!(matches!(world.events(who).last(), Some(Event::Ended(Ended::Failed(ClientError::LinkInvalid)))));
    let mut unknown = good.clone();
    unknown.room = conclave_federation::id::RoomId::new([9; 16]);
    let who = world.join("Unknown", &unknown);
    world.until("told", |world| world.events(who).any(|event| matches!(event, Event::Ended(_))));
    assert!(matches!(world.events(who).last(), Some(Event::Ended(Ended::Failed(ClientError::UnknownRoom)))));
}

#[test]
fn nobody_answers_and_one_is_told_to_wait_and_goes_on_asking() {
    let mut world = World::with_room(1);
    world.hub.mischief.deaf_joins = true;
    let link = link(&world, 0);
    let who = world.join("Nobody", &link);
    let began = world.now().mono;
    world.until("told", |world| world.events(who).any(|event| matches!(event, Event::Waiting { .. })));
    let took = world.now().mono - began;
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
    world.run(Duration::from_secs(60 * 5));
    assert!(world.events(who).all(|event| !matches!(event, Event::Ended(_))));
    assert_eq!(world.events(who).filter(|event| matches!(event, Event::Waiting { .. })).count(), 1, "said once");
    world.hub.mischief.deaf_joins = false;
    world.until("in", |world| room_of(world, who).is_some());
}

#[test]
fn a_relay_that_is_not_there_is_named_after_three_attempts() {
    let mut world = World::new();
    world.dark = true;
    let who = world.create("Ada");
    world.until("told", |world| world.events(who).any(|event| matches!(event, Event::Ended(_))));
    assert!(matches!(world.events(who).last(), Some(Event::Ended(Ended::Failed(ClientError::RelayUnreachable(_))))));
}

#[test]
fn the_session_is_cut_at_every_moment_of_the_way_in_and_everybody_gets_in() {
    for at in (1..120).step_by(4) {
        let mut world = World::with_room(2);
        let link = link(&world, 0);
        let late = world.join("Late", &link);
        world.run(ms(at));
        world.cut(late);
        world.until("in", |world| names(world, late).len() == 3);
        world.until("seen", |world| names(world, 0).len() == 3 && names(world, 1).len() == 3);
        assert_eq!(code(&world, 0), code(&world, late), "cut after {at} ms");
    }
}

#[test]
fn the_same_seeds_give_the_same_story() {
    let story = || {
        let mut world = World::with_room(3);
        world.publish(1, VOICE, Media::microphone());
        world.run(Duration::from_secs(1));
        talk(&mut world, 1, 5);
        world.cut(2);
        world.command(0, Command::Chat { text: "again".to_owned() });
        world.run(Duration::from_secs(10));
        world.story()
    };
    assert_eq!(story(), story());
}

#[test]
fn a_relay_that_forgot_the_room_is_told_of_it_again() {
    let mut world = World::with_room(2);
    world.hub.mischief.forgetful = true;
    world.cut(1);
    world.run(Duration::from_secs(3));
    world.command(1, Command::Chat { text: "here again".to_owned() });
    world.run(Duration::from_secs(1));
    assert_eq!(chats(&world, 0).len(), 1);
    assert_eq!(world.client(1).stats().rejoins, 0, "the same leaf");
    assert_eq!(names(&world, 0).len(), 2);
}

//! Chat and peace: what is said arrives once and in order whatever breaks, and nobody has to see or hear whom they do not want.

use std::time::Duration;

use super::world::{World, chats, frames, names, room_of};
use crate::api::{Command, Event, LocalTrack, Media, ParticipantId};

const VOICE: LocalTrack = LocalTrack(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn say(world: &mut World, who: usize, text: impl Into<String>) {
    world.command(who, Command::Chat { text: text.into() });
}

fn heard(world: &World, who: usize) -> Vec<String> {
    chats(world, who).into_iter().map(|(_, _, text)| text).collect()
}

fn gaps(world: &World, who: usize) -> Vec<u64> {
    let gap = |event: &Event| if let Event::ChatGap { count, .. } = event { Some(*count) } else { None };
    world.events(who).filter_map(gap).collect()
}

fn me(world: &World, who: usize) -> ParticipantId {
    room_of(world, who).expect("in the room").0
}

#[test]
fn the_session_of_who_speaks_or_listens_is_cut_at_every_moment_and_all_is_heard_once_and_in_order() {
    for cut in 0..2 {
        for at in (0..60).step_by(4) {
            let mut world = World::with_room(2);
            for number in 0..12 {
                say(&mut world, 0, format!("{number}"));
                world.run(ms(5));
                if number * 5 == at {
                    world.cut(cut);
                }
                if number == 6 {
                    world.run(ms(at % 7));
                    world.cut(cut);
                }
            }
            world.run(Duration::from_secs(4));
            let expected: Vec<_> = (0..12).map(|number| number.to_string()).collect();
            assert_eq!(heard(&world, 1), expected, "session {cut} cut at {at} ms");
            assert!(gaps(&world, 1).is_empty());
        }
    }
}

#[test]
fn what_was_said_while_somebody_was_in_the_room_is_heard_when_they_come_back_and_the_rest_is_a_gap() {
    let mut world = World::with_room(3);
    say(&mut world, 0, "before");
    world.run(Duration::from_secs(1));
    world.dark = true;
    world.cut(1);
    say(&mut world, 0, "to one who is away");
    world.run(Duration::from_secs(25));
    assert_eq!(names(&world, 0).len(), 2, "removed for their silence");
    say(&mut world, 0, "to one who is gone");
    world.run(ms(500));
    world.dark = false;
    world.until("back", |world| (0..3).all(|who| names(world, who).len() == 3));
    world.run(Duration::from_secs(1));
    say(&mut world, 0, "after");
    world.run(Duration::from_secs(7));
    assert_eq!(heard(&world, 1), ["before", "to one who is away", "after"]);
    assert_eq!(gaps(&world, 1), [1]);
    assert_eq!(heard(&world, 2), ["before", "to one who is away", "to one who is gone", "after"]);
    assert!(gaps(&world, 2).is_empty());
}

#[test]
fn a_newcomer_hears_what_is_said_after_they_came_and_nothing_before() {
    let mut world = World::with_room(2);
    say(&mut world, 0, "secret");
    let link = world.client(0).link().cloned().expect("a link");
    let third = world.join("Third", &link);
    world.until("in", |world| names(world, third).len() == 3 && names(world, 0).len() == 3);
    say(&mut world, 0, "welcome");
    world.run(Duration::from_secs(6));
    assert_eq!(heard(&world, third), ["welcome"]);
    assert!(gaps(&world, third).is_empty(), "what was said before is not missing");
}

#[test]
fn whoever_is_blocked_is_neither_heard_nor_read_on_whatever_leaf_until_they_are_not() {
    let mut world = World::with_room(2);
    world.publish(1, VOICE, Media::microphone());
    world.run(ms(500));
    let them = me(&world, 1);
    world.write(1, VOICE, 60, true);
    world.run(ms(200));
    assert_eq!(frames(&world, 0, them).len(), 1);
    world.command(0, Command::Block { participant: them, blocked: true });
    world.run(ms(200));
    let shown = |event: &Event| matches!(event, Event::ParticipantChanged(who) if who.id == them && who.blocked);
    assert!(world.events(0).any(shown));
    for _ in 0..10 {
        world.write(1, VOICE, 60, true);
        world.run(ms(20));
    }
    say(&mut world, 1, "hello?");
    world.run(ms(300));
    assert_eq!((frames(&world, 0, them).len(), heard(&world, 0).len()), (1, 0));
    // Their own side shows nothing of it, and a new leaf is no way out.
    assert!(!world.events(1).any(|event| matches!(event, Event::ParticipantChanged(_))));
    world.dark = true;
    world.cut(1);
    world.run(Duration::from_secs(25));
    world.dark = false;
    world.until("back", |world| (0..2).all(|who| names(world, who).len() == 2));
    world.run(Duration::from_secs(2));
    let them = me(&world, 1);
    world.forget_frames();
    say(&mut world, 1, "and now?");
    world.write(1, VOICE, 60, true);
    world.run(ms(300));
    assert_eq!((frames(&world, 0, them).len(), heard(&world, 0).len()), (0, 0));
    world.command(0, Command::Block { participant: them, blocked: false });
    world.run(ms(300));
    say(&mut world, 1, "thanks");
    for _ in 0..5 {
        world.write(1, VOICE, 60, true);
        world.run(ms(20));
    }
    world.run(ms(500));
    assert_eq!(heard(&world, 0), ["thanks"]);
    assert_eq!(frames(&world, 0, them).len(), 5);
    assert_eq!(gaps(&world, 0), [0u64; 0]);
}

#[test]
fn sound_and_pictures_of_somebody_can_be_had_apart() {
    let mut world = World::with_room(2);
    world.publish(1, VOICE, Media::microphone());
    world.run(ms(500));
    let them = me(&world, 1);
    let heard = |world: &mut World| {
        world.forget_frames();
        world.write(1, VOICE, 60, true);
        world.run(ms(300));
        frames(world, 0, them).len()
    };
    world.command(0, Command::Hide { participant: them, hidden: true });
    world.run(ms(200));
    assert_eq!(heard(&mut world), 1);
    world.command(0, Command::MuteLocally { participant: them, muted: true });
    world.run(ms(200));
    assert_eq!(heard(&mut world), 0);
    world.command(0, Command::MuteLocally { participant: them, muted: false });
    world.run(ms(200));
    assert_eq!(heard(&mut world), 1);
}

fn told(world: &World, who: usize) -> Vec<(String, String, bool)> {
    let told = |event: &Event| match event {
        Event::Chat { name, text, gone, history: true, .. } => Some((name.clone(), text.clone(), *gone)),
        _ => None,
    };
    world.events(who).filter_map(told).collect()
}

#[test]
fn newcomers_are_shown_what_the_room_lets_them_see_and_no_more() {
    let mut world = World::with_room(3);
    say(&mut world, 0, "before the host said so");
    world.run(ms(300));
    world.command(0, Command::SetHistory { messages: 3, minutes: 10 });
    world.run(Duration::from_secs(2));
    for (who, text) in [(1, "one"), (2, "two"), (1, "three"), (0, "four")] {
        say(&mut world, who, text);
        world.run(ms(300));
    }
    world.command(2, Command::Leave);
    world.until("gone", |world| names(world, 0).len() == 2);
    let link = world.client(0).link().cloned().expect("a link");
    let late = world.join("Late", &link);
    world.until("in", |world| names(world, late).len() == 3 && names(world, 0).len() == 3);
    say(&mut world, 0, "five");
    world.run(Duration::from_secs(4));
    let row = |who: &str, text: &str, gone| (who.to_owned(), text.to_owned(), gone);
    let expected = [row("Participant 2", "two", true), row("Participant 1", "three", false), row("Participant 0", "four", false)];
    assert_eq!(told(&world, late), expected, "{}", world.story());
    assert!(heard(&world, late).contains(&"five".to_owned()));
    assert!((0..2).all(|who| told(&world, who).is_empty()), "who was there needs no telling");
    assert_eq!(world.client(late).stats().history_refused, 0);
    // Told by one of them, once.
    let again = world.join("Later", &link);
    world.until("in", |world| names(world, again).len() == 4);
    world.run(Duration::from_secs(5));
    assert_eq!(told(&world, again).len(), 3);
    assert!(gaps(&world, again).is_empty());
}

#[test]
fn where_the_room_does_not_say_so_newcomers_are_shown_nothing_and_an_old_message_is_too_old() {
    let mut world = World::with_room(2);
    world.command(0, Command::SetHistory { messages: 10, minutes: 1 });
    world.run(Duration::from_secs(2));
    say(&mut world, 1, "long ago");
    world.run(Duration::from_secs(70));
    say(&mut world, 1, "just now");
    world.run(ms(500));
    let link = world.client(0).link().cloned().expect("a link");
    let late = world.join("Late", &link);
    world.until("in", |world| names(world, late).len() == 3);
    world.run(Duration::from_secs(4));
    assert_eq!(told(&world, late).iter().map(|(_, text, _)| text.as_str()).collect::<Vec<_>>(), ["just now"]);
    world.command(0, Command::SetHistory { messages: 0, minutes: 0 });
    world.run(Duration::from_secs(2));
    let later = world.join("Later", &link);
    world.until("in", |world| names(world, later).len() == 4);
    world.run(Duration::from_secs(4));
    assert!(told(&world, later).is_empty());
}

#[test]
fn a_name_like_anothers_is_shown_with_it() {
    let mut world = World::with_room(2);
    let link = world.client(0).link().cloned().expect("a link");
    let fake = world.join("\u{202e}\u{420}artici\u{440}ant 1", &link);
    world.until("in", |world| names(world, fake).len() == 3 && names(world, 0).len() == 3);
    let real = me(&world, 1);
    let warned = |event: &Event| matches!(event, Event::ParticipantJoined(who) if who.similar_to == Some(real));
    assert!(world.events(0).any(warned), "{}", world.story());
}

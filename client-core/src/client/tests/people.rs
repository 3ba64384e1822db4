//! What people do with each other: compare codes, recognise each other, raise hands, react, ask for quiet.

use std::time::Duration;

use super::world::{World, link, room_of};
use crate::api::{Acquaintance, Command, Event, Kind, Participant, ParticipantId, Warning};

fn me(world: &World, who: usize) -> ParticipantId {
    room_of(world, who).expect("in the room").0
}

fn second(world: &mut World) {
    world.run(Duration::from_secs(1));
}

/// Whom the events of `who` show as `of`, the last time.
fn shown(world: &World, who: usize, of: ParticipantId) -> Participant {
    let mut last = None;
    for event in world.events(who) {
        match event {
            Event::Joined { roster, .. } => last = roster.iter().find(|one| one.id == of).cloned().or(last),
            Event::ParticipantJoined(one) | Event::ParticipantChanged(one) if one.id == of => last = Some(one.clone()),
            _ => {}
        }
    }
    last.expect("is shown")
}

fn words(world: &World, who: usize) -> Vec<(ParticipantId, String, u64)> {
    let words = |event: &Event| match event {
        Event::CompareCode { participant, words, epoch } => Some((*participant, words.clone(), *epoch)),
        _ => None,
    };
    world.events(who).filter_map(words).collect()
}

fn secrets(world: &World, who: usize) -> Vec<Acquaintance> {
    let secret = |event: &Event| match event {
        Event::Acquaintance { secret, .. } => Some(secret.clone()),
        _ => None,
    };
    world.events(who).filter_map(secret).collect()
}

fn compare(world: &mut World, one: usize, other: usize) {
    let (first, second_one) = (me(world, one), me(world, other));
    world.command(one, Command::Compare { participant: second_one });
    second(world);
    world.command(one, Command::Verified { participant: second_one, matches: true });
    world.command(other, Command::Verified { participant: first, matches: true });
    second(world);
}

#[test]
fn two_people_compare_four_words_and_newcomers_alone_are_unverified_from_then_on() {
    let mut world = World::with_room(3);
    second(&mut world);
    let (ann, ben, cleo) = (me(&world, 0), me(&world, 1), me(&world, 2));
    compare(&mut world, 0, 1);
    let ([hers], [his]) = (&words(&world, 0)[..], &words(&world, 1)[..]) else { panic!("one code each") };
    assert_eq!((hers.0, his.0, &hers.1, hers.2), (ben, ann, &his.1, his.2));
    assert!(words(&world, 2).is_empty());
    assert!(shown(&world, 0, ben).compared && shown(&world, 0, ben).verified);
    assert!(shown(&world, 0, cleo).verified && !shown(&world, 0, cleo).compared);
    assert!(!shown(&world, 2, ann).verified, "who did not compare knows nothing of it");
    let room = link(&world, 0);
    let late = world.join("Late", &room);
    world.until("in", |world| room_of(world, late).is_some());
    second(&mut world);
    let late = me(&world, late);
    assert!(!shown(&world, 0, late).verified);
    assert!(shown(&world, 0, ben).verified && shown(&world, 0, cleo).verified);
    assert_eq!(secrets(&world, 0), secrets(&world, 1));
}

#[test]
fn codes_that_differ_are_a_warning_and_nobody_is_verified_by_them() {
    let mut world = World::with_room(2);
    second(&mut world);
    let ben = me(&world, 1);
    world.command(0, Command::Verified { participant: ben, matches: true });
    assert!(world.events(0).any(|event| matches!(event, Event::Warning(Warning::NotCompared))), "nothing was compared");
    world.command(0, Command::Compare { participant: ben });
    second(&mut world);
    world.command(0, Command::Verified { participant: ben, matches: false });
    assert!(world.events(0).any(|event| matches!(event, Event::Warning(Warning::CodesDiffer))));
    assert!(!shown(&world, 0, ben).verified && secrets(&world, 0).is_empty());
}

#[test]
fn somebody_who_does_not_answer_is_told_of() {
    let mut world = World::with_room(2);
    second(&mut world);
    let ben = me(&world, 1);
    world.kill(1);
    world.command(0, Command::Compare { participant: ben });
    world.run(Duration::from_secs(11));
    assert!(world.events(0).any(|event| matches!(event, Event::CompareUnanswered { participant } if *participant == ben)));
}

#[test]
fn who_compared_in_one_call_is_recognised_in_the_next_and_nobody_else_is() {
    let mut first = World::with_room(2);
    second(&mut first);
    compare(&mut first, 0, 1);
    let [secret] = &secrets(&first, 0)[..] else { panic!("one secret") };

    let mut world = World::with_room(1);
    let room = link(&world, 0);
    let stranger = Acquaintance::new([77; 32]);
    let known = [vec![stranger.clone(), secret.clone()], vec![secret.clone()], vec![stranger]];
    for (number, known) in (11u8..).zip(known) {
        let mut config = world.config("Guest", number);
        config.known = known;
        world.join_as(config, &room);
        world.run(Duration::from_secs(2));
    }
    world.run(Duration::from_secs(12));
    let (ann, ben, stranger) = (me(&world, 1), me(&world, 2), me(&world, 3));
    assert_eq!((shown(&world, 1, ben).known, shown(&world, 2, ann).known), (Some(1), Some(0)));
    assert_eq!((shown(&world, 1, stranger).known, shown(&world, 3, ann).known), (Some(0), Some(0)), "another secret of hers");
    for (who, of) in [(2, stranger), (3, ben), (0, ann), (1, me(&world, 0))] {
        assert_eq!(shown(&world, who, of).known, None, "{who}");
    }
}

#[test]
fn names_hands_and_recordings_are_said_to_all_and_to_newcomers() {
    let mut world = World::with_room(3);
    second(&mut world);
    let (ann, ben) = (me(&world, 0), me(&world, 1));
    world.command(1, Command::RaiseHand { up: true });
    second(&mut world);
    world.command(0, Command::RaiseHand { up: true });
    world.command(0, Command::Rename { name: "Somebody else".to_owned() });
    world.command(0, Command::Recording { on: true });
    second(&mut world);
    let room = link(&world, 0);
    let late = world.join("Late", &room);
    world.until("in", |world| room_of(world, late).is_some());
    second(&mut world);
    for who in [0, 1, 2, late] {
        let hands = world.events(who).filter_map(|event| match event {
            Event::Hands(hands) => Some(hands.clone()),
            _ => None,
        });
        assert_eq!(hands.last(), Some(vec![ben, ann]), "in the order in which they were raised");
        let ann = shown(&world, who, ann);
        assert_eq!((ann.name.as_str(), ann.recording), ("Somebody else", true));
    }
    world.command(1, Command::RaiseHand { up: false });
    world.command(0, Command::Rename { name: String::new() });
    second(&mut world);
    let last =
        world.events(2).filter_map(|event| if let Event::Hands(hands) = event { Some(hands.clone()) } else { None }).last();
    assert_eq!(last, Some(vec![ann]));
    assert_ne!(shown(&world, 2, ann).name, "Somebody else");
}

#[test]
fn a_reaction_reaches_all_a_request_to_be_quiet_only_whom_it_is_for_and_both_are_rationed() {
    let mut world = World::with_room(3);
    second(&mut world);
    let (ann, ben) = (me(&world, 0), me(&world, 1));
    world.command(0, Command::AskMute { participant: ben, kind: Kind::Microphone });
    for _ in 0..6 {
        world.command(0, Command::React { text: "a sign that is too long to be shown".to_owned() });
    }
    second(&mut world);
    for who in [1, 2] {
        let signs = world.events(who).filter_map(|event| match event {
            Event::Reaction { from, text } => Some((*from, text.clone())),
            _ => None,
        });
        assert_eq!(signs.collect::<Vec<_>>(), vec![(ann, "a sign that is t".to_owned()); 4]);
        let asked =
            world.events(who).filter(|event| matches!(event, Event::MuteRequested { by, kind: Kind::Microphone } if *by == ann));
        assert_eq!(asked.count(), usize::from(who == 1));
    }
    assert!(world.events(0).any(|event| matches!(event, Event::Warning(Warning::TooManyGestures))));
    // Whoever is blocked shows nothing.
    world.command(2, Command::Block { participant: ann, blocked: true });
    world.command(0, Command::React { text: "!".to_owned() });
    second(&mut world);
    let shouts =
        |who: usize| world.events(who).filter(|event| matches!(event, Event::Reaction { text, .. } if text == "!")).count();
    assert_eq!((shouts(1), shouts(2)), (1, 0));
}

//! Reports: a message can be shown to others with proof of who said it, and nothing else becomes readable.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use conclave_federation::wire::object::ObjectIdentity;
use serde_json::Value;

use super::world::{World, chats, link, names, room_of};
use crate::{
    api::{Command, Event, Warning},
    keys::{BaseKey, Epoch},
    report::{EntryError, ReportError, Verified, find_in_entry, verify},
    seal::SealKey,
    sframe::{Kid, Opener},
};

fn say(world: &mut World, who: usize, text: &str) {
    world.command(who, Command::Chat { text: text.to_owned() });
    world.run(Duration::from_millis(200));
}

fn documents(world: &World, who: usize) -> Vec<(Vec<u8>, bool)> {
    let ready = |event: &Event| match event {
        Event::ReportReady { document, stamped } => Some((document.clone(), *stamped)),
        _ => None,
    };
    world.events(who).filter_map(ready).collect()
}

fn id_of(world: &World, who: usize, text: &str) -> [u8; 16] {
    chats(world, who).iter().find(|(_, _, said)| said == text).expect("it was heard").1
}

/// A room in which the second one insults the first, and the first reports it.
fn reported() -> (World, Vec<u8>) {
    let mut world = World::with_room(3);
    say(&mut world, 1, "an insult");
    say(&mut world, 1, "something private");
    say(&mut world, 2, "something else");
    let id = id_of(&world, 0, "an insult");
    world.command(0, Command::Report { messages: vec![id], note: "they said this to me".to_owned() });
    world.run(Duration::from_millis(200));
    let (document, stamped) = documents(&world, 0).pop().expect("a report");
    assert!(stamped);
    (world, document)
}

#[test]
fn a_report_proves_who_said_it_and_when_it_was_lodged_with_no_key_of_the_room() {
    let (world, document) = reported();
    let report = verify(&document).expect("it verifies");
    assert_eq!((report.hub, report.messages.len()), (world.hub.id(), 1));
    let said = &report.messages[0];
    assert_eq!((said.text.as_str(), said.name.as_str()), ("an insult", "Participant 1"));
    assert_eq!(report.note, "they said this to me");
    let author = room_of(&world, 1).expect("in the room").0;
    assert_eq!(crate::api::ParticipantId::of_leaf(author.leaf(), said.author.as_bytes()), author);
    // Others of the room are not in it, nor is what they said.
    let text = String::from_utf8(document).expect("text");
    for other in ["Participant 0", "Participant 2", "private", "something else"] {
        assert!(!text.contains(other), "{other}");
    }
}

#[test]
fn the_operator_sees_in_their_own_log_that_the_author_was_in_the_room_under_that_name() {
    let (world, document) = reported();
    let report = verify(&document).expect("it verifies");
    let said = &report.messages[0];
    let entries = world.hub.entries();
    let found: Vec<_> = entries.iter().map(|entry| find_in_entry(&report, said, entry)).collect();
    assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 1, "{found:?}");
    assert!(found.contains(&Ok("Participant 1".to_owned())));
    assert!(found.iter().all(|found| found.is_ok() || *found == Err(EntryError::Another)));
    // The key of this entry, and a key that was not in it.
    let admitted = said.admitted.clone().expect("the reporter was there");
    let entry = entries.iter().find(|entry| entry.header.seq == admitted.seq).expect("it is logged");
    let with = |change: &dyn Fn(&mut Verified)| {
        let mut other = report.clone();
        change(&mut other);
        find_in_entry(&other, &other.messages[0], entry)
    };
    assert_eq!(with(&|other| other.messages[0].admitted.as_mut().unwrap().key[0] ^= 1), Err(EntryError::Closed));
    let stranger = conclave_federation::proof::VerifyingKey::new([7; 32]);
    assert_eq!(with(&|other| other.messages[0].author = stranger), Err(EntryError::NotThere));
    assert_eq!(with(&|other| other.messages[0].admitted = None), Err(EntryError::NotNamed));
}

#[test]
fn with_everything_in_a_report_nothing_else_opens() {
    let (world, document) = reported();
    let report = verify(&document).expect("it verifies");
    let admitted = report.messages[0].admitted.clone().expect("the reporter was there");
    // All that looks like a key in the document, decoded and as it stands.
    let json: Value = serde_json::from_slice(&document).expect("JSON");
    let mut strings = Vec::new();
    collect(&json, &mut strings);
    let bytes: Vec<Vec<u8>> = strings.iter().filter_map(|text| STANDARD.decode(text).ok()).collect();
    let keys: Vec<[u8; 32]> =
        bytes.iter().flat_map(|bytes| bytes.windows(32)).map(|window| window.try_into().expect("32")).collect();
    assert!(keys.contains(&admitted.key));
    let mut opened = Vec::new();
    for entry in world.hub.entries() {
        let commit = crate::group::commit_associated(&entry.header);
        let parts = [("commit", entry.commit.bytes()), ("box", entry.epoch_box.bytes())];
        for (part, sealed) in parts {
            let associated = [part.as_bytes(), &commit[b"commit".len()..]].concat();
            for key in &keys {
                if SealKey::new(*key).open(&associated, sealed).is_ok() {
                    opened.push((entry.header.seq, part));
                }
            }
        }
    }
    assert_eq!(opened, [(admitted.seq, "commit")]);
    // Catalogs, heartbeats and media are SFrame under sixteen bytes of another label of the exporter; chat is MLS'.
    let link = *link(&world, 0).secret.expose();
    assert!(!keys.contains(&link));
    let objects = world.hub.reliable_objects();
    let sealed: Vec<_> = objects.iter().filter_map(|object| Some((Kid::peek(&object.3)?, object))).collect();
    assert!(sealed.len() > 10);
    for (kid, (name, group, object, payload)) in sealed {
        let place = ObjectIdentity { name: *name, group: *group, object: *object, layer: 0, flags: 0 };
        for window in bytes.iter().flat_map(|bytes| bytes.windows(16)).step_by(4) {
            let epoch = Epoch { number: 256 + u64::from(kid.epoch_low), base: BaseKey::new(window.try_into().expect("16")) };
            assert!(Opener::new(epoch).open(&place, payload).is_err(), "an object opened");
        }
    }
}

fn collect(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(text) => strings.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, strings)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, strings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Every string and number of a document, changed one at a time.
fn tampered(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let mut other: Vec<char> = text.chars().collect();
            match other.first_mut() {
                Some(first) => *first = if *first == 'A' { 'B' } else { 'A' },
                None => other.push('A'),
            }
            vec![Value::from(other.into_iter().collect::<String>())]
        }
        Value::Number(number) => vec![Value::from(number.as_u64().expect("whole") ^ 1)],
        Value::Array(values) => {
            let mut all: Vec<Value> = Vec::new();
            for (at, inner) in values.iter().enumerate() {
                for changed in tampered(inner) {
                    let mut other = values.clone();
                    other[at] = changed;
                    all.push(other.into());
                }
            }
            all.push(Vec::<Value>::new().into());
            all
        }
        Value::Object(fields) => {
            let mut all: Vec<Value> = Vec::new();
            for (name, inner) in fields {
                for changed in tampered(inner) {
                    let mut other = fields.clone();
                    other.insert(name.clone(), changed);
                    all.push(other.into());
                }
                let mut without = fields.clone();
                without.remove(name);
                all.push(without.into());
            }
            let mut more = fields.clone();
            more.insert("more".to_owned(), 1.into());
            all.push(more.into());
            all
        }
        Value::Null => vec![Value::from(1)],
        Value::Bool(bool) => vec![Value::from(!bool)],
    }
}

#[test]
fn whatever_is_changed_in_a_report_it_proves_nothing_any_more() {
    let (_, document) = reported();
    let json: Value = serde_json::from_slice(&document).expect("JSON");
    let all = tampered(&json);
    assert!(all.len() > 30, "{}", all.len());
    for other in all {
        assert!(verify(other.to_string().as_bytes()).is_err(), "{other:#}");
    }
    assert_eq!(verify(json.to_string().as_bytes()).map(|report| report.messages.len()), Ok(1), "spaces do not matter");
    for len in 0..document.len() {
        assert!(verify(&document[..len]).is_err());
    }
    assert!(verify(&vec![b' '; crate::report::MAX_DOCUMENT + 1]).is_err());
}

#[test]
fn what_the_hub_did_not_stamp_counts_for_nothing() {
    let mut world = World::with_room(2);
    world.hub.mischief.deaf_to_reports = true;
    say(&mut world, 1, "hello");
    let id = id_of(&world, 0, "hello");
    world.command(0, Command::Report { messages: vec![id], note: String::new() });
    world.run(Duration::from_millis(200));
    let (document, stamped) = documents(&world, 0).pop().expect("a report");
    assert!(!stamped);
    assert_eq!(verify(&document), Err(ReportError::NotStamped));
}

#[test]
fn a_report_on_its_way_survives_a_lost_session_and_what_is_not_known_is_not_reported() {
    let mut world = World::with_room(2);
    say(&mut world, 1, "hello");
    let id = id_of(&world, 0, "hello");
    world.command(0, Command::Report { messages: vec![id], note: "x".repeat(5_000) });
    world.run(Duration::from_millis(2));
    world.cut(0);
    world.run(Duration::from_secs(4));
    let (document, stamped) = documents(&world, 0).pop().expect("a report");
    assert!(stamped);
    assert_eq!(verify(&document).expect("it verifies").note.len(), 2_000);
    for messages in [vec![], vec![[0; 16]], vec![id; 33]] {
        world.command(0, Command::Report { messages, note: String::new() });
    }
    world.run(Duration::from_millis(200));
    let warned = |event: &&Event| matches!(event, Event::Warning(Warning::NothingToReport));
    assert_eq!((world.events(0).filter(warned).count(), documents(&world, 0).len()), (3, 1));
    assert_eq!(names(&world, 0).len(), 2);
}

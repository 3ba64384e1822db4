//! The invariants can fail: each book is shown a violation of its rule, and what comes close to one and is none.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use bytes::Bytes;
use conclave_client_core::api::ParticipantId;
use conclave_federation::{
    id::{Alias, Generation, Head, Instance, RelayId, RoomId, TrackId},
    io::SessionKey,
    log::Position,
    proof::{Signature, SigningKey},
    wire::{
        Blob, List,
        message::{Entry, EntryHeader, EntryKind, HubHead},
    },
};

use super::{Chats, Check, Frame, FrameKey, Groups, Logs, Media, PersonNo, Rule, Visits, Writers};
use crate::net::HostId;

const ALICE: PersonNo = PersonNo(0);
const BOB: PersonNo = PersonNo(1);

fn participant(leaf: u16) -> ParticipantId {
    ParticipantId::of_leaf(leaf, &[7; 32])
}

fn hub() -> (SigningKey, RelayId) {
    let key = SigningKey::from_seed([9; 32]);
    let id = RelayId::new(*key.verifying_key().as_bytes());
    (key, id)
}

/// An entry at `position`; `salt` makes it another one.
fn entry(position: Position, salt: u8) -> (Entry, Position) {
    let (commit, epoch_box) = (Blob::new(Bytes::from(vec![salt; 8])).expect("short"), Blob::default());
    let header = EntryHeader {
        version: 1,
        room: RoomId::new([1; 16]),
        instance: Instance(1),
        seq: position.seq,
        prev_head: position.head,
        kind: if position.seq == 0 { EntryKind::Genesis } else { EntryKind::Commit },
        flags: 0,
        generation: Generation(0),
        term: 0,
        hub_index: 0,
        body_hash: EntryHeader::body_hash(&commit, &epoch_box, None),
        welcome_hash: [0; 32],
        served: List::default(),
    };
    let next = position.advance(&header).expect("follows");
    let head = HubHead::sign(&hub().0, &header, 5);
    (Entry { header, commit, epoch_box, record: None, head }, next)
}

/// A log of three entries that is durable and acknowledged.
fn three() -> (Logs, Vec<Entry>, Position) {
    let (mut logs, mut entries, mut position) = (Logs::default(), Vec::new(), Position::START);
    for _ in 0..3 {
        let (one, next) = entry(position, 0);
        assert_eq!(logs.on_durable(&one.header), Ok(()));
        assert_eq!(logs.on_stated(hub().1, &one.head), Ok(()));
        assert_eq!(logs.on_entry(&one), Ok(()));
        entries.push(one);
        position = next;
    }
    (logs, entries, position)
}

#[test]
fn a_log_that_keeps_its_word_is_fine() {
    let (mut logs, entries, _) = three();
    assert_eq!(logs.acknowledged(), 3);
    let (room, instance) = (entries[0].header.room, entries[0].header.instance);
    assert_eq!(logs.on_restored(room, instance, entries.iter().map(|entry| &entry.header)), Ok(()));
    assert_eq!(logs.on_entry(&entries[1]), Ok(()));
    assert_eq!(logs.check_all(), Ok(()));
}

#[test]
fn an_acknowledgement_before_the_store_is_a_violation() {
    let (mut logs, _, position) = three();
    let (early, _) = entry(position, 0);
    assert!(logs.on_stated(hub().1, &early.head).unwrap_err().contains("not durable"));
}

#[test]
fn a_statement_of_somebody_else_says_nothing() {
    let (mut logs, _, position) = three();
    let (early, _) = entry(position, 0);
    assert_eq!(logs.on_stated(RelayId::new([3; 32]), &early.head), Ok(()));
    assert_eq!(logs.acknowledged(), 3);
}

#[test]
fn a_restart_that_lost_an_acknowledged_entry_is_a_violation() {
    let (mut logs, entries, _) = three();
    let (room, instance) = (entries[0].header.room, entries[0].header.instance);
    let fewer = entries.iter().take(2).map(|entry| &entry.header);
    assert!(logs.on_restored(room, instance, fewer).unwrap_err().contains("is lost"));
    assert!(logs.check_all().is_err());
}

#[test]
fn a_restart_with_a_gap_is_a_violation() {
    let (mut logs, entries, _) = three();
    let (room, instance) = (entries[0].header.room, entries[0].header.instance);
    let gap = [&entries[0].header, &entries[2].header];
    assert!(logs.on_restored(room, instance, gap).is_err());
}

#[test]
fn an_entry_that_was_not_acknowledged_may_be_lost_or_kept() {
    let (mut logs, entries, position) = three();
    let (room, instance) = (entries[0].header.room, entries[0].header.instance);
    let (more, _) = entry(position, 1);
    let kept = entries.iter().chain([&more]).map(|entry| &entry.header);
    assert_eq!(logs.on_restored(room, instance, kept), Ok(()));
    assert_eq!(logs.on_stated(hub().1, &more.head), Ok(()));
}

#[test]
fn two_histories_are_a_violation_wherever_they_show() {
    let (mut logs, entries, _) = three();
    let (other, _) = entry(Position { seq: 1, head: entries[1].header.prev_head }, 1);
    assert!(logs.on_durable(&other.header).unwrap_err().contains("over another"));
    let (mut logs, ..) = three();
    assert!(logs.on_entry(&other).unwrap_err().contains("two versions"));
    let (stray, _) = entry(Position { seq: 3, head: Head::new([8; 32]) }, 0);
    assert!(logs.on_entry(&stray).unwrap_err().contains("does not follow"));
    assert!(logs.on_durable(&stray.header).unwrap_err().contains("follows no stored"));
}

#[test]
fn an_entry_with_the_wrong_body_or_head_is_a_violation() {
    let (mut logs, entries, position) = three();
    let (good, _) = entry(position, 0);
    let body = Entry { commit: Blob::new(Bytes::from_static(b"another")).expect("short"), ..good.clone() };
    assert!(logs.on_entry(&body).unwrap_err().contains("another body"));
    let head = Entry { head: entries[0].head.clone(), ..good };
    assert!(logs.on_entry(&head).unwrap_err().contains("head of another"));
}

#[test]
fn two_authenticators_for_an_epoch_are_a_violation() {
    let mut groups = Groups::default();
    assert_eq!(groups.on_epoch(ALICE, 1, "11111"), Ok(()));
    assert_eq!(groups.on_epoch(BOB, 1, "11111"), Ok(()));
    assert_eq!(groups.on_epoch(ALICE, 2, "22222"), Ok(()));
    assert!(groups.on_epoch(BOB, 2, "33333").is_err());
    assert!(groups.on_epoch(ALICE, 1, "11111").unwrap_err().contains("went back"));
}

#[test]
fn two_rosters_for_an_epoch_are_a_violation() {
    let mut groups = Groups::default();
    let of = |leaves: &[u16]| leaves.iter().map(|leaf| participant(*leaf)).collect::<BTreeSet<_>>();
    assert_eq!(groups.on_roster(ALICE, 4, of(&[0, 1])), Ok(()));
    assert_eq!(groups.on_roster(BOB, 4, of(&[1, 0])), Ok(()));
    assert_eq!(groups.on_roster(BOB, 5, of(&[0, 1, 2])), Ok(()));
    assert!(groups.on_roster(BOB, 4, of(&[0])).is_err());
}

fn written(media: &mut Media, number: u64, members: &[u16]) -> (FrameKey, Frame) {
    let key = FrameKey { author: ALICE, track: 1, number };
    let frame = Frame { digest: number, captured_us: 10 * number, key: number == 0, layer: 0 };
    let members = Rc::new(members.iter().map(|leaf| participant(*leaf)).collect());
    media.on_written(key, frame, None, Some(Writers { epoch: 3, members }));
    (key, frame)
}

#[test]
fn a_frames_name_is_read_back_from_its_data() {
    let key = FrameKey { author: PersonNo(6), track: 1, number: 70_000 };
    for len in [0, FrameKey::LEN, 5_000] {
        let data = key.data(len);
        assert_eq!(data.len(), len.max(FrameKey::LEN));
        assert_eq!(FrameKey::of(&data), Some(key));
    }
    assert_eq!(FrameKey::of(b"sim/frm1 and nothing else"), None);
}

#[test]
fn frames_that_change_repeat_or_overtake_are_violations() {
    let mut media = Media::default();
    let frames: Vec<_> = (0..4).map(|number| written(&mut media, number, &[0, 1])).collect();
    assert_eq!(media.on_received(BOB, Some(ALICE), frames[0].0, frames[0].1), Ok(()));
    assert_eq!(media.on_received(BOB, Some(ALICE), frames[2].0, frames[2].1), Ok(()));
    assert!(media.on_received(BOB, Some(ALICE), frames[2].0, frames[2].1).is_err());
    assert!(media.on_received(BOB, Some(ALICE), frames[1].0, frames[1].1).is_err());
    let mut media = Media::default();
    let (key, frame) = written(&mut media, 0, &[0, 1]);
    for other in [
        Frame { digest: 99, ..frame },
        Frame { captured_us: 1, ..frame },
        Frame { key: false, ..frame },
        Frame { layer: 1, ..frame },
    ] {
        assert!(media.on_received(BOB, Some(ALICE), key, other).unwrap_err().contains("written as"));
    }
    assert!(media.on_received(BOB, Some(BOB), key, frame).unwrap_err().contains("as if by"));
    assert!(media.on_received(BOB, None, key, frame).unwrap_err().contains("as if by"));
    let nobodys = FrameKey { author: BOB, ..key };
    assert!(media.on_received(ALICE, Some(BOB), nobodys, frame).unwrap_err().contains("nobody wrote"));
}

#[test]
fn a_picture_without_the_one_that_it_needs_is_a_violation() {
    let mut media = Media::default();
    // A key frame, and then the layers 1 and 0 in turn.
    let frames: Vec<_> = [(0, None), (1, Some(0)), (0, Some(0)), (1, Some(2)), (0, Some(2))]
        .into_iter()
        .zip(0..)
        .map(|((layer, needs), number)| {
            let key = FrameKey { author: ALICE, track: 1, number };
            let frame = Frame { digest: number, captured_us: 0, key: needs.is_none(), layer };
            media.on_written(key, frame, needs, None);
            (key, frame)
        })
        .collect();
    let mut gets = |number: usize| media.on_received(BOB, Some(ALICE), frames[number].0, frames[number].1);
    assert_eq!(gets(0), Ok(()));
    assert_eq!(gets(2), Ok(()), "an upper one may be missing");
    assert_eq!(gets(3), Ok(()));
    assert_eq!(gets(4), Ok(()));
    let mut gets = |number: usize| media.on_received(PersonNo(7), Some(ALICE), frames[number].0, frames[number].1);
    assert_eq!(gets(0), Ok(()));
    assert!(gets(3).unwrap_err().contains("which needs number Some(2)"));
    assert!(gets(4).unwrap_err().contains("which needs number Some(2)"));
}

#[test]
fn opening_a_frame_of_an_epoch_one_is_not_in_is_a_violation() {
    let mut media = Media::default();
    let (key, _) = written(&mut media, 0, &[0, 1]);
    let was = |leaves: &[u16]| leaves.iter().map(|leaf| participant(*leaf)).collect::<BTreeSet<_>>();
    assert_eq!(media.may_open(BOB, &was(&[1]), key), Ok(()));
    assert_eq!(media.may_open(BOB, &was(&[4, 1]), key), Ok(()));
    assert!(media.may_open(BOB, &was(&[2]), key).unwrap_err().contains("in which they are not"));
    // The next one on the same leaf is somebody else.
    assert!(media.may_open(BOB, &BTreeSet::from([ParticipantId::of_leaf(1, &[8; 32])]), key).is_err());
}

const ENTRY: HostId = HostId(0);
const OTHER: HostId = HostId(1);

/// From a session whose remote calls the track 7.
fn from(session: u64) -> (SessionKey, Alias) {
    (SessionKey(session), Alias::new(7))
}

#[test]
fn an_object_that_comes_to_a_relay_again_is_a_violation() {
    let (client, link, second) = (from(1), from(2), from(3));
    let open = |_| true;
    let mut visits = Visits::default();
    assert_eq!(visits.on_published(ENTRY, client, b"object"), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, link, b"object", open), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, link, b"the hub's own", open), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, link, b"the hub's own", open), Ok(()));
    assert!(visits.on_forwarded(OTHER, link, b"object", open).unwrap_err().contains("on one session"));
    assert!(visits.on_forwarded(OTHER, second, b"object", open).unwrap_err().contains("on two sessions"));
    assert!(visits.on_forwarded(ENTRY, link, b"object", open).is_err(), "back to where it began");
    let mut visits = Visits::default();
    assert_eq!(visits.on_published(ENTRY, client, b"object"), Ok(()));
    assert!(visits.on_published(ENTRY, client, b"object").unwrap_err().contains("2 times"));
}

#[test]
fn an_object_may_come_again_after_its_session_ended() {
    let mut visits = Visits::default();
    assert_eq!(visits.on_published(ENTRY, from(1), b"object"), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, from(2), b"object", |_| true), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, from(3), b"object", |session| session != SessionKey(2)), Ok(()));
    assert!(visits.on_forwarded(OTHER, from(4), b"object", |session| session != SessionKey(2)).is_err());
}

#[test]
fn an_object_may_come_once_more_for_each_new_subscription() {
    let (link, track) = (from(2), TrackId(99));
    let mut visits = Visits::default();
    visits.on_subscribe(link.0, 1, track);
    visits.on_subscribed(link.0, 1, link.1);
    assert_eq!(visits.on_published(ENTRY, from(1), b"object"), Ok(()));
    assert_eq!(visits.on_forwarded(OTHER, link, b"object", |_| true), Ok(()));
    visits.on_subscribe(link.0, 2, track);
    assert_eq!(visits.on_forwarded(OTHER, link, b"object", |_| true), Ok(()));
    assert!(visits.on_forwarded(OTHER, link, b"object", |_| true).unwrap_err().contains("3 times"));
}

#[test]
fn chat_that_repeats_changes_or_stays_away_is_a_violation() {
    let mut chats = Chats::default();
    let first = chats.say(ALICE, 5, BTreeSet::from([BOB]));
    let second = chats.say(ALICE, 5, BTreeSet::from([BOB]));
    assert!(chats.check_all().unwrap_err().contains("never heard"));
    assert_eq!(chats.on_heard(BOB, Some(ALICE), &second), Ok(()));
    assert!(chats.on_heard(BOB, Some(ALICE), &second).unwrap_err().contains("twice"));
    assert!(chats.on_heard(BOB, Some(ALICE), &first).unwrap_err().contains("after number"));
    assert_eq!(chats.check_all(), Ok(()));
    assert!(chats.on_heard(BOB, Some(ALICE), "something else").is_err());
    let third = chats.say(ALICE, 5, BTreeSet::new());
    assert!(chats.on_heard(BOB, Some(PersonNo(5)), &third).is_err());
}

#[test]
fn nobody_waits_for_what_was_never_sent_or_for_those_who_went() {
    let mut chats = Chats::default();
    chats.say(ALICE, 5, BTreeSet::from([BOB]));
    chats.on_not_sent(ALICE);
    assert_eq!(chats.check_all(), Ok(()));
    chats.say(ALICE, 5, BTreeSet::from([BOB]));
    chats.on_away(BOB, 13);
    assert!(chats.check_all().is_err());
    chats.on_away(BOB, 14);
    assert_eq!(chats.check_all(), Ok(()));
    chats.say(ALICE, 5, BTreeSet::from([BOB]));
    chats.excuse(BOB);
    assert_eq!(chats.check_all(), Ok(()));
    chats.say(ALICE, 5, BTreeSet::from([BOB]));
    chats.excuse_author(ALICE);
    assert_eq!(chats.check_all(), Ok(()));
    chats.say(ALICE, 5, BTreeSet::from([BOB]));
    assert!(chats.check_all().is_err());
}

#[test]
fn bounds_and_notes_are_kept_with_their_time_and_are_bounded_themselves() {
    let mut check = Check::default();
    check.set_time(Duration::from_secs(3));
    check.bounded("a queue", 10, 10);
    check.note(Rule::Converges, Ok(()));
    assert!(check.violations().is_empty());
    check.bounded("a queue", 11, 10);
    assert_eq!((check.violations()[0].rule, check.violations()[0].at), (Rule::WithinBounds, Duration::from_secs(3)));
    for _ in 0..100 {
        check.note(Rule::Honest, Err("again".into()));
    }
    assert!(check.violations().len() < 100);
    assert!(check.report().contains("more"));
}

#[test]
fn the_signature_of_a_planted_entry_is_not_what_makes_it_fail() {
    // A guard for the tests above: an entry that nobody signed is ignored, one that the hub signed is not.
    let (entry, _) = entry(Position::START, 0);
    assert!(entry.head.verify(hub().1));
    let unsigned = HubHead { signature: Signature::new([0; 64]), ..entry.head };
    assert_eq!(Logs::default().on_stated(hub().1, &unsigned), Ok(()));
}

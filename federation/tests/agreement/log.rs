//! The handshake log: one winner per position, and nothing that is not signed for it.

use crate::common::{TIME, append, key, record, relay, sign};
use conclave_federation::{
    id::{Generation, Head, Instance},
    log::{Log, OutOfLine, Position},
    proof::{Capability, ProofError},
    wire::{
        code::Code,
        message::{EntryHeader, EntryKind, HubHead},
    },
};

fn log() -> Log {
    Log::new(record().room, Instance(1))
}

fn log_with_genesis() -> Log {
    let mut log = log();
    let genesis = append(Position::START, b"group");
    assert_eq!(log.check(&genesis, &record()), Ok(()));
    log.advance(&genesis).expect("next");
    log
}

#[test]
fn entries_chain_and_the_head_moves() {
    let mut log = log_with_genesis();
    let before = log.position();
    let commit = append(before, b"commit");
    assert_eq!(log.check(&commit, &record()), Ok(()));
    log.advance(&commit).expect("next");
    assert_eq!(log.position(), Position { seq: 2, head: commit.header.head() });
    assert_ne!(log.position().head, before.head);
}

#[test]
fn second_commit_at_a_position_is_refused() {
    let mut log = log_with_genesis();
    let (first, second) = (append(log.position(), b"first"), append(log.position(), b"second"));
    log.advance(&first).expect("next");
    assert_eq!(log.check(&second, &record()), Err(Code::CONFLICT));
    assert_eq!(log.check(&first, &record()), Err(Code::CONFLICT));
    assert_eq!(log.advance(&second), Err(OutOfLine::Repeated));
}

#[test]
fn a_genesis_that_comes_second_is_a_conflict() {
    assert_eq!(log_with_genesis().check(&append(Position::START, b"mine"), &record()), Err(Code::CONFLICT));
}

#[test]
fn checking_changes_nothing() {
    let log = log_with_genesis();
    let commit = append(log.position(), b"commit");
    assert_eq!(log.check(&commit, &record()), Ok(()));
    assert_eq!(log.check(&commit, &record()), Ok(()));
    assert_eq!(log.position().seq, 1);
}

#[test]
fn every_changed_field_is_refused() {
    let log = log_with_genesis();
    let good = append(log.position(), b"commit");
    type Change = fn(&mut EntryHeader);
    let cases: [(Change, Code); 9] = [
        (|header| header.version = 2, Code::UNSUPPORTED),
        (|header| header.flags = 1, Code::UNSUPPORTED),
        (|header| header.term = 1, Code::UNSUPPORTED),
        (|header| header.kind = EntryKind::End, Code::UNSUPPORTED),
        (|header| header.instance = Instance(2), Code::WRONG_INSTANCE),
        (|header| header.generation = Generation(1), Code::STALE_GENERATION),
        (|header| header.prev_head = Head::new([7; 32]), Code::CONFLICT),
        (|header| header.seq = 2, Code::CONFLICT),
        (|header| header.body_hash = [0; 32], Code::VIOLATION),
    ];
    for (change, code) in cases {
        let mut bad = good.clone();
        change(&mut bad.header);
        assert_eq!(log.check(&sign(bad, &key(2)), &record()), Err(code));
    }
    let mut unsigned = good.clone();
    unsigned.header.served = Default::default();
    assert_eq!(log.check(&unsigned, &record()), Err(Code::BAD_PROOF));
    assert_eq!(log.check(&sign(good, &key(3)), &record()), Err(Code::BAD_PROOF), "a link holder is not a member");
}

#[test]
fn positions_tell_gap_fork_and_repetition_apart() {
    let at = log_with_genesis().position();
    let next = append(at, b"next").header;
    assert_eq!(at.advance(&next).map(|after| after.seq), Ok(2));
    assert_eq!(Position { seq: 5, head: at.head }.advance(&next), Err(OutOfLine::Repeated));
    assert_eq!(Position { seq: 0, head: at.head }.advance(&next), Err(OutOfLine::Gap));
    assert_eq!(Position { seq: 1, head: Head::new([3; 32]) }.advance(&next), Err(OutOfLine::Fork));
}

#[test]
fn two_signed_heads_of_one_position_are_a_proof() {
    let at = log_with_genesis().position();
    let (one, other) = (append(at, b"one").header, append(at, b"other").header);
    let (one, other) = (HubHead::sign(&key(10), &one, TIME), HubHead::sign(&key(10), &other, TIME));
    assert!(one.verify(relay(10)) && other.verify(relay(10)) && one.contradicts(&other));
    assert!(!one.contradicts(&one.clone()));
    assert!(!one.verify(relay(11)));
}

#[test]
fn a_capability_holds_for_its_relay_its_generation_and_its_hour() {
    let access = key(2).verifying_key();
    let issue = |expires| Capability::issue(&key(2), relay(11), record().room, Instance(1), Generation(0), expires);
    let good = issue(TIME + 60_000);
    assert_eq!(good.check(relay(11), &access, Generation(0), TIME), Ok(()));
    assert_eq!(good.check(relay(12), &access, Generation(0), TIME), Err(ProofError::Foreign));
    assert_eq!(good.check(relay(11), &access, Generation(1), TIME), Err(ProofError::Stale));
    assert_eq!(good.check(relay(11), &key(5).verifying_key(), Generation(0), TIME), Err(ProofError::Invalid));
    assert_eq!(good.check(relay(11), &access, Generation(0), TIME + 600_000), Err(ProofError::Expired));
    assert_eq!(issue(TIME + 100 * 3_600_000).check(relay(11), &access, Generation(0), TIME), Err(ProofError::Expired));
}

//! The handshake log: one winner per position, and nothing that is not signed for it.

use crate::common::{TIME, append, call_keys, chain, end, key, next_generation, next_record, record, relay, reserve, sign};
use conclave_federation::{
    id::{Generation, Head, Instance},
    log::{Log, OutOfLine, Position},
    proof::{Capability, HostProof, Label, ProofError},
    record::RoomRecord,
    wire::{
        Wire,
        code::Code,
        message::{Append, EntryHeader, EntryKind, HubHead},
    },
};

fn log() -> Log {
    Log::new(record().room, Instance(1))
}

fn log_with_genesis() -> Log {
    let mut log = log();
    let genesis = append(Position::START, b"group");
    assert_eq!(log.check(&genesis, &record(), None, TIME), Ok(()));
    log.advance(&genesis).expect("next");
    log
}

#[test]
fn entries_chain_and_the_head_moves() {
    let mut log = log_with_genesis();
    let before = log.position();
    let commit = append(before, b"commit");
    assert_eq!(log.check(&commit, &record(), None, TIME), Ok(()));
    log.advance(&commit).expect("next");
    assert_eq!(log.position(), Position { seq: 2, head: commit.header.head() });
    assert_ne!(log.position().head, before.head);
}

#[test]
fn second_commit_at_a_position_is_refused() {
    let mut log = log_with_genesis();
    let (first, second) = (append(log.position(), b"first"), append(log.position(), b"second"));
    log.advance(&first).expect("next");
    assert_eq!(log.check(&second, &record(), None, TIME), Err(Code::CONFLICT));
    assert_eq!(log.check(&first, &record(), None, TIME), Err(Code::CONFLICT));
    assert_eq!(log.advance(&second), Err(OutOfLine::Repeated));
}

#[test]
fn a_genesis_that_comes_second_is_a_conflict() {
    assert_eq!(log_with_genesis().check(&append(Position::START, b"mine"), &record(), None, TIME), Err(Code::CONFLICT));
}

#[test]
fn checking_changes_nothing() {
    let log = log_with_genesis();
    let commit = append(log.position(), b"commit");
    assert_eq!(log.check(&commit, &record(), None, TIME), Ok(()));
    assert_eq!(log.check(&commit, &record(), None, TIME), Ok(()));
    assert_eq!(log.position().seq, 1);
}

#[test]
fn every_changed_field_is_refused() {
    let log = log_with_genesis();
    let good = append(log.position(), b"commit");
    type Change = fn(&mut EntryHeader);
    let cases: [(Change, Code); 10] = [
        (|header| header.version = 2, Code::UNSUPPORTED),
        (|header| header.flags = 2, Code::UNSUPPORTED),
        (|header| header.flags = 1, Code::VIOLATION),
        (|header| header.term = 1, Code::UNSUPPORTED),
        (|header| header.kind = EntryKind::End, Code::VIOLATION),
        (|header| header.instance = Instance(2), Code::WRONG_INSTANCE),
        (|header| header.generation = Generation(1), Code::STALE_GENERATION),
        (|header| header.prev_head = Head::new([7; 32]), Code::CONFLICT),
        (|header| header.seq = 2, Code::CONFLICT),
        (|header| header.body_hash = [0; 32], Code::VIOLATION),
    ];
    for (change, code) in cases {
        let mut bad = good.clone();
        change(&mut bad.header);
        assert_eq!(log.check(&sign(bad, &key(2)), &record(), None, TIME), Err(code));
    }
    let mut unsigned = good.clone();
    unsigned.header.served = Default::default();
    assert_eq!(log.check(&unsigned, &record(), None, TIME), Err(Code::BAD_PROOF));
    assert_eq!(log.check(&sign(good, &key(3)), &record(), None, TIME), Err(Code::BAD_PROOF), "a link holder is not a member");
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

/// With another record beside it, signed as it is then.
fn with_record(mut append: Append, record: Option<RoomRecord>) -> Append {
    append.record = record;
    append.header.body_hash = EntryHeader::body_hash(&append.commit, &append.epoch_box, append.record.as_ref());
    sign(append, &key(2))
}

#[test]
fn the_next_generation_comes_with_its_record() {
    let log = log_with_genesis();
    let good = next_generation(log.position());
    assert_eq!(log.check(&good, &record(), None, TIME), Ok(()));
    let mut swapped = good.clone();
    swapped.record = Some(record());
    assert_eq!(log.check(&swapped, &record(), None, TIME), Err(Code::VIOLATION), "the header is over the record");
    assert_eq!(log.check(&with_record(good.clone(), None), &record(), None, TIME), Err(Code::VIOLATION), "flag, no record");
    let plain = append(log.position(), b"commit");
    let unflagged = with_record(plain, Some(next_record()));
    assert_eq!(log.check(&unflagged, &record(), None, TIME), Err(Code::VIOLATION), "record, no flag");
}

#[test]
fn a_record_that_does_not_follow_is_refused_with_its_entry() {
    let log = log_with_genesis();
    let good = next_generation(log.position());
    type Change = fn(&mut RoomRecord);
    let cases: [(Change, &str); 5] = [
        (|record| record.seq = 1, "not newer"),
        (|record| record.access = key(2).verifying_key(), "the access key stays"),
        (|record| record.generation = Generation(2), "two generations at once"),
        (|record| record.not_after = TIME - 1_000_000, "over"),
        (|record| record.signer = key(1).verifying_key(), "signed by somebody else"),
    ];
    for (change, why) in cases {
        let mut record = next_record();
        change(&mut record);
        let signer = record.signer;
        record.sign_as(&key(31), chain());
        record.signer = signer;
        let append = with_record(good.clone(), Some(record));
        assert_eq!(log.check(&append, &crate::common::record(), None, TIME), Err(Code::BAD_RECORD), "{why}");
    }
    let mut same = record();
    same.seq = 2;
    same.sign(&key(1));
    let append = with_record(good, Some(same));
    assert_eq!(log.check(&append, &record(), None, TIME), Err(Code::BAD_RECORD), "the same generation");
}

#[test]
fn a_genesis_begins_no_generation() {
    let mut genesis = append(Position::START, b"group");
    genesis.record = Some(next_record());
    genesis.header.flags = EntryHeader::NEXT_GENERATION;
    genesis.header.body_hash = EntryHeader::body_hash(&genesis.commit, &genesis.epoch_box, genesis.record.as_ref());
    assert_eq!(log().check(&sign(genesis, &key(3)), &record(), None, TIME), Err(Code::VIOLATION));
}

#[test]
fn after_the_next_generation_the_old_key_appends_nothing() {
    let mut log = log_with_genesis();
    let eviction = next_generation(log.position());
    log.advance(&eviction).expect("next");
    let mut late = append(log.position(), b"late");
    assert_eq!(log.check(&late, &next_record(), None, TIME), Err(Code::STALE_GENERATION));
    late.header.generation = Generation(1);
    assert_eq!(log.check(&sign(late.clone(), &key(2)), &next_record(), None, TIME), Err(Code::BAD_PROOF));
    assert_eq!(log.check(&sign(late, &key(32)), &next_record(), None, TIME), Ok(()));
}

#[test]
fn a_call_is_ended_by_a_host_and_nothing_follows() {
    let mut log = log_with_genesis();
    let good = end(log.position());
    assert_eq!(log.check(&good, &record(), None, TIME), Ok(()));
    let alone = Append { reserve: None, ..good.clone() };
    assert_eq!(log.check(&alone, &record(), None, TIME), Err(Code::BAD_PROOF), "a member is no host");
    let forged = HostProof::sign(Label::Reserve, &good.header.encode(), &key(2), Default::default());
    let forged = Append { reserve: Some(forged), ..good.clone() };
    assert_eq!(log.check(&forged, &record(), None, TIME), Err(Code::BAD_PROOF));
    let mut chatty = append(log.position(), b"commit");
    chatty.header.kind = EntryKind::End;
    assert_eq!(log.check(&reserve(chatty, &key(2)), &record(), None, TIME), Err(Code::VIOLATION), "it says something");
    assert!(!log.is_ended());
    log.advance(&good).expect("next");
    assert!(log.is_ended());
    let after = append(log.position(), b"after");
    assert_eq!(log.check(&after, &record(), None, TIME), Err(Code::WRONG_INSTANCE));
}

#[test]
fn a_wrong_host_proof_is_refused_even_where_none_is_needed() {
    let log = log_with_genesis();
    let good = reserve(append(log.position(), b"commit"), &key(2));
    assert_eq!(log.check(&good, &record(), None, TIME), Ok(()));
    let stranger = HostProof::sign(Label::Reserve, &good.header.encode(), &key(99), Default::default());
    let bad = Append { reserve: Some(stranger), ..good };
    assert_eq!(log.check(&bad, &record(), None, TIME), Err(Code::BAD_PROOF));
}

#[test]
fn a_room_that_needs_a_host_is_begun_by_one() {
    let mut room = record();
    room.host_required = true;
    room.sign(&key(1));
    let genesis = append(Position::START, b"group");
    assert_eq!(log().check(&genesis, &room, None, TIME), Err(Code::BAD_PROOF));
    assert_eq!(log().check(&reserve(genesis, &key(3)), &room, None, TIME), Ok(()));
}

#[test]
fn the_keys_of_a_call_come_with_its_genesis_alone() {
    let genesis = Append { call: Some(call_keys()), ..append(Position::START, b"group") };
    assert_eq!(log().check(&genesis, &record(), None, TIME), Ok(()));
    let foreign = Append { call: Some(call_keys()), ..genesis.clone() };
    assert_eq!(Log::new(record().room, Instance(2)).check(&foreign, &record(), None, TIME), Err(Code::WRONG_INSTANCE));
    let mut forged = genesis.clone();
    forged.call.as_mut().expect("some").access = key(9).verifying_key();
    assert_eq!(log().check(&forged, &record(), None, TIME), Err(Code::BAD_PROOF));
    let late = Append { call: Some(call_keys()), ..append(log_with_genesis().position(), b"commit") };
    assert_eq!(log_with_genesis().check(&late, &record(), None, TIME), Err(Code::VIOLATION));
}

#[test]
fn the_key_of_the_call_signs_its_entries_until_the_next_generation() {
    let log = log_with_genesis();
    let (keys, next) = (call_keys(), append(log.position(), b"commit"));
    assert_eq!(log.check(&next, &record(), Some(&keys), TIME), Err(Code::BAD_PROOF), "the record's key is not the call's");
    assert_eq!(log.check(&sign(next, &key(42)), &record(), Some(&keys), TIME), Ok(()));
}

/// Who holds no link but a retired one chooses no keys: neither signature is of the record's own link.
#[test]
fn a_retired_link_begins_no_call() {
    let (next, keys) = (next_record(), call_keys());
    let genesis = Append { call: Some(keys.clone()), ..append(Position::START, b"group") };
    assert_eq!(log().check(&genesis, &next, None, TIME), Err(Code::STALE_GENERATION));
    let mut renamed = genesis;
    renamed.header.generation = Generation(1);
    assert_eq!(log().check(&sign(renamed.clone(), &key(3)), &next, None, TIME), Err(Code::BAD_PROOF));
    assert_eq!(log().check(&sign(renamed, &key(33)), &next, None, TIME), Err(Code::STALE_GENERATION), "the keys are old");
}

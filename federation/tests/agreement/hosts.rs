//! Who speaks for a room: chains of hosts, records that follow each other, the keys of a call.

use crate::common::{TIME, call_keys, chain, key, next_record, record, relay};
use conclave_federation::{
    id::{Generation, Instance, JoinId, RoomId},
    proof::{HostProof, Label, SigningKey},
    record::{Chain, Delegation, RecordError, RoomRecord},
    wire::{
        List,
        message::{Decline, Stamp, Stamped},
    },
};

fn next(change: impl FnOnce(&mut RoomRecord)) -> RoomRecord {
    let mut record = next_record();
    change(&mut record);
    let chain = record.delegation.clone();
    record.sign_as(&key(31), chain);
    record
}

fn by_founder(change: impl FnOnce(&mut RoomRecord)) -> RoomRecord {
    let mut record = next_record();
    change(&mut record);
    record.sign(&key(1));
    record
}

fn steps(steps: &[(&SigningKey, u8, u64)]) -> Chain {
    let room = record().room;
    let chain = steps.iter().map(|(by, host, expires)| Delegation::issue(by, room, key(*host).verifying_key(), *expires));
    List::new(chain.collect()).expect("short")
}

#[test]
fn a_record_may_be_signed_by_a_host_of_a_host() {
    let record = next_record();
    assert_eq!(record.verify(record.room, TIME), Ok(()));
    assert_eq!(record.follows(&crate::common::record()), Ok(()));
}

#[test]
fn a_chain_holds_only_with_every_step_signed_by_the_one_before() {
    let (founder, host, stranger) = (key(1), key(30), key(99));
    for (chain, why) in [
        (steps(&[(&stranger, 31, TIME)]), "not from the founder"),
        (steps(&[(&founder, 30, TIME), (&stranger, 31, TIME)]), "the second step is a stranger's"),
        (steps(&[(&host, 31, TIME)]), "the first step is missing"),
        (steps(&[(&founder, 30, TIME)]), "it ends with somebody else"),
        (steps(&[]), "it is empty, and the signer is not the founder"),
    ] {
        let record = next(|record| record.delegation = chain);
        assert_eq!(record.verify_signed(record.room), Err(RecordError::Signature), "{why}");
    }
    let foreign = Delegation::issue(&founder, RoomId::new([1; 16]), key(31).verifying_key(), TIME);
    let record = next(|record| record.delegation = List::new(vec![foreign]).expect("one"));
    assert_eq!(record.verify_signed(record.room), Err(RecordError::Signature), "made for another room");
}

#[test]
fn a_chain_ends_with_its_shortest_life_but_stays_signed() {
    let record = next_record();
    assert_eq!(record.verify(record.room, TIME + 400_000 + 120_000), Ok(()));
    assert_eq!(record.verify(record.room, TIME + 400_001 + 120_000), Err(RecordError::Expired));
    assert_eq!(record.verify_signed(record.room), Ok(()));
}

#[test]
fn nothing_that_hangs_on_a_revoked_host_holds() {
    let old = by_founder(|record| record.revoked = List::new(vec![key(30).verifying_key()]).expect("one"));
    let own = next(|record| record.revoked = old.revoked.clone());
    assert_eq!(own.verify_signed(own.room), Err(RecordError::Revoked), "by its own word");
    let later = |record: &mut RoomRecord| {
        record.seq = 3;
        record.generation = Generation(2);
        record.retired = old.next_retired();
        (record.access, record.join, record.lobby) = (key(52).verifying_key(), key(53).verifying_key(), [54; 32]);
    };
    assert_eq!(next(later).follows(&old), Err(RecordError::Revoked), "by the word of the one before");
    assert_eq!(by_founder(later).follows(&old), Ok(()), "the founder takes it back");
}

#[test]
fn revocations_are_forgotten_by_the_founder_alone() {
    let old = by_founder(|_| {});
    let newer = |record: &mut RoomRecord| {
        record.seq = 3;
        record.revoked = List::default();
    };
    assert_eq!(next(newer).follows(&old), Err(RecordError::Discontinuous));
    assert_eq!(by_founder(newer).follows(&old), Ok(()));
}

#[test]
fn a_record_follows_only_in_line() {
    let old = record();
    let other = RoomRecord { room: RoomId::new([9; 16]), ..old.clone() };
    assert_eq!(next_record().follows(&other), Err(RecordError::Founder));
    type Change = fn(&mut RoomRecord);
    let cases: [(Change, RecordError); 9] = [
        (|record| record.seq = 1, RecordError::Older),
        (|record| record.suite = 2, RecordError::Discontinuous),
        (|record| record.access = key(2).verifying_key(), RecordError::Discontinuous),
        (|record| record.join = key(3).verifying_key(), RecordError::Discontinuous),
        (|record| record.lobby = [4; 32], RecordError::Discontinuous),
        (|record| record.retired = List::default(), RecordError::Discontinuous),
        (|record| record.retired = List::new(vec![key(8).verifying_key()]).expect("one"), RecordError::Discontinuous),
        (|record| record.generation = Generation(0), RecordError::Discontinuous),
        (|record| record.generation = Generation(2), RecordError::Discontinuous),
    ];
    for (place, (change, error)) in cases.into_iter().enumerate() {
        assert_eq!(next(change).follows(&old), Err(error), "case {place}");
    }
    assert_eq!(old.follows(&next_record()), Err(RecordError::Older), "a rollback");
    assert_eq!(old.follows(&old), Err(RecordError::Older));
}

#[test]
fn a_link_that_was_retired_is_never_current_again() {
    let again = next(|record| record.join = key(3).verifying_key());
    assert_eq!(again.verify_signed(again.room), Err(RecordError::Unsupported));
}

#[test]
fn within_a_generation_no_key_changes() {
    let old = next_record();
    let newer = next(|record| {
        record.seq = 3;
        record.max_members = 50;
    });
    assert_eq!(newer.follows(&old), Ok(()));
    let changed = next(|record| {
        record.seq = 3;
        record.access = key(60).verifying_key();
    });
    assert_eq!(changed.follows(&old), Err(RecordError::Discontinuous));
}

/// Twelve generations, one after the other; each is by the founder, with fresh keys.
fn history() -> Vec<RoomRecord> {
    let mut all = vec![record()];
    for generation in 1..=12_u8 {
        let old = all.last().expect("the first");
        let mut record = RoomRecord {
            seq: old.seq + 1,
            generation: Generation(generation.into()),
            access: key(100 + generation).verifying_key(),
            join: key(120 + generation).verifying_key(),
            lobby: [140 + generation; 32],
            retired: old.next_retired(),
            ..old.clone()
        };
        record.sign(&key(1));
        all.push(record);
    }
    all
}

#[test]
fn eight_retired_links_are_known_and_the_oldest_goes() {
    let all = history();
    for pair in all.windows(2) {
        assert_eq!(pair[1].verify_signed(pair[1].room), Ok(()));
        assert_eq!(pair[1].follows(&pair[0]), Ok(()));
    }
    let newest = &all[12];
    assert_eq!(newest.retired.len(), 8);
    for generation in 4..=12_u8 {
        assert_eq!(newest.join_key(Generation(generation.into())), Some(&all[usize::from(generation)].join));
    }
    assert_eq!(newest.join_key(Generation(3)), None, "forgotten");
    assert_eq!(newest.join_key(Generation(13)), None, "not yet");
    assert_eq!(all[2].join_key(Generation(0)), Some(&all[0].join));
}

#[test]
fn who_has_missed_generations_takes_the_newest_and_no_branch() {
    let all = history();
    for old in 0..12 {
        assert_eq!(all[12].replaces(&all[old]), Ok(()), "from {old}");
        assert_eq!(all[old].replaces(&all[12]), Err(RecordError::Older));
    }
    assert_eq!(all[12].follows(&all[10]), Err(RecordError::Discontinuous));
    let mut branch = all[6].clone();
    branch.join = key(200).verifying_key();
    branch.sign(&key(1));
    assert_eq!(all[12].replaces(&branch), Err(RecordError::Discontinuous), "the link of the branch was never retired");
}

#[test]
fn a_host_proof_holds_for_its_label_its_body_and_its_time() {
    let room = record();
    let proof = HostProof::sign(Label::Reserve, b"body", &key(31), chain());
    assert!(proof.verify(Label::Reserve, b"body", &room, TIME));
    assert!(!proof.verify(Label::Decline, b"body", &room, TIME));
    assert!(!proof.verify(Label::Reserve, b"other", &room, TIME));
    assert!(!proof.verify(Label::Reserve, b"body", &room, TIME + 600_000), "the chain is over");
    let revoked = by_founder(|record| record.revoked = List::new(vec![key(30).verifying_key()]).expect("one"));
    assert!(!proof.verify(Label::Reserve, b"body", &revoked, TIME), "who made the signer a host is none any more");
    let founder = HostProof::sign(Label::Reserve, b"body", &key(1), Chain::default());
    assert!(founder.verify(Label::Reserve, b"body", &room, TIME));
    let stranger = HostProof::sign(Label::Reserve, b"body", &key(99), Chain::default());
    assert!(!stranger.verify(Label::Reserve, b"body", &room, TIME));
    let pretender = HostProof { signer: key(31).verifying_key(), chain: chain(), ..stranger };
    assert!(!pretender.verify(Label::Reserve, b"body", &room, TIME));
}

#[test]
fn a_decline_is_over_everything_that_it_says() {
    let room = record();
    let id = JoinId::new([9; 16]);
    let claim = Decline::claim(room.room, Instance(1), id, b"note");
    let proof = HostProof::sign(Label::Decline, &claim, &key(1), Chain::default());
    let note = crate::common::blob(b"note");
    let decline = Decline { via: None, room: room.room, instance: Instance(1), id, note, proof };
    assert!(decline.verify(&room, TIME));
    assert!(!Decline { instance: Instance(2), ..decline.clone() }.verify(&room, TIME));
    assert!(!Decline { id: JoinId::new([8; 16]), ..decline.clone() }.verify(&room, TIME));
    assert!(!Decline { note: crate::common::blob(b"eton"), ..decline.clone() }.verify(&room, TIME));
    assert!(!Decline { room: RoomId::new([1; 16]), ..decline }.verify(&room, TIME));
}

#[test]
fn a_stamp_is_one_hubs_word_on_one_digest_in_one_call() {
    let stamp = Stamp { via: None, room: record().room, instance: Instance(1), digest: [7; 32] };
    let stamped = Stamped::sign(&key(10), &stamp, TIME);
    assert!(stamped.verify(relay(10), stamp.room, Instance(1), &[7; 32]));
    assert!(!stamped.verify(relay(11), stamp.room, Instance(1), &[7; 32]));
    assert!(!stamped.verify(relay(10), stamp.room, Instance(2), &[7; 32]));
    assert!(!stamped.verify(relay(10), stamp.room, Instance(1), &[8; 32]));
    assert!(!Stamped { time: TIME + 1, ..stamped }.verify(relay(10), stamp.room, Instance(1), &[7; 32]));
}

#[test]
fn the_keys_of_a_call_hold_for_that_call_and_end_with_the_generation() {
    let (room, call) = (record(), call_keys());
    assert!(call.verify(Instance(1), &room));
    assert!(!call.verify(Instance(2), &room));
    assert_eq!(room.keys(Some(&call)), (key(42).verifying_key(), [44; 32]));
    assert_eq!(room.keys(None), (key(2).verifying_key(), [4; 32]));
    let next = next_record();
    assert!(call.verify(Instance(1), &next), "the link is still known");
    assert_eq!(next.keys(Some(&call)), (next.access, next.lobby), "but its keys hold no more");
    let mut other = call.clone();
    other.access = key(43).verifying_key();
    assert!(!other.verify(Instance(1), &room));
    let mut later = call;
    later.generation = Generation(1);
    assert!(!later.verify(Instance(1), &next), "signed by the link before");
}

//! The whole of it: every action, done as it should be, in every mode, by a host and by a guest.

use conclave_federation::{
    id::{Head, Instance},
    wire::message::HubHead,
};

use super::*;
use crate::{
    group::{Cut, Vote, VoteKind},
    leaf::Call,
};

/// Three people like [`people`], and two more who have nothing to say.
pub(super) fn five() -> Vec<Person> {
    (0..5).map(|n| Person { leaf: Leaf(u32::from(n)), key: key(n), founder: false, since: u64::from(n) }).collect()
}

fn vote(by: u8, about: u8, kind: VoteKind) -> Vote {
    let call = Call { room: record().room, instance: Instance(1), genesis: [0; 32] };
    Vote::sign(&signer(by), &call, Leaf(u32::from(by)), key(about), kind, SEQ)
}

/// Everybody up to this entry may vote. Genuine or not is not the table's question.
fn cut(seq: u64) -> Cut {
    let head = |seq| HubHead {
        room: record().room,
        instance: Instance(1),
        seq,
        head: Head::new([0; 32]),
        term: 0,
        hub_index: 0,
        time: 0,
        signature: Signature::new([0; 64]),
    };
    Cut { earlier: head(seq), next: head(seq + 1), last: head(SEQ - 1) }
}

/// The record of the next generation, signed by the founder.
pub(super) fn next_record() -> RoomRecord {
    let old = record();
    let mut record = RoomRecord {
        seq: 2,
        generation: Generation(1),
        access: key(111),
        join: key(112),
        lobby: [113; 32],
        retired: old.next_retired(),
        ..old
    };
    record.sign(&signer(FOUNDER));
    record
}

pub(super) fn next_state(mode: Mode, record: &RoomRecord) -> RoomState {
    RoomState { generation: record.generation, record: record.hash(), ..state(mode) }
}

fn set(state: RoomState) -> Proposed {
    Proposed { state: Some(state), path: true, ..Proposed::default() }
}

/// What each action looks like when it is done as it should be, in this mode.
fn proposals(mode: Mode) -> Vec<(Action, Row, Proposed)> {
    let begins = |state: RoomState, record: RoomRecord| Proposed { record: Some(record), ..set(state) };
    let other = match mode {
        Mode::Open => Mode::Knock,
        Mode::Knock => Mode::Locked,
        Mode::Locked => Mode::Open,
    };
    let locked = RoomState { mode: Mode::Locked, ..state(mode) };
    let two_hosts = RoomState { hosts: List::new(vec![named(0), named(1)]).expect("two"), ..state(mode) };
    let votes = |kind| (0..4).map(|by| vote(by, 4, kind)).collect();
    vec![
        (Action::Admit, Row::Add, adds(&[7])),
        (Action::Swap, Row::Swap, Proposed { removes: vec![Leaf(2)], path: true, ..adds(&[2]) }),
        (Action::Leave, Row::RemoveWithNote, Proposed { notes: vec![Leaf(2)], ..removes(&[2]) }),
        (Action::Reap, Row::Reap, removes(&[4])),
        (Action::Reap, Row::ReapByVotes, Proposed { votes: votes(VoteKind::Unseen), ..removes(&[4]) }),
        (
            Action::Vote,
            Row::RemoveByVotes,
            Proposed { removes: vec![Leaf(4)], votes: votes(VoteKind::Remove), cut: Some(cut(10)), ..set(locked) },
        ),
        (
            Action::Evict,
            Row::RemoveOtherwise,
            Proposed { removes: vec![Leaf(4)], ..begins(next_state(mode, &next_record()), next_record()) },
        ),
        (Action::Rotate, Row::State, begins(next_state(mode, &next_record()), next_record())),
        (Action::Mode, Row::State, set(RoomState { mode: other, ..state(mode) })),
        (Action::Settings, Row::State, set(RoomState { history: 7, ..state(mode) })),
        (Action::Hosts, Row::State, set(two_hosts)),
        (Action::Update, Row::Path, Proposed { path: true, ..Proposed::default() }),
    ]
}

fn judge(mode: Mode, by_host: bool, action: Action, proposed: &Proposed) -> Result<(), Refusal> {
    let people = five();
    let state = RoomState { max_members: 9, ..state(mode) };
    let mut proposed = proposed.clone();
    if let Some(after) = &mut proposed.state {
        after.max_members = 9;
    }
    let by = Leaf(u32::from(!by_host));
    check(action, &proposed, &Situation { state: &state, record: &record(), members: &people, by, seq: SEQ })
}

const MODES: [Mode; 3] = [Mode::Open, Mode::Knock, Mode::Locked];

#[test]
fn every_action_in_every_mode_by_host_and_guest_is_as_the_table_says() {
    let mut judged = 0;
    for mode in MODES {
        for (action, row, proposed) in proposals(mode) {
            for by_host in [false, true] {
                let expected = if allows(row, mode, by_host) { Ok(()) } else { Err(Refusal::Right) };
                assert_eq!(judge(mode, by_host, action, &proposed), expected, "{action:?} {row:?} {mode:?} {by_host}");
                judged += 1;
            }
        }
    }
    assert_eq!(judged, 3 * 12 * 2);
}

/// What is done as one action is none of the others: nobody gets a right by another name for it.
#[test]
fn what_is_one_action_is_no_other() {
    let actions = (0..=u8::MAX).filter_map(|n| {
        use conclave_federation::wire::Wire;
        Action::decode(&bytes::Bytes::copy_from_slice(&[n])).ok()
    });
    let actions: Vec<Action> = actions.collect();
    assert_eq!(actions.len(), 13);
    for mode in MODES {
        for (action, row, proposed) in proposals(mode) {
            for other in actions.iter().filter(|other| **other != action) {
                let verdict = judge(mode, true, *other, &proposed);
                assert!(verdict.is_err(), "{row:?} as {other:?} in {mode:?}");
            }
        }
    }
}

#[test]
fn two_thirds_of_those_who_may_vote_are_enough_and_one_less_is_not() {
    let judge_with = |voters: &[u8], seq: u64| {
        let votes = voters.iter().map(|by| vote(*by, 4, VoteKind::Remove)).collect();
        let locked = RoomState { mode: Mode::Locked, ..state(Mode::Open) };
        let proposed = Proposed { removes: vec![Leaf(4)], votes, cut: Some(cut(seq)), ..set(locked) };
        judge(Mode::Open, false, Action::Vote, &proposed)
    };
    // Four stay, of whom all have been here: three.
    assert_eq!(judge_with(&[0, 1, 2], 10), Ok(()));
    assert_eq!(judge_with(&[0, 1], 10), Err(Refusal::Votes));
    // Three of them have been here: two. The word of the fourth is none.
    assert_eq!(judge_with(&[0, 1], 2), Ok(()));
    assert_eq!(judge_with(&[0, 3], 2), Err(Refusal::Votes));
    // One of them has been here: nobody is voted out by one.
    assert_eq!(judge_with(&[0], 0), Err(Refusal::Votes));
    assert_eq!(judge_with(&[0, 1, 2, 3], 0), Err(Refusal::Votes));
    assert_eq!(judge_with(&[], 10), Err(Refusal::Votes));
}

#[test]
fn a_vote_to_remove_a_host_is_refused_whoever_says_so() {
    let votes = (1..5).map(|by| vote(by, 0, VoteKind::Remove)).collect();
    let locked = RoomState { mode: Mode::Locked, ..state(Mode::Open) };
    let proposed = Proposed { removes: vec![Leaf(0)], votes, cut: Some(cut(10)), ..set(locked) };
    assert_eq!(judge(Mode::Open, false, Action::Vote, &proposed), Err(Refusal::Right));
}

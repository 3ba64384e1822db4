//! One test for each cell of the table, and for each way in which a commit is not what it says.

mod exhaustive;
mod generation;

use conclave_federation::{
    id::{Generation, RelayId, RoomId},
    limits::MAX_RECORD_LIFE_MS,
    proof::{Signature, SigningKey, VerifyingKey},
    record::{Delegation, Hub, RoomRecord},
    wire::{List, Text},
};

use super::*;
use crate::state::HostEntry;

macro_rules! cells {
    ($($name:ident: $row:ident, $mode:ident, $host:literal => $allowed:literal;)+) => {$(
        #[test]
        fn $name() {
            assert_eq!(allows(Row::$row, Mode::$mode, $host), $allowed);
        }
    )+};
}

cells! {
    add_in_open_by_a_guest_is_allowed: Add, Open, false => true;
    add_in_open_by_a_host_is_allowed: Add, Open, true => true;
    add_in_knock_by_a_guest_is_refused: Add, Knock, false => false;
    add_in_knock_by_a_host_is_allowed: Add, Knock, true => true;
    add_in_locked_by_a_guest_is_refused: Add, Locked, false => false;
    add_in_locked_by_a_host_is_refused: Add, Locked, true => false;
    swap_in_open_by_a_guest_is_allowed: Swap, Open, false => true;
    swap_in_open_by_a_host_is_allowed: Swap, Open, true => true;
    swap_in_knock_by_a_guest_is_allowed: Swap, Knock, false => true;
    swap_in_knock_by_a_host_is_allowed: Swap, Knock, true => true;
    swap_in_locked_by_a_guest_is_allowed: Swap, Locked, false => true;
    swap_in_locked_by_a_host_is_allowed: Swap, Locked, true => true;
    remove_with_note_in_open_by_a_guest_is_allowed: RemoveWithNote, Open, false => true;
    remove_with_note_in_open_by_a_host_is_allowed: RemoveWithNote, Open, true => true;
    remove_with_note_in_knock_by_a_guest_is_allowed: RemoveWithNote, Knock, false => true;
    remove_with_note_in_knock_by_a_host_is_allowed: RemoveWithNote, Knock, true => true;
    remove_with_note_in_locked_by_a_guest_is_allowed: RemoveWithNote, Locked, false => true;
    remove_with_note_in_locked_by_a_host_is_allowed: RemoveWithNote, Locked, true => true;
    remove_otherwise_in_open_by_a_guest_is_refused: RemoveOtherwise, Open, false => false;
    remove_otherwise_in_open_by_a_host_is_allowed: RemoveOtherwise, Open, true => true;
    remove_otherwise_in_knock_by_a_guest_is_refused: RemoveOtherwise, Knock, false => false;
    remove_otherwise_in_knock_by_a_host_is_allowed: RemoveOtherwise, Knock, true => true;
    remove_otherwise_in_locked_by_a_guest_is_refused: RemoveOtherwise, Locked, false => false;
    remove_otherwise_in_locked_by_a_host_is_allowed: RemoveOtherwise, Locked, true => true;
    reap_in_open_by_a_guest_is_allowed: Reap, Open, false => true;
    reap_in_open_by_a_host_is_allowed: Reap, Open, true => true;
    reap_in_knock_by_a_guest_is_refused: Reap, Knock, false => false;
    reap_in_knock_by_a_host_is_allowed: Reap, Knock, true => true;
    reap_in_locked_by_a_guest_is_refused: Reap, Locked, false => false;
    reap_in_locked_by_a_host_is_allowed: Reap, Locked, true => true;
    reap_by_votes_in_open_by_a_guest_is_allowed: ReapByVotes, Open, false => true;
    reap_by_votes_in_open_by_a_host_is_allowed: ReapByVotes, Open, true => true;
    reap_by_votes_in_knock_by_a_guest_is_allowed: ReapByVotes, Knock, false => true;
    reap_by_votes_in_knock_by_a_host_is_allowed: ReapByVotes, Knock, true => true;
    reap_by_votes_in_locked_by_a_guest_is_allowed: ReapByVotes, Locked, false => true;
    reap_by_votes_in_locked_by_a_host_is_allowed: ReapByVotes, Locked, true => true;
    remove_by_votes_in_open_by_a_guest_is_allowed: RemoveByVotes, Open, false => true;
    remove_by_votes_in_open_by_a_host_is_allowed: RemoveByVotes, Open, true => true;
    remove_by_votes_in_knock_by_a_guest_is_allowed: RemoveByVotes, Knock, false => true;
    remove_by_votes_in_knock_by_a_host_is_allowed: RemoveByVotes, Knock, true => true;
    remove_by_votes_in_locked_by_a_guest_is_allowed: RemoveByVotes, Locked, false => true;
    remove_by_votes_in_locked_by_a_host_is_allowed: RemoveByVotes, Locked, true => true;
    state_in_open_by_a_guest_is_refused: State, Open, false => false;
    state_in_open_by_a_host_is_allowed: State, Open, true => true;
    state_in_knock_by_a_guest_is_refused: State, Knock, false => false;
    state_in_knock_by_a_host_is_allowed: State, Knock, true => true;
    state_in_locked_by_a_guest_is_refused: State, Locked, false => false;
    state_in_locked_by_a_host_is_allowed: State, Locked, true => true;
    hub_move_in_open_by_a_guest_is_refused: HubMove, Open, false => false;
    hub_move_in_open_by_a_host_is_allowed: HubMove, Open, true => true;
    hub_move_in_knock_by_a_guest_is_refused: HubMove, Knock, false => false;
    hub_move_in_knock_by_a_host_is_allowed: HubMove, Knock, true => true;
    hub_move_in_locked_by_a_guest_is_refused: HubMove, Locked, false => false;
    hub_move_in_locked_by_a_host_is_allowed: HubMove, Locked, true => true;
    path_in_open_by_a_guest_is_allowed: Path, Open, false => true;
    path_in_open_by_a_host_is_allowed: Path, Open, true => true;
    path_in_knock_by_a_guest_is_allowed: Path, Knock, false => true;
    path_in_knock_by_a_host_is_allowed: Path, Knock, true => true;
    path_in_locked_by_a_guest_is_allowed: Path, Locked, false => true;
    path_in_locked_by_a_host_is_allowed: Path, Locked, true => true;
}

fn signer(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32])
}

fn key(n: u8) -> VerifyingKey {
    signer(n).verifying_key()
}

/// Whose key the room id is of.
const FOUNDER: u8 = 100;

fn record() -> RoomRecord {
    let addresses = List::new(vec![Text::cut("relay.test:1")]).expect("one");
    let mut record = RoomRecord {
        version: RoomRecord::VERSION,
        room: RoomId::of_founder(&key(FOUNDER)),
        founder: key(FOUNDER),
        seq: 1,
        suite: 1,
        generation: Generation(0),
        access: key(101),
        join: key(102),
        lobby: [103; 32],
        retired: List::default(),
        revoked: List::default(),
        host_required: false,
        max_members: 4,
        hubs: List::new(vec![Hub { relay: RelayId::new([1; 32]), addresses }]).expect("one"),
        not_after: MAX_RECORD_LIFE_MS,
        signer: key(FOUNDER),
        delegation: List::default(),
        signature: Signature::new([0; 64]),
    };
    record.sign(&signer(FOUNDER));
    record
}

/// A host by the founder's delegation.
fn named(n: u8) -> HostEntry {
    let step = Delegation::issue(&signer(FOUNDER), record().room, key(n), u64::MAX);
    HostEntry { key: key(n), delegation: List::new(vec![step]).expect("one") }
}

fn state(mode: Mode) -> RoomState {
    RoomState {
        version: RoomState::VERSION,
        mode,
        generation: Generation(0),
        record: record().hash(),
        hosts: List::new(vec![named(0)]).expect("one"),
        hub_index: 0,
        hub_term: 0,
        max_members: 4,
        flags: 0,
        history: 0,
        history_minutes: 0,
        title: Text::cut("title"),
    }
}

/// Three people; the first is a host.
fn people() -> Vec<Person> {
    (0..3).map(|n| Person { leaf: Leaf(u32::from(n)), key: key(n), founder: false, since: u64::from(n) }).collect()
}

/// Entries that the log has.
const SEQ: u64 = 1_000;

fn coming(n: u8) -> Coming {
    Coming { key: key(n), since: SEQ }
}

fn verdict_in(mode: Mode, by_host: bool, action: Action, proposed: &Proposed) -> Result<(), Refusal> {
    let by = Leaf(u32::from(!by_host));
    check(action, proposed, &Situation { state: &state(mode), record: &record(), members: &people(), by, seq: SEQ })
}

fn verdict(action: Action, proposed: &Proposed) -> Result<(), Refusal> {
    verdict_in(Mode::Open, false, action, proposed)
}

fn adds(keys: &[u8]) -> Proposed {
    Proposed { adds: keys.iter().map(|n| coming(*n)).collect(), served: keys.len(), ..Proposed::default() }
}

fn removes(leaves: &[u32]) -> Proposed {
    Proposed { removes: leaves.iter().map(|n| Leaf(*n)).collect(), path: true, ..Proposed::default() }
}

#[test]
fn somebody_new_is_admitted() {
    assert_eq!(verdict(Action::Admit, &adds(&[7])), Ok(()));
    assert_eq!(verdict_in(Mode::Knock, true, Action::Admit, &adds(&[7])), Ok(()));
    assert_eq!(verdict_in(Mode::Knock, false, Action::Admit, &adds(&[7])), Err(Refusal::Right));
    assert_eq!(verdict_in(Mode::Locked, true, Action::Admit, &adds(&[7])), Err(Refusal::Right));
}

#[test]
fn one_more_than_the_room_takes_is_too_many() {
    assert_eq!(verdict(Action::Admit, &adds(&[7, 8])), Err(Refusal::Full));
}

#[test]
fn an_admission_does_nothing_else() {
    let broken = [
        Proposed::default(),
        Proposed { path: true, ..adds(&[7]) },
        Proposed { served: 0, ..adds(&[7]) },
        Proposed { removes: vec![Leaf(1)], ..adds(&[7]) },
        Proposed { notes: vec![Leaf(1)], ..adds(&[7]) },
        Proposed { state: Some(state(Mode::Open)), ..adds(&[7]) },
        Proposed { served: 2, ..adds(&[7, 7]) },
        adds(&[1]),
    ];
    for proposed in broken {
        assert_eq!(verdict(Action::Admit, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn a_swap_gives_the_same_keys_new_leaves_and_nothing_else() {
    let swap = |keys: &[u8], leaves: &[u32]| Proposed { removes: removes(leaves).removes, path: true, ..adds(keys) };
    for mode in [Mode::Open, Mode::Knock, Mode::Locked] {
        assert_eq!(verdict_in(mode, false, Action::Swap, &swap(&[1], &[1])), Ok(()));
        assert_eq!(verdict_in(mode, false, Action::Swap, &swap(&[2, 1], &[1, 2])), Ok(()));
    }
    let broken = [
        swap(&[7], &[1]),
        swap(&[1], &[2]),
        swap(&[1], &[]),
        swap(&[1], &[1, 2]),
        swap(&[1, 1], &[1, 2]),
        swap(&[1, 2], &[1, 1]),
        swap(&[9], &[9]),
        Proposed { served: 0, ..swap(&[1], &[1]) },
        Proposed { notes: vec![Leaf(1)], ..swap(&[1], &[1]) },
        Proposed { state: Some(state(Mode::Open)), ..swap(&[1], &[1]) },
    ];
    for proposed in broken {
        assert_eq!(verdict(Action::Swap, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn whoever_leaves_has_signed_a_note() {
    let leave = |leaves: &[u32], notes: &[u32]| Proposed { notes: removes(notes).removes, ..removes(leaves) };
    for mode in [Mode::Open, Mode::Knock, Mode::Locked] {
        assert_eq!(verdict_in(mode, false, Action::Leave, &leave(&[1, 2], &[2, 1])), Ok(()));
    }
    for proposed in [leave(&[1, 2], &[1]), leave(&[1], &[2]), leave(&[1], &[])] {
        assert_eq!(verdict(Action::Leave, &proposed), Err(Refusal::Note), "{proposed:?}");
    }
    let broken = [
        leave(&[], &[]),
        leave(&[1, 1], &[1]),
        Proposed { served: 2, ..leave(&[1], &[1]) },
        Proposed { adds: vec![coming(7)], ..leave(&[1], &[1]) },
        Proposed { state: Some(state(Mode::Open)), ..leave(&[1], &[1]) },
    ];
    for proposed in broken {
        assert_eq!(verdict(Action::Leave, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn a_reap_removes_and_does_nothing_else() {
    assert_eq!(verdict(Action::Reap, &removes(&[1, 2])), Ok(()));
    assert_eq!(verdict_in(Mode::Knock, false, Action::Reap, &removes(&[1])), Err(Refusal::Right));
    assert_eq!(verdict_in(Mode::Locked, true, Action::Reap, &removes(&[1])), Ok(()));
    let broken = [
        removes(&[]),
        removes(&[1, 1]),
        Proposed { served: 1, ..removes(&[1]) },
        Proposed { notes: vec![Leaf(1)], ..removes(&[1]) },
        Proposed { adds: vec![coming(1)], ..removes(&[1]) },
        Proposed { state: Some(state(Mode::Open)), ..removes(&[1]) },
    ];
    for proposed in broken {
        assert_eq!(verdict(Action::Reap, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn an_update_is_a_path_and_nothing_else() {
    let path = Proposed { path: true, ..Proposed::default() };
    assert_eq!(verdict_in(Mode::Locked, false, Action::Update, &path), Ok(()));
    let broken = [
        Proposed::default(),
        removes(&[1]),
        Proposed { path: true, ..adds(&[7]) },
        Proposed { served: 1, ..path.clone() },
        Proposed { notes: vec![Leaf(1)], ..path.clone() },
        Proposed { state: Some(state(Mode::Open)), ..path },
    ];
    for proposed in broken {
        assert_eq!(verdict(Action::Update, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn a_host_changes_the_mode_or_the_hosts_and_one_host_stays() {
    let set = |state: RoomState| Proposed { state: Some(state), path: true, ..Proposed::default() };
    let hosts =
        |keys: &[u8]| RoomState { hosts: List::new(keys.iter().map(|n| named(*n)).collect()).expect("few"), ..state(Mode::Open) };
    let by_host = |action, proposed: &Proposed| verdict_in(Mode::Open, true, action, proposed);
    assert_eq!(by_host(Action::Mode, &set(state(Mode::Knock))), Ok(()));
    assert_eq!(by_host(Action::Hosts, &set(hosts(&[0, 1]))), Ok(()));
    assert_eq!(verdict(Action::Mode, &set(state(Mode::Knock))), Err(Refusal::Right));
    assert_eq!(verdict(Action::Hosts, &set(hosts(&[0, 1]))), Err(Refusal::Right));
    for wrong in [hosts(&[]), hosts(&[9]), hosts(&[1, 1])] {
        assert_eq!(by_host(Action::Hosts, &set(wrong)), Err(Refusal::State));
    }
    let both = RoomState { mode: Mode::Locked, ..hosts(&[0, 1]) };
    assert_eq!(by_host(Action::Mode, &set(both.clone())), Err(Refusal::State));
    assert_eq!(by_host(Action::Hosts, &set(both)), Err(Refusal::State));
    let next = RoomState { generation: Generation(1), ..state(Mode::Open) };
    assert_eq!(by_host(Action::Mode, &set(next)), Err(Refusal::State));
    let broken = [
        Proposed::default(),
        Proposed { adds: vec![coming(7)], ..set(state(Mode::Knock)) },
        Proposed { removes: vec![Leaf(1)], ..set(state(Mode::Knock)) },
        Proposed { notes: vec![Leaf(1)], ..set(state(Mode::Knock)) },
        Proposed { served: 1, ..set(state(Mode::Knock)) },
    ];
    for proposed in broken {
        assert_eq!(by_host(Action::Mode, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

#[test]
fn a_leaf_is_of_now_and_of_this_log() {
    let made = |since: u64| Proposed { adds: vec![Coming { key: key(7), since }], served: 1, ..Proposed::default() };
    for since in [SEQ, SEQ - MAX_LEAF_AGE] {
        assert_eq!(verdict(Action::Admit, &made(since)), Ok(()));
    }
    for since in [SEQ + 1, SEQ - MAX_LEAF_AGE - 1, 0, u64::MAX] {
        assert_eq!(verdict(Action::Admit, &made(since)), Err(Refusal::Stale));
    }
    let back = |since: u64| Proposed {
        adds: vec![Coming { key: key(2), since }],
        removes: vec![Leaf(2)],
        path: true,
        served: 1,
        ..Proposed::default()
    };
    for since in [2, SEQ] {
        assert_eq!(verdict(Action::Swap, &back(since)), Ok(()));
    }
    for since in [1, SEQ + 1] {
        assert_eq!(verdict(Action::Swap, &back(since)), Err(Refusal::Stale));
    }
}

#[test]
fn more_than_half_is_enough_and_half_is_not() {
    for (votes, stay, enough) in
        [(0, 0, false), (0, 1, false), (1, 1, true), (1, 2, false), (2, 3, true), (2, 4, false), (3, 4, true)]
    {
        assert_eq!(counts_unseen(votes, stay), enough, "{votes} of {stay}");
    }
}

#[test]
fn what_is_not_spoken_yet_is_refused_to_everybody() {
    assert_eq!(verdict_in(Mode::Open, true, Action::HubMove, &removes(&[1])), Err(Refusal::NotSpoken));
}

#[test]
fn a_void_is_a_path_and_a_word_that_holds() {
    let void = Proposed { path: true, void: true, ..Proposed::default() };
    for mode in [Mode::Open, Mode::Knock, Mode::Locked] {
        for by_host in [true, false] {
            assert_eq!(verdict_in(mode, by_host, Action::Void, &void), Ok(()));
            let wordless = Proposed { void: false, ..void.clone() };
            assert_eq!(verdict_in(mode, by_host, Action::Void, &wordless), Err(Refusal::Right));
        }
    }
    let broken = [
        Proposed { path: false, ..void.clone() },
        Proposed { removes: vec![Leaf(1)], ..void.clone() },
        Proposed { served: 1, ..void.clone() },
        Proposed { adds: vec![coming(7)], ..void },
    ];
    for proposed in broken {
        assert_eq!(verdict_in(Mode::Open, true, Action::Void, &proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
}

//! The next generation: exactly this changes with it, and nobody's hosts but those who go.

use super::{
    exhaustive::{five, next_record, next_state},
    *,
};

type Change = fn(&mut RoomState, &mut RoomRecord);

/// A host evicts somebody, but for this change; the founder signs whatever it is.
fn eviction(change: Change) -> Proposed {
    let mut record = next_record();
    let mut state = next_state(Mode::Open, &record);
    change(&mut state, &mut record);
    record.sign(&signer(FOUNDER));
    state.record = record.hash();
    Proposed { state: Some(state), record: Some(record), removes: vec![Leaf(4)], path: true, ..Proposed::default() }
}

fn judge_by(by: u32, before: &RoomState, action: Action, proposed: &Proposed) -> Result<(), Refusal> {
    let people = five();
    check(action, proposed, &Situation { state: before, record: &record(), members: &people, by: Leaf(by), seq: SEQ })
}

fn judge(proposed: &Proposed) -> Result<(), Refusal> {
    judge_by(0, &state(Mode::Open), Action::Evict, proposed)
}

#[test]
fn an_eviction_changes_generation_and_record_alone() {
    assert_eq!(judge(&eviction(|_, _| {})), Ok(()));
    let states: [Change; 9] = [
        |state, _| state.mode = Mode::Locked,
        |state, _| state.generation = Generation(0),
        |state, _| state.generation = Generation(2),
        |state, _| state.max_members = 3,
        |state, _| state.flags = 1,
        |state, _| state.history = 1,
        |state, _| state.history_minutes = 1,
        |state, _| state.title = Text::cut("another"),
        |state, _| state.hub_index = 1,
    ];
    for (at, change) in states.into_iter().enumerate() {
        assert_eq!(judge(&eviction(change)), Err(Refusal::State), "{at}");
    }
    let records: [Change; 11] = [
        |_, record| record.seq = 1,
        |_, record| record.generation = Generation(2),
        |_, record| record.access = key(101),
        |_, record| record.join = key(102),
        |_, record| record.lobby = [103; 32],
        |_, record| record.retired = List::new(vec![key(50)]).expect("one"),
        |_, record| record.host_required = true,
        |_, record| record.max_members = 5,
        |_, record| record.not_after += 1,
        |_, record| record.hubs = List::new(record.hubs.iter().chain(record.hubs.iter()).cloned().collect()).expect("two"),
        |_, record| record.revoked = List::new(vec![key(4)]).expect("one"),
    ];
    for (at, change) in records.into_iter().enumerate() {
        assert_eq!(judge(&eviction(change)), Err(Refusal::Record), "{at}");
    }
}

#[test]
fn an_eviction_does_nothing_else() {
    let good = || eviction(|_, _| {});
    let broken = [
        Proposed { removes: Vec::new(), ..good() },
        Proposed { removes: vec![Leaf(4), Leaf(4)], ..good() },
        Proposed { removes: vec![Leaf(9)], ..good() },
        Proposed { adds: vec![coming(7)], ..good() },
        Proposed { notes: vec![Leaf(4)], ..good() },
        Proposed { served: 1, ..good() },
        Proposed { path: false, ..good() },
        Proposed { state: None, ..good() },
    ];
    for proposed in broken {
        assert_eq!(judge(&proposed), Err(Refusal::Mismatch), "{proposed:?}");
    }
    assert_eq!(judge(&Proposed { record: None, ..good() }), Err(Refusal::Record));
    let mut unsigned = good();
    if let Some(record) = &mut unsigned.record {
        record.signature = Signature::new([1; 64]);
    }
    assert_eq!(judge(&unsigned), Err(Refusal::Record));
    assert_eq!(judge(&Proposed { removes: vec![Leaf(0)], ..good() }), Err(Refusal::Right));
}

#[test]
fn nobody_becomes_a_host_by_an_eviction_without_a_word_from_the_founder() {
    let with = |entry: HostEntry| {
        let mut record = next_record();
        record.sign(&signer(FOUNDER));
        let mut state = next_state(Mode::Open, &record);
        state.hosts = List::new(vec![named(0), entry]).expect("two");
        Proposed { state: Some(state), record: Some(record), removes: vec![Leaf(4)], path: true, ..Proposed::default() }
    };
    assert_eq!(judge(&with(named(1))), Ok(()));
    let mut other = named(1);
    other.key = key(2);
    assert_eq!(judge(&with(other)), Err(Refusal::State));
    assert_eq!(judge(&with(HostEntry { key: key(1), delegation: List::default() })), Err(Refusal::State));
    // Who goes, who is not here, and who is listed already.
    assert_eq!(judge(&with(named(4))), Err(Refusal::State));
    assert_eq!(judge(&with(named(9))), Err(Refusal::State));
    assert_eq!(judge(&with(named(0))), Err(Refusal::State));
}

/// Hosts 0 to 2, each named by the one before, the first by the founder.
fn ladder() -> RoomState {
    let room = record().room;
    let step = |by: u8, to: u8| Delegation::issue(&signer(by), room, key(to), u64::MAX);
    let steps = [step(FOUNDER, 0), step(0, 1), step(1, 2)];
    let host = |n: u8| {
        let chain = steps.iter().take(usize::from(n) + 1).cloned().collect();
        HostEntry { key: key(n), delegation: List::new(chain).expect("short") }
    };
    RoomState { hosts: List::new(vec![host(0), host(1), host(2)]).expect("three"), ..state(Mode::Open) }
}

/// The host at this leaf drops or removes others, who are named in the record.
fn without(gone: &[u8], hosts: Vec<HostEntry>, removes: &[u32]) -> Proposed {
    let mut record = next_record();
    record.revoked = List::new(gone.iter().map(|n| key(*n)).collect()).expect("few");
    record.sign(&signer(FOUNDER));
    let hosts = List::new(hosts).expect("few");
    let state = RoomState { generation: record.generation, record: record.hash(), hosts, ..state(Mode::Open) };
    let removes = removes.iter().map(|n| Leaf(*n)).collect();
    Proposed { state: Some(state), record: Some(record), removes, path: true, ..Proposed::default() }
}

#[test]
fn authority_that_hangs_on_somebody_goes_with_them_or_comes_from_another() {
    let before = ladder();
    let [zero, one, two] = [0, 1, 2].map(|at| before.hosts[at].clone());
    // Host 1 is removed: host 2 goes with them, or is named anew.
    let removed = |hosts, gone: &[u8]| judge_by(0, &before, Action::Evict, &without(gone, hosts, &[1]));
    assert_eq!(removed(vec![zero.clone()], &[1, 2]), Ok(()));
    assert_eq!(removed(vec![zero.clone(), named(2)], &[1]), Ok(()));
    assert_eq!(removed(vec![zero.clone(), two.clone()], &[1]), Err(Refusal::State));
    assert_eq!(removed(vec![zero.clone()], &[1]), Err(Refusal::Record));
    assert_eq!(removed(vec![zero.clone(), named(2)], &[]), Err(Refusal::Record));
    assert_eq!(removed(vec![zero.clone(), one.clone(), named(2)], &[1]), Err(Refusal::State));
    // Somebody else goes: no host may be lost on the way.
    let beside = |hosts, gone: &[u8]| judge_by(0, &before, Action::Evict, &without(gone, hosts, &[4]));
    assert_eq!(beside(vec![zero.clone(), one.clone(), two.clone()], &[]), Ok(()));
    assert_eq!(beside(vec![zero.clone(), one], &[2]), Err(Refusal::State));
}

/// A record in which somebody is revoked, and the one after it as `by` signs it, with these revoked.
fn after_a_revocation(by: u8, revoked: &[u8]) -> Result<(), Refusal> {
    let mut old = record();
    old.revoked = List::new(vec![key(60), key(61)]).expect("two");
    old.sign(&signer(FOUNDER));
    let mut next = next_record();
    next.revoked = List::new(revoked.iter().map(|n| key(*n)).collect()).expect("few");
    if by == FOUNDER {
        next.sign(&signer(FOUNDER))
    } else {
        next.sign_as(&signer(by), named(by).delegation)
    }
    let before = RoomState { record: old.hash(), ..state(Mode::Open) };
    let after = RoomState { generation: next.generation, record: next.hash(), ..before.clone() };
    let proposed = Proposed { state: Some(after), record: Some(next), removes: vec![Leaf(4)], path: true, ..Proposed::default() };
    let people = five();
    let situation = Situation { state: &before, record: &old, members: &people, by: Leaf(0), seq: SEQ };
    check(Action::Evict, &proposed, &situation)
}

#[test]
fn the_founder_alone_takes_a_revocation_back_and_nobody_revokes_who_is_none() {
    for by in [FOUNDER, 0] {
        assert_eq!(after_a_revocation(by, &[60, 61]), Ok(()));
        assert_eq!(after_a_revocation(by, &[61, 60]), Ok(()));
        assert_eq!(after_a_revocation(by, &[60, 61, 4]), Err(Refusal::Record));
        assert_eq!(after_a_revocation(by, &[60, 60, 61]), Err(Refusal::Record));
    }
    assert_eq!(after_a_revocation(FOUNDER, &[61]), Ok(()));
    assert_eq!(after_a_revocation(FOUNDER, &[]), Ok(()));
    assert_eq!(after_a_revocation(0, &[61]), Err(Refusal::Record));
}

#[test]
fn who_is_above_stays_and_who_is_below_may_be_dropped() {
    let before = ladder();
    let [zero, one, two] = [0, 1, 2].map(|at| before.hosts[at].clone());
    let drops = |by, hosts, gone: &[u8]| judge_by(by, &before, Action::Hosts, &without(gone, hosts, &[]));
    assert_eq!(drops(0, vec![zero.clone(), one.clone()], &[2]), Ok(()));
    assert_eq!(drops(1, vec![zero.clone(), one.clone()], &[2]), Ok(()));
    assert_eq!(drops(2, vec![two.clone()], &[0, 1]), Err(Refusal::State));
    assert_eq!(drops(1, vec![one.clone()], &[0, 2]), Err(Refusal::State));
    // Whoever steps down needs no revocation, and cannot have one.
    assert_eq!(drops(2, vec![zero.clone(), one.clone()], &[2]), Err(Refusal::State));
    let down = RoomState { hosts: List::new(vec![zero, one]).expect("two"), ..state(Mode::Open) };
    let down = Proposed { state: Some(down), path: true, ..Proposed::default() };
    assert_eq!(judge_by(2, &before, Action::Hosts, &down), Ok(()));
    assert_eq!(judge_by(0, &before, Action::Hosts, &down), Err(Refusal::State));
    let evicts = |by: u32, leaf: u32| {
        let proposed = without(&[], before.hosts.to_vec(), &[leaf]);
        judge_by(by, &before, Action::Evict, &proposed)
    };
    assert_eq!(evicts(2, 1), Err(Refusal::Right));
    assert_eq!(evicts(2, 0), Err(Refusal::Right));
    assert_eq!(evicts(2, 4), Ok(()));
    assert_eq!(evicts(3, 4), Err(Refusal::Right));
}

#[test]
fn the_founder_is_above_everybody_and_nobody_above_the_founder() {
    let before = ladder();
    let mut people = five();
    people[3].founder = true;
    let judge = |by: u32, removes: &[u32], gone: &[u8], hosts: Vec<HostEntry>| {
        let proposed = without(gone, hosts, removes);
        let by = Leaf(by);
        check(Action::Evict, &proposed, &Situation { state: &before, record: &record(), members: &people, by, seq: SEQ })
    };
    assert_eq!(judge(0, &[3], &[], before.hosts.to_vec()), Err(Refusal::Right));
    assert_eq!(judge(3, &[0, 1, 2], &[0, 1, 2], Vec::new()), Ok(()));
}

#[test]
fn one_host_stays() {
    let down = RoomState { hosts: List::default(), ..state(Mode::Open) };
    let down = Proposed { state: Some(down), path: true, ..Proposed::default() };
    assert_eq!(judge_by(0, &state(Mode::Open), Action::Hosts, &down), Err(Refusal::State));
}

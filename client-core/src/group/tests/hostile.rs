//! What insiders, hubs and strangers try.

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, JoinId, RelayId},
    log::OutOfLine,
    proof::{Label, Signature, SigningKey},
    wire::{Blob, List, Text, Wire, message::HubHead},
};
use openmls::prelude::{Extension, Extensions, KeyPackage, LeafNodeIndex, LeafNodeParameters, Lifetime, UnknownExtension};
use proptest::prelude::*;

use super::{
    forge::{Filling, Forged, all_skip, bind, call, evil_commit, forge, key_package, offer, state_with},
    world::{NOW, applied, assert_agree, candidate, knock},
};
use crate::{
    group::{
        Action, Alarm, Fault, Group, JoinError, Leaf, LeafSigner, Outcome, Request, RequestError, RequestKind, Skip, Work,
        entry::Part, found::fork, node,
    },
    leaf::{self, Bind, Call, Profile},
    policy::Refusal,
    state::{HostEntry, Mode, RoomState},
};

#[test]
fn junk_is_skipped_by_all_alike() {
    let (mut world, mut groups) = call(40, 2);
    let entry = offer(&mut world, &mut groups[1], b"junk", List::default());
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::NotCommit);
}

#[test]
fn a_commit_for_another_place_in_the_log_is_skipped() {
    let forged = Forged { prev_head: Some(Head::new([7; 32])), ..Forged::of(Action::Update) };
    assert_eq!(evil_commit(41, forged, |builder| builder.force_self_update(true)), Skip::Place);
}

#[test]
fn a_commit_that_hides_whom_it_serves_is_skipped() {
    let (mut world, mut groups) = call(42, 2);
    let mut joining = world.joiner("x");
    let late = candidate(&groups[1], &joining).expect("a good request");
    let built = groups[1].build(Work::Requests(vec![late])).expect("a commit");
    groups[1].discard();
    let mut append = built.append;
    append.header.served = List::default();
    append.signature = groups[1].access_key().sign(Label::Append, &append.header.encode());
    world.hub.append(&append).expect("the hub is blind");
    let entry = world.hub.last();
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Place);
    assert!(joining.again().is_ok());
}

#[test]
fn a_plain_update_is_applied_by_all() {
    let (mut world, mut groups) = call(43, 3);
    let entry = forge(&mut world, &mut groups[3], Forged::of(Action::Update), |builder| builder.force_self_update(true));
    for group in &mut groups[..3] {
        let outcome = applied(group.process(&entry));
        // The forger made no box: people are told, the epoch stands.
        assert_eq!((outcome.epoch, outcome.alarm), (2, Some(Alarm::Unreadable)));
    }
    assert_agree(&groups[..3].iter().collect::<Vec<_>>());
}

#[test]
fn nobody_removes_anybody_under_another_name() {
    fn removes(builder: Filling<'_>) -> Filling<'_> {
        builder.propose_removals([LeafNodeIndex::new(1)])
    }
    assert_eq!(evil_commit(44, Forged::of(Action::Leave), removes), Skip::Policy(Refusal::Note));
    assert_eq!(evil_commit(45, Forged::of(Action::Admit), removes), Skip::Policy(Refusal::Mismatch));
    assert_eq!(evil_commit(46, Forged::of(Action::Swap), removes), Skip::Policy(Refusal::Mismatch));
    assert_eq!(evil_commit(47, Forged::of(Action::Update), removes), Skip::Policy(Refusal::Mismatch));
    assert_eq!(evil_commit(48, Forged::of(Action::Evict), removes), Skip::Policy(Refusal::Mismatch));
    assert_eq!(evil_commit(49, Forged::of(Action::Void), removes), Skip::Policy(Refusal::Right));
}

#[test]
fn a_leave_note_of_somebody_else_removes_nobody() {
    let (mut world, mut groups) = call(50, 3);
    let mut note = groups[3].leave_note();
    note.leaf = Leaf(1);
    let forged = Forged { notes: vec![note], ..Forged::of(Action::Leave) };
    let entry = forge(&mut world, &mut groups[3], forged, |builder| builder.propose_removals([LeafNodeIndex::new(1)]));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Note));
}

#[test]
fn a_leave_note_removes_its_writer_and_nobody_beside() {
    let (mut world, mut groups) = call(51, 3);
    let forged = Forged { notes: vec![groups[2].leave_note()], ..Forged::of(Action::Leave) };
    let entry = forge(&mut world, &mut groups[3], forged, |builder| {
        builder.propose_removals([LeafNodeIndex::new(1), LeafNodeIndex::new(2)])
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Note));
}

#[test]
fn a_leaf_with_another_lifetime_is_skipped_whatever_the_clock_says() {
    for (seed, lifetime) in [(52, Lifetime::init(0, u64::MAX - 1)), (53, Lifetime::init(0, 1))] {
        let (mut world, mut groups) = call(seed, 3);
        let bind = bind(&groups[3]);
        let package = key_package(&mut groups[3], &bind, lifetime, None);
        // A package that has run out cannot even be built upon: sent all the same, it is not valid MLS.
        if lifetime.not_after() == 1 {
            let mut request = stranger(&mut groups[3], &package);
            assert_eq!(opened(&mut groups[3], &mut request), Some(RequestError::KeyPackage));
            continue;
        }
        let mut request = stranger(&mut groups[3], &package);
        assert_eq!(opened(&mut groups[3], &mut request), Some(RequestError::Leaf));
        let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
        let entry = forge(&mut world, &mut groups[3], forged, |builder| builder.propose_adds([package]));
        assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Leaf));
    }
}

#[test]
fn a_leaf_of_another_call_is_skipped() {
    let (mut world, mut groups) = call(54, 3);
    let bind = Bind { call: Call { instance: Instance(2), ..groups[3].call }, ..bind(&groups[3]) };
    let package = key_package(&mut groups[3], &bind, node::lifetime(), None);
    let mut request = stranger(&mut groups[3], &package);
    assert_eq!(opened(&mut groups[3], &mut request), Some(RequestError::Leaf));
    let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
    let entry = forge(&mut world, &mut groups[3], forged, |builder| builder.propose_adds([package]));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Leaf));
}

#[test]
fn a_join_with_a_path_is_skipped_because_strangers_must_not_be_able_to_break_it() {
    let (mut world, mut groups) = call(55, 3);
    let bind = bind(&groups[3]);
    let package = key_package(&mut groups[3], &bind, node::lifetime(), None);
    let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
    let entry = forge(&mut world, &mut groups[3], forged, |builder| builder.force_self_update(true).propose_adds([package]));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Mismatch));
}

#[test]
fn a_join_that_no_request_asked_for_is_skipped() {
    let (mut world, mut groups) = call(56, 3);
    let bind = bind(&groups[3]);
    let package = key_package(&mut groups[3], &bind, node::lifetime(), None);
    let entry = forge(&mut world, &mut groups[3], Forged::of(Action::Admit), |builder| builder.propose_adds([package]));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Mismatch));
}

#[test]
fn a_swap_of_somebody_elses_leaf_is_skipped() {
    let (mut world, mut groups) = call(57, 3);
    let bind = bind(&groups[3]);
    let package = key_package(&mut groups[3], &bind, node::lifetime(), None);
    let forged = Forged { served: 1, ..Forged::of(Action::Swap) };
    let entry = forge(&mut world, &mut groups[3], forged, |builder| {
        builder.propose_removals([LeafNodeIndex::new(0)]).propose_adds([package])
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Mismatch));
}

#[test]
fn a_guest_cannot_change_the_mode_and_a_host_can() {
    let (mut world, mut groups) = call(58, 3);
    let locked = state_with(&groups[3], |state| state.mode = Mode::Locked);
    let entry = forge(&mut world, &mut groups[3], Forged::of(Action::Mode), |builder| {
        builder.propose_group_context_extensions(locked).expect("a proposal")
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Right));

    let locked = state_with(&groups[0], |state| state.mode = Mode::Locked);
    let entry = forge(&mut world, &mut groups[0], Forged::of(Action::Mode), |builder| {
        builder.propose_group_context_extensions(locked).expect("a proposal")
    });
    for group in &mut groups[1..] {
        applied(group.process(&entry));
        assert_eq!(group.state().mode, Mode::Locked);
    }
}

#[test]
fn a_host_cannot_change_what_only_a_record_can() {
    let changes: [fn(&mut RoomState); 3] =
        [|state| state.max_members = 999, |state| state.record = [1; 32], |state| state.title = Text::cut("another")];
    for (seed, change) in (60..).zip(changes) {
        let (mut world, mut groups) = call(seed, 1);
        let changed = state_with(&groups[0], change);
        let entry = forge(&mut world, &mut groups[0], Forged::of(Action::Mode), |builder| {
            builder.propose_group_context_extensions(changed).expect("a proposal")
        });
        assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::State));
    }
}

#[test]
fn a_context_that_is_none_of_ours_is_skipped_even_from_a_host() {
    let spelled = |group: &Group| group.state().encode().to_vec();
    let junk: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| b"junk".to_vec(),
        |state| [state, vec![0]].concat(),
        |mut state| {
            state.truncate(40);
            state
        },
        // Another version of the rules.
        |mut state| {
            state[0] = 3;
            state
        },
    ];
    for (seed, junk) in (170..).zip(junk) {
        let (mut world, mut groups) = call(seed, 2);
        let bytes = junk(spelled(&groups[0]));
        let ours = node::context_extensions(groups[0].state()).expect("extensions");
        let required = ours.iter().next().cloned().expect("what members have to speak");
        let state = Extension::Unknown(crate::state::ROOM_STATE, UnknownExtension(bytes));
        let context = Extensions::from_vec(vec![required, state]).expect("extensions");
        let entry = forge(&mut world, &mut groups[0], Forged::of(Action::Mode), |builder| {
            builder.propose_group_context_extensions(context).expect("a proposal")
        });
        let mut others = groups.split_off(1);
        assert_eq!(all_skip(&mut world, &mut others, &entry), Skip::Policy(Refusal::State));
    }
}

#[test]
fn a_guest_cannot_make_itself_a_host() {
    let (mut world, mut groups) = call(64, 3);
    let key = groups[3].my_key();
    let host = HostEntry { key, delegation: List::default() };
    let mine = state_with(&groups[3], |state| state.hosts = List::new(vec![host]).expect("one"));
    let entry = forge(&mut world, &mut groups[3], Forged::of(Action::Hosts), |builder| {
        builder.propose_group_context_extensions(mine).expect("a proposal")
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::State));
}

#[test]
fn a_path_that_changes_a_name_is_skipped() {
    let (mut world, mut groups) = call(65, 3);
    let extensions = Extensions::from_vec(vec![
        Extension::Unknown(leaf::PROFILE, UnknownExtension(Profile::named("founder").encode().to_vec())),
        Extension::Unknown(leaf::BIND, UnknownExtension(bind(&groups[3]).encode().to_vec())),
    ])
    .expect("extensions");
    let entry = forge(&mut world, &mut groups[3], Forged::of(Action::Update), |builder| {
        builder.force_self_update(true).leaf_node_parameters(LeafNodeParameters::builder().with_extensions(extensions).build())
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Leaf));
}

#[test]
fn a_box_with_other_secrets_is_an_alarm_and_no_skip() {
    let (mut world, mut groups) = call(66, 3);
    groups[3].link = crate::room::LinkSecret::new([1; 32]);
    let built = groups[3].build(Work::Reap { leaves: vec![Leaf(2)], votes: Vec::new() }).expect("a commit");
    world.hub.append(&built.append).expect("appended");
    let outcome = applied(groups[0].process(&world.hub.last()));
    assert_eq!(outcome.alarm, Some(Alarm::Secrets));
    assert_eq!(outcome.epoch, 2);
}

#[test]
fn an_own_commit_that_was_given_up_too_early_is_a_fault_and_not_a_skip() {
    let (mut world, mut groups) = call(67, 2);
    let joining = world.joiner("late");
    let late = candidate(&groups[0], &joining).expect("a good request");
    let built = groups[0].build(Work::Requests(vec![late])).expect("a commit");
    world.hub.append(&built.append).expect("appended");
    groups[0].discard();
    let entry = world.hub.last();
    assert_eq!(groups[0].process(&entry), Outcome::Fault(Fault::OwnForgotten));
    applied(groups[1].process(&entry));
    applied(groups[2].process(&entry));
    let lost = groups.remove(0);
    let (first, second) = groups.split_at_mut(1);
    let mut back = lost.rejoin().expect("a way back");
    let again = candidate(&first[0], &back).expect("a good request");
    let built = first[0].build(Work::Requests(vec![again])).expect("a commit");
    world.commit(&mut first[0], &mut [&mut second[0]], &built);
    let back = back.admitted(&world.hub.answer(back.id()).expect("served")).expect("admitted");
    assert_agree(&[&first[0], &second[0], &back]);
    assert!(first[0].is_host(back.me()), "a host who comes back is still one");
}

#[test]
fn what_the_hub_did_not_say_moves_nothing() {
    let (mut world, mut groups) = call(68, 2);
    let mut joining = [world.joiner("late")];
    let (first, second) = groups.split_at_mut(1);
    world.admit(&mut first[0], &mut [&mut second[1]], &mut joining);
    let genuine = world.hub.last();

    let mut other_hub = genuine.clone();
    other_hub.head = HubHead::sign(&SigningKey::from_seed([1; 32]), &genuine.header, NOW);
    assert_eq!(second[0].process(&other_hub), Outcome::NotGenuine);
    let mut other_body = genuine.clone();
    other_body.commit = Blob::new(Bytes::from_static(b"other")).expect("short");
    assert_eq!(second[0].process(&other_body), Outcome::NotGenuine);
    // A relay on the way can neither feign a fork nor a gap: both would send us the long way back.
    let mut fork = genuine.clone();
    fork.header.prev_head = Head::new([3; 32]);
    assert_eq!(second[0].process(&fork), Outcome::NotGenuine);
    let mut gap = genuine.clone();
    gap.header.seq += 1;
    assert_eq!(second[0].process(&gap), Outcome::NotGenuine);
    let fork = world.hub.vouch(fork);
    assert_eq!(second[0].process(&fork), Outcome::OutOfLine(OutOfLine::Fork));
    applied(second[0].process(&genuine));
    assert_agree(&[&first[0], &second[0], &second[1]]);
}

#[test]
fn an_answer_that_does_not_fit_lets_nobody_in() {
    let (mut world, mut groups) = call(69, 1);
    let mut joining = world.joiner("late");
    let late = candidate(&groups[0], &joining).expect("a good request");
    let built = groups[0].build(Work::Requests(vec![late])).expect("a commit");
    let (first, second) = groups.split_at_mut(1);
    world.commit(&mut first[0], &mut [&mut second[0]], &built);
    let answer = world.hub.answer(joining.id()).expect("served");

    let mut other = answer.clone();
    other.header.served = List::default();
    assert_eq!(joining.admitted(&other).err(), Some(JoinError::Answer));
    let mut other = answer.clone();
    other.welcome = Blob::new(Bytes::from_static(b"junk")).expect("short");
    assert_eq!(joining.admitted(&other).err(), Some(JoinError::Answer));
    let mut other = answer.clone();
    other.head = HubHead::sign(&SigningKey::from_seed([1; 32]), &answer.header, NOW);
    assert_eq!(joining.admitted(&other).err(), Some(JoinError::Answer));
    let mut stranger = world.joiner("stranger");
    assert_eq!(stranger.admitted(&answer).err(), Some(JoinError::Answer));
    // Only a box that is not the epoch's gets past the hub's word: the hub does not sign it for the joiner.
    let mut other = answer.clone();
    other.epoch_box = Blob::new(Bytes::from_static(b"junk")).expect("short");
    assert_eq!(joining.admitted(&other).err(), Some(JoinError::Box));
}

#[test]
fn a_record_that_the_group_does_not_stand_on_is_refused() {
    let (mut world, mut groups) = call(70, 1);
    let mut lobby = world.lobby();
    lobby.record.seq += 1;
    lobby.record.sign(&world.room.founder);
    let mut joining = crate::group::Joining::new(world.seed(), lobby, Profile::named("x"), None, [0; 32]).expect("a joiner");
    let late = candidate(&groups[0], &joining).expect("a good request");
    let built = groups[0].build(Work::Requests(vec![late])).expect("a commit");
    let (first, second) = groups.split_at_mut(1);
    world.commit(&mut first[0], &mut [&mut second[0]], &built);
    let answer = world.hub.answer(joining.id()).expect("served");
    assert_eq!(joining.admitted(&answer).err(), Some(JoinError::Group));
}

/// A request by a stranger who holds the link.
fn stranger(evil: &mut Group, package: &KeyPackage) -> Request {
    use openmls::prelude::tls_codec::Serialize;
    let bytes = package.tls_serialize_detached().expect("bytes");
    Request {
        id: JoinId::new([5; 16]),
        instance: evil.instance(),
        kind: RequestKind::Join,
        attempt: 1,
        key_package: Blob::new(bytes.into()).expect("short"),
        note: None,
        fault: None,
        reply: [0; 32],
        key: evil.my_key(),
        signature: Signature::new([0; 64]),
    }
}

fn opened(group: &mut Group, request: &mut Request) -> Option<RequestError> {
    let key = SigningKey::from_seed([8; 32]);
    request.sign(&key);
    let mut rng = fork(&mut group.rng);
    let body = request.seal(&mut rng, &group.join_keys, group.room(), &group.record.keys(group.call_keys()).1).expect("sealed");
    group.open_request(&conclave_federation::wire::object::Knock { id: request.id, generation: group.generation(), body }).err()
}

#[test]
fn a_request_is_signed_by_the_leaf_that_it_brings() {
    let (_, mut groups) = call(71, 1);
    let bind = bind(&groups[0]);
    let package = key_package(&mut groups[0], &bind, node::lifetime(), None);
    let mut request = stranger(&mut groups[0], &package);
    assert_eq!(opened(&mut groups[0], &mut request), Some(RequestError::Signature));
}

#[test]
fn one_bad_key_package_does_not_keep_the_others_out() {
    let (mut world, mut groups) = call(72, 1);
    let joining: Vec<_> = (0..5).map(|at| world.joiner(&format!("good {at}"))).collect();
    let mut candidates: Vec<_> = joining.iter().map(|joining| candidate(&groups[0], joining).expect("a good request")).collect();
    // Two requests that bring one encryption key: each is valid, together they spoil any commit.
    let bind = bind(&groups[0]);
    let same = fork(&mut groups[0].rng);
    for (at, place) in [(1, 1), (2, 4)] {
        groups[0].rng = same.clone();
        let signer = LeafSigner(SigningKey::from_seed([at; 32]));
        let key_package = key_package(&mut groups[0], &bind, node::lifetime(), Some(signer));
        let mut twin = candidates[0].clone();
        twin.id = JoinId::new([at; 16]);
        twin.key = SigningKey::from_seed([at; 32]).verifying_key();
        twin.key_package = key_package;
        candidates.insert(place, twin);
    }
    let built = groups[0].build(Work::Requests(candidates)).expect("a commit");
    assert_eq!(built.refused, [JoinId::new([2; 16])]);
    assert_eq!(built.served.len(), 6);
    let (first, second) = groups.split_at_mut(1);
    let own = world.commit(&mut first[0], &mut [&mut second[0]], &built);
    assert_eq!(own.added.len(), 6);
}

#[test]
fn of_several_requests_of_one_asker_the_latest_is_served() {
    let (mut world, mut groups) = call(73, 1);
    let mut joining = world.joiner("impatient");
    let first = candidate(&groups[0], &joining).expect("a good request");
    joining.again().expect("a new request");
    let second = candidate(&groups[0], &joining).expect("a good request");
    let built = groups[0].build(Work::Requests(vec![first.clone(), second])).expect("a commit");
    assert_eq!(built.served, [joining.id()]);
    assert_eq!(built.refused, [first.id]);
    let (one, two) = groups.split_at_mut(1);
    world.commit(&mut one[0], &mut [&mut two[0]], &built);
    assert!(joining.admitted(&world.hub.answer(joining.id()).expect("served")).is_ok());
}

#[test]
fn an_append_is_accepted_for_the_relay_that_orders_the_log_alone() {
    let (mut world, mut groups) = call(74, 1);
    let built = groups[0].build(Work::Reap { leaves: vec![Leaf(1)], votes: Vec::new() }).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    let mut lie = head.clone();
    lie.head = Head::new([1; 32]);
    assert_eq!(groups[0].appended(&lie), Outcome::NotGenuine);
    assert!(head.verify(groups[0].record().hub().expect("a hub").relay));
    assert!(!head.verify(RelayId::new([1; 32])));
    applied(groups[0].appended(&head));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any bytes in the place of a commit: skipped, by all alike, and nothing panics.
    #[test]
    fn any_commit_bytes_are_skipped(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (mut world, mut groups) = call(75, 1);
        let entry = offer(&mut world, &mut groups[1], &bytes, List::default());
        for group in &mut groups {
            let skipped = matches!(group.process(&entry), Outcome::Skipped { .. });
            prop_assert!(skipped);
        }
    }

    /// A genuine commit with one byte changed: skipped, by all alike.
    #[test]
    fn a_commit_with_a_byte_changed_is_skipped(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut world, mut groups) = call(76, 2);
        let built = groups[2].build(Work::Reap { leaves: vec![Leaf(1)], votes: Vec::new() }).expect("a commit");
        let sealed = built.append.commit.bytes();
        let place = Part::Commit.associated(&built.append.header);
        let mut plain = groups[2].keys.entry.open(&place, sealed).expect("opened").to_vec();
        groups[2].discard();
        let at = at.index(plain.len());
        plain[at] ^= 1 << bit;
        let entry = offer(&mut world, &mut groups[2], &plain, List::default());
        // Its maker could know better; whoever changes their own bytes has themselves to thank.
        let outcomes: Vec<_> = groups[..2].iter_mut().map(|group| group.process(&entry)).collect();
        for outcome in &outcomes {
            let skipped = matches!(outcome, Outcome::Skipped { .. });
            prop_assert!(skipped, "{:?}", outcome);
            prop_assert_eq!(outcome, &outcomes[0]);
        }
    }

    /// An eviction whose record was changed on its way, with a hub that says yes to it: skipped, by all alike.
    #[test]
    fn a_record_with_a_byte_changed_is_skipped(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut world, mut groups) = call(79, 2);
        let built = groups[0].build(Work::Evict(vec![Leaf(2)])).expect("a commit");
        groups[0].discard();
        let mut append = built.append;
        let mut bytes = append.record.as_ref().expect("a record").encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // What is no record is no entry.
        let Ok(record) = conclave_federation::record::RoomRecord::decode(&Bytes::from(bytes)) else { return Ok(()) };
        append.record = Some(record);
        append.header.body_hash = conclave_federation::wire::message::EntryHeader::body_hash(
            &append.commit,
            &append.epoch_box,
            append.record.as_ref(),
        );
        world.hub.take_anything(&append);
        let entry = world.hub.last();
        for group in &mut groups[1..] {
            let outcome = group.process(&entry);
            let skipped = matches!(outcome, Outcome::Skipped { skip: Skip::Policy(_), .. });
            prop_assert!(skipped, "{:?}", outcome);
            prop_assert_eq!(group.generation().0, 0);
        }
    }

    /// Any bytes in the place of a chat message or a request.
    #[test]
    fn any_bytes_are_no_chat_and_no_request(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let (_, mut groups) = call(77, 1);
        prop_assert!(groups[0].open_chat(&bytes).is_err());
        let body = Blob::new(Bytes::from(bytes)).expect("short");
        let knock = conclave_federation::wire::object::Knock { id: JoinId::new([1; 16]), generation: groups[0].generation(), body };
        prop_assert!(groups[0].open_request(&knock).is_err());
    }

    /// A genuine request with one byte changed.
    #[test]
    fn a_request_with_a_byte_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (mut world, groups) = call(78, 1);
        let joining = world.joiner("x");
        let mut knock = knock(&joining.request(NOW).expect("a request"));
        let mut bytes = knock.body.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        knock.body = Blob::new(bytes.into()).expect("short");
        prop_assert_eq!(groups[0].open_request(&knock).err(), Some(RequestError::Seal));
    }
}

//! Who comes in, and what has to hold of the leaf they bring and of the call they are shown.

use conclave_federation::{
    id::{Generation, Instance},
    log::Log,
    proof::{Signature, SigningKey},
    record::CallKeys,
    wire::code::Code,
};
use openmls::prelude::LeafNodeIndex;

use super::{
    forge::{Forged, all_skip, bind, call, forge, key_package},
    world::{World, assert_agree, candidate, skipped},
};
use crate::{
    group::{Action, Authority, BuildError, FoundError, Founding, Group, JoinError, Joining, Lobby, Skip, Work, node},
    leaf::{Bind, Profile},
    policy::{MAX_LEAF_AGE, Refusal},
    room::AccessSecret,
    state::Mode,
};

/// Whoever has the link, and nothing else of the room.
fn stranger(world: &World, instance: Instance) -> Founding {
    Founding {
        record: world.room.record.clone(),
        link: world.room.link.clone(),
        access: None,
        retired: Vec::new(),
        instance,
        profile: Profile::named("stranger"),
        commitment: [9; 32],
        founder: None,
        title: String::new(),
        mode: Mode::Open,
    }
}

#[test]
fn the_link_alone_begins_a_call_and_with_it_an_access_secret_of_its_own() {
    let (mut world, founder) = World::new(120, 10);
    let (mut first, genesis) = Group::found([1; 32], &stranger(&world, Instance(2))).expect("a call");
    assert_ne!(first.access(), founder.access());
    assert_ne!(first.access(), &world.room.access);
    world.hub.begin(Log::new(world.room.record.room, Instance(2)), &genesis).expect("a genesis");
    world.group_id = genesis.commit.bytes().clone();

    // Nobody is a host, until the founder comes.
    assert!(first.members().all(|member| !member.host));
    let lobby = Lobby { instance: Instance(2), ..world.lobby() };
    let key = world.room.founder.clone();
    let joining = Joining::new([2; 32], lobby, Profile::named("founder"), Some(&key), [3; 32]).expect("a joiner");
    let mut joining = [joining];
    let mut back = world.admit(&mut first, &mut [], &mut joining);
    assert_agree(&[&first, &back[0]]);
    assert!(first.is_host(back[0].me()));
    assert_eq!(back[0].authority(), Some(Authority::Founder));
    assert_eq!(first.member(back[0].me()).map(|member| member.bind.commitment), Some([3; 32]));
    // The record's keys take over with the next generation.
    let built = back[0].build(Work::Rotate).expect("a commit");
    world.commit(&mut back[0], &mut [&mut first], &built);
    assert_eq!(first.access_key().verifying_key(), world.hub.record.access);
    let built = first.build(Work::Update).expect("a commit");
    world.commit(&mut first, &mut [&mut back[0]], &built);
}

#[test]
fn where_a_host_is_required_the_link_alone_begins_nothing() {
    let (mut world, _) = World::new(121, 10);
    world.room.record.host_required = true;
    world.room.record.sign(&world.room.founder);
    let founding = stranger(&world, Instance(2));
    assert_eq!(Group::found([1; 32], &founding).err(), Some(FoundError::HostRequired));
    let founding = Founding { founder: Some(world.room.founder.clone()), ..founding };
    let (_, genesis) = Group::found([1; 32], &founding).expect("a call");
    assert!(genesis.reserve.is_some());
    world.hub.record = world.room.record.clone();
    let mut without = genesis.clone();
    without.reserve = None;
    assert_eq!(world.hub.begin(Log::new(world.room.record.room, Instance(2)), &without), Err(Code::BAD_PROOF));
    world.hub.begin(Log::new(world.room.record.room, Instance(2)), &genesis).expect("a genesis");
}

#[test]
fn an_access_secret_that_is_not_the_records_begins_nothing() {
    let (world, _) = World::new(122, 10);
    let founding = Founding { access: Some(AccessSecret::new([1; 32])), ..stranger(&world, Instance(2)) };
    assert_eq!(Group::found([1; 32], &founding).err(), Some(FoundError::Secrets));
    let founding = Founding { access: Some(world.room.access.clone()), ..stranger(&world, Instance(2)) };
    let (group, genesis) = Group::found([1; 32], &founding).expect("a call");
    assert!(genesis.call.is_none() && group.call_keys().is_none());
}

#[test]
fn keys_of_a_call_that_no_holder_of_the_link_chose_are_refused() {
    let (world, _) = World::new(123, 10);
    let lobby = world.lobby();
    let genuine = lobby.call.clone().expect("a call with keys of its own");
    let joining = |call: CallKeys| {
        let lobby = Lobby { call: Some(call), ..world.lobby() };
        Joining::new([1; 32], lobby, Profile::named("x"), None, [0; 32]).err()
    };
    assert_eq!(joining(genuine.clone()), None);
    assert_eq!(joining(CallKeys { lobby: [1; 32], ..genuine.clone() }), Some(JoinError::Keys));
    assert_eq!(joining(CallKeys { instance: Instance(2), ..genuine.clone() }), Some(JoinError::Keys));
    assert_eq!(joining(CallKeys { signature: Signature::new([0; 64]), ..genuine.clone() }), Some(JoinError::Keys));
    let other = SigningKey::from_seed([7; 32]);
    let forged = CallKeys::issue(&other, genuine.room, genuine.instance, Generation(0), genuine.access, genuine.lobby);
    assert_eq!(joining(forged), Some(JoinError::Keys));
}

#[test]
fn whoever_is_shown_other_keys_than_the_call_has_does_not_take_the_room_for_it() {
    let (mut world, mut founder) = World::new(124, 10);
    // By somebody with the link and the hub: a request to a lobby of their own, which the room cannot open.
    let genuine = world.hub.call.clone().expect("keys");
    let mut joining = world.joiner("x");
    let late = candidate(&founder, &joining).expect("a good request");
    let built = founder.build(Work::Requests(vec![late])).expect("a commit");
    world.commit(&mut founder, &mut [], &built);
    let answer = world.hub.answer(joining.id()).expect("served");
    let keys = world.room.link.keys_of(&world.room.record).expect("its link");
    let access = AccessSecret::new([8; 32]).keys(genuine.room, Generation(0));
    let (access, lobby) = (access.sign.verifying_key(), *access.lobby.public());
    let lie = CallKeys::issue(&keys.sign, genuine.room, genuine.instance, Generation(0), access, lobby);
    let lobby = Lobby { call: Some(lie), ..world.lobby() };
    let misled = Joining::new([1; 32], lobby, Profile::named("misled"), None, [0; 32]).expect("a joiner");
    assert!(candidate(&founder, &misled).is_err());
    assert!(joining.admitted(&answer).is_ok());
}

#[test]
fn a_leaf_that_was_made_too_long_ago_or_not_yet_is_skipped_by_all() {
    for (seed, seq) in [(125, 0), (126, 300)] {
        let (mut world, mut groups) = call(seed, 2);
        // As if the log were longer than a leaf may be old.
        for _ in 0..(if seq == 0 { MAX_LEAF_AGE } else { 0 }) {
            let entry = super::forge::offer(&mut world, &mut groups[2], b"junk", conclave_federation::wire::List::default());
            for group in &mut groups {
                skipped(group.process(&entry));
            }
        }
        let stale = Bind { seq, ..bind(&groups[2]) };
        let package = key_package(&mut groups[2], &stale, node::lifetime(), None);
        let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
        let entry = forge(&mut world, &mut groups[2], forged, |builder| builder.propose_adds([package]));
        assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Stale));
    }
}

#[test]
fn coming_back_makes_nobody_older() {
    let (mut world, mut groups) = call(127, 2);
    let before = groups[0].member(groups[1].me()).expect("a member").bind.seq;
    let built = groups[0].build(Work::Update).expect("a commit");
    let (first, others) = groups.split_at_mut(1);
    world.commit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &built);
    let evil = groups.remove(1);
    let signer = crate::group::LeafSigner(evil.signer.0.clone());
    let older = Bind { seq: before - 1, ..bind(&evil) };
    let package = key_package(&mut groups[1], &older, node::lifetime(), Some(signer));
    let leaf = evil.me();
    let forged = Forged { served: 1, ..Forged::of(Action::Swap) };
    let entry = forge(&mut world, &mut groups[1], forged, |builder| {
        builder.propose_removals([LeafNodeIndex::new(leaf.0)]).propose_adds([package])
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Stale));
    // The honest way: they are as old as their new leaf, under the same key and the same commitment.
    let mut joining = [evil.rejoin().expect("a way back")];
    let (first, others) = groups.split_at_mut(1);
    let back = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    let member = first[0].member(back[0].me()).expect("a member");
    assert!(member.bind.seq > before);
    assert_eq!(member.bind.commitment, [2; 32]);
}

#[test]
fn nobody_comes_into_a_locked_room_but_who_was_in_it() {
    let (mut world, mut groups) = call(128, 2);
    let built = groups[0].build(Work::Mode(Mode::Locked)).expect("a commit");
    let (first, others) = groups.split_at_mut(1);
    world.commit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &built);
    let joining = world.joiner("late");
    let late = candidate(&groups[0], &joining).expect("a good request");
    assert_eq!(groups[0].build(Work::Requests(vec![late])).err(), Some(BuildError::Policy(Refusal::Right)));
    let fresh = bind(&groups[0]);
    let package = key_package(&mut groups[0], &fresh, node::lifetime(), None);
    let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
    let entry = forge(&mut world, &mut groups[0], forged, |builder| builder.propose_adds([package]));
    for group in &mut groups {
        assert_eq!(skipped(group.process(&entry)), Skip::Policy(Refusal::Right));
    }
    let back = groups.remove(2).rejoin().expect("a way back");
    let mut joining = [back];
    let (first, others) = groups.split_at_mut(1);
    let back = world.admit(&mut others[0], &mut [&mut first[0]], &mut joining);
    assert_agree(&[&first[0], &others[0], &back[0]]);
}

#[test]
fn somebody_who_knocks_can_open_nothing_before_a_host_has_let_them_in() {
    let (mut world, mut founder) = World::in_mode(129, 10, Mode::Knock);
    let mut joining = [world.joiner("first")];
    let mut guests = world.admit(&mut founder, &mut [], &mut joining);
    let knocks = world.joiner("knocks");
    let late = candidate(&guests[0], &knocks).expect("a good request");
    // A guest who does it all the same moves nobody.
    let fresh = bind(&guests[0]);
    let package = key_package(&mut guests[0], &fresh, node::lifetime(), None);
    let forged = Forged { served: 1, ..Forged::of(Action::Admit) };
    let entry = forge(&mut world, &mut guests[0], forged, |builder| builder.propose_adds([package]));
    assert_eq!(skipped(founder.process(&entry)), Skip::Policy(Refusal::Right));
    skipped(guests[0].process(&entry));
    assert_eq!(world.hub.answer(knocks.id()).map(|_| ()), None);
    let built = founder.build(Work::Requests(vec![late])).expect("a commit");
    assert_eq!(built.action, Some(Action::Admit));
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    let mut knocks = knocks;
    let inside = knocks.admitted(&world.hub.answer(knocks.id()).expect("served")).expect("admitted");
    assert_agree(&[&founder, &guests[0], &inside]);
}

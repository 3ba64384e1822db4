//! What participants do together where nobody may act alone.

use conclave_federation::wire::message::HubHead;
use openmls::prelude::LeafNodeIndex;

use super::{
    forge::{Forged, all_skip, call, forge, state_with},
    world::{World, applied, assert_agree, names, skipped},
};
use crate::{
    group::{
        Action, BuildError, Cut, Departure, Group, Leaf, SENIORITY_MS, Skip, VOTE_LIFE, Vote, VoteKind, Work, tests::forge::offer,
    },
    policy::Refusal,
    state::Mode,
};

fn vote(by: &Group, about: &Group, kind: VoteKind) -> Vote {
    by.cast(about.me(), kind).expect("somebody who is here")
}

fn all<const N: usize>(groups: &[Group], voters: [usize; N], about: usize, kind: VoteKind) -> Vec<Vote> {
    voters.iter().map(|at| vote(&groups[*at], &groups[about], kind)).collect()
}

/// What `by` builds is done; whoever it removes does not follow.
fn done(world: &mut World, by: usize, groups: &mut [Group], work: Work) -> crate::group::Applied {
    let built = groups[by].build(work).expect("a commit");
    let mut actor = None;
    let mut others = Vec::new();
    for (at, group) in groups.iter_mut().enumerate() {
        if at == by { actor = Some(group) } else { others.push(group) }
    }
    world.commit(actor.expect("somebody"), &mut others, &built)
}

/// A closed room of five; the last is silent.
fn closed(seed: u8, mode: Mode) -> (World, Vec<Group>) {
    let (mut world, mut groups) = call(seed, 4);
    done(&mut world, 0, &mut groups, Work::Mode(mode));
    (world, groups)
}

#[test]
fn in_a_closed_room_more_than_half_remove_the_silent_and_one_less_do_not() {
    for (seed, mode) in [(140, Mode::Knock), (141, Mode::Locked)] {
        let (mut world, mut groups) = closed(seed, mode);
        let leaves = vec![groups[4].me()];
        let two = all(&groups, [1, 2], 4, VoteKind::Unseen);
        let built = groups[1].build(Work::Reap { leaves: leaves.clone(), votes: two.clone() });
        assert_eq!(built.err(), Some(BuildError::Policy(Refusal::Votes)));
        let none = groups[1].build(Work::Reap { leaves: leaves.clone(), votes: Vec::new() });
        assert_eq!(none.err(), Some(BuildError::Policy(Refusal::Right)));
        let three = all(&groups, [1, 2, 3], 4, VoteKind::Unseen);
        groups.truncate(4);
        let removed = done(&mut world, 1, &mut groups, Work::Reap { leaves, votes: three }).removed;
        assert_eq!(removed.iter().map(|(_, how)| *how).collect::<Vec<_>>(), [Departure::Reaped]);
        assert_agree(&groups.iter().collect::<Vec<_>>());
        assert_eq!(names(&groups[3]).len(), 4);
    }
}

#[test]
fn a_host_reaps_in_a_closed_room_without_any_votes() {
    let (mut world, mut groups) = closed(142, Mode::Knock);
    let silent = groups.pop().expect("a guest");
    done(&mut world, 0, &mut groups, Work::Reap { leaves: vec![silent.me()], votes: Vec::new() });
    assert_agree(&groups.iter().collect::<Vec<_>>());
}

/// A guest reaps the last one with these votes by hand; everybody skips it.
fn forged_reap(seed: u8, votes: impl FnOnce(&mut World, &mut [Group]) -> Vec<Vote>) -> Skip {
    let (mut world, mut groups) = closed(seed, Mode::Knock);
    let votes = votes(&mut world, &mut groups);
    let leaf = groups[4].me();
    let forged = Forged { votes, ..Forged::of(Action::Reap) };
    let entry = forge(&mut world, &mut groups[1], forged, |builder| builder.propose_removals([LeafNodeIndex::new(leaf.0)]));
    all_skip(&mut world, &mut groups, &entry)
}

#[test]
fn votes_that_do_not_count_remove_nobody() {
    let too_few = |_: &mut World, groups: &mut [Group]| all(groups, [1, 2], 4, VoteKind::Unseen);
    assert_eq!(forged_reap(143, too_few), Skip::Policy(Refusal::Votes));
    let twice = |_: &mut World, groups: &mut [Group]| all(groups, [1, 2, 2], 4, VoteKind::Unseen);
    assert_eq!(forged_reap(144, twice), Skip::Policy(Refusal::Votes));
    let about_another = |_: &mut World, groups: &mut [Group]| {
        [all(groups, [1, 2], 4, VoteKind::Unseen), all(groups, [0], 3, VoteKind::Unseen)].concat()
    };
    assert_eq!(forged_reap(145, about_another), Skip::Policy(Refusal::Votes));
    let of_another_kind = |_: &mut World, groups: &mut [Group]| all(groups, [1, 2, 3], 4, VoteKind::Remove);
    assert_eq!(forged_reap(146, of_another_kind), Skip::Policy(Refusal::Votes));
    let by_the_silent = |_: &mut World, groups: &mut [Group]| all(groups, [1, 2, 4], 4, VoteKind::Unseen);
    assert_eq!(forged_reap(147, by_the_silent), Skip::Policy(Refusal::Votes));
    let not_signed = |_: &mut World, groups: &mut [Group]| {
        let mut votes = all(groups, [1, 2, 3], 4, VoteKind::Unseen);
        votes[2].key = groups[0].my_key();
        votes[2].leaf = groups[0].me();
        votes
    };
    assert_eq!(forged_reap(148, not_signed), Skip::Policy(Refusal::Votes));
    let not_here = |_: &mut World, groups: &mut [Group]| {
        let mut votes = all(groups, [1, 2, 3], 4, VoteKind::Unseen);
        votes[2].leaf = Leaf(99);
        votes
    };
    assert_eq!(forged_reap(149, not_here), Skip::Policy(Refusal::Votes));
    let kept_for_later = |world: &mut World, groups: &mut [Group]| {
        let votes = all(groups, [1, 2, 3], 4, VoteKind::Unseen);
        for _ in 0..=VOTE_LIFE {
            let entry = offer(world, &mut groups[1], b"junk", conclave_federation::wire::List::default());
            for group in groups.iter_mut() {
                skipped(group.process(&entry));
            }
        }
        votes
    };
    assert_eq!(forged_reap(150, kept_for_later), Skip::Policy(Refusal::Votes));
}

#[test]
fn votes_are_looked_at_only_where_they_mean_something() {
    let (mut world, mut groups) = call(151, 2);
    let votes = all(&groups, [1], 2, VoteKind::Unseen);
    let forged = Forged { votes, ..Forged::of(Action::Update) };
    let entry = forge(&mut world, &mut groups[1], forged, |builder| builder.force_self_update(true));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Mismatch));
}

/// A founder and four guests who have been here for six minutes.
fn old_call(seed: u8) -> (World, Vec<Group>) {
    let (mut world, mut groups) = call(seed, 4);
    world.hub.time += SENIORITY_MS + 60_000;
    done(&mut world, 1, &mut groups, Work::Update);
    (world, groups)
}

#[test]
fn two_thirds_put_somebody_out_and_lock_the_room_and_one_less_do_not() {
    let (mut world, mut groups) = old_call(152);
    let leaf = groups[4].me();
    let two = all(&groups, [1, 2], 4, VoteKind::Remove);
    let built = groups[1].build(Work::Vote { leaf, votes: two.clone() });
    assert_eq!(built.err(), Some(BuildError::Policy(Refusal::Votes)));
    let cut = groups[1].cut();
    let locked = state_with(&groups[1], |state| state.mode = Mode::Locked);
    let forged = Forged { votes: two, cut, ..Forged::of(Action::Vote) };
    let entry = forge(&mut world, &mut groups[1], forged, |builder| {
        let builder = builder.propose_group_context_extensions(locked).expect("a proposal");
        builder.propose_removals([LeafNodeIndex::new(leaf.0)])
    });
    for group in &mut groups {
        assert_eq!(skipped(group.process(&entry)), Skip::Policy(Refusal::Votes));
    }
    let three = all(&groups, [1, 2, 3], 4, VoteKind::Remove);
    let mut out = groups.pop().expect("a guest");
    let own = done(&mut world, 1, &mut groups, Work::Vote { leaf, votes: three });
    assert_eq!(own.removed.iter().map(|(_, how)| *how).collect::<Vec<_>>(), [Departure::VotedOut]);
    assert_agree(&groups.iter().collect::<Vec<_>>());
    assert_eq!(groups[2].state().mode, Mode::Locked);
    assert_eq!(groups[2].generation(), out.generation());
    assert!(applied(out.process(&world.hub.last())).removed_me);
    assert_ne!(out.sframe_base_key(), groups[0].sframe_base_key());
    // A host opens the room again.
    done(&mut world, 0, &mut groups, Work::Mode(Mode::Open));
}

#[test]
fn who_came_with_a_crowd_votes_nobody_out() {
    let (mut world, mut groups) = old_call(153);
    let mut joining: Vec<_> = (0..6).map(|at| world.joiner(&format!("crowd {at}"))).collect();
    let (first, others) = groups.split_at_mut(1);
    let crowd = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    groups.extend(crowd);
    let leaf = groups[1].me();
    let votes = all(&groups, [5, 6, 7, 8, 9, 10], 1, VoteKind::Remove);
    let built = groups[5].build(Work::Vote { leaf, votes });
    // They have not even seen what shows who has been here for long.
    assert_eq!(built.err(), Some(BuildError::TooEarly));
    let votes = all(&groups, [5, 6, 7, 8, 9, 10], 1, VoteKind::Remove);
    let built = groups[2].build(Work::Vote { leaf, votes });
    assert_eq!(built.err(), Some(BuildError::Policy(Refusal::Votes)));
    // Nor do they keep those who were here from it.
    let votes = all(&groups, [0, 2, 3], 1, VoteKind::Remove);
    groups.remove(1);
    let own = done(&mut world, 1, &mut groups, Work::Vote { leaf, votes });
    assert_eq!(own.removed.len(), 1);
}

#[test]
fn nobody_votes_a_host_out() {
    let (_, mut groups) = old_call(154);
    let votes = all(&groups, [1, 2, 3, 4], 0, VoteKind::Remove);
    let built = groups[1].build(Work::Vote { leaf: Leaf(0), votes });
    assert_eq!(built.err(), Some(BuildError::Policy(Refusal::Right)));
}

#[test]
fn nobody_votes_before_five_minutes_have_passed_in_the_log() {
    let (mut world, mut groups) = call(155, 4);
    let leaf = groups[4].me();
    let votes = all(&groups, [1, 2, 3], 4, VoteKind::Remove);
    let built = groups[1].build(Work::Vote { leaf, votes: votes.clone() });
    assert_eq!(built.err(), Some(BuildError::TooEarly));
    assert_eq!(groups[1].last_head().map(|head| head.time), Some(world.hub.time));
    // Time alone is nothing: the log has to show it.
    world.hub.time += SENIORITY_MS;
    let built = groups[1].build(Work::Vote { leaf, votes: votes.clone() });
    assert_eq!(built.err(), Some(BuildError::TooEarly));
    done(&mut world, 2, &mut groups, Work::Update);
    groups[1].build(Work::Vote { leaf, votes }).expect("a commit");
}

/// Votes that would do, and a cut that does not show what it should.
fn forged_cut(seed: u8, change: impl FnOnce(&World, &mut Cut)) -> Skip {
    let (mut world, mut groups) = old_call(seed);
    done(&mut world, 1, &mut groups, Work::Update);
    let mut cut = groups[1].cut().expect("a cut");
    change(&world, &mut cut);
    let leaf = groups[4].me();
    let votes = all(&groups, [1, 2, 3], 4, VoteKind::Remove);
    let locked = state_with(&groups[1], |state| state.mode = Mode::Locked);
    let forged = Forged { votes, cut: Some(cut), ..Forged::of(Action::Vote) };
    let entry = forge(&mut world, &mut groups[1], forged, |builder| {
        let builder = builder.propose_group_context_extensions(locked).expect("a proposal");
        builder.propose_removals([LeafNodeIndex::new(leaf.0)])
    });
    let mut reasons: Vec<_> = groups.iter_mut().map(|group| skipped(group.process(&entry))).collect();
    reasons.dedup();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons.remove(0)
}

#[test]
fn who_may_vote_is_what_the_hub_said_and_nothing_else() {
    let refused = Skip::Policy(Refusal::Votes);
    // Older words than the newest that are old enough would leave fewer who may vote.
    assert_eq!(
        forged_cut(156, |world, cut| {
            cut.earlier = world.hub.entries[0].head.clone();
            cut.next = world.hub.entries[1].head.clone();
        }),
        refused
    );
    // Newer ones would leave more.
    assert_eq!(
        forged_cut(157, |world, cut| {
            cut.earlier = world.hub.entries[2].head.clone();
            cut.next = world.hub.entries[3].head.clone();
        }),
        refused
    );
    assert_eq!(forged_cut(158, |_, cut| cut.last = cut.next.clone()), refused);
    assert_eq!(forged_cut(159, |_, cut| cut.earlier.time -= 1), refused);
    assert_eq!(
        forged_cut(160, |world, cut| {
            let stranger = conclave_federation::proof::SigningKey::from_seed([4; 32]);
            cut.earlier = HubHead::sign(&stranger, &world.hub.entries[1].header, cut.earlier.time);
        }),
        refused
    );
    assert_eq!(
        forged_cut(161, |world, cut| {
            let mut header = world.hub.entries[1].header.clone();
            header.instance = conclave_federation::id::Instance(7);
            cut.earlier = HubHead::sign(&world.hub.key, &header, cut.earlier.time);
        }),
        refused
    );
}

#[test]
fn a_vote_locks_the_room_and_does_nothing_else() {
    for (seed, mode) in [(162, Mode::Open), (163, Mode::Knock)] {
        let (mut world, mut groups) = old_call(seed);
        let cut = groups[1].cut();
        let leaf = groups[4].me();
        let votes = all(&groups, [1, 2, 3], 4, VoteKind::Remove);
        let state = state_with(&groups[1], |state| {
            state.mode = mode;
            state.history = 5;
        });
        let forged = Forged { votes, cut, ..Forged::of(Action::Vote) };
        let entry = forge(&mut world, &mut groups[1], forged, |builder| {
            let builder = builder.propose_group_context_extensions(state).expect("a proposal");
            builder.propose_removals([LeafNodeIndex::new(leaf.0)])
        });
        assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::State));
    }
}

#[test]
fn two_are_no_majority_of_anything() {
    let (mut world, mut groups) = call(164, 1);
    world.hub.time += SENIORITY_MS;
    let built = groups[1].build(Work::Update).expect("a commit");
    let (first, second) = groups.split_at_mut(1);
    world.commit(&mut second[0], &mut [&mut first[0]], &built);
    // Even of a guest: one vote is one vote.
    let mut joining = [world.joiner("third")];
    let third = world.admit(&mut first[0], &mut [&mut second[0]], &mut joining);
    let votes = vec![vote(&second[0], &third[0], VoteKind::Remove)];
    let built = second[0].build(Work::Vote { leaf: third[0].me(), votes });
    assert_eq!(built.err(), Some(BuildError::Policy(Refusal::Votes)));
}

//! What hosts do: put out, begin generations, name and drop each other, and end the call. And what those try who may not.

use conclave_federation::{
    id::Generation,
    limits::MAX_RETIRED,
    proof::Label,
    record::{Delegation, RoomRecord},
    wire::{
        List, Wire,
        code::Code,
        message::{Entry, EntryKind},
    },
};
use openmls::prelude::LeafNodeIndex;

use super::{
    forge::{Forged, all_skip, call, forge, state_with},
    world::{NOW, World, applied, assert_agree, candidate, names, skipped},
};
use crate::{
    group::{
        Action, Alarm, Authority, BuildError, ChatError, Departure, Fault, Group, HostChange, JoinError, Joining, Leaf, Outcome,
        Settings, Skip, Work, entry::Part, epoch,
    },
    leaf::Profile,
    policy::Refusal,
    room::AccessSecret,
    state::{HostEntry, Mode},
};

const EXPIRES: u64 = NOW + 3_600_000;

/// What `by` asks for is done, and everybody else follows.
fn done(world: &mut World, by: usize, groups: &mut [Group], work: Work) -> crate::group::Applied {
    let built = groups[by].build(work).expect("a commit");
    let mut actor = None;
    let mut others = Vec::new();
    for (at, group) in groups.iter_mut().enumerate() {
        if at == by { actor = Some(group) } else { others.push(group) }
    }
    world.commit(actor.expect("somebody"), &mut others, &built)
}

fn name(leaf: Leaf) -> Work {
    Work::Hosts { changes: vec![HostChange::Name(leaf)], expires: EXPIRES }
}

fn drop(leaf: Leaf) -> Work {
    Work::Hosts { changes: vec![HostChange::Drop(leaf)], expires: EXPIRES }
}

fn refusal(result: Result<crate::group::Built, BuildError>) -> BuildError {
    result.expect_err("it cannot be built")
}

fn agree(groups: &[Group]) {
    assert_agree(&groups.iter().collect::<Vec<_>>());
    for group in groups {
        assert_eq!(group.record(), groups[0].record());
        assert_eq!(group.link(), groups[0].link());
        assert_eq!(group.access(), groups[0].access());
        assert_eq!(group.retired_links(), groups[0].retired_links());
        assert_eq!(group.state(), groups[0].state());
        assert_eq!(group.record().hash(), group.state().record);
    }
}

#[test]
fn whoever_is_put_out_has_nothing_of_what_comes_after() {
    let (mut world, mut groups) = call(80, 3);
    let mut evil = groups.pop().expect("a guest");
    let before = (evil.link().clone(), evil.access().clone());
    let applied = done(&mut world, 0, &mut groups, Work::Evict(vec![evil.me()]));
    assert_eq!(applied.removed.iter().map(|(_, how)| *how).collect::<Vec<_>>(), [Departure::Removed { by: Leaf(0) }]);
    let (was, is) = *applied.state_changed.expect("another generation");
    assert_eq!((was.generation, is.generation), (Generation(0), Generation(1)));
    agree(&groups);
    assert_eq!(&world.hub.record, groups[0].record());
    assert!(groups[0].link() != &before.0 && groups[0].access() != &before.1);
    assert_eq!(groups[1].retired_links().len(), 1);

    // The entry that put them out, the next one, what is said and what is sent: nothing of it opens.
    let out = world.hub.last();
    let own = epoch::box_key(&evil.mls, openmls_traits::OpenMlsProvider::crypto(&evil.provider)).expect("a key");
    assert!(own.open(&Part::Box.associated(&out.header), out.epoch_box.bytes()).is_err());
    let mut joining = [world.joiner_by("late", &groups[0])];
    let (first, others) = groups.split_at_mut(1);
    world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    let next = world.hub.last();
    assert!(evil.keys.entry.open(&Part::Commit.associated(&next.header), next.commit.bytes()).is_err());
    assert_ne!(evil.sframe_base_key(), first[0].sframe_base_key());
    let said = first[0].encrypt_chat(b"they are gone").expect("a message");
    assert_eq!(evil.open_chat(&said), Err(ChatError::Epoch));
    let gone = super::world::applied(evil.process(&out));
    assert!(gone.removed_me && evil.is_lost());
    assert_eq!(gone.removed[0].1, Departure::Removed { by: Leaf(0) });
    assert!(evil.open_chat(&said).is_err());
    assert_eq!(evil.access(), &before.1);
}

#[test]
fn with_the_hub_on_their_side_they_still_move_nobody() {
    let (mut world, mut groups) = call(81, 3);
    let mut evil = groups.pop().expect("a guest");
    let stale = evil.build(Work::Update).expect("a commit");
    done(&mut world, 0, &mut groups, Work::Evict(vec![evil.me()]));
    // An honest hub knows another access key now.
    let out = world.hub.last();
    let mut append = stale.append;
    append.header.seq = out.header.seq + 1;
    append.header.prev_head = out.header.head();
    append.signature = evil.access_key().sign(Label::Append, &append.header.encode());
    assert_eq!(world.hub.append(&append), Err(Code::STALE_GENERATION));
    append.header.generation = Generation(1);
    append.signature = evil.access_key().sign(Label::Append, &append.header.encode());
    assert_eq!(world.hub.append(&append), Err(Code::BAD_PROOF));
    // A hub that takes it all the same: it opens under no key of the epoch.
    world.hub.take_anything(&append);
    let entry = world.hub.last();
    for group in &mut groups {
        assert_eq!(skipped(group.process(&entry)), Skip::Seal);
    }
    // And of their own generation nothing is spoken any more.
    append.header.seq = entry.header.seq + 1;
    append.header.prev_head = entry.header.head();
    append.header.generation = Generation(0);
    world.hub.take_anything(&append);
    let entry = world.hub.last();
    for group in &mut groups {
        assert_eq!(skipped(group.process(&entry)), Skip::Kind);
    }
    agree(&groups);
}

#[test]
fn several_are_put_out_at_once_and_nobody_puts_out_themselves() {
    let (mut world, mut groups) = call(82, 4);
    let leaves = vec![groups[4].me(), groups[3].me(), groups[0].me(), Leaf(77)];
    groups.truncate(3);
    let applied = done(&mut world, 0, &mut groups, Work::Evict(leaves));
    assert_eq!(applied.removed.len(), 2);
    assert_eq!(names(&groups[1]), ["founder", "guest 0", "guest 1"]);
    agree(&groups);
    assert_eq!(refusal(groups[0].build(Work::Evict(vec![Leaf(0)]))), BuildError::Nothing(Vec::new()));
}

#[test]
fn a_guest_has_no_authority() {
    let (_, mut groups) = call(83, 2);
    assert_eq!(groups[0].authority(), Some(Authority::Founder));
    assert_eq!(groups[1].authority(), None);
    for work in [Work::Evict(vec![Leaf(2)]), Work::Rotate, name(Leaf(2)), drop(Leaf(0)), Work::End] {
        assert_eq!(refusal(groups[1].build(work)), BuildError::Authority);
    }
    for work in [Work::Mode(Mode::Locked), Work::Settings(Settings { title: Some("mine".to_owned()), ..Settings::default() })] {
        assert_eq!(refusal(groups[1].build(work)), BuildError::Policy(Refusal::Right));
    }
    assert!(groups[1].host_proof(Label::Decline, b"no").is_none());
}

#[test]
fn a_host_sets_mode_history_and_title() {
    let (mut world, mut groups) = call(84, 2);
    let applied = done(&mut world, 0, &mut groups, Work::Mode(Mode::Knock));
    assert_eq!(applied.state_changed.map(|both| (both.0.mode, both.1.mode)), Some((Mode::Open, Mode::Knock)));
    let settings = Settings { history: Some((20, 60)), flags: Some(3), title: Some("another".to_owned()) };
    done(&mut world, 0, &mut groups, Work::Settings(settings));
    let state = groups[2].state();
    assert_eq!((state.history, state.history_minutes, state.flags, state.title.as_str()), (20, 60, 3, "another"));
    let far = Settings { history: Some((u16::MAX, 1)), ..Settings::default() };
    assert_eq!(refusal(groups[0].build(Work::Settings(far))), BuildError::Policy(Refusal::State));
    agree(&groups);
}

#[test]
fn a_new_link_is_made_and_nobody_goes() {
    let (mut world, mut groups) = call(85, 2);
    let old = groups[0].link().clone();
    done(&mut world, 0, &mut groups, Work::Rotate);
    agree(&groups);
    assert_eq!(groups[2].generation(), Generation(1));
    assert_ne!(groups[2].link(), &old);
    let joining = world.joiner_by("late", &groups[2]);
    assert!(!joining.is_old_link());
    let late = candidate(&groups[1], &joining).expect("a good request");
    assert!(!late.old_link);
    assert_eq!(late.code(), joining.code());
    let mut joining = [joining];
    let (first, others) = groups.split_at_mut(1);
    let late = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    assert_agree(&[&first[0], &late[0]]);
    assert_eq!(late[0].retired_links(), first[0].retired_links());
    assert_eq!(late[0].access(), first[0].access());
}

#[test]
fn eight_old_links_are_known_and_no_more() {
    let (mut world, mut groups) = call(86, 1);
    let first = groups[0].link().clone();
    for generation in 1..=10u32 {
        done(&mut world, 0, &mut groups, Work::Rotate);
        assert_eq!(groups[1].generation(), Generation(generation));
        agree(&groups);
    }
    assert_eq!(groups[1].retired_links().len(), MAX_RETIRED);
    assert_eq!(world.hub.record.retired.len(), MAX_RETIRED);
    assert!(first.find(&world.hub.record).is_none());
    let oldest = &groups[1].retired_links()[0];
    assert_eq!(oldest.generation, Generation(2));
    assert_eq!(oldest.secret.find(&world.hub.record).map(|(generation, _)| generation), Some(Generation(2)));
    let lobby = crate::group::Lobby { link: first, ..world.lobby() };
    let stranger = Joining::new([1; 32], lobby, Profile::named("x"), None, [0; 32]);
    assert_eq!(stranger.err(), Some(JoinError::Link));
    // The keys that the call began with are of a generation that nobody names any more, and keep nobody out.
    let mut joining = [world.joiner_by("late", &groups[0])];
    let (first, others) = groups.split_at_mut(1);
    let late = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    assert_agree(&[&first[0], &late[0]]);
}

#[test]
fn a_host_whom_the_founder_named_puts_out_others_after_the_founder_has_gone() {
    let (mut world, mut groups) = call(87, 4);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    assert!(groups.iter().all(|group| group.is_host(Leaf(1)) && !group.is_host(Leaf(2))));
    assert_eq!(groups[1].authority(), Some(Authority::Delegate));
    let note = groups[0].leave_note();
    groups.remove(0);
    done(&mut world, 1, &mut groups, Work::Leaves(vec![(note, None)]));
    let evil = groups.pop().expect("a guest");
    done(&mut world, 0, &mut groups, Work::Evict(vec![evil.me()]));
    agree(&groups);
    assert_eq!(names(&groups[1]), ["guest 0", "guest 1", "guest 2"]);
    assert_eq!(world.hub.record.signer, groups[0].my_key());
    assert_eq!(world.hub.record.generation, Generation(1));
    // Who comes in now believes them by the founder's word alone.
    let mut joining = [world.joiner_by("late", &groups[0])];
    let (first, others) = groups.split_at_mut(1);
    let late = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    assert!(late[0].is_host(first[0].me()));
}

#[test]
fn authority_is_handed_on_four_times_and_no_further() {
    let (mut world, mut groups) = call(88, 5);
    for at in 0..4usize {
        let next = Leaf(u32::try_from(at).expect("few") + 1);
        done(&mut world, at, &mut groups, name(next));
        assert!(groups[5].is_host(next));
    }
    done(&mut world, 4, &mut groups, Work::Rotate);
    agree(&groups);
    assert_eq!(world.hub.record.delegation.len(), 4);
    assert_eq!(refusal(groups[4].build(name(Leaf(5)))), BuildError::Authority);
}

#[test]
fn nobody_hands_on_authority_for_longer_than_they_have_it() {
    let (mut world, mut groups) = call(89, 2);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    let longer = Work::Hosts { changes: vec![HostChange::Name(Leaf(2))], expires: u64::MAX };
    done(&mut world, 1, &mut groups, longer);
    let key = groups[2].my_key();
    let chain = &groups[0].state().host(&key).expect("a host").delegation;
    assert_eq!(chain.iter().map(|step| step.expires).collect::<Vec<_>>(), [EXPIRES, EXPIRES]);
}

#[test]
fn who_is_dropped_is_believed_by_nobody_any_more() {
    let (mut world, mut groups) = call(90, 3);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    let chain = groups[1].state().host(&groups[1].my_key()).expect("a host").delegation.clone();
    done(&mut world, 0, &mut groups, drop(Leaf(1)));
    agree(&groups);
    assert_eq!(groups[2].generation(), Generation(1));
    assert_eq!(world.hub.record.revoked.to_vec(), [groups[1].my_key()]);
    assert!(!groups[2].is_host(Leaf(1)));
    assert_eq!(refusal(groups[1].build(Work::Rotate)), BuildError::Authority);

    // By hand, with the right that they once had: no hub takes the record, and members would not either.
    let old = groups[1].record().clone();
    let mut record = next_record(&old);
    record.sign_as(&groups[1].signer.0, chain);
    assert_eq!(record.verify_signed(old.room), Err(conclave_federation::record::RecordError::Revoked));
    let forged = Forged { record: Some(record.clone()), ..Forged::of(Action::Rotate) };
    let state = state_with(&groups[1], |state| {
        state.generation = record.generation;
        state.record = record.hash();
    });
    let entry =
        forge(&mut world, &mut groups[1], forged, |builder| builder.propose_group_context_extensions(state).expect("a proposal"));
    assert_eq!(all_skip_by(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Record));
}

#[test]
fn who_was_dropped_becomes_a_host_again_by_the_founders_word_alone() {
    let (mut world, mut groups) = call(108, 3);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    done(&mut world, 0, &mut groups, name(Leaf(2)));
    done(&mut world, 1, &mut groups, name(Leaf(3)));
    done(&mut world, 0, &mut groups, drop(Leaf(2)));
    assert_eq!(refusal(groups[1].build(name(Leaf(2)))), BuildError::Authority);
    done(&mut world, 0, &mut groups, name(Leaf(2)));
    agree(&groups);
    assert!(world.hub.record.revoked.is_empty());
    assert!(groups[3].is_host(Leaf(2)));
    done(&mut world, 2, &mut groups, Work::Rotate);
    agree(&groups);
}

/// The record of the generation after, with keys that nobody has; not signed.
fn next_record(old: &RoomRecord) -> RoomRecord {
    let access = AccessSecret::new([5; 32]).keys(old.room, old.generation.next());
    RoomRecord {
        seq: old.seq + 1,
        generation: old.generation.next(),
        access: access.sign.verifying_key(),
        join: conclave_federation::proof::SigningKey::from_seed([6; 32]).verifying_key(),
        lobby: *access.lobby.public(),
        retired: old.next_retired(),
        ..old.clone()
    }
}

/// As [`all_skip`], where the link is another by now.
fn all_skip_by(world: &mut World, groups: &mut [Group], entry: &Entry) -> Skip {
    world.room.link = groups[0].link().clone();
    all_skip(world, groups, entry)
}

#[test]
fn a_guest_cannot_begin_a_generation_even_with_a_hub_that_takes_anything() {
    for (seed, action) in [(91, Action::Rotate), (92, Action::Evict), (93, Action::Hosts)] {
        let (mut world, mut groups) = call(seed, 3);
        let old = groups[3].record().clone();
        let mut record = next_record(&old);
        // Signed by themselves, through a chain that they made up.
        let step = Delegation::issue(&groups[3].signer.0, old.room, groups[3].my_key(), u64::MAX);
        record.sign_as(&groups[3].signer.0, List::new(vec![step]).expect("one"));
        let forged = Forged { record: Some(record.clone()), ..Forged::of(action) };
        let state = state_with(&groups[3], |state| {
            state.generation = record.generation;
            state.record = record.hash();
        });
        let entry = forge(&mut world, &mut groups[3], forged, |builder| {
            let builder = builder.propose_group_context_extensions(state).expect("a proposal");
            if action == Action::Evict { builder.propose_removals([LeafNodeIndex::new(1)]) } else { builder }
        });
        assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Record));
    }
}

#[test]
fn a_guest_cannot_use_a_record_that_a_host_signed() {
    let (mut world, mut groups) = call(94, 3);
    // A host's record that was on its way when another entry was first: whoever saw it may try it under another action.
    let built = groups[0].build(Work::Evict(vec![Leaf(1)])).expect("a commit");
    groups[0].discard();
    let record = built.append.record.expect("a record");
    let forged = Forged { record: Some(record.clone()), ..Forged::of(Action::Evict) };
    let state = state_with(&groups[3], |state| {
        state.generation = record.generation;
        state.record = record.hash();
    });
    let entry = forge(&mut world, &mut groups[3], forged, |builder| {
        let builder = builder.propose_group_context_extensions(state).expect("a proposal");
        builder.propose_removals([LeafNodeIndex::new(2)])
    });
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Right));
}

#[test]
fn an_entry_that_begins_a_generation_comes_with_a_record_and_no_other_does() {
    let (mut world, mut groups) = call(95, 2);
    let record = groups[0].record().clone();
    let forged = Forged { record: Some(record), ..Forged::of(Action::Update) };
    let entry = forge(&mut world, &mut groups[2], forged, |builder| builder.force_self_update(true));
    assert_eq!(all_skip(&mut world, &mut groups, &entry), Skip::Policy(Refusal::Mismatch));

    let (mut world, mut groups) = call(96, 2);
    let entry = forge(&mut world, &mut groups[2], Forged::of(Action::Update), |builder| builder.force_self_update(true));
    let mut flagged = entry;
    flagged.header.flags = 1;
    let flagged = world.hub.vouch(flagged);
    for group in &mut groups {
        assert_eq!(skipped(group.process(&flagged)), Skip::Record);
    }
}

#[test]
fn nobody_puts_out_the_founder_or_who_made_them_a_host() {
    let (mut world, mut groups) = call(97, 3);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    done(&mut world, 1, &mut groups, name(Leaf(2)));
    for leaf in [Leaf(0), Leaf(1)] {
        assert_eq!(refusal(groups[2].build(Work::Evict(vec![leaf]))), BuildError::Policy(Refusal::Right));
        assert!(matches!(groups[2].build(drop(leaf)), Err(BuildError::Policy(_))));
    }
    // The other way round it works, and who is below stays a host, by the founder's hand now.
    groups.remove(1);
    done(&mut world, 0, &mut groups, Work::Evict(vec![Leaf(1)]));
    agree(&groups);
    assert!(groups[2].is_host(groups[1].me()));
    let key = groups[1].my_key();
    assert_eq!(groups[2].state().host(&key).map(|host| host.delegation.len()), Some(1));
    done(&mut world, 1, &mut groups, Work::Rotate);
    agree(&groups);
}

#[test]
fn a_host_who_puts_out_somebody_keeps_all_other_hosts() {
    let (mut world, mut groups) = call(98, 3);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    // Dropping a host by the way is not what an eviction is.
    let old = groups[0].record().clone();
    let mut record = next_record(&old);
    record.revoked = List::new(vec![groups[1].my_key()]).expect("one");
    record.sign(&world.room.founder);
    let state = state_with(&groups[0], |state| {
        state.generation = record.generation;
        state.record = record.hash();
        let stay: Vec<HostEntry> = state.hosts.iter().filter(|host| host.delegation.is_empty()).cloned().collect();
        state.hosts = List::new(stay).expect("one");
    });
    let forged = Forged { record: Some(record), ..Forged::of(Action::Evict) };
    let entry = forge(&mut world, &mut groups[0], forged, |builder| {
        let builder = builder.propose_group_context_extensions(state).expect("a proposal");
        builder.propose_removals([LeafNodeIndex::new(3)])
    });
    let mut rest = groups.split_off(1);
    assert_eq!(all_skip(&mut world, &mut rest, &entry), Skip::Policy(Refusal::State));
}

#[test]
fn a_host_hands_over_and_steps_down_but_not_as_the_last() {
    let (mut world, mut groups) = call(99, 3);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    let note = groups[0].leave_note();
    groups.remove(0);
    done(&mut world, 0, &mut groups, Work::Leaves(vec![(note, None)]));
    assert_eq!(refusal(groups[0].build(drop(Leaf(1)))), BuildError::Policy(Refusal::State));
    let both = vec![HostChange::Name(Leaf(2)), HostChange::Drop(Leaf(1))];
    done(&mut world, 0, &mut groups, Work::Hosts { changes: both, expires: EXPIRES });
    agree(&groups);
    assert_eq!(groups[0].generation(), Generation(0));
    assert!(!groups[2].is_host(Leaf(1)) && groups[2].is_host(Leaf(2)));
    assert_eq!(groups[0].authority(), None);
    done(&mut world, 1, &mut groups, Work::Rotate);
    agree(&groups);
}

#[test]
fn a_host_who_was_lost_comes_back_as_a_host() {
    let (mut world, mut groups) = call(100, 2);
    done(&mut world, 0, &mut groups, name(Leaf(1)));
    let mut joining = [groups.remove(1).rejoin().expect("a way back")];
    let (first, others) = groups.split_at_mut(1);
    let mut back = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    assert_eq!(back[0].authority(), Some(Authority::Delegate));
    let built = back[0].build(Work::Rotate).expect("a commit");
    let mut others: Vec<&mut Group> = groups.iter_mut().collect();
    world.commit(&mut back[0], &mut others, &built);
}

#[test]
fn who_could_not_follow_into_the_next_generation_comes_back_by_the_old_link() {
    let (mut world, mut groups) = call(101, 4);
    done(&mut world, 0, &mut groups, Work::Mode(Mode::Locked));
    let evil = groups.pop().expect("a guest").me();
    let mut victim = groups.pop().expect("a guest");
    victim.provider.lose_keys();
    done(&mut world, 0, &mut groups, Work::Evict(vec![evil]));
    assert_eq!(victim.process(&world.hub.last()), Outcome::Fault(Fault::Path));
    let joining = victim.rejoin().expect("a way back");
    assert!(joining.is_old_link());
    // Their key is in the tree: no host is asked, and no mode keeps them out.
    let back = candidate(&groups[1], &joining).expect("a good request");
    assert!(back.old_link && back.is_back);
    let mut joining = [joining];
    let (first, others) = groups.split_at_mut(1);
    let (by, rest) = others.split_at_mut(1);
    let back = world.admit(&mut by[0], &mut [&mut first[0], &mut rest[0]], &mut joining);
    groups.extend(back);
    agree(&groups);
    assert_eq!(groups[3].generation(), Generation(1));
}

#[test]
fn whoever_was_put_out_stands_at_the_door_like_a_stranger() {
    let (mut world, mut groups) = call(102, 3);
    let mut evil = groups.pop().expect("a guest");
    done(&mut world, 0, &mut groups, Work::Evict(vec![evil.me()]));
    applied(evil.process(&world.hub.last()));
    let joining = evil.rejoin().expect("a way to ask");
    assert!(joining.is_old_link());
    let knock = candidate(&groups[1], &joining).expect("a good request");
    assert!(knock.old_link && !knock.is_back);
    // The room is open; by an old link one comes in by a host's hand alone.
    assert_eq!(refusal(groups[1].build(Work::Requests(vec![knock.clone()]))), BuildError::Nothing(vec![knock.id]));
    let mut joining = [joining];
    let (first, others) = groups.split_at_mut(1);
    let back = world.admit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &mut joining);
    assert_eq!(back[0].link(), first[0].link());
    assert_agree(&[&first[0], &back[0]]);
}

#[test]
fn one_commit_serves_the_links_of_one_generation() {
    let (mut world, mut groups) = call(103, 1);
    done(&mut world, 0, &mut groups, Work::Rotate);
    let old = world.joiner("old");
    let new = world.joiner_by("new", &groups[0]);
    let both = [&old, &new].map(|joining| candidate(&groups[0], joining).expect("a good request"));
    let (first, others) = groups.split_at_mut(1);
    let built = first[0].build(Work::Requests(both.to_vec())).expect("a commit");
    assert_eq!(built.served, [new.id()]);
    world.commit(&mut first[0], &mut others.iter_mut().collect::<Vec<_>>(), &built);
    let built = first[0].build(Work::Requests(both.to_vec())).expect("a commit");
    assert_eq!(built.served, [old.id()]);
}

#[test]
fn a_box_that_hides_an_old_link_is_an_alarm() {
    let (mut world, mut groups) = call(104, 2);
    done(&mut world, 0, &mut groups, Work::Rotate);
    groups[0].retired.clear();
    let built = groups[0].build(Work::Update).expect("a commit");
    world.hub.append(&built.append).expect("appended");
    assert_eq!(applied(groups[1].process(&world.hub.last())).alarm, Some(Alarm::Secrets));
}

#[test]
fn a_host_ends_the_call_for_everybody() {
    let (mut world, mut groups) = call(105, 2);
    let built = groups[0].build(Work::End).expect("an end");
    assert_eq!((built.action, built.append.header.kind), (None, EntryKind::End));
    let mut without = built.append.clone();
    without.reserve = None;
    assert_eq!(world.hub.append(&without), Err(Code::BAD_PROOF));
    let head = world.hub.append(&built.append).expect("appended");
    assert_eq!(groups[0].appended(&head), Outcome::Ended);
    let entry = world.hub.last();
    for group in &mut groups[1..] {
        assert_eq!(group.process(&entry), Outcome::Ended);
        assert!(group.is_lost());
        assert_eq!(refusal(group.build(Work::Update)), BuildError::Gone);
    }
}

#[test]
fn the_signer_of_junk_is_named_and_nobody_for_what_others_offer_again() {
    let (mut world, mut groups) = call(106, 2);
    let entry =
        forge(&mut world, &mut groups[2], Forged::of(Action::Leave), |builder| builder.propose_removals([LeafNodeIndex::new(1)]));
    let evil = groups[2].me();
    assert_eq!(groups[0].process(&entry), Outcome::Skipped { skip: Skip::Policy(Refusal::Note), by: Some(evil) });
    assert_eq!(groups[1].process(&entry), Outcome::Skipped { skip: Skip::Policy(Refusal::Note), by: Some(evil) });
    applied_or_skipped(&mut groups[2], &entry);
    // The same commit again, by somebody else: its own place gives it away.
    let place = Part::Commit.associated(&entry.header);
    let commit = groups[1].keys.entry.open(&place, entry.commit.bytes()).expect("opened").to_vec();
    let again = super::forge::offer(&mut world, &mut groups[1], &commit, List::default());
    assert_eq!(groups[0].process(&again), Outcome::Skipped { skip: Skip::Place, by: None });
}

fn applied_or_skipped(group: &mut Group, entry: &Entry) {
    assert!(matches!(group.process(entry), Outcome::Skipped { .. }));
}

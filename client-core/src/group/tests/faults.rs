//! Entries that not everybody can apply: who is stuck, who takes the entry back, and that all are together afterwards.

use conclave_federation::wire::message::Append;

use super::{
    forge::{call, offer_word},
    world::{World, applied, assert_agree, candidate, knock, skipped},
};
use crate::{
    group::{
        Action, BuildError, Fault, FaultNote, Group, Knocked, Leaf, Outcome, RequestKind, Skip, Work, entry::Part, thread::Right,
    },
    policy::Refusal,
    provider::Provider,
};

/// The last one commits; nobody else can open the path.
fn broken_for_all(world: &mut World, groups: &mut [Group], work: Work) {
    let (evil, others) = groups.split_last_mut().expect("somebody");
    let built = evil.build(work).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    applied(evil.appended(&head));
    let entry = world.hub.last();
    for other in others {
        let outcome = Provider::without_keys(other, |other| other.process(&entry));
        assert_eq!(outcome, Outcome::Fault(Fault::Path));
        assert!(other.is_lost());
    }
}

fn offered(world: &mut World, by: &mut Group, work: Work) -> Append {
    let built = by.build(work).expect("a commit");
    assert_eq!(built.action, Some(Action::Void));
    let head = world.hub.append(&built.append).expect("appended");
    assert_eq!(applied(by.appended(&head)).action, Action::Void);
    built.append
}

fn notes(groups: &[&Group]) -> Vec<FaultNote> {
    groups.iter().map(|group| group.fault_note().expect("stuck")).collect()
}

#[test]
fn a_path_that_is_broken_for_everybody_is_taken_back_by_a_host() {
    let (mut world, mut groups) = call(150, 3);
    broken_for_all(&mut world, &mut groups, Work::Update);
    let (host, others) = groups.split_first_mut().expect("the founder");
    offered(&mut world, host, Work::Void(Vec::new()));
    let entry = world.hub.last();
    let (evil, others) = others.split_last_mut().expect("the last");
    for other in others.iter_mut() {
        assert_eq!(applied(other.process(&entry)).action, Action::Void);
    }
    assert_agree(&[host, &others[0], &others[1]]);
    // Who went on alone sees that it holds, and comes back like anybody else.
    assert_eq!(evil.process(&entry), Outcome::Fault(Fault::Void));
    let mut back = [evil.way_back(crate::leaf::Profile::named("sorry")).expect("a way back")];
    let (first, second) = others.split_at_mut(1);
    let back = world.admit(host, &mut [&mut first[0], &mut second[0]], &mut back);
    assert_agree(&[host, &first[0], &second[0], &back[0]]);
}

#[test]
fn who_is_stuck_says_so_with_the_request_to_come_back_and_either_way_leads_on() {
    let (mut world, mut groups) = call(151, 3);
    let built = groups[3].build(Work::Update).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[3].appended(&head));
    let entry = world.hub.last();
    assert_eq!(Provider::without_keys(&mut groups[1], |victim| victim.process(&entry)), Outcome::Fault(Fault::Path));
    for well in [0, 2] {
        applied(groups[well].process(&entry));
    }
    let note = groups[1].fault_note().expect("stuck");
    let profile = crate::leaf::Profile::named("victim");
    let mut back = groups[1].way_back(profile).expect("a way back");
    let asked = candidate(&groups[0], &back).expect("a good request");
    assert_eq!((asked.kind, asked.is_back, asked.fault.as_ref()), (RequestKind::Fault, true, Some(&note)));
    let built = groups[0].build(Work::Requests(vec![asked])).expect("a swap");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[0].appended(&head));
    // It is for those who are not stuck; the log goes on all the same.
    let entry = world.hub.last();
    assert_eq!(groups[1].process(&entry), Outcome::Ahead);
    assert_eq!(groups[1].position(), groups[0].position());
    applied(groups[2].process(&entry));
    let back = back.admitted(&world.hub.answer(back.id()).expect("served")).expect("admitted");
    assert_agree(&[&groups[0], &groups[2], &back]);
}

#[test]
fn a_guest_takes_nothing_back_where_there_is_a_host() {
    let (mut world, mut groups) = call(152, 3);
    broken_for_all(&mut world, &mut groups, Work::Update);
    let said = notes(&[&groups[0], &groups[2]]);
    let refused = groups[1].build(Work::Void(said)).expect_err("no right");
    assert_eq!(refused, BuildError::Policy(Refusal::Right));
    // And does nothing else.
    assert_eq!(groups[1].build(Work::Update).expect_err("stuck"), BuildError::Gone);
}

/// A call whose host has left: three guests.
fn without_host(seed: u8) -> (World, Vec<Group>) {
    let (mut world, mut groups) = call(seed, 3);
    let note = groups[0].leave_note();
    let (first, rest) = groups[1..].split_first_mut().expect("guests");
    let built = first.build(Work::Leaves(vec![(note, None)])).expect("a commit");
    let (second, third) = rest.split_at_mut(1);
    world.commit(first, &mut [&mut second[0], &mut third[0]], &built);
    groups.remove(0);
    (world, groups)
}

#[test]
fn without_a_host_half_of_the_others_take_it_back() {
    let (mut world, mut groups) = without_host(153);
    broken_for_all(&mut world, &mut groups, Work::Update);
    assert_eq!(groups[0].build(Work::Void(Vec::new())).expect_err("one of three"), BuildError::Policy(Refusal::Right));
    let said = notes(&[&groups[1]]);
    let forged = FaultNote { leaf: groups[2].me(), ..said[0].clone() };
    assert_eq!(groups[0].build(Work::Void(vec![forged])).expect_err("a false note"), BuildError::Policy(Refusal::Right));
    offered(&mut world, &mut groups[0], Work::Void(said));
    let entry = world.hub.last();
    applied(groups[1].process(&entry));
    assert_agree(&[&groups[0], &groups[1]]);
    assert_eq!(groups[2].process(&entry), Outcome::Fault(Fault::Void));
}

#[test]
fn of_two_who_take_it_back_the_log_chooses_one_and_the_second_time_counts_for_nothing() {
    let (mut world, mut groups) = without_host(154);
    broken_for_all(&mut world, &mut groups, Work::Update);
    let said = notes(&[&groups[0], &groups[1]]);
    let late = groups[1].build(Work::Void(said.clone())).expect("a commit");
    offered(&mut world, &mut groups[0], Work::Void(said));
    let entry = world.hub.last();
    assert!(world.hub.append(&late.append).is_err(), "another entry was first");
    applied(groups[1].process(&entry));
    assert_agree(&[&groups[0], &groups[1]]);
    assert!(groups[1].pending().is_none());
}

#[test]
fn a_word_against_an_entry_is_good_for_one_place() {
    let (mut world, mut groups) = call(155, 3);
    broken_for_all(&mut world, &mut groups, Work::Update);
    let void = offered(&mut world, &mut groups[0], Work::Void(Vec::new()));
    let entry = world.hub.last();
    for other in [1, 2] {
        applied(groups[other].process(&entry));
    }
    // An insider seals the same word for the next place, beside junk.
    let word = groups[1].access_keys.void.open(&Part::Box.associated(&void.header), void.epoch_box.bytes()).expect("a word");
    let entry = offer_word(&mut world, &mut groups[1], &word);
    for group in groups.iter_mut().take(3) {
        assert_eq!(skipped(group.process(&entry)), Skip::Seal);
    }
    assert_agree(&[&groups[0], &groups[1], &groups[2]]);
}

#[test]
fn nobody_takes_an_eviction_back() {
    let (mut world, mut groups) = call(156, 3);
    let leaf = groups[3].me();
    let built = groups[0].build(Work::Evict(vec![leaf])).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[0].appended(&head));
    let entry = world.hub.last();
    assert_eq!(Provider::without_keys(&mut groups[1], |victim| victim.process(&entry)), Outcome::Fault(Fault::Path));
    assert_eq!(groups[1].thread().may_void(), Right::Nobody);
    assert!(groups[1].fault_note().is_none());
    assert_eq!(groups[1].build(Work::Void(Vec::new())).expect_err("never"), BuildError::Nothing(Vec::new()));
    applied(groups[2].process(&entry));
    // They come back by the link that they have: it leads to the waiting room, and they are in the tree.
    let mut back = groups[1].way_back(crate::leaf::Profile::named("victim")).expect("a way back");
    let join = back.request(super::world::NOW).expect("a request");
    let Ok(Knocked::Enter(asked)) = groups[0].open_request(&knock(&join)) else { panic!("a good request") };
    assert!(asked.old_link && asked.is_back);
    let built = groups[0].build(Work::Requests(vec![*asked])).expect("a swap");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[0].appended(&head));
    applied(groups[2].process(&world.hub.last()));
    let back = back.admitted(&world.hub.answer(back.id()).expect("served")).expect("admitted");
    assert_agree(&[&groups[0], &groups[2], &back]);
}

#[test]
fn an_own_path_that_was_given_up_is_got_past_like_any_other() {
    let (mut world, mut groups) = call(157, 2);
    let built = groups[0].build(Work::Update).expect("a commit");
    world.hub.append(&built.append).expect("appended");
    groups[0].discard();
    let entry = world.hub.last();
    assert_eq!(groups[0].process(&entry), Outcome::Fault(Fault::OwnForgotten));
    applied(groups[1].process(&entry));
    assert_eq!(Provider::without_keys(&mut groups[2], |victim| victim.process(&entry)), Outcome::Fault(Fault::Path));
    // Nobody gives the host a new leaf: the host takes it back, and the one who went on is stuck now.
    offered(&mut world, &mut groups[0], Work::Void(Vec::new()));
    let entry = world.hub.last();
    applied(groups[2].process(&entry));
    assert_agree(&[&groups[0], &groups[2]]);
    assert_eq!(groups[1].process(&entry), Outcome::Fault(Fault::Void));
}

#[test]
fn a_host_who_was_falsely_reaped_with_a_broken_path_takes_that_back() {
    let (mut world, mut groups) = call(158, 2);
    let built = groups[2].build(Work::Reap { leaves: vec![Leaf(0)], votes: Vec::new() }).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[2].appended(&head));
    let entry = world.hub.last();
    assert_eq!(groups[0].process(&entry), Outcome::Fault(Fault::Removed));
    assert_eq!(Provider::without_keys(&mut groups[1], |victim| victim.process(&entry)), Outcome::Fault(Fault::Path));
    offered(&mut world, &mut groups[0], Work::Void(Vec::new()));
    let entry = world.hub.last();
    applied(groups[1].process(&entry));
    assert_agree(&[&groups[0], &groups[1]]);
}

#[test]
fn whoever_came_after_what_is_taken_back_comes_again() {
    let (mut world, mut groups) = call(159, 2);
    let built = groups[2].build(Work::Update).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    applied(groups[2].appended(&head));
    let entry = world.hub.last();
    for victim in [0, 1] {
        let outcome = Provider::without_keys(&mut groups[victim], |victim| victim.process(&entry));
        assert_eq!(outcome, Outcome::Fault(Fault::Path));
    }
    let mut joining = [world.joiner("late")];
    let (evil, stuck) = groups.split_last_mut().expect("the last");
    let mut late = world.admit(evil, &mut [], &mut joining);
    let entry = world.hub.last();
    for victim in stuck.iter_mut() {
        assert_eq!(victim.process(&entry), Outcome::Ahead);
    }
    offered(&mut world, &mut groups[0], Work::Void(Vec::new()));
    let entry = world.hub.last();
    assert_eq!(late[0].process(&entry), Outcome::Fault(Fault::Void));
    applied(groups[1].process(&entry));
    // Not in the tree that counts: let in again, under the same key.
    let mut back = [late.remove(0).rejoin().expect("a way back")];
    let (first, second) = groups.split_at_mut(1);
    let back = world.admit(&mut first[0], &mut [&mut second[0]], &mut back);
    assert_agree(&[&first[0], &second[0], &back[0]]);
}

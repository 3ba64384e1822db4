//! What people do in a call.

use super::world::{NOW, World, applied, assert_agree, candidate, knock, leaf_named, names, skipped};
use crate::group::{Action, BuildError, ChatError, Departure, Fault, Joining, Knocked, Leaf, Outcome, RequestError, Skip, Work};

#[test]
fn three_come_in_by_one_commit_and_all_agree() {
    let (world, founder, guests) = World::call(1, 3);
    assert_eq!(world.hub.entries.len(), 2);
    assert_eq!(names(&founder), ["founder", "guest 0", "guest 1", "guest 2"]);
    assert_agree(&[&founder, &guests[0], &guests[1], &guests[2]]);
    assert_eq!(founder.state().title.as_str(), "title");
    assert!(founder.is_host(Leaf(0)));
    assert!(!founder.is_host(Leaf(1)));
    assert_eq!(guests[0].first_epoch(), 1);
    assert_eq!(founder.access(), guests[2].access());
}

#[test]
fn the_next_epoch_has_other_keys() {
    let (mut world, mut founder, mut guests) = World::call(2, 1);
    let before = founder.sframe_base_key();
    let mut joining = [world.joiner("late")];
    let late = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    assert_ne!(founder.sframe_base_key(), before);
    assert_agree(&[&founder, &guests[0], &late[0]]);
    assert_eq!(late[0].first_epoch(), 2);
    assert_eq!(founder.member(Leaf(2)).map(|member| member.joined), Some(2));
    assert_eq!(founder.member(Leaf(1)).map(|member| member.joined), Some(1));
}

#[test]
fn the_logs_echo_of_an_own_commit_does_what_the_acknowledgement_does() {
    let (mut world, mut founder, _) = World::call(3, 1);
    let joining = world.joiner("late");
    let late = candidate(&founder, &joining).expect("a good request");
    let built = founder.build(Work::Requests(vec![late])).expect("a commit");
    let head = world.hub.append(&built.append).expect("appended");
    let entry = world.hub.last();
    let own = applied(founder.process(&entry));
    assert!(own.own);
    assert_eq!(own.by, Leaf(0));
    assert_eq!(founder.appended(&head), Outcome::Repeated);
    assert_eq!(founder.process(&entry), Outcome::Repeated);
}

#[test]
fn who_lost_the_thread_comes_back_under_the_same_key() {
    let (mut world, mut founder, mut guests) = World::call(4, 2);
    let lost = guests.remove(1);
    let key = lost.my_key();
    let mut joining = lost.rejoin().expect("a way back");
    assert_eq!(joining.key(), key);
    let back = candidate(&founder, &joining).expect("a good request");
    let built = founder.build(Work::Requests(vec![back])).expect("a commit");
    assert_eq!(built.action, Some(Action::Swap));
    let own = world.commit(&mut founder, &mut [&mut guests[0]], &built);
    assert!(own.added.is_empty() && own.removed.is_empty());
    assert_eq!(own.swapped.len(), 1);
    assert_eq!(own.swapped[0].1.key, key);
    assert_eq!(own.swapped[0].1.joined, 1);
    let back = joining.admitted(&world.hub.answer(joining.id()).expect("served")).expect("admitted");
    assert_agree(&[&founder, &guests[0], &back]);
    assert_eq!(names(&back), ["founder", "guest 0", "guest 1"]);
}

#[test]
fn newcomers_go_before_those_who_come_back_so_that_joins_stay_without_a_path() {
    let (mut world, mut founder, mut guests) = World::call(5, 2);
    let back = guests.remove(1).rejoin().expect("a way back");
    let new = world.joiner("new");
    let both = [&back, &new].map(|joining| candidate(&founder, joining).expect("a good request"));
    let built = founder.build(Work::Requests(both.to_vec())).expect("a commit");
    assert_eq!(built.action, Some(Action::Admit));
    assert_eq!(built.served, [new.id()]);
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    let built = founder.build(Work::Requests(both[..1].to_vec())).expect("a commit");
    assert_eq!(built.action, Some(Action::Swap));
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
}

#[test]
fn a_lost_welcome_is_asked_for_again_and_answered_by_a_swap() {
    let (mut world, mut founder, mut guests) = World::call(6, 1);
    let mut joining = world.joiner("unlucky");
    let first = candidate(&founder, &joining).expect("a good request");
    let built = founder.build(Work::Requests(vec![first])).expect("a commit");
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    joining.again().expect("a new request");
    let second = candidate(&founder, &joining).expect("a good request");
    assert_eq!(second.attempt, 2);
    let built = founder.build(Work::Requests(vec![second])).expect("a commit");
    assert_eq!(built.action, Some(Action::Swap));
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    let group = joining.admitted(&world.hub.answer(joining.id()).expect("served")).expect("admitted");
    assert_agree(&[&founder, &guests[0], &group]);
}

#[test]
fn a_leave_note_is_valid_in_any_epoch_and_anybody_may_commit_it() {
    let (mut world, mut founder, mut guests) = World::call(7, 3);
    let mut leaver = guests.remove(2);
    let request = leaver.leave_request(NOW).expect("a request");
    let mut joining = [world.joiner("late")];
    let (first, second) = guests.split_at_mut(1);
    let late = world.admit(&mut founder, &mut [&mut first[0], &mut second[0]], &mut joining);
    let Ok(Knocked::Leave(id, note)) = second[0].open_request(&knock(&request)) else { panic!("a leave request") };
    let built = second[0].build(Work::Leaves(vec![(note, Some(id))])).expect("a commit");
    let mut late = late.into_iter().next().expect("one came");
    let own = world.commit(&mut second[0], &mut [&mut founder, &mut first[0], &mut late], &built);
    assert_eq!(own.removed.len(), 1);
    assert_eq!(own.removed[0].1, Departure::Left);
    assert_eq!(own.removed[0].0.profile.name.as_str(), "guest 2");
    assert_agree(&[&founder, &first[0], &second[0], &late]);
    assert_eq!(founder.size(), 4);
    assert_eq!(late.open_request(&knock(&request)).err(), Some(RequestError::Gone));
}

#[test]
fn the_silent_are_reaped_by_any_member_and_cannot_open_what_comes_after() {
    let (mut world, mut founder, mut guests) = World::call(8, 3);
    let mut silent = guests.remove(2);
    let (first, second) = guests.split_at_mut(1);
    let reap = leaf_named(&founder, "guest 2");
    let built = first[0].build(Work::Reap { leaves: vec![reap], votes: Vec::new() }).expect("a commit");
    let own = world.commit(&mut first[0], &mut [&mut founder, &mut second[0]], &built);
    assert_eq!(own.removed.iter().map(|(_, how)| *how).collect::<Vec<_>>(), [Departure::Reaped]);
    let gone = applied(silent.process(&world.hub.last()));
    assert!(gone.removed_me && silent.is_lost());
    assert_ne!(silent.sframe_base_key(), founder.sframe_base_key());

    let mut joining = [world.joiner("late")];
    world.admit(&mut founder, &mut [&mut first[0], &mut second[0]], &mut joining);
    assert_eq!(silent.process(&world.hub.last()), Outcome::Fault(Fault::State));
    let chat = founder.encrypt_chat(b"without you").expect("a message");
    assert!(silent.open_chat(&chat).is_err());
    assert!(second[0].open_chat(&chat).is_ok());
}

#[test]
fn a_reaped_member_who_lives_comes_back_by_itself() {
    let (mut world, mut founder, mut guests) = World::call(9, 2);
    let mut reaped = guests.remove(1);
    let built = founder.build(Work::Reap { leaves: vec![reaped.me()], votes: Vec::new() }).expect("a commit");
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    assert!(applied(reaped.process(&world.hub.last())).removed_me);
    let mut joining = [reaped.rejoin().expect("a way back")];
    let back = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    assert_agree(&[&founder, &guests[0], &back[0]]);
    assert_eq!(names(&founder), ["founder", "guest 0", "guest 1"]);
}

#[test]
fn of_two_commits_for_one_place_the_first_wins_and_the_other_is_built_anew() {
    let (mut world, mut founder, mut guests) = World::call(10, 2);
    let ours = world.joiner("ours");
    let theirs = world.joiner("theirs");
    let for_founder = candidate(&founder, &ours).expect("a good request");
    let for_guest = candidate(&guests[0], &theirs).expect("a good request");
    let lost = founder.build(Work::Requests(vec![for_founder.clone()])).expect("a commit");
    let won = guests[0].build(Work::Requests(vec![for_guest])).expect("a commit");
    let head = world.hub.append(&won.append).expect("appended");
    assert!(world.hub.append(&lost.append).is_err());
    assert_eq!(founder.build(Work::Requests(vec![for_founder.clone()])).err(), Some(BuildError::Pending));
    applied(guests[0].appended(&head));
    applied(founder.process(&world.hub.last()));
    applied(guests[1].process(&world.hub.last()));
    assert!(founder.pending().is_none());
    let built = founder.build(Work::Requests(vec![for_founder])).expect("a commit");
    let (first, second) = guests.split_at_mut(1);
    world.commit(&mut founder, &mut [&mut first[0], &mut second[0]], &built);
    assert_agree(&[&founder, &first[0], &second[0]]);
}

#[test]
fn a_commit_given_up_after_a_refusal_leaves_the_group_as_it_was() {
    let (mut world, mut founder, mut guests) = World::call(11, 1);
    let before = founder.sframe_base_key();
    let joining = world.joiner("late");
    let late = candidate(&founder, &joining).expect("a good request");
    founder.build(Work::Requests(vec![late.clone()])).expect("a commit");
    founder.discard();
    assert_eq!(founder.sframe_base_key(), before);
    let built = founder.build(Work::Requests(vec![late])).expect("a commit");
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
}

#[test]
fn chat_opens_across_epochs_and_once() {
    let (mut world, mut founder, mut guests) = World::call(12, 1);
    let early = guests[0].encrypt_chat(b"early").expect("a message");
    let mut joining = [world.joiner("late")];
    let mut late = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    let opened = founder.open_chat(&early).expect("opened");
    assert_eq!((opened.leaf, opened.key, opened.epoch), (Leaf(1), guests[0].my_key(), 1));
    assert_eq!(opened.bytes, "early");
    assert_eq!(founder.open_chat(&early), Err(ChatError::Forged));
    assert_eq!(late[0].open_chat(&early), Err(ChatError::Epoch));
    let now = late[0].encrypt_chat(b"now").expect("a message");
    assert_eq!(founder.open_chat(&now).expect("opened").key, late[0].my_key());
    assert_eq!(guests[0].open_chat(&now).expect("opened").bytes, "now");
    assert_eq!(late[0].open_chat(&now), Err(ChatError::Own));
}

#[test]
fn chat_is_padded_and_carries_no_associated_data_of_a_commit() {
    let (mut world, mut founder, _) = World::call(13, 1);
    let short = founder.encrypt_chat(b"a").expect("a message");
    let longer = founder.encrypt_chat(&[b'a'; 120]).expect("a message");
    assert_eq!(short.len(), longer.len());
    let joining = world.joiner("late");
    let late = candidate(&founder, &joining).expect("a good request");
    founder.build(Work::Requests(vec![late])).expect("a commit");
    let pending = founder.encrypt_chat(b"a").expect("a message");
    assert_eq!(short.len(), pending.len());
}

#[test]
fn a_chat_of_somebody_who_left_still_names_them() {
    let (mut world, mut founder, mut guests) = World::call(14, 2);
    let mut leaver = guests.remove(1);
    let last = leaver.encrypt_chat(b"goodbye").expect("a message");
    let note = leaver.leave_note();
    let built = founder.build(Work::Leaves(vec![(note, None)])).expect("a commit");
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    assert_eq!(guests[0].open_chat(&last).expect("opened").key, leaver.my_key());
}

#[test]
fn an_entry_out_of_line_moves_nothing() {
    let (mut world, mut founder, mut guests) = World::call(15, 2);
    let mut behind = guests.remove(1);
    for name in ["one", "two"] {
        let mut joining = [world.joiner(name)];
        world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    }
    let entries = world.hub.entries.clone();
    assert!(matches!(behind.process(&entries[3]), Outcome::OutOfLine(_)));
    assert_eq!(behind.process(&entries[1]), Outcome::Repeated);
    applied(behind.process(&entries[2]));
    applied(behind.process(&entries[3]));
    assert_agree(&[&founder, &behind]);
}

#[test]
fn a_full_room_lets_nobody_in() {
    let (mut world, mut founder) = World::new(16, 2);
    let mut joining = [world.joiner("second")];
    world.admit(&mut founder, &mut [], &mut joining);
    let third = world.joiner("third");
    let third = candidate(&founder, &third).expect("a good request");
    assert!(matches!(founder.build(Work::Requests(vec![third])), Err(BuildError::Nothing(_))));
}

#[test]
fn a_long_call_gathers_no_secrets() {
    let (mut world, mut founder, mut guests) = World::call(17, 1);
    let mut held = Vec::new();
    for at in 0..6 {
        let mut joining = [world.joiner(&format!("visitor {at}"))];
        let visitor = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
        let built = guests[0].build(Work::Leaves(vec![(visitor[0].leave_note(), None)])).expect("a commit");
        world.commit(&mut guests[0], &mut [&mut founder], &built);
        held.push((founder.provider.held(), guests[0].provider.held()));
    }
    assert_eq!(held.last(), held.get(1), "{held:?}");
}

#[test]
fn a_joiner_with_another_rooms_link_is_told_so() {
    let (world, _, _) = World::call(18, 1);
    let (other, _) = World::new(19, 10);
    let mut lobby = world.lobby();
    lobby.link = other.room.link.clone();
    assert_eq!(
        Joining::new([1; 32], lobby, crate::leaf::Profile::named("x"), None, [0; 32]).err(),
        Some(crate::group::JoinError::Link)
    );
}

#[test]
fn in_a_room_where_one_knocks_a_host_lets_in_and_others_cannot() {
    let (mut world, mut founder) = World::in_mode(20, 10, crate::state::Mode::Knock);
    let mut joining = [world.joiner("first")];
    let mut guest = world.admit(&mut founder, &mut [], &mut joining);
    let second = world.joiner("second");
    let second = candidate(&guest[0], &second).expect("a good request");
    assert_eq!(guest[0].build(Work::Requests(vec![second])).err(), Some(BuildError::Policy(crate::policy::Refusal::Right)));
    assert_agree(&[&founder, &guest[0]]);
}

#[test]
fn a_founder_who_comes_in_later_is_a_host() {
    let (mut world, mut founder, mut guests) = World::call(21, 1);
    let seed = world.seed();
    let profile = crate::leaf::Profile::named("founder's phone");
    let key = world.room.founder.clone();
    let mut joining = [Joining::new(seed, world.lobby(), profile, Some(&key), [0; 32]).expect("a joiner")];
    let phone = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    assert!(guests[0].is_host(phone[0].me()));
    assert!(!guests[0].is_host(guests[0].me()));
}

#[test]
fn an_entry_for_another_epoch_is_skipped_and_the_log_goes_on() {
    let (mut world, mut founder, mut guests) = World::call(22, 2);
    // Built on the epoch before: the place in the log is right, the epoch's key is not.
    let late = world.joiner("late");
    let stale = candidate(&guests[1], &late).expect("a good request");
    let stale = guests[1].build(Work::Requests(vec![stale])).expect("a commit");
    let mut joining = [world.joiner("first")];
    let (first, second) = guests.split_at_mut(1);
    world.admit(&mut founder, &mut [&mut first[0]], &mut joining);
    let mut append = stale.append.clone();
    append.header.seq = world.hub.last().header.seq + 1;
    append.header.prev_head = world.hub.last().header.head();
    append.signature = founder
        .access_key()
        .sign(conclave_federation::proof::Label::Append, &conclave_federation::wire::Wire::encode(&append.header));
    world.hub.append(&append).expect("the hub is blind");
    assert_eq!(skipped(founder.process(&world.hub.last())), Skip::Seal);
    assert_eq!(skipped(first[0].process(&world.hub.last())), Skip::Seal);
    applied(second[0].process(&world.hub.entries[2].clone()));
    assert_eq!(skipped(second[0].process(&world.hub.last())), Skip::Seal);
    let mut joining = [world.joiner("second")];
    world.admit(&mut founder, &mut [&mut first[0], &mut second[0]], &mut joining);
    assert_agree(&[&founder, &first[0], &second[0]]);
}

#[test]
fn sixty_four_come_in_by_one_commit() {
    let (mut world, mut founder) = World::new(23, 100);
    let mut joining: Vec<_> = (0..64).map(|at| world.joiner(&format!("guest {at}"))).collect();
    let guests = world.admit(&mut founder, &mut [], &mut joining);
    assert_eq!(world.hub.entries.len(), 2);
    assert_agree(&[&founder, &guests[0], &guests[63]]);
    assert_eq!(founder.size(), 65);
}

#[test]
fn a_false_word_of_the_founder_makes_no_host() {
    let (mut world, mut founder, mut guests) = World::call(24, 1);
    let seed = world.seed();
    let forged = conclave_federation::proof::SigningKey::from_seed([77; 32]);
    let profile = crate::leaf::Profile::named("founder");
    let mut joining = [Joining::new(seed, world.lobby(), profile, Some(&forged), [0; 32]).expect("a joiner")];
    let fake = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    assert_agree(&[&founder, &guests[0], &fake[0]]);
    assert!(!guests[0].is_host(fake[0].me()) && !fake[0].is_host(fake[0].me()));
}

#[test]
fn a_path_that_one_member_cannot_open_is_a_fault_for_them_alone_and_a_swap_mends_it() {
    let (mut world, mut founder, mut guests) = World::call(25, 3);
    let built = founder.build(Work::Reap { leaves: vec![leaf_named(&founder, "guest 2")], votes: Vec::new() }).expect("a commit");
    let mut victim = guests.remove(1);
    victim.provider.lose_keys();
    world.commit(&mut founder, &mut [&mut guests[0]], &built);
    assert_eq!(victim.process(&world.hub.last()), Outcome::Fault(Fault::Path));
    assert!(victim.is_lost());
    let mut joining = [victim.rejoin().expect("a way back")];
    let back = world.admit(&mut founder, &mut [&mut guests[0]], &mut joining);
    assert_agree(&[&founder, &guests[0], &back[0]]);
    assert_eq!(names(&founder), ["founder", "guest 0", "guest 1"]);
}

#[test]
fn a_host_who_comes_back_under_another_name_is_still_one_and_others_still_come_in() {
    let (mut world, mut founder, mut guests) = World::call(26, 2);
    let built = guests[0].build(Work::Reap { leaves: vec![Leaf(0)], votes: Vec::new() }).expect("a commit");
    let (first, second) = guests.split_at_mut(1);
    world.commit(&mut first[0], &mut [&mut second[0]], &built);
    assert_eq!(founder.process(&world.hub.last()), Outcome::Fault(Fault::Removed));
    let profile = crate::leaf::Profile::named("founder, again");
    let mut joining = [founder.rejoin_as(profile).expect("a way back")];
    let mut back = world.admit(&mut first[0], &mut [&mut second[0]], &mut joining);
    let back = &mut back[0];
    assert!(first[0].is_host(back.me()) && back.is_host(back.me()));
    let mut joining = [world.joiner("late")];
    let late = world.admit(back, &mut [&mut first[0], &mut second[0]], &mut joining);
    assert_agree(&[back, &first[0], &second[0], &late[0]]);
}

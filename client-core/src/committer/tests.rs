use super::*;
use crate::group::{Group, Joining, Knocked};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const TRANSCRIPT: &[u8] = b"transcript";

fn electors(n: u32) -> Vec<Elector> {
    (0..n).map(|leaf| Elector { leaf: Leaf(leaf), host: false, alive: true }).collect()
}

/// Of these, the one at this place in the order.
fn at_rank(electors: &[Elector], rank: usize) -> Leaf {
    order(TRANSCRIPT, electors)[rank]
}

fn note(leaf: u32) -> LeaveNote {
    let call = crate::leaf::Call {
        room: conclave_federation::id::RoomId::new([1; 16]),
        instance: conclave_federation::id::Instance(1),
        genesis: [0; 32],
    };
    let key = conclave_federation::proof::SigningKey::from_seed([u8::try_from(leaf).expect("few"); 32]);
    LeaveNote::sign(&key, &call, Leaf(leaf))
}

fn view(electors: &[Elector], me: Leaf) -> View<'_> {
    View { transcript: TRANSCRIPT, electors, me, host: false, mode: Mode::Open }
}

fn next(committer: &Committer, now: u64, electors: &[Elector], me: Leaf) -> Next {
    committer.next_action(ms(now), &view(electors, me))
}

fn waits_until(next: &Next) -> Option<Duration> {
    match next {
        Next::Wait(until) => *until,
        Next::Build(_) | Next::Task(_) | Next::Reap(_) | Next::Vote(_) | Next::Resend => panic!("not waiting: {next:?}"),
    }
}

/// A request as the group would hand it on.
fn request(attempts: u8) -> Candidate {
    let (group, mut joining): (Group, Joining) = crate::group::for_tests();
    for _ in 1..attempts {
        joining.again().expect("a request");
    }
    let join = joining.request(crate::group::TEST_NOW).expect("a request");
    let knock = conclave_federation::wire::object::Knock { id: join.id, generation: join.generation, body: join.body };
    match group.open_request(&knock).expect("opened") {
        Knocked::Enter(candidate) => *candidate,
        Knocked::Leave(..) => panic!("somebody comes in"),
    }
}

/// The same, as if somebody else had made it.
fn other(candidate: &Candidate, number: u8) -> Candidate {
    let mut other = candidate.clone();
    (other.id, other.key) = (JoinId::new([number; 16]), VerifyingKey::new([number; 32]));
    other
}

/// Whose requests are to be served now.
fn batch(next: &Next) -> Vec<JoinId> {
    match next {
        Next::Build(Work::Requests(candidates)) => candidates.iter().map(|candidate| candidate.id).collect(),
        other => panic!("no requests are served: {other:?}"),
    }
}

#[test]
fn everybody_computes_the_same_order_and_every_epoch_has_another() {
    let mut shuffled = electors(9);
    shuffled.reverse();
    assert_eq!(order(TRANSCRIPT, &electors(9)), order(TRANSCRIPT, &shuffled));
    assert_ne!(order(TRANSCRIPT, &electors(9)), order(b"another", &electors(9)));
}

#[test]
fn hosts_come_first_and_the_silent_not_at_all() {
    let mut people = electors(9);
    let last = at_rank(&people, 8);
    let first = at_rank(&people, 0);
    for elector in &mut people {
        elector.host = elector.leaf == last;
        elector.alive = elector.leaf != first;
    }
    assert_eq!(rank(TRANSCRIPT, &people, last), 0);
    assert!(!order(TRANSCRIPT, &people).contains(&first));
    assert_eq!(rank(TRANSCRIPT, &people, first), 8);
}

#[test]
fn each_rank_waits_one_step_longer() {
    let people = electors(3);
    let mut committer = Committer::new();
    committer.on_request(request(1), ms(1000));
    for (at, due) in [(0, 1050), (1, 1450), (2, 1850)] {
        let me = at_rank(&people, at);
        assert_eq!(waits_until(&next(&committer, due - 1, &people, me)), Some(ms(due)));
        assert!(matches!(next(&committer, due, &people, me), Next::Build(Work::Requests(_))));
    }
}

#[test]
fn a_request_that_was_not_served_in_time_is_served_by_anybody_soon() {
    let people = electors(5);
    let me = at_rank(&people, 4);
    let mut committer = Committer::new();
    committer.on_request(request(2), ms(0));
    assert_eq!(waits_until(&next(&committer, 0, &people, me)), Some(ms(250)));
}

#[test]
fn after_an_entry_the_first_of_the_new_order_acts_at_once_and_the_others_wait_again() {
    let people = electors(3);
    let mut committer = Committer::new();
    committer.on_request(request(1), ms(0));
    committer.on_entry(&[], ms(5000));
    assert!(matches!(next(&committer, 5000, &people, at_rank(&people, 0)), Next::Build(_)));
    assert_eq!(waits_until(&next(&committer, 5000, &people, at_rank(&people, 2))), Some(ms(5800)));
}

#[test]
fn a_served_request_is_forgotten_even_if_the_entry_is_skipped() {
    let people = electors(1);
    let mut committer = Committer::new();
    let wanted = request(1);
    let id = wanted.id;
    committer.on_request(wanted, ms(0));
    committer.on_entry(&[id], ms(50));
    assert_eq!(waits_until(&next(&committer, 10_000, &people, Leaf(0))), None);
}

#[test]
fn while_a_commit_is_under_way_nothing_else_is_built() {
    let people = electors(1);
    let mut committer = Committer::new();
    committer.on_request(request(1), ms(0));
    committer.on_sent(ms(100));
    assert_eq!(waits_until(&next(&committer, 200, &people, Leaf(0))), Some(ms(5100)));
    assert!(matches!(next(&committer, 5100, &people, Leaf(0)), Next::Resend));
    committer.on_timeout(ms(5200));
    assert_eq!(waits_until(&next(&committer, 5300, &people, Leaf(0))), Some(ms(10_200)));
    committer.on_conflict(ms(5400));
    assert_eq!(waits_until(&next(&committer, 50_000, &people, Leaf(0))), None);
    committer.on_entry(&[], ms(50_001));
    assert!(matches!(next(&committer, 50_001, &people, Leaf(0)), Next::Build(_)));
}

#[test]
fn after_a_refusal_a_second_passes() {
    let people = electors(1);
    let mut committer = Committer::new();
    committer.on_silent(Leaf(7), ms(0));
    committer.on_sent(ms(200));
    committer.on_refused(ms(300));
    committer.on_entry(&[], ms(400));
    assert_eq!(waits_until(&next(&committer, 500, &people, Leaf(0))), Some(ms(1300)));
    assert!(matches!(next(&committer, 1300, &people, Leaf(0)), Next::Reap(_)));
}

#[test]
fn requests_go_before_leavers_and_leavers_before_the_silent() {
    let people = electors(1);
    let mut committer = Committer::new();
    let wanted = request(1);
    let id = wanted.id;
    committer.on_request(wanted, ms(0));
    committer.on_leave(note(3), None, ms(0));
    committer.on_silent(Leaf(4), ms(0));
    assert_eq!(committer.waiting(), (1, 1, 1));
    assert!(matches!(next(&committer, 9000, &people, Leaf(0)), Next::Build(Work::Requests(_))));
    committer.on_unbuildable(&[id], ms(9000));
    assert!(matches!(next(&committer, 10_000, &people, Leaf(0)), Next::Build(Work::Leaves(_))));
    committer.on_gone(Leaf(3), &note(3).key);
    assert!(matches!(next(&committer, 10_000, &people, Leaf(0)), Next::Reap(_)));
    committer.on_alive(Leaf(4));
    assert_eq!(waits_until(&next(&committer, 10_000, &people, Leaf(0))), None);
}

#[test]
fn nobody_commits_their_own_leaving_or_reaps_themselves() {
    let people = electors(4);
    let mut committer = Committer::new();
    committer.on_leave(note(3), None, ms(0));
    committer.on_silent(Leaf(3), ms(0));
    assert_eq!(waits_until(&next(&committer, 50_000, &people, Leaf(3))), None);
    assert!(matches!(next(&committer, 50_000, &people, Leaf(1)), Next::Build(Work::Leaves(_))));
}

#[test]
fn who_may_not_let_in_waits_for_who_may() {
    let people = electors(1);
    let mut committer = Committer::new();
    let wanted = request(1);
    let key = wanted.key;
    committer.on_request(wanted, ms(0));
    let knock = |host| View { host, mode: Mode::Knock, ..view(&people, Leaf(0)) };
    assert_eq!(waits_until(&committer.next_action(ms(50_000), &knock(false))), None);
    assert_eq!(waits_until(&committer.next_action(ms(50_000), &knock(true))), None, "a host has not let them in");
    committer.admit(key, ms(50_000));
    assert_eq!(waits_until(&committer.next_action(ms(50_000), &knock(false))), None, "it is a host's word");
    assert_eq!(waits_until(&committer.next_action(ms(50_000), &knock(true))), Some(ms(50_050)));
    assert_eq!(batch(&committer.next_action(ms(50_050), &knock(true))).len(), 1);
    let locked = View { mode: Mode::Locked, ..knock(true) };
    assert_eq!(waits_until(&committer.next_action(ms(50_050), &locked)), None, "nobody comes in");
    committer.on_tree(|here| *here == key);
    assert_eq!(batch(&committer.next_action(ms(50_050), &View { host: false, ..locked })).len(), 1, "but who was in comes back");
}

#[test]
fn who_has_an_old_link_waits_for_a_host_in_an_open_room_too() {
    let people = electors(3);
    let me = at_rank(&people, 2);
    let mut committer = Committer::new();
    let mut wanted = request(1);
    wanted.old_link = true;
    let key = wanted.key;
    committer.on_request(wanted, ms(0));
    let open = |host| View { host, ..view(&people, me) };
    committer.admit(key, ms(100));
    assert_eq!(waits_until(&committer.next_action(ms(50_000), &open(false))), None);
    let due = committer.next_action(ms(150), &open(true));
    assert_eq!(batch(&due).len(), 1, "nobody else knows whom we admitted: our rank does not matter");
    committer.refuse(&key);
    assert!(committer.is_idle());
}

#[test]
fn a_host_admits_who_has_to_ask_again_and_not_for_ever() {
    let people = electors(1);
    let mut committer = Committer::new();
    let again = request(2);
    committer.admit(again.key, ms(0));
    let view = View { host: true, mode: Mode::Knock, ..view(&people, Leaf(0)) };
    committer.on_request(again.clone(), ms(90_000));
    assert_eq!(batch(&committer.next_action(ms(90_050), &view)).len(), 1);
    committer.on_request(again, ms(600_000));
    assert_eq!(waits_until(&committer.next_action(ms(600_050), &view)), None);
}

#[test]
fn one_commit_serves_the_links_of_one_generation() {
    let people = electors(1);
    let view = View { host: true, ..view(&people, Leaf(0)) };
    let mut committer = Committer::new();
    let new = other(&request(1), 1);
    let mut old = other(&new, 2);
    (old.link, old.old_link) = (Generation(7), true);
    committer.admit(old.key, ms(0));
    committer.on_request(new.clone(), ms(0));
    committer.on_request(old.clone(), ms(1));
    let first = batch(&committer.next_action(ms(1000), &view));
    assert_eq!(first.len(), 1);
    committer.on_entry(&first, ms(1000));
    let second = batch(&committer.next_action(ms(1000), &view));
    assert_eq!(second.len(), 1);
    let mut both = [first, second].concat();
    both.sort_unstable();
    assert_eq!(both, [new.id, old.id]);
}

#[test]
fn of_one_key_the_latest_request_stands_and_has_waited_as_long_as_the_first() {
    let people = electors(1);
    let mut committer = Committer::new();
    let first = request(1);
    let mut again = first.clone();
    (again.id, again.attempt) = (JoinId::new([9; 16]), 2);
    committer.on_request(first.clone(), ms(0));
    committer.on_request(again.clone(), ms(40));
    committer.on_request(first, ms(41));
    assert_eq!(batch(&next(&committer, 50, &people, Leaf(0))), [again.id]);
}

#[test]
fn those_who_come_in_a_crowd_come_in_together() {
    let people = electors(1);
    let template = request(1);
    let mut committer = Committer::new();
    for (at, due) in [(0, 50), (1, 162), (2, 275), (3, 387), (4, 500), (5, 500)] {
        committer.on_request(other(&template, at), ms(u64::from(at)));
        let waits = waits_until(&next(&committer, 10, &people, Leaf(0))).map(|until| until.as_millis());
        assert_eq!(waits, Some(due), "{at} others");
    }
    assert_eq!(batch(&next(&committer, 500, &people, Leaf(0))).len(), 6);
    for at in 6..64 {
        committer.on_request(other(&template, at), ms(20));
    }
    assert_eq!(batch(&next(&committer, 20, &people, Leaf(0))).len(), MAX_SERVED, "a full commit waits for nobody");
}

#[test]
fn what_a_host_asks_for_goes_before_everything_else_until_it_is_so() {
    let people = electors(5);
    let me = at_rank(&people, 4);
    let mut committer = Committer::new();
    let mut back = request(2);
    back.is_back = true;
    committer.on_request(back, ms(0));
    let target = note(3).key;
    assert!(committer.on_task(Task::Evict(target)) && committer.on_task(Task::Mode(Mode::Locked)));
    assert!(committer.on_task(Task::Evict(target)), "asked for twice is asked for once");
    let task = |committer: &Committer, now| match next(committer, now, &people, me) {
        Next::Task(task) => task,
        other => panic!("{other:?}"),
    };
    assert_eq!(task(&committer, 0), Task::Evict(target));
    committer.on_sent(ms(0));
    committer.on_conflict(ms(10));
    assert_eq!(waits_until(&next(&committer, 20, &people, me)), None, "the log decides");
    committer.on_entry(&[], ms(30));
    assert_eq!(task(&committer, 30), Task::Evict(target), "again on the new head, at once");
    committer.keep_tasks(|task| *task != Task::Evict(target));
    assert_eq!(task(&committer, 30), Task::Mode(Mode::Locked));
    assert_eq!(committer.on_task_done(), Some(Task::Mode(Mode::Locked)));
    assert!(matches!(next(&committer, 60_000, &people, me), Next::Wait(None)));
}

#[test]
fn what_a_host_asks_for_is_given_up_after_refusals_and_bounded() {
    let people = electors(1);
    let mut committer = Committer::new();
    assert!(committer.on_task(Task::End));
    for refusal in 1..MAX_REFUSALS {
        assert_eq!(committer.on_task_refused(ms(0)), None, "{refusal}");
        assert_eq!(waits_until(&next(&committer, 1, &people, Leaf(0))), Some(BACKOFF));
    }
    assert_eq!(committer.on_task_refused(ms(0)), Some(Task::End));
    for number in 0..u32::try_from(MAX_TASKS).expect("few") {
        assert!(committer.on_task(Task::Rotate(Generation(number))));
    }
    assert!(!committer.on_task(Task::End));
}

#[test]
fn a_flood_of_requests_is_bounded_and_counted() {
    let mut committer = Committer::new();
    let wanted = request(1);
    for at in 0..=u8::try_from(MAX_PENDING_JOINS).expect("few") {
        committer.on_request(other(&wanted, at), ms(0));
    }
    assert_eq!((committer.waiting().0, committer.dropped()), (MAX_PENDING_JOINS, 1));
}

#[test]
fn what_nobody_could_commit_in_a_minute_is_forgotten_and_keeps_nothing_else_waiting() {
    let people = electors(1);
    let mut committer = Committer::new();
    committer.on_request(request(1), ms(0));
    committer.on_leave(note(3), None, ms(0));
    committer.on_silent(Leaf(4), ms(1000));
    assert!(matches!(next(&committer, 59_999, &people, Leaf(0)), Next::Build(Work::Requests(_))));
    assert!(matches!(next(&committer, 60_000, &people, Leaf(0)), Next::Reap(_)));
    committer.on_leave(note(5), None, ms(60_000));
    assert_eq!(committer.waiting(), (0, 1, 1));
}

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
    let bind = crate::leaf::Bind {
        room: conclave_federation::id::RoomId::new([1; 16]),
        instance: conclave_federation::id::Instance(1),
        genesis: [0; 32],
    };
    let key = conclave_federation::proof::SigningKey::from_seed([u8::try_from(leaf).expect("few"); 32]);
    LeaveNote::sign(&key, &bind, Leaf(leaf))
}

fn next(committer: &Committer, now: u64, electors: &[Elector], me: Leaf) -> Next {
    committer.next_action(ms(now), TRANSCRIPT, electors, me, true)
}

fn waits_until(next: &Next) -> Option<Duration> {
    match next {
        Next::Wait(until) => *until,
        Next::Build(_) | Next::Resend => panic!("not waiting: {next:?}"),
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
    for (at, due) in [(0, 1100), (1, 1500), (2, 1900)] {
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
    assert_eq!(waits_until(&next(&committer, 0, &people, me)), Some(ms(300)));
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
    assert!(matches!(next(&committer, 1300, &people, Leaf(0)), Next::Build(Work::Reap(_))));
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
    assert!(matches!(next(&committer, 10_000, &people, Leaf(0)), Next::Build(Work::Reap(_))));
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
    committer.on_request(request(1), ms(0));
    let next = committer.next_action(ms(50_000), TRANSCRIPT, &people, Leaf(0), false);
    assert_eq!(waits_until(&next), None);
}

#[test]
fn a_flood_of_requests_is_bounded_and_counted() {
    let mut committer = Committer::new();
    let wanted = request(1);
    for at in 0..=u8::try_from(MAX_PENDING_JOINS).expect("few") {
        let mut another = wanted.clone();
        another.id = JoinId::new([at; 16]);
        committer.on_request(another, ms(0));
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
    assert!(matches!(next(&committer, 60_000, &people, Leaf(0)), Next::Build(Work::Reap(_))));
    committer.on_leave(note(5), None, ms(60_000));
    assert_eq!(committer.waiting(), (0, 1, 1));
}

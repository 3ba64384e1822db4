//! The machine that decides about log entries, checked exhaustively before it is trusted: the real thread, the real hub's
//! log with real headers, and the real policy; only cryptography is symbolic (who can open what, whose path is broken for
//! whom). Three participants, one of whom may do as they like, up to two histories of a hub, and a few entries.
//!
//! In every state that can be reached:
//! - **agreement**: two honest participants at the same place of the same history are in the same epoch;
//! - **nobody removed comes back unseen**: who holds an epoch's secrets is in its roster, and who was evicted is in none of
//!   those that the honest hold, unless an Add let them in again;
//! - **everybody honest gets back in step**: if the evil one does nothing more, the honest end in one epoch, all of them;
//! - **eviction stays possible**: and then the evil one is in no epoch that they hold.
//!
//! The last two hold as long as there is an honest host and the hub shows one history, or nobody inside is evil. In a room without hosts one insider can stop the call, by a
//! majority that consists of them and somebody's note of a while ago; agreement holds there too.
//!
//! Not in the model: a committer who hands a newcomer the welcome of a commit that everybody else skips. The newcomer is
//! then in a group of their own, with the committer, and hears nobody else.

mod hub;
mod person;
mod settle;
mod world;

use conclave_client_core::state::Mode;
use stateright::{Checker, Model};

use crate::world::{CAME_BACK, EVICTED, EXPIRED, FAULTED, FORKED, May, REMOVED, VOID_APPLIED, VOIDED, World};

/// What could be wrong with the machine: each of these has to be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// What cannot be applied is skipped.
    FaultIsSkipped,
    /// A void is taken whatever it names: also a second time.
    AnyWordWillDo,
    /// Whoever is stuck applies what others do who are stuck.
    StuckGoOn,
    /// Nobody leaves what is taken back.
    NobodyComesBack,
    /// Whoever came after an entry does not leave when it is taken back.
    NewcomersKnowNothing,
}

/// Three inside, the first one a host, the second one up to no good.
fn room() -> World {
    let may = May { void: true, ..May::default() };
    World { evil: Some(1), inside: 0b111, hosts: 0b001, mode: Mode::Open, entries: 3, may, flaw: None, happens: 0 }
}

/// Looks at all states. `happens`: what has to happen in some of them, or the run shows nothing.
fn holds(name: &str, happens: u8, world: World) {
    let began = std::time::Instant::now();
    let checker = World { happens, ..world }.checker().threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} steps deep, {:.1} s", began.elapsed().as_secs_f64());
    checker.assert_properties();
}

/// The same world with something wrong in it has to show.
fn fails(property: &'static str, flaw: Flaw, world: World) {
    let checker = World { flaw: Some(flaw), ..world }.checker().threads(2).spawn_bfs().join();
    println!("{flaw:?}: {} states", checker.unique_state_count());
    assert!(checker.discovery(property).is_some(), "{flaw:?} goes unnoticed");
}

#[test]
fn broken_paths_split_nobody_and_stop_nobody() {
    holds("broken paths", FAULTED | VOID_APPLIED | VOIDED | CAME_BACK, room());
}

#[test]
fn newcomers_follow_the_others() {
    let may = May { reap: true, leave: true, void: true, ..May::default() };
    holds("newcomers", FAULTED | CAME_BACK | REMOVED, World { inside: 0b011, may, ..room() });
    holds("newcomers who knock", CAME_BACK, World { inside: 0b011, mode: Mode::Knock, entries: 4, ..room() });
}

#[test]
fn whoever_is_removed_by_malice_is_back_in_the_end() {
    let may = May { reap: true, leave: true, void: true, ..May::default() };
    holds("false reaps", FAULTED | VOID_APPLIED | CAME_BACK | REMOVED, World { may, ..room() });
}

#[test]
fn junk_moves_nobody_and_eviction_is_for_good() {
    let may = May { evict: true, junk: true, void: true, ..May::default() };
    holds("evictions and junk", FAULTED | VOID_APPLIED | EVICTED, World { may, ..room() });
}

#[test]
fn a_host_who_takes_everything_back_is_evicted_all_the_same() {
    let may = May { evict: true, junk: true, void: true, ..May::default() };
    holds("an evil host", FAULTED | VOIDED | EVICTED, World { hosts: 0b011, may, ..room() });
}

#[test]
fn without_hosts_the_others_agree() {
    holds("no host", FAULTED | VOID_APPLIED | VOIDED, World { hosts: 0, ..room() });
    holds("no host, newcomers", FAULTED | CAME_BACK, World { hosts: 0, inside: 0b011, ..room() });
    // And where the insider only breaks things, half of the others take it back.
    let may = May { junk: true, ..May::default() };
    holds("no host, no lies", FAULTED | VOID_APPLIED, World { hosts: 0, may, ..room() });
}

#[test]
fn two_histories_are_two_rooms_until_they_are_seen() {
    let may = May { fork: true, ..May::default() };
    holds("two histories", FAULTED | FORKED, World { entries: 2, may, ..room() });
    let may = May { fork: true, update: true, leave: true, ..May::default() };
    holds("two histories, nobody evil", FORKED | CAME_BACK, World { evil: None, inside: 0b011, may, ..room() });
}

#[test]
fn whoever_gives_up_agrees_with_the_others() {
    let may = May { expire: true, junk: true, void: true, ..May::default() };
    holds("giving up", FAULTED | EXPIRED | CAME_BACK, World { may, ..room() });
}

#[test]
fn six_entries_of_honest_participants_lose_nobody() {
    let may = May { update: true, leave: true, ..May::default() };
    holds("six entries", CAME_BACK | REMOVED, World { evil: None, inside: 0b011, entries: 6, may, ..room() });
}

#[test]
fn a_fault_that_is_skipped_would_split_them() {
    fails("agreement", Flaw::FaultIsSkipped, room());
}

#[test]
fn a_void_that_counts_twice_would_split_them() {
    fails("agreement", Flaw::AnyWordWillDo, World { hosts: 0b011, ..room() });
}

#[test]
fn the_stuck_who_follow_each_other_would_split() {
    fails("agreement", Flaw::StuckGoOn, room());
}

#[test]
fn a_void_that_nobody_heeds_would_split_them() {
    fails("agreement", Flaw::NobodyComesBack, room());
}

#[test]
fn a_newcomer_who_does_not_heed_it_would_stay_behind() {
    fails("agreement", Flaw::NewcomersKnowNothing, World { inside: 0b011, ..room() });
}

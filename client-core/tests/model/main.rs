//! The machine that decides about log entries, checked exhaustively before it is trusted: the real thread, the real hub's
//! log with real headers, and the real policy; only cryptography is symbolic (who can open what, whose path is broken for
//! whom). Three participants, one of whom may do as they like, up to two histories of a hub, and a few entries.

mod hub;
mod person;
mod settle;
mod world;

use conclave_client_core::state::Mode;
use stateright::{Checker, Model};

use crate::world::{May, World};

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
}

fn check(name: &str, world: World) {
    let began = std::time::Instant::now();
    let checker = world.checker().threads(2).spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {states} states, {depth} steps deep, {:.1} s", began.elapsed().as_secs_f64());
    checker.assert_properties();
}

/// Three inside, the first one a host, the second one up to no good.
fn room() -> World {
    World { evil: Some(1), inside: 0b111, hosts: 0b001, mode: Mode::Knock, entries: 3, may: May { void: true, ..May::default() }, flaw: None }
}

fn n(at: usize) -> usize {
    std::env::var("N").map_or(at, |n| n.parse().unwrap())
}

#[test]
fn a_broken_paths() {
    check("paths", World { entries: n(3), ..room() });
}

#[test]
fn b_newcomer() {
    check("newcomer", World { entries: n(3), inside: 0b011, ..room() });
}

#[test]
fn c_reap_leave() {
    check("reap", World { entries: n(3), mode: Mode::Open, may: May { reap: true, leave: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn c_reap_newcomer() {
    check("reap newcomer", World { entries: n(3), inside: 0b011, mode: Mode::Open, may: May { reap: true, leave: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn d_evict() {
    check("evict", World { entries: n(3), mode: Mode::Open, may: May { evict: true, junk: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn e_evil_cohost() {
    check("cohost", World { entries: n(3), hosts: 0b011, may: May { evict: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn f_hostless() {
    check("hostless", World { entries: n(3), hosts: 0, mode: Mode::Open, ..room() });
}

#[test]
fn f_hostless_newcomer() {
    check("hostless newcomer", World { entries: n(3), hosts: 0, inside: 0b011, mode: Mode::Open, ..room() });
}

#[test]
fn g_fork() {
    check("fork", World { entries: n(3), may: May { fork: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn h_honest() {
    check("honest", World { entries: n(6), evil: None, inside: 0b011, may: May { update: true, leave: true, void: true, ..May::default() }, ..room() });
}

#[test]
fn i_expire() {
    check("expire", World { entries: n(3), may: May { expire: true, junk: true, void: true, ..May::default() }, ..room() });
}

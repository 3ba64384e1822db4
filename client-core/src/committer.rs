//! Who commits, and when. Everybody computes the same order from the group's transcript; who is first acts at once, the
//! next a little later if nothing came. The hub's compare-and-swap makes duplicates harmless.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::JoinId,
    limits::{JOIN_DEADLINE, MAX_LEAVES, MAX_PENDING_JOINS},
    proof::{VerifyingKey, sha256},
};

use crate::group::{Candidate, Leaf, LeaveNote, Work};

/// How long after the oldest open request the first in rank acts: those who knock together come in together.
pub const WINDOW: Duration = Duration::from_millis(100);

/// Leaves wait longer: the leaver is shown as gone already, and a Remove costs a path.
pub const LEAVE_WINDOW: Duration = Duration::from_millis(500);

/// How much later each next rank acts. Above a round trip through three operators, so that the first is heard of.
pub const STEP: Duration = Duration::from_millis(400);

/// From this attempt on a request was not served in time, and every rank acts within a fraction of its delay.
pub const IMPATIENT: u8 = 2;

/// That fraction: not all at once, or a hundred members would build a hundred commits for one that counts.
const IMPATIENCE: u32 = 8;

/// After a refusal that is not CONFLICT nothing is built for this long.
pub const BACKOFF: Duration = Duration::from_secs(1);

/// Requests and leave notes are forgotten after this long: the hub has given the asker up, and a leaver is reaped.
pub const EXPIRY: Duration = JOIN_DEADLINE;

/// A sent commit is offered again, unchanged, when neither an answer nor an entry has come for this long.
pub const RESEND: Duration = Duration::from_secs(5);

/// A member, as far as the election needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elector {
    /// Where.
    pub leaf: Leaf,
    /// Whether hosts' rank is theirs.
    pub host: bool,
    /// Whether a heartbeat of theirs came lately; our own leaf always is.
    pub alive: bool,
}

/// What to do now.
#[derive(Debug)]
pub enum Next {
    /// Nothing before this time, or before something happens.
    Wait(Option<Duration>),
    /// Build this: answer with [`Committer::on_sent`] or [`Committer::on_unbuildable`].
    Build(Work),
    /// Offer the pending commit again, unchanged.
    Resend,
}

/// What was sent, and what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// No commit of ours is under way.
    Idle,
    /// The hub has it.
    Sent {
        /// Since then.
        since: Duration,
    },
    /// CONFLICT or a timeout: the log decides.
    Undecided {
        /// Since then.
        since: Duration,
        /// Whether it may be offered again.
        again: bool,
    },
    /// Refused; not before then.
    Backoff {
        /// Until then.
        until: Duration,
    },
}

#[derive(Debug)]
struct Waiting<T> {
    what: T,
    since: Duration,
}

/// Keeps what is to be committed until the log shows that somebody has.
#[derive(Debug)]
pub struct Committer {
    state: State,
    requests: BTreeMap<JoinId, Waiting<Candidate>>,
    leaves: BTreeMap<VerifyingKey, Waiting<(LeaveNote, Option<JoinId>)>>,
    silent: BTreeMap<Leaf, Duration>,
    /// When the log last moved: the order is another since then.
    moved: Duration,
    dropped: u64,
}

/// The order in which members act: hosts first, then by `SHA-256(transcript ‖ u32 leaf)`; the silent not at all.
#[must_use]
pub fn order(transcript: &[u8], electors: &[Elector]) -> Vec<Leaf> {
    let mut order: Vec<_> = electors
        .iter()
        .filter(|elector| elector.alive)
        .map(|elector| (!elector.host, sha256(&[transcript, &elector.leaf.0.to_be_bytes()]), elector.leaf))
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, leaf)| leaf).collect()
}

/// Our place in [`order`]; behind everybody for those who are not in it.
#[must_use]
pub fn rank(transcript: &[u8], electors: &[Elector], me: Leaf) -> u32 {
    let order = order(transcript, electors);
    let at = order.iter().position(|leaf| *leaf == me).unwrap_or(order.len());
    u32::try_from(at).unwrap_or(u32::from(MAX_LEAVES))
}

impl Default for Committer {
    fn default() -> Self {
        Self::new()
    }
}

impl Committer {
    /// With nothing to do.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Idle,
            requests: BTreeMap::new(),
            leaves: BTreeMap::new(),
            silent: BTreeMap::new(),
            moved: Duration::ZERO,
            dropped: 0,
        }
    }

    /// Somebody knocks.
    pub fn on_request(&mut self, candidate: Candidate, now: Duration) {
        self.expire(now);
        if self.requests.len() >= MAX_PENDING_JOINS && !self.requests.contains_key(&candidate.id) {
            self.dropped += 1;
            return;
        }
        self.requests.entry(candidate.id).or_insert(Waiting { what: candidate, since: now });
    }

    /// Somebody leaves, with a genuine note.
    pub fn on_leave(&mut self, note: LeaveNote, request: Option<JoinId>, now: Duration) {
        self.expire(now);
        if self.leaves.len() >= usize::from(MAX_LEAVES) && !self.leaves.contains_key(&note.key) {
            self.dropped += 1;
            return;
        }
        let waiting = self.leaves.entry(note.key).or_insert(Waiting { what: (note, request), since: now });
        if waiting.what.1.is_none() {
            waiting.what.1 = request;
        }
    }

    /// A leaf has been silent for too long.
    pub fn on_silent(&mut self, leaf: Leaf, now: Duration) {
        if self.silent.len() < usize::from(MAX_LEAVES) {
            self.silent.entry(leaf).or_insert(now);
        }
    }

    /// It is heard again.
    pub fn on_alive(&mut self, leaf: Leaf) {
        self.silent.remove(&leaf);
    }

    /// The log moved on: by an entry of somebody else, or by our own, acknowledged or read. Requests that it names are
    /// served, even if the entry is skipped, because the hub has answered them; and nothing of ours is pending any more.
    pub fn on_entry(&mut self, served: &[JoinId], now: Duration) {
        self.forget(served);
        self.moved = now;
        match self.state {
            State::Idle | State::Sent { .. } | State::Undecided { .. } => self.state = State::Idle,
            State::Backoff { .. } => {}
        }
    }

    fn expire(&mut self, now: Duration) {
        self.requests.retain(|_, waiting| waiting.since + EXPIRY > now);
        self.leaves.retain(|_, waiting| waiting.since + EXPIRY > now);
    }

    fn forget(&mut self, requests: &[JoinId]) {
        for id in requests {
            self.requests.remove(id);
        }
    }

    /// A key is not in the group any more.
    pub fn on_gone(&mut self, leaf: Leaf, key: &VerifyingKey) {
        self.leaves.remove(key);
        self.silent.remove(&leaf);
    }

    /// The pending commit is with the hub.
    pub const fn on_sent(&mut self, now: Duration) {
        self.state = State::Sent { since: now };
    }

    /// Nothing could be built; these requests are to be forgotten.
    pub fn on_unbuildable(&mut self, refused: &[JoinId], now: Duration) {
        self.forget(refused);
        self.state = State::Backoff { until: now + BACKOFF };
    }

    /// CONFLICT: another entry was first, or our own from before a timeout. The log decides.
    pub const fn on_conflict(&mut self, now: Duration) {
        self.state = State::Undecided { since: now, again: false };
    }

    /// No answer: it may have been stored or not.
    pub const fn on_timeout(&mut self, now: Duration) {
        self.state = State::Undecided { since: now, again: true };
    }

    /// Refused for another reason, and given up by [`crate::group::Group::discard`].
    pub fn on_refused(&mut self, now: Duration) {
        self.state = State::Backoff { until: now + BACKOFF };
    }

    /// Requests and leavers that were dropped because too many waited.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What waits: requests, leavers, silent leaves.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize, usize) {
        (self.requests.len(), self.leaves.len(), self.silent.len())
    }

    /// What to do now. `lets_in` is whether the room's mode lets us commit Adds.
    #[must_use]
    pub fn next_action(&self, now: Duration, transcript: &[u8], electors: &[Elector], me: Leaf, lets_in: bool) -> Next {
        match self.state {
            State::Idle => {}
            State::Sent { since } | State::Undecided { since, again: true } => {
                let due = since + RESEND;
                return if due <= now { Next::Resend } else { Next::Wait(Some(due)) };
            }
            State::Undecided { again: false, .. } => return Next::Wait(None),
            State::Backoff { until } if until > now => return Next::Wait(Some(until)),
            State::Backoff { .. } => {}
        }
        let delay = STEP * rank(transcript, electors, me);
        // In a new epoch the order is another: whoever is first now acts now, and the others wait for them again.
        let at = |since: Duration, window: Duration, delay: Duration| (since + window).max(self.moved) + delay;
        let fresh = |since: Duration| since + EXPIRY > now;
        let requests = self.requests.values().filter(|waiting| lets_in && fresh(waiting.since)).map(|waiting| {
            let delay = if waiting.what.attempt >= IMPATIENT { delay / IMPATIENCE } else { delay };
            at(waiting.since, WINDOW, delay)
        });
        let leaves = self.leaves.values().filter(|waiting| waiting.what.0.leaf != me && fresh(waiting.since));
        let leaves = leaves.map(|waiting| at(waiting.since, LEAVE_WINDOW, delay));
        // Whoever is first of the living acts; the silent ones themselves are no electors.
        let silent = self.silent.iter().filter(|(leaf, _)| **leaf != me).map(|(_, since)| at(*since, WINDOW, delay));
        let (requests, leaves, silent) = (requests.min(), leaves.min(), silent.min());
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(requests) {
            let requests = self.requests.values().filter(|waiting| fresh(waiting.since));
            return Next::Build(Work::Requests(requests.map(|waiting| waiting.what.clone()).collect()));
        }
        if due(leaves) {
            let leaves = self.leaves.values().filter(|waiting| fresh(waiting.since));
            return Next::Build(Work::Leaves(leaves.map(|waiting| waiting.what.clone()).collect()));
        }
        if due(silent) {
            return Next::Build(Work::Reap(self.silent.keys().copied().collect()));
        }
        Next::Wait([requests, leaves, silent].into_iter().flatten().min())
    }
}

#[cfg(test)]
mod tests;

//! Who commits, and when. Everybody computes the same order from the group's transcript; who is first acts at once, the
//! next a little later if nothing came. The hub's compare-and-swap makes duplicates harmless.
//!
//! ```text
//!   what a host asked for      at once, before everything else, again after every CONFLICT
//!   who comes back             any participant, in every mode
//!   who comes in               open: any participant · knock: a host, whom it admitted · locked: nobody
//!   .. with an old link        a host, whom it admitted
//!   who left, who is silent    in the order of ranks
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::{Generation, JoinId},
    limits::{JOIN_DEADLINE, MAX_LEAVES, MAX_PENDING_JOINS, MAX_SERVED},
    proof::{VerifyingKey, sha256},
};

use crate::{
    group::{Candidate, Leaf, LeaveNote, Work},
    state::Mode,
};

/// How long after the oldest open request the first in rank acts when nobody else came lately: those who knock together
/// come in together.
pub const WINDOW: Duration = Duration::from_millis(50);

/// The same when [`CROWD`] came within [`LATELY`], and in between for fewer: a commit costs every member the same, whether it
/// lets in one or sixty-four.
pub const CROWDED_WINDOW: Duration = Duration::from_millis(500);

/// See [`CROWDED_WINDOW`].
pub const CROWD: usize = 5;
/// See [`CROWDED_WINDOW`].
pub const LATELY: Duration = Duration::from_secs(1);

/// Leaves wait longer: the leaver is shown as gone already, and a Remove costs a path.
pub const LEAVE_WINDOW: Duration = Duration::from_millis(500);

/// The silent have waited long enough.
pub const REAP_WINDOW: Duration = Duration::from_millis(100);

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

/// A host's word that somebody may come in holds this long: they may have to ask again meanwhile.
pub const ADMISSION: Duration = Duration::from_secs(10 * 60);

/// A sent commit is offered again, unchanged, when neither an answer nor an entry has come for this long.
pub const RESEND: Duration = Duration::from_secs(5);

/// Things that a host asked for and that are not done yet; more are refused.
pub const MAX_TASKS: usize = 32;

/// Refusals other than CONFLICT before a task is given up.
pub const MAX_REFUSALS: u8 = 5;

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

/// What a host asked for. It is done when the log shows that it is so, whoever's commit it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Put the leaf with this key out.
    Evict(VerifyingKey),
    /// Begin the generation after this one.
    Rotate(Generation),
    /// Let others in like this.
    Mode(Mode),
    /// Make the leaf with this key a host.
    MakeHost(VerifyingKey),
    /// Take the rights of the host with this key.
    DropHost(VerifyingKey),
    /// Show newcomers so many messages, none older than so many minutes.
    History {
        /// Messages.
        messages: u16,
        /// Minutes; 0 is no bound.
        minutes: u16,
    },
    /// End the call.
    End,
}

/// How the room stands, as far as it decides who commits what.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The group's transcript.
    pub transcript: &'a [u8],
    /// Everybody.
    pub electors: &'a [Elector],
    /// Our leaf.
    pub me: Leaf,
    /// Whether we have a host's rights.
    pub host: bool,
    /// Who may let others in.
    pub mode: Mode,
}

/// What to do now.
#[derive(Debug)]
pub enum Next {
    /// Nothing before this time, or before something happens.
    Wait(Option<Duration>),
    /// Build this: answer with [`Committer::on_sent`] or [`Committer::on_unbuildable`].
    Build(Work),
    /// Build this: answer with [`Committer::on_task_sent`], [`Committer::on_task_done`] or [`Committer::on_task_refused`].
    Task(Task),
    /// Remove these, who are silent: answer as to [`Next::Build`].
    Reap(Vec<Leaf>),
    /// Remove this one by the votes of the others, if they are enough: answer as to [`Next::Build`].
    Vote(Leaf),
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
    /// What we asked for as a host, in order.
    tasks: VecDeque<Task>,
    refusals: u8,
    /// Whether what is under way is the first task's.
    is_task: bool,
    requests: BTreeMap<JoinId, Waiting<Candidate>>,
    /// When the newest requests came, no more than [`CROWD`].
    arrivals: VecDeque<Duration>,
    /// Keys that we let in as a host, and since when.
    admitted: BTreeMap<VerifyingKey, Duration>,
    leaves: BTreeMap<VerifyingKey, Waiting<(LeaveNote, Option<JoinId>)>>,
    silent: BTreeMap<Leaf, Duration>,
    /// Those against whom there may be votes enough, and since when.
    voted: BTreeMap<Leaf, Duration>,
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
            tasks: VecDeque::new(),
            refusals: 0,
            is_task: false,
            requests: BTreeMap::new(),
            arrivals: VecDeque::new(),
            admitted: BTreeMap::new(),
            leaves: BTreeMap::new(),
            silent: BTreeMap::new(),
            voted: BTreeMap::new(),
            moved: Duration::ZERO,
            dropped: 0,
        }
    }

    /// A host asks for something. `false` when too much waits already.
    pub fn on_task(&mut self, task: Task) -> bool {
        if self.tasks.contains(&task) {
            return true;
        }
        if self.tasks.len() >= MAX_TASKS {
            self.dropped += 1;
            return false;
        }
        self.tasks.push_back(task);
        true
    }

    /// Whether a host's wish waits.
    #[must_use]
    pub fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// The group began another generation: links of earlier ones lead to the waiting room.
    pub fn on_generation(&mut self, generation: Generation) {
        for waiting in self.requests.values_mut() {
            waiting.what.old_link = waiting.what.link != generation;
        }
    }

    /// Keeps the tasks that are still to do: called whenever the group has moved.
    pub fn keep_tasks(&mut self, keep: impl Fn(&Task) -> bool) {
        let before = self.tasks.front().cloned();
        self.tasks.retain(keep);
        if self.tasks.front() != before.as_ref() {
            self.refusals = 0;
        }
    }

    /// The first task needs no commit, or cannot have one: given up.
    pub fn on_task_done(&mut self) -> Option<Task> {
        self.refusals = 0;
        self.tasks.pop_front()
    }

    /// The commit of the first task was refused and given up; not for CONFLICT. Gives the task when it is given up as well.
    pub fn on_task_refused(&mut self, now: Duration) -> Option<Task> {
        self.state = State::Backoff { until: now + BACKOFF };
        self.refusals += 1;
        if self.refusals < MAX_REFUSALS { None } else { self.on_task_done() }
    }

    /// Somebody knocks.
    pub fn on_request(&mut self, candidate: Candidate, now: Duration) {
        self.expire(now);
        // Of one key the latest stands, and has waited as long as the first.
        let earlier = self.requests.values().find(|waiting| waiting.what.key == candidate.key);
        let since = match earlier {
            Some(waiting) if waiting.what.attempt > candidate.attempt => return,
            Some(waiting) => waiting.since,
            None if self.requests.len() >= MAX_PENDING_JOINS => {
                self.dropped += 1;
                return;
            }
            None => {
                self.arrivals.push_back(now);
                if self.arrivals.len() > CROWD {
                    self.arrivals.pop_front();
                }
                now
            }
        };
        self.requests.retain(|_, waiting| waiting.what.key != candidate.key);
        self.requests.insert(candidate.id, Waiting { what: candidate, since });
    }

    /// As a host we let somebody in: now, or whenever they ask again for a while.
    pub fn admit(&mut self, key: VerifyingKey, now: Duration) {
        self.admitted.retain(|_, since| *since + ADMISSION > now);
        if self.admitted.len() < MAX_PENDING_JOINS {
            self.admitted.insert(key, now);
        }
    }

    /// As a host we do not let them in.
    pub fn refuse(&mut self, key: &VerifyingKey) {
        self.admitted.remove(key);
        self.requests.retain(|_, waiting| waiting.what.key != *key);
    }

    /// The door was closed to strangers, or is not any more: who asked until now was told so, or asks again by themselves.
    /// Nobody is let in on a request of before, whose asker may have gone with a refusal.
    pub fn on_door(&mut self) {
        self.requests.retain(|_, waiting| waiting.what.is_back);
    }

    /// Who is in the tree now: the others come in, if they may.
    pub fn on_tree(&mut self, here: impl Fn(&VerifyingKey) -> bool) {
        for waiting in self.requests.values_mut() {
            waiting.what.is_back = here(&waiting.what.key);
        }
        self.admitted.retain(|key, _| !here(key));
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

    /// There may be votes enough to remove them. Asked again with every vote that comes.
    pub fn on_vote(&mut self, leaf: Leaf, now: Duration) {
        if self.voted.len() < usize::from(MAX_LEAVES) {
            self.voted.entry(leaf).or_insert(now);
        }
    }

    /// There are not: nothing is tried before the next vote comes.
    pub fn on_votes_short(&mut self, leaf: Leaf) {
        self.voted.remove(&leaf);
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

    /// Requests that are served, or whose key package spoils any commit.
    pub fn forget(&mut self, requests: &[JoinId]) {
        for id in requests {
            self.requests.remove(id);
        }
    }

    /// A key is not in the group any more.
    pub fn on_gone(&mut self, leaf: Leaf, key: &VerifyingKey) {
        self.leaves.remove(key);
        self.silent.remove(&leaf);
        self.voted.remove(&leaf);
    }

    /// The pending commit is with the hub.
    pub const fn on_sent(&mut self, now: Duration) {
        self.is_task = false;
        self.state = State::Sent { since: now };
    }

    /// The first task's commit is.
    pub const fn on_task_sent(&mut self, now: Duration) {
        self.is_task = true;
        self.state = State::Sent { since: now };
    }

    /// What was under way is offered again, unchanged.
    pub const fn on_resent(&mut self, now: Duration) {
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

    /// Refused for another reason, and given up by [`crate::group::Group::discard`]. Gives the task when it is given up as well.
    pub fn on_refused(&mut self, now: Duration) -> Option<Task> {
        if std::mem::take(&mut self.is_task) {
            return self.on_task_refused(now);
        }
        self.state = State::Backoff { until: now + BACKOFF };
        None
    }

    /// Requests and leavers that were dropped because too many waited.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether there is nothing to do, whatever the time.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty()
            && self.requests.is_empty()
            && self.leaves.is_empty()
            && self.silent.is_empty()
            && self.voted.is_empty()
    }

    /// What waits: requests, leavers, silent leaves.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize, usize) {
        (self.requests.len(), self.leaves.len(), self.silent.len())
    }

    /// How long the oldest request waits for company.
    fn window(&self, now: Duration) -> Duration {
        let others = self.arrivals.iter().filter(|at| **at + LATELY > now).count().saturating_sub(1);
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        let most = u32::try_from(CROWD - 1).unwrap_or(1);
        WINDOW + (CROWDED_WINDOW - WINDOW) * others.min(most) / most
    }

    /// When this request is for us to serve, if it ever is.
    fn due(&self, waiting: &Waiting<Candidate>, times: Times, view: &View<'_>) -> Option<Duration> {
        let candidate = &waiting.what;
        if waiting.since + EXPIRY <= times.now {
            return None;
        }
        let in_rank = || {
            let delay = if candidate.attempt >= IMPATIENT { times.delay / IMPATIENCE } else { times.delay };
            Some((waiting.since + times.window).max(self.moved) + delay)
        };
        // Only we know whom we admitted: nobody else acts before us.
        let by_host = || {
            let since = self.admitted.get(&candidate.key).filter(|since| view.host && **since + ADMISSION > times.now)?;
            Some((*since).max(waiting.since) + WINDOW)
        };
        match view.mode {
            _ if candidate.is_back => in_rank(),
            Mode::Open if !candidate.old_link => in_rank(),
            Mode::Open | Mode::Knock => by_host(),
            Mode::Locked => None,
        }
    }

    /// What to do now.
    #[must_use]
    pub fn next_action(&self, now: Duration, view: &View<'_>) -> Next {
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
        if let Some(task) = self.tasks.front() {
            return Next::Task(task.clone());
        }
        if self.is_idle() {
            return Next::Wait(None);
        }
        let delay = STEP * rank(view.transcript, view.electors, view.me);
        let times = Times { now, window: self.window(now), delay };
        // In a new epoch the order is another: whoever is first now acts now, and the others wait for them again.
        let at = |since: Duration, window: Duration| (since + window).max(self.moved) + delay;
        let fresh = |since: Duration| since + EXPIRY > now;
        let due: Vec<(Duration, &Candidate)> =
            self.requests.values().filter_map(|waiting| Some((self.due(waiting, times, view)?, &waiting.what))).collect();
        let requests = if due.len() >= MAX_SERVED {
            // No more go into one commit: it would only get older.
            due.iter().map(|(at, _)| *at).min().map(|at| at.min((self.moved + delay).max(now)))
        } else {
            due.iter().map(|(at, _)| *at).min()
        };
        let leaves = self.leaves.values().filter(|waiting| waiting.what.0.leaf != view.me && fresh(waiting.since));
        let leaves = leaves.map(|waiting| at(waiting.since, LEAVE_WINDOW)).min();
        // Whoever is first of the living acts; the silent ones themselves are no electors.
        let silent = self.silent.iter().filter(|(leaf, _)| **leaf != view.me).map(|(_, since)| at(*since, REAP_WINDOW)).min();
        let voted =
            self.voted.iter().filter(|(leaf, _)| **leaf != view.me).map(|(leaf, since)| (at(*since, REAP_WINDOW), *leaf)).min();
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_due(requests) {
            // The welcome is sealed for the links of one generation: one commit serves no other.
            let generation = due.iter().min_by_key(|(at, _)| *at).map(|(_, candidate)| candidate.link);
            let batch = due.into_iter().map(|(_, candidate)| candidate).filter(|candidate| Some(candidate.link) == generation);
            return Next::Build(Work::Requests(batch.cloned().collect()));
        }
        if is_due(leaves) {
            let leaves = self.leaves.values().filter(|waiting| fresh(waiting.since));
            return Next::Build(Work::Leaves(leaves.map(|waiting| waiting.what.clone()).collect()));
        }
        if is_due(silent) {
            return Next::Reap(self.silent.keys().copied().collect());
        }
        if let Some(leaf) = voted.filter(|(at, _)| *at <= now).map(|(_, leaf)| leaf) {
            return Next::Vote(leaf);
        }
        Next::Wait([requests, leaves, silent, voted.map(|(at, _)| at)].into_iter().flatten().min())
    }
}

/// What is the same for all requests at one moment.
#[derive(Clone, Copy)]
struct Times {
    now: Duration,
    window: Duration,
    delay: Duration,
}

#[cfg(test)]
mod tests;

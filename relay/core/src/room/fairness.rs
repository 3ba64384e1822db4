//! Whose entry is next. The room's pace is shared by all who offer entries to it, so that nobody can crowd out anybody else.
//!
//! - A *lane* is a client session of this relay, or a link with everybody behind it; what a single client may offer is bounded
//!   at its own relay, before its entries come here. Lanes take turns: who was served longest ago is next.
//! - Entries of one lane wait in line, a few; those of a lane with more give way to a lane with fewer. An entry that follows
//!   another head than the log's is answered at once and costs nobody a turn.
//! - While the room is crowded, who lost a race is waited for by all who have won since it last did, at most
//!   [`LOST_PATIENCE`], and the log never stands still for longer. So junk at any rate costs others one race, not all of them.
//! - A host's entry with a valid `reserve` waits for none of these. When another entry was first all the same, the head is held
//!   for [`HOLD`]: others are refused, and an eviction cannot be starved. A hold that came to nothing is not given again for
//!   [`HOLD_PAUSE`], so that no host can stop the room.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{io::SessionKey, proof::HostProof, proof::VerifyingKey, record::RoomRecord, wire::message::Append};

use crate::{
    admit::Bucket,
    limits::{HOLD, HOLD_PAUSE, HOST_WORDS, LANE_MEMORY, LOST_PATIENCE, Limits, MAX_BRANCHES, MAX_LANE_WAITING, MAX_LANES},
    relay::Asker,
};

/// Whose word a reserve is: the founder's, or that of all who hang on one of the founder's delegates. A host can delegate to
/// any number of keys, and gains nothing by it.
pub(crate) type Branch = VerifyingKey;

/// The branch that a valid word comes from.
pub(crate) fn branch(word: &HostProof, record: &RoomRecord) -> Branch {
    word.chain.first().map_or(record.founder, |step| step.host)
}

/// An entry that waits.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) asker: Asker,
    pub(crate) append: Box<Append>,
    /// Whose word comes with it, when one does that holds.
    pub(crate) branch: Option<Branch>,
}

#[derive(Debug)]
struct Lane {
    waiting: VecDeque<Turn>,
    /// Count of turns when it was last served; 0: never.
    served: u64,
    /// The same when an entry of it was the next one.
    won: u64,
    /// It lost a race; waited for until then.
    lost: Option<Duration>,
    /// It is not waited for again before then, unless it is served.
    spent: Duration,
    /// How often it makes us check a host's word.
    words: Bucket,
    /// Last time that it offered something.
    seen: Duration,
}

impl Lane {
    fn new(now: Duration) -> Self {
        let (waiting, words) = (VecDeque::new(), Bucket::new());
        Self { waiting, served: 0, won: 0, lost: None, spent: Duration::ZERO, words, seen: now }
    }

    /// Until when others wait for it.
    fn is_awaited(&self, now: Duration) -> Option<Duration> {
        self.lost.filter(|until| *until > now)
    }
}

#[derive(Debug)]
struct Hold {
    branch: Branch,
    until: Duration,
}

/// Why an entry is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crowded {
    /// Too many of this lane wait.
    Lane,
    /// Too many of all wait, and this lane has as many as any.
    Room,
    /// The head is held for a host.
    Held,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Next {
    /// Write this one.
    Entry(Turn),
    /// Refuse this one: the head is held.
    Refuse(Turn),
    /// Refuse this one: another entry was first.
    Stale(Turn),
    /// Nothing before then.
    Wait(Duration),
    /// Nothing waits.
    Idle,
}

/// All entries that wait for one room's log.
#[derive(Debug)]
pub(crate) struct Turns {
    lanes: BTreeMap<SessionKey, Lane>,
    hosts: VecDeque<Turn>,
    branches: BTreeMap<Branch, Bucket>,
    room: Bucket,
    count: u64,
    /// When the log moved last.
    moved: Duration,
    hold: Option<Hold>,
    next_hold: Duration,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self {
            lanes: BTreeMap::new(),
            hosts: VecDeque::new(),
            branches: BTreeMap::new(),
            room: Bucket::new(),
            count: 0,
            moved: Duration::ZERO,
            hold: None,
            next_hold: Duration::ZERO,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    fn is_held(&self, now: Duration) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.until > now)
    }

    fn lane(&mut self, now: Duration, source: SessionKey) -> Option<&mut Lane> {
        if !self.lanes.contains_key(&source) && self.lanes.len() >= MAX_LANES {
            self.sweep(now);
            if self.lanes.len() >= MAX_LANES {
                return None;
            }
        }
        let lane = self.lanes.entry(source).or_insert_with(|| Lane::new(now));
        lane.seen = now;
        Some(lane)
    }

    /// Whether a host's word from there is worth the work of checking it.
    pub(crate) fn may_check(&mut self, now: Duration, source: SessionKey) -> bool {
        self.lane(now, source).is_some_and(|lane| lane.words.take(now, HOST_WORDS, 1))
    }

    /// Whether a branch has not used up its own share; then its entry does not need the room's.
    fn has_share(&mut self, now: Duration, limits: &Limits, branch: Branch) -> bool {
        if !self.branches.contains_key(&branch) && self.branches.len() >= MAX_BRANCHES {
            return false;
        }
        self.branches.entry(branch).or_insert_with(Bucket::new).take(now, limits.host_commits, 1)
    }

    /// An entry is offered. `Ok` has one that gives way to it, to be refused.
    pub(crate) fn offer(&mut self, now: Duration, limits: &Limits, mut turn: Turn) -> Result<Option<Turn>, Crowded> {
        if let Some(branch) = turn.branch {
            if self.hosts.len() < limits.waiting_appends && self.has_share(now, limits, branch) {
                self.hosts.push_back(turn);
                return Ok(None);
            }
            turn.branch = None;
        }
        if self.is_held(now) {
            return Err(Crowded::Held);
        }
        let all: usize = self.lanes.values().map(|lane| lane.waiting.len()).sum();
        let source = turn.asker.session;
        let own = self.lane(now, source).ok_or(Crowded::Room)?.waiting.len();
        if own >= MAX_LANE_WAITING {
            return Err(Crowded::Lane);
        }
        let mut gives_way = None;
        if all >= limits.waiting_appends {
            let fullest = self.lanes.values_mut().max_by_key(|lane| lane.waiting.len());
            gives_way = fullest.filter(|lane| lane.waiting.len() > own + 1).and_then(|lane| lane.waiting.pop_back());
            if gives_way.is_none() {
                return Err(Crowded::Room);
            }
        }
        if let Some(lane) = self.lanes.get_mut(&source) {
            lane.waiting.push_back(turn);
        }
        Ok(gives_way)
    }

    /// The next entry, if it is time for one.
    pub(crate) fn next(&mut self, now: Duration, limits: &Limits, is_stale: impl Fn(&Append) -> bool) -> Next {
        if let Some(turn) = self.hosts.pop_front() {
            return Next::Entry(turn);
        }
        let is_held = self.is_held(now);
        for lane in self.lanes.values_mut() {
            let Some(is_stale) = lane.waiting.front().map(|turn| is_stale(&turn.append)) else { continue };
            if (is_held || is_stale)
                && let Some(turn) = lane.waiting.pop_front()
            {
                return if is_stale { Next::Stale(turn) } else { Next::Refuse(turn) };
            }
        }
        let is_crowded = self.room.is_below_half(now, limits.room_commits);
        let patience = Some(self.moved + LOST_PATIENCE).filter(|until| is_crowded && *until > now);
        // Who is waited for by whoever has won since then.
        let awaited = self.lanes.values().filter_map(|lane| Some((lane.won, lane.is_awaited(now)?.min(patience?))));
        let awaited: Vec<_> = awaited.collect();
        let mut until = None;
        let mut first: Option<(u64, SessionKey)> = None;
        for (source, lane) in self.lanes.iter().filter(|(_, lane)| !lane.waiting.is_empty()) {
            match awaited.iter().filter(|(won, _)| *won < lane.won).map(|(_, until)| *until).max() {
                Some(at) => until = Some(until.map_or(at, |until: Duration| until.min(at))),
                None => first = Some(first.map_or((lane.served, *source), |first| first.min((lane.served, *source)))),
            }
        }
        let Some((_, source)) = first else { return until.map_or(Next::Idle, Next::Wait) };
        if let Err(at) = self.room.take_or_when(now, limits.room_commits) {
            return Next::Wait(at);
        }
        self.count += 1;
        let count = self.count;
        let turn = self.lanes.get_mut(&source).and_then(|lane| {
            lane.served = count;
            lane.waiting.pop_front()
        });
        turn.map_or(Next::Idle, Next::Entry)
    }

    /// Another entry was before this one; its lane is waited for, and not again before `pause` is over, unless it wins. `true`: the head is held for whoever offered it.
    pub(crate) fn on_conflict(&mut self, now: Duration, source: SessionKey, branch: Option<Branch>, pause: Duration) -> bool {
        if let Some(branch) = branch {
            if self.next_hold > now {
                return false;
            }
            self.hold = Some(Hold { branch, until: now + HOLD });
            // Unless something comes of it.
            self.next_hold = now + HOLD + HOLD_PAUSE;
            return true;
        }
        if let Some(lane) = self.lane(now, source)
            && lane.spent <= now
        {
            lane.lost = Some(now + LOST_PATIENCE);
            lane.spent = now + pause;
        }
        false
    }

    /// An entry is in the log.
    pub(crate) fn on_accepted(&mut self, now: Duration, source: SessionKey, branch: Option<Branch>) {
        let count = self.count;
        self.moved = now;
        if let Some(lane) = self.lane(now, source) {
            lane.lost = None;
            lane.spent = Duration::ZERO;
            lane.won = count;
        }
        if self.hold.as_ref().is_some_and(|hold| Some(hold.branch) == branch) {
            self.hold = None;
            self.next_hold = Duration::ZERO;
        }
    }

    /// All that waits, when the call or the room is over.
    pub(crate) fn drain(&mut self) -> Vec<Turn> {
        let lanes = self.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting));
        std::mem::take(&mut self.hosts).into_iter().chain(lanes).collect()
    }

    /// Forgets lanes that have not offered anything for a while.
    pub(crate) fn sweep(&mut self, now: Duration) {
        self.lanes.retain(|_, lane| !lane.waiting.is_empty() || lane.seen + LANE_MEMORY > now);
    }
}

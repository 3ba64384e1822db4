//! Looks at the world now and then, and at the end: bounds, rosters, and whether everybody has found together.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use conclave_client_core::api::Presence;
use conclave_federation::wire::code::Code;

use super::{
    World,
    person::{Person, Stage, TRACKS},
};
use crate::{
    check::{PersonNo, Rule},
    net,
    trace::Trace,
};

/// After the last fault everybody is in one epoch within this: a silent session is noticed, the way back is found with its
/// pauses, and whoever died last is given up by four heartbeats and a vote's wait.
const TOGETHER_WITHIN: Duration = Duration::from_secs(45);

/// From then on everybody hears and sees everybody within this: a camera's next key frame, and a word each.
const HEARD_WITHIN: Duration = Duration::from_secs(12);

/// Around a departure or a move to another leaf, objects may come of tracks that are nobody's, or somebody else's.
const MOVING: Duration = Duration::from_secs(3);

/// How often the end is looked for.
const EVERY: Duration = Duration::from_millis(500);

/// Codes with which an honest relay or client never closes a session of another honest one.
pub(super) fn is_dishonest(code: Code) -> bool {
    [Code::MALFORMED, Code::VIOLATION, Code::VERSION, Code::UNPROVEN, Code::INTERNAL, Code::POLICY, Code::RATE].contains(&code)
}

/// How a story ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// One number over everything that happened.
    pub trace: u64,
    /// How many things that were.
    pub events: u64,
    /// What does not hold, one line each; empty: all holds.
    pub violations: Vec<String>,
    /// When the story was over.
    pub took: Duration,
    /// From the last fault to one epoch with everybody alive in it.
    pub together_after: Option<Duration>,
    /// Epochs that there were.
    pub epochs: usize,
    /// Entries acknowledged.
    pub entries: usize,
    /// Frames written, and received by everybody together.
    pub frames: (usize, u64),
    /// Messages heard by everybody together.
    pub chats: usize,
    /// What the network did.
    pub net: net::Stats,
    /// What happened that is neither right nor wrong.
    pub tallies: BTreeMap<String, u64>,
}

impl Outcome {
    /// Whether all invariants hold.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} after {:.1} s ({} events, trace {:016x})",
            self.seed,
            if self.is_fine() { "all holds" } else { "VIOLATED" },
            self.took.as_secs_f64(),
            self.events,
            self.trace
        )?;
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        let (written, received) = self.frames;
        let Self { together_after, epochs, entries, chats, .. } = self;
        writeln!(f, "  together after {together_after:?}, {epochs} epochs, {entries} entries, {chats} chats heard")?;
        writeln!(f, "  {written} frames written, {received} received; {:?}", self.net)?;
        writeln!(f, "  {:?}", self.tallies)
    }
}

impl World {
    /// Plays the story to its end, and says what holds.
    pub fn play(&mut self) -> Outcome {
        let calm = self.story.calm;
        self.run_until(calm);
        self.make_calm();
        let together_after = self.await_that(TOGETHER_WITHIN, Self::not_together).map(|at| at.saturating_sub(calm));
        let marks: BTreeMap<_, _> =
            self.people.iter().map(|person| (person.number, person.tracks.map(|track| track.next))).collect();
        for person in self.wanted.clone() {
            self.say(person.0);
        }
        self.await_that(HEARD_WITHIN, |world| world.not_heard(&marks));
        self.last_look();
        self.outcome(together_after)
    }

    fn outcome(&self, together_after: Option<Duration>) -> Outcome {
        let trace: &Trace = &self.trace;
        Outcome {
            seed: self.seed,
            trace: trace.hash(),
            events: trace.events(),
            violations: self.check.report().lines().map(str::to_owned).collect(),
            took: self.now,
            together_after,
            epochs: self.check.groups.epochs(),
            entries: self.check.logs.acknowledged(),
            frames: (self.check.media.written(), self.check.media.received()),
            chats: self.check.chats.heard(),
            net: self.net.stats(),
            tallies: self.tallies.clone(),
        }
    }

    /// No fault outlasts the calm, whatever the script left.
    fn make_calm(&mut self) {
        let hosts: Vec<_> = self.owners.keys().copied().collect();
        for (number, a) in hosts.iter().enumerate() {
            for b in hosts.iter().skip(number + 1) {
                self.net.heal(*a, *b);
            }
        }
        for number in 0..self.relays.len() {
            self.relays[number].store.full = false;
            self.start_relay(number);
        }
    }

    /// Runs until `not_yet` has nothing to say, and says when that was; after `within` what it says is a violation.
    fn await_that(&mut self, within: Duration, not_yet: impl Fn(&Self) -> Option<String>) -> Option<Duration> {
        let deadline = self.now + within;
        loop {
            let Some(words) = not_yet(self) else { return Some(self.now) };
            if self.now >= deadline {
                self.check.note(Rule::Converges, Err(format!("after {:.0} s: {words}", within.as_secs_f64())));
                return None;
            }
            self.run_until(self.now + EVERY);
        }
    }

    /// Why those who should be in the room are not in it together yet.
    fn not_together(&self) -> Option<String> {
        let wanted: BTreeSet<_> = self.wanted.iter().map(|number| Person::name(*number)).collect();
        let mut first: Option<&Person> = None;
        for number in &self.wanted {
            let person = &self.people[number.0];
            if person.stage != Stage::In {
                return Some(format!("{number:?} is not in the room ({:?}); last trouble: {:?}", person.stage, person.trouble));
            }
            if !person.connected {
                return Some(format!("{number:?} has lost their relay"));
            }
            let first = *first.get_or_insert(person);
            if (first.epoch, &first.code) != (person.epoch, &person.code) {
                return Some(format!(
                    "{:?} is in epoch {} ({}) and {number:?} in {} ({})",
                    first.number, first.epoch, first.code, person.epoch, person.code
                ));
            }
            let seen: BTreeSet<_> = person.roster.values().map(|other| other.name.clone()).collect();
            if seen != wanted || person.roster.len() != wanted.len() {
                let others: Vec<_> = person.roster.values().map(|other| (other.id, &other.name)).collect();
                return Some(format!("{number:?} sees {others:?} and not {wanted:?}"));
            }
            if let Some(grey) = person.roster.values().find(|other| other.present == Presence::Grey) {
                return Some(format!("{number:?} has not heard of {} lately", grey.name));
            }
        }
        None
    }

    /// Whom somebody does not hear or see, or what they were not told, since the frames of `marks`.
    fn not_heard(&self, marks: &BTreeMap<PersonNo, [u64; 2]>) -> Option<String> {
        for reader in &self.wanted {
            for author in self.wanted.iter().filter(|author| *author != reader) {
                for (track, mark) in TRACKS.iter().zip(marks.get(author).into_iter().flatten()).filter(|_| self.story.media) {
                    let last = self.check.media.last(*reader, *author, track.0);
                    if last.is_none_or(|last| last < *mark) {
                        return Some(format!("{reader:?} has frame {last:?} of {author:?}, {track:?}, and none from {mark} on"));
                    }
                }
            }
        }
        self.check.chats.check_all().err()
    }

    /// What can be looked at any time.
    pub(super) fn look(&mut self) {
        for number in 0..self.people.len() {
            let person = &self.people[number];
            if !person.connected
                && let Some(epoch) = self.check.groups.highest()
            {
                self.check.chats.on_away(PersonNo(number), epoch);
            }
            if person.stage == Stage::In {
                let roster = person.roster.keys().copied().collect();
                let outcome = self.check.groups.on_roster(PersonNo(number), person.epoch, roster);
                self.check.note(Rule::OneGroup, outcome);
            }
        }
        let limits = &self.limits;
        for (number, node) in self.relays.iter().enumerate().filter_map(|(number, relay)| Some((number, relay.node.as_ref()?))) {
            let stats = node.stats();
            let per = |count: u64, each: usize| count.saturating_mul(each as u64);
            let queued = per(stats.sessions.client, limits.egress_client) + per(stats.sessions.link, limits.egress_link);
            let (client, link) = (limits.subscriptions_per_client, limits.subscriptions_per_link);
            let bounds = [
                ("the longest egress queue", stats.egress_queue_peak, limits.egress_queue as u64),
                ("bytes in egress queues", stats.egress_queued, queued),
                ("bytes of cached groups", stats.cached, limits.cache_total as u64),
                ("bytes of retained objects", stats.retained, limits.retained_total as u64),
                ("rooms", stats.rooms, limits.rooms as u64),
                ("links", stats.sessions.link, limits.links as u64),
                ("sessions", stats.sessions.client + stats.sessions.link + stats.sessions_opening, limits.sessions as u64),
                ("subscriptions of clients", stats.subscriptions.client, per(stats.sessions.client, client)),
                ("subscriptions of links", stats.subscriptions.link, per(stats.sessions.link, link)),
            ];
            for (what, value, bound) in bounds {
                self.check.bounded(&format!("relay {number}: {what}"), value, bound);
            }
        }
    }

    /// What can be said at the end alone.
    fn last_look(&mut self) {
        self.look();
        let outcome = self.check.logs.check_all();
        self.check.note(Rule::AcknowledgedStays, outcome);
        for (at, who) in std::mem::take(&mut self.strangers) {
            if !self.moves.iter().any(|moved| at.abs_diff(*moved) <= MOVING) {
                let words = format!("{who:?} refused an object at {:.3} s: of an unknown sender", at.as_secs_f64());
                self.check.note(Rule::Honest, Err(words));
            }
        }
        for breach in self.net.breaches().to_vec() {
            self.check.note(Rule::Honest, Err(breach));
        }
    }
}

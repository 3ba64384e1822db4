//! What must hold in every world, whatever the script does. Fed with what was sent, received, stored and told; keeps its
//! own books and compares. A violation is a sentence with the time; the world goes on, so that one run shows them all.

mod chat;
mod group;
mod log;
mod media;
#[cfg(test)]
mod tests;
mod visits;

use std::time::Duration;

pub use self::{
    chat::Chats,
    group::Groups,
    log::Logs,
    media::{Frame, FrameKey, Media, Writers},
    visits::Visits,
};

/// One of the people, by the script's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PersonNo(pub usize);

/// Violations that are kept; more of them say nothing new.
const MAX_VIOLATIONS: usize = 40;

/// Which invariant does not hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Equal epochs have equal epoch authenticators, and equal rosters.
    OneGroup,
    /// Nobody opens a frame of an epoch they are not in.
    OnlyMembersOpen,
    /// A frame arrives as it was written, from whom it claims, once, in order.
    FramesIntact,
    /// One entry per place in a log, each on the head before it.
    OneHistory,
    /// Nothing is acknowledged before it is durable, and what was acknowledged is in every later log.
    AcknowledgedStays,
    /// An object visits a relay at most once.
    OneVisit,
    /// A chat message arrives exactly once, as it was written.
    ChatOnce,
    /// Every queue is within its bound.
    WithinBounds,
    /// After the faults end, everybody is in one epoch with everybody alive and nobody else, and is heard and seen.
    Converges,
    /// Honest machines cause no faults, refusals or warnings that only dishonest ones may.
    Honest,
}

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When, since the world began.
    pub at: Duration,
    /// Which invariant.
    pub rule: Rule,
    /// How it shows.
    pub words: String,
}

/// All books together.
#[derive(Default)]
pub struct Check {
    /// Epochs and who is in them.
    pub groups: Groups,
    /// The handshake logs.
    pub logs: Logs,
    /// Frames, from their writers to everybody else.
    pub media: Media,
    /// Objects at relays.
    pub visits: Visits,
    /// What was said.
    pub chats: Chats,
    now: Duration,
    violations: Vec<Violation>,
    more: u64,
}

impl Check {
    /// The time of what is reported next.
    pub const fn set_time(&mut self, now: Duration) {
        self.now = now;
    }

    /// Takes what a book said.
    pub fn note(&mut self, rule: Rule, outcome: Result<(), String>) {
        let Err(words) = outcome else { return };
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { at: self.now, rule, words });
        } else {
            self.more += 1;
        }
    }

    /// A value that has a bound.
    pub fn bounded(&mut self, what: &str, value: u64, bound: u64) {
        let outcome = if value <= bound { Ok(()) } else { Err(format!("{what} is {value}, above its bound {bound}")) };
        self.note(Rule::WithinBounds, outcome);
    }

    /// All violations so far.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The violations as lines for people.
    #[must_use]
    pub fn report(&self) -> String {
        let mut lines: Vec<_> = self
            .violations
            .iter()
            .map(|violation| format!("  {:>10.4} s  {:?}: {}", violation.at.as_secs_f64(), violation.rule, violation.words))
            .collect();
        if self.more > 0 {
            lines.push(format!("  and {} more", self.more));
        }
        lines.join("\n")
    }
}

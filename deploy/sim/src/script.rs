//! Stories: who comes, goes, dies and speaks when, and what breaks meanwhile. Drawn from a seed, or written by hand.

use std::time::Duration;

use conclave_client_core::api::Mode;

use crate::{
    chance::Chance,
    check::PersonNo,
    net::{Path, Settings},
};

/// A machine, by the script's number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A relay.
    Relay(usize),
    /// A person's client.
    Person(usize),
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Somebody founds the room, at their relay: the hub.
    Found(PersonNo),
    /// Somebody comes with the link, as soon as there is one; again with a new client if they were there before.
    Join(PersonNo),
    /// Somebody leaves.
    Leave(PersonNo),
    /// Somebody falls silent for ever.
    Die(PersonNo),
    /// Somebody says something.
    Chat(PersonNo),
    /// A path breaks.
    Cut(Place, Place),
    /// A path is whole again.
    Heal(Place, Place),
    /// The sessions between two machines break; the path does not.
    Break(Place, Place),
    /// `kill -9` of a relay.
    Kill(usize),
    /// A relay starts again.
    Start(usize),
    /// A relay's operator ends it; it is started again by [`Act::Start`].
    Stop(usize),
    /// A relay's disk is full, or has room again.
    Disk(usize, bool),
    /// A relay's disk loses the newest entry of every log, which no disk may: for showing that it is noticed.
    Forget(usize),
}

/// A whole story.
#[derive(Clone, Debug)]
pub struct Story {
    /// How many relays there are; all know each other.
    pub relays: usize,
    /// The relay that each person goes through.
    pub entries: Vec<usize>,
    /// What happens, and when.
    pub acts: Vec<(Duration, Act)>,
    /// When the last fault is over, and nobody comes or goes any more.
    pub calm: Duration,
    /// The network.
    pub settings: Settings,
    /// Temporal layers of everybody's pictures, one or two.
    pub layers: u8,
    /// What its paths are like; drawn for each pair of machines when there is none.
    pub path: Option<Path>,
    /// Who may let others in, as the founder says at first.
    pub mode: Mode,
    /// Whether people publish a voice and a face.
    pub media: bool,
}

/// The faults of a storm are over by then.
const STORM: Duration = Duration::from_secs(26);
/// Nobody dies, leaves or comes later than this.
const LAST_MOVE: Duration = Duration::from_secs(20);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Story {
    /// People who come one after the other over a network without faults, and stay.
    #[must_use]
    pub fn quiet(relays: usize, people: usize) -> Self {
        let founder = (people > 0).then_some((Duration::ZERO, Act::Found(PersonNo(0))));
        let mut acts: Vec<_> = founder.into_iter().collect();
        for (at, person) in (1..people).enumerate() {
            let at = u64::try_from(at).unwrap_or(0);
            acts.push((seconds(1) + millis(400) * u32::try_from(at).unwrap_or(0), Act::Join(PersonNo(person))));
        }
        Self {
            relays,
            entries: (0..people).map(|person| person % relays.max(1)).collect(),
            acts,
            calm: seconds(6),
            settings: Settings::USUAL,
            layers: 1,
            path: Some(Path::FINE),
            mode: Mode::Open,
            media: true,
        }
    }

    /// Joins, leaves, deaths, chat, and faults of every kind, all drawn from `seed`.
    #[must_use]
    pub fn storm(seed: u64, relays: usize, people: usize) -> Self {
        let mut chance = Chance::new(seed ^ 0x5707_1e50);
        let mut story = Self::quiet(relays, 0);
        story.calm = STORM;
        story.layers = if seed.is_multiple_of(2) { 1 } else { 2 };
        story.path = None;
        story.settings.dial_failures = u32::try_from(chance.below(100)).unwrap_or(0);
        story.settings.session_window = 32 * 1024 + chance.index(224 * 1024);
        story.settings.stream_window = story.settings.session_window / (1 + chance.index(3));
        story.entries = (0..people).map(|_| chance.index(relays)).collect();
        story.people(&mut chance);
        for _ in 0..3 + chance.index(5) {
            story.fault(&mut chance);
        }
        story.acts.sort_by_key(|(at, _)| *at);
        story
    }

    fn people(&mut self, chance: &mut Chance) {
        let people = self.entries.len();
        self.acts = vec![(Duration::ZERO, Act::Found(PersonNo(0)))];
        for person in 1..people {
            self.acts.push((chance.between(millis(300), seconds(12)), Act::Join(PersonNo(person))));
        }
        // At most half of them go, so that there is a call to converge.
        let mut ids: Vec<_> = (0..people).map(PersonNo).collect();
        for _ in 0..1 + chance.index(people / 2) {
            let person = ids.remove(chance.index(ids.len()));
            // The founder alone can begin the call: they do not go before others have come.
            let first = if person.0 == 0 { seconds(16) } else { seconds(5) };
            let at = chance.between(first, LAST_MOVE);
            let dies = chance.permille(600);
            self.acts.push((at, if dies { Act::Die(person) } else { Act::Leave(person) }));
            if chance.permille(300) {
                self.acts.push((at + chance.between(millis(100), seconds(4)), Act::Join(person)));
            }
        }
        for _ in 0..3 * people {
            let person = PersonNo(chance.index(people));
            self.acts.push((chance.between(seconds(2), STORM), Act::Chat(person)));
        }
    }

    fn fault(&mut self, chance: &mut Chance) {
        let at = chance.between(millis(500), STORM - seconds(6));
        let most = STORM - at;
        let (one, other) = (chance.index(self.relays), chance.index(self.relays));
        let person = chance.index(self.entries.len());
        let access = (Place::Person(person), Place::Relay(self.entries[person]));
        match chance.index(7) {
            0 | 1 if one != other => {
                let lasts = chance.between(millis(300), seconds(12)).min(most);
                self.acts.push((at, Act::Cut(Place::Relay(one), Place::Relay(other))));
                self.acts.push((at + lasts, Act::Heal(Place::Relay(one), Place::Relay(other))));
            }
            2 => {
                let lasts = chance.between(millis(300), seconds(14)).min(most);
                self.acts.push((at, Act::Cut(access.0, access.1)));
                self.acts.push((at + lasts, Act::Heal(access.0, access.1)));
            }
            3 if one != other => self.acts.push((at, Act::Break(Place::Relay(one), Place::Relay(other)))),
            4 => {
                let stays = chance.between(millis(300), seconds(4)).min(most);
                let ends = if chance.permille(700) { Act::Kill(one) } else { Act::Stop(one) };
                self.acts.push((at, ends));
                self.acts.push((at + stays, Act::Start(one)));
            }
            5 => {
                let lasts = chance.between(millis(300), seconds(5)).min(most);
                self.acts.push((at, Act::Disk(one, true)));
                self.acts.push((at + lasts, Act::Disk(one, false)));
            }
            _ => self.acts.push((at, Act::Break(access.0, access.1))),
        }
    }

    /// Adds an act.
    #[must_use]
    pub fn and(mut self, at: Duration, act: Act) -> Self {
        self.acts.push((at, act));
        self
    }

    /// Sets when the faults are over.
    #[must_use]
    pub const fn calm_from(mut self, calm: Duration) -> Self {
        self.calm = calm;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_ends_what_it_begins_and_leaves_half_of_the_people() {
        for seed in 0..200 {
            let story = Story::storm(seed, 3, 8);
            let ends = story.acts.iter().filter(|(_, act)| matches!(act, Act::Leave(_) | Act::Die(_))).count();
            assert!((1..=4).contains(&ends), "seed {seed}");
            let count = |wanted: fn(&Act) -> bool| story.acts.iter().filter(|(_, act)| wanted(act)).count();
            assert_eq!(count(|act| matches!(act, Act::Cut(..))), count(|act| matches!(act, Act::Heal(..))));
            assert_eq!(count(|act| matches!(act, Act::Kill(_) | Act::Stop(_))), count(|act| matches!(act, Act::Start(_))));
            assert_eq!(count(|act| matches!(act, Act::Disk(_, true))), count(|act| matches!(act, Act::Disk(_, false))));
            assert!(story.acts.iter().all(|(at, _)| *at <= story.calm), "seed {seed}");
        }
    }

    #[test]
    fn storms_differ_and_repeat() {
        let acts = |seed| Story::storm(seed, 3, 8).acts;
        assert_eq!(acts(1), acts(1));
        assert_ne!(acts(1), acts(2));
    }
}

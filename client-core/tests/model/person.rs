//! An honest participant: the real thread, fed with what a real group would find in the entry.

use conclave_client_core::group::{
    Fault, Leaf, Skip,
    thread::{Exit, Move, Seen, Thread, Weight},
};
use conclave_federation::{id::Head, log::OutOfLine};

use crate::{
    Flaw,
    hub::{Act, Entry, Epoch, Who, among, entry},
};

/// Somebody honest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Person {
    /// What they hold of the group: the newest epoch, or the one before what they are stuck on.
    pub(crate) held: Option<Held>,
    /// The attempt at which they ask to be let in, or back in.
    pub(crate) asks: Option<u8>,
    pub(crate) attempt: u8,
    /// Which history they are shown.
    pub(crate) hub: usize,
    /// They are on their way out.
    pub(crate) leaving: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Held {
    pub(crate) thread: Thread,
    pub(crate) epoch: Head,
    /// The entry that let them in.
    pub(crate) since: u64,
}

/// What an entry did to somebody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Came {
    Nothing,
    Applied,
    Faulted,
    Voided,
    Removed,
    Forked,
}

impl Held {
    pub(crate) fn epoch(&self) -> Epoch {
        entry(self.epoch).epoch.clone().expect("an epoch that somebody holds")
    }
}

impl Person {
    pub(crate) fn inside(hub: usize, held: Held) -> Self {
        Self { held: Some(held), asks: None, attempt: 0, hub, leaving: false }
    }

    pub(crate) fn outside(hub: usize) -> Self {
        Self { held: None, asks: Some(0), attempt: 0, hub, leaving: false }
    }

    /// What they hold, if they are in the epoch that the log has reached for them.
    pub(crate) fn in_step(&self) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.thread.is_in_step())
    }

    /// What they hold, if they cannot get past an entry.
    pub(crate) fn stuck(&self) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.thread.stuck().is_some())
    }

    fn ask(&mut self) {
        self.attempt += 1;
        self.asks = Some(self.attempt);
    }

    /// The hub's answer to their request: they are in, after the entry that says so.
    pub(crate) fn admitted(&mut self, by: &Entry) {
        let generation = by.epoch.as_ref().expect("an epoch").generation;
        let thread = Thread::joined(by.append.header.seq, by.head, generation);
        self.held = Some(Held { thread, epoch: by.head, since: by.append.header.seq });
        self.asks = None;
    }

    /// They were stuck for too long: the old epoch's secrets are gone.
    pub(crate) fn expire(&mut self) {
        if let Some(held) = &mut self.held {
            held.thread.leave(Exit::Expired);
        }
        self.held = None;
    }

    /// The next entry that their hub shows.
    pub(crate) fn take(&mut self, who: Who, shown: &Entry, flaw: Option<Flaw>) -> Came {
        let Some(held) = &mut self.held else { return Came::Nothing };
        let header = &shown.append.header;
        let next = match held.thread.next(header) {
            Ok(next) => next,
            Err(OutOfLine::Repeated | OutOfLine::Gap) => return Came::Nothing,
            Err(OutOfLine::Fork) => {
                self.held = None;
                self.ask();
                return Came::Forked;
            }
        };
        let here = held.epoch();
        let record = matches!(shown.deed.act, Some(Act::Evict(_)));
        let word = shown.deed.word.map(|mut against| {
            if let (Some(Flaw::AnyWordWillDo), Some(stuck)) = (flaw, held.thread.stuck()) {
                (against.seq, against.head) = (stuck.seq, stuck.head);
            }
            entry(shown.on).epoch.clone().expect("made in an epoch").word(&against)
        });
        let weight = word.as_ref().map_or(Weight::Nothing, |word| held.thread.weigh(word, &here.circle()));
        let seen = seen(held, &here, shown, weight, flaw);
        let mut what = held.thread.decide(seen.as_ref().map_err(|skip| *skip), weight);
        match (flaw, what) {
            (Some(Flaw::StuckGoOn), Move::Ahead) if seen.is_ok() => what = Move::Try,
            (Some(Flaw::NobodyComesBack), Move::Void) => what = Move::Ahead,
            (Some(Flaw::NewcomersKnowNothing), Move::Void) if word.as_ref().is_some_and(|word| word.seq <= held.since) => {
                what = Move::Ahead;
            }
            _ => {}
        }
        match (what, seen) {
            (Move::Skip(_) | Move::Ahead, _) => {
                held.thread.passed(next, record && shown.epoch.is_some());
                Came::Nothing
            }
            (Move::Void, _) => {
                let word = word.expect("it was weighed");
                held.thread.voided(next, &word);
                self.ask();
                Came::Voided
            }
            (Move::Try, Ok(seen)) => {
                let broken = among(who, shown.deed.broken);
                if broken && seen.path && flaw != Some(Flaw::FaultIsSkipped) {
                    held.thread.faulted(next, &seen, Fault::Path, record);
                    self.ask();
                    return Came::Faulted;
                }
                if broken {
                    held.thread.passed(next, record);
                    return Came::Nothing;
                }
                if shown.deed.act.and_then(Act::removes) == Some(who) {
                    // They asked for it, or have to knock like a stranger. Otherwise it may be a mistake.
                    if among(who, here.hosts) && !self.leaving && !record {
                        // Nobody else may be left to take it back.
                        held.thread.faulted(next, &seen, Fault::Removed, record);
                        self.ask();
                        return Came::Removed;
                    }
                    held.thread.out(next, Exit::Removed);
                    self.held = None;
                    self.asks = None;
                    if !self.leaving && !record {
                        self.ask();
                    }
                    return Came::Removed;
                }
                held.thread.applied(next, &seen, &here.circle(), record);
                held.epoch = shown.head;
                // Whoever was stuck is in step again: an answer to their request would lead away from here.
                self.asks = None;
                Came::Applied
            }
            (Move::Try | Move::Forgotten, _) => unreachable!("own commits are merged as they are stored"),
        }
    }

    /// Their own commit is stored: the hub's word and the log's copy do the same.
    pub(crate) fn merge(&mut self, own: &Entry) {
        let Some(held) = &mut self.held else { return };
        let Ok(next) = held.thread.next(&own.append.header) else { return };
        let here = held.epoch();
        let seen = of(own, true);
        held.thread.applied(next, &seen(&here), &here.circle(), matches!(own.deed.act, Some(Act::Evict(_))));
        held.epoch = own.head;
        self.asks = None;
    }
}

fn of(shown: &Entry, own: bool) -> impl Fn(&Epoch) -> Seen + '_ {
    move |here| {
        let act = shown.deed.act.unwrap_or(Act::Update);
        Seen {
            by: here.leaf(shown.deed.by).unwrap_or(Leaf(0)),
            own,
            action: act.action(),
            path: act.path(),
            removes: act.ends().and_then(|who| here.leaf(who)).into_iter().collect(),
        }
    }
}

/// The public part, as those see it who hold this epoch's keys.
fn seen(held: &Held, here: &Epoch, shown: &Entry, weight: Weight, flaw: Option<Flaw>) -> Result<Seen, Skip> {
    if shown.append.header.generation != held.thread.generation() {
        return Err(Skip::Kind);
    }
    if shown.deed.act.is_none() || shown.on != held.epoch {
        return Err(Skip::Seal);
    }
    let void = weight == Weight::Here || flaw == Some(Flaw::AnyWordWillDo);
    here.allows(&shown.deed, void).map_err(Skip::Policy)?;
    Ok(of(shown, false)(here))
}

//! All that can happen among three participants and a hub, one step at a time.

use std::collections::BTreeSet;

use conclave_client_core::{
    group::thread::{Right, Thread, Weight},
    state::Mode,
};
use conclave_federation::id::{Generation, Head};
use stateright::{Model, Property};

use crate::{
    Flaw,
    hub::{Act, Against, Deed, Entry, Hub, PEOPLE, Set, Who, among, entry, only},
    person::{Came, Held, Person},
    settle,
};

/// What is tried out.
#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Who does as they like.
    pub(crate) evil: Option<Who>,
    /// Who is inside at the beginning; the others ask to be let in.
    pub(crate) inside: Set,
    pub(crate) hosts: Set,
    pub(crate) mode: Mode,
    /// Entries after the genesis.
    pub(crate) entries: usize,
    pub(crate) may: May,
    /// What is wrong with the participants' machine, to see that it would be noticed.
    pub(crate) flaw: Option<Flaw>,
    /// Bits of [`State::seen`] that have to come up.
    pub(crate) happens: Set,
}

/// What happens at all, beyond what always may: deliver, admit, swap, void.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct May {
    /// Somebody honest leaves.
    pub(crate) leave: bool,
    /// Hosts evict.
    pub(crate) evict: bool,
    /// Somebody honest renews their keys.
    pub(crate) update: bool,
    /// Junk that opens for nobody, and commits that the policy refuses.
    pub(crate) junk: bool,
    /// The evil one removes others as silent, for which the room has to be open.
    pub(crate) reap: bool,
    /// The evil one takes entries back.
    pub(crate) void: bool,
    /// The hub shows two histories.
    pub(crate) fork: bool,
    /// Whoever is stuck for long gives the old epoch up.
    pub(crate) expire: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) hubs: Vec<Hub>,
    pub(crate) people: Vec<Person>,
    /// Fault notes that were given: who, about which entry.
    pub(crate) notes: BTreeSet<(Who, u64, Head)>,
    /// What has happened at least once, for the properties that say what has to be possible.
    pub(crate) seen: Set,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Step {
    /// Somebody offers an entry.
    Offer { hub: usize, on: Head, deed: Deed },
    /// The next entry reaches somebody.
    Deliver(Who),
    /// The hub's answer reaches somebody who asked.
    Answer(Who),
    /// Somebody wants to leave.
    WantOut(Who),
    /// The hub begins to show a second history.
    Fork,
    /// Somebody is shown the other history from now on.
    Switch(Who),
    /// Somebody who is stuck gives the old epoch up.
    Expire(Who),
}

/// Bits of [`State::seen`].
pub(crate) const FAULTED: Set = 1;
pub(crate) const VOID_APPLIED: Set = 2;
pub(crate) const VOIDED: Set = 4;
pub(crate) const CAME_BACK: Set = 8;
pub(crate) const REMOVED: Set = 16;
pub(crate) const EVICTED: Set = 32;
pub(crate) const EXPIRED: Set = 64;
pub(crate) const FORKED: Set = 128;

impl World {
    pub(crate) fn honest(&self) -> impl Iterator<Item = Who> + '_ {
        (0..PEOPLE).filter(|who| Some(*who) != self.evil)
    }

    fn may_append(&self, state: &State, hub: usize) -> bool {
        // The genesis and the entry after it are there from the beginning.
        state.hubs[hub].entries.len() < self.entries + 2
    }

    /// What somebody honest would commit now.
    pub(crate) fn duties(&self, state: &State, who: Who) -> Vec<(Head, Deed)> {
        let person = &state.people[usize::from(who)];
        let hub = &state.hubs[person.hub];
        let Some(held) = person.held.as_ref().filter(|held| held.thread.position() == hub.log.position()) else {
            return Vec::new();
        };
        let here = held.epoch();
        let deed = |act, word| (held.epoch, Deed { by: who, act: Some(act), broken: 0, word });
        if person.stuck().is_some() {
            return self.word_of(state, who, held).map(|word| deed(Act::Void, Some(word))).into_iter().collect();
        }
        let mut out = Vec::new();
        for other in self.honest().filter(|other| *other != who) {
            let asker = &state.people[usize::from(other)];
            if let Some(attempt) = asker.asks.filter(|attempt| served(hub, other, *attempt).is_none()) {
                out.push(deed(if here.has(other) { Act::Swap(other, attempt) } else { Act::Admit(other, attempt) }, None));
            }
            if asker.leaving && here.has(other) {
                out.push(deed(Act::Leave(other), None));
            }
        }
        if let Some(evil) = self.evil.filter(|evil| self.may.evict && among(who, here.hosts) && here.has(*evil)) {
            out.push(deed(Act::Evict(evil), None));
        }
        if self.may.update && Some(who) == self.honest().next() {
            out.push(deed(Act::Update, None));
        }
        out.retain(|(_, deed)| here.allows(deed, false).is_ok());
        out
    }

    /// The word with which somebody honest takes back what they are stuck on, if they can.
    pub(crate) fn word_of(&self, state: &State, who: Who, held: &Held) -> Option<Against> {
        let stuck = held.thread.stuck().filter(|_| held.thread.may_void() != Right::Nobody)?;
        let notes = state.notes.iter().filter(|(_, seq, head)| (*seq, *head) == (stuck.seq, stuck.head));
        let mut faulted: Set = notes.fold(0, |set, (by, ..)| set | only(*by));
        faulted |= self.evil.map_or(0, only);
        let here = held.epoch();
        let gone = entry(stuck.head).deed.act.and_then(Act::ends).filter(|gone| here.has(*gone));
        let leaves = here.roster.len() - usize::from(gone.is_some());
        let against = Against {
            seq: stuck.seq,
            head: stuck.head,
            by: who,
            certified: among(who, self.hosts),
            faulted,
            leaves: u8::try_from(leaves).ok()?,
        };
        let weight = held.thread.weigh(&here.word(&against), &here.circle());
        (weight == Weight::Here).then_some(against)
    }

    /// What the evil one may put into the log.
    fn mischief(&self, state: &State, hub: usize) -> Vec<(Head, Deed)> {
        let Some(evil) = self.evil else { return Vec::new() };
        let mut out = Vec::new();
        let mut places: BTreeSet<Head> = BTreeSet::new();
        for person in &state.people {
            places.extend(person.held.as_ref().map(|held| held.epoch));
        }
        let log = &state.hubs[hub];
        // What somebody cannot get past may be where the log goes on.
        let past = |person: &Person| person.stuck()?.thread.stuck().map(|stuck| stuck.head).filter(|head| *head == log.head());
        let past = state.people.iter().find_map(past).filter(|head| entry(*head).deed.act.is_some());
        places.extend(past);
        for on in places {
            let here = entry(on).epoch.clone().expect("held");
            if !(here.has(evil) && among(evil, here.known)) {
                continue;
            }
            let here_in_step = past == Some(on)
                || self.honest().any(|who| {
                    let person = &state.people[usize::from(who)];
                    person.in_step().is_some_and(|held| held.epoch == on && held.thread.position() == log.log.position())
                });
            let deed = |act, broken, word| (on, Deed { by: evil, act: Some(act), broken, word });
            let others = here.people() & !only(evil);
            let subsets: Vec<Set> = (0..1 << PEOPLE).filter(|set| set & !others == 0).collect();
            for broken in &subsets {
                out.push(deed(Act::Update, *broken, None));
            }
            if here_in_step {
                for who in self.honest() {
                    let asker = &state.people[usize::from(who)];
                    if self.may.reap && here.has(who) && state.people.iter().all(|person| person.asks.is_none()) {
                        for broken in subsets.iter().filter(|set| !among(who, **set)) {
                            out.push(deed(Act::Reap(who), *broken, None));
                        }
                    }
                    // A former request, brought again: it takes the leaf from under them.
                    let former = (asker.asks.is_none() && asker.attempt > 0 && here.has(who)).then(|| asker.attempt - 1);
                    if let Some(former) = former.filter(|_| self.may.reap) {
                        for broken in subsets.iter().filter(|set| !among(who, **set)) {
                            out.push(deed(Act::Swap(who, former), *broken, None));
                        }
                    }
                    let Some(attempt) = asker.asks.filter(|attempt| served(log, who, *attempt).is_none()) else { continue };
                    if here.has(who) {
                        for broken in subsets.iter().filter(|set| !among(who, **set)) {
                            out.push(deed(Act::Swap(who, attempt), *broken, None));
                        }
                    } else {
                        out.push(deed(Act::Admit(who, attempt), 0, None));
                    }
                }
            }
            for against in self.words(state, hub, evil).into_iter().filter(|_| self.may.void) {
                for broken in &subsets {
                    out.push(deed(Act::Void, *broken, Some(against)));
                }
            }
            // Who serves somebody by a commit that everybody skips leads them into a group of their own: see the tests.
            out.retain(|(on, deed)| {
                let serves = deed.act.is_some_and(|act| act.served().is_some());
                !serves || entry(*on).epoch.as_ref().is_some_and(|here| here.allows(deed, false).is_ok())
            });
            if self.may.junk {
                out.push(deed(Act::Lock, 0, None));
                out.push((on, Deed { by: evil, act: None, broken: 0, word: None }));
                for against in self.words(state, hub, evil).into_iter().filter(|_| self.may.void) {
                    out.push((on, Deed { by: evil, act: None, broken: 0, word: Some(against) }));
                }
            }
        }
        out
    }

    /// Words that the evil one can bring: by themselves, with the notes that were given and their own.
    fn words(&self, state: &State, hub: usize, evil: Who) -> Vec<Against> {
        let mut out = Vec::new();
        for head in state.hubs[hub].entries.iter().skip(2) {
            let made = entry(*head);
            if !made.deed.act.is_some_and(Act::path) {
                continue;
            }
            let seq = made.append.header.seq;
            let notes = state.notes.iter().filter(|(_, at, about)| (*at, *about) == (seq, *head));
            let faulted = notes.fold(only(evil), |set, (by, ..)| set | only(*by));
            let before = entry(made.on).epoch.clone().expect("made in an epoch");
            let gone = made.deed.act.and_then(Act::ends).is_some_and(|gone| before.has(gone));
            let leaves = u8::try_from(before.roster.len() - usize::from(gone)).unwrap_or(u8::MAX);
            let certified = among(evil, self.hosts);
            out.push(Against { seq, head: *head, by: evil, certified, faulted, leaves });
        }
        out
    }
}

fn happened(world: &World, state: &State, what: Set) -> bool {
    world.happens & what == 0 || state.seen & what != 0
}

/// The entry of a log that serves a request, with an epoch that the asker can enter.
pub(crate) fn served(hub: &Hub, who: Who, attempt: u8) -> Option<std::sync::Arc<Entry>> {
    let serves = |entry: &Entry| entry.deed.act.and_then(Act::served) == Some((who, attempt));
    hub.entries.iter().skip(2).map(|head| entry(*head)).find(|entry| serves(entry))
}

impl State {
    pub(crate) fn deliver(&mut self, world: &World, who: Who) -> Came {
        let person = &mut self.people[usize::from(who)];
        let Some(held) = &person.held else { return Came::Nothing };
        let position = held.thread.position();
        let Some(shown) = self.hubs[person.hub].at(position.seq) else { return Came::Nothing };
        // What comes twice, or too early, changes nothing.
        for other in [position.seq.checked_sub(1), Some(position.seq + 1)].into_iter().flatten() {
            if let Some(other) = self.hubs[person.hub].at(other).filter(|_| !world.may.fork) {
                let before = person.clone();
                assert_eq!(person.take(who, &other, world.flaw), Came::Nothing);
                assert_eq!(before, *person);
            }
        }
        let came = person.take(who, &shown, world.flaw);
        match came {
            Came::Faulted => {
                self.seen |= FAULTED;
                self.notes.insert((who, shown.append.header.seq, shown.head));
            }
            Came::Applied if shown.deed.act == Some(Act::Void) => self.seen |= VOID_APPLIED,
            Came::Voided => self.seen |= VOIDED,
            Came::Removed => self.seen |= REMOVED,
            Came::Forked => self.seen |= FORKED,
            Came::Applied | Came::Nothing => {}
        }
        came
    }

    pub(crate) fn answer(&mut self, who: Who) -> bool {
        let person = &mut self.people[usize::from(who)];
        let Some(attempt) = person.asks else { return false };
        let Some(by) = served(&self.hubs[person.hub], who, attempt) else { return false };
        person.admitted(&by);
        self.seen |= CAME_BACK;
        true
    }

    pub(crate) fn offer(&mut self, hub: usize, on: Head, deed: Deed) -> bool {
        let Some(head) = self.hubs[hub].offer(on, deed) else { return false };
        let made = entry(head);
        // Whoever made it knows it by the hub's word at once; the evil one needs no machine.
        let person = &mut self.people[usize::from(deed.by)];
        person.merge(&made);
        if matches!(deed.act, Some(Act::Evict(_))) {
            self.seen |= EVICTED;
        }
        true
    }
}

impl Model for World {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let hub = Hub::begin(self.inside, self.hosts, self.mode);
        let start = entry(hub.head());
        let seq = start.append.header.seq;
        let held = Held { thread: Thread::joined(seq, start.head, Generation(0)), epoch: start.head, since: seq };
        let people = (0..PEOPLE).map(|who| {
            if Some(who) == self.evil {
                Person { held: None, asks: None, attempt: 0, hub: 0, leaving: false }
            } else if among(who, self.inside) {
                Person::inside(0, held.clone())
            } else {
                Person::outside(0)
            }
        });
        vec![State { people: people.collect(), hubs: vec![hub], notes: BTreeSet::new(), seen: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        for hub in 0..state.hubs.len() {
            if self.may_append(state, hub) {
                let deeds = self.mischief(state, hub).into_iter();
                actions.extend(deeds.map(|(on, deed)| Step::Offer { hub, on, deed }));
            }
        }
        for who in self.honest() {
            let person = &state.people[usize::from(who)];
            if self.may_append(state, person.hub) {
                let deeds = self.duties(state, who).into_iter();
                actions.extend(deeds.map(|(on, deed)| Step::Offer { hub: person.hub, on, deed }));
            }
            let more = |held: &Held| held.thread.position().seq < state.hubs[person.hub].log.position().seq;
            if person.held.as_ref().is_some_and(more) {
                actions.push(Step::Deliver(who));
            }
            if person.asks.is_some_and(|attempt| served(&state.hubs[person.hub], who, attempt).is_some()) {
                actions.push(Step::Answer(who));
            }
            if self.may.leave && !person.leaving && person.in_step().is_some() && Some(who) == self.honest().last() {
                actions.push(Step::WantOut(who));
            }
            if self.may.fork && state.hubs.len() == 2 && person.hub == 0 {
                actions.push(Step::Switch(who));
            }
            if self.may.expire && person.stuck().is_some() {
                actions.push(Step::Expire(who));
            }
        }
        if self.may.fork && state.hubs.len() == 1 {
            actions.push(Step::Fork);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        let changed = match step {
            Step::Offer { hub, on, deed } => next.offer(hub, on, deed),
            Step::Deliver(who) => {
                next.deliver(self, who);
                true
            }
            Step::Answer(who) => next.answer(who),
            Step::WantOut(who) => {
                next.people[usize::from(who)].leaving = true;
                true
            }
            Step::Fork => {
                let copy = next.hubs[0].clone();
                next.hubs.push(copy);
                true
            }
            Step::Switch(who) => {
                next.people[usize::from(who)].hub = 1;
                true
            }
            Step::Expire(who) => {
                next.people[usize::from(who)].expire();
                next.seen |= EXPIRED;
                true
            }
        };
        changed.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("agreement", settle::agree),
            Property::always("nobody removed comes back unseen", settle::gone_for_good),
            Property::always("everybody honest gets back in step", settle::all_back),
            Property::always("eviction stays possible", settle::can_evict),
            Property::sometimes("somebody cannot apply an entry", |world, state| happened(world, state, FAULTED)),
            Property::sometimes("a void is applied", |world, state| happened(world, state, VOID_APPLIED)),
            Property::sometimes("somebody leaves what was taken back", |world, state| happened(world, state, VOIDED)),
            Property::sometimes("somebody is let in, or back", |world, state| happened(world, state, CAME_BACK)),
            Property::sometimes("somebody is removed", |world, state| happened(world, state, REMOVED)),
            Property::sometimes("somebody is evicted", |world, state| happened(world, state, EVICTED)),
            Property::sometimes("somebody gives up", |world, state| happened(world, state, EXPIRED)),
            Property::sometimes("somebody sees two histories", |world, state| happened(world, state, FORKED)),
        ]
    }
}

//! A world: relays and people as they are, on one network, on one clock, with every order drawn from the seed.
//!
//! The loop knows three kinds of things that can be next: something arrives, a timer of the world runs out, a machine
//! wants to be called. When several are due at once, chance says which comes first. After every call of a machine it is
//! polled until it waits, and what it sent is read along for the checks.

mod act;
mod events;
mod hand;
mod judge;
mod person;
mod relay;
mod store;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    hash::Hasher,
    time::Duration,
};

use conclave_client_core::{
    api::{Command, Input},
    link::Link,
};
use conclave_federation::io::{Closed, Machine, Net, Output};
use conclave_relay_core::{StoreFailed, StoreKey, Write, limits::Limits, node};

pub use self::{hand::Caller, judge::Outcome};
use self::{hand::Hand, person::Person, relay::Relay};
use crate::{
    chance::Chance,
    check::{Check, PersonNo, Rule},
    net::{HostId, Network, Path},
    script::{Act, Story},
    tap::Tap,
    trace::Trace,
};

/// The wall clock at the beginning of every world, milliseconds since 1970.
const UNIX_START: u64 = 1_800_000_000_000;

/// How often bounds and rosters are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Outputs of one machine for one input, and calls of one machine at one time, above which it is said to spin.
const SPINNING: u32 = 20_000;

/// A stopped relay's process ends this long after its last word.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Where a machine is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Id {
    Relay(usize),
    Person(usize),
}

/// What a timer is for; those with a life are thrown away when it is over.
#[derive(Clone, Copy, Debug)]
enum What {
    Act(Act),
    Frame { person: usize, life: u64, track: usize },
    Stored { relay: usize, life: u64 },
    Ended { relay: usize, life: u64 },
    TryAgain { person: usize, life: u64 },
    Look,
}

struct Timer {
    at: Duration,
    tie: u64,
    what: What,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie).cmp(&(other.at, other.tie))
    }
}

/// A whole network; see the module.
pub struct World {
    seed: u64,
    now: Duration,
    chance: Chance,
    net: Network,
    story: Story,
    limits: Limits,
    relays: Vec<Relay>,
    people: Vec<Person>,
    owners: BTreeMap<HostId, Id>,
    timers: BinaryHeap<Reverse<Timer>>,
    link: Option<Link>,
    /// Whether anybody has been in the room yet.
    begun: bool,
    /// Who has to be in the room at the end.
    wanted: BTreeSet<PersonNo>,
    check: Check,
    trace: Trace,
    sent: Tap,
    received: Tap,
    /// When somebody was seen going, or moving to another leaf.
    moves: Vec<Duration>,
    /// Who refused an object because somebody else than its track's owner had sealed it, and when.
    strangers: Vec<(Duration, PersonNo)>,
    /// Calls at this same time, by machine: found when one never lets time pass.
    calls: BTreeMap<Id, u32>,
    /// Lines for people, when asked for.
    diary: Option<Vec<String>>,
    tallies: BTreeMap<String, u64>,
    hand: Hand,
}

impl World {
    /// The world of a story, before anything has happened.
    #[must_use]
    pub fn new(seed: u64, story: Story) -> Self {
        let mut chance = Chance::new(seed);
        let mut net = Network::new(story.settings, story.path.unwrap_or(Path::FINE), chance.fork());
        let mut owners = BTreeMap::new();
        let mut relays = Vec::new();
        for number in 0..story.relays {
            let (_, id, address) = Relay::identity(number);
            let host = net.add_host(Some(id), &[&address]);
            owners.insert(host, Id::Relay(number));
            relays.push(Relay::new(number, host, &mut chance));
        }
        let mut people = Vec::new();
        for (number, entry) in story.entries.iter().enumerate() {
            let host = net.add_host(None, &[]);
            owners.insert(host, Id::Person(number));
            people.push(Person::new(number, host, *entry, &mut chance));
        }
        let mut world = Self {
            seed,
            now: Duration::ZERO,
            chance,
            net,
            story,
            limits: Limits::default(),
            relays,
            people,
            owners,
            timers: BinaryHeap::new(),
            link: None,
            begun: false,
            wanted: BTreeSet::new(),
            check: Check::default(),
            trace: Trace::default(),
            sent: Tap::default(),
            received: Tap::default(),
            moves: Vec::new(),
            strangers: Vec::new(),
            calls: BTreeMap::new(),
            diary: None,
            tallies: BTreeMap::new(),
            hand: Hand::default(),
        };
        world.lay_paths();
        for (at, act) in world.story.acts.clone() {
            world.after(at, What::Act(act));
        }
        for relay in 0..world.relays.len() {
            world.start_relay(relay);
        }
        world.after(LOOK_EVERY, What::Look);
        world
    }

    /// Keeps a diary from now on: what people were told and what the script did.
    #[must_use]
    pub fn with_diary(mut self) -> Self {
        self.diary = Some(Vec::new());
        self
    }

    /// The diary so far.
    #[must_use]
    pub fn diary(&self) -> &[String] {
        self.diary.as_deref().unwrap_or_default()
    }

    /// The books.
    #[must_use]
    pub const fn check(&self) -> &Check {
        &self.check
    }

    /// What happened on the network.
    #[must_use]
    pub const fn net_stats(&self) -> crate::net::Stats {
        self.net.stats()
    }

    /// A relay's own counters, while it runs.
    #[must_use]
    pub fn relay_stats(&self, relay: usize) -> Option<&conclave_relay_core::Stats> {
        Some(self.relays.get(relay)?.node.as_ref()?.stats())
    }

    /// A client's own counters, while it runs.
    #[must_use]
    pub fn client_stats(&self, person: usize) -> Option<&conclave_client_core::api::Stats> {
        Some(self.people.get(person)?.client.as_ref()?.stats())
    }

    /// The trace so far.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How often things happened that are neither right nor wrong, by name.
    #[must_use]
    pub const fn tallies(&self) -> &BTreeMap<String, u64> {
        &self.tallies
    }

    /// Runs up to this time.
    pub fn run_until(&mut self, until: Duration) {
        while let Some(at) = self.next_time().filter(|at| *at <= until) {
            if at > self.now {
                self.calls.clear();
            }
            self.now = self.now.max(at);
            self.check.set_time(self.now);
            self.step();
        }
        self.now = self.now.max(until);
        self.check.set_time(self.now);
    }

    fn wakes(&self) -> impl Iterator<Item = (Duration, Id)> {
        let relays = self.relays.iter().enumerate().filter_map(|(number, relay)| Some((relay.wake?, Id::Relay(number))));
        let people = self.people.iter().enumerate().filter_map(|(number, person)| Some((person.wake?, Id::Person(number))));
        relays.chain(people)
    }

    fn next_time(&self) -> Option<Duration> {
        let timer = self.timers.peek().map(|Reverse(timer)| timer.at);
        let wake = self.wakes().map(|(at, _)| at).min();
        [self.net.next_time(), timer, wake].into_iter().flatten().min()
    }

    /// One thing that is due.
    fn step(&mut self) {
        let now = self.now;
        let arrives = self.net.next_time().is_some_and(|at| at <= now);
        let runs_out = self.timers.peek().is_some_and(|Reverse(timer)| timer.at <= now);
        let awake: Vec<_> = self.wakes().filter(|(at, _)| *at <= now).map(|(_, id)| id).collect();
        let mut choice = self.chance.index(usize::from(arrives) + usize::from(runs_out) + awake.len());
        if arrives {
            if choice == 0 {
                if let Some((host, net)) = self.net.advance(now) {
                    self.deliver(host, net);
                }
                return;
            }
            choice -= 1;
        }
        if runs_out {
            if choice == 0 {
                if let Some(Reverse(timer)) = self.timers.pop() {
                    self.on_timer(timer.what);
                }
                return;
            }
            choice -= 1;
        }
        if let Some(id) = awake.get(choice) {
            self.settle(*id);
        }
    }

    fn after(&mut self, delay: Duration, what: What) {
        self.at(self.now + delay, what);
    }

    fn at(&mut self, at: Duration, what: What) {
        let tie = self.chance.number();
        self.timers.push(Reverse(Timer { at, tie, what }));
    }

    fn write_down(&mut self, line: impl FnOnce() -> String) {
        if let Some(diary) = &mut self.diary {
            diary.push(format!("{:>10.4} {}", self.now.as_secs_f64(), line()));
        }
    }

    fn tally(&mut self, what: impl Into<String>) {
        *self.tallies.entry(what.into()).or_default() += 1;
    }

    fn lay_paths(&mut self) {
        if self.story.path.is_some() {
            return;
        }
        let hosts: Vec<_> = self.owners.keys().copied().collect();
        for (number, a) in hosts.iter().enumerate() {
            for b in hosts.iter().skip(number + 1) {
                let path = Path::drawn(&mut self.chance);
                self.net.set_path(*a, *b, path);
            }
        }
    }

    fn deliver(&mut self, host: HostId, net: Net) {
        let Some(id) = self.owners.get(&host).copied() else { return };
        if self.hand.is_still(id) {
            return;
        }
        self.trace.record(|trace| feed(trace, host, &net));
        self.on_received(id, host, &net);
        if let Net::Closed { session, why } = &net {
            self.sent.on_closed(*session);
            self.received.on_closed(*session);
            self.on_session_closed(id, why);
        }
        let now = self.now;
        match id {
            Id::Relay(number) => {
                let relay = &mut self.relays[number];
                let clock = relay.clock(now);
                if let Some(node) = &mut relay.node {
                    node.handle(clock, net.into(), &mut self.net.outlet(host));
                }
            }
            Id::Person(number) => {
                let person = &mut self.people[number];
                let clock = person.clock(now);
                if let Some(client) = &mut person.client {
                    client.handle(clock, net.into(), &mut self.net.outlet(host));
                }
            }
        }
        self.settle(id);
    }

    /// Gives a person's client a command.
    fn command(&mut self, number: usize, command: Command) {
        let now = self.now;
        let person = &mut self.people[number];
        let (clock, host) = (person.clock(now), person.host);
        if let Some(client) = &mut person.client {
            client.handle(clock, Input::Command(command), &mut self.net.outlet(host));
            self.settle(Id::Person(number));
        }
    }

    /// Polls a machine until it waits, and reads along what it sent.
    fn settle(&mut self, id: Id) {
        if self.hand.is_still(id) {
            return self.set_wake(id, None);
        }
        let calls = self.calls.entry(id).or_default();
        *calls += 1;
        if *calls > SPINNING {
            let words = format!("{id:?} wants to be called again and again and lets no time pass");
            self.check.note(Rule::Honest, Err(words));
            *calls = 0;
            return self.set_wake(id, Some(self.now + Duration::from_millis(10)));
        }
        for _ in 0..SPINNING {
            let more = match id {
                Id::Relay(number) => self.poll_relay(number),
                Id::Person(number) => self.poll_person(number),
            };
            if !more {
                return self.read_along();
            }
        }
        self.read_along();
        self.check.note(Rule::Honest, Err(format!("{id:?} never stops giving outputs")));
    }

    fn set_wake(&mut self, id: Id, wake: Option<Duration>) {
        match id {
            Id::Relay(number) => self.relays[number].wake = wake,
            Id::Person(number) => self.people[number].wake = wake,
        }
    }

    /// `false`: it waits.
    fn poll_relay(&mut self, number: usize) -> bool {
        let now = self.now;
        let relay = &mut self.relays[number];
        let (clock, host) = (relay.clock(now), relay.host);
        let Some(node) = &mut relay.node else { return false };
        match node.poll(clock, &mut self.net.outlet(host)) {
            Output::Dial(dial) => self.net.dial(host, &dial),
            Output::Do(node::Output::Store { key, write }) => self.store(number, key, write),
            // Nobody orders anything here.
            Output::Do(node::Output::Obeyed { .. }) => {}
            Output::Do(node::Output::Stopped) => {
                let life = self.relays[number].life;
                self.after(LAST_WORDS, What::Ended { relay: number, life });
            }
            Output::Wait(wake) => {
                let wake = wake.map(|at| self.relays[number].world_time(at).max(now));
                self.relays[number].wake = wake;
                return false;
            }
        }
        true
    }

    /// `false`: it waits.
    fn poll_person(&mut self, number: usize) -> bool {
        let now = self.now;
        let person = &mut self.people[number];
        let (clock, host) = (person.clock(now), person.host);
        let Some(client) = &mut person.client else { return false };
        match client.poll(clock, &mut self.net.outlet(host)) {
            Output::Dial(dial) => self.net.dial(host, &dial),
            Output::Do(event) => self.on_event(number, event),
            Output::Wait(wake) => {
                let wake = wake.map(|at| self.people[number].world_time(at).max(now));
                self.people[number].wake = wake;
                return false;
            }
        }
        true
    }

    fn store(&mut self, number: usize, key: StoreKey, write: Write) {
        let relay = &mut self.relays[number];
        let (life, now) = (relay.life, self.now);
        let at = relay.store.accept(now, key, write, &mut self.chance);
        self.at(at, What::Stored { relay: number, life });
    }

    fn on_stored(&mut self, number: usize) {
        let Some((key, written)) = self.relays[number].store.complete() else { return };
        let result = if written.is_some() {
            Ok(())
        } else {
            Err(StoreFailed { words: "the relay's disk is full: try again later, or tell its operator".into() })
        };
        match written {
            Some(Write::Append { entry, .. }) => {
                if entry.entry.record.is_some() {
                    self.hand.generations.push(self.now);
                }
                let outcome = self.check.logs.on_durable(&entry.entry.header);
                self.check.note(Rule::OneHistory, outcome);
            }
            Some(Write::Forget { room, instance }) => self.check.logs.on_forgotten(room, instance),
            Some(Write::Record(_) | Write::Close(_) | Write::Reopen(_)) | None => {}
        }
        let now = self.now;
        let relay = &mut self.relays[number];
        let (clock, host) = (relay.clock(now), relay.host);
        if let Some(node) = &mut relay.node {
            node.handle(clock, node::Input::Stored { key, result }, &mut self.net.outlet(host));
        }
        self.settle(Id::Relay(number));
    }

    fn on_timer(&mut self, what: What) {
        match what {
            What::Act(act) => self.act(act),
            What::Frame { person, life, track } => {
                if self.people[person].life == life {
                    self.write_frame(person, track);
                }
            }
            What::Stored { relay, life } => {
                if self.relays[relay].life == life && self.relays[relay].node.is_some() {
                    self.on_stored(relay);
                }
            }
            What::Ended { relay, life } => {
                if self.relays[relay].life == life {
                    self.kill_relay(relay);
                }
            }
            What::TryAgain { person, life } => {
                let wants = self.wanted.contains(&PersonNo(person)) && self.people[person].client.is_none();
                if self.people[person].life == life && wants {
                    self.join(PersonNo(person));
                }
            }
            What::Look => {
                self.look();
                self.after(LOOK_EVERY, What::Look);
            }
        }
    }

    fn on_session_closed(&mut self, id: Id, why: &Closed) {
        if let Closed::ByRemote(code, words) = why {
            self.write_down(|| format!("{id:?} session closed by the remote: {} ({words})", code.name()));
            self.tally(format!("closed {}", code.name()));
            if judge::is_dishonest(*code) {
                self.check.note(Rule::Honest, Err(format!("a session of {id:?} was closed: {}, {words}", code.name())));
            }
        }
    }
}

fn feed(trace: &mut Trace, host: HostId, net: &Net) {
    trace.write_usize(host.0);
    match net {
        Net::Data { session, stream, bytes, fin, .. } => {
            trace.write_u64(session.0);
            trace.write_u64(stream.0);
            trace.write_u8(u8::from(*fin));
            trace.bytes(bytes);
        }
        Net::Datagram { session, bytes } => {
            trace.write_u64(session.0);
            trace.bytes(bytes);
        }
        Net::Connected { .. }
        | Net::DialFailed { .. }
        | Net::Reset { .. }
        | Net::Stopped { .. }
        | Net::Writable { .. }
        | Net::Closed { .. } => trace.bytes(format!("{net:?}").as_bytes()),
    }
}

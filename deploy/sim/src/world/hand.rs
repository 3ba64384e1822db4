//! Worlds led by hand: orders to people, what they were told, and machines that stand still.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_client_core::{
    api::{Command, Event, ParticipantId, RequestId},
    link::Link,
};
use conclave_federation::io::{SessionKey, StreamKey};

use super::{Id, World, person::Stage};
use crate::{
    check::{Chats, Groups, PersonNo},
    net::{HostId, Sent},
    script::Place,
};

/// Somebody at the door, as a host sees them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Who sees them.
    pub host: PersonNo,
    /// What they ask.
    pub request: RequestId,
    /// What they call themselves.
    pub name: String,
    /// Whether their link is retired.
    pub old_link: bool,
}

/// What is remembered for those who lead a world by hand.
#[derive(Default)]
pub(super) struct Hand {
    told: Vec<(Duration, PersonNo, String)>,
    callers: Vec<Caller>,
    links: Vec<Link>,
    still: BTreeSet<Id>,
    /// When entries that change the generation were durable at their hub: the acknowledgement leaves at that moment.
    pub(super) generations: Vec<Duration>,
    /// The newest bytes of objects from one machine to another.
    objects: BTreeMap<(HostId, HostId), Duration>,
    /// Everything that anybody sent, in one piece for each direction of each stream; datagrams one after the other.
    overheard: Option<BTreeMap<Line, Vec<u8>>>,
}

/// One direction of a stream; `None`: a session's datagrams.
type Line = (SessionKey, Option<StreamKey>);

impl Hand {
    pub(super) fn on_event(&mut self, now: Duration, who: PersonNo, event: &Event) {
        self.told.push((now, who, format!("{event:?}")));
        match event {
            Event::RoomCreated { link } | Event::LinkChanged { link } if !self.links.contains(link) => {
                self.links.push(link.clone());
            }
            Event::Knock { request, name, old_link, .. } => {
                self.callers.push(Caller { host: who, request: *request, name: name.clone(), old_link: *old_link });
            }
            Event::KnockGone { request } => self.callers.retain(|one| (one.host, one.request) != (who, *request)),
            _ => {}
        }
    }

    pub(super) fn on_object_bytes(&mut self, now: Duration, from: HostId, to: HostId) {
        self.objects.insert((from, to), now);
    }

    pub(super) fn overhear(&mut self, sent: &Sent) {
        if let Some(overheard) = &mut self.overheard {
            let stream = sent.stream.map(|(stream, _)| stream);
            overheard.entry((sent.session, stream)).or_default().extend_from_slice(&sent.bytes);
        }
    }

    pub(super) fn is_still(&self, id: Id) -> bool {
        self.still.contains(&id)
    }
}

impl World {
    /// Somebody wants something.
    pub fn order(&mut self, person: PersonNo, command: Command) {
        self.command(person.0, command);
    }

    /// Somebody comes with the link of this number, the first being 0, and does not try again when it comes to nothing.
    pub fn come_with(&mut self, person: PersonNo, link: usize) {
        let newest = std::mem::replace(&mut self.link, self.hand.links.get(link).cloned());
        self.join(person);
        self.link = newest;
    }

    /// Nobody minds any more when this person goes, whyever.
    pub fn let_go(&mut self, person: PersonNo) {
        self.wanted.remove(&person);
        self.check.chats.excuse(person);
        self.check.chats.excuse_author(person);
        if self.people[person.0].stage == Stage::In {
            self.people[person.0].stage = Stage::Leaving;
        }
    }

    /// A machine stands still: it keeps its sessions and whatever it may, takes whatever it is sent, and says nothing. What a
    /// hostile one can get by not letting go, whatever it is told.
    pub fn stand_still(&mut self, place: Place) {
        let id = match place {
            Place::Relay(number) => Id::Relay(number),
            Place::Person(number) => Id::Person(number),
        };
        self.hand.still.insert(id);
        self.set_wake(id, None);
    }

    /// The next call has epochs and words of its own.
    pub fn next_call(&mut self) {
        self.check.groups = Groups::default();
        self.check.chats = Chats::default();
    }

    /// Keeps every byte that is sent from now on, as relays have them: hops between machines are not encrypted here.
    pub fn overhear(&mut self) {
        self.hand.overheard = Some(BTreeMap::new());
    }

    /// Whether these bytes are in anything that was sent since [`World::overhear`].
    #[must_use]
    pub fn was_overheard(&self, what: &[u8]) -> bool {
        let overheard = self.hand.overheard.iter().flat_map(BTreeMap::values);
        overheard.into_iter().any(|bytes| bytes.windows(what.len().max(1)).any(|window| window == what))
    }

    /// When somebody was told what begins with these letters.
    #[must_use]
    pub fn told(&self, person: PersonNo, what: &str) -> Vec<Duration> {
        let told = self.hand.told.iter().filter(|(_, who, words)| *who == person && words.starts_with(what));
        told.map(|(at, ..)| *at).collect()
    }

    /// Who is at the door now, in the eyes of every host.
    #[must_use]
    pub fn callers(&self) -> &[Caller] {
        &self.hand.callers
    }

    /// Links that the room had, in their order.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.hand.links
    }

    /// When entries that change the generation were acknowledged.
    #[must_use]
    pub fn generations(&self) -> &[Duration] {
        &self.hand.generations
    }

    /// When a relay last sent a byte of any object to another machine: in a datagram, or on a stream of objects.
    #[must_use]
    pub fn last_object(&self, from: usize, to: Place) -> Option<Duration> {
        let to = match to {
            Place::Relay(number) => self.relays.get(number)?.host,
            Place::Person(number) => self.people.get(number)?.host,
        };
        self.hand.objects.get(&(self.relays.get(from)?.host, to)).copied()
    }

    /// Who somebody is in the room.
    #[must_use]
    pub fn id_of(&self, person: PersonNo) -> Option<ParticipantId> {
        self.people.get(person.0)?.me
    }

    /// The names that somebody in the room sees there.
    #[must_use]
    pub fn names(&self, person: PersonNo) -> Vec<String> {
        let person = &self.people[person.0];
        let there = person.stage == Stage::In;
        let mut names: Vec<_> = person.roster.values().filter(|_| there).map(|other| other.name.clone()).collect();
        names.sort();
        names
    }
}

//! What the script does to the world, and what people do by themselves.

use std::time::Duration;

use conclave_client_core::api::{Command, Entry};
use conclave_federation::io::Machine;
use conclave_relay_core::node;

use super::{
    Id, What, World,
    person::{Person, Stage, TRACKS},
};
use crate::{
    check::{PersonNo, Rule},
    net::HostId,
    script::{Act, Place},
};

impl World {
    pub(super) fn act(&mut self, act: Act) {
        self.write_down(|| format!("{act:?}"));
        self.trace.record(|trace| trace.bytes(format!("{act:?}").as_bytes()));
        match act {
            Act::Found(person) | Act::Join(person) => {
                self.wanted.insert(person);
                if self.people[person.0].client.is_none() {
                    self.join(person);
                }
            }
            // Only its founder can begin a call: the last one stays.
            Act::Leave(person) | Act::Die(person) if self.is_alone(person) => {}
            Act::Leave(person) => {
                self.wanted.remove(&person);
                self.check.chats.excuse(person);
                self.check.chats.excuse_author(person);
                if self.people[person.0].stage == Stage::In {
                    self.people[person.0].stage = Stage::Leaving;
                    self.command(person.0, Command::Leave);
                } else {
                    self.silence(person.0);
                }
            }
            Act::Die(person) => {
                self.wanted.remove(&person);
                self.check.chats.excuse(person);
                self.check.chats.excuse_author(person);
                self.silence(person.0);
            }
            Act::Chat(person) => self.say(person.0),
            Act::Cut(a, b) => self.net.cut(self.host(a), self.host(b)),
            Act::Heal(a, b) => self.net.heal(self.host(a), self.host(b)),
            Act::Break(a, b) => self.net.break_sessions(self.host(a), self.host(b)),
            Act::Kill(relay) => self.kill_relay(relay),
            Act::Start(relay) => self.start_relay(relay),
            Act::Stop(relay) => self.stop_relay(relay),
            Act::Disk(relay, full) => self.relays[relay].store.full = full,
            Act::Forget(relay) => self.relays[relay].store.forget_newest(),
        }
    }

    /// Whether nobody else is in the room.
    fn is_alone(&self, number: PersonNo) -> bool {
        !self.people.iter().any(|person| person.number != number && person.stage == Stage::In)
    }

    pub(super) fn is_founder(&self, number: PersonNo) -> bool {
        self.story.acts.iter().any(|(_, act)| *act == Act::Found(number))
    }

    fn host(&self, place: Place) -> HostId {
        match place {
            Place::Relay(number) => self.relays[number].host,
            Place::Person(number) => self.people[number].host,
        }
    }

    /// A client is no more, and says no word.
    fn silence(&mut self, number: usize) {
        self.people[number].stop(Stage::Gone);
        let host = self.people[number].host;
        self.net.kill(host);
    }

    pub(super) fn start_relay(&mut self, number: usize) {
        if self.relays[number].node.is_some() {
            return;
        }
        let restored = self.relays[number].store.restored();
        for room in &restored {
            for log in &room.logs {
                let headers = log.entries.iter().map(|stored| &stored.entry.header);
                let outcome = self.check.logs.on_restored(room.record.room, log.instance, headers);
                self.check.note(Rule::AcknowledgedStays, outcome);
            }
        }
        let relays = self.relays.len();
        let relay = &mut self.relays[number];
        relay.start(self.now, relays, &self.limits, restored, &mut self.chance);
        if relay.life > 1 {
            self.net.restart(relay.host);
        }
    }

    pub(super) fn kill_relay(&mut self, number: usize) {
        let relay = &mut self.relays[number];
        if relay.node.take().is_some() {
            relay.wake = None;
            relay.store.kill(&mut self.chance);
            self.net.kill(relay.host);
        }
    }

    fn stop_relay(&mut self, number: usize) {
        let now = self.now;
        let relay = &mut self.relays[number];
        let (clock, host) = (relay.clock(now), relay.host);
        if let Some(node) = &mut relay.node {
            node.handle(clock, node::Input::Shutdown, &mut self.net.outlet(host));
            self.settle(Id::Relay(number));
        }
    }

    /// Somebody comes, or tries again, with a new client; the first one founds the room.
    pub(super) fn join(&mut self, number: PersonNo) {
        if self.link.is_none() && !self.is_founder(number) {
            let life = self.people[number.0].life;
            return self.after(Duration::from_millis(300), What::TryAgain { person: number.0, life });
        }
        let person = &mut self.people[number.0];
        // A new client knows nothing of the sessions of the one before.
        self.net.kill(person.host);
        self.net.restart(person.host);
        let relay = &self.relays[person.entry];
        let entry = Entry { relay: Some(relay.id), addresses: vec![relay.address.clone()] };
        person.start(self.now, self.link.clone(), entry, self.story.mode, &mut self.chance);
        self.check.chats.excuse(number);
    }

    pub(super) fn say(&mut self, number: usize) {
        if self.people[number].stage != Stage::In {
            return;
        }
        let members = self.people[number].members();
        let epoch = self.people[number].epoch;
        // Who came back on another leaf later than the author knows is not who the author speaks to.
        let is_there = |person: &&Person| {
            let me = person.me.filter(|_| person.stage == Stage::In && person.since <= epoch);
            me.is_some_and(|me| members.contains(&me))
        };
        let listeners = self.people.iter().filter(is_there).map(|person| person.number);
        let listeners = listeners.filter(|listener| listener.0 != number).collect();
        let text = self.check.chats.say(PersonNo(number), epoch, listeners);
        self.command(number, Command::Chat { text });
    }

    pub(super) fn write_frame(&mut self, number: usize, track: usize) {
        let person = &mut self.people[number];
        if person.client.is_none() || self.hand.is_still(Id::Person(number)) {
            return;
        }
        let life = person.life;
        let pace = Person::pace(track);
        if person.stage == Stage::In {
            let (key, frame, out) = person.next_frame(self.now, track, self.story.layers, &mut self.chance);
            let needs = person.tracks[track].needs;
            self.check.media.on_written(key, frame, needs, person.writers());
            self.command(number, Command::Write { track: TRACKS[track], frame: out });
        }
        self.after(pace, What::Frame { person: number, life, track });
    }
}

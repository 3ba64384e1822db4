//! What arrives: a datagram, a piece of a group, a whole reliable object; admitted, given our name, and handed to its track.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::Alias,
    io::{Now, Outlet, StreamKey},
    track::Class,
    wire::{code::Code, object::ObjectHeader, stream::GroupHeader},
};

use super::{End, Shard, count};
use crate::{
    between::ToRelay,
    connection::{Admission, Arrived, Slab},
    fanout::{Fanout, Part, Path},
    limits::Limits,
    stats::{Kind, Limit, Stats},
};

type Up = VecDeque<ToRelay>;

impl Shard {
    /// A datagram's way through the relay.
    #[expect(clippy::too_many_arguments, reason = "an object and the four things every step needs")]
    pub(super) fn forward(
        &mut self,
        now: Now,
        slot: usize,
        header: &ObjectHeader,
        whole: Bytes,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        let meaning = self.sessions.at(slot).and_then(|connection| connection.meaning(header.alias));
        let Some((alias, track)) = meaning.and_then(|alias| Some((alias, self.tracks.get_mut(&alias)?))) else {
            stats.dropped.unknown_alias += 1;
            return;
        };
        if track.class() != Class::Datagram {
            stats.dropped.misplaced += 1;
            return;
        }
        match Self::admit(&mut self.sessions, slot, track, now.mono, &self.limits, 1, whole.len()) {
            Admission::Welcome => {}
            Admission::TooMuch => {
                stats.hit(Limit::Ingress);
                stats.dropped.rate += 1;
                return;
            }
            Admission::Close => return self.close_oversender(now, slot, up, stats, outlet),
        }
        let whole = if header.alias == alias { whole } else { ObjectHeader::realias(&whole, alias) };
        let mut path = Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet };
        track.datagram(&whole, &mut path);
    }

    fn admit(
        sessions: &mut Slab,
        slot: usize,
        track: &mut Fanout,
        now: Duration,
        limits: &Limits,
        objects: u64,
        bytes: usize,
    ) -> Admission {
        let Some(connection) = sessions.at_mut(slot) else { return Admission::TooMuch };
        if connection.kind == Kind::Client {
            return connection.admit(now, limits, objects, bytes);
        }
        let within = track.ingress.0.take(now, limits.ingress_objects, objects)
            && track.ingress.1.take(now, limits.ingress_bytes, count(bytes));
        if within { Admission::Welcome } else { Admission::TooMuch }
    }

    fn close_oversender(&mut self, now: Now, slot: usize, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        stats.hit(Limit::Ingress);
        stats.dropped.rate += 1;
        let end = End::Ours(Code::RATE, "you have been sending more than this relay takes from one publisher: send less");
        self.end(now, slot, &end, up, stats, outlet);
    }

    pub(super) fn arrived(
        &mut self,
        now: Now,
        slot: usize,
        arrived: Arrived,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        match arrived {
            Arrived::Begin(stream, alias, header) => self.begin(now, slot, stream, alias, &header, stats, outlet),
            Arrived::Part(stream, alias, part) => self.part(now, slot, (stream, alias), part, up, stats, outlet),
            Arrived::End(alias, group, layer, complete) => {
                if let Some(track) = self.tracks.get_mut(&alias) {
                    let mut path = Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet };
                    track.end(group, layer, complete, &mut path);
                }
            }
            Arrived::Reliable(alias, header, payload) => {
                let Some(track) = self.tracks.get_mut(&alias) else {
                    stats.dropped.unknown_alias += 1;
                    return;
                };
                // From a link it was admitted at its publisher's relay, and a log has to catch up.
                let is_client = self.sessions.at(slot).is_some_and(|connection| connection.kind == Kind::Client);
                if is_client
                    && Self::admit(&mut self.sessions, slot, track, now.mono, &self.limits, 1, payload.len())
                        != Admission::Welcome
                {
                    // An object of a reliable track cannot be left out.
                    return self.close_oversender(now, slot, up, stats, outlet);
                }
                self.retain(now, (alias, false), &header, payload, up, stats, outlet);
            }
            Arrived::Unknown(stream) => {
                stats.dropped.unknown_alias += 1;
                if let (Some(stream), Some(connection)) = (stream, self.sessions.at_mut(slot)) {
                    connection.refuse_stream(stream, Code::UNWANTED, outlet);
                }
            }
            Arrived::TooEarly => {
                stats.hit(Limit::Early);
                let end = End::Ours(Code::RATE, "too much of a track came before the answer that names it: answer first");
                self.end(now, slot, &end, up, stats, outlet);
            }
            Arrived::Later | Arrived::Nothing => {}
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a group's beginning and the things every step needs")]
    fn begin(
        &mut self,
        now: Now,
        slot: usize,
        stream: StreamKey,
        alias: Alias,
        header: &GroupHeader,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        let wanted = self.tracks.get_mut(&alias).is_some_and(|track| {
            let mut path =
                Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet: &mut *outlet };
            track.begin(header, &mut path)
        });
        if !wanted && let Some(connection) = self.sessions.at_mut(slot) {
            connection.refuse_stream(stream, Code::UNWANTED, outlet);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "an object and the four things every step needs")]
    fn part(
        &mut self,
        now: Now,
        slot: usize,
        (stream, alias): (StreamKey, Alias),
        part: Part,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        let Some(track) = self.tracks.get_mut(&alias) else { return };
        let objects = u64::from(part.offset == 0);
        match Self::admit(&mut self.sessions, slot, track, now.mono, &self.limits, objects, part.bytes.len()) {
            Admission::Welcome => {
                let mut path = Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet };
                track.part(part, &mut path);
            }
            Admission::TooMuch => {
                stats.hit(Limit::Ingress);
                stats.dropped.rate += 1;
                let mut path =
                    Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet: &mut *outlet };
                track.end(part.group, part.layer, false, &mut path);
                if let Some(connection) = self.sessions.at_mut(slot) {
                    connection.refuse_stream(stream, Code::RATE, outlet);
                }
            }
            Admission::Close => self.close_oversender(now, slot, up, stats, outlet),
        }
    }

    /// An object of a reliable track: kept, then on its way to everybody whose cursor is there.
    #[expect(clippy::too_many_arguments, reason = "an object and the four things every step needs")]
    pub(super) fn retain(
        &mut self,
        now: Now,
        (alias, ours): (Alias, bool),
        header: &ObjectHeader,
        payload: Bytes,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        let Some(track) = self.tracks.get_mut(&alias) else { return };
        let heard = track.heard.then(|| payload.clone());
        if !track.retain(header, payload, now.mono, &self.limits, ours, stats) {
            return;
        }
        if let Some(payload) = heard {
            up.push_back(ToRelay::Heard { alias, payload });
        }
        let slots = track.slots();
        stats.fanout.record(slots.len());
        for slot in slots {
            if let Some(connection) = self.sessions.at_mut(slot) {
                connection.reliable.mark(alias);
                if !connection.reliable.is_stuck() {
                    self.pump_reliable(now, slot, up, stats, outlet);
                }
            }
        }
    }
}

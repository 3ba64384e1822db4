//! The relay that follows a room ordered elsewhere: it asks the hub for its clients, shows their capability, announces
//! their tracks, and comes back to all of that when a link was lost.

use conclave_federation::{
    id::{Instance, RelayId, RoomId, TrackId},
    io::SessionKey,
    record::CallKeys,
    wire::{
        code::Code,
        message::{Answer, Append, Detach, EntryKind, Join, Notice, Present, Publish, PutRecord, Request, Resolve, Via},
    },
};

use super::{Founding, Job, Room, Side, generation::Word, records::Known};
use crate::{
    admit,
    limits::{RESUBSCRIBE_MAX, RESUBSCRIBE_MIN},
    node::Write,
    relay::{Asker, Cx, Purpose, Relay, Who},
    stats::Limit,
    subscribe::Source,
};

/// Where a request has to go.
pub(super) enum Target {
    Here,
    There(RelayId),
    /// A relay asked us to pass on what it should ask itself.
    Nowhere,
}

impl Relay {
    pub(super) fn target(&self, asker: Asker, via: Option<&Via>) -> Target {
        match via.map(|via| self.meant(via.relay)) {
            None => Target::Here,
            Some(relay) if relay == self.id => Target::Here,
            Some(_) if self.members.get(&asker.session).is_some_and(|member| member.link().is_some()) => Target::Nowhere,
            Some(relay) => Target::There(relay),
        }
    }

    /// A link names hubs by the first half of their ids, and who has nothing but a link asks with zeros behind it: the one
    /// relay known here that begins so is meant.
    fn meant(&self, relay: RelayId) -> RelayId {
        let (half, rest) = relay.as_bytes().split_at(16);
        if rest.iter().any(|byte| *byte != 0) {
            return relay;
        }
        let mut known = std::iter::once(self.id).chain(self.links.known());
        known.find(|known| known.as_bytes().starts_with(half)).unwrap_or(relay)
    }

    pub(super) fn refuse_passing_on(cx: &mut Cx<'_>, asker: Asker) {
        cx.refuse(asker, Code::UNSUPPORTED, "relays pass on what clients ask, nothing else: ask that relay itself");
    }

    /// What is known of a room.
    pub(crate) fn on_resolve(&mut self, cx: &mut Cx<'_>, asker: Asker, mut resolve: Resolve) {
        match self.target(asker, resolve.via.as_ref()) {
            Target::Nowhere => Self::refuse_passing_on(cx, asker),
            Target::Here => match self.resolved(cx, resolve.room) {
                Some(answer) => cx.answer(asker, answer),
                None => cx.refuse_proof(asker, Code::UNKNOWN_ROOM),
            },
            Target::There(relay) => {
                resolve.via = None;
                self.ask_relay(cx, relay, Box::new(Request::Resolve(resolve)), Purpose::Forward(asker));
            }
        }
    }

    /// A room's record, first or newer.
    pub(crate) fn on_put_record(&mut self, cx: &mut Cx<'_>, asker: Asker, mut put: PutRecord) {
        match self.target(asker, put.via.as_ref()) {
            Target::Nowhere => return Self::refuse_passing_on(cx, asker),
            Target::There(relay) => {
                put.via = None;
                return self.ask_relay(cx, relay, Box::new(Request::PutRecord(put)), Purpose::Forward(asker));
            }
            Target::Here => {}
        }
        let record = put.record;
        if let Err(error) = record.verify(record.room, cx.now.unix_ms) {
            return cx.refuse(asker, Code::BAD_RECORD, &error.to_string());
        }
        if self.rooms.get(&record.room).is_some_and(|room| room.hub().is_none()) {
            // Of a room that is followed here: whoever was in it may know more than we do.
            return match self.hear_record(cx, &record, Word::Client, None) {
                Ok(()) => {
                    cx.answer(asker, Answer::Done(()));
                    self.confirm_record(cx, record.room);
                }
                Err(error) => cx.refuse(asker, Code::BAD_RECORD, &error.to_string()),
            };
        }
        if record.hub().is_none_or(|hub| hub.relay != self.id) {
            return cx.refuse(asker, Code::BAD_RECORD, "the record does not name this relay first: register it at its hub");
        }
        let id = record.room;
        if self.rooms.get(&id).is_some_and(|room| room.hub().is_some()) {
            return self.offer_record(cx, asker, record);
        }
        if let Some(founding) = self.founding.get_mut(&id) {
            if founding.record != record {
                return cx.refuse(asker, Code::CONFLICT, "another record of this room is being written: try again");
            }
            if founding.askers.len() >= self.limits.waiting_appends {
                return cx.refuse_limit(asker, Limit::WaitingAppends, Code::FULL, "too many ask for the same: try again");
            }
            founding.askers.push(asker);
            return;
        }
        if self.rooms.len() + self.founding.len() >= self.limits.rooms {
            return cx.refuse_limit(asker, Limit::Rooms, Code::FULL, "this relay has all the rooms it can serve");
        }
        self.store(Write::Record(record.clone()), Job::Founding(id));
        self.founding.insert(id, Founding { record, askers: vec![asker] });
    }

    /// An entry for a room's log.
    pub(crate) fn on_append(&mut self, cx: &mut Cx<'_>, asker: Asker, mut append: Append) {
        let limits = &self.limits;
        let Some(member) = self.members.get_mut(&asker.session) else { return };
        // Whether a host's word holds is the hub's to say; here it only counts apart.
        let within = match append.reserve {
            Some(_) => member.reserved.take(cx.now.mono, limits.host_commits, 1),
            None => member.commits.take(cx.now.mono, limits.session_commits, 1),
        };
        if member.link().is_none() && !within {
            cx.stats.appends.rate += 1;
            return cx.refuse_limit(asker, Limit::SessionCommits, Code::RATE, "too many entries from you: wait a second");
        }
        match self.target(asker, append.via.as_ref()) {
            Target::Nowhere => Self::refuse_passing_on(cx, asker),
            Target::Here => self.offer(cx, asker, Box::new(append)),
            Target::There(relay) => {
                let room = self.rooms.get(&append.header.room);
                let attached = room.is_some_and(|room| room.attached.contains(&asker.session));
                if !attached && append.header.kind != EntryKind::Genesis {
                    return cx.refuse_proof(asker, Code::NOT_ATTACHED);
                }
                append.via = None;
                let purpose = match &append.call {
                    Some(call) if append.header.kind == EntryKind::Genesis => Purpose::Begin(asker, Box::new(call.clone())),
                    _ => Purpose::Forward(asker),
                };
                self.ask_relay(cx, relay, Box::new(Request::Append(append)), purpose);
            }
        }
    }

    /// Somebody asks to be let in.
    pub(crate) fn on_join(&mut self, cx: &mut Cx<'_>, asker: Asker, mut join: Join) {
        let target = self.target(asker, join.via.as_ref());
        if let Some(Who::Client { joins, .. }) = self.members.get_mut(&asker.session).map(|member| &mut member.who) {
            if *joins >= self.limits.joins_per_session {
                let words = "too many join requests at once: wait for their answers";
                return cx.refuse_limit(asker, Limit::JoinsPerSession, Code::FULL, words);
            }
            *joins += 1;
        }
        match target {
            Target::Nowhere => Self::refuse_passing_on(cx, asker),
            Target::Here => self.ask_in(cx, asker, &join),
            Target::There(relay) => {
                join.via = None;
                self.ask_relay(cx, relay, Box::new(Request::Join(join)), Purpose::ForwardJoin(asker));
            }
        }
    }

    /// One of a client's join requests is answered.
    pub(crate) fn release_join(&mut self, session: SessionKey) {
        if let Some(Who::Client { joins, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
            *joins = joins.saturating_sub(1);
        }
    }

    /// A hub's answer passes by: its record is worth keeping.
    pub(crate) fn learn(&mut self, cx: &mut Cx<'_>, session: Option<SessionKey>, answer: &Answer) {
        let Answer::Resolved(resolved) = answer else { return };
        let record = &resolved.record;
        if record.verify(record.room, cx.now.unix_ms).is_err() || record.hub().is_none_or(|hub| hub.relay == self.id) {
            return;
        }
        let call = resolved.call.clone().filter(|call| call.verify(resolved.instance, record));
        let id = record.room;
        match self.rooms.get_mut(&id) {
            Some(room) => {
                let (is_newer, instance) = (room.record.seq < record.seq || room.turn.is_in_doubt(), room.instance);
                if is_newer {
                    let word = if session.is_some_and(|link| self.is_hub_link(id, link)) { Word::Hub } else { Word::Client };
                    // The answer is passed on all the same: who asked judges for themselves.
                    let _ = self.hear_record(cx, record, word, None);
                }
                if instance != resolved.instance {
                    self.records.keep(Known::new(record.clone(), call));
                }
            }
            None => self.records.keep(Known::new(record.clone(), call)),
        }
    }

    /// A call has begun at its hub with these keys, and whoever began it is about to show a proof made with them. Before the
    /// hub has taken it nothing is kept: any holder of the link can choose keys for a call that will never be.
    pub(crate) fn learn_call(&mut self, call: CallKeys) {
        let Some(record) = self.records.find(call.room).map(|known| known.record.clone()) else { return };
        if call.verify(call.instance, &record) {
            self.records.keep(Known::new(record, Some(call)));
        }
    }

    /// A client is gone: what is asked for it elsewhere is answered to nobody.
    pub(crate) fn forget_asker(&mut self, session: SessionKey) {
        self.asks.retain(|_, purpose| match purpose {
            Purpose::Forward(asker) | Purpose::ForwardJoin(asker) | Purpose::Begin(asker, _) => asker.session != session,
            Purpose::Confirm | Purpose::Attach(..) | Purpose::Present(..) | Purpose::Publish(..) | Purpose::Subscribe(..) => true,
        });
    }

    /// Shows the room's capability on a link, unless what was shown there is as good. A hub that did not know us until now
    /// does not know what is published here either, and is told.
    pub(crate) fn present(&mut self, cx: &mut Cx<'_>, id: RoomId, link: SessionKey) {
        if self.show(cx, id, link) && self.is_hub_link(id, link) {
            self.announce_own(cx, id, link);
        }
    }

    /// As [`Relay::present`], of the capability alone. `true`: nothing that holds was shown on the link before.
    fn show(&mut self, cx: &mut Cx<'_>, id: RoomId, link: SessionKey) -> bool {
        let to_hub = self.is_hub_link(id, link);
        let Some(room) = self.rooms.get_mut(&id) else { return false };
        let Some(capability) = room.capability.clone().filter(|capability| admit::is_alive(cx.now, capability.expires)) else {
            return false;
        };
        let before = room.presented.get(&link).copied();
        if before.is_some_and(|expires| expires >= capability.expires) {
            return false;
        }
        room.presented.insert(link, capability.expires);
        let present = Present { capability, attached: to_hub };
        self.ask(cx, link, Box::new(Request::Present(present)), Purpose::Present(id, link));
        before.is_none_or(|expires| !admit::is_alive(cx.now, expires))
    }

    pub(crate) fn is_hub_link(&self, id: RoomId, link: SessionKey) -> bool {
        let hub = self.rooms.get(&id).filter(|room| room.hub().is_none()).and_then(Room::hub_relay);
        hub.is_some() && self.members.get(&link).and_then(crate::relay::Member::link) == hub
    }

    /// What the other relay said to the capability.
    pub(crate) fn on_presented(&mut self, cx: &mut Cx<'_>, id: RoomId, link: SessionKey, answer: &Answer) {
        let Answer::Refused(refusal) = answer else { return };
        let hub = self.members.get(&link).and_then(crate::relay::Member::link);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.presented.remove(&link);
        if refusal.code == Code::CLOSED && room.hub().is_none() && room.hub_relay() == hub {
            return self.on_closed_at_hub(cx, id, refusal.words.as_str());
        }
        if refusal.code == Code::STALE_GENERATION && room.turn.is_turning() {
            // It has not heard of the new generation yet, or we have not: once more in a moment.
            room.presented.insert(link, 0);
            return;
        }
        let is_over = matches!(refusal.code, Code::WRONG_INSTANCE | Code::UNKNOWN_ROOM | Code::STALE_GENERATION);
        if is_over && room.hub().is_none() && room.hub_relay() == hub {
            // The call is over at its hub: clients see their subscriptions end and ask again.
            self.leave_room(cx, id);
        }
    }

    /// Tells the hub of a track that is published here.
    pub(crate) fn announce(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId, link: SessionKey) {
        let Some(room) = self.rooms.get(&id) else { return };
        let Some(own) = room.tracks.get(&track) else { return };
        let publish = Publish { room: id, instance: room.instance, track, class: own.class, layers: own.layers };
        self.ask(cx, link, Box::new(Request::Publish(publish)), Purpose::Publish(id, track));
    }

    /// Tells the hub of every track that is published here.
    fn announce_own(&mut self, cx: &mut Cx<'_>, id: RoomId, link: SessionKey) {
        let Some(room) = self.rooms.get(&id) else { return };
        let own = room.tracks.iter().filter(|(_, track)| matches!(track.source, Source::Client(_)));
        for track in own.map(|(track, _)| *track).collect::<Vec<_>>() {
            self.announce(cx, id, track, link);
        }
    }

    /// What the hub said to a track: one that it does not list is of no use.
    pub(crate) fn on_announced(
        &mut self,
        cx: &mut Cx<'_>,
        link: Option<SessionKey>,
        (id, track): (RoomId, TrackId),
        answer: &Answer,
    ) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let Some(own) = room.tracks.get_mut(&track) else { return };
        let Source::Client(session) = own.source else { return };
        let Answer::Refused(refusal) = answer else {
            own.pause = RESUBSCRIBE_MIN;
            return;
        };
        match refusal.code {
            Code::EXISTS | Code::FULL | Code::VIOLATION => {
                // There is no other word for "not any more" towards a publisher.
                cx.notify(session, Notice::Unsubscribe(own.alias));
                self.end_track(cx, id, track);
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.listings.remove(&track);
                }
            }
            Code::RATE => {
                self.retries.insert((cx.now.mono + own.pause, id, track));
                own.pause = (own.pause * 2).min(RESUBSCRIBE_MAX);
            }
            // The hub does not know us any more. One new try says it of all tracks, so only the first refusal counts.
            Code::NOT_ATTACHED if link.is_some_and(|link| room.presented.remove(&link).is_some()) => {
                self.retries.insert((cx.now.mono + own.pause, id, track));
                own.pause = (own.pause * 2).min(RESUBSCRIBE_MAX);
            }
            // The link is gone, or the call is over: both are heard otherwise.
            _ => {}
        }
    }

    /// It is time to tell the hub once more what is published here.
    pub(crate) fn announce_again(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        let Some(room) = self.rooms.get(&id).filter(|room| room.hub().is_none()) else { return };
        let Some(link) = room.hub_relay().and_then(|hub| self.links.session(hub)) else { return };
        if room.presented.contains_key(&link) {
            self.announce(cx, id, track, link);
        } else {
            self.present(cx, id, link);
        }
    }

    /// A link is up: rooms whose hub is there are shown again, and what has waited for it goes on.
    pub(crate) fn on_link_up(&mut self, cx: &mut Cx<'_>, relay: RelayId, link: SessionKey) {
        for id in self.rooms.keys().copied().collect::<Vec<_>>() {
            let Some(room) = self.rooms.get(&id) else { continue };
            if room.hub().is_none() && room.hub_relay() == Some(relay) {
                self.show(cx, id, link);
                self.announce_own(cx, id, link);
            }
            self.pull_all(cx, id);
        }
    }

    /// A link is gone; another one with the same relay may be there already.
    pub(crate) fn on_link_down(&mut self, cx: &mut Cx<'_>, relay: RelayId, session: SessionKey) {
        for id in self.rooms.keys().copied().collect::<Vec<_>>() {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.presented.remove(&session);
            }
            self.lose_shown(cx, id, session, false);
        }
        self.suspend(cx, session);
        if let Some(link) = self.links.session(relay) {
            self.on_link_up(cx, relay, link);
        }
    }

    /// Nobody here is in the room any more: its hub and the others are told, and only its record is kept.
    pub(crate) fn leave_room(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        if !matches!(room.side, Side::Follower(_)) {
            return;
        }
        let links: Vec<_> = room.presented.keys().map(|link| (*link, self.is_hub_link(id, *link))).collect();
        let (instance, call) = (room.instance, room.call.clone());
        self.clear_room(cx, id);
        if let Some(room) = self.rooms.remove(&id) {
            self.records.keep(Known::new(room.record, call));
        }
        for (link, is_hub) in links {
            if is_hub {
                self.take_leave(cx, link, id, instance);
            } else {
                cx.notify(link, Notice::Detach(Detach { room: id, instance }));
            }
        }
    }

    /// Tells the hub that nobody here is in a call, if that is so. Somebody for whom it was asked already has its word after
    /// this one would arrive: they would be let in here and be unknown there.
    pub(crate) fn take_leave(&mut self, cx: &mut Cx<'_>, link: SessionKey, id: RoomId, instance: Instance) {
        let is_here = self.rooms.get(&id).is_some_and(|room| room.instance == instance);
        let is_coming =
            |purpose: &Purpose| matches!(purpose, Purpose::Attach(_, attach) if (attach.room, attach.instance) == (id, instance));
        if !is_here && self.members.contains_key(&link) && !self.asks.values().any(is_coming) {
            cx.notify(link, Notice::Detach(Detach { room: id, instance }));
        }
    }
}

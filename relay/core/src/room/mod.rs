//! A room here: who is attached, which relays have shown a capability for it, what is published in it.

pub(crate) mod closed;
mod decline;
pub(crate) mod directory;
mod ending;
mod fairness;
mod follower;
pub(crate) mod generation;
pub(crate) mod hub;
mod joins;
pub(crate) mod records;
mod stamp;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Instance, RelayId, RoomId, TrackId},
    io::SessionKey,
    proof::Capability,
    record::{CallKeys, RoomRecord},
    track::Class,
    wire::{
        code::Code,
        message::{Answer, Attach, Detach, Notice, Present, Publish, Published, Unpublish},
        object::{Directory, Listing},
    },
};

use self::{
    directory::{Listed, Listings},
    generation::Turn,
    hub::Hub,
};
use crate::{
    admit::{self, Keys},
    between::ToShard,
    limits::LOST_GRACE,
    node::StoreFailed,
    order::{Closure, OrderKey},
    relay::{Asker, Cx, Relay, Who},
    stats::Limit,
    subscribe::{Source, Track},
    window::Retention,
};

/// A capability that another relay has shown us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    pub(crate) relay: RelayId,
    pub(crate) expires: u64,
    /// Whether participants are attached there, as far as the hub is told.
    pub(crate) attached: bool,
}

/// What we are in the room.
#[derive(Debug)]
pub(crate) enum Side {
    /// We order its log.
    Hub(Box<Hub>),
    /// Another relay does; we keep nothing of it when nobody here is in it. With the time at which a room whose last client
    /// was lost is left.
    Follower(Option<Duration>),
}

/// One room.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) record: RoomRecord,
    /// The current call; 0 before the first.
    pub(crate) instance: Instance,
    /// Its keys, verified, when whoever began it chose some.
    pub(crate) call: Option<CallKeys>,
    /// Between two generations.
    pub(crate) turn: Turn,
    pub(crate) side: Side,
    /// The client sessions here that are in it.
    pub(crate) attached: BTreeSet<SessionKey>,
    /// The longest-lived capability that a client has handed over.
    pub(crate) capability: Option<Capability>,
    /// Links on which we have shown it, and until when what was shown is good.
    pub(crate) presented: BTreeMap<SessionKey, u64>,
    /// Links on which one was shown to us.
    pub(crate) shown: BTreeMap<SessionKey, Shown>,
    /// Tracks that have a publisher or a subscriber here.
    pub(crate) tracks: BTreeMap<TrackId, Track>,
    /// All that is published in the room, anywhere.
    pub(crate) listings: Listings,
}

/// A write whose confirmation is awaited.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    /// The first record of a room.
    Founding(RoomId),
    /// The one write of a room.
    Room(RoomId),
    /// The operator closes a room.
    Closing(OrderKey, Box<Closure>),
    /// The operator reopens one.
    Reopening(OrderKey, RoomId),
    /// A log that nobody needs; failure leaves it to the next start.
    Forgotten,
}

/// A room whose first record is being written.
#[derive(Debug)]
pub(crate) struct Founding {
    record: RoomRecord,
    askers: Vec<Asker>,
}

impl Room {
    pub(crate) fn new(record: RoomRecord, side: Side) -> Self {
        Self {
            record,
            instance: Instance(0),
            call: None,
            turn: Turn::default(),
            side,
            attached: BTreeSet::new(),
            capability: None,
            presented: BTreeMap::new(),
            shown: BTreeMap::new(),
            tracks: BTreeMap::new(),
            listings: Listings::new(),
        }
    }

    pub(crate) fn hub(&self) -> Option<&Hub> {
        match &self.side {
            Side::Hub(hub) => Some(hub),
            Side::Follower(_) => None,
        }
    }

    pub(crate) fn hub_mut(&mut self) -> Option<&mut Hub> {
        match &mut self.side {
            Side::Hub(hub) => Some(hub),
            Side::Follower(_) => None,
        }
    }

    /// The relay that orders its log.
    pub(crate) fn hub_relay(&self) -> Option<RelayId> {
        self.record.hub().map(|hub| hub.relay)
    }

    fn adopt(&mut self, capability: Capability) {
        let is_better = |held: &Capability| {
            (held.instance, held.generation) != (capability.instance, capability.generation) || held.expires < capability.expires
        };
        if self.capability.as_ref().is_none_or(is_better) {
            self.capability = Some(capability);
        }
    }

    /// Says a change of what is published, when the room is ordered here.
    fn say(&mut self, cx: &mut Cx<'_>, change: &Directory) {
        if let Side::Hub(hub) = &mut self.side
            && let Some(directory) = hub.directory()
        {
            directory.change(cx, change, &self.listings);
        }
    }
}

impl Relay {
    /// A write is done, or was not.
    pub(crate) fn on_job(&mut self, cx: &mut Cx<'_>, job: Job, result: Result<(), StoreFailed>) {
        match job {
            Job::Founding(room) => {
                let Some(founding) = self.founding.remove(&room) else { return };
                match result {
                    Ok(()) => {
                        self.rooms.insert(room, Room::new(founding.record, Side::Hub(Box::new(Hub::new()))));
                        for asker in founding.askers {
                            cx.answer(asker, Answer::Done(()));
                        }
                    }
                    Err(failed) => {
                        let words = format!("the hub could not keep this: {}", failed.words);
                        for asker in founding.askers {
                            cx.refuse(asker, Code::STORE, &words);
                        }
                    }
                }
            }
            Job::Room(room) => self.on_written(cx, room, result),
            Job::Closing(order, closure) => self.on_closing(cx, order, *closure, result),
            Job::Reopening(order, room) => self.on_reopening(cx, order, room, result),
            Job::Forgotten => {}
        }
    }

    /// A client shows that it is in a room.
    pub(crate) fn on_attach(&mut self, cx: &mut Cx<'_>, asker: Asker, attach: Attach) {
        let Some(Who::Client { nonce, rooms, .. }) = self.members.get(&asker.session).map(|member| &member.who) else { return };
        if rooms.len() >= self.limits.rooms_per_session && !rooms.contains(&attach.room) {
            return cx.refuse_limit(asker, Limit::RoomsPerSession, Code::FULL, "too many rooms in one session: leave some first");
        }
        let room = self.rooms.get(&attach.room);
        let known = self.records.find(attach.room);
        let here = room.filter(|room| room.instance == attach.instance);
        let keys = match (here, room.map(|room| &room.record).or(known.map(|known| &known.record))) {
            (Some(room), _) => room.keys(),
            (None, Some(record)) => Keys::of(record, known.and_then(|known| known.call(attach.instance))),
            (None, None) => return cx.refuse_proof(asker, Code::UNKNOWN_ROOM),
        };
        if let Err(code) = admit::attach(cx.now, &self.local.descriptor, nonce, &attach, &keys) {
            if !self.attach_previous(cx, asker, &attach) {
                cx.refuse_proof(asker, code);
            }
            return;
        }
        match room {
            Some(room) if room.instance == attach.instance && room.hub().is_none_or(Hub::has_call) => {
                self.attach(cx, asker, attach);
            }
            Some(room) if room.hub().is_some() => cx.refuse_proof(asker, Code::WRONG_INSTANCE),
            Some(_) | None => {
                if room.is_none() && self.rooms.len() >= self.limits.rooms {
                    return cx.refuse_limit(asker, Limit::Rooms, Code::FULL, "this relay has all the rooms it can serve");
                }
                let record = room.map(|room| &room.record).or(known.map(|known| &known.record));
                let Some(hub) = record.and_then(RoomRecord::hub).map(|hub| hub.relay) else { return };
                let present = Present { capability: attach.capability.clone(), attached: true };
                let purpose = crate::relay::Purpose::Attach(asker, Box::new(attach));
                self.ask_relay(cx, hub, Box::new(conclave_federation::wire::message::Request::Present(present)), purpose);
            }
        }
    }

    /// The proof is good and the room is served: the client is in.
    fn attach(&mut self, cx: &mut Cx<'_>, asker: Asker, attach: Attach) {
        let id = attach.room;
        let Some(Who::Client { rooms, .. }) = self.members.get_mut(&asker.session).map(|member| &mut member.who) else { return };
        rooms.insert(id);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.attached.insert(asker.session);
        room.adopt(attach.capability);
        match &mut room.side {
            Side::Hub(hub) => hub.on_attached(),
            Side::Follower(leaves) => *leaves = None,
        }
        cx.answer(asker, Answer::Done(()));
        self.on_current(cx, id, asker.session);
        self.show_again(cx, id);
        self.follow_directory(cx, id);
    }

    /// The hub's word on a client's attachment to a room that was not served here.
    pub(crate) fn on_hub_word(
        &mut self,
        cx: &mut Cx<'_>,
        session: Option<SessionKey>,
        asker: Asker,
        attach: Attach,
        answer: Answer,
    ) {
        let id = attach.room;
        let Some(link) = session else { return cx.answer(asker, answer) };
        let answer = self.refusal_of_closed(cx, id).map_or(answer, Answer::Refused);
        self.closed.learn(id, cx.now.mono, &answer);
        if answer != Answer::Done(()) {
            cx.answer(asker, answer);
            // Somebody before them was let in, and did not wait for it.
            return self.take_leave(cx, link, id, attach.instance);
        }
        if !self.members.contains_key(&asker.session) {
            // Gone meanwhile; the hub hears it when nobody else is here either.
            return self.take_leave(cx, link, id, attach.instance);
        }
        if self.rooms.get(&id).is_none_or(|room| room.instance != attach.instance) {
            self.clear_room(cx, id);
            let held = self.rooms.remove(&id).map(|room| room.record);
            let known = self.records.find(id);
            let Some(record) = held.or_else(|| known.map(|known| known.record.clone())) else {
                return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
            };
            let mut room = Room::new(record, Side::Follower(None));
            room.instance = attach.instance;
            room.call = known.and_then(|known| known.call(attach.instance)).cloned();
            self.rooms.insert(id, room);
        }
        if let Some(room) = self.rooms.get_mut(&id) {
            room.presented.insert(link, attach.capability.expires);
        }
        self.attach(cx, asker, attach);
    }

    /// A client hands over a fresher capability.
    pub(crate) fn on_renew(&mut self, cx: &mut Cx<'_>, asker: Asker, capability: Capability) {
        let id = capability.room;
        let Some(room) = self.rooms.get_mut(&id).filter(|room| room.attached.contains(&asker.session)) else {
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        };
        if let Err(code) = admit::capability(cx.now, self.id, (id, room.instance), &capability, &room.keys()) {
            return cx.refuse_proof(asker, code);
        }
        room.adopt(capability);
        let hub = if room.hub().is_none() { room.hub_relay() } else { None };
        let mut links: BTreeSet<_> = room.presented.keys().copied().collect();
        // What the hub was shown may have run out before this one came.
        links.extend(hub.and_then(|hub| self.links.session(hub)));
        cx.answer(asker, Answer::Done(()));
        for link in links {
            self.present(cx, id, link);
        }
    }

    /// Another relay shows a capability.
    pub(crate) fn on_present(&mut self, cx: &mut Cx<'_>, asker: Asker, relay: RelayId, present: &Present) {
        let Some(room) = self.rooms.get_mut(&present.capability.room) else {
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        let id = present.capability.room;
        if let Err(code) = admit::capability(cx.now, relay, (id, room.instance), &present.capability, &room.keys()) {
            if !self.present_previous(cx, asker, present) {
                cx.refuse_proof(asker, code);
            }
            return;
        }
        if room.hub().is_some_and(|hub| !hub.has_call()) {
            return cx.refuse_proof(asker, Code::WRONG_INSTANCE);
        }
        let shown = Shown { relay, expires: present.capability.expires, attached: present.attached };
        room.shown.insert(asker.session, shown);
        if present.attached
            && let Some(hub) = room.hub_mut()
        {
            hub.on_attached();
        }
        cx.answer(asker, Answer::Done(()));
        self.on_current(cx, id, asker.session);
    }

    /// A client is in a room no more, by its own word or because its session is over.
    pub(crate) fn detach(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey, explicit: bool) {
        if let Some(Who::Client { rooms, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
            rooms.remove(&id);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let was_reader = room.turn.leave(session);
        if !room.attached.remove(&session) {
            if was_reader {
                self.leave_tracks(cx, id, session);
            }
            return;
        }
        let published: Vec<_> =
            room.tracks.iter().filter(|(_, track)| track.source == Source::Client(session)).map(|(track, _)| *track).collect();
        for track in published {
            self.unpublish(cx, id, track);
        }
        self.leave_tracks(cx, id, session);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let empty = room.attached.is_empty();
        match &mut room.side {
            Side::Hub(hub) if !explicit => hub.on_lost(cx.now.mono),
            Side::Hub(_) => {}
            Side::Follower(_) if !empty => {}
            Side::Follower(_) if explicit => self.leave_room(cx, id),
            Side::Follower(leaves) => *leaves = Some(cx.now.mono + LOST_GRACE),
        }
    }

    /// Another relay has nobody there any more.
    pub(crate) fn on_link_detach(&mut self, cx: &mut Cx<'_>, session: SessionKey, detach: &Detach) {
        let Some(room) = self.rooms.get_mut(&detach.room).filter(|room| room.instance == detach.instance) else { return };
        let was_reader = room.turn.leave(session);
        let Some(shown) = room.shown.remove(&session) else {
            if was_reader {
                self.leave_tracks(cx, detach.room, session);
            }
            return;
        };
        let gone: Vec<_> = room
            .listings
            .iter()
            .filter(|(_, listed)| room.hub().is_some() && listed.listing.relay == shown.relay)
            .map(|(track, _)| *track)
            .collect();
        for track in gone {
            self.unlist(cx, detach.room, track);
        }
        self.leave_tracks(cx, detach.room, session);
    }

    /// A client announces a track.
    pub(crate) fn on_publish(&mut self, cx: &mut Cx<'_>, asker: Asker, publish: &Publish) {
        let limits = (self.limits.tracks_per_session, self.limits.tracks_per_room);
        let id = publish.room;
        let alias = self.draw_alias();
        let Some(Who::Client { published, .. }) = self.members.get_mut(&asker.session).map(|member| &mut member.who) else {
            return;
        };
        let room = self.rooms.get_mut(&id).filter(|room| room.instance == publish.instance);
        let Some(room) = room.filter(|room| room.attached.contains(&asker.session)) else {
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        };
        if publish.track.is_reserved() || !(1..=4).contains(&publish.layers) {
            return cx.refuse(asker, Code::VIOLATION, "a track has an id of 16 or more and one to four layers");
        }
        if room.tracks.contains_key(&publish.track) || room.listings.contains_key(&publish.track) {
            return cx.refuse(asker, Code::EXISTS, "the id of the track is in use: draw another one");
        }
        if *published >= limits.0 {
            return cx.refuse_limit(asker, Limit::TracksPerSession, Code::FULL, "too many tracks: unpublish some first");
        }
        if room.tracks.len() >= limits.1 || room.listings.len() >= limits.1 {
            return cx.refuse_limit(asker, Limit::TracksPerRoom, Code::FULL, "the room has all the tracks it can have");
        }
        *published += 1;
        let mut track = Track::new(alias, publish.class, Source::Client(asker.session));
        track.layers = publish.layers;
        room.tracks.insert(publish.track, track);
        self.aliases.insert(alias, (id, publish.track));
        let retention = Retention::Bounded;
        cx.down.push_back(ToShard::Open { alias, class: publish.class, retention, heard: false });
        cx.down.push_back(ToShard::Bind { session: asker.session, remote: alias, alias });
        cx.answer(asker, Answer::Published(Published { alias }));
        let listing = Listing { track: publish.track, class: publish.class, layers: publish.layers, relay: self.id };
        room.listings.insert(publish.track, Listed { listing, doubt: None });
        if room.hub().is_some() {
            room.say(cx, &Directory::Added(listing));
        } else if let Some(hub) = room.hub_relay()
            && let Some(link) = self.links.session(hub)
        {
            self.announce(cx, id, publish.track, link);
        }
    }

    /// A client ends one of its tracks.
    pub(crate) fn on_unpublish(&mut self, cx: &mut Cx<'_>, session: SessionKey, unpublish: &Unpublish) {
        let room = self.rooms.get(&unpublish.room).filter(|room| room.instance == unpublish.instance);
        let track = room.and_then(|room| room.tracks.get(&unpublish.track));
        if track.is_some_and(|track| track.source == Source::Client(session)) {
            self.unpublish(cx, unpublish.room, unpublish.track);
        }
    }

    fn unpublish(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        self.end_track(cx, id, track);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let instance = room.instance;
        if room.hub().is_some() {
            self.unlist(cx, id, track);
        } else {
            room.listings.remove(&track);
            if let Some(link) = room.hub_relay().and_then(|hub| self.links.session(hub)) {
                cx.notify(link, Notice::Unpublish(Unpublish { room: id, instance, track }));
            }
        }
    }

    /// At the hub: another relay announces a track of one of its clients.
    pub(crate) fn on_listing(&mut self, cx: &mut Cx<'_>, asker: Asker, relay: RelayId, publish: &Publish) {
        let max = self.limits.tracks_per_room;
        let now = cx.now;
        let Some(room) = self.rooms.get_mut(&publish.room).filter(|room| room.instance == publish.instance) else {
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        let shown = room.shown.get(&asker.session);
        if room.hub().is_none() || !shown.is_some_and(|shown| shown.attached && admit::is_alive(now, shown.expires)) {
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        }
        if publish.track.is_reserved() || !(1..=4).contains(&publish.layers) {
            return cx.refuse(asker, Code::VIOLATION, "a track has an id of 16 or more and one to four layers");
        }
        let listing = Listing { track: publish.track, class: publish.class, layers: publish.layers, relay };
        let full = room.listings.len() >= max;
        match room.listings.get_mut(&publish.track) {
            Some(listed) if listed.listing == listing => listed.doubt = None,
            Some(_) => return cx.refuse(asker, Code::EXISTS, "the id of the track is in use: draw another one"),
            None if full => {
                return cx.refuse_limit(asker, Limit::TracksPerRoom, Code::FULL, "the room has all the tracks it can have");
            }
            None => {
                room.listings.insert(publish.track, Listed { listing, doubt: None });
                room.say(cx, &Directory::Added(listing));
            }
        }
        cx.answer(asker, Answer::Done(()));
    }

    /// At the hub: another relay ends a track of one of its clients.
    pub(crate) fn on_unlisted(&mut self, cx: &mut Cx<'_>, relay: RelayId, unpublish: &Unpublish) {
        let room = self.rooms.get(&unpublish.room).filter(|room| room.instance == unpublish.instance && room.hub().is_some());
        if room.and_then(|room| room.listings.get(&unpublish.track)).is_some_and(|listed| listed.listing.relay == relay) {
            self.unlist(cx, unpublish.room, unpublish.track);
        }
    }

    /// At the hub: a track is published no more.
    fn unlist(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if room.listings.remove(&track).is_some() {
            room.say(cx, &Directory::Removed(track));
        }
        self.end_track(cx, id, track);
    }

    /// A payload of a directory that we follow.
    pub(crate) fn on_heard(&mut self, cx: &mut Cx<'_>, alias: Alias, payload: &Bytes) {
        let id = match self.aliases.get(&alias).copied() {
            Some((id, TrackId::LOG)) => return self.on_log_heard(cx, id, payload),
            Some((id, TrackId::DIRECTORY)) => id,
            _ => return,
        };
        let max = self.limits.tracks_per_room;
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let heard = directory::hear(&mut room.listings, cx.now.mono, payload, max);
        // What is published here is known better here.
        let own: Vec<_> = room
            .tracks
            .iter()
            .filter(|(_, track)| matches!(track.source, Source::Client(_)))
            .map(|(track, own)| Listing { track: *track, class: own.class, layers: own.layers, relay: self.id })
            .collect();
        for listing in own {
            room.listings.insert(listing.track, Listed { listing, doubt: None });
        }
        for track in heard.removed {
            let is_own = self
                .rooms
                .get(&id)
                .and_then(|room| room.tracks.get(&track))
                .is_some_and(|track| matches!(track.source, Source::Client(_)));
            if !is_own {
                self.end_track(cx, id, track);
            }
        }
    }

    /// Everything of a room's call but its record is over here.
    pub(crate) fn clear_room(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        for track in room.tracks.keys().copied().collect::<Vec<_>>() {
            self.end_track(cx, id, track);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        for session in std::mem::take(&mut room.attached) {
            if let Some(Who::Client { rooms, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
                rooms.remove(&id);
            }
        }
        room.shown.clear();
        room.presented.clear();
        room.listings.clear();
        room.capability = None;
        room.call = None;
        let readers = std::mem::take(&mut room.turn).into_readers();
        for session in readers {
            if let Some(Who::Client { rooms, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
                rooms.remove(&id);
            }
        }
    }

    /// What has run out in a room.
    pub(crate) fn sweep(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        self.sweep_generation(cx, id);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let now = cx.now;
        let expired: Vec<_> =
            room.shown.iter().filter(|(_, shown)| !admit::is_alive(now, shown.expires)).map(|(session, _)| *session).collect();
        for session in expired {
            self.lose_shown(cx, id, session, true);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let doubted = |listed: &Listed| listed.doubt.is_some_and(|until| until <= now.mono);
        let gone: Vec<_> = room.listings.iter().filter(|(_, listed)| doubted(listed)).map(|(track, _)| *track).collect();
        let is_hub = room.hub().is_some();
        let left = matches!(room.side, Side::Follower(Some(at)) if at <= now.mono);
        for track in gone {
            if is_hub {
                self.unlist(cx, id, track);
            } else {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.listings.remove(&track);
                }
                self.end_track(cx, id, track);
            }
        }
        if is_hub {
            self.sweep_hub(cx, id);
        } else if left {
            self.leave_room(cx, id);
        }
    }

    /// A relay's capability is worth nothing any more, or its link is gone: what it has announced is doubted, what it
    /// wanted is not sent.
    pub(crate) fn lose_shown(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey, tell: bool) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let was_reader = room.turn.leave(session);
        let Some(shown) = room.shown.remove(&session) else {
            if was_reader {
                self.leave_tracks(cx, id, session);
            }
            return;
        };
        if shown.attached
            && let Side::Hub(hub) = &mut room.side
        {
            hub.on_lost(cx.now.mono);
            for listed in room.listings.values_mut().filter(|listed| listed.listing.relay == shown.relay) {
                listed.doubt = listed.doubt.or(Some(cx.now.mono + LOST_GRACE));
            }
        }
        if tell {
            let wanted = room.tracks.values().filter(|track| track.subscribers.contains(&session));
            for alias in wanted.map(|track| track.alias).collect::<Vec<_>>() {
                cx.notify(session, Notice::Ended(alias));
            }
        }
        self.leave_tracks(cx, id, session);
    }

    /// How a track of the room travels, and whence, when it is not here yet.
    pub(crate) fn whereabouts(&self, id: RoomId, track: TrackId) -> Option<(Class, u8, RelayId)> {
        let room = self.rooms.get(&id)?;
        if track.is_reserved() {
            let is_known = matches!(track, TrackId::LOG | TrackId::DIRECTORY | TrackId::REQUESTS);
            return room.hub_relay().filter(|hub| is_known && *hub != self.id).map(|hub| (Class::Reliable, 1, hub));
        }
        let listing = room.listings.get(&track)?.listing;
        (listing.relay != self.id).then_some((listing.class, listing.layers, listing.relay))
    }
}

//! When a room's keys change: whoever shows a proof of the new generation goes on as if nothing had happened, everybody else
//! is cut off a moment later and may only read the log up to the entry that changed them.
//!
//! ```text
//!  record adopted            GENERATION_GRACE              PREVIOUS_LIFE
//!       |   late: goes on, reads no later entry   |   reader: the log up to `last`   |   nothing
//!       +--------- a new proof at any time: as before, the whole log ------------------------------>
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, RoomId, TrackId},
    io::SessionKey,
    proof::Capability,
    record::{RecordError, RoomRecord},
    wire::{
        Wire,
        message::{Answer, Attach, Detach, Entry, Notice, Present, Request, Resolve},
    },
};

use super::{Room, Side};
use crate::{
    admit::{self, Keys},
    between::ToShard,
    limits::{GENERATION_AGAIN, GENERATION_GRACE, PREVIOUS_LIFE},
    relay::{Asker, Cx, Purpose, Relay, Who},
    stats::Kind,
    subscribe::Source,
};

/// The generation before the room's current one.
#[derive(Debug)]
struct Previous {
    keys: Keys,
    /// The entry that ended it; not known yet where only the record was heard of.
    last: Option<u64>,
    /// Its proofs are worth nothing from then on.
    until: Duration,
}

/// Where a room stands between two generations. Empty in one whose keys have never changed here.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    previous: Option<Previous>,
    /// Clients and links that have shown no proof of the new generation yet, and when they are cut off.
    late: BTreeSet<SessionKey>,
    cut: Option<Duration>,
    /// Clients and links that may read the log up to an entry, and nothing else.
    readers: BTreeMap<SessionKey, Option<u64>>,
    /// At a follower: what counted before, when the record that counts now came from a client. The hub's word wins.
    base: Option<Box<Base>>,
}

/// What the hub has said so far.
#[derive(Debug)]
struct Base {
    record: RoomRecord,
    capability: Option<Capability>,
}

impl Turn {
    /// A session wants nothing of the room any more. `true`: it was a reader.
    pub(crate) fn leave(&mut self, session: SessionKey) -> bool {
        self.late.remove(&session);
        self.readers.remove(&session).is_some()
    }

    /// Those who may read the log, when the call is over.
    pub(crate) fn into_readers(self) -> impl Iterator<Item = SessionKey> {
        self.readers.into_keys()
    }

    /// Whether the record that counts came from a client, and the hub has not said the same yet.
    pub(crate) const fn is_in_doubt(&self) -> bool {
        self.base.is_some()
    }

    /// Whether the keys have just changed.
    pub(crate) const fn is_turning(&self) -> bool {
        self.cut.is_some()
    }

    /// Whether the session may read the log, and nothing else.
    pub(crate) fn is_reader(&self, session: SessionKey) -> bool {
        self.readers.contains_key(&session)
    }

    /// The last entry of the log that a session may read.
    pub(crate) fn until(&self, session: SessionKey) -> u64 {
        let last = match self.readers.get(&session) {
            Some(last) => *last,
            None if self.late.contains(&session) => self.previous.as_ref().and_then(|previous| previous.last),
            None => None,
        };
        last.unwrap_or(u64::MAX)
    }

    fn previous(&self, now: Duration) -> Option<&Previous> {
        self.previous.as_ref().filter(|previous| previous.until > now)
    }

    /// It shows a proof of the new generation. `true`: it was limited until now.
    fn back(&mut self, session: SessionKey) -> bool {
        let was_late = self.late.remove(&session);
        self.readers.remove(&session).is_some() || was_late
    }
}

/// Who says that there is a newer record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// The relay that orders the room.
    Hub,
    /// Anybody else: the signature counts, but of two records that exclude each other the hub decides.
    Client,
}

impl Room {
    /// What proofs of the room's call are checked against.
    pub(crate) fn keys(&self) -> Keys {
        Keys::of(&self.record, self.call.as_ref())
    }

    /// What proofs of the generation before are checked against, as long as they are worth anything.
    pub(crate) fn previous_keys(&self, now: Duration) -> Option<Keys> {
        self.turn.previous(now).map(|previous| previous.keys)
    }

    fn log_alias(&self) -> Option<Alias> {
        self.tracks.get(&TrackId::LOG).map(|log| log.alias)
    }

    /// Gives those who are behind the log up to where they may read it.
    fn limit_log(&self, cx: &mut Cx<'_>) {
        let Some(alias) = self.log_alias() else { return };
        for session in self.turn.late.iter().chain(self.turn.readers.keys()).copied() {
            cx.down.push_back(ToShard::Limit { alias, session, until: self.turn.until(session) });
        }
    }
}

impl Relay {
    /// Somebody says that a room here has a newer record.
    ///
    /// # Errors
    /// Why it is not believed.
    pub(crate) fn hear_record(
        &mut self,
        cx: &mut Cx<'_>,
        record: &RoomRecord,
        word: Word,
        last: Option<u64>,
    ) -> Result<(), RecordError> {
        let id = record.room;
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        if word == Word::Hub && room.turn.base.as_ref().is_some_and(|base| base.record == *record) {
            self.take_back(cx, id);
            return Ok(());
        }
        if room.record == *record {
            if word == Word::Hub {
                room.turn.base = None;
            }
            return Ok(());
        }
        let follows = record
            .replaces(&room.record)
            .or_else(|error| match &room.turn.base {
                Some(base) if word == Word::Hub => record.replaces(&base.record),
                _ => Err(error),
            })
            .and_then(|()| if record.hub() == room.record.hub() { Ok(()) } else { Err(RecordError::Discontinuous) })
            .and_then(|()| record.verify(id, cx.now.unix_ms));
        if let Err(error) = follows {
            cx.stats.records_refused += 1;
            return Err(error);
        }
        match word {
            Word::Hub => room.turn.base = None,
            Word::Client if room.turn.base.is_none() => {
                let base = Base { record: room.record.clone(), capability: room.capability.clone() };
                room.turn.base = Some(Box::new(base));
            }
            Word::Client => {}
        }
        self.adopt_record(cx, id, record.clone(), last);
        Ok(())
    }

    /// The hub knows nothing of the record that a client gave: what counted before counts again.
    fn take_back(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let Some(base) = room.turn.base.take() else { return };
        cx.stats.records_refused += 1;
        let had_it = std::mem::take(&mut room.turn.late);
        if base.record.generation != room.record.generation {
            // Who has shown nothing but a proof of the record that is taken back is the one who is late now.
            room.turn.late = room.attached.iter().chain(room.shown.keys()).filter(|one| !had_it.contains(one)).copied().collect();
            room.turn.cut = Some(cx.now.mono + GENERATION_GRACE);
            room.turn.previous = None;
            room.capability = base.capability;
            self.turns.insert((cx.now.mono + GENERATION_AGAIN, id));
        }
        room.record = base.record;
    }

    /// A client's word counts at once, and the hub is asked for its own.
    pub(crate) fn confirm_record(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id).filter(|room| room.turn.is_in_doubt()) else { return };
        let Some(link) = room.hub_relay().and_then(|hub| self.links.session(hub)) else { return };
        let resolve = Resolve { via: None, room: id };
        self.ask(cx, link, Box::new(Request::Resolve(resolve)), Purpose::Confirm);
    }

    /// A record takes the place of the room's; it was checked. `last` is the entry that it came with.
    pub(crate) fn adopt_record(&mut self, cx: &mut Cx<'_>, id: RoomId, record: RoomRecord, last: Option<u64>) {
        let Some(room) = self.rooms.get(&id) else { return };
        if record.generation == room.record.generation && record.access == room.record.access {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.record = record;
            }
            return;
        }
        if room.turn.cut.is_some() {
            // Who was late for the change before is two behind now.
            self.cut_late(cx, id);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if record.generation > room.record.generation {
            room.turn.previous = Some(Previous { keys: room.keys(), last, until: cx.now.mono + PREVIOUS_LIFE });
        }
        room.record = record;
        // What was handed over was of the old keys; those to whom it was shown are shown the next one.
        room.capability = None;
        for expires in room.presented.values_mut() {
            *expires = 0;
        }
        room.turn.late = room.attached.iter().chain(room.shown.keys()).copied().collect();
        room.turn.cut = Some(cx.now.mono + GENERATION_GRACE);
        room.limit_log(cx);
        cx.stats.generations += 1;
        self.turns.insert((cx.now.mono + GENERATION_AGAIN, id));
        tracing::info!(room = id.short(), generation = self.rooms.get(&id).map(|room| room.record.generation.0), "new keys");
    }

    /// The hub tells the relays of a room that there is a newer record.
    pub(crate) fn tell_record(&self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        for link in room.shown.keys() {
            cx.notify(*link, Notice::Record(Box::new(room.record.clone())));
        }
    }

    /// Another relay says that a room has a newer record: believed of the room's hub.
    pub(crate) fn on_record_notice(&mut self, cx: &mut Cx<'_>, session: SessionKey, record: &RoomRecord) {
        if self.is_hub_link(record.room, session) {
            // Counted there; an older one may have been overtaken by the log, and nobody waits for an answer.
            let _ = self.hear_record(cx, record, Word::Hub, None);
        } else if self.rooms.contains_key(&record.room) {
            cx.stats.records_refused += 1;
        }
    }

    /// An entry of a log that we follow: it may bring a record, and says where the generation before it ends.
    pub(crate) fn on_log_heard(&mut self, cx: &mut Cx<'_>, id: RoomId, payload: &Bytes) {
        let Ok(entry) = Entry::decode(payload) else { return };
        let Some(record) = entry.record.filter(|record| entry.header.begins_generation() && record.room == id) else { return };
        let last = entry.header.seq;
        let Some(room) = self.rooms.get_mut(&id).filter(|room| room.instance == entry.header.instance) else { return };
        if room.record == record {
            room.turn.base = None;
            if let Some(previous) = &mut room.turn.previous
                && previous.last.is_none()
            {
                previous.last = Some(last);
                for reader in room.turn.readers.values_mut() {
                    reader.get_or_insert(last);
                }
                room.limit_log(cx);
            }
        } else if record.seq > room.record.seq || room.turn.is_in_doubt() {
            // Older ones pass by when a log is read from its beginning; one that is not believed is counted.
            let _ = self.hear_record(cx, &record, Word::Hub, Some(last));
        }
    }

    /// A client shows a proof of the generation before: it may read what ended it. `true` when that is what it got.
    pub(crate) fn attach_previous(&mut self, cx: &mut Cx<'_>, asker: Asker, attach: &Attach) -> bool {
        let Some(Who::Client { nonce, .. }) = self.members.get(&asker.session).map(|member| &member.who) else { return false };
        let Some(room) = self.rooms.get(&attach.room).filter(|room| room.instance == attach.instance) else { return false };
        let Some(keys) = room.previous_keys(cx.now.mono) else { return false };
        if admit::attach(cx.now, &self.local.descriptor, nonce, attach, &keys).is_err() {
            return false;
        }
        self.make_reader(cx, attach.room, asker.session);
        if let Some(Who::Client { rooms, .. }) = self.members.get_mut(&asker.session).map(|member| &mut member.who) {
            rooms.insert(attach.room);
        }
        cx.answer(asker, Answer::Done(()));
        true
    }

    /// The same of another relay and its capability.
    pub(crate) fn present_previous(&mut self, cx: &mut Cx<'_>, asker: Asker, present: &Present) -> bool {
        let id = present.capability.room;
        let Some(relay) = self.members.get(&asker.session).and_then(crate::relay::Member::link) else { return false };
        let Some(room) = self.rooms.get(&id) else { return false };
        let Some(keys) = room.previous_keys(cx.now.mono) else { return false };
        if admit::capability(cx.now, relay, (id, room.instance), &present.capability, &keys).is_err() {
            return false;
        }
        self.make_reader(cx, id, asker.session);
        cx.answer(asker, Answer::Done(()));
        true
    }

    /// Unless the session has more than that already. It may have been one generation further behind.
    fn make_reader(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let last = room.turn.previous.as_ref().and_then(|previous| previous.last);
        if !room.attached.contains(&session) && !room.shown.contains_key(&session) {
            room.turn.readers.insert(session, last);
            if let Some(alias) = room.log_alias() {
                cx.down.push_back(ToShard::Limit { alias, session, until: room.turn.until(session) });
            }
        }
    }

    /// A session has shown a proof of the current generation: nothing is kept from it any more.
    pub(crate) fn on_current(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if room.turn.back(session)
            && let Some(alias) = room.log_alias()
        {
            cx.down.push_back(ToShard::Limit { alias, session, until: u64::MAX });
        }
    }

    /// There may be a capability of the new generation: it is shown where the old one was.
    pub(crate) fn show_again(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        let mut links: BTreeSet<_> = room.presented.iter().filter(|(_, expires)| **expires == 0).map(|(link, _)| *link).collect();
        if room.hub().is_none() && room.turn.previous.is_some() {
            links.extend(room.hub_relay().and_then(|hub| self.links.session(hub)));
        }
        for link in links {
            self.present(cx, id, link);
        }
    }

    /// The time has come to look at a room between two generations, or at one whose call was ended.
    pub(crate) fn on_turn(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        self.end_ended(cx, id);
        let Some(cut) = self.rooms.get(&id).and_then(|room| room.turn.cut) else { return };
        if cut <= cx.now.mono {
            return self.cut_late(cx, id);
        }
        self.show_again(cx, id);
        self.turns.insert(((cx.now.mono + GENERATION_AGAIN).min(cut), id));
    }

    /// Everybody who is late gets nothing any more but the end of the log that was theirs.
    fn cut_late(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.turn.cut = None;
        let last = room.turn.previous.as_ref().and_then(|previous| previous.last);
        for session in std::mem::take(&mut room.turn.late) {
            self.cut(cx, id, session, last);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let until = room.turn.previous.as_ref().map(|previous| previous.until);
        let is_empty = room.attached.is_empty() && room.shown.is_empty();
        match &mut room.side {
            // They may only be slow: nobody begins another call meanwhile.
            Side::Hub(hub) if is_empty => hub.on_lost(cx.now.mono),
            // Their end of the log comes through us.
            Side::Follower(leaves) if room.attached.is_empty() => *leaves = leaves.or(until),
            Side::Hub(_) | Side::Follower(_) => {}
        }
    }

    fn cut(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey, last: Option<u64>) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let was_attached = room.attached.remove(&session);
        let shown = room.shown.remove(&session);
        if !was_attached && shown.is_none() {
            return;
        }
        room.turn.readers.insert(session, last);
        let instance = room.instance;
        let of_them = |source: &Source| matches!(source, Source::Client(publisher) if *publisher == session);
        let mut theirs: Vec<_> =
            room.tracks.iter().filter(|(_, track)| of_them(&track.source)).map(|(track, _)| *track).collect();
        if let Some(shown) = shown.filter(|_| room.hub().is_some()) {
            let listed = room.listings.iter().filter(|(_, listed)| listed.listing.relay == shown.relay);
            theirs.extend(listed.map(|(track, _)| *track));
        }
        for track in theirs {
            self.unpublish(cx, id, track);
        }
        let Some(room) = self.rooms.get(&id) else { return };
        let wanted: Vec<_> = room
            .tracks
            .iter()
            .filter(|(track, known)| **track != TrackId::LOG && known.subscribers.contains(&session))
            .map(|(track, known)| (*track, known.alias))
            .collect();
        for (track, alias) in wanted {
            cx.notify(session, Notice::Ended(alias));
            self.unsubscribe(cx, id, track, session);
        }
        if was_attached {
            cx.stats.cut.add(Kind::Client, 1);
            // What they had is gone, and only a new proof gives it back.
            cx.notify(session, Notice::Detach(Detach { room: id, instance }));
        } else {
            cx.stats.cut.add(Kind::Link, 1);
        }
    }

    /// Proofs of the generation before are worth nothing any more.
    pub(crate) fn sweep_generation(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if room.turn.previous.as_ref().is_none_or(|previous| previous.until > cx.now.mono) {
            return;
        }
        room.turn.previous = None;
        let Some(alias) = room.log_alias() else { return room.turn.readers.clear() };
        for session in std::mem::take(&mut room.turn.readers).into_keys() {
            cx.notify(session, Notice::Ended(alias));
            self.leave_tracks(cx, id, session);
            if let Some(Who::Client { rooms, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
                rooms.remove(&id);
            }
        }
    }
}

//! The relay that orders a room's log: one write at a time, nothing said before it is durable.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Instance, RoomId, TrackId},
    io::SessionKey,
    limits::{JOIN_DEADLINE, MAX_LOG_BYTES},
    log::{Log, Position},
    proof::Label,
    record::RoomRecord,
    track::Class,
    wire::{
        Blob, Wire,
        code::Code,
        message::{Admitted, Answer, Append, Entry, EntryHeader, EntryKind, HubHead, Join, Refusal, Resolved},
        object::{Knock, ObjectHeader},
    },
};

use super::{
    Job, Room, Side,
    directory::{Listings, Writer},
    fairness::{self, Branch, Crowded, Next, Turn, Turns},
    joins::{Asked, Mailbox, Place},
};
use crate::{
    admit::{self, Bucket},
    between::ToShard,
    limits::{HOLD_REACH, LOG_LIFE, LOST_GRACE, LOST_PAUSE, LOST_PAUSE_OF_LINK, STORE_PAUSE},
    node::{Restored, StoreFailed, StoredEntry, Write},
    relay::{Asker, Cx, Relay},
    stats::Limit,
    subscribe::{Source, Track},
    window::Retention,
};

/// The tracks of one call that begin here.
#[derive(Debug)]
struct Tracks {
    log: Alias,
    requests: Alias,
    requests_group: u64,
    directory: Writer,
}

/// What the store is writing.
#[derive(Debug)]
enum Writing {
    Append(Turn, Box<Entry>),
    Record(Asker, Box<RoomRecord>),
}

/// The hub's side of a room.
#[derive(Debug)]
pub(crate) struct Hub {
    log: Option<Log>,
    /// Group id of the current call.
    group: Bytes,
    last: Option<HubHead>,
    tracks: Option<Tracks>,
    mailbox: Mailbox,
    writing: Option<Writing>,
    /// Entries that wait for their turn.
    turns: Turns,
    /// Records that wait for the store.
    records: VecDeque<(Asker, Box<RoomRecord>)>,
    pub(crate) stamps: Bucket,
    /// The store failed: no entries until then.
    paused: Option<(Duration, String)>,
    /// A call that has just begun, or somebody who was lost and may come back: occupied until then.
    begun: Option<Duration>,
    /// A host ended the call: it is over here then.
    pub(super) ending: Option<Duration>,
    lost: Option<Duration>,
    empty: Option<Duration>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            log: None,
            group: Bytes::new(),
            last: None,
            tracks: None,
            mailbox: Mailbox::default(),
            writing: None,
            turns: Turns::new(),
            records: VecDeque::new(),
            stamps: Bucket::new(),
            paused: None,
            begun: None,
            ending: None,
            lost: None,
            empty: None,
        }
    }

    /// Whether there is a call to attach to.
    pub(crate) fn has_call(&self) -> bool {
        self.log.as_ref().is_some_and(|log| !log.is_ended())
    }

    /// Somebody attached: from now on they hold the room, not the clock.
    pub(crate) const fn on_attached(&mut self) {
        self.begun = None;
        self.empty = None;
    }

    /// Somebody was lost and may come back.
    pub(crate) fn on_lost(&mut self, now: Duration) {
        self.lost = Some(now + LOST_GRACE);
    }

    /// Where changes of the directory are said.
    pub(crate) fn directory(&mut self) -> Option<&mut Writer> {
        self.tracks.as_mut().map(|tracks| &mut tracks.directory)
    }

    /// Join requests.
    pub(super) fn mailbox(&mut self) -> &mut Mailbox {
        &mut self.mailbox
    }

    /// Whether a host's word from there is worth the work of checking it.
    pub(super) fn may_check_word(&mut self, now: Duration, source: SessionKey) -> bool {
        self.turns.may_check(now, source)
    }

    /// Where a join request stands on the requests track.
    pub(super) fn place_of_request(&self, object: u64) -> Option<Place> {
        self.tracks.as_ref().map(|tracks| Place { alias: tracks.requests, group: tracks.requests_group, object })
    }

    fn is_held(&self, now: Duration) -> bool {
        [self.begun, self.lost].into_iter().flatten().any(|until| until > now)
    }
}

impl Room {
    /// Whether anybody is in the room's call, anywhere.
    fn is_occupied(&self, cx: &Cx<'_>) -> bool {
        if self.hub().is_some_and(|hub| hub.log.as_ref().is_some_and(Log::is_ended)) {
            return false;
        }
        !self.attached.is_empty()
            || self.shown.values().any(|shown| shown.attached && admit::is_alive(cx.now, shown.expires))
            || self.hub().is_some_and(|hub| hub.is_held(cx.now.mono))
    }
}

impl Relay {
    /// What is known of a room ordered here.
    pub(crate) fn resolved(&self, cx: &Cx<'_>, room: RoomId) -> Option<Answer> {
        let room = self.rooms.get(&room)?;
        let hub = room.hub()?;
        let position = hub.log.as_ref().map_or(Position::START, Log::position);
        Some(Answer::Resolved(Box::new(Resolved {
            record: room.record.clone(),
            instance: room.instance,
            occupied: room.is_occupied(cx),
            group: Blob::new(hub.group.clone()).unwrap_or_default(),
            seq: position.seq,
            head: position.head,
            call: room.call.clone(),
        })))
    }

    /// A room as the store remembers it. Logs of older calls are forgotten.
    pub(crate) fn restore(&mut self, cx: &mut Cx<'_>, restored: Restored) {
        let id = restored.record.room;
        if restored.record.hub().is_none_or(|hub| hub.relay != self.id) || self.rooms.contains_key(&id) {
            return;
        }
        self.rooms.insert(id, Room::new(restored.record, Side::Hub(Box::new(Hub::new()))));
        let mut logs = restored.logs;
        logs.sort_by_key(|log| log.instance);
        let current = logs.pop();
        for old in logs {
            self.store(Write::Forget { room: id, instance: old.instance }, Job::Forgotten);
        }
        let Some(current) = current else { return };
        let mut position = Position::START;
        let mut bytes = 0_u64;
        let mut entries = Vec::new();
        let call = current.entries.first().and_then(|genesis| genesis.call.clone());
        for stored in current.entries {
            let Ok(next) = position.advance(&stored.entry.header) else { break };
            position = next;
            bytes = bytes.saturating_add(entry_size(&stored.entry, stored.welcome.len())).min(MAX_LOG_BYTES);
            entries.push(stored.entry);
        }
        let Some(genesis) = entries.first() else {
            // Its log is gone, its number is not given again.
            if let Some(room) = self.rooms.get_mut(&id) {
                room.instance = current.instance;
            }
            return;
        };
        let group = genesis.commit.bytes().clone();
        let last = entries.last().map(|entry| entry.head.clone());
        let ended = entries.last().is_some_and(|entry| entry.header.kind == EntryKind::End);
        self.begin_call(cx, id, current.instance);
        if let Some(room) = self.rooms.get_mut(&id) {
            room.call = call.filter(|call| call.verify(current.instance, &room.record));
        }
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        hub.log = Some(Log::restored(id, current.instance, position, bytes, ended));
        hub.group = group;
        hub.last = last;
        if !ended {
            // Who was in the call is on the way back. Until they have had their time nobody begins another over their heads:
            // any holder of the link could.
            hub.on_lost(cx.now.mono);
        }
        if let Some(tracks) = &hub.tracks {
            for entry in entries {
                publish_entry(cx, tracks.log, &entry);
            }
        }
    }

    /// The three tracks of a new call; all that was of the one before is over.
    fn begin_call(&mut self, cx: &mut Cx<'_>, id: RoomId, instance: Instance) {
        self.end_call(cx, id);
        let (log, directory, requests) = (self.draw_alias(), self.draw_alias(), self.draw_alias());
        for (alias, track, retention) in [
            (log, TrackId::LOG, Retention::Whole),
            (directory, TrackId::DIRECTORY, Retention::CurrentGroup),
            (requests, TrackId::REQUESTS, Retention::Aged(JOIN_DEADLINE)),
        ] {
            self.aliases.insert(alias, (id, track));
            cx.down.push_back(ToShard::Open { alias, class: Class::Reliable, retention, heard: false });
            if let Some(room) = self.rooms.get_mut(&id) {
                room.tracks.insert(track, Track::new(alias, Class::Reliable, Source::Here));
            }
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.instance = instance;
        let mut directory = Writer::new(directory, cx.now.unix_ms);
        if cx.now.unix_ms > 0 {
            directory.snapshot(cx, &Listings::new());
        }
        if let Some(hub) = room.hub_mut() {
            hub.tracks = Some(Tracks { log, requests, requests_group: cx.now.unix_ms.min(1 << 60), directory });
        }
    }

    /// Ends a call: its tracks, its attachments, its open requests.
    pub(crate) fn end_call(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        self.clear_room(cx, id);
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        hub.log = None;
        hub.group = Bytes::new();
        hub.last = None;
        hub.tracks = None;
        (hub.begun, hub.lost, hub.empty, hub.ending) = (None, None, None, None);
        self.refuse_joins(cx, id);
    }

    /// Nobody will answer the open join requests of a call any more.
    pub(super) fn refuse_joins(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        for asker in hub.mailbox.drain() {
            self.release_join(asker.session);
            cx.refuse_proof(asker, Code::WRONG_INSTANCE);
        }
    }

    /// An entry is offered to a log ordered here.
    pub(crate) fn offer(&mut self, cx: &mut Cx<'_>, asker: Asker, append: Box<Append>) {
        let is_genesis = append.header.kind == EntryKind::Genesis;
        let Some(room) = self.rooms.get_mut(&append.header.room) else {
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        let member = self.members.get(&asker.session);
        let allowed = match member.and_then(crate::relay::Member::link) {
            Some(_) => room.shown.get(&asker.session).is_some_and(|shown| admit::is_alive(cx.now, shown.expires)),
            None => room.attached.contains(&asker.session),
        };
        if !allowed && !is_genesis {
            cx.stats.appends.refused += 1;
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        }
        let record = room.record.clone();
        let is_stale = is_stale(cx, room, &append.header);
        let Some(hub) = room.hub_mut() else { return cx.refuse_proof(asker, Code::UNKNOWN_ROOM) };
        // The same entry once more: its answer was lost on the way.
        if let Some(last) = &hub.last
            && (last.instance, last.seq) == (append.header.instance, append.header.seq)
            && last.head == append.header.head()
        {
            return cx.answer(asker, Answer::Appended(last.clone()));
        }
        let branch = match &append.reserve {
            Some(word) if hub.turns.may_check(cx.now.mono, asker.session) => {
                if !word.verify(Label::Reserve, &append.header.encode(), &record, cx.now.unix_ms) {
                    cx.stats.reserves.invalid += 1;
                    cx.stats.appends.invalid += 1;
                    return cx.refuse(
                        asker,
                        Code::BAD_PROOF,
                        "the word is not that of a host of this room: ask for the current link",
                    );
                }
                cx.stats.reserves.valid += 1;
                Some(fairness::branch(word, &record))
            }
            _ => None,
        };
        let (id, header) = (append.header.room, &append.header);
        if is_stale && hub.writing.is_none() && hub.turns.is_empty() {
            // Plain to see: it costs nobody a turn.
            let near = hub.log.as_ref().is_some_and(|log| header.seq.abs_diff(log.position().seq) <= HOLD_REACH);
            return self.refuse_conflict(cx, id, asker, branch.filter(|_| near));
        }
        let turn = Turn { asker, append, branch };
        match hub.turns.offer(cx.now.mono, &self.limits, turn) {
            Ok(None) => {}
            Ok(Some(gives_way)) => {
                cx.stats.appends.rate += 1;
                cx.refuse_limit(
                    gives_way.asker,
                    Limit::WaitingAppends,
                    Code::RATE,
                    "too many entries of yours wait: wait a second",
                );
            }
            Err(Crowded::Lane) => {
                cx.stats.appends.rate += 1;
                return cx.refuse_limit(asker, Limit::RoomCommits, Code::RATE, "too many entries for this room: wait a second");
            }
            Err(Crowded::Room) => {
                cx.stats.appends.refused += 1;
                return cx.refuse_limit(
                    asker,
                    Limit::WaitingAppends,
                    Code::FULL,
                    "the room's log has too much to write: try again",
                );
            }
            Err(Crowded::Held) => return Self::refuse_held(cx, asker),
        }
        self.write_next(cx, id);
    }

    fn refuse_held(cx: &mut Cx<'_>, asker: Asker) {
        cx.stats.reserves.refused += 1;
        cx.stats.appends.rate += 1;
        cx.refuse(asker, Code::RATE, "a host is changing the room: try again in two seconds");
    }

    /// Another entry was first.
    fn refuse_conflict(&mut self, cx: &mut Cx<'_>, id: RoomId, asker: Asker, branch: Option<Branch>) {
        cx.stats.appends.conflict += 1;
        cx.refuse(asker, Code::CONFLICT, "another entry was first: read the log and try again");
        let link = self.members.get(&asker.session).and_then(crate::relay::Member::link);
        let pause = if link.is_some() { LOST_PAUSE_OF_LINK } else { LOST_PAUSE };
        if let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut)
            && hub.turns.on_conflict(cx.now.mono, asker.session, branch, pause)
        {
            cx.stats.reserves.held += 1;
            tracing::debug!(room = id.short(), "head held for a host");
        }
    }

    /// A newer record is offered for a room ordered here.
    pub(crate) fn offer_record(&mut self, cx: &mut Cx<'_>, asker: Asker, record: RoomRecord) {
        let id = record.room;
        let max = self.limits.waiting_appends;
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else {
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        if hub.records.len() >= max {
            return cx.refuse_limit(asker, Limit::WaitingAppends, Code::FULL, "too many ask for the same: try again");
        }
        hub.records.push_back((asker, Box::new(record)));
        self.write_next(cx, id);
    }

    /// Gives the store the next piece of work that is still right, unless it is busy with this room.
    pub(crate) fn write_next(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        loop {
            let limits = &self.limits;
            let Some(room) = self.rooms.get_mut(&id) else { return };
            let generation = room.record.generation;
            let Some(hub) = room.hub_mut() else { return };
            if hub.writing.is_some() {
                return;
            }
            let paused = hub.paused.as_ref().filter(|(until, _)| *until > cx.now.mono).map(|(_, words)| words.clone());
            if paused.is_none() {
                hub.paused = None;
            }
            if let Some((asker, record)) = hub.records.pop_front() {
                match paused {
                    Some(words) => Self::refuse_unkept(cx, asker, &words),
                    None => self.write_record(cx, id, asker, record),
                }
                continue;
            }
            let place = hub.log.as_ref().filter(|log| !log.is_ended()).map(|log| (log.instance(), log.position()));
            let is_stale = |append: &Append| {
                let header = &append.header;
                let place = place.filter(|_| header.kind != EntryKind::Genesis && header.generation == generation);
                place.is_some_and(|(instance, position)| instance == header.instance && position.advance(header).is_err())
            };
            match (hub.turns.next(cx.now.mono, limits, is_stale), paused) {
                (Next::Entry(turn) | Next::Refuse(turn) | Next::Stale(turn), Some(words)) => {
                    Self::refuse_unkept(cx, turn.asker, &words)
                }
                (Next::Entry(turn), None) => self.write_append(cx, id, turn),
                (Next::Refuse(turn), None) => Self::refuse_held(cx, turn.asker),
                (Next::Stale(turn), None) => self.refuse_conflict(cx, id, turn.asker, None),
                (Next::Wait(at), _) => {
                    self.paces.insert(id, at);
                    return;
                }
                (Next::Idle, _) => return,
            }
        }
    }

    fn refuse_unkept(cx: &mut Cx<'_>, asker: Asker, words: &str) {
        cx.stats.appends.store += 1;
        cx.refuse(asker, Code::STORE, words);
    }

    fn write_append(&mut self, cx: &mut Cx<'_>, id: RoomId, turn: Turn) {
        let Turn { asker, ref append, branch } = turn;
        let Some(room) = self.rooms.get(&id) else { return };
        let full = usize::try_from(cx.stats.retained).unwrap_or(usize::MAX) > self.limits.retained_total;
        if let Err(code) = check(cx, room, append).and(if full { Err(Code::FULL) } else { Ok(()) }) {
            match code {
                Code::CONFLICT => return self.refuse_conflict(cx, id, asker, branch),
                Code::FULL => {
                    cx.stats.appends.refused += 1;
                    cx.stats.hit(Limit::Log);
                }
                _ => cx.stats.appends.invalid += 1,
            }
            let words = match code {
                Code::FULL => "the log of this call is full: leave and begin a new call",
                code => admit::words(code),
            };
            return cx.refuse(asker, code, words);
        }
        let header = append.header.clone();
        let head = HubHead::sign(&self.local.key, &header, cx.now.unix_ms);
        let (instance, seq) = (header.instance, header.seq);
        let entry = Entry {
            header,
            commit: append.commit.clone(),
            epoch_box: append.epoch_box.clone(),
            record: append.record.clone(),
            head,
        };
        let welcome = append.welcome.bytes().clone();
        let stored = StoredEntry { entry: entry.clone(), welcome, call: append.call.clone() };
        if let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) {
            hub.writing = Some(Writing::Append(turn, Box::new(entry)));
        }
        self.store(Write::Append { room: id, instance, seq, entry: stored }, Job::Room(id));
    }

    fn write_record(&mut self, cx: &mut Cx<'_>, id: RoomId, asker: Asker, record: Box<RoomRecord>) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        if room.record == *record {
            return cx.answer(asker, Answer::Done(()));
        }
        if let Err(error) = record.replaces(&room.record) {
            cx.stats.records_refused += 1;
            return cx.refuse(asker, Code::BAD_RECORD, &error.to_string());
        }
        if record.generation != room.record.generation && room.is_occupied(cx) {
            cx.stats.records_refused += 1;
            let words = "the keys of a room change with an entry of its log while a call is on: append that";
            return cx.refuse(asker, Code::BAD_RECORD, words);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let write = Write::Record(RoomRecord::clone(&record));
        if let Some(hub) = room.hub_mut() {
            hub.writing = Some(Writing::Record(asker, record));
        }
        self.store(write, Job::Room(id));
    }

    /// What the store was writing for a room is durable, or was not written.
    pub(crate) fn on_written(&mut self, cx: &mut Cx<'_>, id: RoomId, result: Result<(), StoreFailed>) {
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        let writing = hub.writing.take();
        if let Some(refusal) = self.refusal_of_closed(cx, id) {
            return self.on_written_in_closed(cx, id, writing, refusal, result.is_ok());
        }
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        match (writing, result) {
            (None, _) => {}
            (Some(Writing::Append(turn, entry)), Ok(())) => self.on_durable(cx, id, &turn, &entry),
            (Some(Writing::Record(asker, record)), Ok(())) => {
                // Nobody is in: who was may read the log as it is.
                let last = self.rooms.get(&id).and_then(Room::hub).and_then(|hub| hub.log.as_ref());
                let last = last.map(|log| log.position().seq.saturating_sub(1));
                self.adopt_record(cx, id, *record, last);
                self.tell_record(cx, id);
                cx.answer(asker, Answer::Done(()));
            }
            (Some(Writing::Append(Turn { asker, .. }, _) | Writing::Record(asker, _)), Err(failed)) => {
                let words = format!("the hub could not keep this: {}", failed.words);
                hub.paused = Some((cx.now.mono + STORE_PAUSE, words.clone()));
                cx.stats.appends.store += 1;
                cx.refuse(asker, Code::STORE, &words);
            }
        }
        self.write_next(cx, id);
    }

    /// The room was closed meanwhile. A record is kept all the same, for when it is reopened.
    fn on_written_in_closed(
        &mut self,
        cx: &mut Cx<'_>,
        id: RoomId,
        writing: Option<Writing>,
        refusal: Refusal,
        is_durable: bool,
    ) {
        let asker = match writing {
            None => return,
            Some(Writing::Append(Turn { asker, append, .. }, _)) => {
                if is_durable {
                    self.drop_written(id, append.header.kind, append.header.instance);
                    if let (Some(room), Some(record)) = (self.rooms.get_mut(&id), append.record) {
                        room.record = record;
                    }
                }
                asker
            }
            Some(Writing::Record(asker, record)) => {
                if is_durable && let Some(room) = self.rooms.get_mut(&id) {
                    room.record = *record;
                }
                asker
            }
        };
        cx.answer(asker, Answer::Refused(refusal));
    }

    /// What waits for its turn at the store in a room that was closed.
    pub(crate) fn refuse_waiting(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(refusal) = self.refusal_of_closed(cx, id) else { return };
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        let entries = hub.turns.drain().into_iter().map(|turn| turn.asker);
        for asker in std::mem::take(&mut hub.records).into_iter().map(|(asker, _)| asker).chain(entries) {
            cx.answer(asker, Answer::Refused(refusal.clone()));
        }
    }

    fn on_durable(&mut self, cx: &mut Cx<'_>, id: RoomId, turn: &Turn, entry: &Entry) {
        let Turn { asker, append, branch } = turn;
        let asker = *asker;
        let header = &append.header;
        if header.kind == EntryKind::Genesis {
            let Some(room) = self.rooms.get(&id) else { return };
            let old = room.instance;
            let had_log = room.hub().is_some_and(|hub| hub.log.is_some());
            self.begin_call(cx, id, header.instance);
            if had_log {
                self.store(Write::Forget { room: id, instance: old }, Job::Forgotten);
            }
            if let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) {
                hub.log = Some(Log::new(id, header.instance));
                hub.group = append.commit.bytes().clone();
                hub.begun = Some(cx.now.mono + LOST_GRACE);
            }
            if let Some(room) = self.rooms.get_mut(&id) {
                room.call.clone_from(&append.call);
            }
        }
        let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) else { return };
        let Some(log) = &mut hub.log else { return };
        if log.advance(append).is_err() {
            // The turn was checked before the write and nothing else moves a log.
            return cx.refuse(asker, Code::CONFLICT, "another entry was first: read the log and try again");
        }
        hub.last = Some(entry.head.clone());
        hub.turns.on_accepted(cx.now.mono, asker.session, *branch);
        cx.stats.appends.accepted += 1;
        cx.answer(asker, Answer::Appended(entry.head.clone()));
        let Some(tracks) = &hub.tracks else { return };
        publish_entry(cx, tracks.log, entry);
        let (requests, group) = (tracks.requests, tracks.requests_group);
        let admitted = Admitted {
            header: header.clone(),
            epoch_box: append.epoch_box.clone(),
            welcome: append.welcome.clone(),
            head: entry.head.clone(),
        };
        let served: Vec<_> = header.served.iter().filter_map(|join| hub.mailbox.serve(*join, &admitted)).collect();
        for (asker, place) in served {
            cx.stats.joins.served += 1;
            cx.down.push_back(ToShard::Forget { alias: requests, group, object: place });
            if let Some(asker) = asker {
                self.release_join(asker.session);
                cx.answer(asker, Answer::Admitted(Box::new(admitted.clone())));
            }
        }
        if let Some(record) = &append.record {
            self.adopt_record(cx, id, record.clone(), Some(header.seq));
            self.tell_record(cx, id);
        }
        if header.kind == EntryKind::End {
            self.on_ended_by_host(cx, id);
        }
    }

    /// Somebody asks to be let in to a room ordered here.
    pub(crate) fn ask_in(&mut self, cx: &mut Cx<'_>, asker: Asker, join: &Join) {
        let id = self.id;
        let Some(room) = self.rooms.get_mut(&join.room) else {
            cx.stats.joins.refused += 1;
            self.release_join(asker.session);
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        let checked = admit::join(cx.now, id, join, &room.record);
        let instance = room.instance;
        let is_retired = join.generation != room.record.generation;
        let Some(hub) = room.hub_mut() else {
            self.release_join(asker.session);
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        let checked = if join.instance == instance && hub.log.is_some() { checked } else { Err(Code::WRONG_INSTANCE) };
        if let Err(code) = checked {
            cx.stats.joins.refused += 1;
            self.release_join(asker.session);
            return cx.refuse_proof(asker, code);
        }
        let Some(tracks) = &hub.tracks else { return };
        match hub.mailbox.ask(cx.now.mono, join, is_retired, asker) {
            Asked::New(place, gives_way) => {
                cx.stats.joins.asked += 1;
                let knock = Knock { id: join.id, generation: join.generation, body: join.body.clone() };
                let (alias, group) = (tracks.requests, tracks.requests_group);
                let header = ObjectHeader { alias, group, object: place, layer: 0, flags: 0, priority: 0 };
                cx.down.push_back(ToShard::Originate { alias, header, payload: knock.encode() });
                if let Some((joiner, object)) = gives_way {
                    cx.stats.joins.crowded += 1;
                    cx.down.push_back(ToShard::Forget { alias, group, object });
                    self.release_join(joiner.session);
                    let words = "too many people ask to be let in from where you are: try again in a minute";
                    cx.refuse_limit(joiner, Limit::PendingJoins, Code::FULL, words);
                }
            }
            Asked::Resumed(earlier) => {
                cx.stats.joins.resumed += 1;
                if let Some(earlier) = earlier.filter(|earlier| *earlier != asker) {
                    self.release_join(earlier.session);
                    cx.refuse(earlier, Code::EXISTS, "the same request was made again from elsewhere");
                }
            }
            Asked::Served(admitted) => {
                cx.stats.joins.resumed += 1;
                self.release_join(asker.session);
                cx.answer(asker, Answer::Admitted(admitted));
            }
            Asked::Taken => {
                cx.stats.joins.refused += 1;
                self.release_join(asker.session);
                cx.refuse(asker, Code::EXISTS, "the id of the request is in use: draw another one");
            }
            Asked::Declined(note) => {
                cx.stats.joins.resumed += 1;
                self.release_join(asker.session);
                cx.answer(asker, Answer::Declined(note));
            }
            Asked::Full => {
                cx.stats.joins.refused += 1;
                self.release_join(asker.session);
                cx.refuse_limit(
                    asker,
                    Limit::PendingJoins,
                    Code::FULL,
                    "too many people ask to be let in: try again in a minute",
                );
            }
        }
    }

    /// What has run out in a room ordered here, and the room itself with its record.
    pub(crate) fn sweep_hub(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let occupied = room.is_occupied(cx);
        let over = room.record.not_after.saturating_add(conclave_federation::limits::CLOCK_LEEWAY_MS) < cx.now.unix_ms;
        let instance = room.instance;
        let Room { side: Side::Hub(hub), listings, .. } = room else { return };
        if let Some(tracks) = &mut hub.tracks
            && tracks.requests_group == 0
        {
            // Restored before the clock was known.
            tracks.requests_group = cx.now.unix_ms.clamp(1, 1 << 60);
            tracks.directory = Writer::new(tracks.directory.alias, cx.now.unix_ms);
            tracks.directory.snapshot(cx, listings);
        }
        let place = hub.tracks.as_ref().map(|tracks| (tracks.requests, tracks.requests_group));
        hub.turns.sweep(cx.now.mono);
        let unanswered = hub.mailbox.expire(cx.now.mono);
        if occupied || hub.log.is_none() {
            hub.empty = None;
        } else if hub.empty.is_none() {
            hub.empty = Some(cx.now.mono + LOG_LIFE);
        }
        let forget = hub.empty.is_some_and(|at| at <= cx.now.mono) && hub.writing.is_none();
        for (asker, object) in unanswered {
            cx.stats.joins.unanswered += 1;
            if let Some((alias, group)) = place {
                cx.down.push_back(ToShard::Forget { alias, group, object });
            }
            if let Some(asker) = asker {
                self.release_join(asker.session);
                cx.refuse(asker, Code::UNANSWERED, "nobody in the room answered: ask them whether they are there, and try again");
            }
        }
        if forget {
            self.end_call(cx, id);
            self.store(Write::Forget { room: id, instance }, Job::Forgotten);
        }
        if over && !occupied {
            // The record's own end: the store drops it by the same clock.
            if self.rooms.get(&id).and_then(Room::hub).is_some_and(Hub::has_call) {
                self.store(Write::Forget { room: id, instance }, Job::Forgotten);
            }
            self.end_call(cx, id);
            self.rooms.remove(&id);
        }
    }
}

/// Whether it is plain from the header that another entry was first.
fn is_stale(cx: &Cx<'_>, room: &Room, header: &EntryHeader) -> bool {
    if header.generation != room.record.generation {
        // That is worse, and said in its turn.
        return false;
    }
    if header.kind == EntryKind::Genesis {
        return header.instance <= room.instance || (header.instance == room.instance.next() && room.is_occupied(cx));
    }
    let log = room.hub().and_then(|hub| hub.log.as_ref()).filter(|log| log.instance() == header.instance);
    log.is_some_and(|log| !log.is_ended() && log.position().advance(header).is_err())
}

/// Whether an entry may be the next one of the room's log, or begin its next call.
fn check(cx: &Cx<'_>, room: &Room, append: &Append) -> Result<(), Code> {
    let header = &append.header;
    if append.record.as_ref().is_some_and(|record| record.hub() != room.record.hub()) {
        return Err(Code::BAD_RECORD);
    }
    let hub = room.hub().ok_or(Code::UNKNOWN_ROOM)?;
    if header.kind == EntryKind::Genesis {
        if header.instance > room.instance.next() {
            return Err(Code::WRONG_INSTANCE);
        }
        if header.instance <= room.instance || room.is_occupied(cx) {
            return Err(Code::CONFLICT);
        }
        if append.commit.bytes().len() > 64 {
            return Err(Code::VIOLATION);
        }
        return Log::new(room.record.room, header.instance).check(append, &room.record, None, cx.now.unix_ms);
    }
    hub.log.as_ref().ok_or(Code::WRONG_INSTANCE)?.check(append, &room.record, room.call.as_ref(), cx.now.unix_ms)
}

/// What an entry counts for in a log's bytes.
fn entry_size(entry: &Entry, welcome: usize) -> u64 {
    let record = entry.record.as_ref().map_or(0, |record| record.encode().len());
    u64::try_from(entry.commit.bytes().len() + entry.epoch_box.bytes().len() + welcome + record + 512).unwrap_or(u64::MAX)
}

fn publish_entry(cx: &mut Cx<'_>, alias: Alias, entry: &Entry) {
    let header = ObjectHeader { alias, group: 0, object: entry.header.seq, layer: 0, flags: 0, priority: 0 };
    cx.down.push_back(ToShard::Originate { alias, header, payload: entry.encode() });
}

//! A relay that is its rooms' hub, as small as one can be: what it promises is what the protocol says, and nothing of it
//! is fast. It can be told to misbehave.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Generation, Head, Instance, JoinId, OperatorId, RelayId, RoomId, TrackId},
    io::{Net, Now, Outlet, SessionKey, StreamKey},
    log::Log,
    proof::{AttachClaim, Label, SigningKey, VerifyingKey},
    record::{RelayDescriptor, RoomRecord},
    session::{Event, Local, LocalRelay, Remote, Reply, Session},
    track::{Class, TrackName, priority},
    wire::{
        Blob, List, Text, Wire,
        code::Code,
        message::{
            Admitted, Answer, Append, Detach, Entry, EntryKind, HubHead, Notice, Published, Refusal, Request, Resolved, Sealed,
            Stamped, Start, Subscribed,
        },
        object::{Directory, Knock, Listing, ObjectHeader},
        stream::{GroupHeader, Piece, reliable_head, reliable_start},
    },
};

struct Client {
    session: Session<()>,
    nonce: Option<[u8; 32]>,
    attached: Option<(RoomId, Instance)>,
    /// Of the proof that was shown.
    generation: Generation,
    /// Only the log, and only up to the entry that began the generation after theirs.
    reader: bool,
    reliable: Option<StreamKey>,
    /// Streams towards this client, by the publisher's session and stream.
    groups: BTreeMap<(SessionKey, StreamKey), StreamKey>,
}

struct Track {
    class: Class,
    layers: u8,
    publisher: Option<SessionKey>,
    /// As the publisher marks its objects.
    incoming: Alias,
    /// As we mark them.
    outgoing: Alias,
    subscribers: BTreeSet<SessionKey>,
    retained: Vec<(u64, u64, Bytes)>,
}

#[derive(Default)]
struct Call {
    log: Option<Log>,
    entries: Vec<(Entry, Sealed)>,
    group: Bytes,
    keys: Option<conclave_federation::record::CallKeys>,
    tracks: BTreeMap<TrackId, Track>,
    pending: BTreeMap<JoinId, (SessionKey, Reply)>,
    directory: (u64, Vec<Directory>),
}

struct Room {
    record: RoomRecord,
    /// The access key before, the last entry of its generation, and when that was; cut off by now or not.
    previous: Option<Previous>,
    instance: Instance,
    calls: BTreeMap<u32, Call>,
}

struct Previous {
    generation: Generation,
    access: VerifyingKey,
    last: u64,
    at: Duration,
    cut: bool,
}

/// How long those who have shown no new proof go on as before.
const GRACE: Duration = Duration::from_millis(1_500);

/// What the hub does wrong.
#[derive(Default)]
pub(super) struct Mischief {
    /// Every media object goes twice.
    pub(super) repeat_media: bool,
    /// Media comes as if it stood in another place.
    pub(super) move_media: bool,
    /// Of every media object, one bit is wrong.
    pub(super) damage_media: bool,
    /// Answers to appends are swallowed this often; the entry stands.
    pub(super) swallow_appended: u32,
    /// Rooms are not known until somebody looks them up.
    pub(super) forgetful: bool,
    /// Requests are kept from the participants.
    pub(super) deaf_joins: bool,
    /// Nothing of anybody's control track goes on.
    pub(super) no_control: bool,
    /// So many entries do not reach those who follow the log already.
    pub(super) lose_entries: u32,
    /// Sound comes as if it were of another track of its publisher.
    pub(super) swap_media: bool,
    /// Sessions from which the log and all that participants say to each other are kept, and whose commits come too late.
    pub(super) withheld: BTreeSet<SessionKey>,
    /// Reports are not stamped.
    pub(super) deaf_to_reports: bool,
}

/// See the module.
pub(super) struct Hub {
    local: Box<LocalRelay>,
    id: RelayId,
    clients: BTreeMap<SessionKey, Client>,
    rooms: BTreeMap<RoomId, Room>,
    next_alias: u32,
    pub(super) mischief: Mischief,
    /// All that clients wrote, as it came.
    pub(super) seen: Vec<Bytes>,
    /// Objects of sound: their flags, and how long they were as they were sealed.
    pub(super) sound: Vec<(u8, usize)>,
    /// How long what is sealed was, in requests and entries.
    pub(super) sizes: Vec<(&'static str, usize)>,
    /// Key frame requests that came.
    pub(super) key_frames: usize,
    /// What the proofs of those who attached were bound to besides the key.
    pub(super) authorities: Vec<&'static str>,
}

/// Where it is reached.
pub(super) const NAME: &str = "hub.example:4433";

impl Hub {
    pub(super) fn new() -> Self {
        let key = SigningKey::from_seed([200; 32]);
        let operator = SigningKey::from_seed([201; 32]);
        let id = RelayId::new(*key.verifying_key().as_bytes());
        let addresses = List::new(vec![Text::cut(NAME)]).unwrap();
        let descriptor = RelayDescriptor::issue(&operator, id, "Alder", addresses);
        let local = Box::new(LocalRelay { descriptor, key, nonce_secret: [9; 32] });
        Self {
            local,
            id,
            clients: BTreeMap::new(),
            rooms: BTreeMap::new(),
            next_alias: 100,
            mischief: Mischief::default(),
            seen: Vec::new(),
            sound: Vec::new(),
            sizes: Vec::new(),
            key_frames: 0,
            authorities: Vec::new(),
        }
    }

    pub(super) fn operator(&self) -> OperatorId {
        self.local.descriptor.operator
    }

    pub(super) fn id(&self) -> RelayId {
        self.id
    }

    /// Entries of the newest call's log.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let room = self.rooms.values().next().unwrap();
        room.calls[&room.instance.0].entries.iter().map(|(entry, _)| entry.clone()).collect()
    }

    pub(super) fn handle(&mut self, now: Now, net: Net, outlet: &mut impl Outlet) {
        self.cut_off(now.mono, outlet);
        match net {
            Net::Connected { session, side, exporter } => {
                let local = Local::Relay(self.local.clone());
                let new = Session::new(now, session, side, exporter, &local, outlet);
                let client = Client {
                    session: new,
                    nonce: None,
                    attached: None,
                    generation: Generation(0),
                    reader: false,
                    reliable: None,
                    groups: BTreeMap::new(),
                };
                self.clients.insert(session, client);
            }
            Net::Data { session, stream, kind, bytes, fin } => {
                self.seen.push(bytes.clone());
                let Some(client) = self.clients.get_mut(&session) else { return };
                client.session.on_data(now, stream, kind, bytes, fin, outlet).expect("clients speak the protocol");
                self.drain(now, session, outlet);
            }
            Net::Datagram { session, bytes } => {
                self.seen.push(bytes.clone());
                let Some(client) = self.clients.get_mut(&session) else { return };
                client.session.on_datagram(bytes).expect("clients speak the protocol");
                self.drain(now, session, outlet);
            }
            Net::Reset { session, stream, .. } => {
                if let Some(client) = self.clients.get_mut(&session) {
                    client.session.on_reset(stream);
                }
                self.drain(now, session, outlet);
            }
            Net::Closed { session, .. } => self.on_closed(session, outlet),
            Net::Stopped { .. } | Net::Writable { .. } | Net::DialFailed { .. } => {}
        }
    }

    /// Whoever has shown no proof of a generation that began a while ago keeps the end of the log that was theirs.
    fn cut_off(&mut self, now: Duration, outlet: &mut impl Outlet) {
        let due = |room: &&mut Room| room.previous.as_ref().is_some_and(|previous| !previous.cut && previous.at + GRACE <= now);
        let mut late = vec![];
        for room in self.rooms.values_mut().filter(due) {
            room.previous.as_mut().unwrap().cut = true;
            let generation = room.record.generation;
            let place = (room.record.room, room.instance);
            let behind =
                self.clients.iter().filter(|(_, client)| client.attached == Some(place) && client.generation < generation);
            late.extend(behind.map(|(session, _)| (*session, place)));
        }
        for (session, (room, instance)) in late {
            self.clients.get_mut(&session).unwrap().reader = true;
            let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
            let mut ended = vec![];
            let theirs: Vec<_> =
                call.tracks.iter().filter(|(_, track)| track.publisher == Some(session)).map(|(id, _)| *id).collect();
            for (id, track) in &mut call.tracks {
                if track.subscribers.remove(&session) && *id != TrackId::LOG {
                    ended.push(track.outgoing);
                }
            }
            for id in theirs {
                self.unpublish(room, instance, id, outlet);
            }
            let client = self.clients.get_mut(&session).unwrap();
            for alias in ended {
                client.session.notify(Notice::Ended(alias), outlet);
            }
            client.session.notify(Notice::Detach(Detach { room, instance }), outlet);
        }
    }

    fn on_closed(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        let Some(client) = self.clients.remove(&session) else { return };
        let Some((room, instance)) = client.attached else { return };
        let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
        let gone: Vec<_> = call.tracks.iter().filter(|(_, track)| track.publisher == Some(session)).map(|(id, _)| *id).collect();
        for track in call.tracks.values_mut() {
            track.subscribers.remove(&session);
        }
        for id in gone {
            self.unpublish(room, instance, id, outlet);
        }
    }

    fn drain(&mut self, now: Now, session: SessionKey, outlet: &mut impl Outlet) {
        while let Some(event) = self.clients.get_mut(&session).and_then(|client| client.session.next_event()) {
            match event {
                Event::Active(Remote::Client { nonce }) => self.clients.get_mut(&session).unwrap().nonce = Some(nonce),
                Event::Active(_) => panic!("only clients dial this hub"),
                Event::Request(reply, request) => self.on_request(now, session, reply, *request, outlet),
                Event::Notice(notice) => self.on_notice(session, notice, outlet),
                Event::Piece(stream, piece) => self.on_piece(session, stream, piece, outlet),
                Event::StreamEnded(stream, whole) => self.on_stream_ended(session, stream, whole, outlet),
                Event::Datagram(header, payload, _) => self.on_datagram(session, header, &payload, outlet),
                Event::Answer((), _) => {}
            }
        }
    }

    fn answer(&mut self, session: SessionKey, reply: Reply, answer: Answer, outlet: &mut impl Outlet) {
        if let Some(client) = self.clients.get_mut(&session) {
            client.session.answer(reply, answer, outlet);
        }
    }

    fn on_request(&mut self, now: Now, session: SessionKey, reply: Reply, request: Request, outlet: &mut impl Outlet) {
        if matches!(request, Request::Resolve(_)) {
            self.mischief.forgetful = false;
        }
        let answer = match request {
            Request::Attach(_) if self.mischief.forgetful => Err(Code::UNKNOWN_ROOM),
            Request::Resolve(resolve) => match self.rooms.get(&resolve.room) {
                None => Err(Code::UNKNOWN_ROOM),
                Some(room) => {
                    let call = room.calls.get(&room.instance.0);
                    let occupied = call.is_some()
                        && self.clients.values().any(|client| client.attached == Some((resolve.room, room.instance)));
                    let entries = call.map_or(&[][..], |call| &call.entries);
                    Ok(Answer::Resolved(Box::new(Resolved {
                        record: room.record.clone(),
                        instance: room.instance,
                        occupied,
                        group: Blob::new(call.map(|call| call.group.clone()).unwrap_or_default()).unwrap(),
                        seq: entries.len() as u64,
                        head: entries.last().map_or(Head::START, |(entry, _)| entry.head.head),
                        call: call.and_then(|call| call.keys.clone()),
                    })))
                }
            },
            Request::PutRecord(put) => {
                put.record.verify(put.record.room, now.unix_ms).expect("founders sign their records");
                let room = Room { record: put.record, previous: None, instance: Instance(0), calls: BTreeMap::new() };
                self.rooms.insert(room.record.room, room);
                Ok(Answer::Done(()))
            }
            Request::Append(append) => return self.on_append(now, session, reply, append, outlet),
            Request::Join(join) => {
                let room = self.rooms.get_mut(&join.room).expect("a room is resolved before it is joined");
                if join.instance != room.instance {
                    Err(Code::WRONG_INSTANCE)
                } else {
                    let claim = conclave_federation::wire::message::Join::claim(
                        self.id,
                        join.room,
                        join.instance,
                        join.generation,
                        join.id,
                        join.time,
                        join.body.bytes(),
                    );
                    self.sizes.push(("request", join.body.bytes().len()));
                    let key = room.record.join_key(join.generation).expect("links are of this room");
                    assert!(key.verify(Label::Request, &claim, &join.signature), "joins are signed");
                    let call = room.calls.get_mut(&join.instance.0).unwrap();
                    call.pending.insert(join.id, (session, reply));
                    if !self.mischief.deaf_joins {
                        let knock = Knock { id: join.id, generation: join.generation, body: join.body }.encode();
                        self.publish_object(join.room, join.instance, TrackId::REQUESTS, knock, outlet);
                    }
                    return;
                }
            }
            Request::Attach(attach) => {
                let client = self.clients.get_mut(&session).unwrap();
                let room = &self.rooms[&attach.room];
                let nonce = client.nonce.unwrap();
                let relay = self.id;
                let claim = |authority| AttachClaim {
                    relay,
                    authority,
                    nonce: &nonce,
                    room: attach.room,
                    instance: attach.instance,
                    generation: attach.generation,
                    role: attach.role,
                };
                let call = room.calls.get(&attach.instance.0).and_then(|call| call.keys.as_ref());
                let is_current = attach.generation == room.record.generation;
                let previous = room.previous.as_ref().filter(|previous| previous.generation == attach.generation);
                let access = match previous {
                    Some(previous) => previous.access,
                    None => room.record.keys(call).0,
                };
                let signed =
                    |authority: &&'static str| access.verify(Label::Attach, &claim(authority).bytes(), &attach.signature);
                let authority = ["", NAME].into_iter().find(signed);
                self.authorities.extend(authority);
                if !is_current && previous.is_none() {
                    Err(Code::STALE_GENERATION)
                } else if authority.is_none()
                    || attach.capability.check(self.id, &access, attach.generation, now.unix_ms).is_err()
                {
                    Err(Code::BAD_PROOF)
                } else {
                    client.attached = Some((attach.room, attach.instance));
                    client.generation = attach.generation;
                    client.reader = !is_current;
                    Ok(Answer::Done(()))
                }
            }
            Request::Renew(_) => Ok(Answer::Done(())),
            Request::Stamp(_) if self.mischief.deaf_to_reports => Err(Code::RATE),
            Request::Stamp(stamp) => Ok(Answer::Stamped(Stamped::sign(&self.local.key, &stamp, now.unix_ms))),
            Request::Decline(decline) => {
                let room = self.rooms.get_mut(&decline.room).unwrap();
                if decline.verify(&room.record, now.unix_ms) {
                    let call = room.calls.get_mut(&decline.instance.0).unwrap();
                    if let Some((asker, asked)) = call.pending.remove(&decline.id) {
                        self.answer(asker, asked, Answer::Declined(decline.note), outlet);
                    }
                    Ok(Answer::Done(()))
                } else {
                    Err(Code::BAD_PROOF)
                }
            }
            Request::Publish(_) if self.clients[&session].reader => Err(Code::NOT_ATTACHED),
            Request::Subscribe(subscribe) if self.clients[&session].reader && subscribe.track != TrackId::LOG => {
                Err(Code::NOT_ATTACHED)
            }
            Request::Publish(publish) => {
                let alias = self.alias();
                let outgoing = self.alias();
                let attached = self.clients[&session].attached;
                assert_eq!(attached, Some((publish.room, publish.instance)), "clients attach before they publish");
                let call = self.rooms.get_mut(&publish.room).unwrap().calls.get_mut(&publish.instance.0).unwrap();
                let track = Track {
                    class: publish.class,
                    layers: publish.layers,
                    publisher: Some(session),
                    incoming: alias,
                    outgoing,
                    subscribers: BTreeSet::new(),
                    retained: Vec::new(),
                };
                match call.tracks.entry(publish.track) {
                    std::collections::btree_map::Entry::Occupied(_) => Err(Code::EXISTS),
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(track);
                        let (class, layers) = (publish.class, publish.layers);
                        let listing = Listing { track: publish.track, class, layers, relay: self.id };
                        self.change_directory(publish.room, publish.instance, Directory::Added(listing), outlet);
                        Ok(Answer::Published(Published { alias }))
                    }
                }
            }
            Request::Subscribe(subscribe) => {
                let attached = self.clients[&session].attached;
                assert_eq!(attached, Some((subscribe.room, subscribe.instance)), "clients attach before they subscribe");
                let outgoing = self.alias();
                let reader = self.clients[&session].reader;
                let room = self.rooms.get_mut(&subscribe.room).unwrap();
                let room_last = room.previous.as_ref().map(|previous| previous.last);
                let call = room.calls.get_mut(&subscribe.instance.0).unwrap();
                if subscribe.track.is_reserved() {
                    call.tracks.entry(subscribe.track).or_insert_with(|| Track {
                        class: Class::Reliable,
                        layers: 1,
                        publisher: None,
                        incoming: outgoing,
                        outgoing,
                        subscribers: BTreeSet::new(),
                        retained: Vec::new(),
                    });
                }
                match call.tracks.get_mut(&subscribe.track) {
                    None => Err(Code::UNKNOWN_TRACK),
                    Some(track) => {
                        let until = room_last.filter(|_| reader).unwrap_or(u64::MAX);
                        if !reader {
                            track.subscribers.insert(session);
                        }
                        let answer = Answer::Subscribed(Subscribed { alias: track.outgoing, class: track.class });
                        let alias = track.outgoing;
                        let from = match subscribe.start {
                            Start::Next => u64::MAX,
                            Start::Current => 0,
                            Start::From(object) => object,
                        };
                        let mut old: Vec<(u64, u64, Bytes)> =
                            track.retained.iter().filter(|(_, object, _)| (from..=until).contains(object)).cloned().collect();
                        if subscribe.track == TrackId::DIRECTORY {
                            let (group, objects) = &call.directory;
                            old = objects
                                .iter()
                                .enumerate()
                                .map(|(object, content)| (*group, object as u64, content.encode()))
                                .collect();
                        }
                        self.answer(session, reply, answer, outlet);
                        for (group, object, payload) in old {
                            self.send_reliable(session, alias, group, object, payload, outlet);
                        }
                        return;
                    }
                }
            }
            Request::Present(_) => Err(Code::VIOLATION),
        };
        let answer = answer.unwrap_or_else(|code| Answer::Refused(Refusal::new(code, "the hub of the tests says no")));
        self.answer(session, reply, answer, outlet);
    }

    fn on_append(&mut self, now: Now, session: SessionKey, reply: Reply, append: Append, outlet: &mut impl Outlet) {
        let header = append.header.clone();
        let id = header.room;
        let occupied = self
            .rooms
            .get(&id)
            .is_some_and(|room| self.clients.values().any(|client| client.attached == Some((id, room.instance))));
        let room = self.rooms.get_mut(&id).expect("a room is resolved before its log grows");
        let refuse = |code| Answer::Refused(Refusal::new(code, "the hub of the tests says no"));
        if self.mischief.withheld.contains(&session) {
            return self.answer(session, reply, refuse(Code::CONFLICT), outlet);
        }
        if header.kind == EntryKind::Genesis {
            if header.instance != room.instance.next() || occupied {
                return self.answer(session, reply, refuse(Code::CONFLICT), outlet);
            }
            let call = Call {
                log: Some(Log::new(id, header.instance)),
                group: append.commit.bytes().clone(),
                keys: append.call.clone(),
                directory: (0, vec![Directory::Whole(vec![])]),
                ..Call::default()
            };
            room.instance = header.instance;
            room.calls.insert(header.instance.0, call);
        }
        if header.kind != EntryKind::Genesis {
            // A genesis carries the group id in clear.
            self.sizes.push(("commit", append.commit.bytes().len()));
            self.sizes.push(("welcome", append.welcome.bytes().len()));
        }
        self.sizes.push(("box", append.epoch_box.bytes().len()));
        let record = room.record.clone();
        if self.clients.get(&session).is_some_and(|client| client.reader) {
            return self.answer(session, reply, refuse(Code::NOT_ATTACHED), outlet);
        }
        let Some(call) = room.calls.get_mut(&header.instance.0) else {
            return self.answer(session, reply, refuse(Code::WRONG_INSTANCE), outlet);
        };
        let log = call.log.as_mut().unwrap();
        if let Err(code) = log.check(&append, &record, call.keys.as_ref(), now.unix_ms) {
            return self.answer(session, reply, refuse(code), outlet);
        }
        log.advance(&append).unwrap();
        if let Some(next) = &append.record {
            let (generation, access) = (record.generation, record.keys(call.keys.as_ref()).0);
            room.previous = Some(Previous { generation, access, last: header.seq, at: now.mono, cut: false });
            room.record = next.clone();
        }
        let head = HubHead::sign(&self.local.key, &header, now.unix_ms);
        let entry = Entry {
            header: header.clone(),
            commit: append.commit.clone(),
            epoch_box: append.epoch_box.clone(),
            record: append.record.clone(),
            head: head.clone(),
        };
        call.entries.push((entry.clone(), append.welcome.clone()));
        let mut served = vec![];
        for id in header.served.iter() {
            served.extend(call.pending.remove(id));
        }
        if self.mischief.swallow_appended > 0 {
            self.mischief.swallow_appended -= 1;
        } else {
            self.answer(session, reply, Answer::Appended(head.clone()), outlet);
        }
        self.publish_object(id, header.instance, TrackId::LOG, entry.encode(), outlet);
        if header.kind == EntryKind::End {
            for client in self.clients.values_mut().filter(|client| client.attached == Some((id, header.instance))) {
                client.attached = None;
            }
        }
        for (to, reply) in served {
            let admitted = Admitted {
                header: header.clone(),
                epoch_box: append.epoch_box.clone(),
                welcome: append.welcome.clone(),
                head: head.clone(),
            };
            self.answer(to, reply, Answer::Admitted(Box::new(admitted)), outlet);
        }
    }

    fn alias(&mut self) -> Alias {
        self.next_alias += 1;
        Alias::new(self.next_alias)
    }

    fn change_directory(&mut self, room: RoomId, instance: Instance, change: Directory, outlet: &mut impl Outlet) {
        let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
        if call.directory.1.len() > 64 {
            let listings = call
                .tracks
                .iter()
                .filter(|(id, _)| !id.is_reserved())
                .map(|(id, track)| Listing { track: *id, class: track.class, layers: track.layers, relay: self.id })
                .collect();
            call.directory = (call.directory.0 + 1, vec![Directory::Whole(listings)]);
        } else {
            call.directory.1.push(change);
        }
        let (group, object) = (call.directory.0, call.directory.1.len() as u64 - 1);
        let payload = call.directory.1.last().unwrap().encode();
        let Some(track) = call.tracks.get(&TrackId::DIRECTORY) else { return };
        let (alias, subscribers) = (track.outgoing, track.subscribers.clone());
        for session in subscribers {
            self.send_reliable(session, alias, group, object, payload.clone(), outlet);
        }
    }

    /// An object of the hub's own on a reliable track.
    fn publish_object(&mut self, room: RoomId, instance: Instance, id: TrackId, payload: Bytes, outlet: &mut impl Outlet) {
        let outgoing = self.alias();
        let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
        let track = call.tracks.entry(id).or_insert_with(|| Track {
            class: Class::Reliable,
            layers: 1,
            publisher: None,
            incoming: outgoing,
            outgoing,
            subscribers: BTreeSet::new(),
            retained: Vec::new(),
        });
        let object = track.retained.len() as u64;
        track.retained.push((0, object, payload.clone()));
        let (alias, subscribers) = (track.outgoing, track.subscribers.clone());
        if id == TrackId::LOG && self.mischief.lose_entries > 0 {
            self.mischief.lose_entries -= 1;
            return;
        }
        for session in subscribers {
            self.send_reliable(session, alias, 0, object, payload.clone(), outlet);
        }
    }

    fn send_reliable(
        &mut self,
        session: SessionKey,
        alias: Alias,
        group: u64,
        object: u64,
        payload: Bytes,
        outlet: &mut impl Outlet,
    ) {
        if self.mischief.withheld.contains(&session) {
            return;
        }
        let Some(client) = self.clients.get_mut(&session) else { return };
        let stream = match client.reliable {
            Some(stream) => stream,
            None => {
                let stream = outlet.open_uni(session, priority::CONTROL).unwrap();
                client.reliable = Some(stream);
                outlet.write(session, stream, &mut [reliable_start()]);
                stream
            }
        };
        let header = ObjectHeader { alias, group, object, layer: 0, flags: 0, priority: priority::CONTROL };
        outlet.write(session, stream, &mut [reliable_head(&header, payload.len()), payload]);
    }

    fn unpublish(&mut self, room: RoomId, instance: Instance, id: TrackId, outlet: &mut impl Outlet) {
        let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
        let Some(track) = call.tracks.remove(&id) else { return };
        for subscriber in track.subscribers {
            if let Some(client) = self.clients.get_mut(&subscriber) {
                client.session.notify(Notice::Ended(track.outgoing), outlet);
            }
        }
        self.change_directory(room, instance, Directory::Removed(id), outlet);
    }

    fn on_notice(&mut self, session: SessionKey, notice: Notice, outlet: &mut impl Outlet) {
        let attached = self.clients[&session].attached;
        match notice {
            Notice::Unpublish(unpublish) => self.unpublish(unpublish.room, unpublish.instance, unpublish.track, outlet),
            Notice::Detach(_) => self.clients.get_mut(&session).unwrap().attached = None,
            Notice::KeyFrame(alias) => {
                self.key_frames += 1;
                let Some((room, instance)) = attached else { return };
                let call = &self.rooms[&room].calls[&instance.0];
                let Some(track) = call.tracks.values().find(|track| track.outgoing == alias) else { return };
                let (publisher, incoming) = (track.publisher, track.incoming);
                if let Some(client) = publisher.and_then(|publisher| self.clients.get_mut(&publisher)) {
                    client.session.notify(Notice::KeyFrame(incoming), outlet);
                }
            }
            Notice::Unsubscribe(alias) => {
                let Some((room, instance)) = attached else { return };
                let call = self.rooms.get_mut(&room).unwrap().calls.get_mut(&instance.0).unwrap();
                if let Some(track) = call.tracks.values_mut().find(|track| track.outgoing == alias) {
                    track.subscribers.remove(&session);
                }
            }
            Notice::Hello(_) | Notice::Greeting(_) | Notice::Ended(_) | Notice::Record(_) => panic!("clients do not say this"),
        }
    }

    /// The track that a publisher marks so.
    fn track_of(&mut self, session: SessionKey, alias: Alias) -> Option<&mut Track> {
        if self.clients.get(&session)?.reader {
            return None;
        }
        let (room, instance) = self.clients.get(&session)?.attached?;
        let call = self.rooms.get_mut(&room)?.calls.get_mut(&instance.0)?;
        call.tracks.values_mut().find(|track| track.incoming == alias && track.publisher == Some(session))
    }

    fn on_datagram(&mut self, session: SessionKey, header: ObjectHeader, payload: &Bytes, outlet: &mut impl Outlet) {
        let Some(track) = self.track_of(session, header.alias) else { return };
        let (mut alias, subscribers) = (track.outgoing, track.subscribers.clone());
        self.sound.push((header.flags, payload.len()));
        if self.mischief.swap_media {
            let room = self.rooms.values().next().unwrap();
            let of_sender = room.calls[&room.instance.0].tracks.values().filter(|track| track.publisher == Some(session));
            let others = of_sender.filter(|track| track.class == Class::Datagram).map(|track| track.outgoing);
            alias = others.into_iter().find(|other| *other != alias).unwrap();
        }
        let payload = self.spoil(payload);
        let header = ObjectHeader { alias, ..header };
        for subscriber in subscribers {
            let moved = ObjectHeader { group: header.group + 1_000_000, ..header };
            let header = if self.mischief.move_media { moved } else { header };
            let datagram = header.datagram(&payload).unwrap();
            outlet.datagram(subscriber, datagram.clone());
            if self.mischief.repeat_media {
                outlet.datagram(subscriber, datagram);
            }
        }
    }

    fn spoil(&self, payload: &Bytes) -> Bytes {
        if !self.mischief.damage_media {
            return payload.clone();
        }
        let mut bytes = payload.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes.into()
    }

    fn on_piece(&mut self, session: SessionKey, stream: StreamKey, piece: Piece, outlet: &mut impl Outlet) {
        match piece {
            Piece::Group(header) => {
                let Some(track) = self.track_of(session, header.alias) else { return };
                let (alias, subscribers) = (track.outgoing, track.subscribers.clone());
                for subscriber in subscribers {
                    let Some(to) = outlet.open_uni(subscriber, header.priority) else { continue };
                    outlet.write(subscriber, to, &mut [GroupHeader { alias, ..header }.encode()]);
                    if let Some(client) = self.clients.get_mut(&subscriber) {
                        client.groups.insert((session, stream), to);
                    }
                }
            }
            Piece::Part { object, len, offset, bytes } => {
                let last = offset + bytes.len() == len;
                let bytes = if last && !bytes.is_empty() { self.spoil(&bytes) } else { bytes };
                for (subscriber, client) in &self.clients {
                    let Some(to) = client.groups.get(&(session, stream)) else { continue };
                    if offset == 0 {
                        outlet.write(*subscriber, *to, &mut [GroupHeader::object_head(object, len)]);
                    }
                    outlet.write(*subscriber, *to, &mut [bytes.clone()]);
                }
            }
            Piece::Reliable { header, payload } => {
                let Some(track) = self.track_of(session, header.alias) else { return };
                let (alias, subscribers) = (track.outgoing, track.subscribers.clone());
                let is_control =
                    crate::sframe::Kid::peek(&payload).is_some_and(|kid| kid.stream == crate::sframe::CONTROL_STREAM);
                if self.mischief.no_control && is_control && payload.first() != Some(&0) {
                    return;
                }
                let Some(track) = self.track_of(session, header.alias) else { return };
                track.retained.push((header.group, header.object, payload.clone()));
                for subscriber in subscribers {
                    self.send_reliable(subscriber, alias, header.group, header.object, payload.clone(), outlet);
                }
            }
        }
    }

    fn on_stream_ended(&mut self, session: SessionKey, stream: StreamKey, whole: bool, outlet: &mut impl Outlet) {
        for (subscriber, client) in &mut self.clients {
            if let Some(to) = client.groups.remove(&(session, stream)) {
                if whole {
                    outlet.finish(*subscriber, to);
                } else {
                    outlet.reset(*subscriber, to, Code::LATE);
                }
            }
        }
    }

    /// An object of nobody's on the first media track, to everybody who subscribes to it.
    pub(super) fn send_junk(&mut self, payload: &Bytes, outlet: &mut impl Outlet) -> usize {
        let room = self.rooms.values().next().unwrap();
        let call = &room.calls[&room.instance.0];
        let mut sent = 0;
        for track in call.tracks.values().filter(|track| track.class == Class::Datagram) {
            for subscriber in &track.subscribers {
                let header = ObjectHeader { alias: track.outgoing, group: 9, object: 9, layer: 0, flags: 0, priority: 1 };
                outlet.datagram(*subscriber, header.datagram(payload).unwrap());
                sent += 1;
            }
        }
        sent
    }

    /// An object as if it were of a published track of sound, to all who subscribe to that but one.
    pub(super) fn send_forged(
        &mut self,
        except: SessionKey,
        name: TrackName,
        group: u64,
        payload: &Bytes,
        outlet: &mut impl Outlet,
    ) {
        let call = &self.rooms[&name.room].calls[&name.instance.0];
        let track = &call.tracks[&name.track];
        for subscriber in track.subscribers.iter().filter(|subscriber| **subscriber != except) {
            let header = ObjectHeader { alias: track.outgoing, group, object: 0, layer: 0, flags: 0, priority: 1 };
            outlet.datagram(*subscriber, header.datagram(payload).unwrap());
        }
    }

    /// The one track of sound that is published.
    pub(super) fn sound_track(&self) -> TrackName {
        let room = self.rooms.values().next().unwrap();
        let call = &room.calls[&room.instance.0];
        let (id, _) = call.tracks.iter().find(|(_, track)| track.class == Class::Datagram).unwrap();
        TrackName { room: room.record.room, instance: room.instance, track: *id }
    }

    /// Tells everybody another last entry than the one that stands, signed as that one is.
    pub(super) fn tell_another_history(&mut self, outlet: &mut impl Outlet) {
        let (room, instance) = self.rooms.values().map(|room| (room.record.room, room.instance)).next().unwrap();
        let mut entry = self.entries().pop().unwrap();
        entry.header.served = List::new(vec![JoinId::new([0xaa; 16])]).unwrap();
        entry.head = HubHead::sign(&self.local.key, &entry.header, entry.head.time);
        self.publish_object(room, instance, TrackId::LOG, entry.encode(), outlet);
    }

    /// The full name of every published reliable track, with all that was said on it.
    pub(super) fn reliable_objects(&self) -> Vec<(TrackName, u64, u64, Bytes)> {
        let room = self.rooms.values().next().unwrap();
        let call = &room.calls[&room.instance.0];
        let mut all = vec![];
        for (id, track) in call.tracks.iter().filter(|(id, track)| !id.is_reserved() && track.class == Class::Reliable) {
            let name = TrackName { room: room.record.room, instance: room.instance, track: *id };
            all.extend(track.retained.iter().map(|(group, object, payload)| (name, *group, *object, payload.clone())));
        }
        all
    }
}

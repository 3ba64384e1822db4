//! A relay that orders one room, its store, and remotes of every kind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, JoinId, RelayId, RoomId, TrackId},
    io::{Closed, DialError, Machine, Net, Now, Outlet, Output as Io, SessionKey, Side, StreamKey, StreamKind, Wrote},
    peering::{Policy, prove_link},
    proof::SigningKey,
    record::RelayDescriptor,
    session::LocalRelay,
    track::Class,
    wire::{
        List,
        code::Code,
        message::{
            Answer, Detach, Hello, Identity, Message, MessageReader, Notice, Present, Publish, PutRecord, Request, Resolve,
            Start, Subscribe, Unpublish,
        },
        object::ObjectHeader,
        stream::{GroupHeader, reliable_head, reliable_start},
    },
};
use conclave_relay_core::{Config, Input, Node, Output, StoreFailed, StoreKey, limits::Limits};

use super::{Script, room::Room};

/// What a relay may want to do in a row before it waits: more than any list of operations can have asked for.
const PATIENCE: usize = 10_000;

/// Sessions at one time.
const MAX_SESSIONS: usize = 12;

const UNIX: u64 = 1_900_000_000_000;

/// The edge: takes, refuses, remembers who was greeted with which nonce.
#[derive(Default)]
struct Edge {
    sessions: BTreeMap<SessionKey, Seen>,
    next_stream: u64,
    /// Sessions that take nothing now.
    full: BTreeSet<SessionKey>,
}

#[derive(Default)]
struct Seen {
    control: Option<MessageReader>,
    nonce: [u8; 32],
    aliases: Vec<Alias>,
    ended: bool,
}

impl Edge {
    fn read(&mut self, session: SessionKey, bytes: &Bytes) {
        let Some(seen) = self.sessions.get_mut(&session) else { return };
        let reader = seen.control.get_or_insert_with(MessageReader::control);
        reader.push(bytes);
        while let Some(message) = reader.next_message().expect("a relay's control messages can be read") {
            match message {
                Message::Notice(Notice::Greeting(greeting)) => seen.nonce = greeting.nonce,
                Message::Answer(_, Answer::Published(published)) => seen.aliases.push(published.alias),
                Message::Answer(_, Answer::Subscribed(subscribed)) => seen.aliases.push(subscribed.alias),
                Message::Answer(..) | Message::Request(..) | Message::Notice(_) | Message::Unknown(_) => {}
            }
        }
    }
}

impl Outlet for Edge {
    fn open_uni(&mut self, session: SessionKey, _: u8) -> Option<StreamKey> {
        self.open_bidi(session)
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        if self.full.contains(&session) || self.sessions.get(&session).is_none_or(|seen| seen.ended) {
            return None;
        }
        self.next_stream += 4;
        Some(StreamKey(self.next_stream))
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        if self.sessions.get(&session).is_none_or(|seen| seen.ended) {
            return Wrote::Gone;
        }
        if self.full.contains(&session) {
            return Wrote::Blocked;
        }
        let mut taken = 0;
        for chunk in chunks {
            let bytes = chunk.split_off(0);
            taken += bytes.len();
            if stream == StreamKey::CONTROL {
                self.read(session, &bytes);
            }
        }
        Wrote::Accepted(taken)
    }

    fn finish(&mut self, _: SessionKey, _: StreamKey) {}

    fn reset(&mut self, _: SessionKey, _: StreamKey, _: Code) {}

    fn stop(&mut self, _: SessionKey, _: StreamKey, _: Code) {}

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        if self.sessions.get(&session).is_none_or(|seen| seen.ended) {
            return Wrote::Gone;
        }
        if self.full.contains(&session) { Wrote::Blocked } else { Wrote::Accepted(bytes.len()) }
    }

    fn close(&mut self, session: SessionKey, _: Code, _: &str) {
        if let Some(seen) = self.sessions.get_mut(&session) {
            seen.ended = true;
        }
    }
}

struct Bench {
    node: Node,
    edge: Edge,
    room: Room,
    id: RelayId,
    now: Duration,
    next: u64,
    request: u64,
    stores: VecDeque<StoreKey>,
    done: u32,
}

/// Drives a relay as the input says.
pub fn relay(input: &[u8]) -> u32 {
    drive(input).done
}

fn drive(input: &[u8]) -> Bench {
    let mut script = Script::new(input);
    let key = SigningKey::from_seed([2; 32]);
    let id = RelayId::new(*key.verifying_key().as_bytes());
    let operator = SigningKey::from_seed([1; 32]);
    let descriptor = RelayDescriptor::issue(&operator, id, "Alder", List::default());
    let local = LocalRelay { descriptor, key, nonce_secret: [3; 32] };
    let limits = Limits { waiting_appends: 4, ..Limits::default() };
    let config = Config { local, peers: vec![], policy: Policy::Open, limits };
    let mut bench = Bench {
        node: Node::new(config, [4; 32], vec![]),
        edge: Edge::default(),
        room: Room::new(id, UNIX),
        id,
        now: Duration::from_secs(1),
        next: 0,
        request: 0,
        stores: VecDeque::new(),
        done: 0,
    };
    bench.settle();
    while let Some(op) = script.next_op() {
        bench.step(op, &mut script);
        bench.settle();
    }
    bench
}

impl Bench {
    const fn now(&self) -> Now {
        let ms = self.now.as_millis();
        #[expect(clippy::cast_possible_truncation, reason = "a run is shorter than an age of the world")]
        let since = ms as u64;
        Now { mono: self.now, unix_ms: UNIX + since }
    }

    fn handle(&mut self, input: impl Into<Input>) {
        let now = self.now();
        self.node.handle(now, input.into(), &mut self.edge);
    }

    fn settle(&mut self) {
        for _ in 0..PATIENCE {
            let now = self.now();
            match self.node.poll(now, &mut self.edge) {
                Io::Wait(_) => {
                    let ended: Vec<_> =
                        self.edge.sessions.iter().filter(|(_, seen)| seen.ended).map(|(session, _)| *session).collect();
                    if ended.is_empty() {
                        return;
                    }
                    for session in ended {
                        self.edge.sessions.remove(&session);
                        self.handle(Net::Closed { session, why: Closed::ByUs });
                    }
                }
                Io::Dial(dial) => self.handle(Net::DialFailed { dial: dial.key, why: DialError::Unreachable }),
                Io::Do(Output::Store { key, .. }) => self.stores.push_back(key),
                Io::Do(_) => {}
            }
        }
        panic!("the relay does not come to rest");
    }

    fn session(&self, script: &mut Script<'_>) -> Option<SessionKey> {
        let at = script.below(self.edge.sessions.len());
        self.edge.sessions.keys().nth(at).copied()
    }

    fn control(&mut self, session: SessionKey, message: &Message) {
        let bytes = message.encode();
        self.handle(Net::Data { session, stream: StreamKey::CONTROL, kind: StreamKind::Control, bytes, fin: false });
    }

    /// A request as a client would make it: large ones on a stream of their own.
    fn ask(&mut self, session: SessionKey, request: Request) {
        self.request += 1;
        let large = matches!(request, Request::Append(_) | Request::Join(_));
        let message = Message::Request(self.request, Box::new(request));
        if large {
            self.next += 1;
            let stream = StreamKey((self.next << 8) | 1);
            let bytes = message.encode();
            self.handle(Net::Data { session, stream, kind: StreamKind::Bidi, bytes, fin: true });
        } else {
            self.control(session, &message);
        }
    }

    fn open(&mut self, link: bool, script: &mut Script<'_>) {
        if self.edge.sessions.len() >= MAX_SESSIONS {
            return;
        }
        self.next += 1;
        let session = SessionKey(self.next);
        let exporter = [script.byte(); 32];
        self.edge.sessions.insert(session, Seen::default());
        self.handle(Net::Connected { session, side: Side::Accepted, exporter });
        let identity = if link {
            let other = SigningKey::from_seed([script.byte().max(5); 32]);
            let id = RelayId::new(*other.verifying_key().as_bytes());
            let descriptor = RelayDescriptor::issue(&other, id, "Birch", List::default());
            Identity::Relay(Box::new(descriptor), prove_link(&other, &exporter, self.id))
        } else {
            Identity::Client
        };
        let versions = List::new(vec![1]).unwrap_or_default();
        if script.byte() < 240 {
            self.control(session, &Message::Notice(Notice::Hello(Hello { versions, features: 0, identity })));
        }
    }

    fn track(script: &mut Script<'_>) -> TrackId {
        match script.below(6) {
            0 => TrackId::LOG,
            1 => TrackId::DIRECTORY,
            2 => TrackId::REQUESTS,
            other => TrackId(100 + u64::try_from(other).unwrap_or(0)),
        }
    }

    fn class(script: &mut Script<'_>) -> Class {
        [Class::Datagram, Class::Groups, Class::Reliable][script.below(3)]
    }

    fn step(&mut self, op: u8, script: &mut Script<'_>) {
        self.done += 1;
        if matches!(op % 36, 0 | 1) {
            return self.open(op % 36 == 1, script);
        }
        let Some(session) = self.session(script) else { return self.open(false, script) };
        let (room, instance) = (self.room.id(), self.room.instance(script));
        match op % 36 {
            2 => {
                let record = self.room.record(script);
                self.ask(session, Request::PutRecord(PutRecord { via: None, record }));
            }
            3 => self.ask(session, Request::Resolve(Resolve { via: None, room: [room, RoomId::new([9; 16])][script.below(2)] })),
            4 | 5 => {
                let append = self.room.append(script);
                self.ask(session, Request::Append(append));
            }
            6 | 7 => {
                let nonce = self.edge.sessions.get(&session).map_or([0; 32], |seen| seen.nonce);
                let attach = self.room.attach(self.id, &nonce, instance, self.now().unix_ms, script);
                self.ask(session, Request::Attach(attach));
            }
            8 => {
                let relay = RelayId::new(*SigningKey::from_seed([script.byte().max(5); 32]).verifying_key().as_bytes());
                let capability = self.room.capability(relay, instance, self.now().unix_ms, script);
                self.ask(session, Request::Present(Present { capability, attached: script.once_in(2) }));
            }
            9 => {
                let capability = self.room.capability(self.id, instance, self.now().unix_ms, script);
                self.ask(session, Request::Renew(capability));
            }
            10 => {
                let join = self.room.join(self.id, instance, self.now().unix_ms, script);
                self.ask(session, Request::Join(join));
            }
            11 | 12 => {
                let start = [Start::Next, Start::Current, Start::From(script.byte().into())][script.below(3)];
                let track = Self::track(script);
                self.ask(session, Request::Subscribe(Subscribe { room, instance, track, start, path: List::default() }));
            }
            13 | 14 => {
                let (track, class, layers) = (Self::track(script), Self::class(script), script.byte() % 6);
                self.ask(session, Request::Publish(Publish { room, instance, track, class, layers }));
            }
            15 => self
                .control(session, &Message::Notice(Notice::Unpublish(Unpublish { room, instance, track: Self::track(script) }))),
            16 => self.control(session, &Message::Notice(Notice::Detach(Detach { room, instance }))),
            17 => {
                let alias = self.alias(session, script);
                let notice = [Notice::KeyFrame(alias), Notice::Unsubscribe(alias), Notice::Ended(alias)][script.below(3)].clone();
                self.control(session, &Message::Notice(notice));
            }
            18 | 19 => {
                let header = self.header(session, script);
                let bytes = header.datagram(script.bytes()).unwrap_or_default();
                self.handle(Net::Datagram { session, bytes });
            }
            20 | 21 => self.group(session, script),
            22 => self.reliable(session, script),
            23 => {
                let bytes = Bytes::copy_from_slice(script.bytes());
                let kind = [StreamKind::Control, StreamKind::Uni, StreamKind::Bidi][script.below(3)];
                let stream =
                    if kind == StreamKind::Control { StreamKey::CONTROL } else { StreamKey(2 + u64::from(script.byte()) % 4) };
                self.handle(Net::Data { session, stream, kind, bytes, fin: script.once_in(2) });
            }
            24 => self.handle(Net::Datagram { session, bytes: Bytes::copy_from_slice(script.bytes()) }),
            25 => {
                let stream = StreamKey(u64::from(script.byte()) * 4);
                self.handle(Net::Reset { session, stream, code: Code(script.byte().into()) });
                self.handle(Net::Stopped { session, stream, code: Code(script.byte().into()) });
            }
            26 => {
                if !self.edge.full.remove(&session) {
                    self.edge.full.insert(session);
                } else {
                    self.handle(Net::Writable { session });
                }
            }
            27 if script.once_in(4) => {
                self.edge.sessions.remove(&session);
                self.edge.full.remove(&session);
                self.handle(Net::Closed { session, why: Closed::Lost });
            }
            28 => self.now += Duration::from_millis(u64::from(script.byte()) * 50),
            29 => self.now += Duration::from_secs(u64::from(script.byte()) * 4),
            31 => {
                let decline = self.room.decline(instance, script);
                self.ask(session, Request::Decline(decline));
            }
            32 => {
                let stamp = self.room.stamp(instance, script);
                self.ask(session, Request::Stamp(stamp));
            }
            33 => {
                let record = Box::new(self.room.record(script));
                self.control(session, &Message::Notice(Notice::Record(record)));
            }
            30 => {
                let answer =
                    [Answer::Done(()), Answer::Refused(conclave_federation::wire::message::Refusal::new(Code::FULL, ""))];
                let answer = answer[script.below(2)].clone();
                self.control(session, &Message::Answer(script.byte().into(), answer));
            }
            _ => {
                let failed = script.once_in(8);
                if let Some(key) = self.stores.pop_front() {
                    let result = if failed { Err(StoreFailed { words: "the disk is full".to_owned() }) } else { Ok(()) };
                    self.handle(Input::Stored { key, result });
                }
            }
        }
    }

    fn alias(&self, session: SessionKey, script: &mut Script<'_>) -> Alias {
        let known = self.edge.sessions.get(&session).map_or(&[][..], |seen| &seen.aliases);
        known.get(script.below(known.len() + 1)).copied().unwrap_or_else(|| Alias::new(u32::from(script.byte())))
    }

    fn header(&self, session: SessionKey, script: &mut Script<'_>) -> ObjectHeader {
        ObjectHeader {
            alias: self.alias(session, script),
            group: u64::from(script.byte() % 8),
            object: u64::from(script.byte() % 8),
            layer: script.byte() % 5,
            flags: 0,
            priority: script.byte() % 4,
        }
    }

    fn group(&mut self, session: SessionKey, script: &mut Script<'_>) {
        let header = self.header(session, script);
        let start = GroupHeader {
            alias: header.alias,
            group: header.group,
            layer: header.layer,
            flags: header.flags,
            priority: header.priority,
        };
        self.next += 1;
        let stream = StreamKey((self.next << 8) | 2);
        let payload = Bytes::copy_from_slice(script.bytes());
        let claimed = payload.len() * (1 + script.below(3));
        let mut bytes = start.encode().to_vec();
        for object in 0..=script.below(3) {
            bytes.extend_from_slice(&GroupHeader::object_head(u64::try_from(object).unwrap_or(0), claimed));
            bytes.extend_from_slice(&payload);
        }
        self.handle(Net::Data { session, stream, kind: StreamKind::Uni, bytes: bytes.into(), fin: script.once_in(2) });
        if script.once_in(8) {
            self.handle(Net::Reset { session, stream, code: Code::LATE });
        }
    }

    fn reliable(&mut self, session: SessionKey, script: &mut Script<'_>) {
        let header = self.header(session, script);
        let payload = script.bytes();
        let bytes = [reliable_start(), reliable_head(&header, payload.len()), Bytes::copy_from_slice(payload)].concat();
        self.next += 1;
        let stream = StreamKey((self.next << 8) | 2);
        self.handle(Net::Data { session, stream, kind: StreamKind::Uni, bytes: bytes.into(), fin: false });
    }
}

/// A join id that the script may name again.
pub(super) fn join_id(script: &mut Script<'_>) -> JoinId {
    JoinId::new([script.byte() % 8; 16])
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_list_is_a_whole_call() {
        for list in crate::corpus::of("relay") {
            let bench = super::drive(&list);
            let stats = bench.node.stats();
            assert!(stats.appends.accepted >= 2, "a genesis and a commit: {:?}", stats.appends);
            assert!(stats.joins.served >= 1, "a join that the commit serves: {:?}", stats.joins);
        }
    }
}

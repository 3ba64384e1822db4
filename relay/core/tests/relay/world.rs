//! A small network in one thread: relays, scripted clients, and between them queues that deliver in order. A session may be
//! given a budget: what does not fit is refused, as a full path would.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Instance, RelayId, RoomId},
    io::{Closed, Dial, DialError, Machine, Net, Now, Outlet, Output as Io, SessionKey, Side, StreamKey, StreamKind, Wrote},
    peering::Policy,
    proof::SigningKey,
    record::{RelayDescriptor, RoomRecord},
    session::{Event, Local, LocalRelay, Remote, Session},
    wire::{
        List, Text,
        code::Code,
        message::{Answer, Notice, Request},
        object::ObjectHeader,
        stream::{GroupHeader, Piece, reliable_head, reliable_start},
    },
};
use conclave_relay_core::{
    Closure, Config, Input, Node, Order, OrderKey, Output, Peer, Restored, RestoredLog, Stats, StoreFailed, StoreKey,
    StoredEntry, Write,
    limits::Limits,
    order::{Obeyed, OrderError},
};

pub(crate) const UNIX: u64 = 1_900_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum At {
    Relay(usize),
    Client(usize),
}

#[derive(Default)]
pub(crate) struct Wires {
    /// Session to its own place, the other end's session and place.
    ends: BTreeMap<SessionKey, (At, SessionKey, At)>,
    queue: VecDeque<(At, Net)>,
    next: u64,
    uni: BTreeSet<StreamKey>,
    /// What a session may still write; none: any amount.
    pub(crate) budget: BTreeMap<SessionKey, usize>,
    refused: BTreeSet<SessionKey>,
    /// Unidirectional streams a session may open; none: any number.
    pub(crate) no_streams: BTreeSet<SessionKey>,
    /// Sum of bytes on streams and in datagrams.
    pub(crate) sent: BTreeMap<(At, At), usize>,
    /// Who sent a datagram, in order.
    pub(crate) datagrams: Vec<SessionKey>,
    pub(crate) resets: Vec<(SessionKey, StreamKey, Code)>,
}

impl Wires {
    fn connect(&mut self, from: At, to: At) -> (SessionKey, SessionKey) {
        self.next += 2;
        let (a, b) = (SessionKey(self.next), SessionKey(self.next + 1));
        self.ends.insert(a, (from, b, to));
        self.ends.insert(b, (to, a, from));
        (a, b)
    }

    fn push(&mut self, session: SessionKey, event: impl FnOnce(SessionKey) -> Net) -> bool {
        let Some((_, other, place)) = self.ends.get(&session).copied() else { return false };
        self.queue.push_back((place, event(other)));
        true
    }

    fn fits(&mut self, session: SessionKey, len: usize) -> usize {
        let Some(budget) = self.budget.get_mut(&session) else { return len };
        let fits = len.min(*budget);
        *budget -= fits;
        if fits < len {
            self.refused.insert(session);
        }
        fits
    }

    fn count(&mut self, session: SessionKey, len: usize) {
        if let Some((from, _, to)) = self.ends.get(&session).copied() {
            *self.sent.entry((from, to)).or_default() += len;
        }
    }

    /// Gives a session room again.
    pub(crate) fn allow(&mut self, session: SessionKey, more: Option<usize>) {
        match more {
            Some(more) => *self.budget.entry(session).or_default() += more,
            None => drop(self.budget.remove(&session)),
        }
        if self.refused.remove(&session)
            && let Some((place, ..)) = self.ends.get(&session)
        {
            self.queue.push_back((*place, Net::Writable { session }));
        }
    }

    /// What was said last overtakes everything that is on its way.
    pub(crate) fn hurry(&mut self) {
        self.queue.rotate_right(1);
    }

    /// Cuts a connection without a word.
    pub(crate) fn cut(&mut self, session: SessionKey) {
        let Some((here, other, there)) = self.ends.remove(&session) else { return };
        self.ends.remove(&other);
        self.queue.push_back((here, Net::Closed { session, why: Closed::Lost }));
        self.queue.push_back((there, Net::Closed { session: other, why: Closed::Lost }));
    }
}

impl Outlet for Wires {
    fn open_uni(&mut self, session: SessionKey, _: u8) -> Option<StreamKey> {
        if !self.ends.contains_key(&session) || self.no_streams.contains(&session) {
            return None;
        }
        self.next += 2;
        self.uni.insert(StreamKey(self.next));
        Some(StreamKey(self.next))
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        self.ends.contains_key(&session).then(|| {
            self.next += 2;
            StreamKey(self.next)
        })
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        if !self.ends.contains_key(&session) {
            return Wrote::Gone;
        }
        let fits = self.fits(session, offered);
        if fits == 0 && offered > 0 {
            return Wrote::Blocked;
        }
        let kind = match stream {
            StreamKey::CONTROL => StreamKind::Control,
            stream if self.uni.contains(&stream) => StreamKind::Uni,
            _ => StreamKind::Bidi,
        };
        let mut left = fits;
        for chunk in chunks {
            let bytes = chunk.split_to(left.min(chunk.len()));
            left -= bytes.len();
            if !bytes.is_empty() {
                self.push(session, |session| Net::Data { session, stream, kind, bytes, fin: false });
            }
        }
        self.count(session, fits);
        Wrote::Accepted(fits)
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        let kind = if self.uni.contains(&stream) { StreamKind::Uni } else { StreamKind::Bidi };
        self.push(session, |session| Net::Data { session, stream, kind, bytes: Bytes::new(), fin: true });
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        self.resets.push((session, stream, code));
        self.push(session, |session| Net::Reset { session, stream, code });
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        self.push(session, |session| Net::Stopped { session, stream, code });
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        let len = bytes.len();
        if self.budget.get(&session).is_some_and(|budget| *budget < len) {
            self.refused.insert(session);
            return Wrote::Blocked;
        }
        self.fits(session, len);
        self.datagrams.push(session);
        if !self.push(session, |session| Net::Datagram { session, bytes }) {
            return Wrote::Gone;
        }
        self.count(session, len);
        Wrote::Accepted(len)
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        let words = words.to_owned();
        self.push(session, |session| Net::Closed { session, why: Closed::ByRemote(code, words) });
        if let Some((_, other, _)) = self.ends.remove(&session) {
            self.ends.remove(&other);
        }
    }
}

pub(crate) struct Relay {
    pub(crate) node: Node,
    pub(crate) id: RelayId,
    wait: Option<Duration>,
    pub(crate) stopped: usize,
}

/// A client that does what it is told and remembers what it saw.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) key: Option<SessionKey>,
    session: Option<Session<u64>>,
    pub(crate) nonce: [u8; 32],
    pub(crate) relay: Option<RelayId>,
    pub(crate) answers: BTreeMap<u64, Answer>,
    next_tag: u64,
    pub(crate) notices: Vec<Notice>,
    pub(crate) datagrams: Vec<(ObjectHeader, Bytes)>,
    pub(crate) groups: BTreeMap<StreamKey, GroupHeader>,
    /// Payload bytes by group, layer and object.
    pub(crate) objects: BTreeMap<(Alias, u64, u8, u64), Vec<u8>>,
    pub(crate) ended: Vec<(GroupHeader, bool)>,
    pub(crate) reliable: Vec<(ObjectHeader, Bytes)>,
    pub(crate) closed: Option<(Code, String)>,
    out: BTreeMap<(Alias, u64, u8), StreamKey>,
    out_reliable: Option<StreamKey>,
}

impl Client {
    fn drain(&mut self) {
        let Some(session) = &mut self.session else { return };
        while let Some(event) = session.next_event() {
            match event {
                Event::Active(Remote::Relay { descriptor, nonce }) => {
                    self.relay = Some(descriptor.relay);
                    self.nonce = nonce;
                }
                Event::Active(other) => panic!("a client meets relays, not {other:?}"),
                // A stand-in for a relay may be asked; it never answers.
                Event::Request(..) => {}
                Event::Answer(tag, answer) => drop(self.answers.insert(tag, answer)),
                Event::Notice(notice) => self.notices.push(notice),
                Event::Piece(stream, Piece::Group(header)) => drop(self.groups.insert(stream, header)),
                Event::Piece(stream, Piece::Part { object, bytes, .. }) => {
                    let header = self.groups[&stream];
                    let at = (header.alias, header.group, header.layer, object);
                    self.objects.entry(at).or_default().extend_from_slice(&bytes);
                }
                Event::Piece(_, Piece::Reliable { header, payload }) => self.reliable.push((header, payload)),
                Event::StreamEnded(stream, complete) => {
                    if let Some(header) = self.groups.get(&stream) {
                        self.ended.push((*header, complete));
                    }
                }
                Event::Datagram(header, payload, _) => self.datagrams.push((header, payload)),
            }
        }
    }

    /// Payloads of a track's objects.
    pub(crate) fn reliable_of(&self, alias: Alias) -> Vec<Bytes> {
        self.reliable.iter().filter(|(header, _)| header.alias == alias).map(|(_, payload)| payload.clone()).collect()
    }

    pub(crate) fn ended_tracks(&self) -> Vec<Alias> {
        let ended = self.notices.iter().filter_map(|notice| if let Notice::Ended(alias) = notice { Some(*alias) } else { None });
        ended.collect()
    }

    pub(crate) fn key_frames(&self) -> usize {
        self.notices.iter().filter(|notice| matches!(notice, Notice::KeyFrame(_))).count()
    }
}

/// Entries by call and place, as a store keeps them.
type Logs = BTreeMap<Instance, BTreeMap<u64, StoredEntry>>;

/// What the store does with writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Works,
    Holds,
    Fails,
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) wires: Wires,
    pub(crate) relays: Vec<Relay>,
    pub(crate) clients: Vec<Client>,
    pub(crate) store: Store,
    pub(crate) held: VecDeque<(usize, StoreKey, Write)>,
    pub(crate) writes: Vec<(usize, Write)>,
    /// What became of orders.
    orders: u64,
    pub(crate) obeyed: BTreeMap<OrderKey, Result<Obeyed, OrderError>>,
    /// Pairs that cannot reach each other.
    pub(crate) unreachable: BTreeSet<(usize, usize)>,
    /// By how much the wall clock was set back, milliseconds.
    pub(crate) clock_back: u64,
}

pub(crate) fn relay_key(at: usize) -> SigningKey {
    SigningKey::from_seed([u8::try_from(at).unwrap() + 1; 32])
}

pub(crate) fn relay_id(at: usize) -> RelayId {
    RelayId::new(*relay_key(at).verifying_key().as_bytes())
}

pub(crate) fn operator_key(at: usize) -> SigningKey {
    SigningKey::from_seed([u8::try_from(at).unwrap() + 101; 32])
}

pub(crate) fn addresses(at: usize) -> Vec<String> {
    vec![format!("relay-{at}.example:4433"), format!("Relay-{at}.Example.org:443")]
}

pub(crate) fn local(at: usize) -> LocalRelay {
    let listed = List::new(addresses(at).iter().map(|address| Text::cut(address)).collect()).unwrap();
    let descriptor = RelayDescriptor::issue(&operator_key(at), relay_id(at), "an operator", listed);
    LocalRelay { descriptor, key: relay_key(at), nonce_secret: [7; 32] }
}

pub(crate) fn config(at: usize, peers: &[usize]) -> Config {
    let peers = peers.iter().map(|peer| Peer { relay: relay_id(*peer), addresses: addresses(*peer) }).collect();
    Config { local: local(at), peers, policy: Policy::Open, limits: Limits::default() }
}

impl World {
    /// Relays that all know each other, with their links up.
    pub(crate) fn new(relays: usize) -> Self {
        let all: Vec<_> = (0..relays).collect();
        let configs = all.iter().map(|at| config(*at, &all)).collect();
        Self::with(configs)
    }

    pub(crate) fn with(configs: Vec<Config>) -> Self {
        let mut world = Self {
            now: Duration::from_secs(1),
            wires: Wires::default(),
            relays: Vec::new(),
            clients: Vec::new(),
            store: Store::Works,
            held: VecDeque::new(),
            writes: Vec::new(),
            orders: 0,
            obeyed: BTreeMap::new(),
            unreachable: BTreeSet::new(),
            clock_back: 0,
        };
        for (at, config) in configs.into_iter().enumerate() {
            world.relays.push(Relay { node: Node::new(config, [9; 32], Vec::new()), id: relay_id(at), wait: None, stopped: 0 });
        }
        world.poll_all();
        world.run();
        world
    }

    pub(crate) fn unix(&self) -> u64 {
        UNIX + u64::try_from(self.now.as_millis()).unwrap() - self.clock_back
    }

    fn time(&self) -> Now {
        Now { mono: self.now, unix_ms: self.unix() }
    }

    pub(crate) fn stats(&self, relay: usize) -> &Stats {
        self.relays[relay].node.stats()
    }

    pub(crate) fn input(&mut self, at: usize, input: Input) {
        let now = self.time();
        self.relays[at].node.handle(now, input, &mut self.wires);
        self.poll(at);
    }

    fn poll(&mut self, at: usize) {
        let now = self.time();
        loop {
            match self.relays[at].node.poll(now, &mut self.wires) {
                Io::Dial(dial) => self.dial(at, &dial),
                Io::Do(Output::Store { key, write }) => {
                    self.writes.push((at, write.clone()));
                    match self.store {
                        Store::Holds => self.held.push_back((at, key, write)),
                        Store::Works => self.confirm(at, key, Ok(())),
                        Store::Fails => self.confirm(at, key, Err(StoreFailed { words: "the disk is full: make room".into() })),
                    }
                }
                Io::Do(Output::Obeyed { key, result }) => drop(self.obeyed.insert(key, result)),
                Io::Do(Output::Stopped) => self.relays[at].stopped += 1,
                Io::Wait(wait) => {
                    self.relays[at].wait = wait;
                    return;
                }
            }
        }
    }

    fn confirm(&mut self, at: usize, key: StoreKey, result: Result<(), StoreFailed>) {
        let now = self.time();
        self.relays[at].node.handle(now, Input::Stored { key, result }, &mut self.wires);
    }

    /// Confirms the oldest write that is held.
    pub(crate) fn confirm_next(&mut self, result: Result<(), StoreFailed>) {
        let (at, key, _) = self.held.pop_front().expect("a write is held");
        self.confirm(at, key, result);
        self.poll(at);
        self.run();
    }

    fn dial(&mut self, from: usize, dial: &Dial) {
        let to = (0..self.relays.len()).find(|to| Some(self.relays[*to].id) == dial.relay);
        match to.filter(|to| !self.unreachable.contains(&(from, *to)) && !self.unreachable.contains(&(*to, from))) {
            Some(to) => {
                let (ours, theirs) = self.wires.connect(At::Relay(from), At::Relay(to));
                let exporter = [u8::try_from(ours.0 % 251).unwrap(); 32];
                let side = Side::Dialled(dial.key, self.relays[to].id);
                self.wires.queue.push_back((At::Relay(from), Net::Connected { session: ours, side, exporter }));
                let accepted = Net::Connected { session: theirs, side: Side::Accepted, exporter };
                self.wires.queue.push_back((At::Relay(to), accepted));
            }
            None => {
                let failed = Net::DialFailed { dial: dial.key, why: DialError::Unreachable };
                self.wires.queue.push_back((At::Relay(from), failed));
            }
        }
    }

    fn poll_all(&mut self) {
        for at in 0..self.relays.len() {
            self.poll(at);
        }
    }

    /// Delivers so many events.
    pub(crate) fn steps(&mut self, steps: usize) {
        for _ in 0..steps {
            let Some((place, event)) = self.wires.queue.pop_front() else { return };
            match place {
                At::Relay(at) => self.input(at, Input::Net(event)),
                At::Client(at) => self.deliver(at, event),
            }
        }
    }

    /// Delivers until nothing is on its way.
    pub(crate) fn run(&mut self) {
        let mut steps = 0;
        while let Some((place, event)) = self.wires.queue.pop_front() {
            steps += 1;
            assert!(steps < 2_000_000, "the network does not come to rest");
            self.wires.queue.push_front((place, event));
            self.steps(1);
        }
    }

    fn deliver(&mut self, at: usize, event: Net) {
        let now = self.time();
        let client = &mut self.clients[at];
        if let Net::Closed { why, .. } = &event {
            client.closed = Some(match why {
                Closed::ByRemote(code, words) => (*code, words.clone()),
                _ => (Code::NONE, String::new()),
            });
        }
        let Some(session) = &mut client.session else { return };
        let result = match event {
            Net::Datagram { bytes, .. } => session.on_datagram(bytes),
            Net::Data { stream, kind, bytes, fin, .. } => session.on_data(now, stream, kind, bytes, fin, &mut self.wires),
            Net::Reset { stream, .. } => {
                session.on_reset(stream);
                Ok(())
            }
            Net::Writable { .. } => session.on_writable(&mut self.wires),
            Net::Closed { .. } | Net::Connected { .. } | Net::DialFailed { .. } | Net::Stopped { .. } => Ok(()),
        };
        result.expect("relays keep to the protocol");
        client.drain();
    }

    /// Lets time pass, in the steps that the relays ask for.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let next = self.relays.iter().filter_map(|relay| relay.wait).min().unwrap_or(end);
            self.now = next.clamp(self.now + Duration::from_millis(1), end);
            self.poll_all();
            self.run();
        }
    }

    /// A client with an open session.
    pub(crate) fn client(&mut self, relay: usize) -> usize {
        self.client_as(relay, &Local::Client)
    }

    /// Somebody who dials a relay, and says what it is told.
    pub(crate) fn client_as(&mut self, relay: usize, who: &Local) -> usize {
        let at = self.clients.len();
        self.clients.push(Client::default());
        let (ours, theirs) = self.wires.connect(At::Client(at), At::Relay(relay));
        let exporter = [u8::try_from(ours.0 % 251).unwrap(); 32];
        let side = Side::Dialled(conclave_federation::io::DialKey(0), self.relays[relay].id);
        let accepted = Net::Connected { session: theirs, side: Side::Accepted, exporter };
        self.wires.queue.push_back((At::Relay(relay), accepted));
        let now = self.time();
        let session = Session::new(now, ours, side, exporter, who, &mut self.wires);
        self.clients[at].session = Some(session);
        self.clients[at].key = Some(ours);
        self.run();
        at
    }

    /// Somebody who connects and says nothing.
    pub(crate) fn silent(&mut self, relay: usize) -> usize {
        let at = self.clients.len();
        self.clients.push(Client::default());
        let (ours, theirs) = self.wires.connect(At::Client(at), At::Relay(relay));
        self.wires
            .queue
            .push_back((At::Relay(relay), Net::Connected { session: theirs, side: Side::Accepted, exporter: [0; 32] }));
        self.clients[at].key = Some(ours);
        self.run();
        at
    }

    /// The relay's end of a client's session.
    pub(crate) fn served(&self, client: usize) -> SessionKey {
        self.wires.ends[&self.clients[client].key.unwrap()].1
    }

    /// Both ends of the link between two relays, the first one's first.
    pub(crate) fn link(&self, a: usize, b: usize) -> Option<(SessionKey, SessionKey)> {
        let ends = self.wires.ends.iter();
        let mut found = ends.filter(|(_, (here, _, there))| (*here, *there) == (At::Relay(a), At::Relay(b)));
        let link = found.next().map(|(session, (_, other, _))| (*session, *other));
        assert!(found.next().is_none(), "one link between two relays");
        link
    }

    pub(crate) fn on_link(&self, a: usize, b: usize) -> usize {
        self.wires.sent.get(&(At::Relay(a), At::Relay(b))).copied().unwrap_or(0)
    }

    /// Asks, and says under which tag the answer will be.
    pub(crate) fn begin(&mut self, client: usize, request: Request) -> u64 {
        let tag = self.send(client, request);
        self.run();
        tag
    }

    /// Asks, and delivers nothing yet.
    pub(crate) fn send(&mut self, client: usize, request: Request) -> u64 {
        let now = self.time();
        let asking = &mut self.clients[client];
        asking.next_tag += 1;
        let tag = asking.next_tag;
        asking.session.as_mut().unwrap().request(now, request, tag, &mut self.wires);
        tag
    }

    pub(crate) fn answer(&mut self, client: usize, tag: u64) -> Option<Answer> {
        self.clients[client].answers.remove(&tag)
    }

    pub(crate) fn ask(&mut self, client: usize, request: Request) -> Answer {
        let tag = self.begin(client, request);
        self.answer(client, tag).expect("an answer")
    }

    /// Asks for something that is refused.
    pub(crate) fn refused(&mut self, client: usize, request: Request) -> Code {
        match self.ask(client, request) {
            Answer::Refused(refusal) => {
                assert!(!refusal.words.as_str().is_empty(), "{} comes with words", refusal.code.name());
                refusal.code
            }
            other => panic!("refused, not {other:?}"),
        }
    }

    pub(crate) fn notify(&mut self, client: usize, notice: Notice) {
        self.say(client, notice);
        self.run();
    }

    /// Says something, and delivers nothing yet.
    pub(crate) fn say(&mut self, client: usize, notice: Notice) {
        self.clients[client].session.as_mut().unwrap().notify(notice, &mut self.wires);
    }

    /// Raw bytes on a stream of a client's session.
    pub(crate) fn raw(&mut self, client: usize, stream: StreamKey, bytes: impl Into<Bytes>) {
        let session = self.clients[client].key.unwrap();
        let _ = self.wires.write(session, stream, &mut [bytes.into()]);
        self.run();
    }

    pub(crate) fn open_uni(&mut self, client: usize) -> StreamKey {
        let session = self.clients[client].key.unwrap();
        self.wires.open_uni(session, 1).unwrap()
    }

    pub(crate) fn datagram(&mut self, client: usize, alias: Alias, group: u64, payload: &[u8]) {
        let header = ObjectHeader { alias, group, object: 0, layer: 0, flags: 0, priority: 1 };
        self.raw_datagram(client, header.datagram(payload).unwrap());
    }

    pub(crate) fn raw_datagram(&mut self, client: usize, bytes: Bytes) {
        let session = self.clients[client].key.unwrap();
        let _ = self.wires.datagram(session, bytes);
        self.run();
    }

    /// An object of a group, on the group's stream.
    pub(crate) fn object(&mut self, client: usize, alias: Alias, (group, layer): (u64, u8), object: u64, payload: &[u8]) {
        let session = self.clients[client].key.unwrap();
        let mut chunks = Vec::new();
        let stream = match self.clients[client].out.get(&(alias, group, layer)) {
            Some(stream) => *stream,
            None => {
                let stream = self.open_uni(client);
                self.clients[client].out.insert((alias, group, layer), stream);
                chunks.push(GroupHeader { alias, group, layer, flags: 0, priority: 2 }.encode());
                stream
            }
        };
        chunks.push(GroupHeader::object_head(object, payload.len()));
        chunks.push(Bytes::copy_from_slice(payload));
        let _ = self.wires.write(session, stream, &mut chunks);
        self.run();
    }

    pub(crate) fn finish(&mut self, client: usize, alias: Alias, (group, layer): (u64, u8)) {
        let session = self.clients[client].key.unwrap();
        let stream = self.clients[client].out.remove(&(alias, group, layer)).unwrap();
        self.wires.finish(session, stream);
        self.run();
    }

    pub(crate) fn reset(&mut self, client: usize, alias: Alias, (group, layer): (u64, u8)) {
        let session = self.clients[client].key.unwrap();
        let stream = self.clients[client].out.remove(&(alias, group, layer)).unwrap();
        self.wires.reset(session, stream, Code::LATE);
        self.run();
    }

    pub(crate) fn reliable(&mut self, client: usize, alias: Alias, (group, object): (u64, u64), payload: &[u8]) {
        let session = self.clients[client].key.unwrap();
        let mut chunks = Vec::new();
        let stream = match self.clients[client].out_reliable {
            Some(stream) => stream,
            None => {
                let stream = self.open_uni(client);
                self.clients[client].out_reliable = Some(stream);
                chunks.push(reliable_start());
                stream
            }
        };
        let header = ObjectHeader { alias, group, object, layer: 0, flags: 0, priority: 0 };
        chunks.push(reliable_head(&header, payload.len()));
        chunks.push(Bytes::copy_from_slice(payload));
        let _ = self.wires.write(session, stream, &mut chunks);
        self.run();
    }

    /// The relay's process is started again with what the store holds.
    pub(crate) fn restart(&mut self, at: usize, peers: &[usize]) {
        let sessions: Vec<_> =
            self.wires.ends.iter().filter(|(_, (here, ..))| *here == At::Relay(at)).map(|(session, _)| *session).collect();
        for session in sessions {
            self.wires.cut(session);
        }
        self.wires.queue.retain(|(place, _)| *place != At::Relay(at));
        let restored = self.restored(at);
        let closures = self.closures(at);
        self.relays[at].node = Node::new(config(at, peers), [10; 32], restored).remembering("", closures);
        self.poll(at);
        self.run();
    }

    /// Orders something, and delivers nothing yet.
    pub(crate) fn order(&mut self, relay: usize, order: Order) -> OrderKey {
        self.orders += 1;
        let key = OrderKey(self.orders);
        self.input(relay, Input::Order { key, order });
        key
    }

    fn closures(&self, at: usize) -> Vec<Closure> {
        let mut closures = BTreeMap::new();
        for (_, write) in self.writes.iter().filter(|(relay, _)| *relay == at) {
            match write {
                Write::Close(closure) => drop(closures.insert(closure.room, closure.clone())),
                Write::Reopen(room) => drop(closures.remove(room)),
                Write::Record(_) | Write::Append { .. } | Write::Forget { .. } => {}
            }
        }
        closures.into_values().collect()
    }

    /// What a store would have kept of all its confirmed writes.
    fn restored(&self, at: usize) -> Vec<Restored> {
        let mut rooms: BTreeMap<RoomId, (RoomRecord, Logs)> = BTreeMap::new();
        for (_, write) in self.writes.iter().filter(|(relay, _)| *relay == at) {
            match write.clone() {
                Write::Record(record) => {
                    let logs = rooms.remove(&record.room).map(|(_, logs)| logs).unwrap_or_default();
                    rooms.insert(record.room, (record, logs));
                }
                Write::Append { room, instance, seq, entry } => {
                    let known = rooms.get_mut(&room).expect("a record first");
                    if let Some(record) = &entry.entry.record {
                        known.0 = record.clone();
                    }
                    known.1.entry(instance).or_default().insert(seq, entry);
                }
                Write::Close(_) | Write::Reopen(_) => {}
                // The number of a call outlives its log.
                Write::Forget { room, instance } => {
                    drop(rooms.get_mut(&room).expect("a record first").1.insert(instance, BTreeMap::new()));
                }
            }
        }
        let logs = |logs: Logs| {
            let log = |(instance, entries): (Instance, BTreeMap<u64, StoredEntry>)| RestoredLog {
                instance,
                entries: entries.into_values().collect(),
            };
            logs.into_iter().map(log).collect()
        };
        rooms.into_values().map(|(record, entries)| Restored { record, logs: logs(entries) }).collect()
    }
}

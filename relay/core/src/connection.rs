//! One session of the data plane: who is there, which of its aliases mean which track here, and which groups it is sending.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use conclave_federation::{
    id::Alias,
    io::{DialKey, Outlet, SessionKey, StreamKey, Wrote},
    limits::WHOLE_OBJECT,
    session::Session,
    wire::{
        code::Code,
        object::ObjectHeader,
        stream::{GroupHeader, Piece},
    },
};

use crate::{
    admit::Bucket,
    between::Tag,
    egress::Reliable,
    fanout::Part,
    limits::{Limits, MAX_EARLY_BYTES, MAX_EARLY_OBJECTS},
    stats::Kind,
};

/// A group that is arriving.
struct Inbound {
    alias: Alias,
    group: u64,
    layer: u8,
    /// A small object of which only a part is here: it goes on when it is whole.
    partial: BytesMut,
}

/// Came before the answer that says which track it is of.
enum Early {
    Piece(StreamKey, Piece),
    Ended(StreamKey, bool),
}

impl Early {
    fn bytes(&self) -> usize {
        match self {
            Self::Piece(_, Piece::Part { bytes, .. }) => bytes.len(),
            Self::Piece(_, Piece::Reliable { payload, .. }) => payload.len(),
            Self::Piece(_, Piece::Group(_)) | Self::Ended(..) => 0,
        }
    }

    /// Whether it belongs to the group on this stream.
    fn is_of(&self, group: StreamKey) -> bool {
        match self {
            Self::Piece(stream, Piece::Group(_) | Piece::Part { .. }) | Self::Ended(stream, _) => *stream == group,
            Self::Piece(_, Piece::Reliable { .. }) => false,
        }
    }
}

/// What the session sent, with our name for the track.
pub(crate) enum Arrived {
    /// A group and layer begins on a stream.
    Begin(StreamKey, Alias, GroupHeader),
    /// Bytes of an object.
    Part(StreamKey, Alias, Part),
    /// A group and layer ended, complete or not.
    End(Alias, u64, u8, bool),
    /// A whole object of a reliable track.
    Reliable(Alias, ObjectHeader, Bytes),
    /// It belongs to nothing here; of a stream, the rest is not wanted either.
    Unknown(Option<StreamKey>),
    /// It waits for an answer that is on its way.
    Later,
    /// More of the same object has to come first, or the stream was given up before.
    Nothing,
    /// More waits than is kept: of a reliable track something would be missing.
    TooEarly,
}

/// One session.
pub(crate) struct Connection {
    pub(crate) key: SessionKey,
    pub(crate) session: Session<Tag>,
    pub(crate) dial: Option<DialKey>,
    pub(crate) kind: Kind,
    /// Where its traffic is counted, when it is a link.
    pub(crate) link: usize,
    /// Tracks that it wants.
    pub(crate) subscriptions: BTreeSet<Alias>,
    pub(crate) reliable: Reliable,
    /// Tracks of which something waits for it.
    pub(crate) blocked: BTreeSet<Alias>,
    /// Bytes of groups that wait for it.
    pub(crate) queued: usize,
    /// When its session wants to be woken, as registered.
    pub(crate) deadline: Option<Duration>,
    incoming: HashMap<Alias, Alias>,
    streams: BTreeMap<StreamKey, Inbound>,
    awaiting: usize,
    early: VecDeque<Early>,
    early_bytes: usize,
    early_streams: BTreeSet<StreamKey>,
    ingress_bytes: Bucket,
    ingress_objects: Bucket,
    over: Option<(Duration, Duration)>,
}

/// Whether what a publisher sends is within its share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Welcome,
    TooMuch,
    /// For too long.
    Close,
}

impl Connection {
    pub(crate) fn new(key: SessionKey, session: Session<Tag>, dial: Option<DialKey>) -> Self {
        Self {
            key,
            session,
            dial,
            kind: Kind::Opening,
            link: 0,
            subscriptions: BTreeSet::new(),
            reliable: Reliable::default(),
            blocked: BTreeSet::new(),
            queued: 0,
            deadline: None,
            incoming: HashMap::new(),
            streams: BTreeMap::new(),
            awaiting: 0,
            early: VecDeque::new(),
            early_bytes: 0,
            early_streams: BTreeSet::new(),
            ingress_bytes: Bucket::new(),
            ingress_objects: Bucket::new(),
            over: None,
        }
    }

    /// What the remote's alias means here.
    pub(crate) fn meaning(&self, remote: Alias) -> Option<Alias> {
        self.incoming.get(&remote).copied()
    }

    /// The remote's alias means this track from now on.
    pub(crate) fn bind(&mut self, remote: Alias, alias: Alias) {
        self.incoming.insert(remote, alias);
    }

    /// It means nothing any more. Says which groups were on their way.
    pub(crate) fn unbind(&mut self, remote: Alias) -> Vec<(Alias, u64, u8)> {
        let Some(alias) = self.incoming.remove(&remote) else { return Vec::new() };
        self.drop_streams(|inbound| inbound.alias == alias)
    }

    /// The session is over: which groups were on their way.
    pub(crate) fn drain(&mut self) -> Vec<(Alias, u64, u8)> {
        self.drop_streams(|_| true)
    }

    fn drop_streams(&mut self, is_meant: impl Fn(&Inbound) -> bool) -> Vec<(Alias, u64, u8)> {
        let keys: Vec<_> = self.streams.iter().filter(|(_, inbound)| is_meant(inbound)).map(|(key, _)| *key).collect();
        let gone = keys.into_iter().filter_map(|key| self.streams.remove(&key));
        gone.map(|inbound| (inbound.alias, inbound.group, inbound.layer)).collect()
    }

    /// Asked for a track; objects of it may overtake the answer.
    pub(crate) fn await_binding(&mut self) {
        self.awaiting += 1;
    }

    /// The answer is here. Returns whether things may be waiting for it: then call [`Self::take_early`].
    pub(crate) fn on_binding(&mut self) -> bool {
        self.awaiting = self.awaiting.saturating_sub(1);
        !self.early.is_empty()
    }

    /// What has been waiting, to be looked at again.
    pub(crate) fn take_early(&mut self, mut each: impl FnMut(&mut Self, Arrived)) {
        self.early_bytes = 0;
        self.early_streams.clear();
        for early in std::mem::take(&mut self.early) {
            let arrived = match early {
                Early::Piece(stream, piece) => self.on_piece(stream, piece),
                Early::Ended(stream, complete) => self.on_ended(stream, complete),
            };
            each(self, arrived);
        }
    }

    fn hold(&mut self, early: Early, len: usize) -> Arrived {
        if self.early.len() >= MAX_EARLY_OBJECTS || self.early_bytes + len > MAX_EARLY_BYTES {
            // A group may be lost, an object of a reliable track may not.
            return match early {
                Early::Piece(stream, Piece::Group(_) | Piece::Part { .. }) => {
                    self.early_streams.remove(&stream);
                    self.early.retain(|held| !held.is_of(stream));
                    self.early_bytes = self.early.iter().map(Early::bytes).sum();
                    Arrived::Unknown(Some(stream))
                }
                Early::Piece(_, Piece::Reliable { .. }) => Arrived::TooEarly,
                Early::Ended(..) => Arrived::Nothing,
            };
        }
        self.early_bytes += len;
        self.early.push_back(early);
        Arrived::Later
    }

    /// From a unidirectional stream.
    pub(crate) fn on_piece(&mut self, stream: StreamKey, piece: Piece) -> Arrived {
        match piece {
            Piece::Group(header) => match self.meaning(header.alias) {
                Some(alias) => {
                    let inbound = Inbound { alias, group: header.group, layer: header.layer, partial: BytesMut::new() };
                    self.streams.insert(stream, inbound);
                    Arrived::Begin(stream, alias, header)
                }
                None if self.awaiting > 0 => {
                    self.early_streams.insert(stream);
                    self.hold(Early::Piece(stream, Piece::Group(header)), 0)
                }
                None => Arrived::Unknown(Some(stream)),
            },
            Piece::Part { object, len, offset, bytes } => {
                if self.early_streams.contains(&stream) {
                    let held = bytes.len();
                    return self.hold(Early::Piece(stream, Piece::Part { object, len, offset, bytes }), held);
                }
                let Some(inbound) = self.streams.get_mut(&stream) else { return Arrived::Nothing };
                let (alias, group, layer) = (inbound.alias, inbound.group, inbound.layer);
                let (offset, bytes) = if len <= WHOLE_OBJECT && bytes.len() < len {
                    inbound.partial.extend_from_slice(&bytes);
                    if inbound.partial.len() < len {
                        return Arrived::Nothing;
                    }
                    (0, inbound.partial.split().freeze())
                } else {
                    (offset, bytes)
                };
                Arrived::Part(stream, alias, Part { group, layer, object, len, offset, bytes })
            }
            Piece::Reliable { header, payload } => match self.meaning(header.alias) {
                Some(alias) => Arrived::Reliable(alias, header, payload),
                None if self.awaiting > 0 => {
                    let held = payload.len();
                    self.hold(Early::Piece(stream, Piece::Reliable { header, payload }), held)
                }
                None => Arrived::Unknown(None),
            },
        }
    }

    /// A unidirectional stream ended.
    pub(crate) fn on_ended(&mut self, stream: StreamKey, complete: bool) -> Arrived {
        if self.early_streams.contains(&stream) {
            return self.hold(Early::Ended(stream, complete), 0);
        }
        match self.streams.remove(&stream) {
            Some(inbound) => Arrived::End(inbound.alias, inbound.group, inbound.layer, complete),
            None => Arrived::Nothing,
        }
    }

    /// The rest of a stream is not wanted.
    pub(crate) fn refuse_stream(&mut self, stream: StreamKey, code: Code, outlet: &mut impl Outlet) {
        self.streams.remove(&stream);
        self.session.ignore(stream);
        outlet.stop(self.key, stream, code);
    }

    /// Whether a publisher may send this much more.
    pub(crate) fn admit(&mut self, now: Duration, limits: &Limits, objects: u64, bytes: usize) -> Admission {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.ingress_objects.take(now, limits.ingress_objects, objects)
            && self.ingress_bytes.take(now, limits.ingress_bytes, bytes)
        {
            return Admission::Welcome;
        }
        // One quiet second ends an excess.
        let since = match self.over {
            Some((since, last)) if last + Duration::from_secs(1) > now => since,
            Some(_) | None => now,
        };
        self.over = Some((since, now));
        if since + limits.ingress_patience <= now { Admission::Close } else { Admission::TooMuch }
    }
}

/// The sessions of a shard: found by key when something arrives, by place when something is sent.
#[derive(Default)]
pub(crate) struct Slab {
    slots: Vec<Option<Connection>>,
    places: HashMap<SessionKey, usize>,
    free: Vec<usize>,
    /// Sessions for which something waits.
    busy: BTreeSet<usize>,
}

impl Slab {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> usize {
        let key = connection.key;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(connection);
        }
        self.places.insert(key, slot);
        slot
    }

    pub(crate) fn remove(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.slots.get_mut(slot)?.take()?;
        self.places.remove(&connection.key);
        self.free.push(slot);
        self.busy.remove(&slot);
        Some(connection)
    }

    pub(crate) fn slot(&self, session: SessionKey) -> Option<usize> {
        self.places.get(&session).copied()
    }

    pub(crate) fn at(&self, slot: usize) -> Option<&Connection> {
        self.slots.get(slot)?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Every place that is taken, in order.
    pub(crate) fn slots(&self) -> Vec<usize> {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(at, _)| at).collect()
    }

    /// Something of a track waits for a session, or nothing does any more.
    pub(crate) fn note_blocked(&mut self, slot: usize, alias: Alias, blocked: bool) {
        let Some(connection) = self.at_mut(slot) else { return };
        if blocked {
            connection.blocked.insert(alias);
            self.busy.insert(slot);
        } else {
            connection.blocked.remove(&alias);
            self.settle(slot);
        }
    }

    /// The reliable stream of a session waits.
    pub(crate) fn note_stuck(&mut self, slot: usize) {
        self.busy.insert(slot);
    }

    /// Looks whether anything waits for a session still.
    pub(crate) fn settle(&mut self, slot: usize) {
        if self.at(slot).is_none_or(|connection| connection.blocked.is_empty() && !connection.reliable.is_stuck()) {
            self.busy.remove(&slot);
        }
    }

    /// Sessions for which something waits.
    pub(crate) fn busy(&self) -> Vec<usize> {
        self.busy.iter().copied().collect()
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.busy.is_empty()
    }
}

/// Counts the bytes that a session writes.
pub(crate) struct Metered<'a, O> {
    outlet: &'a mut O,
    pub(crate) written: usize,
}

impl<'a, O: Outlet> Metered<'a, O> {
    pub(crate) fn new(outlet: &'a mut O) -> Self {
        Self { outlet, written: 0 }
    }
}

impl<O: Outlet> Outlet for Metered<'_, O> {
    fn open_uni(&mut self, session: SessionKey, priority: u8) -> Option<StreamKey> {
        self.outlet.open_uni(session, priority)
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        self.outlet.open_bidi(session)
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let wrote = self.outlet.write(session, stream, chunks);
        if let Wrote::Accepted(len) = wrote {
            self.written += len;
        }
        wrote
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        self.outlet.finish(session, stream);
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        self.outlet.reset(session, stream, code);
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        self.outlet.stop(session, stream, code);
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        self.outlet.datagram(session, bytes)
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        self.outlet.close(session, code, words);
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::{
        io::{Now, Side},
        session::Local,
    };

    use super::*;

    struct Nowhere;

    impl Outlet for Nowhere {
        fn open_uni(&mut self, _: SessionKey, _: u8) -> Option<StreamKey> {
            None
        }
        fn open_bidi(&mut self, _: SessionKey) -> Option<StreamKey> {
            None
        }
        fn write(&mut self, _: SessionKey, _: StreamKey, _: &mut [Bytes]) -> Wrote {
            Wrote::Gone
        }
        fn finish(&mut self, _: SessionKey, _: StreamKey) {}
        fn reset(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
        fn stop(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
        fn datagram(&mut self, _: SessionKey, _: Bytes) -> Wrote {
            Wrote::Gone
        }
        fn close(&mut self, _: SessionKey, _: Code, _: &str) {}
    }

    const THEIRS: Alias = Alias::new(1);
    const OURS: Alias = Alias::new(2);
    const GROUP: StreamKey = StreamKey(4);
    const RELIABLE: StreamKey = StreamKey(6);

    fn connection() -> Connection {
        let now = Now { mono: Duration::ZERO, unix_ms: 0 };
        let key = SessionKey(1);
        Connection::new(key, Session::new(now, key, Side::Accepted, [0; 32], &Local::Client, &mut Nowhere), None)
    }

    fn header() -> GroupHeader {
        GroupHeader { alias: THEIRS, group: 3, layer: 0, flags: 0, priority: 2 }
    }

    fn part(object: u64, len: usize) -> Piece {
        Piece::Part { object, len, offset: 0, bytes: vec![0; len].into() }
    }

    fn reliable(object: u64) -> Piece {
        Piece::Reliable { header: header().object(object), payload: Bytes::from_static(b"x") }
    }

    #[test]
    fn objects_that_overtake_the_answer_wait_for_it_in_their_order() {
        let mut connection = connection();
        connection.await_binding();
        assert!(matches!(connection.on_piece(GROUP, Piece::Group(header())), Arrived::Later));
        assert!(matches!(connection.on_piece(RELIABLE, reliable(0)), Arrived::Later));
        assert!(matches!(connection.on_piece(GROUP, part(0, 9)), Arrived::Later));
        assert!(matches!(connection.on_piece(RELIABLE, reliable(1)), Arrived::Later));
        assert!(matches!(connection.on_ended(GROUP, true), Arrived::Later));
        connection.bind(THEIRS, OURS);
        assert!(connection.on_binding());
        let mut seen = Vec::new();
        connection.take_early(|_, arrived| {
            seen.push(match arrived {
                Arrived::Begin(_, OURS, _) => "begin",
                Arrived::Part(_, OURS, _) => "part",
                Arrived::Reliable(OURS, header, _) if header.object == 0 => "first",
                Arrived::Reliable(OURS, ..) => "second",
                Arrived::End(OURS, 3, 0, true) => "end",
                _ => "something else",
            });
        });
        assert_eq!(seen, ["begin", "first", "part", "second", "end"]);
        assert!(matches!(connection.on_piece(RELIABLE, reliable(2)), Arrived::Reliable(OURS, ..)));
    }

    #[test]
    fn what_waits_for_nothing_is_not_kept() {
        let mut connection = connection();
        assert!(matches!(connection.on_piece(GROUP, Piece::Group(header())), Arrived::Unknown(Some(GROUP))));
        assert!(matches!(connection.on_piece(RELIABLE, reliable(0)), Arrived::Unknown(None)));
        connection.await_binding();
        assert!(matches!(connection.on_piece(RELIABLE, reliable(1)), Arrived::Later));
        assert!(connection.on_binding(), "it was refused");
        connection.take_early(|_, arrived| assert!(matches!(arrived, Arrived::Unknown(None))));
    }

    #[test]
    fn what_waits_is_bounded_and_a_group_is_lost_before_anything_reliable_is() {
        let mut connection = connection();
        connection.await_binding();
        assert!(matches!(connection.on_piece(RELIABLE, reliable(0)), Arrived::Later));
        assert!(matches!(connection.on_piece(GROUP, Piece::Group(header())), Arrived::Later));
        let mut object = 0;
        while let Arrived::Later = connection.on_piece(GROUP, part(object, 100_000)) {
            object += 1;
            assert!(connection.early_bytes <= MAX_EARLY_BYTES && object < 1_000);
        }
        assert_eq!(connection.early.len(), 1, "the group is gone, the other object waits still");
        for object in 1.. {
            match connection.on_piece(RELIABLE, reliable(object)) {
                Arrived::Later => assert!(connection.early.len() <= MAX_EARLY_OBJECTS),
                Arrived::TooEarly => return,
                _ => panic!("it waits or it is too much"),
            }
        }
    }
}

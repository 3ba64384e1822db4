//! One connection: its two ends, its streams, and what arrives at them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::RelayId,
    io::{Closed, Net, SessionKey, Side, StreamKey, StreamKind},
    wire::code::Code,
};

use super::{Happening, HostId, Network};

/// Added to the keys of streams at the accepting end, so that no machine believes the two ends' keys to be the same.
const FAR: u64 = 1_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The handshake is not over, as seen from this end.
    Opening,
    Open,
    Gone,
}

pub(super) struct End {
    pub(super) session: SessionKey,
    pub(super) state: State,
    /// A write was refused: [`Net::Writable`] is owed.
    pub(super) blocked: bool,
    /// Bytes of streams that the remote has not read.
    pub(super) unread: usize,
    /// Bytes of datagrams that have not left.
    pub(super) datagrams: usize,
    pub(super) open_uni: usize,
    pub(super) open_bidi: usize,
    pub(super) silent_since: Option<Duration>,
}

impl End {
    const fn new(session: SessionKey) -> Self {
        Self {
            session,
            state: State::Opening,
            blocked: false,
            unread: 0,
            datagrams: 0,
            open_uni: 0,
            open_bidi: 0,
            silent_since: None,
        }
    }
}

/// What one end sends on a stream.
#[derive(Default)]
pub(super) struct Half {
    /// Bytes taken so far; the place of the next one.
    pub(super) offset: u64,
    /// Bytes that the remote has not read.
    pub(super) unread: usize,
    /// The sender is done: finished, reset, or told to stop.
    pub(super) finished: bool,
    pub(super) reset: bool,
    pub(super) stopped: bool,
    /// The receiver's side: what was read, and what waits for bytes before it.
    pub(super) read: u64,
    early: BTreeMap<u64, (Bytes, bool)>,
    /// The receiver has seen the end, or does not want it.
    over: bool,
    pub(super) unwanted: bool,
}

impl Half {
    const fn none() -> Self {
        Self {
            offset: 0,
            unread: 0,
            finished: true,
            reset: false,
            stopped: false,
            read: 0,
            early: BTreeMap::new(),
            over: true,
            unwanted: false,
        }
    }

    /// Whether the sender may not write on it any more.
    pub(super) const fn is_closed(&self) -> bool {
        self.finished || self.reset || self.stopped
    }

    const fn is_done(&self) -> bool {
        (self.over || self.unwanted) && (self.reset || self.stopped || (self.finished && self.unread == 0))
    }
}

pub(super) struct Stream {
    pub(super) kind: StreamKind,
    pub(super) opener: usize,
    /// By the end that sends.
    pub(super) halves: [Half; 2],
}

/// Something on its way from one end to the other.
pub(super) enum Packet {
    /// The end of the handshake.
    Opened,
    Segment {
        stream: u64,
        offset: u64,
        bytes: Bytes,
        fin: bool,
    },
    /// The remote has read this much more.
    Read {
        stream: u64,
        len: usize,
    },
    Datagram(Bytes),
    Reset {
        stream: u64,
        code: Code,
    },
    Stop {
        stream: u64,
        code: Code,
    },
    Close {
        code: Code,
        words: String,
    },
}

pub(super) struct Conn {
    /// The dialler first.
    pub(super) hosts: [HostId; 2],
    pub(super) ends: [End; 2],
    pub(super) identity: RelayId,
    pub(super) exporter: [u8; 32],
    pub(super) streams: BTreeMap<u64, Stream>,
    pub(super) next_stream: u64,
    /// What could not arrive yet: the path is cut, or the end is not open.
    pub(super) stalled: VecDeque<(usize, Packet)>,
}

impl Conn {
    pub(super) fn new(hosts: [HostId; 2], keys: [SessionKey; 2], identity: RelayId, exporter: [u8; 32]) -> Self {
        let control = Stream { kind: StreamKind::Control, opener: 0, halves: [Half::default(), Half::default()] };
        Self {
            hosts,
            ends: [End::new(keys[0]), End::new(keys[1])],
            identity,
            exporter,
            streams: BTreeMap::from([(StreamKey::CONTROL.0, control)]),
            next_stream: 1,
            stalled: VecDeque::new(),
        }
    }

    /// What `side` calls a stream.
    pub(super) const fn key(side: usize, stream: u64) -> StreamKey {
        if side == 0 || stream == StreamKey::CONTROL.0 { StreamKey(stream) } else { StreamKey(stream + FAR) }
    }

    /// The stream that `side` calls so.
    pub(super) const fn stream(side: usize, key: StreamKey) -> u64 {
        if side == 0 || key.0 == StreamKey::CONTROL.0 { key.0 } else { key.0.wrapping_sub(FAR) }
    }

    pub(super) fn open(&mut self, side: usize, kind: StreamKind) -> StreamKey {
        let stream = self.next_stream;
        self.next_stream += 1;
        let mut halves = [Half::default(), Half::default()];
        if kind == StreamKind::Uni {
            halves[1 - side] = Half::none();
            self.ends[side].open_uni += 1;
        } else {
            self.ends[side].open_bidi += 1;
        }
        self.streams.insert(stream, Stream { kind, opener: side, halves });
        Self::key(side, stream)
    }

    /// Forgets a stream of which nothing more can come.
    pub(super) fn sweep(&mut self, stream: u64) {
        let Some(found) = self.streams.get(&stream) else { return };
        if found.kind != StreamKind::Control && found.halves.iter().all(Half::is_done) {
            let (kind, opener) = (found.kind, found.opener);
            self.streams.remove(&stream);
            let end = &mut self.ends[opener];
            if kind == StreamKind::Uni {
                end.open_uni -= 1;
            } else {
                end.open_bidi -= 1;
            }
        }
    }

    /// The sender gives up: nothing of this half counts against its windows any more.
    pub(super) fn release(&mut self, side: usize, stream: u64) {
        if let Some(found) = self.streams.get_mut(&stream) {
            let half = &mut found.halves[side];
            self.ends[side].unread -= half.unread;
            half.unread = 0;
        }
    }
}

impl Network {
    pub(super) fn arrive(&mut self, key: u64, to: usize, packet: Packet) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let cut = self.cuts.contains_key(&super::pair(conn.hosts[0], conn.hosts[1]));
        let state = conn.ends[to].state;
        if state == State::Gone {
            return;
        }
        if cut || (state == State::Opening && !matches!(packet, Packet::Opened)) {
            if matches!(packet, Packet::Datagram(_)) {
                self.stats.datagrams_lost += 1;
            } else {
                conn.stalled.push_back((to, packet));
            }
            return;
        }
        let (host, session) = (conn.hosts[to], conn.ends[to].session);
        match packet {
            Packet::Opened => {
                conn.ends[to].state = State::Open;
                let exporter = conn.exporter;
                self.ready.push_back((host, Net::Connected { session, side: Side::Accepted, exporter }));
                self.unstall(key, Duration::ZERO);
            }
            Packet::Segment { stream, offset, bytes, fin } => self.on_segment(key, to, stream, offset, bytes, fin),
            Packet::Read { stream, len } => {
                if let Some(found) = conn.streams.get_mut(&stream)
                    && !found.halves[to].reset
                    && !found.halves[to].stopped
                {
                    found.halves[to].unread -= len;
                    conn.ends[to].unread -= len;
                    conn.sweep(stream);
                    self.say_writable(key, to);
                }
            }
            Packet::Datagram(bytes) => self.ready.push_back((host, Net::Datagram { session, bytes })),
            Packet::Reset { stream, code } => {
                let Some(found) = conn.streams.get_mut(&stream) else { return };
                let half = &mut found.halves[1 - to];
                let told = !half.over && !half.unwanted;
                half.over = true;
                half.early.clear();
                conn.sweep(stream);
                if told {
                    self.ready.push_back((host, Net::Reset { session, stream: Conn::key(to, stream), code }));
                }
            }
            Packet::Stop { stream, code } => {
                let Some(found) = conn.streams.get_mut(&stream) else { return };
                let half = &mut found.halves[to];
                let delivered = half.finished && half.unread == 0;
                let told = !half.reset && !delivered;
                half.stopped = true;
                conn.release(to, stream);
                conn.sweep(stream);
                if told {
                    self.ready.push_back((host, Net::Stopped { session, stream: Conn::key(to, stream), code }));
                }
                self.say_writable(key, to);
            }
            Packet::Close { code, words } => {
                self.stats.closed += 1;
                self.close_end(key, to, Closed::ByRemote(code, words));
            }
        }
    }

    fn on_segment(&mut self, key: u64, to: usize, stream: u64, offset: u64, bytes: Bytes, fin: bool) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let (host, session) = (conn.hosts[to], conn.ends[to].session);
        let Some(found) = conn.streams.get_mut(&stream) else { return };
        let (kind, half) = (found.kind, &mut found.halves[1 - to]);
        if half.over || half.unwanted {
            return;
        }
        half.early.insert(offset, (bytes, fin));
        let mut read = 0;
        while let Some((bytes, fin)) = half.early.remove(&half.read) {
            half.read += u64::try_from(bytes.len()).unwrap_or(0);
            read += bytes.len();
            half.over = fin;
            self.ready.push_back((host, Net::Data { session, stream: Conn::key(to, stream), kind, bytes, fin }));
            if fin {
                break;
            }
        }
        if read > 0 {
            let [a, b] = [conn.hosts[to], conn.hosts[1 - to]];
            let at = self.trip(a, b, 0);
            self.at(at, Happening::Arrives { conn: key, to: 1 - to, packet: Packet::Read { stream, len: read } });
        }
        if let Some(conn) = self.conns.get_mut(&key) {
            conn.sweep(stream);
        }
    }

    pub(super) fn on_left(&mut self, key: u64, from: usize, len: usize) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        conn.ends[from].datagrams -= len;
        self.say_writable(key, from);
    }

    fn say_writable(&mut self, key: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let end = &mut conn.ends[side];
        if end.blocked && end.state == State::Open {
            end.blocked = false;
            self.stats.writable += 1;
            self.ready.push_back((conn.hosts[side], Net::Writable { session: end.session }));
        }
    }
}

//! One host's edge of the network: what its machine writes through.

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Net, Outlet, SessionKey, StreamKey, StreamKind, Wrote},
    limits::{MAX_DATAGRAM, MAX_WORDS},
    wire::code::Code,
};

use super::{
    Happening, HostId, Network, Sent,
    conn::{Conn, Packet, State},
    way,
};

/// Largest piece of a stream that travels as one packet here: what one read of a driver returns at most.
const MAX_PIECE: usize = 8 * 1024;

/// Pieces that are cut at a bad place, of a thousand.
const ODD_CUTS: u32 = 60;

/// One host's edge; answers at once.
pub struct HostOutlet<'a> {
    net: &'a mut Network,
    host: HostId,
}

impl<'a> HostOutlet<'a> {
    pub(super) const fn new(net: &'a mut Network, host: HostId) -> Self {
        Self { net, host }
    }

    /// The connection and our side of it, if it is up and ours.
    fn find(&mut self, session: SessionKey) -> Option<(u64, usize)> {
        let (conn, side) = *self.net.sessions.get(&session)?;
        let found = self.net.conns.get(&conn)?;
        if found.hosts[side] != self.host {
            self.breach("used a session of another host");
            return None;
        }
        (found.ends[side].state == State::Open).then_some((conn, side))
    }

    fn conn(&mut self, key: u64) -> Option<&mut Conn> {
        self.net.conns.get_mut(&key)
    }

    fn breach(&mut self, what: &str) {
        self.net.breaches.push(format!("host {} {what}", self.host.0));
    }

    fn open(&mut self, session: SessionKey, kind: StreamKind) -> Option<StreamKey> {
        let (key, side) = self.find(session)?;
        let settings = self.net.settings;
        let conn = self.conn(key)?;
        let end = &conn.ends[side];
        let full = match kind {
            StreamKind::Uni => end.open_uni >= settings.max_uni,
            StreamKind::Control | StreamKind::Bidi => end.open_bidi >= settings.max_bidi,
        };
        (!full).then(|| conn.open(side, kind))
    }

    fn try_write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Option<Wrote> {
        let (key, side) = self.find(session)?;
        let settings = self.net.settings;
        let number = Conn::stream(side, stream);
        let conn = self.conn(key)?;
        let found = conn.streams.get_mut(&number)?;
        let half = &mut found.halves[side];
        if half.is_closed() {
            return None;
        }
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        if offered == 0 {
            return Some(Wrote::Accepted(0));
        }
        let room = (settings.stream_window.saturating_sub(half.unread))
            .min(settings.session_window.saturating_sub(conn.ends[side].unread))
            .min(offered);
        let mut offset = half.offset;
        half.offset += u64::try_from(room).unwrap_or(0);
        half.unread += room;
        let kind = found.kind;
        conn.ends[side].unread += room;
        if room < offered {
            conn.ends[side].blocked = true;
            self.net.stats.blocked += 1;
        }
        if room == 0 {
            return Some(Wrote::Blocked);
        }
        let mut left = room;
        for chunk in chunks {
            let mut taken = chunk.split_to(left.min(chunk.len()));
            left -= taken.len();
            self.note(session, Some((stream, kind)), &taken);
            while !taken.is_empty() {
                let piece = taken.split_to(self.piece(taken.len()));
                let len = piece.len();
                self.net.stats.segments += 1;
                self.net.post(key, side, len, Packet::Segment { stream: number, offset, bytes: piece, fin: false });
                offset += u64::try_from(len).unwrap_or(0);
            }
        }
        Some(Wrote::Accepted(room))
    }

    fn piece(&mut self, len: usize) -> usize {
        let most = len.min(MAX_PIECE);
        if self.net.chance.permille(ODD_CUTS) { 1 + self.net.chance.index(most) } else { most }.min(len)
    }

    fn note(&mut self, session: SessionKey, stream: Option<(StreamKey, StreamKind)>, bytes: &Bytes) {
        if !bytes.is_empty() {
            self.net.stats.bytes += u64::try_from(bytes.len()).unwrap_or(0);
            self.net.sent.push(Sent { host: self.host, session, stream, bytes: bytes.clone() });
        }
    }

    fn try_datagram(&mut self, session: SessionKey, bytes: Bytes) -> Option<Wrote> {
        let (key, side) = self.find(session)?;
        let len = bytes.len();
        if len > MAX_DATAGRAM {
            self.breach("offered a datagram that is too long");
            return None;
        }
        let limit = self.net.settings.datagram_buffer;
        let conn = self.conn(key)?;
        let end = &mut conn.ends[side];
        if end.datagrams + len > limit {
            end.blocked = true;
            self.net.stats.blocked += 1;
            return Some(Wrote::Blocked);
        }
        end.datagrams += len;
        let [a, b] = [conn.hosts[side], conn.hosts[1 - side]];
        let now = self.net.now;
        let trip = way(&mut self.net.ways, self.net.usual, a, b).datagram(now, len, &mut self.net.chance);
        self.net.stats.datagrams += 1;
        self.net.stats.detours += u64::from(trip.detour);
        self.note(session, None, &bytes);
        self.net.at(trip.left, Happening::Left { conn: key, from: side, len });
        match trip.arrives {
            Some(at) => self.net.at(at, Happening::Arrives { conn: key, to: 1 - side, packet: Packet::Datagram(bytes) }),
            None => self.net.stats.datagrams_lost += 1,
        }
        Some(Wrote::Accepted(len))
    }

    fn try_finish(&mut self, session: SessionKey, stream: StreamKey) -> Option<()> {
        let (key, side) = self.find(session)?;
        if stream == StreamKey::CONTROL {
            self.breach("finished the control stream");
        }
        let number = Conn::stream(side, stream);
        let half = &mut self.conn(key)?.streams.get_mut(&number)?.halves[side];
        if half.is_closed() {
            return None;
        }
        half.finished = true;
        let offset = half.offset;
        self.net.post(key, side, 0, Packet::Segment { stream: number, offset, bytes: Bytes::new(), fin: true });
        Some(())
    }

    fn try_reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) -> Option<()> {
        let (key, side) = self.find(session)?;
        let number = Conn::stream(side, stream);
        let conn = self.conn(key)?;
        let half = &mut conn.streams.get_mut(&number)?.halves[side];
        if half.reset || half.stopped || (half.finished && half.unread == 0) {
            return None;
        }
        half.reset = true;
        conn.release(side, number);
        conn.sweep(number);
        let owed = std::mem::take(&mut conn.ends[side].blocked);
        self.net.stats.resets += 1;
        self.net.post(key, side, 0, Packet::Reset { stream: number, code });
        if owed {
            self.net.stats.writable += 1;
            self.tell(Net::Writable { session });
        }
        Some(())
    }

    fn try_stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) -> Option<()> {
        let (key, side) = self.find(session)?;
        let number = Conn::stream(side, stream);
        let conn = self.conn(key)?;
        let half = &mut conn.streams.get_mut(&number)?.halves[1 - side];
        if half.unwanted {
            return None;
        }
        half.unwanted = true;
        conn.sweep(number);
        self.net.stats.stops += 1;
        self.net.post(key, side, 0, Packet::Stop { stream: number, code });
        Some(())
    }

    fn try_close(&mut self, session: SessionKey, code: Code, words: &str) -> Option<()> {
        let (key, side) = self.find(session)?;
        if words.len() > MAX_WORDS {
            self.breach("closed with too many words");
        }
        self.net.stats.closed += 1;
        self.net.post(key, side, words.len(), Packet::Close { code, words: words.to_owned() });
        self.net.lose_end(key, side);
        self.tell(Net::Closed { session, why: Closed::ByUs });
        Some(())
    }

    /// Tells our own machine, after it has returned.
    fn tell(&mut self, net: Net) {
        let (host, life, now) = (self.host, self.net.hosts[self.host.0].life, self.net.now);
        self.net.at(now, Happening::Tell { host, life, net });
    }
}

impl Outlet for HostOutlet<'_> {
    fn open_uni(&mut self, session: SessionKey, _priority: u8) -> Option<StreamKey> {
        self.open(session, StreamKind::Uni)
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        self.open(session, StreamKind::Bidi)
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        self.try_write(session, stream, chunks).unwrap_or(Wrote::Gone)
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        let _ = self.try_finish(session, stream);
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        let _ = self.try_reset(session, stream, code);
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        let _ = self.try_stop(session, stream, code);
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        self.try_datagram(session, bytes).unwrap_or(Wrote::Gone)
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        let _ = self.try_close(session, code, words);
    }
}

//! The network between the machines: the transport that `federation::io` promises, on a virtual clock, from a seed.
//!
//! What a machine may rely on is kept: streams arrive in order and complete or are given up, a session's `Closed` is its
//! last word, [`Net::Writable`] comes once after a refusal. What it may not rely on is taken away: datagrams are lost
//! and overtake each other, bytes come in other pieces than they were written in, streams wait for what was lost of them
//! and not for each other, windows are full at bad moments, hosts fall silent and paths break and heal.

mod conn;
mod outlet;
mod path;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::RelayId,
    io::{Closed, Dial, DialError, DialKey, Net, SessionKey, Side, StreamKey, StreamKind},
};

use self::{
    conn::{Conn, Packet, State},
    path::Way,
};
pub use self::{outlet::HostOutlet, path::Path};
use crate::chance::Chance;

/// A place on the network: a relay's machine or a participant's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostId(pub usize);

/// What is the same for all sessions of a network.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of one session that may be on the way.
    pub session_window: usize,
    /// Bytes of one stream that may be on the way.
    pub stream_window: usize,
    /// Bytes of datagrams that may wait at one end of a session.
    pub datagram_buffer: usize,
    /// A session ends when its remote was silent for this long.
    pub idle: Duration,
    /// An attempt to connect ends after this long.
    pub patience: Duration,
    /// Attempts that fail for no reason, of a thousand.
    pub dial_failures: u32,
    /// Unidirectional streams that one end may have open.
    pub max_uni: usize,
    /// Bidirectional streams that one end may have open.
    pub max_bidi: usize,
}

impl Settings {
    /// What the drivers ask of QUIC.
    pub const USUAL: Self = Self {
        session_window: 256 * 1024,
        stream_window: 128 * 1024,
        datagram_buffer: 8 * 1024,
        idle: Duration::from_secs(8),
        patience: Duration::from_secs(5),
        dial_failures: 0,
        max_uni: 1_024,
        max_bidi: 64,
    };
}

/// What happened on the network so far.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Datagrams that were taken.
    pub datagrams: u64,
    /// Of these, lost.
    pub datagrams_lost: u64,
    /// Packets that were held back.
    pub detours: u64,
    /// Packets of streams.
    pub segments: u64,
    /// Times that packets of streams were sent again.
    pub sent_again: u64,
    /// Writes that were refused, or cut short.
    pub blocked: u64,
    /// Times that [`Net::Writable`] was said.
    pub writable: u64,
    /// Streams given up by their sender.
    pub resets: u64,
    /// Streams given up by their receiver.
    pub stops: u64,
    /// Sessions that came up.
    pub sessions: u64,
    /// Ends of sessions that were closed from this side or the other.
    pub closed: u64,
    /// Ends of sessions that heard nothing for too long.
    pub timed_out: u64,
    /// Ends of sessions that broke.
    pub broken: u64,
    /// Attempts that came to nothing.
    pub dials_failed: u64,
    /// Payload bytes taken from machines.
    pub bytes: u64,
}

/// Something that a machine sent, as it left; for whoever checks.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Who.
    pub host: HostId,
    /// Where.
    pub session: SessionKey,
    /// On which stream; `None`: a datagram.
    pub stream: Option<(StreamKey, StreamKind)>,
    /// What.
    pub bytes: Bytes,
}

struct Host {
    addresses: Vec<String>,
    identity: Option<RelayId>,
    alive: bool,
    /// Counts restarts: what was meant for an earlier life is thrown away.
    life: u64,
}

enum Happening {
    Arrives { conn: u64, to: usize, packet: Packet },
    Left { conn: u64, from: usize, len: usize },
    Established { conn: u64, dial: DialKey, give_up: Duration },
    DialFails { host: HostId, life: u64, dial: DialKey, why: DialError },
    Expires { conn: u64, side: usize, since: Duration },
    Breaks { conn: u64, side: usize },
    Tell { host: HostId, life: u64, net: Net },
}

struct Queued {
    at: Duration,
    tie: u64,
    what: Happening,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.tie) == (other.at, other.tie)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.tie).cmp(&(other.at, other.tie))
    }
}

/// All hosts, and everything that is on its way between them.
pub struct Network {
    settings: Settings,
    chance: Chance,
    now: Duration,
    hosts: Vec<Host>,
    usual: Path,
    ways: BTreeMap<(HostId, HostId), Way>,
    cuts: BTreeMap<(HostId, HostId), Duration>,
    conns: BTreeMap<u64, Conn>,
    sessions: BTreeMap<SessionKey, (u64, usize)>,
    pairs: BTreeMap<SessionKey, (HostId, HostId)>,
    next: u64,
    queue: BinaryHeap<Reverse<Queued>>,
    ready: VecDeque<(HostId, Net)>,
    sent: Vec<Sent>,
    breaches: Vec<String>,
    stats: Stats,
}

impl Network {
    /// An empty network; `usual` is what paths are like that are not set otherwise.
    #[must_use]
    pub fn new(settings: Settings, usual: Path, chance: Chance) -> Self {
        Self {
            settings,
            chance,
            now: Duration::ZERO,
            hosts: Vec::new(),
            usual,
            ways: BTreeMap::new(),
            cuts: BTreeMap::new(),
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            pairs: BTreeMap::new(),
            next: 1,
            queue: BinaryHeap::new(),
            ready: VecDeque::new(),
            sent: Vec::new(),
            breaches: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// A new host. With an identity it accepts sessions and proves that key; with addresses it can be found.
    pub fn add_host(&mut self, identity: Option<RelayId>, addresses: &[&str]) -> HostId {
        let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
        self.hosts.push(Host { addresses, identity, alive: true, life: 0 });
        HostId(self.hosts.len() - 1)
    }

    /// Sets what both directions between two hosts are like from now on.
    pub fn set_path(&mut self, a: HostId, b: HostId, path: Path) {
        way(&mut self.ways, self.usual, a, b).path = path;
        way(&mut self.ways, self.usual, b, a).path = path;
    }

    /// The time up to which everything has happened.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// What machines did that no driver allows, in words; empty unless a machine has a bug.
    #[must_use]
    pub fn breaches(&self) -> &[String] {
        &self.breaches
    }

    /// Takes what machines sent since the last call.
    pub fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// The two ends of a session: whose key it is, and who is at the other end. Known for ever.
    #[must_use]
    pub fn ends(&self, session: SessionKey) -> Option<(HostId, HostId)> {
        self.pairs.get(&session).copied()
    }

    /// Whether this end of a session is up.
    #[must_use]
    pub fn is_open(&self, session: SessionKey) -> bool {
        self.sessions
            .get(&session)
            .and_then(|(conn, side)| Some(self.conns.get(conn)?.ends[*side].state == State::Open))
            .unwrap_or(false)
    }

    /// Whether `host` runs.
    #[must_use]
    pub fn is_alive(&self, host: HostId) -> bool {
        self.hosts[host.0].alive
    }

    /// The edge that `host`'s machine writes through.
    pub fn outlet(&mut self, host: HostId) -> HostOutlet<'_> {
        HostOutlet::new(self, host)
    }

    /// `host` wants to reach a relay.
    pub fn dial(&mut self, host: HostId, dial: &Dial) {
        let life = self.hosts[host.0].life;
        let key = dial.key;
        let known: Vec<_> = dial
            .addresses
            .iter()
            .filter_map(|address| self.hosts.iter().position(|other| other.addresses.contains(address)).map(HostId))
            .collect();
        let give_up = self.now + self.settings.patience;
        if known.is_empty() {
            let at = self.now + self.chance.up_to(Duration::from_millis(50));
            return self.at(at, Happening::DialFails { host, life, dial: key, why: DialError::UnknownName });
        }
        let unlucky = self.chance.permille(self.settings.dial_failures);
        let met = known.into_iter().find(|other| self.hosts[other.0].alive && !self.is_cut(host, *other));
        let Some((other, identity)) = met.filter(|_| !unlucky).and_then(|other| Some((other, self.hosts[other.0].identity?)))
        else {
            return self.at(give_up, Happening::DialFails { host, life, dial: key, why: DialError::Unreachable });
        };
        let there = self.trip(host, other, 1_200);
        let back = self.trip(other, host, 1_200);
        let met_at = there + back.saturating_sub(self.now);
        if dial.relay.is_some_and(|wanted| wanted != identity) {
            return self.at(met_at, Happening::DialFails { host, life, dial: key, why: DialError::WrongKey });
        }
        let conn = self.next;
        self.next += 1;
        let keys = [SessionKey(conn * 2), SessionKey(conn * 2 + 1)];
        self.conns.insert(conn, Conn::new([host, other], keys, identity, self.chance.bytes()));
        for (side, key) in keys.into_iter().enumerate() {
            self.sessions.insert(key, (conn, side));
        }
        self.pairs.insert(keys[0], (host, other));
        self.pairs.insert(keys[1], (other, host));
        self.at(met_at, Happening::Established { conn, dial: key, give_up });
    }

    /// From now on nothing passes between `a` and `b`. Sessions end when they have been silent for too long.
    pub fn cut(&mut self, a: HostId, b: HostId) {
        if self.cuts.insert(pair(a, b), self.now).is_none() {
            for conn in self.between(a, b) {
                self.fall_silent(conn, 0);
                self.fall_silent(conn, 1);
            }
        }
    }

    /// Everything passes between `a` and `b` again, and what was held back arrives.
    pub fn heal(&mut self, a: HostId, b: HostId) {
        if self.cuts.remove(&pair(a, b)).is_some() {
            for key in self.between(a, b) {
                let rest = self.chance.up_to(Duration::from_millis(500));
                let Some(conn) = self.conns.get_mut(&key) else { continue };
                for side in [0, 1] {
                    if conn.ends[1 - side].state != State::Gone {
                        conn.ends[side].silent_since = None;
                    }
                }
                self.unstall(key, rest);
            }
        }
    }

    /// Whether nothing passes between two hosts.
    #[must_use]
    pub fn is_cut(&self, a: HostId, b: HostId) -> bool {
        self.cuts.contains_key(&pair(a, b))
    }

    /// All sessions between `a` and `b` break, at slightly different times for the two; new ones can be made.
    pub fn break_sessions(&mut self, a: HostId, b: HostId) {
        for conn in self.between(a, b) {
            for side in [0, 1] {
                let at = self.now + self.chance.up_to(Duration::from_millis(100));
                self.at(at, Happening::Breaks { conn, side });
            }
        }
    }

    /// `kill -9`: the host says nothing any more, and nobody is told.
    pub fn kill(&mut self, host: HostId) {
        self.hosts[host.0].alive = false;
        let of_host: Vec<_> = self.conns.iter().filter(|(_, conn)| conn.hosts.contains(&host)).map(|(key, _)| *key).collect();
        for key in of_host {
            let Some(conn) = self.conns.get_mut(&key) else { continue };
            for side in [0, 1] {
                if conn.hosts[side] == host {
                    self.lose_end(key, side);
                    break;
                }
            }
        }
    }

    /// The host runs again, at its old addresses, and remembers no session.
    pub fn restart(&mut self, host: HostId) {
        self.hosts[host.0].alive = true;
        self.hosts[host.0].life += 1;
    }

    /// When something happens next.
    #[must_use]
    pub fn next_time(&self) -> Option<Duration> {
        if self.ready.is_empty() { self.queue.peek().map(|Reverse(next)| next.at) } else { Some(self.now) }
    }

    /// Lets time pass up to `now` and gives the first thing that a machine has to be told; `None`: nothing up to then.
    pub fn advance(&mut self, now: Duration) -> Option<(HostId, Net)> {
        loop {
            while let Some((host, net)) = self.ready.pop_front() {
                if self.is_wanted(host, &net) {
                    return Some((host, net));
                }
            }
            match self.queue.peek() {
                Some(Reverse(next)) if next.at <= now => {}
                _ => {
                    self.now = self.now.max(now);
                    return None;
                }
            }
            let Reverse(next) = self.queue.pop()?;
            self.now = self.now.max(next.at);
            self.happen(next.what);
        }
    }

    /// What was queued for an end that has closed itself meanwhile is not told any more.
    fn is_wanted(&self, host: HostId, net: &Net) -> bool {
        let alive = self.hosts[host.0].alive;
        match net {
            Net::DialFailed { .. } | Net::Closed { .. } => alive,
            Net::Connected { session, .. }
            | Net::Datagram { session, .. }
            | Net::Data { session, .. }
            | Net::Reset { session, .. }
            | Net::Stopped { session, .. }
            | Net::Writable { session } => alive && self.is_open(*session),
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrives { conn, to, packet } => self.arrive(conn, to, packet),
            Happening::Left { conn, from, len } => self.on_left(conn, from, len),
            Happening::Established { conn, dial, give_up } => self.on_established(conn, dial, give_up),
            Happening::DialFails { host, life, dial, why } => {
                if self.hosts[host.0].life == life {
                    self.stats.dials_failed += 1;
                    self.ready.push_back((host, Net::DialFailed { dial, why }));
                }
            }
            Happening::Expires { conn, side, since } => {
                let silent = self.conns.get(&conn).and_then(|conn| conn.ends[side].silent_since);
                if silent == Some(since) {
                    self.stats.timed_out += 1;
                    self.close_end(conn, side, Closed::TimedOut);
                }
            }
            Happening::Breaks { conn, side } => {
                if self.close_end(conn, side, Closed::Lost) {
                    self.stats.broken += 1;
                }
            }
            Happening::Tell { host, life, net } => {
                if self.hosts[host.0].life == life {
                    self.ready.push_back((host, net));
                }
            }
        }
    }

    fn on_established(&mut self, key: u64, dial: DialKey, give_up: Duration) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let [host, other] = conn.hosts;
        if conn.ends[1].state == State::Gone || self.cuts.contains_key(&pair(host, other)) {
            let life = self.hosts[host.0].life;
            self.conns.remove(&key);
            let at = give_up.max(self.now);
            return self.at(at, Happening::DialFails { host, life, dial, why: DialError::Unreachable });
        }
        if conn.ends[0].state == State::Gone {
            // The dialler died meanwhile; the acceptor never saw the end of the handshake.
            self.conns.remove(&key);
            return;
        }
        conn.ends[0].state = State::Open;
        let (session, side, exporter) = (conn.ends[0].session, Side::Dialled(dial, conn.identity), conn.exporter);
        self.stats.sessions += 1;
        self.ready.push_back((host, Net::Connected { session, side, exporter }));
        self.post(key, 0, 100, Packet::Opened);
    }

    /// Sends a packet that is repeated until it arrives, from end `from`; says when it has left.
    fn post(&mut self, key: u64, from: usize, len: usize, packet: Packet) {
        let Some(conn) = self.conns.get(&key) else { return };
        let [a, b] = [conn.hosts[from], conn.hosts[1 - from]];
        let at = self.trip(a, b, len);
        self.at(at, Happening::Arrives { conn: key, to: 1 - from, packet });
    }

    fn trip(&mut self, a: HostId, b: HostId, len: usize) -> Duration {
        let back = way(&mut self.ways, self.usual, b, a).path.latency;
        let now = self.now;
        let trip = way(&mut self.ways, self.usual, a, b).reliable(now, len, back, &mut self.chance);
        self.stats.sent_again += u64::from(trip.again);
        self.stats.detours += u64::from(trip.detour);
        trip.arrives.unwrap_or(now)
    }

    fn at(&mut self, at: Duration, what: Happening) {
        let tie = self.chance.number();
        self.queue.push(Reverse(Queued { at, tie, what }));
    }

    fn between(&self, a: HostId, b: HostId) -> Vec<u64> {
        let of_both = |conn: &&Conn| conn.hosts == [a, b] || conn.hosts == [b, a];
        self.conns.iter().filter(|(_, conn)| of_both(conn)).map(|(key, _)| *key).collect()
    }

    /// The remote of this end will not be heard from now on.
    fn fall_silent(&mut self, key: u64, side: usize) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let end = &mut conn.ends[side];
        if end.state == State::Gone || end.silent_since.is_some() {
            return;
        }
        end.silent_since = Some(now);
        let at = now + self.settings.idle + self.chance.up_to(Duration::from_millis(200));
        self.at(at, Happening::Expires { conn: key, side, since: now });
    }

    /// An end is over without a word to its machine, and without one to the remote.
    fn lose_end(&mut self, key: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        conn.ends[side].state = State::Gone;
        // Nobody repeats what this end still had to say, but for its last word.
        conn.stalled.retain(|(to, packet)| *to == side || matches!(packet, Packet::Close { .. }));
        if conn.ends[1 - side].state == State::Gone {
            self.conns.remove(&key);
        } else {
            self.fall_silent(key, 1 - side);
        }
    }

    /// An end is over and its machine is told why; `false` when it was over before.
    fn close_end(&mut self, key: u64, side: usize, why: Closed) -> bool {
        let Some(conn) = self.conns.get(&key) else { return false };
        match conn.ends[side].state {
            State::Open => {}
            State::Gone => return false,
            State::Opening => {
                self.lose_end(key, side);
                return false;
            }
        }
        let (host, session) = (conn.hosts[side], conn.ends[side].session);
        self.lose_end(key, side);
        self.ready.push_back((host, Net::Closed { session, why }));
        true
    }

    fn unstall(&mut self, key: u64, after: Duration) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let stalled = std::mem::take(&mut conn.stalled);
        let mut at = self.now + after;
        for (to, packet) in stalled {
            at += Duration::from_micros(1);
            self.at(at, Happening::Arrives { conn: key, to, packet });
        }
    }
}

fn way(ways: &mut BTreeMap<(HostId, HostId), Way>, usual: Path, a: HostId, b: HostId) -> &mut Way {
    ways.entry((a, b)).or_insert_with(|| Way::new(usual))
}

const fn pair(a: HostId, b: HostId) -> (HostId, HostId) {
    if a.0 < b.0 { (a, b) } else { (b, a) }
}

//! The data plane's meeting place: sessions on one side, tracks on the other, objects straight from one to the other.

mod objects;
mod waiting;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::Alias,
    io::{Closed, Net, Now, Outlet, SessionKey, Side, StreamKind},
    session::{Event, Fault, Local, Remote, Session},
    wire::{
        code::Code,
        message::{Answer, Refusal, Request, Start},
        stream::{Piece, reliable_head},
    },
};

use crate::{
    between::{Tag, ToRelay, ToShard},
    connection::{Connection, Metered, Slab},
    fanout::{Fanout, Path},
    limits::{EGRESS_TICK, Limits},
    node::{Config, earliest},
    stats::{Kind, Limit, Stats},
};

/// One machine of the data plane.
pub(crate) struct Shard {
    local: Local,
    limits: Limits,
    sessions: Slab,
    tracks: BTreeMap<Alias, Fanout>,
    deadlines: BTreeSet<(Duration, SessionKey)>,
    tick: Option<Duration>,
    stopping: bool,
}

type Up = VecDeque<ToRelay>;

/// Why a session is over, as it is counted.
enum End {
    /// We close it.
    Ours(Code, &'static str),
    /// It is closed already.
    Theirs(&'static str),
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Shard {
    /// Who is at the other end of a session.
    pub(crate) fn kind(&self, session: SessionKey) -> Option<Kind> {
        let slot = self.sessions.slot(session)?;
        self.sessions.at(slot).map(|connection| connection.kind)
    }

    pub(crate) fn new(config: &Config) -> Self {
        Self {
            local: Local::Relay(Box::new(config.local.clone())),
            limits: config.limits.clone(),
            sessions: Slab::default(),
            tracks: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            tick: None,
            stopping: false,
        }
    }

    /// What the network did.
    pub(crate) fn handle(&mut self, now: Now, net: Net, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        match net {
            Net::Connected { session, side, exporter } => self.connect(now, session, side, exporter, up, stats, outlet),
            Net::DialFailed { .. } | Net::Stopped { .. } => {}
            Net::Datagram { session, bytes } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let Some(connection) = self.sessions.at_mut(slot) else { return };
                let result = connection.session.on_datagram(bytes);
                self.after(now, slot, result, up, stats, outlet);
            }
            Net::Data { session, stream, kind, bytes, fin } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let Some(connection) = self.sessions.at_mut(slot) else { return };
                let len = bytes.len();
                let mut metered = Metered::new(outlet);
                let result = connection.session.on_data(now, stream, kind, bytes, fin, &mut metered);
                let written = metered.written;
                if kind != StreamKind::Uni {
                    Self::count_control(connection, len, written, stats);
                }
                self.after(now, slot, result, up, stats, outlet);
                if kind != StreamKind::Uni {
                    self.schedule(slot);
                }
            }
            Net::Reset { session, stream, .. } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let Some(connection) = self.sessions.at_mut(slot) else { return };
                connection.session.on_reset(stream);
                self.after(now, slot, Ok(()), up, stats, outlet);
            }
            Net::Writable { session } => {
                if let Some(slot) = self.sessions.slot(session) {
                    self.writable(now, slot, up, stats, outlet);
                }
            }
            Net::Closed { session, why } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let reason = match why {
                    Closed::ByRemote(code, _) => code.name(),
                    Closed::ByUs | Closed::Lost => "lost",
                    Closed::TimedOut => "timed_out",
                };
                self.end(now, slot, &End::Theirs(reason), up, stats, outlet);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event and the four things every step needs")]
    fn connect(
        &mut self,
        now: Now,
        session: SessionKey,
        side: Side,
        exporter: [u8; 32],
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        let dial = match side {
            Side::Dialled(dial, _) | Side::DialledByName(dial, _) => Some(dial),
            Side::Accepted => None,
        };
        let refusal = if matches!(side, Side::DialledByName(..)) {
            // Links are between keys; a name proves none.
            Some((Code::UNPROVEN, "a relay dials relays by their keys: this connection proved only a name"))
        } else if self.stopping {
            Some((Code::SHUTTING_DOWN, "this relay stops: connect to another one"))
        } else if self.sessions.len() >= self.limits.sessions {
            stats.hit(Limit::Sessions);
            Some((Code::FULL, "this relay has all the sessions it can serve: connect to another one"))
        } else {
            None
        };
        if let Some((code, words)) = refusal {
            outlet.close(session, code, words);
            stats.closed(code.name());
            if dial.is_some() {
                up.push_back(ToRelay::Closed { session, dial, reason: code.name(), unanswered: Vec::new() });
            }
            return;
        }
        let machine = Session::new(now, session, side, exporter, &self.local, outlet);
        let slot = self.sessions.insert(Connection::new(session, machine, dial));
        stats.sessions_opening += 1;
        self.schedule(slot);
    }

    /// What the control plane decided.
    pub(crate) fn obey(&mut self, now: Now, command: ToShard, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        match command {
            ToShard::Answer { session, reply, answer } => {
                if let Answer::Refused(refusal) = &answer {
                    stats.refuse(refusal.code);
                }
                self.say(now, session, up, stats, outlet, |connection, outlet| connection.session.answer(reply, answer, outlet));
            }
            ToShard::Ask { session, ask, mut request, binds } => {
                // What is here already need not come again.
                if let Request::Subscribe(subscribe) = &mut *request
                    && let Start::From(_) = subscribe.start
                    && let Some(window) = binds.and_then(|alias| self.tracks.get(&alias)).and_then(Fanout::window)
                {
                    subscribe.start = Start::From(window.resume());
                }
                if self.sessions.slot(session).is_none() {
                    let refusal = Refusal::new(Code::UNREACHABLE, "the relay asked is not connected: try again");
                    up.push_back(ToRelay::Answered { session, ask, answer: Answer::Refused(refusal) });
                    return;
                }
                self.say(now, session, up, stats, outlet, |connection, outlet| {
                    if binds.is_some() {
                        connection.await_binding();
                    }
                    connection.session.request(now, *request, Tag { ask, binds }, outlet);
                });
            }
            ToShard::Notify { session, notice } => {
                self.say(now, session, up, stats, outlet, |connection, outlet| connection.session.notify(notice, outlet));
            }
            ToShard::Close { session, code, words } => {
                if let Some(slot) = self.sessions.slot(session) {
                    self.end(now, slot, &End::Ours(code, words), up, stats, outlet);
                }
            }
            ToShard::Open { alias, class, retention, heard } => {
                *stats.tracks.of(class) += 1;
                self.tracks.insert(alias, Fanout::new(alias, class, retention, heard));
            }
            ToShard::Shut { alias } => self.shut(now, alias, stats, outlet),
            ToShard::Bind { session, remote, alias } => {
                if let Some(connection) = self.sessions.slot(session).and_then(|slot| self.sessions.at_mut(slot)) {
                    connection.bind(remote, alias);
                }
            }
            ToShard::Unbind { session, remote } => {
                let slot = self.sessions.slot(session);
                let gone = slot.and_then(|slot| self.sessions.at_mut(slot)).map(|connection| connection.unbind(remote));
                self.lose(now, gone.unwrap_or_default(), stats, outlet);
            }
            ToShard::Subscribe { alias, session, start, until } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let Some(track) = self.tracks.get_mut(&alias) else { return };
                let Some(connection) = self.sessions.at_mut(slot) else { return };
                if connection.subscriptions.insert(alias) {
                    stats.subscriptions.add(connection.kind, 1);
                }
                if let Some(window) = track.window_mut() {
                    let mut cursor = window.start(now.mono, start);
                    cursor.limit(until);
                    connection.reliable.follow(alias, cursor);
                }
                let mut path = Path {
                    now: now.mono,
                    limits: &self.limits,
                    sessions: &mut self.sessions,
                    stats: &mut *stats,
                    outlet: &mut *outlet,
                };
                track.subscribe(session, slot, start, &mut path);
                self.pump_reliable(now, slot, up, stats, outlet);
            }
            ToShard::Limit { alias, session, until } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                let Some(connection) = self.sessions.at_mut(slot) else { return };
                connection.reliable.limit(alias, until);
                self.pump_reliable(now, slot, up, stats, outlet);
            }
            ToShard::Unsubscribe { alias, session } => {
                let Some(slot) = self.sessions.slot(session) else { return };
                self.unsubscribe(now, slot, alias, Code::UNWANTED, stats, outlet);
            }
            ToShard::Originate { alias, header, payload } => {
                self.retain(now, (alias, true), &header, payload, up, stats, outlet);
            }
            ToShard::Forget { alias, group, object } => {
                if let Some(window) = self.tracks.get_mut(&alias).and_then(Fanout::window_mut) {
                    let before = count(window.bytes());
                    window.forget(group, object);
                    stats.retained = (stats.retained + count(window.bytes())).saturating_sub(before);
                }
            }
        }
    }

    /// Lets a session say something, and sees whether its remote keeps up.
    fn say<O: Outlet>(
        &mut self,
        now: Now,
        session: SessionKey,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut O,
        what: impl FnOnce(&mut Connection, &mut Metered<'_, O>),
    ) {
        let Some(slot) = self.sessions.slot(session) else { return };
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let mut metered = Metered::new(outlet);
        what(connection, &mut metered);
        let written = metered.written;
        Self::count_control(connection, 0, written, stats);
        let result = connection.session.check_backlog();
        self.after(now, slot, result, up, stats, outlet);
        self.schedule(slot);
    }

    fn count_control(connection: &Connection, received: usize, sent: usize, stats: &mut Stats) {
        stats.control_bytes_in.add(connection.kind, count(received));
        stats.control_bytes_out.add(connection.kind, count(sent));
        if connection.kind == Kind::Link
            && let Some(link) = stats.links.get_mut(connection.link)
        {
            link.control_in += count(received);
            link.control_out += count(sent);
        }
    }

    fn count_media(connection: &Connection, received: usize, object: bool, stats: &mut Stats) {
        stats.media_bytes_in.add(connection.kind, count(received));
        stats.media_objects_in.add(connection.kind, u64::from(object));
        if connection.kind == Kind::Link
            && let Some(link) = stats.links.get_mut(connection.link)
        {
            link.media_in += count(received);
        }
    }

    /// Keeps the list of deadlines true.
    fn schedule(&mut self, slot: usize) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let next = connection.session.next_timeout();
        if next != connection.deadline {
            if let Some(old) = connection.deadline.take() {
                self.deadlines.remove(&(old, connection.key));
            }
            if let Some(next) = next {
                self.deadlines.insert((next, connection.key));
            }
            connection.deadline = next;
        }
    }

    /// After a session took something: its events, or its end.
    fn after(
        &mut self,
        now: Now,
        slot: usize,
        result: Result<(), Fault>,
        up: &mut Up,
        stats: &mut Stats,
        outlet: &mut impl Outlet,
    ) {
        while let Some(event) = self.sessions.at_mut(slot).and_then(|connection| connection.session.next_event()) {
            self.event(now, slot, event, up, stats, outlet);
        }
        if let Err(fault) = result {
            if fault.code == Code::MALFORMED {
                stats.malformed += 1;
            }
            self.end(now, slot, &End::Ours(fault.code, fault.words), up, stats, outlet);
        }
    }

    fn event(&mut self, now: Now, slot: usize, event: Event<Tag>, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let session = connection.key;
        match event {
            Event::Active(remote) => {
                stats.sessions_opening = stats.sessions_opening.saturating_sub(1);
                connection.kind = match &remote {
                    Remote::Client { .. } => Kind::Client,
                    Remote::Link { descriptor } | Remote::Relay { descriptor, .. } => {
                        connection.link = stats.link_slot(descriptor.relay);
                        Kind::Link
                    }
                };
                stats.sessions.add(connection.kind, 1);
                stats.sessions_opened.add(connection.kind, 1);
                up.push_back(ToRelay::Opened { session, remote, dial: connection.dial });
            }
            Event::Request(reply, request) => up.push_back(ToRelay::Request { session, reply, request }),
            Event::Answer(tag, answer) => {
                if let Some(alias) = tag.binds {
                    if let Answer::Subscribed(subscribed) = &answer {
                        connection.bind(subscribed.alias, alias);
                        if let Some(window) = self.tracks.get_mut(&alias).and_then(Fanout::window_mut) {
                            let before = count(window.bytes());
                            window.on_resumed();
                            stats.retained = (stats.retained + count(window.bytes())).saturating_sub(before);
                        }
                    }
                    if connection.on_binding() {
                        let mut arrived = Vec::new();
                        connection.take_early(|_, one| arrived.push(one));
                        for one in arrived {
                            self.arrived(now, slot, one, up, stats, outlet);
                        }
                    }
                }
                up.push_back(ToRelay::Answered { session, ask: tag.ask, answer });
            }
            Event::Notice(notice) => up.push_back(ToRelay::Notice { session, notice }),
            Event::Piece(stream, piece) => {
                match &piece {
                    Piece::Group(header) => Self::count_media(connection, header.encode().len(), false, stats),
                    Piece::Part { object, len, offset, bytes } => {
                        let head = if *offset == 0 { conclave_federation::wire::object::framed_len(*object, *len) } else { 0 };
                        Self::count_media(connection, head + bytes.len(), *offset == 0, stats);
                    }
                    Piece::Reliable { header, payload } => {
                        Self::count_control(connection, reliable_head(header, payload.len()).len() + payload.len(), 0, stats);
                    }
                }
                let arrived = connection.on_piece(stream, piece);
                self.arrived(now, slot, arrived, up, stats, outlet);
            }
            Event::StreamEnded(stream, complete) => {
                let arrived = connection.on_ended(stream, complete);
                self.arrived(now, slot, arrived, up, stats, outlet);
            }
            Event::Datagram(header, payload, whole) => {
                Self::count_media(connection, whole.len(), true, stats);
                let _ = payload;
                self.forward(now, slot, &header, whole, up, stats, outlet);
            }
        }
    }

    fn unsubscribe(&mut self, now: Now, slot: usize, alias: Alias, code: Code, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let (session, kind) = (connection.key, connection.kind);
        connection.reliable.leave(alias);
        if connection.subscriptions.remove(&alias) {
            let left = stats.subscriptions.of(kind);
            *left = left.saturating_sub(1);
        }
        if let Some(track) = self.tracks.get_mut(&alias) {
            let mut path = Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats, outlet };
            track.unsubscribe(session, code, &mut path);
        }
    }

    fn shut(&mut self, now: Now, alias: Alias, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(track) = self.tracks.get_mut(&alias) else { return };
        let mut path =
            Path { now: now.mono, limits: &self.limits, sessions: &mut self.sessions, stats: &mut *stats, outlet: &mut *outlet };
        track.interrupted(&mut path);
        for session in track.sessions() {
            if let Some(slot) = self.sessions.slot(session) {
                self.unsubscribe(now, slot, alias, Code::ENDED, stats, outlet);
            }
        }
        if let Some(track) = self.tracks.remove(&alias) {
            let left = stats.tracks.of(track.class());
            *left = left.saturating_sub(1);
            stats.cached = stats.cached.saturating_sub(count(track.cached()));
            stats.retained = stats.retained.saturating_sub(track.window().map_or(0, |window| count(window.bytes())));
        }
    }

    /// Groups whose sender is gone: their streams are given up.
    fn lose(&mut self, now: Now, gone: Vec<(Alias, u64, u8)>, stats: &mut Stats, outlet: &mut impl Outlet) {
        for (alias, group, layer) in gone {
            if let Some(track) = self.tracks.get_mut(&alias) {
                let mut path = Path {
                    now: now.mono,
                    limits: &self.limits,
                    sessions: &mut self.sessions,
                    stats: &mut *stats,
                    outlet: &mut *outlet,
                };
                track.end(group, layer, false, &mut path);
            }
        }
    }

    fn end(&mut self, now: Now, slot: usize, end: &End, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        let Some(connection) = self.sessions.at_mut(slot) else { return };
        let wanted: Vec<_> = connection.subscriptions.iter().copied().collect();
        let gone = connection.drain();
        self.lose(now, gone, stats, outlet);
        for alias in wanted {
            self.unsubscribe(now, slot, alias, Code::NONE, stats, outlet);
        }
        let Some(connection) = self.sessions.remove(slot) else { return };
        if let Some(deadline) = connection.deadline {
            self.deadlines.remove(&(deadline, connection.key));
        }
        if connection.kind == Kind::Opening {
            stats.sessions_opening = stats.sessions_opening.saturating_sub(1);
        } else {
            let left = stats.sessions.of(connection.kind);
            *left = left.saturating_sub(1);
        }
        let reason = match end {
            End::Ours(code, words) => {
                outlet.close(connection.key, *code, words);
                code.name()
            }
            End::Theirs(reason) => reason,
        };
        stats.closed(reason);
        let (session, dial) = (connection.key, connection.dial);
        let unanswered = connection.session.into_unanswered().into_iter().map(|tag| tag.ask).collect();
        up.push_back(ToRelay::Closed { session, dial, reason, unanswered });
    }

    /// Ends every session, and takes no new one.
    pub(crate) fn stop(&mut self, now: Now, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        self.stopping = true;
        for slot in self.sessions.slots() {
            let end = End::Ours(Code::SHUTTING_DOWN, "this relay stops: connect again, or to another one");
            self.end(now, slot, &end, up, stats, outlet);
        }
    }

    /// Acts on deadlines that have passed.
    pub(crate) fn on_time(&mut self, now: Now, up: &mut Up, stats: &mut Stats, outlet: &mut impl Outlet) {
        while let Some(&(at, session)) = self.deadlines.first() {
            if at > now.mono {
                break;
            }
            self.deadlines.pop_first();
            let Some(slot) = self.sessions.slot(session) else { continue };
            let Some(connection) = self.sessions.at_mut(slot) else { continue };
            connection.deadline = None;
            let result = connection.session.on_timeout(now);
            self.after(now, slot, result, up, stats, outlet);
            self.schedule(slot);
        }
        if !self.sessions.is_busy() {
            self.tick = None;
        } else if self.tick.is_none_or(|at| at <= now.mono) {
            self.tick = Some(now.mono + EGRESS_TICK);
            for slot in self.sessions.busy() {
                self.overdue(now, slot, up, stats, outlet);
            }
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let tick = if self.sessions.is_busy() { Some(self.tick.unwrap_or_default()) } else { None };
        earliest([tick, self.deadlines.first().map(|(at, _)| *at)])
    }
}

//! One track's subscribers, and the one loop over them: the same bytes for everyone, offered at once. Only a subscriber that
//! cannot take them now has a queue (`egress`).

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::Alias,
    io::{Outlet, SessionKey, Wrote},
    track::{Class, priority},
    wire::{code::Code, message::Start, object::ObjectHeader, stream::GroupHeader},
};

use crate::{
    admit::Bucket,
    cache::{Cache, Kept},
    connection::Slab,
    egress::{GroupStream, Sent},
    limits::{Limits, MAX_OPEN_GROUPS},
    stats::{Kind, Limit, Stats},
    window::{Retention, Window},
};

/// What the loop needs besides the track itself.
pub(crate) struct Path<'a, O> {
    pub(crate) now: Duration,
    pub(crate) limits: &'a Limits,
    pub(crate) sessions: &'a mut Slab,
    pub(crate) stats: &'a mut Stats,
    pub(crate) outlet: &'a mut O,
}

/// One session that wants the track.
#[derive(Debug)]
pub(crate) struct Subscriber {
    session: SessionKey,
    slot: usize,
    kind: Kind,
    link: usize,
    /// Older groups are not for it: begun before it came, or given up.
    from_group: u64,
    groups: Vec<GroupStream>,
    queued: usize,
}

/// A group and layer that the publisher is sending.
#[derive(Debug)]
struct Source {
    header: GroupHeader,
    head: Bytes,
    started: bool,
}

/// One track.
#[derive(Debug)]
pub(crate) struct Fanout {
    alias: Alias,
    class: Class,
    /// Whether the control plane wants the payloads, too.
    pub(crate) heard: bool,
    /// What arrives for this track over a link.
    pub(crate) ingress: (Bucket, Bucket),
    subscribers: Vec<Subscriber>,
    places: BTreeMap<SessionKey, usize>,
    turn: usize,
    sources: BTreeMap<(u64, u8), Source>,
    newest: Option<u64>,
    cache: Cache,
    window: Option<Window>,
}

/// Part of an object on a group's stream.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) group: u64,
    pub(crate) layer: u8,
    pub(crate) object: u64,
    pub(crate) len: usize,
    pub(crate) offset: usize,
    pub(crate) bytes: Bytes,
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

impl Fanout {
    pub(crate) fn new(alias: Alias, class: Class, retention: Retention, heard: bool) -> Self {
        Self {
            alias,
            class,
            heard,
            ingress: (Bucket::new(), Bucket::new()),
            subscribers: Vec::new(),
            places: BTreeMap::new(),
            turn: 0,
            sources: BTreeMap::new(),
            newest: None,
            cache: Cache::default(),
            window: (class == Class::Reliable).then(|| Window::new(retention)),
        }
    }

    pub(crate) const fn class(&self) -> Class {
        self.class
    }

    pub(crate) const fn window(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    pub(crate) const fn window_mut(&mut self) -> Option<&mut Window> {
        self.window.as_mut()
    }

    pub(crate) const fn cached(&self) -> usize {
        self.cache.bytes()
    }

    /// The sessions that want it.
    pub(crate) fn sessions(&self) -> Vec<SessionKey> {
        self.subscribers.iter().map(|subscriber| subscriber.session).collect()
    }

    /// Slots of the sessions that want it.
    pub(crate) fn slots(&self) -> Vec<usize> {
        self.subscribers.iter().map(|subscriber| subscriber.slot).collect()
    }

    fn order(&mut self) -> impl Iterator<Item = usize> + use<> {
        let len = self.subscribers.len();
        self.turn = self.turn.wrapping_add(1);
        let first = if len == 0 { 0 } else { self.turn % len };
        (first..len).chain(0..first)
    }

    /// A session wants the track from now on; for a reliable track the cursor is the connection's business.
    pub(crate) fn subscribe<O: Outlet>(&mut self, session: SessionKey, slot: usize, start: Start, path: &mut Path<'_, O>) {
        self.unsubscribe(session, Code::NONE, path);
        let Some(connection) = path.sessions.at(slot) else { return };
        let (kind, link) = (connection.kind, connection.link);
        let next = self.newest.map_or(0, |newest| newest.saturating_add(1));
        let cached = self.cache.group().filter(|_| start == Start::Current);
        self.places.insert(session, self.subscribers.len());
        self.subscribers.push(Subscriber {
            session,
            slot,
            kind,
            link,
            from_group: cached.unwrap_or(next),
            groups: Vec::new(),
            queued: 0,
        });
        if cached.is_some() {
            self.replay(session, path);
        }
    }

    /// Streams of the cached group for somebody who came back.
    fn replay<O: Outlet>(&mut self, session: SessionKey, path: &mut Path<'_, O>) {
        let Some(subscriber) = self.places.get(&session).and_then(|at| self.subscribers.get_mut(*at)) else { return };
        for layer in self.cache.layers() {
            let Some(stream) = path.outlet.open_uni(session, layer.header.priority) else {
                path.stats.dropped.no_stream += 1;
                continue;
            };
            let mut group = GroupStream::new(layer.header.group, layer.header.layer, stream);
            group.replay = Some(0);
            group.finish = layer.done;
            let head = layer.header.encode();
            path.stats.media_objects_out.add(subscriber.kind, count(layer.chunks.len()));
            subscriber.queued += head.len();
            path.stats.egress_queued += count(head.len());
            if let Some(connection) = path.sessions.at_mut(subscriber.slot) {
                connection.queued += head.len();
            }
            group.push(path.now, head);
            subscriber.groups.push(group);
        }
        self.pump(session, path);
    }

    /// A session does not want it any more; what is on its way to it is given up with `code`.
    pub(crate) fn unsubscribe<O: Outlet>(&mut self, session: SessionKey, code: Code, path: &mut Path<'_, O>) {
        let Some(at) = self.places.remove(&session) else { return };
        if at >= self.subscribers.len() {
            return;
        }
        let mut subscriber = self.subscribers.swap_remove(at);
        if let Some(moved) = self.subscribers.get(at) {
            self.places.insert(moved.session, at);
        }
        while let Some(group) = subscriber.groups.pop() {
            path.outlet.reset(session, group.stream, code);
            subscriber.release(group.queued(), path);
        }
        if let Some(connection) = path.sessions.at_mut(subscriber.slot) {
            connection.blocked.remove(&self.alias);
        }
    }

    /// One datagram, marked with our alias, to everybody.
    pub(crate) fn datagram<O: Outlet>(&mut self, whole: &Bytes, path: &mut Path<'_, O>) {
        path.stats.fanout.record(self.subscribers.len());
        for at in self.order() {
            let Some(subscriber) = self.subscribers.get(at) else { continue };
            match path.outlet.datagram(subscriber.session, whole.clone()) {
                Wrote::Accepted(_) => {
                    path.stats.media_objects_out.add(subscriber.kind, 1);
                    subscriber.sent(whole.len(), path.stats);
                }
                Wrote::Blocked => path.stats.dropped.datagram_blocked += 1,
                Wrote::Gone => {}
            }
        }
    }

    /// The publisher begins a group and layer on a stream of its own. `false`: nothing of that stream is wanted.
    pub(crate) fn begin<O: Outlet>(&mut self, header: &GroupHeader, path: &mut Path<'_, O>) -> bool {
        let place = (header.group, header.layer);
        if self.sources.contains_key(&place) || self.class == Class::Reliable {
            path.stats.dropped.misplaced += 1;
            return false;
        }
        if self.sources.len() >= MAX_OPEN_GROUPS {
            path.stats.hit(Limit::OpenGroups);
            if let Some(&(group, layer)) = self.sources.keys().next() {
                self.end(group, layer, false, path);
            }
        }
        // Control is ours: no publisher's stream goes before it.
        let header =
            GroupHeader { alias: self.alias, priority: header.priority.clamp(priority::AUDIO, priority::UPPER), ..*header };
        self.sources.insert(place, Source { header, head: header.encode(), started: false });
        // Begun again after its end: where the end still waits for the path, the same stream goes on.
        for subscriber in &mut self.subscribers {
            for stream in subscriber.groups.iter_mut().filter(|stream| (stream.group, stream.layer) == place) {
                stream.finish = false;
            }
        }
        true
    }

    /// Bytes of an object, as they came: to everybody, in one loop.
    pub(crate) fn part<O: Outlet>(&mut self, part: Part, path: &mut Path<'_, O>) {
        let place = (part.group, part.layer);
        let Some(source) = self.sources.get_mut(&place) else { return };
        let first = !source.started;
        source.started = true;
        let (header, head) = (source.header, source.head.clone());
        if first {
            self.started(&header, path);
        }
        let object_head = if part.offset == 0 { GroupHeader::object_head(part.object, part.len) } else { Bytes::new() };
        let part_is_empty = part.bytes.is_empty();
        let chunks = [head, object_head, part.bytes];
        self.keep(place, chunks.get(1..).unwrap_or_default(), path);
        let from = if part.offset == 0 { 1 } else { 2 };
        let to = if part_is_empty { 2 } else { 3 };
        if part.offset == 0 {
            path.stats.fanout.record(self.subscribers.len());
        }
        for at in self.order() {
            let Some(subscriber) = self.subscribers.get_mut(at) else { continue };
            if part.group < subscriber.from_group {
                continue;
            }
            let (stream, from) = match subscriber.groups.iter().position(|group| (group.group, group.layer) == place) {
                Some(stream) => (stream, from),
                None if first => match subscriber.open(&header, path) {
                    Some(stream) => (stream, 0),
                    None => continue,
                },
                None => continue,
            };
            if part.offset == 0 {
                path.stats.media_objects_out.add(subscriber.kind, 1);
            }
            let mut chunks = chunks.clone();
            if let Some(chunks) = chunks.get_mut(from..to) {
                subscriber.offer(self.alias, stream, chunks, path);
            }
        }
    }

    /// The first bytes of a group and layer are here.
    fn started<O: Outlet>(&mut self, header: &GroupHeader, path: &mut Path<'_, O>) {
        if self.newest.is_none_or(|newest| newest < header.group) {
            self.newest = Some(header.group);
            // Whoever is still being shown the old group has seen enough of it.
            for subscriber in &mut self.subscribers {
                while let Some(at) =
                    subscriber.groups.iter().position(|group| group.replay.is_some() && group.group < header.group)
                {
                    path.stats.dropped.late += 1;
                    subscriber.give_up(self.alias, at, path);
                }
            }
        }
        if self.class == Class::Groups {
            let before = self.cache.bytes();
            self.cache.begin(*header);
            path.stats.cached = path.stats.cached.saturating_sub(count(before - self.cache.bytes().min(before)));
        }
    }

    fn keep<O: Outlet>(&mut self, (group, layer): (u64, u8), chunks: &[Bytes], path: &mut Path<'_, O>) {
        if self.class != Class::Groups {
            return;
        }
        let before = self.cache.bytes();
        let others = usize::try_from(path.stats.cached).unwrap_or(usize::MAX).saturating_sub(before);
        let max = path.limits.cache_track.min(path.limits.cache_total.saturating_sub(others));
        if self.cache.push(group, layer, chunks, max) == Kept::GaveUp {
            path.stats.hit(if max < path.limits.cache_track { Limit::CacheTotal } else { Limit::CacheTrack });
            self.end_replays(group, path);
        }
        path.stats.cached = count(others + self.cache.bytes());
    }

    /// The cached group is here no more: whoever was being shown it starts clean with the next one.
    fn end_replays<O: Outlet>(&mut self, group: u64, path: &mut Path<'_, O>) {
        for subscriber in &mut self.subscribers {
            while let Some(at) = subscriber.groups.iter().position(|stream| stream.replay.is_some() && stream.group == group) {
                path.stats.dropped.late += 1;
                subscriber.give_up(self.alias, at, path);
            }
        }
    }

    /// The publisher ended a group and layer, or gave it up.
    pub(crate) fn end<O: Outlet>(&mut self, group: u64, layer: u8, complete: bool, path: &mut Path<'_, O>) {
        if self.sources.remove(&(group, layer)).is_none() {
            return;
        }
        let before = self.cache.bytes();
        self.cache.end(group, layer, complete);
        path.stats.cached = path.stats.cached.saturating_sub(count(before - self.cache.bytes()));
        for subscriber in &mut self.subscribers {
            let Some(at) = subscriber.groups.iter().position(|stream| (stream.group, stream.layer) == (group, layer)) else {
                continue;
            };
            if !complete {
                subscriber.remove(self.alias, at, Some(Code::LATE), path);
            } else if let Some(stream) = subscriber.groups.get_mut(at) {
                stream.finish = true;
                if stream.is_clear() {
                    subscriber.remove(self.alias, at, None, path);
                }
            }
        }
    }

    /// Where the track's objects come from is gone: what was on its way is given up.
    pub(crate) fn interrupted<O: Outlet>(&mut self, path: &mut Path<'_, O>) {
        while let Some(&(group, layer)) = self.sources.keys().next() {
            self.end(group, layer, false, path);
        }
    }

    /// A blocked subscriber may take something now.
    pub(crate) fn pump<O: Outlet>(&mut self, session: SessionKey, path: &mut Path<'_, O>) {
        let Some(subscriber) = self.places.get(&session).and_then(|at| self.subscribers.get_mut(*at)) else { return };
        subscriber.groups.sort_by_key(|stream| (stream.layer, stream.group));
        let mut at = 0;
        while let Some(stream) = subscriber.groups.get_mut(at) {
            let before = stream.queued();
            let sent = stream.pump(session, path.outlet);
            let left = before - stream.queued();
            let next = match (sent, stream.replay) {
                (Sent::All(_), Some(chunk)) => match self.cache.chunk(stream.group, stream.layer, chunk) {
                    Some(bytes) => {
                        stream.replay = Some(chunk + 1);
                        stream.push(path.now, bytes.clone());
                        subscriber.hold(bytes.len(), path);
                        Next::Again
                    }
                    None => {
                        stream.replay = None;
                        Next::Again
                    }
                },
                (Sent::All(_), None) if stream.finish => Next::Finish,
                (Sent::Gone, _) => Next::Gone,
                (Sent::All(_) | Sent::Some(_), _) => Next::Skip,
            };
            subscriber.sent(left, path.stats);
            subscriber.release(left, path);
            match next {
                Next::Again => {}
                Next::Skip => at += 1,
                Next::Finish => subscriber.remove(self.alias, at, None, path),
                Next::Gone => subscriber.forget(self.alias, at, path),
            }
        }
        subscriber.note_blocked(self.alias, path);
    }

    /// Gives up what has waited too long for this subscriber.
    pub(crate) fn expire<O: Outlet>(&mut self, session: SessionKey, path: &mut Path<'_, O>) {
        let Some(subscriber) = self.places.get(&session).and_then(|at| self.subscribers.get_mut(*at)) else { return };
        let age = path.limits.egress_age;
        while let Some(at) =
            subscriber.groups.iter().position(|stream| stream.oldest().is_some_and(|since| since + age <= path.now))
        {
            path.stats.dropped.late += 1;
            subscriber.give_up(self.alias, at, path);
        }
    }

    /// Keeps an object of a reliable track; one that begins here (`ours`) is never cut short, its origin minds the bound.
    /// `false`: it was here before.
    pub(crate) fn retain(
        &mut self,
        header: &ObjectHeader,
        payload: Bytes,
        now: Duration,
        limits: &Limits,
        ours: bool,
        stats: &mut Stats,
    ) -> bool {
        let Some(window) = &mut self.window else {
            stats.dropped.misplaced += 1;
            return false;
        };
        let before = count(window.bytes());
        let tight = !ours && stats.retained > count(limits.retained_total);
        if tight {
            stats.hit(Limit::Retained);
        }
        let header = ObjectHeader { alias: self.alias, priority: priority::CONTROL, ..*header };
        let new = window.push(now, &header, payload, tight);
        stats.retained = (stats.retained + count(window.bytes())).saturating_sub(before);
        if !new {
            stats.dropped.repeated += 1;
        }
        new
    }
}

enum Next {
    Again,
    Skip,
    Finish,
    Gone,
}

impl Subscriber {
    fn sent(&self, len: usize, stats: &mut Stats) {
        stats.media_bytes_out.add(self.kind, count(len));
        if self.kind == Kind::Link
            && let Some(link) = stats.links.get_mut(self.link)
        {
            link.media_out += count(len);
        }
    }

    fn open<O: Outlet>(&mut self, header: &GroupHeader, path: &mut Path<'_, O>) -> Option<usize> {
        if self.groups.len() >= 2 * MAX_OPEN_GROUPS {
            path.stats.dropped.no_stream += 1;
            return None;
        }
        let Some(stream) = path.outlet.open_uni(self.session, header.priority) else {
            path.stats.dropped.no_stream += 1;
            if header.layer == 0 {
                self.from_group = self.from_group.max(header.group.saturating_add(1));
            }
            return None;
        };
        self.groups.push(GroupStream::new(header.group, header.layer, stream));
        Some(self.groups.len() - 1)
    }

    /// Offers chunks to one of its streams; what is not taken waits, as far as there is room.
    fn offer<O: Outlet>(&mut self, alias: Alias, at: usize, chunks: &mut [Bytes], path: &mut Path<'_, O>) {
        let Some(stream) = self.groups.get_mut(at) else { return };
        if stream.replay.is_some() {
            return;
        }
        if stream.is_clear() {
            match path.outlet.write(self.session, stream.stream, chunks) {
                Wrote::Accepted(len) => {
                    self.sent(len, path.stats);
                    if chunks.iter().all(Bytes::is_empty) {
                        return;
                    }
                }
                Wrote::Blocked => {}
                Wrote::Gone => return self.forget(alias, at, path),
            }
            path.stats.egress_blocked += 1;
        }
        self.wait(alias, at, chunks, path);
    }

    fn wait<O: Outlet>(&mut self, alias: Alias, at: usize, chunks: &[Bytes], path: &mut Path<'_, O>) {
        let Some(stream) = self.groups.get(at) else { return };
        let place = (stream.group, stream.layer);
        let need: usize = chunks.iter().map(Bytes::len).sum();
        loop {
            let total = path.sessions.at(self.slot).map_or(0, |connection| connection.queued);
            let most = if self.kind == Kind::Link { path.limits.egress_link } else { path.limits.egress_client };
            let limit = if self.queued + need > path.limits.egress_queue {
                Limit::EgressQueue
            } else if total + need > most {
                Limit::EgressSession
            } else {
                break;
            };
            path.stats.hit(limit);
            path.stats.dropped.overflow += 1;
            // Upper layers go first, then older groups; this one when nothing else of the track waits.
            let victim = self
                .groups
                .iter()
                .enumerate()
                .filter(|(_, stream)| stream.queued() > 0 || (stream.group, stream.layer) == place)
                .max_by_key(|(_, stream)| (stream.layer, u64::MAX - stream.group))
                .map(|(at, _)| at);
            if let Some(victim) = victim {
                self.give_up(alias, victim, path);
            }
            if !self.groups.iter().any(|stream| (stream.group, stream.layer) == place) {
                return;
            }
        }
        let Some(stream) = self.groups.iter_mut().find(|stream| (stream.group, stream.layer) == place) else { return };
        for chunk in chunks {
            stream.push(path.now, chunk.clone());
        }
        self.hold(need, path);
        path.stats.egress_queue_peak = path.stats.egress_queue_peak.max(count(self.queued));
        self.note_blocked(alias, path);
    }

    fn hold<O: Outlet>(&mut self, len: usize, path: &mut Path<'_, O>) {
        self.queued += len;
        path.stats.egress_queued += count(len);
        if let Some(connection) = path.sessions.at_mut(self.slot) {
            connection.queued += len;
        }
    }

    fn release<O: Outlet>(&mut self, len: usize, path: &mut Path<'_, O>) {
        self.queued = self.queued.saturating_sub(len);
        path.stats.egress_queued = path.stats.egress_queued.saturating_sub(count(len));
        if let Some(connection) = path.sessions.at_mut(self.slot) {
            connection.queued = connection.queued.saturating_sub(len);
        }
    }

    fn note_blocked<O: Outlet>(&self, alias: Alias, path: &mut Path<'_, O>) {
        let blocked = self.groups.iter().any(|stream| !stream.is_clear());
        path.sessions.note_blocked(self.slot, alias, blocked);
    }

    /// Late: this stream is given up. Without its base layer a group is worth nothing.
    fn give_up<O: Outlet>(&mut self, alias: Alias, at: usize, path: &mut Path<'_, O>) {
        let Some((group, layer)) = self.groups.get(at).map(|stream| (stream.group, stream.layer)) else { return };
        self.remove(alias, at, Some(Code::LATE), path);
        if layer == 0 {
            self.from_group = self.from_group.max(group.saturating_add(1));
            while let Some(at) = self.groups.iter().position(|stream| stream.group == group) {
                self.remove(alias, at, Some(Code::LATE), path);
            }
        }
    }

    /// Takes a stream away: finished, or given up with a code.
    fn remove<O: Outlet>(&mut self, alias: Alias, at: usize, code: Option<Code>, path: &mut Path<'_, O>) {
        if let Some(stream) = self.groups.get(at).map(|stream| stream.stream) {
            match code {
                None => path.outlet.finish(self.session, stream),
                Some(code) => path.outlet.reset(self.session, stream, code),
            }
            self.forget(alias, at, path);
        }
    }

    /// The stream is no more.
    fn forget<O: Outlet>(&mut self, alias: Alias, at: usize, path: &mut Path<'_, O>) {
        if at < self.groups.len() {
            let stream = self.groups.swap_remove(at);
            self.release(stream.queued(), path);
            self.note_blocked(alias, path);
        }
    }
}

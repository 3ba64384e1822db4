//! The streams of one media track, and the little that may wait for them.
//!
//! Lower layers go first: as long as anything of one waits, nothing of those above it is offered. What waits too long
//! costs upper layers first; only a base layer that does not go costs its group.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    io::{Outlet, SessionKey, StreamKey, Wrote},
    wire::code::Code,
};

use crate::api::Media;

/// Bytes of one track that may wait: a key frame of a good picture, and what follows it in the time below.
const MAX_WAITING: usize = 1024 * 1024;

/// How long the oldest of them may wait before the group is worth less than the next one.
const MAX_RESIDENCE: Duration = Duration::from_millis(500);

/// How long a frame of an upper layer may wait: receivers go on without it 40 ms after the next base frame.
const UPPER_RESIDENCE: Duration = Duration::from_millis(100);

/// After an upper layer was dropped it is not offered for so long: it was too much, and what made it so rarely passes at
/// once. Shorter fills a full path with frames that come too late; longer leaves pictures coarse for nothing.
const UPPER_PAUSE: Duration = Duration::from_millis(1_000);

/// Groups that may be unfinished at once.
const MAX_GROUPS: usize = 4;

/// What became of the newest group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queued {
    /// Sent, or it may wait.
    Fine,
    /// Frames of this layer and of those above it are dropped; the layers below go on.
    Cut(u8),
    /// Too much or too old: the group is reset.
    GivenUp,
    /// The remote does not take it, or the session is over.
    Gone,
}

struct Stream {
    key: StreamKey,
    group: u64,
    layer: u8,
    chunks: VecDeque<Bytes>,
    /// When the oldest chunk began to wait.
    since: Duration,
    ended: bool,
}

impl Stream {
    fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    fn waits(&self) -> bool {
        !self.chunks.is_empty()
    }

    const fn patience(&self) -> Duration {
        if self.layer == 0 { MAX_RESIDENCE } else { UPPER_RESIDENCE }
    }

    fn is_late(&self, now: Duration) -> bool {
        self.waits() && self.since + self.patience() <= now
    }
}

/// The unfinished streams of one track, oldest group first.
#[derive(Default)]
pub(super) struct Uplink {
    streams: VecDeque<Stream>,
    bytes: usize,
    /// Upper layers are not offered before.
    upper_from: Duration,
}

impl Uplink {
    /// Begins a group and ends the one before; of those, `keep` may still be on their way, older ones are given up.
    pub(super) fn begin(
        &mut self,
        group: u64,
        priority: u8,
        keep: usize,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> bool {
        self.end();
        while self.groups() > keep.min(MAX_GROUPS - 1) {
            self.drop_oldest(session, outlet);
        }
        self.open(group, 0, priority, now, session, outlet)
    }

    /// The stream of an upper layer of the newest group: `None` while it is not offered, else whether it is a new one.
    pub(super) fn upper(
        &mut self,
        group: u64,
        layer: u8,
        priority: u8,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> Option<bool> {
        if now < self.upper_from {
            return None;
        }
        if self.streams.iter().any(|stream| (stream.group, stream.layer) == (group, layer)) {
            return Some(false);
        }
        if self.open(group, layer, priority, now, session, outlet) {
            return Some(true);
        }
        self.upper_from = now + UPPER_PAUSE;
        None
    }

    fn open(
        &mut self,
        group: u64,
        layer: u8,
        priority: u8,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> bool {
        let Some(key) = outlet.open_uni(session, priority) else { return false };
        self.streams.push_back(Stream { key, group, layer, chunks: VecDeque::new(), since: now, ended: false });
        true
    }

    fn newest(&self) -> Option<u64> {
        self.streams.iter().map(|stream| stream.group).max()
    }

    fn groups(&self) -> usize {
        self.streams.iter().filter(|stream| stream.layer == 0).count()
    }

    fn drop_at(&mut self, at: usize, session: SessionKey, outlet: &mut impl Outlet) {
        if let Some(stream) = self.streams.remove(at) {
            self.bytes = self.bytes.saturating_sub(stream.len());
            if stream.waits() {
                outlet.reset(session, stream.key, Code::LATE);
            } else {
                outlet.finish(session, stream.key);
            }
        }
    }

    /// The oldest group, all layers of it.
    fn drop_oldest(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        let Some(oldest) = self.streams.iter().map(|stream| stream.group).min() else { return };
        while let Some(at) = self.streams.iter().position(|stream| stream.group == oldest) {
            self.drop_at(at, session, outlet);
        }
    }

    /// Adds to the newest stream of a layer.
    pub(super) fn push(&mut self, layer: u8, chunk: Bytes, now: Duration) {
        if let Some(stream) = self.streams.iter_mut().rev().find(|stream| stream.layer == layer) {
            self.bytes += chunk.len();
            if !stream.waits() {
                stream.since = now;
            }
            stream.chunks.push_back(chunk);
        }
    }

    /// Nothing more comes in the groups so far.
    pub(super) fn end(&mut self) {
        for stream in &mut self.streams {
            stream.ended = true;
        }
    }

    /// Sends what goes, and gives up what does not go in time. The answer is about the newest group: losing an older one
    /// costs its own frames only.
    pub(super) fn flush(&mut self, now: Duration, session: SessionKey, outlet: &mut impl Outlet) -> Queued {
        let Some(newest) = self.newest() else { return Queued::Fine };
        let mut result = Queued::Fine;
        for layer in 0..Media::MAX_LAYERS {
            self.offer(layer, newest, now, session, outlet, &mut result);
            if self.streams.iter().any(|stream| stream.layer == layer && stream.waits()) {
                break;
            }
        }
        let upper = |stream: &Stream| stream.layer > 0 && stream.waits();
        while let Some(at) =
            self.streams.iter().position(|stream| upper(stream) && (stream.is_late(now) || self.bytes > MAX_WAITING))
        {
            self.cut(at, newest, now, session, outlet, &mut result);
        }
        while self.bytes > MAX_WAITING || self.streams.iter().any(|stream| stream.layer == 0 && stream.is_late(now)) {
            if self.streams.iter().all(|stream| stream.group == newest) {
                result = Queued::GivenUp;
            }
            self.drop_oldest(session, outlet);
        }
        result
    }

    /// Offers what waits of one layer, oldest group first.
    fn offer(
        &mut self,
        layer: u8,
        newest: u64,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
        result: &mut Queued,
    ) {
        let mut at = 0;
        while let Some(stream) = self.streams.get_mut(at) {
            if stream.layer != layer {
                at += 1;
                continue;
            }
            let before = stream.len();
            let wrote =
                if before == 0 { Wrote::Accepted(0) } else { outlet.write(session, stream.key, stream.chunks.make_contiguous()) };
            while stream.chunks.front().is_some_and(Bytes::is_empty) {
                stream.chunks.pop_front();
            }
            let after = stream.len();
            self.bytes = self.bytes.saturating_sub(before - after);
            if after < before {
                stream.since = now;
            }
            if wrote == Wrote::Gone {
                self.bytes = self.bytes.saturating_sub(after);
                if stream.group == newest && layer == 0 {
                    *result = Queued::Gone;
                } else if stream.group == newest {
                    *result = worse(*result, layer);
                    self.upper_from = now + UPPER_PAUSE;
                }
                self.streams.remove(at);
            } else if stream.chunks.is_empty() && stream.ended {
                outlet.finish(session, stream.key);
                self.streams.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Gives up one stream of an upper layer.
    fn cut(&mut self, at: usize, newest: u64, now: Duration, session: SessionKey, outlet: &mut impl Outlet, result: &mut Queued) {
        if let Some(stream) = self.streams.get(at) {
            if stream.group == newest {
                *result = worse(*result, stream.layer);
            }
            self.upper_from = now + UPPER_PAUSE;
            self.drop_at(at, session, outlet);
        }
    }

    /// When what waits becomes too old.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.streams.iter().filter(|stream| stream.waits()).map(|stream| stream.since + stream.patience()).min()
    }

    /// The remote wants no more of this stream: the layer that it was, if it was one of ours.
    pub(super) fn on_stopped(
        &mut self,
        key: StreamKey,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> Option<u8> {
        let at = self.streams.iter().position(|stream| stream.key == key)?;
        let stream = self.streams.remove(at)?;
        self.bytes = self.bytes.saturating_sub(stream.len());
        outlet.reset(session, key, Code::UNWANTED);
        if stream.layer > 0 {
            self.upper_from = now + UPPER_PAUSE;
        }
        Some(stream.layer)
    }

    /// The track is over: what waits goes if it can, and no more follows.
    pub(super) fn finish(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        while !self.streams.is_empty() {
            self.drop_at(0, session, outlet);
        }
    }

    #[cfg(test)]
    pub(super) const fn waiting(&self) -> usize {
        self.bytes
    }
}

/// What was cut already, and this layer.
fn worse(result: Queued, layer: u8) -> Queued {
    match result {
        Queued::Fine => Queued::Cut(layer),
        Queued::Cut(lowest) => Queued::Cut(lowest.min(layer)),
        Queued::GivenUp | Queued::Gone => result,
    }
}

//! The streams of one media track, and the little that may wait for them.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    io::{Outlet, SessionKey, StreamKey, Wrote},
    wire::code::Code,
};

/// Bytes of one track that may wait: a key frame of a good picture, and what follows it in the time below.
const MAX_WAITING: usize = 1024 * 1024;

/// How long the oldest of them may wait before the group is worth less than the next one.
const MAX_RESIDENCE: Duration = Duration::from_millis(500);

/// Streams that may be unfinished at once.
const MAX_STREAMS: usize = 4;

/// What became of what waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queued {
    /// Sent, or it may wait.
    Fine,
    /// Too much or too old: the group is reset.
    GivenUp,
    /// The remote does not take it, or the session is over.
    Gone,
}

struct Stream {
    key: StreamKey,
    chunks: VecDeque<Bytes>,
    /// When the oldest chunk began to wait.
    since: Duration,
    ended: bool,
}

impl Stream {
    fn len(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    fn is_late(&self, now: Duration) -> bool {
        !self.chunks.is_empty() && self.since + MAX_RESIDENCE <= now
    }
}

/// The unfinished streams of one track, oldest first.
#[derive(Default)]
pub(super) struct Uplink {
    streams: VecDeque<Stream>,
    bytes: usize,
}

impl Uplink {
    /// Begins a stream and ends the one before; of those, `keep` may still be on their way, older ones are given up.
    pub(super) fn begin(
        &mut self,
        priority: u8,
        keep: usize,
        now: Duration,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> bool {
        self.end();
        while self.streams.len() > keep.min(MAX_STREAMS - 1) {
            self.drop_oldest(session, outlet);
        }
        let Some(key) = outlet.open_uni(session, priority) else { return false };
        self.streams.push_back(Stream { key, chunks: VecDeque::new(), since: now, ended: false });
        true
    }

    fn drop_oldest(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        if let Some(stream) = self.streams.pop_front() {
            self.bytes = self.bytes.saturating_sub(stream.len());
            if stream.chunks.is_empty() {
                outlet.finish(session, stream.key);
            } else {
                outlet.reset(session, stream.key, Code::LATE);
            }
        }
    }

    /// Adds to the newest stream.
    pub(super) fn push(&mut self, chunk: Bytes) {
        if let Some(stream) = self.streams.back_mut() {
            self.bytes += chunk.len();
            stream.chunks.push_back(chunk);
        }
    }

    /// Nothing more comes on the newest stream.
    pub(super) fn end(&mut self) {
        if let Some(stream) = self.streams.back_mut() {
            stream.ended = true;
        }
    }

    /// Sends what goes, and gives up what does not go in time. The answer is about the newest stream: losing an older one
    /// costs its own group only.
    pub(super) fn flush(&mut self, now: Duration, session: SessionKey, outlet: &mut impl Outlet) -> Queued {
        let Some(newest) = self.streams.back().map(|stream| stream.key) else { return Queued::Fine };
        let mut result = Queued::Fine;
        let mut at = 0;
        while let Some(stream) = self.streams.get_mut(at) {
            let before = stream.len();
            let wrote =
                if before == 0 { Wrote::Accepted(0) } else { outlet.write(session, stream.key, stream.chunks.make_contiguous()) };
            while stream.chunks.front().is_some_and(Bytes::is_empty) {
                stream.chunks.pop_front();
            }
            let after = stream.len();
            self.bytes = self.bytes.saturating_sub(before - after);
            if after < before || before == 0 {
                stream.since = now;
            }
            if wrote == Wrote::Gone {
                self.bytes = self.bytes.saturating_sub(after);
                if stream.key == newest {
                    result = Queued::Gone;
                }
                self.streams.remove(at);
            } else if stream.chunks.is_empty() && stream.ended {
                outlet.finish(session, stream.key);
                self.streams.remove(at);
            } else {
                at += 1;
            }
        }
        while self.bytes > MAX_WAITING || self.streams.front().is_some_and(|oldest| oldest.is_late(now)) {
            if self.streams.front().is_some_and(|oldest| oldest.key == newest) {
                result = Queued::GivenUp;
            }
            self.drop_oldest(session, outlet);
        }
        result
    }

    /// When what waits becomes too old.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.streams.iter().filter(|stream| !stream.chunks.is_empty()).map(|stream| stream.since + MAX_RESIDENCE).min()
    }

    /// The remote wants no more of this stream; says whether it was one of ours.
    pub(super) fn on_stopped(&mut self, key: StreamKey, session: SessionKey, outlet: &mut impl Outlet) -> bool {
        let Some(at) = self.streams.iter().position(|stream| stream.key == key) else { return false };
        if let Some(stream) = self.streams.remove(at) {
            self.bytes = self.bytes.saturating_sub(stream.len());
            outlet.reset(session, key, Code::UNWANTED);
        }
        true
    }

    /// The track is over: what waits goes if it can, and no more follows.
    pub(super) fn finish(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        while !self.streams.is_empty() {
            self.drop_oldest(session, outlet);
        }
    }

    #[cfg(test)]
    pub(super) const fn waiting(&self) -> usize {
        self.bytes
    }
}

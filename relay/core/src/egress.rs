//! What a blocked subscriber still gets, and what is dropped: group streams with a small queue, and one reliable stream
//! that follows cursors. Whoever takes everything at once never meets this file.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::Alias,
    io::{Outlet, SessionKey, StreamKey, Wrote},
    limits::SLOW_AFTER,
    track::priority,
    wire::stream::reliable_start,
};

use crate::{
    fanout::Fanout,
    window::{Cursor, Found, Window},
};

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    since: Duration,
}

/// One group and layer on its way to one subscriber.
#[derive(Debug)]
pub(crate) struct GroupStream {
    /// The group.
    pub(crate) group: u64,
    /// The layer.
    pub(crate) layer: u8,
    /// The stream it travels on.
    pub(crate) stream: StreamKey,
    waiting: VecDeque<Waiting>,
    queued: usize,
    /// The next chunk of the cached group, until this stream has caught up with it.
    pub(crate) replay: Option<usize>,
    /// The publisher ended it: finish when nothing waits any more.
    pub(crate) finish: bool,
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// All of it left.
    All(usize),
    /// Some left, the rest waits.
    Some(usize),
    /// The stream is no more.
    Gone,
}

impl GroupStream {
    pub(crate) const fn new(group: u64, layer: u8, stream: StreamKey) -> Self {
        Self { group, layer, stream, waiting: VecDeque::new(), queued: 0, replay: None, finish: false }
    }

    /// Whether bytes may be offered to the outlet at once.
    pub(crate) fn is_clear(&self) -> bool {
        self.waiting.is_empty() && self.replay.is_none()
    }

    /// Bytes that wait.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    /// Since when the oldest bytes wait. A replay waits for nothing but the path: the next group ends it.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        if self.replay.is_some() { None } else { self.waiting.front().map(|waiting| waiting.since) }
    }

    /// Lets bytes wait; the caller has made room.
    pub(crate) fn push(&mut self, now: Duration, bytes: Bytes) {
        if !bytes.is_empty() {
            self.queued += bytes.len();
            self.waiting.push_back(Waiting { bytes, since: now });
        }
    }

    /// Offers what waits. Says how many bytes left the queue, too.
    pub(crate) fn pump(&mut self, session: SessionKey, outlet: &mut impl Outlet) -> Sent {
        let mut left = 0;
        while let Some(front) = self.waiting.front_mut() {
            match outlet.write(session, self.stream, std::slice::from_mut(&mut front.bytes)) {
                Wrote::Accepted(len) => {
                    left += len;
                    self.queued = self.queued.saturating_sub(len);
                    if !front.bytes.is_empty() {
                        return Sent::Some(left);
                    }
                    self.waiting.pop_front();
                }
                Wrote::Blocked => return Sent::Some(left),
                Wrote::Gone => return Sent::Gone,
            }
        }
        Sent::All(left)
    }
}

/// The one stream of a session on which everything travels that must not be lost.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    stream: Option<StreamKey>,
    partial: VecDeque<Bytes>,
    cursors: BTreeMap<Alias, Cursor>,
    ready: BTreeSet<Alias>,
    last: Option<Alias>,
    stuck: Option<Duration>,
}

/// Why a session has to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// A cursor fell off the retained window, or nothing moved for [`SLOW_AFTER`].
    Slow,
    /// The remote stopped the stream.
    Stopped,
}

impl Reliable {
    /// Follows a track from here on.
    pub(crate) fn follow(&mut self, alias: Alias, cursor: Cursor) {
        self.cursors.insert(alias, cursor);
        self.ready.insert(alias);
    }

    /// Follows it no more. An object that is partly written is still completed: the stream is shared.
    pub(crate) fn leave(&mut self, alias: Alias) {
        self.cursors.remove(&alias);
        self.ready.remove(&alias);
    }

    /// From now on a track is given up to this object.
    pub(crate) fn limit(&mut self, alias: Alias, until: u64) {
        if let Some(cursor) = self.cursors.get_mut(&alias) {
            cursor.limit(until);
            self.ready.insert(alias);
        }
    }

    /// There is something new on a track.
    pub(crate) fn mark(&mut self, alias: Alias) {
        if self.cursors.contains_key(&alias) {
            self.ready.insert(alias);
        }
    }

    /// Whether the remote does not take it now.
    pub(crate) const fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// Whether nothing moved for too long.
    pub(crate) fn is_slow(&self, now: Duration) -> bool {
        self.stuck.is_some_and(|since| since + SLOW_AFTER <= now)
    }

    fn next_ready(&self) -> Option<Alias> {
        let after = self
            .last
            .and_then(|last| self.ready.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next().copied());
        after.or_else(|| self.ready.first().copied())
    }

    /// Writes until nothing is left or the remote does not take more; tracks take turns. Returns the bytes written.
    ///
    /// # Errors
    /// When the session has to end.
    pub(crate) fn pump(
        &mut self,
        now: Duration,
        session: SessionKey,
        tracks: &BTreeMap<Alias, Fanout>,
        outlet: &mut impl Outlet,
    ) -> Result<usize, Broken> {
        let mut written = 0;
        loop {
            if self.partial.is_empty() {
                let Some(alias) = self.next_ready() else {
                    self.stuck = None;
                    return Ok(written);
                };
                self.last = Some(alias);
                let found = self
                    .cursors
                    .get(&alias)
                    .zip(tracks.get(&alias))
                    .and_then(|(cursor, track)| track.window().map(|window: &Window| window.at(*cursor)));
                match found {
                    None | Some(Found::End) => {
                        self.ready.remove(&alias);
                        continue;
                    }
                    Some(Found::Fell) => return Err(Broken::Slow),
                    Some(Found::Object(kept, cursor)) => {
                        if self.stream.is_none() {
                            self.stream = outlet.open_uni(session, priority::CONTROL);
                            if self.stream.is_none() {
                                self.stuck.get_or_insert(now);
                                return Ok(written);
                            }
                            self.partial.push_back(reliable_start());
                        }
                        self.cursors.insert(alias, cursor);
                        self.partial
                            .extend([kept.head.clone(), kept.payload.clone()].into_iter().filter(|part| !part.is_empty()));
                    }
                }
            }
            let Some(stream) = self.stream else { return Ok(written) };
            match outlet.write(session, stream, self.partial.make_contiguous()) {
                Wrote::Accepted(len) => {
                    written += len;
                    while self.partial.front().is_some_and(Bytes::is_empty) {
                        self.partial.pop_front();
                    }
                    if !self.partial.is_empty() {
                        self.stuck = if len > 0 { Some(now) } else { self.stuck.or(Some(now)) };
                        return Ok(written);
                    }
                    self.stuck = None;
                }
                Wrote::Blocked => {
                    self.stuck.get_or_insert(now);
                    return Ok(written);
                }
                Wrote::Gone => return Err(Broken::Stopped),
            }
        }
    }
}

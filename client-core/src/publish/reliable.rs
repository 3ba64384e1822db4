//! Our reliable tracks: catalog, control and chat share one stream of the session, and nothing of them is dropped.

use std::collections::VecDeque;

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    io::{Outlet, SessionKey, StreamKey, Wrote},
    track::{TrackName, priority},
    wire::{
        object::{ObjectHeader, ObjectIdentity},
        stream::{reliable_head, reliable_start},
    },
};

/// Bytes that may wait for the relay to read: far more than a participant says in the ten seconds after which a relay
/// that does not read is given up.
const MAX_WAITING: usize = 1024 * 1024;

/// The relay does not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stuck;

/// The stream that our reliable tracks share.
#[derive(Default)]
pub(crate) struct Reliable {
    stream: Option<StreamKey>,
    chunks: VecDeque<Bytes>,
    bytes: usize,
}

impl Reliable {
    /// Sends one object, after all before it.
    pub(crate) fn write(
        &mut self,
        header: &ObjectHeader,
        payload: Bytes,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> Result<(), Stuck> {
        if self.stream.is_none() {
            self.stream = Some(outlet.open_uni(session, priority::CONTROL).ok_or(Stuck)?);
            self.push(reliable_start());
        }
        if self.bytes + payload.len() > MAX_WAITING {
            return Err(Stuck);
        }
        self.push(reliable_head(header, payload.len()));
        self.push(payload);
        self.flush(session, outlet);
        Ok(())
    }

    fn push(&mut self, chunk: Bytes) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// Something that was blocked may go now.
    pub(crate) fn flush(&mut self, session: SessionKey, outlet: &mut impl Outlet) {
        let Some(stream) = self.stream else { return };
        while !self.chunks.is_empty() {
            let wrote = outlet.write(session, stream, self.chunks.make_contiguous());
            while self.chunks.front().is_some_and(Bytes::is_empty) {
                self.chunks.pop_front();
            }
            self.bytes = self.chunks.iter().map(Bytes::len).sum();
            match wrote {
                Wrote::Accepted(1..) => {}
                // The session's end is told by the session; until then nothing of this stream can be kept.
                Wrote::Accepted(0) | Wrote::Blocked | Wrote::Gone => return,
            }
        }
    }

    /// Whether this is its stream.
    pub(crate) fn is(&self, stream: StreamKey) -> bool {
        self.stream == Some(stream)
    }
}

/// One of our reliable tracks: objects count up over all groups, so that a subscriber's place is one number.
pub(crate) struct OwnTrack {
    /// Its name.
    pub(crate) id: TrackId,
    alias: Option<Alias>,
    group: u64,
    object: u64,
}

impl OwnTrack {
    pub(crate) const fn new(id: TrackId) -> Self {
        Self { id, alias: None, group: 0, object: 0 }
    }

    /// Whether the relay knows it.
    pub(crate) const fn is_announced(&self) -> bool {
        self.alias.is_some()
    }

    /// The relay took it.
    pub(crate) const fn on_published(&mut self, alias: Alias) {
        self.alias = Some(alias);
    }

    /// The session is gone.
    pub(crate) const fn on_lost(&mut self) {
        self.alias = None;
    }

    /// The relay has another track of this name: it goes on under a new one.
    pub(crate) fn rename(&mut self, id: TrackId) {
        self.id = id;
    }

    /// From the next object on.
    pub(crate) const fn begin_group(&mut self) {
        self.group += 1;
    }

    /// Where the next object stands.
    pub(crate) const fn next_place(&self, place: TrackName) -> ObjectIdentity {
        let name = TrackName { track: self.id, ..place };
        ObjectIdentity { name, group: self.group, object: self.object, layer: 0, flags: 0 }
    }

    /// Sends the next object.
    pub(crate) fn write(
        &mut self,
        payload: Bytes,
        reliable: &mut Reliable,
        session: SessionKey,
        outlet: &mut impl Outlet,
    ) -> Result<(), Stuck> {
        let alias = self.alias.ok_or(Stuck)?;
        let (group, object) = (self.group, self.object);
        let header = ObjectHeader { alias, group, object, layer: 0, flags: 0, priority: priority::CONTROL };
        reliable.write(&header, payload, session, outlet)?;
        self.object += 1;
        Ok(())
    }
}

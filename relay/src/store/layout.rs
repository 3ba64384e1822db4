//! How a log entry lies in the store: cut into chunks under fixed-length keys.
//!
//! ```text
//!   log        room 16 ‖ instance 4 ‖ seq 8 ‖ chunk 2  ->  at most 4 KiB; chunk 0 begins with the whole length, 4 bytes;
//!                                                          then entry and call keys after their length, then the welcome
//!   records    room 16                                 ->  the newest record
//!   instances  room 16                                 ->  the highest instance ever begun, 4 bytes
//!   dropped    room 16 ‖ instance 4                    ->  1: being deleted; 2: damaged, kept for a look, never read
//!   closed     room 16                                 ->  since when, 8 bytes of milliseconds; the operator's reason
//!   meta       "format"                                ->  this layout's version
//! ```
//!
//! Why chunks: the engine leaks disk for values above about 6 KB that are deleted or replaced, and welcomes of large rooms
//! are a hundred times that.

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RelayId, RoomId},
    limits::MAX_SEALED,
    log::Position,
    proof::sha256,
    record::CallKeys,
    wire::{
        Reader, Wire, Writer as WireWriter,
        message::{Entry, EntryHeader},
    },
};

use conclave_relay_core::{Closure, order::MAX_REASON};

use super::StoredEntry;

/// Longest value in the store.
pub(super) const CHUNK: usize = 4 * 1024;

/// Longest entry: commit, box and welcome, and room for header, record and signatures.
const MAX_ENTRY: usize = 3 * MAX_SEALED + 16 * 1024;

const ROOM: usize = 16;
const CALL: usize = ROOM + 4;
const PLACE: usize = CALL + 8;
const KEY: usize = PLACE + 2;

/// Names one instance's log.
pub(super) type CallKey = [u8; CALL];
/// Names one entry.
pub(super) type PlaceKey = [u8; PLACE];

/// A call of a room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Call {
    pub(super) room: RoomId,
    pub(super) instance: Instance,
}

impl Call {
    pub(super) fn key(self) -> CallKey {
        let mut key = [0; CALL];
        let bytes = self.room.as_bytes().iter().copied().chain(self.instance.0.to_be_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        key
    }

    pub(super) fn from_key(key: &[u8]) -> Option<Self> {
        let (room, instance) = key.split_first_chunk::<ROOM>()?;
        let instance = <[u8; 4]>::try_from(instance).ok()?;
        Some(Self { room: RoomId::new(*room), instance: Instance(u32::from_be_bytes(instance)) })
    }

    /// Where its entry of this number begins.
    pub(super) fn place(self, seq: u64) -> PlaceKey {
        let mut key = [0; PLACE];
        let bytes = self.key().into_iter().chain(seq.to_be_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        key
    }
}

/// Where one chunk lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ChunkKey {
    pub(super) call: Call,
    pub(super) seq: u64,
    pub(super) chunk: u16,
}

impl ChunkKey {
    pub(super) fn bytes(self) -> [u8; KEY] {
        let mut key = [0; KEY];
        let bytes = self.call.place(self.seq).into_iter().chain(self.chunk.to_be_bytes());
        key.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        key
    }

    pub(super) fn from_bytes(key: &[u8]) -> Option<Self> {
        let (call, rest) = key.split_first_chunk::<CALL>()?;
        let (seq, chunk) = rest.split_first_chunk::<8>()?;
        let chunk = <[u8; 2]>::try_from(chunk).ok()?;
        Some(Self { call: Call::from_key(call)?, seq: u64::from_be_bytes(*seq), chunk: u16::from_be_bytes(chunk) })
    }
}

/// Cuts an entry into keys and values.
pub(super) fn chunks(call: Call, seq: u64, entry: &StoredEntry) -> Vec<([u8; KEY], Vec<u8>)> {
    let mut body = WireWriter::new();
    entry.entry.put(&mut body);
    entry.call.put(&mut body);
    let body = body.into_vec();
    let whole = 4 + body.len() + entry.welcome.len();
    let mut bytes = Vec::with_capacity(4 + whole);
    bytes.extend_from_slice(&u32::try_from(whole).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&entry.welcome);
    bytes
        .chunks(CHUNK)
        .zip(0_u16..=u16::MAX)
        .map(|(part, chunk)| (ChunkKey { call, seq, chunk }.bytes(), part.to_vec()))
        .collect()
}

/// Puts an entry together again, chunk by chunk.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    bytes: Vec<u8>,
    whole: usize,
    next: u16,
}

impl Joiner {
    /// The next chunk of the entry. Chunks behind its end are of an older entry that was never confirmed: ignored.
    pub(super) fn push(&mut self, chunk: u16, value: &[u8]) -> Result<(), Damage> {
        if chunk != self.next {
            return Err(Damage::Gap);
        }
        self.next = self.next.saturating_add(1);
        let mut value = value;
        if chunk == 0 {
            let (whole, rest) = value.split_first_chunk::<4>().ok_or(Damage::Unreadable)?;
            self.whole = usize::try_from(u32::from_be_bytes(*whole)).unwrap_or(usize::MAX);
            if self.whole > MAX_ENTRY {
                return Err(Damage::Unreadable);
            }
            value = rest;
        }
        let missing = self.whole.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(value.get(..missing.min(value.len())).unwrap_or_default());
        Ok(())
    }

    /// The entry, when all of it is there.
    pub(super) fn finish(self) -> Result<StoredEntry, Damage> {
        if self.bytes.len() != self.whole {
            return Err(Damage::Gap);
        }
        let bytes = Bytes::from(self.bytes);
        let length = bytes.first_chunk::<4>().map(|length| u32::from_be_bytes(*length)).ok_or(Damage::Unreadable)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let rest = bytes.slice(4..);
        if length > rest.len() {
            return Err(Damage::Unreadable);
        }
        let body = rest.slice(..length);
        let mut from = Reader::new(&body);
        let read = Entry::take(&mut from).and_then(|entry| Ok((entry, <Option<CallKeys> as Wire>::take(&mut from)?)));
        let (entry, call) = read.and_then(|read| from.finish().map(|()| read)).map_err(|_| Damage::Unreadable)?;
        Ok(StoredEntry { entry, welcome: rest.slice(length..), call })
    }
}

/// A closure as it is kept.
pub(super) fn closure_value(closure: &Closure) -> Vec<u8> {
    let mut value = closure.since.to_be_bytes().to_vec();
    value.extend_from_slice(closure.reason.as_bytes());
    value
}

/// A closure as it was kept. A room stays closed even if nobody can read why.
pub(super) fn closure(room: RoomId, value: &[u8]) -> Closure {
    let (since, reason) =
        value.split_first_chunk::<8>().map_or((0, value), |(since, reason)| (u64::from_be_bytes(*since), reason));
    let reason = std::str::from_utf8(reason).ok().filter(|reason| (1..=MAX_REASON).contains(&reason.len()));
    Closure { room, since, reason: reason.unwrap_or("the stored reason cannot be read").to_owned() }
}

/// What is wrong with a stored log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Damage {
    /// Entries or parts of one are missing.
    #[error("a part is missing")]
    Gap,
    /// The bytes are not an entry.
    #[error("an entry cannot be read")]
    Unreadable,
    /// The entry is of another log, or follows another history.
    #[error("an entry does not follow the one before")]
    Chain,
    /// The entry's parts are not those that its header is over.
    #[error("an entry's parts were changed")]
    Body,
    /// This relay did not sign it.
    #[error("an entry is not signed by this relay's key")]
    Signature,
}

/// Walks along a log and believes nothing: header chain, hashes of all parts, and the hub's own signature.
#[derive(Debug)]
pub(super) struct Verifier {
    relay: RelayId,
    call: Call,
    position: Position,
}

impl Verifier {
    pub(super) const fn new(relay: RelayId, call: Call) -> Self {
        Self { relay, call, position: Position::START }
    }

    pub(super) fn check(&mut self, seq: u64, stored: &StoredEntry) -> Result<(), Damage> {
        let Entry { header, commit, epoch_box, record, head } = &stored.entry;
        if seq != self.position.seq {
            return Err(Damage::Gap);
        }
        if header.room != self.call.room || header.instance != self.call.instance {
            return Err(Damage::Chain);
        }
        let next = self.position.advance(header).map_err(|_| Damage::Chain)?;
        if header.body_hash != EntryHeader::body_hash(commit, epoch_box, record.as_ref())
            || header.welcome_hash != sha256(&[&stored.welcome])
        {
            return Err(Damage::Body);
        }
        let stated = head.room == header.room && head.instance == header.instance && head.seq == seq && head.head == next.head;
        if !stated || !head.verify(self.relay) {
            return Err(Damage::Signature);
        }
        self.position = next;
        Ok(())
    }
}

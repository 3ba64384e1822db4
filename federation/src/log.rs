//! The handshake log: append-only, hash-chained, ordered by compare-and-swap on its head. Blind: no part of this file
//! knows what a commit is. Members decide whether an entry is valid; an invalid one is skipped by all of them alike.

use crate::{
    id::{Generation, Head, Instance, RelayId, RoomId},
    limits::{MAX_LOG_BYTES, MAX_LOG_ENTRIES},
    proof::{Label, Signature, SigningKey, VerifyingKey, sha256},
    record::{CallKeys, RoomRecord},
    wire::{
        Wire, Writer,
        code::Code,
        message::{Append, EntryHeader, EntryKind, HubHead, Sealed},
    },
};

impl EntryHeader {
    /// The rules version spoken here.
    pub const VERSION: u8 = 1;

    /// The head after this entry.
    #[must_use]
    pub fn head(&self) -> Head {
        Head::new(sha256(&[b"conclave/1 log", self.prev_head.as_bytes(), &self.encode()]))
    }

    /// Of [`EntryHeader::flags`]: the entry comes with a record of the next generation.
    pub const NEXT_GENERATION: u8 = 1;

    /// Whether the entry begins the next generation.
    #[must_use]
    pub const fn begins_generation(&self) -> bool {
        self.flags & Self::NEXT_GENERATION != 0
    }

    /// What [`EntryHeader::body_hash`] is over: all parts with their lengths.
    #[must_use]
    pub fn body_hash(commit: &Sealed, epoch_box: &Sealed, record: Option<&RoomRecord>) -> [u8; 32] {
        let mut out = Writer::new();
        commit.put(&mut out);
        epoch_box.put(&mut out);
        record.is_some().put(&mut out);
        if let Some(record) = record {
            record.put(&mut out);
        }
        sha256(&[&out.into_vec()])
    }

    /// What [`EntryHeader::welcome_hash`] is over.
    #[must_use]
    pub fn welcome_hash(welcome: &Sealed) -> [u8; 32] {
        sha256(&[welcome.bytes()])
    }
}

impl HubHead {
    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.put(&mut out);
        let mut bytes = out.into_vec();
        bytes.truncate(bytes.len().saturating_sub(64));
        bytes
    }

    /// A hub states its head.
    #[must_use]
    pub fn sign(hub: &SigningKey, header: &EntryHeader, time: u64) -> Self {
        let mut head = Self {
            room: header.room,
            instance: header.instance,
            seq: header.seq,
            head: header.head(),
            term: header.term,
            hub_index: header.hub_index,
            time,
            signature: Signature::new([0; 64]),
        };
        head.signature = hub.sign(Label::Head, &head.claim());
        head
    }

    /// Whether `hub` said this.
    #[must_use]
    pub fn verify(&self, hub: RelayId) -> bool {
        hub.key().verify(Label::Head, &self.claim(), &self.signature)
    }

    /// Whether this and `other` are two histories of one log.
    #[must_use]
    pub fn contradicts(&self, other: &Self) -> bool {
        self.room == other.room
            && self.instance == other.instance
            && self.term == other.term
            && self.seq == other.seq
            && self.head != other.head
    }
}

/// A position in a log, as hub and members walk along it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Of the next entry.
    pub seq: u64,
    /// That it has to follow.
    pub head: Head,
}

impl Position {
    /// Before the genesis.
    pub const START: Self = Self { seq: 0, head: Head::START };

    /// After this entry, if it is the next one.
    ///
    /// # Errors
    /// When it follows something else: a fork, a gap or a repetition.
    pub fn advance(self, header: &EntryHeader) -> Result<Self, OutOfLine> {
        if header.seq < self.seq {
            return Err(OutOfLine::Repeated);
        }
        if header.seq > self.seq {
            return Err(OutOfLine::Gap);
        }
        if header.prev_head != self.head {
            return Err(OutOfLine::Fork);
        }
        Ok(Self { seq: self.seq.saturating_add(1), head: header.head() })
    }
}

/// Why an entry is not the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OutOfLine {
    /// It was seen before.
    #[error("the entry was seen before")]
    Repeated,
    /// Entries are missing before it.
    #[error("entries are missing before this one")]
    Gap,
    /// It follows another history.
    #[error("the entry follows another history")]
    Fork,
}

/// The hub's side of one instance's log: bookkeeping only; entries live in the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Log {
    room: RoomId,
    instance: Instance,
    position: Position,
    bytes: u64,
    ended: bool,
}

impl Log {
    /// An empty log.
    #[must_use]
    pub const fn new(room: RoomId, instance: Instance) -> Self {
        Self { room, instance, position: Position::START, bytes: 0, ended: false }
    }

    /// A log read back from the store: its position after the last entry, the bytes of all entries, and whether the last
    /// one ended the call.
    #[must_use]
    pub const fn restored(room: RoomId, instance: Instance, position: Position, bytes: u64, ended: bool) -> Self {
        Self { room, instance, position, bytes, ended }
    }

    /// Whether a host ended the call: nothing follows.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// The call.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.instance
    }

    /// Where the next entry goes.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Whether `append` may be the next entry, under the newest `record` and the keys of this `call`, which have been
    /// verified. Changes nothing: the caller stores it first, then calls [`Log::advance`].
    ///
    /// # Errors
    /// The code for the asker: [`Code::CONFLICT`] when another entry was first.
    pub fn check(&self, append: &Append, record: &RoomRecord, call: Option<&CallKeys>, unix_ms: u64) -> Result<(), Code> {
        let header = &append.header;
        if header.version != EntryHeader::VERSION
            || header.flags & !EntryHeader::NEXT_GENERATION != 0
            || header.term != 0
            || header.hub_index != 0
        {
            return Err(Code::UNSUPPORTED);
        }
        if header.room != self.room || header.instance != self.instance || self.ended {
            return Err(Code::WRONG_INSTANCE);
        }
        if header.generation != record.generation {
            return Err(Code::STALE_GENERATION);
        }
        let signer = match (header.kind, header.seq) {
            (EntryKind::Genesis, 0) => record.join,
            (EntryKind::Commit | EntryKind::End, 1..) => record.keys(call).0,
            (EntryKind::Genesis | EntryKind::Commit | EntryKind::End, _) => {
                return Err(if header.seq == self.position.seq { Code::VIOLATION } else { Code::CONFLICT });
            }
            (EntryKind::HubMove, _) => return Err(Code::UNSUPPORTED),
        };
        if self.position.advance(header).is_err() {
            return Err(Code::CONFLICT);
        }
        if !Self::signed(append, &signer) {
            return Err(Code::BAD_PROOF);
        }
        if header.body_hash != EntryHeader::body_hash(&append.commit, &append.epoch_box, append.record.as_ref())
            || header.welcome_hash != EntryHeader::welcome_hash(&append.welcome)
        {
            return Err(Code::VIOLATION);
        }
        self.check_extras(append, record, unix_ms)?;
        if self.position.seq >= MAX_LOG_ENTRIES || self.bytes.saturating_add(size(append)) > MAX_LOG_BYTES {
            return Err(Code::FULL);
        }
        Ok(())
    }

    /// What comes with some entries only: the next generation's record, a host's word, the keys of a call.
    fn check_extras(&self, append: &Append, record: &RoomRecord, unix_ms: u64) -> Result<(), Code> {
        let header = &append.header;
        match (&append.record, header.begins_generation()) {
            (None, false) => {}
            (Some(next), true) if header.kind == EntryKind::Commit => {
                if next.generation != record.generation.next()
                    || next.follows(record).is_err()
                    || next.verify(self.room, unix_ms).is_err()
                {
                    return Err(Code::BAD_RECORD);
                }
            }
            _ => return Err(Code::VIOLATION),
        }
        if header.kind == EntryKind::End
            && !(append.commit.bytes().is_empty()
                && append.epoch_box.bytes().is_empty()
                && append.welcome.bytes().is_empty()
                && header.served.is_empty())
        {
            return Err(Code::VIOLATION);
        }
        let needs_host = header.kind == EntryKind::End || (header.kind == EntryKind::Genesis && record.host_required);
        match &append.reserve {
            Some(host) if !host.verify(Label::Reserve, &header.encode(), record, unix_ms) => return Err(Code::BAD_PROOF),
            None if needs_host => return Err(Code::BAD_PROOF),
            _ => {}
        }
        match &append.call {
            Some(_) if header.kind != EntryKind::Genesis => Err(Code::VIOLATION),
            Some(keys) if keys.generation != record.generation => Err(Code::STALE_GENERATION),
            Some(keys) if !keys.verify(self.instance, record) => Err(Code::BAD_PROOF),
            _ => Ok(()),
        }
    }

    /// The entry is stored: the log moves on.
    ///
    /// # Errors
    /// When it is not the next one; nothing moves then.
    pub fn advance(&mut self, append: &Append) -> Result<(), OutOfLine> {
        self.position = self.position.advance(&append.header)?;
        self.ended = append.header.kind == EntryKind::End;
        self.bytes = self.bytes.saturating_add(size(append));
        Ok(())
    }

    fn signed(append: &Append, signer: &VerifyingKey) -> bool {
        signer.verify(Label::Append, &append.header.encode(), &append.signature)
    }

    /// Whether the entry's generation is the current one.
    #[must_use]
    pub const fn is_current(generation: Generation, record: &RoomRecord) -> bool {
        generation.0 == record.generation.0
    }
}

fn size(append: &Append) -> u64 {
    let record = append.record.as_ref().map_or(0, |record| record.encode().len());
    let len = append.commit.bytes().len() + append.epoch_box.bytes().len() + append.welcome.bytes().len() + record + 512;
    u64::try_from(len).unwrap_or(u64::MAX)
}

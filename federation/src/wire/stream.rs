//! Unidirectional streams: one per group and layer of a media track, and one per direction for a session's reliable tracks.
//!
//! ```text
//! group stream:    0x01, alias, group, layer, flags, priority, { object, length, payload }*
//! reliable stream: 0x02, { alias, group, object, layer, flags, priority, length, payload }*
//! ```
//!
//! A receiver reads at its own pace: [`StreamReader`] takes bytes as they come and gives whole heads, and payloads in
//! the pieces that the reads returned, so that a relay forwards what has arrived.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Malformed, Reader, Wire, Writer,
    object::{ObjectHeader, put_alias, take_alias},
};
use crate::{
    id::Alias,
    limits::{MAX_OBJECT, MAX_RELIABLE_OBJECT},
};

const GROUP: u64 = 1;
const RELIABLE: u64 = 2;

/// Longest head: type, alias, two ids of eight bytes, three bytes, a length of eight.
const MAX_HEAD: usize = 1 + 4 + 8 + 8 + 3 + 8;

/// The head of a group's stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupHeader {
    /// The sender's name for the track.
    pub alias: Alias,
    /// The group.
    pub group: u64,
    /// Temporal layer.
    pub layer: u8,
    /// As in [`ObjectHeader::flags`].
    pub flags: u8,
    /// As in [`crate::track::priority`].
    pub priority: u8,
}

impl GroupHeader {
    /// The stream's first bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.varint(GROUP);
        put_alias(self.alias, &mut out);
        out.varint(self.group);
        out.u8(self.layer);
        out.u8(self.flags);
        out.u8(self.priority);
        out.into_bytes()
    }

    /// The bytes before an object's payload on this stream.
    #[must_use]
    pub fn object_head(object: u64, payload: usize) -> Bytes {
        let mut out = Writer::new();
        out.varint(object);
        out.varint(u64::try_from(payload).unwrap_or(u64::MAX));
        out.into_bytes()
    }

    /// The full header of an object on this stream.
    #[must_use]
    pub const fn object(&self, object: u64) -> ObjectHeader {
        ObjectHeader {
            alias: self.alias,
            group: self.group,
            object,
            layer: self.layer,
            flags: self.flags,
            priority: self.priority,
        }
    }
}

/// The first bytes of a reliable stream.
#[must_use]
pub fn reliable_start() -> Bytes {
    let mut out = Writer::new();
    out.varint(RELIABLE);
    out.into_bytes()
}

/// The bytes before an object's payload on a reliable stream.
#[must_use]
pub fn reliable_head(header: &ObjectHeader, payload: usize) -> Bytes {
    let mut out = Writer::new();
    header.put(&mut out);
    out.varint(u64::try_from(payload).unwrap_or(u64::MAX));
    out.into_bytes()
}

/// What came off a unidirectional stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Piece {
    /// A group begins on this stream; first, once.
    Group(GroupHeader),
    /// Bytes of an object on a group's stream.
    Part {
        /// The object.
        object: u64,
        /// Its whole length.
        len: usize,
        /// Where these bytes stand in it.
        offset: usize,
        /// The bytes, as one read returned them; empty only for an empty object.
        bytes: Bytes,
    },
    /// A whole object of a reliable track.
    Reliable {
        /// Where it stands.
        header: ObjectHeader,
        /// Its payload.
        payload: Bytes,
    },
}

#[derive(Debug)]
enum State {
    Start,
    Group {
        inside: Option<Inside>,
    },
    Reliable {
        inside: Option<(ObjectHeader, usize)>,
    },
    /// A stream type from the future: read and thrown away.
    Ignored,
}

#[derive(Clone, Copy, Debug)]
struct Inside {
    object: u64,
    len: usize,
    offset: usize,
}

/// Reads one unidirectional stream.
#[derive(Debug)]
pub struct StreamReader {
    state: State,
    buffered: BytesMut,
    ready: VecDeque<Piece>,
}

impl Default for StreamReader {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamReader {
    /// At the stream's first byte.
    #[must_use]
    pub fn new() -> Self {
        Self { state: State::Start, buffered: BytesMut::new(), ready: VecDeque::new() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When they cannot be what they claim; the session is over then.
    pub fn push(&mut self, mut bytes: Bytes) -> Result<(), Malformed> {
        loop {
            match &mut self.state {
                State::Ignored => return Ok(()),
                State::Group { inside: Some(inside) } => {
                    // Payload passes by reference. Buffered bytes belong to heads only, so none is left here.
                    let wanted = inside.len - inside.offset;
                    if bytes.is_empty() && wanted > 0 {
                        return Ok(());
                    }
                    let part = bytes.split_to(wanted.min(bytes.len()));
                    let piece = Piece::Part { object: inside.object, len: inside.len, offset: inside.offset, bytes: part };
                    inside.offset += wanted.min(match &piece {
                        Piece::Part { bytes, .. } => bytes.len(),
                        Piece::Group(_) | Piece::Reliable { .. } => 0,
                    });
                    let done = inside.offset == inside.len;
                    self.ready.push_back(piece);
                    if done {
                        self.state = State::Group { inside: None };
                    }
                }
                State::Reliable { inside: Some((header, len)) } => {
                    let wanted = len.saturating_sub(self.buffered.len());
                    if self.buffered.is_empty() && bytes.len() >= wanted {
                        let payload = bytes.split_to(wanted);
                        self.ready.push_back(Piece::Reliable { header: *header, payload });
                        self.state = State::Reliable { inside: None };
                    } else if bytes.len() >= wanted {
                        self.buffered.extend_from_slice(&bytes.split_to(wanted));
                        let payload = self.buffered.split().freeze();
                        self.ready.push_back(Piece::Reliable { header: *header, payload });
                        self.state = State::Reliable { inside: None };
                    } else {
                        self.buffered.extend_from_slice(&bytes);
                        return Ok(());
                    }
                }
                State::Start | State::Group { inside: None } | State::Reliable { inside: None } => {
                    // A head may straddle reads: take at most one head's worth into the buffer and try.
                    let had = self.buffered.len();
                    let more = bytes.len().min(MAX_HEAD.saturating_sub(had));
                    if more == 0 {
                        return if bytes.is_empty() { Ok(()) } else { Err(Malformed::TooLong("stream head")) };
                    }
                    let mut head = BytesMut::with_capacity(had + more);
                    head.extend_from_slice(&self.buffered);
                    head.extend_from_slice(bytes.get(..more).unwrap_or_default());
                    let head = head.freeze();
                    match self.head(&head) {
                        Ok(used) => {
                            self.buffered.clear();
                            bytes.advance(used.saturating_sub(had));
                        }
                        Err(Malformed::Truncated(_)) if head.len() < MAX_HEAD => {
                            self.buffered.extend_from_slice(&bytes.split_to(more));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Reads one head from the front; moves the state only when it is complete.
    fn head(&mut self, bytes: &Bytes) -> Result<usize, Malformed> {
        let mut from = Reader::new(bytes);
        match &self.state {
            State::Start => match from.varint()? {
                GROUP => {
                    let header = GroupHeader {
                        alias: take_alias(&mut from)?,
                        group: from.varint()?,
                        layer: from.u8()?,
                        flags: from.u8()?,
                        priority: from.u8()?,
                    };
                    self.ready.push_back(Piece::Group(header));
                    self.state = State::Group { inside: None };
                }
                RELIABLE => self.state = State::Reliable { inside: None },
                _ => self.state = State::Ignored,
            },
            State::Group { .. } => {
                let object = from.varint()?;
                let len = bounded(from.varint()?, MAX_OBJECT)?;
                self.state = State::Group { inside: Some(Inside { object, len, offset: 0 }) };
            }
            State::Reliable { .. } => {
                let header = ObjectHeader::take(&mut from)?;
                let len = bounded(from.varint()?, MAX_RELIABLE_OBJECT)?;
                self.state = State::Reliable { inside: Some((header, len)) };
            }
            State::Ignored => {}
        }
        Ok(from.position())
    }

    /// The next thing that is complete enough to pass on.
    pub fn next_piece(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    /// The stream ended here.
    ///
    /// # Errors
    /// When it ended inside a head or an object.
    pub fn finish(&self) -> Result<(), Malformed> {
        match &self.state {
            State::Ignored => Ok(()),
            State::Group { inside: None } | State::Reliable { inside: None } if self.buffered.is_empty() => Ok(()),
            State::Start if self.buffered.is_empty() => Ok(()),
            State::Start | State::Group { .. } | State::Reliable { .. } => Err(Malformed::Truncated("stream")),
        }
    }
}

fn bounded(len: u64, max: usize) -> Result<usize, Malformed> {
    match usize::try_from(len) {
        Ok(len) if len <= max => Ok(len),
        _ => Err(Malformed::TooLong("object")),
    }
}

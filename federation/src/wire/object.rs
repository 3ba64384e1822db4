//! Objects: the header that every object carries, and what SFrame binds it to.

use bytes::{Bytes, BytesMut};

use super::{Malformed, Reader, Wire, Writer, varint};
use crate::{
    id::{Alias, TrackId},
    limits::MAX_DATAGRAM,
    track::TrackName,
};

/// Where an object stands, as relays see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectHeader {
    /// The sender's name for the track.
    pub alias: Alias,
    /// The group: video's begin with a key frame; audio counts up; a log's group is 0.
    pub group: u64,
    /// The object in its group.
    pub object: u64,
    /// Temporal layer; 0 is the base.
    pub layer: u8,
    /// Bits that relays may see. Of sound in rooms of more than eight, bits 0 and 1: how surely somebody speaks; else senders set 0.
    pub flags: u8,
    /// As in [`crate::track::priority`]; relays may change it.
    pub priority: u8,
}

impl ObjectHeader {
    /// A whole datagram: the header, then the payload.
    ///
    /// `None` when it would be longer than [`MAX_DATAGRAM`].
    #[must_use]
    pub fn datagram(&self, payload: &[u8]) -> Option<Bytes> {
        let mut out = Writer::new();
        self.put(&mut out);
        if out.len() + payload.len() > MAX_DATAGRAM {
            return None;
        }
        out.raw(payload);
        Some(out.into_bytes())
    }

    /// Splits a datagram into header and payload.
    ///
    /// # Errors
    /// When the header is not complete.
    pub fn split(datagram: &Bytes) -> Result<(Self, Bytes), Malformed> {
        let mut from = Reader::new(datagram);
        let header = Self::take(&mut from)?;
        Ok((header, datagram.slice(from.position()..)))
    }

    /// The same datagram under another alias: the alias is always four bytes at the front. One copy for all subscribers.
    #[must_use]
    pub fn realias(datagram: &Bytes, alias: Alias) -> Bytes {
        let mut out = BytesMut::from(datagram.as_ref());
        if let Some(front) = out.get_mut(..4) {
            front.copy_from_slice(&(0x8000_0000 | alias.get()).to_be_bytes());
        }
        out.freeze()
    }
}

/// Aliases on streams and datagrams are varints of exactly four bytes, so that a relay can put its own in place.
pub(super) fn put_alias(alias: Alias, out: &mut Writer) {
    out.u32(0x8000_0000 | alias.get());
}

pub(super) fn take_alias(from: &mut Reader<'_>) -> Result<Alias, Malformed> {
    let raw = from.u32()?;
    if raw >> 30 != 0b10 {
        return Err(Malformed::Value("alias"));
    }
    Ok(Alias::new(raw))
}

impl Wire for ObjectHeader {
    fn put(&self, out: &mut Writer) {
        put_alias(self.alias, out);
        out.varint(self.group);
        out.varint(self.object);
        out.u8(self.layer);
        out.u8(self.flags);
        out.u8(self.priority);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            alias: take_alias(from)?,
            group: from.varint()?,
            object: from.varint()?,
            layer: from.u8()?,
            flags: from.u8()?,
            priority: from.u8()?,
        })
    }
}

/// What an object is bound to inside SFrame: a relay cannot move it to another room, call, track, group, place or layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ObjectIdentity {
    /// The track.
    pub name: TrackName,
    /// The group.
    pub group: u64,
    /// The object in its group.
    pub object: u64,
    /// Temporal layer.
    pub layer: u8,
    /// Flags as sent.
    pub flags: u8,
}

impl ObjectIdentity {
    /// Fixed width: room 16, instance 4, track 8, group 8, object 8, layer 1, flags 1.
    pub const LEN: usize = 46;

    /// The associated data.
    #[must_use]
    pub fn associated_data(&self) -> [u8; Self::LEN] {
        let mut out = Writer::new();
        self.name.room.put(&mut out);
        self.name.instance.put(&mut out);
        self.name.track.put(&mut out);
        out.u64(self.group);
        out.u64(self.object);
        out.u8(self.layer);
        out.u8(self.flags);
        let mut aad = [0; Self::LEN];
        for (to, from) in aad.iter_mut().zip(out.into_vec()) {
            *to = from;
        }
        aad
    }
}

/// One line of the directory: a track, how it travels, and the relay where its publisher is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The track.
    pub track: TrackId,
    /// How it travels.
    pub class: crate::track::Class,
    /// Temporal layers.
    pub layers: u8,
    /// The publisher's entry relay.
    pub relay: crate::id::RelayId,
}

impl Wire for Listing {
    fn put(&self, out: &mut Writer) {
        self.track.put(out);
        self.class.put(out);
        out.u8(self.layers);
        self.relay.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { track: Wire::take(from)?, class: Wire::take(from)?, layers: from.u8()?, relay: Wire::take(from)? })
    }
}

/// An object of the directory track: object 0 of a group is the whole, the others change it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Directory {
    /// All that is published.
    Whole(Vec<Listing>),
    /// Published now.
    Added(Listing),
    /// Not published any more.
    Removed(TrackId),
}

impl Wire for Directory {
    fn put(&self, out: &mut Writer) {
        match self {
            Self::Whole(listings) => {
                out.u8(1);
                out.u16(u16::try_from(listings.len()).unwrap_or(u16::MAX));
                for listing in listings {
                    listing.put(out);
                }
            }
            Self::Added(listing) => {
                out.u8(2);
                listing.put(out);
            }
            Self::Removed(track) => {
                out.u8(3);
                track.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => {
                let listings: super::List<Listing, { crate::limits::MAX_DIRECTORY }> = Wire::take(from)?;
                Ok(Self::Whole(listings.into_vec()))
            }
            2 => Wire::take(from).map(Self::Added),
            3 => Wire::take(from).map(Self::Removed),
            _ => Err(Malformed::Value("directory object")),
        }
    }
}

/// An object of the requests track: a join request, as the hub passes it to the members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Knock {
    /// The request's id; a log entry that serves it names it.
    pub id: crate::id::JoinId,
    /// Of the link that signed it.
    pub generation: crate::id::Generation,
    /// Sealed for the members.
    pub body: super::Blob<{ crate::limits::MAX_REQUEST_BODY }>,
}

impl Wire for Knock {
    fn put(&self, out: &mut Writer) {
        self.id.put(out);
        self.generation.put(out);
        self.body.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { id: Wire::take(from)?, generation: Wire::take(from)?, body: Wire::take(from)? })
    }
}

/// How many bytes an object's own header takes on a stream of its group.
#[must_use]
pub fn framed_len(object: u64, payload: usize) -> usize {
    let payload = u64::try_from(payload).unwrap_or(u64::MAX);
    varint::len(object) + varint::len(payload)
}

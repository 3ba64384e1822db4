//! Track names, and the little that relays know of what a track carries.

use crate::{
    id::{Instance, RoomId, TrackId},
    wire::{Malformed, Reader, Wire, Writer},
};

/// The full name of a track.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TrackName {
    /// The room it belongs to.
    pub room: RoomId,
    /// The call in that room.
    pub instance: Instance,
    /// The track in that call.
    pub track: TrackId,
}

/// How objects of a track travel: all that a publisher tells relays about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// One datagram each, never repeated: audio.
    Datagram,
    /// One stream for a group and layer, reset when late: video and screen.
    Groups,
    /// In order, complete: the log, the directory, requests, catalogs, control and chat.
    Reliable,
}

impl Wire for Class {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Datagram => 1,
            Self::Groups => 2,
            Self::Reliable => 3,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Datagram),
            2 => Ok(Self::Groups),
            3 => Ok(Self::Reliable),
            _ => Err(Malformed::Value("class")),
        }
    }
}

/// Order in which waiting objects leave: lower first. At most four levels, because QUIC's send queue pays for each.
pub mod priority {
    /// Control messages and reliable tracks.
    pub const CONTROL: u8 = 0;
    /// Audio.
    pub const AUDIO: u8 = 1;
    /// Video's base layer and screens.
    pub const BASE: u8 = 2;
    /// Everything that may go first when a path is full.
    pub const UPPER: u8 = 3;
}

//! What a call agrees on, in the group's context: every participant has the same, or is not in the group.

use conclave_federation::{
    id::Generation,
    limits::MAX_LEAVES,
    proof::VerifyingKey,
    wire::{List, Malformed, Reader, Text, Wire, Writer},
};

use crate::wire::wire_struct;

/// Type of the group context extension that carries [`RoomState`].
pub const ROOM_STATE: u16 = 0xF0A0;

/// Hosts of one call.
pub const MAX_HOSTS: usize = 16;

/// Longest title, in bytes.
pub const MAX_TITLE: usize = 128;

/// Who may let others in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Any participant lets in whoever has the link.
    Open,
    /// A host lets in, one by one.
    Knock,
    /// Nobody comes in; those who were in come back.
    Locked,
}

impl Wire for Mode {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Open => 0,
            Self::Knock => 1,
            Self::Locked => 2,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(Self::Open),
            1 => Ok(Self::Knock),
            2 => Ok(Self::Locked),
            _ => Err(Malformed::Value("mode")),
        }
    }
}

wire_struct! {
    /// The rules of this call.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RoomState {
        /// Version of the rules: 1.
        pub version: u8,
        /// Who may let others in.
        pub mode: Mode,
        /// Generation of link and access keys.
        pub generation: Generation,
        /// Of the room's record.
        pub record: [u8; 32],
        /// Leaf keys of the hosts; empty when the call was begun by somebody else.
        pub hosts: List<VerifyingKey, MAX_HOSTS>,
        /// Which listed hub orders the log; 0 until hub moves are spoken.
        pub hub_index: u8,
        /// Counts hub moves; 0.
        pub hub_term: u16,
        /// At most this many leaves.
        pub max_members: u16,
        /// [`RoomState::CHAT`], [`RoomState::SHARE`], [`RoomState::ATTEST`].
        pub flags: u8,
        /// Shown to participants, unknown to relays.
        pub title: Text<MAX_TITLE>,
    }
}

impl RoomState {
    /// The rules version spoken here.
    pub const VERSION: u8 = 1;
    /// Everybody may chat.
    pub const CHAT: u8 = 1;
    /// Everybody may share a screen.
    pub const SHARE: u8 = 2;
    /// Media without signed digests is not shown; specified, not spoken yet.
    pub const ATTEST: u8 = 4;

    /// Whether this version can live by it.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        self.version == Self::VERSION
            && self.hub_index == 0
            && self.hub_term == 0
            && self.flags & !(Self::CHAT | Self::SHARE) == 0
            && (1..=MAX_LEAVES).contains(&self.max_members)
    }
}

//! What a call agrees on, in the group's context: every participant has the same, or is not in the group.

use conclave_federation::{
    id::Generation,
    limits::MAX_LEAVES,
    proof::VerifyingKey,
    record::Chain,
    wire::{List, Malformed, Reader, Text, Wire, Writer},
};

use crate::wire::wire_struct;

/// Type of the group context extension that carries [`RoomState`].
pub const ROOM_STATE: u16 = 0xF0A0;

/// Hosts of one call.
pub const MAX_HOSTS: usize = 16;

/// Longest title, in bytes.
pub const MAX_TITLE: usize = 128;

/// Most messages that newcomers may be given.
pub const MAX_HISTORY: u16 = 200;

/// Oldest message that newcomers may be given, in minutes: a day.
pub const MAX_HISTORY_MINUTES: u16 = 24 * 60;

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
    /// A host of this call.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HostEntry {
        /// Their leaf key.
        pub key: VerifyingKey,
        /// From the founder to that key: lets relays believe the host, too. Empty for the founder's own leaf, whose profile
        /// carries the founder's word; an empty one makes nobody else a host.
        pub delegation: Chain,
    }
}

wire_struct! {
    /// The rules of this call.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RoomState {
        /// Version of the rules: 2.
        pub version: u8,
        /// Who may let others in.
        pub mode: Mode,
        /// Generation of link and access keys.
        pub generation: Generation,
        /// Of the room's record.
        pub record: [u8; 32],
        /// The hosts; empty when the call was begun by somebody else. May name some who have gone.
        pub hosts: List<HostEntry, MAX_HOSTS>,
        /// Which listed hub orders the log; 0 until hub moves are spoken.
        pub hub_index: u8,
        /// Counts hub moves; 0.
        pub hub_term: u16,
        /// At most this many leaves.
        pub max_members: u16,
        /// [`RoomState::CHAT`], [`RoomState::SHARE`], [`RoomState::ATTEST`], [`RoomState::REVEAL`].
        pub flags: u8,
        /// Newcomers are given the last so many messages; 0: none.
        pub history: u16,
        /// None that are older than this, in minutes.
        pub history_minutes: u16,
        /// Shown to participants, unknown to relays.
        pub title: Text<MAX_TITLE>,
    }
}

impl RoomState {
    /// The rules version spoken here.
    pub const VERSION: u8 = 2;
    /// Everybody may chat.
    pub const CHAT: u8 = 1;
    /// Everybody may share a screen.
    pub const SHARE: u8 = 2;
    /// Media without signed digests is not shown.
    pub const ATTEST: u8 = 4;
    /// Leaf keys are revealed to the room when the call ends: what was signed proves nothing to others afterwards.
    pub const REVEAL: u8 = 8;
    /// What a call begins with.
    pub const DEFAULT_FLAGS: u8 = Self::CHAT | Self::SHARE | Self::REVEAL;

    /// Whether this version can live by it.
    #[must_use]
    pub fn is_spoken(&self) -> bool {
        self.version == Self::VERSION
            && self.hub_index == 0
            && self.hub_term == 0
            && self.flags & !(Self::CHAT | Self::SHARE | Self::ATTEST | Self::REVEAL) == 0
            && self.history <= MAX_HISTORY
            && self.history_minutes <= MAX_HISTORY_MINUTES
            && (1..=MAX_LEAVES).contains(&self.max_members)
    }

    /// What is said of this key as a host.
    #[must_use]
    pub fn host(&self, key: &VerifyingKey) -> Option<&HostEntry> {
        self.hosts.iter().find(|host| host.key == *key)
    }
}

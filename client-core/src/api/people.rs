//! Who is in the room, how they came to be shown, and how they go.

use std::fmt;

/// A participant of this call: the leaf, and sixteen bits of its key's hash, so that the next one on the same leaf is
/// another. Equal at all participants; unique among those who are here at one time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(u32);

impl ParticipantId {
    /// Of the leaf at this index with this signature key.
    #[must_use]
    pub fn of_leaf(leaf: u16, key: &[u8; 32]) -> Self {
        let [a, b, ..] = conclave_federation::proof::sha256(&[b"conclave/1 participant", key]);
        Self(u32::from(leaf) << 16 | u32::from(u16::from_be_bytes([a, b])))
    }

    /// As [`ParticipantId::get`] gave it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The leaf's index in the tree.
    #[must_use]
    pub const fn leaf(self) -> u16 {
        let [a, b, ..] = self.0.to_be_bytes();
        u16::from_be_bytes([a, b])
    }

    /// As one number, for tables and file names.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Participant({:08x})", self.0)
    }
}

/// Somebody in the room. Comes from the group's tree and nothing else: nobody is there unseen.
#[derive(Clone, PartialEq, Eq)]
pub struct Participant {
    /// Which one.
    pub id: ParticipantId,
    /// What they call themselves, on one line and without what would make it read as something else. May be empty.
    pub name: String,
    /// Whether this is us.
    pub is_me: bool,
    /// Whether the group gives them a host's rights.
    pub host: bool,
    /// Whether they have been heard of lately.
    pub present: Presence,
    /// The epoch since which they have been here, as far as we were here ourselves.
    pub joined_epoch: u64,
    /// A colour for them, as a hue from 0 to 359: of their key, so it stays theirs on every leaf and cannot be chosen.
    pub colour: u16,
    /// Somebody else here whose name is equal, or easily taken for theirs; of several the one who came first.
    pub similar_to: Option<ParticipantId>,
    /// We receive no pictures of them, by our own [`super::Command::Hide`].
    pub hidden: bool,
    /// We receive no sound of them, by our own [`super::Command::MuteLocally`].
    pub muted_by_me: bool,
    /// We receive nothing of them, by our own [`super::Command::Block`].
    pub blocked: bool,
    /// Whether they were in the room when codes were compared with somebody, and were equal: whoever that was sees the same leaf in
    /// the same room. It says nothing of who they are; see [`Participant::compared`].
    pub verified: bool,
    /// Whether codes were compared with them.
    pub compared: bool,
    /// Which of [`super::Config::known`] they are: somebody with whom codes were compared in an earlier call.
    pub known: Option<u16>,
    /// Whether they say that they record. Nobody can make anybody say so.
    pub recording: bool,
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("id", &self.id)
            .field("is_me", &self.is_me)
            .field("host", &self.host)
            .field("present", &self.present)
            .field("joined_epoch", &self.joined_epoch)
            .finish_non_exhaustive()
    }
}

/// Whether somebody has been heard of lately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// Yes.
    Here,
    /// Nothing for three heartbeats: shown grey, soon gone.
    Grey,
}

/// How somebody went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// By their own signed word.
    Left,
    /// Removed by the others, having been silent for too long.
    Reaped,
    /// Put out by a host, or by the others' votes where no host was.
    Removed {
        /// Whose commit it was, if they are still known here.
        by: Option<ParticipantId>,
    },
    /// They came back on another leaf: the same key follows with [`super::Event::ParticipantJoined`].
    Moved,
}

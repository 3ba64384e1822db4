//! What travels inside the sealed parts of a log entry, and what each part is sealed for.

use std::fmt;

use conclave_federation::{
    id::{Generation, Head, JoinId},
    limits::{MAX_LEAVES, MAX_RETIRED, MAX_SERVED},
    proof::{Label, Signature, SigningKey, VerifyingKey, sha256},
    wire::{List, Malformed, Reader, Wire, Writer, message::EntryHeader},
};
use zeroize::Zeroizing;

use super::{
    Leaf,
    vote::{Cut, Vote},
};
use crate::{
    leaf::Call,
    room::{AccessSecret, LinkSecret},
    wire::wire_struct,
};

/// What a commit says that it does; has to match its proposals exactly.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Lets in, by Adds alone and without a path.
    Admit,
    /// Removes those who signed a leave note.
    Leave,
    /// Gives those who lost the thread a new leaf under their old key.
    Swap,
    /// Removes somebody against their will, by a host, with the next generation.
    Evict,
    /// Begins the next generation.
    Rotate,
    /// Changes the mode.
    Mode,
    /// Changes the hosts.
    Hosts,
    /// Renews the committer's keys.
    Update,
    /// Moves the log to the next hub; specified, not spoken yet.
    HubMove,
    /// Takes back an entry that nobody can apply; specified, not spoken yet.
    Void,
    /// Removes the silent.
    Reap,
    /// Removes somebody against their will, by the votes of the others, and locks the room.
    Vote,
    /// Changes what newcomers are given, what everybody may do, or the title.
    Settings,
}

impl Wire for Action {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Admit => 0,
            Self::Leave => 1,
            Self::Swap => 2,
            Self::Evict => 3,
            Self::Rotate => 4,
            Self::Mode => 5,
            Self::Hosts => 6,
            Self::Update => 7,
            Self::HubMove => 8,
            Self::Void => 9,
            Self::Reap => 10,
            Self::Vote => 11,
            Self::Settings => 12,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8()? {
            0 => Self::Admit,
            1 => Self::Leave,
            2 => Self::Swap,
            3 => Self::Evict,
            4 => Self::Rotate,
            5 => Self::Mode,
            6 => Self::Hosts,
            7 => Self::Update,
            8 => Self::HubMove,
            9 => Self::Void,
            10 => Self::Reap,
            11 => Self::Vote,
            12 => Self::Settings,
            _ => return Err(Malformed::Value("action")),
        })
    }
}

impl Wire for Leaf {
    fn put(&self, out: &mut Writer) {
        out.u32(self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.u32().map(Self)
    }
}

wire_struct! {
    /// Associated data of every commit: pins it to its place in the log, so that MLS' transcript pins the log's order.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CommitAad {
        /// 1.
        pub version: u8,
        /// What the entry follows.
        pub prev_head: Head,
        /// What it does.
        pub action: Action,
        /// The notes that allow its Removes.
        pub notes: List<LeaveNote, MAX_SERVED>,
        /// The requests it serves: as in the entry's header.
        pub served: List<JoinId, MAX_SERVED>,
        /// The votes that allow its Removes, where nobody alone may.
        pub votes: List<Vote, { MAX_LEAVES as usize }>,
        /// Who has been here for long enough to vote: with [`Action::Vote`] alone.
        pub cut: Option<Cut>,
    }
}

impl CommitAad {
    /// The version spoken here.
    pub const VERSION: u8 = 1;
}

wire_struct! {
    /// A participant's word that they leave. Valid in any epoch of the call, so that no storm can starve it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct LeaveNote {
        /// Their leaf.
        pub leaf: Leaf,
        /// Their leaf key.
        pub key: VerifyingKey,
        /// By that key.
        pub signature: Signature,
    }
}

impl LeaveNote {
    fn claim(call: &Call, leaf: Leaf) -> Vec<u8> {
        let mut out = Writer::new();
        call.room.put(&mut out);
        call.instance.put(&mut out);
        leaf.put(&mut out);
        out.raw(&call.genesis);
        out.into_vec()
    }

    /// Signs a note.
    #[must_use]
    pub fn sign(key: &SigningKey, call: &Call, leaf: Leaf) -> Self {
        Self { leaf, key: key.verifying_key(), signature: key.sign(Label::Leave, &Self::claim(call, leaf)) }
    }

    /// Whether its key signed it for this call.
    #[must_use]
    pub fn verify(&self, call: &Call) -> bool {
        self.key.verify(Label::Leave, &Self::claim(call, self.leaf), &self.signature)
    }
}

/// What an epoch hands to those who enter it, and what all check.
#[derive(Clone, PartialEq, Eq)]
pub struct EpochBox {
    /// Of the two secrets.
    pub generation: Generation,
    /// `A_g`.
    pub access: AccessSecret,
    /// `L_g`.
    pub link: LinkSecret,
    /// Of the room's record.
    pub record: [u8; 32],
    /// [`roster_hash`] of the epoch.
    pub roster: [u8; 32],
    /// Of the entry that carries it.
    pub seq: u64,
    /// Link secrets of earlier generations, oldest first: requests made with them can be opened, too.
    pub retired: List<RetiredLink, MAX_RETIRED>,
}

/// A link that leads to the waiting room alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetiredLink {
    /// The generation it was the link of.
    pub generation: Generation,
    /// `L_g`.
    pub secret: LinkSecret,
}

impl Wire for RetiredLink {
    fn put(&self, out: &mut Writer) {
        self.generation.put(out);
        out.raw(self.secret.expose());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { generation: Wire::take(from)?, secret: LinkSecret::new(from.array("link secret")?) })
    }
}

impl Wire for EpochBox {
    fn put(&self, out: &mut Writer) {
        self.generation.put(out);
        out.raw(self.access.expose());
        out.raw(self.link.expose());
        out.raw(&self.record);
        out.raw(&self.roster);
        out.u64(self.seq);
        self.retired.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            generation: Wire::take(from)?,
            access: AccessSecret::new(from.array("access secret")?),
            link: LinkSecret::new(from.array("link secret")?),
            record: from.array("record hash")?,
            roster: from.array("roster hash")?,
            seq: from.u64()?,
            retired: Wire::take(from)?,
        })
    }
}

impl EpochBox {
    /// The bytes, wiped when dropped.
    #[must_use]
    pub fn spell(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Writer::new();
        self.put(&mut out);
        Zeroizing::new(out.into_vec())
    }
}

impl fmt::Debug for EpochBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochBox").field("generation", &self.generation).field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// `SHA-256("conclave/1 roster" ‖ u32 count ‖ leaf keys in ascending order)`.
#[must_use]
pub fn roster_hash(mut keys: Vec<VerifyingKey>) -> [u8; 32] {
    keys.sort_unstable();
    let mut out = Writer::new();
    out.raw(b"conclave/1 roster");
    out.u32(u32::try_from(keys.len()).unwrap_or(u32::MAX));
    for key in &keys {
        key.put(&mut out);
    }
    sha256(&[&out.into_vec()])
}

/// A part of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// Sealed by `MS_n`.
    Commit,
    /// Sealed by `EB_n+1`.
    Box,
    /// Sealed by `JS_g`.
    Welcome,
}

impl Part {
    /// What the part is sealed for: its place in this log and no other.
    pub(crate) fn associated(self, header: &EntryHeader) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(match self {
            Self::Commit => b"commit",
            Self::Box => b"box",
            Self::Welcome => b"welcome",
        });
        out.u8(0);
        header.room.put(&mut out);
        header.instance.put(&mut out);
        out.u64(header.seq);
        header.prev_head.put(&mut out);
        out.into_vec()
    }
}

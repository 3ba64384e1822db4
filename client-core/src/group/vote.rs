//! What participants say together where nobody may act alone: that somebody is not heard of, or that somebody is to go.

use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    proof::{Label, Signature, SigningKey, VerifyingKey},
    wire::{Malformed, Reader, Wire, Writer, message::HubHead},
};

use super::{Group, Leaf};
use crate::{leaf::Call, wire::wire_struct};

/// What a vote says of somebody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VoteKind {
    /// I have not heard of them for a while.
    Unseen,
    /// They are to go.
    Remove,
}

impl VoteKind {
    const fn label(self) -> Label {
        match self {
            Self::Unseen => Label::Unseen,
            Self::Remove => Label::Remove,
        }
    }
}

impl Wire for VoteKind {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Unseen => 0,
            Self::Remove => 1,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(Self::Unseen),
            1 => Ok(Self::Remove),
            _ => Err(Malformed::Value("vote")),
        }
    }
}

wire_struct! {
    /// A participant's word about another. Good for a while, counted in entries of the log: nobody keeps one for later.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Vote {
        /// Where the voter is.
        pub leaf: Leaf,
        /// The voter's leaf key.
        pub key: VerifyingKey,
        /// Whom it is about, by their leaf key.
        pub target: VerifyingKey,
        /// What it says.
        pub kind: VoteKind,
        /// Entries that the log had when it was cast.
        pub seq: u64,
        /// By the voter's leaf key.
        pub signature: Signature,
    }
}

/// Entries for which a vote is good.
pub const VOTE_LIFE: u64 = 64;

/// How long somebody has to be here before their vote to remove somebody counts, in milliseconds of the hub's clock: who
/// comes with a crowd of others must not be able to throw out those who were there.
pub const SENIORITY_MS: u64 = 5 * 60 * 1000;

impl Vote {
    fn claim(call: &Call, leaf: Leaf, target: &VerifyingKey, kind: VoteKind, seq: u64) -> Vec<u8> {
        let mut out = Writer::new();
        call.put(&mut out);
        leaf.put(&mut out);
        target.put(&mut out);
        kind.put(&mut out);
        out.u64(seq);
        out.into_vec()
    }

    /// Casts a vote: room, instance, genesis, the voter's leaf, whom it is about, what it says, and the log's length.
    #[must_use]
    pub fn sign(key: &SigningKey, call: &Call, leaf: Leaf, target: VerifyingKey, kind: VoteKind, seq: u64) -> Self {
        let signature = key.sign(kind.label(), &Self::claim(call, leaf, &target, kind, seq));
        Self { leaf, key: key.verifying_key(), target, kind, seq, signature }
    }

    /// Whether its key signed it in this call.
    #[must_use]
    pub fn verify(&self, call: &Call) -> bool {
        let claim = Self::claim(call, self.leaf, &self.target, self.kind, self.seq);
        self.key.verify(self.kind.label(), &claim, &self.signature)
    }
}

impl Group {
    /// Our vote about whoever is at this leaf, as of now.
    #[must_use]
    pub fn cast(&self, about: Leaf, kind: VoteKind) -> Option<Vote> {
        let target = self.member(about)?.key;
        Some(Vote::sign(&self.signer.0, &self.call, self.me(), target, kind, self.position().seq))
    }
}

wire_struct! {
    /// Shows, by the hub's own words alone, what the log's length was five minutes before its newest entry. Nobody's clock is
    /// asked but the hub's, and everybody judges the same.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Cut {
        /// The newest that is at least five minutes older than `last`.
        pub earlier: HubHead,
        /// The one after it, which is not.
        pub next: HubHead,
        /// Of the entry before the one that carries this.
        pub last: HubHead,
    }
}

impl Cut {
    /// Whether `hub` said all three of this call, and they show what they should to the entry `seq` that follows `prev`.
    #[must_use]
    pub fn holds(&self, hub: RelayId, room: RoomId, instance: Instance, prev: Head, seq: u64) -> bool {
        let heads = [&self.earlier, &self.next, &self.last];
        let of_call = |head: &&HubHead| head.room == room && head.instance == instance && head.term == 0 && head.hub_index == 0;
        let old = |head: &HubHead| head.time.saturating_add(SENIORITY_MS) <= self.last.time;
        heads.iter().all(of_call)
            && self.last.head == prev
            && self.last.seq.checked_add(1) == Some(seq)
            && self.earlier.seq.checked_add(1) == Some(self.next.seq)
            && self.next.seq <= self.last.seq
            && (self.next.seq < self.last.seq || self.next.head == self.last.head)
            && old(&self.earlier)
            && !old(&self.next)
            && heads.iter().all(|head| head.verify(hub))
    }
}

//! Who speaks for a room: its founder, and those whom the founder made hosts, at most four steps away.

use crate::{
    id::RoomId,
    limits::{CLOCK_LEEWAY_MS, MAX_DELEGATIONS},
    proof::{Label, Signature, SigningKey, VerifyingKey},
    record::RoomRecord,
    wire::{List, Wire, Writer, wire_struct},
};

wire_struct! {
    /// One step of a chain: the one before (the founder before the first) makes `host` a host of the room.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Delegation {
        /// Who becomes a host.
        pub host: VerifyingKey,
        /// End of its life, milliseconds since 1970.
        pub expires: u64,
        /// By the one before in the chain, over room, host and expiry.
        pub signature: Signature,
    }
}

/// The steps from the founder to a host; empty for the founder.
pub type Chain = List<Delegation, MAX_DELEGATIONS>;

impl Delegation {
    /// `by` makes `host` a host of `room`.
    #[must_use]
    pub fn issue(by: &SigningKey, room: RoomId, host: VerifyingKey, expires: u64) -> Self {
        let mut delegation = Self { host, expires, signature: Signature::new([0; 64]) };
        delegation.signature = by.sign(Label::Delegate, &delegation.claim(room));
        delegation
    }

    fn claim(&self, room: RoomId) -> Vec<u8> {
        let mut out = Writer::new();
        room.put(&mut out);
        self.host.put(&mut out);
        out.u64(self.expires);
        out.into_vec()
    }

    /// Whether `by` said this of `room`.
    #[must_use]
    pub fn verify(&self, by: &VerifyingKey, room: RoomId) -> bool {
        by.verify(Label::Delegate, &self.claim(room), &self.signature)
    }
}

/// Who stands at the end of `chain`, when every step of it is signed by the one before; the founder for an empty one.
/// Says nothing about expiry and revocation.
#[must_use]
pub fn chain_end(room: RoomId, founder: &VerifyingKey, chain: &[Delegation]) -> Option<VerifyingKey> {
    chain.iter().try_fold(*founder, |by, step| step.verify(&by, room).then_some(step.host))
}

/// Whether a step of `chain` is over at `unix_ms`, clocks of strangers considered.
#[must_use]
pub fn chain_expired(chain: &[Delegation], unix_ms: u64) -> bool {
    chain.iter().any(|step| step.expires.saturating_add(CLOCK_LEEWAY_MS) < unix_ms)
}

/// Whether a key of `chain` is among `revoked`: all that hangs on a revoked host falls with it.
#[must_use]
pub fn chain_revoked(chain: &[Delegation], revoked: &[VerifyingKey]) -> bool {
    chain.iter().any(|step| revoked.contains(&step.host))
}

wire_struct! {
    /// A host's word, for those who know nothing but the room's record.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct HostProof {
        /// Who speaks: the founder, or the end of the chain.
        pub signer: VerifyingKey,
        /// From the founder to the signer.
        pub chain: Chain,
        /// Over what the place that carries it says.
        pub signature: Signature,
    }
}

impl HostProof {
    /// A host signs `body` under `label`.
    #[must_use]
    pub fn sign(label: Label, body: &[u8], key: &SigningKey, chain: Chain) -> Self {
        Self { signer: key.verifying_key(), chain, signature: key.sign(label, body) }
    }

    /// Whether a host of `record`'s room says `body` now: signed through a chain of which nothing is expired or revoked.
    #[must_use]
    pub fn verify(&self, label: Label, body: &[u8], record: &RoomRecord, unix_ms: u64) -> bool {
        !chain_expired(&self.chain, unix_ms)
            && !chain_revoked(&self.chain, &record.revoked)
            && chain_end(record.room, &record.founder, &self.chain) == Some(self.signer)
            && self.signer.verify(label, body, &self.signature)
    }
}

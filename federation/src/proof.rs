//! What is signed to show that one may: a participant's claim towards a relay, and a relay's capability for a room.

use crate::{
    id::{Generation, Instance, RelayId, RoomId},
    limits::{CLOCK_LEEWAY_MS, MAX_CAPABILITY_LIFE_MS},
    wire::{Wire, Writer, wire_struct},
};

pub use crate::host::HostProof;
pub use crate::key::{Label, Signature, SigningKey, VerifyingKey, sha256};

/// What a participant signs to show a relay that they are in the room: by generation, so that nobody learns *which* member.
#[derive(Clone, Debug)]
pub struct AttachClaim<'a> {
    /// The relay it is meant for.
    pub relay: RelayId,
    /// Empty natively, where `relay` was proved in TLS; the `host:port` dialled in a browser with a CA certificate.
    pub authority: &'a str,
    /// The relay's nonce for this session.
    pub nonce: &'a [u8; 32],
    /// The room.
    pub room: RoomId,
    /// The call.
    pub instance: Instance,
    /// Generation of the access key.
    pub generation: Generation,
    /// Role: 0 participant.
    pub role: u8,
}

impl AttachClaim<'_> {
    /// The signed bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.relay.put(&mut out);
        out.u16(u16::try_from(self.authority.len()).unwrap_or(u16::MAX));
        out.raw(self.authority.as_bytes());
        out.raw(self.nonce);
        self.room.put(&mut out);
        self.instance.put(&mut out);
        self.generation.put(&mut out);
        out.u8(self.role);
        out.into_vec()
    }
}

wire_struct! {
    /// Lets one relay take part in one room on behalf of its clients, at the hub and at publishers' relays.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Capability {
        /// The relay that may present it.
        pub relay: RelayId,
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Generation of the access key that signed it.
        pub generation: Generation,
        /// End of its life, milliseconds since 1970; at most an hour ahead.
        pub expires: u64,
        /// By the access key.
        pub signature: Signature,
    }
}

impl Capability {
    /// Signs a capability with the access key.
    #[must_use]
    pub fn issue(
        access: &SigningKey,
        relay: RelayId,
        room: RoomId,
        instance: Instance,
        generation: Generation,
        expires: u64,
    ) -> Self {
        let mut capability = Self { relay, room, instance, generation, expires, signature: Signature::new([0; 64]) };
        capability.signature = access.sign(Label::Relay, &capability.claim());
        capability
    }

    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.relay.put(&mut out);
        self.room.put(&mut out);
        self.instance.put(&mut out);
        self.generation.put(&mut out);
        out.u64(self.expires);
        out.into_vec()
    }

    /// Whether `presenter` may use it now, with the access key of the room's record.
    ///
    /// # Errors
    /// Says which of the four conditions does not hold.
    pub fn check(
        &self,
        presenter: RelayId,
        access: &VerifyingKey,
        generation: Generation,
        unix_ms: u64,
    ) -> Result<(), ProofError> {
        if self.relay != presenter {
            return Err(ProofError::Foreign);
        }
        if self.generation != generation {
            return Err(ProofError::Stale);
        }
        if self.expires.saturating_add(CLOCK_LEEWAY_MS) < unix_ms
            || self.expires > unix_ms.saturating_add(MAX_CAPABILITY_LIFE_MS + CLOCK_LEEWAY_MS)
        {
            return Err(ProofError::Expired);
        }
        if !access.verify(Label::Relay, &self.claim(), &self.signature) {
            return Err(ProofError::Invalid);
        }
        Ok(())
    }
}

/// What is wrong with a proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProofError {
    /// The signature is not of the expected key.
    #[error("the proof is not signed by the room's access key: join with the current link")]
    Invalid,
    /// It was made for somebody else.
    #[error("the proof was made for another relay: connect to the relay it was made for")]
    Foreign,
    /// Its life is over, or it claims too long a life.
    #[error("the proof has expired or lives too long: renew it, and check the clock")]
    Expired,
    /// It belongs to another generation.
    #[error("the proof belongs to another generation of the room: ask for the current link")]
    Stale,
}

//! Signatures and what they are over. One function signs, one verifies, and every label stands in this file.

use std::fmt;

use ed25519_dalek::{Signer, Verifier};
use sha2::{Digest, Sha256};

use crate::{
    id::{Generation, Instance, RelayId, RoomId},
    limits::{CLOCK_LEEWAY_MS, MAX_CAPABILITY_LIFE_MS},
    wire::{Wire, Writer, wire_struct},
};

/// What a signature is for: signatures of one label never verify under another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Label {
    /// A participant's proof of membership towards a relay.
    Attach,
    /// A capability for a relay, signed by the participants' access key.
    Relay,
    /// An entry offered to the handshake log.
    Append,
    /// A join request.
    Request,
    /// A hub's signed head.
    Head,
    /// A room record.
    Record,
    /// A relay's descriptor, signed by its operator.
    Descriptor,
    /// A dialling relay's proof of its key, bound to the TLS session.
    Link,
    /// A leave note.
    Leave,
    /// A heartbeat.
    Heartbeat,
    /// A catalog.
    Catalog,
    /// A chat message.
    Chat,
    /// The founder's word that a leaf is a host.
    Host,
}

impl Label {
    /// The bytes between the protocol's name and the message.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Relay => "relay",
            Self::Append => "append",
            Self::Request => "request",
            Self::Head => "head",
            Self::Record => "record",
            Self::Descriptor => "descriptor",
            Self::Link => "link",
            Self::Leave => "leave",
            Self::Heartbeat => "hb",
            Self::Catalog => "catalog",
            Self::Chat => "chat",
            Self::Host => "host",
        }
    }
}

fn message(label: Label, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend_from_slice(b"conclave/1 ");
    message.extend_from_slice(label.as_str().as_bytes());
    message.push(0);
    message.extend_from_slice(body);
    message
}

/// An Ed25519 private key; wiped when dropped, never shown.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of this seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The seed, for the one place that stores it.
    #[must_use]
    pub fn expose_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key().to_bytes())
    }

    /// `Ed25519(sk, "conclave/1 " ‖ label ‖ 0x00 ‖ body)`.
    #[must_use]
    pub fn sign(&self, label: Label, body: &[u8]) -> Signature {
        Signature(self.0.sign(&message(label, body)).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// An Ed25519 public key, not yet known to be a point: a bad one verifies nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Wraps the raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `signature` is this key's over `label` and `body`; small-order keys and malleable signatures are refused.
    #[must_use]
    pub fn verify(&self, label: Label, body: &[u8], signature: &Signature) -> bool {
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&self.0) else { return false };
        if key.is_weak() {
            return false;
        }
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let message = message(label, body);
        key.verify(&message, &signature).is_ok() && key.verify_strict(&message, &signature).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.0;
        write!(f, "Key({a:02x}{b:02x}{c:02x}..)")
    }
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps the raw bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

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
        let mut capability = Self { relay, room, instance, generation, expires, signature: Signature([0; 64]) };
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

/// SHA-256 of the parts, each preceded by nothing: callers fix widths or prefix lengths themselves.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

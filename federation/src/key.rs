//! Keys and signatures. One function signs, one verifies, and every label stands in this file.

use std::fmt;

use ed25519_dalek::{Signer, Verifier};
use sha2::{Digest, Sha256};

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
    /// What a relay publishes of itself for browsers.
    WellKnown,
    /// A host's right, given by the one before in the chain.
    Delegate,
    /// A host's append: it has a share of its own at the hub.
    Reserve,
    /// A host's refusal of a join request.
    Decline,
    /// A vote: this leaf is silent.
    Unseen,
    /// A vote: this leaf should go.
    Remove,
    /// A commit that its signer's receiver cannot apply.
    Fault,
    /// The word that an entry counts for nothing.
    Void,
    /// Digests of media sent.
    Media,
    /// A fresh key for digests of media.
    AttestKey,
    /// Everything else on a control track.
    Control,
    /// A hub's stamp on the digest of a report.
    Report,
    /// The keys of one call.
    Call,
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
            Self::WellKnown => "well-known",
            Self::Delegate => "delegate",
            Self::Reserve => "reserve",
            Self::Decline => "decline",
            Self::Unseen => "unseen",
            Self::Remove => "remove",
            Self::Fault => "fault",
            Self::Void => "void",
            Self::Media => "media",
            Self::AttestKey => "attest key",
            Self::Control => "control",
            Self::Report => "report",
            Self::Call => "call",
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

/// SHA-256 of the parts, each preceded by nothing: callers fix widths or prefix lengths themselves.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

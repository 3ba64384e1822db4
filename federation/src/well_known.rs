//! What a relay publishes at `/.well-known/conclave`, for those who know nothing of it but a name: who it is, who vouches
//! for it, and by which certificates a browser may know it.
//!
//! A browser cannot pin a key, only the hash of a certificate that lives for at most two weeks. So the relay's lasting key
//! signs the hashes of its passing certificates, and whoever holds a room's record knows that key. Around the signed bytes
//! stands JSON for people and their tools; a client believes the signed bytes alone.
//!
//! ```
//! use conclave_federation::{id::RelayId, proof::SigningKey, record::RelayDescriptor, well_known::WellKnown, wire::{List, Wire}};
//!
//! let (operator, relay) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
//! let id = RelayId::new(*relay.verifying_key().as_bytes());
//! let descriptor = RelayDescriptor::issue(&operator, id, "Alder", List::default());
//! let now = 1_750_000_000_000;
//! let signed = WellKnown::issue(&relay, descriptor, now, now + 3_600_000, List::default()).encode();
//!
//! let read = WellKnown::read(&signed, now + 60_000).unwrap();
//! assert_eq!(read.descriptor.relay, id);
//! assert!(WellKnown::read(&signed, now + 86_400_000).is_err(), "too old to be believed");
//! ```

use bytes::Bytes;

use crate::{
    key::{Label, Signature, SigningKey, VerifyingKey},
    limits::{CLOCK_LEEWAY_MS, MAX_CERTIFICATES, MAX_WELL_KNOWN, MAX_WELL_KNOWN_LIFE_MS},
    record::RelayDescriptor,
    wire::{List, Malformed, Wire, Writer, wire_struct},
};

/// SHA-256 of a whole certificate in DER, as browsers compare it.
pub type CertificateHash = [u8; 32];

wire_struct! {
    /// The signed part of the document.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct WellKnown {
        /// Version of the rules: 1.
        pub version: u8,
        /// The relay, and who vouches for it.
        pub descriptor: RelayDescriptor,
        /// When it was signed, milliseconds since 1970.
        pub issued: u64,
        /// Not to be believed after this; at most 14 days after `issued`.
        pub expires: u64,
        /// The certificates that the relay may show for WebTransport now or soon.
        pub certificates: List<CertificateHash, MAX_CERTIFICATES>,
        /// By the relay, over all before it.
        pub signature: Signature,
    }
}

/// Why a relay's document is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WellKnownError {
    /// These are not the bytes of one.
    #[error("what the relay says of itself cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// Rules that this version does not know.
    #[error("what the relay says of itself follows rules that this version does not know: update")]
    Unsupported,
    /// The operator did not sign the descriptor, or the relay did not sign the document.
    #[error("what the relay says of itself is not signed by it and its operator: the address is wrong, or somebody changed it")]
    Signature,
    /// It was signed too long ago, claims too long a life, or comes from the future.
    #[error("what the relay says of itself is too old, or the clocks differ: check the clock and try again")]
    Expired,
}

impl WellKnown {
    /// The rules version spoken here.
    pub const VERSION: u8 = 1;

    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.put(&mut out);
        let mut bytes = out.into_vec();
        bytes.truncate(bytes.len().saturating_sub(64));
        bytes
    }

    /// The relay tells what it is, from `issued` until `expires` (milliseconds since 1970).
    #[must_use]
    pub fn issue(
        relay: &SigningKey,
        descriptor: RelayDescriptor,
        issued: u64,
        expires: u64,
        certificates: List<CertificateHash, MAX_CERTIFICATES>,
    ) -> Self {
        let signature = Signature::new([0; 64]);
        let mut document = Self { version: Self::VERSION, descriptor, issued, expires, certificates, signature };
        document.signature = relay.sign(Label::WellKnown, &document.claim());
        document
    }

    /// Reads the signed bytes and checks them for this moment.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn read(signed: &Bytes, unix_ms: u64) -> Result<Self, WellKnownError> {
        if signed.len() > MAX_WELL_KNOWN {
            return Err(Malformed::TooLong("the document").into());
        }
        // A version that is not known may be spelled otherwise after its first byte.
        if signed.first().is_some_and(|version| *version != Self::VERSION) {
            return Err(WellKnownError::Unsupported);
        }
        let document = Self::decode(signed)?;
        document.verify(unix_ms)?;
        Ok(document)
    }

    /// Whether the relay named in it signed it, its operator vouches for the relay, and both hold at this moment.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn verify(&self, unix_ms: u64) -> Result<(), WellKnownError> {
        if self.version != Self::VERSION {
            return Err(WellKnownError::Unsupported);
        }
        let relay = VerifyingKey::new(*self.descriptor.relay.as_bytes());
        if !self.descriptor.verify() || !relay.verify(Label::WellKnown, &self.claim(), &self.signature) {
            return Err(WellKnownError::Signature);
        }
        let life = self.expires.checked_sub(self.issued).ok_or(WellKnownError::Expired)?;
        if life > MAX_WELL_KNOWN_LIFE_MS
            || self.issued > unix_ms.saturating_add(CLOCK_LEEWAY_MS)
            || self.expires.saturating_add(CLOCK_LEEWAY_MS) < unix_ms
        {
            return Err(WellKnownError::Expired);
        }
        Ok(())
    }
}

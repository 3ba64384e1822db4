//! What is signed once and shown to many: the room's record and a relay's descriptor.

use crate::{
    id::{Generation, OperatorId, RelayId, RoomId},
    limits::{
        CLOCK_LEEWAY_MS, MAX_ADDRESS, MAX_ADDRESSES, MAX_HUBS, MAX_LEAVES, MAX_OPERATOR_NAME, MAX_RECORD_LIFE_MS, MAX_RETIRED,
    },
    proof::{Label, Signature, SigningKey, VerifyingKey},
    wire::{List, Malformed, Reader, Text, Wire, Writer, wire_struct},
};

/// One `host:port`.
pub type Address = Text<MAX_ADDRESS>;

wire_struct! {
    /// A relay that may order a room's log, and where it is.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Hub {
        /// The relay.
        pub relay: RelayId,
        /// Where it answers.
        pub addresses: List<Address, MAX_ADDRESSES>,
    }
}

/// Right of a host to sign records in the founder's place: specified, not spoken yet; decoding refuses any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDelegation;

impl Wire for NoDelegation {
    fn put(&self, out: &mut Writer) {
        out.u8(0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if from.u8()? == 0 { Ok(Self) } else { Err(Malformed::Value("delegation")) }
    }
}

wire_struct! {
    /// All that relays need to verify proofs of a room; checkable from the room id alone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RoomRecord {
        /// Version of the rules: 1.
        pub version: u8,
        /// The room.
        pub room: RoomId,
        /// Its hash is the room id.
        pub founder: VerifyingKey,
        /// Counts up; relays keep the highest.
        pub seq: u64,
        /// MLS ciphersuite.
        pub suite: u16,
        /// Generation of the three keys below.
        pub generation: Generation,
        /// Access key `AK_g`: members sign with it.
        pub access: VerifyingKey,
        /// Join signing key `JK_g`: link holders sign with it.
        pub join: VerifyingKey,
        /// Lobby key `LB_g`, X25519: requests are sealed to it.
        pub lobby: [u8; 32],
        /// Join keys of earlier generations; specified, not spoken yet.
        pub retired: List<VerifyingKey, MAX_RETIRED>,
        /// Whether only a host may begin a call.
        pub host_required: bool,
        /// At most this many leaves.
        pub max_members: u16,
        /// Who orders the log, in this order.
        pub hubs: List<Hub, MAX_HUBS>,
        /// End of its life, milliseconds since 1970.
        pub not_after: u64,
        /// Who signed: the founder so far.
        pub signer: VerifyingKey,
        /// A host's right to sign; none yet.
        pub delegation: NoDelegation,
        /// Over all before it.
        pub signature: Signature,
    }
}

/// Why a room record is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the founder of this room.
    #[error("the room's record is not by the founder of this room: the link or the relay is wrong")]
    Founder,
    /// The signature does not verify.
    #[error("the room's record is not signed by its founder: ask for a fresh link")]
    Signature,
    /// Its life is over, or it claims too long a life.
    #[error("the room has expired: ask for a fresh link, and check the clock")]
    Expired,
    /// Something that this version does not speak, or a value out of bounds.
    #[error("the room's record uses something this version does not know: update")]
    Unsupported,
}

impl RoomRecord {
    /// The rules version spoken here.
    pub const VERSION: u8 = 1;

    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.put(&mut out);
        let mut bytes = out.into_vec();
        bytes.truncate(bytes.len().saturating_sub(64));
        bytes
    }

    /// Signs all before the signature.
    pub fn sign(&mut self, founder: &SigningKey) {
        self.signer = founder.verifying_key();
        self.signature = founder.sign(Label::Record, &self.claim());
    }

    /// Whether it is the record of `room`, now.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn verify(&self, room: RoomId, unix_ms: u64) -> Result<(), RecordError> {
        if self.room != room || RoomId::of_founder(&self.founder) != room {
            return Err(RecordError::Founder);
        }
        if self.signer != self.founder || !self.founder.verify(Label::Record, &self.claim(), &self.signature) {
            return Err(RecordError::Signature);
        }
        if self.version != Self::VERSION
            || self.hubs.is_empty()
            || self.hubs.iter().any(|hub| hub.addresses.is_empty())
            || !self.retired.is_empty()
            || self.max_members == 0
            || self.max_members > MAX_LEAVES
        {
            return Err(RecordError::Unsupported);
        }
        if self.not_after.saturating_add(CLOCK_LEEWAY_MS) < unix_ms
            || self.not_after > unix_ms.saturating_add(MAX_RECORD_LIFE_MS + CLOCK_LEEWAY_MS)
        {
            return Err(RecordError::Expired);
        }
        Ok(())
    }

    /// SHA-256 of the whole record, as epoch boxes name it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        crate::proof::sha256(&[&self.encode()])
    }

    /// The first listed hub: it orders the log until hub moves are spoken.
    #[must_use]
    pub fn hub(&self) -> Option<&Hub> {
        self.hubs.first()
    }
}

wire_struct! {
    /// A relay, vouched for by its operator.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RelayDescriptor {
        /// The relay.
        pub relay: RelayId,
        /// Who runs it.
        pub operator: OperatorId,
        /// What the operator calls itself; shown to people, means nothing to machines.
        pub operator_name: Text<MAX_OPERATOR_NAME>,
        /// Where it answers.
        pub addresses: List<Address, MAX_ADDRESSES>,
        /// By the operator, over all before it.
        pub signature: Signature,
    }
}

impl RelayDescriptor {
    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.put(&mut out);
        let mut bytes = out.into_vec();
        bytes.truncate(bytes.len().saturating_sub(64));
        bytes
    }

    /// An operator vouches for a relay.
    #[must_use]
    pub fn issue(operator: &SigningKey, relay: RelayId, operator_name: &str, addresses: List<Address, MAX_ADDRESSES>) -> Self {
        let mut descriptor = Self {
            relay,
            operator: OperatorId::new(*operator.verifying_key().as_bytes()),
            operator_name: Text::cut(operator_name),
            addresses,
            signature: Signature::new([0; 64]),
        };
        descriptor.signature = operator.sign(Label::Descriptor, &descriptor.claim());
        descriptor
    }

    /// Whether the operator named in it signed it.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.operator.key().verify(Label::Descriptor, &self.claim(), &self.signature)
    }
}

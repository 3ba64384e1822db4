//! What is signed once and shown to many: the room's record and a relay's descriptor.

pub use crate::{
    call::CallKeys,
    host::{Chain, Delegation},
};
use crate::{
    host::{chain_end, chain_expired, chain_revoked},
    id::{Generation, OperatorId, RelayId, RoomId},
    limits::{
        CLOCK_LEEWAY_MS, MAX_ADDRESS, MAX_ADDRESSES, MAX_HUBS, MAX_LEAVES, MAX_OPERATOR_NAME, MAX_RECORD_LIFE_MS, MAX_RETIRED,
        MAX_REVOKED,
    },
    proof::{Label, Signature, SigningKey, VerifyingKey},
    wire::{List, Text, Wire, Writer, wire_struct},
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
        /// Join keys of earlier generations, oldest first: their links lead to the waiting room.
        pub retired: List<VerifyingKey, MAX_RETIRED>,
        /// Hosts that are none any more: nothing that hangs on them holds.
        pub revoked: List<VerifyingKey, MAX_REVOKED>,
        /// Whether only a host may begin a call.
        pub host_required: bool,
        /// At most this many leaves.
        pub max_members: u16,
        /// Who orders the log, in this order.
        pub hubs: List<Hub, MAX_HUBS>,
        /// End of its life, milliseconds since 1970.
        pub not_after: u64,
        /// Who signed: the founder, or the end of the chain.
        pub signer: VerifyingKey,
        /// From the founder to the signer; empty when the founder signed.
        pub delegation: Chain,
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
    /// Signed through somebody who is no host any more.
    #[error("the room's record is signed through somebody who is no host any more: ask a host for the current link")]
    Revoked,
    /// The one known is newer.
    #[error("a newer record of this room is known: ask for a fresh link")]
    Older,
    /// It changes what must stay, or leaves what must change.
    #[error("the room's record does not continue the one known: ask a host for the current link")]
    Discontinuous,
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

    /// The founder signs all before the signature.
    pub fn sign(&mut self, founder: &SigningKey) {
        self.sign_as(founder, Chain::default());
    }

    /// A host signs, whose right is `chain`.
    pub fn sign_as(&mut self, host: &SigningKey, chain: Chain) {
        self.signer = host.verifying_key();
        self.delegation = chain;
        self.signature = host.sign(Label::Record, &self.claim());
    }

    /// Whether it is the record of `room`, now.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn verify(&self, room: RoomId, unix_ms: u64) -> Result<(), RecordError> {
        self.verify_signed(room)?;
        if self.not_after.saturating_add(CLOCK_LEEWAY_MS) < unix_ms
            || self.not_after > unix_ms.saturating_add(MAX_RECORD_LIFE_MS + CLOCK_LEEWAY_MS)
            || chain_expired(&self.delegation, unix_ms)
        {
            return Err(RecordError::Expired);
        }
        Ok(())
    }

    /// Whether it is a record of `room` at all, whatever the time: what is the same for everybody, on whichever clock.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn verify_signed(&self, room: RoomId) -> Result<(), RecordError> {
        if self.room != room || RoomId::of_founder(&self.founder) != room {
            return Err(RecordError::Founder);
        }
        if chain_end(room, &self.founder, &self.delegation) != Some(self.signer)
            || !self.signer.verify(Label::Record, &self.claim(), &self.signature)
        {
            return Err(RecordError::Signature);
        }
        if chain_revoked(&self.delegation, &self.revoked) {
            return Err(RecordError::Revoked);
        }
        if self.version != Self::VERSION
            || self.hubs.is_empty()
            || self.hubs.iter().any(|hub| hub.addresses.is_empty())
            || !self.names_all_retired()
            || self.retired.contains(&self.join)
            || self.max_members == 0
            || self.max_members > MAX_LEAVES
        {
            return Err(RecordError::Unsupported);
        }
        Ok(())
    }

    /// Whether it may stand directly after `old`: in the same generation, or one later with every key new. Both have been
    /// verified.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn follows(&self, old: &Self) -> Result<(), RecordError> {
        if self.generation > old.generation.next() {
            return Err(RecordError::Discontinuous);
        }
        self.replaces(old)
    }

    /// Whether it may take the place of `old` for somebody who may have missed some in between: as
    /// [`RoomRecord::follows`], but any number of generations later.
    ///
    /// # Errors
    /// Says which condition does not hold.
    pub fn replaces(&self, old: &Self) -> Result<(), RecordError> {
        if self.room != old.room || self.founder != old.founder {
            return Err(RecordError::Founder);
        }
        if self.seq <= old.seq || self.generation < old.generation {
            return Err(RecordError::Older);
        }
        let continues = if self.generation == old.generation {
            self.access == old.access && self.lobby == old.lobby && self.join == old.join && self.retired == old.retired
        } else {
            self.access != old.access && self.lobby != old.lobby && self.join != old.join && self.retires(old)
        };
        if !continues || self.suite != old.suite {
            return Err(RecordError::Discontinuous);
        }
        // The founder alone takes a revocation back.
        if self.signer != self.founder {
            if chain_revoked(&self.delegation, &old.revoked) {
                return Err(RecordError::Revoked);
            }
            if !old.revoked.iter().all(|key| self.revoked.contains(key)) {
                return Err(RecordError::Discontinuous);
            }
        }
        Ok(())
    }

    /// Whether the join keys of `old`, its own and the retired, stand at their places here, as far as the list goes back.
    fn retires(&self, old: &Self) -> bool {
        let Some(since) = self.generation.0.checked_sub(old.generation.0).and_then(|since| usize::try_from(since).ok()) else {
            return false;
        };
        if !self.names_all_retired() {
            return false;
        }
        // As many keys as were added since stand behind those of the old record.
        let Some(kept) = (self.retired.len() + 1).checked_sub(since) else { return true };
        let known: Vec<VerifyingKey> = old.retired.iter().chain([&old.join]).copied().collect();
        let Some(known) = known.len().checked_sub(kept).and_then(|from| known.get(from..)) else { return false };
        self.retired.get(..kept) == Some(known)
    }

    /// One key for each generation before, as many as there is room for: or their places would not tell their generation.
    fn names_all_retired(&self) -> bool {
        self.retired.len() == usize::try_from(self.generation.0).unwrap_or(MAX_RETIRED).min(MAX_RETIRED)
    }

    /// The retired join keys of a record one generation later: the oldest goes when the list is full.
    #[must_use]
    pub fn next_retired(&self) -> List<VerifyingKey, MAX_RETIRED> {
        let mut keys: Vec<VerifyingKey> = self.retired.iter().chain([&self.join]).copied().collect();
        keys.drain(..keys.len().saturating_sub(MAX_RETIRED));
        List::new(keys).unwrap_or_default()
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

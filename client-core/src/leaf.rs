//! What a participant's leaf says of them, signed by the leaf key and so the same for everybody.

use conclave_federation::{
    id::{Instance, RoomId},
    proof::{Label, Signature, SigningKey, VerifyingKey, sha256},
    wire::{Text, Wire, Writer},
};

use crate::wire::wire_struct;

/// Type of the extension that carries [`Profile`].
pub const PROFILE: u16 = 0xF0A1;

/// Type of the extension that carries [`Bind`].
pub const BIND: u16 = 0xF0A2;

/// Longest name, in bytes.
pub const MAX_NAME: usize = 64;

/// Longest device name, in bytes.
pub const MAX_DEVICE: usize = 32;

wire_struct! {
    /// What others see: self-asserted, but for the founder's word.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Profile {
        /// What they call themselves.
        pub name: Text<MAX_NAME>,
        /// What they call the device; may be empty.
        pub device: Text<MAX_DEVICE>,
        /// The founder's word that this leaf is a host: leaf keys are fresh for every call, the founder's too.
        pub host: Option<Signature>,
    }
}

wire_struct! {
    /// One call and no other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Call {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Of this group and no other that somebody might begin under the same number.
        pub genesis: [u8; 32],
    }
}

wire_struct! {
    /// Ties a leaf to one call, and to a time of it: a key package can neither be replayed into another room or instance, nor
    /// be kept to look as if its owner had come long ago.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Bind {
        /// The call.
        pub call: Call,
        /// Entries that the log had when the leaf was made.
        pub seq: u64,
        /// What its owner commits to before any comparison: head of a chain of hashes over a secret of theirs.
        pub commitment: [u8; 32],
    }
}

impl Profile {
    /// A participant's profile; names that are too long are cut.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: Text::cut(name), device: Text::default(), host: None }
    }

    /// The same, with the founder's word for this leaf in this call.
    #[must_use]
    pub fn by_founder(mut self, founder: &SigningKey, call: &Call, leaf: &VerifyingKey) -> Self {
        self.host = Some(founder.sign(Label::Host, &host_claim(call, leaf)));
        self
    }

    /// Whether the founder calls this leaf a host in this call.
    #[must_use]
    pub fn is_host(&self, founder: &VerifyingKey, call: &Call, leaf: &VerifyingKey) -> bool {
        self.host.is_some_and(|word| founder.verify(Label::Host, &host_claim(call, leaf), &word))
    }
}

fn host_claim(call: &Call, leaf: &VerifyingKey) -> Vec<u8> {
    let mut out = Writer::new();
    call.room.put(&mut out);
    call.instance.put(&mut out);
    leaf.put(&mut out);
    out.into_vec()
}

/// `SHA-256("conclave/1 genesis", group_id)`.
#[must_use]
pub fn genesis_hash(group_id: &[u8]) -> [u8; 32] {
    sha256(&[b"conclave/1 genesis", group_id])
}

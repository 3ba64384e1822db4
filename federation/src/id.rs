//! Newtypes for everything that has a name. `Debug` shows at most three bytes; nothing here has a `Display`.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::key::VerifyingKey;

macro_rules! id_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Wraps the raw bytes.
            #[must_use]
            pub const fn new(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Six hexadecimal digits: enough to tell two apart in a log, not enough to find the room.
            #[must_use]
            pub fn short(&self) -> String {
                self.0.iter().take(3).map(|byte| format!("{byte:02x}")).collect()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}..)", stringify!($name), self.short())
            }
        }
    };
}

id_bytes!(
    /// A conference: the first half of the hash of its founder's key.
    RoomId,
    16
);
id_bytes!(
    /// A relay: its Ed25519 public key.
    RelayId,
    32
);
id_bytes!(
    /// An operator: its Ed25519 public key.
    OperatorId,
    32
);
id_bytes!(
    /// A join request, chosen by the joiner at random.
    JoinId,
    16
);
id_bytes!(
    /// The head of a handshake log: a hash over all that came before.
    Head,
    32
);

impl RoomId {
    /// The room that `founder` and nobody else can found.
    #[must_use]
    pub fn of_founder(founder: &VerifyingKey) -> Self {
        let digest = Sha256::new().chain_update(b"conclave/1 room id").chain_update(founder.as_bytes()).finalize();
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        Self(id)
    }
}

impl RelayId {
    /// The key that this relay signs with.
    #[must_use]
    pub fn key(&self) -> VerifyingKey {
        VerifyingKey::new(self.0)
    }

    /// All 64 hexadecimal digits: for address books and configuration, where a relay is public.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl OperatorId {
    /// The key that this operator signs with.
    #[must_use]
    pub fn key(&self) -> VerifyingKey {
        VerifyingKey::new(self.0)
    }

    /// All 64 hexadecimal digits: for configuration, where an operator is public.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl Head {
    /// What the first entry of a log follows.
    pub const START: Self = Self([0; 32]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// One call in a room, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instance(pub u32);

impl Instance {
    /// The call after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Generation of a room's link and access keys, counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A track's name inside its room and instance: random, so that it says nothing of what it carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId(pub u64);

impl TrackId {
    /// The hub's handshake log.
    pub const LOG: Self = Self(1);
    /// The hub's directory of published tracks.
    pub const DIRECTORY: Self = Self(2);
    /// The hub's mailbox of sealed join requests.
    pub const REQUESTS: Self = Self(3);
    /// Ids below this belong to the hub; publishers draw theirs above.
    pub const FIRST_FREE: u64 = 16;

    /// Whether only a hub may publish under this id.
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        self.0 < Self::FIRST_FREE
    }
}

impl fmt::Debug for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LOG => f.write_str("Track(log)"),
            Self::DIRECTORY => f.write_str("Track(directory)"),
            Self::REQUESTS => f.write_str("Track(requests)"),
            Self(id) => write!(f, "Track({:04x}..)", id >> 48),
        }
    }
}

/// What the sender of objects calls a track on the wire: 30 random bits, the same for all its sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Alias(u32);

impl Alias {
    /// Keeps the low 30 bits, which is what four bytes of a varint carry.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits & 0x3fff_ffff)
    }

    /// The 30 bits.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

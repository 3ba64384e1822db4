//! A room's secrets, what is derived from them, and the record that a founder signs.
//!
//! Two secrets of 32 bytes carry a generation: the *link secret*, which everybody with the link has, and the *access
//! secret*, which only participants have. Everything else is derived, so that nothing else has to be handed on.

use std::fmt;

use conclave_federation::{
    id::{Generation, RoomId},
    limits::{MAX_LEAVES, MAX_RECORD_LIFE_MS},
    proof::{Signature, SigningKey, VerifyingKey},
    record::{CallKeys, Hub, RecordError, RoomRecord},
    wire::List,
};
use hkdf::Hkdf;
use rand_core::RngCore;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{hpke, link::Link, seal::SealKey};

/// The one MLS ciphersuite spoken: `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519`.
pub const SUITE: u16 = 0x0001;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the bytes.
            #[must_use]
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Draws a fresh one.
            #[must_use]
            pub fn random(rng: &mut impl RngCore) -> Self {
                let mut bytes = [0; 32];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }

            /// The bytes, for the few places that have to hand them on.
            #[must_use]
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret!(
    /// `L_g`: in the link. Opens the way to the lobby, no further.
    LinkSecret
);
secret!(
    /// `A_g`: known to participants. Proves membership to relays and opens join requests.
    AccessSecret
);

/// What the link opens.
#[derive(Clone, Debug)]
pub struct JoinKeys {
    /// `JS_g`: outer layer of requests and welcomes.
    pub seal: SealKey,
    /// `JK_g`: signs requests and geneses.
    pub sign: SigningKey,
}

/// What only participants have.
#[derive(Clone, Debug)]
pub struct AccessKeys {
    /// `AK_g`: signs attach proofs, capabilities and appends.
    pub sign: SigningKey,
    /// `LB_g`: requests are sealed to it.
    pub lobby: hpke::SecretKey,
    /// Words against an entry: for everybody in the room, whichever epoch they are in.
    pub void: SealKey,
}

/// A new room, as its founder holds it. Nothing of it is ever sent but the record.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// Whose hash is the room id.
    pub founder: SigningKey,
    /// Goes into the link.
    pub link: LinkSecret,
    /// Goes to participants.
    pub access: AccessSecret,
    /// For the hub.
    pub record: RoomRecord,
}

/// `HKDF-Expand-SHA256(HKDF-Extract("", secret), "conclave/1 " ‖ label ‖ 0x00 ‖ context, out.len())`.
///
/// # Panics
/// Never: `out` is at most 255 hashes long everywhere in this crate.
pub fn kdf(secret: &[u8], label: &str, context: &[u8], out: &mut [u8]) {
    let expanded =
        Hkdf::<Sha256>::new(Some(&[]), secret).expand_multi_info(&[b"conclave/1 ", label.as_bytes(), &[0], context], out);
    assert!(expanded.is_ok(), "no key here is longer than 255 hashes");
}

/// [`kdf`] for the usual 32 bytes.
#[must_use]
pub fn kdf32(secret: &[u8], label: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    kdf(secret, label, context, out.as_mut());
    out
}

fn context(room: RoomId, generation: Generation) -> [u8; 20] {
    let mut context = [0; 20];
    let (front, back) = context.split_at_mut(16);
    front.copy_from_slice(room.as_bytes());
    back.copy_from_slice(&generation.0.to_be_bytes());
    context
}

impl LinkSecret {
    /// The keys of this link in one generation of the room.
    #[must_use]
    pub fn keys(&self, room: RoomId, generation: Generation) -> JoinKeys {
        let context = context(room, generation);
        JoinKeys {
            seal: SealKey::new(*kdf32(&self.0, "join seal", &context)),
            sign: SigningKey::from_seed(*kdf32(&self.0, "join sign", &context)),
        }
    }

    /// The keys of this link, if it is the current one of the record's room.
    #[must_use]
    pub fn keys_of(&self, record: &RoomRecord) -> Option<JoinKeys> {
        let keys = self.keys(record.room, record.generation);
        (keys.sign.verifying_key() == record.join).then_some(keys)
    }

    /// Of which generation this link is, among those that the record still names: the current one, or a retired one, which
    /// leads to the waiting room alone.
    #[must_use]
    pub fn find(&self, record: &RoomRecord) -> Option<(Generation, JoinKeys)> {
        let oldest = record.generation.0.saturating_sub(u32::try_from(record.retired.len()).unwrap_or(0));
        (oldest..=record.generation.0).rev().find_map(|generation| {
            let generation = Generation(generation);
            let keys = self.keys(record.room, generation);
            (record.join_key(generation) == Some(&keys.sign.verifying_key())).then_some((generation, keys))
        })
    }
}

impl AccessSecret {
    /// The participants' keys in one generation of the room.
    #[must_use]
    pub fn keys(&self, room: RoomId, generation: Generation) -> AccessKeys {
        let context = context(room, generation);
        AccessKeys {
            sign: SigningKey::from_seed(*kdf32(&self.0, "access sign", &context)),
            lobby: hpke::SecretKey::derive(kdf32(&self.0, "lobby", &context).as_ref()),
            void: SealKey::new(*kdf32(&self.0, "void", &context)),
        }
    }

    /// The participants' keys, if they are those that hold now: the call's, which have been verified, or the record's.
    #[must_use]
    pub fn keys_of(&self, record: &RoomRecord, call: Option<&CallKeys>) -> Option<AccessKeys> {
        let keys = self.keys(record.room, record.generation);
        ((keys.sign.verifying_key(), *keys.lobby.public()) == record.keys(call)).then_some(keys)
    }
}

/// Founds a room: fresh keys, generation 0, a record that lives as long as a record may.
///
/// # Errors
/// When the record would not be believed: no hub, a hub without an address, or a size out of bounds.
pub fn new_room(rng: &mut impl RngCore, hubs: Vec<Hub>, unix_ms: u64, max_members: u16) -> Result<NewRoom, RecordError> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut());
    let founder = SigningKey::from_seed(*seed);
    let link = LinkSecret::random(rng);
    let access = AccessSecret::random(rng);
    let room = RoomId::of_founder(&founder.verifying_key());
    let generation = Generation(0);
    let access_keys = access.keys(room, generation);
    let mut record = RoomRecord {
        version: RoomRecord::VERSION,
        room,
        founder: founder.verifying_key(),
        seq: 1,
        suite: SUITE,
        generation,
        access: access_keys.sign.verifying_key(),
        join: link.keys(room, generation).sign.verifying_key(),
        lobby: *access_keys.lobby.public(),
        retired: List::default(),
        revoked: List::default(),
        host_required: false,
        max_members: max_members.min(MAX_LEAVES),
        hubs: List::new(hubs).ok_or(RecordError::Unsupported)?,
        not_after: unix_ms.saturating_add(MAX_RECORD_LIFE_MS),
        signer: VerifyingKey::new([0; 32]),
        delegation: List::default(),
        signature: Signature::new([0; 64]),
    };
    record.sign(&founder);
    record.verify(room, unix_ms)?;
    Ok(NewRoom { founder, link, access, record })
}

impl NewRoom {
    /// The link to hand out; `host` is any relay or page that leads to one.
    #[must_use]
    pub fn to_link(&self, host: &str) -> Link {
        Link::to_room(host, &self.record, self.link.clone())
    }
}

//! Requests of those outside (and of leavers), sealed twice: to link holders, and within that to participants.

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Instance, JoinId, RoomId},
    limits::MAX_REQUEST_BODY,
    proof::{Label, Signature, SigningKey, VerifyingKey},
    record::RoomRecord,
    wire::{Blob, Malformed, Reader, Wire, Writer, message::Join, object::Knock},
};
use openmls::prelude::{KeyPackage, KeyPackageIn, ProtocolVersion, tls_codec::DeserializeBytes};
use openmls_traits::OpenMlsProvider;
use rand_core::RngCore;
use zeroize::Zeroizing;

use super::{FaultNote, Group, LeaveNote, node};
use crate::{
    hpke,
    leaf::{Bind, Call, Profile},
    policy::Refusal,
    room::{AccessKeys, JoinKeys},
    wire::wire_struct,
};

/// Longest key package in a request: one of this suite has about 400 B.
pub const MAX_KEY_PACKAGE: usize = 8 * 1024;

/// Attempts that are counted; more say nothing new.
pub const MAX_ATTEMPT: u8 = 16;

/// What a request wants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RequestKind {
    /// To come in.
    Join,
    /// To come back under the same key.
    Rejoin,
    /// To go.
    Leave,
    /// To come back under the same key, because an entry cannot be applied.
    Fault,
}

impl Wire for RequestKind {
    fn put(&self, out: &mut Writer) {
        out.u8(match self {
            Self::Join => 1,
            Self::Rejoin => 2,
            Self::Leave => 3,
            Self::Fault => 4,
        });
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            1 => Ok(Self::Join),
            2 => Ok(Self::Rejoin),
            3 => Ok(Self::Leave),
            4 => Ok(Self::Fault),
            _ => Err(Malformed::Value("request kind")),
        }
    }
}

wire_struct! {
    /// A request, as participants see it.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Request {
        /// As in the hub's mailbox.
        pub id: JoinId,
        /// The call.
        pub instance: Instance,
        /// What it wants.
        pub kind: RequestKind,
        /// Counts up from 1 while nobody answers.
        pub attempt: u8,
        /// For those who want in, or back in; else empty.
        pub key_package: Blob<MAX_KEY_PACKAGE>,
        /// For [`RequestKind::Leave`].
        pub note: Option<LeaveNote>,
        /// For [`RequestKind::Fault`].
        pub fault: Option<FaultNote>,
        /// Where a sealed refusal may go: X25519.
        pub reply: [u8; 32],
        /// Of the asker.
        pub key: VerifyingKey,
        /// By that key, over all before it.
        pub signature: Signature,
    }
}

/// A request that could be opened.
#[derive(Debug)]
pub enum Knocked {
    /// Somebody wants in, or back in.
    Enter(Box<Candidate>),
    /// Somebody wants out.
    Leave(JoinId, LeaveNote),
}

/// Somebody at the door, whose key package has been checked.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The request.
    pub id: JoinId,
    /// Join or rejoin; what is done follows from the tree, not from this.
    pub kind: RequestKind,
    /// Counts up while nobody answers.
    pub attempt: u8,
    /// Their leaf key.
    pub key: VerifyingKey,
    /// What they will say of themselves.
    pub profile: Profile,
    /// What their leaf is bound to.
    pub bind: Bind,
    /// Of which generation their link is: they are answered under the same.
    pub link: Generation,
    /// Whether that is an earlier one: their link leads to the waiting room alone.
    pub old_link: bool,
    /// Where a refusal goes: X25519.
    pub reply: [u8; 32],
    /// Whether their key is in the tree: they come back, and nobody is asked.
    pub is_back: bool,
    /// The entry that they cannot get past, signed.
    pub fault: Option<FaultNote>,
    pub(super) key_package: KeyPackage,
}

impl Candidate {
    /// What they see on their own screen, too: see [`knock_code`].
    #[must_use]
    pub fn code(&self) -> String {
        knock_code(&self.key)
    }
}

/// What somebody who knocks reads to a host, so that the host knows whose knock it is: [`crate::code::knock_words`].
#[must_use]
pub fn knock_code(key: &VerifyingKey) -> String {
    crate::code::knock_words(key)
}

/// Why a request is passed over. Nobody answers it: strangers learn nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum RequestError {
    /// Not sealed by a link holder, or not for this room.
    #[error("the request is not sealed with this room's link")]
    Seal,
    /// Sealed, but not a request.
    #[error("the request is not one")]
    Malformed,
    /// For another call.
    #[error("the request is for another call")]
    Instance,
    /// Not signed by the leaf that it brings.
    #[error("the request is not signed by the leaf that it brings")]
    Signature,
    /// Its key package is not valid MLS.
    #[error("the request's key package is not valid")]
    KeyPackage,
    /// Its leaf is not one for this call.
    #[error("the request's leaf is not one for this call")]
    Leaf,
    /// A leaver who has gone already: the mailbox shows old requests to those who come late.
    #[error("the request is of somebody who is not in the call any more")]
    Gone,
}

/// Why a request could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("the request could not be made: the room's lobby key is not a key, or the names are too long")]
pub struct RequestTooLong;

fn context(room: RoomId, instance: Instance, id: JoinId) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(b"request");
    out.u8(0);
    room.put(&mut out);
    instance.put(&mut out);
    id.put(&mut out);
    out.into_vec()
}

impl Request {
    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.put(&mut out);
        let mut bytes = out.into_vec();
        bytes.truncate(bytes.len().saturating_sub(64));
        bytes
    }

    /// Signs all before the signature.
    pub fn sign(&mut self, leaf: &SigningKey) {
        self.key = leaf.verifying_key();
        self.signature = leaf.sign(Label::Request, &self.claim());
    }

    /// Whether its asker signed it.
    #[must_use]
    pub fn verify(&self) -> bool {
        self.key.verify(Label::Request, &self.claim(), &self.signature)
    }

    /// `Seal(JS_g, enc ‖ HPKE(lobby, request))`.
    ///
    /// # Errors
    /// When the lobby key is no key, or the request too long for the mailbox.
    pub fn seal(
        &self,
        rng: &mut impl RngCore,
        keys: &JoinKeys,
        room: RoomId,
        lobby: &[u8; 32],
    ) -> Result<Blob<MAX_REQUEST_BODY>, RequestTooLong> {
        let context = context(room, self.instance, self.id);
        let mut ephemeral = Zeroizing::new([0; 32]);
        rng.fill_bytes(ephemeral.as_mut());
        let (enc, sealed) = hpke::seal(&ephemeral, lobby, INFO, &context, &self.encode()).map_err(|_| RequestTooLong)?;
        let inner = [enc.as_slice(), &sealed].concat();
        let body = keys.seal.seal(rng, &context, &inner).map_err(|_| RequestTooLong)?;
        Blob::new(body).ok_or(RequestTooLong)
    }

    /// Opens what [`Request::seal`] made. The asker's signature is checked, nothing else.
    ///
    /// # Errors
    /// Says what is not as it should be.
    pub fn open(
        body: &[u8],
        room: RoomId,
        instance: Instance,
        id: JoinId,
        join: &JoinKeys,
        access: &AccessKeys,
    ) -> Result<Self, RequestError> {
        let context = context(room, instance, id);
        let inner = join.seal.open(&context, body).map_err(|_| RequestError::Seal)?;
        let (enc, sealed) = inner.split_first_chunk::<{ hpke::ENC }>().ok_or(RequestError::Malformed)?;
        let plain = access.lobby.open(enc, INFO, &context, sealed).map_err(|_| RequestError::Seal)?;
        let request = Self::decode(&Bytes::copy_from_slice(&plain)).map_err(|_| RequestError::Malformed)?;
        if request.id != id || request.instance != instance {
            return Err(RequestError::Instance);
        }
        if !request.verify() {
            return Err(RequestError::Signature);
        }
        Ok(request)
    }
}

/// What requests are sealed for, as HPKE's `info`.
const INFO: &[u8] = b"conclave/1 request";

/// A request as the hub takes it: signed by the link's key, so that only link holders fill the mailbox.
pub(super) fn join_message(
    record: &RoomRecord,
    keys: &JoinKeys,
    generation: Generation,
    instance: Instance,
    id: JoinId,
    body: &Blob<MAX_REQUEST_BODY>,
    unix_ms: u64,
) -> Option<Join> {
    let hub = record.hub()?.relay;
    let claim = Join::claim(hub, record.room, instance, generation, id, unix_ms, body.bytes());
    let signature = keys.sign.sign(Label::Request, &claim);
    Some(Join { via: None, room: record.room, instance, generation, id, time: unix_ms, body: body.clone(), signature })
}

impl Group {
    /// Opens a request from the hub's mailbox.
    ///
    /// # Errors
    /// Says why it is passed over.
    pub fn open_request(&self, knock: &Knock) -> Result<Knocked, RequestError> {
        let Call { room, instance, .. } = self.call;
        let keys = self.join_keys_of(knock.generation).ok_or(RequestError::Seal)?;
        let request = Request::open(knock.body.bytes(), room, instance, knock.id, &keys, &self.access_keys)?;
        match request.kind {
            RequestKind::Join | RequestKind::Rejoin | RequestKind::Fault => {
                self.candidate(&request, knock.generation).map(Box::new).map(Knocked::Enter)
            }
            RequestKind::Leave => {
                let note = request.note.clone().ok_or(RequestError::Malformed)?;
                if note.key != request.key || !note.verify(&self.call) {
                    return Err(RequestError::Signature);
                }
                if !self.keys().contains(&(note.leaf, note.key)) {
                    return Err(RequestError::Gone);
                }
                Ok(Knocked::Leave(request.id, note))
            }
        }
    }

    fn candidate(&self, request: &Request, link: Generation) -> Result<Candidate, RequestError> {
        let bytes = request.key_package.bytes();
        let key_package = KeyPackageIn::tls_deserialize_exact_bytes(bytes)
            .map_err(|_| RequestError::KeyPackage)?
            .validate(self.provider.crypto(), ProtocolVersion::Mls10)
            .map_err(|_| RequestError::KeyPackage)?;
        let node::Known { key, profile, bind } =
            node::check_key_package(&key_package, &self.call).map_err(|_: Refusal| RequestError::Leaf)?;
        let fault = match (&request.fault, request.kind) {
            (Some(note), RequestKind::Fault) if note.key == key && note.verify(&self.call) => Some(note.clone()),
            (None, RequestKind::Join | RequestKind::Rejoin) => None,
            _ => return Err(RequestError::Signature),
        };
        if key != request.key {
            return Err(RequestError::Signature);
        }
        Ok(Candidate {
            id: request.id,
            kind: request.kind,
            attempt: request.attempt.clamp(1, MAX_ATTEMPT),
            key,
            profile,
            bind,
            link,
            old_link: link != self.record.generation,
            reply: request.reply,
            is_back: self.leaf_of(&key).is_some(),
            fault,
            key_package,
        })
    }

    /// Our word that we leave, for anybody to commit.
    #[must_use]
    pub fn leave_note(&self) -> LeaveNote {
        LeaveNote::sign(&self.signer.0, &self.call, self.me())
    }

    /// The same as a request for the hub's mailbox.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn leave_request(&mut self, unix_ms: u64) -> Result<Join, RequestTooLong> {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        let mut request = Request {
            id: JoinId::new(id),
            instance: self.call.instance,
            kind: RequestKind::Leave,
            attempt: 1,
            key_package: Blob::default(),
            note: Some(self.leave_note()),
            fault: None,
            reply: [0; 32],
            key: self.signer.0.verifying_key(),
            signature: Signature::new([0; 64]),
        };
        request.sign(&self.signer.0);
        let (_, lobby) = self.record.keys(self.call_keys.as_ref());
        let body = request.seal(&mut self.rng, &self.join_keys, self.call.room, &lobby)?;
        let generation = self.record.generation;
        join_message(&self.record, &self.join_keys, generation, request.instance, request.id, &body, unix_ms)
            .ok_or(RequestTooLong)
    }
}

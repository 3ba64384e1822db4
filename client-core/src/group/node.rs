//! What a leaf of this call looks like: built in one place, checked in one place.

use bytes::Bytes;
use conclave_federation::{
    proof::{SigningKey, VerifyingKey},
    wire::Wire,
};
use openmls::prelude::{
    BasicCredential, Capabilities, Credential, CredentialType, CredentialWithKey, Extension, ExtensionType, Extensions,
    GroupContext, InvalidExtensionError, KeyPackage, LeafNode, Lifetime, MlsGroup, MlsGroupJoinConfig,
    PURE_PLAINTEXT_WIRE_FORMAT_POLICY, ProtocolVersion, RequiredCapabilitiesExtension, SenderRatchetConfiguration,
    UnknownExtension,
};
use openmls::treesync::LeafNodeSource;
use openmls_traits::{
    signatures::{Signer, SignerError},
    types::SignatureScheme,
};

use super::LeafSigner;
use crate::{
    leaf::{self, Bind, Call, Profile},
    policy::Refusal,
    provider,
    state::{ROOM_STATE, RoomState},
};

/// Chat messages are padded to multiples of this.
pub(super) const CHAT_PADDING: usize = 256;

/// Chat of this many epochs back still opens.
pub(super) const PAST_EPOCHS: usize = 8;

/// Chat messages of one sender that may arrive out of order, and be missing in a row.
const OUT_OF_ORDER: u32 = 32;
const MAX_FORWARD: u32 = 1_000;

impl Signer for LeafSigner {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        use ed25519_dalek::Signer as _;
        let key = ed25519_dalek::SigningKey::from_bytes(&self.0.expose_seed());
        Ok(key.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Every leaf lives for ever, as far as MLS is concerned: members' clocks differ, so a lifetime that runs out while a
/// commit is on its way would be applied by some and skipped by others. Freshness comes from [`Bind`].
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// What every leaf can do.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::new(
        Some(&[ProtocolVersion::Mls10]),
        Some(&[provider::SUITE]),
        Some(&EXTENSIONS),
        Some(&[]),
        Some(&[CredentialType::Basic]),
    )
}

const EXTENSIONS: [ExtensionType; 3] =
    [ExtensionType::Unknown(ROOM_STATE), ExtensionType::Unknown(leaf::PROFILE), ExtensionType::Unknown(leaf::BIND)];

/// The leaf key stands in the credential too: MLS hands out the credential of a sender of past epochs, not the key.
pub(super) fn credential(key: &SigningKey) -> CredentialWithKey {
    let public = key.verifying_key();
    CredentialWithKey {
        credential: BasicCredential::new(public.as_bytes().to_vec()).into(),
        signature_key: public.as_bytes().as_slice().into(),
    }
}

/// The key in a credential made by [`credential`].
pub(super) fn key_of(credential: &Credential) -> Option<VerifyingKey> {
    if credential.credential_type() != CredentialType::Basic {
        return None;
    }
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    basic.identity().try_into().ok().map(VerifyingKey::new)
}

pub(super) fn leaf_extensions(profile: &Profile, bind: &Bind) -> Result<Extensions<LeafNode>, InvalidExtensionError> {
    Extensions::from_vec(vec![
        Extension::Unknown(leaf::PROFILE, UnknownExtension(profile.encode().to_vec())),
        Extension::Unknown(leaf::BIND, UnknownExtension(bind.encode().to_vec())),
    ])
}

pub(super) fn context_extensions(state: &RoomState) -> Result<Extensions<GroupContext>, InvalidExtensionError> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&EXTENSIONS, &[], &[CredentialType::Basic])),
        Extension::Unknown(ROOM_STATE, UnknownExtension(state.encode().to_vec())),
    ])
}

/// The agreed state, if the context is one of ours and says nothing else.
pub(super) fn room_state(extensions: &Extensions<GroupContext>) -> Option<RoomState> {
    let unknown = extensions.unknown(ROOM_STATE)?;
    let state = RoomState::decode(&Bytes::copy_from_slice(&unknown.0)).ok()?;
    (state.is_spoken() && context_extensions(&state).ok().as_ref() == Some(extensions)).then_some(state)
}

/// How groups are kept, by founders and joiners alike.
pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(CHAT_PADDING)
        .max_past_epochs(PAST_EPOCHS)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
        .build()
}

pub(super) fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, MAX_FORWARD)
}

/// What a leaf of this call says.
pub(super) struct Known {
    pub(super) key: VerifyingKey,
    pub(super) profile: Profile,
    pub(super) bind: Bind,
}

/// What a leaf says, if it is one of this call.
pub(super) fn check_leaf(node: &LeafNode, call: &Call) -> Result<Known, Refusal> {
    let key = key_of(node.credential()).ok_or(Refusal::Leaf)?;
    if node.signature_key().as_slice() != key.as_bytes() || node.capabilities() != &capabilities() {
        return Err(Refusal::Leaf);
    }
    match node.leaf_node_source() {
        LeafNodeSource::KeyPackage(life) if *life == lifetime() => {}
        LeafNodeSource::Commit(_) => {}
        LeafNodeSource::KeyPackage(_) | LeafNodeSource::Update => return Err(Refusal::Leaf),
    }
    let text = node.extensions().unknown(leaf::PROFILE).ok_or(Refusal::Leaf)?;
    let profile = Profile::decode(&Bytes::copy_from_slice(&text.0)).map_err(|_| Refusal::Leaf)?;
    let text = node.extensions().unknown(leaf::BIND).ok_or(Refusal::Leaf)?;
    let bind = Bind::decode(&Bytes::copy_from_slice(&text.0)).map_err(|_| Refusal::Leaf)?;
    // Equal to what we would have built from its parts: no room for anything else.
    if bind.call != *call || leaf_extensions(&profile, &bind).ok().as_ref() != Some(node.extensions()) {
        return Err(Refusal::Leaf);
    }
    Ok(Known { key, profile, bind })
}

/// What a key package's leaf says, if it may be added to this call.
pub(super) fn check_key_package(key_package: &KeyPackage, call: &Call) -> Result<Known, Refusal> {
    let fits = key_package.ciphersuite() == provider::SUITE
        && key_package.extensions().iter().next().is_none()
        && *key_package.life_time() == lifetime();
    if fits { check_leaf(key_package.leaf_node(), call) } else { Err(Refusal::Leaf) }
}

/// Whether the leaf that a path sets is the committer's old one but for its keys.
pub(super) fn same_but_keys(before: &LeafNode, after: &LeafNode) -> bool {
    before.signature_key() == after.signature_key()
        && before.credential() == after.credential()
        && before.capabilities() == after.capabilities()
        && before.extensions() == after.extensions()
}

/// The commit's or message's associated data never outlives it.
pub(super) fn clear_associated(mls: &mut MlsGroup) {
    mls.set_aad(Vec::new());
}

//! What openmls stores, and reads again while it runs: key packages and encryption keys. Everything else it writes only
//! to be able to load a group later, which never happens here: a group that was lost is entered anew.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use openmls_traits::storage::{CURRENT_VERSION, StorageProvider, traits};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

type Secrets = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// Secrets in memory; wiped when they are deleted, and when this is dropped.
#[derive(Default)]
pub(crate) struct Storage(Mutex<Secrets>);

/// A value that cannot be spelled or read back: a bug of this file or the library.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key could not be kept in memory")]
pub(crate) struct StorageError;

/// What a key in the map begins with.
#[derive(Clone, Copy)]
enum Kind {
    EncryptionKey = 1,
    EpochKeys = 2,
    KeyPackage = 3,
}

fn name(kind: Kind, parts: &[&dyn ErasedKey]) -> Result<Vec<u8>, StorageError> {
    let mut name = vec![kind as u8];
    for part in parts {
        name.extend_from_slice(&part.spell()?);
    }
    Ok(name)
}

/// Anything that names something.
trait ErasedKey {
    fn spell(&self) -> Result<Vec<u8>, StorageError>;
}

impl<T: Serialize> ErasedKey for T {
    fn spell(&self) -> Result<Vec<u8>, StorageError> {
        postcard::to_allocvec(self).map_err(|_| StorageError)
    }
}

impl Storage {
    // A poisoned lock guards a map that is whole between two calls.
    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), StorageError> {
        let bytes = Zeroizing::new(postcard::to_allocvec(value).map_err(|_| StorageError)?);
        self.secrets().insert(name, bytes);
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &[u8]) -> Result<Option<T>, StorageError> {
        let secrets = self.secrets();
        let Some(bytes) = secrets.get(name) else { return Ok(None) };
        postcard::from_bytes(bytes).map(Some).map_err(|_| StorageError)
    }

    fn delete(&self, name: &[u8]) {
        self.secrets().remove(name);
    }

    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.secrets().clear();
    }

    /// What is held now; nothing is, until it is put back.
    #[cfg(test)]
    pub(super) fn take(&self) -> Secrets {
        std::mem::take(&mut *self.secrets())
    }

    #[cfg(test)]
    pub(super) fn put_back(&self, secrets: Secrets) {
        *self.secrets() = secrets;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.secrets().len()
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Storage({} secrets)", self.secrets().len())
    }
}

/// Written only to be loaded later, or never written by us: nothing to do.
macro_rules! forget {
    ($($name:ident<$($param:ident),+>($($argument:ty),+);)+) => {$(
        fn $name<$($param: traits::$param<CURRENT_VERSION>),+>(&self, $(_: $argument),+) -> Result<(), StorageError> {
            Ok(())
        }
    )+};
}

/// Never there.
macro_rules! absent {
    ($($name:ident<$($param:ident),+>($argument:ty) -> $found:ty;)+) => {$(
        fn $name<$($param: traits::$param<CURRENT_VERSION>),+>(&self, _: $argument) -> Result<$found, StorageError> {
            Ok(Default::default())
        }
    )+};
}

impl StorageProvider<CURRENT_VERSION> for Storage {
    type Error = StorageError;

    fn write_encryption_key_pair<
        EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        public_key: &EncryptionKey,
        key_pair: &HpkeKeyPair,
    ) -> Result<(), StorageError> {
        self.write(name(Kind::EncryptionKey, &[&public_key])?, key_pair)
    }

    fn encryption_key_pair<
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
        EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>,
    >(
        &self,
        public_key: &EncryptionKey,
    ) -> Result<Option<HpkeKeyPair>, StorageError> {
        self.read(&name(Kind::EncryptionKey, &[&public_key])?)
    }

    fn delete_encryption_key_pair<EncryptionKey: traits::EncryptionKey<CURRENT_VERSION>>(
        &self,
        public_key: &EncryptionKey,
    ) -> Result<(), StorageError> {
        self.delete(&name(Kind::EncryptionKey, &[&public_key])?);
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
        key_pairs: &[HpkeKeyPair],
    ) -> Result<(), StorageError> {
        self.write(name(Kind::EpochKeys, &[&group_id, &epoch, &leaf_index])?, key_pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
        HpkeKeyPair: traits::HpkeKeyPair<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<Vec<HpkeKeyPair>, StorageError> {
        self.read(&name(Kind::EpochKeys, &[&group_id, &epoch, &leaf_index])?).map(Option::unwrap_or_default)
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<CURRENT_VERSION>,
        EpochKey: traits::EpochKey<CURRENT_VERSION>,
    >(
        &self,
        group_id: &GroupId,
        epoch: &EpochKey,
        leaf_index: u32,
    ) -> Result<(), StorageError> {
        self.delete(&name(Kind::EpochKeys, &[&group_id, &epoch, &leaf_index])?);
        Ok(())
    }

    fn write_key_package<
        HashReference: traits::HashReference<CURRENT_VERSION>,
        KeyPackage: traits::KeyPackage<CURRENT_VERSION>,
    >(
        &self,
        hash_ref: &HashReference,
        key_package: &KeyPackage,
    ) -> Result<(), StorageError> {
        self.write(name(Kind::KeyPackage, &[&hash_ref])?, key_package)
    }

    fn key_package<HashReference: traits::HashReference<CURRENT_VERSION>, KeyPackage: traits::KeyPackage<CURRENT_VERSION>>(
        &self,
        hash_ref: &HashReference,
    ) -> Result<Option<KeyPackage>, StorageError> {
        self.read(&name(Kind::KeyPackage, &[&hash_ref])?)
    }

    fn delete_key_package<HashReference: traits::HashReference<CURRENT_VERSION>>(
        &self,
        hash_ref: &HashReference,
    ) -> Result<(), StorageError> {
        self.delete(&name(Kind::KeyPackage, &[&hash_ref])?);
        Ok(())
    }

    forget! {
        write_mls_join_config<GroupId, MlsGroupJoinConfig>(&GroupId, &MlsGroupJoinConfig);
        append_own_leaf_node<GroupId, LeafNode>(&GroupId, &LeafNode);
        queue_proposal<GroupId, ProposalRef, QueuedProposal>(&GroupId, &ProposalRef, &QueuedProposal);
        write_tree<GroupId, TreeSync>(&GroupId, &TreeSync);
        write_interim_transcript_hash<GroupId, InterimTranscriptHash>(&GroupId, &InterimTranscriptHash);
        write_context<GroupId, GroupContext>(&GroupId, &GroupContext);
        write_confirmation_tag<GroupId, ConfirmationTag>(&GroupId, &ConfirmationTag);
        write_group_state<GroupState, GroupId>(&GroupId, &GroupState);
        write_message_secrets<GroupId, MessageSecrets>(&GroupId, &MessageSecrets);
        write_resumption_psk_store<GroupId, ResumptionPskStore>(&GroupId, &ResumptionPskStore);
        write_own_leaf_index<GroupId, LeafNodeIndex>(&GroupId, &LeafNodeIndex);
        write_group_epoch_secrets<GroupId, GroupEpochSecrets>(&GroupId, &GroupEpochSecrets);
        write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(&SignaturePublicKey, &SignatureKeyPair);
        write_psk<PskId, PskBundle>(&PskId, &PskBundle);
        remove_proposal<GroupId, ProposalRef>(&GroupId, &ProposalRef);
        delete_own_leaf_nodes<GroupId>(&GroupId);
        delete_group_config<GroupId>(&GroupId);
        delete_tree<GroupId>(&GroupId);
        delete_confirmation_tag<GroupId>(&GroupId);
        delete_group_state<GroupId>(&GroupId);
        delete_context<GroupId>(&GroupId);
        delete_interim_transcript_hash<GroupId>(&GroupId);
        delete_message_secrets<GroupId>(&GroupId);
        delete_all_resumption_psk_secrets<GroupId>(&GroupId);
        delete_own_leaf_index<GroupId>(&GroupId);
        delete_group_epoch_secrets<GroupId>(&GroupId);
        clear_proposal_queue<GroupId, ProposalRef>(&GroupId);
        delete_signature_key_pair<SignaturePublicKey>(&SignaturePublicKey);
        delete_psk<PskId>(&PskId);
    }

    absent! {
        mls_group_join_config<GroupId, MlsGroupJoinConfig>(&GroupId) -> Option<MlsGroupJoinConfig>;
        own_leaf_nodes<GroupId, LeafNode>(&GroupId) -> Vec<LeafNode>;
        queued_proposal_refs<GroupId, ProposalRef>(&GroupId) -> Vec<ProposalRef>;
        queued_proposals<GroupId, ProposalRef, QueuedProposal>(&GroupId) -> Vec<(ProposalRef, QueuedProposal)>;
        tree<GroupId, TreeSync>(&GroupId) -> Option<TreeSync>;
        group_context<GroupId, GroupContext>(&GroupId) -> Option<GroupContext>;
        interim_transcript_hash<GroupId, InterimTranscriptHash>(&GroupId) -> Option<InterimTranscriptHash>;
        confirmation_tag<GroupId, ConfirmationTag>(&GroupId) -> Option<ConfirmationTag>;
        group_state<GroupState, GroupId>(&GroupId) -> Option<GroupState>;
        message_secrets<GroupId, MessageSecrets>(&GroupId) -> Option<MessageSecrets>;
        resumption_psk_store<GroupId, ResumptionPskStore>(&GroupId) -> Option<ResumptionPskStore>;
        own_leaf_index<GroupId, LeafNodeIndex>(&GroupId) -> Option<LeafNodeIndex>;
        group_epoch_secrets<GroupId, GroupEpochSecrets>(&GroupId) -> Option<GroupEpochSecrets>;
        signature_key_pair<SignaturePublicKey, SignatureKeyPair>(&SignaturePublicKey) -> Option<SignatureKeyPair>;
        psk<PskBundle, PskId>(&PskId) -> Option<PskBundle>;
    }
}

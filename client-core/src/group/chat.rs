//! Chat: MLS application messages, padded. What is inside is not this file's business.

use bytes::Bytes;
use conclave_federation::proof::VerifyingKey;
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, ProtocolMessage, Sender, tls_codec::DeserializeBytes,
};

use super::{Group, Leaf, node};

/// A chat message that opened: by this leaf key, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChat {
    /// Where its sender was in that epoch.
    pub leaf: Leaf,
    /// Who: after a swap or a departure the leaf may be somebody else's.
    pub key: VerifyingKey,
    /// Of the message.
    pub epoch: u64,
    /// What they said.
    pub bytes: Bytes,
}

/// Why a chat message was not taken, or not made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ChatError {
    /// Not an MLS application message.
    #[error("not a chat message")]
    Malformed,
    /// Of an epoch that is not held any more, or not reached yet.
    #[error("the message belongs to an epoch whose keys are not held")]
    Epoch,
    /// It does not open: forged, or seen before.
    #[error("the message does not open: forged, or seen before")]
    Forged,
    /// Our own, come back.
    #[error("the message is our own")]
    Own,
    /// We are not in the group any more.
    #[error("we are not in the room any more")]
    Gone,
}

impl Group {
    /// Seals a message for everybody in this epoch; padded to 256 B.
    ///
    /// # Errors
    /// When we are not in the group any more.
    pub fn encrypt_chat(&mut self, bytes: &[u8]) -> Result<Bytes, ChatError> {
        // The next message would carry what a probing build has left there.
        node::clear_associated(&mut self.mls);
        let message = self.mls.create_message(&self.provider, &self.signer, bytes).map_err(|_| ChatError::Gone)?;
        message.to_bytes().map(Bytes::from).map_err(|_| ChatError::Malformed)
    }

    /// Opens a message of this epoch or one of the last eight.
    ///
    /// # Errors
    /// Says why it was not taken.
    pub fn open_chat(&mut self, message: &[u8]) -> Result<OpenedChat, ChatError> {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(|_| ChatError::Malformed)?;
        let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else { return Err(ChatError::Malformed) };
        let message = ProtocolMessage::from(message);
        if message.content_type() != ContentType::Application || message.group_id() != self.mls.group_id() {
            return Err(ChatError::Malformed);
        }
        let epoch = message.epoch().as_u64();
        let now = self.epoch();
        if epoch > now || now - epoch > u64::try_from(node::PAST_EPOCHS).unwrap_or(0) || epoch < self.first_epoch {
            return Err(ChatError::Epoch);
        }
        let processed = self.mls.process_message(&self.provider, message).map_err(|_| ChatError::Forged)?;
        let Sender::Member(leaf) = *processed.sender() else { return Err(ChatError::Malformed) };
        let key = node::key_of(processed.credential()).ok_or(ChatError::Malformed)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(opened) => {
                Ok(OpenedChat { leaf: Leaf(leaf.u32()), key, epoch, bytes: opened.into_bytes().into() })
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(ChatError::Own),
            ProcessedMessageContent::ProposalMessage(_)
            | ProcessedMessageContent::ExternalJoinProposalMessage(_)
            | ProcessedMessageContent::StagedCommitMessage(_)
            | ProcessedMessageContent::OwnPendingCommit => Err(ChatError::Malformed),
        }
    }
}

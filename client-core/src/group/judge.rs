//! Whether an entry is a valid commit, by its public part alone: everybody in the epoch sees the same and says the same.

use bytes::Bytes;
use conclave_federation::wire::{
    Wire,
    message::{Entry, EntryHeader, EntryKind, Sealed},
};
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, Proposal, ProposalOrRefType, ProtocolMessage,
    PublicProcessMessageError, Sender, StagedCommit, tls_codec::DeserializeBytes,
};
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use super::{
    Action, CommitAad, Group, Leaf, Skip,
    entry::Part,
    node,
    thread::{Seen, Weight},
};
use crate::policy::{self, Coming, Person, Proposed, Refusal, Situation};

/// A commit whose public part holds.
pub(super) struct Judged {
    pub(super) aad: CommitAad,
    pub(super) by: Leaf,
    pub(super) proposed: Proposed,
    pub(super) message: Zeroizing<Vec<u8>>,
}

/// A commit that everybody passes over.
pub(super) struct Passed {
    pub(super) skip: Skip,
    /// Who signed it for this very place, where that is certain: nobody is blamed for what others offer again.
    pub(super) by: Option<Leaf>,
}

impl Judged {
    /// As the thread sees it.
    pub(super) fn seen(&self, group: &Group) -> Seen {
        let back = |leaf: &Leaf| {
            let key = group.keys().into_iter().find(|(at, _)| at == leaf).map(|(_, key)| key);
            self.proposed.adds.iter().any(|add| Some(add.key) == key)
        };
        Seen {
            by: self.by,
            own: self.by == group.me(),
            action: self.aad.action,
            path: self.proposed.path,
            removes: self.proposed.removes.iter().filter(|leaf| !back(leaf)).copied().collect(),
        }
    }
}

impl From<Skip> for Passed {
    fn from(skip: Skip) -> Self {
        Self { skip, by: None }
    }
}

impl Group {
    /// Steps 1 and 2 of the rule: everything that all members see alike.
    pub(super) fn judge(&self, entry: &Entry, word: Weight) -> Result<Judged, Passed> {
        let header = &entry.header;
        if !self.is_spoken(header) || header.kind != EntryKind::Commit {
            return Err(Skip::Kind.into());
        }
        if header.begins_generation() != entry.record.is_some() {
            return Err(Skip::Record.into());
        }
        let message = self.keys.entry.open(&Part::Commit.associated(header), entry.commit.bytes()).map_err(|_| Skip::Seal)?;
        let (parsed, sender) = parse(&message)?;
        let processed = self.mls.public_group().process_message(self.provider.crypto(), parsed).map_err(|error| {
            // What is wrong with the commit itself is found after its signature.
            let by = matches!(error, PublicProcessMessageError::InvalidCommit(_)).then_some(sender);
            Passed { skip: Skip::Mls, by }
        })?;
        let Sender::Member(by) = *processed.sender() else { return Err(Skip::NotCommit.into()) };
        let by = Leaf(by.u32());
        let aad = CommitAad::decode(&Bytes::copy_from_slice(processed.aad())).map_err(|_| Skip::Place)?;
        if aad.prev_head != header.prev_head {
            return Err(Skip::Place.into());
        }
        let named = |skip: Skip| Passed { skip, by: Some(by) };
        if aad.version != CommitAad::VERSION || aad.served != header.served {
            return Err(named(Skip::Place));
        }
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(Skip::NotCommit.into());
        };
        let mut proposed = self.proposed(&staged, &aad, entry, by).map_err(named)?;
        proposed.void = word == Weight::Here;
        let persons = self.persons();
        policy::check(aad.action, &proposed, &self.situation(&persons, by)).map_err(|refusal| named(refusal.into()))?;
        Ok(Judged { aad, by, proposed, message })
    }

    /// Whether the end of the call is where and what it should be. That a host said so, the hub has checked.
    pub(super) fn is_end(&self, entry: &Entry) -> bool {
        let header = &entry.header;
        let empty = [&entry.commit, &entry.epoch_box].iter().all(|part| part.bytes().is_empty());
        self.is_spoken(header)
            && header.kind == EntryKind::End
            && header.flags == 0
            && header.served.is_empty()
            && header.welcome_hash == EntryHeader::welcome_hash(&Sealed::default())
            && empty
            && entry.record.is_none()
    }

    pub(super) fn is_spoken(&self, header: &EntryHeader) -> bool {
        header.version == EntryHeader::VERSION
            && header.flags & !EntryHeader::NEXT_GENERATION == 0
            && header.term == 0
            && header.hub_index == 0
            && header.generation == self.record.generation
    }

    fn proposed(&self, staged: &StagedCommit, aad: &CommitAad, entry: &Entry, by: Leaf) -> Result<Proposed, Skip> {
        let mut proposed = Proposed { served: aad.served.len(), record: entry.record.clone(), ..Proposed::default() };
        for queued in staged.queued_proposals() {
            if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
                return Err(Skip::Mls);
            }
            match queued.proposal() {
                Proposal::Add(add) => {
                    let node::Known { key, bind, .. } = node::check_key_package(add.key_package(), &self.call)?;
                    proposed.adds.push(Coming { key, since: bind.seq });
                }
                Proposal::Remove(remove) => proposed.removes.push(Leaf(remove.removed().u32())),
                Proposal::GroupContextExtensions(change) => {
                    proposed.state = Some(node::room_state(change.extensions()).ok_or(Refusal::State)?);
                }
                _ => return Err(Skip::Policy(Refusal::NotSpoken)),
            }
        }
        self.take_words(aad, entry, &mut proposed)?;
        if let Some(after) = staged.update_path_leaf_node() {
            proposed.path = true;
            let index = openmls::prelude::LeafNodeIndex::new(by.0);
            let before = self.mls.public_group().leaf(index).ok_or(Skip::Mls)?;
            if !node::same_but_keys(before, after) {
                return Err(Refusal::Leaf.into());
            }
        }
        Ok(proposed)
    }

    /// Notes, votes and the hub's words: only genuine ones get as far as the policy.
    fn take_words(&self, aad: &CommitAad, entry: &Entry, proposed: &mut Proposed) -> Result<(), Refusal> {
        let here = self.keys();
        for note in aad.notes.iter() {
            if !here.contains(&(note.leaf, note.key)) || !note.verify(&self.call) {
                return Err(Refusal::Note);
            }
            proposed.notes.push(note.leaf);
        }
        // A thousand signatures are looked at only where they mean something.
        if !aad.votes.is_empty() && !matches!(aad.action, Action::Reap | Action::Vote) {
            return Err(Refusal::Mismatch);
        }
        for vote in aad.votes.iter() {
            if !here.contains(&(vote.leaf, vote.key)) || !vote.verify(&self.call) {
                return Err(Refusal::Votes);
            }
        }
        proposed.votes = aad.votes.to_vec();
        if let Some(cut) = &aad.cut {
            let (header, hub) = (&entry.header, self.record.hub().ok_or(Refusal::Votes)?.relay);
            if !cut.holds(hub, header.room, header.instance, header.prev_head, header.seq) {
                return Err(Refusal::Votes);
            }
            proposed.cut = Some(cut.clone());
        }
        Ok(())
    }

    pub(super) fn situation<'a>(&'a self, members: &'a [Person], by: Leaf) -> Situation<'a> {
        Situation { state: &self.state, record: &self.record, members, by, seq: self.thread.position().seq }
    }
}

/// One public message with a commit by a member, and nothing behind it; and which member it says.
pub(super) fn parse(message: &[u8]) -> Result<(ProtocolMessage, Leaf), Skip> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(|_| Skip::NotCommit)?;
    let MlsMessageBodyIn::PublicMessage(message) = message.extract() else { return Err(Skip::NotCommit) };
    let Sender::Member(sender) = *message.sender() else { return Err(Skip::NotCommit) };
    if message.content_type() == ContentType::Commit { Ok((message.into(), Leaf(sender.u32()))) } else { Err(Skip::NotCommit) }
}

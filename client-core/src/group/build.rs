//! Commits of our own: built, sealed with their box and welcome, and pending until the log decides.

use bytes::Bytes;
use conclave_federation::{
    id::JoinId,
    proof::{Label, VerifyingKey},
    wire::{
        Blob, List, Wire,
        message::{Append, EntryHeader, EntryKind, HubHead, Sealed},
    },
};
use openmls::prelude::{CommitMessageBundle, CreateCommitError, LeafNodeIndex};
use openmls_traits::OpenMlsProvider;

use super::{
    Action, Candidate, CommitAad, Group, Leaf, Outcome, Work, draft::Draft, entry::Part, epoch, generation::NextGeneration, node,
    roster_hash, says,
};
use crate::{
    policy::{self, Refusal},
    seal::SealKey,
};

/// A commit, ready for the hub. The group holds it as pending.
#[derive(Clone, Debug)]
pub struct Built {
    /// The caller says `via`.
    pub append: Append,
    /// What it does; none when it ends the call.
    pub action: Option<Action>,
    /// Requests that it serves.
    pub served: Vec<JoinId>,
    /// Requests whose key package spoils any commit: to be forgotten.
    pub refused: Vec<JoinId>,
}

/// Why nothing was built.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BuildError {
    /// One commit of ours is with the hub already.
    #[error("a commit is pending")]
    Pending,
    /// Nothing of the work can or need be done; these requests are to be forgotten.
    #[error("there is nothing to commit")]
    Nothing(Vec<JoinId>),
    /// The policy would refuse it.
    #[error("{0}")]
    Policy(Refusal),
    /// We are not in the group any more, or lost its thread.
    #[error("we are not in the group any more")]
    Gone,
    /// No relay would believe us: we are no host, or have it through too many others.
    #[error("no relay would take our word as a host's: ask whoever founded the room")]
    Authority,
    /// The log does not show yet that anybody has been here for five minutes: too early, or its newest entry is old, and an
    /// update has to come first.
    #[error("nobody has been here for long enough to vote")]
    TooEarly,
    /// More than an entry carries.
    #[error("the commit is too large")]
    TooLarge,
    /// A bug of ours or the library's.
    #[error("the commit could not be built")]
    Mls,
}

/// An entry of ours that the log has not decided on.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) append: Append,
    pub(super) deed: Deed,
}

/// What it does.
#[derive(Debug)]
pub(super) enum Deed {
    /// A commit, which the group holds.
    Commit(Box<Commit>),
    /// The end of the call.
    End,
}

pub(super) struct Commit {
    pub(super) aad: CommitAad,
    pub(super) adds: Vec<VerifyingKey>,
    pub(super) removes: Vec<Leaf>,
    pub(super) next: Option<NextGeneration>,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("action", &self.aad.action).finish_non_exhaustive()
    }
}

/// Six are expected for three Removes; one commit in a hundred thousand stays in the library's order, which is valid too,
/// but does not repeat.
const MAX_TRIES: usize = 64;

impl Group {
    /// Builds a commit and keeps it pending: nothing else is built until the log has decided.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn build(&mut self, work: Work) -> Result<Built, BuildError> {
        // The library replaces a pending commit without a word, even one that the hub has accepted.
        if self.pending.is_some() {
            return Err(BuildError::Pending);
        }
        // Who is stuck can take back what they are stuck on, and nothing else.
        if self.lost || self.thread.is_in_step() == matches!(work, Work::Void(_)) {
            return Err(BuildError::Gone);
        }
        if matches!(work, Work::End) {
            return self.build_end();
        }
        let mut draft = self.draft(work)?;
        if !draft.adds.is_empty() {
            self.sift(&mut draft);
        }
        if draft.is_empty() {
            return Err(BuildError::Nothing(draft.refused));
        }
        policy::check(draft.action, &draft.proposed(), &self.situation(&self.persons(), self.me()))
            .map_err(BuildError::Policy)?;
        let aad = self.associated(&draft).ok_or(BuildError::TooLarge)?;
        let bundle = self.stage(&draft, &aad)?;
        match self.seal_commit(&bundle, &draft, aad) {
            Ok(built) => Ok(built),
            Err(error) => {
                self.clear_staged();
                Err(error)
            }
        }
    }

    /// The hub's word that the pending commit is stored. The log's own copy does the same: whichever comes first.
    pub fn appended(&mut self, head: &HubHead) -> Outcome {
        let Some(pending) = &self.pending else { return Outcome::Repeated };
        // The answer to an earlier one that was offered more than once; the log has it already.
        if head.seq < pending.append.header.seq {
            return Outcome::Repeated;
        }
        let hub = self.record.hub().map(|hub| hub.relay);
        if !hub.is_some_and(|hub| says(head, &pending.append.header, hub)) {
            return Outcome::NotGenuine;
        }
        self.merge_own(head)
    }

    /// The pending commit, as it was offered: to be offered again, unchanged, after a timeout.
    #[must_use]
    pub fn pending(&self) -> Option<&Append> {
        self.pending.as_ref().map(|pending| &pending.append)
    }

    /// Gives the pending commit up: only after a refusal that is not CONFLICT. After CONFLICT or a timeout the log itself
    /// decides, because it may hold our own entry.
    pub fn discard(&mut self) {
        if self.pending.is_some() {
            self.drop_pending();
        }
    }

    pub(super) fn drop_pending(&mut self) {
        let Some(Pending { deed: Deed::Commit(_), .. }) = self.pending.take() else { return };
        self.clear_staged();
    }

    fn clear_staged(&mut self) {
        if self.mls.clear_pending_commit(self.provider.storage()).is_err() {
            self.lost = true;
        }
    }

    /// Takes out the key packages that spoil the batch, by halves: one bad one must not keep the others out.
    fn sift(&mut self, draft: &mut Draft) {
        let candidates = std::mem::take(&mut draft.adds);
        let (good, bad) = self.good(candidates, draft.action);
        draft.refused.extend(bad.iter().map(|candidate| candidate.id));
        draft.served.retain(|id| bad.iter().all(|candidate| candidate.id != *id));
        if draft.action == Action::Swap {
            let here = self.keys();
            draft
                .removes
                .retain(|leaf| here.iter().any(|(at, key)| at == leaf && good.iter().any(|candidate| candidate.key == *key)));
        }
        draft.adds = good;
    }

    fn good(&mut self, mut candidates: Vec<Candidate>, action: Action) -> (Vec<Candidate>, Vec<Candidate>) {
        if candidates.is_empty() || self.builds(&candidates, action) {
            return (candidates, Vec::new());
        }
        if candidates.len() == 1 {
            return (Vec::new(), candidates);
        }
        let right = candidates.split_off(candidates.len() / 2);
        let (mut good, mut bad) = self.good(candidates, action);
        let (more, worse) = self.good(right, action);
        bad.extend(worse);
        // Each half is good by itself; two that collide with each other are told apart one by one.
        let left = good.len();
        good.extend(more);
        if !self.builds(&good, action) {
            let later = good.split_off(left);
            for candidate in later {
                good.push(candidate);
                if !self.builds(&good, action) {
                    bad.extend(good.pop());
                }
            }
        }
        (good, bad)
    }

    /// A probing build; nothing is staged, and no associated data stays behind.
    fn builds(&mut self, candidates: &[Candidate], action: Action) -> bool {
        let here = self.keys();
        let removes = here
            .iter()
            .filter(|(_, key)| action == Action::Swap && candidates.iter().any(|candidate| candidate.key == *key))
            .map(|(leaf, _)| LeafNodeIndex::new(leaf.0))
            .collect::<Vec<_>>();
        let packages = candidates.iter().map(|candidate| candidate.key_package.clone()).collect::<Vec<_>>();
        node::clear_associated(&mut self.mls);
        let built = self
            .mls
            .commit_builder()
            .consume_proposal_store(false)
            .propose_removals(removes)
            .propose_adds(packages)
            .load_psks(self.provider.storage())
            .and_then(|builder| builder.build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true))
            .is_ok();
        node::clear_associated(&mut self.mls);
        built
    }

    fn associated(&self, draft: &Draft) -> Option<CommitAad> {
        Some(CommitAad {
            version: CommitAad::VERSION,
            prev_head: self.thread.position().head,
            action: draft.action,
            notes: List::new(draft.notes.clone())?,
            served: List::new(draft.served.clone())?,
            votes: List::new(draft.votes.clone())?,
            cut: draft.cut.clone(),
        })
    }

    /// The library keeps Removes in a hash map, and so in a random order: built again, from the same randomness, until
    /// they ascend. What is built in vain is never seen by anybody.
    fn stage(&mut self, draft: &Draft, aad: &CommitAad) -> Result<CommitMessageBundle, BuildError> {
        let mark = self.provider.crypto().mark();
        let mut tries = 1;
        loop {
            let staged = self.stage_once(draft, aad);
            if staged.is_err() {
                if self.mls.pending_commit().is_some() {
                    self.clear_staged();
                }
                return staged;
            }
            if tries >= MAX_TRIES || self.removes_ascend() {
                return staged;
            }
            tries += 1;
            self.clear_staged();
            self.provider.crypto().rewind(mark.clone());
        }
    }

    fn removes_ascend(&self) -> bool {
        let Some(staged) = self.mls.pending_commit() else { return true };
        let removes: Vec<_> = staged.remove_proposals().map(|remove| remove.remove_proposal().removed()).collect();
        removes.is_sorted()
    }

    fn stage_once(&mut self, draft: &Draft, aad: &CommitAad) -> Result<CommitMessageBundle, BuildError> {
        let removes = draft.removes.iter().map(|leaf| LeafNodeIndex::new(leaf.0)).collect::<Vec<_>>();
        let packages = draft.adds.iter().map(|candidate| candidate.key_package.clone()).collect::<Vec<_>>();
        let context = draft.state.as_ref().map(node::context_extensions).transpose().map_err(|_| BuildError::Mls)?;
        self.mls.set_aad(aad.encode().to_vec());
        let builder = self
            .mls
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(matches!(draft.action, Action::Update | Action::Void))
            .propose_removals(removes)
            .propose_adds(packages);
        let builder = match context {
            Some(context) => builder.propose_group_context_extensions(context).map_err(|_| BuildError::Mls),
            None => Ok(builder),
        };
        let staged = builder
            .and_then(|builder| builder.load_psks(self.provider.storage()).map_err(|_: CreateCommitError| BuildError::Mls))
            .and_then(|builder| {
                builder
                    .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
                    .map_err(|_: CreateCommitError| BuildError::Mls)
            })
            .and_then(|builder| builder.stage_commit(&self.provider).map_err(|_| BuildError::Mls));
        node::clear_associated(&mut self.mls);
        staged
    }

    fn next_header(&self, kind: EntryKind) -> EntryHeader {
        EntryHeader {
            version: EntryHeader::VERSION,
            room: self.call.room,
            instance: self.call.instance,
            seq: self.thread.position().seq,
            prev_head: self.thread.position().head,
            kind,
            flags: 0,
            generation: self.record.generation,
            term: 0,
            hub_index: 0,
            body_hash: EntryHeader::body_hash(&Sealed::default(), &Sealed::default(), None),
            welcome_hash: EntryHeader::welcome_hash(&Sealed::default()),
            served: List::default(),
        }
    }

    /// The end of the call: nothing but a host's word for it.
    fn build_end(&mut self) -> Result<Built, BuildError> {
        let header = self.next_header(EntryKind::End);
        let reserve = self.host_proof(Label::Reserve, &header.encode()).ok_or(BuildError::Authority)?;
        let append = Append {
            via: None,
            signature: self.access_keys.sign.sign(Label::Append, &header.encode()),
            header,
            commit: Sealed::default(),
            epoch_box: Sealed::default(),
            welcome: Sealed::default(),
            record: None,
            reserve: Some(reserve),
            call: None,
        };
        self.pending = Some(Pending { append: append.clone(), deed: Deed::End });
        Ok(Built { append, action: None, served: Vec::new(), refused: Vec::new() })
    }

    fn seal_commit(&mut self, bundle: &CommitMessageBundle, draft: &Draft, aad: CommitAad) -> Result<Built, BuildError> {
        let mut header = self.next_header(EntryKind::Commit);
        header.served = aad.served.clone();
        if draft.next.is_some() {
            header.flags = EntryHeader::NEXT_GENERATION;
        }
        let commit = bundle.commit().to_bytes().map_err(|_| BuildError::Mls)?;
        let entry_key = self.keys.entry.clone();
        let commit = self.seal_part(&entry_key, Part::Commit, &header, &commit)?;
        let epoch_box = match &draft.word {
            // Nobody comes by it: in the box's place is what everybody in the room has to see, whichever epoch they are in.
            Some(word) => {
                let key = self.access_keys.void.clone();
                self.seal_part(&key, Part::Box, &header, &word.encode())?
            }
            None => {
                let staged = self.mls.pending_commit().ok_or(BuildError::Mls)?;
                let key = epoch::box_key_ahead(staged, self.provider.crypto()).map_err(|_| BuildError::Mls)?;
                let contents = self.box_contents(draft.next.as_ref(), roster_hash(self.roster_after(draft)), header.seq);
                self.seal_part(&key, Part::Box, &header, &contents.spell())?
            }
        };
        let welcome = match bundle.to_welcome_msg() {
            Some(welcome) => {
                let welcome = welcome.to_bytes().map_err(|_| BuildError::Mls)?;
                let key = self.join_keys_of(draft.link).ok_or(BuildError::Mls)?.seal;
                self.seal_part(&key, Part::Welcome, &header, &welcome)?
            }
            None => Sealed::default(),
        };
        let record = draft.next.as_ref().map(|next| next.record.clone());
        header.body_hash = EntryHeader::body_hash(&commit, &epoch_box, record.as_ref());
        header.welcome_hash = EntryHeader::welcome_hash(&welcome);
        let spelled = header.encode();
        let signature = self.access_keys.sign.sign(Label::Append, &spelled);
        let reserve = if is_pressing(draft.action) { self.host_proof(Label::Reserve, &spelled) } else { None };
        let append = Append { via: None, header, signature, commit, epoch_box, welcome, record, reserve, call: None };
        let deed = Commit { aad, adds: draft.keys(), removes: draft.removes.clone(), next: draft.next.clone() };
        self.pending = Some(Pending { append: append.clone(), deed: Deed::Commit(Box::new(deed)) });
        Ok(Built { append, action: Some(draft.action), served: draft.served.clone(), refused: draft.refused.clone() })
    }

    fn seal_part(&mut self, key: &SealKey, part: Part, header: &EntryHeader, plain: &[u8]) -> Result<Sealed, BuildError> {
        let sealed: Bytes = key.seal(&mut self.rng, &part.associated(header), plain).map_err(|_| BuildError::TooLarge)?;
        Blob::new(sealed).ok_or(BuildError::TooLarge)
    }

    fn roster_after(&self, draft: &Draft) -> Vec<VerifyingKey> {
        let stay = self.keys().into_iter().filter(|(leaf, _)| !draft.removes.contains(leaf)).map(|(_, key)| key);
        stay.chain(draft.keys()).collect()
    }
}

/// Whether a host's commit goes before those of others at the hub, which learns by it that a host made it: what somebody who
/// crowds the log must not be able to hold up.
const fn is_pressing(action: Action) -> bool {
    match action {
        Action::Evict | Action::Rotate | Action::Mode | Action::Hosts | Action::Void => true,
        Action::Admit
        | Action::Leave
        | Action::Swap
        | Action::Update
        | Action::HubMove
        | Action::Reap
        | Action::Vote
        | Action::Settings => false,
    }
}

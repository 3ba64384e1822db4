//! Commits of our own: built, sealed with their box and welcome, and pending until the log decides.

use bytes::Bytes;
use conclave_federation::{
    id::JoinId,
    limits::MAX_SERVED,
    proof::{Label, VerifyingKey},
    wire::{
        Blob, List, Wire,
        message::{Append, EntryHeader, EntryKind, HubHead, Sealed},
    },
};
use openmls::prelude::{CommitMessageBundle, CreateCommitError, LeafNodeIndex};
use openmls_traits::OpenMlsProvider;

use super::{
    Action, Candidate, CommitAad, EpochBox, Group, Leaf, LeaveNote, Outcome, entry::Part, epoch, node, roster_hash, says,
};
use crate::{
    policy::{self, Proposed, Refusal},
    seal::SealKey,
};

/// What a commit is to do. One thing at a time: the entry's action has to match its proposals exactly, and joins stay
/// without a path.
#[derive(Clone, Debug)]
pub enum Work {
    /// Lets in those who are new; if there are none, gives new leaves to those who come back.
    Requests(Vec<Candidate>),
    /// Removes those who left, each with the request that brought the note, if one did.
    Leaves(Vec<(LeaveNote, Option<JoinId>)>),
    /// Removes the silent.
    Reap(Vec<Leaf>),
}

/// A commit, ready for the hub. The group holds it as pending.
#[derive(Clone, Debug)]
pub struct Built {
    /// The caller says `via`.
    pub append: Append,
    /// What it does.
    pub action: Action,
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
    /// More than an entry carries.
    #[error("the commit is too large")]
    TooLarge,
    /// A bug of ours or the library's.
    #[error("the commit could not be built")]
    Mls,
}

/// A commit of ours that the log has not decided on.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) append: Append,
    pub(super) aad: CommitAad,
    pub(super) adds: Vec<VerifyingKey>,
    pub(super) removes: Vec<Leaf>,
}

/// Removes of one commit, swaps included. Few, because their order is found by trying.
pub const MAX_REMOVES: usize = 3;

/// Six are expected for three Removes; one commit in a hundred thousand stays in the library's order, which is valid too,
/// but does not repeat.
const MAX_TRIES: usize = 64;

/// What goes into one commit.
struct Draft {
    action: Action,
    adds: Vec<Candidate>,
    removes: Vec<Leaf>,
    notes: Vec<LeaveNote>,
    served: Vec<JoinId>,
    refused: Vec<JoinId>,
}

impl Draft {
    fn keys(&self) -> Vec<VerifyingKey> {
        self.adds.iter().map(|candidate| candidate.key).collect()
    }
}

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
        if self.lost {
            return Err(BuildError::Gone);
        }
        let mut draft = match work {
            Work::Requests(candidates) => self.draft_requests(candidates),
            Work::Leaves(notes) => self.draft_leaves(notes),
            Work::Reap(leaves) => self.draft_reap(leaves),
        };
        if !draft.adds.is_empty() {
            self.sift(&mut draft);
        }
        if draft.adds.is_empty() && draft.removes.is_empty() {
            return Err(BuildError::Nothing(draft.refused));
        }
        let me = self.me();
        let proposed = Proposed {
            adds: draft.keys(),
            removes: draft.removes.clone(),
            notes: draft.notes.iter().map(|note| note.leaf).collect(),
            state: None,
            path: !draft.removes.is_empty(),
            served: draft.served.len(),
        };
        policy::check(draft.action, &proposed, &self.situation(&self.keys(), me)).map_err(BuildError::Policy)?;
        let aad = self.associated(&draft).ok_or(BuildError::TooLarge)?;
        let bundle = self.stage(&draft, &aad)?;
        match self.seal_commit(&bundle, &draft, aad) {
            Ok(built) => Ok(built),
            Err(error) => {
                self.drop_pending();
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
        self.merge_own()
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
        self.pending = None;
        if self.mls.clear_pending_commit(self.provider.storage()).is_err() {
            self.lost = true;
        }
    }

    /// New ones alone, or those who come back alone; of several requests with one key the latest.
    fn draft_requests(&self, candidates: Vec<Candidate>) -> Draft {
        let here = self.keys();
        let at = |key: &VerifyingKey| here.iter().find(|(_, member)| member == key).map(|(leaf, _)| *leaf);
        let mut refused = Vec::new();
        let mut latest: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            match latest.iter_mut().find(|other| other.key == candidate.key) {
                Some(other) if other.attempt < candidate.attempt => {
                    refused.push(std::mem::replace(other, candidate).id);
                }
                Some(_) => refused.push(candidate.id),
                // Nobody removes their own leaf.
                None if candidate.key == self.signer.0.verifying_key() => refused.push(candidate.id),
                None => latest.push(candidate),
            }
        }
        let room = usize::from(self.state.max_members).saturating_sub(here.len());
        let (mut back, mut new): (Vec<_>, Vec<_>) = latest.into_iter().partition(|candidate| at(&candidate.key).is_some());
        new.truncate(room.min(MAX_SERVED));
        let action = if new.is_empty() { Action::Swap } else { Action::Admit };
        if new.is_empty() {
            back.truncate(MAX_REMOVES);
        } else {
            back.clear();
        }
        let removes = back.iter().filter_map(|candidate| at(&candidate.key)).collect();
        let adds = if new.is_empty() { back } else { new };
        let served = adds.iter().map(|candidate| candidate.id).collect();
        Draft { action, adds, removes, notes: Vec::new(), served, refused }
    }

    fn draft_leaves(&self, notes: Vec<(LeaveNote, Option<JoinId>)>) -> Draft {
        let here = self.keys();
        let mut draft = Draft {
            action: Action::Leave,
            adds: Vec::new(),
            removes: Vec::new(),
            notes: Vec::new(),
            served: Vec::new(),
            refused: Vec::new(),
        };
        for (note, id) in notes {
            let stands = here.contains(&(note.leaf, note.key)) && note.verify(&self.bind) && note.leaf != self.me();
            if stands && !draft.removes.contains(&note.leaf) && draft.removes.len() < MAX_REMOVES {
                draft.removes.push(note.leaf);
                draft.notes.push(note);
                draft.served.extend(id);
            } else {
                draft.refused.extend(id);
            }
        }
        draft
    }

    fn draft_reap(&self, mut leaves: Vec<Leaf>) -> Draft {
        let here = self.keys();
        leaves.sort_unstable();
        leaves.dedup();
        leaves.retain(|leaf| *leaf != self.me() && here.iter().any(|(at, _)| at == leaf));
        leaves.truncate(MAX_REMOVES);
        Draft {
            action: Action::Reap,
            adds: Vec::new(),
            removes: leaves,
            notes: Vec::new(),
            served: Vec::new(),
            refused: Vec::new(),
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
            prev_head: self.position.head,
            action: draft.action,
            notes: List::new(draft.notes.clone())?,
            served: List::new(draft.served.clone())?,
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
                    self.drop_pending();
                }
                return staged;
            }
            if tries >= MAX_TRIES || self.removes_ascend() {
                return staged;
            }
            tries += 1;
            self.drop_pending();
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
        self.mls.set_aad(aad.encode().to_vec());
        let staged = self
            .mls
            .commit_builder()
            .consume_proposal_store(false)
            .propose_removals(removes)
            .propose_adds(packages)
            .load_psks(self.provider.storage())
            .and_then(|builder| builder.build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true))
            .map_err(|_: CreateCommitError| BuildError::Mls)
            .and_then(|builder| builder.stage_commit(&self.provider).map_err(|_| BuildError::Mls));
        node::clear_associated(&mut self.mls);
        staged
    }

    fn seal_commit(&mut self, bundle: &CommitMessageBundle, draft: &Draft, aad: CommitAad) -> Result<Built, BuildError> {
        let mut header = EntryHeader {
            version: EntryHeader::VERSION,
            room: self.bind.room,
            instance: self.bind.instance,
            seq: self.position.seq,
            prev_head: self.position.head,
            kind: EntryKind::Commit,
            flags: 0,
            generation: self.record.generation,
            term: 0,
            hub_index: 0,
            body_hash: [0; 32],
            welcome_hash: [0; 32],
            served: aad.served.clone(),
        };
        let commit = bundle.commit().to_bytes().map_err(|_| BuildError::Mls)?;
        let entry_key = self.keys.entry.clone();
        let commit = self.seal_part(&entry_key, Part::Commit, &header, &commit)?;
        let staged = self.mls.pending_commit().ok_or(BuildError::Mls)?;
        let box_key = epoch::box_key_ahead(staged, self.provider.crypto()).map_err(|_| BuildError::Mls)?;
        let contents = EpochBox {
            generation: self.record.generation,
            access: self.access.clone(),
            link: self.link.clone(),
            record: self.record.hash(),
            roster: roster_hash(self.roster_after(draft)),
            seq: header.seq,
        };
        let epoch_box = self.seal_part(&box_key, Part::Box, &header, &contents.spell())?;
        let welcome = match bundle.to_welcome_msg() {
            Some(welcome) => {
                let welcome = welcome.to_bytes().map_err(|_| BuildError::Mls)?;
                let key = self.join_keys.seal.clone();
                self.seal_part(&key, Part::Welcome, &header, &welcome)?
            }
            None => Sealed::default(),
        };
        header.body_hash = EntryHeader::body_hash(&commit, &epoch_box, None);
        header.welcome_hash = EntryHeader::welcome_hash(&welcome);
        let signature = self.access_keys.sign.sign(Label::Append, &header.encode());
        let append = Append { via: None, header, signature, commit, epoch_box, welcome, record: None, reserve: None, call: None };
        self.pending = Some(Pending { append: append.clone(), aad, adds: draft.keys(), removes: draft.removes.clone() });
        Ok(Built { append, action: draft.action, served: draft.served.clone(), refused: draft.refused.clone() })
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

//! What members do with an entry of the log: the same at all of them, or they would not be members of one group.

use bytes::Bytes;
use conclave_federation::{
    id::Head,
    log::OutOfLine,
    proof::VerifyingKey,
    wire::{
        Wire,
        message::{Entry, EntryHeader, EntryKind, Sealed},
    },
};
use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, ProcessMessageError, ProcessedMessageContent, Proposal, ProposalOrRefType,
    ProtocolMessage, Sender, StagedCommit, tls_codec::DeserializeBytes,
};
use openmls_traits::OpenMlsProvider;
use zeroize::Zeroizing;

use super::{
    Action, Alarm, Applied, CommitAad, Departure, EpochBox, Fault, Group, Leaf, Member, Outcome, Skip,
    build::Pending,
    entry::Part,
    epoch::{self, EpochKeys},
    node, roster_hash, says,
};
use crate::{
    policy::{self, Proposed, Refusal, Situation},
    seal::SealKey,
    state::RoomState,
};

/// A commit whose public part holds.
struct Judged {
    aad: CommitAad,
    by: Leaf,
    adds: Vec<VerifyingKey>,
    removes: Vec<Leaf>,
    path: bool,
    message: Zeroizing<Vec<u8>>,
}

/// What changes with an entry, known before it is merged.
struct Change {
    aad: CommitAad,
    by: Leaf,
    own: bool,
    adds: Vec<VerifyingKey>,
    removes: Vec<Leaf>,
    removed_me: bool,
    alarm: Option<Alarm>,
}

impl Group {
    /// Takes the next entry of the log.
    pub fn process(&mut self, entry: &Entry) -> Outcome {
        if self.lost {
            return Outcome::Fault(Fault::State);
        }
        let header = &entry.header;
        let advanced = self.position.advance(header);
        if advanced == Err(OutOfLine::Repeated) {
            return Outcome::Repeated;
        }
        // Whose word it is comes first: a gap or a fork that the hub did not sign is somebody else's invention.
        let hub = self.record.hub().map(|hub| hub.relay);
        if !hub.is_some_and(|hub| says(&entry.head, header, hub))
            || header.room != self.bind.room
            || header.instance != self.bind.instance
            || header.body_hash != EntryHeader::body_hash(&entry.commit, &entry.epoch_box, entry.record.as_ref())
        {
            return Outcome::NotGenuine;
        }
        let next = match advanced {
            Ok(next) => next,
            Err(out) => return Outcome::OutOfLine(out),
        };
        if self.pending.as_ref().is_some_and(|pending| pending.append.header == *header) {
            return self.merge_own();
        }
        let judged = self.judge(entry);
        // Another entry stands where ours would have stood: ours can never be accepted any more.
        if self.pending.is_some() {
            self.drop_pending();
        }
        let outcome = match judged {
            Ok(judged) => self.apply(entry, judged),
            Err(skip) => Outcome::Skipped(skip),
        };
        if !matches!(outcome, Outcome::Fault(_)) {
            self.position = next;
        }
        outcome
    }

    /// Steps 1 and 2 of the rule: everything that all members see alike.
    fn judge(&self, entry: &Entry) -> Result<Judged, Skip> {
        let header = &entry.header;
        let spoken = header.version == EntryHeader::VERSION
            && header.kind == EntryKind::Commit
            && header.flags == 0
            && header.term == 0
            && header.hub_index == 0
            && header.generation == self.record.generation;
        if !spoken {
            return Err(Skip::Kind);
        }
        let message = self.keys.entry.open(&Part::Commit.associated(header), entry.commit.bytes()).map_err(|_| Skip::Seal)?;
        let parsed = parse(&message)?;
        let processed = self.mls.public_group().process_message(self.provider.crypto(), parsed).map_err(|_| Skip::Mls)?;
        let Sender::Member(by) = *processed.sender() else { return Err(Skip::NotCommit) };
        let by = Leaf(by.u32());
        let aad = CommitAad::decode(&Bytes::copy_from_slice(processed.aad())).map_err(|_| Skip::Place)?;
        if aad.version != CommitAad::VERSION || aad.prev_head != header.prev_head || aad.served != header.served {
            return Err(Skip::Place);
        }
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(Skip::NotCommit);
        };
        let proposed = self.proposed(&staged, &aad, by)?;
        policy::check(aad.action, &proposed, &self.situation(&self.keys(), by))?;
        Ok(Judged { aad, by, adds: proposed.adds, removes: proposed.removes, path: proposed.path, message })
    }

    fn proposed(&self, staged: &StagedCommit, aad: &CommitAad, by: Leaf) -> Result<Proposed, Skip> {
        let mut proposed = Proposed { served: aad.served.len(), ..Proposed::default() };
        for queued in staged.queued_proposals() {
            if queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
                return Err(Skip::Mls);
            }
            match queued.proposal() {
                Proposal::Add(add) => {
                    let (key, _) = node::check_key_package(add.key_package(), &self.bind)?;
                    proposed.adds.push(key);
                }
                Proposal::Remove(remove) => proposed.removes.push(Leaf(remove.removed().u32())),
                Proposal::GroupContextExtensions(change) => {
                    proposed.state = Some(node::room_state(change.extensions()).ok_or(Refusal::State)?);
                }
                _ => return Err(Skip::Policy(Refusal::NotSpoken)),
            }
        }
        let here = self.keys();
        for note in aad.notes.iter() {
            if !here.contains(&(note.leaf, note.key)) || !note.verify(&self.bind) {
                return Err(Refusal::Note.into());
            }
            proposed.notes.push(note.leaf);
        }
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

    pub(super) fn situation<'a>(&'a self, members: &'a [(Leaf, VerifyingKey)], by: Leaf) -> Situation<'a> {
        Situation { state: &self.state, members, by_host: self.is_host(by) }
    }

    /// Steps 3 and 4: the private part, and the box.
    fn apply(&mut self, entry: &Entry, judged: Judged) -> Outcome {
        if judged.by == self.me() {
            // Its private half is gone, and the others have applied it.
            self.lost = true;
            return Outcome::Fault(Fault::OwnForgotten);
        }
        let Ok(message) = parse(&judged.message) else { return Outcome::Skipped(Skip::NotCommit) };
        let staged = match self.mls.process_message(&self.provider, message) {
            Ok(processed) => match processed.into_content() {
                ProcessedMessageContent::StagedCommitMessage(staged) => staged,
                _ => return Outcome::Skipped(Skip::NotCommit),
            },
            // The membership tag: everybody in the epoch sees the same.
            Err(ProcessMessageError::ValidationError(_)) => return Outcome::Skipped(Skip::Mls),
            Err(_) if judged.path => {
                self.lost = true;
                return Outcome::Fault(Fault::Path);
            }
            // Without a path everybody computes the same tag.
            Err(_) => return Outcome::Skipped(Skip::Mls),
        };
        let removed_me = staged.self_removed();
        let alarm = if removed_me {
            None
        } else {
            let key = epoch::box_key_ahead(&staged, self.provider.crypto()).ok();
            self.check_box(key, &entry.header, &entry.epoch_box, &judged)
        };
        let before: Vec<Member> = self.members().collect();
        if self.mls.merge_staged_commit(&self.provider, *staged).is_err() {
            self.lost = true;
            return Outcome::Fault(Fault::State);
        }
        let Judged { aad, by, adds, removes, .. } = judged;
        self.settle(before, Change { aad, by, own: false, adds, removes, removed_me, alarm })
    }

    fn check_box(&self, key: Option<SealKey>, header: &EntryHeader, epoch_box: &Sealed, judged: &Judged) -> Option<Alarm> {
        let plain = key.and_then(|key| key.open(&Part::Box.associated(header), epoch_box.bytes()).ok());
        let contents = plain.and_then(|plain| EpochBox::decode(&Bytes::copy_from_slice(&plain)).ok());
        let Some(contents) = contents else { return Some(Alarm::Unreadable) };
        if contents.generation != self.record.generation
            || contents.access != self.access
            || contents.link != self.link
            || contents.record != self.record.hash()
            || contents.seq != header.seq
        {
            return Some(Alarm::Secrets);
        }
        let stay = self.keys().into_iter().filter(|(leaf, _)| !judged.removes.contains(leaf)).map(|(_, key)| key);
        let roster = stay.chain(judged.adds.iter().copied()).collect();
        (contents.roster != roster_hash(roster)).then_some(Alarm::Roster)
    }

    /// Our own commit is in the log.
    pub(super) fn merge_own(&mut self) -> Outcome {
        let Some(Pending { append, aad, adds, removes }) = self.pending.take() else { return Outcome::Repeated };
        let before: Vec<Member> = self.members().collect();
        let next = self.position.advance(&append.header);
        let merged = self.mls.merge_pending_commit(&self.provider);
        let (Ok(next), Ok(())) = (next, merged) else {
            self.lost = true;
            return Outcome::Fault(Fault::State);
        };
        self.position = next;
        let by = self.me();
        self.settle(before, Change { aad, by, own: true, adds, removes, removed_me: false, alarm: None })
    }

    /// The group is in its new epoch: keys, state, and what to tell.
    fn settle(&mut self, before: Vec<Member>, change: Change) -> Outcome {
        let epoch = self.epoch();
        let mut applied = Applied {
            epoch,
            by: change.by,
            own: change.own,
            action: change.aad.action,
            added: Vec::new(),
            removed: Vec::new(),
            swapped: Vec::new(),
            served: change.aad.served.to_vec(),
            removed_me: change.removed_me,
            alarm: change.alarm,
        };
        let departure = if change.aad.action == Action::Leave { Departure::Left } else { Departure::Reaped };
        let gone = before.into_iter().filter(|member| change.removes.contains(&member.leaf));
        if change.removed_me {
            self.lost = true;
            applied.removed = gone.map(|member| (member, departure)).collect();
            return Outcome::Applied(Box::new(applied));
        }
        let gone: Vec<Member> = gone.collect();
        match (EpochKeys::of(&self.mls, self.provider.crypto()), node::room_state(self.mls.extensions())) {
            (Ok(keys), Some(state)) => {
                self.keys = keys;
                self.state = state;
            }
            _ => {
                self.lost = true;
                return Outcome::Fault(Fault::State);
            }
        }
        for key in &change.adds {
            self.joined.entry(*key).or_insert(epoch);
        }
        for member in gone.iter().filter(|member| !change.adds.contains(&member.key)) {
            self.joined.remove(&member.key);
            self.hosts.remove(&member.key);
        }
        for key in &change.adds {
            let Some(leaf) = self.leaf_of(key) else { continue };
            let Some(new) = self.member(leaf) else { continue };
            self.look_for_host(&new);
            let Some(after) = self.member(leaf) else { continue };
            match gone.iter().find(|member| member.key == *key) {
                Some(before) => applied.swapped.push((before.clone(), after)),
                None => applied.added.push(after),
            }
        }
        applied.removed =
            gone.into_iter().filter(|member| !change.adds.contains(&member.key)).map(|member| (member, departure)).collect();
        Outcome::Applied(Box::new(applied))
    }

    /// The head that the next entry has to follow.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.position.head
    }

    /// The agreed state.
    #[must_use]
    pub const fn state(&self) -> &RoomState {
        &self.state
    }
}

/// One public message with a commit by a member, and nothing behind it.
fn parse(message: &[u8]) -> Result<ProtocolMessage, Skip> {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(message).map_err(|_| Skip::NotCommit)?;
    let MlsMessageBodyIn::PublicMessage(message) = message.extract() else { return Err(Skip::NotCommit) };
    let by_member = matches!(message.sender(), Sender::Member(_));
    if by_member && message.content_type() == ContentType::Commit { Ok(message.into()) } else { Err(Skip::NotCommit) }
}

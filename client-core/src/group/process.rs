//! What members do with an entry of the log: the same at all of them, or they would not be members of one group.

use bytes::Bytes;
use conclave_federation::{
    id::Head,
    log::{OutOfLine, Position},
    proof::VerifyingKey,
    record::RoomRecord,
    wire::{
        Wire,
        message::{Entry, EntryHeader, EntryKind, HubHead},
    },
};
use openmls::prelude::{ProcessMessageError, ProcessedMessageContent};
use openmls_traits::OpenMlsProvider;

use super::{
    Action, Alarm, Applied, CommitAad, Cut, Departure, EpochBox, Fault, Group, Leaf, Member, Outcome, SENIORITY_MS, Skip,
    admission::Admission,
    build::{Commit, Deed, Pending},
    entry::Part,
    epoch::{self, EpochKeys},
    generation::NextGeneration,
    judge::{Judged, Passed, parse},
    node, roster_hash, says,
    thread::{Exit, Move, Seen, Weight},
};
use crate::{seal::SealKey, state::RoomState};

/// Words of the hub that are kept to show who has been here for long. More come in five minutes only from many who crowd the
/// log; then nobody can be voted out, and a host has to act.
const MAX_HEADS: usize = 1_024;

/// What changes with an entry, known before it is merged.
struct Change {
    /// The entry's place, and the head with it.
    entry: (u64, Head),
    aad: CommitAad,
    by: Leaf,
    own: bool,
    adds: Vec<VerifyingKey>,
    removes: Vec<Leaf>,
    next: Option<NextGeneration>,
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
        let advanced = self.thread.next(header);
        if advanced == Err(OutOfLine::Repeated) {
            return Outcome::Repeated;
        }
        // Whose word it is comes first: a gap or a fork that the hub did not sign is somebody else's invention.
        let hub = self.record.hub().map(|hub| hub.relay);
        if !hub.is_some_and(|hub| says(&entry.head, header, hub))
            || header.room != self.call.room
            || header.instance != self.call.instance
            || header.body_hash != EntryHeader::body_hash(&entry.commit, &entry.epoch_box, entry.record.as_ref())
        {
            return Outcome::NotGenuine;
        }
        let next = match advanced {
            Ok(next) => next,
            Err(out) => return Outcome::OutOfLine(out),
        };
        if self.pending.as_ref().is_some_and(|pending| pending.append.header == *header) {
            return self.merge_own(&entry.head);
        }
        if header.kind == EntryKind::End && self.is_end(entry) {
            return self.end(next, &entry.head);
        }
        let word = self.word_in(entry);
        let weight = word.as_ref().map_or(Weight::Nothing, |word| self.thread.weigh(word, &self.circle()));
        let judged = self.judge(entry, weight);
        // Another entry stands where ours would have stood: ours can never be accepted any more.
        if self.pending.is_some() {
            self.drop_pending();
        }
        let seen = judged.as_ref().map(|judged| judged.seen(self)).map_err(|passed| passed.skip);
        let outcome = match (self.thread.decide(seen.as_ref().map_err(|skip| *skip), weight), judged, seen) {
            (Move::Try, Ok(judged), Ok(seen)) => self.apply(entry, next, judged, &seen),
            (Move::Forgotten, _, Ok(seen)) => self.fault(Fault::OwnForgotten, entry, next, &seen),
            (Move::Void, ..) if word.is_some() => {
                if let Some(word) = &word {
                    self.thread.voided(next, word);
                }
                Outcome::Fault(Fault::Void)
            }
            (Move::Skip(_), Err(Passed { skip, by }), _) => self.pass(entry, next, Outcome::Skipped { skip, by }),
            // Whoever went on may have it; the record it brings is everybody's.
            _ => self.pass(entry, next, Outcome::Ahead),
        };
        self.note_head(&entry.head);
        outcome
    }

    /// It changes nothing for us.
    fn pass(&mut self, entry: &Entry, next: Position, outcome: Outcome) -> Outcome {
        let follows = |record: &RoomRecord| record.verify_signed(self.call.room).is_ok() && record.follows(&self.record).is_ok();
        let record = entry.record.as_ref().filter(|record| !self.thread.is_in_step() && follows(record));
        if let Some(record) = record {
            self.newer = Some(record.clone());
        }
        let moved = record.is_some();
        self.thread.passed(next, moved);
        outcome
    }

    /// Nothing follows.
    fn end(&mut self, next: Position, head: &HubHead) -> Outcome {
        self.lost = true;
        self.thread.out(next, Exit::Ended);
        self.note_head(head);
        Outcome::Ended
    }

    /// Steps 3 and 4: the private part, and the box.
    fn apply(&mut self, entry: &Entry, next: Position, judged: Judged, seen: &Seen) -> Outcome {
        let by = Some(judged.by);
        // Skipped by all in our epoch; whoever is stuck is there with them.
        let skip = |skip: Skip| Outcome::Skipped { skip, by };
        let Ok((message, _)) = parse(&judged.message) else { return self.pass(entry, next, skip(Skip::NotCommit)) };
        let staged = match self.mls.process_message(&self.provider, message) {
            Ok(processed) => match processed.into_content() {
                ProcessedMessageContent::StagedCommitMessage(staged) => staged,
                _ => return self.pass(entry, next, skip(Skip::NotCommit)),
            },
            // The membership tag: everybody in the epoch sees the same.
            Err(ProcessMessageError::ValidationError(_)) => return self.pass(entry, next, skip(Skip::Mls)),
            Err(_) if judged.proposed.path => return self.fault(Fault::Path, entry, next, seen),
            // Without a path everybody computes the same tag.
            Err(_) => return self.pass(entry, next, skip(Skip::Mls)),
        };
        let removed_me = staged.self_removed();
        if removed_me && matches!(seen.action, Action::Reap | Action::Swap) && self.authority().is_some() {
            // A host who was taken for silent may be the only one left who can say that this was a mistake.
            return self.fault(Fault::Removed, entry, next, seen);
        }
        let circle = self.circle();
        let mut generation = None;
        let mut alarm = None;
        if removed_me {
            self.newer.clone_from(&entry.record);
        } else if seen.action != Action::Void {
            let key = epoch::box_key_ahead(&staged, self.provider.crypto()).ok();
            match self.open_box(key, entry, &judged) {
                Ok(contents) => {
                    let secrets = |record: &RoomRecord| NextGeneration {
                        record: record.clone(),
                        access: contents.access.clone(),
                        link: contents.link.clone(),
                    };
                    generation = entry.record.as_ref().map(secrets);
                }
                Err(wrong) => alarm = Some(wrong),
            }
        }
        let before: Vec<Member> = self.members().collect();
        if self.mls.merge_staged_commit(&self.provider, *staged).is_err() {
            self.lost = true;
            return self.fault(Fault::State, entry, next, seen);
        }
        if removed_me {
            self.thread.out(next, Exit::Removed);
        } else {
            self.thread.applied(next, seen, &circle, entry.record.is_some());
        }
        if let (None, false, Some(record)) = (&generation, removed_me, &entry.record) {
            // The others stand on it; what it takes to go on with them, we were not told.
            self.record = record.clone();
        }
        let Judged { aad, by, proposed, .. } = judged;
        let adds = proposed.adds.iter().map(|add| add.key).collect();
        let next = generation;
        self.settle(
            before,
            Change {
                entry: (entry.header.seq, entry.header.head()),
                aad,
                by,
                own: false,
                adds,
                removes: proposed.removes,
                next,
                removed_me,
                alarm,
            },
        )
    }

    /// We are out of step, in the epoch before the entry. The way back begins with the newest record that everybody else has,
    /// too.
    fn fault(&mut self, fault: Fault, entry: &Entry, next: Position, seen: &Seen) -> Outcome {
        self.newer.clone_from(&entry.record);
        self.thread.faulted(next, seen, fault, entry.record.is_some());
        Outcome::Fault(fault)
    }

    fn open_box(&self, key: Option<SealKey>, entry: &Entry, judged: &Judged) -> Result<EpochBox, Alarm> {
        let header = &entry.header;
        let plain = key.and_then(|key| key.open(&Part::Box.associated(header), entry.epoch_box.bytes()).ok());
        let contents = plain.and_then(|plain| EpochBox::decode(&Bytes::copy_from_slice(&plain)).ok());
        let Some(contents) = contents else { return Err(Alarm::Unreadable) };
        let next = entry.record.as_ref().map(|record| NextGeneration {
            record: record.clone(),
            access: contents.access.clone(),
            link: contents.link.clone(),
        });
        // Our own secrets in the same generation; in the next one those that the record names.
        let secrets = next.as_ref().is_none_or(NextGeneration::fits);
        if !secrets || contents != self.box_contents(next.as_ref(), contents.roster, header.seq) {
            return Err(Alarm::Secrets);
        }
        let removes = &judged.proposed.removes;
        let stay = self.keys().into_iter().filter(|(leaf, _)| !removes.contains(leaf)).map(|(_, key)| key);
        let roster = stay.chain(judged.proposed.adds.iter().map(|add| add.key)).collect();
        if contents.roster == roster_hash(roster) { Ok(contents) } else { Err(Alarm::Roster) }
    }

    /// Our own entry is in the log.
    pub(super) fn merge_own(&mut self, head: &HubHead) -> Outcome {
        let Some(Pending { append, deed }) = self.pending.take() else { return Outcome::Repeated };
        let Ok(position) = self.thread.next(&append.header) else {
            self.lost = true;
            return Outcome::Fault(Fault::State);
        };
        let Commit { aad, adds, removes, next } = match deed {
            Deed::Commit(commit) => *commit,
            Deed::End => return self.end(position, head),
        };
        let before: Vec<Member> = self.members().collect();
        let entry = (append.header.seq, append.header.head());
        let back = |leaf: &Leaf| before.iter().any(|member| member.leaf == *leaf && adds.contains(&member.key));
        let seen = Seen {
            by: self.me(),
            own: true,
            action: aad.action,
            path: aad.action != Action::Admit,
            removes: removes.iter().filter(|leaf| !back(leaf)).copied().collect(),
        };
        let circle = self.circle();
        if self.mls.merge_pending_commit(&self.provider).is_err() {
            self.lost = true;
            return Outcome::Fault(Fault::State);
        }
        self.thread.applied(position, &seen, &circle, next.is_some());
        self.note_head(head);
        let by = self.me();
        self.settle(before, Change { entry, aad, by, own: true, adds, removes, next, removed_me: false, alarm: None })
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
            state_changed: None,
            removed_me: change.removed_me,
            alarm: change.alarm,
        };
        let departure = departure(change.aad.action, change.by);
        let gone = before.into_iter().filter(|member| change.removes.contains(&member.leaf));
        if change.removed_me {
            self.lost = true;
            applied.removed = gone.map(|member| (member, departure)).collect();
            return Outcome::Applied(Box::new(applied));
        }
        let gone: Vec<Member> = gone.collect();
        match (EpochKeys::of(&self.mls, self.provider.crypto()), node::room_state(self.mls.extensions())) {
            (Ok(keys), Some(state)) => {
                let (seq, head) = change.entry;
                for key in &change.adds {
                    self.admissions.note(*key, Admission { seq, head, key: self.keys.entry.clone() });
                }
                self.keys = keys;
                applied.state_changed = self.agree_on(state);
            }
            _ => {
                self.lost = true;
                return Outcome::Fault(Fault::State);
            }
        }
        if let Some(next) = change.next {
            self.enter_generation(next);
        }
        for key in &change.adds {
            self.joined.entry(*key).or_insert(epoch);
        }
        for member in gone.iter().filter(|member| !change.adds.contains(&member.key)) {
            self.joined.remove(&member.key);
            self.founders.remove(&member.key);
        }
        for key in &change.adds {
            let Some(leaf) = self.leaf_of(key) else { continue };
            let Some(new) = self.member(leaf) else { continue };
            self.look_for_founder(&new);
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

    /// What is agreed on now; before and after, if that is another.
    fn agree_on(&mut self, state: RoomState) -> Option<Box<(RoomState, RoomState)>> {
        if self.state == state {
            return None;
        }
        let before = std::mem::replace(&mut self.state, state);
        Some(Box::new((before, self.state.clone())))
    }

    /// The hub's word for the newest entry. What is older than five minutes goes, but for the newest of that.
    fn note_head(&mut self, head: &HubHead) {
        self.heads.push_back(head.clone());
        let is_old = |of: Option<&HubHead>| of.is_some_and(|of| of.time.saturating_add(SENIORITY_MS) <= head.time);
        while self.heads.len() > MAX_HEADS || is_old(self.heads.get(1)) {
            self.heads.pop_front();
        }
    }

    /// What shows who has been here for long, if the log shows it.
    pub(super) fn cut(&self) -> Option<Cut> {
        let last = self.heads.back()?;
        let old = |head: &&HubHead| head.time.saturating_add(SENIORITY_MS) <= last.time;
        let at = self.heads.iter().take_while(old).count().checked_sub(1)?;
        Some(Cut { earlier: self.heads.get(at)?.clone(), next: self.heads.get(at + 1)?.clone(), last: last.clone() })
    }

    /// The hub's word for the newest entry, and its time with it: as far as we were here.
    #[must_use]
    pub fn last_head(&self) -> Option<&HubHead> {
        self.heads.back()
    }

    /// The head that the next entry has to follow.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.thread.position().head
    }

    /// The agreed state.
    #[must_use]
    pub const fn state(&self) -> &RoomState {
        &self.state
    }
}

/// How those go who are removed by such a commit.
const fn departure(action: Action, by: Leaf) -> Departure {
    match action {
        Action::Leave => Departure::Left,
        Action::Evict => Departure::Removed { by },
        Action::Vote => Departure::VotedOut,
        Action::Admit
        | Action::Swap
        | Action::Rotate
        | Action::Mode
        | Action::Hosts
        | Action::Update
        | Action::HubMove
        | Action::Void
        | Action::Reap
        | Action::Settings => Departure::Reaped,
    }
}

//! What a commit is to do, worked out from what was asked for: before anything of MLS is touched.

use conclave_federation::{
    id::{Generation, JoinId},
    limits::{MAX_REVOKED, MAX_SERVED},
    proof::VerifyingKey,
    record::RoomRecord,
    wire::{List, Text},
};

use super::{
    Action, Candidate, Cut, FaultNote, Group, Leaf, LeaveNote, VOTE_LIFE, VoidWord, Vote, VoteKind, build::BuildError,
    generation::NextGeneration,
};
use crate::{
    policy::{Coming, Proposed},
    room::{AccessSecret, LinkSecret},
    state::{HostEntry, Mode, RoomState},
};

/// What a commit is to do. One thing at a time: the entry's action has to match its proposals exactly, and joins stay
/// without a path.
#[derive(Clone, Debug)]
pub enum Work {
    /// Lets in those who are new; if there are none, gives new leaves to those who come back. Of one link's generation, the
    /// newest first. Whoever knocks with an old link is let in by hosts alone, and passed over by others.
    Requests(Vec<Candidate>),
    /// Removes those who left, each with the request that brought the note, if one did.
    Leaves(Vec<(LeaveNote, Option<JoinId>)>),
    /// Removes the silent. In closed rooms a participant who is no host needs the votes of more than half of the others.
    Reap {
        /// Who.
        leaves: Vec<Leaf>,
        /// What the others say, our own vote among it; those that do not count are left out.
        votes: Vec<Vote>,
    },
    /// Removes these, and begins the next generation: needs [`Group::authority`].
    Evict(Vec<Leaf>),
    /// Begins the next generation: needs [`Group::authority`].
    Rotate,
    /// Sets who may let others in.
    Mode(Mode),
    /// Names hosts, or drops them: needs [`Group::authority`]. Dropping somebody else begins the next generation.
    Hosts {
        /// All in one commit.
        changes: Vec<HostChange>,
        /// Until when relays are to believe those who are named, milliseconds since 1970; never longer than us.
        expires: u64,
    },
    /// Changes what newcomers are given, what everybody may do, or the title.
    Settings(Settings),
    /// Removes somebody by the votes of two thirds of those who have been here for five minutes, and locks the room.
    Vote {
        /// Who.
        leaf: Leaf,
        /// What the others say, our own vote among it; those that do not count are left out.
        votes: Vec<Vote>,
    },
    /// Renews our keys.
    Update,
    /// Takes back the entry that we are stuck on: by our right as a host, or with these notes of others. The only work that
    /// somebody can do who is stuck.
    Void(Vec<FaultNote>),
    /// Ends the call for everybody: needs [`Group::authority`].
    End,
}

/// A change of the hosts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HostChange {
    /// They are a host from now on.
    Name(Leaf),
    /// They are none any more. Of ourselves: we step down.
    Drop(Leaf),
}

/// What hosts may set; what is none stays as it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Settings {
    /// Newcomers are given the last so many messages, and none that is older than so many minutes.
    pub history: Option<(u16, u16)>,
    /// [`RoomState::flags`].
    pub flags: Option<u8>,
    /// The room's title.
    pub title: Option<String>,
}

/// Removes of one commit, swaps included. Few, because their order is found by trying.
pub const MAX_REMOVES: usize = 3;

/// What goes into one commit.
pub(super) struct Draft {
    pub(super) action: Action,
    pub(super) adds: Vec<Candidate>,
    pub(super) removes: Vec<Leaf>,
    pub(super) notes: Vec<LeaveNote>,
    pub(super) votes: Vec<Vote>,
    pub(super) cut: Option<Cut>,
    pub(super) state: Option<RoomState>,
    pub(super) next: Option<NextGeneration>,
    /// What it takes back.
    pub(super) word: Option<VoidWord>,
    /// Of the link that those who come are answered under.
    pub(super) link: Generation,
    pub(super) served: Vec<JoinId>,
    pub(super) refused: Vec<JoinId>,
}

impl Draft {
    pub(super) fn of(action: Action, link: Generation) -> Self {
        Self {
            action,
            adds: Vec::new(),
            removes: Vec::new(),
            notes: Vec::new(),
            votes: Vec::new(),
            cut: None,
            state: None,
            next: None,
            word: None,
            link,
            served: Vec::new(),
            refused: Vec::new(),
        }
    }

    pub(super) fn keys(&self) -> Vec<VerifyingKey> {
        self.adds.iter().map(|candidate| candidate.key).collect()
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        let renews = matches!(self.action, Action::Update | Action::Void);
        self.adds.is_empty() && self.removes.is_empty() && self.state.is_none() && !renews
    }

    /// As the policy will see it.
    pub(super) fn proposed(&self) -> Proposed {
        Proposed {
            adds: self.adds.iter().map(|add| Coming { key: add.key, since: add.bind.seq }).collect(),
            removes: self.removes.clone(),
            notes: self.notes.iter().map(|note| note.leaf).collect(),
            votes: self.votes.clone(),
            cut: self.cut.clone(),
            state: self.state.clone(),
            record: self.next.as_ref().map(|next| next.record.clone()),
            path: self.action != Action::Admit,
            served: self.served.len(),
            void: self.word.is_some(),
        }
    }
}

impl Group {
    pub(super) fn draft(&mut self, work: Work) -> Result<Draft, BuildError> {
        Ok(match work {
            Work::Requests(candidates) => self.draft_requests(candidates),
            Work::Leaves(notes) => self.draft_leaves(notes),
            Work::Reap { leaves, votes } => self.draft_reap(leaves, votes),
            Work::Evict(leaves) => self.draft_evict(leaves)?,
            Work::Rotate => {
                let hosts = self.state.hosts.to_vec();
                self.draft_generation(Action::Rotate, hosts, &[])?
            }
            Work::Mode(mode) => self.draft_state(Action::Mode, RoomState { mode, ..self.state.clone() }),
            Work::Hosts { changes, expires } => self.draft_hosts(&changes, expires)?,
            Work::Settings(settings) => self.draft_settings(settings),
            Work::Vote { leaf, votes } => self.draft_vote(leaf, votes)?,
            Work::Void(notes) => self.draft_void(notes)?,
            Work::Update | Work::End => Draft::of(Action::Update, self.record.generation),
        })
    }

    /// New ones alone, or those who come back alone, all of one link's generation; of several requests with one key the
    /// latest.
    fn draft_requests(&self, candidates: Vec<Candidate>) -> Draft {
        let here = self.keys();
        let at = |key: &VerifyingKey| here.iter().find(|(_, member)| member == key).map(|(leaf, _)| *leaf);
        let by_host = self.is_host(self.me());
        let mut refused = Vec::new();
        let mut latest: Vec<Candidate> = Vec::new();
        for candidate in candidates {
            let old_link = candidate.link != self.record.generation;
            match latest.iter_mut().find(|other| other.key == candidate.key) {
                Some(other) if (other.link, other.attempt) < (candidate.link, candidate.attempt) => {
                    refused.push(std::mem::replace(other, candidate).id);
                }
                Some(_) => refused.push(candidate.id),
                // Nobody removes their own leaf.
                None if candidate.key == self.my_key() => refused.push(candidate.id),
                None if old_link && !by_host && at(&candidate.key).is_none() => refused.push(candidate.id),
                None => latest.push(candidate),
            }
        }
        let room = usize::from(self.state.max_members).saturating_sub(here.len());
        let (mut back, mut new): (Vec<_>, Vec<_>) = latest.into_iter().partition(|candidate| at(&candidate.key).is_some());
        // The welcome is sealed under one link's key.
        let newest = |of: &[Candidate]| of.iter().map(|candidate| candidate.link).max();
        let link = newest(&new).or_else(|| newest(&back)).unwrap_or(self.record.generation);
        new.retain(|candidate| candidate.link == link);
        back.retain(|candidate| candidate.link == link);
        new.truncate(room.min(MAX_SERVED));
        let mut draft = Draft::of(if new.is_empty() { Action::Swap } else { Action::Admit }, link);
        if new.is_empty() {
            back.truncate(MAX_REMOVES);
        } else {
            back.clear();
        }
        draft.removes = back.iter().filter_map(|candidate| at(&candidate.key)).collect();
        draft.adds = if new.is_empty() { back } else { new };
        draft.served = draft.adds.iter().map(|candidate| candidate.id).collect();
        draft.refused = refused;
        draft
    }

    fn draft_leaves(&self, notes: Vec<(LeaveNote, Option<JoinId>)>) -> Draft {
        let here = self.keys();
        let mut draft = Draft::of(Action::Leave, self.record.generation);
        for (note, id) in notes {
            let stands = here.contains(&(note.leaf, note.key)) && note.verify(&self.call) && note.leaf != self.me();
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

    fn removable(&self, mut leaves: Vec<Leaf>) -> Vec<Leaf> {
        let here = self.keys();
        leaves.sort_unstable();
        leaves.dedup();
        leaves.retain(|leaf| *leaf != self.me() && here.iter().any(|(at, _)| at == leaf));
        leaves.truncate(MAX_REMOVES);
        leaves
    }

    fn draft_reap(&self, leaves: Vec<Leaf>, votes: Vec<Vote>) -> Draft {
        let mut draft = Draft::of(Action::Reap, self.record.generation);
        draft.removes = self.removable(leaves);
        if self.state.mode != Mode::Open && !self.is_host(self.me()) {
            draft.votes = self.counting(votes, VoteKind::Unseen, &draft.removes);
        }
        draft
    }

    fn draft_vote(&self, leaf: Leaf, votes: Vec<Vote>) -> Result<Draft, BuildError> {
        let mut draft = self.draft_state(Action::Vote, RoomState { mode: Mode::Locked, ..self.state.clone() });
        draft.removes = self.removable(vec![leaf]);
        if draft.removes.is_empty() {
            return Err(BuildError::Nothing(Vec::new()));
        }
        draft.votes = self.counting(votes, VoteKind::Remove, &draft.removes);
        draft.cut = Some(self.cut().ok_or(BuildError::TooEarly)?);
        Ok(draft)
    }

    /// The votes that everybody will take: by those who stay, about those who go, once each, and not too old.
    fn counting(&self, votes: Vec<Vote>, kind: VoteKind, removes: &[Leaf]) -> Vec<Vote> {
        let here = self.keys();
        let goes = |leaf: Leaf| removes.contains(&leaf);
        let mut good: Vec<Vote> = Vec::new();
        for vote in votes {
            let counts = vote.kind == kind
                && self.thread.position().seq.checked_sub(vote.seq).is_some_and(|age| age <= VOTE_LIFE)
                && here.contains(&(vote.leaf, vote.key))
                && !goes(vote.leaf)
                && here.iter().any(|(leaf, key)| goes(*leaf) && *key == vote.target)
                && good.iter().all(|other| (other.key, other.target) != (vote.key, vote.target))
                && vote.verify(&self.call);
            if counts {
                good.push(vote);
            }
        }
        good
    }

    fn draft_state(&self, action: Action, state: RoomState) -> Draft {
        let mut draft = Draft::of(action, self.record.generation);
        draft.state = Some(state);
        draft
    }

    fn draft_settings(&self, settings: Settings) -> Draft {
        let mut state = self.state.clone();
        if let Some((messages, minutes)) = settings.history {
            state.history = messages;
            state.history_minutes = minutes;
        }
        state.flags = settings.flags.unwrap_or(state.flags);
        if let Some(title) = settings.title {
            state.title = Text::cut(&title);
        }
        self.draft_state(Action::Settings, state)
    }

    fn draft_evict(&mut self, leaves: Vec<Leaf>) -> Result<Draft, BuildError> {
        let removes = self.removable(leaves);
        if removes.is_empty() {
            return Err(BuildError::Nothing(Vec::new()));
        }
        let gone: Vec<VerifyingKey> =
            self.keys().into_iter().filter(|(leaf, _)| removes.contains(leaf)).map(|(_, key)| key).collect();
        let mut draft = self.draft_generation(Action::Evict, self.state.hosts.to_vec(), &gone)?;
        draft.removes = removes;
        Ok(draft)
    }

    fn draft_hosts(&mut self, changes: &[HostChange], expires: u64) -> Result<Draft, BuildError> {
        let mut hosts = self.state.hosts.to_vec();
        let mut gone = Vec::new();
        let mut again = false;
        for change in changes {
            let (HostChange::Name(leaf) | HostChange::Drop(leaf)) = *change;
            let key = self.member(leaf).ok_or_else(|| BuildError::Nothing(Vec::new()))?.key;
            match change {
                HostChange::Name(_) => {
                    let entry = if self.is_founder(leaf) {
                        HostEntry { key, delegation: List::default() }
                    } else {
                        self.delegate(key, expires).ok_or(BuildError::Authority)?
                    };
                    // Who was dropped once is believed again by the founder's own word alone.
                    again |= self.record.revoked.contains(&key);
                    hosts.retain(|host| host.key != key);
                    hosts.push(entry);
                }
                HostChange::Drop(leaf) if *leaf == self.me() => hosts.retain(|host| host.key != key),
                HostChange::Drop(_) => gone.push(key),
            }
        }
        if again && self.founder.is_none() {
            return Err(BuildError::Authority);
        }
        if gone.is_empty() && !again {
            let hosts = List::new(hosts).ok_or(BuildError::TooLarge)?;
            return Ok(self.draft_state(Action::Hosts, RoomState { hosts, ..self.state.clone() }));
        }
        self.draft_generation(Action::Hosts, hosts, &gone)
    }

    /// The next generation, in which these are no hosts any more. Whoever was made a host by one of them gets it from us, as far
    /// as our right reaches.
    fn draft_generation(&mut self, action: Action, hosts: Vec<HostEntry>, gone: &[VerifyingKey]) -> Result<Draft, BuildError> {
        let mut stay = Vec::new();
        let mut revoked = self.record.revoked.to_vec();
        for host in hosts {
            let hangs = host.delegation.iter().any(|step| step.host != host.key && gone.contains(&step.host));
            let renewed = || {
                let here = self.leaf_of(&host.key).is_some();
                let expires = host.delegation.last().map(|step| step.expires);
                expires.filter(|_| here).and_then(|expires| self.delegate(host.key, expires))
            };
            let entry = if gone.contains(&host.key) {
                None
            } else if hangs {
                renewed()
            } else {
                Some(host.clone())
            };
            match entry {
                Some(entry) => stay.push(entry),
                None if host.delegation.is_empty() => {}
                None => revoked.push(host.key),
            }
        }
        if self.founder.is_some() {
            revoked.retain(|key| stay.iter().all(|host| host.key != *key));
            // The oldest are of calls long past, and their chains have run out.
            revoked.drain(..revoked.len().saturating_sub(MAX_REVOKED));
        }
        let revoked = List::new(revoked).ok_or(BuildError::TooLarge)?;
        let old = &self.record;
        let generation = old.generation.next();
        let link = LinkSecret::random(&mut self.rng);
        let access = AccessSecret::random(&mut self.rng);
        let access_keys = access.keys(old.room, generation);
        let mut record = RoomRecord {
            seq: old.seq.saturating_add(1),
            generation,
            access: access_keys.sign.verifying_key(),
            join: link.keys(old.room, generation).sign.verifying_key(),
            lobby: *access_keys.lobby.public(),
            retired: old.next_retired(),
            revoked,
            ..old.clone()
        };
        if !self.sign_record(&mut record) {
            return Err(BuildError::Authority);
        }
        let hosts = List::new(stay).ok_or(BuildError::TooLarge)?;
        let state = RoomState { generation, record: record.hash(), hosts, ..self.state.clone() };
        let mut draft = self.draft_state(action, state);
        draft.next = Some(NextGeneration { record, access, link });
        Ok(draft)
    }
}

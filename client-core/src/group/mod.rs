//! The group: who is in the call, and what they alone know. With `provider`, the only files that know openmls.
//!
//! ```text
//!   Joining --admitted--> Group <--found-- (the first)
//!                          |  ^
//!          process(entry)  |  |  build(work) -> Append, kept pending until the log decides
//!                          v  |
//!                        Outcome          (committer: who builds, and when)
//! ```
//!
//! How it is used:
//! - begin a call: [`Group::found`] gives the group and the genesis to append; on CONFLICT throw it away and join.
//! - come in: [`Joining::new`], [`Joining::request`] for the hub, [`Joining::admitted`] on its answer; after a refusal or
//!   a timeout [`Joining::again`] and a new request. [`Group::rejoin`] is the same way back for those who lost the thread.
//! - live: every entry of the log, in order, to [`Group::process`]; after [`Outcome::Fault`] rejoin.
//! - act as a host: [`Group::authority`] says whether we may; every relay believes it by the room's record alone.
//! - let in and out: [`Group::open_request`] for every knock; [`crate::committer::Committer`] says when to
//!   [`Group::build`]; the hub's word goes to [`Group::appended`]. A pending commit is given up only by the log itself
//!   (another entry in its place) or by [`Group::discard`] after a refusal that is not CONFLICT.
//!
//! Invariants: a commit is judged by its public part before its private part is touched, so that all members skip the
//! same entries; associated data is set right before a build and cleared after it; nothing is written to any disk.

mod admission;
mod build;
mod chat;
mod draft;
mod entry;
mod epoch;
mod found;
mod generation;
mod host;
mod join;
mod judge;
mod node;
mod process;
mod request;
mod roster;
pub mod thread;
mod void;
mod vote;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use self::tests::{TEST_NOW, for_tests};

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use conclave_federation::{
    id::{Generation, Instance, JoinId, RelayId, RoomId},
    log::{OutOfLine, Position},
    proof::{Label, Signature, SigningKey, VerifyingKey},
    record::{CallKeys, RoomRecord},
    wire::message::{EntryHeader, HubHead},
};
use openmls::prelude::MlsGroup;
use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

pub use self::{
    build::{BuildError, Built},
    chat::{ChatError, OpenedChat},
    draft::{HostChange, MAX_REMOVES, Settings, Work},
    entry::{Action, CommitAad, EpochBox, LeaveNote, RetiredLink, roster_hash},
    found::{FoundError, Founding},
    host::Authority,
    join::{JoinError, Joining, Lobby},
    request::{Candidate, Knocked, MAX_ATTEMPT, MAX_KEY_PACKAGE, Request, RequestError, RequestKind, RequestTooLong, knock_code},
    void::{FaultNote, MAX_FAULT_NOTES, VoidWord},
    vote::{Cut, SENIORITY_MS, VOTE_LIFE, Vote, VoteKind},
};
use self::{epoch::EpochKeys, thread::Thread};
use crate::{
    code::SafetyCode,
    leaf::{Bind, Call, Profile},
    provider::Provider,
    room::{AccessKeys, AccessSecret, JoinKeys, LinkSecret},
    seal::SealKey,
    state::RoomState,
};

/// A participant's place in the tree. Pseudonym towards relays; reused after its owner has gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Leaf(pub u32);

/// Somebody in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where.
    pub leaf: Leaf,
    /// Their leaf key: fresh for this call, the same after a swap.
    pub key: VerifyingKey,
    /// What they say of themselves.
    pub profile: Profile,
    /// Whether they have a host's rights.
    pub host: bool,
    /// The epoch in which they came, as far as we were here ourselves; a swap does not change it.
    pub joined: u64,
    /// Which call their leaf was made for, when, and what they committed to before any comparison.
    pub bind: Bind,
}

/// How somebody went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// By their own signed note.
    Left,
    /// Silent for too long.
    Reaped,
    /// By a host.
    Removed {
        /// Who did it.
        by: Leaf,
    },
    /// By the votes of the others.
    VotedOut,
}

/// What an applied entry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The epoch it made.
    pub epoch: u64,
    /// Who made it.
    pub by: Leaf,
    /// Whether that was us.
    pub own: bool,
    /// What it did.
    pub action: Action,
    /// Who came.
    pub added: Vec<Member>,
    /// Who went.
    pub removed: Vec<(Member, Departure)>,
    /// Who came back: as they were, and as they are.
    pub swapped: Vec<(Member, Member)>,
    /// The join requests it serves.
    pub served: Vec<JoinId>,
    /// What was agreed on before it and after it, if that changed. With another generation link and access keys are others:
    /// [`Group::link`], [`Group::access_key`], [`Group::record`].
    pub state_changed: Option<Box<(RoomState, RoomState)>>,
    /// Whether our own leaf is gone: nothing more can be opened.
    pub removed_me: bool,
    /// What the epoch's box says that is not so.
    pub alarm: Option<Alarm>,
}

/// What came of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The group moved on.
    Applied(Box<Applied>),
    /// It is before our position: nothing new.
    Repeated,
    /// It is no valid commit: everybody skips it. The log moved on, the group did not.
    Skipped {
        /// Why.
        skip: Skip,
        /// Who signed it for this place of the log, where that is certain.
        by: Option<Leaf>,
    },
    /// A host ended the call, says the hub: nothing follows.
    Ended,
    /// Others may have applied it, we cannot: ask for a new leaf by [`Group::way_back`], and go on with the log; it may be
    /// taken back.
    Fault(Fault),
    /// We are stuck, and it is for those who are not. The log moved on.
    Ahead,
    /// It does not follow what we have: a gap to fill, or a second history to be alarmed about. Nothing moved.
    OutOfLine(OutOfLine),
    /// The hub's word for it, or what it carries, is not genuine. Nothing moved.
    NotGenuine,
}

/// Why an entry is skipped, by all alike.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Skip {
    /// Not a kind of entry that is spoken.
    #[error("not a kind of entry that is spoken")]
    Kind,
    /// It begins a generation without saying so, or the other way round.
    #[error("its record does not fit what it says")]
    Record,
    /// Not sealed for this epoch.
    #[error("not sealed by a participant of this epoch")]
    Seal,
    /// Not one public MLS commit by a participant.
    #[error("not a commit")]
    NotCommit,
    /// Its associated data is not ours.
    #[error("not made for this place in the log")]
    Place,
    /// MLS refuses its public part.
    #[error("not valid MLS")]
    Mls,
    /// The policy table refuses it.
    #[error("{0}")]
    Policy(#[from] crate::policy::Refusal),
}

/// Why an entry that others may have applied cannot be applied here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Fault {
    /// The path does not decrypt here, or its confirmation does not fit.
    #[error("a participant's commit cannot be applied here")]
    Path,
    /// Our own commit came back after we had given it up.
    #[error("an own commit came back that was given up")]
    OwnForgotten,
    /// It takes back what we went on from.
    #[error("an entry that was applied here was taken back")]
    Void,
    /// It takes our leaf, and nobody but us says that it may not.
    #[error("a participant's commit takes our leaf")]
    Removed,
    /// The group was left in a state that it cannot go on from.
    #[error("the group's state is not usable any more")]
    State,
}

/// What an epoch's box says that is not so. The epoch stands; people are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Alarm {
    /// The box does not open, or is not a box.
    #[error("the epoch's box cannot be opened")]
    Unreadable,
    /// Secrets or record differ from ours.
    #[error("the epoch's box carries other secrets than the room's")]
    Secrets,
    /// The roster differs from the tree's.
    #[error("the epoch's box names other people than the tree")]
    Roster,
}

/// A call's group, from one participant's side.
pub struct Group {
    mls: MlsGroup,
    provider: Provider,
    rng: ChaCha20Rng,
    signer: LeafSigner,
    /// The founder's key, when it is their device.
    founder: Option<SigningKey>,
    record: RoomRecord,
    /// Keys of this call, while it is in the generation in which it began.
    call_keys: Option<CallKeys>,
    call: Call,
    link: LinkSecret,
    /// Link secrets of earlier generations, oldest first.
    retired: Vec<RetiredLink>,
    access: AccessSecret,
    join_keys: JoinKeys,
    access_keys: AccessKeys,
    thread: Thread,
    /// The hub's newest words for the log, oldest first: as many as show who has been here for long.
    heads: VecDeque<HubHead>,
    state: RoomState,
    keys: EpochKeys,
    /// When others came, as far as we were here.
    joined: BTreeMap<VerifyingKey, u64>,
    /// Members who carry the founder's word; looked at once, when they come.
    founders: BTreeSet<VerifyingKey>,
    /// What we say of ourselves: known even when the tree does not hold us any more.
    profile: Profile,
    /// What we committed to.
    commitment: [u8; 32],
    first_epoch: u64,
    /// Which entries brought others in.
    admissions: admission::Admissions,
    pending: Option<build::Pending>,
    /// The record that those stand on who went on without us.
    newer: Option<RoomRecord>,
    /// Nothing can be applied or built any more: removed, ended, or in a state that the library cannot go on from.
    lost: bool,
}

/// What a group is put together from.
struct Parts {
    mls: MlsGroup,
    provider: Provider,
    rng: ChaCha20Rng,
    signer: LeafSigner,
    founder: Option<SigningKey>,
    record: RoomRecord,
    call_keys: Option<CallKeys>,
    call: Call,
    link: LinkSecret,
    retired: Vec<RetiredLink>,
    access: AccessSecret,
    join_keys: JoinKeys,
    access_keys: AccessKeys,
    thread: Thread,
    /// The hub's word for the entry before that position, where there is one.
    head: Option<HubHead>,
    state: RoomState,
}

/// Our leaf key, as openmls wants it.
#[derive(Clone)]
struct LeafSigner(SigningKey);

impl Group {
    fn assemble(parts: Parts) -> Result<Self, epoch::NoEpoch> {
        let keys = EpochKeys::of(&parts.mls, parts.provider.crypto())?;
        let first_epoch = parts.mls.epoch().as_u64();
        let mut group = Self {
            mls: parts.mls,
            provider: parts.provider,
            rng: parts.rng,
            signer: parts.signer,
            founder: parts.founder,
            record: parts.record,
            call_keys: parts.call_keys,
            call: parts.call,
            link: parts.link,
            retired: parts.retired,
            access: parts.access,
            join_keys: parts.join_keys,
            access_keys: parts.access_keys,
            thread: parts.thread,
            heads: parts.head.into_iter().collect(),
            state: parts.state,
            keys,
            joined: BTreeMap::new(),
            founders: BTreeSet::new(),
            profile: Profile::named(""),
            commitment: [0; 32],
            first_epoch,
            admissions: admission::Admissions::default(),
            pending: None,
            newer: None,
            lost: false,
        };
        let members: Vec<_> = group.members().collect();
        for member in &members {
            group.look_for_founder(member);
            if member.leaf == group.me() {
                group.profile = member.profile.clone();
                group.commitment = member.bind.commitment;
            }
        }
        Ok(group)
    }

    /// The room.
    #[must_use]
    pub const fn room(&self) -> RoomId {
        self.call.room
    }

    /// The call.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.call.instance
    }

    /// Generation of the link and access keys.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.record.generation
    }

    /// The room's record that the group stands on.
    #[must_use]
    pub const fn record(&self) -> &RoomRecord {
        &self.record
    }

    /// The keys of this call; in force while [`RoomRecord::keys`] says so.
    #[must_use]
    pub const fn call_keys(&self) -> Option<&CallKeys> {
        self.call_keys.as_ref()
    }

    /// The call that every leaf is bound to.
    #[must_use]
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// `A_g`.
    #[must_use]
    pub const fn access(&self) -> &AccessSecret {
        &self.access
    }

    /// `L_g` of the current generation: what a link handed out now has to carry.
    #[must_use]
    pub const fn link(&self) -> &LinkSecret {
        &self.link
    }

    /// Link secrets of earlier generations, oldest first: whoever begins the room's next call hands them on.
    #[must_use]
    pub fn retired_links(&self) -> &[RetiredLink] {
        &self.retired
    }

    /// What attach proofs and capabilities are signed with.
    #[must_use]
    pub const fn access_key(&self) -> &SigningKey {
        &self.access_keys.sign
    }

    /// Where the log goes on: subscribe from this entry.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.thread.position()
    }

    /// What we are there.
    #[must_use]
    pub const fn thread(&self) -> &Thread {
        &self.thread
    }

    /// MLS' epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The epoch in which we entered: nothing older can be opened.
    #[must_use]
    pub const fn first_epoch(&self) -> u64 {
        self.first_epoch
    }

    /// Our leaf.
    #[must_use]
    pub fn me(&self) -> Leaf {
        Leaf(self.mls.own_leaf_index().u32())
    }

    /// Our leaf key's public half.
    #[must_use]
    pub fn my_key(&self) -> VerifyingKey {
        self.signer.0.verifying_key()
    }

    /// Our leaf key's seed: to be said to all when the call is over, and then only.
    pub(crate) fn leaf_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.signer.0.expose_seed())
    }

    /// Signs with our leaf key, under a label of ours: never to be taken for a signature of MLS'.
    #[must_use]
    pub fn sign(&self, label: Label, body: &[u8]) -> Signature {
        self.signer.0.sign(label, body)
    }

    /// Whether we are still in step. If not: [`Group::rejoin`], or we were removed.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.lost || !self.thread.is_in_step()
    }

    /// `MLS-Exporter("SFrame 1.0 Base Key", "", 16)` of the current epoch.
    #[must_use]
    pub fn sframe_base_key(&self) -> Zeroizing<[u8; 16]> {
        self.keys.sframe.clone()
    }

    /// `Exp_n("hb", "", 32)` of the current epoch.
    #[must_use]
    pub fn heartbeat_key(&self) -> SealKey {
        self.keys.heartbeat.clone()
    }

    /// Equal at all members of an epoch, and known to nobody else.
    #[must_use]
    pub fn epoch_authenticator(&self) -> &[u8] {
        &self.keys.authenticator
    }

    /// Thirty digits for people to compare.
    #[must_use]
    pub fn safety_code(&self) -> SafetyCode {
        self.keys.code()
    }

    /// Elections are over this: the same at all members, different in every epoch.
    #[must_use]
    pub fn transcript(&self) -> &[u8] {
        self.mls.public_group().group_context().confirmed_transcript_hash()
    }

    #[cfg(test)]
    pub(crate) const fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Every secret held now, with its name: for the leak check alone.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn secrets_for_audit(&self) -> Vec<(String, Vec<u8>)> {
        let named = [
            ("link secret", self.link.expose().to_vec()),
            ("access secret", self.access.expose().to_vec()),
            ("join seal key", self.join_keys.seal.expose().to_vec()),
            ("join signing key", self.join_keys.sign.expose_seed().to_vec()),
            ("access signing key", self.access_keys.sign.expose_seed().to_vec()),
            ("lobby key", self.access_keys.lobby.expose().to_vec()),
            ("leaf key", self.signer.0.expose_seed().to_vec()),
            ("entry key", self.keys.entry.expose().to_vec()),
            ("SFrame base key", self.keys.sframe.to_vec()),
            ("heartbeat key", self.keys.heartbeat.expose().to_vec()),
            ("epoch authenticator", self.keys.authenticator.to_vec()),
        ];
        let retired = self.retired.iter().map(|link| ("retired link secret", link.secret.expose().to_vec()));
        let founder = self.founder.iter().map(|key| ("founder key", key.expose_seed().to_vec()));
        named.into_iter().chain(retired).chain(founder).map(|(name, secret)| (name.to_owned(), secret)).collect()
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("room", &self.call.room)
            .field("epoch", &self.epoch())
            .field("seq", &self.position().seq)
            .finish_non_exhaustive()
    }
}

/// What the commit of this entry is sealed for.
pub(crate) fn commit_associated(header: &EntryHeader) -> Vec<u8> {
    entry::Part::Commit.associated(header)
}

/// Whether `hub` stated `header` as an entry of its log.
fn says(head: &HubHead, header: &EntryHeader, hub: RelayId) -> bool {
    head.room == header.room
        && head.instance == header.instance
        && head.seq == header.seq
        && head.term == header.term
        && head.hub_index == header.hub_index
        && head.head == header.head()
        && head.verify(hub)
}

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
//! - let in and out: [`Group::open_request`] for every knock; [`crate::committer::Committer`] says when to
//!   [`Group::build`]; the hub's word goes to [`Group::appended`]. A pending commit is given up only by the log itself
//!   (another entry in its place) or by [`Group::discard`] after a refusal that is not CONFLICT.
//!
//! Invariants: a commit is judged by its public part before its private part is touched, so that all members skip the
//! same entries; associated data is set right before a build and cleared after it; nothing is written to any disk.

mod build;
mod chat;
mod entry;
mod epoch;
mod found;
mod join;
mod node;
mod process;
mod request;
mod roster;
pub mod thread;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use self::tests::{TEST_NOW, for_tests};

use std::collections::{BTreeMap, BTreeSet};

use conclave_federation::{
    id::{Generation, Instance, JoinId, RelayId, RoomId},
    log::{OutOfLine, Position},
    proof::{Label, Signature, SigningKey, VerifyingKey},
    record::RoomRecord,
    wire::message::{EntryHeader, HubHead},
};
use openmls::prelude::MlsGroup;
use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;
use zeroize::Zeroizing;

use self::epoch::EpochKeys;
pub use self::{
    build::{BuildError, Built, MAX_REMOVES, Work},
    chat::{ChatError, OpenedChat},
    entry::{Action, CommitAad, EpochBox, LeaveNote, roster_hash},
    found::{FoundError, Founding},
    join::{JoinError, Joining, Lobby},
    request::{Candidate, Knocked, MAX_ATTEMPT, MAX_KEY_PACKAGE, Request, RequestError, RequestKind, RequestTooLong},
};
use crate::{
    code::SafetyCode,
    leaf::{Bind, Profile},
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
}

/// How somebody went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// By their own signed note.
    Left,
    /// Silent for too long.
    Reaped,
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
    Skipped(Skip),
    /// Others may have applied it, we cannot: come back by [`Group::rejoin`].
    Fault(Fault),
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
    record: RoomRecord,
    bind: Bind,
    link: LinkSecret,
    access: AccessSecret,
    join_keys: JoinKeys,
    access_keys: AccessKeys,
    position: Position,
    state: RoomState,
    keys: EpochKeys,
    /// When others came, as far as we were here.
    joined: BTreeMap<VerifyingKey, u64>,
    /// Members who carry the founder's word; looked at once, when they come.
    hosts: BTreeSet<VerifyingKey>,
    /// What we say of ourselves: known even when the tree does not hold us any more.
    profile: Profile,
    first_epoch: u64,
    pending: Option<build::Pending>,
    /// Nothing can be applied or built any more: removed, or out of step.
    lost: bool,
}

/// What a group is put together from.
struct Parts {
    mls: MlsGroup,
    provider: Provider,
    rng: ChaCha20Rng,
    signer: LeafSigner,
    record: RoomRecord,
    bind: Bind,
    link: LinkSecret,
    access: AccessSecret,
    join_keys: JoinKeys,
    access_keys: AccessKeys,
    position: Position,
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
            record: parts.record,
            bind: parts.bind,
            link: parts.link,
            access: parts.access,
            join_keys: parts.join_keys,
            access_keys: parts.access_keys,
            position: parts.position,
            state: parts.state,
            keys,
            joined: BTreeMap::new(),
            hosts: BTreeSet::new(),
            profile: Profile::named(""),
            first_epoch,
            pending: None,
            lost: false,
        };
        let members: Vec<_> = group.members().collect();
        for member in &members {
            group.look_for_host(member);
            if member.leaf == group.me() {
                group.profile = member.profile.clone();
            }
        }
        Ok(group)
    }

    /// The room.
    #[must_use]
    pub const fn room(&self) -> RoomId {
        self.bind.room
    }

    /// The call.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.bind.instance
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

    /// What our leaf is bound to.
    #[must_use]
    pub const fn bind(&self) -> &Bind {
        &self.bind
    }

    /// `A_g`: to begin the next call with, and nothing else.
    #[must_use]
    pub const fn access(&self) -> &AccessSecret {
        &self.access
    }

    /// `L_g`.
    #[must_use]
    pub const fn link(&self) -> &LinkSecret {
        &self.link
    }

    /// What attach proofs and capabilities are signed with.
    #[must_use]
    pub const fn access_key(&self) -> &SigningKey {
        &self.access_keys.sign
    }

    /// Where the log goes on: subscribe from this entry.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
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

    /// Signs with our leaf key, under a label of ours: never to be taken for a signature of MLS'.
    #[must_use]
    pub fn sign(&self, label: Label, body: &[u8]) -> Signature {
        self.signer.0.sign(label, body)
    }

    /// Whether we are still in step. If not: [`Group::rejoin`], or we were removed.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.lost
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
        named.into_iter().map(|(name, secret)| (name.to_owned(), secret)).collect()
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("room", &self.bind.room)
            .field("epoch", &self.epoch())
            .field("seq", &self.position.seq)
            .finish_non_exhaustive()
    }
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

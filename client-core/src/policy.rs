//! The table that every member checks on every commit. It looks at nothing but the commit, the tree, the agreed state and
//! the room's record, never at a clock: what one member refuses, all refuse.

mod door;
mod going;
mod rules;

use conclave_federation::{proof::VerifyingKey, record::RoomRecord};

use crate::{
    group::{Action, Cut, Leaf, Vote},
    state::{Mode, RoomState},
};

pub use self::{
    door::MAX_LEAF_AGE,
    going::{MIN_VOTERS, counts_unseen},
};

/// A row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Row {
    /// Somebody comes in.
    Add,
    /// Somebody gets a new leaf under their old key.
    Swap,
    /// Somebody goes, by their own note.
    RemoveWithNote,
    /// Somebody is removed against their will.
    RemoveOtherwise,
    /// A silent leaf is removed, with no change of generation.
    Reap,
    /// The same, with the word of more than half of the others that they do not hear it either.
    ReapByVotes,
    /// Somebody is removed against their will by two thirds of the others, and the room is locked.
    RemoveByVotes,
    /// The agreed state changes.
    State,
    /// The log moves to the next hub.
    HubMove,
    /// The committer's keys are renewed.
    Path,
}

/// Why a commit is refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// The table says no.
    #[error("the committer has no right to it in this room")]
    Right,
    /// What it says it does is not what it does.
    #[error("the commit does not do what it says")]
    Mismatch,
    /// More members than the room takes.
    #[error("the room is full")]
    Full,
    /// A leaf is not of this call, or not what a leaf may be.
    #[error("a leaf in it is not made for this call")]
    Leaf,
    /// A leaf was made too long ago, or says so of itself.
    #[error("a leaf in it was made too long ago")]
    Stale,
    /// A note is missing, not genuine, or for somebody else.
    #[error("a leave note in it is not genuine")]
    Note,
    /// Votes are missing, not genuine, too old or too few.
    #[error("it does not have the votes that it needs")]
    Votes,
    /// Specified, not spoken yet.
    #[error("it does something that this version does not speak")]
    NotSpoken,
    /// The new state is not one that may follow the old.
    #[error("the agreed state may not change like this")]
    State,
    /// The record that comes with it is missing, not genuine, or not one that may follow.
    #[error("the room's record may not change like this")]
    Record,
}

/// Somebody who comes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Coming {
    /// Their leaf key.
    pub key: VerifyingKey,
    /// Entries that the log had when their leaf was made, as they say.
    pub since: u64,
}

/// What a commit does, as its public part shows.
#[derive(Clone, Debug, Default)]
pub struct Proposed {
    /// Leaves that come.
    pub adds: Vec<Coming>,
    /// Leaves that go.
    pub removes: Vec<Leaf>,
    /// Leaves whose genuine notes come with it.
    pub notes: Vec<Leaf>,
    /// Genuine votes of members that come with it.
    pub votes: Vec<Vote>,
    /// Who may vote: the hub's genuine words.
    pub cut: Option<Cut>,
    /// The state it sets.
    pub state: Option<RoomState>,
    /// The record that comes with it.
    pub record: Option<RoomRecord>,
    /// Whether it has a path.
    pub path: bool,
    /// Requests it serves.
    pub served: usize,
    /// Whether a word comes with it that takes back what its epoch is stuck on: see [`crate::group::thread`].
    pub void: bool,
}

/// Somebody in the tree, as far as the table asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Person {
    /// Where.
    pub leaf: Leaf,
    /// Their leaf key.
    pub key: VerifyingKey,
    /// Whether their profile carries the founder's word.
    pub founder: bool,
    /// Entries that the log had when their leaf was made.
    pub since: u64,
}

/// Where it is made.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The agreed state before it.
    pub state: &'a RoomState,
    /// The room's record before it.
    pub record: &'a RoomRecord,
    /// Everybody before it.
    pub members: &'a [Person],
    /// Its committer.
    pub by: Leaf,
    /// Entries that the log has before it.
    pub seq: u64,
}

impl<'a> Situation<'a> {
    /// Who is at this leaf.
    #[must_use]
    pub fn at(&self, leaf: Leaf) -> Option<&'a Person> {
        self.members.iter().find(|person| person.leaf == leaf)
    }

    /// Whether this member has a host's rights.
    #[must_use]
    pub fn is_host(&self, person: &Person) -> bool {
        is_host(self.state, person)
    }

    fn by_host(&self) -> bool {
        self.at(self.by).is_some_and(|person| self.is_host(person))
    }

    fn by_founder(&self) -> bool {
        self.at(self.by).is_some_and(|person| person.founder)
    }

    /// Whether authority of the committer hangs on this key: nobody puts out the founder, nor who made them a host.
    fn is_above(&self, person: &Person) -> bool {
        if self.by_founder() {
            return false;
        }
        let chain = self.at(self.by).and_then(|by| self.state.host(&by.key)).map(|host| &host.delegation);
        person.founder || chain.is_some_and(|chain| chain.iter().any(|step| step.host == person.key))
    }
}

/// Whether a member has a host's rights under this state: by the founder's word in the leaf, or through a chain from the
/// founder, which was verified when the state was agreed on.
#[must_use]
pub fn is_host(state: &RoomState, person: &Person) -> bool {
    person.founder || state.host(&person.key).is_some_and(|host| !host.delegation.is_empty())
}

/// The table: may this committer do this in this mode?
#[must_use]
pub const fn allows(row: Row, mode: Mode, by_host: bool) -> bool {
    match (row, mode) {
        (
            Row::Swap | Row::RemoveWithNote | Row::ReapByVotes | Row::RemoveByVotes | Row::Path,
            Mode::Open | Mode::Knock | Mode::Locked,
        )
        | (Row::Add | Row::Reap, Mode::Open) => true,
        (Row::Add, Mode::Knock)
        | (Row::Reap, Mode::Knock | Mode::Locked)
        // A member's right to move the log hangs on where the entry was appended: with hub moves.
        | (Row::RemoveOtherwise | Row::State | Row::HubMove, Mode::Open | Mode::Knock | Mode::Locked) => by_host,
        (Row::Add, Mode::Locked) => false,
    }
}

/// Judges a commit.
///
/// # Errors
/// Says why all members skip it.
pub fn check(action: Action, proposed: &Proposed, situation: &Situation<'_>) -> Result<(), Refusal> {
    let row = match action {
        Action::Admit => door::admits(proposed, situation)?,
        Action::Swap => door::swaps(proposed, situation)?,
        Action::Leave => going::leaves(proposed)?,
        Action::Reap => going::reaps(proposed, situation)?,
        Action::Vote => going::votes_out(proposed, situation)?,
        Action::Evict => rules::evicts(proposed, situation)?,
        Action::Rotate => rules::rotates(proposed, situation)?,
        Action::Mode => rules::sets_mode(proposed, situation)?,
        Action::Settings => rules::sets(proposed, situation)?,
        Action::Hosts => rules::sets_hosts(proposed, situation)?,
        Action::Update => updates(proposed)?,
        Action::Void if proposed.void => updates(proposed)?,
        // Without a word that holds, or where nothing is to be taken back.
        Action::Void => return Err(Refusal::Right),
        Action::HubMove => return Err(Refusal::NotSpoken),
    };
    if allows(row, situation.state.mode, situation.by_host()) { Ok(()) } else { Err(Refusal::Right) }
}

fn updates(proposed: &Proposed) -> Result<Row, Refusal> {
    expect(proposed.path && proposed.adds.is_empty() && proposed.removes.is_empty() && proposed.served == 0)?;
    expect(nothing_said(proposed) && nothing_agreed(proposed))?;
    Ok(Row::Path)
}

fn expect(holds: bool) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// No words of others come with it.
fn nothing_said(proposed: &Proposed) -> bool {
    proposed.notes.is_empty() && proposed.votes.is_empty() && proposed.cut.is_none()
}

/// Neither state nor record changes.
const fn nothing_agreed(proposed: &Proposed) -> bool {
    proposed.state.is_none() && proposed.record.is_none()
}

fn distinct<T: Ord>(values: impl IntoIterator<Item = T>) -> bool {
    let mut sorted: Vec<T> = values.into_iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| matches!(pair, [a, b] if a != b))
}

#[cfg(test)]
mod tests;

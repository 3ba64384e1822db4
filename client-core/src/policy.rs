//! The table that every member checks on every commit. It looks at nothing but the commit, the tree and the agreed
//! state, never at a clock: what one member refuses, all refuse.

use conclave_federation::proof::VerifyingKey;

use crate::{
    group::{Action, Leaf},
    state::{Mode, RoomState},
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
    /// A note is missing, not genuine, or for somebody else.
    #[error("a leave note in it is not genuine")]
    Note,
    /// Specified, not spoken yet.
    #[error("it does something that this version does not speak")]
    NotSpoken,
    /// The new state is not one that may follow the old.
    #[error("the agreed state may not change like this")]
    State,
}

/// What a commit does, as its public part shows.
#[derive(Clone, Debug, Default)]
pub struct Proposed {
    /// Keys of the leaves that come.
    pub adds: Vec<VerifyingKey>,
    /// Leaves that go.
    pub removes: Vec<Leaf>,
    /// Leaves whose genuine notes come with it.
    pub notes: Vec<Leaf>,
    /// The state it sets.
    pub state: Option<RoomState>,
    /// Whether it has a path.
    pub path: bool,
    /// Requests it serves.
    pub served: usize,
}

/// Where it is made.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The agreed state before it.
    pub state: &'a RoomState,
    /// Everybody before it.
    pub members: &'a [(Leaf, VerifyingKey)],
    /// Whether its committer is a host.
    pub by_host: bool,
}

/// The table: may this committer do this in this mode?
#[must_use]
pub const fn allows(row: Row, mode: Mode, by_host: bool) -> bool {
    match (row, mode) {
        (Row::Swap | Row::RemoveWithNote | Row::Path, Mode::Open | Mode::Knock | Mode::Locked)
        | (Row::Add | Row::Reap, Mode::Open) => true,
        (Row::Add, Mode::Knock)
        // Half of the leaves' "unseen" notes will do in a host's place, once such notes are spoken.
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
        Action::Admit => admits(proposed, situation)?,
        Action::Swap => swaps(proposed, situation)?,
        Action::Leave => leaves(proposed)?,
        Action::Reap => reaps(proposed)?,
        Action::Mode | Action::Hosts => changes(action, proposed, situation)?,
        Action::Update => updates(proposed)?,
        // With the next generation come a record in the same request and the flag in the header.
        Action::Evict | Action::Rotate | Action::HubMove | Action::Void => return Err(Refusal::NotSpoken),
    };
    if allows(row, situation.state.mode, situation.by_host) { Ok(()) } else { Err(Refusal::Right) }
}

fn expect(holds: bool) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Adds alone, without a path: a stranger's key package cannot make anybody fail.
fn admits(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.adds.is_empty() && proposed.removes.is_empty() && proposed.notes.is_empty())?;
    expect(proposed.state.is_none() && !proposed.path && proposed.served == proposed.adds.len())?;
    expect(distinct(&proposed.adds))?;
    expect(proposed.adds.iter().all(|key| situation.members.iter().all(|(_, member)| member != key)))?;
    let size = situation.members.len() + proposed.adds.len();
    if size > usize::from(situation.state.max_members) { Err(Refusal::Full) } else { Ok(Row::Add) }
}

/// For each new leaf an old one under the same key goes.
fn swaps(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.adds.is_empty() && proposed.notes.is_empty() && proposed.state.is_none())?;
    expect(proposed.removes.len() == proposed.adds.len() && proposed.served == proposed.adds.len())?;
    expect(distinct(&proposed.adds) && distinct(&proposed.removes))?;
    let key = |leaf: &Leaf| situation.members.iter().find(|(at, _)| at == leaf).map(|(_, key)| key);
    expect(proposed.removes.iter().all(|leaf| key(leaf).is_some_and(|key| proposed.adds.contains(key))))?;
    Ok(Row::Swap)
}

fn leaves(proposed: &Proposed) -> Result<Row, Refusal> {
    expect(!proposed.removes.is_empty() && proposed.adds.is_empty() && proposed.state.is_none())?;
    expect(distinct(&proposed.removes) && distinct(&proposed.notes))?;
    expect(proposed.served <= proposed.removes.len())?;
    let noted =
        proposed.removes.len() == proposed.notes.len() && proposed.removes.iter().all(|leaf| proposed.notes.contains(leaf));
    if noted { Ok(Row::RemoveWithNote) } else { Err(Refusal::Note) }
}

fn reaps(proposed: &Proposed) -> Result<Row, Refusal> {
    expect(!proposed.removes.is_empty() && proposed.adds.is_empty() && proposed.state.is_none())?;
    expect(distinct(&proposed.removes) && proposed.notes.is_empty() && proposed.served == 0)?;
    Ok(Row::Reap)
}

fn updates(proposed: &Proposed) -> Result<Row, Refusal> {
    expect(proposed.path && proposed.adds.is_empty() && proposed.removes.is_empty())?;
    expect(proposed.notes.is_empty() && proposed.state.is_none() && proposed.served == 0)?;
    Ok(Row::Path)
}

/// The mode, or the hosts, and nothing else; at least one host stays.
fn changes(action: Action, proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(proposed.adds.is_empty() && proposed.removes.is_empty())?;
    expect(proposed.notes.is_empty() && proposed.served == 0)?;
    let Some(after) = &proposed.state else { return Err(Refusal::Mismatch) };
    let mut expected = situation.state.clone();
    if matches!(action, Action::Mode) {
        expected.mode = after.mode;
    } else {
        expected.hosts = after.hosts.clone();
    }
    let listed = |key: &VerifyingKey| situation.members.iter().any(|(_, member)| member == key);
    let hosts = matches!(action, Action::Mode) || (!after.hosts.is_empty() && after.hosts.iter().all(listed));
    if *after == expected && after.is_spoken() && hosts && distinct(&after.hosts) { Ok(Row::State) } else { Err(Refusal::State) }
}

fn distinct<T: Ord>(values: &[T]) -> bool {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| matches!(pair, [a, b] if a != b))
}

#[cfg(test)]
mod tests;

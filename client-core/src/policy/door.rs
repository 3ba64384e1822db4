//! Coming in, and coming back.

use super::{Proposed, Refusal, Row, Situation, distinct, expect, nothing_agreed, nothing_said};

/// Entries that the log may have grown by since a newcomer made their leaf: two a second for as long as a request may wait
/// for a host. Whoever states less than the truth looks older than they are, by no more than this.
pub const MAX_LEAF_AGE: u64 = 256;

/// Adds alone, without a path: a stranger's key package cannot make anybody fail.
pub(super) fn admits(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.adds.is_empty() && proposed.removes.is_empty() && nothing_said(proposed))?;
    expect(nothing_agreed(proposed) && !proposed.path && proposed.served == proposed.adds.len())?;
    expect(distinct(proposed.adds.iter().map(|add| add.key)))?;
    expect(proposed.adds.iter().all(|add| situation.members.iter().all(|person| person.key != add.key)))?;
    let fresh = |since: u64| situation.seq.checked_sub(since).is_some_and(|age| age <= MAX_LEAF_AGE);
    if !proposed.adds.iter().all(|add| fresh(add.since)) {
        return Err(Refusal::Stale);
    }
    let size = situation.members.len() + proposed.adds.len();
    if size > usize::from(situation.state.max_members) { Err(Refusal::Full) } else { Ok(Row::Add) }
}

/// For each new leaf an old one under the same key goes; nobody gets older by it.
pub(super) fn swaps(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.adds.is_empty() && nothing_said(proposed) && nothing_agreed(proposed))?;
    expect(proposed.removes.len() == proposed.adds.len() && proposed.served == proposed.adds.len())?;
    expect(distinct(proposed.adds.iter().map(|add| add.key)) && distinct(&proposed.removes))?;
    for leaf in &proposed.removes {
        let before = situation.at(*leaf).ok_or(Refusal::Mismatch)?;
        let after = proposed.adds.iter().find(|add| add.key == before.key).ok_or(Refusal::Mismatch)?;
        if after.since < before.since || after.since > situation.seq {
            return Err(Refusal::Stale);
        }
    }
    Ok(Row::Swap)
}

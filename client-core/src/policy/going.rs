//! Going: by one's own word, by silence, or by the word of the others.

use conclave_federation::proof::VerifyingKey;

use super::{Person, Proposed, Refusal, Row, Situation, distinct, expect, nothing_agreed, nothing_said};
use crate::{
    group::{VOTE_LIFE, Vote, VoteKind},
    state::{Mode, RoomState},
};

/// Nobody is voted out by fewer, however few have been here for long.
pub const MIN_VOTERS: usize = 2;

pub(super) fn leaves(proposed: &Proposed) -> Result<Row, Refusal> {
    expect(!proposed.removes.is_empty() && proposed.adds.is_empty() && nothing_agreed(proposed))?;
    expect(proposed.votes.is_empty() && proposed.cut.is_none())?;
    expect(distinct(&proposed.removes) && distinct(&proposed.notes))?;
    expect(proposed.served <= proposed.removes.len())?;
    let noted =
        proposed.removes.len() == proposed.notes.len() && proposed.removes.iter().all(|leaf| proposed.notes.contains(leaf));
    if noted { Ok(Row::RemoveWithNote) } else { Err(Refusal::Note) }
}

pub(super) fn reaps(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.removes.is_empty() && proposed.adds.is_empty() && nothing_agreed(proposed))?;
    expect(distinct(&proposed.removes) && proposed.served == 0 && proposed.notes.is_empty() && proposed.cut.is_none())?;
    if proposed.votes.is_empty() {
        return Ok(Row::Reap);
    }
    let stay = staying(proposed, situation);
    let gone = going(proposed, situation)?;
    counted(proposed, situation, VoteKind::Unseen, &gone)?;
    let enough = |person: &&Person| counts_unseen(votes_on(&person.key, proposed, &stay), stay.len());
    if gone.iter().all(enough) { Ok(Row::ReapByVotes) } else { Err(Refusal::Votes) }
}

/// Whether so many of those who stay are enough to remove somebody whom they do not hear: more than half.
#[must_use]
pub const fn counts_unseen(votes: usize, stay: usize) -> bool {
    votes * 2 > stay
}

/// Removes and the mode *locked*, and nothing else: two thirds of those who stay and have been here for five minutes say so of
/// each who goes. Never of a host.
pub(super) fn votes_out(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(!proposed.removes.is_empty() && proposed.adds.is_empty() && proposed.record.is_none() && proposed.path)?;
    expect(distinct(&proposed.removes) && proposed.served == 0 && proposed.notes.is_empty())?;
    let locked = RoomState { mode: Mode::Locked, ..situation.state.clone() };
    if proposed.state.as_ref() != Some(&locked) {
        return Err(Refusal::State);
    }
    let Some(cut) = &proposed.cut else { return Err(Refusal::Votes) };
    let gone = going(proposed, situation)?;
    if gone.iter().any(|person| situation.is_host(person)) {
        return Err(Refusal::Right);
    }
    counted(proposed, situation, VoteKind::Remove, &gone)?;
    let mut old = staying(proposed, situation);
    old.retain(|person| person.since <= cut.earlier.seq);
    let enough = |person: &&Person| {
        let votes = votes_on(&person.key, proposed, &old);
        votes >= MIN_VOTERS && votes * 3 >= old.len() * 2
    };
    if gone.iter().all(enough) { Ok(Row::RemoveByVotes) } else { Err(Refusal::Votes) }
}

fn staying<'a>(proposed: &Proposed, situation: &Situation<'a>) -> Vec<&'a Person> {
    situation.members.iter().filter(|person| !proposed.removes.contains(&person.leaf)).collect()
}

fn going<'a>(proposed: &Proposed, situation: &Situation<'a>) -> Result<Vec<&'a Person>, Refusal> {
    proposed.removes.iter().map(|leaf| situation.at(*leaf).ok_or(Refusal::Mismatch)).collect()
}

/// Every vote that comes with it says this of one of these, and is not too old; nobody votes twice on one.
fn counted(proposed: &Proposed, situation: &Situation<'_>, kind: VoteKind, gone: &[&Person]) -> Result<(), Refusal> {
    let good = |vote: &Vote| {
        vote.kind == kind
            && situation.seq.checked_sub(vote.seq).is_some_and(|age| age <= VOTE_LIFE)
            && gone.iter().any(|person| person.key == vote.target)
    };
    let once = distinct(proposed.votes.iter().map(|vote| (vote.key, vote.target)));
    if once && proposed.votes.iter().all(good) { Ok(()) } else { Err(Refusal::Votes) }
}

fn votes_on(target: &VerifyingKey, proposed: &Proposed, voters: &[&Person]) -> usize {
    let by =
        |vote: &&Vote| vote.target == *target && voters.iter().any(|person| person.leaf == vote.leaf && person.key == vote.key);
    proposed.votes.iter().filter(by).count()
}

/// No words of others come with it, and nobody asked for it.
pub(super) fn unasked(proposed: &Proposed) -> bool {
    nothing_said(proposed) && proposed.served == 0 && proposed.adds.is_empty() && proposed.path
}

//! What hosts change: the rules of the call, the hosts themselves, and the generation of link and access keys.

use conclave_federation::{host::chain_end, proof::VerifyingKey, record::RoomRecord};

use super::{Person, Proposed, Refusal, Row, Situation, distinct, expect, going::unasked, is_host};
use crate::{
    group::Leaf,
    state::{HostEntry, RoomState},
};

/// Somebody goes, and the next generation comes: one commit, so that nobody who stays is ever without the new keys, and
/// nobody who goes has them.
pub(super) fn evicts(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(unasked(proposed) && !proposed.removes.is_empty() && distinct(&proposed.removes))?;
    for leaf in &proposed.removes {
        let person = situation.at(*leaf).ok_or(Refusal::Mismatch)?;
        if person.leaf == situation.by || situation.is_above(person) {
            return Err(Refusal::Right);
        }
    }
    let (after, record) = begins_generation(proposed, situation)?;
    let change = HostChange { after, record: Some(record), removes: &proposed.removes, situation };
    // Hosts go with those who are removed: themselves, who got it from them, and who is not here anyway.
    let may_go = |host: &HostEntry| change.is_gone(&host.key) || change.hangs_on_gone(host);
    change.check(may_go)?;
    Ok(Row::RemoveOtherwise)
}

/// The next generation and nothing else.
pub(super) fn rotates(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(unasked(proposed) && proposed.removes.is_empty())?;
    let (after, record) = begins_generation(proposed, situation)?;
    if after.hosts != situation.state.hosts || record.revoked != situation.record.revoked {
        return Err(Refusal::State);
    }
    Ok(Row::State)
}

/// The mode and nothing else.
pub(super) fn sets_mode(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    let after = state_alone(proposed)?;
    only(after, RoomState { mode: after.mode, ..situation.state.clone() })
}

/// What newcomers are given, what everybody may do, the title, and nothing else.
pub(super) fn sets(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    let after = state_alone(proposed)?;
    let expected = RoomState {
        flags: after.flags,
        history: after.history,
        history_minutes: after.history_minutes,
        title: after.title.clone(),
        ..situation.state.clone()
    };
    only(after, expected)
}

/// The hosts and nothing else. Whoever is dropped against their will is named in a record of the next generation, or relays
/// would go on taking them for a host.
pub(super) fn sets_hosts(proposed: &Proposed, situation: &Situation<'_>) -> Result<Row, Refusal> {
    expect(unasked(proposed) && proposed.removes.is_empty())?;
    let (after, record) = if proposed.record.is_some() {
        begins_generation(proposed, situation).map(|(after, record)| (after, Some(record)))?
    } else {
        let after = state_alone(proposed)?;
        only(after, RoomState { hosts: after.hosts.clone(), ..situation.state.clone() })?;
        (after, None)
    };
    let change = HostChange { after, record, removes: &[], situation };
    let me = situation.at(situation.by).ok_or(Refusal::Mismatch)?;
    let above = |key: &VerifyingKey| situation.members.iter().any(|person| person.key == *key && situation.is_above(person));
    let may_go = |host: &HostEntry| match record {
        Some(_) => host.key != me.key && !above(&host.key),
        // Who steps down by their own will needs no revocation.
        None => host.key == me.key,
    };
    change.check(may_go)?;
    if after.hosts == situation.state.hosts { Err(Refusal::State) } else { Ok(Row::State) }
}

fn state_alone(proposed: &Proposed) -> Result<&RoomState, Refusal> {
    expect(unasked(proposed) && proposed.removes.is_empty() && proposed.record.is_none())?;
    proposed.state.as_ref().ok_or(Refusal::Mismatch)
}

fn only(after: &RoomState, expected: RoomState) -> Result<Row, Refusal> {
    if *after == expected && after.is_spoken() { Ok(Row::State) } else { Err(Refusal::State) }
}

/// State and record that begin the next generation and change, beside it, nothing but the hosts.
fn begins_generation<'a>(proposed: &'a Proposed, situation: &Situation<'_>) -> Result<(&'a RoomState, &'a RoomRecord), Refusal> {
    let after = proposed.state.as_ref().ok_or(Refusal::Mismatch)?;
    let record = proposed.record.as_ref().ok_or(Refusal::Record)?;
    let old = situation.record;
    let keeps = record.version == old.version
        && record.host_required == old.host_required
        && record.max_members == old.max_members
        && record.hubs == old.hubs
        && record.not_after == old.not_after;
    let next = record.generation == old.generation.next() && situation.state.generation == old.generation;
    if !keeps || !next || record.verify_signed(old.room).is_err() || record.follows(old).is_err() {
        return Err(Refusal::Record);
    }
    let expected =
        RoomState { generation: record.generation, record: record.hash(), hosts: after.hosts.clone(), ..situation.state.clone() };
    only(after, expected)?;
    Ok((after, record))
}

/// The hosts before and after.
struct HostChange<'a> {
    after: &'a RoomState,
    record: Option<&'a RoomRecord>,
    removes: &'a [Leaf],
    situation: &'a Situation<'a>,
}

impl HostChange<'_> {
    /// Who is in the tree afterwards.
    fn present(&self) -> impl Iterator<Item = &Person> {
        self.situation.members.iter().filter(|person| !self.removes.contains(&person.leaf))
    }

    fn is_gone(&self, key: &VerifyingKey) -> bool {
        self.present().all(|person| person.key != *key)
    }

    fn is_removed(&self, key: &VerifyingKey) -> bool {
        self.situation.members.iter().any(|person| person.key == *key && self.removes.contains(&person.leaf))
    }

    fn hangs_on_gone(&self, host: &HostEntry) -> bool {
        host.delegation.iter().any(|step| self.is_removed(&step.host))
    }

    fn check(&self, may_go: impl Fn(&HostEntry) -> bool) -> Result<(), Refusal> {
        let expect = |holds: bool| if holds { Ok(()) } else { Err(Refusal::State) };
        let before = &self.situation.state.hosts;
        expect(distinct(self.after.hosts.iter().map(|host| host.key)))?;
        let dropped: Vec<&HostEntry> = before.iter().filter(|host| self.after.host(&host.key).is_none()).collect();
        expect(dropped.iter().all(|host| may_go(host)))?;
        expect(self.after.hosts.iter().all(|host| !self.is_removed(&host.key)))?;
        let old = &self.situation.record.revoked;
        let revoked = self.record.map_or(old, |record| &record.revoked);
        if let Some(record) = self.record {
            // Named in the record: all who lose what relays go by, beside those who lost it before. The founder alone takes
            // that back.
            let lost = dropped.iter().filter(|host| !host.delegation.is_empty()).map(|host| host.key);
            let lost: Vec<VerifyingKey> = lost.filter(|key| !old.contains(key)).collect();
            let named = |key: &VerifyingKey| record.revoked.contains(key);
            let known = record.revoked.iter().all(|key| old.contains(key) || lost.contains(key));
            let kept = record.signer == record.founder || old.iter().all(named);
            if !(lost.iter().all(named) && known && kept && distinct(record.revoked.iter())) {
                return Err(Refusal::Record);
            }
        }
        for host in self.after.hosts.iter() {
            let hangs = host.delegation.iter().any(|step| revoked.contains(&step.host));
            expect(!hangs && (before.contains(host) || self.is_named(host)))?;
        }
        expect(self.present().any(|person| is_host(self.after, person)))
    }

    /// Whether a new entry is of somebody here, with a right to it.
    fn is_named(&self, host: &HostEntry) -> bool {
        let record = self.situation.record;
        self.present().any(|person| {
            person.key == host.key
                && if host.delegation.is_empty() {
                    person.founder
                } else {
                    chain_end(record.room, &record.founder, &host.delegation) == Some(host.key)
                }
        })
    }
}

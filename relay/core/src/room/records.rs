//! Records of rooms that nobody here is in: learnt in passing, so that whoever attaches next can be checked.

use std::collections::BTreeMap;

use conclave_federation::{
    id::{Instance, RoomId},
    record::{CallKeys, RoomRecord},
};

/// What is known of a room that nobody here is in.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) record: RoomRecord,
    /// The keys of the call heard of last, verified.
    call: Option<CallKeys>,
}

impl Known {
    /// A record, and the keys of a call of its room.
    pub(crate) const fn new(record: RoomRecord, call: Option<CallKeys>) -> Self {
        Self { record, call }
    }

    /// The keys of this call, when whoever began it chose some.
    pub(crate) fn call(&self, instance: Instance) -> Option<&CallKeys> {
        self.call.as_ref().filter(|call| call.instance == instance)
    }
}

/// A bounded memory; what was used longest ago goes first.
#[derive(Debug)]
pub(crate) struct Records {
    max: usize,
    used: u64,
    records: BTreeMap<RoomId, (u64, Known)>,
    ages: BTreeMap<u64, RoomId>,
}

impl Records {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, used: 0, records: BTreeMap::new(), ages: BTreeMap::new() }
    }

    /// What is known of a room.
    pub(crate) fn find(&self, room: RoomId) -> Option<&Known> {
        self.records.get(&room).map(|(_, known)| known)
    }

    /// Keeps a record that was verified, unless a newer one is here, and the keys of the newest call.
    pub(crate) fn keep(&mut self, known: Known) {
        let room = known.record.room;
        let newest = match self.records.remove(&room) {
            Some((age, held)) => {
                self.ages.remove(&age);
                let record = if known.record.replaces(&held.record).is_ok() { known.record } else { held.record };
                let newer = |call: &CallKeys| held.call.as_ref().is_none_or(|held| held.instance <= call.instance);
                Known { record, call: known.call.filter(newer).or(held.call) }
            }
            None => known,
        };
        self.used += 1;
        self.ages.insert(self.used, room);
        self.records.insert(room, (self.used, newest));
        while self.records.len() > self.max {
            let Some((_, oldest)) = self.ages.pop_first() else { return };
            self.records.remove(&oldest);
        }
    }
}

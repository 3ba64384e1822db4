//! Records of rooms that nobody here is in: learnt in passing, so that whoever attaches next can be checked.

use std::collections::BTreeMap;

use conclave_federation::{id::RoomId, record::RoomRecord};

/// A bounded memory; what was used longest ago goes first.
#[derive(Debug)]
pub(crate) struct Records {
    max: usize,
    used: u64,
    records: BTreeMap<RoomId, (u64, RoomRecord)>,
    ages: BTreeMap<u64, RoomId>,
}

impl Records {
    pub(crate) const fn new(max: usize) -> Self {
        Self { max, used: 0, records: BTreeMap::new(), ages: BTreeMap::new() }
    }

    /// The record of a room.
    pub(crate) fn find(&self, room: RoomId) -> Option<&RoomRecord> {
        self.records.get(&room).map(|(_, record)| record)
    }

    /// Keeps a record that was verified, unless a newer one is here.
    pub(crate) fn keep(&mut self, record: RoomRecord) {
        let room = record.room;
        let newest = match self.records.remove(&room) {
            Some((age, held)) => {
                self.ages.remove(&age);
                if held.seq > record.seq { held } else { record }
            }
            None => record,
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

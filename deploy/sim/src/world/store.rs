//! A relay's durable store: writes in order, confirms after a while, and remembers across `kill -9` what it confirmed, and
//! perhaps a little more.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::{Instance, RoomId},
    record::RoomRecord,
};
use conclave_relay_core::{Restored, RestoredLog, StoreKey, StoredEntry, Write};

use crate::chance::Chance;

/// How long a write takes, nearly always.
const USUAL: Duration = Duration::from_millis(4);
/// How long one takes now and then, of a thousand writes this many.
const SLOW: Duration = Duration::from_millis(300);
const SLOW_WRITES: u32 = 30;

/// The store of one relay.
#[derive(Default)]
pub(super) struct Store {
    records: BTreeMap<RoomId, RoomRecord>,
    logs: BTreeMap<(RoomId, Instance), BTreeMap<u64, StoredEntry>>,
    pending: VecDeque<(StoreKey, Write)>,
    busy_until: Duration,
    /// The disk is full: nothing is written.
    pub(super) full: bool,
}

impl Store {
    /// Takes a write; says when it will be done.
    pub(super) fn accept(&mut self, now: Duration, key: StoreKey, write: Write, chance: &mut Chance) -> Duration {
        let takes = if chance.permille(SLOW_WRITES) { chance.up_to(SLOW) } else { chance.up_to(USUAL) };
        self.busy_until = self.busy_until.max(now) + takes;
        self.pending.push_back((key, write));
        self.busy_until
    }

    /// The oldest pending write is done: which it was, and whether it is durable now.
    pub(super) fn complete(&mut self) -> Option<(StoreKey, Option<Write>)> {
        let (key, write) = self.pending.pop_front()?;
        if self.full {
            return Some((key, None));
        }
        self.apply(write.clone());
        Some((key, Some(write)))
    }

    /// `kill -9`: of what was not confirmed, a beginning may have reached the disk.
    pub(super) fn kill(&mut self, chance: &mut Chance) {
        let kept = chance.index(self.pending.len() + 1);
        let written: Vec<_> = self.pending.drain(..).take(kept).collect();
        if !self.full {
            for (_, write) in written {
                self.apply(write);
            }
        }
        self.busy_until = Duration::ZERO;
    }

    /// Breaks its word: the newest entry of every log is gone.
    pub(super) fn forget_newest(&mut self) {
        for log in self.logs.values_mut() {
            log.pop_last();
        }
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::Record(record) => {
                self.records.insert(record.room, record);
            }
            Write::Append { room, instance, seq, entry } => {
                if let Some(record) = &entry.entry.record {
                    self.records.insert(room, record.clone());
                }
                self.logs.entry((room, instance)).or_default().insert(seq, entry);
            }
            // Nobody orders anything here.
            Write::Close(_) | Write::Reopen(_) => {}
            Write::Forget { room, instance } => {
                self.logs.remove(&(room, instance));
            }
        }
    }

    /// What a relay is given at its start.
    pub(super) fn restored(&self) -> Vec<Restored> {
        let of = |room: RoomId| {
            let of_room = self.logs.iter().filter(move |((of, _), _)| *of == room);
            of_room
                .map(|((_, instance), log)| RestoredLog { instance: *instance, entries: log.values().cloned().collect() })
                .collect()
        };
        self.records.values().map(|record| Restored { record: record.clone(), logs: of(record.room) }).collect()
    }
}

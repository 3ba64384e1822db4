//! What the relay knows again after a start. Nothing is believed: records are verified, logs are walked entry by entry.
//!
//! A log with damage anywhere is set aside **whole** and its number counts as used. Serving its sound beginning would let the
//! hub order other entries in the place of lost ones, and two histories of one log are what a lying hub makes. Members find
//! that their call is not the current one any more and begin the next.

use conclave_federation::{
    id::{Instance, RelayId, RoomId},
    record::RecordError,
};

use super::{
    Restored, RestoredLog,
    disk::{Disk, DiskError},
    layout::{Call, Damage, Joiner, Verifier},
};

/// What was found, for one line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Found {
    pub(super) rooms: usize,
    pub(super) entries: usize,
    pub(super) expired: usize,
    pub(super) damaged: usize,
}

/// Reads every room whose life is not over.
pub(super) fn restore(disk: &Disk, relay: RelayId, unix_ms: u64) -> Result<(Vec<Restored>, Found), DiskError> {
    let mut found = Found::default();
    let mut rooms = Vec::new();
    for item in disk.records() {
        let (room, record) = item?;
        let believed = record.map(|record| record.verify(room, unix_ms).map(|()| record));
        match believed {
            Some(Ok(record)) => rooms.push(record),
            Some(Err(RecordError::Expired)) => {
                found.expired += 1;
                disk.forget_room(room)?;
            }
            None | Some(Err(_)) => {
                found.damaged += 1;
                tracing::error!(
                    room = room.short(),
                    "a room's record is damaged and was removed: the room has to be made anew; check the disk"
                );
                disk.forget_room(room)?;
            }
        }
    }
    let mut restored = Vec::new();
    for record in rooms {
        let logs = logs(disk, relay, record.room, &mut found)?;
        found.rooms += 1;
        restored.push(Restored { record, logs });
    }
    disk.sync()?;
    Ok((restored, found))
}

fn logs(disk: &Disk, relay: RelayId, room: RoomId, found: &mut Found) -> Result<Vec<RestoredLog>, DiskError> {
    let mut reading: Vec<Reading> = Vec::new();
    for item in disk.chunks(room)? {
        let (key, value) = item?;
        if reading.last().is_none_or(|last| last.call != key.call) {
            if let Some(last) = reading.last_mut() {
                last.close();
            }
            reading.push(Reading::new(relay, key.call));
        }
        if let Some(last) = reading.last_mut() {
            last.push(key.seq, key.chunk, &value);
        }
    }
    if let Some(last) = reading.last_mut() {
        last.close();
    }

    let mut logs = Vec::new();
    for read in reading {
        match read.damage {
            None => {
                found.entries += read.entries.len();
                logs.push(RestoredLog { instance: read.call.instance, entries: read.entries });
            }
            Some(damage) => {
                found.damaged += 1;
                tracing::error!(
                    room = room.short(),
                    instance = read.call.instance.0,
                    entries = read.entries.len(),
                    %damage,
                    "a log is damaged and was set aside: its call goes on as a new one; check the disk"
                );
                disk.set_aside(read.call)?;
            }
        }
    }
    // A number once given is never given again, whether its log is kept or not.
    if let Some(highest) = disk.instance(room)?.map(Instance)
        && logs.iter().all(|log| log.instance < highest)
    {
        logs.push(RestoredLog { instance: highest, entries: Vec::new() });
    }
    Ok(logs)
}

/// One log while it is read.
struct Reading {
    call: Call,
    verifier: Verifier,
    entries: Vec<super::StoredEntry>,
    entry: Option<(u64, Joiner)>,
    damage: Option<Damage>,
}

impl Reading {
    fn new(relay: RelayId, call: Call) -> Self {
        Self { call, verifier: Verifier::new(relay, call), entries: Vec::new(), entry: None, damage: None }
    }

    fn push(&mut self, seq: u64, chunk: u16, value: &[u8]) {
        if self.entry.as_ref().is_none_or(|(current, _)| *current != seq) {
            self.close();
            self.entry = Some((seq, Joiner::default()));
        }
        if let Some((_, joiner)) = &mut self.entry
            && let Err(damage) = joiner.push(chunk, value)
        {
            self.damage.get_or_insert(damage);
        }
    }

    /// The entry that was being put together is complete.
    fn close(&mut self) {
        let Some((seq, joiner)) = self.entry.take() else { return };
        let checked = joiner.finish().and_then(|stored| self.verifier.check(seq, &stored).map(|()| stored));
        match checked {
            Ok(stored) if self.damage.is_none() => self.entries.push(stored),
            Ok(_) => {}
            Err(damage) => {
                self.damage.get_or_insert(damage);
            }
        }
    }
}

#[cfg(test)]
#[path = "../../tests/fixture/mod.rs"]
mod fixture;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use conclave_federation::wire::{List, message::Sealed};

    use super::{
        super::{Durability, StoredEntry, Write, layout},
        fixture::{LogWriter, UNIX_MS, record, relay},
        *,
    };

    fn disk(folder: &Path) -> Disk {
        Disk::open(folder, 1 << 20, Durability::Process).unwrap()
    }

    fn stored(log: &LogWriter, seq: u64, entry: &StoredEntry) -> Write {
        Write::Append { room: log.room, instance: log.instance, seq, entry: entry.clone() }
    }

    /// Stores a sound log of five entries with `spoil` applied, and reads it back.
    fn spoiled(spoil: impl FnOnce(&Disk, &LogWriter, &mut Vec<StoredEntry>)) -> (Vec<RestoredLog>, Found) {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(&folder.path().join("store"));
        let mut log = LogWriter::new(record(1, 1).room, 3);
        let mut entries: Vec<StoredEntry> = (0..5).map(|_| log.entry(5_000, 9_000)).collect();
        disk.apply(&Write::Record(record(1, 1))).unwrap();
        for (seq, entry) in (0..).zip(&entries) {
            disk.apply(&stored(&log, seq, entry)).unwrap();
        }
        let whole = entries.clone();
        spoil(&disk, &log, &mut entries);
        for (seq, (entry, before)) in (0..).zip(entries.iter().zip(&whole)) {
            if entry != before {
                disk.apply(&stored(&log, seq, entry)).unwrap();
            }
        }
        let (mut restored, found) = restore(&disk, relay(), UNIX_MS).unwrap();
        let again = restore(&disk, relay(), UNIX_MS).unwrap();
        assert_eq!(again.0.first().unwrap().logs.len(), restored.first().unwrap().logs.len(), "and so it stays");
        assert_eq!(again.1.damaged, 0, "said once");
        (restored.remove(0).logs, found)
    }

    fn assert_set_aside((logs, found): (Vec<RestoredLog>, Found)) {
        assert_eq!(found.damaged, 1);
        assert_eq!(logs.len(), 1);
        let log = logs.first().unwrap();
        assert_eq!((log.instance, log.entries.len()), (Instance(4), 0), "its number and the next are used");
    }

    #[test]
    fn a_sound_log_comes_back() {
        let (logs, found) = spoiled(|_, _, _| {});
        assert_eq!(found, Found { rooms: 1, entries: 5, expired: 0, damaged: 0 });
        assert_eq!(logs.first().map(|log| (log.instance, log.entries.len())), Some((Instance(3), 5)));
    }

    #[test]
    fn a_log_with_a_missing_entry_is_set_aside() {
        assert_set_aside(spoiled(|disk, log, _| {
            disk.take_back(Call { room: log.room, instance: log.instance }, 2, None).unwrap();
        }));
    }

    #[test]
    fn a_log_without_its_genesis_is_set_aside() {
        assert_set_aside(spoiled(|disk, log, _| {
            disk.take_back(Call { room: log.room, instance: log.instance }, 0, None).unwrap();
        }));
    }

    #[test]
    fn a_log_with_a_changed_commit_is_set_aside() {
        assert_set_aside(spoiled(|_, _, entries| {
            entries.get_mut(1).unwrap().entry.commit = Sealed::new(Bytes::from_static(b"another commit")).unwrap();
        }));
    }

    #[test]
    fn a_log_with_a_changed_welcome_is_set_aside() {
        assert_set_aside(spoiled(|_, _, entries| {
            entries.get_mut(4).unwrap().welcome = Bytes::from_static(b"another welcome");
        }));
    }

    #[test]
    fn a_log_with_a_changed_header_is_set_aside() {
        assert_set_aside(spoiled(|_, _, entries| {
            entries.get_mut(3).unwrap().entry.header.served =
                List::new(vec![conclave_federation::id::JoinId::new([1; 16])]).unwrap();
        }));
    }

    #[test]
    fn a_log_signed_by_another_relay_is_set_aside() {
        assert_set_aside(spoiled(|_, _, entries| {
            let entry = entries.last_mut().unwrap();
            let foreign = conclave_federation::proof::SigningKey::from_seed([77; 32]);
            entry.entry.head = conclave_federation::wire::message::HubHead::sign(&foreign, &entry.entry.header, UNIX_MS);
        }));
    }

    #[test]
    fn garbage_in_a_chunk_sets_the_log_aside() {
        assert_set_aside(spoiled(|disk, log, _| {
            let call = Call { room: log.room, instance: log.instance };
            disk.put_chunk(layout::ChunkKey { call, seq: 2, chunk: 0 }, b"garbage");
        }));
        assert_set_aside(spoiled(|disk, log, _| {
            let call = Call { room: log.room, instance: log.instance };
            disk.put_chunk(layout::ChunkKey { call, seq: 2, chunk: 1 }, &[0; layout::CHUNK]);
        }));
        assert_set_aside(spoiled(|disk, log, _| {
            let call = Call { room: log.room, instance: log.instance };
            disk.put_chunk(layout::ChunkKey { call, seq: 2, chunk: 1 }, b"cut");
        }));
    }

    #[test]
    fn what_is_left_of_a_longer_entry_that_was_never_confirmed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(&folder.path().join("store"));
        let mut log = LogWriter::new(record(1, 1).room, 1);
        disk.apply(&Write::Record(record(1, 1))).unwrap();
        disk.apply(&log.append(10, 0)).unwrap();
        let (long, short) = (log.clone().entry(50_000, 50_000), log.entry(10, 10));
        disk.apply(&stored(&log, 1, &long)).unwrap();
        disk.apply(&stored(&log, 1, &short)).unwrap();

        let (restored, found) = restore(&disk, relay(), UNIX_MS).unwrap();
        assert_eq!(found.damaged, 0);
        assert_eq!(restored.first().and_then(|room| room.logs.first()).and_then(|log| log.entries.get(1)), Some(&short));
    }

    #[test]
    fn a_record_of_garbage_is_removed_with_its_logs() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(&folder.path().join("store"));
        let mut log = LogWriter::new(record(1, 1).room, 1);
        disk.apply(&Write::Record(record(1, 1))).unwrap();
        disk.apply(&log.append(10, 0)).unwrap();
        disk.put_record(log.room, b"garbage");
        let (restored, found) = restore(&disk, relay(), UNIX_MS).unwrap();
        assert_eq!((restored.len(), found.damaged), (0, 1));

        disk.apply(&Write::Record(record(1, 1))).unwrap();
        let (restored, _) = restore(&disk, relay(), UNIX_MS).unwrap();
        assert!(restored.first().unwrap().logs.is_empty());
    }
}

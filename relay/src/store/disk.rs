//! The one file that speaks to sled 0.34.7. What it has to know of it:
//!
//! - `flush` hands the bytes to the system and is **not** an fsync: a file of our own on the same data is synced after it;
//! - after one failed write it refuses all later ones for good: drop it and open it again;
//! - it does not open when a crash left a half-written snapshot, although that file means nothing: remove it first;
//! - values above about 6 KB leak disk: see `layout`;
//! - reads can fail, and damage may show only then.

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use conclave_federation::{id::RoomId, record::RoomRecord, wire::Wire};

use conclave_relay_core::Closure;

use super::{
    Durability, Write,
    layout::{self, Call, ChunkKey},
};

/// Version of `layout`. A store of a later version is refused, an earlier one would be carried over.
const FORMAT: u8 = 1;

/// How long sled may keep bytes to itself when nobody asks for a flush; every acknowledged write asks.
const FLUSH_EVERY_MS: u64 = 200;

/// How long the engine's threads may keep the files of one that was dropped.
const LINGER: Duration = Duration::from_secs(5);

/// Keys that one step of deleting removes, so that no entry waits long behind it.
const DELETE_STEP: usize = 256;

const DELETING: &[u8] = &[1];
const DAMAGED: &[u8] = &[2];

/// Why the disk does not do what it is asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Engine(sled::Error),
    #[error("the stored data is damaged")]
    Damaged,
    #[error("the store was written by a later version of the software")]
    TooNew,
    #[error("the storage engine failed on a bug of its own")]
    Panicked,
}

impl From<sled::Error> for DiskError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            sled::Error::Corruption { .. } => Self::Damaged,
            other => Self::Engine(other),
        }
    }
}

/// An open store.
pub(super) struct Disk {
    db: sled::Db,
    log: sled::Tree,
    records: sled::Tree,
    instances: sled::Tree,
    dropped: sled::Tree,
    closed: sled::Tree,
    data: File,
    durability: Durability,
}

/// One step of deleting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    More,
    Done,
}

impl Disk {
    /// Opens the store in `folder`, which is made if it is not there.
    pub(super) fn open(folder: &Path, cache: u64, durability: Durability) -> Result<Self, DiskError> {
        let new = !folder.exists();
        fs::create_dir_all(folder)?;
        remove_torn_snapshots(folder)?;
        let db = open_engine(folder, cache)?;
        let disk = Self {
            log: db.open_tree("log")?,
            records: db.open_tree("records")?,
            instances: db.open_tree("instances")?,
            dropped: db.open_tree("dropped")?,
            closed: db.open_tree("closed")?,
            data: File::open(folder.join("db"))?,
            db,
            durability,
        };
        disk.check_format()?;
        disk.sync()?;
        if new {
            // A new file is only there after a loss of power when its folder is synced too.
            File::open(folder)?.sync_all()?;
            if let Some(parent) = folder.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(disk)
    }

    fn check_format(&self) -> Result<(), DiskError> {
        let meta = self.db.open_tree("meta")?;
        match meta.get("format")?.as_deref() {
            None => {
                meta.insert("format", &[FORMAT])?;
                Ok(())
            }
            Some([FORMAT]) => Ok(()),
            Some([..=FORMAT]) => Err(DiskError::Damaged),
            Some(_) => Err(DiskError::TooNew),
        }
    }

    /// Applies one write; durable only after [`Disk::sync`].
    pub(super) fn apply(&self, write: &Write) -> Result<(), DiskError> {
        match write {
            Write::Record(record) => {
                self.records.insert(record.room.as_bytes(), record.encode().as_ref())?;
            }
            Write::Append { room, instance, seq, entry } => {
                let call = Call { room: *room, instance: *instance };
                self.finish_deleting(call)?;
                self.raise_instance(call)?;
                let mut batch = sled::Batch::default();
                for (key, value) in layout::chunks(call, *seq, entry) {
                    batch.insert(&key, value);
                }
                match &entry.entry.record {
                    None => self.log.apply_batch(batch)?,
                    Some(record) => self.apply_with_record(&batch, room.as_bytes(), &record.encode())?,
                }
            }
            Write::Close(closure) => {
                self.closed.insert(closure.room.as_bytes(), layout::closure_value(closure))?;
            }
            Write::Reopen(room) => {
                self.closed.remove(room.as_bytes())?;
            }
            Write::Forget { room, instance } => self.forget(Call { room: *room, instance: *instance })?,
        }
        Ok(())
    }

    /// The entry that begins a generation and the record that it brings: after a crash both are there, or neither.
    fn apply_with_record(&self, entry: &sled::Batch, room: &[u8], record: &[u8]) -> Result<(), DiskError> {
        use sled::{
            Transactional,
            transaction::{ConflictableTransactionError, TransactionError},
        };
        let both = (&self.log, &self.records).transaction(|(log, records)| {
            log.apply_batch(entry)?;
            records.insert(room, record)?;
            Ok::<(), ConflictableTransactionError<DiskError>>(())
        });
        both.map_err(|error| match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => error.into(),
        })
    }

    /// A room's record as it lies there, to put it back when the entry that replaces it cannot be confirmed.
    pub(super) fn record(&self, room: RoomId) -> Result<Option<sled::IVec>, DiskError> {
        Ok(self.records.get(room.as_bytes())?)
    }

    /// Everything applied so far survives: the process, or the power too.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        self.db.flush()?;
        if self.durability == Durability::Fsync {
            self.data.sync_data()?;
        }
        Ok(())
    }

    /// A log is not read any more from here on; its chunks go in steps.
    pub(super) fn forget(&self, call: Call) -> Result<(), DiskError> {
        self.dropped.insert(call.key(), DELETING)?;
        Ok(())
    }

    /// A log is not read any more and stays for a look.
    pub(super) fn set_aside(&self, call: Call) -> Result<(), DiskError> {
        self.dropped.insert(call.key(), DAMAGED)?;
        self.raise_instance(Call { instance: call.instance.next(), ..call })
    }

    /// A room is gone, with all its logs.
    pub(super) fn forget_room(&self, room: RoomId) -> Result<(), DiskError> {
        let mut calls: Vec<Call> = self.dropped_calls(room)?;
        let mut from = room.as_bytes().to_vec();
        // One look per log, not per chunk.
        while let Some(found) = self.log.get_gt(&from)?.and_then(|(key, _)| ChunkKey::from_bytes(&key)) {
            if found.call.room != room {
                break;
            }
            calls.push(found.call);
            from = found.call.place(u64::MAX).to_vec();
            from.extend_from_slice(&[0xff, 0xff]);
        }
        for call in calls {
            self.forget(call)?;
        }
        self.instances.remove(room.as_bytes())?;
        self.records.remove(room.as_bytes())?;
        Ok(())
    }

    fn dropped_calls(&self, room: RoomId) -> Result<Vec<Call>, DiskError> {
        let mut calls = Vec::new();
        for item in self.dropped.scan_prefix(room.as_bytes()) {
            calls.extend(Call::from_key(&item?.0));
        }
        Ok(calls)
    }

    /// Takes back an entry that was applied and never confirmed, and puts back the record that it replaced.
    pub(super) fn take_back(&self, call: Call, seq: u64, record: Option<&[u8]>) -> Result<(), DiskError> {
        let mut batch = sled::Batch::default();
        for item in self.log.scan_prefix(call.place(seq)) {
            batch.remove(item?.0);
        }
        match record {
            None => Ok(self.log.apply_batch(batch)?),
            Some(record) => self.apply_with_record(&batch, call.room.as_bytes(), record),
        }
    }

    /// Deletes a part of what was forgotten.
    pub(super) fn delete_step(&self) -> Result<Step, DiskError> {
        for item in &self.dropped {
            let (key, why) = item?;
            if why != DELETING {
                continue;
            }
            let mut batch = sled::Batch::default();
            let mut count = 0;
            for item in self.log.scan_prefix(&key).take(DELETE_STEP) {
                batch.remove(item?.0);
                count += 1;
            }
            self.log.apply_batch(batch)?;
            if count < DELETE_STEP {
                self.dropped.remove(&key)?;
            }
            return Ok(Step::More);
        }
        Ok(Step::Done)
    }

    fn finish_deleting(&self, call: Call) -> Result<(), DiskError> {
        while self.dropped.get(call.key())?.is_some_and(|why| why == DELETING) {
            self.delete_step()?;
        }
        Ok(())
    }

    fn raise_instance(&self, call: Call) -> Result<(), DiskError> {
        if self.instance(call.room)?.is_none_or(|highest| highest < call.instance.0) {
            self.instances.insert(call.room.as_bytes(), &call.instance.0.to_be_bytes())?;
        }
        Ok(())
    }

    /// The highest instance ever begun in a room.
    pub(super) fn instance(&self, room: RoomId) -> Result<Option<u32>, DiskError> {
        let stored = self.instances.get(room.as_bytes())?;
        Ok(stored.and_then(|bytes| <[u8; 4]>::try_from(bytes.as_ref()).ok()).map(u32::from_be_bytes))
    }

    /// All rooms that the operator closed.
    pub(super) fn closures(&self) -> impl Iterator<Item = Result<Closure, DiskError>> + '_ {
        self.closed.iter().filter_map(|item| match item {
            Err(error) => Some(Err(error.into())),
            Ok((key, value)) => {
                let room = RoomId::new(<[u8; 16]>::try_from(key.as_ref()).ok()?);
                Some(Ok(layout::closure(room, &value)))
            }
        })
    }

    /// All rooms' records; `None` for one that cannot be read.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(RoomId, Option<RoomRecord>), DiskError>> + '_ {
        self.records.iter().filter_map(|item| match item {
            Err(error) => Some(Err(error.into())),
            Ok((key, value)) => {
                let room = RoomId::new(<[u8; 16]>::try_from(key.as_ref()).ok()?);
                Some(Ok((room, RoomRecord::decode(&bytes::Bytes::copy_from_slice(&value)).ok())))
            }
        })
    }

    /// All chunks of a room's logs, in order, without those of logs that were dropped.
    pub(super) fn chunks(
        &self,
        room: RoomId,
    ) -> Result<impl Iterator<Item = Result<(ChunkKey, sled::IVec), DiskError>> + '_, DiskError> {
        let dropped = self.dropped_calls(room)?;
        Ok(self.log.scan_prefix(room.as_bytes()).filter_map(move |item| match item {
            Err(error) => Some(Err(error.into())),
            Ok((key, value)) => {
                let key = ChunkKey::from_bytes(&key)?;
                (!dropped.contains(&key.call)).then_some(Ok((key, value)))
            }
        }))
    }

    /// Bytes on disk; walks the folder, so not for every scrape of a busy relay.
    pub(super) fn bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// The engine's own lock outlives it for a moment in threads that still tidy up. The folder is locked by us, so whoever has
/// it is our own past and about to let go.
fn open_engine(folder: &Path, cache: u64) -> Result<sled::Db, DiskError> {
    let config =
        sled::Config::new().path(folder).cache_capacity(cache).flush_every_ms(Some(FLUSH_EVERY_MS)).mode(sled::Mode::LowSpace);
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && begun.elapsed() < LINGER => thread::sleep(LINGER / 500),
            opened => return Ok(opened?),
        }
    }
}

/// The engine says it in words only.
fn is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other && error.to_string().contains("acquire lock")
}

#[cfg(test)]
impl Disk {
    /// Damage, for tests.
    pub(super) fn put_chunk(&self, key: ChunkKey, value: &[u8]) {
        self.log.insert(key.bytes(), value).unwrap();
    }

    /// Damage, for tests.
    pub(super) fn put_record(&self, room: RoomId, value: &[u8]) {
        self.records.insert(room.as_bytes(), value).unwrap();
    }
}

/// The name under which a snapshot becomes valid is given by a rename: any other is a crash's leftover.
fn remove_torn_snapshots(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_snapshot_stops_the_engine_but_not_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        drop(Disk::open(&path, 1 << 20, Durability::Process).unwrap());
        fs::write(path.join("snap.0000000000000001.generating"), b"half of a snap").unwrap();
        assert!(sled::open(&path).is_err(), "the engine minds no more: the clean-up can go");

        Disk::open(&path, 1 << 20, Durability::Process).unwrap();
    }

    #[test]
    fn a_store_of_a_later_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let disk = Disk::open(&path, 1 << 20, Durability::Process).unwrap();
        disk.db.open_tree("meta").unwrap().insert("format", &[FORMAT + 1]).unwrap();
        disk.sync().unwrap();
        drop(disk);

        assert!(matches!(Disk::open(&path, 1 << 20, Durability::Process), Err(DiskError::TooNew)));
    }
}

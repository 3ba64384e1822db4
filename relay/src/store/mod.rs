//! What the relay remembers: room records, and handshake logs while their calls live. Ciphertext and public keys; no
//! address, no name, nothing of who was in what.
//!
//! ```text
//!   shard loop --submit--> [bounded queue] --> writer thread --> disk (sled)
//!       ^                                          |
//!       +------- answers, only after the sync -----+
//! ```

mod disk;
mod layout;
mod restore;
mod writer;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use conclave_federation::id::RelayId;
use conclave_relay_core::{Closure, Restored, RestoredLog, StoreFailed, StoreKey, StoredEntry, Write};
use tokio::sync::mpsc;

use self::disk::{Disk, DiskError};
pub use crate::config::settings::Durability;
use crate::failure::Failure;

/// Writes that may wait. The decisions above allow one for each room at a time.
const QUEUE: usize = 4_096;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The relay's data folder; made if it is not there.
    pub folder: PathBuf,
    /// Whose entries it holds: others are not believed.
    pub relay: RelayId,
    /// What an acknowledged entry survives.
    pub durability: Durability,
    /// Bytes of page cache.
    pub cache: u64,
    /// The wall clock, milliseconds since 1970: what is expired is removed.
    pub unix_ms: u64,
}

/// A store that is open.
pub struct Opened {
    /// Takes writes.
    pub store: Store,
    /// What it remembered.
    pub restored: Vec<Restored>,
    /// Rooms that the operator closed.
    pub closures: Vec<Closure>,
    /// What became of the writes.
    pub answers: mpsc::Receiver<Answer>,
}

/// What became of one write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Which.
    pub key: StoreKey,
    /// `Ok` when it is durable.
    pub result: Result<(), StoreFailed>,
}

struct Job {
    key: StoreKey,
    write: Write,
}

/// The store's near end.
pub struct Store {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
    health: Arc<Health>,
    // Held as long as the store is: the lock goes with the file.
    _lock: File,
}

/// How the store is, for metrics and `/readyz`.
#[derive(Debug, Default)]
pub struct Health {
    failed: AtomicBool,
    errors: AtomicU64,
    bytes: AtomicU64,
    syncs: [AtomicU64; SYNC_BOUNDS.len() + 1],
    sync_nanos: AtomicU64,
}

/// Upper bounds of the groups that [`Health::syncs`] counts, seconds; the last group is the rest.
pub const SYNC_BOUNDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

impl Health {
    /// Whether it writes.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        !self.failed.load(Relaxed)
    }

    /// Times that it stopped writing.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Bytes on disk when last looked at.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Groups of writes made durable, by how long it took; see [`SYNC_BOUNDS`].
    #[must_use]
    pub fn syncs(&self) -> [u64; SYNC_BOUNDS.len() + 1] {
        std::array::from_fn(|index| self.syncs.get(index).map_or(0, |count| count.load(Relaxed)))
    }

    /// All that time together.
    #[must_use]
    pub fn sync_time(&self) -> Duration {
        Duration::from_nanos(self.sync_nanos.load(Relaxed))
    }

    fn synced(&self, took: Duration) {
        let group = SYNC_BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(SYNC_BOUNDS.len());
        if let Some(count) = self.syncs.get(group) {
            count.fetch_add(1, Relaxed);
        }
        self.sync_nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn failed(&self) {
        self.failed.store(true, Relaxed);
        self.errors.fetch_add(1, Relaxed);
    }

    fn recovered(&self) {
        self.failed.store(false, Relaxed);
    }
}

impl Store {
    /// Locks the folder, opens the store in it, verifies what it holds and starts its thread.
    ///
    /// # Errors
    /// [`Failure::Unavailable`]: the folder is in use or not writable, or the store is damaged or of a later version.
    pub fn open(options: &Options) -> Result<Opened, Failure> {
        make_folder(&options.folder)?;
        let lock = lock(&options.folder)?;
        let folder = options.folder.join("store");
        let explain = |error: DiskError| explain(&folder, &error);
        let disk = writer::guarded(|| Disk::open(&folder, options.cache, options.durability)).map_err(explain)?;
        let (restored, found) = writer::guarded(|| restore::restore(&disk, options.relay, options.unix_ms)).map_err(explain)?;
        let closures: Vec<_> = writer::guarded(|| disk.closures().collect()).map_err(explain)?;
        tracing::info!(
            rooms = found.rooms,
            entries = found.entries,
            expired = found.expired,
            damaged = found.damaged,
            closed = closures.len(),
            "the store is open"
        );

        let health = Arc::new(Health::default());
        let (jobs, waiting) = sync_channel(QUEUE);
        let (answer, answers) = mpsc::channel(QUEUE);
        let writer = writer::Writer {
            folder,
            cache: options.cache,
            durability: options.durability,
            jobs: waiting,
            answers: answer,
            health: Arc::clone(&health),
            unconfirmed: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(disk))
            .map_err(|error| Failure::Runtime(format!("the system gives no thread for the store: {error}")))?;
        Ok(Opened { store: Self { jobs, thread, health, _lock: lock }, restored, closures, answers })
    }

    /// Hands a write over; never waits.
    ///
    /// # Errors
    /// When too many wait already: the write is not kept, and no answer follows.
    pub fn submit(&self, key: StoreKey, write: Write) -> Result<(), StoreFailed> {
        self.jobs.try_send(Job { key, write }).map_err(|error| StoreFailed {
            words: match error {
                TrySendError::Full(_) => "the relay's disk is too slow for its rooms: try again in a few seconds",
                TrySendError::Disconnected(_) => "the relay stops: connect again, or to another relay",
            }
            .to_owned(),
        })
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Writes out what was handed over, and ends. Answers that nobody takes are lost; their writes are not.
    pub fn close(self, answers: mpsc::Receiver<Answer>) {
        let Self { jobs, thread, _lock, .. } = self;
        drop(answers);
        drop(jobs);
        if thread.join().is_err() {
            tracing::error!("the store's thread had ended by a bug; what was acknowledged had been written");
        }
    }
}

fn make_folder(folder: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unusable(folder, &error))
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| unusable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::Unavailable(format!(
            "{}: the data folder is in use by another process: stop that one, or give this relay its own relay.data_dir",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(folder, &error)),
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    Failure::Unavailable(format!(
        "{}: the data folder cannot be used: {error}: make it writable for the relay's user, or name another in relay.data_dir",
        folder.display()
    ))
}

fn explain(folder: &Path, error: &DiskError) -> Failure {
    let shown = folder.display();
    Failure::Unavailable(match error {
        DiskError::Io(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            format!("{shown}: the disk is full: free some space and start again; nothing that was acknowledged is lost")
        }
        DiskError::Io(error) => {
            format!("{shown}: the store cannot be opened: {error}: check the disk and the folder's permissions")
        }
        DiskError::TooNew => {
            format!(
                "{shown}: the store was written by a later version of the relay: update, or start with another relay.data_dir"
            )
        }
        DiskError::Damaged | DiskError::Engine(_) | DiskError::Panicked => format!(
            "{shown}: the store is damaged ({error}): move this folder away and start again; the relay then begins empty, and rooms \
             made here have to be made anew"
        ),
    })
}

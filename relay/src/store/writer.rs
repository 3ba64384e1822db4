//! The store's own thread: takes what is waiting, applies all of it, syncs once, answers all.
//!
//! ```text
//!   writes --> [open] --- one fails ---> [failed] --- pause is over and it opens ---> [open]
//!                 |                          |
//!                 +-- Ok after the sync      +-- Err at once: nothing is promised that is not kept
//! ```

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering::Relaxed,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc::Sender;

use super::{
    Answer, Durability, Health, Job, StoreFailed, Write,
    disk::{Disk, DiskError, Step},
    layout::Call,
};

/// Writes that share one sync. More would only make the first of them wait.
const BATCH: usize = 64;

/// First pause before the store is opened again; doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(250);
/// See [`RETRY_MIN`]. After the disk has space again, entries are kept again within this time.
const RETRY_MAX: Duration = Duration::from_secs(4);

/// How often the size on disk is looked at when nothing happens.
const IDLE: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    pub(super) folder: PathBuf,
    pub(super) cache: u64,
    pub(super) durability: Durability,
    pub(super) jobs: Receiver<Job>,
    pub(super) answers: Sender<Answer>,
    pub(super) health: Arc<Health>,
    /// Applied but never confirmed: taken back before the store is used again, so that no entry comes back from the dead.
    pub(super) unconfirmed: Vec<Unconfirmed>,
}

/// An entry that may be in the store and may not be believed.
pub(super) struct Unconfirmed {
    call: Call,
    seq: u64,
    /// What was the room's record before, when the entry brings another one.
    record: Option<sled::IVec>,
}

enum State {
    Open(Disk),
    Failed { pause: Duration, until: Instant },
}

impl Writer {
    pub(super) fn run(mut self, disk: Disk) {
        self.measure(&disk);
        let mut state = State::Open(disk);
        let mut deleting = true;
        loop {
            // Before the next jobs are looked at: they must not keep the store from coming back.
            if matches!(&state, State::Failed { until, .. } if *until <= Instant::now()) {
                state = self.idle(state, &mut deleting);
            }
            let patience = match &state {
                State::Open(_) if deleting => Duration::ZERO,
                State::Open(_) => IDLE,
                State::Failed { until, .. } => until.saturating_duration_since(Instant::now()),
            };
            match self.jobs.recv_timeout(patience) {
                Ok(job) => {
                    let mut jobs = vec![job];
                    let mut last = false;
                    while jobs.len() < BATCH && !last {
                        match self.jobs.try_recv() {
                            Ok(job) => jobs.push(job),
                            Err(TryRecvError::Empty) => break,
                            Err(TryRecvError::Disconnected) => last = true,
                        }
                    }
                    deleting |= jobs.iter().any(|job| matches!(job.write, Write::Forget { .. }));
                    state = self.batch(state, jobs);
                }
                Err(RecvTimeoutError::Timeout) => state = self.idle(state, &mut deleting),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let State::Open(disk) = state
            && let Err(error) = guarded(|| disk.sync())
        {
            tracing::error!(%error, "the store could not be written out at the end; what was acknowledged had been");
        }
    }

    fn batch(&mut self, state: State, jobs: Vec<Job>) -> State {
        let State::Open(disk) = state else {
            for job in jobs {
                self.answer(&job, Err(()));
            }
            return state;
        };
        let begun = Instant::now();
        let mut applied = Vec::new();
        let written = guarded(|| {
            for job in &jobs {
                if let Write::Append { room, instance, seq, entry } = &job.write {
                    let record = if entry.entry.record.is_some() { disk.record(*room)? } else { None };
                    applied.push(Unconfirmed { call: Call { room: *room, instance: *instance }, seq: *seq, record });
                }
                disk.apply(&job.write)?;
            }
            disk.sync()
        });
        match written {
            Ok(()) => {
                self.health.synced(begun.elapsed());
                for job in jobs {
                    self.answer(&job, Ok(()));
                }
                State::Open(disk)
            }
            Err(error) => {
                // Before the answers: whoever has one may look.
                self.health.failed();
                self.unconfirmed.append(&mut applied);
                for job in jobs {
                    self.answer(&job, Err(()));
                }
                self.fail(disk, &error)
            }
        }
    }

    fn fail(&self, disk: Disk, error: &DiskError) -> State {
        tracing::error!(%error, "the store cannot write: calls go on, joining and leaving them does not; free disk space or mend the disk");
        // Its way out may fail as well, in whatever way.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(disk)));
        State::Failed { pause: RETRY_MIN, until: Instant::now() + RETRY_MIN }
    }

    fn idle(&mut self, state: State, deleting: &mut bool) -> State {
        match state {
            State::Open(disk) if *deleting => match guarded(|| disk.delete_step()) {
                Ok(step) => {
                    *deleting = step == Step::More;
                    State::Open(disk)
                }
                Err(error) => {
                    self.health.failed();
                    self.fail(disk, &error)
                }
            },
            State::Open(disk) => {
                self.measure(&disk);
                State::Open(disk)
            }
            State::Failed { pause, .. } => match guarded(|| self.reopen()) {
                Ok(disk) => {
                    self.unconfirmed.clear();
                    self.health.recovered();
                    *deleting = true;
                    tracing::info!("the store writes again");
                    State::Open(disk)
                }
                Err(error) => {
                    tracing::debug!(%error, "the store still cannot write");
                    let pause = (pause * 2).min(RETRY_MAX);
                    State::Failed { pause, until: Instant::now() + pause }
                }
            },
        }
    }

    fn reopen(&self) -> Result<Disk, DiskError> {
        let disk = Disk::open(&self.folder, self.cache, self.durability)?;
        for Unconfirmed { call, seq, record } in &self.unconfirmed {
            disk.take_back(*call, *seq, record.as_deref())?;
        }
        disk.sync()?;
        Ok(disk)
    }

    fn measure(&self, disk: &Disk) {
        self.health.bytes.store(disk.bytes(), Relaxed);
    }

    fn answer(&self, job: &Job, result: Result<(), ()>) {
        let result = result.map_err(|()| StoreFailed {
            words: "the relay cannot store entries now, its disk may be full: try again in a few seconds, or tell its operator"
                .to_owned(),
        });
        // Nobody listens any more only when the process ends.
        let _ = self.answers.blocking_send(Answer { key: job.key, result });
    }
}

/// The engine's bugs are panics; they are its failure, not the process's.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(DiskError::Panicked))
}

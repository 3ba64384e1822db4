//! A disk without space: writes fail, nothing acknowledged is lost, nothing panics, and it goes on when there is space again.
//!
//! Two ways to a full disk, because mounting is not always allowed: a small tmpfs, and a limit on the size of files in a child
//! process. The second always runs, so that this is never skipped in silence.

mod fixture;
mod running;
mod tmpfs;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use conclave_federation::record::RoomRecord;
use conclave_relay::store::{Durability, Opened, Options, Store};
use conclave_relay_core::{StoreKey, StoredEntry, Write};
use fixture::{LogWriter, UNIX_MS, record, relay};
use running::{Relay, assert_ended, init};
use tmpfs::Tmpfs;

/// Names the folder for [`a_limit_on_file_sizes_is_met_without_loss`]'s child.
const CHILD: &str = "CONCLAVE_FULL_DISK_FOLDER";

/// How long the store may take to write again after there is space.
const RECOVERY: Duration = Duration::from_secs(10);

fn open(folder: &Path) -> Opened {
    Store::open(&Options {
        folder: folder.to_owned(),
        relay: relay(),
        durability: Durability::Fsync,
        cache: 4 << 20,
        unix_ms: UNIX_MS,
    })
    .unwrap()
}

fn store(opened: &mut Opened, write: Write) -> Result<(), conclave_relay_core::StoreFailed> {
    opened.store.submit(StoreKey(1), write)?;
    opened.answers.blocking_recv().unwrap().result
}

/// The next entry. Each brings a record, so the one that is refused does.
fn next(log: &mut LogWriter) -> (Write, StoredEntry) {
    let write = log.turn(9_000, 3_000, record(1, log.seq() + 2));
    let Write::Append { entry, .. } = &write else { unreachable!("an append") };
    let entry = entry.clone();
    (write, entry)
}

/// Appends until the store refuses: what it acknowledged.
fn fill(opened: &mut Opened, log: &mut LogWriter) -> Vec<StoredEntry> {
    let mut acknowledged = Vec::new();
    store(opened, Write::Record(record(1, 1))).unwrap();
    for _ in 0..100_000 {
        let before = log.clone();
        let (write, entry) = next(log);
        match store(opened, write) {
            Ok(()) => acknowledged.push(entry),
            Err(failed) => {
                *log = before;
                assert!(failed.words.contains("disk may be full"), "{failed}");
                return acknowledged;
            }
        }
    }
    panic!("the disk did not become full");
}

/// The record of the room.
fn records(opened: &Opened) -> Option<&RoomRecord> {
    opened.restored.first().map(|room| &room.record)
}

/// The last record that an entry brought.
fn newest(entries: &[StoredEntry]) -> Option<&RoomRecord> {
    entries.iter().rev().find_map(|stored| stored.entry.record.as_ref())
}

fn entries(opened: &Opened) -> &[StoredEntry] {
    opened.restored.first().and_then(|room| room.logs.first()).map_or(&[], |log| &log.entries)
}

#[test]
fn a_full_disk_refuses_entries_loses_none_and_recovers_by_itself() {
    let Some(tmpfs) = Tmpfs::mount("16m") else { return };
    let folder = tmpfs.path().join("data");
    let ballast = tmpfs.path().join("ballast");
    fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let mut opened = open(&folder);
    let mut log = LogWriter::new(record(1, 1).room, 1);

    let mut acknowledged = fill(&mut opened, &mut log);
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    assert!(!opened.store.health().is_ok());

    fs::remove_file(&ballast).unwrap();
    let begun = Instant::now();
    // Each answer is an event; the store answers at once as long as it cannot write.
    while !opened.store.health().is_ok() {
        assert!(begun.elapsed() < RECOVERY, "no recovery after {RECOVERY:?}");
        std::thread::yield_now();
    }
    println!("writes again {:?} after there was space", begun.elapsed());
    let before = log.clone();
    let write = log.append(100, 0);
    let Write::Append { entry, .. } = &write else { unreachable!("an append") };
    acknowledged.push(entry.clone());
    assert_eq!(store(&mut opened, write), Ok(()));
    assert_eq!(before.seq() + 1, log.seq());
    opened.store.close(opened.answers);

    let opened = open(&folder);
    assert_eq!(entries(&opened), acknowledged, "what was acknowledged, and nothing of what was refused");
    assert_eq!(records(&opened), newest(&acknowledged), "an entry that was refused leaves no record behind");
    opened.store.close(opened.answers);
}

#[test]
fn a_relay_does_not_start_on_a_full_disk_and_says_so() {
    let Some(tmpfs) = Tmpfs::mount("1m") else { return };
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    symlink(tmpfs.path(), folder.path().join("data")).unwrap();
    let mut ballast = 1 << 20;
    while ballast > 0 && fs::write(tmpfs.path().join(format!("ballast-{ballast}")), vec![0; ballast]).is_err() {
        ballast /= 2;
    }
    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 69, &said, &["disk"]);
}

#[test]
fn a_limit_on_file_sizes_is_met_without_loss() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return limited(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    // Blocks of 512 B: 4 MiB. The signal is ignored, so that the write fails instead; children inherit both.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact --nocapture a_limit_on_file_sizes_is_met_without_loss"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let count: usize =
        said.split("acknowledged ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().parse().unwrap();
    assert!(count > 10, "{said}");

    let opened = open(folder.path());
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let expected: Vec<StoredEntry> = (0..count).map(|_| next(&mut log).1).collect();
    let found = entries(&opened);
    assert_eq!(found.get(..count), Some(expected.as_slice()));
    // The child ended without taking back what it had refused; that much a crash may leave.
    assert!(found.len() <= count + 1, "{} of {count}", found.len());
    assert_eq!(records(&opened), newest(found), "the entry and its record, or neither");
    opened.store.close(opened.answers);
}

/// In the child: fills up to the limit.
fn limited(folder: &Path) {
    let mut opened = open(folder);
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let acknowledged = fill(&mut opened, &mut log);
    assert!(!opened.store.health().is_ok());
    println!("acknowledged {} ", acknowledged.len());
    opened.store.close(opened.answers);
}

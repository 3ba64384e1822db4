//! Kills a process with `kill -9` in the middle of its commits, fifty times, and looks for what it had acknowledged.
//!
//! The child is this very program: it stores entries in eight rooms at once and says each one on standard output once it is
//! acknowledged, never before. The parent reads some of these lines, kills, reads what is left in the pipe, opens the store
//! and looks for every line. A plain program instead of the usual harness, because the child must not be one.

mod fixture;

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use conclave_federation::id::Instance;
use conclave_relay::store::{Durability, Opened, Options, Store};
use conclave_relay_core::{StoreKey, Write};
use fixture::{LogWriter, UNIX_MS, record, relay};

const NAME: &str = "nothing_acknowledged_is_lost_by_fifty_kills";
const CHILD: &str = "CONCLAVE_KILL_NINE_FOLDER";
const KILLS: u64 = 50;
const ROOMS: u8 = 8;
/// Entries of a call before the next one begins, and the one before the last is forgotten.
const CALL_LENGTH: u64 = 40;
/// Every so many entries bring a record that takes the place of the room's.
const TURNS: u64 = 5;

fn main() {
    if let Some(folder) = env::var_os(CHILD) {
        child(Path::new(&folder));
    }
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if env::args().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return;
    }
    if !wanted.is_empty() && !wanted.iter().any(|part| NAME.contains(part.as_str())) {
        return;
    }
    println!("test {NAME} ...");
    parent();
    println!("test {NAME} ... ok");
}

fn open(folder: &Path) -> Opened {
    let options =
        Options { folder: folder.to_owned(), relay: relay(), durability: Durability::Fsync, cache: 8 << 20, unix_ms: UNIX_MS };
    Store::open(&options).expect("the store opens after a kill")
}

/// Where each room's current log stands in an open store.
fn writers(opened: &Opened) -> Vec<LogWriter> {
    (1..=ROOMS)
        .map(|founder| {
            let room = record(founder, 1).room;
            let found = opened.restored.iter().find(|restored| restored.record.room == room);
            let current = found.and_then(|restored| restored.logs.iter().max_by_key(|log| log.instance));
            current.map_or_else(|| LogWriter::new(room, 1), |log| LogWriter::resume(room, log.instance.0, &log.entries))
        })
        .collect()
}

/// Stores until it is killed.
fn child(folder: &Path) -> ! {
    let mut opened = open(folder);
    let mut writers = writers(&opened);
    let mut out = std::io::stdout();
    let mut key = 0;
    let mut waiting: BTreeMap<StoreKey, (usize, String)> = BTreeMap::new();
    let mut submit = |opened: &Opened, waiting: &mut BTreeMap<_, _>, room: usize, write: Write, line: String| {
        key += 1;
        waiting.insert(StoreKey(key), (room, line));
        opened.store.submit(StoreKey(key), write).expect("there is room in the queue");
    };
    for (room, founder) in (1..=ROOMS).enumerate() {
        let id = record(founder, 1).room;
        // Not below the one that an entry brought.
        let known = opened.restored.iter().find(|restored| restored.record.room == id).map_or(1, |known| known.record.seq);
        submit(&opened, &mut waiting, room, Write::Record(record(founder, known)), format!("record {founder}"));
    }
    loop {
        let answer = opened.answers.blocking_recv().expect("the store's thread lives");
        answer.result.expect("the disk has space");
        let (room, line) = waiting.remove(&answer.key).expect("answered once");
        writeln!(out, "{line}").and_then(|()| out.flush()).expect("the parent reads");
        let Some(writer) = writers.get_mut(room) else { continue };
        if writer.seq() >= CALL_LENGTH {
            *writer = LogWriter::new(writer.room, writer.instance.0 + 1);
            if let Some(old) = writer.instance.0.checked_sub(2).filter(|old| *old > 0) {
                let forget = Write::Forget { room: writer.room, instance: Instance(old) };
                submit(&opened, &mut waiting, room, forget, format!("forget {room} {old}"));
                continue;
            }
        }
        let (instance, seq) = (writer.instance.0, writer.seq());
        // From a few bytes to several chunks.
        let size = usize::try_from((seq * 7_919 + u64::from(instance)) % 15_000).unwrap_or(0);
        // Some bring a record: of the call and the place.
        let brought = u64::from(instance) * 1_000 + seq;
        let founder = u8::try_from(room + 1).expect("few rooms");
        let append =
            if seq % TURNS == 1 { writer.turn(size, size / 3, record(founder, brought)) } else { writer.append(size, size / 3) };
        submit(&opened, &mut waiting, room, append, format!("append {room} {instance} {seq}"));
    }
}

fn parent() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut acknowledged: BTreeMap<(usize, u32), u64> = BTreeMap::new();
    let mut forgotten: Vec<(usize, u32)> = Vec::new();
    let (mut slowest, mut lines) = (Duration::ZERO, 0_u64);
    for round in 0..KILLS {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .env(CHILD, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut heard = BufReader::new(child.stdout.take().expect("its output")).lines();
        // Every tenth is killed while it opens, the others after more or fewer commits, in the middle of the next.
        let patience = if round % 10 == 9 { 0 } else { round * 37 % 120 + 1 };
        let mut told: Vec<String> = Vec::new();
        while (told.len() as u64) < patience {
            match heard.next() {
                Some(line) => told.push(line.expect("text")),
                None => panic!("the child ended by itself: {:?}", child.wait()),
            }
        }
        child.kill().expect("killed");
        child.wait().expect("ended");
        // A line that was cut by the kill was not said.
        told.extend(heard.map_while(Result::ok));
        for line in &told {
            lines += 1;
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["append", room, instance, seq] => {
                    let (Ok(room), Ok(instance), Ok(seq)) = (room.parse(), instance.parse(), seq.parse::<u64>()) else {
                        continue;
                    };
                    acknowledged.insert((room, instance), seq + 1);
                }
                ["forget", room, instance] => {
                    let (Ok(room), Ok(instance)) = (room.parse(), instance.parse()) else { continue };
                    acknowledged.remove(&(room, instance));
                    forgotten.push((room, instance));
                }
                _ => {}
            }
        }

        let begun = Instant::now();
        let opened = open(folder.path());
        slowest = slowest.max(begun.elapsed());
        check(&opened, &mut acknowledged, &forgotten, round);
        opened.store.close(opened.answers);
    }
    println!("{lines} acknowledged over {KILLS} kills, none lost; slowest opening {slowest:?}");
    assert!(lines > KILLS * 10, "the children did not do much: {lines}");
}

fn check(opened: &Opened, acknowledged: &mut BTreeMap<(usize, u32), u64>, forgotten: &[(usize, u32)], round: u64) {
    for restored in &opened.restored {
        let mut logs: Vec<_> = restored.logs.iter().collect();
        logs.sort_by_key(|log| log.instance);
        let brought = logs.iter().flat_map(|log| &log.entries).filter_map(|stored| stored.entry.record.as_ref()).next_back();
        let newest = brought.map_or(1, |record| record.seq);
        assert_eq!(restored.record.seq, newest, "kill {round}: the newest entry that brings a record and the record go together");
    }
    let log = |room: usize, instance: u32| {
        let founder = u8::try_from(room + 1).expect("few rooms");
        let restored = opened.restored.iter().find(|restored| restored.record.room == record(founder, 1).room);
        restored.and_then(|restored| restored.logs.iter().find(|log| log.instance.0 == instance))
    };
    let entries = |room: usize, instance: u32| log(room, instance).map_or(0, |log| log.entries.len() as u64);
    acknowledged.retain(|(room, instance), count| {
        let found = entries(*room, *instance);
        if found == 0 && entries(*room, instance + 1) >= CALL_LENGTH {
            // It was being forgotten, and that was not said any more.
            return false;
        }
        // One more may have been stored and not said any more.
        assert!(
            found == *count || found == *count + 1,
            "kill {round}: room {room} call {instance} has {found} entries, {count} were acknowledged"
        );
        *count = found;
        true
    });
    for (room, instance) in forgotten {
        assert!(log(*room, *instance).is_none_or(|log| log.entries.is_empty()), "kill {round}: a forgotten log came back");
    }
}

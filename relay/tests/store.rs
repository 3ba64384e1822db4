//! The store from outside: what was acknowledged is there again, and nothing else is.

mod fixture;

use std::{collections::BTreeMap, fs, path::Path};

use conclave_federation::{
    id::{Instance, RoomId},
    record::CallKeys,
};
use conclave_relay::{
    failure::Failure,
    store::{Durability, Opened, Options, Store},
};
use conclave_relay_core::{Restored, StoreKey, StoredEntry, Write};
use fixture::{LogWriter, UNIX_MS, founder_key, record, record_until, relay};
use proptest::prelude::*;

fn options(folder: &Path) -> Options {
    Options { folder: folder.to_owned(), relay: relay(), durability: Durability::Process, cache: 8 << 20, unix_ms: UNIX_MS }
}

fn open(folder: &Path) -> Opened {
    Store::open(&options(folder)).unwrap()
}

/// Hands writes over and waits for all answers.
fn write(opened: &mut Opened, writes: Vec<Write>) {
    let count = writes.len();
    for (key, write) in (0..).zip(writes) {
        opened.store.submit(StoreKey(key), write).unwrap();
    }
    for key in 0..count as u64 {
        let answer = opened.answers.blocking_recv().unwrap();
        assert_eq!((answer.key, answer.result), (StoreKey(key), Ok(())), "answers come in order");
    }
}

fn close(opened: Opened) {
    opened.store.close(opened.answers);
}

fn logs(restored: &[Restored]) -> BTreeMap<(RoomId, u32), Vec<StoredEntry>> {
    restored
        .iter()
        .flat_map(|room| room.logs.iter().map(|log| ((room.record.room, log.instance.0), log.entries.clone())))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copy(&file.path(), &target);
        } else {
            fs::copy(file.path(), target).unwrap();
        }
    }
}

#[test]
fn records_and_logs_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut first, mut second) = (LogWriter::new(record(1, 1).room, 1), LogWriter::new(record(2, 1).room, 4));
    let entries: Vec<StoredEntry> = (0..20).map(|size| first.entry(size * 311, size * 97)).collect();
    let mut opened = open(folder.path());
    assert!(opened.restored.is_empty());
    let appends = (0..).zip(&entries).map(|(seq, entry)| Write::Append {
        room: first.room,
        instance: first.instance,
        seq,
        entry: entry.clone(),
    });
    write(&mut opened, [Write::Record(record(1, 1)), Write::Record(record(2, 1))].into_iter().chain(appends).collect());
    write(&mut opened, vec![Write::Record(record(2, 2)), second.append(10, 0)]);
    close(opened);

    let opened = open(folder.path());

    let mut seqs: Vec<(RoomId, u64)> = opened.restored.iter().map(|room| (room.record.room, room.record.seq)).collect();
    seqs.sort_unstable();
    let mut expected = vec![(first.room, 1), (second.room, 2)];
    expected.sort_unstable();
    assert_eq!(seqs, expected, "of each room the newest record");
    let logs = logs(&opened.restored);
    assert_eq!(logs.get(&(first.room, 1)), Some(&entries));
    assert_eq!(logs.get(&(second.room, 4)).map(Vec::len), Some(1));
    close(opened);
}

#[test]
fn the_keys_of_a_call_and_the_record_of_a_generation_come_back_with_their_entries() {
    let folder = tempfile::tempdir().unwrap();
    let first = record(1, 1);
    let mut log = LogWriter::new(first.room, 1);
    let key = founder_key(1);
    let call = CallKeys::issue(&key, first.room, Instance(1), first.generation, first.access, [7; 32]);
    let mut genesis = log.append(32, 0);
    if let Write::Append { entry, .. } = &mut genesis {
        entry.call = Some(call.clone());
    }
    let mut opened = open(folder.path());
    write(&mut opened, vec![Write::Record(first), genesis, log.turn(9_000, 5_000, record(1, 2)), log.append(10, 10)]);
    close(opened);

    let opened = open(folder.path());
    let logs = logs(&opened.restored);
    let entries = &logs[&(log.room, 1)];
    assert_eq!(entries.iter().map(|entry| entry.call.as_ref()).collect::<Vec<_>>(), [Some(&call), None, None]);
    assert_eq!(entries[1].entry.record, Some(record(1, 2)));
    assert_eq!(opened.restored.first().map(|room| &room.record), Some(&record(1, 2)), "it took the place of the first");
    close(opened);
}

#[test]
fn the_largest_entry_goes_in_pieces_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let largest = conclave_federation::limits::MAX_SEALED;
    let mut opened = open(folder.path());
    write(&mut opened, vec![Write::Record(record(1, 1)), log.append(1, 0), log.append(largest, largest), log.append(4096, 4096)]);
    close(opened);

    let opened = open(folder.path());
    let logs = logs(&opened.restored);
    let entries = &logs[&(log.room, 1)];
    assert_eq!(entries.iter().map(|entry| entry.welcome.len()).collect::<Vec<_>>(), [0, largest, 4096]);
    assert_eq!(
        fs::read_dir(folder.path().join("store/blobs")).map_or(0, Iterator::count),
        0,
        "values were small enough to stay inside"
    );
    close(opened);
}

#[test]
fn what_is_answered_is_on_disk_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let mut opened = Store::open(&Options { durability: Durability::Fsync, ..options(folder.path()) }).unwrap();
    let synced = |opened: &Opened| opened.store.health().syncs().iter().sum::<u64>();
    write(&mut opened, vec![Write::Record(record(1, 1))]);
    for count in 1..=8_u64 {
        let before = synced(&opened);
        write(&mut opened, vec![log.append(2_000, 6_000)]);
        assert_eq!(synced(&opened), before + 1, "one sync for one answer, before it");

        // As if the process had died now: a copy of the folder, taken while the store is open.
        let dead = tempfile::tempdir().unwrap();
        copy(folder.path(), dead.path());
        let again = open(dead.path());
        assert_eq!(logs(&again.restored)[&(log.room, 1)].len() as u64, count);
        close(again);
    }
    close(opened);
}

#[test]
fn one_sync_serves_all_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let mut opened = open(folder.path());
    write(&mut opened, (0..500).map(|_| log.append(100, 0)).collect());
    let syncs: u64 = opened.store.health().syncs().iter().sum();
    assert!(syncs < 500, "{syncs} syncs for 500 writes handed over at once");
    close(opened);
}

#[test]
fn a_forgotten_log_does_not_come_back_and_its_number_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let room = record(1, 1).room;
    let (mut old, mut current) = (LogWriter::new(room, 1), LogWriter::new(room, 2));
    let mut opened = open(folder.path());
    let mut writes = vec![Write::Record(record(1, 1))];
    // More chunks than one step of deleting takes.
    writes.extend((0..40).map(|_| old.append(60_000, 0)));
    writes.push(current.append(10, 0));
    writes.push(Write::Forget { room, instance: Instance(1) });
    write(&mut opened, writes);
    close(opened);

    let mut opened = open(folder.path());
    assert_eq!(logs(&opened.restored).keys().map(|(_, instance)| *instance).collect::<Vec<_>>(), [2]);
    write(&mut opened, vec![Write::Forget { room, instance: Instance(2) }]);
    close(opened);

    let opened = open(folder.path());
    let logs = logs(&opened.restored);
    assert_eq!(logs.get(&(room, 2)).map(Vec::len), Some(0), "empty, but the next call is the third");
    assert_eq!(logs.len(), 1);
    close(opened);
}

#[test]
fn expired_rooms_are_gone_at_the_next_start_with_their_logs() {
    let folder = tempfile::tempdir().unwrap();
    let (short, long) = (record_until(1, 1, UNIX_MS + 1_000), record(2, 1));
    let (mut first, mut second) = (LogWriter::new(short.room, 1), LogWriter::new(long.room, 1));
    let mut opened = open(folder.path());
    write(
        &mut opened,
        vec![Write::Record(short.clone()), Write::Record(long.clone()), first.append(9_000, 0), second.append(1, 0)],
    );
    close(opened);

    let later = Options { unix_ms: UNIX_MS + 3_600_000, ..options(folder.path()) };
    let opened = Store::open(&later).unwrap();
    assert_eq!(opened.restored.iter().map(|room| room.record.room).collect::<Vec<_>>(), [long.room]);
    close(opened);

    // And it stays gone for a clock that was set back.
    let opened = open(folder.path());
    assert_eq!(opened.restored.len(), 1);
    close(opened);
}

#[test]
fn a_folder_in_use_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path());
    let second = Store::open(&options(folder.path())).map(close);
    let Err(Failure::Unavailable(words)) = second else { panic!("{second:?}") };
    assert!(words.contains("in use by another process") && words.contains("relay.data_dir"), "{words}");
    close(opened);
    close(open(folder.path()));
}

#[test]
fn a_file_in_the_folders_place_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    fs::write(&file, "not a folder").unwrap();
    let refused = Store::open(&options(&file)).map(close);
    assert!(matches!(&refused, Err(Failure::Unavailable(words)) if words.contains("relay.data_dir")), "{refused:?}");
}

#[test]
fn a_store_full_of_noise_is_refused_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let mut opened = open(folder.path());
    write(&mut opened, vec![Write::Record(record(1, 1)), log.append(20_000, 0)]);
    close(opened);
    let store = folder.path().join("store");
    let data = store.join("db");
    let noise: Vec<u8> = fs::read(&data).unwrap().iter().map(|byte| byte.wrapping_mul(31).wrapping_add(7)).collect();
    fs::write(&data, noise).unwrap();

    match Store::open(&options(folder.path())) {
        Err(Failure::Unavailable(words)) => assert!(words.contains("damaged") || words.contains("cannot be opened"), "{words}"),
        Err(other) => panic!("{other:?}"),
        // The engine may decide that nothing of it was ever written: then nothing of it is served.
        Ok(opened) => {
            assert!(logs(&opened.restored).values().all(Vec::is_empty));
            close(opened);
        }
    }
}

/// Opens copies of a store with damage done to its data file, and looks at what is served.
fn damaged(copies: u64, damage: impl Fn(&mut Vec<u8>, u64)) -> (usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut log = LogWriter::new(record(1, 1).room, 1);
    let mut opened = open(folder.path());
    write(&mut opened, vec![Write::Record(record(1, 1))]);
    for size in 0..40 {
        write(&mut opened, vec![log.append(size * 400, size * 100)]);
    }
    close(opened);
    let opened = open(folder.path());
    let whole = logs(&opened.restored)[&(log.room, 1)].clone();
    close(opened);
    assert_eq!(whole.len(), 40);

    let (mut refused, mut less) = (0, 0);
    for number in 0..copies {
        let hurt = tempfile::tempdir().unwrap();
        copy(folder.path(), hurt.path());
        let data = hurt.path().join("store/db");
        let mut bytes = fs::read(&data).unwrap();
        damage(&mut bytes, number);
        fs::write(&data, bytes).unwrap();
        match Store::open(&options(hurt.path())) {
            Err(Failure::Unavailable(_)) => refused += 1,
            Err(other) => panic!("damage {number}: {other:?}"),
            Ok(opened) => {
                for ((room, instance), entries) in logs(&opened.restored) {
                    assert_eq!(room, log.room);
                    let sound = instance == 1 && whole.starts_with(&entries);
                    assert!(sound || entries.is_empty(), "damage {number}: something else than what was stored is served");
                    less += usize::from(entries.len() < whole.len());
                }
                close(opened);
            }
        }
    }
    (refused, less)
}

/// A number that looks like chance and is the same every time.
fn scatter(number: u64) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize
}

#[test]
fn a_flipped_bit_is_refused_or_set_aside_and_never_served() {
    let (refused, less) = damaged(60, |bytes, number| {
        // In the part that was written; the rest of the file is empty.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let at = scatter(number) % end;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (number % 8);
        }
    });
    assert!(refused + less > 0, "no flip met anything that matters");
}

#[test]
fn a_cut_file_is_refused_or_its_log_ends_earlier_and_nothing_wrong_is_served() {
    let (refused, less) = damaged(20, |bytes, number| {
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        bytes.truncate(scatter(number) % end);
    });
    assert!(refused + less > 0, "no cut met anything that matters");
}

/// One step of the model.
#[derive(Clone, Debug)]
enum Act {
    Record { room: u8, seq: u64 },
    Append { room: u8, commit: usize, welcome: usize },
    NextCall { room: u8 },
    Forget { room: u8, back: u32 },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let room = 1..4_u8;
    prop_oneof![
        1 => (room.clone(), 1..5_u64).prop_map(|(room, seq)| Act::Record { room, seq }),
        6 => (room.clone(), 0..9_000_usize, 0..9_000_usize).prop_map(|(room, commit, welcome)| Act::Append { room, commit, welcome }),
        1 => room.clone().prop_map(|room| Act::NextCall { room }),
        1 => (room, 0..3_u32).prop_map(|(room, back)| Act::Forget { room, back }),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_remembers_what_a_map_remembers(acts in proptest::collection::vec(act(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut records: BTreeMap<RoomId, u64> = BTreeMap::new();
        let mut model: BTreeMap<(RoomId, u32), Vec<StoredEntry>> = BTreeMap::new();
        let mut writers: BTreeMap<u8, LogWriter> = (1..4).map(|room| (room, LogWriter::new(record(room, 1).room, 1))).collect();
        let mut opened = open(folder.path());
        for room in 1..4 {
            write(&mut opened, vec![Write::Record(record(room, 1))]);
            records.insert(record(room, 1).room, 1);
        }
        for act in acts.into_iter().chain([Act::Restart]) {
            match act {
                Act::Record { room, seq } => {
                    write(&mut opened, vec![Write::Record(record(room, seq))]);
                    records.insert(record(room, seq).room, seq);
                }
                Act::Append { room, commit, welcome } => {
                    let writer = writers.get_mut(&room).unwrap();
                    let append = writer.append(commit, welcome);
                    let Write::Append { room, instance, entry, .. } = &append else { unreachable!("an append") };
                    model.entry((*room, instance.0)).or_default().push(entry.clone());
                    write(&mut opened, vec![append]);
                }
                Act::NextCall { room } => {
                    let writer = writers.get_mut(&room).unwrap();
                    *writer = LogWriter::new(writer.room, writer.instance.0 + 1);
                }
                Act::Forget { room, back } => {
                    let writer = writers.get_mut(&room).unwrap();
                    let instance = writer.instance.0.saturating_sub(back).max(1);
                    write(&mut opened, vec![Write::Forget { room: writer.room, instance: Instance(instance) }]);
                    model.remove(&(writer.room, instance));
                    if instance == writer.instance.0 {
                        *writer = LogWriter::new(writer.room, instance + 1);
                    }
                }
                Act::Restart => {
                    close(opened);
                    opened = open(folder.path());
                    let found: BTreeMap<RoomId, u64> = opened.restored.iter().map(|room| (room.record.room, room.record.seq)).collect();
                    prop_assert_eq!(&found, &records);
                    let mut found = logs(&opened.restored);
                    found.retain(|_, entries| !entries.is_empty());
                    prop_assert_eq!(&found, &model);
                }
            }
        }
        close(opened);
    }
}

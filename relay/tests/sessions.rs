//! Real processes with real sessions: entries survive `kill -9`, relays link, garbage ends one session, an end is told.

mod client;
mod fixture;
mod running;
mod tmpfs;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use client::Client;
use conclave_federation::{
    id::{Instance, RelayId},
    record::RoomRecord,
    wire::{
        List, Text,
        code::Code,
        message::{Answer, PutRecord, Request, Resolve, Resolved, Via},
    },
};
use conclave_relay::store::{Durability, Options, Store};
use conclave_relay_core::{StoreKey, Write};
use fixture::{LogWriter, founder_key, record_at};
use running::{Relay, get, init};
use tmpfs::Tmpfs;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn connect(relay: &Relay) -> Client {
    Client::connect(&relay.ready("listen"), &relay.ready("relay")).await
}

fn record(relay: &Relay, founder: u8) -> RoomRecord {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    record_at(founder, 1, now + 3_600_000, RelayId::from_hex(&relay.ready("relay")).unwrap())
}

async fn resolve(client: &mut Client, record: &RoomRecord, via: Option<Via>) -> Resolved {
    match client.ask(Request::Resolve(Resolve { via, room: record.room })).await {
        Answer::Resolved(resolved) => *resolved,
        other => panic!("{other:?}"),
    }
}

/// Registers a room and begins its first call: the log after the genesis.
async fn found(client: &mut Client, record: &RoomRecord, founder: u8) -> LogWriter {
    let put = client.ask(Request::PutRecord(PutRecord { via: None, record: record.clone() })).await;
    assert_eq!(put, Answer::Done(()));
    let mut log = LogWriter::new(record.room, 1);
    let genesis = client.ask(Request::Append(log.offer(&founder_key(founder), 32, 0))).await;
    assert!(matches!(genesis, Answer::Appended(_)), "{genesis:?}");
    assert_eq!(client.attach(&founder_key(founder), record, Instance(1)).await, Answer::Done(()));
    log
}

fn metric(relay: &Relay, series: &str) -> Option<u64> {
    let (_, body) = get(&relay.ready("metrics"), "/metrics");
    body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Scrapes until it is so: each scrape waits for a turn of the relay's loop.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn acknowledged_entries_survive_kill_nine_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    let record = record(&relay, 1);
    let last = run(async {
        let mut client = connect(&relay).await;
        let mut log = found(&mut client, &record, 1).await;
        let mut last = None;
        for size in [100, 20_000, 1] {
            match client.ask(Request::Append(log.offer(&founder_key(1), size, size))).await {
                Answer::Appended(head) => last = Some(head),
                other => panic!("{other:?}"),
            }
        }
        last.unwrap()
    });
    assert_eq!(metric(&relay, "conclave_relay_log_appends_total{result=\"accepted\"}"), Some(4));
    relay.signal("KILL");
    assert_eq!(relay.wait().0, None, "killed");

    let relay = Relay::start(folder.path(), &[]);
    let resolved = run(async { resolve(&mut connect(&relay).await, &record, None).await });
    assert_eq!((resolved.instance, resolved.seq, resolved.head), (Instance(1), 4, last.head));
    assert_eq!(resolved.record, record);
    assert_eq!(metric(&relay, "conclave_relay_rooms{role=\"hub\"}"), Some(1));
}

#[test]
fn a_call_whose_log_is_gone_is_counted_still() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    let record = record(&relay, 1);
    let id = RelayId::from_hex(&relay.ready("relay")).unwrap();
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    let mut opened = Store::open(&Options {
        folder: folder.path().join("data"),
        relay: id,
        durability: Durability::Process,
        cache: 1 << 20,
        unix_ms: record.not_after - 1_000,
    })
    .unwrap();
    let mut third = LogWriter::new(record.room, 3);
    let forget = Write::Forget { room: record.room, instance: Instance(3) };
    for (key, write) in (0..).zip([Write::Record(record.clone()), third.append(10, 0), forget]) {
        opened.store.submit(StoreKey(key), write).unwrap();
        assert_eq!(opened.answers.blocking_recv().unwrap().result, Ok(()));
    }
    opened.store.close(opened.answers);

    let relay = Relay::start(folder.path(), &[]);
    run(async {
        let mut client = connect(&relay).await;
        let resolved = resolve(&mut client, &record, None).await;
        assert_eq!((resolved.instance, resolved.seq, resolved.occupied), (Instance(3), 0, false));
        let again = client.ask(Request::Append(LogWriter::new(record.room, 3).offer(&founder_key(1), 32, 0))).await;
        assert!(matches!(&again, Answer::Refused(refusal) if refusal.code == Code::CONFLICT), "{again:?}");
        let next = client.ask(Request::Append(LogWriter::new(record.room, 4).offer(&founder_key(1), 32, 0))).await;
        assert!(matches!(next, Answer::Appended(_)), "{next:?}");
    });
}

#[test]
fn sessions_are_told_why_when_the_relay_stops() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    run(async {
        let (first, second) = (connect(&relay).await, connect(&relay).await);
        relay.signal("TERM");
        assert_eq!(first.end().await, Some(Code::SHUTTING_DOWN));
        assert_eq!(second.end().await, Some(Code::SHUTTING_DOWN));
    });
    let (status, log) = relay.wait();
    assert_eq!(status, Some(0), "{log}");
}

#[test]
fn garbage_ends_its_session_and_nobody_else_notices() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    let record = record(&relay, 1);
    run(async {
        let mut good = connect(&relay).await;
        let mut log = found(&mut good, &record, 1).await;
        let mut bad = connect(&relay).await;
        // An answer to nothing, with a body that cannot be read.
        bad.garbage(&[0x31, 0x03, 0xff, 0xff, 0xff]);
        assert_eq!(bad.end().await, Some(Code::MALFORMED));
        let answer = good.ask(Request::Append(log.offer(&founder_key(1), 10, 0))).await;
        assert!(matches!(answer, Answer::Appended(_)), "{answer:?}");
    });
    assert_eq!(metric(&relay, "conclave_relay_sessions_malformed_total"), Some(1));
    assert_eq!(metric(&relay, "conclave_relay_sessions_closed_total{reason=\"malformed\"}"), Some(1));
}

/// Adds `peer` to the configuration of the relay in `folder`.
fn add_peer(folder: &Path, name: &str, peer: &Relay) {
    let config = folder.join("conclave-relay.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    let (relay, address) = (peer.ready("relay"), peer.ready("listen"));
    text.push_str(&format!("\n[[peers]]\nname = \"{name}\"\nrelay = \"{relay}\"\naddresses = [\"{address}\"]\n"));
    fs::write(config, text).unwrap();
}

#[test]
fn relays_link_and_a_client_reaches_the_hub_through_its_own_relay() {
    let (alder, birch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    init(alder.path());
    init(birch.path());
    let hub = Relay::start(alder.path(), &[]);
    add_peer(birch.path(), "Alder", &hub);
    let entry = Relay::start(birch.path(), &[]);
    until("the link comes up", || metric(&entry, "conclave_relay_link_up{peer=\"Alder\"}") == Some(1));
    until("at both ends", || metric(&hub, "conclave_relay_link_up{peer=\"other\"}") == Some(1));

    let record = record(&hub, 1);
    let via = Some(Via {
        relay: RelayId::from_hex(&hub.ready("relay")).unwrap(),
        addresses: List::new(vec![Text::cut(&hub.ready("listen"))]).unwrap(),
    });
    run(async {
        let mut founder = connect(&hub).await;
        found(&mut founder, &record, 1).await;
        let resolved = resolve(&mut connect(&entry).await, &record, via.clone()).await;
        assert_eq!((resolved.seq, resolved.occupied), (1, true));
    });
    let bytes = |relay: &Relay, peer: &str, direction: &str, kind: &str| {
        let series = format!("conclave_relay_link_bytes_total{{peer=\"{peer}\",direction=\"{direction}\",kind=\"{kind}\"}}");
        metric(relay, &series).unwrap()
    };
    assert!(bytes(&entry, "Alder", "in", "control") > 0 && bytes(&entry, "Alder", "out", "control") > 0);
    assert_eq!(bytes(&entry, "Alder", "in", "media"), 0, "nobody listens, nothing crosses");

    // The hub dies and comes back. Its relays notice with the first packet that they send, and link again by themselves.
    let listen = format!("relay.listen={}", hub.ready("listen"));
    hub.signal("KILL");
    let _ = hub.wait();
    let hub = Relay::start(alder.path(), &["--set", &listen]);
    let seq = run(async {
        let mut client = connect(&entry).await;
        let begun = Instant::now();
        loop {
            match client.ask(Request::Resolve(Resolve { via: via.clone(), room: record.room })).await {
                Answer::Resolved(resolved) => break resolved.seq,
                Answer::Refused(refusal) => assert!(
                    matches!(refusal.code, Code::UNREACHABLE | Code::TIMEOUT) && begun.elapsed() < Duration::from_secs(20),
                    "{refusal:?} after {:?}",
                    begun.elapsed()
                ),
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(seq, 1, "and the hub knows the room");
    assert_eq!(metric(&hub, "conclave_relay_link_up{peer=\"other\"}"), Some(1));
}

#[test]
fn a_denied_operator_is_refused() {
    let (alder, birch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    init(alder.path());
    init(birch.path());
    let hub = Relay::start(alder.path(), &["--set", "federation.policy=allow"]);
    add_peer(birch.path(), "Alder", &hub);
    let entry = Relay::start(birch.path(), &[]);
    until("the link is refused", || {
        metric(&entry, "conclave_relay_sessions_closed_total{reason=\"policy\"}").is_some_and(|count| count > 0)
    });
    assert_eq!(metric(&hub, "conclave_relay_link_up{peer=\"other\"}"), Some(0));
}

#[test]
fn a_full_disk_refuses_entries_and_the_relay_goes_on() {
    let Some(tmpfs) = Tmpfs::mount("16m") else { return };
    let ballast = tmpfs.path().join("ballast");
    fs::write(&ballast, vec![0; 6 << 20]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let data = format!("relay.data_dir={}", tmpfs.path().join("data").display());
    // Faster than a room may go, or the limit would be met before the disk is full.
    let fast = ["control", "session_commits", "room_commits"].map(|limit| format!("limits.{limit}=100000/s burst 100000"));
    let arguments: Vec<&str> = [&data].into_iter().chain(&fast).flat_map(|setting| ["--set", setting.as_str()]).collect();
    let relay = Relay::start(folder.path(), &arguments);
    let record = record(&relay, 1);
    let accepted = run(async {
        let mut client = connect(&relay).await;
        let mut log = found(&mut client, &record, 1).await;
        loop {
            let before = log.clone();
            match client.ask(Request::Append(log.offer(&founder_key(1), 60_000, 30_000))).await {
                Answer::Appended(head) => assert_eq!(head.seq + 1, log.seq()),
                Answer::Refused(refusal) => {
                    assert_eq!(refusal.code, Code::STORE, "{}", refusal.words.as_str());
                    assert!(refusal.words.as_str().contains("disk may be full"), "{}", refusal.words.as_str());
                    break before.seq();
                }
                other => panic!("{other:?}"),
            }
        }
    });
    assert!(accepted > 10);
    let metrics = relay.ready("metrics");
    assert_eq!(get(&metrics, "/healthz").0, 200, "alive");
    until("it writes again once there is space", || {
        let _ = fs::remove_file(&ballast);
        get(&metrics, "/readyz").0 == 200
    });
    assert!(metric(&relay, "conclave_relay_store_errors_total") > Some(0));
    relay.signal("KILL");
    let _ = relay.wait();

    let relay = Relay::start(folder.path(), &["--set", &data]);
    let resolved = run(async { resolve(&mut connect(&relay).await, &record, None).await });
    assert_eq!(resolved.seq, accepted, "what was acknowledged and no more");
}

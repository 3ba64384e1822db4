//! The operator's orders to a real process: a room is closed by its id, stays closed through `kill -9`, and is reopened.

mod client;
mod fixture;
mod running;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use client::Client;
use conclave_federation::{
    id::{Instance, RelayId, RoomId},
    record::RoomRecord,
    wire::{
        code::Code,
        message::{Answer, PutRecord, Request, Resolve},
    },
};
use fixture::{LogWriter, founder_key, record_at};
use running::{Relay, assert_ended, get, init, tell};

const WHY: &str = "it was used for threats";

/// One for a whole test: connections live as long as it does.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn connect(relay: &Relay) -> Client {
    Client::connect(&relay.ready("listen"), &relay.ready("relay")).await
}

fn record(relay: &Relay) -> RoomRecord {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    record_at(7, 1, now + 3_600_000, RelayId::from_hex(&relay.ready("relay")).unwrap())
}

/// A call with one client in it.
async fn call(relay: &Relay) -> (Client, RoomRecord) {
    let record = record(relay);
    let mut client = connect(relay).await;
    let put = client.ask(Request::PutRecord(PutRecord { via: None, record: record.clone() })).await;
    assert_eq!(put, Answer::Done(()));
    let mut log = LogWriter::new(record.room, 1);
    let genesis = client.ask(Request::Append(log.offer(&founder_key(7), 32, 0))).await;
    assert!(matches!(genesis, Answer::Appended(_)), "{genesis:?}");
    assert_eq!(client.attach(&founder_key(7), &record, Instance(1)).await, Answer::Done(()));
    (client, record)
}

async fn resolve(client: &mut Client, room: RoomId) -> Answer {
    client.ask(Request::Resolve(Resolve { via: None, room })).await
}

fn digits(room: RoomId) -> String {
    room.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_closed(answer: &Answer) {
    let Answer::Refused(refusal) = answer else { panic!("refused, not {answer:?}") };
    let words = refusal.words.as_str();
    assert_eq!(refusal.code, Code::CLOSED);
    assert_eq!(words, format!("the operator closed this room: {WHY}. If that is a mistake, write to rooms@alder.example"));
}

fn assert_metrics(relay: &Relay, lines: &[&str]) {
    let (_, body) = get(&relay.ready("metrics"), "/metrics");
    for line in lines {
        let whole = format!("conclave_relay_{line}");
        assert!(body.lines().any(|found| found == whole), "missing: {whole}\n{body}");
    }
}

fn start(folder: &Path) -> Relay {
    Relay::start(folder, &["--set", "operator.contact=rooms@alder.example"])
}

#[test]
fn a_room_that_is_closed_stays_closed_through_kill_nine_until_it_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let runtime = runtime();
    let relay = start(folder.path());
    let (mut client, record) = runtime.block_on(call(&relay));
    let (id, short) = (digits(record.room), record.room.short());

    let (status, told, said) = tell(folder.path(), &["room", "list"]);
    assert_ended(status, 0, &said, &[]);
    assert_eq!(told, format!("{id}  hub       call 1     clients 1\n1 rooms\n"));
    let (status, told, said) = tell(folder.path(), &["room", "close", &id[..10], "--reason", WHY]);
    assert_ended(status, 0, &said, &[]);
    assert_eq!(told, format!("closed {id}: 1 clients of this relay were in it\n"));

    assert_closed(&runtime.block_on(resolve(&mut client, record.room)));
    assert_closed(&runtime.block_on(client.attach(&founder_key(7), &record, Instance(1))));
    assert_metrics(
        &relay,
        &["rooms_closed 1", "rooms_closed_total 1", "attachments 0", "requests_refused_total{reason=\"closed\"} 2"],
    );
    relay.signal("KILL");
    let (_, log) = relay.wait();
    let line = log.lines().find(|line| line.contains("room closed by the operator")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&short) && line.contains(WHY), "{line}");
    assert!(!log.contains(&id), "a whole id was logged:\n{log}");
    assert!(!log.contains("rooms@alder.example"));

    let relay = start(folder.path());
    let mut client = runtime.block_on(connect(&relay));
    assert_closed(&runtime.block_on(resolve(&mut client, record.room)));
    let (status, told, _) = tell(folder.path(), &["room", "list", "--json"]);
    let lines: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((status, lines.len()), (Some(0), 2));
    assert_eq!((&lines[0]["room"], &lines[0]["reason"]), (&id.clone().into(), &WHY.into()));
    assert!(lines[0]["since_ms"].as_u64().is_some_and(|since| since > 1_700_000_000_000), "{told}");
    assert_eq!(lines[1]["rooms"], 1);

    let (status, told, said) = tell(folder.path(), &["room", "reopen", &id.to_uppercase()]);
    assert_ended(status, 0, &said, &[]);
    assert_eq!(told, format!("reopened {id}\n"));
    let answer = runtime.block_on(resolve(&mut client, record.room));
    assert!(matches!(&answer, Answer::Resolved(resolved) if resolved.instance == Instance(1)), "{answer:?}");
    assert_metrics(&relay, &["rooms_closed 0", "rooms_closed_total 0", "rooms_reopened_total 1"]);
    relay.signal("KILL");
    relay.wait();

    let relay = start(folder.path());
    let mut client = runtime.block_on(connect(&relay));
    assert!(matches!(runtime.block_on(resolve(&mut client, record.room)), Answer::Resolved(_)), "reopened for good");
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    assert!(!folder.path().join("data/admin.sock").exists(), "an orderly end leaves no socket");
}

#[test]
fn wrong_orders_are_refused_in_words_and_with_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let close = |id: &str, reason: &str| tell(folder.path(), &["room", "close", id, "--reason", reason]);
    let (status, _, said) = close("5f3a09c2", WHY);
    assert_ended(status, 1, &said, &["data/admin.sock: no relay runs on this data folder: start it, or name its configuration"]);

    let relay = start(folder.path());
    for (id, reason, code, words) in [
        ("5f3a", WHY, 78, "at least 8 of its first digits"),
        ("not a room", WHY, 78, "32 hexadecimal digits"),
        ("5f3a09c2", "", 78, "a reason has 1 to 120 bytes"),
        ("5f3a09c2", "two\nlines", 78, "without control characters"),
        ("5f3a09c2", WHY, 1, "no room here begins with these digits"),
    ] {
        let (status, told, said) = close(id, reason);
        assert_ended(status, code, &said, &[words]);
        assert_eq!(told, "");
    }
    let (status, _, said) = tell(folder.path(), &["room", "close", "5f3a09c2"]);
    assert_ended(status, 78, &said, &["--reason"]);
    let (status, _, said) = tell(folder.path(), &["room", "reopen", &"ab".repeat(16)]);
    assert_ended(status, 1, &said, &["this room is not closed: see `room list`"]);
    let (status, _, said) = tell(folder.path(), &["room", "list", "--config", "elsewhere.toml"]);
    assert_ended(status, 78, &said, &["elsewhere.toml: there is no such file"]);
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    let (status, said) = Relay::fail(folder.path(), &["--set", &format!("operator.contact={}", "x".repeat(91))]);
    assert_ended(status, 78, &said, &["operator.contact", "at most 90 bytes"]);
}

#[test]
fn the_socket_is_the_owner_s_alone_and_stands_any_line() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = start(folder.path());
    let path = folder.path().join("data/admin.sock");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let answers = |bytes: &[u8]| -> Vec<String> {
        let mut connection = UnixStream::connect(&path).unwrap();
        connection.write_all(bytes).unwrap();
        connection.shutdown(Shutdown::Write).unwrap();
        BufReader::new(connection).lines().map_while(Result::ok).collect()
    };
    assert_eq!(answers(b""), Vec::<String>::new());
    assert_eq!(answers(b"{\"order\":\"list\"}\n{\"order\":\"list\"}\n"), [r#"{"rooms":0}"#, r#"{"rooms":0}"#]);
    assert_eq!(answers(b"{\"order\":\"list\"}"), [r#"{"rooms":0}"#], "the last line may lack its end");
    let odd = answers(b"nonsense\n\xff\xfe\n{\"order\":\"reopen\",\"room\":\"12\"}\n{\"order\":\"list\"}\n");
    assert_eq!(odd.len(), 4);
    assert!(odd.iter().take(2).all(|line| line.contains("this is no order")), "{odd:?}");
    assert!(odd[2].contains("at least 8 of its first digits"), "{odd:?}");
    assert_eq!(odd[3], r#"{"rooms":0}"#);
    let long = answers(&vec![b'x'; 4 * 1024]);
    assert!(long.len() == 1 && long[0].contains("at most 4096 bytes"), "{long:?}");
    // As many as are served at once, all silent: they are not in the relay's way.
    let silent: Vec<_> = (0..8).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert_eq!(get(&relay.ready("metrics"), "/readyz").0, 200);
    drop(silent);
    assert_eq!(tell(folder.path(), &["room", "list"]).0, Some(0));
    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &[]);

    fs::write(&path, "a file").unwrap();
    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 69, &said, &["data/admin.sock: this file stands where the socket for orders has to be"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

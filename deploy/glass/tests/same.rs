//! What the shipped programs put on the wire, and what those with a window do, side by side: the same questions are asked of
//! both, and what they say is compared message by message.

use std::{
    fs,
    future::Future,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    io::{Dial, DialKey, Net, Side},
    proof::SigningKey,
    record::{Address, RelayDescriptor},
    session::{Event, Local, LocalRelay, Session},
    wire::{
        Blob, List, Wire,
        code::Code,
        message::{Answer, Refusal, Request, Resolve, Resolved},
    },
};
use conclave_quic::{BindConfig, Driver, Endpoint};

/// A guard against a hang, not a measurement.
const GUARD: Duration = Duration::from_secs(60);

fn under_guard<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(GUARD, work).await.expect("the other side says nothing") })
}

/// The shipped programs lie beside the test's own folder when the workspace was built.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("target/debug").to_path_buf();
    let path = folder.join(name);
    assert!(path.exists(), "{name} is not built: run `cargo build --bins` first, as `cargo xtask test` does");
    path
}

struct Running {
    child: Child,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("conclave-same-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

/// Starts a relay on a port of its own, with the keys and the descriptor of `home`.
fn start(program: &Path, name: &str, home: &Path) -> (Running, RelayId, String) {
    let folder = folder(name);
    copy(home, &folder);
    let seen = folder.join("seen");
    fs::create_dir_all(&seen).expect("a folder");
    let mut child = Command::new(program)
        .env(conclave_glass::PLACE, &seen)
        .arg("--config")
        .arg(folder.join("conclave-relay.toml"))
        .args(["--set", "relay.listen=127.0.0.1:0", "--set", "metrics.listen=127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the relay starts");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
    let running = Running { child, folder };
    let field = |key: &str| {
        let found = ready.split_whitespace().find_map(|word| word.strip_prefix(key));
        found.unwrap_or_else(|| panic!("no {key} in {ready:?}")).to_owned()
    };
    (running, RelayId::from_hex(&field("relay=")).expect("an id"), field("listen="))
}

/// Asks a relay a few things, and writes down what it says, with everything that is fresh in each session taken out.
async fn interview(relay: RelayId, address: String) -> Vec<String> {
    let mut driver = Driver::new(Endpoint::bind(BindConfig::participant()).expect("a socket"));
    driver.dial(Dial { key: DialKey(1), relay: Some(relay), addresses: vec![address] });
    let mut session: Option<Session<&str>> = None;
    let mut said = Vec::new();
    let mut questions = questions(relay).into_iter();
    loop {
        let net = driver.next().await;
        let now = driver.now();
        match net {
            Net::Connected { session: key, side, exporter } => {
                session = Some(Session::new(now, key, side, exporter, &Local::Client, &mut driver));
            }
            Net::Data { stream, kind, bytes, fin, .. } => {
                let session = session.as_mut().expect("connected");
                session.on_data(now, stream, kind, bytes, fin, &mut driver).expect("well-formed");
            }
            Net::Closed { why, .. } => {
                said.push(format!("closed {why:?}"));
                return said;
            }
            Net::DialFailed { why, .. } => panic!("not reached: {why}"),
            _ => {}
        }
        let Some(session) = &mut session else { continue };
        let mut asks = 0;
        while let Some(event) = session.next_event() {
            match event {
                Event::Active(conclave_federation::session::Remote::Relay { descriptor, .. }) => {
                    said.push(format!("greeting {:?}", descriptor.encode()));
                }
                Event::Answer(name, answer) => said.push(format!("{name}: {answer:?}")),
                other => said.push(format!("{other:?}")),
            }
            asks += 1;
        }
        for _ in 0..asks {
            match questions.next() {
                Some((name, question)) => session.request(now, question, name, &mut driver),
                None => {
                    driver.close_all(Code::NONE, "");
                }
            }
        }
    }
}

fn questions(relay: RelayId) -> Vec<(&'static str, Request)> {
    let record = record(relay);
    let resolve = |room| Request::Resolve(Resolve { via: None, room });
    vec![
        ("unknown room", resolve(RoomId::new([9; 16]))),
        ("put", Request::PutRecord(conclave_federation::wire::message::PutRecord { via: None, record: record.clone() })),
        ("resolve", resolve(record.room)),
        (
            "foreign subscription",
            Request::Subscribe(conclave_federation::wire::message::Subscribe {
                room: record.room,
                instance: Instance(1),
                track: conclave_federation::id::TrackId::LOG,
                start: conclave_federation::wire::message::Start::From(0),
                path: List::default(),
            }),
        ),
    ]
}

/// A room far in the future is refused, one of an hour is not; the clock of the test is the relay's.
fn record(hub: RelayId) -> conclave_federation::record::RoomRecord {
    use conclave_federation::{
        id::Generation,
        proof::Signature,
        record::{Hub, RoomRecord},
    };
    let founder = SigningKey::from_seed([1; 32]);
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    // The same at both relays: rounded to the day, which both see alike but for one midnight.
    let not_after = (u64::try_from(unix).expect("a clock") / 86_400_000 + 2) * 86_400_000;
    let addresses = List::new(vec![Address::cut("relay.example.org:4433")]).expect("one");
    let mut record = RoomRecord {
        version: RoomRecord::VERSION,
        room: RoomId::of_founder(&founder.verifying_key()),
        founder: founder.verifying_key(),
        seq: 1,
        suite: 1,
        generation: Generation(0),
        access: SigningKey::from_seed([2; 32]).verifying_key(),
        join: SigningKey::from_seed([3; 32]).verifying_key(),
        lobby: [4; 32],
        retired: List::default(),
        revoked: List::default(),
        host_required: false,
        max_members: 10,
        hubs: List::new(vec![Hub { relay: hub, addresses }]).expect("one"),
        not_after,
        signer: founder.verifying_key(),
        delegation: List::default(),
        signature: Signature::new([0; 64]),
    };
    record.sign(&founder);
    record
}

#[test]
fn a_relay_with_a_window_says_what_the_shipped_one_says() {
    let home = folder("home");
    let made = home.join("relay");
    let shipped = program("conclave-relay");
    let status = Command::new(&shipped)
        .arg("init")
        .arg(&made)
        .args(["--operator", "Alder", "--listen", "127.0.0.1:4433", "--address", "relay.example.org:4433"])
        .stdout(Stdio::null())
        .status()
        .expect("init runs");
    assert!(status.success());
    let glass = PathBuf::from(env!("CARGO_BIN_EXE_glass-relay"));
    let (one, relay, address) = start(&shipped, "shipped", &made);
    let shipped = under_guard(interview(relay, address));
    let (other, relay, address) = start(&glass, "glass", &made);
    let glass = under_guard(interview(relay, address));
    assert_eq!(shipped, glass);
    assert!(shipped.len() >= 6, "a greeting, four answers and the end: {shipped:#?}");
    let seen = fs::read_dir(other.folder.join("seen")).expect("the window's folder").count();
    assert!(seen >= 2, "the window saw nothing");
    let nothing = fs::read_dir(one.folder.join("seen")).expect("a folder").count();
    assert_eq!(nothing, 0, "a shipped relay wrote down what it saw");
    fs::remove_dir_all(home).expect("removed");
}

/// Lets a participant create a room at us, up to its first log entry, and writes down what it says: types and lengths,
/// because keys and seals are fresh in every run.
async fn audition(program: PathBuf, folder: PathBuf) -> Vec<String> {
    let key = SigningKey::from_seed([7; 32]);
    let relay = RelayId::new(*key.verifying_key().as_bytes());
    let mut driver =
        Driver::new(Endpoint::bind(BindConfig::relay((Ipv4Addr::LOCALHOST, 0).into(), key.clone())).expect("a socket"));
    let addresses = List::new(vec![Address::cut("relay.example.org:4433")]).expect("one");
    let descriptor = RelayDescriptor::issue(&SigningKey::from_seed([8; 32]), relay, "Alder", addresses);
    let local = Local::Relay(Box::new(LocalRelay { descriptor, key, nonce_secret: [9; 32] }));
    let child = Command::new(program)
        .env(conclave_glass::PLACE, folder.join("secrets.txt"))
        .args(["create", "--name", "Wren", "--title", "Same", "--relay"])
        .arg(format!("{}@{}", relay.to_hex(), driver.endpoint().local_addr()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the participant starts");
    let _running = Running { child, folder };
    let mut session: Option<Session<()>> = None;
    let mut said = Vec::new();
    let mut record = None;
    loop {
        let net = driver.next().await;
        let now = driver.now();
        match net {
            Net::Connected { session: key, side: Side::Accepted, exporter } => {
                session = Some(Session::new(now, key, Side::Accepted, exporter, &local, &mut driver));
            }
            Net::Data { stream, kind, bytes, fin, .. } => {
                let session = session.as_mut().expect("connected");
                session.on_data(now, stream, kind, bytes, fin, &mut driver).expect("well-formed");
            }
            Net::Closed { why, .. } => panic!("it went: {why:?}; it had said {said:?}"),
            _ => {}
        }
        let Some(session) = &mut session else { continue };
        while let Some(event) = session.next_event() {
            match event {
                Event::Request(reply, request) => {
                    said.push(spoken(&request));
                    let over = matches!(*request, Request::Append(_));
                    session.answer(reply, answer(*request, &mut record), &mut driver);
                    if over {
                        return said;
                    }
                }
                Event::Active(remote) => {
                    let who = match remote {
                        conclave_federation::session::Remote::Client { .. } => "a client",
                        _ => "a relay",
                    };
                    said.push(who.to_owned());
                }
                other => said.push(format!("{other:?}")),
            }
        }
    }
}

fn spoken(request: &Request) -> String {
    let len = match request {
        Request::PutRecord(put) => put.encode().len(),
        Request::Append(append) => append.encode().len(),
        Request::Resolve(resolve) => resolve.encode().len(),
        _ => 0,
    };
    format!("{} of {len} B", request.name())
}

fn answer(request: Request, record: &mut Option<conclave_federation::record::RoomRecord>) -> Answer {
    match request {
        Request::PutRecord(put) => {
            *record = Some(put.record);
            Answer::Done(())
        }
        Request::Resolve(_) => match record {
            Some(record) => Answer::Resolved(Box::new(Resolved {
                record: record.clone(),
                instance: Instance(0),
                occupied: false,
                group: Blob::new(Bytes::new()).expect("short"),
                seq: 0,
                head: Head::START,
                call: None,
            })),
            None => Answer::Refused(Refusal::new(Code::UNKNOWN_ROOM, "")),
        },
        _ => Answer::Refused(Refusal::new(Code::UNSUPPORTED, "")),
    }
}

#[test]
fn a_participant_with_a_window_says_what_the_shipped_one_says() {
    let shipped = under_guard(audition(program("conclave"), folder("shipped-participant")));
    let glass = under_guard(audition(PathBuf::from(env!("CARGO_BIN_EXE_glass-participant")), folder("glass-participant")));
    assert_eq!(shipped, glass);
    assert!(shipped.iter().any(|said| said.starts_with("Append")), "it never came to the log: {shipped:?}");
}

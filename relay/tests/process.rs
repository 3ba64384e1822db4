//! The real process: starts, answers, stops, and says clearly why it does not.

mod running;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    path::Path,
};

use running::{Relay, assert_ended, get, init};

#[test]
fn it_starts_on_any_port_answers_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    assert_ne!(relay.ready("listen").rsplit_once(':').unwrap().1, "0");
    assert_eq!(relay.ready("relay").len(), 64);
    let metrics = relay.ready("metrics");

    assert_eq!(get(&metrics, "/healthz"), (200, "alive\n".to_owned()));
    let (status, body) = get(&metrics, "/readyz");
    let checks: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        checks,
        serde_json::json!({ "ready": true, "checks": { "loop": true, "listener": true, "store": true, "not_draining": true } })
    );
    let (status, body) = get(&metrics, "/metrics");
    assert_eq!(status, 200);
    for line in [
        "conclave_relay_ready 1",
        "conclave_relay_draining 0",
        "conclave_relay_store_up 1",
        "conclave_relay_sessions{kind=\"client\"} 0",
    ] {
        assert!(body.lines().any(|found| found == line), "missing: {line}\n{body}");
    }
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
    assert_eq!(get(&metrics, "/").0, 404);
    assert_eq!(get(&metrics, "/metrics/../etc/passwd").0, 404);

    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &["stopped"]);
}

#[test]
fn an_interrupt_stops_it_too_and_the_next_start_finds_everything_free() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    for _ in 0..3 {
        let relay = Relay::start(folder.path(), &["--set", "log.format=json"]);
        relay.signal("INT");
        let (status, log) = relay.wait();
        assert_ended(status, 0, &log, &[]);
        for line in log.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line.get("level").is_some() && line.get("timestamp").is_some(), "{line}");
        }
    }
}

#[test]
fn the_readiness_line_can_be_json() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &["--json"]);
    let line: serde_json::Value = serde_json::from_str(relay.line()).unwrap();
    assert_eq!(line["event"], "ready");
    assert!(line["listen"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(get(line["metrics"].as_str().unwrap(), "/readyz").0, 200);
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
}

#[test]
fn a_second_process_on_the_same_folder_ends_with_69() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let first = Relay::start(folder.path(), &[]);
    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 69, &said, &["data: the data folder is in use by another process", "relay.data_dir"]);
    // The first one did not notice.
    assert_eq!(get(&first.ready("metrics"), "/readyz").0, 200);
    first.signal("TERM");
    assert_eq!(first.wait().0, Some(0));
}

#[test]
fn ports_in_use_end_it_with_1_and_name_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = format!("relay.listen={}", udp.local_addr().unwrap());
    let (status, said) = Relay::fail(folder.path(), &["--set", &listen]);
    assert_ended(status, 1, &said, &["relay.listen 127.0.0.1:", "is in use", "choose another port"]);

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("metrics.listen={}", tcp.local_addr().unwrap());
    let (status, said) = Relay::fail(folder.path(), &["--set", &listen]);
    assert_ended(status, 1, &said, &["metrics.listen 127.0.0.1:", "in use", "another port"]);

    let (status, said) = Relay::fail(folder.path(), &["--set", "relay.listen=192.0.2.1:0"]);
    assert_ended(status, 1, &said, &["relay.listen 192.0.2.1:0", "does not have the address"]);
}

#[test]
fn a_data_folder_that_cannot_be_ends_it_with_69() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    fs::write(folder.path().join("occupied"), "a file").unwrap();
    for place in ["occupied", "occupied/below", "/proc/none"] {
        let (status, said) = Relay::fail(folder.path(), &["--set", &format!("relay.data_dir={place}")]);
        assert_ended(status, 69, &said, &["the data folder cannot be used", "relay.data_dir"]);
    }
}

#[test]
fn a_store_of_a_later_version_or_a_damaged_one_ends_it_with_69() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    let data = folder.path().join("data/store/db");
    let mut bytes = fs::read(&data).unwrap();
    for byte in bytes.iter_mut().skip(64) {
        *byte = byte.wrapping_add(101);
    }
    fs::write(&data, bytes).unwrap();
    fs::write(folder.path().join("data/store/conf"), "not what the engine wrote").unwrap();

    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 69, &said, &["data/store: the store"]);
}

#[test]
fn a_wrong_configuration_or_key_ends_it_with_78_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let (status, said) = Relay::fail(folder.path(), &["--set", "store.cahce=1MiB"]);
    assert_ended(status, 78, &said, &["did you mean --set store.cache=1MiB?"]);
    let key = folder.path().join("relay.key");
    let right = fs::read_to_string(&key).unwrap();
    fs::write(&key, right.replace("relay key", "operator key")).unwrap();
    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 78, &said, &["relay.key: "]);
    assert!(!folder.path().join("data").exists(), "the data folder was made");
}

#[test]
fn its_own_id_among_its_peers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    let id = relay.ready("relay");
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    let config = folder.path().join("conclave-relay.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    let line = text.lines().count() + 3;
    text.push_str(&format!("[[peers]]\nname = \"Mirror\"\nrelay = \"{id}\"\naddresses = [\"127.0.0.1:4433\"]\n"));
    fs::write(&config, text).unwrap();
    let (status, said) = Relay::fail(folder.path(), &[]);
    assert_ended(status, 78, &said, &[&format!("conclave-relay.toml:{line}: this is the relay itself")]);
}

#[test]
fn noise_on_its_ports_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &[]);
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..1_400_usize {
        let datagram: Vec<u8> = (0..length).map(|at| (at * length % 253) as u8).collect();
        noise.send_to(&datagram, relay.ready("listen")).unwrap();
    }
    let metrics = relay.ready("metrics");
    // More half-open requests than there are places, then a whole one.
    let half: Vec<_> = (0..31)
        .map(|_| {
            let mut connection = std::net::TcpStream::connect(&metrics).unwrap();
            connection.write_all(b"GET /metr").unwrap();
            connection
        })
        .collect();
    let mut garbage = std::net::TcpStream::connect(&metrics).unwrap();
    garbage.write_all(&[0xff; 40_000]).ok();
    let mut rest = Vec::new();
    let _ = garbage.read_to_end(&mut rest);
    drop(garbage);
    assert_eq!(get(&metrics, "/readyz").0, 200);
    drop(half);
    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &[]);
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn no_address_and_no_whole_id_is_logged_at_any_level() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let config = folder.path().join("conclave-relay.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    // A relay that is not there: its dials fail, and are logged.
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    text.push_str(&format!("[[peers]]\nname = \"Gone\"\nrelay = \"{}\"\naddresses = [\"{gone}\"]\n", "ab".repeat(32)));
    fs::write(&config, text).unwrap();
    let relay = Relay::start(folder.path(), &["--set", "log.level=trace"]);
    let id = relay.ready("relay");
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    noise.send_to(&[0xc0; 1_200], relay.ready("listen")).unwrap();
    assert_eq!(get(&relay.ready("metrics"), "/metrics").0, 200);
    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &["ready"]);
    assert!(!log.contains("127.0.0.1"), "an address was logged:\n{log}");
    assert!(!log.contains(&id) && !log.contains(&"ab".repeat(32)), "an id was logged:\n{log}");
    assert!(!log.contains(&*secret(folder.path())), "a secret was logged");
}

fn secret(folder: &Path) -> String {
    fs::read_to_string(folder.join("relay.key")).unwrap().trim().rsplit(' ').next().unwrap().to_owned()
}

//! The real process and what it is to browsers: the page, the signed document, certificates, WebSockets, and its bounds.

mod browser;
mod client;
mod fixture;
mod running;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use browser::{Page, address, ask, get_from_known, get_over_tls};
use bytes::Bytes;
use client::Client;
use conclave_federation::{
    id::{Instance, RelayId},
    proof::sha256,
    record::RoomRecord,
    well_known::WellKnown,
    wire::{
        code::Code,
        message::{Answer, PutRecord, Request},
    },
};
use fixture::{LogWriter, founder_key, record_at};
use running::{Relay, assert_ended, get, init};

const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     worker-src 'self'; media-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
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

/// A folder as `cargo xtask web` leaves it, in small.
fn page(folder: &Path) -> String {
    let root = folder.join("page");
    fs::create_dir_all(root.join("core")).unwrap();
    for (name, body) in [
        ("index.html", &b"<!doctype html><title>Conclave</title>"[..]),
        ("style.css", b"body{}"),
        ("core/conclave_web.js", b"export {}"),
        ("core/conclave_web_bg.wasm", b"\0asm plain"),
        ("core/conclave_web_bg.wasm.br", b"small"),
    ] {
        fs::write(root.join(name), body).unwrap();
    }
    format!("web.root={}", root.display())
}

fn started(arguments: &[&str]) -> (tempfile::TempDir, Relay) {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let root = page(folder.path());
    let relay = Relay::start(folder.path(), &[&["--set", &root], arguments].concat());
    (folder, relay)
}

#[test]
fn the_page_is_served_on_the_same_port_with_strict_headers() {
    let (_folder, relay) = started(&[]);
    let web = relay.ready("web");
    assert_eq!(web, format!("http://{}", relay.ready("listen")), "TCP and UDP have one number");
    for path in ["/", "/r", "/index.html", "/?utm=1"] {
        let page = browser::get(&web, path);
        assert_eq!((page.status, page.text()), (200, "<!doctype html><title>Conclave</title>"), "{path}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "camera=(self), microphone=(self), display-capture=(self), autoplay=(self)"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path}: {name}");
        }
    }
    for (path, kind) in [
        ("/style.css", "text/css; charset=utf-8"),
        ("/core/conclave_web.js", "text/javascript; charset=utf-8"),
        ("/core/conclave_web_bg.wasm", "application/wasm"),
    ] {
        let file = browser::get(&web, path);
        assert_eq!((file.status, file.header("content-type")), (200, Some(kind)), "{path}");
    }
    assert!(metric(&relay, "conclave_relay_web_requests_total{kind=\"page\",status=\"2xx\"}") == Some(4));
    assert!(metric(&relay, "conclave_relay_web_requests_total{kind=\"file\",status=\"2xx\"}") == Some(3));
}

#[test]
fn files_are_sent_small_once_and_their_heads_alone() {
    let (_folder, relay) = started(&[]);
    let web = relay.ready("web");
    let path = "/core/conclave_web_bg.wasm";
    let plain = browser::get(&web, path);
    assert_eq!((&plain.body[..], plain.header("content-encoding")), (&b"\0asm plain"[..], None));
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    let small = browser::request(&web, "GET", path, "accept-encoding: gzip, br\r\n");
    assert_eq!((&small.body[..], small.header("content-encoding")), (&b"small"[..], Some("br")));
    assert_eq!(small.header("content-type"), Some("application/wasm"));
    assert_ne!(small.header("etag"), plain.header("etag"));
    let known = format!("if-none-match: {}\r\n", plain.header("etag").unwrap());
    let again = browser::request(&web, "GET", path, &known);
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, plain.header("etag")));
    let head = browser::request(&web, "HEAD", path, "");
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some("10")));
    assert_eq!(metric(&relay, "conclave_relay_web_requests_total{kind=\"file\",status=\"3xx\"}"), Some(1));
}

#[test]
fn what_is_not_there_or_not_so_is_one_sentence() {
    let (_folder, relay) = started(&[]);
    let web = relay.ready("web");
    for (method, path, headers, status, words) in [
        ("GET", "/nothing", "", 404, "nothing here"),
        ("GET", "/../conclave-relay.toml", "", 404, "nothing here"),
        ("GET", "/%2e%2e/relay.key", "", 404, "nothing here"),
        ("GET", "/core/conclave_web_bg.wasm.br", "", 404, "nothing here"),
        ("POST", "/", "content-length: 0\r\n", 405, "use GET"),
        ("DELETE", "/style.css", "", 405, "use GET"),
        ("POST", "/.well-known/conclave", "content-length: 0\r\n", 405, "use GET"),
        ("POST", "/conclave/1", "content-length: 0\r\n", 405, "use GET"),
        ("GET", "/conclave/1", "", 426, "a WebSocket begins"),
    ] {
        let answer = browser::request(&web, method, path, headers);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.text().contains(words) && answer.text().lines().count() == 1, "{}", answer.text());
        assert_eq!(answer.header("content-security-policy"), Some(POLICY), "{method} {path}");
    }
    assert_eq!(browser::request(&web, "POST", "/", "content-length: 0\r\n").header("allow"), Some("GET, HEAD"));
    assert_eq!(browser::get(&web, "/conclave/1").header("upgrade"), Some("websocket"));
    let mut garbage = TcpStream::connect(address(&web)).unwrap();
    garbage.write_all(b"\0\0 no HTTP \r\n\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = garbage.read_to_end(&mut rest);
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{rest:?}");
    assert!(metric(&relay, "conclave_relay_web_requests_total{kind=\"other\",status=\"4xx\"}") >= Some(1));
}

#[test]
fn a_name_of_somebody_else_is_refused_without_encryption() {
    let (_folder, relay) = started(&[]);
    let web = relay.ready("web");
    let asked = |host: &str| ask(&mut TcpStream::connect(address(&web)).unwrap(), "GET", "/", host, "");
    for host in ["localhost", "127.0.0.1", "[::1]:4433"] {
        assert_eq!(asked(host).status, 200, "{host}");
    }
    let refused = asked("evil.example.org");
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("https://"), "{}", refused.text());
}

#[test]
fn a_relay_without_a_page_says_what_to_set_and_serves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let relay = Relay::start(folder.path(), &["--json"]);
    let line: serde_json::Value = serde_json::from_str(relay.line()).unwrap();
    let web = line["web"].as_str().unwrap();
    let page = browser::get(web, "/");
    assert_eq!(page.status, 404);
    assert!(page.text().contains("serves no page") && page.text().contains("web.root"), "{}", page.text());
    assert_eq!(browser::get(web, "/.well-known/conclave").status, 200);
}

#[test]
fn a_relay_without_a_web_side_has_no_tcp_port() {
    let (_folder, relay) = started(&["--set", "web.enabled=false"]);
    assert!(!relay.line().contains("web="), "{}", relay.line());
    assert!(TcpStream::connect(relay.ready("listen")).is_err());
    let (_, metrics) = get(&relay.ready("metrics"), "/metrics");
    assert!(!metrics.contains("conclave_relay_web_"), "nothing is counted that cannot be");
}

fn document(json: &[u8]) -> (serde_json::Value, WellKnown) {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap();
    let signed = URL_SAFE_NO_PAD.decode(value["signed"].as_str().unwrap()).unwrap();
    (value, WellKnown::read(&Bytes::from(signed), unix_ms()).unwrap())
}

#[test]
fn the_signed_document_names_the_certificate_that_is_shown_and_a_restart_changes_neither() {
    let (folder, relay) = started(&[]);
    let web = relay.ready("web");
    let answer = browser::get(&web, "/.well-known/conclave");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let (json, signed) = document(&answer.body);
    assert_eq!(signed.descriptor.relay.to_hex(), relay.ready("relay"));
    assert_eq!(json["relay"], relay.ready("relay"));
    assert_eq!(json["operator_name"], "Alder");
    assert_eq!(json["addresses"], serde_json::json!([relay.ready("listen")]));
    let [hash] = signed.certificates[..] else { panic!("one certificate") };

    let (page, shown) = get_over_tls(address(&web), "/");
    assert_eq!((page.status, page.text()), (200, "<!doctype html><title>Conclave</title>"));
    assert_eq!(page.header("content-security-policy"), Some(POLICY));
    assert_eq!(sha256(&[&shown]), hash);
    let expiry = metric(&relay, "conclave_relay_web_certificate_expiry_timestamp_seconds").unwrap();
    let days = (expiry - unix_ms() / 1_000) as f64 / 86_400.0;
    assert!((12.9..13.0).contains(&days), "{days}");

    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));
    let relay = Relay::start(folder.path(), &[]);
    let (_, again) = document(&browser::get(&relay.ready("web"), "/.well-known/conclave").body);
    assert_eq!(&again.certificates[..], [hash]);
    assert_eq!(sha256(&[&get_over_tls(address(&relay.ready("web")), "/").1]), hash);
    relay.signal("TERM");
    assert_eq!(relay.wait().0, Some(0));

    // A damaged file costs one certificate, and no start.
    fs::write(folder.path().join("data/web.certificates"), "damaged").unwrap();
    let relay = Relay::start(folder.path(), &[]);
    let (_, anew) = document(&browser::get(&relay.ready("web"), "/.well-known/conclave").body);
    assert_ne!(&anew.certificates[..], [hash]);
    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &["the certificates for browsers are made anew", "their file is damaged"]);
}

/// An authority of our own, and a certificate of it for `relay.test`.
struct Signed {
    authority: Vec<u8>,
    chain: String,
    key: String,
}

fn signed() -> Signed {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["relay.test".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    Signed { authority: authority.der().to_vec(), chain: leaf.pem(), key: key.serialize_pem() }
}

#[test]
fn a_certificate_of_an_authority_is_shown_to_browsers_that_speak_http() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let Signed { authority, chain, key } = signed();
    fs::write(folder.path().join("chain.pem"), chain).unwrap();
    fs::write(folder.path().join("key.pem"), key).unwrap();
    let root = page(folder.path());
    let pem = ["web.certificate=chain.pem", "web.key=key.pem"];
    let relay = Relay::start(folder.path(), &["--set", &root, "--set", pem[0], "--set", pem[1]]);
    let address = relay.ready("listen");
    let page = get_from_known(&address, &authority, "relay.test", "/");
    assert_eq!(page.status, 200);
    // The hash is of the other one, which WebTransport shows.
    let (_, document) = document(&get_from_known(&address, &authority, "relay.test", "/.well-known/conclave").body);
    assert_ne!(&document.certificates[..], [sha256(&[&get_over_tls(&address, "/").1])]);
    // Those who ask for the relay's key still get it.
    run(async {
        let by_key = Client::connect(&address, &relay.ready("relay")).await;
        assert_eq!(by_key.relay.to_hex(), relay.ready("relay"));
    });
}

#[test]
fn wrong_certificates_and_pages_end_it_with_78_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let (one, other) = (signed(), signed());
    for (name, text) in
        [("chain.pem", &one.chain), ("key.pem", &one.key), ("other.pem", &other.key), ("no.pem", &"hello".to_owned())]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    page(folder.path());
    let config = folder.path().join("conclave-relay.toml");
    let right = fs::read_to_string(&config).unwrap();
    let line = right.lines().position(|line| line == "# root = \"\"").unwrap() + 1;
    for (settings, words) in [
        (
            "certificate = \"chain.pem\"\nkey = \"other.pem\"",
            ["other.pem: the private key does not belong to the certificate", "+1: "],
        ),
        ("certificate = \"no.pem\"\nkey = \"key.pem\"", ["no.pem: there is no certificate in the file", "+0: "]),
        ("certificate = \"chain.pem\"\nkey = \"no.pem\"", ["no.pem: there is no usable private key in the file", "+1: "]),
        ("certificate = \"gone.pem\"\nkey = \"key.pem\"", ["gone.pem: cannot be read", "+0: "]),
        ("root = \"gone\"", ["gone: cannot be read", "+0: "]),
        ("root = \"empty\"", ["empty: there is no index.html in it", "+0: "]),
        ("root = \"conclave-relay.toml\"", ["conclave-relay.toml: cannot be read", "+0: "]),
        ("root = \"page\"\nmax_page = \"1KiB\"\n# ", ["", ""]),
        ("max_page = \"1KiB\"\nroot = \".\"", ["larger than 1KiB together", "+1: "]),
    ] {
        fs::write(&config, right.replace("# root = \"\"", settings)).unwrap();
        if words[0].is_empty() {
            let relay = Relay::start(folder.path(), &[]);
            relay.signal("TERM");
            assert_eq!(relay.wait().0, Some(0), "a small page fits");
            fs::remove_dir_all(folder.path().join("data")).unwrap();
            continue;
        }
        let offset: usize = words[1].trim_start_matches('+').trim_end_matches(": ").parse().unwrap();
        let place = format!("conclave-relay.toml:{}: ", line + offset);
        for arguments in [&[][..], &["--check-config"]] {
            let (status, said) = Relay::fail(folder.path(), arguments);
            assert_ended(status, 78, &said, &[words[0], &place]);
        }
        assert!(!folder.path().join("data").exists(), "the data folder was made");
    }
}

#[test]
fn a_tcp_port_in_use_ends_it_with_1_and_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path());
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    for setting in [format!("relay.listen={address}"), format!("web.listen={address}")] {
        let (status, said) = Relay::fail(folder.path(), &["--set", &setting]);
        assert_ended(status, 1, &said, &[&format!("web.listen {address}"), "in use", "web.enabled = false"]);
    }
}

fn record(relay: &Relay, founder: u8) -> RoomRecord {
    record_at(founder, 1, unix_ms() + 3_600_000, RelayId::from_hex(&relay.ready("relay")).unwrap())
}

#[test]
fn a_page_makes_a_room_over_a_websocket_and_attaches_by_the_name_it_dialled() {
    let (_folder, relay) = started(&[]);
    let web = relay.ready("web");
    let record = record(&relay, 1);
    run(async {
        let mut page = Page::connect(&web, &relay.ready("relay")).await;
        assert_eq!(page.ask(Request::PutRecord(PutRecord { via: None, record: record.clone() })).await, Answer::Done(()));
        let mut log = LogWriter::new(record.room, 1);
        let genesis = page.ask(Request::Append(log.offer(&founder_key(1), 32, 0))).await;
        assert!(matches!(genesis, Answer::Appended(_)), "{genesis:?}");
        let refused = page.attach(&founder_key(1), &record, Instance(1), "relay.example.org:4433").await;
        assert!(matches!(&refused, Answer::Refused(refusal) if refusal.code == Code::BAD_PROOF), "{refused:?}");
        assert_eq!(page.attach(&founder_key(1), &record, Instance(1), address(&web)).await, Answer::Done(()));
        // More than one message of the pipe carries.
        let large = page.ask(Request::Append(log.offer(&founder_key(1), 200_000, 100_000))).await;
        assert!(matches!(large, Answer::Appended(_)), "{large:?}");
        assert_eq!(metric(&relay, "conclave_relay_accepted_sessions{transport=\"websocket\"}"), Some(1));
        assert_eq!(metric(&relay, "conclave_relay_web_connections"), Some(1));
        relay.signal("TERM");
        assert_eq!(page.end().await, Some(Code::SHUTTING_DOWN));
    });
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &[]);
}

#[test]
fn a_participant_whose_udp_is_refused_comes_in_over_tcp_and_leaves_again() {
    let (_folder, relay) = started(&["--set", "web.listen=127.0.0.1:0"]);
    let web = relay.ready("web");
    assert_ne!(address(&web), relay.ready("listen"));
    let record = record(&relay, 2);
    run(async {
        // Nobody answers UDP on that port.
        let mut client = Client::connect(address(&web), &relay.ready("relay")).await;
        assert_eq!(client.ask(Request::PutRecord(PutRecord { via: None, record: record.clone() })).await, Answer::Done(()));
        let mut log = LogWriter::new(record.room, 1);
        let genesis = client.ask(Request::Append(log.offer(&founder_key(2), 32, 0))).await;
        assert!(matches!(genesis, Answer::Appended(_)), "{genesis:?}");
        // The key was proved in TLS: no name is needed.
        assert_eq!(client.attach(&founder_key(2), &record, Instance(1)).await, Answer::Done(()));
        let over_udp = Client::connect(&relay.ready("listen"), &relay.ready("relay")).await;
        assert_eq!(metric(&relay, "conclave_relay_accepted_sessions{transport=\"websocket\"}"), Some(1));
        assert_eq!(metric(&relay, "conclave_relay_accepted_sessions{transport=\"quic\"}"), Some(1));
        drop((client, over_udp));
    });
    until("it is gone", || metric(&relay, "conclave_relay_accepted_sessions{transport=\"websocket\"}") == Some(0));
    assert_eq!(metric(&relay, "conclave_relay_accepted_sessions_total{transport=\"websocket\"}"), Some(1));
    until("the connection is counted no more", || metric(&relay, "conclave_relay_web_connections") == Some(0));
}

#[test]
fn one_too_many_is_told_so_and_a_place_that_is_free_is_given() {
    let (_folder, relay) = started(&["--set", "web.connections=1"]);
    let web = relay.ready("web");
    let mut first = TcpStream::connect(address(&web)).unwrap();
    first.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    until("the first is here", || metric(&relay, "conclave_relay_web_connections") == Some(1));
    let second = browser::get(&web, "/");
    assert_eq!((second.status, second.header("retry-after")), (503, Some("2")));
    assert!(second.text().contains("try again in a moment"), "{}", second.text());
    assert_eq!(get_over_tls(address(&web), "/").0.status, 503, "over TLS too");
    assert_eq!(metric(&relay, "conclave_relay_web_refused_total{reason=\"full\"}"), Some(2));
    drop(first);
    until("the place is free", || browser::get(&web, "/").status == 200);
    // A session takes no place of a page.
    run(async {
        let page = Page::connect(&web, &relay.ready("relay")).await;
        until("a page is delivered beside it", || browser::get(&web, "/").status == 200);
        drop(page);
    });
}

#[test]
fn slow_ones_are_ended_and_the_others_do_not_notice() {
    let (_folder, relay) = started(&["--set", "web.header_timeout=200ms"]);
    let web = relay.ready("web");
    let begun = |bytes: &[u8]| {
        let mut connection = TcpStream::connect(address(&web)).unwrap();
        connection.write_all(bytes).unwrap();
        connection
    };
    // Nothing at all, half a head, half of a TLS handshake.
    let slow = [begun(b""), begun(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n"), begun(&[0x16, 0x03, 0x01])];
    assert_eq!(browser::get(&web, "/").status, 200);
    for mut connection in slow {
        // It ends by itself: a test that hangs here has found that it does not.
        let _ = connection.read_to_end(&mut Vec::new());
    }
    until("all three are counted", || metric(&relay, "conclave_relay_web_refused_total{reason=\"slow\"}") == Some(3));
    let mut wrong = begun(&[0x16, 0x03, 0x01, 0x00, 0x04, 0xff, 0x00, 0x00, 0x00]);
    let _ = wrong.read_to_end(&mut Vec::new());
    until("no TLS is counted", || metric(&relay, "conclave_relay_web_refused_total{reason=\"tls\"}") == Some(1));
}

#[test]
fn nothing_of_a_browser_is_logged() {
    let (folder, relay) = started(&["--set", "log.level=trace"]);
    let web = relay.ready("web");
    assert_eq!(browser::get(&web, "/secret-path").status, 404);
    assert_eq!(get_over_tls(address(&web), "/").0.status, 200);
    run(async { drop(Page::connect(&web, &relay.ready("relay")).await) });
    relay.signal("TERM");
    let (status, log) = relay.wait();
    assert_ended(status, 0, &log, &["ready"]);
    for never in ["127.0.0.1", "secret-path", "/conclave/1", relay_key(folder.path()).as_str()] {
        assert!(!log.contains(never), "{never} was logged:\n{log}");
    }
}

fn relay_key(folder: &Path) -> String {
    fs::read_to_string(folder.join("relay.key")).unwrap().trim().rsplit(' ').next().unwrap().to_owned()
}

//! What browsers are shown and told while the clock turns, and how long one of them may take.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use bytes::Bytes;
use conclave_federation::{id::RelayId, proof::sha256, record::Address, well_known::WellKnown, wire::List};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{counts::Refusal, *};
use crate::{config::values::Size, store::Health};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A web side whose clock a test turns, with its door in a thread of its own.
struct Side {
    clock: Clock,
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Side {
    fn drop(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

impl Side {
    fn open(folder: &Path, unix_ms: u64, pem: Option<Pem>, patience: Patience) -> Self {
        let (operator, key) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let relay = RelayId::new(*key.verifying_key().as_bytes());
        let addresses = List::new(vec![Address::cut("relay.example.org:4433")]).unwrap();
        let descriptor = RelayDescriptor::issue(&operator, relay, "Alder", addresses);
        let certificates = Certificates::open(folder, unix_ms).unwrap();
        let shown = WebIdentity::short_lived(certificates.current()).unwrap();
        let counts = Arc::new(Counts::default());
        counts.on_certificate(certificates.current().not_after());
        std::fs::write(folder.join("index.html"), vec![b'x'; 32 << 20]).unwrap();
        let (waiting, _) = mpsc::channel(1);
        let board = Arc::new(Board::new(Arc::new(Health::default())));
        let pages = Arc::new(Pages {
            site: Site::load(folder, Size(64 << 20)).unwrap(),
            document: Mutex::new(Document::new(key.clone(), descriptor, certificates.hashes())),
            sockets: Sockets { waiting, places: Arc::new(Semaphore::new(1)), board },
            counts: Arc::clone(&counts),
        });
        let https = pem.as_ref().map_or(&shown, |pem| &pem.identity);
        let tls = TlsAcceptor::from(conclave_quic::tcp_server_tls(&key, Some(https)).unwrap());
        let serving = Serving { pages: Arc::clone(&pages), tls, counts: Arc::clone(&counts), places: 8, patience };
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = serving.accept(socket) => {}
                    _ = stopped => {}
                }
            });
        });
        let clock = Clock { certificates, shown, pem, pages };
        Self { clock, address, counts, stop: Some(stop), thread: Some(thread) }
    }

    /// The hashes of the signed document at this moment.
    fn told(&self, unix_ms: u64) -> Vec<[u8; 32]> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let json = self.clock.pages.document.lock().unwrap().json(unix_ms);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let signed = URL_SAFE_NO_PAD.decode(value["signed"].as_str().unwrap()).unwrap();
        WellKnown::read(&Bytes::from(signed), unix_ms).unwrap().certificates.to_vec()
    }

    /// The hash of what a TLS handshake shows now.
    fn shows(&self) -> [u8; 32] {
        let shown = Arc::new(Mutex::new(Vec::new()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Any(Arc::clone(&shown))))
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(self.address).unwrap());
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        let shown = shown.lock().unwrap();
        sha256(&[&shown])
    }

    fn refused(&self, why: Refusal) -> u64 {
        self.counts.refused().find(|(found, _)| *found == why).unwrap().1
    }
}

/// Remembers what it is shown.
#[derive(Debug)]
struct Any(Arc<Mutex<Vec<u8>>>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = end_entity.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        panic!("TLS 1.2 was spoken");
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ED25519]
    }
}

const PATIENT: Patience = Patience { header: Duration::from_secs(20), connection: Duration::from_secs(120) };

#[test]
fn the_next_certificate_is_told_and_then_shown_and_its_end_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let now = unix_ms();
    let mut side = Side::open(folder.path(), now, None, PATIENT);
    let [first] = side.told(now)[..] else { panic!("one certificate") };
    assert_eq!(side.shows(), first);
    let end = side.counts.expiry();
    assert!(end * 1_000 > now + 12 * DAY);

    side.clock.turn(now + 7 * DAY);
    let [current, next] = side.told(now + 7 * DAY)[..] else { panic!("two certificates") };
    assert_eq!((current, side.shows()), (first, first), "told, and not yet shown");

    side.clock.turn(now + 12 * DAY + HOUR);
    assert_eq!(side.shows(), next);
    assert_eq!(side.told(now + 12 * DAY + HOUR)[0], next);
    assert!(side.counts.expiry() > end);
}

#[test]
fn a_renewed_certificate_of_an_authority_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (chain, key) = (files.path().join("chain.pem"), files.path().join("key.pem"));
    let renew = |modified: u64| {
        let new = rcgen::generate_simple_self_signed(vec!["relay.test".to_owned()]).unwrap();
        std::fs::write(&chain, new.cert.pem()).unwrap();
        std::fs::write(&key, new.signing_key.serialize_pem()).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
        File::options().append(true).open(&chain).unwrap().set_modified(at).unwrap();
        sha256(&[new.cert.der()])
    };
    let first = renew(1_000);
    let identity = WebIdentity::from_pem(&read_pem(&chain).unwrap(), &read_pem(&key).unwrap()).unwrap();
    let pem = Pem { chain: chain.clone(), key: key.clone(), seen: times(&chain, &key), identity };
    let now = unix_ms();
    let mut side = Side::open(folder.path(), now, Some(pem), PATIENT);
    assert_eq!(side.shows(), first);
    side.clock.turn(now);
    assert_eq!(side.shows(), first, "nothing changed");
    let second = renew(2_000);
    side.clock.turn(now);
    assert_eq!(side.shows(), second);
    std::fs::write(&chain, "half a fi").unwrap();
    side.clock.turn(now);
    assert_eq!(side.shows(), second, "what worked goes on");
    std::fs::remove_file(&chain).unwrap();
    side.clock.turn(now);
    assert_eq!(side.shows(), second);
}

#[test]
fn one_who_does_not_read_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let patience = Patience { header: Duration::from_secs(20), connection: Duration::from_millis(200) };
    let side = Side::open(folder.path(), unix_ms(), None, patience);
    let mut connection = TcpStream::connect(side.address).unwrap();
    // 32 MiB, of which nothing is read: more than the system keeps of it.
    connection.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let begun = std::time::Instant::now();
    while side.refused(Refusal::Long) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is served for ever");
        thread::yield_now();
    }
    // Not a byte was lost on somebody who waits for nothing but the next request.
    let mut silent = TcpStream::connect(side.address).unwrap();
    silent.write_all(b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    assert_eq!((side.refused(Refusal::Long), side.refused(Refusal::Slow)), (1, 0), "being silent between requests is no fault");
}

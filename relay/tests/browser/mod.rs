#![allow(unreachable_pub, reason = "shared by several tests")]
//! The least that a browser does: HTTP with and without TLS, certificates that it compares, and a session over WebSocket.

#![allow(dead_code, reason = "each test uses the part it needs")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Instance, RelayId},
    io::{Closed, DialKey, Net, Now, Outlet, SessionKey, Side, StreamKey, Wrote},
    mux::{self, Mux},
    proof::{AttachClaim, Capability, Label, SigningKey},
    record::RoomRecord,
    session::{Event, Local, Remote, Session},
    wire::{
        code::Code,
        message::{Answer, Attach, Request},
    },
};
use futures_util::{SinkExt, StreamExt};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

/// Longest wait for anything; only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer: status, headers as they came, body.
#[derive(Debug)]
pub struct Heard {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Heard {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head in {bytes:?}"));
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One request on a connection of its own; each header ends in `\r\n`.
pub fn ask(stream: &mut (impl Read + Write), method: &str, path: &str, host: &str, headers: &str) -> Heard {
    write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut bytes = Vec::new();
    // TLS that ends without a goodbye is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    Heard::parse(&bytes)
}

/// Where a readiness line's `web=` points.
pub fn address(web: &str) -> &str {
    web.split_once("://").unwrap().1
}

/// One request without encryption.
pub fn get(web: &str, path: &str) -> Heard {
    request(web, "GET", path, "")
}

/// The same with a method and headers.
pub fn request(web: &str, method: &str, path: &str, headers: &str) -> Heard {
    let address = address(web);
    ask(&mut TcpStream::connect(address).unwrap(), method, path, address, headers)
}

/// Accepts whatever is shown, and remembers it.
#[derive(Debug)]
struct Any {
    shown: Arc<Mutex<Vec<u8>>>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.shown.lock().unwrap() = end_entity.to_vec();
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
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// One request over TLS to whoever answers: the answer, and the certificate that was shown.
pub fn get_over_tls(address: &str, path: &str) -> (Heard, Vec<u8>) {
    let (shown, provider) = (Arc::new(Mutex::new(Vec::new())), provider());
    let verifier = Any { shown: Arc::clone(&shown), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let answer = over_tls(config, address, "localhost", path);
    let shown = shown.lock().unwrap().clone();
    (answer, shown)
}

/// One request over TLS to a relay whose certificate this authority signed, under this name.
pub fn get_from_known(address: &str, authority: &[u8], name: &str, path: &str) -> Heard {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    over_tls(config, address, name, path)
}

fn over_tls(mut config: ClientConfig, address: &str, name: &str, path: &str) -> Heard {
    // As browsers do.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name.clone()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    ask(&mut stream, "GET", path, &name.to_str(), "")
}

/// A mux whose messages go into a WebSocket.
struct Edge(Mux);

impl Outlet for Edge {
    fn open_uni(&mut self, _: SessionKey, priority: u8) -> Option<StreamKey> {
        self.0.open_uni(priority)
    }

    fn open_bidi(&mut self, _: SessionKey) -> Option<StreamKey> {
        self.0.open_bidi()
    }

    fn write(&mut self, _: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        self.0.write(stream, chunks)
    }

    fn finish(&mut self, _: SessionKey, stream: StreamKey) {
        self.0.finish(stream);
    }

    fn reset(&mut self, _: SessionKey, stream: StreamKey, code: Code) {
        self.0.reset(stream, code);
    }

    fn stop(&mut self, _: SessionKey, stream: StreamKey, code: Code) {
        self.0.stop(stream, code);
    }

    fn datagram(&mut self, _: SessionKey, bytes: Bytes) -> Wrote {
        self.0.datagram(bytes)
    }

    fn close(&mut self, _: SessionKey, code: Code, words: &str) {
        self.0.close(code, words);
    }
}

/// A page with a session over a WebSocket without TLS, as on `http://127.0.0.1`.
pub struct Page {
    socket: WebSocketStream<tokio::net::TcpStream>,
    edge: Edge,
    session: Session<u32>,
    begun: std::time::Instant,
    asked: u32,
    pub relay: RelayId,
    pub nonce: [u8; 32],
    closed: Option<Closed>,
}

impl Page {
    /// Opens a WebSocket and waits for the greeting.
    pub async fn connect(web: &str, relay: &str) -> Self {
        let relay = RelayId::from_hex(relay).unwrap();
        let address = address(web);
        let mut request = format!("ws://{address}{}", mux::PATH).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", mux::SUBPROTOCOL.parse().unwrap());
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], mux::SUBPROTOCOL);
        let key = SessionKey(1);
        let mut edge = Edge(Mux::new(key, mux::End::Dialler, mux::Limits::PARTICIPANT));
        let begun = std::time::Instant::now();
        let side = Side::DialledByName(DialKey(1), relay);
        let session = Session::new(now(begun), key, side, [0; 32], &Local::Client, &mut edge);
        let mut page = Self { socket, edge, session, begun, asked: 0, relay, nonce: [0; 32], closed: None };
        let Event::Active(Remote::Relay { nonce, .. }) = page.event().await else { panic!("no greeting") };
        page.nonce = nonce;
        page
    }

    async fn event(&mut self) -> Event<u32> {
        loop {
            if let Some(event) = self.session.next_event() {
                return event;
            }
            assert!(self.turn().await, "the session ended: {:?}", self.closed);
        }
    }

    /// Says what there is to say and hears the next message; `false` when the session is over.
    async fn turn(&mut self) -> bool {
        while let Some(message) = self.edge.0.next_message() {
            self.socket.send(Message::Binary(message)).await.unwrap();
            // What was sent may have made room for more.
            if !self.hear() {
                return false;
            }
        }
        match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("the relay says something") {
            Some(Ok(Message::Binary(message))) => self.edge.0.handle_message(&message).expect("the relay speaks conclave/1"),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => {
                self.closed.get_or_insert(Closed::Lost);
                assert!(matches!(other, None | Some(Ok(Message::Close(_)) | Err(_))), "{other:?}");
                return false;
            }
        }
        self.hear()
    }

    fn hear(&mut self) -> bool {
        let now = now(self.begun);
        while let Some(net) = self.edge.0.next_net() {
            match net {
                Net::Data { stream, kind, bytes, fin, .. } => {
                    self.session.on_data(now, stream, kind, bytes, fin, &mut self.edge).expect("the relay speaks conclave/1");
                }
                Net::Writable { .. } => self.session.on_writable(&mut self.edge).expect("little is waiting"),
                Net::Closed { why, .. } => {
                    self.closed = Some(why);
                    return false;
                }
                _ => {}
            }
        }
        true
    }

    /// Asks and waits for the answer.
    pub async fn ask(&mut self, request: Request) -> Answer {
        self.asked += 1;
        self.session.request(now(self.begun), request, self.asked, &mut self.edge);
        loop {
            if let Event::Answer(tag, answer) = self.event().await {
                assert_eq!(tag, self.asked);
                return answer;
            }
        }
    }

    /// Proves membership of a room whose access key is the founder's, for the name dialled.
    pub async fn attach(&mut self, founder: &SigningKey, record: &RoomRecord, instance: Instance, authority: &str) -> Answer {
        let claim = AttachClaim {
            relay: self.relay,
            authority,
            nonce: &self.nonce,
            room: record.room,
            instance,
            generation: Generation(0),
            role: 0,
        };
        let expires = now(self.begun).unix_ms + 600_000;
        let attach = Attach {
            room: record.room,
            instance,
            generation: Generation(0),
            role: 0,
            signature: founder.sign(Label::Attach, &claim.bytes()),
            capability: Capability::issue(founder, self.relay, record.room, instance, Generation(0), expires),
        };
        self.ask(Request::Attach(attach)).await
    }

    /// Waits for the session's end: the relay's code, when it gave one.
    pub async fn end(mut self) -> Option<Code> {
        while self.turn().await {}
        match self.closed {
            Some(Closed::ByRemote(code, _)) => Some(code),
            _ => None,
        }
    }
}

fn now(begun: std::time::Instant) -> Now {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Now { mono: begun.elapsed(), unix_ms: unix.as_millis() as u64 }
}

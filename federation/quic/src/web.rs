//! WebTransport: a session of a browser on the same port, which carries the same bytes as any other.
//!
//! ```text
//!   QUIC connection, ALPN h3
//!     settings, both ways (and QPACK's two streams)   held open, not read
//!     request CONNECT /conclave/1                     its stream carries only the end of the session
//!     stream [type, session] native bytes ..          the first both ways is the control stream
//!     datagram [session / 4] native bytes
//! ```
//!
//! The streams are quinn's own, with a prefix that is put in front and taken off here. `web_transport_quinn::Session` would
//! do that too, but it spawns a task for each session and one more for its end, resets the priority of streams, and copies
//! every datagram for every subscriber; so only the encodings are taken from its family.
//!
//! Bad manners end the session and are counted by kind. What HTTP/3 asks to be ignored is ignored.

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Net, StreamKey, StreamKind},
    wire::code::Code,
};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt};
use tokio::{io::AsyncReadExt, time::timeout};
use web_transport_proto::{Capsule, Http3CapsuleReader};

use crate::{
    ready::{Bell, Part},
    session::{Announced, Reading, Session, Waiting, cut, spoken, stream_key},
};
pub(crate) use prefix::{Heads, Prefixed};
pub(crate) use shake::{Opened, Refused, shake};

mod prefix;
mod shake;

pub(crate) use prefix::{from_h3, to_h3};

/// How long the end of a session may take to arrive before the connection ends.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that may come on the stream of the request: one is expected, which says the end, and what browsers make up to see
/// whether it is ignored.
const MAX_CAPSULES: u64 = 64 * 1024;
/// A remote broke the rules of HTTP/3 (RFC 9114, section 8.1).
const H3_GENERAL_PROTOCOL_ERROR: u32 = 0x101;
/// Nobody here takes a stream of this type (RFC 9114, section 8.1).
const H3_STREAM_CREATION_ERROR: u32 = 0x103;
/// The session of a stream is over (draft-ietf-webtrans-http3).
const SESSION_GONE: u32 = 0x170d_7b68;

/// How a browser broke the rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// A stream that may not be, of another session, or cut off in its first bytes.
    Stream,
    /// A datagram of no session, or of another.
    Datagram,
    /// The stream of the request was given up, or cannot be read.
    Request,
}

/// How the stream of the request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Over {
    /// The session did, with a code and words.
    Closed(Code, String),
    /// It was given up, or is not readable to its end.
    Broken,
    /// The connection ended, which is told by itself.
    Connection,
}

/// A stream of which not all of the first bytes are here.
struct Opening {
    recv: RecvStream,
    /// The other half, when it goes both ways.
    send: Option<SendStream>,
    head: Vec<u8>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// What the first bytes of a stream say.
enum Look {
    Nothing,
    /// It was given up before it said anything.
    Ended,
    CutOff,
    Kind(prefix::Kind),
}

impl Opening {
    fn look(&mut self) -> Look {
        let mut context = Context::from_waker(&self.waker);
        loop {
            let kind = if self.send.is_some() { prefix::bidi(&self.head) } else { prefix::uni(&self.head) };
            if let Some(kind) = kind {
                return Look::Kind(kind);
            }
            let wanted = prefix::SHORTEST.saturating_sub(self.head.len()).max(1);
            match pin!(self.recv.read_chunk(wanted, true)).poll(&mut context) {
                Poll::Ready(Ok(Some(chunk))) => self.head.extend_from_slice(&chunk.bytes),
                Poll::Ready(Ok(None)) if !self.head.is_empty() => return Look::CutOff,
                Poll::Ready(Ok(None) | Err(ReadError::Reset(_))) => return Look::Ended,
                // The connection ended, which is told by itself.
                Poll::Pending | Poll::Ready(Err(_)) => return Look::Nothing,
            }
        }
    }
}

/// What a session of a browser has beside that of others.
pub(crate) struct Web {
    pub(crate) heads: Heads,
    /// Our side of the request's stream.
    connect: SendStream,
    over: Announced<Over>,
    request: Option<RecvStream>,
    /// Streams of HTTP/3 that have to stay open.
    settings: (SendStream, RecvStream),
    encoder: Option<RecvStream>,
    decoder: Option<RecvStream>,
    /// Streams that the browser opened and that have not said what they are.
    opening: HashMap<StreamKey, Opening>,
    /// Streams that we opened and that have not said what they are, with what they have to say.
    pub(crate) unsaid: HashMap<StreamKey, Bytes>,
    /// The browser opened its first stream.
    has_first: bool,
    broken: Option<Broken>,
}

impl Session {
    /// Makes it the session of a browser.
    pub(crate) fn with_web(mut self, opened: Opened) -> Self {
        let Opened { connect: (connect, request), settings, early } = opened;
        let over = Announced::new(self.bell(Part::Request));
        over.bell.ring();
        self.web = Some(Box::new(Web {
            heads: Heads::new(VarInt::from(connect.id())),
            connect,
            over,
            request: Some(request),
            settings,
            encoder: None,
            decoder: None,
            opening: HashMap::new(),
            unsaid: HashMap::new(),
            has_first: false,
            broken: None,
        }));
        for (recv, head) in early {
            let key = stream_key(recv.id());
            self.begin_opening(key, recv, None, head);
        }
        self
    }

    /// How the browser broke the rules, if it did.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.web.as_ref()?.broken
    }

    /// Takes in a stream one way, of which nothing is known yet.
    pub(crate) fn open_web_uni(&mut self, recv: RecvStream) {
        let key = stream_key(recv.id());
        self.begin_opening(key, recv, None, Vec::new());
    }

    /// Takes in a stream both ways. Streams come in the order in which they were opened, and the first is the control
    /// stream: it has the name of the request's stream, which the machine never sees.
    pub(crate) fn open_web_bidi(&mut self, send: SendStream, recv: RecvStream) {
        let Some(web) = &mut self.web else { return };
        let is_control = !std::mem::replace(&mut web.has_first, true);
        let key = if is_control { StreamKey::CONTROL } else { stream_key(recv.id()) };
        self.begin_opening(key, recv, Some(send), Vec::new());
    }

    fn begin_opening(&mut self, key: StreamKey, recv: RecvStream, send: Option<SendStream>, head: Vec<u8>) {
        let bell = self.bell(Part::Read(key));
        let Some(web) = &mut self.web else { return };
        bell.ring();
        let waker = Waker::from(Arc::clone(&bell));
        web.opening.insert(key, Opening { recv, send, head, bell, waker });
    }

    /// Whether a stream has not yet said what it is.
    pub(crate) fn is_opening(&self, stream: StreamKey) -> bool {
        self.web.as_ref().is_some_and(|web| web.opening.contains_key(&stream))
    }

    /// The streams that have not yet said what they are.
    pub(crate) fn openings(&self) -> impl Iterator<Item = StreamKey> {
        self.web.iter().flat_map(|web| web.opening.keys().copied())
    }

    /// Reads what a stream is. When it is one of ours, its bell rings for what follows.
    pub(crate) fn next_opening(&mut self, stream: StreamKey) -> Option<Net> {
        let web = self.web.as_mut()?;
        let look = web.opening.get_mut(&stream)?.look();
        if let Look::Nothing = look {
            return None;
        }
        let Opening { mut recv, send, bell, waker, .. } = web.opening.remove(&stream)?;
        match look {
            Look::Kind(prefix::Kind::Session(session)) if web.heads.is(session) => {
                let kind = match send {
                    None => StreamKind::Uni,
                    Some(_) if stream == StreamKey::CONTROL => StreamKind::Control,
                    Some(_) => StreamKind::Bidi,
                };
                bell.ring();
                self.reading.insert(stream, Reading { recv, kind, failed: None, bell, waker });
                self.writing.extend(send.map(|send| (stream, send)));
                if kind == StreamKind::Control {
                    self.has_control = true;
                    return self.unblock();
                }
            }
            Look::Kind(prefix::Kind::Encoder) if web.encoder.is_none() => web.encoder = Some(recv),
            Look::Kind(prefix::Kind::Decoder) if web.decoder.is_none() => web.decoder = Some(recv),
            // Fails when all of it has arrived: then there is nothing to stop.
            Look::Kind(prefix::Kind::Unknown) => drop(recv.stop(H3_STREAM_CREATION_ERROR.into())),
            Look::Kind(_) | Look::CutOff => web.broken = Some(Broken::Stream),
            Look::Nothing | Look::Ended => {}
        }
        None
    }

    /// A datagram as the machine knows it. When it is of no session of ours, the rules are broken.
    pub(crate) fn native_datagram(&mut self, bytes: Bytes) -> Option<Bytes> {
        let Some(web) = &mut self.web else { return Some(bytes) };
        let native = web.heads.strip(bytes);
        if native.is_none() {
            web.broken = Some(Broken::Datagram);
        }
        native
    }

    /// How the browser ended the session, when it did.
    pub(crate) fn poll_over(&mut self) -> Option<Closed> {
        let Web { over, request, broken, .. } = self.web.as_deref_mut()?;
        let connection = &self.connection;
        let poll = over.poll(|| {
            let (connection, request) = (connection.clone(), request.take());
            Box::pin(async move { wait_over(connection, request).await })
        });
        match poll {
            Poll::Ready(Over::Closed(code, words)) => Some(Closed::ByRemote(code, words)),
            Poll::Ready(Over::Broken) => {
                *broken = Some(Broken::Request);
                None
            }
            Poll::Ready(Over::Connection) | Poll::Pending => None,
        }
    }

    /// Ends the connection at once: the browser ended the session, or broke the rules.
    pub(crate) fn end_web(&self) {
        if let Some(web) = &self.web {
            let (code, words) = match web.broken {
                None => (shake::H3_NO_ERROR, ""),
                Some(_) => (H3_GENERAL_PROTOCOL_ERROR, "these bytes break the rules of WebTransport"),
            };
            self.connection.close(code.into(), words.as_bytes());
        }
    }

    /// Ends the session of a browser in words that it understands; ready when they have arrived, or did not in time.
    pub(crate) fn leave(self, code: Code, words: &str) -> Option<Waiting<()>> {
        let Self { connection, web, reading, writing, finished, .. } = self;
        let Web { mut connect, over, request, settings, encoder, decoder, opening, .. } = *web?;
        let frame = prefix::close(code, cut(words));
        // Dropped, they would seem whole.
        for mut send in writing.into_values() {
            let _ = send.reset(SESSION_GONE.into());
        }
        Some(Box::pin(async move {
            let waiting = over.into_waiting();
            let heard = connection.clone();
            let said = async {
                if connect.write_all(&frame).await.is_err() || connect.finish().is_err() {
                    return;
                }
                // The browser answers with the end of its own side, or of the connection.
                match waiting {
                    Some(over) => drop(over.await),
                    None => drop(wait_over(heard, request).await),
                }
            };
            // A browser that does not answer learns from the end of the connection.
            let _ = timeout(LEAVE_TIMEOUT, said).await;
            connection.close(shake::H3_NO_ERROR.into(), b"");
            // Until then nothing is stopped: QPACK's streams may be among those that have not said what they are, and a browser
            // whose QPACK is stopped ends the connection before it looks at the words.
            drop((settings, encoder, decoder, opening, reading, finished));
        }))
    }
}

/// Waits for the end of the session. `request` is there for the first who waits.
async fn wait_over(connection: Connection, request: Option<RecvStream>) -> Over {
    let Some(request) = request else {
        connection.closed().await;
        return Over::Connection;
    };
    let mut limited = request.take(MAX_CAPSULES);
    let mut capsules = Http3CapsuleReader::new(&mut limited);
    let ended = loop {
        match capsules.read().await {
            Ok(Some(Capsule::CloseWebTransportSession { code, reason })) => {
                return Over::Closed(prefix::code(code), spoken(reason.as_bytes()));
            }
            Ok(Some(Capsule::Grease { .. } | Capsule::Unknown { .. })) => {}
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    if connection.close_reason().is_some() {
        return Over::Connection;
    }
    // An end without a word is one as agreed (draft-ietf-webtrans-http3); an end that our limit made is none.
    if ended && limited.limit() > 0 { Over::Closed(Code::NONE, String::new()) } else { Over::Broken }
}

/// Why the connection of a browser ended.
pub(crate) fn why(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let words = || spoken(&close.reason);
            match u64::from(close.error_code) {
                number if number == u64::from(shake::H3_NO_ERROR) => Closed::ByRemote(Code::NONE, words()),
                number if web_transport_proto::error_from_http3(number).is_some() => {
                    Closed::ByRemote(from_h3(close.error_code), words())
                }
                _ => Closed::Lost,
            }
        }
        // How a page that is left ends its connections.
        ConnectionError::ConnectionClosed(close) if close.error_code == quinn::TransportErrorCode::NO_ERROR => {
            Closed::ByRemote(Code::NONE, String::new())
        }
        ConnectionError::TimedOut => Closed::TimedOut,
        ConnectionError::LocallyClosed => Closed::ByUs,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::CidsExhausted => Closed::Lost,
    }
}

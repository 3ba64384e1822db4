//! One session of the driver: a QUIC connection, its streams by key, and the bells that they ring.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use conclave_federation::{
    io::{Closed, Net, SessionKey, StreamKey, StreamKind},
    limits::MAX_WORDS,
    wire::code::Code,
};
use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, StreamId, VarInt};

use crate::{
    config::{LINK_BIDI, LINK_RECEIVE_WINDOW, LINK_UNI, MIN_SEND_WINDOW, Role},
    observe::Path,
    ready::{Bell, Part, Ready, Source},
    web::{self, Web},
};

/// Finished streams that can still be reset. Older ones are delivered or will be; their memory is QUIC's.
pub(crate) const MAX_FINISHED: usize = 64;

pub(crate) type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A source that quinn announces through a future that has to stay alive while we wait.
pub(crate) struct Announced<T> {
    pub(crate) bell: Arc<Bell>,
    waker: Waker,
    waiting: Option<Waiting<T>>,
}

impl<T> Announced<T> {
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self { waker: Waker::from(Arc::clone(&bell)), bell, waiting: None }
    }

    /// What is there now; otherwise the bell rings when something is.
    pub(crate) fn poll(&mut self, again: impl FnOnce() -> Waiting<T>) -> Poll<T> {
        let mut context = Context::from_waker(&self.waker);
        let poll = self.waiting.get_or_insert_with(again).as_mut().poll(&mut context);
        if poll.is_ready() {
            self.waiting = None;
        }
        poll
    }

    /// What it waits for, to wait for it elsewhere.
    pub(crate) fn into_waiting(self) -> Option<Waiting<T>> {
        self.waiting
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

/// The half of a stream that we read.
pub(crate) struct Reading {
    pub(crate) recv: RecvStream,
    pub(crate) kind: StreamKind,
    /// How it ended, when what came before the end has not been handed over yet.
    pub(crate) failed: Option<ReadError>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) waker: Waker,
}

/// Bytes that QUIC takes before they are acknowledged: twice the congestion window, so that one can be filled while the
/// other is under way. More would hide a backlog where nobody can change their mind about it.
pub(crate) struct SendWindow(u64);

impl SendWindow {
    /// Looks at the congestion window; says whether this one grew.
    pub(crate) fn follow(&mut self, connection: &Connection, role: Role) -> bool {
        let cwnd = connection.stats().path.cwnd;
        let window = cwnd.saturating_mul(2).clamp(MIN_SEND_WINDOW, role.send_window());
        let grew = window > self.0;
        if window != self.0 {
            self.0 = window;
            connection.set_send_window(window);
        }
        grew
    }
}

/// A connection that is up.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) connection: Connection,
    pub(crate) role: Role,
    pub(crate) closed: Announced<ConnectionError>,
    pub(crate) datagrams: Announced<Result<bytes::Bytes, ConnectionError>>,
    pub(crate) uni: Announced<Result<RecvStream, ConnectionError>>,
    pub(crate) bidi: Announced<Result<(SendStream, RecvStream), ConnectionError>>,
    pub(crate) reading: HashMap<StreamKey, Reading>,
    pub(crate) writing: HashMap<StreamKey, SendStream>,
    pub(crate) finished: VecDeque<(StreamKey, SendStream)>,
    /// Waits for the remote to allow more streams one way; polled once and never again, or it would open one.
    pub(crate) uni_budget: Option<Waiting<()>>,
    /// The same for both ways.
    pub(crate) bidi_budget: Option<Waiting<()>>,
    pub(crate) writable: Waker,
    /// The machine was told that something does not fit, and not yet that it may try again.
    pub(crate) blocked: bool,
    /// The control stream was announced to the machine, or written by it.
    pub(crate) has_control: bool,
    /// The size of the datagram that did not fit.
    pub(crate) blocked_datagram: Option<usize>,
    pub(crate) window: SendWindow,
    /// Something was written since the window was last looked at.
    pub(crate) wrote: bool,
    /// What a browser's session has beside.
    pub(crate) web: Option<Box<Web>>,
    ready: Arc<Ready>,
}

pub(crate) fn stream_key(id: StreamId) -> StreamKey {
    // The dialler's first bidirectional stream has id 0, which is what the control stream is called.
    StreamKey(u64::from(VarInt::from(id)))
}

impl Session {
    pub(crate) fn new(key: SessionKey, connection: Connection, role: Role, ready: &Arc<Ready>) -> Self {
        let bell = |part| ready.bell(Source::Session(key, part));
        let session = Self {
            key,
            connection,
            role,
            closed: Announced::new(bell(Part::Closed)),
            datagrams: Announced::new(bell(Part::Datagram)),
            uni: Announced::new(bell(Part::Uni)),
            bidi: Announced::new(bell(Part::Bidi)),
            reading: HashMap::new(),
            writing: HashMap::new(),
            finished: VecDeque::new(),
            uni_budget: None,
            bidi_budget: None,
            writable: Waker::from(bell(Part::Writable)),
            blocked: false,
            has_control: false,
            blocked_datagram: None,
            window: SendWindow(MIN_SEND_WINDOW),
            wrote: false,
            web: None,
            ready: Arc::clone(ready),
        };
        session.datagrams.bell.ring();
        session.bidi.bell.ring();
        session.uni.bell.ring();
        session.closed.bell.ring();
        session
    }

    pub(crate) fn bell(&self, part: Part) -> Arc<Bell> {
        self.ready.bell(Source::Session(self.key, part))
    }

    /// Opens the control stream; the dialler's side of a new session.
    pub(crate) fn open_control(&mut self) -> bool {
        let opened = pin!(self.connection.open_bi()).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Ok((send, recv))) = opened else { return false };
        let key = stream_key(send.id());
        self.writing.insert(key, send);
        self.read(recv, StreamKind::Control);
        self.has_control = key == StreamKey::CONTROL;
        self.has_control
    }

    /// Begins to read a stream.
    pub(crate) fn read(&mut self, recv: RecvStream, kind: StreamKind) -> StreamKey {
        let key = stream_key(recv.id());
        let bell = self.bell(Part::Read(key));
        bell.ring();
        let waker = Waker::from(Arc::clone(&bell));
        self.reading.insert(key, Reading { recv, kind, failed: None, bell, waker });
        key
    }

    /// The session turned out to be a link: more streams, larger windows.
    pub(crate) fn proven_link(&mut self) {
        self.role = Role::Link;
        self.connection.set_max_concurrent_uni_streams(VarInt::from_u32(LINK_UNI));
        self.connection.set_max_concurrent_bi_streams(VarInt::from_u32(LINK_BIDI));
        self.connection.set_receive_window(VarInt::from_u32(LINK_RECEIVE_WINDOW));
    }

    pub(crate) fn path(&self) -> Path {
        let stats = self.connection.stats();
        Path {
            rtt: stats.path.rtt,
            min_rtt: stats.path.min_rtt,
            cwnd: stats.path.cwnd,
            sent_packets: stats.path.sent_packets,
            lost_packets: stats.path.lost_packets,
            lost_bytes: stats.path.lost_bytes,
            congestion_events: stats.path.congestion_events,
            mtu: stats.path.current_mtu,
            udp_out: stats.udp_tx.bytes,
            udp_in: stats.udp_rx.bytes,
        }
    }

    /// Lets the machine try again what did not fit, if there is such a thing.
    pub(crate) fn unblock(&mut self) -> Option<Net> {
        self.uni_budget = None;
        self.bidi_budget = None;
        self.blocked_datagram = None;
        std::mem::take(&mut self.blocked).then_some(Net::Writable { session: self.key })
    }

    pub(crate) fn poll_closed(&mut self) -> Option<ConnectionError> {
        let connection = &self.connection;
        let poll = self.closed.poll(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.closed().await })
        });
        match poll {
            Poll::Ready(error) => Some(error),
            Poll::Pending => None,
        }
    }

    /// Ends the session. That of a browser takes until it heard of it, for which somebody has to wait.
    pub(crate) fn close(self, code: Code, words: &str) -> Option<Waiting<()>> {
        if self.web.is_some() {
            return self.leave(code, words);
        }
        self.connection.close(VarInt::from(code.0), cut(words).as_bytes());
        None
    }

    /// A code of a stream as this session's transport says it.
    pub(crate) fn number(&self, code: Code) -> VarInt {
        if self.web.is_some() { web::to_h3(code) } else { VarInt::from(code.0) }
    }

    /// A code of a stream as the remote said it.
    pub(crate) fn code(&self, number: VarInt) -> Code {
        if self.web.is_some() { web::from_h3(number) } else { code(number) }
    }

    /// Why the connection ended, in the words of the seam.
    pub(crate) fn why(&self, error: &ConnectionError) -> Closed {
        if self.web.is_some() { web::why(error) } else { why(error) }
    }
}

/// At most [`MAX_WORDS`] bytes, whole characters.
pub(crate) fn cut(words: &str) -> &str {
    let end = words.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_WORDS).last();
    words.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// A code as the remote sent it; what does not fit is no code of ours.
fn code(number: VarInt) -> Code {
    Code(u16::try_from(number.into_inner()).unwrap_or(u16::MAX))
}

/// The remote's words, cut and stripped of control characters.
pub(crate) fn spoken(words: &[u8]) -> String {
    let words: String = String::from_utf8_lossy(words).chars().filter(|c| !c.is_control()).collect();
    cut(&words).to_owned()
}

/// Why a session ended, in the words of the seam.
fn why(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) => Closed::ByRemote(code(close.error_code), spoken(&close.reason)),
        ConnectionError::TimedOut => Closed::TimedOut,
        ConnectionError::LocallyClosed => Closed::ByUs,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::CidsExhausted => Closed::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        let long = "ä".repeat(MAX_WORDS);
        assert_eq!(cut(&long).len(), MAX_WORDS);
        assert_eq!(cut(&format!("a{long}")).len(), MAX_WORDS - 1);
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(""), "");
    }

    #[test]
    fn a_number_that_is_no_code_of_ours_stays_unknown() {
        assert_eq!(code(VarInt::from_u32(6)), Code::SLOW);
        assert_eq!(code(VarInt::MAX), Code(u16::MAX));
    }
}

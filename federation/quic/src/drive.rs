//! The loop's edge: what QUIC has becomes [`Net`], one event at a time, and what the machine says goes straight out.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use conclave_federation::{
    io::{Closed, DialError, Net, Now, Outlet, SessionKey},
    wire::code::Code,
};
use quinn::Incoming;

use crate::{
    accept::Load,
    endpoint::Endpoint,
    observe::{Counters, Observer, Path, Transport},
    ready::{Part, Ready, Source},
    session::{Announced, Session},
    web::{Broken, Prefixed},
};
use attempt::{Attempt, Work};
use pipes::Pipes;

mod attempt;
mod outlet;
mod pipes;

/// Events given before the loop lets QUIC's own tasks run, which send what was written meanwhile.
const BATCH: u32 = 32;
/// The same by time: handling one event may mean a write to each of hundreds of subscribers.
const BATCH_TIME: Duration = Duration::from_millis(1);
/// Sources looked at without an event for the machine, before QUIC's own tasks run: a flood of handshakes gives none.
const MAX_SILENT: u32 = 256;
/// How often the space for a datagram that did not fit is looked at: QUIC does not tell.
const DATAGRAM_TICK: Duration = Duration::from_millis(5);
/// How often send windows of sessions that were written to are brought back to what their path carries.
const WINDOW_TICK: Duration = Duration::from_millis(200);

/// Owns the port and its connections; moves bytes between them and a machine.
///
/// `next` reads, [`Outlet`] writes, and both are called from the one loop that also owns the machine: there is no task,
/// channel or lock of ours between the two. What is not read stays in QUIC, whose flow control slows the remote down.
pub struct Driver<O: Observer = ()> {
    endpoint: Endpoint,
    observer: O,
    counters: Counters,
    start: Instant,
    ready: Arc<Ready>,
    port: Announced<Option<Incoming>>,
    attempts: HashMap<u64, Attempt>,
    attempts_begun: u64,
    /// Of the attempts, those accepted; and of these, from unproven addresses.
    load: Load,
    sessions: HashMap<SessionKey, Session>,
    sessions_begun: u64,
    pipes: Pipes,
    out: VecDeque<Net>,
    /// Sessions with a datagram that did not fit.
    crowded: Vec<SessionKey>,
    tick: Option<Pin<Box<tokio::time::Sleep>>>,
    windows_due: Instant,
    /// The last datagram that went to browsers.
    prefixed: Prefixed,
    batch: u32,
    batch_begun: Option<Instant>,
}

impl Driver<()> {
    /// Drives `endpoint`. Time starts now.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self::observed(endpoint, ())
    }
}

impl<O: Observer> Driver<O> {
    /// Drives `endpoint` with all bytes going past `observer`. Time starts now.
    #[must_use]
    pub fn observed(endpoint: Endpoint, observer: O) -> Self {
        let ready = Arc::new(Ready::default());
        let port = Announced::new(ready.bell(Source::Port));
        if endpoint.relay().is_some() {
            port.bell.ring();
        }
        let start = Instant::now();
        Self {
            endpoint,
            observer,
            counters: Counters::default(),
            start,
            ready,
            port,
            attempts: HashMap::new(),
            attempts_begun: 0,
            load: Load::default(),
            sessions: HashMap::new(),
            sessions_begun: 0,
            pipes: Pipes::default(),
            out: VecDeque::new(),
            crowded: Vec::new(),
            tick: None,
            windows_due: start,
            prefixed: Prefixed::default(),
            batch: 0,
            batch_begun: None,
        }
    }

    /// The time, for the machine.
    #[must_use]
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono: self.start.elapsed(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) }
    }

    /// The port.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What sees the bytes.
    #[must_use]
    pub const fn observer(&self) -> &O {
        &self.observer
    }

    /// Sessions that are up.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len() + self.pipes.sessions.len()
    }

    /// Handshakes that others began with us and that are not complete.
    #[must_use]
    pub const fn handshakes(&self) -> usize {
        self.load.handshakes
    }

    /// The state of a session's path.
    #[must_use]
    pub fn path(&self, session: SessionKey) -> Option<Path> {
        self.sessions.get(&session).map(Session::path)
    }

    /// Where the remote is, for limits by network prefix; never logged.
    #[must_use]
    pub fn remote(&self, session: SessionKey) -> Option<std::net::SocketAddr> {
        let quic = self.sessions.get(&session).map(|session| session.connection.remote_address());
        quic.or_else(|| self.pipes.sessions.get(&session)?.remote())
    }

    /// What carries a session.
    #[must_use]
    pub fn transport(&self, session: SessionKey) -> Option<Transport> {
        if self.pipes.sessions.contains_key(&session) {
            return Some(Transport::WebSocket);
        }
        let session = self.sessions.get(&session)?;
        Some(if session.web.is_some() { Transport::WebTransport } else { Transport::Quic })
    }

    /// An accepted session proved to be a link between relays: its streams and windows are raised.
    pub fn proven_link(&mut self, session: SessionKey) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.proven_link();
        }
    }

    /// The next thing that the network did. May be dropped and called again at any time.
    pub async fn next(&mut self) -> Net {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Like [`Driver::next`], for loops that poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Net> {
        let begun = *self.batch_begun.get_or_insert_with(Instant::now);
        if self.batch >= BATCH || (self.batch > 0 && begun.elapsed() >= BATCH_TIME) {
            return self.rest(context, true);
        }
        if self.batch == 0 {
            self.look_for_space();
            if self.is_tick_due(context) {
                self.on_tick();
            }
        }
        for _ in 0..MAX_SILENT {
            if let Some(net) = self.out.pop_front() {
                self.batch += 1;
                return Poll::Ready(net);
            }
            if let Some(source) = self.ready.next() {
                self.serve(source);
            } else if self.is_tick_due(context) {
                self.on_tick();
            } else {
                // Something may ring before the line knows whom to wake: look once more after telling it.
                self.ready.listen(context.waker());
                match self.ready.next() {
                    Some(source) => self.serve(source),
                    None => return self.rest(context, false),
                }
            }
        }
        self.rest(context, true)
    }

    fn rest(&mut self, context: &mut Context<'_>, again: bool) -> Poll<Net> {
        self.batch = 0;
        self.batch_begun = None;
        if again {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Ends all sessions with this reason and begins no more. Each ends with [`Net::Closed`].
    pub fn close_all(&mut self, code: Code, words: &str) {
        self.load = Load { stopping: true, leaving: self.load.leaving, ..Load::default() };
        let out = &mut self.out;
        self.attempts.retain(|_, attempt| match attempt.work {
            Work::Dialled { key, .. } => {
                out.push_back(Net::DialFailed { dial: key, why: DialError::Unreachable });
                false
            }
            Work::Accepted { .. } => false,
            Work::Leaving(_) => true,
        });
        let mut sessions: Vec<_> = self.sessions.keys().chain(self.pipes.sessions.keys()).copied().collect();
        sessions.sort_unstable();
        for session in sessions {
            self.close(session, code, words);
        }
    }

    /// Waits until the remotes can have heard of the end of their sessions, at most `within`; says whether they did.
    /// Whoever dials meanwhile is refused; events are thrown away.
    pub async fn drained(&mut self, within: Duration) -> bool {
        let quic = self.endpoint.quic.clone();
        let mut idle = Box::pin(async move { quic.wait_idle().await });
        // It may be done before the pipes are, and is not asked again then.
        let mut is_idle = false;
        let drained = poll_fn(|context| {
            while self.poll_next(context).is_ready() {}
            let is_told = self.pipes.poll_left(context).is_ready();
            is_idle = is_idle || idle.as_mut().poll(context).is_ready();
            if is_idle && is_told { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(within, drained).await.is_ok()
    }

    fn serve(&mut self, source: Source) {
        match source {
            Source::Port => self.serve_port(),
            Source::Attempt(number) => self.serve_attempt(number),
            Source::Session(session, part) => {
                if catch_unwind(AssertUnwindSafe(|| self.serve_session(session, part))).is_err() {
                    self.give_up(session);
                }
            }
        }
    }

    fn serve_session(&mut self, key: SessionKey, part: Part) {
        if matches!(part, Part::PipeIn | Part::PipeOut) {
            return self.serve_pipe(key, part);
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        let net = match part {
            Part::Datagram => session.next_datagram(),
            Part::Read(stream) => session.next_data(stream),
            Part::Uni => return session.take_uni(),
            Part::Bidi => {
                if session.take_bidi() {
                    session.unblock()
                } else {
                    None
                }
            }
            Part::Writable => session.unblock(),
            Part::PipeIn | Part::PipeOut => None,
            Part::Closed => {
                if let Some(error) = session.poll_closed() {
                    let why = session.why(&error);
                    self.ended(key, why);
                }
                return;
            }
            Part::Request => {
                if let Some(why) = session.poll_over() {
                    return self.ended(key, why);
                }
                None
            }
        };
        let broken = session.broken();
        if let Some(net) = net {
            self.received(&net);
            self.out.push_back(net);
        }
        if let Some(broken) = broken {
            self.break_off(key, broken);
        }
    }

    fn received(&mut self, net: &Net) {
        let (session, bytes) = match net {
            Net::Datagram { session, bytes } => {
                self.counters.datagrams_in += 1;
                (*session, bytes)
            }
            Net::Data { session, bytes, .. } => (*session, bytes),
            Net::Connected { .. }
            | Net::DialFailed { .. }
            | Net::Reset { .. }
            | Net::Stopped { .. }
            | Net::Writable { .. }
            | Net::Closed { .. } => return,
        };
        self.counters.bytes_in += bytes.len() as u64;
        if !bytes.is_empty() {
            self.observer.received(session, bytes);
        }
    }

    /// The connection is over: what arrived before is handed over first. It is bounded by the receive windows.
    fn ended(&mut self, key: SessionKey, why: Closed) {
        let Some(mut session) = self.sessions.remove(&key) else { return };
        for net in session.drain() {
            self.received(&net);
            self.out.push_back(net);
        }
        session.end_web();
        self.counters.sessions_closed += 1;
        self.out.push_back(Net::Closed { session: key, why });
    }

    /// Bad manners of a browser cost it its session, and nobody else anything.
    fn break_off(&mut self, key: SessionKey, broken: Broken) {
        let Some(session) = self.sessions.remove(&key) else { return };
        session.end_web();
        let counter = match broken {
            Broken::Stream => &mut self.counters.web_streams_broken,
            Broken::Datagram => &mut self.counters.web_datagrams_broken,
            Broken::Request => &mut self.counters.web_requests_broken,
        };
        *counter += 1;
        self.counters.sessions_closed += 1;
        self.out.push_back(Net::Closed { session: key, why: Closed::Lost });
    }

    /// A bug while serving a session costs that session and no other.
    fn give_up(&mut self, key: SessionKey) {
        self.counters.panics += 1;
        self.counters.sessions_closed += 1;
        tracing::error!(session = key.0, "a bug ended this session; please report it with what the log says before");
        if let Some(session) = self.sessions.remove(&key) {
            // The connection may be in pieces: closing or dropping it may fail as well.
            let words = "a bug here ended this session";
            if let Ok(Some(leaving)) = catch_unwind(AssertUnwindSafe(move || session.close(Code::INTERNAL, words))) {
                self.leaving(leaving);
            }
        }
        self.pipes.sessions.remove(&key);
        self.out.retain(|net| session_of(net) != Some(key));
        self.out.push_back(Net::Closed { session: key, why: Closed::Lost });
    }

    fn set_tick(&mut self, after: Duration) {
        let at = tokio::time::Instant::now() + after;
        match &mut self.tick {
            Some(tick) if tick.deadline() <= at => {}
            Some(tick) => tick.as_mut().reset(at),
            None => self.tick = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    fn is_tick_due(&mut self, context: &mut Context<'_>) -> bool {
        let due = self.tick.as_mut().is_some_and(|tick| tick.as_mut().poll(context).is_ready());
        if due {
            self.tick = None;
        }
        due
    }

    fn on_tick(&mut self) {
        self.look_for_space();
        if self.crowded.is_empty() {
            if Instant::now() < self.windows_due {
                return self.set_tick(WINDOW_TICK);
            }
        } else {
            self.set_tick(DATAGRAM_TICK);
            if Instant::now() < self.windows_due {
                return;
            }
        }
        self.windows_due = Instant::now() + WINDOW_TICK;
        let mut any = false;
        for session in self.sessions.values_mut().filter(|session| session.wrote) {
            session.wrote = false;
            any = true;
            session.window.follow(&session.connection, session.role);
        }
        if any {
            self.set_tick(WINDOW_TICK);
        }
    }

    /// Tells sessions with a datagram that did not fit when it would.
    fn look_for_space(&mut self) {
        let (sessions, out) = (&mut self.sessions, &mut self.out);
        self.crowded.retain(|key| {
            let Some(session) = sessions.get_mut(key) else { return false };
            let Some(len) = session.blocked_datagram else { return false };
            if !session.has_space(len) {
                return true;
            }
            out.extend(session.unblock());
            false
        });
    }
}

fn session_of(net: &Net) -> Option<SessionKey> {
    match net {
        Net::DialFailed { .. } => None,
        Net::Connected { session, .. }
        | Net::Datagram { session, .. }
        | Net::Data { session, .. }
        | Net::Reset { session, .. }
        | Net::Stopped { session, .. }
        | Net::Writable { session }
        | Net::Closed { session, .. } => Some(*session),
    }
}

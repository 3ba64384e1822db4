//! The loop: one thread, one runtime, one socket, driving the machine that decides.
//!
//! ```text
//!   driver.next --> Net ----+                       +--> driver.dial
//!   store answers --------->+--> node.handle, poll -+--> store.submit
//!   time, signals --------->+     (writes go straight into the driver)
//!   WebSockets ---> driver.adopt
//!   /metrics asks ---> a copy of the numbers
//! ```
//!
//! A panic in the machine ends the process. It holds all rooms at once, and what a panic leaves behind in it is anybody's
//! guess: going on could mix two rooms, which is worse than a pause of a second. The supervisor starts the relay again,
//! clients come back by themselves, and nothing acknowledged is lost, because an acknowledgement waits for the disk. Panics
//! while bytes of one session are moved are caught in the driver and cost that session alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use conclave_federation::io::{Machine, Net, Output, SessionKey, Side, StreamKind};
use conclave_quic::{Driver, Observer, Transport, tcp::Pipe};
use conclave_relay_core::{
    Input, Node, OrderKey, node,
    order::{Obeyed, OrderError},
    stats::Kind,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{
    admin::{Ask, Board},
    failure::Failure,
    keys,
    metrics::{Snapshot, TransportCount},
    orders::desk::Given,
    store::{Answer, Store},
};

/// The loop turns at least this often, so that it can be seen to be alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Remotes get this long to hear why their session ends.
const DRAIN: Duration = Duration::from_secs(3);

/// Everything that the loop owns.
pub(crate) struct Shard<O: Observer> {
    pub(crate) node: Node,
    pub(crate) driver: Driver<O>,
    pub(crate) store: Store,
    pub(crate) answers: mpsc::Receiver<Answer>,
    pub(crate) asks: mpsc::Receiver<Ask>,
    /// The operator's orders.
    pub(crate) orders: Orders,
    /// Accepted by the web side; they become sessions here.
    pub(crate) sockets: mpsc::Receiver<Pipe>,
    pub(crate) board: Arc<Board>,
    pub(crate) signals: Signals,
    /// What carries each accepted session; as many as there are sessions.
    pub(crate) carried: Carried,
    /// Accepted sessions of which nobody knows yet whether a client or a relay is at the other end; as many as there are
    /// openings under way.
    pub(crate) unknown: BTreeSet<SessionKey>,
}

/// Orders that come, and those whose outcome is awaited; both bounded by the connections at the desk.
pub(crate) struct Orders {
    given: mpsc::Receiver<Given>,
    begun: BTreeMap<OrderKey, oneshot::Sender<Result<Obeyed, OrderError>>>,
    next: u64,
}

impl Orders {
    pub(crate) const fn new(given: mpsc::Receiver<Given>) -> Self {
        Self { given, begun: BTreeMap::new(), next: 0 }
    }

    fn begin(&mut self, outcome: oneshot::Sender<Result<Obeyed, OrderError>>) -> OrderKey {
        let key = OrderKey(self.next);
        self.next += 1;
        self.begun.insert(key, outcome);
        key
    }

    fn end(&mut self, key: OrderKey, result: Result<Obeyed, OrderError>) {
        if let Some(outcome) = self.begun.remove(&key) {
            // Whoever ordered may have gone; it is done all the same.
            let _ = outcome.send(result);
        }
    }
}

/// The operator's wish that the relay ends.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let refused = |error| Failure::Runtime(format!("signals cannot be listened to: {error}"));
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(refused)?,
            interrupt: signal(SignalKind::interrupt()).map_err(refused)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl<O: Observer> Shard<O> {
    /// Until the operator wants it to end. Sessions are told why, and the store is written out.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        self.turn().await?;
        let told = tokio::select! {
            told = self.driver.drained(DRAIN) => told,
            () = self.signals.next() => return Err(twice()),
        };
        if !told {
            tracing::warn!("not every remote has heard that the relay stops");
        }
        self.store.close(self.answers);
        tracing::info!("stopped");
        Ok(())
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        let mut asked = false;
        loop {
            self.board.beat();
            let Some(wake) = self.obey() else { return Ok(()) };
            tokio::select! {
                net = self.driver.next() => self.hear(net),
                Some(Answer { key, result }) = self.answers.recv() => self.handle(Input::Stored { key, result }),
                Some(pipe) = self.sockets.recv() => self.adopt(pipe),
                () = sleep_until(wake) => {}
                Some(ask) = self.asks.recv() => {
                    // Whoever asked may have gone.
                    let _ = ask.send(self.snapshot());
                }
                Some((order, outcome)) = self.orders.given.recv() => {
                    let key = self.orders.begin(outcome);
                    self.handle(Input::Order { key, order });
                }
                () = self.signals.next() => {
                    if asked {
                        return Err(twice());
                    }
                    asked = true;
                    tracing::info!("asked to stop");
                    self.board.draining();
                    self.handle(Input::Shutdown);
                }
            }
        }
    }

    /// A WebSocket becomes a session. Nothing is shared with its other end that could be proved with: so it is nobody's.
    fn adopt(&mut self, pipe: Pipe) {
        match keys::random() {
            Ok(exporter) => {
                self.driver.adopt(pipe, exporter);
            }
            Err(failure) => tracing::error!(%failure, "a session is not begun"),
        }
    }

    /// Lets the machine see it, and gives a session that has proved to be a link the room that a link needs.
    fn hear(&mut self, net: Net) {
        let about = match &net {
            Net::Connected { session, side: Side::Accepted, .. } => {
                self.unknown.insert(*session);
                self.carried.begin(*session, self.driver.transport(*session));
                None
            }
            Net::Closed { session, .. } => {
                self.unknown.remove(session);
                self.carried.end(*session);
                None
            }
            Net::Data { session, kind: StreamKind::Control, .. } => Some(*session),
            _ => None,
        };
        self.handle(Input::Net(net));
        if let Some(session) = about.filter(|session| self.unknown.contains(session)) {
            let kind = self.node.kind(session);
            if kind == Some(Kind::Link) {
                self.driver.proven_link(session);
            }
            if kind != Some(Kind::Opening) {
                self.unknown.remove(&session);
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.driver.now();
        self.node.handle(now, input, &mut self.driver);
    }

    /// Does what the machine asks for until it waits; `None` when it has stopped.
    fn obey(&mut self) -> Option<Instant> {
        loop {
            let now = self.driver.now();
            match self.node.poll(now, &mut self.driver) {
                Output::Dial(dial) => self.driver.dial(dial),
                Output::Do(node::Output::Store { key, write }) => {
                    if let Err(failed) = self.store.submit(key, write) {
                        self.handle(Input::Stored { key, result: Err(failed) });
                    }
                }
                Output::Do(node::Output::Obeyed { key, result }) => self.orders.end(key, result),
                Output::Do(node::Output::Stopped) => return None,
                Output::Wait(until) => {
                    let pause = until.map_or(HEARTBEAT, |until| until.saturating_sub(now.mono)).min(HEARTBEAT);
                    return Some(Instant::now() + pause);
                }
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            stats: self.node.stats().clone(),
            network: *self.driver.counters(),
            transports: self.carried.counts(),
            draining: self.board.is_draining(),
            ready: self.board.is_ready(),
        }
    }
}

fn twice() -> Failure {
    Failure::Runtime("asked a second time to stop: ended at once, without telling the sessions why".to_owned())
}

/// Counts accepted sessions by what carries them.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    open: BTreeMap<SessionKey, Transport>,
    begun: [u64; 3],
}

impl Carried {
    fn begin(&mut self, session: SessionKey, transport: Option<Transport>) {
        let Some(transport) = transport else { return };
        self.open.insert(session, transport);
        if let Some(begun) = TRANSPORTS.iter().position(|each| *each == transport).and_then(|at| self.begun.get_mut(at)) {
            *begun += 1;
        }
    }

    fn end(&mut self, session: SessionKey) {
        self.open.remove(&session);
    }

    fn counts(&self) -> Vec<TransportCount> {
        let open = |transport| self.open.values().filter(|each| **each == transport).count();
        let count = |(transport, begun): (Transport, u64)| TransportCount { transport, open: open(transport), begun };
        TRANSPORTS.into_iter().zip(self.begun).map(count).collect()
    }
}

const TRANSPORTS: [Transport; 3] = [Transport::Quic, Transport::WebTransport, Transport::WebSocket];

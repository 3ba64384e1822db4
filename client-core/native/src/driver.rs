//! The task behind a room: owns the client machine and the driver of its one connection, and moves between them.

use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use conclave_client_core::{
    Client,
    api::{self, Command, ConnectionState, Input},
    link::Link,
};
use conclave_federation::{
    io::{Machine, Net, Output},
    wire::code::Code,
};
use conclave_quic::{Driver, Observer, Transport};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Counters, LocalTrack,
    error::Failure,
    event::{Ended, Event, State},
    publish::{Tracks, Wish},
    queue::Queue,
    state,
};

/// Orders that wait for the task. A sender that is faster waits; a frame of sound is there every 20 ms.
pub(crate) const ORDERS: usize = 256;

/// Orders taken in one turn, so that neither they nor the network ever wait for the other.
const ORDERS_AT_ONCE: usize = 32;

/// How long saying goodbye may take. After it the others notice by themselves that we are gone.
const GOODBYE: Duration = Duration::from_secs(3);

/// How long hanging up may take once everything is said: a few round trips.
const HANG_UP: Duration = Duration::from_secs(1);

/// Where secrets go that the leak check looks for.
#[cfg(feature = "audit")]
pub(crate) type Audit = Box<dyn FnMut(Vec<(String, Vec<u8>)>) + Send>;

/// What the handle asks of the task.
#[derive(Debug)]
pub(crate) enum Order {
    Publish(Wish),
    Unpublish(LocalTrack),
    Command(Command),
    /// Leave, unless it should be thought over first.
    AskToLeave,
}

/// What handle and task both see.
pub(crate) struct Shared {
    pub(crate) queue: Queue,
    link: Mutex<Option<Link>>,
    state: Mutex<Option<State>>,
    counters: Mutex<Counters>,
    /// Turns true when the connection is closed and nothing of the room runs any more.
    done: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            queue: Queue::new(),
            link: Mutex::new(None),
            state: Mutex::new(None),
            counters: Mutex::default(),
            done: watch::Sender::new(false),
        }
    }

    pub(crate) fn link(&self) -> MutexGuard<'_, Option<Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn done(&self) {
        let mut done = self.done.subscribe();
        // The sender lives as long as `self`: it cannot fail.
        let _ = done.wait_for(|done| *done).await;
    }
}

/// Ends the room for its handle however the task ends: a bug must not leave anybody waiting.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        self.0.queue.close(Event::Ended(Ended::Failed(Failure::Bug)));
        self.0.done.send_replace(true);
    }
}

/// One room's task.
pub(crate) struct Task<O: Observer> {
    pub(crate) client: Client,
    pub(crate) driver: Driver<O>,
    /// What carries the newest connection.
    pub(crate) transport: Option<Transport>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Of whoever waits to be let in, who wants to see their code.
    pub(crate) waiting: Option<watch::Sender<Option<String>>>,
    /// Leaving is not to be thought over any more.
    pub(crate) for_good: bool,
    /// Answered once: we are in, or we never will be.
    pub(crate) entered: Option<oneshot::Sender<Result<(), Failure>>>,
    /// Closed when the last handle is gone.
    pub(crate) handles: oneshot::Receiver<()>,
    #[cfg(feature = "audit")]
    pub(crate) audit: Option<Audit>,
}

impl<O: Observer> Task<O> {
    pub(crate) async fn run(mut self) {
        let shared = LastWord(self.shared.clone());
        let mut tracks = Tracks::default();
        let ended = self.turn(&mut tracks).await;
        // Whoever orders something from here on is told that it is over.
        self.orders.close();
        if let (Some(entered), Ended::Failed(failure)) = (self.entered.take(), &ended) {
            let _ = entered.send(Err(failure.clone()));
        }
        self.driver.close_all(Code::NONE, "");
        if !self.driver.drained(HANG_UP).await {
            tracing::debug!("the relay may not have heard that we are gone");
        }
        shared.0.queue.close(Event::Ended(ended));
    }

    /// Goes round until the room has ended.
    async fn turn(&mut self, tracks: &mut Tracks) -> Ended {
        let mut goodbye: Option<Instant> = None;
        let mut has_handles = true;
        loop {
            let wait = match self.poll(tracks) {
                Ok(wait) => wait,
                Err(ended) => return ended,
            };
            tokio::select! {
                net = self.driver.next() => {
                    if let Net::Connected { session, .. } = net {
                        self.transport = self.driver.transport(session);
                    }
                    self.handle(Input::Net(net));
                }
                Some(order) = self.orders.recv() => {
                    self.on_order(order, tracks, &mut goodbye);
                    for _ in 1..ORDERS_AT_ONCE {
                        let Ok(order) = self.orders.try_recv() else { break };
                        self.on_order(order, tracks, &mut goodbye);
                    }
                }
                _ = &mut self.handles, if has_handles => {
                    has_handles = false;
                    self.on_order(Order::Command(Command::Leave), tracks, &mut goodbye);
                }
                () = until(wait) => {}
                () = until_instant(goodbye) => return Ended::Left,
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let now = self.driver.now();
        self.client.handle(now, input, &mut self.driver);
    }

    fn on_order(&mut self, order: Order, tracks: &mut Tracks, goodbye: &mut Option<Instant>) {
        match order {
            Order::Publish(Wish { track, media, wanted, reply }) => {
                tracks.on_wish(track, wanted, reply);
                self.handle(Input::Command(Command::Publish { track, media }));
            }
            Order::Unpublish(track) => {
                if tracks.on_unpublish(track) {
                    self.handle(Input::Command(Command::Unpublish { track }));
                }
            }
            Order::Command(command) => {
                if matches!(command, Command::Leave) {
                    goodbye.get_or_insert_with(|| Instant::now() + GOODBYE);
                    self.for_good = true;
                }
                self.handle(Input::Command(command));
            }
            Order::AskToLeave => self.handle(Input::Command(Command::Leave)),
        }
    }

    /// Does what the machine asks for, until it waits: for how long, or why it is done.
    fn poll(&mut self, tracks: &mut Tracks) -> Result<Option<Duration>, Ended> {
        loop {
            let now = self.driver.now();
            let output = self.client.poll(now, &mut self.driver);
            *self.shared.counters() = *self.client.stats();
            match output {
                Output::Dial(dial) => self.driver.dial(dial),
                Output::Do(event) => self.on_event(event, tracks)?,
                Output::Wait(until) => return Ok(until.map(|until| until.saturating_sub(now.mono))),
            }
        }
    }

    fn on_event(&mut self, event: api::Event, tracks: &mut Tracks) -> Result<(), Ended> {
        use api::Event as E;
        let event = match event {
            E::Frame(frame) => return self.tell(Event::Frame(frame)),
            E::RoomCreated { link } => {
                *self.shared.link() = Some(link);
                self.audit();
                return Ok(());
            }
            E::Published { track } => {
                if !tracks.on_published(track) {
                    tracks.on_unpublish(track);
                    self.handle(Input::Command(Command::Unpublish { track }));
                }
                return Ok(());
            }
            E::KeyFrameWanted { track } => {
                tracks.on_key_frame_wanted(track);
                return Ok(());
            }
            E::Warning(warning) if tracks.on_warning(warning) => return Ok(()),
            E::Ended(ended) => {
                self.audit();
                return Err(match ended {
                    api::Ended::Left => Ended::Left,
                    api::Ended::CallEnded => Ended::CallEnded,
                    api::Ended::Failed(error) => Ended::Failed(error.into()),
                });
            }
            E::Joined { me, title, roster, tracks, epoch, safety_code } => {
                let (safety_code, transport) = (digits(&safety_code), self.transport);
                Event::Joined(State { me, title, roster, tracks, epoch, safety_code, transport })
            }
            E::ParticipantJoined(participant) => Event::ParticipantJoined(participant),
            E::ParticipantChanged(participant) => Event::ParticipantChanged(participant),
            E::ParticipantLeft { id, how } => Event::ParticipantLeft { id, how },
            E::TrackPublished(track) => Event::TrackPublished(track),
            E::TrackChanged(track) => Event::TrackChanged(track),
            E::TrackUnpublished { participant, track } => Event::TrackUnpublished { participant, track },
            E::TrackTrust { participant, track, trust } => Event::TrackTrust { participant, track, trust },
            E::FramesLost { participant, track, count } => Event::FramesLost { participant, track, count },
            E::FrameRefused { participant, reason } => Event::FrameRefused { participant, reason },
            E::Chat { from, id, text, unix_ms, name, gone, history } => {
                Event::Chat { from, id, text, unix_ms, name, gone, history }
            }
            E::ChatGap { from, count } => Event::ChatGap { from, count },
            E::CompareCode { participant, words, epoch } => Event::CompareCode { participant, words, epoch },
            E::CompareUnanswered { participant } => Event::CompareUnanswered { participant },
            E::Acquaintance { participant, secret } => Event::Acquaintance { participant, secret },
            E::Hands(hands) => Event::Hands(hands),
            E::Reaction { from, text } => Event::Reaction { from, text },
            E::MuteRequested { by, kind } => Event::MuteRequested { by, kind },
            E::Equivocation { relay, proof } => Event::Equivocation { relay, proof },
            E::Epoch { epoch, safety_code, committed } => Event::Epoch { epoch, safety_code: digits(&safety_code), committed },
            E::Carriers(carriers) => Event::Carriers(carriers),
            // Whoever waits for the room has no handle of it yet.
            E::Waiting { code } => {
                if let Some(waiting) = &self.waiting {
                    waiting.send_replace(Some(code));
                }
                return Ok(());
            }
            E::Knock { request, name, code, old_link } => Event::Knock { request, name, code, old_link },
            E::KnockGone { request } => Event::KnockGone { request },
            E::LinkChanged { link } => {
                *self.shared.link() = Some(link.clone());
                self.audit();
                Event::LinkChanged { link }
            }
            E::ModeChanged { mode, by } => Event::ModeChanged { mode, by },
            E::HostsChanged { hosts } => Event::HostsChanged { hosts },
            E::LastHost if self.for_good => {
                self.handle(Input::Command(Command::Leave));
                return Ok(());
            }
            E::LastHost => Event::LastHost,
            E::ReportReady { document, stamped } => Event::ReportReady { document, stamped },
            E::Misbehaved { participant, what } => Event::Misbehaved { participant, what },
            E::Connection(state) => {
                let is_up =
                    matches!(state, ConnectionState::Connected | ConnectionState::ControlLost | ConnectionState::SendingStopped);
                Event::Connection { state, transport: self.transport.filter(|_| is_up) }
            }
            E::Warning(warning) => Event::Warning(warning),
        };
        if matches!(event, Event::Joined(_) | Event::Epoch { .. }) {
            self.audit();
        }
        state::apply(&mut self.shared.state(), &event);
        let joined = matches!(event, Event::Joined(_));
        self.tell(event)?;
        if joined && let Some(entered) = self.entered.take() {
            // Whoever waited may have given up: then the handle is gone as well, and the room will be left.
            let _ = entered.send(Ok(()));
        }
        Ok(())
    }

    fn tell(&mut self, event: Event) -> Result<(), Ended> {
        self.shared.queue.push(event).map_err(|_full| {
            tracing::error!("events are not read: leaving the room");
            self.handle(Input::Command(Command::Leave));
            Ended::Failed(Failure::EventsUnread)
        })
    }

    #[cfg(feature = "audit")]
    fn audit(&mut self) {
        if let Some(audit) = &mut self.audit {
            audit(self.client.secrets_for_audit());
        }
    }

    #[cfg(not(feature = "audit"))]
    fn audit(&self) {}
}

/// How they are grouped is for whoever shows them.
fn digits(code: &str) -> String {
    code.chars().filter(char::is_ascii_digit).collect()
}

async fn until(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => future::pending().await,
    }
}

async fn until_instant(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => future::pending().await,
    }
}

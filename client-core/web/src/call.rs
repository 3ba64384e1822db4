//! One participant with its sessions: what happened goes in with the time, what is to be done and told comes out in order.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_client_core::{
    Client,
    api::{self, Command, ConnectionState, InFrame, Input, LocalTrack, Media, OutFrame, Stats},
};
use conclave_federation::{
    id::{RelayId, TrackId},
    io::{Closed, DialError, DialKey, Machine, Net, Now, Output, SessionKey, Side, StreamKey},
    wire::code::Code,
};

use crate::{
    deed::{Deed, Transport},
    frames::{Frames, Played},
    sessions::Sessions,
    start::{self, Start, StartError},
};

/// One thing to do, or to tell.
#[derive(Debug)]
pub(crate) enum Item {
    /// Reach the entry relay.
    Dial(u32),
    /// Do something for a session.
    Do(SessionKey, Deed),
    /// How it stands with the relay, and what carries the session if there is one.
    Connection(ConnectionState, Option<Transport>),
    /// A frame, and when it is to be played.
    Frame(InFrame, Played),
    /// Anything else that the core tells.
    Event(api::Event),
}

/// The worker's two clocks, as they come in: milliseconds with fractions, and not to be trusted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Time {
    /// `performance.now()`.
    pub(crate) now: f64,
    /// `Date.now()`.
    pub(crate) unix: f64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Call {
    client: Client,
    sessions: Sessions,
    frames: Frames,
    relay: RelayId,
    /// The latest moment that was told.
    now: Now,
    wait: Option<Duration>,
}

impl Call {
    /// Enters the room of a link.
    pub(crate) fn join(link: &str, start: &Start) -> Result<Self, StartError> {
        let link = start::link(link)?;
        let (config, relay) = start.config()?;
        Ok(Self::new(Client::join(config, link), relay))
    }

    /// Founds a room and enters it.
    pub(crate) fn create(title: &str, max_members: u32, start: &Start) -> Result<Self, StartError> {
        let room = start::room(title, max_members)?;
        let (config, relay) = start.config()?;
        Ok(Self::new(Client::create(config, room), relay))
    }

    fn new(client: Client, relay: RelayId) -> Self {
        let now = Now { mono: Duration::ZERO, unix_ms: 0 };
        Self { client, sessions: Sessions::default(), frames: Frames::default(), relay, now, wait: None }
    }

    /// All that is to be done and told now.
    pub(crate) fn poll(&mut self, time: Time) -> Vec<Item> {
        let now = self.at(time);
        let mut items = VecDeque::new();
        loop {
            self.settle(now);
            self.fetch(&mut items);
            // What left made room perhaps: then there is more to be written.
            if let Some(net) = self.sessions.next_net() {
                self.client.handle(now, Input::Net(net), &mut self.sessions);
                continue;
            }
            match self.client.poll(now, &mut self.sessions) {
                Output::Dial(dial) => {
                    // The machine counts its attempts, one a fifth of a second at most: they stay far below.
                    let dial = u32::try_from(dial.key.0).unwrap_or(u32::MAX);
                    items.push_back(Item::Dial(dial));
                }
                Output::Do(event) => {
                    // What was to be done before it comes before it: the last event ends the worker.
                    self.fetch(&mut items);
                    let item = self.item(now, event);
                    items.extend(item);
                }
                Output::Wait(until) => {
                    self.wait = until;
                    self.settle(now);
                    let before = items.len();
                    self.fetch(&mut items);
                    if items.len() == before {
                        return items.into();
                    }
                }
            }
        }
    }

    /// When to poll again at the latest, milliseconds on the line of [`Time::now`]; never before the moment meant.
    pub(crate) fn wait(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a page's life are far below 2^53")]
        self.wait.map(|until| until.as_nanos().div_ceil(1_000) as f64 / 1_000.0)
    }

    /// An attempt led to a session; its number.
    pub(crate) fn connected(&mut self, time: Time, dial: u32, transport: Transport) -> Option<SessionKey> {
        let session = self.sessions.connected(transport)?;
        let dial = DialKey(u64::from(dial));
        // A certificate that the relay signed for stands for its key. A certificate of the web's authorities stands for a name.
        let side = match transport {
            Transport::WebTransport => Side::Dialled(dial, self.relay),
            Transport::WebSocket => Side::DialledByName(dial, self.relay),
        };
        // No page is told what both ends of its TLS share. Only relays prove anything with it, and they do not come here.
        self.net(time, Net::Connected { session, side, exporter: [0; 32] });
        Some(session)
    }

    /// An attempt came to nothing.
    pub(crate) fn dial_failed(&mut self, time: Time, dial: u32, why: DialError) {
        self.net(time, Net::DialFailed { dial: DialKey(u64::from(dial)), why });
    }

    /// The relay opened a stream; its number.
    pub(crate) fn stream_in(&mut self, session: SessionKey, bidi: bool) -> Option<StreamKey> {
        self.sessions.stream_in(session, bidi)
    }

    /// The next bytes of a stream.
    pub(crate) fn data(&mut self, time: Time, session: SessionKey, stream: StreamKey, bytes: Bytes, fin: bool) {
        self.sessions.with_pipes(session, |pipes| pipes.data(stream, bytes, fin));
        self.go_on(time);
    }

    /// The relay gave up sending on a stream.
    pub(crate) fn reset_in(&mut self, time: Time, session: SessionKey, stream: StreamKey, code: Code) {
        self.sessions.with_pipes(session, |pipes| pipes.reset_in(stream, code));
        self.go_on(time);
    }

    /// The relay does not want the rest of what we send on a stream.
    pub(crate) fn stopped_in(&mut self, time: Time, session: SessionKey, stream: StreamKey, code: Code) {
        self.sessions.with_pipes(session, |pipes| pipes.stopped_in(stream, code));
        self.go_on(time);
    }

    /// A whole datagram.
    pub(crate) fn datagram(&mut self, time: Time, session: SessionKey, bytes: Bytes) {
        self.sessions.with_pipes(session, |pipes| pipes.datagram_in(bytes));
        self.go_on(time);
    }

    /// The browser took so many bytes of a stream.
    pub(crate) fn sent(&mut self, time: Time, session: SessionKey, stream: StreamKey, bytes: usize) {
        self.sessions.with_pipes(session, |pipes| pipes.sent(stream, bytes));
        self.go_on(time);
    }

    /// The browser took so many datagrams.
    pub(crate) fn datagrams_sent(&mut self, time: Time, session: SessionKey, count: usize) {
        self.sessions.with_pipes(session, |pipes| pipes.datagrams_sent(count));
        self.go_on(time);
    }

    /// A message came.
    pub(crate) fn message(&mut self, time: Time, session: SessionKey, bytes: &Bytes) {
        self.sessions.message(session, bytes);
        self.go_on(time);
    }

    /// So many bytes of messages have left.
    pub(crate) fn message_sent(&mut self, time: Time, session: SessionKey, bytes: usize) {
        self.sessions.message_sent(session, bytes);
        self.go_on(time);
    }

    /// A session ended at the other end, or on the way.
    pub(crate) fn closed(&mut self, time: Time, session: SessionKey, why: Closed) {
        self.sessions.closed(session, why);
        self.go_on(time);
    }

    /// Announces a track.
    pub(crate) fn publish(&mut self, time: Time, local: u32, media: Media) {
        self.command(time, Command::Publish { track: LocalTrack(local), media });
    }

    /// Sends one frame.
    pub(crate) fn write(&mut self, time: Time, local: u32, frame: OutFrame) {
        self.command(time, Command::Write { track: LocalTrack(local), frame });
    }

    /// Asks for a key frame, if there is such a track.
    pub(crate) fn request_key_frame(&mut self, time: Time, participant: u32, track: u64) {
        if let Some(participant) = self.frames.owner(participant, TrackId(track)) {
            self.command(time, Command::RequestKeyFrame { participant, track: TrackId(track) });
        }
    }

    /// Anything else that the application wants.
    pub(crate) fn command(&mut self, time: Time, command: Command) {
        let now = self.at(time);
        self.client.handle(now, Input::Command(command), &mut self.sessions);
        self.settle(now);
    }

    /// What was counted: by the core, and of refusals here.
    pub(crate) fn stats(&self) -> (&Stats, u64) {
        (self.client.stats(), self.sessions.blocked())
    }

    /// The moment that is meant; never before the one before it.
    fn at(&mut self, time: Time) -> Now {
        let mono = Duration::try_from_secs_f64(time.now / 1_000.0).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and what is no number is 0")]
        let unix_ms = time.unix as u64;
        self.now = Now { mono: mono.max(self.now.mono), unix_ms };
        self.now
    }

    fn net(&mut self, time: Time, net: Net) {
        let now = self.at(time);
        self.client.handle(now, Input::Net(net), &mut self.sessions);
        self.settle(now);
    }

    fn go_on(&mut self, time: Time) {
        let now = self.at(time);
        self.settle(now);
    }

    /// Tells the machine what happened to its sessions, until nothing more did.
    fn settle(&mut self, now: Now) {
        while let Some(net) = self.sessions.next_net() {
            self.client.handle(now, Input::Net(net), &mut self.sessions);
        }
    }

    fn fetch(&mut self, items: &mut VecDeque<Item>) {
        while let Some((session, deed)) = self.sessions.next_deed() {
            items.push_back(Item::Do(session, deed));
        }
    }

    /// What the worker is told of an event; frames of tracks that are not known are nobody's to play.
    fn item(&mut self, now: Now, event: api::Event) -> Option<Item> {
        self.frames.on_event(&event);
        match event {
            api::Event::Frame(frame) => {
                let played = self.frames.on_frame(now, &frame)?;
                Some(Item::Frame(frame, played))
            }
            api::Event::Connection(state) => {
                let transport = match state {
                    ConnectionState::Connected | ConnectionState::ControlLost | ConnectionState::SendingStopped => {
                        self.sessions.transport()
                    }
                    ConnectionState::Connecting | ConnectionState::Reconnecting => None,
                };
                Some(Item::Connection(state, transport))
            }
            event => Some(Item::Event(event)),
        }
    }
}

#[cfg(test)]
mod tests;

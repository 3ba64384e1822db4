//! One participant: commands and network in, events out. Dispatch only; what is decided stands in the states.
//!
//! ```text
//!   connection:  down --> dialling --> opening --> open --> (lost) down ..
//!   state:       enter (found or look up, begin or ask) --> joined --> over
//! ```

mod asking;
mod connection;
mod core;
mod enter;
mod held;
mod joined;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt, time::Duration};

use conclave_federation::{
    id::TrackId,
    io::{Machine, Net, Now, Outlet, Output, SessionKey},
    session::{self, Session},
    wire::code::Code,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use self::{
    connection::{Connection, Lost},
    core::{Core, Ctx},
    enter::{Enter, Progress},
    joined::{Joined, Next},
};
use crate::{
    api::{Command, Config, ConnectionState, CreateRoom, Ended, Event, Input, LocalTrack, Media, Stats, Warning},
    link::Link,
    publish::MAX_TRACKS,
};

/// What an answer of the relay is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    /// What is known of the room.
    Resolve,
    /// Our room's record, to the hub.
    PutRecord,
    /// The beginning of a call.
    Genesis,
    /// To be let in, or back in.
    Join,
    /// Our word that we leave.
    Leave,
    /// A host's word that somebody may not come in.
    Decline,
    /// Our proof of membership.
    Attach,
    /// The next capability.
    Renew,
    /// A commit.
    Append,
    /// The hub's word for a report of ours.
    Stamp(u32),
    /// The track's objects.
    Subscribe(TrackId),
    /// A track of ours.
    Publish(TrackId),
}

/// A track as the application wants it.
struct Wish {
    media: Media,
    muted: bool,
}

enum State {
    Enter(Box<Enter>),
    Joined(Box<Joined>),
    Over,
}

/// A participant; see the module. One connection, to the entry relay, and one room.
pub struct Client {
    core: Core,
    connection: Connection,
    state: State,
    /// Tracks that the application publishes: announced whenever there is a room to announce them in.
    wishes: BTreeMap<LocalTrack, Wish>,
    link: Option<Link>,
    /// Said once for each lost session.
    reconnecting: bool,
}

impl Client {
    /// Founds a room at the entry relay and enters it; [`Event::RoomCreated`] has the link.
    #[must_use]
    pub fn create(config: Config, room: CreateRoom) -> Self {
        Self::new(&config, Enter::create(room), None)
    }

    /// Enters the room of `link` through the entry relay, whatever host the link names.
    #[must_use]
    pub fn join(config: Config, link: Link) -> Self {
        Self::new(&config, Enter::join(link.clone()), Some(link))
    }

    fn new(config: &Config, enter: Enter, link: Option<Link>) -> Self {
        let mut core = Core::new(ChaCha20Rng::from_seed(config.seed), config.profile.clone(), config.known.clone());
        core.tell(Event::Connection(ConnectionState::Connecting));
        let connection = Connection::new(config.entry.clone());
        Self { core, connection, state: State::Enter(Box::new(enter)), wishes: BTreeMap::new(), link, reconnecting: false }
    }

    /// The room's link, once it is known: the newest that we have heard of.
    #[must_use]
    pub const fn link(&self) -> Option<&Link> {
        match &self.state {
            State::Joined(joined) => Some(joined.link()),
            State::Enter(_) | State::Over => self.link.as_ref(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// Every secret of the room that is held now, by name: for the leak check of the project's own tests alone.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn secrets_for_audit(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = match &self.state {
            State::Joined(joined) => joined.secrets(),
            State::Enter(_) | State::Over => Vec::new(),
        };
        if let Some(link) = &self.link {
            all.push(("link secret".to_owned(), link.secret.expose().to_vec()));
        }
        all
    }

    /// See [`Joined::forge`].
    #[cfg(test)]
    fn forge(
        &self,
        leaf: u16,
        counter: u64,
        name: conclave_federation::track::TrackName,
        group: u64,
        data: &'static [u8],
    ) -> bytes::Bytes {
        match &self.state {
            State::Joined(joined) => joined.forge(leaf, counter, name, group, data),
            State::Enter(_) | State::Over => bytes::Bytes::new(),
        }
    }

    fn on_net(&mut self, now: Now, net: Net, outlet: &mut impl Outlet) {
        match net {
            Net::Connected { session, side, exporter } => self.connection.on_connected(now, session, side, exporter, outlet),
            Net::DialFailed { dial, why } => {
                let lost = self.connection.on_dial_failed(now, dial, why, &mut self.core.rng);
                self.on_lost(now, lost, outlet);
            }
            Net::Datagram { session, bytes } => self.on_session(now, session, outlet, |session, _| session.on_datagram(bytes)),
            Net::Data { session, stream, kind, bytes, fin } => {
                self.on_session(now, session, outlet, |session, outlet| session.on_data(now, stream, kind, bytes, fin, outlet));
            }
            Net::Reset { session, stream, .. } => self.on_session(now, session, outlet, |session, _| {
                session.on_reset(stream);
                Ok(())
            }),
            Net::Stopped { session, stream, .. } => {
                if self.connection.is(session) {
                    self.with_joined(now, outlet, |joined, ctx| {
                        joined.on_stopped(stream, ctx);
                        Next::Stay
                    });
                }
            }
            Net::Writable { session } => {
                self.on_session(now, session, outlet, |session, outlet| session.on_writable(outlet));
                if self.connection.is(session) {
                    self.with_joined(now, outlet, |joined, ctx| {
                        joined.on_writable(ctx);
                        Next::Stay
                    });
                }
            }
            Net::Closed { session, why } => {
                if self.connection.is(session) {
                    let lost = self.connection.on_closed(now, &why, &mut self.core.rng);
                    self.on_lost(now, Some(lost), outlet);
                }
            }
        }
    }

    /// Feeds the session and acts on all that comes out of it.
    fn on_session<O: Outlet>(
        &mut self,
        now: Now,
        key: SessionKey,
        outlet: &mut O,
        feed: impl FnOnce(&mut Session<Ask>, &mut O) -> Result<(), session::Fault>,
    ) {
        if !self.connection.is(key) {
            return;
        }
        let Some(session) = self.connection.session() else { return };
        let fed = feed(session, outlet);
        // What arrived whole before the fault is still good.
        while let Some(event) = self.connection.session().filter(|session| session.key() == key).and_then(Session::next_event) {
            self.on_event(now, event, outlet);
        }
        let fed = fed.and_then(|()| match self.connection.session() {
            Some(session) if session.key() == key => session.check_backlog(),
            Some(_) | None => Ok(()),
        });
        if let Err(fault) = fed {
            tracing::debug!(%fault, "session closed");
            let lost = self.connection.on_fault(now, &fault, &mut self.core.rng, outlet);
            self.on_lost(now, lost, outlet);
        }
    }

    fn on_event(&mut self, now: Now, event: session::Event<Ask>, outlet: &mut impl Outlet) {
        match event {
            session::Event::Active(remote) => {
                if self.connection.on_active(remote) {
                    self.on_open(now, outlet);
                }
            }
            session::Event::Answer(ask, answer) => match &self.state {
                State::Enter(_) => self.with_enter(now, outlet, |enter, ctx| enter.on_answer(ask, answer, ctx)),
                State::Joined(_) => self.with_joined(now, outlet, |joined, ctx| joined.on_answer(ask, answer, ctx)),
                State::Over => {}
            },
            session::Event::Request(reply, _) => {
                let words = "a participant's client answers no requests";
                let refusal = conclave_federation::wire::message::Refusal::new(Code::UNSUPPORTED, words);
                if let Some(session) = self.connection.session() {
                    session.answer(reply, conclave_federation::wire::message::Answer::Refused(refusal), outlet);
                }
            }
            session::Event::Notice(notice) => self.with_joined(now, outlet, |joined, ctx| {
                joined.on_notice(&notice, ctx);
                Next::Stay
            }),
            event @ (session::Event::Piece(..) | session::Event::StreamEnded(..) | session::Event::Datagram(..)) => {
                self.with_joined(now, outlet, |joined, ctx| joined.on_session_event(event, ctx));
            }
        }
    }

    fn on_open(&mut self, now: Now, outlet: &mut impl Outlet) {
        self.core.stats.sessions += 1;
        self.reconnecting = false;
        self.core.tell(Event::Connection(ConnectionState::Connected));
        match &self.state {
            State::Enter(_) => self.with_enter(now, outlet, Enter::on_open),
            State::Joined(_) => self.with_joined(now, outlet, |joined, ctx| {
                joined.on_open(ctx);
                Next::Stay
            }),
            State::Over => {}
        }
    }

    fn on_lost(&mut self, now: Now, lost: Option<Lost>, outlet: &mut impl Outlet) {
        match lost {
            None => return,
            Some(Lost::Again { was_open }) => {
                if was_open && !self.reconnecting {
                    self.reconnecting = true;
                    self.core.tell(Event::Connection(ConnectionState::Reconnecting));
                }
            }
            Some(Lost::Over(error)) => return self.end(Ended::Failed(error), outlet),
        }
        match &mut self.state {
            State::Enter(enter) => enter.on_lost(),
            State::Joined(joined) => joined.on_lost(now),
            State::Over => {}
        }
    }

    fn with_enter<O: Outlet>(&mut self, now: Now, outlet: &mut O, act: impl FnOnce(&mut Enter, &mut Ctx<'_, O>) -> Progress) {
        let State::Enter(enter) = &mut self.state else { return };
        let mut ctx = Ctx { now, core: &mut self.core, open: self.connection.open(), outlet };
        let progress = act(enter, &mut ctx);
        if self.link.is_none() {
            self.link = enter.link().cloned();
        }
        match progress {
            Progress::Stay => {}
            Progress::Failed(error) => self.end(Ended::Failed(error), outlet),
            Progress::Entered(entered) => {
                self.meet_relay(&entered.hall.record);
                let mut joined = Joined::new(*entered, now, &mut self.core.rng);
                let mut ctx = Ctx { now, core: &mut self.core, open: self.connection.open(), outlet };
                for (track, wish) in &self.wishes {
                    joined.publish(*track, wish.media.clone(), &mut ctx);
                    joined.mute(*track, wish.muted, &mut ctx);
                }
                joined.on_open(&mut ctx);
                self.state = State::Joined(Box::new(joined));
            }
        }
    }

    /// A relay whose key was not known before is required from now on; people are told when the room does not know it
    /// either.
    fn meet_relay(&mut self, record: &conclave_federation::record::RoomRecord) {
        let Some(relay) = self.connection.open().map(|open| open.relay.relay) else { return };
        if !self.connection.is_pinned() {
            self.connection.pin(relay);
            if !record.hubs.iter().any(|hub| hub.relay == relay) {
                self.core.warn(Warning::UnpinnedRelay);
            }
        }
    }

    fn with_joined<O: Outlet>(&mut self, now: Now, outlet: &mut O, act: impl FnOnce(&mut Joined, &mut Ctx<'_, O>) -> Next) {
        let State::Joined(joined) = &mut self.state else { return };
        let mut ctx = Ctx { now, core: &mut self.core, open: self.connection.open(), outlet };
        match act(joined, &mut ctx) {
            Next::Stay => {}
            Next::Left => self.end(Ended::Left, outlet),
            Next::CallEnded => self.end(Ended::CallEnded, outlet),
            Next::Failed(error) => self.end(Ended::Failed(error), outlet),
            Next::Enter => {
                let State::Joined(joined) = std::mem::replace(&mut self.state, State::Over) else { return };
                let (hall, access) = joined.into_hall();
                self.link = Some(hall.link.clone());
                self.core.stats.rejoins += 1;
                self.core.warn(Warning::Rejoined);
                self.state = State::Enter(Box::new(Enter::again(hall.link, access)));
                if self.connection.open().is_some() {
                    self.with_enter(now, outlet, Enter::on_open);
                }
            }
        }
    }

    fn end(&mut self, how: Ended, outlet: &mut impl Outlet) {
        if !matches!(self.state, State::Over) {
            if let State::Joined(joined) = &self.state {
                self.link = Some(joined.link().clone());
            }
            self.state = State::Over;
            self.connection.end(Code::NONE, "", outlet);
            self.core.tell(Event::Ended(how));
        }
    }

    fn on_command(&mut self, now: Now, command: Command, outlet: &mut impl Outlet) {
        match command {
            Command::Publish { track, mut media } => {
                if self.wishes.len() >= MAX_TRACKS && !self.wishes.contains_key(&track) {
                    return self.core.warn(Warning::TooManyTracks);
                }
                let mut end = media.label.len().min(Media::MAX_LABEL);
                while !media.label.is_char_boundary(end) {
                    end -= 1;
                }
                media.label.truncate(end);
                media.layers = if media.is_audio() { 1 } else { media.layers.clamp(1, Media::MAX_LAYERS) };
                let muted = self.wishes.get(&track).is_some_and(|wish| wish.muted);
                self.wishes.insert(track, Wish { media: media.clone(), muted });
                self.with_joined(now, outlet, |joined, ctx| {
                    joined.publish(track, media, ctx);
                    Next::Stay
                });
            }
            Command::Unpublish { track } => {
                self.wishes.remove(&track);
                self.with_joined(now, outlet, |joined, ctx| {
                    joined.unpublish(track, ctx);
                    Next::Stay
                });
            }
            Command::Mute { track, muted } => {
                let Some(wish) = self.wishes.get_mut(&track) else { return };
                wish.muted = muted;
                self.with_joined(now, outlet, |joined, ctx| {
                    joined.mute(track, muted, ctx);
                    Next::Stay
                });
            }
            Command::Write { track, frame } => {
                if let State::Enter(_) = &self.state {
                    self.core.stats.frames_dropped += 1;
                }
                self.with_joined(now, outlet, |joined, ctx| {
                    joined.write(track, &frame, ctx);
                    Next::Stay
                });
            }
            Command::Chat { text } => {
                if let State::Enter(_) = &self.state {
                    self.core.warn(Warning::ChatNotSent);
                }
                self.with_joined(now, outlet, |joined, ctx| {
                    joined.say(&text, ctx);
                    Next::Stay
                });
            }
            Command::Report { messages, note } => self.with_joined(now, outlet, |joined, ctx| {
                joined.report(&messages, &note, ctx);
                Next::Stay
            }),
            Command::Hide { participant, hidden } => self.with_joined(now, outlet, |joined, ctx| {
                joined.set_aside(participant, |aside| aside.hidden = hidden, ctx);
                Next::Stay
            }),
            Command::MuteLocally { participant, muted } => self.with_joined(now, outlet, |joined, ctx| {
                joined.set_aside(participant, |aside| aside.muted = muted, ctx);
                Next::Stay
            }),
            Command::Block { participant, blocked } => self.with_joined(now, outlet, |joined, ctx| {
                joined.set_aside(participant, |aside| aside.blocked = blocked, ctx);
                Next::Stay
            }),
            Command::RequestKeyFrame { participant, track } => self.with_joined(now, outlet, |joined, ctx| {
                joined.request_key_frame(participant, track, ctx);
                Next::Stay
            }),
            command @ (Command::Compare { .. }
            | Command::Verified { .. }
            | Command::Rename { .. }
            | Command::RaiseHand { .. }
            | Command::Recording { .. }
            | Command::React { .. }
            | Command::AskMute { .. }) => match &self.state {
                State::Joined(_) => self.with_joined(now, outlet, |joined, ctx| {
                    joined.on_person(&command, ctx);
                    Next::Stay
                }),
                State::Enter(_) => self.core.warn(Warning::NotInRoom),
                State::Over => {}
            },
            command @ (Command::Admit { .. }
            | Command::Refuse { .. }
            | Command::SetMode(_)
            | Command::Remove { .. }
            | Command::RotateLink
            | Command::MakeHost { .. }
            | Command::DropHost { .. }
            | Command::EndForAll
            | Command::Vote { .. }
            | Command::SetHistory { .. }) => match &self.state {
                State::Joined(_) => self.with_joined(now, outlet, |joined, ctx| joined.govern(&command, ctx)),
                State::Enter(_) => self.core.warn(Warning::NotInRoom),
                State::Over => {}
            },
            Command::Leave => match &self.state {
                State::Joined(_) => self.with_joined(now, outlet, Joined::leave),
                State::Enter(_) | State::Over => self.end(Ended::Left, outlet),
            },
        }
    }

    fn on_timeout(&mut self, now: Now, outlet: &mut impl Outlet) {
        if let Some(key) = self.connection.session().map(|session| session.key()) {
            self.on_session(now, key, outlet, |session, _| session.on_timeout(now));
        }
        let lost = self.connection.on_timeout(now, &mut self.core.rng);
        self.on_lost(now, lost, outlet);
        match &self.state {
            State::Enter(_) if self.connection.open().is_some() => self.with_enter(now, outlet, Enter::on_timeout),
            State::Joined(_) => self.with_joined(now, outlet, Joined::on_timeout),
            State::Enter(_) | State::Over => {}
        }
    }

    fn next_timeout(&mut self, now: Now) -> Option<Duration> {
        let state = match &self.state {
            State::Enter(enter) if self.connection.open().is_some() => enter.next_timeout(),
            State::Joined(joined) => joined.next_timeout(now),
            State::Enter(_) | State::Over => None,
        };
        [self.connection.next_timeout(), state].into_iter().flatten().min()
    }
}

impl Machine for Client {
    type Input = Input;
    type Output = Event;

    fn handle(&mut self, now: Now, input: Input, outlet: &mut impl Outlet) {
        if matches!(self.state, State::Over) {
            return;
        }
        match input {
            Input::Net(net) => self.on_net(now, net, outlet),
            Input::Command(command) => self.on_command(now, command, outlet),
        }
    }

    fn poll(&mut self, now: Now, outlet: &mut impl Outlet) -> Output<Event> {
        if let Some(event) = self.core.next_event() {
            return Output::Do(event);
        }
        if matches!(self.state, State::Over) {
            return Output::Wait(None);
        }
        self.on_timeout(now, outlet);
        if let Some(event) = self.core.next_event() {
            return Output::Do(event);
        }
        if matches!(self.state, State::Over) {
            return Output::Wait(None);
        }
        match self.connection.dial(now) {
            Some(dial) => Output::Dial(dial),
            None => Output::Wait(self.next_timeout(now)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Enter(_) => "enter",
            State::Joined(_) => "joined",
            State::Over => "over",
        };
        f.debug_struct("Client").field("state", &state).finish_non_exhaustive()
    }
}

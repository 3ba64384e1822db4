//! One participant: commands and network in, events out. Dispatch only; what is decided stands in the states.

mod connection;

use std::{collections::VecDeque, fmt, time::Duration};

use conclave_federation::{
    id::TrackId,
    io::{Machine, Net, Now, Outlet, Output, SessionKey},
    session,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use self::connection::{Connection, Lost};
use crate::{
    api::{ClientError, Command, Config, ConnectionState, CreateRoom, Ended, Event, Input, Profile, Warning},
    link::Link,
};

/// What an answer of the relay is to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    /// What is known of the room.
    Resolve,
    /// The track's objects.
    Subscribe(TrackId),
}

/// What every state works with.
struct Core {
    rng: ChaCha20Rng,
    profile: Profile,
    events: VecDeque<Event>,
}

/// What the client is for.
enum Purpose {
    Create(CreateRoom),
    Join(Link),
}

/// A participant; see the module. One connection, to the entry relay, and one room.
pub struct Client {
    core: Core,
    connection: Connection,
    purpose: Purpose,
    ended: bool,
}

impl Client {
    /// Founds a room at the entry relay and enters it; [`Event::RoomCreated`] has the link.
    #[must_use]
    pub fn create(config: Config, room: CreateRoom) -> Self {
        Self::new(config, Purpose::Create(room))
    }

    /// Enters the room of `link` through the entry relay, whatever host the link names.
    #[must_use]
    pub fn join(config: Config, link: Link) -> Self {
        Self::new(config, Purpose::Join(link))
    }

    fn new(config: Config, purpose: Purpose) -> Self {
        let core = Core {
            rng: ChaCha20Rng::from_seed(config.seed),
            profile: config.profile.clone(),
            events: VecDeque::from([Event::Connection(ConnectionState::Connecting)]),
        };
        Self { core, connection: Connection::new(config.entry.clone()), purpose, ended: false }
    }

    /// The room's link, once it is known.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        match &self.purpose {
            Purpose::Create(_) => None,
            Purpose::Join(link) => Some(link),
        }
    }

    /// Every secret of the room that is held now, by name: for the leak check of the project's own tests alone.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn secrets_for_audit(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn on_net(&mut self, now: Now, net: Net, outlet: &mut impl Outlet) {
        match net {
            Net::Connected { session, side, exporter } => self.connection.on_connected(now, session, side, exporter, outlet),
            Net::DialFailed { dial, why } => {
                let lost = self.connection.on_dial_failed(now, dial, why, &mut self.core.rng);
                self.on_lost(lost);
            }
            Net::Datagram { session, bytes } => self.on_session(now, session, outlet, |session, _| session.on_datagram(bytes)),
            Net::Data { session, stream, kind, bytes, fin } => {
                self.on_session(now, session, outlet, |session, outlet| session.on_data(now, stream, kind, bytes, fin, outlet));
            }
            Net::Reset { session, stream, .. } => self.on_session(now, session, outlet, |session, _| {
                session.on_reset(stream);
                Ok(())
            }),
            Net::Stopped { .. } => {}
            Net::Writable { session } => self.on_session(now, session, outlet, |session, outlet| session.on_writable(outlet)),
            Net::Closed { session, why } => {
                if self.connection.is(session) {
                    let lost = self.connection.on_closed(now, &why, &mut self.core.rng);
                    self.on_lost(Some(lost));
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
        feed: impl FnOnce(&mut session::Session<Ask>, &mut O) -> Result<(), session::Fault>,
    ) {
        if !self.connection.is(key) {
            return;
        }
        let Some(session) = self.connection.session() else { return };
        if let Err(fault) = feed(session, outlet) {
            let lost = self.connection.on_fault(now, &fault, &mut self.core.rng, outlet);
            self.on_lost(lost);
            return;
        }
        while let Some(event) = self.connection.session().and_then(session::Session::next_event) {
            self.on_event(now, event, outlet);
        }
    }

    fn on_event(&mut self, now: Now, event: session::Event<Ask>, outlet: &mut impl Outlet) {
        let _ = (now, outlet);
        if let session::Event::Active(remote) = event {
            let pinned = self.connection.is_pinned();
            if self.connection.on_active(remote) {
                if !pinned {
                    self.core.events.push_back(Event::Warning(Warning::UnpinnedRelay));
                }
                self.core.events.push_back(Event::Connection(ConnectionState::Connected));
            }
        }
    }

    fn on_lost(&mut self, lost: Option<Lost>) {
        match lost {
            None => {}
            Some(Lost::Again) => self.core.events.push_back(Event::Connection(ConnectionState::Reconnecting)),
            Some(Lost::Over(error)) => self.end(Ended::Failed(error)),
        }
    }

    fn end(&mut self, how: Ended) {
        if !self.ended {
            self.ended = true;
            self.core.events.push_back(Event::Ended(how));
        }
    }

    fn on_command(&mut self, now: Now, command: Command, outlet: &mut impl Outlet) {
        let _ = now;
        if let Command::Leave = command {
            self.connection.end(conclave_federation::wire::code::Code::NONE, "", outlet);
            self.end(Ended::Left);
        }
    }

    fn on_timeout(&mut self, now: Now, outlet: &mut impl Outlet) {
        if let Some(key) = self.connection.session().map(|session| session.key()) {
            self.on_session(now, key, outlet, |session, _| session.on_timeout(now));
        }
    }
}

impl Machine for Client {
    type Input = Input;
    type Output = Event;

    fn handle(&mut self, now: Now, input: Input, outlet: &mut impl Outlet) {
        if self.ended {
            return;
        }
        match input {
            Input::Net(net) => self.on_net(now, net, outlet),
            Input::Command(command) => self.on_command(now, command, outlet),
        }
    }

    fn poll(&mut self, now: Now, outlet: &mut impl Outlet) -> Output<Event> {
        if !self.ended {
            self.on_timeout(now, outlet);
        }
        if let Some(event) = self.core.events.pop_front() {
            return Output::Do(event);
        }
        if self.ended {
            return Output::Wait(None);
        }
        match self.connection.dial(now) {
            Some(dial) => Output::Dial(dial),
            None => Output::Wait(self.connection.next_timeout()),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("ended", &self.ended).finish_non_exhaustive()
    }
}

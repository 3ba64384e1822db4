//! What an application says to a participant and hears from it. Plain values: nothing here decides anything.

mod carrier;
mod command;
mod error;
mod event;
mod host;
mod media;
mod people;
mod stats;
mod trust;

use std::fmt;

use conclave_federation::{id::RelayId, io::Net};
use zeroize::Zeroize;

pub use self::{
    carrier::Carrier,
    command::Command,
    error::{ClientError, DeclineReason, OpenError, Warning},
    event::{ConnectionState, Ended, Event},
    host::{Misdeed, RequestId},
    media::{Codec, InFrame, Kind, LocalTrack, Media, OutFrame, RemoteTrack},
    people::{Departure, Participant, ParticipantId, Presence},
    stats::Stats,
    trust::{Muted, Trust},
};
pub use crate::{known::Acquaintance, state::Mode};

/// How a participant is made.
pub struct Config {
    /// All randomness comes from here; fresh from the system for every client, the same again only in tests.
    pub seed: [u8; 32],
    /// What others see.
    pub profile: Profile,
    /// The one relay this client talks to.
    pub entry: Entry,
    /// Who is to be recognised: what [`Event::Acquaintance`] gave in earlier calls. At most [`Acquaintance::MOST`].
    pub known: Vec<Acquaintance>,
}

impl Drop for Config {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// What others see of a participant; self-asserted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// At most [`Profile::MAX_NAME`] bytes; longer ones are cut.
    pub name: String,
}

impl Profile {
    /// Longest name, in bytes.
    pub const MAX_NAME: usize = 64;
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile(name of {} B)", self.name.len())
    }
}

/// The relay to connect to.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key it has to prove; `None` accepts the key that is met, and warns when the room does not name it.
    pub relay: Option<RelayId>,
    /// `host:port`, tried in order.
    pub addresses: Vec<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// A room to found.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateRoom {
    /// Shown to participants, unknown to relays; at most [`CreateRoom::MAX_TITLE`] bytes, longer ones are cut.
    pub title: String,
    /// At most this many participants; bounded by [`conclave_federation::limits::MAX_LEAVES`].
    pub max_members: u16,
    /// Who may let others in.
    pub mode: Mode,
}

impl CreateRoom {
    /// Longest title, in bytes.
    pub const MAX_TITLE: usize = 128;
}

impl fmt::Debug for CreateRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateRoom").field("max_members", &self.max_members).finish_non_exhaustive()
    }
}

/// What can happen to a client.
#[derive(Debug)]
pub enum Input {
    /// The network did something.
    Net(Net),
    /// The application wants something.
    Command(Command),
}

impl From<Net> for Input {
    fn from(net: Net) -> Self {
        Self::Net(net)
    }
}

impl From<Command> for Input {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

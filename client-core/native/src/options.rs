//! How to join and how to create, before anything happens.

use std::fmt;

use conclave_client_core::api::{Acquaintance, CreateRoom, Mode};
use conclave_federation::limits::MAX_LEAVES;
use tokio::sync::watch;

use crate::entry::EntryRelay;

/// How to come into a room.
pub struct Options {
    pub(crate) name: String,
    pub(crate) entry: Option<EntryRelay>,
    pub(crate) seed: Option<[u8; 32]>,
    pub(crate) known: Vec<Acquaintance>,
    pub(crate) waiting: Option<watch::Sender<Option<String>>>,
    #[cfg(feature = "audit")]
    pub(crate) audit: Option<crate::driver::Audit>,
}

impl Options {
    /// As somebody who calls themselves this; others see it, relays do not. Cut to 64 bytes.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            entry: None,
            seed: None,
            known: Vec::new(),
            waiting: None,
            #[cfg(feature = "audit")]
            audit: None,
        }
    }

    /// Through this relay; without it through the one that the link begins with.
    #[must_use]
    pub fn through(mut self, entry: EntryRelay) -> Self {
        self.entry = Some(entry);
        self
    }

    /// Recognises these people, if they recognise us: what [`crate::Event::Acquaintance`] gave in earlier calls, at most 256 of
    /// them. [`crate::Participant::known`] counts them from 0, in this order.
    #[must_use]
    pub fn known(mut self, known: impl IntoIterator<Item = Acquaintance>) -> Self {
        self.known = known.into_iter().collect();
        self
    }

    /// Tells when a host has to let us in before [`crate::Room::join`] returns: with the words that the host sees beside our name.
    #[must_use]
    pub fn waiting(mut self, code: watch::Sender<Option<String>>) -> Self {
        self.waiting = Some(code);
        self
    }

    /// All randomness of this participant from these bytes. For tests only: the same seed twice is the same keys twice.
    #[must_use]
    pub fn seeded(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Hands every secret of the room to `sink` whenever they change. For the leak check only.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn audited(mut self, sink: impl FnMut(Vec<(String, Vec<u8>)>) + Send + 'static) -> Self {
        self.audit = Some(Box::new(sink));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// How to make a room: at which relay, and what is said of it inside.
#[derive(Debug)]
pub struct CreateOptions {
    pub(crate) room: CreateRoom,
    pub(crate) entry: EntryRelay,
    pub(crate) options: Options,
}

impl CreateOptions {
    /// A room whose hub is this relay, entered through it at once; `options` say as whom.
    #[must_use]
    pub fn at(entry: EntryRelay, options: Options) -> Self {
        Self { room: CreateRoom { title: String::new(), max_members: MAX_LEAVES, mode: Mode::Open }, entry, options }
    }

    /// What participants see above the call; relays do not. Cut to 128 bytes.
    #[must_use]
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.room.title = title.into();
        self
    }

    /// Who may let others in; without it, whoever is in. A call in a room that is not open is begun by a host alone.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        self.room.mode = mode;
        self
    }

    /// At most this many participants; without it, 1,000.
    #[must_use]
    pub fn for_at_most(mut self, participants: u16) -> Self {
        self.room.max_members = participants.min(MAX_LEAVES);
        self
    }
}

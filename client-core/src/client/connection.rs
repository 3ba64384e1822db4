//! The one session with the entry relay: reaching it, losing it, reaching it again.

use std::time::Duration;

use conclave_federation::{
    id::RelayId,
    io::{Closed, Dial, DialError, DialKey, Now, Outlet, SessionKey, Side},
    record::RelayDescriptor,
    session::{Fault, Local, Remote, Session},
    wire::code::Code,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use super::Ask;
use crate::api::{ClientError, Entry};

/// The first wait before dialling again; doubles up to [`MAX_BACKOFF`], with up to half of it added by chance, so that a
/// relay that comes back is not met by everybody at once.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// See [`FIRST_BACKOFF`].
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// How often the first connection is tried: somebody is waiting in front of a screen.
const FIRST_ATTEMPTS: u32 = 3;

/// How long a lost connection is tried again before the room is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// How long a driver may take over one attempt. Each has its own patience below this; it is here so that an attempt which
/// got lost loses nothing but time.
const DIAL_PATIENCE: Duration = Duration::from_secs(20);

/// An open session and what the relay said of itself.
pub(super) struct Open {
    /// The session.
    pub(super) session: Session<Ask>,
    /// Who answered.
    pub(super) relay: RelayDescriptor,
    /// Proofs are over it.
    pub(super) nonce: [u8; 32],
    /// What proofs to this relay are bound to besides its key: the `host:port` dialled where only that was proved, else
    /// nothing.
    pub(super) authority: String,
}

enum Way {
    /// Dial now, or when the time has come.
    Down { at: Duration },
    /// The driver was asked.
    Dialling { key: DialKey, until: Duration },
    /// Connected; the opening is under way.
    Opening(Box<Session<Ask>>),
    /// Usable.
    Open(Box<Open>),
    /// Done for good.
    Over,
}

/// What became of an attempt or a session.
pub(super) enum Lost {
    /// It is tried again by itself; whether there was a session before.
    Again {
        /// Whether there was a session before.
        was_open: bool,
    },
    /// It is over.
    Over(ClientError),
}

/// The way to the entry relay.
pub(super) struct Connection {
    entry: Entry,
    way: Way,
    next_dial: u64,
    failures: u32,
    /// Since when there has been no session, once there was one.
    down_since: Option<Duration>,
    was_open: bool,
    /// See [`Open::authority`].
    authority: String,
}

impl Connection {
    pub(super) const fn new(entry: Entry) -> Self {
        Self {
            entry,
            way: Way::Down { at: Duration::ZERO },
            next_dial: 0,
            failures: 0,
            down_since: None,
            was_open: false,
            authority: String::new(),
        }
    }

    /// Whether the key of the relay was known before.
    pub(super) const fn is_pinned(&self) -> bool {
        self.entry.relay.is_some()
    }

    /// The key met is required from now on.
    pub(super) fn pin(&mut self, relay: RelayId) {
        self.entry.relay = Some(relay);
    }

    /// The attempt to make now, if any.
    pub(super) fn dial(&mut self, now: Now) -> Option<Dial> {
        match self.way {
            Way::Down { at } if at <= now.mono => {
                let key = DialKey(self.next_dial);
                self.next_dial += 1;
                self.way = Way::Dialling { key, until: now.mono + DIAL_PATIENCE };
                Some(Dial { key, relay: self.entry.relay, addresses: self.entry.addresses.clone() })
            }
            Way::Down { .. } | Way::Dialling { .. } | Way::Opening(_) | Way::Open(_) | Way::Over => None,
        }
    }

    /// A connection is up: says hello, unless it is not the one that was asked for.
    pub(super) fn on_connected(
        &mut self,
        now: Now,
        session: SessionKey,
        side: Side,
        exporter: [u8; 32],
        outlet: &mut impl Outlet,
    ) {
        match (&self.way, side) {
            (Way::Dialling { key, .. }, Side::Dialled(dial, relay) | Side::DialledByName(dial, relay))
                if *key == dial && self.entry.relay.is_none_or(|expected| expected == relay) =>
            {
                self.authority = match side {
                    Side::DialledByName(..) => self.entry.addresses.first().cloned().unwrap_or_default(),
                    Side::Dialled(..) | Side::Accepted => String::new(),
                };
                self.way = Way::Opening(Box::new(Session::new(now, session, side, exporter, &Local::Client, outlet)));
            }
            _ => outlet.close(session, Code::VIOLATION, "this connection was not asked for"),
        }
    }

    /// The opening is complete.
    pub(super) fn on_active(&mut self, remote: Remote) -> bool {
        match (std::mem::replace(&mut self.way, Way::Over), remote) {
            (Way::Opening(session), Remote::Relay { descriptor, nonce }) => {
                let authority = std::mem::take(&mut self.authority);
                self.way = Way::Open(Box::new(Open { session: *session, relay: *descriptor, nonce, authority }));
                self.failures = 0;
                self.down_since = None;
                self.was_open = true;
                true
            }
            (way, _) => {
                self.way = way;
                false
            }
        }
    }

    /// The session, from its first byte on.
    pub(super) fn session(&mut self) -> Option<&mut Session<Ask>> {
        match &mut self.way {
            Way::Opening(session) => Some(session),
            Way::Open(open) => Some(&mut open.session),
            Way::Down { .. } | Way::Dialling { .. } | Way::Over => None,
        }
    }

    /// The session, once it can be used.
    pub(super) fn open(&mut self) -> Option<&mut Open> {
        match &mut self.way {
            Way::Open(open) => Some(open),
            Way::Down { .. } | Way::Dialling { .. } | Way::Opening(_) | Way::Over => None,
        }
    }

    /// Whether this is the session that we are in.
    pub(super) fn is(&self, key: SessionKey) -> bool {
        match &self.way {
            Way::Opening(session) => session.key() == key,
            Way::Open(open) => open.session.key() == key,
            Way::Down { .. } | Way::Dialling { .. } | Way::Over => false,
        }
    }

    /// An attempt came to nothing.
    pub(super) fn on_dial_failed(&mut self, now: Now, dial: DialKey, why: DialError, rng: &mut ChaCha20Rng) -> Option<Lost> {
        match self.way {
            Way::Dialling { key, .. } if key == dial => {}
            Way::Down { .. } | Way::Dialling { .. } | Way::Opening(_) | Way::Open(_) | Way::Over => return None,
        }
        let error = match why {
            DialError::WrongKey => return Some(self.over(ClientError::WrongRelayKey)),
            DialError::Unreachable | DialError::UnknownName | DialError::NotConclave => ClientError::RelayUnreachable(why),
        };
        Some(self.again(now, error, rng))
    }

    /// Time has passed: an attempt that was never answered came to nothing.
    pub(super) fn on_timeout(&mut self, now: Now, rng: &mut ChaCha20Rng) -> Option<Lost> {
        match self.way {
            Way::Dialling { key, until } if until <= now.mono => self.on_dial_failed(now, key, DialError::Unreachable, rng),
            Way::Down { .. } | Way::Dialling { .. } | Way::Opening(_) | Way::Open(_) | Way::Over => None,
        }
    }

    /// The session is over.
    pub(super) fn on_closed(&mut self, now: Now, why: &Closed, rng: &mut ChaCha20Rng) -> Lost {
        let error = match why {
            Closed::ByRemote(Code::VERSION, _) => return self.over(ClientError::NoCommonVersion),
            Closed::ByRemote(code, words) if !self.was_open => ClientError::Refused { code: *code, words: words.clone() },
            Closed::ByRemote(..) | Closed::ByUs | Closed::TimedOut | Closed::Lost if self.was_open => ClientError::ConnectionLost,
            Closed::ByRemote(..) | Closed::ByUs | Closed::TimedOut | Closed::Lost => {
                ClientError::RelayUnreachable(DialError::Unreachable)
            }
        };
        self.again(now, error, rng)
    }

    /// The remote's fault: the session is closed, and another is tried.
    pub(super) fn on_fault(&mut self, now: Now, fault: &Fault, rng: &mut ChaCha20Rng, outlet: &mut impl Outlet) -> Option<Lost> {
        let key = self.session()?.key();
        outlet.close(key, fault.code, fault.words);
        Some(match fault.code {
            Code::VERSION => self.over(ClientError::NoCommonVersion),
            Code::UNPROVEN => self.over(ClientError::WrongRelayKey),
            _ => self.on_closed(now, &Closed::ByUs, rng),
        })
    }

    fn again(&mut self, now: Now, error: ClientError, rng: &mut ChaCha20Rng) -> Lost {
        self.failures = self.failures.saturating_add(1);
        let since = *self.down_since.get_or_insert(now.mono);
        let patience_over = if self.was_open { now.mono >= since + GIVE_UP_AFTER } else { self.failures >= FIRST_ATTEMPTS };
        if patience_over {
            return self.over(error);
        }
        let doubled = FIRST_BACKOFF.saturating_mul(1 << (self.failures - 1).min(8)).min(MAX_BACKOFF);
        let half = u64::try_from(doubled.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        self.way = Way::Down { at: now.mono + doubled + Duration::from_millis(rng.next_u64() % half) };
        Lost::Again { was_open: self.was_open }
    }

    fn over(&mut self, error: ClientError) -> Lost {
        self.way = Way::Over;
        Lost::Over(error)
    }

    /// No further attempt; an open session is closed with this.
    pub(super) fn end(&mut self, code: Code, words: &str, outlet: &mut impl Outlet) {
        if let Some(session) = self.session() {
            outlet.close(session.key(), code, words);
        }
        self.way = Way::Over;
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match &self.way {
            Way::Down { at } => Some(*at),
            Way::Opening(session) => session.next_timeout(),
            Way::Open(open) => open.session.next_timeout(),
            Way::Dialling { until, .. } => Some(*until),
            Way::Over => None,
        }
    }
}

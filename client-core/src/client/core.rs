//! What every state works with: chance, the application's ear, counters, and the way to the relay.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::RelayId,
    io::{Now, Outlet, SessionKey},
    record::RoomRecord,
    wire::{
        List,
        code::Code,
        message::{Notice, Refusal, Request, Via},
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use super::{Ask, connection::Open};
use crate::{
    api::{Acquaintance, ClientError, DeclineReason, Event, OpenError, ParticipantId, Profile, Stats, Warning},
    compare::Chain,
    link::Link,
    peace::Peace,
};

/// Events that may wait for the application. One that does not listen loses what the network can send without end, oldest
/// first, and nothing else.
const MAX_EVENTS: usize = 16_384;

/// Refusals of one kind are told at most once in this time: junk comes in crowds.
const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Core {
    pub(super) rng: ChaCha20Rng,
    pub(super) profile: Profile,
    pub(super) stats: Stats,
    pub(super) peace: Peace,
    /// Who is to be recognised.
    pub(super) known: Vec<Acquaintance>,
    /// The nonces that our leaf is bound to.
    pub(super) nonces: Chain,
    events: VecDeque<Event>,
    refusals: BTreeMap<OpenError, Duration>,
}

impl Core {
    pub(super) fn new(mut rng: ChaCha20Rng, profile: Profile, mut known: Vec<Acquaintance>) -> Self {
        known.truncate(Acquaintance::MOST);
        let nonces = Chain::random(&mut rng);
        let (stats, events, refusals) = (Stats::default(), VecDeque::new(), BTreeMap::new());
        Self { rng, profile, stats, peace: Peace::default(), known, nonces, events, refusals }
    }

    /// Nonces for a new leaf; gives what it is to be bound to.
    pub(super) fn commit(&mut self) -> [u8; 32] {
        self.nonces = Chain::random(&mut self.rng);
        self.nonces.commitment()
    }

    /// Tells the application.
    pub(super) fn tell(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS
            && let Some(at) = self.events.iter().position(is_expendable)
        {
            self.events.remove(at);
            self.stats.events_dropped += 1;
        }
        self.events.push_back(event);
    }

    /// Tells people.
    pub(super) fn warn(&mut self, warning: Warning) {
        self.tell(Event::Warning(warning));
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// An object was not taken: counted, and told if it is the first of its kind in a while.
    pub(super) fn refused(&mut self, now: Now, participant: Option<ParticipantId>, reason: OpenError) -> Option<Event> {
        self.stats.count_refused(reason);
        if reason == OpenError::BeforeJoin {
            // Nobody did anything wrong.
            return None;
        }
        let due = self.refusals.get(&reason).is_none_or(|last| *last + REFUSAL_PAUSE <= now.mono);
        if due {
            self.refusals.insert(reason, now.mono);
        }
        due.then_some(Event::FrameRefused { participant, reason })
    }

    /// Thirty-two fresh bytes.
    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }
}

/// What the network can send without end.
const fn is_expendable(event: &Event) -> bool {
    matches!(
        event,
        Event::Frame(_) | Event::FramesLost { .. } | Event::FrameRefused { .. } | Event::Chat { .. } | Event::ChatGap { .. }
    )
}

/// What a state has in hand while something happens.
pub(super) struct Ctx<'a, O> {
    pub(super) now: Now,
    pub(super) core: &'a mut Core,
    /// The session, if there is one that can be used.
    pub(super) open: Option<&'a mut Open>,
    pub(super) outlet: &'a mut O,
}

impl<O: Outlet> Ctx<'_, O> {
    /// Asks the relay; without a session nothing is asked, and the next session begins anew.
    pub(super) fn ask(&mut self, request: Request, ask: Ask) {
        if let Some(open) = self.open.as_deref_mut() {
            open.session.request(self.now, request, ask, self.outlet);
        }
    }

    /// Tells the relay.
    pub(super) fn notify(&mut self, notice: Notice) {
        if let Some(open) = self.open.as_deref_mut() {
            open.session.notify(notice, self.outlet);
        }
    }

    /// The session's key.
    pub(super) fn session(&self) -> Option<SessionKey> {
        self.open.as_ref().map(|open| open.session.key())
    }

    /// Who is at the other end.
    pub(super) fn relay(&self) -> Option<RelayId> {
        self.open.as_ref().map(|open| open.relay.relay)
    }
}

/// The room that we are on the way to, or in.
#[derive(Clone)]
pub(super) struct Hall {
    pub(super) link: Link,
    pub(super) record: RoomRecord,
}

impl Hall {
    /// How the hub is named towards the entry relay: not at all when it is the hub itself.
    pub(super) fn via(&self, entry: Option<RelayId>) -> Option<Via> {
        let hub = self.record.hub()?;
        if Some(hub.relay) == entry {
            return None;
        }
        Some(Via { relay: hub.relay, addresses: List::new(hub.addresses.to_vec()).unwrap_or_default() })
    }
}

/// What a refusal means to somebody who wants to come in.
pub(super) fn to_error(refusal: &Refusal) -> ClientError {
    let words = refusal.words.as_str().to_owned();
    match refusal.code {
        Code::UNKNOWN_ROOM => ClientError::UnknownRoom,
        Code::UNKNOWN_RELAY | Code::UNREACHABLE => ClientError::UnknownHub { words },
        Code::CLOSED => ClientError::Closed { words },
        Code::UNANSWERED => ClientError::NobodyAnswered,
        Code::REFUSED => ClientError::Declined { reason: DeclineReason::Refused },
        code => ClientError::Refused { code, words },
    }
}

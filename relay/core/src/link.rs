//! Links with other relays: the address book, dialling with capped and jittered pauses, and which of two links stays.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::RelayId,
    io::{Dial, DialKey, SessionKey},
    peering::keep_new,
    wire::message::Request,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use crate::{
    limits::{LINK_PATIENCE, LINK_PROVED, REDIAL_MAX, REDIAL_MIN},
    node::{Peer, earliest},
    relay::Purpose,
};

/// Where we stand with a relay of the address book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// To be dialled then.
    Waits(Duration),
    /// Dialled, not open yet.
    Dialling(DialKey),
    /// A session with it is open, whoever dialled.
    Up,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<String>,
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Up {
    session: SessionKey,
    dialled: bool,
    since: Duration,
}

/// A request for a relay that is being dialled.
#[derive(Debug)]
pub(crate) struct Waiting {
    relay: RelayId,
    deadline: Duration,
    pub(crate) request: Box<Request>,
    pub(crate) purpose: Purpose,
}

/// What to do about a link that has just been opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opened {
    /// It is the only one.
    First,
    /// It replaces this older one, which has to be closed.
    Instead(SessionKey),
    /// The older one stays; close the new one.
    Duplicate,
}

/// All links.
#[derive(Debug)]
pub(crate) struct Links {
    local: RelayId,
    book: BTreeMap<RelayId, Entry>,
    up: BTreeMap<RelayId, Up>,
    waiting: VecDeque<Waiting>,
    next: u64,
}

impl Links {
    /// All of the address book is dialled at once.
    pub(crate) fn new(local: RelayId, peers: Vec<Peer>) -> Self {
        let entry = |peer: Peer| {
            let entry = Entry { addresses: peer.addresses, state: State::Waits(Duration::ZERO), failures: 0 };
            (peer.relay, entry)
        };
        let book = peers.into_iter().filter(|peer| peer.relay != local).map(entry).collect();
        Self { local, book, up: BTreeMap::new(), waiting: VecDeque::new(), next: 0 }
    }

    /// The open session with a relay.
    pub(crate) fn session(&self, relay: RelayId) -> Option<SessionKey> {
        self.up.get(&relay).map(|up| up.session)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.up.len()
    }

    /// Whether a link to this relay is open or will be tried.
    pub(crate) fn is_known(&self, relay: RelayId) -> bool {
        self.book.contains_key(&relay) || self.up.contains_key(&relay)
    }

    /// All that [`Links::is_known`].
    pub(crate) fn known(&self) -> impl Iterator<Item = RelayId> {
        self.book.keys().chain(self.up.keys()).copied()
    }

    /// A link is open.
    pub(crate) fn on_opened(&mut self, now: Duration, relay: RelayId, session: SessionKey, dialled: bool) -> Opened {
        let new = Up { session, dialled, since: now };
        let opened = match self.up.get(&relay) {
            None => Opened::First,
            Some(old) if keep_new(self.local, relay, dialled, old.dialled) => Opened::Instead(old.session),
            // Not dialled at once with this one: whoever dials again has lost the old one, and we have not noticed yet.
            Some(old) if old.since + LINK_PROVED <= now => Opened::Instead(old.session),
            Some(_) => return Opened::Duplicate,
        };
        self.up.insert(relay, new);
        if let Some(entry) = self.book.get_mut(&relay) {
            entry.state = State::Up;
        }
        opened
    }

    /// A link is closed. `true`: there is none with that relay now.
    pub(crate) fn on_closed(&mut self, now: Duration, relay: RelayId, session: SessionKey, rng: &mut ChaCha20Rng) -> bool {
        let Some(up) = self.up.get(&relay).copied().filter(|up| up.session == session) else { return false };
        self.up.remove(&relay);
        if let Some(entry) = self.book.get_mut(&relay) {
            if up.since + LINK_PROVED <= now {
                entry.failures = 0;
            }
            entry.state = State::Waits(now + pause(entry.failures, rng));
            entry.failures = entry.failures.saturating_add(1);
        }
        true
    }

    /// An attempt came to nothing. Says which relay was meant.
    pub(crate) fn on_failed(&mut self, now: Duration, dial: DialKey, rng: &mut ChaCha20Rng) -> Option<RelayId> {
        let (relay, entry) = self.book.iter_mut().find(|(_, entry)| entry.state == State::Dialling(dial))?;
        entry.state = State::Waits(now + pause(entry.failures, rng));
        entry.failures = entry.failures.saturating_add(1);
        Some(*relay)
    }

    /// Who has to be dialled now.
    pub(crate) fn next_dial(&mut self, now: Duration) -> Option<Dial> {
        let due = |entry: &Entry| matches!(entry.state, State::Waits(at) if at <= now);
        let (relay, entry) = self.book.iter_mut().find(|(_, entry)| due(entry))?;
        let key = DialKey(self.next);
        self.next += 1;
        entry.state = State::Dialling(key);
        Some(Dial { key, relay: Some(*relay), addresses: entry.addresses.clone() })
    }

    /// Lets a request wait until its link is up. The first failure after this answers it.
    pub(crate) fn wait(&mut self, now: Duration, relay: RelayId, request: Box<Request>, purpose: Purpose) {
        if let Some(entry) = self.book.get_mut(&relay)
            && let State::Waits(at) = entry.state
        {
            // Somebody wants it: do not sit out a long pause, nor dial for every request.
            entry.state = State::Waits(at.min(now + REDIAL_MIN));
        }
        self.waiting.push_back(Waiting { relay, deadline: now + LINK_PATIENCE, request, purpose });
    }

    /// How many requests wait for this relay.
    pub(crate) fn waiting(&self, relay: RelayId) -> usize {
        self.waiting.iter().filter(|waiting| waiting.relay == relay).count()
    }

    /// What has waited for this relay.
    pub(crate) fn take_waiting(&mut self, relay: RelayId) -> Vec<Waiting> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.relay == relay);
        self.waiting = left;
        taken.into()
    }

    /// What has waited too long.
    pub(crate) fn take_overdue(&mut self, now: Duration) -> Vec<Waiting> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.deadline <= now);
        self.waiting = left;
        taken.into()
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let dial = self.book.values().filter_map(|entry| match entry.state {
            State::Waits(at) => Some(at),
            State::Dialling(_) | State::Up => None,
        });
        earliest([dial.min(), self.waiting.iter().map(|waiting| waiting.deadline).min()])
    }
}

/// Doubles with each failure up to the cap; half of it is chance, so that a fleet does not come back in step.
fn pause(failures: u32, rng: &mut ChaCha20Rng) -> Duration {
    let whole = REDIAL_MIN.saturating_mul(1 << failures.min(16)).min(REDIAL_MAX);
    let half = whole / 2;
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half + Duration::from_micros(rng.next_u64() % micros)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    const HERE: RelayId = RelayId::new([1; 32]);
    const THERE: RelayId = RelayId::new([2; 32]);

    fn links() -> (Links, ChaCha20Rng) {
        let peers = vec![Peer { relay: THERE, addresses: vec!["there.example:4433".into()] }];
        (Links::new(HERE, peers), ChaCha20Rng::from_seed([0; 32]))
    }

    #[test]
    fn a_relay_that_never_answers_is_dialled_ever_more_rarely_but_never_given_up() {
        let (mut links, mut rng) = links();
        let mut now = Duration::ZERO;
        let mut dials = 0;
        while now < Duration::from_secs(3_600) {
            if let Some(dial) = links.next_dial(now) {
                dials += 1;
                assert_eq!(links.on_failed(now, dial.key, &mut rng), Some(THERE));
            }
            now = links.next_timeout().expect("it is tried again");
        }
        assert!((60..150).contains(&dials), "{dials} attempts in an hour");
    }

    #[test]
    fn of_two_links_the_one_dialled_by_the_lower_id_stays() {
        let (mut links, _) = links();
        let (ours, theirs) = (SessionKey(1), SessionKey(2));
        assert_eq!(links.on_opened(Duration::ZERO, THERE, theirs, false), Opened::First);
        assert_eq!(links.on_opened(Duration::ZERO, THERE, ours, true), Opened::Instead(theirs));
        assert_eq!(links.on_opened(Duration::ZERO, THERE, SessionKey(3), false), Opened::Duplicate);
        let soon = LINK_PROVED - Duration::from_millis(1);
        assert_eq!(links.on_opened(soon, THERE, SessionKey(4), false), Opened::Duplicate);
        // A relay that was killed and started again is not kept out until its old link is noticed to be dead.
        assert_eq!(links.session(THERE), Some(ours));
        assert_eq!(links.on_opened(LINK_PROVED, THERE, SessionKey(5), false), Opened::Instead(ours));
    }

    #[test]
    fn the_end_of_a_replaced_link_does_not_end_its_successor() {
        let (mut links, mut rng) = links();
        links.on_opened(Duration::ZERO, THERE, SessionKey(1), false);
        links.on_opened(Duration::ZERO, THERE, SessionKey(2), true);
        assert!(!links.on_closed(Duration::ZERO, THERE, SessionKey(1), &mut rng));
        assert_eq!(links.session(THERE), Some(SessionKey(2)));
        assert!(links.on_closed(Duration::ZERO, THERE, SessionKey(2), &mut rng));
        assert!(links.next_timeout().is_some());
    }
}

//! Objects at relays: each is there at most once, whatever way it took.

use std::collections::BTreeMap;

use conclave_federation::{
    id::{Alias, TrackId},
    io::SessionKey,
};

use crate::{net::HostId, trace::digest};

/// Where an object came from: a session, and how its remote marks the track.
type From = (SessionKey, Alias);

#[derive(Default)]
struct Visit {
    session: Option<SessionKey>,
    /// Times it came on that session.
    times: u32,
}

/// Which objects were where. An object is known by the hash of its payload: sealed payloads never repeat.
#[derive(Default)]
pub struct Visits {
    /// Objects of participants: all others are the hub's own, and its directory repeats itself by design.
    published: BTreeMap<u64, u32>,
    at: BTreeMap<(HostId, u64), Visit>,
    /// Subscriptions that are asked for and not answered, by the asker's session and request.
    asked: BTreeMap<(SessionKey, u64), TrackId>,
    /// What the remote of a session means by an alias.
    tracks: BTreeMap<From, TrackId>,
    /// How often a track was asked for on a session: whoever asks again begins again with what is retained.
    subscribed: BTreeMap<(SessionKey, TrackId), u32>,
    visits: u64,
}

impl Visits {
    /// A relay asks another one for a track.
    pub fn on_subscribe(&mut self, session: SessionKey, request: u64, track: TrackId) {
        self.asked.insert((session, request), track);
        *self.subscribed.entry((session, track)).or_default() += 1;
    }

    /// It gets it.
    pub fn on_subscribed(&mut self, session: SessionKey, request: u64, alias: Alias) {
        if let Some(track) = self.asked.remove(&(session, request)) {
            self.tracks.insert((session, alias), track);
        }
    }

    /// A relay got an object from a participant.
    ///
    /// # Errors
    /// When it had it before.
    pub fn on_published(&mut self, relay: HostId, from: From, payload: &[u8]) -> Result<(), String> {
        let object = digest(payload);
        *self.published.entry(object).or_default() += 1;
        self.visit(relay, from, object, payload.len(), |_| true)
    }

    /// A relay got an object from another relay. `is_open` says whether a session still lives: after one that ended, its
    /// successor may bring what the relay cannot know to have come.
    ///
    /// # Errors
    /// When it had it before, from whomever.
    pub fn on_forwarded(
        &mut self,
        relay: HostId,
        from: From,
        payload: &[u8],
        is_open: impl Fn(SessionKey) -> bool,
    ) -> Result<(), String> {
        let object = digest(payload);
        if self.published.contains_key(&object) { self.visit(relay, from, object, payload.len(), is_open) } else { Ok(()) }
    }

    /// How often an object may come on one session: once for each time that its track was asked for. Before the first
    /// answer it is not known which track it is: then any that is asked for may be it.
    fn most(&self, from: From) -> u32 {
        let times = |track: &TrackId| self.subscribed.get(&(from.0, *track)).copied().unwrap_or(1);
        match self.tracks.get(&from) {
            Some(track) => times(track),
            None => self.asked.range((from.0, 0)..=(from.0, u64::MAX)).map(|(_, track)| times(track)).max().unwrap_or(1),
        }
    }

    fn visit(
        &mut self,
        relay: HostId,
        from: From,
        object: u64,
        len: usize,
        is_open: impl Fn(SessionKey) -> bool,
    ) -> Result<(), String> {
        self.visits += 1;
        let most = self.most(from);
        let visit = self.at.entry((relay, object)).or_default();
        let before = visit.session.replace(from.0);
        if before == Some(from.0) {
            visit.times += 1;
            if visit.times <= most {
                return Ok(());
            }
            return Err(format!("relay {} got an object of {len} B {} times on one session", relay.0, visit.times));
        }
        visit.times = 1;
        // A participant who lost the session to the relay says again what may not have arrived.
        let said_again = self.published.get(&object).is_some_and(|times| *times > 1);
        match before {
            Some(before) if is_open(before) && !said_again => {
                Err(format!("relay {} got an object of {len} B on two sessions", relay.0))
            }
            _ => Ok(()),
        }
    }

    /// Objects of participants that came to relays, counted at each.
    #[must_use]
    pub const fn visits(&self) -> u64 {
        self.visits
    }
}

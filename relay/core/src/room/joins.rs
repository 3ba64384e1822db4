//! The hub's mailbox of join requests: open until an entry serves them or a minute has passed, remembered for two.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::JoinId,
    limits::{JOIN_DEADLINE, JOIN_MEMORY, MAX_PENDING_JOINS},
    proof::sha256,
    wire::message::{Admitted, Join},
};

use crate::{
    limits::{MAX_REMEMBERED_JOINS, MAX_RETIRED_JOINS},
    relay::Asker,
};

#[derive(Debug)]
enum State {
    /// Nobody has answered yet; the place on the requests track, to take it off again.
    Open { asker: Option<Asker>, place: u64, until: Duration },
    /// An entry served it.
    Served(Box<Admitted>),
    /// Nobody did.
    Unanswered,
}

#[derive(Debug)]
struct Remembered {
    body: [u8; 32],
    until: Duration,
    /// Made with a link that is not the current one any more.
    retired: bool,
    state: State,
}

/// What to do about a request.
#[derive(Debug)]
pub(crate) enum Asked {
    /// New: put it on the requests track at this place.
    New(u64),
    /// Known and open: it waits on; whoever asked before is answered elsewhere.
    Resumed(Option<Asker>),
    /// Known and served.
    Served(Box<Admitted>),
    /// The id is somebody else's.
    Taken,
    /// Too many are open, or remembered.
    Full,
}

/// One room's join requests.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    requests: BTreeMap<JoinId, Remembered>,
    places: u64,
}

impl Mailbox {
    fn open(&self) -> impl Iterator<Item = &Remembered> {
        self.requests.values().filter(|request| matches!(request.state, State::Open { .. }))
    }

    /// Somebody asks, or asks again; with a `retired` link they have a share of their own, or whoever was removed could crowd
    /// out everybody who was given the new one.
    pub(crate) fn ask(&mut self, now: Duration, join: &Join, retired: bool, asker: Asker) -> Asked {
        let body = sha256(&[join.body.bytes()]);
        let of_retired = self.open().filter(|request| request.retired).count();
        let full = self.open().count() >= MAX_PENDING_JOINS || (retired && of_retired >= MAX_RETIRED_JOINS);
        match self.requests.get_mut(&join.id) {
            Some(known) if known.body != body => return Asked::Taken,
            Some(known) => match &mut known.state {
                State::Open { asker: open, until, .. } => {
                    *until = now + JOIN_DEADLINE;
                    known.until = now + JOIN_MEMORY;
                    return Asked::Resumed(open.replace(asker));
                }
                State::Served(admitted) => return Asked::Served(admitted.clone()),
                State::Unanswered => {}
            },
            None => {}
        }
        let known = self.requests.contains_key(&join.id);
        if full || (!known && self.requests.len() >= MAX_REMEMBERED_JOINS) {
            return Asked::Full;
        }
        let place = self.places;
        self.places += 1;
        let state = State::Open { asker: Some(asker), place, until: now + JOIN_DEADLINE };
        self.requests.insert(join.id, Remembered { body, until: now + JOIN_MEMORY, retired, state });
        Asked::New(place)
    }

    /// An entry serves it. Says whom to answer and which place to clear.
    pub(crate) fn serve(&mut self, id: JoinId, admitted: &Admitted) -> Option<(Option<Asker>, u64)> {
        let request = self.requests.get_mut(&id)?;
        let served = State::Served(Box::new(admitted.clone()));
        match std::mem::replace(&mut request.state, served) {
            State::Open { asker, place, .. } => Some((asker, place)),
            State::Served(earlier) => {
                request.state = State::Served(earlier);
                None
            }
            State::Unanswered => None,
        }
    }

    /// Those that nobody answered in time, with their places; and forgets what is old.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<(Option<Asker>, u64)> {
        let mut unanswered = Vec::new();
        for request in self.requests.values_mut() {
            if let State::Open { asker, place, until } = &mut request.state
                && *until <= now
            {
                unanswered.push((asker.take(), *place));
                request.state = State::Unanswered;
            }
        }
        self.requests.retain(|_, request| request.until > now);
        unanswered
    }

    /// All that are open, when the call ends.
    pub(crate) fn drain(&mut self) -> Vec<Asker> {
        let requests = std::mem::take(&mut self.requests);
        let open = requests.into_values().filter_map(|request| match request.state {
            State::Open { asker, .. } => asker,
            State::Served(_) | State::Unanswered => None,
        });
        open.collect()
    }
}

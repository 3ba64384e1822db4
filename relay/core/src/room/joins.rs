//! The hub's mailbox of join requests: open until an entry serves them or a minute has passed, remembered for two.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::{Alias, JoinId},
    io::SessionKey,
    limits::{JOIN_DEADLINE, JOIN_MEMORY, MAX_PENDING_JOINS},
    proof::sha256,
    wire::message::{Admitted, Join, Note},
};

use crate::{
    limits::{MAX_REMEMBERED_JOINS, MAX_RETIRED_JOINS},
    relay::Asker,
};

#[derive(Debug)]
enum State {
    /// Nobody has answered yet; the place on the requests track, to take it off again.
    Open { asker: Asker, place: u64, until: Duration },
    /// An entry served it.
    Served(Box<Admitted>),
    /// A host refused it.
    Declined(Note),
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
    /// New: put it on the requests track at this place. Another one may give way to it: whom to refuse, and its place.
    New(u64, Option<(Asker, u64)>),
    /// Known and open: it waits on; whoever asked before is answered elsewhere.
    Resumed(Option<Asker>),
    /// Known and served.
    Served(Box<Admitted>),
    /// Known and refused by a host.
    Declined(Note),
    /// The id is somebody else's.
    Taken,
    /// Too many are open, or remembered.
    Full,
}

/// What became of a host's refusal.
#[derive(Debug)]
pub(crate) enum Declined {
    /// The request was open: whom to answer, and which place to clear.
    Now(Option<Asker>, u64),
    /// It was refused before.
    Before,
    /// An entry had served it.
    Served,
    /// It is not here, or not any more.
    Unknown,
}

/// An object of the requests track.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) alias: Alias,
    pub(crate) group: u64,
    pub(crate) object: u64,
}

/// One room's join requests.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    requests: BTreeMap<JoinId, Remembered>,
    places: u64,
}

impl Mailbox {
    /// Open requests by where they come from: a client session of this relay, or a link with everybody behind it.
    fn open(&self) -> BTreeMap<SessionKey, usize> {
        let mut open = BTreeMap::new();
        for request in self.requests.values() {
            if let State::Open { asker, .. } = &request.state {
                *open.entry(asker.session).or_default() += 1;
            }
        }
        open
    }

    /// Somebody asks, or asks again; with a `retired` link they have a share of their own, or whoever was removed could crowd
    /// out everybody who was given the new one.
    pub(crate) fn ask(&mut self, now: Duration, join: &Join, retired: bool, asker: Asker) -> Asked {
        let body = sha256(&[join.body.bytes()]);
        match self.requests.get_mut(&join.id) {
            Some(known) if known.body != body => return Asked::Taken,
            Some(known) => match &mut known.state {
                State::Open { asker: open, until, .. } => {
                    *until = now + JOIN_DEADLINE;
                    known.until = now + JOIN_MEMORY;
                    return Asked::Resumed(Some(std::mem::replace(open, asker)));
                }
                State::Served(admitted) => return Asked::Served(admitted.clone()),
                State::Declined(note) => return Asked::Declined(note.clone()),
                State::Unanswered => {}
            },
            None => {}
        }
        let known = self.requests.contains_key(&join.id);
        if !known && self.requests.len() >= MAX_REMEMBERED_JOINS {
            return Asked::Full;
        }
        let is_open = |request: &&Remembered| matches!(request.state, State::Open { .. });
        if retired && self.requests.values().filter(is_open).filter(|request| request.retired).count() >= MAX_RETIRED_JOINS {
            return Asked::Full;
        }
        let open = self.open();
        let mut gives_way = None;
        if open.values().sum::<usize>() >= MAX_PENDING_JOINS {
            gives_way = self.give_way(&open, asker.session);
            if gives_way.is_none() {
                return Asked::Full;
            }
        }
        let place = self.places;
        self.places += 1;
        let state = State::Open { asker, place, until: now + JOIN_DEADLINE };
        self.requests.insert(join.id, Remembered { body, until: now + JOIN_MEMORY, retired, state });
        Asked::New(place, gives_way)
    }

    /// Where most open requests come from has one less, its newest, when somebody else has fewer all the same.
    fn give_way(&mut self, open: &BTreeMap<SessionKey, usize>, to: SessionKey) -> Option<(Asker, u64)> {
        let own = open.get(&to).copied().unwrap_or(0);
        let (most, count) = open.iter().max_by_key(|(_, count)| **count)?;
        if *count <= own + 1 {
            return None;
        }
        let of_most = self.requests.iter().filter_map(|(id, request)| match &request.state {
            State::Open { asker, place, .. } if asker.session == *most => Some((*place, *asker, *id)),
            _ => None,
        });
        let (place, asker, id) = of_most.max_by_key(|(place, ..)| *place)?;
        self.requests.remove(&id);
        Some((asker, place))
    }

    /// A host refuses it.
    pub(crate) fn decline(&mut self, now: Duration, id: JoinId, note: &Note) -> Declined {
        let Some(request) = self.requests.get_mut(&id) else { return Declined::Unknown };
        match request.state {
            State::Open { asker, place, .. } => {
                request.state = State::Declined(note.clone());
                request.until = now + JOIN_MEMORY;
                Declined::Now(Some(asker), place)
            }
            State::Declined(_) => Declined::Before,
            State::Served(_) => Declined::Served,
            State::Unanswered => Declined::Unknown,
        }
    }

    /// An entry serves it. Says whom to answer and which place to clear.
    pub(crate) fn serve(&mut self, id: JoinId, admitted: &Admitted) -> Option<(Option<Asker>, u64)> {
        let request = self.requests.get_mut(&id)?;
        let served = State::Served(Box::new(admitted.clone()));
        match std::mem::replace(&mut request.state, served) {
            State::Open { asker, place, .. } => Some((Some(asker), place)),
            State::Served(earlier) => {
                request.state = State::Served(earlier);
                None
            }
            State::Declined(_) | State::Unanswered => None,
        }
    }

    /// Those that nobody answered in time, with their places; and forgets what is old.
    pub(crate) fn expire(&mut self, now: Duration) -> Vec<(Option<Asker>, u64)> {
        let mut unanswered = Vec::new();
        for request in self.requests.values_mut() {
            if let State::Open { asker, place, until } = &mut request.state
                && *until <= now
            {
                unanswered.push((Some(*asker), *place));
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
            State::Open { asker, .. } => Some(asker),
            State::Served(_) | State::Declined(_) | State::Unanswered => None,
        });
        open.collect()
    }
}

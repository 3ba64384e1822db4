//! Requests paired with answers, in both directions, each with a bound and ours with a deadline.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::Fault;
use crate::{
    io::{Now, StreamKey},
    limits::{JOIN_DEADLINE, MAX_OPEN_REQUESTS, REQUEST_DEADLINE},
    wire::code::Code,
};

/// A join is given up a little after the hub gives it up, so that the hub's word arrives first.
const JOIN_SLACK: Duration = Duration::from_secs(5);

/// Names a request of the remote until it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reply {
    pub(super) id: u64,
    pub(super) stream: Option<StreamKey>,
}

struct Asked<T> {
    tag: T,
    deadline: Duration,
    stream: Option<StreamKey>,
}

pub(super) struct Table<T> {
    next: u64,
    asked: BTreeMap<u64, Asked<T>>,
    owed: HashSet<u64>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { next: 0, asked: BTreeMap::new(), owed: HashSet::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.asked.len() >= MAX_OPEN_REQUESTS
    }

    pub(super) fn ask(&mut self, now: Now, patient: bool, stream: Option<StreamKey>, tag: T) -> u64 {
        let id = self.next;
        self.next += 1;
        let patience = if patient { JOIN_DEADLINE + JOIN_SLACK } else { REQUEST_DEADLINE };
        self.asked.insert(id, Asked { tag, deadline: now.mono + patience, stream });
        id
    }

    /// An answer to something that timed out finds nothing, and that is no fault.
    pub(super) fn on_answer(&mut self, id: u64) -> Option<T> {
        self.asked.remove(&id).map(|asked| asked.tag)
    }

    pub(super) fn on_stream_lost(&mut self, stream: StreamKey) -> Option<T> {
        let id = *self.asked.iter().find(|(_, asked)| asked.stream == Some(stream))?.0;
        self.on_answer(id)
    }

    pub(super) fn on_request(&mut self, id: u64, stream: Option<StreamKey>) -> Result<Reply, Fault> {
        if self.owed.len() >= MAX_OPEN_REQUESTS {
            return Err(Fault::new(Code::RATE, "too many requests at once: wait for answers"));
        }
        if !self.owed.insert(id) {
            return Err(Fault::new(Code::VIOLATION, "the id of a request is in use"));
        }
        Ok(Reply { id, stream })
    }

    pub(super) fn on_answered(&mut self, reply: &Reply) {
        self.owed.remove(&reply.id);
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.asked.values().map(|asked| asked.deadline).min()
    }

    pub(super) fn expire(&mut self, now: Now) -> Vec<T> {
        let late: Vec<_> = self.asked.iter().filter(|(_, asked)| asked.deadline <= now.mono).map(|(id, _)| *id).collect();
        late.into_iter().filter_map(|id| self.on_answer(id)).collect()
    }

    pub(super) fn into_tags(self) -> Vec<T> {
        self.asked.into_values().map(|asked| asked.tag).collect()
    }
}

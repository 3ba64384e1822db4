//! A whole relay as one machine: the control plane and one shard, joined in one loop.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RelayId, RoomId},
    io::{self, Machine, Net, Now, Outlet, SessionKey},
    peering::Policy,
    record::{CallKeys, RoomRecord},
    session::LocalRelay,
    wire::message::Entry,
};

use crate::{
    between::{ToRelay, ToShard},
    limits::Limits,
    order::{Closure, Obeyed, Order, OrderError, OrderKey},
    relay::Relay,
    shard::Shard,
    stats::{Kind, Stats},
};

/// What a relay is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who it is.
    pub local: LocalRelay,
    /// Its address book.
    pub peers: Vec<Peer>,
    /// Whose relays may link with it.
    pub policy: Policy,
    /// What it gives.
    pub limits: Limits,
}

/// A relay of the address book; a link to it is dialled and kept up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The key it has to prove.
    pub relay: RelayId,
    /// `host:port`, tried in order.
    pub addresses: Vec<String>,
}

/// A room as the store remembers it.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Its newest record.
    pub record: RoomRecord,
    /// Its logs; the one of the highest instance is the current one.
    pub logs: Vec<RestoredLog>,
}

/// One instance's log as the store remembers it.
#[derive(Clone, Debug)]
pub struct RestoredLog {
    /// The call.
    pub instance: Instance,
    /// Its entries from the genesis on. What does not follow what is before it is left out.
    pub entries: Vec<StoredEntry>,
}

/// A log entry as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEntry {
    /// As on the log track.
    pub entry: Entry,
    /// For the joiners that the entry serves; may be empty.
    pub welcome: Bytes,
    /// With a genesis: the keys of its call, when whoever began it chose some.
    pub call: Option<CallKeys>,
}

/// One write; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StoreKey(pub u64);

/// What the store has to do. Several may be on their way; of one room at most one that is not a `Forget`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once or twice on its way to the store")]
pub enum Write {
    /// Keep this record in place of any older one of the room.
    Record(RoomRecord),
    /// Keep this entry; an entry of the same place that was never confirmed is overwritten. One that brings a record replaces
    /// the room's record as well: both or neither.
    Append {
        /// The room.
        room: RoomId,
        /// The call.
        instance: Instance,
        /// The place in its log.
        seq: u64,
        /// What to keep.
        entry: StoredEntry,
    },
    /// Keep that this room is closed, and why.
    Close(Closure),
    /// Keep that it is open again.
    Reopen(RoomId),
    /// Drop the log of this call.
    Forget {
        /// The room.
        room: RoomId,
        /// The call.
        instance: Instance,
    },
}

/// The store could not write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{words}")]
pub struct StoreFailed {
    /// One sentence for the person whose entry was not kept: says what happened and what to do, and names no path.
    pub words: String,
}

/// What can happen to a relay.
#[derive(Debug)]
pub enum Input {
    /// On the network.
    Net(Net),
    /// In the store: `Ok` when the write is durable.
    Stored {
        /// Which write.
        key: StoreKey,
        /// What became of it.
        result: Result<(), StoreFailed>,
    },
    /// The operator orders something, answered by [`Output::Obeyed`].
    Order {
        /// Names the order.
        key: OrderKey,
        /// The order.
        order: Order,
    },
    /// The operator wants it to end: all sessions are closed with a reason, then comes [`Output::Stopped`].
    Shutdown,
}

impl From<Net> for Input {
    fn from(net: Net) -> Self {
        Self::Net(net)
    }
}

/// What a relay asks of its driver besides the network.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved once, from the machine to its driver")]
pub enum Output {
    /// Write this durably and confirm it by [`Input::Stored`].
    Store {
        /// Names the write.
        key: StoreKey,
        /// The write.
        write: Write,
    },
    /// What became of an order.
    Obeyed {
        /// Which.
        key: OrderKey,
        /// What was done, durably, or why not.
        result: Result<Obeyed, OrderError>,
    },
    /// Everything is said: the process may end when the network has sent it. Comes once.
    Stopped,
}

/// A relay.
pub struct Node {
    relay: Relay,
    shard: Shard,
    up: VecDeque<ToRelay>,
    down: VecDeque<ToShard>,
    stats: Stats,
    stop: Stop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    No,
    Wanted,
    Told,
}

impl Node {
    /// A relay that has not heard of anything yet but what the store remembers.
    #[must_use]
    pub fn new(config: Config, seed: [u8; 32], restored: Vec<Restored>) -> Self {
        let mut stats = Stats::default();
        let mut down = VecDeque::new();
        let shard = Shard::new(&config);
        let relay = Relay::new(config, seed, restored, &mut down, &mut stats);
        Self { relay, shard, up: VecDeque::new(), down, stats, stop: Stop::No }
    }

    /// With what the operator decided before: rooms that stay closed, and whom people write to about that.
    #[must_use]
    pub fn remembering(mut self, contact: &str, closures: Vec<Closure>) -> Self {
        self.relay.remember(contact, closures, &mut self.down, &mut self.stats);
        self
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Who is at the other end of a session; `None` when it is over. A driver may give links more room than clients.
    #[must_use]
    pub fn kind(&self, session: SessionKey) -> Option<Kind> {
        self.shard.kind(session)
    }

    /// Carries what the two planes tell each other until neither has anything left to say.
    fn settle(&mut self, now: Now, outlet: &mut impl Outlet) {
        loop {
            if let Some(command) = self.down.pop_front() {
                self.shard.obey(now, command, &mut self.up, &mut self.stats, outlet);
            } else if let Some(event) = self.up.pop_front() {
                self.relay.handle(now, event, &mut self.down, &mut self.stats);
            } else {
                return;
            }
        }
    }
}

impl Machine for Node {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Now, input: Input, outlet: &mut impl Outlet) {
        self.settle(now, outlet);
        match input {
            Input::Net(Net::DialFailed { dial, why }) => {
                self.relay.on_dial_failed(now, dial, &why, &mut self.down, &mut self.stats);
            }
            Input::Net(net) => self.shard.handle(now, net, &mut self.up, &mut self.stats, outlet),
            Input::Stored { key, result } => self.relay.on_stored(now, key, result, &mut self.down, &mut self.stats),
            Input::Order { key, order } => self.relay.order(now, key, order, &mut self.down, &mut self.stats),
            Input::Shutdown => {
                if self.stop == Stop::No {
                    self.stop = Stop::Wanted;
                    self.relay.stop();
                    self.shard.stop(now, &mut self.up, &mut self.stats, outlet);
                }
            }
        }
        self.settle(now, outlet);
    }

    fn poll(&mut self, now: Now, outlet: &mut impl Outlet) -> io::Output<Output> {
        self.relay.on_time(now, &mut self.down, &mut self.stats);
        self.settle(now, outlet);
        self.shard.on_time(now, &mut self.up, &mut self.stats, outlet);
        self.settle(now, outlet);
        if let Some(dial) = self.relay.next_dial() {
            return io::Output::Dial(dial);
        }
        if let Some((key, write)) = self.relay.next_write() {
            return io::Output::Do(Output::Store { key, write });
        }
        if let Some((key, result)) = self.relay.next_obeyed() {
            return io::Output::Do(Output::Obeyed { key, result });
        }
        if self.stop == Stop::Wanted {
            self.stop = Stop::Told;
            return io::Output::Do(Output::Stopped);
        }
        io::Output::Wait(earliest([self.relay.next_timeout(), self.shard.next_timeout()]))
    }
}

/// The earliest of what may come.
pub(crate) fn earliest(times: impl IntoIterator<Item = Option<Duration>>) -> Option<Duration> {
    times.into_iter().flatten().min()
}

//! What happened, as plain numbers: whoever publishes them gives them names. No room, track, client or address.

use std::collections::BTreeMap;

use conclave_federation::{id::RelayId, track::Class, wire::code::Code};

use crate::limits::MAX_LINK_STATS;

/// Who is at the other end of a session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Not known yet.
    Opening,
    /// A participant's client.
    Client,
    /// Another relay.
    Link,
}

/// A number for clients and one for links.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PerKind {
    /// Clients, and sessions whose opening is not complete.
    pub client: u64,
    /// Other relays.
    pub link: u64,
}

impl PerKind {
    pub(crate) fn of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Opening | Kind::Client => &mut self.client,
            Kind::Link => &mut self.link,
        }
    }

    pub(crate) fn add(&mut self, kind: Kind, count: u64) {
        let cell = self.of(kind);
        *cell = cell.saturating_add(count);
    }
}

/// A number for each class of track.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PerClass {
    /// Audio.
    pub datagram: u64,
    /// Video and screens.
    pub groups: u64,
    /// Log, directory, requests, catalogs, control, chat.
    pub reliable: u64,
}

impl PerClass {
    pub(crate) fn of(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Datagram => &mut self.datagram,
            Class::Groups => &mut self.groups,
            Class::Reliable => &mut self.reliable,
        }
    }
}

/// Traffic with one remote relay. Media is what travels on tracks of the classes `datagram` and `groups`, with headers of
/// objects and groups; all the rest of the hop protocol is control. QUIC's own bytes are in neither.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkStats {
    /// Which relay; `None` sums up those beyond [`MAX_LINK_STATS`].
    pub relay: Option<RelayId>,
    /// Whether a session with it is open now.
    pub up: bool,
    /// Media bytes from there.
    pub media_in: u64,
    /// Media bytes to there.
    pub media_out: u64,
    /// Control messages and reliable tracks from there, bytes.
    pub control_in: u64,
    /// Control messages and reliable tracks to there, bytes.
    pub control_out: u64,
}

macro_rules! counters {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $name { $($(#[$doc])* pub $field: u64),* }

        impl $name {
            /// Every counter with its name, for exporters.
            #[must_use]
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field)),*]
            }

            /// The sum of all.
            #[must_use]
            pub fn total(&self) -> u64 {
                0 $(+ self.$field)*
            }
        }
    };
}

counters! {
    /// Objects, or groups' streams, that were not passed on.
    pub struct Dropped {
        /// A datagram that a subscriber's path could not take at once.
        datagram_blocked,
        /// A group's stream whose queue was full.
        overflow,
        /// A group's stream whose queue was too old.
        late,
        /// A group's stream that could not be opened: the subscriber's stream limit.
        no_stream,
        /// The publisher sent too much.
        rate,
        /// Marked with an alias that means nothing here, or not any more.
        unknown_alias,
        /// In a way that the track's class does not travel, or a group sent twice.
        misplaced,
        /// A reliable object that was here already.
        repeated,
    }
}

counters! {
    /// What became of entries offered to the logs ordered here.
    pub struct Appends {
        /// Durable and answered.
        accepted,
        /// Another one was first.
        conflict,
        /// Proof, form, generation or instance were wrong.
        invalid,
        /// Too many at once.
        rate,
        /// The store could not write.
        store,
        /// From a session that has not shown a capability, or a bound was reached.
        refused,
    }
}

counters! {
    /// What became of hosts' words that came with entries.
    pub struct Reserves {
        /// Valid: the entry had a share of its own.
        valid,
        /// Forged, expired or revoked.
        invalid,
        /// The head was held for a host.
        held,
        /// Entries of others refused because of that.
        refused,
    }
}

counters! {
    /// What became of stamps asked for.
    pub struct Stamps {
        /// Given.
        given,
        /// Too many, or from somebody who is not in the room.
        refused,
    }
}

counters! {
    /// What became of join requests at the hubs here.
    pub struct Joins {
        /// Put on the requests track.
        asked,
        /// Asked again under the same id.
        resumed,
        /// Answered by an entry.
        served,
        /// Answered by a host's refusal.
        declined,
        /// Nobody answered in time.
        unanswered,
        /// Gave way to requests from elsewhere.
        crowded,
        /// Not let on the requests track.
        refused,
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A bound that was reached.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Limit { $($(#[$doc])* $variant),* }

        impl Limit {
            /// Every bound.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

limits! {
    /// Sessions of the relay.
    Sessions = "sessions",
    /// Links of the relay.
    Links = "links",
    /// Rooms of the relay.
    Rooms = "rooms",
    /// Rooms of a session.
    RoomsPerSession = "rooms_per_session",
    /// Tracks of a room.
    TracksPerRoom = "tracks_per_room",
    /// Tracks of a session.
    TracksPerSession = "tracks_per_session",
    /// Subscriptions of a session.
    Subscriptions = "subscriptions",
    /// Join requests of a session.
    JoinsPerSession = "joins_per_session",
    /// Join requests of a room.
    PendingJoins = "pending_joins",
    /// Appends of a room that wait for the store.
    WaitingAppends = "waiting_appends",
    /// Requests that wait for a link.
    WaitingForLink = "waiting_for_link",
    /// Control messages of a session.
    Control = "control_rate",
    /// Entries of a session.
    SessionCommits = "session_commits_rate",
    /// Stamps of a session or in a room.
    Stamps = "stamps_rate",
    /// Entries of a room.
    RoomCommits = "room_commits_rate",
    /// Objects or their bytes from a publisher.
    Ingress = "ingress_rate",
    /// Bytes waiting for a blocked subscriber.
    EgressQueue = "egress_queue",
    /// Bytes waiting for a blocked session.
    EgressSession = "egress_session",
    /// Bytes of one cached group.
    CacheTrack = "cache_track",
    /// Bytes of all cached groups.
    CacheTotal = "cache_total",
    /// Bytes of all retained objects.
    Retained = "retained",
    /// Streams of a publisher's track.
    OpenGroups = "open_groups",
    /// Objects that came before the word which track they are of.
    Early = "early_objects",
    /// The length or bytes of a log.
    Log = "log",
}

/// How many subscribers an object went to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fanout {
    /// Objects that went to at most [`Fanout::BOUNDS`]`[i]` subscribers and more than the bound before; the last is the rest.
    pub buckets: [u64; 9],
    /// Objects or pieces of objects that arrived on tracks with a subscriber.
    pub count: u64,
    /// Copies sent.
    pub sum: u64,
}

impl Fanout {
    /// Upper bounds of the buckets but the last.
    pub const BOUNDS: [u64; 8] = [1, 2, 5, 10, 25, 50, 100, 250];

    pub(crate) fn record(&mut self, subscribers: usize) {
        let subscribers = u64::try_from(subscribers).unwrap_or(u64::MAX);
        let bucket = Self::BOUNDS.iter().position(|bound| subscribers <= *bound).unwrap_or(Self::BOUNDS.len());
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(subscribers);
    }
}

/// Everything counted. Gauges say how much there is now, counters never go back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Gauge: sessions whose opening is not complete.
    pub sessions_opening: u64,
    /// Gauge: sessions by kind.
    pub sessions: PerKind,
    /// Sessions whose opening was complete.
    pub sessions_opened: PerKind,
    /// Sessions that ended, by [`Code::name`] when somebody said why, else `timed_out` or `lost`.
    pub sessions_closed: BTreeMap<&'static str, u64>,
    /// Requests refused, by [`Code::name`].
    pub refused: BTreeMap<&'static str, u64>,
    /// Gauge: rooms here.
    pub rooms: u64,
    /// Gauge: of these, ordered here.
    pub rooms_hub: u64,
    /// Gauge: rooms that the operator closed.
    pub rooms_closed: u64,
    /// Closures, without those that only changed the reason.
    pub rooms_closed_total: u64,
    /// Closures taken back.
    pub rooms_reopened_total: u64,
    /// Gauge: clients attached, counted once for each room they are in.
    pub attached: u64,
    /// Gauge: tracks that have a publisher or a subscriber here.
    pub tracks: PerClass,
    /// Gauge: subscriptions of all sessions.
    pub subscriptions: PerKind,
    /// Objects of media received, by who sent them.
    pub media_objects_in: PerKind,
    /// Bytes of media received.
    pub media_bytes_in: PerKind,
    /// Objects of media sent.
    pub media_objects_out: PerKind,
    /// Bytes of media sent.
    pub media_bytes_out: PerKind,
    /// Bytes of control messages and reliable tracks received.
    pub control_bytes_in: PerKind,
    /// Bytes of control messages and reliable tracks sent.
    pub control_bytes_out: PerKind,
    /// Traffic with each remote relay.
    pub links: Vec<LinkStats>,
    /// What was not passed on.
    pub dropped: Dropped,
    /// Entries offered.
    pub appends: Appends,
    /// Hosts' words that came with entries.
    pub reserves: Reserves,
    /// Stamps.
    pub stamps: Stamps,
    /// Join requests.
    pub joins: Joins,
    /// Times that a room's keys changed, as far as this relay took part in it.
    pub generations: u64,
    /// Sessions cut off from a room because they showed no proof of its new generation in time.
    pub cut: PerKind,
    /// Records of rooms here that were offered by the network and not believed, or were older.
    pub records_refused: u64,
    /// Calls that a host ended, at the hubs here.
    pub calls_ended: u64,
    /// Key frame requests that arrived.
    pub key_frames_asked: u64,
    /// Key frame requests that were passed on; the rest was coalesced.
    pub key_frames_passed: u64,
    /// Bounds that were reached, by [`Limit`].
    pub limit_hits: BTreeMap<Limit, u64>,
    /// Sessions closed for bytes that could not be read.
    pub malformed: u64,
    /// How often a subscriber's queue was opened.
    pub egress_blocked: u64,
    /// Gauge: bytes waiting for blocked subscribers.
    pub egress_queued: u64,
    /// Most that ever waited for one subscriber of one track, bytes.
    pub egress_queue_peak: u64,
    /// Gauge: bytes of cached groups.
    pub cached: u64,
    /// Gauge: bytes of retained objects.
    pub retained: u64,
    /// How many subscribers objects went to.
    pub fanout: Fanout,
    /// Attempts to reach another relay, and those that failed.
    pub dials: u64,
    /// See [`Stats::dials`].
    pub dials_failed: u64,
    /// Writes that the store could not do.
    pub store_failures: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let rest = LinkStats { relay: None, up: false, media_in: 0, media_out: 0, control_in: 0, control_out: 0 };
        Self {
            sessions_opening: 0,
            sessions: PerKind::default(),
            sessions_opened: PerKind::default(),
            sessions_closed: BTreeMap::new(),
            refused: BTreeMap::new(),
            rooms: 0,
            rooms_hub: 0,
            rooms_closed: 0,
            rooms_closed_total: 0,
            rooms_reopened_total: 0,
            attached: 0,
            tracks: PerClass::default(),
            subscriptions: PerKind::default(),
            media_objects_in: PerKind::default(),
            media_bytes_in: PerKind::default(),
            media_objects_out: PerKind::default(),
            media_bytes_out: PerKind::default(),
            control_bytes_in: PerKind::default(),
            control_bytes_out: PerKind::default(),
            links: vec![rest],
            dropped: Dropped::default(),
            appends: Appends::default(),
            reserves: Reserves::default(),
            stamps: Stamps::default(),
            joins: Joins::default(),
            generations: 0,
            cut: PerKind::default(),
            records_refused: 0,
            calls_ended: 0,
            key_frames_asked: 0,
            key_frames_passed: 0,
            limit_hits: BTreeMap::new(),
            malformed: 0,
            egress_blocked: 0,
            egress_queued: 0,
            egress_queue_peak: 0,
            cached: 0,
            retained: 0,
            fanout: Fanout::default(),
            dials: 0,
            dials_failed: 0,
            store_failures: 0,
        }
    }
}

impl Stats {
    /// Traffic with one remote relay.
    #[must_use]
    pub fn link(&self, relay: RelayId) -> Option<&LinkStats> {
        self.links.iter().find(|link| link.relay == Some(relay))
    }

    /// How often a bound was reached.
    #[must_use]
    pub fn hits(&self, limit: Limit) -> u64 {
        self.limit_hits.get(&limit).copied().unwrap_or(0)
    }

    pub(crate) fn hit(&mut self, limit: Limit) {
        *self.limit_hits.entry(limit).or_default() += 1;
    }

    pub(crate) fn refuse(&mut self, code: Code) {
        *self.refused.entry(code.name()).or_default() += 1;
    }

    pub(crate) fn closed(&mut self, reason: &'static str) {
        *self.sessions_closed.entry(reason).or_default() += 1;
    }

    /// Where the traffic with `relay` is counted: an index, so that the hot path looks nothing up.
    pub(crate) fn link_slot(&mut self, relay: RelayId) -> usize {
        if let Some(slot) = self.links.iter().position(|link| link.relay == Some(relay)) {
            return slot;
        }
        if self.links.len() > MAX_LINK_STATS {
            return 0;
        }
        self.links.push(LinkStats { relay: Some(relay), up: false, media_in: 0, media_out: 0, control_in: 0, control_out: 0 });
        self.links.len() - 1
    }
}

//! What one relay gives: its operator's choice, unlike the protocol's maxima in [`conclave_federation::limits`].
//! Each field says whom it counts; a link counts for nobody but itself, or one operator's link would throttle its clients.

use std::time::Duration;

/// A token bucket: so many at once, so many a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Refill for a second.
    pub per_second: u64,
    /// Size of the bucket.
    pub burst: u64,
}

impl Rate {
    const fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second, burst }
    }
}

/// Bounds of one relay. The defaults fit two cores and 2 GiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of any kind, whole relay.
    pub sessions: usize,
    /// Sessions with other relays, whole relay.
    pub links: usize,
    /// Rooms, whole relay: those ordered here and those followed.
    pub rooms: usize,
    /// Records of rooms that nobody here is in, whole relay; the oldest goes first.
    pub cached_records: usize,
    /// Rooms one client session may be attached to.
    pub rooms_per_session: usize,
    /// Tracks in one room.
    pub tracks_per_room: usize,
    /// Tracks published by one client session.
    pub tracks_per_session: usize,
    /// Subscriptions of one client session.
    pub subscriptions_per_client: usize,
    /// Subscriptions of one link.
    pub subscriptions_per_link: usize,
    /// Join requests of one client session that are open at once.
    pub joins_per_session: usize,
    /// Appends of one room that wait for the store.
    pub waiting_appends: usize,
    /// Requests that wait for one link to come up.
    pub waiting_for_link: usize,
    /// Control messages of one client session, subscriptions apart.
    pub control: Rate,
    /// Subscriptions of one client session begun or ended: a newcomer to a large room asks for everybody at once.
    pub subscribing: Rate,
    /// Control messages of one link.
    pub link_control: Rate,
    /// Entries one client session offers.
    pub session_commits: Rate,
    /// Entries offered to one room, wherever they come from.
    pub room_commits: Rate,
    /// Entries with a host's word offered to one room, for each of the founder's delegates and for the founder; apart from
    /// `room_commits`, so that an eviction does not wait behind anybody else's entries.
    pub host_commits: Rate,
    /// Stamps for reports, of one client session; on a link, of all behind it.
    pub stamps: Rate,
    /// Stamps for reports in one room.
    pub room_stamps: Rate,
    /// Bytes of objects one client session sends; on a link, of one track.
    pub ingress_bytes: Rate,
    /// Objects one client session sends; on a link, of one track.
    pub ingress_objects: Rate,
    /// How long a client session may send too much before it is closed; what is too much is dropped meanwhile.
    pub ingress_patience: Duration,
    /// Bytes that wait for one blocked subscriber of one track.
    pub egress_queue: usize,
    /// How long they may wait: half a key frame interval keeps a burst but not a backlog.
    pub egress_age: Duration,
    /// Bytes that wait for one blocked client session, all tracks together.
    pub egress_client: usize,
    /// Bytes that wait for one blocked link, all tracks together.
    pub egress_link: usize,
    /// Bytes of one track's cached group.
    pub cache_track: usize,
    /// Bytes of all cached groups, whole relay.
    pub cache_total: usize,
    /// Bytes of all retained objects of reliable tracks, whole relay; beyond it windows are kept at one sixteenth.
    pub retained_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Self {
            sessions: 4_096,
            links: 256,
            rooms: 2_000,
            cached_records: 4_096,
            rooms_per_session: 16,
            tracks_per_room: 4_096,
            tracks_per_session: 64,
            subscriptions_per_client: 2_048,
            subscriptions_per_link: 16_384,
            joins_per_session: 4,
            waiting_appends: 8,
            waiting_for_link: 256,
            control: Rate::new(20, 60),
            subscribing: Rate::new(200, 1_024),
            link_control: Rate::new(2_000, 8_000),
            session_commits: Rate::new(2, 10),
            room_commits: Rate::new(10, 30),
            host_commits: Rate::new(2, 10),
            stamps: Rate::new(1, 5),
            room_stamps: Rate::new(5, 20),
            // 24 Mbit/s: a camera, a screen and both again while a key frame passes.
            ingress_bytes: Rate::new(3_000_000, 6_000_000),
            ingress_objects: Rate::new(2_000, 4_000),
            ingress_patience: Duration::from_secs(10),
            egress_queue: 256 * KIB,
            egress_age: Duration::from_millis(500),
            egress_client: MIB,
            egress_link: 8 * MIB,
            cache_track: 2 * MIB,
            cache_total: 256 * MIB,
            retained_total: 512 * MIB,
        }
    }
}

/// A hub takes a lost attachment for alive this long: a client that changes networks is back within it.
pub const LOST_GRACE: Duration = Duration::from_secs(20);
/// Whoever has not shown a proof of a room's new generation by then is cut off from it: a member who applies the entry and
/// signs again needs a round trip, and nobody who was removed may get ciphertext for longer than two seconds.
pub const GENERATION_GRACE: Duration = Duration::from_millis(1_500);
/// How often, until then, relays that did not know the new generation yet are shown the capability once more.
pub const GENERATION_AGAIN: Duration = Duration::from_millis(250);
/// A proof of the generation before still reads the log this long, up to the entry that ended it: or nobody slow could learn
/// the new keys.
pub const PREVIOUS_LIFE: Duration = Duration::from_secs(600);
/// The log of a call that a host ended stays readable this long, so that everybody sees by whom.
pub const END_GRACE: Duration = Duration::from_millis(1_500);
/// Of the join requests open in a room, those made with retired links: they crowd nobody out who has the current one.
pub const MAX_RETIRED_JOINS: usize = 16;
/// A log is kept this long after the last attached member left.
pub const LOG_LIFE: Duration = Duration::from_secs(3_600);
/// Key frame requests of one track pass at most once in this time.
pub const KEY_FRAME_SPACING: Duration = Duration::from_millis(500);
/// After a failed write a room refuses entries this long, then tries the store again.
pub const STORE_PAUSE: Duration = Duration::from_secs(5);
/// First pause before a relay is dialled again; doubles up to [`REDIAL_MAX`], each time jittered by half.
pub const REDIAL_MIN: Duration = Duration::from_millis(500);
/// See [`REDIAL_MIN`].
pub const REDIAL_MAX: Duration = Duration::from_secs(60);
/// A link that was up this long is dialled again at once when it breaks.
pub const LINK_PROVED: Duration = Duration::from_secs(10);
/// A request waits this long for its link to come up.
pub const LINK_PATIENCE: Duration = Duration::from_secs(5);
/// First pause before a refused upstream subscription is tried again; doubles up to [`RESUBSCRIBE_MAX`].
pub const RESUBSCRIBE_MIN: Duration = Duration::from_millis(250);
/// See [`RESUBSCRIBE_MIN`].
pub const RESUBSCRIBE_MAX: Duration = Duration::from_secs(8);
/// A track that a fresh directory snapshot does not name any more is believed to be gone after this: its relay may be about to
/// announce it again to a hub that was restarted.
pub const DOUBT: Duration = Duration::from_secs(5);
/// Changes of a directory before a new snapshot.
pub const DIRECTORY_CHANGES: u64 = 64;
/// Join requests a hub remembers in one room, open or answered.
pub const MAX_REMEMBERED_JOINS: usize = 1_024;
/// Streams of one track that its publisher may have open at once: layers of this group and of those just before.
pub const MAX_OPEN_GROUPS: usize = 16;
/// Remote relays with counters of their own; the rest share one.
pub const MAX_LINK_STATS: usize = 256;
/// Bytes and objects that may wait for the answer that says which track they belong to, per session.
pub const MAX_EARLY_BYTES: usize = 4 * 1024 * 1024;
/// See [`MAX_EARLY_BYTES`].
pub const MAX_EARLY_OBJECTS: usize = 4_096;
/// A hub's word that a room is closed is passed on to our clients this long without asking it again.
pub const CLOSED_ELSEWHERE: Duration = Duration::from_secs(10);
/// Rooms of which that is remembered at once; of further ones the hub is asked each time.
pub const MAX_CLOSED_ELSEWHERE: usize = 1_024;
/// Entries of one lane that wait for their turn; see `room::fairness`.
pub const MAX_LANE_WAITING: usize = 4;
/// Lanes of one room that are remembered.
pub const MAX_LANES: usize = 1_024;
/// How long a lane is remembered after it offered something.
pub const LANE_MEMORY: Duration = Duration::from_secs(10);
/// In a crowded room others wait this long for somebody who lost a race: long enough for a far one to see the head and try again.
pub const LOST_PATIENCE: Duration = Duration::from_secs(1);
/// Somebody who was waited for and was not served is not waited for again before this is over.
pub const LOST_PAUSE: Duration = Duration::from_secs(10);
/// The same of a link: many share it, and some of them may be the ones who crowd.
pub const LOST_PAUSE_OF_LINK: Duration = Duration::from_secs(2);
/// The head is held this long for a host whose entry came second.
pub const HOLD: Duration = Duration::from_secs(2);
/// After a hold that came to nothing there is none for this long: two thirds of the time the room goes on.
pub const HOLD_PAUSE: Duration = Duration::from_secs(4);
/// Entries by which a host's may be behind for the head to be held: older ones are somebody's copy.
pub const HOLD_REACH: u64 = 64;
/// How often one lane makes a hub check a host's word: each costs up to five signatures.
pub const HOST_WORDS: Rate = Rate::new(4, 16);
/// Delegates of one founder with a share of their own.
pub const MAX_BRANCHES: usize = 32;
/// How often blocked subscribers are looked at for age.
pub const EGRESS_TICK: Duration = Duration::from_millis(50);
/// How often rooms are looked at for what has run out.
pub const ROOM_TICK: Duration = Duration::from_secs(1);

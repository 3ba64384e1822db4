//! Every protocol maximum, with its reason. Two relays that disagree here cannot talk, so none is a setting.

use std::time::Duration;

/// ALPN of the hop protocol on raw QUIC.
pub const ALPN: &[u8] = b"conclave/1";

/// The one protocol version spoken so far.
pub const VERSION: u16 = 1;

/// Versions a `Hello` may list: enough for a decade of releases, small enough to scan.
pub const MAX_VERSIONS: usize = 16;

/// Largest control message. Larger bodies travel on a bidirectional stream of their own.
pub const MAX_CONTROL_MESSAGE: usize = 64 * 1024;

/// Largest request or answer on its own bidirectional stream: a welcome for 1,000 participants is 0.3 MB.
pub const MAX_LARGE_MESSAGE: usize = 1024 * 1024;

/// Largest sealed commit, epoch box or welcome inside a message; leaves room for the header around it.
pub const MAX_SEALED: usize = MAX_LARGE_MESSAGE - 16 * 1024;

/// Largest sealed join request: a key package of about 310 B in a 1 KiB bucket, with room to grow to post-quantum suites.
pub const MAX_REQUEST_BODY: usize = 16 * 1024;

/// Whole datagram of the hop protocol: below the 1,200 B that every path carries, with QUIC's and WebTransport's overhead.
pub const MAX_DATAGRAM: usize = 1_100;

/// Longest encoded object header: alias 4, group 8, object 8, layer, flags, priority.
pub const MAX_OBJECT_HEADER: usize = 23;

/// Audio payload that still goes as a datagram; longer objects go by stream with the same header.
pub const MAX_DATAGRAM_PAYLOAD: usize = 1_054;

/// Largest media object: a 4K key frame at a generous rate.
pub const MAX_OBJECT: usize = 4 * 1024 * 1024;

/// Largest object on a reliable track: a log entry with its commit and box.
pub const MAX_RELIABLE_OBJECT: usize = MAX_LARGE_MESSAGE;

/// Objects up to this size are forwarded whole; larger ones in the pieces that one read returned.
pub const WHOLE_OBJECT: usize = 16 * 1024;

/// Retained window of a reliable track, by count and by bytes: whichever is reached first.
pub const RETAINED_OBJECTS: usize = 256;
/// See [`RETAINED_OBJECTS`].
pub const RETAINED_BYTES: usize = 256 * 1024;

/// Without progress for this long on a reliable track, a session ends with `slow`.
pub const SLOW_AFTER: Duration = Duration::from_secs(10);

/// The opening has to be complete in this time.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);

/// A request without an answer for this long is answered locally with `timeout`.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// A join request stays open this long at the hub.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(60);

/// The hub remembers join request ids this long, so that a replay finds its own answer.
pub const JOIN_MEMORY: Duration = Duration::from_secs(120);

/// Join requests a hub keeps open in one room.
pub const MAX_PENDING_JOINS: usize = 64;

/// Requests one session may have unanswered, in each direction.
pub const MAX_OPEN_REQUESTS: usize = 256;

/// Relays a subscription may pass: publisher's, hub's and subscriber's, and one more for a chain that grows later.
pub const MAX_HOPS: usize = 4;

/// Hubs of a room.
pub const MAX_HUBS: usize = 3;
/// Addresses of one relay.
pub const MAX_ADDRESSES: usize = 4;
/// Length of one `host:port`: a DNS name has at most 253 characters.
pub const MAX_ADDRESS: usize = 260;
/// Length of an operator's name in its descriptor.
pub const MAX_OPERATOR_NAME: usize = 64;
/// Certificates that a relay publishes at once: the one shown now, the next, and room for those of a second machine.
pub const MAX_CERTIFICATES: usize = 4;
/// Largest signed part of the well-known document; the longest possible one is well below.
pub const MAX_WELL_KNOWN: usize = 4 * 1024;
/// Retired generations named in a room record.
pub const MAX_RETIRED: usize = 8;
/// Hosts that a room record names as hosts no more: as many as a room has at once.
pub const MAX_REVOKED: usize = 16;
/// Steps from the founder to a host: each is a signature to verify for everybody who believes the host.
pub const MAX_DELEGATIONS: usize = 4;
/// Largest sealed note that goes with a refusal: a sentence, padded.
pub const MAX_NOTE: usize = 1024;
/// Join requests one log entry may serve: the largest batch of Adds.
pub const MAX_SERVED: usize = 64;
/// Leaves of a room: ten-bit safe with the sixteen bits of the KID, and the tree stays affordable.
pub const MAX_LEAVES: u16 = 1_000;

/// Entries of one instance's handshake log, and their bytes.
pub const MAX_LOG_ENTRIES: u64 = 4_096;
/// See [`MAX_LOG_ENTRIES`].
pub const MAX_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// A room record is honoured at most this long.
pub const MAX_RECORD_LIFE_MS: u64 = 90 * 24 * 3600 * 1000;
/// A relay capability lives at most this long.
pub const MAX_CAPABILITY_LIFE_MS: u64 = 3600 * 1000;
/// A well-known document is believed at most this long: as long as browsers let the certificates live that it names.
pub const MAX_WELL_KNOWN_LIFE_MS: u64 = 14 * 24 * 3600 * 1000;
/// Clocks of strangers may differ this much.
pub const CLOCK_LEEWAY_MS: u64 = 120 * 1000;

/// Words of a refusal: one sentence that says what to do.
pub const MAX_WORDS: usize = 300;

/// Entries of a directory snapshot or delta: what one room may publish at all.
pub const MAX_DIRECTORY: usize = 8_192;

/// Unidirectional streams that may be half open towards us with an unfinished header.
pub const MAX_OPEN_STREAMS: usize = 4_096;

//! The seam between decisions and drivers.
//!
//! A driver (quinn, the browser, the simulator) owns sockets and clocks. It hands what happened to a machine as
//! [`Net`] and lets the machine write through its [`Outlet`], which answers at once. What is left for the driver to
//! do comes out of `poll` as an [`Output`], until [`Output::Wait`].

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::{id::RelayId, wire::code::Code};

/// The time, as told by the driver: machines own no clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Now {
    /// Since the driver started; never goes back. All deadlines are on this line.
    pub mono: Duration,
    /// Wall clock, milliseconds since 1970; only for what strangers compare.
    pub unix_ms: u64,
}

/// One session of one driver; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionKey(pub u64);

/// One stream of one session; never reused in that session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey(pub u64);

impl StreamKey {
    /// The control stream: the first bidirectional stream, opened by the dialler; drivers give it this key on both sides.
    pub const CONTROL: Self = Self(0);
}

/// One attempt to reach a relay, named by the machine that asked for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DialKey(pub u64);

/// A relay to reach.
#[derive(Clone, PartialEq, Eq)]
pub struct Dial {
    /// Names the attempt in what follows.
    pub key: DialKey,
    /// The key that the relay has to prove; `None` accepts the key that is met.
    pub relay: Option<RelayId>,
    /// `host:port`, tried in order.
    pub addresses: Vec<String>,
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("key", &self.key).field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// Which end of a session we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// We dialled, under this key; the remote proved `RelayId` in its certificate.
    Dialled(DialKey, RelayId),
    /// We dialled, under this key, by a transport that proves only the name dialled, as a browser's WebSocket does:
    /// `RelayId` is whom we meant, and only the `Greeting` says that it is them. Proofs made here are bound to that name
    /// (see [`crate::proof::AttachClaim`]). The `exporter` beside it is 32 zero bytes at our end: only relays prove
    /// anything with it, and relays are never dialled so by relays.
    DialledByName(DialKey, RelayId),
    /// We were dialled; who it is comes in its `Hello`.
    Accepted,
}

/// What kind of stream bytes arrived on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// The control stream.
    Control,
    /// One way, towards us.
    Uni,
    /// A request or its answer on a stream of its own.
    Bidi,
}

/// What the network did.
#[derive(Clone, Debug)]
pub enum Net {
    /// A connection is up; the machine starts a session on it.
    Connected {
        /// The new session.
        session: SessionKey,
        /// Our end of it.
        side: Side,
        /// 32 bytes that both ends share and nobody else knows: TLS exporter, label `EXPORTER-conclave/1`.
        exporter: [u8; 32],
    },
    /// An attempt came to nothing.
    DialFailed {
        /// The attempt.
        dial: DialKey,
        /// Why.
        why: DialError,
    },
    /// A whole datagram.
    Datagram {
        /// Where.
        session: SessionKey,
        /// What.
        bytes: Bytes,
    },
    /// The next bytes of a stream, in order.
    Data {
        /// Where.
        session: SessionKey,
        /// On which stream; the first `Data` of a key is the stream's opening.
        stream: StreamKey,
        /// What kind of stream.
        kind: StreamKind,
        /// The bytes; may be empty when `fin`.
        bytes: Bytes,
        /// Whether these were the last.
        fin: bool,
    },
    /// The remote gave up sending on this stream.
    Reset {
        /// Where.
        session: SessionKey,
        /// On which stream.
        stream: StreamKey,
        /// Why.
        code: Code,
    },
    /// The remote does not want the rest of what we send on this stream.
    Stopped {
        /// Where.
        session: SessionKey,
        /// On which stream.
        stream: StreamKey,
        /// Why.
        code: Code,
    },
    /// Something that was [`Wrote::Blocked`] may be accepted now.
    Writable {
        /// Where.
        session: SessionKey,
    },
    /// The session is over; its key means nothing any more.
    Closed {
        /// Which.
        session: SessionKey,
        /// Why.
        why: Closed,
    },
}

/// Why an attempt to reach a relay failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// No address answered in time.
    #[error("the relay does not answer: check the address, that it runs, and that UDP is not blocked")]
    Unreachable,
    /// The name has no address.
    #[error("the relay's name is not known: check the spelling")]
    UnknownName,
    /// Something else than the expected key answered.
    #[error("the relay did not prove the expected key: somebody else answers there, or its key was changed; ask its operator")]
    WrongKey,
    /// It does not speak this protocol.
    #[error("what answers there does not speak conclave/1: check the port, or update")]
    NotConclave,
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The remote closed it, with a code and words of at most `MAX_WORDS` bytes.
    ByRemote(Code, String),
    /// We closed it.
    ByUs,
    /// Nothing was heard for too long.
    TimedOut,
    /// The transport failed otherwise.
    Lost,
}

/// Answer of an [`Outlet`] to a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrote {
    /// This many bytes were taken; fewer than offered means that more would block now.
    Accepted(usize),
    /// Nothing fits now; [`Net::Writable`] follows.
    Blocked,
    /// The stream or session is no more.
    Gone,
}

/// A driver's edge: takes bytes now, or says that it cannot. Two implementations: QUIC and the simulator.
///
/// After [`Wrote::Blocked`], or fewer bytes accepted than offered, [`Net::Writable`] comes once for that session.
pub trait Outlet {
    /// Opens a stream towards the remote; `priority` as in [`crate::track::priority`]. `None`: the remote's limit is reached or the session is gone.
    fn open_uni(&mut self, session: SessionKey, priority: u8) -> Option<StreamKey>;
    /// Opens a stream for one request and its answer.
    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey>;
    /// Offers chunks in order; what was taken is removed from the front of `chunks` (a taken chunk becomes empty, a partly taken one is advanced).
    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote;
    /// Nothing more follows on this stream.
    fn finish(&mut self, session: SessionKey, stream: StreamKey);
    /// Gives up what is not yet delivered of this stream.
    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code);
    /// Asks the remote to send no more on this stream; what still arrives is thrown away by the driver.
    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code);
    /// Offers one datagram: taken whole or not at all.
    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote;
    /// Ends the session.
    fn close(&mut self, session: SessionKey, code: Code, words: &str);
}

/// What a machine asks of its driver.
#[derive(Debug)]
pub enum Output<T> {
    /// Reach a relay; answered by [`Net::Connected`] or [`Net::DialFailed`].
    Dial(Dial),
    /// Something of the machine's own kind.
    Do(T),
    /// Nothing more for now; call `poll` again after any input, or at this time on the `mono` line.
    Wait(Option<Duration>),
}

/// The one shape of every machine: hand it what happened, then poll until it waits.
pub trait Machine {
    /// What can happen to it.
    type Input: From<Net>;
    /// What it asks for besides the network.
    type Output;
    /// Takes one input; writes go straight to `outlet`.
    fn handle(&mut self, now: Now, input: Self::Input, outlet: &mut impl Outlet);
    /// Gives the next output; deadlines that have passed are acted on first.
    fn poll(&mut self, now: Now, outlet: &mut impl Outlet) -> Output<Self::Output>;
}

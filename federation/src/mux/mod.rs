//! One session over one ordered pipe of messages: what is left when UDP does not get through.
//!
//! ```text
//!   machine --- Outlet's calls ---> Mux --- next_message ---> WebSocket on TLS on TCP
//!           <-- next_net ----------     <-- handle_message --
//! ```
//!
//! [`Mux`] carries the streams and datagrams of one session in binary messages, each of them one frame; `PROTOCOL.md`
//! has the bytes. It promises what [`Outlet`](crate::io::Outlet) and [`Net`] promise, with three differences that a pipe in order makes:
//! a datagram arrives whenever the pipe lives, what was said first on *one* stream never overtakes, and nothing is lost.
//!
//! - **No credit for single streams.** Neither end leaves one stream unread while it reads another: drivers hand over what
//!   arrives in the order of arrival, and a driver that is behind stops to take messages, which TCP tells the sender.
//!   So one bound for all streams together is enough, and there is nothing to negotiate.
//! - **Little waits here.** At most [`Limits::queue`] bytes of streams wait to be sent; then [`Wrote::Blocked`]. Of these the
//!   less urgent streams may fill only a part, so that a control message always finds room.
//! - **The urgent goes first.** Signals, then datagrams, then the control stream, then streams by priority, in turns
//!   among equals, in pieces of [`PIECE`]: the choice is made when the pipe takes a message, not when it is written.
//! - **Stale sound is not queued.** Datagrams wait in [`Limits::datagrams`] bytes of their own, ahead of all streams;
//!   what does not fit is refused at once.
//!
//! Numbers of streams are those of QUIC: the lowest bit says who opened it (0: the dialler), the next one whether it is
//! one way. The stream that the dialler opens first is the control stream, on both ends from the start.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::{
    io::{Closed, Net, SessionKey, StreamKey, StreamKind, Wrote},
    limits::MAX_DATAGRAM,
    wire::{Malformed, code::Code},
};
use frame::Frame;
use queue::Queue;
use streams::{Arriving, Leaving, Streams};

mod frame;
mod queue;
mod streams;

/// The WebSocket subprotocol that both ends name; the version is in it.
pub const SUBPROTOCOL: &str = "conclave.1";

/// Where a relay answers the WebSocket handshake.
pub const PATH: &str = "/conclave/1";

/// Most bytes of a stream in one message.
pub const MAX_PAYLOAD: usize = 16 * 1024;

/// Longest message: type, a stream's number of eight bytes, the payload.
pub const MAX_MESSAGE: usize = 1 + 8 + MAX_PAYLOAD;

/// Bytes of a stream that we put into one message. More would be faster by little, and make sound wait behind pictures:
/// 4 KiB are 33 ms at 1 Mbit/s.
pub const PIECE: usize = 4 * 1024;

/// A message that says nothing but that its sender lives. The remote takes no notice.
///
/// A browser sees neither pings nor pongs of a WebSocket: an acceptor sends this one beside its pings, so that a page
/// can tell a quiet relay from one that is gone.
pub const ALIVE: Bytes = Bytes::from_static(&[0]);

/// Which end of the pipe we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// We asked for it.
    Dialler,
    /// We were asked.
    Acceptor,
}

/// Bounds of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of streams that wait to be sent.
    pub queue: usize,
    /// Bytes of datagrams that wait to be sent; room for four of the longest at least.
    pub datagrams: usize,
    /// One-way streams that we may have open.
    pub uni_out: usize,
    /// One-way streams that the remote may have open.
    pub uni_in: usize,
    /// Streams for requests that each end may have open; the control stream is one of the dialler's.
    pub bidi: usize,
}

impl Limits {
    /// Of a participant, who dials a relay: the same numbers as on QUIC.
    pub const PARTICIPANT: Self = Self { queue: 64 * 1024, datagrams: 8 * 1024, uni_out: 64, uni_in: 1_024, bidi: 64 };
    /// Of a relay that a participant dialled.
    pub const RELAY: Self = Self { uni_out: 1_024, uni_in: 64, ..Self::PARTICIPANT };
}

/// The remote's messages make no sense; the session is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// It cannot be read.
    #[error("a message cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// It can be read, but not here and now.
    #[error("a message does not fit: {0}")]
    Violation(&'static str),
}

/// A stream's number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Number(u64);

impl Number {
    const CONTROL: Self = Self(0);

    const fn key(self) -> StreamKey {
        StreamKey(self.0)
    }

    const fn of(key: StreamKey) -> Self {
        Self(key.0)
    }

    const fn is_uni(self) -> bool {
        self.0 & 2 != 0
    }

    const fn opener(self) -> End {
        if self.0 & 1 == 0 { End::Dialler } else { End::Acceptor }
    }

    const fn kind(self) -> StreamKind {
        match self {
            Self(0) => StreamKind::Control,
            _ if self.is_uni() => StreamKind::Uni,
            _ => StreamKind::Bidi,
        }
    }
}

/// What of the caller's was refused and not yet allowed again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Refused {
    write: bool,
    uni: bool,
    bidi: bool,
    datagram: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// Over; this is still to be told to the remote.
    Closing(Bytes),
    Over,
}

/// One session over one pipe.
///
/// The caller makes [`Net::Connected`] itself, hands messages in, and takes [`Mux::next_net`] after each until there is
/// none, and [`Mux::next_message`] as long as the pipe takes more *now*: what was taken cannot be taken back.
#[derive(Debug)]
pub struct Mux {
    session: SessionKey,
    state: State,
    streams: Streams,
    queue: Queue,
    refused: Refused,
    out: VecDeque<Net>,
}

impl Mux {
    /// A session that is up. The control stream is open.
    #[must_use]
    pub fn new(session: SessionKey, side: End, limits: Limits) -> Self {
        Self {
            session,
            state: State::Open,
            streams: Streams::new(side, limits),
            queue: Queue::new(limits),
            refused: Refused::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes one message of the remote.
    ///
    /// # Errors
    /// When it makes no sense: the session is over then, and both ends are told.
    pub fn handle_message(&mut self, message: &Bytes) -> Result<(), Broken> {
        if self.state != State::Open {
            return Ok(());
        }
        let handled = Frame::decode(message).map_err(Broken::from).and_then(|frame| self.handle(frame));
        if let Err(broken) = handled {
            let code = match broken {
                Broken::Malformed(_) => Code::MALFORMED,
                Broken::Violation(_) => Code::VIOLATION,
            };
            self.end(Some((code, "your software sent something that this one cannot read: update both")), Closed::Lost);
        }
        handled
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Broken> {
        let session = self.session;
        match frame {
            Frame::Alive => {}
            Frame::Datagram(bytes) => self.out.push_back(Net::Datagram { session, bytes }),
            Frame::Data { stream, bytes, last } => {
                let wanted = self.streams.arriving(stream)? == Arriving::Wanted;
                if last {
                    self.arrived(stream);
                }
                if wanted {
                    self.out.push_back(Net::Data { session, stream: stream.key(), kind: stream.kind(), bytes, fin: last });
                }
                self.look_for_room();
            }
            Frame::Reset { stream, code } => {
                let wanted = self.streams.arriving(stream)? == Arriving::Wanted;
                self.arrived(stream);
                if wanted {
                    self.out.push_back(Net::Reset { session, stream: stream.key(), code });
                }
                self.look_for_room();
            }
            Frame::Stop { stream, code } => {
                let Some(was) = self.streams.stopped(stream)? else { return Ok(()) };
                self.queue.give_up(stream, code);
                if was == Leaving::Open {
                    self.out.push_back(Net::Stopped { session, stream: stream.key(), code });
                }
                self.look_for_room();
            }
            Frame::Close { code, words } => self.end(None, Closed::ByRemote(code, words)),
        }
        Ok(())
    }

    /// All of a stream has arrived; there is nothing to stop any more.
    fn arrived(&mut self, stream: Number) {
        self.streams.arrived(stream);
        self.queue.forget_stop(stream);
    }

    /// The next thing that happened.
    pub fn next_net(&mut self) -> Option<Net> {
        self.out.pop_front()
    }

    /// The next message for the remote, chosen now. Call only when the pipe takes it now.
    pub fn next_message(&mut self) -> Option<Bytes> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open => self.state = State::Open,
            State::Closing(farewell) => return Some(farewell),
            State::Over => return None,
        }
        let next = self.queue.next()?;
        if let Some(stream) = next.ends {
            self.streams.left(stream);
        }
        self.look_for_room();
        Some(next.message)
    }

    /// Whether the session is over and nothing is left to be sent.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The pipe is gone, for this reason: the machine is told.
    pub fn lost(&mut self, why: Closed) {
        if self.state == State::Open {
            self.end(None, why);
        }
        self.state = State::Over;
    }

    fn end(&mut self, farewell: Option<(Code, &str)>, why: Closed) {
        self.state =
            farewell.map_or(State::Over, |(code, words)| State::Closing(Frame::Close { code, words: words.to_owned() }.encode()));
        self.queue.clear();
        self.streams.clear();
        self.out.push_back(Net::Closed { session: self.session, why });
    }

    /// Tells the machine once when something that was refused would be taken.
    fn look_for_room(&mut self) {
        let Refused { write, uni, bidi, datagram } = self.refused;
        let room = (write && self.queue.has_room())
            || (datagram && self.queue.has_room_for_datagrams())
            || (uni && self.streams.may_open(true))
            || (bidi && self.streams.may_open(false));
        if room && self.state == State::Open {
            self.refused = Refused::default();
            self.out.push_back(Net::Writable { session: self.session });
        }
    }

    /// As [`open_uni`](crate::io::Outlet::open_uni) of an outlet.
    pub fn open_uni(&mut self, priority: u8) -> Option<StreamKey> {
        self.open(true, priority)
    }

    /// As [`open_bidi`](crate::io::Outlet::open_bidi) of an outlet.
    pub fn open_bidi(&mut self) -> Option<StreamKey> {
        self.open(false, crate::track::priority::CONTROL)
    }

    fn open(&mut self, uni: bool, priority: u8) -> Option<StreamKey> {
        if self.state != State::Open {
            return None;
        }
        let opened = self.streams.open(uni, priority);
        let refused = if uni { &mut self.refused.uni } else { &mut self.refused.bidi };
        *refused |= opened.is_none();
        opened.map(Number::key)
    }

    /// As [`write`](crate::io::Outlet::write) of an outlet.
    pub fn write(&mut self, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let stream = Number::of(stream);
        let Some(priority) = self.streams.writable(stream) else { return Wrote::Gone };
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        let room = self.queue.room(stream, priority).min(offered);
        let mut left = room;
        for chunk in chunks {
            let taken = chunk.len().min(left);
            if let Some(bytes) = chunk.get(..taken) {
                self.queue.push(stream, priority, bytes);
            }
            chunk.advance(taken);
            left -= taken;
        }
        self.refused.write |= room < offered;
        if room == 0 && offered > 0 { Wrote::Blocked } else { Wrote::Accepted(room) }
    }

    /// As [`finish`](crate::io::Outlet::finish) of an outlet.
    pub fn finish(&mut self, stream: StreamKey) {
        let stream = Number::of(stream);
        if let Some(priority) = self.streams.finish(stream) {
            self.queue.finish(stream, priority);
        }
    }

    /// As [`reset`](crate::io::Outlet::reset) of an outlet: what waits here is thrown away.
    pub fn reset(&mut self, stream: StreamKey, code: Code) {
        let stream = Number::of(stream);
        if self.streams.reset(stream) {
            self.queue.give_up(stream, code);
            self.look_for_room();
        }
    }

    /// As [`stop`](crate::io::Outlet::stop) of an outlet: what still arrives, and what waits in [`Mux::next_net`], is thrown away.
    pub fn stop(&mut self, stream: StreamKey, code: Code) {
        self.out.retain(|net| !matches!(net, Net::Data { stream: on, .. } if *on == stream));
        let stream = Number::of(stream);
        if self.streams.stop(stream) {
            self.queue.stop(stream, code);
        }
    }

    /// As [`datagram`](crate::io::Outlet::datagram) of an outlet. One above [`MAX_DATAGRAM`] is lost, as on a path that carries none so long.
    pub fn datagram(&mut self, bytes: Bytes) -> Wrote {
        let len = bytes.len();
        if self.state != State::Open {
            return Wrote::Gone;
        }
        if len > MAX_DATAGRAM {
            return Wrote::Accepted(len);
        }
        if self.queue.push_datagram(bytes) {
            return Wrote::Accepted(len);
        }
        self.refused.datagram = true;
        Wrote::Blocked
    }

    /// As [`close`](crate::io::Outlet::close) of an outlet: what waits is thrown away, and one message is left to be sent.
    pub fn close(&mut self, code: Code, words: &str) {
        if self.state == State::Open {
            self.out.clear();
            self.end(Some((code, words)), Closed::ByUs);
        }
    }
}

#[cfg(test)]
mod tests;

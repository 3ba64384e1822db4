//! The sessions that are up, whatever carries them: where the machine writes to.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Net, Outlet, SessionKey, StreamKey, Wrote},
    mux::{End, Limits, Mux},
    wire::code::Code,
};

use crate::{
    deed::{Deed, Transport},
    pipes::Pipes,
};

/// Bytes of messages that may wait in a WebSocket. What is in there goes before everything that comes later, so it is
/// little: an eighth of a second at 1 Mbit/s.
const PIPE_BYTES: usize = 16 * 1024;

/// A session over one pipe of messages.
#[derive(Debug)]
struct Piped {
    mux: Mux,
    /// Bytes of messages that were handed over and have not left.
    waiting: usize,
    /// The pipe itself is gone, or was told to close.
    ended: bool,
    blocked: u64,
}

#[derive(Debug)]
enum Way {
    Pipes(Pipes),
    Piped(Box<Piped>),
}

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Sessions {
    open: BTreeMap<SessionKey, Way>,
    next: u32,
    /// What happened to sessions that are not here any more.
    out: VecDeque<Net>,
    /// Refusals of sessions that are not here any more.
    blocked: u64,
}

impl Sessions {
    /// A session is up. `None` when all numbers were used.
    pub(crate) fn connected(&mut self, transport: Transport) -> Option<SessionKey> {
        let key = SessionKey(u64::from(self.next));
        self.next = self.next.checked_add(1)?;
        let way = match transport {
            Transport::WebTransport => Way::Pipes(Pipes::new(key)),
            Transport::WebSocket => {
                let mux = Mux::new(key, End::Dialler, Limits::PARTICIPANT);
                Way::Piped(Box::new(Piped { mux, waiting: 0, ended: false, blocked: 0 }))
            }
        };
        self.open.insert(key, way);
        Some(key)
    }

    /// What carries the session that is up.
    pub(crate) fn transport(&self) -> Option<Transport> {
        self.open.values().next_back().map(|way| match way {
            Way::Pipes(_) => Transport::WebTransport,
            Way::Piped(_) => Transport::WebSocket,
        })
    }

    /// How often something did not fit.
    pub(crate) fn blocked(&self) -> u64 {
        self.open.values().map(Way::blocked).sum::<u64>() + self.blocked
    }

    /// The next thing that happened.
    pub(crate) fn next_net(&mut self) -> Option<Net> {
        self.out.pop_front().or_else(|| self.open.values_mut().find_map(Way::next_net))
    }

    /// The next thing to do; forgets sessions that have nothing more to say.
    pub(crate) fn next_deed(&mut self) -> Option<(SessionKey, Deed)> {
        let next = self.open.iter_mut().find_map(|(key, way)| Some((*key, way.next_deed()?)));
        if next.is_none() {
            let Self { open, out, blocked, .. } = self;
            open.retain(|_, way| {
                let over = way.is_over();
                if over {
                    out.extend(std::iter::from_fn(|| way.next_net()));
                    *blocked += way.blocked();
                }
                !over
            });
        }
        next
    }

    fn pipes(&mut self, session: SessionKey) -> Option<&mut Pipes> {
        match self.open.get_mut(&session)? {
            Way::Pipes(pipes) => Some(pipes),
            Way::Piped(_) => None,
        }
    }

    fn piped(&mut self, session: SessionKey) -> Option<&mut Piped> {
        match self.open.get_mut(&session)? {
            Way::Pipes(_) => None,
            Way::Piped(piped) => Some(piped),
        }
    }

    /// The relay opened a stream.
    pub(crate) fn stream_in(&mut self, session: SessionKey, bidi: bool) -> Option<StreamKey> {
        self.pipes(session)?.stream_in(bidi)
    }

    /// Something happened to a stream or a datagram of WebTransport.
    pub(crate) fn with_pipes(&mut self, session: SessionKey, act: impl FnOnce(&mut Pipes)) {
        if let Some(pipes) = self.pipes(session) {
            act(pipes);
        }
    }

    /// A message came.
    pub(crate) fn message(&mut self, session: SessionKey, bytes: &Bytes) {
        if let Some(piped) = self.piped(session) {
            // What makes no sense ends the session, and the machine is told that: there is nothing to do besides.
            let _ = piped.mux.handle_message(bytes);
        }
    }

    /// So many bytes of messages have left.
    pub(crate) fn message_sent(&mut self, session: SessionKey, bytes: usize) {
        if let Some(piped) = self.piped(session) {
            piped.waiting = piped.waiting.saturating_sub(bytes);
        }
    }

    /// A session ended at the other end, or on the way.
    pub(crate) fn closed(&mut self, session: SessionKey, why: Closed) {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.closed(why),
            Some(Way::Piped(piped)) => {
                piped.ended = true;
                piped.mux.lost(why);
            }
            None => {}
        }
    }
}

impl Way {
    fn next_net(&mut self) -> Option<Net> {
        match self {
            Self::Pipes(pipes) => pipes.next_net(),
            Self::Piped(piped) => piped.mux.next_net(),
        }
    }

    fn next_deed(&mut self) -> Option<Deed> {
        match self {
            Self::Pipes(pipes) => pipes.next_deed(),
            Self::Piped(piped) => piped.next_deed(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Pipes(pipes) => pipes.is_over(),
            Self::Piped(piped) => piped.ended && piped.mux.is_over(),
        }
    }

    const fn blocked(&self) -> u64 {
        match self {
            Self::Pipes(pipes) => pipes.blocked(),
            Self::Piped(piped) => piped.blocked,
        }
    }
}

impl Piped {
    /// Messages as long as the pipe takes more; at the end of the session its last words, and that the pipe be closed.
    fn next_deed(&mut self) -> Option<Deed> {
        if self.ended {
            return None;
        }
        if self.waiting < PIPE_BYTES
            && let Some(message) = self.mux.next_message()
        {
            self.waiting += message.len();
            return Some(Deed::Message(message));
        }
        if self.mux.is_over() {
            self.ended = true;
            return Some(Deed::Close { code: Code::NONE, words: String::new() });
        }
        None
    }

    fn note(&mut self, wrote: Wrote, offered: usize) -> Wrote {
        let all = match wrote {
            Wrote::Accepted(taken) => taken >= offered,
            Wrote::Blocked => false,
            Wrote::Gone => true,
        };
        self.blocked += u64::from(!all);
        wrote
    }
}

impl Outlet for Sessions {
    fn open_uni(&mut self, session: SessionKey, priority: u8) -> Option<StreamKey> {
        match self.open.get_mut(&session)? {
            Way::Pipes(pipes) => pipes.open_uni(priority),
            Way::Piped(piped) => piped.mux.open_uni(priority),
        }
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        match self.open.get_mut(&session)? {
            Way::Pipes(pipes) => pipes.open_bidi(),
            Way::Piped(piped) => piped.mux.open_bidi(),
        }
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.write(stream, chunks),
            Some(Way::Piped(piped)) => {
                let offered = chunks.iter().map(Bytes::len).sum();
                let wrote = piped.mux.write(stream, chunks);
                piped.note(wrote, offered)
            }
            None => Wrote::Gone,
        }
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.finish(stream),
            Some(Way::Piped(piped)) => piped.mux.finish(stream),
            None => {}
        }
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.reset(stream, code),
            Some(Way::Piped(piped)) => piped.mux.reset(stream, code),
            None => {}
        }
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.stop(stream, code),
            Some(Way::Piped(piped)) => piped.mux.stop(stream, code),
            None => {}
        }
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.datagram(bytes),
            Some(Way::Piped(piped)) => {
                let offered = bytes.len();
                let wrote = piped.mux.datagram(bytes);
                piped.note(wrote, offered)
            }
            None => Wrote::Gone,
        }
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        match self.open.get_mut(&session) {
            Some(Way::Pipes(pipes)) => pipes.close(code, words),
            Some(Way::Piped(piped)) => piped.mux.close(code, words),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;

//! Sessions over TCP: as those over QUIC, as far as the machine can see.

use std::{
    collections::HashMap,
    task::{Context, Poll},
};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, DialKey, Net, SessionKey, Side, StreamKey, Wrote},
    mux::End,
    wire::code::Code,
};
use tokio::sync::oneshot;

use super::{Driver, session_of};
use crate::{
    observe::Observer,
    ready::Part,
    tcp::{Pipe, dial::Reached, session::PipeSession},
};

/// Sessions over TCP, and those whose remote is being told that it is over.
#[derive(Default)]
pub(super) struct Pipes {
    pub(super) sessions: HashMap<SessionKey, PipeSession>,
    leaving: Vec<oneshot::Receiver<()>>,
}

impl Pipes {
    fn let_go(&mut self, session: PipeSession) {
        // Each takes two seconds at most, so that this list is as short as sessions are.
        self.leaving.retain_mut(|pumping| pumping.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        self.leaving.push(session.let_go());
    }

    /// Whether all remotes were told as far as they can be.
    pub(super) fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.leaving.retain_mut(|pumping| std::pin::Pin::new(pumping).poll(context).is_pending());
        if self.leaving.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<O: Observer> Driver<O> {
    /// Takes in a session that was accepted over TCP; [`Net::Connected`] follows. `exporter` is what both ends share if
    /// TLS was ours, otherwise 32 bytes that nobody knows: nothing can be proved with them then.
    ///
    /// `None` when no more sessions may begin: the remote is told so.
    pub fn adopt(&mut self, pipe: Pipe, exporter: [u8; 32]) -> Option<SessionKey> {
        let full = self.load.stopping || self.sessions() + self.load.handshakes >= self.endpoint.limits.sessions;
        let mut session = self.begin_pipe(End::Acceptor, pipe);
        if full {
            self.counters.handshakes_refused += 1;
            session.1.mux.close(Code::FULL, "this relay is full: try another one, or later");
            self.pipes.let_go(session.1);
            return None;
        }
        self.counters.handshakes_ok += 1;
        let (key, session) = session;
        self.pipes.sessions.insert(key, session);
        self.out.push_back(Net::Connected { session: key, side: Side::Accepted, exporter });
        Some(key)
    }

    pub(super) fn dialled_over_tcp(&mut self, dial: DialKey, reached: Reached) {
        let Reached { pipe, relay, exporter } = reached;
        let (key, session) = self.begin_pipe(End::Dialler, pipe);
        self.counters.dials_ok += 1;
        self.counters.dials_over_tcp += 1;
        self.pipes.sessions.insert(key, session);
        self.out.push_back(Net::Connected { session: key, side: Side::Dialled(dial, relay), exporter });
    }

    fn begin_pipe(&mut self, end: End, pipe: Pipe) -> (SessionKey, PipeSession) {
        self.sessions_begun += 1;
        let key = SessionKey(self.sessions_begun);
        (key, PipeSession::new(key, end, pipe, &self.ready))
    }

    pub(super) fn serve_pipe(&mut self, key: SessionKey, part: Part) {
        let Some(session) = self.pipes.sessions.get_mut(&key) else { return };
        if part == Part::PipeOut {
            session.flush();
        } else if let Err(broken) = session.take() {
            tracing::warn!(session = key.0, %broken, "ended a session over TCP");
            self.counters.pipes_broken += 1;
        }
        while let Some(net) = self.pipes.sessions.get_mut(&key).and_then(|session| session.mux.next_net()) {
            self.received(&net);
            if matches!(net, Net::Closed { .. }) {
                self.counters.sessions_closed += 1;
                if let Some(session) = self.pipes.sessions.remove(&key) {
                    self.pipes.let_go(session);
                }
            }
            self.out.push_back(net);
        }
    }

    pub(super) fn write_to_pipe(&mut self, key: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let Some(session) = self.pipes.sessions.get_mut(&key) else { return Wrote::Gone };
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        let before: Vec<Bytes> = if O::WATCHES { chunks.to_vec() } else { Vec::new() };
        let wrote = session.mux.write(stream, chunks);
        session.said();
        let taken = match wrote {
            Wrote::Accepted(taken) => taken,
            Wrote::Blocked | Wrote::Gone => 0,
        };
        self.counters.bytes_out += taken as u64;
        self.counters.writes_blocked += u64::from(taken < offered && wrote != Wrote::Gone);
        let mut left = taken;
        for chunk in &before {
            let (sent, _) = chunk.split_at(chunk.len().min(left));
            left -= sent.len();
            if !sent.is_empty() {
                self.observer.sent(key, sent);
            }
        }
        wrote
    }

    pub(super) fn datagram_to_pipe(&mut self, key: SessionKey, bytes: Bytes) -> Wrote {
        let Some(session) = self.pipes.sessions.get_mut(&key) else { return Wrote::Gone };
        let sent = if O::WATCHES { bytes.clone() } else { Bytes::new() };
        let wrote = session.mux.datagram(bytes);
        session.said();
        match wrote {
            Wrote::Accepted(len) => {
                self.counters.datagrams_out += 1;
                self.counters.bytes_out += len as u64;
                if O::WATCHES {
                    self.observer.sent(key, &sent);
                }
            }
            Wrote::Blocked => self.counters.datagrams_blocked += 1,
            Wrote::Gone => {}
        }
        wrote
    }

    pub(super) fn close_pipe(&mut self, key: SessionKey, code: Code, words: &str) {
        let Some(mut session) = self.pipes.sessions.remove(&key) else { return };
        session.mux.close(code, words);
        self.pipes.let_go(session);
        self.out.retain(|net| session_of(net) != Some(key));
        self.counters.sessions_closed += 1;
        self.out.push_back(Net::Closed { session: key, why: Closed::ByUs });
    }
}

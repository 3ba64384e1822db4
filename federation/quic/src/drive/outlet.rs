//! What the machine says goes straight to the session that it is for.

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Net, Outlet, SessionKey, StreamKey, Wrote},
    wire::code::Code,
};

use super::{DATAGRAM_TICK, Driver, WINDOW_TICK, session_of};
use crate::{observe::Observer, write::Desk};

impl<O: Observer> Outlet for Driver<O> {
    fn open_uni(&mut self, session: SessionKey, priority: u8) -> Option<StreamKey> {
        if let Some(pipe) = self.pipes.sessions.get_mut(&session) {
            let opened = pipe.mux.open_uni(priority);
            self.counters.opens_blocked += u64::from(opened.is_none());
            return opened;
        }
        self.sessions.get_mut(&session)?.open_uni(priority, &mut self.counters)
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        if let Some(pipe) = self.pipes.sessions.get_mut(&session) {
            let opened = pipe.mux.open_bidi();
            self.counters.opens_blocked += u64::from(opened.is_none());
            return opened;
        }
        self.sessions.get_mut(&session)?.open_bidi(&mut self.counters)
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let Some(session) = self.sessions.get_mut(&session) else { return self.write_to_pipe(session, stream, chunks) };
        let desk =
            Desk { observer: &mut self.observer, counters: &mut self.counters, out: &mut self.out, prefixed: &mut self.prefixed };
        let wrote = session.write(stream, chunks, desk);
        if self.tick.is_none() {
            self.set_tick(WINDOW_TICK);
        }
        wrote
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.finish(stream);
        } else if let Some(pipe) = self.pipes.sessions.get_mut(&session) {
            pipe.mux.finish(stream);
            pipe.said();
        }
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.reset(stream, code);
        } else if let Some(pipe) = self.pipes.sessions.get_mut(&session) {
            pipe.mux.reset(stream, code);
            pipe.said();
        }
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.stop(stream, code);
        } else if let Some(pipe) = self.pipes.sessions.get_mut(&session) {
            pipe.mux.stop(stream, code);
            pipe.said();
        }
        self.out.retain(|net| !matches!(net, Net::Data { session: of, stream: on, .. } if (*of, *on) == (session, stream)));
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        let Some(found) = self.sessions.get_mut(&session) else { return self.datagram_to_pipe(session, bytes) };
        let was_crowded = found.blocked_datagram.is_some();
        let desk =
            Desk { observer: &mut self.observer, counters: &mut self.counters, out: &mut self.out, prefixed: &mut self.prefixed };
        let wrote = found.datagram(bytes, desk);
        if wrote == Wrote::Blocked && !was_crowded {
            self.crowded.push(session);
            self.set_tick(DATAGRAM_TICK);
        }
        wrote
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        let Some(found) = self.sessions.remove(&session) else { return self.close_pipe(session, code, words) };
        if let Some(leaving) = found.close(code, words) {
            self.leaving(leaving);
        }
        self.out.retain(|net| session_of(net) != Some(session));
        self.counters.sessions_closed += 1;
        self.out.push_back(Net::Closed { session, why: Closed::ByUs });
    }
}

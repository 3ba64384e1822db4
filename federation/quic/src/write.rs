//! From the machine to QUIC: every call answers at once, and nothing is queued here.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use conclave_federation::{
    io::{Net, StreamKey, StreamKind, Wrote},
    wire::code::Code,
};
use quinn::{SendDatagramError, SendStream, VarInt, WriteError};

use crate::{
    observe::{Counters, Observer},
    session::{MAX_FINISHED, Session, stream_key},
    web::{Prefixed, Web},
};

/// What beside the session a write touches.
pub(crate) struct Desk<'a, O> {
    pub(crate) observer: &'a mut O,
    pub(crate) counters: &'a mut Counters,
    pub(crate) out: &'a mut std::collections::VecDeque<Net>,
    pub(crate) prefixed: &'a mut Prefixed,
}

/// How far an offer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Full,
    Blocked,
    Stopped(VarInt),
    Gone,
}

/// Offers chunks until all are taken or QUIC takes no more. In the second case QUIC keeps the waker, also after it took
/// a part: that is why it is asked once more than needed.
fn fill(send: &mut SendStream, chunks: &mut [Bytes], offered: usize, taken: &mut usize, writable: &Waker) -> End {
    let mut context = Context::from_waker(writable);
    while *taken < offered {
        // `write_chunks` is the one write that takes nothing when it does not complete.
        match pin!(send.write_chunks(chunks)).poll(&mut context) {
            Poll::Ready(Ok(written)) => *taken += written.bytes,
            Poll::Ready(Err(WriteError::Stopped(number))) => return End::Stopped(number),
            Poll::Ready(Err(_)) => return End::Gone,
            Poll::Pending => return End::Blocked,
        }
    }
    End::Full
}

/// Says what a stream of a browser's session is, before anything else is written to it.
fn say(web: Option<&mut Web>, stream: StreamKey, send: &mut SendStream, writable: &Waker) -> End {
    let Some(head) = web.and_then(|web| web.unsaid.get_mut(&stream)) else { return End::Full };
    let mut chunks = [head.clone()];
    let end = fill(send, &mut chunks, head.len(), &mut 0, writable);
    [*head] = chunks;
    end
}

impl Session {
    pub(crate) fn open_uni(&mut self, priority: u8, counters: &mut Counters) -> Option<StreamKey> {
        let connection = self.connection.clone();
        let mut opening = Box::pin(async move { connection.open_uni().await });
        let Poll::Ready(opened) = opening.as_mut().poll(&mut Context::from_waker(&self.writable)) else {
            self.uni_budget = Some(Box::pin(async move { drop(opening.await) }));
            self.blocked = true;
            counters.opens_blocked += 1;
            return None;
        };
        let send = opened.ok()?;
        // Before the first write: what is queued already keeps the priority it was queued with.
        send.set_priority(-i32::from(priority)).ok()?;
        let key = stream_key(send.id());
        self.writing.insert(key, send);
        if let Some(web) = &mut self.web {
            web.unsaid.insert(key, web.heads.uni.clone());
        }
        Some(key)
    }

    pub(crate) fn open_bidi(&mut self, counters: &mut Counters) -> Option<StreamKey> {
        let connection = self.connection.clone();
        let mut opening = Box::pin(async move { connection.open_bi().await });
        let Poll::Ready(opened) = opening.as_mut().poll(&mut Context::from_waker(&self.writable)) else {
            self.bidi_budget = Some(Box::pin(async move { drop(opening.await) }));
            self.blocked = true;
            counters.opens_blocked += 1;
            return None;
        };
        let (send, recv) = opened.ok()?;
        let key = stream_key(send.id());
        self.writing.insert(key, send);
        self.read(recv, StreamKind::Bidi);
        if let Some(web) = &mut self.web {
            web.unsaid.insert(key, web.heads.bidi.clone());
        }
        Some(key)
    }

    pub(crate) fn write<O: Observer>(&mut self, stream: StreamKey, chunks: &mut [Bytes], desk: Desk<'_, O>) -> Wrote {
        let Some(send) = self.writing.get_mut(&stream) else {
            if stream == StreamKey::CONTROL && !self.has_control {
                // The acceptor's side, before the dialler's first byte.
                self.blocked = true;
                return Wrote::Blocked;
            }
            return Wrote::Gone;
        };
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        if offered == 0 {
            return Wrote::Accepted(0);
        }
        let before: Vec<Bytes> = if O::WATCHES { chunks.to_vec() } else { Vec::new() };
        let mut taken = 0;
        let mut end = say(self.web.as_deref_mut(), stream, send, &self.writable);
        if end == End::Full {
            end = fill(send, chunks, offered, &mut taken, &self.writable);
        }
        if end == End::Blocked && self.window.follow(&self.connection, self.role) {
            end = say(self.web.as_deref_mut(), stream, send, &self.writable);
            if end == End::Full {
                end = fill(send, chunks, offered, &mut taken, &self.writable);
            }
        }
        self.wrote = true;
        desk.counters.bytes_out += taken as u64;
        let mut left = taken;
        for chunk in &before {
            let (sent, _) = chunk.split_at(chunk.len().min(left));
            left -= sent.len();
            if !sent.is_empty() {
                desk.observer.sent(self.key, sent);
            }
        }
        match end {
            End::Full => return Wrote::Accepted(taken),
            End::Blocked => {
                self.blocked = true;
                desk.counters.writes_blocked += 1;
                return if taken > 0 { Wrote::Accepted(taken) } else { Wrote::Blocked };
            }
            End::Stopped(number) => {
                let code = self.code(number);
                desk.out.push_back(Net::Stopped { session: self.key, stream, code });
            }
            End::Gone => {}
        }
        self.forget(stream);
        Wrote::Gone
    }

    fn forget(&mut self, stream: StreamKey) -> Option<SendStream> {
        if let Some(web) = &mut self.web {
            web.unsaid.remove(&stream);
        }
        self.writing.remove(&stream)
    }

    pub(crate) fn finish(&mut self, stream: StreamKey) {
        let said = match self.writing.get_mut(&stream) {
            Some(send) => say(self.web.as_deref_mut(), stream, send, &self.writable) == End::Full,
            None => return,
        };
        let Some(mut send) = self.forget(stream) else { return };
        if !said {
            // Nothing was written to it, and not even what it is fits now: whole, it would mean nothing to a browser.
            let _ = send.reset(self.number(Code::NONE));
        } else if send.finish().is_ok() {
            if self.finished.len() >= MAX_FINISHED {
                self.finished.pop_front();
            }
            self.finished.push_back((stream, send));
        }
    }

    pub(crate) fn reset(&mut self, stream: StreamKey, code: Code) {
        let number = self.number(code);
        let send = self.forget(stream).or_else(|| {
            let at = self.finished.iter().position(|(key, _)| *key == stream)?;
            self.finished.remove(at).map(|(_, send)| send)
        });
        if let Some(mut send) = send {
            // Fails when all of it was delivered meanwhile: then there is nothing to give up.
            let _ = send.reset(number);
        }
    }

    pub(crate) fn stop(&mut self, stream: StreamKey, code: Code) {
        let number = self.number(code);
        if let Some(mut reading) = self.reading.remove(&stream) {
            // Fails when all of it has arrived: then there is nothing to stop.
            let _ = reading.recv.stop(number);
        }
    }

    /// Offers one datagram. QUIC would take it in any case and silently drop the oldest: the space is looked at first,
    /// so that what is lost is known, and counted, where priorities are known.
    pub(crate) fn datagram<O: Observer>(&mut self, bytes: Bytes, desk: Desk<'_, O>) -> Wrote {
        let len = bytes.len();
        if !self.has_space(len) {
            desk.counters.datagrams_blocked += 1;
            self.blocked = true;
            self.blocked_datagram = Some(len);
            return Wrote::Blocked;
        }
        let sent = if O::WATCHES { bytes.clone() } else { Bytes::new() };
        let whole = match &self.web {
            Some(web) => desk.prefixed.make(&web.heads, &bytes),
            None => bytes,
        };
        match self.connection.send_datagram(whole) {
            Ok(()) => {
                desk.counters.datagrams_out += 1;
                desk.counters.bytes_out += len as u64;
                if O::WATCHES {
                    desk.observer.sent(self.key, &sent);
                }
                Wrote::Accepted(len)
            }
            // Lost like on a path that loses it: no later offer would fare better.
            Err(SendDatagramError::TooLarge) => {
                desk.counters.datagrams_oversized += 1;
                Wrote::Accepted(len)
            }
            Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled | SendDatagramError::ConnectionLost(_)) => {
                Wrote::Gone
            }
        }
    }

    pub(crate) fn has_space(&self, len: usize) -> bool {
        let len = len + self.web.as_ref().map_or(0, |web| web.heads.datagram_len());
        self.connection.datagram_send_buffer_space().saturating_sub(self.role.reserved()) >= len
    }
}

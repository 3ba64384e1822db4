//! From QUIC to the machine: datagrams, new streams, and what is readable of each, one event at a time.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use conclave_federation::io::{Net, StreamKey, StreamKind};
use quinn::{ReadError, RecvStream, SendStream};

use crate::session::{Reading, Session, stream_key};

/// Largest `Net::Data`: what is readable at once is handed over in one piece up to this, so that an object that has
/// arrived whole is forwarded with one write per subscriber.
pub(crate) const MAX_READ: usize = 64 * 1024;

/// What one look at a stream gave.
enum Look {
    /// This much, and more may follow at once.
    More(Bytes),
    /// This much; the bell rings when there is more.
    Now(Bytes),
    /// The rest.
    Last(Bytes),
    Nothing,
    Failed(ReadError),
}

impl Session {
    /// The next datagram.
    pub(crate) fn next_datagram(&mut self) -> Option<Net> {
        // Most datagrams are there already when we look: only when none is, a future is kept to wait for the next.
        let there = if self.datagrams.is_waiting() { None } else { now(self.connection.read_datagram()) };
        let bytes = match there {
            Some(read) => read.ok(),
            None => self.announced_datagram(),
        }?;
        self.datagrams.bell.ring();
        let bytes = self.native_datagram(bytes)?;
        Some(Net::Datagram { session: self.key, bytes })
    }

    fn announced_datagram(&mut self) -> Option<Bytes> {
        let connection = &self.connection;
        let poll = self.datagrams.poll(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.read_datagram().await })
        });
        match poll {
            Poll::Ready(Ok(bytes)) => Some(bytes),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    /// Takes in streams that the remote opened one way. They are announced to the machine by their first bytes.
    pub(crate) fn take_uni(&mut self) {
        let connection = &self.connection;
        let poll = self.uni.poll(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        if let Poll::Ready(Ok(recv)) = poll {
            self.take_one_uni(recv);
            self.uni.bell.ring();
        }
    }

    /// Takes in streams that the remote opened both ways. Says whether the control stream was among them.
    pub(crate) fn take_bidi(&mut self) -> bool {
        let connection = &self.connection;
        let poll = self.bidi.poll(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_bi().await })
        });
        let Poll::Ready(Ok((send, recv))) = poll else { return false };
        self.bidi.bell.ring();
        self.take_one_bidi(send, recv)
    }

    fn take_one_uni(&mut self, recv: RecvStream) {
        if self.web.is_some() {
            self.open_web_uni(recv);
        } else {
            self.read(recv, StreamKind::Uni);
        }
    }

    /// Says whether it is the control stream; that of a browser turns out to be it only later.
    fn take_one_bidi(&mut self, send: SendStream, recv: RecvStream) -> bool {
        if self.web.is_some() {
            self.open_web_bidi(send, recv);
            return false;
        }
        let key = stream_key(send.id());
        let is_control = key == StreamKey::CONTROL;
        self.writing.insert(key, send);
        self.read(recv, if is_control { StreamKind::Control } else { StreamKind::Bidi });
        self.has_control |= is_control;
        is_control
    }

    /// What is readable of one stream.
    pub(crate) fn next_data(&mut self, stream: StreamKey) -> Option<Net> {
        if self.is_opening(stream) {
            return self.next_opening(stream);
        }
        let session = self.key;
        let reading = self.reading.get_mut(&stream)?;
        let kind = reading.kind;
        let (bytes, fin) = match look(reading) {
            Look::More(bytes) => {
                reading.bell.ring();
                (bytes, false)
            }
            Look::Now(bytes) => (bytes, false),
            Look::Last(bytes) => {
                self.reading.remove(&stream);
                (bytes, true)
            }
            Look::Nothing => return None,
            Look::Failed(error) => {
                self.reading.remove(&stream);
                let ReadError::Reset(number) = error else { return None };
                return Some(Net::Reset { session, stream, code: self.code(number) });
            }
        };
        Some(Net::Data { session, stream, kind, bytes, fin })
    }

    /// Everything that arrived before the end, in no order between streams.
    pub(crate) fn drain(&mut self) -> Vec<Net> {
        let mut out = Vec::new();
        while let Some(Ok(bytes)) = now(self.connection.read_datagram()) {
            out.extend(self.native_datagram(bytes).map(|bytes| Net::Datagram { session: self.key, bytes }));
        }
        while let Some(Ok((send, recv))) = now(self.connection.accept_bi()) {
            self.take_one_bidi(send, recv);
        }
        while let Some(Ok(recv)) = now(self.connection.accept_uni()) {
            self.take_one_uni(recv);
        }
        let openings: Vec<_> = self.openings().collect();
        for stream in openings {
            self.next_opening(stream);
        }
        let mut streams: Vec<_> = self.reading.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            out.extend(std::iter::from_fn(|| self.next_data(stream)));
        }
        out
    }
}

/// What a future has at once. Nothing is lost with it when it has nothing.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Reads until nothing is left, the end, or [`MAX_READ`]. One segment is passed on as it is; several are joined, which
/// costs one copy for all subscribers together.
fn look(reading: &mut Reading) -> Look {
    if let Some(error) = reading.failed.take() {
        return Look::Failed(error);
    }
    let mut context = Context::from_waker(&reading.waker);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    loop {
        let len = first.len().max(joined.len());
        if len == MAX_READ {
            return Look::More(whole(first, joined));
        }
        match pin!(reading.recv.read_chunk(MAX_READ - len, true)).poll(&mut context) {
            Poll::Ready(Ok(Some(chunk))) if first.is_empty() => first = chunk.bytes,
            Poll::Ready(Ok(Some(chunk))) => {
                if joined.is_empty() {
                    joined.extend_from_slice(&first);
                }
                joined.extend_from_slice(&chunk.bytes);
            }
            Poll::Ready(Ok(None)) => return Look::Last(whole(first, joined)),
            Poll::Pending if len == 0 => return Look::Nothing,
            Poll::Pending => return Look::Now(whole(first, joined)),
            Poll::Ready(Err(error)) if len == 0 => return Look::Failed(error),
            Poll::Ready(Err(error)) => {
                // What came before it still counts. QUIC tells it only once.
                reading.failed = Some(error);
                return Look::More(whole(first, joined));
            }
        }
    }
}

fn whole(first: Bytes, joined: BytesMut) -> Bytes {
    if joined.is_empty() { first } else { joined.freeze() }
}

#[cfg(test)]
mod tests;

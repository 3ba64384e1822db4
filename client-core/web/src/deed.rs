//! What the worker is asked to do for a session, and how the session is carried.

use bytes::Bytes;
use conclave_federation::{io::StreamKey, wire::code::Code};

/// What carries a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transport {
    /// Streams and datagrams of its own.
    WebTransport,
    /// One pipe of messages.
    WebSocket,
}

/// One thing to do; in order within a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    /// Open a stream.
    Open {
        stream: StreamKey,
        bidi: bool,
        /// As in [`conclave_federation::track::priority`].
        priority: u8,
    },
    /// Write these, one after the other, and end the stream when `fin`.
    Send { stream: StreamKey, chunks: Vec<Bytes>, fin: bool },
    /// Give up sending.
    Reset { stream: StreamKey, code: Code },
    /// Want no more of it.
    Stop { stream: StreamKey, code: Code },
    /// Send one datagram.
    Datagram(Bytes),
    /// Send one message.
    Message(Bytes),
    /// End the session, once everything before is written.
    Close { code: Code, words: String },
}

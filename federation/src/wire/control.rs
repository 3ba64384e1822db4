//! How control messages are framed: `type varint, length varint, body`.
//!
//! Unknown types are skipped, so that operators on different versions interoperate; types of the form `0x21 + 31 n` are
//! reserved for grease and are sent at random to keep that true.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Malformed, Reader, Writer,
    message::{Answer, Notice, Request},
    varint,
};
use crate::limits::{MAX_CONTROL_MESSAGE, MAX_LARGE_MESSAGE};

/// One message of a control stream or of a request's own stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Wants an answer under this id, chosen by the asker.
    Request(u64, Box<Request>),
    /// Answers the request of this id.
    Answer(u64, Answer),
    /// Wants no answer.
    Notice(Notice),
    /// A type from the future, or grease: skipped.
    Unknown(u64),
}

/// The `n`th number reserved for grease.
#[must_use]
pub const fn grease(n: u8) -> u64 {
    0x21 + 31 * (8 + n as u64)
}

impl Message {
    /// The whole message with its type and length.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut body = Writer::new();
        let number = match self {
            Self::Request(id, request) => {
                body.varint(*id);
                request.put_body(&mut body);
                request.number()
            }
            Self::Answer(id, answer) => {
                body.varint(*id);
                answer.put_body(&mut body);
                answer.number()
            }
            Self::Notice(notice) => {
                notice.put_body(&mut body);
                notice.number()
            }
            Self::Unknown(number) => *number,
        };
        let mut out = Writer::new();
        out.varint(number);
        out.varint(u64::try_from(body.len()).unwrap_or(u64::MAX));
        out.raw(&body.into_vec());
        out.into_bytes()
    }

    fn decode(number: u64, body: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(body);
        if let Some(notice) = Notice::take_body(number, &mut from) {
            let notice = notice?;
            from.finish()?;
            return Ok(Self::Notice(notice));
        }
        let is = |table: &[(u64, &str)]| table.iter().any(|(known, _)| *known == number);
        if !is(Request::TABLE) && !is(Answer::TABLE) {
            return Ok(Self::Unknown(number));
        }
        let id = from.varint()?;
        let message = if let Some(request) = Request::take_body(number, &mut from) {
            Self::Request(id, Box::new(request?))
        } else if let Some(answer) = Answer::take_body(number, &mut from) {
            Self::Answer(id, answer?)
        } else {
            return Ok(Self::Unknown(number));
        };
        from.finish()?;
        Ok(message)
    }
}

/// Reads messages off one stream, however the bytes were cut.
#[derive(Debug)]
pub struct MessageReader {
    buffered: BytesMut,
    max: usize,
}

impl MessageReader {
    /// For a control stream.
    #[must_use]
    pub fn control() -> Self {
        Self { buffered: BytesMut::new(), max: MAX_CONTROL_MESSAGE }
    }

    /// For a request's own stream.
    #[must_use]
    pub fn large() -> Self {
        Self { buffered: BytesMut::new(), max: MAX_LARGE_MESSAGE }
    }

    /// Takes the next bytes; call [`Self::next_message`] until `None` before the next push, so that no more than one
    /// unfinished message is ever held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffered.extend_from_slice(bytes);
    }

    /// The next whole message.
    ///
    /// # Errors
    /// When the bytes cannot be a message.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        let Some((number, type_len)) = varint::take(&self.buffered) else { return Ok(None) };
        let Some((len, len_len)) = self.buffered.get(type_len..).and_then(varint::take) else { return Ok(None) };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > self.max {
            return Err(Malformed::TooLong("message"));
        }
        let head = type_len + len_len;
        if self.buffered.len() < head + len {
            return Ok(None);
        }
        self.buffered.advance(head);
        let body = self.buffered.split_to(len).freeze();
        Message::decode(number, &body).map(Some)
    }

    /// The stream ended here.
    ///
    /// # Errors
    /// When it ended inside a message.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.buffered.is_empty() { Ok(()) } else { Err(Malformed::Truncated("message")) }
    }
}

//! What one message of the pipe says. A message is one frame: the transport keeps the boundaries.

use bytes::{BufMut, Bytes, BytesMut};

use super::{MAX_PAYLOAD, Number};
use crate::{
    limits::{MAX_DATAGRAM, MAX_WORDS},
    wire::{Malformed, Reader, Wire, Writer, code::Code},
};

const ALIVE: u8 = 0;
const DATAGRAM: u8 = 1;
const DATA: u8 = 2;
const LAST: u8 = 3;
const RESET: u8 = 4;
const STOP: u8 = 5;
const CLOSE: u8 = 6;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Says nothing but that the sender lives.
    Alive,
    /// A whole datagram.
    Datagram(Bytes),
    /// The next bytes of a stream.
    Data { stream: Number, bytes: Bytes, last: bool },
    /// The sender gives up this stream.
    Reset { stream: Number, code: Code },
    /// The receiver wants no more of this stream.
    Stop { stream: Number, code: Code },
    /// The session is over.
    Close { code: Code, words: String },
}

impl Frame {
    pub(super) fn decode(message: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(message);
        let frame = match from.u8()? {
            ALIVE => Self::Alive,
            DATAGRAM => Self::Datagram(rest(&mut from, MAX_DATAGRAM, "datagram")?),
            DATA => {
                let stream = Number(from.varint()?);
                let bytes = rest(&mut from, MAX_PAYLOAD, "payload")?;
                if bytes.is_empty() {
                    return Err(Malformed::Truncated("payload"));
                }
                Self::Data { stream, bytes, last: false }
            }
            LAST => {
                let stream = Number(from.varint()?);
                Self::Data { stream, bytes: rest(&mut from, MAX_PAYLOAD, "payload")?, last: true }
            }
            RESET => Self::Reset { stream: Number(from.varint()?), code: Code::take(&mut from)? },
            STOP => Self::Stop { stream: Number(from.varint()?), code: Code::take(&mut from)? },
            CLOSE => {
                let code = Code::take(&mut from)?;
                let words = rest(&mut from, MAX_WORDS, "words")?;
                let words = std::str::from_utf8(&words).map_err(|_| Malformed::Value("words"))?;
                Self::Close { code, words: words.chars().filter(|c| !c.is_control()).collect() }
            }
            _ => return Err(Malformed::Value("frame type")),
        };
        from.finish()?;
        Ok(frame)
    }

    pub(super) fn encode(&self) -> Bytes {
        match self {
            Self::Alive => Bytes::from_static(&[ALIVE]),
            Self::Datagram(bytes) => joined(&[DATAGRAM], bytes),
            Self::Data { stream, bytes, last } => data(*stream, bytes, *last),
            Self::Reset { stream, code } => signal(RESET, *stream, *code),
            Self::Stop { stream, code } => signal(STOP, *stream, *code),
            Self::Close { code, words } => {
                let mut head = Writer::new();
                head.u8(CLOSE);
                code.put(&mut head);
                joined(&head.into_vec(), cut(words).as_bytes())
            }
        }
    }
}

/// The next bytes of a stream, as a message: the one frame that is made often.
pub(super) fn data(stream: Number, bytes: &[u8], last: bool) -> Bytes {
    let mut head = Writer::new();
    head.u8(if last { LAST } else { DATA });
    head.varint(stream.0);
    joined(&head.into_vec(), bytes)
}

fn signal(kind: u8, stream: Number, code: Code) -> Bytes {
    let mut out = Writer::new();
    out.u8(kind);
    out.varint(stream.0);
    code.put(&mut out);
    out.into_bytes()
}

fn joined(head: &[u8], rest: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len() + rest.len());
    out.put_slice(head);
    out.put_slice(rest);
    out.freeze()
}

fn rest(from: &mut Reader<'_>, most: usize, what: &'static str) -> Result<Bytes, Malformed> {
    let left = from.left();
    if left > most { Err(Malformed::TooLong(what)) } else { from.bytes(left, what) }
}

/// At most [`MAX_WORDS`] bytes, whole characters.
fn cut(words: &str) -> &str {
    let end = words.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX_WORDS).last();
    words.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        let words = "ä".repeat(MAX_WORDS);
        let Ok(Frame::Close { words, .. }) = Frame::decode(&Frame::Close { code: Code::SLOW, words }.encode()) else {
            panic!("a close is read back");
        };
        assert_eq!(words.len(), MAX_WORDS);
    }

    #[test]
    fn what_is_too_long_is_refused_by_length_alone() {
        let refused = |kind: &[u8], len| Frame::decode(&joined(kind, &vec![b'x'; len])).is_err();
        assert!(!refused(&[DATAGRAM], MAX_DATAGRAM));
        assert!(refused(&[DATAGRAM], MAX_DATAGRAM + 1));
        assert!(!refused(&[DATA, 0], MAX_PAYLOAD));
        assert!(refused(&[DATA, 0], MAX_PAYLOAD + 1));
        assert!(refused(&[LAST, 0], MAX_PAYLOAD + 1));
        assert!(!refused(&[CLOSE, 0, 0], MAX_WORDS));
        assert!(refused(&[CLOSE, 0, 0], MAX_WORDS + 1));
        assert!(refused(&[ALIVE], 1));
    }
}

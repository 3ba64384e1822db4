//! What comes in front of the native bytes in WebTransport: a few bytes per stream, one per datagram, and other numbers for
//! the codes.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use conclave_federation::wire::code::Code;
use quinn::VarInt;
use web_transport_proto as proto;

/// The shortest prefix of a stream of a session: two bytes of type, one of session. Nothing behind a prefix is read with it.
pub(crate) const SHORTEST: usize = 3;

/// What a stream turned out to be by its first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Of this WebTransport session.
    Session(u64),
    /// HTTP/3's own control stream.
    Settings,
    /// QPACK's streams: encoder and decoder. Nothing of use is on them, because no table is offered; but they have to stay open.
    Encoder,
    Decoder,
    /// A type of the future, or one made up to see whether it is ignored.
    Unknown,
    /// What may not come here.
    Forbidden,
}

fn next(bytes: &mut &[u8]) -> Option<u64> {
    proto::VarInt::decode(bytes).ok().map(proto::VarInt::into_inner)
}

/// The beginning of a stream one way; `None` when more bytes are needed.
pub(crate) fn uni(mut bytes: &[u8]) -> Option<Kind> {
    const CONTROL: u64 = proto::StreamUni::CONTROL.0.into_inner();
    const PUSH: u64 = proto::StreamUni::PUSH.0.into_inner();
    const ENCODER: u64 = proto::StreamUni::QPACK_ENCODER.0.into_inner();
    const DECODER: u64 = proto::StreamUni::QPACK_DECODER.0.into_inner();
    const SESSION: u64 = proto::StreamUni::WEBTRANSPORT.0.into_inner();
    Some(match next(&mut bytes)? {
        CONTROL => Kind::Settings,
        // Only servers push (RFC 9114, section 6.2.2).
        PUSH => Kind::Forbidden,
        ENCODER => Kind::Encoder,
        DECODER => Kind::Decoder,
        SESSION => Kind::Session(next(&mut bytes)?),
        _ => Kind::Unknown,
    })
}

/// The beginning of a stream both ways; `None` when more bytes are needed.
pub(crate) fn bidi(mut bytes: &[u8]) -> Option<Kind> {
    const SESSION: u64 = proto::Frame::WEBTRANSPORT.0.into_inner();
    Some(match next(&mut bytes)? {
        SESSION => Kind::Session(next(&mut bytes)?),
        // A second request on a connection that is for one session.
        _ => Kind::Forbidden,
    })
}

/// What is put in front on our side, for one session.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    session: u64,
    pub(crate) uni: Bytes,
    pub(crate) bidi: Bytes,
    datagram: Bytes,
}

impl Heads {
    /// `session` is the id of the stream of its request, which QUIC keeps below 2^62.
    pub(crate) fn new(session: VarInt) -> Self {
        let session = session.into_inner();
        let id = proto::VarInt::try_from(session).unwrap_or_default();
        // A quarter of the id says the same (RFC 9297, section 2.1).
        let quarter = proto::VarInt::try_from(session / 4).unwrap_or_default();
        let head = |put: &dyn Fn(&mut BytesMut)| {
            let mut bytes = BytesMut::new();
            put(&mut bytes);
            bytes.freeze()
        };
        Self {
            session,
            uni: head(&|bytes| {
                proto::StreamUni::WEBTRANSPORT.encode(bytes);
                id.encode(bytes);
            }),
            bidi: head(&|bytes| {
                proto::Frame::WEBTRANSPORT.encode(bytes);
                id.encode(bytes);
            }),
            datagram: head(&|bytes| quarter.encode(bytes)),
        }
    }

    /// Whether a stream's prefix names this session.
    pub(crate) const fn is(&self, session: u64) -> bool {
        self.session == session
    }

    /// Bytes in front of a datagram.
    pub(crate) fn datagram_len(&self) -> usize {
        self.datagram.len()
    }

    /// A received datagram without what is in front of it; `None` when it is not of this session.
    pub(crate) fn strip(&self, mut datagram: Bytes) -> Option<Bytes> {
        let mut rest: &[u8] = &datagram;
        let quarter = next(&mut rest)?;
        let head = datagram.len() - rest.len();
        if quarter != self.session / 4 {
            return None;
        }
        datagram.advance(head);
        Some(datagram)
    }
}

/// Makes datagrams with the prefix in front, once for all subscribers that get the same one after the other.
#[derive(Default)]
pub(crate) struct Prefixed {
    /// Kept so that no other bytes can take its place in memory, by which it is recognised.
    of: Bytes,
    whole: Bytes,
    session: Option<u64>,
}

impl Prefixed {
    pub(crate) fn make(&mut self, heads: &Heads, of: &Bytes) -> Bytes {
        let known = self.session.is_some_and(|session| heads.is(session));
        if !(known && self.of.as_ptr() == of.as_ptr() && self.of.len() == of.len()) {
            let mut whole = BytesMut::with_capacity(heads.datagram.len() + of.len());
            whole.put_slice(&heads.datagram);
            whole.put_slice(of);
            *self = Self { of: of.clone(), whole: whole.freeze(), session: Some(heads.session) };
        }
        self.whole.clone()
    }
}

/// A code of ours as a reset or stop says it.
pub(crate) fn to_h3(code: Code) -> VarInt {
    VarInt::from_u64(proto::error_to_http3(code.0.into())).unwrap_or(VarInt::MAX)
}

/// A code as the browser's reset or stop says it; what is no code of an application is no code of ours.
pub(crate) fn from_h3(number: VarInt) -> Code {
    proto::error_from_http3(number.into_inner()).map_or(Code(u16::MAX), code)
}

/// A code of an application; what does not fit is no code of ours.
pub(crate) fn code(number: u32) -> Code {
    Code(u16::try_from(number).unwrap_or(u16::MAX))
}

/// The end of a session as its request's stream says it: a frame with a capsule, after which nothing follows.
pub(crate) fn close(code: Code, words: &str) -> Bytes {
    let mut capsule = BytesMut::new();
    proto::Capsule::CloseWebTransportSession { code: code.0.into(), reason: words.to_owned() }.encode(&mut capsule);
    let mut frame = BytesMut::new();
    proto::Frame::DATA.encode(&mut frame);
    proto::VarInt::try_from(capsule.len()).unwrap_or_default().encode(&mut frame);
    frame.put(capsule);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(session: u32) -> Heads {
        Heads::new(VarInt::from_u32(session))
    }

    #[test]
    fn what_we_put_in_front_is_what_we_expect_in_front() {
        for session in [0, 4, 252, 256, 1 << 20] {
            let heads = heads(session);
            assert_eq!(uni(&heads.uni), Some(Kind::Session(session.into())));
            assert_eq!(bidi(&heads.bidi), Some(Kind::Session(session.into())));
            assert!(heads.uni.len() >= SHORTEST && heads.bidi.len() >= SHORTEST);
            for len in 0..heads.uni.len() {
                assert_eq!((uni(&heads.uni[..len]), bidi(&heads.bidi[..len])), (None, None));
            }
            let whole = Prefixed::default().make(&heads, &"sound".into());
            assert_eq!(heads.strip(whole), Some("sound".into()));
        }
        // As the drafts and RFC 9297 write them for the first request of a connection.
        assert_eq!(heads(0).uni, &[0x40, 0x54, 0][..]);
        assert_eq!(heads(0).bidi, &[0x40, 0x41, 0][..]);
        assert_eq!(Prefixed::default().make(&heads(4), &"x".into()), &[1, b'x'][..]);
    }

    #[test]
    fn a_datagram_of_another_session_or_of_none_is_none() {
        assert_eq!(heads(0).strip(Bytes::from_static(&[1, 2, 3])), None);
        assert_eq!(heads(0).strip(Bytes::new()), None);
        assert_eq!(heads(0).strip(Bytes::from_static(&[0x40])), None);
        assert_eq!(heads(0).strip(Bytes::from_static(&[0x40, 0, 9])), Some(Bytes::from_static(&[9])));
        assert_eq!(heads(0).strip(Bytes::from_static(&[0])), Some(Bytes::new()));
    }

    #[test]
    fn the_same_datagram_is_copied_once_for_all_and_another_is_not_mistaken_for_it() {
        let (mut prefixed, heads, four) = (Prefixed::default(), heads(0), heads(4));
        let sound = Bytes::from(vec![7; 100]);
        let first = prefixed.make(&heads, &sound);
        assert_eq!(first.as_ptr(), prefixed.make(&heads, &sound).as_ptr());
        assert_eq!(prefixed.make(&heads, &sound.slice(1..)).len(), 100);
        assert_eq!(prefixed.make(&heads, &sound.slice(..99)), first.slice(..100));
        assert_eq!(prefixed.make(&four, &sound)[0], 1);
        assert_eq!(prefixed.make(&heads, &Bytes::from(vec![8; 100]))[1..], [8; 100]);
    }

    #[test]
    fn other_streams_are_told_apart() {
        assert_eq!(uni(&[0]), Some(Kind::Settings));
        assert_eq!(uni(&[1]), Some(Kind::Forbidden));
        assert_eq!((uni(&[2]), uni(&[3])), (Some(Kind::Encoder), Some(Kind::Decoder)));
        assert_eq!(uni(&[0x21]), Some(Kind::Unknown));
        assert_eq!(bidi(&[0x01]), Some(Kind::Forbidden));
        // The long way to write a number is a way to write it.
        assert_eq!(uni(&[0x80, 0, 0, 0x54, 0x40, 8]), Some(Kind::Session(8)));
    }

    #[test]
    fn every_code_survives_the_way_there_and_back() {
        for number in [0, 1, 6, 28, 29, 30, 31, 255, u16::MAX - 1] {
            assert_eq!(from_h3(to_h3(Code(number))), Code(number));
        }
        assert_eq!(to_h3(Code(0)).into_inner(), 0x52e4_a40f_a8db);
        assert_eq!(from_h3(VarInt::from_u32(0x100)), Code(u16::MAX));
        assert_eq!(code(1 << 16), Code(u16::MAX));
    }
}

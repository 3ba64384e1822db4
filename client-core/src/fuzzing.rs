//! Every decoder of what participants say to each other, for those who feed them with nonsense. Never in what is shipped.

use std::fmt::Debug;

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, RoomId},
    proof::{SigningKey, VerifyingKey},
    wire::{List, Wire, Writer},
};
use openmls::prelude::{KeyPackageIn, MlsMessageIn, tls_codec::DeserializeBytes};

use crate::{
    attest,
    catalog::{About, Author, Catalog, Unreadable},
    chat,
    control::Control,
    equivocation, frame,
    group::{CommitAad, EpochBox, LeaveNote, Request, Vote},
    heartbeat::{Echo, Heartbeat},
    leaf::{Bind, Profile},
    link::Link,
    sframe::{Kid, unpad},
    state::RoomState,
};

/// A decoder: `true` when the input is one. Panics when what it wrote again is not what it read.
#[derive(Clone, Copy)]
pub struct Decoder {
    /// For reports, and for the folder of its inputs.
    pub name: &'static str,
    /// Reads one input.
    pub read: fn(&Bytes) -> bool,
}

fn wire<T: Wire + Debug>(bytes: &Bytes) -> bool {
    let Ok(value) = T::decode(bytes) else { return false };
    assert_eq!(value.encode(), bytes, "{value:?} is read from one spelling and written in another");
    true
}

/// Somebody's words: read before their signature is looked at, which is never right here.
fn words<T>(verify: impl FnOnce(Author, &VerifyingKey) -> Result<T, Unreadable>) -> bool {
    let author = Author { room: RoomId::new([1; 16]), instance: Instance(1), leaf: 1 };
    // The key of nobody; its signatures never verify.
    match verify(author, &VerifyingKey::new([0; 32])) {
        Ok(_) | Err(Unreadable::BadSignature) => true,
        Err(Unreadable::Malformed) => false,
    }
}

/// All of them.
pub const DECODERS: &[Decoder] = &[
    Decoder { name: "room-state", read: wire::<RoomState> },
    Decoder { name: "profile", read: wire::<Profile> },
    Decoder { name: "bind", read: wire::<Bind> },
    Decoder { name: "commit-aad", read: wire::<CommitAad> },
    Decoder { name: "leave-note", read: wire::<LeaveNote> },
    Decoder { name: "vote", read: wire::<Vote> },
    Decoder { name: "epoch-box", read: wire::<EpochBox> },
    Decoder { name: "request", read: wire::<Request> },
    Decoder { name: "frame", read: |bytes| frame::Frame::decode(bytes).is_ok() },
    Decoder { name: "padded", read: |bytes| unpad(bytes).is_ok() },
    Decoder { name: "sframe-head", read: |bytes| Kid::peek(bytes).is_some() },
    Decoder { name: "catalog", read: |bytes| words(|author, key| Catalog::verify(bytes, author, key)) },
    Decoder { name: "control", read: |bytes| words(|author, key| Control::verify(bytes, author, key)) },
    Decoder { name: "attest-word", read: |bytes| attest::SignedWord::decode(bytes).is_ok() },
    Decoder { name: "chat", read: |bytes| chat::Word::decode(bytes).is_ok() },
    Decoder { name: "chat-epoch", read: |bytes| chat::epoch_of_message(bytes).is_some() },
    Decoder { name: "equivocation", read: |bytes| equivocation::verify(bytes).is_ok() },
    Decoder {
        name: "link",
        read: |bytes| {
            let Ok(link) = std::str::from_utf8(bytes).map(Link::parse) else { return false };
            let Ok(link) = link else { return false };
            assert!(Link::parse(&link.to_string()).is_ok_and(|again| again == link), "a link that is written is read again");
            true
        },
    },
    // Whoever writes these bytes is not in the room yet: the library's own decoders stand in the first line.
    Decoder { name: "mls-message", read: |bytes| MlsMessageIn::tls_deserialize_exact_bytes(bytes).is_ok() },
    Decoder { name: "key-package", read: |bytes| KeyPackageIn::tls_deserialize_exact_bytes(bytes).is_ok() },
];

/// Inputs to begin with, for decoders of what has no known answer of its own.
#[must_use]
pub fn samples(name: &str) -> Vec<Bytes> {
    let key = SigningKey::from_seed([7; 32]);
    let author = Author { room: RoomId::new([1; 16]), instance: Instance(1), leaf: 1 };
    let mut out = Writer::new();
    match name {
        "profile" => return vec![Profile::named("Ada").encode()],
        "frame" => frame::Frame { captured_us: 5, number: 9, back: 1, data: Bytes::from_static(b"picture") }.put(&mut out),
        "padded" => {
            out.u32(5);
            out.raw(b"words");
            out.raw(&[0; 23]);
        }
        "chat" => return vec![chat::Word::Said(Bytes::from_static(b"signed words")).encode()],
        "chat-epoch" => {
            // Version and wire format of MLS, a group id of three bytes, the epoch.
            out.raw(&[0, 1, 0, 2, 3, b'a', b'b', b'c']);
            out.u64(9);
        }
        "catalog" => {
            let catalog = Catalog { number: 3, about: About::default(), lines: List::default(), relay: None };
            return vec![catalog.sign(author, |label, body| key.sign(label, body))];
        }
        "control" => {
            let echoes = List::new(vec![Echo { leaf: 2, counter: 8 }]).unwrap_or_default();
            let beat = Heartbeat { epoch: 3, seq: 4, head: Head::START, counter: 9, flags: 0, echoes };
            return vec![Control::Heartbeat(beat).sign(author, |label, body| key.sign(label, body))];
        }
        "mls-message" => {
            // MLSMessage of a PublicMessage (RFC 9420, section 6): group id, epoch, member 0, application data, no signature.
            out.raw(&[0, 1, 0, 1, 3, b'a', b'b', b'c']);
            out.u64(9);
            out.raw(&[1, 0, 0, 0, 0, 0, 1, 2, b'h', b'i', 0, 0]);
        }
        "key-package" => {
            // RFC 9420, sections 7.2 and 10: version, suite, init key; leaf with two keys, a basic credential, capabilities, a
            // lifetime; extensions and signatures are empty.
            out.raw(&[0, 1, 0, 1, 2, 7, 7, 2, 8, 8, 2, 9, 9, 0, 1, 1, b'x']);
            out.raw(&[2, 0, 1, 2, 0, 1, 0, 0, 2, 0, 1, 1]);
            out.u64(0);
            out.u64(u64::MAX);
            out.raw(&[0, 0, 0, 0]);
        }
        _ => return Vec::new(),
    }
    vec![out.into_bytes()]
}

//! The hop protocol's decoders.

use bytes::Bytes;
use conclave_federation::{
    host::{Delegation, HostProof},
    io::SessionKey,
    limits::MAX_OBJECT,
    mux::{End, Limits, Mux},
    proof::Capability,
    record::{CallKeys, RelayDescriptor, RoomRecord},
    well_known::WellKnown,
    wire::{
        Wire,
        message::{Admitted, Append, Entry, EntryHeader, HubHead, MessageReader, Resolved},
        object::{Directory, Knock, ObjectHeader},
        stream::StreamReader,
    },
};

use crate::{Target, modest};

/// A structure with one spelling.
fn wire<T: Wire>(bytes: &Bytes) -> bool {
    let read = T::decode(bytes);
    if let Ok(value) = &read {
        assert_eq!(value.encode(), bytes, "read from one spelling and written in another");
    }
    read.is_ok()
}

/// A structure inside which varints of any length are allowed: read, written, and read again.
fn loose<T: Wire + PartialEq + std::fmt::Debug>(bytes: &Bytes) -> bool {
    let read = T::decode(bytes);
    if let Ok(value) = &read {
        assert_eq!(T::decode(&value.encode()).as_ref(), Ok(value), "written and not read again");
    }
    read.is_ok()
}

/// Messages as they come: cut at every place that the input itself names, or whole.
fn messages(bytes: &Bytes, mut reader: MessageReader) -> bool {
    let mut taken = 0;
    for piece in bytes.chunks(1 + usize::from(bytes.first().copied().unwrap_or(0))) {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    taken += 1;
                    let mut again = MessageReader::large();
                    again.push(&message.encode());
                    if !matches!(message, conclave_federation::wire::message::Message::Unknown(_)) {
                        assert_eq!(again.next_message(), Ok(Some(message)), "written and not read again");
                    }
                }
                Ok(None) => break,
                Err(_) => return false,
            }
        }
    }
    taken > 0 && reader.finish().is_ok()
}

fn stream(bytes: &Bytes) -> bool {
    let mut reader = StreamReader::new();
    let mut pieces = 0;
    let step = 1 + usize::from(bytes.last().copied().unwrap_or(0));
    for start in (0..bytes.len()).step_by(step) {
        let piece = bytes.slice(start..bytes.len().min(start + step));
        if reader.push(piece).is_err() {
            return false;
        }
        while reader.next_piece().is_some() {
            pieces += 1;
        }
    }
    pieces > 0 && reader.finish().is_ok()
}

fn object(bytes: &Bytes) -> bool {
    let split = ObjectHeader::split(bytes);
    if let Ok((header, payload)) = &split {
        // A relay gives what it passes on a name of its own, without looking at the rest.
        let alias = conclave_federation::id::Alias::new(7);
        let renamed = ObjectHeader::realias(bytes, alias);
        let (again, same) = ObjectHeader::split(&renamed).expect("renamed and still an object");
        assert_eq!((again, &same), (ObjectHeader { alias, ..*header }, payload));
    }
    split.is_ok()
}

fn mux(bytes: &Bytes, side: End) -> bool {
    let limits = if side == End::Dialler { Limits::PARTICIPANT } else { Limits::RELAY };
    let mut mux = Mux::new(SessionKey(1), side, limits);
    let taken = mux.handle_message(bytes);
    while mux.next_net().is_some() {}
    while mux.next_message().is_some() {}
    taken.is_ok()
}

/// A reader may hold one unfinished message, and one in the middle of an object its head.
const fn one_message(len: usize) -> usize {
    modest(len) + 64 * len
}

/// A stream's reader keeps what one object may have, and no more than has come.
const fn one_object(len: usize) -> usize {
    let most = 64 * len + 64 * 1024;
    if most < 2 * MAX_OBJECT { most } else { 2 * MAX_OBJECT }
}

/// What a session of one pipe has from its beginning, and a page of it for the message.
const fn one_session(len: usize) -> usize {
    modest(len) + 64 * 1024
}

pub(crate) const TARGETS: &[Target] = &[
    Target { name: "message", feed: |bytes| messages(bytes, MessageReader::control()), memory: one_message },
    Target { name: "large-message", feed: |bytes| messages(bytes, MessageReader::large()), memory: one_message },
    Target { name: "stream", feed: stream, memory: one_object },
    Target { name: "object", feed: object, memory: modest },
    Target { name: "object-header", feed: loose::<ObjectHeader>, memory: modest },
    Target { name: "directory", feed: loose::<Directory>, memory: modest },
    Target { name: "knock", feed: wire::<Knock>, memory: modest },
    Target { name: "record", feed: wire::<RoomRecord>, memory: modest },
    Target { name: "call-keys", feed: wire::<CallKeys>, memory: modest },
    Target { name: "delegation", feed: wire::<Delegation>, memory: modest },
    Target { name: "host-proof", feed: wire::<HostProof>, memory: modest },
    Target { name: "descriptor", feed: wire::<RelayDescriptor>, memory: modest },
    Target { name: "capability", feed: wire::<Capability>, memory: modest },
    Target { name: "entry-header", feed: wire::<EntryHeader>, memory: modest },
    Target { name: "entry", feed: wire::<Entry>, memory: modest },
    Target { name: "hub-head", feed: wire::<HubHead>, memory: modest },
    Target { name: "append", feed: wire::<Append>, memory: modest },
    Target { name: "admitted", feed: wire::<Admitted>, memory: modest },
    Target { name: "resolved", feed: wire::<Resolved>, memory: modest },
    Target { name: "well-known", feed: wire::<WellKnown>, memory: modest },
    Target { name: "well-known-signed", feed: |bytes| WellKnown::read(bytes, 1_750_000_000_000).is_ok(), memory: modest },
    Target { name: "mux-dialler", feed: |bytes| mux(bytes, End::Dialler), memory: one_session },
    Target { name: "mux-acceptor", feed: |bytes| mux(bytes, End::Acceptor), memory: one_session },
];

//! Reads along what relays send and receive: the checks see the same bytes as the machines, and no machine helps them.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::{
    id::Alias,
    io::{SessionKey, StreamKey, StreamKind},
    wire::{
        message::{Message, MessageReader},
        object::ObjectHeader,
        stream::{Piece, StreamReader},
    },
};

/// Something whole that passed by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// On a control stream, or on a request's own.
    Message(Message),
    /// An object's payload, and how its sender marks the track.
    Object(Alias, Bytes),
}

enum Reading {
    Messages(MessageReader),
    Objects(StreamReader, Alias, Vec<u8>),
    /// What follows cannot be read; the machines will say so themselves.
    Deaf,
}

/// One direction of all sessions of one kind.
#[derive(Default)]
pub struct Tap {
    streams: BTreeMap<(SessionKey, StreamKey), Reading>,
}

impl Tap {
    /// The next bytes of a stream.
    pub fn on_stream(&mut self, session: SessionKey, stream: StreamKey, kind: StreamKind, bytes: &Bytes) -> Vec<Seen> {
        let reading = self.streams.entry((session, stream)).or_insert_with(|| match kind {
            StreamKind::Control => Reading::Messages(MessageReader::control()),
            StreamKind::Bidi => Reading::Messages(MessageReader::large()),
            StreamKind::Uni => Reading::Objects(StreamReader::new(), Alias::new(0), Vec::new()),
        });
        let mut seen = Vec::new();
        if !reading.read(bytes, &mut seen) {
            *reading = Reading::Deaf;
        }
        seen
    }

    /// A datagram.
    #[must_use]
    pub fn on_datagram(bytes: &Bytes) -> Option<Seen> {
        ObjectHeader::split(bytes).ok().map(|(header, payload)| Seen::Object(header.alias, payload))
    }

    /// The session is over.
    pub fn on_closed(&mut self, session: SessionKey) {
        self.streams.retain(|(of, _), _| *of != session);
    }

    /// The stream is over.
    pub fn on_stream_over(&mut self, session: SessionKey, stream: StreamKey) {
        self.streams.remove(&(session, stream));
    }
}

impl Reading {
    /// `false`: not readable.
    fn read(&mut self, bytes: &Bytes, seen: &mut Vec<Seen>) -> bool {
        match self {
            Self::Messages(reader) => {
                reader.push(bytes);
                loop {
                    match reader.next_message() {
                        Ok(Some(message)) => seen.push(Seen::Message(message)),
                        Ok(None) => return true,
                        Err(_) => return false,
                    }
                }
            }
            Self::Objects(reader, alias, part) => {
                if reader.push(bytes.clone()).is_err() {
                    return false;
                }
                while let Some(piece) = reader.next_piece() {
                    match piece {
                        Piece::Group(header) => *alias = header.alias,
                        Piece::Reliable { header, payload } => seen.push(Seen::Object(header.alias, payload)),
                        Piece::Part { len, bytes, .. } => {
                            part.extend_from_slice(&bytes);
                            if part.len() >= len {
                                seen.push(Seen::Object(*alias, Bytes::from(std::mem::take(part))));
                            }
                        }
                    }
                }
                true
            }
            Self::Deaf => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::wire::{
        message::{Answer, Notice},
        stream::{GroupHeader, reliable_head, reliable_start},
    };

    use super::*;

    const SESSION: SessionKey = SessionKey(1);

    fn in_pieces(tap: &mut Tap, stream: u64, kind: StreamKind, bytes: &[u8], piece: usize) -> Vec<Seen> {
        bytes
            .chunks(piece)
            .flat_map(|chunk| tap.on_stream(SESSION, StreamKey(stream), kind, &Bytes::copy_from_slice(chunk)))
            .collect()
    }

    #[test]
    fn messages_and_objects_are_seen_however_they_are_cut() {
        let messages = [Message::Answer(3, Answer::Done(())), Message::Notice(Notice::Ended(Alias::new(7)))];
        let control: Vec<u8> = messages.iter().flat_map(|message| message.encode().to_vec()).collect();
        let header = GroupHeader { alias: Alias::new(9), group: 4, layer: 0, flags: 0, priority: 2 };
        let mut group = header.encode().to_vec();
        let mut reliable = reliable_start().to_vec();
        let payloads = [vec![1; 3_000], vec![], vec![2; 10]];
        for (number, payload) in (0..).zip(&payloads) {
            group.extend_from_slice(&GroupHeader::object_head(number, payload.len()));
            group.extend_from_slice(payload);
            reliable.extend_from_slice(&reliable_head(&header.object(number), payload.len()));
            reliable.extend_from_slice(payload);
        }
        let objects: Vec<_> = payloads.iter().map(|payload| Seen::Object(header.alias, Bytes::from(payload.clone()))).collect();
        for piece in [1, 7, 1_000, 100_000] {
            let mut tap = Tap::default();
            let seen = in_pieces(&mut tap, 0, StreamKind::Control, &control, piece);
            assert_eq!(seen, messages.clone().map(Seen::Message));
            assert_eq!(in_pieces(&mut tap, 1, StreamKind::Uni, &group, piece), objects);
            assert_eq!(in_pieces(&mut tap, 2, StreamKind::Uni, &reliable, piece), objects);
            tap.on_closed(SESSION);
            assert!(tap.streams.is_empty());
        }
    }
}

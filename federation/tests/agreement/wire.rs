//! The spelling of every message: golden bytes, every truncation, trailing bytes, and random input.

use std::{collections::BTreeMap, fs, path::Path};

use crate::common::{TIME, append, descriptor, hex, key, messages, next_generation, next_record, record, well_known};
use bytes::Bytes;
use conclave_federation::{
    id::{Alias, Generation, Instance, RelayId, RoomId, TrackId},
    limits::{MAX_DATAGRAM, MAX_DATAGRAM_PAYLOAD, MAX_OBJECT_HEADER},
    log::Position,
    track::{Class, TrackName},
    wire::{
        Malformed, Wire, Writer,
        code::Code,
        message::{Answer, Append, Entry, HubHead, Message, MessageReader, Notice, Request, grease},
        object::{Directory, Knock, Listing, ObjectHeader, ObjectIdentity},
        stream::{GroupHeader, Piece, StreamReader, reliable_head, reliable_start},
        varint,
    },
};
use proptest::prelude::*;

fn header() -> ObjectHeader {
    ObjectHeader { alias: Alias::new(0x1234_5678), group: 70, object: 20_000, layer: 1, flags: 0, priority: 2 }
}

fn listing() -> Listing {
    Listing { track: TrackId(99), class: Class::Groups, layers: 2, relay: RelayId::new([8; 32]) }
}

fn entry(append: &Append) -> Entry {
    Entry {
        header: append.header.clone(),
        commit: append.commit.clone(),
        epoch_box: append.epoch_box.clone(),
        record: append.record.clone(),
        head: HubHead::sign(&key(10), &append.header, TIME),
    }
}

fn golden() -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> =
        messages().into_iter().map(|(name, message)| (format!("message {name}"), hex(&message.encode()))).collect();
    let mut add = |name: &str, bytes: &[u8]| all.insert(name.to_owned(), hex(bytes));
    add("object header", &header().encode());
    add("object datagram", &header().datagram(b"payload").expect("short"));
    let name = TrackName { room: RoomId::new([1; 16]), instance: Instance(2), track: TrackId(3) };
    add("object associated data", &ObjectIdentity { name, group: 4, object: 5, layer: 1, flags: 0 }.associated_data());
    let group = GroupHeader { alias: Alias::new(7), group: 300, layer: 0, flags: 0, priority: 2 };
    add("stream group", &[group.encode(), GroupHeader::object_head(0, 3), Bytes::from_static(b"abc")].concat());
    add("stream reliable", &[reliable_start(), reliable_head(&header(), 3), Bytes::from_static(b"abc")].concat());
    add("directory whole", &Directory::Whole(vec![listing()]).encode());
    add("directory added", &Directory::Added(listing()).encode());
    add("directory removed", &Directory::Removed(TrackId(99)).encode());
    for (name, message) in crate::mux::messages() {
        add(name, &message);
    }
    add("record", &record().encode());
    add("record of the next generation", &next_record().encode());
    add("entry", &entry(&append(Position::START, b"group")).encode());
    add("entry of the next generation", &entry(&next_generation(Position::START)).encode());
    add("descriptor", &descriptor().encode());
    add("well known", &well_known().encode());
    let knock = Knock {
        id: conclave_federation::id::JoinId::new([9; 16]),
        generation: Generation(2),
        body: crate::common::blob(b"sealed"),
    };
    add("knock", &knock.encode());
    all
}

/// The committed file is the agreement with every other implementation. To change it on purpose, set
/// `CONCLAVE_BLESS=1`, and change PROTOCOL.md in the same commit.
#[test]
fn every_structure_is_spelled_as_in_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agreement/golden.txt");
    let now: String = golden().iter().map(|(name, bytes)| format!("{name}: {bytes}\n")).collect();
    if std::env::var_os("CONCLAVE_BLESS").is_some() {
        fs::write(&path, &now).expect("golden file is writable");
    }
    let then = fs::read_to_string(&path).expect("golden file is committed");
    for (now, then) in now.lines().zip(then.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(now.lines().count(), then.lines().count());
}

fn read(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
    let mut reader = MessageReader::large();
    reader.push(bytes);
    reader.next_message()
}

#[test]
fn every_message_survives_the_way_there_and_back() {
    for (name, message) in messages() {
        assert_eq!(read(&message.encode()), Ok(Some(message)), "{name}");
    }
}

#[test]
fn the_examples_cover_every_type_of_the_table() {
    let seen: Vec<u64> = messages()
        .iter()
        .map(|(_, message)| match message {
            Message::Request(_, request) => request.number(),
            Message::Answer(_, answer) => answer.number(),
            Message::Notice(notice) => notice.number(),
            Message::Unknown(number) => *number,
        })
        .collect();
    for (number, name) in [Request::TABLE, Answer::TABLE, Notice::TABLE].concat() {
        assert!(seen.contains(&number), "no example of {name}");
    }
}

#[test]
fn no_number_is_used_twice_and_none_is_grease() {
    let mut numbers: Vec<u64> =
        [Request::TABLE, Answer::TABLE, Notice::TABLE].concat().iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    let before = numbers.len();
    numbers.dedup();
    assert_eq!(before, numbers.len());
    for n in 0..=u8::MAX {
        assert!(!numbers.contains(&grease(n)));
        assert_eq!((grease(n) - 0x21) % 31, 0);
    }
}

/// A body that is cut, with a length that admits it, is malformed; a message that is cut is merely not complete.
#[test]
fn every_truncation_is_noticed() {
    for (name, message) in messages() {
        let whole = message.encode();
        let (number, type_len) = varint::take(&whole).expect("a type");
        let (len, len_len) = varint::take(&whole[type_len..]).expect("a length");
        let body = &whole[type_len + len_len..];
        assert_eq!(body.len() as u64, len);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Ok(None), "{name} cut at {cut}");
        }
        for cut in 0..body.len() {
            let mut short = Writer::new();
            short.varint(number);
            short.varint(cut as u64);
            short.raw(&body[..cut]);
            assert!(read(&short.into_vec()).is_err(), "{name} with a body of {cut}");
        }
        let mut long = Writer::new();
        long.varint(number);
        long.varint(len + 1);
        long.raw(body);
        long.u8(0);
        assert_eq!(read(&long.into_vec()), Err(Malformed::Trailing), "{name}");
    }
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let mut reader = MessageReader::control();
    let mut read = Vec::new();
    for (_, message) in messages() {
        for byte in message.encode() {
            reader.push(&[byte]);
            while let Some(message) = reader.next_message().expect("well formed") {
                read.push(message);
            }
        }
    }
    assert_eq!(read, messages().into_iter().map(|(_, message)| message).collect::<Vec<_>>());
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn unknown_types_are_skipped_and_their_numbers_survive() {
    let mut reader = MessageReader::control();
    reader.push(&[0x40, 0x7f, 2, 1, 2]);
    assert_eq!(reader.next_message(), Ok(Some(Message::Unknown(0x7f))));
    reader.push(&Message::Unknown(grease(3)).encode());
    assert_eq!(reader.next_message(), Ok(Some(Message::Unknown(grease(3)))));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_length_above_the_maximum_is_refused_before_its_bytes_arrive() {
    let mut out = Writer::new();
    out.varint(0x10);
    out.varint(64 * 1024 + 1);
    let mut reader = MessageReader::control();
    reader.push(&out.into_vec());
    assert_eq!(reader.next_message(), Err(Malformed::TooLong("message")));
}

#[test]
fn codes_have_distinct_numbers_and_names() {
    let mut numbers: Vec<_> = Code::ALL.iter().map(|code| code.0).collect();
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    names.sort_unstable();
    names.dedup();
    assert_eq!((numbers.len(), names.len()), (Code::ALL.len(), Code::ALL.len()));
    assert_eq!(Code(9_999).name(), "unknown");
}

#[test]
fn the_longest_audio_frame_fits_a_datagram() {
    let header = ObjectHeader {
        alias: Alias::new(u32::MAX),
        group: varint::MAX,
        object: varint::MAX,
        layer: 3,
        flags: 255,
        priority: 255,
    };
    assert_eq!(header.encode().len(), MAX_OBJECT_HEADER);
    let payload = vec![0; MAX_DATAGRAM_PAYLOAD];
    assert!(header.datagram(&payload).is_some_and(|datagram| datagram.len() <= MAX_DATAGRAM));
    assert!(header.datagram(&vec![0; MAX_DATAGRAM]).is_none());
}

#[test]
fn a_relay_puts_its_own_alias_and_touches_nothing_else() {
    let datagram = header().datagram(b"sealed").expect("short");
    let there = ObjectHeader::realias(&datagram, Alias::new(5));
    let (renamed, payload) = ObjectHeader::split(&there).expect("an object");
    assert_eq!(renamed, ObjectHeader { alias: Alias::new(5), ..header() });
    assert_eq!(payload, Bytes::from_static(b"sealed"));
    assert_eq!(there.len(), datagram.len());
}

fn pieces(chunks: impl IntoIterator<Item = Bytes>) -> Result<Vec<Piece>, Malformed> {
    let mut reader = StreamReader::new();
    let mut pieces = Vec::new();
    for chunk in chunks {
        reader.push(chunk)?;
        while let Some(piece) = reader.next_piece() {
            pieces.push(piece);
        }
    }
    reader.finish()?;
    Ok(pieces)
}

/// Joins the parts of each object again.
fn objects(pieces: Vec<Piece>) -> Vec<(u64, Vec<u8>)> {
    let mut objects: Vec<(u64, Vec<u8>)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Group(_) => {}
            Piece::Part { object, offset, bytes, .. } => {
                if offset == 0 && objects.last().is_none_or(|(last, _)| *last != object) {
                    objects.push((object, Vec::new()));
                }
                let (_, whole) = objects.last_mut().expect("begun");
                assert_eq!(whole.len(), offset);
                whole.extend_from_slice(&bytes);
            }
            Piece::Reliable { header, payload } => objects.push((header.object, payload.to_vec())),
        }
    }
    objects
}

fn group_stream(payloads: &[Vec<u8>]) -> Bytes {
    let mut out = Writer::new();
    out.raw(&GroupHeader { alias: Alias::new(1), group: 2, layer: 0, flags: 0, priority: 2 }.encode());
    for (object, payload) in (0..).zip(payloads) {
        out.raw(&GroupHeader::object_head(object, payload.len()));
        out.raw(payload);
    }
    out.into_bytes()
}

fn reliable_stream(payloads: &[Vec<u8>]) -> Bytes {
    let mut out = Writer::new();
    out.raw(&reliable_start());
    for (object, payload) in (0..).zip(payloads) {
        out.raw(&reliable_head(&ObjectHeader { object, ..header() }, payload.len()));
        out.raw(payload);
    }
    out.into_bytes()
}

fn cut(whole: &Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut rest = whole.clone();
    let mut chunks = Vec::new();
    for size in sizes.iter().copied().cycle().take(4 * whole.len() + 1) {
        if rest.is_empty() {
            break;
        }
        chunks.push(rest.split_to(size.min(rest.len())));
    }
    chunks.push(rest);
    chunks
}

#[test]
fn an_empty_object_is_an_object() {
    let payloads = vec![vec![], vec![1], vec![]];
    let expected: Vec<_> = (0..).zip(payloads.clone()).collect();
    assert_eq!(objects(pieces([group_stream(&payloads)]).expect("well formed")), expected);
    assert_eq!(objects(pieces([reliable_stream(&payloads)]).expect("well formed")), expected);
}

#[test]
fn a_stream_that_ends_inside_an_object_is_malformed() {
    for whole in [group_stream(&[vec![1; 100]]), reliable_stream(&[vec![1; 100]])] {
        for end in 1..whole.len() {
            let result = pieces([whole.slice(..end)]);
            let at_a_boundary = pieces([whole.slice(..end)]).is_ok_and(|pieces| objects(pieces).is_empty());
            assert!(result.is_err() || at_a_boundary, "cut at {end}");
        }
    }
}

#[test]
fn a_stream_type_from_the_future_is_read_and_thrown_away() {
    assert_eq!(pieces([Bytes::from_static(&[0x3f, 1, 2, 3]), Bytes::from(vec![0; 100_000])]), Ok(vec![]));
}

proptest! {
    #[test]
    fn varints_survive_and_are_as_short_as_they_say(value in 0..=varint::MAX) {
        let mut out = Vec::new();
        varint::put(value, &mut out);
        prop_assert_eq!(out.len(), varint::len(value));
        prop_assert_eq!(varint::take(&out), Some((value, out.len())));
        prop_assert_eq!(varint::take(&out[..out.len() - 1]), None);
    }

    #[test]
    fn streams_read_the_same_however_they_are_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
        sizes in prop::collection::vec(1usize..70, 1..20),
    ) {
        let expected: Vec<_> = (0..).zip(payloads.clone()).collect();
        for whole in [group_stream(&payloads), reliable_stream(&payloads)] {
            prop_assert_eq!(objects(pieces(cut(&whole, &sizes)).expect("well formed")), expected.clone());
        }
    }

    #[test]
    fn headers_survive(alias in 0u32..0x4000_0000, group in 0..=varint::MAX, object in 0..=varint::MAX, layer: u8, flags: u8, priority: u8) {
        let header = ObjectHeader { alias: Alias::new(alias), group, object, layer, flags, priority };
        prop_assert_eq!(ObjectHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let bytes = Bytes::from(bytes);
        let mut reader = MessageReader::control();
        reader.push(&bytes);
        while let Ok(Some(_)) = reader.next_message() {}
        let _ = pieces([bytes.clone()]);
        let _ = ObjectHeader::split(&bytes);
        let _ = Directory::decode(&bytes);
        let _ = Knock::decode(&bytes);
        let _ = conclave_federation::record::RoomRecord::decode(&bytes);
        let _ = conclave_federation::record::RelayDescriptor::decode(&bytes);
    }

    /// Flips bytes of real messages: whatever is accepted is spelled the same again.
    #[test]
    fn what_is_accepted_has_one_spelling(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with: u8) {
        let all = messages();
        let (_, message) = pick.get(&all);
        let mut bytes = message.encode().to_vec();
        let place = at.index(bytes.len());
        bytes[place] = with;
        if let Ok(Some(read)) = read(&bytes)
            && !matches!(read, Message::Unknown(_))
        {
            let again = read.encode();
            let mut reader = MessageReader::large();
            reader.push(&again);
            prop_assert_eq!(reader.next_message(), Ok(Some(read)));
        }
    }
}

#[test]
fn a_record_is_believed_only_from_its_founder_and_in_its_time() {
    use conclave_federation::record::RecordError;
    let record = record();
    assert_eq!(record.verify(record.room, TIME), Ok(()));
    assert_eq!(record.verify(RoomId::new([0; 16]), TIME), Err(RecordError::Founder));
    assert_eq!(record.verify(record.room, TIME + 2_000_000), Err(RecordError::Expired));
    let mut forged = record.clone();
    forged.max_members = 7;
    assert_eq!(forged.verify(record.room, TIME), Err(RecordError::Signature));
    let mut foreign = record.clone();
    foreign.sign(&crate::common::key(99));
    assert_eq!(foreign.verify(record.room, TIME), Err(RecordError::Signature));
    // Somebody founds a room of their own and puts the name of this one on its record.
    let mut usurped = record.clone();
    usurped.founder = crate::common::key(99).verifying_key();
    usurped.sign(&crate::common::key(99));
    assert_eq!(usurped.verify(record.room, TIME), Err(RecordError::Founder));
    let mut eternal = record.clone();
    eternal.not_after = u64::MAX;
    eternal.sign(&crate::common::key(1));
    assert_eq!(eternal.verify(record.room, TIME), Err(RecordError::Expired));
    let mut homeless = record.clone();
    homeless.hubs = Default::default();
    homeless.sign(&crate::common::key(1));
    assert_eq!(homeless.verify(record.room, TIME), Err(RecordError::Unsupported));
}

#[test]
fn a_descriptor_is_believed_only_from_its_operator() {
    let descriptor = descriptor();
    assert!(descriptor.verify());
    let mut forged = descriptor;
    forged.relay = crate::common::relay(11);
    assert!(!forged.verify());
}

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::{Instance, RoomId},
    wire::{
        code::Code,
        stream::{Piece, StreamReader},
    },
};
use rand_core::SeedableRng;

use super::*;
use crate::{
    api::Codec,
    keys::{BaseKey, Epoch},
};

/// Takes everything, or only so many bytes.
struct Wire {
    streams: BTreeMap<u64, Vec<u8>>,
    finished: Vec<u64>,
    reset: Vec<(u64, Code)>,
    datagrams: Vec<Bytes>,
    room: usize,
    next: u64,
    most_streams: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            streams: BTreeMap::new(),
            finished: vec![],
            reset: vec![],
            datagrams: vec![],
            room: usize::MAX,
            next: 1,
            most_streams: 64,
        }
    }
}

impl Outlet for Wire {
    fn open_uni(&mut self, _: SessionKey, _: u8) -> Option<StreamKey> {
        if self.streams.len() >= self.most_streams {
            return None;
        }
        let key = self.next;
        self.next += 1;
        self.streams.insert(key, vec![]);
        Some(StreamKey(key))
    }
    fn open_bidi(&mut self, _: SessionKey) -> Option<StreamKey> {
        None
    }
    fn write(&mut self, _: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let Some(to) = self.streams.get_mut(&stream.0) else { return Wrote::Gone };
        if self.room == 0 {
            return Wrote::Blocked;
        }
        let mut taken = 0;
        for chunk in chunks {
            let part = chunk.split_to(chunk.len().min(self.room));
            self.room -= part.len();
            taken += part.len();
            to.extend_from_slice(&part);
        }
        Wrote::Accepted(taken)
    }
    fn finish(&mut self, _: SessionKey, stream: StreamKey) {
        self.finished.push(stream.0);
    }
    fn reset(&mut self, _: SessionKey, stream: StreamKey, code: Code) {
        self.reset.push((stream.0, code));
    }
    fn stop(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
    fn datagram(&mut self, _: SessionKey, bytes: Bytes) -> Wrote {
        if self.room == 0 {
            return Wrote::Blocked;
        }
        self.datagrams.push(bytes);
        Wrote::Accepted(1)
    }
    fn close(&mut self, _: SessionKey, _: Code, _: &str) {}
}

struct Bench {
    publisher: Publisher,
    sealer: Sealer,
    wire: Wire,
    now: Duration,
    rng: ChaCha20Rng,
}

const TRACK: LocalTrack = LocalTrack(1);

impl Bench {
    fn new(media: Media) -> Self {
        let place = TrackName { room: RoomId::new([1; 16]), instance: Instance(1), track: TrackId(0) };
        let mut bench = Self {
            publisher: Publisher::new(place),
            sealer: Sealer::new(0, Epoch { number: 0, base: BaseKey::new([1; 16]) }),
            wire: Wire::default(),
            now: Duration::ZERO,
            rng: ChaCha20Rng::from_seed([3; 32]),
        };
        let id = bench.publisher.add(TRACK, media, &mut bench.rng).unwrap().id;
        bench.publisher.on_published(id, Alias::new(77));
        bench
    }

    fn write(&mut self, len: usize, key: bool) -> Written {
        let frame = OutFrame { data: Bytes::from(vec![7; len]), captured_us: 1, key, layer: 0 };
        let now = Now { mono: self.now, unix_ms: 0 };
        let way = Way { now, session: SessionKey(1), outlet: &mut self.wire };
        self.publisher.write(TRACK, &frame, &mut self.sealer, Some(way))
    }

    fn flush(&mut self) -> Vec<LocalTrack> {
        self.publisher.flush(Now { mono: self.now, unix_ms: 0 }, SessionKey(1), &mut self.wire)
    }

    fn groups(&self) -> Vec<(u64, usize)> {
        self.wire
            .streams
            .values()
            .map(|bytes| {
                let mut reader = StreamReader::new();
                reader.push(Bytes::from(bytes.clone())).unwrap();
                let mut group = u64::MAX;
                let mut objects = 0;
                while let Some(piece) = reader.next_piece() {
                    match piece {
                        Piece::Group(header) => group = header.group,
                        Piece::Part { offset: 0, .. } => objects += 1,
                        Piece::Part { .. } | Piece::Reliable { .. } => {}
                    }
                }
                (group, objects)
            })
            .collect()
    }
}

fn video() -> Bench {
    Bench::new(Media::camera(Codec::Vp8, 640, 360))
}

#[test]
fn a_key_frame_begins_a_group_on_a_stream_of_its_own() {
    let mut bench = video();
    assert_eq!(bench.write(10, false), Written::Dropped, "nothing goes before the first key frame");
    for _ in 0..3 {
        assert_eq!(bench.write(5_000, true), Written::Sent);
        assert_eq!(bench.write(100, false), Written::Sent);
        assert_eq!(bench.write(100, false), Written::Sent);
    }
    assert_eq!(bench.groups(), [(0, 3), (1, 3), (2, 3)]);
    bench.flush();
    assert_eq!(bench.wire.finished, [1, 2]);
    assert!(bench.wire.reset.is_empty());
}

#[test]
fn sound_goes_as_datagrams_and_long_objects_by_stream() {
    let mut bench = Bench::new(Media::microphone());
    assert_eq!(bench.write(160, true), Written::Sent);
    assert_eq!(bench.write(1_000, true), Written::Sent);
    assert_eq!(bench.write(1_100, true), Written::Sent);
    assert_eq!(bench.write(160, true), Written::Sent);
    assert_eq!(bench.wire.datagrams.len(), 3);
    assert!(bench.wire.datagrams.iter().all(|datagram| datagram.len() <= conclave_federation::limits::MAX_DATAGRAM));
    assert_eq!(bench.groups(), [(2, 1)]);
    assert_eq!(bench.wire.finished, [1]);
    let groups: Vec<_> = bench.wire.datagrams.iter().map(|datagram| ObjectHeader::split(datagram).unwrap().0.group).collect();
    assert_eq!(groups, [0, 1, 3]);
}

#[test]
fn a_blocked_group_is_given_up_after_half_a_second_and_the_next_one_begins_clean() {
    let mut bench = video();
    bench.wire.room = 100;
    assert_eq!(bench.write(5_000, true), Written::Sent);
    bench.now = Duration::from_millis(499);
    assert!(bench.flush().is_empty());
    bench.now = Duration::from_millis(500);
    assert_eq!(bench.flush(), [TRACK], "its encoder has to be asked for a key frame");
    assert_eq!(bench.wire.reset, [(1, Code::LATE)]);
    assert_eq!(bench.publisher.waiting(), 0);
    assert_eq!(bench.write(100, false), Written::Dropped);
    bench.wire.room = usize::MAX;
    assert_eq!(bench.write(100, true), Written::Sent);
    assert_eq!(bench.groups().last(), Some(&(1, 1)));
}

#[test]
fn what_waits_is_bounded_however_much_is_written() {
    let mut bench = video();
    bench.wire.room = 0;
    for number in 0..200 {
        bench.write(100_000, number % 10 == 0);
        assert!(bench.publisher.waiting() <= 1024 * 1024);
    }
}

#[test]
fn the_tail_of_a_group_may_still_go_when_the_next_has_begun() {
    let mut bench = video();
    bench.wire.room = 100;
    bench.write(1_000, true);
    bench.now = Duration::from_millis(100);
    bench.write(1_000, true);
    bench.wire.room = usize::MAX;
    bench.flush();
    assert_eq!(bench.groups(), [(0, 1), (1, 1)]);
    assert!(bench.wire.reset.is_empty());
    assert_eq!(bench.wire.finished, [1]);
}

#[test]
fn without_a_stream_the_group_is_dropped_and_its_number_is_not_used_again() {
    let mut bench = video();
    bench.wire.most_streams = 0;
    assert_eq!(bench.write(10, true), Written::Dropped);
    assert_eq!(bench.write(10, false), Written::Dropped);
    bench.wire.most_streams = 64;
    assert_eq!(bench.write(10, true), Written::Sent);
    assert_eq!(bench.groups(), [(1, 1)]);
}

#[test]
fn a_frame_larger_than_an_object_is_refused_and_costs_its_group() {
    let mut bench = video();
    bench.write(10, true);
    assert_eq!(bench.write(MAX_OBJECT, false), Written::TooLarge);
    assert_eq!(bench.write(10, false), Written::Dropped);
    assert_eq!(bench.write(10, true), Written::Sent);
}

#[test]
fn the_microphone_has_stream_0_and_nobody_shares_a_stream() {
    let mut bench = Bench::new(Media::microphone());
    for number in 2..=16 {
        let media = Media::camera(Codec::Vp8, 1, 1);
        assert!(bench.publisher.add(LocalTrack(number), media, &mut bench.rng).is_some());
    }
    let streams: BTreeSet<_> = bench.publisher.tracks().map(|(_, track)| track.stream).collect();
    assert_eq!(streams.len(), MAX_TRACKS);
    assert!(bench.publisher.add(LocalTrack(17), Media::microphone(), &mut bench.rng).is_none());
    let microphone = bench.publisher.tracks().find(|(local, _)| *local == TRACK).unwrap().1.stream;
    assert_eq!(microphone, 0);
    let none: Option<Way<'_, Wire>> = None;
    bench.publisher.remove(LocalTrack(5), none);
    assert!(bench.publisher.add(LocalTrack(17), Media::microphone(), &mut bench.rng).is_some());
    let streams: BTreeSet<_> = bench.publisher.tracks().map(|(_, track)| track.stream).collect();
    assert_eq!(streams.len(), MAX_TRACKS);
}

#[test]
fn while_reconnecting_frames_are_dropped_and_counted() {
    let mut bench = video();
    bench.write(10, true);
    bench.publisher.on_lost();
    let none: Option<Way<'_, Wire>> = None;
    let frame = OutFrame { data: Bytes::from_static(b"x"), captured_us: 1, key: true, layer: 0 };
    assert_eq!(bench.publisher.write(TRACK, &frame, &mut bench.sealer, none), Written::Dropped);
    let id = bench.publisher.tracks().next().unwrap().1.id;
    bench.publisher.on_published(id, Alias::new(78));
    assert_eq!(bench.write(10, true), Written::Sent);
    let track = bench.publisher.tracks().next().unwrap().1;
    assert_eq!((track.number, track.group), (3, 1));
}

#[test]
fn reliable_objects_count_on_across_sessions() {
    let mut wire = Wire::default();
    let mut own = OwnTrack::new(TrackId(99));
    own.on_published(Alias::new(5));
    let mut reliable = Reliable::default();
    wire.room = 20;
    for text in [b"one".as_slice(), b"two"] {
        own.write(Bytes::copy_from_slice(text), &mut reliable, SessionKey(1), &mut wire).unwrap();
    }
    own.on_lost();
    assert_eq!(own.write(Bytes::new(), &mut reliable, SessionKey(1), &mut wire), Err(reliable::Stuck));
    let mut wire = Wire::default();
    own.on_published(Alias::new(6));
    let mut reliable = Reliable::default();
    own.begin_group();
    own.write(Bytes::from_static(b"three"), &mut reliable, SessionKey(2), &mut wire).unwrap();
    let mut reader = StreamReader::new();
    reader.push(Bytes::from(wire.streams.remove(&1).unwrap())).unwrap();
    let Some(Piece::Reliable { header, payload }) = reader.next_piece() else { panic!("one object") };
    assert_eq!((header.alias, header.group, header.object, payload.as_ref()), (Alias::new(6), 1, 2, b"three".as_slice()));
    assert_eq!(reader.next_piece(), None);
}

#[test]
fn a_relay_that_does_not_read_is_written_no_more_than_a_megabyte() {
    let mut wire = Wire { room: 0, ..Wire::default() };
    let mut own = OwnTrack::new(TrackId(99));
    own.on_published(Alias::new(5));
    let mut reliable = Reliable::default();
    let payload = Bytes::from(vec![0; 10_000]);
    let taken = (0..1_000).filter(|_| own.write(payload.clone(), &mut reliable, SessionKey(1), &mut wire).is_ok()).count();
    assert_eq!(taken, 104);
}

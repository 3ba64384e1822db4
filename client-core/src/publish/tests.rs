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
    priorities: Vec<u8>,
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
            priorities: vec![],
        }
    }
}

impl Outlet for Wire {
    fn open_uni(&mut self, _: SessionKey, priority: u8) -> Option<StreamKey> {
        if self.streams.len() >= self.most_streams {
            return None;
        }
        self.priorities.push(priority);
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
        self.write_layer(len, key, 0)
    }

    fn write_layer(&mut self, len: usize, key: bool, layer: u8) -> Written {
        let frame = OutFrame { data: Bytes::from(vec![7; len]), captured_us: 1, key, layer, level: 0 };
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

/// A stream: its group, its layer, and the objects that came whole, by number and how far back they look.
type Sent = (u64, u8, Vec<(u64, u8)>);

impl Bench {
    /// All streams, oldest first.
    fn layers(&self) -> Vec<Sent> {
        let mut opener = crate::sframe::Opener::new(Epoch { number: 0, base: BaseKey::new([1; 16]) });
        let track = self.publisher.tracks().next().unwrap().1;
        let mut all = vec![];
        for bytes in self.wire.streams.values() {
            let mut reader = StreamReader::new();
            reader.push(Bytes::from(bytes.clone())).unwrap();
            let Some(Piece::Group(header)) = reader.next_piece() else { continue };
            let mut objects = vec![];
            while let Some(piece) = reader.next_piece() {
                let Piece::Part { object, len, bytes, .. } = piece else { panic!("a group's stream") };
                if bytes.len() < len {
                    continue;
                }
                let name = TrackName { track: track.id, ..self.publisher.place };
                let place = ObjectIdentity { name, group: header.group, object, layer: header.layer, flags: 0 };
                let opened = opener.open(&place, &bytes).expect("sealed for its place");
                objects.push((object, <Frame as conclave_federation::wire::Wire>::decode(&opened.plain).unwrap().back));
            }
            all.push((header.group, header.layer, objects));
        }
        all
    }
}

fn layered(layers: u8) -> Bench {
    Bench::new(Media { layers, ..Media::camera(Codec::Vp8, 640, 360) })
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

/// What a relay sees of a voice whose frames are of these lengths.
fn sealed(small_room: bool, lens: &[usize]) -> Vec<(u8, usize)> {
    let mut bench = Bench::new(Media::microphone());
    bench.publisher.in_room_of(if small_room { SMALL_ROOM } else { SMALL_ROOM + 1 });
    for (at, len) in lens.iter().enumerate() {
        bench.now = Duration::from_millis(20) * u32::try_from(at).unwrap();
        let level = if *len > 60 { 9 } else { 0 };
        let frame = OutFrame { data: Bytes::from(vec![7; *len]), captured_us: 20_000 * at as u64, key: true, layer: 0, level };
        let way = Way { now: Now { mono: bench.now, unix_ms: 0 }, session: SessionKey(1), outlet: &mut bench.wire };
        assert_eq!(bench.publisher.write(TRACK, &frame, &mut bench.sealer, Some(way)), Written::Sent);
    }
    let seen = |datagram: &Bytes| {
        let (header, payload) = ObjectHeader::split(datagram).unwrap();
        (header.flags, payload.len())
    };
    bench.wire.datagrams.iter().map(seen).collect()
}

#[test]
fn in_a_small_room_sealed_sound_is_of_one_length_whatever_is_said_and_says_no_loudness() {
    let speech: Vec<usize> = (0..100).map(|at| 60 + at % 60).collect();
    let silence: Vec<usize> = (0..100).map(|at| 3 + at % 5).collect();
    assert_eq!(sealed(true, &speech), sealed(true, &silence));
    let lens: BTreeSet<usize> = sealed(true, &speech).into_iter().map(|(_, len)| len).collect();
    // SFrame's header grows by a byte with the ninth frame: it counts what everybody can count.
    assert_eq!(lens, BTreeSet::from([1 + 16 + 120 + 16, 2 + 16 + 120 + 16]), "header, head and length, frame, tag");
    assert!(sealed(true, &speech).iter().all(|(flags, _)| *flags == 0));
    // In a large one both show, in two bits.
    let large = sealed(false, &speech);
    assert_ne!(large, sealed(false, &silence));
    assert_eq!(large.iter().map(|(flags, _)| *flags).collect::<BTreeSet<_>>(), BTreeSet::from([0, 3]));
}

#[test]
fn cover_is_as_long_as_frames_and_leaves_no_gap_in_their_numbers() {
    let mut bench = Bench::new(Media::microphone());
    assert_eq!(bench.write(80, true), Written::Sent);
    bench.now = Duration::from_millis(30);
    let now = Now { mono: bench.now, unix_ms: 0 };
    assert_eq!(bench.publisher.next_timeout(), Some(bench.now));
    assert_eq!(bench.publisher.cover(now, &mut bench.sealer, Some((SessionKey(1), &mut bench.wire))), 1);
    assert_eq!(bench.publisher.cover(now, &mut bench.sealer, Some((SessionKey(1), &mut bench.wire))), 0);
    assert_eq!(bench.write(90, true), Written::Sent);
    let split = |datagram: &Bytes| ObjectHeader::split(datagram).unwrap();
    let seen: Vec<_> = bench.wire.datagrams.iter().map(split).collect();
    assert_eq!(
        seen.iter().map(|(header, payload)| (header.group, payload.len())).collect::<Vec<_>>(),
        [(0, 153), (1, 153), (2, 153)]
    );
    let mut opener = crate::sframe::Opener::new(Epoch { number: 0, base: BaseKey::new([1; 16]) });
    let (id, _) = bench.publisher.tracks().map(|(_, track)| (track.id, ())).next().unwrap();
    let mut numbers = Vec::new();
    for (header, payload) in &seen {
        let name = TrackName { room: RoomId::new([1; 16]), instance: Instance(1), track: id };
        let place = ObjectIdentity { name, group: header.group, object: 0, layer: 0, flags: 0 };
        let plain = opener.open(&place, payload).ok().unwrap().plain;
        if !frame::is_cover(&plain) {
            numbers.push(<Frame as conclave_federation::wire::Wire>::decode(&plain).unwrap().number);
        }
    }
    assert_eq!(numbers, [0, 1]);
    // Not while nobody takes it, and not while muted.
    bench.now = Duration::from_millis(200);
    let now = Now { mono: bench.now, unix_ms: 0 };
    assert_eq!(bench.publisher.cover::<Wire>(now, &mut bench.sealer, None), 0);
    assert!(bench.publisher.next_timeout().is_some_and(|at| at > bench.now), "it is left out, not kept for later");
    bench.publisher.mute(TRACK, true);
    assert_eq!(bench.publisher.next_timeout(), None);
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
    let frame = OutFrame { data: Bytes::from_static(b"x"), captured_us: 1, key: true, layer: 0, level: 0 };
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

#[test]
fn each_layer_of_a_group_has_a_stream_and_the_objects_count_over_all() {
    let mut bench = layered(3);
    for _ in 0..2 {
        for (key, layer) in [(true, 9), (false, 2), (false, 1), (false, 2), (false, 0), (false, 77)] {
            assert_eq!(bench.write_layer(100, key, layer), Written::Sent);
        }
    }
    let group = |group| [(group, 0, vec![(0, 0), (4, 4)]), (group, 2, vec![(1, 1), (3, 1), (5, 1)]), (group, 1, vec![(2, 2)])];
    assert_eq!(bench.layers(), [group(0), group(1)].concat());
    assert_eq!(bench.wire.priorities, [2, 3, 3, 2, 3, 3]);
    bench.flush();
    assert_eq!(bench.wire.finished, [1, 3, 2], "lower layers first");
    assert!(bench.wire.reset.is_empty());
}

#[test]
fn a_track_of_one_layer_has_one_stream_whatever_the_application_says() {
    let mut bench = video();
    bench.write_layer(100, true, 3);
    bench.write_layer(100, false, 1);
    assert_eq!(bench.layers(), [(0, 0, vec![(0, 0), (1, 1)])]);
}

#[test]
fn on_a_full_uplink_the_upper_layer_goes_first_and_the_group_goes_on() {
    let mut bench = layered(2);
    let step = |bench: &mut Bench| bench.now += Duration::from_millis(33);
    assert_eq!(bench.write_layer(100, true, 0), Written::Sent);
    step(&mut bench);
    assert_eq!(bench.write_layer(100, false, 1), Written::Sent);
    bench.wire.room = 0;
    step(&mut bench);
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    assert_eq!(bench.write_layer(100, false, 1), Written::Sent, "they wait");
    bench.now += Duration::from_millis(100);
    assert_eq!(bench.flush(), [], "no key frame is needed");
    assert_eq!(bench.wire.reset, [(2, Code::LATE)]);
    bench.wire.room = usize::MAX;
    assert_eq!(bench.write_layer(100, false, 1), Written::Dropped, "what it needs was dropped");
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    step(&mut bench);
    assert_eq!(bench.write_layer(100, false, 1), Written::Dropped, "not so soon again");
    bench.now += UPPER_BACK;
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    assert_eq!(bench.write_layer(100, false, 1), Written::Sent);
    let base = vec![(0, 0), (2, 2), (4, 3), (5, 2)];
    assert_eq!(bench.layers(), [(0, 0, base), (0, 1, vec![(1, 1)]), (0, 1, vec![(6, 1)])]);
}

const UPPER_BACK: Duration = Duration::from_secs(1);

#[test]
fn while_the_base_waits_nothing_else_is_offered() {
    let mut bench = layered(2);
    bench.write_layer(100, true, 0);
    bench.write_layer(100, false, 1);
    bench.wire.room = 0;
    bench.write_layer(5_000, false, 0);
    bench.write_layer(5_000, false, 1);
    let before = bench.wire.streams[&2].len();
    bench.wire.room = 2_000;
    bench.flush();
    assert_eq!(bench.wire.streams[&2].len(), before);
    bench.wire.room = usize::MAX;
    bench.flush();
    assert!(bench.wire.streams[&2].len() > before);
    assert!(bench.wire.reset.is_empty());
}

#[test]
fn too_many_bytes_cost_the_upper_layer_before_the_group() {
    let mut bench = layered(2);
    bench.wire.room = 0;
    assert_eq!(bench.write_layer(500_000, true, 0), Written::Sent);
    assert_eq!(bench.write_layer(400_000, false, 1), Written::Sent);
    assert_eq!(bench.write_layer(400_000, false, 0), Written::Sent);
    assert_eq!(bench.wire.reset, [(2, Code::LATE)]);
    assert_eq!(bench.write_layer(400_000, false, 0), Written::KeyFrameNeeded);
    assert_eq!(bench.wire.reset, [(2, Code::LATE), (1, Code::LATE)]);
    assert_eq!(bench.publisher.waiting(), 0);
}

#[test]
fn an_upper_layer_that_the_relay_does_not_want_or_has_no_stream_for_costs_nothing_else() {
    let mut bench = layered(2);
    bench.write_layer(100, true, 0);
    bench.write_layer(100, false, 1);
    let now = Now { mono: bench.now, unix_ms: 0 };
    bench.publisher.on_stopped(StreamKey(2), Way { now, session: SessionKey(1), outlet: &mut bench.wire });
    assert_eq!(bench.wire.reset, [(2, Code::UNWANTED)]);
    assert_eq!(bench.write_layer(100, false, 1), Written::Dropped);
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    bench.now += UPPER_BACK;
    bench.wire.most_streams = 2;
    assert_eq!(bench.write_layer(100, false, 1), Written::Dropped);
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    assert_eq!(bench.write_layer(MAX_OBJECT, false, 1), Written::TooLarge);
    assert_eq!(bench.write_layer(100, false, 0), Written::Sent);
    assert_eq!(bench.layers()[0], (0, 0, vec![(0, 0), (2, 3), (3, 2), (4, 2)]));
}

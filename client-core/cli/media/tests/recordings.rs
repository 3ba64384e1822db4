//! What is written is read back: whole, with holes, after a kill, and up to the limits.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use conclave_media::opus::Channels;
use conclave_media::{Dimensions, Frame, MAX_POSITION, Source, Written, ivf, opus, probe};

const SIZE: Dimensions = Dimensions { width: 320, height: 180 };
const SERIAL: u32 = 7;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/media").join(name)
}

fn frames(name: &str, count: usize) -> Vec<Frame> {
    let mut source = Source::open(sample(name)).expect(name);
    (0..count).map(|_| source.next_frame().expect(name)).collect()
}

fn output(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn read_ivf(bytes: &[u8]) -> Vec<ivf::Frame> {
    let mut reader = ivf::Reader::new(bytes).expect("a header");
    std::iter::from_fn(|| reader.next_frame().expect("whole frames")).collect()
}

fn read_opus(bytes: &[u8]) -> (Vec<opus::Packet>, opus::Reader<Cursor<&[u8]>>) {
    let mut reader = opus::Reader::new(Cursor::new(bytes)).expect("headers");
    let packets = std::iter::from_fn(|| reader.next_packet().expect("whole packets")).collect();
    (packets, reader)
}

/// A file whose bytes stay when its writer is dropped without a farewell, as on a killed process' disk.
#[derive(Clone, Default)]
struct Disk(Rc<RefCell<Cursor<Vec<u8>>>>);

impl Disk {
    fn bytes(&self) -> Vec<u8> {
        self.0.borrow().get_ref().clone()
    }
}

impl Write for Disk {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(to)
    }
}

#[test]
fn a_video_comes_back_as_it_was_written() {
    let sent = frames("camera-1.ivf", 330);
    let path = output("whole.ivf");
    let mut writer = ivf::Writer::new(File::create(&path).expect("a file"), SIZE).expect("a header");
    for frame in &sent {
        assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
    }
    writer.finish().expect("an end");

    let bytes = std::fs::read(&path).expect("the file");
    let header = *ivf::Reader::new(&bytes[..]).expect("a header").header();
    assert_eq!((header.dimensions, header.length), (SIZE, 10_999));
    let got = read_ivf(&bytes);
    assert_eq!(got.len(), sent.len());
    for (got, sent) in got.iter().zip(&sent) {
        assert_eq!((&got.data, got.key, u128::from(got.pts)), (&sent.data, sent.key, sent.at.as_millis()));
    }
    let summary = probe(&path).expect("a recording");
    assert_eq!((summary.frames, summary.key_frames, summary.dimensions), (330, 11, Some(SIZE)));
    assert!(summary.duration.abs_diff(Duration::from_secs(11)) < Duration::from_millis(2));
}

#[test]
fn lost_pictures_leave_a_hole_in_the_times() {
    let path = output("holes.ivf");
    let mut writer = ivf::Writer::new(File::create(&path).expect("a file"), SIZE).expect("a header");
    for (i, frame) in frames("camera-2.ivf", 150).iter().enumerate() {
        if !(40..=75).contains(&i) {
            assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
        }
    }
    writer.finish().expect("an end");
    let summary = probe(&path).expect("a recording");
    assert_eq!((summary.frames, summary.key_frames), (114, 4));
    assert!(summary.duration.abs_diff(Duration::from_secs(5)) < Duration::from_millis(20));
    assert_eq!(summary.key_interval.as_millis(), 2000, "the key frame at 2 s is in the hole");
}

#[test]
fn a_recording_begins_with_its_first_key_frame() {
    let mut writer = ivf::Writer::new(Cursor::new(Vec::new()), SIZE).expect("a header");
    for (i, frame) in frames("camera-3.ivf", 40).iter().enumerate().skip(10) {
        let written = writer.write(frame.at, &frame.data).expect("a write");
        assert_eq!(written, if i < 30 { Written::Skipped } else { Written::Kept }, "frame {i}");
    }
    let got = read_ivf(writer.finish().expect("an end").get_ref());
    assert_eq!((got.len(), got[0].pts, got[0].key), (10, 1000, true));
}

#[test]
fn two_pictures_never_share_a_time() {
    let sent = frames("camera-4.ivf", 3);
    let mut writer = ivf::Writer::new(Cursor::new(Vec::new()), SIZE).expect("a header");
    for (frame, at) in sent.iter().zip([500, 500, 400]) {
        assert_eq!(writer.write(Duration::from_millis(at), &frame.data).expect("a write"), Written::Kept);
    }
    let got = read_ivf(writer.finish().expect("an end").get_ref());
    assert_eq!(got.iter().map(|frame| frame.pts).collect::<Vec<_>>(), [500, 501, 502]);
}

#[test]
fn frames_that_no_player_would_take_are_refused_and_leave_no_trace() {
    let sent = frames("camera-4.ivf", 2);
    let mut writer = ivf::Writer::new(Cursor::new(Vec::new()), SIZE).expect("a header");
    assert_eq!(writer.write(Duration::ZERO, &sent[0].data).expect("a write"), Written::Kept);
    assert!(matches!(writer.write(Duration::ZERO, &[]), Err(ivf::WriteError::Payload(_))));
    let mut huge = sent[1].data.to_vec();
    huge.resize(ivf::MAX_FRAME as usize + 1, 0);
    assert!(matches!(writer.write(Duration::ZERO, &huge), Err(ivf::WriteError::TooLarge(_))));
    let late = MAX_POSITION + Duration::from_millis(1);
    assert!(matches!(writer.write(late, &sent[1].data), Err(ivf::WriteError::TooLate)));
    assert_eq!(read_ivf(writer.finish().expect("an end").get_ref()).len(), 1);
}

#[test]
fn a_video_recorder_killed_at_any_frame_leaves_every_frame_written() {
    let disk = Disk::default();
    let mut writer = ivf::Writer::new(disk.clone(), SIZE).expect("a header");
    for (i, frame) in frames("camera-1.ivf", 60).iter().enumerate() {
        assert_eq!(read_ivf(&disk.bytes()).len(), i);
        assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
    }
}

#[test]
fn a_voice_comes_back_as_it_was_written() {
    let sent = frames("voice-1.ogg", 501);
    let path = output("whole.ogg");
    let mut writer = opus::Writer::new(File::create(&path).expect("a file"), Channels::Mono, SERIAL).expect("headers");
    for frame in &sent {
        assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
    }
    writer.finish().expect("an end");

    let bytes = std::fs::read(&path).expect("the file");
    let (got, reader) = read_opus(&bytes);
    assert!(got.iter().map(|packet| &packet.data).eq(sent.iter().map(|frame| &frame.data)));
    assert_eq!(reader.head(), opus::Head { channels: 1, pre_skip: 312 });
    assert_eq!((reader.start(), reader.missing()), (Duration::ZERO, Duration::ZERO));
    let summary = probe(&path).expect("a recording");
    assert_eq!((summary.frames, summary.duration), (501, Duration::from_micros(10_020_000 - 6_500)));
}

#[test]
fn a_voice_that_comes_late_begins_late() {
    let mut writer = opus::Writer::new(Vec::new(), Channels::Mono, SERIAL).expect("headers");
    for frame in frames("voice-2.ogg", 100) {
        let at = frame.at + Duration::from_secs(10);
        assert_eq!(writer.write(at, &frame.data).expect("a write"), Written::Kept);
    }
    let bytes = writer.finish().expect("an end");
    let (got, reader) = read_opus(&bytes);
    assert_eq!((got.len(), reader.start()), (100, Duration::from_secs(10)));
    assert_eq!(reader.duration(), Duration::from_micros(2_000_000 - 6_500));
}

#[test]
fn lost_sound_is_filled_with_concealment_to_the_same_length() {
    let sent = frames("voice-3.ogg", 400);
    let path = output("holes.ogg");
    let mut writer = opus::Writer::new(File::create(&path).expect("a file"), Channels::Mono, SERIAL).expect("headers");
    // One packet, three, and a silence of two seconds.
    let lost = |i: usize| i == 20 || (50..53).contains(&i) || (200..300).contains(&i);
    for (i, frame) in sent.iter().enumerate() {
        if !lost(i) {
            assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
        }
    }
    writer.finish().expect("an end");

    let bytes = std::fs::read(&path).expect("the file");
    let (got, reader) = read_opus(&bytes);
    assert_eq!(reader.missing(), Duration::ZERO, "positions never advance without packets");
    assert_eq!(got.iter().map(|packet| u64::from(packet.samples)).sum::<u64>(), 400 * 960);
    let concealed = got.iter().filter(|packet| packet.data.len() == 2).count();
    assert_eq!(concealed, 1 + 1 + 100usize.div_ceil(6));
    assert!(
        got.iter().filter(|packet| packet.data.len() > 2).map(|packet| &packet.data).eq(sent
            .iter()
            .enumerate()
            .filter(|(i, _)| !lost(*i))
            .map(|(_, frame)| &frame.data))
    );
}

#[test]
fn jitter_neither_fills_nor_drops_but_a_late_repeat_is_skipped() {
    let sent = frames("voice-4.ogg", 100);
    let mut writer = opus::Writer::new(Vec::new(), Channels::Mono, SERIAL).expect("headers");
    for (i, frame) in sent.iter().enumerate() {
        let jitter = Duration::from_millis([0, 9, 18, 5][i % 4]);
        assert_eq!(writer.write(frame.at + jitter, &frame.data).expect("a write"), Written::Kept, "packet {i}");
    }
    assert_eq!(writer.write(sent[90].at, &sent[90].data).expect("a write"), Written::Skipped);
    let (got, _) = read_opus(&writer.finish().expect("an end"));
    assert_eq!(got.len(), 100);
}

#[test]
fn packets_that_no_player_would_take_are_refused_and_leave_no_trace() {
    let sent = frames("voice-4.ogg", 2);
    let mut writer = opus::Writer::new(Vec::new(), Channels::Mono, SERIAL).expect("headers");
    assert_eq!(writer.write(Duration::ZERO, &sent[0].data).expect("a write"), Written::Kept);
    assert!(matches!(writer.write(Duration::ZERO, &[]), Err(opus::WriteError::Packet(_))));
    let huge = vec![0; opus::packet::MAX_PACKET + 1];
    assert!(matches!(writer.write(Duration::ZERO, &huge), Err(opus::WriteError::Packet(_))));
    for leap in [opus::MAX_GAP + Duration::from_secs(1), MAX_POSITION * 2, Duration::MAX] {
        assert!(matches!(writer.write(leap, &sent[1].data), Err(opus::WriteError::Leap(_))));
    }
    let (got, _) = read_opus(&writer.finish().expect("an end"));
    assert_eq!(got.len(), 1);
}

#[test]
fn an_hour_of_silence_costs_less_than_two_hundred_kilobytes() {
    let sent = frames("voice-4.ogg", 1);
    let mut writer = opus::Writer::new(Vec::new(), Channels::Mono, SERIAL).expect("headers");
    for at in [Duration::ZERO, opus::MAX_GAP] {
        assert_eq!(writer.write(at, &sent[0].data).expect("a write"), Written::Kept);
    }
    let bytes = writer.finish().expect("an end");
    let (_, reader) = read_opus(&bytes);
    assert_eq!(reader.duration().as_secs(), opus::MAX_GAP.as_secs());
    assert!(bytes.len() < 200_000, "{} bytes", bytes.len());
}

#[test]
fn a_voice_recorder_killed_at_any_packet_loses_at_most_a_second() {
    let disk = Disk::default();
    let mut writer = opus::Writer::new(disk.clone(), Channels::Stereo, SERIAL).expect("headers");
    for (i, frame) in frames("voice-1.ogg", 180).iter().enumerate() {
        let bytes = disk.bytes();
        let (got, reader) = read_opus(&bytes);
        assert!(got.len() <= i && i - got.len() <= 51, "{} of {i} packets are on the disk", got.len());
        assert_eq!(reader.missing(), Duration::ZERO);
        assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
    }
}

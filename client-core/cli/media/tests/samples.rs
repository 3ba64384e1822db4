//! The committed samples are what `deploy/media/README.md` says, and sources made of them keep time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use conclave_media::{Codec, Dimensions, Frame, Source, probe};

const CAMERAS: [&str; 4] = ["camera-1.ivf", "camera-2.ivf", "camera-3.ivf", "camera-4.ivf"];
const VOICES: [&str; 4] = ["voice-1.ogg", "voice-2.ogg", "voice-3.ogg", "voice-4.ogg"];
const SCREEN: &str = "screen.ivf";

fn sample(name: &str) -> PathBuf {
    folder().join(name)
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/media")
}

/// Frames of somewhat more than two turns.
fn two_turns(source: &mut Source) -> Vec<Frame> {
    let count = 2 * source.summary().frames + 10;
    (0..count).map(|_| source.next_frame().expect("samples are whole")).collect()
}

#[test]
fn every_file_in_the_folder_is_known_and_all_together_are_under_two_megabytes() {
    let mut total = 0;
    let mut media = 0;
    for entry in fs::read_dir(folder()).expect("the folder of samples") {
        let entry = entry.expect("a readable folder");
        total += entry.metadata().expect("a readable file").len();
        let name = entry.file_name();
        if !["README.md", "make.sh"].iter().any(|other| name == *other) {
            probe(entry.path()).expect("a media file");
            media += 1;
        }
    }
    assert_eq!(media, CAMERAS.len() + VOICES.len() + 1);
    assert!(total <= 2_000_000, "{total} bytes");
}

#[test]
fn videos_have_a_key_frame_every_second() {
    for (name, width, height, rate) in CAMERAS.map(|name| (name, 320, 180, 30)).into_iter().chain([(SCREEN, 640, 360, 8)]) {
        let summary = probe(sample(name)).expect(name);
        assert_eq!(summary.codec, Codec::Vp8, "{name}");
        assert_eq!(summary.dimensions, Some(Dimensions { width, height }), "{name}");
        assert_eq!(summary.frames, 10 * rate, "{name}");
        assert_eq!(summary.key_frames, 10, "{name}");
        assert_eq!(summary.key_interval.as_millis(), 1000, "{name}");
        assert_eq!((summary.duration + Duration::from_micros(1)).as_secs(), 10, "{name}");
    }
}

#[test]
fn voices_are_constant_twenty_millisecond_packets() {
    for name in VOICES {
        let mut source = Source::open(sample(name)).expect(name);
        assert_eq!(source.codec(), Codec::Opus, "{name}");
        assert_eq!(source.dimensions(), None, "{name}");
        assert_eq!(source.summary().duration, Duration::from_secs(10), "{name}");
        let frames = two_turns(&mut source);
        for pair in frames.windows(2) {
            assert_eq!(pair[1].at - pair[0].at, Duration::from_millis(20), "{name}");
            assert_eq!(pair[1].data.len(), pair[0].data.len(), "{name}");
            assert!(pair[1].key, "{name}");
        }
    }
}

#[test]
fn a_video_source_keeps_its_pace_across_the_seam() {
    for (name, rate) in CAMERAS.map(|name| (name, 30)).into_iter().chain([(SCREEN, 8)]) {
        let mut source = Source::open(sample(name)).expect(name);
        let turn = source.summary().frames as usize;
        let frames = two_turns(&mut source);
        let step = Duration::from_secs(1) / rate;
        for pair in frames.windows(2) {
            let off = (pair[1].at - pair[0].at).abs_diff(step);
            assert!(off < Duration::from_micros(1), "{name}: {off:?}");
        }
        assert_eq!(frames[0].at, Duration::ZERO);
        assert!(frames[turn].key, "{name} starts again with a key frame");
        assert_eq!(frames[turn].data, frames[0].data, "{name}");
        assert_eq!(frames[turn - 1].data, frames[2 * turn - 1].data, "{name}");
    }
}

//! Cut, damaged and hostile files: one clear sentence or a clean shorter file, never a panic and never an endless loop.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave_media::opus::Channels;
use conclave_media::{Dimensions, Error, Source, Written, ivf, opus, probe};
use proptest::prelude::*;

const SIZE: Dimensions = Dimensions { width: 320, height: 180 };

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../deploy/media").join(name)
}

/// A file with these bytes, named after the test that asks for it.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

fn small_ivf() -> Vec<u8> {
    let mut source = Source::open(sample("camera-4.ivf")).expect("a sample");
    let mut writer = ivf::Writer::new(Cursor::new(Vec::new()), SIZE).expect("a header");
    for _ in 0..3 {
        let frame = source.next_frame().expect("a frame");
        assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
    }
    writer.finish().expect("an end").into_inner()
}

/// Two seconds, so that there are several pages, with a hole that is filled.
fn small_ogg() -> Vec<u8> {
    let mut source = Source::open(sample("voice-1.ogg")).expect("a sample");
    let mut writer = opus::Writer::new(Vec::new(), Channels::Mono, 1).expect("headers");
    for i in 0..100 {
        let frame = source.next_frame().expect("a frame");
        if i % 20 != 7 {
            assert_eq!(writer.write(frame.at, &frame.data).expect("a write"), Written::Kept);
        }
    }
    writer.finish().expect("an end")
}

fn count_ivf(bytes: &[u8]) -> Result<usize, ivf::Error> {
    let mut reader = ivf::Reader::new(bytes)?;
    let mut count = 0;
    while reader.next_frame()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn count_opus(bytes: &[u8]) -> Result<usize, opus::Error> {
    let mut reader = opus::Reader::new(Cursor::new(bytes))?;
    let mut count = 0;
    while reader.next_packet()?.is_some() {
        count += 1;
    }
    Ok(count)
}

/// An Ogg page with a right checksum, so that what is wrong with it is met behind the checksum.
fn page(flags: u8, position: u64, serial: u32, number: u32, lacing: &[u8], body: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend_from_slice(&position.to_le_bytes());
    page.extend_from_slice(&serial.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&[0; 4]);
    page.push(lacing.len() as u8);
    page.extend_from_slice(lacing);
    page.extend(body.iter().copied().chain(std::iter::repeat(0)).take(lacing.iter().map(|l| usize::from(*l)).sum()));
    let crc = page.iter().fold(0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    });
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

/// Both headers on pages of their own.
fn headers(serial: u32) -> Vec<u8> {
    let head = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
    let tags = b"OpusTags\0\0\0\0\0\0\0\0";
    let mut bytes = page(2, 0, serial, 0, &[head.len() as u8], head);
    bytes.extend(page(0, 0, serial, 1, &[tags.len() as u8], tags));
    bytes
}

#[test]
fn every_truncation_of_a_video_is_an_error_or_a_shorter_video() {
    let whole = small_ivf();
    let mut clean = Vec::new();
    for end in 0..whole.len() {
        match count_ivf(&whole[..end]) {
            Ok(frames) => clean.push(frames),
            Err(ivf::Error::Magic) => assert!(end < 4),
            Err(ivf::Error::HeaderCut) => assert!((4..32).contains(&end)),
            Err(ivf::Error::Cut { frame }) => assert_eq!(frame as usize, clean.len()),
            Err(other) => panic!("{end} bytes: {other}"),
        }
    }
    assert_eq!(clean, [0, 1, 2], "clean exactly where a frame ends");
}

#[test]
fn every_truncation_of_a_voice_is_an_error_or_a_shorter_voice() {
    let whole = small_ogg();
    let all = count_opus(&whole).expect("whole");
    let mut shorter = 0;
    for end in 0..whole.len() {
        match count_opus(&whole[..end]) {
            Ok(packets) => {
                assert!((shorter..all).contains(&packets), "{end} bytes: {packets} packets");
                shorter = packets;
            }
            Err(opus::Error::Pages) => assert!(end < 27, "{end} bytes: not even one page header"),
            Err(opus::Error::Cut | opus::Error::NotOpus | opus::Error::Tags) => {}
            Err(other) => panic!("{end} bytes: {other}"),
        }
    }
    assert!(shorter > 50, "the first whole second survives");
}

#[test]
fn every_flipped_byte_of_a_voice_is_noticed() {
    let whole = small_ogg();
    let all = count_opus(&whole).expect("whole");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        // A page that is no longer recognised as one is passed over; it is missed by those behind it, or in the count.
        assert!(!matches!(count_opus(&bytes), Ok(packets) if packets == all), "byte {at}");
    }
}

#[test]
fn a_size_that_lies_is_refused_before_anything_is_read() {
    for size in [0, ivf::MAX_FRAME + 1, u32::MAX] {
        let mut bytes = small_ivf();
        bytes[32..36].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(count_ivf(&bytes), Err(ivf::Error::Size { frame: 1, size: s }) if s == size));
    }
}

#[test]
fn a_video_must_begin_with_a_key_frame_and_go_forward() {
    let whole = small_ivf();
    let first = 12 + u32::from_le_bytes([whole[32], whole[33], whole[34], whole[35]]) as usize;
    let mut headless = whole[..32].to_vec();
    headless.extend_from_slice(&whole[32 + first..]);
    assert!(matches!(count_ivf(&headless), Err(ivf::Error::StartsWithDelta)));

    let mut backwards = whole.clone();
    backwards[36] = 200;
    assert!(matches!(count_ivf(&backwards), Err(ivf::Error::Backwards { frame: 2 })));

    let mut far = whole;
    far[36..44].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(count_ivf(&far), Err(ivf::Error::TooLong { frame: 1 })));
}

#[test]
fn another_codec_version_or_time_base_is_refused() {
    let change = |at: usize, with: &[u8]| {
        let mut bytes = small_ivf();
        bytes[at..at + with.len()].copy_from_slice(with);
        count_ivf(&bytes)
    };
    let codec = change(8, b"VP90").expect_err("VP9");
    assert!(codec.to_string().contains("VP90"), "{codec}");
    assert!(matches!(change(4, &[1]), Err(ivf::Error::HeaderKind { version: 1, .. })));
    assert!(matches!(change(16, &[0; 4]), Err(ivf::Error::TimeBase)));
    assert!(matches!(change(20, &[0; 4]), Err(ivf::Error::TimeBase)));
}

#[test]
fn a_page_may_be_late_but_not_early() {
    let sound = [0x48; 2]; // two packets of one byte, 20 ms each
    let file = |positions: &[(u8, u64)]| {
        let mut bytes = headers(9);
        for (number, (flags, position)) in (2..).zip(positions) {
            bytes.extend(page(*flags, *position, 9, number, &[1, 1], &sound));
        }
        let mut reader = opus::Reader::new(Cursor::new(bytes)).expect("headers");
        while reader.next_packet()?.is_some() {}
        Ok::<_, opus::Error>((reader.start(), reader.missing()))
    };
    let millis = Duration::from_millis;
    assert_eq!(file(&[(0, 1920), (4, 3840)]).expect("regular"), (millis(0), millis(0)));
    assert_eq!(file(&[(0, 49_920), (0, 51_840)]).expect("late start"), (millis(1000), millis(0)));
    assert_eq!(file(&[(0, 1920), (0, 4800)]).expect("a hole"), (millis(0), millis(20)));
    assert_eq!(file(&[(0, 1920), (4, 3000)]).expect("cut to length"), (millis(0), millis(0)));
    assert!(matches!(file(&[(0, 1919)]), Err(opus::Error::Position { packet: 2 })));
    assert!(matches!(file(&[(0, 1920), (0, 3839)]), Err(opus::Error::Position { packet: 4 })));
    assert!(matches!(file(&[(0, u64::MAX)]), Err(opus::Error::TooLong { packet: 2 })));
    assert!(matches!(file(&[(4, 1920), (0, 3840)]), Err(opus::Error::Streams)), "sound behind the end");
}

#[test]
fn what_is_no_medium_is_named_with_advice() {
    let sentence = |path: &Path| Source::open(path).expect_err("not a medium").to_string();
    let advice = "is not an IVF or Ogg Opus file: give a VP8 .ivf or an Opus .ogg; ffmpeg -i IN -c:v libvpx OUT.ivf makes one";
    for (name, bytes) in [("empty.ivf", &b""[..]), ("three.ogg", b"Ogg"), ("text.ivf", b"no film, only words")] {
        let path = file(name, bytes);
        assert_eq!(sentence(&path), format!("{} {advice}", path.display()));
    }
    assert!(matches!(probe(env!("CARGO_TARGET_TMPDIR")), Err(Error::NotAFile { .. })));
    let nowhere = sentence(Path::new("/nowhere/camera.ivf"));
    assert!(nowhere.starts_with("cannot read /nowhere/camera.ivf: "), "{nowhere}");

    let whole = small_ivf();
    let cut = sentence(&file("cut.ogg", &whole[..whole.len() - 1]));
    assert!(cut.contains("is an IVF file that is cut off in frame 3: "), "known by its content: {cut}");
    assert!(sentence(&file("header.ivf", &whole[..32])).contains("has no frames"));
    let mut vorbis = page(2, 0, 1, 0, &[30], b"\x01vorbis");
    vorbis.extend(page(0, 0, 1, 1, &[30], b"\x03vorbis"));
    assert!(sentence(&file("vorbis.ogg", &vorbis)).contains("does not hold Opus sound"));
    assert!(sentence(&file("headers.ogg", &headers(3))).contains("has no sound in it"));
}

#[test]
fn a_file_emptied_while_it_is_played_is_an_error_and_not_an_endless_loop() {
    for (name, bytes) in [("emptied.ivf", small_ivf()), ("emptied.ogg", small_ogg())] {
        let path = file(name, &bytes);
        let mut source = Source::open(&path).expect("whole");
        source.next_frame().expect("the first");
        File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("emptied");
        let frames = source.summary().frames;
        let end = (0..=frames).find_map(|_| source.next_frame().err());
        assert!(end.is_some(), "{name}");
        assert!(source.next_frame().is_err(), "{name} stays ended");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = count_ivf(&bytes);
        let _ = count_opus(&bytes);
        let _ = opus::packet::samples(&bytes);
        let _ = conclave_media::vp8::Tag::read(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_right_header_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut video = small_ivf()[..32].to_vec();
        video.extend_from_slice(&bytes);
        let _ = count_ivf(&video);
        let mut voice = headers(5);
        voice.extend_from_slice(&bytes);
        let _ = count_opus(&voice);
    }

    #[test]
    fn damage_anywhere_in_a_video_is_never_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = small_ivf();
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        let _ = count_ivf(&bytes);
    }

    #[test]
    fn pages_of_any_shape_with_right_checksums_are_never_a_panic(
        pages in prop::collection::vec(
            (
                prop_oneof![4 => Just(0u8), 1 => 0u8..8],
                prop_oneof![3 => 0u64..100_000, 1 => any::<u64>()],
                prop_oneof![9 => Just(5u32), 1 => any::<u32>()],
                prop::collection::vec(prop_oneof![2 => 0u8..20, 1 => Just(255u8)], 0..6),
                prop::collection::vec(any::<u8>(), 0..40),
            ),
            0..8,
        ),
        with_headers in any::<bool>(),
    ) {
        let mut bytes = if with_headers { headers(5) } else { Vec::new() };
        for (number, (flags, position, serial, lacing, body)) in (2..).zip(pages) {
            bytes.extend(page(flags, position, serial, number, &lacing, &body));
        }
        let _ = count_opus(&bytes);
    }
}

//! Reading a file from its first byte to its last, and saying what is in it: the check behind "this recording plays".

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;
use std::time::Duration;

use crate::vp8::Tag;
use crate::{Codec, Dimensions, Error, ivf, opus};

/// What is in a media file, counted frame by frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How the frames are encoded.
    pub codec: Codec,
    /// Of the first picture; `None` for sound.
    pub dimensions: Option<Dimensions>,
    /// Pictures, or Opus packets (concealment included).
    pub frames: u64,
    /// Those that can be decoded alone. All of them for sound.
    pub key_frames: u64,
    /// The longest time from a key frame to the next, or to the end. Zero for sound.
    pub key_interval: Duration,
    /// Encoded bytes, without the container's.
    pub bytes: u64,
    /// When the first frame is due, counted from zero.
    pub start: Duration,
    /// From there to the end of the last frame.
    pub duration: Duration,
}

/// How long a video's only frame is shown: one of 30 a second.
const LONE_FRAME: Duration = Duration::from_nanos(33_333_333);

/// Reads the whole file: its structure, every frame's header, its times and checksums.
///
/// A video must begin with a key frame, and nothing may be cut off. Frames missing in between are no fault.
/// Blocks while it reads; a minute of a call takes a few milliseconds.
pub fn probe(path: impl AsRef<Path>) -> Result<Summary, Error> {
    let path = path.as_ref();
    let (mut file, codec) = open(path)?;
    match codec {
        Codec::Vp8 => video(&mut file).map_err(|fault| Error::Ivf { path: path.to_owned(), fault }),
        Codec::Opus => audio(&mut file).map_err(|fault| Error::Opus { path: path.to_owned(), fault }),
    }
}

/// Opens a file and tells by its first four bytes which of the two formats it claims to be.
pub(crate) fn open(path: &Path) -> Result<(BufReader<File>, Codec), Error> {
    let unreadable = |reason| Error::Unreadable { path: path.to_owned(), reason };
    // Before it is opened: opening a pipe waits for its writer.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Err(Error::Unknown { path: path.to_owned() }),
        Err(e) => return Err(unreadable(e)),
    }
    let codec = match magic {
        ivf::MAGIC => Codec::Vp8,
        opus::MAGIC => Codec::Opus,
        _ => return Err(Error::Unknown { path: path.to_owned() }),
    };
    file.rewind().map_err(unreadable)?;
    Ok((file, codec))
}

/// Counts a video and finds its length: the last frame is shown as long as the others on average.
pub(crate) fn video(file: impl Read) -> Result<Summary, ivf::Error> {
    let mut reader = ivf::Reader::new(file)?;
    let first = reader.next_frame()?.ok_or(ivf::Error::NoFrames)?;
    let mut summary = Summary {
        codec: Codec::Vp8,
        // The key frame's own word: a header is written by whoever made the file, and players follow the frame.
        dimensions: Some(match Tag::read(&first.data) {
            Ok(Tag::Key(dimensions)) => dimensions,
            Ok(Tag::Delta) | Err(_) => reader.header().dimensions,
        }),
        frames: 1,
        key_frames: 1,
        key_interval: Duration::ZERO,
        bytes: first.data.len() as u64,
        start: first.at,
        duration: Duration::ZERO,
    };
    let (mut last_key, mut last) = (first.at, first.at);
    while let Some(frame) = reader.next_frame()? {
        summary.frames += 1;
        summary.bytes += frame.data.len() as u64;
        last = frame.at;
        if frame.key {
            summary.key_frames += 1;
            summary.key_interval = summary.key_interval.max(frame.at - last_key);
            last_key = frame.at;
        }
    }
    let between = last - first.at;
    let shown = match u32::try_from(summary.frames - 1) {
        Ok(steps) if steps > 0 && !between.is_zero() => between / steps,
        _ => LONE_FRAME,
    };
    summary.duration = between + shown;
    summary.key_interval = summary.key_interval.max(last + shown - last_key);
    Ok(summary)
}

fn audio(file: impl Read + Seek) -> Result<Summary, opus::Error> {
    let mut reader = opus::Reader::new(file)?;
    let (mut frames, mut bytes) = (0, 0);
    while let Some(packet) = reader.next_packet()? {
        frames += 1;
        bytes += packet.data.len() as u64;
    }
    if frames == 0 {
        return Err(opus::Error::NoPackets);
    }
    Ok(Summary {
        codec: Codec::Opus,
        dimensions: None,
        frames,
        key_frames: frames,
        key_interval: Duration::ZERO,
        bytes,
        start: reader.start(),
        duration: reader.duration(),
    })
}

//! Writing IVF: a recording of pictures that came over a network, with holes where they did not.

use std::io::{self, Seek, SeekFrom, Write};
use std::time::Duration;

use super::{FRAME_HEADER, Header, LENGTH_AT, MAX_FRAME, TimeBase, VP8};
use crate::vp8::{self, Tag};
use crate::{Dimensions, MAX_POSITION, Written};

/// Writes frames with their capture times in milliseconds. Give it the file itself, not a buffered writer.
///
/// The header is in the file from the start and every frame goes out in one write, so that the file is whole
/// whenever the process dies. [`finish`](Writer::finish) adds the length, which players show and can do without.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    /// Time of the last frame and its distance to the one before, in ms; `None` before the first key frame.
    last: Option<(u64, u64)>,
    /// One frame with its header, kept for its allocation.
    buffer: Vec<u8>,
}

/// Why a frame is not in the recording. Only `Io` ends the recording.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused; the message of a full disk comes through here.
    #[error("the recording cannot be written: {0}")]
    Io(#[from] io::Error),
    /// Not a VP8 frame, or an oversized one; nothing was written.
    #[error("a received frame is not VP8: it {0}")]
    Payload(#[from] vp8::Malformed),
    /// Larger than [`MAX_FRAME`]; nothing was written.
    #[error("a received frame has {0} bytes, more than any player expects")]
    TooLarge(usize),
    /// A capture time beyond [`MAX_POSITION`]; nothing was written.
    #[error("a received frame claims to be captured more than seven days into the recording")]
    TooLate,
}

/// How long the last frame is shown when nothing tells: one frame of 30 a second.
const LAST_SHOWN: u64 = 33;

impl<W: Write + Seek> Writer<W> {
    /// Writes the header. `dimensions` are those of the first picture; key frames may change them.
    pub fn new(mut inner: W, dimensions: Dimensions) -> io::Result<Self> {
        let header = Header { fourcc: VP8, dimensions, time_base: TimeBase::MILLISECONDS, length: 0 };
        inner.write_all(&header.encode())?;
        Ok(Writer { inner, last: None, buffer: Vec::new() })
    }

    /// Writes the frame captured `at`, counted from the recording's start.
    ///
    /// Lost frames leave a hole in the times, which players show as a still picture. Frames before the first
    /// key frame are skipped. Two frames never share a millisecond: a time that does not advance is moved on by one.
    pub fn write(&mut self, at: Duration, frame: &[u8]) -> Result<Written, WriteError> {
        let key = Tag::read(frame)?.is_key();
        let size = u32::try_from(frame.len()).ok().filter(|size| *size <= MAX_FRAME);
        let size = size.ok_or(WriteError::TooLarge(frame.len()))?;
        if at > MAX_POSITION {
            return Err(WriteError::TooLate);
        }
        let millis = at.as_secs() * 1000 + u64::from(at.subsec_millis());
        let (pts, step) = match self.last {
            None if !key => return Ok(Written::Skipped),
            None => (millis, LAST_SHOWN),
            Some((last, _)) => {
                let pts = millis.max(last + 1);
                (pts, pts - last)
            }
        };
        self.buffer.clear();
        self.buffer.reserve(FRAME_HEADER + frame.len());
        self.buffer.extend_from_slice(&size.to_le_bytes());
        self.buffer.extend_from_slice(&pts.to_le_bytes());
        self.buffer.extend_from_slice(frame);
        self.inner.write_all(&self.buffer)?;
        self.last = Some((pts, step));
        Ok(Written::Kept)
    }

    /// Enters the length and gives the file back.
    ///
    /// The length is in milliseconds, the file's unit: that is how players read the field, and those that follow
    /// the format's first description (a number of frames) do not use it.
    pub fn finish(mut self) -> io::Result<W> {
        let length = self.last.map_or(0, |(pts, step)| pts + step);
        self.inner.seek(SeekFrom::Start(LENGTH_AT))?;
        self.inner.write_all(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes())?;
        self.inner.seek(SeekFrom::End(0))?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

//! Reading IVF: the header at once, then frame by frame, each checked before it is given out.

use std::io::Read;
use std::time::Duration;

use bytes::Bytes;

use super::{Error, FRAME_HEADER, Frame, HEADER, Header, MAX_FRAME};
use crate::vp8::Tag;

/// Yields the frames of an IVF file in order. Give it a buffered reader.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    header: Header,
    /// Frames yielded so far.
    frames: u64,
    last: Duration,
}

impl<R: Read> Reader<R> {
    /// Reads and checks the header.
    pub fn new(mut inner: R) -> Result<Self, Error> {
        let mut bytes = [0; HEADER];
        match read_up_to(&mut inner, &mut bytes)? {
            HEADER => {}
            _ if bytes.starts_with(&super::MAGIC) => return Err(Error::HeaderCut),
            _ => return Err(Error::Magic),
        }
        Ok(Reader { inner, header: Header::decode(&bytes)?, frames: 0, last: Duration::ZERO })
    }

    /// What the file says at its beginning.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame, or `None` where the file ends behind a whole one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let frame = self.frames + 1;
        let mut head = [0; FRAME_HEADER];
        match read_up_to(&mut self.inner, &mut head)? {
            0 => return Ok(None),
            FRAME_HEADER => {}
            _ => return Err(Error::Cut { frame }),
        }
        let [s0, s1, s2, s3, pts @ ..] = head;
        let (size, pts) = (u32::from_le_bytes([s0, s1, s2, s3]), u64::from_le_bytes(pts));
        if size == 0 || size > MAX_FRAME {
            return Err(Error::Size { frame, size });
        }
        let at = self.header.time_base.duration(pts).ok_or(Error::TooLong { frame })?;
        if at < self.last {
            return Err(Error::Backwards { frame });
        }
        // `take` grows the buffer with what is really there: a size that lies costs nothing.
        let mut data = Vec::new();
        (&mut self.inner).take(u64::from(size)).read_to_end(&mut data)?;
        if data.len() < size as usize {
            return Err(Error::Cut { frame });
        }
        let key = Tag::read(&data).map_err(|fault| Error::Payload { frame, fault })?.is_key();
        if frame == 1 && !key {
            return Err(Error::StartsWithDelta);
        }
        self.frames = frame;
        self.last = at;
        Ok(Some(Frame { pts, at, key, data: Bytes::from(data) }))
    }

    /// Gives the underlying reader back, behind the last frame read.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

/// Fills `buffer` as far as the bytes go, and says how far that is.
fn read_up_to(mut from: impl Read, mut buffer: &mut [u8]) -> Result<usize, Error> {
    let whole = buffer.len();
    while !buffer.is_empty() {
        match from.read(buffer) {
            Ok(0) => break,
            Ok(n) => buffer = &mut buffer[n..],
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(whole - buffer.len())
}

//! VP8 in IVF: a header of 32 bytes, then frames with a length and a time each.
//!
//! ```text
//! "DKIF"  version u16 = 0  header length u16 = 32  "VP80"  width u16  height u16
//! units per second u32  unit u32  length u32  unused u32                         all little-endian
//! then each frame: size u32, time u64, bytes
//! ```

mod read;
mod write;

use std::fmt;
use std::io;
use std::time::Duration;

use bytes::Bytes;

use crate::{Dimensions, MAX_POSITION, vp8};

pub use read::Reader;
pub use write::{WriteError, Writer};

/// What an IVF file says at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Always `VP80` in a header that was accepted.
    pub fourcc: FourCc,
    /// Of the first picture; a key frame may change it.
    pub dimensions: Dimensions,
    /// In what the frames' times are counted.
    pub time_base: TimeBase,
    /// Number of frames by the format's first description, length in time base units by what players make
    /// of it, zero where the writer was killed: shown to people, never relied on.
    pub length: u32,
}

/// Four letters that name a codec.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FourCc(pub [u8; 4]);

/// A unit of time: `num / den` seconds, neither of them zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBase {
    /// Seconds, or 1.
    pub num: u32,
    /// Units in `num` seconds.
    pub den: u32,
}

/// One picture of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its time in units of the file's [`TimeBase`].
    pub pts: u64,
    /// The same as a duration from zero; never before the frame before it.
    pub at: Duration,
    /// Can be decoded without the frames before it.
    pub key: bool,
    /// What the encoder made, at most [`MAX_FRAME`] bytes.
    pub data: Bytes,
}

/// What is wrong with an IVF file; continues the sentence "an IVF file that ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system failed while reading.
    #[error("cannot be read ({0})")]
    Io(#[from] io::Error),
    /// Not IVF at all.
    #[error("does not begin with DKIF")]
    Magic,
    /// Fewer than 32 bytes.
    #[error("is cut off in its header")]
    HeaderCut,
    /// Only version 0 with a header of 32 bytes exists.
    #[error("has an unknown header (version {version}, {size} bytes)")]
    HeaderKind {
        /// As in the file.
        version: u16,
        /// As in the file.
        size: u16,
    },
    /// Another codec in the same container.
    #[error("holds {0} and not VP8, the only codec understood")]
    Codec(FourCc),
    /// A numerator or denominator of zero.
    #[error("has a time base of zero")]
    TimeBase,
    /// The file ends within a frame.
    #[error("is cut off in frame {frame}")]
    Cut {
        /// Counted from 1.
        frame: u64,
    },
    /// A size above [`MAX_FRAME`], or of zero.
    #[error("has a frame of {size} bytes (frame {frame}; 1 to 4194304 are allowed)")]
    Size {
        /// Counted from 1.
        frame: u64,
        /// As in the file.
        size: u32,
    },
    /// Frames are in the order of their times.
    #[error("goes back in time at frame {frame}")]
    Backwards {
        /// Counted from 1.
        frame: u64,
    },
    /// A time beyond [`MAX_POSITION`].
    #[error("has a frame later than seven days (frame {frame})")]
    TooLong {
        /// Counted from 1.
        frame: u64,
    },
    /// A frame's bytes are not VP8.
    #[error("has a frame that is not VP8 (frame {frame} {fault})")]
    Payload {
        /// Counted from 1.
        frame: u64,
        /// What is wrong with the frame.
        fault: vp8::Malformed,
    },
    /// The first picture cannot be decoded without others.
    #[error("does not begin with a key frame")]
    StartsWithDelta,
    /// A header and nothing behind it.
    #[error("has no frames")]
    NoFrames,
}

/// The largest frame read or written: a key frame of 4K video at high quality is a quarter of it.
pub const MAX_FRAME: u32 = 4 << 20;

/// The first bytes of every IVF file.
pub(crate) const MAGIC: [u8; 4] = *b"DKIF";
const VP8: FourCc = FourCc(*b"VP80");
const HEADER: usize = 32;
/// Where [`Header::length`] stands in the file.
const LENGTH_AT: u64 = 24;
const FRAME_HEADER: usize = 12;
const NANOS: u128 = 1_000_000_000;

impl TimeBase {
    /// One unit is a millisecond: what recordings are written in, since frames come when they come.
    pub const MILLISECONDS: TimeBase = TimeBase { num: 1, den: 1000 };

    /// `pts` units as a duration; `None` beyond [`MAX_POSITION`].
    fn duration(self, pts: u64) -> Option<Duration> {
        let units = u128::from(pts).checked_mul(u128::from(self.num))?;
        let seconds = u64::try_from(units / u128::from(self.den)).ok()?;
        let nanos = (units % u128::from(self.den)) * NANOS / u128::from(self.den);
        let at = Duration::new(seconds, u32::try_from(nanos).ok()?);
        (at <= MAX_POSITION).then_some(at)
    }
}

impl Header {
    fn decode(bytes: &[u8; HEADER]) -> Result<Self, Error> {
        let u16_at = |i: usize| u16::from_le_bytes([bytes[i], bytes[i + 1]]);
        let u32_at = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        if bytes[..4] != MAGIC {
            return Err(Error::Magic);
        }
        let (version, size) = (u16_at(4), u16_at(6));
        if (version, usize::from(size)) != (0, HEADER) {
            return Err(Error::HeaderKind { version, size });
        }
        let fourcc = FourCc([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if fourcc != VP8 {
            return Err(Error::Codec(fourcc));
        }
        let time_base = TimeBase { num: u32_at(20), den: u32_at(16) };
        if time_base.num == 0 || time_base.den == 0 {
            return Err(Error::TimeBase);
        }
        Ok(Header {
            fourcc,
            dimensions: Dimensions { width: u16_at(12), height: u16_at(14) },
            time_base,
            length: u32_at(LENGTH_AT as usize),
        })
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[6..8].copy_from_slice(&(HEADER as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.fourcc.0);
        bytes[12..14].copy_from_slice(&self.dimensions.width.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.dimensions.height.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.time_base.den.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.time_base.num.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

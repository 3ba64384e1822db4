//! Media files for a participant without a camera, a microphone or a screen.
//!
//! ```text
//!   file to publish --> Source --> Frame { data, at, key }      a loop, paced by `at`
//!   frames received --> ivf::Writer / opus::Writer --> a recording that ordinary players open
//!   any such file   --> probe --> Summary, or one sentence that says what is wrong with it
//! ```
//!
//! - A file is known by its content, never by its name.
//! - Frames are encoded VP8 or Opus and stay so: nothing here decodes a picture or a sound.
//! - What is read is bounded by named constants, and bytes that are not what they claim to be are an
//!   error with advice, never a panic.
//! - A recording is whole after every write that reached the disk: a process that is killed leaves a
//!   shorter file, not a broken one.
//!
//! No clock and no task: `at` says when a frame is due, and the caller waits.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../deploy/media");
//! use conclave_media::{Codec, Source};
//!
//! let mut source = Source::open(format!("{dir}/camera-1.ivf"))?;
//! assert_eq!(source.codec(), Codec::Vp8);
//! let first = source.next_frame()?;
//! assert!(first.key && first.at.is_zero());
//! assert!(source.next_frame()?.at > first.at);
//! # Ok(())
//! # }
//! ```

mod error;
pub mod ivf;
pub mod opus;
mod probe;
mod source;
pub mod vp8;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use error::Error;
pub use probe::{Summary, probe};
pub use source::{Audio, Source, Video};

/// How the frames of a file are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Pictures, RFC 6386, in IVF.
    Vp8,
    /// Sound, RFC 6716, in Ogg (RFC 7845).
    Opus,
}

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dimensions {
    /// Pixels from left to right.
    pub width: u16,
    /// Pixels from top to bottom.
    pub height: u16,
}

/// One encoded picture or sound packet of a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the encoder made.
    pub data: Bytes,
    /// When it is due, counted from the source's first frame; never goes back, also when the file starts again.
    pub at: Duration,
    /// Can be decoded without the frames before it. Every Opus packet can.
    pub key: bool,
}

/// What a recording did with a frame handed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// It is in the file, or will be with the next page.
    Kept,
    /// It is of no use in the file: a picture before the first key frame, or a sound whose time is over.
    Skipped,
}

/// The longest time that a file may span, from zero to its last frame.
///
/// A capture time comes from a stranger; one absurd value must not make a recording that no player can seek in.
pub const MAX_POSITION: Duration = Duration::from_secs(7 * 24 * 3600);

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Codec::Vp8 => "VP8",
            Codec::Opus => "Opus",
        })
    }
}

impl fmt::Display for Dimensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

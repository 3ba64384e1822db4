//! The first bytes of a VP8 frame (RFC 6386, section 9.1): whether it is a key frame, and of what size.

use crate::Dimensions;

/// What a VP8 frame says of itself before its compressed data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// Can be decoded alone.
    Key(Dimensions),
    /// Needs the frames before it.
    Delta,
}

/// The bytes are no VP8 frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than the tag, or than the key frame header behind it.
    #[error("ends before its header does")]
    Short,
    /// The bitstream versions are 0 to 3.
    #[error("claims bitstream version {0}")]
    Version(u8),
    /// Three fixed bytes follow the tag of a key frame.
    #[error("lacks the start code of a key frame")]
    StartCode,
    /// A key frame of no pixels.
    #[error("has a width or height of zero")]
    NoPixels,
    /// The first partition would end behind the frame.
    #[error("is shorter than its first partition")]
    Partition,
}

const TAG: usize = 3;
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];

impl Tag {
    /// Reads the tag of one whole frame.
    pub fn read(frame: &[u8]) -> Result<Self, Malformed> {
        let (&[a, b, c], rest) = frame.split_first_chunk::<TAG>().ok_or(Malformed::Short)?;
        let bits = u32::from_le_bytes([a, b, c, 0]);
        let version = (a >> 1) & 7;
        if version > 3 {
            return Err(Malformed::Version(version));
        }
        let delta = bits & 1 == 1;
        let (tag, compressed) = if delta { (Tag::Delta, rest) } else { key(rest)? };
        if (bits >> 5) as usize > compressed.len() {
            return Err(Malformed::Partition);
        }
        Ok(tag)
    }

    /// Whether the frame can be decoded without the frames before it.
    pub fn is_key(self) -> bool {
        matches!(self, Tag::Key(_))
    }
}

/// The header of a key frame behind its tag: start code, then width and height, each 14 bits and 2 bits of scaling.
fn key(rest: &[u8]) -> Result<(Tag, &[u8]), Malformed> {
    let (start, rest) = rest.split_first_chunk::<3>().ok_or(Malformed::Short)?;
    if *start != START_CODE {
        return Err(Malformed::StartCode);
    }
    let (&[a, b, c, d], compressed) = rest.split_first_chunk::<4>().ok_or(Malformed::Short)?;
    let width = u16::from_le_bytes([a, b]) & 0x3fff;
    let height = u16::from_le_bytes([c, d]) & 0x3fff;
    if width == 0 || height == 0 {
        return Err(Malformed::NoPixels);
    }
    Ok((Tag::Key(Dimensions { width, height }), compressed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 0, shown, a first partition of one byte, 320 x 180.
    const KEY: [u8; 11] = [0x30, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00, 0xff];
    const DELTA: [u8; 4] = [0x31, 0, 0, 0xff];

    #[test]
    fn a_key_frame_says_its_size() {
        let tag = Tag::read(&KEY);
        assert_eq!(tag, Ok(Tag::Key(Dimensions { width: 320, height: 180 })));
    }

    #[test]
    fn a_delta_frame_is_no_key_frame() {
        assert_eq!(Tag::read(&DELTA), Ok(Tag::Delta));
    }

    #[test]
    fn every_truncation_is_refused() {
        for frame in [&KEY[..], &DELTA[..]] {
            for end in 0..frame.len() {
                assert!(Tag::read(&frame[..end]).is_err(), "{end} bytes");
            }
        }
    }

    #[test]
    fn a_wrong_start_code_version_or_size_is_refused() {
        let mut frame = KEY;
        frame[3] = 0;
        assert_eq!(Tag::read(&frame), Err(Malformed::StartCode));
        let mut frame = KEY;
        frame[0] |= 4 << 1;
        assert_eq!(Tag::read(&frame), Err(Malformed::Version(4)));
        let mut frame = KEY;
        (frame[6], frame[7]) = (0, 0xc0);
        assert_eq!(Tag::read(&frame), Err(Malformed::NoPixels));
    }
}

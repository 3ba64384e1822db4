//! Opus in Ogg (RFC 7845): two headers, then packets whose times follow from their lengths alone.
//!
//! Times are *granule positions*: samples at 48 kHz, whatever the encoder was fed with. A page carries the
//! position at its end; nothing carries the time of a packet. So a recording has no holes: what was lost on
//! the way is written as packets of zero-length frames, which ask the player's decoder to conceal the loss
//! (RFC 7845, section 4.1, forbids to advance the position without them).

pub mod packet;
mod read;
mod write;

use std::io;

use ogg::OggReadError;

pub(crate) use read::duration;
pub use read::{Packet, Reader};
pub use write::{Channels, MAX_GAP, SLACK, WriteError, Writer};

/// What an Ogg Opus file says at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// One or two.
    pub channels: u8,
    /// Samples at 48 kHz that a player drops at the start, while the decoder settles.
    pub pre_skip: u16,
}

/// What is wrong with an Ogg Opus file; continues the sentence "an Ogg file that ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system failed while reading.
    #[error("cannot be read ({0})")]
    Io(io::Error),
    /// The file ends within a page.
    #[error("is cut off in the middle of a page")]
    Cut,
    /// A page's checksum does not match its bytes.
    #[error("is damaged (a page has a wrong checksum)")]
    Checksum,
    /// No page where one should begin, or pages that do not continue each other.
    #[error("is damaged (its pages do not follow each other)")]
    Pages,
    /// The first packet is not OpusHead.
    #[error("does not hold Opus sound")]
    NotOpus,
    /// A version of the header, or an arrangement of channels, that is not understood.
    #[error("has an Opus header that is not understood (version {version}, {channels} channels, mapping {mapping})")]
    HeadKind {
        /// As in the file.
        version: u8,
        /// As in the file.
        channels: u8,
        /// As in the file.
        mapping: u8,
    },
    /// The second packet is not OpusTags, or its lengths are wrong.
    #[error("has no readable OpusTags behind its header")]
    Tags,
    /// A second stream beside or behind the first.
    #[error("holds more than one stream")]
    Streams,
    /// A packet that no decoder accepts.
    #[error("has a packet that is not Opus (packet {packet} {fault})")]
    Packet {
        /// Counted from 1.
        packet: u64,
        /// What is wrong with the packet.
        fault: packet::Malformed,
    },
    /// A page ends before the sound on it does.
    #[error("has a page whose time is too early (at packet {packet})")]
    Position {
        /// Counted from 1.
        packet: u64,
    },
    /// A time beyond [`MAX_POSITION`](crate::MAX_POSITION).
    #[error("has sound later than seven days (at packet {packet})")]
    TooLong {
        /// Counted from 1.
        packet: u64,
    },
    /// Headers and nothing behind them.
    #[error("has no sound in it")]
    NoPackets,
}

/// Samples in a second of granule position, for every Opus file.
pub const RATE: u32 = 48_000;

/// The first bytes of every Ogg page.
pub(crate) const MAGIC: [u8; 4] = *b"OggS";
const HEAD: &[u8; 8] = b"OpusHead";
const TAGS: &[u8; 8] = b"OpusTags";

impl From<OggReadError> for Error {
    fn from(error: OggReadError) -> Self {
        match error {
            OggReadError::ReadError(e) if e.kind() == io::ErrorKind::UnexpectedEof => Error::Cut,
            OggReadError::ReadError(e) => Error::Io(e),
            OggReadError::HashMismatch(..) => Error::Checksum,
            OggReadError::NoCapturePatternFound | OggReadError::InvalidStreamStructVer(_) | OggReadError::InvalidData => {
                Error::Pages
            }
        }
    }
}

impl Head {
    /// OpusHead, RFC 7845 section 5.1.
    fn decode(packet: &[u8]) -> Result<Self, Error> {
        let fixed = packet.strip_prefix(HEAD).ok_or(Error::NotOpus)?;
        let &[version, channels, skip0, skip1, .., mapping] = fixed.first_chunk::<11>().ok_or(Error::NotOpus)?;
        // A minor version (the lower half) stays readable, by the RFC.
        if version >> 4 != 0 || !(1..=2).contains(&channels) || mapping != 0 {
            return Err(Error::HeadKind { version, channels, mapping });
        }
        Ok(Head { channels, pre_skip: u16::from_le_bytes([skip0, skip1]) })
    }

    fn encode(self) -> Vec<u8> {
        let mut packet = HEAD.to_vec();
        packet.extend_from_slice(&[1, self.channels]);
        packet.extend_from_slice(&self.pre_skip.to_le_bytes());
        packet.extend_from_slice(&RATE.to_le_bytes());
        packet.extend_from_slice(&[0, 0, 0]); // gain 0 dB, mapping family 0
        packet
    }
}

/// OpusTags, RFC 7845 section 5.2: the lengths must hold; what the comments say is nobody's business here.
fn check_tags(packet: &[u8]) -> Result<(), Error> {
    fn text(bytes: &[u8]) -> Option<&[u8]> {
        let (length, rest) = number(bytes)?;
        rest.get(length as usize..)
    }
    fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        Some((u32::from_le_bytes(*length), rest))
    }
    let check = || {
        let (comments, mut rest) = number(text(packet.strip_prefix(TAGS)?)?)?;
        for _ in 0..comments {
            rest = text(rest)?;
        }
        Some(())
    };
    check().ok_or(Error::Tags)
}

/// OpusTags that name the writer and say nothing about who spoke.
fn encode_tags() -> Vec<u8> {
    const VENDOR: &[u8] = b"conclave";
    let mut packet = TAGS.to_vec();
    packet.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
    packet.extend_from_slice(VENDOR);
    packet.extend_from_slice(&0u32.to_le_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_headers_are_read_back() {
        let head = Head { channels: 2, pre_skip: 312 };
        assert_eq!(Head::decode(&head.encode()).expect("own header"), head);
        check_tags(&encode_tags()).expect("own tags");
    }

    #[test]
    fn every_truncation_of_the_headers_is_refused() {
        let head = Head { channels: 1, pre_skip: 312 }.encode();
        for end in 0..head.len() {
            assert!(Head::decode(&head[..end]).is_err(), "{end} bytes of OpusHead");
        }
        let mut tags = encode_tags();
        let comments = tags.len() - 4;
        tags[comments] = 1;
        tags.extend_from_slice(&[1, 0, 0, 0, b'x']);
        check_tags(&tags).expect("one comment");
        for end in 0..tags.len() {
            assert!(check_tags(&tags[..end]).is_err(), "{end} bytes of OpusTags");
        }
    }

    #[test]
    fn a_comment_count_that_lies_ends_at_the_packet() {
        let mut tags = encode_tags();
        let comments = tags.len() - 4;
        tags[comments..].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(check_tags(&tags), Err(Error::Tags)));
    }

    #[test]
    fn surround_sound_is_refused() {
        let mut head = Head { channels: 2, pre_skip: 0 }.encode();
        (head[9], head[18]) = (6, 1);
        assert!(matches!(Head::decode(&head), Err(Error::HeadKind { channels: 6, mapping: 1, .. })));
    }
}

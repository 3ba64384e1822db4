//! What is inside a media object's encryption: the encoded frame, and what its receiver needs to put it in order.

use bytes::Bytes;
use conclave_federation::wire::{Malformed, Reader, Wire, Writer};

/// Bytes before the encoded frame.
pub(crate) const OVERHEAD: usize = 1 + 8 + 4;

const KEY: u8 = 1;

/// A frame with its number. Numbers count the frames of a track from 0 without a gap, dropped ones included: so a receiver
/// knows exactly how many it missed, across groups, epochs and sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Whether it can be decoded alone.
    pub(crate) key: bool,
    /// Microseconds since 1970, on the sender's clock.
    pub(crate) captured_us: u64,
    /// Its number in the track.
    pub(crate) number: u32,
    /// The encoded frame.
    pub(crate) data: Bytes,
}

impl Wire for Frame {
    fn put(&self, out: &mut Writer) {
        out.u8(if self.key { KEY } else { 0 });
        out.u64(self.captured_us);
        out.u32(self.number);
        out.raw(&self.data);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let key = match from.u8()? {
            0 => false,
            KEY => true,
            _ => return Err(Malformed::Value("frame flags")),
        };
        let captured_us = from.u64()?;
        let number = from.u32()?;
        let left = from.left();
        Ok(Self { key, captured_us, number, data: from.bytes(left, "frame")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_flags_time_number_and_the_rest() {
        let frame = Frame { key: true, captured_us: 0x0102_0304_0506_0708, number: 9, data: Bytes::from_static(b"vp8") };
        let bytes = frame.encode();
        assert_eq!(bytes.as_ref(), [1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, b'v', b'p', b'8']);
        assert_eq!(Frame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn truncated_heads_and_unknown_flags_are_refused() {
        let bytes = Frame { key: false, captured_us: 1, number: 2, data: Bytes::new() }.encode();
        for len in 0..OVERHEAD {
            assert!(Frame::decode(&bytes.slice(..len)).is_err());
        }
        assert!(Frame::decode(&Bytes::from_static(&[2; 20])).is_err());
    }
}

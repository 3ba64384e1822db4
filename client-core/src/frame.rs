//! What is inside a media object's encryption: the encoded frame, and what its receiver needs to put it in order.

use bytes::Bytes;
use conclave_federation::wire::{Malformed, Reader, Wire, Writer};

/// Bytes before the encoded frame.
pub(crate) const OVERHEAD: usize = 1 + 8 + 4 + 1;

/// Flag: it can be decoded alone.
const KEY: u8 = 1;
/// Flag: a length u16 goes before the encoded frame, and zeros behind it.
const PADDED: u8 = 2;
/// Flag: there is no frame in it.
const COVER: u8 = 4;

/// A frame with its number. Numbers count the frames of a track from 0 without a gap, dropped ones included: so a receiver
/// knows exactly how many it missed, across groups, layers, epochs and sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// Microseconds since 1970, on the sender's clock.
    pub(crate) captured_us: u64,
    /// Its number in the track.
    pub(crate) number: u32,
    /// How many frames back the newest one is that it needs; 0: it can be decoded alone.
    pub(crate) back: u8,
    /// The encoded frame.
    pub(crate) data: Bytes,
}

impl Frame {
    /// Whether it can be decoded alone.
    pub(crate) const fn is_key(&self) -> bool {
        self.back == 0
    }

    /// The newest frame that it needs.
    pub(crate) fn needed(&self) -> Option<u32> {
        (!self.is_key()).then(|| self.number.wrapping_sub(u32::from(self.back)))
    }
}

impl Frame {
    fn put_head(&self, more: u8, out: &mut Writer) {
        out.u8(more | if self.is_key() { KEY } else { 0 });
        out.u64(self.captured_us);
        out.u32(self.number);
        out.u8(self.back);
    }
}

/// The frame in as many bytes as one whose encoded frame is as long as `size` and two more; longer ones go as long as they are.
pub(crate) fn padded(frame: &Frame, size: usize) -> Bytes {
    let Ok(len) = u16::try_from(frame.data.len()) else { return frame.encode() };
    let mut out = Writer::new();
    frame.put_head(PADDED, &mut out);
    out.u16(len);
    out.raw(&frame.data);
    out.raw(&vec![0; size.saturating_sub(frame.data.len())]);
    out.into_bytes()
}

/// No frame, in as many bytes as [`padded`] takes for one.
pub(crate) fn cover(size: usize) -> Bytes {
    let mut cover = padded(&Frame { captured_us: 0, number: 0, back: 0, data: Bytes::new() }, size).to_vec();
    if let Some(flags) = cover.first_mut() {
        *flags |= COVER;
    }
    cover.into()
}

/// Whether what was opened is cover: nothing else of it is looked at.
pub(crate) fn is_cover(opened: &[u8]) -> bool {
    opened.first().is_some_and(|flags| flags & COVER != 0)
}

impl Wire for Frame {
    fn put(&self, out: &mut Writer) {
        self.put_head(0, out);
        out.raw(&self.data);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = from.u8()?;
        let captured_us = from.u64()?;
        let number = from.u32()?;
        let back = from.u8()?;
        if flags & !PADDED != if back == 0 { KEY } else { 0 } {
            return Err(Malformed::Value("frame flags"));
        }
        let len = if flags & PADDED == 0 { from.left() } else { usize::from(from.u16()?) };
        let data = from.bytes(len, "frame")?;
        let padding = from.bytes(from.left(), "padding")?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(Malformed::Value("padding"));
        }
        Ok(Self { captured_us, number, back, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_flags_time_number_what_it_needs_and_the_rest() {
        let key = Frame { captured_us: 0x0102_0304_0506_0708, number: 9, back: 0, data: Bytes::from_static(b"vp8") };
        let bytes = key.encode();
        assert_eq!(bytes.as_ref(), [1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, b'v', b'p', b'8']);
        assert_eq!(Frame::decode(&bytes), Ok(key.clone()));
        let delta = Frame { back: 2, ..key };
        let bytes = delta.encode();
        assert_eq!(bytes.as_ref(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 2, b'v', b'p', b'8']);
        assert_eq!(Frame::decode(&bytes).map(|frame| frame.needed()), Ok(Some(7)));
        assert_eq!(Frame::decode(&bytes), Ok(delta));
    }

    #[test]
    fn a_padded_frame_and_cover_are_length_frame_and_zeros_and_equally_long() {
        let frame = Frame { captured_us: 0x0102_0304_0506_0708, number: 9, back: 0, data: Bytes::from_static(b"opus") };
        let bytes = padded(&frame, 6);
        assert_eq!(bytes.as_ref(), [3, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 4, b'o', b'p', b'u', b's', 0, 0]);
        assert_eq!(Frame::decode(&bytes), Ok(frame.clone()));
        assert_eq!(padded(&frame, 3).len(), padded(&frame, 4).len(), "a longer one goes as long as it is");
        assert_eq!(cover(6).as_ref(), [7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(is_cover(&cover(6)) && !is_cover(&bytes) && !is_cover(&frame.encode()) && !is_cover(&[]));
        assert!(Frame::decode(&cover(6)).is_err(), "cover is never shown");
        for len in 0..20 {
            assert!(Frame::decode(&bytes.slice(..len)).is_err());
        }
        let mut dirty = bytes.to_vec();
        dirty[21] = 1;
        assert!(Frame::decode(&Bytes::from(dirty)).is_err(), "padding is zeros");
    }

    #[test]
    fn truncated_heads_unknown_flags_and_key_frames_that_need_another_are_refused() {
        let bytes = Frame { captured_us: 1, number: 2, back: 3, data: Bytes::new() }.encode();
        for len in 0..OVERHEAD {
            assert!(Frame::decode(&bytes.slice(..len)).is_err());
        }
        assert!(Frame::decode(&bytes).is_ok());
        for (flags, back) in [(8, 2), (1, 1), (0, 0), (9, 0), (5, 0)] {
            let mut bytes = bytes.to_vec();
            (bytes[0], bytes[13]) = (flags, back);
            assert!(Frame::decode(&Bytes::from(bytes)).is_err(), "flags {flags}, back {back}");
        }
    }
}

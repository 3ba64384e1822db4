//! How long an Opus packet lasts, from its first two bytes (RFC 6716, section 3).

/// The bytes are no Opus packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No byte at all.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_PACKET`] bytes.
    #[error("has {0} bytes, more than Opus allows")]
    TooLarge(usize),
    /// Two frames of equal size in an odd number of bytes, or lengths missing.
    #[error("has frames that do not fill it")]
    Frames,
    /// No frames, or more than 120 ms of them.
    #[error("lasts {0} samples; more than 0 and at most 5760 are allowed")]
    Duration(u32),
}

/// The first byte of a packet: how it is encoded, how long a frame is, how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toc(u8);

/// The largest packet: 48 frames of 1,275 bytes and their lengths (RFC 7845, section 6).
pub const MAX_PACKET: usize = 61_440;

/// 120 ms at 48 kHz.
pub(super) const MAX_SAMPLES: u32 = 5_760;

/// Samples at 48 kHz in one whole packet.
pub fn samples(packet: &[u8]) -> Result<u32, Malformed> {
    let (&toc, rest) = packet.split_first().ok_or(Malformed::Empty)?;
    if packet.len() > MAX_PACKET {
        return Err(Malformed::TooLarge(packet.len()));
    }
    let frames = match toc & 3 {
        0 => 1,
        1 if rest.len() % 2 != 0 => return Err(Malformed::Frames),
        1 | 2 => 2,
        _ => u32::from(rest.first().ok_or(Malformed::Frames)? & 0x3f),
    };
    if toc & 3 == 2 && rest.is_empty() {
        return Err(Malformed::Frames);
    }
    match frames * Toc(toc).frame() {
        samples @ 1..=MAX_SAMPLES => Ok(samples),
        samples => Err(Malformed::Duration(samples)),
    }
}

impl Toc {
    /// The TOC byte of a packet that [`samples`] accepted.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        packet.first().copied().map(Toc)
    }

    /// Samples of one frame: by mode and the two bits that count within it.
    pub(super) fn frame(self) -> u32 {
        let step = u32::from(self.0 >> 3) & 3;
        match self.0 >> 3 {
            0..=11 => [480, 960, 1_920, 2_880][step as usize], // SILK: 10, 20, 40, 60 ms
            12..=15 => 480 << (step & 1),                      // hybrid: 10, 20 ms
            _ => 120 << step,                                  // CELT: 2.5, 5, 10, 20 ms
        }
    }

    /// A packet of this kind with `frames` frames of no bytes: "conceal this much". At most 120 ms.
    pub(super) fn concealed(self, frames: u8) -> [u8; 2] {
        [self.0 | 3, frames & 0x3f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_configurations_last_as_in_the_rfc() {
        // RFC 6716, table 2, in samples at 48 kHz.
        let expected = [
            [480, 960, 1920, 2880],
            [480, 960, 1920, 2880],
            [480, 960, 1920, 2880],
            [480, 960, 480, 960],
            [120, 240, 480, 960],
            [120, 240, 480, 960],
            [120, 240, 480, 960],
            [120, 240, 480, 960],
        ];
        for (config, samples_expected) in (0u8..).zip(expected.iter().flatten()) {
            assert_eq!(samples(&[config << 3, 1, 2]), Ok(*samples_expected), "configuration {config}");
        }
    }

    #[test]
    fn frames_are_counted_by_the_code() {
        let wideband_20ms = 9 << 3;
        assert_eq!(samples(&[wideband_20ms]), Ok(960));
        assert_eq!(samples(&[wideband_20ms | 1, 7, 7]), Ok(1920));
        assert_eq!(samples(&[wideband_20ms | 1, 7]), Err(Malformed::Frames));
        assert_eq!(samples(&[wideband_20ms | 2, 1, 7, 7]), Ok(1920));
        assert_eq!(samples(&[wideband_20ms | 2]), Err(Malformed::Frames));
        assert_eq!(samples(&[wideband_20ms | 3, 6]), Ok(5760));
        assert_eq!(samples(&[wideband_20ms | 3, 7]), Err(Malformed::Duration(6720)));
        assert_eq!(samples(&[wideband_20ms | 3, 0]), Err(Malformed::Duration(0)));
        assert_eq!(samples(&[wideband_20ms | 3]), Err(Malformed::Frames));
        assert_eq!(samples(&[]), Err(Malformed::Empty));
    }

    #[test]
    fn concealment_lasts_as_long_as_what_it_stands_for() {
        for config in 0..32u8 {
            let toc = Toc(config << 3);
            let most = (MAX_SAMPLES / toc.frame()) as u8;
            for frames in 1..=most {
                assert_eq!(samples(&toc.concealed(frames)), Ok(toc.frame() * u32::from(frames)));
            }
        }
    }
}

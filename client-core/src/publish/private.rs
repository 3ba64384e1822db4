//! Private audio: in small rooms a relay learns neither what is said nor when, from sizes and times.
//!
//! Frames of sound are as long as their track's size, and when the application writes nothing on a track that is neither
//! muted nor ended, *cover* goes in its place: a frame of the same size at the same pace, which receivers drop. Whoever mutes
//! a track shows that.

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::wire::Wire;

use crate::frame::{self, Frame};

/// Rooms of up to so many participants are small.
pub(crate) const SMALL_ROOM: usize = 8;

/// Sizes of an encoded frame of sound, in bytes: at 20 ms a frame 48, 64, 96, 128, 192, 256 and 384 kb/s. A track takes the
/// smallest that holds its longest frame so far and never goes back, so an encoder of constant rate keeps one from its first
/// frame on, and one of variable rate shows at most six times in a call that a frame was longer than all before.
const SIZES: [usize; 7] = [120, 160, 240, 320, 480, 640, 960];

/// What is longer than all of them is no voice: it goes in steps of this, by stream where it has to, and changes nothing for
/// those after it.
const STEP: usize = 256;

/// Times between two frames that are believed; Opus has 2.5 to 120 ms, and shorter than 10 would be a flood of cover.
const PACES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(120));

/// Before two frames have shown it.
const FIRST_PACE: Duration = Duration::from_millis(20);

/// The size and the pace of one track of sound.
pub(super) struct Private {
    size: usize,
    pace: Duration,
    captured_us: Option<u64>,
    /// When cover goes, if the application writes nothing before; `None` before the first frame and while muted.
    cover_at: Option<Duration>,
}

impl Default for Private {
    fn default() -> Self {
        let [smallest, ..] = SIZES;
        Self { size: smallest, pace: FIRST_PACE, captured_us: None, cover_at: None }
    }
}

impl Private {
    /// The application has a frame.
    pub(super) fn on_frame(&mut self, now: Duration, captured_us: u64, len: usize) {
        let passed = self.captured_us.replace(captured_us).and_then(|before| captured_us.checked_sub(before));
        if let Some(pace) = passed.map(Duration::from_micros).filter(|pace| *pace >= PACES.0 && *pace <= PACES.1) {
            self.pace = pace;
        }
        if len > self.size {
            self.size = SIZES.into_iter().find(|size| len <= *size).unwrap_or(self.size);
        }
        // Half a pace of patience: applications are woken late.
        self.cover_at = Some(now + self.pace * 3 / 2);
    }

    /// Nothing is to be heard of the track, by its publisher's own word.
    pub(super) const fn mute(&mut self) {
        self.cover_at = None;
    }

    /// When cover goes.
    pub(super) const fn cover_at(&self) -> Option<Duration> {
        self.cover_at
    }

    /// Whether cover goes now; however late that is, it is one frame.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        let Some(at) = self.cover_at.filter(|at| *at <= now) else { return false };
        let next = at + self.pace;
        self.cover_at = Some(if next > now { next } else { now + self.pace });
        true
    }

    /// The frame, as long as all of this track.
    pub(super) fn pad(&self, frame: &Frame) -> Bytes {
        let len = frame.data.len();
        frame::padded(frame, if len <= self.size { self.size } else { len.next_multiple_of(STEP) })
    }

    /// A frame that says nothing, as long as all of this track.
    pub(super) fn cover(&self) -> Bytes {
        frame::cover(self.size)
    }

    /// As it is, for a large room.
    pub(super) fn plain(frame: &Frame) -> Bytes {
        frame.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_track_takes_the_smallest_size_that_holds_its_longest_frame_and_never_goes_back() {
        let mut private = Private::default();
        let sizes = [3, 80, 120, 121, 10, 961, 100, 960, 5].map(|len| {
            private.on_frame(ms(0), 0, len);
            let data = Bytes::from(vec![1; len]);
            private.pad(&Frame { captured_us: 1, number: 2, back: 0, data }).len() - private.cover().len() + private.size
        });
        assert_eq!(sizes, [120, 120, 120, 160, 160, 1_024, 160, 960, 960]);
        let frame = Frame { captured_us: 1, number: 2, back: 0, data: Bytes::from_static(b"voice") };
        assert_eq!(private.pad(&frame).len(), private.cover().len());
    }

    #[test]
    fn cover_goes_at_the_pace_of_the_frames_from_a_pace_and_a_half_after_the_last_one_on() {
        let mut private = Private::default();
        assert!(!private.is_due(ms(1_000)), "nothing was ever said");
        private.on_frame(ms(0), 1_000_000, 80);
        assert_eq!(private.cover_at(), Some(ms(30)), "twenty milliseconds, until it is known");
        private.on_frame(ms(40), 1_040_000, 80);
        assert_eq!(private.cover_at(), Some(ms(100)));
        assert!(!private.is_due(ms(99)));
        assert!(private.is_due(ms(100)) && !private.is_due(ms(100)));
        assert_eq!(private.cover_at(), Some(ms(140)));
        assert!(private.is_due(ms(5_000)) && !private.is_due(ms(5_000)), "late, and one all the same");
        assert_eq!(private.cover_at(), Some(ms(5_040)));
        private.on_frame(ms(5_050), 1_000_000_000, 80);
        assert_eq!(private.cover_at(), Some(ms(5_110)), "a pause in the captures is no pace");
        private.mute();
        assert!(!private.is_due(ms(60_000)));
    }
}

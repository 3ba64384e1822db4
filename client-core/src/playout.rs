//! When what was received is to be heard and shown. Knows no device and no decoder: times in, times out.
//!
//! ```text
//!   frames of a voice  --> Sound    --> how much of it to hold before it is heard
//!   frames of a face   --> Picture  --> when it is to be shown, so that lips and words agree
//! ```
//!
//! Clocks of senders are not ours: only differences count. What a frame took from its capture to us, by the two clocks, is
//! its *transit*; the shortest one of late is the path's, and what a frame took longer is jitter.

mod picture;
mod sound;

use std::{collections::VecDeque, time::Duration};

pub use self::{
    picture::{Due, Picture},
    sound::{Sound, Target},
};

/// The shortest transit is looked for in the last two of these: long enough that a path shows its best, short enough that
/// clocks which drift apart by 100 parts in a million stay within a millisecond.
const WINDOW: Duration = Duration::from_secs(5);

/// The shortest transit of late.
#[derive(Default, Debug)]
struct Path {
    /// The shortest of a window, and when that window began; the newest last, at most two.
    shortest: VecDeque<(Duration, i64)>,
}

impl Path {
    /// A frame took so long.
    fn on_transit(&mut self, now: Duration, transit: i64) {
        match self.shortest.back_mut() {
            Some((since, shortest)) if now < *since + WINDOW => *shortest = transit.min(*shortest),
            Some(_) | None => self.shortest.push_back((now, transit)),
        }
        while self.shortest.len() > 2 {
            self.shortest.pop_front();
        }
    }

    fn forget(&mut self) {
        self.shortest.clear();
    }

    fn shortest(&self) -> Option<i64> {
        self.shortest.iter().map(|(_, shortest)| *shortest).min()
    }
}

/// Microseconds of a moment on our line.
fn micros(at: Duration) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// What a frame took, by the two clocks; their difference is in it, so it may be anything.
fn transit(now: Duration, captured_us: u64) -> i64 {
    micros(now).saturating_sub(i64::try_from(captured_us).unwrap_or(i64::MAX))
}

/// When what was captured then would be here, had it taken so long.
fn arrival(captured_us: u64, transit: i64) -> Duration {
    let at = i64::try_from(captured_us).unwrap_or(i64::MAX).saturating_add(transit);
    Duration::from_micros(u64::try_from(at).unwrap_or(0))
}

//! Frames of a file, at the time they are due.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Waits for the time of each frame.
pub(crate) struct Pace {
    /// When the frame at zero was due.
    origin: Instant,
}

/// Further behind than this, the lost time is left out instead of being made up for in a burst: the process was
/// stopped, or the machine slept, and nobody wants to see the past in fast motion.
const MAX_LATE: Duration = Duration::from_millis(500);

impl Pace {
    pub(crate) fn starting_now() -> Self {
        Self { origin: Instant::now() }
    }

    /// Waits until the frame that is `at` into the file is due. Returns how long ago that was.
    pub(crate) async fn wait(&mut self, at: Duration) -> Duration {
        let due = self.origin + at;
        sleep_until(due).await;
        let late = Instant::now().saturating_duration_since(due);
        if late > MAX_LATE {
            self.origin += late;
            return Duration::ZERO;
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn frames_go_out_at_their_times() {
        let start = Instant::now();
        let mut pace = Pace::starting_now();
        for frame in 0..100 {
            assert!(pace.wait(frame * FRAME).await < FRAME);
            let elapsed = start.elapsed();
            assert!(elapsed >= frame * FRAME && elapsed < (frame + 1) * FRAME, "{frame}: {elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_little_lateness_is_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::starting_now();
        advance(Duration::from_millis(100)).await;
        assert_eq!(pace.wait(FRAME).await, Duration::from_millis(80));
        assert_eq!(pace.wait(2 * FRAME).await, Duration::from_millis(60));
        pace.wait(10 * FRAME).await;
        assert!(start.elapsed() < 11 * FRAME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_sleep_is_not_played_back() {
        let mut pace = Pace::starting_now();
        advance(Duration::from_secs(60)).await;
        let woken = Instant::now();
        assert_eq!(pace.wait(FRAME).await, Duration::ZERO);
        for frame in 2..12 {
            pace.wait(frame * FRAME).await;
        }
        let elapsed = woken.elapsed();
        assert!(elapsed >= 10 * FRAME && elapsed < 12 * FRAME, "{elapsed:?}");
    }
}

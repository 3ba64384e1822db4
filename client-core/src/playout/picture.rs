//! When a picture is due: with the words that were said when it was taken, as far as that is worth waiting for.

use std::time::Duration;

use super::{Path, Sound, arrival, transit};

/// What comes this long after it was due is shown by what follows it; to show it would be a leap back.
const LATE_AFTER: Duration = Duration::from_millis(400);

/// When all has been late for so long, the path is another: pictures begin anew as they come.
const LATE_FOR: Duration = Duration::from_millis(500);

/// When to show a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// When, on our line: never before it came, at most [`Picture::MOST`] after that, and never before an earlier one.
    pub at: Duration,
    /// Decode it, because others may need it, but do not show it.
    pub late: bool,
}

/// The pictures of one track. One for each remote picture track; fed with each frame as it is told.
#[derive(Default, Debug)]
pub struct Picture {
    path: Path,
    /// Since when everything has been late.
    late_since: Option<Duration>,
    last: Duration,
}

impl Picture {
    /// The longest time between a picture's arrival and its showing, whatever its words do.
    pub const MOST: Duration = Duration::from_millis(200);

    /// Of which nothing is known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame came; `sound` is the same person's voice, if there is one that is heard. Without one pictures are shown as they
    /// come.
    pub fn on_frame(&mut self, now: Duration, captured_us: u64, sound: Option<&Sound>) -> Due {
        let transit = transit(now, captured_us);
        self.path.on_transit(now, transit);
        let own = arrival(captured_us, self.path.shortest().unwrap_or(transit));
        let with_words = sound.and_then(|sound| sound.heard_at(now, captured_us));
        // Two clocks of one sender agree; if they do not, nothing is waited for.
        let wanted = with_words.filter(|at| at.abs_diff(own) <= LATE_AFTER).unwrap_or(own);
        let mut late = wanted + LATE_AFTER < now;
        if late && now.saturating_sub(*self.late_since.get_or_insert(now)) >= LATE_FOR {
            self.path.forget();
            self.path.on_transit(now, transit);
            late = false;
        }
        if !late {
            self.late_since = None;
        }
        let at = wanted.max(self.last).clamp(now, now + Self::MOST);
        if !late {
            self.last = at;
        }
        Due { at, late }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    const THEIRS: u64 = 1_800_000_000_000_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A voice whose frames come 30 ms after their capture, and late by up to `jitter`.
    fn voice(until: u64, jitter: u64, rng: &mut ChaCha20Rng) -> Sound {
        let mut sound = Sound::new();
        let mut last = Duration::ZERO;
        for at in (0..until).step_by(20) {
            last = last.max(ms(at + 30 + rng.next_u64() % jitter));
            sound.on_frame(last, THEIRS + at * 1_000, 0);
        }
        sound
    }

    #[test]
    fn a_picture_is_due_when_its_words_are_heard() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let sound = voice(10_000, 90, &mut rng);
        let target = sound.target().delay;
        assert!(target >= ms(80), "{target:?}");
        let mut picture = Picture::new();
        for at in (9_000..10_000).step_by(33) {
            let due = picture.on_frame(ms(at + 40), THEIRS + at * 1_000, Some(&sound));
            let words = ms(at + 30) + target;
            assert!(due.at.abs_diff(words) <= ms(6) && !due.late, "{due:?}, words {words:?}");
        }
    }

    #[test]
    fn without_a_voice_it_is_shown_as_it_comes() {
        let mut picture = Picture::new();
        for at in (0..3_000).step_by(33) {
            let now = ms(at + 40 + at % 7);
            let due = picture.on_frame(now, THEIRS + at * 1_000, None);
            assert!(due.at >= now && due.at <= now + ms(7) && !due.late, "{due:?}");
        }
        let silent = Sound::new();
        assert_eq!(picture.on_frame(ms(3_100), THEIRS + 3_060_000, Some(&silent)).at, ms(3_100));
    }

    #[test]
    fn what_comes_after_a_stall_is_decoded_and_the_end_of_it_shown() {
        let mut picture = Picture::new();
        for at in (0..1_000).step_by(33) {
            picture.on_frame(ms(at + 40), THEIRS + at * 1_000, None);
        }
        // A second's worth comes at once.
        let now = ms(2_040);
        let dues: Vec<_> = (1_000..2_000).step_by(33).map(|at| (at, picture.on_frame(now, THEIRS + at * 1_000, None))).collect();
        for (at, due) in &dues {
            assert_eq!(due.late, 40 + at + 400 < 2_040, "captured at {at}");
            assert_eq!(due.at, now);
        }
        assert!(dues.iter().any(|(_, due)| due.late) && dues.iter().any(|(_, due)| !due.late));
    }

    #[test]
    fn a_path_that_became_longer_freezes_nobody() {
        let mut picture = Picture::new();
        for at in (0..2_000).step_by(33) {
            picture.on_frame(ms(at + 40), THEIRS + at * 1_000, None);
        }
        let hidden =
            (2_000..6_000).step_by(33).filter(|at| picture.on_frame(ms(at + 900), THEIRS + at * 1_000, None).late).count();
        assert!((1..=17).contains(&hidden), "half a second, not for ever: {hidden}");
    }

    #[test]
    fn whatever_comes_pictures_are_due_soon_and_in_order() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let sound = voice(3_000, 200, &mut rng);
        let mut picture = Picture::new();
        let mut now = ms(3_000);
        let mut last = Duration::ZERO;
        for _ in 0..5_000 {
            let chance = rng.next_u64();
            now += Duration::from_micros(chance % 40_000);
            let captured = if chance.is_multiple_of(5) {
                rng.next_u64()
            } else {
                THEIRS + u64::try_from(now.as_micros()).unwrap() - chance % 600_000
            };
            let due = picture.on_frame(now, captured, chance.is_multiple_of(2).then_some(&sound));
            assert!(due.at >= now && due.at <= now + Picture::MOST);
            if !due.late {
                assert!(due.at >= last || due.at == now + Picture::MOST);
                last = due.at;
            }
        }
    }
}

//! How much sound to hold: as little as the path's jitter allows.

use std::time::Duration;

use super::{Path, arrival, transit};

/// Jitter is counted in steps of this: half a frame of Opus.
const STEP: Duration = Duration::from_millis(10);

/// Steps that are told apart: up to [`Sound::MOST`], and one for all beyond.
const STEPS: usize = 20;

/// Of a hundred frames so many shall be there in time. One more would follow the single frames that any machine delays now
/// and then; one less could be heard.
const IN_TIME: f64 = 0.97;

/// What one frame weighs at least against all before it: about ten seconds of voice are remembered. Before there are so many, all
/// weigh the same: a bad path is known at once, and the few frames that were late while everything started are soon few again.
const WEIGHT: f64 = 1.0 / 500.0;

/// A frame's own length: it is heard from its beginning on, and arrives at its end.
const FRAME: Duration = Duration::from_millis(20);

/// How fast the target comes down again, for each second: slow enough that nobody hears it.
const DECAY: Duration = Duration::from_millis(20);

/// A transit this far from the shortest one is no jitter: a clock was set, or the path is another.
const JUMP: Duration = Duration::from_secs(2);

/// So many frames lost in a row are an interruption; what comes after it may come by another path.
const INTERRUPTION: u64 = 50;

/// For so long after its last frame a voice says when pictures are due.
const SILENT_AFTER: Duration = Duration::from_secs(2);

/// What to hold of a voice now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// How much sound lies between what arrives and what is heard, from [`Sound::LEAST`] to [`Sound::MOST`].
    pub delay: Duration,
    /// How late frames are, the last few of a hundred aside; in steps of 10 ms.
    pub jitter: Duration,
}

/// The voice of one track. One for each remote sound track; fed with each frame as it is told.
#[derive(Debug)]
pub struct Sound {
    path: Path,
    /// How often frames were so many steps late, the older ones forgotten; adds up to 1.
    late: [f64; STEPS + 1],
    frames: u32,
    target: Target,
    last: Option<Duration>,
}

impl Default for Sound {
    fn default() -> Self {
        Self::new()
    }
}

impl Sound {
    /// The least that is held: two frames, so that one may be late without being heard.
    pub const LEAST: Duration = Duration::from_millis(40);

    /// The most: beyond it people begin to talk into each other, and gaps are the smaller evil.
    pub const MOST: Duration = Duration::from_millis(200);

    /// Of which nothing is known yet: begins at 60 ms, what an ordinary path needs.
    #[must_use]
    pub fn new() -> Self {
        let target = Target { delay: Duration::from_millis(60), jitter: Duration::ZERO };
        Self { path: Path::default(), late: [0.0; STEPS + 1], frames: 0, target, last: None }
    }

    /// A frame came, `lost` frames behind the one before it; says what to hold from now on. `captured_us` is by the sender's
    /// clock, microseconds since 1970.
    pub fn on_frame(&mut self, now: Duration, captured_us: u64, lost: u64) -> Target {
        let transit = transit(now, captured_us);
        let jump = i64::try_from(JUMP.as_micros()).unwrap_or(i64::MAX);
        let jumped = self.path.shortest().is_some_and(|shortest| shortest.abs_diff(transit) > jump.unsigned_abs());
        if lost >= INTERRUPTION || jumped {
            self.path.forget();
        }
        self.path.on_transit(now, transit);
        let shortest = self.path.shortest().unwrap_or(transit);
        let late = Duration::from_micros(u64::try_from(transit.saturating_sub(shortest)).unwrap_or(0));
        self.count(late);
        self.target.jitter = self.jitter();
        let wanted = (self.target.jitter + FRAME).clamp(Self::LEAST, Self::MOST);
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last)).min(Duration::from_secs(1));
        let lowered = self.target.delay.saturating_sub(DECAY.mul_f64(passed.as_secs_f64()));
        self.target.delay = wanted.max(lowered);
        self.last = Some(now);
        self.target
    }

    /// What to hold now.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// When the sound of this moment of capture is heard, if the target is held; `None` while nothing is heard.
    #[must_use]
    pub fn heard_at(&self, now: Duration, captured_us: u64) -> Option<Duration> {
        let fresh = self.last.is_some_and(|last| now.saturating_sub(last) < SILENT_AFTER);
        let shortest = self.path.shortest().filter(|_| fresh)?;
        Some(arrival(captured_us, shortest) + self.target.delay)
    }

    fn count(&mut self, late: Duration) {
        self.frames = self.frames.saturating_add(1);
        let weight = (1.0 / f64::from(self.frames)).max(WEIGHT);
        let step = usize::try_from(late.as_micros() / STEP.as_micros()).unwrap_or(STEPS).min(STEPS);
        for share in &mut self.late {
            *share *= 1.0 - weight;
        }
        if let Some(share) = self.late.get_mut(step) {
            *share += weight;
        }
    }

    /// The upper end of the step within which so many are as shall be in time.
    fn jitter(&self) -> Duration {
        let mut in_time = 0.0;
        let mut jitter = STEP;
        for share in &self.late {
            in_time += share;
            if in_time >= IN_TIME {
                break;
            }
            jitter += STEP;
        }
        // Sums of fractions may end a little below one.
        jitter.min(Sound::MOST + STEP)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};

    use super::*;

    /// A sender's clock that is not ours.
    const THEIRS: u64 = 1_800_000_000_000_000;

    struct Voice {
        sound: Sound,
        rng: ChaCha20Rng,
        number: u64,
        last: Duration,
    }

    impl Voice {
        fn new(seed: u8) -> Self {
            Self { sound: Sound::new(), rng: ChaCha20Rng::from_seed([seed; 32]), number: 0, last: Duration::ZERO }
        }

        /// So many frames of 20 ms, each late by up to `jitter` ms; in order, as they are told.
        fn speak(&mut self, frames: u64, jitter: u64) -> Target {
            for _ in 0..frames {
                let sent = 20 * self.number;
                let late = if jitter == 0 { 0 } else { self.rng.next_u64() % jitter };
                self.last = self.last.max(Duration::from_millis(sent + 35 + late));
                self.sound.on_frame(self.last, THEIRS + sent * 1_000, 0);
                self.number += 1;
            }
            self.sound.target()
        }
    }

    #[test]
    fn on_a_good_path_the_least_is_held_soon() {
        let mut voice = Voice::new(1);
        assert_eq!(voice.speak(1, 0).delay, Duration::from_millis(60));
        assert_eq!(voice.speak(100, 8).delay, Sound::LEAST);
    }

    #[test]
    fn what_is_held_follows_the_jitter_within_half_a_second_and_covers_it() {
        for (seed, jitter) in [(1, 50), (2, 80), (3, 120), (4, 150)] {
            let mut voice = Voice::new(seed);
            let soon = voice.speak(25, jitter).delay;
            let then = voice.speak(1_000, jitter).delay;
            let most = Duration::from_millis(jitter) + FRAME + STEP;
            for delay in [soon, then] {
                assert!(delay >= Duration::from_millis(jitter * 8 / 10) && delay <= most, "{jitter} ms: {delay:?}");
            }
        }
    }

    #[test]
    fn a_path_that_turns_bad_is_followed_in_a_second_and_a_good_one_slowly() {
        let mut voice = Voice::new(5);
        voice.speak(500, 5);
        let worse = voice.speak(50, 100).delay;
        assert!(worse >= Duration::from_millis(90), "{worse:?}");
        let mut before = worse;
        for _ in 0..1_500 {
            let delay = voice.speak(1, 5).delay;
            assert!(before.saturating_sub(delay) <= Duration::from_millis(4), "from {before:?} to {delay:?}");
            before = delay;
        }
        assert_eq!(before, Sound::LEAST);
    }

    #[test]
    fn regression_what_was_late_while_everything_started_is_forgotten_in_seconds() {
        // A page that sets up its codecs takes nothing for 160 ms, and then eight frames at once: the target stayed high for half a minute.
        let mut voice = Voice::new(10);
        voice.speak(3, 5);
        voice.last += Duration::from_millis(160);
        let begun = voice.speak(8, 0).delay;
        assert!(begun >= Duration::from_millis(100), "{begun:?}");
        voice.speak(650, 5);
        assert_eq!(voice.sound.target().delay, Sound::LEAST);
    }

    #[test]
    fn one_frame_that_is_late_changes_nothing() {
        let mut voice = Voice::new(6);
        let before = voice.speak(500, 5).delay;
        let captured = THEIRS + 20_000 * voice.number;
        voice.number += 1;
        voice.last += Duration::from_millis(150);
        assert_eq!(voice.sound.on_frame(voice.last, captured, 0).delay, before);
    }

    #[test]
    fn whatever_comes_the_target_stays_within_its_bounds() {
        let mut voice = Voice::new(7);
        let mut now = Duration::ZERO;
        for _ in 0..5_000 {
            let chance = voice.rng.next_u64();
            now += Duration::from_micros(chance % 50_000);
            let captured = if chance.is_multiple_of(3) { voice.rng.next_u64() } else { THEIRS + chance % 10_000_000 };
            let Target { delay, jitter } = voice.sound.on_frame(now, captured, chance % 60);
            assert!(delay >= Sound::LEAST && delay <= Sound::MOST && jitter <= Sound::MOST + STEP);
            let _ = voice.sound.heard_at(now, voice.rng.next_u64());
        }
    }

    #[test]
    fn a_clock_that_is_set_is_no_jitter() {
        let mut voice = Voice::new(8);
        let before = voice.speak(200, 5).delay;
        for number in 0..200 {
            voice.last += Duration::from_millis(20);
            // An hour back, by their clock.
            voice.sound.on_frame(voice.last, THEIRS - 3_600_000_000 + 20_000 * number, 0);
        }
        assert!(voice.sound.target().delay <= before.max(Sound::LEAST) + STEP);
    }

    #[test]
    fn what_was_captured_is_heard_one_target_after_the_best_of_it_arrives() {
        let mut voice = Voice::new(9);
        let target = voice.speak(300, 5).delay;
        let heard = voice.sound.heard_at(voice.last, THEIRS + 20_000 * voice.number).unwrap();
        let best = Duration::from_millis(20 * voice.number + 35) + target;
        assert!(heard.abs_diff(best) <= Duration::from_millis(1), "{heard:?} {best:?}");
        assert_eq!(voice.sound.heard_at(voice.last + SILENT_AFTER, THEIRS), None);
    }
}

//! Frames of one track in order: wait a little for what is missing, then give it up and say so.
//!
//! The frames' own numbers, from inside the encryption, tell exactly what is missing. The first frame that arrives sets
//! the beginning: what was before it was before we joined.

use std::{collections::BTreeMap, time::Duration};

use crate::frame::Frame;

/// How long sound waits for a datagram that was overtaken. More would be heard as a lag, less would lose what only came by
/// another path.
const SOUND_WAIT: Duration = Duration::from_millis(60);

/// How long pictures wait: a group's last packets may need one more round trip while the next group is there already.
const PICTURE_WAIT: Duration = Duration::from_millis(250);

/// Frames that wait behind a gap; more than a second of a busy track means that the gap is not worth waiting for.
const MAX_WAITING: usize = 128;

/// Bytes that wait behind a gap.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// The shortest time between two requests for a key frame: relays let one through in half a second.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(600);

/// How long a picture may fail to begin before a key frame is asked for.
pub(crate) const KEY_FRAME_AFTER: Duration = Duration::from_millis(1_200);

/// A frame, and where relays saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    /// The frame.
    pub(crate) frame: Frame,
    /// Its group.
    pub(crate) group: u64,
    /// Its place in the group.
    pub(crate) object: u64,
    /// Its temporal layer.
    pub(crate) layer: u8,
}

/// What comes out, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ready {
    /// The next frame.
    Frame(Placed),
    /// So many will not come, or are of no use without those that will not.
    Lost(u64),
}

struct Waiting {
    placed: Placed,
    since: Duration,
}

/// One sender's frames on one track.
pub(crate) struct Order {
    /// Frames stand alone.
    alone: bool,
    /// The next number; `None` before the first frame.
    next: Option<u32>,
    waiting: BTreeMap<u32, Waiting>,
    waiting_bytes: usize,
    needs_key: bool,
    /// When to ask for a key frame, while one is needed.
    ask_at: Option<Duration>,
}

impl Order {
    /// From now on; `alone` for sound, where no frame needs another.
    pub(crate) fn new(alone: bool, now: Duration) -> Self {
        let ask_at = (!alone).then(|| now + KEY_FRAME_AFTER);
        Self { alone, next: None, waiting: BTreeMap::new(), waiting_bytes: 0, needs_key: !alone, ask_at }
    }

    /// A frame arrived.
    pub(crate) fn push(&mut self, now: Duration, placed: Placed, out: &mut Vec<Ready>) {
        let number = placed.frame.number;
        let Some(next) = self.next else {
            // Before the first key frame there is no picture, and nobody misses one.
            if placed.frame.key || self.alone {
                self.next = Some(number);
                self.deliver(placed, out);
            }
            return;
        };
        let ahead = number.wrapping_sub(next);
        if ahead > u32::MAX / 2 || self.waiting.contains_key(&number) {
            return;
        }
        if ahead == 0 {
            self.deliver(placed, out);
        } else {
            self.waiting_bytes += placed.frame.data.len();
            self.waiting.insert(number, Waiting { placed, since: now });
            while self.waiting.len() > MAX_WAITING || self.waiting_bytes > MAX_WAITING_BYTES {
                self.give_up(now, out);
            }
        }
        self.drain(out);
    }

    /// Time has passed: gives up what did not come.
    pub(crate) fn on_timeout(&mut self, now: Duration, out: &mut Vec<Ready>) {
        while self.gap_ends().is_some_and(|at| at <= now) {
            self.give_up(now, out);
            self.drain(out);
        }
    }

    /// Whether a key frame has to be asked for now.
    pub(crate) fn wants_key_frame(&mut self, now: Duration) -> bool {
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = Some(now + KEY_FRAME_PAUSE.max(KEY_FRAME_AFTER));
            return true;
        }
        false
    }

    /// When [`Order::on_timeout`] or [`Order::wants_key_frame`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        [self.gap_ends(), self.ask_at].into_iter().flatten().min()
    }

    fn gap_ends(&self) -> Option<Duration> {
        let wait = if self.alone { SOUND_WAIT } else { PICTURE_WAIT };
        self.waiting.values().map(|waiting| waiting.since + wait).min()
    }

    fn deliver(&mut self, placed: Placed, out: &mut Vec<Ready>) {
        self.next = Some(placed.frame.number.wrapping_add(1));
        if placed.frame.key {
            self.needs_key = false;
            self.ask_at = None;
        }
        if self.needs_key {
            out.push(Ready::Lost(1));
        } else {
            out.push(Ready::Frame(placed));
        }
    }

    fn drain(&mut self, out: &mut Vec<Ready>) {
        while let Some(waiting) = self.next.and_then(|next| self.waiting.remove(&next)) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.placed.frame.data.len());
            self.deliver(waiting.placed, out);
        }
    }

    /// The gap before the first waiting frame will not be closed.
    fn give_up(&mut self, now: Duration, out: &mut Vec<Ready>) {
        let Some(next) = self.next else { return };
        let Some(first) = self.waiting.keys().copied().min_by_key(|number| number.wrapping_sub(next)) else { return };
        let missing = first.wrapping_sub(next);
        if missing > 0 {
            out.push(Ready::Lost(u64::from(missing)));
            if !self.alone && !self.needs_key {
                self.needs_key = true;
                self.ask_at = Some(now);
            }
        }
        self.next = Some(first);
        self.drain(out);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn placed(number: u32, key: bool) -> Placed {
        let frame = Frame { key, captured_us: 0, number, data: Bytes::from_static(b"frame") };
        Placed { frame, group: 0, object: u64::from(number), layer: 0 }
    }

    struct Bench {
        order: Order,
        out: Vec<Ready>,
        now: Duration,
    }

    impl Bench {
        fn new(alone: bool) -> Self {
            Self { order: Order::new(alone, Duration::ZERO), out: vec![], now: Duration::ZERO }
        }

        fn push(&mut self, number: u32, key: bool) {
            self.order.push(self.now, placed(number, key), &mut self.out);
        }

        fn at(&mut self, ms: u64) {
            self.now = Duration::from_millis(ms);
            self.order.on_timeout(self.now, &mut self.out);
        }

        fn seen(&mut self) -> String {
            let words: Vec<_> = self
                .out
                .drain(..)
                .map(|ready| match ready {
                    Ready::Frame(placed) => placed.frame.number.to_string(),
                    Ready::Lost(count) => format!("-{count}"),
                })
                .collect();
            words.join(" ")
        }
    }

    #[test]
    fn sound_that_was_overtaken_is_put_back_in_order() {
        let mut bench = Bench::new(true);
        for number in [5, 7, 6, 8] {
            bench.push(number, true);
        }
        assert_eq!(bench.seen(), "5 6 7 8");
    }

    #[test]
    fn a_gap_in_sound_is_given_up_after_sixty_milliseconds() {
        let mut bench = Bench::new(true);
        bench.push(0, true);
        bench.push(3, true);
        bench.at(59);
        assert_eq!(bench.seen(), "0");
        bench.at(60);
        assert_eq!(bench.seen(), "-2 3");
        bench.push(1, true);
        bench.push(4, true);
        assert_eq!(bench.seen(), "4", "what comes after it was given up was counted already");
    }

    #[test]
    fn a_picture_begins_with_a_key_frame_and_nothing_before_it_is_missed() {
        let mut bench = Bench::new(false);
        bench.push(10, false);
        bench.push(11, false);
        bench.push(12, true);
        bench.push(13, false);
        assert_eq!(bench.seen(), "12 13");
        assert!(!bench.order.wants_key_frame(Duration::from_secs(100)));
    }

    #[test]
    fn after_a_gap_in_a_picture_all_is_dropped_until_the_next_key_frame_and_counted() {
        let mut bench = Bench::new(false);
        bench.push(0, true);
        bench.push(2, false);
        bench.push(3, false);
        assert_eq!(bench.seen(), "0");
        bench.at(250);
        assert_eq!(bench.seen(), "-1 -1 -1");
        assert!(bench.order.wants_key_frame(bench.now), "its sender is asked at once");
        assert!(!bench.order.wants_key_frame(bench.now), "and not again at once");
        bench.push(4, false);
        bench.push(5, true);
        bench.push(6, false);
        assert_eq!(bench.seen(), "-1 5 6");
    }

    #[test]
    fn a_picture_that_does_not_begin_asks_for_a_key_frame() {
        let mut bench = Bench::new(false);
        assert!(!bench.order.wants_key_frame(Duration::from_millis(1_199)));
        assert_eq!(bench.order.next_timeout(), Some(Duration::from_millis(1_200)));
        assert!(bench.order.wants_key_frame(Duration::from_millis(1_200)));
        bench.push(0, true);
        assert_eq!(bench.order.next_timeout(), None);
    }

    #[test]
    fn a_whole_group_lost_before_a_key_frame_is_counted_and_no_key_frame_is_asked_for() {
        let mut bench = Bench::new(false);
        bench.push(0, true);
        bench.push(30, true);
        bench.push(31, false);
        bench.at(250);
        assert_eq!(bench.seen(), "0 -29 30 31");
        assert!(!bench.order.wants_key_frame(bench.now));
    }

    #[test]
    fn numbers_may_run_over() {
        let mut bench = Bench::new(true);
        for number in [u32::MAX - 1, 0, u32::MAX, 1] {
            bench.push(number, true);
        }
        assert_eq!(bench.seen(), format!("{} {} 0 1", u32::MAX - 1, u32::MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Whatever is lost, repeated or overtaken: frames come out once, in order, and delivered and lost add up.
        #[test]
        fn delivered_and_lost_add_up(
            arrivals in proptest::collection::vec((0u32..400, 0u64..30), 1..300),
            alone in any::<bool>(),
        ) {
            let mut bench = Bench::new(alone);
            let mut now = 0;
            for (number, pause) in arrivals {
                now += pause;
                bench.at(now);
                bench.push(number, number % 10 == 0);
                prop_assert!(bench.order.waiting.len() <= MAX_WAITING);
            }
            bench.at(now + 10_000);
            prop_assert!(bench.order.waiting.is_empty());
            let mut last: Option<u32> = None;
            let (mut frames, mut lost) = (0, 0);
            let mut first = None;
            for ready in &bench.out {
                match ready {
                    Ready::Frame(placed) => {
                        prop_assert!(last.is_none_or(|last| last < placed.frame.number));
                        last = Some(placed.frame.number);
                        first = first.or(last);
                        frames += 1;
                    }
                    Ready::Lost(count) => lost += count,
                }
            }
            if let (Some(first), Some(next)) = (first, bench.order.next) {
                prop_assert_eq!(u64::from(next - first), frames + lost);
            }
        }
    }
}

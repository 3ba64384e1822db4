//! Frames of one track in order: wait a little for what is missing, then go on without it, or give it up and say so.
//!
//! The frames' own numbers, from inside the encryption, tell exactly what is missing, and each says which frame before it is
//! the newest that it needs. So a missing frame that nothing needs, of an upper layer, costs a short wait and itself; only
//! a base frame that needs a missing one ends the picture until the next key frame. The first frame that arrives sets the
//! beginning: what was before it was before we joined.

use std::{collections::BTreeMap, time::Duration};

use crate::{api::Media, frame::Frame};

/// How long sound waits for a datagram that was overtaken. More would be heard as a lag, less would lose what only came by
/// another path.
const SOUND_WAIT: Duration = Duration::from_millis(60);

/// How long pictures wait for a frame that is needed: a group's last packets may need one more round trip while the next
/// group is there already.
const PICTURE_WAIT: Duration = Duration::from_millis(250);

/// How long a frame that could be shown waits for those before it, which it does not need. More would make faces jump where
/// upper layers are dropped, less would drop what the base layer only overtook.
const UPPER_WAIT: Duration = Duration::from_millis(40);

/// Frames that wait behind a gap; more than a second of a busy track means that the gap is not worth waiting for.
const MAX_WAITING: usize = 128;

/// Bytes that wait behind a gap.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// The shortest time between two requests for a key frame: relays let one through in half a second.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(600);

/// How long a picture may fail to begin before a key frame is asked for.
pub(crate) const KEY_FRAME_AFTER: Duration = Duration::from_millis(1_200);

/// How long a track that was just subscribed to may show nothing before a key frame is asked for: what its relay keeps arrives
/// within a round trip.
const FIRST_PICTURE: Duration = Duration::from_millis(300);

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

/// How the frames of a track hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frames {
    /// Each stands alone: sound.
    Alone,
    /// Each needs the one before it, up to a key frame.
    Chained,
    /// As each says: a picture of several layers.
    Layered,
}

impl Frames {
    pub(crate) const fn of(media: &Media) -> Self {
        if media.is_audio() {
            Self::Alone
        } else if media.layers > 1 {
            Self::Layered
        } else {
            Self::Chained
        }
    }
}

struct Waiting {
    placed: Placed,
    since: Duration,
}

/// One sender's frames on one track.
pub(crate) struct Order {
    frames: Frames,
    /// The next number; `None` before the first frame.
    next: Option<u32>,
    waiting: BTreeMap<u32, Waiting>,
    waiting_bytes: usize,
    given: Given,
    needs_key: bool,
    /// When to ask for a key frame, while one is needed.
    ask_at: Option<Duration>,
}

impl Order {
    /// From now on.
    pub(crate) fn new(frames: Frames, now: Duration) -> Self {
        let needs_key = frames != Frames::Alone;
        let ask_at = needs_key.then(|| now + KEY_FRAME_AFTER);
        let given = Given::default();
        Self { frames, next: None, waiting: BTreeMap::new(), waiting_bytes: 0, given, needs_key, ask_at }
    }

    /// The relay sends the track from now on: for the first time, or again after it was out of reach. Whatever its publisher began
    /// meanwhile went by, and without a frame nothing else would show that one is missing.
    pub(crate) fn on_subscribed(&mut self, now: Duration) {
        if self.frames != Frames::Alone {
            let at = now + FIRST_PICTURE;
            self.ask_at = Some(self.ask_at.map_or(at, |asks| asks.min(at)));
        }
    }

    /// Its publisher says something else of the track now; never whether it is sound.
    pub(crate) const fn is(&mut self, frames: Frames) {
        self.frames = frames;
    }

    /// A frame arrived.
    pub(crate) fn push(&mut self, now: Duration, placed: Placed, out: &mut Vec<Ready>) {
        let number = placed.frame.number;
        // Before the first key frame there is no picture, and nobody misses one.
        if self.next.is_none() && !placed.frame.is_key() {
            return;
        }
        let next = *self.next.get_or_insert(number);
        if number.wrapping_sub(next) > u32::MAX / 2 || self.waiting.contains_key(&number) {
            return;
        }
        self.waiting_bytes += placed.frame.data.len();
        self.waiting.insert(number, Waiting { placed, since: now });
        self.settle(now, out);
        while self.waiting.len() > MAX_WAITING || self.waiting_bytes > MAX_WAITING_BYTES {
            if let Some(first) = self.first(|_| true) {
                self.skip_to(first, out);
            }
            self.settle(now, out);
        }
    }

    /// Time has passed: goes on without what did not come.
    pub(crate) fn on_timeout(&mut self, now: Duration, out: &mut Vec<Ready>) {
        self.settle(now, out);
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
        let gap = self.waiting.values().map(|waiting| self.gives_up(waiting)).min();
        [gap, self.ask_at].into_iter().flatten().min()
    }

    /// When a waiting frame stops waiting for those before it.
    fn gives_up(&self, waiting: &Waiting) -> Duration {
        let wait = match self.frames {
            Frames::Alone => SOUND_WAIT,
            Frames::Chained | Frames::Layered if !self.is_ready(waiting) => PICTURE_WAIT,
            // The end of the last group may still come, unless it is of no use any more.
            Frames::Chained if !self.needs_key => PICTURE_WAIT,
            Frames::Chained | Frames::Layered => UPPER_WAIT,
        };
        waiting.since + wait
    }

    /// Whether all that a frame needs was given to the application.
    fn is_ready(&self, waiting: &Waiting) -> bool {
        waiting.placed.frame.needed().is_none_or(|needed| self.given.has(needed))
    }

    /// The first waiting frame, in order, of which this holds.
    fn first(&self, holds: impl Fn(&Waiting) -> bool) -> Option<u32> {
        let next = self.next?;
        let those = self.waiting.iter().filter(|(_, waiting)| holds(waiting));
        those.map(|(number, _)| *number).min_by_key(|number| number.wrapping_sub(next))
    }

    /// Gives what is in order, and goes over what was waited for long enough.
    fn settle(&mut self, now: Duration, out: &mut Vec<Ready>) {
        loop {
            self.drain(now, out);
            if !self.waiting.values().any(|waiting| self.gives_up(waiting) <= now) {
                return;
            }
            // To the first that can be shown if one of these has waited long enough, else to whichever has.
            let shown = self.waiting.values().any(|waiting| self.is_ready(waiting) && self.gives_up(waiting) <= now);
            let to = if shown {
                self.first(|waiting| self.is_ready(waiting))
            } else {
                self.first(|waiting| self.gives_up(waiting) <= now)
            };
            let Some(to) = to else { return };
            self.skip_to(to, out);
        }
    }

    fn take(&mut self, number: u32) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.placed.frame.data.len());
        Some(waiting)
    }

    /// Gives all that follows without a gap.
    fn drain(&mut self, now: Duration, out: &mut Vec<Ready>) {
        while let Some((next, waiting)) = self.next.and_then(|next| Some((next, self.take(next)?))) {
            self.next = Some(next.wrapping_add(1));
            let placed = waiting.placed;
            if placed.frame.needed().is_none_or(|needed| self.given.has(needed)) {
                self.given.add(next);
                if placed.layer == 0 || placed.frame.is_key() {
                    self.needs_key = false;
                    self.ask_at = None;
                }
                out.push(Ready::Frame(placed));
                continue;
            }
            // What it needs will not come. Of an upper layer it is no loss that lasts.
            out.push(Ready::Lost(1));
            if placed.layer == 0 && !self.needs_key && self.frames != Frames::Alone {
                self.needs_key = true;
                self.ask_at = Some(now);
            }
        }
    }

    /// What is missing before this waiting frame will not be waited for any longer.
    fn skip_to(&mut self, to: u32, out: &mut Vec<Ready>) {
        let Some(next) = self.next else { return };
        let missing = to.wrapping_sub(next);
        let passed: Vec<u32> = self.waiting.keys().copied().filter(|number| number.wrapping_sub(next) < missing).collect();
        for number in passed {
            self.take(number);
        }
        if missing > 0 {
            out.push(Ready::Lost(u64::from(missing)));
        }
        self.next = Some(to);
    }
}

/// Which of the last frames the application was given: as many as a frame can point back to.
struct Given(Box<[Option<u32>; 256]>);

impl Default for Given {
    fn default() -> Self {
        Self(Box::new([None; 256]))
    }
}

impl Given {
    fn place(number: u32) -> usize {
        let [.., low] = number.to_be_bytes();
        usize::from(low)
    }

    fn add(&mut self, number: u32) {
        if let Some(place) = self.0.get_mut(Self::place(number)) {
            *place = Some(number);
        }
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(Self::place(number)) == Some(&Some(number))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn placed(number: u32, key: bool) -> Placed {
        of_layer(number, u8::from(!key), 0)
    }

    fn of_layer(number: u32, back: u8, layer: u8) -> Placed {
        let frame = Frame { captured_us: 0, number, back, data: Bytes::from_static(b"frame") };
        Placed { frame, group: 0, object: u64::from(number), layer }
    }

    struct Bench {
        order: Order,
        out: Vec<Ready>,
        now: Duration,
    }

    impl Bench {
        fn new(frames: Frames) -> Self {
            Self { order: Order::new(frames, Duration::ZERO), out: vec![], now: Duration::ZERO }
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
        let mut bench = Bench::new(Frames::Alone);
        for number in [5, 7, 6, 8] {
            bench.push(number, true);
        }
        assert_eq!(bench.seen(), "5 6 7 8");
    }

    #[test]
    fn a_gap_in_sound_is_given_up_after_sixty_milliseconds() {
        let mut bench = Bench::new(Frames::Alone);
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
        let mut bench = Bench::new(Frames::Chained);
        bench.push(10, false);
        bench.push(11, false);
        bench.push(12, true);
        bench.push(13, false);
        assert_eq!(bench.seen(), "12 13");
        assert!(!bench.order.wants_key_frame(Duration::from_secs(100)));
    }

    #[test]
    fn after_a_gap_in_a_picture_all_is_dropped_until_the_next_key_frame_and_counted() {
        let mut bench = Bench::new(Frames::Chained);
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
        let mut bench = Bench::new(Frames::Chained);
        assert!(!bench.order.wants_key_frame(Duration::from_millis(1_199)));
        assert_eq!(bench.order.next_timeout(), Some(Duration::from_millis(1_200)));
        assert!(bench.order.wants_key_frame(Duration::from_millis(1_200)));
        bench.push(0, true);
        assert_eq!(bench.order.next_timeout(), None);
    }

    #[test]
    fn regression_a_picture_that_stays_away_after_the_relay_was_gone_is_asked_for() {
        // The key frame that its publisher began with went by before we had subscribed again.
        let mut bench = Bench::new(Frames::Chained);
        bench.push(0, true);
        bench.at(10_000);
        assert!(!bench.order.wants_key_frame(bench.now), "whoever shows the same picture for long is not asked");
        bench.order.on_subscribed(bench.now);
        assert!(!bench.order.wants_key_frame(bench.now + Duration::from_millis(299)));
        assert!(bench.order.wants_key_frame(bench.now + Duration::from_millis(300)));
        bench.push(1, true);
        assert!(!bench.order.wants_key_frame(bench.now + Duration::from_secs(10)));
        let mut sound = Bench::new(Frames::Alone);
        sound.order.on_subscribed(sound.now);
        assert!(!sound.order.wants_key_frame(Duration::from_secs(10)));
    }

    #[test]
    fn a_whole_group_lost_before_a_key_frame_is_counted_and_no_key_frame_is_asked_for() {
        let mut bench = Bench::new(Frames::Chained);
        bench.push(0, true);
        bench.push(30, true);
        bench.push(31, false);
        bench.at(250);
        assert_eq!(bench.seen(), "0 -29 30 31");
        assert!(!bench.order.wants_key_frame(bench.now));
    }

    #[test]
    fn numbers_may_run_over() {
        let mut bench = Bench::new(Frames::Alone);
        for number in [u32::MAX - 1, 0, u32::MAX, 1] {
            bench.push(number, true);
        }
        assert_eq!(bench.seen(), format!("{} {} 0 1", u32::MAX - 1, u32::MAX));
    }

    /// Key frame, then frames of the layers 1 and 0 in turn, and how far back each looks.
    const L1T2: [(u8, u8); 8] = [(0, 0), (1, 1), (0, 2), (1, 1), (0, 2), (1, 1), (0, 2), (1, 1)];
    /// The same of three layers: 0 2 1 2 0 2 1 2.
    const L1T3: [(u8, u8); 8] = [(0, 0), (2, 1), (1, 2), (2, 1), (0, 4), (2, 1), (1, 2), (2, 1)];

    /// Frame `number` of a stream of such groups without further key frames.
    fn layered(pattern: [(u8, u8); 8], number: u32) -> Placed {
        let (layer, back) = match pattern.iter().cycle().nth(usize::try_from(number % 8).unwrap()) {
            Some((0, 0)) if number > 0 => (0, if pattern == L1T2 { 2 } else { 4 }),
            Some(shape) => *shape,
            None => (0, 0),
        };
        of_layer(number, back, layer)
    }

    #[test]
    fn a_missing_upper_frame_costs_forty_milliseconds_and_itself() {
        let mut bench = Bench::new(Frames::Layered);
        for number in [0, 2, 3] {
            bench.order.push(bench.now, layered(L1T2, number), &mut bench.out);
        }
        assert_eq!(bench.order.next_timeout(), Some(UPPER_WAIT));
        bench.at(39);
        assert_eq!(bench.seen(), "0");
        bench.at(40);
        assert_eq!(bench.seen(), "-1 2 3");
        assert!(!bench.order.wants_key_frame(Duration::from_secs(9)));
    }

    #[test]
    fn frames_that_need_a_missing_upper_one_go_with_it() {
        let mut bench = Bench::new(Frames::Layered);
        for number in [0, 1, 3, 4, 5] {
            bench.order.push(bench.now, layered(L1T3, number), &mut bench.out);
        }
        bench.at(40);
        assert_eq!(bench.seen(), "0 1 -2 4 5", "3 needed 2");
        // Alone behind the gap it waits longer, and is dropped without a word to its sender.
        bench.order.push(bench.now, layered(L1T3, 7), &mut bench.out);
        bench.at(290);
        assert_eq!(bench.seen(), "-1 -1");
        assert!(!bench.order.wants_key_frame(Duration::from_secs(9)));
        bench.order.push(bench.now, layered(L1T3, 8), &mut bench.out);
        assert_eq!(bench.seen(), "8");
    }

    #[test]
    fn a_missing_base_frame_is_waited_for_and_then_a_key_frame_is_asked_for() {
        let mut bench = Bench::new(Frames::Layered);
        for number in [0, 1, 3, 4, 5] {
            bench.order.push(bench.now, layered(L1T2, number), &mut bench.out);
        }
        bench.at(249);
        assert_eq!(bench.seen(), "0 1");
        assert!(!bench.order.wants_key_frame(bench.now));
        bench.at(250);
        assert_eq!(bench.seen(), "-1 -1 -1 -1");
        assert!(bench.order.wants_key_frame(bench.now));
        bench.order.push(bench.now, layered(L1T2, 6), &mut bench.out);
        bench.order.push(bench.now, of_layer(9, 0, 0), &mut bench.out);
        assert_eq!(bench.seen(), "-1");
        bench.at(290);
        assert_eq!(bench.seen(), "-2 9", "what is between is of no use");
        assert!(!bench.order.wants_key_frame(Duration::from_secs(9)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Frames every 20 ms, each a little late, of the upper layers any lost.
        #[test]
        fn lost_upper_frames_never_stall_the_base_or_ask_for_a_key_frame(
            three in any::<bool>(),
            fates in proptest::collection::vec((any::<bool>(), 0u64..15), 8..200),
        ) {
            let pattern = if three { L1T3 } else { L1T2 };
            let mut bench = Bench::new(Frames::Layered);
            let mut arrived = std::collections::BTreeMap::new();
            let mut given = std::collections::BTreeSet::new();
            let last = u32::try_from(fates.len()).unwrap();
            let mut check = |bench: &mut Bench, arrived: &std::collections::BTreeMap<u32, u64>| {
                for ready in bench.out.drain(..) {
                    let Ready::Frame(placed) = ready else { continue };
                    let number = placed.frame.number;
                    prop_assert!(placed.frame.needed().is_none_or(|needed| given.contains(&needed)), "{number} cannot be decoded");
                    given.insert(number);
                    if placed.layer == 0 {
                        let waited = bench.now.saturating_sub(Duration::from_millis(arrived[&number]));
                        prop_assert!(waited <= UPPER_WAIT, "{number} waited {waited:?}");
                    }
                }
                prop_assert!(!bench.order.wants_key_frame(bench.now));
                Ok(())
            };
            for (number, (lost, late)) in (0..last).zip(fates) {
                let at = 20 * u64::from(number) + late;
                // Time passes in the steps that were asked for.
                while let Some(due) = bench.order.next_timeout().filter(|due| *due <= Duration::from_millis(at)) {
                    bench.at(u64::try_from(due.as_millis()).unwrap());
                    check(&mut bench, &arrived)?;
                }
                bench.at(at);
                let placed = layered(pattern, number);
                if placed.layer == 0 || !lost {
                    arrived.insert(number, at);
                    bench.order.push(bench.now, placed, &mut bench.out);
                }
                check(&mut bench, &arrived)?;
            }
            bench.at(20 * u64::from(last) + 10_000);
            // The times of the last ones do not count: nobody asked when they are due.
            bench.out.retain(|ready| matches!(ready, Ready::Lost(_)));
            prop_assert!(!bench.order.wants_key_frame(bench.now));
        }

        /// Whichever base frame is lost: its sender is asked.
        #[test]
        fn a_lost_base_frame_asks_for_a_key_frame(
            three in any::<bool>(),
            which in 1u32..10,
        ) {
            let pattern = if three { L1T3 } else { L1T2 };
            let step = if three { 4 } else { 2 };
            let mut bench = Bench::new(Frames::Layered);
            let mut asked = 0;
            for number in (0..80).filter(|number| *number != which * step) {
                bench.at(20 * u64::from(number));
                bench.order.push(bench.now, layered(pattern, number), &mut bench.out);
                asked += u32::from(bench.order.wants_key_frame(bench.now));
            }
            prop_assert!(asked >= 1);
            let base_after = |ready: &Ready| matches!(ready, Ready::Frame(placed) if placed.frame.number > which * step);
            prop_assert!(!bench.out.iter().any(base_after), "nothing behind it can be decoded");
        }

        /// Whatever is lost, repeated or overtaken: frames come out once, in order, and delivered and lost add up.
        #[test]
        fn delivered_and_lost_add_up(
            arrivals in proptest::collection::vec((0u32..400, 0u64..30), 1..300),
            frames in prop_oneof![Just(Frames::Alone), Just(Frames::Chained), Just(Frames::Layered)],
        ) {
            let mut bench = Bench::new(frames);
            let mut now = 0;
            for (number, pause) in arrivals {
                now += pause;
                bench.at(now);
                bench.push(number, number % 10 == 0 || frames == Frames::Alone);
                prop_assert!(bench.order.waiting.len() <= MAX_WAITING);
            }
            bench.at(now + 10_000);
            prop_assert!(bench.order.waiting.is_empty());
            let mut last: Option<u32> = None;
            let (mut shown, mut lost) = (0, 0);
            let mut first = None;
            for ready in &bench.out {
                match ready {
                    Ready::Frame(placed) => {
                        prop_assert!(last.is_none_or(|last| last < placed.frame.number));
                        last = Some(placed.frame.number);
                        first = first.or(last);
                        shown += 1;
                    }
                    Ready::Lost(count) => lost += count,
                }
            }
            if let (Some(first), Some(next)) = (first, bench.order.next) {
                prop_assert_eq!(u64::from(next - first), shown + lost);
            }
        }
    }
}

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

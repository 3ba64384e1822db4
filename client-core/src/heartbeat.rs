//! Signs of life, on the control track of each participant.
//!
//! A heartbeat echoes the newest counters that its sender has seen of others. Only an echo of one's own recent counter
//! proves that what one sends and what one sees are current; that something arrives proves nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::Head,
    wire::{List, Malformed, Reader, Wire, Writer},
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

/// Up to this many leaves a heartbeat comes every [`PERIOD`]; above, every N/20 s, so that the room hears twenty a second
/// whatever its size.
const PERIOD_LEAVES: u32 = 100;
/// See [`PERIOD_LEAVES`].
const PERIOD: Duration = Duration::from_secs(5);

/// Counters of others that a heartbeat echoes. Eight drawn at random reach everybody of a room within a few periods.
const ECHOES: usize = 8;
/// What is accepted of others: hosts echo everybody.
const MAX_ECHOES: usize = conclave_federation::limits::MAX_LEAVES as usize;

/// Without an echo of our own counter for this long, with somebody else in the room, its control is out of reach.
const ECHO_PATIENCE: Duration = Duration::from_secs(45);

/// In rooms where that is longer: one period for our heartbeat, one for the host's that echoes it, one that may be lost.
const PATIENT_PERIODS: u32 = 3;

/// After this much more we send nothing any more: whoever was removed meanwhile, and of whom we have not heard, opens what we
/// sealed until then.
const STOP_AFTER: Duration = Duration::from_secs(15);

/// How long an echo may stay away in a room of this size.
fn patience(leaves: usize) -> Duration {
    ECHO_PATIENCE.max(period(leaves) * PATIENT_PERIODS)
}

/// Whether what we see of the room is known to be current.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Freshness {
    /// Somebody has echoed a counter of ours lately.
    Current,
    /// Nobody has, for too long: people are told.
    Lost,
    /// Still nobody: nothing is sent.
    Stopped,
}

/// Own counters whose time is remembered: more than are sent while the patience lasts.
const MAX_SENT: usize = 64;

/// The nominal time between two heartbeats in a room of this size.
pub(crate) fn period(leaves: usize) -> Duration {
    let leaves = u32::try_from(leaves).unwrap_or(u32::MAX);
    if leaves <= PERIOD_LEAVES { PERIOD } else { PERIOD * leaves / PERIOD_LEAVES }
}

/// One counter that was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Echo {
    /// Of this leaf.
    pub(crate) leaf: u16,
    /// The counter.
    pub(crate) counter: u32,
}

impl Wire for Echo {
    fn put(&self, out: &mut Writer) {
        out.u16(self.leaf);
        out.u32(self.counter);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { leaf: from.u16()?, counter: from.u32()? })
    }
}

/// One sign of life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Heartbeat {
    /// The sender's epoch.
    pub(crate) epoch: u64,
    /// Entries of the log that the sender has seen.
    pub(crate) seq: u64,
    /// The head after them.
    pub(crate) head: Head,
    /// Counts up.
    pub(crate) counter: u32,
    /// None is defined.
    pub(crate) flags: u8,
    /// Of others.
    pub(crate) echoes: List<Echo, MAX_ECHOES>,
}

impl Wire for Heartbeat {
    fn put(&self, out: &mut Writer) {
        out.u64(self.epoch);
        out.u64(self.seq);
        self.head.put(out);
        out.u32(self.counter);
        out.u8(self.flags);
        self.echoes.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            epoch: from.u64()?,
            seq: from.u64()?,
            head: Wire::take(from)?,
            counter: from.u32()?,
            flags: from.u8()?,
            echoes: Wire::take(from)?,
        })
    }
}

/// When our heartbeats are due, and what they echo.
pub(crate) struct Pulse {
    leaf: u16,
    next_at: Duration,
    counter: u32,
    sent: VecDeque<(u32, Duration)>,
    seen: BTreeMap<u16, u32>,
    /// When the newest counter of ours that somebody echoed was sent; what passed without a session is added.
    echoed: Duration,
    /// Since when there is no session.
    silent_since: Option<Duration>,
}

impl Pulse {
    /// The first one is due at once.
    pub(crate) const fn new(leaf: u16, now: Duration) -> Self {
        Self {
            leaf,
            next_at: now,
            counter: 0,
            sent: VecDeque::new(),
            seen: BTreeMap::new(),
            echoed: now,
            silent_since: Some(now),
        }
    }

    /// On another leaf, perhaps, and with others around: counting goes on, the next one is due at once.
    pub(crate) fn sit_down(&mut self, leaf: u16, now: Duration) {
        self.leaf = leaf;
        self.next_at = now;
        self.seen.clear();
        self.restart(now);
    }

    /// There is no session: nothing is sent, and nothing can be echoed.
    pub(crate) fn on_lost(&mut self, now: Duration) {
        self.silent_since.get_or_insert(now);
    }

    /// There is a session again, in which we are heard. The clock goes on where it stood: a relay that ends sessions gains no time.
    pub(crate) fn on_attached(&mut self, now: Duration) {
        if let Some(since) = self.silent_since.take() {
            self.echoed = now.min(self.echoed + now.saturating_sub(since));
        }
    }

    /// When the next one is due.
    pub(crate) const fn next_at(&self) -> Duration {
        self.next_at
    }

    /// The next one's counter and echoes: of everybody if we are a host. Its successor comes up to a sixth before the period is
    /// over.
    pub(crate) fn beat(&mut self, now: Duration, leaves: usize, host: bool, rng: &mut ChaCha20Rng) -> (u32, Vec<Echo>) {
        let period = period(leaves);
        let sixth = u64::try_from(period.as_millis() / 6).unwrap_or(u64::MAX).max(1);
        self.next_at = now + period - Duration::from_millis(rng.next_u64() % sixth);
        self.counter = self.counter.wrapping_add(1);
        self.sent.push_back((self.counter, now));
        while self.sent.len() > MAX_SENT {
            self.sent.pop_front();
        }
        let mut others: Vec<Echo> = self.seen.iter().map(|(leaf, counter)| Echo { leaf: *leaf, counter: *counter }).collect();
        while others.len() > if host { MAX_ECHOES } else { ECHOES } {
            let at = usize::try_from(rng.next_u64() % u64::try_from(others.len()).unwrap_or(1)).unwrap_or(0);
            others.swap_remove(at);
        }
        (self.counter, others)
    }

    /// Somebody else's arrived: gives the counter of ours that it echoes, if it does. Whether that `vouches` for what we see is
    /// the roster's to say: somebody who was removed, without our knowledge, would echo us gladly.
    pub(crate) fn on_beat(&mut self, leaf: u16, beat: &Heartbeat, vouches: bool) -> Option<u32> {
        let newest = self.seen.entry(leaf).or_insert(beat.counter);
        if beat.counter > *newest {
            *newest = beat.counter;
        }
        let echo = beat.echoes.iter().find(|echo| echo.leaf == self.leaf)?;
        let (counter, at) = self.sent.iter().find(|(counter, _)| *counter == echo.counter)?;
        if vouches {
            self.echoed = self.echoed.max(*at);
        }
        Some(*counter)
    }

    /// The counter of our newest heartbeat so far; 0 before the first.
    pub(crate) const fn counter(&self) -> u32 {
        self.counter
    }

    /// A leaf is gone, or another sits there now.
    pub(crate) fn forget(&mut self, leaf: u16) {
        self.seen.remove(&leaf);
    }

    /// Time begins anew: on a new leaf, or when we had been alone.
    pub(crate) fn restart(&mut self, now: Duration) {
        self.echoed = self.echoed.max(now);
    }

    /// How it stands in a room of this size.
    pub(crate) fn freshness(&self, now: Duration, leaves: usize) -> Freshness {
        let lost_at = self.echoed + patience(leaves);
        if now < lost_at {
            Freshness::Current
        } else if now < lost_at + STOP_AFTER {
            Freshness::Lost
        } else {
            Freshness::Stopped
        }
    }

    /// When that gets worse, if no echo comes before.
    pub(crate) fn worse_at(&self, now: Duration, leaves: usize) -> Option<Duration> {
        let lost_at = self.echoed + patience(leaves);
        [lost_at, lost_at + STOP_AFTER].into_iter().find(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn beat(counter: u32, echoes: &[Echo]) -> Heartbeat {
        let echoes = List::new(echoes.to_vec()).unwrap();
        Heartbeat { epoch: 3, seq: 4, head: Head::START, counter, flags: 0, echoes }
    }

    #[test]
    fn heartbeats_come_before_their_period_is_over_and_not_all_at_once() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut pulse = Pulse::new(0, Duration::ZERO);
        let mut pauses = std::collections::BTreeSet::new();
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            pulse.beat(now, 5, false, &mut rng);
            let pause = pulse.next_at() - now;
            assert!(pause > Duration::from_millis(4_166) && pause <= Duration::from_secs(5), "{pause:?}");
            pauses.insert(pause);
            now = pulse.next_at();
        }
        assert!(pauses.len() > 40);
        assert_eq!(period(100), Duration::from_secs(5));
        assert_eq!(period(1_000), Duration::from_secs(50));
    }

    #[test]
    fn only_an_echo_of_our_own_counter_proves_that_we_are_heard() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let mut pulse = Pulse::new(2, Duration::ZERO);
        let (counter, _) = pulse.beat(Duration::from_secs(10), 3, false, &mut rng);
        pulse.on_beat(1, &beat(1, &[Echo { leaf: 3, counter }]), true);
        pulse.on_beat(1, &beat(2, &[Echo { leaf: 2, counter: counter + 7 }]), true);
        assert_eq!(pulse.worse_at(Duration::ZERO, 3), Some(ECHO_PATIENCE));
        assert_eq!(pulse.on_beat(1, &beat(3, &[Echo { leaf: 2, counter }]), false), Some(counter));
        assert_eq!(pulse.worse_at(Duration::ZERO, 3), Some(ECHO_PATIENCE), "of somebody whose word is not enough");
        pulse.on_beat(1, &beat(3, &[Echo { leaf: 2, counter }]), true);
        assert_eq!(pulse.worse_at(Duration::ZERO, 3), Some(Duration::from_secs(10) + ECHO_PATIENCE));
        let (_, echoes) = pulse.beat(Duration::from_secs(15), 3, false, &mut rng);
        assert_eq!(echoes, [Echo { leaf: 1, counter: 3 }]);
    }

    #[test]
    fn in_a_large_room_eight_are_echoed_and_everybody_in_time() {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let mut pulse = Pulse::new(0, Duration::ZERO);
        for leaf in 1..=60 {
            pulse.on_beat(leaf, &beat(1, &[]), true);
        }
        let mut echoed = std::collections::BTreeSet::new();
        for second in 0..100 {
            let (_, echoes) = pulse.beat(Duration::from_secs(second), 61, false, &mut rng);
            assert_eq!(echoes.len(), ECHOES);
            echoed.extend(echoes.iter().map(|echo| echo.leaf));
        }
        assert_eq!(echoed.len(), 60);
        let (_, echoes) = pulse.beat(Duration::from_secs(100), 61, true, &mut rng);
        assert_eq!(echoes.len(), 60, "a host echoes everybody");
    }

    #[test]
    fn time_without_a_session_does_not_count_and_a_new_session_does_not_begin_it_anew() {
        let mut pulse = Pulse::new(0, Duration::ZERO);
        let second = Duration::from_secs;
        pulse.on_attached(second(3));
        assert_eq!(pulse.worse_at(second(3), 3), Some(second(48)));
        pulse.on_lost(second(40));
        pulse.on_lost(second(41));
        pulse.on_attached(second(100));
        assert_eq!(pulse.worse_at(second(100), 3), Some(second(108)));
        pulse.on_attached(second(101));
        assert_eq!(pulse.worse_at(second(101), 3), Some(second(108)), "said twice");
    }

    #[test]
    fn without_an_echo_control_is_lost_after_45_s_and_nothing_is_sent_after_60() {
        let pulse = Pulse::new(0, Duration::ZERO);
        let at = |millis, leaves| pulse.freshness(Duration::from_millis(millis), leaves);
        assert_eq!((at(44_999, 3), at(45_000, 3)), (Freshness::Current, Freshness::Lost));
        assert_eq!((at(59_999, 3), at(60_000, 3)), (Freshness::Lost, Freshness::Stopped));
        assert_eq!(pulse.worse_at(Duration::from_secs(45), 3), Some(Duration::from_secs(60)));
        assert_eq!(pulse.worse_at(Duration::from_secs(60), 3), None);
        // Heartbeats are rare in a room of a thousand, and so are echoes.
        assert_eq!((at(149_999, 1_000), at(150_000, 1_000)), (Freshness::Current, Freshness::Lost));
    }
}

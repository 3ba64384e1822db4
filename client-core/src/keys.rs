//! From epochs to media keys: which base keys are held, and for how long.
//!
//! A frame names its epoch by eight bits. The key is picked by them exactly, never by trial: AES-GCM does not commit to
//! its key.

use std::{collections::VecDeque, fmt, time::Duration};

use zeroize::Zeroizing;

/// Frames of an epoch that was left are still opened for this long: what was under way when the commit was applied.
const PREVIOUS_FOR: Duration = Duration::from_secs(5);

/// The same after somebody was removed by a host: they have the old key, and so has whoever works with them. What the
/// removed one themselves sealed is not taken at all from then on: their leaf is not in the tree.
const PREVIOUS_AFTER_REMOVAL: Duration = Duration::from_secs(2);

/// Epochs held besides the current one. A storm of joins makes a few a second; more than these in five seconds would
/// only keep old keys alive.
const MAX_PREVIOUS: usize = 16;

/// Length of a base key: AES-128-GCM.
pub(crate) const BASE_KEY_LEN: usize = 16;

/// `MLS-Exporter("SFrame 1.0 Base Key", "", 16)` of one epoch; wiped when dropped, never shown.
#[derive(Clone)]
pub(crate) struct BaseKey(Zeroizing<[u8; BASE_KEY_LEN]>);

impl BaseKey {
    /// Takes the exported bytes.
    pub(crate) fn new(bytes: [u8; BASE_KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for key derivation.
    pub(crate) fn expose(&self) -> &[u8; BASE_KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for BaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BaseKey(..)")
    }
}

/// An epoch and its key.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    /// MLS' number.
    pub(crate) number: u64,
    /// Its key.
    pub(crate) base: BaseKey,
}

struct Previous {
    epoch: Epoch,
    until: Duration,
}

/// The epochs whose frames can be opened now.
pub(crate) struct Window {
    joined: u64,
    current: Epoch,
    previous: VecDeque<Previous>,
}

/// What eight bits of an epoch mean now.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// This one.
    Held(&'a Epoch),
    /// One that we have not reached yet: the log will bring it, or it is junk.
    Newer,
    /// One whose key is gone.
    Gone,
    /// One from before we were here.
    BeforeJoin,
}

impl Window {
    /// In the epoch in which we entered.
    pub(crate) const fn new(current: Epoch) -> Self {
        Self { joined: current.number, current, previous: VecDeque::new() }
    }

    /// The group moved on. An epoch that is not newer changes nothing: its counters have been used.
    pub(crate) fn advance(&mut self, now: Duration, epoch: Epoch) -> bool {
        self.advance_for(now, epoch, PREVIOUS_FOR)
    }

    /// The group moved on without somebody whom a host removed: no key that they have is held for longer than two
    /// seconds, those of epochs before the last included.
    pub(crate) fn advance_after_removal(&mut self, now: Duration, epoch: Epoch) -> bool {
        let moved = self.advance_for(now, epoch, PREVIOUS_AFTER_REMOVAL);
        if moved {
            for previous in &mut self.previous {
                previous.until = previous.until.min(now + PREVIOUS_AFTER_REMOVAL);
            }
        }
        moved
    }

    fn advance_for(&mut self, now: Duration, epoch: Epoch, held_for: Duration) -> bool {
        if epoch.number <= self.current.number {
            return false;
        }
        let left = std::mem::replace(&mut self.current, epoch);
        self.previous.push_back(Previous { epoch: left, until: now + held_for });
        while self.previous.len() > MAX_PREVIOUS {
            self.previous.pop_front();
        }
        // Eight bits have to name one epoch: none is held that is further back than half of their range.
        let oldest = self.current.number.saturating_sub(127);
        self.previous.retain(|previous| previous.epoch.number >= oldest);
        true
    }

    /// Drops the keys whose time is over.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.previous.retain(|previous| previous.until > now);
    }

    /// Down to which epoch keys are held.
    pub(crate) fn oldest(&self) -> u64 {
        self.previous.front().map_or(self.current.number, |previous| previous.epoch.number)
    }

    /// When the next key is due to be dropped.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.previous.iter().map(|previous| previous.until).min()
    }

    /// The epoch that these eight bits name.
    pub(crate) fn find(&self, low: u8) -> Found<'_> {
        if low_bits(self.current.number) == low {
            return Found::Held(&self.current);
        }
        if let Some(previous) = self.previous.iter().rev().find(|previous| low_bits(previous.epoch.number) == low) {
            return Found::Held(&previous.epoch);
        }
        let ahead = low.wrapping_sub(low_bits(self.current.number));
        if ahead < 128 {
            return Found::Newer;
        }
        let behind = 256 - u64::from(ahead);
        match self.current.number.checked_sub(behind) {
            Some(number) if number >= self.joined => Found::Gone,
            Some(_) | None => Found::BeforeJoin,
        }
    }

    /// All keys held, for the leak check.
    #[cfg(feature = "audit")]
    pub(crate) fn all(&self) -> impl Iterator<Item = &Epoch> {
        self.previous.iter().map(|previous| &previous.epoch).chain([&self.current])
    }
}

/// What a KID carries of an epoch.
pub(crate) fn low_bits(epoch: u64) -> u8 {
    let [.., low] = epoch.to_be_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64) -> Epoch {
        let [.., low] = number.to_be_bytes();
        Epoch { number, base: BaseKey::new([low; BASE_KEY_LEN]) }
    }

    fn held(window: &Window, low: u8) -> Option<u64> {
        match window.find(low) {
            Found::Held(epoch) => Some(epoch.number),
            Found::Newer | Found::Gone | Found::BeforeJoin => None,
        }
    }

    #[test]
    fn after_a_removal_no_older_epoch_is_opened_for_more_than_two_seconds() {
        let mut window = Window::new(epoch(3));
        window.advance(Duration::from_secs(10), epoch(4));
        assert!(window.advance_after_removal(Duration::from_secs(11), epoch(5)));
        assert!(!window.advance_after_removal(Duration::from_secs(20), epoch(5)), "the same again changes nothing");
        assert_eq!(window.next_timeout(), Some(Duration::from_secs(13)));
        window.expire(Duration::from_millis(12_999));
        assert_eq!((held(&window, 3), held(&window, 4), held(&window, 5)), (Some(3), Some(4), Some(5)));
        window.expire(Duration::from_secs(13));
        assert_eq!((held(&window, 3), held(&window, 4), held(&window, 5)), (None, None, Some(5)));
        // A key that was to go earlier still goes then.
        window.advance(Duration::from_secs(20), epoch(6));
        window.advance_after_removal(Duration::from_secs(24), epoch(7));
        window.expire(Duration::from_secs(25));
        assert_eq!((held(&window, 5), held(&window, 6)), (None, Some(6)));
    }

    #[test]
    fn an_epoch_left_is_opened_for_five_seconds() {
        let mut window = Window::new(epoch(3));
        assert!(window.advance(Duration::from_secs(10), epoch(4)));
        assert_eq!(held(&window, 3), Some(3));
        window.expire(Duration::from_millis(14_999));
        assert_eq!(window.oldest(), 3);
        assert_eq!(held(&window, 3), Some(3));
        assert_eq!(window.next_timeout(), Some(Duration::from_secs(15)));
        window.expire(Duration::from_secs(15));
        assert_eq!(window.oldest(), 4);
        assert!(matches!(window.find(3), Found::Gone));
        assert!(matches!(window.find(2), Found::BeforeJoin));
    }

    #[test]
    fn at_most_sixteen_epochs_are_held_besides_the_current_one() {
        let mut window = Window::new(epoch(0));
        for number in 1..=40 {
            assert!(window.advance(Duration::ZERO, epoch(number)));
        }
        assert_eq!((0..=40).filter(|low| held(&window, *low).is_some()).count(), MAX_PREVIOUS + 1);
        assert_eq!(held(&window, 24), Some(24));
        assert_eq!(held(&window, 23), None);
    }

    #[test]
    fn an_epoch_never_comes_back() {
        let mut window = Window::new(epoch(7));
        assert!(!window.advance(Duration::ZERO, epoch(7)));
        assert!(!window.advance(Duration::ZERO, epoch(6)));
        assert_eq!(window.current.number, 7);
    }

    #[test]
    fn eight_bits_ahead_are_newer_and_behind_are_gone() {
        let mut window = Window::new(epoch(250));
        window.advance(Duration::ZERO, epoch(300));
        assert!(matches!(window.find(low_bits(301)), Found::Newer));
        assert!(matches!(window.find(low_bits(427)), Found::Newer));
        assert!(matches!(window.find(low_bits(299)), Found::Gone));
        assert!(matches!(window.find(low_bits(249)), Found::BeforeJoin));
        assert_eq!(held(&window, low_bits(250)), Some(250));
        window.advance(Duration::ZERO, epoch(300 + 127));
        assert_eq!(held(&window, low_bits(300)), Some(300));
        assert_eq!(held(&window, low_bits(250)), None);
    }
}

//! The last messages as they were signed: for reports, and for newcomers where the room shows them any.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use conclave_federation::proof::VerifyingKey;

/// Messages that are kept: as many as newcomers may ever be shown.
pub(crate) const MAX_KEPT: usize = 200;

/// Their bytes, at most.
const MAX_KEPT_BYTES: usize = 512 * 1024;

/// None is kept for longer.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// A message that was shown, or said by us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    /// Its name.
    pub(crate) id: [u8; 16],
    /// Whose.
    pub(crate) author: VerifyingKey,
    /// Where they sat.
    pub(crate) leaf: u16,
    /// What they called themselves.
    pub(crate) name: String,
    /// As it was signed.
    pub(crate) signed: Bytes,
    /// The epoch in which it was said first.
    pub(crate) epoch: u64,
    /// When it came to us.
    pub(crate) at: Duration,
    /// Whether the room showed newcomers the chat when it was said.
    pub(crate) shared: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Recent {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl Recent {
    /// Keeps one more.
    pub(crate) fn keep(&mut self, kept: Kept) {
        let now = kept.at;
        self.bytes += kept.signed.len();
        self.kept.push_back(kept);
        let old = |oldest: &Kept| oldest.at + KEPT_FOR <= now;
        while self.kept.len() > MAX_KEPT || self.bytes > MAX_KEPT_BYTES || self.kept.front().is_some_and(old) {
            let Some(gone) = self.kept.pop_front() else { return };
            self.bytes -= gone.signed.len();
        }
    }

    /// The message of this name, as its author signed it.
    pub(crate) fn find(&self, id: &[u8; 16]) -> Option<&Kept> {
        self.kept.iter().find(|kept| kept.id == *id)
    }

    /// The last `count` that newcomers of `epoch` may be shown and that came at `since` or later, the oldest first; not more than
    /// `bytes` of them, then the newest.
    pub(crate) fn last(&self, epoch: u64, count: usize, since: Duration, mut bytes: usize) -> Vec<&Kept> {
        let may = |kept: &&Kept| kept.shared && kept.at >= since && kept.epoch < epoch;
        let fits = |kept: &&Kept| {
            let len = kept.signed.len() + kept.name.len() + 64;
            bytes.checked_sub(len).is_some_and(|left| {
                bytes = left;
                true
            })
        };
        let mut last: Vec<_> = self.kept.iter().rev().filter(may).take(count).take_while(fits).collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u32, at: u64, len: usize, shared: bool) -> Kept {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let (author, name) = (VerifyingKey::new([1; 32]), "name".to_owned());
        let (signed, at) = (Bytes::from(vec![0; len]), Duration::from_secs(at));
        Kept { id, author, leaf: 1, name, signed, epoch: u64::from(number), at, shared }
    }

    #[test]
    fn the_newest_are_kept_and_all_of_it_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..1_000 {
            recent.keep(kept(number, 1, 4_300, true));
            assert!(recent.kept.len() <= MAX_KEPT && recent.bytes <= MAX_KEPT_BYTES);
        }
        assert!(recent.find(&kept(999, 0, 0, true).id).is_some() && recent.find(&kept(0, 0, 0, true).id).is_none());
        recent.keep(kept(2_000, 24 * 3600 + 1, 1, true));
        assert_eq!(recent.kept.len(), 1, "nothing is older than a day");
    }

    #[test]
    fn newcomers_are_shown_the_newest_that_the_room_lets_them_see() {
        let mut recent = Recent::default();
        for number in 0..10 {
            recent.keep(kept(number, u64::from(number), 100, number != 8));
        }
        let numbers = |last: Vec<&Kept>| last.iter().map(|kept| kept.id[3]).collect::<Vec<_>>();
        assert_eq!(numbers(recent.last(90, 3, Duration::ZERO, 10_000)), [6, 7, 9]);
        assert_eq!(numbers(recent.last(90, 50, Duration::from_secs(7), 10_000)), [7, 9]);
        assert_eq!(numbers(recent.last(90, 50, Duration::ZERO, 400)), [7, 9]);
        assert_eq!(numbers(recent.last(7, 2, Duration::ZERO, 10_000)), [5, 6], "what is said since they came they hear");
        assert!(recent.last(90, 0, Duration::ZERO, 400).is_empty());
    }
}

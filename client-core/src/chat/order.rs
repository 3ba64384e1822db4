//! The order of each author's messages: what comes too early waits a moment for what is missing, what comes twice is dropped,
//! and what does not come is told as a gap.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::proof::VerifyingKey;

use super::{Again, Heard, MAX_ASKED};

/// Messages of one author that wait for one before them. MLS itself takes no more than 32 out of order.
const MAX_EARLY: usize = 32;

/// Messages of all authors together that wait: about a megabyte at their longest.
const MAX_EARLY_OF_ALL: usize = 256;

/// Authors that are remembered, those who have gone included: whoever comes back goes on with their numbers.
const MAX_AUTHORS: usize = 4_096;

/// After this long the author is asked for what is missing, and again after the same time.
///
/// Shorter asks for what is only late; longer makes people wait for what follows.
const ASK_AFTER: Duration = Duration::from_millis(400);

/// After this long what is missing is given up: a conversation that stands still for longer is worse than a gap that is told.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);

/// What may be shown now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ready {
    /// So many messages will not come.
    Gap(u64),
    /// The next one.
    Message(Heard),
}

#[derive(Default)]
struct Author {
    /// The number that may be shown next; `None` until it is known where we came in.
    next: Option<u64>,
    early: BTreeMap<u32, Heard>,
    /// Since when something is missing.
    since: Option<Duration>,
    /// When to ask for it.
    ask_at: Option<Duration>,
}

/// All authors, by leaf key: it stays the same when they come back.
#[derive(Default)]
pub(crate) struct Order {
    authors: BTreeMap<VerifyingKey, Author>,
    /// Those who spoke, the one who was silent for longest first.
    recent: VecDeque<VerifyingKey>,
    early: usize,
}

impl Order {
    /// A message of `author` came; `first_epoch` is the one in which we came in. Gives what may be shown now: nothing when it
    /// came before, or waits.
    pub(crate) fn take(&mut self, now: Duration, author: VerifyingKey, heard: Heard, first_epoch: u64) -> Vec<Ready> {
        let (place, before) = (heard.message.number, heard.message.before);
        self.remember(author);
        let known = self.authors.entry(author).or_default();
        let number = u64::from(place);
        if known.next.is_none() && (place == 0 || before < first_epoch) {
            known.next = Some(number);
        }
        if known.next.is_some_and(|next| number < next) || known.early.contains_key(&place) {
            return Vec::new();
        }
        known.early.insert(place, heard);
        self.early += 1;
        let mut ready = Vec::new();
        known.drain(&mut ready);
        let full = known.early.len() > MAX_EARLY || self.early - shown(&ready) > MAX_EARLY_OF_ALL;
        if full {
            known.give_up(&mut ready);
        }
        known.wait(now);
        self.early -= shown(&ready);
        ready
    }

    fn remember(&mut self, author: VerifyingKey) {
        self.recent.retain(|known| *known != author);
        self.recent.push_back(author);
        while self.recent.len() > MAX_AUTHORS {
            if let Some(gone) = self.recent.pop_front().and_then(|oldest| self.authors.remove(&oldest)) {
                self.early -= gone.early.len();
            }
        }
    }

    /// What was waited for in vain: by whom, and what may be shown without it.
    pub(crate) fn on_timeout(&mut self, now: Duration) -> Vec<(VerifyingKey, Vec<Ready>)> {
        let mut all = Vec::new();
        for (key, author) in &mut self.authors {
            if author.since.is_some_and(|since| since + GIVE_UP_AFTER <= now) {
                let mut ready = Vec::new();
                author.give_up(&mut ready);
                // The next gap has its own time.
                author.since = None;
                author.wait(now);
                self.early -= shown(&ready);
                all.push((*key, ready));
            }
        }
        all
    }

    /// What to ask for now.
    pub(crate) fn asks(&mut self, now: Duration) -> Vec<Again> {
        let mut asks = Vec::new();
        for (key, author) in &mut self.authors {
            if author.ask_at.is_none_or(|at| at > now) {
                continue;
            }
            author.ask_at = Some(now + ASK_AFTER);
            let Some(first) = author.early.keys().next().copied() else { continue };
            let from = author.next.and_then(|next| u32::try_from(next).ok());
            let from = from.unwrap_or_else(|| first.saturating_sub(u32::from(MAX_ASKED)));
            let count = u8::try_from(first.saturating_sub(from)).unwrap_or(u8::MAX).min(MAX_ASKED);
            if count > 0 {
                asks.push(Again { author: *key, from, count });
            }
        }
        asks
    }

    /// We were not listening: whatever is missing gets its time anew.
    pub(crate) fn restart(&mut self, now: Duration) {
        for author in self.authors.values_mut().filter(|author| author.since.is_some()) {
            author.since = Some(now);
            author.ask_at = Some(now + ASK_AFTER);
        }
    }

    /// When something is to be asked for or given up.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let waits = |author: &Author| [author.since.map(|since| since + GIVE_UP_AFTER), author.ask_at];
        self.authors.values().filter(|author| author.since.is_some()).flat_map(waits).flatten().min()
    }
}

impl Author {
    /// What follows without a gap.
    fn drain(&mut self, ready: &mut Vec<Ready>) {
        while let Some((number, next)) = self.early.keys().next().copied().zip(self.next) {
            if u64::from(number) != next {
                return;
            }
            let Some(heard) = self.early.remove(&number) else { return };
            self.next = Some(next + 1);
            ready.push(Ready::Message(heard));
        }
    }

    /// What is missing before the first that waits will not come.
    fn give_up(&mut self, ready: &mut Vec<Ready>) {
        let Some(first) = self.early.keys().next().copied().map(u64::from) else { return };
        // Whoever never heard this author knows of one that is missing, and not of more.
        let missing = self.next.map_or(1, |next| first - next);
        if missing > 0 {
            ready.push(Ready::Gap(missing));
        }
        self.next = Some(first);
        self.drain(ready);
    }

    fn wait(&mut self, now: Duration) {
        if self.early.is_empty() {
            self.since = None;
            self.ask_at = None;
        } else if self.since.is_none() {
            self.since = Some(now);
            self.ask_at = Some(now + ASK_AFTER);
        }
    }
}

fn shown(ready: &[Ready]) -> usize {
    ready.iter().filter(|one| matches!(one, Ready::Message(_))).count()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave_federation::wire::Text;
    use proptest::prelude::*;

    use super::{super::Message, *};

    const ALICE: VerifyingKey = VerifyingKey::new([1; 32]);
    const BOB: VerifyingKey = VerifyingKey::new([2; 32]);
    const START: Duration = Duration::from_secs(100);

    /// Said in epoch 5, after another one in epoch 5.
    fn message(number: u32) -> Heard {
        after(number, 5)
    }

    fn after(number: u32, before: u64) -> Heard {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let message = Message { id, number, before, unix_ms: 0, epoch: 5, transcript: [0; 32], text: Text::cut("x") };
        Heard { message, signed: Bytes::new(), leaf: 0 }
    }

    fn words(ready: &[Ready]) -> Vec<String> {
        let word = |one: &Ready| match one {
            Ready::Gap(count) => format!("gap {count}"),
            Ready::Message(heard) => heard.message.number.to_string(),
        };
        ready.iter().map(word).collect()
    }

    fn take(order: &mut Order, number: u32) -> Vec<String> {
        words(&order.take(START, ALICE, message(number), 5))
    }

    #[test]
    fn what_comes_early_waits_and_what_comes_twice_is_dropped() {
        let mut order = Order::default();
        assert_eq!(take(&mut order, 0), ["0"]);
        assert!(take(&mut order, 2).is_empty());
        assert!(take(&mut order, 2).is_empty());
        assert_eq!(take(&mut order, 1), ["1", "2"]);
        assert!(take(&mut order, 1).is_empty() && take(&mut order, 0).is_empty());
        assert_eq!(order.next_timeout(), None);
        assert_eq!(words(&order.take(START, BOB, message(0), 5)), ["0"], "another's numbers are their own");
    }

    #[test]
    fn what_is_missing_is_asked_for_and_given_up_after_five_seconds() {
        let mut order = Order::default();
        take(&mut order, 0);
        take(&mut order, 4);
        take(&mut order, 5);
        assert_eq!(order.next_timeout(), Some(START + ASK_AFTER));
        assert!(order.asks(START).is_empty());
        assert_eq!(order.asks(START + ASK_AFTER), [Again { author: ALICE, from: 1, count: 3 }]);
        assert!(order.asks(START + ASK_AFTER).is_empty(), "not twice at once");
        assert!(order.on_timeout(START + GIVE_UP_AFTER - Duration::from_millis(1)).is_empty());
        let given_up = order.on_timeout(START + GIVE_UP_AFTER);
        assert_eq!(
            given_up.iter().map(|(key, ready)| (*key, words(ready))).collect::<Vec<_>>(),
            [(ALICE, vec!["gap 3".to_owned(), "4".into(), "5".into()])]
        );
        assert!(take(&mut order, 2).is_empty(), "too late");
        assert_eq!(order.next_timeout(), None);
    }

    #[test]
    fn a_newcomer_begins_with_the_first_that_was_said_after_they_came() {
        let mut order = Order::default();
        let first = after(7, 4);
        assert!(take(&mut order, 8).is_empty(), "7 was said after we came, too");
        assert_eq!(words(&order.take(START, ALICE, first, 5)), ["7", "8"]);
        let mut order = Order::default();
        assert!(take(&mut order, 8).is_empty());
        assert_eq!(words(&order.on_timeout(START + GIVE_UP_AFTER)[0].1), ["gap 1", "8"]);
    }

    #[test]
    fn whoever_jumps_in_their_numbers_harms_only_themselves() {
        let mut order = Order::default();
        take(&mut order, 0);
        assert!(take(&mut order, u32::MAX).is_empty());
        assert_eq!(order.asks(START + ASK_AFTER), [Again { author: ALICE, from: 1, count: MAX_ASKED }]);
        assert_eq!(words(&order.on_timeout(START + GIVE_UP_AFTER)[0].1), ["gap 4294967294", "4294967295"]);
        assert!(take(&mut order, 1).is_empty());
        // Leap after leap fills a bound, and then the oldest is shown without what is said to be missing.
        let mut order = Order::default();
        take(&mut order, 0);
        let mut shown = Vec::new();
        for leap in 1..=100 {
            shown.extend(take(&mut order, leap * 10));
            assert!(order.early <= MAX_EARLY && order.authors[&ALICE].early.len() <= MAX_EARLY);
        }
        assert_eq!(shown[..4], ["gap 9", "10", "gap 9", "20"]);
        assert_eq!(words(&order.take(START, BOB, message(0), 5)), ["0"]);
    }

    #[test]
    fn memory_is_bounded_however_many_speak() {
        let mut order = Order::default();
        for author in 0u32..10_000 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&author.to_be_bytes());
            for number in [0, 2, 4] {
                order.take(START, VerifyingKey::new(key), message(number), 5);
            }
            assert!(order.early <= MAX_EARLY_OF_ALL && order.authors.len() <= MAX_AUTHORS);
        }
        let early: usize = order.authors.values().map(|author| author.early.len()).sum();
        assert_eq!(order.early, early);
    }

    #[test]
    fn while_we_do_not_listen_nothing_is_given_up() {
        let mut order = Order::default();
        take(&mut order, 0);
        take(&mut order, 2);
        let later = START + Duration::from_secs(60);
        order.restart(later);
        assert!(order.on_timeout(later + Duration::from_secs(4)).is_empty());
        assert_eq!(order.next_timeout(), Some(later + ASK_AFTER));
    }

    proptest! {
        #[test]
        fn in_whatever_order_they_come_they_are_shown_in_theirs_and_once(numbers in proptest::collection::vec(0u32..60, 0..300)) {
            let mut order = Order::default();
            let mut shown = Vec::new();
            for (at, number) in numbers.iter().enumerate() {
                let now = START + Duration::from_millis(u64::try_from(at).unwrap() * 50);
                shown.extend(order.take(now, ALICE, message(*number), 5));
                shown.extend(order.on_timeout(now).into_iter().flat_map(|(_, ready)| ready));
            }
            for later in 1..100 {
                shown.extend(order.on_timeout(START + Duration::from_secs(1_000 * later)).into_iter().flat_map(|(_, ready)| ready));
            }
            let mut next = None;
            for one in &shown {
                match one {
                    Ready::Gap(count) => next = next.map(|next: u64| next + count),
                    Ready::Message(heard) => {
                        let number = u64::from(heard.message.number);
                        prop_assert!(next.is_none_or(|next| next == number));
                        next = Some(number + 1);
                    }
                }
            }
            prop_assert_eq!(order.early, 0);
        }
    }
}

//! Objects of an epoch that we have not reached: they wait for the log to bring it, for a moment and in bounded memory.

use std::{collections::VecDeque, time::Duration};

use crate::subscribe::{Arrived, What};

/// Media waits this long: more would come out as a leap.
const MEDIA_FOR: Duration = Duration::from_millis(500);

/// Catalogs, heartbeats and chat are not said again, so they wait for as long as the hub may be out of reach while media still
/// comes by other ways: after a minute without the room's control nobody should go on.
const RELIABLE_FOR: Duration = Duration::from_secs(60);

/// Objects that wait, and their bytes. Whoever sends junk with made-up epochs fills this and nothing else.
pub(super) const MAX_HELD: usize = 512;
/// See [`MAX_HELD`].
pub(super) const MAX_HELD_BYTES: usize = 4 * 1024 * 1024;

/// Media of an epoch that the log has not brought for so long means that an entry may have been lost: it is asked again, in time
/// for what waits. The log comes over a reliable stream, mostly before any media of its epoch.
const LOG_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The shortest time between two such questions: junk with made-up epochs asks no more often.
const LOG_AGAIN_PAUSE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Default)]
pub(super) struct Held {
    waiting: VecDeque<(Duration, Arrived)>,
    bytes: usize,
    /// When the log is asked again, while anything waits.
    ask_at: Option<Duration>,
    asked: Option<Duration>,
}

impl Held {
    /// Keeps an object; says how many older ones had to go for it.
    pub(super) fn keep(&mut self, now: Duration, arrived: Arrived) -> u64 {
        let for_ = if arrived.what == What::Media { MEDIA_FOR } else { RELIABLE_FOR };
        self.bytes += arrived.payload.len();
        self.waiting.push_back((now + for_, arrived));
        let earliest = self.asked.map_or(Duration::ZERO, |asked| asked + LOG_AGAIN_PAUSE);
        self.ask_at.get_or_insert((now + LOG_AGAIN_AFTER).max(earliest));
        let mut dropped = 0;
        while self.waiting.len() > MAX_HELD || self.bytes > MAX_HELD_BYTES {
            // Media goes first: it is worth less every moment.
            let at = self.waiting.iter().position(|(_, held)| held.what == What::Media).unwrap_or(0);
            if let Some((_, gone)) = self.waiting.remove(at) {
                self.bytes -= gone.payload.len();
                dropped += 1;
            }
        }
        dropped
    }

    /// The group moved on: all of them, to be tried again, in the order in which they came.
    pub(super) fn take(&mut self) -> Vec<Arrived> {
        self.bytes = 0;
        self.ask_at = None;
        std::mem::take(&mut self.waiting).into_iter().map(|(_, arrived)| arrived).collect()
    }

    /// Drops those whose time is over; says how many.
    pub(super) fn expire(&mut self, now: Duration) -> u64 {
        let before = self.waiting.len();
        let bytes = &mut self.bytes;
        self.waiting.retain(|(until, arrived)| {
            let keep = *until > now;
            if !keep {
                *bytes -= arrived.payload.len();
            }
            keep
        });
        u64::try_from(before - self.waiting.len()).unwrap_or(u64::MAX)
    }

    /// Whether the log has to be asked again now: something waits for what it has not brought.
    pub(super) fn wants_log(&mut self, now: Duration) -> bool {
        if self.waiting.is_empty() {
            self.ask_at = None;
        }
        let due = self.ask_at.is_some_and(|at| at <= now);
        if due {
            self.asked = Some(now);
            self.ask_at = Some(now + LOG_AGAIN_PAUSE);
        }
        due
    }

    /// When the next one's time is over.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.waiting.iter().map(|(until, _)| *until).min()
    }

    /// When the log has to be asked again.
    pub(super) const fn asks_at(&self) -> Option<Duration> {
        self.ask_at
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave_federation::{
        id::{Alias, TrackId},
        wire::object::ObjectHeader,
    };

    use super::*;

    fn arrived(what: What, len: usize) -> Arrived {
        let header = ObjectHeader { alias: Alias::new(1), group: 0, object: 0, layer: 0, flags: 0, priority: 0 };
        Arrived { what, track: TrackId(99), header, payload: Bytes::from(vec![0; len]) }
    }

    #[test]
    fn media_waits_half_a_second_and_what_is_said_once_a_minute() {
        let mut held = Held::default();
        held.keep(Duration::ZERO, arrived(What::Media, 10));
        held.keep(Duration::ZERO, arrived(What::Reliable, 10));
        assert_eq!(held.next_timeout(), Some(Duration::from_millis(500)));
        assert_eq!(held.expire(Duration::from_millis(499)), 0);
        assert_eq!(held.expire(Duration::from_millis(500)), 1);
        assert_eq!(held.expire(Duration::from_millis(59_999)), 0);
        assert_eq!(held.take().len(), 1);
        assert_eq!(held.next_timeout(), None);
    }

    #[test]
    fn the_log_is_asked_again_while_something_waits_for_it_and_not_more_often_than_every_two_seconds() {
        let mut held = Held::default();
        assert!(!held.wants_log(Duration::from_secs(9)));
        let mut asked = Vec::new();
        for ms in (0..6_000).step_by(20) {
            let now = Duration::from_millis(ms);
            held.expire(now);
            held.keep(now, arrived(What::Media, 10));
            if held.wants_log(now) {
                asked.push(ms);
            }
        }
        assert_eq!(asked, [200, 2_200, 4_200]);
        held.take();
        assert_eq!(held.asks_at(), None);
        held.keep(Duration::from_millis(6_000), arrived(What::Media, 10));
        assert_eq!(held.asks_at(), Some(Duration::from_millis(6_200)));
        held.expire(Duration::from_millis(6_500));
        assert!(!held.wants_log(Duration::from_millis(6_500)), "nothing waits");
        assert_eq!(held.asks_at(), None);
    }

    #[test]
    fn junk_fills_its_bound_and_pushes_out_media_before_anything_else() {
        let mut held = Held::default();
        held.keep(Duration::ZERO, arrived(What::Reliable, 10));
        let mut dropped = 0;
        for _ in 0..2_000 {
            dropped += held.keep(Duration::ZERO, arrived(What::Media, 20_000));
            assert!(held.bytes <= MAX_HELD_BYTES && held.waiting.len() <= MAX_HELD);
        }
        assert!(dropped > 1_500);
        assert!(held.take().iter().any(|one| one.what == What::Reliable));
    }
}

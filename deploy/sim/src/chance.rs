//! Chance from a seed: the same seed gives the same world, on every machine.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Chance(ChaCha20Rng);

impl Chance {
    /// From a seed's number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// A stream of its own, so that one part of the world drawing more does not change what another draws.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(ChaCha20Rng::from_seed(self.bytes()))
    }

    /// 32 bytes: a machine's seed, a key, what two ends of a session share.
    pub fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 when `end` is 0. Uneven by less than 2^-32 for the small ends used here.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.next_u64() % end }
    }

    /// An index of a list with `len` elements; 0 for an empty one.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// Happens in so many of a thousand cases.
    pub fn permille(&mut self, cases: u32) -> bool {
        self.below(1000) < u64::from(cases)
    }

    /// A time from `from` to `to`, both included, in whole microseconds.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let micros = u64::try_from(to.saturating_sub(from).as_micros()).unwrap_or(u64::MAX);
        from + Duration::from_micros(self.below(micros.saturating_add(1)))
    }

    /// A time up to `to`.
    pub fn up_to(&mut self, to: Duration) -> Duration {
        self.between(Duration::ZERO, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_draws_the_same_and_another_does_not() {
        let draw = |seed| (0..64).map(|_| Chance::new(seed).number()).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut chance = Chance::new(1);
        let drawn: Vec<_> = (0..1_000).map(|_| chance.between(Duration::from_micros(3), Duration::from_micros(5))).collect();
        assert_eq!(drawn.iter().min(), Some(&Duration::from_micros(3)));
        assert_eq!(drawn.iter().max(), Some(&Duration::from_micros(5)));
        assert!((0..1_000).all(|_| chance.index(3) < 3));
        assert_eq!(chance.below(0), 0);
        assert!(!chance.permille(0));
        assert!(chance.permille(1000));
    }
}

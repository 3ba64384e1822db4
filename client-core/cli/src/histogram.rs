//! Times counted in buckets of 3 % width: fixed memory, however long the call is.

/// Values below this have a bucket of their own.
const EXACT: u64 = 64;
/// Buckets in each doubling above.
const STEPS: u64 = 32;
/// Enough for every `u64`.
const BUCKETS: usize = 64 + 58 * 32;

/// Counts values, in any unit.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Box<[u32]>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0 }
    }

    pub(crate) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }

    /// The value that this many of a hundred do not exceed, at most 3 % too high; `None` when nothing was recorded.
    pub(crate) fn percentile(&self, of_hundred: u64) -> Option<u64> {
        if self.total == 0 {
            return None;
        }
        let rank = (self.total * of_hundred).div_ceil(100).max(1);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        reached.map(highest)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total += other.total;
    }
}

fn bucket(value: u64) -> usize {
    let index = if value < EXACT {
        value
    } else {
        let doubling = u64::from(value.ilog2());
        let step = (value >> (doubling - 5)) & (STEPS - 1);
        EXACT + (doubling - 6) * STEPS + step
    };
    index as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let index = bucket as u64;
    if index < EXACT {
        return index;
    }
    let (doubling, step) = ((index - EXACT) / STEPS + 6, (index - EXACT) % STEPS);
    let width = 1 << (doubling - 5);
    // The highest bucket ends where the numbers end.
    ((STEPS + step) * width).saturating_add(width - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_no_bucket_is_wide() {
        let values = (0..64).flat_map(|bits| [1_u64 << bits, (1_u64 << bits) - 1, 3_u64 << bits.min(62), u64::MAX >> bits]);
        for value in values {
            let highest = highest(bucket(value));
            assert!(highest >= value, "{value}");
            assert!(highest - value <= value / 31, "{value} is told as {highest}");
        }
    }

    #[test]
    fn percentiles_are_what_they_are_called() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile(50), None);
        for value in 1..=60 {
            histogram.record(value);
        }
        assert_eq!((histogram.percentile(50), histogram.percentile(99), histogram.percentile(1)), (Some(30), Some(60), Some(1)));
        let mut other = Histogram::new();
        for _ in 0..60 {
            other.record(1_000_000);
        }
        histogram.add(&other);
        assert_eq!(histogram.percentile(50), Some(60));
        let p99 = histogram.percentile(99).expect("values");
        assert!((1_000_000..1_032_000).contains(&p99), "{p99}");
    }
}

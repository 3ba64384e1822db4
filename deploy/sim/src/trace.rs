//! The trace of a world: one number over everything that happened, in order. Two runs of a seed must agree on it.

use std::hash::Hasher;

/// FNV-1a over all that was recorded. Not for enemies: for telling two runs apart.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0 }
    }
}

impl Trace {
    /// One more event: what the closure feeds in.
    pub fn record(&mut self, feed: impl FnOnce(&mut Self)) {
        self.events += 1;
        self.write_u64(self.events);
        feed(self);
    }

    /// Bytes with their length, so that two neighbours cannot be mistaken for one.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.write_u64(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.write(bytes);
    }

    /// The number.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events it is over.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }
}

impl Hasher for Trace {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.write(&number.to_le_bytes());
    }
}

/// Hash of some bytes, for recognising them again.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    let mut trace = Trace::default();
    trace.write(bytes);
    trace.hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_boundaries_count() {
        let of = |parts: &[&[u8]]| {
            let mut trace = Trace::default();
            for part in parts {
                trace.record(|trace| trace.bytes(part));
            }
            trace.hash()
        };
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"c", b"ab"]));
    }
}

//! Inputs from a seed: random ones, and valid ones that were damaged.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

/// Longest random input; mutations of the corpus may be longer.
const MAX_RANDOM: usize = 512;

/// Numbers at which lengths and counts go wrong.
const EDGES: [u8; 8] = [0x00, 0x01, 0x3f, 0x40, 0x7f, 0x80, 0xbf, 0xff];

/// Makes inputs.
pub struct Mutator(ChaCha20Rng);

impl Mutator {
    /// The same inputs for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// Below `bound`; 0 when there is nothing below it.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.0.next_u64() % bound).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.0.next_u32().to_le_bytes();
        byte
    }

    /// The next input: one in eight is random, the others are damaged ones of the pool.
    pub fn input(&mut self, pool: &[Vec<u8>]) -> Vec<u8> {
        if pool.is_empty() || self.below(8) == 0 {
            let mut bytes = vec![0; self.below(MAX_RANDOM)];
            self.0.fill_bytes(&mut bytes);
            return bytes;
        }
        let at = self.below(pool.len());
        let mut bytes = pool.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.damage(&mut bytes, pool);
        }
        bytes
    }

    fn damage(&mut self, bytes: &mut Vec<u8>, pool: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(10) {
            0 => bytes.truncate(at),
            1 => {
                let byte = self.byte();
                bytes.insert(at, byte);
            }
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => {
                let from = self.below(pool.len());
                let other = pool.get(from).map(Vec::as_slice).unwrap_or_default();
                let tail = other.get(self.below(other.len())..).unwrap_or_default();
                bytes.truncate(at);
                bytes.extend_from_slice(tail);
            }
            4 => {
                // The same piece again: counts that no longer fit, lists that grow.
                let end = at + self.below(bytes.len().saturating_sub(at) + 1);
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, piece);
                bytes.truncate(1 << 16);
            }
            5 | 6 => {
                let edge = EDGES[self.below(EDGES.len())];
                let width = 1 << self.below(4);
                for byte in bytes.iter_mut().skip(at).take(width) {
                    *byte = edge;
                }
            }
            7 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = byte.wrapping_add(1);
                }
            }
            _ => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }
}

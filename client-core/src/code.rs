//! The safety code: thirty digits that are equal at everybody in an epoch, for people to compare.

use std::fmt;

use conclave_federation::proof::sha256;

/// Thirty decimal digits of `SHA-256("conclave/1 code" ‖ epoch_authenticator)`: 99.6 bits.
///
/// Shorter codes could be ground by a committer who stands in two halves of a split room.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SafetyCode([u32; 6]);

impl SafetyCode {
    /// The code of an epoch. Each group of five digits is five bytes of the hash, big endian, modulo 100,000.
    #[must_use]
    pub fn of(epoch_authenticator: &[u8]) -> Self {
        let hash = sha256(&[b"conclave/1 code", epoch_authenticator]);
        let mut groups = [0; 6];
        for (group, bytes) in groups.iter_mut().zip(hash.chunks_exact(5)) {
            let number = bytes.iter().fold(0u64, |number, byte| (number << 8) | u64::from(*byte));
            *group = u32::try_from(number % 100_000).unwrap_or(0);
        }
        Self(groups)
    }
}

impl fmt::Display for SafetyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{group:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SafetyCode(..)")
    }
}

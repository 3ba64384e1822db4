//! What people compare: thirty digits that are equal at everybody in an epoch, four words for two who compare, and four words
//! for whoever stands at the door.

use std::fmt;

use conclave_federation::proof::{VerifyingKey, sha256};

use crate::words;

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

/// Four words of a leaf key: shown to whoever asks to come in and to the hosts who see the request, to be compared over another
/// channel. `SHA-256("conclave/1 knock code" ‖ leaf key)`, a word for each of its first four bytes.
///
/// Leaf keys are fresh for every call: whoever wants the same words has to find a key for them, some 2^32 tries, while the other
/// waits at the door.
#[must_use]
pub fn knock_words(leaf: &VerifyingKey) -> String {
    let [a, b, c, d, ..] = sha256(&[b"conclave/1 knock code", leaf.as_bytes()]);
    words::four([a, b, c, d])
}

/// What two people who compare read to each other: four words that are equal at both if nobody sits in between.
///
/// `SHA-256("conclave/1 short code" ‖ epoch_authenticator ‖ key ‖ nonce ‖ key ‖ nonce)` of the two, the smaller leaf key first; a
/// word for each of its first four bytes. Both nonces are fixed by the leaves in the tree before the epoch is named, so nobody can
/// choose one for a code: whoever sits in between has one try in 2^32 for each comparison, and people see each of them.
#[must_use]
pub fn short_code(authenticator: &[u8], one: (&VerifyingKey, &[u8; 32]), other: (&VerifyingKey, &[u8; 32])) -> String {
    let (first, second) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let parts: [&[u8]; 6] = [b"conclave/1 short code", authenticator, first.0.as_bytes(), first.1, second.0.as_bytes(), second.1];
    let [a, b, c, d, ..] = sha256(&parts);
    words::four([a, b, c, d])
}

//! The short safety code: what is committed to before it is revealed, so that nobody in the middle can choose a code.
//!
//! ```text
//!   Ann                                        Ben
//!    |-- ask: key of Ben, epoch, index i ------>|   which of her nonces it will be is fixed by now,
//!    |<- reveal: key of Ann, epoch, i, nonce ---|   and his by the chain in his leaf
//!    |-- reveal: key of Ben, epoch, j, nonce -->|
//!  words                                      words
//! ```

mod turn;

use std::fmt;

use conclave_federation::{
    proof::{VerifyingKey, sha256},
    wire::{Malformed, Reader, Wire, Writer},
};
use rand_core::RngCore;
use zeroize::Zeroizing;

pub(crate) use self::turn::{Compared, Comparisons, Scene};
use crate::wire::wire_struct;

/// A leaf's nonces for comparisons. The head of the chain stands in the leaf, so all of them are fixed before anybody's epoch
/// is; each is revealed once, from the head backwards.
///
/// `SHA-256("conclave/1 nonce" ‖ ..)`, [`Chain::LENGTH`] times over a random seed.
#[derive(Clone)]
pub struct Chain {
    seed: Zeroizing<[u8; 32]>,
    used: u8,
}

/// A nonce of a [`Chain`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    /// Steps from it to the head: 1 to [`Chain::LENGTH`], and each used once.
    pub index: u8,
    /// The value.
    pub value: [u8; 32],
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonce").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Chain {
    /// Comparisons that one leaf can take part in.
    pub const LENGTH: u8 = 32;

    /// With all nonces unused.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), used: 0 }
    }

    /// A fresh one.
    #[must_use]
    pub fn random(rng: &mut impl RngCore) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self { seed, used: 0 }
    }

    /// The head: what the leaf carries.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        walk(*self.seed, Self::LENGTH)
    }

    /// Nonces that are left.
    #[must_use]
    pub const fn left(&self) -> u8 {
        Self::LENGTH - self.used
    }

    /// Takes the next nonce, which is never given again; `None` when all have been used.
    pub fn take(&mut self) -> Option<Nonce> {
        if self.used >= Self::LENGTH {
            return None;
        }
        self.used += 1;
        Some(Nonce { index: self.used, value: walk(*self.seed, Self::LENGTH - self.used) })
    }
}

impl Nonce {
    /// Whether the leaf with this commitment was bound to it.
    #[must_use]
    pub fn is_of(&self, commitment: &[u8; 32]) -> bool {
        (1..=Chain::LENGTH).contains(&self.index) && walk(self.value, self.index) == *commitment
    }
}

impl Wire for Nonce {
    fn put(&self, out: &mut Writer) {
        out.u8(self.index);
        out.raw(&self.value);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let index = from.u8()?;
        if !(1..=Chain::LENGTH).contains(&index) {
            return Err(Malformed::Value("index of a nonce"));
        }
        Ok(Self { index, value: from.array("nonce")? })
    }
}

wire_struct! {
    /// Asks somebody to compare; names the nonce that the asker will reveal.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Ask {
        /// Whom.
        pub to: VerifyingKey,
        /// Whose authenticator goes into the code.
        pub epoch: u64,
        /// Index of the asker's nonce.
        pub index: u8,
    }
}

wire_struct! {
    /// Reveals a nonce: in answer to an ask, or to the answer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Reveal {
        /// Whom it is for.
        pub to: VerifyingKey,
        /// As asked.
        pub epoch: u64,
        /// Index of the other's nonce in this comparison.
        pub theirs: u8,
        /// The revealed one.
        pub nonce: Nonce,
        /// A fresh X25519 key: what both may know each other by later.
        pub public: [u8; 32],
    }
}

fn walk(from: [u8; 32], steps: u8) -> [u8; 32] {
    (0..steps).fold(from, |value, _| sha256(&[b"conclave/1 nonce", &value]))
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("used", &self.used).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nonce_belongs_to_the_commitment_and_is_given_once() {
        let mut chain = Chain::new([7; 32]);
        let commitment = chain.commitment();
        let mut seen = std::collections::BTreeSet::new();
        for index in 1..=Chain::LENGTH {
            let nonce = chain.take().unwrap();
            assert_eq!(nonce.index, index);
            assert!(nonce.is_of(&commitment) && seen.insert(nonce.value));
            assert!(!Nonce { index: index - 1, ..nonce }.is_of(&commitment));
            assert!(!Nonce { index: index + 1, ..nonce }.is_of(&commitment));
            assert!(!nonce.is_of(&Chain::new([8; 32]).commitment()));
        }
        assert!(chain.take().is_none());
        assert_eq!(chain.left(), 0);
        // The head itself is no nonce: it would fit without a single step.
        assert!(!Nonce { index: 0, value: commitment }.is_of(&commitment));
    }
}

//! Recognising somebody again: tags that only two people can make and read, from a secret that they have kept since they compared
//! codes. No account, no directory; to everybody else they are random bytes.

use std::fmt;

use conclave_federation::{proof::VerifyingKey, wire::List};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{room::kdf, wire::wire_struct};

/// What two people who compared codes keep to recognise each other by. For the application to store: opaque, 32 bytes, and a secret.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Acquaintance([u8; 32]);

impl Acquaintance {
    /// Most that a client looks for; the rest is not looked at.
    pub const MOST: usize = 256;

    /// As it was stored.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To be stored.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `KDF(secret, "recognise", authenticator ‖ sender's leaf key, 16)`: of this leaf in this epoch's tree, and of no other.
    fn tag(&self, authenticator: &[u8], sender: &VerifyingKey) -> [u8; TAG] {
        let mut tag = [0; TAG];
        kdf(&self.0, "recognise", &[authenticator, sender.as_bytes()].concat(), &mut tag);
        tag
    }
}

impl fmt::Debug for Acquaintance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acquaintance(..)")
    }
}

const TAG: usize = 16;

/// Fewer are filled up with chance: how many people somebody knows is nobody's business.
const LEAST: usize = 16;

wire_struct! {
    /// Who may recognise the sender, in no order, filled up with chance to 16, 32, 64 ..
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(crate) struct Tags {
        /// Whose authenticator is in them.
        pub(crate) epoch: u64,
        /// One for each acquaintance.
        pub(crate) tags: List<[u8; TAG], { Acquaintance::MOST }>,
    }
}

impl Tags {
    /// Of our leaf, in an epoch. `None`: we know nobody, and say nothing.
    pub(crate) fn of(
        known: &[Acquaintance],
        epoch: u64,
        authenticator: &[u8],
        me: &VerifyingKey,
        rng: &mut ChaCha20Rng,
    ) -> Option<Self> {
        if known.is_empty() {
            return None;
        }
        let mut tags: Vec<[u8; TAG]> =
            known.iter().take(Acquaintance::MOST).map(|secret| secret.tag(authenticator, me)).collect();
        while tags.len() < tags.len().next_power_of_two().max(LEAST) {
            let mut tag = [0; TAG];
            rng.fill_bytes(&mut tag);
            tags.push(tag);
        }
        // Sorted, they say nothing of the order in which they were made.
        tags.sort_unstable();
        Some(Self { epoch, tags: List::new(tags)? })
    }

    /// Which of ours the sender is, if any.
    pub(crate) fn find(&self, known: &[Acquaintance], authenticator: &[u8], sender: &VerifyingKey) -> Option<usize> {
        known.iter().take(Acquaintance::MOST).position(|secret| self.tags.contains(&secret.tag(authenticator, sender)))
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::wire::Wire;
    use rand_core::SeedableRng;

    use super::*;

    fn secret(number: u8) -> Acquaintance {
        Acquaintance::new([number; 32])
    }

    fn key(number: u8) -> VerifyingKey {
        VerifyingKey::new([number; 32])
    }

    fn tags(known: &[Acquaintance], authenticator: &[u8], me: u8) -> Option<Tags> {
        Tags::of(known, 7, authenticator, &key(me), &mut ChaCha20Rng::from_seed([1; 32]))
    }

    #[test]
    fn somebody_with_the_same_secret_is_recognised_and_nobody_else() {
        let hers = tags(&[secret(1), secret(2)], b"tree", 10).unwrap();
        assert_eq!(hers.find(&[secret(9), secret(2)], b"tree", &key(10)), Some(1));
        assert_eq!(hers.find(&[secret(9)], b"tree", &key(10)), None);
        assert_eq!(tags(&[], b"tree", 10), None);
    }

    #[test]
    fn tags_of_another_leaf_or_another_tree_prove_nothing() {
        let hers = tags(&[secret(1)], b"tree", 10).unwrap();
        assert_eq!(hers.find(&[secret(1)], b"tree", &key(11)), None, "said again by somebody else");
        assert_eq!(hers.find(&[secret(1)], b"another tree", &key(10)), None, "in another half of a split room");
    }

    #[test]
    fn how_many_somebody_knows_is_said_in_powers_of_two() {
        for (known, said) in [(1, 16), (16, 16), (17, 32), (256, 256), (300, 256)] {
            let known: Vec<_> = (0..known)
                .map(|number: u16| {
                    let mut bytes = [0; 32];
                    bytes[..2].copy_from_slice(&number.to_be_bytes());
                    Acquaintance::new(bytes)
                })
                .collect();
            assert_eq!(tags(&known, b"tree", 10).unwrap().tags.len(), said);
        }
    }

    #[test]
    fn tags_are_epoch_and_list_and_no_more_than_agreed() {
        let hers = tags(&[secret(1)], b"tree", 10).unwrap();
        let bytes = hers.encode();
        assert_eq!(&bytes[..10], &[0, 0, 0, 0, 0, 0, 0, 7, 0, 16]);
        assert_eq!(bytes.len(), 10 + 16 * TAG);
        assert_eq!(Tags::decode(&bytes), Ok(hers));
        for len in 0..bytes.len() {
            assert!(Tags::decode(&bytes.slice(..len)).is_err());
        }
        let many = [&[0; 8][..], &[1, 1], &[0; 257 * TAG]].concat();
        assert!(Tags::decode(&many.into()).is_err());
    }
}

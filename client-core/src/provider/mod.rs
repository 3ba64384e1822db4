//! What openmls stands on: keys in memory, cryptography by the library, and chance from a seed.
//!
//! With the library's own provider a failing seed would not reproduce: its encapsulations and keys draw from the system.

mod crypto;
mod storage;

use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;

pub(crate) use self::{
    crypto::{Crypto, SUITE, fill},
    storage::Storage,
};

/// One participant's provider. Never shared between groups.
pub(crate) struct Provider {
    crypto: Crypto,
    storage: Storage,
}

impl Provider {
    /// All randomness of the group comes from `rng`.
    pub(crate) fn new(rng: ChaCha20Rng) -> Self {
        Self { crypto: Crypto::new(rng), storage: Storage::default() }
    }

    /// Fresh bytes from the same source.
    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        fill(&self.crypto, &mut bytes);
        bytes
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = Storage;

    fn storage(&self) -> &Storage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

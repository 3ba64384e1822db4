//! What openmls stands on: keys in memory, cryptography by the library, and chance from a seed.
//!
//! With the library's own provider a failing seed would not reproduce: its encapsulations and keys draw from the system.

mod crypto;
mod storage;

use openmls_traits::OpenMlsProvider;
use rand_chacha::ChaCha20Rng;

pub(crate) use self::{
    crypto::{Crypto, SUITE},
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

    /// Loses every key: what a path that is broken for one member looks like to them.
    #[cfg(test)]
    pub(crate) fn lose_keys(&self) {
        self.storage.clear();
    }

    /// Does something without any key: as if a path in it were broken.
    #[cfg(test)]
    pub(crate) fn without_keys<T>(of: &mut crate::group::Group, what: impl FnOnce(&mut crate::group::Group) -> T) -> T {
        let keys = of.provider().storage.take();
        let done = what(of);
        of.provider().storage.put_back(keys);
        done
    }

    /// How many secrets are held: a group that runs for hours must not gather them.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.storage.len()
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

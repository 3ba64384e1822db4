//! Cryptography for openmls: all by `openmls_rust_crypto`, but what draws randomness, and HPKE with it.

use std::{
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use conclave_federation::proof::sha256;
use openmls::prelude::tls_codec::SecretVLBytes;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{
    crypto::OpenMlsCrypto,
    random::OpenMlsRand,
    types::{
        AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType,
        HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::{hpke, room::kdf32};

/// Speaks one ciphersuite, so that no member can be talked into another.
pub(crate) struct Crypto {
    rng: Mutex<ChaCha20Rng>,
    /// What ephemeral keys are derived from, with all that is sealed: the library seals to many at once on several
    /// threads, and with draws from one stream the threads' order would be in the bytes.
    ephemeral: Zeroizing<[u8; 32]>,
    library: RustCrypto,
}

/// The one suite.
pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

impl Crypto {
    pub(super) fn new(mut rng: ChaCha20Rng) -> Self {
        let mut ephemeral = Zeroizing::new([0; 32]);
        rng.fill_bytes(ephemeral.as_mut());
        Self { rng: Mutex::new(rng), ephemeral, library: RustCrypto::default() }
    }

    /// Where the stream of randomness is.
    pub(crate) fn mark(&self) -> ChaCha20Rng {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Back to there: what was drawn since must have been thrown away unseen.
    pub(crate) fn rewind(&self, mark: ChaCha20Rng) {
        *self.rng.lock().unwrap_or_else(PoisonError::into_inner) = mark;
    }

    /// A pseudorandom function of everything that is sealed: the same key only ever seals the same again.
    fn ephemeral(&self, public: &[u8], info: &[u8], associated: &[u8], plain: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut all = Zeroizing::new(Vec::with_capacity(32 + public.len() + info.len() + associated.len() + plain.len()));
        for part in [public, info, associated, plain] {
            all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            all.extend_from_slice(part);
        }
        kdf32(self.ephemeral.as_ref(), "ephemeral", &sha256(&[&all]))
    }
}

/// Fills `bytes` from the seed's stream.
fn fill(crypto: &Crypto, bytes: &mut [u8]) {
    // A poisoned lock guards nothing but a stream of numbers: any state of it is as good as another.
    crypto.rng.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
}

impl OpenMlsRand for Crypto {
    type Error = Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Infallible> {
        let mut bytes = [0; N];
        fill(self, &mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Infallible> {
        let mut bytes = vec![0; len];
        fill(self, &mut bytes);
        Ok(bytes)
    }
}

/// Whether this is the HPKE of the one suite.
fn spoken(config: &HpkeConfig) -> Result<(), CryptoError> {
    match config {
        HpkeConfig(HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256, HpkeAeadType::AesGcm128) => Ok(()),
        HpkeConfig(..) => Err(CryptoError::UnsupportedCiphersuite),
    }
}

fn key(bytes: &[u8]) -> Result<[u8; 32], CryptoError> {
    bytes.try_into().map_err(|_| CryptoError::InvalidLength)
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        if ciphersuite == SUITE { Ok(()) } else { Err(CryptoError::UnsupportedCiphersuite) }
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        vec![SUITE]
    }

    fn hkdf_extract(&self, hash_type: HashType, salt: &[u8], ikm: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.library.hkdf_extract(hash_type, salt, ikm)
    }

    fn hmac(&self, hash_type: HashType, key: &[u8], message: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.library.hmac(hash_type, key, message)
    }

    fn hkdf_expand(&self, hash_type: HashType, prk: &[u8], info: &[u8], okm_len: usize) -> Result<SecretVLBytes, CryptoError> {
        self.library.hkdf_expand(hash_type, prk, info, okm_len)
    }

    fn hash(&self, hash_type: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.hash(hash_type, data)
    }

    fn aead_encrypt(&self, alg: AeadType, key: &[u8], data: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(&self, alg: AeadType, key: &[u8], ct_tag: &[u8], nonce: &[u8], aad: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.aead_decrypt(alg, key, ct_tag, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        if alg != SignatureScheme::ED25519 {
            return Err(CryptoError::UnsupportedSignatureScheme);
        }
        let mut seed = Zeroizing::new([0; 32]);
        fill(self, seed.as_mut());
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Ok((key.to_bytes().to_vec(), key.verifying_key().to_bytes().to_vec()))
    }

    fn verify_signature(&self, alg: SignatureScheme, data: &[u8], pk: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.library.verify_signature(alg, data, pk, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.library.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        spoken(&config)?;
        let ephemeral = self.ephemeral(pk_r, info, aad, ptxt);
        let (enc, sealed) = hpke::seal(&ephemeral, &key(pk_r)?, info, aad, ptxt).map_err(|_| CryptoError::HpkeEncryptionError)?;
        Ok(HpkeCiphertext { kem_output: enc.to_vec().into(), ciphertext: sealed.into() })
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        spoken(&config)?;
        let secret = hpke::SecretKey::new(key(sk_r)?);
        secret
            .open(&key(input.kem_output.as_slice())?, info, aad, input.ciphertext.as_slice())
            .map(|plain| plain.to_vec())
            .map_err(|_| CryptoError::HpkeDecryptionError)
    }

    // Only external commits need the next two, and those are not spoken.
    fn hpke_setup_sender_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        Err(CryptoError::SenderSetupError)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        _: HpkeConfig,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        Err(CryptoError::ReceiverSetupError)
    }

    fn derive_hpke_keypair(&self, config: HpkeConfig, ikm: &[u8]) -> Result<HpkeKeyPair, CryptoError> {
        spoken(&config)?;
        let secret = hpke::SecretKey::derive(ikm);
        Ok(HpkeKeyPair { private: secret.expose().as_slice().into(), public: secret.public().to_vec() })
    }
}

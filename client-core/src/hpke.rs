//! HPKE (RFC 9180), base mode, of the one suite spoken here: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.
//!
//! Our own, because the library's draws its ephemeral key from the system: with this one, a seed reproduces every byte.

use std::fmt;

use aes_gcm::{
    Aes128Gcm, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Length of the encapsulated key before the ciphertext.
pub const ENC: usize = 32;

/// An X25519 private key with its public half; wiped when dropped, never shown.
#[derive(Clone)]
pub struct SecretKey {
    secret: StaticSecret,
    public: [u8; 32],
}

/// Why nothing was sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HpkeError {
    /// The other key is a point of small order.
    #[error("the public key is not one that a secret can be shared with")]
    Key,
    /// Not sealed to this key for this purpose.
    #[error("not sealed to this key for this purpose")]
    Forged,
}

/// `"KEM" ‖ 0x0020`.
const KEM_SUITE: &[u8] = b"KEM\x00\x20";
/// `"HPKE" ‖ 0x0020 ‖ 0x0001 ‖ 0x0001`.
const SUITE: &[u8] = b"HPKE\x00\x20\x00\x01\x00\x01";
const MODE_BASE: u8 = 0;

impl SecretKey {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let secret = StaticSecret::from(bytes);
        let public = PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    /// `DeriveKeyPair` of RFC 9180, section 7.1.3.
    #[must_use]
    pub fn derive(material: &[u8]) -> Self {
        let prk = extract(KEM_SUITE, b"", "dkp_prk", material);
        let mut bytes = Zeroizing::new([0; 32]);
        expand(&prk, KEM_SUITE, "sk", b"", bytes.as_mut());
        Self::new(*bytes)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The private half, for the provider that has to hand it on.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// Opens what [`seal`] sealed to this key.
    ///
    /// # Errors
    /// When it was not, or not with this `info` and `associated`.
    pub fn open(&self, enc: &[u8; ENC], info: &[u8], associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, HpkeError> {
        let shared = shared_secret(&self.secret, enc, enc, &self.public)?;
        let (cipher, nonce) = key_schedule(&shared, info);
        cipher.decrypt(&nonce.into(), Payload { msg: sealed, aad: associated }).map(Zeroizing::new).map_err(|_| HpkeError::Forged)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Seals one message to `public`; `ephemeral` is 32 fresh random bytes, used for nothing else.
///
/// # Errors
/// When `public` is a point of small order.
pub fn seal(
    ephemeral: &[u8; 32],
    public: &[u8; 32],
    info: &[u8],
    associated: &[u8],
    plain: &[u8],
) -> Result<([u8; ENC], Vec<u8>), HpkeError> {
    let ephemeral = SecretKey::derive(ephemeral);
    let enc = ephemeral.public;
    let shared = shared_secret(&ephemeral.secret, public, &enc, public)?;
    let (cipher, nonce) = key_schedule(&shared, info);
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: plain, aad: associated }).map_err(|_| HpkeError::Key)?;
    Ok((enc, sealed))
}

/// `ExtractAndExpand(DH, enc ‖ pkR)`.
fn shared_secret(
    secret: &StaticSecret,
    public: &[u8; 32],
    enc: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<Zeroizing<[u8; 32]>, HpkeError> {
    let dh = secret.diffie_hellman(&PublicKey::from(*public));
    if !dh.was_contributory() {
        return Err(HpkeError::Key);
    }
    let mut context = [0; 64];
    let (front, back) = context.split_at_mut(32);
    front.copy_from_slice(enc);
    back.copy_from_slice(recipient);
    let prk = extract(KEM_SUITE, b"", "eae_prk", dh.as_bytes());
    let mut shared = Zeroizing::new([0; 32]);
    expand(&prk, KEM_SUITE, "shared_secret", &context, shared.as_mut());
    Ok(shared)
}

fn key_schedule(shared: &[u8; 32], info: &[u8]) -> (Aes128Gcm, [u8; 12]) {
    let mut context = Vec::with_capacity(65);
    context.push(MODE_BASE);
    context.extend_from_slice(extract(SUITE, b"", "psk_id_hash", b"").as_ref());
    context.extend_from_slice(extract(SUITE, b"", "info_hash", info).as_ref());
    let secret = extract(SUITE, shared, "secret", b"");
    let mut key = Zeroizing::new([0; 16]);
    let mut nonce = [0; 12];
    expand(&secret, SUITE, "key", &context, key.as_mut());
    expand(&secret, SUITE, "base_nonce", &context, &mut nonce);
    (Aes128Gcm::new((&*key).into()), nonce)
}

/// `LabeledExtract`.
fn extract(suite: &[u8], salt: &[u8], label: &str, material: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut labeled = Zeroizing::new(Vec::with_capacity(32 + material.len()));
    labeled.extend_from_slice(b"HPKE-v1");
    labeled.extend_from_slice(suite);
    labeled.extend_from_slice(label.as_bytes());
    labeled.extend_from_slice(material);
    let (prk, _) = Hkdf::<Sha256>::extract(Some(salt), &labeled);
    Zeroizing::new(prk.into())
}

/// `LabeledExpand`.
fn expand(prk: &[u8; 32], suite: &[u8], label: &str, info: &[u8], out: &mut [u8]) {
    let len = u16::try_from(out.len()).unwrap_or(u16::MAX).to_be_bytes();
    let expanded =
        Hkdf::<Sha256>::from_prk(prk).map(|hkdf| hkdf.expand_multi_info(&[&len, b"HPKE-v1", suite, label.as_bytes(), info], out));
    assert!(matches!(expanded, Ok(Ok(()))), "a hash is a key, and nothing longer than 32 bytes is asked for");
}

//! Sealing of what relays store but must not read: padded to powers of two, safe with many writers of one key.

use std::fmt;

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use bytes::Bytes;
use rand_core::RngCore;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::room::kdf;

/// A key of 32 bytes for [`SealKey::seal`].
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SealKey([u8; 32]);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(..)")
    }
}

/// Why nothing was sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// More than [`MAX_BUCKET`] takes.
    #[error("more than a sealed body can hold")]
    TooLong,
    /// Not sealed with this key and for this place.
    #[error("not sealed with this key for this place")]
    Forged,
    /// Sealed with the key, but not padded as agreed.
    #[error("sealed, but not padded as agreed")]
    Padding,
}

/// Smallest padded length.
pub const MIN_BUCKET: usize = 256;

/// Largest padded length. What travels inside a message is bounded by `MAX_SEALED` as well.
pub const MAX_BUCKET: usize = 1024 * 1024;

/// What sealing adds to the padded length: salt and tag.
pub const OVERHEAD: usize = SALT + TAG;

const SALT: usize = 16;
const TAG: usize = 16;
const LEN: usize = 4;

impl SealKey {
    /// Takes the bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the leak check and for golden files.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `salt ‖ AES-256-GCM(KDF(key, "seal", salt), associated, u32(len) ‖ plain ‖ zeros)`.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(&self, rng: &mut impl RngCore, associated: &[u8], plain: &[u8]) -> Result<Bytes, SealError> {
        let mut salt = [0; SALT];
        rng.fill_bytes(&mut salt);
        let len = u32::try_from(plain.len()).map_err(|_| SealError::TooLong)?;
        let bucket = bucket(plain.len() + LEN).ok_or(SealError::TooLong)?;
        let mut padded = Zeroizing::new(Vec::with_capacity(bucket));
        padded.extend_from_slice(&len.to_be_bytes());
        padded.extend_from_slice(plain);
        padded.resize(bucket, 0);
        let (cipher, nonce) = self.cipher(&salt);
        let sealed =
            cipher.encrypt(&nonce.into(), Payload { msg: padded.as_slice(), aad: associated }).map_err(|_| SealError::TooLong)?;
        let mut out = Vec::with_capacity(SALT + sealed.len());
        out.extend_from_slice(&salt);
        out.extend_from_slice(&sealed);
        Ok(out.into())
    }

    /// Opens what [`SealKey::seal`] made.
    ///
    /// # Errors
    /// Says whether the key and the place, or the padding, do not fit.
    pub fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (salt, body) = sealed.split_first_chunk::<SALT>().ok_or(SealError::Forged)?;
        if body.len() > MAX_BUCKET + TAG {
            return Err(SealError::TooLong);
        }
        let (cipher, nonce) = self.cipher(salt);
        let padded = cipher
            .decrypt(&nonce.into(), Payload { msg: body, aad: associated })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Forged)?;
        let (len, rest) = padded.split_first_chunk::<LEN>().ok_or(SealError::Padding)?;
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SealError::Padding)?;
        if len > rest.len() || bucket(len + LEN) != Some(padded.len()) {
            return Err(SealError::Padding);
        }
        let (plain, zeros) = rest.split_at(len);
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(SealError::Padding);
        }
        Ok(Zeroizing::new(plain.to_vec()))
    }

    fn cipher(&self, salt: &[u8; SALT]) -> (Aes256Gcm, [u8; 12]) {
        let mut derived = Zeroizing::new([0; 44]);
        kdf(&self.0, "seal", salt, derived.as_mut());
        let mut key = Zeroizing::new([0; 32]);
        let mut nonce = [0; 12];
        let (front, back) = derived.split_at(32);
        key.copy_from_slice(front);
        nonce.copy_from_slice(back);
        (Aes256Gcm::new((&*key).into()), nonce)
    }
}

/// The padded length for `len` bytes; `None`: more than [`MAX_BUCKET`].
pub(crate) const fn bucket(len: usize) -> Option<usize> {
    if len > MAX_BUCKET {
        return None;
    }
    let bucket = len.next_power_of_two();
    Some(if bucket < MIN_BUCKET { MIN_BUCKET } else { bucket })
}

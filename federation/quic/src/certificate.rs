//! What browsers are shown: a short-lived certificate that they compare by its hash, or one from a public authority.
//!
//! A browser accepts a certificate that no authority signed when the page names its hash, its key is on P-256, and it
//! lives for 14 days at most. So a relay makes one after another, publishes the next before it is used, and shows the
//! current one to whoever speaks `h3`.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use conclave_federation::proof::sha256;
use rustls::{
    crypto::aws_lc_rs::sign::{any_ecdsa_type, any_supported_type},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

/// Browsers refuse a longer life.
const MAX_LIFETIME: Duration = Duration::from_secs(14 * 24 * 3600);

/// A P-256 certificate for browsers that compare its hash.
#[derive(Clone)]
pub struct WebCertificate {
    /// Unix seconds, as in the certificate: it knows nothing finer.
    not_before: u64,
    not_after: u64,
    certificate: Vec<u8>,
    /// PKCS#8.
    key: Zeroizing<Vec<u8>>,
}

/// What those who speak `h3` or HTTPS are shown. It can be replaced while it is in use: handshakes from then on see the new
/// one, sessions that are up live on. Clones share it.
#[derive(Clone)]
pub struct WebIdentity(Arc<RwLock<Arc<CertifiedKey>>>);

/// Why a certificate cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Browsers would refuse it, or it would never be valid.
    #[error("a certificate for browsers lives for at least one second and at most 14 days, between 1970 and 2100")]
    Lifetime,
    /// The bytes are not what [`WebCertificate::to_bytes`] made.
    #[error("the stored certificate for browsers is damaged: remove it, and a new one is made")]
    Damaged,
    /// There is no certificate in the PEM text.
    #[error("there is no certificate in the file: it has to begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no private key in the PEM text, or of a kind that TLS does not use.
    #[error("there is no usable private key in the file: it has to hold an ECDSA, Ed25519 or RSA key in PEM, without a password")]
    NoKey,
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate: give the first certificate of the chain and its own key")]
    Mismatch,
    /// TLS or the maker of certificates refused, which does not happen with keys that were just made.
    #[error("no certificate could be made: please report it")]
    Unusable,
}

/// Version of the stored form.
const STORED: u8 = 1;
/// The first second of 2100: certificates count years with two digits up to 2049 and four from then on, and nobody needs more.
const LATEST: u64 = 4_102_444_800;

impl WebCertificate {
    /// Makes a new key and its certificate, valid from `not_before_unix_ms` for `lifetime`, both cut to whole seconds.
    ///
    /// # Errors
    /// [`CertificateError::Lifetime`] when browsers would refuse it.
    pub fn generate(not_before_unix_ms: u64, lifetime: Duration) -> Result<Self, CertificateError> {
        let not_before = not_before_unix_ms / 1_000;
        let not_after = not_before.saturating_add(lifetime.as_secs());
        if lifetime.as_secs() == 0 || lifetime > MAX_LIFETIME || not_after > LATEST {
            return Err(CertificateError::Lifetime);
        }
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| CertificateError::Unusable)?;
        let mut params = rcgen::CertificateParams::default();
        let start = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = start + Duration::from_secs(not_before);
        params.not_after = start + Duration::from_secs(not_after);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Conclave relay");
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&pair).map_err(|_| CertificateError::Unusable)?;
        let key = Zeroizing::new(pair.serialize_der());
        Ok(Self { not_before, not_after, certificate: certificate.der().to_vec(), key })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    /// What a page names in `serverCertificateHashes`: SHA-256 of the DER.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[&self.certificate])
    }

    /// Milliseconds since 1970 from which it is valid; whole seconds.
    #[must_use]
    pub const fn not_before(&self) -> u64 {
        self.not_before.saturating_mul(1_000)
    }

    /// Milliseconds since 1970 until which it is valid; whole seconds.
    #[must_use]
    pub const fn not_after(&self) -> u64 {
        self.not_after.saturating_mul(1_000)
    }

    /// The form to keep it in, with its key: version, both times, length of the DER, DER, PKCS#8. It is a secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(21 + self.certificate.len() + self.key.len()));
        out.push(STORED);
        out.extend_from_slice(&self.not_before.to_be_bytes());
        out.extend_from_slice(&self.not_after.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.certificate.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.certificate);
        out.extend_from_slice(&self.key);
        out
    }

    /// What [`WebCertificate::to_bytes`] gave. The key is compared with the certificate.
    ///
    /// # Errors
    /// [`CertificateError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CertificateError> {
        let read = || {
            let rest = bytes.strip_prefix(&[STORED])?;
            let (not_before, rest) = rest.split_first_chunk()?;
            let (not_after, rest) = rest.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (certificate, key) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
            let read = Self {
                not_before: u64::from_be_bytes(*not_before),
                not_after: u64::from_be_bytes(*not_after),
                certificate: certificate.to_vec(),
                key: Zeroizing::new(key.to_vec()),
            };
            let lives = read.not_after.checked_sub(read.not_before)?;
            (lives > 0 && lives <= MAX_LIFETIME.as_secs() && read.not_after <= LATEST).then_some(read)
        };
        let read = read().ok_or(CertificateError::Damaged)?;
        read.certified().map_err(|_| CertificateError::Damaged)?;
        Ok(read)
    }

    fn certified(&self) -> Result<CertifiedKey, CertificateError> {
        let signer =
            any_ecdsa_type(&PrivatePkcs8KeyDer::from(self.key.as_slice()).into()).map_err(|_| CertificateError::NoKey)?;
        let key = CertifiedKey::new(vec![CertificateDer::from(self.certificate.clone())], signer);
        key.keys_match().map_err(|_| CertificateError::Mismatch)?;
        Ok(key)
    }
}

impl fmt::Debug for WebCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = (&self.not_before(), &self.not_after());
        f.debug_struct("WebCertificate").field("not_before", times.0).field("not_after", times.1).finish_non_exhaustive()
    }
}

/// A certificate chain and its key, as authorities and their tools give them out.
fn from_pem(chain: &[u8], key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(|_| CertificateError::NoCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
    let key = CertifiedKey::new(chain, any_supported_type(&key).map_err(|_| CertificateError::NoKey)?);
    key.keys_match().map_err(|_| CertificateError::Mismatch)?;
    Ok(key)
}

impl WebIdentity {
    /// Shows a short-lived certificate.
    ///
    /// # Errors
    /// Not for certificates that were made here.
    pub fn short_lived(certificate: &WebCertificate) -> Result<Self, CertificateError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(certificate.certified()?)))))
    }

    /// Shows the certificate of an authority: the chain, the relay's own first, and its key, both PEM.
    ///
    /// # Errors
    /// When either cannot be read or they do not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        Ok(Self(Arc::new(RwLock::new(Arc::new(from_pem(chain, key)?)))))
    }

    /// Shows this short-lived certificate from now on.
    ///
    /// # Errors
    /// As [`WebIdentity::short_lived`]; then what was shown before stays.
    pub fn replace(&self, certificate: &WebCertificate) -> Result<(), CertificateError> {
        self.show(certificate.certified()?);
        Ok(())
    }

    /// Shows this certificate of an authority from now on.
    ///
    /// # Errors
    /// As [`WebIdentity::from_pem`]; then what was shown before stays.
    pub fn replace_pem(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        self.show(from_pem(chain, key)?);
        Ok(())
    }

    fn show(&self, key: CertifiedKey) {
        // The lock guards one pointer, which is whole whatever panicked meanwhile.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    /// What is shown now.
    pub(crate) fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebIdentity")
    }
}

#[cfg(test)]
mod tests;

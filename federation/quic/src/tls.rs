//! Who answers: a relay's certificate *is* its key, and the dialler reads the key out of it.
//!
//! A relay presents a self-signed Ed25519 certificate over its relay key to those who speak `conclave/1`. Names, dates
//! and issuers in it mean nothing; the handshake's signature proves the key, and the key is the relay. Which
//! certificate is presented is chosen by the ALPN of the ClientHello: browsers, who speak `h3` or HTTPS, are shown
//! the [`WebIdentity`].

use std::sync::{Arc, OnceLock};

use conclave_federation::{id::RelayId, limits::ALPN, proof::SigningKey};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs::kx_group},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use crate::{certificate::WebIdentity, endpoint::BindError};

/// WebTransport's HTTP/3 (RFC 9114, section 3.1).
pub(crate) const H3: &[u8] = b"h3";
/// HTTP over TCP, which WebSocket begins with (RFC 7301, section 6).
const HTTP: &[u8] = b"http/1.1";

/// Said to TLS because it wants a name; it is not sent, and nobody compares it.
pub(crate) const NOT_A_NAME: &str = "relay.invalid";

/// What exporters of both ends are asked for.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-conclave/1";

/// TLS's complaint when no application protocol is common to both (RFC 8446, section 6).
pub(crate) const NO_APPLICATION_PROTOCOL: u8 = 120;

/// Ed25519 in PKCS#8 version 2 (RFC 8410): the bytes before the seed, and those between seed and public key.
const PKCS8_HEAD: [u8; 16] = [0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PKCS8_MIDDLE: [u8; 3] = [0x81, 0x21, 0x00];

/// An Ed25519 public key in a certificate (RFC 8410): the bytes before it.
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What those who dial offer: the hybrid and nothing else. Whoever speaks `conclave/1` has it, and a group that is not offered
/// cannot be fallen back to.
static OFFERED: &[&dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768];

/// What relays accept, best first: the hybrid wherever a key for it is sent. The curves are for browsers, which choose by themselves.
static ACCEPTED: &[&dyn SupportedKxGroup] =
    &[kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// aws-lc-rs, TLS 1.3 suites only, and these groups.
fn provider(groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider.kx_groups = groups.to_vec();
    Arc::new(provider)
}

/// A relay's key cannot be made into a certificate; never happens with a key of 32 bytes.
#[derive(Debug, thiserror::Error)]
#[error("the relay key cannot be made into a certificate")]
pub(crate) struct Unusable;

fn certified(key: &SigningKey) -> Result<CertifiedKey, Unusable> {
    let seed = Zeroizing::new(key.expose_seed());
    let mut der = Zeroizing::new(Vec::with_capacity(83));
    der.extend_from_slice(&PKCS8_HEAD);
    der.extend_from_slice(seed.as_slice());
    der.extend_from_slice(&PKCS8_MIDDLE);
    der.extend_from_slice(key.verifying_key().as_bytes());
    let der = PrivatePkcs8KeyDer::from(der.as_slice());
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).map_err(|_| Unusable)?;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let certificate = params.self_signed(&pair).map_err(|_| Unusable)?;
    let signer = rustls::crypto::aws_lc_rs::sign::any_eddsa_type(&der).map_err(|_| Unusable)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}

/// A certificate to present.
#[derive(Clone, Debug)]
enum Shown {
    /// The relay's key, for as long as the port is open.
    Relay(Arc<CertifiedKey>),
    /// What browsers are shown at that moment.
    Web(WebIdentity),
}

/// Which certificate is presented for which application protocol.
#[derive(Debug)]
struct Presented {
    /// In order of preference. Who offers none of them is refused by ALPN a step later, in a way that they understand, and
    /// is shown the first; over TCP, who offers nothing at all speaks HTTP and is shown the last.
    rows: Vec<(&'static [u8], Shown)>,
}

impl Presented {
    fn protocols(&self) -> Vec<Vec<u8>> {
        self.rows.iter().map(|(alpn, _)| alpn.to_vec()).collect()
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let row = match hello.alpn() {
            Some(offered) => {
                let offered: Vec<&[u8]> = offered.collect();
                self.rows.iter().find(|(alpn, _)| offered.contains(alpn)).or_else(|| self.rows.first())
            }
            None => self.rows.last(),
        };
        row.map(|(_, shown)| match shown {
            Shown::Relay(key) => Arc::clone(key),
            Shown::Web(identity) => identity.current(),
        })
    }
}

/// TLS of a relay that is dialled by those who speak `conclave/1`, and by browsers with `alpn` when there is something to show them.
fn server_tls(key: &SigningKey, web: Option<(&'static [u8], &WebIdentity)>) -> Result<rustls::ServerConfig, Unusable> {
    let mut rows = vec![(ALPN, Shown::Relay(Arc::new(certified(key)?)))];
    rows.extend(web.map(|(alpn, identity)| (alpn, Shown::Web(identity.clone()))));
    let presented = Presented { rows };
    let protocols = presented.protocols();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider(ACCEPTED))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(presented));
    tls.alpn_protocols = protocols;
    // No tickets: nothing is resumed, so nothing can be replayed or linked.
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    Ok(tls)
}

/// TLS of a relay's TCP port: `conclave/1` is shown the relay's key, `http/1.1` (and who names no protocol) what browsers are
/// shown. TLS 1.3 only, no tickets. After the handshake the ALPN says which of the two it is.
///
/// # Errors
/// [`BindError::BadKey`].
pub fn tcp_server_tls(key: &SigningKey, web: Option<&WebIdentity>) -> Result<Arc<rustls::ServerConfig>, BindError> {
    let tls = server_tls(key, web.map(|identity| (HTTP, identity))).map_err(|_| BindError::BadKey)?;
    Ok(Arc::new(tls))
}

/// TLS of a relay that is dialled.
pub(crate) fn server(key: &SigningKey, web: Option<&WebIdentity>) -> Result<QuicServerConfig, Unusable> {
    QuicServerConfig::try_from(server_tls(key, web.map(|identity| (H3, identity)))?).map_err(|_| Unusable)
}

fn client_tls(verifier: Arc<KeyCheck>, alpn: &[u8]) -> Result<rustls::ClientConfig, Unusable> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider(OFFERED))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| Unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.resumption = Resumption::disabled();
    tls.enable_sni = false;
    tls.enable_early_data = false;
    Ok(tls)
}

/// TLS of one dial. The verifier says afterwards whom it met.
pub(crate) fn client(verifier: Arc<KeyCheck>) -> Result<QuicClientConfig, Unusable> {
    QuicClientConfig::try_from(client_tls(verifier, ALPN)?).map_err(|_| Unusable)
}

/// The same over TCP.
pub(crate) fn client_of_tcp(verifier: Arc<KeyCheck>) -> Result<rustls::ClientConfig, Unusable> {
    client_tls(verifier, ALPN)
}

/// What the other end of a dial showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Met {
    /// The expected relay, or any when none was expected.
    Relay(RelayId),
    /// Another key than the expected one.
    WrongKey,
    /// No Ed25519 certificate.
    NoRelay,
}

/// Reads the relay's key out of its certificate and compares it.
#[derive(Debug)]
pub(crate) struct KeyCheck {
    expected: Option<RelayId>,
    met: OnceLock<Met>,
    provider: Arc<CryptoProvider>,
}

impl KeyCheck {
    pub(crate) fn new(expected: Option<RelayId>) -> Arc<Self> {
        Arc::new(Self { expected, met: OnceLock::new(), provider: provider(OFFERED) })
    }

    /// Whom the handshake met; `None` when it never came to a certificate.
    pub(crate) fn met(&self) -> Option<Met> {
        self.met.get().copied()
    }
}

/// The relay that a certificate is for: its Ed25519 key, if it has one that signs anything.
fn relay_of(certificate: &CertificateDer<'_>) -> Option<RelayId> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let spki = parsed.subject_public_key_info();
    let key: [u8; 32] = spki.as_ref().strip_prefix(&SPKI_HEAD)?.try_into().ok()?;
    let point = ed25519_dalek::VerifyingKey::from_bytes(&key).ok()?;
    (!point.is_weak()).then(|| RelayId::new(key))
}

impl ServerCertVerifier for KeyCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let met = match (relay_of(end_entity), self.expected) {
            (None, _) => Met::NoRelay,
            (Some(relay), Some(expected)) if relay != expected => Met::WrongKey,
            (Some(relay), _) => Met::Relay(relay),
        };
        match *self.met.get_or_init(|| met) {
            Met::Relay(_) => Ok(ServerCertVerified::assertion()),
            Met::WrongKey | Met::NoRelay => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if dss.scheme != SignatureScheme::ED25519 {
            return Err(CertificateError::BadSignature.into());
        }
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// The application protocol that both ends agreed on.
pub(crate) fn alpn(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// 32 bytes that both ends of this connection share and nobody else knows.
pub(crate) fn exporter(connection: &quinn::Connection) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    connection.export_keying_material(&mut out, EXPORTER_LABEL, b"").ok()?;
    Some(out)
}

/// The same for a connection over TCP.
pub(crate) fn exporter_of(connection: &rustls::ClientConnection) -> Option<[u8; 32]> {
    connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b"")).ok()
}

#[cfg(test)]
mod hops;
#[cfg(test)]
mod tests;

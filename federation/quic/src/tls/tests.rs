//! Handshakes in memory: who is accepted, and with which key exchange.

use rustls::{
    NamedGroup,
    quic::{ClientConnection, Connection, ServerConnection, Version},
};

use super::*;
use crate::certificate::WebCertificate;

fn relay(seed: u8) -> (SigningKey, RelayId) {
    let key = SigningKey::from_seed([seed; 32]);
    let id = RelayId::new(*key.verifying_key().as_bytes());
    (key, id)
}

/// Carries what one end has to say to the other, one key at a time. Says whether there was anything.
fn carry(from: &mut Connection, to: &mut Connection) -> Result<bool, Error> {
    let mut any = false;
    loop {
        let mut bytes = Vec::new();
        let key_changes = from.write_hs(&mut bytes).is_some();
        to.read_hs(&bytes)?;
        any |= key_changes || !bytes.is_empty();
        if !key_changes {
            return Ok(any);
        }
    }
}

/// Carries handshake bytes to and fro until nobody says anything or one complains.
fn shake(client: &mut Connection, server: &mut Connection) -> Result<(), Error> {
    while carry(client, server)? | carry(server, client)? {}
    Ok(())
}

fn pair(server: rustls::ServerConfig, client: rustls::ClientConfig) -> (Connection, Connection) {
    let name = ServerName::try_from(NOT_A_NAME).unwrap();
    let client = ClientConnection::new(Arc::new(client), Version::V1, name, Vec::new()).unwrap();
    let server = ServerConnection::new(Arc::new(server), Version::V1, Vec::new()).unwrap();
    (Connection::Client(client), Connection::Server(server))
}

#[test]
fn the_certificate_is_the_relay_key() {
    let (key, id) = relay(7);
    let certified = certified(&key).unwrap();
    assert_eq!(relay_of(certified.end_entity_cert().unwrap()), Some(id));
}

#[test]
fn the_key_exchange_is_hybrid_and_the_relay_is_met() {
    let (key, id) = relay(7);
    let check = KeyCheck::new(Some(id));
    let (mut client, mut server) = pair(server_tls(&key, None).unwrap(), client_tls(Arc::clone(&check), ALPN).unwrap());
    shake(&mut client, &mut server).unwrap();
    assert_eq!(check.met(), Some(Met::Relay(id)));
    for end in [&client, &server] {
        let group = end.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(end.alpn_protocol(), Some(ALPN));
        assert_eq!(end.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
    assert!(server.peer_certificates().is_none(), "those who dial are not asked for a certificate");
}

/// A handshake of a relay as it is with somebody who offers these groups.
fn offering(groups: &[&'static dyn SupportedKxGroup]) -> Result<NamedGroup, Error> {
    let (key, id) = relay(7);
    let mut client = rustls::ClientConfig::builder_with_provider(provider(groups))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(KeyCheck::new(Some(id)))
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    let (mut client, mut server) = pair(server_tls(&key, None).unwrap(), client);
    shake(&mut client, &mut server)?;
    Ok(server.negotiated_key_exchange_group().unwrap().name())
}

#[test]
fn a_relay_chooses_the_hybrid_wherever_a_key_for_it_is_sent_and_a_curve_only_where_none_is() {
    assert_eq!(offering(&[kx_group::X25519MLKEM768, kx_group::X25519]), Ok(NamedGroup::X25519MLKEM768));
    // Listed, without a key: TLS spares the round trip of asking for one.
    assert_eq!(offering(&[kx_group::X25519, kx_group::X25519MLKEM768]), Ok(NamedGroup::X25519));
    assert_eq!(offering(&[kx_group::SECP256R1, kx_group::X25519]), Ok(NamedGroup::secp256r1));
    assert!(offering(&[kx_group::MLKEM1024]).is_err(), "nothing in common");
}

#[test]
fn whoever_dials_offers_the_hybrid_and_nothing_else() {
    let (key, id) = relay(7);
    let shown = Presented { rows: vec![(ALPN, Shown::Relay(Arc::new(certified(&key).unwrap())))] };
    let mut server = rustls::ServerConfig::builder_with_provider(provider(&[kx_group::X25519, kx_group::SECP256R1]))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    server.alpn_protocols = vec![ALPN.to_vec()];
    let (mut client, mut server) = pair(server, client_tls(KeyCheck::new(Some(id)), ALPN).unwrap());
    shake(&mut client, &mut server).unwrap_err();
    assert!(client.negotiated_key_exchange_group().is_none());
}

#[test]
fn another_key_than_expected_ends_the_handshake() {
    let (key, _) = relay(7);
    let check = KeyCheck::new(Some(relay(8).1));
    let (mut client, mut server) = pair(server_tls(&key, None).unwrap(), client_tls(Arc::clone(&check), ALPN).unwrap());
    shake(&mut client, &mut server).unwrap_err();
    assert_eq!(check.met(), Some(Met::WrongKey));
}

#[test]
fn a_key_that_nobody_expects_is_told() {
    let (key, id) = relay(9);
    let check = KeyCheck::new(None);
    let (mut client, mut server) = pair(server_tls(&key, None).unwrap(), client_tls(Arc::clone(&check), ALPN).unwrap());
    shake(&mut client, &mut server).unwrap();
    assert_eq!(check.met(), Some(Met::Relay(id)));
}

#[test]
fn a_certificate_shown_by_somebody_without_its_key_is_refused() {
    let (honest, id) = relay(7);
    let (thief, _) = relay(8);
    // The relay's certificate, with another's key to sign the handshake.
    let stolen = certified(&honest).unwrap().cert;
    let signer = certified(&thief).unwrap().key;
    let row = Arc::new(CertifiedKey::new(stolen, signer));
    let mut server = server_tls(&thief, None).unwrap();
    server.cert_resolver = Arc::new(Presented { rows: vec![(ALPN, Shown::Relay(row))] });
    let (mut client, mut server) = pair(server, client_tls(KeyCheck::new(Some(id)), ALPN).unwrap());
    let error = shake(&mut client, &mut server).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn a_certificate_without_a_relay_key_is_no_relay() {
    let pair_of_p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair_of_p256).unwrap();
    assert_eq!(relay_of(certificate.der()), None);
    assert_eq!(relay_of(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])), None);
    assert_eq!(relay_of(&CertificateDer::from(Vec::new())), None);
}

#[test]
fn another_protocol_is_refused_in_words_that_it_understands() {
    let (key, id) = relay(7);
    let (mut client, mut server) = pair(server_tls(&key, None).unwrap(), client_tls(KeyCheck::new(Some(id)), b"h3").unwrap());
    let error = shake(&mut client, &mut server).unwrap_err();
    assert_eq!(error, Error::NoApplicationProtocol);
    assert_eq!(server.alert().map(u8::from), Some(NO_APPLICATION_PROTOCOL));
}

#[test]
fn each_protocol_is_shown_its_own_certificate() {
    let (hop, hop_id) = relay(7);
    let (other, other_id) = relay(8);
    let shown = |key| Shown::Relay(Arc::new(certified(key).unwrap()));
    let rows = vec![(ALPN, shown(&hop)), (&b"other"[..], shown(&other))];
    for (alpn, expected) in [(ALPN, hop_id), (&b"other"[..], other_id)] {
        let presented = Presented { rows: rows.clone() };
        let mut server = server_tls(&hop, None).unwrap();
        server.alpn_protocols = presented.protocols();
        server.cert_resolver = Arc::new(presented);
        let (mut client, mut server) = pair(server, client_tls(KeyCheck::new(Some(expected)), alpn).unwrap());
        shake(&mut client, &mut server).unwrap();
        assert_eq!(server.alpn_protocol(), Some(alpn));
    }
}

/// What a TCP port shows to somebody who offers these protocols: the certificate, and what was agreed on.
fn shown(tls: &Arc<rustls::ServerConfig>, offered: &[&[u8]]) -> Result<(CertificateDer<'static>, Option<Vec<u8>>), Error> {
    let mut config = client_tls(KeyCheck::new(None), ALPN).unwrap();
    config.dangerous().set_certificate_verifier(Arc::new(Anybody));
    config.alpn_protocols = offered.iter().map(|alpn| alpn.to_vec()).collect();
    let name = ServerName::try_from(NOT_A_NAME).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = rustls::ServerConnection::new(Arc::clone(tls)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    let certificate = client.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((certificate, client.alpn_protocol().map(<[u8]>::to_vec)))
}

/// Takes any certificate, for tests that look at it afterwards.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, dss, &provider(OFFERED).signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

#[test]
fn a_tcp_port_shows_the_relay_key_for_conclave_and_the_certificate_for_everything_else() {
    let (key, id) = relay(7);
    let day = std::time::Duration::from_secs(24 * 3600);
    let [first, second] = [1, 2].map(|hours| WebCertificate::generate(hours * 3_600_000, day).unwrap());
    let identity = WebIdentity::short_lived(&first).unwrap();
    let tls = tcp_server_tls(&key, Some(&identity)).unwrap();
    let (certificate, alpn) = shown(&tls, &[HTTP, ALPN]).unwrap();
    assert_eq!((relay_of(&certificate), alpn.as_deref()), (Some(id), Some(ALPN)));
    let (certificate, alpn) = shown(&tls, &[b"h2", HTTP]).unwrap();
    assert_eq!((certificate.as_ref(), alpn.as_deref()), (first.der(), Some(HTTP)));
    identity.replace(&second).unwrap();
    let (certificate, alpn) = shown(&tls, &[]).unwrap();
    assert_eq!((certificate.as_ref(), alpn), (second.der(), None));
    assert_eq!(shown(&tls, &[b"h2"]), Err(Error::NoApplicationProtocol));
    // Without a certificate there is only conclave/1.
    let tls = tcp_server_tls(&key, None).unwrap();
    assert_eq!(shown(&tls, &[HTTP]), Err(Error::NoApplicationProtocol));
    assert_eq!(relay_of(&shown(&tls, &[ALPN]).unwrap().0), Some(id));
}

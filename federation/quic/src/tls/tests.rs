//! Handshakes in memory: who is accepted, and with which key exchange.

use rustls::{
    NamedGroup,
    quic::{ClientConnection, Connection, ServerConnection, Version},
};

use super::*;

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

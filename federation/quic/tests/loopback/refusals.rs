//! Dials that come to nothing say why.

use std::sync::Arc;

use conclave_federation::io::{Dial, DialError, DialKey, Net};
use conclave_quic::{BindConfig, Driver, Endpoint, Limits};

use crate::ends::{End, dial_to, either, id, key, loopback, participant, relay};

async fn failure(near: &mut Driver, far: &mut Driver) -> DialError {
    loop {
        match either(near, far).await {
            (End::Near, Net::DialFailed { why, .. }) => return why,
            (End::Near, net) => panic!("{net:?}"),
            (End::Far, _) => {}
        }
    }
}

#[tokio::test]
async fn another_key_than_expected_is_refused() {
    let (mut near, mut far) = (participant(), relay(1));
    near.dial(dial_to(1, Some(id(2)), &[far.endpoint().local_addr()]));
    assert_eq!(failure(&mut near, &mut far).await, DialError::WrongKey);
    assert_eq!(near.counters().dials_wrong_key, 1);
    assert_eq!(near.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_unreachable() {
    // A port that is ours and silent: nobody can answer on it meanwhile.
    let silent = std::net::UdpSocket::bind(loopback()).unwrap();
    let mut near = participant();
    near.dial(dial_to(1, Some(id(2)), &[silent.local_addr().unwrap(), silent.local_addr().unwrap()]));
    let begun = tokio::time::Instant::now();
    let net = near.next().await;
    assert!(matches!(net, Net::DialFailed { dial: DialKey(1), why: DialError::Unreachable }), "{net:?}");
    // Two seconds for an address with another behind it, five for the last.
    let took = begun.elapsed().as_secs_f32();
    assert!((6.9..7.5).contains(&took), "{took}");
    assert_eq!(near.counters().dials_unreachable, 1);
}

#[tokio::test]
async fn a_name_without_an_address_is_unknown() {
    let mut near = participant();
    near.dial(Dial { key: DialKey(4), relay: None, addresses: vec!["a name without a port".into()] });
    let net = near.next().await;
    assert!(matches!(net, Net::DialFailed { dial: DialKey(4), why: DialError::UnknownName }), "{net:?}");
    near.dial(Dial { key: DialKey(5), relay: None, addresses: Vec::new() });
    let net = near.next().await;
    assert!(matches!(net, Net::DialFailed { dial: DialKey(5), why: DialError::UnknownName }), "{net:?}");
}

#[tokio::test]
async fn addresses_are_tried_in_order_until_the_relay_is_met() {
    let (mut near, mut wrong, mut right) = (participant(), relay(1), relay(2));
    let addresses = vec![
        "a name without a port".to_owned(),
        wrong.endpoint().local_addr().to_string(),
        right.endpoint().local_addr().to_string(),
    ];
    near.dial(Dial { key: DialKey(1), relay: Some(id(2)), addresses });
    let met = async {
        loop {
            tokio::select! {
                net = near.next() => return net,
                _ = wrong.next() => {}
                _ = right.next() => {}
            }
        }
    };
    let net = tokio::time::timeout(crate::ends::GUARD, met).await.unwrap();
    assert!(matches!(net, Net::Connected { .. }), "{net:?}");
}

/// A QUIC server of somebody else.
fn stranger(alpn: &[u8]) -> quinn::Endpoint {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).unwrap();
    let der = rustls::pki_types::PrivatePkcs8KeyDer::from(pair.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der.into())
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    quinn::Endpoint::server(quinn::ServerConfig::with_crypto(Arc::new(crypto)), loopback()).unwrap()
}

async fn dial_stranger(alpn: &[u8]) -> DialError {
    let stranger = stranger(alpn);
    let answering = stranger.clone();
    let task = tokio::spawn(async move {
        while let Some(incoming) = answering.accept().await {
            let _ = incoming.await;
        }
    });
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[stranger.local_addr().unwrap()]));
    let net = tokio::time::timeout(crate::ends::GUARD, near.next()).await.unwrap();
    task.abort();
    let Net::DialFailed { why, .. } = net else { panic!("{net:?}") };
    why
}

#[tokio::test]
async fn another_protocol_is_not_conclave() {
    assert_eq!(dial_stranger(b"h3").await, DialError::NotConclave);
}

#[tokio::test]
async fn a_certificate_that_is_no_relay_key_is_not_conclave() {
    assert_eq!(dial_stranger(b"conclave/1").await, DialError::NotConclave);
}

/// Dials `far` like a stranger with another protocol would.
#[tokio::test]
async fn who_dials_with_another_protocol_is_refused_and_counted() {
    let mut far = relay(1);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let browser = quinn::Endpoint::client(loopback()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = browser.connect_with(config, far.endpoint().local_addr(), "relay.invalid").unwrap();
    let error = tokio::select! {
        result = connecting => result.unwrap_err(),
        net = far.next() => panic!("{net:?}"),
    };
    let quinn::ConnectionError::ConnectionClosed(close) = error else { panic!("{error:?}") };
    assert_eq!(u64::from(close.error_code), 0x100 + 120);
    assert_eq!(far.counters().handshakes_alpn, 1);
    assert_eq!((far.sessions(), far.handshakes()), (0, 0));
}

#[tokio::test]
async fn a_relay_that_is_full_refuses_at_once() {
    let limits = Limits { sessions: 1, ..Limits::default() };
    let config = BindConfig { limits, ..BindConfig::relay(loopback(), key(1)) };
    let mut far = Driver::new(Endpoint::bind(config).unwrap());
    let mut near = participant();
    let address = far.endpoint().local_addr();
    near.dial(dial_to(1, Some(id(1)), &[address]));
    let mut up = 0;
    while up < 2 {
        up += usize::from(matches!(either(&mut near, &mut far).await.1, Net::Connected { .. }));
    }
    near.dial(dial_to(2, Some(id(1)), &[address]));
    assert_eq!(failure(&mut near, &mut far).await, DialError::Unreachable);
    assert_eq!(far.counters().handshakes_refused, 1);
    assert_eq!(far.sessions(), 1);
}

#[tokio::test]
async fn a_participant_cannot_be_dialled() {
    let mut target = participant();
    let mut near = participant();
    near.dial(dial_to(1, None, &[target.endpoint().local_addr()]));
    tokio::time::pause();
    assert_eq!(failure(&mut near, &mut target).await, DialError::Unreachable);
}

//! The key exchange of each hop between our own ends, with real sockets: what was agreed on, as both ends saw it.

use std::net::SocketAddr;

use conclave_federation::io::{Dial, DialKey};
use quinn::crypto::rustls::HandshakeData;
use rustls::NamedGroup;
use tokio::net::{TcpListener, TcpStream};
use web_transport_quinn::{ClientBuilder, proto::ConnectRequest};

use super::*;
use crate::{accept, certificate::WebCertificate, config::BindConfig, dial, drive::Driver, endpoint::Endpoint, tcp::dial::shake};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn relay(seed: u8) -> BindConfig {
    BindConfig::relay(loopback(), SigningKey::from_seed([seed; 32]))
}

fn participant() -> BindConfig {
    BindConfig { addr: loopback(), ..BindConfig::participant() }
}

/// Which group a QUIC handshake ended with.
fn group(connection: &quinn::Connection) -> NamedGroup {
    connection.handshake_data().unwrap().downcast::<HandshakeData>().unwrap().negotiated_key_exchange_group
}

/// Lets `near` dial `far`: the groups that either saw.
async fn dialled(near: BindConfig, far: BindConfig) -> [NamedGroup; 2] {
    let (near, far) = (Endpoint::bind(near).unwrap(), Endpoint::bind(far).unwrap());
    let wanted = Dial { key: DialKey(1), relay: far.relay(), addresses: vec![far.local_addr().to_string()] };
    let accepted = async { accept::shake(far.quic.accept().await.unwrap().accept().unwrap()).await.unwrap_or_else(|_| panic!()) };
    let dialling = dial::dial(near.quic.clone(), Arc::clone(&near.dialling), wanted);
    let (ours, theirs) = tokio::join!(dialling, accepted);
    [group(&ours.unwrap().0), group(&theirs.0)]
}

#[tokio::test]
async fn a_participant_and_its_relay_agree_by_the_hybrid_exchange() {
    assert_eq!(dialled(participant(), relay(1)).await, [NamedGroup::X25519MLKEM768; 2]);
}

#[tokio::test]
async fn two_relays_agree_by_the_hybrid_exchange() {
    assert_eq!(dialled(relay(2), relay(1)).await, [NamedGroup::X25519MLKEM768; 2]);
}

#[tokio::test]
async fn a_browser_that_offers_the_hybrid_exchange_gets_it() {
    let now = Driver::new(Endpoint::bind(participant()).unwrap()).now().unix_ms;
    let certificate = WebCertificate::generate(now - 60_000, std::time::Duration::from_secs(3_600)).unwrap();
    let web = Some(WebIdentity::short_lived(&certificate).unwrap());
    let far = Endpoint::bind(BindConfig { web, ..relay(1) }).unwrap();
    let browser = ClientBuilder::new().with_server_certificate_hashes(vec![certificate.hash().to_vec()]).unwrap();
    let url = format!("https://{}/conclave/1", far.local_addr());
    let request = ConnectRequest::new(url.parse::<url::Url>().unwrap()).with_protocol("conclave-1");
    let accepted = async {
        let (connection, opened) =
            accept::shake(far.quic.accept().await.unwrap().accept().unwrap()).await.unwrap_or_else(|_| panic!());
        assert!(opened.is_some(), "a session of WebTransport");
        connection
    };
    let (browser, connection) = tokio::join!(browser.connect(request), accepted);
    assert_eq!([group(&browser.unwrap()), group(&connection)], [NamedGroup::X25519MLKEM768; 2]);
}

#[tokio::test]
async fn a_participant_over_tcp_and_its_relay_agree_by_the_hybrid_exchange() {
    let key = SigningKey::from_seed([1; 32]);
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(tcp_server_tls(&key, None).unwrap());
    let accepted = async { tls.accept(listener.accept().await.unwrap().0).await.unwrap() };
    let dialling = async { shake(TcpStream::connect(address).await.unwrap(), None).await.unwrap().0 };
    let (near, far) = tokio::join!(dialling, accepted);
    for seen in [near.get_ref().1.negotiated_key_exchange_group(), far.get_ref().1.negotiated_key_exchange_group()] {
        assert_eq!(seen.unwrap().name(), NamedGroup::X25519MLKEM768);
    }
}

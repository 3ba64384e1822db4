//! What QUIC holds when a session ends.

use std::{sync::Arc, time::Duration};

use conclave_federation::{
    id::RelayId,
    io::{Dial, DialKey, SessionKey},
    proof::SigningKey,
};
use quinn::VarInt;

use super::*;
use crate::{
    config::{BindConfig, Role},
    dial::dial,
    endpoint::Endpoint,
    ready::Ready,
};

#[tokio::test]
async fn what_arrived_before_the_end_of_a_session_is_handed_over() {
    let key = SigningKey::from_seed([5; 32]);
    let relay = RelayId::new(*key.verifying_key().as_bytes());
    let far = Endpoint::bind(BindConfig::relay("127.0.0.1:0".parse().unwrap(), key)).unwrap();
    let near = Endpoint::bind(BindConfig::participant()).unwrap();
    let wanted = Dial { key: DialKey(1), relay: Some(relay), addresses: vec![far.local_addr().to_string()] };
    let carried = async {
        let (dialled, accepted) = tokio::join!(dial(near.quic.clone(), Arc::clone(&near.dialling), wanted), async {
            far.quic.accept().await.unwrap().await.unwrap()
        });
        let (connection, _) = dialled.unwrap();
        let ready = Arc::new(Ready::default());
        let mut session = Session::new(SessionKey(1), accepted, Role::Client, &ready);

        connection.send_datagram("sound".into()).unwrap();
        let (mut control, _answers) = connection.open_bi().await.unwrap();
        control.write_all(b"control").await.unwrap();
        control.finish().unwrap();
        let mut whole = connection.open_uni().await.unwrap();
        whole.write_all(&[3; 100_000]).await.unwrap();
        whole.finish().unwrap();
        let mut given_up = connection.open_uni().await.unwrap();
        given_up.write_all(b"late").await.unwrap();
        given_up.reset(VarInt::from_u32(29)).unwrap();
        // All of it was acknowledged, and nobody has looked at it.
        assert_eq!(control.stopped().await, Ok(None));
        assert_eq!(whole.stopped().await, Ok(None));
        connection.close(VarInt::from_u32(0), b"");
        session.connection.closed().await;

        session.drain()
    };
    let events = tokio::time::timeout(Duration::from_secs(60), carried).await.unwrap();
    let mut pieces = events.into_iter();
    let Some(Net::Datagram { bytes, .. }) = pieces.next() else { panic!("the datagram comes first") };
    assert_eq!(bytes, "sound");
    let Some(Net::Data { kind: StreamKind::Control, bytes, fin: true, stream, .. }) = pieces.next() else {
        panic!("then control")
    };
    assert_eq!((bytes, stream), ("control".into(), StreamKey::CONTROL));
    let (mut len, mut ends) = (0, 0);
    for net in pieces {
        match net {
            Net::Data { kind: StreamKind::Uni, bytes, fin, stream: StreamKey(2), .. } => {
                assert!(bytes.len() <= MAX_READ && ends == 0);
                len += bytes.len();
                ends += u32::from(fin);
            }
            // Of the stream that was given up, anything or nothing may have arrived, but no end.
            Net::Data { fin, .. } => assert!(!fin),
            Net::Reset { code, .. } => assert_eq!(code, conclave_federation::wire::code::Code::LATE),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((len, ends), (100_000, 1));
}

//! What browsers may not do, and what they may.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use quinn::{Connection, RecvStream, SendStream, VarInt};
use web_transport_quinn::proto::{ConnectError, ConnectResponse, Frame, Settings};

use super::*;

const H3_STREAM_CREATION_ERROR: u32 = 0x103;

/// A connection that speaks `h3` as far as TLS is concerned, and says what a test makes it say.
async fn connection(port: &mut Port) -> Connection {
    let mut tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(any::Any))
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let client = quinn::Endpoint::client(loopback()).unwrap();
    let config = quinn::ClientConfig::new(std::sync::Arc::new(crypto));
    let connecting = client.connect_with(config, port.driver.endpoint().local_addr(), "relay.invalid").unwrap();
    port.serve(connecting).await.unwrap()
}

mod any {
    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::{CertificateDer, ServerName, UnixTime},
    };

    /// Takes any certificate: these tests are about what comes later.
    #[derive(Debug)]
    pub(super) struct Any;

    impl ServerCertVerifier for Any {
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
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ECDSA_NISTP256_SHA256]
        }
    }
}

/// A browser of which each byte is in our hands.
struct ByHand {
    quic: Connection,
    session: SessionKey,
    /// Our side of the request.
    request: SendStream,
    /// The relay's side of it.
    answers: RecvStream,
    /// That of the settings, and one that says nothing.
    held: [SendStream; 2],
}

impl Port {
    async fn by_hand(&mut self) -> ByHand {
        let quic = connection(self).await;
        let asked = self.url("/conclave/1");
        let (request, answers, held) = self
            .serve(async {
                // Streams of the future may come before the settings, and such as say nothing yet, or never.
                let mut grease = quic.open_uni().await.unwrap();
                grease.write_all(&[0x21, 1, 2, 3]).await.unwrap();
                let silent = quic.open_uni().await.unwrap();
                quic.open_uni().await.unwrap().reset(VarInt::from_u32(0)).unwrap();
                let mut settings = quic.open_uni().await.unwrap();
                let mut ours = Settings::default();
                ours.enable_webtransport(1);
                ours.write(&mut settings).await.unwrap();
                let (mut send, mut recv) = quic.open_bi().await.unwrap();
                asked.write(&mut send).await.unwrap();
                ConnectResponse::read(&mut recv).await.unwrap();
                assert_eq!(grease.stopped().await.unwrap(), Some(VarInt::from_u32(H3_STREAM_CREATION_ERROR)));
                (send, recv, [settings, silent])
            })
            .await;
        let session = self.wait(|net| match net {
            Net::Connected { session, .. } => Some(*session),
            _ => None,
        });
        ByHand { session: session.await, quic, request, answers, held }
    }

    /// Says these bytes on a new stream one way, and no more.
    async fn say(&mut self, by: &ByHand, bytes: &[u8]) {
        self.serve(async {
            let mut send = by.quic.open_uni().await.unwrap();
            send.write_all(bytes).await.unwrap();
            send.finish().unwrap();
        })
        .await;
    }

    /// The session of `by` ended as lost, and that of somebody else goes on.
    async fn only_that_one_ends(&mut self, by: &ByHand, other: &Session, others: SessionKey) {
        assert_eq!(self.closed(by.session).await, Closed::Lost);
        self.serve(by.quic.closed()).await;
        assert_eq!(self.driver.datagram(others, "on".into()), Wrote::Accepted(2));
        assert_eq!(self.serve(other.read_datagram()).await.unwrap(), "on");
        assert_eq!((self.driver.sessions(), self.driver.counters().panics), (1, 0));
    }
}

#[tokio::test]
async fn a_stream_that_may_not_be_ends_the_session_and_no_other() {
    let mut port = Port::open();
    let (other, others) = port.browser().await;
    let cases: [&[u8]; 7] = [
        // Another session, a push, a second control stream, cut off in the type, and in the session.
        &[0x40, 0x54, 4],
        &[1],
        &[0, 4, 0],
        &[0x40],
        &[0x40, 0x54],
        &[0x40, 0x54, 0x40],
        // The eight bytes of the largest number there is.
        &[0xff; 8],
    ];
    let mut ended = 0;
    for case in cases {
        let by = port.by_hand().await;
        port.say(&by, case).await;
        if case == [0xff; 8] {
            // A type of the future is only not wanted.
            assert_eq!(port.driver.datagram(by.session, "on".into()), Wrote::Accepted(2));
            assert_eq!(port.serve(by.quic.read_datagram()).await.unwrap(), b"\0on"[..]);
            continue;
        }
        ended += 1;
        port.only_that_one_ends(&by, &other, others).await;
        assert_eq!(port.driver.counters().web_streams_broken, ended);
    }
    assert_eq!(ended, 6);
}

#[tokio::test]
async fn a_second_request_or_a_stream_of_another_session_ends_the_session() {
    let mut port = Port::open();
    let (other, others) = port.browser().await;
    for (count, case) in [&[0x40, 0x41, 4][..], &[1, 0], &[0x40, 0x41]].into_iter().enumerate() {
        let by = port.by_hand().await;
        port.serve(async {
            let (mut send, _recv) = by.quic.open_bi().await.unwrap();
            send.write_all(case).await.unwrap();
            send.finish().unwrap();
            by.quic.closed().await;
        })
        .await;
        port.only_that_one_ends(&by, &other, others).await;
        assert_eq!(port.driver.counters().web_streams_broken, count as u64 + 1);
    }
}

#[tokio::test]
async fn a_datagram_of_no_session_ends_the_session() {
    let mut port = Port::open();
    let (other, others) = port.browser().await;
    for (count, case) in [&[1, 2, 3][..], &[], &[0x40]].into_iter().enumerate() {
        let by = port.by_hand().await;
        by.quic.send_datagram(Bytes::from_static(b"\0fine")).unwrap();
        by.quic.send_datagram(Bytes::from_static(case)).unwrap();
        let fine = port.wait(|net| match net {
            Net::Datagram { bytes, .. } => Some(bytes.clone()),
            _ => None,
        });
        assert_eq!(fine.await, "fine");
        port.only_that_one_ends(&by, &other, others).await;
        assert_eq!(port.driver.counters().web_datagrams_broken, count as u64 + 1);
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_read_to_its_end_ends_the_session() {
    let mut port = Port::open();
    let (other, others) = port.browser().await;
    // A frame too large; a capsule too large; the end of a session in other than letters; a frame that breaks off.
    let cases: [&[u8]; 4] =
        [&[0, 0x80, 1, 0, 1], &[0, 6, 0x68, 0x43, 0x80, 1, 0, 1], &[0, 8, 0x68, 0x43, 5, 0, 0, 0, 0, 0xff], &[0, 9, 0x68]];
    for (count, case) in cases.into_iter().enumerate() {
        let mut by = port.by_hand().await;
        port.serve(by.request.write_all(case)).await.unwrap();
        by.request.finish().unwrap();
        port.only_that_one_ends(&by, &other, others).await;
        assert_eq!(port.driver.counters().web_requests_broken, count as u64 + 1);
    }
    let mut by = port.by_hand().await;
    by.request.reset(VarInt::from_u32(0)).unwrap();
    port.only_that_one_ends(&by, &other, others).await;
    assert_eq!(port.driver.counters().web_requests_broken, cases.len() as u64 + 1);
}

/// The end of a session in three bytes, which cannot be, makes the reader of capsules wait for more for ever.
#[tokio::test]
async fn a_request_that_never_ends_is_not_collected_for_ever() {
    let mut port = Port::open();
    let mut by = port.by_hand().await;
    port.serve(async {
        by.request.write_all(&[0, 6, 0x68, 0x43, 3, 0, 0, 0]).await.unwrap();
        let mut frame = vec![0, 0x44, 0];
        frame.extend_from_slice(&[0; 1024]);
        let mut sent = 0;
        while by.request.write_all(&frame).await.is_ok() {
            sent += frame.len();
            assert!(sent < 1024 * 1024, "all of it is taken");
        }
    })
    .await;
    assert_eq!(port.closed(by.session).await, Closed::Lost);
    assert_eq!(port.driver.counters().web_requests_broken, 1);
}

#[tokio::test]
async fn what_http_asks_to_be_ignored_is_ignored() {
    let mut port = Port::open();
    let mut by = port.by_hand().await;
    // Both of QPACK's streams, a stream that ends before it begins, and one that is given up before it begins.
    port.say(&by, &[2]).await;
    port.say(&by, &[3]).await;
    port.say(&by, &[]).await;
    port.serve(by.quic.open_uni()).await.unwrap().reset(VarInt::from_u32(0)).unwrap();
    // A frame and a capsule of the future on the request.
    port.serve(by.request.write_all(&[0x21, 2, 9, 9, 0, 2, 0x17, 0])).await.unwrap();
    port.serve(async {
        let mut ours = by.quic.open_uni().await.unwrap();
        ours.write_all(&[0x40, 0x54]).await.unwrap();
        ours.write_all(&[0, b'o', b'k']).await.unwrap();
        ours.finish().unwrap();
    })
    .await;
    assert_eq!(port.until_end(StreamKind::Uni).await.1, b"ok");
    assert_eq!((port.driver.sessions(), port.driver.counters().sessions_closed), (1, 0));
    // Of QPACK's streams there is one each.
    port.say(&by, &[2]).await;
    assert_eq!(port.closed(by.session).await, Closed::Lost);
}

#[tokio::test]
async fn a_session_may_have_as_many_streams_as_a_native_one() {
    let mut port = Port::open();
    let by = port.by_hand().await;
    let opened = port.serve(async {
        let mut streams = Vec::new();
        for _ in 0..64 {
            let mut send = by.quic.open_uni().await.unwrap();
            send.write_all(&[0x40, 0x54, 0, 1]).await.unwrap();
            streams.push(send);
        }
        streams
    });
    let _streams = opened.await;
    for _ in 0..64 {
        port.wait(|net| matches!(net, Net::Data { .. }).then_some(())).await;
    }
    // Beside them, HTTP/3 has its own.
    port.say(&by, &[2]).await;
    port.say(&by, &[3]).await;
    assert_eq!(port.driver.sessions(), 1);
}

#[tokio::test]
async fn the_end_of_the_request_without_a_word_is_an_end_as_agreed() {
    let mut port = Port::open();
    let mut by = port.by_hand().await;
    by.request.finish().unwrap();
    assert_eq!(port.closed(by.session).await, Closed::ByRemote(Code::NONE, String::new()));
    port.serve(by.quic.closed()).await;
}

#[tokio::test]
async fn a_connection_that_ends_ends_the_session() {
    for (number, expected) in [
        (0x100, Closed::ByRemote(Code::NONE, "gone".into())),
        (0x102, Closed::Lost),
        (0, Closed::Lost),
        (0x52e4_a40f_a8db + 6, Closed::ByRemote(Code::SLOW, "gone".into())),
    ] {
        let mut port = Port::open();
        let by = port.by_hand().await;
        by.quic.close(VarInt::from_u64(number).unwrap(), b"gone");
        assert_eq!(port.closed(by.session).await, expected);
        assert_eq!(port.driver.sessions(), 0);
    }
}

#[tokio::test]
async fn another_path_or_version_is_not_found() {
    let mut port = Port::open();
    let requests = [
        port.url("/"),
        port.url("/conclave/2"),
        port.url("/conclave/1/"),
        port.url("/?/conclave/1"),
        port.url("/conclave/1").with_protocol("conclave-2"),
    ];
    for (count, request) in requests.into_iter().enumerate() {
        let refused = port.try_dial(port.hash, request).await.expect_err("refused");
        let ClientError::HttpError(web_transport_quinn::ConnectError::ProtoError(ConnectError::WrongStatus(status))) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(status.map(|status| status.as_u16()), Some(404));
        while port.driver.counters().web_sessions_refused == count as u64 {
            port.serve(tokio::task::yield_now()).await;
        }
    }
    let counters = port.driver.counters();
    assert_eq!((counters.web_sessions_refused, counters.web_sessions_ok, counters.handshakes_ok), (5, 0, 0));
    assert_eq!((port.driver.handshakes(), port.driver.sessions()), (0, 0));
    // Who names no version is taken at their word.
    let request = port.url("/conclave/1");
    assert_eq!(port.try_dial(port.hash, request).await.unwrap().protocol(), None);
}

#[tokio::test]
async fn garbage_instead_of_settings_or_a_request_is_refused() {
    let mut port = Port::open();
    let mut settings = Vec::new();
    let mut ours = Settings::default();
    ours.encode(&mut settings);
    let without = settings.clone();
    settings.clear();
    ours.enable_webtransport(1);
    ours.encode(&mut settings);
    let mut other_frame = Vec::new();
    Frame::DATA.encode(&mut other_frame);
    let cases: [(&[u8], &[u8]); 6] = [
        // Settings without WebTransport, not settings at all, settings that are too large.
        (&without, &[]),
        (&[0, 1, 0], &[]),
        (&[0, 4, 0x80, 1, 0, 1], &[]),
        // A request in other than HTTP, without fields, and of the wrong kind of frame.
        (&settings, b"GET / HTTP/1.1\r\n\r\n"),
        (&settings, &[1, 2, 0, 0]),
        (&settings, &[&other_frame[..], &[0]].concat()),
    ];
    for (count, (settings, request)) in cases.into_iter().enumerate() {
        let quic = connection(&mut port).await;
        port.serve(async {
            let mut uni = quic.open_uni().await.unwrap();
            uni.write_all(settings).await.unwrap();
            let (mut bidi, _recv) = quic.open_bi().await.unwrap();
            bidi.write_all(request).await.unwrap();
            bidi.finish().unwrap();
            quic.closed().await;
        })
        .await;
        assert_eq!(port.driver.counters().web_sessions_refused, count as u64 + 1);
    }
    assert_eq!((port.driver.handshakes(), port.driver.sessions(), port.driver.counters().panics), (0, 0, 0));
}

#[tokio::test]
async fn a_browser_that_asks_for_nothing_is_given_up() {
    let mut port = Port::open();
    let quic = connection(&mut port).await;
    assert_eq!(port.driver.handshakes(), 1);
    tokio::time::pause();
    port.serve(quic.closed()).await;
    assert_eq!((port.driver.counters().handshakes_timed_out, port.driver.handshakes()), (1, 0));
}

#[tokio::test]
async fn the_end_is_said_on_the_request_and_not_waited_for_long() {
    let mut port = Port::open();
    let mut by = port.by_hand().await;
    port.driver.close(by.session, Code::POLICY, "no");
    let said = port.serve(by.answers.read_to_end(100)).await.unwrap();
    // A DATA frame of nine bytes, a capsule of six: the code, and the words.
    assert_eq!(said, [0, 9, 0x68, 0x43, 6, 0, 0, 0, 10, b'n', b'o']);
    assert_eq!(by.quic.close_reason(), None);
    // A browser whose streams of HTTP/3 are stopped, even if they never said what they are, forgets the words over it.
    for held in &by.held {
        let stopped = pin!(held.stopped()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(stopped.is_pending(), "{stopped:?}");
    }
    tokio::time::pause();
    let why = port.serve(by.quic.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = why else { panic!("{why:?}") };
    assert_eq!(close.error_code, VarInt::from_u32(0x100));
    assert!(port.driver.drained(GUARD).await);
}

#[tokio::test]
async fn a_browser_that_answers_the_end_is_let_go_at_once() {
    let mut port = Port::open();
    let mut by = port.by_hand().await;
    port.driver.close(by.session, Code::NONE, "");
    assert_eq!(port.serve(by.answers.read_to_end(100)).await.unwrap(), [0, 7, 0x68, 0x43, 4, 0, 0, 0, 0]);
    by.request.finish().unwrap();
    let begun = std::time::Instant::now();
    port.serve(by.quic.closed()).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
}

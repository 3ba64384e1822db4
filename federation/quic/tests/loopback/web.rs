//! Browsers on the same port: what one writes is what the relay gets, and who has bad manners loses only their own session.

use std::{collections::VecDeque, future::Future, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Net, Outlet, SessionKey, Side, StreamKey, StreamKind, Wrote},
    limits::MAX_DATAGRAM,
    track::priority,
    wire::code::Code,
};
use conclave_quic::{BindConfig, Driver, Endpoint, Transport, WebCertificate, WebIdentity};
use web_transport_quinn::{
    ClientBuilder, ClientError, ReadError, Session, SessionError, WebTransportError, WriteError, proto::ConnectRequest,
};

use crate::ends::{End, GUARD, Pair, key, loopback, participant, relay};

mod manners;

/// A relay that browsers can dial.
struct Port {
    driver: Driver,
    identity: WebIdentity,
    hash: [u8; 32],
    seen: VecDeque<Net>,
}

fn certificate() -> WebCertificate {
    let now = Driver::new(Endpoint::bind(BindConfig { addr: loopback(), ..BindConfig::participant() }).unwrap()).now().unix_ms;
    WebCertificate::generate(now - 300_000, Duration::from_secs(13 * 24 * 3600)).unwrap()
}

impl Port {
    fn open() -> Self {
        let certificate = certificate();
        let identity = WebIdentity::short_lived(&certificate).unwrap();
        let config = BindConfig { web: Some(identity.clone()), ..BindConfig::relay(loopback(), key(1)) };
        let driver = Driver::new(Endpoint::bind(config).unwrap());
        Self { driver, identity, hash: certificate.hash(), seen: VecDeque::new() }
    }

    fn url(&self, path: &str) -> ConnectRequest {
        let url = format!("https://{}{path}", self.driver.endpoint().local_addr());
        ConnectRequest::new(url.parse::<url::Url>().unwrap())
    }

    /// Serves until `browser` is through with what it does. Events are kept.
    async fn serve<T>(&mut self, browser: impl Future<Output = T>) -> T {
        let both = async {
            let mut browser = std::pin::pin!(browser);
            loop {
                tokio::select! {
                    done = &mut browser => return done,
                    net = self.driver.next() => self.seen.push_back(net),
                }
            }
        };
        tokio::time::timeout(GUARD, both).await.expect("something that the test waits for never came")
    }

    /// The first event, among those not yet taken, that `wanted` takes.
    async fn wait<T>(&mut self, mut wanted: impl FnMut(&Net) -> Option<T>) -> T {
        let mut at = 0;
        loop {
            while let Some(net) = self.seen.get(at) {
                if let Some(found) = wanted(net) {
                    self.seen.remove(at);
                    return found;
                }
                at += 1;
            }
            let next = tokio::time::timeout(GUARD, self.driver.next());
            self.seen.push_back(next.await.expect("an event that the test waits for never came"));
        }
    }

    async fn try_dial(&mut self, hash: [u8; 32], request: ConnectRequest) -> Result<Session, ClientError> {
        let client = ClientBuilder::new().with_server_certificate_hashes(vec![hash.to_vec()]).unwrap();
        self.serve(async { client.connect(request).await }).await
    }

    /// A browser with a session.
    async fn browser(&mut self) -> (Session, SessionKey) {
        let request = self.url("/conclave/1?from=page").with_protocol("other-9").with_protocol("conclave-1");
        let browser = self.try_dial(self.hash, request).await.unwrap();
        assert_eq!(browser.protocol(), Some("conclave-1"));
        let (session, exporter) = self
            .wait(|net| match net {
                Net::Connected { session, side: Side::Accepted, exporter } => Some((*session, *exporter)),
                _ => None,
            })
            .await;
        let mut same = [0; 32];
        browser.export_keying_material(&mut same, b"EXPORTER-conclave/1", b"").unwrap();
        assert_eq!(exporter, same);
        assert_eq!(self.driver.transport(session), Some(Transport::WebTransport));
        (browser, session)
    }

    /// All bytes of the first stream of a kind, up to and with its end.
    async fn until_end(&mut self, wanted: StreamKind) -> (StreamKey, Vec<u8>) {
        let (mut on, mut all) = (None, Vec::new());
        loop {
            let (stream, bytes, fin) = self
                .wait(|net| match net {
                    Net::Data { stream, kind, bytes, fin, .. } if *kind == wanted && on.is_none_or(|on| on == *stream) => {
                        Some((*stream, bytes.clone(), *fin))
                    }
                    _ => None,
                })
                .await;
            on = Some(stream);
            all.extend_from_slice(&bytes);
            if fin {
                return (stream, all);
            }
        }
    }

    async fn closed(&mut self, of: SessionKey) -> Closed {
        self.wait(|net| match net {
            Net::Closed { session, why } if *session == of => Some(why.clone()),
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn the_first_stream_of_a_browser_is_the_control_stream() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    assert_eq!(port.driver.write(session, StreamKey::CONTROL, &mut ["early".into()]), Wrote::Blocked);
    let (mut send, mut recv) = port.serve(browser.open_bi()).await.unwrap();
    port.serve(send.write_all(b"hello")).await.unwrap();
    let first = port.wait(|net| match net {
        Net::Writable { session: of } => Some(*of),
        _ => None,
    });
    assert_eq!(first.await, session);
    let heard = port.wait(|net| match net {
        Net::Data { stream, kind, bytes, fin, .. } => Some((*stream, *kind, bytes.clone(), *fin)),
        _ => None,
    });
    assert_eq!(heard.await, (StreamKey::CONTROL, StreamKind::Control, "hello".into(), false));
    assert_eq!(port.driver.write(session, StreamKey::CONTROL, &mut ["wel".into(), "come".into()]), Wrote::Accepted(7));
    let mut answer = [0; 7];
    port.serve(recv.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"welcome");
    let counters = port.driver.counters();
    assert_eq!((counters.handshakes_ok, counters.web_sessions_ok, counters.bytes_in, counters.bytes_out), (1, 1, 5, 7));
}

#[tokio::test]
async fn streams_one_way_carry_the_native_bytes_in_both_directions() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    let large = vec![3; 100_000];
    port.serve(async {
        let mut send = browser.open_uni().await.unwrap();
        send.write_all(&large).await.unwrap();
        send.finish().unwrap();
    })
    .await;
    assert_eq!(port.until_end(StreamKind::Uni).await.1, large);

    let stream = port.driver.open_uni(session, priority::BASE).unwrap();
    assert_eq!(port.driver.write(session, stream, &mut ["header ".into(), "payload".into()]), Wrote::Accepted(14));
    port.driver.finish(session, stream);
    // A stream that nothing was written to is one all the same.
    let empty = port.driver.open_uni(session, priority::BASE).unwrap();
    port.driver.finish(session, empty);
    let heard = port.serve(async {
        let mut all = Vec::new();
        for _ in 0..2 {
            all.push(browser.accept_uni().await.unwrap().read_to_end(100).await.unwrap());
        }
        all
    });
    let mut heard = heard.await;
    heard.sort();
    assert_eq!(heard, [b"".to_vec(), b"header payload".to_vec()]);
}

#[tokio::test]
async fn questions_and_answers_go_both_ways() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    let _control = port.serve(browser.open_bi()).await.unwrap();
    let (mut send, mut recv) = port.serve(browser.open_bi()).await.unwrap();
    port.serve(async {
        send.write_all(b"question").await.unwrap();
        send.finish().unwrap();
    })
    .await;
    let (stream, question) = port.until_end(StreamKind::Bidi).await;
    assert_eq!(question, b"question");
    assert_ne!(stream, StreamKey::CONTROL);
    port.driver.write(session, stream, &mut ["answer".into()]);
    port.driver.finish(session, stream);
    assert_eq!(port.serve(recv.read_to_end(100)).await.unwrap(), b"answer");

    let asked = port.driver.open_bidi(session).unwrap();
    port.driver.write(session, asked, &mut ["and you?".into()]);
    port.driver.finish(session, asked);
    let heard = port.serve(async {
        let (mut send, mut recv) = browser.accept_bi().await.unwrap();
        let heard = recv.read_to_end(100).await.unwrap();
        send.write_all(b"me too").await.unwrap();
        send.finish().unwrap();
        heard
    });
    assert_eq!(heard.await, b"and you?");
    assert_eq!(port.until_end(StreamKind::Bidi).await, (asked, b"me too".to_vec()));
}

#[tokio::test]
async fn the_largest_datagram_fits_with_its_prefix_both_ways() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    let largest = Bytes::from(vec![9; MAX_DATAGRAM]);
    browser.send_datagram(largest.clone()).unwrap();
    let heard = port.wait(|net| match net {
        Net::Datagram { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(heard.await, largest);
    assert_eq!(port.driver.datagram(session, largest.clone()), Wrote::Accepted(MAX_DATAGRAM));
    assert_eq!(port.serve(browser.read_datagram()).await.unwrap(), largest);
    let counters = port.driver.counters();
    assert_eq!((counters.datagrams_in, counters.datagrams_out, counters.datagrams_oversized), (1, 1, 0));
    assert_eq!((counters.bytes_in, counters.bytes_out), (MAX_DATAGRAM as u64, MAX_DATAGRAM as u64));
}

#[tokio::test]
async fn codes_of_streams_are_the_same_numbers_at_both_ends() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;

    // The browser gives up what it sends.
    let mut send = port.serve(browser.open_uni()).await.unwrap();
    port.serve(send.write_all(b"a part")).await.unwrap();
    let part = port.wait(|net| match net {
        Net::Data { stream, bytes, .. } => Some((*stream, bytes.clone())),
        _ => None,
    });
    let (stream, part) = part.await;
    assert_eq!(part, "a part");
    send.reset(u32::from(Code::LATE.0)).unwrap();
    let reset = port.wait(|net| match net {
        Net::Reset { stream, code, .. } => Some((*stream, *code)),
        _ => None,
    });
    assert_eq!(reset.await, (stream, Code::LATE));

    // The relay gives up what it sends.
    let stream = port.driver.open_uni(session, priority::UPPER).unwrap();
    port.driver.write(session, stream, &mut ["b".into()]);
    let mut recv = port.serve(browser.accept_uni()).await.unwrap();
    assert_eq!(port.serve(recv.read_chunk(10, true)).await.unwrap().unwrap().bytes, "b");
    port.driver.reset(session, stream, Code::SLOW);
    let heard = port.serve(recv.read_chunk(10, true)).await.unwrap_err();
    assert!(matches!(heard, ReadError::Reset(code) if code == u32::from(Code::SLOW.0)), "{heard:?}");

    // The relay does not want more.
    let mut send = port.serve(browser.open_uni()).await.unwrap();
    port.serve(send.write_all(b"c")).await.unwrap();
    let unwanted = port.wait(|net| match net {
        Net::Data { stream, .. } => Some(*stream),
        _ => None,
    });
    let unwanted = unwanted.await;
    port.driver.stop(session, unwanted, Code::UNWANTED);
    assert_eq!(port.serve(send.stopped()).await.unwrap(), Some(u32::from(Code::UNWANTED.0)));
    let refused = port.serve(send.write_all(b"more")).await.unwrap_err();
    assert!(matches!(refused, WriteError::Stopped(code) if code == u32::from(Code::UNWANTED.0)), "{refused:?}");

    // The browser does not want more, and the relay learns it with what it writes next.
    let stream = port.driver.open_uni(session, priority::BASE).unwrap();
    port.driver.write(session, stream, &mut ["d".into()]);
    let mut recv = port.serve(browser.accept_uni()).await.unwrap();
    recv.stop(u32::from(Code::UNWANTED.0)).unwrap();
    // What comes on a stream of its own comes after the stop.
    port.serve(async {
        let (mut send, _recv) = browser.open_bi().await.unwrap();
        send.write_all(b"now").await.unwrap();
        send.finish().unwrap();
    })
    .await;
    port.until_end(StreamKind::Control).await;
    while port.driver.write(session, stream, &mut ["e".into()]) != Wrote::Gone {
        port.serve(tokio::task::yield_now()).await;
    }
    let stopped = port.wait(|net| match net {
        Net::Stopped { stream, code, .. } => Some((*stream, *code)),
        _ => None,
    });
    assert_eq!(stopped.await, (stream, Code::UNWANTED));
}

#[tokio::test]
async fn the_relay_s_reason_of_an_end_arrives() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    let stream = port.driver.open_uni(session, priority::BASE).unwrap();
    port.driver.write(session, stream, &mut ["half a pictu".into()]);
    let mut recv = port.serve(browser.accept_uni()).await.unwrap();
    port.driver.close(session, Code::SHUTTING_DOWN, "come back");
    assert_eq!(port.closed(session).await, Closed::ByUs);
    assert_eq!((port.driver.sessions(), port.driver.write(session, stream, &mut ["re".into()])), (0, Wrote::Gone));
    let why = port.serve(browser.closed()).await;
    let SessionError::WebTransportError(WebTransportError::Closed(code, words)) = why else { panic!("{why:?}") };
    assert_eq!((code, words.as_str()), (u32::from(Code::SHUTTING_DOWN.0), "come back"));
    // What was cut off does not seem whole.
    port.serve(recv.read_to_end(100)).await.unwrap_err();
    assert_eq!(port.driver.counters().sessions_closed, 1);
    assert!(port.driver.drained(GUARD).await);
}

#[tokio::test]
async fn a_relay_that_stops_tells_its_browsers() {
    let mut port = Port::open();
    let (one, _) = port.browser().await;
    let (two, _) = port.browser().await;
    port.driver.close_all(Code::SHUTTING_DOWN, "the relay stops");
    let (drained, whys) = tokio::join!(port.driver.drained(GUARD), async { [one.closed().await, two.closed().await] });
    assert!(drained);
    for why in whys {
        let SessionError::WebTransportError(WebTransportError::Closed(5, words)) = why else { panic!("{why:?}") };
        assert_eq!(words, "the relay stops");
    }
}

#[tokio::test]
async fn the_browser_s_reason_of_an_end_arrives_after_what_it_said_before() {
    let mut port = Port::open();
    let (browser, session) = port.browser().await;
    port.serve(async {
        let mut send = browser.open_uni().await.unwrap();
        send.write_all(b"last words").await.unwrap();
        send.finish().unwrap();
        send.stopped().await.unwrap();
        browser.close(u32::from(Code::RATE.0), "good\nbye".as_bytes());
        browser.closed().await;
    })
    .await;
    assert_eq!(port.until_end(StreamKind::Uni).await.1, b"last words");
    assert_eq!(port.closed(session).await, Closed::ByRemote(Code::RATE, "goodbye".into()));
    assert_eq!(port.driver.sessions(), 0);
    assert!(port.driver.drained(GUARD).await);
}

#[tokio::test]
async fn only_the_hash_that_was_published_is_met() {
    let mut port = Port::open();
    let request = port.url("/conclave/1");
    let refused = port.try_dial([7; 32], request).await;
    assert!(matches!(refused, Err(ClientError::Connection(_))));
    port.browser().await;
    assert_eq!(port.driver.counters().web_sessions_ok, 1);
}

#[tokio::test]
async fn a_certificate_is_replaced_while_sessions_go_on() {
    let mut port = Port::open();
    let (old, before) = port.browser().await;
    let next = certificate();
    port.identity.replace(&next).unwrap();
    let request = port.url("/conclave/1");
    assert!(port.try_dial(port.hash, request).await.is_err());
    port.hash = next.hash();
    let (new, after) = port.browser().await;
    for (browser, session) in [(old, before), (new, after)] {
        assert_eq!(port.driver.datagram(session, "still here".into()), Wrote::Accepted(10));
        assert_eq!(port.serve(browser.read_datagram()).await.unwrap(), "still here");
    }
}

#[tokio::test]
async fn native_sessions_share_the_port_and_are_shown_the_relay_key() {
    let mut port = Port::open();
    let (browser, in_browser) = port.browser().await;
    let mut pair = Pair::connect(participant(), port.driver).await;
    assert_eq!(pair.far.transport(pair.there), Some(Transport::Quic));
    assert_ne!(pair.there, in_browser);
    // The same bytes for both.
    let sound = Bytes::from_static(b"sound");
    assert_eq!(pair.far.datagram(pair.there, sound.clone()), Wrote::Accepted(5));
    assert_eq!(pair.far.datagram(in_browser, sound.clone()), Wrote::Accepted(5));
    let native = pair.wait(|end, net| match net {
        Net::Datagram { bytes, .. } if end == End::Near => Some(bytes.clone()),
        _ => None,
    });
    assert_eq!(native.await, sound);
    assert_eq!(browser.read_datagram().await.unwrap(), sound);
}

#[tokio::test]
async fn a_relay_that_shows_nothing_to_browsers_does_not_speak_with_them() {
    let mut port = Port { driver: relay(1), ..Port::open() };
    let request = port.url("/conclave/1");
    assert!(port.try_dial(port.hash, request).await.is_err());
    assert_eq!(port.driver.counters().handshakes_alpn, 1);
}

//! Where UDP goes nowhere, the same session goes over TCP.

use std::net::SocketAddr;

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, DialError, DialKey, Net, Outlet, SessionKey, Side, StreamKey, StreamKind, Wrote},
    limits::MAX_DATAGRAM,
    mux::{PATH, SUBPROTOCOL},
    track::priority,
    wire::code::Code,
};
use conclave_quic::{
    BindConfig, Driver, Endpoint, Limits, Observer, Transport,
    tcp::{self, Pipe},
    tcp_server_tls,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{
    Message,
    handshake::server::{ErrorResponse, Request, Response},
    http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    protocol::Role,
};

use crate::ends::{End, GUARD, Pair, dial_to, id, key, loopback, participant, relay};

/// What UDP does at the port of a relay that is reached over TCP.
enum Udp {
    /// Nobody answers.
    Swallowed(#[expect(dead_code, reason = "held so that nobody else has the port")] std::net::UdpSocket),
    /// Every handshake is refused at once.
    Refused(tokio::task::JoinHandle<()>),
}

impl Drop for Udp {
    fn drop(&mut self) {
        if let Self::Refused(task) = self {
            task.abort();
        }
    }
}

/// A port whose TCP half is ours. The two halves have the same number only by luck: ports are asked for until they do.
async fn port(swallowed: bool) -> (Udp, TcpListener, SocketAddr) {
    loop {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        if swallowed && let Ok(socket) = std::net::UdpSocket::bind(addr) {
            return (Udp::Swallowed(socket), listener, addr);
        }
        let config = BindConfig::relay(addr, key(9));
        let limits = Limits { sessions: 0, ..Limits::default() };
        if !swallowed && let Ok(endpoint) = Endpoint::bind(BindConfig { limits, ..config }) {
            let mut refusing = Driver::new(endpoint);
            let task = tokio::spawn(async move {
                loop {
                    refusing.next().await;
                }
            });
            return (Udp::Refused(task), listener, addr);
        }
    }
}

#[expect(clippy::result_large_err, reason = "the type is that of the WebSocket library")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.uri().path(), PATH);
    let wanted = request.headers()[SEC_WEBSOCKET_PROTOCOL].to_str().unwrap();
    assert!(tcp::speaks(wanted));
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

async fn let_in(socket: TcpStream, tls: TlsAcceptor) -> Option<(Pipe, [u8; 32])> {
    let remote = socket.peer_addr().unwrap();
    tcp::tune(&socket);
    let stream = tls.accept(socket).await.ok()?;
    let exporter = stream.get_ref().1.export_keying_material([0; 32], b"EXPORTER-conclave/1", Some(b"")).unwrap();
    let config = Some(tcp::websocket_config());
    let websocket = tokio_tungstenite::accept_hdr_async_with_config(stream, choose, config).await.ok()?;
    let (pipe, far) = tcp::pipe();
    tokio::spawn(tcp::pump(websocket, far));
    Some((pipe.with_remote(remote), exporter))
}

/// What a relay's web server does: TCP, TLS, the WebSocket handshake.
fn door(listener: TcpListener, seed: u8) -> mpsc::Receiver<(Pipe, [u8; 32])> {
    let tls = TlsAcceptor::from(tcp_server_tls(&key(seed), None).unwrap());
    let (entered, pipes) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            if let Some(pipe) = let_in(socket, tls.clone()).await
                && entered.send(pipe).await.is_err()
            {
                return;
            }
        }
    });
    pipes
}

struct World<A: Observer = (), B: Observer = ()> {
    pair: Pair<A, B>,
    addr: SocketAddr,
    _udp: Udp,
}

impl World {
    async fn new() -> Self {
        Self::connect(false, participant(), relay(1)).await
    }
}

impl<A: Observer, B: Observer> World<A, B> {
    async fn connect(swallowed: bool, mut near: Driver<A>, mut far: Driver<B>) -> Self {
        let (udp, listener, addr) = port(swallowed).await;
        let mut pipes = door(listener, 1);
        near.dial(dial_to(1, Some(id(1)), &[addr]));
        let both = async {
            let (mut here, mut there) = (None, None);
            while here.is_none() || there.is_none() {
                tokio::select! {
                    net = near.next() => match net {
                        Net::Connected { session, side, exporter } => {
                            assert_eq!(side, Side::Dialled(DialKey(1), id(1)));
                            here = Some((session, exporter));
                        }
                        other => panic!("before the connection: {other:?}"),
                    },
                    net = far.next() => match net {
                        Net::Connected { session, side, exporter } => {
                            assert_eq!(side, Side::Accepted);
                            there = Some((session, exporter));
                        }
                        other => panic!("before the connection: {other:?}"),
                    },
                    Some((pipe, exporter)) = pipes.recv() => {
                        assert!(far.adopt(pipe, exporter).is_some());
                    }
                }
            }
            (here.unwrap(), there.unwrap())
        };
        let (here, there) = tokio::time::timeout(GUARD, both).await.expect("nobody connected");
        Self { pair: Pair::of(near, far, here, there), addr, _udp: udp }
    }
}

async fn failure(near: &mut Driver) -> DialError {
    let net = tokio::time::timeout(GUARD, near.next()).await.unwrap();
    let Net::DialFailed { why, .. } = net else { panic!("{net:?}") };
    why
}

#[tokio::test]
async fn where_udp_is_swallowed_the_session_goes_over_tcp() {
    let mut world = World::connect(true, participant(), relay(1)).await;
    let pair = &mut world.pair;
    assert_eq!(pair.near.transport(pair.here), Some(Transport::WebSocket));
    assert_eq!(pair.far.transport(pair.there), Some(Transport::WebSocket));
    assert_eq!(pair.near.transport(SessionKey(99)), None);
    assert_eq!(pair.near.remote(pair.here), Some(world.addr));
    assert!(pair.far.remote(pair.there).is_some_and(|remote| remote.ip().is_loopback()));
    assert_eq!(pair.exporters[0], pair.exporters[1]);
    assert_ne!(pair.exporters[0], [0; 32]);
    assert_eq!((pair.near.sessions(), pair.far.sessions()), (1, 1));
    assert_eq!((pair.near.counters().dials_ok, pair.near.counters().dials_over_tcp), (1, 1));
    assert_eq!(pair.far.counters().handshakes_ok, 1);
    pair.near.write(pair.here, StreamKey::CONTROL, &mut [Bytes::from_static(b"hello")]);
    assert_eq!(pair.data(End::Far).await, (StreamKey::CONTROL, StreamKind::Control, Bytes::from_static(b"hello")));
}

#[tokio::test]
async fn a_session_over_quic_says_so() {
    let pair = Pair::client().await;
    assert_eq!(pair.near.transport(pair.here), Some(Transport::Quic));
    assert_eq!(pair.near.counters().dials_over_tcp, 0);
    let names: Vec<_> =
        [Transport::Quic, Transport::WebTransport, Transport::WebSocket].iter().map(ToString::to_string).collect();
    assert_eq!(names, ["quic", "webtransport", "websocket"]);
}

#[tokio::test]
async fn all_that_travels_on_quic_travels_on_tcp() {
    let mut world = World::new().await;
    let pair = &mut world.pair;
    let uni = pair.near.open_uni(pair.here, priority::BASE).unwrap();
    let picture = Bytes::from((0..200_000u32).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>());
    pair.write_all(uni, picture.clone()).await;
    pair.near.finish(pair.here, uni);
    assert_eq!(pair.until_end(End::Far, uni).await, picture);

    let bidi = pair.near.open_bidi(pair.here).unwrap();
    pair.near.write(pair.here, bidi, &mut [Bytes::from_static(b"request")]);
    pair.near.finish(pair.here, bidi);
    assert_eq!(pair.until_end(End::Far, bidi).await, b"request");
    assert_eq!(pair.far.write(pair.there, bidi, &mut [Bytes::from_static(b"answer")]), Wrote::Accepted(6));
    pair.far.finish(pair.there, bidi);
    assert_eq!(pair.until_end(End::Near, bidi).await, b"answer");

    let sound = Bytes::from(vec![7; MAX_DATAGRAM]);
    assert_eq!(pair.far.datagram(pair.there, sound.clone()), Wrote::Accepted(MAX_DATAGRAM));
    let heard = pair
        .wait(|end, net| match net {
            Net::Datagram { bytes, .. } if end == End::Near => Some(bytes.clone()),
            _ => None,
        })
        .await;
    assert_eq!(heard, sound);

    let group = pair.far.open_uni(pair.there, priority::UPPER).unwrap();
    pair.far.write(pair.there, group, &mut [Bytes::from_static(b"group")]);
    assert_eq!(pair.data(End::Near).await, (group, StreamKind::Uni, Bytes::from_static(b"group")));
    pair.far.reset(pair.there, group, Code::LATE);
    let reset =
        |end, net: &Net| matches!(net, Net::Reset { stream, code: Code::LATE, .. } if (end, *stream) == (End::Near, group));
    pair.wait(|end, net| reset(end, net).then_some(())).await;

    let unwanted = pair.near.open_uni(pair.here, priority::UPPER).unwrap();
    pair.near.write(pair.here, unwanted, &mut [Bytes::from_static(b"group")]);
    assert_eq!(pair.data(End::Far).await.0, unwanted);
    pair.far.stop(pair.there, unwanted, Code::UNWANTED);
    pair.wait(|end, net| {
        let stopped = matches!(net, Net::Stopped { stream, code: Code::UNWANTED, .. } if *stream == unwanted);
        (stopped && end == End::Near).then_some(())
    })
    .await;
    assert_eq!(pair.near.write(pair.here, unwanted, &mut [Bytes::from_static(b"more")]), Wrote::Gone);
}

#[tokio::test]
async fn both_ends_may_hang_up_and_say_why() {
    for hangs_up in [End::Near, End::Far] {
        let mut world = World::new().await;
        let pair = &mut world.pair;
        let words = "connect to another relay";
        match hangs_up {
            End::Near => pair.near.close(pair.here, Code::SHUTTING_DOWN, words),
            End::Far => pair.far.close(pair.there, Code::SHUTTING_DOWN, words),
        }
        for _ in 0..2 {
            let (end, why) = pair
                .wait(|end, net| match net {
                    Net::Closed { why, .. } => Some((end, why.clone())),
                    _ => None,
                })
                .await;
            let expected = if end == hangs_up { Closed::ByUs } else { Closed::ByRemote(Code::SHUTTING_DOWN, words.to_owned()) };
            assert_eq!(why, expected);
        }
        assert_eq!((pair.near.sessions(), pair.far.sessions()), (0, 0));
        assert_eq!(pair.near.write(pair.here, StreamKey::CONTROL, &mut [Bytes::from_static(b"x")]), Wrote::Gone);
    }
}

/// A WebSocket in memory.
async fn in_memory() -> [tokio_tungstenite::WebSocketStream<tokio::io::DuplexStream>; 2] {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let ours = tokio_tungstenite::WebSocketStream::from_raw_socket(ours, Role::Server, Some(tcp::websocket_config()));
    let theirs = tokio_tungstenite::WebSocketStream::from_raw_socket(theirs, Role::Client, None);
    [ours.await, theirs.await]
}

#[tokio::test]
async fn a_remote_that_does_not_read_is_waited_for() {
    let mut far = relay(1);
    // Nobody pumps yet: the pipe takes a few messages, and then the mux fills.
    let (pipe, end) = tcp::pipe();
    let session = far.adopt(pipe, [3; 32]).unwrap();
    assert!(matches!(far.next().await, Net::Connected { .. }));
    let uni = far.open_uni(session, priority::BASE).unwrap();
    let mut written = 0;
    while let Wrote::Accepted(taken) = far.write(session, uni, &mut [Bytes::from(vec![5; 16 * 1024])]) {
        written += taken;
        assert!(written <= 128 * 1024);
    }
    assert!(far.counters().writes_blocked > 0);
    // Datagrams are refused as well, and not queued behind it; control messages find room.
    while far.datagram(session, Bytes::from_static(b"sound")) != Wrote::Blocked {}
    assert!(far.counters().datagrams_blocked > 0);
    assert_eq!(far.write(session, StreamKey::CONTROL, &mut [Bytes::from_static(b"urgent")]), Wrote::Accepted(6));
    far.finish(session, uni);
    let [server, mut stranger] = in_memory().await;
    tokio::spawn(tcp::pump(server, end));
    let (mut arrived, mut is_writable) = (0, false);
    let all = async {
        while arrived < written || !is_writable {
            tokio::select! {
                net = far.next() => is_writable |= matches!(net, Net::Writable { .. }),
                message = stranger.next() => {
                    let Some(Ok(Message::Binary(bytes))) = message else { continue };
                    // Type and the stream's number, which is 3; then the bytes.
                    arrived += if matches!(bytes[..], [2 | 3, 3, ..]) { bytes.len() - 2 } else { 0 };
                }
            }
        }
    };
    tokio::time::timeout(GUARD, all).await.expect("what was written arrives");
    assert_eq!(arrived, written);
}

#[tokio::test]
async fn a_remote_that_is_gone_is_noticed() {
    let World { pair, _udp, .. } = World::new().await;
    let Pair { mut near, far, here, .. } = pair;
    drop(far);
    let net = tokio::time::timeout(GUARD, near.next()).await.unwrap();
    assert!(matches!(net, Net::Closed { session, why: Closed::Lost } if session == here), "{net:?}");
    assert_eq!(near.sessions(), 0);
}

#[tokio::test]
async fn those_who_leave_are_heard_before_the_driver_is_drained() {
    let World { pair, _udp, .. } = World::new().await;
    let Pair { mut near, mut far, .. } = pair;
    near.close_all(Code::NONE, "goodbye");
    assert!(near.drained(GUARD).await);
    let net = tokio::time::timeout(GUARD, far.next()).await.unwrap();
    assert!(matches!(net, Net::Closed { why: Closed::ByRemote(Code::NONE, _), .. }), "{net:?}");
}

#[tokio::test]
async fn a_relay_that_is_full_says_so() {
    let (_udp, listener, addr) = port(false).await;
    let mut pipes = door(listener, 1);
    let limits = Limits { sessions: 0, ..Limits::default() };
    let mut far = Driver::new(Endpoint::bind(BindConfig { limits, ..BindConfig::relay(loopback(), key(1)) }).unwrap());
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[addr]));
    let why = async {
        loop {
            tokio::select! {
                Some((pipe, exporter)) = pipes.recv() => assert_eq!(far.adopt(pipe, exporter), None),
                net = near.next() => match net {
                    Net::Connected { .. } => {}
                    Net::Closed { why, .. } => return why,
                    other => panic!("{other:?}"),
                },
            }
        }
    };
    let why = tokio::time::timeout(GUARD, why).await.unwrap();
    assert!(matches!(why, Closed::ByRemote(Code::FULL, _)), "{why:?}");
    assert_eq!(far.counters().handshakes_refused, 1);
}

#[tokio::test]
async fn another_key_than_expected_is_refused_over_tcp_too() {
    let (_udp, listener, addr) = port(false).await;
    let _pipes = door(listener, 2);
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[addr]));
    assert_eq!(failure(&mut near).await, DialError::WrongKey);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let (_udp, listener, addr) = port(false).await;
    drop(listener);
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[addr]));
    assert_eq!(failure(&mut near).await, DialError::Unreachable);
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_not_conclave() {
    let (_udp, listener, addr) = port(false).await;
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"220 mail.example ready\r\n").await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    });
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[addr]));
    assert_eq!(failure(&mut near).await, DialError::NotConclave);
}

#[tokio::test]
async fn a_relay_without_a_websocket_is_not_conclave() {
    let (_udp, listener, addr) = port(false).await;
    let tls = TlsAcceptor::from(tcp_server_tls(&key(1), None).unwrap());
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = tls.accept(socket).await.unwrap();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let mut near = participant();
    near.dial(dial_to(1, Some(id(1)), &[addr]));
    assert_eq!(failure(&mut near).await, DialError::NotConclave);
}

/// A stranger at a relay.
async fn stranger(far: &mut Driver) -> tokio_tungstenite::WebSocketStream<tokio::io::DuplexStream> {
    let [server, stranger] = in_memory().await;
    let (pipe, end) = tcp::pipe();
    tokio::spawn(tcp::pump(server, end));
    assert!(far.adopt(pipe, [3; 32]).is_some());
    assert!(matches!(far.next().await, Net::Connected { side: Side::Accepted, exporter: [3, ..], .. }));
    stranger
}

#[tokio::test]
async fn messages_that_make_no_sense_end_the_session_and_are_counted() {
    let mut far = relay(1);
    let mut stranger = stranger(&mut far).await;
    stranger.send(Message::Binary(Bytes::from_static(&[99]))).await.unwrap();
    let net = tokio::time::timeout(GUARD, far.next()).await.unwrap();
    assert!(matches!(net, Net::Closed { why: Closed::Lost, .. }), "{net:?}");
    assert_eq!((far.counters().pipes_broken, far.sessions()), (1, 0));
    let farewell = stranger.next().await.unwrap().unwrap();
    assert!(matches!(&farewell, Message::Binary(bytes) if bytes.starts_with(&[6, 0, 1])), "{farewell:?}");
    assert!(matches!(stranger.next().await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn text_and_messages_that_are_too_long_end_the_connection() {
    for message in [Message::text("hello"), Message::Binary(Bytes::from(vec![2; 30_000]))] {
        let mut far = relay(1);
        let mut stranger = stranger(&mut far).await;
        // The end may come while it is still being sent.
        let _ = stranger.send(message).await;
        let net = tokio::time::timeout(GUARD, far.next()).await.unwrap();
        assert!(matches!(net, Net::Closed { why: Closed::Lost, .. }), "{net:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_is_silent_is_asked_and_then_lost() {
    let mut far = relay(1);
    let mut stranger = stranger(&mut far).await;
    // It never reads, so that its library never answers.
    let net = far.next().await;
    assert!(matches!(net, Net::Closed { why: Closed::TimedOut, .. }), "{net:?}");
    assert!(matches!(stranger.next().await, Some(Ok(Message::Ping(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_remote_that_answers_lives() {
    let mut far = relay(1);
    let mut stranger = stranger(&mut far).await;
    let begun = tokio::time::Instant::now();
    let mut signs = 0;
    while signs < 10 {
        tokio::select! {
            net = far.next() => panic!("{net:?}"),
            message = stranger.next() => signs += usize::from(matches!(message, Some(Ok(Message::Binary(_))))),
        }
    }
    assert!(begun.elapsed().as_secs() >= 45);
}

/// Writes down what goes past.
#[derive(Default)]
struct Notes {
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl Observer for Notes {
    fn received(&mut self, _: SessionKey, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }
    fn sent(&mut self, _: SessionKey, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn an_observer_sees_the_bytes_inside_the_messages() {
    let near = Endpoint::bind(BindConfig { addr: loopback(), ..BindConfig::participant() }).unwrap();
    let far = Endpoint::bind(BindConfig::relay(loopback(), key(1))).unwrap();
    let mut world =
        World::connect(false, Driver::observed(near, Notes::default()), Driver::observed(far, Notes::default())).await;
    let pair = &mut world.pair;
    let mut chunks = [Bytes::from_static(b"con"), Bytes::from_static(b"trol")];
    assert_eq!(pair.near.write(pair.here, StreamKey::CONTROL, &mut chunks), Wrote::Accepted(7));
    pair.data(End::Far).await;
    pair.near.datagram(pair.here, Bytes::from_static(b"sound"));
    pair.wait(|_, net| matches!(net, Net::Datagram { .. }).then_some(())).await;
    assert_eq!(pair.near.observer().sent, b"controlsound");
    assert_eq!(pair.far.observer().received, b"controlsound");
    let counted = (pair.near.counters().bytes_out, pair.far.counters().bytes_in, pair.far.counters().datagrams_in);
    assert_eq!(counted, (12, 12, 1));
}

//! Crowds, garbage, bugs and restarts: what happens to one session happens to no other.

use std::net::UdpSocket;

use conclave_federation::io::{Closed, Net, Outlet, SessionKey, StreamKey};
use conclave_quic::{BindConfig, Driver, Endpoint, Limits, Observer};

use crate::ends::{End, Pair, dial_to, either, id, key, loopback, participant, relay};

#[tokio::test]
async fn two_hundred_dial_at_once_and_all_get_in() {
    let mut far = relay(1);
    let config = BindConfig { addr: loopback(), limits: Limits::default(), ..BindConfig::participant() };
    let mut near = Driver::new(Endpoint::bind(config).unwrap());
    let address = far.endpoint().local_addr();
    for number in 0..200 {
        near.dial(dial_to(number, Some(id(1)), &[address]));
    }
    let (mut here, mut there) = (0, 0);
    while here < 200 || there < 200 {
        match either(&mut near, &mut far).await {
            (End::Near, Net::Connected { .. }) => here += 1,
            (End::Far, Net::Connected { .. }) => there += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((near.sessions(), far.sessions(), far.handshakes()), (200, 200, 0));
    // More than 64 came at once from addresses that nobody had proved.
    assert!(far.counters().retries > 0);
}

#[tokio::test]
async fn an_address_has_to_be_proved_when_the_relay_says_so() {
    let limits = Limits { unproven: 0, ..Limits::default() };
    let config = BindConfig { limits, ..BindConfig::relay(loopback(), key(1)) };
    let pair = Pair::connect(participant(), Driver::new(Endpoint::bind(config).unwrap())).await;
    assert_eq!((pair.far.counters().retries, pair.far.counters().handshakes_ok), (1, 1));
}

#[tokio::test]
async fn garbage_on_the_port_disturbs_nobody() {
    let mut pair = Pair::client().await;
    let address = pair.far.endpoint().local_addr();
    let stranger = UdpSocket::bind(loopback()).unwrap();
    let mut state = 0x9e37_79b9_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    for round in 0..40_u32 {
        for _ in 0..50 {
            let len = random() % 1_500;
            let mut packet: Vec<u8> = (0..len).map(|_| (random() >> 11) as u8).collect();
            if let (0, Some(first)) = (random() % 2, packet.first_mut()) {
                // The shape of an Initial, with nonsense inside.
                *first = 0xc0 | (*first & 0x0f);
                if let Some(version) = packet.get_mut(1..5) {
                    version.copy_from_slice(&1_u32.to_be_bytes());
                }
            }
            stranger.send_to(&packet, address).unwrap();
        }
        let words = format!("round {round}");
        pair.near.write(pair.here, StreamKey::CONTROL, &mut [words.clone().into()]);
        assert_eq!(pair.data(End::Far).await.2, words);
    }
    assert_eq!((pair.far.sessions(), pair.far.counters().handshakes_ok, pair.far.counters().panics), (1, 1, 0));
}

/// Fails on what it does not like, like a bug in the code that serves a session would.
struct Fragile;

impl Observer for Fragile {
    fn received(&mut self, _: SessionKey, bytes: &[u8]) {
        assert_ne!(bytes, b"poison");
    }
    fn sent(&mut self, _: SessionKey, _: &[u8]) {}
}

#[tokio::test]
async fn a_bug_while_serving_a_session_ends_that_session_only() {
    let far = Driver::observed(Endpoint::bind(BindConfig::relay(loopback(), key(1))).unwrap(), Fragile);
    let mut pair = Pair::connect(participant(), far).await;
    pair.near.dial(dial_to(2, Some(id(1)), &[pair.far.endpoint().local_addr()]));
    let other = pair
        .wait(|end, net| match net {
            Net::Connected { session, .. } if end == End::Near => Some(*session),
            _ => None,
        })
        .await;
    pair.near.write(pair.here, StreamKey::CONTROL, &mut ["poison".into()]);
    let closed = |wanted| {
        move |end, net: &Net| match net {
            Net::Closed { session, why } if end == wanted => Some((*session, why.clone())),
            _ => None,
        }
    };
    assert_eq!(pair.wait(closed(End::Far)).await, (pair.there, Closed::Lost));
    let (session, why) = pair.wait(closed(End::Near)).await;
    assert_eq!(session, pair.here);
    assert!(matches!(why, Closed::ByRemote(conclave_federation::wire::code::Code::INTERNAL, _)), "{why:?}");
    pair.near.write(other, StreamKey::CONTROL, &mut ["still here".into()]);
    assert_eq!(pair.data(End::Far).await.2, "still here");
    assert_eq!((pair.far.counters().panics, pair.far.sessions()), (1, 1));
}

/// Writes down what goes past it.
#[derive(Default)]
struct Window {
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl Observer for Window {
    fn received(&mut self, _: SessionKey, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }
    fn sent(&mut self, _: SessionKey, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }
}

#[tokio::test]
async fn an_observer_sees_every_byte_in_order() {
    let near = Driver::observed(
        Endpoint::bind(BindConfig { addr: loopback(), ..BindConfig::participant() }).unwrap(),
        Window::default(),
    );
    let far = Driver::observed(Endpoint::bind(BindConfig::relay(loopback(), key(1))).unwrap(), Window::default());
    let mut pair = Pair::connect(near, far).await;
    let bytes: bytes::Bytes = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let stream = pair.near.open_uni(pair.here, 0).unwrap();
    pair.write_all(stream, bytes.clone()).await;
    pair.near.finish(pair.here, stream);
    pair.until_end(End::Far, stream).await;
    assert!(pair.near.observer().sent == bytes);
    assert!(pair.far.observer().received == bytes);
    pair.far.datagram(pair.there, "sound".into());
    pair.wait(|_, net| matches!(net, Net::Datagram { .. }).then_some(())).await;
    assert_eq!(pair.far.observer().sent, b"sound");
    assert_eq!(pair.near.observer().received, b"sound");
}

#[test]
fn a_relay_that_came_back_after_a_crash_ends_the_old_sessions_at_once() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near_runtime, far_runtime) = (runtime(), runtime());
    let far = far_runtime.block_on(async { relay(1) });
    let address = far.endpoint().local_addr();
    let near = near_runtime.block_on(async { participant() });
    // One thread drives the relay until it is told to die; its runtime is dropped without a goodbye.
    let (die, told) = tokio::sync::oneshot::channel::<()>();
    let relay_thread = std::thread::spawn(move || {
        let mut far = far;
        far_runtime.block_on(async {
            let mut told = std::pin::pin!(told);
            loop {
                tokio::select! {
                    _ = &mut told => break,
                    _ = far.next() => {}
                }
            }
        });
        drop(far_runtime);
        drop(far);
    });
    near_runtime.block_on(async move {
        let mut near = near;
        near.dial(dial_to(1, Some(id(1)), &[address]));
        let Net::Connected { session, .. } = near.next().await else { panic!("not connected") };
        die.send(()).unwrap();
        relay_thread.join().unwrap();
        let mut far = Driver::new(Endpoint::bind(BindConfig::relay(address, key(1))).unwrap());
        near.write(session, StreamKey::CONTROL, &mut ["are you there?".into()]);
        let (end, net) = either(&mut near, &mut far).await;
        assert_eq!(end, End::Near);
        let Net::Closed { why, .. } = net else { panic!("{net:?}") };
        assert_eq!(why, Closed::Lost, "and not timed out");
    });
}

//! Two ends of a session and their events, in order of arrival.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::RelayId,
    io::{Dial, DialKey, Net, Outlet, SessionKey, Side, StreamKey, Wrote},
    proof::SigningKey,
};
use conclave_quic::{BindConfig, Driver, Endpoint, Observer};

/// Only reached when an event that a test waits for never comes.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32])
}

pub(crate) fn id(seed: u8) -> RelayId {
    RelayId::new(*key(seed).verifying_key().as_bytes())
}

pub(crate) fn relay(seed: u8) -> Driver {
    Driver::new(Endpoint::bind(BindConfig::relay(loopback(), key(seed))).unwrap())
}

pub(crate) fn participant() -> Driver {
    Driver::new(Endpoint::bind(BindConfig { addr: loopback(), ..BindConfig::participant() }).unwrap())
}

pub(crate) fn dial_to(number: u64, relay: Option<RelayId>, addresses: &[SocketAddr]) -> Dial {
    Dial { key: DialKey(number), relay, addresses: addresses.iter().map(ToString::to_string).collect() }
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Near,
    Far,
}

/// The next event of either, in at most [`GUARD`].
pub(crate) async fn either<A: Observer, B: Observer>(near: &mut Driver<A>, far: &mut Driver<B>) -> (End, Net) {
    let next = async {
        tokio::select! {
            net = near.next() => (End::Near, net),
            net = far.next() => (End::Far, net),
        }
    };
    tokio::time::timeout(GUARD, next).await.expect("an event that the test waits for never came")
}

/// A dialled session seen from both ends.
pub(crate) struct Pair<A: Observer = (), B: Observer = ()> {
    pub(crate) near: Driver<A>,
    pub(crate) far: Driver<B>,
    /// The near end's name for the session; the near end dialled.
    pub(crate) here: SessionKey,
    /// The far end's name for it.
    pub(crate) there: SessionKey,
    pub(crate) exporters: [[u8; 32]; 2],
    seen: VecDeque<(End, Net)>,
}

impl Pair {
    /// A participant at a relay.
    pub(crate) async fn client() -> Self {
        Self::connect(participant(), relay(1)).await
    }

    /// Two relays.
    pub(crate) async fn link() -> Self {
        let mut pair = Self::connect(relay(2), relay(1)).await;
        pair.far.proven_link(pair.there);
        pair
    }
}

impl<A: Observer, B: Observer> Pair<A, B> {
    pub(crate) async fn connect(mut near: Driver<A>, mut far: Driver<B>) -> Self {
        near.dial(dial_to(1, far.endpoint().relay(), &[far.endpoint().local_addr()]));
        let (mut here, mut there) = (None, None);
        while here.is_none() || there.is_none() {
            match either(&mut near, &mut far).await {
                (End::Near, Net::Connected { session, side, exporter }) => {
                    assert_eq!(side, Side::Dialled(DialKey(1), far.endpoint().relay().unwrap()));
                    here = Some((session, exporter));
                }
                (End::Far, Net::Connected { session, side, exporter }) => {
                    assert_eq!(side, Side::Accepted);
                    there = Some((session, exporter));
                }
                other => panic!("before the connection: {other:?}"),
            }
        }
        Self::of(near, far, here.unwrap(), there.unwrap())
    }

    /// Two drivers that are connected: each with its name for the session and its exporter.
    pub(crate) const fn of(
        near: Driver<A>,
        far: Driver<B>,
        (here, a): (SessionKey, [u8; 32]),
        (there, b): (SessionKey, [u8; 32]),
    ) -> Self {
        Self { near, far, here, there, exporters: [a, b], seen: VecDeque::new() }
    }

    /// The first event, among those not yet taken, that `wanted` takes. Others are kept for later calls.
    pub(crate) async fn wait<T>(&mut self, mut wanted: impl FnMut(End, &Net) -> Option<T>) -> T {
        if let Some((at, found)) =
            self.seen.iter().enumerate().find_map(|(at, (end, net))| wanted(*end, net).map(|found| (at, found)))
        {
            self.seen.remove(at);
            return found;
        }
        loop {
            let (end, net) = either(&mut self.near, &mut self.far).await;
            if let Some(found) = wanted(end, &net) {
                return found;
            }
            self.seen.push_back((end, net));
        }
    }

    /// All bytes of one stream, as one end gets them, up to and with its end.
    pub(crate) async fn until_end(&mut self, at: End, on: StreamKey) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (bytes, fin) = self
                .wait(|end, net| match net {
                    Net::Data { stream, bytes, fin, .. } if (end, *stream) == (at, on) => Some((bytes.clone(), *fin)),
                    _ => None,
                })
                .await;
            all.extend_from_slice(&bytes);
            if fin {
                return all;
            }
        }
    }

    /// The next bytes that one end gets on a stream.
    pub(crate) async fn data(&mut self, at: End) -> (StreamKey, conclave_federation::io::StreamKind, Bytes) {
        self.wait(|end, net| match net {
            Net::Data { stream, kind, bytes, .. } if end == at => Some((*stream, *kind, bytes.clone())),
            _ => None,
        })
        .await
    }

    /// Writes all of `bytes` from the near end, as fast as it is taken. Says how often it was not.
    pub(crate) async fn write_all(&mut self, stream: StreamKey, bytes: Bytes) -> usize {
        let mut refusals = 0;
        let mut left = [bytes];
        loop {
            match self.near.write(self.here, stream, &mut left) {
                Wrote::Accepted(_) if left[0].is_empty() => return refusals,
                Wrote::Accepted(_) | Wrote::Blocked => refusals += 1,
                Wrote::Gone => panic!("the stream is gone"),
            }
            self.wait(|end, net| (end == End::Near && matches!(net, Net::Writable { .. })).then_some(())).await;
        }
    }
}

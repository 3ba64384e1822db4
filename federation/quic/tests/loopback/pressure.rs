//! What does not fit is said at once, and nothing that was taken is lost.

use bytes::Bytes;
use conclave_federation::{
    io::{Net, Outlet, Wrote},
    proof::sha256,
    track::priority,
};

use crate::ends::{End, Pair};

fn pattern(len: usize) -> Bytes {
    let mut state = 1_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

async fn ten_megabytes(mut pair: Pair) {
    let bytes = pattern(10_000_000);
    let stream = pair.near.open_uni(pair.here, priority::BASE).unwrap();
    let refusals = pair.write_all(stream, bytes.clone()).await;
    pair.near.finish(pair.here, stream);
    let got = pair.until_end(End::Far, stream).await;
    assert!(refusals > 0, "10 MB fit into no window");
    assert_eq!((got.len(), sha256(&[&got])), (bytes.len(), sha256(&[&bytes])));
    assert_eq!(pair.near.counters().bytes_out, 10_000_000);
    assert_eq!(pair.far.counters().bytes_in, 10_000_000);
    assert!(pair.near.counters().writes_blocked > 0);
}

#[tokio::test]
async fn ten_megabytes_arrive_whole_from_a_client() {
    ten_megabytes(Pair::client().await).await;
}

#[tokio::test]
async fn ten_megabytes_arrive_whole_on_a_link() {
    ten_megabytes(Pair::link().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_arrive_whole_where_quic_runs_on_other_threads() {
    ten_megabytes(Pair::link().await).await;
}

#[tokio::test]
async fn who_does_not_read_is_not_buffered_for() {
    let mut pair = Pair::client().await;
    let stream = pair.near.open_uni(pair.here, priority::BASE).unwrap();
    let mut taken = 0;
    let mut rounds = 0;
    // Only the near end is driven: the far end reads nothing.
    while rounds < 50 {
        match pair.near.write(pair.here, stream, &mut [pattern(64 * 1024)]) {
            Wrote::Accepted(len) => taken += len,
            Wrote::Blocked => rounds += 1,
            Wrote::Gone => panic!("gone"),
        }
        tokio::task::yield_now().await;
    }
    // The receive window of a client's session, and what the send window holds beside it.
    assert!((32 * 1024..=512 * 1024).contains(&taken), "{taken}");
}

#[tokio::test]
async fn streams_beyond_the_limit_wait_until_others_end() {
    let mut pair = Pair::client().await;
    let mut open = Vec::new();
    while let Some(stream) = pair.near.open_uni(pair.here, priority::BASE) {
        open.push(stream);
    }
    assert_eq!(open.len(), 64);
    assert_eq!(pair.near.counters().opens_blocked, 1);
    for stream in open.drain(..) {
        pair.near.write(pair.here, stream, &mut ["x".into()]);
        pair.near.finish(pair.here, stream);
    }
    pair.wait(|end, net| (end == End::Near && matches!(net, Net::Writable { .. })).then_some(())).await;
    assert!(pair.near.open_uni(pair.here, priority::BASE).is_some());
}

#[tokio::test]
async fn a_proven_link_may_open_thousands_of_streams() {
    let mut pair = Pair::link().await;
    let mut open = 0;
    while open < 4_096 {
        if pair.near.open_uni(pair.here, priority::BASE).is_some() {
            open += 1;
        } else {
            pair.wait(|end, net| (end == End::Near && matches!(net, Net::Writable { .. })).then_some(())).await;
        }
    }
    assert_eq!(pair.near.open_uni(pair.here, priority::BASE), None);
}

#[tokio::test]
async fn a_participant_lets_its_relay_open_a_thousand_streams() {
    let mut pair = Pair::client().await;
    let open = std::iter::from_fn(|| pair.far.open_uni(pair.there, priority::BASE)).take(2_000).count();
    assert_eq!(open, 1_024);
}

#[tokio::test]
async fn datagrams_beyond_8_kib_are_refused_until_some_have_left() {
    let mut pair = Pair::client().await;
    let frame = pattern(160);
    let mut taken = 0_usize;
    // Nothing leaves while this loop does not yield.
    while pair.far.datagram(pair.there, frame.clone()) == Wrote::Accepted(160) {
        taken += 1;
    }
    assert!((30..=51).contains(&taken), "{taken}");
    assert_eq!(pair.far.counters().datagrams_blocked, 1);
    pair.wait(|end, net| (end == End::Far && matches!(net, Net::Writable { .. })).then_some(())).await;
    assert_eq!(pair.far.datagram(pair.there, frame.clone()), Wrote::Accepted(160));
    let mut heard = 0;
    while heard < taken + 1 {
        pair.wait(|end, net| (end == End::Near && matches!(net, Net::Datagram { .. })).then_some(())).await;
        heard += 1;
    }
}

#[tokio::test]
async fn a_link_takes_a_burst_of_all_rooms() {
    let mut pair = Pair::link().await;
    let frame = pattern(160);
    for _ in 0..500 {
        assert_eq!(pair.far.datagram(pair.there, frame.clone()), Wrote::Accepted(160));
    }
}

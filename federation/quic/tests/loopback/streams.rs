//! Streams and datagrams carry what was put in, to the key that they belong to.

use bytes::Bytes;
use conclave_federation::{
    io::{Net, Outlet, StreamKey, StreamKind, Wrote},
    limits::MAX_DATAGRAM,
    track::priority,
    wire::code::Code,
};

use crate::ends::{End, Pair};

fn reset(net: &Net) -> Option<(StreamKey, Code)> {
    match net {
        Net::Reset { stream, code, .. } => Some((*stream, *code)),
        _ => None,
    }
}

#[tokio::test]
async fn a_stream_one_way_is_whole_and_ends() {
    let mut pair = Pair::client().await;
    let stream = pair.near.open_uni(pair.here, priority::BASE).unwrap();
    assert_eq!(pair.near.write(pair.here, stream, &mut ["header ".into(), Bytes::new(), "payload".into()]), Wrote::Accepted(14));
    pair.near.finish(pair.here, stream);
    assert_eq!(pair.near.write(pair.here, stream, &mut ["more".into()]), Wrote::Gone);
    let (key, kind, first) = pair.data(End::Far).await;
    assert_eq!((key, kind), (stream, StreamKind::Uni));
    let mut all = first.to_vec();
    if all.len() < 14 {
        all.extend(pair.until_end(End::Far, key).await);
    }
    assert_eq!(all, b"header payload");
}

#[tokio::test]
async fn what_came_before_a_reset_is_handed_over_and_then_the_reset() {
    let mut pair = Pair::client().await;
    let stream = pair.near.open_uni(pair.here, priority::UPPER).unwrap();
    pair.near.write(pair.here, stream, &mut ["a part".into()]);
    assert_eq!(pair.data(End::Far).await, (stream, StreamKind::Uni, "a part".into()));
    pair.near.reset(pair.here, stream, Code::LATE);
    assert_eq!(pair.wait(|_, net| reset(net)).await, (stream, Code::LATE));
    assert_eq!(pair.near.write(pair.here, stream, &mut ["more".into()]), Wrote::Gone);
}

#[tokio::test]
async fn a_finished_stream_can_still_be_given_up() {
    let mut pair = Pair::client().await;
    let stream = pair.near.open_uni(pair.here, priority::UPPER).unwrap();
    // More than flow control lets through before the far end looks at it.
    let mut chunks = [Bytes::from(vec![7; 60_000])];
    assert_ne!(pair.near.write(pair.here, stream, &mut chunks), Wrote::Gone);
    pair.near.finish(pair.here, stream);
    pair.near.reset(pair.here, stream, Code::LATE);
    assert_eq!(pair.wait(|_, net| reset(net)).await, (stream, Code::LATE));
}

#[tokio::test]
async fn a_request_is_answered_on_its_own_stream() {
    let mut pair = Pair::client().await;
    for (asker, other) in [(End::Near, End::Far), (End::Far, End::Near)] {
        // Each end's own name for the session, as chance has it the same number.
        let (here, there) = if asker == End::Near { (pair.here, pair.there) } else { (pair.there, pair.here) };
        let (asks, answers) = if asker == End::Near { (&mut pair.near, here) } else { (&mut pair.far, here) };
        let stream = asks.open_bidi(answers).unwrap();
        assert_ne!(stream, StreamKey::CONTROL);
        asks.write(here, stream, &mut ["question".into()]);
        asks.finish(here, stream);
        assert_eq!(pair.until_end(other, stream).await, b"question");
        let answering = if asker == End::Near { &mut pair.far } else { &mut pair.near };
        answering.write(there, stream, &mut ["answer".into()]);
        answering.finish(there, stream);
        assert_eq!(pair.until_end(asker, stream).await, b"answer");
    }
}

#[tokio::test]
async fn datagrams_go_both_ways_and_the_largest_fits_from_the_start() {
    let mut pair = Pair::client().await;
    let largest = Bytes::from(vec![9; MAX_DATAGRAM]);
    assert_eq!(pair.near.datagram(pair.here, largest.clone()), Wrote::Accepted(MAX_DATAGRAM));
    assert_eq!(pair.far.datagram(pair.there, "back".into()), Wrote::Accepted(4));
    let datagram = |wanted| {
        move |end, net: &Net| match net {
            Net::Datagram { bytes, .. } if end == wanted => Some(bytes.clone()),
            _ => None,
        }
    };
    assert_eq!(pair.wait(datagram(End::Far)).await, largest);
    assert_eq!(pair.wait(datagram(End::Near)).await, "back");
    assert_eq!((pair.near.counters().datagrams_out, pair.near.counters().datagrams_in), (1, 1));
}

#[tokio::test]
async fn a_datagram_that_no_path_carries_is_lost_and_counted() {
    let mut pair = Pair::client().await;
    assert_eq!(pair.near.datagram(pair.here, Bytes::from(vec![0; 5_000])), Wrote::Accepted(5_000));
    assert_eq!(pair.near.counters().datagrams_oversized, 1);
    assert_eq!(pair.near.counters().datagrams_out, 0);
}

#[tokio::test]
async fn who_asked_for_no_more_gets_no_more_and_the_sender_learns_it() {
    let mut pair = Pair::client().await;
    let stream = pair.near.open_uni(pair.here, priority::BASE).unwrap();
    pair.near.write(pair.here, stream, &mut ["begin".into()]);
    pair.data(End::Far).await;
    pair.far.stop(pair.there, stream, Code::UNWANTED);
    // The sender learns it with what it writes next.
    let mut bytes = 0;
    loop {
        match pair.near.write(pair.here, stream, &mut [Bytes::from_static(&[0; 1_000])]) {
            Wrote::Accepted(taken) => bytes += taken,
            Wrote::Blocked => panic!("nobody reads, but somebody said so"),
            Wrote::Gone => break,
        }
        let probe = pair.near.open_bidi(pair.here).unwrap();
        pair.near.write(pair.here, probe, &mut ["?".into()]);
        pair.near.finish(pair.here, probe);
        pair.until_end(End::Far, probe).await;
        pair.far.finish(pair.there, probe);
        pair.until_end(End::Near, probe).await;
    }
    let stopped = pair
        .wait(|end, net| match net {
            Net::Stopped { stream, code, .. } if end == End::Near => Some((*stream, *code)),
            _ => None,
        })
        .await;
    assert_eq!(stopped, (stream, Code::UNWANTED));
    assert!(bytes <= 10_000, "{bytes}");
}

//! Sessions begin, are told apart, and end for a reason.

use conclave_federation::{
    io::{Closed, Net, Outlet, SessionKey, StreamKey, StreamKind, Wrote},
    wire::code::Code,
};
use conclave_quic::{BindConfig, BindError, Driver, Endpoint};

use crate::ends::{End, Pair, dial_to, either, id, key, loopback, participant, relay};

#[tokio::test]
async fn both_ends_share_32_bytes_that_no_other_session_has() {
    let one = Pair::client().await;
    let two = Pair::client().await;
    assert_eq!(one.exporters[0], one.exporters[1]);
    assert_ne!(one.exporters[0], two.exporters[0]);
    assert_ne!(one.exporters[0], [0; 32]);
    assert_eq!((one.near.counters().dials_ok, one.far.counters().handshakes_ok), (1, 1));
}

#[tokio::test]
async fn control_bytes_go_both_ways() {
    let mut pair = Pair::client().await;
    assert_eq!(pair.near.write(pair.here, StreamKey::CONTROL, &mut ["hel".into(), "lo".into()]), Wrote::Accepted(5));
    assert_eq!(pair.data(End::Far).await, (StreamKey::CONTROL, StreamKind::Control, "hello".into()));
    assert_eq!(pair.far.write(pair.there, StreamKey::CONTROL, &mut ["welcome".into()]), Wrote::Accepted(7));
    assert_eq!(pair.data(End::Near).await, (StreamKey::CONTROL, StreamKind::Control, "welcome".into()));
}

#[tokio::test]
async fn the_acceptor_may_write_control_bytes_once_the_dialler_did() {
    let mut pair = Pair::client().await;
    assert_eq!(pair.far.write(pair.there, StreamKey::CONTROL, &mut ["early".into()]), Wrote::Blocked);
    pair.near.write(pair.here, StreamKey::CONTROL, &mut ["hello".into()]);
    pair.wait(|end, net| (end == End::Far && matches!(net, Net::Writable { .. })).then_some(())).await;
    assert_eq!(pair.far.write(pair.there, StreamKey::CONTROL, &mut ["early".into()]), Wrote::Accepted(5));
    assert_eq!(pair.data(End::Near).await.2, "early");
}

#[tokio::test]
async fn a_relay_is_recognised_when_none_was_expected() {
    let (mut near, mut far) = (participant(), relay(3));
    near.dial(dial_to(9, None, &[far.endpoint().local_addr()]));
    loop {
        if let (End::Near, Net::Connected { side, .. }) = either(&mut near, &mut far).await {
            assert_eq!(side, conclave_federation::io::Side::Dialled(conclave_federation::io::DialKey(9), id(3)));
            return;
        }
    }
}

#[tokio::test]
async fn the_reason_of_an_end_arrives_and_each_end_hears_of_it_once() {
    let mut pair = Pair::client().await;
    let long = "ü".repeat(400);
    pair.far.close(pair.there, Code::SHUTTING_DOWN, &format!("come\nback\u{7} {long}"));
    let ours = pair.wait(|end, net| closed(End::Far, end, net)).await;
    assert_eq!(ours, Closed::ByUs);
    let theirs = pair.wait(|end, net| closed(End::Near, end, net)).await;
    let Closed::ByRemote(code, words) = theirs else { panic!("{theirs:?}") };
    assert_eq!(code, Code::SHUTTING_DOWN);
    assert!(words.starts_with("comeback ü") && words.len() <= 300 && words.len() > 290, "{words}");
    // Nothing is left of it on either side.
    for driver in [&mut pair.near, &mut pair.far] {
        assert_eq!(driver.sessions(), 0);
        assert_eq!(driver.counters().sessions_closed, 1);
        assert_eq!(driver.write(pair.here, StreamKey::CONTROL, &mut ["x".into()]), Wrote::Gone);
        assert_eq!(driver.datagram(pair.here, "x".into()), Wrote::Gone);
        assert_eq!(driver.open_uni(pair.here, 0), None);
        driver.close(pair.here, Code::NONE, "");
        assert_eq!(driver.counters().sessions_closed, 1);
    }
}

fn closed(wanted: End, end: End, net: &Net) -> Option<Closed> {
    match net {
        Net::Closed { why, .. } if end == wanted => Some(why.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn all_sessions_end_with_the_reason_and_no_more_begin() {
    let mut far = relay(1);
    let mut near = participant();
    let address = far.endpoint().local_addr();
    for number in 0..3 {
        near.dial(dial_to(number, Some(id(1)), &[address]));
    }
    let mut up = 0;
    while up < 6 {
        up += usize::from(matches!(either(&mut near, &mut far).await.1, Net::Connected { .. }));
    }
    far.close_all(Code::SHUTTING_DOWN, "the relay stops");
    let mut heard = Vec::new();
    let (drained, ()) = tokio::join!(far.drained(crate::ends::GUARD), async {
        while heard.len() < 3 {
            if let Net::Closed { session, why } = near.next().await {
                assert_eq!(why, Closed::ByRemote(Code::SHUTTING_DOWN, "the relay stops".into()));
                heard.push(session);
            }
        }
    });
    assert!(drained);
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), 3);
    near.dial(dial_to(7, Some(id(1)), &[address]));
    let (_, net) = loop {
        let event = either(&mut near, &mut far).await;
        if event.0 == End::Near {
            break event;
        }
    };
    assert!(matches!(net, Net::DialFailed { .. }), "{net:?}");
    assert_eq!(far.counters().handshakes_refused, 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_so() {
    let first = Endpoint::bind(BindConfig::relay(loopback(), key(1))).unwrap();
    let second = Endpoint::bind(BindConfig::relay(first.local_addr(), key(2)));
    let error = second.unwrap_err();
    assert_eq!(error, BindError::InUse(first.local_addr().port()));
    assert!(error.to_string().contains("is in use: stop"), "{error}");
}

#[tokio::test]
async fn an_address_of_another_machine_cannot_be_taken() {
    let config = BindConfig::relay("192.0.2.1:0".parse().unwrap(), key(1));
    assert_eq!(Endpoint::bind(config).unwrap_err(), BindError::NoSuchAddress);
}

#[test]
fn outside_of_a_runtime_a_port_is_refused_and_not_a_panic() {
    assert_eq!(Endpoint::bind(BindConfig::participant()).unwrap_err(), BindError::NoRuntime);
}

#[tokio::test]
async fn the_kernel_s_answer_about_buffers_is_told() {
    let buffers = relay(1).endpoint().buffers();
    assert_eq!(buffers.asked, 8 * 1024 * 1024);
    assert!(buffers.receive >= 64 * 1024 && buffers.send >= 64 * 1024, "{buffers:?}");
}

#[tokio::test]
async fn the_state_of_a_path_is_told_while_it_lasts() {
    let mut pair = Pair::client().await;
    let path = pair.near.path(pair.here).unwrap();
    assert!(path.cwnd > 0 && path.mtu >= 1_200 && path.udp_out > 0, "{path:?}");
    assert_eq!(pair.near.remote(pair.here), Some(pair.far.endpoint().local_addr()));
    pair.near.close(pair.here, Code::NONE, "");
    assert_eq!(pair.near.path(pair.here), None);
    assert_eq!(pair.near.path(SessionKey(99)), None);
}

#[test]
fn a_driver_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Driver>();
}

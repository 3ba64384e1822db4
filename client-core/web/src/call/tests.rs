use conclave_client_core::api::{ClientError, Ended};

use super::*;

fn call() -> Call {
    let seed = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
    let start = Start { name: "Guest".into(), relay: "0a".repeat(32), address: "relay.example:443".into(), seed };
    Call::create("Tuesday", 50, &start).expect("a good start")
}

fn at(now: f64) -> Time {
    Time { now, unix: 1_800_000_000_000.0 + now }
}

fn dial(items: &[Item]) -> Option<u32> {
    items.iter().find_map(|item| match item {
        Item::Dial(dial) => Some(*dial),
        _ => None,
    })
}

#[test]
fn the_first_thing_to_do_is_to_dial() {
    let mut call = call();
    let items = call.poll(at(5.0));
    assert!(matches!(items.as_slice(), [Item::Connection(ConnectionState::Connecting, None), Item::Dial(_)]), "{items:?}");
    assert!(call.wait().is_some_and(|wait| wait > 5.0));
}

#[test]
fn a_session_begins_with_its_control_stream_and_a_greeting_on_it() {
    let mut call = call();
    let dial = dial(&call.poll(at(0.0))).expect("it dials");
    let session = call.connected(at(10.0), dial, Transport::WebTransport).expect("a session");
    let items = call.poll(at(10.0));
    let mut deeds = items.iter().filter_map(|item| match item {
        Item::Do(of, deed) if *of == session => Some(deed),
        _ => None,
    });
    assert!(matches!(deeds.next(), Some(Deed::Open { stream: StreamKey::CONTROL, bidi: true, .. })), "{items:?}");
    assert!(matches!(deeds.next(), Some(Deed::Send { stream: StreamKey::CONTROL, .. })), "{items:?}");
}

#[test]
fn over_a_pipe_the_greeting_is_a_message() {
    let mut call = call();
    let dial = dial(&call.poll(at(0.0))).expect("it dials");
    let session = call.connected(at(10.0), dial, Transport::WebSocket).expect("a session");
    let items = call.poll(at(10.0));
    assert!(items.iter().any(|item| matches!(item, Item::Do(of, Deed::Message(_)) if *of == session)), "{items:?}");
}

#[test]
fn an_attempt_that_nobody_asked_for_is_closed() {
    let mut call = call();
    let dial = dial(&call.poll(at(0.0))).expect("it dials");
    let session = call.connected(at(10.0), dial + 1, Transport::WebTransport).expect("a session");
    let items = call.poll(at(10.0));
    assert!(
        items.iter().any(|item| matches!(item, Item::Do(of, Deed::Close { code: Code::VIOLATION, .. }) if *of == session)),
        "{items:?}"
    );
}

#[test]
fn when_the_relay_is_not_reached_it_is_tried_again_at_the_time_that_was_said_and_then_given_up() {
    let mut call = call();
    let mut now = 0.0;
    for _ in 0..20 {
        let items = call.poll(at(now));
        if let Some(Item::Event(api::Event::Ended(ended))) = items.last() {
            assert!(matches!(ended, Ended::Failed(ClientError::RelayUnreachable(DialError::Unreachable))), "{ended:?}");
            assert_eq!(call.wait(), None);
            return;
        }
        match dial(&items) {
            Some(dial) => call.dial_failed(at(now), dial, DialError::Unreachable),
            None => now = call.wait().expect("it waits to try again"),
        }
    }
    panic!("it was not given up");
}

#[test]
fn leaving_before_anything_ends_at_once() {
    let mut call = call();
    call.poll(at(0.0));
    call.command(at(1.0), Command::Leave);
    assert!(matches!(call.poll(at(1.0)).as_slice(), [Item::Event(api::Event::Ended(Ended::Left))]));
}

#[test]
fn clocks_that_are_no_clocks_do_no_harm() {
    let mut call = call();
    for now in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300, 7.0] {
        call.poll(Time { now, unix: now });
    }
    assert_eq!(call.now.mono, Duration::from_millis(7));
    call.poll(Time { now: 3.0, unix: 3.0 });
    assert_eq!(call.now.mono, Duration::from_millis(7), "time does not go back");
}

#[test]
fn a_poll_at_the_time_that_was_said_is_not_too_early() {
    let mut call = call();
    call.poll(at(0.1));
    let dial = dial(&call.poll(at(0.1))).unwrap_or(0);
    call.dial_failed(at(1.0 / 3.0), dial, DialError::Unreachable);
    call.poll(at(1.0 / 3.0));
    let wait = call.wait().expect("it tries again");
    let items = call.poll(at(wait));
    assert!(items.iter().any(|item| matches!(item, Item::Dial(_))), "{items:?}");
}

#[test]
fn numbers_that_mean_nothing_do_nothing() {
    let mut call = call();
    call.poll(at(0.0));
    let (session, stream) = (SessionKey(77), StreamKey(5));
    call.data(at(1.0), session, stream, Bytes::from_static(b"x"), true);
    call.reset_in(at(1.0), session, stream, Code(9_999));
    call.stopped_in(at(1.0), session, stream, Code(9_999));
    call.datagram(at(1.0), session, Bytes::new());
    call.sent(at(1.0), session, stream, usize::MAX);
    call.datagrams_sent(at(1.0), session, usize::MAX);
    call.message(at(1.0), session, &Bytes::new());
    call.message_sent(at(1.0), session, usize::MAX);
    call.closed(at(1.0), session, Closed::Lost);
    call.request_key_frame(at(1.0), 3, 4);
    call.dial_failed(at(1.0), 999, DialError::Unreachable);
    assert!(call.poll(at(1.0)).is_empty());
}

use super::*;

fn bytes(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

fn messages(sessions: &mut Sessions) -> Vec<Bytes> {
    std::iter::from_fn(|| sessions.next_deed())
        .map(|(_, deed)| match deed {
            Deed::Message(bytes) => bytes,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_pipe_is_given_little_and_more_when_some_has_left() {
    let mut sessions = Sessions::default();
    let key = sessions.connected(Transport::WebSocket).expect("a number is left");
    let stream = sessions.open_uni(key, 2).expect("there is room");
    let mut chunks = [bytes(60_000)];
    assert!(matches!(sessions.write(key, stream, &mut chunks), Wrote::Accepted(some) if some > 2 * PIPE_BYTES));
    let first: usize = messages(&mut sessions).iter().map(Bytes::len).sum();
    assert!((PIPE_BYTES..2 * PIPE_BYTES).contains(&first), "{first}");
    assert!(messages(&mut sessions).is_empty(), "the pipe is full");
    sessions.message_sent(key, first);
    assert!(!messages(&mut sessions).is_empty());
}

#[test]
fn both_ends_of_a_pipe_understand_each_other() {
    let mut sessions = Sessions::default();
    let key = sessions.connected(Transport::WebSocket).expect("a number is left");
    let mut relay = Mux::new(SessionKey(9), End::Acceptor, Limits::RELAY);
    assert_eq!(sessions.write(key, StreamKey::CONTROL, &mut [bytes(5)]), Wrote::Accepted(5));
    for message in messages(&mut sessions) {
        relay.handle_message(&message).expect("it makes sense");
    }
    assert!(matches!(relay.next_net(), Some(Net::Data { stream: StreamKey::CONTROL, bytes, .. }) if bytes.len() == 5));
    assert_eq!(relay.datagram(bytes(100)), Wrote::Accepted(100));
    let message = relay.next_message().expect("it was accepted");
    sessions.message(key, &message);
    assert!(matches!(sessions.next_net(), Some(Net::Datagram { session, .. }) if session == key));
}

#[test]
fn closing_a_pipe_sends_the_last_words_and_then_closes_it() {
    let mut sessions = Sessions::default();
    let key = sessions.connected(Transport::WebSocket).expect("a number is left");
    sessions.close(key, Code::NONE, "bye");
    assert!(matches!(sessions.next_net(), Some(Net::Closed { why: Closed::ByUs, .. })));
    let mut relay = Mux::new(SessionKey(9), End::Acceptor, Limits::RELAY);
    let Some((_, Deed::Message(farewell))) = sessions.next_deed() else { panic!("no last words") };
    relay.handle_message(&farewell).expect("it makes sense");
    assert!(matches!(relay.next_net(), Some(Net::Closed { why: Closed::ByRemote(Code::NONE, words), .. }) if words == "bye"));
    assert!(matches!(sessions.next_deed(), Some((of, Deed::Close { .. })) if of == key));
    assert!(sessions.next_deed().is_none());
    assert!(sessions.open.is_empty());
}

#[test]
fn nonsense_in_a_pipe_ends_the_session_with_words_for_both() {
    let mut sessions = Sessions::default();
    let key = sessions.connected(Transport::WebSocket).expect("a number is left");
    sessions.message(key, &Bytes::from_static(&[0xff, 1, 2, 3]));
    assert!(matches!(sessions.next_net(), Some(Net::Closed { .. })));
    assert!(matches!(sessions.next_deed(), Some((_, Deed::Message(_)))));
    assert!(matches!(sessions.next_deed(), Some((_, Deed::Close { .. }))));
}

#[test]
fn a_pipe_that_broke_is_told_and_forgotten() {
    let mut sessions = Sessions::default();
    let key = sessions.connected(Transport::WebSocket).expect("a number is left");
    sessions.write(key, StreamKey::CONTROL, &mut [bytes(5)]);
    sessions.closed(key, Closed::Lost);
    assert!(sessions.next_deed().is_none());
    assert!(matches!(sessions.next_net(), Some(Net::Closed { why: Closed::Lost, session }) if session == key));
    assert!(sessions.next_net().is_none());
    assert!(sessions.open.is_empty());
}

#[test]
fn sessions_that_are_not_there_take_nothing() {
    let mut sessions = Sessions::default();
    let nowhere = SessionKey(5);
    assert_eq!(sessions.write(nowhere, StreamKey::CONTROL, &mut [bytes(1)]), Wrote::Gone);
    assert_eq!(sessions.datagram(nowhere, bytes(1)), Wrote::Gone);
    assert_eq!((sessions.open_uni(nowhere, 0), sessions.open_bidi(nowhere)), (None, None));
    assert_eq!(sessions.stream_in(nowhere, true), None);
    sessions.message(nowhere, &bytes(3));
    sessions.message_sent(nowhere, 3);
    sessions.closed(nowhere, Closed::Lost);
    sessions.close(nowhere, Code::NONE, "");
    assert!(sessions.next_net().is_none() && sessions.next_deed().is_none());
}

#[test]
fn each_session_is_asked_for_what_fits_it() {
    let mut sessions = Sessions::default();
    let pipe = sessions.connected(Transport::WebSocket).expect("a number is left");
    assert_eq!(sessions.transport(), Some(Transport::WebSocket));
    assert_eq!(sessions.stream_in(pipe, true), None, "streams of a pipe come in messages");
    let streams = sessions.connected(Transport::WebTransport).expect("a number is left");
    assert_eq!(sessions.transport(), Some(Transport::WebTransport));
    sessions.message(streams, &bytes(3));
    assert!(sessions.next_net().is_none());
}

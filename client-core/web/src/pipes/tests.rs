use super::*;

const SESSION: SessionKey = SessionKey(3);

fn pipes() -> Pipes {
    let mut pipes = Pipes::new(SESSION);
    let control = Deed::Open { stream: StreamKey::CONTROL, bidi: true, priority: priority::CONTROL };
    assert_eq!(pipes.next_deed(), Some(control));
    pipes
}

fn bytes(len: usize) -> Bytes {
    Bytes::from(vec![7; len])
}

fn write(pipes: &mut Pipes, stream: StreamKey, len: usize) -> Wrote {
    pipes.write(stream, &mut [bytes(len)])
}

fn deeds(pipes: &mut Pipes) -> Vec<Deed> {
    std::iter::from_fn(|| pipes.next_deed()).collect()
}

fn nets(pipes: &mut Pipes) -> Vec<Net> {
    std::iter::from_fn(|| pipes.next_net()).collect()
}

fn is_writable(pipes: &mut Pipes) -> bool {
    match nets(pipes).as_slice() {
        [] => false,
        [Net::Writable { session: SESSION }] => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_at_once_is_one_deed_with_its_end() {
    let mut pipes = pipes();
    let stream = pipes.open_uni(priority::BASE).expect("there is room");
    let mut chunks = [bytes(3), Bytes::new(), bytes(5)];
    assert_eq!(pipes.write(stream, &mut chunks), Wrote::Accepted(8));
    assert!(chunks.iter().all(Bytes::is_empty));
    assert_eq!(write(&mut pipes, stream, 2), Wrote::Accepted(2));
    pipes.finish(stream);
    assert_eq!(
        deeds(&mut pipes),
        [
            Deed::Open { stream, bidi: false, priority: priority::BASE },
            Deed::Send { stream, chunks: vec![bytes(3), bytes(5), bytes(2)], fin: true },
        ]
    );
    assert_eq!(write(&mut pipes, stream, 1), Wrote::Gone);
}

#[test]
fn an_end_without_bytes_is_a_deed_of_its_own() {
    let mut pipes = pipes();
    let stream = pipes.open_uni(priority::BASE).expect("there is room");
    write(&mut pipes, stream, 2);
    deeds(&mut pipes);
    pipes.finish(stream);
    pipes.finish(stream);
    assert_eq!(deeds(&mut pipes), [Deed::Send { stream, chunks: Vec::new(), fin: true }]);
}

#[test]
fn a_full_stream_takes_a_part_then_nothing_and_is_writable_once_when_the_browser_took_some() {
    let mut pipes = pipes();
    let stream = pipes.open_uni(priority::BASE).expect("there is room");
    let mut chunks = [bytes(STREAM_BYTES - 1), bytes(10)];
    assert_eq!(pipes.write(stream, &mut chunks), Wrote::Accepted(STREAM_BYTES));
    assert_eq!(chunks.map(|chunk| chunk.len()), [0, 9]);
    assert_eq!(write(&mut pipes, stream, 9), Wrote::Blocked);
    assert_eq!(write(&mut pipes, stream, 0), Wrote::Accepted(0));
    assert!(!is_writable(&mut pipes));
    pipes.sent(stream, 100);
    assert!(is_writable(&mut pipes));
    pipes.sent(stream, 100);
    assert!(!is_writable(&mut pipes), "nothing was refused since");
    assert_eq!(write(&mut pipes, stream, 1_000), Wrote::Accepted(200));
}

#[test]
fn another_stream_does_not_make_a_full_one_writable() {
    let mut pipes = pipes();
    let full = pipes.open_uni(priority::BASE).expect("there is room");
    let other = pipes.open_uni(priority::BASE).expect("there is room");
    write(&mut pipes, full, STREAM_BYTES + 1);
    write(&mut pipes, other, 10);
    pipes.sent(other, 10);
    assert!(!is_writable(&mut pipes));
    pipes.sent(full, 1);
    assert!(is_writable(&mut pipes));
}

#[test]
fn media_cannot_take_the_room_of_control() {
    let mut pipes = pipes();
    let mut taken = 0;
    while let Some(stream) = pipes.open_uni(priority::UPPER) {
        match write(&mut pipes, stream, STREAM_BYTES) {
            Wrote::Accepted(some) => taken += some,
            Wrote::Blocked => break,
            Wrote::Gone => panic!("it is open"),
        }
    }
    assert_eq!(taken, SESSION_BYTES - FOR_CONTROL);
    assert_eq!(write(&mut pipes, StreamKey::CONTROL, 1_000), Wrote::Accepted(1_000));
    assert!(!is_writable(&mut pipes));
}

#[test]
fn giving_up_a_stream_gives_its_room_back_and_throws_away_what_was_not_fetched() {
    let mut pipes = pipes();
    let stream = pipes.open_uni(priority::BASE).expect("there is room");
    write(&mut pipes, stream, STREAM_BYTES + 1);
    pipes.reset(stream, Code::LATE);
    assert_eq!(
        deeds(&mut pipes),
        [Deed::Open { stream, bidi: false, priority: priority::BASE }, Deed::Reset { stream, code: Code::LATE }]
    );
    assert!(is_writable(&mut pipes), "what was refused is gone: the machine does not wait for it");
    assert_eq!(pipes.waiting, 0);
    pipes.sent(stream, 77);
    assert_eq!(pipes.waiting, 0, "what the browser still reports of it counts nothing");
    pipes.reset(stream, Code::LATE);
    assert_eq!(deeds(&mut pipes), []);
}

#[test]
fn a_finished_stream_holds_its_place_until_the_browser_took_it_all() {
    let mut pipes = pipes();
    let open: Vec<StreamKey> = std::iter::from_fn(|| pipes.open_uni(priority::BASE)).collect();
    assert_eq!(open.len(), UNI_OUT);
    let first = open[0];
    write(&mut pipes, first, 5);
    pipes.finish(first);
    assert!(!is_writable(&mut pipes));
    pipes.sent(first, 5);
    assert!(is_writable(&mut pipes), "the one too many that was refused may be opened");
    assert!(pipes.open_uni(priority::BASE).is_some());
    assert!(pipes.open_uni(priority::BASE).is_none());
}

#[test]
fn requests_are_bounded_with_the_control_stream_among_them() {
    let mut pipes = pipes();
    assert_eq!(std::iter::from_fn(|| pipes.open_bidi()).count(), BIDI_OUT - 1);
}

#[test]
fn a_request_is_over_when_both_halves_are() {
    let mut pipes = pipes();
    let stream = pipes.open_bidi().expect("there is room");
    write(&mut pipes, stream, 4);
    pipes.finish(stream);
    pipes.sent(stream, 4);
    pipes.data(stream, bytes(2), false);
    pipes.data(stream, Bytes::new(), true);
    pipes.data(stream, bytes(9), false);
    assert!(matches!(
        nets(&mut pipes).as_slice(),
        [Net::Data { kind: StreamKind::Bidi, fin: false, .. }, Net::Data { kind: StreamKind::Bidi, fin: true, .. }]
    ));
    assert!(!pipes.streams.contains_key(&stream));
}

#[test]
fn datagrams_are_refused_when_many_wait_and_taken_whole() {
    let mut pipes = pipes();
    for _ in 0..DATAGRAMS {
        assert_eq!(pipes.datagram(bytes(100)), Wrote::Accepted(100));
    }
    assert_eq!(pipes.datagram(bytes(100)), Wrote::Blocked);
    assert_eq!(deeds(&mut pipes).len(), DATAGRAMS);
    pipes.datagrams_sent(1);
    assert!(is_writable(&mut pipes));
    assert_eq!(pipes.datagram(bytes(100)), Wrote::Accepted(100));
    assert_eq!(pipes.datagram(bytes(MAX_DATAGRAM + 1)), Wrote::Accepted(MAX_DATAGRAM + 1), "lost on the way");
    assert_eq!(deeds(&mut pipes).len(), 1);
    pipes.datagrams_sent(usize::MAX);
}

#[test]
fn what_was_stopped_is_not_told_any_more() {
    let mut pipes = pipes();
    let stream = pipes.stream_in(false).expect("it is up");
    pipes.data(stream, bytes(1), false);
    pipes.stop(stream, Code::UNWANTED);
    pipes.data(stream, bytes(1), true);
    pipes.reset_in(stream, Code::LATE);
    assert!(nets(&mut pipes).is_empty());
    assert_eq!(deeds(&mut pipes), [Deed::Stop { stream, code: Code::UNWANTED }]);
}

#[test]
fn a_stream_that_the_relay_stopped_is_gone() {
    let mut pipes = pipes();
    let stream = pipes.open_uni(priority::BASE).expect("there is room");
    write(&mut pipes, stream, 10);
    pipes.stopped_in(stream, Code::UNWANTED);
    assert!(matches!(nets(&mut pipes).as_slice(), [Net::Stopped { code: Code::UNWANTED, .. }]));
    assert_eq!(write(&mut pipes, stream, 1), Wrote::Gone);
    assert_eq!(pipes.waiting, 0);
}

#[test]
fn streams_of_the_relay_are_bounded() {
    let mut pipes = pipes();
    for _ in 0..MAX_OPEN_STREAMS {
        pipes.stream_in(false).expect("it is up");
    }
    assert!(pipes.next_deed().is_none());
    let stream = pipes.stream_in(false).expect("it has a number all the same");
    assert_eq!(deeds(&mut pipes), [Deed::Stop { stream, code: Code::FULL }]);
    pipes.data(stream, bytes(1), true);
    assert!(nets(&mut pipes).is_empty());
}

#[test]
fn numbers_that_mean_nothing_do_nothing() {
    let mut pipes = pipes();
    let nowhere = StreamKey(99);
    pipes.data(nowhere, bytes(1), true);
    pipes.reset_in(nowhere, Code::LATE);
    pipes.stopped_in(nowhere, Code::LATE);
    pipes.sent(nowhere, 10);
    pipes.finish(nowhere);
    pipes.reset(nowhere, Code::LATE);
    pipes.stop(nowhere, Code::LATE);
    assert_eq!(write(&mut pipes, nowhere, 1), Wrote::Gone);
    assert!(nets(&mut pipes).is_empty() && deeds(&mut pipes).is_empty());
}

#[test]
fn closing_keeps_what_was_written_before_and_takes_nothing_after() {
    let mut pipes = pipes();
    write(&mut pipes, StreamKey::CONTROL, 3);
    pipes.close(Code::NONE, "bye");
    pipes.close(Code::INTERNAL, "again");
    assert_eq!(write(&mut pipes, StreamKey::CONTROL, 3), Wrote::Gone);
    assert_eq!(pipes.datagram(bytes(1)), Wrote::Gone);
    assert_eq!((pipes.open_uni(0), pipes.open_bidi(), pipes.stream_in(true)), (None, None, None));
    assert!(matches!(nets(&mut pipes).as_slice(), [Net::Closed { why: Closed::ByUs, .. }]));
    assert!(!pipes.is_over());
    let close = Deed::Close { code: Code::NONE, words: "bye".to_owned() };
    assert_eq!(deeds(&mut pipes), [Deed::Send { stream: StreamKey::CONTROL, chunks: vec![bytes(3)], fin: false }, close]);
    assert!(pipes.is_over());
}

#[test]
fn a_session_that_ended_elsewhere_leaves_nothing_to_do() {
    let mut pipes = pipes();
    write(&mut pipes, StreamKey::CONTROL, 3);
    pipes.closed(Closed::Lost);
    assert!(deeds(&mut pipes).is_empty());
    assert!(matches!(nets(&mut pipes).as_slice(), [Net::Closed { why: Closed::Lost, .. }]));
    assert!(pipes.is_over());
}

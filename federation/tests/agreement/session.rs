//! Two sessions face to face on a wire that we hold in our hands: the opening, requests, streams, and bad manners.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, time::Duration};

use crate::common::{descriptor, key, relay};
use bytes::{Buf, Bytes};
use conclave_federation::{
    id::Alias,
    io::{DialKey, Now, Outlet, SessionKey, Side, StreamKey, StreamKind, Wrote},
    limits::{HELLO_DEADLINE, REQUEST_DEADLINE},
    record::RelayDescriptor,
    session::{Event, Fault, Local, LocalRelay, Remote, Session},
    wire::{
        code::Code,
        message::{Answer, Message, Notice, Refusal, Request, Resolve},
        object::ObjectHeader,
        stream::{GroupHeader, Piece},
    },
};

const EXPORTER: [u8; 32] = [1; 32];

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), unix_ms: crate::common::TIME }
}

#[derive(Clone, Debug)]
enum Sent {
    Data(StreamKey, Bytes),
    Finish(StreamKey),
}

/// What one side writes, kept in order; `room` is how much more it takes.
#[derive(Clone)]
struct Wire(Rc<RefCell<(VecDeque<Sent>, usize, u64)>>);

impl Wire {
    fn new() -> Self {
        Self(Rc::new(RefCell::new((VecDeque::new(), usize::MAX, 1))))
    }

    fn limit(&self, room: usize) {
        self.0.borrow_mut().1 = room;
    }

    fn take(&self) -> Vec<Sent> {
        self.0.borrow_mut().0.drain(..).collect()
    }
}

impl Outlet for Wire {
    fn open_uni(&mut self, _: SessionKey, _: u8) -> Option<StreamKey> {
        self.open_bidi(SessionKey(0))
    }

    fn open_bidi(&mut self, _: SessionKey) -> Option<StreamKey> {
        let mut wire = self.0.borrow_mut();
        wire.2 += 1;
        Some(StreamKey(wire.2))
    }

    fn write(&mut self, _: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let mut wire = self.0.borrow_mut();
        let mut taken = 0;
        for chunk in chunks {
            let len = chunk.len().min(wire.1);
            if len > 0 {
                wire.1 -= len;
                wire.0.push_back(Sent::Data(stream, chunk.slice(..len)));
                chunk.advance(len);
                taken += len;
            }
        }
        if taken == 0 { Wrote::Blocked } else { Wrote::Accepted(taken) }
    }

    fn finish(&mut self, _: SessionKey, stream: StreamKey) {
        self.0.borrow_mut().0.push_back(Sent::Finish(stream));
    }

    fn reset(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
    fn stop(&mut self, _: SessionKey, _: StreamKey, _: Code) {}

    fn datagram(&mut self, _: SessionKey, bytes: Bytes) -> Wrote {
        Wrote::Accepted(bytes.len())
    }

    fn close(&mut self, _: SessionKey, _: Code, _: &str) {}
}

struct End {
    session: Session<&'static str>,
    wire: Wire,
}

impl End {
    fn events(&mut self) -> Vec<Event<&'static str>> {
        std::iter::from_fn(|| self.session.next_event()).collect()
    }

    fn feed(&mut self, stream: StreamKey, kind: StreamKind, bytes: Bytes, fin: bool) -> Result<(), Fault> {
        self.session.on_data(at(0), stream, kind, bytes, fin, &mut self.wire)
    }

    fn control(&mut self, message: &Message) -> Result<(), Fault> {
        self.feed(StreamKey::CONTROL, StreamKind::Control, message.encode(), false)
    }
}

fn local(relay_key: u8, descriptor: RelayDescriptor) -> Local {
    Local::Relay(Box::new(LocalRelay { descriptor, key: key(relay_key), nonce_secret: [7; 32] }))
}

fn alder() -> Local {
    local(10, descriptor())
}

fn birch() -> Local {
    local(11, RelayDescriptor::issue(&key(21), relay(11), "Birch", crate::common::addresses()))
}

fn pair(dialler: &Local, acceptor: &Local) -> (End, End) {
    let end = |side, local: &Local| {
        let mut wire = Wire::new();
        End { session: Session::new(at(0), SessionKey(1), side, EXPORTER, local, &mut wire), wire }
    };
    (end(Side::Dialled(DialKey(1), relay(10)), dialler), end(Side::Accepted, acceptor))
}

/// Carries bytes both ways until nothing moves.
fn carry(one: &mut End, other: &mut End) -> Result<(), Fault> {
    loop {
        let (there, back) = (one.wire.take(), other.wire.take());
        if there.is_empty() && back.is_empty() {
            return Ok(());
        }
        for (sent, to) in there.into_iter().map(|sent| (sent, true)).chain(back.into_iter().map(|sent| (sent, false))) {
            let end = if to { &mut *other } else { &mut *one };
            let (stream, bytes, fin) = match sent {
                Sent::Data(stream, bytes) => (stream, bytes, false),
                Sent::Finish(stream) => (stream, Bytes::new(), true),
            };
            let kind = if stream == StreamKey::CONTROL { StreamKind::Control } else { StreamKind::Bidi };
            end.feed(stream, kind, bytes, fin)?;
        }
    }
}

fn opened(dialler: &Local) -> (End, End) {
    let (mut client, mut relay) = pair(dialler, &alder());
    carry(&mut client, &mut relay).expect("a good opening");
    client.events();
    relay.events();
    (client, relay)
}

#[test]
fn a_client_and_a_relay_open_and_agree_on_the_nonce() {
    let (mut client, mut alder) = pair(&Local::Client, &alder());
    carry(&mut client, &mut alder).expect("a good opening");
    let [Event::Active(Remote::Relay { descriptor, nonce })] = &client.events()[..] else { panic!("no relay") };
    let [Event::Active(Remote::Client { nonce: same })] = &alder.events()[..] else { panic!("no client") };
    assert_eq!((descriptor.relay, nonce), (relay(10), same));
}

#[test]
fn a_link_proves_both_keys() {
    let (mut birch, mut alder) = pair(&birch(), &alder());
    carry(&mut birch, &mut alder).expect("a good opening");
    let [Event::Active(Remote::Link { descriptor })] = &alder.events()[..] else { panic!("no link") };
    assert_eq!(descriptor.relay, relay(11));
}

#[test]
fn a_relay_that_shows_a_foreign_descriptor_is_unproven() {
    let thief = local(12, RelayDescriptor::issue(&key(21), relay(11), "Birch", crate::common::addresses()));
    let (mut thief, mut alder) = pair(&thief, &alder());
    assert_eq!(carry(&mut thief, &mut alder).map_err(|fault| fault.code), Err(Code::UNPROVEN));
}

#[test]
fn a_proof_from_another_tls_session_is_unproven() {
    let (mut birch, _) = pair(&birch(), &alder());
    let mut wire = Wire::new();
    let session = Session::new(at(0), SessionKey(2), Side::Accepted, [2; 32], &alder(), &mut wire);
    let mut alder = End { session, wire };
    assert_eq!(carry(&mut birch, &mut alder).map_err(|fault| fault.code), Err(Code::UNPROVEN));
}

#[test]
fn without_a_common_version_there_is_no_session() {
    use conclave_federation::wire::{
        List,
        message::{Hello, Identity},
    };
    let (_, mut alder) = pair(&Local::Client, &alder());
    let hello = Hello { versions: List::new(vec![2, 3]).expect("two"), features: 0, identity: Identity::Client };
    assert_eq!(alder.control(&Message::Notice(Notice::Hello(hello))).map_err(|fault| fault.code), Err(Code::VERSION));
}

fn resolve() -> Request {
    Request::Resolve(Resolve { via: None, room: crate::common::record().room })
}

#[test]
fn every_request_is_answered_once_with_its_own_tag() {
    let (mut client, mut alder) = opened(&Local::Client);
    client.session.request(at(0), resolve(), "first", &mut client.wire);
    client.session.request(at(0), resolve(), "second", &mut client.wire);
    carry(&mut client, &mut alder).expect("fine");
    let replies: Vec<_> = alder
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Request(reply, _) => reply,
            other => panic!("not a request: {other:?}"),
        })
        .collect();
    for reply in replies.into_iter().rev() {
        alder.session.answer(reply, Answer::Done(()), &mut alder.wire);
    }
    carry(&mut client, &mut alder).expect("fine");
    let tags: Vec<_> = client
        .events()
        .into_iter()
        .map(|event| match event {
            Event::Answer(tag, Answer::Done(())) => tag,
            other => panic!("not an answer: {other:?}"),
        })
        .collect();
    assert_eq!(tags, ["second", "first"]);
}

#[test]
fn large_requests_take_a_stream_of_their_own() {
    let (mut client, mut alder) = opened(&Local::Client);
    let append = crate::common::append(conclave_federation::log::Position::START, b"group");
    client.session.request(at(0), Request::Append(append), "append", &mut client.wire);
    assert!(client.wire.0.borrow().0.iter().all(|sent| !matches!(sent, Sent::Data(StreamKey::CONTROL, _))));
    carry(&mut client, &mut alder).expect("fine");
    let Some(Event::Request(reply, _)) = alder.events().pop() else { panic!("no request") };
    alder.session.answer(reply, Answer::Refused(Refusal::new(Code::CONFLICT, "")), &mut alder.wire);
    carry(&mut client, &mut alder).expect("fine");
    assert!(matches!(client.events()[..], [Event::Answer("append", Answer::Refused(_))]));
}

#[test]
fn a_large_request_on_the_control_stream_is_a_violation() {
    let (_, mut alder) = opened(&Local::Client);
    let append = crate::common::append(conclave_federation::log::Position::START, b"group");
    let message = Message::Request(0, Box::new(Request::Append(append)));
    assert_eq!(alder.control(&message).map_err(|fault| fault.code), Err(Code::VIOLATION));
}

#[test]
fn an_unanswered_request_is_answered_by_the_clock() {
    let (mut client, _) = opened(&Local::Client);
    client.session.request(at(0), resolve(), "slow", &mut client.wire);
    assert_eq!(client.session.next_timeout(), Some(REQUEST_DEADLINE));
    client.session.on_timeout(at(REQUEST_DEADLINE.as_secs())).expect("no fault");
    let events = client.events();
    assert!(matches!(&events[..], [Event::Answer("slow", Answer::Refused(refusal))] if refusal.code == Code::TIMEOUT));
}

#[test]
fn an_opening_that_never_ends_is_ended() {
    let (_, alder) = pair(&Local::Client, &alder());
    let mut session = alder.session;
    assert_eq!(session.next_timeout(), Some(HELLO_DEADLINE));
    assert_eq!(session.on_timeout(at(HELLO_DEADLINE.as_secs())).map_err(|fault| fault.code), Err(Code::TIMEOUT));
}

#[test]
fn what_is_blocked_leaves_in_order_when_there_is_room() {
    let (mut client, mut alder) = opened(&Local::Client);
    client.wire.limit(3);
    for tag in ["a", "b", "c"] {
        client.session.request(at(0), resolve(), tag, &mut client.wire);
    }
    for _ in 0..1_000 {
        client.wire.limit(5);
        client.session.on_writable(&mut client.wire).expect("small backlog");
        carry(&mut client, &mut alder).expect("fine");
    }
    assert_eq!(alder.events().len(), 3);
}

#[test]
fn a_remote_that_never_reads_is_slow() {
    let (mut client, _) = opened(&Local::Client);
    client.wire.limit(0);
    let mut result = Ok(());
    for alias in 0..600_000 {
        client.session.notify(Notice::KeyFrame(Alias::new(alias)), &mut client.wire);
        result = client.session.check_backlog();
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result.map_err(|fault| fault.code), Err(Code::SLOW));
}

#[test]
fn groups_come_in_pieces_and_a_reset_is_told() {
    let (_, mut alder) = opened(&Local::Client);
    let header = GroupHeader { alias: Alias::new(9), group: 4, layer: 0, flags: 0, priority: 2 };
    let stream = StreamKey(40);
    alder.feed(stream, StreamKind::Uni, header.encode(), false).expect("fine");
    alder.feed(stream, StreamKind::Uni, GroupHeader::object_head(0, 4), false).expect("fine");
    alder.feed(stream, StreamKind::Uni, Bytes::from_static(b"ab"), false).expect("fine");
    alder.session.on_reset(stream);
    let events = alder.events();
    let [
        Event::Piece(_, Piece::Group(seen)),
        Event::Piece(_, Piece::Part { object: 0, len: 4, offset: 0, bytes }),
        Event::StreamEnded(_, false),
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((*seen, &bytes[..]), (header, &b"ab"[..]));
}

#[test]
fn an_ignored_stream_says_nothing_more() {
    let (_, mut alder) = opened(&Local::Client);
    let stream = StreamKey(40);
    let header = GroupHeader { alias: Alias::new(9), group: 4, layer: 0, flags: 0, priority: 2 };
    alder.feed(stream, StreamKind::Uni, header.encode(), false).expect("fine");
    alder.events();
    alder.session.ignore(stream);
    alder.feed(stream, StreamKind::Uni, Bytes::from_static(&[0xff; 50]), true).expect("not even read");
    assert!(alder.events().is_empty());
}

#[test]
fn a_datagram_that_overtakes_the_opening_is_no_fault() {
    let (_, alder) = pair(&Local::Client, &alder());
    let mut session = alder.session;
    session.on_datagram(Bytes::from_static(b"\0")).expect("ignored");
    assert!(session.next_event().is_none());
}

#[test]
fn datagrams_are_objects_or_a_fault() {
    let (_, mut alder) = opened(&Local::Client);
    let header = ObjectHeader { alias: Alias::new(3), group: 1, object: 2, layer: 0, flags: 0, priority: 1 };
    alder.session.on_datagram(header.datagram(b"sealed").expect("short")).expect("an object");
    assert!(matches!(&alder.events()[..], [Event::Datagram(seen, payload, _)] if *seen == header && payload == "sealed"));
    assert_eq!(alder.session.on_datagram(Bytes::from_static(b"\0\0")).map_err(|fault| fault.code), Err(Code::MALFORMED));
}

#[test]
fn bad_manners_end_the_session() {
    let streams_early = pair(&Local::Client, &alder()).1.feed(StreamKey(4), StreamKind::Uni, Bytes::from_static(&[1]), false);
    assert_eq!(streams_early.map_err(|fault| fault.code), Err(Code::VIOLATION));
    let request_early = pair(&Local::Client, &alder()).1.control(&Message::Request(0, Box::new(resolve())));
    assert_eq!(request_early.map_err(|fault| fault.code), Err(Code::VIOLATION));
    let (_, mut alder) = opened(&Local::Client);
    alder.control(&Message::Request(5, Box::new(resolve()))).expect("fine");
    let twice = alder.control(&Message::Request(5, Box::new(resolve())));
    assert_eq!(twice.map_err(|fault| fault.code), Err(Code::VIOLATION));
    let end = alder.feed(StreamKey::CONTROL, StreamKind::Control, Bytes::new(), true);
    assert_eq!(end.map_err(|fault| fault.code), Err(Code::VIOLATION));
}

#[test]
fn too_many_open_requests_are_refused_on_both_sides() {
    let (mut client, mut alder) = opened(&Local::Client);
    for _ in 0..257 {
        client.session.request(at(0), resolve(), "many", &mut client.wire);
    }
    assert!(matches!(client.events()[..], [Event::Answer("many", Answer::Refused(_))]));
    carry(&mut client, &mut alder).expect("256 are allowed");
    let one_more = alder.control(&Message::Request(9_999, Box::new(resolve())));
    assert_eq!(one_more.map_err(|fault| fault.code), Err(Code::RATE));
}

#[test]
fn a_closed_session_hands_back_what_was_not_answered() {
    let (mut client, _) = opened(&Local::Client);
    client.session.request(at(0), resolve(), "open", &mut client.wire);
    assert_eq!(client.session.into_unanswered(), ["open"]);
}

#[test]
fn regression_streams_that_overtake_the_greeting_wait_for_it() {
    // A relay speaks as soon as it has greeted. When the packet with the greeting was lost, its other streams came first,
    // and the dialler closed a good session.
    let (mut client, mut alder) = pair(&Local::Client, &alder());
    for sent in client.wire.take() {
        let Sent::Data(stream, bytes) = sent else { panic!("only the hello") };
        alder.feed(stream, StreamKind::Control, bytes, false).expect("a good hello");
    }
    let greeting = alder.wire.take();
    let header = GroupHeader { alias: Alias::new(9), group: 4, layer: 0, flags: 0, priority: 2 };
    client.feed(StreamKey(40), StreamKind::Uni, header.encode(), false).expect("early, and kept");
    client.feed(StreamKey(41), StreamKind::Uni, header.encode(), false).expect("early, and kept");
    client.session.on_reset(StreamKey(41));
    assert!(client.events().is_empty());
    for sent in greeting {
        let Sent::Data(stream, bytes) = sent else { panic!("only the greeting") };
        client.feed(stream, StreamKind::Control, bytes, false).expect("a good greeting");
    }
    let events = client.events();
    assert!(
        matches!(&events[..], [Event::Active(_), Event::Piece(StreamKey(40), Piece::Group(seen))] if *seen == header),
        "{events:?}"
    );
}

#[test]
fn what_comes_before_the_greeting_is_bounded_and_before_the_hello_a_violation() {
    let (mut client, mut alder) = pair(&Local::Client, &alder());
    let piece = Bytes::from(vec![0; 100_000]);
    let fault = (0..100).find_map(|_| client.feed(StreamKey(40), StreamKind::Uni, piece.clone(), false).err());
    assert_eq!(fault.map(|fault| fault.code), Some(Code::FULL));
    let fault = alder.feed(StreamKey(40), StreamKind::Uni, piece, false).err();
    assert_eq!(fault.map(|fault| fault.code), Some(Code::VIOLATION));
}

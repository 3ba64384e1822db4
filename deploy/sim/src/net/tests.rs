//! The network's promises, kept towards small machines over real sessions.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Head, Instance, RelayId, RoomId},
    io::{Closed, Dial, DialError, DialKey, Machine, Net, Now, Outlet, Output, SessionKey, Side, StreamKey, StreamKind, Wrote},
    limits::MAX_DATAGRAM,
    log::Position,
    proof::{Signature, SigningKey},
    record::RelayDescriptor,
    session::{Event, Local, LocalRelay, Session},
    wire::{
        Blob, List,
        code::Code,
        message::{Answer, Append, EntryHeader, EntryKind, Request, Resolve},
    },
};

use super::{HostId, Network, Path, Settings};
use crate::{chance::Chance, trace::Trace};

fn now(at: Duration) -> Now {
    Now { mono: at, unix_ms: 1_800_000_000_000 + u64::try_from(at.as_millis()).unwrap() }
}

/// A relay that answers everything with its length, and asks what it is told to.
struct Peer {
    local: LocalRelay,
    sessions: BTreeMap<SessionKey, Session<usize>>,
    dial: Option<Dial>,
    questions: Vec<Request>,
    answers: BTreeMap<usize, Answer>,
    asked_of: usize,
    closed: Vec<Closed>,
}

impl Peer {
    fn new(number: u8) -> Self {
        let (key, operator) = (SigningKey::from_seed([number; 32]), SigningKey::from_seed([number + 100; 32]));
        let relay = RelayId::new(*key.verifying_key().as_bytes());
        let descriptor = RelayDescriptor::issue(&operator, relay, "Alder", List::default());
        let local = LocalRelay { descriptor, key, nonce_secret: [number; 32] };
        let (sessions, answers) = (BTreeMap::new(), BTreeMap::new());
        Self { local, sessions, dial: None, questions: Vec::new(), answers, asked_of: 0, closed: Vec::new() }
    }

    fn id(&self) -> RelayId {
        self.local.descriptor.relay
    }

    fn drain(&mut self, now: Now, key: SessionKey, outlet: &mut impl Outlet) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        while let Some(event) = session.next_event() {
            match event {
                Event::Active(_) => {
                    for (number, question) in self.questions.drain(..).enumerate() {
                        session.request(now, question, number, outlet);
                    }
                }
                Event::Request(reply, _) => {
                    self.asked_of += 1;
                    session.answer(reply, Answer::Done(()), outlet);
                }
                Event::Answer(number, answer) => {
                    assert!(self.answers.insert(number, answer).is_none(), "answered twice");
                }
                Event::Notice(_) | Event::Piece(..) | Event::StreamEnded(..) | Event::Datagram(..) => {}
            }
        }
    }
}

impl Machine for Peer {
    type Input = Net;
    type Output = ();

    fn handle(&mut self, now: Now, input: Net, outlet: &mut impl Outlet) {
        let key = match input {
            Net::Connected { session, side, exporter } => {
                let local = Local::Relay(Box::new(self.local.clone()));
                self.sessions.insert(session, Session::new(now, session, side, exporter, &local, outlet));
                session
            }
            Net::Data { session, stream, kind, bytes, fin } => {
                let of = self.sessions.get_mut(&session).expect("data of a session that is up");
                of.on_data(now, stream, kind, bytes, fin, outlet).expect("what was sent");
                session
            }
            Net::Writable { session } => {
                self.sessions.get_mut(&session).expect("a session that is up").on_writable(outlet).expect("little waits");
                session
            }
            Net::Closed { session, why } => {
                self.sessions.remove(&session).expect("closed once");
                self.closed.push(why);
                session
            }
            other => panic!("unexpected {other:?}"),
        };
        self.drain(now, key, outlet);
    }

    fn poll(&mut self, now: Now, outlet: &mut impl Outlet) -> Output<()> {
        if let Some(dial) = self.dial.take() {
            return Output::Dial(dial);
        }
        let keys: Vec<_> = self.sessions.keys().copied().collect();
        for key in keys {
            let session = self.sessions.get_mut(&key).expect("listed");
            if session.next_timeout().is_some_and(|at| at <= now.mono) {
                session.on_timeout(now).expect("opened in time");
            }
            self.drain(now, key, outlet);
        }
        Output::Wait(self.sessions.values().filter_map(Session::next_timeout).min())
    }
}

fn run(net: &mut Network, peers: &mut [Peer], until: Duration) -> Trace {
    let mut trace = Trace::default();
    loop {
        let mut wake = until;
        for (host, peer) in peers.iter_mut().enumerate() {
            let host = HostId(host);
            loop {
                let at = now(net.now());
                match peer.poll(at, &mut net.outlet(host)) {
                    Output::Dial(dial) => net.dial(host, &dial),
                    Output::Do(()) => {}
                    Output::Wait(at) => {
                        wake = wake.min(at.unwrap_or(until));
                        break;
                    }
                }
            }
        }
        let at = net.next_time().map_or(wake, |at| at.min(wake));
        if at >= until {
            return trace;
        }
        if let Some((host, input)) = net.advance(at) {
            let at = now(net.now());
            trace.record(|trace| trace.bytes(format!("{at:?} {host:?} {input:?}").as_bytes()));
            peers[host.0].handle(at, input, &mut net.outlet(host));
        }
    }
}

fn question(number: u8) -> Request {
    if number % 4 != 3 {
        return Request::Resolve(Resolve { via: None, room: RoomId::new([number; 16]) });
    }
    let header = EntryHeader {
        version: 1,
        room: RoomId::new([number; 16]),
        instance: Instance(1),
        seq: Position::START.seq,
        prev_head: Head::START,
        kind: EntryKind::Genesis,
        flags: 0,
        generation: Generation(0),
        term: 0,
        hub_index: 0,
        body_hash: [0; 32],
        welcome_hash: [0; 32],
        served: List::default(),
    };
    let commit = Blob::new(Bytes::from(vec![number; 100_000])).expect("short enough");
    let (epoch_box, welcome, signature) = (Blob::default(), Blob::default(), Signature::new([0; 64]));
    Request::Append(Append { via: None, header, signature, commit, epoch_box, welcome, record: None, reserve: None, call: None })
}

fn two_relays(seed: u64, path: Path) -> (Network, Vec<Peer>) {
    let settings = Settings { session_window: 64 * 1024, stream_window: 32 * 1024, ..Settings::USUAL };
    let mut net = Network::new(settings, path, Chance::new(seed));
    let mut peers = vec![Peer::new(1), Peer::new(2)];
    for (number, peer) in peers.iter().enumerate() {
        net.add_host(Some(peer.id()), &[&format!("relay-{number}.example:4433")]);
    }
    let (relay, addresses) = (Some(peers[1].id()), vec!["relay-1.example:4433".to_owned()]);
    peers[0].dial = Some(Dial { key: DialKey(1), relay, addresses });
    peers[0].questions = (0..40).map(question).collect();
    (net, peers)
}

#[test]
fn sessions_answer_everything_once_over_a_lossy_network() {
    for seed in 0..20 {
        let (mut net, mut peers) = two_relays(seed, Path { loss: 100, ..Path::ROUGH });
        run(&mut net, &mut peers, Duration::from_secs(30));
        assert_eq!(peers[0].answers.len(), 40, "seed {seed}");
        assert!(peers[0].answers.values().all(|answer| matches!(answer, Answer::Done(()))), "seed {seed}");
        assert_eq!(peers[1].asked_of, 40, "seed {seed}");
        let stats = net.stats();
        assert!(stats.blocked > 0 && stats.writable > 0 && stats.sent_again > 0 && stats.detours > 0, "{stats:?}");
        assert_eq!(net.breaches(), &[] as &[String]);
    }
}

#[test]
fn same_seed_is_the_same_trace() {
    let trace = |seed| {
        let (mut net, mut peers) = two_relays(seed, Path { loss: 100, ..Path::ROUGH });
        let trace = run(&mut net, &mut peers, Duration::from_secs(30));
        assert!(trace.events() > 100);
        trace.hash()
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

#[test]
fn a_short_cut_delays_and_a_long_one_ends_the_session() {
    for (cut, survives) in [(Duration::from_secs(4), true), (Duration::from_secs(20), false)] {
        let (mut net, mut peers) = two_relays(5, Path::ROUGH);
        run(&mut net, &mut peers, Duration::from_millis(400));
        assert_eq!(peers[0].sessions.len(), 1);
        net.cut(HostId(0), HostId(1));
        run(&mut net, &mut peers, Duration::from_millis(400) + cut);
        net.heal(HostId(0), HostId(1));
        run(&mut net, &mut peers, Duration::from_secs(60));
        let done = peers[0].answers.values().filter(|answer| matches!(answer, Answer::Done(()))).count();
        if survives {
            assert_eq!(done, 40);
            assert!(peers[0].closed.is_empty());
        } else {
            assert!(done < 40);
            assert_eq!((&*peers[0].closed, &*peers[1].closed), (&[Closed::TimedOut][..], &[Closed::TimedOut][..]));
        }
    }
}

#[test]
fn a_killed_host_is_silent_and_comes_back_without_memory() {
    let (mut net, mut peers) = two_relays(6, Path::FINE);
    run(&mut net, &mut peers, Duration::from_millis(200));
    net.kill(HostId(1));
    assert!(!net.is_alive(HostId(1)));
    peers[1].sessions.clear();
    run(&mut net, &mut peers, Duration::from_secs(20));
    assert_eq!(peers[0].closed, [Closed::TimedOut]);
    net.restart(HostId(1));
    let (relay, addresses) = (Some(peers[1].id()), vec!["relay-1.example:4433".to_owned()]);
    peers[0].dial = Some(Dial { key: DialKey(2), relay, addresses });
    run(&mut net, &mut peers, Duration::from_secs(22));
    assert_eq!(peers[0].sessions.len(), 1);
    assert_eq!(peers[1].sessions.len(), 1);
}

/// Two hosts with an open session, and no machine but the test.
fn open(path: Path, settings: Settings) -> (Network, SessionKey, SessionKey) {
    let mut net = Network::new(settings, path, Chance::new(9));
    let dialler = net.add_host(None, &[]);
    net.add_host(Some(RelayId::new([7; 32])), &["there:1"]);
    net.dial(dialler, &Dial { key: DialKey(1), relay: None, addresses: vec!["gone:1".into(), "there:1".into()] });
    let ends: Vec<_> = all(&mut net, 5);
    match &ends[..] {
        [
            (_, Net::Connected { session: a, side: Side::Dialled(DialKey(1), relay), exporter: one }),
            (_, Net::Connected { session: b, side: Side::Accepted, exporter: two }),
        ] => {
            assert_eq!((relay, one), (&RelayId::new([7; 32]), two));
            (net, *a, *b)
        }
        other => panic!("{other:?}"),
    }
}

fn all(net: &mut Network, seconds: u64) -> Vec<(HostId, Net)> {
    let until = net.now() + Duration::from_secs(seconds);
    std::iter::from_fn(|| net.advance(until)).collect()
}

fn why_not(dial: &Dial) -> DialError {
    let mut net = Network::new(Settings::USUAL, Path::FINE, Chance::new(1));
    let dialler = net.add_host(None, &[]);
    net.add_host(Some(RelayId::new([7; 32])), &["there:1"]);
    let dead = net.add_host(Some(RelayId::new([8; 32])), &["dead:1"]);
    net.kill(dead);
    net.dial(dialler, dial);
    match all(&mut net, 20).pop() {
        Some((_, Net::DialFailed { why, .. })) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn attempts_fail_for_the_reason_there_is() {
    let dial = |relay: u8, address: &str| Dial {
        key: DialKey(3),
        relay: Some(RelayId::new([relay; 32])),
        addresses: vec![address.to_owned()],
    };
    assert_eq!(why_not(&dial(7, "nowhere:1")), DialError::UnknownName);
    assert_eq!(why_not(&dial(8, "dead:1")), DialError::Unreachable);
    assert_eq!(why_not(&dial(9, "there:1")), DialError::WrongKey);
}

#[test]
fn streams_arrive_in_order_and_complete_whatever_is_lost() {
    let (mut net, a, b) = open(Path { loss: 300, ..Path::ROUGH }, Settings::USUAL);
    let body: Vec<u8> = (0..100_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let stream = net.outlet(HostId(0)).open_uni(a, 1).expect("room for one");
    let mut chunks = [Bytes::from(body[..50].to_vec()), Bytes::from(body[50..].to_vec())];
    assert_eq!(net.outlet(HostId(0)).write(a, stream, &mut chunks), Wrote::Accepted(body.len()));
    assert!(chunks.iter().all(Bytes::is_empty));
    net.outlet(HostId(0)).finish(a, stream);
    let (mut got, mut ended) = (Vec::new(), false);
    for (host, event) in all(&mut net, 60) {
        let Net::Data { session, kind, bytes, fin, stream: theirs } = event else { panic!("{event:?}") };
        assert_eq!((host, session, kind), (HostId(1), b, StreamKind::Uni));
        assert_ne!(theirs, stream);
        assert!(!ended);
        got.extend_from_slice(&bytes);
        ended = fin;
    }
    assert!(ended);
    assert_eq!(got, body);
}

#[test]
fn a_full_window_blocks_and_writable_comes_once() {
    let settings = Settings { session_window: 10_000, stream_window: 6_000, ..Settings::USUAL };
    let (mut net, a, _) = open(Path::FINE, settings);
    let one = net.outlet(HostId(0)).open_uni(a, 1).expect("room");
    let two = net.outlet(HostId(0)).open_uni(a, 1).expect("room");
    let many = || [Bytes::from(vec![1; 20_000])];
    let mut chunks = many();
    assert_eq!(net.outlet(HostId(0)).write(a, one, &mut chunks), Wrote::Accepted(6_000));
    assert_eq!(chunks[0].len(), 14_000);
    assert_eq!(net.outlet(HostId(0)).write(a, one, &mut chunks), Wrote::Blocked);
    assert_eq!(net.outlet(HostId(0)).write(a, two, &mut many()), Wrote::Accepted(4_000));
    assert_eq!(net.outlet(HostId(0)).write(a, two, &mut many()), Wrote::Blocked);
    let writable =
        all(&mut net, 5).iter().filter(|(host, event)| *host == HostId(0) && matches!(event, Net::Writable { .. })).count();
    assert_eq!(writable, 1);
    assert_eq!(net.outlet(HostId(0)).write(a, one, &mut chunks), Wrote::Accepted(6_000));
}

#[test]
fn datagrams_are_lost_and_overtake_each_other() {
    let path = Path { loss: 200, reordered: 200, detour: Duration::from_millis(80), jitter: Duration::ZERO, ..Path::FINE };
    let (mut net, a, _) = open(path, Settings::USUAL);
    let mut got = Vec::new();
    for number in 0..200_u8 {
        assert_eq!(net.outlet(HostId(0)).datagram(a, Bytes::from(vec![number; 100])), Wrote::Accepted(100));
        let until = net.now() + Duration::from_millis(20);
        while let Some((_, event)) = net.advance(until) {
            let Net::Datagram { bytes, .. } = event else { panic!("{event:?}") };
            got.push(bytes[0]);
        }
    }
    assert!((120..190).contains(&got.len()), "{}", got.len());
    assert!(!got.is_sorted());
    let before = got.len();
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len(), before);
}

#[test]
fn a_datagram_buffer_is_bounded_and_a_long_datagram_is_a_breach() {
    let (mut net, a, _) = open(Path { bandwidth: 20_000, ..Path::FINE }, Settings::USUAL);
    let offer = |net: &mut Network| net.outlet(HostId(0)).datagram(a, Bytes::from(vec![0; 1_000]));
    assert!((0..8).all(|_| offer(&mut net) == Wrote::Accepted(1_000)));
    assert_eq!(offer(&mut net), Wrote::Blocked);
    assert!(all(&mut net, 1).iter().any(|(_, event)| matches!(event, Net::Writable { .. })));
    assert_eq!(net.breaches(), &[] as &[String]);
    assert_eq!(net.outlet(HostId(0)).datagram(a, Bytes::from(vec![0; MAX_DATAGRAM + 1])), Wrote::Gone);
    assert_eq!(net.breaches().len(), 1);
}

#[test]
fn reset_stop_and_close_reach_the_other_end_and_end_what_they_name() {
    let (mut net, a, b) = open(Path::FINE, Settings::USUAL);
    let stream = net.outlet(HostId(0)).open_uni(a, 1).expect("room");
    net.outlet(HostId(0)).write(a, stream, &mut [Bytes::from_static(b"half")]);
    all(&mut net, 1);
    net.outlet(HostId(0)).reset(a, stream, Code::LATE);
    assert_eq!(net.outlet(HostId(0)).write(a, stream, &mut [Bytes::from_static(b"more")]), Wrote::Gone);
    assert!(matches!(&all(&mut net, 1)[..], [(HostId(1), Net::Reset { code: Code::LATE, .. })]));

    let stream = net.outlet(HostId(0)).open_uni(a, 1).expect("room");
    net.outlet(HostId(0)).write(a, stream, &mut [Bytes::from_static(b"half")]);
    let Some((_, Net::Data { stream: theirs, .. })) = all(&mut net, 1).pop() else { panic!("arrives") };
    net.outlet(HostId(1)).stop(b, theirs, Code::UNWANTED);
    net.outlet(HostId(0)).write(a, stream, &mut [Bytes::from_static(b"more")]);
    assert!(matches!(&all(&mut net, 1)[..], [(HostId(0), Net::Stopped { code: Code::UNWANTED, .. })]));
    assert_eq!(net.outlet(HostId(0)).write(a, stream, &mut [Bytes::from_static(b"more")]), Wrote::Gone);

    net.outlet(HostId(1)).close(b, Code::SHUTTING_DOWN, "the relay stops");
    assert_eq!(net.outlet(HostId(1)).open_uni(b, 0), None);
    match &all(&mut net, 1)[..] {
        [
            (HostId(1), Net::Closed { why: Closed::ByUs, .. }),
            (HostId(0), Net::Closed { why: Closed::ByRemote(code, words), .. }),
        ] => {
            assert_eq!((*code, &**words), (Code::SHUTTING_DOWN, "the relay stops"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(net.outlet(HostId(0)).write(a, StreamKey::CONTROL, &mut [Bytes::from_static(b"x")]), Wrote::Gone);
    assert_eq!(all(&mut net, 60).len(), 0);
}

#[test]
fn streams_are_counted_until_both_ends_are_done_with_them() {
    let (mut net, a, b) = open(Path::FINE, Settings { max_uni: 2, max_bidi: 1, ..Settings::USUAL });
    let uni: Vec<_> = (0..3).map(|_| net.outlet(HostId(0)).open_uni(a, 1)).collect();
    assert!(uni[0].is_some() && uni[1].is_some() && uni[2].is_none());
    let asked = net.outlet(HostId(0)).open_bidi(a).expect("room");
    assert_eq!(net.outlet(HostId(0)).open_bidi(a), None);
    net.outlet(HostId(0)).finish(a, uni[0].expect("open"));
    net.outlet(HostId(0)).write(a, asked, &mut [Bytes::from_static(b"?")]);
    net.outlet(HostId(0)).finish(a, asked);
    let answered = all(&mut net, 1).into_iter().find_map(|(_, event)| match event {
        Net::Data { stream, kind: StreamKind::Bidi, .. } => Some(stream),
        _ => None,
    });
    assert!(net.outlet(HostId(0)).open_uni(a, 1).is_some());
    assert_eq!(net.outlet(HostId(0)).open_bidi(a), None);
    net.outlet(HostId(1)).finish(b, answered.expect("asked"));
    assert!(matches!(&all(&mut net, 1)[..], [(HostId(0), Net::Data { stream, fin: true, .. })] if *stream == asked));
    assert!(net.outlet(HostId(0)).open_bidi(a).is_some());
}

#[test]
fn broken_sessions_end_at_both_ends_and_the_path_is_fine() {
    let (mut net, ..) = open(Path::FINE, Settings::USUAL);
    net.break_sessions(HostId(0), HostId(1));
    let ends = all(&mut net, 20);
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|(_, event)| matches!(event, Net::Closed { why: Closed::Lost, .. })));
    net.dial(HostId(0), &Dial { key: DialKey(2), relay: None, addresses: vec!["there:1".into()] });
    assert_eq!(all(&mut net, 1).len(), 2);
}

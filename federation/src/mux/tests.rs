//! Two ends against each other: what an outlet promises, whatever is said in which order, and nothing that panics.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::track::priority;

const SESSION: SessionKey = SessionKey(7);

fn pair() -> (Mux, Mux) {
    (Mux::new(SESSION, End::Dialler, Limits::PARTICIPANT), Mux::new(SESSION, End::Acceptor, Limits::RELAY))
}

fn nets(mux: &mut Mux) -> Vec<Net> {
    std::iter::from_fn(|| mux.next_net()).collect()
}

/// Carries all that one end has to say to the other, and gives what that one makes of it.
fn carry(from: &mut Mux, to: &mut Mux) -> Vec<Net> {
    let mut out = Vec::new();
    while let Some(message) = from.next_message() {
        to.handle_message(&message).unwrap();
        out.extend(nets(to));
    }
    out
}

fn text(net: &Net) -> String {
    match net {
        Net::Data { stream, kind, bytes, fin, .. } => {
            format!("{kind:?} {} {}{}", stream.0, String::from_utf8_lossy(bytes), if *fin { " fin" } else { "" })
        }
        Net::Datagram { bytes, .. } => format!("Datagram {}", String::from_utf8_lossy(bytes)),
        Net::Reset { stream, code, .. } => format!("Reset {} {}", stream.0, code.name()),
        Net::Stopped { stream, code, .. } => format!("Stopped {} {}", stream.0, code.name()),
        Net::Writable { .. } => "Writable".into(),
        Net::Closed { why, .. } => format!("{why:?}"),
        Net::Connected { .. } | Net::DialFailed { .. } => "impossible".into(),
    }
}

fn texts(nets: &[Net]) -> Vec<String> {
    nets.iter().map(text).collect()
}

fn say(mux: &mut Mux, stream: StreamKey, words: &'static str) {
    assert_eq!(mux.write(stream, &mut [Bytes::from_static(words.as_bytes())]), Wrote::Accepted(words.len()));
}

#[test]
fn the_control_stream_is_open_at_both_ends() {
    let (mut near, mut far) = pair();
    say(&mut near, StreamKey::CONTROL, "hello");
    assert_eq!(texts(&carry(&mut near, &mut far)), ["Control 0 hello"]);
    say(&mut far, StreamKey::CONTROL, "greeting");
    assert_eq!(texts(&carry(&mut far, &mut near)), ["Control 0 greeting"]);
}

#[test]
fn the_acceptor_may_speak_first() {
    let (mut near, mut far) = pair();
    say(&mut far, StreamKey::CONTROL, "first");
    assert_eq!(texts(&carry(&mut far, &mut near)), ["Control 0 first"]);
}

#[test]
fn streams_of_both_kinds_begin_with_their_first_bytes_and_end() {
    let (mut near, mut far) = pair();
    let uni = near.open_uni(priority::BASE).unwrap();
    let bidi = near.open_bidi().unwrap();
    say(&mut near, uni, "group");
    say(&mut near, bidi, "request");
    near.finish(uni);
    near.finish(bidi);
    assert_eq!(texts(&carry(&mut near, &mut far)), ["Bidi 4 request fin", "Uni 2 group fin"]);
    say(&mut far, bidi, "answer");
    far.finish(bidi);
    assert_eq!(texts(&carry(&mut far, &mut near)), ["Bidi 4 answer fin"]);
    assert_eq!(near.write(uni, &mut [Bytes::from_static(b"more")]), Wrote::Gone);
    assert_eq!(far.write(uni, &mut [Bytes::from_static(b"not ours")]), Wrote::Gone);
}

#[test]
fn an_end_without_bytes_is_told() {
    let (mut near, mut far) = pair();
    let uni = near.open_uni(priority::BASE).unwrap();
    near.finish(uni);
    assert_eq!(texts(&carry(&mut near, &mut far)), ["Uni 2  fin"]);
}

#[test]
fn the_urgent_overtakes_what_waits() {
    let (mut near, mut far) = pair();
    let upper = near.open_uni(priority::UPPER).unwrap();
    let base = near.open_uni(priority::BASE).unwrap();
    let bidi = near.open_bidi().unwrap();
    let late = near.open_uni(priority::UPPER).unwrap();
    say(&mut near, upper, "upper");
    say(&mut near, base, "base");
    say(&mut near, bidi, "request");
    say(&mut near, StreamKey::CONTROL, "control");
    say(&mut near, late, "late");
    assert_eq!(near.datagram(Bytes::from_static(b"sound")), Wrote::Accepted(5));
    near.reset(late, Code::LATE);
    assert_eq!(
        texts(&carry(&mut near, &mut far)),
        ["Reset 10 late", "Datagram sound", "Control 0 control", "Bidi 4 request", "Uni 6 base", "Uni 2 upper"]
    );
}

#[test]
fn equals_take_turns_piece_by_piece() {
    let (mut near, mut far) = pair();
    let [one, two] = [(); 2].map(|()| near.open_uni(priority::BASE).unwrap());
    for stream in [one, two] {
        assert_eq!(near.write(stream, &mut [Bytes::from(vec![1; 2 * PIECE])]), Wrote::Accepted(2 * PIECE));
    }
    let order: Vec<_> = carry(&mut near, &mut far)
        .iter()
        .map(|net| match net {
            Net::Data { stream, bytes, .. } => (*stream, bytes.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, [(one, PIECE), (two, PIECE), (one, PIECE), (two, PIECE)]);
}

#[test]
fn what_does_not_fit_is_refused_and_writable_comes_once() {
    let (mut near, mut far) = pair();
    let uni = near.open_uni(priority::UPPER).unwrap();
    let mut chunks = [Bytes::from(vec![1; 50_000]), Bytes::from(vec![2; 50_000])];
    let Wrote::Accepted(taken) = near.write(uni, &mut chunks) else { panic!("an empty queue takes something") };
    assert!(taken <= Limits::PARTICIPANT.queue, "{taken}");
    assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), 100_000 - taken);
    assert_eq!(near.write(uni, &mut chunks), Wrote::Blocked);
    // The control stream finds room all the same.
    say(&mut near, StreamKey::CONTROL, "urgent");
    let mut writables = 0;
    while let Some(message) = near.next_message() {
        far.handle_message(&message).unwrap();
        writables += nets(&mut near).iter().filter(|net| matches!(net, Net::Writable { .. })).count();
    }
    assert_eq!(writables, 1);
    assert!(matches!(near.write(uni, &mut chunks), Wrote::Accepted(_)));
}

#[test]
fn the_queue_is_bounded_over_all_streams() {
    let (mut near, _) = pair();
    let mut queued = 0;
    let mut streams: Vec<_> = (0..60).map(|level| near.open_uni(level % 4).unwrap()).collect();
    streams.push(StreamKey::CONTROL);
    for stream in streams {
        while let Wrote::Accepted(taken) = near.write(stream, &mut [Bytes::from(vec![0; 3_000])]) {
            queued += taken;
        }
    }
    assert_eq!(queued, Limits::PARTICIPANT.queue);
}

#[test]
fn datagrams_are_refused_rather_than_queued_and_too_long_ones_lost() {
    let (mut near, mut far) = pair();
    let mut taken = 0;
    while near.datagram(Bytes::from(vec![3; MAX_DATAGRAM])) == Wrote::Accepted(MAX_DATAGRAM) {
        taken += 1;
    }
    assert_eq!(taken, Limits::PARTICIPANT.datagrams / (MAX_DATAGRAM + 1));
    assert_eq!(near.datagram(Bytes::from(vec![3; MAX_DATAGRAM + 1])), Wrote::Accepted(MAX_DATAGRAM + 1));
    assert_eq!(carry(&mut near, &mut far).len(), taken);
    assert_eq!(texts(&nets(&mut near)), ["Writable"]);
}

#[test]
fn a_stream_above_the_limit_waits_until_one_has_ended() {
    let (mut near, mut far) = pair();
    let streams: Vec<_> = std::iter::from_fn(|| near.open_uni(priority::BASE)).collect();
    assert_eq!(streams.len(), Limits::PARTICIPANT.uni_out);
    near.finish(streams[5]);
    assert_eq!(near.open_uni(priority::BASE), None, "its end has not been sent");
    assert_eq!(texts(&carry(&mut near, &mut far)), ["Uni 22  fin"]);
    assert_eq!(texts(&nets(&mut near)), ["Writable"]);
    assert!(near.open_uni(priority::BASE).is_some());
    // Requests count until both ways are over; the control stream is one of them.
    let requests: Vec<_> = std::iter::from_fn(|| near.open_bidi()).collect();
    assert_eq!(requests.len(), Limits::PARTICIPANT.bidi - 1);
    near.finish(requests[0]);
    carry(&mut near, &mut far);
    assert_eq!(near.open_bidi(), None);
    far.finish(requests[0]);
    carry(&mut far, &mut near);
    assert!(near.open_bidi().is_some());
}

#[test]
fn a_reset_gives_up_what_waits_also_after_the_end_was_written() {
    let (mut near, mut far) = pair();
    for finished in [false, true] {
        let uni = near.open_uni(priority::BASE).unwrap();
        say(&mut near, uni, "late");
        if finished {
            near.finish(uni);
        }
        near.reset(uni, Code::LATE);
        assert_eq!(texts(&carry(&mut near, &mut far)), [format!("Reset {} late", uni.0)]);
        assert_eq!(near.write(uni, &mut [Bytes::from_static(b"more")]), Wrote::Gone);
    }
}

#[test]
fn a_stop_is_told_answered_and_what_still_arrives_is_thrown_away() {
    let (mut near, mut far) = pair();
    let uni = near.open_uni(priority::BASE).unwrap();
    say(&mut near, uni, "one");
    assert_eq!(texts(&carry(&mut near, &mut far)), ["Uni 2 one"]);
    say(&mut near, uni, "under way");
    let under_way = near.next_message().unwrap();
    say(&mut near, uni, "queued");
    far.stop(uni, Code::UNWANTED);
    far.handle_message(&under_way).unwrap();
    assert!(nets(&mut far).is_empty());
    assert_eq!(texts(&carry(&mut far, &mut near)), ["Stopped 2 unwanted"]);
    assert_eq!(near.write(uni, &mut [Bytes::from_static(b"more")]), Wrote::Gone);
    // The answer frees the stream at both ends, and says nothing to the machine that asked.
    assert!(carry(&mut near, &mut far).is_empty());
    let opened = std::iter::from_fn(|| near.open_uni(priority::BASE)).count();
    assert_eq!(opened, Limits::PARTICIPANT.uni_out);
}

#[test]
fn a_stop_that_crosses_the_end_is_nothing() {
    let (mut near, mut far) = pair();
    let uni = near.open_uni(priority::BASE).unwrap();
    say(&mut near, uni, "all");
    carry(&mut near, &mut far);
    near.finish(uni);
    let end = near.next_message().unwrap();
    far.stop(uni, Code::UNWANTED);
    let stop = far.next_message().unwrap();
    near.handle_message(&stop).unwrap();
    far.handle_message(&end).unwrap();
    assert!(nets(&mut near).is_empty() && nets(&mut far).is_empty());
    assert_eq!((near.next_message(), far.next_message()), (None, None));
}

#[test]
fn streams_that_are_stopped_again_and_again_leave_nothing_behind() {
    let (mut near, mut far) = pair();
    for _ in 0..10_000 {
        let uni = near.open_uni(priority::BASE).unwrap();
        say(&mut near, uni, "x");
        far.handle_message(&near.next_message().unwrap()).unwrap();
        // The far end's pipe takes nothing: its wishes must not pile up.
        far.stop(uni, Code::UNWANTED);
        near.finish(uni);
        far.handle_message(&near.next_message().unwrap()).unwrap();
        nets(&mut far);
    }
    assert_eq!(far.next_message(), None);
}

#[test]
fn a_close_says_why_once_and_nothing_after_it() {
    let (mut near, mut far) = pair();
    say(&mut near, StreamKey::CONTROL, "thrown away");
    near.close(Code::SHUTTING_DOWN, "connect to another relay");
    near.close(Code::NONE, "again");
    assert_eq!(texts(&nets(&mut near)), ["ByUs"]);
    assert!(!near.is_over());
    assert_eq!(
        carry(&mut near, &mut far).iter().map(text).collect::<Vec<_>>(),
        [format!("{:?}", Closed::ByRemote(Code::SHUTTING_DOWN, "connect to another relay".into()))]
    );
    assert!(near.is_over() && far.is_over());
    for mux in [&mut near, &mut far] {
        assert_eq!(mux.open_uni(0), None);
        assert_eq!(mux.open_bidi(), None);
        assert_eq!(mux.write(StreamKey::CONTROL, &mut [Bytes::from_static(b"x")]), Wrote::Gone);
        assert_eq!(mux.datagram(Bytes::new()), Wrote::Gone);
        mux.handle_message(&Bytes::from_static(b"\xffwhatever")).unwrap();
        assert_eq!(mux.next_message(), None);
        assert!(mux.next_net().is_none());
    }
}

#[test]
fn a_pipe_that_is_lost_is_told_once() {
    let (mut near, _) = pair();
    near.lost(Closed::TimedOut);
    near.lost(Closed::Lost);
    near.close(Code::NONE, "");
    assert_eq!(texts(&nets(&mut near)), ["TimedOut"]);
    assert_eq!(near.next_message(), None);
}

#[test]
fn what_makes_no_sense_ends_the_session_at_both_ends() {
    let cases: &[(&str, &[u8])] = &[
        ("an empty message", &[]),
        ("a type from the future", &[7]),
        ("a number that is cut", &[2, 0x40]),
        ("no bytes", &[2, 2]),
        ("a code that is cut", &[4, 2, 0]),
        ("bytes after a code", &[4, 2, 0, 0, 0]),
        ("words that are none", &[6, 0, 0, 0xff]),
        ("our own one-way stream", &[2, 3, b'x']),
        ("a stream of ours that we never opened", &[2, 5, b'x']),
        ("too many streams", &[2, 0x41, 0x02, b'x']),
        ("far too many streams", &[2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, b'x']),
        ("stop what we do not send", &[5, 2, 0, 0]),
    ];
    for (what, bytes) in cases {
        let (mut near, mut far) = pair();
        let broken = far.handle_message(&Bytes::from_static(bytes)).expect_err(what);
        assert!(!broken.to_string().is_empty());
        assert_eq!(texts(&nets(&mut far)), ["Lost"], "{what}");
        let closed = carry(&mut far, &mut near);
        assert!(
            matches!(&closed[..], [Net::Closed { why: Closed::ByRemote(Code::MALFORMED | Code::VIOLATION, _), .. }]),
            "{what}"
        );
    }
}

#[test]
fn bytes_after_the_end_of_a_stream_are_refused() {
    for end in [&[3u8, 2][..], &[4, 2, 0, 0]] {
        let (_, mut far) = pair();
        far.handle_message(&Bytes::copy_from_slice(end)).unwrap();
        assert_eq!(
            far.handle_message(&Bytes::from_static(&[2, 2, b'x'])),
            Err(Broken::Violation("bytes on a stream that is over"))
        );
    }
}

#[test]
fn a_sign_of_life_says_nothing() {
    let (_, mut far) = pair();
    far.handle_message(&ALIVE).unwrap();
    assert!(far.next_net().is_none() && far.next_message().is_none());
}

/// One step of a random session.
#[derive(Clone, Debug)]
enum Step {
    OpenUni(u8),
    OpenBidi,
    Write { which: usize, sizes: Vec<usize> },
    Finish(usize),
    Reset(usize),
    Stop(usize),
    Datagram(usize),
    Carry(usize),
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let what = prop_oneof![
        2 => (0u8..5).prop_map(Step::OpenUni),
        1 => Just(Step::OpenBidi),
        8 => (any::<usize>(), prop::collection::vec(0usize..20_000, 1..4)).prop_map(|(which, sizes)| Step::Write { which, sizes }),
        2 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Reset),
        1 => any::<usize>().prop_map(Step::Stop),
        3 => (0usize..=MAX_DATAGRAM).prop_map(Step::Datagram),
        6 => (0usize..30).prop_map(Step::Carry),
    ];
    (any::<bool>(), what)
}

/// What one end did and was told.
#[derive(Default)]
struct Ledger {
    known: Vec<StreamKey>,
    accepted: HashMap<StreamKey, usize>,
    finished: HashSet<StreamKey>,
    reset: HashSet<StreamKey>,
    stopped: HashSet<StreamKey>,
    received: BTreeMap<StreamKey, usize>,
    ended: HashSet<StreamKey>,
    datagrams_out: Vec<usize>,
    datagrams_in: Vec<usize>,
    refused: bool,
}

impl Ledger {
    fn heard(&mut self, net: Net) {
        match net {
            Net::Data { stream, bytes, fin, .. } => {
                assert!(!self.ended.contains(&stream) && !self.stopped.contains(&stream));
                let at = self.received.entry(stream).or_default();
                // Every byte says where it stands in its stream.
                for byte in &bytes {
                    assert_eq!(usize::from(*byte), *at % 251);
                    *at += 1;
                }
                if !self.known.contains(&stream) {
                    self.known.push(stream);
                }
                if fin {
                    self.ended.insert(stream);
                }
            }
            Net::Reset { stream, .. } => assert!(self.ended.insert(stream)),
            Net::Stopped { stream, .. } => assert!(self.reset.insert(stream)),
            Net::Datagram { bytes, .. } => self.datagrams_in.push(bytes.len()),
            Net::Writable { .. } => assert!(std::mem::take(&mut self.refused), "writable comes only after a refusal"),
            other => panic!("{other:?}"),
        }
    }
}

fn pick(known: &[StreamKey], which: usize) -> Option<StreamKey> {
    known.get(which.checked_rem(known.len())?).copied()
}

fn act(mux: &mut Mux, ledger: &mut Ledger, step: &Step) {
    match step {
        Step::OpenUni(level) => match mux.open_uni(*level) {
            Some(stream) => ledger.known.push(stream),
            None => ledger.refused = true,
        },
        Step::OpenBidi => match mux.open_bidi() {
            Some(stream) => ledger.known.push(stream),
            None => ledger.refused = true,
        },
        Step::Write { which, sizes } => {
            let Some(stream) = pick(&ledger.known, *which) else { return };
            let at = ledger.accepted.get(&stream).copied().unwrap_or(0);
            let mut next = at;
            let mut chunks: Vec<Bytes> = sizes
                .iter()
                .map(|size| {
                    let chunk: Vec<u8> = (next..next + size).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
                    next += size;
                    chunk.into()
                })
                .collect();
            let offered = next - at;
            match mux.write(stream, &mut chunks) {
                Wrote::Accepted(taken) => {
                    assert_eq!(chunks.iter().map(Bytes::len).sum::<usize>(), offered - taken);
                    ledger.accepted.insert(stream, at + taken);
                    ledger.refused |= taken < offered;
                }
                Wrote::Blocked => ledger.refused = true,
                Wrote::Gone => {}
            }
        }
        Step::Finish(which) => {
            let Some(stream) = pick(&ledger.known, *which) else { return };
            if mux.write(stream, &mut []) != Wrote::Gone {
                mux.finish(stream);
                ledger.finished.insert(stream);
            }
        }
        Step::Reset(which) => {
            let Some(stream) = pick(&ledger.known, *which) else { return };
            mux.reset(stream, Code::LATE);
            ledger.reset.insert(stream);
        }
        Step::Stop(which) => {
            let Some(stream) = pick(&ledger.known, *which) else { return };
            mux.stop(stream, Code::UNWANTED);
            ledger.stopped.insert(stream);
        }
        Step::Datagram(len) => match mux.datagram(Bytes::from(vec![9; *len])) {
            Wrote::Accepted(_) => ledger.datagrams_out.push(*len),
            Wrote::Blocked => ledger.refused = true,
            Wrote::Gone => panic!("the session is up"),
        },
        Step::Carry(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn two_ends_keep_what_an_outlet_promises(steps in prop::collection::vec(step(), 1..200)) {
        let (near, far) = pair();
        let mut ends = [near, far];
        let mut ledgers = [Ledger::default(), Ledger::default()];
        for ledger in &mut ledgers {
            ledger.known.push(StreamKey::CONTROL);
        }
        let carry = |ends: &mut [Mux; 2], ledgers: &mut [Ledger; 2], from: usize, most: usize| {
            for _ in 0..most {
                let Some(message) = ends[from].next_message() else { break };
                assert!(message.len() <= MAX_MESSAGE);
                ends[1 - from].handle_message(&message).expect("an honest remote");
                for end in [0, 1] {
                    while let Some(net) = ends[end].next_net() {
                        ledgers[end].heard(net);
                    }
                }
            }
        };
        for (far, step) in &steps {
            let at = usize::from(*far);
            if let Step::Carry(most) = step {
                carry(&mut ends, &mut ledgers, at, *most);
            } else {
                act(&mut ends[at], &mut ledgers[at], step);
                // A driver looks after each call: a stream that is reset may have made room for what was refused before it.
                while let Some(net) = ends[at].next_net() {
                    ledgers[at].heard(net);
                }
            }
        }
        for _ in 0..2 {
            carry(&mut ends, &mut ledgers, 0, usize::MAX);
            carry(&mut ends, &mut ledgers, 1, usize::MAX);
        }
        for (from, to) in [(0, 1), (1, 0)] {
            let (sent, got) = (&ledgers[from], &ledgers[to]);
            prop_assert!(!sent.refused, "whoever was refused is told when there is room");
            prop_assert_eq!(&sent.datagrams_out, &got.datagrams_in);
            for (stream, accepted) in &sent.accepted {
                let received = got.received.get(stream).copied().unwrap_or(0);
                prop_assert!(received <= *accepted);
                let whole = !sent.reset.contains(stream) && !got.stopped.contains(stream);
                prop_assert!(!whole || received == *accepted, "{stream:?}: {received} of {accepted}");
            }
            for stream in sent.finished.iter().filter(|stream| !got.stopped.contains(stream)) {
                prop_assert!(got.ended.contains(stream));
            }
        }
    }

    #[test]
    fn no_message_makes_an_end_panic(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..24), 1..40)) {
        let (_, mut far) = pair();
        for message in messages {
            let handled = far.handle_message(&message.into());
            let told = nets(&mut far);
            prop_assert_eq!(handled.is_err(), told.iter().any(|net| matches!(net, Net::Closed { why: Closed::Lost, .. })));
            if handled.is_err() {
                prop_assert!(far.next_message().is_some_and(|farewell| farewell.first() == Some(&6)));
                prop_assert!(far.is_over());
            }
        }
    }

    #[test]
    fn a_message_with_one_bit_turned_is_taken_or_refused(which in 0usize..7, at in any::<usize>(), bit in 0u8..8) {
        let mut message = one_of_each().swap_remove(which).to_vec();
        let at = at % message.len();
        message[at] ^= 1 << bit;
        let (_, mut far) = pair();
        if far.handle_message(&message.into()).is_err() {
            prop_assert_eq!(texts(&nets(&mut far)), vec!["Lost".to_owned()]);
        }
    }
}

fn one_of_each() -> Vec<Bytes> {
    let code = Code::LATE;
    let stream = Number(70);
    vec![
        ALIVE,
        Frame::Datagram(Bytes::from_static(b"sound")).encode(),
        Frame::Data { stream, bytes: Bytes::from_static(b"bytes"), last: false }.encode(),
        Frame::Data { stream, bytes: Bytes::from_static(b"bytes"), last: true }.encode(),
        Frame::Reset { stream, code }.encode(),
        Frame::Stop { stream: Number(5), code }.encode(),
        Frame::Close { code, words: "enough".into() }.encode(),
    ]
}

#[test]
fn a_message_that_is_cut_is_refused_or_says_less() {
    for message in one_of_each() {
        let whole = Frame::decode(&message).unwrap();
        assert_eq!(whole.encode(), message);
        for len in 0..message.len() {
            match Frame::decode(&message.slice(..len)) {
                Err(_) => {}
                Ok(Frame::Datagram(less)) => assert!(matches!(&whole, Frame::Datagram(all) if all.starts_with(&less))),
                Ok(Frame::Data { bytes: less, .. }) => {
                    assert!(matches!(&whole, Frame::Data { bytes: all, .. } if all.starts_with(&less)));
                }
                Ok(Frame::Close { words: less, .. }) => {
                    assert!(matches!(&whole, Frame::Close { words: all, .. } if all.starts_with(&less)));
                }
                Ok(other) => panic!("{other:?}"),
            }
        }
    }
}

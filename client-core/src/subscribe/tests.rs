use super::*;
use crate::api::{Codec, Media};

const NOW: Duration = Duration::from_secs(1);

fn header(alias: u32, group: u64, object: u64) -> ObjectHeader {
    ObjectHeader { alias: Alias::new(alias), group, object, layer: 0, flags: 0, priority: 0 }
}

fn line(track: u64, stream: u8) -> Line {
    Line { track: TrackId(track), stream, media: Media::microphone(), muted: false }
}

fn somebody(leaf: u16) -> ParticipantId {
    ParticipantId::of_leaf(leaf, &[9; 32])
}

fn frame(number: u32) -> Frame {
    Frame { captured_us: 0, number, back: 0, data: Bytes::from_static(b"x") }
}

fn arrived(track: u64) -> Arrived {
    Arrived { what: What::Media, track: TrackId(track), header: header(1, 0, 0), payload: Bytes::new() }
}

fn kid(leaf: u16, stream: u8) -> Kid {
    Kid { stream, leaf, epoch_low: 0 }
}

#[test]
fn an_object_that_overtakes_the_answer_waits_for_it() {
    let mut subscriber = Subscriber::new(3, NOW);
    while subscriber.wanted.next_due(NOW).is_some() {}
    assert!(subscriber.on_object(NOW, header(7, 0, 3), Bytes::from_static(b"three")).is_none());
    assert!(subscriber.on_object(NOW, header(8, 0, 0), Bytes::from_static(b"other")).is_none());
    assert!(subscriber.on_object(NOW, header(7, 0, 4), Bytes::from_static(b"four")).is_none());
    let arrived = subscriber.on_subscribed(NOW, TrackId::LOG, Alias::new(7)).unwrap();
    assert_eq!(arrived.iter().map(|one| one.header.object).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(subscriber.early(), (5, 1));
    assert!(subscriber.on_object(NOW, header(7, 0, 4), Bytes::new()).is_none(), "seen before");
    assert!(subscriber.on_object(NOW, header(7, 0, 5), Bytes::new()).is_some());
    subscriber.on_timeout(NOW + EARLY_FOR, &mut VecDeque::new());
    assert_eq!(subscriber.early(), (0, 0));
}

#[test]
fn what_waits_for_its_name_is_bounded() {
    let mut subscriber = Subscriber::new(0, NOW);
    for number in 0..5_000 {
        subscriber.on_object(NOW, header(7, 0, number), Bytes::from(vec![0; 10_000]));
        let (bytes, objects) = subscriber.early();
        assert!(bytes <= MAX_EARLY_BYTES && objects <= MAX_EARLY);
    }
}

#[test]
fn a_frame_belongs_to_the_leaf_that_sealed_it_if_that_leaf_claims_the_track() {
    let mut subscriber = Subscriber::new(0, NOW);
    let mut events = VecDeque::new();
    subscriber.claim(NOW, somebody(1), line(50, 0));
    subscriber.claim(NOW, somebody(2), line(50, 3));
    assert_eq!(subscriber.on_frame(NOW, &arrived(50), kid(1, 0), frame(0), &mut events), Given::Placed);
    assert_eq!(subscriber.on_frame(NOW, &arrived(50), kid(2, 3), frame(9), &mut events), Given::Placed);
    let senders: Vec<_> = events
        .iter()
        .map(|event| match event {
            Event::Frame(frame) => frame.participant,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(senders, [somebody(1), somebody(2)]);
    assert_eq!(subscriber.is_theirs(&arrived(50), kid(1, 0)), Ok(()));
    assert_eq!(subscriber.is_theirs(&arrived(50), kid(3, 0)), Err(OpenError::UnknownSender));
    assert_eq!(subscriber.is_theirs(&arrived(50), kid(1, 1)), Err(OpenError::WrongObject));
    assert_eq!(subscriber.is_theirs(&arrived(51), kid(1, 0)), Err(OpenError::UnknownSender));
}

#[test]
fn a_track_is_unsubscribed_when_the_last_claim_is_gone() {
    let mut subscriber = Subscriber::new(0, NOW);
    subscriber.wanted.list(TrackId(50), conclave_federation::track::Class::Datagram, false, NOW);
    subscriber.claim(NOW, somebody(1), line(50, 0));
    subscriber.claim(NOW, somebody(2), line(50, 3));
    while subscriber.wanted.next_due(NOW).is_some() {}
    assert!(subscriber.on_subscribed(NOW, TrackId(50), Alias::new(4)).is_some());
    assert_eq!(subscriber.alias_of(somebody(1), TrackId(50)), Some(Alias::new(4)));
    assert!(matches!(subscriber.unclaim(1, TrackId(50)), Some((Event::TrackUnpublished { .. }, None))));
    assert!(matches!(subscriber.unclaim(2, TrackId(50)), Some((_, Some(alias))) if alias == Alias::new(4)));
    assert!(subscriber.unclaim(2, TrackId(50)).is_none());
    assert!(subscriber.on_subscribed(NOW, TrackId(50), Alias::new(5)).is_none());
}

#[test]
fn a_picture_that_does_not_begin_is_asked_for_under_its_alias() {
    let mut subscriber = Subscriber::new(0, NOW);
    subscriber.wanted.list(TrackId(50), conclave_federation::track::Class::Groups, false, NOW);
    subscriber.claim(NOW, somebody(1), Line { media: Media::camera(Codec::Vp8, 1, 1), ..line(50, 0) });
    while subscriber.wanted.next_due(NOW).is_some() {}
    subscriber.on_subscribed(NOW, TrackId(50), Alias::new(4));
    let mut events = VecDeque::new();
    assert!(subscriber.on_timeout(NOW + Duration::from_millis(299), &mut events).is_empty());
    assert_eq!(subscriber.on_timeout(NOW + Duration::from_millis(300), &mut events), [Alias::new(4)]);
    assert!(subscriber.on_timeout(NOW + Duration::from_millis(1_300), &mut events).is_empty());
}

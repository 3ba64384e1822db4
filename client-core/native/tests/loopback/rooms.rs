//! Rooms between real endpoints on loopback: one relay, two relays, and none.

use std::time::Duration;

use bytes::Bytes;
use conclave::{
    ClientError, Codec, ConnectionState, CreateOptions, Departure, DialError, Ended, EntryRelay, Event, Failure, Frame,
    JoinError, Kind, Options, ParticipantId, PublishError, Room, Track,
};

use crate::{
    create, encoder, in_time, join,
    relay::{Relay, relays},
    wait_for,
};

async fn came(room: &Room, name: &str) -> ParticipantId {
    wait_for(room, name, |event| match event {
        Event::ParticipantJoined(person) if person.name == name => Some(person.id),
        _ => None,
    })
    .await
}

/// A few frames, as an encoder gives them: a key frame, and one that needs it.
fn pictures(count: u8) -> Vec<Frame> {
    let payload = |n| Bytes::from(vec![n; 3_000]);
    (0..count).map(|n| if n % 5 == 0 { Frame::key(payload(n)) } else { Frame::delta(payload(n)) }).collect()
}

async fn a_call(alder: &Relay, birch: &Relay) {
    let (host, link) = create(alder, "Host").await;
    assert!(matches!(host.next_event().await, Some(Event::Joined(state)) if state.title == "Tea" && state.roster.len() == 1));

    let guest = join(&link, birch, "Guest").await;
    let Some(Event::Joined(state)) = guest.next_event().await else { panic!("the whole state comes first") };
    assert_eq!((state.title.as_str(), state.roster.len(), guest.roster().len()), ("Tea", 2, 2));
    let id = came(&host, "Guest").await;
    assert_eq!(state.me, id, "both know the guest by the same id");

    let camera = host.publish(Track::camera("face", Codec::Vp8, 320, 180)).await.expect("a track");
    let voice = host.publish(Track::audio("voice")).await.expect("a track");
    for kind in [Kind::Camera, Kind::Microphone] {
        wait_for(&guest, "a track", |event| match event {
            Event::TrackPublished(track) if track.media.kind == kind => Some(()),
            _ => None,
        })
        .await;
    }
    assert_eq!(host.safety_code(), guest.safety_code(), "both are in the same epoch");
    assert_eq!(host.safety_code().len(), 30);

    let (mut heard, mut seen) = (0_u32, 0_u32);
    // What nobody takes yet is dropped, as in any call: until the first frame is there, they are sent again.
    let sending = async {
        let mut pace = encoder();
        loop {
            for frame in pictures(10) {
                camera.write(frame).await.expect("the room goes on");
                voice.write(Frame::key(Bytes::from_static(&[0xf8, 0xff, 0xfe]))).await.expect("the room goes on");
                pace.tick().await;
            }
        }
    };
    let receiving = wait_for(&guest, "sound and pictures", |event| {
        if let Event::Frame(frame) = event {
            match frame.data.len() {
                3 => heard += 1,
                3_000 => seen += 1,
                other => panic!("a frame of {other} B was never sent"),
            }
        }
        (heard >= 20 && seen >= 20).then_some(())
    });
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }

    guest.chat("hello").await.expect("the room goes on");
    let text = wait_for(&host, "a word", |event| match event {
        Event::Chat { from, text, .. } if *from == id => Some(text.clone()),
        _ => None,
    })
    .await;
    assert_eq!(text, "hello");

    drop(camera);
    wait_for(&guest, "the end of the camera", |event| matches!(event, Event::TrackUnpublished { .. }).then_some(())).await;

    guest.leave().await;
    let how = wait_for(&host, "the guest to leave", |event| match event {
        Event::ParticipantLeft { id: left, how } if *left == id => Some(*how),
        _ => None,
    })
    .await;
    assert_eq!(how, Departure::Left);
    assert_eq!(host.roster().len(), 1);
    drop(host);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_on_one_relay_hear_see_and_read_each_other() {
    let [alder] = relays();
    a_call(&alder, &alder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_on_two_relays_hear_see_and_read_each_other() {
    let [alder, birch] = relays();
    a_call(&alder, &birch).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_leaves() {
    let [alder] = relays();
    let (host, link) = create(&alder, "Host").await;
    let guest = join(&link, &alder, "Guest").await;
    let id = came(&host, "Guest").await;
    let other = guest.clone();
    drop(guest);
    other.chat("still here").await.expect("a handle is left");
    wait_for(&host, "a word", |event| matches!(event, Event::Chat { .. }).then_some(())).await;
    drop(other);
    let how = wait_for(&host, "the guest to leave", |event| match event {
        Event::ParticipantLeft { id: left, how } if *left == id => Some(*how),
        _ => None,
    })
    .await;
    assert_eq!(how, Departure::Left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_leaving_the_last_event_says_so_and_nothing_can_be_sent() {
    let [alder] = relays();
    let (room, _) = create(&alder, "Host").await;
    let track = room.publish(Track::audio("voice")).await.expect("a track");
    room.leave().await;
    let mut last = None;
    while let Some(event) = room.next_event().await {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::Ended(Ended::Left))), "{last:?}");
    assert!(room.chat("late").await.is_err());
    assert!(track.write(Frame::key(Bytes::new())).await.is_err());
    assert!(room.publish(Track::audio("late")).await.is_err());
    room.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_stops_is_not_the_end() {
    let [alder] = relays();
    let (room, _) = create(&alder, "Host").await;
    alder.stop().await;
    wait_for(&room, "the way back", |event| {
        matches!(event, Event::Connection { state: ConnectionState::Reconnecting, .. }).then_some(())
    })
    .await;
    assert_eq!(room.roster().len(), 1, "what was true is still shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_its_hub_s_operator_closes_is_over_for_everybody_with_the_operator_s_words() {
    let [alder, birch] = relays();
    let (host, link) = create(&alder, "Host").await;
    let guest = join(&link, &birch, "Guest").await;
    came(&host, "Guest").await;
    alder.close_rooms("it was used for threats").await;
    for room in [&host, &guest] {
        let words = wait_for(room, "the end", |event| match event {
            Event::Ended(Ended::Failed(Failure::Client(ClientError::Closed { words }))) => Some(words.clone()),
            Event::Ended(other) => panic!("{other:?}"),
            _ => None,
        })
        .await;
        assert!(words.contains("closed this room: it was used for threats"), "{words}");
    }
    let late = in_time("a refusal", Room::join(&link, Options::named("Late").through(birch.entry()))).await;
    let late = late.map(drop);
    assert!(matches!(late, Err(JoinError::Room(Failure::Client(ClientError::Closed { .. })))), "{late:?}");
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_said_in_one_sentence() {
    // A port that nobody has: it was free a moment ago, and is bound to nothing that answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let entry = EntryRelay::at(&silent.local_addr().expect("its address").to_string()).expect("an address");
    let error = Room::create(CreateOptions::at(entry, Options::named("Host"))).await.expect_err("nobody answers");
    assert!(
        matches!(error, JoinError::Room(Failure::Client(ClientError::RelayUnreachable(DialError::Unreachable)))),
        "{error:?}"
    );
    assert!(error.to_string().contains("check the address"), "{error}");
}

#[tokio::test]
async fn a_relay_with_another_key_is_not_trusted() {
    let [alder] = relays();
    let entry: EntryRelay = format!("{}@{}", "ab".repeat(32), alder.address).parse().expect("a relay");
    let error = Room::create(CreateOptions::at(entry, Options::named("Host"))).await.expect_err("another key");
    let JoinError::Room(Failure::Client(error)) = error else { panic!("{error:?}") };
    assert!(matches!(error, ClientError::WrongRelayKey | ClientError::RelayUnreachable(DialError::WrongKey)), "{error:?}");
}

#[tokio::test]
async fn a_link_that_is_none_is_said_before_anybody_is_called() {
    for link in ["", "hello", "https://relay.example/r", "https://relay.example/r#AAAA"] {
        let error = Room::join(link, Options::named("Guest")).await.expect_err(link);
        assert!(matches!(error, JoinError::Link(_)), "{error:?}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_for_a_key_frame_reaches_the_publisher_on_the_other_relay() {
    let [alder, birch] = relays();
    let (host, link) = create(&alder, "Host").await;
    let camera = host.publish(Track::camera("face", Codec::Vp8, 320, 180)).await.expect("a track");
    let guest = join(&link, &birch, "Guest").await;
    let frame = async {
        let mut pace = encoder();
        loop {
            for frame in pictures(5) {
                camera.write(frame).await.expect("the room goes on");
                pace.tick().await;
            }
        }
    };
    let (participant, track) = tokio::select! {
        () = frame => unreachable!("it never ends"),
        from = wait_for(&guest, "a picture", |event| match event {
            Event::Frame(frame) => Some((frame.participant, frame.track)),
            _ => None,
        }) => from,
    };
    // Joining is such a wish as well: what is left of it is taken first.
    while tokio::time::timeout(Duration::from_millis(700), camera.key_frame_wanted()).await.is_ok() {}
    guest.request_key_frame(participant, track).await.expect("the room goes on");
    in_time("the wish", camera.key_frame_wanted()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_track_too_many_is_refused_and_the_others_stay() {
    let [alder] = relays();
    let (host, _) = create(&alder, "Host").await;
    let mut tracks = Vec::new();
    let refused = loop {
        match host.publish(Track::audio("voice")).await {
            Ok(track) => tracks.push(track),
            Err(error) => break error,
        }
        assert!(tracks.len() <= 16, "more than a participant may have");
    };
    assert_eq!((refused, tracks.len()), (PublishError::TooMany, 16));
    tracks.pop().expect("sixteen").unpublish().await.expect("the room goes on");
    let again = in_time("a place", host.publish(Track::audio("voice"))).await.expect("there is a place again");
    again.write(Frame::key(Bytes::from_static(b"x"))).await.expect("the room goes on");
}

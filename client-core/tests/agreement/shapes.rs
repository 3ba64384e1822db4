//! Properties of what is decoded: no panic, one spelling, nothing behind the end, every truncation refused.

use std::fmt::Debug;

use bytes::Bytes;
use conclave_client_core::{
    group::{
        Action, CommitAad, Cut, EpochBox, FaultNote, Leaf, LeaveNote, Request, RequestKind, RetiredLink, VoidWord, Vote, VoteKind,
    },
    leaf::{Bind, Call, Profile},
    link::{HubHint, Link, LinkError},
    room::{AccessSecret, LinkSecret},
    seal::{MAX_BUCKET, SealError, SealKey},
    state::{HostEntry, Mode, RoomState},
};
use conclave_federation::{
    id::{Generation, Head, Instance, JoinId, RoomId},
    proof::{HostProof, Label, Signature, SigningKey},
    record::Delegation,
    wire::{Blob, List, Text, Wire, message::HubHead},
};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed([n; 32])
}

fn call() -> Call {
    Call { room: RoomId::new([1; 16]), instance: Instance(2), genesis: [3; 32] }
}

fn bind() -> Bind {
    Bind { call: call(), seq: 4, commitment: [5; 32] }
}

/// A host at the end of a chain through these.
fn named(n: u8, chain: &[u8]) -> HostEntry {
    let steps = chain.iter().map(|n| Delegation::issue(&key(9), call().room, key(*n).verifying_key(), 7));
    HostEntry { key: key(n).verifying_key(), delegation: List::new(steps.collect()).expect("short") }
}

fn vote() -> Vote {
    Vote::sign(&key(1), &call(), Leaf(7), key(2).verifying_key(), VoteKind::Remove, 3)
}

fn cut() -> Cut {
    let head = |seq| HubHead {
        room: call().room,
        instance: call().instance,
        seq,
        head: Head::new([6; 32]),
        term: 0,
        hub_index: 0,
        time: 8,
        signature: Signature::new([9; 64]),
    };
    Cut { earlier: head(1), next: head(2), last: head(3) }
}

fn note() -> LeaveNote {
    LeaveNote::sign(&key(1), &call(), Leaf(7))
}

fn fault_note() -> FaultNote {
    FaultNote::sign(&key(1), &call(), Leaf(7), 8, Head::new([6; 32]))
}

fn holds<T: Wire + PartialEq + Debug>(value: &T) {
    let spelled = value.encode();
    assert_eq!(T::decode(&spelled).as_ref(), Ok(value));
    for end in 0..spelled.len() {
        assert!(T::decode(&spelled.slice(..end)).is_err(), "cut at {end}");
    }
    let longer = Bytes::from([spelled.as_ref(), &[0]].concat());
    assert!(T::decode(&longer).is_err());
}

#[test]
fn every_truncation_of_every_structure_is_refused() {
    holds(&bind());
    holds(&note());
    holds(&Profile::named("name").by_founder(&key(2), &call(), &key(1).verifying_key()));
    holds(&RoomState {
        version: 2,
        mode: Mode::Locked,
        generation: Generation(1),
        record: [1; 32],
        hosts: List::new(vec![named(1, &[1]), named(2, &[3, 2])]).expect("two"),
        hub_index: 0,
        hub_term: 0,
        max_members: 9,
        flags: 1,
        history: 2,
        history_minutes: 3,
        title: Text::cut("a title"),
    });
    holds(&CommitAad {
        version: 1,
        prev_head: Head::new([1; 32]),
        action: Action::Leave,
        notes: List::new(vec![note()]).expect("one"),
        served: List::new(vec![JoinId::new([2; 16])]).expect("one"),
        votes: List::new(vec![vote()]).expect("one"),
        cut: Some(cut()),
    });
    holds(&vote());
    holds(&fault_note());
    let mut word = VoidWord {
        seq: 8,
        head: Head::new([6; 32]),
        leaves: 3,
        notes: List::new(vec![fault_note()]).expect("one"),
        key: key(1).verifying_key(),
        host: Some(HostProof::sign(Label::Void, b"", &key(2), List::default())),
        signature: Signature::new([0; 64]),
    };
    word.sign(&key(1), &call(), Head::new([7; 32]));
    holds(&word);
    holds(&cut());
    holds(&named(1, &[4, 1]));
    holds(&EpochBox {
        generation: Generation(0),
        access: AccessSecret::new([1; 32]),
        link: LinkSecret::new([2; 32]),
        record: [3; 32],
        roster: [4; 32],
        seq: 5,
        retired: List::new(vec![RetiredLink { generation: Generation(3), secret: LinkSecret::new([6; 32]) }]).expect("one"),
    });
    let mut request = Request {
        id: JoinId::new([1; 16]),
        instance: Instance(1),
        kind: RequestKind::Leave,
        attempt: 1,
        key_package: Blob::default(),
        note: Some(note()),
        fault: Some(fault_note()),
        reply: [0; 32],
        key: key(1).verifying_key(),
        signature: Signature::new([0; 64]),
    };
    request.sign(&key(1));
    assert!(request.verify());
    holds(&request);
}

#[test]
fn every_action_survives_its_spelling_and_no_other_number_is_one() {
    let known = (0..=u8::MAX).filter(|n| {
        let spelled = Bytes::copy_from_slice(&[*n]);
        Action::decode(&spelled).is_ok_and(|action| action.encode() == spelled)
    });
    assert_eq!(known.collect::<Vec<_>>(), (0..=12).collect::<Vec<_>>());
}

#[test]
fn what_debug_shows_holds_no_secret() {
    let link = Link {
        host: "relay.example".to_owned(),
        room: RoomId::new([0xab; 16]),
        secret: LinkSecret::new([0xcd; 32]),
        hubs: vec![HubHint { relay: [0xef; 16], address: "hub.example:1".to_owned() }],
    };
    let shown = [
        format!("{link:?} {:?}", link.hubs),
        format!("{:?} {:?}", LinkSecret::new([0xcd; 32]), AccessSecret::new([0xcd; 32])),
        format!("{:?}", SealKey::new([0xcd; 32])),
        format!("{:?}", conclave_client_core::hpke::SecretKey::new([0xcd; 32])),
        format!("{:?}", Profile::named("planted")),
    ]
    .join(" ");
    for secret in ["cdcd", "205", "[0x", "abababab", "example", "planted"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn what_is_no_link_gets_the_sentence_that_fits() {
    let good = Link {
        host: "relay.example".to_owned(),
        room: RoomId::new([1; 16]),
        secret: LinkSecret::new([2; 32]),
        hubs: vec![HubHint { relay: [3; 16], address: "hub.example:1".to_owned() }],
    }
    .to_string();
    assert!(Link::parse(&format!("  {good}\n")).is_ok());
    let secret = good.split_once('#').expect("a fragment").1;
    for here in ["127.0.0.1", "127.9.9.9:4433", "localhost", "LocalHost:80", "[::1]", "[::1]:4433"] {
        let parsed = Link::parse(&format!("http://{here}/r#{secret}")).expect("this machine needs no TLS");
        assert_eq!((parsed.host.as_str(), parsed.to_string()), (here, format!("https://{here}/r#{secret}")));
    }
    for elsewhere in
        ["128.0.0.1", "127.0.0.1.example", "localhost.example:80", "notlocalhost", "[::2]", "::1", "0.0.0.0", "[::1].example"]
    {
        assert_eq!(Link::parse(&format!("http://{elsewhere}/r#{secret}")).err(), Some(LinkError::Shape), "{elsewhere}");
    }
    let cases = [
        (String::new(), LinkError::Shape),
        ("hello".to_owned(), LinkError::Shape),
        (format!("http://relay.example/r#{secret}"), LinkError::Shape),
        (format!("https://relay.example/x#{secret}"), LinkError::Shape),
        (format!("https:///r#{secret}"), LinkError::Shape),
        (format!("https://user@relay.example/r#{secret}"), LinkError::Shape),
        ("https://relay.example/r".to_owned(), LinkError::NoSecret),
        ("https://relay.example/r#".to_owned(), LinkError::NoSecret),
        (format!("https://relay.example/r#{secret}!"), LinkError::Letters),
        (format!("https://relay.example/r#{}", secret.replacen("AQ", "A Q", 1)), LinkError::Letters),
        (format!("https://relay.example/r#{}", &secret[..secret.len() - 4]), LinkError::Damaged),
        (format!("https://relay.example/r#{secret}AAAA"), LinkError::Damaged),
        (format!("https://relay.example/r#C{}", &secret[1..]), LinkError::Version),
        ("https://relay.example/r#AQ".to_owned(), LinkError::Damaged),
        (format!("https://relay.example/r#{}", "A".repeat(5000)), LinkError::Damaged),
    ];
    for (text, error) in cases {
        assert_eq!(Link::parse(&text).err(), Some(error), "{text}");
    }
}

#[test]
fn the_largest_bucket_is_a_mebibyte() {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let key = SealKey::new([1; 32]);
    let fits = vec![1; MAX_BUCKET - 4];
    let sealed = key.seal(&mut rng, b"", &fits).expect("fits");
    assert_eq!(*key.open(b"", &sealed).expect("opened"), fits);
    assert_eq!(key.seal(&mut rng, b"", &vec![1; MAX_BUCKET - 3]).err(), Some(SealError::TooLong));
    assert_eq!(key.open(b"", &vec![0; 2 * MAX_BUCKET]).err(), Some(SealError::TooLong));
}

fn host() -> impl Strategy<Value = String> {
    "[a-z0-9.-]{1,40}(:[0-9]{1,5})?"
}

prop_compose! {
    fn any_link()(
        host in host(),
        room in any::<[u8; 16]>(),
        secret in any::<[u8; 32]>(),
        hubs in proptest::collection::vec((any::<[u8; 16]>(), host()), 1..=3),
    ) -> Link {
        let hubs = hubs.into_iter().map(|(relay, address)| HubHint { relay, address }).collect();
        Link { host, room: RoomId::new(room), secret: LinkSecret::new(secret), hubs }
    }
}

fn never_panics<T: Wire>(bytes: &Bytes) -> Result<(), TestCaseError> {
    if let Ok(value) = T::decode(bytes) {
        prop_assert_eq!(&value.encode(), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_link_is_read_back_as_written(link in any_link()) {
        prop_assert_eq!(Link::parse(&link.to_string()).ok(), Some(link));
    }

    #[test]
    fn a_link_with_a_letter_changed_is_refused_or_another_link(
        link in any_link(), at in any::<prop::sample::Index>(), letter in any::<char>(),
    ) {
        let text = link.to_string();
        let mut letters: Vec<char> = text.chars().collect();
        let at = at.index(letters.len());
        letters[at] = letter;
        let changed: String = letters.into_iter().collect();
        if let Ok(read) = Link::parse(&changed) {
            prop_assert_eq!(read == link, changed.trim() == text);
        }
    }

    #[test]
    fn no_text_makes_the_link_parser_panic(text in any::<String>(), tail in "[A-Za-z0-9_-]{0,200}") {
        prop_assert!(Link::parse(&text).is_err());
        let text = format!("https://relay.example/r#{tail}");
        if let Ok(link) = Link::parse(&text) {
            prop_assert_eq!(link.to_string(), text);
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_and_all_have_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        never_panics::<Request>(&bytes)?;
        never_panics::<CommitAad>(&bytes)?;
        never_panics::<LeaveNote>(&bytes)?;
        never_panics::<Vote>(&bytes)?;
        never_panics::<Cut>(&bytes)?;
        never_panics::<RetiredLink>(&bytes)?;
        never_panics::<HostEntry>(&bytes)?;
        never_panics::<EpochBox>(&bytes)?;
        never_panics::<RoomState>(&bytes)?;
        never_panics::<Profile>(&bytes)?;
        never_panics::<Bind>(&bytes)?;
        prop_assert!(SealKey::new([1; 32]).open(b"", &bytes).is_err());
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_and_changed_nowhere(
        plain in proptest::collection::vec(any::<u8>(), 0..700), seed in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let key = SealKey::new(seed);
        let mut rng = ChaCha20Rng::from_seed(seed);
        let sealed = key.seal(&mut rng, b"place", &plain).expect("short");
        prop_assert_eq!(&*key.open(b"place", &sealed).expect("opened"), &plain);
        let mut changed = sealed.to_vec();
        let at = at.index(changed.len());
        changed[at] ^= 1 << bit;
        prop_assert!(key.open(b"place", &changed).is_err());
    }

    #[test]
    fn names_are_cut_to_fit(name in any::<String>()) {
        let profile = Profile::named(&name);
        prop_assert!(name.starts_with(profile.name.as_str()));
        prop_assert_eq!(Profile::decode(&profile.encode()), Ok(profile));
    }
}

//! Known answers of another implementation: `tests/vectors/control.json`, made by `control.py` beside it.

use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    proof::{Label, SigningKey},
    wire::{List, Text, Wire, message::HubHead},
};
use serde_json::Value;
use x25519_dalek::{PublicKey, StaticSecret};

use super::*;
use crate::{
    api::{Codec, Kind, Media},
    catalog::{About, Catalog, Line},
    code,
    compare::{Chain, Nonce},
    equivocation,
    heads::{beacon_key, open_beacon},
    heartbeat::Echo,
    known::Acquaintance,
    room::{AccessSecret, kdf32},
    words::WORDS,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../tests/vectors/control.json")).expect("JSON")
}

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().expect("the right length")
}

fn ann() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

fn ben() -> SigningKey {
    SigningKey::from_seed([2; 32])
}

fn author() -> Author {
    Author { room: RoomId::new([5; 16]), instance: Instance(2), leaf: 4 }
}

/// What we make of a word is what the other implementation made, and is read back.
fn same(control: &Control, theirs: &Value) {
    let ours = control.sign(author(), |label, body| ann().sign(label, body));
    assert_eq!(ours, unhex(theirs), "{control:?}");
    assert_eq!(Control::verify(&ours, author(), &ann().verifying_key()), Ok(Some(control.clone())));
    for len in 0..ours.len() {
        let read = Control::verify(&ours.slice(..len), author(), &ann().verifying_key());
        assert!(read.is_err(), "{control:?} cut at {len}: {read:?}");
    }
}

fn nonces(all: &Value) -> (Nonce, Nonce) {
    let values = &all["compare"]["nonces"];
    (Nonce { index: 3, value: fixed(&values[0]) }, Nonce { index: 5, value: fixed(&values[1]) })
}

#[test]
fn every_control_word_is_what_another_implementation_makes_of_it() {
    let all = vectors();
    let echoes = List::new(vec![Echo { leaf: 1, counter: 2 }]).unwrap();
    let beat = Heartbeat { epoch: 3, seq: 4, head: Head::START, counter: 9, flags: 0, echoes };
    same(&Control::Heartbeat(beat), &all["heartbeat"]);
    let to = ben().verifying_key();
    same(&Control::Ask(Ask { to, epoch: 7, index: 3 }), &all["ask"]);
    let public = PublicKey::from(&StaticSecret::from([0x21; 32])).to_bytes();
    same(&Control::Reveal(Reveal { to, epoch: 7, theirs: 5, nonce: nonces(&all).0, public }), &all["reveal"]);
    let tags = List::new(vec![fixed(&all["recognise"]["tag"])]).unwrap();
    same(&Control::Recognise(Tags { epoch: 7, tags }), &all["recognise"]["word"]);
    same(&Control::Reaction(Reaction { number: 2, text: Text::cut("hm") }), &all["reaction"]);
    same(&Control::MuteRequest(MuteRequest { number: 2, to, kind: Kind::Microphone }), &all["mute_request"]);
    same(&Control::LeafKey(Zeroizing::new([1; 32])), &all["leaf_key"]);
}

#[test]
fn a_catalog_is_what_another_implementation_makes_of_it() {
    let media = Media { label: "desk".into(), layers: 2, ..Media::camera(Codec::Vp8, 640, 360) };
    let track = conclave_federation::id::TrackId(0x1122_3344_5566_7788);
    let lines = List::new(vec![Line { track, stream: 1, media, muted: true }]).unwrap();
    let about = About { name: Text::cut("Jo"), hand: Some(258), recording: true };
    let catalog = Catalog { number: 3, about, lines, relay: None };
    let bytes = catalog.sign(author(), |label, body| ann().sign(label, body));
    assert_eq!(bytes, unhex(&vectors()["catalog"]));
}

#[test]
fn nonces_words_and_what_two_know_of_each_other_follow_as_written() {
    let all = vectors();
    let list: Vec<String> = serde_json::from_str(include_str!("../../tests/vectors/words.json")).expect("JSON");
    assert_eq!(list, WORDS);
    let mut chain = Chain::new(fixed(&all["chain"]["seed"]));
    assert_eq!(chain.commitment(), fixed(&all["chain"]["commitment"]));
    for index in 1..=32u8 {
        let nonce = chain.take().unwrap();
        if let Some(theirs) = all["chain"]["nonces"].get(index.to_string()) {
            assert_eq!((nonce.index, nonce.value), (index, fixed(theirs)));
        }
    }
    let compared = &all["compare"];
    let authenticator = unhex(&compared["authenticator"]);
    let (anns, bens) = (ann().verifying_key(), ben().verifying_key());
    let (hers, his) = nonces(&all);
    let words = code::short_code(&authenticator, (&anns, &hers.value), (&bens, &his.value));
    assert_eq!(Some(words.as_str()), compared["words"].as_str());
    assert_eq!(words, code::short_code(&authenticator, (&bens, &his.value), (&anns, &hers.value)), "whoever asks");
    assert_eq!(Some(code::knock_words(&anns).as_str()), all["knock"].as_str());

    let secret = |byte: u8| StaticSecret::from([byte; 32]);
    let publics = (PublicKey::from(&secret(0x21)).to_bytes(), PublicKey::from(&secret(0x22)).to_bytes());
    let shared = secret(0x21).diffie_hellman(&PublicKey::from(publics.1));
    let ((one, of_one), (other, of_other)) =
        if anns <= bens { ((anns, publics.0), (bens, publics.1)) } else { ((bens, publics.1), (anns, publics.0)) };
    let context = [&authenticator[..], one.as_bytes(), &of_one, other.as_bytes(), &of_other].concat();
    let pairwise = *kdf32(shared.as_bytes(), "acquaintance", &context);
    assert_eq!(pairwise, fixed(&compared["pairwise"]));
    let tags = List::new(vec![fixed(&all["recognise"]["tag"])]).unwrap();
    assert_eq!(Tags { epoch: 7, tags }.find(&[Acquaintance::new(pairwise)], &authenticator, &anns), Some(0));
}

#[test]
fn beacons_and_proofs_are_read_as_another_implementation_writes_them() {
    let all = vectors();
    let beacon = &all["beacon"];
    let access = AccessSecret::new(fixed(&beacon["access"]));
    let (room, instance) = (author().room, author().instance);
    assert_eq!(beacon_key(&access, room, instance).expose(), &fixed::<32>(&beacon["key"]));
    let head = HubHead::decode(&unhex(&beacon["head"]).into()).unwrap();
    assert_eq!(open_beacon(&access, room, instance, &unhex(&beacon["object"])), Some(head));
    let relay = RelayId::new(fixed(&all["equivocation"]["relay"]));
    for kind in ["heads", "chain"] {
        let shown = equivocation::verify(&unhex(&all["equivocation"][kind])).unwrap();
        assert_eq!((shown.relay, shown.room, shown.instance, shown.seq), (relay, room, instance, 4), "{kind}");
    }
}

#[test]
fn a_word_signed_under_another_kinds_label_is_refused() {
    let reaction = Control::Reaction(Reaction { number: 2, text: Text::cut("hm") });
    let bytes = reaction.sign(author(), |_, body| ann().sign(Label::Heartbeat, body));
    assert_eq!(Control::verify(&bytes, author(), &ann().verifying_key()), Err(Unreadable::BadSignature));
}

//! Known answers, made by `tests/vectors/chat.py`.

use conclave_federation::{
    id::RelayId,
    proof::{Signature, SigningKey},
    wire::message::Stamped,
};
use serde_json::Value;

use super::*;
use crate::{api::ParticipantId, names};

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("hex");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn fixed<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("the right length")
}

#[test]
fn what_is_said_told_and_stamped_has_one_spelling() {
    let vector = read(include_str!("../../tests/vectors/chat.json"));
    let leaf = SigningKey::from_seed(fixed(&vector["leaf_seed"]));
    let scene = Scene { room: RoomId::new(fixed(&vector["room"])), instance: Instance(3) };
    let message = Message {
        id: fixed(&vector["id"]),
        number: 4,
        before: 2,
        unix_ms: 5,
        epoch: 3,
        transcript: fixed(&vector["transcript"]),
        text: Text::cut(vector["text"].as_str().expect("a text")),
    };
    let signed = message.sign(scene, |label, body| leaf.sign(label, body));
    assert_eq!(signed, bytes(&vector["signed"]));
    assert_eq!(Message::verify(&signed, scene, &leaf.verifying_key()), Ok(message));
    let author = leaf.verifying_key();
    let blob = conclave_federation::wire::Blob::new(signed.clone()).expect("short");
    let told = Told { author, leaf: 5, name: Text::cut("name"), signed: blob };
    let telling = conclave_federation::wire::List::new(vec![told]).expect("one");
    let again = Again { author, from: 9, count: 2 };
    for (word, name) in [(Word::Said(signed), "said"), (Word::Again(again), "again"), (Word::Told(telling), "told")] {
        let known = Bytes::from(bytes(&vector[name]));
        assert_eq!(word.encode(), known, "{name}");
        assert_eq!(Word::decode(&known), Ok(word), "{name}");
    }
    let stamp = &vector["stamp"];
    let hub = SigningKey::from_seed(fixed(&stamp["hub_seed"]));
    let stamped = Stamped { time: 77, signature: Signature::new(fixed(&stamp["signature"])) };
    let hub = RelayId::new(*hub.verifying_key().as_bytes());
    assert!(stamped.verify(hub, scene.room, scene.instance, &fixed(&stamp["digest"])));
    assert!(!stamped.verify(hub, scene.room, Instance(4), &fixed(&stamp["digest"])));
    assert_eq!(vector["colour"].as_u64(), Some(u64::from(names::hue(&author))));
    assert_eq!(vector["participant"].as_u64(), Some(u64::from(ParticipantId::of_leaf(5, author.as_bytes()).get())));
}

#[test]
fn every_label_has_a_known_signature() {
    let vector = read(include_str!("../../tests/vectors/labels.json"));
    let key = SigningKey::from_seed(fixed(&vector["seed"]));
    let all = [
        Label::Attach,
        Label::Relay,
        Label::Append,
        Label::Request,
        Label::Head,
        Label::Record,
        Label::Descriptor,
        Label::Link,
        Label::Leave,
        Label::Heartbeat,
        Label::Catalog,
        Label::Chat,
        Label::Host,
        Label::WellKnown,
        Label::Delegate,
        Label::Reserve,
        Label::Decline,
        Label::Unseen,
        Label::Remove,
        Label::Fault,
        Label::Void,
        Label::Media,
        Label::AttestKey,
        Label::Control,
        Label::Report,
        Label::Call,
    ];
    let known = vector["signatures"].as_array().expect("a list");
    assert_eq!(known.len(), all.len());
    for (label, known) in all.into_iter().zip(known) {
        assert_eq!(label.as_str(), known["label"]);
        assert_eq!(key.sign(label, &bytes(&vector["body"])).as_bytes()[..], bytes(&known["signature"]));
    }
}

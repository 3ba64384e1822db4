//! Known answers.

use bytes::Bytes;
use conclave_client_core::{
    code::SafetyCode,
    group::{
        Action, CommitAad, Cut, EpochBox, FaultNote, Leaf, LeaveNote, Request, RequestKind, RetiredLink, VoidWord, Vote,
        VoteKind, knock_code, roster_hash, thread::Word,
    },
    hpke,
    leaf::{Bind, Call, Profile, genesis_hash},
    link::Link,
    room::{AccessSecret, LinkSecret, kdf, new_room},
    seal::SealKey,
    state::{HostEntry, Mode, RoomState},
};
use conclave_federation::{
    id::{Generation, Head, Instance, JoinId, RelayId, RoomId},
    proof::{Label, Signature, SigningKey, VerifyingKey, sha256},
    record::{Delegation, Hub},
    wire::message::HubHead,
    wire::{Blob, List, Text, Wire},
};
use rand_core::{CryptoRng, RngCore};
use serde_json::Value;

fn vectors(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is a text"))
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    unhex(text(value, name))
}

fn fixed<const N: usize>(value: &Value, name: &str) -> [u8; N] {
    bytes(value, name).try_into().expect("the right length")
}

fn number(value: &Value, name: &str) -> u32 {
    u32::try_from(value[name].as_u64().expect("a number")).expect("a small one")
}

/// Gives these bytes, one after the other.
struct Given(std::vec::IntoIter<u8>);

impl Given {
    fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }
}

impl RngCore for Given {
    fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(std::array::from_fn(|_| self.0.next().expect("enough")))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|_| self.0.next().expect("enough")))
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.fill_with(|| self.0.next().expect("enough"));
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Given {}

#[test]
fn keys_are_derived_under_their_labels() {
    for vector in vectors(include_str!("../vectors/kdf.json")).as_array().expect("a list") {
        let expected = bytes(vector, "out");
        let mut out = vec![0; expected.len()];
        kdf(&bytes(vector, "secret"), text(vector, "label"), &bytes(vector, "context"), &mut out);
        assert_eq!(hex(&out), hex(&expected));
    }
}

#[test]
fn a_rooms_keys_follow_from_its_two_secrets() {
    let vector = vectors(include_str!("../vectors/room.json"));
    let founder = SigningKey::from_seed(fixed(&vector, "founder_seed"));
    let room = RoomId::of_founder(&founder.verifying_key());
    assert_eq!(hex(room.as_bytes()), text(&vector, "room"));
    let link = LinkSecret::new(fixed(&vector, "link"));
    let access = AccessSecret::new(fixed(&vector, "access"));
    for vector in vector["keys"].as_array().expect("a list") {
        let generation = Generation(number(vector, "generation"));
        let join = link.keys(room, generation);
        assert_eq!(hex(join.seal.expose()), text(vector, "join_seal"));
        assert_eq!(hex(&join.sign.expose_seed()), text(vector, "join_sign_seed"));
        assert_eq!(hex(join.sign.verifying_key().as_bytes()), text(vector, "join_sign_public"));
        let keys = access.keys(room, generation);
        assert_eq!(hex(&keys.sign.expose_seed()), text(vector, "access_sign_seed"));
        assert_eq!(hex(keys.sign.verifying_key().as_bytes()), text(vector, "access_sign_public"));
        assert_eq!(hex(keys.lobby.expose().as_slice()), text(vector, "lobby_secret"));
        assert_eq!(hex(keys.lobby.public()), text(vector, "lobby_public"));
    }
}

#[test]
fn a_new_room_stands_on_founder_link_and_access_drawn_in_this_order() {
    let vector = vectors(include_str!("../vectors/room.json"));
    let drawn = [bytes(&vector, "founder_seed"), bytes(&vector, "link"), bytes(&vector, "access")].concat();
    let addresses = List::new(vec![Text::cut("relay.test:1")]).expect("one");
    let hub = Hub { relay: RelayId::new([1; 32]), addresses };
    let room = new_room(&mut Given::new(drawn), vec![hub], 1_000, 5_000).expect("a room");
    assert_eq!(hex(room.record.room.as_bytes()), text(&vector, "room"));
    assert_eq!(hex(room.record.join.as_bytes()), text(&vector["keys"][0], "join_sign_public"));
    assert_eq!(hex(room.record.access.as_bytes()), text(&vector["keys"][0], "access_sign_public"));
    assert_eq!(hex(&room.record.lobby), text(&vector["keys"][0], "lobby_public"));
    assert_eq!(room.record.max_members, 1_000);
    assert_eq!(room.record.verify(room.record.room, 1_000), Ok(()));
    assert!(room.link.keys_of(&room.record).is_some() && room.access.keys_of(&room.record, None).is_some());
    assert!(room.to_link("relay.test").hubs[0].is(&RelayId::new([1; 32])));
}

#[test]
fn sealing_pads_to_powers_of_two_and_opens_again() {
    for vector in vectors(include_str!("../vectors/seal.json")).as_array().expect("a list") {
        let key = SealKey::new(fixed(vector, "key"));
        let (associated, plain) = (bytes(vector, "associated"), bytes(vector, "plain"));
        let sealed = key.seal(&mut Given::new(bytes(vector, "salt")), &associated, &plain).expect("sealed");
        assert_eq!(u32::try_from(sealed.len()).expect("short"), number(vector, "length"));
        assert_eq!(hex(&sha256(&[&sealed])), text(vector, "sha256"));
        if let Some(expected) = vector["sealed"].as_str() {
            assert_eq!(hex(&sealed), expected);
        }
        assert_eq!(*key.open(&associated, &sealed).expect("opened"), plain);
        assert!(key.open(b"another place", &sealed).is_err());
        assert!(SealKey::new([0; 32]).open(&associated, &sealed).is_err());
    }
}

#[test]
fn hpke_is_that_of_rfc_9180() {
    let vector = vectors(include_str!("../vectors/hpke.json"));
    let recipient = hpke::SecretKey::derive(&bytes(&vector, "ikm_r"));
    assert_eq!(hex(recipient.expose().as_slice()), text(&vector, "secret_r"));
    assert_eq!(hex(recipient.public()), text(&vector, "public_r"));
    let (info, aad) = (bytes(&vector, "info"), bytes(&vector, "aad"));
    let (enc, sealed) =
        hpke::seal(&fixed(&vector, "ikm_e"), recipient.public(), &info, &aad, &bytes(&vector, "plain")).expect("sealed");
    assert_eq!(hex(&enc), text(&vector, "enc"));
    assert_eq!(hex(&sealed), text(&vector, "sealed"));
    assert_eq!(*recipient.open(&enc, &info, &aad, &sealed).expect("opened"), bytes(&vector, "plain"));
    assert!(recipient.open(&enc, b"another purpose", &aad, &sealed).is_err());
    assert!(recipient.open(&enc, &info, b"another place", &sealed).is_err());
}

#[test]
fn a_point_of_small_order_shares_no_secret() {
    assert_eq!(hpke::seal(&[1; 32], &[0; 32], b"", b"", b"").err(), Some(hpke::HpkeError::Key));
    let key = hpke::SecretKey::derive(&[1; 32]);
    assert_eq!(key.open(&[0; 32], b"", b"", &[0; 16]).err(), Some(hpke::HpkeError::Key));
}

#[test]
fn a_link_has_one_spelling() {
    let vector = vectors(include_str!("../vectors/link.json"));
    let link = Link::parse(text(&vector, "text")).expect("a link");
    assert_eq!(link.host, text(&vector, "host"));
    assert_eq!(hex(link.room.as_bytes()), text(&vector, "room"));
    assert_eq!(hex(link.secret.expose()), text(&vector, "secret"));
    for (hub, vector) in link.hubs.iter().zip(vector["hubs"].as_array().expect("a list")) {
        assert_eq!((hex(&hub.relay).as_str(), hub.address.as_str()), (text(vector, "relay"), text(vector, "address")));
    }
    assert_eq!(link.hubs.len(), 2);
    assert_eq!(link.to_string(), text(&vector, "text"));
}

#[test]
fn a_safety_code_is_thirty_digits_of_the_epochs_authenticator() {
    for vector in vectors(include_str!("../vectors/code.json")).as_array().expect("a list") {
        assert_eq!(SafetyCode::of(&bytes(vector, "authenticator")).to_string(), text(vector, "code"));
    }
}

#[test]
fn what_a_call_agrees_on_has_one_spelling() {
    let vector = vectors(include_str!("../vectors/call.json"));
    let group_id = bytes(&vector, "group_id");
    let genesis = genesis_hash(&group_id);
    assert_eq!(hex(&genesis), text(&vector, "genesis"));
    let room = RoomId::new(group_id[..16].try_into().expect("16 bytes"));
    let call = Call { room, instance: Instance(number(&vector, "instance")), genesis };
    let bind = Bind { call, seq: 7, commitment: [24; 32] };
    assert_eq!(hex(&bind.encode()), text(&vector, "bind"));
    assert_eq!(hex(&Profile::named("name").encode()), text(&vector, "profile"));

    let leaf = SigningKey::from_seed(fixed(&vector["leave"], "seed"));
    let note = LeaveNote::sign(&leaf, &call, Leaf(number(&vector["leave"], "leaf")));
    assert_eq!(hex(&note.encode()), text(&vector["leave"], "note"));
    assert!(note.verify(&call) && !note.verify(&Call { instance: Instance(4), ..call }));

    let founder = SigningKey::from_seed([1; 32]);
    let profile = Profile::named("x").by_founder(&founder, &call, &leaf.verifying_key());
    assert_eq!(profile.host.map(|word| hex(word.as_bytes())).as_deref(), Some(text(&vector["host"], "signature")));
    assert!(profile.is_host(&founder.verifying_key(), &call, &leaf.verifying_key()));
    assert!(!profile.is_host(&founder.verifying_key(), &call, &founder.verifying_key()));

    assert_eq!(knock_code(&leaf.verifying_key()), text(&vector, "knock_code"));
    let keys = vector["roster"]["keys"].as_array().expect("a list").iter();
    let mut keys: Vec<_> =
        keys.map(|key| VerifyingKey::new(unhex(key.as_str().expect("hex")).try_into().expect("32 bytes"))).collect();
    assert_eq!(hex(&roster_hash(keys.clone())), text(&vector["roster"], "hash"));
    keys.reverse();
    assert_eq!(hex(&roster_hash(keys)), text(&vector["roster"], "hash"));

    let step = Delegation::issue(&founder, room, leaf.verifying_key(), 1_000);
    let state = RoomState {
        version: 2,
        mode: Mode::Open,
        generation: Generation(0),
        record: [13; 32],
        hosts: List::new(vec![HostEntry { key: leaf.verifying_key(), delegation: List::new(vec![step]).expect("one") }])
            .expect("one"),
        hub_index: 0,
        hub_term: 0,
        max_members: 50,
        flags: RoomState::CHAT | RoomState::SHARE | RoomState::REVEAL,
        history: 20,
        history_minutes: 30,
        title: Text::cut("title"),
    };
    assert_eq!(hex(&state.encode()), text(&vector, "state"));
    let vote = Vote::sign(&leaf, &call, Leaf(5), founder.verifying_key(), VoteKind::Unseen, 8);
    assert_eq!(hex(&vote.encode()), text(&vector["vote"], "unseen"));
    assert!(vote.verify(&call) && !vote.verify(&Call { instance: Instance(4), ..call }));
    let other = Vote::sign(&leaf, &call, Leaf(5), founder.verifying_key(), VoteKind::Remove, 8);
    assert_eq!(hex(&other.encode()), text(&vector["vote"], "remove"));
    assert!(!Vote { kind: VoteKind::Remove, ..vote.clone() }.verify(&call));
    let head = |seq, time| HubHead {
        room,
        instance: call.instance,
        seq,
        head: Head::new([25; 32]),
        term: 0,
        hub_index: 0,
        time,
        signature: Signature::new([26; 64]),
    };
    let cut = Cut { earlier: head(2, 1), next: head(3, 2), last: head(4, 300_001) };
    let aad = CommitAad {
        version: 1,
        prev_head: Head::new([14; 32]),
        action: Action::Reap,
        notes: List::default(),
        served: List::new(vec![JoinId::new([15; 16])]).expect("one"),
        votes: List::new(vec![vote]).expect("one"),
        cut: Some(cut),
    };
    assert_eq!(hex(&aad.encode()), text(&vector, "aad"));
    let epoch_box = EpochBox {
        generation: Generation(0),
        access: AccessSecret::new([3; 32]),
        link: LinkSecret::new([2; 32]),
        record: [16; 32],
        roster: [17; 32],
        seq: 9,
        retired: List::new(vec![RetiredLink { generation: Generation(0), secret: LinkSecret::new([27; 32]) }]).expect("one"),
    };
    assert_eq!(hex(&epoch_box.spell()), text(&vector, "box"));
    assert_eq!(EpochBox::decode(&Bytes::from(bytes(&vector, "box"))), Ok(epoch_box));
}

#[test]
fn a_fault_note_names_an_entry_and_a_void_word_its_place() {
    let vector = vectors(include_str!("../vectors/fault.json"));
    let instance = Instance(number(&vector, "instance"));
    let call = Call { room: RoomId::new(fixed(&vector, "room")), instance, genesis: fixed(&vector, "genesis") };
    let leaf = SigningKey::from_seed(fixed(&vector, "leaf_seed"));
    let (seq, head) = (u64::from(number(&vector, "seq")), Head::new(fixed(&vector, "head")));
    let note = FaultNote::sign(&leaf, &call, Leaf(number(&vector, "leaf")), seq, head);
    assert_eq!(hex(&note.encode()), text(&vector, "note"));
    assert!(note.verify(&call) && !FaultNote { seq: 9, ..note.clone() }.verify(&call));

    let follows = Head::new(fixed(&vector, "follows"));
    let word = VoidWord::decode(&Bytes::from(bytes(&vector, "word"))).expect("a word");
    let mut again = word.clone();
    again.sign(&leaf, &call, follows);
    assert_eq!(hex(&again.encode()), text(&vector, "word"));
    // Only the founder of the record that it is looked at with makes a host of anybody.
    let drawn = [[1; 32], [2; 32], [3; 32]].concat();
    let addresses = List::new(vec![Text::cut("relay.test:1")]).expect("one");
    let hub = Hub { relay: RelayId::new([1; 32]), addresses };
    let mut record = new_room(&mut Given::new(drawn), vec![hub], 0, 10).expect("a room").record;
    record.founder = VerifyingKey::new(fixed(&vector, "founder"));
    let by = leaf.verifying_key();
    let expected = Word { seq, head, leaves: 3, by, certified: true, faulted: vec![(note.leaf, note.key)] };
    assert_eq!(word.verify(&call, follows, &record), Some(expected.clone()));
    record.founder = by;
    assert_eq!(word.verify(&call, follows, &record), Some(Word { certified: false, ..expected }));
    assert_eq!(word.verify(&call, head, &record), None);
    let access = AccessSecret::new(fixed(&vector, "access")).keys(call.room, Generation(0));
    assert_eq!(access.void, SealKey::new(fixed(&vector, "void_key")));
}

#[test]
fn a_request_is_sealed_to_link_holders_and_within_to_participants() {
    let vector = vectors(include_str!("../vectors/request.json"));
    let drawn = [[1; 32], [2; 32], [3; 32]].concat();
    let addresses = List::new(vec![Text::cut("relay.test:1")]).expect("one");
    let hub = Hub { relay: RelayId::new([1; 32]), addresses };
    let room = new_room(&mut Given::new(drawn), vec![hub], 0, 10).expect("a room");
    let join = room.link.keys_of(&room.record).expect("its link");
    let access = room.access.keys_of(&room.record, None).expect("its secret");
    let id = JoinId::new(fixed(&vector, "id"));
    let instance = Instance(number(&vector, "instance"));
    let mut request = Request {
        id,
        instance,
        kind: RequestKind::Join,
        attempt: u8::try_from(number(&vector, "attempt")).expect("small"),
        key_package: Blob::new(bytes(&vector, "key_package").into()).expect("short"),
        note: None,
        fault: None,
        reply: fixed(&vector, "reply"),
        key: VerifyingKey::new([0; 32]),
        signature: Signature::new([0; 64]),
    };
    request.sign(&SigningKey::from_seed(fixed(&vector, "leaf_seed")));
    assert_eq!(hex(&request.encode()), text(&vector, "plain"));
    let drawn = [bytes(&vector, "ephemeral"), bytes(&vector, "salt")].concat();
    let sealed = request.seal(&mut Given::new(drawn), &join, room.record.room, &room.record.lobby).expect("sealed");
    assert_eq!(hex(sealed.bytes()), text(&vector, "sealed"));
    let opened = Request::open(sealed.bytes(), room.record.room, instance, id, &join, &access).expect("opened");
    assert_eq!(opened, request);
    let another = JoinId::new([0; 16]);
    assert!(Request::open(sealed.bytes(), room.record.room, instance, another, &join, &access).is_err());
    assert!(Request::open(sealed.bytes(), room.record.room, Instance(4), id, &join, &access).is_err());
}

#[test]
fn what_is_signed_under_one_label_does_not_verify_under_another() {
    let key = SigningKey::from_seed([1; 32]);
    let word = key.sign(Label::Host, b"body");
    assert!(key.verifying_key().verify(Label::Host, b"body", &word));
    assert!(!key.verifying_key().verify(Label::Leave, b"body", &word));
}

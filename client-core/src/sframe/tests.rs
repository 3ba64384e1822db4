use aes_gcm::{Aes128Gcm, KeyInit, aead::Aead, aead::Payload};
use conclave_federation::{
    id::{Instance, RoomId, TrackId},
    track::TrackName,
};
use hkdf::Hkdf;
use sha2::Sha256;

use super::*;
use crate::keys::BaseKey;

fn epoch(number: u64) -> Epoch {
    let [.., low] = number.to_be_bytes();
    Epoch { number, base: BaseKey::new([low; 16]) }
}

fn place(group: u64, object: u64) -> ObjectIdentity {
    let name = TrackName { room: RoomId::new([0xaa; 16]), instance: Instance(7), track: TrackId(0x0102_0304_0506_0708) };
    ObjectIdentity { name, group, object, layer: 1, flags: 0 }
}

fn refused(result: Result<Opened, NotOpened>) -> Option<OpenError> {
    match result {
        Ok(_) | Err(NotOpened::Later) => None,
        Err(NotOpened::Refused(why)) => Some(why),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_kid_is_stream_leaf_epoch_from_the_top() {
    let kid = Kid { stream: 0xfe, leaf: 0x0321, epoch_low: 0x7f };
    assert_eq!(kid.get(), Some(0xfe03_217f));
    assert_eq!(Kid::read(0xfe03_217f), Some(kid));
    // The microphone of the first leaf, in a young group, has the shortest.
    assert_eq!(Kid { stream: 0, leaf: 0, epoch_low: 5 }.get(), Some(5));
    assert_eq!(Kid::read(0x1_0000_0000), None);
}

#[test]
fn the_associated_data_is_the_place_in_fixed_width() {
    let expected = concat!(
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", // room
        "00000007",                         // instance
        "0102030405060708",                 // track
        "0000000000000009",                 // group
        "000000000000000b",                 // object
        "01",                               // layer
        "00",                               // flags
    );
    assert_eq!(hex(&place(9, 11).associated_data()), expected);
}

/// RFC 9605, sections 4.4.2 and 4.4.3, written down once more with other crates.
#[test]
fn a_sealed_object_is_what_the_rfc_says() {
    let mut sealer = Sealer::new(0x0102, epoch(0x0203));
    let first = sealer.seal(3, &place(1, 1), b"first").unwrap();
    let object = sealer.seal(3, &place(1, 2), b"second").unwrap();
    let kid: u64 = 0x0301_0203;
    // X=1, KID of four bytes; Y=0, counter 1 in the same byte.
    assert_eq!(hex(object.get(..5).unwrap()), "b103010203");
    assert_eq!(hex(first.get(..5).unwrap()), "b003010203");

    let secret = Hkdf::<Sha256>::new(None, &[0x03; 16]);
    let info = |label: &[u8]| [label, &kid.to_be_bytes(), &[0x00, 0x04]].concat();
    let (mut key, mut nonce) = ([0; 16], [0; 12]);
    secret.expand(&info(b"SFrame 1.0 Secret key "), &mut key).unwrap();
    secret.expand(&info(b"SFrame 1.0 Secret salt "), &mut nonce).unwrap();
    nonce[11] ^= 1;
    let aad = [object.get(..5).unwrap(), &place(1, 2).associated_data()].concat();
    let sealed = Aes128Gcm::new(&key.into()).encrypt(&nonce.into(), Payload { msg: b"second", aad: &aad }).unwrap();
    assert_eq!(hex(object.get(5..).unwrap()), hex(&sealed));
}

#[test]
fn what_is_sealed_opens_once_and_in_its_place_only() {
    let mut sealer = Sealer::new(4, epoch(1));
    let mut opener = Opener::new(epoch(1));
    let object = sealer.seal(0, &place(0, 0), b"hello").unwrap();
    assert_eq!(refused(opener.open(&place(0, 1), &object)), Some(OpenError::Damaged));
    let mut other = place(0, 0);
    other.name.track = TrackId(99);
    assert_eq!(refused(opener.open(&other, &object)), Some(OpenError::Damaged));
    other = place(1, 0);
    assert_eq!(refused(opener.open(&other, &object)), Some(OpenError::Damaged));
    let opened = opener.open(&place(0, 0), &object).ok().unwrap();
    assert_eq!((opened.plain.as_ref(), opened.epoch), (b"hello".as_slice(), 1));
    assert_eq!(opened.kid, Kid { stream: 0, leaf: 4, epoch_low: 1 });
    assert_eq!(refused(opener.open(&place(0, 0), &object)), Some(OpenError::Replayed));
}

#[test]
fn no_counter_comes_twice_under_one_key() {
    let mut sealer = Sealer::new(1, epoch(5));
    let mut seen = std::collections::BTreeSet::new();
    let mut note = |object: &Bytes| {
        let header = SframeHeader::deserialize(object).unwrap();
        assert!(seen.insert((header.key_id(), header.counter())), "a counter came twice");
    };
    for number in 0..20 {
        note(&sealer.seal(0, &place(0, number), b"x").unwrap());
        note(&sealer.seal(1, &place(0, number), b"x").unwrap());
        // The same epoch again, and an older one, must not wind the counters back.
        sealer.advance(epoch(5));
        sealer.advance(epoch(4));
    }
    sealer.advance(epoch(6));
    let object = sealer.seal(0, &place(0, 99), b"x").unwrap();
    note(&object);
    assert_eq!(SframeHeader::deserialize(&object).unwrap().counter(), 0);
}

#[test]
fn a_newer_epoch_waits_and_an_older_one_is_from_before_we_joined() {
    let mut early = Sealer::new(1, epoch(9));
    let before = early.seal(0, &place(0, 0), b"before").unwrap();
    early.advance(epoch(11));
    let ahead = early.seal(0, &place(0, 1), b"ahead").unwrap();
    let mut opener = Opener::new(epoch(10));
    assert_eq!(refused(opener.open(&place(0, 0), &before)), Some(OpenError::BeforeJoin));
    assert!(matches!(opener.open(&place(0, 1), &ahead), Err(NotOpened::Later)));
    opener.advance(Duration::ZERO, epoch(11));
    assert!(opener.open(&place(0, 1), &ahead).is_ok());
}

#[test]
fn replays_are_found_across_an_epoch_change_too() {
    let mut sealer = Sealer::new(1, epoch(1));
    let mut opener = Opener::new(epoch(1));
    let object = sealer.seal(0, &place(0, 0), b"x").unwrap();
    assert!(opener.open(&place(0, 0), &object).is_ok());
    opener.advance(Duration::from_secs(1), epoch(2));
    opener.expire(Duration::from_secs(2));
    assert_eq!(refused(opener.open(&place(0, 0), &object)), Some(OpenError::Replayed));
    opener.expire(Duration::from_secs(6));
    assert_eq!(refused(opener.open(&place(0, 0), &object)), Some(OpenError::LeftEpoch));
    assert!(opener.readers.is_empty());
}

#[test]
fn junk_leaves_nothing_behind() {
    let mut opener = Opener::new(epoch(1));
    for leaf in 0..100 {
        let kid = Kid { stream: 1, leaf, epoch_low: 1 }.get().unwrap();
        let header = SframeHeader::new(kid, 0);
        let mut junk = vec![0; header.len()];
        header.serialize(&mut junk).unwrap();
        junk.extend_from_slice(&[0; 40]);
        assert_eq!(refused(opener.open(&place(0, 0), &junk)), Some(OpenError::Damaged));
    }
    for len in 0..5 {
        assert!(matches!(refused(opener.open(&place(0, 0), vec![0xff; len].as_slice())), Some(OpenError::Malformed)));
    }
    assert!(opener.readers.is_empty());
}

#[test]
fn a_padded_object_is_as_long_as_its_bucket_and_comes_back_as_it_was() {
    let mut sealer = Sealer::new(3, epoch(1));
    let mut opener = Opener::new(epoch(1));
    for object in 0..400u64 {
        let plain = vec![9; usize::try_from(object * 3).unwrap()];
        let sealed = sealer.seal_padded(CONTROL_STREAM, &place(1, object), &plain).unwrap();
        assert!([256, 512, 1_024, 2_048].contains(&sealed.len()), "{}", sealed.len());
        let Ok(opened) = opener.open(&place(1, object), &sealed) else { panic!("object {object} is not opened") };
        assert_eq!(unpad(&opened.plain), Ok(plain.into()));
    }
}

#[test]
fn padding_is_zeros_and_the_length_fits() {
    let padded = |len: u32, rest: &[u8]| unpad(&[&len.to_be_bytes(), rest].concat().into());
    assert_eq!(padded(2, b"ab\0\0"), Ok(Bytes::from_static(b"ab")));
    assert_eq!(padded(0, b""), Ok(Bytes::new()));
    assert_eq!(padded(2, b"ab\0x"), Err(Malformed::Value("padding")));
    assert!(padded(5, b"abcd").is_err() && padded(u32::MAX, b"abcd").is_err());
    assert!(unpad(&Bytes::from_static(b"\0\0\0")).is_err());
}

/// Appendix C.3 of RFC 9605: its KID is one of ours, its metadata is not a place, so the wrapper is taken one layer below places.
#[test]
fn the_vector_of_rfc_9605_seals_and_opens_through_this_wrapper() {
    let vector: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/rfc9605.json")).unwrap();
    let bytes = |name: &str| unhex(vector[name].as_str().unwrap());
    let (raw, counter) = (vector["kid"].as_u64().unwrap(), vector["ctr"].as_u64().unwrap());
    assert_eq!(vector["cipher_suite"].as_u64(), Some(4));
    let kid = Kid::read(raw).unwrap();
    assert_eq!((kid, kid.get()), (Kid { stream: 0, leaf: 1, epoch_low: 0x23 }, Some(raw)));
    let base = BaseKey::new(bytes("base_key").try_into().unwrap());
    let mut reader = Reader::new(raw, &base).unwrap();
    assert_eq!(reader.open(&bytes("ct"), &bytes("metadata")).unwrap(), bytes("pt"));
    assert_eq!(reader.open(&bytes("ct"), &bytes("metadata")), Err(OpenError::Replayed));
    for name in ["ct", "metadata"] {
        let mut reader = Reader::new(raw, &base).unwrap();
        let (mut object, mut metadata) = (bytes("ct"), bytes("metadata"));
        let wrong = if name == "ct" { &mut object } else { &mut metadata };
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(reader.open(&object, &metadata), Err(OpenError::Damaged), "one bit of {name}");
    }
    let mut writer = Writer::new(raw, &base).unwrap();
    for _ in 0..counter {
        writer.seal(&[], &[]).unwrap();
    }
    let (sealed_as, object) = writer.seal(&bytes("metadata"), &bytes("pt")).unwrap();
    assert_eq!((sealed_as, hex(&object)), (counter, vector["ct"].as_str().unwrap().to_owned()));
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// In GCM's field: the first bit of the first byte is the constant term.
fn times(left: u128, right: u128) -> u128 {
    let (mut product, mut shifted) = (0, left);
    for bit in (0..128).rev() {
        if right >> bit & 1 == 1 {
            product ^= shifted;
        }
        let carry = shifted & 1;
        shifted >>= 1;
        if carry == 1 {
            shifted ^= 0xe1 << 120;
        }
    }
    product
}

/// Isobe, Ito, Minematsu, ESORICS 2021: whoever has the key makes another ciphertext with the same tag. It opens here as it
/// would anywhere, so words have to be about all of the ciphertext.
#[test]
fn an_insider_makes_another_frame_with_the_same_counter_and_tag_and_its_digest_is_another() {
    use aes_gcm::aes::{Aes128, cipher::BlockEncrypt};

    let plain = [0x11; 48];
    let object = Sealer::new(1, epoch(1)).seal(0, &place(0, 0), &plain).unwrap();
    let kid = Kid { stream: 0, leaf: 1, epoch_low: 1 }.get().unwrap();
    let mut key = [0; 16];
    let info = [b"SFrame 1.0 Secret key ".as_slice(), &kid.to_be_bytes(), &[0x00, 0x04]].concat();
    Hkdf::<Sha256>::new(None, &[0x01; 16]).expand(&info, &mut key).unwrap();
    let mut block = [0; 16].into();
    Aes128::new(&key.into()).encrypt_block(&mut block);
    let hash_key = u128::from_be_bytes(block.into());

    // The tag is a sum of blocks times powers of the hash key: what one block adds, the next takes away.
    let mut forged = object.to_vec();
    let start = SframeHeader::deserialize(&object).unwrap().len();
    let (first, second) = (start..start + 16, start + 16..start + 32);
    let change = u128::from_be_bytes([0x5a; 16]);
    for (at, change) in [(first, change), (second, times(change, hash_key))] {
        for (byte, change) in forged[at].iter_mut().zip(change.to_be_bytes()) {
            *byte ^= change;
        }
    }
    let tag = object.len() - 16;
    assert_eq!(forged[tag..], object[tag..], "the same tag");
    assert_eq!(forged[..start], object[..start], "the same KID and counter");
    let opened = Opener::new(epoch(1)).open(&place(0, 0), &forged).ok().unwrap();
    assert_ne!(opened.plain.as_ref(), plain, "it opens to other words");
    let digest = |object: &[u8]| attest::digest(kid, 0, &place(0, 0), object);
    assert_ne!(digest(&forged), digest(&object));
}

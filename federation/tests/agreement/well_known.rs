//! What a relay says of itself to browsers: believed when it is signed by both, and fresh.

use bytes::Bytes;
use conclave_federation::{
    limits::{MAX_ADDRESS, MAX_ADDRESSES, MAX_CERTIFICATES, MAX_OPERATOR_NAME, MAX_WELL_KNOWN, MAX_WELL_KNOWN_LIFE_MS},
    proof::{Label, Signature},
    record::{Address, RelayDescriptor},
    well_known::{WellKnown, WellKnownError},
    wire::{List, Malformed, Wire},
};
use proptest::prelude::*;

use crate::common::{TIME, addresses, descriptor, key, relay, well_known};

const LEEWAY: u64 = 120_000;

fn lasting(issued: u64, expires: u64) -> WellKnown {
    WellKnown::issue(&key(10), descriptor(), issued, expires, List::default())
}

#[test]
fn it_is_believed_from_its_issue_to_its_end_give_or_take_two_minutes() {
    let document = well_known();
    for moment in [document.issued - LEEWAY, document.issued, document.expires, document.expires + LEEWAY] {
        assert_eq!(document.verify(moment), Ok(()));
    }
    for moment in [0, document.issued - LEEWAY - 1, document.expires + LEEWAY + 1, u64::MAX] {
        assert_eq!(document.verify(moment), Err(WellKnownError::Expired), "{moment}");
    }
}

#[test]
fn it_lives_for_two_weeks_at_most_and_never_backwards() {
    assert_eq!(lasting(TIME, TIME + MAX_WELL_KNOWN_LIFE_MS).verify(TIME), Ok(()));
    assert_eq!(lasting(TIME, TIME + MAX_WELL_KNOWN_LIFE_MS + 1).verify(TIME), Err(WellKnownError::Expired));
    assert_eq!(lasting(TIME, TIME - 1).verify(TIME), Err(WellKnownError::Expired));
    assert_eq!(lasting(0, u64::MAX).verify(TIME), Err(WellKnownError::Expired));
}

#[test]
fn nobody_else_signs_for_the_relay_or_its_operator() {
    let another = WellKnown::issue(&key(11), descriptor(), TIME, TIME + 1, List::default());
    assert_eq!(another.verify(TIME), Err(WellKnownError::Signature), "another relay's key");
    let mut unvouched = descriptor();
    unvouched.signature = Signature::new([7; 64]);
    let unvouched = WellKnown::issue(&key(10), unvouched, TIME, TIME + 1, List::default());
    assert_eq!(unvouched.verify(TIME), Err(WellKnownError::Signature), "no operator vouches");
    let mut other_label = well_known();
    other_label.signature = key(10).sign(Label::Descriptor, &other_label.encode()[..other_label.encode().len() - 64]);
    assert_eq!(other_label.verify(TIME), Err(WellKnownError::Signature), "signed for something else");
}

#[test]
fn every_changed_byte_is_noticed() {
    let right = well_known().encode();
    for at in 0..right.len() {
        let mut wrong = right.to_vec();
        wrong[at] ^= 1;
        assert!(WellKnown::read(&Bytes::from(wrong), TIME).is_err(), "byte {at}");
    }
    assert_eq!(WellKnown::read(&right, TIME), Ok(well_known()));
}

#[test]
fn every_truncation_and_every_byte_too_many_is_noticed() {
    let whole = well_known().encode();
    for end in 0..whole.len() {
        assert!(matches!(WellKnown::read(&whole.slice(..end), TIME), Err(WellKnownError::Malformed(_))), "cut at {end}");
    }
    let long = Bytes::from([&whole[..], &[0]].concat());
    assert_eq!(WellKnown::read(&long, TIME), Err(WellKnownError::Malformed(Malformed::Trailing)));
    let huge = Bytes::from(vec![1; MAX_WELL_KNOWN + 1]);
    assert_eq!(WellKnown::read(&huge, TIME), Err(WellKnownError::Malformed(Malformed::TooLong("the document"))));
}

#[test]
fn another_version_is_no_damage() {
    let mut later = well_known();
    later.version = 2;
    assert_eq!(later.verify(TIME), Err(WellKnownError::Unsupported));
    assert_eq!(WellKnown::read(&Bytes::from_static(&[2, 0xff]), TIME), Err(WellKnownError::Unsupported));
}

#[test]
fn five_certificates_are_refused_and_the_longest_document_fits() {
    let mut bytes = WellKnown::issue(&key(10), descriptor(), TIME, TIME + 1, List::default()).encode().to_vec();
    let count = bytes.len() - 64 - 2;
    bytes[count..count + 2].copy_from_slice(&5_u16.to_be_bytes());
    let tail = bytes.split_off(count + 2);
    bytes.extend_from_slice(&[0; 5 * 32]);
    bytes.extend_from_slice(&tail);
    assert!(matches!(WellKnown::read(&Bytes::from(bytes), TIME), Err(WellKnownError::Malformed(Malformed::TooLong(_)))));

    let long = Address::cut(&"x".repeat(MAX_ADDRESS));
    let addresses = List::new(vec![long; MAX_ADDRESSES]).expect("at most four");
    let descriptor = RelayDescriptor::issue(&key(20), relay(10), &"n".repeat(MAX_OPERATOR_NAME), addresses);
    let certificates = List::new(vec![[1; 32]; MAX_CERTIFICATES]).expect("at most four");
    let longest = WellKnown::issue(&key(10), descriptor, TIME, TIME + 1, certificates);
    assert!(longest.encode().len() <= MAX_WELL_KNOWN);
    assert_eq!(WellKnown::read(&longest.encode(), TIME), Ok(longest));
}

proptest! {
    #[test]
    fn it_survives_the_way_there_and_back(
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..=MAX_CERTIFICATES),
        name in ".{0,20}",
        life in 0..=MAX_WELL_KNOWN_LIFE_MS,
    ) {
        let descriptor = RelayDescriptor::issue(&key(20), relay(10), &name, addresses());
        let document = WellKnown::issue(&key(10), descriptor, TIME, TIME + life, List::new(hashes).expect("at most four"));
        prop_assert_eq!(WellKnown::read(&document.encode(), TIME), Ok(document));
    }

    #[test]
    fn random_bytes_are_not_believed_and_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some(first) = bytes.first_mut() {
            *first = WellKnown::VERSION;
        }
        prop_assert!(WellKnown::read(&Bytes::from(bytes), TIME).is_err());
    }
}

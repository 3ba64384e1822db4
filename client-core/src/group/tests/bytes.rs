//! The same seed gives the same bytes: or a failing seed of the simulator would not reproduce.

use conclave_federation::wire::Wire;

use super::world::{World, candidate};
use crate::group::{Leaf, Work};

/// A story with all kinds of commits, as the bytes that left the participants.
fn story(seed: u8) -> Vec<Vec<u8>> {
    let (mut world, mut founder, mut guests) = World::call(seed, 3);
    let mut bytes = Vec::new();
    let back = guests.remove(2).rejoin().expect("a way back");
    let again = candidate(&founder, &back).expect("a good request");
    let (first, second) = guests.split_at_mut(1);
    let built = founder.build(Work::Requests(vec![again])).expect("a commit");
    world.commit(&mut founder, &mut [&mut first[0], &mut second[0]], &built);
    let built = first[0].build(Work::Leaves(vec![(second[0].leave_note(), None)])).expect("a commit");
    world.commit(&mut first[0], &mut [&mut founder], &built);
    let built = founder.build(Work::Reap(vec![Leaf(3)])).expect("a commit");
    world.commit(&mut founder, &mut [&mut first[0]], &built);
    bytes.push(founder.encrypt_chat(b"the end").expect("a message").to_vec());
    bytes.push(first[0].leave_request(1).expect("a request").encode().to_vec());
    bytes.extend(world.hub.entries.iter().map(|entry| entry.encode().to_vec()));
    bytes.extend(world.hub.entries.iter().filter_map(|entry| {
        let id = entry.header.served.first()?;
        Some(world.hub.answer(*id)?.welcome.bytes().to_vec())
    }));
    bytes.push(founder.epoch_authenticator().to_vec());
    bytes
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = story(30);
    assert_eq!(first, story(30));
    assert!(first.iter().zip(story(31)).all(|(one, other)| *one != other));
}

//! The same seed gives the same bytes: or a failing seed of the simulator would not reproduce.

use conclave_federation::wire::Wire;

use super::world::{World, candidate};
use crate::group::{Group, Leaf, Work};

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
    let built = founder.build(Work::Reap { leaves: vec![Leaf(3)], votes: Vec::new() }).expect("a commit");
    world.commit(&mut founder, &mut [&mut first[0]], &built);
    let changes = vec![crate::group::HostChange::Name(first[0].me())];
    let built = founder.build(Work::Hosts { changes, expires: u64::MAX }).expect("a commit");
    world.commit(&mut founder, &mut [&mut first[0]], &built);
    let built = first[0].build(Work::Rotate).expect("a commit");
    world.commit(&mut first[0], &mut [&mut founder], &built);
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

/// The library seals to many at once on several threads: with 33 people there is work for all of them. And it keeps Removes
/// in a hash map: here are several in one commit.
fn crowd(seed: u8) -> Vec<Vec<u8>> {
    let (mut world, mut founder, mut guests) = World::call(seed, 32);
    let reap = |world: &mut World, founder: &mut Group, guests: &mut [Group], leaves: &[u32]| {
        let leaves: Vec<_> = leaves.iter().copied().map(Leaf).collect();
        let built = founder.build(Work::Reap { leaves: leaves.clone(), votes: Vec::new() }).expect("a commit");
        let mut others: Vec<_> = guests.iter_mut().filter(|guest| !leaves.contains(&guest.me())).collect();
        world.commit(founder, &mut others, &built);
    };
    reap(&mut world, &mut founder, &mut guests, &[3]);
    guests.retain(|guest| guest.me() != Leaf(3));
    reap(&mut world, &mut founder, &mut guests, &[30, 17, 9]);
    guests.truncate(7);
    let back: Vec<_> = (0..3).map(|_| guests.remove(1).rejoin().expect("a way back")).collect();
    let again = back.iter().map(|joining| candidate(&founder, joining).expect("a good request")).collect();
    let built = founder.build(Work::Requests(again)).expect("a commit");
    assert_eq!(built.served.len(), 3);
    world.commit(&mut founder, &mut guests.iter_mut().collect::<Vec<_>>(), &built);
    let welcomes = [1, 4].map(|at| {
        let id = world.hub.entries[at].header.served.first().copied().expect("served");
        world.hub.answer(id).expect("served").welcome.bytes().to_vec()
    });
    world.hub.entries.iter().map(|entry| entry.encode().to_vec()).chain(welcomes).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = story(30);
    assert!(first == story(30), "one seed, two stories");
    assert!(first.iter().zip(story(31)).all(|(one, other)| *one != other));
}

#[test]
fn regression_the_order_of_the_librarys_threads_and_maps_is_not_in_the_bytes() {
    let first = crowd(32);
    for _ in 0..4 {
        assert!(first == crowd(32), "one seed, two crowds");
    }
}

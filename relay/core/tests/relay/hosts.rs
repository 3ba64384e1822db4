//! What a hub does on a host's word, and what it states for somebody in the room.

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, JoinId, TrackId},
    proof::{HostProof, Label, SigningKey},
    wire::{
        Blob, List,
        code::Code,
        message::{Answer, Decline, Request, Stamp, Start},
    },
};
use conclave_relay_core::stats::Limit;

use crate::{
    room::Room,
    world::{World, relay_id},
};

fn decline(room: &Room, relay: usize, id: u8, by: &SigningKey) -> Request {
    let id = JoinId::new([id; 16]);
    let claim = Decline::claim(room.id, room.instance, id, b"sealed note");
    Request::Decline(Decline {
        via: room.via(Some(relay_id(relay))),
        room: room.id,
        instance: room.instance,
        id,
        note: Blob::new(Bytes::from_static(b"sealed note")).unwrap(),
        proof: HostProof::sign(Label::Decline, &claim, by, List::default()),
    })
}

fn stamp(room: &Room, relay: usize, digest: [u8; 32]) -> Request {
    Request::Stamp(Stamp { via: room.via(Some(relay_id(relay))), room: room.id, instance: room.instance, digest })
}

#[test]
fn who_is_declined_hears_the_note_at_once_and_again_after_a_reconnect() {
    let mut world = World::new(3);
    let (room, _) = world.call(0);
    let host = world.member(1, &room);
    let joiner = world.client(2);
    let mut knock = room.knock(9, b"let me in", world.unix());
    knock.via = room.via(Some(relay_id(2)));
    let tag = world.begin(joiner, Request::Join(knock.clone()));
    assert_eq!(world.ask(host, decline(&room, 1, 9, &room.founder)), Answer::Done(()));
    let note = Blob::new(Bytes::from_static(b"sealed note")).unwrap();
    assert_eq!(world.answer(joiner, tag), Some(Answer::Declined(note.clone())));
    // The same request, from elsewhere; and the same refusal, by another host perhaps.
    let again = world.client(0);
    knock.via = None;
    assert_eq!(world.ask(again, Request::Join(knock.clone())), Answer::Declined(note));
    assert_eq!(world.ask(host, decline(&room, 1, 9, &room.founder)), Answer::Done(()));
    assert_eq!((world.stats(0).joins.declined, world.stats(0).joins.resumed), (1, 1));
    // Who comes later does not see it any more.
    let late = world.member(0, &room);
    let requests = world.subscribe(late, &room, TrackId::REQUESTS.0, Start::From(0));
    assert!(world.clients[late].reliable_of(requests).is_empty());
    // Two minutes later it is forgotten, and it is too old to be made again.
    world.pass(Duration::from_secs(125));
    assert_eq!(world.refused(again, Request::Join(knock)), Code::EXPIRED);
    assert_eq!(world.refused(host, decline(&room, 1, 9, &room.founder)), Code::UNANSWERED);
}

#[test]
fn only_a_host_declines_and_only_what_is_open() {
    let mut world = World::new(2);
    let (mut room, member) = world.call(0);
    let joiner = world.client(0);
    let tag = world.begin(joiner, Request::Join(room.knock(9, b"let me in", world.unix())));
    let nobody = SigningKey::from_seed([90; 32]);
    assert_eq!(world.refused(member, decline(&room, 0, 9, &nobody)), Code::BAD_PROOF);
    let Request::Decline(mut other_note) = decline(&room, 0, 9, &room.founder) else { unreachable!() };
    other_note.note = Blob::new(Bytes::from_static(b"another note")).unwrap();
    assert_eq!(world.refused(member, Request::Decline(other_note)), Code::BAD_PROOF);
    for outside in [world.client(0), world.client(1)] {
        let relay = usize::from(world.clients[outside].relay != Some(relay_id(0)));
        assert_eq!(world.refused(outside, decline(&room, relay, 9, &room.founder)), Code::NOT_ATTACHED);
    }
    room.instance = Instance(2);
    assert_eq!(world.refused(member, decline(&room, 0, 9, &room.founder)), Code::WRONG_INSTANCE);
    room.instance = Instance(1);
    assert_eq!(world.refused(member, decline(&room, 0, 8, &room.founder)), Code::UNANSWERED, "no such request");
    assert!(world.answer(joiner, tag).is_none(), "none of these touched the request");
    let id = JoinId::new([9; 16]);
    assert!(matches!(world.append(member, &mut room, b"add", vec![id]), Answer::Appended(_)));
    assert!(matches!(world.answer(joiner, tag), Some(Answer::Admitted(_))));
    assert_eq!(world.refused(member, decline(&room, 0, 9, &room.founder)), Code::CONFLICT);
    assert_eq!(world.stats(0).joins.declined, 0);
}

#[test]
fn checking_hosts_words_is_rationed() {
    let mut world = World::new(1);
    let (room, member) = world.call(0);
    let nobody = SigningKey::from_seed([90; 32]);
    let codes: Vec<_> = (0..20).map(|id| world.refused(member, decline(&room, 0, id, &nobody))).collect();
    assert_eq!(codes.iter().filter(|code| **code == Code::BAD_PROOF).count(), 16);
    assert!(codes[16..].iter().all(|code| *code == Code::RATE));
    let other = world.member(0, &room);
    assert_eq!(world.refused(other, decline(&room, 0, 1, &nobody)), Code::BAD_PROOF, "another one has a share of their own");
}

#[test]
fn a_hub_stamps_a_digest_with_its_time_for_who_is_inside() {
    let mut world = World::new(2);
    let (mut room, _) = world.call(0);
    let far = world.member(1, &room);
    let unix = world.unix();
    let Answer::Stamped(stamped) = world.ask(far, stamp(&room, 1, [5; 32])) else { panic!("stamped") };
    assert_eq!(stamped.time, unix);
    assert!(stamped.verify(relay_id(0), room.id, room.instance, &[5; 32]));
    assert!(!stamped.verify(relay_id(0), room.id, room.instance, &[6; 32]), "of that digest alone");
    assert!(!stamped.verify(relay_id(1), room.id, room.instance, &[5; 32]), "the hub's word, not the entry relay's");
    for outside in [world.client(0), world.client(1)] {
        let relay = usize::from(world.clients[outside].relay != Some(relay_id(0)));
        assert_eq!(world.refused(outside, stamp(&room, relay, [5; 32])), Code::NOT_ATTACHED);
    }
    room.instance = Instance(2);
    assert_eq!(world.refused(far, stamp(&room, 1, [5; 32])), Code::WRONG_INSTANCE);
    assert_eq!((world.stats(0).stamps.given, world.stats(0).stamps.refused), (1, 1));
    assert_eq!(world.stats(1).stamps.refused, 2);
}

#[test]
fn stamps_are_rationed_for_each_session_and_for_each_room() {
    let mut world = World::new(1);
    let (room, member) = world.call(0);
    let given = |world: &mut World, who: usize| {
        (0..10).filter(|digest| matches!(world.ask(who, stamp(&room, 0, [*digest; 32])), Answer::Stamped(_))).count()
    };
    assert_eq!(given(&mut world, member), 5);
    let others: Vec<_> = (0..4).map(|_| world.member(0, &room)).collect();
    let sum: usize = others.iter().map(|other| given(&mut world, *other)).sum();
    assert_eq!(sum, 15, "twenty at once in the room");
    assert!(world.stats(0).hits(Limit::Stamps) > 20);
    world.pass(Duration::from_secs(1));
    assert_eq!(given(&mut world, member), 1);
}

//! Between relays: who may link, what a link lost and found again means, what strangers on a link may not do.

use std::{collections::BTreeSet, time::Duration};

use conclave_federation::{
    id::{OperatorId, RelayId, TrackId},
    peering::Policy,
    session::Local,
    track::Class,
    wire::{
        List,
        code::Code,
        message::{Answer, Attach, Detach, Notice, Present, Publish, Request, Resolve, Start, Subscribe},
    },
};

use crate::{
    room::Room,
    rooms::listed,
    world::{World, config, local, operator_key, relay_id},
};

const VOICE: u64 = 100;

/// A relay that says what it is told, over one link.
pub(crate) struct Rogue {
    /// As which client the world drives it.
    pub(crate) client: usize,
    id: RelayId,
}

impl Rogue {
    /// Links with relay `to` as relay `as_relay`.
    pub(crate) fn link(world: &mut World, to: usize, as_relay: usize) -> Self {
        let client = world.client_as(to, &Local::Relay(Box::new(local(as_relay))));
        Self { client, id: relay_id(as_relay) }
    }

    pub(crate) fn present(&mut self, world: &mut World, room: &Room) {
        let capability = room.capability(self.id, world.unix() + 1_000_000);
        let present = Present { capability, attached: true };
        assert_eq!(world.ask(self.client, Request::Present(present)), Answer::Done(()));
    }

    pub(crate) fn ask(&mut self, world: &mut World, request: Request) -> Answer {
        world.ask(self.client, request)
    }

    pub(crate) fn refused(&mut self, world: &mut World, request: Request) -> Code {
        world.refused(self.client, request)
    }
}

fn closed(world: &World, client: usize) -> Option<Code> {
    world.clients[client].closed.as_ref().map(|(code, _)| *code)
}

#[test]
fn relays_that_dial_each_other_at_once_keep_one_link() {
    let world = World::new(3);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        assert!(world.link(a, b).is_some());
        assert!(world.stats(a).link(relay_id(b)).unwrap().up);
    }
    for at in 0..3 {
        assert_eq!(world.stats(at).sessions.link, 2);
    }
}

#[test]
fn a_link_that_was_lost_comes_back_and_everything_on_it() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    let (near_voice, far_voice) =
        (world.publish(founder, &room, VOICE, Class::Datagram), world.publish(far, &room, VOICE + 1, Class::Datagram));
    let chat = world.publish(founder, &room, VOICE + 2, Class::Reliable);
    world.subscribe(far, &room, VOICE, Start::Next);
    world.subscribe(founder, &room, VOICE + 1, Start::Next);
    let heard = world.subscribe(far, &room, VOICE + 2, Start::From(0));
    world.reliable(founder, chat, (0, 0), b"before");
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    assert!(world.link(0, 1).is_none());
    world.datagram(founder, near_voice, 1, b"lost");
    world.reliable(founder, chat, (0, 1), b"meanwhile");
    world.pass(Duration::from_secs(2));
    assert!(world.link(0, 1).is_some());
    world.datagram(founder, near_voice, 2, b"heard");
    world.datagram(far, far_voice, 2, b"heard");
    world.reliable(founder, chat, (0, 2), b"after");
    let groups = |client: usize| world.clients[client].datagrams.iter().map(|(header, _)| header.group).collect::<Vec<_>>();
    assert_eq!((groups(far), groups(founder)), (vec![2], vec![2]));
    assert_eq!(world.clients[far].reliable_of(heard), ["before", "meanwhile", "after"], "nothing reliable is lost or repeated");
    assert!(world.clients[far].ended_tracks().is_empty() && world.clients[founder].ended_tracks().is_empty());
    let mut log = room;
    assert!(matches!(world.append(far, &mut log, b"x", vec![]), Answer::Appended(_)));
}

#[test]
fn a_relay_that_stays_away_takes_its_tracks_with_it_after_a_while() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    world.publish(far, &room, VOICE, Class::Datagram);
    let directory = world.subscribe(founder, &room, TrackId::DIRECTORY.0, Start::Current);
    let alias = world.subscribe(founder, &room, VOICE, Start::Next);
    world.unreachable.insert((0, 1));
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    world.pass(Duration::from_secs(15));
    assert_eq!(listed(&world.clients[founder].reliable_of(directory)), [TrackId(VOICE)]);
    world.pass(Duration::from_secs(10));
    assert!(listed(&world.clients[founder].reliable_of(directory)).is_empty());
    assert_eq!(world.clients[founder].ended_tracks(), [alias]);
}

#[test]
fn who_was_away_while_a_new_call_began_is_told_that_the_old_one_is_over() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    let log = world.subscribe(far, &room, TrackId::LOG.0, Start::From(0));
    world.unreachable.insert((0, 1));
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    world.notify(founder, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    world.pass(Duration::from_secs(25));
    room.instance = conclave_federation::id::Instance(2);
    assert!(matches!(world.ask(founder, Request::Append(room.genesis(b"new"))), Answer::Appended(_)));
    assert!(world.clients[far].ended_tracks().is_empty());
    world.unreachable.clear();
    world.pass(Duration::from_secs(70));
    assert_eq!(world.clients[far].ended_tracks(), [log]);
    assert_eq!(world.stats(1).rooms, 0);
    assert_eq!(world.resolved(far, &room).instance.0, 2);
}

#[test]
fn media_between_followers_goes_on_without_the_hub() {
    let mut world = World::new(3);
    let (room, _founder) = world.call(0);
    let (speaker, listener) = (world.member(1, &room), world.member(2, &room));
    let alias = world.publish(speaker, &room, VOICE, Class::Datagram);
    world.subscribe(listener, &room, VOICE, Start::Next);
    for other in [1, 2] {
        world.unreachable.insert((0, other));
        let (session, _) = world.link(0, other).unwrap();
        world.wires.cut(session);
    }
    world.run();
    world.pass(Duration::from_secs(30));
    world.datagram(speaker, alias, 1, b"still here");
    assert_eq!(world.clients[listener].datagrams.len(), 1);
}

#[test]
fn the_hub_carries_what_has_no_link_of_its_own() {
    // 1 and 2 know the hub and not each other.
    let configs = vec![config(0, &[1, 2]), config(1, &[0]), config(2, &[0])];
    let mut world = World::with(configs);
    let (room, _founder) = world.call(0);
    let (speaker, listener) = (world.member(1, &room), world.member(2, &room));
    let alias = world.publish(speaker, &room, VOICE, Class::Datagram);
    world.subscribe(listener, &room, VOICE, Start::Next);
    world.datagram(speaker, alias, 1, b"by way of the hub");
    assert!(world.link(1, 2).is_none());
    assert_eq!(world.clients[listener].datagrams.len(), 1);
}

#[test]
fn a_request_waits_for_its_link_and_is_told_when_it_does_not_come() {
    let mut world = World::new(2);
    let room = Room::new(1, 40);
    world.unreachable.insert((0, 1));
    let (session, _) = world.link(0, 1).unwrap();
    world.wires.cut(session);
    world.run();
    let client = world.client(0);
    let resolve = Request::Resolve(Resolve { via: room.via(Some(relay_id(0))), room: room.id });
    let tag = world.begin(client, resolve.clone());
    world.pass(Duration::from_secs(2));
    let Some(Answer::Refused(refusal)) = world.answer(client, tag) else { panic!("refused") };
    assert_eq!(refusal.code, Code::UNREACHABLE);
    let tag = world.begin(client, resolve);
    world.unreachable.clear();
    world.pass(Duration::from_secs(5));
    let Some(Answer::Refused(refusal)) = world.answer(client, tag) else { panic!("answered by the hub") };
    assert_eq!(refusal.code, Code::UNKNOWN_ROOM);
}

#[test]
fn an_operator_that_policy_refuses_gets_no_link() {
    let mut configs = vec![config(0, &[1]), config(1, &[0])];
    let stranger = OperatorId::new(*operator_key(1).verifying_key().as_bytes());
    configs[0].policy = Policy::Deny(BTreeSet::from([stranger]));
    let mut world = World::with(configs);
    world.pass(Duration::from_secs(5));
    assert!(world.link(0, 1).is_none());
    assert_eq!(world.stats(0).sessions.link, 0);
    assert!(world.stats(0).sessions_closed["policy"] >= 2, "whoever dials");
    assert!(world.stats(0).sessions_closed["policy"] < 20, "and with pauses");
}

#[test]
fn a_relay_that_does_not_prove_its_key_is_closed() {
    let mut world = World::new(1);
    let mut impostor = local(5);
    impostor.key = local(6).key;
    let client = world.client_as(0, &Local::Relay(Box::new(impostor)));
    assert_eq!(closed(&world, client), Some(Code::UNPROVEN));
    let mut unvouched = local(5);
    unvouched.descriptor.operator = local(6).descriptor.operator;
    let client = world.client_as(0, &Local::Relay(Box::new(unvouched)));
    assert_eq!(closed(&world, client), Some(Code::UNPROVEN));
    assert_eq!(world.stats(0).sessions_opened.link, 0);
}

#[test]
fn without_a_capability_a_relay_gets_nothing_of_a_room() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.publish(founder, &room, VOICE, Class::Datagram);
    let mut rogue = Rogue::link(&mut world, 0, 5);
    let subscribe = |track: TrackId| {
        let path = List::new(vec![relay_id(5)]).unwrap();
        Request::Subscribe(Subscribe { room: room.id, instance: room.instance, track, start: Start::From(0), path })
    };
    let publish = Publish { room: room.id, instance: room.instance, track: TrackId(999), class: Class::Groups, layers: 1 };
    for track in [TrackId::LOG, TrackId::DIRECTORY, TrackId::REQUESTS, TrackId(VOICE)] {
        assert_eq!(rogue.refused(&mut world, subscribe(track)), Code::NOT_ATTACHED);
    }
    assert_eq!(rogue.refused(&mut world, Request::Publish(publish.clone())), Code::NOT_ATTACHED);
    assert_eq!(rogue.refused(&mut world, Request::Append(room.commit(b"x", vec![]))), Code::NOT_ATTACHED);
    let present = |relay, expires| Request::Present(Present { capability: room.capability(relay, expires), attached: true });
    let unix = world.unix();
    assert_eq!(rogue.refused(&mut world, present(relay_id(7), unix + 1_000)), Code::FOREIGN_PROOF);
    assert_eq!(rogue.refused(&mut world, present(relay_id(5), unix - 200_000)), Code::EXPIRED);
    // It does need none to ask what anybody may.
    let resolve = Request::Resolve(Resolve { via: None, room: room.id });
    assert!(matches!(rogue.ask(&mut world, resolve), Answer::Resolved(_)));
    rogue.present(&mut world, &room);
    assert!(matches!(rogue.ask(&mut world, subscribe(TrackId(VOICE))), Answer::Subscribed(_)));
    assert_eq!(rogue.ask(&mut world, Request::Publish(publish)), Answer::Done(()));
}

#[test]
fn a_capability_that_runs_out_ends_what_it_allowed() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.publish(founder, &room, VOICE, Class::Datagram);
    let mut rogue = Rogue::link(&mut world, 0, 5);
    let present = Present { capability: room.capability(relay_id(5), world.unix() + 60_000), attached: true };
    assert_eq!(rogue.ask(&mut world, Request::Present(present)), Answer::Done(()));
    let path = List::new(vec![relay_id(5)]).unwrap();
    let subscribe = Subscribe { room: room.id, instance: room.instance, track: TrackId(VOICE), start: Start::Next, path };
    assert!(matches!(rogue.ask(&mut world, Request::Subscribe(subscribe.clone())), Answer::Subscribed(_)));
    world.pass(Duration::from_secs(182));
    assert_eq!(world.clients[rogue.client].ended_tracks().len(), 1);
    assert_eq!(rogue.refused(&mut world, Request::Subscribe(subscribe)), Code::NOT_ATTACHED);
}

#[test]
fn a_follower_renews_its_capability_with_its_clients() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    let alias = world.publish(founder, &room, VOICE, Class::Datagram);
    world.subscribe(far, &room, VOICE, Start::Next);
    for _ in 0..5 {
        world.pass(Duration::from_secs(900));
        let fresh = room.capability(relay_id(1), world.unix() + 1_800_000);
        assert_eq!(world.ask(far, Request::Renew(fresh)), Answer::Done(()));
    }
    world.datagram(founder, alias, 1, b"after more than an hour");
    assert_eq!(world.clients[far].datagrams.len(), 1);
    let stranger = world.client(1);
    let fresh = room.capability(relay_id(1), world.unix() + 1_800_000);
    assert_eq!(world.refused(stranger, Request::Renew(fresh)), Code::NOT_ATTACHED);
}

/// Whether the hub serves a follower of the call: what the second of two who came together says is heard.
fn is_served(world: &mut World, room: &Room, founder: usize, late: usize) -> bool {
    world.publish(late, room, VOICE, Class::Datagram);
    let directory = world.subscribe(founder, room, TrackId::DIRECTORY.0, Start::Current);
    listed(&world.clients[founder].reliable_of(directory)) == [TrackId(VOICE)]
}

#[test]
fn regression_who_is_lost_while_attaching_does_not_take_the_next_one_along() {
    // Two clients of a relay attached at once. The session of the first broke before the hub's answer, so the relay told the
    // hub that nobody was there, though the second's capability was on its way already: it was let in on an answer from
    // before that word, and nothing that it published was listed, ever.
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let (first, second) = (world.client(1), world.client(1));
    for client in [first, second] {
        world.resolved(client, &room);
    }
    let tags = [first, second].map(|client| {
        let attach = room.attach(&world.clients[client], world.unix());
        world.send(client, Request::Attach(attach))
    });
    let session = world.clients[first].key.unwrap();
    world.wires.cut(session);
    world.run();
    assert_eq!(world.answer(first, tags[0]), None);
    assert_eq!(world.answer(second, tags[1]), Some(Answer::Done(())));
    assert!(is_served(&mut world, &room, founder, second));
}

#[test]
fn regression_who_leaves_does_not_take_along_whom_the_hub_is_being_asked_for() {
    // The same with a first client that was let in, and left again before the hub's word on the second had come.
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let (first, second) = (world.client(1), world.client(1));
    for client in [first, second] {
        world.resolved(client, &room);
    }
    let tags = [first, second].map(|client| {
        let attach = room.attach(&world.clients[client], world.unix());
        world.send(client, Request::Attach(attach))
    });
    while world.stats(1).attached == 0 {
        world.steps(1);
    }
    world.say(first, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    world.wires.hurry();
    world.steps(1);
    assert_eq!((world.stats(1).attached, world.answer(second, tags[1])), (0, None));
    world.run();
    assert_eq!(world.answer(second, tags[1]), Some(Answer::Done(())));
    assert!(is_served(&mut world, &room, founder, second));
}

#[test]
fn the_hub_hears_that_nobody_is_there_when_all_who_attached_are_gone() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let clients = [world.client(1), world.client(1)];
    for client in clients {
        world.resolved(client, &room);
    }
    for client in clients {
        let attach = room.attach(&world.clients[client], world.unix());
        world.send(client, Request::Attach(attach));
    }
    for client in clients {
        let session = world.clients[client].key.unwrap();
        world.wires.cut(session);
    }
    world.notify(founder, Notice::Detach(Detach { room: room.id, instance: room.instance }));
    assert!(!world.resolved(founder, &room).occupied);
    assert_eq!(world.stats(1).rooms, 0);
}

#[test]
fn a_follower_whose_capability_had_run_out_announces_again_what_is_published_there() {
    let mut world = World::new(2);
    let (room, founder) = world.call(0);
    let far = world.client(1);
    world.resolved(far, &room);
    let mut attach = room.attach(&world.clients[far], world.unix());
    attach.capability = room.capability(relay_id(1), world.unix() + 60_000);
    assert_eq!(world.ask(far, Request::Attach(attach)), Answer::Done(()));
    let directory = world.subscribe(founder, &room, TrackId::DIRECTORY.0, Start::Current);
    world.publish(far, &room, VOICE, Class::Datagram);
    world.pass(Duration::from_secs(182));
    world.publish(far, &room, VOICE + 1, Class::Datagram);
    assert_eq!(listed(&world.clients[founder].reliable_of(directory)), [TrackId(VOICE)]);
    let fresh = room.capability(relay_id(1), world.unix() + 1_800_000);
    assert_eq!(world.ask(far, Request::Renew(fresh)), Answer::Done(()));
    world.pass(Duration::from_secs(60));
    assert_eq!(listed(&world.clients[founder].reliable_of(directory)), [TrackId(VOICE), TrackId(VOICE + 1)]);
}

#[test]
fn clients_do_not_act_as_relays_nor_relays_as_clients() {
    let mut world = World::new(1);
    let (room, _founder) = world.call(0);
    let client = world.client(0);
    let present = Present { capability: room.capability(relay_id(0), world.unix() + 1_000), attached: true };
    world.begin(client, Request::Present(present));
    assert_eq!(closed(&world, client), Some(Code::VIOLATION));
    let rogue = Rogue::link(&mut world, 0, 5);
    let other = world.client(0);
    let attach: Attach = room.attach(&world.clients[other], world.unix());
    world.begin(rogue.client, Request::Attach(attach));
    assert_eq!(closed(&world, rogue.client), Some(Code::VIOLATION));
    let ender = world.client(0);
    world.notify(ender, Notice::Ended(conclave_federation::id::Alias::new(1)));
    assert_eq!(closed(&world, ender), Some(Code::VIOLATION));
}

#[test]
fn a_relay_passes_on_what_clients_ask_and_nothing_for_relays() {
    let mut world = World::new(2);
    let room = Room::new(1, 40);
    let mut rogue = Rogue::link(&mut world, 0, 5);
    let resolve = Request::Resolve(Resolve { via: room.via(Some(relay_id(0))), room: room.id });
    assert_eq!(rogue.refused(&mut world, resolve), Code::UNSUPPORTED);
}

#[test]
fn another_relay_does_not_end_or_take_tracks_that_are_not_its_own() {
    let mut world = World::new(1);
    let (room, founder) = world.call(0);
    world.publish(founder, &room, VOICE, Class::Datagram);
    let directory = world.subscribe(founder, &room, TrackId::DIRECTORY.0, Start::Current);
    let mut rogue = Rogue::link(&mut world, 0, 5);
    rogue.present(&mut world, &room);
    let (id, instance) = (room.id, room.instance);
    let unpublish = conclave_federation::wire::message::Unpublish { room: id, instance, track: TrackId(VOICE) };
    world.notify(rogue.client, Notice::Unpublish(unpublish));
    let publish = Publish { room: id, instance, track: TrackId(VOICE), class: Class::Groups, layers: 1 };
    assert_eq!(rogue.refused(&mut world, Request::Publish(publish)), Code::EXISTS);
    assert_eq!(listed(&world.clients[founder].reliable_of(directory)), [TrackId(VOICE)]);
}

#[test]
fn the_same_inputs_and_seed_give_the_same_bytes() {
    let story = || {
        let mut world = World::new(3);
        let (room, founder) = world.call(0);
        let members: Vec<_> = (0..6).map(|at| world.member(at % 3, &room)).collect();
        let alias = world.publish(founder, &room, VOICE, Class::Datagram);
        let mut aliases = vec![alias.get()];
        for member in members {
            aliases.push(world.subscribe(member, &room, VOICE, Start::Next).get());
        }
        let (session, _) = world.link(0, 1).unwrap();
        world.wires.cut(session);
        world.pass(Duration::from_secs(10));
        (aliases, world.wires.sent.clone(), world.stats(0).clone(), world.stats(2).clone())
    };
    assert_eq!(story(), story());
}

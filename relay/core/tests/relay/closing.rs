//! An operator closes a room: whoever is in it or wants to hears why, and nobody looks inside.

use conclave_federation::{
    id::{Instance, TrackId},
    track::Class,
    wire::{
        code::Code,
        message::{Answer, Request, Resolve, Start},
    },
};
use conclave_relay_core::{
    Closure, Order, StoreFailed, Write,
    order::{MAX_REASON, Obeyed, OrderError, Role, RoomName},
};

use crate::{
    room::Room,
    world::{Store, World},
};

const WHY: &str = "it was used for threats";

fn name(room: &Room) -> RoomName {
    RoomName::parse(&digits(room)).unwrap()
}

fn digits(room: &Room) -> String {
    room.id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn close(world: &mut World, relay: usize, room: &Room) -> Result<Obeyed, OrderError> {
    obey(world, relay, Order::Close { room: name(room), reason: WHY.to_owned() })
}

fn reopen(world: &mut World, relay: usize, room: &Room) -> Result<Obeyed, OrderError> {
    obey(world, relay, Order::Reopen { room: name(room) })
}

fn obey(world: &mut World, relay: usize, order: Order) -> Result<Obeyed, OrderError> {
    let key = world.order(relay, order);
    world.run();
    world.obeyed.remove(&key).expect("an outcome")
}

/// Refused as closed, with the operator's words.
fn assert_closed(world: &mut World, client: usize, request: Request) {
    let Answer::Refused(refusal) = world.ask(client, request) else { panic!("refused") };
    assert_eq!(refusal.code, Code::CLOSED);
    let words = refusal.words.as_str();
    assert!(words.contains(WHY) && words.contains("If that is a mistake, ask them: an operator"), "{words}");
}

#[test]
fn a_closed_room_s_call_is_over_and_everything_in_it_is_refused_with_the_operator_s_words() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    let member = world.member(0, &room);
    let log = world.subscribe(member, &room, TrackId::LOG.0, Start::From(0));
    let voice = world.publish(founder, &room, 500, Class::Datagram);
    let heard = world.subscribe(member, &room, 500, Start::Next);
    let knocker = world.client(0);
    let knock = world.begin(knocker, Request::Join(room.knock(1, b"me", world.unix())));

    assert_eq!(close(&mut world, 0, &room), Ok(Obeyed::Closed { room: room.id, attached: 2 }));
    assert_eq!(world.stats(0).attached, 0);
    for alias in [log, heard] {
        assert!(world.clients[member].ended_tracks().contains(&alias), "who was in it sees the tracks end");
    }
    assert!(matches!(world.answer(knocker, knock), Some(Answer::Refused(_))), "who waited is answered");
    world.datagram(founder, voice, 1, b"still talking");
    assert!(world.clients[member].datagrams.is_empty(), "nothing is forwarded any more");

    let attach = room.attach(&world.clients[member], world.unix());
    let renew = room.capability(world.clients[member].relay.unwrap(), world.unix() + 60_000);
    let knock = room.knock(2, b"again", world.unix());
    let genesis = {
        room.instance = Instance(2);
        room.genesis(b"again")
    };
    for request in [
        Request::Resolve(Resolve { via: None, room: room.id }),
        room.put(2),
        Request::Attach(attach),
        Request::Renew(renew),
        Request::Append(genesis),
        Request::Join(knock),
        room.subscribe(TrackId::LOG, Start::From(0)),
        room.publish(600, Class::Datagram),
    ] {
        assert_closed(&mut world, member, request);
    }
    assert!(world.clients[member].closed.is_none(), "the session may be in other rooms: it stays");
    let stats = world.stats(0);
    assert_eq!((stats.rooms_closed, stats.rooms_closed_total, stats.rooms_reopened_total), (1, 1, 0));
    assert_eq!(stats.refused.get("closed"), Some(&8));
    assert!(
        world.writes.iter().any(|(_, write)| matches!(write, Write::Forget { instance: Instance(1), .. })),
        "its log is dropped"
    );
}

#[test]
fn a_room_next_to_it_does_not_notice() {
    let mut world = World::new(1);
    let (closed, _) = world.call(0);
    let mut other = Room::new(0, 90);
    let founder = world.client(0);
    world.ask(founder, other.put(1));
    let genesis = other.genesis(b"other");
    assert!(matches!(world.ask(founder, Request::Append(genesis.clone())), Answer::Appended(_)));
    other.follow(&genesis);
    world.attach(founder, &other);
    close(&mut world, 0, &closed).unwrap();
    assert!(matches!(world.append(founder, &mut other, b"goes on", vec![]), Answer::Appended(_)));
    assert_eq!(world.stats(0).attached, 1);
}

#[test]
fn the_relays_that_follow_the_room_are_told_and_pass_the_words_on() {
    let mut world = World::new(3);
    let (room, founder) = world.call(0);
    let far = world.member(1, &room);
    let log = world.subscribe(far, &room, TrackId::LOG.0, Start::From(0));
    world.publish(far, &room, 700, Class::Datagram);
    close(&mut world, 0, &room).unwrap();

    assert!(world.clients[far].ended_tracks().contains(&log), "the end goes along the link");
    assert_eq!((world.stats(1).attached, world.stats(1).rooms), (0, 0), "the follower has left the room");
    assert_closed(&mut world, far, room.subscribe(TrackId::LOG, Start::From(0)));
    let attach = room.attach(&world.clients[far], world.unix());
    assert_closed(&mut world, far, Request::Attach(attach));
    // Somebody at a third operator, who hears of it for the first time, and somebody long after.
    let third = world.client(2);
    let via = room.via(world.clients[third].relay);
    assert_closed(&mut world, third, Request::Resolve(Resolve { via: via.clone(), room: room.id }));
    world.pass(std::time::Duration::from_secs(60));
    assert_closed(&mut world, far, Request::Resolve(Resolve { via: via.clone(), room: room.id }));

    reopen(&mut world, 0, &room).unwrap();
    let via = Some(via.unwrap());
    assert!(matches!(world.ask(far, Request::Resolve(Resolve { via, room: room.id })), Answer::Resolved(_)));
    assert!(matches!(world.resolve(founder, &room), Answer::Resolved(_)));
}

#[test]
fn a_follower_may_close_a_room_for_its_own_clients() {
    let mut world = World::new(2);
    let (mut room, founder) = world.call(0);
    let far = world.member(1, &room);
    assert_eq!(close(&mut world, 1, &room), Ok(Obeyed::Closed { room: room.id, attached: 1 }));
    let via = room.via(world.clients[far].relay);
    assert_closed(&mut world, far, Request::Resolve(Resolve { via, room: room.id }));
    assert!(matches!(world.append(founder, &mut room, b"here it goes on", vec![]), Answer::Appended(_)));
    assert_eq!(world.resolved(founder, &room).seq, 2);
}

#[test]
fn a_closure_survives_a_kill_and_ends_only_by_reopening() {
    let mut world = World::new(1);
    let (mut room, _) = world.call(0);
    close(&mut world, 0, &room).unwrap();
    world.restart(0, &[]);
    let client = world.client(0);
    assert_closed(&mut world, client, Request::Resolve(Resolve { via: None, room: room.id }));
    assert_eq!((world.stats(0).rooms_closed, world.stats(0).rooms_closed_total), (1, 0), "counters begin anew, closures do not");

    assert_eq!(reopen(&mut world, 0, &room), Ok(Obeyed::Reopened { room: room.id }));
    assert_eq!((world.stats(0).rooms_closed, world.stats(0).rooms_reopened_total), (0, 1));
    let resolved = world.resolved(client, &room);
    assert_eq!((resolved.instance, resolved.seq), (Instance(1), 0), "the record is kept, the call is not");
    room.instance = Instance(2);
    assert!(matches!(world.ask(client, Request::Append(room.genesis(b"new"))), Answer::Appended(_)), "the next call may begin");
    world.restart(0, &[]);
    let client = world.client(0);
    assert_eq!(world.resolved(client, &room).instance, Instance(2), "reopened is as durable as closed");
}

#[test]
fn killed_between_the_closure_and_the_end_of_the_log_the_room_is_closed_all_the_same() {
    let mut world = World::new(1);
    let (room, _) = world.call(0);
    close(&mut world, 0, &room).unwrap();
    world.writes.retain(|(_, write)| !matches!(write, Write::Forget { .. }));
    world.restart(0, &[]);
    let client = world.client(0);
    assert_closed(&mut world, client, Request::Resolve(Resolve { via: None, room: room.id }));
    assert!(world.writes.iter().any(|(_, write)| matches!(write, Write::Forget { .. })), "what was left is dropped now");
    reopen(&mut world, 0, &room).unwrap();
    assert_eq!(world.resolved(client, &room).seq, 0);
}

#[test]
fn what_was_being_written_while_the_room_was_closed_is_refused() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    world.store = Store::Holds;
    let entries: Vec<_> =
        [b"one".as_slice(), b"two"].iter().map(|body| world.begin(founder, Request::Append(room.commit(body, vec![])))).collect();
    let key = world.order(0, Order::Close { room: name(&room), reason: WHY.to_owned() });
    // The closure is durable before the entry is.
    world.held.rotate_left(1);
    world.confirm_next(Ok(()));
    assert!(matches!(world.obeyed.remove(&key), Some(Ok(Obeyed::Closed { .. }))));
    world.confirm_next(Ok(()));
    for tag in entries {
        let Some(Answer::Refused(refusal)) = world.answer(founder, tag) else { panic!("refused") };
        assert_eq!(refusal.code, Code::CLOSED);
    }
    world.store = Store::Works;
    while !world.held.is_empty() {
        world.confirm_next(Ok(()));
    }
    reopen(&mut world, 0, &room).unwrap();
    room.instance = Instance(2);
    assert!(matches!(world.ask(founder, Request::Append(room.genesis(b"next"))), Answer::Appended(_)));
}

#[test]
fn an_order_that_cannot_be_kept_changes_nothing() {
    let mut world = World::new(1);
    let (mut room, founder) = world.call(0);
    world.store = Store::Fails;
    let words = "the disk is full: make room".to_owned();
    assert_eq!(close(&mut world, 0, &room), Err(OrderError::Store(words.clone())));
    world.store = Store::Works;
    assert!(matches!(world.append(founder, &mut room, b"goes on", vec![]), Answer::Appended(_)));
    close(&mut world, 0, &room).unwrap();
    world.store = Store::Holds;
    let key = world.order(0, Order::Reopen { room: name(&room) });
    world.confirm_next(Err(StoreFailed { words: words.clone() }));
    assert_eq!(world.obeyed.remove(&key), Some(Err(OrderError::Store(words))));
    assert_closed(&mut world, founder, Request::Resolve(Resolve { via: None, room: room.id }));
}

#[test]
fn orders_that_mean_nothing_are_refused_in_words() {
    let mut world = World::new(1);
    let (room, _) = world.call(0);
    let close = |room: RoomName, reason: &str| Order::Close { room, reason: reason.to_owned() };
    assert_eq!(obey(&mut world, 0, close(name(&room), "")), Err(OrderError::Reason));
    assert_eq!(obey(&mut world, 0, close(name(&room), &"x".repeat(MAX_REASON + 1))), Err(OrderError::Reason));
    let nobody = RoomName::parse("00000000").unwrap();
    assert_eq!(obey(&mut world, 0, close(nobody.clone(), WHY)), Err(OrderError::Unknown));
    assert_eq!(obey(&mut world, 0, Order::Reopen { room: nobody }), Err(OrderError::Unknown));
    assert_eq!(reopen(&mut world, 0, &room), Err(OrderError::NotClosed));
    for error in [OrderError::Name, OrderError::Unknown, OrderError::Ambiguous(2), OrderError::Reason, OrderError::Full] {
        assert!(error.to_string().contains(':'), "says what to do: {error}");
    }
    assert_eq!(world.stats(0).rooms_closed, 0);
}

#[test]
fn the_list_has_rooms_here_and_rooms_that_are_only_closed() {
    let mut world = World::new(2);
    let (room, _) = world.call(0);
    world.member(1, &room);
    let elsewhere = Room::new(0, 70);
    close(&mut world, 1, &elsewhere).expect("all digits need no room here");
    let Ok(Obeyed::Listed(listed)) = obey(&mut world, 1, Order::List) else { panic!("listed") };
    let mut rooms: Vec<_> = listed.iter().map(|room| (room.room, room.role, room.attached, room.closure.is_some())).collect();
    rooms.sort_by_key(|(_, role, ..)| role.is_none());
    assert_eq!(rooms, [(room.id, Some(Role::Follower), 1, false), (elsewhere.id, None, 0, true)]);
    let short = RoomName::parse(&digits(&room)[..8]).unwrap();
    assert_eq!(
        obey(&mut world, 0, Order::Close { room: short, reason: WHY.to_owned() }),
        Ok(Obeyed::Closed { room: room.id, attached: 1 })
    );
    let Ok(Obeyed::Listed(listed)) = obey(&mut world, 0, Order::List) else { panic!("listed") };
    let closure = Closure { room: room.id, reason: WHY.to_owned(), since: world.unix() };
    assert_eq!(listed.first().and_then(|room| room.closure.clone()), Some(closure));
    assert_eq!(listed.first().map(|room| (room.role, room.instance)), Some((Some(Role::Hub), Instance(1))));
}

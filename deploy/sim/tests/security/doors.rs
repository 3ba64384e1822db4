//! The three modes, and links that are not the room's any more.

use conclave_client_core::api::{Command, Mode};
use conclave_sim::{World, check::PersonNo};

use crate::led::{HOST, founded, full, holds, ms, put_out, seconds, told};

fn refused(world: &World, person: PersonNo, why: &str) -> bool {
    world.told(person, &format!("Ended(Failed(Declined {{ reason: {why}")).len() == 1
}

#[test]
fn who_knocks_gets_nothing_until_a_host_at_another_relay_lets_them_in() {
    let mut world = founded(3, 2, Mode::Knock);
    let guest = PersonNo(1);
    world.come_with(guest, 0);
    world.run_until(seconds(20));
    assert_eq!(world.names(HOST), ["person 0"]);
    assert_eq!(world.told(guest, "Waiting").len(), 1, "{}", told(&world));
    assert_eq!(world.last_object(1, conclave_sim::script::Place::Person(1)), None, "not a byte of any object reached them");
    let [caller] = world.callers() else { panic!("one is at the door:\n{}", told(&world)) };
    assert_eq!((caller.name.as_str(), caller.old_link), ("person 1", false));
    let request = caller.request;
    world.order(HOST, Command::Admit { request });
    world.run_until(seconds(22));
    assert_eq!(world.names(guest), ["person 0", "person 1"]);
    assert!(world.callers().is_empty());
    holds(&world);
}

#[test]
fn who_is_refused_hears_it_and_was_never_in() {
    let mut world = founded(2, 2, Mode::Knock);
    let guest = PersonNo(1);
    world.come_with(guest, 0);
    world.run_until(seconds(3));
    let request = world.callers().first().unwrap().request;
    world.order(HOST, Command::Refuse { request });
    world.run_until(seconds(5));
    assert!(refused(&world, guest, "Refused"), "{}", told(&world));
    assert_eq!(world.told(guest, "Joined").len() + world.told(HOST, "ParticipantJoined").len(), 0);
    holds(&world);
}

#[test]
fn a_locked_room_lets_nobody_in_until_it_is_opened() {
    let mut world = founded(2, 3, Mode::Open);
    world.come_with(PersonNo(1), 0);
    world.run_until(seconds(3));
    world.order(HOST, Command::SetMode(Mode::Locked));
    world.run_until(seconds(4));
    world.come_with(PersonNo(2), 0);
    world.run_until(seconds(8));
    assert!(refused(&world, PersonNo(2), "Locked"), "{}", told(&world));
    assert_eq!(world.names(HOST), ["person 0", "person 1"]);
    world.order(HOST, Command::SetMode(Mode::Open));
    world.run_until(seconds(9));
    world.come_with(PersonNo(2), 0);
    world.run_until(seconds(12));
    assert_eq!(world.told(PersonNo(2), "Joined").len(), 1, "{}", told(&world));
    // Nobody answers what was asked while it was locked: whoever asked then has gone.
    assert_eq!(world.names(PersonNo(2)).len(), 3, "{}", told(&world));
    holds(&world);
}

#[test]
fn an_old_link_leads_to_the_waiting_room_of_an_open_room() {
    let mut world = full(3, 3);
    put_out(&mut world, PersonNo(2));
    world.run_until(seconds(7));
    assert_eq!(world.told(PersonNo(2), "Ended(Failed(Removed").len(), 1, "{}", told(&world));
    assert_eq!(world.links().len(), 2);
    world.come_with(PersonNo(2), 0);
    world.run_until(seconds(20));
    assert_eq!(world.names(HOST), ["person 0", "person 1"]);
    assert!(world.callers().iter().any(|caller| caller.host == HOST && caller.old_link), "{}", told(&world));
    let request = world.callers().first().unwrap().request;
    world.order(HOST, Command::Admit { request });
    world.run_until(seconds(20) + ms(1_500));
    assert_eq!(world.names(HOST).len(), 3, "{}", told(&world));
    holds(&world);
}

//! What has to hold in every state that can be reached, and what the honest can always make of it.

use conclave_client_core::group::thread::Thread;

use crate::{
    hub::{Act, Deed, Who, among, entry},
    world::{EXPIRED, State, World},
};

/// Two who are at the same place of the same history are in the same epoch, and so see the same people.
pub(crate) fn agree(world: &World, state: &State) -> bool {
    let mut held: Vec<_> = world.honest().filter_map(|who| state.people[usize::from(who)].in_step()).collect();
    held.sort_by_key(|held| held.thread.position().seq);
    held.iter().enumerate().all(|(at, one)| {
        let same = |other: &&&crate::person::Held| other.thread.position() == one.thread.position();
        held.iter().skip(at + 1).filter(same).all(|other| other.epoch == one.epoch)
    })
}

/// Whoever holds an epoch's secrets is in its roster; and who was evicted before is in none, unless an Add says so.
pub(crate) fn gone_for_good(world: &World, state: &State) -> bool {
    world.honest().all(|who| {
        let person = &state.people[usize::from(who)];
        let Some(held) = person.in_step() else { return true };
        let here = held.epoch();
        if here.known & !here.people() != 0 {
            return false;
        }
        let mut evicted = 0;
        let seen = usize::try_from(held.thread.position().seq).unwrap_or(usize::MAX);
        for made in state.hubs[person.hub].entries.iter().take(seen).skip(2).map(|head| entry(*head)) {
            match made.deed.act {
                Some(Act::Evict(gone)) => evicted |= crate::hub::only(gone),
                Some(Act::Admit(new, _) | Act::Swap(new, _)) => evicted &= !crate::hub::only(new),
                _ => {}
            }
        }
        let on_this_log = made_on(state, person.hub, held.thread.position().head);
        !on_this_log || here.people() & evicted == 0
    })
}

fn made_on(state: &State, hub: usize, head: conclave_federation::id::Head) -> bool {
    state.hubs[hub].entries.contains(&head)
}

/// From here the honest do what they do, the evil one nothing more, and the hub shows one history to all.
fn settled(world: &World, state: &State, hub: usize) -> State {
    let mut state = state.clone();
    // The proof of two histories is seen by all: one of them counts, and who was on the other comes back.
    for who in world.honest() {
        let person = &mut state.people[usize::from(who)];
        person.hub = hub;
        let strayed = person.held.as_ref().is_some_and(|held| {
            let position = held.thread.position();
            state.hubs[hub].entries.get(usize::try_from(position.seq).unwrap_or(0).wrapping_sub(1)) != Some(&position.head)
        });
        if strayed {
            person.held = None;
            person.attempt += 1;
            person.asks = Some(person.attempt);
        }
    }
    for _ in 0..ROUNDS {
        let before = state.clone();
        for who in world.honest() {
            while state.people[usize::from(who)].held.as_ref().is_some_and(|held| behind(&state, hub, &held.thread)) {
                state.deliver(world, who);
            }
            state.answer(who);
        }
        // In step before stuck: hosts wait for a new leaf before they take anything back.
        let committers = world.honest().filter(|who| state.people[usize::from(*who)].in_step().is_some());
        let stuck = world.honest().filter(|who| state.people[usize::from(*who)].stuck().is_some());
        let order: Vec<Who> = committers.chain(stuck).collect();
        let duty = order.iter().find_map(|who| {
            let wanted = |(_, deed): &(_, Deed)| !matches!(deed.act, Some(Act::Update | Act::Evict(_)));
            world.duties(&state, *who).into_iter().find(wanted)
        });
        if let Some((on, deed)) = duty {
            state.offer(hub, on, deed);
        }
        if state == before {
            break;
        }
    }
    state
}

const ROUNDS: usize = 24;

fn behind(state: &State, hub: usize, thread: &Thread) -> bool {
    thread.position().seq < state.hubs[hub].log.position().seq
}

/// Everybody honest who wants to be in is in, in one epoch.
fn in_step(world: &World, state: &State) -> bool {
    let want = |who: &Who| {
        let person = &state.people[usize::from(*who)];
        !person.leaving && (person.held.is_some() || person.asks.is_some())
    };
    let mut epochs = Vec::new();
    for who in world.honest().filter(want) {
        match state.people[usize::from(who)].in_step() {
            Some(held) => epochs.push(held.epoch),
            None => return false,
        }
    }
    epochs.windows(2).all(|pair| pair[0] == pair[1])
}

/// Whether a host who does as they like could have stopped the room: they may end it anyway.
fn stopped(world: &World, state: &State) -> bool {
    // Where all gave up, nobody is left to come back to, and the call begins anew.
    let host = world.honest().any(|who| among(who, world.hosts));
    // A hub that shows two histories, with an insider in both, can always refuse as well.
    let lost = world.may.fork && world.evil.is_some();
    state.seen & EXPIRED != 0 || (!host && world.may.void) || lost
}

pub(crate) fn all_back(world: &World, state: &State) -> bool {
    stopped(world, state) || (0..state.hubs.len()).any(|hub| in_step(world, &settled(world, state, hub)))
}

/// With a live host and a hub that appends, the evil one can be put out, and is then in no epoch that the others hold.
pub(crate) fn can_evict(world: &World, state: &State) -> bool {
    let Some(evil) = world.evil.filter(|_| world.may.evict) else { return true };
    if stopped(world, state) {
        return true;
    }
    let mut state = settled(world, state, 0);
    let host = world.honest().find(|who| {
        let held = state.people[usize::from(*who)].in_step();
        held.is_some_and(|held| among(*who, held.epoch().hosts))
    });
    let Some(host) = host else { return false };
    let evict = world.duties(&state, host).into_iter().find(|(_, deed)| deed.act == Some(Act::Evict(evil)));
    if let Some((on, deed)) = evict {
        state.offer(0, on, deed);
    }
    let state = settled(world, &state, 0);
    in_step(world, &state)
        && world.honest().all(|who| {
            let held = state.people[usize::from(who)].in_step();
            held.is_none_or(|held| !held.epoch().has(evil) && !among(evil, held.epoch().known))
        })
}

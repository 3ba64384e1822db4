//! A host refuses somebody who asks to be let in: the joiner hears it, with a note that only they can open.

use conclave_federation::{
    io::Now,
    wire::{
        code::Code,
        message::{Answer, Decline, Request},
    },
};

use super::{
    follower::Target,
    joins::{Declined, Place},
};
use crate::{
    admit,
    between::ToShard,
    relay::{Asker, Cx, Purpose, Relay},
    room::Room,
};

impl Room {
    /// Whether who asks is in the room's call: a client by its own proof, a relay by the capability that it has shown.
    pub(crate) fn is_inside(&self, now: Now, asker: Asker) -> bool {
        self.attached.contains(&asker.session)
            || self.shown.get(&asker.session).is_some_and(|shown| admit::is_alive(now, shown.expires))
    }
}

impl Relay {
    /// A host refuses a join request.
    pub(crate) fn on_decline(&mut self, cx: &mut Cx<'_>, asker: Asker, mut decline: Decline) {
        match self.target(asker, decline.via.as_ref()) {
            Target::Nowhere => Self::refuse_passing_on(cx, asker),
            Target::Here => self.decline(cx, asker, decline),
            Target::There(relay) => {
                if !self.rooms.get(&decline.room).is_some_and(|room| room.is_inside(cx.now, asker)) {
                    return cx.refuse_proof(asker, Code::NOT_ATTACHED);
                }
                decline.via = None;
                self.ask_relay(cx, relay, Box::new(Request::Decline(decline)), Purpose::Forward(asker));
            }
        }
    }

    /// The same of a room ordered here. Whoever is not inside is refused before any signature is looked at.
    fn decline(&mut self, cx: &mut Cx<'_>, asker: Asker, decline: Decline) {
        let Some(room) = self.rooms.get_mut(&decline.room).filter(|room| room.hub().is_some()) else {
            return cx.refuse_proof(asker, Code::UNKNOWN_ROOM);
        };
        if !room.is_inside(cx.now, asker) {
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        }
        if decline.instance != room.instance {
            return cx.refuse_proof(asker, Code::WRONG_INSTANCE);
        }
        let record = room.record.clone();
        let Some(hub) = room.hub_mut() else { return };
        if !hub.may_check_word(cx.now.mono, asker.session) {
            return cx.refuse(asker, Code::RATE, "too many refusals in a short time: wait a second");
        }
        if !decline.verify(&record, cx.now.unix_ms) {
            return cx.refuse(asker, Code::BAD_PROOF, "only a host of this room may refuse somebody: ask one of them");
        }
        match hub.mailbox().decline(cx.now.mono, decline.id, &decline.note) {
            Declined::Now(joiner, place) => {
                cx.stats.joins.declined += 1;
                if let Some(Place { alias, group, object }) = hub.place_of_request(place) {
                    cx.down.push_back(ToShard::Forget { alias, group, object });
                }
                if let Some(joiner) = joiner {
                    self.release_join(joiner.session);
                    cx.answer(joiner, Answer::Declined(decline.note));
                }
                cx.answer(asker, Answer::Done(()));
            }
            Declined::Before => cx.answer(asker, Answer::Done(())),
            Declined::Served => cx.refuse(asker, Code::CONFLICT, "somebody let them in before: read the log"),
            Declined::Unknown => {
                cx.refuse(asker, Code::UNANSWERED, "that request is not open any more: there is nothing to refuse")
            }
        }
    }
}

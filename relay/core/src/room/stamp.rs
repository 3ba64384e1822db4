//! A hub states when it saw a digest. Whoever discloses a message later shows by it that the report was made while the call
//! lasted, before the keys that prove who wrote it were made public. The hub learns 32 bytes and that somebody in the room asks.

use conclave_federation::wire::{
    code::Code,
    message::{Answer, Request, Stamp, Stamped},
};

use super::follower::Target;
use crate::{
    relay::{Asker, Cx, Purpose, Relay},
    room::Room,
    stats::Limit,
};

impl Relay {
    /// Somebody wants to know that a digest was seen.
    pub(crate) fn on_stamp(&mut self, cx: &mut Cx<'_>, asker: Asker, mut stamp: Stamp) {
        let (rate, of_room) = (self.limits.stamps, self.limits.room_stamps);
        let target = self.target(asker, stamp.via.as_ref());
        if matches!(target, Target::Nowhere) {
            return Self::refuse_passing_on(cx, asker);
        }
        let key = self.local.key.clone();
        let Some(room) = self.rooms.get_mut(&stamp.room).filter(|room| room.is_inside(cx.now, asker)) else {
            cx.stats.stamps.refused += 1;
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        };
        if room.instance != stamp.instance {
            cx.stats.stamps.refused += 1;
            return cx.refuse_proof(asker, Code::WRONG_INSTANCE);
        }
        let Some(member) = self.members.get_mut(&asker.session) else { return };
        // One operator's link would throttle all its clients: it has the room's limit alone.
        let mut within = member.link().is_some() || member.stamps.take(cx.now.mono, rate, 1);
        if let (Target::Here, Some(hub)) = (&target, Room::hub_mut(room)) {
            within = within && hub.stamps.take(cx.now.mono, of_room, 1);
        }
        if !within {
            cx.stats.stamps.refused += 1;
            return cx.refuse_limit(asker, Limit::Stamps, Code::RATE, "too many reports in a short time: wait a few seconds");
        }
        match target {
            Target::There(relay) => {
                stamp.via = None;
                self.ask_relay(cx, relay, Box::new(Request::Stamp(stamp)), Purpose::Forward(asker));
            }
            Target::Here if room.hub().is_some() => {
                cx.stats.stamps.given += 1;
                cx.answer(asker, Answer::Stamped(Stamped::sign(&key, &stamp, cx.now.unix_ms)));
            }
            Target::Here | Target::Nowhere => cx.refuse_proof(asker, Code::UNKNOWN_ROOM),
        }
    }
}

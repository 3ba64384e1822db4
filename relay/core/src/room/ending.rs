//! When a host ends a call for all: the log says so, everybody reads it, and then the call is over here.

use conclave_federation::id::RoomId;

use super::{Job, Room};
use crate::{
    limits::END_GRACE,
    node::Write,
    relay::{Cx, Relay},
};

impl Relay {
    /// The entry that ends the call is durable and on its way. Another call may begin at once.
    pub(crate) fn on_ended_by_host(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        cx.stats.calls_ended += 1;
        let at = cx.now.mono + END_GRACE;
        if let Some(hub) = self.rooms.get_mut(&id).and_then(Room::hub_mut) {
            hub.ending = Some(at);
        }
        self.refuse_joins(cx, id);
        self.turns.insert((at, id));
    }

    /// Everybody has had the time to read it.
    pub(crate) fn end_ended(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        let instance = room.instance;
        if room.hub().and_then(|hub| hub.ending).is_some_and(|at| at <= cx.now.mono) {
            self.end_call(cx, id);
            self.store(Write::Forget { room: id, instance }, Job::Forgotten);
        }
    }
}

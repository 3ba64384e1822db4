//! In front of the door: the request is made, made again, and answered by whoever is inside.
//!
//! Nobody outside can know whether a room is open, or a host has to decide. So somebody who is not let in at once is told that
//! they wait, and goes on asking until they do not want to any more.

use std::time::Duration;

use conclave_federation::{
    io::Outlet,
    wire::message::{Admitted, Note, Request},
};

use super::{
    Ask,
    core::{Ctx, Hall},
};
use crate::{
    api::{DeclineReason, Event},
    group::{Group, JoinError, Joining, Lobby},
};

/// A request that nobody answered is made again after this long; from the second on any participant may answer at once.
const PATIENCE: Duration = Duration::from_secs(4);

/// Requests that are made so fast. Then a host has to decide, and people take their time.
const FAST_REQUESTS: u32 = 3;

/// The pause between those that follow. Short enough that a host who comes in sees soon who waits, long enough that the few
/// requests that a hub keeps of one asker are not used up.
const WAITING_PATIENCE: Duration = Duration::from_secs(20);

/// After this long somebody is told that they wait: an open room lets in within one second.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Nobody waits longer in front of a door.
const MAX_WAITING: Duration = Duration::from_secs(60 * 60);

/// See the module.
pub(super) struct Asking {
    joining: Joining,
    pub(super) hall: Hall,
    requests: u32,
    since: Duration,
    told: bool,
    again_at: Duration,
}

/// What time brings.
pub(super) enum Due {
    /// Nothing.
    Nothing,
    /// Look the room up again, and ask again.
    Again,
    /// Nobody will answer any more.
    Over,
}

impl Asking {
    pub(super) const fn new(joining: Joining, hall: Hall, now: Duration) -> Self {
        Self { joining, hall, requests: 0, since: now, told: false, again_at: now }
    }

    /// Makes the request, or makes it again; `false` when it cannot be made.
    pub(super) fn request(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> bool {
        let Some(mut join) = self.joining.request(ctx.now.unix_ms) else { return false };
        self.requests = self.requests.saturating_add(1);
        let pause = if self.requests <= FAST_REQUESTS { PATIENCE } else { WAITING_PATIENCE };
        self.again_at = ctx.now.mono + pause;
        join.via = self.hall.via(ctx.relay());
        ctx.ask(Request::Join(join), Ask::Join);
        if self.joining.is_old_link() {
            self.tell(ctx);
        }
        true
    }

    fn tell(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if !std::mem::replace(&mut self.told, true) {
            ctx.core.tell(Event::Waiting { code: self.joining.code() });
        }
    }

    /// The room was looked up again, and the call is still on: the same key asks with a fresh request.
    pub(super) fn again(&mut self, hall: Hall, lobby: Lobby, ctx: &mut Ctx<'_, impl Outlet>) -> bool {
        self.hall = hall;
        self.joining.again_in(lobby).is_ok() && self.request(ctx)
    }

    /// The hub gave our request up: it is time for the next one.
    pub(super) const fn hurry(&mut self, now: Duration) {
        self.again_at = now;
    }

    /// The room could not be looked up now.
    pub(super) fn later(&mut self, now: Duration) {
        self.again_at = now + PATIENCE;
    }

    pub(super) fn admitted(&mut self, admitted: &Admitted) -> Result<Group, JoinError> {
        self.joining.admitted(admitted)
    }

    pub(super) fn declined(&self, note: &Note) -> DeclineReason {
        self.joining.declined(note)
    }

    /// Time has passed.
    pub(super) fn on_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Due {
        let now = ctx.now.mono;
        if self.since + TOLD_AFTER <= now {
            self.tell(ctx);
        }
        if self.since + MAX_WAITING <= now {
            return Due::Over;
        }
        if self.again_at > now {
            return Due::Nothing;
        }
        // Should the answer to the look-up be lost.
        self.again_at = now + PATIENCE;
        Due::Again
    }

    pub(super) fn next_timeout(&self) -> Duration {
        if self.told { self.again_at } else { self.again_at.min(self.since + TOLD_AFTER) }
    }
}

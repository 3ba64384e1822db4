//! Going: our signed word to those who stay, then a clean end.

use std::time::Duration;

use conclave_federation::{id::JoinId, io::Outlet, wire::message::Request};

use super::{
    super::{Ask, core::Ctx},
    Joined, Next,
};
use crate::api::Event;

/// How long the hub may take to show our note to everybody, us included. After that we go without: the others will miss
/// us by our silence.
const NOTE_PATIENCE: Duration = Duration::from_millis(1_500);

/// How long the last words have to leave before the session is closed over them.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long leaf keys are said after the end of the call: less than relays go on for.
const REVEALING: Duration = Duration::from_millis(500);

/// On the way out.
pub(super) enum Leaving {
    /// The note is with the hub, we wait until it is shown.
    Note { id: JoinId, until: Duration },
    /// Detached; the session closes then.
    Detached { until: Duration },
    /// A host ended the call; leaf keys are said until then.
    Over { until: Duration },
}

impl Joined {
    /// The application wants to go.
    pub(in crate::client) fn leave(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        if self.leaving.is_some() {
            return Next::Stay;
        }
        if !self.is_attached() {
            return Next::Left;
        }
        if self.is_last_host() && !std::mem::replace(&mut self.asked_to_leave, true) {
            self.tell(Event::LastHost, ctx);
            return Next::Stay;
        }
        let alone = self.roster.others().next().is_none();
        if !alone {
            self.say_attest_farewell(ctx);
        }
        let note = self.seat.group_mut().filter(|_| !alone).and_then(|group| group.leave_request(ctx.now.unix_ms).ok());
        match note {
            Some(mut join) => {
                let id = join.id;
                join.via = self.hall.via(ctx.relay());
                ctx.ask(Request::Join(join), Ask::Leave);
                self.leaving = Some(Leaving::Note { id, until: ctx.now.mono + NOTE_PATIENCE });
            }
            None => self.go(ctx),
        }
        Next::Stay
    }

    /// A host ended the call for everybody: what was signed in it is not to prove anything to others any more.
    pub(super) fn on_call_ended(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        self.say_leaf_key(ctx);
        self.leaving = Some(Leaving::Over { until: ctx.now.mono + REVEALING });
        Next::Stay
    }

    fn go(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.detach(ctx);
        self.leaving = Some(Leaving::Detached { until: ctx.now.mono + LAST_WORDS });
    }

    /// A request is shown to all: ours means that we can go.
    pub(super) fn on_shown(&mut self, shown: JoinId, ctx: &mut Ctx<'_, impl Outlet>) {
        if matches!(self.leaving, Some(Leaving::Note { id, .. }) if id == shown) {
            self.go(ctx);
        }
    }

    pub(super) fn on_leave_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        match self.leaving {
            Some(Leaving::Note { until, .. }) if until <= ctx.now.mono || ctx.open.is_none() => {
                self.go(ctx);
                Next::Stay
            }
            Some(Leaving::Detached { until }) if until <= ctx.now.mono || ctx.open.is_none() => Next::Left,
            Some(Leaving::Over { until }) if until <= ctx.now.mono || ctx.open.is_none() => Next::CallEnded,
            Some(_) | None => Next::Stay,
        }
    }

    pub(super) const fn leave_timeout(&self) -> Option<Duration> {
        match self.leaving {
            Some(Leaving::Note { until, .. } | Leaving::Detached { until } | Leaving::Over { until }) => Some(until),
            None => None,
        }
    }
}

//! What was agreed on changed: who lets in, who is a host, and with the next generation every key that relays know.

use std::time::Duration;

use conclave_federation::io::Outlet;

use super::{super::core::Ctx, Joined, leaf};
use crate::{
    api::Event,
    group::{Applied, Group},
    link::Link,
    room::AccessSecret,
    state::{Mode, RoomState},
};

/// `A_g`, where it is the record's: not where whoever began the call chose one for it.
pub(super) fn secret_of_record(group: &Group) -> Option<AccessSecret> {
    group.access().keys_of(group.record(), None).map(|_| group.access().clone())
}

impl Joined {
    /// The link of the room, as it is now.
    pub(in crate::client) const fn link(&self) -> &Link {
        &self.hall.link
    }

    /// An applied entry changed what was agreed on.
    pub(super) fn on_agreed(&mut self, applied: &Applied, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some((before, after)) = applied.state_changed.as_deref() else { return };
        self.take_state(after);
        if before.generation != after.generation {
            self.begin_generation(ctx);
        }
        if before.mode != after.mode {
            if before.mode != Mode::Open || after.mode == Mode::Locked {
                self.committer.on_door();
            }
            self.tell_mode(after.mode, leaf(applied.by), ctx);
        }
        let keys = |state: &RoomState| state.hosts.iter().map(|host| host.key).collect::<std::collections::BTreeSet<_>>();
        if keys(before) != keys(after) {
            let hosts = self.hosts();
            self.tell(Event::HostsChanged { hosts }, ctx);
        }
        self.asked_to_leave = false;
    }

    /// What the next call begins with, should it be us who begin it.
    fn take_state(&mut self, state: &RoomState) {
        self.access.mode = state.mode;
        state.title.as_str().clone_into(&mut self.access.title);
    }

    /// Everything that proves to relays that we are here is another from now on.
    fn begin_generation(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.take_generation();
        let Some(group) = self.seat.group() else { return };
        self.committer.on_generation(group.generation());
        let link = self.hall.link.clone();
        self.tell(Event::LinkChanged { link }, ctx);
        if ctx.open.is_some() {
            self.attach(ctx);
        }
    }

    /// Back on another leaf, after the room may have gone on to a later generation.
    pub(super) fn catch_up_generation(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        let state = group.state().clone();
        let is_new = group.generation() != self.hall.record.generation;
        self.take_state(&state);
        self.take_generation();
        if is_new {
            let link = self.hall.link.clone();
            self.tell(Event::LinkChanged { link }, ctx);
            if ctx.open.is_some() {
                self.attach(ctx);
            }
        }
    }

    /// The record and the secrets that the group stands on now.
    pub(super) fn take_generation(&mut self) {
        let Some(group) = self.seat.group() else { return };
        self.hall.record = group.record().clone();
        self.hall.link = Link::to_room(&self.hall.link.host, &self.hall.record, group.link().clone());
        self.access_key = group.access_key().clone();
        self.secret = group.access().clone();
        self.access.secret = secret_of_record(group);
        self.access.retired = group.retired_links().to_vec();
    }

    /// We were slow: the relay took from this session what it had, but for the end of the log that was ours.
    pub(super) fn on_cut_off(&mut self, now: Duration) {
        self.publisher.on_lost();
        self.attest.on_lost(now);
        self.own.on_lost();
        self.pulse.on_lost(now);
        self.chat.on_lost(now);
    }

    /// The relay took our proof of a new generation in a session that had shown an older one.
    pub(super) fn on_attached_again(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        self.roster.restart(now);
        self.pulse.on_attached(now);
        self.chat.restart(now);
        self.subscriber.wanted.ask_now(now);
        self.subscribe(ctx);
        self.announce(ctx);
    }
}

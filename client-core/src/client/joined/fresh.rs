//! Whether what we see of the room is current, and whether its hub tells everybody the same.
//!
//! A hub that withholds the log from us is noticed by echoes that stay away: after 45 s people are told, after 60 s nothing is sent
//! any more. One that tells two histories is noticed by its own signatures, which participants show each other in beacons.

use std::time::Duration;

use conclave_federation::{
    id::RelayId,
    io::Outlet,
    wire::{
        Wire,
        message::{Entry, HubHead},
    },
};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{ConnectionState, Event, Warning},
    equivocation::Equivocation,
    heads::{Heads, open_beacon, seal_beacon},
    heartbeat::{Freshness, Heartbeat},
    subscribe::Arrived,
};

/// Others are in a newer epoch for this long, and the log does not bring it: it is asked for again.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// What we know of how current we are.
pub(super) struct Fresh {
    state: Freshness,
    heads: Heads,
    /// Objects of newer epochs, the first and the last since the log moved.
    newer: Option<(Duration, Duration)>,
    /// Somebody's heartbeat says another history: told once.
    contradicted: bool,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { state: Freshness::Current, heads: Heads::default(), newer: None, contradicted: false }
    }
}

impl Fresh {
    /// Whether anything may be sent.
    pub(super) const fn may_send(&self) -> bool {
        !matches!(self.state, Freshness::Stopped)
    }

    /// An object came that belongs to an epoch which we have not reached.
    pub(super) fn on_newer(&mut self, now: Duration) {
        let first = self.newer.map_or(now, |(first, last)| if last + LOG_PATIENCE <= now { now } else { first });
        self.newer = Some((first, now));
    }

    /// When the log has to be asked for again.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.newer.map(|(first, _)| first + LOG_PATIENCE)
    }
}

impl Joined {
    fn hub_key(&self) -> Option<RelayId> {
        self.hall.record.hub().map(|hub| hub.relay)
    }

    /// An entry was looked at. Its head is compared whatever came of it.
    pub(super) fn watch_entry(&mut self, entry: &Entry, ctx: &mut Ctx<'_, impl Outlet>) {
        let (Some(hub), Some(group)) = (self.hub_key(), self.seat.group()) else { return };
        let (position, header) = (group.position(), &entry.header);
        let (room, instance) = (self.place.room, self.place.instance);
        let proof = if (header.room, header.instance) != (room, instance) || entry.head.head != header.head() {
            None
        } else if position.seq == header.seq.saturating_add(1) && position.head == entry.head.head {
            self.fresh.newer = None;
            self.fresh.heads.hold(&entry.head, hub)
        } else if position.seq == header.seq && position.head != header.prev_head {
            self.fresh.heads.on_fork(header, &entry.head, hub)
        } else {
            self.fresh.heads.on_claim(&entry.head, hub)
        };
        self.tell_proof(proof, ctx);
    }

    /// The hub took an entry of ours.
    pub(super) fn watch_head(&mut self, head: &HubHead, ctx: &mut Ctx<'_, impl Outlet>) {
        let (Some(hub), Some(group)) = (self.hub_key(), self.seat.group()) else { return };
        if group.position().head == head.head {
            self.fresh.newer = None;
            let proof = self.fresh.heads.hold(head, hub);
            self.tell_proof(proof, ctx);
        }
    }

    fn tell_proof(&mut self, proof: Option<Equivocation>, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(proof) = proof {
            self.tell(Event::Equivocation { relay: proof.relay, proof: proof.encode() }, ctx);
        }
    }

    /// Shows the newest head that we hold to whoever has the room's access secret, on whatever branch.
    pub(super) fn say_beacon(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let (Some(head), Some(session), Some(group)) = (self.fresh.heads.newest(), ctx.session(), self.seat.group()) else {
            return;
        };
        if !self.own.control.is_announced() {
            return;
        }
        if let Some(beacon) = seal_beacon(group.access(), head, &mut ctx.core.rng) {
            // A relay that does not read is noticed by the session.
            let _ = self.own.control.write(beacon, &mut self.own.reliable, session, ctx.outlet);
        }
    }

    /// Somebody shows the newest head that they hold.
    pub(super) fn on_beacon(&mut self, arrived: &Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(hub) = self.hub_key() else { return };
        let access = self.seat.group().map_or(&self.secret, crate::group::Group::access);
        let Some(head) = open_beacon(access, self.place.room, self.place.instance, &arrived.payload) else {
            ctx.core.stats.beacons_refused += 1;
            return;
        };
        let proof = self.fresh.heads.on_claim(&head, hub);
        self.tell_proof(proof, ctx);
    }

    /// Somebody's heartbeat says what they hold.
    pub(super) fn compare_heads(&mut self, beat: &Heartbeat, ctx: &mut Ctx<'_, impl Outlet>) {
        if self.fresh.heads.agrees(beat.seq, beat.head) != Some(false) {
            return;
        }
        ctx.core.stats.heads_contradicted += 1;
        // Their word alone proves nothing against the hub: the beacon that comes with it may.
        if !std::mem::replace(&mut self.fresh.contradicted, true) {
            self.tell(Event::Warning(Warning::HistoryMismatch), ctx);
        }
    }

    /// Time has passed while we are attached.
    pub(super) fn watch_freshness(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        if self.fresh.next_timeout().is_some_and(|at| at <= now) {
            let went_on = self.fresh.newer.take().is_some_and(|(first, last)| last > first);
            if went_on {
                self.ask_log_again(ctx);
            }
        }
        let freshness = self.pulse.freshness(now, self.roster.len());
        let before = std::mem::replace(&mut self.fresh.state, freshness);
        if before == freshness {
            return;
        }
        let state = match freshness {
            Freshness::Current => ConnectionState::Connected,
            Freshness::Lost => ConnectionState::ControlLost,
            Freshness::Stopped => ConnectionState::SendingStopped,
        };
        self.tell(Event::Connection(state), ctx);
        if freshness != Freshness::Current {
            self.ask_log_again(ctx);
        } else if before == Freshness::Stopped {
            // What was dropped meanwhile is what the next pictures would have needed.
            let video: Vec<_> = self.publisher.video().collect();
            for track in video {
                self.tell(Event::KeyFrameWanted { track }, ctx);
            }
            self.say_waiting(ctx);
        }
    }

    fn ask_log_again(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        ctx.core.stats.log_asked_again += 1;
        self.follow_log_anew(ctx);
    }
}

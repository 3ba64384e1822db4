//! What time brings: proofs renewed, signs of life, commits, the silent, and what was waited for in vain.

use std::time::Duration;

use conclave_federation::{
    io::{Now, Outlet},
    wire::message::Request,
};

use super::{
    super::{Ask, core::Ctx},
    Attached, CAPABILITY_LIFE, Joined, Next, Told,
};
use crate::{api::OpenError, group::Leaf, state::Mode};

impl Joined {
    /// Time has passed.
    pub(in crate::client) fn on_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let now = ctx.now.mono;
        self.opener.expire(now);
        for _ in 0..self.held.expire(now) {
            self.refuse(None, OpenError::NoKeyYet, ctx);
        }
        let mut events = std::collections::VecDeque::new();
        let aliases = self.subscriber.on_timeout(now, &mut events);
        for event in events {
            self.tell(event, ctx);
        }
        for alias in aliases {
            Self::ask_key_frame(alias, ctx);
        }
        self.flush_media(ctx);
        self.say_cover(ctx);
        match self.attached {
            Attached::Again { at } if at <= now => self.attach(ctx),
            Attached::Yes { renew_at } if renew_at <= now => self.renew(ctx),
            Attached::No | Attached::Asked | Attached::Again { .. } | Attached::Yes { .. } => {}
        }
        if self.is_attached() {
            self.watch_over(ctx);
            self.watch_votes(ctx);
            self.expire_knocks(ctx);
            self.subscribe(ctx);
            if self.held.wants_log(now) && self.seat.group().is_some() {
                ctx.core.stats.log_asked_again += 1;
                self.follow_log_anew(ctx);
            }
            self.on_trust_timeout(ctx);
            self.say_attest(ctx);
            if self.heartbeat_due().is_some_and(|at| at <= now) {
                self.say_alive(ctx);
            }
            self.on_chat_timeout(ctx);
            self.on_history_timeout(ctx);
            match self.commit(ctx) {
                Next::Stay => {}
                next => return next,
            }
        }
        match self.on_back_timeout(ctx) {
            Next::Stay => {}
            next => return next,
        }
        self.maybe_tell(ctx);
        self.on_leave_timeout(ctx)
    }

    /// When something is due.
    pub(in crate::client) fn next_timeout(&self, now: Now) -> Option<Duration> {
        let attached = match self.attached {
            Attached::No | Attached::Asked => None,
            Attached::Again { at } => Some(at),
            Attached::Yes { renew_at } => Some(renew_at),
        };
        let always = [
            attached,
            self.opener.window().next_timeout(),
            self.held.next_timeout(),
            self.subscriber.next_timeout().filter(|at| self.is_attached() || *at > now.mono),
            self.publisher.next_timeout(),
            self.back_timeout(),
            self.leave_timeout(),
        ];
        let told = match &self.told {
            Told::Waiting { until, .. } if self.seat.group().is_some() && self.subscriber.wanted.is_following() => *until,
            Told::Waiting { .. } => None,
            Told::Yes => self.carriers.next_timeout(),
        };
        let present = if self.is_attached() {
            let alone = self.roster.len() < 2;
            let worse_at = if alone { None } else { self.pulse.worse_at(now.mono, self.roster.len()) };
            let worse_at = [worse_at, self.fresh.next_timeout(), self.comparisons.next_timeout()].into_iter().flatten().min();
            let hosts = [self.votes.next_timeout(), self.knocks.next_timeout()].into_iter().flatten().min();
            let chat = [self.chat.next_timeout(), self.history.next_timeout()].into_iter().flatten().min();
            let (attest, trust) = (self.attest_due(), self.trusts.next_timeout());
            [
                self.roster.next_timeout(now.mono),
                self.heartbeat_due(),
                self.commit_due(now),
                worse_at,
                hosts,
                chat,
                attest,
                trust,
                self.held.asks_at(),
            ]
        } else {
            [None; 9]
        };
        always.into_iter().chain(present).chain([told]).flatten().min()
    }

    fn heartbeat_due(&self) -> Option<Duration> {
        (self.own.control.is_announced() && self.seat.group().is_some()).then(|| self.pulse.next_at())
    }

    fn renew(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(capability) = self.capability(ctx) {
            ctx.ask(Request::Renew(capability), Ask::Renew);
            self.attached = Attached::Yes { renew_at: ctx.now.mono + CAPABILITY_LIFE / 2 };
        }
    }

    /// Who has gone silent, and whether we are heard ourselves.
    fn watch_over(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        for event in self.roster.on_timeout(now) {
            self.tell(event, ctx);
        }
        if self.roster.len() < 2 {
            self.pulse.restart(now);
        }
        self.watch_freshness(ctx);
        self.expire_comparison(ctx);
        let Some(group) = self.seat.group() else { return };
        // In rooms where one knocks a host does it, or the votes of the others do. Nobody comes into a locked room again once
        // their leaf is gone: there the silent are only shown grey.
        let removes = match group.state().mode {
            Mode::Open => true,
            Mode::Knock => group.is_host(group.me()),
            Mode::Locked => false,
        };
        if removes {
            for (leaf, _) in self.roster.silent(now) {
                self.committer.on_silent(Leaf(u32::from(leaf)), now);
            }
        }
    }
}

//! Comparing codes with somebody, and recognising people with whom that was done before.

use conclave_federation::{io::Outlet, proof::VerifyingKey};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Acquaintance, Event, ParticipantId, Warning},
    compare::{Ask, Compared, Reveal, Scene},
    control::Control,
    group::Leaf,
    known::Tags,
};

impl Joined {
    /// What somebody's leaf is bound to, as the tree has it now.
    fn commitment(&self, leaf: u16) -> Option<[u8; 32]> {
        let member = self.seat.group()?.member(Leaf(u32::from(leaf)))?;
        Some(member.bind.commitment)
    }

    /// With everything that a comparison with this leaf needs; `None`: one of us is not in the tree.
    fn with_comparisons<T>(
        &mut self,
        leaf: u16,
        ctx: &mut Ctx<'_, impl Outlet>,
        act: impl FnOnce(&mut crate::compare::Comparisons, &mut Scene<'_>) -> T,
    ) -> Option<T> {
        let (me, from) = (*self.roster.key(self.me)?, *self.roster.key(leaf)?);
        let commitment = self.commitment(leaf)?;
        // Nonces that our own leaf does not vouch for would be refused.
        if self.commitment(self.me)? != ctx.core.nonces.commitment() {
            return None;
        }
        let core = &mut *ctx.core;
        let scene = &mut Scene { now: ctx.now.mono, me, from, commitment, chain: &mut core.nonces, rng: &mut core.rng };
        Some(act(&mut self.comparisons, scene))
    }

    /// People want to compare.
    pub(super) fn compare(&mut self, participant: ParticipantId, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(leaf) = self.roster.leaf_of(participant).filter(|leaf| *leaf != self.me) else {
            return ctx.core.warn(Warning::NobodyOfThatId);
        };
        let Some(epoch) = self.seat.group().map(crate::group::Group::epoch) else {
            return ctx.core.warn(Warning::NotInRoom);
        };
        let ask = self.with_comparisons(leaf, ctx, |comparisons, scene| comparisons.ask(epoch, scene)).flatten();
        match ask {
            Some(ask) => {
                self.say_control(&Control::Ask(ask), ctx);
            }
            None => ctx.core.warn(Warning::NoMoreComparisons),
        }
    }

    pub(super) fn on_ask(&mut self, leaf: u16, ask: &Ask, ctx: &mut Ctx<'_, impl Outlet>) {
        let answer = self.with_comparisons(leaf, ctx, |comparisons, scene| comparisons.on_ask(ask, scene)).flatten();
        if let Some(reveal) = answer {
            self.say_control(&Control::Reveal(reveal), ctx);
        }
    }

    pub(super) fn on_reveal(&mut self, leaf: u16, reveal: &Reveal, ctx: &mut Ctx<'_, impl Outlet>) {
        let reply = self.with_comparisons(leaf, ctx, |comparisons, scene| comparisons.on_reveal(reveal, scene));
        let Some(reply) = reply else { return };
        if let Some(reveal) = reply.reveal {
            self.say_control(&Control::Reveal(reveal), ctx);
        }
        if let (Some(Compared { epoch, words, .. }), Some(participant)) = (reply.compared, self.roster.id(leaf)) {
            self.tell(Event::CompareCode { participant, words, epoch }, ctx);
        }
    }

    /// People say what came of a comparison.
    pub(super) fn verified(&mut self, participant: ParticipantId, matches: bool, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some((leaf, key)) = self.roster.leaf_of(participant).and_then(|leaf| Some((leaf, *self.roster.key(leaf)?))) else {
            return ctx.core.warn(Warning::NobodyOfThatId);
        };
        let settled = self.comparisons.settle(&key);
        if !matches {
            if let Some(event) = self.roster.on_differs(leaf) {
                self.tell(event, ctx);
            }
            self.tell(Event::Warning(Warning::CodesDiffer), ctx);
            return;
        }
        let Some((epoch, pairwise)) = settled else {
            return ctx.core.warn(Warning::NotCompared);
        };
        for event in self.roster.on_compared(&key, epoch) {
            self.tell(event, ctx);
        }
        self.tell(Event::Acquaintance { participant, secret: Acquaintance::new(*pairwise) }, ctx);
    }

    /// The group moved on, or we came into it: codes are compared over this epoch from now on.
    pub(super) fn note_epoch(&mut self, newcomers: bool) {
        if let Some(group) = self.seat.group() {
            self.comparisons.on_epoch(group.epoch(), group.epoch_authenticator());
            self.recognise_due |= newcomers;
        }
    }

    /// Shows those who may know us who we are. With a heartbeat, so that a crowd of newcomers is greeted once.
    pub(super) fn say_tags(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if !self.recognise_due || ctx.core.known.is_empty() {
            return;
        }
        let (Some(group), Some(me)) = (self.seat.group(), self.roster.key(self.me)) else { return };
        let core = &mut *ctx.core;
        let tags = Tags::of(&core.known, group.epoch(), group.epoch_authenticator(), me, &mut core.rng);
        if let Some(tags) = tags
            && self.say_control(&Control::Recognise(tags), ctx)
        {
            self.recognise_due = false;
        }
    }

    pub(super) fn on_tags(&mut self, leaf: u16, tags: &Tags, ctx: &mut Ctx<'_, impl Outlet>) {
        let (Some(authenticator), Some(key)) = (self.comparisons.authenticator(tags.epoch), self.roster.key(leaf)) else {
            return;
        };
        let Some(which) = tags.find(&ctx.core.known, authenticator, key).and_then(|which| u16::try_from(which).ok()) else {
            return;
        };
        if let Some(event) = self.roster.on_known(leaf, which) {
            self.tell(event, ctx);
        }
    }

    /// Somebody is gone for good.
    pub(super) fn forget_comparisons(&mut self, gone: &VerifyingKey) {
        self.comparisons.forget(gone);
    }

    /// Gives up what got no answer.
    pub(super) fn expire_comparison(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let silent = self.comparisons.expire(ctx.now.mono);
        if let Some(participant) = silent.and_then(|key| self.roster.leaf_with(&key)).and_then(|leaf| self.roster.id(leaf)) {
            self.tell(Event::CompareUnanswered { participant }, ctx);
        }
    }
}

//! What participants say together where no host is: that somebody is not heard of any more, or that somebody is to go.
//!
//! Votes travel on the control track, signed for themselves so that a commit can carry them. Who has been here for long enough
//! to be counted is for the group to say: it is asked again with every vote that comes.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{io::Outlet, limits::MAX_LEAVES, proof::VerifyingKey};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Mode, ParticipantId, Warning},
    control::Control,
    group::{Leaf, VOTE_LIFE, Vote, VoteKind},
};

/// A host who was heard of this lately is asked, and nobody votes.
pub(super) const HOSTLESS: Duration = Duration::from_secs(60);

/// Votes of one participant that are kept; the oldest goes.
const MAX_OF_ONE: usize = 8;

/// An own vote is said again after this long, and when the log has grown by half a vote's life: for those who came since.
const SAY_AGAIN: Duration = Duration::from_secs(30);

struct Said {
    seq: u64,
    at: Duration,
}

/// See the module.
#[derive(Default)]
pub(super) struct Votes {
    /// By who cast them.
    cast: BTreeMap<VerifyingKey, Vec<Vote>>,
    own: BTreeMap<(VerifyingKey, VoteKind), Said>,
    /// When a host was last heard of.
    host_at: Duration,
}

impl Votes {
    pub(super) fn new(now: Duration) -> Self {
        Self { host_at: now, ..Self::default() }
    }

    fn keep(&mut self, vote: Vote) {
        if self.cast.len() >= usize::from(MAX_LEAVES) && !self.cast.contains_key(&vote.key) {
            return;
        }
        let of_one = self.cast.entry(vote.key).or_default();
        of_one.retain(|other| (other.target, other.kind) != (vote.target, vote.kind));
        of_one.push(vote);
        if of_one.len() > MAX_OF_ONE {
            of_one.remove(0);
        }
    }

    /// All about these, of one kind.
    pub(super) fn about(&self, targets: &[VerifyingKey], kind: VoteKind) -> Vec<Vote> {
        let all = self.cast.values().flatten();
        all.filter(|vote| vote.kind == kind && targets.contains(&vote.target)).cloned().collect()
    }

    fn count(&self, target: &VerifyingKey, kind: VoteKind) -> usize {
        self.about(std::slice::from_ref(target), kind).len()
    }

    /// Somebody is gone: what they said, and what was said of them.
    pub(super) fn forget(&mut self, key: &VerifyingKey) {
        self.cast.remove(key);
        for of_one in self.cast.values_mut() {
            of_one.retain(|vote| vote.target != *key);
        }
        self.own.retain(|(target, _), _| target != key);
    }

    /// They are heard again.
    pub(super) fn on_alive(&mut self, key: &VerifyingKey) {
        self.own.remove(&(*key, VoteKind::Unseen));
    }

    /// When an own vote is to be said again.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.own.values().map(|said| said.at + SAY_AGAIN).min()
    }
}

impl Joined {
    /// The application wants somebody to go, where no host is.
    pub(super) fn vote(&mut self, participant: ParticipantId, ctx: &mut Ctx<'_, impl Outlet>) {
        let target = match self.somebody(participant, "leave instead of voting against yourself") {
            Ok(target) => target,
            Err(warning) => return ctx.core.warn(warning),
        };
        if !self.is_hostless(ctx.now.mono) {
            let words = "a host was heard of in the last minute: ask them to remove somebody";
            return ctx.core.warn(Warning::NotAllowed(words));
        }
        self.cast(target, VoteKind::Remove, ctx);
    }

    /// Whether no host has been heard of for a while.
    fn is_hostless(&self, now: Duration) -> bool {
        self.votes.host_at + HOSTLESS <= now
    }

    fn cast(&mut self, target: VerifyingKey, kind: VoteKind, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        let Some(vote) = group.leaf_of(&target).and_then(|leaf| group.cast(leaf, kind)) else { return };
        self.votes.own.insert((target, kind), Said { seq: vote.seq, at: ctx.now.mono });
        self.say_control(&Control::Vote(vote.clone()), ctx);
        self.votes.keep(vote);
        self.weigh(target, kind, ctx);
    }

    /// Somebody else's vote.
    pub(super) fn on_vote(&mut self, from: u16, vote: Vote, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        let own = vote.leaf == Leaf(u32::from(from)) && self.roster.key(from) == Some(&vote.key);
        if !own || !vote.verify(group.call()) || group.leaf_of(&vote.target).is_none() {
            return;
        }
        let (target, kind) = (vote.target, vote.kind);
        self.votes.keep(vote);
        self.weigh(target, kind, ctx);
    }

    /// Whether there are enough of them by now to ask the group.
    fn weigh(&mut self, target: VerifyingKey, kind: VoteKind, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        let Some(group) = self.seat.group() else { return };
        let (Some(leaf), stay) = (group.leaf_of(&target), group.size().saturating_sub(1)) else { return };
        match kind {
            VoteKind::Unseen if 2 * self.votes.count(&target, kind) > stay => self.committer.on_silent(leaf, now),
            VoteKind::Remove if self.is_hostless(now) => self.committer.on_vote(leaf, now),
            VoteKind::Unseen | VoteKind::Remove => {}
        }
    }

    /// Time has passed: who is silent, who may say so, and what has to be said again.
    pub(super) fn watch_votes(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        if self.roster.has_lively_host(now) {
            self.votes.host_at = now;
        }
        let Some(group) = self.seat.group() else { return };
        let by_vote = group.state().mode == Mode::Knock && !group.is_host(group.me()) && !self.roster.has_lively_host(now);
        let seq = group.position().seq;
        let mut due: Vec<(VerifyingKey, VoteKind)> = Vec::new();
        if by_vote {
            let silent = self.roster.silent(now).into_iter().filter_map(|(leaf, _)| self.roster.key(leaf).copied());
            due.extend(silent.map(|key| (key, VoteKind::Unseen)).filter(|own| !self.votes.own.contains_key(own)));
        }
        let old = |said: &Said| said.at + SAY_AGAIN <= now || said.seq + VOTE_LIFE / 2 <= seq;
        due.extend(self.votes.own.iter().filter(|(_, said)| old(said)).map(|(own, _)| *own));
        for (target, kind) in due {
            self.cast(target, kind, ctx);
        }
    }
}

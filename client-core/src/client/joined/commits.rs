//! What is ours to commit, and when: the committer says so, the group builds it, the hub is offered it.

use std::time::Duration;

use conclave_federation::{
    io::{Now, Outlet},
    proof::VerifyingKey,
    wire::message::{Append, Request},
};

use super::{
    super::{Ask, core::Ctx},
    Joined, Next,
    membership::CONFLICT_PATIENCE,
};
use crate::{
    committer::{self, Elector, Task, View},
    group::{BuildError, Leaf, VoteKind, Work},
};

impl Joined {
    fn next_action(&self, now: Now) -> Option<committer::Next> {
        let group = self.seat.group().filter(|_| self.leaving.is_none())?;
        if self.committer.is_idle() && group.pending().is_none() {
            return None;
        }
        let electors: Vec<Elector> =
            self.roster.seats(now.mono).map(|(leaf, host, alive)| Elector { leaf: Leaf(u32::from(leaf)), host, alive }).collect();
        let view = View {
            transcript: group.transcript(),
            electors: &electors,
            me: group.me(),
            host: group.is_host(group.me()),
            mode: group.state().mode,
        };
        Some(self.committer.next_action(now.mono, &view))
    }

    pub(super) fn commit_due(&self, now: Now) -> Option<Duration> {
        let conflict = self.conflict_since.map(|since| since + CONFLICT_PATIENCE);
        let due = match self.next_action(now) {
            None => None,
            Some(committer::Next::Wait(at)) => at,
            Some(
                committer::Next::Build(_)
                | committer::Next::Task(_)
                | committer::Next::Reap(_)
                | committer::Next::Vote(_)
                | committer::Next::Resend,
            ) => Some(now.mono),
        };
        [conflict, due].into_iter().flatten().min()
    }

    /// Commits what is ours to commit.
    pub(super) fn commit(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        if !self.is_attached() {
            return Next::Stay;
        }
        let now = ctx.now.mono;
        if self.conflict_since.is_some_and(|since| since + CONFLICT_PATIENCE <= now) {
            self.conflict_since = None;
            self.committer.on_timeout(now);
        }
        match self.next_action(ctx.now) {
            None | Some(committer::Next::Wait(_)) => Next::Stay,
            Some(committer::Next::Build(work)) => self.build(work, ctx),
            Some(committer::Next::Reap(leaves)) => {
                let votes = self.votes.about(&self.keys_of(&leaves), VoteKind::Unseen);
                self.build(Work::Reap { leaves, votes }, ctx)
            }
            Some(committer::Next::Vote(leaf)) => {
                let votes = self.votes.about(&self.keys_of(&[leaf]), VoteKind::Remove);
                let next = self.build(Work::Vote { leaf, votes }, ctx);
                self.committer.on_votes_short(leaf);
                next
            }
            Some(committer::Next::Task(task)) => self.build_task(&task, ctx),
            Some(committer::Next::Resend) => {
                let pending = self.seat.group().and_then(|group| group.pending()).cloned();
                match pending {
                    Some(append) => {
                        self.committer.on_resent(now);
                        self.offer(append, ctx);
                    }
                    None => self.committer.on_entry(&[], now),
                }
                Next::Stay
            }
        }
    }

    fn keys_of(&self, leaves: &[Leaf]) -> Vec<VerifyingKey> {
        let at = |leaf: &Leaf| self.roster.key(u16::try_from(leaf.0).ok()?).copied();
        leaves.iter().filter_map(at).collect()
    }

    fn build(&mut self, work: Work, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let now = ctx.now.mono;
        let Some(group) = self.seat.group_mut() else { return Next::Stay };
        match group.build(work) {
            Ok(built) => {
                self.committer.forget(&built.refused);
                self.committer.on_sent(now);
                self.offer(built.append, ctx);
            }
            Err(BuildError::Nothing(refused)) => self.committer.on_unbuildable(&refused, now),
            Err(BuildError::Pending) => self.committer.on_timeout(now),
            Err(BuildError::Gone) => return self.come_back(ctx),
            Err(
                error @ (BuildError::Policy(_)
                | BuildError::Authority
                | BuildError::TooEarly
                | BuildError::TooLarge
                | BuildError::Mls),
            ) => {
                tracing::debug!(%error, "nothing committed");
                self.committer.on_unbuildable(&[], now);
            }
        }
        Next::Stay
    }

    fn build_task(&mut self, task: &Task, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let now = ctx.now.mono;
        let Some(work) = self.work_of(task) else {
            self.committer.on_task_done();
            return Next::Stay;
        };
        let Some(group) = self.seat.group_mut() else { return Next::Stay };
        match group.build(work) {
            Ok(built) => {
                self.committer.on_task_sent(now);
                self.offer(built.append, ctx);
                Next::Stay
            }
            Err(BuildError::Pending) => {
                self.committer.on_timeout(now);
                Next::Stay
            }
            Err(BuildError::Gone) => self.come_back(ctx),
            Err(error) => {
                tracing::debug!(%error, "what the host asked for cannot be committed");
                self.on_task_unbuildable(&error, ctx);
                Next::Stay
            }
        }
    }

    fn offer(&self, mut append: Append, ctx: &mut Ctx<'_, impl Outlet>) {
        append.via = self.hall.via(ctx.relay());
        ctx.ask(Request::Append(append), Ask::Append);
    }
}

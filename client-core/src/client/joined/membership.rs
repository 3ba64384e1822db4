//! Our seat in the group: entries of the log, commits of our own, and the one way back for those who lost the thread.

use std::time::Duration;

use conclave_federation::{
    io::Outlet,
    log::OutOfLine,
    wire::{
        Wire,
        code::Code,
        message::{Answer, Entry, Notice, Request},
    },
};

use super::{
    super::{Ask, core::Ctx},
    Joined, Next, Told, epoch_of, leaf, member,
};
use crate::{
    api::{ClientError, Departure, Event, OpenError, Warning},
    committer::Committer,
    group::{self, Applied, Group, JoinError, Joining, Outcome},
    roster::{Member, Roster},
    sframe::{Opener, Sealer},
    subscribe::Arrived,
};

/// A request to come back that nobody answered is made again after this long.
const BACK_PATIENCE: Duration = Duration::from_secs(4);

/// Requests to come back before the way in is taken from the start.
const MAX_BACK_REQUESTS: u32 = 3;

/// How long CONFLICT waits for the entry that was first. Then the same commit is offered again, unchanged: the hub compares
/// and swaps, so it cannot be stored twice.
pub(super) const CONFLICT_PATIENCE: Duration = Duration::from_secs(3);

/// Where we stand with the group.
pub(super) enum Seat {
    /// In it.
    In(Box<Group>),
    /// Out of step, on the way back.
    Back(Box<Back>),
    /// Between the two, never for longer than a function.
    Neither,
}

pub(super) struct Back {
    joining: Joining,
    requests: u32,
    again_at: Duration,
}

impl Seat {
    pub(super) fn group(&self) -> Option<&Group> {
        match self {
            Self::In(group) => Some(group),
            Self::Back(_) | Self::Neither => None,
        }
    }

    pub(super) fn group_mut(&mut self) -> Option<&mut Group> {
        match self {
            Self::In(group) => Some(group),
            Self::Back(_) | Self::Neither => None,
        }
    }
}

impl Joined {
    /// An entry of the log.
    pub(super) fn on_entry(&mut self, arrived: &Arrived, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Seat::In(group) = &mut self.seat else { return Next::Stay };
        let Ok(entry) = Entry::decode(&arrived.payload) else {
            self.refuse(None, OpenError::Malformed, ctx);
            return Next::Stay;
        };
        let outcome = group.process(&entry);
        self.watch_entry(&entry, ctx);
        if matches!(outcome, Outcome::Applied(_) | Outcome::Skipped { .. }) {
            self.committer.on_entry(&entry.header.served, ctx.now.mono);
            self.conflict_since = None;
        }
        self.on_outcome(outcome, ctx)
    }

    fn on_outcome(&mut self, outcome: Outcome, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        if let Some(group) = self.seat.group() {
            self.subscriber.wanted.log_is_at(group.position().seq);
        }
        match outcome {
            Outcome::Applied(applied) => self.on_applied(&applied, ctx),
            Outcome::Repeated | Outcome::Ahead => Next::Stay,
            Outcome::Skipped { skip, by } => {
                tracing::debug!(%skip, "entry skipped");
                ctx.core.stats.entries_skipped += 1;
                if let Some(by) = by {
                    self.on_junk(leaf(by), ctx);
                }
                Next::Stay
            }
            Outcome::Ended => self.on_call_ended(ctx),
            Outcome::Fault(fault) => {
                tracing::debug!(%fault, "entry cannot be applied here");
                self.come_back(ctx)
            }
            Outcome::OutOfLine(OutOfLine::Repeated) => Next::Stay,
            Outcome::OutOfLine(OutOfLine::Gap) => {
                self.follow_log_anew(ctx);
                Next::Stay
            }
            Outcome::OutOfLine(OutOfLine::Fork) => {
                self.tell(Event::Warning(Warning::HistoryMismatch), ctx);
                self.come_back(ctx)
            }
            Outcome::NotGenuine => {
                self.tell(Event::Warning(Warning::HistoryMismatch), ctx);
                Next::Stay
            }
        }
    }

    /// Subscribes to the log again, from where we are.
    pub(super) fn follow_log_anew(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(alias) = self.subscriber.wanted.restart_log(ctx.now.mono) {
            ctx.notify(Notice::Unsubscribe(alias));
            self.subscribe(ctx);
        }
    }

    fn on_applied(&mut self, applied: &Applied, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        ctx.core.stats.entries_applied += 1;
        ctx.core.stats.entries_made += u64::from(applied.own);
        if applied.removed_me {
            let how = applied.removed.iter().find(|(gone, _)| leaf(gone.leaf) == self.me).map(|(_, how)| *how);
            return match how {
                _ if self.leaving.is_some() => Next::Left,
                Some(group::Departure::Removed { .. } | group::Departure::VotedOut) => Next::Failed(ClientError::Removed),
                Some(group::Departure::Left | group::Departure::Reaped) | None => self.come_back(ctx),
            };
        }
        if applied.alarm.is_some() {
            self.tell(Event::Warning(Warning::RecordMismatch), ctx);
        }
        let Some(group) = self.seat.group() else { return Next::Stay };
        let (epoch, code) = (epoch_of(group), group.safety_code().to_string());
        self.chat.transcripts.note(epoch.number, group.transcript());
        self.note_epoch(!applied.added.is_empty() || !applied.swapped.is_empty());
        let Some(group) = self.seat.group() else { return Next::Stay };
        let members: Vec<Member> = group.members().map(member).collect();
        self.committer.on_tree(|key| members.iter().any(|member| member.key == *key));
        let put_out =
            |(_, how): &(_, group::Departure)| matches!(how, group::Departure::Removed { .. } | group::Departure::VotedOut);
        if applied.removed.iter().any(put_out) {
            self.opener.advance_after_removal(ctx.now.mono, epoch.clone());
        } else {
            self.opener.advance(ctx.now.mono, epoch.clone());
        }
        self.sealer.advance(epoch.clone());
        for (gone, how) in &applied.removed {
            self.committer.on_gone(gone.leaf, &gone.key);
            self.votes.forget(&gone.key);
            self.misdeeds.remove(&gone.key);
            // Whoever was silent may only have been away: what was said while they were here is still theirs.
            if *how != group::Departure::Reaped {
                self.chat.on_gone(&gone.key);
            }
            self.forget_leaf(leaf(gone.leaf), ctx);
            self.forget_comparisons(&gone.key);
        }
        for (before, after) in &applied.swapped {
            self.committer.on_gone(before.leaf, &before.key);
            self.pulse.forget(leaf(before.leaf));
            self.chat.on_back(&after.key);
            if before.leaf == after.leaf {
                self.trust_anew(leaf(before.leaf), ctx);
            } else {
                self.forget_leaf(leaf(before.leaf), ctx);
            }
        }
        for member in &applied.added {
            self.chat.on_back(&member.key);
        }
        if !applied.added.is_empty() {
            self.on_newcomers(ctx.now.mono);
        }
        let by = self.roster.id(leaf(applied.by));
        let how = |at: u16| {
            let gone = applied.removed.iter().find(|(member, _)| leaf(member.leaf) == at);
            match gone.map(|(_, how)| how) {
                Some(group::Departure::Left) => Departure::Left,
                Some(group::Departure::Reaped) => Departure::Reaped,
                Some(group::Departure::Removed { .. }) => Departure::Removed { by },
                Some(group::Departure::VotedOut) => Departure::Removed { by: None },
                None => Departure::Moved,
            }
        };
        for event in self.roster.update(&members, epoch.number, ctx.now.mono, how) {
            self.tell(event, ctx);
        }
        self.tell(Event::Epoch { epoch: epoch.number, safety_code: code, committed: applied.own }, ctx);
        self.tell_hands(ctx);
        self.on_agreed(applied, ctx);
        self.settle_tasks(ctx);
        self.settle_knocks(ctx);
        if !applied.added.is_empty() || !applied.swapped.is_empty() {
            self.welcome(ctx);
        }
        self.say_waiting(ctx);
        self.try_held(ctx)
    }

    /// Newcomers see nothing of what was said before they came: the catalog goes again, and the next key frame begins the
    /// first group that they can open.
    fn welcome(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.own.catalog_again();
        self.say_catalog(ctx);
        let video: Vec<_> = self.publisher.video().collect();
        for track in video {
            self.tell(Event::KeyFrameWanted { track }, ctx);
        }
    }

    /// What was held for an epoch that may have come.
    fn try_held(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        for arrived in self.held.take() {
            match self.on_arrived(arrived, ctx) {
                Next::Stay => {}
                next => return next,
            }
        }
        Next::Stay
    }

    /// The hub answered our commit.
    pub(super) fn on_append_answer(&mut self, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Seat::In(group) = &mut self.seat else { return Next::Stay };
        match answer {
            // The answer to a commit that was offered twice: the first one was enough.
            Answer::Appended(head) if group.pending().is_none_or(|append| append.header.head() != head.head) => Next::Stay,
            Answer::Appended(head) => {
                let served: Vec<_> = group.pending().map(|append| append.header.served.to_vec()).unwrap_or_default();
                let outcome = group.appended(&head);
                self.watch_head(&head, ctx);
                if matches!(outcome, Outcome::Applied(_)) {
                    self.committer.on_entry(&served, ctx.now.mono);
                    self.conflict_since = None;
                }
                self.on_outcome(outcome, ctx)
            }
            Answer::Refused(refusal) => match refusal.code {
                Code::CONFLICT => {
                    self.committer.on_conflict(ctx.now.mono);
                    self.conflict_since = Some(ctx.now.mono);
                    Next::Stay
                }
                // It may have been stored all the same: the log will say.
                Code::TIMEOUT | Code::INTERNAL | Code::UNREACHABLE | Code::SHUTTING_DOWN | Code::STORE => {
                    self.committer.on_timeout(ctx.now.mono);
                    Next::Stay
                }
                Code::WRONG_INSTANCE | Code::UNKNOWN_ROOM => Next::Enter,
                code => {
                    tracing::debug!(code = code.name(), "commit refused");
                    group.discard();
                    if self.committer.on_refused(ctx.now.mono).is_some() {
                        ctx.core.warn(Warning::NotChanged);
                    }
                    Next::Stay
                }
            },
            _ => Next::Stay,
        }
    }

    /// We lost the thread, or were removed: the same key asks for a new leaf.
    pub(super) fn come_back(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let group = match std::mem::replace(&mut self.seat, Seat::Neither) {
            Seat::In(group) => group,
            seat => {
                self.seat = seat;
                return Next::Stay;
            }
        };
        ctx.core.stats.rejoins += 1;
        self.committer = Committer::new();
        self.conflict_since = None;
        let Ok(joining) = group.rejoin_as(self.profile.clone()) else { return Next::Enter };
        self.seat = Seat::Back(Box::new(Back { joining, requests: 0, again_at: ctx.now.mono }));
        self.ask_back(ctx);
        Next::Stay
    }

    /// Makes the request to come back, or makes it again.
    pub(super) fn ask_back(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Seat::Back(back) = &mut self.seat else { return };
        back.again_at = ctx.now.mono + BACK_PATIENCE;
        if ctx.open.is_none() {
            return;
        }
        if let Some(mut join) = back.joining.request(ctx.now.unix_ms) {
            back.requests += 1;
            join.via = self.hall.via(ctx.relay());
            ctx.ask(Request::Join(join), Ask::Join);
        }
    }

    pub(super) fn on_join_answer(&mut self, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Seat::Back(back) = &mut self.seat else { return Next::Stay };
        match answer {
            Answer::Admitted(admitted) => match back.joining.admitted(&admitted) {
                Ok(group) => self.sit_down(group, ctx),
                Err(JoinError::Answer) => Next::Stay,
                Err(_) => self.back_again(ctx),
            },
            Answer::Refused(refusal) if matches!(refusal.code, Code::WRONG_INSTANCE | Code::UNKNOWN_ROOM) => Next::Enter,
            // Our own patience decides.
            _ => Next::Stay,
        }
    }

    fn back_again(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Seat::Back(back) = &mut self.seat else { return Next::Stay };
        if back.requests >= MAX_BACK_REQUESTS || back.joining.again().is_err() {
            return Next::Enter;
        }
        self.ask_back(ctx);
        Next::Stay
    }

    pub(super) fn on_back_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        match &self.seat {
            Seat::Back(back) if back.again_at <= ctx.now.mono && ctx.open.is_some() => self.back_again(ctx),
            Seat::Back(_) | Seat::In(_) | Seat::Neither => Next::Stay,
        }
    }

    pub(super) fn back_timeout(&self) -> Option<Duration> {
        match &self.seat {
            Seat::Back(back) if self.is_attached() => Some(back.again_at),
            Seat::Back(_) | Seat::In(_) | Seat::Neither => None,
        }
    }

    /// Back in the group, on another leaf perhaps.
    fn sit_down(&mut self, group: Group, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let members: Vec<Member> = group.members().map(member).collect();
        let epoch = epoch_of(&group);
        let stay = |at: u16| members.iter().any(|member| member.leaf == at && self.roster.key(at) == Some(&member.key));
        let gone: Vec<u16> = self.roster.others().filter(|at| !stay(*at)).collect();
        self.told = Told::Waiting { until: None, events: std::collections::VecDeque::new() };
        for at in gone {
            self.forget_leaf(at, ctx);
        }
        self.me = leaf(group.me());
        self.forget_leaf(self.me, ctx);
        self.chat.transcripts.note(epoch.number, group.transcript());
        let before = std::mem::replace(&mut self.roster, Roster::new(self.me, &members, epoch.number, ctx.now.mono));
        self.roster.carry_over(&before);
        self.pulse.sit_down(self.me, ctx.now.mono);
        self.sealer = Sealer::new(self.me, epoch.clone());
        self.attest.sit_down(ctx.now.mono);
        for at in self.roster.others().collect::<Vec<_>>() {
            self.trust_anew(at, ctx);
        }
        self.opener = Opener::new(epoch);
        self.subscriber.wanted.log_is_at(group.position().seq);
        self.seat = Seat::In(Box::new(group));
        self.catch_up_generation(ctx);
        self.follow_log_anew(ctx);
        self.comparisons.on_back();
        self.note_epoch(true);
        self.show_own_about(ctx);
        self.tell_anew(ctx);
        self.chat.on_sat_down();
        self.chat.restart(ctx.now.mono);
        self.welcome(ctx);
        self.say_waiting(ctx);
        self.try_held(ctx)
    }
}

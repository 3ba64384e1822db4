//! What hosts do: whether the application may ask for it, what it becomes, and until when it is tried.

use conclave_federation::{io::Outlet, proof::VerifyingKey};

use super::{super::core::Ctx, Joined, Next};
use crate::{
    api::{Command, Event, Mode, ParticipantId, Presence, Warning},
    committer::Task,
    group::{BuildError, Group, HostChange, Settings, Work},
};

impl Joined {
    /// The application wants the room changed.
    pub(in crate::client) fn govern(&mut self, command: &Command, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Some(group) = self.seat.group().filter(|_| self.leaving.is_none()) else {
            ctx.core.warn(Warning::NotInRoom);
            return Next::Stay;
        };
        if let Command::Vote { participant } = command {
            self.vote(*participant, ctx);
            return Next::Stay;
        }
        if !group.is_host(group.me()) {
            ctx.core.warn(Warning::NotHost);
            return Next::Stay;
        }
        let task = match command {
            Command::Admit { request } => return self.admit(*request, ctx),
            Command::Refuse { request } => return self.turn_away(*request, ctx),
            Command::SetMode(mode) => Ok(Task::Mode(*mode)),
            Command::Remove { participant } => self.somebody(*participant, "leave instead of removing yourself").map(Task::Evict),
            Command::RotateLink => Ok(Task::Rotate(group.generation())),
            Command::MakeHost { participant } => self.key_of(*participant).map(Task::MakeHost),
            Command::DropHost { participant } => self.key_of(*participant).map(Task::DropHost),
            Command::SetHistory { messages, minutes } => Ok(Task::History { messages: *messages, minutes: *minutes }),
            Command::EndForAll => Ok(Task::End),
            // All that is no host's matter does not come here.
            _ => return Next::Stay,
        };
        match task {
            Ok(task) if is_open(&task, group) => {
                if !self.committer.on_task(task) {
                    ctx.core.warn(Warning::NotChanged);
                }
                self.commit(ctx)
            }
            // It is so already.
            Ok(_) => Next::Stay,
            Err(warning) => {
                ctx.core.warn(warning);
                Next::Stay
            }
        }
    }

    /// The leaf key of somebody who is here.
    pub(super) fn key_of(&self, participant: ParticipantId) -> Result<VerifyingKey, Warning> {
        let leaf = participant.leaf();
        let key = self.roster.key(leaf).filter(|_| self.roster.id(leaf) == Some(participant));
        key.copied().ok_or(Warning::Gone)
    }

    /// The same of somebody else.
    pub(super) fn somebody(&self, participant: ParticipantId, not_me: &'static str) -> Result<VerifyingKey, Warning> {
        if participant.leaf() == self.me { Err(Warning::NotAllowed(not_me)) } else { self.key_of(participant) }
    }

    /// The group moved on: what has been done, or cannot be done any more, is not tried again.
    pub(super) fn settle_tasks(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        if !group.is_host(group.me()) && self.committer.has_tasks() {
            self.committer.keep_tasks(|_| false);
            ctx.core.warn(Warning::NotHost);
            return;
        }
        self.committer.keep_tasks(|task| is_open(task, group));
    }

    /// What to build for a task; `None` when there is nothing to do.
    pub(super) fn work_of(&self, task: &Task) -> Option<Work> {
        let group = self.seat.group()?;
        let hosts = |change| Work::Hosts { changes: vec![change], expires: group.record().not_after };
        Some(match task {
            Task::Evict(key) => Work::Evict(vec![group.leaf_of(key)?]),
            Task::Rotate(_) => Work::Rotate,
            Task::Mode(mode) => Work::Mode(*mode),
            Task::MakeHost(key) => hosts(HostChange::Name(group.leaf_of(key)?)),
            Task::DropHost(key) => hosts(HostChange::Drop(group.leaf_of(key)?)),
            Task::History { messages, minutes } => {
                Work::Settings(Settings { history: Some((*messages, *minutes)), ..Settings::default() })
            }
            Task::End => Work::End,
        })
    }

    /// A task's commit could not be built.
    pub(super) fn on_task_unbuildable(&mut self, error: &BuildError, ctx: &mut Ctx<'_, impl Outlet>) {
        let given_up = match error {
            BuildError::Nothing(_) => {
                self.committer.on_task_done();
                return;
            }
            BuildError::Policy(_) | BuildError::Authority | BuildError::TooEarly => self.committer.on_task_done(),
            BuildError::Pending | BuildError::Gone | BuildError::TooLarge | BuildError::Mls => {
                self.committer.on_task_refused(ctx.now.mono)
            }
        };
        let Some(task) = given_up else { return };
        let warning = match (task, error) {
            (_, BuildError::Authority) => {
                Warning::NotAllowed("no relay would take our word as a host's: ask whoever made the room")
            }
            (Task::DropHost(_), BuildError::Policy(_)) => {
                Warning::NotAllowed("somebody has to stay a host: name another one first")
            }
            (Task::Evict(_), BuildError::Policy(_)) => Warning::NotAllowed("they cannot be removed"),
            (_, BuildError::Policy(_)) => Warning::NotAllowed("its rules say no"),
            _ => Warning::NotChanged,
        };
        ctx.core.warn(warning);
    }

    /// Whether we are the last host and others are here: then leaving is asked about, once.
    pub(super) fn is_last_host(&self) -> bool {
        let Some(group) = self.seat.group() else { return false };
        let roster = self.roster.all();
        let mut others = roster.iter().filter(|one| !one.is_me && one.present == Presence::Here);
        let alone = others.clone().next().is_none();
        group.is_host(group.me()) && !alone && !others.any(|one| one.host)
    }

    /// Those who have a host's rights and are here.
    pub(super) fn hosts(&self) -> Vec<ParticipantId> {
        self.roster.all().into_iter().filter(|one| one.host).map(|one| one.id).collect()
    }

    /// The room is another one for newcomers, or has other hosts.
    pub(super) fn tell_mode(&mut self, mode: Mode, by: u16, ctx: &mut Ctx<'_, impl Outlet>) {
        let by = self.roster.id(by);
        self.tell(Event::ModeChanged { mode, by }, ctx);
    }
}

/// Whether a task is still to do.
fn is_open(task: &Task, group: &Group) -> bool {
    let state = group.state();
    match task {
        Task::Evict(key) => group.leaf_of(key).is_some(),
        Task::Rotate(generation) => group.generation() == *generation,
        Task::Mode(mode) => state.mode != *mode,
        Task::MakeHost(key) => group.leaf_of(key).is_some() && state.host(key).is_none(),
        Task::DropHost(key) => state.host(key).is_some(),
        Task::History { messages, minutes } => (state.history, state.history_minutes) != (*messages, *minutes),
        Task::End => true,
    }
}

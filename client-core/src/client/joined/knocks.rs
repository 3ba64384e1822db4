//! Who waits at the door: what hosts are told of it, and what they answer.
//!
//! Everybody keeps the list, so that whoever becomes a host knows it. A request is one of its asker's key: asked again under
//! another id it is the same knock.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::JoinId,
    io::Outlet,
    limits::{JOIN_DEADLINE, MAX_PENDING_JOINS},
    proof::{Label, VerifyingKey},
    wire::message::{Decline, Note, Request},
};

use super::{
    super::{Ask, core::Ctx},
    Joined, Next,
};
use crate::{
    api::{DeclineReason, Event, Mode, RequestId, Warning},
    decline::Declined,
    group::Candidate,
};

/// Who has not asked again for this long has given up, or was given up by the hub.
const KNOCK_LIFE: Duration = JOIN_DEADLINE;

struct Knock {
    /// As the application knows it.
    shown: RequestId,
    /// The newest request, which an answer has to name.
    latest: JoinId,
    /// Where a refusal goes.
    reply: [u8; 32],
    name: String,
    code: String,
    /// Of which generation their link is.
    link: conclave_federation::id::Generation,
    until: Duration,
    told: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Knocks {
    waiting: BTreeMap<VerifyingKey, Knock>,
}

impl Knocks {
    fn note(&mut self, candidate: &Candidate, now: Duration) {
        let until = now + KNOCK_LIFE;
        if let Some(knock) = self.waiting.get_mut(&candidate.key) {
            knock.latest = candidate.id;
            knock.reply = candidate.reply;
            knock.link = candidate.link;
            knock.until = until;
        } else if self.waiting.len() < MAX_PENDING_JOINS {
            let knock = Knock {
                shown: RequestId::new(candidate.id),
                latest: candidate.id,
                reply: candidate.reply,
                name: candidate.profile.name.as_str().to_owned(),
                code: candidate.code(),
                link: candidate.link,
                until,
                told: false,
            };
            self.waiting.insert(candidate.key, knock);
        }
    }

    fn key_of(&self, request: RequestId) -> Option<VerifyingKey> {
        self.waiting.iter().find(|(_, knock)| knock.shown == request).map(|(key, _)| *key)
    }

    /// When somebody is forgotten.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.waiting.values().map(|knock| knock.until).min()
    }
}

impl Joined {
    /// Somebody who is not in asks to come in.
    pub(super) fn on_asker(&mut self, candidate: Candidate, ctx: &mut Ctx<'_, impl Outlet>) {
        self.knocks.note(&candidate, ctx.now.mono);
        self.committer.on_request(candidate, ctx.now.mono);
        self.tell_knocks(ctx);
    }

    /// As a host: says who waits, if that has not been said yet, and answers those whom nobody may let in.
    pub(super) fn tell_knocks(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group().filter(|group| group.is_host(group.me())) else { return };
        let (mode, generation) = (group.state().mode, group.generation());
        let hopeless = if mode == Mode::Locked {
            Some(DeclineReason::Locked)
        } else {
            (group.size() >= usize::from(group.state().max_members)).then_some(DeclineReason::Full)
        };
        if let Some(reason) = hopeless {
            let keys: Vec<VerifyingKey> = self.knocks.waiting.keys().copied().collect();
            for key in keys {
                self.decline(&key, reason, ctx);
            }
            return;
        }
        let mut events = Vec::new();
        for knock in self.knocks.waiting.values_mut() {
            let old_link = knock.link != generation;
            if (mode == Mode::Knock || old_link) && !std::mem::replace(&mut knock.told, true) {
                let (request, name, code) = (knock.shown, knock.name.clone(), knock.code.clone());
                events.push(Event::Knock { request, name, code, old_link });
            }
        }
        for event in events {
            self.tell(event, ctx);
        }
    }

    /// A host lets somebody in.
    pub(super) fn admit(&mut self, request: RequestId, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let Some(key) = self.knocks.key_of(request) else {
            ctx.core.warn(Warning::Gone);
            return Next::Stay;
        };
        self.committer.admit(key, ctx.now.mono);
        self.commit(ctx)
    }

    /// A host does not.
    pub(super) fn turn_away(&mut self, request: RequestId, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        match self.knocks.key_of(request) {
            Some(key) => self.decline(&key, DeclineReason::Refused, ctx),
            None => ctx.core.warn(Warning::Gone),
        }
        Next::Stay
    }

    fn decline(&mut self, key: &VerifyingKey, reason: DeclineReason, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(knock) = self.knocks.waiting.remove(key) else { return };
        self.committer.refuse(key);
        if knock.told {
            self.tell(Event::KnockGone { request: knock.shown }, ctx);
        }
        let Some(group) = self.seat.group() else { return };
        let (room, instance, id) = (self.place.room, self.place.instance, knock.latest);
        let note: Note = Declined { room, instance, id }.seal(&mut ctx.core.rng, &knock.reply, reason).unwrap_or_default();
        let claim = Decline::claim(room, instance, id, note.bytes());
        // Without a right that relays believe they are left to wait, which is an answer as well.
        let Some(proof) = group.host_proof(Label::Decline, &claim) else { return };
        let via = self.hall.via(ctx.relay());
        ctx.ask(Request::Decline(Decline { via, room, instance, id, note, proof }), Ask::Decline);
    }

    /// The group moved on: who is in waits no more, and who became a host learns who does.
    pub(super) fn settle_knocks(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        let here: Vec<VerifyingKey> =
            group.members().map(|member| member.key).filter(|key| self.knocks.waiting.contains_key(key)).collect();
        for key in here {
            if let Some(knock) = self.knocks.waiting.remove(&key).filter(|knock| knock.told) {
                self.tell(Event::KnockGone { request: knock.shown }, ctx);
            }
        }
        self.tell_knocks(ctx);
    }

    /// Time has passed: who does not ask any more is forgotten.
    pub(super) fn expire_knocks(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        let gone: Vec<VerifyingKey> =
            self.knocks.waiting.iter().filter(|(_, knock)| knock.until <= now).map(|(key, _)| *key).collect();
        for key in gone {
            if let Some(knock) = self.knocks.waiting.remove(&key).filter(|knock| knock.told) {
                self.tell(Event::KnockGone { request: knock.shown }, ctx);
            }
        }
    }
}

//! History for newcomers, where the room's state says so: an elected member tells the last messages to everybody in the new
//! epoch, and newcomers take the first telling that holds.

use std::time::Duration;

use conclave_federation::{
    io::Outlet,
    proof::VerifyingKey,
    wire::{Blob, List, Text},
};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Event, OpenError, ParticipantId},
    chat::{Kept, MAX_TOLD_BYTES, Message, Telling, Told},
    committer::{self, Elector},
    group::{Group, Leaf},
    names,
};

/// After Adds the first in the committers' order waits so long: more may come, and one telling is enough for all.
const WINDOW: Duration = Duration::from_millis(300);

/// And each one behind so much longer, in case nobody before told.
const STEP: Duration = Duration::from_secs(1);

/// Tells at most once in this time, however many come.
const PAUSE: Duration = Duration::from_secs(2);

/// For so long after they came newcomers listen.
const LISTEN_FOR: Duration = Duration::from_secs(30);

/// Tellings that newcomers look at, when those before did not hold.
const MAX_TELLINGS: u8 = 8;

/// Clocks of authors may be off by so much.
const CLOCKS_MS: u64 = 10 * 60 * 1_000;

/// What is told, and what is listened to.
pub(super) struct History {
    /// When it is ours to tell newcomers, if nobody has.
    tell_at: Option<Duration>,
    /// The newest of their epochs: what is said since then they hear.
    epoch: u64,
    told_at: Option<Duration>,
    /// As newcomers we listen until then.
    listen_until: Option<Duration>,
    tellings: u8,
}

impl History {
    /// We have just come in, or founded the call.
    pub(super) fn new(now: Duration) -> Self {
        Self { tell_at: None, epoch: 0, told_at: None, listen_until: Some(now + LISTEN_FOR), tellings: 0 }
    }

    /// When something is to be told.
    pub(super) const fn next_timeout(&self) -> Option<Duration> {
        self.tell_at
    }
}

impl Joined {
    /// Somebody came in: our turn to tell them comes by the committers' order, newcomers left out.
    pub(super) fn on_newcomers(&mut self, now: Duration) {
        let Some(group) = self.seat.group().filter(|group| group.state().history > 0) else { return };
        let was_there = |leaf: Leaf| group.member(leaf).is_some_and(|member| member.joined < group.epoch());
        if !was_there(group.me()) {
            return;
        }
        self.history.epoch = group.epoch();
        if self.history.tell_at.is_some() {
            return;
        }
        let all = self.roster.seats(now).map(|(leaf, host, alive)| Elector { leaf: Leaf(u32::from(leaf)), host, alive });
        let electors: Vec<Elector> = all.filter(|elector| was_there(elector.leaf)).collect();
        let rank = committer::rank(group.transcript(), &electors, group.me());
        let earliest = self.history.told_at.map_or(now, |told| now.max(told + PAUSE));
        self.history.tell_at = Some(earliest + WINDOW + STEP * rank);
    }

    /// Tells newcomers, if nobody has.
    pub(super) fn on_history_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        if self.history.tell_at.is_none_or(|at| at > now) {
            return;
        }
        self.history.tell_at = None;
        let Some(state) = self.seat.group().map(Group::state).filter(|state| state.history > 0) else { return };
        let since = match state.history_minutes {
            0 => Duration::ZERO,
            minutes => now.saturating_sub(Duration::from_secs(60) * u32::from(minutes)),
        };
        let last = self.chat.recent.last(self.history.epoch, usize::from(state.history), since, MAX_TOLD_BYTES);
        let told = |kept: &&Kept| {
            let signed = Blob::new(kept.signed.clone())?;
            Some(Told { author: kept.author, leaf: kept.leaf, name: Text::cut(&kept.name), signed })
        };
        let telling = List::new(last.iter().filter_map(told).collect()).unwrap_or_default();
        if telling.is_empty() {
            return;
        }
        self.history.told_at = Some(now);
        self.chat.tell(telling);
        self.say_waiting(ctx);
    }

    /// Somebody tells newcomers what was said.
    pub(super) fn on_telling(&mut self, telling: &Telling, teller: &VerifyingKey, ctx: &mut Ctx<'_, impl Outlet>) {
        // Whoever came with this telling, or before it, needs no other, if it holds.
        let holds = |told: &Told| Message::verify(told.signed.bytes(), self.scene(), &told.author).is_ok();
        if self.history.tell_at.is_some() && !telling.is_empty() && telling.iter().all(holds) {
            self.history.tell_at = None;
        }
        let now = ctx.now.mono;
        let Some(group) = self.seat.group() else { return };
        let state = group.state();
        let (most, minutes) = (usize::from(state.history), state.history_minutes);
        let is_for_us = self.history.listen_until.is_some_and(|until| until > now)
            && group.leaf_of(teller).and_then(|leaf| group.member(leaf)).is_some_and(|member| member.joined <= self.first_epoch);
        if !is_for_us {
            return;
        }
        self.history.tellings += 1;
        let oldest = match minutes {
            0 => 0,
            minutes => ctx.now.unix_ms.saturating_sub(u64::from(minutes) * 60_000 + CLOCKS_MS),
        };
        let mut any = false;
        for (at, told) in telling.iter().enumerate() {
            let message = Message::verify(told.signed.bytes(), self.scene(), &told.author).ok();
            if message.as_ref().is_some_and(|message| message.epoch >= self.first_epoch) {
                // Meant for those who came after us: we hear it ourselves.
                continue;
            }
            let message = message.filter(|message| at < most && message.unix_ms >= oldest && self.chat.is_new_of_before(message));
            let Some(message) = message else {
                ctx.core.stats.history_refused += 1;
                continue;
            };
            any = true;
            self.show_history(told, message, ctx);
        }
        if any || self.history.tellings >= MAX_TELLINGS {
            self.history.listen_until = None;
        } else {
            self.refuse(None, OpenError::BadSignature, ctx);
        }
    }

    fn show_history(&mut self, told: &Told, message: Message, ctx: &mut Ctx<'_, impl Outlet>) {
        let here = self.seat.group().and_then(|group| group.leaf_of(&told.author)).map(super::leaf);
        let from = ParticipantId::of_leaf(here.unwrap_or(told.leaf), told.author.as_bytes());
        let name =
            here.and_then(|leaf| self.roster.name_of(leaf)).map_or_else(|| names::clean(told.name.as_str()), str::to_owned);
        // Told on by those alone who heard it themselves; kept for reports.
        let (author, signed, at) = (told.author, told.signed.bytes().clone(), ctx.now.mono);
        self.chat.recent.keep(Kept {
            id: message.id,
            author,
            leaf: told.leaf,
            name: name.clone(),
            signed,
            epoch: message.epoch,
            at,
            shared: false,
        });
        if ctx.core.peace.is_blocked(&told.author) {
            return;
        }
        let text = message.text.as_str().to_owned();
        let (id, unix_ms, gone) = (message.id, message.unix_ms, here.is_none());
        self.tell(Event::Chat { from, id, text, unix_ms, name, gone, history: true }, ctx);
    }
}

//! What we say on our own reliable tracks: catalog, heartbeat, chat.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::TrackId,
    io::Outlet,
    wire::{List, Text},
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Command, Warning},
    catalog::{Catalog, Line},
    chat::{Message, Scene},
    control::Control,
    heartbeat::Heartbeat,
    publish::{OwnTrack, Reliable, random_track},
    sframe::CATALOG_STREAM,
};

/// Messages that wait for a session; more are refused with a warning.
const MAX_WAITING_CHAT: usize = 64;

/// Former names that are remembered: of a few sessions that were lost in a row.
const MAX_FORMER: usize = 64;

/// Messages of which it is remembered that somebody may not have got them.
const MAX_SAID: usize = 64;

/// After this long a message is news no more, and its sender has other worries.
const SAID_FOR: Duration = Duration::from_secs(120);

/// Our three reliable tracks and the stream that they share.
pub(super) struct Own {
    pub(super) catalog: OwnTrack,
    pub(super) control: OwnTrack,
    pub(super) chat: OwnTrack,
    pub(super) reliable: Reliable,
    catalog_number: u32,
    /// The epoch under which the catalog was sealed last; `None`: it has to be said.
    catalog_epoch: Option<u64>,
    waiting: VecDeque<Message>,
    /// Names that our tracks had in earlier sessions: the relay may still list them.
    former: VecDeque<TrackId>,
    /// Said, but not everybody has shown yet that they got it.
    said: VecDeque<Said>,
}

/// A message that somebody may not have got.
struct Said {
    message: Message,
    /// Our newest heartbeat before it. All our reliable tracks share one ordered stream to the relay, and all that the
    /// relay has of us goes on in order: whoever has seen a later heartbeat has the message as well.
    after: u32,
    /// Those who were there and have not shown that.
    unheard: BTreeSet<u16>,
    at: Duration,
}

impl Own {
    pub(super) fn new(rng: &mut ChaCha20Rng) -> Self {
        Self {
            catalog: OwnTrack::new(random_track(rng)),
            control: OwnTrack::new(random_track(rng)),
            chat: OwnTrack::new(random_track(rng)),
            reliable: Reliable::default(),
            catalog_number: 1,
            catalog_epoch: None,
            waiting: VecDeque::new(),
            former: VecDeque::new(),
            said: VecDeque::new(),
        }
    }

    /// The session is gone, and with it perhaps what was said last: it is said again, as the same message in a new
    /// envelope, and whoever has it already knows its id.
    pub(super) fn on_lost(&mut self, now: Duration) {
        self.forget_said(now);
        while let Some(said) = self.said.pop_back() {
            self.waiting.push_front(said.message);
        }
        self.reliable = Reliable::default();
        for track in self.tracks() {
            track.on_lost();
        }
        self.catalog_epoch = None;
    }

    pub(super) fn tracks(&mut self) -> [&mut OwnTrack; 3] {
        [&mut self.catalog, &mut self.control, &mut self.chat]
    }

    /// A track of ours has another name now.
    pub(super) fn on_renamed(&mut self, former: TrackId) {
        self.former.push_back(former);
        while self.former.len() > MAX_FORMER {
            self.former.pop_front();
        }
    }

    /// Whether a track was ours.
    pub(super) fn was(&self, track: TrackId) -> bool {
        self.former.contains(&track)
    }

    pub(super) fn by_id(&mut self, id: TrackId) -> Option<&mut OwnTrack> {
        self.tracks().into_iter().find(|track| track.id == id)
    }

    fn forget_said(&mut self, now: Duration) {
        while self.said.len() > MAX_SAID || self.said.front().is_some_and(|said| said.at + SAID_FOR <= now) {
            self.said.pop_front();
        }
    }

    /// Somebody has seen our heartbeat of this counter.
    pub(super) fn on_heard(&mut self, by: u16, counter: u32) {
        for said in self.said.iter_mut().filter(|said| said.after < counter) {
            said.unheard.remove(&by);
        }
        self.said.retain(|said| !said.unheard.is_empty());
    }

    /// Somebody comes back on a new leaf: what they had not shown to have, they cannot open any more.
    pub(super) fn on_swapped(&mut self, leaf: u16) {
        let (again, said) = std::mem::take(&mut self.said).into_iter().partition(|said| said.unheard.contains(&leaf));
        self.said = said;
        let again: VecDeque<Said> = again;
        for said in again.into_iter().rev() {
            self.waiting.push_front(said.message);
        }
    }

    /// Somebody is gone.
    pub(super) fn on_gone(&mut self, gone: u16) {
        for said in &mut self.said {
            said.unheard.remove(&gone);
        }
        self.said.retain(|said| !said.unheard.is_empty());
    }

    /// Our tracks are others now.
    pub(super) const fn catalog_changed(&mut self) {
        self.catalog_number = self.catalog_number.wrapping_add(1);
        self.catalog_epoch = None;
    }

    /// Newcomers cannot read what was said before.
    pub(super) const fn catalog_again(&mut self) {
        self.catalog_epoch = None;
    }
}

impl Joined {
    /// Says what our tracks are, if that has not been said yet: as a new group.
    pub(super) fn say_catalog(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let (Some(group), Some(session)) = (self.seat.group(), ctx.session()) else { return };
        if self.own.catalog_epoch.is_some() || !self.own.catalog.is_announced() {
            return;
        }
        let line = |(_, track): (_, &crate::publish::Track)| Line {
            track: track.id,
            stream: track.stream,
            media: track.media.clone(),
            muted: track.muted,
        };
        let lines = List::new(self.publisher.tracks().map(line).collect()).unwrap_or_default();
        let relay = ctx.open.as_ref().map(|open| open.relay.clone());
        let catalog = Catalog { number: self.own.catalog_number, lines, relay };
        let signed = catalog.sign(self.author(self.me), |label, body| group.sign(label, body));
        let epoch = group.epoch();
        self.own.catalog.begin_group();
        let place = self.own.catalog.next_place(self.place);
        let Ok(sealed) = self.sealer.seal_padded(CATALOG_STREAM, &place, &signed) else { return };
        if self.own.catalog.write(sealed, &mut self.own.reliable, session, ctx.outlet).is_ok() {
            self.own.catalog_epoch = Some(epoch);
        }
    }

    /// A sign of life. With it the catalog goes again if the epoch is another by now: for those who missed it.
    pub(super) fn say_alive(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group() else { return };
        let (epoch, position) = (group.epoch(), group.position());
        let (counter, echoes) = self.pulse.beat(ctx.now.mono, self.roster.len(), &mut ctx.core.rng);
        let beat = Heartbeat {
            epoch,
            seq: position.seq,
            head: position.head,
            counter,
            flags: 0,
            echoes: List::new(echoes).unwrap_or_default(),
        };
        self.say_control(&Control::Heartbeat(beat), ctx);
        if self.own.catalog_epoch.is_some_and(|said| said != epoch) {
            self.own.catalog_again();
        }
        self.say_catalog(ctx);
    }

    /// Takes words from the application.
    pub(in crate::client) fn chat(&mut self, text: &str, ctx: &mut Ctx<'_, impl Outlet>) {
        if text.len() > Command::MAX_CHAT {
            ctx.core.warn(Warning::ChatTooLong);
            return;
        }
        if self.own.waiting.len() >= MAX_WAITING_CHAT {
            ctx.core.warn(Warning::ChatNotSent);
            return;
        }
        let mut id = [0; 16];
        ctx.core.rng.fill_bytes(&mut id);
        let epoch = self.seat.group().map_or(self.first_epoch, crate::group::Group::epoch);
        self.own.waiting.push_back(Message { id, unix_ms: ctx.now.unix_ms, epoch, text: Text::cut(text) });
        self.say_waiting(ctx);
    }

    /// Sends the words that wait.
    pub(super) fn say_waiting(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let author = self.author(self.me);
        let Some(session) = ctx.session() else { return };
        while self.own.chat.is_announced() {
            let Some(group) = self.seat.group_mut() else { return };
            let Some(message) = self.own.waiting.pop_front() else { return };
            let transcript = group.transcript().to_vec();
            let scene = Scene { room: author.room, instance: author.instance, epoch: group.epoch(), transcript: &transcript };
            let signed: Bytes = message.sign(scene, |label, body| group.sign(label, body));
            let Ok(sealed) = group.encrypt_chat(&signed) else {
                self.own.waiting.push_front(message);
                return;
            };
            if self.own.chat.write(sealed, &mut self.own.reliable, session, ctx.outlet).is_err() {
                ctx.core.warn(Warning::ChatNotSent);
                return;
            }
            let now = ctx.now.mono;
            let unheard: BTreeSet<u16> = self.roster.others().collect();
            if !unheard.is_empty() {
                self.own.said.push_back(Said { message, after: self.pulse.counter(), unheard, at: now });
            }
            self.own.forget_said(now);
        }
    }
}

//! What we say on our own reliable tracks: catalog and heartbeat; chat is in its own file.

use std::collections::VecDeque;

use conclave_federation::{id::TrackId, io::Outlet, wire::List};
use rand_chacha::ChaCha20Rng;

use super::{super::core::Ctx, Joined};
use crate::{
    catalog::{Catalog, Line},
    control::Control,
    heartbeat::Heartbeat,
    publish::{OwnTrack, Reliable, random_track},
    sframe::CATALOG_STREAM,
};

/// Former names that are remembered: of a few sessions that were lost in a row.
const MAX_FORMER: usize = 64;

/// Our three reliable tracks and the stream that they share.
pub(super) struct Own {
    pub(super) catalog: OwnTrack,
    pub(super) control: OwnTrack,
    pub(super) chat: OwnTrack,
    pub(super) reliable: Reliable,
    catalog_number: u32,
    /// The epoch under which the catalog was sealed last; `None`: it has to be said.
    catalog_epoch: Option<u64>,
    /// Names that our tracks had in earlier sessions: the relay may still list them.
    former: VecDeque<TrackId>,
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
            former: VecDeque::new(),
        }
    }

    /// The session is gone: all our tracks are announced anew with the next one.
    pub(super) fn on_lost(&mut self) {
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
        let catalog = Catalog { number: self.own.catalog_number, about: self.about.clone(), lines, relay };
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
        let (epoch, position, host) = (group.epoch(), group.position(), self.roster.is_host(self.me));
        let (counter, echoes) = self.pulse.beat(ctx.now.mono, self.roster.len(), host, &mut ctx.core.rng);
        let beat = Heartbeat {
            epoch,
            seq: position.seq,
            head: position.head,
            counter,
            flags: 0,
            echoes: List::new(echoes).unwrap_or_default(),
        };
        self.say_control(&Control::Heartbeat(beat), ctx);
        self.say_beacon(ctx);
        self.say_tags(ctx);
        if self.own.catalog_epoch.is_some_and(|said| said != epoch) {
            self.own.catalog_again();
        }
        self.say_catalog(ctx);
    }
}

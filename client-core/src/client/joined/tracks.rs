//! Our media tracks as the application wants them, and all subscriptions.

use conclave_federation::{
    id::TrackId,
    io::Outlet,
    track::Class,
    wire::{
        List,
        code::Code,
        message::{Answer, Notice, Publish, Request, Subscribe, Unpublish},
    },
};

use super::{
    super::{Ask, core::Ctx},
    Joined, Next,
};
use crate::{
    api::{Event, LocalTrack, Media, OutFrame, ParticipantId, Warning},
    publish::{Track, Way, Written, random_track},
};

/// All that relays are told of a track: its class, and its temporal layers.
type Shape = (Class, u8);

const RELIABLE: Shape = (Class::Reliable, 1);

const fn shape(track: &Track) -> Shape {
    (track.class(), track.media.layers)
}

impl Joined {
    /// Announces everything of ours that the session does not know.
    pub(super) fn announce(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let own: Vec<TrackId> =
            self.own.tracks().into_iter().filter(|track| !track.is_announced()).map(|track| track.id).collect();
        for track in own {
            self.ask_publish(track, RELIABLE, ctx);
        }
        let media: Vec<_> = self
            .publisher
            .tracks()
            .filter(|(_, track)| !track.is_announced())
            .map(|(_, track)| (track.id, shape(track)))
            .collect();
        for (track, shape) in media {
            self.ask_publish(track, shape, ctx);
        }
    }

    fn ask_publish(&self, track: TrackId, (class, layers): Shape, ctx: &mut Ctx<'_, impl Outlet>) {
        let publish = Publish { room: self.place.room, instance: self.place.instance, track, class, layers };
        ctx.ask(Request::Publish(publish), Ask::Publish(track));
    }

    pub(super) fn on_publish_answer(&mut self, id: TrackId, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) {
        match answer {
            Answer::Published(published) => {
                if let Some(own) = self.own.by_id(id) {
                    own.on_published(published.alias);
                    self.on_own_announced(id, ctx);
                } else if let Some(track) = self.publisher.on_published(id, published.alias) {
                    if self.published.insert(track) {
                        self.tell(Event::Published { track }, ctx);
                    }
                    self.tell_if_video(track, ctx);
                } else {
                    // Ended by the application before it was announced.
                    self.unannounce(id, ctx);
                }
            }
            Answer::Refused(refusal) if matches!(refusal.code, Code::EXISTS) => self.rename(id, ctx),
            Answer::Refused(refusal) => {
                let Some(local) = self.publisher.local(id) else { return };
                if matches!(refusal.code, Code::TIMEOUT | Code::INTERNAL | Code::NOT_ATTACHED | Code::STALE_GENERATION) {
                    // With the next session, or the next proof.
                    return;
                }
                self.publisher.forget(local);
                self.published.remove(&local);
                self.own.catalog_changed();
                self.tell(Event::Warning(Warning::PublishRefused(refusal.code)), ctx);
            }
            _ => {}
        }
    }

    fn on_own_announced(&mut self, id: TrackId, ctx: &mut Ctx<'_, impl Outlet>) {
        if id == self.own.catalog.id {
            self.say_catalog(ctx);
        } else if id == self.own.control.id {
            self.say_alive(ctx);
        } else {
            self.say_waiting(ctx);
        }
    }

    fn tell_if_video(&mut self, track: LocalTrack, ctx: &mut Ctx<'_, impl Outlet>) {
        if self.publisher.video().any(|video| video == track) {
            self.tell(Event::KeyFrameWanted { track }, ctx);
        }
    }

    /// The relay still has the track of a session that it does not know to be lost.
    fn rename(&mut self, id: TrackId, ctx: &mut Ctx<'_, impl Outlet>) {
        let media = self.publisher.tracks().find(|(_, track)| track.id == id).map(|(_, track)| shape(track));
        if let Some(own) = self.own.by_id(id) {
            let new = random_track(&mut ctx.core.rng);
            own.rename(new);
            self.own.on_renamed(id);
            self.ask_publish(new, RELIABLE, ctx);
        } else if let (Some(media), Some(new)) = (media, self.publisher.rename(id, &mut ctx.core.rng)) {
            self.own.on_renamed(id);
            self.own.catalog_changed();
            self.ask_publish(new, media, ctx);
            self.say_catalog(ctx);
        }
    }

    fn unannounce(&self, track: TrackId, ctx: &mut Ctx<'_, impl Outlet>) {
        let unpublish = Unpublish { room: self.place.room, instance: self.place.instance, track };
        ctx.notify(Notice::Unpublish(unpublish));
    }

    /// The application wants to publish.
    pub(in crate::client) fn publish(&mut self, local: LocalTrack, media: Media, ctx: &mut Ctx<'_, impl Outlet>) {
        let known = self.publisher.tracks().any(|(known, _)| known == local);
        let added = self.publisher.add(local, media, &mut ctx.core.rng).map(|track| (track.id, shape(track)));
        let Some((id, shape)) = added else {
            ctx.core.warn(Warning::TooManyTracks);
            return;
        };
        self.own.catalog_changed();
        if self.is_attached() && !known {
            self.ask_publish(id, shape, ctx);
        }
        self.say_catalog(ctx);
    }

    /// The application mutes a track, or does not any more.
    pub(in crate::client) fn mute(&mut self, local: LocalTrack, muted: bool, ctx: &mut Ctx<'_, impl Outlet>) {
        if self.publisher.mute(local, muted) {
            self.own.catalog_changed();
            self.say_catalog(ctx);
            if !muted {
                self.tell_if_video(local, ctx);
            }
        }
    }

    /// The application ends a track.
    pub(in crate::client) fn unpublish(&mut self, local: LocalTrack, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now;
        let session = ctx.session();
        let way = session.map(|session| Way { now, session, outlet: &mut *ctx.outlet });
        if let Some(id) = self.publisher.remove(local, way) {
            self.published.remove(&local);
            self.unannounce(id, ctx);
            self.own.catalog_changed();
            self.say_catalog(ctx);
        }
    }

    /// The application has a frame.
    pub(in crate::client) fn write(&mut self, local: LocalTrack, frame: &OutFrame, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now;
        // While we have no seat nobody could open it; while we are not told who is here, somebody could who should not.
        let may_send = self.fresh.may_send();
        ctx.core.stats.frames_stopped += u64::from(!may_send);
        let session = ctx.session().filter(|_| may_send && self.seat.group().is_some() && self.leaving.is_none());
        let way = session.map(|session| Way { now, session, outlet: &mut *ctx.outlet });
        self.publisher.in_room_of(self.roster.len());
        match self.publisher.write(local, frame, &mut self.sealer, way) {
            Written::Sent => ctx.core.stats.frames_sent += 1,
            Written::Muted => ctx.core.stats.frames_muted += 1,
            Written::Dropped | Written::Unknown => ctx.core.stats.frames_dropped += 1,
            Written::KeyFrameNeeded => {
                ctx.core.stats.frames_dropped += 1;
                self.tell(Event::KeyFrameWanted { track: local }, ctx);
            }
            Written::TooLarge => {
                ctx.core.stats.frames_dropped += 1;
                ctx.core.warn(Warning::FrameTooLarge);
            }
        }
    }

    /// Sends silence where the application writes nothing.
    pub(super) fn say_cover(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.publisher.in_room_of(self.roster.len());
        let now = ctx.now;
        let may_send = self.fresh.may_send() && self.seat.group().is_some() && self.leaving.is_none();
        let session = ctx.session().filter(|_| may_send);
        let way = session.map(|session| (session, &mut *ctx.outlet));
        ctx.core.stats.cover_sent += self.publisher.cover(now, &mut self.sealer, way);
    }

    /// The application wants a key frame of somebody else.
    pub(in crate::client) fn request_key_frame(
        &mut self,
        participant: ParticipantId,
        track: TrackId,
        ctx: &mut Ctx<'_, impl Outlet>,
    ) {
        if let Some(alias) = self.subscriber.alias_of(participant, track) {
            Self::ask_key_frame(alias, ctx);
        }
    }

    /// Asks for every track that is due.
    pub(super) fn subscribe(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if !self.is_attached() {
            return;
        }
        while let Some((track, start)) = self.subscriber.wanted.next_due(ctx.now.mono) {
            let (room, instance) = (self.place.room, self.place.instance);
            let subscribe = Subscribe { room, instance, track, start, path: List::default() };
            ctx.ask(Request::Subscribe(subscribe), Ask::Subscribe(track));
        }
    }

    pub(super) fn on_subscribe_answer(&mut self, track: TrackId, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        match answer {
            Answer::Subscribed(subscribed) => match self.subscriber.on_subscribed(ctx.now.mono, track, subscribed.alias) {
                Some(arrived) => {
                    for one in arrived {
                        match self.on_arrived(one, ctx) {
                            Next::Stay => {}
                            next => return next,
                        }
                    }
                }
                None => ctx.notify(Notice::Unsubscribe(subscribed.alias)),
            },
            Answer::Refused(refusal) if self.subscriber.wanted.on_refused(track, ctx.now.mono) => {
                self.tell(Event::Warning(Warning::SubscribeRefused(refusal.code)), ctx);
            }
            _ => {}
        }
        self.subscribe(ctx);
        Next::Stay
    }
}

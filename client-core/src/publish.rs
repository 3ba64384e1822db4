//! Frames to objects: audio as datagrams, video as one stream for each group and layer, late groups dropped whole.
//!
//! A participant's uplink is where a call chokes first. What cannot be sent now waits in a short queue of its track, where
//! minds can still be changed; a queue that is full or old costs its upper
//! layers, then the group, and the next key frame begins a new one.

mod chain;
mod private;
mod reliable;
mod uplink;

use std::collections::{BTreeMap, BTreeSet, btree_map};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    io::{Now, Outlet, SessionKey, StreamKey, Wrote},
    limits::MAX_OBJECT,
    track::{Class, TrackName, priority},
    wire::{
        Wire,
        object::{ObjectHeader, ObjectIdentity},
        stream::GroupHeader,
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;

use self::{
    chain::Chain,
    private::Private,
    uplink::{Queued, Uplink},
};
pub(crate) use self::{
    private::SMALL_ROOM,
    reliable::{OwnTrack, Reliable},
};
use crate::{
    api::{Kind, LocalTrack, Media, OutFrame},
    frame::{self, Frame},
    sframe::{MAX_OVERHEAD, Sealer},
};

/// Media tracks of one participant.
pub(crate) const MAX_TRACKS: usize = 16;

/// Largest encoded frame: what is left of an object.
const MAX_FRAME: usize = MAX_OBJECT - frame::OVERHEAD - MAX_OVERHEAD;

/// Groups of a picture that may still be on their way when the next begins: the tail of one, for as long as it is worth
/// anything.
const VIDEO_BESIDE: usize = 1;

/// Long sound objects that may still be on their way when the next begins: each has a stream of its own.
const AUDIO_BESIDE: usize = 3;

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Written {
    /// On its way, or in the queue.
    Sent,
    /// Dropped: nobody can take it now. Receivers count it as lost, except before the track was announced.
    Dropped,
    /// Dropped with the rest of its group: a key frame is needed.
    KeyFrameNeeded,
    /// The track is said to be muted: what is said is so.
    Muted,
    /// Larger than an object may be.
    TooLarge,
    /// No such track.
    Unknown,
}

/// One of our media tracks.
pub(crate) struct Track {
    /// Its name; changed only when the relay says that it is taken.
    pub(crate) id: TrackId,
    /// Its number in KIDs.
    pub(crate) stream: u8,
    /// What it carries.
    pub(crate) media: Media,
    /// Whether the application says that nothing is to be heard or seen of it now.
    pub(crate) muted: bool,
    alias: Option<Alias>,
    number: u32,
    group: u64,
    object: u64,
    /// Nothing goes before the next key frame.
    needs_key: bool,
    chain: Chain,
    uplink: Uplink,
    private: Private,
}

impl Track {
    /// How its objects travel.
    pub(crate) const fn class(&self) -> Class {
        if self.media.is_audio() { Class::Datagram } else { Class::Groups }
    }

    /// Whether the relay knows it.
    pub(crate) const fn is_announced(&self) -> bool {
        self.alias.is_some()
    }

    const fn priority(&self, layer: u8) -> u8 {
        match self.media.kind {
            Kind::Microphone | Kind::ScreenAudio => priority::AUDIO,
            Kind::Camera | Kind::Screen | Kind::Data if layer == 0 => priority::BASE,
            Kind::Camera | Kind::Screen | Kind::Data => priority::UPPER,
        }
    }
}

/// Where objects go: a session, and the room and call that they belong to.
pub(crate) struct Way<'a, O> {
    /// Now.
    pub(crate) now: Now,
    /// The session with the entry relay.
    pub(crate) session: SessionKey,
    /// Takes bytes.
    pub(crate) outlet: &'a mut O,
}

/// Our media tracks.
pub(crate) struct Publisher {
    place: TrackName,
    tracks: BTreeMap<LocalTrack, Track>,
    /// Stream numbers that were given away in this group and not to the same track: taken again last.
    last_stream: u8,
    /// Sound is as in [`private`].
    small_room: bool,
}

impl Publisher {
    /// For the room and call of `place`; its track is not looked at.
    pub(crate) const fn new(place: TrackName) -> Self {
        Self { place, tracks: BTreeMap::new(), last_stream: 0, small_room: true }
    }

    /// All tracks.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (LocalTrack, &Track)> {
        self.tracks.iter().map(|(local, track)| (*local, track))
    }

    /// Adds a track, or gives one new properties. `None` when there are too many.
    pub(crate) fn add(&mut self, local: LocalTrack, media: Media, rng: &mut ChaCha20Rng) -> Option<&Track> {
        let full = self.tracks.len() >= MAX_TRACKS;
        let stream = self.free_stream(media.kind);
        match self.tracks.entry(local) {
            btree_map::Entry::Occupied(mut entry) => {
                let track = entry.get_mut();
                if track.media.is_audio() == media.is_audio() {
                    track.media = media;
                }
                Some(entry.into_mut())
            }
            btree_map::Entry::Vacant(_) if full => None,
            btree_map::Entry::Vacant(entry) => {
                let uplink = Uplink::default();
                let id = random_track(rng);
                Some(entry.insert(Track {
                    id,
                    stream,
                    media,
                    muted: false,
                    alias: None,
                    number: 0,
                    group: 0,
                    object: 0,
                    needs_key: true,
                    chain: Chain::default(),
                    uplink,
                    private: Private::default(),
                }))
            }
        }
    }

    /// The microphone gets 0, which makes the shortest KID; the others the next free number. A number that was given back
    /// may be taken again: its counter goes on where it was.
    fn free_stream(&mut self, kind: Kind) -> u8 {
        let taken: BTreeSet<u8> = self.tracks.values().map(|track| track.stream).collect();
        if kind == Kind::Microphone && !taken.contains(&0) {
            return 0;
        }
        let most = u8::try_from(MAX_TRACKS).unwrap_or(u8::MAX);
        for step in 1..=most {
            let stream = 1 + (self.last_stream + step - 1) % most;
            if !taken.contains(&stream) {
                self.last_stream = stream;
                return stream;
            }
        }
        most
    }

    /// Ends a track; says which it was.
    pub(crate) fn remove<O: Outlet>(&mut self, local: LocalTrack, way: Option<Way<'_, O>>) -> Option<TrackId> {
        let mut track = self.tracks.remove(&local)?;
        if let Some(way) = way {
            track.uplink.finish(way.session, way.outlet);
        }
        Some(track.id)
    }

    /// Says whether a track is muted; `false` when that changes nothing.
    pub(crate) fn mute(&mut self, local: LocalTrack, muted: bool) -> bool {
        let Some(track) = self.tracks.get_mut(&local) else { return false };
        track.private.mute();
        std::mem::replace(&mut track.muted, muted) != muted
    }

    /// How many take part: sound is private in rooms of up to [`SMALL_ROOM`].
    pub(crate) const fn in_room_of(&mut self, participants: usize) {
        self.small_room = participants <= SMALL_ROOM;
    }

    /// Sends cover where it is due; without a way it is left out. Says how much went.
    pub(crate) fn cover<O: Outlet>(&mut self, now: Now, sealer: &mut Sealer, mut way: Option<(SessionKey, &mut O)>) -> u64 {
        let mut sent = 0;
        for track in self.tracks.values_mut().filter(|track| track.covers(self.small_room)) {
            if track.private.is_due(now.mono)
                && let (Some((session, outlet)), Some(alias)) = (&mut way, track.alias)
            {
                let plain = track.private.cover();
                let way = Way { now, session: *session, outlet: &mut **outlet };
                sent += u64::from(track.write_sound(self.place, alias, 0, &plain, sealer, way) == Written::Sent);
            }
        }
        sent
    }

    /// Drops a track that the relay did not take.
    pub(crate) fn forget(&mut self, local: LocalTrack) {
        self.tracks.remove(&local);
    }

    /// The relay took a track.
    pub(crate) fn on_published(&mut self, id: TrackId, alias: Alias) -> Option<LocalTrack> {
        let (local, track) = self.tracks.iter_mut().find(|(_, track)| track.id == id)?;
        track.alias = Some(alias);
        track.needs_key = true;
        Some(*local)
    }

    /// The relay has another track of this name: draws a new one.
    pub(crate) fn rename(&mut self, id: TrackId, rng: &mut ChaCha20Rng) -> Option<TrackId> {
        let track = self.tracks.values_mut().find(|track| track.id == id)?;
        track.id = random_track(rng);
        Some(track.id)
    }

    /// The local name of a track.
    pub(crate) fn local(&self, id: TrackId) -> Option<LocalTrack> {
        self.tracks.iter().find(|(_, track)| track.id == id).map(|(local, _)| *local)
    }

    /// Whose objects are marked so: the local name.
    pub(crate) fn by_alias(&self, alias: Alias) -> Option<LocalTrack> {
        self.tracks.iter().find(|(_, track)| track.alias == Some(alias)).map(|(local, _)| *local)
    }

    /// Tracks whose receivers need a key frame to begin with: all that have any.
    pub(crate) fn video(&self) -> impl Iterator<Item = LocalTrack> {
        self.tracks.iter().filter(|(_, track)| track.class() == Class::Groups && track.is_announced()).map(|(local, _)| *local)
    }

    /// The session is gone: aliases and streams mean nothing any more.
    pub(crate) fn on_lost(&mut self) {
        for track in self.tracks.values_mut() {
            track.alias = None;
            track.needs_key = true;
            track.uplink = Uplink::default();
        }
    }

    /// Seals a frame and sends it, or drops it.
    pub(crate) fn write<O: Outlet>(
        &mut self,
        local: LocalTrack,
        frame: &OutFrame,
        sealer: &mut Sealer,
        way: Option<Way<'_, O>>,
    ) -> Written {
        let Some(track) = self.tracks.get_mut(&local) else { return Written::Unknown };
        if track.muted {
            // Not missed by anybody: nothing was to come.
            track.needs_key = true;
            return Written::Muted;
        }
        let number = track.number;
        let (Some(alias), Some(way)) = (track.alias, way) else {
            // Before the first announcement there is nobody to miss it; afterwards it is missed.
            track.needs_key = true;
            if number > 0 {
                track.number = number.wrapping_add(1);
            }
            return Written::Dropped;
        };
        track.number = number.wrapping_add(1);
        let layer = if frame.key { 0 } else { frame.layer.min(track.media.layers.saturating_sub(1)) };
        if frame.data.len() > MAX_FRAME {
            track.miss(number, layer);
            return Written::TooLarge;
        }
        let inside = Frame { back: 0, captured_us: frame.captured_us, number, data: frame.data.clone() };
        match track.class() {
            Class::Datagram => {
                track.private.on_frame(way.now.mono, frame.captured_us, frame.data.len());
                let plain = if self.small_room { track.private.pad(&inside) } else { Private::plain(&inside) };
                // In a small room nobody outside learns who speaks.
                let loudness = if self.small_room { 0 } else { frame.level.min(OutFrame::MAX_LEVEL) };
                track.write_sound(self.place, alias, loudness, &plain, sealer, way)
            }
            Class::Groups | Class::Reliable if frame.key => track.write_key(self.place, alias, &inside, sealer, way),
            Class::Groups | Class::Reliable => track.write_delta(self.place, alias, inside, layer, sealer, way),
        }
    }

    /// Something that was blocked may go now, or time has passed: sends what waits; says whose group was given up.
    pub(crate) fn flush<O: Outlet>(&mut self, now: Now, session: SessionKey, outlet: &mut O) -> Vec<LocalTrack> {
        let mut given_up = Vec::new();
        for (local, track) in &mut self.tracks {
            match track.uplink.flush(now.mono, session, outlet) {
                Queued::Fine | Queued::Gone => {}
                Queued::Cut(layer) => track.chain.on_cut(layer),
                Queued::GivenUp if track.needs_key => {}
                Queued::GivenUp => {
                    track.needs_key = true;
                    given_up.push(*local);
                }
            }
        }
        given_up
    }

    /// When a queue gets too old.
    pub(crate) fn next_timeout(&self) -> Option<std::time::Duration> {
        let cover = self.tracks.values().filter(|track| track.covers(self.small_room));
        let cover = cover.filter_map(|track| track.private.cover_at()).min();
        let uplink = self.tracks.values().filter_map(|track| track.uplink.next_timeout()).min();
        [cover, uplink].into_iter().flatten().min()
    }

    /// The relay does not want the rest of this stream.
    pub(crate) fn on_stopped<O: Outlet>(&mut self, stream: StreamKey, way: Way<'_, O>) {
        for track in self.tracks.values_mut() {
            match track.uplink.on_stopped(stream, way.now.mono, way.session, way.outlet) {
                None => {}
                Some(0) => return track.needs_key = true,
                Some(layer) => return track.chain.on_cut(layer),
            }
        }
    }

    /// Bytes that wait in all queues.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.tracks.values().map(|track| track.uplink.waiting()).sum()
    }
}

impl Track {
    fn identity(&self, place: TrackName, group: u64, object: u64, layer: u8) -> ObjectIdentity {
        ObjectIdentity { name: TrackName { track: self.id, ..place }, group, object, layer, flags: 0 }
    }

    /// Whether cover goes where frames do not.
    const fn covers(&self, small_room: bool) -> bool {
        small_room && self.alias.is_some() && !self.muted && matches!(self.class(), Class::Datagram)
    }

    /// A frame is not sent: without a base frame the group does not go on.
    fn miss(&mut self, number: u32, layer: u8) {
        self.chain.on_frame(number, layer, false);
        self.needs_key |= layer == 0;
    }

    fn write_sound<O: Outlet>(
        &mut self,
        place: TrackName,
        alias: Alias,
        flags: u8,
        plain: &[u8],
        sealer: &mut Sealer,
        way: Way<'_, O>,
    ) -> Written {
        let group = self.group;
        self.group += 1;
        let identity = ObjectIdentity { flags, ..self.identity(place, group, 0, 0) };
        let Ok(sealed) = sealer.seal(self.stream, &identity, plain) else {
            return Written::Dropped;
        };
        let priority = self.priority(0);
        let header = ObjectHeader { alias, group, object: 0, layer: 0, flags, priority };
        if let Some(datagram) = header.datagram(&sealed) {
            return match way.outlet.datagram(way.session, datagram) {
                Wrote::Accepted(_) => Written::Sent,
                Wrote::Blocked | Wrote::Gone => Written::Dropped,
            };
        }
        if !self.uplink.begin(group, priority, AUDIO_BESIDE, way.now.mono, way.session, way.outlet) {
            return Written::Dropped;
        }
        self.uplink.push(0, GroupHeader { alias, group, layer: 0, flags, priority }.encode(), way.now.mono);
        self.enqueue(0, 0, sealed, way.now);
        self.uplink.end();
        self.flush(0, way)
    }

    fn write_key<O: Outlet>(
        &mut self,
        place: TrackName,
        alias: Alias,
        frame: &Frame,
        sealer: &mut Sealer,
        way: Way<'_, O>,
    ) -> Written {
        // The first group is 0; a group number is never used twice, whatever became of the group.
        if self.object > 0 || self.group > 0 {
            self.group += 1;
        }
        self.object = 1;
        self.chain.on_key(frame.number);
        let (group, priority) = (self.group, self.priority(0));
        self.needs_key = !self.uplink.begin(group, priority, VIDEO_BESIDE, way.now.mono, way.session, way.outlet);
        if self.needs_key {
            return Written::Dropped;
        }
        let Ok(sealed) = sealer.seal(self.stream, &self.identity(place, group, 0, 0), &frame.encode()) else {
            self.needs_key = true;
            return Written::Dropped;
        };
        self.uplink.push(0, GroupHeader { alias, group, layer: 0, flags: 0, priority }.encode(), way.now.mono);
        self.enqueue(0, 0, sealed, way.now);
        self.flush(0, way)
    }

    fn write_delta<O: Outlet>(
        &mut self,
        place: TrackName,
        alias: Alias,
        frame: Frame,
        layer: u8,
        sealer: &mut Sealer,
        way: Way<'_, O>,
    ) -> Written {
        if self.needs_key {
            return Written::Dropped;
        }
        let Some(back) = self.chain.back(frame.number, layer) else {
            self.miss(frame.number, layer);
            return if layer == 0 { Written::KeyFrameNeeded } else { Written::Dropped };
        };
        let (group, priority) = (self.group, self.priority(layer));
        let begins = match layer {
            0 => Some(false),
            _ => self.uplink.upper(group, layer, priority, way.now.mono, way.session, way.outlet),
        };
        let Some(begins) = begins else {
            self.miss(frame.number, layer);
            return Written::Dropped;
        };
        let object = self.object;
        self.object += 1;
        let frame = Frame { back, ..frame };
        let Ok(sealed) = sealer.seal(self.stream, &self.identity(place, group, object, layer), &frame.encode()) else {
            self.miss(frame.number, layer);
            return Written::Dropped;
        };
        self.chain.on_frame(frame.number, layer, true);
        if begins {
            self.uplink.push(layer, GroupHeader { alias, group, layer, flags: 0, priority }.encode(), way.now.mono);
        }
        self.enqueue(layer, object, sealed, way.now);
        self.flush(layer, way)
    }

    fn enqueue(&mut self, layer: u8, object: u64, sealed: Bytes, now: Now) {
        self.uplink.push(layer, GroupHeader::object_head(object, sealed.len()), now.mono);
        self.uplink.push(layer, sealed, now.mono);
    }

    /// Sends what goes; says what became of the frame of this layer that was enqueued last.
    fn flush<O: Outlet>(&mut self, layer: u8, way: Way<'_, O>) -> Written {
        match self.uplink.flush(way.now.mono, way.session, way.outlet) {
            Queued::Fine => Written::Sent,
            Queued::Cut(lowest) => {
                self.chain.on_cut(lowest);
                if layer < lowest { Written::Sent } else { Written::Dropped }
            }
            Queued::Gone => {
                self.needs_key = true;
                Written::Dropped
            }
            Queued::GivenUp => {
                self.needs_key = true;
                Written::KeyFrameNeeded
            }
        }
    }
}

/// A name that says nothing.
pub(crate) fn random_track(rng: &mut ChaCha20Rng) -> TrackId {
    loop {
        let id = TrackId(rng.next_u64());
        if !id.is_reserved() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests;

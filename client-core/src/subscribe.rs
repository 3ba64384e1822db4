//! What arrives: pieces to whole objects, objects to tracks, frames to their order.
//!
//! An object may overtake the answer that says which track it is of: it waits for a moment, in bounded memory. A media
//! track belongs to whoever's signed catalog names it, and a frame to the leaf that its KID names: if two catalogs name
//! one track, each gets their own frames and nobody else's.

mod assembly;
mod order;
mod wanted;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    io::StreamKey,
    wire::{object::ObjectHeader, stream::Piece},
};

use self::{
    assembly::Assembly,
    order::{Frames, Order, Placed, Ready},
};
pub(crate) use self::{
    assembly::TooMuch,
    wanted::{Wanted, What},
};
use crate::{
    api::{Event, InFrame, OpenError, ParticipantId, RemoteTrack, Trust},
    catalog::Line,
    frame::Frame,
    sframe::Kid,
};

/// How long an object waits for its track's name.
const EARLY_FOR: Duration = Duration::from_secs(2);
/// Objects that may wait so, and their bytes.
const MAX_EARLY: usize = 1_024;
/// See [`MAX_EARLY`].
const MAX_EARLY_BYTES: usize = 4 * 1024 * 1024;

struct Early {
    until: Duration,
    header: ObjectHeader,
    payload: Bytes,
}

/// A whole object of a track that we want.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// What the track is to us.
    pub(crate) what: What,
    /// The track.
    pub(crate) track: TrackId,
    /// Where the object stands.
    pub(crate) header: ObjectHeader,
    /// Sealed.
    pub(crate) payload: Bytes,
}

/// Somebody's word that a track is theirs.
struct Claim {
    participant: ParticipantId,
    line: Line,
    order: Order,
    trust: Trust,
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Given {
    /// It is in its place, and given to the application in its turn.
    Placed,
    /// Nothing of the stream is given to the application.
    Withheld,
}

/// Everything that we receive.
pub(crate) struct Subscriber {
    /// Which tracks.
    pub(crate) wanted: Wanted,
    assembly: Assembly,
    early: VecDeque<Early>,
    early_bytes: usize,
    claims: BTreeMap<(TrackId, u16), Claim>,
}

impl Subscriber {
    /// Follows the log from this entry.
    pub(crate) fn new(next_entry: u64, now: Duration) -> Self {
        Self {
            wanted: Wanted::new(next_entry, now),
            assembly: Assembly::default(),
            early: VecDeque::new(),
            early_bytes: 0,
            claims: BTreeMap::new(),
        }
    }

    /// The session is gone, and with it all that was half there.
    pub(crate) fn on_lost(&mut self, now: Duration) {
        self.wanted.on_lost(now);
        self.assembly = Assembly::default();
        self.early.clear();
        self.early_bytes = 0;
    }

    /// A piece of a stream: gives the object that it completes. On an error the stream is not read any further.
    pub(crate) fn on_piece(&mut self, now: Duration, stream: StreamKey, piece: Piece) -> Result<Option<Arrived>, TooMuch> {
        match piece {
            Piece::Group(header) => self.assembly.on_group(stream, header).map(|()| None),
            Piece::Part { object, len, offset, bytes } => {
                let whole = self.assembly.on_part(stream, object, len, offset, &bytes)?;
                Ok(whole.and_then(|(header, payload)| self.on_object(now, header, payload)))
            }
            Piece::Reliable { header, payload } => Ok(self.on_object(now, header, payload)),
        }
    }

    /// A stream ended.
    pub(crate) fn on_stream_ended(&mut self, stream: StreamKey) {
        self.assembly.forget(stream);
    }

    /// A whole object: gives it back with its track, or keeps it until the track is known.
    pub(crate) fn on_object(&mut self, now: Duration, header: ObjectHeader, payload: Bytes) -> Option<Arrived> {
        let Some((track, what)) = self.wanted.track(header.alias) else {
            let len = payload.len();
            self.early_bytes += len;
            self.early.push_back(Early { until: now + EARLY_FOR, header, payload });
            self.trim_early(now);
            return None;
        };
        self.arrived(track, what, header, payload)
    }

    fn arrived(&mut self, track: TrackId, what: What, header: ObjectHeader, payload: Bytes) -> Option<Arrived> {
        let new = match what {
            What::Log | What::Reliable => self.wanted.is_new(track, header.object),
            // The directory's objects begin again in each group, knocks are told apart by their ids, and media by the
            // replay window.
            What::Directory | What::Requests | What::Media => true,
        };
        new.then_some(Arrived { what, track, header, payload })
    }

    fn trim_early(&mut self, now: Duration) {
        while let Some(oldest) = self.early.front() {
            if oldest.until > now && self.early.len() <= MAX_EARLY && self.early_bytes <= MAX_EARLY_BYTES {
                return;
            }
            self.early_bytes -= oldest.payload.len();
            self.early.pop_front();
        }
    }

    /// The relay sends a track now: gives what had overtaken the answer. `None`: it is not wanted any more.
    pub(crate) fn on_subscribed(&mut self, now: Duration, track: TrackId, alias: Alias) -> Option<Vec<Arrived>> {
        if !self.wanted.on_subscribed(track, alias) {
            return None;
        }
        for (_, claim) in self.claims.range_mut((track, 0)..=(track, u16::MAX)) {
            claim.order.on_subscribed(now);
        }
        let (ours, others) = std::mem::take(&mut self.early).into_iter().partition(|early| early.header.alias == alias);
        self.early = others;
        self.early_bytes = self.early.iter().map(|early| early.payload.len()).sum();
        let ours: VecDeque<Early> = ours;
        let what = self.wanted.track(alias)?.1;
        Some(ours.into_iter().filter_map(|early| self.arrived(track, what, early.header, early.payload)).collect())
    }

    /// Somebody's catalog names a track, or says something else of it than before.
    pub(crate) fn claim(&mut self, now: Duration, participant: ParticipantId, line: Line) -> Event {
        let mut remote =
            RemoteTrack { participant, track: line.track, media: line.media.clone(), muted: line.muted, trust: Trust::Fresh };
        if let Some(claim) = self.claims.get_mut(&(line.track, participant.leaf()))
            && (claim.participant, claim.line.stream) == (participant, line.stream)
            && claim.line.media.is_audio() == line.media.is_audio()
        {
            // The same track: its frames go on as they were.
            claim.order.is(Frames::of(&line.media));
            claim.line = line;
            remote.trust = claim.trust;
            return Event::TrackChanged(remote);
        }
        self.wanted.want_media(line.track, now);
        let order = Order::new(Frames::of(&line.media), now);
        self.claims.insert((line.track, participant.leaf()), Claim { participant, line, order, trust: Trust::Fresh });
        Event::TrackPublished(remote)
    }

    /// The tracks that a participant claims.
    pub(crate) fn tracks_of(&self, participant: ParticipantId) -> Vec<TrackId> {
        self.claims.iter().filter(|(_, claim)| claim.participant == participant).map(|((track, _), _)| *track).collect()
    }

    /// Follows a track as long as one of those who claim it is wanted, by leaf and whether it is sound: the alias to
    /// unsubscribe when none is. What waits of it begins anew either way.
    pub(crate) fn mind(&mut self, now: Duration, track: TrackId, wants: impl Fn(u16, bool) -> bool) -> Option<Alias> {
        let mut wanted = false;
        for ((_, leaf), claim) in self.claims.range_mut((track, 0)..=(track, u16::MAX)) {
            wanted |= wants(*leaf, claim.line.media.is_audio());
            claim.order = Order::new(Frames::of(&claim.line.media), now);
        }
        if wanted {
            self.wanted.want_media(track, now);
            return None;
        }
        self.wanted.drop_media(track)
    }

    /// Somebody's catalog does not name it any more: the event, and the alias to unsubscribe.
    pub(crate) fn unclaim(&mut self, leaf: u16, track: TrackId) -> Option<(Event, Option<Alias>)> {
        let claim = self.claims.remove(&(track, leaf))?;
        let others = self.claims.range((track, 0)..=(track, u16::MAX)).next().is_some();
        let alias = if others { None } else { self.wanted.drop_media(track) };
        Some((Event::TrackUnpublished { participant: claim.participant, track }, alias))
    }

    /// Every track that somebody claims.
    pub(crate) fn tracks(&self) -> Vec<RemoteTrack> {
        let remote = |claim: &Claim| RemoteTrack {
            participant: claim.participant,
            track: claim.line.track,
            media: claim.line.media.clone(),
            muted: claim.line.muted,
            trust: claim.trust,
        };
        self.claims.values().map(remote).collect()
    }

    /// Who claims which track.
    pub(crate) fn publishers(&self) -> impl Iterator<Item = (ParticipantId, TrackId)> {
        self.claims.iter().map(|((track, _), claim)| (claim.participant, *track))
    }

    /// Whether a participant publishes a track, and how it is marked.
    pub(crate) fn alias_of(&self, participant: ParticipantId, track: TrackId) -> Option<Alias> {
        let claim = self.claims.get(&(track, participant.leaf()))?;
        if claim.participant == participant { self.wanted.alias(track) } else { None }
    }

    /// Whether a frame that was opened is of the track that it came on.
    pub(crate) fn is_theirs(&self, arrived: &Arrived, kid: Kid) -> Result<(), OpenError> {
        let claim = self.claims.get(&(arrived.track, kid.leaf)).ok_or(OpenError::UnknownSender)?;
        if claim.line.stream == kid.stream { Ok(()) } else { Err(OpenError::WrongObject) }
    }

    /// What authentication that fails means: an object of another of the tracks of whoever it names, or bytes that nobody
    /// sealed. The name is not authentic, so this explains and decides nothing.
    pub(crate) fn explain(&self, track: TrackId, kid: Kid) -> OpenError {
        let moved =
            |((of, leaf), claim): (&(TrackId, u16), &Claim)| *leaf == kid.leaf && claim.line.stream == kid.stream && *of != track;
        if self.claims.iter().any(moved) { OpenError::WrongObject } else { OpenError::Damaged }
    }

    /// A frame of a picture came damaged or in the wrong place: whether a key frame is to be asked for because of that, and under
    /// which alias.
    pub(crate) fn repair(&mut self, track: TrackId, now: Duration) -> Option<Alias> {
        let mut claims = self.claims.range_mut((track, 0)..=(track, u16::MAX));
        let due = claims.any(|(_, claim)| !claim.is_muted() && claim.order.on_damaged(now));
        due.then(|| self.wanted.alias(track)).flatten()
    }

    /// Something else is known of who sends on a stream. What was muted shows nothing of before when it is heard again.
    pub(crate) fn on_trust(&mut self, leaf: u16, stream: u8, trust: Trust, now: Duration) -> Vec<Event> {
        let claims = self.claims.iter_mut().filter(|((_, of), claim)| *of == leaf && claim.line.stream == stream);
        claims.filter_map(|(_, claim)| claim.on_trust(trust, now)).collect()
    }

    /// Nothing is known any more of who sends on this leaf's streams.
    pub(crate) fn trust_anew(&mut self, leaf: u16, now: Duration) -> Vec<Event> {
        let of_leaf = self.claims.iter_mut().filter(|((_, of), _)| *of == leaf);
        of_leaf.filter_map(|(_, claim)| claim.on_trust(Trust::Fresh, now)).collect()
    }

    /// A frame was opened that is of this track: see [`Subscriber::is_theirs`].
    pub(crate) fn on_frame(
        &mut self,
        now: Duration,
        arrived: &Arrived,
        kid: Kid,
        frame: Frame,
        events: &mut VecDeque<Event>,
    ) -> Given {
        let claim = self.claims.get_mut(&(arrived.track, kid.leaf)).filter(|claim| !claim.is_muted());
        let Some(claim) = claim else { return Given::Withheld };
        let ObjectHeader { group, object, layer, .. } = arrived.header;
        let placed = Placed { frame, group, object, layer };
        let mut ready = Vec::new();
        claim.order.push(now, placed, &mut ready);
        claim.tell(ready, events);
        Given::Placed
    }

    /// Time has passed: gives up what did not come; gives the tracks whose senders have to be asked for a key frame.
    pub(crate) fn on_timeout(&mut self, now: Duration, events: &mut VecDeque<Event>) -> Vec<Alias> {
        self.trim_early(now);
        let mut aliases = Vec::new();
        for claim in self.claims.values_mut() {
            if claim.is_muted() {
                continue;
            }
            let mut ready = Vec::new();
            claim.order.on_timeout(now, &mut ready);
            claim.tell(ready, events);
            let alias = self.wanted.alias(claim.line.track);
            if claim.order.wants_key_frame(now) {
                aliases.extend(alias);
            }
        }
        aliases
    }

    /// When something is due.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let early = self.early.front().map(|early| early.until);
        let heard = self.claims.values().filter(|claim| !claim.is_muted());
        let orders = heard.filter_map(|claim| claim.order.next_timeout()).min();
        [early, orders, self.wanted.next_timeout()].into_iter().flatten().min()
    }

    /// Bytes and objects that wait for their track's name.
    #[cfg(test)]
    pub(crate) fn early(&self) -> (usize, usize) {
        (self.early_bytes, self.early.len())
    }
}

impl Claim {
    const fn is_muted(&self) -> bool {
        matches!(self.trust, Trust::Muted(_))
    }

    fn on_trust(&mut self, trust: Trust, now: Duration) -> Option<Event> {
        if self.trust == trust {
            return None;
        }
        let was_muted = self.is_muted();
        self.trust = trust;
        if was_muted != self.is_muted() {
            self.order = Order::new(Frames::of(&self.line.media), now);
            self.order.on_subscribed(now);
        }
        Some(Event::TrackTrust { participant: self.participant, track: self.line.track, trust })
    }

    fn tell(&self, ready: Vec<Ready>, events: &mut VecDeque<Event>) {
        let (participant, track) = (self.participant, self.line.track);
        let mut lost = 0;
        for ready in ready {
            match ready {
                Ready::Lost(count) => lost += count,
                Ready::Frame(placed) => {
                    if lost > 0 {
                        events.push_back(Event::FramesLost { participant, track, count: std::mem::take(&mut lost) });
                    }
                    events.push_back(Event::Frame(InFrame {
                        participant,
                        track,
                        captured_us: placed.frame.captured_us,
                        key: placed.frame.is_key(),
                        data: placed.frame.data,
                        layer: placed.layer,
                        group: placed.group,
                        object: placed.object,
                    }));
                }
            }
        }
        if lost > 0 {
            events.push_back(Event::FramesLost { participant, track, count: lost });
        }
    }
}

#[cfg(test)]
mod tests;

//! One person of the world: their client, their clock, and the application in front of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use conclave_client_core::{
    Client,
    api::{Codec, Command, Config, CreateRoom, Entry, LocalTrack, Media, Mode, OutFrame, Participant, ParticipantId, Profile},
    link::Link,
};
use conclave_federation::io::Now;

use super::UNIX_START;
use crate::{
    chance::Chance,
    check::{Frame, FrameKey, PersonNo, Writers},
    net::HostId,
    trace::digest,
};

/// Tracks of everybody: a voice and a face.
pub(super) const TRACKS: [LocalTrack; 2] = [LocalTrack(0), LocalTrack(1)];

/// Time between frames of a voice; five times what Opus has, because virtual people need not sound well.
const AUDIO_EVERY: Duration = Duration::from_millis(100);
/// Time between frames of a face.
const VIDEO_EVERY: Duration = Duration::from_millis(200);
/// Frames of a face from one key frame to the next, when nobody asks.
const KEY_EVERY: u64 = 15;

/// Whom a room holds: a storm of a hundred fits.
const MOST: u16 = 128;

/// Where a person stands, as the script and their client say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// Not there yet.
    Away,
    /// On the way in.
    Coming,
    /// In the room.
    In,
    /// Leaving: said so, and waits for the end.
    Leaving,
    /// Dead, or gone.
    Gone,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Track {
    pub(super) published: bool,
    /// A timer for the next frame is out.
    pub(super) running: bool,
    pub(super) next: u64,
    pub(super) since_key: u64,
    pub(super) key_wanted: bool,
    /// The frame that the newest one needs.
    pub(super) needs: Option<u64>,
    /// The newest frame of the base layer.
    base: Option<u64>,
}

pub(super) struct Person {
    pub(super) number: PersonNo,
    pub(super) host: HostId,
    /// The relay they go through.
    pub(super) entry: usize,
    pub(super) client: Option<Client>,
    pub(super) stage: Stage,
    /// Counts clients; what was meant for an earlier one is thrown away.
    pub(super) life: u64,
    pub(super) wake: Option<Duration>,
    pub(super) me: Option<ParticipantId>,
    /// Whether their relay is there.
    pub(super) connected: bool,
    /// On the way back to another leaf: the client knows more than the application.
    pub(super) between: bool,
    /// All that this client was in this call.
    pub(super) was: BTreeSet<ParticipantId>,
    /// The same of all their clients: whom others know them as.
    pub(super) names: BTreeSet<ParticipantId>,
    pub(super) roster: BTreeMap<ParticipantId, Participant>,
    pub(super) epoch: u64,
    /// The first epoch of their leaf.
    pub(super) since: u64,
    pub(super) code: String,
    pub(super) tracks: [Track; 2],
    /// Why the last attempt to come in failed.
    pub(super) trouble: Option<String>,
    born: Duration,
    skew_ms: u64,
    members: Option<Rc<BTreeSet<ParticipantId>>>,
}

impl Person {
    pub(super) fn new(number: usize, host: HostId, entry: usize, chance: &mut Chance) -> Self {
        Self {
            number: PersonNo(number),
            host,
            entry,
            client: None,
            stage: Stage::Away,
            life: 0,
            wake: None,
            me: None,
            connected: false,
            between: false,
            was: BTreeSet::new(),
            names: BTreeSet::new(),
            roster: BTreeMap::new(),
            epoch: 0,
            since: 0,
            code: String::new(),
            tracks: [Track::default(); 2],
            trouble: None,
            born: Duration::ZERO,
            skew_ms: chance.below(40_000),
            members: None,
        }
    }

    pub(super) fn name(number: PersonNo) -> String {
        format!("person {}", number.0)
    }

    /// Starts a client: with a link it joins, without it founds a room.
    pub(super) fn start(&mut self, now: Duration, link: Option<Link>, entry: Entry, mode: Mode, chance: &mut Chance) {
        let config =
            Config { seed: chance.bytes(), profile: Profile { name: Self::name(self.number) }, entry, known: Vec::new() };
        self.client = Some(match link {
            Some(link) => Client::join(config, link),
            None => Client::create(config, CreateRoom { title: "simulated".into(), max_members: MOST, mode }),
        });
        self.stage = Stage::Coming;
        self.life += 1;
        self.born = now;
        self.wake = Some(now);
        self.me = None;
        self.connected = false;
        self.between = false;
        self.was.clear();
        self.set_roster([]);
        for track in &mut self.tracks {
            *track = Track { next: track.next, ..Track::default() };
        }
    }

    /// The client is no more.
    pub(super) fn stop(&mut self, stage: Stage) {
        self.client = None;
        self.wake = None;
        self.stage = stage;
    }

    pub(super) fn clock(&self, now: Duration) -> Now {
        let mono = now.saturating_sub(self.born);
        Now { mono, unix_ms: UNIX_START + self.skew_ms + u64::try_from(now.as_millis()).unwrap_or(u64::MAX) }
    }

    pub(super) fn world_time(&self, mono: Duration) -> Duration {
        self.born + mono
    }

    pub(super) fn set_roster(&mut self, roster: impl IntoIterator<Item = Participant>) {
        self.roster = roster.into_iter().map(|participant| (participant.id, participant)).collect();
        self.members = None;
    }

    pub(super) fn change_roster(&mut self, change: impl FnOnce(&mut BTreeMap<ParticipantId, Participant>)) {
        change(&mut self.roster);
        self.members = None;
    }

    /// Who is in the room, as this person sees it.
    pub(super) fn members(&mut self) -> Rc<BTreeSet<ParticipantId>> {
        let roster = &self.roster;
        Rc::clone(self.members.get_or_insert_with(|| Rc::new(roster.keys().copied().collect())))
    }

    /// In which epoch frames are written now, as far as the application knows.
    pub(super) fn writers(&mut self) -> Option<Writers> {
        (!self.between).then(|| Writers { epoch: self.epoch, members: self.members() })
    }

    /// What the application publishes as soon as it is in.
    pub(super) fn publish(track: usize, layers: u8) -> Command {
        let media = if track == 0 { Media::microphone() } else { Media { layers, ..Media::camera(Codec::Vp8, 320, 240) } };
        Command::Publish { track: TRACKS[track], media }
    }

    /// Time to the next frame of a track.
    pub(super) const fn pace(track: usize) -> Duration {
        if track == 0 { AUDIO_EVERY } else { VIDEO_EVERY }
    }

    /// The next frame of a track, as it is remembered and as the application writes it.
    pub(super) fn next_frame(
        &mut self,
        now: Duration,
        track: usize,
        layers: u8,
        chance: &mut Chance,
    ) -> (FrameKey, Frame, OutFrame) {
        let captured_us = self.clock(now).unix_ms * 1_000;
        let state = &mut self.tracks[track];
        let key = track == 0 || state.key_wanted || state.next == 0 || state.since_key >= KEY_EVERY;
        state.since_key = if key { 1 } else { state.since_key + 1 };
        state.key_wanted &= !key;
        let len = match (track, key) {
            (0, _) => 60 + chance.index(140),
            (_, true) => 3_000 + chance.index(20_000),
            (_, false) => 300 + chance.index(3_000),
        };
        let name = FrameKey { author: self.number, track: TRACKS[track].0, number: state.next };
        // The key frame is the first of its group.
        let layer = if state.since_key.is_multiple_of(2) && !key { layers - 1 } else { 0 };
        state.needs = if key { None } else { state.base };
        if layer == 0 {
            state.base = Some(state.next);
        }
        state.next += 1;
        let data = Bytes::from(name.data(len));
        let frame = Frame { digest: digest(&data), captured_us, key, layer };
        (name, frame, OutFrame { data, captured_us, key, layer, level: 0 })
    }
}

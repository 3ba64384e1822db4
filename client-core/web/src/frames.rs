//! When each frame is to be heard or shown: one playout for each track of the others.

use std::{collections::BTreeMap, time::Duration};

use conclave_client_core::api::{Event, InFrame, ParticipantId, RemoteTrack};
use conclave_federation::{id::TrackId, io::Now};

/// How a frame is to be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Played {
    /// After this delay from its arrival on, with so many frames missing before it.
    Sound { lost: u64, target: Duration },
    /// At this moment on the `mono` line; too late to be shown, when `late`.
    Picture { due: Duration, late: bool },
}

#[derive(Debug)]
enum Playout {
    Sound { lost: u64 },
    Picture,
}

/// The tracks of the others; as many as the core knows, which bounds them.
#[derive(Default, Debug)]
pub(crate) struct Frames {
    tracks: BTreeMap<(ParticipantId, TrackId), Playout>,
}

impl Frames {
    /// Learns what comes and goes.
    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Joined { tracks, .. } => {
                self.tracks.clear();
                for track in tracks {
                    self.add(track);
                }
            }
            Event::TrackPublished(track) => self.add(track),
            Event::TrackUnpublished { participant, track } => {
                self.tracks.remove(&(*participant, *track));
            }
            Event::ParticipantLeft { id, .. } => self.tracks.retain(|(of, _), _| of != id),
            Event::FramesLost { participant, track, count } => {
                if let Some(Playout::Sound { lost }) = self.tracks.get_mut(&(*participant, *track)) {
                    *lost = lost.saturating_add(*count);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, track: &RemoteTrack) {
        let playout = if track.media.is_audio() { Playout::Sound { lost: 0 } } else { Playout::Picture };
        self.tracks.insert((track.participant, track.track), playout);
    }

    /// When to play a frame that came now; `None` when nobody published its track.
    pub(crate) fn on_frame(&mut self, now: Now, frame: &InFrame) -> Option<Played> {
        Some(match self.tracks.get_mut(&(frame.participant, frame.track))? {
            Playout::Sound { lost } => Played::Sound { lost: std::mem::take(lost), target: Duration::from_millis(60) },
            Playout::Picture => Played::Picture { due: now.mono, late: false },
        })
    }

    /// Whose track this is, by the number that JavaScript knows them by.
    pub(crate) fn owner(&self, participant: u32, track: TrackId) -> Option<ParticipantId> {
        self.tracks.keys().find(|(of, on)| of.get() == participant && *on == track).map(|(of, _)| *of)
    }
}

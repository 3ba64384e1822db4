//! When each frame is to be heard or shown: one playout for each track of the others, pictures with the voice of whoever
//! sends them.

use std::{collections::BTreeMap, time::Duration};

use conclave_client_core::{
    api::{Event, InFrame, Kind, ParticipantId, RemoteTrack},
    playout::{Picture, Sound},
};
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
struct Voice {
    kind: Kind,
    playout: Sound,
    /// Frames that were lost since the last one that came.
    lost: u64,
}

#[derive(Debug)]
struct Face {
    kind: Kind,
    playout: Picture,
}

/// The tracks of the others: as many as the core tells of, which bounds them.
#[derive(Default, Debug)]
pub(crate) struct Frames {
    voices: BTreeMap<(ParticipantId, TrackId), Voice>,
    faces: BTreeMap<(ParticipantId, TrackId), Face>,
}

impl Frames {
    /// Learns what comes and goes.
    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Joined { tracks, .. } => {
                *self = Self::default();
                tracks.iter().for_each(|track| self.add(track));
            }
            Event::TrackPublished(track) => self.add(track),
            Event::TrackUnpublished { participant, track } => {
                self.voices.remove(&(*participant, *track));
                self.faces.remove(&(*participant, *track));
            }
            Event::ParticipantLeft { id, .. } => {
                self.voices.retain(|(of, _), _| of != id);
                self.faces.retain(|(of, _), _| of != id);
            }
            Event::FramesLost { participant, track, count } => {
                if let Some(voice) = self.voices.get_mut(&(*participant, *track)) {
                    voice.lost = voice.lost.saturating_add(*count);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, track: &RemoteTrack) {
        let (key, kind) = ((track.participant, track.track), track.media.kind);
        if track.media.is_audio() {
            self.voices.insert(key, Voice { kind, playout: Sound::new(), lost: 0 });
        } else {
            self.faces.insert(key, Face { kind, playout: Picture::new() });
        }
    }

    /// When to play a frame that came now; `None` when nobody published its track.
    pub(crate) fn on_frame(&mut self, now: Now, frame: &InFrame) -> Option<Played> {
        let key = (frame.participant, frame.track);
        if let Some(voice) = self.voices.get_mut(&key) {
            let lost = std::mem::take(&mut voice.lost);
            let target = voice.playout.on_frame(now.mono, frame.captured_us, lost).delay;
            return Some(Played::Sound { lost, target });
        }
        let Self { voices, faces } = self;
        let face = faces.get_mut(&key)?;
        let sound = voice_of(voices, frame.participant, face.kind);
        let due = face.playout.on_frame(now.mono, frame.captured_us, sound);
        Some(Played::Picture { due: due.at, late: due.late })
    }

    /// Whose track this is, by the number that JavaScript knows them by.
    pub(crate) fn owner(&self, participant: u32, track: TrackId) -> Option<ParticipantId> {
        let mut keys = self.faces.keys().chain(self.voices.keys());
        keys.find(|(of, on)| of.get() == participant && *on == track).map(|(of, _)| *of)
    }
}

/// What is to be heard with pictures of this kind: a screen's own sound with a screen, if there is any, else the voice.
fn voice_of(voices: &BTreeMap<(ParticipantId, TrackId), Voice>, of: ParticipantId, kind: Kind) -> Option<&Sound> {
    let theirs = || voices.range((of, TrackId(0))..=(of, TrackId(u64::MAX))).map(|(_, voice)| voice);
    let first = |kind: Kind| theirs().find(|voice| voice.kind == kind).map(|voice| &voice.playout);
    match kind {
        Kind::Screen => first(Kind::ScreenAudio).or_else(|| first(Kind::Microphone)),
        Kind::Microphone | Kind::Camera | Kind::ScreenAudio | Kind::Data => first(Kind::Microphone),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave_client_core::api::{Codec, Departure, Media, Trust};

    use super::*;

    /// What their clock says when ours begins, microseconds.
    const THEIRS: u64 = 1_800_000_000_000_000;

    fn who(number: u8) -> ParticipantId {
        ParticipantId::of_leaf(u16::from(number), &[number; 32])
    }

    fn published(of: ParticipantId, track: u64, media: Media) -> Event {
        Event::TrackPublished(RemoteTrack { participant: of, track: TrackId(track), media, muted: false, trust: Trust::Fresh })
    }

    fn frame(of: ParticipantId, track: u64, captured_ms: u64) -> InFrame {
        InFrame {
            participant: of,
            track: TrackId(track),
            data: Bytes::new(),
            captured_us: THEIRS + captured_ms * 1_000,
            key: false,
            layer: 0,
            group: 0,
            object: 0,
        }
    }

    fn at(ms: u64) -> Now {
        Now { mono: Duration::from_millis(ms), unix_ms: 0 }
    }

    fn in_a_call() -> Frames {
        let mut frames = Frames::default();
        frames.on_event(&published(who(1), 20, Media::microphone()));
        frames.on_event(&published(who(1), 21, Media::camera(Codec::Vp8, 320, 180)));
        frames
    }

    #[test]
    fn what_was_lost_is_told_once_with_the_next_frame_of_sound() {
        let mut frames = in_a_call();
        for count in [2, 1] {
            frames.on_event(&Event::FramesLost { participant: who(1), track: TrackId(20), count });
        }
        assert!(matches!(frames.on_frame(at(30), &frame(who(1), 20, 0)), Some(Played::Sound { lost: 3, .. })));
        assert!(matches!(frames.on_frame(at(50), &frame(who(1), 20, 20)), Some(Played::Sound { lost: 0, .. })));
    }

    #[test]
    fn a_picture_waits_for_the_words_of_its_own_sender() {
        let mut frames = in_a_call();
        frames.on_event(&published(who(2), 21, Media::camera(Codec::Vp8, 320, 180)));
        let mut held = Duration::ZERO;
        for captured in (0..1_000).step_by(20) {
            let played = frames.on_frame(at(captured + 30), &frame(who(1), 20, captured));
            let Some(Played::Sound { target, .. }) = played else { panic!("{played:?}") };
            held = target;
        }
        let due = |frames: &mut Frames, of| match frames.on_frame(at(1_030), &frame(of, 21, 1_000)) {
            Some(Played::Picture { due, late: false }) => due,
            other => panic!("{other:?}"),
        };
        let spoken = due(&mut frames, who(1));
        assert!(spoken.abs_diff(at(1_030).mono + held) < Duration::from_millis(5), "{spoken:?} with {held:?}");
        assert_eq!(due(&mut frames, who(2)), at(1_030).mono, "nobody speaks there");
    }

    #[test]
    fn a_screen_goes_with_its_own_sound_or_else_with_the_voice() {
        let mut frames = in_a_call();
        let has = |frames: &Frames, kind| voice_of(&frames.voices, who(1), kind).is_some();
        assert!(has(&frames, Kind::Screen) && has(&frames, Kind::Camera));
        frames.on_event(&Event::TrackUnpublished { participant: who(1), track: TrackId(20) });
        assert!(!has(&frames, Kind::Screen));
        frames.on_event(&published(who(1), 23, Media { kind: Kind::ScreenAudio, ..Media::microphone() }));
        assert!(has(&frames, Kind::Screen) && !has(&frames, Kind::Camera));
    }

    #[test]
    fn who_left_is_forgotten_and_tracks_that_nobody_published_are_not_played() {
        let mut frames = in_a_call();
        assert_eq!(frames.owner(who(1).get(), TrackId(21)), Some(who(1)));
        assert_eq!(frames.owner(who(1).get(), TrackId(99)), None);
        assert_eq!(frames.on_frame(at(1), &frame(who(1), 99, 0)), None);
        frames.on_event(&Event::ParticipantLeft { id: who(1), how: Departure::Left });
        assert_eq!(frames.on_frame(at(1), &frame(who(1), 20, 0)), None);
        assert!(frames.voices.is_empty() && frames.faces.is_empty());
    }
}

//! What is published, and the frames of it.

use std::fmt;

use bytes::Bytes;
use conclave_federation::id::TrackId;

use super::{ParticipantId, Trust};

/// The application's own number for a track that it publishes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LocalTrack(pub u32);

/// What a track carries; known to participants, unknown to relays.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Where it comes from.
    pub kind: Kind,
    /// How it is encoded.
    pub codec: Codec,
    /// A name for people; at most [`Media::MAX_LABEL`] bytes, longer ones are cut.
    pub label: String,
    /// Pixels; 0 for sound and data.
    pub width: u16,
    /// Pixels; 0 for sound and data.
    pub height: u16,
    /// Temporal layers, 1 to [`Media::MAX_LAYERS`]; others are brought into these bounds. Sound has one. The only thing of
    /// all these that relays are told.
    pub layers: u8,
}

impl Media {
    /// Longest label, in bytes.
    pub const MAX_LABEL: usize = 64;

    /// Most temporal layers.
    pub const MAX_LAYERS: u8 = 4;

    /// Sound from a microphone.
    #[must_use]
    pub fn microphone() -> Self {
        Self { kind: Kind::Microphone, codec: Codec::Opus, label: String::new(), width: 0, height: 0, layers: 1 }
    }

    /// Pictures from a camera.
    #[must_use]
    pub const fn camera(codec: Codec, width: u16, height: u16) -> Self {
        Self { kind: Kind::Camera, codec, label: String::new(), width, height, layers: 1 }
    }

    /// Pictures of a screen.
    #[must_use]
    pub const fn screen(codec: Codec, width: u16, height: u16) -> Self {
        Self { kind: Kind::Screen, codec, label: String::new(), width, height, layers: 1 }
    }

    /// Whether its frames stand alone and travel as datagrams.
    #[must_use]
    pub const fn is_audio(&self) -> bool {
        match self.codec {
            Codec::Opus => true,
            Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::H264 | Codec::Raw => false,
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Media").field("kind", &self.kind).field("codec", &self.codec).finish_non_exhaustive()
    }
}

/// Where a track comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// A screen.
    Screen,
    /// The sound of a screen.
    ScreenAudio,
    /// Anything else.
    Data,
}

/// How a track is encoded. The SDK carries encoded frames and never looks into them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// RFC 6716.
    Opus,
    /// RFC 6386.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// H.264.
    H264,
    /// The application's own bytes.
    Raw,
}

/// A frame to send.
#[derive(Clone)]
pub struct OutFrame {
    /// The encoded frame.
    pub data: Bytes,
    /// When it was captured, microseconds since 1970; travels inside the encryption.
    pub captured_us: u64,
    /// Whether it can be decoded alone; begins a new group. Always true of sound.
    pub key: bool,
    /// Its temporal layer, below [`Media::layers`]: it needs frames of its own layer and of those below it, and of no other.
    /// 0 of key frames and of sound.
    pub layer: u8,
    /// Of sound: how surely somebody speaks, by the publisher's own voice detection, 0 to [`OutFrame::MAX_LEVEL`]; higher ones
    /// are cut. In rooms of more than eight relays see it beside the frame, so that they may prefer those who speak; in smaller
    /// ones nobody does.
    pub level: u8,
}

impl OutFrame {
    /// Highest [`OutFrame::level`]: two bits.
    pub const MAX_LEVEL: u8 = 3;
}

impl fmt::Debug for OutFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutFrame({} B, key: {}, layer: {})", self.data.len(), self.key, self.layer)
    }
}

/// A frame that was received and opened, in the order of its track.
#[derive(Clone)]
pub struct InFrame {
    /// Who sealed it.
    pub participant: ParticipantId,
    /// On which track.
    pub track: TrackId,
    /// The encoded frame.
    pub data: Bytes,
    /// When its sender captured it, microseconds since 1970 on the sender's clock.
    pub captured_us: u64,
    /// Whether it can be decoded alone.
    pub key: bool,
    /// Its temporal layer. All that it needs was delivered before it; frames of upper layers may be missing in between.
    pub layer: u8,
    /// Its group, as relays see it.
    pub group: u64,
    /// Its place in the group, as relays see it.
    pub object: u64,
}

impl fmt::Debug for InFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFrame")
            .field("participant", &self.participant)
            .field("track", &self.track)
            .field("len", &self.data.len())
            .field("key", &self.key)
            .field("layer", &self.layer)
            .field("group", &self.group)
            .field("object", &self.object)
            .finish()
    }
}

/// A track of somebody else, as their catalog describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemoteTrack {
    /// Whose.
    pub participant: ParticipantId,
    /// Which.
    pub track: TrackId,
    /// What it carries.
    pub media: Media,
    /// Whether its publisher says that nothing is to be heard or seen of it now.
    pub muted: bool,
    /// How sure it is that its frames are from its publisher; see [`super::Event::TrackTrust`].
    pub trust: Trust,
}

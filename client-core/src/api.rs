//! What an application says to a participant and hears from it. Plain values: nothing here decides anything.

mod error;
mod stats;

use std::fmt;

use bytes::Bytes;
use conclave_federation::{
    id::{OperatorId, RelayId, TrackId},
    io::Net,
};
use zeroize::Zeroize;

pub use self::{
    error::{ClientError, OpenError, Warning},
    stats::Stats,
};
use crate::link::Link;

/// How a participant is made.
pub struct Config {
    /// All randomness comes from here; fresh from the system for every client, the same again only in tests.
    pub seed: [u8; 32],
    /// What others see.
    pub profile: Profile,
    /// The one relay this client talks to.
    pub entry: Entry,
}

impl Drop for Config {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// What others see of a participant; self-asserted.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// At most [`Profile::MAX_NAME`] bytes; longer ones are cut.
    pub name: String,
}

impl Profile {
    /// Longest name, in bytes.
    pub const MAX_NAME: usize = 64;
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Profile(name of {} B)", self.name.len())
    }
}

/// The relay to connect to.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key it has to prove; `None` accepts the key that is met, and warns when the room does not name it.
    pub relay: Option<RelayId>,
    /// `host:port`, tried in order.
    pub addresses: Vec<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// A room to found.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateRoom {
    /// Shown to participants, unknown to relays; at most [`CreateRoom::MAX_TITLE`] bytes, longer ones are cut.
    pub title: String,
    /// At most this many participants; bounded by [`conclave_federation::limits::MAX_LEAVES`].
    pub max_members: u16,
}

impl CreateRoom {
    /// Longest title, in bytes.
    pub const MAX_TITLE: usize = 128;
}

impl fmt::Debug for CreateRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateRoom").field("max_members", &self.max_members).finish_non_exhaustive()
    }
}

/// What can happen to a client.
#[derive(Debug)]
pub enum Input {
    /// The network did something.
    Net(Net),
    /// The application wants something.
    Command(Command),
}

impl From<Net> for Input {
    fn from(net: Net) -> Self {
        Self::Net(net)
    }
}

impl From<Command> for Input {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

/// What the application wants.
#[derive(Debug)]
pub enum Command {
    /// Announce a track; answered by [`Event::Published`], or by [`Event::Warning`]. May come before [`Event::Joined`].
    Publish {
        /// The application's name for it; one in use means the same track with new properties.
        track: LocalTrack,
        /// What it carries.
        media: Media,
    },
    /// End a track.
    Unpublish {
        /// Which.
        track: LocalTrack,
    },
    /// Say whether a track is muted: others are told with the next catalog, by [`Event::TrackChanged`]. Whether frames are
    /// written meanwhile is the application's matter.
    Mute {
        /// Which.
        track: LocalTrack,
        /// Whether.
        muted: bool,
    },
    /// Send one encoded frame; dropped while nobody can take it (before `Published`, while reconnecting, on a full uplink).
    Write {
        /// On which track.
        track: LocalTrack,
        /// The frame.
        frame: OutFrame,
    },
    /// Say something to everybody; at most [`Command::MAX_CHAT`] bytes of UTF-8, longer ones are refused with a warning.
    Chat {
        /// The words.
        text: String,
    },
    /// Ask the publisher of a track for a key frame.
    RequestKeyFrame {
        /// Whose track.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
    },
    /// Leave; answered by [`Event::Ended`].
    Leave,
}

impl Command {
    /// Longest chat message, in bytes of UTF-8.
    pub const MAX_CHAT: usize = 4 * 1024;
}

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

/// A participant of this call: the leaf, and sixteen bits of its key's hash, so that the next one on the same leaf is
/// another. Equal at all participants; unique among those who are here at one time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(u32);

impl ParticipantId {
    /// Of the leaf at this index with this signature key.
    #[must_use]
    pub fn of_leaf(leaf: u16, key: &[u8; 32]) -> Self {
        let [a, b, ..] = conclave_federation::proof::sha256(&[b"conclave/1 participant", key]);
        Self(u32::from(leaf) << 16 | u32::from(u16::from_be_bytes([a, b])))
    }

    /// The leaf's index in the tree.
    #[must_use]
    pub const fn leaf(self) -> u16 {
        let [a, b, ..] = self.0.to_be_bytes();
        u16::from_be_bytes([a, b])
    }

    /// As one number, for tables and file names.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Participant({:08x})", self.0)
    }
}

/// Somebody in the room. Comes from the group's tree and nothing else: nobody is there unseen.
#[derive(Clone, PartialEq, Eq)]
pub struct Participant {
    /// Which one.
    pub id: ParticipantId,
    /// What they call themselves.
    pub name: String,
    /// Whether this is us.
    pub is_me: bool,
    /// Whether the group gives them a host's rights.
    pub host: bool,
    /// Whether they have been heard of lately.
    pub present: Presence,
    /// The epoch since which they have been here, as far as we were here ourselves.
    pub joined_epoch: u64,
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("id", &self.id)
            .field("is_me", &self.is_me)
            .field("host", &self.host)
            .field("present", &self.present)
            .field("joined_epoch", &self.joined_epoch)
            .finish_non_exhaustive()
    }
}

/// Whether somebody has been heard of lately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Presence {
    /// Yes.
    Here,
    /// Nothing for three heartbeats: shown grey, soon gone.
    Grey,
}

/// How somebody went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// By their own signed word.
    Left,
    /// Removed by the others, having been silent for too long.
    Reaped,
    /// They came back on another leaf: the same key follows with [`Event::ParticipantJoined`].
    Moved,
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
}

/// A relay that carries the call: what people see of the path. Of the relays that a track passes on its way, the first and
/// the last are known for sure: the publisher's is in the hub's directory, the entry relay is ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Which relay.
    pub relay: RelayId,
    /// Who runs it, and what they call themselves: of the entry relay, which proved its key, and of those whose operator's signed
    /// word participants pass on. Words that contradict each other are not told.
    pub operator: Option<(OperatorId, String)>,
    /// Where it is reached, if that is known.
    pub address: Option<String>,
    /// Whether it may order the room's log.
    pub hub: bool,
    /// Whether it is ours.
    pub entry: bool,
    /// How many of the others send their media through it, as far as their catalogs are known.
    pub publishers: usize,
}

impl Carrier {
    /// More than these are not told of.
    pub const MOST: usize = 64;

    /// The shortest time between two [`Event::Carriers`].
    pub const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("relay", &self.relay)
            .field("hub", &self.hub)
            .field("entry", &self.entry)
            .field("publishers", &self.publishers)
            .finish_non_exhaustive()
    }
}

/// What a participant tells its application: first [`Event::Joined`] with the whole state, then what changes.
#[derive(Debug)]
pub enum Event {
    /// The room exists; give others this link.
    RoomCreated {
        /// Whoever has it may come in.
        link: Link,
    },
    /// In the room. Comes again, with the whole state, when the way back led through a new leaf.
    Joined {
        /// Who we are.
        me: ParticipantId,
        /// The room's title.
        title: String,
        /// Everybody, us included.
        roster: Vec<Participant>,
        /// All tracks known by now; more follow as catalogs arrive.
        tracks: Vec<RemoteTrack>,
        /// The group's epoch.
        epoch: u64,
        /// 30 digits that are equal at everybody in this epoch.
        safety_code: String,
    },
    /// Somebody came.
    ParticipantJoined(Participant),
    /// Somebody turned grey, or came back.
    ParticipantChanged(Participant),
    /// Somebody is not in the room any more.
    ParticipantLeft {
        /// Who.
        id: ParticipantId,
        /// How.
        how: Departure,
    },
    /// Somebody publishes a track; it is subscribed already.
    TrackPublished(RemoteTrack),
    /// The publisher of a track says something else of it now: muted, or another label or size.
    TrackChanged(RemoteTrack),
    /// A track is no more.
    TrackUnpublished {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        track: TrackId,
    },
    /// A frame of somebody else.
    Frame(InFrame),
    /// Frames that will not come: never those from before we joined.
    FramesLost {
        /// Whose.
        participant: ParticipantId,
        /// On which track.
        track: TrackId,
        /// How many.
        count: u64,
    },
    /// An object that could not be opened, or was not what it claimed to be. At most one event a second for each reason.
    FrameRefused {
        /// On whose track, when that is known.
        participant: Option<ParticipantId>,
        /// Why.
        reason: OpenError,
    },
    /// Somebody says something; each message once.
    Chat {
        /// Who.
        from: ParticipantId,
        /// Which message.
        id: [u8; 16],
        /// The words.
        text: String,
        /// The sender's clock, milliseconds since 1970.
        unix_ms: u64,
    },
    /// The group moved on.
    Epoch {
        /// Its number.
        epoch: u64,
        /// 30 digits that are equal at everybody in this epoch.
        safety_code: String,
        /// Whether it was our own commit.
        committed: bool,
    },
    /// Somebody needs a key frame of this track: ask its encoder.
    KeyFrameWanted {
        /// Which.
        track: LocalTrack,
    },
    /// The track is announced: frames may be written.
    Published {
        /// Which.
        track: LocalTrack,
    },
    /// How it stands with the relay.
    Connection(ConnectionState),
    /// Which relays carry the call now, all of them each time: ours first, then hubs in their order, then by id. At most
    /// [`Carrier::MOST`], and at most one event in [`Carrier::PAUSE`].
    Carriers(Vec<Carrier>),
    /// Something that people should know, and that ends nothing.
    Warning(Warning),
    /// The last event.
    Ended(Ended),
}

/// How it stands with the relay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConnectionState {
    /// On the way for the first time.
    Connecting,
    /// Connected.
    Connected,
    /// On the way back; the room goes on without us meanwhile.
    Reconnecting,
    /// Connected, but nobody else's heartbeat has come for 45 s: the room's control is out of reach.
    ControlLost,
}

/// Why the client is done.
#[derive(Debug)]
pub enum Ended {
    /// As asked.
    Left,
    /// It cannot go on.
    Failed(ClientError),
}

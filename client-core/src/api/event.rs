//! What a participant tells its application.

use bytes::Bytes;
use conclave_federation::id::{RelayId, TrackId};

use super::{
    Carrier, ClientError, Departure, InFrame, Kind, LocalTrack, Misdeed, Mode, OpenError, Participant, ParticipantId,
    RemoteTrack, RequestId, Trust, Warning,
};
use crate::{known::Acquaintance, link::Link};

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
    /// Somebody turned grey, or came back, or something else of what is known of them is another now.
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
    /// Something else is known of who sends on a track. While it is muted no frame of it is delivered.
    TrackTrust {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        track: TrackId,
        /// What is known now.
        trust: Trust,
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
    /// Somebody says something; each message once, and each author's in their order.
    Chat {
        /// Who.
        from: ParticipantId,
        /// Which message.
        id: [u8; 16],
        /// The words.
        text: String,
        /// The sender's clock, milliseconds since 1970.
        unix_ms: u64,
        /// Their name: as the tree has it, or, of somebody who has gone, as it was known.
        name: String,
        /// Whether they are not in the room any more.
        gone: bool,
        /// Whether it was said before we came, and is told by somebody who was there.
        history: bool,
    },
    /// Messages of somebody that did not come and will not: what they say next follows after a gap.
    ChatGap {
        /// Whose.
        from: ParticipantId,
        /// How many; when we never heard them before, at least so many.
        count: u64,
    },
    /// A comparison: these words are on the other's screen as well, if nobody sits in between. People read them to each other and
    /// say what came of it by [`super::Command::Verified`].
    CompareCode {
        /// With whom.
        participant: ParticipantId,
        /// Four words.
        words: String,
        /// The epoch whose tree they vouch for.
        epoch: u64,
    },
    /// Somebody who was asked to compare did not answer.
    CompareUnanswered {
        /// Who.
        participant: ParticipantId,
    },
    /// Codes were compared with somebody and were equal: they have the same secret, and can be recognised by it in the next call
    /// if both keep it and give it to [`super::Config::known`]. For the application to store, or to forget.
    Acquaintance {
        /// Who.
        participant: ParticipantId,
        /// What to store.
        secret: Acquaintance,
    },
    /// Whose hands are up, in the order in which they were raised, each time that this changes.
    Hands(Vec<ParticipantId>),
    /// Somebody shows everybody a sign.
    Reaction {
        /// Who.
        from: ParticipantId,
        /// At most [`super::Command::MAX_REACTION`] bytes.
        text: String,
    },
    /// Somebody asks us to mute ourselves. It is for people to decide.
    MuteRequested {
        /// Who.
        by: ParticipantId,
        /// Which track.
        kind: Kind,
    },
    /// The room's hub told two histories: its own signatures say so. Told once, and to be shown to its operator, or to anybody:
    /// [`crate::equivocation::verify`] needs nothing but these bytes.
    Equivocation {
        /// Which relay.
        relay: RelayId,
        /// The proof.
        proof: Bytes,
    },
    /// A report is put together; see [`crate::report`]. It is the application's to give to somebody, or to throw away.
    ReportReady {
        /// The document.
        document: Vec<u8>,
        /// Whether the hub stamped it. What has no stamp proves nothing once the call is over: try again while it lasts.
        stamped: bool,
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
    /// To hosts: somebody asks to come in, and it is for a host to let them; see [`super::Command::Admit`].
    Knock {
        /// Which request; it stays the same while they wait.
        request: RequestId,
        /// What they call themselves; nobody checked it.
        name: String,
        /// Words made of their key. Whoever asks has the same on their screen: to be compared over the telephone.
        code: String,
        /// Whether their link is from before somebody was removed, or the link was changed.
        old_link: bool,
    },
    /// A request needs no answer any more: answered by a host, or given up.
    KnockGone {
        /// Which.
        request: RequestId,
    },
    /// To whoever asks to come in: a host has to decide.
    Waiting {
        /// Words made of our key, which hosts see beside our name.
        code: String,
    },
    /// The room has a new link: who was here needs none, and the old one leads to the waiting room. Also said of every link that
    /// was made while we were away.
    LinkChanged {
        /// What to give to others now.
        link: Link,
    },
    /// Others are let in differently now.
    ModeChanged {
        /// How.
        mode: Mode,
        /// Whose doing it was, if that is known.
        by: Option<ParticipantId>,
    },
    /// Other participants have a host's rights now; each of them is told by [`Event::ParticipantChanged`] as well.
    HostsChanged {
        /// Those who have.
        hosts: Vec<ParticipantId>,
    },
    /// In answer to [`super::Command::Leave`]: we are the last host and others are here. Make one of them a host, or end the
    /// call for all; leaving again leaves all the same, and the room goes on as its mode lets it.
    LastHost,
    /// To hosts: somebody did what no honest client does.
    Misbehaved {
        /// Who.
        participant: ParticipantId,
        /// What.
        what: Misdeed,
    },
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
    /// Still so after 60 s: nothing is sent any more until somebody is heard again, because those who may have been removed
    /// meanwhile cannot be known.
    SendingStopped,
}

/// Why the client is done.
#[derive(Debug)]
pub enum Ended {
    /// As asked.
    Left,
    /// A host ended the call for everybody.
    CallEnded,
    /// It cannot go on.
    Failed(ClientError),
}

//! What happens in a room, typed and complete: first the whole state, then what changes.

use conclave_client_core::{
    api::{
        Acquaintance, Carrier, ConnectionState, Departure, InFrame, Kind, Misdeed, Mode, OpenError, Participant, ParticipantId,
        RemoteTrack, RequestId, Trust, Warning,
    },
    link::Link,
};

use bytes::Bytes;
use conclave_federation::id::{RelayId, TrackId};
use conclave_quic::Transport;

use crate::error::Failure;

/// Everything that is true of a room at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Who we are.
    pub me: ParticipantId,
    /// The room's title.
    pub title: String,
    /// Everybody, us included. Comes from the group's tree: nobody is there unseen.
    pub roster: Vec<Participant>,
    /// The tracks of the others, as far as they are known by now.
    pub tracks: Vec<RemoteTrack>,
    /// The group's epoch; every change of membership begins a new one.
    pub epoch: u64,
    /// 30 digits that are equal at everybody in this epoch.
    pub safety_code: String,
    /// What carries our bytes to our relay; `None` while there is no connection.
    pub transport: Option<Transport>,
}

/// What happens in a room.
#[derive(Debug)]
pub enum Event {
    /// We are in: always the first event. Comes again, with the whole state, when the way back led through a new leaf.
    Joined(State),
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
    /// Somebody publishes a track; its frames follow by themselves.
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
    /// Something else is known of who sends on a track. While it is muted no frame of it comes.
    TrackTrust {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        track: TrackId,
        /// What is known now.
        trust: Trust,
    },
    /// An encoded frame of somebody else, in the order of its track.
    Frame(InFrame),
    /// Frames that the network lost: they will not come.
    FramesLost {
        /// Whose.
        participant: ParticipantId,
        /// On which track.
        track: TrackId,
        /// How many.
        count: u64,
    },
    /// Frames that came and were dropped, oldest first, because the application did not read its events in time.
    FramesUnread {
        /// Whose.
        participant: ParticipantId,
        /// On which track.
        track: TrackId,
        /// How many since the last such event.
        count: u64,
    },
    /// Something came that was not what it claimed to be. At most one event a second for each reason.
    FrameRefused {
        /// On whose track, when that is known.
        participant: Option<ParticipantId>,
        /// Why.
        reason: OpenError,
    },
    /// Somebody else says something; each message once, and each author's in their order.
    Chat {
        /// Who.
        from: ParticipantId,
        /// Which message.
        id: [u8; 16],
        /// The words.
        text: String,
        /// The sender's clock, milliseconds since 1970.
        unix_ms: u64,
        /// Their name; of somebody who has gone, as it was known.
        name: String,
        /// Whether they are not in the room any more.
        gone: bool,
        /// Whether it was said before we came, and is told by somebody who was there.
        history: bool,
    },
    /// Messages of somebody that will not come.
    ChatGap {
        /// Whose.
        from: ParticipantId,
        /// How many, at least.
        count: u64,
    },
    /// A comparison: these words are on the other's screen as well, if nobody sits in between. People read them to each other, and
    /// say what came of it by [`crate::Room::verified`].
    CompareCode {
        /// With whom.
        participant: ParticipantId,
        /// Four words.
        words: String,
        /// The epoch whose roster they vouch for.
        epoch: u64,
    },
    /// Somebody who was asked to compare did not answer.
    CompareUnanswered {
        /// Who.
        participant: ParticipantId,
    },
    /// Codes were compared with somebody and were equal: what both can be recognised by in later calls. To be stored as a secret
    /// and given to [`crate::Options::known`], or to be forgotten.
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
        /// A few bytes, as a rule an emoji.
        text: String,
    },
    /// Somebody asks us to mute ourselves. It is for people to decide.
    MuteRequested {
        /// Who.
        by: ParticipantId,
        /// Which track.
        kind: Kind,
    },
    /// The room's hub told two histories, and its own signatures prove it: [`crate::verify_proof`] needs nothing but these bytes.
    Equivocation {
        /// Which relay.
        relay: RelayId,
        /// The proof.
        proof: Bytes,
    },
    /// The group moved on: somebody came or went.
    Epoch {
        /// Its number.
        epoch: u64,
        /// 30 digits that are equal at everybody in this epoch.
        safety_code: String,
        /// Whether it was our own commit.
        committed: bool,
    },
    /// How it stands with the relay. Reconnecting is not the application's work.
    Connection {
        /// How it stands.
        state: ConnectionState,
        /// What carries our bytes to it; [`Transport::WebSocket`] where UDP is blocked, and then with more delay.
        transport: Option<Transport>,
    },
    /// Which relays carry the call now, all of them each time: ours first.
    Carriers(Vec<Carrier>),
    /// To hosts: somebody asks to come in, and it is for a host to let them.
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
    /// The room has a new link: who was here needs none, and the old one leads to the waiting room.
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
    /// We asked to leave, are the last host, and others are here. Make one of them a host, or end the call for all; leaving
    /// again leaves all the same.
    LastHost,
    /// A report is put together. It is the application's to give to somebody: [`crate::report::verify`] checks it.
    ReportReady {
        /// The document.
        document: Vec<u8>,
        /// Whether the hub stamped it. What has no stamp proves nothing once the call is over: try again while it lasts.
        stamped: bool,
    },
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

/// Why there are no more events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked.
    Left,
    /// A host ended the call for everybody.
    CallEnded,
    /// It could not go on.
    Failed(Failure),
}

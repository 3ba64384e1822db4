//! Everything the program says on standard output: one type, printed as JSON or as words. `README.md` has the table.

use conclave::{
    Carrier, Codec, ConnectionState, Counters, Departure, Kind, Misdeed, Mode, Muted, Participant, ParticipantId, Presence,
    RemoteTrack, TrackId, Transport, Trust,
};
use serde::Serialize;

use crate::tally::{Receiving, Sending};

/// How a session over TCP is written.
pub(crate) const WEBSOCKET: &str = "websocket";

/// One thing said. The names of events and fields are what other programs parse.
#[derive(Serialize, Debug)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Said {
    Link { link: String },
    Joined(Joined),
    ParticipantJoined(Person),
    ParticipantChanged(Changed),
    ParticipantLeft { participant: Who, name: String, how: &'static str },
    Published { kind: &'static str, label: String },
    TrackPublished(Remote),
    TrackChanged(Remote),
    TrackUnpublished(Remote),
    TrackTrust { participant: Who, name: String, track: Track, kind: &'static str, trust: &'static str },
    FirstFrame(FirstFrame),
    Lost { participant: Who, name: String, track: Track, kind: &'static str, count: u64 },
    ChatSent { text: String },
    Chat { participant: Who, name: String, id: String, text: String, unix_ms: u64, gone: bool, history: bool },
    ChatGap { participant: Who, name: String, count: u64 },
    Epoch { epoch: u64, safety_code: String, committed: bool },
    Connection { state: &'static str, again: bool, transport: Option<&'static str> },
    Carriers { carriers: Vec<Carrying> },
    Knock { request: String, name: String, code: String, old_link: bool },
    KnockGone { request: String },
    Waiting { code: String },
    LinkChanged { link: String },
    ModeChanged { mode: &'static str, participant: Option<Who>, name: String },
    HostsChanged { hosts: Vec<Who>, names: Vec<String> },
    LastHost,
    CompareCode { participant: Who, name: String, words: String, epoch: u64 },
    CompareUnanswered { participant: Who, name: String },
    Acquainted { participant: Who, name: String },
    Hands { hands: Vec<Who>, names: Vec<String> },
    Reaction { participant: Who, name: String, text: String },
    MuteRequested { participant: Who, name: String, kind: &'static str },
    Equivocation { relay: String, proof: String },
    Reported { file: String, stamped: bool },
    ReportVerified(Proved),
    Misbehaved { participant: Who, name: String, what: &'static str },
    Warning { text: String },
    Stats(Stats),
    Report(Report),
    Ended { reason: String, ok: bool },
}

/// What a report proves.
#[derive(Serialize, Debug)]
pub(crate) struct Proved {
    pub(crate) room: String,
    pub(crate) call: u32,
    pub(crate) hub: String,
    pub(crate) stamped_ms: u64,
    pub(crate) messages: Vec<ProvedMessage>,
    pub(crate) note: String,
}

#[derive(Serialize, Debug)]
pub(crate) struct ProvedMessage {
    /// The key that signed it.
    pub(crate) author: String,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) unix_ms: u64,
    /// The entry of the hub's log that let the author in, where the report names it.
    pub(crate) entry: Option<u64>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Joined {
    pub(crate) me: Who,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) epoch: u64,
    pub(crate) safety_code: String,
    pub(crate) transport: Option<&'static str>,
    /// Since the program asked to join.
    pub(crate) join_ms: u64,
    pub(crate) roster: Vec<Person>,
}

#[derive(Serialize, Debug)]
pub(crate) struct Person {
    pub(crate) participant: Who,
    pub(crate) name: String,
    pub(crate) is_me: bool,
    pub(crate) host: bool,
    pub(crate) present: &'static str,
    pub(crate) verified: bool,
    pub(crate) compared: bool,
    pub(crate) known: Option<u16>,
    pub(crate) recording: bool,
}

#[derive(Serialize, Debug)]
pub(crate) struct Changed {
    #[serde(flatten)]
    pub(crate) person: Person,
    pub(crate) what: &'static str,
    /// What they were called before.
    pub(crate) was: String,
}

impl Changed {
    /// What people want to know of it first.
    pub(crate) fn of(participant: &Participant, before: Option<&Participant>) -> Self {
        let what = match before {
            Some(before) if before.present != participant.present => "present",
            Some(before) if before.name != participant.name => "name",
            Some(before) if before.recording != participant.recording => "recording",
            Some(before) if before.known != participant.known => "known",
            Some(before) if (before.verified, before.compared) != (participant.verified, participant.compared) => "verified",
            Some(before) if before.host != participant.host => "host",
            Some(_) => "other",
            None => "present",
        };
        let was = before.map_or_else(String::new, |before| before.name.clone());
        Self { person: Person::from(participant), what, was }
    }
}

#[derive(Serialize, Debug)]
pub(crate) struct Remote {
    pub(crate) participant: Who,
    pub(crate) name: String,
    pub(crate) track: Track,
    pub(crate) kind: &'static str,
    pub(crate) codec: &'static str,
    pub(crate) label: String,
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) layers: u8,
    pub(crate) muted: bool,
}

/// A relay that carries the call.
#[derive(Serialize, Debug)]
pub(crate) struct Carrying {
    /// All 64 hexadecimal digits.
    pub(crate) relay: String,
    /// All 64 hexadecimal digits.
    pub(crate) operator: Option<String>,
    pub(crate) operator_name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) hub: bool,
    pub(crate) entry: bool,
    pub(crate) publishers: usize,
}

#[derive(Serialize, Debug)]
pub(crate) struct FirstFrame {
    pub(crate) participant: Who,
    pub(crate) name: String,
    pub(crate) track: Track,
    pub(crate) kind: &'static str,
    /// Since `joined`.
    pub(crate) ms_since_join: u64,
    /// Since the program asked to join.
    pub(crate) ms_since_start: u64,
    /// Since the track was announced here.
    pub(crate) ms_since_published: u64,
}

/// Totals since the start.
#[derive(Serialize, Debug)]
pub(crate) struct Stats {
    pub(crate) epoch: u64,
    pub(crate) safety_code: String,
    pub(crate) roster_size: usize,
    pub(crate) sending: Vec<Sending>,
    pub(crate) receiving: Vec<Receiving>,
    pub(crate) unopened: Unopened,
}

/// Objects that were not opened or not shown, each under its one reason, and what was done about them.
#[derive(Serialize, Debug, Default)]
pub(crate) struct Unopened {
    pub(crate) no_key_yet: u64,
    pub(crate) left_epoch: u64,
    pub(crate) before_join: u64,
    pub(crate) unknown_sender: u64,
    pub(crate) wrong_object: u64,
    pub(crate) damaged: u64,
    pub(crate) replayed: u64,
    pub(crate) malformed: u64,
    pub(crate) bad_signature: u64,
    pub(crate) too_much: u64,
    pub(crate) withheld: u64,
    pub(crate) log_asked_again: u64,
    pub(crate) repairs_asked: u64,
}

impl From<Counters> for Unopened {
    fn from(counters: Counters) -> Self {
        Self {
            no_key_yet: counters.refused_no_key_yet,
            left_epoch: counters.refused_left_epoch,
            before_join: counters.refused_before_join,
            unknown_sender: counters.refused_unknown_sender,
            wrong_object: counters.refused_wrong_object,
            damaged: counters.refused_damaged,
            replayed: counters.refused_replayed,
            malformed: counters.refused_malformed,
            bad_signature: counters.refused_bad_signature,
            too_much: counters.refused_too_much,
            withheld: counters.frames_withheld,
            log_asked_again: counters.log_asked_again,
            repairs_asked: counters.repairs_asked,
        }
    }
}

#[derive(Serialize, Debug)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) stats: Stats,
    /// Over all tracks.
    pub(crate) latency_p50_us: Option<u64>,
    /// Over all tracks.
    pub(crate) latency_p99_us: Option<u64>,
    pub(crate) recordings: Vec<Recording>,
}

/// One file that was recorded, read back from its first byte to its last.
#[derive(Serialize, Debug)]
pub(crate) struct Recording {
    pub(crate) file: String,
    pub(crate) participant: Who,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) frames: u64,
    pub(crate) key_frames: u64,
    pub(crate) duration_ms: u64,
    pub(crate) playable: bool,
    /// Why not, as a sentence.
    pub(crate) problem: Option<String>,
}

/// A participant, as every participant writes them: eight hexadecimal digits.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Who(String);

impl From<ParticipantId> for Who {
    fn from(id: ParticipantId) -> Self {
        Self(format!("{:08x}", id.get()))
    }
}

impl Who {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A track, as every participant writes it: sixteen hexadecimal digits.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Track(String);

impl From<TrackId> for Track {
    fn from(track: TrackId) -> Self {
        Self(format!("{:016x}", track.0))
    }
}

impl From<&Participant> for Person {
    fn from(participant: &Participant) -> Self {
        Self {
            participant: participant.id.into(),
            name: participant.name.clone(),
            is_me: participant.is_me,
            host: participant.host,
            present: match participant.present {
                Presence::Here => "here",
                Presence::Grey => "grey",
            },
            verified: participant.verified,
            compared: participant.compared,
            known: participant.known,
            recording: participant.recording,
        }
    }
}

impl Remote {
    pub(crate) fn of(track: &RemoteTrack, name: String) -> Self {
        Self {
            participant: track.participant.into(),
            name,
            track: track.track.into(),
            kind: kind(track.media.kind),
            codec: codec(track.media.codec),
            label: track.media.label.clone(),
            width: track.media.width,
            height: track.media.height,
            layers: track.media.layers,
            muted: track.muted,
        }
    }
}

impl From<&Carrier> for Carrying {
    fn from(carrier: &Carrier) -> Self {
        Self {
            relay: carrier.relay.to_hex(),
            operator: carrier.operator.as_ref().map(|(id, _)| id.to_hex()),
            operator_name: carrier.operator.as_ref().map(|(_, name)| name.clone()),
            address: carrier.address.clone(),
            hub: carrier.hub,
            entry: carrier.entry,
            publishers: carrier.publishers,
        }
    }
}

pub(crate) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Microphone => "microphone",
        Kind::Camera => "camera",
        Kind::Screen => "screen",
        Kind::ScreenAudio => "screen_audio",
        Kind::Data => "data",
    }
}

const fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::Av1 => "av1",
        Codec::H264 => "h264",
        Codec::Raw => "raw",
    }
}

pub(crate) const fn departure(how: Departure) -> &'static str {
    match how {
        Departure::Left => "left",
        Departure::Reaped => "reaped",
        Departure::Removed { .. } => "removed",
        Departure::Moved => "moved",
    }
}

pub(crate) const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Open => "open",
        Mode::Knock => "knock",
        Mode::Locked => "locked",
    }
}

pub(crate) const fn misdeed(what: Misdeed) -> &'static str {
    match what {
        Misdeed::Junk => "junk",
        Misdeed::Fault => "fault",
    }
}

pub(crate) const fn trust(trust: Trust) -> &'static str {
    match trust {
        Trust::Fresh => "fresh",
        Trust::Verified => "verified",
        Trust::Doubtful => "doubtful",
        Trust::Muted(Muted::NoWords) => "muted",
        Trust::Muted(Muted::Contradiction) => "forged",
    }
}

pub(crate) const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Quic => "quic",
        Transport::WebTransport => "webtransport",
        Transport::WebSocket => WEBSOCKET,
    }
}

pub(crate) const fn connection(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connecting => "connecting",
        ConnectionState::Connected => "connected",
        ConnectionState::Reconnecting => "reconnecting",
        ConnectionState::ControlLost => "control_lost",
        ConnectionState::SendingStopped => "sending_stopped",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use conclave::{Participant, ParticipantId, Presence};

    pub(crate) fn somebody() -> Participant {
        let id = ParticipantId::of_leaf(1, &[0; 32]);
        Participant {
            id,
            name: "First".to_owned(),
            is_me: false,
            host: true,
            present: Presence::Here,
            joined_epoch: 1,
            colour: 7,
            similar_to: None,
            hidden: false,
            muted_by_me: false,
            blocked: false,
            verified: false,
            compared: false,
            known: None,
            recording: false,
        }
    }
}

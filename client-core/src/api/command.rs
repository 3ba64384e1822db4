//! What an application asks of a participant.

use conclave_federation::id::TrackId;

use super::{Kind, LocalTrack, Media, Mode, OutFrame, ParticipantId, RequestId};

/// What the application wants.
#[derive(Debug)]
pub enum Command {
    /// Announce a track; answered by [`super::Event::Published`], or by [`super::Event::Warning`]. May come before [`super::Event::Joined`].
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
    /// Say whether a track is muted: others are told with the next catalog, by [`super::Event::TrackChanged`]. Frames
    /// that are written meanwhile are refused and counted: what is said to be muted is not heard.
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
    /// Compare codes with somebody; answered by [`super::Event::CompareCode`] at both, or by
    /// [`super::Event::CompareUnanswered`]. The two read the words to each other over what they see and hear, and say what came of
    /// it by [`Command::Verified`].
    Compare {
        /// With whom.
        participant: ParticipantId,
    },
    /// Say whether the words that were compared with somebody were equal. If they were, all who were in the room then are
    /// [`super::Participant::verified`], and [`super::Event::Acquaintance`] has what they can be recognised by in the next call.
    Verified {
        /// With whom.
        participant: ParticipantId,
        /// Whether.
        matches: bool,
    },
    /// Be called something else from now on; empty is the name with which we came.
    Rename {
        /// At most [`super::Profile::MAX_NAME`] bytes, longer ones are cut.
        name: String,
    },
    /// Raise the hand, or take it down; answered by [`super::Event::Hands`] at everybody.
    RaiseHand {
        /// Whether it is up.
        up: bool,
    },
    /// Say that we record, or do not any more: to be said before a recording begins.
    Recording {
        /// Whether.
        on: bool,
    },
    /// Show everybody a sign for a moment; at most [`Command::MAX_REACTION`] bytes, longer ones are cut, and at most five gestures
    /// a second.
    React {
        /// An emoji, as a rule.
        text: String,
    },
    /// Ask somebody to mute themselves: nobody can do it for them.
    AskMute {
        /// Whom.
        participant: ParticipantId,
        /// Which of their tracks.
        kind: Kind,
    },
    /// Ask the publisher of a track for a key frame.
    RequestKeyFrame {
        /// Whose track.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
    },
    /// Put together a report of messages that were heard or said here lately, and have the hub stamp it while the call lasts.
    /// Answered by [`super::Event::ReportReady`], or by [`super::Warning::NothingToReport`]; given to nobody by itself.
    Report {
        /// Which, as [`super::Event::Chat`] named them; at most [`crate::report::MAX_MESSAGES`].
        messages: Vec<[u8; 16]>,
        /// What to say of them; at most [`crate::report::MAX_NOTE`] bytes, longer ones are cut.
        note: String,
    },
    /// Receive no pictures of somebody, or receive them again. Nobody is told; it holds on whatever leaf they sit, for as long as
    /// this client lives. Answered by [`super::Event::ParticipantChanged`].
    Hide {
        /// Of whom.
        participant: ParticipantId,
        /// Whether.
        hidden: bool,
    },
    /// Receive no sound of somebody, or receive it again; otherwise as [`Command::Hide`].
    MuteLocally {
        /// Of whom.
        participant: ParticipantId,
        /// Whether.
        muted: bool,
    },
    /// Receive and be shown nothing of somebody: no media, no chat, no reactions, no request to come in; otherwise as
    /// [`Command::Hide`].
    Block {
        /// Whom.
        participant: ParticipantId,
        /// Whether.
        blocked: bool,
    },
    /// Let in whoever asks with this request. Hosts only, and needed for old links whatever the mode is.
    Admit {
        /// From [`super::Event::Knock`].
        request: RequestId,
    },
    /// Tell whoever asks with this request that they may not come in. Hosts only.
    Refuse {
        /// From [`super::Event::Knock`].
        request: RequestId,
    },
    /// Say who may let others in. Hosts only; answered by [`super::Event::ModeChanged`] at everybody.
    SetMode(Mode),
    /// Put somebody out, with a new link for those who stay: from the commit on they can open nothing, and the link that they
    /// have leads to the waiting room. Hosts only.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// Make a new link; the old one leads to the waiting room from then on. Hosts only; answered by
    /// [`super::Event::LinkChanged`] at everybody.
    RotateLink,
    /// Make somebody a host. Hosts only.
    MakeHost {
        /// Whom.
        participant: ParticipantId,
    },
    /// Take a host's rights away, one's own perhaps; the last host's stay. Hosts only.
    DropHost {
        /// Whose.
        participant: ParticipantId,
    },
    /// End the call for everybody. Hosts only; answered by [`super::Event::Ended`].
    EndForAll,
    /// Where no host is: say that somebody should go. When two thirds of those who have been here for a while say so, they are
    /// removed, and the room is locked until a host is back.
    Vote {
        /// Who.
        participant: ParticipantId,
    },
    /// Say how much of the chat newcomers are shown. Hosts only.
    SetHistory {
        /// The last so many messages; 0 is none, as in every room at first.
        messages: u16,
        /// None that are older than so many minutes; 0 is no bound of time.
        minutes: u16,
    },
    /// Leave; answered by [`super::Event::Ended`]. From the last host with others in the room the first one is answered by
    /// [`super::Event::LastHost`] instead, and a second one goes.
    Leave,
}

impl Command {
    /// Longest chat message, in bytes of UTF-8.
    pub const MAX_CHAT: usize = 4 * 1024;

    /// Longest reaction, in bytes of UTF-8.
    pub const MAX_REACTION: usize = 16;
}

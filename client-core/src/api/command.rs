//! What an application asks of a participant.

use conclave_federation::id::TrackId;

use super::{LocalTrack, Media, Mode, OutFrame, ParticipantId, RequestId};

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
    /// Say whether a track is muted: others are told with the next catalog, by [`super::Event::TrackChanged`]. Whether frames are
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
}

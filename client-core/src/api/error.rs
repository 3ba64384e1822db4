//! What goes wrong, in sentences that say what to do.

use conclave_federation::{io::DialError, record::RecordError, wire::code::Code};

/// Something that people should know, and that ends nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Warning {
    /// The entry relay was accepted without knowing its key.
    #[error("this relay's key was not known before: name it as <relay id>@host:port to be sure who answers")]
    UnpinnedRelay,
    /// A chat message is longer than allowed.
    #[error("the message is longer than 4 KiB and was not sent: send it in parts")]
    ChatTooLong,
    /// Chat before joining or faster than it can go.
    #[error("the message was not sent: wait until you are in the room, or write more slowly")]
    ChatNotSent,
    /// A track could not be announced.
    #[error("the track could not be published ({}): unpublish another, or try again", .0.name())]
    PublishRefused(Code),
    /// Too many tracks.
    #[error("the track was not published, because a participant may have at most 16: unpublish another")]
    TooManyTracks,
    /// A frame is larger than any object may be.
    #[error("a frame larger than 4 MiB was dropped: lower the encoder's rate")]
    FrameTooLarge,
    /// A track of somebody else cannot be had.
    #[error("somebody's track cannot be received ({}): their relay or the link to it has a problem", .0.name())]
    SubscribeRefused(Code),
    /// The group had to be entered anew.
    #[error("this client had lost the thread of the room and came back in by itself")]
    Rejoined,
    /// The hub showed two histories, or a chain that does not fit.
    #[error("the hub showed a history of the room that does not fit the one seen before: compare the safety codes")]
    HistoryMismatch,
    /// A host's matter.
    #[error("only a host can do that: ask one of them")]
    NotHost,
    /// Somebody who is not here, or nobody who waits.
    #[error("they are not here any more")]
    Gone,
    /// Before joining, or while the way back is being looked for.
    #[error("this needs a room: try again when you are in it")]
    NotInRoom,
    /// A report of messages that are not known here, or of too many.
    #[error("no such message can be reported: report messages of this call, at most 32, while they are among the last")]
    NothingToReport,
    /// A change of the room that its rules do not allow.
    #[error("the room does not allow that: {0}")]
    NotAllowed(&'static str),
    /// A change of the room that could not be made.
    #[error("the room could not be changed now: try again in a moment")]
    NotChanged,
    /// People compared codes, and they were not equal.
    #[error("the codes differ: somebody may sit between you, so say nothing that nobody else may hear, and make a new room")]
    CodesDiffer,
    /// This client cannot take part in any more comparisons.
    #[error("no more comparisons can be made in this call: leave and come in again")]
    NoMoreComparisons,
    /// There was no comparison with them.
    #[error("nothing was compared with them: compare first, then say whether the words were equal")]
    NotCompared,
    /// More gestures than are shown.
    #[error("not sent: more than five gestures a second are not shown")]
    TooManyGestures,
    /// The participant is not there.
    #[error("nobody of that id is in the room: look at who is here")]
    NobodyOfThatId,
    /// The box of an epoch contradicts the room's record.
    #[error("a participant's commit disagrees with the room's record: compare the safety codes")]
    RecordMismatch,
}

/// Why an object was not taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
pub enum OpenError {
    /// Not an SFrame object, or not what is inside one.
    #[error("the object is not what a participant sends")]
    Malformed,
    /// Of an epoch that we have not reached, and that the log did not bring while the object was held.
    #[error("the object belongs to an epoch that has not been reached in time")]
    NoKeyYet,
    /// Of an epoch that was left, and whose key is gone.
    #[error("the object belongs to an epoch that was left, and came too late")]
    LeftEpoch,
    /// Made before this client was in the room.
    #[error("the object is from before we joined")]
    BeforeJoin,
    /// Its authentication fails where its sender has a track: bytes or place are not those that were sealed.
    #[error("the object is damaged: it is not as anybody in the room sealed it for this place")]
    Damaged,
    /// It is of another track of its sender than the one it came on.
    #[error("the object belongs to another track than the one it came on")]
    WrongObject,
    /// Seen before, or older than the replay window.
    #[error("the object was seen before")]
    Replayed,
    /// Sealed by somebody who is not in the room any more, or does not own the track.
    #[error("the object was sealed by somebody who is not in the room, or does not own the track")]
    UnknownSender,
    /// The signature inside does not verify.
    #[error("the signature inside the object does not verify")]
    BadSignature,
    /// A bound was reached.
    #[error("more was sent than is held: the oldest is dropped")]
    TooMuch,
}

/// Why a client cannot go on. Every sentence says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The link is not of this room's record.
    #[error("the link does not open this room: ask for a fresh one")]
    LinkInvalid,
    /// The hub does not know the room.
    #[error("the room is not known at its hub: ask for a fresh link, or for the relay that the room was made at")]
    UnknownRoom,
    /// The record's life is over.
    #[error("the room has expired: ask for a fresh link, and check this device's clock")]
    RoomExpired,
    /// The record does not verify.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// No answer from the entry relay.
    #[error("the relay cannot be reached: {0}")]
    RelayUnreachable(DialError),
    /// Somebody else answers there.
    #[error("the relay did not prove the expected key: check its id, or ask its operator")]
    WrongRelayKey,
    /// It speaks another version.
    #[error("this client and the relay have no version in common: update the older one")]
    NoCommonVersion,
    /// The entry relay does not know the room's hub.
    #[error("this relay does not know the room's hub: ask its operator to add it, or join through another relay ({words})")]
    UnknownHub {
        /// The relay's own words.
        words: String,
    },
    /// A relay or the hub said no.
    #[error("refused ({}): {words}", .code.name())]
    Refused {
        /// Why.
        code: Code,
        /// The relay's own words.
        words: String,
    },
    /// The operator of this relay, or of the room's hub, closed the room.
    #[error("{words}")]
    Closed {
        /// Why, and where to object: the operator's own words.
        words: String,
    },
    /// Somebody in the room said no.
    #[error("{reason}")]
    Declined {
        /// Why.
        reason: DeclineReason,
    },
    /// Nobody in the room answered the request.
    #[error("nobody in the room answered: try again when somebody is there, or ask them whether you may come in")]
    NobodyAnswered,
    /// Only a host can begin a call in this room.
    #[error("nobody is in the room, and only a host can begin a call in it: try again when one is there")]
    NobodyThere,
    /// What came in answer to the request does not fit the room.
    #[error("the answer to the request to join does not fit the room: compare the link, then try again")]
    BadWelcome,
    /// Reconnecting came to nothing for too long.
    #[error("the connection was lost and could not be made again: check the network, then join again")]
    ConnectionLost,
    /// A host put this client out, or the others voted so.
    #[error("you were removed from the room: ask a host whether you may come in again")]
    Removed,
}

/// Why somebody in the room said no.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum DeclineReason {
    /// A host does not want it.
    #[error("a host did not let you in: ask them before you try again")]
    Refused,
    /// Nobody is let in.
    #[error("the room is locked: ask somebody inside to open it, then try again")]
    Locked,
    /// No more fit.
    #[error("the room is full: try again when somebody has left")]
    Full,
}

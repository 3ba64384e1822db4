//! What can go wrong, each as a type of its own and a sentence that says what to do next.

use conclave_client_core::{api::ClientError, link::LinkError};
use conclave_federation::wire::code::Code;
use conclave_quic::BindError;

/// Why a room was not made or entered.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The text is not a room's link.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The system gives no UDP socket.
    #[error("{0}")]
    Socket(#[from] BindError),
    /// The system gives no randomness, and without it there are no keys.
    #[error("the system gives no randomness: {0}; wait until it has started up, or check its device permissions")]
    Randomness(getrandom::Error),
    /// Everything that happens from the first packet on.
    #[error(transparent)]
    Room(#[from] Failure),
}

/// Why a room ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What the protocol says; the inner error tells relays, links and rooms apart.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// More than [`crate::MAX_UNREAD`] events that may not be dropped were waiting.
    #[error("the room was left because its events were not read: call next_event in a loop")]
    EventsUnread,
    /// A bug on our side; the rest of the program goes on.
    #[error("the room ended by a bug of this client: join again, and report what stands in the log")]
    Bug,
}

/// Why a track was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A relay refused it.
    #[error("the track could not be published ({}): unpublish another, or try again", .0.name())]
    Refused(Code),
    /// A participant may have no more.
    #[error("the track was not published, because a participant may have at most 16: unpublish another")]
    TooMany,
    /// There is no room any more to publish in.
    #[error("{RoomOver}")]
    Over,
}

/// The room has ended or was left; its events say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room is over: join again to go on")]
pub struct RoomOver;

impl From<RoomOver> for PublishError {
    fn from(_: RoomOver) -> Self {
        Self::Over
    }
}

//! The Conclave SDK: join an end-to-end encrypted call in ten lines.
#![forbid(unsafe_code)]

mod driver;
mod entry;
mod error;
mod event;
mod options;
mod publish;
mod queue;
mod room;
mod state;
mod track;

pub use conclave_client_core::{
    api::{
        ClientError, Codec, ConnectionState, Departure, InFrame, Kind, LocalTrack, Media, OpenError, Participant, ParticipantId,
        Presence, RemoteTrack, Warning,
    },
    link::{Link, LinkError},
};
pub use conclave_federation::{
    id::{RelayId, TrackId},
    io::{DialError, SessionKey},
    wire::code::Code,
};
pub use conclave_quic::{BindError, Observer};

pub use self::{
    entry::{EntryError, EntryRelay},
    error::{Failure, JoinError, PublishError, RoomOver},
    event::{Ended, Event, State},
    options::{CreateOptions, Options},
    queue::MAX_UNREAD,
    room::Room,
    track::{Frame, PublishedTrack, Track, unix_us},
};

//! The Conclave SDK: an end-to-end encrypted call in ten lines, without an account.
//!
//! ```text
//!   application          handle                      task (one for each room)
//!
//!   Room::join  ----->  Room  --- orders (256) --->  driver ---> conclave_client_core::Client   decides
//!   next_event  <-----    |  <--- queue (1,024) ---    |    <---
//!   roster, ..  <-----    |  <--- state -----------    |
//!                         |                            +-------> conclave_quic::Driver          moves bytes
//!   PublishedTrack::write +--- orders ------------->                  |
//!                                                          one connection, to your own relay
//! ```
//!
//! - Frames go in and come out *encoded*: codecs, cameras and microphones are the application's.
//! - The first event is the whole state; what follows are changes. Reconnecting is not the application's work.
//! - The roster comes from the group's tree and from nothing else: nobody is in the room unseen. The 30 digits of
//!   [`Room::safety_code`] are equal at everybody.
//! - Every channel is bounded. An application that reads too slowly loses the oldest frames, is told how many
//!   ([`Event::FramesUnread`]), and loses nothing else.
//! - Dropping the last [`Room`] leaves. A bug in here ends the room with [`Failure::Bug`], and nothing else.
//! - Every error is a type, with a sentence that says what to do next.
//!
//! # Example
//!
//! `cargo run -p conclave --example guest LINK`; the tests run it against a real relay.
//!
//! ```no_run
#![doc = include_str!("../examples/guest.rs")]
//! ```
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

pub use conclave_client_core::api::Stats as Counters;
pub use conclave_client_core::{
    api::{
        Acquaintance, Carrier, ClientError, Codec, ConnectionState, DeclineReason, Departure, InFrame, Kind, LocalTrack, Media,
        Misdeed, Mode, Muted, OpenError, Participant, ParticipantId, Presence, RemoteTrack, RequestId, Trust, Warning,
    },
    equivocation::{NoProof, Shown, verify as verify_proof},
    link::{Link, LinkError},
    report,
};
pub use conclave_federation::{
    id::{OperatorId, RelayId, TrackId},
    io::{DialError, SessionKey},
    wire::code::Code,
};
pub use conclave_quic::{BindError, Observer, Transport};

pub use self::{
    entry::{EntryError, EntryRelay},
    error::{Failure, JoinError, PublishError, RoomOver},
    event::{Ended, Event, State},
    options::{CreateOptions, Options},
    queue::MAX_UNREAD,
    room::Room,
    track::{Frame, PublishedTrack, Track, unix_us},
};

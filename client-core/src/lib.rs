//! What a participant decides: group, keys, frames, roster. Pure: drivers bring the network, the time and the chance.
//!
//! ```text
//!   application -- Command --> client -- Event --> application
//!                                |
//!          enter: look up, begin or ask to be let in        joined: follow the log, send, receive
//!             |                                                |
//!     link  room  leaf  state                    publish  subscribe  catalog  chat  control  roster
//!             |                                                |                 playout: when what came is to be heard and shown
//!             +--------- group, committer, policy --- keys, sframe
//!                              |
//!                   provider, hpke, seal: the only neighbours of openmls and of bare cryptography
//! ```
//!
//! Invariants:
//! - nothing here opens a socket, reads a clock, spawns, or draws chance that was not handed in as a seed;
//! - the roster is the group's tree: who is not in it can open nothing, and who is in it is shown;
//! - a frame is sealed for its place in room, call, track, group and object, under a counter that is used once;
//! - what the network can fill is bounded by a constant beside it; a full bound is counted, never a panic;
//! - secrets are wiped when dropped and never shown; nothing is written to any disk.
//!
//! ```
//! use conclave_client_core::{
//!     Client,
//!     api::{Command, Config, CreateRoom, Entry, Input, Mode, Profile},
//! };
//! use conclave_federation::io::{Machine, Output};
//! # use conclave_federation::{io::*, wire::code::Code};
//! # struct Nowhere;
//! # impl Outlet for Nowhere {
//! #     fn open_uni(&mut self, _: SessionKey, _: u8) -> Option<StreamKey> { None }
//! #     fn open_bidi(&mut self, _: SessionKey) -> Option<StreamKey> { None }
//! #     fn write(&mut self, _: SessionKey, _: StreamKey, _: &mut [bytes::Bytes]) -> Wrote { Wrote::Gone }
//! #     fn finish(&mut self, _: SessionKey, _: StreamKey) {}
//! #     fn reset(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
//! #     fn stop(&mut self, _: SessionKey, _: StreamKey, _: Code) {}
//! #     fn datagram(&mut self, _: SessionKey, _: bytes::Bytes) -> Wrote { Wrote::Gone }
//! #     fn close(&mut self, _: SessionKey, _: Code, _: &str) {}
//! # }
//! # let (now, mut outlet) = (Now { mono: std::time::Duration::ZERO, unix_ms: 1_800_000_000_000 }, Nowhere);
//! let config = Config {
//!     seed: [7; 32], // fresh from the system, in earnest
//!     profile: Profile { name: "Guest".to_owned() },
//!     entry: Entry { relay: None, addresses: vec!["relay.example:4433".to_owned()] },
//!     known: Vec::new(),
//! };
//! let mut client = Client::create(config, CreateRoom { title: "Tuesday".to_owned(), max_members: 50, mode: Mode::Open });
//! loop {
//!     match client.poll(now, &mut outlet) {
//!         Output::Do(event) => println!("{event:?}"),
//!         Output::Dial(dial) => break assert_eq!(dial.addresses, ["relay.example:4433"]), // the driver's work
//!         Output::Wait(until) => unreachable!("the first thing to do is to dial, not to wait for {until:?}"),
//!     }
//! }
//! client.handle(now, Input::Command(Command::Leave), &mut outlet);
//! ```

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod api;
mod attest;
mod catalog;
mod chat;
mod client;
pub mod code;
pub mod committer;
pub mod compare;
mod control;
pub mod decline;
pub mod equivocation;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gesture;
pub mod group;
mod heads;
mod heartbeat;
pub mod hpke;
mod keys;
pub mod known;
pub mod leaf;
pub mod link;
pub mod names;
mod peace;
pub mod playout;
pub mod policy;
mod provider;
mod publish;
pub mod report;
pub mod room;
mod roster;
pub mod seal;
mod sframe;
pub mod state;
mod subscribe;
mod wire;
mod words;

pub use client::Client;

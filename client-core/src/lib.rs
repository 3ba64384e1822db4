//! What a participant decides: group, keys, frames, roster.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod api;
mod catalog;
mod chat;
mod client;
pub mod code;
pub mod committer;
mod frame;
pub mod group;
mod heartbeat;
pub mod hpke;
mod keys;
pub mod leaf;
pub mod link;
pub mod policy;
mod provider;
mod publish;
pub mod room;
mod roster;
pub mod seal;
mod sframe;
pub mod state;
mod subscribe;
mod wire;

pub use client::Client;

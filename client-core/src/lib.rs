//! What a participant decides: group, keys, frames, roster.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod api;
mod client;
mod frame;
mod keys;
pub mod link;
mod publish;
mod sframe;

pub use client::Client;

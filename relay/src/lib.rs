//! What a relay does: process, configuration, store, metrics, and the loop that carries it all. What it decides is in
//! `conclave-relay-core`, what goes over the wire in `conclave-quic`.
//!
//! ```text
//!   cli --> config --> server: every step of the start, in order
//!            init       |
//!            keys       +--> store: a thread, the only one that knows the disk
//!                       +--> web: a thread, the page, the signed document, TLS and WebSocket
//!                       +--> admin: a thread, /metrics /healthz /readyz  <-- metrics: the names
//!                       +--> orders: data/admin.sock, on the loop's runtime  <-- room close, reopen, list
//!                       +--> shard: the loop; driver, machine, store answers, signals
//! ```
//!
//! Invariants:
//! - one crate, one file: `config` knows the configuration crate, `store::disk` the storage engine, `metrics` prometheus;
//! - an entry is acknowledged after it is durable, and never after a write that failed;
//! - whatever keeps the relay from running is one sentence that says what to do, and an exit code; see [`failure`];
//! - no address, name, whole id or secret is logged, at any level;
//! - nothing in here can read media or join a group: no such code is linked.
//!
//! ```no_run
//! use conclave_relay::{config::{self, Sources}, server::{self, Readiness}};
//!
//! let loaded = config::load(&Sources { file: "conclave-relay.toml".into(), ..Sources::default() })?;
//! server::run(&loaded, Readiness::Text, ())?;
//! # Ok::<(), conclave_relay::failure::Failure>(())
//! ```

#![forbid(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod config;
pub mod failure;
pub mod init;
pub mod keys;
pub mod logging;
pub mod metrics;
pub mod orders;
pub mod server;
mod shard;
pub mod store;
pub mod web;

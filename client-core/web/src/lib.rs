//! A participant in a browser: the core as a WebAssembly module that one worker drives.
//!
//! ```text
//!   worker (TypeScript)                          this module
//!
//!   poll() <--- Item[] ------------------  js  <--- call ---> conclave_client_core::Client   decides
//!                                              |      |
//!   WebTransport  -- data, sent, .. ---->  js  -->  sessions -+-- pipes   one session of streams and datagrams
//!   WebSocket     -- message, .. ------->      |              +-- federation::mux   the same over one pipe of messages
//!   application   -- publish, write, .. ->     |
//!   codecs        <-- sound, picture -----     |    frames    when each is to be heard and shown
//! ```
//!
//! - Nothing waits in here and nothing calls out: the worker says what happened and what time it is, and asks what is to be
//!   done. Everything answers at once.
//! - What waits for the network is bounded by the constants of [`pipes`](crate::pipes) and `federation::mux`, and what is refused comes
//!   again or is dropped where the core decides it.
//! - Numbers that JavaScript makes up are ignored, words that it makes up are answered with an `Error` that says what is
//!   right. A bug ends in a `RuntimeError` of the module, and a line on the console that holds no secret.
//! - Only `js` knows that there is JavaScript: everything else is tested natively.
#![forbid(unsafe_code)]

mod call;
mod deed;
mod frames;
mod js;
mod pipes;
mod sessions;
mod start;
mod well_known;

pub use js::{Core, read_link, read_well_known, version};

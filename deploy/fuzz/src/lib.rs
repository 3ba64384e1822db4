//! Every decoder and every machine of the workspace, fed with what nobody should send.
//!
//! ```text
//!   corpus (committed, golden bytes) --> mutate --> Target::feed --> is it one?
//!   any bytes ------------------------> operations --> a whole relay, a whole client, a mux: no panic, no end of patience
//! ```
//!
//! - [`targets`] is the one list of decoders. A decoder that the network or a file can reach and that is not in it has not
//!   been fuzzed.
//! - `cargo test -p conclave-fuzz` feeds each of them a million random and mutated inputs, and watches what they allocate.
//! - `cargo fuzz run --fuzz-dir deploy/fuzz/libfuzzer bytes` (or `operations`) goes on for as long as one likes, led by
//!   coverage, over the same functions. What it finds goes into `corpus/`, and stays a test.
//!
//! A structure that is spelled by [`Wire`](conclave_federation::wire::Wire) has to be spelled in one way alone: what was
//! taken is written again, and has to be the same bytes.

#![forbid(unsafe_code)]

mod chance;
mod client;
pub mod corpus;
mod federation;
mod media;
pub mod operations;

use bytes::Bytes;

pub use chance::Mutator;

/// A decoder.
#[derive(Clone, Copy)]
pub struct Target {
    /// As in `corpus/` and in reports.
    pub name: &'static str,
    /// Reads one input and says whether it is one. Panics if anything is wrong with the decoder.
    pub feed: fn(&Bytes) -> bool,
    /// The most bytes that it may allocate on the way, for an input of this length.
    pub memory: fn(usize) -> usize,
}

/// What a decoder may allocate for an input of this many bytes: a list's items are larger in memory than on the wire, at
/// most thirty-two times so, and an error or a reader's buffer costs a little besides.
#[must_use]
pub const fn modest(len: usize) -> usize {
    32 * len + 16 * 1024
}

/// All of them.
#[must_use]
pub fn targets() -> Vec<Target> {
    [federation::TARGETS, client::targets().as_slice(), media::TARGETS].concat()
}

//! What participants say to each other: the decoders of `conclave-client-core`.

use conclave_client_core::fuzzing::{DECODERS, Decoder};

use crate::Target;

/// As those of the hop protocol; MLS' own lists are larger in memory.
const fn members(len: usize) -> usize {
    64 * len + 64 * 1024
}

pub(crate) fn targets() -> Vec<Target> {
    DECODERS.iter().map(target).collect()
}

fn target(decoder: &'static Decoder) -> Target {
    Target { name: decoder.name, feed: decoder.read, memory: members }
}

//! What was said before newcomers came, as somebody tells it who was there: each message as its author signed it.

use conclave_federation::{
    proof::VerifyingKey,
    wire::{Blob, List, Text},
};

use crate::{
    api::{Command, Profile},
    state::MAX_HISTORY,
    wire::wire_struct,
};

/// Bytes of one telling: less than half of what relays retain of a track, so that it pushes out nothing that is said.
pub(crate) const MAX_TOLD_BYTES: usize = 96 * 1024;

const MOST: usize = MAX_HISTORY as usize;

wire_struct! {
    /// One message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Told {
        /// Whose.
        pub(crate) author: VerifyingKey,
        /// Where they sat.
        pub(crate) leaf: u16,
        /// What they called themselves, by the teller's word; of those who are here the tree says it.
        pub(crate) name: Text<{ Profile::MAX_NAME }>,
        /// As they signed it.
        pub(crate) signed: Blob<{ Command::MAX_CHAT + 256 }>,
    }
}

/// A telling, the oldest first.
pub(crate) type Telling = List<Told, MOST>;

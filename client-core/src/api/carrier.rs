//! The relays that carry the call, as people see them.

use std::fmt;

use conclave_federation::id::{OperatorId, RelayId};

/// A relay that carries the call: what people see of the path. Of the relays that a track passes on its way, the first and
/// the last are known for sure: the publisher's is in the hub's directory, the entry relay is ours.
#[derive(Clone, PartialEq, Eq)]
pub struct Carrier {
    /// Which relay.
    pub relay: RelayId,
    /// Who runs it, and what they call themselves: of the entry relay, which proved its key, and of those whose operator's signed
    /// word participants pass on. Words that contradict each other are not told.
    pub operator: Option<(OperatorId, String)>,
    /// Where it is reached, if that is known.
    pub address: Option<String>,
    /// Whether it may order the room's log.
    pub hub: bool,
    /// Whether it is ours.
    pub entry: bool,
    /// How many of the others send their media through it, as far as their catalogs are known.
    pub publishers: usize,
}

impl Carrier {
    /// More than these are not told of.
    pub const MOST: usize = 64;

    /// The shortest time between two [`super::Event::Carriers`].
    pub const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier")
            .field("relay", &self.relay)
            .field("hub", &self.hub)
            .field("entry", &self.entry)
            .field("publishers", &self.publishers)
            .finish_non_exhaustive()
    }
}

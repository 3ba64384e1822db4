//! `[limits]`: what this relay gives. Every bound of the decisions below, under the same name and with the same default; none
//! can be unlimited.

use conclave_relay_core::limits as core;
use serde::{Deserialize, Serialize};

use super::values::{Rate, Size, Span};

/// How one kind of bound is spelled, read and checked.
trait Bound: Sized {
    type Core;
    fn from_core(core: Self::Core) -> Self;
    fn into_core(self) -> Self::Core;
    /// Inside of what can be meant: not nothing, and not so much that it is no bound.
    fn is_bound(&self) -> bool;
    const RANGE: &'static str;
}

impl Bound for u32 {
    type Core = usize;

    fn from_core(core: usize) -> Self {
        Self::try_from(core).unwrap_or(Self::MAX)
    }

    fn into_core(self) -> usize {
        usize::try_from(self).unwrap_or(usize::MAX)
    }

    fn is_bound(&self) -> bool {
        (1..=1_000_000).contains(self)
    }

    const RANGE: &'static str = "between 1 and 1000000";
}

impl Bound for Size {
    type Core = usize;

    fn from_core(core: usize) -> Self {
        Self(u64::try_from(core).unwrap_or(u64::MAX))
    }

    fn into_core(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn is_bound(&self) -> bool {
        (1 << 10..=64 << 30).contains(&self.0)
    }

    const RANGE: &'static str = "between 1KiB and 64GiB";
}

impl Bound for Span {
    type Core = std::time::Duration;

    fn from_core(core: Self::Core) -> Self {
        Self(core)
    }

    fn into_core(self) -> Self::Core {
        self.0
    }

    fn is_bound(&self) -> bool {
        (10..=3_600_000).contains(&self.0.as_millis())
    }

    const RANGE: &'static str = "between 10ms and 1h";
}

impl Bound for Rate {
    type Core = core::Rate;

    fn from_core(core: Self::Core) -> Self {
        Self { per_second: core.per_second, burst: core.burst }
    }

    fn into_core(self) -> Self::Core {
        core::Rate { per_second: self.per_second, burst: self.burst }
    }

    fn is_bound(&self) -> bool {
        let numbers = 1..=1_000_000_000_000;
        numbers.contains(&self.per_second) && numbers.contains(&self.burst)
    }

    const RANGE: &'static str = "between 1/s burst 1 and 1000000000000/s burst 1000000000000";
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// `[limits]`; meanings, units and defaults are those of [`core::Limits`].
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $kind,)*
            /// Handshakes in flight at once; further ones are refused.
            pub handshakes: u32,
            /// Of these, from addresses that nobody has proved; further ones have to prove theirs first.
            pub unproven_handshakes: u32,
        }

        impl Limits {
            /// As the decisions take them.
            #[must_use]
            pub fn to_core(&self) -> core::Limits {
                core::Limits { $($name: self.$name.into_core()),* }
            }

            /// Keys and complaints of all that are out of range.
            pub(super) fn check(&self) -> Vec<(&'static str, String)> {
                let mut wrong = Vec::new();
                $(if !self.$name.is_bound() {
                    wrong.push((stringify!($name), range(<$kind as Bound>::RANGE)));
                })*
                for (name, value) in [("handshakes", self.handshakes), ("unproven_handshakes", self.unproven_handshakes)] {
                    if !value.is_bound() {
                        wrong.push((name, range(u32::RANGE)));
                    }
                }
                wrong
            }
        }

        impl Default for Limits {
            fn default() -> Self {
                let core::Limits { $($name),* } = core::Limits::default();
                let network = conclave_quic::Limits::default();
                Self {
                    $($name: Bound::from_core($name),)*
                    handshakes: Bound::from_core(network.handshakes),
                    unproven_handshakes: Bound::from_core(network.unproven),
                }
            }
        }
    };
}

fn range(range: &str) -> String {
    format!("has to be {range}: nothing is unlimited, and 0 does not mean so either")
}

limits! {
    /// Sessions of any kind.
    sessions: u32,
    /// Sessions with other relays.
    links: u32,
    /// Rooms ordered or followed here.
    rooms: u32,
    /// Records of rooms that nobody here is in.
    cached_records: u32,
    /// Rooms one client session may be attached to.
    rooms_per_session: u32,
    /// Tracks in one room.
    tracks_per_room: u32,
    /// Tracks published by one client session.
    tracks_per_session: u32,
    /// Subscriptions of one client session.
    subscriptions_per_client: u32,
    /// Subscriptions of one link.
    subscriptions_per_link: u32,
    /// Open join requests of one client session.
    joins_per_session: u32,
    /// Appends of one room that wait for the store.
    waiting_appends: u32,
    /// Requests that wait for one link.
    waiting_for_link: u32,
    /// Control messages of one client session.
    control: Rate,
    /// Subscriptions of one client session, begun or ended.
    subscribing: Rate,
    /// Control messages of one link.
    link_control: Rate,
    /// Entries one client session offers.
    session_commits: Rate,
    /// Entries offered to one room.
    room_commits: Rate,
    /// Entries with a host's word offered to one room, for each of the founder's delegates and for the founder.
    host_commits: Rate,
    /// Stamps for reports, of one client session.
    stamps: Rate,
    /// Stamps for reports in one room.
    room_stamps: Rate,
    /// Bytes one client session sends.
    ingress_bytes: Rate,
    /// Objects one client session sends.
    ingress_objects: Rate,
    /// How long a client session may send too much.
    ingress_patience: Span,
    /// Bytes that wait for one blocked subscriber of one track.
    egress_queue: Size,
    /// How long they may wait.
    egress_age: Span,
    /// Bytes that wait for one blocked client session.
    egress_client: Size,
    /// Bytes that wait for one blocked link.
    egress_link: Size,
    /// Bytes of one track's cached group.
    cache_track: Size,
    /// Bytes of all cached groups.
    cache_total: Size,
    /// Bytes of all retained objects.
    retained_total: Size,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_decisions_and_in_range() {
        let limits = Limits::default();
        assert_eq!(limits.to_core(), core::Limits::default());
        assert_eq!(limits.check(), []);
    }
}

//! Which relays carry the call, as people see it: our own, the room's hubs, and those that the others send through.
//!
//! Our own relay proved its key to us. Who runs the others is what their operators signed and participants who use them pass on
//! in their catalogs. Nobody but the operator's key is bound by such a signature, so two that contradict each other are both not
//! believed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use conclave_federation::{
    id::{OperatorId, RelayId, TrackId},
    io::Outlet,
    limits::MAX_DIRECTORY,
    record::RelayDescriptor,
    wire::object::{Directory, Listing},
};

use super::{super::core::Ctx, Joined, Told};
use crate::api::{Carrier, Event, ParticipantId};

/// What is known of the path, and what was told of it.
#[derive(Default)]
pub(super) struct Carriers {
    entry: Option<Entry>,
    /// Where each track is published, as the hub says; at most [`MAX_DIRECTORY`].
    relays: BTreeMap<TrackId, RelayId>,
    told: Vec<Carrier>,
    told_at: Option<Duration>,
    /// Something may be another than was told.
    stale: bool,
}

/// Our relay, as it described itself in the session before this moment.
struct Entry {
    relay: RelayId,
    operator: (OperatorId, String),
    address: Option<String>,
}

impl Carriers {
    /// A session can be used; says whether its relay is another than before.
    pub(super) fn on_open(&mut self, relay: &RelayDescriptor) -> bool {
        let is_other = self.entry.as_ref().is_some_and(|entry| entry.relay != relay.relay || entry.operator.0 != relay.operator);
        self.entry = Some(Entry {
            relay: relay.relay,
            operator: (relay.operator, relay.operator_name.as_str().to_owned()),
            address: relay.addresses.first().map(|address| address.as_str().to_owned()),
        });
        self.stale = true;
        is_other
    }

    /// The hub says what is published where.
    pub(super) fn on_directory(&mut self, directory: &Directory) {
        match directory {
            Directory::Whole(listings) => {
                self.relays.clear();
                for listing in listings {
                    self.list(listing);
                }
            }
            Directory::Added(listing) => self.list(listing),
            Directory::Removed(track) => {
                self.relays.remove(track);
            }
        }
        self.stale = true;
    }

    fn list(&mut self, listing: &Listing) {
        if self.relays.len() < MAX_DIRECTORY || self.relays.contains_key(&listing.track) {
            self.relays.insert(listing.track, listing.relay);
        }
    }

    /// Who publishes what has changed.
    pub(super) const fn on_catalog(&mut self) {
        self.stale = true;
    }

    /// When there is something to tell.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.stale.then(|| self.told_at.map_or(Duration::ZERO, |at| at + Carrier::PAUSE))
    }

    fn all<'a>(
        &self,
        hubs: &[(RelayId, Option<String>)],
        tracks: impl Iterator<Item = (ParticipantId, TrackId)>,
        described: impl Iterator<Item = &'a RelayDescriptor>,
    ) -> Vec<Carrier> {
        let mut said: BTreeMap<RelayId, Option<&RelayDescriptor>> = BTreeMap::new();
        for descriptor in described {
            let known = said.entry(descriptor.relay).or_insert(Some(descriptor));
            *known = known.filter(|known| known.operator == descriptor.operator);
        }
        let mut senders: BTreeMap<RelayId, BTreeSet<ParticipantId>> = BTreeMap::new();
        for (participant, track) in tracks {
            if let Some(relay) = self.relays.get(&track) {
                senders.entry(*relay).or_default().insert(participant);
            }
        }
        let mut relays: Vec<RelayId> = self.entry.iter().map(|entry| entry.relay).collect();
        for relay in hubs.iter().map(|(relay, _)| *relay).chain(senders.keys().copied()) {
            if relays.len() < Carrier::MOST && !relays.contains(&relay) {
                relays.push(relay);
            }
        }
        let carrier = |relay: RelayId| {
            let entry = self.entry.as_ref().filter(|entry| entry.relay == relay);
            let hub = hubs.iter().find(|(hub, _)| *hub == relay);
            let said = said.get(&relay).copied().flatten();
            let first = |descriptor: &RelayDescriptor| descriptor.addresses.first().map(|address| address.as_str().to_owned());
            Carrier {
                relay,
                operator: entry
                    .map(|entry| entry.operator.clone())
                    .or_else(|| said.map(|said| (said.operator, said.operator_name.as_str().to_owned()))),
                address: entry
                    .and_then(|entry| entry.address.clone())
                    .or_else(|| hub.and_then(|(_, address)| address.clone()))
                    .or_else(|| said.and_then(first)),
                hub: hub.is_some(),
                entry: entry.is_some(),
                publishers: senders.get(&relay).map_or(0, BTreeSet::len),
            }
        };
        relays.into_iter().map(carrier).collect()
    }
}

impl Joined {
    /// Tells which relays carry the call, when that is not what was told before, and not too often.
    pub(super) fn tell_carriers(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let due = self.carriers.next_timeout().is_some_and(|at| at <= ctx.now.mono);
        if !due || !matches!(self.told, Told::Yes) {
            return;
        }
        self.carriers.stale = false;
        let address = |hub: &conclave_federation::record::Hub| hub.addresses.first().map(|address| address.as_str().to_owned());
        let hubs: Vec<_> = self.hall.record.hubs.iter().map(|hub| (hub.relay, address(hub))).collect();
        let carriers = self.carriers.all(&hubs, self.subscriber.publishers(), self.catalogs.relays());
        if carriers != self.carriers.told {
            self.carriers.told.clone_from(&carriers);
            self.carriers.told_at = Some(ctx.now.mono);
            ctx.core.tell(Event::Carriers(carriers));
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::{
        proof::SigningKey,
        track::Class,
        wire::{List, Text},
    };

    use super::*;

    fn relay(number: u8) -> RelayId {
        RelayId::new([number; 32])
    }

    fn listing(track: u64, at: u8) -> Listing {
        Listing { track: TrackId(track), class: Class::Groups, layers: 1, relay: relay(at) }
    }

    fn somebody(leaf: u16) -> ParticipantId {
        ParticipantId::of_leaf(leaf, &[9; 32])
    }

    #[test]
    fn ours_comes_first_then_hubs_then_those_of_the_others() {
        let entry = Entry { relay: relay(9), operator: (OperatorId::new([1; 32]), "Alder".into()), address: Some("a:1".into()) };
        let mut carriers = Carriers { entry: Some(entry), ..Carriers::default() };
        carriers.on_directory(&Directory::Whole(vec![listing(20, 3), listing(21, 3), listing(22, 9), listing(23, 2)]));
        carriers.on_directory(&Directory::Removed(TrackId(23)));
        carriers.on_directory(&Directory::Added(listing(24, 4)));
        let tracks = [(1, 20), (1, 21), (2, 21), (2, 22), (3, 23), (4, 24), (4, 99)];
        let tracks = tracks.map(|(leaf, track)| (somebody(leaf), TrackId(track)));
        let all = carriers.all(&[(relay(5), Some("h:1".into())), (relay(4), None)], tracks.into_iter(), std::iter::empty());
        let shape: Vec<_> = all.iter().map(|one| (one.relay, one.entry, one.hub, one.publishers)).collect();
        assert_eq!(
            shape,
            [(relay(9), true, false, 1), (relay(5), false, true, 0), (relay(4), false, true, 1), (relay(3), false, false, 2),]
        );
        assert_eq!(all[0].operator.as_ref().map(|(_, name)| name.as_str()), Some("Alder"));
        assert_eq!(
            (all[0].address.as_deref(), all[1].address.as_deref(), all[1].operator.is_none()),
            (Some("a:1"), Some("h:1"), true)
        );
    }

    #[test]
    fn operators_of_other_relays_are_named_unless_participants_contradict_each_other() {
        let described = |by: u8, name: &str| {
            let key = SigningKey::from_seed([by; 32]);
            RelayDescriptor::issue(&key, relay(5), name, List::new(vec![Text::cut("birch.example:4433")]).unwrap())
        };
        let carriers = Carriers::default();
        let told = |described: &[RelayDescriptor]| {
            let all = carriers.all(&[(relay(5), None)], std::iter::empty(), described.iter());
            let [only] = all.as_slice() else { panic!("one relay: {all:?}") };
            (only.operator.as_ref().map(|(_, name)| name.clone()), only.address.clone())
        };
        let birch = (Some("Birch".to_owned()), Some("birch.example:4433".to_owned()));
        assert_eq!(told(&[described(1, "Birch"), described(1, "Birch")]), birch);
        assert_eq!(told(&[described(1, "Birch"), described(2, "Somebody else"), described(1, "Birch")]), (None, None));
    }

    #[test]
    fn a_hub_that_names_relays_without_end_finds_an_end() {
        let mut carriers = Carriers::default();
        for track in 0..20_000u64 {
            let [.., a, b] = track.to_be_bytes();
            let mut id = [0; 32];
            (id[0], id[1]) = (a, b);
            carriers.on_directory(&Directory::Added(Listing { relay: RelayId::new(id), ..listing(16 + track, 0) }));
        }
        assert_eq!(carriers.relays.len(), MAX_DIRECTORY);
        let tracks = (0..5_000).map(|track| (somebody(1), TrackId(16 + track)));
        assert_eq!(carriers.all(&[], tracks, std::iter::empty()).len(), Carrier::MOST);
    }
}

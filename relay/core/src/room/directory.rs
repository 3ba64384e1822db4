//! What is published in a room: the hub's directory track, and its mirror at the followers.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use conclave_federation::{
    id::{Alias, TrackId},
    wire::{
        Wire,
        object::{Directory, Listing, ObjectHeader},
    },
};

use crate::{
    between::ToShard,
    limits::{DIRECTORY_CHANGES, DOUBT},
    relay::Cx,
};

/// A track somewhere in the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Listed {
    pub(crate) listing: Listing,
    /// When it is believed to be gone: its relay is not there, or a snapshot does not name it.
    pub(crate) doubt: Option<Duration>,
}

/// All tracks that are published in a room.
pub(crate) type Listings = BTreeMap<TrackId, Listed>;

/// The hub's side: objects of the directory track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    pub(crate) alias: Alias,
    group: u64,
    object: u64,
}

impl Writer {
    /// Groups are counted from the hub's clock, so that they go on rising when the hub was restarted.
    pub(crate) fn new(alias: Alias, unix_ms: u64) -> Self {
        Self { alias, group: unix_ms.min(1 << 60), object: 0 }
    }

    fn say(&mut self, cx: &mut Cx<'_>, object: &Directory) {
        let header = ObjectHeader { alias: self.alias, group: self.group, object: self.object, layer: 0, flags: 0, priority: 0 };
        self.object += 1;
        cx.down.push_back(ToShard::Originate { alias: self.alias, header, payload: object.encode() });
    }

    /// A new group: all that is published.
    pub(crate) fn snapshot(&mut self, cx: &mut Cx<'_>, listings: &Listings) {
        if self.object > 0 {
            self.group += 1;
            self.object = 0;
        }
        self.say(cx, &Directory::Whole(listings.values().map(|listed| listed.listing).collect()));
    }

    /// One change; after many of them a snapshot instead.
    pub(crate) fn change(&mut self, cx: &mut Cx<'_>, change: &Directory, listings: &Listings) {
        if self.object > DIRECTORY_CHANGES {
            self.snapshot(cx, listings);
        } else {
            self.say(cx, change);
        }
    }
}

/// What an object of the directory track meant to a mirror.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Heard {
    /// Gone for certain.
    pub(crate) removed: Vec<TrackId>,
    /// There now.
    pub(crate) added: Vec<TrackId>,
}

/// A follower hears an object of the directory track; what cannot be read says nothing.
pub(crate) fn hear(listings: &mut Listings, now: Duration, payload: &Bytes, max: usize) -> Heard {
    let mut heard = Heard::default();
    let mut put = |listings: &mut Listings, listing: Listing| {
        if listing.track.is_reserved() || (listings.len() >= max && !listings.contains_key(&listing.track)) {
            return;
        }
        if listings.insert(listing.track, Listed { listing, doubt: None }).is_none() {
            heard.added.push(listing.track);
        }
    };
    match Directory::decode(payload) {
        Ok(Directory::Whole(whole)) => {
            for listed in listings.values_mut() {
                listed.doubt = listed.doubt.or(Some(now + DOUBT));
            }
            for listing in whole {
                put(listings, listing);
            }
        }
        Ok(Directory::Added(listing)) => put(listings, listing),
        Ok(Directory::Removed(track)) => {
            listings.remove(&track);
            heard.removed.push(track);
        }
        Err(_) => {}
    }
    heard
}

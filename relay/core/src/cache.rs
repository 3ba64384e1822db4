//! The current group of one track, for those who subscribe again, switch layers or reconnect.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::wire::stream::GroupHeader;

/// One layer of the current group, as it is written to a subscriber.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The head of its stream.
    pub(crate) header: GroupHeader,
    /// Heads and payloads of its objects, in pieces as they came.
    pub(crate) chunks: Vec<Bytes>,
    /// The publisher ended it.
    pub(crate) done: bool,
}

/// The current group; empty when it grew too large or a part of it was lost.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    group: Option<u64>,
    layers: BTreeMap<u8, Layer>,
    bytes: usize,
    given_up: bool,
}

/// What happened to the bytes held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// They are kept.
    Yes,
    /// They are not: of an older group, or of one that was given up before.
    No,
    /// They made the group too large: all of it is given up.
    GaveUp,
}

impl Cache {
    /// Bytes held.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The group, when it is here from its beginning.
    pub(crate) fn group(&self) -> Option<u64> {
        self.group.filter(|_| !self.given_up && !self.layers.is_empty())
    }

    /// Its layers.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.values()
    }

    /// One chunk of a layer of this group.
    pub(crate) fn chunk(&self, group: u64, layer: u8, at: usize) -> Option<&Bytes> {
        if self.group() != Some(group) {
            return None;
        }
        self.layers.get(&layer)?.chunks.get(at)
    }

    /// A group's layer begins; a newer group replaces the older one. A layer that its publisher had ended goes on.
    pub(crate) fn begin(&mut self, header: GroupHeader) {
        if self.group.is_none_or(|group| group < header.group) {
            *self = Self { group: Some(header.group), ..Self::default() };
        }
        if self.group == Some(header.group) && !self.given_up {
            let layer = self.layers.entry(header.layer).or_insert_with(|| Layer { header, chunks: Vec::new(), done: false });
            layer.done = false;
        }
    }

    /// Keeps pieces of the current group, as long as all of it stays within `max` bytes.
    pub(crate) fn push(&mut self, group: u64, layer: u8, chunks: &[Bytes], max: usize) -> Kept {
        if self.group() != Some(group) {
            return Kept::No;
        }
        let len: usize = chunks.iter().map(Bytes::len).sum();
        if self.bytes + len > max {
            self.give_up();
            return Kept::GaveUp;
        }
        let Some(layer) = self.layers.get_mut(&layer) else { return Kept::No };
        self.bytes += len;
        layer.chunks.extend(chunks.iter().filter(|chunk| !chunk.is_empty()).cloned());
        Kept::Yes
    }

    /// A layer ended; when it was given up by its publisher, the group is of no use to anybody who comes later.
    pub(crate) fn end(&mut self, group: u64, layer: u8, complete: bool) {
        if self.group != Some(group) {
            return;
        }
        if !complete && layer == 0 {
            self.give_up();
        } else if !complete {
            if let Some(layer) = self.layers.remove(&layer) {
                self.bytes -= layer.chunks.iter().map(Bytes::len).sum::<usize>();
            }
        } else if let Some(layer) = self.layers.get_mut(&layer) {
            layer.done = true;
        }
    }

    fn give_up(&mut self) {
        self.layers.clear();
        self.bytes = 0;
        self.given_up = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    fn head(group: u64, layer: u8) -> GroupHeader {
        GroupHeader { alias: conclave_federation::id::Alias::new(7), group, layer, flags: 0, priority: 2 }
    }

    fn push(cache: &mut Cache, group: u64, layer: u8, len: usize) -> Kept {
        cache.push(group, layer, &[Bytes::from(vec![layer; len])], MAX)
    }

    #[test]
    fn regression_a_layer_that_begins_again_keeps_what_it_has_and_is_counted_once() {
        // A publisher ended a layer and opened it again in the same group. What it had was thrown away and still counted, so
        // that the bound was reached by bytes that nobody held, and giving the layer up took away more than there was.
        let mut cache = Cache::default();
        cache.begin(head(1, 0));
        cache.begin(head(1, 1));
        assert_eq!((push(&mut cache, 1, 0, 10), push(&mut cache, 1, 1, 40)), (Kept::Yes, Kept::Yes));
        cache.end(1, 1, true);
        cache.begin(head(1, 1));
        assert_eq!(cache.bytes(), 50);
        assert!(cache.layers().all(|layer| !layer.done));
        assert_eq!(push(&mut cache, 1, 1, 40), Kept::Yes);
        assert_eq!((cache.chunk(1, 1, 0).map(Bytes::len), cache.chunk(1, 1, 1).map(Bytes::len)), (Some(40), Some(40)));
        cache.end(1, 1, false);
        assert_eq!((cache.bytes(), cache.chunk(1, 1, 0)), (10, None));
        cache.begin(head(1, 1));
        assert_eq!(push(&mut cache, 1, 1, 90), Kept::Yes);
        assert_eq!(cache.bytes(), 100);
        assert_eq!(push(&mut cache, 1, 1, 1), Kept::GaveUp);
        assert_eq!(cache.bytes(), 0);
    }
}

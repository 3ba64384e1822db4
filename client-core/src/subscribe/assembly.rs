//! Pieces of streams to whole objects, in bounded memory. Knows no track: only aliases, streams and bytes.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use conclave_federation::{
    id::Alias,
    io::StreamKey,
    limits::MAX_OBJECT,
    wire::{object::ObjectHeader, stream::GroupHeader},
};

/// Groups that may be arriving at once: what a relay may open towards a client.
pub(crate) const MAX_STREAMS: usize = 1_024;

/// Bytes of unfinished objects of one alias: the largest object, and the beginning of the next one.
pub(crate) const MAX_TRACK_BYTES: usize = MAX_OBJECT + MAX_OBJECT / 2;

/// Bytes of unfinished objects of all tracks: a room full of pictures with their key frames under way.
pub(crate) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A bound is reached: the stream is not read any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooMuch;

struct Group {
    header: GroupHeader,
    object: u64,
    len: usize,
    got: BytesMut,
    inside: bool,
}

/// What is arriving.
#[derive(Default)]
pub(crate) struct Assembly {
    groups: BTreeMap<StreamKey, Group>,
    bytes: usize,
    by_alias: BTreeMap<Alias, usize>,
}

impl Assembly {
    /// A group begins on this stream.
    pub(crate) fn on_group(&mut self, stream: StreamKey, header: GroupHeader) -> Result<(), TooMuch> {
        self.forget(stream);
        if self.groups.len() >= MAX_STREAMS {
            return Err(TooMuch);
        }
        self.groups.insert(stream, Group { header, object: 0, len: 0, got: BytesMut::new(), inside: false });
        Ok(())
    }

    /// The next bytes of an object; gives the object when they are the last. Bytes of a stream that was given up, or that
    /// are not the next ones, are dropped.
    pub(crate) fn on_part(
        &mut self,
        stream: StreamKey,
        object: u64,
        len: usize,
        offset: usize,
        bytes: &Bytes,
    ) -> Result<Option<(ObjectHeader, Bytes)>, TooMuch> {
        let Some(group) = self.groups.get_mut(&stream) else { return Ok(None) };
        if offset == 0 {
            let dropped = group.got.len();
            group.got.clear();
            (group.object, group.len, group.inside) = (object, len, true);
            let alias = group.header.alias;
            self.give_back(alias, dropped);
        }
        let Some(group) = self.groups.get_mut(&stream) else { return Ok(None) };
        let fits = len <= MAX_OBJECT && bytes.len() <= len.saturating_sub(offset);
        if !group.inside || group.object != object || group.len != len || group.got.len() != offset || !fits {
            return Ok(None);
        }
        let header = group.header.object(object);
        if offset == 0 && bytes.len() == len {
            // Arrived in one read: no copy, nothing held.
            group.inside = false;
            return Ok(Some((header, bytes.clone())));
        }
        let alias = group.header.alias;
        let of_track = self.by_alias.entry(alias).or_default();
        if *of_track + bytes.len() > MAX_TRACK_BYTES || self.bytes + bytes.len() > MAX_BYTES {
            self.forget(stream);
            return Err(TooMuch);
        }
        *of_track += bytes.len();
        self.bytes += bytes.len();
        group.got.extend_from_slice(bytes);
        if group.got.len() < len {
            return Ok(None);
        }
        group.inside = false;
        let whole = group.got.split().freeze();
        self.give_back(alias, whole.len());
        Ok(Some((header, whole)))
    }

    /// The stream is over, complete or not.
    pub(crate) fn forget(&mut self, stream: StreamKey) {
        if let Some(group) = self.groups.remove(&stream) {
            self.give_back(group.header.alias, group.got.len());
        }
    }

    fn give_back(&mut self, alias: Alias, len: usize) {
        self.bytes = self.bytes.saturating_sub(len);
        if let Some(of_track) = self.by_alias.get_mut(&alias) {
            *of_track = of_track.saturating_sub(len);
            if *of_track == 0 {
                self.by_alias.remove(&alias);
            }
        }
    }

    /// Streams, and bytes of unfinished objects.
    #[cfg(test)]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.groups.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(alias: u32) -> GroupHeader {
        GroupHeader { alias: Alias::new(alias), group: 3, layer: 0, flags: 0, priority: 2 }
    }

    #[test]
    fn an_object_in_pieces_becomes_whole() {
        let mut assembly = Assembly::default();
        assembly.on_group(StreamKey(1), header(9)).unwrap();
        assert_eq!(assembly.on_part(StreamKey(1), 0, 5, 0, &Bytes::from_static(b"he")), Ok(None));
        assert_eq!(assembly.held(), (1, 2));
        let (head, whole) = assembly.on_part(StreamKey(1), 0, 5, 2, &Bytes::from_static(b"llo")).unwrap().unwrap();
        assert_eq!((head.group, head.object, whole.as_ref()), (3, 0, b"hello".as_slice()));
        let (head, whole) = assembly.on_part(StreamKey(1), 1, 0, 0, &Bytes::new()).unwrap().unwrap();
        assert_eq!((head.object, whole.len()), (1, 0));
        assembly.forget(StreamKey(1));
        assert_eq!(assembly.held(), (0, 0));
    }

    #[test]
    fn one_track_cannot_take_the_memory_of_the_others() {
        let mut assembly = Assembly::default();
        let chunk = Bytes::from(vec![0; 1024 * 1024]);
        let mut refused = 0;
        for stream in 0..10 {
            assembly.on_group(StreamKey(stream), header(1)).unwrap();
            for part in 0..3 {
                if assembly.on_part(StreamKey(stream), 0, MAX_OBJECT, part * chunk.len(), &chunk).is_err() {
                    refused += 1;
                }
            }
        }
        assert!(assembly.held().1 <= MAX_TRACK_BYTES);
        assert!(refused > 0);
        assembly.on_group(StreamKey(100), header(2)).unwrap();
        assert_eq!(assembly.on_part(StreamKey(100), 0, 2 * chunk.len(), 0, &chunk), Ok(None));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Group(u64, u32),
        Part { stream: u64, object: u64, len: usize, offset: usize, bytes: usize },
        Forget(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let size = prop_oneof![0usize..64, Just(1 << 20), Just(MAX_OBJECT), Just(MAX_OBJECT + 1), Just(usize::MAX)];
        prop_oneof![
            (0u64..8, 0u32..3).prop_map(|(stream, alias)| Step::Group(stream, alias)),
            (0u64..8, 0u64..3, size.clone(), size, prop_oneof![0usize..64, Just(1usize << 20)])
                .prop_map(|(stream, object, len, offset, bytes)| Step::Part { stream, object, len, offset, bytes }),
            (0u64..8).prop_map(Step::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn memory_is_bounded_whatever_arrives(steps in proptest::collection::vec(step(), 1..200)) {
            let mut assembly = Assembly::default();
            for step in steps {
                match step {
                    Step::Group(stream, alias) => {
                        let _ = assembly.on_group(StreamKey(stream), header(alias));
                    }
                    Step::Part { stream, object, len, offset, bytes } => {
                        let bytes = Bytes::from(vec![0; bytes]);
                        if let Ok(Some((_, whole))) = assembly.on_part(StreamKey(stream), object, len, offset, &bytes) {
                            prop_assert_eq!(whole.len(), len);
                        }
                    }
                    Step::Forget(stream) => assembly.forget(StreamKey(stream)),
                }
                let held: usize = assembly.groups.values().map(|group| group.got.len()).sum();
                prop_assert_eq!(assembly.bytes, held);
                prop_assert!(held <= MAX_BYTES && assembly.groups.len() <= MAX_STREAMS);
                prop_assert_eq!(assembly.by_alias.values().sum::<usize>(), held);
                prop_assert!(assembly.by_alias.values().all(|of_track| *of_track <= MAX_TRACK_BYTES));
            }
            for stream in 0..8 {
                assembly.forget(StreamKey(stream));
            }
            prop_assert_eq!(assembly.held(), (0, 0));
        }
    }
}

//! All streams of everybody: who may sign, and what is known of each.

use std::{collections::BTreeMap, time::Duration};

use super::{
    trust::{Heard, Keys, Watch},
    word::{Revealed, Seen, SignedKey, SignedWord},
};
use crate::{api::Trust, catalog::Author, publish::MAX_TRACKS};

#[derive(Default)]
struct Leaf {
    keys: Keys,
    /// By stream; at most [`MAX_TRACKS`] and one.
    streams: BTreeMap<u8, Watch>,
}

/// What is known of a stream is something else now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Whose.
    pub(crate) leaf: u16,
    /// Which.
    pub(crate) stream: u8,
    /// What is known now.
    pub(crate) trust: Trust,
}

/// See the module. Callers vouch that leaves are in the tree.
#[derive(Default)]
pub(crate) struct Trusts(BTreeMap<u16, Leaf>);

impl Trusts {
    fn watch(&mut self, leaf: u16, stream: u8) -> Option<&mut Watch> {
        let fits = usize::from(stream) <= MAX_TRACKS;
        fits.then(|| self.0.entry(leaf).or_default().streams.entry(stream).or_default())
    }

    fn change(&mut self, leaf: u16, stream: u8, then: impl FnOnce(&mut Watch) -> Trust) -> Option<Change> {
        let watch = self.watch(leaf, stream)?;
        let before = watch.trust();
        let trust = then(watch);
        (trust != before).then_some(Change { leaf, stream, trust })
    }

    /// A leaf certifies a key, in a word that was sealed in this epoch.
    pub(crate) fn on_key(&mut self, now: Duration, leaf: u16, epoch: u64, signed: &SignedKey) -> Heard {
        self.0.entry(leaf).or_default().keys.on_key(now, epoch, signed)
    }

    /// A private half is told.
    pub(crate) fn on_revealed(&mut self, leaf: u16, revealed: &Revealed) -> Heard {
        self.0.get_mut(&leaf).map_or(Heard::Passed, |known| known.keys.on_revealed(revealed))
    }

    /// Digests are said. An error: nobody who may sign for this leaf says that.
    pub(crate) fn on_word(&mut self, now: Duration, author: Author, signed: &SignedWord) -> Result<Option<Change>, NotVouched> {
        let vouched = self.0.get(&author.leaf).is_some_and(|leaf| leaf.keys.vouch(now, author, signed));
        if !vouched {
            return Err(NotVouched);
        }
        Ok(self.change(author.leaf, signed.word.stream, |watch| watch.on_word(now, &signed.word)))
    }

    /// A frame was opened.
    pub(crate) fn on_opened(&mut self, now: Duration, leaf: u16, stream: u8, seen: Seen) -> Option<Change> {
        self.change(leaf, stream, |watch| watch.on_opened(now, seen))
    }

    /// A leaf publishes another track on this stream.
    pub(crate) fn begin(&mut self, leaf: u16, stream: u8) {
        if let Some(watch) = self.watch(leaf, stream) {
            watch.begin();
        }
    }

    /// A leaf is gone, or somebody came in on it anew.
    pub(crate) fn forget(&mut self, leaf: u16) {
        self.0.remove(&leaf);
    }

    /// We did not listen until now.
    pub(crate) fn restart(&mut self, now: Duration) {
        for watch in self.0.values_mut().flat_map(|leaf| leaf.streams.values_mut()) {
            watch.restart(now);
        }
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, now: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        for (leaf, known) in &mut self.0 {
            for (stream, watch) in &mut known.streams {
                let before = watch.trust();
                let trust = watch.on_timeout(now);
                if trust != before {
                    changes.push(Change { leaf: *leaf, stream: *stream, trust });
                }
            }
        }
        changes
    }

    /// When something is due.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.0.values().flat_map(|leaf| leaf.streams.values()).filter_map(Watch::next_timeout).min()
    }
}

/// A word that is not signed by the key that may sign for its leaf now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NotVouched;

//! Frames, from their writer to everybody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use conclave_client_core::api::ParticipantId;

use super::PersonNo;
use crate::trace::digest;

/// Names a frame for ever: it is written at the front of its data.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FrameKey {
    /// Who wrote it.
    pub author: PersonNo,
    /// On which of their tracks.
    pub track: u32,
    /// Counts from 0, for ever.
    pub number: u64,
}

impl FrameKey {
    const MARK: &'static [u8; 8] = b"sim/frm1";
    /// Bytes of the key at the front of a frame.
    pub const LEN: usize = 28;

    /// The frame's data: the key, then bytes that follow from it.
    #[must_use]
    pub fn data(self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len.max(Self::LEN));
        out.extend_from_slice(Self::MARK);
        out.extend_from_slice(&u64::try_from(self.author.0).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(&self.track.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        let mut filler = digest(&out);
        while out.len() < len {
            filler = filler.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            out.push(filler.to_be_bytes()[0]);
        }
        out
    }

    /// Reads the key of a frame.
    #[must_use]
    pub fn of(data: &[u8]) -> Option<Self> {
        let rest = data.strip_prefix(Self::MARK)?;
        let (author, rest) = rest.split_first_chunk::<8>()?;
        let (track, rest) = rest.split_first_chunk::<4>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        let author = PersonNo(usize::try_from(u64::from_be_bytes(*author)).ok()?);
        Some(Self { author, track: u32::from_be_bytes(*track), number: u64::from_be_bytes(*number) })
    }
}

/// A frame as it is known here: when written, and when received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Hash of its data.
    pub digest: u64,
    /// As captured.
    pub captured_us: u64,
    /// Whether it stands alone.
    pub key: bool,
    /// Its temporal layer.
    pub layer: u8,
}

/// The epoch in which a frame was written, and who was in it, as its writer saw it.
#[derive(Clone, Debug)]
pub struct Writers {
    /// Its number.
    pub epoch: u64,
    /// Who was in it.
    pub members: Rc<BTreeSet<ParticipantId>>,
}

struct Written {
    frame: Frame,
    /// The frame of the same track that it needs.
    needs: Option<u64>,
    /// `None`: its writer was on the way back to another leaf, and the application does not know which epoch it was.
    of: Option<Writers>,
}

/// All frames.
#[derive(Default)]
pub struct Media {
    written: BTreeMap<FrameKey, Written>,
    /// The last frame that somebody got of a track.
    last: BTreeMap<(PersonNo, PersonNo, u32), u64>,
    /// The same of the base layer.
    base: BTreeMap<(PersonNo, PersonNo, u32), u64>,
    received: u64,
}

impl Media {
    /// A frame was handed to its writer's client.
    pub fn on_written(&mut self, key: FrameKey, frame: Frame, needs: Option<u64>, of: Option<Writers>) {
        self.written.insert(key, Written { frame, needs, of });
    }

    /// `reader` opened a frame, and was told that it is by `author`; `None`: by a participant whom nobody is.
    ///
    /// # Errors
    /// When it is not as it was written, or came before, or needs another that did not come.
    pub fn on_received(&mut self, reader: PersonNo, author: Option<PersonNo>, key: FrameKey, frame: Frame) -> Result<(), String> {
        if author != Some(key.author) {
            return Err(format!("{reader:?} got {key:?} as if by {author:?}"));
        }
        let Some(written) = self.written.get(&key) else { return Err(format!("{reader:?} got {key:?}, which nobody wrote")) };
        if written.frame != frame {
            return Err(format!("{reader:?} got {key:?} as {frame:?}, written as {:?}", written.frame));
        }
        let place = (reader, key.author, key.track);
        let has = self.base.get(&place).copied();
        if written.needs.is_some() && written.needs != has {
            return Err(format!("{reader:?} got {key:?}, which needs number {:?}, after {has:?}", written.needs));
        }
        if frame.layer == 0 {
            self.base.insert(place, key.number);
        }
        self.received += 1;
        match self.last.insert(place, key.number) {
            Some(last) if last >= key.number => Err(format!("{reader:?} got {key:?} after number {last}")),
            _ => Ok(()),
        }
    }

    /// Whether `reader` may open it: one of these participants was in the epoch in which it was sealed.
    ///
    /// # Errors
    /// When none was.
    pub fn may_open(&self, reader: PersonNo, was: &BTreeSet<ParticipantId>, key: FrameKey) -> Result<(), String> {
        match self.written.get(&key).and_then(|written| written.of.as_ref()) {
            Some(of) if of.members.is_disjoint(was) => {
                Err(format!("{reader:?} opened {key:?} of epoch {}, in which they are not", of.epoch))
            }
            _ => Ok(()),
        }
    }

    /// The last frame of a track that `reader` got.
    #[must_use]
    pub fn last(&self, reader: PersonNo, author: PersonNo, track: u32) -> Option<u64> {
        self.last.get(&(reader, author, track)).copied()
    }

    /// Frames that were written.
    #[must_use]
    pub fn written(&self) -> usize {
        self.written.len()
    }

    /// Frames that were received, by everybody together.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }
}

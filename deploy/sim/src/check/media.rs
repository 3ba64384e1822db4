//! Frames, from their writer to everybody else; and the objects that carry them, at relays.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use conclave_client_core::api::ParticipantId;
use conclave_federation::io::SessionKey;

use super::PersonNo;
use crate::{net::HostId, trace::digest};

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
    /// Who sealed it, in the group's terms.
    pub participant: ParticipantId,
    /// Hash of its data.
    pub digest: u64,
    /// As captured.
    pub captured_us: u64,
    /// Whether it stands alone.
    pub key: bool,
}

struct Written {
    frame: Frame,
    epoch: u64,
    /// Who was in that epoch, as its writer saw it.
    members: Rc<BTreeSet<ParticipantId>>,
}

/// All frames.
#[derive(Default)]
pub struct Media {
    written: BTreeMap<FrameKey, Written>,
    /// The last frame that somebody got of a track.
    last: BTreeMap<(PersonNo, PersonNo, u32), u64>,
    received: u64,
}

impl Media {
    /// A frame was handed to its writer's client, which was in `epoch` with `members`.
    pub fn on_written(&mut self, key: FrameKey, frame: Frame, epoch: u64, members: Rc<BTreeSet<ParticipantId>>) {
        self.written.insert(key, Written { frame, epoch, members });
    }

    /// `reader`, who is or was these participants, opened a frame.
    ///
    /// # Errors
    /// When it is not as it was written, or came before.
    pub fn on_received(&mut self, reader: PersonNo, key: FrameKey, frame: Frame) -> Result<(), String> {
        let Some(written) = self.written.get(&key) else { return Err(format!("{reader:?} got {key:?}, which nobody wrote")) };
        if written.frame != frame {
            return Err(format!("{reader:?} got {key:?} as {frame:?}, written as {:?}", written.frame));
        }
        self.received += 1;
        match self.last.insert((reader, key.author, key.track), key.number) {
            Some(last) if last >= key.number => Err(format!("{reader:?} got {key:?} after number {last}")),
            _ => Ok(()),
        }
    }

    /// Whether `reader` may open it: one of these participants was in the epoch in which it was sealed.
    ///
    /// # Errors
    /// When none was.
    pub fn may_open(&self, reader: PersonNo, was: &BTreeSet<ParticipantId>, key: FrameKey) -> Result<(), String> {
        match self.written.get(&key) {
            Some(written) if written.members.is_disjoint(was) => {
                Err(format!("{reader:?} opened {key:?} of epoch {}, in which they are not", written.epoch))
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

/// Which objects were where. An object is known by the hash of its payload: sealed payloads never repeat.
#[derive(Default)]
pub struct Visits {
    /// Objects of participants, and how often their clients sent them.
    origins: BTreeMap<u64, BTreeSet<SessionKey>>,
    at: BTreeMap<(HostId, u64), SessionKey>,
    visits: u64,
}

impl Visits {
    /// A relay got an object from a participant.
    ///
    /// # Errors
    /// When it had it before.
    pub fn on_published(&mut self, relay: HostId, session: SessionKey, payload: &[u8]) -> Result<(), String> {
        let object = digest(payload);
        let again = !self.origins.entry(object).or_default().insert(session);
        if again {
            return Err(format!("relay {} got an object of {} B twice from its writer", relay.0, payload.len()));
        }
        self.visit(relay, session, object, payload.len(), |_| false)
    }

    /// A relay got an object from another relay. `is_open` says whether a session still lives: after one that ended, its
    /// successor may bring what the relay cannot know to have come.
    ///
    /// # Errors
    /// When it had it before, from whomever.
    pub fn on_forwarded(
        &mut self,
        relay: HostId,
        session: SessionKey,
        payload: &[u8],
        is_open: impl Fn(SessionKey) -> bool,
    ) -> Result<(), String> {
        let object = digest(payload);
        // What no participant sent is the hub's own: its directory repeats itself by design.
        let Some(origins) = self.origins.get(&object) else { return Ok(()) };
        let sent_again = origins.len() > 1;
        self.visit(relay, session, object, payload.len(), |before| !is_open(before) || sent_again)
    }

    fn visit(
        &mut self,
        relay: HostId,
        session: SessionKey,
        object: u64,
        len: usize,
        excused: impl Fn(SessionKey) -> bool,
    ) -> Result<(), String> {
        self.visits += 1;
        match self.at.insert((relay, object), session) {
            Some(before) if before != session && self.origins.get(&object).is_some_and(|origins| origins.len() > 1) => Ok(()),
            Some(before) if !excused(before) => {
                let how = if before == session { "on one session" } else { "on two sessions" };
                Err(format!("relay {} got an object of {len} B twice, {how}", relay.0))
            }
            _ => Ok(()),
        }
    }

    /// Objects of participants that came to relays, counted at each.
    #[must_use]
    pub const fn visits(&self) -> u64 {
        self.visits
    }
}

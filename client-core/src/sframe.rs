//! Sealing and opening objects as SFrame (RFC 9605), suite 0x0004: AES-128-GCM with SHA-256, whole tag.
//!
//! The KID is `stream 8 ‖ leaf 16 ‖ epoch 8` bits as in section 5.2; the associated data is the object's identity, so that
//! a relay cannot move an object. A counter starts at 0 for each (epoch, leaf, stream) and has one writer.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    time::Duration,
};

use ::sframe::{
    CipherSuite,
    frame::{
        EncryptedFrameView, MediaFrameView, MonotonicCounter,
        validation::{ReplayAttackProtection, Tolerance},
    },
    header::SframeHeader,
    key::{DecryptionKey, EncryptionKey},
    mls::{MlsKeyId, MlsKeyIdBitRange},
};
use bytes::Bytes;
use conclave_federation::wire::{Malformed, object::ObjectIdentity};

use crate::{
    api::OpenError,
    attest::{self, Pending},
    keys::{BaseKey, Epoch, Found, Window, low_bits},
    seal::bucket,
};

const SUITE: CipherSuite = CipherSuite::AesGcm128Sha256;

/// Frames under one key: GCM's bound. At a hundred a second it lasts a year.
const MAX_COUNTER: u64 = u32::MAX as u64;

/// How far behind the newest counter of a KID an object may come. Video of one group and audio arrive on different
/// streams, but a KID has one track; a second of a busy track fits.
const REPLAY_WINDOW: usize = 1_024;

/// KIDs whose replay windows are held: a thousand leaves with a few tracks each, over two epochs. One more is refused.
const MAX_READERS: usize = 16_384;

/// The stream number of catalogs.
pub(crate) const CATALOG_STREAM: u8 = 254;
/// The stream number of control words.
pub(crate) const CONTROL_STREAM: u8 = 255;

/// Bytes that sealing adds at most: configuration, KID 4, counter 4, tag 16.
pub(crate) const MAX_OVERHEAD: usize = 1 + 4 + 4 + TAG;

const TAG: usize = 16;

/// The length before what is padded.
const LENGTH: usize = 4;

/// What [`Sealer::seal_padded`] sealed: the length has to fit and the rest to be zeros.
pub(crate) fn unpad(plain: &Bytes) -> Result<Bytes, Malformed> {
    let (len, rest) = plain.split_first_chunk::<LENGTH>().ok_or(Malformed::Truncated("padded object"))?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| Malformed::TooLong("padded object"))?;
    let zeros = rest.get(len..).ok_or(Malformed::Truncated("padded object"))?;
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(Malformed::Value("padding"));
    }
    Ok(plain.slice(LENGTH..LENGTH + len))
}

/// Who sealed, on which of their streams, in which epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Kid {
    /// The n-th track of the leaf, or one of the two reserved.
    pub(crate) stream: u8,
    /// Index in the tree.
    pub(crate) leaf: u16,
    /// Low bits of the epoch.
    pub(crate) epoch_low: u8,
}

impl Kid {
    fn range() -> MlsKeyIdBitRange {
        MlsKeyIdBitRange::new(8, 16)
    }

    /// As one number; `None` never happens, because every field fits its bits.
    pub(crate) fn get(self) -> Option<u64> {
        MlsKeyId::try_new(self.stream, self.epoch_low, self.leaf, Self::range()).ok().map(u64::from)
    }

    fn read(raw: u64) -> Option<Self> {
        let id = MlsKeyId::from_key_id(raw, Self::range());
        Some(Self {
            stream: u8::try_from(id.context_id()).ok()?,
            leaf: u16::try_from(id.member_index()).ok()?,
            epoch_low: u8::try_from(id.epoch_lsb()).ok()?,
        })
    }

    /// Whose object this is, before anything of it is believed.
    pub(crate) fn peek(object: &[u8]) -> Option<Self> {
        SframeHeader::deserialize(object).ok().and_then(|header| Self::read(header.key_id()))
    }
}

/// Nothing more can be sealed under this key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the counter of this stream is used up: wait for the next epoch")]
pub(crate) struct Exhausted;

struct Writer {
    kid: u64,
    key: EncryptionKey,
    counter: MonotonicCounter,
}

impl Writer {
    fn new(kid: u64, base: &BaseKey) -> Option<Self> {
        let key = EncryptionKey::derive_from(SUITE, kid, base.expose()).ok()?;
        Some(Self { kid, key, counter: MonotonicCounter::new(MAX_COUNTER) })
    }

    /// Seals under the next counter, and says which that was.
    fn seal(&mut self, aad: &[u8], plain: &[u8]) -> Result<(u64, Bytes), Exhausted> {
        let mut out = Vec::with_capacity(aad.len() + MAX_OVERHEAD + plain.len());
        let frame = MediaFrameView::try_with_meta_data(&mut self.counter, plain, aad).map_err(|_| Exhausted)?;
        let counter = frame.counter();
        frame.encrypt_into(&self.key, &mut out).map_err(|_| Exhausted)?;
        // The buffer is laid out as associated data, then what travels: the receiver rebuilds the first part by itself.
        Ok((counter, Bytes::from(out).split_off(aad.len())))
    }
}

/// Seals our own objects, and keeps the digests of those on media streams for the next word.
pub(crate) struct Sealer {
    leaf: u16,
    epoch: Epoch,
    writers: BTreeMap<u8, Writer>,
    pending: Pending,
}

impl Sealer {
    /// For our leaf, in the epoch in which it came into the tree.
    pub(crate) fn new(leaf: u16, epoch: Epoch) -> Self {
        Self { leaf, epoch, writers: BTreeMap::new(), pending: Pending::default() }
    }

    /// From now on under this epoch's key. An epoch that is not newer changes nothing: its counters have been used.
    pub(crate) fn advance(&mut self, epoch: Epoch) {
        if epoch.number > self.epoch.number {
            self.epoch = epoch;
            self.writers.clear();
        }
    }

    /// What was sealed and has not been said.
    pub(crate) const fn pending(&self) -> &Pending {
        &self.pending
    }

    /// See [`Sealer::pending`].
    pub(crate) const fn pending_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }

    fn writer(&mut self, stream: u8) -> Result<&mut Writer, Exhausted> {
        let kid = Kid { stream, leaf: self.leaf, epoch_low: low_bits(self.epoch.number) }.get().ok_or(Exhausted)?;
        Ok(match self.writers.entry(stream) {
            btree_map::Entry::Occupied(writer) => writer.into_mut(),
            btree_map::Entry::Vacant(place) => place.insert(Writer::new(kid, &self.epoch.base).ok_or(Exhausted)?),
        })
    }

    /// Seals `u32 length ‖ plain ‖ zeros`, so that the object is as long as its bucket: 256, 512, 1024 .. bytes.
    pub(crate) fn seal_padded(&mut self, stream: u8, place: &ObjectIdentity, plain: &[u8]) -> Result<Bytes, Exhausted> {
        let writer = self.writer(stream)?;
        let around = SframeHeader::new(writer.kid, writer.counter.current()).len() + TAG;
        let bucket = bucket(around + LENGTH + plain.len()).ok_or(Exhausted)?;
        let mut padded = Vec::with_capacity(bucket);
        padded.extend_from_slice(&u32::try_from(plain.len()).map_err(|_| Exhausted)?.to_be_bytes());
        padded.extend_from_slice(plain);
        padded.resize(bucket - around, 0);
        self.seal(stream, place, &padded)
    }

    /// Seals for one place in one track.
    pub(crate) fn seal(&mut self, stream: u8, place: &ObjectIdentity, plain: &[u8]) -> Result<Bytes, Exhausted> {
        let writer = self.writer(stream)?;
        let kid = writer.kid;
        let (counter, object) = writer.seal(&place.associated_data(), plain)?;
        if stream < CATALOG_STREAM {
            let digest = attest::digest(kid, counter, place, &object);
            self.pending.note(self.epoch.number, stream, counter, digest);
        }
        Ok(object)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("leaf", &self.leaf).field("epoch", &self.epoch.number).finish_non_exhaustive()
    }
}

/// An object that was opened.
pub(crate) struct Opened {
    /// Who sealed it and on which stream.
    pub(crate) kid: Kid,
    /// In which epoch.
    pub(crate) epoch: u64,
    /// Under which counter.
    pub(crate) counter: u64,
    /// What was inside.
    pub(crate) plain: Bytes,
}

/// Why an object is not opened now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotOpened {
    /// Its epoch is newer than ours: try again when the log has brought it.
    Later,
    /// Never.
    Refused(OpenError),
}

struct Reader {
    key: DecryptionKey,
    replay: ReplayAttackProtection,
}

impl Reader {
    fn new(kid: u64, base: &BaseKey) -> Option<Self> {
        let key = DecryptionKey::derive_from(SUITE, kid, base.expose()).ok()?;
        let tolerance = Tolerance::try_new(REPLAY_WINDOW).ok()?;
        Some(Self { key, replay: ReplayAttackProtection::new(kid, tolerance) })
    }

    fn open(&mut self, object: &[u8], aad: &[u8]) -> Result<Bytes, OpenError> {
        use ::sframe::error::SframeError as E;

        let view = EncryptedFrameView::try_with_meta_data(object, aad).map_err(|_| OpenError::Malformed)?;
        let mut out = Vec::with_capacity(aad.len() + object.len());
        match view.validated_decrypt_into(&self.key, &mut out, &mut self.replay) {
            Ok(_) => Ok(Bytes::from(out).split_off(aad.len())),
            Err(E::FrameValidationFailed(_)) => Err(OpenError::Replayed),
            Err(_) => Err(OpenError::Damaged),
        }
    }
}

/// Opens the objects of others, and remembers what was opened.
pub(crate) struct Opener {
    window: Window,
    /// By epoch, then KID: an epoch's readers go with its key.
    readers: BTreeMap<(u64, u64), Reader>,
}

impl Opener {
    /// In the epoch in which we entered.
    pub(crate) const fn new(epoch: Epoch) -> Self {
        Self { window: Window::new(epoch), readers: BTreeMap::new() }
    }

    /// The group moved on.
    pub(crate) fn advance(&mut self, now: Duration, epoch: Epoch) {
        self.window.advance(now, epoch);
    }

    /// The group moved on without somebody whom a host removed.
    pub(crate) fn advance_after_removal(&mut self, now: Duration, epoch: Epoch) {
        self.window.advance_after_removal(now, epoch);
    }

    /// The epochs whose keys are held.
    pub(crate) const fn window(&self) -> &Window {
        &self.window
    }

    /// Drops keys whose time is over.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.window.expire(now);
        let oldest = self.window.oldest();
        while self.readers.first_key_value().is_some_and(|((epoch, _), _)| *epoch < oldest) {
            self.readers.pop_first();
        }
    }

    /// Opens an object that came from this place.
    pub(crate) fn open(&mut self, place: &ObjectIdentity, object: &[u8]) -> Result<Opened, NotOpened> {
        let header = SframeHeader::deserialize(object).map_err(|_| NotOpened::Refused(OpenError::Malformed))?;
        let raw = header.key_id();
        let kid = Kid::read(raw).ok_or(NotOpened::Refused(OpenError::Malformed))?;
        let epoch = match self.window.find(kid.epoch_low) {
            Found::Held(epoch) => epoch,
            Found::Newer => return Err(NotOpened::Later),
            Found::Gone => return Err(NotOpened::Refused(OpenError::LeftEpoch)),
            Found::BeforeJoin => return Err(NotOpened::Refused(OpenError::BeforeJoin)),
        };
        let aad = place.associated_data();
        let full = self.readers.len() >= MAX_READERS;
        let number = epoch.number;
        let plain = match self.readers.entry((number, raw)) {
            btree_map::Entry::Occupied(mut reader) => reader.get_mut().open(object, &aad),
            btree_map::Entry::Vacant(_) if full => Err(OpenError::TooMuch),
            btree_map::Entry::Vacant(vacant) => {
                // Kept only when something opened: junk with made-up KIDs leaves nothing behind.
                let mut reader = Reader::new(raw, &epoch.base).ok_or(NotOpened::Refused(OpenError::Malformed))?;
                let plain = reader.open(object, &aad);
                if plain.is_ok() {
                    vacant.insert(reader);
                }
                plain
            }
        };
        let plain = plain.map_err(NotOpened::Refused)?;
        Ok(Opened { kid, epoch: number, counter: header.counter(), plain })
    }
}

#[cfg(test)]
mod tests;

//! What is said: digests, the key that signs them, and the private half of one that does so no more.

use std::fmt;

use bytes::Bytes;
use conclave_federation::{
    proof::{Label, Signature, SigningKey, VerifyingKey, sha256},
    wire::{List, Malformed, Reader, Wire, Writer, object::ObjectIdentity},
};
use zeroize::Zeroizing;

use crate::catalog::{Author, Unreadable};

/// Digests in one word: ten seconds of a voice. More go in the next word.
pub(crate) const MAX_DIGESTS: usize = 512;

/// Kind of a word on the control track: digests.
pub(crate) const WORD: u8 = 2;
/// Kind of a word on the control track: the attest key, by the leaf key.
pub(crate) const KEY: u8 = 3;
/// Kind of a word on the control track: the private half of an attest key that signs no more.
pub(crate) const REVEALED: u8 = 4;

/// Eight bytes of a sealed frame's hash. Another frame for the same key and counter that has the same ones costs 2^64
/// hashes, within the second before its genuine word is said.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 8]);

impl Digest {
    /// As it was said.
    #[cfg(test)]
    pub(crate) const fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// As it is said.
    #[cfg(test)]
    pub(crate) const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}..)")
    }
}

impl Wire for Digest {
    fn put(&self, out: &mut Writer) {
        out.raw(&self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.array("digest").map(Self)
    }
}

/// `SHA-256(KID u64 ‖ CTR u64 ‖ place 46 B ‖ object)[0..8]`, where the object is all that travels: SFrame's header,
/// ciphertext and tag.
///
/// The place is in it although the tag covers it: its group and object numbers alone are 128 bits that whoever knows the
/// GCM key can choose, and the tag is linear in them.
pub(crate) fn digest(kid: u64, counter: u64, place: &ObjectIdentity, object: &[u8]) -> Digest {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[&kid.to_be_bytes(), &counter.to_be_bytes(), &place.associated_data(), object]);
    Digest([a, b, c, d, e, f, g, h])
}

/// A sealed frame, as its sender and its receivers name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// The whole number of its epoch.
    pub(crate) epoch: u64,
    /// Its counter under its KID.
    pub(crate) counter: u64,
    /// Of its bytes.
    pub(crate) digest: Digest,
}

/// What was sealed on one stream, without a gap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Word {
    /// The epoch of the frames; that of the word itself may be newer.
    pub(crate) epoch: u64,
    /// Their stream.
    pub(crate) stream: u8,
    /// The counter of the first.
    pub(crate) first: u64,
    /// Of it and those that follow.
    pub(crate) digests: List<Digest, MAX_DIGESTS>,
}

impl Wire for Word {
    fn put(&self, out: &mut Writer) {
        out.u64(self.epoch);
        out.u8(self.stream);
        out.u64(self.first);
        self.digests.put(out);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { epoch: from.u64()?, stream: from.u8()?, first: from.u64()?, digests: Wire::take(from)? })
    }
}

impl Word {
    /// The digest that it says for a counter, if it says any.
    pub(crate) fn of(&self, epoch: u64, counter: u64) -> Option<Digest> {
        let at = counter.checked_sub(self.first).filter(|_| self.epoch == epoch)?;
        self.digests.get(usize::try_from(at).ok()?).copied()
    }
}

/// A word and the attest key's signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SignedWord {
    /// The word.
    pub(crate) word: Word,
    signature: Signature,
}

impl SignedWord {
    /// Signs.
    pub(crate) fn sign(word: Word, author: Author, key: &SigningKey) -> Self {
        let signature = key.sign(Label::Media, &claim(author, WORD, &word));
        Self { word, signature }
    }

    /// Whether this key said it, of this leaf in this call.
    pub(crate) fn is_by(&self, author: Author, key: &VerifyingKey) -> bool {
        key.verify(Label::Media, &claim(author, WORD, &self.word), &self.signature)
    }

    /// All of it: the body of a control word.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        self.word.put(&mut out);
        self.signature.put(&mut out);
        out.into_bytes()
    }

    /// What [`SignedWord::encode`] made; who signed it has still to be asked.
    pub(crate) fn decode(body: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(body);
        let signed = Self { word: Wire::take(&mut from)?, signature: Wire::take(&mut from)? };
        from.finish()?;
        Ok(signed)
    }
}

/// The attest key, certified by the leaf key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SignedKey {
    /// The epoch in which it was said: a certificate does not outlive it, so a newcomer is never shown an old one.
    pub(crate) epoch: u64,
    /// Counts the keys of this leaf. Only a higher one replaces another.
    pub(crate) serial: u32,
    /// How old the key is by now, in seconds.
    pub(crate) age: u16,
    /// Its public half.
    pub(crate) key: VerifyingKey,
    signature: Signature,
}

impl SignedKey {
    fn body(epoch: u64, serial: u32, age: u16, key: &VerifyingKey) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(epoch);
        out.u32(serial);
        out.u16(age);
        key.put(&mut out);
        out.into_vec()
    }

    /// Has it signed by the leaf.
    pub(crate) fn sign(
        (epoch, serial, age): (u64, u32, u16),
        key: VerifyingKey,
        author: Author,
        leaf: impl FnOnce(Label, &[u8]) -> Signature,
    ) -> Self {
        let signature = leaf(Label::AttestKey, &claim_bytes(author, KEY, &Self::body(epoch, serial, age, &key)));
        Self { epoch, serial, age, key, signature }
    }

    /// All of it: the body of a control word.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.raw(&Self::body(self.epoch, self.serial, self.age, &self.key));
        self.signature.put(&mut out);
        out.into_bytes()
    }

    /// What [`SignedKey::encode`] made, if the leaf signed it.
    pub(crate) fn verify(body: &Bytes, author: Author, leaf: &VerifyingKey) -> Result<Self, Unreadable> {
        let mut from = Reader::new(body);
        let mut read = || -> Result<Self, Malformed> {
            Ok(Self {
                epoch: from.u64()?,
                serial: from.u32()?,
                age: from.u16()?,
                key: Wire::take(&mut from)?,
                signature: Wire::take(&mut from)?,
            })
        };
        let signed = read().map_err(|_| Unreadable::Malformed)?;
        from.finish().map_err(|_| Unreadable::Malformed)?;
        let claimed = claim_bytes(author, KEY, &Self::body(signed.epoch, signed.serial, signed.age, &signed.key));
        if leaf.verify(Label::AttestKey, &claimed, &signed.signature) { Ok(signed) } else { Err(Unreadable::BadSignature) }
    }
}

/// The private half of an attest key that signs no more. Nothing vouches for it: that it fits is proof enough, and whoever
/// shows a fitting one has it.
pub(crate) struct Revealed {
    /// Which key of the leaf it was.
    pub(crate) serial: u32,
    /// Its seed.
    pub(crate) seed: Zeroizing<[u8; 32]>,
}

impl Revealed {
    /// All of it: the body of a control word.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        out.u32(self.serial);
        out.raw(self.seed.as_ref());
        out.into_bytes()
    }

    /// What [`Revealed::encode`] made.
    pub(crate) fn decode(body: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(body);
        let revealed = Self { serial: from.u32()?, seed: Zeroizing::new(from.array("seed")?) };
        from.finish()?;
        Ok(revealed)
    }

    /// The public half that it belongs to.
    pub(crate) fn public(&self) -> VerifyingKey {
        SigningKey::from_seed(*self.seed).verifying_key()
    }
}

impl fmt::Debug for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revealed").field("serial", &self.serial).finish_non_exhaustive()
    }
}

/// What is signed: the author, the kind, the body, as of every word on the control track.
fn claim(author: Author, kind: u8, body: &impl Wire) -> Vec<u8> {
    let mut out = Writer::new();
    body.put(&mut out);
    claim_bytes(author, kind, &out.into_vec())
}

fn claim_bytes(author: Author, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    author.put(&mut out);
    out.u8(kind);
    out.raw(body);
    out.into_vec()
}

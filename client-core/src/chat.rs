//! What people say to each other: inside MLS' own encryption a message with a signature of its own, so that a report can be
//! verified without any key of the room; numbered, so that each is shown once, in the order of its author, and a gap is told.

mod kept;
mod order;
mod told;
#[cfg(test)]
mod vectors;

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RoomId},
    proof::{Label, Signature, VerifyingKey, sha256},
    wire::{Malformed, Reader, Text, Wire, Writer},
};

pub(crate) use self::{
    kept::{Kept, Recent},
    order::{Order, Ready},
    told::{MAX_TOLD_BYTES, Telling, Told},
};
use crate::{api::Command, catalog::Unreadable};

/// Epochs whose transcripts are remembered: as many as a log may have entries, so that whatever was said while we were here is
/// compared with what we saw.
const MAX_TRANSCRIPTS: usize = 4_096;

/// Most messages that one word may ask for.
pub(crate) const MAX_ASKED: u8 = 64;

/// What a chat object carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Word {
    /// A signed message, said for the first time or again.
    Said(Bytes),
    /// Messages that its sender has not got: to be said again by their author.
    Again(Again),
    /// The last messages, for newcomers.
    Told(Telling),
}

/// A wish to hear messages again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Again {
    /// Whose.
    pub(crate) author: VerifyingKey,
    /// The first number.
    pub(crate) from: u32,
    /// How many; at most [`MAX_ASKED`].
    pub(crate) count: u8,
}

impl Word {
    const SAID: u8 = 0;
    const AGAIN: u8 = 1;
    const TOLD: u8 = 2;

    /// Ready for MLS.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        match self {
            Self::Said(signed) => {
                out.u8(Self::SAID);
                out.raw(signed);
            }
            Self::Again(again) => {
                out.u8(Self::AGAIN);
                again.author.put(&mut out);
                out.u32(again.from);
                out.u8(again.count);
            }
            Self::Told(telling) => {
                out.u8(Self::TOLD);
                telling.put(&mut out);
            }
        }
        out.into_bytes()
    }

    /// What MLS opened. Kinds that are not known are malformed: whoever sends them is newer than this room.
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let word = match from.u8()? {
            Self::SAID => {
                let left = from.left();
                Self::Said(from.bytes(left, "message")?)
            }
            Self::AGAIN => {
                let again = Again { author: Wire::take(&mut from)?, from: from.u32()?, count: from.u8()? };
                if !(1..=MAX_ASKED).contains(&again.count) {
                    return Err(Malformed::Value("count of messages"));
                }
                Self::Again(again)
            }
            Self::TOLD => Self::Told(Wire::take(&mut from)?),
            _ => return Err(Malformed::Value("kind of chat")),
        };
        from.finish()?;
        Ok(word)
    }
}

/// One message. It is signed once, where and when it was said first; said again, it is the same bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// Drawn at random by its sender.
    pub(crate) id: [u8; 16],
    /// Counts its sender's messages in this call, from 0.
    pub(crate) number: u32,
    /// The epoch of the sender's message before this one, 0 of the first: who came after it expects nothing before this one.
    pub(crate) before: u64,
    /// The sender's clock, milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// The epoch in which it was said first. It may have to be said again in a later one; newcomers do not show it then.
    pub(crate) epoch: u64,
    /// MLS' confirmed transcript hash of that epoch; zeros in the first, which has none.
    pub(crate) transcript: [u8; 32],
    /// The words.
    pub(crate) text: Text<{ Command::MAX_CHAT }>,
}

/// A message that came: what it says, as it was signed, and where its author sat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    /// What it says.
    pub(crate) message: Message,
    /// As it was signed.
    pub(crate) signed: Bytes,
    /// Its author's leaf when it came.
    pub(crate) leaf: u16,
}

/// Where messages are said: bound by their signatures, and not repeated in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Scene {
    /// The room.
    pub(crate) room: RoomId,
    /// The call.
    pub(crate) instance: Instance,
}

impl Message {
    fn claim(&self, scene: Scene) -> Vec<u8> {
        let mut out = Writer::new();
        scene.room.put(&mut out);
        scene.instance.put(&mut out);
        self.put_head(&mut out);
        out.raw(&sha256(&[self.text.as_str().as_bytes()]));
        out.into_vec()
    }

    fn put_head(&self, out: &mut Writer) {
        out.raw(&self.id);
        out.u32(self.number);
        out.u64(self.before);
        out.u64(self.unix_ms);
        out.u64(self.epoch);
        out.raw(&self.transcript);
    }

    /// With the leaf's signature.
    pub(crate) fn sign(&self, scene: Scene, sign: impl FnOnce(Label, &[u8]) -> Signature) -> Bytes {
        let mut out = Writer::new();
        self.put_head(&mut out);
        self.text.put(&mut out);
        sign(Label::Chat, &self.claim(scene)).put(&mut out);
        out.into_bytes()
    }

    /// Reads a signed message, and verifies that this leaf key said it in this call.
    pub(crate) fn verify(bytes: &Bytes, scene: Scene, leaf: &VerifyingKey) -> Result<Self, Unreadable> {
        let (message, signature) = Self::read(bytes).map_err(|_| Unreadable::Malformed)?;
        if !leaf.verify(Label::Chat, &message.claim(scene), &signature) {
            return Err(Unreadable::BadSignature);
        }
        Ok(message)
    }

    fn read(bytes: &Bytes) -> Result<(Self, Signature), Malformed> {
        let mut from = Reader::new(bytes);
        let mut read = || -> Result<(Self, Signature), Malformed> {
            let message = Self {
                id: from.array("message id")?,
                number: from.u32()?,
                before: from.u64()?,
                unix_ms: from.u64()?,
                epoch: from.u64()?,
                transcript: from.array("transcript")?,
                text: Wire::take(&mut from)?,
            };
            if message.before > message.epoch {
                return Err(Malformed::Value("epoch before a message"));
            }
            Ok((message, Wire::take(&mut from)?))
        };
        let read = read()?;
        from.finish()?;
        Ok(read)
    }
}

/// What a signed message says, whoever signed it.
pub(crate) fn read_unverified(signed: &Bytes) -> Option<Message> {
    Message::read(signed).ok().map(|(message, _)| message)
}

/// The epoch of an MLS PrivateMessage (RFC 9420, section 6.3.1), before anything of it is believed: version and wire
/// format of two bytes each, the group id after its length, the epoch.
pub(crate) fn epoch_of_message(message: &Bytes) -> Option<u64> {
    let mut from = Reader::new(message);
    if from.u16().ok()? != 1 || from.u16().ok()? != 2 {
        return None;
    }
    // MLS spells lengths as RFC 9000 spells varints.
    let len = usize::try_from(from.varint().ok()?).ok()?;
    from.bytes(len, "group id").ok()?;
    from.u64().ok()
}

/// MLS' confirmed transcript hashes of the epochs that we saw.
#[derive(Default)]
pub(crate) struct Transcripts(BTreeMap<u64, [u8; 32]>);

/// A transcript hash as messages carry it: the first epoch of a group has none.
pub(crate) fn spelled(transcript: &[u8]) -> [u8; 32] {
    transcript.try_into().unwrap_or([0; 32])
}

impl Transcripts {
    /// The group moved on.
    pub(crate) fn note(&mut self, epoch: u64, transcript: &[u8]) {
        self.0.insert(epoch, spelled(transcript));
        while self.0.len() > MAX_TRANSCRIPTS {
            self.0.pop_first();
        }
    }

    /// Whether this may be the transcript of that epoch: it is, or we did not see the epoch.
    pub(crate) fn may_be(&self, epoch: u64, transcript: &[u8; 32]) -> bool {
        self.0.get(&epoch).is_none_or(|seen| seen == transcript)
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::proof::SigningKey;

    use super::*;

    const SCENE: Scene = Scene { room: RoomId::new([1; 16]), instance: Instance(1) };

    fn message(text: &str) -> Message {
        Message { id: [7; 16], number: 4, before: 2, unix_ms: 5, epoch: 3, transcript: [8; 32], text: Text::cut(text) }
    }

    #[test]
    fn a_message_is_bound_to_its_call_its_place_and_its_words() {
        let key = SigningKey::from_seed([1; 32]);
        let message = message("good morning");
        let bytes = message.sign(SCENE, |label, body| key.sign(label, body));
        assert_eq!(Message::verify(&bytes, SCENE, &key.verifying_key()), Ok(message));
        for scene in [Scene { room: RoomId::new([2; 16]), ..SCENE }, Scene { instance: Instance(2), ..SCENE }] {
            assert_eq!(Message::verify(&bytes, scene, &key.verifying_key()), Err(Unreadable::BadSignature));
        }
        for at in 0..bytes.len() {
            let mut other = bytes.to_vec();
            other[at] ^= 1;
            assert!(Message::verify(&other.into(), SCENE, &key.verifying_key()).is_err(), "byte {at}");
        }
        for len in 0..bytes.len() {
            assert!(Message::verify(&bytes.slice(..len), SCENE, &key.verifying_key()).is_err());
        }
        let another = SigningKey::from_seed([2; 32]).verifying_key();
        assert_eq!(Message::verify(&bytes, SCENE, &another), Err(Unreadable::BadSignature));
    }

    #[test]
    fn a_message_is_id_number_place_and_text_in_these_bytes() {
        let key = SigningKey::from_seed([1; 32]);
        let bytes = message("hi").sign(SCENE, |label, body| key.sign(label, body));
        let (body, signature) = bytes.split_at(bytes.len() - 64);
        let u64s = |n: u8| [0, 0, 0, 0, 0, 0, 0, n];
        let head = [[7; 16].as_slice(), &[0, 0, 0, 4], &u64s(2), &u64s(5), &u64s(3), &[8; 32]].concat();
        assert_eq!(body, [head.as_slice(), &[0, 2, b'h', b'i']].concat());
        let claim = [[1; 16].as_slice(), &[0, 0, 0, 1], &head, &sha256(&[b"hi"])].concat();
        assert_eq!(signature, key.sign(Label::Chat, &claim).as_bytes());
    }

    #[test]
    fn words_are_told_apart_by_their_first_byte_and_bounded() {
        let again = Again { author: VerifyingKey::new([3; 32]), from: 9, count: 2 };
        for word in [Word::Said(Bytes::from_static(b"signed")), Word::Again(again)] {
            assert_eq!(Word::decode(&word.encode()), Ok(word));
        }
        let bytes = Word::Again(again).encode();
        assert_eq!(bytes[..], [[1].as_slice(), &[3; 32], &[0, 0, 0, 9], &[2]].concat());
        for len in 0..bytes.len() {
            assert!(Word::decode(&bytes.slice(..len)).is_err());
        }
        for count in [0, MAX_ASKED + 1] {
            assert!(Word::decode(&Word::Again(Again { count, ..again }).encode()).is_err());
        }
        assert!(Word::decode(&Bytes::from_static(&[200, 1, 2])).is_err());
    }

    #[test]
    fn a_transcript_is_compared_where_it_was_seen() {
        let mut transcripts = Transcripts::default();
        transcripts.note(0, &[]);
        transcripts.note(1, &[1; 32]);
        assert!(transcripts.may_be(0, &[0; 32]) && !transcripts.may_be(0, &[1; 32]));
        assert!(transcripts.may_be(1, &[1; 32]) && !transcripts.may_be(1, &[0; 32]));
        assert!(transcripts.may_be(2, &[9; 32]), "an epoch that passed us by");
        for epoch in 0..10_000 {
            transcripts.note(epoch, &[1; 32]);
        }
        assert_eq!(transcripts.0.len(), MAX_TRANSCRIPTS);
    }
}

//! What people say to each other: inside MLS' own encryption a message with a signature of its own, so that a report can be
//! verified without any key of the room; and each message once, whatever is sent again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RoomId},
    proof::{Label, Signature, VerifyingKey, sha256},
    wire::{Malformed, Reader, Text, Wire, Writer},
};

use crate::{api::Command, catalog::Unreadable};

/// Messages whose ids are remembered: an hour of a very busy room. The MLS ratchet refuses older repetitions anyway.
const MAX_REMEMBERED: usize = 4_096;

/// Epochs whose transcripts are remembered: the current one and those of which late messages still open.
const MAX_TRANSCRIPTS: usize = 9;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Message {
    /// Drawn at random by its sender.
    pub(crate) id: [u8; 16],
    /// The sender's clock, milliseconds since 1970.
    pub(crate) unix_ms: u64,
    /// The epoch in which it was said first. It may have to be said again in a later one; newcomers do not show it then.
    pub(crate) epoch: u64,
    /// The words.
    pub(crate) text: Text<{ Command::MAX_CHAT }>,
}

/// Where and when a message was said: what its signature is bound to besides the words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    /// The room.
    pub(crate) room: RoomId,
    /// The call.
    pub(crate) instance: Instance,
    /// The epoch.
    pub(crate) epoch: u64,
    /// MLS' confirmed transcript hash of that epoch.
    pub(crate) transcript: &'a [u8],
}

impl Message {
    fn claim(&self, scene: Scene<'_>) -> Vec<u8> {
        let mut out = Writer::new();
        scene.room.put(&mut out);
        scene.instance.put(&mut out);
        out.u64(scene.epoch);
        out.raw(scene.transcript);
        out.raw(&self.id);
        out.u64(self.unix_ms);
        out.u64(self.epoch);
        out.raw(&sha256(&[self.text.as_str().as_bytes()]));
        out.into_vec()
    }

    /// With the leaf's signature, ready for MLS.
    pub(crate) fn sign(&self, scene: Scene<'_>, sign: impl FnOnce(Label, &[u8]) -> Signature) -> Bytes {
        let mut out = Writer::new();
        out.raw(&self.id);
        out.u64(self.unix_ms);
        out.u64(self.epoch);
        self.text.put(&mut out);
        sign(Label::Chat, &self.claim(scene)).put(&mut out);
        out.into_bytes()
    }

    /// Reads and verifies what MLS opened.
    pub(crate) fn verify(bytes: &Bytes, scene: Scene<'_>, leaf: &VerifyingKey) -> Result<Self, Unreadable> {
        let mut from = Reader::new(bytes);
        let mut read = || -> Result<(Self, Signature), Malformed> {
            let id = from.array("message id")?;
            let message = Self { id, unix_ms: from.u64()?, epoch: from.u64()?, text: Wire::take(&mut from)? };
            if message.epoch > scene.epoch {
                return Err(Malformed::Value("epoch of a message"));
            }
            Ok((message, Wire::take(&mut from)?))
        };
        let (message, signature) = read().map_err(|_| Unreadable::Malformed)?;
        from.finish().map_err(|_| Unreadable::Malformed)?;
        if !leaf.verify(Label::Chat, &message.claim(scene), &signature) {
            return Err(Unreadable::BadSignature);
        }
        Ok(message)
    }
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

/// The transcripts of the last epochs.
#[derive(Default)]
pub(crate) struct Transcripts(BTreeMap<u64, Vec<u8>>);

impl Transcripts {
    /// The group moved on.
    pub(crate) fn note(&mut self, epoch: u64, transcript: Vec<u8>) {
        self.0.insert(epoch, transcript);
        while self.0.len() > MAX_TRANSCRIPTS {
            self.0.pop_first();
        }
    }

    /// Of this epoch.
    pub(crate) fn of(&self, epoch: u64) -> Option<&[u8]> {
        self.0.get(&epoch).map(Vec::as_slice)
    }
}

/// The ids of messages that were shown, by the leaf key of who said them: it stays the same when they come back.
#[derive(Default)]
pub(crate) struct Shown {
    ids: BTreeSet<(VerifyingKey, [u8; 16])>,
    order: VecDeque<(VerifyingKey, [u8; 16])>,
}

impl Shown {
    /// Notes a message; `false` when it was shown before.
    pub(crate) fn is_new(&mut self, from: VerifyingKey, id: [u8; 16]) -> bool {
        if !self.ids.insert((from, id)) {
            return false;
        }
        self.order.push_back((from, id));
        while self.order.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.ids.remove(&oldest);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::proof::SigningKey;

    use super::*;

    fn scene(epoch: u64) -> Scene<'static> {
        Scene { room: RoomId::new([1; 16]), instance: Instance(1), epoch, transcript: b"transcript" }
    }

    #[test]
    fn a_message_is_bound_to_its_epoch_and_its_words() {
        let key = SigningKey::from_seed([1; 32]);
        let message = Message { id: [7; 16], unix_ms: 5, epoch: 2, text: Text::cut("good morning") };
        let bytes = message.sign(scene(3), |label, body| key.sign(label, body));
        assert_eq!(Message::verify(&bytes, scene(3), &key.verifying_key()), Ok(message));
        assert_eq!(Message::verify(&bytes, scene(4), &key.verifying_key()), Err(Unreadable::BadSignature));
        let mut other = bytes.to_vec();
        other[40] ^= 1;
        assert_eq!(Message::verify(&other.into(), scene(3), &key.verifying_key()), Err(Unreadable::BadSignature));
        assert_eq!(Message::verify(&bytes, scene(1), &key.verifying_key()), Err(Unreadable::Malformed));
        for len in 0..bytes.len() {
            assert!(Message::verify(&bytes.slice(..len), scene(3), &key.verifying_key()).is_err());
        }
    }

    #[test]
    fn a_message_is_id_time_epoch_and_text_in_these_bytes() {
        let key = SigningKey::from_seed([1; 32]);
        let message = Message { id: [7; 16], unix_ms: 5, epoch: 2, text: Text::cut("hi") };
        let bytes = message.sign(scene(3), |label, body| key.sign(label, body));
        let (body, signature) = bytes.split_at(bytes.len() - 64);
        let (time, said) = ([0, 0, 0, 0, 0, 0, 0, 5], [0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(body, [[7; 16].as_slice(), &time, &said, &[0, 2, b'h', b'i']].concat());
        let where_and_when = [[1; 16].as_slice(), &[0, 0, 0, 1], &[0, 0, 0, 0, 0, 0, 0, 3], b"transcript"].concat();
        let claim = [where_and_when.as_slice(), &[7; 16], &time, &said, &sha256(&[b"hi"])].concat();
        assert_eq!(signature, key.sign(Label::Chat, &claim).as_bytes());
    }

    #[test]
    fn transcripts_of_the_last_epochs_are_known() {
        let mut transcripts = Transcripts::default();
        for epoch in 0..20 {
            transcripts.note(epoch, vec![1]);
        }
        assert!(transcripts.of(11).is_some() && transcripts.of(10).is_none());
    }

    #[test]
    fn a_message_is_shown_once_and_memory_is_bounded() {
        let mut shown = Shown::default();
        let (a, b) = (VerifyingKey::new([1; 32]), VerifyingKey::new([2; 32]));
        assert!(shown.is_new(a, [1; 16]));
        assert!(!shown.is_new(a, [1; 16]));
        assert!(shown.is_new(b, [1; 16]), "another's message may have the same id");
        for number in 0u128..10_000 {
            assert!(shown.is_new(a, (number + 1_000).to_be_bytes()));
        }
        assert!(shown.ids.len() <= MAX_REMEMBERED);
    }
}

//! What participants say to each other about the call, on SFrame's stream 255: each word signed by its leaf, and as long as its
//! bucket.
//!
//! ```text
//!   sealed object = bucket of 256, 512, 1024 .. bytes
//!     plain = u32 length ‖ word ‖ zeros
//!       word = kind u8 ‖ body ‖ Sig(leaf, label of the kind, room ‖ instance ‖ leaf u16 ‖ kind ‖ body)
//! ```
//!
//! A kind from the future is passed over and counted: older clients stay in the call. What a body means stands with its owner.

use std::fmt;

use bytes::Bytes;
use conclave_federation::{
    proof::{Label, Signature, VerifyingKey},
    wire::{Malformed, Reader, Wire, Writer},
};
use zeroize::Zeroizing;

use crate::{
    catalog::{Author, Unreadable},
    compare::{Ask, Reveal},
    gesture::{MuteRequest, Reaction},
    group::Vote,
    heartbeat::Heartbeat,
    known::Tags,
};

/// One word on the control track.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Control {
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// Asks to compare codes.
    Ask(Ask),
    /// Reveals a nonce for a comparison.
    Reveal(Reveal),
    /// Shows who may recognise us.
    Recognise(Tags),
    /// A sign for everybody.
    Reaction(Reaction),
    /// A request to somebody.
    MuteRequest(MuteRequest),
    /// Somebody is silent, or is to go.
    Vote(Vote),
    /// The call is over: the seed of our leaf key, so that nothing that it signed proves anything to anybody else any more.
    LeafKey(Zeroizing<[u8; 32]>),
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Control({})", self.kind())
    }
}

/// The bytes of a signature, at the end of a word.
const SIGNATURE: usize = 64;

/// Longest word: the largest bucket of objects that are not media, less what sealing and padding add.
pub(crate) const MAX_WORD: usize = 64 * 1024 - 64;

const HEARTBEAT: u8 = 1;
const ASK: u8 = 6;
const REVEAL: u8 = 7;
const RECOGNISE: u8 = 8;
const REACTION: u8 = 9;
const MUTE_REQUEST: u8 = 10;
const VOTE: u8 = 5;
const LEAF_KEY: u8 = 12;

impl Control {
    const fn kind(&self) -> u8 {
        match self {
            Self::Heartbeat(_) => HEARTBEAT,
            Self::Ask(_) => ASK,
            Self::Reveal(_) => REVEAL,
            Self::Recognise(_) => RECOGNISE,
            Self::Reaction(_) => REACTION,
            Self::MuteRequest(_) => MUTE_REQUEST,
            Self::Vote(_) => VOTE,
            Self::LeafKey(_) => LEAF_KEY,
        }
    }

    /// What the signature is for; `None`: a kind from the future.
    const fn label(kind: u8) -> Option<Label> {
        match kind {
            HEARTBEAT => Some(Label::Heartbeat),
            ASK | REVEAL | RECOGNISE | REACTION | MUTE_REQUEST | VOTE | LEAF_KEY => Some(Label::Control),
            _ => None,
        }
    }

    fn put_body(&self, out: &mut Writer) {
        match self {
            Self::Heartbeat(beat) => beat.put(out),
            Self::Ask(ask) => ask.put(out),
            Self::Reveal(reveal) => reveal.put(out),
            Self::Recognise(tags) => tags.put(out),
            Self::Reaction(reaction) => reaction.put(out),
            Self::MuteRequest(request) => request.put(out),
            Self::Vote(vote) => vote.put(out),
            Self::LeafKey(seed) => out.raw(seed.as_ref()),
        }
    }

    fn take_body(kind: u8, from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match kind {
            HEARTBEAT => Ok(Self::Heartbeat(Wire::take(from)?)),
            ASK => Ok(Self::Ask(Wire::take(from)?)),
            REVEAL => Ok(Self::Reveal(Wire::take(from)?)),
            RECOGNISE => Ok(Self::Recognise(Wire::take(from)?)),
            REACTION => Ok(Self::Reaction(Wire::take(from)?)),
            MUTE_REQUEST => Ok(Self::MuteRequest(Wire::take(from)?)),
            VOTE => Ok(Self::Vote(Wire::take(from)?)),
            LEAF_KEY => Ok(Self::LeafKey(Zeroizing::new(from.array("leaf key")?))),
            _ => Err(Malformed::Value("control word")),
        }
    }

    /// What is signed: the kind and the body as they travel.
    fn claim(author: Author, word: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        author.put(&mut out);
        out.raw(word);
        out.into_vec()
    }

    /// With the signature, ready to be sealed.
    pub(crate) fn sign(&self, author: Author, sign: impl FnOnce(Label, &[u8]) -> Signature) -> Bytes {
        let mut out = Writer::new();
        out.u8(self.kind());
        self.put_body(&mut out);
        let word = out.into_vec();
        let mut out = Writer::new();
        out.raw(&word);
        if let Some(label) = Self::label(self.kind()) {
            sign(label, &Self::claim(author, &word)).put(&mut out);
        }
        out.into_bytes()
    }

    /// Reads and verifies what was opened; `None`: a kind from the future. Nothing of a word is believed before its signature
    /// has been verified.
    pub(crate) fn verify(bytes: &Bytes, author: Author, leaf: &VerifyingKey) -> Result<Option<Self>, Unreadable> {
        let split = bytes.len().checked_sub(SIGNATURE).ok_or(Unreadable::Malformed)?;
        let (word, signature) = (bytes.slice(..split), bytes.slice(split..));
        let kind = *word.first().ok_or(Unreadable::Malformed)?;
        let Some(label) = Self::label(kind) else { return Ok(None) };
        let mut from = Reader::new(&signature);
        let signature: Signature = Wire::take(&mut from).map_err(|_| Unreadable::Malformed)?;
        let body = word.slice(1..);
        let mut from = Reader::new(&body);
        let control = Self::take_body(kind, &mut from).map_err(|_| Unreadable::Malformed)?;
        from.finish().map_err(|_| Unreadable::Malformed)?;
        if !leaf.verify(label, &Self::claim(author, &word), &signature) {
            return Err(Unreadable::BadSignature);
        }
        Ok(Some(control))
    }
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use conclave_federation::{
        id::{Head, Instance, RoomId},
        proof::SigningKey,
        wire::List,
    };

    use super::*;
    use crate::heartbeat::Echo;

    fn author(leaf: u16) -> Author {
        Author { room: RoomId::new([5; 16]), instance: Instance(2), leaf }
    }

    fn beat() -> Control {
        let echoes = List::new(vec![Echo { leaf: 1, counter: 2 }]).unwrap();
        Control::Heartbeat(Heartbeat { epoch: 3, seq: 4, head: Head::START, counter: 9, flags: 0, echoes })
    }

    #[test]
    fn a_word_is_read_back_and_bound_to_its_leaf_and_call() {
        let key = SigningKey::from_seed([1; 32]);
        let bytes = beat().sign(author(4), |label, body| key.sign(label, body));
        assert_eq!(Control::verify(&bytes, author(4), &key.verifying_key()), Ok(Some(beat())));
        assert_eq!(Control::verify(&bytes, author(5), &key.verifying_key()), Err(Unreadable::BadSignature));
        let call = Author { instance: Instance(3), ..author(4) };
        assert_eq!(Control::verify(&bytes, call, &key.verifying_key()), Err(Unreadable::BadSignature));
        for len in 0..bytes.len() {
            assert!(Control::verify(&bytes.slice(..len), author(4), &key.verifying_key()).is_err(), "{len}");
        }
        let longer = [bytes.as_ref(), b"x"].concat();
        assert!(Control::verify(&longer.into(), author(4), &key.verifying_key()).is_err());
    }

    #[test]
    fn a_word_is_kind_body_and_signature_in_these_bytes() {
        let key = SigningKey::from_seed([1; 32]);
        let bytes = beat().sign(author(4), |label, body| key.sign(label, body));
        let (word, signature) = bytes.split_at(bytes.len() - 64);
        let expected = [
            &[1][..],                  // heartbeat
            &[0, 0, 0, 0, 0, 0, 0, 3], // epoch
            &[0, 0, 0, 0, 0, 0, 0, 4], // seq
            &[0; 32],                  // head
            &[0, 0, 0, 9],             // counter
            &[0],                      // flags
            &[0, 1, 0, 1, 0, 0, 0, 2], // one echo: leaf 1, counter 2
        ];
        assert_eq!(word, expected.concat());
        let claim = [[5; 16].as_slice(), &[0, 0, 0, 2], &[0, 4], word].concat();
        assert_eq!(signature, key.sign(Label::Heartbeat, &claim).as_bytes());
    }

    #[test]
    fn a_kind_from_the_future_is_passed_over() {
        let key = SigningKey::from_seed([1; 32]);
        for kind in [0, 200, 255] {
            let bytes: Bytes = [&[kind][..], b"whatever it means", &[7; 64]].concat().into();
            assert_eq!(Control::verify(&bytes, author(4), &key.verifying_key()), Ok(None));
        }
    }
}

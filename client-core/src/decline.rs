//! The note with which a host answers a request that it refuses: sealed to a key that only those who could open the request
//! have seen, so that no relay learns the reason or makes one up.
//!
//! ```text
//!   note  = enc[32] ‖ HPKE(reply key, info "conclave/1 decline", request, plain)
//!   plain = version u8 ‖ reason u8 ‖ zeros to 32 bytes
//!   request = "decline" ‖ 0 ‖ room[16] ‖ instance u32 ‖ request id[16]
//! ```

use conclave_federation::{
    id::{Instance, JoinId, RoomId},
    wire::{Blob, Wire, Writer, message::Note},
};
use rand_core::RngCore;
use zeroize::Zeroizing;

use crate::{api::DeclineReason, hpke};

/// All notes are as long, whatever they say.
const PLAIN: usize = 32;

const VERSION: u8 = 1;

const INFO: &[u8] = b"conclave/1 decline";

/// The request that is answered.
#[derive(Clone, Copy, Debug)]
pub struct Declined {
    /// The room.
    pub room: RoomId,
    /// The call.
    pub instance: Instance,
    /// The request.
    pub id: JoinId,
}

impl Declined {
    fn context(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.raw(b"decline");
        out.u8(0);
        self.room.put(&mut out);
        self.instance.put(&mut out);
        self.id.put(&mut out);
        out.into_vec()
    }

    /// The note for the asker; `None` when the key to reply to is none.
    pub fn seal(&self, rng: &mut impl RngCore, reply: &[u8; 32], reason: DeclineReason) -> Option<Note> {
        let mut plain = [0; PLAIN];
        let (front, _) = plain.split_first_chunk_mut::<2>()?;
        *front = [VERSION, spell(reason)];
        let mut ephemeral = Zeroizing::new([0; 32]);
        rng.fill_bytes(ephemeral.as_mut());
        let (enc, sealed) = hpke::seal(&ephemeral, reply, INFO, &self.context(), &plain).ok()?;
        Blob::new([enc.as_slice(), &sealed].concat().into())
    }

    /// Why, if a participant says so: nobody else could have sealed it. What a newer version says is a refusal all the same.
    #[must_use]
    pub fn open(&self, note: &Note, reply: &hpke::SecretKey) -> Option<DeclineReason> {
        let (enc, sealed) = note.bytes().split_first_chunk::<{ hpke::ENC }>()?;
        let plain = reply.open(enc, INFO, &self.context(), sealed).ok()?;
        Some(match plain.as_slice() {
            [VERSION, 1, ..] => DeclineReason::Locked,
            [VERSION, 2, ..] => DeclineReason::Full,
            _ => DeclineReason::Refused,
        })
    }
}

const fn spell(reason: DeclineReason) -> u8 {
    match reason {
        DeclineReason::Refused => 0,
        DeclineReason::Locked => 1,
        DeclineReason::Full => 2,
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn request() -> Declined {
        Declined { room: RoomId::new([1; 16]), instance: Instance(2), id: JoinId::new([3; 16]) }
    }

    fn key() -> hpke::SecretKey {
        hpke::SecretKey::derive(&[4; 32])
    }

    fn note(reason: DeclineReason) -> Note {
        request().seal(&mut ChaCha20Rng::from_seed([5; 32]), key().public(), reason).expect("a key")
    }

    #[test]
    fn the_reason_arrives_and_only_where_it_belongs() {
        for reason in [DeclineReason::Refused, DeclineReason::Locked, DeclineReason::Full] {
            assert_eq!(request().open(&note(reason), &key()), Some(reason));
            assert_eq!(note(reason).bytes().len(), 32 + PLAIN + 16, "the length says nothing");
        }
        let note = note(DeclineReason::Locked);
        assert_eq!(request().open(&note, &hpke::SecretKey::derive(&[6; 32])), None);
        let other = Declined { id: JoinId::new([9; 16]), ..request() };
        assert_eq!(other.open(&note, &key()), None, "a note is for one request");
        for len in 0..note.bytes().len() {
            let cut = Blob::new(note.bytes().slice(..len)).expect("shorter");
            assert_eq!(request().open(&cut, &key()), None, "{len}");
        }
    }

    #[test]
    fn what_a_newer_version_says_is_a_no() {
        let sealed = |plain: &[u8]| {
            let (enc, sealed) = hpke::seal(&[7; 32], key().public(), INFO, &request().context(), plain).expect("a key");
            Blob::new([enc.as_slice(), &sealed].concat().into()).expect("short")
        };
        for plain in [&[2, 1][..], &[1, 9], &[1], &[]] {
            assert_eq!(request().open(&sealed(plain), &key()), Some(DeclineReason::Refused), "{plain:?}");
        }
    }

    /// Known answer: whoever writes a second client seals the same note from the same bytes.
    #[test]
    fn a_note_has_these_bytes() {
        use std::fmt::Write;
        let hex = |bytes: &[u8]| {
            bytes.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            })
        };
        assert_eq!(hex(&request().context()), format!("6465636c696e6500{}00000002{}", "01".repeat(16), "03".repeat(16)));
        assert_eq!(hex(note(DeclineReason::Locked).bytes()), NOTE);
    }

    const NOTE: &str = "f831760add06883b0f2ccb1d19473dc2c203c2320126dd593e06d8acaca84f21618bc97c1ca37f416485e91a6e0f2033229\
        f82434f0c1387ae622840a87427be8013a03704dc1c0d3ccb30aa421e75b5";
}

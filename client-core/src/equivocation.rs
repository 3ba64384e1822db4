//! Proof that a hub told two histories: two of its own signatures that contradict each other. Anybody can verify it, with
//! nothing but the bytes.

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RelayId, RoomId},
    wire::{
        Malformed, Reader, Wire, Writer,
        message::{EntryHeader, HubHead},
    },
};

/// A proof, as it is handed on: `version u8 = 1 ‖ relay id ‖ kind u8 ‖ ..`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Equivocation {
    /// Whose signatures they are.
    pub relay: RelayId,
    /// What contradicts each other.
    pub evidence: Evidence,
}

/// What contradicts each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// Two heads after the same entry of the same log (kind 1).
    Heads(Box<(HubHead, HubHead)>),
    /// A head, and the head of a next entry that follows another one (kind 2).
    Chain(Box<(HubHead, EntryHeader, HubHead)>),
}

/// What a proof shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The relay that signed both.
    pub relay: RelayId,
    /// In which room.
    pub room: RoomId,
    /// In which call.
    pub instance: Instance,
    /// After which entry of the log.
    pub seq: u64,
}

/// Why it proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoProof {
    /// Other bytes.
    #[error("this is not a proof that a relay told two histories: {0}")]
    Malformed(#[from] Malformed),
    /// The two belong to different logs, or to different places of one.
    #[error("the two signed statements are not about the same place of the same log")]
    Unrelated,
    /// The two say the same.
    #[error("the two signed statements do not contradict each other")]
    Agreeing,
    /// Not signed by the relay that is named.
    #[error("the statements are not signed by the relay that is named")]
    BadSignature,
}

const VERSION: u8 = 1;
const HEADS: u8 = 1;
const CHAIN: u8 = 2;

impl Wire for Equivocation {
    fn put(&self, out: &mut Writer) {
        out.u8(VERSION);
        self.relay.put(out);
        match &self.evidence {
            Evidence::Heads(heads) => {
                out.u8(HEADS);
                heads.0.put(out);
                heads.1.put(out);
            }
            Evidence::Chain(chain) => {
                out.u8(CHAIN);
                chain.0.put(out);
                chain.1.put(out);
                chain.2.put(out);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if from.u8()? != VERSION {
            return Err(Malformed::Value("version of a proof"));
        }
        let relay = Wire::take(from)?;
        let evidence = match from.u8()? {
            HEADS => Evidence::Heads(Box::new((Wire::take(from)?, Wire::take(from)?))),
            CHAIN => Evidence::Chain(Box::new((Wire::take(from)?, Wire::take(from)?, Wire::take(from)?))),
            _ => return Err(Malformed::Value("kind of proof")),
        };
        Ok(Self { relay, evidence })
    }
}

fn place(head: &HubHead) -> (RoomId, Instance, u16, u8) {
    (head.room, head.instance, head.term, head.hub_index)
}

impl Equivocation {
    /// Whether the two really contradict each other and are the relay's.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn verify(&self) -> Result<Shown, NoProof> {
        let (first, second) = match &self.evidence {
            Evidence::Heads(heads) => {
                let (first, second) = (&heads.0, &heads.1);
                if place(first) != place(second) || first.seq != second.seq {
                    return Err(NoProof::Unrelated);
                }
                if first.head == second.head {
                    return Err(NoProof::Agreeing);
                }
                (first, second)
            }
            Evidence::Chain(chain) => {
                let (first, header, second) = (&chain.0, &chain.1, &chain.2);
                let follows = place(first) == place(second)
                    && place(first) == (header.room, header.instance, header.term, header.hub_index)
                    && second.seq == header.seq
                    && first.seq.checked_add(1) == Some(header.seq)
                    && header.head() == second.head;
                if !follows {
                    return Err(NoProof::Unrelated);
                }
                if header.prev_head == first.head {
                    return Err(NoProof::Agreeing);
                }
                (first, second)
            }
        };
        if !first.verify(self.relay) || !second.verify(self.relay) {
            return Err(NoProof::BadSignature);
        }
        Ok(Shown { relay: self.relay, room: first.room, instance: first.instance, seq: first.seq })
    }
}

/// Reads a proof and verifies it: all that a stranger needs.
///
/// # Errors
/// Says why it proves nothing.
pub fn verify(bytes: &[u8]) -> Result<Shown, NoProof> {
    Equivocation::decode(&Bytes::copy_from_slice(bytes))?.verify()
}

#[cfg(test)]
pub(crate) mod tests {
    use conclave_federation::{
        id::{Generation, Head},
        proof::SigningKey,
        wire::{List, message::EntryKind},
    };

    use super::*;

    pub(crate) fn hub() -> SigningKey {
        SigningKey::from_seed([9; 32])
    }

    pub(crate) fn relay(key: &SigningKey) -> RelayId {
        RelayId::new(*key.verifying_key().as_bytes())
    }

    /// The entry at `seq` after `prev`; `flavour` makes another one of it.
    pub(crate) fn header(seq: u64, prev: Head, flavour: u8) -> EntryHeader {
        EntryHeader {
            version: EntryHeader::VERSION,
            room: RoomId::new([5; 16]),
            instance: Instance(2),
            seq,
            prev_head: prev,
            kind: EntryKind::Commit,
            flags: 0,
            generation: Generation(0),
            term: 0,
            hub_index: 0,
            body_hash: [flavour; 32],
            welcome_hash: [0; 32],
            served: List::default(),
        }
    }

    pub(crate) fn head(seq: u64, flavour: u8) -> HubHead {
        HubHead::sign(&hub(), &header(seq, Head::START, flavour), 1_000)
    }

    fn heads(first: HubHead, second: HubHead) -> Equivocation {
        Equivocation { relay: relay(&hub()), evidence: Evidence::Heads(Box::new((first, second))) }
    }

    fn chain(first: HubHead, header: EntryHeader, second: HubHead) -> Equivocation {
        Equivocation { relay: relay(&hub()), evidence: Evidence::Chain(Box::new((first, header, second))) }
    }

    #[test]
    fn a_stranger_sees_from_the_bytes_alone_that_a_hub_told_two_histories() {
        let shown = Shown { relay: relay(&hub()), room: RoomId::new([5; 16]), instance: Instance(2), seq: 4 };
        assert_eq!(verify(&heads(head(4, 1), head(4, 2)).encode()), Ok(shown));
        // Two histories that part before the first entry that both show.
        let next = header(5, head(4, 2).head, 3);
        let after = HubHead::sign(&hub(), &next, 2_000);
        let shown = Shown { seq: 4, ..shown };
        assert_eq!(verify(&chain(head(4, 1), next, after).encode()), Ok(shown));
    }

    #[test]
    fn nothing_that_an_honest_hub_signs_is_a_proof() {
        assert_eq!(heads(head(4, 1), head(4, 1)).verify(), Err(NoProof::Agreeing), "said twice");
        let later = HubHead::sign(&hub(), &header(4, Head::START, 1), 9_000);
        assert_eq!(heads(head(4, 1), later).verify(), Err(NoProof::Agreeing), "said again later");
        assert_eq!(heads(head(4, 1), head(5, 2)).verify(), Err(NoProof::Unrelated), "two entries of one history");
        let next = header(5, head(4, 1).head, 3);
        let after = HubHead::sign(&hub(), &next, 2_000);
        assert_eq!(chain(head(4, 1), next.clone(), after.clone()).verify(), Err(NoProof::Agreeing), "one follows the other");
        assert_eq!(chain(head(3, 1), next.clone(), after).verify(), Err(NoProof::Unrelated), "one is missing between them");
        let elsewhere = HubHead::sign(&hub(), &EntryHeader { instance: Instance(3), ..header(4, Head::START, 2) }, 1_000);
        assert_eq!(heads(head(4, 1), elsewhere).verify(), Err(NoProof::Unrelated), "another call");
        let term = HubHead::sign(&hub(), &EntryHeader { term: 1, ..header(4, Head::START, 2) }, 1_000);
        assert_eq!(heads(head(4, 1), term).verify(), Err(NoProof::Unrelated), "another hub's turn");
        // A header that was never signed proves nothing.
        let made_up = header(5, head(4, 2).head, 7);
        let signed = HubHead::sign(&hub(), &header(5, head(4, 1).head, 3), 2_000);
        assert_eq!(chain(head(4, 1), made_up, signed).verify(), Err(NoProof::Unrelated));
    }

    #[test]
    fn what_somebody_else_signed_or_changed_proves_nothing() {
        let stranger = HubHead::sign(&SigningKey::from_seed([8; 32]), &header(4, Head::START, 2), 1_000);
        assert_eq!(heads(head(4, 1), stranger).verify(), Err(NoProof::BadSignature));
        let other = Equivocation { relay: relay(&SigningKey::from_seed([8; 32])), ..heads(head(4, 1), head(4, 2)) };
        assert_eq!(other.verify(), Err(NoProof::BadSignature));
        let bytes = heads(head(4, 1), head(4, 2)).encode();
        for at in 0..bytes.len() {
            assert!(verify(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(verify(&changed).is_err(), "changed at {at}");
        }
        assert!(verify(&[bytes.as_ref(), b"x"].concat()).is_err());
    }

    #[test]
    fn a_proof_is_version_relay_kind_and_statements_in_these_bytes() {
        let (first, second) = (head(4, 1), head(4, 2));
        let bytes = heads(first.clone(), second.clone()).encode();
        let expected = [&[1][..], relay(&hub()).as_bytes(), &[1], &first.encode(), &second.encode()].concat();
        assert_eq!(bytes, expected);
        let next = header(5, second.head, 3);
        let after = HubHead::sign(&hub(), &next, 2_000);
        let bytes = chain(first.clone(), next.clone(), after.clone()).encode();
        assert_eq!(bytes, [&[1][..], relay(&hub()).as_bytes(), &[2], &first.encode(), &next.encode(), &after.encode()].concat());
    }
}

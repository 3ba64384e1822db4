//! The hub's signed heads, as we hold them and as others tell of theirs: where two contradict each other, the hub told two
//! histories.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    wire::{
        Wire,
        message::{EntryHeader, HubHead},
    },
};
use rand_chacha::ChaCha20Rng;

use crate::{
    equivocation::{Equivocation, Evidence},
    room::{AccessSecret, kdf32},
    seal::SealKey,
};

/// Our heads that are kept: the last quarter of an hour of a busy room. Older ones are compared with nothing any more.
const MAX_HELD: usize = 256;

/// Heads of others from places that we have not reached; the nearest are kept.
const MAX_CLAIMED: usize = 64;

/// The first byte of a beacon: of chat it is 0, of SFrame's objects on these tracks at least 0x80.
pub(crate) const BEACON: u8 = 1;

/// The key of beacons: of the room's participants in every epoch and on every branch, so that both halves of a split room can
/// read each other's. `KDF(A_g, "beacon", room ‖ instance)`.
pub(crate) fn beacon_key(access: &AccessSecret, room: RoomId, instance: Instance) -> SealKey {
    SealKey::new(*kdf32(access.expose(), "beacon", &place(room, instance)))
}

fn place(room: RoomId, instance: Instance) -> Vec<u8> {
    [room.as_bytes().as_slice(), &instance.0.to_be_bytes()].concat()
}

/// `0x01 ‖ Seal(beacon key, room ‖ instance, head)`: an object of the control track.
pub(crate) fn seal_beacon(access: &AccessSecret, head: &HubHead, rng: &mut ChaCha20Rng) -> Option<Bytes> {
    let sealed = beacon_key(access, head.room, head.instance).seal(rng, &place(head.room, head.instance), &head.encode()).ok()?;
    Some([&[BEACON], sealed.as_ref()].concat().into())
}

/// What is in a beacon. Whose word it is shows in the head's own signature, which is not looked at here.
pub(crate) fn open_beacon(access: &AccessSecret, room: RoomId, instance: Instance, beacon: &[u8]) -> Option<HubHead> {
    let (kind, sealed) = beacon.split_first()?;
    if *kind != BEACON {
        return None;
    }
    let plain = beacon_key(access, room, instance).open(&place(room, instance), sealed).ok()?;
    let head = HubHead::decode(&Bytes::copy_from_slice(&plain)).ok()?;
    (head.room == room && head.instance == instance).then_some(head)
}

/// Heads of one call's log.
#[derive(Default)]
pub(crate) struct Heads {
    /// Ours, by the place of their entry.
    held: BTreeMap<u64, HubHead>,
    /// What others told of places where we have not been.
    claimed: BTreeMap<u64, HubHead>,
    /// It is told once.
    proven: bool,
}

impl Heads {
    /// A head that we believe: the hub's word for an entry that we have. Gives a proof when somebody had told another.
    pub(crate) fn hold(&mut self, head: &HubHead, hub: RelayId) -> Option<Equivocation> {
        if self.held.get(&head.seq).is_some_and(|held| held.head == head.head) {
            return None;
        }
        let known = self.held.get(&head.seq).cloned().or_else(|| self.claimed.remove(&head.seq));
        self.held.entry(head.seq).or_insert_with(|| head.clone());
        while self.held.len() > MAX_HELD {
            self.held.pop_first();
        }
        self.prove(hub, Evidence::Heads(Box::new((known?, head.clone()))))
    }

    /// A head of whose entry nothing else is known: from a beacon, or with an entry that does not follow ours.
    pub(crate) fn on_claim(&mut self, head: &HubHead, hub: RelayId) -> Option<Equivocation> {
        if let Some(known) = self.held.get(&head.seq).or_else(|| self.claimed.get(&head.seq)) {
            if known.head == head.head {
                return None;
            }
            let evidence = Evidence::Heads(Box::new((known.clone(), head.clone())));
            return self.prove(hub, evidence);
        }
        // Only what can still come is worth keeping, and only if the hub said it.
        if self.held.last_key_value().is_none_or(|(newest, _)| *newest < head.seq) && head.verify(hub) {
            self.claimed.insert(head.seq, head.clone());
            while self.claimed.len() > MAX_CLAIMED {
                self.claimed.pop_last();
            }
        }
        None
    }

    /// An entry that does not follow ours, though the hub signed it.
    pub(crate) fn on_fork(&mut self, header: &EntryHeader, head: &HubHead, hub: RelayId) -> Option<Equivocation> {
        if let Some(proof) = self.on_claim(head, hub) {
            return Some(proof);
        }
        let before = self.held.get(&header.seq.checked_sub(1)?)?.clone();
        self.prove(hub, Evidence::Chain(Box::new((before, header.clone(), head.clone()))))
    }

    fn prove(&mut self, relay: RelayId, evidence: Evidence) -> Option<Equivocation> {
        let proof = Equivocation { relay, evidence };
        if self.proven || proof.verify().is_err() {
            return None;
        }
        self.proven = true;
        Some(proof)
    }

    /// The newest that we hold.
    pub(crate) fn newest(&self) -> Option<&HubHead> {
        self.held.last_key_value().map(|(_, head)| head)
    }

    /// Whether somebody who has seen `entries` entries says of the head after them what we hold; `None`: we do not know.
    pub(crate) fn agrees(&self, entries: u64, head: Head) -> Option<bool> {
        let held = self.held.get(&entries.checked_sub(1)?)?;
        Some(held.head == head)
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::proof::SigningKey;
    use rand_core::SeedableRng;

    use super::*;
    use crate::equivocation::tests::{head, header, hub, relay};

    fn ours() -> RelayId {
        relay(&hub())
    }

    #[test]
    fn what_another_was_told_is_compared_with_what_we_were_told_before_and_later() {
        let mut heads = Heads::default();
        assert_eq!(heads.hold(&head(3, 1), ours()), None);
        assert_eq!(heads.on_claim(&head(3, 1), ours()), None);
        let proof = heads.on_claim(&head(3, 2), ours()).unwrap();
        assert!(proof.verify().is_ok());
        assert_eq!(heads.on_claim(&head(3, 2), ours()), None, "told once");

        let mut heads = Heads::default();
        assert_eq!(heads.on_claim(&head(3, 2), ours()), None);
        assert!(heads.hold(&head(3, 1), ours()).unwrap().verify().is_ok());
    }

    #[test]
    fn an_entry_that_does_not_follow_ours_is_a_proof_with_the_head_before_it() {
        let mut heads = Heads::default();
        heads.hold(&head(3, 1), ours());
        let other = header(4, head(3, 2).head, 1);
        let proof = heads.on_fork(&other, &HubHead::sign(&hub(), &other, 5), ours()).unwrap();
        assert!(proof.verify().is_ok());
    }

    #[test]
    fn what_the_hub_did_not_sign_is_neither_kept_nor_a_proof() {
        let mut heads = Heads::default();
        heads.hold(&head(3, 1), ours());
        let stranger = SigningKey::from_seed([1; 32]);
        for seq in [3, 4] {
            let forged = HubHead::sign(&stranger, &header(seq, Head::START, 2), 1_000);
            assert_eq!(heads.on_claim(&forged, ours()), None);
        }
        assert!(heads.claimed.is_empty());
        let other = header(4, head(3, 2).head, 1);
        assert_eq!(heads.on_fork(&other, &HubHead::sign(&stranger, &other, 5), ours()), None);
    }

    #[test]
    fn memory_is_bounded_whatever_others_tell() {
        let mut heads = Heads::default();
        for seq in 0..1_000 {
            heads.hold(&head(seq, 1), ours());
        }
        for seq in 2_000..2_200 {
            heads.on_claim(&head(seq, 1), ours());
        }
        assert_eq!((heads.held.len(), heads.claimed.len()), (MAX_HELD, MAX_CLAIMED));
        assert_eq!(heads.newest().map(|head| head.seq), Some(999));
        assert_eq!(heads.on_claim(&head(2_000, 1), ours()), None);
        assert!(heads.claimed.contains_key(&2_000), "what comes next is kept");
        assert_eq!(heads.on_claim(&head(10, 2), ours()), None, "too old to say");
    }

    #[test]
    fn a_heartbeat_is_compared_with_the_head_after_as_many_entries() {
        let mut heads = Heads::default();
        heads.hold(&head(3, 1), ours());
        assert_eq!(heads.agrees(4, head(3, 1).head), Some(true));
        assert_eq!(heads.agrees(4, head(3, 2).head), Some(false));
        assert_eq!((heads.agrees(3, head(2, 1).head), heads.agrees(0, Head::START)), (None, None));
    }

    #[test]
    fn a_beacon_opens_for_everybody_of_the_generation_in_this_call_alone() {
        let access = AccessSecret::new([4; 32]);
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (room, instance) = (RoomId::new([5; 16]), Instance(2));
        let beacon = seal_beacon(&access, &head(7, 1), &mut rng).unwrap();
        assert_eq!(beacon.len(), 1 + 256 + crate::seal::OVERHEAD);
        assert_eq!(open_beacon(&access, room, instance, &beacon), Some(head(7, 1)));
        assert_eq!(open_beacon(&AccessSecret::new([5; 32]), room, instance, &beacon), None);
        assert_eq!(open_beacon(&access, room, Instance(3), &beacon), None);
        for at in 0..beacon.len() {
            let mut changed = beacon.to_vec();
            changed[at] ^= 1;
            assert_eq!(open_beacon(&access, room, instance, &changed), None);
            assert_eq!(open_beacon(&access, room, instance, &beacon[..at]), None);
        }
    }
}

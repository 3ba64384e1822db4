//! Generations of the room: which link is current, which lead to the waiting room alone, and how a group gets to the next.

use conclave_federation::{id::Generation, limits::MAX_RETIRED, record::RoomRecord, wire::List};

use super::{EpochBox, Group, RetiredLink};
use crate::room::{AccessKeys, AccessSecret, JoinKeys, LinkSecret};

/// Secrets of a generation that are not in force yet.
#[derive(Clone)]
pub(super) struct NextGeneration {
    pub(super) record: RoomRecord,
    pub(super) access: AccessSecret,
    pub(super) link: LinkSecret,
}

impl NextGeneration {
    /// The keys, if both secrets are those of the record.
    fn keys(&self) -> Option<(JoinKeys, AccessKeys)> {
        Some((self.link.keys_of(&self.record)?, self.access.keys_of(&self.record, None)?))
    }

    /// Whether both secrets are those of the record.
    pub(super) fn fits(&self) -> bool {
        self.keys().is_some()
    }
}

impl Group {
    /// Keys of the current link or of a retired one that the record still names.
    pub(super) fn join_keys_of(&self, generation: Generation) -> Option<JoinKeys> {
        if generation == self.record.generation {
            return Some(self.join_keys.clone());
        }
        let retired = self.retired.iter().find(|link| link.generation == generation)?;
        Some(retired.secret.keys(self.call.room, generation))
    }

    /// The retired links once the current one is among them; the oldest goes when there are too many.
    pub(super) fn next_retired(&self) -> Vec<RetiredLink> {
        let current = RetiredLink { generation: self.record.generation, secret: self.link.clone() };
        let mut links: Vec<RetiredLink> = self.retired.iter().cloned().chain([current]).collect();
        links.drain(..links.len().saturating_sub(MAX_RETIRED));
        links
    }

    /// What the box of the next epoch holds.
    pub(super) fn box_contents(&self, next: Option<&NextGeneration>, roster: [u8; 32], seq: u64) -> EpochBox {
        let (record, access, link, retired) = match next {
            Some(next) => (&next.record, &next.access, &next.link, self.next_retired()),
            None => (&self.record, &self.access, &self.link, self.retired.clone()),
        };
        EpochBox {
            generation: record.generation,
            access: access.clone(),
            link: link.clone(),
            record: record.hash(),
            roster,
            seq,
            retired: List::new(retired).unwrap_or_default(),
        }
    }

    /// The next generation is in force. False when the secrets are not the record's: nothing changes but the record then.
    pub(super) fn enter_generation(&mut self, next: NextGeneration) -> bool {
        let keys = next.keys();
        let retired = self.next_retired();
        self.record = next.record;
        let Some((join_keys, access_keys)) = keys else { return false };
        self.retired = retired;
        self.link = next.link;
        self.access = next.access;
        self.join_keys = join_keys;
        self.access_keys = access_keys;
        true
    }
}

/// Whether retired links, as handed over, are those that the record names.
pub(super) fn retired_fit(record: &RoomRecord, retired: &[RetiredLink]) -> bool {
    retired.iter().all(|link| {
        link.generation < record.generation
            && record
                .join_key(link.generation)
                .is_none_or(|key| link.secret.keys(record.room, link.generation).sign.verifying_key() == *key)
    })
}

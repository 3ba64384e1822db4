//! Which entry of the log brought a leaf in: what a report may prove to whoever runs the hub.

use std::collections::BTreeMap;

use conclave_federation::{id::Head, proof::VerifyingKey};

use super::Group;
use crate::seal::SealKey;

/// Leaves that are remembered, those who have gone included.
const MAX_ADMISSIONS: usize = 4_096;

/// The entry that brought a leaf in, and the key that opens its commit: `MS` of the epoch before. It opens this commit and
/// others that were tried in the same epoch, and nothing else: no media, no chat, no other epoch's entry.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Its place in the log.
    pub(crate) seq: u64,
    /// The log's head with it.
    pub(crate) head: Head,
    /// `MS`.
    pub(crate) key: SealKey,
}

/// Of all leaves that came while we were there.
#[derive(Default)]
pub(super) struct Admissions(BTreeMap<VerifyingKey, Admission>);

impl Admissions {
    /// A leaf came in; whoever comes back on a new leaf was let in by the first entry.
    pub(super) fn note(&mut self, key: VerifyingKey, admission: Admission) {
        if self.0.len() < MAX_ADMISSIONS {
            self.0.entry(key).or_insert(admission);
        }
    }
}

impl Group {
    /// The entry that brought this leaf in, if we were there.
    pub(crate) fn admission(&self, key: &VerifyingKey) -> Option<&Admission> {
        self.admissions.0.get(key)
    }
}

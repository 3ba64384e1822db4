//! Epochs: one authenticator each, one roster each.

use std::collections::{BTreeMap, BTreeSet};

use conclave_client_core::api::ParticipantId;

use super::PersonNo;

/// What people say of epochs. All of one call; a script that has a second call begins a new book.
#[derive(Default)]
pub struct Groups {
    codes: BTreeMap<u64, (String, PersonNo)>,
    rosters: BTreeMap<u64, (BTreeSet<ParticipantId>, PersonNo)>,
    last: BTreeMap<PersonNo, u64>,
}

impl Groups {
    /// `person` is in an epoch whose authenticator makes this code.
    ///
    /// # Errors
    /// When somebody else has another code for it, or the person went back.
    pub fn on_epoch(&mut self, person: PersonNo, epoch: u64, code: &str) -> Result<(), String> {
        let (first, by) = self.codes.entry(epoch).or_insert_with(|| (code.to_owned(), person));
        if first != code {
            return Err(format!("epoch {epoch} has code {first} at {by:?} and {code} at {person:?}"));
        }
        match self.last.insert(person, epoch) {
            Some(last) if last > epoch => Err(format!("{person:?} went back from epoch {last} to {epoch}")),
            _ => Ok(()),
        }
    }

    /// `person`, in this epoch and at rest, sees these participants.
    ///
    /// # Errors
    /// When somebody else saw others in the same epoch.
    pub fn on_roster(&mut self, person: PersonNo, epoch: u64, roster: BTreeSet<ParticipantId>) -> Result<(), String> {
        let (first, by) = self.rosters.entry(epoch).or_insert_with(|| (roster.clone(), person));
        if *first == roster { Ok(()) } else { Err(format!("epoch {epoch} has {first:?} at {by:?} and {roster:?} at {person:?}")) }
    }

    /// Epochs that anybody was in.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.codes.len()
    }

    /// Epochs that more than one person was in cannot be told from here; the highest is.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.codes.keys().next_back().copied()
    }
}

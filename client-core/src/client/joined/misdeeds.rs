//! Who does what no honest client does: counted here, told to hosts.

use std::collections::BTreeMap;

use conclave_federation::{io::Outlet, limits::MAX_LEAVES, proof::VerifyingKey};

use super::{super::core::Ctx, Joined};
use crate::api::{Event, Misdeed};

/// Entries of one signer that everybody skipped, before hosts are told; and before they are told again.
const JUNK: u32 = 3;

/// Skipped entries by who signed them.
pub(super) type Misdeeds = BTreeMap<VerifyingKey, u32>;

impl Joined {
    /// An entry that this leaf signed does not hold.
    pub(super) fn on_junk(&mut self, by: u16, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(key) = self.roster.key(by).copied() else { return };
        if self.misdeeds.len() >= usize::from(MAX_LEAVES) && !self.misdeeds.contains_key(&key) {
            return;
        }
        let count = self.misdeeds.entry(key).or_default();
        *count = count.saturating_add(1);
        if count.is_multiple_of(JUNK) {
            self.tell_misdeed(by, Misdeed::Junk, ctx);
        }
    }

    /// Tells us, if we are a host and it was not us.
    pub(super) fn tell_misdeed(&mut self, by: u16, what: Misdeed, ctx: &mut Ctx<'_, impl Outlet>) {
        let is_host = self.seat.group().is_some_and(|group| group.is_host(group.me()));
        if let Some(participant) = self.roster.id(by).filter(|_| is_host && by != self.me) {
            self.tell(Event::Misbehaved { participant, what }, ctx);
        }
    }
}

//! A host's authority: what relays believe, and how it is handed on.

use conclave_federation::{
    limits::MAX_DELEGATIONS,
    proof::{HostProof, Label, SigningKey, VerifyingKey},
    record::{Chain, Delegation, RoomRecord},
    wire::List,
};

use super::{Group, Leaf};
use crate::state::HostEntry;

/// By what right we act in a host's place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Authority {
    /// We hold the founder's key.
    Founder,
    /// A chain leads from the founder to our leaf key.
    Delegate,
}

impl Group {
    /// What relays believe us as a host by, if anything. A host by the founder's word whose device does not hold the founder's
    /// key, as after a copy of the leaf alone, has none.
    #[must_use]
    pub fn authority(&self) -> Option<Authority> {
        if self.founder.is_some() {
            return Some(Authority::Founder);
        }
        self.state.host(&self.my_key()).filter(|host| !host.delegation.is_empty()).map(|_| Authority::Delegate)
    }

    /// A host's word for a relay, under this label.
    #[must_use]
    pub fn host_proof(&self, label: Label, body: &[u8]) -> Option<HostProof> {
        let (key, chain) = self.right()?;
        Some(HostProof::sign(label, body, key, chain))
    }

    /// The key that speaks, and the chain that leads to it.
    fn right(&self) -> Option<(&SigningKey, Chain)> {
        match self.authority()? {
            Authority::Founder => Some((self.founder.as_ref()?, Chain::default())),
            Authority::Delegate => Some((&self.signer.0, self.state.host(&self.my_key())?.delegation.clone())),
        }
    }

    /// Makes this key a host, as far as our own right reaches.
    pub(super) fn delegate(&self, host: VerifyingKey, expires: u64) -> Option<HostEntry> {
        let (key, chain) = self.right()?;
        if chain.len() >= MAX_DELEGATIONS {
            return None;
        }
        // Nobody hands on for longer than they have it.
        let expires = chain.iter().map(|step| step.expires).fold(expires, u64::min);
        let step = Delegation::issue(key, self.call.room, host, expires);
        let delegation = List::new(chain.iter().cloned().chain([step]).collect())?;
        Some(HostEntry { key: host, delegation })
    }

    /// Signs a record in the room's name.
    pub(super) fn sign_record(&self, record: &mut RoomRecord) -> bool {
        let Some((key, chain)) = self.right() else { return false };
        record.sign_as(key, chain);
        true
    }

    /// Whether this member carries the founder's word.
    pub(super) fn is_founder(&self, leaf: Leaf) -> bool {
        self.member(leaf).is_some_and(|member| self.founders.contains(&member.key))
    }
}

//! Who is in the group: the tree's leaves, nothing else.

use conclave_federation::proof::VerifyingKey;
use openmls::prelude::LeafNodeIndex;

use super::{Group, Leaf, Member, node};

impl Group {
    /// Everybody, by leaf.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.mls.members().filter_map(|member| self.member(Leaf(member.index.u32())))
    }

    /// Who is at this leaf.
    #[must_use]
    pub fn member(&self, leaf: Leaf) -> Option<Member> {
        let node = self.mls.public_group().leaf(LeafNodeIndex::new(leaf.0))?;
        // Every leaf was checked when it came in.
        let (key, profile) = node::check_leaf(node, &self.bind).ok()?;
        let host = self.state.hosts.contains(&key) || self.hosts.contains(&key);
        let joined = self.joined.get(&key).copied().unwrap_or(self.first_epoch);
        Some(Member { leaf, key, profile, host, joined })
    }

    /// Where this key is.
    #[must_use]
    pub fn leaf_of(&self, key: &VerifyingKey) -> Option<Leaf> {
        self.keys().into_iter().find(|(_, member)| member == key).map(|(leaf, _)| leaf)
    }

    /// How many there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.mls.members().count()
    }

    /// Every leaf and its key.
    pub(super) fn keys(&self) -> Vec<(Leaf, VerifyingKey)> {
        let key = |bytes: &[u8]| bytes.try_into().map(VerifyingKey::new).ok();
        self.mls.members().filter_map(|member| key(&member.signature_key).map(|key| (Leaf(member.index.u32()), key))).collect()
    }

    /// A member carries the founder's word, or does not: verified once, or a thousand false words would cost a second
    /// with every commit.
    pub(super) fn look_for_host(&mut self, member: &Member) {
        if member.profile.is_host(&self.record.founder, &self.bind, &member.key) {
            self.hosts.insert(member.key);
        }
    }

    /// Whether the group gives this leaf a host's rights.
    #[must_use]
    pub fn is_host(&self, leaf: Leaf) -> bool {
        self.member(leaf).is_some_and(|member| member.host)
    }
}

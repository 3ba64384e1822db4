//! Who is in the group: the tree's leaves, nothing else.

use conclave_federation::proof::VerifyingKey;
use openmls::prelude::LeafNodeIndex;

use super::{Group, Leaf, Member, node};
use crate::policy::{self, Person};

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
        let node::Known { key, profile, bind } = node::check_leaf(node, &self.call).ok()?;
        let person = Person { leaf, key, founder: self.founders.contains(&key), since: bind.seq };
        let host = policy::is_host(&self.state, &person);
        let joined = self.joined.get(&key).copied().unwrap_or(self.first_epoch);
        Some(Member { leaf, key, profile, host, joined, bind })
    }

    /// Everybody, as far as the policy asks.
    pub(super) fn persons(&self) -> Vec<Person> {
        let person =
            |Member { leaf, key, bind, .. }: Member| Person { leaf, key, founder: self.founders.contains(&key), since: bind.seq };
        self.members().map(person).collect()
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
    pub(super) fn look_for_founder(&mut self, member: &Member) {
        if member.profile.is_host(&self.record.founder, &self.call, &member.key) {
            self.founders.insert(member.key);
        }
    }

    /// Whether the group gives this leaf a host's rights.
    #[must_use]
    pub fn is_host(&self, leaf: Leaf) -> bool {
        self.member(leaf).is_some_and(|member| member.host)
    }
}

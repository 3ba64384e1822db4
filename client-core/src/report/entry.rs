//! What the hub's operator can do besides: open their own copy of the one entry that let the author in.

use conclave_federation::wire::{Reader, Wire, message::Entry};

use super::{Said, Verified};
use crate::{
    group::commit_associated,
    leaf::{PROFILE, Profile},
    seal::SealKey,
};

/// Why an entry shows nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// The report does not name an entry.
    #[error("the report does not say which entry let its author in: the reporter came later")]
    NotNamed,
    /// Another entry.
    #[error("this is not the entry that the report names")]
    Another,
    /// The key does not open it.
    #[error("the report's key does not open this entry")]
    Closed,
    /// It opens, and lets in somebody else.
    #[error("this entry does not let in whoever wrote the message")]
    NotThere,
}

/// Whether `entry`, of the operator's own log, let in whoever wrote this message: gives the name that they came with.
///
/// # Errors
/// Says what the entry does not show.
pub fn find_in_entry(report: &Verified, said: &Said, entry: &Entry) -> Result<String, EntryError> {
    let admitted = said.admitted.as_ref().ok_or(EntryError::NotNamed)?;
    let header = &entry.header;
    if (header.room, header.instance) != (report.room, report.instance)
        || header.seq != admitted.seq
        || header.head() != admitted.head
    {
        return Err(EntryError::Another);
    }
    let commit =
        SealKey::new(admitted.key).open(&commit_associated(header), entry.commit.bytes()).map_err(|_| EntryError::Closed)?;
    // A leaf node (RFC 9420, 7.2) has its signature key, and then the basic credential, whose identity is the same key.
    let key = said.author.as_bytes();
    let leaf = [&[0x20], key.as_slice(), &[0, 1, 0x20], key].concat();
    let at = commit.windows(leaf.len()).position(|window| window == leaf).ok_or(EntryError::NotThere)?;
    commit.get(at + leaf.len()..).and_then(name).ok_or(EntryError::NotThere)
}

/// The name in the first profile extension from here on.
fn name(leaf: &[u8]) -> Option<String> {
    let kind = PROFILE.to_be_bytes();
    leaf.windows(2).enumerate().filter(|(_, window)| *window == kind).find_map(|(at, _)| {
        let rest = bytes::Bytes::copy_from_slice(leaf.get(at + 2..)?);
        let mut from = Reader::new(&rest);
        let len = usize::try_from(from.varint().ok()?).ok()?;
        let profile = Profile::decode(&from.bytes(len, "profile").ok()?).ok()?;
        Some(profile.name.as_str().to_owned())
    })
}

//! How a participant is made, out of what a page has.

use conclave_client_core::{
    api::{Config, CreateRoom, Entry, Mode, Profile},
    link::{Link, LinkError},
};
use conclave_federation::{
    id::RelayId,
    limits::{MAX_ADDRESS, MAX_LEAVES},
};
use zeroize::Zeroize;

/// Who enters, and through which relay. All of it is the page's: nothing here has been checked.
pub(crate) struct Start {
    pub(crate) name: String,
    /// 64 hexadecimal digits.
    pub(crate) relay: String,
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) seed: [u8; 32],
}

impl Drop for Start {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

/// Why it cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// See there.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Not 64 hexadecimal digits.
    #[error("the relay's id has to be 64 hexadecimal digits: take it from the document that the relay signed")]
    Relay,
    /// Nothing, or more than any address.
    #[error("the relay's address has to be host:port, as relay.example.org:443")]
    Address,
    /// Not 32 bytes, or all the same.
    #[error("the seed has to be 32 bytes fresh from crypto.getRandomValues: all secrets come from it")]
    Seed,
    /// Nobody, or more than a room can hold.
    #[error("a room has at least 1 and at most {MAX_LEAVES} members: choose a number between")]
    Members,
}

impl Start {
    /// What the core is made with.
    pub(crate) fn config(&self) -> Result<(Config, RelayId), StartError> {
        let relay = RelayId::from_hex(&self.relay).ok_or(StartError::Relay)?;
        let (host, port) = self.address.rsplit_once(':').ok_or(StartError::Address)?;
        if host.is_empty() || self.address.len() > MAX_ADDRESS || port.parse::<u16>().is_err() {
            return Err(StartError::Address);
        }
        // A page that forgot to fill it in would have everybody's secrets equal.
        if self.seed.iter().all(|byte| Some(byte) == self.seed.first()) {
            return Err(StartError::Seed);
        }
        let config = Config {
            seed: self.seed,
            profile: Profile { name: self.name.clone() },
            known: Vec::new(),
            entry: Entry { relay: Some(relay), addresses: vec![self.address.clone()] },
        };
        Ok((config, relay))
    }
}

/// The room of a link.
pub(crate) fn link(text: &str) -> Result<Link, StartError> {
    Ok(Link::parse(text)?)
}

/// A room to be founded.
pub(crate) fn room(title: &str, max_members: u32) -> Result<CreateRoom, StartError> {
    let max_members = u16::try_from(max_members).ok().filter(|most| (1..=MAX_LEAVES).contains(most));
    Ok(CreateRoom { title: title.to_owned(), max_members: max_members.ok_or(StartError::Members)?, mode: Mode::Open })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Start {
        let seed = std::array::from_fn(|at| u8::try_from(at).unwrap_or(0));
        Start { name: "Guest".into(), relay: "0a".repeat(32), address: "relay.example:443".into(), seed }
    }

    fn why(change: impl FnOnce(&mut Start)) -> Option<StartError> {
        let mut start = start();
        change(&mut start);
        start.config().err()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(why(|_| ()), None);
        assert_eq!(why(|start| start.relay = "0a".into()), Some(StartError::Relay));
        for address in ["", "relay.example", ":443", "relay.example:", "relay.example:70000"] {
            assert_eq!(why(|start| start.address = address.into()), Some(StartError::Address), "{address}");
        }
        assert_eq!(why(|start| start.seed = [0; 32]), Some(StartError::Seed));
    }

    #[test]
    fn a_room_has_as_many_members_as_a_tree_has_leaves() {
        assert!(room("Tuesday", 1).is_ok_and(|room| room.max_members == 1));
        assert!(room("Tuesday", u32::from(MAX_LEAVES)).is_ok());
        for wrong in [0, u32::from(MAX_LEAVES) + 1, 65_537, u32::MAX] {
            assert_eq!(room("Tuesday", wrong).err(), Some(StartError::Members), "{wrong}");
        }
    }
}

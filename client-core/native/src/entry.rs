//! Which relay to talk to, as people write it: `host:port`, or `<relay id>@host:port`.

use std::{fmt, str::FromStr};

use conclave_client_core::api::Entry;
use conclave_federation::{id::RelayId, limits::MAX_ADDRESS};

/// The one relay that a participant connects to: its own.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryRelay {
    relay: Option<RelayId>,
    address: String,
}

/// Why a text does not name a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Nothing stands where the host belongs, or something that is no host.
    #[error(
        "a relay is written host:port, as relay.example.org:4433: the host is missing or has a character that hosts never have"
    )]
    Host,
    /// Nothing stands where the port belongs, or something that is no port.
    #[error("a relay is written host:port, as relay.example.org:4433: the port is missing or not a number from 1 to 65535")]
    Port,
    /// What stands before the `@` is no key.
    #[error("what stands before the @ is not a relay id: it has 64 hexadecimal digits, as the relay prints it when it is ready")]
    Id,
    /// No name is as long as that.
    #[error("the relay's address is longer than any address: check what was pasted")]
    TooLong,
}

impl EntryRelay {
    /// The relay at this `host:port`, whoever answers there.
    pub fn at(address: &str) -> Result<Self, EntryError> {
        if address.len() > MAX_ADDRESS {
            return Err(EntryError::TooLong);
        }
        let (host, port) = address.rsplit_once(':').ok_or(EntryError::Port)?;
        let name = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_')),
        };
        if !name {
            return Err(EntryError::Host);
        }
        match port.parse::<u16>() {
            Ok(1..) if port.bytes().all(|digit| digit.is_ascii_digit()) => {}
            Ok(_) | Err(_) => return Err(EntryError::Port),
        }
        Ok(Self { relay: None, address: address.to_owned() })
    }

    /// The key that it has to prove; `None` accepts the one that is met.
    #[must_use]
    pub const fn relay(&self) -> Option<RelayId> {
        self.relay
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn into_entry(self) -> Entry {
        Entry { relay: self.relay, addresses: vec![self.address] }
    }
}

impl FromStr for EntryRelay {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        match text.split_once('@') {
            None => Self::at(text),
            Some((id, address)) => {
                let relay = RelayId::from_hex(id).ok_or(EntryError::Id)?;
                Ok(Self { relay: Some(relay), ..Self::at(address)? })
            }
        }
    }
}

impl fmt::Display for EntryRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(relay) = self.relay {
            write!(f, "{}@", relay.to_hex())?;
        }
        f.write_str(&self.address)
    }
}

impl fmt::Debug for EntryRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRelay").field("relay", &self.relay).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_accepts_whoever_answers() {
        for address in ["relay.example.org:4433", "127.0.0.1:1", "[::1]:65535", "bücher.example:443", "localhost:9"] {
            let entry: EntryRelay = address.parse().expect(address);
            assert_eq!((entry.relay(), entry.address()), (None, address));
            assert_eq!(entry.to_string(), address);
        }
    }

    #[test]
    fn an_id_before_the_address_pins_the_key() {
        let text = format!("{}@relay.example.org:4433", "0a".repeat(32));
        let entry: EntryRelay = text.parse().expect("a pinned relay");
        assert_eq!(entry.relay(), Some(RelayId::new([10; 32])));
        assert_eq!(entry.to_string(), text);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = "0a".repeat(32);
        for (text, error) in [
            ("", EntryError::Port),
            ("relay.example.org", EntryError::Port),
            ("relay.example.org:", EntryError::Port),
            ("relay.example.org:0", EntryError::Port),
            ("relay.example.org:65536", EntryError::Port),
            ("relay.example.org:+443", EntryError::Port),
            (":4433", EntryError::Host),
            ("https://relay.example.org:4433", EntryError::Host),
            ("::1:4433", EntryError::Host),
            ("[::1:4433", EntryError::Host),
            ("two words:4433", EntryError::Host),
            ("abc@relay.example.org:4433", EntryError::Id),
            ("@relay.example.org:4433", EntryError::Id),
        ] {
            assert_eq!(text.parse::<EntryRelay>(), Err(error), "{text}");
        }
        assert_eq!(format!("{id}@").parse::<EntryRelay>(), Err(EntryError::Port));
        assert_eq!(format!("{}:1", "a".repeat(300)).parse::<EntryRelay>(), Err(EntryError::TooLong));
    }

    #[test]
    fn debug_shows_no_address() {
        let entry = EntryRelay::at("relay.example.org:4433").expect("an address");
        assert!(!format!("{entry:?}").contains("example"));
    }
}

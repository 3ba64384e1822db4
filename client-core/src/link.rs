//! A room's link: whoever has it may come in. All that is secret stands after the `#`, which no browser sends.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use conclave_federation::{
    id::{RelayId, RoomId},
    limits::MAX_HUBS,
    record::RoomRecord,
    wire::{Reader, Wire, Writer},
};
use zeroize::Zeroizing;

use crate::room::LinkSecret;

/// `https://<host>/r#` and, in base64url without padding, `0x01, room_id[16], L_g[32], n, n x { relay_id[0..16], len u8, host:port }`.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    /// Any relay or page: where the link leads somebody who has no relay yet. Means nothing to the room.
    pub host: String,
    /// The room.
    pub room: RoomId,
    /// What lets in.
    pub secret: LinkSecret,
    /// Who orders the room's log, in this order; at least one.
    pub hubs: Vec<HubHint>,
}

/// Where a room's record can be had.
#[derive(Clone, PartialEq, Eq)]
pub struct HubHint {
    /// The first half of the relay's id: enough that nobody finds another key with it.
    pub relay: [u8; 16],
    /// `host:port`; the entry relay dials what its own address book says, this is for people who have to add it.
    pub address: String,
}

/// Why a link is not one. Each says what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// Not `https://host/r#..`.
    #[error("this is not a room's link: it should look like https://relay.example/r#.. and be copied whole")]
    Shape,
    /// Nothing behind the `#`.
    #[error("the part of the link after # is missing: copy the whole link")]
    NoSecret,
    /// Letters that do not occur in links.
    #[error("the link contains letters that no link has: copy it again, whole and unchanged")]
    Letters,
    /// A version from the future.
    #[error("the link was made by a newer version: update this client")]
    Version,
    /// It ends early, or goes on too long, or names nonsense.
    #[error("the link is damaged: copy it again, whole and unchanged")]
    Damaged,
}

const VERSION: u8 = 1;

/// Longer texts are no links: three hubs with the longest names stay below this.
const MAX_TEXT: usize = 2_048;

/// Longest host: a DNS name and a port.
const MAX_HOST: usize = 255;

impl HubHint {
    /// The first half of the id, followed by zeros: how a `Via` names a relay whose whole id is not known yet.
    #[must_use]
    pub fn relay_id(&self) -> RelayId {
        let mut id = [0; 32];
        for (to, from) in id.iter_mut().zip(self.relay) {
            *to = from;
        }
        RelayId::new(id)
    }

    /// Whether this is meant.
    #[must_use]
    pub fn is(&self, relay: &RelayId) -> bool {
        relay.as_bytes().starts_with(&self.relay)
    }
}

impl Link {
    /// The link to a room. Hubs whose address does not fit are named by the next of their addresses, or left out.
    #[must_use]
    pub fn to_room(host: &str, record: &RoomRecord, secret: LinkSecret) -> Self {
        let hubs = record.hubs.iter().filter_map(|hub| {
            let address = hub.addresses.iter().find(|address| is_host(address.as_str()))?;
            let relay = *hub.relay.as_bytes().first_chunk::<16>()?;
            Some(HubHint { relay, address: address.as_str().to_owned() })
        });
        Self { host: host.to_owned(), room: record.room, secret, hubs: hubs.collect() }
    }

    /// Reads a link, with or without white space around it. `http://` is taken for `https://` where the host is this very
    /// machine: a relay that is tried out there serves its page without TLS.
    ///
    /// # Errors
    /// One sentence for each way in which it is not one.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(LinkError::Damaged);
        }
        let (rest, plain) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(LinkError::Shape),
        };
        let (place, secret) = rest.split_once('#').ok_or(LinkError::NoSecret)?;
        let host = place.strip_suffix("/r").ok_or(LinkError::Shape)?;
        if !is_host(host) || (plain && !is_loopback(host)) {
            return Err(LinkError::Shape);
        }
        if secret.is_empty() {
            return Err(LinkError::NoSecret);
        }
        let bytes = URL_SAFE_NO_PAD.decode(secret).map_err(|error| match error {
            base64::DecodeError::InvalidByte(..) => LinkError::Letters,
            base64::DecodeError::InvalidLength(_)
            | base64::DecodeError::InvalidLastSymbol(..)
            | base64::DecodeError::InvalidPadding => LinkError::Damaged,
        })?;
        Self::take(host, &Bytes::from(bytes))
    }

    fn take(host: &str, bytes: &Bytes) -> Result<Self, LinkError> {
        let mut from = Reader::new(bytes);
        let damaged = |_| LinkError::Damaged;
        if from.u8().map_err(damaged)? != VERSION {
            return Err(LinkError::Version);
        }
        let room = RoomId::take(&mut from).map_err(damaged)?;
        let secret = LinkSecret::new(from.array("link secret").map_err(damaged)?);
        let count = usize::from(from.u8().map_err(damaged)?);
        if count == 0 || count > MAX_HUBS {
            return Err(LinkError::Damaged);
        }
        let mut hubs = Vec::with_capacity(count);
        for _ in 0..count {
            let relay = from.array("relay id").map_err(damaged)?;
            let len = usize::from(from.u8().map_err(damaged)?);
            let address = from.bytes(len, "address").map_err(damaged)?;
            let address = std::str::from_utf8(&address).map_err(|_| LinkError::Damaged)?;
            if !is_host(address) {
                return Err(LinkError::Damaged);
            }
            hubs.push(HubHint { relay, address: address.to_owned() });
        }
        from.finish().map_err(damaged)?;
        Ok(Self { host: host.to_owned(), room, secret, hubs })
    }
}

/// Printable ASCII that cannot be mistaken for another part of a URL.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_HOST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}

/// Whether a host, with or without a port, is this machine: only there a page may come without TLS.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let of_four = |name: &str| name.parse::<core::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    name.eq_ignore_ascii_case("localhost") || name == "[::1]" || of_four(name)
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        Self::parse(text)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Writer::new();
        out.u8(VERSION);
        self.room.put(&mut out);
        out.raw(self.secret.expose());
        out.u8(u8::try_from(self.hubs.len()).unwrap_or(u8::MAX));
        for hub in &self.hubs {
            out.raw(&hub.relay);
            out.u8(u8::try_from(hub.address.len()).unwrap_or(u8::MAX));
            out.raw(hub.address.as_bytes());
        }
        let bytes = Zeroizing::new(out.into_vec());
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()));
        write!(f, "https://{}/r#{}", self.host, secret.as_str())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("room", &self.room).field("hubs", &self.hubs.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for HubHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HubHint(..)")
    }
}

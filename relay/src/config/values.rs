//! Values that are more than a string or a number, each with one spelling: `"15s"`, `"64KiB"`, `host:port`, 64 digits.
//!
//! They are checked while they are read, so that the error carries the line.

use std::{fmt, net::SocketAddr, time::Duration};

use conclave_federation::{
    id::{OperatorId, RelayId},
    limits::MAX_ADDRESS,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! spelled {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).map_err(de::Error::custom)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    };
}

/// A time span: `250ms`, `15s`, `2m`, `1h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span(pub Duration);

impl Span {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not a number with one of the four units.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write a time as a number and a unit, like \"250ms\", \"15s\", \"2m\" or \"1h\"".to_owned();
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(millis).map(|all| Self(Duration::from_millis(all))).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX) {
            ms if ms > 0 && ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms > 0 && ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => write!(f, "{}s", ms / 1_000),
            ms => write!(f, "{ms}ms"),
        }
    }
}

spelled!(Span);

/// A number of bytes: `512B`, `64KiB`, `32MiB`, `1GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

impl Size {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not a number with one of the four units.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write a size as a number and a unit, like \"512B\", \"64KiB\", \"32MiB\" or \"1GiB\"".to_owned();
        let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 20) => write!(f, "{}MiB", bytes >> 20),
            bytes if bytes > 0 && bytes.is_multiple_of(1 << 10) => write!(f, "{}KiB", bytes >> 10),
            bytes => write!(f, "{bytes}B"),
        }
    }
}

spelled!(Size);

/// So many a second, and so many at once: `20/s burst 60`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Refill for a second.
    pub per_second: u64,
    /// At once.
    pub burst: u64,
}

impl Rate {
    /// Reads one.
    ///
    /// # Errors
    /// When it is not two numbers as in `20/s burst 60`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read = || {
            let (per_second, burst) = text.split_once("/s burst ")?;
            Some(Self { per_second: per_second.parse().ok()?, burst: burst.parse().ok()? })
        };
        read().ok_or_else(|| "write a rate as two numbers, like \"20/s burst 60\"".to_owned())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s burst {}", self.per_second, self.burst)
    }
}

spelled!(Rate);

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

/// Where a relay answers: `relay.example.org:4433`, `192.0.2.7:4433` or `[2001:db8::7]:4433`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostPort(String);

impl HostPort {
    /// Reads one. Port 0 stands for the port that the system chooses at start.
    ///
    /// # Errors
    /// When there is no host, no port, or something that is in neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "write an address as host:port, like \"relay.example.org:4433\" or \"[2001:db8::7]:4433\"".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let name = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')),
        };
        let digits = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        if name && digits && port.parse::<u16>().is_ok() && text.len() <= MAX_ADDRESS {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong())
        }
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the port is left to the system.
    #[must_use]
    pub fn is_port_open(&self) -> bool {
        self.0.rsplit_once(':').is_some_and(|(_, port)| port.parse() == Ok(0_u16))
    }

    /// The same host with this port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        let host = self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _)| host);
        Self(format!("{host}:{port}"))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

spelled!(HostPort);

/// Where the web side listens: `relay`, the same address and port number as the relay's own but TCP, or an address and port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WebListen {
    /// Beside the relay's UDP port.
    #[default]
    Relay,
    /// Somewhere else; port 0 lets the system choose.
    At(SocketAddr),
}

impl WebListen {
    /// Reads one.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "relay" {
            return Ok(Self::Relay);
        }
        text.parse().map(Self::At).map_err(|_| {
            "write \"relay\" for the relay's own address and port, or an address and port, like \"0.0.0.0:443\"".to_owned()
        })
    }
}

impl fmt::Display for WebListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay => f.write_str("relay"),
            Self::At(address) => address.fmt(f),
        }
    }
}

spelled!(WebListen);

/// A relay's public name: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RelayName(pub RelayId);

impl RelayName {
    fn parse(text: &str) -> Result<Self, String> {
        RelayId::from_hex(text)
            .map(Self)
            .ok_or_else(|| "a relay is named by 64 hexadecimal digits, as its operator's `init` printed them".to_owned())
    }
}

impl fmt::Display for RelayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

spelled!(RelayName);

/// An operator's public name: 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperatorName(pub OperatorId);

impl OperatorName {
    fn parse(text: &str) -> Result<Self, String> {
        OperatorId::from_hex(text)
            .map(Self)
            .ok_or_else(|| "an operator is named by 64 hexadecimal digits, as its `init` printed them".to_owned())
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

spelled!(OperatorName);

/// A list in a file; in the environment and in flags, where everything is one string, its parts between commas.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Parts<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Parts<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<T>, E> {
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| T::deserialize(de::value::StrDeserializer::new(part)))
                .collect()
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut values = Vec::new();
            while let Some(value) = seq.next_element()? {
                values.push(value);
            }
            Ok(values)
        }
    }

    from.deserialize_any(Parts(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_read_as_they_are_written() {
        for text in ["250ms", "15s", "2m", "1h", "0s"] {
            assert_eq!(Span::parse(text).map(|span| span.to_string()), Ok(text.to_owned()));
        }
        for text in ["512B", "64KiB", "32MiB", "1GiB", "0B"] {
            assert_eq!(Size::parse(text).map(|size| size.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "15", "s", "15 s", "-1s", "1.5s", "15S", "99999999999999999999s", "18446744073709551615h"] {
            assert!(Span::parse(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "64", "64kb", "64 KiB", "18446744073709551615GiB"] {
            assert!(Size::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_web_side_listens_beside_the_relay_or_somewhere_else() {
        for right in ["relay", "0.0.0.0:443", "[::]:0"] {
            assert_eq!(WebListen::parse(right).map(|listen| listen.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", "Relay", "443", "relay.example.org:443", "0.0.0.0"] {
            assert!(WebListen::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_need_a_host_and_a_port() {
        for right in ["relay.example.org:4433", "192.0.2.7:1", "[2001:db8::7]:4433", "localhost:0"] {
            assert_eq!(HostPort::parse(right).map(|address| address.to_string()), Ok(right.to_owned()));
        }
        for wrong in ["", ":", "relay.example.org", ":4433", "a b:1", "a:65536", "a:+1", "2001:db8::7:4433", "[nonsense]:1", "a:"]
        {
            assert!(HostPort::parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(HostPort::parse("[::1]:0").map(|address| address.with_port(7).to_string()), Ok("[::1]:7".to_owned()));
    }
}

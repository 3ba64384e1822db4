//! What can be set, with its default. One structure: the file, the environment, `--set`, `--check-config` and the file that
//! `init` writes all speak of these fields, and a test holds them together.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use super::limits::Limits;
use super::values::{HostPort, OperatorName, RelayName, Size, Span, WebListen, list};

/// Everything, merged.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Who this relay is and where it answers.
    pub relay: Relay,
    /// Who runs it.
    pub operator: Operator,
    /// Who may link with it.
    pub federation: Federation,
    /// How much it gives.
    pub limits: Limits,
    /// What it is to browsers.
    pub web: Web,
    /// Where it tells how it is.
    pub metrics: Metrics,
    /// How it remembers.
    pub store: Store,
    /// How it speaks of itself.
    pub log: Log,
    /// The relays of other operators that it knows: only the file can name them.
    pub peers: Vec<Peer>,
}

/// `[relay]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relay {
    /// UDP address and port to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where others reach it. Signed into its descriptor; port 0 stands for the port listened on.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<HostPort>,
    /// The one folder it writes to. Relative paths start at the file's folder.
    pub data_dir: PathBuf,
    /// Its secret key.
    pub key: PathBuf,
    /// What its operator signed: key, name and addresses.
    pub descriptor: PathBuf,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 4433),
            addresses: Vec::new(),
            data_dir: "data".into(),
            key: "relay.key".into(),
            descriptor: "relay.descriptor".into(),
        }
    }
}

/// `[operator]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    /// What people see; means nothing to machines. Signed into the descriptor.
    pub name: String,
    /// Where people write to whose room was closed: an address or a URL; empty: they are only told the name.
    pub contact: String,
    /// The operator's secret key. Only `sign` reads it; keep it on another machine if you can.
    pub key: PathBuf,
}

impl Default for Operator {
    fn default() -> Self {
        Self { name: String::new(), contact: String::new(), key: "operator.key".into() }
    }
}

/// `[federation]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federation {
    /// Whose relays may link with this one.
    pub policy: Policy,
    /// Whom the policy names.
    #[serde(deserialize_with = "list")]
    pub operators: Vec<OperatorName>,
}

/// Whose relays may link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Every operator's.
    #[default]
    Open,
    /// Those of the operators listed, and of the operators that `[[peers]]` name.
    Allow,
    /// All but those of the operators listed.
    Deny,
}

/// `[web]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Whether browsers are served at all, by WebTransport, WebSocket and HTTP; participants without UDP too.
    pub enabled: bool,
    /// TCP address and port.
    pub listen: WebListen,
    /// Folder of the built page; empty: this relay serves none. Relative paths start at the file's folder.
    pub root: PathBuf,
    /// The certificate chain of a public authority, PEM; empty: none, and browsers warn.
    pub certificate: PathBuf,
    /// Its secret key, PEM.
    pub key: PathBuf,
    /// Connections at once that have not become sessions; further ones are refused.
    pub connections: u32,
    /// How long a connection may take to say what it wants: TLS, and the head of each request.
    pub header_timeout: Span,
    /// How long a connection may last that does not become a session.
    pub connection_time: Span,
    /// Bytes of the page's folder, all of which are kept in memory.
    pub max_page: Size,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: WebListen::Relay,
            root: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            connections: 512,
            header_timeout: Span(Duration::from_secs(5)),
            connection_time: Span(Duration::from_secs(120)),
            max_page: Size(64 << 20),
        }
    }
}

/// `[metrics]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// TCP address and port of `/metrics`, `/healthz` and `/readyz`.
    pub listen: SocketAddr,
    /// Must be true for any other than a loopback address.
    pub allow: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9101), allow: false }
    }
}

/// `[store]`
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// What an acknowledged entry survives.
    pub durability: Durability,
    /// Memory for pages read from disk.
    pub cache: Size,
}

impl Default for Store {
    fn default() -> Self {
        Self { durability: Durability::Fsync, cache: Size(32 << 20) }
    }
}

/// What an acknowledged entry survives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The loss of power: on disk before it is acknowledged.
    Fsync,
    /// The death of the process: with the system before it is acknowledged.
    Process,
}

/// `[log]`
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// For whom.
    pub format: Format,
}

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The operator must act.
    Error,
    /// A remote misbehaved or a limit was hit.
    Warn,
    /// Lifecycle.
    #[default]
    Info,
    /// Control messages.
    Debug,
    /// Objects.
    Trace,
}

/// For whom is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// People.
    #[default]
    Text,
    /// Machines.
    Json,
}

/// `[[peers]]`: a relay of another operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name in metrics and logs here; ours to choose.
    pub name: String,
    /// Its key.
    pub relay: RelayName,
    /// Where it answers; tried in order.
    #[serde(deserialize_with = "list")]
    pub addresses: Vec<HostPort>,
    /// Who runs it: needed when the policy is `allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorName>,
}

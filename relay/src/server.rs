//! From settings to a relay that serves, in one function that says why its steps stand in this order.

use std::{
    collections::BTreeSet,
    io::Write,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use conclave_federation::{id::RelayId, peering, record::RelayDescriptor, session::LocalRelay};
use conclave_quic::{BindConfig, BindError, Driver, Endpoint, Observer};
use conclave_relay_core::{Node, Peer, node};
use tokio::sync::mpsc;

use crate::{
    admin::{self, Board},
    config::{Loaded, Settings, settings::Policy, values::HostPort},
    failure::Failure,
    init::{self, Identity},
    keys, logging,
    metrics::Exporter,
    shard::{Shard, Signals},
    store::{self, Opened, Store},
};

/// Scrapes that may wait for the loop.
const ASKS: usize = 8;

/// How the readiness line on standard output looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// `ready listen=127.0.0.1:4433 metrics=127.0.0.1:9101 relay=<64 digits>`
    Text,
    /// The same as an object with `event`, `listen`, `metrics` and `relay`.
    Json,
}

/// Runs a relay on this thread until it is asked to stop. All bytes of its sessions pass `observer`; shipped processes give
/// `()`, which sees nothing.
///
/// # Errors
/// What kept it from starting or running, as a sentence for the operator and an exit code.
pub fn run<O: Observer + 'static>(loaded: &Loaded, readiness: Readiness, observer: O) -> Result<(), Failure> {
    // A bug's text goes to the log with everything else; what the operator has to do is said at the end.
    catch_unwind(AssertUnwindSafe(|| start(loaded, readiness, observer))).unwrap_or_else(|_| {
        Err(Failure::Runtime(
            "a bug ended the relay: nothing acknowledged is lost, start it again, and please report the lines above".to_owned(),
        ))
    })
}

fn start<O: Observer + 'static>(loaded: &Loaded, readiness: Readiness, observer: O) -> Result<(), Failure> {
    let settings = &loaded.settings;

    // 1. Who we are. Nothing is touched as long as a key or a name is wrong: that takes a person, not a restart.
    let (key, identity) = init::identity(settings)?;
    let relay = RelayId::new(*key.verifying_key().as_bytes());
    if let Some(index) = settings.peers.iter().position(|peer| peer.relay.0 == relay) {
        return Err(loaded.complain(&format!("peers[{index}].relay"), "this is the relay itself: remove it from its own peers"));
    }

    // 2. The log, so that all that follows can speak.
    logging::start(&settings.log, Some(relay));

    // 3. The store, which locks the data folder: a second process on the same folder ends here, before it could answer for
    //    the first one. No port is open yet, so nobody waits for a store that is still being read.
    let Opened { store, restored, answers } = Store::open(&store::Options {
        folder: settings.relay.data_dir.clone(),
        relay,
        durability: settings.store.durability,
        cache: settings.store.cache.0,
        unix_ms: unix_ms(),
    })?;

    // 4. The operator's window: in use by another process is found while nobody has been told that we are there.
    let window = admin::bind(settings.metrics.listen)?;
    let metrics_address = window.address();

    // 5. The runtime, and on it the one UDP port. From here on strangers' packets wait in the kernel.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(format!("the system gives no event loop: {error}")))?;
    let inside = runtime.enter();
    let limits = settings.limits.to_core();
    let endpoint = Endpoint::bind(BindConfig {
        addr: settings.relay.listen,
        key: Some(key.clone()),
        web: None,
        limits: conclave_quic::Limits {
            sessions: limits.sessions,
            handshakes: settings.limits.handshakes.try_into().unwrap_or(usize::MAX),
            unproven: settings.limits.unproven_handshakes.try_into().unwrap_or(usize::MAX),
        },
    })
    .map_err(|error| cannot_listen(settings.relay.listen, &error))?;
    let listen = endpoint.local_addr();

    // 6. The descriptor: signed by the operator, or now that the port is known.
    let descriptor = describe(settings, &key, identity, listen.port())?;

    // 7. The machine, with what the store remembers.
    let config = node::Config {
        local: LocalRelay { descriptor, key, nonce_secret: keys::random()? },
        peers: peers(settings),
        policy: policy(settings),
        limits,
    };
    let node = Node::new(config, keys::random()?, restored);

    // 8. Signals, before anybody could send one that means an orderly end.
    let signals = Signals::listen()?;

    // 9. The operator's window opens its eyes.
    let board = Arc::new(Board::new(store.health()));
    let named = settings.peers.iter().map(|peer| (peer.relay.0, peer.name.clone())).collect();
    let (ask, asks) = mpsc::channel(ASKS);
    board.beat();
    let admin = window.serve(Arc::clone(&board), Exporter::new(named, store.health()), ask)?;

    // 10. Ready, and said so: whoever reads this line can connect.
    board.listening();
    tracing::info!(relay = relay.short(), peers = settings.peers.len(), "ready");
    announce(readiness, listen, metrics_address, relay);

    drop(inside);
    let driver = Driver::observed(endpoint, observer);
    let ended = runtime.block_on(Shard { node, driver, store, answers, asks, board, signals, unknown: BTreeSet::new() }.run());
    admin.close();
    ended
}

fn describe(
    settings: &Settings,
    key: &conclave_federation::proof::SigningKey,
    identity: Identity,
    port: u16,
) -> Result<RelayDescriptor, Failure> {
    match identity {
        Identity::Signed(descriptor) => Ok(*descriptor),
        Identity::WhenListening(operator) => {
            let known = |address: &HostPort| if address.is_port_open() { address.with_port(port) } else { address.clone() };
            let addresses: Vec<HostPort> = settings.relay.addresses.iter().map(known).collect();
            keys::describe(&operator, key, &settings.operator.name, &addresses)
        }
    }
}

fn peers(settings: &Settings) -> Vec<Peer> {
    let peer = |peer: &crate::config::settings::Peer| Peer {
        relay: peer.relay.0,
        addresses: peer.addresses.iter().map(|address| address.as_str().to_owned()).collect(),
    };
    settings.peers.iter().map(peer).collect()
}

fn policy(settings: &Settings) -> peering::Policy {
    let listed = settings.federation.operators.iter().map(|operator| operator.0);
    match settings.federation.policy {
        Policy::Open => peering::Policy::Open,
        Policy::Allow => {
            let peers = settings.peers.iter().filter_map(|peer| peer.operator.map(|operator| operator.0));
            peering::Policy::Allow(listed.chain(peers).collect())
        }
        Policy::Deny => peering::Policy::Deny(listed.collect()),
    }
}

fn cannot_listen(address: SocketAddr, error: &BindError) -> Failure {
    let words = format!("relay.listen {address}: {error}");
    match error {
        BindError::BadKey => Failure::Config(words),
        _ => Failure::Runtime(words),
    }
}

fn announce(readiness: Readiness, listen: SocketAddr, metrics: SocketAddr, relay: RelayId) {
    let line = match readiness {
        Readiness::Text => format!("ready listen={listen} metrics={metrics} relay={}", relay.to_hex()),
        Readiness::Json => serde_json::json!({
            "event": "ready",
            "listen": listen.to_string(),
            "metrics": metrics.to_string(),
            "relay": relay.to_hex(),
        })
        .to_string(),
    };
    // Whoever started us may not listen; that is no reason not to serve.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

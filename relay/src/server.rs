//! From settings to a relay that serves, in one function that says why its steps stand in this order.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
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
    config::{
        Loaded, Settings,
        settings::Policy,
        values::{HostPort, WebListen},
    },
    failure::Failure,
    init::{self, Identity},
    keys, logging,
    metrics::Exporter,
    orders::desk,
    shard::{Carried, Orders, Shard, Signals},
    store::{self, Opened, Store},
    web::{self, counts::Counts},
};

/// Scrapes that may wait for the loop.
const ASKS: usize = 8;

/// Ports tried that are free for UDP and turn out to be taken for TCP.
const PORT_TRIES: u32 = 16;

/// How the readiness line on standard output looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// `ready listen=127.0.0.1:4433 metrics=127.0.0.1:9101 relay=<64 digits> web=https://relay.example.org:4433`; the last
    /// only when browsers are served.
    Text,
    /// The same as an object with `event`, `listen`, `metrics`, `relay` and `web`.
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
    let files = web::read(loaded)?;
    let relay = RelayId::new(*key.verifying_key().as_bytes());
    if let Some(index) = settings.peers.iter().position(|peer| peer.relay.0 == relay) {
        return Err(loaded.complain(&format!("peers[{index}].relay"), "this is the relay itself: remove it from its own peers"));
    }

    // 2. The log, so that all that follows can speak.
    logging::start(&settings.log, Some(relay));

    // 3. The store, which locks the data folder: a second process on the same folder ends here, before it could answer for
    //    the first one. No port is open yet, so nobody waits for a store that is still being read.
    let Opened { store, restored, closures, answers } = Store::open(&store::Options {
        folder: settings.relay.data_dir.clone(),
        relay,
        durability: settings.store.durability,
        cache: settings.store.cache.0,
        unix_ms: unix_ms(),
    })?;

    // The folder is ours, so a socket that lies in it is nobody's.
    let desk = desk::bind(&settings.relay.data_dir)?;

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
    let sessions = limits.sessions;
    // What browsers are shown comes out of the data folder, which is ours since 3.
    let prepared = files.map(|files| files.prepare(&settings.relay.data_dir)).transpose()?;
    let bind = |port| {
        Endpoint::bind(BindConfig {
            addr: SocketAddr::new(settings.relay.listen.ip(), port),
            key: Some(key.clone()),
            web: prepared.as_ref().map(web::Prepared::identity),
            limits: conclave_quic::Limits {
                sessions,
                handshakes: settings.limits.handshakes.try_into().unwrap_or(usize::MAX),
                unproven: settings.limits.unproven_handshakes.try_into().unwrap_or(usize::MAX),
            },
        })
        .map_err(|error| cannot_listen(settings.relay.listen, &error))
    };
    let (endpoint, socket) = match &prepared {
        Some(_) => bind_both(settings, bind)?,
        None => (bind(settings.relay.listen.port())?, None),
    };
    let listen = endpoint.local_addr();

    // 6. The descriptor: signed by the operator, or now that the port is known.
    let descriptor = describe(settings, &key, identity, listen.port())?;
    let origin = socket.as_ref().map(|(_, address)| origin(*address, &descriptor));

    // 7. The machine, with what the store remembers.
    let config = node::Config {
        local: LocalRelay { descriptor: descriptor.clone(), key: key.clone(), nonce_secret: keys::random()? },
        peers: peers(settings),
        policy: policy(settings),
        limits,
    };
    let node = Node::new(config, keys::random()?, restored).remembering(&settings.operator.contact, closures);

    // 8. Signals, before anybody could send one that means an orderly end.
    let signals = Signals::listen()?;

    // 9. The operator's window opens its eyes.
    let board = Arc::new(Board::new(store.health()));
    let named = settings.peers.iter().map(|peer| (peer.relay.0, peer.name.clone())).collect();
    let (ask, asks) = mpsc::channel(ASKS);
    let counts = Arc::new(Counts::default());
    let counted = prepared.is_some().then(|| Arc::clone(&counts));
    board.beat();
    let admin = window.serve(Arc::clone(&board), Exporter::new(named, store.health(), counted), ask)?;

    // The operator's desk. Orders wait for the loop, which begins in a moment.
    let (give, orders) = mpsc::channel(desk::WAITING);
    runtime.spawn(desk.serve(give));

    // 10. The door for browsers. What comes through it waits for the loop, which begins in a moment.
    let (waiting, sockets) = mpsc::channel(web::WAITING);
    let given = web::Given { key, descriptor, settings: &settings.web, sessions, board: Arc::clone(&board), waiting, counts };
    let web = prepared.zip(socket).map(|(prepared, (socket, _))| prepared.serve(socket, given)).transpose()?;

    // 11. Ready, and said so: whoever reads this line can connect.
    board.listening();
    tracing::info!(relay = relay.short(), peers = settings.peers.len(), "ready");
    announce(readiness, listen, metrics_address, relay, origin.as_deref());

    drop(inside);
    let driver = Driver::observed(endpoint, observer);
    let (unknown, carried) = (BTreeSet::new(), Carried::default());
    let orders = Orders::new(orders);
    let shard = Shard { node, driver, store, answers, asks, orders, sockets, board, signals, carried, unknown };
    let ended = runtime.block_on(shard.run());
    // The sessions over TCP have heard by now why they end.
    if let Some(web) = web {
        web.close();
    }
    admin.close();
    ended
}

/// UDP, and TCP beside it. Where the system chooses, both get one number: an address is all that people are told.
fn bind_both(
    settings: &Settings,
    bind: impl Fn(u16) -> Result<Endpoint, Failure>,
) -> Result<(Endpoint, Option<(TcpListener, SocketAddr)>), Failure> {
    let mut tries = 0;
    loop {
        let endpoint = bind(settings.relay.listen.port())?;
        let address = match settings.web.listen {
            WebListen::Relay => SocketAddr::new(settings.relay.listen.ip(), endpoint.local_addr().port()),
            WebListen::At(address) => address,
        };
        tries += 1;
        match web::bind(address).and_then(|socket| Ok((socket.local_addr()?, socket))) {
            Ok((address, socket)) => return Ok((endpoint, Some((socket, address)))),
            Err(error) if is_by_chance(settings, &error) && tries < PORT_TRIES => {}
            Err(error) => return Err(cannot_listen_on_tcp(address, &error)),
        }
    }
}

/// Another port may be free for both.
fn is_by_chance(settings: &Settings, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse && settings.web.listen == WebListen::Relay && settings.relay.listen.port() == 0
}

fn cannot_listen_on_tcp(address: SocketAddr, error: &io::Error) -> Failure {
    Failure::Runtime(match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "web.listen {address}: the TCP port is in use by another process: stop that one, choose another port, or set \
             web.enabled = false"
        ),
        io::ErrorKind::PermissionDenied => {
            format!(
                "web.listen {address}: this user may not open that TCP port: choose one from 1024 upwards, or grant the right"
            )
        }
        _ => format!("web.listen {address}: cannot be listened on: {error}: choose an address of this machine"),
    })
}

/// Where a person points a browser: this machine without encryption, for trials; otherwise the relay's first name.
fn origin(address: SocketAddr, descriptor: &RelayDescriptor) -> String {
    if address.ip().to_canonical().is_loopback() {
        return format!("http://{address}");
    }
    let named = descriptor.addresses.first().and_then(|first| first.as_str().rsplit_once(':'));
    named.map_or_else(|| format!("https://{address}"), |(host, _)| format!("https://{host}:{}", address.port()))
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

fn announce(readiness: Readiness, listen: SocketAddr, metrics: SocketAddr, relay: RelayId, web: Option<&str>) {
    let line = match readiness {
        Readiness::Text => {
            let web = web.map(|web| format!(" web={web}")).unwrap_or_default();
            format!("ready listen={listen} metrics={metrics} relay={}{web}", relay.to_hex())
        }
        Readiness::Json => {
            let mut line = serde_json::json!({
                "event": "ready",
                "listen": listen.to_string(),
                "metrics": metrics.to_string(),
                "relay": relay.to_hex(),
            });
            if let Some((fields, web)) = line.as_object_mut().zip(web) {
                fields.insert("web".to_owned(), web.into());
            }
            line.to_string()
        }
    };
    // Whoever started us may not listen; that is no reason not to serve.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

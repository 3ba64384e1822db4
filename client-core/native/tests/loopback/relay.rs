//! Relays for tests: the real decisions and the real transport on loopback, with memory in place of a disk.

use std::{
    collections::VecDeque,
    future,
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use conclave::{EntryRelay, RelayId};
use conclave_federation::{
    io::{Machine, Output},
    peering::Policy,
    proof::SigningKey,
    record::{Address, RelayDescriptor},
    session::LocalRelay,
    wire::List,
};
use conclave_quic::{BindConfig, Driver, Endpoint, tcp::Pipe};
use conclave_relay_core::{
    self as relay_core, Input, Node, OrderKey, Output as Wish, Peer, Stats,
    limits::Limits,
    node,
    order::{Obeyed, RoomName},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};

/// Why every room is to be closed, and where it is said that they are.
type Order = (String, oneshot::Sender<()>);

/// Where it is said what was counted.
type Count = oneshot::Sender<Stats>;

/// A relay that runs until it is dropped or stopped.
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    pub(crate) address: String,
    pub(crate) key: SigningKey,
    /// Takes in sessions over TCP.
    pub(crate) pipes: mpsc::Sender<Pipe>,
    orders: mpsc::Sender<Order>,
    #[allow(dead_code, reason = "the benchmark of joins shares this file")]
    counts: mpsc::Sender<Count>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Relay {
    /// The one to name on a command line: its key and its address.
    pub(crate) fn entry(&self) -> EntryRelay {
        format!("{}@{}", self.id.to_hex(), self.address).parse().expect("a relay")
    }

    /// Its operator closes every room here.
    pub(crate) async fn close_rooms(&self, reason: &str) {
        let (tell, told) = oneshot::channel();
        self.orders.send((reason.to_owned(), tell)).await.expect("it runs");
        told.await.expect("it closes them");
    }

    /// What it has counted.
    #[allow(dead_code, reason = "the benchmark of joins shares this file")]
    pub(crate) async fn stats(&self) -> Stats {
        let (tell, told) = oneshot::channel();
        self.counts.send(tell).await.expect("it runs");
        told.await.expect("it counts")
    }

    /// Ends all sessions with a reason, and the relay.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Relays of as many operators, all in each other's address book.
pub(crate) fn relays<const N: usize>() -> [Relay; N] {
    let bound: Vec<_> = (0..N).map(|_| bind()).collect();
    let book: Vec<Peer> =
        bound.iter().map(|(id, _, endpoint)| Peer { relay: *id, addresses: vec![endpoint.local_addr().to_string()] }).collect();
    let relays: Vec<Relay> = bound.into_iter().map(|(id, key, endpoint)| start(id, key, endpoint, &book)).collect();
    relays.try_into().unwrap_or_else(|_| unreachable!("as many as were bound"))
}

fn bind() -> (RelayId, SigningKey, Endpoint) {
    let key = SigningKey::from_seed(random());
    let id = RelayId::new(*key.verifying_key().as_bytes());
    let endpoint = Endpoint::bind(BindConfig::relay((Ipv4Addr::LOCALHOST, 0).into(), key.clone())).expect("a port");
    (id, key, endpoint)
}

fn start(id: RelayId, key: SigningKey, endpoint: Endpoint, book: &[Peer]) -> Relay {
    let address = endpoint.local_addr().to_string();
    let addresses = List::new(vec![Address::cut(&address)]).expect("one address");
    let descriptor = RelayDescriptor::issue(&SigningKey::from_seed(random()), id, "Alder", addresses);
    let local = LocalRelay { descriptor, key: key.clone(), nonce_secret: random() };
    let peers = book.iter().filter(|peer| peer.relay != id).cloned().collect();
    let config = node::Config { local, peers, policy: Policy::Open, limits: Limits::default() };
    let node = Node::new(config, random(), vec![]);
    let (stop, stopped) = oneshot::channel();
    let (pipes, entering) = mpsc::channel(4);
    let (orders, ordered) = mpsc::channel(1);
    let (counts, counted) = mpsc::channel(1);
    let task = tokio::spawn(run(node, Driver::new(endpoint), stopped, entering, (ordered, counted)));
    Relay { id, address, key, pipes, orders, counts, stop: Some(stop), task }
}

async fn run(
    mut node: Node,
    mut driver: Driver,
    mut stop: oneshot::Receiver<()>,
    mut pipes: mpsc::Receiver<Pipe>,
    (mut orders, mut counts): (mpsc::Receiver<Order>, mpsc::Receiver<Count>),
) {
    let mut asked = false;
    let mut order: Option<Order> = None;
    let mut left = 0;
    loop {
        let mut stored = VecDeque::new();
        let wait = loop {
            let now = driver.now();
            match node.poll(now, &mut driver) {
                Output::Dial(dial) => driver.dial(dial),
                Output::Do(Wish::Store { key, .. }) => stored.push_back(key),
                Output::Do(Wish::Obeyed { result, .. }) => match result.expect("a good order") {
                    Obeyed::Listed(rooms) => {
                        left = rooms.len();
                        for (key, room) in (1..).map(OrderKey).zip(rooms) {
                            let id: String = room.room.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
                            let room = RoomName::parse(&id).expect("an id");
                            let reason = order.as_ref().map(|(reason, _)| reason.clone()).expect("it was ordered");
                            node.handle(now, Input::Order { key, order: close(room, reason) }, &mut driver);
                        }
                    }
                    _ => {
                        left -= 1;
                        if left == 0 {
                            let _ = order.take().expect("it was ordered").1.send(());
                        }
                    }
                },
                Output::Do(Wish::Stopped) => {
                    driver.drained(Duration::from_secs(1)).await;
                    return;
                }
                Output::Wait(until) => {
                    let Some(key) = stored.pop_front() else { break until.map(|until| until.saturating_sub(now.mono)) };
                    node.handle(now, Input::Stored { key, result: Ok(()) }, &mut driver);
                }
            }
        };
        let input = tokio::select! {
            net = driver.next() => Input::Net(net),
            () = pause(wait) => continue,
            Some(pipe) = pipes.recv() => {
                driver.adopt(pipe, random());
                continue;
            }
            Some(count) = counts.recv() => {
                let _ = count.send(node.stats().clone());
                continue;
            }
            Some(wanted) = orders.recv() => {
                order = Some(wanted);
                Input::Order { key: OrderKey(0), order: relay_core::Order::List }
            }
            _ = &mut stop, if !asked => {
                asked = true;
                Input::Shutdown
            }
        };
        let now = driver.now();
        node.handle(now, input, &mut driver);
    }
}

fn close(room: RoomName, reason: String) -> relay_core::Order {
    relay_core::Order::Close { room, reason }
}

async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => sleep(wait).await,
        None => future::pending().await,
    }
}

/// Different each time, so that tests never meet in one room by the accident of a seed.
fn random() -> [u8; 32] {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = std::process::id().to_be_bytes();
    conclave_federation::proof::sha256(&[b"test", &time.as_nanos().to_be_bytes(), &count, &process])
}

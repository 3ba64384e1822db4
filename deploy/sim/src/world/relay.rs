//! One relay of the world: the machine, its key, its store, its clock.

use std::time::Duration;

use conclave_federation::{
    id::RelayId,
    io::Now,
    peering::Policy,
    proof::SigningKey,
    record::{Address, RelayDescriptor},
    session::LocalRelay,
    wire::List,
};
use conclave_relay_core::{Config, Node, Peer, Restored, limits::Limits};

use super::{UNIX_START, store::Store};
use crate::{chance::Chance, net::HostId};

/// Names of the operators, for people who read traces.
const OPERATORS: [&str; 6] = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir"];

pub(super) struct Relay {
    pub(super) host: HostId,
    pub(super) id: RelayId,
    pub(super) address: String,
    pub(super) node: Option<Node>,
    pub(super) store: Store,
    /// Counts starts; what was meant for an earlier one is thrown away.
    pub(super) life: u64,
    pub(super) wake: Option<Duration>,
    born: Duration,
    skew_ms: u64,
    key: SigningKey,
    operator: SigningKey,
    name: &'static str,
}

impl Relay {
    pub(super) fn identity(number: usize) -> (SigningKey, RelayId, String) {
        let mut seed = [0x52; 32];
        seed[0] = u8::try_from(number).unwrap_or(u8::MAX);
        let key = SigningKey::from_seed(seed);
        let id = RelayId::new(*key.verifying_key().as_bytes());
        (key, id, format!("relay-{number}.example:4433"))
    }

    pub(super) fn new(number: usize, host: HostId, chance: &mut Chance) -> Self {
        let (key, id, address) = Self::identity(number);
        let operator = SigningKey::from_seed(chance.bytes());
        let name = OPERATORS[number % OPERATORS.len()];
        Self {
            host,
            id,
            address,
            node: None,
            store: Store::default(),
            life: 0,
            wake: None,
            born: Duration::ZERO,
            skew_ms: chance.below(10_000),
            key,
            operator,
            name,
        }
    }

    /// Starts the machine from what the store holds.
    pub(super) fn start(&mut self, now: Duration, relays: usize, limits: &Limits, restored: Vec<Restored>, chance: &mut Chance) {
        let addresses = List::new(vec![Address::cut(&self.address)]).unwrap_or_default();
        let descriptor = RelayDescriptor::issue(&self.operator, self.id, self.name, addresses);
        let local = LocalRelay { descriptor, key: self.key.clone(), nonce_secret: chance.bytes() };
        let peers = (0..relays)
            .map(Self::identity)
            .filter(|(_, id, _)| *id != self.id)
            .map(|(_, relay, address)| Peer { relay, addresses: vec![address] })
            .collect();
        let config = Config { local, peers, policy: Policy::Open, limits: limits.clone() };
        self.node = Some(Node::new(config, chance.bytes(), restored));
        self.life += 1;
        self.born = now;
        self.wake = Some(now);
    }

    /// The machine's own clock: since its start, and a little off.
    pub(super) fn clock(&self, now: Duration) -> Now {
        let mono = now.saturating_sub(self.born);
        Now { mono, unix_ms: UNIX_START + self.skew_ms + u64::try_from(now.as_millis()).unwrap_or(u64::MAX) }
    }

    /// A time of the machine's clock, on the world's.
    pub(super) fn world_time(&self, mono: Duration) -> Duration {
        self.born + mono
    }
}

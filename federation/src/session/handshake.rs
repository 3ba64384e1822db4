//! The opening: who is at the other end, and which version is spoken. A struct per state, consumed by the step that leaves it.

use super::Fault;
use crate::{
    id::RelayId,
    limits::VERSION,
    peering::{prove_link, verify_link},
    proof::SigningKey,
    record::RelayDescriptor,
    wire::{
        List,
        code::Code,
        message::{Greeting, Hello, Identity},
    },
};

/// Who we are, to every session alike.
#[derive(Clone, Debug)]
pub enum Local {
    /// A participant's client; it only dials.
    Client,
    /// A relay.
    Relay(Box<LocalRelay>),
}

/// A relay's own side of its sessions.
#[derive(Clone, Debug)]
pub struct LocalRelay {
    /// What it shows.
    pub descriptor: RelayDescriptor,
    /// Its key.
    pub key: SigningKey,
    /// Mixed with each session's exporter into its nonce; 32 random bytes, kept in memory.
    pub nonce_secret: [u8; 32],
}

/// Who is at the other end, proved.
#[derive(Clone, Debug)]
pub enum Remote {
    /// A participant's client.
    Client {
        /// Over which it will sign its proofs.
        nonce: [u8; 32],
    },
    /// A relay that dialled us.
    Link {
        /// What it showed; its key and its operator's are proved.
        descriptor: Box<RelayDescriptor>,
    },
    /// The relay that we dialled.
    Relay {
        /// What it showed; its key and its operator's are proved.
        descriptor: Box<RelayDescriptor>,
        /// Over which we sign our proofs.
        nonce: [u8; 32],
    },
}

/// We said hello and wait for the greeting.
pub(super) struct Dialling {
    remote: RelayId,
}

impl Dialling {
    pub(super) fn start(local: &Local, remote: RelayId, exporter: &[u8; 32]) -> (Self, Hello) {
        let identity = match local {
            Local::Client => Identity::Client,
            Local::Relay(relay) => Identity::Relay(Box::new(relay.descriptor.clone()), prove_link(&relay.key, exporter, remote)),
        };
        let versions = List::new(vec![VERSION]).unwrap_or_default();
        (Self { remote }, Hello { versions, features: 0, identity })
    }

    pub(super) fn on_greeting(self, greeting: Greeting) -> Result<Remote, Fault> {
        if greeting.version != VERSION {
            return Err(Fault::new(Code::VERSION, "no common version: update the older side"));
        }
        if greeting.descriptor.relay != self.remote || !greeting.descriptor.verify() {
            return Err(Fault::new(Code::UNPROVEN, "the relay's operator does not vouch for its key"));
        }
        Ok(Remote::Relay { descriptor: Box::new(greeting.descriptor), nonce: greeting.nonce })
    }
}

/// We were dialled and wait for the hello.
pub(super) struct Accepting {
    local: Option<LocalRelay>,
    exporter: [u8; 32],
}

impl Accepting {
    pub(super) fn start(local: &Local, exporter: [u8; 32]) -> Self {
        let local = match local {
            Local::Client => None,
            Local::Relay(relay) => Some(LocalRelay::clone(relay)),
        };
        Self { local, exporter }
    }

    pub(super) fn on_hello(self, hello: Hello) -> Result<(Greeting, Remote), Fault> {
        let Some(local) = self.local else {
            return Err(Fault::new(Code::VIOLATION, "a client accepts no sessions"));
        };
        if !hello.versions.contains(&VERSION) {
            return Err(Fault::new(
                Code::VERSION,
                "no common version: this relay speaks conclave/1 version 1; update the older side",
            ));
        }
        let nonce = crate::proof::sha256(&[b"conclave/1 nonce", &local.nonce_secret, &self.exporter]);
        let remote = match hello.identity {
            Identity::Client => Remote::Client { nonce },
            Identity::Relay(descriptor, proof) => {
                verify_link(&descriptor, &proof, &self.exporter, local.descriptor.relay)
                    .map_err(|code| Fault::new(code, "the dialling relay did not prove its key or its operator"))?;
                Remote::Link { descriptor }
            }
        };
        Ok((Greeting { version: VERSION, features: 0, nonce, descriptor: local.descriptor }, remote))
    }
}

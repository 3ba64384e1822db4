//! The life of a link between two relays: mutual proof of keys, policy, and which of two links stays.

use std::collections::BTreeSet;

use crate::{
    id::{OperatorId, RelayId},
    proof::{Label, Signature, SigningKey},
    record::RelayDescriptor,
    wire::{Wire, Writer, code::Code},
};

fn link_claim(exporter: &[u8; 32], dialler: RelayId, acceptor: RelayId) -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(exporter);
    dialler.put(&mut out);
    acceptor.put(&mut out);
    out.into_vec()
}

/// A dialling relay proves its key, bound to this TLS session and to whom it dialled.
#[must_use]
pub fn prove_link(relay: &SigningKey, exporter: &[u8; 32], acceptor: RelayId) -> Signature {
    let dialler = RelayId::new(*relay.verifying_key().as_bytes());
    relay.sign(Label::Link, &link_claim(exporter, dialler, acceptor))
}

/// Whether the dialler of this TLS session is the relay of `descriptor`, and its operator vouches for it.
///
/// # Errors
/// [`Code::UNPROVEN`] when either signature does not verify.
pub fn verify_link(descriptor: &RelayDescriptor, proof: &Signature, exporter: &[u8; 32], acceptor: RelayId) -> Result<(), Code> {
    let claim = link_claim(exporter, descriptor.relay, acceptor);
    if descriptor.relay != acceptor && descriptor.verify() && descriptor.relay.key().verify(Label::Link, &claim, proof) {
        Ok(())
    } else {
        Err(Code::UNPROVEN)
    }
}

/// Whose relays may link with ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Every operator.
    Open,
    /// These alone.
    Allow(BTreeSet<OperatorId>),
    /// All but these.
    Deny(BTreeSet<OperatorId>),
}

impl Policy {
    /// Whether this operator's relays may link with ours.
    #[must_use]
    pub fn allows(&self, operator: OperatorId) -> bool {
        match self {
            Self::Open => true,
            Self::Allow(operators) => operators.contains(&operator),
            Self::Deny(operators) => !operators.contains(&operator),
        }
    }
}

/// When two relays dialled each other at once, both keep the link whose dialler has the lower id. Says whether to keep the
/// new one of two links, given who dialled it.
#[must_use]
pub fn keep_new(local: RelayId, remote: RelayId, new_dialled_by_local: bool, old_dialled_by_local: bool) -> bool {
    if new_dialled_by_local == old_dialled_by_local {
        // The same side dialled twice: it lost the old one and we have not noticed yet.
        return true;
    }
    let lower_is_local = local < remote;
    new_dialled_by_local == lower_is_local
}

//! Being dialled: who may begin a handshake, who has to prove an address first, and how a handshake ends.

use quinn::{Connecting, Connection, ConnectionError};
use tokio::time::timeout;

use crate::{
    config::{HANDSHAKE_TIMEOUT, Limits},
    dial::is_alpn,
};

/// What is done with somebody who dials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    /// The handshake begins.
    Begin,
    /// Come again with a proof that you receive at your address.
    Prove,
    /// A bound is reached.
    Refuse,
}

/// How busy the driver is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Load {
    pub(crate) sessions: usize,
    pub(crate) handshakes: usize,
    pub(crate) unproven: usize,
    pub(crate) stopping: bool,
}

pub(crate) fn admit(limits: Limits, load: Load, proven: bool) -> Admission {
    if load.stopping || load.handshakes >= limits.handshakes || load.sessions + load.handshakes >= limits.sessions {
        Admission::Refuse
    } else if !proven && load.unproven >= limits.unproven {
        Admission::Prove
    } else {
        Admission::Begin
    }
}

/// Why an accepted handshake came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HandshakeError {
    TimedOut,
    Alpn,
    Other,
}

pub(crate) async fn shake(connecting: Connecting) -> Result<Connection, HandshakeError> {
    match timeout(HANDSHAKE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Err(_) | Ok(Err(ConnectionError::TimedOut)) => Err(HandshakeError::TimedOut),
        Ok(Err(error)) if is_alpn(&error) => Err(HandshakeError::Alpn),
        Ok(Err(_)) => Err(HandshakeError::Other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { sessions: 10, handshakes: 4, unproven: 2 };

    #[test]
    fn a_bound_that_is_reached_refuses_even_those_who_proved_their_address() {
        let idle = Load::default();
        assert_eq!(admit(LIMITS, idle, false), Admission::Begin);
        assert_eq!(admit(LIMITS, Load { handshakes: 4, ..idle }, true), Admission::Refuse);
        assert_eq!(admit(LIMITS, Load { sessions: 8, handshakes: 2, ..idle }, true), Admission::Refuse);
        assert_eq!(admit(LIMITS, Load { stopping: true, ..idle }, true), Admission::Refuse);
    }

    #[test]
    fn under_pressure_an_address_has_to_be_proved_first() {
        let busy = Load { handshakes: 2, unproven: 2, ..Load::default() };
        assert_eq!(admit(LIMITS, busy, false), Admission::Prove);
        assert_eq!(admit(LIMITS, busy, true), Admission::Begin);
    }
}

//! Being dialled: who may begin a handshake, who has to prove an address first, and how a handshake ends.

use quinn::{Connecting, Connection, ConnectionError};
use tokio::time::timeout;

use crate::{
    config::{HANDSHAKE_TIMEOUT, Limits},
    dial::is_alpn,
    tls, web,
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
    /// Sessions of browsers that are over, and that they have not heard of.
    pub(crate) leaving: usize,
    pub(crate) stopping: bool,
}

pub(crate) fn admit(limits: Limits, load: Load, proven: bool) -> Admission {
    let taken = load.sessions + load.handshakes + load.leaving;
    if load.stopping || load.handshakes >= limits.handshakes || taken >= limits.sessions {
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
    /// QUIC was fine, and the browser's request for a session was not.
    Web,
    Other,
}

/// A handshake that is complete; with the session that a browser asked for, when it is one.
pub(crate) type Shaken = (Connection, Option<web::Opened>);

/// Takes part in a handshake up to where the machine takes over. All of it shares one deadline.
pub(crate) async fn shake(connecting: Connecting) -> Result<Shaken, HandshakeError> {
    let whole = async {
        let connection = match connecting.await {
            Ok(connection) => connection,
            Err(ConnectionError::TimedOut) => return Err(HandshakeError::TimedOut),
            Err(error) if is_alpn(&error) => return Err(HandshakeError::Alpn),
            Err(_) => return Err(HandshakeError::Other),
        };
        let opened = match tls::alpn(&connection).as_deref() {
            Some(tls::H3) => Some(web::shake(&connection).await.map_err(|web::Refused| HandshakeError::Web)?),
            Some(_) | None => None,
        };
        Ok((connection, opened))
    };
    timeout(HANDSHAKE_TIMEOUT, whole).await.unwrap_or(Err(HandshakeError::TimedOut))
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
        assert_eq!(admit(LIMITS, Load { sessions: 8, leaving: 2, ..idle }, true), Admission::Refuse);
        assert_eq!(admit(LIMITS, Load { stopping: true, ..idle }, true), Admission::Refuse);
    }

    #[test]
    fn under_pressure_an_address_has_to_be_proved_first() {
        let busy = Load { handshakes: 2, unproven: 2, ..Load::default() };
        assert_eq!(admit(LIMITS, busy, false), Admission::Prove);
        assert_eq!(admit(LIMITS, busy, true), Admission::Begin);
    }
}

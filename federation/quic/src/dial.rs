//! Reaching a relay: names to addresses, one address after the other, and whom we met there.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use conclave_federation::{
    id::RelayId,
    io::{Dial, DialError},
    limits::MAX_ADDRESSES,
};
use quinn::{ClientConfig, Connection, ConnectionError, TransportConfig};
use tokio::time::timeout;

use crate::{
    config::{ADDRESS_TIMEOUT, HANDSHAKE_TIMEOUT, LEAST_DATAGRAM, MAX_RESOLVED, TCP_AFTER},
    tcp,
    tls::{self, KeyCheck, Met},
};

/// Tries the addresses in order; the error is the most telling one.
pub(crate) async fn dial(
    quic: quinn::Endpoint,
    transport: Arc<TransportConfig>,
    dial: Dial,
) -> Result<(Connection, RelayId), DialError> {
    let ipv6 = quic.local_addr().is_ok_and(|addr| addr.is_ipv6());
    let mut worst = DialError::UnknownName;
    let mut names = dial.addresses.iter().take(MAX_ADDRESSES).peekable();
    while let Some(name) = names.next() {
        let mut addresses = resolve(name, ipv6).await.into_iter().peekable();
        while let Some(address) = addresses.next() {
            let last = addresses.peek().is_none() && names.peek().is_none();
            let patience = if last { HANDSHAKE_TIMEOUT } else { ADDRESS_TIMEOUT };
            match reach(&quic, Arc::clone(&transport), address, dial.relay, patience).await {
                Ok(met) => return Ok(met),
                Err(error) => worst = more_telling(worst, error),
            }
        }
    }
    Err(worst)
}

/// Whom a participant reached, and how.
pub(crate) enum Reached {
    Quic(Connection, RelayId),
    Tcp(tcp::dial::Reached),
}

/// As [`dial`], and over TCP beside it when QUIC does not get through: the first to connect wins.
pub(crate) async fn dial_either(
    quic: quinn::Endpoint,
    transport: Arc<TransportConfig>,
    wanted: Dial,
) -> Result<Reached, DialError> {
    let ipv6 = quic.local_addr().is_ok_and(|addr| addr.is_ipv6());
    let mut udp = pin!(dial(quic, transport, wanted.clone()));
    let early = timeout(TCP_AFTER, &mut udp).await;
    let mut tcp = pin!(tcp::dial::dial(ipv6, &wanted));
    match early {
        Ok(Ok((connection, relay))) => return Ok(Reached::Quic(connection, relay)),
        Ok(Err(DialError::Unreachable)) => {
            return tcp.await.map(Reached::Tcp).map_err(|why| more_telling(DialError::Unreachable, why));
        }
        // Another key, another protocol, no such name: TCP would not change it.
        Ok(Err(why)) => return Err(why),
        Err(_) => {}
    }
    tokio::select! {
        biased;
        over_udp = &mut udp => match over_udp {
            Ok((connection, relay)) => Ok(Reached::Quic(connection, relay)),
            Err(DialError::WrongKey) => Err(DialError::WrongKey),
            Err(why) => tcp.await.map(Reached::Tcp).map_err(|other| more_telling(why, other)),
        },
        over_tcp = &mut tcp => match over_tcp {
            Ok(reached) => Ok(Reached::Tcp(reached)),
            Err(why) => match udp.await {
                Ok((connection, relay)) => Ok(Reached::Quic(connection, relay)),
                Err(other) => Err(more_telling(why, other)),
            },
        },
    }
}

pub(crate) fn more_telling(a: DialError, b: DialError) -> DialError {
    let weight = |error: &DialError| match error {
        DialError::UnknownName => 0,
        DialError::Unreachable => 1,
        DialError::NotConclave => 2,
        DialError::WrongKey => 3,
    };
    if weight(&b) > weight(&a) { b } else { a }
}

pub(crate) async fn resolve(name: &str, ipv6: bool) -> Vec<SocketAddr> {
    match timeout(ADDRESS_TIMEOUT, tokio::net::lookup_host(name)).await {
        Ok(Ok(found)) => found.filter(|address| ipv6 || address.is_ipv4()).take(MAX_RESOLVED).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

async fn reach(
    quic: &quinn::Endpoint,
    transport: Arc<TransportConfig>,
    address: SocketAddr,
    relay: Option<RelayId>,
    patience: Duration,
) -> Result<(Connection, RelayId), DialError> {
    let check = KeyCheck::new(relay);
    let crypto = tls::client(Arc::clone(&check)).map_err(|_| DialError::NotConclave)?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport);
    let connecting = quic.connect_with(config, address, tls::NOT_A_NAME).map_err(|_| DialError::Unreachable)?;
    let connection = match timeout(patience, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(failure(check.met(), &error)),
        Err(_) => return Err(DialError::Unreachable),
    };
    let Some(Met::Relay(met)) = check.met() else { return Err(DialError::NotConclave) };
    if connection.max_datagram_size().is_none_or(|size| size < LEAST_DATAGRAM) {
        return Err(DialError::NotConclave);
    }
    Ok((connection, met))
}

fn failure(met: Option<Met>, error: &ConnectionError) -> DialError {
    match (met, error) {
        (Some(Met::WrongKey), _) => DialError::WrongKey,
        (Some(Met::NoRelay), _) | (_, ConnectionError::VersionMismatch) => DialError::NotConclave,
        _ if is_alpn(error) => DialError::NotConclave,
        // Whoever closes a handshake with TLS's words speaks TLS, but not ours.
        (_, ConnectionError::ConnectionClosed(close)) if tls_alert(close.error_code).is_some() => DialError::NotConclave,
        _ => DialError::Unreachable,
    }
}

fn tls_alert(code: quinn::TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    (0x100..0x200).contains(&code).then(|| u8::try_from(code & 0xff).unwrap_or(u8::MAX))
}

/// Whether a handshake failed because no application protocol is common to both.
pub(crate) fn is_alpn(error: &ConnectionError) -> bool {
    let code = match error {
        ConnectionError::TransportError(error) => error.code,
        ConnectionError::ConnectionClosed(close) => close.error_code,
        _ => return false,
    };
    tls_alert(code) == Some(tls::NO_APPLICATION_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_error_is_reported() {
        use DialError as E;
        assert_eq!(more_telling(E::UnknownName, E::Unreachable), E::Unreachable);
        assert_eq!(more_telling(E::WrongKey, E::Unreachable), E::WrongKey);
        assert_eq!(more_telling(E::Unreachable, E::NotConclave), E::NotConclave);
        assert_eq!(more_telling(E::WrongKey, E::NotConclave), E::WrongKey);
    }

    #[tokio::test]
    async fn an_address_needs_no_name_service_and_a_family_that_is_missing_is_left_out() {
        assert_eq!(resolve("127.0.0.1:9", false).await.len(), 1);
        assert_eq!(resolve("[::1]:9", false).await.len(), 0);
        assert_eq!(resolve("[::1]:9", true).await.len(), 1);
        assert_eq!(resolve("no port", true).await.len(), 0);
    }
}

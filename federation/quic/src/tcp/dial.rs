//! Reaching a relay over TCP: TLS that proves its key as QUIC does, then a WebSocket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use conclave_federation::{
    id::RelayId,
    io::{Dial, DialError},
    limits::{ALPN, MAX_ADDRESSES},
    mux::{PATH, SUBPROTOCOL},
};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::{
    client::IntoClientRequest,
    handshake::client::Request,
    http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
};

use super::{Pipe, pipe, pump, tune, websocket_config};
use crate::{
    dial::{more_telling, resolve},
    tls::{self, KeyCheck, Met},
};

/// An address that has not let us in by then is given up for the next one.
const PATIENCE: Duration = Duration::from_secs(3);

/// A relay that was reached.
pub(crate) struct Reached {
    pub(crate) pipe: Pipe,
    pub(crate) relay: RelayId,
    pub(crate) exporter: [u8; 32],
}

/// Tries the addresses in order; the error is the most telling one.
pub(crate) async fn dial(ipv6: bool, dial: &Dial) -> Result<Reached, DialError> {
    let mut worst = DialError::UnknownName;
    for name in dial.addresses.iter().take(MAX_ADDRESSES) {
        for address in resolve(name, ipv6).await {
            match timeout(PATIENCE, reach(address, name, dial.relay)).await {
                Ok(Ok(reached)) => return Ok(reached),
                Ok(Err(error)) => worst = more_telling(worst, error),
                Err(_) => worst = more_telling(worst, DialError::Unreachable),
            }
        }
    }
    Err(worst)
}

async fn reach(address: SocketAddr, name: &str, relay: Option<RelayId>) -> Result<Reached, DialError> {
    let socket = TcpStream::connect(address).await.map_err(|_| DialError::Unreachable)?;
    tune(&socket);
    let (stream, relay) = shake(socket, relay).await?;
    let exporter = tls::exporter_of(stream.get_ref().1).ok_or(DialError::NotConclave)?;
    let request = request(name).ok_or(DialError::NotConclave)?;
    let (websocket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(websocket_config()))
        .await
        .map_err(|_| DialError::NotConclave)?;
    let (pipe, far) = pipe();
    tokio::spawn(pump(websocket, far));
    Ok(Reached { pipe: pipe.with_remote(address), relay, exporter })
}

pub(crate) async fn shake(socket: TcpStream, relay: Option<RelayId>) -> Result<(TlsStream<TcpStream>, RelayId), DialError> {
    let check = KeyCheck::new(relay);
    let config = tls::client_of_tcp(Arc::clone(&check)).map_err(|_| DialError::NotConclave)?;
    let name = ServerName::try_from(tls::NOT_A_NAME).map_err(|_| DialError::NotConclave)?;
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    match (check.met(), shaken) {
        (Some(Met::WrongKey), _) => Err(DialError::WrongKey),
        (Some(Met::Relay(met)), Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(ALPN) => Ok((stream, met)),
        // Somebody listens there, but does not speak as we do.
        _ => Err(DialError::NotConclave),
    }
}

/// The handshake's request, to the host that was dialled.
fn request(name: &str) -> Option<Request> {
    let mut request = format!("ws://{name}{PATH}").into_client_request().ok()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_names_host_path_and_protocol() {
        for name in ["relay.example:4433", "192.0.2.7:443", "[2001:db8::1]:443"] {
            let request = request(name).unwrap();
            assert_eq!(request.uri().path(), PATH);
            assert_eq!(request.headers()["host"], name);
            assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        }
        assert!(request("no name at all").is_none());
    }
}

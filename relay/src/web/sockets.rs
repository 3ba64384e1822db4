//! Sessions over WebSocket: the handshake is done here, the connection goes to the loop, and a task carries its messages.

use std::{net::SocketAddr, sync::Arc};

use conclave_quic::tcp::{self, Pipe};
use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    upgrade,
};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::admin::Board;

/// A `Sec-WebSocket-Key`: 16 bytes in base64 (RFC 6455, section 4.1).
const KEY: usize = 24;

/// What a handshake is answered with.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) accept: HeaderValue,
}

/// What is wrong with a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrong {
    /// It is none.
    Plain,
    /// Another version of WebSocket.
    Version,
    /// No key, or none of the right length.
    Key,
    /// It does not speak our protocol inside.
    Protocol,
}

impl Wrong {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Plain | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::Protocol => StatusCode::BAD_REQUEST,
        }
    }

    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Plain => "here a WebSocket begins: open it with one, or with WebTransport on the same port",
            Self::Version => "this relay speaks version 13 of WebSocket: use that",
            Self::Key => "the WebSocket handshake has no proper key: try another browser or library",
            Self::Protocol => "the WebSocket has to name the subprotocol conclave.1: update",
        }
    }
}

impl Handshake {
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Wrong> {
        if !names(headers, header::CONNECTION, "upgrade") || !names(headers, header::UPGRADE, "websocket") {
            return Err(Wrong::Plain);
        }
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Wrong::Version);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).filter(|key| key.len() == KEY);
        let accept = key.and_then(|key| HeaderValue::from_str(&derive_accept_key(key)).ok()).ok_or(Wrong::Key)?;
        let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        if !protocols.into_iter().any(tcp::speaks) {
            return Err(Wrong::Protocol);
        }
        Ok(Self { accept })
    }
}

fn names(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// The way to the loop.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Those that the loop has not seen yet.
    pub(crate) waiting: mpsc::Sender<Pipe>,
    /// As many as there may be sessions.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) board: Arc<Board>,
}

impl Sockets {
    /// After the answer to this request the connection is a session's.
    pub(crate) fn begin(
        &self,
        request: &mut Request<Incoming>,
        remote: SocketAddr,
        open: Arc<super::Open>,
    ) -> Result<(), &'static str> {
        if self.board.is_draining() {
            return Err("this relay stops: connect to another one");
        }
        let full = "this relay has all the sessions that it can serve: try again in a moment, or another relay";
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full)?;
        let seat = self.waiting.clone().try_reserve_owned().map_err(|_| full)?;
        let upgrade = upgrade::on(request);
        tokio::spawn(async move {
            // Whoever leaves before the answer has arrived is no session.
            let Ok(upgraded) = upgrade.await else { return };
            let config = Some(tcp::websocket_config());
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, config).await;
            let (pipe, far) = tcp::pipe();
            seat.send(pipe.with_remote(remote));
            tcp::pump(socket, far).await;
            drop((place, open));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "conclave.2, conclave.1"),
    ];

    fn read(change: Option<(&str, Option<&'static str>)>) -> Result<String, Wrong> {
        let mut headers = HeaderMap::new();
        for (name, value) in RIGHT {
            let value = match change {
                Some((changed, to)) if changed == name => to,
                _ => Some(value),
            };
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        Handshake::read(&headers).map(|handshake| handshake.accept.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        assert_eq!(read(None), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
    }

    #[test]
    fn each_part_of_the_handshake_is_needed() {
        for (name, value, wrong) in [
            ("connection", None, Wrong::Plain),
            ("connection", Some("close"), Wrong::Plain),
            ("upgrade", None, Wrong::Plain),
            ("upgrade", Some("h2c"), Wrong::Plain),
            ("sec-websocket-version", None, Wrong::Version),
            ("sec-websocket-version", Some("8"), Wrong::Version),
            ("sec-websocket-key", None, Wrong::Key),
            ("sec-websocket-key", Some("short"), Wrong::Key),
            ("sec-websocket-protocol", None, Wrong::Protocol),
            ("sec-websocket-protocol", Some("conclave.11"), Wrong::Protocol),
        ] {
            assert_eq!(read(Some((name, value))), Err(wrong), "{name}: {value:?}");
        }
    }
}

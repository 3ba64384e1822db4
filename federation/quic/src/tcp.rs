//! Sessions over TCP, for where UDP does not get through: a [`Mux`](conclave_federation::mux::Mux) in WebSocket messages.
//!
//! ```text
//!   Driver --- Pipe | Far --- pump: one task --- WebSocket --- TLS --- TCP
//! ```
//!
//! A relay's web server does TCP, TLS and the WebSocket handshake; then it makes a [`pipe`], gives one end to
//! [`Driver::adopt`](crate::Driver::adopt) and spawns [`pump`] with the other. A participant's driver dials by itself.
//!
//! Little waits below the mux, where nobody can change their mind about it: [`OUTGOING`] messages in the pipe, and
//! what [`tune`] lets the kernel keep unsent.

use std::net::SocketAddr;

use bytes::Bytes;
use conclave_federation::{
    io::Closed,
    mux::{MAX_MESSAGE, SUBPROTOCOL},
};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub use pump::pump;

pub(crate) mod dial;
mod pump;
pub(crate) mod session;

/// Messages of the remote that wait for the driver; then the socket is not read, and TCP slows the remote down.
const INCOMING: usize = 16;

/// Messages for the remote that wait for the socket: enough that the task does not wait for the driver.
const OUTGOING: usize = 4;

/// Bytes that the kernel keeps of what the network has not taken yet: about one piece of the mux more than it needs.
const UNSENT: u32 = 16 * 1024;

/// Bytes read from a socket at once.
const READ_BUFFER: usize = 32 * 1024;

/// What a pump tells the driver.
enum Arrived {
    Message(Bytes),
    Ended(Closed),
}

/// The driver's end of one TCP connection; for [`Driver::adopt`](crate::Driver::adopt). Dropping it ends the connection.
pub struct Pipe {
    incoming: mpsc::Receiver<Arrived>,
    outgoing: mpsc::Sender<Bytes>,
    /// Overtakes what waits in `outgoing`.
    farewell: oneshot::Sender<Bytes>,
    /// Ends when the pump has.
    pumping: oneshot::Receiver<()>,
    remote: Option<SocketAddr>,
}

impl Pipe {
    /// Says where the remote is, for [`Driver::remote`](crate::Driver::remote).
    #[must_use]
    pub const fn with_remote(mut self, remote: SocketAddr) -> Self {
        self.remote = Some(remote);
        self
    }
}

/// The socket's end of one TCP connection; for [`pump`].
pub struct Far {
    incoming: mpsc::Sender<Arrived>,
    outgoing: mpsc::Receiver<Bytes>,
    farewell: oneshot::Receiver<Bytes>,
    /// Dropped with the rest.
    _pumping: oneshot::Sender<()>,
}

/// Two ends of a pipe of messages.
#[must_use]
pub fn pipe() -> (Pipe, Far) {
    let (arrived, incoming) = mpsc::channel(INCOMING);
    let (outgoing, leaving) = mpsc::channel(OUTGOING);
    let (farewell, last) = oneshot::channel();
    let (done, pumping) = oneshot::channel();
    let pipe = Pipe { incoming, outgoing, farewell, pumping, remote: None };
    (pipe, Far { incoming: arrived, outgoing: leaving, farewell: last, _pumping: done })
}

/// The bounds of our WebSockets; for whoever does the handshake.
#[must_use]
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .read_buffer_size(READ_BUFFER)
        // Each message goes straight to TLS: what waits, waits in the mux.
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE)
}

/// Whether a WebSocket handshake's `Sec-WebSocket-Protocol` names ours; the answer names [`SUBPROTOCOL`] alone.
#[must_use]
pub fn speaks(protocols: &str) -> bool {
    protocols.split(',').any(|protocol| protocol.trim() == SUBPROTOCOL)
}

/// Sets up a socket, dialled or accepted: no waiting for more bytes, and little that the kernel keeps unsent.
///
/// What fails here costs delay, not the connection.
pub fn tune(socket: &tokio::net::TcpStream) {
    let _ = socket.set_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT);
}

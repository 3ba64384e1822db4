//! One UDP port: opened, sized, and ready to be driven.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use aws_lc_rs::hmac;
use conclave_federation::{
    id::RelayId,
    proof::{SigningKey, sha256},
};
use quinn::{ConnectionIdGenerator, EndpointConfig, TransportConfig};
use quinn_proto::HashedConnectionIdGenerator;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    config::{self, BindConfig, Limits},
    tls,
};

/// What we ask the kernel for, each way: 50 ms at 1.3 Gbit/s, so that a burst of handshakes does not cost a frame.
const SOCKET_BUFFER: usize = 8 * 1024 * 1024;
/// Below this it is not worth asking for less.
const LEAST_SOCKET_BUFFER: usize = 128 * 1024;

/// Why a port could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Somebody has it.
    #[error("UDP port {0} is in use: stop the process that has it, or choose another port")]
    InUse(u16),
    /// The system does not let us.
    #[error("UDP port {0} may not be opened by this user: choose a port from 1024 upwards, or grant the right")]
    Denied(u16),
    /// The machine has no such address.
    #[error("this machine does not have the address to listen on: check it, or use [::] for all addresses")]
    NoSuchAddress,
    /// The key is not usable.
    #[error("the relay key cannot be made into a certificate: restore it from a copy, or make a new one")]
    BadKey,
    /// Called outside of a tokio runtime.
    #[error("a UDP port can only be opened inside a tokio runtime: call it from async code")]
    NoRuntime,
    /// Anything else the system said.
    #[error("the UDP port could not be opened: {0}")]
    System(io::ErrorKind),
}

/// Sizes of the socket's buffers, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Buffers {
    /// What was asked for.
    pub asked: usize,
    /// What the kernel gives for receiving.
    pub receive: usize,
    /// What the kernel gives for sending.
    pub send: usize,
}

impl Buffers {
    /// Whether the kernel gave less than was asked for; on Linux, raise `net.core.rmem_max` and `net.core.wmem_max`.
    #[must_use]
    pub const fn are_clamped(&self) -> bool {
        self.receive < self.asked || self.send < self.asked
    }
}

/// An open UDP port that speaks QUIC; handed to [`crate::Driver::new`].
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) quic: quinn::Endpoint,
    pub(crate) dialling: Arc<TransportConfig>,
    pub(crate) limits: Limits,
    relay: Option<RelayId>,
    addr: SocketAddr,
    buffers: Buffers,
}

impl Endpoint {
    /// Opens the port; with a key, it may be dialled.
    ///
    /// A participant on a machine without IPv6 gets an IPv4 port instead.
    ///
    /// # Errors
    /// When the port is in use, may not be opened, or this is not a tokio runtime.
    pub fn bind(config: BindConfig) -> Result<Self, BindError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BindError::NoRuntime);
        }
        let socket = open(config.addr).or_else(|error| {
            let any = config.addr.ip().is_unspecified() && config.addr.is_ipv6() && config.key.is_none();
            let none = matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
                || error.raw_os_error() == Some(AF_UNSUPPORTED);
            if any && none { open((Ipv4Addr::UNSPECIFIED, config.addr.port()).into()) } else { Err(error) }
        });
        let socket = socket.map_err(|error| bind_error(&error, config.addr.port()))?;
        let buffers = enlarge(&socket);
        let server = match &config.key {
            Some(key) => Some(config::server(tls::server(key, config.web.as_ref()).map_err(|_| BindError::BadKey)?)),
            None => None,
        };
        let dialling = if config.key.is_some() { config::link() } else { config::participant() };
        let endpoint = config.key.as_ref().map_or_else(EndpointConfig::default, lasting);
        let quic = quinn::Endpoint::new(endpoint, server, socket.into(), Arc::new(quinn::TokioRuntime))
            .map_err(|error| bind_error(&error, config.addr.port()))?;
        let addr = quic.local_addr().map_err(|error| bind_error(&error, config.addr.port()))?;
        if buffers.are_clamped() {
            tracing::info!(asked = buffers.asked, receive = buffers.receive, send = buffers.send, "socket buffers are clamped");
        }
        let relay = config.key.map(|key| RelayId::new(*key.verifying_key().as_bytes()));
        Ok(Self { quic, dialling: Arc::new(dialling), limits: config.limits, relay, addr, buffers })
    }

    /// The address it has, with the port that was taken.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The relay it answers as.
    #[must_use]
    pub const fn relay(&self) -> Option<RelayId> {
        self.relay
    }

    /// What the kernel gave.
    #[must_use]
    pub const fn buffers(&self) -> Buffers {
        self.buffers
    }
}

/// `EAFNOSUPPORT` of Linux: std has no name for it.
const AF_UNSUPPORTED: i32 = 97;

fn open(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        // Where both families cannot share a socket, IPv6 alone still serves.
        let _ = socket.set_only_v6(false);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn enlarge(socket: &Socket) -> Buffers {
    let halves =
        || std::iter::successors(Some(SOCKET_BUFFER), |size| Some(size / 2)).take_while(|size| *size >= LEAST_SOCKET_BUFFER);
    // Some systems clamp, some refuse: take the largest that is not refused. What they took is read back below.
    let _ = halves().find(|size| socket.set_recv_buffer_size(*size).is_ok());
    let _ = halves().find(|size| socket.set_send_buffer_size(*size).is_ok());
    // Linux reports twice what it lets us use.
    let factor = if cfg!(target_os = "linux") { 2 } else { 1 };
    Buffers {
        asked: SOCKET_BUFFER,
        receive: socket.recv_buffer_size().unwrap_or(0) / factor,
        send: socket.send_buffer_size().unwrap_or(0) / factor,
    }
}

fn bind_error(error: &io::Error, port: u16) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(port),
        io::ErrorKind::PermissionDenied => BindError::Denied(port),
        io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress,
        kind => BindError::System(kind),
    }
}

/// Keys that outlive the process, so that after a restart clients of the old one are told at once that it is gone,
/// instead of waiting until they time out.
fn lasting(key: &SigningKey) -> EndpointConfig {
    let seed = zeroize::Zeroizing::new(key.expose_seed());
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &sha256(&[b"conclave/1 stateless reset", seed.as_slice()]));
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[b"conclave/1 connection ids", seed.as_slice()]);
    let ids = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || -> Box<dyn ConnectionIdGenerator> { Box::new(HashedConnectionIdGenerator::from_key(ids)) });
    config
}

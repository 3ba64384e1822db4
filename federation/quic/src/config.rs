//! Every number that is given to QUIC, with its reason, and what a process may choose.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use conclave_federation::{limits, proof::SigningKey};
use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::certificate::WebIdentity;

/// A handshake has to be complete in this time; then its memory is free again.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// An address that is silent this long is given up for the next one; the last one gets [`HANDSHAKE_TIMEOUT`].
pub(crate) const ADDRESS_TIMEOUT: Duration = Duration::from_secs(2);
/// A participant whom QUIC has not connected by then tries TCP beside it: an honest path connects in a few round trips,
/// and together with the handshakes over TCP it has to be done within five seconds.
pub(crate) const TCP_AFTER: Duration = Duration::from_millis(1_500);
/// Socket addresses tried of one name: the first of each family, and one spare each.
pub(crate) const MAX_RESOLVED: usize = 4;

/// A session that is silent this long is lost.
const IDLE_TIMEOUT_MS: u32 = 15_000;
/// Participants ask often, because they have to notice within a second or two that their relay is gone.
const PARTICIPANT_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Relays ask only so that addresses stay mapped on the way; heartbeats of their own notice the rest.
const RELAY_KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Streams that a client may have open towards its relay, one way.
const CLIENT_UNI: u32 = 64;
/// Streams for requests that a client may have open towards its relay.
const CLIENT_BIDI: u32 = 64;
/// Streams that a browser may have open beside those of a client, one way and both ways: settings, QPACK's two and one made
/// up to see whether it is ignored; and the request for the session. QUIC announces no smaller step than an eighth.
const WEB_EXTRA: u32 = 16;
/// Streams that a relay may have open towards a client: one for each group and layer of each publisher.
const PARTICIPANT_UNI: u32 = 1_024;
/// Streams for one way on a link, each way: all rooms share it.
pub(crate) const LINK_UNI: u32 = 4_096;
/// Requests open on a link: as many as a session may have unanswered anyway.
pub(crate) const LINK_BIDI: u32 = 256;

/// Bytes of a client that may wait for us to read them: this bounds its memory here.
const CLIENT_RECEIVE_WINDOW: u32 = 256 * 1024;
/// Bytes of our relay that may wait for a participant to read them: a 4K key frame must not need many round trips.
const PARTICIPANT_RECEIVE_WINDOW: u32 = 1024 * 1024;
/// See [`PARTICIPANT_RECEIVE_WINDOW`]; for one stream.
const PARTICIPANT_STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of a link that may wait for us to read them: 200 ms at 160 Mbit/s.
pub(crate) const LINK_RECEIVE_WINDOW: u32 = 4 * 1024 * 1024;
/// The same for one stream, of links and of accepted sessions: QUIC cannot raise it later, and what a client may fill
/// is bounded by [`CLIENT_RECEIVE_WINDOW`] already. No stream is left unread here while another is read.
const ACCEPTED_STREAM_WINDOW: u32 = 1024 * 1024;

/// Smallest send window: two initial congestion windows.
pub(crate) const MIN_SEND_WINDOW: u64 = 32 * 1024;
/// Largest send window towards a client: what is in here cannot be taken back when it is late.
pub(crate) const CLIENT_SEND_WINDOW: u64 = 256 * 1024;
/// Largest send window of a link.
pub(crate) const LINK_SEND_WINDOW: u64 = 4 * 1024 * 1024;

/// Datagrams waiting inside QUIC towards a client: about 50 audio frames; more would be delay, not delivery.
pub(crate) const CLIENT_DATAGRAM_QUEUE: usize = 8 * 1024;
/// Datagrams waiting inside QUIC on a link, which carries all rooms. QUIC's own limit is this one for every session,
/// because it cannot be changed later; the smaller one for clients is kept by the driver.
pub(crate) const LINK_DATAGRAM_QUEUE: usize = 256 * 1024;
/// Datagrams of a session that wait to be read; the oldest go first.
const DATAGRAM_RECEIVE_QUEUE: usize = 128 * 1024;

/// First packets waiting to be looked at; more are refused.
const MAX_INCOMING: usize = 1_024;
/// Bytes kept of one handshake that is not yet looked at.
const INCOMING_BUFFER: u64 = 16 * 1024;
/// Bytes kept of all of them.
const INCOMING_BUFFER_TOTAL: u64 = 16 * 1024 * 1024;

/// Bounds that a process may choose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Sessions open at once, dialled ones included; further ones are refused.
    pub sessions: usize,
    /// Handshakes in flight at once; further ones are refused.
    pub handshakes: usize,
    /// Handshakes in flight from addresses that nobody has proved; further ones have to prove theirs first.
    pub unproven: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 4_096, handshakes: 1_024, unproven: 64 }
    }
}

/// Where and as whom to open a port.
#[derive(Clone, Debug)]
pub struct BindConfig {
    /// The UDP address; port 0 takes any that is free.
    pub addr: SocketAddr,
    /// The relay's key; `None` for a participant, who is not dialled.
    pub key: Option<SigningKey>,
    /// What browsers are shown, who dial with WebTransport; `None` does not offer it. Only with a key.
    pub web: Option<WebIdentity>,
    /// Bounds.
    pub limits: Limits,
}

impl BindConfig {
    /// A relay at `addr` that proves `key`.
    #[must_use]
    pub fn relay(addr: SocketAddr, key: SigningKey) -> Self {
        Self { addr, key: Some(key), web: None, limits: Limits::default() }
    }

    /// A participant: any port, both address families where the system has both.
    #[must_use]
    pub fn participant() -> Self {
        let addr = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0));
        Self { addr, key: None, web: None, limits: Limits { sessions: 16, ..Limits::default() } }
    }
}

fn base() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .send_window(MIN_SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_QUEUE))
        .datagram_send_buffer_size(LINK_DATAGRAM_QUEUE)
        // An observer on the path could read the round trip from it.
        .allow_spin(false);
    transport
}

/// A session that we accept: at first a client's; [`crate::Driver::proven_link`] raises it.
pub(crate) fn accepting() -> TransportConfig {
    let mut transport = base();
    transport
        .keep_alive_interval(Some(RELAY_KEEP_ALIVE))
        .max_concurrent_uni_streams(VarInt::from_u32(CLIENT_UNI))
        .max_concurrent_bidi_streams(VarInt::from_u32(CLIENT_BIDI))
        .receive_window(VarInt::from_u32(CLIENT_RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(ACCEPTED_STREAM_WINDOW));
    transport
}

/// A session of a browser that we accept: the same, beside what HTTP/3 needs.
pub(crate) fn admit_web(connection: &quinn::Connection) {
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(CLIENT_UNI + WEB_EXTRA));
    connection.set_max_concurrent_bi_streams(VarInt::from_u32(CLIENT_BIDI + WEB_EXTRA));
}

/// A session that we dial as a participant.
pub(crate) fn participant() -> TransportConfig {
    let mut transport = base();
    transport
        .keep_alive_interval(Some(PARTICIPANT_KEEP_ALIVE))
        .max_concurrent_uni_streams(VarInt::from_u32(PARTICIPANT_UNI))
        .max_concurrent_bidi_streams(VarInt::from_u32(CLIENT_BIDI))
        .receive_window(VarInt::from_u32(PARTICIPANT_RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(PARTICIPANT_STREAM_WINDOW));
    transport
}

/// A session that we dial as a relay.
pub(crate) fn link() -> TransportConfig {
    let mut transport = base();
    transport
        .keep_alive_interval(Some(RELAY_KEEP_ALIVE))
        .max_concurrent_uni_streams(VarInt::from_u32(LINK_UNI))
        .max_concurrent_bidi_streams(VarInt::from_u32(LINK_BIDI))
        .receive_window(VarInt::from_u32(LINK_RECEIVE_WINDOW))
        .stream_receive_window(VarInt::from_u32(ACCEPTED_STREAM_WINDOW));
    transport
}

/// What quinn is told about being dialled.
pub(crate) fn server(crypto: quinn::crypto::rustls::QuicServerConfig) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(accepting()))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    config
}

/// What a session is for, as far as bounds go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Between a participant and a relay.
    Client,
    /// Between two relays.
    Link,
}

impl Role {
    pub(crate) const fn send_window(self) -> u64 {
        match self {
            Self::Client => CLIENT_SEND_WINDOW,
            Self::Link => LINK_SEND_WINDOW,
        }
    }

    /// Space of QUIC's datagram queue that this role must leave free.
    pub(crate) const fn reserved(self) -> usize {
        match self {
            Self::Client => LINK_DATAGRAM_QUEUE - CLIENT_DATAGRAM_QUEUE,
            Self::Link => 0,
        }
    }
}

/// A path that carries less than this in a datagram cannot carry a session.
pub(crate) const LEAST_DATAGRAM: usize = limits::MAX_DATAGRAM;

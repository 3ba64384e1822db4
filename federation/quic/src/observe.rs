//! What can be seen of the traffic from beside it: counters, the state of a path, and the seam for tests that read along.

use std::{fmt, time::Duration};

use conclave_federation::io::SessionKey;

/// Sees the bytes of every session at the driver's edge, after decryption and before encryption of the hop.
///
/// Shipped processes use `()`, which sees nothing and costs nothing. The processes of the leak check use one that writes
/// down what it sees, so that nothing in a shipped binary could.
pub trait Observer {
    /// `false` spares the driver the book-keeping of what was taken.
    const WATCHES: bool = true;
    /// Bytes of one datagram, or the next bytes of one stream.
    fn received(&mut self, session: SessionKey, bytes: &[u8]);
    /// Bytes that the transport took for sending.
    fn sent(&mut self, session: SessionKey, bytes: &[u8]);
}

impl Observer for () {
    const WATCHES: bool = false;
    fn received(&mut self, _: SessionKey, _: &[u8]) {}
    fn sent(&mut self, _: SessionKey, _: &[u8]) {}
}

/// What carries a session's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// QUIC itself.
    Quic,
    /// HTTP/3 on QUIC, which is what a browser speaks.
    WebTransport,
    /// Messages over TCP, for where UDP does not get through: expect more delay.
    WebSocket,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
        })
    }
}

/// What a driver has counted since it started; for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Sessions that began: dialled by us.
    pub dials_ok: u64,
    /// Of these, over TCP, because UDP did not get through.
    pub dials_over_tcp: u64,
    /// Dials that no address answered.
    pub dials_unreachable: u64,
    /// Dials to names without an address.
    pub dials_unknown_name: u64,
    /// Dials met by another key than expected.
    pub dials_wrong_key: u64,
    /// Dials met by another protocol.
    pub dials_not_conclave: u64,
    /// Sessions that began: accepted by us.
    pub handshakes_ok: u64,
    /// Of these, those of browsers by WebTransport.
    pub web_sessions_ok: u64,
    /// Browsers whose request for a session was not one for us: another path or version, or not readable.
    pub web_sessions_refused: u64,
    /// Sessions of browsers ended because of a stream that may not be, is of another session, or breaks off in its first bytes.
    pub web_streams_broken: u64,
    /// Sessions of browsers ended because of a datagram of no session.
    pub web_datagrams_broken: u64,
    /// Sessions of browsers ended because the stream of their request was given up or could not be read.
    pub web_requests_broken: u64,
    /// Accepted handshakes that did not finish in time.
    pub handshakes_timed_out: u64,
    /// Accepted handshakes without a common application protocol.
    pub handshakes_alpn: u64,
    /// Accepted handshakes that failed in TLS or QUIC otherwise.
    pub handshakes_failed: u64,
    /// Handshakes refused because a bound was reached or the driver shuts down.
    pub handshakes_refused: u64,
    /// Handshakes sent back to prove their address first.
    pub retries: u64,
    /// Sessions refused after the handshake, because they cannot carry our datagrams.
    pub sessions_unfit: u64,
    /// Sessions ended, for whatever reason.
    pub sessions_closed: u64,
    /// Sessions ended by a bug on our side; every one is worth a report.
    pub panics: u64,
    /// Sessions over TCP ended because the remote's messages made no sense.
    pub pipes_broken: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams taken for sending.
    pub datagrams_out: u64,
    /// Offers of a datagram that did not fit into the queue.
    pub datagrams_blocked: u64,
    /// Datagrams dropped because the path carries none of that size.
    pub datagrams_oversized: u64,
    /// Offers to a stream that were not taken, or not wholly.
    pub writes_blocked: u64,
    /// Streams that could not be opened because the remote's limit was reached.
    pub opens_blocked: u64,
    /// Bytes of streams and datagrams received, without QUIC's overhead.
    pub bytes_in: u64,
    /// Bytes of streams and datagrams taken for sending, without QUIC's overhead.
    pub bytes_out: u64,
}

/// The state of the path of one session, as QUIC sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Estimated round trip.
    pub rtt: Duration,
    /// Smallest round trip seen.
    pub min_rtt: Duration,
    /// Congestion window, bytes.
    pub cwnd: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Packets lost.
    pub lost_packets: u64,
    /// Bytes lost.
    pub lost_bytes: u64,
    /// Times the window was cut.
    pub congestion_events: u64,
    /// Largest UDP payload the path carries.
    pub mtu: u16,
    /// UDP payload sent, bytes, with QUIC's overhead.
    pub udp_out: u64,
    /// UDP payload received, bytes, with QUIC's overhead.
    pub udp_in: u64,
}

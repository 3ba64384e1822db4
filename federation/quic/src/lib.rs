//! The only user of quinn: one UDP port, its QUIC connections, and the bytes between them and a machine.
//!
//! ```text
//!        machine (relay-core, client-core)
//!           ^ Net              | Outlet: answered at once
//!           |                  v
//!        Driver::next      Driver as Outlet        drive
//!           |   ready: whose bell rang             |
//!        read: datagrams, streams          write: chunks, datagrams
//!           |                  |                   |
//!        session: one connection, its streams by key
//!           |        \         |
//!           |         web: what browsers put in front of them
//!           |                  |
//!        quinn  <---  accept, dial, tls, config    endpoint: the UDP port
//! ```
//!
//! Where UDP does not get through, `tcp` takes the place of quinn: a mux per session, and one task for each TCP connection.
//!
//! Invariants:
//! - there is no task and no channel of ours on QUIC, and one of each on TCP: what is not read stays in QUIC or TCP, whose
//!   flow control slows the remote down;
//! - a write takes what fits now and never waits; [`Net::Writable`](conclave_federation::io::Net::Writable) follows;
//! - a relay is the Ed25519 key in its certificate, proved by the handshake; TLS 1.3 only, nothing is resumed, no
//!   certificate is asked of those who dial; relays prefer the hybrid X25519MLKEM768, and diallers offer nothing else;
//! - each bound is a constant of `config` or a field of [`Limits`]; a bound that is reached is counted in [`Counters`];
//! - bad manners, and a bug while serving one session, end that session and no other.
//!
//! Browsers dial the same port with WebTransport (ALPN `h3`) when [`BindConfig::web`] has something to show them: a
//! P-256 certificate that they compare by its hash, and that [`WebIdentity::replace`] replaces while the port is open. Their
//! sessions give the same [`Net`](conclave_federation::io::Net) and take the same writes, byte for byte: the control stream is
//! the first that the browser opens both ways, codes are those of WebTransport's applications, and an end is said in a
//! capsule. [`tcp_server_tls`] makes the same choice between the two certificates for a TCP port.
//!
//! ```
//! use conclave_federation::{id::RelayId, io::{Dial, DialKey, Net, Outlet, Side, StreamKey}, proof::SigningKey};
//! use conclave_quic::{BindConfig, Driver, Endpoint};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let key = SigningKey::from_seed([7; 32]);
//! let id = RelayId::new(*key.verifying_key().as_bytes());
//! let mut relay = Driver::new(Endpoint::bind(BindConfig::relay("127.0.0.1:0".parse().unwrap(), key))?);
//! let mut client = Driver::new(Endpoint::bind(BindConfig::participant())?);
//!
//! let addresses = vec![relay.endpoint().local_addr().to_string()];
//! client.dial(Dial { key: DialKey(1), relay: Some(id), addresses });
//! let session = loop {
//!     tokio::select! {
//!         net = client.next() => if let Net::Connected { session, side, .. } = net {
//!             assert_eq!(side, Side::Dialled(DialKey(1), id));
//!             break session;
//!         },
//!         _ = relay.next() => {}
//!     }
//! };
//! client.write(session, StreamKey::CONTROL, &mut ["hello".into()]);
//! let heard = loop {
//!     tokio::select! {
//!         _ = client.next() => {}
//!         net = relay.next() => if let Net::Data { bytes, .. } = net { break bytes },
//!     }
//! };
//! assert_eq!(heard, "hello");
//! # Ok::<(), conclave_quic::BindError>(())
//! # }).unwrap();
//! ```
#![forbid(unsafe_code)]

mod accept;
mod certificate;
mod config;
mod dial;
mod drive;
mod endpoint;
mod observe;
mod read;
mod ready;
mod session;
pub mod tcp;
mod tls;
mod web;
mod write;

pub use certificate::{CertificateError, WebCertificate, WebIdentity};
pub use config::{BindConfig, Limits};
pub use drive::Driver;
pub use endpoint::{BindError, Buffers, Endpoint};
pub use observe::{Counters, Observer, Path, Transport};
pub use tls::tcp_server_tls;

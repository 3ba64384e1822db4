//! The TCP port: TLS or not by the first byte, and nobody who takes for ever.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use conclave_quic::tcp;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Open,
    counts::{Counts, Refusal},
    pages::{Pages, Seat},
    unix_ms,
};

/// How a TLS connection begins: the type of a handshake record.
const TLS: u8 = 0x16;
/// Longest request head; browsers send far less.
const MAX_HEAD: usize = 16 * 1024;
/// Beyond all places so many more are told that there is none; further ones hear nothing.
const TOLD: usize = 64;

/// How long connections may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    /// For the first byte, for TLS, and for each request's head.
    pub(crate) header: Duration,
    /// For all of a connection that becomes no session.
    pub(crate) connection: Duration,
}

/// What every connection is given.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) pages: Arc<Pages>,
    pub(crate) tls: TlsAcceptor,
    pub(crate) counts: Arc<Counts>,
    pub(crate) places: usize,
    pub(crate) patience: Patience,
}

impl Serving {
    /// Takes connections for ever.
    pub(crate) async fn accept(self, socket: TcpListener) {
        let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
        let places = Arc::new(Semaphore::new(self.places));
        let told = Arc::new(Semaphore::new(TOLD));
        loop {
            let Ok((connection, remote)) = socket.accept().await else {
                // Out of file descriptors, most likely: not a reason to spin.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let (place, busy) = match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => (place, false),
                Err(_) => {
                    self.counts.on_refusal(Refusal::Full);
                    match Arc::clone(&told).try_acquire_owned() {
                        Ok(place) => (place, true),
                        Err(_) => continue,
                    }
                }
            };
            let serving = self.clone();
            tokio::spawn(async move {
                serving.connection(connection, remote, busy).await;
                drop(place);
            });
        }
    }

    async fn connection(&self, socket: TcpStream, remote: SocketAddr, busy: bool) {
        let open = Open::new(&self.counts);
        let local = socket.local_addr().is_ok_and(|own| is_loopback(own) && is_loopback(remote));
        let mut first = [0];
        let plain = match timeout(self.patience.header, socket.peek(&mut first)).await {
            Ok(Ok(1)) => first != [TLS],
            Ok(_) => return,
            Err(_) => return self.counts.on_refusal(Refusal::Slow),
        };
        tcp::tune(&socket);
        let seat = Seat { plain, local, busy, remote };
        if plain {
            return self.serve(socket, seat, open).await;
        }
        match timeout(self.patience.header, self.tls.accept(socket)).await {
            Ok(Ok(socket)) => self.serve(socket, seat, open).await,
            Ok(Err(_)) => self.counts.on_refusal(Refusal::Tls),
            Err(_) => self.counts.on_refusal(Refusal::Slow),
        }
    }

    async fn serve(&self, socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seat: Seat, open: Arc<Open>) {
        let asked = AtomicBool::new(false);
        let service = service_fn(|mut request| {
            asked.store(true, Relaxed);
            let answer = self.pages.answer(&mut request, seat, &open, unix_ms());
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.patience.header)
            .max_buf_size(MAX_HEAD)
            .keep_alive(!seat.busy)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        // Half of the time for requests, half for the last answer to be read.
        let half = self.patience.connection / 2;
        let ended = match timeout(half, connection.as_mut()).await {
            Ok(ended) => Some(ended),
            Err(_) => {
                connection.as_mut().graceful_shutdown();
                timeout(half, connection).await.ok()
            }
        };
        match ended {
            None => self.counts.on_refusal(Refusal::Long),
            // Between requests it is no fault to be silent.
            Some(Err(error)) if error.is_timeout() && !asked.load(Relaxed) => self.counts.on_refusal(Refusal::Slow),
            // Other errors are the remote's, and it knows them.
            Some(_) => {}
        }
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_in_both_families() {
        for right in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_loopback(right.parse().unwrap()), "{right}");
        }
        for wrong in ["192.0.2.7:1", "[2001:db8::1]:1", "[::ffff:192.0.2.7]:1", "0.0.0.0:1"] {
            assert!(!is_loopback(wrong.parse().unwrap()), "{wrong}");
        }
    }
}

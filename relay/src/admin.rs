//! `/metrics`, `/healthz` and `/readyz`, on a thread and a runtime of their own: they answer when the relay is busy, and they
//! are not kept from answering by it.
//!
//! Alive and willing are two things. `/healthz` says that the loop turns and nothing else: a supervisor that restarts on it
//! must not be fooled by a full disk. `/readyz` says whether to send somebody here.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{
    failure::Failure,
    metrics::{CONTENT_TYPE, Exporter, Snapshot},
    store::Health,
};

/// The loop turns at least once a second; without a turn for this long it hangs.
const ALIVE: Duration = Duration::from_secs(5);

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 32;

/// A request has to be here in this time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest request head.
const MAX_HEAD: usize = 16 * 1024;

/// How long a scrape waits for the loop to count; then it gets the numbers of the last one.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(1);

/// A wish for numbers, answered by the loop.
pub type Ask = oneshot::Sender<Snapshot>;

/// What the loop and this thread both see.
#[derive(Debug)]
pub struct Board {
    begun: Instant,
    beat: AtomicU64,
    listening: AtomicBool,
    draining: AtomicBool,
    store: Arc<Health>,
}

impl Board {
    /// Before anything listens.
    #[must_use]
    pub fn new(store: Arc<Health>) -> Self {
        Self {
            begun: Instant::now(),
            beat: AtomicU64::new(0),
            listening: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            store,
        }
    }

    /// The loop turned.
    pub fn beat(&self) {
        self.beat.store(self.now_ms(), Relaxed);
    }

    /// The loop accepts sessions.
    pub fn listening(&self) {
        self.listening.store(true, Relaxed);
    }

    /// The relay stops.
    pub fn draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the relay stops.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Whether the loop turned lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let silent = self.now_ms().saturating_sub(self.beat.load(Relaxed));
        u128::from(silent) < ALIVE.as_millis()
    }

    /// Whether to send somebody here, and why not.
    #[must_use]
    pub fn checks(&self) -> [(&'static str, bool); 4] {
        [
            ("loop", self.is_alive()),
            ("listener", self.listening.load(Relaxed)),
            ("store", self.store.is_ok()),
            ("not_draining", !self.is_draining()),
        ]
    }

    /// All checks at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|(_, ok)| *ok)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The listener, before its thread runs: an address in use is found before anybody is told that the relay is ready.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Takes the address.
///
/// # Errors
/// When it is in use, or not of this machine.
pub fn bind(address: SocketAddr) -> Result<Listener, Failure> {
    let bound = TcpListener::bind(address).and_then(|socket| {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Listener { socket, address })
    });
    bound.map_err(|error| {
        Failure::Runtime(match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("metrics.listen {address}: the port is in use by another process: stop that one, or choose another port")
            }
            _ => format!("metrics.listen {address}: cannot be listened on: {error}: choose an address of this machine"),
        })
    })
}

impl Listener {
    /// With the port that the system chose, if it was asked to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn serve(self, board: Arc<Board>, exporter: Exporter, asks: mpsc::Sender<Ask>) -> Result<Admin, Failure> {
        let refused = |error: io::Error| Failure::Runtime(format!("the system gives no thread for the metrics: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let (stop, stopped) = oneshot::channel();
        let pages = Arc::new(Pages { board, exporter, asks, last: Mutex::new(None) });
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(self.socket, pages) => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(refused)?;
        Ok(Admin { stop, thread })
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Admin {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Admin {
    /// Ends it.
    pub fn close(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the metrics' thread had ended by a bug");
        }
    }
}

async fn accept(socket: TcpListener, pages: Arc<Pages>) {
    let Ok(socket) = tokio::net::TcpListener::from_std(socket) else { return };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((connection, _)) = socket.accept().await else {
            // Out of file descriptors, most likely: not a reason to spin.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let pages = Arc::clone(&pages);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let pages = Arc::clone(&pages);
                async move { Ok::<_, Infallible>(pages.answer(&request).await) }
            });
            // Errors are the remote's, and it is the operator's own.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_HEAD)
                .serve_connection(TokioIo::new(connection), service)
                .await;
            drop(place);
        });
    }
}

struct Pages {
    board: Arc<Board>,
    exporter: Exporter,
    asks: mpsc::Sender<Ask>,
    last: Mutex<Option<Snapshot>>,
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET is understood here\n".to_owned());
        }
        match request.uri().path() {
            "/healthz" if self.board.is_alive() => page(StatusCode::OK, "text/plain", "alive\n".to_owned()),
            "/healthz" => page(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "the loop does not turn\n".to_owned()),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics().await,
            _ => page(StatusCode::NOT_FOUND, "text/plain", "here are /metrics, /healthz and /readyz\n".to_owned()),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let checks: serde_json::Map<_, _> =
            self.board.checks().into_iter().map(|(name, ok)| (name.to_owned(), ok.into())).collect();
        let ready = self.board.is_ready();
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let body = serde_json::json!({ "ready": ready, "checks": checks });
        page(status, "application/json", format!("{body}\n"))
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        let (ask, answer) = oneshot::channel();
        // A full queue means that others ask already and nobody answers.
        let fresh = match self.asks.try_send(ask) {
            Ok(()) => tokio::time::timeout(SNAPSHOT_TIMEOUT, answer).await.ok().and_then(Result::ok),
            Err(_) => None,
        };
        let snapshot = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if fresh.is_some() {
                *last = fresh;
            }
            last.clone()
        };
        match snapshot {
            Some(snapshot) => page(StatusCode::OK, CONTENT_TYPE, self.exporter.render(&snapshot)),
            None => page(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "the loop has not counted anything yet\n".to_owned()),
        }
    }
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(age: Duration) -> Board {
        Board { begun: Instant::now().checked_sub(age).unwrap(), ..Board::new(Arc::new(Health::default())) }
    }

    #[test]
    fn alive_is_a_turn_of_the_loop_and_nothing_else() {
        let board = board(ALIVE * 2);
        assert!(!board.is_alive(), "no turn for twice the time");
        assert!(!board.is_ready());
        board.beat();
        assert!(board.is_alive());
        board.draining();
        assert!(board.is_alive(), "draining is not dying");
        assert!(!board.is_ready());
    }

    #[test]
    fn ready_is_every_check_at_once() {
        let board = board(Duration::ZERO);
        board.beat();
        assert_eq!(board.checks(), [("loop", true), ("listener", false), ("store", true), ("not_draining", true)]);
        board.listening();
        assert!(board.is_ready());
        board.draining();
        assert!(!board.is_ready() && board.is_draining());
    }

    #[test]
    fn a_loop_that_hangs_is_said_and_numbers_are_those_of_the_last_time() {
        let health = Arc::new(Health::default());
        let board = Arc::new(Board { begun: Instant::now().checked_sub(ALIVE * 2).unwrap(), ..Board::new(Arc::clone(&health)) });
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        let (asks, mut asked) = mpsc::channel(1);
        let admin = listener.serve(Arc::clone(&board), Exporter::new(Vec::new(), health, None), asks).unwrap();
        assert_eq!(get(address, "/healthz").0, 503);
        assert_eq!(get(address, "/readyz").0, 503);

        let loops = thread::spawn(move || {
            let ask: Ask = asked.blocking_recv().unwrap();
            let stats = conclave_relay_core::Stats { rooms: 7, rooms_hub: 7, ..Default::default() };
            let network = conclave_quic::Counters::default();
            ask.send(Snapshot { stats, network, transports: Vec::new(), draining: false, ready: true }).unwrap();
            // From here on it hangs: it keeps its end and answers nobody.
            asked
        });
        let (status, first) = get(address, "/metrics");
        assert!(status == 200 && first.contains("conclave_relay_rooms{role=\"hub\"} 7"), "{first}");
        let hangs = loops.join().unwrap();
        let (status, again) = get(address, "/metrics");
        assert!(status == 200 && again.contains("conclave_relay_rooms{role=\"hub\"} 7"), "{again}");
        drop(hangs);
        admin.close();
    }

    #[test]
    fn only_reading_is_understood() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        let health = Arc::new(Health::default());
        let (asks, _asked) = mpsc::channel(1);
        let admin =
            listener.serve(Arc::new(Board::new(Arc::clone(&health))), Exporter::new(Vec::new(), health, None), asks).unwrap();
        assert_eq!(ask(address, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").0, 405);
        assert_eq!(get(address, "/elsewhere").0, 404);
        let long = format!("/{}", "x".repeat(2 * MAX_HEAD));
        assert!(matches!(get(address, &long).0, 414 | 431), "a head without end");
        admin.close();
    }

    fn get(address: SocketAddr, path: &str) -> (u16, String) {
        ask(address, &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"))
    }

    fn ask(address: SocketAddr, request: &str) -> (u16, String) {
        use std::io::{Read, Write};
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        let _ = connection.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }
}

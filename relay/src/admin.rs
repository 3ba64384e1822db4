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
            io::ErrorKind::AddrInUse => format!(
                "metrics.listen {address}: the port is in use by another process: stop that one, or choose another port"
            ),
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

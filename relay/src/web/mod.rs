//! What a relay is to browsers, and to those whose network lets no UDP through: one TCP port beside the UDP one.
//!
//! ```text
//!   listener: a connection --> TLS or not --> HTTP --> pages --> site: files, in memory
//!                                                        |
//!                                                        +--> document: who we are, signed
//!                                                        |
//!                                                        +--> sockets --> the loop (Driver::adopt)
//!   certificates: shown to WebTransport and here; the clock turns them
//! ```
//!
//! It has a thread and a runtime of its own: a page is delivered while the loop is busy with calls, and a thousand
//! browsers that load it do not make a call stutter. Bytes of sessions pass through it unread, on their way to the loop.

pub mod counts;

mod certificates;
mod document;
mod listener;
mod pages;
mod site;
mod sockets;

use std::{
    fs::File,
    io::{self, Read},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use conclave_federation::{proof::SigningKey, record::RelayDescriptor};
use conclave_quic::{WebIdentity, tcp::Pipe};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_rustls::TlsAcceptor;

use self::{
    certificates::{Certificates, Turn},
    counts::Counts,
    document::Document,
    listener::{Patience, Serving},
    pages::Pages,
    site::Site,
    sockets::Sockets,
};
use crate::{
    admin::Board,
    config::{Loaded, settings},
    failure::Failure,
};

/// WebSockets that wait for the loop to take them in.
pub(crate) const WAITING: usize = 64;
/// How often the clock and the files of the certificate are looked at.
const TURN: Duration = Duration::from_secs(60);
/// Chains and keys in PEM are far smaller.
const MAX_PEM: u64 = 256 * 1024;

/// What the configuration names, read and found to be in order before anything else is touched.
#[derive(Debug)]
pub struct Files {
    site: Site,
    pem: Option<Pem>,
}

/// A public authority's certificate, and the state of its files when it was read.
#[derive(Debug)]
struct Pem {
    chain: PathBuf,
    key: PathBuf,
    seen: [Option<SystemTime>; 2],
    identity: WebIdentity,
}

/// Reads the page and the certificate that the configuration names; `None` when the web side is switched off.
///
/// # Errors
/// With the line of the setting when a file is missing, too large, or not what it has to be.
pub fn read(loaded: &Loaded) -> Result<Option<Files>, Failure> {
    let web = &loaded.settings.web;
    if !web.enabled {
        return Ok(None);
    }
    let site = if web.root.as_os_str().is_empty() {
        Site::default()
    } else {
        Site::load(&web.root, web.max_page).map_err(|unfit| loaded.complain("web.root", &unfit.to_string()))?
    };
    let pem = if web.certificate.as_os_str().is_empty() { None } else { Some(Pem::read(loaded, web)?) };
    Ok(Some(Files { site, pem }))
}

impl Pem {
    fn read(loaded: &Loaded, web: &settings::Web) -> Result<Self, Failure> {
        let text = |key: &str, path: &Path| {
            read_pem(path).map_err(|error| loaded.complain(key, &format!("{}: cannot be read: {error}", path.display())))
        };
        let seen = times(&web.certificate, &web.key);
        let (chain, key) = (text("web.certificate", &web.certificate)?, text("web.key", &web.key)?);
        let identity = WebIdentity::from_pem(&chain, &key).map_err(|wrong| {
            let (setting, path) = match wrong {
                conclave_quic::CertificateError::NoKey | conclave_quic::CertificateError::Mismatch => ("web.key", &web.key),
                _ => ("web.certificate", &web.certificate),
            };
            loaded.complain(setting, &format!("{}: {wrong}", path.display()))
        })?;
        Ok(Self { chain: web.certificate.clone(), key: web.key.clone(), seen, identity })
    }

    /// Takes renewed files; what is wrong with them is said once, and the former ones go on.
    fn turn(&mut self) {
        let now = times(&self.chain, &self.key);
        if now == self.seen {
            return;
        }
        self.seen = now;
        let renewed = read_pem(&self.chain).and_then(|chain| Ok((chain, read_pem(&self.key)?)));
        match renewed.map(|(chain, key)| self.identity.replace_pem(&chain, &key)) {
            Ok(Ok(())) => tracing::info!("web.certificate was renewed"),
            Ok(Err(wrong)) => tracing::warn!(%wrong, "the new web.certificate is not used: mend its files"),
            Err(error) => tracing::warn!(kind = %error.kind(), "the new web.certificate cannot be read: mend its files"),
        }
    }
}

fn read_pem(path: &Path) -> io::Result<zeroize::Zeroizing<Vec<u8>>> {
    let mut text = zeroize::Zeroizing::new(Vec::new());
    File::open(path)?.take(MAX_PEM).read_to_end(&mut text)?;
    Ok(text)
}

fn times(chain: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [chain, key].map(|path| path.metadata().and_then(|about| about.modified()).ok())
}

/// Everything but the port: who we are to browsers is settled before they can ask.
#[derive(Debug)]
pub struct Prepared {
    files: Files,
    certificates: Certificates,
    shown: WebIdentity,
}

impl Files {
    /// Finds or makes the certificates that browsers compare by their hash. The data folder has to be ours by now.
    ///
    /// # Errors
    /// When the clock is so wrong that no certificate can be made.
    pub fn prepare(self, data: &Path) -> Result<Prepared, Failure> {
        let clock =
            |wrong| Failure::Runtime(format!("the certificate for browsers cannot be made: {wrong}: set the machine's clock"));
        let certificates = Certificates::open(data, unix_ms()).map_err(clock)?;
        let shown = WebIdentity::short_lived(certificates.current()).map_err(clock)?;
        Ok(Prepared { files: self, certificates, shown })
    }
}

impl Prepared {
    /// What WebTransport shows.
    #[must_use]
    pub fn identity(&self) -> WebIdentity {
        self.shown.clone()
    }
}

/// Takes the TCP address.
///
/// # Errors
/// When it is in use, or not of this machine.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What the web side is given of the rest.
#[derive(Debug)]
pub struct Given<'a> {
    /// Proved to those who speak `conclave/1`, and signs the document.
    pub key: SigningKey,
    /// Who we are.
    pub descriptor: RelayDescriptor,
    /// Bounds and times.
    pub settings: &'a settings::Web,
    /// Sessions over WebSocket at once.
    pub sessions: usize,
    /// Whether the relay stops.
    pub board: Arc<Board>,
    /// Takes in WebSockets.
    pub waiting: mpsc::Sender<Pipe>,
    /// Where it counts.
    pub counts: Arc<Counts>,
}

impl Prepared {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn serve(self, socket: TcpListener, given: Given<'_>) -> Result<Web, Failure> {
        let refused = |error: io::Error| Failure::Runtime(format!("the system gives no thread for the web side: {error}"));
        let Self { files, certificates, shown } = self;
        let Given { key, descriptor, settings, sessions, board, waiting, counts } = given;
        let https = files.pem.as_ref().map_or(&shown, |pem| &pem.identity);
        let tls = conclave_quic::tcp_server_tls(&key, Some(https))
            .map_err(|error| Failure::Config(format!("the relay's key: {error}")))?;
        counts.on_certificate(certificates.current().not_after());
        let pages = Arc::new(Pages {
            site: files.site,
            document: Mutex::new(Document::new(key, descriptor, certificates.hashes())),
            sockets: Sockets { waiting, places: Arc::new(Semaphore::new(sessions.min(Semaphore::MAX_PERMITS))), board },
            counts: Arc::clone(&counts),
        });
        let serving = Serving {
            pages: Arc::clone(&pages),
            tls: TlsAcceptor::from(tls),
            counts,
            places: usize::try_from(settings.connections).unwrap_or(usize::MAX),
            patience: Patience { header: settings.header_timeout.0, connection: settings.connection_time.0 },
        };
        let clock = Clock { certificates, shown, pem: files.pem, pages };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serving.accept(socket) => {}
                        () = clock.run() => {}
                        _ = stopped => {}
                    }
                });
            })
            .map_err(refused)?;
        Ok(Web { stop, thread })
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Web {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Web {
    /// Ends it, and all connections that it still has.
    pub fn close(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the web side's thread had ended by a bug");
        }
    }
}

/// Turns the certificates.
struct Clock {
    certificates: Certificates,
    shown: WebIdentity,
    pem: Option<Pem>,
    pages: Arc<Pages>,
}

impl Clock {
    async fn run(mut self) {
        loop {
            tokio::time::sleep(TURN).await;
            self.turn(unix_ms());
        }
    }

    fn turn(&mut self, unix_ms: u64) {
        if let Some(pem) = &mut self.pem {
            pem.turn();
        }
        match self.certificates.turn(unix_ms) {
            Ok(Turn::Nothing) => {}
            Ok(turn) => self.on_turn(turn),
            Err(wrong) => tracing::error!(%wrong, "the certificate for browsers cannot be renewed: set the machine's clock"),
        }
    }

    fn on_turn(&self, turn: Turn) {
        // Told before it is shown.
        let hashes = self.certificates.hashes();
        self.pages.document.lock().unwrap_or_else(PoisonError::into_inner).publish(hashes);
        if turn == Turn::Switched {
            let current = self.certificates.current();
            match self.shown.replace(current) {
                Ok(()) => self.pages.counts.on_certificate(current.not_after()),
                Err(wrong) => tracing::error!(%wrong, "the next certificate for browsers cannot be shown"),
            }
        }
        tracing::info!(switched = turn == Turn::Switched, "another certificate for browsers");
    }
}

/// Counts a connection as long as somebody has it.
#[derive(Debug)]
pub(crate) struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> Arc<Self> {
        counts.on_open();
        Arc::new(Self(Arc::clone(counts)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.on_close();
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

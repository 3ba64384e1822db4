//! The relay's end of the socket: reads a line, lets the loop do it, says what came of it.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use conclave_relay_core::{
    Order,
    order::{Obeyed, OrderError},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{MAX_LINE, Told, Wanted, socket};
use crate::failure::Failure;

/// Connections at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 8;

/// A connection that says nothing for this long is closed, and so is one that does not read.
const PATIENCE: Duration = Duration::from_secs(30);

/// Orders that wait for the loop.
pub(crate) const WAITING: usize = 8;

/// An order on its way to the loop, and where its outcome goes.
pub(crate) type Given = (Order, oneshot::Sender<Result<Obeyed, OrderError>>);

/// The socket, before anybody is served.
#[derive(Debug)]
pub(crate) struct Desk {
    socket: net::UnixListener,
    path: PathBuf,
    owner: u32,
}

/// Takes the socket in a data folder that is ours: what lies there was left by a process that was killed.
pub(crate) fn bind(data_dir: &Path) -> Result<Desk, Failure> {
    let path = socket(data_dir);
    let unusable = |error: io::Error| {
        Failure::Unavailable(format!(
            "{}: the socket for orders cannot be made: {error}: make the data folder writable, and its path shorter than 90 bytes",
            path.display()
        ))
    };
    match fs::symlink_metadata(&path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(&path).map_err(unusable)?,
        Ok(_) => {
            return Err(Failure::Unavailable(format!(
                "{}: this file stands where the socket for orders has to be: move it away",
                path.display()
            )));
        }
        Err(_) => {}
    }
    let made = net::UnixListener::bind(&path).and_then(|socket| {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        socket.set_nonblocking(true)?;
        Ok((socket, fs::metadata(&path)?.uid()))
    });
    let (socket, owner) = made.map_err(unusable)?;
    Ok(Desk { socket, path: path.clone(), owner })
}

impl Desk {
    /// Serves for ever; the socket's file goes with this future.
    pub(crate) async fn serve(self, orders: mpsc::Sender<Given>) {
        let Self { socket, path, owner } = self;
        let _file = File(path);
        let Ok(socket) = UnixListener::from_std(socket) else { return };
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((connection, _)) = socket.accept().await else {
                // Out of file descriptors, most likely: not a reason to spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let orders = orders.clone();
            tokio::spawn(async move {
                // Its own doing: whoever goes in the middle of an order has left.
                let _ = attend(connection, owner, &orders).await;
                drop(place);
            });
        }
    }
}

/// Removed with the last who serves at it.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

async fn attend(connection: UnixStream, owner: u32, orders: &mpsc::Sender<Given>) -> io::Result<()> {
    // The file's mode says the same; this holds in the moment before it was set, too.
    let user = connection.peer_cred()?.uid();
    let (reading, mut writing) = connection.into_split();
    if user != owner && user != 0 {
        return say(&mut writing, &[Told::error("only the user that runs the relay may give it orders: use that one")]).await;
    }
    let mut reading = BufReader::new(reading);
    loop {
        let mut line = Vec::new();
        let longest = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
        let mut bounded = (&mut reading).take(longest);
        let read = timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
        if read == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && read == MAX_LINE {
            let words = format!("an order has at most {MAX_LINE} bytes: shorten it");
            return say(&mut writing, &[Told::error(words)]).await;
        }
        let told = obey(&line, orders).await;
        say(&mut writing, &told).await?;
    }
}

async fn obey(line: &[u8], orders: &mpsc::Sender<Given>) -> Vec<Told> {
    let wanted: Wanted = match serde_json::from_slice(line) {
        Ok(wanted) => wanted,
        Err(error) => return vec![Told::error(format!("this is no order: {error}: send one JSON object a line"))],
    };
    let order = match wanted.order() {
        Ok(order) => order,
        Err(error) => return vec![Told::error(error)],
    };
    let (answer, outcome) = oneshot::channel();
    let stops = || vec![Told::error("the relay stops: start it again first")];
    if orders.send((order, answer)).await.is_err() {
        return stops();
    }
    outcome.await.map_or_else(|_| stops(), Told::of)
}

async fn say(writing: &mut (impl AsyncWriteExt + Unpin), told: &[Told]) -> io::Result<()> {
    let lines: String = told.iter().map(Told::line).collect();
    timeout(PATIENCE, writing.write_all(lines.as_bytes())).await?
}

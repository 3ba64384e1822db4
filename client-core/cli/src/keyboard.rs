//! Lines of standard input, as chat.

use std::{
    io::{self, BufRead, IsTerminal},
    thread,
};

use tokio::sync::mpsc;

/// Lines that wait to be said; a pipe that is faster waits.
const WAITING: usize = 16;

/// The lines, without their ends and without empty ones. Nothing comes when standard input is no terminal, unless `always`.
///
/// On a thread of its own, which blocks until the process ends: a read from a terminal cannot be called off.
pub(crate) fn lines(always: bool) -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel(WAITING);
    if always || io::stdin().is_terminal() {
        let read = move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                let line = line.trim();
                if !line.is_empty() && said.blocking_send(line.to_owned()).is_err() {
                    return;
                }
            }
        };
        // Without a thread there is no chat from the keyboard, and a call all the same.
        if let Err(error) = thread::Builder::new().name("keyboard".to_owned()).spawn(read) {
            tracing::warn!(%error, "standard input is not read");
        }
    }
    heard
}

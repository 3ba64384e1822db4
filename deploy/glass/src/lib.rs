//! The window of the leak check. Not shipped, and nothing shipped depends on it.
//!
//! ```text
//!   glass-relay        = conclave-relay's library, observed    --> every byte that an operator's relay received and sent
//!   glass-participant  = conclave-cli's library, audited       --> every secret of the room that this participant held
//!                                    cargo xtask demo searches the one for the other
//! ```
//!
//! Both programs are the shipped libraries under another main: what they do on the wire is what the shipped programs do, which
//! `tests/same.rs` compares. What to write comes from [`PLACE`] in the environment, so that all arguments are the program's own.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use conclave_federation::io::SessionKey;
use conclave_quic::Observer;

/// Names what the program writes: a folder for the relay, a file for the participant.
pub const PLACE: &str = "CONCLAVE_GLASS";

/// Where this process writes.
///
/// # Errors
/// A sentence for whoever started it.
pub fn place() -> Result<PathBuf, String> {
    std::env::var_os(PLACE).map(PathBuf::from).ok_or_else(|| format!("set {PLACE} to what is to be written"))
}

/// Opens a file to append to.
///
/// # Errors
/// A sentence for whoever started the process.
pub fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|error| format!("{}: cannot be written: {error}; name a folder that is there", path.display()))
}

/// Writes down every byte of every session, after decryption and before encryption of the hop: a file for each session and
/// direction. Streams of a session lie between each other as they were read, in pieces far longer than what is searched for.
///
/// Failing to write ends the process, because a check that silently saw nothing is worse than none.
pub struct Recorder {
    folder: PathBuf,
    files: BTreeMap<(SessionKey, &'static str), File>,
}

impl Recorder {
    /// Into this folder.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, files: BTreeMap::new() }
    }

    fn keep(&mut self, session: SessionKey, direction: &'static str, bytes: &[u8]) {
        let file = match self.files.entry((session, direction)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => open(&self.folder.join(format!("{}-{direction}", session.0))).map(|file| entry.insert(file)),
        };
        if let Err(words) = file.and_then(|file| file.write_all(bytes).map_err(|error| error.to_string())) {
            eprintln!("glass: what was seen cannot be written: {words}");
            std::process::exit(74);
        }
    }
}

impl Observer for Recorder {
    fn received(&mut self, session: SessionKey, bytes: &[u8]) {
        self.keep(session, "in", bytes);
    }

    fn sent(&mut self, session: SessionKey, bytes: &[u8]) {
        self.keep(session, "out", bytes);
    }
}

/// One secret a line: its name, a space, and hexadecimal digits.
#[must_use]
pub fn secrets(named: &[(String, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, secret) in named {
        text.push_str(&name.replace([' ', '\n'], "-"));
        text.push(' ');
        text.extend(secret.iter().map(|byte| format!("{byte:02x}")));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_whatever_its_name() {
        assert_eq!(secrets(&[("link secret".to_owned(), vec![0, 255])]), "link-secret 00ff\n");
    }
}

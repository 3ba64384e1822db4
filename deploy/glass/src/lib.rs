//! The window of the leak check. Not shipped, and nothing shipped depends on it.
//!
//! ```text
//!   glass-relay        = conclave-relay's library, observed    --> every byte that an operator's relay received and sent
//!   glass-participant  = conclave-cli's library, audited       --> every secret of the room that this participant held
//!                                    cargo xtask demo searches the one for the other
//! ```
//!
//! Both programs are the shipped libraries under another main: what they do on the wire is what the shipped programs do, which
//! `tests/same.rs` compares. The file to write comes from [`FILE`] in the environment, so that all arguments are the
//! program's own.
#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
};

use conclave_federation::io::SessionKey;
use conclave_quic::Observer;

/// Names the file that the program writes.
pub const FILE: &str = "CONCLAVE_GLASS_FILE";

/// The file of this process.
///
/// # Errors
/// A sentence for whoever started it.
pub fn file() -> Result<File, String> {
    let path: PathBuf = std::env::var_os(FILE).ok_or_else(|| format!("set {FILE} to the file that is to be written"))?.into();
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| format!("{}: cannot be written: {error}; name a file in a folder that is there", path.display()))
}

/// Writes down every byte of every session, after decryption and before encryption of the hop.
///
/// Streams of a session lie between each other as they came: what is searched for is far shorter than one read. Failing to write
/// ends the process, because a check that silently saw nothing is worse than none.
pub struct Recorder(File);

impl Recorder {
    /// Into this file.
    #[must_use]
    pub const fn new(file: File) -> Self {
        Self(file)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Err(error) = self.0.write_all(bytes) {
            eprintln!("glass: what was seen cannot be written: {error}");
            std::process::exit(74);
        }
    }
}

impl Observer for Recorder {
    fn received(&mut self, _: SessionKey, bytes: &[u8]) {
        self.keep(bytes);
    }

    fn sent(&mut self, _: SessionKey, bytes: &[u8]) {
        self.keep(bytes);
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

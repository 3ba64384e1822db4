//! Which compiler a standard library has to fit: it only fits the very one that compiled it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::TARGET;
use crate::shell;

/// A rustc, and what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Compiler {
    /// The program; a name without a folder is looked up as usual.
    pub(crate) rustc: PathBuf,
    /// Where its own libraries lie, where the system would not find them.
    pub(crate) libraries: Option<PathBuf>,
    /// For instance `1.95.0`.
    pub(crate) release: String,
    commit: String,
    host: String,
}

impl Compiler {
    /// The one that cargo uses in this workspace.
    pub(crate) fn of_this_workspace() -> Result<Self> {
        Self::ask(env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from), None)
    }

    /// One that lies somewhere else.
    pub(crate) fn ask(rustc: PathBuf, libraries: Option<PathBuf>) -> Result<Self> {
        let unknown = Self { rustc, libraries, release: String::new(), commit: String::new(), host: String::new() };
        let words = shell::output(unknown.command().arg("-vV"))?;
        let word = |name: &str| {
            words
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .with_context(|| format!("rustc -vV does not say its {name}"))
        };
        Ok(Self { release: word("release")?, commit: word("commit-hash")?, host: word("host")?, ..unknown })
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.rustc);
        command.current_dir(shell::root());
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// A folder name that no other compiler has.
    pub(crate) fn key(&self) -> String {
        let commit = self.commit.get(..12).unwrap_or(&self.commit);
        format!("{}-{commit}-{}", self.release, self.host)
    }

    /// Whether it finds a standard library for the browser's target by itself.
    pub(crate) fn has_target(&self) -> bool {
        shell::output(self.command().args(["--print", "target-libdir", "--target", TARGET]))
            .is_ok_and(|folder| super::std_build::is_complete(folder.as_ref()))
    }
}

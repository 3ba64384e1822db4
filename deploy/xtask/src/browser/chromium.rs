//! Finds a Chromium, and lets the system's package manager install one where there is none.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{packages, shell};

/// The variable that names a browser by hand.
const BY_HAND: &str = "CONCLAVE_CHROMIUM";

/// What the program is called: at Debian, elsewhere, and as its maker ships it.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser and, because it draws letters as boxes without one, a font.
const PACKAGES: &[&str] = &["chromium", "fonts-dejavu-core"];

/// A Chromium that can be started.
#[derive(Debug)]
pub(crate) struct Chromium {
    pub(crate) path: PathBuf,
    /// As it says itself.
    pub(crate) version: String,
}

/// The browser of this machine, installed when there is none; or a sentence that says what to do.
pub(crate) fn chromium() -> Result<Chromium> {
    let path = match named()? {
        Some(path) => path,
        None => match found(env::var_os("PATH").unwrap_or_default().as_os_str()) {
            Some(path) => path,
            None => {
                packages::install("Chromium", PACKAGES, &format!("install Chromium, or name one with {BY_HAND}"))?;
                found(env::var_os("PATH").unwrap_or_default().as_os_str())
                    .context("Chromium was installed, and is still not found by its name")?
            }
        },
    };
    let version = shell::output(Command::new(&path).arg("--version"))
        .with_context(|| format!("{} does not start: {BY_HAND} can name another one", path.display()))?;
    Ok(Chromium { path, version: version.lines().next().unwrap_or_default().trim().to_owned() })
}

/// The one that a person chose.
fn named() -> Result<Option<PathBuf>> {
    let Some(path) = env::var_os(BY_HAND).filter(|path| !path.is_empty()).map(PathBuf::from) else { return Ok(None) };
    if !path.is_file() {
        bail!("{BY_HAND} names {}, and there is no such file", path.display());
    }
    Ok(Some(path))
}

/// The first of the names in the first folder that has one.
fn found(path: &std::ffi::OsStr) -> Option<PathBuf> {
    env::split_paths(path).flat_map(|folder| NAMES.iter().map(move |name| folder.join(name))).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_has_one_wins_whatever_it_is_called() {
        let folder = std::env::temp_dir().join(format!("conclave-chromium-{}", std::process::id()));
        for name in ["empty", "first", "second"] {
            std::fs::create_dir_all(folder.join(name)).expect("temporary folders can be made");
        }
        std::fs::write(folder.join("first/google-chrome"), "").expect("and files in them");
        std::fs::write(folder.join("second/chromium"), "").expect("and files in them");
        let path = std::env::join_paths(["empty", "first", "second"].map(|name| folder.join(name))).expect("plain names");
        assert_eq!(found(&path), Some(folder.join("first/google-chrome")));
        assert_eq!(found(std::ffi::OsStr::new("")), None);
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}

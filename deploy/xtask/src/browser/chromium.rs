//! Finds a Chromium, and lets the system's package manager install one where there is none.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::shell;

/// The variable that names a browser by hand.
const BY_HAND: &str = "CONCLAVE_CHROMIUM";

/// What the program is called: at Debian, elsewhere, and as its maker ships it.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser and, because it draws letters as boxes without one, a font.
const PACKAGES: &[&str] = &["chromium", "fonts-dejavu-core"];

/// How long apt may say nothing.
const SILENCE: Duration = Duration::from_secs(180);

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
                install()?;
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

fn install() -> Result<()> {
    let by_hand = format!("install Chromium, or name one with {BY_HAND}");
    if !shell::answers(Command::new("apt-get").arg("--version")) {
        bail!("there is no Chromium here, and no apt-get to install it: {by_hand}");
    }
    let Some(first) = prefix() else {
        bail!("there is no Chromium here, and installing it needs root, or sudo without a password: {by_hand}");
    };
    let apt = |arguments: &[&str]| {
        let mut words = first.iter().copied().chain(["apt-get", "--quiet"]).chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap_or("apt-get"));
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command
    };
    shell::quiet("there is no Chromium: fetching the package lists", SILENCE, &mut apt(&["update"]))?;
    let mut install = apt(&["--yes", "--no-install-recommends", "install"]);
    install.args(PACKAGES);
    shell::quiet("installing Chromium and a font (100 MB)", SILENCE, &mut install).context(by_hand)?;
    Ok(())
}

/// What comes before a command that root has to run; `None` when this user may not.
fn prefix() -> Option<&'static [&'static str]> {
    if shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0") {
        Some(&[])
    } else if shell::answers(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND,LC_ALL"])
    } else {
        None
    }
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

//! Programs that are missing, from the system's own package manager.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::shell;

/// How long apt may say nothing: a large package on a slow mirror.
const SILENCE: Duration = Duration::from_secs(300);

/// Installs packages of Debian's names. `what` is missing, and `by_hand` says what a person does where this does not work.
pub(crate) fn install(what: &str, packages: &[&str], by_hand: &str) -> Result<()> {
    if !shell::answers(Command::new("apt-get").arg("--version")) {
        bail!("there is no {what} here, and no apt-get to install it: {by_hand}");
    }
    let Some(first) = as_root() else {
        bail!("there is no {what} here, and installing it needs root, or sudo without a password: {by_hand}");
    };
    let apt = |arguments: &[&str]| {
        let mut words = first.iter().copied().chain(["apt-get", "--quiet"]).chain(arguments.iter().copied());
        let mut command = Command::new(words.next().unwrap_or("apt-get"));
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command
    };
    let update = shell::quiet("asking the package mirror what it has", SILENCE, &mut apt(&["update"]));
    let mut install = apt(&["--yes", "--no-install-recommends", "install"]);
    let installed = shell::quiet(&format!("installing {}", packages.join(", ")), SILENCE, install.args(packages));
    // Old lists are no harm where they suffice.
    match (installed, update) {
        (Ok(_), _) => Ok(()),
        (Err(error), Ok(_)) | (Err(_), Err(error)) => Err(error.context(format!("there is no {what} here: {by_hand}"))),
    }
}

/// What comes before a command that root has to run, without asking for a password; `None` when this user may not.
fn as_root() -> Option<&'static [&'static str]> {
    if shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0") {
        Some(&[])
    } else if shell::answers(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND,LC_ALL"])
    } else {
        None
    }
}

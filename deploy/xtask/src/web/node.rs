//! Node and npm, and the packages that the TypeScript is compiled and tested with.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{Places, sources};
use crate::{packages as system, shell};

/// How long npm may say nothing.
const SILENCE: Duration = Duration::from_secs(300);

/// The oldest that the packages run on.
const OLDEST: u32 = 18;

/// Written when everything is installed: of which lock file, by which node.
const STAMP: &str = ".installed-of";

/// Installs the packages of the lock file, and node itself where it is missing; quick when they are there.
pub(crate) fn packages() -> Result<()> {
    let node = node()?;
    let web = sources();
    let lock = fs::read(web.join("package-lock.json")).context("cannot read client-core/web/package-lock.json")?;
    let expected = format!("{node} {:x}\n", Sha256::digest(&lock));
    let modules = web.join("node_modules");
    let stamp = modules.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|there| there == expected) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&web).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    shell::quiet("installing the packages of the lock file with npm", SILENCE, &mut npm)?;
    fs::write(&stamp, expected).with_context(|| format!("cannot write {}", stamp.display()))
}

/// What node says of itself, for instance `v20.1.0`.
fn node() -> Result<String> {
    if !is_there() {
        system::install("node or npm", &["nodejs", "npm"], "install Node.js 18 or newer, with npm, and run this again")?;
        ensure!(is_there(), "node and npm were installed and are still not found: open a new terminal, or check the PATH");
    }
    let version = shell::output(Command::new("node").arg("--version"))?;
    ensure!(
        major(&version).is_some_and(|major| major >= OLDEST),
        "node is {version}, and {OLDEST} or newer is needed: install a newer one"
    );
    Ok(version)
}

fn is_there() -> bool {
    ["node", "npm"].iter().all(|tool| shell::answers(Command::new(tool).arg("--version")))
}

/// `20` of `v20.1.0`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The compiler of the TypeScript.
pub(super) fn compiler(web: &Path) -> Command {
    let mut tsc = Command::new("node");
    tsc.arg(web.join("node_modules").join("typescript").join("bin").join("tsc"));
    tsc
}

/// Loads the module as it will be served, and tries what it promises: a moment, and no browser.
pub(super) fn check(places: &Places) -> Result<()> {
    let mut node = Command::new("node");
    node.arg(places.web.join("tests").join("core.mjs")).arg(&places.folder);
    shell::quiet("trying the module in node", SILENCE, &mut node)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major("vnext"), None);
    }

    #[test]
    fn the_lock_file_says_nothing_of_where_packages_come_from() {
        let lock = fs::read_to_string(sources().join("package-lock.json")).expect("the lock file is there");
        let lock: serde_json::Value = serde_json::from_str(&lock).expect("the lock file is well formed");
        let packages = lock.get("packages").and_then(serde_json::Value::as_object).expect("it lists packages");
        assert!(packages.values().all(|package| package.get("resolved").is_none()));
        assert!(packages.iter().all(|(name, package)| name.is_empty() || package.get("integrity").is_some()));
    }
}

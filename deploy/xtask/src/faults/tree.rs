//! A copy of the tree, in which a fault stands as long as it is looked at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::list::Fault;
use crate::shell;

pub(super) struct Tree {
    folder: PathBuf,
    build: PathBuf,
}

/// A fault in its place; taken out when dropped.
pub(super) struct Planted {
    file: PathBuf,
    text: String,
}

impl Tree {
    /// Copies what git knows of, changed files as they are. What was built in the copy before stays.
    pub(super) fn copy() -> Result<Self> {
        let root = shell::root();
        let base = root.join("target/faults");
        let (folder, build) = (base.join("tree"), base.join("build"));
        if folder.exists() {
            fs::remove_dir_all(&folder).context("cannot clear the copy of an earlier run")?;
        }
        let names = shell::output(
            Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(&root),
        )?;
        for name in names.lines() {
            let (from, to) = (root.join(name), folder.join(name));
            if !from.is_file() {
                continue;
            }
            copy(&from, &to).with_context(|| format!("cannot copy {name}"))?;
        }
        Ok(Self { folder, build })
    }

    /// Cargo in the copy.
    pub(super) fn cargo(&self) -> Command {
        let mut cargo = shell::cargo();
        cargo.current_dir(&self.folder).env("CARGO_TARGET_DIR", &self.build);
        cargo
    }

    /// Puts a fault into its place.
    pub(super) fn plant(&self, fault: &Fault) -> Result<Planted> {
        let file = self.folder.join(&fault.file);
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", fault.file))?;
        fs::write(&file, text.replacen(&fault.find, &fault.plant, 1)).with_context(|| format!("cannot change {}", fault.file))?;
        Ok(Planted { file, text })
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.file, &self.text) {
            eprintln!("warning: a fault could not be taken out of the copy: {error}");
        }
    }
}

/// With its time: what did not change since the last run is not built again.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to)?;
    let time = fs::metadata(from)?.modified()?;
    fs::File::options().write(true).open(to)?.set_modified(time)?;
    Ok(())
}

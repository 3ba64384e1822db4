//! A copy of the tree, in which a fault stands as long as it is looked at.

use std::collections::BTreeSet;
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
    /// Copies what git knows of, changed files as they are. What is the same already is left alone, with its time, so that
    /// cargo builds again what changed since the last run and nothing else.
    pub(super) fn copy() -> Result<Self> {
        let root = shell::root();
        let base = root.join("target/faults");
        let (folder, build) = (base.join("tree"), base.join("build"));
        let names = shell::output(
            Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(&root),
        )?;
        let names: BTreeSet<&str> = names.lines().filter(|name| root.join(name).is_file()).collect();
        for name in &names {
            copy(&root.join(name), &folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
        }
        for old in files(&folder)? {
            let gone = old.strip_prefix(&folder).ok().and_then(Path::to_str).is_none_or(|name| !names.contains(name));
            if gone {
                fs::remove_file(&old).with_context(|| format!("cannot remove {}", old.display()))?;
            }
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

fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)?;
    Ok(())
}

/// All files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

//! Where a call happens: relays' folders, recordings and logs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A new folder; removed at the end unless it is to be kept.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    keep: bool,
}

impl Folder {
    /// The folder that a person named, which must not exist, or one of our own among the temporary files.
    pub(crate) fn new(purpose: &str, keep: Option<&Path>) -> Result<Self> {
        let path = match keep {
            Some(path) if path.exists() => bail!("{} exists already: name a folder that does not", path.display()),
            Some(path) => std::path::absolute(path).context("the folder's name cannot be used")?,
            None => std::env::temp_dir().join(format!("conclave-{purpose}-{}", std::process::id())),
        };
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self { path, keep: keep.is_some() })
    }

    /// Leaves it where it is, and says where.
    pub(crate) fn keep(&mut self) -> &Path {
        self.keep = true;
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

//! The user's cache folder: what was fetched and built once serves every checkout.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::compiler::Compiler;

/// The cache, held by one process at a time.
pub(crate) struct Cache {
    folder: PathBuf,
    /// Closing it gives the cache back, also when this process dies.
    _lock: File,
}

impl Cache {
    /// Waits for another `cargo xtask` that is filling it.
    pub(crate) fn open() -> Result<Self> {
        let folder = user_cache()?.join("conclave").join("wasm");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self { folder, _lock: lock })
    }

    /// A sysroot that holds nothing but the standard library for the browser's target.
    pub(crate) fn sysroot(&self, compiler: &Compiler) -> PathBuf {
        self.folder.join(compiler.key())
    }

    /// The system's compiler, used in place of `compiler` where no standard library can be had for that.
    pub(crate) fn stand_in(&self, compiler: &Compiler) -> PathBuf {
        self.folder.join(format!("in-place-of-{}", compiler.key()))
    }

    /// An empty folder to work in; what an interrupted run left there is removed first.
    pub(crate) fn workshop(&self) -> Result<Workshop> {
        let folder = self.folder.join("work");
        remove(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Workshop(folder))
    }
}

/// A folder that is gone when this is dropped.
pub(crate) struct Workshop(PathBuf);

impl Workshop {
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Moves a finished folder to its place in one step, so that half a one is never found there.
    pub(crate) fn deliver(&self, finished: &Path, place: &Path) -> Result<()> {
        remove(place)?;
        fs::rename(finished, place).with_context(|| format!("cannot move what was made to {}", place.display()))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("  {error:#}: remove it by hand");
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn user_cache() -> Result<PathBuf> {
    let of = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if cfg!(windows) {
        return of("LOCALAPPDATA").context("LOCALAPPDATA is not set: there is no cache folder");
    }
    if let Some(folder) = of("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()) {
        return Ok(folder);
    }
    let home = env::home_dir().context("HOME is not set: there is no cache folder")?;
    Ok(home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }))
}

//! The TypeScript: checked strictly, and turned into plain modules one by one. No bundler, and nothing of anybody else.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Places, make, node};
use crate::shell;

/// How long the compiler may say nothing: it says nothing at all when it is content.
const SILENCE: Duration = Duration::from_secs(180);

/// Where the modules lie, in the layout of the sources.
pub(super) fn folder(places: &Places) -> PathBuf {
    places.work.join("script")
}

/// Compiles all of it; what was there before is gone, so that no file outlives its source.
pub(super) fn compile(places: &Places) -> Result<()> {
    let out = folder(places);
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
    }
    make(&out)?;
    let mut tsc = node::compiler(&places.web);
    tsc.current_dir(&places.web).args(["--project", ".", "--noEmitOnError", "--outDir"]).arg(&out);
    shell::quiet("compiling the TypeScript", SILENCE, &mut tsc)?;
    Ok(())
}

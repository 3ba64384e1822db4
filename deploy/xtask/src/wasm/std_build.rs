//! Compiles the standard library for the browser's target from its sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::TARGET;
use super::compiler::Compiler;
use crate::shell;

/// How long the build may say nothing. Its largest crate takes under a minute on one slow core.
const SILENCE: Duration = Duration::from_secs(600);

/// The libraries without which nothing links.
const NEEDED: &[&str] = &["liballoc-", "libcompiler_builtins-", "libcore-", "libstd-"];

/// An empty crate: cargo builds a standard library only for somebody.
const MANIFEST: &str = r#"[package]
name = "nothing"
version = "0.0.0"
edition = "2024"

[lib]
path = "nothing.rs"

[profile.release]
panic = "abort"

[workspace]
"#;

/// Where the libraries lie below a sysroot.
pub(crate) fn libraries(sysroot: &Path) -> PathBuf {
    sysroot.join("lib").join("rustlib").join(TARGET).join("lib")
}

/// Whether a folder holds a standard library.
pub(crate) fn is_complete(libraries: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libraries) else { return false };
    let names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    NEEDED.iter().all(|start| names.iter().any(|name| name.starts_with(start) && name.ends_with(".rlib")))
}

/// Compiles the sources in `library` in the empty folder `work`, and puts the result below `sysroot`.
///
/// The switches are cargo's own for building a standard library. They are meant for nightly compilers and only
/// used here: what they make is then used by plain stable cargo.
pub(crate) fn compile(compiler: &Compiler, library: &Path, work: &Path, sysroot: &Path) -> Result<()> {
    fs::write(work.join("Cargo.toml"), MANIFEST).context("cannot write an empty crate")?;
    fs::write(work.join("nothing.rs"), "#![no_std]\n").context("cannot write an empty crate")?;
    let target = work.join("target");
    let mut cargo = shell::cargo();
    cargo
        .current_dir(work)
        .args(["build", "--release", "-Zbuild-std=std,panic_abort", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", library)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &compiler.rustc)
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    if let Some(libraries) = &compiler.libraries {
        cargo.env("LD_LIBRARY_PATH", libraries);
    }
    let what = format!("compiling the standard library {} for {TARGET} (once, about two minutes)", compiler.release);
    shell::quiet(&what, SILENCE, &mut cargo)?;

    let place = libraries(sysroot);
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let built = target.join(TARGET).join("release").join("deps");
    for entry in fs::read_dir(&built).with_context(|| format!("cannot list {}", built.display()))? {
        let path = entry.context("cannot list what was built")?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with("lib") && name.ends_with(".rlib") && !name.starts_with("libnothing-") {
            fs::copy(&path, place.join(name)).with_context(|| format!("cannot copy {name}"))?;
        }
    }
    ensure!(is_complete(&place), "the build of the standard library left no standard library");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_holds_no_standard_library() {
        assert!(!is_complete(Path::new("/nowhere/rustlib")));
        assert!(!is_complete(&shell::root().join("deploy")));
    }

    #[test]
    fn libraries_lie_where_a_compiler_looks() {
        let expected = Path::new("/s/lib/rustlib/wasm32-unknown-unknown/lib");
        assert_eq!(libraries(Path::new("/s")), expected);
    }
}

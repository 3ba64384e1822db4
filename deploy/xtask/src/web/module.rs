//! The core as a WebAssembly module, and the JavaScript and types that go with it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use super::{Build, Places, make, read, write};
use crate::progress::Task;
use crate::shell;
use crate::wasm::{TARGET, Toolchain};

/// The crate, and what cargo calls its module.
const CRATE: &str = "conclave-web";
const NAME: &str = "conclave_web";

/// The two crates that have to be of one version: one writes into the module what the other reads out of it.
const PAIR: [&str; 2] = ["wasm-bindgen", "wasm-bindgen-cli-support"];

/// What a browser loads of the core.
pub(super) struct Module {
    /// Below it, `conclave_web.js` and `conclave_web_bg.wasm`.
    pub(super) folder: PathBuf,
}

impl Module {
    /// Its files, and where they go below the result.
    pub(super) fn files(&self) -> [(String, PathBuf); 2] {
        [format!("{NAME}.js"), format!("{NAME}_bg.wasm")].map(|name| (format!("core/{name}"), self.folder.join(&name)))
    }
}

/// Compiles the crate and writes what belongs beside it; `None` when cargo was not content, and has said why.
pub(super) fn build(what: Build, toolchain: &Toolchain, places: &Places) -> Result<Option<Module>> {
    let lock = read(&shell::root().join("Cargo.lock"))?;
    one_version(&String::from_utf8_lossy(&lock))?;

    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", CRATE, "--lib", "--target", TARGET, "--profile", profile(what)]);
    toolchain.apply(&mut cargo);
    if !shell::visible(&mut cargo)? {
        return Ok(None);
    }
    let built = places.target().join(TARGET).join(folder(what)).join(format!("{NAME}.wasm"));
    let wasm = read(&built)?;
    let folder = places.work.join("core");
    bind(what, &wasm, &folder)?;

    // The compiler and editors look for the types beside the sources that import them.
    let types = format!("{NAME}.d.ts");
    write(&places.web.join("core").join(&types), &read(&folder.join(&types))?)?;
    Ok(Some(Module { folder }))
}

/// Cargo's name for how it is built.
const fn profile(what: Build) -> &'static str {
    match what {
        Build::Release => "wasm",
        Build::Dev => "dev",
    }
}

/// Where cargo puts what it built.
const fn folder(what: Build) -> &'static str {
    match what {
        Build::Release => "wasm",
        Build::Dev => "debug",
    }
}

/// Writes the module, its JavaScript and its types, unless they were made of this very module before.
fn bind(what: Build, wasm: &[u8], folder: &Path) -> Result<()> {
    let stamp = folder.join("made-of");
    let made_of = format!("{what:?} {:x}\n", Sha256::digest(wasm));
    if fs::read_to_string(&stamp).is_ok_and(|before| before == made_of) {
        return Ok(());
    }
    make(folder)?;
    let task = Task::start("writing the module's JavaScript and types");
    let made = Bindgen::new()
        .input_bytes(NAME, wasm.to_vec())
        .web(true)
        .and_then(|bindgen| {
            bindgen
                .typescript(true)
                .omit_default_module_path(false)
                .remove_name_section(what == Build::Release)
                .remove_producers_section(true)
                .generate(folder)
        })
        .map_err(|error| error.context("wasm-bindgen cannot read the module"));
    match made {
        Ok(()) => task.done(),
        Err(error) => {
            task.failed();
            bail!(error);
        }
    }
    write(&stamp, made_of.as_bytes())
}

/// Says so when the pair was taken apart.
fn one_version(lock: &str) -> Result<()> {
    let [inside, outside] = PAIR.map(|name| version(lock, name));
    let inside = inside.with_context(|| format!("Cargo.lock does not name {}", PAIR[0]))?;
    let outside = outside.with_context(|| format!("Cargo.lock does not name {}", PAIR[1]))?;
    ensure!(
        inside == outside,
        "{} is {inside} and {} is {outside}: they have to be of one version, in `Cargo.toml` at the top both lines together",
        PAIR[0],
        PAIR[1]
    );
    Ok(())
}

/// The version of a crate that the lock file names once.
fn version<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(inside: &str, outside: &str) -> String {
        format!(
            "[[package]]\nname = \"wasm-bindgen\"\nversion = \"{inside}\"\n\n[[package]]\nname = \"wasm-bindgen-cli-support\"\nversion = \"{outside}\"\n"
        )
    }

    #[test]
    fn the_pair_is_of_one_version_in_this_workspace() {
        let lock = fs::read_to_string(shell::root().join("Cargo.lock")).expect("the lock file is there");
        one_version(&lock).expect("one version");
    }

    #[test]
    fn a_pair_that_was_taken_apart_is_named_with_both_versions() {
        assert!(one_version(&lock("0.2.1", "0.2.1")).is_ok());
        let error = one_version(&lock("0.2.1", "0.2.2")).expect_err("they differ").to_string();
        assert!(error.contains("wasm-bindgen is 0.2.1 and wasm-bindgen-cli-support is 0.2.2"), "{error}");
        assert!(one_version("").is_err());
    }
}

//! `cargo xtask web`: the folder that a relay hands to browsers, out of Rust, TypeScript and a page.
//!
//! ```text
//!   client-core/web/src  -- cargo, wasm-bindgen (module) -->  core/conclave_web{.js,_bg.wasm}  --+
//!   client-core/web/sdk, page/*.ts  -- tsc (script) ------->  sdk/*.js, page/*.js  --------------+-->  folder: target/web,
//!   client-core/web/page, the rest  ------------------------------------------------------------+     each with its .br
//! ```
//!
//! What is between the steps lies in `target/web-build`; only what changed is made again.

mod compress;
mod folder;
mod module;
mod node;
mod script;
mod sizes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

pub(crate) use self::node::packages;
use crate::shell;
use crate::wasm::{self, Route};

/// How the browser's part is built.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Build in a minute instead of five: not optimised, five times larger, slower at everything
    #[arg(long)]
    dev: bool,
    /// Try this way of getting the standard library for wasm and no other
    #[arg(long, value_enum)]
    route: Option<Route>,
}

/// What is built for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Build {
    /// For people: small and fast.
    Release,
    /// For whoever changes it: built quickly.
    Dev,
}

/// What became of the build.
pub(crate) enum Outcome {
    /// The folder, and in a line how large it is.
    Built(PathBuf, String),
    /// It does not build, and why.
    Broken(String),
    /// Nothing could be built here, and why.
    Unavailable(String),
}

/// The folders that the steps share.
struct Places {
    /// The sources.
    web: PathBuf,
    /// Between the steps.
    work: PathBuf,
    /// The result.
    folder: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let what = if options.dev { Build::Dev } else { Build::Release };
    Ok(match build(what, options.route)? {
        Outcome::Built(folder, words) => {
            println!("{}: {words}", folder.display());
            ExitCode::SUCCESS
        }
        Outcome::Broken(words) | Outcome::Unavailable(words) => {
            println!("{words}");
            ExitCode::FAILURE
        }
    })
}

/// Builds the folder, and prints how large its parts are.
pub(crate) fn build(what: Build, route: Option<Route>) -> Result<Outcome> {
    let places = Places::find()?;
    let toolchain = match wasm::toolchain(route)? {
        Ok(toolchain) => toolchain,
        Err(tried) => return Ok(Outcome::Unavailable(tried)),
    };
    if let Err(error) = node::packages() {
        return Ok(Outcome::Unavailable(format!("{error:#}")));
    }
    let module = match module::build(what, &toolchain, &places)? {
        Some(module) => module,
        None => return Ok(Outcome::Broken("conclave-web does not build for the browser: see above".to_owned())),
    };
    if let Err(error) = script::compile(&places) {
        return Ok(Outcome::Broken(format!("the TypeScript does not compile: {error:#}")));
    }
    let files = folder::gather(&places, &module)?;
    let sizes = folder::write(&places, what, &files)?;
    if let Err(error) = node::check(&places) {
        return Ok(Outcome::Broken(format!("the module does not do what it promises: {error:#}")));
    }
    println!("{}", sizes.table());
    Ok(Outcome::Built(places.folder, sizes.line()))
}

impl Places {
    fn find() -> Result<Self> {
        let metadata = shell::output(shell::cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata).context("cargo's metadata is not what it used to be")?;
        let target = metadata.get("target_directory").and_then(serde_json::Value::as_str).map(PathBuf::from);
        let target = target.context("cargo does not say where it builds")?;
        Ok(Self { web: sources(), work: target.join("web-build"), folder: target.join("web") })
    }

    /// Cargo's own folder.
    fn target(&self) -> &Path {
        self.work.parent().unwrap_or(&self.work)
    }
}

/// Where the npm package lies.
fn sources() -> PathBuf {
    shell::root().join("client-core").join("web")
}

/// Makes a folder and those above it.
fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file unless it has these bytes already: what watches it, or compares times, is left in peace.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Every file below a folder, in order.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("cannot list {}", folder.display()))?,
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

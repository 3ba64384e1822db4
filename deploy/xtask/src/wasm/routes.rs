//! The ways to a standard library for wasm, in the order in which they are tried.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cache::Cache;
use super::compiler::Compiler;
use super::debian::{self, Apt};
use super::{TARGET, std_build};
use crate::shell;

/// How long rustup may say nothing before the next way is tried.
const RUSTUP_SILENCE: Duration = Duration::from_secs(60);

/// The oldest stand-in that the workspace's `rust-version` allows.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A way to a standard library for wasm.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Route {
    /// The compiler has it already
    Installed,
    /// It was compiled on this machine before
    Cached,
    /// Rustup fetches it
    Rustup,
    /// Compile it once from Debian's package of this very compiler's sources
    DebianSources,
    /// Use Debian's own newest compiler, and compile the library from its sources
    DebianCompiler,
}

/// What is there comes before what has to be fetched, and what is fetched before what has to be compiled.
const ORDER: &[Route] = &[Route::Installed, Route::Cached, Route::Rustup, Route::DebianSources, Route::DebianCompiler];

/// What cargo has to be told for wasm.
pub(crate) struct Toolchain {
    from: &'static str,
    sysroot: Option<PathBuf>,
    stand_in: Option<Compiler>,
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// Plain cargo finds everything.
    fn plain(from: &'static str) -> Self {
        Self { from, sysroot: None, stand_in: None, linker: None }
    }

    pub(crate) fn apply(&self, cargo: &mut Command) {
        if let Some(sysroot) = &self.sysroot {
            // Encoded, because a home folder may have a space in its name; with a target named, none of this
            // reaches build scripts and macros.
            let mut flags = OsString::from("--sysroot=");
            flags.push(sysroot);
            for flag in std::env::var("RUSTFLAGS").unwrap_or_default().split_whitespace() {
                flags.push("\u{1f}");
                flags.push(flag);
            }
            cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
        }
        if let Some(compiler) = &self.stand_in {
            cargo.env("RUSTC", &compiler.rustc);
            if let Some(libraries) = &compiler.libraries {
                cargo.env("LD_LIBRARY_PATH", libraries);
            }
        }
        if let Some(linker) = &self.linker {
            cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with the standard library {}", self.from)
    }
}

/// The first way that works, or what became of each.
pub(crate) fn toolchain(only: Option<Route>) -> Result<Result<Toolchain, String>> {
    let compiler = Compiler::of_this_workspace()?;
    let mut tried = Vec::new();
    for route in ORDER.iter().copied().filter(|route| only.is_none_or(|only| only == *route)) {
        match walk(route, &compiler) {
            Ok(toolchain) => return Ok(Ok(toolchain)),
            Err(error) => tried.push(format!("    {}: {error:#}", name(route))),
        }
    }
    Ok(Err(format!(
        "no way to a standard library for {TARGET} worked:\n{}\n    \
         where rustup may download, `rustup target add {TARGET}` is the shortest",
        tried.join("\n")
    )))
}

fn name(route: Route) -> &'static str {
    match route {
        Route::Installed => "the compiler's own",
        Route::Cached => "compiled before",
        Route::Rustup => "by rustup",
        Route::DebianSources => "compiled from Debian's sources",
        Route::DebianCompiler => "with Debian's compiler",
    }
}

fn walk(route: Route, compiler: &Compiler) -> Result<Toolchain> {
    match route {
        Route::Installed => {
            ensure!(compiler.has_target(), "it has none");
            Ok(Toolchain::plain("of the compiler"))
        }
        Route::Cached => cached(compiler),
        Route::Rustup => {
            rustup(compiler)?;
            Ok(Toolchain::plain("that rustup fetched"))
        }
        Route::DebianSources => debian_sources(compiler),
        Route::DebianCompiler => debian_compiler(compiler),
    }
}

fn cached(compiler: &Compiler) -> Result<Toolchain> {
    let cache = Cache::open()?;
    let sysroot = cache.sysroot(compiler);
    if std_build::is_complete(&std_build::libraries(&sysroot)) {
        return Ok(with_sysroot("that was compiled before", sysroot));
    }
    let stand_in = cache.stand_in(compiler);
    ensure!(stand_in.is_dir(), "nothing is");
    with_stand_in(&stand_in)
}

fn rustup(compiler: &Compiler) -> Result<()> {
    ensure!(shell::answers(Command::new("rustup").arg("--version")), "there is no rustup");
    let mut rustup = Command::new("rustup");
    rustup.current_dir(shell::root()).args(["target", "add", TARGET]).env("RUSTUP_MAX_RETRIES", "1").env_remove("RUST_BACKTRACE");
    shell::quiet(&format!("asking rustup for {TARGET}"), RUSTUP_SILENCE, &mut rustup)?;
    ensure!(compiler.has_target(), "rustup added it to another compiler than the one that cargo uses");
    Ok(())
}

fn debian_sources(compiler: &Compiler) -> Result<Toolchain> {
    let cache = Cache::open()?;
    let workshop = cache.workshop()?;
    let library = Apt::new(workshop.folder("apt")?)?.std_sources(&compiler.release)?;
    let finished = workshop.folder("sysroot")?;
    std_build::compile(compiler, &library, &workshop.folder("crate")?, &finished)?;
    let place = cache.sysroot(compiler);
    workshop.deliver(&finished, &place)?;
    Ok(with_sysroot("that was compiled now, and is kept in the cache", place))
}

fn debian_compiler(compiler: &Compiler) -> Result<Toolchain> {
    let cache = Cache::open()?;
    let workshop = cache.workshop()?;
    let root = Apt::new(workshop.folder("apt")?)?.compiler()?;
    let stand_in = unpacked(&root)?;
    ensure!(
        release(&stand_in.release) >= release(OLDEST),
        "Debian's compiler is {}, and this workspace needs {OLDEST} or newer",
        stand_in.release
    );
    let library = debian::library_below(&root)?;
    std_build::compile(&stand_in, &library, &workshop.folder("crate")?, &root.join("usr"))?;
    for part in ["src", "share"] {
        fs::remove_dir_all(root.join("usr").join(part)).with_context(|| format!("cannot remove usr/{part}"))?;
    }
    let place = cache.stand_in(compiler);
    workshop.deliver(&root, &place)?;
    with_stand_in(&place)
}

fn with_sysroot(from: &'static str, sysroot: PathBuf) -> Toolchain {
    Toolchain { sysroot: Some(sysroot), ..Toolchain::plain(from) }
}

fn with_stand_in(root: &Path) -> Result<Toolchain> {
    let linker = entries(&root.join("usr").join("bin"))?
        .into_iter()
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wasm-ld")));
    let compiler = unpacked(root)?;
    Ok(Toolchain { linker, stand_in: Some(compiler), ..Toolchain::plain("of Debian's own compiler") })
}

/// A compiler that was unpacked and not installed needs to be told where its libraries are.
fn unpacked(root: &Path) -> Result<Compiler> {
    let is_of_rustc = |path: &PathBuf| {
        entries(path).is_ok_and(|files| {
            files.iter().any(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librustc_driver")))
        })
    };
    let libraries = entries(&root.join("usr").join("lib"))?.into_iter().find(is_of_rustc);
    Compiler::ask(root.join("usr").join("bin").join("rustc"), libraries)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .with_context(|| format!("cannot list {}", folder.display()))
}

/// The numbers of a release, to be compared.
fn release(text: &str) -> Vec<u64> {
    text.split(['.', '-']).map_while(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_their_numbers() {
        assert!(release("1.100.0") > release("1.91"));
        assert!(release("1.91.0") >= release("1.91"));
        assert!(release("1.90.1-nightly") < release("1.91"));
    }

    #[test]
    fn a_private_sysroot_is_passed_on_as_one_flag() {
        let mut cargo = Command::new("cargo");
        with_sysroot("", PathBuf::from("/a home/cache")).apply(&mut cargo);
        let flags = cargo.get_envs().find(|(name, _)| *name == "CARGO_ENCODED_RUSTFLAGS").and_then(|(_, value)| value);
        let flags = flags.expect("it is set").to_string_lossy();
        assert_eq!(flags.split('\u{1f}').next(), Some("--sysroot=/a home/cache"));
    }
}

//! Builds the pure crates for the browser's target: the proof that no socket, clock or thread hides in them.
//!
//! Rust's compiler can always write wasm32 code; what a machine may lack is the standard library for it. `routes`
//! says where to get it from and in which order, `debian` fetches from the system's package mirror, `std_build`
//! compiles a standard library, `cache` keeps the result for the next time.

mod cache;
mod compiler;
mod debian;
mod routes;
mod std_build;

use std::process::ExitCode;

use anyhow::{Result, ensure};

use crate::{shell, walls};
pub(crate) use routes::{Route, Toolchain, toolchain};

/// The browser's target.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// What would drag a C compiler for wasm, a socket or a second backend into the browser.
const NOT_IN_THE_BROWSER: &[(&str, &str)] = &[
    ("aws-lc-rs", "it is C and assembler; RustCrypto is the browser's backend"),
    ("aws-lc-sys", "it is C and assembler; RustCrypto is the browser's backend"),
    ("mio", "a page has no sockets"),
    ("quinn", "a page has WebTransport instead"),
    ("ring", "it is C and assembler; RustCrypto is the browser's backend"),
    ("socket2", "a page has no sockets"),
    ("tokio", "the browser has an event loop already"),
];

/// That it builds is the proof; how fast it would run is not asked here, and takes more than twice as long.
const UNOPTIMISED: &[&str] = &["profile.dev.opt-level=0", "profile.dev.package.\"*\".opt-level=0"];

/// How the standard library for wasm is found.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Try this way of getting the standard library for wasm and no other
    #[arg(long, value_enum)]
    route: Option<Route>,
}

/// What became of the build.
pub(crate) enum Outcome {
    /// All of it, and how.
    Built(String),
    /// The crates do not build, or what they pull in has no place in a browser.
    Broken(String),
    /// Nothing could be built here, and why.
    Unavailable(String),
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    Ok(match build(options.route)? {
        Outcome::Built(words) => {
            println!("{words}");
            ExitCode::SUCCESS
        }
        Outcome::Broken(words) | Outcome::Unavailable(words) => {
            println!("{words}");
            ExitCode::FAILURE
        }
    })
}

/// Builds all crates that have to run in a browser.
pub(crate) fn build(route: Option<Route>) -> Result<Outcome> {
    let crates = walls::pure_crates()?;
    ensure!(!crates.is_empty(), "there is no pure crate in this workspace");
    let toolchain = match toolchain(route)? {
        Ok(toolchain) => toolchain,
        Err(tried) => return Ok(Outcome::Unavailable(tried)),
    };
    let intruders = intruders(&crates)?;
    if !intruders.is_empty() {
        return Ok(Outcome::Broken(intruders.join("; ")));
    }
    let mut cargo = shell::cargo();
    cargo.args(["build", "--lib", "--target", TARGET]).args(selected(&crates));
    cargo.args(UNOPTIMISED.iter().flat_map(|setting| ["--config", setting]));
    toolchain.apply(&mut cargo);
    Ok(if shell::visible(&mut cargo)? {
        Outcome::Built(format!("{} built for {TARGET}, {toolchain}", crates.join(", ")))
    } else {
        Outcome::Broken(format!("the pure crates do not build for {TARGET}: see above"))
    })
}

/// What the browser's build would pull in that has no place there, one sentence each.
///
/// Cargo is asked for this very target: its metadata is the union over all of them.
fn intruders(crates: &[String]) -> Result<Vec<String>> {
    let mut cargo = shell::cargo();
    cargo.args(["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", TARGET]);
    let tree = shell::output(cargo.args(selected(crates)))?;
    Ok(NOT_IN_THE_BROWSER
        .iter()
        .filter(|(name, _)| tree.lines().any(|line| line.split(' ').next() == Some(*name)))
        .map(|(name, why)| {
            format!("{name} is in the wasm build ({why}): `cargo tree --target {TARGET} --invert {name}` shows who wants it")
        })
        .collect())
}

fn selected(crates: &[String]) -> impl Iterator<Item = &str> {
    crates.iter().flat_map(|name| ["--package", name.as_str()])
}

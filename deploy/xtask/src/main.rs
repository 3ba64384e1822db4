//! `cargo xtask`: the project's own commands.
//!
//! Every subcommand is a module of the same shape: an `Options` struct that clap fills, and
//! `run(Options) -> anyhow::Result<ExitCode>`. A new one is a `mod` line and a line in each of the two places
//! of this file.
//!
//! Nothing here has to be installed first: cargo, a C compiler and, for the browser's target, either rustup or
//! the machine's own package manager.

#![forbid(unsafe_code)]

mod bench;
mod browser;
mod call;
mod demo;
mod faults;
mod packages;
mod progress;
mod shell;
mod test;
mod walls;
mod wasm;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Conclave's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure in real time: a storm of joins
    Bench(bench::Options),
    /// Two pages in a real browser talk over two relays, and what they see and hear is measured
    Browser(browser::Options),
    /// A real call of half a minute across three operators, and a report that says whether it held
    Demo(demo::Options),
    /// Fifty faults planted one at a time into a copy of the tree: do the tests notice?
    Faults(faults::Options),
    /// Everything that has to hold before a change is accepted: formatting, lints, walls, wasm, tests
    Test(test::Options),
    /// Check which crate may depend on which, from cargo's own metadata
    Walls(walls::Options),
    /// Build the pure crates for the browser's target, and set that target up where it is missing
    Wasm(wasm::Options),
    /// Build what a relay hands to browsers: the core, the SDK and the page
    Web(web::Options),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().command {
        Command::Bench(options) => bench::run(&options),
        Command::Browser(options) => browser::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Walls(options) => walls::run(&options),
        Command::Wasm(options) => wasm::run(&options),
        Command::Web(options) => web::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

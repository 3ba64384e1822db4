//! Measurements in real time, with what is shipped: the numbers that virtual time cannot give.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::shell;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// A hundred people come into a room of two within ten seconds, over a real relay on loopback
    Joins(Joins),
}

#[derive(clap::Args)]
struct Joins {
    /// How many come
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=900))]
    people: u32,
    /// Within how many seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=900))]
    seconds: u32,
    /// One object for machines in place of the table
    #[arg(long)]
    json: bool,
}

/// Builds with all optimisations, measures, and fails when somebody did not come in.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let What::Joins(joins) = &options.what;
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "--release", "--locked", "--package", "conclave", "--example", "joins", "--"]);
    cargo.arg("--people").arg(joins.people.to_string()).arg("--seconds").arg(joins.seconds.to_string());
    if joins.json {
        cargo.arg("--json");
    }
    let status = cargo.status().context("cargo cannot be started")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

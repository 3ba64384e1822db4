//! Builds what the demo runs, with a bar that moves: cargo's own messages say which crates are done.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, IsTerminal},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::shell;

/// The programs of the demo.
pub(crate) struct Programs {
    /// The shipped relay: makes keys and configurations.
    pub(crate) relay: PathBuf,
    /// The shipped participant: what `--stay` tells people to run.
    pub(crate) participant: PathBuf,
    /// The same relay with an observer at the driver's edge.
    pub(crate) glass_relay: PathBuf,
    /// The same participant, which hands the room's secrets to the leak check.
    pub(crate) glass_participant: PathBuf,
}

const PACKAGES: [&str; 3] = ["conclave-relay", "conclave-cli", "conclave-glass"];

/// Builds all four, in the profile that the tests use: nothing is compiled twice.
pub(crate) fn build() -> Result<Programs> {
    let mut command = shell::cargo();
    command.args(["build", "--bins", "--message-format", "json-render-diagnostics"]);
    for package in PACKAGES {
        command.args(["-p", package]);
    }
    let total = units()?;
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("  building {bar:40} {pos}/{len} {msg} ({elapsed})") {
        bar.set_style(style);
    }
    let quiet = !std::io::stderr().is_terminal();
    if quiet {
        eprintln!("  building the relay and the participant: {total} crates, most of them only the first time ...");
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut programs = BTreeMap::new();
    let mut done = 0_u64;
    for line in BufReader::new(child.stdout.take().context("cargo has no output")?).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line.context("cargo's output cannot be read")?) else { continue };
        if message.get("reason").and_then(Value::as_str) != Some("compiler-artifact") {
            continue;
        }
        done += 1;
        let name = message.pointer("/target/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        bar.set_message(name.clone());
        bar.set_position(done.min(total));
        if quiet && done.is_multiple_of(100) {
            eprintln!("  building ... {done}/{total}");
        }
        if let Some(program) = message.get("executable").and_then(Value::as_str) {
            programs.insert(name, PathBuf::from(program));
        }
    }
    let status = child.wait().context("cargo cannot be waited for")?;
    bar.finish_and_clear();
    if !status.success() {
        bail!("the programs could not be built: cargo says why above");
    }
    let mut take = |name: &str| programs.remove(name).with_context(|| format!("cargo built no program `{name}`"));
    Ok(Programs {
        relay: take("conclave-relay")?,
        participant: take("conclave")?,
        glass_relay: take("glass-relay")?,
        glass_participant: take("glass-participant")?,
    })
}

/// Roughly how many artifacts cargo will report: one for each package of the graph, and its build scripts.
fn units() -> Result<u64> {
    let text = shell::output(
        shell::cargo()
            .args(["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
            .args(PACKAGES.iter().flat_map(|package| ["-p", package])),
    )?;
    let packages: std::collections::BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Ok(u64::try_from(packages.len()).unwrap_or(u64::MAX) + 40)
}

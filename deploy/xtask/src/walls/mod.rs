//! The walls between the crates, checked from cargo's own metadata with nothing to install.
//!
//! `rules` is the table of what is forbidden and why, `graph` the dependency graph, `check` holds one against the
//! other, `sources` reads the pure crates' text for what a graph cannot show. `deny.toml` says the same for those
//! who have cargo-deny.

mod check;
#[cfg(test)]
mod deny;
mod graph;
mod rules;
mod sources;

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::shell;
use graph::Graph;

/// No choices: a wall either stands or it does not.
#[derive(clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(_options: &Options) -> Result<ExitCode> {
    let report = inspect()?;
    for violation in &report.violations {
        println!("  {violation}");
    }
    println!("{}", report.summary());
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What an inspection found.
pub(crate) struct Report {
    /// One sentence each, in the order of the rules.
    pub(crate) violations: Vec<String>,
    crates: usize,
    files: usize,
}

impl Report {
    pub(crate) fn summary(&self) -> String {
        let Self { violations, crates, files } = self;
        let found = match violations.len() {
            0 => "every wall stands".to_owned(),
            1 => "1 wall is broken".to_owned(),
            many => format!("{many} walls are broken"),
        };
        format!("{found}: {crates} crates and {files} source files of the pure ones looked at")
    }
}

/// Holds the workspace as it is now against all rules.
pub(crate) fn inspect() -> Result<Report> {
    let graph = workspace()?;
    let mut violations = check::violations(&graph, rules::RULES);
    let mut files = 0;
    for package in graph.own().filter(|package| rules::PURE.contains(&package.name.as_str())) {
        let read = sources::read(&package.folder.join("src"))?;
        files += read.len();
        violations.extend(sources::violations(&package.name, &package.folder, &read));
    }
    Ok(Report { violations, crates: graph.len(), files })
}

/// The pure crates that exist, in the order of the table: what has to build for the browser.
pub(crate) fn pure_crates() -> Result<Vec<String>> {
    let graph = workspace()?;
    Ok(rules::PURE
        .iter()
        .chain(rules::BROWSER)
        .filter(|name| graph.own().any(|package| package.name == **name))
        .map(|name| (*name).to_owned())
        .collect())
}

fn workspace() -> Result<Graph> {
    let json = shell::output(shell::cargo().args(["metadata", "--format-version", "1"]))?;
    Graph::parse(&json).context("cargo's metadata is not what it used to be")
}

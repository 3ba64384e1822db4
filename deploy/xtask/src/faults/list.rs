//! The list of faults.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// One fault.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Short, for the table.
    pub(super) name: String,
    /// What would go wrong.
    pub(super) what: String,
    /// Where.
    pub(super) file: String,
    /// Stands there once.
    pub(super) find: String,
    /// Stands there with the fault.
    pub(super) plant: String,
    /// Who is asked, in this order, as arguments of `cargo test`.
    pub(super) tests: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    fault: Vec<Fault>,
}

pub(super) fn read() -> Result<Vec<Fault>> {
    let list: List = toml::from_str(include_str!("list.toml")).context("list.toml is not a list of faults")?;
    Ok(list.fault)
}

/// Whether each fault can be planted.
pub(super) fn check(all: &[Fault], root: &Path) -> Result<()> {
    let mut names = BTreeSet::new();
    for fault in all {
        let Fault { name, file, .. } = fault;
        if !names.insert(name) {
            bail!("two faults are called {name}");
        }
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("{name}: cannot read {file}"))?;
        match text.matches(&fault.find).count() {
            1 if fault.find != fault.plant => {}
            1 => bail!("{name} changes nothing"),
            0 => bail!("{name}: its text does not stand in {file} any more: find the place again, and change list.toml"),
            many => bail!("{name}: its text stands {many} times in {file}: make it longer in list.toml"),
        }
        if fault.tests.is_empty() {
            bail!("{name} asks no tests");
        }
    }
    Ok(())
}

/// All that is asked, once.
pub(super) fn suites(faults: &[&Fault]) -> BTreeSet<String> {
    faults.iter().flat_map(|fault| fault.tests.iter().cloned()).collect()
}

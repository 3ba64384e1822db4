//! Are the tests worth anything? Fifty faults, planted one at a time into a copy of the tree; the tests have to notice.
//!
//! `list.toml` says which. A fault is a piece of text that stands once in a file, what stands there instead, and the tests
//! that are asked. The copy has a target folder of its own, so nothing of a fault ever gets into what is built.

mod list;
mod tree;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{progress, shell};
use list::Fault;
use tree::Tree;

/// A test run that says nothing for so long hangs: a fault may do that, and then it was noticed.
const PATIENCE: Duration = Duration::from_secs(300);

/// As many of the list may stay unnoticed.
const MAY_ESCAPE: usize = 2;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Show the list and plant nothing
    #[arg(long)]
    list: bool,
    /// Only faults whose name contains this; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
}

/// What became of a fault.
enum Noticed {
    /// These tests failed.
    By(Vec<String>),
    /// The tests hung or died.
    Hang,
    /// Nobody noticed.
    No,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let all = list::read()?;
    list::check(&all, &shell::root())?;
    let wanted: Vec<&Fault> =
        all.iter().filter(|fault| options.only.is_empty() || options.only.iter().any(|part| fault.name.contains(part))).collect();
    if wanted.is_empty() {
        bail!("no fault has such a name: `cargo xtask faults --list` shows them");
    }
    if options.list {
        for fault in &wanted {
            println!("{:<32} {} ({})", fault.name, fault.what, fault.file);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let tree = Tree::copy()?;
    progress::heading("the tests as they are, so that a failure is the fault's");
    for tests in list::suites(&wanted) {
        if !matches!(ask(&tree, &tests)?, Noticed::No) {
            bail!("`cargo test {tests}` fails without any fault: mend that first");
        }
    }
    let mut escaped = Vec::new();
    for (at, fault) in wanted.iter().enumerate() {
        let noticed = {
            let _planted = tree.plant(fault)?;
            let mut noticed = Noticed::No;
            for tests in &fault.tests {
                noticed = ask(&tree, tests)?;
                if !matches!(noticed, Noticed::No) {
                    break;
                }
            }
            noticed
        };
        let words = match &noticed {
            Noticed::By(names) => format!("noticed by {}", shortened(names)),
            Noticed::Hang => "noticed: the tests came to no end".to_owned(),
            Noticed::No => {
                escaped.push(fault.name.clone());
                "NOT NOTICED".to_owned()
            }
        };
        println!("{:>2}/{} {:<32} {words}", at + 1, wanted.len(), fault.name);
    }
    let caught = wanted.len() - escaped.len();
    println!("\n{caught} of {} faults were noticed", wanted.len());
    if !escaped.is_empty() {
        println!("not noticed: {}", escaped.join(", "));
    }
    Ok(if escaped.len() <= MAY_ESCAPE { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs tests in the copy.
fn ask(tree: &Tree, tests: &str) -> Result<Noticed> {
    let mut build = tree.cargo();
    build.args(["test", "--quiet", "--no-run"]).args(tests.split_whitespace());
    let built = shell::captured(&mut build, PATIENCE, |_| {})?;
    if !built.success {
        bail!("the copy does not build, which no fault may do:\n{}", built.text);
    }
    let mut run = tree.cargo();
    run.args(["test", "--quiet", "--no-fail-fast"]).args(tests.split_whitespace());
    let Ok(ran) = shell::captured(&mut run, PATIENCE, |_| {}) else { return Ok(Noticed::Hang) };
    if ran.success {
        return Ok(Noticed::No);
    }
    let names: Vec<String> = failed(&ran.text);
    Ok(if names.is_empty() { Noticed::Hang } else { Noticed::By(names) })
}

/// The names of failed tests, from the list that the harness prints below `failures:`.
fn failed(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|name| name.contains("::") || name.contains('_'))
        .filter(|name| !name.contains(' '))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

fn shortened(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_failed_tests_are_read_from_the_harness_words() {
        let text = "....\nfailures:\n\n---- group::tests::a stdout ----\n    at ./src/x.rs\n\nfailures:\n    group::tests::a_b\n    known\n    \
                    group::tests::c_d\n\ntest result: FAILED";
        assert_eq!(failed(text), ["group::tests::a_b", "group::tests::c_d"]);
        assert_eq!(shortened(&failed(text)), "group::tests::a_b and 1 more");
    }

    #[test]
    fn every_fault_fits_the_tree_as_it_is() {
        let all = list::read().expect("the list can be read");
        list::check(&all, &shell::root()).expect("every fault's text stands once in its file");
        assert!(all.len() >= 18, "fifty faults are promised, and {} are listed", all.len());
    }
}

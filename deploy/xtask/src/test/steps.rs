//! The steps that are one command each.

use std::process::Command;

use anyhow::Result;

use super::Outcome;
use crate::{browser, shell, walls, wasm, web};

/// How cargo-deny says that it could not look anything up, which is nobody's fault on a machine without a network.
const NO_DATABASE: &str = "failed to fetch advisory database";

pub(super) fn format() -> Result<Outcome> {
    if !shell::answers(shell::cargo().args(["fmt", "--version"])) {
        return Ok(missing("rustfmt"));
    }
    // Only the names: the whole difference would bury what the other steps say.
    let mut cargo = shell::cargo();
    cargo.args(["fmt", "--all", "--", "--check", "--files-with-diff"]);
    Ok(if shell::visible(&mut cargo)? {
        Outcome::Passed("nothing to change".into())
    } else {
        Outcome::Failed("rustfmt is not content: see above (`cargo fmt --all` formats)".into())
    })
}

pub(super) fn clippy() -> Result<Outcome> {
    if !shell::answers(shell::cargo().args(["clippy", "--version"])) {
        return Ok(missing("clippy"));
    }
    let mut cargo = shell::cargo();
    cargo.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    Ok(if shell::visible(&mut cargo)? {
        Outcome::Passed("no warning".into())
    } else {
        Outcome::Failed("clippy is not content: see above".into())
    })
}

fn missing(component: &str) -> Outcome {
    Outcome::Failed(format!("{component} is not installed: `rustup component add {component}` does it"))
}

pub(super) fn walls() -> Result<Outcome> {
    let report = walls::inspect()?;
    for violation in &report.violations {
        eprintln!("  {violation}");
    }
    let summary = report.summary();
    Ok(if report.violations.is_empty() { Outcome::Passed(summary) } else { Outcome::Failed(summary) })
}

pub(super) fn wasm() -> Result<Outcome> {
    Ok(match wasm::build(None)? {
        wasm::Outcome::Built(words) => Outcome::Passed(words),
        wasm::Outcome::Broken(words) => Outcome::Failed(words),
        wasm::Outcome::Unavailable(words) if shell::is_ci() => Outcome::Failed(words),
        wasm::Outcome::Unavailable(words) => Outcome::NotRun(format!("NOT BUILT for the browser: {words}")),
    })
}

/// As people load it, so that its size is the true one.
pub(super) fn web() -> Result<Outcome> {
    Ok(match web::build(web::Build::Release, None)? {
        web::Outcome::Built(_, sizes) => Outcome::Passed(sizes),
        web::Outcome::Broken(words) => Outcome::Failed(words),
        web::Outcome::Unavailable(words) if shell::is_ci() => Outcome::Failed(words),
        web::Outcome::Unavailable(words) => Outcome::NotRun(format!("NOT BUILT for the browser: {words}")),
    })
}

pub(super) fn browser() -> Result<Outcome> {
    Ok(match browser::step()? {
        browser::Outcome::Held(words) => Outcome::Passed(words),
        browser::Outcome::Failed(words) => Outcome::Failed(words),
        browser::Outcome::Unavailable(words) if shell::is_ci() => Outcome::Failed(words),
        browser::Outcome::Unavailable(words) => Outcome::NotRun(format!("NOT TRIED in a browser: {words}")),
    })
}

/// What needs no network has to pass; the advisories have to where they can be fetched.
pub(super) fn deny() -> Result<Outcome> {
    let deny = |checks: &[&str]| {
        let mut cargo: Command = shell::cargo();
        cargo.args(["deny", "--all-features", "check"]).args(checks);
        cargo
    };
    if !shell::answers(shell::cargo().args(["deny", "--version"])) {
        return Ok(Outcome::NotRun(
            "cargo-deny is not installed, so licences and advisories were not looked at (`cargo install cargo-deny`)".into(),
        ));
    }
    if !shell::visible(&mut deny(&["bans", "licenses", "sources"]))? {
        return Ok(Outcome::Failed("cargo deny is not content: see above".into()));
    }
    let advisories = shell::captured(&mut deny(&["advisories"]), super::cargo_test::SILENCE, |_| ())?;
    if advisories.success {
        return Ok(Outcome::Passed("licences, bans, sources, advisories".into()));
    }
    eprint!("{}", advisories.text);
    Ok(if advisories.text.contains(NO_DATABASE) {
        Outcome::Passed("licences, bans, sources; the advisories could not be fetched".into())
    } else {
        Outcome::Failed("there is an advisory: see above".into())
    })
}

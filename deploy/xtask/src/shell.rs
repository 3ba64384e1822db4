//! Runs other programs: cargo as the project sees it, and quiet ones whose output only matters when they fail.

use std::env;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress::Task;

/// How many lines of a failed program's output are shown.
const LAST_LINES: usize = 30;

/// How often a waiting task is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// The workspace's top folder.
pub(crate) fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.ancestors().nth(2).map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// Whether this is an unattended run, where "could not be checked" has to count as "failed".
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// The cargo that runs this command, in the workspace's top folder.
///
/// The variables that `cargo run` sets for the program it runs are taken out again: build scripts that watch them
/// would otherwise run anew, and rebuild half of the tree, at each change between `cargo xtask` and plain cargo.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        if is_of_cargo_run(&name) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(root());
    cargo
}

fn is_of_cargo_run(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| name.starts_with(prefix))
        || matches!(name, "CARGO_CRATE_NAME" | "CARGO_PRIMARY_PACKAGE")
}

/// Whether a program can be started at all and says yes.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// What a quick program prints, without the line end.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", last_lines(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Runs a program whose output is for the person who waits, and says whether it succeeded.
pub(crate) fn visible(command: &mut Command) -> Result<bool> {
    let shown = shown(command);
    eprintln!("  $ {shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{shown}`"))?;
    Ok(status.success())
}

/// Runs a program behind a spinner, for as long as it says something every `limit`. What it printed is shown when
/// it fails; the error holds the one line that tells most.
pub(crate) fn quiet(what: &str, limit: Duration, command: &mut Command) -> Result<String> {
    let mut task = Task::start(what);
    let outcome = captured(command, limit, |_| task.tick());
    match outcome {
        Ok(Captured { success: true, text }) => {
            task.done();
            Ok(text)
        }
        Ok(Captured { success: false, text }) => {
            task.failed();
            eprintln!("    {}", last_lines(&text));
            bail!("`{}` failed: {}", shown(command), telling_line(&text));
        }
        Err(error) => {
            task.failed();
            Err(error)
        }
    }
}

/// What a program printed, both of its streams in the order in which it wrote them.
pub(crate) struct Captured {
    pub(crate) success: bool,
    pub(crate) text: String,
}

/// Runs a program and hands on every line as it comes; `None` when a moment passed without one.
///
/// Stops the program when `limit` passes without a line.
pub(crate) fn captured(command: &mut Command, limit: Duration, mut on_line: impl FnMut(Option<&str>)) -> Result<Captured> {
    let shown = shown(command);
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("cannot make a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    // The command keeps its ends of the pipe open, and the pipe would never end, until they are replaced.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (lines, received) = mpsc::sync_channel(64);
    let reading = std::thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if lines.send(line).is_err() {
                return;
            }
        }
    });

    let mut text = String::new();
    let mut last_line = Instant::now();
    loop {
        match received.recv_timeout(LOOK) {
            Ok(line) => {
                last_line = Instant::now();
                on_line(Some(&line));
                text.push_str(&line);
                text.push('\n');
            }
            Err(RecvTimeoutError::Timeout) if last_line.elapsed() > limit => {
                child.kill().with_context(|| format!("cannot stop `{shown}`"))?;
                child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
                bail!("`{shown}` said nothing for {} s and was stopped", limit.as_secs());
            }
            Err(RecvTimeoutError::Timeout) => on_line(None),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().with_context(|| format!("cannot wait for `{shown}`"))?;
    if reading.join().is_err() {
        bail!("the output of `{shown}` could not be read");
    }
    Ok(Captured { success: status.success(), text })
}

/// A command line as one would type it, without the folder of the program.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(|part| part.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let first = lines.len().saturating_sub(LAST_LINES);
    let shown = lines.get(first..).unwrap_or_default().join("\n    ");
    if shown.is_empty() { "it printed nothing".to_owned() } else { shown }
}

/// The first line that calls itself an error, or else the last one.
fn telling_line(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_error = |line: &&str| line.starts_with("E: ") || line.starts_with("error");
    lines.clone().find(is_error).or_else(|| lines.next_back()).unwrap_or("it printed nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for any machine; no test waits that long.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn both_streams_arrive_in_order_and_the_exit_code_counts() {
        let mut lines = Vec::new();
        let captured = captured(Command::new("sh").args(["-c", "echo one; echo two >&2; echo three; exit 3"]), LONG, |line| {
            lines.extend(line.map(str::to_owned))
        })
        .expect("sh starts");
        assert!(!captured.success);
        assert_eq!(lines, ["one", "two", "three"]);
        assert_eq!(captured.text, "one\ntwo\nthree\n");
    }

    #[test]
    fn a_program_that_says_nothing_is_stopped() {
        let outcome = captured(Command::new("sh").args(["-c", "exec sleep 600"]), Duration::from_millis(300), |_| ());
        assert!(outcome.is_err_and(|error| error.to_string().contains("said nothing")));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&mut Command::new("conclave-no-such-program")).expect_err("it does not exist");
        assert!(error.to_string().contains("conclave-no-such-program"), "{error}");
    }

    #[test]
    fn the_line_that_tells_most_is_chosen() {
        assert_eq!(telling_line("Ign:1 x\n  E: no mirror\nE: second\nbye\n"), "E: no mirror");
        assert_eq!(telling_line("one\ntwo\n\n"), "two");
        assert_eq!(telling_line(""), "it printed nothing");
    }

    #[test]
    fn variables_of_cargo_run_do_not_reach_the_inner_cargo() {
        assert!(is_of_cargo_run(OsStr::new("CARGO_PKG_VERSION_MAJOR")));
        assert!(is_of_cargo_run(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(!is_of_cargo_run(OsStr::new("CARGO_HOME")));
        assert!(!is_of_cargo_run(OsStr::new("CARGO_TARGET_DIR")));
    }

    #[test]
    fn the_root_is_where_the_workspace_is() {
        assert!(root().join("deploy/xtask/Cargo.toml").is_file());
    }
}

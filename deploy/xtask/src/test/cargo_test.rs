//! Runs `cargo test` on the whole workspace and counts what it says.
//!
//! Building and running are two commands, so that the table can say which of them takes long. While the tests run
//! their lines are passed on as they come and read on the way: for the sum, the slowest binaries, and the names of
//! what failed, which would otherwise be hundreds of lines up.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Outcome;
use crate::progress::seconds;
use crate::shell;

/// How long the tests may say nothing before they count as hanging. Every process test is far below it, and it is
/// far below the limit of an unattended run, which would end without a word.
pub(super) const SILENCE: Duration = Duration::from_secs(900);

/// How often a silent test binary is named.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// How many binaries count as the slow ones, and how long they take at least.
const SLOWEST: usize = 8;
const SLOW: Duration = Duration::from_secs(2);

pub(super) fn run() -> Result<(Outcome, Option<Tally>)> {
    let started = Instant::now();
    if !shell::visible(shell::cargo().args(["test", "--workspace", "--no-run"]))? {
        return Ok((Outcome::Failed("the tests do not compile: see above".into()), None));
    }
    let built = started.elapsed();

    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--no-fail-fast"]);
    if std::io::stdout().is_terminal() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    eprintln!("  $ {}", shell::shown(&cargo));
    let mut tally = Tally::default();
    let mut last_word = Instant::now();
    let captured = shell::captured(&mut cargo, SILENCE, |line| match line {
        Some(line) => {
            last_word = Instant::now();
            println!("{line}");
            tally.read(line);
        }
        None if last_word.elapsed() >= HEARTBEAT => {
            last_word = Instant::now();
            eprintln!("  ... {} still runs", tally.current());
        }
        None => {}
    });
    tally.close_binary();
    let words = format!(
        "{} in {} binaries; built in {}, ran in {}",
        tally.line(),
        tally.binaries.len(),
        seconds(built),
        seconds(started.elapsed().saturating_sub(built))
    );
    let outcome = match captured {
        Err(error) => Outcome::Failed(format!("{error:#}, in the middle of {}", tally.current())),
        Ok(captured) if captured.success && tally.failed == 0 => Outcome::Passed(words),
        Ok(_) => Outcome::Failed(words),
    };
    Ok((outcome, Some(tally)))
}

/// What the tests said so far.
#[derive(Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The binary that runs now, and since when.
    running: Option<(String, Instant)>,
    binaries: Vec<(String, Duration)>,
    failures: Vec<String>,
}

impl Tally {
    /// Reads one line of cargo or of a test binary.
    fn read(&mut self, line: &str) {
        let line = without_colour(line);
        let line = line.trim();
        if let Some(name) = binary(line) {
            self.close_binary();
            self.running = Some((name, Instant::now()));
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            let of = self.running.as_ref().map_or("", |(binary, _)| binary);
            self.failures.push(format!("{name} (in {of})"));
        }
    }

    fn close_binary(&mut self) {
        if let Some((name, since)) = self.running.take() {
            self.binaries.push((name, since.elapsed()));
        }
    }

    fn current(&self) -> &str {
        let running = self.running.as_ref().map(|(name, _)| name);
        running.or(self.binaries.last().map(|(name, _)| name)).map_or("cargo", String::as_str)
    }

    /// The sum in the words that every test runner uses.
    pub(super) fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.ignored)
    }

    pub(super) fn slowest(&self) -> String {
        let mut slow: Vec<&(String, Duration)> = self.binaries.iter().filter(|(_, time)| *time >= SLOW).collect();
        slow.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
        let lines: Vec<String> =
            slow.iter().take(SLOWEST).map(|(name, time)| format!("  {:>12}  {name}\n", seconds(*time))).collect();
        if lines.is_empty() { String::new() } else { format!("\nthe slowest tests:\n{}", lines.concat()) }
    }

    pub(super) fn failures(&self) -> String {
        let lines: Vec<String> = self.failures.iter().map(|name| format!("  {name}\n")).collect();
        if lines.is_empty() { String::new() } else { format!("\nwhat failed:\n{}", lines.concat()) }
    }
}

/// The binary that cargo says it starts: the source file, and the crate by the binary's name.
fn binary(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (doc tests)"));
    }
    let (source, path) = line.strip_prefix("Running ")?.split_once(" (")?;
    let file = path.strip_suffix(')')?.rsplit(['/', '\\']).next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    Some(format!("{name} ({})", source.trim_start_matches("unittests ")))
}

/// `12` of `ok. 12 passed; 0 failed; ..`.
fn count(counts: &str, word: &str) -> u64 {
    let mut words = counts.split([' ', ';']).filter(|part| !part.is_empty()).rev();
    words.by_ref().find(|part| *part == word).and_then(|_| words.next()).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        if sign == '\u{1b}' {
            // An escape sequence of a terminal ends with its first letter.
            signs.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(sign);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = "\
        \u{1b}[1m\u{1b}[92m     Running\u{1b}[0m unittests src/lib.rs (target/debug/deps/conclave_federation-0f3a)\n\
        running 2 tests\n\
        test wire::golden ... ok\n\
        test wire::truncated ... FAILED\n\
        test result: FAILED. 1 passed; 1 failed; 3 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        \x20    Running tests/kill.rs (target/debug/deps/kill-77)\n\
        test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s\n\
        \x20  Doc-tests conclave\n\
        test client-core/native/src/lib.rs - (line 12) ... ok\n\
        test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.30s\n";

    fn tally() -> Tally {
        let mut tally = Tally::default();
        WORDS.lines().for_each(|line| tally.read(line));
        tally.close_binary();
        tally
    }

    #[test]
    fn what_the_binaries_say_is_summed() {
        let tally = tally();
        assert_eq!(tally.line(), "6 passed, 1 failed, 3 skipped");
        let names: Vec<&str> = tally.binaries.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["conclave_federation (src/lib.rs)", "kill (tests/kill.rs)", "conclave (doc tests)"]);
    }

    #[test]
    fn what_failed_is_named_with_its_binary() {
        assert_eq!(tally().failures(), "\nwhat failed:\n  wire::truncated (in conclave_federation (src/lib.rs))\n");
    }

    #[test]
    fn the_slowest_come_first_and_quick_ones_are_not_mentioned() {
        let tally = Tally {
            binaries: vec![
                ("quick".into(), Duration::from_millis(10)),
                ("slow".into(), Duration::from_secs(3)),
                ("slower".into(), Duration::from_secs(70)),
            ],
            ..Tally::default()
        };
        assert_eq!(tally.slowest(), "\nthe slowest tests:\n    1 min 10 s  slower\n         3.0 s  slow\n");
    }

    #[test]
    fn a_line_that_is_no_count_counts_nothing() {
        assert_eq!(count("ok. many passed; 2 failed", "passed"), 0);
        assert_eq!(count("ok. many passed; 2 failed", "failed"), 2);
        assert_eq!(count("", "failed"), 0);
    }
}

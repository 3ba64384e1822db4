//! Says what is going on while something takes longer than a moment.
//!
//! A terminal gets a spinner with the seconds; a log gets one line at the start, one every half minute and one
//! at the end, so that nobody has to guess whether a silent build is alive.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a log is told that a task still runs. Shorter fills logs, longer looks like a hang.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// One thing that is being waited for.
pub(crate) struct Task {
    what: String,
    started: Instant,
    last_word: Instant,
    spinner: Option<ProgressBar>,
}

impl Task {
    pub(crate) fn start(what: impl Into<String>) -> Self {
        let what = what.into();
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {spinner} {msg} ({elapsed})")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let spinner = ProgressBar::new_spinner().with_style(style).with_message(what.clone());
            spinner.enable_steady_tick(TURN);
            spinner
        });
        if spinner.is_none() {
            eprintln!("  {what} ...");
        }
        let now = Instant::now();
        Self { what, started: now, last_word: now, spinner }
    }

    /// To be called now and then while the task runs.
    pub(crate) fn tick(&mut self) {
        if self.spinner.is_none() && self.last_word.elapsed() >= HEARTBEAT {
            self.last_word = Instant::now();
            eprintln!("  {} ... {}", self.what, seconds(self.started.elapsed()));
        }
    }

    /// How long it has been going on.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn done(self) {
        self.end("done");
    }

    pub(crate) fn failed(self) {
        self.end("failed");
    }

    fn end(self, how: &str) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
        eprintln!("  {}: {how} after {}", self.what, seconds(self.started.elapsed()));
    }
}

/// The heading over everything that one step prints.
pub(crate) fn heading(text: impl Display) {
    if std::io::stderr().is_terminal() {
        eprintln!("\n\x1b[1m== {text}\x1b[0m");
    } else {
        eprintln!("\n== {text}");
    }
}

/// A duration as a person says it: tenths under a minute, then minutes and seconds.
pub(crate) fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(60) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        let whole = duration.as_secs();
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_said_in_tenths_and_then_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(60)), "1 min 00 s");
        assert_eq!(seconds(Duration::from_secs(725)), "12 min 05 s");
    }
}

//! `cargo xtask test`: everything that has to hold before a change is accepted, with a table of what took how long.
//!
//! A step that fails does not stop the others: one run says all that is wrong.

mod cargo_test;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;

use crate::progress::{heading, seconds};
use cargo_test::Tally;

/// Which of the steps to take.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Take this step and no other; may be given several times
    #[arg(long, value_enum, value_name = "STEP")]
    only: Vec<Step>,
    /// Leave this step out; may be given several times
    #[arg(long, value_enum, value_name = "STEP")]
    skip: Vec<Step>,
    /// Say what the steps are, and do nothing
    #[arg(long)]
    list: bool,
}

/// One thing that is checked; the order is the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// cargo fmt: nobody has to talk about where a brace goes
    Format,
    /// cargo clippy on everything, without a warning
    Clippy,
    /// Who may depend on whom, from cargo's metadata and the pure crates' sources
    Walls,
    /// The pure crates build for the browser
    Wasm,
    /// What a relay hands to browsers: core, SDK and page, as people load them
    Web,
    /// Two pages in a real Chromium, a participant without a browser, and a page behind a firewall talk over relays
    Browser,
    /// cargo test on everything: unit, golden, property, simulator, loopback and process tests, doc tests
    Tests,
    /// cargo deny, where it is installed: licences, advisories, sources
    Deny,
}

/// How a step ended.
pub(crate) enum Outcome {
    Passed(String),
    Failed(String),
    /// It could not be done here, and that is nobody's fault.
    NotRun(String),
}

/// A step that was taken.
struct Taken {
    step: Step,
    outcome: Outcome,
    time: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.list {
        for step in Step::value_variants() {
            println!("{:8}  {}", step.name(), step.help());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let mut tally = None;
    let taken: Vec<Taken> = chosen(options).into_iter().map(|step| take(step, &mut tally)).collect();
    if let Some(tally) = &tally {
        print!("{}", tally.slowest());
        print!("{}", tally.failures());
    }
    println!("\n{}", table(&taken, started.elapsed()));
    if let Some(tally) = &tally {
        println!("\n{}", tally.line());
    }
    let is_good = taken.iter().all(|taken| !matches!(taken.outcome, Outcome::Failed(_)));
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(options: &Options) -> Vec<Step> {
    Step::value_variants()
        .iter()
        .copied()
        .filter(|step| options.only.is_empty() || options.only.contains(step))
        .filter(|step| !options.skip.contains(step))
        .collect()
}

fn take(step: Step, tally: &mut Option<Tally>) -> Taken {
    heading(format!("{}: {}", step.name(), step.help()));
    let started = Instant::now();
    let outcome = match step {
        Step::Format => steps::format(),
        Step::Clippy => steps::clippy(),
        Step::Walls => steps::walls(),
        Step::Wasm => steps::wasm(),
        Step::Web => steps::web(),
        Step::Browser => steps::browser(),
        Step::Tests => cargo_test::run().map(|(outcome, counted)| {
            *tally = counted;
            outcome
        }),
        Step::Deny => steps::deny(),
    };
    let outcome = outcome.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
    if let Outcome::Failed(words) | Outcome::NotRun(words) = &outcome {
        eprintln!("  {words}");
    }
    Taken { step, outcome, time: started.elapsed() }
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn help(self) -> String {
        self.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::NotRun(_) => "NOT RUN",
        }
    }

    /// The first line of what there is to say; the rest was said when it happened.
    fn words(&self) -> &str {
        let (Self::Passed(words) | Self::Failed(words) | Self::NotRun(words)) = self;
        words.lines().next().unwrap_or_default()
    }
}

fn table(taken: &[Taken], total: Duration) -> String {
    let mut lines: Vec<String> = taken
        .iter()
        .map(|Taken { step, outcome, time }| {
            format!("{:8}  {:7}  {:>12}  {}", step.name(), outcome.word(), seconds(*time), outcome.words())
        })
        .collect();
    lines.push(format!("{:8}  {:7}  {:>12}", "total", "", seconds(total)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(only: &[Step], skip: &[Step]) -> Options {
        Options { only: only.to_vec(), skip: skip.to_vec(), list: false }
    }

    #[test]
    fn every_step_is_taken_unless_some_are_chosen() {
        assert_eq!(chosen(&options(&[], &[])), Step::value_variants());
        assert_eq!(chosen(&options(&[Step::Tests, Step::Walls], &[])), [Step::Walls, Step::Tests]);
        assert_eq!(chosen(&options(&[Step::Walls], &[Step::Walls])), []);
        assert!(!chosen(&options(&[], &[Step::Wasm])).contains(&Step::Wasm));
    }

    #[test]
    fn every_step_says_what_it_is_for() {
        for step in Step::value_variants() {
            assert!(!step.name().is_empty());
            assert!(!step.help().is_empty(), "{step:?}");
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_step_and_the_total() {
        let taken = [
            Taken { step: Step::Format, outcome: Outcome::Passed("fine".into()), time: Duration::from_millis(1_500) },
            Taken { step: Step::Tests, outcome: Outcome::Failed("two\nlines".into()), time: Duration::from_secs(61) },
        ];
        let expected =
            ["format    passed          1.5 s  fine", "tests     FAILED     1 min 01 s  two", "total                1 min 03 s"];
        assert_eq!(table(&taken, Duration::from_secs(63)), expected.join("\n"));
    }
}

//! `cargo xtask browser`: two pages in a real Chromium talk over two relays of two operators, a participant without a browser
//! joins them, and a third page comes for which UDP is blocked. Then one listens where its microphone hears its loudspeaker.
//!
//! Everything runs on loopback, in processes that end with this one. Camera and microphone are files ([`fakes`]); the pages are
//! driven by scripts in `client-core/web/tests`, which say what they saw and heard in numbers; [`judge`] says whether it is enough.

mod chromium;
mod echo;
mod fakes;
mod judge;
mod native;
mod pictures;
mod report;
mod script;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::chromium::Chromium;
use self::fakes::Fakes;
use self::native::Guest;
use self::report::{Native, Seen};
use self::script::{Ask, Line, Next, Script};
use crate::call::check::{Check, verdict};
use crate::call::folder::Folder;
use crate::call::programs::{self, Programs};
use crate::call::relays::{Kind, Plan, Relays};
use crate::progress::{Task, heading};
use crate::shell;
use crate::web;

/// The operators. The first is the room's, and the last is the one whose page is behind a firewall that lets only TCP through.
const OPERATORS: [&str; 3] = ["Alder", "Birch", "Cedar"];
const TCP_ONLY: usize = 2;

/// Longer than any single thing that the script waits for.
const SILENCE: Duration = Duration::from_secs(90);

/// What can be tried without a browser: it is loaded as it was built.
const SCRIPT_TESTS: &[&str] =
    &["tests/measure.test.mjs", "tests/page.test.mjs", "sdk/tests/rules.test.mjs", "sdk/tests/speaker.test.mjs"];

/// How often the script and the participant are listened to.
const LOOK: Duration = Duration::from_millis(50);

/// How `cargo xtask browser` can be run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Build the page quickly instead of as people load it
    #[arg(long)]
    dev: bool,
    /// Make the pictures in deploy/pictures anew, and check nothing
    #[arg(long)]
    pictures: bool,
    /// Write what was seen and what was checked as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep relays' folders, recordings and logs in this folder; it must not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let build = if options.dev { web::Build::Dev } else { web::Build::Release };
    heading("building");
    let page = match web::build(build, None)? {
        web::Outcome::Built(folder, sizes) => Page { folder, sizes },
        web::Outcome::Broken(words) | web::Outcome::Unavailable(words) => bail!("there is no page to try: {words}"),
    };
    let (stage, mut folder) = Stage::set(page, options.keep.as_deref())?;
    if options.pictures {
        heading("pictures of the page");
        pictures::take(&stage, &folder.path)?;
        return Ok(ExitCode::SUCCESS);
    }
    heading("a call between browsers");
    let outcome = stage.play(&mut folder)?;
    eprint!("{}", outcome.text);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&json!({"checks": outcome.checks, "seen": outcome.seen}))?;
        std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(if outcome.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How the step of `cargo xtask test` ended.
pub(crate) enum Outcome {
    Held(String),
    Failed(String),
    /// It could not be tried here, and why.
    Unavailable(String),
}

/// The step of `cargo xtask test`: with the page as people load it, which the step before has built.
pub(crate) fn step() -> Result<Outcome> {
    let page = match web::build(web::Build::Release, None)? {
        web::Outcome::Built(folder, sizes) => Page { folder, sizes },
        web::Outcome::Broken(words) => return Ok(Outcome::Failed(words)),
        web::Outcome::Unavailable(words) => return Ok(Outcome::Unavailable(words)),
    };
    if let Err(error) = chromium::chromium().and_then(|_| echo::available()) {
        return Ok(Outcome::Unavailable(format!("{error:#}")));
    }
    let (stage, mut folder) = Stage::set(page, None)?;
    let played = stage.play(&mut folder)?;
    eprint!("{}", played.text);
    let line = played.line(&stage.page.sizes);
    Ok(if played.is_good() { Outcome::Held(line) } else { Outcome::Failed(line) })
}

/// What browsers load.
struct Page {
    folder: PathBuf,
    sizes: String,
}

/// Everything that is needed before anybody plays.
struct Stage {
    page: Page,
    programs: Programs,
    chromium: Chromium,
    fakes: Fakes,
}

/// What was played.
struct Played {
    seen: Value,
    checks: Vec<Check>,
    /// For people.
    text: String,
    /// The numbers that matter, in a line.
    numbers: String,
}

impl Stage {
    fn set(page: Page, keep: Option<&Path>) -> Result<(Self, Folder)> {
        let programs = programs::build()?;
        web::packages()?;
        let chromium = chromium::chromium()?;
        // Relative to nothing: the browser has a working folder of its own.
        let target = page.folder.parent().context("the page has no folder")?;
        let fakes = fakes::make(&target.join("browser-fakes"))?;
        echo::available()?;
        let mut node = Command::new("node");
        node.arg("--test").args(SCRIPT_TESTS.iter().map(|path| shell::root().join("client-core/web").join(path)));
        shell::quiet("trying the deciding parts of SDK, page and scripts in node", SILENCE, &mut node)?;
        let folder = Folder::new("browser", keep)?;
        Ok((Self { page, programs, chromium, fakes }, folder))
    }

    fn relays(&self, folder: &Path) -> Result<Relays> {
        let plan = Plan { operators: &OPERATORS, kind: Kind::Shipped, web: Some(&self.page.folder), tcp_only: Some(TCP_ONLY) };
        Relays::start(&self.programs, &plan, folder)
    }

    /// The first line of a script: everything that it cannot know.
    fn settings(&self, relays: &Relays, folder: &Path) -> Result<Value> {
        let origin = |index: usize| -> Result<String> {
            Ok(format!("http://{}", relays.0.get(index).context("no relay of that number")?.web))
        };
        Ok(json!({
            "chromium": self.chromium.path,
            "camera": self.fakes.camera,
            "microphone": self.fakes.microphone,
            "alder": origin(0)?,
            "birch": origin(1)?,
            "tcp": origin(TCP_ONLY)?,
            "native": native::NAME,
            "folder": folder,
        }))
    }

    /// The whole call. When something goes wrong, all that is known of it stays in the folder.
    fn play(&self, folder: &mut Folder) -> Result<Played> {
        let outcome = self.try_to_play(&folder.path);
        let is_good = outcome.as_ref().is_ok_and(Played::is_good);
        if !is_good {
            eprintln!("  logs, recordings and pictures of the pages stay in {}", folder.keep().display());
        }
        outcome
    }

    fn try_to_play(&self, folder: &Path) -> Result<Played> {
        let started = Instant::now();
        let relays = self.relays(folder)?;
        let mut script = Script::start("call.mjs", &folder.join("script.log"))?;
        script.answer(&self.settings(&relays, folder)?)?;
        let mut guest = None;
        let mut task = Task::start("the browser starts");
        let seen = loop {
            if let Some(guest) = &mut guest {
                Guest::listen(guest);
            }
            match script.next(LOOK) {
                Ok(Next::Nothing) => {
                    task.tick();
                    if task.age() > SILENCE {
                        task.failed();
                        bail!("the script said nothing for {} s", SILENCE.as_secs());
                    }
                }
                Ok(Next::Line(Line::Say { say })) => {
                    task.done();
                    task = Task::start(say);
                }
                Ok(Next::Line(Line::Ask(what))) => {
                    let answer = self.act(what, &relays, folder, &mut guest)?;
                    script.answer(&answer)?;
                }
                Ok(Next::Line(Line::Report { report })) => {
                    task.done();
                    break report;
                }
                Ok(Next::Line(Line::Failed { failed, r#where, states, complaints })) => {
                    task.failed();
                    let known = format!("{failed}\n{}\n{:#}\n{}\n", r#where, states, complaints.join("\n"));
                    std::fs::write(folder.join("pages.txt"), known).context("what the pages showed cannot be kept")?;
                    for complaint in complaints.iter().take(8) {
                        eprintln!("    {complaint}");
                    }
                    bail!("{failed}");
                }
                Ok(Next::Gone) => {
                    task.failed();
                    let log = std::fs::read_to_string(folder.join("script.log")).unwrap_or_default();
                    bail!("the script ended before its end: {}", log.trim());
                }
                Err(error) => {
                    task.failed();
                    return Err(error);
                }
            }
        };
        drop(script);
        let native = guest.map(Guest::told).context("nobody without a browser took part")?;
        relays.stop()?;
        std::fs::write(folder.join("seen.json"), format!("{seen:#}\n")).context("what was seen cannot be kept")?;
        let echo = echo::listen(self, folder)?;
        self.judged(seen, &native, echo, started.elapsed())
    }

    /// Does what the script cannot do itself.
    fn act(&self, what: Ask, relays: &Relays, folder: &Path, guest: &mut Option<Guest>) -> Result<Value> {
        match what {
            Ask::Native { link } => {
                let relay = relays.0.get(1).context("no relay of that number")?;
                let mut new = Guest::start(&self.programs, &relay.entry, folder, &link)?;
                new.joins()?;
                *guest = Some(new);
                Ok(json!({}))
            }
            Ask::Chat { text } => {
                guest.as_mut().context("nobody without a browser is there")?.chat(&text);
                Ok(json!({}))
            }
            Ask::BrowserLink => {
                let link = guest.as_ref().context("nobody without a browser is there")?.link();
                let relay = relays.0.get(TCP_ONLY).context("no relay of that number")?;
                Ok(json!({"link": relay.browser_link(link).context("the room's link has no secret part")?}))
            }
            Ask::BlockedNative { link } => {
                let relay = relays.0.get(TCP_ONLY).context("no relay of that number")?;
                let entry = relay.web_entry().context("the relay's entry has no id")?;
                Guest::blocked(&self.programs, &entry, folder, &link)
            }
            Ask::NativeLeaves => {
                let files = guest.as_mut().context("nobody without a browser is there")?.leaves()?;
                Ok(json!({"files": files}))
            }
        }
    }

    fn judged(&self, value: Value, native: &Native, echo: Check, took: Duration) -> Result<Played> {
        let seen: Seen = serde_json::from_value(value.clone()).context("the script's report has another shape")?;
        let mut checks = judge::all(&seen, native);
        checks.push(echo);
        let mut text = judge::measured(&seen);
        text.push_str(&verdict(&checks));
        text.push_str(&format!(
            "\n  {} (as playwright names it: {}); {}; the calls took {}\n",
            self.chromium.version,
            seen.browser,
            self.page.sizes,
            crate::progress::seconds(took)
        ));
        Ok(Played { seen: value, numbers: judge::line(&seen), checks, text })
    }
}

impl Played {
    fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    /// For the table of `cargo xtask test`.
    fn line(&self, sizes: &str) -> String {
        let bad: Vec<&str> = self.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
        if bad.is_empty() {
            format!("{}; {sizes}", self.numbers)
        } else {
            format!("does not hold: {}; {}", bad.join(", "), self.numbers)
        }
    }
}

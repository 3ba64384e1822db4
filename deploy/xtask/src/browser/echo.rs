//! Whether what a page plays comes back to the others as echo.
//!
//! Somebody speaks in a call, and a page listens on a machine whose microphone hears its loudspeaker: a sound server of its
//! own is that room. What the page would send is compared with and without the browser's echo canceller. Without it the echo
//! has to be there, so the check can fail.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::Stage;
use super::native::Guest;
use crate::call::check::Check;
use crate::call::relays::{Kind, Plan, Relays};
use crate::{packages, shell};

/// The sound server and what it is asked with.
const PROGRAMS: &[&str] = &["pulseaudio", "pactl"];
const PACKAGES: &[&str] = &["pulseaudio", "pulseaudio-utils"];

/// The script says nothing until its end, after two visits of half a minute at most.
const PATIENCE: Duration = Duration::from_secs(150);

/// Softer than this, the room has no echo that could be cancelled.
const AUDIBLE: f64 = 0.005;

/// What has to be taken away at least; a canceller that is not told what is played takes nothing.
const LEAST_DB: f64 = 20.0;

/// What the script prints.
#[derive(Debug, Deserialize)]
struct Heard {
    without: Visit,
    cancelled: Visit,
    decibels: f64,
}

/// Loudness while somebody speaks, in root mean square.
#[derive(Debug, Deserialize)]
struct Visit {
    played: f64,
    microphone: f64,
    /// What the page asked of the microphone.
    asked: Vec<bool>,
    /// What it got.
    settings: Vec<bool>,
}

/// The sound server, installed where it is missing; or why it cannot be.
pub(super) fn available() -> Result<()> {
    if PROGRAMS.iter().all(|program| shell::answers(Command::new(program).arg("--version"))) {
        return Ok(());
    }
    packages::install("sound server", PACKAGES, "install pulseaudio with pactl")
}

pub(super) fn listen(stage: &Stage, folder: &Path) -> Result<Check> {
    let plan = Plan { operators: &["Alder"], kind: Kind::Shipped, web: Some(&stage.page.folder), tcp_only: None };
    let home = folder.join("echo");
    std::fs::create_dir_all(&home).context("the folder for the echo cannot be made")?;
    let relays = Relays::start(&stage.programs, &plan, &home)?;
    let relay = relays.0.first().context("there is no relay")?;
    let mut speaker = Guest::speaks(&stage.programs, &relay.entry, &home)?;
    let link = relay.browser_link(speaker.link()).context("the room's link has no secret part")?;
    let options = json!({"chromium": stage.chromium.path, "link": link}).to_string();
    let mut node = Command::new("node");
    node.arg(shell::root().join("client-core/web/tests/echo.mjs")).arg(options);
    let told = shell::quiet("a page listens where the microphone hears the loudspeaker", PATIENCE, &mut node)?;
    speaker.leaves()?;
    relays.stop()?;
    let line = told.lines().last().context("the script about the echo says nothing")?;
    Ok(judge(&serde_json::from_str(line).context("the script about the echo says something else")?))
}

fn judge(heard: &Heard) -> Check {
    let Heard { without, cancelled, decibels } = heard;
    let mut problems = Vec::new();
    if without.microphone < AUDIBLE || without.played < AUDIBLE || cancelled.played < AUDIBLE {
        problems.push(format!(
            "there was nothing to cancel: {:.4} played, {:.4} came back without the canceller",
            without.played, without.microphone
        ));
    }
    if without.asked.iter().chain(&cancelled.asked).any(|asked| !asked) || cancelled.settings != [true] {
        problems.push("the page does not ask for the browser's echo canceller".to_owned());
    }
    if *decibels < LEAST_DB {
        problems.push(format!("{:.4} of {:.4} came back", cancelled.microphone, cancelled.played));
    }
    let aim = format!("dB less echo by the browser's canceller, at least {LEAST_DB}: it hears what the page plays");
    Check::new("no_echo", json!(decibels.round()), aim, problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(played: f64, microphone: f64) -> Visit {
        Visit { played, microphone, asked: vec![true], settings: vec![true] }
    }

    #[test]
    fn an_echo_that_was_never_there_is_not_taken_for_one_that_was_cancelled() {
        let heard = |without, cancelled, decibels| judge(&Heard { without, cancelled, decibels });
        assert!(heard(visit(0.06, 0.03), visit(0.06, 0.0001), 49.5).ok);
        assert!(!heard(visit(0.06, 0.03), visit(0.06, 0.02), 3.5).ok);
        assert!(!heard(visit(0.0, 0.0), visit(0.0, 0.0), 60.0).ok);
        assert!(!heard(visit(0.06, 0.03), Visit { settings: vec![false], ..visit(0.06, 0.0001) }, 49.5).ok);
    }
}

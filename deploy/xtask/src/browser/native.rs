//! The participant without a browser: publishes the samples, records everybody, and says what it met.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::report::Native;
use crate::call::programs::Programs;
use crate::call::seat::{Exit, Heard, Part, Seat, Stage};
use crate::shell;

/// What it is called.
pub(crate) const NAME: &str = "Heron";

/// What another one is called, for whom UDP is blocked; it sends nothing and stays a moment.
const BLOCKED: &str = "Robin";

/// A joiner that has not got in by then is not going to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Recordings are written and read back after leaving; then it is gone.
const FAREWELL: Duration = Duration::from_secs(20);

const LOOK: Duration = Duration::from_millis(50);

/// Lines that wait to be read.
const WAITING: usize = 4_096;

/// Stays until it is asked to leave.
const PART: Part = Part {
    name: NAME,
    operator: 1,
    publishes: &["camera-1.ivf", "voice-1.ogg"],
    screen: None,
    comes: Duration::ZERO,
    goes: None,
};

/// The running program.
pub(crate) struct Guest {
    seat: Seat,
    heard: Receiver<Heard>,
    link: String,
}

impl Guest {
    pub(crate) fn start(programs: &Programs, entry: &str, folder: &Path, link: &str) -> Result<Self> {
        Self::begin(PART, programs, entry, folder, Some(link))
    }

    /// Somebody who begins a call and speaks in it, at the only relay.
    pub(crate) fn speaks(programs: &Programs, entry: &str, folder: &Path) -> Result<Self> {
        let part = Part { operator: 0, publishes: &["voice-1.ogg"], ..PART };
        let mut guest = Self::begin(part, programs, entry, folder, None)?;
        guest.joins()?;
        guest.link = guest.seat.told.link.clone().context("the participant without a browser printed no link")?;
        Ok(guest)
    }

    fn begin(part: Part, programs: &Programs, entry: &str, folder: &Path, link: Option<&str>) -> Result<Self> {
        let (sender, heard) = sync_channel(WAITING);
        let media = shell::root().join("deploy/media");
        let stage = Stage {
            program: &programs.participant,
            hands_out_secrets: false,
            title: "",
            mark: "",
            media: &media,
            folder,
            heard: sender,
        };
        let seat = Seat::start(&stage, 0, part, entry, link)?;
        Ok(Self { seat, heard, link: link.unwrap_or_default().to_owned() })
    }

    /// Takes what it printed so far.
    pub(crate) fn listen(&mut self) {
        while let Ok((_, line)) = self.heard.try_recv() {
            self.seat.hear(line.as_deref());
        }
    }

    fn wait(&mut self, time: Duration, mut until: impl FnMut(&Seat) -> bool) -> bool {
        let deadline = Instant::now() + time;
        while !until(&self.seat) {
            if Instant::now() > deadline {
                return false;
            }
            if let Ok((_, line)) = self.heard.recv_timeout(LOOK) {
                self.seat.hear(line.as_deref());
            }
        }
        true
    }

    /// Until it is in.
    pub(crate) fn joins(&mut self) -> Result<()> {
        self.wait(PATIENCE, |seat| seat.told.joined_t.is_some() || !seat.is_running());
        if self.seat.told.joined_t.is_none() {
            let reason = self.seat.told.ended.as_ref().map_or("it says nothing", |(reason, _)| reason.as_str());
            bail!("the participant without a browser did not get in: {reason} {}", self.seat.log());
        }
        Ok(())
    }

    pub(crate) fn chat(&mut self, text: &str) {
        self.seat.chat(text);
    }

    /// The room's link, as it was given to it.
    pub(crate) fn link(&self) -> &str {
        &self.link
    }

    /// Until it has left and its recordings are whole; says where they are.
    pub(crate) fn leaves(&mut self) -> Result<Vec<PathBuf>> {
        self.seat.go(Exit::Leaves);
        if !self.wait(FAREWELL, |seat| !seat.is_running()) {
            bail!("the participant without a browser did not leave in {} s", FAREWELL.as_secs());
        }
        Ok(self.files())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(self.seat.recordings()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    /// Another one comes by an entry at which UDP goes nowhere, and leaves; says how it got in.
    pub(crate) fn blocked(programs: &Programs, entry: &str, folder: &Path, link: &str) -> Result<Value> {
        let part = Part { name: BLOCKED, operator: 2, publishes: &[], ..PART };
        let mut guest = Self::begin(part, programs, entry, folder, Some(link))?;
        guest.joins()?;
        let how = json!({"transport": guest.seat.told.transport, "join_ms": guest.seat.told.join_ms});
        guest.leaves()?;
        Ok(how)
    }

    /// What it said in all.
    pub(crate) fn told(mut self) -> Native {
        self.listen();
        let recordings = self.files().iter().map(|file| played(file)).collect();
        let told = &self.seat.told;
        let mut names: std::collections::BTreeSet<String> = told.names.values().cloned().collect();
        names.insert(NAME.to_owned());
        Native {
            name: NAME.to_owned(),
            names,
            codes: told.codes.clone(),
            chats: told.chats.iter().map(|(_, text)| text.clone()).collect(),
            recordings,
            ended_well: told.ended.as_ref().is_some_and(|(_, ok)| *ok),
        }
    }
}

/// Whether a recording plays, read from its first byte to its last.
fn played(file: &Path) -> Result<String, String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match conclave_media::probe(file) {
        Ok(summary) if summary.frames > 0 => Ok(format!("{name}: {} frames of {}", summary.frames, summary.codec)),
        Ok(_) => Err(format!("the recording {name} has no frames")),
        Err(error) => Err(format!("the recording {name}: {error}")),
    }
}

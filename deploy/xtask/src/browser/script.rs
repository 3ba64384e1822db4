//! The script that drives the browser: a process that tells and asks in lines of JSON, and is never left behind.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::call::relays::terminate;
use crate::shell;

/// How long the browser may take to end when the script is asked to.
const FAREWELL: Duration = Duration::from_secs(10);

/// Lines that wait to be read here.
const WAITING: usize = 64;

/// A line of the script.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// What it does now.
    Say { say: String },
    /// Something that is done for it; it waits for the answer.
    Ask(Ask),
    /// The end: what it saw.
    Report { report: Value },
    /// The end: what went wrong, where in the script, and how the pages were.
    Failed { failed: String, r#where: String, states: Value, complaints: Vec<String> },
}

/// What a script may ask for.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Ask {
    /// A participant without a browser joins.
    Native { link: String },
    /// It says something.
    Chat { text: String },
    /// The link of its call as a page opens it for which UDP is blocked.
    BrowserLink,
    /// Another one comes for which UDP is blocked, and goes.
    BlockedNative { link: String },
    /// It leaves and closes its recordings.
    NativeLeaves,
}

/// A running script.
pub(crate) struct Script {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Script {
    /// Starts one of those in `client-core/web/tests`. What node itself says goes into the log.
    pub(crate) fn start(name: &str, log: &Path) -> Result<Self> {
        let log = File::create(log).context("the script's log cannot be made")?;
        let mut child = Command::new("node")
            .arg(shell::root().join("client-core/web/tests").join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("node cannot be started")?;
        let output = child.stdout.take().context("the script has no output")?;
        let stdin = child.stdin.take();
        let (sender, lines) = sync_channel(WAITING);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, stdin, lines })
    }

    /// The answer to what it asked, or its first line.
    pub(crate) fn answer(&mut self, value: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the script has no input")?;
        writeln!(stdin, "{value}").and_then(|()| stdin.flush()).context("the script does not listen any more")
    }

    /// The next line, when there is one within this time; `Gone` at the end.
    pub(crate) fn next(&mut self, time: Duration) -> Result<Next> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Ok(Next::Line(
                serde_json::from_str(&line).with_context(|| format!("the script says what nobody here understands: {line}"))?,
            )),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::Gone),
        }
    }
}

/// What [`Script::next`] found.
#[derive(Debug)]
pub(crate) enum Next {
    Line(Line),
    Nothing,
    Gone,
}

impl Drop for Script {
    /// Asked first, so that it ends its browser; a killed one could not.
    fn drop(&mut self) {
        self.stdin = None;
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(&self.child);
        }
        let deadline = Instant::now() + FAREWELL;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            let _ = self.lines.recv_timeout(Duration::from_millis(50));
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

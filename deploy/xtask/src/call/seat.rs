//! A participant's process: started, listened to, and ended as its part says.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::SyncSender,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::relays::terminate;

/// A participant's part in a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Its name in the call, before a mark is added.
    pub(crate) name: &'static str,
    /// Index into the operators of the call.
    pub(crate) operator: usize,
    /// Files under `deploy/media` that it publishes.
    pub(crate) publishes: &'static [&'static str],
    /// A second video, as a screen share.
    pub(crate) screen: Option<&'static str>,
    /// When it comes, counted from the beginning of the call.
    pub(crate) comes: Duration,
    /// When and how it goes, counted alike.
    pub(crate) goes: Option<(Duration, Exit)>,
}

/// How a participant goes before the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Says so: SIGTERM, which the program takes as leaving.
    Leaves,
    /// `kill -9`.
    Killed,
}

/// One line of a participant's `--json` output; the shape is documented with the participant.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Line {
    Link {
        link: String,
    },
    Joined {
        t: u64,
        me: String,
        epoch: u64,
        safety_code: String,
        join_ms: u64,
        #[serde(default)]
        transport: Option<String>,
        roster: Vec<Member>,
    },
    ParticipantJoined {
        participant: String,
        name: String,
    },
    ParticipantLeft {
        t: u64,
        participant: String,
        how: String,
    },
    FirstFrame {
        participant: String,
        kind: String,
        ms_since_join: u64,
    },
    ChatSent {
        t: u64,
        text: String,
    },
    Chat {
        participant: String,
        text: String,
    },
    Epoch {
        epoch: u64,
        safety_code: String,
    },
    Stats(Stats),
    Report(Report),
    Warning {
        text: String,
    },
    Ended {
        reason: String,
        ok: bool,
    },
    /// What the demo does not need.
    #[serde(other)]
    Other,
}

/// Somebody in a roster.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Member {
    pub(crate) participant: String,
    pub(crate) name: String,
}

/// Totals since the participant's start.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Stats {
    pub(crate) epoch: u64,
    #[serde(default)]
    pub(crate) roster_size: u64,
    pub(crate) sending: Vec<Sending>,
    pub(crate) receiving: Vec<Receiving>,
}

/// An own track.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sending {
    pub(crate) kind: String,
    pub(crate) frames: u64,
    pub(crate) bytes: u64,
}

/// Somebody else's track.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Receiving {
    pub(crate) participant: String,
    pub(crate) kind: String,
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    #[serde(default)]
    pub(crate) last_frame_age_ms: Option<u64>,
    #[serde(default)]
    pub(crate) latency_p50_us: Option<u64>,
    #[serde(default)]
    pub(crate) latency_p99_us: Option<u64>,
}

/// The last word.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) stats: Stats,
}

/// What a participant has told so far.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) link: Option<String>,
    pub(crate) me: Option<String>,
    pub(crate) joined_t: Option<u64>,
    pub(crate) join_ms: Option<u64>,
    /// How the bytes travelled when it came in.
    pub(crate) transport: Option<String>,
    pub(crate) names: BTreeMap<String, String>,
    pub(crate) left: BTreeMap<String, (u64, String)>,
    pub(crate) first_frames: Vec<(String, String, u64)>,
    pub(crate) chats_sent: Vec<(u64, String)>,
    pub(crate) chats: Vec<(String, String)>,
    pub(crate) codes: BTreeMap<u64, String>,
    pub(crate) stats: Option<Stats>,
    /// Whether `stats` is the last word.
    pub(crate) reported: bool,
    pub(crate) warnings: Vec<String>,
    pub(crate) ended: Option<(String, bool)>,
    pub(crate) unread: Vec<String>,
}

impl Told {
    fn hear(&mut self, line: Line) {
        match line {
            Line::Link { link } => self.link = Some(link),
            Line::Joined { t, me, epoch, safety_code, join_ms, transport, roster } => {
                self.transport = transport;
                self.joined_t.get_or_insert(t);
                self.join_ms.get_or_insert(join_ms);
                self.me = Some(me);
                self.codes.insert(epoch, safety_code);
                self.names.extend(roster.into_iter().map(|member| (member.participant, member.name)));
            }
            Line::ParticipantJoined { participant, name } => {
                self.names.insert(participant, name);
            }
            Line::ParticipantLeft { t, participant, how } => {
                self.left.insert(participant, (t, how));
            }
            Line::FirstFrame { participant, kind, ms_since_join } => self.first_frames.push((participant, kind, ms_since_join)),
            Line::ChatSent { t, text } => self.chats_sent.push((t, text)),
            Line::Chat { participant, text } => self.chats.push((participant, text)),
            Line::Epoch { epoch, safety_code } => {
                self.codes.insert(epoch, safety_code);
            }
            Line::Stats(stats) => self.stats = Some(stats),
            Line::Report(report) => {
                self.stats = Some(report.stats);
                self.reported = true;
            }
            Line::Warning { text } => self.warnings.push(text),
            Line::Ended { reason, ok } => self.ended = Some((reason, ok)),
            Line::Other => {}
        }
    }
}

/// A participant's place in the call.
pub(crate) struct Seat {
    pub(crate) part: Part,
    pub(crate) told: Told,
    /// Its folder: recordings, log, and the room's secrets as its own program handed them out.
    pub(crate) folder: PathBuf,
    /// When it was killed, milliseconds since 1970.
    pub(crate) killed_t: Option<u64>,
    /// When it was asked to leave, or the call ended for it.
    pub(crate) left_t: Option<u64>,
    child: Child,
    stdin: Option<ChildStdin>,
    running: bool,
}

/// What all participants have in common.
pub(crate) struct Stage<'a> {
    /// The participant: as shipped, or the one that hands out the room's secrets.
    pub(crate) program: &'a Path,
    /// Told to the program by its environment: where secrets go, if they are to be handed out.
    pub(crate) hands_out_secrets: bool,
    /// Of the room that somebody makes.
    pub(crate) title: &'a str,
    /// Added to every name.
    pub(crate) mark: &'a str,
    /// The samples.
    pub(crate) media: &'a Path,
    /// Each gets a folder of its own in it.
    pub(crate) folder: &'a Path,
    /// Where their lines go.
    pub(crate) heard: SyncSender<Heard>,
}

/// A participant's recordings, inside its folder.
const RECORDINGS: &str = "recordings";

/// The room's secrets as its own program handed them out, inside its folder: a name and hexadecimal digits a line.
pub(crate) const SECRETS: &str = "secrets.txt";

/// What a participant's process printed: its index, and the line; `None` at the end.
pub(crate) type Heard = (usize, Option<String>);

impl Seat {
    /// Starts the participant of this number at the relay of this entry; without a link it creates the room.
    pub(crate) fn start(stage: &Stage<'_>, index: usize, part: Part, entry: &str, link: Option<&str>) -> Result<Self> {
        let folder = stage.folder.join(part.name.to_lowercase());
        let records = folder.join(RECORDINGS);
        std::fs::create_dir_all(&records).context("a participant's folder cannot be made")?;
        let mut command = Command::new(stage.program);
        if stage.hands_out_secrets {
            command.env("CONCLAVE_GLASS", folder.join(SECRETS));
        }
        match link {
            None => command.arg("create").args(["--title", stage.title]),
            Some(link) => command.arg("join").arg(link),
        };
        command.args(["--relay", entry]).args(["--name", format!("{} {}", part.name, stage.mark).trim_end()]);
        for file in part.publishes {
            command.arg("--publish").arg(stage.media.join(file));
        }
        if let Some(file) = part.screen {
            command.arg("--screen").arg(stage.media.join(file));
        }
        command.arg("--record").arg(&records).args(["--chat-lines", "--json"]);
        let log = File::create(folder.join("participant.log")).context("a participant's log cannot be made")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} cannot be started", part.name))?;
        let output = child.stdout.take().context("the participant has no output")?;
        let stdin = child.stdin.take();
        let heard = stage.heard.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                if heard.send((index, Some(line))).is_err() {
                    return;
                }
            }
            let _ = heard.send((index, None));
        });
        Ok(Self { part, told: Told::default(), folder, killed_t: None, left_t: None, child, stdin, running: true })
    }

    /// Takes a line of its output.
    pub(crate) fn hear(&mut self, line: Option<&str>) {
        match line {
            None => self.running = false,
            Some(line) => match serde_json::from_str(line) {
                Ok(line) => self.told.hear(line),
                Err(error) => self.told.unread.push(format!("{error}: {line}")),
            },
        }
    }

    pub(crate) const fn is_running(&self) -> bool {
        self.running
    }

    /// Says something in the call.
    pub(crate) fn chat(&mut self, text: &str) {
        if let Some(stdin) = &mut self.stdin {
            let _ = writeln!(stdin, "{text}");
            let _ = stdin.flush();
        }
    }

    /// Leaves, or is killed.
    pub(crate) fn go(&mut self, how: Exit) {
        if self.killed_t.is_some() || self.left_t.is_some() {
            return;
        }
        let now = unix_ms();
        match how {
            Exit::Leaves => {
                terminate(&self.child);
                self.left_t = Some(now);
            }
            Exit::Killed => {
                let _ = self.child.kill();
                self.killed_t = Some(now);
            }
        }
    }

    /// Where its recordings are.
    pub(crate) fn recordings(&self) -> PathBuf {
        self.folder.join(RECORDINGS)
    }

    /// Its log, for when something went wrong.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("participant.log")).unwrap_or_default().trim().to_owned()
    }

    /// Whether it was in the call at this time and stayed for so long.
    pub(crate) fn was_here(&self, from: u64, until: u64) -> bool {
        let gone = self.killed_t.or(self.left_t).unwrap_or(u64::MAX);
        self.told.joined_t.is_some_and(|joined| joined <= from) && gone >= until
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

//! `cargo xtask demo`: a real call of half a minute across three operators, and a report that says whether it held.
//!
//! Real processes on loopback: three relays, each with keys, configuration, folder and ports of its own, and six participants,
//! each with one connection, to its own relay. Relays and participants are the shipped libraries; their mains are those of
//! `deploy/glass`, which write down what an operator's relay received and sent, and what the room's secrets were, so that the
//! one can be searched for the other.

mod cast;
mod checks;
mod leaks;
mod links;
mod marks;
mod report;
mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::mpsc::{Receiver, RecvTimeoutError, sync_channel},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use self::{
    cast::{CAST, END, LATE, OPERATORS, marker},
    checks::Evidence,
    leaks::Needles,
    links::Moment,
    report::Report,
    table::Table,
};
use crate::{
    call::{
        folder::Folder,
        programs::{self, Programs},
        relays::{self, Kind, Plan, Relays},
        seat::{Exit, Heard, SECRETS, Seat, Stage, unix_ms},
    },
    progress::{Task, heading},
    shell, web,
};

/// A joiner that has not got in by then is not going to.
const PATIENCE: Duration = Duration::from_secs(30);

/// Participants write their recordings and reports after the end; then they are gone.
const FAREWELL: Duration = Duration::from_secs(20);

/// How often relays are asked for their metrics, and the table is drawn.
const LOOK: Duration = Duration::from_secs(1);

/// When somebody says something, and who: an index into the cast.
const CHATS: [(u64, usize); 6] = [(6, 0), (7, 2), (16, 4), (17, 5), (18, 0), (26, 2)];

/// Between these everybody who comes has come, and the first to leave has not left: the links are measured here.
const WINDOW: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(21));

/// How `cargo xtask demo` can be run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write the report as JSON to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave the call running after the report, and say how to join it; ends with Ctrl-C
    #[arg(long)]
    stay: bool,
    /// Keep relays' folders, recordings and logs in this folder; it must not exist
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    heading("building");
    let programs = programs::build()?;
    let page = if options.stay { page() } else { None };
    let folder = Folder::new("demo", options.keep.as_deref())?;
    let media = folder.path.join("media");
    marks::mark(&shell::root().join("deploy/media"), &media)?;

    heading("a call across three operators");
    let relays = Relays::start(
        &programs,
        &Plan { operators: &OPERATORS, kind: Kind::Glass, web: page.as_deref(), tcp_only: None },
        &folder.path,
    )?;
    let mut call = Call::new(&programs, &relays, &media, &folder.path)?;
    call.play(options.stay)?;

    let stay = options.stay.then(|| call.seats.iter().find_map(|seat| seat.told.link.clone())).flatten();
    let joined = relays.0.get(1);
    if stay.is_none() {
        call.end()?;
    }
    let metrics = folder.path.join("metrics.txt");
    let samples: String = call.moments.iter().flat_map(|moment| &moment.relays).map(|sample| sample.text.as_str()).collect();
    std::fs::write(&metrics, samples).context("the metrics cannot be kept")?;
    let (found, needles) = search(&call, &relays, metrics)?;
    let evidence = Evidence {
        seats: &call.seats,
        moments: &call.moments,
        window: call.window(),
        leaks: &found,
        needles,
        ended_t: call.ended_t,
    };
    let report = Report::of(&evidence);
    eprint!("{}", report.text());
    if !report.ok {
        call.complain();
    }
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    if let Some((link, relay)) = stay.zip(joined) {
        eprint!("{}", invitation(&link, relay, page.is_some(), &programs.participant));
        eprintln!("  Ctrl-C ends it; recordings and logs stay in {}", folder.path.display());
        call.stay();
    }
    drop(call);
    relays.stop()?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder with the page, for those who join by a browser. The call goes on without it too.
fn page() -> Option<PathBuf> {
    match web::build(web::Build::Release, None) {
        Ok(web::Outcome::Built(folder, _)) => Some(folder),
        Ok(web::Outcome::Broken(words) | web::Outcome::Unavailable(words)) => {
            eprintln!("  The page for browsers could not be built, so only the command line can join: {words}");
            None
        }
        Err(error) => {
            eprintln!("  The page for browsers could not be built, so only the command line can join: {error:#}");
            None
        }
    }
}

/// How a person joins the call that goes on.
fn invitation(link: &str, relay: &relays::Relay, has_page: bool, participant: &Path) -> String {
    let mut text = "\n  The call goes on.".to_owned();
    if let Some(link) = relay.browser_link(link).filter(|_| has_page) {
        text.push_str(&format!(" Open this link in a browser on this machine:\n\n    {link}\n\n  or join"));
    } else {
        text.push_str(" Join it");
    }
    text.push_str(&format!(" by hand:\n\n    {} join '{link}' --relay {} --name Guest\n\n", participant.display(), relay.entry));
    text
}

/// The call while it is played.
struct Call<'a> {
    stage: Stage<'a>,
    relays: &'a Relays,
    heard: Receiver<Heard>,
    seats: Vec<Seat>,
    moments: Vec<Moment>,
    table: Table,
    ended_t: u64,
}

impl<'a> Call<'a> {
    /// The first participant creates the room.
    fn new(programs: &'a Programs, relays: &'a Relays, media: &'a Path, folder: &'a Path) -> Result<Self> {
        let (sender, heard) = sync_channel(4_096);
        let mut call = Self {
            stage: Stage {
                program: &programs.glass_participant,
                hands_out_secrets: true,
                title: marker::TITLE,
                mark: marker::NAME,
                media,
                folder,
                heard: sender,
            },
            relays,
            heard,
            seats: Vec::new(),
            moments: Vec::new(),
            table: Table::default(),
            ended_t: u64::MAX,
        };
        let task = Task::start("the first participant makes the room");
        call.enter(0, None)?;
        let deadline = Instant::now() + PATIENCE;
        while call.link().is_none() {
            if Instant::now() > deadline || call.seats.iter().any(|seat| !seat.is_running()) {
                task.failed();
                call.complain();
                bail!("the first participant could not make the room: its last words are above");
            }
            call.listen(Duration::from_millis(100));
        }
        task.done();
        Ok(call)
    }

    fn link(&self) -> Option<String> {
        let first = self.seats.first()?;
        first.told.joined_t?;
        first.told.link.clone()
    }

    fn enter(&mut self, index: usize, link: Option<&str>) -> Result<()> {
        let part = *CAST.get(index).context("nobody of that number")?;
        let relay = self.relays.0.get(part.operator).context("no relay of that number")?;
        let seat = Seat::start(&self.stage, index, part, &relay.entry, link)?;
        self.seats.push(seat);
        Ok(())
    }

    /// Takes what participants print, for so long.
    fn listen(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((index, line)) => {
                    if let Some(seat) = self.seats.get_mut(index) {
                        seat.hear(line.as_deref());
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Everybody comes, speaks and goes at their time.
    fn play(&mut self, stay: bool) -> Result<()> {
        let link = self.link().context("there is no link")?;
        let start = Instant::now();
        let mut next_look = LOOK;
        let mut said = 0;
        loop {
            let at = start.elapsed();
            while let Some(part) = CAST.get(self.seats.len())
                && part.comes <= at
            {
                if part.comes >= LATE && self.moments.last().is_none_or(|moment| moment.at + LOOK < part.comes) {
                    // Nobody comes before the emptiness of their relay was measured.
                    self.look(at.min(LATE.saturating_sub(Duration::from_millis(1))))?;
                }
                self.enter(self.seats.len(), Some(&link))?;
            }
            while let Some((when, who)) = CHATS.get(said)
                && Duration::from_secs(*when) <= at
            {
                if let Some(seat) = self.seats.get_mut(*who) {
                    seat.chat(&format!("message {said} {}", marker::CHAT));
                }
                said += 1;
            }
            for seat in &mut self.seats {
                if let Some((when, how)) = seat.part.goes
                    && when <= at
                {
                    seat.go(how);
                }
            }
            if at >= next_look {
                next_look += LOOK;
                self.look(at)?;
                self.table.draw(at, &self.seats, self.moments.last());
            }
            if at >= END {
                self.ended_t = unix_ms();
                if !stay {
                    for seat in &mut self.seats {
                        seat.go(Exit::Leaves);
                    }
                }
                return Ok(());
            }
            self.listen(Duration::from_millis(50));
        }
    }

    fn look(&mut self, at: Duration) -> Result<()> {
        let relays = self.relays.0.iter().map(relays::Relay::sample).collect::<Result<_>>()?;
        self.moments.push(Moment { at, relays });
        Ok(())
    }

    /// Waits until everybody has written their recordings and reports.
    fn end(&mut self) -> Result<()> {
        let task = Task::start("everybody leaves and closes their recordings");
        let deadline = Instant::now() + FAREWELL;
        while self.seats.iter().any(Seat::is_running) && Instant::now() < deadline {
            self.listen(Duration::from_millis(100));
        }
        task.done();
        self.look(END + FAREWELL)
    }

    fn window(&self) -> Option<(Moment, Moment)> {
        let first = self.moments.iter().find(|moment| moment.at >= WINDOW.0)?;
        let last = self.moments.iter().rfind(|moment| moment.at <= WINDOW.1)?;
        (first.at < last.at).then(|| (first.clone(), last.clone()))
    }

    /// Until Ctrl-C takes this process and all that it started.
    fn stay(&mut self) {
        while self.seats.iter().any(Seat::is_running) {
            self.listen(LOOK);
        }
    }

    /// What participants said when something went wrong.
    fn complain(&self) {
        for seat in &self.seats {
            let ended = seat.told.ended.as_ref().filter(|(_, ok)| !ok).map(|(reason, _)| reason.as_str()).unwrap_or_default();
            let log = seat.log();
            let unread = seat.told.unread.first().map(String::as_str).unwrap_or_default();
            if !(ended.is_empty() && log.is_empty() && unread.is_empty()) {
                eprintln!("  {}: {ended} {log} {unread}", seat.part.name);
            }
        }
    }
}

/// Searches everything that operators had for everything that they must not know.
fn search(call: &Call<'_>, relays: &Relays, metrics: PathBuf) -> Result<(leaks::Found, usize)> {
    let mut needles = Needles::new();
    for (name, text) in
        [("a name", marker::NAME), ("the title", marker::TITLE), ("a chat message", marker::CHAT), ("media", marker::MEDIA)]
    {
        needles.add(name, text.as_bytes());
    }
    for seat in &call.seats {
        let text = std::fs::read_to_string(seat.folder.join(SECRETS))
            .with_context(|| format!("the secrets of {} were not handed out", seat.part.name))?;
        for line in text.lines() {
            let (name, secret) = line.split_once(' ').context("a secret cannot be read")?;
            needles.add(name, &unhex(secret).context("a secret cannot be read")?);
        }
    }
    let mut places: Vec<PathBuf> = relays.0.iter().map(|relay| relay.folder.clone()).collect();
    places.push(metrics);
    let mut task = Task::start(format!("searching what the operators had for {} secrets and markers", needles.len()));
    let found = needles.search(&places, |_| task.tick());
    match &found {
        Ok(_) => task.done(),
        Err(_) => task.failed(),
    }
    Ok((found?, needles.len()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

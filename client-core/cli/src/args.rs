//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Parser, Subcommand};
use conclave::EntryRelay;

/// An end-to-end encrypted call on the command line.
#[derive(Parser, Debug)]
#[command(name = "conclave", version, about, max_term_width = 110)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Make a room at a relay, print its link, and stay in the call.
    Create(Create),
    /// Enter the room of a link.
    Join(Join),
    /// Look at evidence, without a room.
    #[command(subcommand)]
    Proof(Proof),
    /// What somebody reported.
    Report(Report),
}

/// What is looked at without a room.
pub(crate) enum Evidence {
    /// Of a relay.
    Proof(Proof),
    /// Of a participant.
    Report(ReportWhat),
}

#[derive(Subcommand, Debug)]
pub(crate) enum Proof {
    /// Whether a relay told two histories: the file holds the bytes or the digits that a participant was shown.
    Verify {
        /// The proof.
        file: PathBuf,
    },
}

#[derive(Group, Debug)]
pub(crate) struct Report {
    #[command(subcommand)]
    pub(crate) what: ReportWhat,
}

#[derive(Subcommand, Debug)]
pub(crate) enum ReportWhat {
    /// Check a report, with nothing but the file: who wrote the messages, and whether they were lodged while the call lasted.
    Verify(Verify),
}

#[derive(Group, Debug)]
pub(crate) struct Verify {
    /// The report.
    pub(crate) file: PathBuf,
    /// Print a JSON object instead of words.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Group, Debug)]
pub(crate) struct Create {
    /// The relay to make the room at: host:port, or <relay id>@host:port to be sure who answers.
    #[arg(long, value_name = "RELAY", env = "CONCLAVE_RELAY")]
    pub(crate) relay: EntryRelay,
    /// What participants see above the call.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) title: String,
    /// A host lets in, one by one: for links that are handed out ahead of time. Without it, whoever has the link comes in.
    #[arg(long)]
    pub(crate) knock: bool,
    #[command(flatten)]
    pub(crate) call: Call,
}

#[derive(Group, Debug)]
pub(crate) struct Join {
    /// The room's link. In the environment it is not seen by those who may list processes.
    #[arg(env = "CONCLAVE_LINK", hide_env_values = true)]
    pub(crate) link: String,
    /// Your own relay, the only one that learns your address; without it, the one that the link begins with.
    #[arg(long, value_name = "RELAY", env = "CONCLAVE_RELAY")]
    pub(crate) relay: Option<EntryRelay>,
    #[command(flatten)]
    pub(crate) call: Call,
}

/// What to do in the call.
#[derive(Group, Debug)]
pub(crate) struct Call {
    /// What others see; nobody checks it.
    #[arg(long, default_value = "Guest")]
    pub(crate) name: String,
    /// Publish a VP8 .ivf file as a camera or an Opus .ogg file as a microphone, over and over. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) publish: Vec<PathBuf>,
    /// Publish a VP8 .ivf file as a screen. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) screen: Vec<PathBuf>,
    /// Record everybody else into this folder, one file for each track.
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Recognise the people in this file, and add to it those with whom codes are compared. It holds secrets.
    #[arg(long, value_name = "FILE")]
    pub(crate) known: Option<PathBuf>,
    /// Say this right after joining. May be repeated.
    #[arg(long, value_name = "TEXT")]
    pub(crate) chat: Vec<String>,
    /// Say every line of standard input; on a terminal that is so anyway.
    #[arg(long)]
    pub(crate) chat_lines: bool,
    /// Leave after this time: 500ms, 30s, 5m, 2h. Without it, stay until Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<Duration>,
    /// Print one JSON object a line instead of words.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// Whether programs read what is printed.
    pub(crate) fn is_json(&self) -> bool {
        match &self.command {
            Command::Create(create) => create.call.json,
            Command::Join(join) => join.call.json,
            Command::Proof(_) => false,
            Command::Report(Report { what: ReportWhat::Verify(verify) }) => verify.json,
        }
    }
}

/// How to come in.
#[derive(Debug)]
pub(crate) enum Way {
    /// By making a room at this relay.
    Create { relay: EntryRelay, title: String, knock: bool },
    /// By a link.
    Join { link: String, relay: Option<EntryRelay> },
}

impl Command {
    /// How to come in, and what to do then.
    ///
    /// # Errors
    /// With what is to be looked at instead of a room.
    pub(crate) fn split(self) -> Result<(Way, Call), Evidence> {
        match self {
            Self::Create(Create { relay, title, knock, call }) => Ok((Way::Create { relay, title, knock }, call)),
            Self::Join(Join { link, relay, call }) => Ok((Way::Join { link, relay }, call)),
            Self::Proof(proof) => Err(Evidence::Proof(proof)),
            Self::Report(report) => Err(Evidence::Report(report.what)),
        }
    }
}

/// Reads a number with a unit.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is a number with a unit: 500ms, 30s, 5m or 2h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "a time begins with a number: 500ms, 30s, 5m or 2h".to_owned())?;
    match number.checked_mul(millis) {
        Some(millis) if millis <= MAX_TIME_MS => Ok(Duration::from_millis(millis)),
        Some(_) | None => Err("nobody stays longer than a year: leave the time out to stay until Ctrl-C".to_owned()),
    }
}

/// Longer is a typing error, and beyond what timers hold.
const MAX_TIME_MS: u64 = 366 * 24 * 3_600_000;

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("conclave").chain(args.iter().copied()))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn everything_of_the_issue_can_be_said() {
        let args = parse(&[
            "join",
            "https://relay.example/r#abc",
            "--relay",
            "127.0.0.1:4433",
            "--name",
            "First",
            "--publish",
            "a.ogg",
            "--publish",
            "b.ivf",
            "--screen",
            "c.ivf",
            "--record",
            "out",
            "--chat",
            "hello",
            "--chat",
            "bye",
            "--for",
            "30s",
            "--json",
        ])
        .expect("the issue's command line");
        let Command::Join(join) = args.command else { panic!("join was asked for") };
        assert_eq!(join.link, "https://relay.example/r#abc");
        assert_eq!(join.relay.expect("a relay").address(), "127.0.0.1:4433");
        let call = join.call;
        assert_eq!((call.name.as_str(), call.publish.len(), call.screen.len()), ("First", 2, 1));
        assert_eq!((call.record, call.chat.len()), (Some(PathBuf::from("out")), 2));
        assert_eq!((call.time, call.json, call.chat_lines), (Some(Duration::from_secs(30)), true, false));
    }

    #[test]
    fn a_room_is_made_at_a_relay() {
        let id = "ab".repeat(32);
        let relay = format!("{id}@relay.example.org:4433");
        let args = parse(&["create", "--relay", &relay, "--title", "Tea", "--knock"]).expect("a room");
        let Command::Create(create) = args.command else { panic!("create was asked for") };
        assert_eq!((create.relay.to_string(), create.title.as_str(), create.call.name.as_str()), (relay, "Tea", "Guest"));
        assert!(create.knock);
        let error = parse(&["create", "--relay", "nowhere"]).expect_err("no port");
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ValueValidation, 2));
        assert!(error.to_string().contains("the port is missing"), "{error}");
    }

    #[test]
    fn times_have_units() {
        for (text, millis) in [("500ms", 500), ("30s", 30_000), ("30", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("0s", 0)] {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "30 s", "1.5s", "30d", "9000h", "99999999999999999999s", "18446744073709551615h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}

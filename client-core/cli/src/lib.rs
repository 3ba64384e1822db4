//! A participant without a face: it joins, publishes files, records what the others publish, and chats.
//!
//! ```text
//!   command line --> args --> call <--> conclave::Room
//!                              | ^
//!        files --> publish ----+ +---- keyboard (typed), stop, a tick each second
//!                   (pace)     |
//!                              +--> tally (histogram)  --> output: said, as JSON or as words
//!                              +--> record: a thread of its own
//! ```
//!
//! - Whatever can be wrong on this side is told before anybody is called: one sentence, and an exit code for scripts.
//! - Nothing that a stranger sends reaches the terminal or a file's name unchecked.
//! - A slow disk, a closed pipe and a missing frame end nothing; leaving always finishes the recordings.
//!
//! The binary is [`run`] with nobody reading along. `deploy/glass` calls it with an observer, for the leak check.
#![forbid(unsafe_code)]

mod args;
mod call;
mod exit;
mod histogram;
mod hosting;
mod keyboard;
mod known;
mod output;
mod pace;
mod proof;
mod publish;
mod record;
mod report;
mod said;
mod stop;
mod tally;
mod typed;
mod wishes;
mod words;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use conclave::Observer;

use crate::{
    exit::{Exit, Failure},
    output::Output,
};

/// Who reads along.
struct Watch<O> {
    observer: O,
    #[cfg(feature = "audit")]
    audit: Option<Sink>,
}

#[cfg(feature = "audit")]
type Sink = Box<dyn FnMut(Vec<(String, Vec<u8>)>) + Send>;

/// Does what the command line says, the program's name first, and returns how it ended. Blocks until then.
///
/// Not to be called inside an async runtime.
pub fn run<O>(args: impl IntoIterator<Item = OsString>, observer: O) -> ExitCode
where
    O: Observer + Send + 'static,
{
    start(
        args,
        Watch {
            observer,
            #[cfg(feature = "audit")]
            audit: None,
        },
    )
}

/// [`run`], with every secret of the room given to `sink` whenever they change, by name. For the leak check alone.
#[cfg(feature = "audit")]
pub fn run_audited<O>(
    args: impl IntoIterator<Item = OsString>,
    observer: O,
    sink: impl FnMut(Vec<(String, Vec<u8>)>) + Send + 'static,
) -> ExitCode
where
    O: Observer + Send + 'static,
{
    start(args, Watch { observer, audit: Some(Box::new(sink)) })
}

fn start<O>(args: impl IntoIterator<Item = OsString>, watch: Watch<O>) -> ExitCode
where
    O: Observer + Send + 'static,
{
    let args = match args::Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Standard output for help, standard error for mistakes; whether somebody reads it changes nothing.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    log();
    let mut out = Output::new(io::stdout(), args.is_json());
    let (way, call) = match args.command.split() {
        Ok(call) => call,
        Err(args::Evidence::Report(args::ReportWhat::Verify(verify))) => return ended(report::verify(&verify.file, &mut out)),
        Err(args::Evidence::Proof(args::Proof::Verify { file })) => {
            return ended(proof::verify(&file).map(|words| {
                // Standard output that nobody reads changes nothing of what was found.
                let _ = writeln!(io::stdout(), "{words}");
            }));
        }
    };
    let ended_with = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Runtime, format!("the system gives no threads: {error}; close other programs")))
        .and_then(|runtime| {
            let ended = runtime.block_on(call::run(way, call, watch, &mut out));
            // Whoever still waits for the keyboard waits for nothing.
            runtime.shutdown_background();
            ended
        });
    ended(ended_with)
}

fn ended(how: Result<(), Failure>) -> ExitCode {
    match how {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { exit, words }) => {
            eprintln!("conclave: {}", words::printable(&words));
            ExitCode::from(exit as u8)
        }
    }
}

/// Threads for the room, the files and the output: one may wait for a slow reader of standard output.
const WORKERS: usize = 2;

/// Standard error, for those who look for a fault; nothing that is logged is a secret, a name or an address.
fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("CONCLAVE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second call in one process is a test's, and the first one's filter holds.
    let _ = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter).try_init();
}

//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use conclave_quic::Observer;

use crate::{
    config::{self, Loaded, Sources, values::HostPort},
    failure::Failure,
    init::{self, Init},
    orders::{self, Wanted},
    server::{self, Readiness},
    web,
};

/// A relay of Conclave: forwards encrypted calls for a community, and links with other operators' relays.
///
/// Exit codes: 0 stopped as asked, 1 failed while running or a port is in use, 69 the data folder cannot be used,
/// 78 the configuration, a key file or this command line is wrong.
#[derive(Debug, Parser)]
#[command(name = "conclave-relay", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    source: Source,
    /// Print the merged configuration with the origin of each value, check the keys, and end.
    #[arg(long)]
    check_config: bool,
    /// Print the readiness line as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Source {
    /// The configuration file. The environment (CONCLAVE_RELAY_SECTION__KEY) and --set win over it.
    #[arg(long, value_name = "FILE", default_value = init::CONFIG)]
    config: PathBuf,
    /// One setting, like store.cache=64MiB; may be repeated.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write keys, a signed descriptor and a commented configuration for a new relay into a folder.
    Init(NewRelay),
    /// Sign a new descriptor after the operator's name or the relay's addresses were changed in the configuration.
    Sign(Sign),
    /// Close, reopen or list rooms of the relay that runs with this configuration. Nobody can look inside: closing goes by the id.
    #[command(subcommand)]
    Room(Room),
}

#[derive(Debug, Subcommand)]
enum Room {
    /// End a room's call and refuse the room from now on, until it is reopened; survives restarts.
    Close {
        /// The room's id, 32 hexadecimal digits, or at least 8 of its first digits.
        #[arg(value_name = "ID")]
        room: String,
        /// Why: shown to everybody who is refused, with operator.contact, and logged. At most 120 bytes.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        source: Source,
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Serve a closed room again.
    Reopen {
        /// The room's id, or at least 8 of its first digits.
        #[arg(value_name = "ID")]
        room: String,
        #[command(flatten)]
        source: Source,
        /// Print the answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// All rooms here and all that are closed: id, role, number of the call, clients of this relay.
    List {
        #[command(flatten)]
        source: Source,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct NewRelay {
    /// The relay's folder; made if it is not there. Nothing in it is overwritten.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The operator's name, as people in a call see it.
    #[arg(long, value_name = "NAME")]
    operator: String,
    /// Address and port to listen on: UDP, and TCP for browsers.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:4433")]
    listen: SocketAddr,
    /// Where others reach the relay; may be repeated. Without it: the address listened on.
    #[arg(long, value_name = "HOST:PORT", value_parser = HostPort::parse)]
    address: Vec<HostPort>,
    /// TCP address and port of /metrics, /healthz and /readyz.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9101")]
    metrics: SocketAddr,
    /// The key of an operator who runs a relay already.
    #[arg(long, value_name = "FILE")]
    operator_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Sign {
    #[command(flatten)]
    source: Source,
    /// The operator's key, when it is not where the configuration says.
    #[arg(long, value_name = "FILE")]
    operator_key: Option<PathBuf>,
}

/// The whole process: reads the arguments and the environment, and ends with the exit code.
///
/// All bytes of the relay's sessions pass `observer`; the shipped process gives `()`.
pub fn main<O: Observer + 'static>(observer: O) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a command line that cannot be read is as wrong as a file that cannot.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(78) } else { ExitCode::SUCCESS };
        }
    };
    match obey(cli, observer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("conclave-relay: {failure}");
            ExitCode::from(&failure)
        }
    }
}

fn obey<O: Observer + 'static>(cli: Cli, observer: O) -> Result<(), Failure> {
    match cli.command {
        Some(Command::Init(new)) => {
            let told = init::init(&Init {
                folder: new.folder,
                operator: new.operator,
                listen: new.listen,
                addresses: new.address,
                metrics: new.metrics,
                operator_key: new.operator_key,
            })?;
            print!("{told}");
            Ok(())
        }
        Some(Command::Sign(sign)) => {
            let loaded = load(sign.source)?;
            print!("{}", init::sign(&loaded, sign.operator_key.as_deref())?);
            Ok(())
        }
        Some(Command::Room(room)) => {
            let (wanted, source, json) = match room {
                Room::Close { room, reason, source, json } => (Wanted::Close { room, reason }, source, json),
                Room::Reopen { room, source, json } => (Wanted::Reopen { room }, source, json),
                Room::List { source, json } => (Wanted::List {}, source, json),
            };
            print!("{}", orders::ask::ask(&load(source)?.settings.relay.data_dir, &wanted, json)?);
            Ok(())
        }
        None => {
            let loaded = load(cli.run.source)?;
            if cli.run.check_config {
                init::identity(&loaded.settings)?;
                web::read(&loaded)?;
                print!("{}", loaded.show());
                return Ok(());
            }
            server::run(&loaded, if cli.run.json { Readiness::Json } else { Readiness::Text }, observer)
        }
    }
}

fn load(source: Source) -> Result<Loaded, Failure> {
    // Variables that are not text cannot be ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))).collect();
    config::load(&Sources { file: source.config, environment, set: source.set })
}

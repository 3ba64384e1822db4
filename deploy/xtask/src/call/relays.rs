//! Relays of different operators: keys, configuration, folder and ports of their own, made by the shipped program.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{metrics::Sample, programs::Programs};
use crate::shell;

/// One running relay.
pub(crate) struct Relay {
    /// The operator's name.
    pub(crate) name: &'static str,
    /// Its folder: configuration, keys, sled, log, and what the observer saw.
    pub(crate) folder: PathBuf,
    /// `<relay id>@host:port`, as participants are told.
    pub(crate) entry: String,
    /// Where it serves the page and browsers: `host:port`.
    pub(crate) web: String,
    metrics: SocketAddr,
    child: Child,
    /// Holds the UDP port beside the page's, and never answers.
    _silent: Option<UdpSocket>,
}

/// Which program runs the relays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// As it is shipped.
    Shipped,
    /// The one that writes down what it sees.
    Glass,
}

/// Which relays to start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// One relay for each.
    pub(crate) operators: &'a [&'static str],
    pub(crate) kind: Kind,
    /// The folder with the page, where there is one.
    pub(crate) web: Option<&'a Path>,
    /// Index of an operator whose page is on a port of which only TCP is let through: nothing answers there on UDP, as
    /// behind a firewall that drops it.
    pub(crate) tcp_only: Option<usize>,
}

/// All of them, stopped when dropped.
pub(crate) struct Relays(pub(crate) Vec<Relay>);

impl Relays {
    /// Makes and starts them, each with the others in its address book.
    pub(crate) fn start(programs: &Programs, plan: &Plan<'_>, folder: &Path) -> Result<Self> {
        let mut made = Vec::new();
        for (index, name) in plan.operators.iter().enumerate() {
            made.push(Made::init(programs, name, plan.tcp_only == Some(index), folder)?);
        }
        let blocks: Vec<String> = made.iter().map(|one| one.block.clone()).collect();
        let mut relays = Self(Vec::new());
        for (index, one) in made.into_iter().enumerate() {
            let config = one.home.join(CONFIG);
            let mut text = fs::read_to_string(&config).context("the new configuration cannot be read")?;
            for (_, block) in blocks.iter().enumerate().filter(|(other, _)| *other != index) {
                text.push('\n');
                text.push_str(block);
            }
            fs::write(&config, text).context("the new configuration cannot be written")?;
            relays.0.push(Relay::start(programs, plan, one)?);
        }
        Ok(relays)
    }

    /// Ends all of them as an operator would, and says which did not end well.
    pub(crate) fn stop(mut self) -> Result<()> {
        let mut bad = Vec::new();
        for relay in &mut self.0 {
            terminate(&relay.child);
        }
        for relay in &mut self.0 {
            let status = relay.child.wait().context("a relay cannot be waited for")?;
            if !status.success() {
                bad.push(format!("{} ({status})", relay.name));
            }
        }
        self.0.clear();
        if bad.is_empty() { Ok(()) } else { bail!("relays that did not end well on SIGTERM: {}", bad.join(", ")) }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        for relay in &mut self.0 {
            let _ = relay.child.kill();
            let _ = relay.child.wait();
        }
    }
}

/// A relay that has keys and a configuration, and does not run yet.
struct Made {
    name: &'static str,
    home: PathBuf,
    /// What others add to their configuration.
    block: String,
    /// Where it serves the page: the address of its QUIC unless only TCP is let through.
    web: SocketAddr,
    silent: Option<UdpSocket>,
}

/// A relay's configuration, inside its folder.
const CONFIG: &str = "conclave-relay.toml";

impl Made {
    fn init(programs: &Programs, name: &'static str, is_tcp_only: bool, folder: &Path) -> Result<Self> {
        let home = folder.join(name.to_lowercase());
        let listen = free()?;
        let silent = if is_tcp_only { Some(UdpSocket::bind(free()?).context("no UDP port is free on loopback")?) } else { None };
        let web = match &silent {
            Some(socket) => socket.local_addr().context("a socket has no address")?,
            None => listen,
        };
        let mut init = Command::new(&programs.relay);
        init.arg("init")
            .arg(&home)
            .args(["--operator", name])
            .args(["--listen", &listen.to_string()])
            .args(["--metrics", &free()?.to_string()])
            .args(["--address", &listen.to_string()]);
        if is_tcp_only {
            init.args(["--address", &web.to_string()]);
        }
        let told = shell::output(&mut init)?;
        let block = peer_block(&told).with_context(|| format!("`conclave-relay init` printed no [[peers]] block for {name}"))?;
        Ok(Self { name, home, block, web, silent })
    }
}

impl Relay {
    fn start(programs: &Programs, plan: &Plan<'_>, made: Made) -> Result<Self> {
        let Made { name, home: folder, web, silent, .. } = made;
        let log = File::create(folder.join("relay.log")).context("the relay's log cannot be made")?;
        let mut command = match plan.kind {
            Kind::Shipped => Command::new(&programs.relay),
            Kind::Glass => {
                let seen = folder.join("seen");
                fs::create_dir_all(&seen).context("the folder for what the relay sees cannot be made")?;
                let mut command = Command::new(&programs.glass_relay);
                command.env("CONCLAVE_GLASS", &seen);
                command
            }
        };
        command.arg("--config").arg(folder.join(CONFIG)).args(["--set", "log.level=debug"]);
        if let Some(root) = plan.web {
            command.arg("--set").arg(format!("web.root={}", root.display()));
            command.arg("--set").arg(format!("web.listen={web}"));
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("the relay of {name} cannot be started"))?;
        let mut lines = BufReader::new(child.stdout.take().context("the relay has no output")?);
        let mut ready = String::new();
        lines.read_line(&mut ready).context("the relay's output cannot be read")?;
        let field = |key: &str| ready.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        let (Some(listen), Some(metrics), Some(id)) = (field("listen="), field("metrics="), field("relay=")) else {
            let status = child.wait().context("the relay cannot be waited for")?;
            let log = fs::read_to_string(folder.join("relay.log")).unwrap_or_default();
            bail!("the relay of {name} did not get ready ({status}): {}", log.trim());
        };
        Ok(Self {
            name,
            folder,
            web: web.to_string(),
            entry: format!("{id}@{listen}"),
            metrics: metrics.parse().context("the relay's metrics address cannot be read")?,
            child,
            _silent: silent,
        })
    }

    /// As [`Relay::entry`], by the port at which the page is: where only TCP is let through that makes a difference.
    pub(crate) fn web_entry(&self) -> Option<String> {
        let (id, _) = self.entry.split_once('@')?;
        Some(format!("{id}@{}", self.web))
    }

    /// The link of a room as a browser on this machine opens it: through this relay, and without a certificate.
    pub(crate) fn browser_link(&self, link: &str) -> Option<String> {
        let (_, secret) = link.split_once('#')?;
        Some(format!("http://{}/r#{secret}", self.web))
    }

    /// What its metrics say now.
    pub(crate) fn sample(&self) -> Result<Sample> {
        Sample::fetch(self.metrics).with_context(|| format!("the metrics of {} cannot be had", self.name))
    }
}

/// Asks a process to end, as `kill` does.
pub(crate) fn terminate(child: &Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).stderr(Stdio::null()).status();
}

/// From `[[peers]]` to the next empty line.
fn peer_block(told: &str) -> Option<String> {
    let (_, from) = told.split_once("[[peers]]")?;
    let block = from.split("\n\n").next()?;
    Some(format!("[[peers]]{}\n", block.trim_end()))
}

/// An address on loopback whose port was free a moment ago on UDP and TCP: relays have to name each other's before they run.
fn free() -> Result<SocketAddr> {
    for _ in 0..ATTEMPTS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no TCP port is free on loopback")?;
        let address = listener.local_addr().context("a socket has no address")?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free on loopback on both TCP and UDP")
}

/// How many ports are tried: each is free on TCP, and seldom taken on UDP.
const ATTEMPTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_for_other_operators_is_cut_out() {
        let told = "relay id 12\n\nOthers add:\n\n[[peers]]\nname = \"Alder\"\nrelay = \"12\"\n\nStart it with ..";
        assert_eq!(peer_block(told).as_deref(), Some("[[peers]]\nname = \"Alder\"\nrelay = \"12\"\n"));
        assert_eq!(peer_block("nothing"), None);
    }
}

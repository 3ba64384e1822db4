//! Three relays of three operators: keys, configuration, folder and ports of their own, made by the shipped program.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{build::Programs, cast::OPERATORS, metrics::Sample};
use crate::shell;

/// One running relay.
pub(crate) struct Relay {
    /// The operator's name.
    pub(crate) name: &'static str,
    /// Its folder: configuration, keys, sled, log, and what the observer saw.
    pub(crate) folder: PathBuf,
    /// `<relay id>@host:port`, as participants are told.
    pub(crate) entry: String,
    metrics: SocketAddr,
    child: Child,
}

/// All of them, stopped when dropped.
pub(crate) struct Relays(pub(crate) Vec<Relay>);

impl Relays {
    /// Makes and starts all three, each with the others in its address book.
    pub(crate) fn start(programs: &Programs, folder: &Path) -> Result<Self> {
        let mut blocks = Vec::new();
        for name in OPERATORS {
            let home = folder.join(name.to_lowercase());
            let told = shell::output(
                Command::new(&programs.relay)
                    .arg("init")
                    .arg(&home)
                    .args(["--operator", name])
                    .args(["--listen", &free_udp()?.to_string()])
                    .args(["--metrics", &free_tcp()?.to_string()]),
            )?;
            blocks.push((
                home,
                peer_block(&told).with_context(|| format!("`conclave-relay init` printed no [[peers]] block for {name}"))?,
            ));
        }
        let mut relays = Self(Vec::new());
        for (index, (home, _)) in blocks.iter().enumerate() {
            let config = home.join("conclave-relay.toml");
            let mut text = fs::read_to_string(&config).context("the new configuration cannot be read")?;
            for (other, (_, block)) in blocks.iter().enumerate() {
                if other != index {
                    text.push('\n');
                    text.push_str(block);
                }
            }
            fs::write(&config, text).context("the new configuration cannot be written")?;
            let name = OPERATORS.get(index).copied().unwrap_or_default();
            relays.0.push(Relay::start(programs, name, home, &config)?);
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

impl Relay {
    fn start(programs: &Programs, name: &'static str, folder: &Path, config: &Path) -> Result<Self> {
        let log = File::create(folder.join("relay.log")).context("the relay's log cannot be made")?;
        let seen = folder.join("seen");
        fs::create_dir_all(&seen).context("the folder for what the relay sees cannot be made")?;
        let mut child = Command::new(&programs.glass_relay)
            .env("CONCLAVE_GLASS", &seen)
            .arg("--config")
            .arg(config)
            .args(["--set", "log.level=debug"])
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
            folder: folder.to_path_buf(),
            entry: format!("{id}@{listen}"),
            metrics: metrics.parse().context("the relay's metrics address cannot be read")?,
            child,
        })
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

/// A port that was free a moment ago: relays have to name each other's before they run.
fn free_udp() -> Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).context("no UDP port is free on loopback")
}

fn free_tcp() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).context("no TCP port is free on loopback")
}

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

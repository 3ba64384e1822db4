//! `init`: keys, descriptor and a commented configuration for a new relay. `sign`: a new descriptor for changed addresses.

use std::{
    fmt::Write,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use conclave_federation::{
    id::{OperatorId, RelayId},
    limits::{MAX_ADDRESSES, MAX_OPERATOR_NAME},
    proof::SigningKey,
};

use crate::{
    config::{Loaded, Settings, values::HostPort},
    failure::Failure,
    keys::{self, Owner},
};

/// The configuration's name in the new folder.
pub const CONFIG: &str = "conclave-relay.toml";

/// What `init` is told.
#[derive(Clone, Debug)]
pub struct Init {
    /// The new relay's folder; made if it is not there.
    pub folder: PathBuf,
    /// The operator's name.
    pub operator: String,
    /// UDP address and port.
    pub listen: SocketAddr,
    /// Where others reach it; empty: under the address listened on.
    pub addresses: Vec<HostPort>,
    /// TCP address and port of the metrics.
    pub metrics: SocketAddr,
    /// The key of an operator who has one already.
    pub operator_key: Option<PathBuf>,
}

/// Writes everything into the folder, and tells what other operators need.
///
/// # Errors
/// When anything of it is there already, or cannot be written; nothing is overwritten.
pub fn init(new: &Init) -> Result<String, Failure> {
    if new.operator.is_empty() || new.operator.len() > MAX_OPERATOR_NAME || new.operator.chars().any(char::is_control) {
        return Err(Failure::Config(format!(
            "--operator: a name of 1 to {MAX_OPERATOR_NAME} bytes without control characters is needed"
        )));
    }
    let addresses = addresses(new)?;
    let inside = |name: &str| new.folder.join(name);
    let defaults = Settings::default();
    let config = inside(CONFIG);
    let relay_key = new.folder.join(&defaults.relay.key);
    let descriptor_file = new.folder.join(&defaults.relay.descriptor);
    let operator_key = new.folder.join(&defaults.operator.key);

    let mut made = vec![&config, &relay_key, &descriptor_file];
    if new.operator_key.is_none() {
        made.push(&operator_key);
    }
    if let Some(there) = made.iter().find(|path| path.exists()) {
        return Err(Failure::Config(format!(
            "{}: is there already and is not overwritten: choose another folder, or move it away",
            there.display()
        )));
    }
    folder(&new.folder)?;

    let (operator, operator_file) = match &new.operator_key {
        Some(path) => (keys::read(path, Owner::Operator)?, absolute(path)),
        None => {
            let key = keys::generate()?;
            keys::write(&operator_key, Owner::Operator, &key)?;
            (key, defaults.operator.key)
        }
    };
    let relay = keys::generate()?;
    keys::write(&relay_key, Owner::Relay, &relay)?;
    let descriptor = keys::describe(&operator, &relay, &new.operator, &addresses)?;
    keys::write_descriptor(&descriptor_file, &descriptor)?;
    keys::create(&config, 0o644, &sample(new, &addresses, &operator_file))?;

    let mut told = format!("A relay of {} is ready in {}.\n\n", new.operator, new.folder.display());
    let _ = writeln!(told, "relay id     {}", descriptor.relay.to_hex());
    let _ = writeln!(told, "operator id  {}", descriptor.operator.to_hex());
    let _ = writeln!(told, "\nOther operators add this to their file:\n");
    told.push_str(&peer_block(&new.operator, descriptor.relay, descriptor.operator, &addresses));
    let _ =
        writeln!(told, "\nKeep {} off this machine if you can: only `conclave-relay sign` needs it.", operator_file.display());
    let _ = writeln!(told, "Start it with: conclave-relay --config {}", config.display());
    Ok(told)
}

/// Signs a new descriptor from the configuration's name and addresses.
///
/// # Errors
/// When a key cannot be read or the descriptor cannot be written.
pub fn sign(loaded: &Loaded, operator_key: Option<&Path>) -> Result<String, Failure> {
    let settings = &loaded.settings;
    let operator = keys::read(operator_key.unwrap_or(&settings.operator.key), Owner::Operator)?;
    let relay = keys::read(&settings.relay.key, Owner::Relay)?;
    let descriptor = keys::describe(&operator, &relay, &settings.operator.name, &settings.relay.addresses)?;
    keys::write_descriptor(&settings.relay.descriptor, &descriptor)?;
    let mut told = format!("{} is signed. Other operators have this in their file now:\n\n", settings.relay.descriptor.display());
    told.push_str(&peer_block(&settings.operator.name, descriptor.relay, descriptor.operator, &settings.relay.addresses));
    Ok(told)
}

/// The relay's identity that the configuration names, checked to belong together.
///
/// # Errors
/// When a file is wrong, or the descriptor says something else than the configuration.
pub fn identity(settings: &Settings) -> Result<(SigningKey, Identity), Failure> {
    let key = keys::read(&settings.relay.key, Owner::Relay)?;
    if settings.relay.addresses.iter().any(HostPort::is_port_open) {
        let operator = keys::read(&settings.operator.key, Owner::Operator)?;
        return Ok((key, Identity::WhenListening(Box::new(operator))));
    }
    let descriptor = keys::read_descriptor(&settings.relay.descriptor)?;
    let file = settings.relay.descriptor.display();
    let relay = RelayId::new(*key.verifying_key().as_bytes());
    if descriptor.relay != relay {
        return Err(Failure::Config(format!("{file}: is for another relay key: run `conclave-relay sign`")));
    }
    let same = descriptor.addresses.iter().map(|address| address.as_str());
    if descriptor.operator_name.as_str() != settings.operator.name
        || !same.eq(settings.relay.addresses.iter().map(HostPort::as_str))
    {
        return Err(Failure::Config(format!(
            "{file}: the operator signed another name or other addresses than the configuration has: run `conclave-relay sign`"
        )));
    }
    Ok((key, Identity::Signed(Box::new(descriptor))))
}

/// How the relay gets its descriptor.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The operator signed it.
    Signed(Box<conclave_federation::record::RelayDescriptor>),
    /// An address has port 0: it is signed when the port is known. For trials on one machine.
    WhenListening(Box<SigningKey>),
}

fn addresses(new: &Init) -> Result<Vec<HostPort>, Failure> {
    if new.addresses.len() > MAX_ADDRESSES {
        return Err(Failure::Config(format!("--address: at most {MAX_ADDRESSES} fit into a descriptor")));
    }
    if !new.addresses.is_empty() {
        return Ok(new.addresses.clone());
    }
    if new.listen.ip().is_unspecified() {
        return Err(Failure::Config(
            "--address: say under which host:port others reach this relay, like --address relay.example.org:4433".to_owned(),
        ));
    }
    let address = HostPort::parse(&new.listen.to_string()).map_err(Failure::Config)?;
    Ok(vec![address])
}

fn folder(path: &Path) -> Result<(), Failure> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Failure::Config(format!("{}: the folder cannot be made: {error}", path.display())))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn peer_block(name: &str, relay: RelayId, operator: OperatorId, addresses: &[HostPort]) -> String {
    let addresses: Vec<String> = addresses.iter().map(|address| quoted(address.as_str())).collect();
    format!(
        "[[peers]]\nname = {}\nrelay = \"{}\"\noperator = \"{}\"\naddresses = [{}]\n",
        quoted(name),
        relay.to_hex(),
        operator.to_hex(),
        addresses.join(", ")
    )
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn sample(new: &Init, addresses: &[HostPort], operator_key: &Path) -> String {
    let addresses: Vec<String> = addresses.iter().map(|address| quoted(address.as_str())).collect();
    include_str!("init.toml")
        .replace("@LISTEN@", &quoted(&new.listen.to_string()))
        .replace("@ADDRESSES@", &addresses.join(", "))
        .replace("@OPERATOR@", &quoted(&new.operator))
        .replace("@OPERATOR_KEY@", &quoted(&operator_key.to_string_lossy()))
        .replace("@METRICS@", &quoted(&new.metrics.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_names_every_setting_with_its_default() {
        let listen = Settings::default().relay.listen;
        let new = Init {
            folder: PathBuf::new(),
            operator: "Alder".to_owned(),
            listen,
            addresses: Vec::new(),
            metrics: Settings::default().metrics.listen,
            operator_key: None,
        };
        let text = sample(&new, &[HostPort::parse("relay.example.org:4433").unwrap()], Path::new("operator.key"));
        let written: Settings = toml::from_str(&text).unwrap();
        let mut expected = Settings::default();
        expected.operator.name = "Alder".to_owned();
        expected.relay.addresses = vec![HostPort::parse("relay.example.org:4433").unwrap()];
        assert_eq!(written, expected);

        // And what stands behind a `#` is the default, of every key.
        let uncommented: String = text
            .lines()
            .take_while(|line| !line.starts_with("# [[peers]]"))
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.split(' ').nth(1) == Some("=") => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_eq!(toml::from_str::<Settings>(&uncommented).unwrap(), expected);
        let toml::Value::Table(mut all) = toml::Value::try_from(&expected).unwrap() else { panic!("a table") };
        let toml::Value::Table(named) = uncommented.parse::<toml::Table>().map(toml::Value::Table).unwrap() else {
            panic!("a table")
        };
        all.remove("peers");
        for (section, fields) in all {
            for name in fields.as_table().unwrap().keys() {
                assert!(named.get(&section).and_then(|section| section.get(name)).is_some(), "{section}.{name}");
            }
        }
    }
}

//! The configuration: defaults, then the file, then the environment, then `--set`; each value once, with where it came from.
//!
//! The only module that knows the `config` crate. What is wrong is refused with its place, so that a typo never means a
//! default: `relay.toml:7: unknown key "listn" in [relay]: did you mean "listen"?`

mod check;
mod file;
pub mod limits;
mod nearest;
pub mod settings;
mod show;
pub mod values;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use config::Map;

pub use self::settings::Settings;
use self::{file::Lines, nearest::nearest};
use crate::failure::Failure;

/// Environment variables with this beginning are settings: `CONCLAVE_RELAY_STORE__CACHE=64MiB`.
pub const ENVIRONMENT: &str = "CONCLAVE_RELAY_";

/// The largest file that is read: a thousand peers fit.
const MAX_FILE: u64 = 1024 * 1024;

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: PathBuf,
    /// All variables of the environment; others than ours are ignored.
    pub environment: Vec<(String, String)>,
    /// `section.key=value`, from the command line.
    pub set: Vec<String>,
}

/// Where one value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Compiled in.
    Default,
    /// The file, at this line.
    File(usize),
    /// A variable.
    Environment(String),
    /// `--set`.
    Flag,
}

/// Settings that hold together, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values, with paths made absolute or relative to the working folder.
    pub settings: Settings,
    file: PathBuf,
    origins: Origins,
}

#[derive(Clone, Debug, Default)]
struct Origins {
    lines: Lines,
    environment: BTreeMap<String, String>,
    flags: BTreeMap<String, String>,
}

impl Origins {
    fn of(&self, key: &str) -> Origin {
        if self.flags.contains_key(key) {
            return Origin::Flag;
        }
        if let Some(variable) = self.environment.get(key) {
            return Origin::Environment(variable.clone());
        }
        self.lines.get(key).map_or(Origin::Default, |line| Origin::File(*line))
    }
}

/// What is wrong, with its place: one line each.
#[derive(Debug, Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, place: impl fmt::Display, words: impl fmt::Display) {
        self.0.push(format!("{place}: {words}"));
    }

    fn finish(self) -> Result<(), Failure> {
        if self.0.is_empty() { Ok(()) } else { Err(Failure::Config(self.0.join("\n"))) }
    }
}

/// Reads and checks everything.
///
/// # Errors
/// [`Failure::Config`] with a line for each thing that is wrong.
pub fn load(sources: &Sources) -> Result<Loaded, Failure> {
    let name = sources.file.display().to_string();
    let text = read(&sources.file)?;
    let mut complaints = Complaints::default();

    let lines = match file::read(&text) {
        Ok(lines) => lines,
        Err(wrong) => {
            for (line, words) in wrong {
                complaints.add(format_args!("{name}:{line}"), words);
            }
            Lines::new()
        }
    };
    let known = known();
    let flags = flags(&sources.set, &known, &mut complaints);
    let environment = environment(&sources.environment, &known, &mut complaints);
    complaints.finish()?;

    let settings = merge(&text, &environment, &flags).map_err(|error| Failure::Config(format!("{name}: {error}")))?;
    let origins =
        Origins { lines, environment: environment.into_iter().map(|(key, (variable, _))| (key, variable)).collect(), flags };
    let mut loaded = Loaded { settings, file: sources.file.clone(), origins };
    let mut complaints = Complaints::default();
    for (key, words) in check::check(&loaded.settings) {
        complaints.add(loaded.place(&key), words);
    }
    complaints.finish()?;
    loaded.settings.start_paths_at(sources.file.parent().unwrap_or_else(|| Path::new("")));
    Ok(loaded)
}

impl Loaded {
    /// Where a value came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.of(key)
    }

    /// That a value cannot stay, with its place.
    #[must_use]
    pub fn complain(&self, key: &str, words: &str) -> Failure {
        Failure::Config(format!("{}: {words}", self.place(key)))
    }

    /// For the beginning of a complaint: `relay.toml:7`, a variable, or a flag.
    fn place(&self, key: &str) -> String {
        match self.origin(key) {
            Origin::File(line) => format!("{}:{line}", self.file.display()),
            Origin::Environment(variable) => variable,
            Origin::Flag => format!("--set {key}"),
            Origin::Default => format!("{}: {key}", self.file.display()),
        }
    }
}

impl Settings {
    /// Relative paths are meant from the file's folder, wherever the process is started.
    fn start_paths_at(&mut self, folder: &Path) {
        for path in [&mut self.relay.data_dir, &mut self.relay.key, &mut self.relay.descriptor, &mut self.operator.key] {
            *path = folder.join(&path);
        }
        // Empty means none here, not the folder itself.
        for path in [&mut self.web.root, &mut self.web.certificate, &mut self.web.key] {
            if !path.as_os_str().is_empty() {
                *path = folder.join(&path);
            }
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let wrong = |words: String| Failure::Config(words);
    match std::fs::metadata(path) {
        Ok(about) if about.len() > MAX_FILE => {
            Err(wrong(format!("{shown}: the file is larger than 1 MiB, which no configuration is")))
        }
        Ok(_) => std::fs::read_to_string(path).map_err(|error| wrong(format!("{shown}: cannot be read: {error}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(wrong(format!(
            "{shown}: there is no such file: name it with --config, or make one with `conclave-relay init DIR --operator NAME`"
        ))),
        Err(error) => Err(wrong(format!("{shown}: cannot be read: {error}"))),
    }
}

/// Every key that can be set: `relay.listen`, `peers[].relay`.
fn known() -> Vec<String> {
    let mut all = Settings::default();
    all.peers.push(settings::Peer {
        name: String::new(),
        relay: values::RelayName(conclave_federation::id::RelayId::new([0; 32])),
        addresses: Vec::new(),
        operator: Some(values::OperatorName(conclave_federation::id::OperatorId::new([0; 32]))),
    });
    let mut keys = Vec::new();
    if let Ok(value) = toml::Value::try_from(&all) {
        collect("", &value, &mut keys);
    }
    keys
}

fn collect(path: &str, value: &toml::Value, keys: &mut Vec<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&full, value, keys);
            }
        }
        toml::Value::Array(values) if values.iter().any(toml::Value::is_table) => {
            for value in values {
                collect(&format!("{path}[]"), value, keys);
            }
        }
        _ => keys.push(path.to_owned()),
    }
}

/// Whether the environment and `--set` may name it.
fn is_single(key: &str) -> bool {
    !key.contains("[]")
}

fn flags(set: &[String], known: &[String], complaints: &mut Complaints) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    for flag in set {
        let Some((key, value)) = flag.split_once('=') else {
            complaints.add(format_args!("--set {flag}"), "write it as --set section.key=value");
            continue;
        };
        let place = format!("--set {key}");
        if overrides(&place, key, value, known, |near| format!("--set {near}={value}"), complaints) {
            flags.insert(key.to_owned(), value.to_owned());
        }
    }
    flags
}

fn environment(
    variables: &[(String, String)],
    known: &[String],
    complaints: &mut Complaints,
) -> BTreeMap<String, (String, String)> {
    let mut values = BTreeMap::new();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(ENVIRONMENT) else { continue };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        let spelled = |near: &str| format!("{ENVIRONMENT}{}", near.to_ascii_uppercase().replace('.', "__"));
        if overrides(variable, &key, value, known, spelled, complaints) {
            values.insert(key, (variable.clone(), value.clone()));
        }
    }
    values
}

/// Checks one value from outside the file on its own, so that the complaint names it alone.
fn overrides(
    place: &str,
    key: &str,
    value: &str,
    known: &[String],
    spelled: impl Fn(&str) -> String,
    complaints: &mut Complaints,
) -> bool {
    let single = || known.iter().map(String::as_str).filter(|key| is_single(key));
    if !single().any(|known| known == key) {
        match nearest(key, single()) {
            Some(near) => {
                complaints.add(place, format_args!("there is no setting of this name: did you mean {}?", spelled(near)))
            }
            None => complaints.add(place, "there is no setting of this name; [[peers]] can only be set in the file"),
        }
        return false;
    }
    let alone = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    match merge("", &BTreeMap::new(), &alone) {
        Ok(_) => true,
        Err(error) => {
            complaints.add(place, error);
            false
        }
    }
}

/// The one place where layers become settings.
fn merge(
    text: &str,
    environment: &BTreeMap<String, (String, String)>,
    flags: &BTreeMap<String, String>,
) -> Result<Settings, String> {
    let variables: Map<String, String> = environment.values().cloned().collect();
    // The prefix ends in one underscore while sections end in two; without saying so the crate expects two after both.
    let variables = config::Environment::with_prefix(ENVIRONMENT.trim_end_matches('_'))
        .prefix_separator("_")
        .separator("__")
        .source(Some(variables));
    let defaults = config::Config::try_from(&Settings::default()).map_err(|error| error.to_string())?;
    let mut builder = config::Config::builder()
        .add_source(defaults)
        .add_source(config::File::from_str(text, config::FileFormat::Toml))
        .add_source(variables);
    for (key, value) in flags {
        builder = builder.set_override(key, value.as_str()).map_err(|error| error.to_string())?;
    }
    builder.build().and_then(config::Config::try_deserialize).map_err(|error| plain(&error))
}

/// Only what is wrong: the place is said by the caller.
fn plain(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::At { error, .. } => plain(error),
        config::ConfigError::Type { unexpected, expected, .. } => format!("found {unexpected}, expected {expected}"),
        config::ConfigError::Message(words) => words.clone(),
        other => other.to_string(),
    }
}

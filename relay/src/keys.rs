//! Key files and the signed descriptor: how they look on disk, and what is wrong with one that is not right.
//!
//! ```text
//!   conclave relay key 1 <64 hexadecimal digits>       mode 600
//!   conclave operator key 1 <64 hexadecimal digits>    mode 600
//!   conclave relay descriptor 1 <hexadecimal digits>   public
//! ```

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use bytes::Bytes;
use conclave_federation::{
    proof::SigningKey,
    record::{Address, RelayDescriptor},
    wire::{List, Wire},
};

use crate::{config::values::HostPort, failure::Failure};

/// No key file and no descriptor is larger.
const MAX_FILE: u64 = 16 * 1024;

/// Whose key a file holds: they are told apart so that they cannot be swapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The relay: needed while it runs.
    Relay,
    /// Its operator: needed to sign, best kept elsewhere.
    Operator,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relay => "relay key",
            Self::Operator => "operator key",
        })
    }
}

const DESCRIPTOR: &str = "relay descriptor";

/// A new key from the system's randomness.
///
/// # Errors
/// When the system has none.
pub fn generate() -> Result<SigningKey, Failure> {
    random().map(SigningKey::from_seed)
}

/// 32 bytes of the system's randomness.
///
/// # Errors
/// When the system has none.
pub fn random() -> Result<[u8; 32], Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::Runtime(format!("the system gives no randomness: {error}")))?;
    Ok(seed)
}

/// Writes a new key file of mode 600; never over an existing one.
///
/// # Errors
/// When the file is there, or the folder cannot be written.
pub fn write(path: &Path, owner: Owner, key: &SigningKey) -> Result<(), Failure> {
    create(path, 0o600, &line(&owner.to_string(), &key.expose_seed()))
}

/// Reads a key file.
///
/// # Errors
/// When it is missing, readable by others, or not such a key: the text says which and what to do.
pub fn read(path: &Path, owner: Owner) -> Result<SigningKey, Failure> {
    let shown = path.display();
    let mut file = open(path, &owner.to_string(), "make one with `conclave-relay init`, or name the right file")?;
    private(&file, path, owner)?;
    let text = text(&mut file, path)?;
    let bytes = parse(&text, &owner.to_string()).map_err(|wrong| Failure::Config(format!("{shown}: {wrong}")))?;
    let seed = <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| Failure::Config(format!("{shown}: the {owner} is cut or too long: restore it from a copy")))?;
    Ok(SigningKey::from_seed(seed))
}

#[cfg(unix)]
fn private(file: &File, path: &Path, owner: Owner) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let about = file.metadata().map_err(|error| Failure::Config(format!("{shown}: cannot be read: {error}")))?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        Err(Failure::Config(format!("{shown}: others may read this {owner} (mode {mode:o}): run `chmod 600 {shown}`")))
    }
}

#[cfg(not(unix))]
fn private(_: &File, _: &Path, _: Owner) -> Result<(), Failure> {
    Ok(())
}

/// Writes the descriptor, over an older one if there is one: all of it or nothing.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_descriptor(path: &Path, descriptor: &RelayDescriptor) -> Result<(), Failure> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    create(&new, 0o644, &line(DESCRIPTOR, &descriptor.encode()))?;
    fs::rename(&new, path).map_err(|error| Failure::Config(format!("{}: cannot be written: {error}", path.display())))
}

/// Reads a descriptor; its signature is checked.
///
/// # Errors
/// When it is missing, or not a descriptor that its operator signed.
pub fn read_descriptor(path: &Path) -> Result<RelayDescriptor, Failure> {
    let shown = path.display();
    let mut file = open(path, DESCRIPTOR, "make one with `conclave-relay sign`")?;
    let text = text(&mut file, path)?;
    let bytes = parse(&text, DESCRIPTOR).map_err(|wrong| Failure::Config(format!("{shown}: {wrong}")))?;
    match RelayDescriptor::decode(&Bytes::from(bytes)) {
        Ok(descriptor) if descriptor.verify() => Ok(descriptor),
        _ => Err(Failure::Config(format!("{shown}: its operator did not sign this: make a new one with `conclave-relay sign`"))),
    }
}

/// An operator vouches for a relay under a name and addresses.
///
/// # Errors
/// With more addresses than fit; the configuration is checked for that before.
pub fn describe(
    operator: &SigningKey,
    relay: &SigningKey,
    name: &str,
    addresses: &[HostPort],
) -> Result<RelayDescriptor, Failure> {
    let addresses = addresses.iter().map(|address| Address::cut(address.as_str())).collect();
    let addresses = List::new(addresses).ok_or_else(|| Failure::Config("too many addresses for one descriptor".to_owned()))?;
    let relay = conclave_federation::id::RelayId::new(*relay.verifying_key().as_bytes());
    Ok(RelayDescriptor::issue(operator, relay, name, addresses))
}

/// Writes a file that must not be there yet.
pub(crate) fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::Config(format!(
            "{}: is there already and is not overwritten: choose another folder, or move it away",
            path.display()
        )),
        _ => Failure::Config(format!("{}: cannot be written: {error}", path.display())),
    })
}

fn line(what: &str, bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("conclave {what} 1 {digits}\n")
}

fn open(path: &Path, what: &str, remedy: &str) -> Result<File, Failure> {
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Config(format!("{}: there is no {what} here: {remedy}", path.display())),
        io::ErrorKind::PermissionDenied => {
            Failure::Config(format!("{}: the {what} may not be read: run the relay as the user that owns it", path.display()))
        }
        _ => Failure::Config(format!("{}: the {what} cannot be read: {error}", path.display())),
    })
}

fn text(file: &mut File, path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Config(format!("{}: cannot be read: {error}", path.display())))?;
    Ok(text)
}

/// The bytes after `conclave <what> 1`. What is wrong never repeats what was read: it may be a key.
fn parse(text: &str, what: &str) -> Result<Vec<u8>, String> {
    let rest =
        text.trim().strip_prefix("conclave ").ok_or_else(|| format!("this is no {what} of Conclave: name the right file"))?;
    let Some(rest) = rest.strip_prefix(what) else {
        return Err(format!("this file holds something else than a {what}: name the right file"));
    };
    let digits = rest
        .strip_prefix(" 1 ")
        .ok_or_else(|| format!("this {what} is of another version of the software: update, or make a new one"))?;
    let wrong = || format!("the {what} is damaged: restore it from a copy, or make a new one");
    if !digits.is_ascii() || digits.len() % 2 != 0 || digits.is_empty() {
        return Err(wrong());
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(wrong))
        .collect()
}

//! Where inputs begin: what was committed, and the golden bytes that other implementations agree on.

use std::{fs, path::PathBuf};

use conclave_federation::wire::{
    Wire,
    message::{Answer, Entry, Message, MessageReader, Notice, Request},
};

/// The hop protocol's golden bytes: always those of today.
const GOLDEN: &str = include_str!("../../../federation/tests/agreement/golden.txt");

/// The folder of a target's committed inputs.
#[must_use]
pub fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All inputs that a target begins with, in a fixed order.
///
/// # Panics
/// When a committed file cannot be read.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let golden = || GOLDEN.lines().filter_map(|line| line.split_once(": "));
    let mut all: Vec<Vec<u8>> = golden().filter(|(name, _)| is_for(name, target)).filter_map(|(_, hex)| unhex(hex)).collect();
    let messages = golden().filter(|(name, _)| name.starts_with("message ")).filter_map(|(_, hex)| unhex(hex));
    all.extend(messages.flat_map(|bytes| parts(&bytes)).filter(|(name, _)| *name == target).map(|(_, bytes)| bytes));
    if is_of_participants(target) {
        all.extend(vectors());
        all.extend(conclave_client_core::fuzzing::samples(target).into_iter().map(Vec::from));
    }
    if let Ok(files) = fs::read_dir(folder(target)) {
        let mut files: Vec<PathBuf> = files.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.sort();
        all.extend(files.into_iter().map(|file| fs::read(&file).expect("a committed input can be read")));
    }
    all
}

/// Whether participants alone speak it.
fn is_of_participants(target: &str) -> bool {
    conclave_client_core::fuzzing::DECODERS.iter().any(|decoder| decoder.name == target)
}

/// Every piece of bytes in the known answers of the room security protocol: what is a catalog is damaged for others, too.
fn vectors() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../client-core/tests/vectors");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the known answers are committed")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("known answers can be read"));
    let mut all: Vec<Vec<u8>> = texts
        .flat_map(|text| text.split('"').filter(|piece| piece.len() >= 8).map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|piece| unhex(&piece).or_else(|| piece.starts_with("https://").then(|| piece.into_bytes())))
        .collect();
    all.sort();
    all.dedup();
    all
}

/// Whether golden bytes of this name are for this target.
fn is_for(name: &str, target: &str) -> bool {
    let (kind, variant) = name.split_once(' ').unwrap_or((name, ""));
    match target {
        "large-message" => kind == "message",
        "mux-dialler" | "mux-acceptor" => kind == "mux",
        "object" => name == "object datagram",
        "object-header" => name == "object header",
        "well-known" | "well-known-signed" => name == "well known",
        _ => kind == target && variant != "associated data",
    }
}

/// The structures inside a message, each an input of its own.
fn parts(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut reader = MessageReader::large();
    reader.push(bytes);
    let Ok(Some(message)) = reader.next_message() else { return Vec::new() };
    match message {
        Message::Request(_, request) => match *request {
            Request::Append(append) => {
                let mut parts = vec![("append", append.encode().to_vec()), ("entry-header", append.header.encode().to_vec())];
                parts.extend(append.call.map(|call| ("call-keys", call.encode().to_vec())));
                parts.extend(append.record.into_iter().flat_map(|record| {
                    record.delegation.iter().map(|step| ("delegation", step.encode().to_vec())).collect::<Vec<_>>()
                }));
                parts
            }
            Request::Decline(decline) => vec![("host-proof", decline.proof.encode().to_vec())],
            Request::Attach(attach) => vec![("capability", attach.capability.encode().to_vec())],
            _ => Vec::new(),
        },
        Message::Answer(_, Answer::Resolved(resolved)) => vec![("resolved", resolved.encode().to_vec())],
        Message::Answer(_, Answer::Appended(head)) => vec![("hub-head", head.encode().to_vec())],
        Message::Answer(_, Answer::Admitted(admitted)) => {
            let entry = Entry {
                header: admitted.header.clone(),
                commit: admitted.welcome.clone(),
                epoch_box: admitted.epoch_box.clone(),
                record: None,
                head: admitted.head.clone(),
            };
            vec![("admitted", admitted.encode().to_vec()), ("entry", entry.encode().to_vec())]
        }
        Message::Notice(Notice::Greeting(greeting)) => vec![("descriptor", greeting.descriptor.encode().to_vec())],
        Message::Answer(..) | Message::Notice(_) | Message::Unknown(_) => Vec::new(),
    }
}

/// Bytes of an even number of hex digits.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

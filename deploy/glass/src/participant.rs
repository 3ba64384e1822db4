//! `glass-participant`: the participant, and every secret of the room that it held.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, io::Write, process::ExitCode};

use conclave_glass::{open, place, secrets};

fn main() -> ExitCode {
    let mut file = match place().and_then(|path| open(&path)) {
        Ok(file) => file,
        Err(words) => {
            eprintln!("glass-participant: {words}");
            return ExitCode::from(2);
        }
    };
    let mut known: BTreeSet<Vec<u8>> = BTreeSet::new();
    conclave_cli::run_audited(std::env::args_os(), (), move |mut named| {
        named.retain(|(_, secret)| known.insert(secret.clone()));
        if let Err(error) = file.write_all(secrets(&named).as_bytes()) {
            eprintln!("glass: secrets cannot be handed to the check: {error}");
            std::process::exit(74);
        }
    })
}

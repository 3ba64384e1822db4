//! `glass-relay`: the relay, and everything that its operator could have read.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use conclave_glass::{Recorder, place};

fn main() -> ExitCode {
    match place() {
        Ok(folder) => conclave_relay::cli::main(Recorder::new(folder)),
        Err(words) => {
            eprintln!("glass-relay: {words}");
            ExitCode::from(2)
        }
    }
}

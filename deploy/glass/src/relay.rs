//! `glass-relay`: the relay, and everything that its operator could have read.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use conclave_glass::{Recorder, file};

fn main() -> ExitCode {
    match file() {
        Ok(file) => conclave_relay::cli::main(Recorder::new(file)),
        Err(words) => {
            eprintln!("glass-relay: {words}");
            ExitCode::from(2)
        }
    }
}

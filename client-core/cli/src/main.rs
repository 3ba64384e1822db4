//! `conclave`: a participant on the command line. All of it is in the library; nobody reads along here.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    conclave_cli::run(std::env::args_os(), ())
}

//! A relay that a community runs. Everything is in the library; this process has no window into its traffic.

use std::process::ExitCode;

fn main() -> ExitCode {
    conclave_relay::cli::main(())
}

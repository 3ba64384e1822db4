//! Why the process ends, as one sentence and an exit code that a supervisor can act on.
//!
//! | code | meaning | a supervisor |
//! |---|---|---|
//! | 0 | asked to stop, stopped | leaves it |
//! | 1 | something went wrong while running, or a port is in use | starts it again |
//! | 69 | the data folder cannot be used: in use, not writable, damaged, too new | starts it again, a person looks |
//! | 78 | the configuration, a key file or the command line is wrong | does **not** start it again |

use std::process::ExitCode;

/// Why the relay does not run (any more). Each text is a sentence for the operator and says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Exit code 1.
    #[error("{0}")]
    Runtime(String),
    /// Exit code 69, `EX_UNAVAILABLE`.
    #[error("{0}")]
    Unavailable(String),
    /// Exit code 78, `EX_CONFIG`.
    #[error("{0}")]
    Config(String),
}

impl Failure {
    /// The number that the process ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Unavailable(_) => 69,
            Self::Config(_) => 78,
        }
    }
}

impl From<&Failure> for ExitCode {
    fn from(failure: &Failure) -> Self {
        Self::from(failure.exit_code())
    }
}

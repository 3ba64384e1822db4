//! Why the program stops, as one sentence and a number for scripts.

use std::fmt;

use conclave::{ClientError, DialError, Failure as RoomFailure, JoinError};

/// Numbers of `sysexits.h`, where it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Something else failed while running.
    Runtime = 1,
    /// The command line is wrong; also clap's number.
    Usage = 2,
    /// What was to be proved is not.
    NoProof = 65,
    /// A media file cannot be read, or is not what it says.
    NoInput = 66,
    /// The relay does not answer, or not any more.
    Unavailable = 69,
    /// Who answers is not who was meant, or speaks another version.
    Protocol = 76,
    /// A relay, the hub or the room said no.
    Refused = 77,
}

/// A reason to stop, told once on standard error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) words: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, words: impl fmt::Display) -> Self {
        Self { exit, words: words.to_string() }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let exit = match &error {
            JoinError::Link(_) => Exit::Usage,
            JoinError::Socket(_) | JoinError::Randomness(_) => Exit::Runtime,
            JoinError::Room(failure) => exit_of(failure),
        };
        Self::new(exit, error)
    }
}

impl From<RoomFailure> for Failure {
    fn from(failure: RoomFailure) -> Self {
        Self::new(exit_of(&failure), failure)
    }
}

fn exit_of(failure: &RoomFailure) -> Exit {
    match failure {
        RoomFailure::EventsUnread | RoomFailure::Bug => Exit::Runtime,
        RoomFailure::Client(error) => match error {
            ClientError::RelayUnreachable(DialError::Unreachable | DialError::UnknownName) | ClientError::ConnectionLost => {
                Exit::Unavailable
            }
            ClientError::RelayUnreachable(DialError::WrongKey | DialError::NotConclave)
            | ClientError::WrongRelayKey
            | ClientError::NoCommonVersion
            | ClientError::Record(_)
            | ClientError::BadWelcome => Exit::Protocol,
            ClientError::LinkInvalid
            | ClientError::UnknownRoom
            | ClientError::RoomExpired
            | ClientError::UnknownHub { .. }
            | ClientError::Refused { .. }
            | ClientError::Closed { .. }
            | ClientError::NobodyAnswered
            | ClientError::Declined { .. }
            | ClientError::NobodyThere
            | ClientError::Removed => Exit::Refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use conclave::Code;

    use super::*;

    #[test]
    fn scripts_can_tell_a_silent_relay_from_a_wrong_one_and_from_a_refusal() {
        let exit = |error: ClientError| Failure::from(JoinError::from(RoomFailure::from(error)));
        assert_eq!(exit(ClientError::RelayUnreachable(DialError::Unreachable)).exit as u8, 69);
        assert_eq!(exit(ClientError::RelayUnreachable(DialError::WrongKey)).exit as u8, 76);
        assert_eq!(exit(ClientError::NoCommonVersion).exit as u8, 76);
        let refused = exit(ClientError::Refused { code: Code::POLICY, words: "ask the operator".to_owned() });
        assert_eq!((refused.exit as u8, refused.words.as_str()), (77, "refused (policy): ask the operator"));
        assert_eq!(Failure::from(RoomFailure::Bug).exit as u8, 1);
    }
}

//! Why something was refused or closed. The only place where errors become numbers.

use super::{Malformed, Reader, Wire, Writer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl Code {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// One word for logs and metrics, from a closed list.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    _ => "unknown",
                }
            }

            /// Every code that has a name, for tests and documents.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

/// A reason on the wire; numbers that we do not know survive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(pub u16);

codes! {
    /// Ended as agreed.
    NONE = 0, "none";
    /// The bytes cannot be read.
    MALFORMED = 1, "malformed";
    /// The bytes can be read, but not here and now.
    VIOLATION = 2, "violation";
    /// No common version.
    VERSION = 3, "version";
    /// The remote did not prove its key.
    UNPROVEN = 4, "unproven";
    /// The relay stops; connect again, or to another relay.
    SHUTTING_DOWN = 5, "shutting_down";
    /// The remote does not take what it asked for.
    SLOW = 6, "slow";
    /// The opening or a request took too long.
    TIMEOUT = 7, "timeout";
    /// Another session of the same two relays goes on.
    DUPLICATE = 8, "duplicate";
    /// A bug on our side ended this session and no other.
    INTERNAL = 9, "internal";
    /// Policy refuses this operator.
    POLICY = 10, "policy";
    /// Too many of something in too short a time.
    RATE = 11, "rate";
    /// A bound is reached.
    FULL = 12, "full";
    /// This relay does not know the room.
    UNKNOWN_ROOM = 16, "unknown_room";
    /// The relay named is not in the address book.
    UNKNOWN_RELAY = 17, "unknown_relay";
    /// The relay named does not answer.
    UNREACHABLE = 18, "unreachable";
    /// The proof does not verify.
    BAD_PROOF = 19, "bad_proof";
    /// The proof is of another generation.
    STALE_GENERATION = 20, "stale_generation";
    /// Not attached to this room, or no capability for it.
    NOT_ATTACHED = 21, "not_attached";
    /// No such track.
    UNKNOWN_TRACK = 22, "unknown_track";
    /// The log has another head.
    CONFLICT = 23, "conflict";
    /// The call of that instance is over or not the current one.
    WRONG_INSTANCE = 24, "wrong_instance";
    /// The subscription would visit a relay twice or pass too many.
    LOOP = 25, "loop";
    /// The room record does not verify, or an older one was offered.
    BAD_RECORD = 26, "bad_record";
    /// This is specified but not spoken yet.
    UNSUPPORTED = 27, "unsupported";
    /// The store cannot write.
    STORE = 28, "store";
    /// Late: the next group has begun.
    LATE = 29, "late";
    /// Nobody here wants this track any more.
    UNWANTED = 30, "unwanted";
    /// The publisher ended the track or left.
    ENDED = 31, "ended";
    /// The same id is in use.
    EXISTS = 32, "exists";
    /// Nobody in the room answered the request.
    UNANSWERED = 33, "unanswered";
    /// Somebody in the room refused the request.
    REFUSED = 34, "refused";
    /// The proof has expired.
    EXPIRED = 35, "expired";
    /// The proof was made for another relay.
    FOREIGN_PROOF = 36, "foreign_proof";
    /// The relay's operator closed the room.
    CLOSED = 37, "closed";
}

impl Wire for Code {
    fn put(&self, out: &mut Writer) {
        out.u16(self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.u16().map(Self)
    }
}

impl From<crate::proof::ProofError> for Code {
    fn from(error: crate::proof::ProofError) -> Self {
        use crate::proof::ProofError as E;
        match error {
            E::Invalid => Self::BAD_PROOF,
            E::Foreign => Self::FOREIGN_PROOF,
            E::Expired => Self::EXPIRED,
            E::Stale => Self::STALE_GENERATION,
        }
    }
}

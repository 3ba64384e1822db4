//! What the operator orders while the relay runs, and what comes of it. Closing a room is content-free: nobody here can look
//! inside, so an order names a room by its id and says why, and nothing else.

use conclave_federation::id::{Instance, RoomId};

/// Longest reason of a closure, bytes: with the sentence around it and the way to appeal it still fits into a refusal.
pub const MAX_REASON: usize = 120;
/// Longest contact of an operator, bytes; see [`MAX_REASON`].
pub const MAX_CONTACT: usize = 90;
/// Rooms that one relay keeps closed. More would mean that closing is not what stops the harm.
pub const MAX_CLOSED_ROOMS: usize = 10_000;
/// Fewest digits of a room's id that name it: eight hardly ever mean two rooms.
pub const MIN_ROOM_DIGITS: usize = 8;

/// One order; never reused by its driver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderKey(pub u64);

/// An order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// End the room's call, and refuse the room from now on. A room that is closed already gets the new reason.
    Close {
        /// Which.
        room: RoomName,
        /// Said to everybody who is refused.
        reason: String,
    },
    /// Serve the room again.
    Reopen {
        /// Which.
        room: RoomName,
    },
    /// Tell which rooms there are.
    List,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Obeyed {
    /// The room is closed, and stays so when the relay is started again.
    Closed {
        /// Which.
        room: RoomId,
        /// Clients of this relay that were in it.
        attached: usize,
    },
    /// The room may be used again.
    Reopened {
        /// Which.
        room: RoomId,
    },
    /// All rooms here, and all that are closed, by id.
    Listed(Vec<ListedRoom>),
}

/// A room as an operator sees it: numbers, and nothing of what is said in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedRoom {
    /// Which.
    pub room: RoomId,
    /// What this relay is in it; `None`: nothing now, it is only closed.
    pub role: Option<Role>,
    /// Its current call, 0 before the first.
    pub instance: Instance,
    /// Clients of this relay that are in it.
    pub attached: usize,
    /// Why it is closed, when it is.
    pub closure: Option<Closure>,
}

/// What a relay is in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It orders the room's log.
    Hub,
    /// Another relay does.
    Follower,
}

/// That a room is closed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closure {
    /// Which.
    pub room: RoomId,
    /// The operator's words, at most [`MAX_REASON`] bytes, shown to people.
    pub reason: String,
    /// Since when, milliseconds since 1970.
    pub since: u64,
}

/// Why an order was not obeyed. Each is a sentence for the operator.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// Not the beginning of an id.
    #[error(
        "a room is named by its id, 32 hexadecimal digits, or by at least {MIN_ROOM_DIGITS} of its first digits: see `room list`"
    )]
    Name,
    /// No room begins so.
    #[error("no room here begins with these digits: see `room list`, or give all 32 digits to close a room before it comes here")]
    Unknown,
    /// More than one does.
    #[error("{0} rooms begin with these digits: give more of them")]
    Ambiguous(usize),
    /// It has to be said why, shortly.
    #[error("a reason has 1 to {MAX_REASON} bytes without control characters: it is shown to everybody in the room")]
    Reason,
    /// It is open.
    #[error("this room is not closed: see `room list`")]
    NotClosed,
    /// A bound is reached.
    #[error("{MAX_CLOSED_ROOMS} rooms are closed, which is all that a relay keeps: reopen some first")]
    Full,
    /// The store could not write; nothing was changed.
    #[error("nothing was changed, because it could not be kept: {0}")]
    Store(String),
}

/// A room's id, or enough of its first digits.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomName(Vec<u8>);

impl RoomName {
    /// Reads hexadecimal digits, large or small.
    ///
    /// # Errors
    /// [`OrderError::Name`].
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let digits = digits.filter(|digits| (MIN_ROOM_DIGITS..=32).contains(&digits.len()));
        digits.map(Self).ok_or(OrderError::Name)
    }

    /// Whether a room's id begins so.
    fn matches(&self, room: RoomId) -> bool {
        let digits = room.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        self.0.iter().copied().eq(digits.take(self.0.len()))
    }

    /// The id, when all of it is given.
    fn whole(&self) -> Option<RoomId> {
        let bytes: Vec<u8> = self.0.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.last()?)).collect();
        <[u8; 16]>::try_from(bytes).ok().filter(|_| self.0.len() == 32).map(RoomId::new)
    }

    /// The one room that is meant.
    pub(crate) fn find(&self, rooms: impl IntoIterator<Item = RoomId>) -> Result<RoomId, OrderError> {
        if let Some(room) = self.whole() {
            return Ok(room);
        }
        let mut found: Vec<_> = rooms.into_iter().filter(|room| self.matches(*room)).collect();
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Err(OrderError::Unknown),
            [room] => Ok(*room),
            more => Err(OrderError::Ambiguous(more.len())),
        }
    }
}

impl std::fmt::Debug for RoomName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RoomName({} digits)", self.0.len())
    }
}

/// Whether this may be shown to people as a reason.
#[must_use]
pub fn is_reason(text: &str) -> bool {
    (1..=MAX_REASON).contains(&text.len()) && !text.chars().any(char::is_control) && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(first: u8, last: u8) -> RoomId {
        let mut id = [0x5a; 16];
        (id[0], id[15]) = (first, last);
        RoomId::new(id)
    }

    fn named(text: &str, rooms: &[RoomId]) -> Result<RoomId, OrderError> {
        RoomName::parse(text)?.find(rooms.iter().copied())
    }

    #[test]
    fn a_room_is_named_by_its_id_or_by_enough_of_it() {
        let rooms = [room(0xa1, 1), room(0xa1, 2), room(0xb2, 1)];
        assert_eq!(named("B25a5a5A", &rooms), Ok(rooms[2]));
        assert_eq!(named("a15a5a5a5", &rooms), Err(OrderError::Ambiguous(2)));
        assert_eq!(named("c15a5a5a", &rooms), Err(OrderError::Unknown));
        let whole: String = rooms[1].as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(named(&whole, &[]), Ok(rooms[1]), "all of it needs no room here");
        assert_eq!(named(&whole[..31], &rooms), Err(OrderError::Ambiguous(2)), "an odd number of digits");
        for wrong in ["", "a15a5a5", "a15a5a5g", "a15a5a5 ", &"a".repeat(33), "ä15a5a5a"] {
            assert_eq!(named(wrong, &rooms), Err(OrderError::Name), "{wrong}");
        }
    }

    #[test]
    fn a_reason_is_short_and_can_be_read() {
        assert!(is_reason("it was used for threats"));
        assert!(is_reason(&"x".repeat(MAX_REASON)));
        for wrong in ["", "  ", "two\nlines", "bell\u{7}", &"x".repeat(MAX_REASON + 1)] {
            assert!(!is_reason(wrong), "{wrong}");
        }
    }
}

//! What the operator orders while the relay runs: rooms are closed, reopened and listed over a socket in the data folder.
//!
//! ```text
//!   conclave-relay room … --ask--> data/admin.sock --desk--> shard loop --> machine --> store
//!                          <------------- one JSON object a line <---------------+
//! ```
//!
//! Who may: whoever runs as the user that owns the socket (mode 600), and root. Each line is one order, each answer at least
//! one line; the last one of an answer has `closed`, `reopened`, `rooms` or `error`:
//!
//! ```text
//! {"order":"close","room":"5f3a09c2","reason":"it was used for threats"}
//! {"closed":"5f3a09c2…","clients":2}
//! {"order":"list"}
//! {"room":"5f3a09c2…","role":"hub","call":3,"clients":0,"reason":"it was used for threats","since_ms":1790000000000}
//! {"rooms":1}
//! {"order":"reopen","room":"5f3a09c2"}
//! {"reopened":"5f3a09c2…"}
//! ```

pub mod ask;
pub(crate) mod desk;

use std::path::{Path, PathBuf};

use conclave_federation::id::RoomId;
use conclave_relay_core::{
    Order,
    order::{ListedRoom, Obeyed, OrderError, Role, RoomName},
};
use serde::{Deserialize, Serialize};

/// The socket's name in the data folder.
pub const SOCKET: &str = "admin.sock";

/// Longest line, bytes, either way. An order is far shorter.
const MAX_LINE: usize = 4 * 1024;

/// Where the socket of a data folder is.
#[must_use]
pub fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// One line to the relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase", deny_unknown_fields)]
pub enum Wanted {
    /// End the room's call, and refuse the room.
    Close {
        /// An id or its beginning.
        room: String,
        /// Shown to people.
        reason: String,
    },
    /// Serve it again.
    Reopen {
        /// An id or its beginning.
        room: String,
    },
    /// Tell which there are.
    List {},
}

/// One line from the relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Told {
    /// Nothing was done.
    Error {
        /// One sentence that says what to do.
        error: String,
    },
    /// Durably.
    Closed {
        /// All 32 digits.
        closed: String,
        /// Clients of this relay that were in it.
        clients: usize,
    },
    /// Durably.
    Reopened {
        /// All 32 digits.
        reopened: String,
    },
    /// One of a list.
    Room {
        /// All 32 digits.
        room: String,
        /// `hub`, `follower`, or `none`: it is not here, only closed.
        role: String,
        /// The number of its call, 0 before the first.
        call: u32,
        /// Clients of this relay in it.
        clients: usize,
        /// Why it is closed, when it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Since when, milliseconds since 1970.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_ms: Option<u64>,
    },
    /// The end of a list.
    Rooms {
        /// How many were told.
        rooms: usize,
    },
}

impl Wanted {
    fn order(self) -> Result<Order, OrderError> {
        Ok(match self {
            Self::Close { room, reason } => Order::Close { room: RoomName::parse(&room)?, reason },
            Self::Reopen { room } => Order::Reopen { room: RoomName::parse(&room)? },
            Self::List {} => Order::List,
        })
    }
}

impl Told {
    /// Whether no line of the same answer follows.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        !matches!(self, Self::Room { .. })
    }

    fn error(words: impl ToString) -> Self {
        Self::Error { error: words.to_string() }
    }

    fn of(result: Result<Obeyed, OrderError>) -> Vec<Self> {
        match result {
            Err(error) => vec![Self::error(error)],
            Ok(Obeyed::Closed { room, attached }) => vec![Self::Closed { closed: digits(room), clients: attached }],
            Ok(Obeyed::Reopened { room }) => vec![Self::Reopened { reopened: digits(room) }],
            Ok(Obeyed::Listed(listed)) => {
                let rooms = listed.len();
                listed.into_iter().map(Self::room).chain([Self::Rooms { rooms }]).collect()
            }
        }
    }

    fn room(listed: ListedRoom) -> Self {
        let role = match listed.role {
            Some(Role::Hub) => "hub",
            Some(Role::Follower) => "follower",
            None => "none",
        };
        let (reason, since_ms) = listed.closure.map(|closure| (closure.reason, closure.since)).unzip();
        let (call, clients) = (listed.instance.0, listed.attached);
        Self::Room { room: digits(listed.room), role: role.to_owned(), call, clients, reason, since_ms }
    }

    fn line(&self) -> String {
        // A structure of strings and numbers always is JSON.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

/// A whole id: for the operator's eyes, never for a log.
fn digits(room: RoomId) -> String {
    room.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use conclave_federation::id::Instance;
    use conclave_relay_core::Closure;

    use super::*;

    fn read(line: &str) -> Result<Wanted, serde_json::Error> {
        serde_json::from_str(line)
    }

    #[test]
    fn orders_are_read_strictly() {
        let close = Wanted::Close { room: "5f3a09c2".into(), reason: "why".into() };
        assert_eq!(read(r#"{"order":"close","room":"5f3a09c2","reason":"why"}"#).unwrap(), close);
        assert_eq!(read(&serde_json::to_string(&close).unwrap()).unwrap(), close);
        assert_eq!(read(r#"{"order":"list"}"#).unwrap(), Wanted::List {});
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"order":"close","room":"5f3a09c2"}"#,
            r#"{"order":"open","room":"5f3a09c2"}"#,
            r#"{"order":"reopen","room":"5f3a09c2","reason":"why"}"#,
            r#"{"order":"list","all":true}"#,
            r#"{"order":"reopen","room":7}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_outcome_is_lines_of_which_the_last_says_so() {
        let room = RoomId::new([0xab; 16]);
        let closure = Closure { room, reason: "why".into(), since: 7 };
        let open = ListedRoom { room, role: Some(Role::Hub), instance: Instance(2), attached: 3, closure: None };
        let closed = ListedRoom { role: None, closure: Some(closure), ..open.clone() };
        let id = "ab".repeat(16);
        for (result, lines) in [
            (Err(OrderError::NotClosed), vec![r#"{"error":"this room is not closed: see `room list`"}"#.to_owned()]),
            (Ok(Obeyed::Closed { room, attached: 2 }), vec![format!(r#"{{"closed":"{id}","clients":2}}"#)]),
            (Ok(Obeyed::Reopened { room }), vec![format!(r#"{{"reopened":"{id}"}}"#)]),
            (
                Ok(Obeyed::Listed(vec![open, closed])),
                vec![
                    format!(r#"{{"room":"{id}","role":"hub","call":2,"clients":3}}"#),
                    format!(r#"{{"room":"{id}","role":"none","call":2,"clients":3,"reason":"why","since_ms":7}}"#),
                    r#"{"rooms":2}"#.to_owned(),
                ],
            ),
        ] {
            let told = Told::of(result);
            assert_eq!(told.iter().map(|told| told.line().trim_end().to_owned()).collect::<Vec<_>>(), lines);
            assert_eq!(told.iter().filter(|told| told.is_last()).count(), 1);
            for line in lines {
                let again: Told = serde_json::from_str(&line).unwrap();
                assert_eq!(again.line().trim_end(), line);
            }
        }
    }
}

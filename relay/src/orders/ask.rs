//! The command line's end of the socket: one order, its answer for people or for machines.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use conclave_relay_core::order::{OrderError, RoomName, is_reason};

use super::{Told, Wanted, socket};
use crate::failure::Failure;

/// How long the relay may take: an order waits for the disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Gives a relay that runs on this data folder an order, and says what came of it.
///
/// # Errors
/// [`Failure::Config`] when the order cannot be meant, [`Failure::Runtime`] when no relay runs there or it refused.
pub fn ask(data_dir: &Path, wanted: &Wanted, json: bool) -> Result<String, Failure> {
    check(wanted)?;
    let told = converse(data_dir, wanted)?;
    if let Some(Told::Error { error }) = told.last() {
        return Err(Failure::Runtime(error.clone()));
    }
    Ok(if json { told.iter().map(Told::line).collect() } else { words(&told) })
}

/// What is wrong on the command line is said before anybody is asked.
fn check(wanted: &Wanted) -> Result<(), Failure> {
    let wrong = |error: OrderError| Failure::Config(error.to_string());
    match wanted {
        Wanted::Close { room, reason } => {
            RoomName::parse(room).map_err(wrong)?;
            if is_reason(reason) { Ok(()) } else { Err(wrong(OrderError::Reason)) }
        }
        Wanted::Reopen { room } => RoomName::parse(room).map(drop).map_err(wrong),
        Wanted::List {} => Ok(()),
    }
}

fn converse(data_dir: &Path, wanted: &Wanted) -> Result<Vec<Told>, Failure> {
    let path = socket(data_dir);
    let shown = path.display();
    let mut connection = UnixStream::connect(&path).map_err(|error| {
        Failure::Runtime(match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                format!("{shown}: no relay runs on this data folder: start it, or name its configuration with --config")
            }
            ErrorKind::PermissionDenied => format!("{shown}: only the user that runs the relay may give it orders: use that one"),
            _ => format!("{shown}: the relay cannot be asked: {error}"),
        })
    })?;
    let broken = |error| Failure::Runtime(format!("{shown}: the relay did not answer: {error}: look at its log, then try again"));
    let set = connection.set_read_timeout(Some(PATIENCE)).and_then(|()| connection.set_write_timeout(Some(PATIENCE)));
    set.map_err(broken)?;
    let mut line = serde_json::to_string(wanted).unwrap_or_default();
    line.push('\n');
    connection.write_all(line.as_bytes()).map_err(broken)?;
    let mut told = Vec::new();
    for line in BufReader::new(connection).lines() {
        let line = line.map_err(broken)?;
        let one: Told = serde_json::from_str(&line).map_err(|error| broken(error.into()))?;
        let last = one.is_last();
        told.push(one);
        if last {
            return Ok(told);
        }
    }
    Err(broken(ErrorKind::UnexpectedEof.into()))
}

/// For people.
fn words(told: &[Told]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut out = String::new();
    for one in told {
        // Writing to a string does not fail.
        let _ = match one {
            Told::Closed { closed, clients } => writeln!(out, "closed {closed}: {clients} clients of this relay were in it"),
            Told::Reopened { reopened } => writeln!(out, "reopened {reopened}"),
            Told::Room { room, role, call, clients, reason, since_ms } => {
                let open = format!("{room}  {role:<8}  call {call:<4}  clients {clients:<4}");
                match (reason, since_ms) {
                    (Some(reason), Some(since)) => {
                        writeln!(out, "{open}  closed {}: {reason}", ago(now.saturating_sub(Duration::from_millis(*since))))
                    }
                    _ => writeln!(out, "{}", open.trim_end()),
                }
            }
            Told::Rooms { rooms } => writeln!(out, "{rooms} rooms"),
            Told::Error { error } => writeln!(out, "{error}"),
        };
    }
    out
}

fn ago(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0 => "just now".to_owned(),
        1..=119 => format!("{minutes} min ago"),
        120..=2_879 => format!("{} h ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1_440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_in_words() {
        let told = [
            Told::Room { room: "ab".repeat(16), role: "hub".into(), call: 2, clients: 3, reason: None, since_ms: None },
            Told::Room {
                room: "cd".repeat(16),
                role: "none".into(),
                call: 0,
                clients: 0,
                reason: Some("threats".into()),
                since_ms: Some(u64::MAX),
            },
            Told::Rooms { rooms: 2 },
        ];
        let words = words(&told);
        let lines: Vec<_> = words.lines().collect();
        assert_eq!(lines.first(), Some(&"abababababababababababababababab  hub       call 2     clients 3"));
        assert!(lines.get(1).is_some_and(|line| line.ends_with("closed just now: threats")), "{words}");
        assert_eq!(lines.get(2), Some(&"2 rooms"));
    }

    #[test]
    fn an_age_is_said_in_the_unit_that_fits() {
        let minutes = |minutes: u64| ago(Duration::from_secs(minutes * 60));
        assert_eq!([minutes(0), minutes(1), minutes(119)], ["just now", "1 min ago", "119 min ago"]);
        assert_eq!([minutes(120), minutes(2_880)], ["2 h ago", "2 days ago"]);
    }

    #[test]
    fn what_cannot_be_meant_is_said_before_anybody_is_asked() {
        let nowhere = Path::new("/nowhere");
        let close = |room: &str, reason: &str| Wanted::Close { room: room.into(), reason: reason.into() };
        for wanted in [close("5f3a", "why"), close("5f3a09cg", "why"), close("5f3a09c2", ""), close("5f3a09c2", "a\nb")] {
            assert!(matches!(ask(nowhere, &wanted, false), Err(Failure::Config(_))), "{wanted:?}");
        }
        let error = ask(nowhere, &close("5f3a09c2", "why"), false).unwrap_err();
        assert!(matches!(&error, Failure::Runtime(words) if words.contains("no relay runs on this data folder")), "{error}");
    }
}

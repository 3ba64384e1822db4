//! Who plays, at which operator's relay, and what they do.

use std::time::Duration;

use crate::call::seat::{Exit, Part};

/// The operators, each with one relay.
pub(crate) const OPERATORS: [&str; 3] = ["Alder", "Birch", "Cedar"];

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When the call ends for everybody.
pub(crate) const END: Duration = at(33);

/// When the late one comes: nobody listens at its relay before.
pub(crate) const LATE: Duration = at(10);

/// The first creates the room.
pub(crate) const CAST: [Part; 6] = [
    Part { name: "Wren", operator: 0, publishes: &["camera-1.ivf", "voice-1.ogg"], screen: None, comes: at(0), goes: None },
    Part {
        name: "Finch",
        operator: 0,
        publishes: &["camera-2.ivf", "voice-2.ogg"],
        screen: None,
        comes: at(1),
        goes: Some((at(11), Exit::Killed)),
    },
    Part {
        name: "Heron",
        operator: 1,
        publishes: &["camera-3.ivf", "voice-3.ogg"],
        screen: Some("screen.ivf"),
        comes: at(1),
        goes: None,
    },
    Part {
        name: "Robin",
        operator: 1,
        publishes: &["camera-4.ivf", "voice-4.ogg"],
        screen: None,
        comes: at(2),
        goes: Some((at(22), Exit::Leaves)),
    },
    Part { name: "Swift", operator: 2, publishes: &["camera-2.ivf", "voice-2.ogg"], screen: None, comes: LATE, goes: None },
    Part { name: "Lark", operator: 2, publishes: &["camera-1.ivf", "voice-3.ogg"], screen: None, comes: at(13), goes: None },
];

/// Index of the one who comes late, in [`CAST`].
pub(crate) const LATE_PART: usize = 4;

/// Planted in names, the title, chat and media: found anywhere at an operator, it is a leak.
pub(crate) mod marker {
    /// In every name.
    pub(crate) const NAME: &str = "marker-name-7f3a91c2";
    /// In the room's title.
    pub(crate) const TITLE: &str = "marker-title-5be0d844";
    /// In every chat message.
    pub(crate) const CHAT: &str = "marker-chat-c09d16ab";
    /// In media: the vendor string in the header of each packet stream is not sent, so the demo plants this in the
    /// first bytes after a frame, where decoders do not look.
    pub(crate) const MEDIA: &str = "marker-media-e4721f60";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_has_what_the_report_measures() {
        assert!(CAST.len() >= 5);
        assert!(CAST.iter().any(|part| part.screen.is_some()));
        assert!(CAST.iter().any(|part| part.goes.is_some_and(|(_, exit)| exit == Exit::Killed)));
        assert!(CAST.iter().any(|part| part.goes.is_some_and(|(_, exit)| exit == Exit::Leaves)));
        let late = CAST[LATE_PART];
        assert_eq!(late.comes, LATE);
        assert!(CAST.iter().all(|part| part.operator != late.operator || part.comes >= LATE), "nobody listens there before");
        for operator in 0..OPERATORS.len() {
            assert!(CAST.iter().filter(|part| part.operator == operator).count() >= 2, "several listeners behind each link");
        }
    }

    #[test]
    fn a_killed_one_can_be_missed_within_the_call() {
        for part in CAST {
            if let Some((when, Exit::Killed)) = part.goes {
                assert!(when + Duration::from_secs(20) < END);
            }
        }
    }
}

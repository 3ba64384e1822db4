//! What people type: words for everybody, or after a slash something to do.

use conclave::{Kind, ParticipantId, Room, RoomOver};

/// A line of standard input.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Typed {
    /// Words for everybody; two slashes at the beginning are one of the words.
    Say(String),
    /// Something to do.
    Do(Deed),
    /// Not understood: what to say about it.
    Wrong(&'static str),
}

/// Something to do. People are named by their id or by their name.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    Compare(String),
    Verified(String, bool),
    Rename(String),
    Hand(bool),
    React(String),
    AskMute(String, Kind),
    Recording(bool),
}

/// All that can be typed after a slash here, for those who type something else.
const HELP: &str = "after a slash: compare WHO, verified WHO, differs WHO, rename NAME, hand up|down, react SIGN, \
                    askmute WHO [microphone|camera|screen], recording on|off, hide WHO, unhide WHO, \
                    mute WHO, unmute WHO, block WHO, unblock WHO, report WHO [NOTE], vote WHO, leave; hosts: admit, refuse, \
                    mode open|knock|locked, lock, unlock, remove WHO, link [new], host WHO, unhost WHO, history MESSAGES [MINUTES], \
                    end; // begins a line that is said";

/// Understands a line.
pub(crate) fn read(line: &str) -> Typed {
    let Some(command) = line.strip_prefix('/') else { return Typed::Say(line.to_owned()) };
    if command.starts_with('/') {
        return Typed::Say(command.to_owned());
    }
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    deed(word, rest).map_or(Typed::Wrong(HELP), Typed::Do)
}

fn deed(word: &str, rest: &str) -> Option<Deed> {
    let who = || (!rest.is_empty()).then(|| rest.to_owned());
    Some(match (word, rest) {
        ("compare", _) => Deed::Compare(who()?),
        ("verified", _) => Deed::Verified(who()?, true),
        ("differs", _) => Deed::Verified(who()?, false),
        ("rename", name) => Deed::Rename(name.to_owned()),
        ("hand", "" | "up") => Deed::Hand(true),
        ("hand", "down") => Deed::Hand(false),
        ("react", _) => Deed::React(who()?),
        ("recording", "" | "on") => Deed::Recording(true),
        ("recording", "off") => Deed::Recording(false),
        ("askmute", _) => {
            let (who, kind) = rest.rsplit_once(char::is_whitespace).unwrap_or((rest, ""));
            match kind {
                "microphone" => Deed::AskMute(who.trim().to_owned(), Kind::Microphone),
                "camera" => Deed::AskMute(who.trim().to_owned(), Kind::Camera),
                "screen" => Deed::AskMute(who.trim().to_owned(), Kind::Screen),
                _ if rest.is_empty() => return None,
                _ => Deed::AskMute(rest.to_owned(), Kind::Microphone),
            }
        }
        _ => return None,
    })
}

/// Why nothing was done.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum NotDone {
    /// Nobody, or more than one, is called so.
    Who(String),
    /// The room is over; that is told elsewhere.
    Over,
}

impl From<RoomOver> for NotDone {
    fn from(_: RoomOver) -> Self {
        Self::Over
    }
}

/// Does it. `find` knows who is here.
pub(crate) async fn act(deed: Deed, room: &Room, find: impl Fn(&str) -> Option<ParticipantId>) -> Result<(), NotDone> {
    let find = |who: String| find(&who).ok_or(NotDone::Who(who));
    match deed {
        Deed::Compare(who) => room.compare(find(who)?).await?,
        Deed::Verified(who, matches) => room.verified(find(who)?, matches).await?,
        Deed::Rename(name) => room.rename(name).await?,
        Deed::Hand(up) => room.raise_hand(up).await?,
        Deed::React(text) => room.react(text).await?,
        Deed::AskMute(who, kind) => room.ask_mute(find(who)?, kind).await?,
        Deed::Recording(on) => room.say_recording(on).await?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(line: &str) -> Deed {
        match read(line) {
            Typed::Do(deed) => deed,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_is_said_unless_it_begins_with_one_slash() {
        assert_eq!(read("hello / there"), Typed::Say("hello / there".to_owned()));
        assert_eq!(read("//compare"), Typed::Say("/compare".to_owned()));
        assert_eq!(read("/dance"), Typed::Wrong(HELP));
        assert_eq!(read("/"), Typed::Wrong(HELP));
    }

    #[test]
    fn each_command_says_what_to_do_and_to_whom() {
        assert_eq!(done("/compare 0001a2b3"), Deed::Compare("0001a2b3".to_owned()));
        assert_eq!(done("/verified Jo from next door"), Deed::Verified("Jo from next door".to_owned(), true));
        assert_eq!(done("/differs Jo"), Deed::Verified("Jo".to_owned(), false));
        assert_eq!((done("/rename Jo B"), done("/rename")), (Deed::Rename("Jo B".to_owned()), Deed::Rename(String::new())));
        assert_eq!((done("/hand"), done("/hand down")), (Deed::Hand(true), Deed::Hand(false)));
        assert_eq!((done("/recording on"), done("/recording off")), (Deed::Recording(true), Deed::Recording(false)));
        assert_eq!(done("/react +1"), Deed::React("+1".to_owned()));
        assert_eq!(done("/askmute Jo B"), Deed::AskMute("Jo B".to_owned(), Kind::Microphone));
        assert_eq!(done("/askmute Jo B camera"), Deed::AskMute("Jo B".to_owned(), Kind::Camera));
        for wrong in ["/compare", "/verified ", "/react", "/askmute", "/hand sideways", "/recording maybe"] {
            assert_eq!(read(wrong), Typed::Wrong(HELP), "{wrong}");
        }
    }
}

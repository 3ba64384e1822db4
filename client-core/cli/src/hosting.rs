//! What hosts type after a slash: who comes in, who goes, and how the room stands.

use conclave::{Mode, ParticipantId, RequestId, Room, RoomOver};

/// Something that hosts do, or that is done where none is.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// Let in who knocks: named by the request, by the beginning of it, or by name; nobody named is whoever knocks alone.
    Admit(String),
    /// Do not.
    Refuse(String),
    Mode(Mode),
    Remove(String),
    /// Say the link.
    Link,
    /// Make another one.
    NewLink,
    Host(String),
    Unhost(String),
    Vote(String),
    /// So many messages for newcomers, none older than so many minutes.
    History(u16, u16),
    End,
    Leave,
    /// A word of ours, and something behind it that is not.
    Wrong(&'static str),
}

/// Understands a line; `None`: it is no host's word.
pub(crate) fn read(line: &str) -> Option<Order> {
    let command = line.strip_prefix('/')?;
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let who = |order: fn(String) -> Order, help| if rest.is_empty() { Order::Wrong(help) } else { order(rest.to_owned()) };
    Some(match (word, rest) {
        ("admit", _) => Order::Admit(rest.to_owned()),
        ("refuse", _) => Order::Refuse(rest.to_owned()),
        ("mode", "open") | ("unlock", "") => Order::Mode(Mode::Open),
        ("mode", "knock") => Order::Mode(Mode::Knock),
        ("mode", "locked") | ("lock", "") => Order::Mode(Mode::Locked),
        ("mode" | "lock" | "unlock", _) => Order::Wrong("/mode open, /mode knock or /mode locked; /lock and /unlock for short"),
        ("remove", _) => who(Order::Remove, "/remove WHO"),
        ("link", "") => Order::Link,
        ("link", "new") => Order::NewLink,
        ("link", _) => Order::Wrong("/link says the link, /link new makes another one"),
        ("host", _) => who(Order::Host, "/host WHO"),
        ("unhost", _) => who(Order::Unhost, "/unhost WHO"),
        ("vote", _) => who(Order::Vote, "/vote WHO"),
        ("history", _) => history(rest).unwrap_or(Order::Wrong("/history MESSAGES [MINUTES]")),
        ("end", "") => Order::End,
        ("leave", "") => Order::Leave,
        _ => return None,
    })
}

fn history(rest: &str) -> Option<Order> {
    let (messages, minutes) = rest.split_once(char::is_whitespace).unwrap_or((rest, "0"));
    Some(Order::History(messages.parse().ok()?, minutes.trim().parse().ok()?))
}

/// Those who knock, as they came.
#[derive(Default)]
pub(crate) struct Door {
    waiting: Vec<(RequestId, String)>,
}

impl Door {
    pub(crate) fn on_knock(&mut self, request: RequestId, name: &str) {
        self.on_gone(request);
        self.waiting.push((request, name.to_owned()));
    }

    pub(crate) fn on_gone(&mut self, request: RequestId) {
        self.waiting.retain(|(known, _)| *known != request);
    }

    /// Who is meant, if it is one alone.
    fn find(&self, who: &str) -> Option<RequestId> {
        let meant =
            |(request, name): &&(RequestId, String)| who.is_empty() || name == who || request.to_string().starts_with(who);
        let mut all = self.waiting.iter().filter(meant);
        all.next().filter(|_| all.next().is_none()).map(|(request, _)| *request)
    }
}

/// What came of it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Done {
    /// The room is asked; what it does not allow is an event.
    Asked,
    /// To be said.
    Link(String),
    /// Why not, as a sentence.
    Not(String),
}

/// Does it. `find` knows who is here.
pub(crate) async fn act(order: Order, room: &Room, door: &Door, find: impl Fn(&str) -> Option<ParticipantId>) -> Done {
    let nobody = |who: &str| Done::Not(format!("nobody, or more than one, is called {who}: use the eight digits"));
    let no_knock = || Done::Not("nobody, or more than one, knocks like that: name the request".to_owned());
    let asked: Result<(), RoomOver> = match order {
        Order::Wrong(help) => return Done::Not(help.to_owned()),
        Order::Link => return Done::Link(room.link().to_string()),
        Order::Admit(who) => match door.find(&who) {
            Some(request) => room.admit(request).await,
            None => return no_knock(),
        },
        Order::Refuse(who) => match door.find(&who) {
            Some(request) => room.refuse(request).await,
            None => return no_knock(),
        },
        Order::Mode(mode) => room.set_mode(mode).await,
        Order::NewLink => room.rotate_link().await,
        Order::History(messages, minutes) => room.set_history(messages, minutes).await,
        Order::End => room.end_for_all().await,
        Order::Leave => room.ask_to_leave().await,
        Order::Remove(ref who) | Order::Host(ref who) | Order::Unhost(ref who) | Order::Vote(ref who) => {
            let Some(participant) = find(who) else { return nobody(who) };
            match order {
                Order::Remove(_) => room.remove(participant).await,
                Order::Host(_) => room.make_host(participant).await,
                Order::Unhost(_) => room.drop_host(participant).await,
                _ => room.vote(participant).await,
            }
        }
    };
    // When the room is over, its last event says so.
    let _ = asked;
    Done::Asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_words_are_understood_and_others_are_left_alone() {
        for (line, order) in [
            ("/admit", Order::Admit(String::new())),
            ("/admit Jo B", Order::Admit("Jo B".to_owned())),
            ("/refuse 0a1b", Order::Refuse("0a1b".to_owned())),
            ("/mode open", Order::Mode(Mode::Open)),
            ("/mode knock", Order::Mode(Mode::Knock)),
            ("/mode locked", Order::Mode(Mode::Locked)),
            ("/lock", Order::Mode(Mode::Locked)),
            ("/unlock", Order::Mode(Mode::Open)),
            ("/remove Jo", Order::Remove("Jo".to_owned())),
            ("/link", Order::Link),
            ("/link new", Order::NewLink),
            ("/host Jo", Order::Host("Jo".to_owned())),
            ("/unhost Jo", Order::Unhost("Jo".to_owned())),
            ("/vote Jo", Order::Vote("Jo".to_owned())),
            ("/history 20", Order::History(20, 0)),
            ("/history 20 60", Order::History(20, 60)),
            ("/end", Order::End),
            ("/leave", Order::Leave),
        ] {
            assert_eq!(read(line), Some(order), "{line}");
        }
        for line in ["/remove", "/host ", "/vote", "/mode", "/mode ajar", "/lock it", "/link old", "/history", "/history many"] {
            assert!(matches!(read(line), Some(Order::Wrong(_))), "{line}");
        }
        for line in ["hello", "//end", "/hand", "/end now", "/dance", "/"] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn a_knock_is_named_by_its_request_its_name_or_nothing_when_it_is_alone() {
        let request = |digit: &str| RequestId::parse(&digit.repeat(32)).expect("32 digits");
        let mut door = Door::default();
        assert_eq!(door.find(""), None);
        door.on_knock(request("a"), "Jo");
        assert_eq!(door.find(""), Some(request("a")));
        door.on_knock(request("b"), "Jo");
        assert_eq!((door.find(""), door.find("Jo")), (None, None), "two are meant");
        assert_eq!((door.find("aa"), door.find("b")), (Some(request("a")), Some(request("b"))));
        door.on_gone(request("a"));
        assert_eq!(door.find("Jo"), Some(request("b")));
    }
}

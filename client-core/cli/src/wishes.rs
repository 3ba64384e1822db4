//! Lines of the keyboard that are no chat but wishes about others on one's own side: reports and local peace.

use conclave::{Participant, ParticipantId};

/// What a line asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    /// Report the last message of somebody, with a note.
    Report { of: ParticipantId, note: String },
    /// Receive no pictures of somebody, or again.
    Hide { of: ParticipantId, hidden: bool },
    /// Receive no sound of somebody, or again.
    Mute { of: ParticipantId, muted: bool },
    /// Receive nothing of somebody, or again.
    Block { of: ParticipantId, blocked: bool },
    /// A wish about nobody who is here.
    Nobody,
}

/// Reads a line; `None` when it is no wish of these.
pub(crate) fn read<'a>(line: &str, people: impl Iterator<Item = &'a Participant>) -> Option<Wish> {
    let line = line.strip_prefix('/')?;
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !matches!(word, "report" | "hide" | "unhide" | "mute" | "unmute" | "block" | "unblock") {
        return None;
    }
    let Some((of, rest)) = whom(rest.trim(), people) else { return Some(Wish::Nobody) };
    Some(match word {
        "report" => Wish::Report { of, note: rest.to_owned() },
        "hide" | "unhide" => Wish::Hide { of, hidden: word == "hide" },
        "mute" | "unmute" => Wish::Mute { of, muted: word == "mute" },
        _ => Wish::Block { of, blocked: word == "block" },
    })
}

/// Whoever's name, or number of eight hexadecimal digits, the words begin with, and the words after it. Of two names that fit
/// the longer is meant; of two people with one name nobody: then it takes the number.
fn whom<'a, 'w>(words: &'w str, people: impl Iterator<Item = &'a Participant>) -> Option<(ParticipantId, &'w str)> {
    let mut best: Option<(usize, ParticipantId, bool)> = None;
    for person in people.filter(|person| !person.is_me) {
        let number = format!("{:08x}", person.id.get());
        for name in [person.name.as_str(), number.as_str()] {
            let fits = !name.is_empty()
                && words.get(..name.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(name))
                && words.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
            match best {
                Some((len, _, _)) if !fits || len > name.len() => {}
                Some((len, other, _)) if len == name.len() && other != person.id => best = Some((len, other, false)),
                _ if fits => best = Some((name.len(), person.id, true)),
                _ => {}
            }
        }
    }
    let (len, of, one) = best?;
    if one { Some((of, words.get(len..)?.trim())) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::tests::somebody;

    fn person(leaf: u16, name: &str) -> Participant {
        Participant { id: ParticipantId::of_leaf(leaf, &[0; 32]), name: name.to_owned(), ..somebody() }
    }

    #[test]
    fn wishes_name_people_by_name_or_number_and_the_rest_is_a_note() {
        let people = [person(1, "Bob"), person(2, "Bob Smith"), person(3, "Ann"), person(4, "Ann")];
        let read = |line: &str| read(line, people.iter());
        let id = |at: usize| people[at].id;
        assert_eq!(read("/block bob"), Some(Wish::Block { of: id(0), blocked: true }));
        assert_eq!(read("/unblock Bob Smith"), Some(Wish::Block { of: id(1), blocked: false }));
        assert_eq!(read("/report Bob he lies"), Some(Wish::Report { of: id(0), note: "he lies".to_owned() }));
        assert_eq!(read("/hide Ann"), Some(Wish::Nobody), "two of that name");
        assert_eq!(read(&format!("/hide {:08x}", id(3).get())), Some(Wish::Hide { of: id(3), hidden: true }));
        assert_eq!(read("/unmute nobody"), Some(Wish::Nobody));
        assert_eq!((read("/mute Bobby"), read("/mute")), (Some(Wish::Nobody), Some(Wish::Nobody)));
        assert_eq!((read("hello"), read("/admit 1"), read("/shrug")), (None, None, None));
    }
}

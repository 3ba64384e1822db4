//! Chat: what was said arrives once, as it was said, in the order of its author.

use std::collections::{BTreeMap, BTreeSet};

use super::PersonNo;

/// One message, numbered in the order in which its author said it.
type Message = (PersonNo, u64);

/// Epochs after which a message cannot be opened any more: a client holds the keys of so many past ones. Whoever was away
/// for longer catches up with the log and not with what was said.
const PAST_EPOCHS: u64 = 8;

struct Said {
    /// In which epoch.
    epoch: u64,
    /// Who has to get it.
    listeners: BTreeSet<PersonNo>,
}

/// All that was said.
#[derive(Default)]
pub struct Chats {
    said: BTreeMap<Message, Said>,
    next: BTreeMap<PersonNo, u64>,
    got: BTreeSet<(PersonNo, Message)>,
    last: BTreeMap<(PersonNo, PersonNo), u64>,
}

impl Chats {
    /// `author` says something in this epoch, and `listeners` are there to get it; gives the words to say.
    pub fn say(&mut self, author: PersonNo, epoch: u64, listeners: BTreeSet<PersonNo>) -> String {
        let number = self.next.entry(author).or_default();
        let message = (author, *number);
        *number += 1;
        self.said.insert(message, Said { epoch, listeners });
        format!("sim-chat {} {} says hello", message.0.0, message.1)
    }

    /// The author was told that the last message was not sent.
    pub fn on_not_sent(&mut self, author: PersonNo) {
        if let Some(last) = self.next.get(&author).and_then(|next| next.checked_sub(1))
            && let Some(said) = self.said.get_mut(&(author, last))
        {
            said.listeners.clear();
        }
    }

    /// Nobody has to get what is for this person any more: they are gone, or came back as somebody else.
    pub fn excuse(&mut self, person: PersonNo) {
        for said in self.said.values_mut() {
            said.listeners.remove(&person);
        }
    }

    /// This person has lost their relay while the group is in `epoch`: what was said too long before may pass them by.
    pub fn on_away(&mut self, person: PersonNo, epoch: u64) {
        for said in self.said.values_mut().filter(|said| said.epoch + PAST_EPOCHS < epoch) {
            said.listeners.remove(&person);
        }
    }

    /// Nobody has to get what this person said and may not have sent.
    pub fn excuse_author(&mut self, person: PersonNo) {
        for ((author, _), said) in &mut self.said {
            if *author == person {
                said.listeners.clear();
            }
        }
    }

    /// `listener` got words from `author`.
    ///
    /// # Errors
    /// When nobody said them, they came before, or a later message of the author came before.
    pub fn on_heard(&mut self, listener: PersonNo, author: Option<PersonNo>, words: &str) -> Result<(), String> {
        let mut parts = words.strip_prefix("sim-chat ").unwrap_or_default().split(' ');
        let message = (|| Some((PersonNo(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?)))();
        let Some(message) = message.filter(|message| self.said.contains_key(message)) else {
            return Err(format!("{listener:?} heard {words:?}, which nobody said"));
        };
        if author.is_some_and(|author| author != message.0) {
            return Err(format!("{listener:?} heard {message:?} from {author:?}"));
        }
        if !self.got.insert((listener, message)) {
            return Err(format!("{listener:?} heard {message:?} twice"));
        }
        match self.last.insert((listener, message.0), message.1) {
            Some(last) if last > message.1 => Err(format!("{listener:?} heard {message:?} after number {last}")),
            _ => Ok(()),
        }
    }

    /// The first message that did not reach somebody who was there to get it.
    ///
    /// # Errors
    /// Names it.
    pub fn check_all(&self) -> Result<(), String> {
        for (message, said) in &self.said {
            for listener in &said.listeners {
                if !self.got.contains(&(*listener, *message)) {
                    return Err(format!("{listener:?} never heard {message:?}"));
                }
            }
        }
        Ok(())
    }

    /// Messages that were heard, by everybody together.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.got.len()
    }
}

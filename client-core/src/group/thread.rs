//! A participant's thread through the log: where they are, and what is to be done with the next entry. Nothing here opens,
//! decrypts or verifies anything: what that brought to light comes in as facts, and what follows from it is decided here,
//! for the group and for the model that checks these rules exhaustively (`tests/model`).
//!
//! ```text
//!                 applied, skipped
//!                  +----------+
//!                  v          |        fault: others may have applied it, we cannot
//!   founded ---> in step -----+----------------------------> stuck (at the epoch before it)
//!   joined  --->    ^  |                                       |   |
//!                   |  | void of something that we applied     |   | removed, expired, void of something before it
//!                   |  | or came by; removed                   |   |
//!                   |  +--------------> out <------------------|---+
//!                   |                                          |
//!                   +------------- void of what we are stuck on: applied here
//! ```
//!
//! Who is stuck or out asks for a new leaf at once. The rule that keeps honest participants together: **if anybody can
//! apply a void, then everybody who went on past the voided entry sees that it holds.** So its word is readable by all of
//! a generation, names the entry by its head, and is weighed by those who went on with what they knew when they did. No
//! clock has a say in whether it holds, only the distance in the log.

use std::{sync::Arc, time::Duration};

use conclave_federation::{
    id::{Generation, Head},
    log::{OutOfLine, Position},
    proof::VerifyingKey,
    wire::message::EntryHeader,
};

use super::{Action, Fault, Leaf, Skip};

/// How many entries after a commit it may still be taken back. More gives those who flood the log less to win, and costs
/// everybody the list of the members of that many epochs.
pub const VOID_SPAN: u64 = 64;

/// How long somebody who is stuck keeps the epoch before the entry: its secrets are of use only for a void.
pub const STUCK_FOR: Duration = Duration::from_secs(30);

/// How long a host who is stuck waits to be given a new leaf before they take the entry back: somebody may have applied it.
pub const VOID_AFTER: Duration = Duration::from_secs(2);

/// A position in the log, and what we are there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Thread {
    position: Position,
    generation: Generation,
    /// The entry that let us in: what was before it we know by hearsay.
    joined: u64,
    place: Place,
    /// What we followed lately and others may have been unable to.
    points: Vec<Point>,
}

/// What we are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In the epoch that the log has reached.
    InStep,
    /// Still in the epoch before an entry that we could not apply.
    Stuck(Stuck),
    /// In no epoch that counts.
    Out(Exit),
}

/// Why we are out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exit {
    /// Our leaf is gone.
    Removed,
    /// What we went on from was taken back.
    Voided,
    /// Stuck for too long.
    Expired,
    /// The group's state is not usable.
    State,
}

/// An entry that others may have applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stuck {
    /// Its place.
    pub seq: u64,
    /// The head after it.
    pub head: Head,
    /// Who made it.
    pub by: Leaf,
    /// Why we cannot.
    pub why: Fault,
    /// Since when.
    pub since: Duration,
    /// Whom it removes: their word against it does not count.
    removes: Vec<Leaf>,
    /// Whether it can be taken back at all.
    voidable: bool,
}

/// A commit with a path that we applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Point {
    seq: u64,
    head: Head,
    /// Who was there before it, without those whom it removed.
    circle: Arc<Circle>,
}

/// The members of an epoch, as far as their word against an entry counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Circle {
    /// Everybody.
    pub members: Vec<(Leaf, VerifyingKey)>,
    /// Those with a host's rights.
    pub hosts: Vec<VerifyingKey>,
}

/// What the public part of a commit shows, after the policy has let it pass.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    /// Who made it.
    pub by: Leaf,
    /// Whether that is us.
    pub own: bool,
    /// What it does.
    pub action: Action,
    /// Whether it has a path, and so may be good for some and not for others.
    pub path: bool,
    /// Whom it removes.
    pub removes: Vec<Leaf>,
}

/// A word against an entry, whose signatures hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Word {
    /// The entry that it takes back.
    pub seq: u64,
    /// The head after that entry.
    pub head: Head,
    /// How many leaves the epoch before that entry had, without those whom it removed.
    pub leaves: usize,
    /// Who takes it back.
    pub by: VerifyingKey,
    /// Who says that they cannot apply it.
    pub faulted: Vec<(Leaf, VerifyingKey)>,
}

/// What a word against an entry means to us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Weight {
    /// Nothing.
    Nothing,
    /// It takes back what we are stuck on: the commit that comes with it goes on from our epoch.
    Here,
    /// It takes back what we went on from.
    Behind,
}

/// What is to be done with the next entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// Try the private part. What comes of it: [`Thread::applied`], [`Thread::faulted`] or, without a path,
    /// [`Thread::passed`].
    Try,
    /// Our own, given up and come back all the same: [`Thread::faulted`].
    Forgotten,
    /// Everybody in our epoch skips it: [`Thread::passed`].
    Skip(Skip),
    /// It is for those ahead of us, or nobody: [`Thread::passed`].
    Ahead,
    /// What we went on from is taken back: [`Thread::out`].
    Void,
}

impl Circle {
    /// Without these.
    #[must_use]
    pub fn without(&self, gone: &[Leaf]) -> Self {
        let members: Vec<_> = self.members.iter().filter(|(leaf, _)| !gone.contains(leaf)).copied().collect();
        let hosts = self.hosts.iter().filter(|host| members.iter().any(|(_, key)| key == *host)).copied().collect();
        Self { members, hosts }
    }

    fn holds(&self, key: &VerifyingKey) -> bool {
        self.members.iter().any(|(_, member)| member == key)
    }
}

impl Word {
    /// Whether it takes an entry back that was made when these were there: by a host, or, where there is none, by a member
    /// with half of them.
    fn counts(&self, circle: &Circle) -> bool {
        if circle.hosts.contains(&self.by) {
            return true;
        }
        let mut faulted: Vec<Leaf> =
            self.faulted.iter().filter(|note| circle.members.contains(note)).map(|(leaf, _)| *leaf).collect();
        faulted.sort_unstable();
        faulted.dedup();
        circle.hosts.is_empty()
            && circle.holds(&self.by)
            && self.leaves == circle.members.len()
            && !faulted.is_empty()
            && faulted.len() * 2 >= circle.members.len()
    }

    /// The same for somebody who came after the entry, and knows only who is there now: never less than what those who
    /// were there make of it, or a newcomer would stay behind alone. A member who lies costs newcomers a new leaf, and has
    /// signed for it.
    fn concerns(&self, here: &Circle) -> bool {
        let known = |(leaf, key): &(Leaf, VerifyingKey)| here.members.contains(&(*leaf, *key));
        let by_many = self.faulted.len() * 2 >= self.leaves && self.faulted.iter().any(known);
        here.holds(&self.by) || by_many
    }
}

impl Thread {
    /// From our own genesis on.
    #[must_use]
    pub const fn founded(position: Position, generation: Generation) -> Self {
        Self { position, generation, joined: 0, place: Place::InStep, points: Vec::new() }
    }

    /// After the entry `joined`, which let us in.
    #[must_use]
    pub const fn joined(joined: u64, head: Head, generation: Generation) -> Self {
        let position = Position { seq: joined.saturating_add(1), head };
        Self { position, generation, joined, place: Place::InStep, points: Vec::new() }
    }

    /// Where the log goes on.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The generation that the log has reached.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// What we are.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether we are in the epoch that the log has reached.
    #[must_use]
    pub const fn is_in_step(&self) -> bool {
        matches!(self.place, Place::InStep)
    }

    /// What we cannot get past.
    #[must_use]
    pub const fn stuck(&self) -> Option<&Stuck> {
        match &self.place {
            Place::Stuck(stuck) => Some(stuck),
            Place::InStep | Place::Out(_) => None,
        }
    }

    /// Whether an entry is the next one.
    ///
    /// # Errors
    /// When it follows something else.
    pub fn next(&self, header: &EntryHeader) -> Result<Position, OutOfLine> {
        self.position.advance(header)
    }

    /// Whether what we are stuck on can still be taken back by the next entry.
    #[must_use]
    pub fn may_void(&self) -> bool {
        self.stuck().is_some_and(|stuck| stuck.voidable && self.reaches(stuck.seq))
    }

    /// Whether somebody who is stuck has any use for the epoch's secrets.
    #[must_use]
    pub fn keeps_epoch(&self, now: Duration) -> bool {
        match &self.place {
            Place::InStep => true,
            Place::Stuck(stuck) => self.may_void() && stuck.since + STUCK_FOR > now,
            Place::Out(_) => false,
        }
    }

    const fn reaches(&self, seq: u64) -> bool {
        self.position.seq.saturating_sub(seq) <= VOID_SPAN
    }

    /// What a word in the next entry means. `here` are the members of the epoch that we are in.
    #[must_use]
    pub fn weigh(&self, word: &Word, here: &Circle) -> Weight {
        if word.seq >= self.position.seq || !self.reaches(word.seq) {
            return Weight::Nothing;
        }
        if let Some(stuck) = self.stuck().filter(|stuck| stuck.seq == word.seq) {
            let holds = stuck.voidable && stuck.head == word.head && word.counts(&here.without(&stuck.removes));
            return if holds { Weight::Here } else { Weight::Nothing };
        }
        let behind = match self.points.iter().find(|point| point.seq == word.seq) {
            Some(point) => point.head == word.head && word.counts(&point.circle),
            None => word.seq <= self.joined && word.concerns(here),
        };
        if behind { Weight::Behind } else { Weight::Nothing }
    }

    /// What is to be done with the next entry. `commit`: what shows under the keys of our epoch, judged by the policy (a
    /// void passes it only where its word weighs [`Weight::Here`]). `word`: what the word that it carries weighs.
    #[must_use]
    pub fn decide(&self, commit: Result<&Seen, Skip>, word: Weight) -> Move {
        match (&self.place, commit) {
            (Place::InStep, Ok(seen)) if seen.own => Move::Forgotten,
            (Place::InStep, Ok(_)) => Move::Try,
            (Place::Stuck(_), Ok(seen)) if seen.action == Action::Void => {
                if seen.own {
                    Move::Forgotten
                } else {
                    Move::Try
                }
            }
            // Made by somebody who does not know better, or wants us to believe so: those who went on cannot open it.
            (Place::Stuck(_), Ok(_)) => Move::Ahead,
            (Place::InStep | Place::Stuck(_), Err(_)) if word == Weight::Behind => Move::Void,
            (Place::InStep, Err(skip)) => Move::Skip(skip),
            (Place::Stuck(_), Err(_)) | (Place::Out(_), _) => Move::Ahead,
        }
    }

    /// The entry changed nothing for us. `record`: it comes with a genuine record of the next generation.
    pub fn passed(&mut self, next: Position, record: bool) {
        self.advance(next);
        if record && !self.is_in_step() {
            self.begin_generation();
        }
    }

    /// The entry is applied. `circle`: who was there before it; `record`: it began the next generation.
    pub fn applied(&mut self, next: Position, seen: &Seen, circle: &Circle, record: bool) {
        let seq = self.position.seq;
        self.place = Place::InStep;
        if seen.path {
            let circle = Arc::new(circle.without(&seen.removes));
            self.points.push(Point { seq, head: next.head, circle });
        }
        self.advance(next);
        if record {
            self.begin_generation();
        }
    }

    /// The entry cannot be applied here. The epoch before it is kept for a while, in case that nobody can.
    pub fn faulted(&mut self, next: Position, seen: &Seen, why: Fault, record: bool, now: Duration) {
        self.place = Place::Stuck(Stuck {
            seq: self.position.seq,
            head: next.head,
            by: seen.by,
            why,
            since: now,
            removes: seen.removes.clone(),
            // Without a path everybody else could. And a new generation is not taken back: whoever it shut out would be
            // the one to ask for it.
            voidable: seen.path && !record,
        });
        self.advance(next);
        if record {
            self.begin_generation();
        }
    }

    /// We are in no epoch any more.
    pub fn out(&mut self, next: Position, exit: Exit) {
        self.place = Place::Out(exit);
        self.advance(next);
    }

    /// The same, without an entry that says so.
    pub fn leave(&mut self, exit: Exit) {
        self.place = Place::Out(exit);
        self.points.clear();
    }

    /// Nothing before this can be taken back any more.
    fn begin_generation(&mut self) {
        self.generation = Generation(self.generation.0.saturating_add(1));
        self.points.clear();
        self.joined = 0;
        if let Place::Stuck(stuck) = &mut self.place {
            stuck.voidable = false;
        }
    }

    fn advance(&mut self, next: Position) {
        self.position = next;
        let reached = next.seq;
        self.points.retain(|point| reached.saturating_sub(point.seq) <= VOID_SPAN);
    }
}

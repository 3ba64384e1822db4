//! A participant's thread through the log: where they are, and what is to be done with the next entry. Nothing here opens,
//! decrypts or verifies anything: what that brought to light comes in as facts, and what follows from it is decided here,
//! for the group and for the model that checks these rules exhaustively (`tests/model`).
//!
//! ```text
//!                 applied, skipped
//!                  +----------+        fault: others may have applied it, we cannot
//!                  v          |        void:  what we went on from was taken back
//!   founded ---> in step -----+----------------------------> stuck (the epoch before it is kept for a while)
//!   joined  --->    ^  |                                       |   |
//!                   |  +--- removed for good ---> out <-- expired  |
//!                   |                                              |
//!                   +---- the entry that we are stuck on is taken back, by a commit that we can apply
//! ```
//!
//! Who is stuck asks for a new leaf at once; only if nobody is there to give it, the entry is taken back. The rule that
//! keeps honest participants together: **if anybody can apply a void, then everybody who went on past the voided entry sees
//! that it holds**, and is stuck on it. So its word is readable by all of a generation, names the entry by its head, and is
//! weighed by those who went on with what they knew when they did. No clock has a say in whether it holds, only the
//! distance in the log. A void is taken back like any other entry, but by hosts alone, whose right shows by itself.

use std::sync::Arc;

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
    /// Our leaf is gone, and we have no say in it.
    Removed,
    /// The call is over.
    Ended,
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
    /// Why we cannot.
    pub why: Fault,
    /// Whom it removes: among those who cannot apply it they are not counted.
    removes: Vec<Leaf>,
    /// Who can take it back.
    right: Right,
}

/// Who can take an entry back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Right {
    /// A host, or half of the members where there is none.
    Anybody,
    /// A host.
    Hosts,
    /// Nobody.
    Nobody,
}

/// A commit with a path that we applied.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Point {
    seq: u64,
    head: Head,
    right: Right,
    /// Who was there before it, without those whom it removed for good.
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
    /// Whom it removes for good: not those who get a new leaf by it, whose word goes on to count.
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
    /// Whether that is a host by the founder's word, or that of somebody in a line from them: whoever was not there when
    /// they were made a host can tell, too.
    pub certified: bool,
    /// Who says that they cannot apply it.
    pub faulted: Vec<(Leaf, VerifyingKey)>,
}

/// What a word against an entry means to us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Weight {
    /// Nothing.
    Nothing,
    /// It takes back what we are stuck on: the commit that comes with it may go on from our epoch.
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
    /// What we went on from is taken back, and what comes in its place is not for us: [`Thread::voided`].
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

impl Seen {
    /// Without a path everybody else could apply it. A void is for hosts: what those who went on from it have in common
    /// with those who did not is the founder's word alone. And a new generation is not taken back: whoever it shut out
    /// would be the one to ask for it.
    const fn right(&self) -> Right {
        match self.action {
            _ if !self.path => Right::Nobody,
            Action::Void => Right::Hosts,
            _ => Right::Anybody,
        }
    }
}

impl Word {
    /// Whether it takes an entry back that was made when these were there.
    fn counts(&self, right: Right, circle: &Circle) -> bool {
        match right {
            Right::Nobody => false,
            Right::Hosts => self.certified,
            Right::Anybody => self.certified || self.by_half(circle),
        }
    }

    fn by_half(&self, circle: &Circle) -> bool {
        let faulted = self.known(circle);
        circle.hosts.is_empty()
            && circle.holds(&self.by)
            && self.leaves == circle.members.len()
            && faulted > 0
            && faulted * 2 >= circle.members.len()
    }

    /// The same for somebody who came after the entry and knows only who is there now. A host's word shows by itself what
    /// it is. Without hosts, a member who lies about how many there were can cost newcomers a new leaf, and has signed it.
    fn concerns(&self, here: &Circle) -> bool {
        let faulted = self.known(here);
        let by_many = here.hosts.is_empty() && here.holds(&self.by) && faulted > 0 && faulted * 2 >= self.leaves;
        self.certified || by_many
    }

    /// How many of these say that they cannot apply it.
    fn known(&self, circle: &Circle) -> usize {
        let known = self.faulted.iter().filter(|note| circle.members.contains(note));
        let mut leaves: Vec<Leaf> = known.map(|(leaf, _)| *leaf).collect();
        leaves.sort_unstable();
        leaves.dedup();
        leaves.len()
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

    /// Who may take back what we are stuck on, with the next entry.
    #[must_use]
    pub fn may_void(&self) -> Right {
        match self.stuck() {
            Some(stuck) if self.reaches(stuck.seq) => stuck.right,
            _ => Right::Nobody,
        }
    }

    /// How many leaves of these there were before what we are stuck on, without those whom it removed.
    #[must_use]
    pub fn counted(&self, circle: &Circle) -> usize {
        self.stuck().map_or(0, |stuck| circle.without(&stuck.removes).members.len())
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
            let holds = stuck.head == word.head && word.counts(stuck.right, &here.without(&stuck.removes));
            return if holds { Weight::Here } else { Weight::Nothing };
        }
        let behind = match self.points.iter().find(|point| point.seq == word.seq) {
            Some(point) => point.head == word.head && word.counts(point.right, &point.circle),
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
            (Place::InStep | Place::Stuck(_), Err(_)) if word != Weight::Nothing => Move::Void,
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
            self.points.push(Point { seq, head: next.head, right: seen.right(), circle });
        }
        self.advance(next);
        if record {
            self.begin_generation();
        }
    }

    /// The entry cannot be applied here. The epoch before it is kept for a while, in case that nobody can.
    pub fn faulted(&mut self, next: Position, seen: &Seen, why: Fault, record: bool) {
        let (seq, head) = (self.position.seq, next.head);
        let (removes, right) = (seen.removes.clone(), seen.right());
        self.place = Place::Stuck(Stuck { seq, head, why, removes, right });
        self.advance(next);
        if record {
            self.begin_generation();
        }
    }

    /// The entry takes back what we went on from, or what we are stuck on for somebody else.
    pub fn voided(&mut self, next: Position, word: &Word) {
        let (seq, head) = (self.position.seq, next.head);
        // Settled: the next word against it says nothing new to anybody.
        self.points.retain(|point| point.seq < word.seq);
        self.joined = self.joined.min(word.seq.saturating_sub(1));
        let (removes, right) = (Vec::new(), Right::Hosts);
        self.place = Place::Stuck(Stuck { seq, head, why: Fault::Void, removes, right });
        self.advance(next);
    }

    /// We are in no epoch any more.
    pub fn out(&mut self, next: Position, exit: Exit) {
        self.advance(next);
        self.leave(exit);
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
            stuck.right = Right::Nobody;
        }
    }

    fn advance(&mut self, next: Position) {
        self.position = next;
        let reached = next.seq;
        self.points.retain(|point| reached.saturating_sub(point.seq) <= VOID_SPAN);
    }
}

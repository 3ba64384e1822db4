//! Entries as the hub and the participants see them: real headers in the real log; only what is sealed is symbolic.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, RwLock},
};

use bytes::Bytes;
use conclave_client_core::{
    group::{
        Action, Leaf,
        thread::{Circle, Word},
    },
    policy::{self, Coming, Person, Proposed, Refusal, Situation},
    room::{self, AccessSecret, LinkSecret, NewRoom},
    state::{HostEntry, Mode, RoomState},
};
use conclave_federation::{
    id::{Generation, Head, Instance, JoinId, RelayId},
    log::Log,
    proof::{Label, SigningKey, VerifyingKey},
    record::{Hub as ListedHub, RoomRecord},
    wire::{
        Blob, List, Text,
        message::{Append, EntryHeader, EntryKind, Sealed},
    },
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// One of three.
pub(crate) type Who = u8;

/// How many there are.
pub(crate) const PEOPLE: Who = 3;

/// Several of them, as bits.
pub(crate) type Set = u8;

pub(crate) const fn only(who: Who) -> Set {
    1 << who
}

pub(crate) const fn among(who: Who, set: Set) -> bool {
    set & only(who) != 0
}

/// What a commit does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Act {
    /// Lets somebody in who asked, at this attempt.
    Admit(Who, u8),
    /// Gives somebody who asked a new leaf.
    Swap(Who, u8),
    /// Removes somebody who left.
    Leave(Who),
    /// Removes somebody silent.
    Reap(Who),
    /// Removes somebody with the next generation.
    Evict(Who),
    /// Locks the room.
    Lock,
    /// Renews the committer's keys.
    Update,
    /// Takes an entry back.
    Void,
}

/// A word against an entry: only genuine signatures get this far.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Against {
    pub(crate) seq: u64,
    pub(crate) head: Head,
    pub(crate) by: Who,
    /// The founder's word makes hosts, whatever the tree says of them by now.
    pub(crate) certified: bool,
    pub(crate) faulted: Set,
    /// As claimed.
    pub(crate) leaves: u8,
}

/// What is in an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Deed {
    pub(crate) by: Who,
    /// `None`: opens for nobody.
    pub(crate) act: Option<Act>,
    /// For whom its path is broken.
    pub(crate) broken: Set,
    pub(crate) word: Option<Against>,
}

/// What members of an epoch agree on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Epoch {
    pub(crate) roster: Vec<(Leaf, Who)>,
    pub(crate) hosts: Set,
    pub(crate) mode: Mode,
    pub(crate) generation: Generation,
    /// Who holds its secrets.
    pub(crate) known: Set,
}

/// An entry that was made, with the epoch that it makes for those who can apply it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) append: Append,
    pub(crate) head: Head,
    /// The epoch it was made in, named by the entry that made that.
    pub(crate) on: Head,
    pub(crate) deed: Deed,
    pub(crate) epoch: Option<Epoch>,
}

/// The hub's log and what it stores. The second one of two is the other history of a hub that equivocates.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Hub {
    pub(crate) log: Log,
    generation: Generation,
    pub(crate) entries: Vec<Head>,
}

/// What the policy says of a commit in an epoch, with or without a word that holds.
type Verdicts = HashMap<(Epoch, Deed, bool), Result<(), Refusal>>;

/// What all states share.
struct Hall {
    room: NewRoom,
    /// The room's record and access secret, generation by generation.
    generations: Vec<(RoomRecord, AccessSecret)>,
    keys: Vec<SigningKey>,
    made: RwLock<HashMap<Head, Arc<Entry>>>,
    judged: RwLock<Verdicts>,
    known: RwLock<HashMap<(Head, Head, Deed), Option<Head>>>,
}

const NOW: u64 = 1_800_000_000_000;
const INSTANCE: Instance = Instance(1);

static HALL: LazyLock<Hall> = LazyLock::new(|| {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let relay = RelayId::new(*SigningKey::from_seed([8; 32]).verifying_key().as_bytes());
    let addresses = List::new(vec![Text::cut("relay.test:443")]).expect("one address");
    let room = room::new_room(&mut rng, vec![ListedHub { relay, addresses }], NOW, 100).expect("a room");
    let keys = (0..PEOPLE).map(|who| SigningKey::from_seed([who + 1; 32])).collect();
    let mut generations = vec![(room.record.clone(), room.access.clone())];
    for generation in 1..=u32::from(PEOPLE) {
        let generation = Generation(generation);
        let (link, access) = (LinkSecret::random(&mut rng), AccessSecret::random(&mut rng));
        let keys = access.keys(room.record.room, generation);
        let before = &generations.last().expect("the first").0;
        let mut record = RoomRecord {
            seq: before.seq + 1,
            generation,
            access: keys.sign.verifying_key(),
            join: link.keys(room.record.room, generation).sign.verifying_key(),
            lobby: *keys.lobby.public(),
            retired: before.next_retired(),
            ..before.clone()
        };
        record.sign(&room.founder);
        generations.push((record, access));
    }
    Hall { room, generations, keys, made: RwLock::default(), judged: RwLock::default(), known: RwLock::default() }
});

pub(crate) fn key(who: Who) -> VerifyingKey {
    HALL.keys[usize::from(who)].verifying_key()
}

fn record(generation: Generation) -> &'static RoomRecord {
    &HALL.generations[generation.0 as usize].0
}

/// The request that somebody makes at this attempt.
fn request(who: Who, attempt: u8) -> JoinId {
    let mut id = [0; 16];
    (id[0], id[1]) = (who, attempt);
    JoinId::new(id)
}

pub(crate) fn entry(head: Head) -> Arc<Entry> {
    HALL.made.read().expect("no panic")[&head].clone()
}

impl Act {
    pub(crate) const fn action(self) -> Action {
        match self {
            Self::Admit(..) => Action::Admit,
            Self::Swap(..) => Action::Swap,
            Self::Leave(_) => Action::Leave,
            Self::Reap(_) => Action::Reap,
            Self::Evict(_) => Action::Evict,
            Self::Lock => Action::Mode,
            Self::Update => Action::Update,
            Self::Void => Action::Void,
        }
    }

    pub(crate) const fn adds(self) -> Option<Who> {
        match self {
            Self::Admit(who, _) | Self::Swap(who, _) => Some(who),
            _ => None,
        }
    }

    pub(crate) const fn removes(self) -> Option<Who> {
        match self {
            Self::Swap(who, _) | Self::Leave(who) | Self::Reap(who) | Self::Evict(who) => Some(who),
            _ => None,
        }
    }

    /// Whom it removes for good.
    pub(crate) const fn ends(self) -> Option<Who> {
        match self {
            Self::Leave(who) | Self::Reap(who) | Self::Evict(who) => Some(who),
            _ => None,
        }
    }

    pub(crate) const fn served(self) -> Option<(Who, u8)> {
        match self {
            Self::Admit(who, attempt) | Self::Swap(who, attempt) => Some((who, attempt)),
            _ => None,
        }
    }

    pub(crate) const fn path(self) -> bool {
        !matches!(self, Self::Admit(..))
    }
}

impl Epoch {
    pub(crate) fn leaf(&self, who: Who) -> Option<Leaf> {
        self.roster.iter().find(|(_, at)| *at == who).map(|(leaf, _)| *leaf)
    }

    pub(crate) fn has(&self, who: Who) -> bool {
        self.leaf(who).is_some()
    }

    pub(crate) fn people(&self) -> Set {
        self.roster.iter().fold(0, |set, (_, who)| set | only(*who))
    }

    pub(crate) fn circle(&self) -> Circle {
        let members: Vec<_> = self.roster.iter().map(|(leaf, who)| (*leaf, key(*who))).collect();
        let hosts = self.roster.iter().filter(|(_, who)| among(*who, self.hosts)).map(|(_, who)| key(*who)).collect();
        Circle { members, hosts }
    }

    fn state(&self) -> RoomState {
        let entry = |who: &Who| HostEntry { key: key(*who), delegation: List::default() };
        let hosts = self.roster.iter().map(|(_, who)| who).filter(|who| among(**who, self.hosts)).map(entry).collect();
        RoomState {
            version: RoomState::VERSION,
            mode: self.mode,
            generation: self.generation,
            record: record(self.generation).hash(),
            hosts: List::new(hosts).expect("few hosts"),
            hub_index: 0,
            hub_term: 0,
            max_members: 100,
            flags: RoomState::DEFAULT_FLAGS,
            history: 0,
            history_minutes: 0,
            title: Text::cut(""),
        }
    }

    /// The real policy on what a commit proposes to this epoch. `void`: its word takes back what the asker is stuck on.
    pub(crate) fn allows(&self, deed: &Deed, void: bool) -> Result<(), Refusal> {
        let asked = (self.clone(), *deed, void);
        if let Some(said) = HALL.judged.read().expect("no panic").get(&asked) {
            return *said;
        }
        let said = self.judge(deed, void);
        HALL.judged.write().expect("no panic").insert(asked, said);
        said
    }

    fn judge(&self, deed: &Deed, void: bool) -> Result<(), Refusal> {
        let (Some(act), Some(by)) = (deed.act, self.leaf(deed.by)) else { return Err(Refusal::Mismatch) };
        let person =
            |(leaf, who): &(Leaf, Who)| Person { leaf: *leaf, key: key(*who), founder: among(*who, self.hosts), since: 0 };
        let members: Vec<Person> = self.roster.iter().map(person).collect();
        let removes: Vec<Leaf> = act.removes().and_then(|who| self.leaf(who)).into_iter().collect();
        let state = match (act, self.after(deed)) {
            (Act::Lock | Act::Evict(_), Some(after)) => Some(after.state()),
            _ => None,
        };
        let proposed = Proposed {
            adds: act.adds().map(|who| Coming { key: key(who), since: 0 }).into_iter().collect(),
            notes: if matches!(act, Act::Leave(_)) { removes.clone() } else { Vec::new() },
            removes,
            state,
            record: matches!(act, Act::Evict(_)).then(|| record(self.generation.next()).clone()),
            path: act.path(),
            served: usize::from(act.served().is_some()),
            void,
            ..Proposed::default()
        };
        let before = self.state();
        let record = record(self.generation);
        let situation = Situation { state: &before, record, members: &members, by, seq: 2 };
        policy::check(act.action(), &proposed, &situation)
    }

    /// The word that comes with an entry made in this epoch.
    pub(crate) fn word(&self, against: &Against) -> Word {
        let faulted = self.roster.iter().filter(|(_, who)| among(*who, against.faulted));
        Word {
            seq: against.seq,
            head: against.head,
            leaves: usize::from(against.leaves),
            by: key(against.by),
            certified: against.certified,
            faulted: faulted.map(|(leaf, who)| (*leaf, key(*who))).collect(),
        }
    }

    /// The epoch that a commit makes of this one.
    fn after(&self, deed: &Deed) -> Option<Self> {
        let act = deed.act?;
        let mut roster = self.roster.clone();
        if let Some(gone) = act.removes() {
            roster.retain(|(_, who)| *who != gone);
        }
        let stay = roster.iter().fold(0, |set, (_, who)| set | only(*who));
        let mut known = self.known & stay & !(if act.path() { deed.broken } else { 0 });
        known |= only(deed.by) & stay;
        if let Some(new) = act.adds() {
            let free = (0..).map(Leaf).find(|leaf| roster.iter().all(|(at, _)| at != leaf))?;
            roster.push((free, new));
            roster.sort_unstable();
            known |= only(new);
        }
        let mode = if matches!(act, Act::Lock) { Mode::Locked } else { self.mode };
        let generation = if matches!(act, Act::Evict(_)) { Generation(self.generation.0 + 1) } else { self.generation };
        let hosts = roster.iter().fold(0, |set, (_, who)| set | only(*who)) & self.hosts;
        Some(Self { roster, hosts, mode, generation, known })
    }
}

impl Hub {
    /// With a genesis, and an epoch in which `inside` are.
    pub(crate) fn begin(inside: Set, hosts: Set, mode: Mode) -> Self {
        let mut log = Log::new(HALL.room.record.room, INSTANCE);
        let append = append(&log, EntryKind::Genesis, &[], List::default(), Generation(0), false);
        log.check(&append, &HALL.room.record, None, NOW).expect("a genesis");
        log.advance(&append).expect("the first");
        let roster = (0..PEOPLE).filter(|who| among(*who, inside)).map(|who| (Leaf(u32::from(who)), who)).collect();
        let head = append.header.head();
        let epoch = Some(Epoch { roster, hosts, mode, generation: Generation(0), known: inside });
        let deed = Deed { by: 0, act: None, broken: 0, word: None };
        // One genesis for all runs: what differs between them is in the entry that follows.
        let body = format!("{inside} {hosts} {mode:?}");
        let first = self::append(&log, EntryKind::Commit, body.as_bytes(), List::default(), Generation(0), false);
        log.check(&first, &HALL.room.record, None, NOW).expect("the call's first");
        log.advance(&first).expect("the next");
        let start = first.header.head();
        let mut made = HALL.made.write().expect("no panic");
        made.insert(start, Arc::new(Entry { append: first, head: start, on: head, deed, epoch }));
        Self { log, generation: Generation(0), entries: vec![head, start] }
    }

    pub(crate) fn head(&self) -> Head {
        self.log.position().head
    }

    /// The entry that follows this position, if there is one.
    pub(crate) fn at(&self, seq: u64) -> Option<Arc<Entry>> {
        usize::try_from(seq).ok().and_then(|seq| self.entries.get(seq)).map(|head| entry(*head))
    }

    /// Compare and swap.
    pub(crate) fn offer(&mut self, on: Head, deed: Deed) -> Option<Head> {
        let place = (self.head(), on, deed);
        let known = HALL.known.read().expect("no panic").get(&place).copied();
        let head = match known {
            Some(head) => head?,
            None => {
                let made = self.make(on, deed);
                HALL.known.write().expect("no panic").insert(place, made);
                made?
            }
        };
        let made = entry(head);
        self.log.advance(&made.append).expect("it was checked against this head");
        if made.append.header.begins_generation() {
            self.generation = self.generation.next();
        }
        self.entries.push(head);
        Some(head)
    }

    fn make(&self, on: Head, deed: Deed) -> Option<Head> {
        let base = entry(on);
        let before = base.epoch.as_ref()?;
        // Whoever is not in an epoch can seal nothing for it.
        if deed.act.is_some() && !(before.has(deed.by) && among(deed.by, before.known)) {
            return None;
        }
        let served = deed.act.and_then(Act::served).map(|(who, attempt)| request(who, attempt));
        let served = List::new(served.into_iter().collect()).expect("one");
        let against = deed.word.map_or([0; 32], |word| *word.head.as_bytes());
        let body = [on.as_bytes().as_slice(), &against, format!("{deed:?}").as_bytes()].concat();
        let evicts = matches!(deed.act, Some(Act::Evict(_)));
        let append = append(&self.log, EntryKind::Commit, &body, served, self.generation, evicts);
        self.log.check(&append, record(self.generation), None, NOW).ok()?;
        let head = append.header.head();
        let epoch = before.after(&deed);
        let mut made = HALL.made.write().expect("no panic");
        made.entry(head).or_insert_with(|| Arc::new(Entry { append, head, on, deed, epoch }));
        Some(head)
    }
}

fn append(log: &Log, kind: EntryKind, body: &[u8], served: List<JoinId, 64>, at: Generation, next: bool) -> Append {
    let (record, access) = &HALL.generations[at.0 as usize];
    let after = next.then(|| HALL.generations[at.0 as usize + 1].0.clone());
    let commit: Sealed = Blob::new(Bytes::copy_from_slice(body)).expect("short");
    let epoch_box = Sealed::default();
    let position = log.position();
    let header = EntryHeader {
        version: EntryHeader::VERSION,
        room: record.room,
        instance: INSTANCE,
        seq: position.seq,
        prev_head: position.head,
        kind,
        flags: if next { EntryHeader::NEXT_GENERATION } else { 0 },
        generation: at,
        term: 0,
        hub_index: 0,
        body_hash: EntryHeader::body_hash(&commit, &epoch_box, after.as_ref()),
        welcome_hash: EntryHeader::welcome_hash(&Sealed::default()),
        served,
    };
    let bytes = conclave_federation::wire::Wire::encode(&header);
    let signer = match kind {
        EntryKind::Genesis => HALL.room.link.keys(record.room, at).sign,
        _ => access.keys(record.room, at).sign,
    };
    Append {
        via: None,
        header,
        signature: signer.sign(Label::Append, &bytes),
        commit,
        epoch_box,
        welcome: Sealed::default(),
        record: after,
        reserve: None,
        call: None,
    }
}

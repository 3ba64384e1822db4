//! A hub in memory and the people at it.

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, JoinId, RelayId},
    log::Log,
    proof::SigningKey,
    record::Hub as Listed,
    wire::{
        List, Text,
        code::Code,
        message::{Admitted, Append, Entry, HubHead, Join, Sealed},
        object::Knock,
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{
    group::{Applied, Built, Candidate, Founding, Group, Joining, Knocked, Leaf, Lobby, Outcome, RequestError, Skip, Work},
    leaf::Profile,
    room::{NewRoom, new_room},
    state::Mode,
};

/// A clock that stands still.
pub(crate) const NOW: u64 = 1_790_000_000_000;

pub(super) struct Hub {
    pub(super) key: SigningKey,
    log: Log,
    /// What it says the time is.
    pub(super) time: u64,
    pub(super) record: conclave_federation::record::RoomRecord,
    pub(super) call: Option<conclave_federation::record::CallKeys>,
    pub(super) entries: Vec<Entry>,
    welcomes: Vec<Sealed>,
}

impl Hub {
    pub(super) fn append(&mut self, append: &Append) -> Result<HubHead, Code> {
        self.log.check(append, &self.record, self.call.as_ref(), self.time)?;
        if append.call.is_some() {
            self.call.clone_from(&append.call);
        }
        if let Some(next) = &append.record {
            self.record = next.clone();
        }
        Ok(self.take_anything(append))
    }

    /// The next call: what was is forgotten.
    pub(super) fn begin(&mut self, log: Log, genesis: &Append) -> Result<HubHead, Code> {
        log.check(genesis, &self.record, None, self.time)?;
        self.log = log;
        self.call = None;
        self.entries.clear();
        self.welcomes.clear();
        self.append(genesis)
    }

    /// A hub that works for somebody: it checks nothing, and its record stays what it was.
    pub(super) fn take_anything(&mut self, append: &Append) -> HubHead {
        self.log.advance(append).expect("the next entry");
        let head = HubHead::sign(&self.key, &append.header, self.time);
        self.entries.push(Entry {
            header: append.header.clone(),
            commit: append.commit.clone(),
            epoch_box: append.epoch_box.clone(),
            record: append.record.clone(),
            head: head.clone(),
        });
        self.welcomes.push(append.welcome.clone());
        head
    }

    pub(super) fn last(&self) -> Entry {
        self.entries.last().cloned().expect("a log begins with its genesis")
    }

    /// The hub says yes to a header that it would never have seen: for entries that only a test can make.
    pub(super) fn vouch(&self, mut entry: Entry) -> Entry {
        entry.head = HubHead::sign(&self.key, &entry.header, self.time);
        entry
    }

    pub(super) fn answer(&self, id: JoinId) -> Option<Admitted> {
        let (entry, welcome) = self.entries.iter().zip(&self.welcomes).find(|(entry, _)| entry.header.served.contains(&id))?;
        Some(Admitted {
            header: entry.header.clone(),
            epoch_box: entry.epoch_box.clone(),
            welcome: welcome.clone(),
            head: entry.head.clone(),
        })
    }
}

pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) room: NewRoom,
    pub(super) group_id: Bytes,
    pub(super) rng: ChaCha20Rng,
}

pub(super) fn knock(join: &Join) -> Knock {
    Knock { id: join.id, generation: join.generation, body: join.body.clone() }
}

pub(super) fn applied(outcome: Outcome) -> Applied {
    match outcome {
        Outcome::Applied(applied) => *applied,
        other => panic!("not applied: {other:?}"),
    }
}

pub(super) fn skipped(outcome: Outcome) -> Skip {
    match outcome {
        Outcome::Skipped { skip, .. } => skip,
        other => panic!("not skipped: {other:?}"),
    }
}

impl World {
    /// A room, and its founder in the call.
    pub(super) fn new(seed: u8, max_members: u16) -> (Self, Group) {
        Self::in_mode(seed, max_members, Mode::Open)
    }

    pub(super) fn in_mode(seed: u8, max_members: u16, mode: Mode) -> (Self, Group) {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let key = SigningKey::from_seed([9; 32]);
        let relay = RelayId::new(*key.verifying_key().as_bytes());
        let addresses = List::new(vec![Text::cut("relay.test:4433")]).expect("one address");
        let room = new_room(&mut rng, vec![Listed { relay, addresses }], NOW, max_members).expect("a room");
        let instance = Instance(1);
        let founding = Founding {
            record: room.record.clone(),
            link: room.link.clone(),
            access: None,
            retired: Vec::new(),
            instance,
            profile: Profile::named("founder"),
            commitment: [1; 32],
            founder: Some(room.founder.clone()),
            title: "title".to_owned(),
            mode,
        };
        let (group, genesis) = Group::found([seed; 32], &founding).expect("a group");
        let hub = Hub {
            key,
            log: Log::new(room.record.room, instance),
            time: NOW,
            record: room.record.clone(),
            call: None,
            entries: Vec::new(),
            welcomes: Vec::new(),
        };
        let mut world = Self { hub, room, group_id: genesis.commit.bytes().clone(), rng };
        world.hub.append(&genesis).expect("a genesis");
        (world, group)
    }

    pub(super) fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        seed
    }

    pub(super) fn lobby(&self) -> Lobby {
        Lobby {
            record: self.hub.record.clone(),
            call: self.hub.call.clone(),
            link: self.room.link.clone(),
            instance: Instance(1),
            group: self.group_id.clone(),
            seq: u64::try_from(self.hub.entries.len()).expect("few"),
        }
    }

    pub(super) fn joiner(&mut self, name: &str) -> Joining {
        let lobby = self.lobby();
        self.joiner_at(name, lobby)
    }

    /// Somebody who has the link that this member would hand out.
    pub(super) fn joiner_by(&mut self, name: &str, member: &Group) -> Joining {
        let lobby = Lobby { link: member.link().clone(), ..self.lobby() };
        self.joiner_at(name, lobby)
    }

    fn joiner_at(&mut self, name: &str, lobby: Lobby) -> Joining {
        let seed = self.seed();
        Joining::new(seed, lobby, Profile::named(name), None, [2; 32]).expect("a joiner")
    }

    /// Lets them all in by one commit of `by`; everybody else follows.
    pub(super) fn admit(&mut self, by: &mut Group, others: &mut [&mut Group], joining: &mut [Joining]) -> Vec<Group> {
        let candidates = joining.iter().map(|joining| candidate(by, joining).expect("a good request")).collect();
        let built = by.build(Work::Requests(candidates)).expect("a commit");
        self.commit(by, others, &built);
        joining
            .iter_mut()
            .map(|joining| {
                let answer = self.hub.answer(joining.id()).expect("served");
                joining.admitted(&answer).expect("admitted")
            })
            .collect()
    }

    /// Appends what was built; everybody follows.
    pub(super) fn commit(&mut self, by: &mut Group, others: &mut [&mut Group], built: &Built) -> Applied {
        let head = self.hub.append(&built.append).expect("appended");
        let own = applied(by.appended(&head));
        let entry = self.hub.last();
        for other in others {
            let theirs = applied(other.process(&entry));
            assert_eq!(theirs.alarm, None);
            assert_eq!(theirs.added, own.added);
            assert_eq!(theirs.epoch, own.epoch);
        }
        own
    }

    /// The founder and `n` others who came together.
    pub(super) fn call(seed: u8, n: usize) -> (Self, Group, Vec<Group>) {
        let (mut world, mut founder) = Self::new(seed, 100);
        let mut joining: Vec<_> = (0..n).map(|at| world.joiner(&format!("guest {at}"))).collect();
        let guests = world.admit(&mut founder, &mut [], &mut joining);
        (world, founder, guests)
    }
}

pub(super) fn candidate(by: &Group, joining: &Joining) -> Result<Candidate, RequestError> {
    let join = joining.request(NOW).expect("a record with a hub");
    match by.open_request(&knock(&join))? {
        Knocked::Enter(candidate) => Ok(*candidate),
        Knocked::Leave(..) => panic!("a joiner does not leave"),
    }
}

/// Everybody is in the same epoch and knows the same people.
pub(super) fn assert_agree(groups: &[&Group]) {
    let first = groups.first().expect("somebody");
    for group in groups {
        assert_eq!(group.epoch(), first.epoch());
        assert_eq!(group.epoch_authenticator(), first.epoch_authenticator());
        assert_eq!(group.safety_code(), first.safety_code());
        assert_eq!(group.sframe_base_key(), first.sframe_base_key());
        assert_eq!(group.transcript(), first.transcript());
        assert_eq!(group.head(), first.head());
        let people = |group: &Group| {
            group.members().map(|member| (member.leaf, member.key, member.profile, member.host)).collect::<Vec<_>>()
        };
        assert_eq!(people(group), people(first));
    }
}

pub(super) fn names(group: &Group) -> Vec<String> {
    group.members().map(|member| member.profile.name.as_str().to_owned()).collect()
}

pub(super) fn leaf_named(group: &Group, name: &str) -> Leaf {
    group.members().find(|member| member.profile.name.as_str() == name).expect("somebody of that name").leaf
}

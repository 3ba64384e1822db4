//! Junk at full rate, through one's own relay and through a foreign one that takes part in it, crowds only its own share.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use conclave_federation::{
    host::Delegation,
    id::Head,
    proof::SigningKey,
    session::Local,
    wire::{
        List,
        code::Code,
        message::{Answer, Append, Present, PutRecord, Request},
    },
};
use conclave_relay_core::limits::Limits;

use crate::{
    room::Room,
    world::{World, config, local, relay_id},
};

/// How far the far ones are away: what they know of the log is so old when their entry arrives.
const AWAY: Duration = Duration::from_millis(150);
/// A host on a bad line.
const FAR_AWAY: Duration = Duration::from_millis(600);
const STEP: Duration = Duration::from_millis(10);
const WHO: &str = "an answer of the hub";

/// A room under attack.
struct Siege {
    world: World,
    room: Room,
    /// Sessions that offer junk as fast as they can, and how much each has under way.
    flooders: Vec<(usize, usize)>,
    flying: BTreeMap<(usize, u64), Append>,
    /// Where the log stood, and when.
    past: VecDeque<(Duration, u64, Head)>,
    /// Junk entries in the log.
    junk: usize,
}

impl Siege {
    fn new(limits: impl FnOnce(&mut Limits)) -> Self {
        let mut hub = config(0, &[1, 2]);
        limits(&mut hub.limits);
        let mut world = World::with(vec![hub, config(1, &[0]), config(2, &[0])]);
        let (room, _) = world.call(0);
        let past = VecDeque::from([(world.now, room.seq, room.head)]);
        Self { world, room, flooders: Vec::new(), flying: BTreeMap::new(), past, junk: 0 }
    }

    /// A relay that does what it wants, with a capability from somebody inside.
    fn evil_relay(&mut self) {
        let relay = self.world.client_as(0, &Local::Relay(Box::new(local(7))));
        let capability = self.room.capability(relay_id(7), self.world.unix() + 1_800_000);
        let present = Request::Present(Present { capability, attached: true });
        assert_eq!(self.world.ask(relay, present), Answer::Done(()));
        self.flooders.push((relay, 6));
    }

    /// Sessions at the hub, and at another operator's honest relay.
    fn evil_clients(&mut self, here: usize, there: usize) {
        for (relay, count) in [(0, here), (2, there)] {
            for _ in 0..count {
                let client = self.world.member(relay, &self.room);
                self.flooders.push((client, 2));
            }
        }
    }

    /// Ten milliseconds, in which everybody who floods does.
    fn step(&mut self) {
        for (who, most) in self.flooders.clone() {
            let mut under_way = 0;
            for ((_, tag), append) in self.flying.range((who, 0)..=(who, u64::MAX)) {
                match self.world.clients[who].answers.get(tag) {
                    None => under_way += 1,
                    Some(Answer::Appended(_)) if append.header.seq == self.room.seq => {
                        self.room.follow(append);
                        self.junk += 1;
                    }
                    Some(_) => {}
                }
            }
            let clients = &self.world.clients;
            self.flying.retain(|(by, tag), _| *by != who || !clients[who].answers.contains_key(tag));
            for _ in under_way..most {
                let mut junk = self.room.commit(b"junk", vec![]);
                junk.via =
                    self.room.via(self.world.clients[who].relay).filter(|_| self.world.clients[who].relay != Some(relay_id(0)));
                let tag = self.world.begin(who, Request::Append(junk.clone()));
                self.flying.insert((who, tag), junk);
            }
        }
        self.world.pass(STEP);
        self.past.push_back((self.world.now, self.room.seq, self.room.head));
        while self.past.len() > 200 {
            self.past.pop_front();
        }
    }

    fn steps(&mut self, time: Duration) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.step();
        }
    }

    /// The room as somebody so far away knows it.
    fn known(&self, away: Duration) -> (u64, Head) {
        let then = self.world.now.saturating_sub(away);
        let known = self.past.iter().rev().find(|(at, ..)| *at <= then).or(self.past.front()).unwrap();
        (known.1, known.2)
    }

    /// An entry of somebody so far away, tried again until it is in: how long that took, and how often it was refused.
    fn try_to_append(&mut self, who: usize, away: Duration, offer: impl Fn(&Room) -> Append) -> Option<(Duration, usize)> {
        let begun = self.world.now;
        let mut refused = 0;
        while self.world.now < begun + Duration::from_secs(8) {
            let (seq, head) = self.known(away);
            let (now_seq, now_head) = (self.room.seq, self.room.head);
            (self.room.seq, self.room.head) = (seq, head);
            let mut append = offer(&self.room);
            append.via = self.room.via(self.world.clients[who].relay);
            (self.room.seq, self.room.head) = (now_seq, now_head);
            let tag = self.world.begin(who, Request::Append(append.clone()));
            let answer = loop {
                if let Some(answer) = self.world.answer(who, tag) {
                    break answer;
                }
                self.step();
                assert!(self.world.now < begun + Duration::from_secs(20), "{WHO}");
            };
            match answer {
                Answer::Appended(_) => {
                    self.room.follow(&append);
                    self.past.push_back((self.world.now, self.room.seq, self.room.head));
                    return Some((self.world.now - begun, refused));
                }
                Answer::Refused(refusal) => {
                    assert!(matches!(refusal.code, Code::CONFLICT | Code::RATE | Code::FULL), "{refusal:?}");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
            self.steps(away);
        }
        None
    }
}

/// The ways to flood: a relay that takes part, sessions at the hub, sessions at an honest relay elsewhere.
fn sieges() -> [(&'static str, Siege); 3] {
    let generous = |limits: &mut Limits| limits.session_commits = conclave_relay_core::limits::Rate { per_second: 50, burst: 50 };
    let [mut relay, mut here, mut both] = [(); 3].map(|()| Siege::new(generous));
    relay.evil_relay();
    here.evil_clients(6, 0);
    both.evil_relay();
    both.evil_clients(3, 3);
    [("a relay", relay), ("clients", here), ("both", both)]
}

#[test]
fn a_member_s_next_entry_gets_in_whoever_floods() {
    for (who, mut siege) in sieges() {
        let members = [siege.world.member(0, &siege.room), siege.world.member(1, &siege.room)];
        siege.steps(Duration::from_secs(3));
        for round in 0..3 {
            for member in members {
                let entry = |room: &Room| room.commit(b"honest", vec![]);
                let Some((took, _)) = siege.try_to_append(member, AWAY, entry) else {
                    panic!("{who} kept {member} out in round {round}: {} junk entries", siege.junk)
                };
                assert!(took < Duration::from_millis(2_500), "{who}: {took:?} in round {round}");
                siege.steps(Duration::from_millis(700));
            }
        }
        assert!(siege.junk > 20, "{who}: the flood went on: {}", siege.junk);
    }
}

#[test]
fn an_eviction_gets_in_whoever_floods_even_from_far_away() {
    for (who, mut siege) in sieges() {
        let host = siege.world.member(1, &siege.room);
        siege.steps(Duration::from_secs(3));
        for round in 0..2 {
            let founder = siege.room.founder.clone();
            let evict = |room: &Room| room.reserved(b"evict", &founder, vec![]);
            let Some((took, refused)) = siege.try_to_append(host, FAR_AWAY, evict) else {
                panic!("{who} kept the host out in round {round}: {} junk entries", siege.junk)
            };
            assert!(took < Duration::from_secs(2), "{who}: {took:?} in round {round}");
            assert!(refused <= 2, "{who}: {refused}");
            siege.steps(Duration::from_secs(2));
        }
        let reserves = siege.world.stats(0).reserves;
        assert!(reserves.held > 0 && reserves.refused > 0 && reserves.invalid == 0, "{who}: {reserves:?}");
    }
}

#[test]
fn a_join_is_put_before_the_members_and_served_whoever_floods() {
    let mut siege = Siege::new(|_| {});
    siege.evil_relay();
    let evil = siege.flooders[0].0;
    let unix = siege.world.unix();
    for id in 0..80 {
        siege.world.begin(evil, Request::Join(siege.room.knock(id, b"junk", unix)));
    }
    assert_eq!(siege.world.stats(0).joins.asked, 64, "as many as may wait");
    let member = siege.world.member(0, &siege.room);
    siege.steps(Duration::from_secs(3));
    for (id, relay) in [(200, 0), (201, 1)] {
        let joiner = siege.world.client(relay);
        let mut knock = siege.room.knock(id, b"honest", siege.world.unix());
        knock.via = siege.room.via(Some(relay_id(relay)));
        let tag = siege.world.begin(joiner, Request::Join(knock.clone()));
        assert!(siege.world.answer(joiner, tag).is_none(), "it waits for a member, and not for the flood to end");
        let serve = |room: &Room| room.commit(b"add", vec![knock.id]);
        let (took, _) = siege.try_to_append(member, AWAY, serve).expect("the member's entry gets in");
        assert!(took < Duration::from_millis(2_500), "{took:?}");
        assert!(matches!(siege.world.answer(joiner, tag), Some(Answer::Admitted(_))));
    }
    assert_eq!(siege.world.stats(0).joins.crowded, 1, "the second one found the place that the first had left");
}

/// A word that is none gets neither a share nor a hold, and its entry is refused.
fn assert_worthless(siege: &mut Siege, member: usize, append: Append) {
    let before = siege.world.stats(0).reserves;
    let code = siege.world.refused(member, Request::Append(append));
    let after = siege.world.stats(0).reserves;
    assert_eq!((code, after.invalid, after.valid, after.held), (Code::BAD_PROOF, before.invalid + 1, before.valid, before.held));
}

#[test]
fn a_forged_an_expired_or_a_revoked_word_gets_nothing() {
    let mut siege = Siege::new(|_| {});
    let member = siege.world.member(0, &siege.room);
    let (host, nobody) = (SigningKey::from_seed([91; 32]), SigningKey::from_seed([92; 32]));
    let unix = siege.world.unix();
    let good = siege.room.delegate(&host, unix + 3_600_000);
    let room = &siege.room;
    let forged = Delegation::issue(&nobody, room.id, host.verifying_key(), unix + 3_600_000);
    let elsewhere = Delegation::issue(&room.founder, Room::new(0, 90).id, host.verifying_key(), unix + 3_600_000);
    let expired = room.delegate(&host, unix - 200_000);
    let mut moved = room.reserved(b"evict", &host, vec![good.clone()]);
    moved.reserve = room.reserved(b"something else", &host, vec![good.clone()]).reserve;
    let worthless = [
        room.reserved(b"evict", &nobody, vec![]),
        room.reserved(b"evict", &host, vec![]),
        room.reserved(b"evict", &nobody, vec![good.clone()]),
        room.reserved(b"evict", &host, vec![forged]),
        room.reserved(b"evict", &host, vec![elsewhere]),
        room.reserved(b"evict", &host, vec![expired]),
        moved,
    ];
    for append in worthless {
        assert_worthless(&mut siege, member, append);
        siege.world.pass(Duration::from_millis(600));
    }
    // Stale and forged: no hold either.
    let stale = siege.room.reserved(b"evict", &nobody, vec![]);
    let other = siege.world.member(0, &siege.room);
    assert!(matches!(siege.world.append(other, &mut siege.room, b"one", vec![]), Answer::Appended(_)));
    assert_worthless(&mut siege, member, stale);
    assert!(matches!(siege.world.append(other, &mut siege.room, b"two", vec![]), Answer::Appended(_)), "the head is not held");

    let append = siege.room.reserved(b"evict", &host, vec![good.clone()]);
    assert!(matches!(siege.world.ask(member, Request::Append(append.clone())), Answer::Appended(_)), "the same delegate is good");
    siege.room.follow(&append);
    let mut record = siege.room.record(2);
    record.revoked = List::new(vec![host.verifying_key()]).unwrap();
    record.sign(&siege.room.founder);
    assert_eq!(siege.world.ask(member, Request::PutRecord(PutRecord { via: None, record })), Answer::Done(()));
    siege.world.pass(Duration::from_secs(1));
    let revoked = siege.room.reserved(b"evict", &host, vec![good]);
    assert_worthless(&mut siege, member, revoked);
}

#[test]
fn a_host_cannot_stop_the_room_by_holding_its_head() {
    let mut siege = Siege::new(|_| {});
    let (host, member) = (siege.world.member(0, &siege.room), siege.world.member(0, &siege.room));
    assert!(matches!(siege.world.append(member, &mut siege.room, b"one", vec![]), Answer::Appended(_)));
    // Many keys that hang on one delegate are one branch.
    let (delegate, root) = (SigningKey::from_seed([91; 32]), siege.room.founder.clone());
    let far = siege.world.unix() + 3_600_000;
    let step = Delegation::issue(&root, siege.room.id, delegate.verifying_key(), far);
    let mut got_in = Vec::new();
    let begun = siege.world.now;
    for round in 0..600_u16 {
        let key = SigningKey::from_seed([u8::try_from(round % 250).unwrap(); 32]);
        let mut stale = Room::new(0, 40);
        (stale.seq, stale.head) = (siege.room.seq - 1, Head::new([3; 32]));
        let chain = vec![step.clone(), Delegation::issue(&delegate, siege.room.id, key.verifying_key(), far)];
        siege.world.begin(host, Request::Append(stale.reserved(b"never", &key, chain)));
        if let Answer::Appended(_) = siege.world.append(member, &mut siege.room, b"on", vec![]) {
            got_in.push(siege.world.now - begun);
        }
        siege.world.pass(Duration::from_millis(100));
    }
    let stopped = got_in.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(stopped <= Duration::from_millis(2_700), "{stopped:?}");
    assert!(got_in.len() > 60, "a minute, of which two thirds are the others': {}", got_in.len());
    let held = siege.world.stats(0).reserves.held;
    assert!((8..=11).contains(&held), "one hold in six seconds: {held}");
}

#[test]
fn a_word_of_long_ago_holds_nothing() {
    let mut siege = Siege::new(|limits| {
        limits.session_commits = conclave_relay_core::limits::Rate { per_second: 1_000, burst: 1_000 };
        limits.room_commits = conclave_relay_core::limits::Rate { per_second: 1_000, burst: 1_000 };
        limits.control = conclave_relay_core::limits::Rate { per_second: 1_000, burst: 1_000 };
    });
    let (member, relay) = (siege.world.member(0, &siege.room), siege.world.member(0, &siege.room));
    let founder = siege.room.founder.clone();
    let copied = siege.room.reserved(b"evict", &founder, vec![]);
    for body in 0..66_u8 {
        assert!(matches!(siege.world.append(member, &mut siege.room, &[body], vec![]), Answer::Appended(_)));
    }
    assert_eq!(siege.world.refused(relay, Request::Append(copied)), Code::CONFLICT);
    assert_eq!((siege.world.stats(0).reserves.valid, siege.world.stats(0).reserves.held), (1, 0));
    assert!(matches!(siege.world.append(member, &mut siege.room, b"on", vec![]), Answer::Appended(_)));
}

//! A room's keys, what its members say with them, and the steps that most stories begin with.

use bytes::Bytes;
use conclave_federation::{
    host::Delegation,
    id::{Alias, Generation, Head, Instance, JoinId, RelayId, RoomId, TrackId},
    proof::{AttachClaim, Capability, HostProof, Label, Signature, SigningKey, VerifyingKey},
    record::{Hub, RoomRecord},
    track::Class,
    wire::{
        Blob, List, Text, Wire,
        message::{
            Answer, Append, Attach, EntryHeader, EntryKind, Join, Publish, PutRecord, Request, Resolve, Resolved, Sealed, Start,
            Subscribe, Via,
        },
    },
};

use crate::world::{Client, UNIX, World, relay_id};

/// A room's keys, and what its members say with them.
#[derive(Clone)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    pub(crate) founder: SigningKey,
    pub(crate) access: SigningKey,
    pub(crate) join: SigningKey,
    pub(crate) hub: usize,
    pub(crate) instance: Instance,
    pub(crate) seq: u64,
    pub(crate) head: Head,
    pub(crate) generation: Generation,
    pub(crate) retired: Vec<VerifyingKey>,
    /// Of the newest record.
    pub(crate) record_seq: u64,
}

impl Room {
    pub(crate) fn new(hub: usize, name: u8) -> Self {
        let founder = SigningKey::from_seed([name; 32]);
        Self {
            id: RoomId::of_founder(&founder.verifying_key()),
            founder,
            access: SigningKey::from_seed([name + 1; 32]),
            join: SigningKey::from_seed([name + 2; 32]),
            hub,
            instance: Instance(1),
            seq: 0,
            head: Head::START,
            generation: Generation(0),
            retired: Vec::new(),
            record_seq: 1,
        }
    }

    pub(crate) fn record(&self, seq: u64) -> RoomRecord {
        let hub = Hub { relay: relay_id(self.hub), addresses: List::new(vec![Text::cut("hub.example:4433")]).unwrap() };
        let mut record = RoomRecord {
            version: RoomRecord::VERSION,
            room: self.id,
            founder: self.founder.verifying_key(),
            seq,
            suite: 1,
            generation: self.generation,
            access: self.access.verifying_key(),
            join: self.join.verifying_key(),
            lobby: [u8::try_from(self.generation.0).unwrap(); 32],
            retired: List::new(self.retired.clone()).unwrap(),
            revoked: List::default(),
            host_required: false,
            max_members: 100,
            hubs: List::new(vec![hub]).unwrap(),
            not_after: UNIX + 24 * 3_600_000,
            signer: self.founder.verifying_key(),
            delegation: List::default(),
            signature: Signature::new([0; 64]),
        };
        record.sign(&self.founder);
        record
    }

    pub(crate) fn via(&self, relay: Option<RelayId>) -> Option<Via> {
        (relay != Some(relay_id(self.hub))).then(|| Via { relay: relay_id(self.hub), addresses: List::default() })
    }

    pub(crate) fn put(&self, seq: u64) -> Request {
        Request::PutRecord(PutRecord { via: None, record: self.record(seq) })
    }

    pub(crate) fn capability(&self, relay: RelayId, expires: u64) -> Capability {
        Capability::issue(&self.access, relay, self.id, self.instance, self.generation, expires)
    }

    pub(crate) fn attach(&self, client: &Client, unix: u64) -> Attach {
        self.attach_by_name(client, unix, "")
    }

    /// As somebody whose transport proves only the name that they dialled.
    pub(crate) fn attach_by_name(&self, client: &Client, unix: u64, authority: &str) -> Attach {
        let relay = client.relay.unwrap();
        let claim = AttachClaim {
            relay,
            authority,
            nonce: &client.nonce,
            room: self.id,
            instance: self.instance,
            generation: self.generation,
            role: 0,
        };
        Attach {
            room: self.id,
            instance: self.instance,
            generation: self.generation,
            role: 0,
            signature: self.access.sign(Label::Attach, &claim.bytes()),
            capability: self.capability(relay, unix + 1_800_000),
        }
    }

    pub(crate) fn entry(&self, kind: EntryKind, seq: u64, prev: Head, body: &[u8], served: Vec<JoinId>) -> Append {
        let sealed = |bytes: &[u8]| Sealed::new(Bytes::copy_from_slice(bytes)).unwrap();
        let commit = sealed(body);
        let (epoch_box, welcome) = (sealed(b"box"), sealed(b"welcome"));
        let header = EntryHeader {
            version: EntryHeader::VERSION,
            room: self.id,
            instance: self.instance,
            seq,
            prev_head: prev,
            kind,
            flags: 0,
            generation: self.generation,
            term: 0,
            hub_index: 0,
            body_hash: EntryHeader::body_hash(&commit, &epoch_box, None),
            welcome_hash: EntryHeader::welcome_hash(&welcome),
            served: List::new(served).unwrap(),
        };
        let key = if kind == EntryKind::Genesis { &self.join } else { &self.access };
        let signature = key.sign(Label::Append, &header.encode());
        Append { via: None, header, signature, commit, epoch_box, welcome, record: None, reserve: None, call: None }
    }

    pub(crate) fn genesis(&self, body: &[u8]) -> Append {
        self.entry(EntryKind::Genesis, 0, Head::START, body, vec![])
    }

    /// The next commit, as a member who has seen all would offer it.
    pub(crate) fn commit(&self, body: &[u8], served: Vec<JoinId>) -> Append {
        self.entry(EntryKind::Commit, self.seq, self.head, body, served)
    }

    /// The room with all keys new, as those know it who were told; its log as before.
    pub(crate) fn turned(&self) -> Self {
        let mut after = self.clone();
        let generation = self.generation.next();
        let seed = |key: u8| SigningKey::from_seed([key + u8::try_from(generation.0).unwrap(); 32]);
        after.retired.push(self.join.verifying_key());
        (after.generation, after.access, after.join) = (generation, seed(150), seed(200));
        after.record_seq += 1;
        after
    }

    /// The entry that brings `record`, whatever it is.
    pub(crate) fn turning(&self, record: RoomRecord) -> Append {
        let mut append = self.commit(b"evict", vec![]);
        append.record = Some(record);
        append.header.flags = EntryHeader::NEXT_GENERATION;
        self.sign(append)
    }

    /// The entry that begins the next generation, and the room after it.
    pub(crate) fn eviction(&self) -> (Append, Self) {
        let mut after = self.turned();
        let append = self.turning(after.record(after.record_seq));
        after.follow(&append);
        (append, after)
    }

    /// A host ends the call.
    pub(crate) fn end(&self) -> Append {
        let mut append = self.commit(b"", vec![]);
        append.header.kind = EntryKind::End;
        (append.epoch_box, append.welcome) = (Sealed::default(), Sealed::default());
        append.header.welcome_hash = EntryHeader::welcome_hash(&append.welcome);
        let mut append = self.sign(append);
        let proof = HostProof::sign(Label::Reserve, &append.header.encode(), &self.founder, List::default());
        append.reserve = Some(proof);
        append
    }

    /// Signed as it is now.
    pub(crate) fn sign(&self, mut append: Append) -> Append {
        append.header.body_hash = EntryHeader::body_hash(&append.commit, &append.epoch_box, append.record.as_ref());
        let key = if append.header.kind == EntryKind::Genesis { &self.join } else { &self.access };
        append.signature = key.sign(Label::Append, &append.header.encode());
        append
    }

    /// The next commit with a host's word.
    pub(crate) fn reserved(&self, body: &[u8], by: &SigningKey, chain: Vec<Delegation>) -> Append {
        let mut append = self.commit(body, vec![]);
        let chain = List::new(chain).unwrap();
        append.reserve = Some(HostProof::sign(Label::Reserve, &append.header.encode(), by, chain));
        append
    }

    /// The founder makes somebody a host.
    pub(crate) fn delegate(&self, host: &SigningKey, expires: u64) -> Delegation {
        Delegation::issue(&self.founder, self.id, host.verifying_key(), expires)
    }

    /// The log has moved on.
    pub(crate) fn follow(&mut self, append: &Append) {
        self.seq = append.header.seq + 1;
        self.head = append.header.head();
    }

    pub(crate) fn knock(&self, id: u8, body: &[u8], time: u64) -> Join {
        let (id, body) = (JoinId::new([id; 16]), Blob::new(Bytes::copy_from_slice(body)).unwrap());
        let claim = Join::claim(relay_id(self.hub), self.id, self.instance, self.generation, id, time, body.bytes());
        let signature = self.join.sign(Label::Request, &claim);
        Join { via: None, room: self.id, instance: self.instance, generation: self.generation, id, time, body, signature }
    }

    pub(crate) fn publish(&self, track: u64, class: Class) -> Request {
        Request::Publish(Publish { room: self.id, instance: self.instance, track: TrackId(track), class, layers: 1 })
    }

    pub(crate) fn subscribe(&self, track: TrackId, start: Start) -> Request {
        Request::Subscribe(Subscribe { room: self.id, instance: self.instance, track, start, path: List::default() })
    }
}

/// The steps that most stories begin with.
impl World {
    pub(crate) fn resolve(&mut self, client: usize, room: &Room) -> Answer {
        let via = room.via(self.clients[client].relay);
        self.ask(client, Request::Resolve(Resolve { via, room: room.id }))
    }

    pub(crate) fn resolved(&mut self, client: usize, room: &Room) -> Resolved {
        match self.resolve(client, room) {
            Answer::Resolved(resolved) => *resolved,
            other => panic!("resolved, not {other:?}"),
        }
    }

    /// A call with its genesis, begun by a client of the hub that is attached then.
    pub(crate) fn call(&mut self, hub: usize) -> (Room, usize) {
        let mut room = Room::new(hub, 40);
        let founder = self.client(hub);
        assert_eq!(self.ask(founder, room.put(1)), Answer::Done(()));
        let genesis = room.genesis(b"group");
        assert!(matches!(self.ask(founder, Request::Append(genesis.clone())), Answer::Appended(_)));
        room.follow(&genesis);
        self.attach(founder, &room);
        (room, founder)
    }

    pub(crate) fn attach(&mut self, client: usize, room: &Room) {
        self.resolved(client, room);
        let attach = room.attach(&self.clients[client], self.unix());
        assert_eq!(self.ask(client, Request::Attach(attach)), Answer::Done(()));
    }

    /// A client that is in the call.
    pub(crate) fn member(&mut self, relay: usize, room: &Room) -> usize {
        let client = self.client(relay);
        self.attach(client, room);
        client
    }

    pub(crate) fn append(&mut self, client: usize, room: &mut Room, body: &[u8], served: Vec<JoinId>) -> Answer {
        let mut append = room.commit(body, served);
        append.via = room.via(self.clients[client].relay);
        let answer = self.ask(client, Request::Append(append.clone()));
        if matches!(answer, Answer::Appended(_)) {
            room.follow(&append);
        }
        answer
    }

    pub(crate) fn publish(&mut self, client: usize, room: &Room, track: u64, class: Class) -> Alias {
        match self.ask(client, room.publish(track, class)) {
            Answer::Published(published) => published.alias,
            other => panic!("published, not {other:?}"),
        }
    }

    pub(crate) fn subscribe(&mut self, client: usize, room: &Room, track: u64, start: Start) -> Alias {
        match self.ask(client, room.subscribe(TrackId(track), start)) {
            Answer::Subscribed(subscribed) => subscribed.alias,
            other => panic!("subscribed, not {other:?}"),
        }
    }
}

//! One room's keys, and what their holders would say to a relay: rightly signed, most of the time.

use bytes::Bytes;
use conclave_federation::{
    host::{Chain, Delegation, HostProof},
    id::{Generation, Head, Instance, RelayId, RoomId},
    limits::MAX_CAPABILITY_LIFE_MS,
    proof::{AttachClaim, Capability, Label, Signature, SigningKey, VerifyingKey},
    record::{Address, CallKeys, Hub, RoomRecord},
    wire::{
        Blob, List, Wire,
        message::{Append, Attach, Decline, EntryHeader, EntryKind, Join, Sealed, Stamp},
    },
};

use super::{Script, relay::join_id};

/// See the module.
pub(super) struct Room {
    founder: SigningKey,
    host: SigningKey,
    chain: Chain,
    record: RoomRecord,
    /// Where the room's keepers believe its log to be.
    seq: u64,
    head: Head,
    instance: u32,
    /// Whether the current call has keys of its own.
    own_keys: bool,
}

/// The keys of a generation.
fn access(generation: Generation, of_call: bool) -> SigningKey {
    key(if of_call { 120 } else { 20 }, generation)
}

fn join_key(generation: Generation) -> SigningKey {
    key(60, generation)
}

fn key(first: u8, generation: Generation) -> SigningKey {
    SigningKey::from_seed([first.wrapping_add(u8::try_from(generation.0 % 32).unwrap_or(0)); 32])
}

/// A lobby key of its own for each generation; nobody here opens anything with it.
fn lobby(generation: Generation) -> [u8; 32] {
    [u8::try_from(generation.0 % 251).unwrap_or(0).wrapping_add(1); 32]
}

impl Room {
    pub(super) fn new(hub: RelayId, unix_ms: u64) -> Self {
        let [founder, host] = [11, 12].map(|seed| SigningKey::from_seed([seed; 32]));
        let room = RoomId::of_founder(&founder.verifying_key());
        let hubs = vec![Hub { relay: hub, addresses: List::new(vec![Address::cut("relay.example:4433")]).unwrap_or_default() }];
        let not_after = unix_ms + 86_400_000;
        let delegation = Delegation::issue(&founder, room, host.verifying_key(), not_after);
        let generation = Generation(0);
        let mut record = RoomRecord {
            version: RoomRecord::VERSION,
            room,
            founder: founder.verifying_key(),
            seq: 1,
            suite: 1,
            generation,
            access: access(generation, false).verifying_key(),
            join: join_key(generation).verifying_key(),
            lobby: lobby(generation),
            retired: List::default(),
            revoked: List::default(),
            host_required: false,
            max_members: 100,
            hubs: List::new(hubs).unwrap_or_default(),
            not_after,
            signer: VerifyingKey::new([0; 32]),
            delegation: Chain::default(),
            signature: Signature::new([0; 64]),
        };
        record.sign(&founder);
        let chain = List::new(vec![delegation]).unwrap_or_default();
        Self { founder, host, chain, record, seq: 0, head: Head::START, instance: 0, own_keys: false }
    }

    pub(super) const fn id(&self) -> RoomId {
        self.record.room
    }

    /// The current call, most of the time.
    pub(super) fn instance(&self, script: &mut Script<'_>) -> Instance {
        let other = script.byte();
        Instance(if other < 224 { self.instance } else { u32::from(other % 4) })
    }

    /// A record: the first, a newer one, or one with something wrong.
    pub(super) fn record(&mut self, script: &mut Script<'_>) -> RoomRecord {
        let change = script.byte();
        if change < 128 {
            return self.record.clone();
        }
        let mut record = self.record.clone();
        record.seq += u64::from(change % 3);
        match change % 7 {
            0 => record.max_members = 0,
            1 => record.not_after = 0,
            2 => record.host_required = true,
            3 => record.revoked = List::new(vec![self.host.verifying_key()]).unwrap_or_default(),
            _ => {}
        }
        if change % 5 == 1 {
            record.sign_as(&self.host, self.chain.clone());
        } else {
            record.sign(if change % 11 == 1 { &self.host } else { &self.founder });
        }
        if record.follows(&self.record).is_ok() && record.verify(record.room, record.not_after).is_ok() {
            self.record = record.clone();
        }
        record
    }

    /// The record of the next generation, as a host makes it.
    fn next(&self, script: &mut Script<'_>) -> RoomRecord {
        let generation = self.record.generation.next();
        let mut record = RoomRecord {
            seq: self.record.seq + 1,
            generation,
            access: access(generation, false).verifying_key(),
            join: join_key(generation).verifying_key(),
            lobby: lobby(generation),
            retired: self.record.next_retired(),
            ..self.record.clone()
        };
        if script.once_in(2) {
            record.sign_as(&self.host, self.chain.clone());
        } else {
            record.sign(&self.founder);
        }
        record
    }

    fn wrong(script: &mut Script<'_>) -> bool {
        script.byte() >= 240
    }

    fn host_says(&self, label: Label, body: &[u8], script: &mut Script<'_>) -> HostProof {
        if script.once_in(2) {
            HostProof::sign(label, body, &self.host, self.chain.clone())
        } else {
            HostProof::sign(label, body, &self.founder, Chain::default())
        }
    }

    pub(super) fn append(&mut self, script: &mut Script<'_>) -> Append {
        let genesis = self.seq == 0 || script.byte() >= 232;
        let (seq, prev_head) = if genesis { (0, Head::START) } else { (self.seq, self.head) };
        if genesis && (self.instance == 0 || script.byte() >= 128) {
            self.instance += 1;
        }
        let sealed = |bytes: &[u8]| -> Sealed { Blob::new(Bytes::copy_from_slice(bytes)).unwrap_or_default() };
        let (mut commit, mut epoch_box, mut welcome) = (sealed(script.bytes()), sealed(b"box"), sealed(b"welcome"));
        let mut served: Vec<_> = (0..script.below(4)).map(|_| join_id(script)).collect();
        let what = script.byte();
        let kind = match what {
            _ if genesis => EntryKind::Genesis,
            200..208 => EntryKind::HubMove,
            208..216 => EntryKind::End,
            _ => EntryKind::Commit,
        };
        if kind == EntryKind::End {
            (commit, epoch_box, welcome) = (Sealed::default(), Sealed::default(), Sealed::default());
            served.clear();
        }
        let record = (160..200).contains(&what).then(|| self.next(script));
        let generation = self.record.generation;
        let flags = if record.is_some() != (what == 190) { EntryHeader::NEXT_GENERATION } else { 0 };
        let header = EntryHeader {
            version: EntryHeader::VERSION,
            room: self.record.room,
            instance: Instance(self.instance),
            seq,
            prev_head,
            kind,
            flags: if Self::wrong(script) { script.byte() } else { flags },
            generation: Generation(if Self::wrong(script) { generation.0 + 1 } else { generation.0 }),
            term: 0,
            hub_index: 0,
            body_hash: EntryHeader::body_hash(&commit, &epoch_box, record.as_ref()),
            welcome_hash: EntryHeader::welcome_hash(&welcome),
            served: List::new(served).unwrap_or_default(),
        };
        let call = (genesis && what % 2 == 1).then(|| {
            let (access, room) = (access(generation, true).verifying_key(), self.record.room);
            CallKeys::issue(&join_key(generation), room, Instance(self.instance), generation, access, [9; 32])
        });
        let signer = if genesis { join_key(generation) } else { access(generation, self.own_keys) };
        let signer = if Self::wrong(script) { &self.founder } else { &signer };
        let signature = signer.sign(Label::Append, &header.encode());
        let reserve = (kind == EntryKind::End || what % 4 == 3).then(|| self.host_says(Label::Reserve, &header.encode(), script));
        // Offered and believed to be in; whether it is, the relay decides.
        if !Self::wrong(script) {
            (self.seq, self.head) = (seq + 1, header.head());
            if genesis {
                self.own_keys = call.is_some();
            }
            if let Some(record) = &record {
                self.record = record.clone();
                self.own_keys = false;
            }
            if kind == EntryKind::End {
                self.seq = 0;
            }
        }
        Append { via: None, header, signature, commit, epoch_box, welcome, record, reserve, call }
    }

    /// Participants' key: of this generation, or of the one before.
    fn access(&self, script: &mut Script<'_>) -> (SigningKey, Generation) {
        let now = self.record.generation;
        match script.byte() {
            200..220 => {
                let before = Generation(now.0.saturating_sub(1));
                (access(before, false), before)
            }
            240.. => (join_key(now), now),
            _ => (access(now, self.own_keys), now),
        }
    }

    pub(super) fn capability(&self, relay: RelayId, instance: Instance, unix_ms: u64, script: &mut Script<'_>) -> Capability {
        let life = MAX_CAPABILITY_LIFE_MS / 256 * u64::from(script.byte());
        let (key, generation) = self.access(script);
        Capability::issue(&key, relay, self.record.room, instance, generation, unix_ms + life)
    }

    pub(super) fn attach(
        &self,
        relay: RelayId,
        nonce: &[u8; 32],
        instance: Instance,
        unix_ms: u64,
        script: &mut Script<'_>,
    ) -> Attach {
        let room = self.record.room;
        let (key, generation) = self.access(script);
        let claim = AttachClaim { relay, authority: "", nonce, room, instance, generation, role: 0 };
        let signature = key.sign(Label::Attach, &claim.bytes());
        let capability = self.capability(relay, instance, unix_ms, script);
        Attach { room, instance, generation, role: 0, signature, capability }
    }

    pub(super) fn join(&self, hub: RelayId, instance: Instance, unix_ms: u64, script: &mut Script<'_>) -> Join {
        let id = join_id(script);
        let body = Blob::new(Bytes::copy_from_slice(script.bytes())).unwrap_or_default();
        let room = self.record.room;
        let back = u32::from(script.byte() / 200);
        let generation = Generation(self.record.generation.0.saturating_sub(back));
        let key = if Self::wrong(script) { self.host.clone() } else { join_key(generation) };
        let claim = Join::claim(hub, room, instance, generation, id, unix_ms, body.bytes());
        Join { via: None, room, instance, generation, id, time: unix_ms, body, signature: key.sign(Label::Request, &claim) }
    }

    pub(super) fn decline(&self, instance: Instance, script: &mut Script<'_>) -> Decline {
        let (room, id) = (self.record.room, join_id(script));
        let note = Blob::new(Bytes::from_static(b"not now")).unwrap_or_default();
        let claim = Decline::claim(room, instance, id, note.bytes());
        let proof = self.host_says(if Self::wrong(script) { Label::Reserve } else { Label::Decline }, &claim, script);
        Decline { via: None, room, instance, id, note, proof }
    }

    pub(super) fn stamp(&self, instance: Instance, script: &mut Script<'_>) -> Stamp {
        Stamp { via: None, room: self.record.room, instance, digest: [script.byte(); 32] }
    }
}

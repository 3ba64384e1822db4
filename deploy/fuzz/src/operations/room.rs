//! One room's keys, and what their holders would say to a relay: rightly signed, most of the time.

use bytes::Bytes;
use conclave_federation::{
    id::{Generation, Head, Instance, RelayId, RoomId},
    limits::MAX_CAPABILITY_LIFE_MS,
    proof::{AttachClaim, Capability, Label, Signature, SigningKey, VerifyingKey},
    record::{Address, Hub, RoomRecord},
    wire::{
        Blob, List, Wire,
        message::{Append, Attach, EntryHeader, EntryKind, Join, Sealed},
    },
};

use super::{Script, relay::join_id};

/// See the module.
pub(super) struct Room {
    founder: SigningKey,
    access: SigningKey,
    join: SigningKey,
    record: RoomRecord,
    /// Where the room's keepers believe its log to be.
    seq: u64,
    head: Head,
    instance: u32,
}

impl Room {
    pub(super) fn new(hub: RelayId, unix_ms: u64) -> Self {
        let [founder, access, join] = [11, 12, 13].map(|seed| SigningKey::from_seed([seed; 32]));
        let hubs = vec![Hub { relay: hub, addresses: List::new(vec![Address::cut("relay.example:4433")]).unwrap_or_default() }];
        let mut record = RoomRecord {
            version: RoomRecord::VERSION,
            room: RoomId::of_founder(&founder.verifying_key()),
            founder: founder.verifying_key(),
            seq: 1,
            suite: 1,
            generation: Generation(0),
            access: access.verifying_key(),
            join: join.verifying_key(),
            lobby: [4; 32],
            retired: List::default(),
            revoked: List::default(),
            host_required: false,
            max_members: 100,
            hubs: List::new(hubs).unwrap_or_default(),
            not_after: unix_ms + 86_400_000,
            signer: VerifyingKey::new([0; 32]),
            delegation: List::default(),
            signature: Signature::new([0; 64]),
        };
        record.sign(&founder);
        Self { founder, access, join, record, seq: 0, head: Head::START, instance: 0 }
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
            _ => {}
        }
        record.sign(if change.is_multiple_of(11) { &self.access } else { &self.founder });
        if record.verify(record.room, record.not_after).is_ok() {
            self.record = record.clone();
        }
        record
    }

    fn wrong(script: &mut Script<'_>) -> bool {
        script.byte() >= 240
    }

    pub(super) fn append(&mut self, script: &mut Script<'_>) -> Append {
        let genesis = self.seq == 0 || script.byte() >= 232;
        let (seq, prev_head) = if genesis { (0, Head::START) } else { (self.seq, self.head) };
        if genesis && (self.instance == 0 || script.byte() >= 128) {
            self.instance += 1;
        }
        let sealed = |bytes: &[u8]| -> Sealed { Blob::new(Bytes::copy_from_slice(bytes)).unwrap_or_default() };
        let (commit, epoch_box, welcome) = (sealed(script.bytes()), sealed(b"box"), sealed(b"welcome"));
        let served = (0..script.below(4)).map(|_| join_id(script)).collect();
        let header = EntryHeader {
            version: EntryHeader::VERSION,
            room: self.record.room,
            instance: Instance(self.instance),
            seq,
            prev_head,
            kind: [EntryKind::Commit, EntryKind::Genesis, EntryKind::HubMove, EntryKind::End]
                [if Self::wrong(script) { script.below(4) } else { usize::from(genesis) }],
            flags: if Self::wrong(script) { script.byte() } else { 0 },
            generation: Generation(if Self::wrong(script) { 1 } else { self.record.generation.0 }),
            term: 0,
            hub_index: 0,
            body_hash: EntryHeader::body_hash(&commit, &epoch_box, None),
            welcome_hash: EntryHeader::welcome_hash(&welcome),
            served: List::new(served).unwrap_or_default(),
        };
        let signer = if genesis { &self.join } else { &self.access };
        let signer = if Self::wrong(script) { &self.founder } else { signer };
        let signature = signer.sign(Label::Append, &header.encode());
        // Offered and believed to be in; whether it is, the relay decides.
        if !Self::wrong(script) {
            (self.seq, self.head) = (seq + 1, header.head());
        }
        Append { via: None, header, signature, commit, epoch_box, welcome, record: None, reserve: None, call: None }
    }

    pub(super) fn capability(&self, relay: RelayId, instance: Instance, unix_ms: u64, script: &mut Script<'_>) -> Capability {
        let life = MAX_CAPABILITY_LIFE_MS / 256 * u64::from(script.byte());
        let key = if Self::wrong(script) { &self.join } else { &self.access };
        Capability::issue(key, relay, self.record.room, instance, self.record.generation, unix_ms + life)
    }

    pub(super) fn attach(
        &self,
        relay: RelayId,
        nonce: &[u8; 32],
        instance: Instance,
        unix_ms: u64,
        script: &mut Script<'_>,
    ) -> Attach {
        let (room, generation) = (self.record.room, self.record.generation);
        let claim = AttachClaim { relay, authority: "", nonce, room, instance, generation, role: 0 };
        let key = if Self::wrong(script) { &self.join } else { &self.access };
        let signature = key.sign(Label::Attach, &claim.bytes());
        let capability = self.capability(relay, instance, unix_ms, script);
        Attach { room, instance, generation, role: 0, signature, capability }
    }

    pub(super) fn join(&self, hub: RelayId, instance: Instance, unix_ms: u64, script: &mut Script<'_>) -> Join {
        let id = join_id(script);
        let body = Blob::new(Bytes::copy_from_slice(script.bytes())).unwrap_or_default();
        let room = self.record.room;
        let key = if Self::wrong(script) { &self.access } else { &self.join };
        let generation = self.record.generation;
        let claim = Join::claim(hub, room, instance, generation, id, unix_ms, body.bytes());
        Join { via: None, room, instance, generation, id, time: unix_ms, body, signature: key.sign(Label::Request, &claim) }
    }
}

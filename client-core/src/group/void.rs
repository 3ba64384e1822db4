//! Words against an entry: of those who cannot apply it, and of those who take it back. What they mean to whom is decided in
//! [`super::thread`].

use conclave_federation::{
    host::{chain_end, chain_revoked},
    id::Head,
    proof::{HostProof, Label, Signature, SigningKey, VerifyingKey},
    record::RoomRecord,
    wire::{
        List, Wire, Writer,
        message::{Entry, EntryKind},
    },
};

use super::{
    BuildError, Group, Leaf,
    draft::Draft,
    entry::Part,
    thread::{Circle, Right, Weight, Word},
};
use crate::{leaf::Call, policy, wire::wire_struct};

/// Fault notes in one word: half of the leaves that a room can have.
pub const MAX_FAULT_NOTES: usize = 500;

wire_struct! {
    /// A participant's word that they cannot apply an entry which others may have applied.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct FaultNote {
        /// Their leaf before that entry.
        pub leaf: Leaf,
        /// Their leaf key.
        pub key: VerifyingKey,
        /// The entry.
        pub seq: u64,
        /// The head after it: this entry of this history.
        pub head: Head,
        /// By that key.
        pub signature: Signature,
    }
}

wire_struct! {
    /// What takes an entry back. Travels as the box of the commit that goes on without the entry, under a key that everybody in
    /// the room has, and is good for that place in the log alone.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct VoidWord {
        /// The entry that it takes back.
        pub seq: u64,
        /// The head after it.
        pub head: Head,
        /// How many leaves there were before it, without those whom it removed.
        pub leaves: u16,
        /// Of those who cannot apply it; empty where a host speaks.
        pub notes: List<FaultNote, MAX_FAULT_NOTES>,
        /// The leaf key of who takes it back.
        pub key: VerifyingKey,
        /// A host's right, by the founder's word alone: over the same bytes as the signature.
        pub host: Option<HostProof>,
        /// By the leaf key.
        pub signature: Signature,
    }
}

impl FaultNote {
    fn claim(call: &Call, leaf: Leaf, seq: u64, head: Head) -> Vec<u8> {
        let mut out = Writer::new();
        call.put(&mut out);
        leaf.put(&mut out);
        out.u64(seq);
        head.put(&mut out);
        out.into_vec()
    }

    /// Signs a note.
    #[must_use]
    pub fn sign(key: &SigningKey, call: &Call, leaf: Leaf, seq: u64, head: Head) -> Self {
        let signature = key.sign(Label::Fault, &Self::claim(call, leaf, seq, head));
        Self { leaf, key: key.verifying_key(), seq, head, signature }
    }

    /// Whether its key signed it for this call.
    #[must_use]
    pub fn verify(&self, call: &Call) -> bool {
        self.key.verify(Label::Fault, &Self::claim(call, self.leaf, self.seq, self.head), &self.signature)
    }
}

impl VoidWord {
    fn claim(&self, call: &Call, follows: Head) -> Vec<u8> {
        let mut out = Writer::new();
        call.put(&mut out);
        follows.put(&mut out);
        out.u64(self.seq);
        self.head.put(&mut out);
        out.u16(self.leaves);
        self.notes.put(&mut out);
        self.key.put(&mut out);
        out.into_vec()
    }

    /// Signs all but a host's right. `follows`: the head that the entry which carries it follows.
    pub fn sign(&mut self, key: &SigningKey, call: &Call, follows: Head) {
        self.key = key.verifying_key();
        self.signature = key.sign(Label::Void, &self.claim(call, follows));
    }

    /// What of it holds, if its own signature and all the notes' do.
    #[must_use]
    pub fn verify(&self, call: &Call, follows: Head, record: &RoomRecord) -> Option<Word> {
        let claim = self.claim(call, follows);
        let about = |note: &FaultNote| note.seq == self.seq && note.head == self.head;
        if !self.key.verify(Label::Void, &claim, &self.signature)
            || !self.notes.iter().all(|note| about(note) && note.verify(call))
        {
            return None;
        }
        // Without a clock: a right that has run out is refused by relays, and the same to all members.
        let certified = self.host.as_ref().is_some_and(|host| {
            !chain_revoked(&host.chain, &record.revoked)
                && chain_end(record.room, &record.founder, &host.chain) == Some(host.signer)
                && host.signer.verify(Label::Void, &claim, &host.signature)
        });
        Some(Word {
            seq: self.seq,
            head: self.head,
            leaves: usize::from(self.leaves),
            by: self.key,
            certified,
            faulted: self.notes.iter().map(|note| (note.leaf, note.key)).collect(),
        })
    }
}

impl Group {
    /// Everybody in our epoch, as far as their word against an entry counts.
    pub(super) fn circle(&self) -> Circle {
        let persons = self.persons();
        let hosts = persons.iter().filter(|person| policy::is_host(&self.state, person)).map(|person| person.key).collect();
        Circle { members: persons.iter().map(|person| (person.leaf, person.key)).collect(), hosts }
    }

    /// Our word that we cannot get past an entry, if it can be taken back at all.
    #[must_use]
    pub fn fault_note(&self) -> Option<FaultNote> {
        let stuck = self.thread.stuck().filter(|_| self.thread.may_void() != Right::Nobody)?;
        Some(FaultNote::sign(&self.signer.0, &self.call, self.me(), stuck.seq, stuck.head))
    }

    /// What an entry says against an earlier one, as far as its signatures hold.
    pub(super) fn word_in(&self, entry: &Entry) -> Option<Word> {
        let header = &entry.header;
        if header.kind != EntryKind::Commit || !self.is_spoken(header) || header.flags != 0 {
            return None;
        }
        let plain = self.access_keys.void.open(&Part::Box.associated(header), entry.epoch_box.bytes()).ok()?;
        let word = VoidWord::decode(&plain.to_vec().into()).ok()?;
        word.verify(&self.call, header.prev_head, &self.record)
    }

    /// Takes back what we are stuck on: by our right as a host, or with the notes of half of the others.
    pub(super) fn draft_void(&self, notes: Vec<FaultNote>) -> Result<Draft, BuildError> {
        let (stuck, own) = self.thread.stuck().zip(self.fault_note()).ok_or_else(|| BuildError::Nothing(Vec::new()))?;
        let circle = self.circle();
        let mut good = vec![own];
        for note in notes {
            let counts = (note.seq, note.head) == (stuck.seq, stuck.head)
                && circle.members.contains(&(note.leaf, note.key))
                && good.iter().all(|other| other.leaf != note.leaf)
                && note.verify(&self.call);
            if counts && good.len() < MAX_FAULT_NOTES {
                good.push(note);
            }
        }
        let as_host = self.authority().is_some();
        if as_host {
            good.clear();
        }
        let mut word = VoidWord {
            seq: stuck.seq,
            head: stuck.head,
            leaves: u16::try_from(self.thread.counted(&circle)).unwrap_or(u16::MAX),
            notes: List::new(good).unwrap_or_default(),
            key: self.my_key(),
            host: None,
            signature: Signature::new([0; 64]),
        };
        let follows = self.thread.position().head;
        word.sign(&self.signer.0, &self.call, follows);
        word.host = self.host_proof(Label::Void, &word.claim(&self.call, follows));
        let holds = word.verify(&self.call, follows, &self.record).map(|word| self.thread.weigh(&word, &circle));
        if holds != Some(Weight::Here) {
            return Err(BuildError::Policy(policy::Refusal::Right));
        }
        let mut draft = Draft::of(super::Action::Void, self.record.generation);
        draft.word = Some(word);
        Ok(draft)
    }
}

//! The keys of one call, chosen by whoever began it: the link alone opens a room again, without its old access secret.

use crate::{
    id::{Generation, Instance, RoomId},
    proof::{Label, Signature, SigningKey, VerifyingKey},
    record::RoomRecord,
    wire::{Wire, Writer, wire_struct},
};

wire_struct! {
    /// Take the place of a record's access and lobby keys in one instance, as long as the generation is the record's.
    ///
    /// Whoever holds the current link may begin a call when nobody is in the room, and with it choose these; the first
    /// record of a later generation ends them.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CallKeys {
        /// The room.
        pub room: RoomId,
        /// The call.
        pub instance: Instance,
        /// Generation of the link that signs.
        pub generation: Generation,
        /// Access key of this call.
        pub access: VerifyingKey,
        /// Lobby key of this call, X25519.
        pub lobby: [u8; 32],
        /// By the join key, over all before it.
        pub signature: Signature,
    }
}

impl CallKeys {
    /// The holder of a link chooses the keys of a call.
    #[must_use]
    pub fn issue(
        join: &SigningKey,
        room: RoomId,
        instance: Instance,
        generation: Generation,
        access: VerifyingKey,
        lobby: [u8; 32],
    ) -> Self {
        let mut keys = Self { room, instance, generation, access, lobby, signature: Signature::new([0; 64]) };
        keys.signature = join.sign(Label::Call, &keys.claim());
        keys
    }

    fn claim(&self) -> Vec<u8> {
        let mut out = Writer::new();
        self.room.put(&mut out);
        self.instance.put(&mut out);
        self.generation.put(&mut out);
        self.access.put(&mut out);
        out.raw(&self.lobby);
        out.into_vec()
    }

    /// Whether a holder of the link of `record`'s generation, or of an earlier one that it still names, chose them for
    /// this call. Only those of the record's own generation hold: see [`RoomRecord::keys`].
    #[must_use]
    pub fn verify(&self, instance: Instance, record: &RoomRecord) -> bool {
        self.room == record.room
            && self.instance == instance
            && record.join_key(self.generation).is_some_and(|join| join.verify(Label::Call, &self.claim(), &self.signature))
    }
}

impl RoomRecord {
    /// The access and lobby key that hold now: the call's while they are of this record's generation, else the record's.
    /// Whoever passes `call` has verified it.
    #[must_use]
    pub fn keys(&self, call: Option<&CallKeys>) -> (VerifyingKey, [u8; 32]) {
        match call {
            Some(call) if call.generation == self.generation => (call.access, call.lobby),
            _ => (self.access, self.lobby),
        }
    }

    /// The join key of a link's generation: the current one, or a retired one that the record still names.
    #[must_use]
    pub fn join_key(&self, generation: Generation) -> Option<&VerifyingKey> {
        if generation == self.generation {
            return Some(&self.join);
        }
        // The last of the list is of the generation before, and so on backwards.
        let back = usize::try_from(self.generation.0.checked_sub(generation.0)?).ok()?;
        self.retired.get(self.retired.len().checked_sub(back)?)
    }
}

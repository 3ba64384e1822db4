//! Handshake logs: one history, durable before anybody hears of it, and for ever after.

use std::collections::{BTreeMap, BTreeSet};

use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    log::Position,
    wire::message::{Entry, EntryHeader, HubHead},
};

/// One log.
type LogName = (RoomId, Instance);

/// What is known of all logs. A head stands for its whole history: it is a hash over it.
#[derive(Default)]
pub struct Logs {
    durable: BTreeMap<LogName, BTreeMap<u64, Head>>,
    acknowledged: BTreeMap<LogName, BTreeMap<u64, Head>>,
    seen: BTreeMap<LogName, BTreeMap<u64, Head>>,
    verified: BTreeSet<[u8; 64]>,
    forgotten: BTreeSet<LogName>,
}

impl Logs {
    /// The store has written an entry for good.
    ///
    /// # Errors
    /// When its place is taken by another one, or it does not follow the entry before it.
    pub fn on_durable(&mut self, header: &EntryHeader) -> Result<(), String> {
        let name = (header.room, header.instance);
        let log = self.durable.entry(name).or_default();
        let before = match header.seq.checked_sub(1) {
            None => Some(Position::START.head),
            Some(before) => log.get(&before).copied(),
        };
        if before != Some(header.prev_head) {
            return Err(format!("entry {} of {:?} was stored and follows no stored entry", header.seq, header.room));
        }
        match log.insert(header.seq, header.head()) {
            Some(other) if other != header.head() => {
                Err(format!("entry {} of {:?} was stored over another one", header.seq, header.room))
            }
            _ => Ok(()),
        }
    }

    /// The hub said that this is its head: to whoever appended it, to a joiner, or to the members.
    ///
    /// # Errors
    /// When the entry is not durable, or another head was stated for the same place.
    pub fn on_stated(&mut self, hub: RelayId, head: &HubHead) -> Result<(), String> {
        if !self.verified.contains(head.signature.as_bytes()) {
            if !head.verify(hub) {
                return Ok(());
            }
            self.verified.insert(*head.signature.as_bytes());
        }
        self.acknowledge((head.room, head.instance), head.seq, head.head)
    }

    /// The hub answered that its log is this long.
    ///
    /// # Errors
    /// As [`Logs::on_stated`].
    pub fn on_position(&mut self, room: RoomId, instance: Instance, seq: u64, head: Head) -> Result<(), String> {
        match seq.checked_sub(1) {
            Some(last) => self.acknowledge((room, instance), last, head),
            None => Ok(()),
        }
    }

    fn acknowledge(&mut self, name: LogName, seq: u64, head: Head) -> Result<(), String> {
        let (room, instance) = (name.0, name.1.0);
        if self.durable.get(&name).and_then(|log| log.get(&seq)) != Some(&head) {
            return Err(format!("entry {seq} of {room:?}, instance {instance}, was acknowledged and is not durable"));
        }
        match self.acknowledged.entry(name).or_default().insert(seq, head) {
            Some(other) if other != head => Err(format!("entry {seq} of {room:?} was acknowledged with two heads")),
            _ => Ok(()),
        }
    }

    /// An entry was sent to somebody as part of the log.
    ///
    /// # Errors
    /// When it is not what it claims, or others were shown another one at its place.
    pub fn on_entry(&mut self, entry: &Entry) -> Result<(), String> {
        let header = &entry.header;
        let (room, seq) = (header.room, header.seq);
        if entry.head.head != header.head() || entry.head.seq != seq {
            return Err(format!("entry {seq} of {room:?} comes with the head of another"));
        }
        if header.body_hash != EntryHeader::body_hash(&entry.commit, &entry.epoch_box, entry.record.as_ref()) {
            return Err(format!("entry {seq} of {room:?} has another body than its header says"));
        }
        let log = self.seen.entry((room, header.instance)).or_default();
        if let Some(before) = seq.checked_sub(1).and_then(|before| log.get(&before))
            && *before != header.prev_head
        {
            return Err(format!("entry {seq} of {room:?} does not follow the one seen before it"));
        }
        match log.insert(seq, header.head()) {
            Some(other) if other != header.head() => Err(format!("entry {seq} of {room:?} was shown in two versions")),
            _ => Ok(()),
        }
    }

    /// The store dropped a log, as the relay asked.
    pub fn on_forgotten(&mut self, room: RoomId, instance: Instance) {
        self.forgotten.insert((room, instance));
    }

    /// A relay starts again from what its store holds of a room's call.
    ///
    /// # Errors
    /// When an acknowledged entry is missing, or the chain is broken.
    pub fn on_restored<'a>(
        &mut self,
        room: RoomId,
        instance: Instance,
        entries: impl IntoIterator<Item = &'a EntryHeader>,
    ) -> Result<(), String> {
        let mut position = Position::START;
        let mut heads = BTreeMap::new();
        for header in entries {
            heads.insert(header.seq, header.head());
            position = position.advance(header).map_err(|error| format!("the restored log of {room:?}: {error}"))?;
        }
        let acknowledged = self.acknowledged.get(&(room, instance)).into_iter().flatten();
        let lost = acknowledged.into_iter().find(|(seq, head)| heads.get(seq) != Some(head)).map(|(seq, _)| *seq);
        self.durable.insert((room, instance), heads);
        match lost {
            Some(seq) => Err(format!("entry {seq} of {room:?} was acknowledged and is lost")),
            None => Ok(()),
        }
    }

    /// Every acknowledged entry of a log that still exists is durable. For the end, when nothing restarts any more.
    ///
    /// # Errors
    /// When one is not.
    pub fn check_all(&self) -> Result<(), String> {
        for (name, log) in &self.acknowledged {
            if self.forgotten.contains(name) {
                continue;
            }
            for (seq, head) in log {
                if self.durable.get(name).and_then(|log| log.get(seq)) != Some(head) {
                    return Err(format!("entry {seq} of {:?} was acknowledged and is lost", name.0));
                }
            }
        }
        Ok(())
    }

    /// Entries that were acknowledged, in all logs.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.values().map(BTreeMap::len).sum()
    }

    /// Logs of which something was acknowledged.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.acknowledged.len()
    }
}

//! A report: some messages with the proof of who said them, and nothing that opens anything else.
//!
//! A document of JSON that needs no key to be checked: `PROTOCOL.md` has the format, [`verify`] the rules. What is in it, and
//! why it has to be: the messages with their signatures; the leaf keys that signed; room and call, because signatures are bound
//! to them, or words said in one room could be shown as said in another; the room's public record, which names the hub; and the
//! hub's stamp, because leaf keys are made public when a call ends: what has no stamp could have been written by anybody since.
//! What is not in it: who reports, anybody else's name, a secret of the room. [`Admitted`] adds the key that opens one entry of
//! the hub's log, if the reporter has it, so that the hub's operator can see in their own copy that the leaf was in that room.

mod entry;
mod json;

use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, RelayId, RoomId},
    proof::{VerifyingKey, sha256},
    record::RoomRecord,
    wire::{Blob, List, Text, Wire, Writer, message::Stamped},
};

pub use self::entry::{EntryError, find_in_entry};
use crate::{
    api::{Command, Profile},
    chat::{Message, Scene},
    wire::wire_struct,
};

/// Most messages in one report.
pub const MAX_MESSAGES: usize = 32;

/// Longest note, in bytes of UTF-8.
pub const MAX_NOTE: usize = 2_000;

/// Longest document that is looked at.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// A signed message: head, words, signature.
const MAX_SIGNED: usize = Command::MAX_CHAT + 256;

wire_struct! {
    /// How the hub's operator can see that a leaf was in the room.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Admitted {
        /// The entry of the hub's log that brought the leaf in.
        pub seq: u64,
        /// The log's head with it.
        pub head: Head,
        /// `MS` of the epoch before: opens this entry's commit, and no media, chat or other epoch's entry.
        pub key: [u8; 32],
    }
}

wire_struct! {
    /// One message.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Item {
        /// The leaf key that signed.
        pub(crate) author: VerifyingKey,
        /// Its leaf.
        pub(crate) leaf: u16,
        /// What the author called themselves, by the reporter's word.
        pub(crate) name: Text<{ Profile::MAX_NAME }>,
        /// As it was signed.
        pub(crate) signed: Blob<MAX_SIGNED>,
        /// How to find the leaf in the log.
        pub(crate) admitted: Option<Admitted>,
    }
}

wire_struct! {
    /// All that a report says: the hub stamps the hash of these bytes.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Evidence {
        /// The room.
        pub(crate) room: RoomId,
        /// The call.
        pub(crate) instance: Instance,
        /// The room's record: names the hub, and is public.
        pub(crate) record: RoomRecord,
        /// What is reported.
        pub(crate) items: List<Item, MAX_MESSAGES>,
        /// The reporter's words.
        pub(crate) note: Text<MAX_NOTE>,
    }
}

impl Evidence {
    /// What the hub is asked to stamp.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut out = Writer::new();
        self.put(&mut out);
        sha256(&[b"conclave/1 report", &out.into_vec()])
    }

    /// The hub that may stamp it.
    pub(crate) fn hub(&self) -> Option<RelayId> {
        self.record.hub().map(|hub| hub.relay)
    }

    /// As a document.
    pub(crate) fn document(&self, stamp: Option<&Stamped>) -> Vec<u8> {
        json::write(self, stamp)
    }
}

/// A message whose author is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The leaf key that signed it: fresh for that call, the same for all that its owner said in it.
    pub author: VerifyingKey,
    /// What they called themselves, by the reporter's word; the entry that let them in proves it ([`find_in_entry`]).
    pub name: String,
    /// The message's own name.
    pub id: [u8; 16],
    /// The author's clock, milliseconds since 1970.
    pub unix_ms: u64,
    /// The words.
    pub text: String,
    /// How the hub's operator can see that the author was in the room.
    pub admitted: Option<Admitted>,
}

/// What a report proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// In which room.
    pub room: RoomId,
    /// In which call of it.
    pub instance: Instance,
    /// The room's hub, which stamped it.
    pub hub: RelayId,
    /// When, by the hub's clock, milliseconds since 1970: the call was on, and no leaf key of it had been made public.
    pub stamped_ms: u64,
    /// What was said.
    pub messages: Vec<Said>,
    /// The reporter's words.
    pub note: String,
}

/// Why a document proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReportError {
    /// Not a report.
    #[error("this is not a report: {0}")]
    NotReport(&'static str),
    /// What is written for readers is not what was signed.
    #[error("message {0} of the report reads differently from what its author signed")]
    Altered(usize),
    /// A signature that does not verify.
    #[error("message {0} of the report was not signed by that key in that call")]
    Signature(usize),
    /// The record is not the room's.
    #[error("the record in the report is not that of the room")]
    Record,
    /// The hub's word is missing.
    #[error("not stamped while the call lasted: keys are made public when a call ends, so anybody may have written this since")]
    NotStamped,
    /// The hub's word does not verify.
    #[error("the stamp is not the hub's word for this report: something in it was changed, or somebody else made it")]
    Stamp,
}

/// Checks a report, with no key and no network. What it says is proved as [`Verified`] has it; everything else is an error.
///
/// # Errors
/// Says what is wrong with it.
pub fn verify(document: &[u8]) -> Result<Verified, ReportError> {
    if document.len() > MAX_DOCUMENT {
        return Err(ReportError::NotReport("it is longer than 1 MiB"));
    }
    let (evidence, written, stamp) = json::read(document)?;
    if evidence.record.verify_signed(evidence.room).is_err() {
        return Err(ReportError::Record);
    }
    let hub = evidence.hub().ok_or(ReportError::Record)?;
    let scene = Scene { room: evidence.room, instance: evidence.instance };
    let mut messages = Vec::new();
    for (at, (item, written)) in evidence.items.iter().zip(written).enumerate() {
        let number = at + 1;
        let message = signed(item, scene).ok_or(ReportError::Signature(number))?;
        if (message.id, message.unix_ms, message.text.as_str()) != (written.id, written.unix_ms, written.text.as_str()) {
            return Err(ReportError::Altered(number));
        }
        messages.push(Said {
            author: item.author,
            name: item.name.as_str().to_owned(),
            id: message.id,
            unix_ms: message.unix_ms,
            text: written.text,
            admitted: item.admitted.clone(),
        });
    }
    if messages.is_empty() {
        return Err(ReportError::NotReport("it has no message"));
    }
    let stamp = stamp.ok_or(ReportError::NotStamped)?;
    if !stamp.verify(hub, evidence.room, evidence.instance, &evidence.digest()) {
        return Err(ReportError::Stamp);
    }
    let note = evidence.note.as_str().to_owned();
    Ok(Verified { room: evidence.room, instance: evidence.instance, hub, stamped_ms: stamp.time, messages, note })
}

fn signed(item: &Item, scene: Scene) -> Option<Message> {
    let bytes: Bytes = item.signed.bytes().clone();
    Message::verify(&bytes, scene, &item.author).ok()
}

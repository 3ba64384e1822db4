//! The spelling of a report: JSON with base64, one spelling of each report. Whatever is not in the format is refused.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use conclave_federation::{
    id::{Head, Instance, RoomId},
    proof::{Signature, VerifyingKey},
    wire::{Blob, List, Text, Wire, message::Stamped},
};
use serde::{Deserialize, Serialize};

use super::{Admitted, Evidence, Item, ReportError};
use crate::chat::read_unverified;

/// The first words of every report.
const FORMAT: &str = "conclave report 1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    room: String,
    instance: u32,
    record: String,
    messages: Vec<Written>,
    note: String,
    stamp: Option<Seal>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    author: String,
    leaf: u16,
    name: String,
    id: String,
    time_ms: u64,
    text: String,
    signed: String,
    admitted: Option<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    seq: u64,
    head: String,
    entry_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    time_ms: u64,
    signature: String,
}

/// What the document shows to readers of a message: has to be what was signed.
pub(super) struct Shown {
    pub(super) id: [u8; 16],
    pub(super) unix_ms: u64,
    pub(super) text: String,
}

/// As a document.
pub(super) fn write(evidence: &Evidence, stamp: Option<&Stamped>) -> Vec<u8> {
    let written = |item: &Item| {
        let said = read_unverified(item.signed.bytes());
        Written {
            author: STANDARD.encode(item.author.as_bytes()),
            leaf: item.leaf,
            name: item.name.as_str().to_owned(),
            id: said.as_ref().map(|said| STANDARD.encode(said.id)).unwrap_or_default(),
            time_ms: said.as_ref().map_or(0, |said| said.unix_ms),
            text: said.map(|said| said.text.as_str().to_owned()).unwrap_or_default(),
            signed: STANDARD.encode(item.signed.bytes()),
            admitted: item.admitted.as_ref().map(|admitted| Entry {
                seq: admitted.seq,
                head: STANDARD.encode(admitted.head.as_bytes()),
                entry_key: STANDARD.encode(admitted.key),
            }),
        }
    };
    let document = Document {
        format: FORMAT.to_owned(),
        room: STANDARD.encode(evidence.room.as_bytes()),
        instance: evidence.instance.0,
        record: STANDARD.encode(evidence.record.encode()),
        messages: evidence.items.iter().map(written).collect(),
        note: evidence.note.as_str().to_owned(),
        stamp: stamp.map(|stamp| Seal { time_ms: stamp.time, signature: STANDARD.encode(stamp.signature.as_bytes()) }),
    };
    // A struct of strings and numbers has a spelling.
    serde_json::to_vec_pretty(&document).unwrap_or_default()
}

/// The parts of a document.
pub(super) fn read(document: &[u8]) -> Result<(Evidence, Vec<Shown>, Option<Stamped>), ReportError> {
    let document: Document =
        serde_json::from_slice(document).map_err(|_| ReportError::NotReport("its JSON is not that of a report"))?;
    if document.format != FORMAT {
        return Err(ReportError::NotReport("its format is not known"));
    }
    let record = Wire::decode(&bytes(&document.record)?).map_err(|_| ReportError::Record)?;
    let mut items = Vec::new();
    let mut shown = Vec::new();
    for written in document.messages {
        let admitted = written.admitted.map(|entry| {
            let (head, key) = (Head::new(fixed(&entry.head)?), fixed(&entry.entry_key)?);
            Ok::<_, ReportError>(Admitted { seq: entry.seq, head, key })
        });
        items.push(Item {
            author: VerifyingKey::new(fixed(&written.author)?),
            leaf: written.leaf,
            name: text(&written.name)?,
            signed: Blob::new(bytes(&written.signed)?).ok_or(ReportError::NotReport("a message is too long"))?,
            admitted: admitted.transpose()?,
        });
        shown.push(Shown { id: fixed(&written.id)?, unix_ms: written.time_ms, text: written.text });
    }
    let evidence = Evidence {
        room: RoomId::new(fixed(&document.room)?),
        instance: Instance(document.instance),
        record,
        items: List::new(items).ok_or(ReportError::NotReport("it has too many messages"))?,
        note: text(&document.note)?,
    };
    let stamp = document.stamp.map(|seal| {
        let signature = Signature::new(fixed(&seal.signature)?);
        Ok::<_, ReportError>(Stamped { time: seal.time_ms, signature })
    });
    Ok((evidence, shown, stamp.transpose()?))
}

fn bytes(text: &str) -> Result<Bytes, ReportError> {
    STANDARD.decode(text).map(Bytes::from).map_err(|_| ReportError::NotReport("its base64 is damaged"))
}

fn fixed<const N: usize>(text: &str) -> Result<[u8; N], ReportError> {
    bytes(text)?.as_ref().try_into().map_err(|_| ReportError::NotReport("a field has the wrong length"))
}

fn text<const MAX: usize>(text: &str) -> Result<Text<MAX>, ReportError> {
    if text.len() > MAX {
        return Err(ReportError::NotReport("a text is too long"));
    }
    Ok(Text::cut(text))
}

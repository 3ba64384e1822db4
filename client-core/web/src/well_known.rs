//! What a relay says of itself at `/.well-known/conclave`: only the signed bytes in it are believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use conclave_federation::well_known::{WellKnown, WellKnownError};
use serde::Deserialize;

/// Longest document: the signed bytes in base64, and as much again for people.
const MAX_DOCUMENT: usize = 16 * 1024;

/// The one member that matters.
#[derive(Deserialize)]
struct Document {
    signed: String,
}

/// Why a document is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Not JSON, without the signed part, or far too long.
    #[error("what answers there is no Conclave relay: check the address")]
    Shape,
    /// See there.
    #[error(transparent)]
    Signed(#[from] WellKnownError),
}

/// Reads the document and checks it for this moment.
pub(crate) fn read(json: &str, unix_ms: u64) -> Result<WellKnown, DocumentError> {
    if json.len() > MAX_DOCUMENT {
        return Err(DocumentError::Shape);
    }
    let Document { signed } = serde_json::from_str(json).map_err(|_| DocumentError::Shape)?;
    let signed = URL_SAFE_NO_PAD.decode(signed).map_err(|_| DocumentError::Shape)?;
    Ok(WellKnown::read(&Bytes::from(signed), unix_ms)?)
}

#[cfg(test)]
mod tests {
    use conclave_federation::{
        id::RelayId,
        proof::SigningKey,
        record::RelayDescriptor,
        wire::{List, Wire},
    };

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn document() -> String {
        let (operator, relay) = (SigningKey::from_seed([1; 32]), SigningKey::from_seed([2; 32]));
        let descriptor =
            RelayDescriptor::issue(&operator, RelayId::new(*relay.verifying_key().as_bytes()), "Alder", List::default());
        let hashes = List::new(vec![[7; 32]]).expect("one fits");
        let signed = WellKnown::issue(&relay, descriptor, NOW, NOW + 3_600_000, hashes).encode();
        format!(r#"{{ "operator_name": "somebody else", "signed": "{}" }}"#, URL_SAFE_NO_PAD.encode(&signed))
    }

    #[test]
    fn the_signed_part_is_believed_and_nothing_else() {
        let read = read(&document(), NOW).expect("it is signed");
        assert_eq!(read.descriptor.operator_name.as_str(), "Alder");
        assert_eq!(read.certificates.first(), Some(&[7; 32]));
    }

    #[test]
    fn what_is_old_changed_or_no_document_is_refused_with_a_sentence() {
        assert_eq!(read(&document(), NOW + 86_400_000), Err(DocumentError::Signed(WellKnownError::Expired)));
        let signed = document().rfind('A').expect("base64 has one");
        let mut changed = document();
        changed.replace_range(signed..=signed, "B");
        assert!(matches!(read(&changed, NOW), Err(DocumentError::Signed(_))));
        for no_document in ["", "<html>", "{}", r#"{"signed":"!"}"#, &" ".repeat(MAX_DOCUMENT + 1)] {
            assert_eq!(read(no_document, NOW), Err(DocumentError::Shape));
        }
    }
}

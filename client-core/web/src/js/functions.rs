//! What needs no room: a relay's document, a link, the version.

use wasm_bindgen::{JsError, JsValue, prelude::wasm_bindgen};

use super::record::{Record, bytes, list};
use crate::{start, well_known};

/// Reads a relay's `/.well-known/conclave`, and believes what is signed in it. Throws an `Error` with a sentence when it is
/// not signed, too old, or something else.
#[wasm_bindgen(js_name = readWellKnown, unchecked_return_type = "WellKnown")]
pub fn read_well_known(json: &str, unix: f64) -> Result<JsValue, JsError> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and what is no number is 0")]
    let read = well_known::read(json, unix as u64)?;
    let relay = &read.descriptor;
    Ok(Record::new()
        .with("relay", relay.relay.to_hex())
        .with("operator", relay.operator.to_hex())
        .with("operatorName", relay.operator_name.as_str())
        .with("addresses", list(relay.addresses.iter(), |address| address.as_str().into()))
        .with("certificateHashes", list(read.certificates.iter(), |hash| bytes(hash).into()))
        .done())
}

/// Reads a room's link, without its secret. Throws an `Error` with a sentence when it is none.
#[wasm_bindgen(js_name = readLink, unchecked_return_type = "LinkParts")]
pub fn read_link(text: &str) -> Result<JsValue, JsError> {
    let link = start::link(text)?;
    let hub = |hub: &conclave_client_core::link::HubHint| {
        Record::new().with("relay", super::items::hex(&hub.relay)).with("address", &hub.address).done()
    };
    Ok(Record::new().with("host", &link.host).with("room", link.room.short()).with("hubs", list(&link.hubs, hub)).done())
}

/// The version of this module.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

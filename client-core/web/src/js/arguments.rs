//! What JavaScript passes: looked at member by member, and answered with a sentence when it is something else.

use conclave_client_core::api::Media;
use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsError, JsValue};

use super::names;
use crate::start::Start;

/// An argument that is an object.
struct Members<'a> {
    of: &'a JsValue,
    what: &'static str,
}

impl Members<'_> {
    fn value(&self, name: &str) -> JsValue {
        // What has no members has none of this name either.
        Reflect::get(self.of, &name.into()).unwrap_or(JsValue::UNDEFINED)
    }

    fn text(&self, name: &str) -> Result<String, JsError> {
        self.value(name).as_string().ok_or_else(|| self.wrong(name, "a string"))
    }

    fn number<T: TryFrom<u32>>(&self, name: &str) -> Result<T, JsError> {
        let number = self.value(name).as_f64().filter(|number| number.fract() == 0.0 && (0.0..=4_294_967_295.0).contains(number));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number that fits")]
        let number = number.map(|number| number as u32);
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| self.wrong(name, "a small whole number"))
    }

    fn wrong(&self, name: &str, wanted: &str) -> JsError {
        JsError::new(&format!("`{name}` of {} has to be {wanted}", self.what))
    }
}

/// Reads a `Start`.
pub(super) fn start(value: &JsValue) -> Result<Start, JsError> {
    let members = Members { of: value, what: "the start" };
    let mut start =
        Start { name: members.text("name")?, relay: members.text("relay")?, address: members.text("address")?, seed: [0; 32] };
    let seed = members.value("seed").dyn_into::<Uint8Array>().ok().filter(|seed| seed.length() == 32);
    seed.ok_or_else(|| members.wrong("seed", "a Uint8Array of 32 bytes"))?.copy_to(&mut start.seed);
    Ok(start)
}

/// Reads a `Media`.
pub(super) fn media(value: &JsValue) -> Result<Media, JsError> {
    let members = Members { of: value, what: "the media" };
    Ok(Media {
        kind: names::kind_of(&members.text("kind")?).map_err(|words| JsError::new(&words))?,
        codec: names::codec_of(&members.text("codec")?).map_err(|words| JsError::new(&words))?,
        label: members.text("label")?,
        width: members.number("width")?,
        height: members.number("height")?,
        layers: members.number("layers")?,
    })
}

//! The class `Core`: what a worker sees of a participant.

use wasm_bindgen::prelude::*;
use js_sys::Array;

/// A participant. Everything answers at once; every call takes the time first: `now` as of `performance.now()`, `unix` as
/// of `Date.now()`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {}

#[wasm_bindgen]
impl Core {
    /// Enters the room of a link.
    pub fn join(link: &str, #[wasm_bindgen(unchecked_param_type = "Start")] start: JsValue) -> Result<Self, JsError> {
        let _ = (link, start);
        Ok(Self {})
    }

    /// Founds a room and enters it; the event `created` has its link.
    pub fn create(
        title: &str,
        #[wasm_bindgen(js_name = maxMembers)] max_members: u32,
        #[wasm_bindgen(unchecked_param_type = "Start")] start: JsValue,
    ) -> Result<Self, JsError> {
        let _ = (title, max_members, start);
        Ok(Self {})
    }

    /// All that is to be done and told now, in order.
    #[wasm_bindgen(unchecked_return_type = "Item[]")]
    pub fn poll(&mut self, now: f64, unix: f64) -> Array {
        let _ = (now, unix);
        Array::new()
    }

    /// When `poll` has to be called again at the latest, milliseconds on the `now` line.
    pub fn wait(&self) -> Option<f64> {
        None
    }

    /// The relay was reached; gives the session's number.
    pub fn connected(
        &mut self,
        now: f64,
        unix: f64,
        dial: u32,
        #[wasm_bindgen(unchecked_param_type = "Transport")] transport: &str,
    ) -> Result<u32, JsError> {
        let _ = (now, unix, dial, transport);
        Ok(0)
    }

    /// The relay was not reached.
    #[wasm_bindgen(js_name = dialFailed)]
    pub fn dial_failed(&mut self, now: f64, unix: f64, dial: u32, #[wasm_bindgen(unchecked_param_type = "DialError")] why: &str) {
        let _ = (now, unix, dial, why);
    }

    /// The relay opened a stream; gives its number.
    #[wasm_bindgen(js_name = streamIn)]
    pub fn stream_in(&mut self, session: u32, bidi: bool) -> u32 {
        let _ = (session, bidi);
        0
    }

    /// The next bytes of a stream.
    pub fn data(&mut self, now: f64, unix: f64, session: u32, stream: u32, bytes: Vec<u8>, fin: bool) {
        let _ = (now, unix, session, stream, bytes, fin);
    }

    /// The relay gave up sending on a stream.
    #[wasm_bindgen(js_name = resetIn)]
    pub fn reset_in(&mut self, now: f64, unix: f64, session: u32, stream: u32, code: u32) {
        let _ = (now, unix, session, stream, code);
    }

    /// The relay does not want the rest of what we send on a stream.
    #[wasm_bindgen(js_name = stoppedIn)]
    pub fn stopped_in(&mut self, now: f64, unix: f64, session: u32, stream: u32, code: u32) {
        let _ = (now, unix, session, stream, code);
    }

    /// A whole datagram.
    pub fn datagram(&mut self, now: f64, unix: f64, session: u32, bytes: Vec<u8>) {
        let _ = (now, unix, session, bytes);
    }

    /// The writer took so many bytes of a "send".
    pub fn sent(&mut self, now: f64, unix: f64, session: u32, stream: u32, bytes: u32) {
        let _ = (now, unix, session, stream, bytes);
    }

    /// The transport took so many datagrams.
    #[wasm_bindgen(js_name = datagramsSent)]
    pub fn datagrams_sent(&mut self, now: f64, unix: f64, session: u32, count: u32) {
        let _ = (now, unix, session, count);
    }

    /// A WebSocket message came.
    pub fn message(&mut self, now: f64, unix: f64, session: u32, bytes: Vec<u8>) {
        let _ = (now, unix, session, bytes);
    }

    /// So many bytes of "message"s left.
    #[wasm_bindgen(js_name = messageSent)]
    pub fn message_sent(&mut self, now: f64, unix: f64, session: u32, bytes: u32) {
        let _ = (now, unix, session, bytes);
    }

    /// A session is over: closed by the relay with a code, or lost without one.
    pub fn closed(&mut self, now: f64, unix: f64, session: u32, code: Option<u32>, words: &str) {
        let _ = (now, unix, session, code, words);
    }

    /// Announces a track; `local` is the application's own number for it.
    pub fn publish(
        &mut self,
        now: f64,
        unix: f64,
        local: u32,
        #[wasm_bindgen(unchecked_param_type = "Media")] media: JsValue,
    ) -> Result<(), JsError> {
        let _ = (now, unix, local, media);
        Ok(())
    }

    /// Ends a track.
    pub fn unpublish(&mut self, now: f64, unix: f64, local: u32) {
        let _ = (now, unix, local);
    }

    /// Says whether a track is muted.
    pub fn mute(&mut self, now: f64, unix: f64, local: u32, muted: bool) {
        let _ = (now, unix, local, muted);
    }

    /// Sends one encoded frame.
    #[allow(clippy::too_many_arguments, reason = "an object for each of fifty frames a second would be thrown away at once")]
    pub fn write(
        &mut self,
        now: f64,
        unix: f64,
        local: u32,
        bytes: Vec<u8>,
        #[wasm_bindgen(js_name = capturedUs)] captured_us: f64,
        key: bool,
        layer: u32,
    ) {
        let _ = (now, unix, local, bytes, captured_us, key, layer);
    }

    /// Says something to everybody.
    pub fn chat(&mut self, now: f64, unix: f64, text: String) {
        let _ = (now, unix, text);
    }

    /// Asks the publisher of a track for a key frame.
    #[wasm_bindgen(js_name = requestKeyFrame)]
    pub fn request_key_frame(&mut self, now: f64, unix: f64, participant: u32, track: u64) {
        let _ = (now, unix, participant, track);
    }

    /// Leaves; answered by the event `ended`.
    pub fn leave(&mut self, now: f64, unix: f64) {
        let _ = (now, unix);
    }

    /// What was counted so far.
    #[wasm_bindgen(unchecked_return_type = "Stats")]
    pub fn stats(&self) -> JsValue {
        JsValue::UNDEFINED
    }
}

/// Reads a relay's `/.well-known/conclave`.
#[wasm_bindgen(js_name = readWellKnown, unchecked_return_type = "WellKnown")]
pub fn read_well_known(json: &str, unix: f64) -> Result<JsValue, JsError> {
    let _ = (json, unix);
    Ok(JsValue::UNDEFINED)
}

/// Reads a room's link.
#[wasm_bindgen(js_name = readLink, unchecked_return_type = "LinkParts")]
pub fn read_link(text: &str) -> Result<JsValue, JsError> {
    let _ = text;
    Ok(JsValue::UNDEFINED)
}

/// The version of this module.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

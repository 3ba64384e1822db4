//! The class `Core`: what a worker sees of a participant. Every method hands on to [`Call`]; nothing is decided here.

use bytes::Bytes;
use conclave_client_core::api::{Command, LocalTrack, OutFrame, ParticipantId, RequestId};
use conclave_federation::{
    io::{Closed, SessionKey, StreamKey},
    limits::MAX_WORDS,
    wire::code::Code,
};
use js_sys::Array;
use wasm_bindgen::{JsError, JsValue, prelude::wasm_bindgen};

use super::{arguments, items, names};
use crate::call::{Call, Time};

/// A participant. Everything answers at once. Most calls take the time first: `now` as of `performance.now()`, `unix` as of
/// `Date.now()`. After any of them it is time to `poll`.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    call: Call,
}

const fn time(now: f64, unix: f64) -> Time {
    Time { now, unix }
}

fn session(number: u32) -> SessionKey {
    SessionKey(u64::from(number))
}

fn stream(number: u32) -> StreamKey {
    StreamKey(u64::from(number))
}

/// What does not fit is no code of ours.
fn code(number: u32) -> Code {
    Code(u16::try_from(number).unwrap_or(u16::MAX))
}

/// A number of ours as JavaScript has them: they are given out as `u32`.
fn small(number: u64) -> Result<u32, JsError> {
    u32::try_from(number).map_err(|_| JsError::new("all numbers were used: load the page again"))
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[wasm_bindgen]
impl Core {
    /// Enters the room of a link. Throws an `Error` with a sentence.
    pub fn join(link: &str, #[wasm_bindgen(unchecked_param_type = "Start")] start: &JsValue) -> Result<Self, JsError> {
        Ok(Self { call: Call::join(link, &arguments::start(start)?)? })
    }

    /// Founds a room and enters it; the event `created` has its link. Throws an `Error` with a sentence.
    pub fn create(
        title: &str,
        #[wasm_bindgen(js_name = maxMembers)] max_members: u32,
        #[wasm_bindgen(unchecked_param_type = "Start")] start: &JsValue,
    ) -> Result<Self, JsError> {
        Ok(Self { call: Call::create(title, max_members, &arguments::start(start)?)? })
    }

    /// All that is to be done and told now, in order.
    #[wasm_bindgen(unchecked_return_type = "Item[]")]
    pub fn poll(&mut self, now: f64, unix: f64) -> Array {
        self.call.poll(time(now, unix)).into_iter().map(items::item).collect()
    }

    /// When `poll` has to be called again at the latest, milliseconds on the `now` line; as of the last `poll`.
    pub fn wait(&self) -> Option<f64> {
        self.call.wait()
    }

    /// An attempt led to a session; its number. What it has to do first comes out of `poll`.
    pub fn connected(
        &mut self,
        now: f64,
        unix: f64,
        dial: u32,
        #[wasm_bindgen(unchecked_param_type = "Transport")] transport: &str,
    ) -> Result<u32, JsError> {
        let transport = names::transport_of(transport).map_err(|words| JsError::new(&words))?;
        let session = self.call.connected(time(now, unix), dial, transport);
        small(session.map_or(u64::MAX, |session| session.0))
    }

    /// An attempt came to nothing.
    #[wasm_bindgen(js_name = dialFailed)]
    pub fn dial_failed(
        &mut self,
        now: f64,
        unix: f64,
        dial: u32,
        #[wasm_bindgen(unchecked_param_type = "DialError")] why: &str,
    ) -> Result<(), JsError> {
        let why = names::dial_error_of(why).map_err(|words| JsError::new(&words))?;
        self.call.dial_failed(time(now, unix), dial, why);
        Ok(())
    }

    /// The relay opened a stream of WebTransport; its number. Throws when there is no such session.
    #[wasm_bindgen(js_name = streamIn)]
    pub fn stream_in(&mut self, #[wasm_bindgen(js_name = session)] of: u32, bidi: bool) -> Result<u32, JsError> {
        let stream = self.call.stream_in(session(of), bidi);
        stream.map_or_else(
            || Err(JsError::new("there is no session of that number with streams of its own")),
            |stream| small(stream.0),
        )
    }

    /// The next bytes of a stream.
    pub fn data(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(js_name = stream)] on: u32,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: Vec<u8>,
        fin: bool,
    ) {
        self.call.data(time(now, unix), session(of), stream(on), Bytes::from(bytes), fin);
    }

    /// The relay gave up sending on a stream.
    #[wasm_bindgen(js_name = resetIn)]
    pub fn reset_in(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(js_name = stream)] on: u32,
        #[wasm_bindgen(js_name = code)] why: u32,
    ) {
        self.call.reset_in(time(now, unix), session(of), stream(on), code(why));
    }

    /// The relay does not want the rest of what we send on a stream.
    #[wasm_bindgen(js_name = stoppedIn)]
    pub fn stopped_in(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(js_name = stream)] on: u32,
        #[wasm_bindgen(js_name = code)] why: u32,
    ) {
        self.call.stopped_in(time(now, unix), session(of), stream(on), code(why));
    }

    /// A whole datagram.
    pub fn datagram(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: Vec<u8>,
    ) {
        self.call.datagram(time(now, unix), session(of), Bytes::from(bytes));
    }

    /// The writer took so many bytes of a `send`.
    pub fn sent(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(js_name = stream)] on: u32,
        bytes: u32,
    ) {
        self.call.sent(time(now, unix), session(of), stream(on), usize_of(bytes));
    }

    /// The transport took so many datagrams, or threw them away.
    #[wasm_bindgen(js_name = datagramsSent)]
    pub fn datagrams_sent(&mut self, now: f64, unix: f64, #[wasm_bindgen(js_name = session)] of: u32, count: u32) {
        self.call.datagrams_sent(time(now, unix), session(of), usize_of(count));
    }

    /// A WebSocket message came.
    pub fn message(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: Vec<u8>,
    ) {
        self.call.message(time(now, unix), session(of), &Bytes::from(bytes));
    }

    /// So many bytes of `message`s have left the WebSocket's buffer.
    #[wasm_bindgen(js_name = messageSent)]
    pub fn message_sent(&mut self, now: f64, unix: f64, #[wasm_bindgen(js_name = session)] of: u32, bytes: u32) {
        self.call.message_sent(time(now, unix), session(of), usize_of(bytes));
    }

    /// A session is over: closed by the relay with a code, or lost without one. Not for what a `close` asked for.
    pub fn closed(
        &mut self,
        now: f64,
        unix: f64,
        #[wasm_bindgen(js_name = session)] of: u32,
        #[wasm_bindgen(js_name = code)] by_remote: Option<u32>,
        words: &str,
    ) {
        let why = match by_remote {
            Some(by_remote) => {
                let words = words.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
                Closed::ByRemote(code(by_remote), words)
            }
            None => Closed::Lost,
        };
        self.call.closed(time(now, unix), session(of), why);
    }

    /// Announces a track, or says something else of one; `local` is the application's own number for it. Throws an `Error`
    /// with a sentence.
    pub fn publish(
        &mut self,
        now: f64,
        unix: f64,
        local: u32,
        #[wasm_bindgen(unchecked_param_type = "Media")] media: &JsValue,
    ) -> Result<(), JsError> {
        self.call.publish(time(now, unix), local, arguments::media(media)?);
        Ok(())
    }

    /// Ends a track.
    pub fn unpublish(&mut self, now: f64, unix: f64, local: u32) {
        self.call.command(time(now, unix), Command::Unpublish { track: LocalTrack(local) });
    }

    /// Says whether a track is muted; whether frames are written meanwhile is the application's matter.
    pub fn mute(&mut self, now: f64, unix: f64, local: u32, muted: bool) {
        self.call.command(time(now, unix), Command::Mute { track: LocalTrack(local), muted });
    }

    /// Sends one encoded frame; `capturedUs` in microseconds since 1970.
    #[allow(clippy::too_many_arguments, reason = "an object for each of fifty frames a second would be thrown away at once")]
    pub fn write(
        &mut self,
        now: f64,
        unix: f64,
        local: u32,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] bytes: Vec<u8>,
        #[wasm_bindgen(js_name = capturedUs)] captured_us: f64,
        key: bool,
        layer: u8,
    ) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and what is no number is 0")]
        let captured_us = captured_us as u64;
        self.call.write(time(now, unix), local, OutFrame { data: Bytes::from(bytes), captured_us, key, layer, level: 0 });
    }

    /// Says something to everybody, at most 4 KiB of UTF-8.
    pub fn chat(&mut self, now: f64, unix: f64, text: String) {
        self.call.command(time(now, unix), Command::Chat { text });
    }

    /// Puts together a report of messages, by their ids in hexadecimal; answered by `reportReady`. Ids that are none are passed over.
    pub fn report(&mut self, now: f64, unix: f64, messages: Vec<String>, note: String) {
        let messages = messages.iter().filter_map(|id| RequestId::parse(id)).map(|id| *id.id().as_bytes()).collect();
        self.call.command(time(now, unix), Command::Report { messages, note });
    }

    /// Receives no pictures of somebody, or receives them again; nobody is told.
    pub fn hide(&mut self, now: f64, unix: f64, participant: u32, hidden: bool) {
        let participant = ParticipantId::from_number(participant);
        self.call.command(time(now, unix), Command::Hide { participant, hidden });
    }

    /// Receives no sound of somebody, or receives it again; nobody is told.
    #[wasm_bindgen(js_name = muteLocally)]
    pub fn mute_locally(&mut self, now: f64, unix: f64, participant: u32, muted: bool) {
        let participant = ParticipantId::from_number(participant);
        self.call.command(time(now, unix), Command::MuteLocally { participant, muted });
    }

    /// Receives nothing of somebody, or receives it again; nobody is told.
    pub fn block(&mut self, now: f64, unix: f64, participant: u32, blocked: bool) {
        let participant = ParticipantId::from_number(participant);
        self.call.command(time(now, unix), Command::Block { participant, blocked });
    }

    /// Asks the publisher of a track for a key frame.
    #[wasm_bindgen(js_name = requestKeyFrame)]
    pub fn request_key_frame(&mut self, now: f64, unix: f64, participant: u32, track: u64) {
        self.call.request_key_frame(time(now, unix), participant, track);
    }

    /// Leaves; answered by the event `ended`.
    pub fn leave(&mut self, now: f64, unix: f64) {
        self.call.command(time(now, unix), Command::Leave);
    }

    /// What was counted so far.
    #[wasm_bindgen(unchecked_return_type = "Stats")]
    pub fn stats(&self) -> JsValue {
        let (stats, blocked) = self.call.stats();
        items::stats(stats, blocked)
    }
}

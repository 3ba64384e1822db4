//! What the worker is to do and is told, as the objects of `types.d.ts`.

use std::time::Duration;

use conclave_client_core::api::{self, Carrier, Departure, Ended, InFrame, Participant, Presence, RemoteTrack, Stats};
use conclave_federation::io::SessionKey;
use wasm_bindgen::JsValue;

use super::{
    names,
    record::{Record, bytes, joined, list, number},
};
use crate::{call::Item, deed::Deed, frames::Played};

/// One item.
pub(super) fn item(item: Item) -> JsValue {
    match item {
        Item::Dial(dial) => Record::deed("dial").with("dial", dial),
        Item::Do(session, deed) => self::deed(session, &deed),
        Item::Connection(state, transport) => Record::event("connection")
            .with("state", names::connection(state))
            .with_some("transport", transport.map(names::transport)),
        Item::Frame(frame, played) => self::frame(&frame, played),
        Item::Event(event) => self::event(event),
    }
    .done()
}

fn deed(session: SessionKey, deed: &Deed) -> Record {
    let record = |name| Record::deed(name).with_count("session", session.0);
    match deed {
        Deed::Open { stream, bidi, priority } => {
            record("open").with_count("stream", stream.0).with("bidi", *bidi).with("priority", *priority)
        }
        Deed::Send { stream, chunks, fin } => {
            record("send").with_count("stream", stream.0).with("bytes", joined(chunks)).with("fin", *fin)
        }
        Deed::Reset { stream, code } => record("reset").with_count("stream", stream.0).with("code", code.0),
        Deed::Stop { stream, code } => record("stop").with_count("stream", stream.0).with("code", code.0),
        Deed::Datagram(datagram) => record("datagram").with("bytes", bytes(datagram)),
        Deed::Message(message) => record("message").with("bytes", bytes(message)),
        Deed::Close { code, words } => record("close").with("code", code.0).with("words", words),
    }
}

fn frame(frame: &InFrame, played: Played) -> Record {
    let record = |name| {
        Record::event(name)
            .with("participant", frame.participant.get())
            .with("track", frame.track.0)
            .with("bytes", bytes(&frame.data))
            .with_count("capturedUs", frame.captured_us)
    };
    match played {
        Played::Sound { lost, target } => record("sound").with_count("lost", lost).with("target", milliseconds(target)),
        Played::Picture { due, late } => {
            record("picture").with("key", frame.key).with("layer", frame.layer).with("due", milliseconds(due)).with("late", late)
        }
    }
}

fn event(event: api::Event) -> Record {
    use api::Event as E;
    match event {
        E::RoomCreated { link } => Record::event("created").with("link", link.to_string()),
        E::Joined { me, title, roster, tracks, epoch, safety_code } => Record::event("joined")
            .with("me", me.get())
            .with("title", title)
            .with("roster", list(&roster, participant))
            .with("tracks", list(&tracks, track))
            .with_count("epoch", epoch)
            .with("safetyCode", digits(&safety_code)),
        E::ParticipantJoined(who) => Record::event("participantJoined").with("participant", participant(&who)),
        E::ParticipantChanged(who) => Record::event("participantChanged").with("participant", participant(&who)),
        E::ParticipantLeft { id, how } => {
            let by = match how {
                Departure::Removed { by } => by,
                Departure::Left | Departure::Reaped | Departure::Moved => None,
            };
            Record::event("participantLeft")
                .with("id", id.get())
                .with("how", names::departure(how))
                .with_some("by", by.map(api::ParticipantId::get))
        }
        E::TrackPublished(what) => Record::event("trackPublished").with("track", track(&what)),
        E::TrackChanged(what) => Record::event("trackChanged").with("track", track(&what)),
        E::TrackUnpublished { participant, track } => {
            Record::event("trackUnpublished").with("participant", participant.get()).with("track", track.0)
        }
        E::TrackTrust { participant, track, trust } => Record::event("trackTrust")
            .with("participant", participant.get())
            .with("track", track.0)
            .with("trust", names::trust(trust)),
        // Frames come as `Item::Frame`, with when to play them.
        E::Frame(frame) => self::frame(&frame, Played::Picture { due: Duration::ZERO, late: true }),
        E::FramesLost { participant, track, count } => {
            Record::event("framesLost").with("participant", participant.get()).with("track", track.0).with_count("count", count)
        }
        E::FrameRefused { participant, reason } => Record::event("frameRefused")
            .with_some("participant", participant.map(api::ParticipantId::get))
            .with("reason", names::open_error(reason)),
        E::Chat { from, id, text, unix_ms, name, gone, history } => Record::event("chat")
            .with("from", from.get())
            .with("id", hex(&id))
            .with("text", text)
            .with_count("at", unix_ms)
            .with("name", name)
            .with("gone", gone)
            .with("history", history),
        E::ChatGap { from, count } => Record::event("chatGap").with("from", from.get()).with_count("count", count),
        E::CompareCode { participant, words, epoch } => {
            Record::event("compareCode").with("participant", participant.get()).with("words", words).with_count("epoch", epoch)
        }
        E::CompareUnanswered { participant } => Record::event("compareUnanswered").with("participant", participant.get()),
        E::Acquaintance { participant, secret } => {
            Record::event("acquaintance").with("participant", participant.get()).with("secret", bytes(secret.expose()))
        }
        E::Hands(hands) => Record::event("hands").with("hands", list(&hands, |hand| JsValue::from(hand.get()))),
        E::Reaction { from, text } => Record::event("reaction").with("from", from.get()).with("text", text),
        E::MuteRequested { by, kind } => Record::event("muteRequested").with("by", by.get()).with("kind", names::kind(kind)),
        E::Equivocation { relay, proof } => {
            Record::event("equivocation").with("relay", relay.short()).with("proof", bytes(&proof))
        }
        E::Epoch { epoch, safety_code, committed: _ } => {
            Record::event("epoch").with_count("epoch", epoch).with("safetyCode", digits(&safety_code))
        }
        E::KeyFrameWanted { track } => Record::event("keyFrameWanted").with("local", track.0),
        E::Published { track } => Record::event("published").with("local", track.0),
        E::Connection(state) => Record::event("connection").with("state", names::connection(state)),
        E::Carriers(carriers) => Record::event("carriers").with("carriers", list(&carriers, carrier)),
        E::Knock { request, name, code, old_link } => Record::event("knock")
            .with("request", request.to_string())
            .with("name", name)
            .with("code", code)
            .with("oldLink", old_link),
        E::KnockGone { request } => Record::event("knockGone").with("request", request.to_string()),
        E::Waiting { code } => Record::event("waiting").with("code", code),
        E::LinkChanged { link } => Record::event("linkChanged").with("link", link.to_string()),
        E::ModeChanged { mode, by } => {
            Record::event("modeChanged").with("mode", names::mode(mode)).with_some("by", by.map(api::ParticipantId::get))
        }
        E::HostsChanged { hosts } => Record::event("hostsChanged").with("hosts", list(&hosts, |host| JsValue::from(host.get()))),
        E::LastHost => Record::event("lastHost"),
        E::ReportReady { document, stamped } => Record::event("reportReady")
            .with("document", String::from_utf8_lossy(&document).into_owned())
            .with("stamped", stamped),
        E::Misbehaved { participant, what } => {
            Record::event("misbehaved").with("participant", participant.get()).with("what", names::misdeed(what))
        }
        E::Warning(warning) => Record::event("warning").with("text", warning.to_string()).with("kind", names::warning(warning)),
        E::Ended(Ended::Left) => {
            Record::event("ended").with("why", "left").with("text", "you left the room").with("kind", "left")
        }
        E::Ended(Ended::CallEnded) => Record::event("ended")
            .with("why", "callEnded")
            .with("text", "a host ended the call for everybody")
            .with("kind", "callEnded"),
        E::Ended(Ended::Failed(error)) => {
            Record::event("ended").with("why", "failed").with("text", error.to_string()).with("kind", names::client_error(&error))
        }
    }
}

fn participant(who: &Participant) -> JsValue {
    Record::new()
        .with("id", who.id.get())
        .with("name", &who.name)
        .with("isMe", who.is_me)
        .with("host", who.host)
        .with("present", matches!(who.present, Presence::Here))
        .with("colour", who.colour)
        .with_some("similarTo", who.similar_to.map(api::ParticipantId::get))
        .with("hidden", who.hidden)
        .with("mutedByMe", who.muted_by_me)
        .with("blocked", who.blocked)
        .with("verified", who.verified)
        .with("compared", who.compared)
        .with_some("known", who.known)
        .with("recording", who.recording)
        .done()
}

fn track(what: &RemoteTrack) -> JsValue {
    Record::new()
        .with("participant", what.participant.get())
        .with("track", what.track.0)
        .with("kind", names::kind(what.media.kind))
        .with("codec", names::codec(what.media.codec))
        .with("label", &what.media.label)
        .with("width", what.media.width)
        .with("height", what.media.height)
        .with("muted", what.muted)
        .with("trust", names::trust(what.trust))
        .with("layers", what.media.layers)
        .done()
}

fn carrier(of: &Carrier) -> JsValue {
    Record::new()
        .with("relay", of.relay.short())
        .with_some("operator", of.operator.as_ref().map(|(_, name)| name))
        .with_some("address", of.address.as_ref())
        .with("hub", of.hub)
        .with("entry", of.entry)
        .with("publishers", number(u64::try_from(of.publishers).unwrap_or(u64::MAX)))
        .done()
}

/// The counters.
pub(super) fn stats(stats: &Stats, blocked: u64) -> JsValue {
    Record::new()
        .with_count("framesSent", stats.frames_sent)
        .with_count("framesDropped", stats.frames_dropped)
        .with_count("framesMuted", stats.frames_muted)
        .with_count("framesStopped", stats.frames_stopped)
        .with_count("objectsOpened", stats.objects_opened)
        .with_count("refusedMalformed", stats.refused_malformed)
        .with_count("refusedNoKeyYet", stats.refused_no_key_yet)
        .with_count("refusedLeftEpoch", stats.refused_left_epoch)
        .with_count("refusedBeforeJoin", stats.refused_before_join)
        .with_count("refusedDamaged", stats.refused_damaged)
        .with_count("refusedWrongObject", stats.refused_wrong_object)
        .with_count("refusedReplayed", stats.refused_replayed)
        .with_count("refusedUnknownSender", stats.refused_unknown_sender)
        .with_count("refusedBadSignature", stats.refused_bad_signature)
        .with_count("refusedTooMuch", stats.refused_too_much)
        .with_count("logAskedAgain", stats.log_asked_again)
        .with_count("repairsAsked", stats.repairs_asked)
        .with_count("coverSent", stats.cover_sent)
        .with_count("coverReceived", stats.cover_received)
        .with_count("attestSaid", stats.attest_said)
        .with_count("attestRefused", stats.attest_refused)
        .with_count("framesWithheld", stats.frames_withheld)
        .with_count("entriesApplied", stats.entries_applied)
        .with_count("entriesSkipped", stats.entries_skipped)
        .with_count("entriesMade", stats.entries_made)
        .with_count("knocksRefused", stats.knocks_refused)
        .with_count("sessions", stats.sessions)
        .with_count("rejoins", stats.rejoins)
        .with_count("eventsDropped", stats.events_dropped)
        .with_count("blocked", blocked)
        .done()
}

/// With fractions.
fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// How they are grouped is for whoever shows them.
fn digits(code: &str) -> String {
    code.chars().filter(char::is_ascii_digit).collect()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_codes_are_spelled_plainly() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
        assert_eq!(digits("01234 56789"), "0123456789");
        assert!((milliseconds(Duration::from_micros(1_500)) - 1.5).abs() < 1e-9);
    }
}

//! Standard output: one line for each thing said, as JSON or in words.

use std::io::{self, Write};

use conclave::unix_us;
use serde::Serialize;

use crate::{said::Said, words::words};

/// Where things are said.
pub(crate) struct Output<W: Write = io::Stdout> {
    to: W,
    json: bool,
    /// Nobody reads any more.
    broken: bool,
}

/// As a line of JSON: what was said, and when.
#[derive(Serialize)]
struct Line<'a> {
    /// Milliseconds since 1970.
    t: u64,
    #[serde(flatten)]
    said: &'a Said,
}

impl<W: Write> Output<W> {
    pub(crate) const fn new(to: W, json: bool) -> Self {
        Self { to, json, broken: false }
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Whether whoever read this has gone.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn say(&mut self, said: &Said) {
        let line = if self.json { Some(json(said, unix_us() / 1_000)) } else { words(said) };
        if let Some(line) = line {
            let written = writeln!(self.to, "{line}").and_then(|()| self.to.flush());
            self.broken |= written.is_err();
        }
    }
}

fn json(said: &Said, t: u64) -> String {
    // Only maps with keys that are no strings, or a value that refuses, could fail; there are none.
    serde_json::to_string(&Line { t, said }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use conclave::{Codec, InFrame, Media, RemoteTrack, TrackId, Trust};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        said::tests::somebody,
        said::{Carrying, Changed, FirstFrame, Joined, Person, Recording, Remote, Report, Stats, Unopened, Who},
        tally::{Sent, Tally},
    };

    fn track() -> RemoteTrack {
        RemoteTrack {
            participant: somebody().id,
            track: TrackId(0xabc),
            media: Media::camera(Codec::Vp8, 320, 180),
            muted: false,
            trust: Trust::Fresh,
        }
    }

    fn spoken(said: &Said) -> Value {
        let line = json(said, 1_234);
        assert!(!line.contains('\n'));
        serde_json::from_str(&line).expect("one JSON object")
    }

    /// The shapes that other programs parse: a change here is a change of the table in `README.md`.
    #[test]
    fn the_lines_are_what_the_table_says() {
        let who = Who::from(somebody().id);
        let id = who.as_str().to_owned();
        assert!(id.len() == 8 && id.starts_with("0001"), "{id}");
        let person = || Person::from(&somebody());
        let code = "1".repeat(30);
        for (said, line) in [
            (Said::Link { link: "https://r/r#x".to_owned() }, json!({"t": 1234, "event": "link", "link": "https://r/r#x"})),
            (
                Said::Joined(Joined {
                    me: who.clone(),
                    name: "First".to_owned(),
                    title: "Tea".to_owned(),
                    epoch: 3,
                    safety_code: code.clone(),
                    transport: Some("quic"),
                    join_ms: 40,
                    roster: vec![person()],
                }),
                json!({"t": 1234, "event": "joined", "me": id, "name": "First", "title": "Tea", "epoch": 3, "safety_code": code,
                    "transport": "quic", "join_ms": 40, "roster": [
                        {"participant": id, "name": "First", "is_me": false, "host": true, "present": "here",
                            "verified": false, "compared": false, "known": null, "recording": false}]}),
            ),
            (
                Said::ParticipantJoined(person()),
                json!({"t": 1234, "event": "participant_joined", "participant": id, "name": "First", "is_me": false, "host": true,
                    "present": "here", "verified": false, "compared": false, "known": null, "recording": false}),
            ),
            (
                Said::ParticipantChanged(Changed {
                    person: Person { present: "grey", known: Some(2), ..person() },
                    what: "present",
                    was: "First".to_owned(),
                }),
                json!({"t": 1234, "event": "participant_changed", "participant": id, "name": "First", "is_me": false, "host": true,
                    "present": "grey", "verified": false, "compared": false, "known": 2, "recording": false,
                    "what": "present", "was": "First"}),
            ),
            (
                Said::CompareCode {
                    participant: who.clone(),
                    name: "First".to_owned(),
                    words: "acorn canoe tulip zebra".to_owned(),
                    epoch: 4,
                },
                json!({"t": 1234, "event": "compare_code", "participant": id, "name": "First",
                    "words": "acorn canoe tulip zebra", "epoch": 4}),
            ),
            (
                Said::CompareUnanswered { participant: who.clone(), name: "First".to_owned() },
                json!({"t": 1234, "event": "compare_unanswered", "participant": id, "name": "First"}),
            ),
            (
                Said::Acquainted { participant: who.clone(), name: "First".to_owned() },
                json!({"t": 1234, "event": "acquainted", "participant": id, "name": "First"}),
            ),
            (
                Said::Hands { hands: vec![who.clone()], names: vec!["First".to_owned()] },
                json!({"t": 1234, "event": "hands", "hands": [id], "names": ["First"]}),
            ),
            (
                Said::Reaction { participant: who.clone(), name: "First".to_owned(), text: "+1".to_owned() },
                json!({"t": 1234, "event": "reaction", "participant": id, "name": "First", "text": "+1"}),
            ),
            (
                Said::MuteRequested { participant: who.clone(), name: "First".to_owned(), kind: "microphone" },
                json!({"t": 1234, "event": "mute_requested", "participant": id, "name": "First", "kind": "microphone"}),
            ),
            (
                Said::Equivocation { relay: "ab".to_owned(), proof: "01".to_owned() },
                json!({"t": 1234, "event": "equivocation", "relay": "ab", "proof": "01"}),
            ),
            (
                Said::ParticipantLeft { participant: who.clone(), name: "First".to_owned(), how: "reaped" },
                json!({"t": 1234, "event": "participant_left", "participant": id, "name": "First", "how": "reaped"}),
            ),
            (
                Said::Published { kind: "camera", label: "camera".to_owned() },
                json!({"t": 1234, "event": "published", "kind": "camera", "label": "camera"}),
            ),
            (
                Said::TrackPublished(Remote::of(&track(), "First".to_owned())),
                json!({"t": 1234, "event": "track_published", "participant": id, "name": "First", "track": "0000000000000abc",
                    "kind": "camera", "codec": "vp8", "label": "", "width": 320, "height": 180, "layers": 1,
                    "muted": false}),
            ),
            (
                Said::FirstFrame(FirstFrame {
                    participant: who.clone(),
                    name: "First".to_owned(),
                    track: track().track.into(),
                    kind: "camera",
                    ms_since_join: 5,
                    ms_since_start: 45,
                    ms_since_published: 4,
                }),
                json!({"t": 1234, "event": "first_frame", "participant": id, "name": "First", "track": "0000000000000abc",
                    "kind": "camera", "ms_since_join": 5, "ms_since_start": 45, "ms_since_published": 4}),
            ),
            (
                Said::Lost {
                    participant: who.clone(),
                    name: "First".to_owned(),
                    track: track().track.into(),
                    kind: "camera",
                    count: 2,
                },
                json!({"t": 1234, "event": "lost", "participant": id, "name": "First", "track": "0000000000000abc", "kind": "camera",
                    "count": 2}),
            ),
            (Said::ChatSent { text: "hi\n".to_owned() }, json!({"t": 1234, "event": "chat_sent", "text": "hi\n"})),
            (
                Said::Chat {
                    participant: who.clone(),
                    name: "First".to_owned(),
                    id: "00".repeat(16),
                    text: "\"".to_owned(),
                    unix_ms: 7,
                    gone: false,
                    history: true,
                },
                json!({"t": 1234, "event": "chat", "participant": id, "name": "First", "id": "00".repeat(16), "text": "\"", "unix_ms": 7,
                    "gone": false, "history": true}),
            ),
            (
                Said::ChatGap { participant: who.clone(), name: "First".to_owned(), count: 2 },
                json!({"t": 1234, "event": "chat_gap", "participant": id, "name": "First", "count": 2}),
            ),
            (
                Said::Epoch { epoch: 4, safety_code: code.clone(), committed: true },
                json!({"t": 1234, "event": "epoch", "epoch": 4, "safety_code": code, "committed": true}),
            ),
            (
                Said::Connection { state: "connected", again: true, transport: Some(crate::said::WEBSOCKET) },
                json!({"t": 1234, "event": "connection", "state": "connected", "again": true, "transport": "websocket"}),
            ),
            (
                Said::Carriers {
                    carriers: vec![Carrying {
                        relay: "ab".to_owned(),
                        operator: Some("cd".to_owned()),
                        operator_name: Some("Alder".to_owned()),
                        address: None,
                        hub: true,
                        entry: true,
                        publishers: 2,
                    }],
                },
                json!({"t": 1234, "event": "carriers", "carriers": [{"relay": "ab", "operator": "cd", "operator_name": "Alder",
                    "address": null, "hub": true, "entry": true, "publishers": 2}]}),
            ),
            (Said::Warning { text: "w".to_owned() }, json!({"t": 1234, "event": "warning", "text": "w"})),
            (
                Said::Ended { reason: "left".to_owned(), ok: true },
                json!({"t": 1234, "event": "ended", "reason": "left", "ok": true}),
            ),
        ] {
            assert_eq!(spoken(&said), line);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stats_and_report_are_what_the_table_says() {
        let mut tally = Tally::starting_now();
        let sent = Arc::new(Sent::new("camera", "camera".to_owned()));
        sent.on_frame(100, true, 9_000);
        tally.on_sending(sent);
        tally.on_track(&track(), "First");
        let (participant, id) = (somebody().id, Who::from(somebody().id));
        let data = Bytes::from_static(b"frame");
        let frame =
            InFrame { participant, track: track().track, data, captured_us: 9_000, key: true, layer: 0, group: 2, object: 0 };
        tally.on_frame(&frame, 9_050);
        let stats = || Stats {
            epoch: 3,
            safety_code: "1".repeat(30),
            roster_size: 2,
            sending: tally.sending(),
            receiving: tally.receiving(),
            unopened: Unopened { damaged: 2, ..Unopened::default() },
        };
        let mut line = json!({
            "t": 1234, "event": "stats", "epoch": 3, "safety_code": "1".repeat(30), "roster_size": 2,
            "sending": [{"kind": "camera", "label": "camera", "frames": 1, "bytes": 100, "key_frames": 1, "key_frames_wanted": 0,
                "first_captured_us": 9000, "last_captured_us": 9000}],
            "receiving": [{"participant": id.as_str(), "name": "First", "track": "0000000000000abc", "kind": "camera", "label": "",
                "frames": 1, "key_frames": 1, "bytes": 5, "lost": 0, "unread": 0, "refused": 0, "first_object_t": 9,
                "first_frame_ms_since_join": 0, "first_captured_us": 9000, "last_captured_us": 9000, "last_group": 2,
                "last_object": 0, "last_frame_age_ms": 0, "latency_p50_us": 50, "latency_p99_us": 50, "live": true}],
            "unopened": {"no_key_yet": 0, "left_epoch": 0, "before_join": 0, "unknown_sender": 0, "wrong_object": 0, "damaged": 2,
                "replayed": 0, "malformed": 0, "bad_signature": 0, "too_much": 0, "withheld": 0, "log_asked_again": 0,
                "repairs_asked": 0},
        });
        assert_eq!(spoken(&Said::Stats(stats())), line);

        let recording = Recording {
            file: "a.ivf".to_owned(),
            participant: id.clone(),
            name: "First".to_owned(),
            kind: "camera",
            frames: 1,
            key_frames: 1,
            duration_ms: 33,
            playable: true,
            problem: None,
        };
        let (latency_p50_us, latency_p99_us) = tally.latency();
        let report = Report { stats: stats(), latency_p50_us, latency_p99_us, recordings: vec![recording] };
        line["event"] = json!("report");
        line["latency_p50_us"] = json!(50);
        line["latency_p99_us"] = json!(50);
        line["recordings"] = json!([{"file": "a.ivf", "participant": id.as_str(), "name": "First", "kind": "camera", "frames": 1,
            "key_frames": 1, "duration_ms": 33, "playable": true, "problem": null}]);
        assert_eq!(spoken(&Said::Report(report)), line);
    }

    #[test]
    fn a_reader_who_has_gone_is_noticed() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Gone, false);
        output.say(&Said::Connection { state: "connected", again: false, transport: None });
        assert!(!output.is_broken(), "nothing was said in words");
        output.say(&Said::Connection { state: "connected", again: true, transport: None });
        assert!(output.is_broken());
    }
}

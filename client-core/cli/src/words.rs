//! The same as [`Said`], in words for people.

use std::fmt::Write;

use crate::{
    said::{Changed, Joined, Person, Proved, Report, Said, WEBSOCKET},
    tally::Receiving,
};

/// For those whose sound may come late, and who can do something about it.
const OVER_TCP: &str = "UDP is blocked here: the call goes over TCP, expect more delay";

/// Lines to print, without the last line break; `None` for what only programs want to know.
pub(crate) fn words(said: &Said) -> Option<String> {
    Some(match said {
        Said::Link { link } => format!("link: {link}"),
        Said::Joined(joined) => entered(joined),
        Said::ParticipantJoined(person) => format!("{} came", shown(person)),
        Said::ParticipantChanged(changed) => self::changed(changed)?,
        Said::ParticipantLeft { name, how: "left", .. } => format!("{} left", printable(name)),
        Said::ParticipantLeft { name, how: "moved", .. } => format!("{} comes back on another line", printable(name)),
        Said::ParticipantLeft { name, how: "removed", .. } => format!("{} was removed", printable(name)),
        Said::ParticipantLeft { name, .. } => format!("{} is gone: nothing was heard for too long", printable(name)),
        Said::Published { label, .. } => format!("you publish {}", printable(label)),
        Said::TrackPublished(track) => format!("{} publishes {}", printable(&track.name), track.kind),
        Said::TrackChanged(track) if track.muted => format!("{}: {} is muted", printable(&track.name), track.kind),
        Said::TrackChanged(track) => format!("{}: {} is on", printable(&track.name), track.kind),
        Said::TrackUnpublished(track) => format!("{} ended {}", printable(&track.name), track.kind),
        Said::TrackTrust { trust: "fresh" | "verified", .. } => return None,
        Said::TrackTrust { name, kind, trust: "doubtful", .. } => {
            format!("{}'s {kind}: not signed for two seconds", printable(name))
        }
        Said::TrackTrust { name, kind, trust: "forged", .. } => {
            format!("{}'s {kind} is not shown any more: somebody forges it", printable(name))
        }
        Said::TrackTrust { name, kind, .. } => {
            format!("{}'s {kind} is not shown: not signed for five seconds", printable(name))
        }
        Said::FirstFrame(first) => format!("{}: first frame of {}", printable(&first.name), first.kind),
        Said::Lost { name, kind, count: 1, .. } => format!("lost: 1 frame of {}'s {kind}", printable(name)),
        Said::Lost { name, kind, count, .. } => format!("lost: {count} frames of {}'s {kind}", printable(name)),
        Said::ChatSent { text } => format!("you: {}", printable(text)),
        Said::Chat { name, text, history: true, gone: true, .. } => {
            format!("earlier, {}, who has gone: {}", printable(name), printable(text))
        }
        Said::Chat { name, text, history: true, .. } => format!("earlier, {}: {}", printable(name), printable(text)),
        Said::Chat { name, text, .. } => format!("{}: {}", printable(name), printable(text)),
        Said::ChatGap { name, count: 1, .. } => format!("a message of {} did not come", printable(name)),
        Said::ChatGap { name, count, .. } => format!("{count} messages of {} did not come", printable(name)),
        Said::Epoch { safety_code, .. } => format!("safety code: {}", grouped(safety_code)),
        Said::Connection { again: true, transport: Some(WEBSOCKET), .. } => format!("connected again: {OVER_TCP}"),
        Said::Connection { again: true, .. } => "connected again".to_owned(),
        Said::Connection { state: "reconnecting", .. } => "connection lost, on the way back".to_owned(),
        Said::Connection { state: "control_lost", .. } => {
            "nothing is heard of the others: the room's hub is out of reach".to_owned()
        }
        Said::Connection { state: "sending_stopped", .. } => {
            "nothing is heard of the others for a minute: nothing is sent until somebody is".to_owned()
        }
        Said::Knock { request, name, code, old_link } => {
            let badge = if *old_link { ", with an old link" } else { "" };
            format!(
                "{} asks to come in (code {}{badge}): /admit {request} or /refuse {request}",
                printable(name),
                printable(code)
            )
        }
        Said::Waiting { code } => format!("waiting to be let in: a host sees your name and the code {}", printable(code)),
        Said::KnockGone { request } => format!("{request} does not ask any more"),
        Said::LinkChanged { link } => format!("the link is another one now: {link}"),
        Said::ModeChanged { mode, name, .. } => match (*mode, name.as_str()) {
            (mode, "") => format!("the room is {} now", moded(mode)),
            (mode, name) => format!("{} made the room {}", printable(name), moded(mode)),
        },
        Said::HostsChanged { names, .. } => {
            format!("hosts now: {}", names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", "))
        }
        Said::Reported { file, stamped: true } => format!("the report is in {}", printable(file)),
        Said::Reported { file, stamped: false } => {
            format!("the report is in {}, but the hub did not stamp it: report again while the call lasts", printable(file))
        }
        Said::ReportVerified(proved) => verified(proved),
        Said::LastHost => "you are the last host: /host somebody else first, /end the call for all, or leave again".to_owned(),
        Said::Misbehaved { name, what, .. } => {
            let what =
                if *what == "junk" { "sends what the room's rules do not allow" } else { "sent what some could not apply" };
            format!("{} {what}: /remove them if it goes on", printable(name))
        }
        Said::CompareCode { name, words, participant, .. } => format!(
            "compare with {}: {words}\nread it to each other, then /verified {who} or /differs {who}",
            printable(name),
            who = participant.as_str()
        ),
        Said::CompareUnanswered { name, .. } => format!("{} did not answer: try to compare again", printable(name)),
        Said::Acquainted { name, .. } => format!("{} can be recognised in the next call", printable(name)),
        Said::Hands { names, .. } if names.is_empty() => "no hand is up".to_owned(),
        Said::Hands { names, .. } => {
            format!("hands up: {}", names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", "))
        }
        Said::Reaction { name, text, .. } => format!("{}: {}", printable(name), printable(text)),
        Said::MuteRequested { name, kind, .. } => format!("{} asks you to mute your {kind}", printable(name)),
        Said::Equivocation { relay, proof } => {
            format!("relay {relay} told two histories of this room, and here is the proof for `conclave proof verify`:\n{proof}")
        }
        Said::Connection { .. } | Said::Carriers { .. } | Said::Stats(_) => return None,
        Said::Warning { text } => format!("note: {}", printable(text)),
        Said::Report(report) => summary(report)?,
        Said::Ended { ok: true, reason } => reason.clone(),
        // The sentence goes to standard error.
        Said::Ended { ok: false, .. } => return None,
    })
}

/// `None` where something else says it.
fn changed(changed: &Changed) -> Option<String> {
    let person = &changed.person;
    let who = shown(person);
    Some(match changed.what {
        "present" if person.present == "grey" => format!("{who} does not answer"),
        "present" => format!("{who} is back"),
        "name" => format!("{} is called {} now", printable(&changed.was), printable(&person.name)),
        "recording" if person.recording => format!("{who} says that they record"),
        "recording" => format!("{who} does not record any more"),
        "known" => format!("{who} is somebody with whom you compared codes before"),
        "verified" if person.compared => format!("{who} is verified: you compared codes"),
        "verified" if person.verified => format!("{who} is in the same room: verified by a comparison"),
        "verified" => format!("{who} is not verified any more"),
        _ => return None,
    })
}

fn moded(mode: &str) -> &'static str {
    match mode {
        "open" => "open to whoever has the link",
        "knock" => "one where hosts let in",
        _ => "locked",
    }
}

fn verified(proved: &Proved) -> String {
    let mut text =
        "the report holds: each message was written by the holder of its key, and all of it was shown to the room's hub \
        while the call lasted"
            .to_owned();
    let lines = proved.messages.iter().map(|message| {
        let key = message.author.get(..16).unwrap_or_default();
        format!("\n{} (as they were called, key {key}..): {}", printable(&message.name), printable(&message.text))
    });
    text.extend(lines);
    if !proved.note.is_empty() {
        text += &format!("\nnote: {}", printable(&proved.note));
    }
    text + &format!(
        "\nroom {}, call {}, hub {}, stamped {} ms after 1970",
        proved.room, proved.call, proved.hub, proved.stamped_ms
    )
}

fn entered(joined: &Joined) -> String {
    let mut text = String::new();
    match joined.title.as_str() {
        "" => write!(text, "you are in, as {}", printable(&joined.name)),
        title => write!(text, "you are in \"{}\", as {}", printable(title), printable(&joined.name)),
    }
    .and_then(|()| {
        let others: Vec<String> = joined.roster.iter().filter(|person| !person.is_me).map(shown).collect();
        match others.as_slice() {
            [] => write!(text, "\nhere: nobody else yet"),
            others => write!(text, "\nhere: {}", others.join(", ")),
        }
    })
    .and_then(|()| write!(text, "\nsafety code: {}", grouped(&joined.safety_code)))
    .and_then(|()| match joined.transport {
        Some(WEBSOCKET) => write!(text, "\n{OVER_TCP}"),
        _ => Ok(()),
    })
    .unwrap_or_default();
    text
}

/// `None` when nobody sent anything.
fn summary(report: &Report) -> Option<String> {
    let mut lines: Vec<String> = Vec::new();
    let rows: Vec<&Receiving> = report.stats.receiving.iter().filter(|row| row.frames + row.lost > 0).collect();
    if !rows.is_empty() {
        lines.push(format!("{:<20} {:<12} {:>8} {:>6} {:>10} {:>10}", "from", "track", "frames", "lost", "p50 ms", "p99 ms"));
    }
    for row in rows {
        let name: String = printable(&row.name).chars().take(20).collect();
        let (p50, p99) = (tenths(row.latency_p50_us), tenths(row.latency_p99_us));
        lines.push(format!("{name:<20} {:<12} {:>8} {:>6} {p50:>10} {p99:>10}", row.kind, row.frames, row.lost));
    }
    for recording in &report.recordings {
        let seconds = recording.duration_ms / 1_000;
        lines.push(match &recording.problem {
            None => format!("recorded {} ({} frames, {seconds} s)", recording.file, recording.frames),
            Some(problem) => format!("recorded {}, which will not play: {problem}", recording.file),
        });
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn tenths(micros: Option<u64>) -> String {
    micros.map_or_else(|| "-".to_owned(), |micros| format!("{}.{}", micros / 1_000, micros % 1_000 / 100))
}

fn shown(person: &Person) -> String {
    let name = printable(&person.name);
    if person.host { format!("{name} (host)") } else { name }
}

/// Thirty digits in groups of five, as people read them to each other.
pub(crate) fn grouped(code: &str) -> String {
    let mut grouped = String::with_capacity(code.len() + code.len() / 5);
    for (at, digit) in code.chars().enumerate() {
        if at > 0 && at % 5 == 0 {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// What a stranger wrote, without what would move the cursor, colour the terminal or turn the reading direction.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::{Recording, Stats, Who};

    fn who() -> Who {
        conclave::ParticipantId::of_leaf(1, &[0; 32]).into()
    }

    #[test]
    fn codes_are_read_in_groups_of_five() {
        assert_eq!(grouped("123456789012345678901234567890"), "12345 67890 12345 67890 12345 67890");
        assert_eq!(grouped(""), "");
    }

    #[test]
    fn nobody_writes_to_the_terminal_but_words() {
        let text = "\u{1b}]0;owned\u{7}\u{1b}[2Jhi\r\nbye \u{202e}evil";
        let said = Said::Chat {
            participant: who(),
            name: "\u{1b}[31mRed".to_owned(),
            id: String::new(),
            text: text.to_owned(),
            unix_ms: 0,
            gone: false,
            history: false,
        };
        let words = words(&said).expect("chat is printed");
        assert!(!words.chars().any(|c| c.is_control() || c == '\u{202e}'), "{words:?}");
        assert!(words.contains("hi") && words.contains("Red"));
    }

    #[test]
    fn whoever_comes_in_sees_where_they_are_and_with_whom() {
        let person = |name: &str, is_me, host| Person {
            participant: who(),
            name: name.to_owned(),
            is_me,
            host,
            present: "here",
            verified: false,
            compared: false,
            known: None,
            recording: false,
        };
        let mut joined = Joined {
            me: who(),
            name: "Guest".to_owned(),
            title: "Tea".to_owned(),
            epoch: 2,
            safety_code: "0".repeat(30),
            transport: Some("quic"),
            join_ms: 12,
            roster: vec![person("Guest", true, false), person("First", false, true), person("Second", false, false)],
        };
        let text = entered(&joined);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            ["you are in \"Tea\", as Guest", "here: First (host), Second", "safety code: 00000 00000 00000 00000 00000 00000",]
        );
        joined.roster.truncate(1);
        assert!(entered(&joined).contains("nobody else yet"));
        joined.transport = Some(WEBSOCKET);
        assert_eq!(entered(&joined).lines().last(), Some(OVER_TCP));
    }

    #[test]
    fn the_summary_names_what_was_recorded_and_what_was_not() {
        let recording = |problem: Option<&str>| Recording {
            file: "out/a.ivf".to_owned(),
            participant: who(),
            name: "First".to_owned(),
            kind: "camera",
            frames: 30,
            key_frames: 1,
            duration_ms: 1_900,
            playable: problem.is_none(),
            problem: problem.map(str::to_owned),
        };
        let stats = || Stats {
            epoch: 1,
            safety_code: String::new(),
            roster_size: 1,
            sending: vec![],
            receiving: vec![],
            unopened: crate::said::Unopened::default(),
        };
        let report = |recordings| Report { stats: stats(), latency_p50_us: None, latency_p99_us: None, recordings };
        assert_eq!(summary(&report(vec![])), None);
        let text = summary(&report(vec![recording(None), recording(Some("the disk is full"))])).expect("two recordings");
        assert_eq!(text, "recorded out/a.ivf (30 frames, 1 s)\nrecorded out/a.ivf, which will not play: the disk is full");
    }
}

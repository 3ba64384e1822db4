//! What has to hold after the call of the pages. Each check is a pure function of what was seen; the names are stable.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::json;

use super::report::{Both, Native, Pictures, Recorded, Seen, Side, Sound};
use crate::call::check::Check;

/// Pictures a second in the best five seconds: the machine may be busy with something else for a moment.
const FLOOR: f64 = 24.0;

/// Of the pictures at most this share may be unreadable: a turn of the screen may fall into a change of size.
const UNREADABLE: f64 = 0.1;

/// The share of beeps that have to be heard.
const BEEPS: f64 = 0.8;

/// The share of time in which a voice is heard that speaks without a pause to breathe.
const VOICE: f64 = 0.2;

/// Between the pages and the operators there are always these two.
const CARRIERS: [&str; 2] = ["Alder", "Birch"];

/// Where the room was made.
const HUB: &str = "Alder";

/// All of them, in a fixed order.
pub(crate) fn all(seen: &Seen, native: &Native) -> Vec<Check> {
    vec![
        pictures_in_order(seen),
        pictures_a_second(seen),
        beeps_heard(seen),
        native_seen_and_heard(seen),
        no_frame_refused(seen),
        talks_while_busy(seen),
        mute_is_silence(seen),
        chat_exactly_once(seen, native),
        codes_equal(seen, native),
        who_is_here_equal(seen, native),
        two_operators(seen),
        over_udp(seen),
        over_tcp(seen),
        native_recordings(seen, native),
        no_complaint(seen, native),
    ]
}

/// Every view of a test camera: who looks, whom they see, the number of whoever stamped the pictures.
fn views(seen: &Seen) -> [(&'static str, u8, &Pictures); 6] {
    [
        ("Ada sees Bo", 2, &seen.talk.ada.sees),
        ("Bo sees Ada", 1, &seen.talk.bo.sees),
        ("Ada sees Bo among three", 2, &seen.three.ada.other),
        ("Bo sees Ada among three", 1, &seen.three.bo.other),
        ("Cy sees Bo over TCP", 2, &seen.tcp.sees),
        ("Bo sees Cy over TCP", 3, &seen.tcp.seen_by_bo),
    ]
}

fn pictures_in_order(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    let mut steps = 0;
    for (view, who, pictures) in views(seen) {
        steps += pictures.order.one + pictures.order.skipped;
        if pictures.back + pictures.order.back > 0 {
            problems.push(format!("{view}: {} pictures came after a later one", pictures.back.max(pictures.order.back)));
        }
        if pictures.who != [who] {
            problems.push(format!("{view}: the pictures are stamped by {:?}", pictures.who));
        }
        if number(pictures.unreadable) > UNREADABLE * number(pictures.pictures) {
            problems.push(format!("{view}: {} of {} pictures cannot be read", pictures.unreadable, pictures.pictures));
        }
    }
    Check::new("pictures_in_order", json!(steps), "every picture after the one before, of the right person", problems)
}

fn pictures_a_second(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    let mut worst = f64::INFINITY;
    for (view, _, pictures) in views(seen) {
        worst = worst.min(pictures.best_fps);
        if pictures.best_fps < FLOOR {
            problems.push(format!("{view}: {:.1} pictures a second", pictures.best_fps));
        }
    }
    Check::new("pictures_a_second", json!(round(worst)), format!("at least {FLOOR} in the best 5 s of each view"), problems)
}

fn beeps_heard(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    for (who, sound) in [("Ada", &seen.talk.ada.hears), ("Bo", &seen.talk.bo.hears)] {
        let (least, most) = due(sound);
        let beeps = f64::from(sound.beeps);
        if beeps < least || beeps > most {
            problems.push(format!("{who} heard {} beeps in {:.1} s", sound.beeps, sound.seconds));
        }
    }
    let value = json!([seen.talk.ada.hears.beeps, seen.talk.bo.hears.beeps]);
    Check::new("beeps_heard", value, format!("{BEEPS} of those of 1 kHz in each second, at both pages"), problems)
}

/// How many beeps there are in so many seconds: the first and the last may be cut, and a busy machine may swallow some.
fn due(sound: &Sound) -> (f64, f64) {
    (sound.seconds.floor() * BEEPS - 1.0, sound.seconds.ceil() + 1.0)
}

fn native_seen_and_heard(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    let views = [("Ada", &seen.three.ada.native), ("Bo", &seen.three.bo.native), ("Cy", &seen.tcp.native)];
    let worst = views.iter().map(|(_, changes)| changes.best_fps).fold(f64::INFINITY, f64::min);
    for (who, changes) in views {
        if changes.best_fps < FLOOR {
            problems.push(format!("{who} saw {:.1} pictures a second of the participant without a browser", changes.best_fps));
        }
    }
    let loud = seen.three.bo.loud.unwrap_or_default();
    if loud < VOICE {
        problems.push(format!("Bo heard something only in {:.0} % of the time", loud * 100.0));
    }
    Check::new("native_seen_and_heard", json!(round(worst)), format!("at least {FLOOR} pictures a second, and a voice"), problems)
}

fn no_frame_refused(seen: &Seen) -> Check {
    let refused = [
        ("Ada", seen.three.ada.stats.refused_after_first_second),
        ("Bo", seen.three.bo.stats.refused_after_first_second),
        ("Cy", seen.tcp.stats.refused_after_first_second),
    ];
    let problems =
        refused.iter().filter(|(_, count)| *count > 0).map(|(who, count)| format!("{count} frames did not open at {who}"));
    let sum: u64 = refused.iter().map(|(_, count)| count).sum();
    Check::new("no_frame_refused", json!(sum), "0 after the first second", problems.collect())
}

fn talks_while_busy(seen: &Seen) -> Check {
    let Sound { seconds, beeps } = &seen.busy;
    let (least, _) = due(&seen.busy);
    let problems = if f64::from(*beeps) < least { vec![format!("{beeps} beeps came in {seconds} s")] } else { Vec::new() };
    Check::new(
        "talks_while_busy",
        json!(beeps),
        format!("a page is heard while its main thread is busy for {seconds} s"),
        problems,
    )
}

fn mute_is_silence(seen: &Seen) -> Check {
    let beeps = seen.hide.beeps_while_muted;
    let problems = if beeps == 0 { Vec::new() } else { vec![format!("{beeps} beeps of somebody who was muted were heard")] };
    Check::new("mute_is_silence", json!(beeps), "shown and silent; heard again, and seen again, after it", problems)
}

fn chat_exactly_once(seen: &Seen, native: &Native) -> Check {
    let mut problems = Vec::new();
    let Both { ada, bo } = &seen.three.chat;
    for (who, times) in [("Ada", ada), ("Bo", bo)] {
        if times != &[1, 1] {
            problems.push(format!("{who} read the two others' messages {times:?} times"));
        }
    }
    for text in ["hello from Ada", "hello from Bo"] {
        let times = native.chats.iter().filter(|chat| *chat == text).count();
        if times != 1 {
            problems.push(format!("the participant without a browser read `{text}` {times} times"));
        }
    }
    Check::new("chat_exactly_once", json!(problems.is_empty()), "every message once, at all three", problems)
}

fn codes_equal(seen: &Seen, native: &Native) -> Check {
    let mut problems = Vec::new();
    let (ada, bo) = (&seen.three.ada.code, &seen.three.bo.code);
    if ada.code.len() != 30 || !ada.code.bytes().all(|digit| digit.is_ascii_digit()) {
        problems.push(format!("the page shows {} digits", ada.code.len()));
    }
    if (ada.epoch, &ada.code) != (bo.epoch, &bo.code) {
        problems.push("the two pages show different digits".to_owned());
    }
    if native.codes.get(&ada.epoch) != Some(&ada.code) {
        problems.push("the participant without a browser has other digits".to_owned());
    }
    Check::new("codes_equal", json!(problems.is_empty()), "the same 30 digits at all three", problems)
}

fn who_is_here_equal(seen: &Seen, native: &Native) -> Check {
    let mut problems = Vec::new();
    let expected: BTreeSet<&str> = ["Ada", "Bo", native.name.as_str()].into();
    for (who, names) in [("Ada", &seen.three.ada.code.names), ("Bo", &seen.three.bo.code.names)] {
        if !names.iter().map(String::as_str).eq(expected.iter().copied()) {
            problems.push(format!("{who} has {names:?}"));
        }
    }
    if !expected.iter().all(|name| native.names.contains(*name)) {
        problems.push(format!("the participant without a browser has {:?}", native.names));
    }
    Check::new("who_is_here_equal", json!(seen.three.ada.code.names.len()), "the same three at all three", problems)
}

fn two_operators(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    for (who, home, side) in [("Ada", "Alder", &seen.three.ada), ("Bo", "Birch", &seen.three.bo)] {
        let Side { carriers, .. } = side;
        let shown: BTreeSet<&str> = carriers.iter().filter_map(|carrier| carrier.operator.as_deref()).collect();
        if carriers.len() != CARRIERS.len() || !shown.iter().copied().eq(CARRIERS) {
            problems.push(format!("{who} is shown {} relays, of {shown:?}", carriers.len()));
        }
        let own: Vec<_> = carriers.iter().filter(|carrier| carrier.entry).collect();
        if !matches!(own.as_slice(), [one] if one.operator.as_deref() == Some(home) && one.hub == (home == HUB)) {
            problems.push(format!("{who}'s own relay is shown as {own:?}"));
        }
        if carriers.iter().filter(|carrier| carrier.hub).count() != 1 {
            problems.push(format!("{who} is not shown which relay orders the room"));
        }
    }
    Check::new(
        "two_operators",
        json!(seen.three.ada.carriers.len()),
        "one relay of Alder and one of Birch, at both pages",
        problems,
    )
}

fn over_udp(seen: &Seen) -> Check {
    let transports = [("Ada", &seen.three.ada.transport), ("Bo", &seen.three.bo.transport)];
    let problems = transports
        .iter()
        .filter(|(_, transport)| transport.as_deref() != Some("webtransport"))
        .map(|(who, transport)| format!("{who} is connected by {transport:?}"))
        .collect();
    Check::new("over_udp", json!(seen.three.ada.transport), "WebTransport where UDP gets through", problems)
}

fn over_tcp(seen: &Seen) -> Check {
    let mut problems = Vec::new();
    if seen.tcp.transport.as_deref() != Some("websocket") {
        problems.push(format!("the page for which UDP is blocked is connected by {:?}", seen.tcp.transport));
    }
    if !seen.tcp.notice.contains("TCP") {
        problems.push("that page does not say so".to_owned());
    }
    if seen.tcp.blocked.transport.as_deref() != Some("websocket") {
        problems.push(format!("the command line for which UDP is blocked is connected by {:?}", seen.tcp.blocked.transport));
    }
    Check::new("over_tcp", json!(seen.tcp.transport), "by itself, and said on the page, where UDP does not", problems)
}

fn native_recordings(seen: &Seen, native: &Native) -> Check {
    let mut problems: Vec<String> = native.recordings.iter().filter_map(|one| one.as_ref().err().cloned()).collect();
    for (who, recorded) in [("Ada", &seen.recorded.ada), ("Bo", &seen.recorded.bo)] {
        let Recorded { pictures, unreadable, order, seconds, beeps } = recorded;
        if *pictures < 100 || order.back > 0 || number(*unreadable) > UNREADABLE * number(*pictures) {
            problems
                .push(format!("of {who} there are {pictures} pictures: {unreadable} unreadable, {} out of order", order.back));
        }
        if f64::from(*beeps) < seconds.floor() * BEEPS - 1.0 || *beeps < 5 {
            problems.push(format!("of {who} there are {beeps} beeps in {seconds:.1} s"));
        }
    }
    let good = native.recordings.iter().filter(|one| one.is_ok()).count();
    Check::new("native_recordings", json!(good), "all play; pictures in order and beeps of both pages are in them", problems)
}

fn no_complaint(seen: &Seen, native: &Native) -> Check {
    let mut problems = seen.complaints.clone();
    if !native.ended_well {
        problems.push("the participant without a browser did not end well".to_owned());
    }
    Check::new("no_complaint", json!(problems.len()), "0 errors on the pages' consoles", problems)
}

/// What was measured and is not judged: the machine may be busy.
pub(crate) fn measured(seen: &Seen) -> String {
    let mut text = String::new();
    let _ =
        writeln!(text, "\n  Pictures: a second in the best 5 s (and on average), from the camera's clock to the page's canvas\n");
    for (view, _, pictures) in views(seen) {
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
        let _ = writeln!(
            text,
            "    {view:<24} {:>5.1} ({:>4.1}), median {:>4} ms, 95 % below {:>4} ms, {} skipped",
            pictures.best_fps,
            pictures.mean_fps,
            ms(pictures.latency_p50_ms),
            ms(pictures.latency_p95_ms),
            pictures.order.skipped
        );
    }
    let met = &seen.met;
    let _ = writeln!(text, "\n  Time\n");
    let _ = writeln!(text, "    call begun            {:>6} ms", met.create_ms);
    let _ = writeln!(text, "    joined                {:>6} ms", met.join_ms);
    let _ = writeln!(
        text,
        "    first remote picture  {:>6} ms after the button, as it could be read from the page",
        met.first_picture_ms
    );
    if let Some(ms) = met.first_frame_ms {
        let _ = writeln!(text, "                          {ms:>6.0} ms as the SDK counts it");
    }
    let _ = writeln!(text, "    joined over TCP       {:>6} ms, while nothing answered on UDP", seen.tcp.join_ms);
    if let Some(ms) = seen.tcp.blocked.join_ms {
        let _ = writeln!(text, "                          {ms:>6} ms by the command line");
    }
    let _ = writeln!(
        text,
        "\n  Sound that ran dry: {} times at Ada, {} at Bo, {} at Cy\n",
        seen.three.ada.stats.audio_underruns, seen.three.bo.stats.audio_underruns, seen.tcp.stats.audio_underruns
    );
    let _ = writeln!(text, "  Pictures that were left to the garbage collector: {}\n", seen.unclosed);
    text
}

/// The numbers that matter.
pub(crate) fn line(seen: &Seen) -> String {
    let worst = views(seen).iter().map(|(_, _, pictures)| pictures.best_fps).fold(f64::INFINITY, f64::min);
    let latency = seen.talk.bo.sees.latency_p50_ms.unwrap_or_default();
    format!(
        "{worst:.1} pictures a second or more, median latency {latency:.0} ms, first picture after {} ms, over TCP after {} ms",
        seen.met.first_picture_ms, seen.tcp.join_ms
    )
}

fn number(value: u64) -> f64 {
    f64::from(u32::try_from(value).unwrap_or(u32::MAX))
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

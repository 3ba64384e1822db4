//! What has to hold after the call. Each check is a pure function of what was seen; the names are stable.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::json;

use super::{
    cast::{LATE_PART, OPERATORS},
    leaks::Found,
    links::{Crossing, Moment, crossings, unwatched},
};
use crate::call::{check::Check, seat::Seat};

/// Of the frames that should have come, at least this share has to come on each track. A loopback loses nothing, but a
/// machine that is busy with something else may drop a datagram.
const DELIVERED: f64 = 0.99;

/// Each stream crosses a link once; what is above 1 is framing.
const LINK_RATIO: f64 = 1.1;

/// One key-frame interval of the samples, and the way of one frame through the call.
const LATE_JOIN_MS: u64 = 1_000 + 250;

/// Four heartbeats.
const GONE_S: f64 = 20.0;

/// Before this long two participants have not had the time to hear of each other.
const SETTLED_MS: u64 = 3_000;

/// Everything that was seen.
pub(crate) struct Evidence<'a> {
    pub(crate) seats: &'a [Seat],
    pub(crate) moments: &'a [Moment],
    /// The window in which every relay has listeners and nobody comes or goes.
    pub(crate) window: Option<(Moment, Moment)>,
    pub(crate) leaks: &'a Found,
    pub(crate) needles: usize,
    pub(crate) ended_t: u64,
}

/// All of them, in a fixed order.
pub(crate) fn all(evidence: &Evidence<'_>) -> Vec<Check> {
    vec![
        frames_delivered(evidence),
        safety_codes_equal(evidence),
        link_ratio_max(evidence),
        unwatched_link_bytes(evidence),
        leaks(evidence),
        late_join_ms(evidence),
        killed_gone_s(evidence),
        chat_exactly_once(evidence),
        recordings_playable(evidence),
    ]
}

/// One publisher's track at one receiver.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) publisher: &'static str,
    pub(crate) receiver: &'static str,
    pub(crate) kind: String,
    /// In all, by the publisher's own count; the receiver may have been here for a part of it.
    pub(crate) published: u64,
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) latency_p50_us: Option<u64>,
    pub(crate) latency_p99_us: Option<u64>,
}

/// Every pair that was in the call together long enough to have met.
pub(crate) fn pairs(evidence: &Evidence<'_>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for receiver in evidence.seats {
        for publisher in evidence.seats {
            let (Some(id), Some(joined)) = (&publisher.told.me, publisher.told.joined_t) else { continue };
            let Some(since) = receiver.told.joined_t.map(|other| other.max(joined)) else { continue };
            let until = since + SETTLED_MS;
            if receiver.told.me.as_ref() == Some(id) || !receiver.was_here(since, until) || !publisher.was_here(since, until) {
                continue;
            }
            let sending = publisher.told.stats.iter().flat_map(|stats| &stats.sending);
            for track in sending {
                let got = receiver
                    .told
                    .stats
                    .iter()
                    .flat_map(|stats| &stats.receiving)
                    .find(|got| got.participant == *id && got.kind == track.kind);
                pairs.push(Pair {
                    publisher: publisher.part.name,
                    receiver: receiver.part.name,
                    kind: track.kind.clone(),
                    published: track.frames,
                    received: got.map_or(0, |got| got.frames),
                    lost: got.map_or(0, |got| got.lost),
                    latency_p50_us: got.and_then(|got| got.latency_p50_us),
                    latency_p99_us: got.and_then(|got| got.latency_p99_us),
                });
            }
        }
    }
    pairs
}

fn frames_delivered(evidence: &Evidence<'_>) -> Check {
    let pairs = pairs(evidence);
    let mut problems = Vec::new();
    let mut worst = 1.0_f64;
    for pair in &pairs {
        let due = pair.received + pair.lost;
        let share = if due == 0 { 0.0 } else { ratio(pair.received, due) };
        worst = worst.min(share);
        if share < DELIVERED {
            problems.push(format!(
                "{} received {} of {} {} frames of {}",
                pair.receiver, pair.received, due, pair.kind, pair.publisher
            ));
        }
        // Only a report counts to the end: the last word of somebody who was killed, or is still here, is up to a second old.
        let counted = evidence.seats.iter().any(|seat| seat.part.name == pair.publisher && seat.told.reported);
        if pair.received > pair.published && counted {
            problems.push(format!("{} received more {} frames than {} published", pair.receiver, pair.kind, pair.publisher));
        }
    }
    let expected =
        evidence.seats.iter().map(|seat| seat.part.publishes.len() + usize::from(seat.part.screen.is_some())).sum::<usize>();
    let tracks: BTreeSet<_> = pairs.iter().map(|pair| (pair.publisher, pair.kind.as_str())).collect();
    if tracks.len() < expected {
        problems.push(format!("only {} of {expected} tracks were seen at all", tracks.len()));
    }
    Check::new(
        "frames_delivered",
        json!(round(worst)),
        format!("at least {DELIVERED} of every track at every receiver"),
        problems,
    )
}

fn safety_codes_equal(evidence: &Evidence<'_>) -> Check {
    let mut by_epoch: BTreeMap<u64, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for seat in evidence.seats {
        for (epoch, code) in &seat.told.codes {
            by_epoch.entry(*epoch).or_default().entry(code).or_default().push(seat.part.name);
        }
    }
    let mut problems = Vec::new();
    for (epoch, codes) in &by_epoch {
        if codes.len() > 1 {
            problems.push(format!(
                "in epoch {epoch} there were {} different codes: {:?}",
                codes.len(),
                codes.values().collect::<Vec<_>>()
            ));
        }
    }
    let at_the_end: Vec<&Seat> = evidence
        .seats
        .iter()
        .filter(|seat| seat.killed_t.is_none() && seat.left_t.is_none_or(|left| left >= evidence.ended_t))
        .collect();
    let last: BTreeSet<_> = at_the_end.iter().map(|seat| seat.told.codes.iter().next_back()).collect();
    if last.len() != 1 || last.contains(&None) {
        problems.push("the participants did not end in the same epoch with the same code".to_owned());
    }
    let shared = by_epoch.values().filter(|codes| codes.values().map(Vec::len).sum::<usize>() > 1).count();
    if shared == 0 {
        problems.push("no epoch was shared by two participants".to_owned());
    }
    Check::new("safety_codes_equal", json!(problems.is_empty()), "one code for each epoch at all participants", problems)
}

fn link_ratio_max(evidence: &Evidence<'_>) -> Check {
    let mut problems = Vec::new();
    let crossings: Vec<Crossing> = evidence.window.as_ref().map(|(first, last)| crossings(first, last)).unwrap_or_default();
    if crossings.len() != OPERATORS.len() * (OPERATORS.len() - 1) {
        problems.push("the links were not measured".to_owned());
    }
    for one in &crossings {
        if one.published <= 0.0 || one.crossed <= 0.0 {
            problems.push(format!("nothing crossed from {} to {}", one.from, one.to));
        } else if one.ratio() > LINK_RATIO {
            problems.push(format!("from {} to {} {:.2} times the published bytes crossed", one.from, one.to, one.ratio()));
        }
    }
    let worst = crossings.iter().map(Crossing::ratio).fold(0.0, f64::max);
    Check::new("link_ratio_max", json!(round(worst)), format!("at most {LINK_RATIO}"), problems)
}

fn unwatched_link_bytes(evidence: &Evidence<'_>) -> Check {
    let listener = OPERATORS.get(2).copied().unwrap_or_default();
    let mut problems = Vec::new();
    let value = match unwatched(evidence.moments, listener) {
        None => {
            problems.push(format!("the links to {listener} were not measured before somebody came there"));
            json!(null)
        }
        Some((sent, live)) => {
            if live <= 0.0 {
                problems.push("nothing was published before somebody came there: the measurement says nothing".to_owned());
            }
            if sent > 0.0 {
                problems.push(format!("{sent} media bytes went to {listener} while nobody listened there"));
            }
            json!(sent)
        }
    };
    Check::new("unwatched_link_bytes", value, "0", problems)
}

fn leaks(evidence: &Evidence<'_>) -> Check {
    let mut problems: Vec<String> = evidence
        .leaks
        .hits
        .iter()
        .map(|((file, needle), count)| format!("{needle} stands {count} times in {}", file.display()))
        .collect();
    if evidence.leaks.bytes == 0 || evidence.needles == 0 {
        problems.push("nothing was searched".to_owned());
    }
    Check::new("leaks", json!(evidence.leaks.count()), "0", problems)
}

fn late_join_ms(evidence: &Evidence<'_>) -> Check {
    let mut problems = Vec::new();
    let mut value = json!(null);
    if let Some(late) = evidence.seats.get(LATE_PART) {
        let joined = late.told.joined_t.unwrap_or(u64::MAX);
        let mut worst = 0;
        for other in evidence
            .seats
            .iter()
            .filter(|other| other.was_here(joined.saturating_sub(SETTLED_MS), joined.saturating_add(SETTLED_MS)))
        {
            let pictures = other.told.stats.iter().flat_map(|stats| &stats.sending).filter(|track| track.kind != "microphone");
            for track in pictures {
                let seen = late
                    .told
                    .first_frames
                    .iter()
                    .find(|(who, kind, _)| Some(who) == other.told.me.as_ref() && *kind == track.kind);
                match seen {
                    None => problems.push(format!("{} never saw the {} of {}", late.part.name, track.kind, other.part.name)),
                    Some((_, _, ms)) => {
                        worst = worst.max(*ms);
                        if *ms > LATE_JOIN_MS {
                            problems
                                .push(format!("{} saw the {} of {} after {ms} ms", late.part.name, track.kind, other.part.name));
                        }
                    }
                }
            }
        }
        if worst == 0 {
            problems.push("nobody's picture was there to be seen".to_owned());
        }
        value = json!(worst);
    }
    if value.is_null() {
        problems.push("nobody came late".to_owned());
    }
    Check::new("late_join_ms", value, format!("at most {LATE_JOIN_MS}: one key-frame interval, and the way"), problems)
}

fn killed_gone_s(evidence: &Evidence<'_>) -> Check {
    let mut problems = Vec::new();
    let mut worst = 0.0_f64;
    let mut killed_any = false;
    for killed in evidence.seats {
        let (Some(at), Some(id)) = (killed.killed_t, killed.told.me.as_ref()) else { continue };
        killed_any = true;
        for other in evidence.seats.iter().filter(|other| other.was_here(at, at + 1_000)) {
            let stayed = other.left_t.is_none_or(|left| left > at + 21_000);
            match other.told.left.get(id) {
                Some((t, _)) => {
                    let seconds = seconds(t.saturating_sub(at));
                    worst = worst.max(seconds);
                    if seconds > GONE_S {
                        problems.push(format!("{} kept {} for {seconds:.1} s", other.part.name, killed.part.name));
                    }
                }
                None if stayed => problems.push(format!("{} still has {} in the roster", other.part.name, killed.part.name)),
                None => {}
            }
        }
    }
    if !killed_any {
        problems.push("nobody was killed".to_owned());
    }
    Check::new("killed_gone_s", json!(round(worst)), format!("at most {GONE_S}"), problems)
}

fn chat_exactly_once(evidence: &Evidence<'_>) -> Check {
    let mut problems = Vec::new();
    let mut due = 0;
    for sender in evidence.seats {
        for (t, text) in &sender.told.chats_sent {
            for receiver in evidence.seats {
                if receiver.told.me.is_none() || receiver.told.me == sender.told.me {
                    continue;
                }
                let times = receiver
                    .told
                    .chats
                    .iter()
                    .filter(|(from, heard)| Some(from) == sender.told.me.as_ref() && heard == text)
                    .count();
                let here = receiver.was_here(t.saturating_sub(1_000), t + 1_000);
                due += usize::from(here);
                if times > 1 || (here && times == 0) {
                    problems.push(format!("{} received a message of {} {times} times", receiver.part.name, sender.part.name));
                }
            }
        }
    }
    if due == 0 {
        problems.push("nobody said anything".to_owned());
    }
    Check::new("chat_exactly_once", json!(due), "every message once at everybody who was there", problems)
}

fn recordings_playable(evidence: &Evidence<'_>) -> Check {
    let mut problems = Vec::new();
    let mut good = 0_u64;
    // One who is killed may leave a file that ends inside a frame.
    for seat in evidence.seats.iter().filter(|seat| seat.killed_t.is_none()) {
        let mut files = 0;
        for entry in std::fs::read_dir(seat.recordings()).into_iter().flatten().flatten() {
            files += 1;
            match conclave_media::probe(entry.path()) {
                Ok(summary) if summary.frames > 0 => good += 1,
                Ok(_) => problems.push(format!("a recording of {} has no frames", seat.part.name)),
                Err(error) => problems.push(format!("a recording of {}: {error}", seat.part.name)),
            }
        }
        if files == 0 {
            problems.push(format!("{} recorded nothing", seat.part.name));
        }
    }
    Check::new("recordings_playable", json!(good), "every recording of everybody who was not killed", problems)
}

fn ratio(part: u64, whole: u64) -> f64 {
    let number = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    number(part) / number(whole).max(1.0)
}

fn seconds(ms: u64) -> f64 {
    f64::from(u32::try_from(ms).unwrap_or(u32::MAX)) / 1_000.0
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

//! The live table: redrawn in place on a terminal, a block every few seconds in a log.

use std::{
    fmt::Write as _,
    io::{IsTerminal, Write as _},
    time::Duration,
};

use super::{
    cast::OPERATORS,
    links::{LINK_BYTES, Moment},
};
use crate::call::seat::Seat;

/// How often a log gets the table.
const LOG_EVERY: Duration = Duration::from_secs(8);

/// A track without a frame for this long is not heard or seen any more.
const SILENT_MS: u64 = 2_500;

#[derive(Default)]
pub(crate) struct Table {
    drawn: usize,
    last: Option<Duration>,
}

impl Table {
    /// Draws it as it stands now.
    pub(crate) fn draw(&mut self, at: Duration, seats: &[Seat], moment: Option<&Moment>) {
        let mut out = std::io::stderr().lock();
        let live = out.is_terminal();
        if !live && self.last.is_some_and(|last| at.saturating_sub(last) < LOG_EVERY) {
            return;
        }
        self.last = Some(at);
        let text = render(at, seats, moment);
        if live && self.drawn > 0 {
            let _ = write!(out, "\x1b[{}A\x1b[J", self.drawn);
        }
        self.drawn = text.lines().count();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}

fn render(at: Duration, seats: &[Seat], moment: Option<&Moment>) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\n  {:>2} s   participant  at      hears  sees  lost  latency p50  epoch  here", at.as_secs());
    for seat in seats {
        let state = if seat.killed_t.is_some() {
            "killed"
        } else if seat.left_t.is_some() {
            "left"
        } else if seat.told.joined_t.is_none() {
            "joining"
        } else {
            ""
        };
        let operator = OPERATORS.get(seat.part.operator).copied().unwrap_or_default();
        let Some(stats) = seat.told.stats.as_ref().filter(|_| state.is_empty()) else {
            let _ = writeln!(text, "         {:<11}  {operator:<6}  {state}", seat.part.name);
            continue;
        };
        let fresh = |kinds: &dyn Fn(&str) -> bool| {
            stats
                .receiving
                .iter()
                .filter(|track| {
                    kinds(&track.kind) && track.frames > 0 && track.last_frame_age_ms.is_none_or(|age| age < SILENT_MS)
                })
                .count()
        };
        let heard = fresh(&|kind| kind == "microphone");
        let seen = fresh(&|kind| kind != "microphone");
        let lost: u64 = stats.receiving.iter().map(|track| track.lost).sum();
        let mut latencies: Vec<u64> = stats.receiving.iter().filter_map(|track| track.latency_p50_us).collect();
        latencies.sort_unstable();
        let latency = latencies
            .get(latencies.len() / 2)
            .map_or_else(|| "-".to_owned(), |us| format!("{}.{} ms", us / 1_000, us % 1_000 / 100));
        let _ = writeln!(
            text,
            "         {:<11}  {operator:<6}  {heard:>5}  {seen:>4}  {lost:>4}  {latency:>11}  {:>5}  {:>4}",
            seat.part.name, stats.epoch, stats.roster_size
        );
    }
    if let Some(moment) = moment {
        let _ = writeln!(text, "\n         relay   sessions  tracks   media to other relays, kB");
        for (name, sample) in OPERATORS.into_iter().zip(&moment.relays) {
            let mut links = String::new();
            for to in OPERATORS.into_iter().filter(|to| *to != name) {
                let way =
                    |direction| sample.sum(LINK_BYTES, &[("peer", to), ("direction", direction), ("kind", "media")]) / 1_000.0;
                let _ = write!(links, "   {to}: {:>5.0} out {:>5.0} in", way("out"), way("in"));
            }
            let _ = writeln!(
                text,
                "         {name:<6}  {:>8.0}  {:>6.0}{links}",
                sample.sum("conclave_relay_sessions", &[]),
                sample.sum("conclave_relay_tracks", &[]),
            );
        }
    }
    text
}

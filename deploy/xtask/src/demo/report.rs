//! The report: a page for people, and the same as JSON.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    checks::{Evidence, Pair, all, pairs},
    links::crossings,
};
use crate::call::check::{Check, verdict};

/// Everything that the demo says at its end.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) ok: bool,
    pub(crate) checks: Vec<Check>,
    pairs: Vec<Pair>,
    participants: Vec<Value>,
    links: Vec<Value>,
    leak_search: Value,
}

impl Report {
    pub(crate) fn of(evidence: &Evidence<'_>) -> Self {
        let checks = all(evidence);
        let participants = evidence
            .seats
            .iter()
            .map(|seat| {
                let first = seat.told.first_frames.iter().map(|(_, _, ms)| *ms).min();
                json!({
                    "name": seat.part.name,
                    "join_ms": seat.told.join_ms,
                    "first_frame_ms": first.zip(seat.told.join_ms).map(|(since, join)| since + join),
                    "published_bytes": seat.told.stats.iter().flat_map(|stats| &stats.sending).map(|track| track.bytes).sum::<u64>(),
                    "epochs": seat.told.codes.len(),
                    "safety_code": seat.told.codes.values().next_back(),
                    "warnings": seat.told.warnings,
                })
            })
            .collect();
        let links = evidence
            .window
            .as_ref()
            .map(|(first, last)| crossings(first, last))
            .unwrap_or_default()
            .iter()
            .map(|one| json!({"from": one.from, "to": one.to, "media_bytes": one.crossed, "published_bytes": one.published, "ratio": one.ratio()}))
            .collect();
        let leak_search = json!({
            "secrets_and_markers": evidence.needles,
            "files": evidence.leaks.files,
            "bytes": evidence.leaks.bytes,
            "hits": evidence.leaks.count(),
        });
        Self { ok: checks.iter().all(|check| check.ok), checks, pairs: pairs(evidence), participants, links, leak_search }
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).context("the report cannot be written as JSON")?;
        std::fs::write(path, text + "\n").with_context(|| format!("{} cannot be written", path.display()))
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "\n  Who received what: frames received / lost, and the latency from capture to delivery (p50, p99)\n"
        );
        let mut by_pair: BTreeMap<(&str, &str), Vec<&Pair>> = BTreeMap::new();
        for pair in &self.pairs {
            by_pair.entry((pair.receiver, pair.publisher)).or_default().push(pair);
        }
        for ((receiver, publisher), tracks) in by_pair {
            let _ = write!(text, "    {receiver:<6} from {publisher:<6}");
            for track in tracks {
                let ms = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| format!("{}.{}", us / 1_000, us % 1_000 / 100));
                let _ = write!(
                    text,
                    "   {} {}/{} ({}, {} ms)",
                    track.kind,
                    track.received,
                    track.lost,
                    ms(track.latency_p50_us),
                    ms(track.latency_p99_us)
                );
            }
            text.push('\n');
        }
        let _ = writeln!(text, "\n  What crossed the links, against what was published behind them\n");
        for link in &self.links {
            let number = |key: &str| link.get(key).and_then(Value::as_f64).unwrap_or_default();
            let word = |key: &str| link.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let _ = writeln!(
                text,
                "    {:<6} -> {:<6} {:>8.0} kB of {:>8.0} kB: {:.3}",
                word("from"),
                word("to"),
                number("media_bytes") / 1_000.0,
                number("published_bytes") / 1_000.0,
                number("ratio")
            );
        }
        let _ = writeln!(text, "\n  Who came in how fast\n");
        for one in &self.participants {
            let ms = |key: &str| one.get(key).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
            let _ = writeln!(
                text,
                "    {:<6} joined after {:>8}, first frame after {:>8}",
                one.get("name").and_then(Value::as_str).unwrap_or_default(),
                ms("join_ms"),
                ms("first_frame_ms")
            );
        }
        let count = |key: &str| self.leak_search.get(key).and_then(Value::as_u64).unwrap_or_default();
        let _ = writeln!(
            text,
            "\n  Searched {:.1} MB in {} files of the operators for {} secrets and markers: {} hits\n",
            self.leak_search.get("bytes").and_then(Value::as_f64).unwrap_or_default() / 1e6,
            count("files"),
            count("secrets_and_markers"),
            count("hits")
        );
        text.push_str(&verdict(&self.checks));
        text
    }
}

//! What the web side counts, in plain numbers that other threads may read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The page itself, under `/` or for a link.
    Page,
    /// One of its files.
    File,
    /// The signed document.
    WellKnown,
    /// A session over WebSocket.
    WebSocket,
    /// Anything else.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Page, Self::File, Self::WellKnown, Self::WebSocket, Self::Other];

    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::File => "file",
            Self::WellKnown => "well_known",
            Self::WebSocket => "websocket",
            Self::Other => "other",
        }
    }
}

/// Classes of answers, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why a connection was ended before it was served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// All places are taken.
    Full,
    /// It did not say in time what it wants.
    Slow,
    /// Its TLS handshake failed.
    Tls,
    /// It lasted too long.
    Long,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Slow, Self::Tls, Self::Long];

    /// The label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Slow => "slow",
            Self::Tls => "tls",
            Self::Long => "long",
        }
    }
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub struct Counts {
    requests: [[AtomicU64; CLASSES.len()]; Kind::ALL.len()],
    refused: [AtomicU64; Refusal::ALL.len()],
    connections: AtomicI64,
    /// Seconds since 1970.
    expiry: AtomicU64,
}

impl Counts {
    /// A request was answered.
    pub(crate) fn on_request(&self, kind: Kind, status: u16) {
        let row = Kind::ALL.iter().position(|each| *each == kind).and_then(|at| self.requests.get(at));
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(count) = row.zip(class).and_then(|(row, class)| row.get(class)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A connection was ended before it was served.
    pub(crate) fn on_refusal(&self, why: Refusal) {
        if let Some(count) = Refusal::ALL.iter().position(|each| *each == why).and_then(|at| self.refused.get(at)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A connection began.
    pub(crate) fn on_open(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A connection ended.
    pub(crate) fn on_close(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Another certificate is shown.
    pub(crate) fn on_certificate(&self, not_after_unix_ms: u64) {
        self.expiry.store(not_after_unix_ms / 1_000, Relaxed);
    }

    /// Answers by kind and class; those that never happened are left out.
    pub fn requests(&self) -> impl Iterator<Item = (Kind, &'static str, u64)> + '_ {
        Kind::ALL
            .into_iter()
            .zip(&self.requests)
            .flat_map(|(kind, row)| CLASSES.into_iter().zip(row).map(move |(class, count)| (kind, class, count.load(Relaxed))))
            .filter(|(_, _, count)| *count > 0)
    }

    /// Connections refused, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.into_iter().zip(&self.refused).map(|(why, count)| (why, count.load(Relaxed)))
    }

    /// Connections open now, WebSockets included.
    #[must_use]
    pub fn connections(&self) -> u64 {
        u64::try_from(self.connections.load(Relaxed)).unwrap_or(0)
    }

    /// When the certificate that browsers compare by its hash ends, in seconds since 1970.
    #[must_use]
    pub fn expiry(&self) -> u64 {
        self.expiry.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_kind_and_class() {
        let counts = Counts::default();
        for (kind, status) in [(Kind::Page, 200), (Kind::Page, 304), (Kind::File, 200), (Kind::File, 206), (Kind::Other, 404)] {
            counts.on_request(kind, status);
        }
        let found: Vec<_> = counts.requests().collect();
        assert_eq!(found, [(Kind::Page, "2xx", 1), (Kind::Page, "3xx", 1), (Kind::File, "2xx", 2), (Kind::Other, "4xx", 1)]);
    }
}

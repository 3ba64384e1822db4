//! A relay's own numbers, read as Prometheus reads them.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// A loopback listener that does not answer in this time is not going to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that one scrape said: the metric with its labels, and the value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The text itself: it is searched for leaks too.
    pub(crate) text: String,
    values: BTreeMap<String, f64>,
}

impl Sample {
    pub(crate) fn fetch(from: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&from, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("the answer is {}", head.lines().next().unwrap_or_default());
        }
        Ok(Self::parse(body))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let values = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
            .collect();
        Self { text: text.to_owned(), values }
    }

    /// The sum over all series of a metric that have these labels.
    pub(crate) fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.values
            .iter()
            .filter(|(name, _)| {
                let (family, rest) = name.split_once('{').unwrap_or((name, ""));
                family == metric && labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")))
            })
            .map(|(_, value)| value)
            .sum()
    }

    /// Whether the relay has such a metric at all: a name that changed must not read as zero.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.values.keys().any(|name| name.split('{').next() == Some(metric))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let sample = Sample::parse(
            "# HELP x y\nx{peer=\"Birch\",kind=\"media\"} 3\nx{peer=\"Birch\",kind=\"control\"} 4\nx{peer=\"Cedar\",kind=\"media\"} 5\ny 1.5\n",
        );
        assert!((sample.sum("x", &[("peer", "Birch")]) - 7.0).abs() < 1e-9);
        assert!((sample.sum("x", &[("kind", "media"), ("peer", "Cedar")]) - 5.0).abs() < 1e-9);
        assert!((sample.sum("y", &[]) - 1.5).abs() < 1e-9);
        assert!(sample.has("x") && !sample.has("z"));
    }
}

//! The names of metrics, all of them in this file; the only one that knows the `prometheus` crate.
//!
//! Counting happens beside the code that does the thing, in plain numbers; here they get names, units and labels. No room,
//! track, client, user or address is ever a label; relays are labelled by the names that the operator's own file gives them.

use std::sync::Arc;

use conclave_federation::id::RelayId;
use conclave_quic::{Counters, Transport};
use conclave_relay_core::{Stats, stats::Fanout};
use prometheus::{
    Registry, TextEncoder,
    process_collector::ProcessCollector,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{
    store::{Health, SYNC_BOUNDS},
    web::counts::Counts,
};

/// The content type of what [`Exporter::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What was counted, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// By the decisions.
    pub stats: Stats,
    /// By the network's driver.
    pub network: Counters,
    /// Sessions that others began, by what carries them.
    pub transports: Vec<TransportCount>,
    /// Whether the relay stops.
    pub draining: bool,
    /// Whether it is willing to serve.
    pub ready: bool,
}

/// Sessions that others began, over one transport.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransportCount {
    /// Over what.
    pub transport: Transport,
    /// Open now.
    pub open: usize,
    /// Since the start.
    pub begun: u64,
}

/// Gives numbers their names.
pub struct Exporter {
    process: Registry,
    peers: Vec<(RelayId, String)>,
    store: Arc<Health>,
    web: Option<Arc<Counts>>,
}

impl Exporter {
    /// `peers` are the relays that get a label of their own; the rest is `other`. `web` is none where no browsers are served.
    #[must_use]
    pub fn new(peers: Vec<(RelayId, String)>, store: Arc<Health>, web: Option<Arc<Counts>>) -> Self {
        let process = Registry::new();
        // Fails for a second collector of the same name only.
        let _ = process.register(Box::new(ProcessCollector::for_self()));
        Self { process, peers, store, web }
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut families = self.families(snapshot);
        families.extend(self.process.gather());
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    fn families(&self, snapshot: &Snapshot) -> Vec<MetricFamily> {
        let mut out = Families::default();
        out.gauge("build_info", "Which software this is; always 1.", &[(&[("version", env!("CARGO_PKG_VERSION"))], 1)]);
        out.gauge("ready", "Whether the relay is willing to serve.", &[(&[], u64::from(snapshot.ready))]);
        out.gauge("draining", "Whether the relay stops.", &[(&[], u64::from(snapshot.draining))]);
        sessions(&mut out, &snapshot.stats);
        rooms(&mut out, &snapshot.stats);
        media(&mut out, &snapshot.stats);
        self.links(&mut out, &snapshot.stats);
        bounds(&mut out, &snapshot.stats);
        network(&mut out, &snapshot.network);
        transports(&mut out, &snapshot.transports);
        if let Some(counts) = &self.web {
            web(&mut out, counts, &snapshot.network);
        }
        self.store(&mut out, &snapshot.stats);
        out.0
    }

    fn links(&self, out: &mut Families, stats: &Stats) {
        struct Sum<'a> {
            peer: &'a str,
            up: u64,
            bytes: [u64; 4],
        }
        let named = self.peers.iter().map(|(_, name)| name.as_str());
        let mut sums: Vec<Sum<'_>> = named.chain(["other"]).map(|peer| Sum { peer, up: 0, bytes: [0; 4] }).collect();
        for link in &stats.links {
            let place = self.peers.iter().position(|(relay, _)| Some(*relay) == link.relay).unwrap_or(self.peers.len());
            let Some(sum) = sums.get_mut(place) else { continue };
            sum.up += u64::from(link.up);
            let bytes = [link.media_in, link.media_out, link.control_in, link.control_out];
            sum.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to += from);
        }
        let kinds = [("media", "in"), ("media", "out"), ("control", "in"), ("control", "out")];
        let bytes = sums.iter().flat_map(|sum| {
            sum.bytes.iter().zip(kinds).map(move |(bytes, (kind, direction))| {
                (vec![("peer", sum.peer), ("direction", direction), ("kind", kind)], *bytes)
            })
        });
        out.counters(
            "link_bytes_total",
            "Bytes of the hop protocol exchanged with other relays: media is what travels on tracks of audio, video and screens.",
            bytes,
        );
        let up = sums.iter().map(|sum| (vec![("peer", sum.peer)], sum.up));
        out.gauges("link_up", "Links to other relays that are up.", up);
    }

    fn store(&self, out: &mut Families, stats: &Stats) {
        out.gauge("store_up", "Whether the store writes.", &[(&[], u64::from(self.store.is_ok()))]);
        out.counter("store_errors_total", "Times that the store stopped writing.", &[(&[], self.store.errors())]);
        out.counter("store_refused_writes_total", "Writes that the store could not do.", &[(&[], stats.store_failures)]);
        out.gauge("store_bytes", "Size of the store on disk when last looked at.", &[(&[], self.store.bytes())]);
        out.histogram(
            "store_sync_duration_seconds",
            "How long a group of writes took to become durable.",
            &SYNC_BOUNDS,
            &self.store.syncs(),
            self.store.sync_time().as_secs_f64(),
        );
    }
}

fn sessions(out: &mut Families, stats: &Stats) {
    let kind = |client, link| [([("kind", "client")], client), ([("kind", "link")], link)];
    out.gauges(
        "sessions",
        "Sessions open now.",
        [("opening", stats.sessions_opening), ("client", stats.sessions.client), ("link", stats.sessions.link)]
            .map(|(kind, count)| (vec![("kind", kind)], count)),
    );
    out.counters(
        "sessions_opened_total",
        "Sessions whose opening was complete.",
        kind(stats.sessions_opened.client, stats.sessions_opened.link).map(|(labels, count)| (labels.to_vec(), count)),
    );
    out.counters(
        "sessions_closed_total",
        "Sessions that ended, by reason.",
        stats.sessions_closed.iter().map(|(reason, count)| (vec![("reason", *reason)], *count)),
    );
    out.counter("sessions_malformed_total", "Sessions closed for bytes that could not be read.", &[(&[], stats.malformed)]);
    out.counters(
        "requests_refused_total",
        "Requests refused, by reason.",
        stats.refused.iter().map(|(reason, count)| (vec![("reason", *reason)], *count)),
    );
    out.counter("dials_total", "Attempts to reach another relay.", &[(&[], stats.dials)]);
    out.counter("dials_failed_total", "Attempts to reach another relay that came to nothing.", &[(&[], stats.dials_failed)]);
}

fn rooms(out: &mut Families, stats: &Stats) {
    let followed = stats.rooms.saturating_sub(stats.rooms_hub);
    out.gauge(
        "rooms",
        "Rooms here, ordered or followed.",
        &[(&[("role", "hub")], stats.rooms_hub), (&[("role", "follower")], followed)],
    );
    out.gauge("rooms_closed", "Rooms that the operator has closed.", &[(&[], stats.rooms_closed)]);
    out.counter("rooms_closed_total", "Rooms closed by the operator.", &[(&[], stats.rooms_closed_total)]);
    out.counter("rooms_reopened_total", "Rooms opened again by the operator.", &[(&[], stats.rooms_reopened_total)]);
    out.gauge("attachments", "Clients attached, counted once for each room they are in.", &[(&[], stats.attached)]);
    let class = |name, count| (vec![("class", name)], count);
    out.gauges(
        "tracks",
        "Tracks that have a publisher or a subscriber here.",
        [
            class("datagram", stats.tracks.datagram),
            class("groups", stats.tracks.groups),
            class("reliable", stats.tracks.reliable),
        ],
    );
    out.gauge(
        "subscriptions",
        "Subscriptions of all sessions.",
        &[(&[("kind", "client")], stats.subscriptions.client), (&[("kind", "link")], stats.subscriptions.link)],
    );
    let results = |all: Vec<(&'static str, u64)>| all.into_iter().map(|(result, count)| (vec![("result", result)], count));
    out.counters(
        "log_appends_total",
        "Entries offered to the logs ordered here, by what became of them.",
        results(stats.appends.all()),
    );
    out.counters(
        "log_reserves_total",
        "Hosts' words that came with entries, by what became of them; held: the log waited for a host, refused: others meanwhile.",
        results(stats.reserves.all()),
    );
    out.counters(
        "stamps_total",
        "Stamps for reports asked of the hubs here, by what became of them.",
        results(stats.stamps.all()),
    );
    out.counter("generations_total", "Times that a room's keys changed.", &[(&[], stats.generations)]);
    out.counters(
        "cut_sessions_total",
        "Sessions cut off from a room because they showed no proof of its new keys in time.",
        [("client", stats.cut.client), ("link", stats.cut.link)].map(|(kind, count)| (vec![("kind", kind)], count)),
    );
    out.counter(
        "records_refused_total",
        "Records of rooms here that were not believed, or were older.",
        &[(&[], stats.records_refused)],
    );
    out.counter("calls_ended_total", "Calls ended for all by a host, at the hubs here.", &[(&[], stats.calls_ended)]);
    out.counters("joins_total", "Join requests at the hubs here, by what became of them.", results(stats.joins.all()));
}

fn media(out: &mut Families, stats: &Stats) {
    let ways = |inward: conclave_relay_core::stats::PerKind, outward: conclave_relay_core::stats::PerKind| {
        [
            ("client", "in", inward.client),
            ("client", "out", outward.client),
            ("link", "in", inward.link),
            ("link", "out", outward.link),
        ]
        .map(|(kind, direction, count)| (vec![("kind", kind), ("direction", direction)], count))
    };
    out.counters(
        "media_objects_total",
        "Objects of media, by the kind of session.",
        ways(stats.media_objects_in, stats.media_objects_out),
    );
    out.counters(
        "media_bytes_total",
        "Bytes of media, by the kind of session.",
        ways(stats.media_bytes_in, stats.media_bytes_out),
    );
    out.counters(
        "control_bytes_total",
        "Bytes of control messages and reliable tracks, by the kind of session.",
        ways(stats.control_bytes_in, stats.control_bytes_out),
    );
    out.counters(
        "dropped_total",
        "Objects, or streams of groups, that were not passed on.",
        stats.dropped.all().into_iter().map(|(reason, count)| (vec![("reason", reason)], count)),
    );
    out.counter("key_frame_requests_total", "Key frame requests that arrived.", &[(&[], stats.key_frames_asked)]);
    out.counter("key_frame_requests_passed_total", "Key frame requests that were passed on.", &[(&[], stats.key_frames_passed)]);
    // Exact in the sum, which is what a mean needs; a float has 53 bits.
    #[allow(clippy::cast_precision_loss, reason = "metrics are floats")]
    let bounds = Fanout::BOUNDS.map(|bound| bound as f64);
    #[allow(clippy::cast_precision_loss, reason = "metrics are floats")]
    let sum = stats.fanout.sum as f64;
    out.histogram("fanout_subscribers", "How many subscribers an object went to.", &bounds, &stats.fanout.buckets, sum);
}

fn bounds(out: &mut Families, stats: &Stats) {
    out.counters(
        "limit_hits_total",
        "How often a bound was reached.",
        stats.limit_hits.iter().map(|(limit, count)| (vec![("limit", limit.name())], *count)),
    );
    out.counter("egress_blocked_total", "How often a subscriber's queue was opened.", &[(&[], stats.egress_blocked)]);
    out.gauge("egress_queued_bytes", "Bytes waiting for blocked subscribers.", &[(&[], stats.egress_queued)]);
    out.gauge(
        "egress_queue_peak_bytes",
        "Most that ever waited for one subscriber of one track.",
        &[(&[], stats.egress_queue_peak)],
    );
    out.gauge("cached_bytes", "Bytes of cached groups.", &[(&[], stats.cached)]);
    out.gauge("retained_bytes", "Bytes of retained objects of reliable tracks.", &[(&[], stats.retained)]);
}

fn network(out: &mut Families, network: &Counters) {
    let result = |name, count| (vec![("result", name)], count);
    out.counters(
        "handshakes_total",
        "Handshakes of those who dialled this relay.",
        [
            result("ok", network.handshakes_ok),
            result("timed_out", network.handshakes_timed_out),
            result("alpn", network.handshakes_alpn),
            result("failed", network.handshakes_failed),
            result("refused", network.handshakes_refused),
            result("unfit", network.sessions_unfit),
        ],
    );
    out.counter("handshake_retries_total", "Handshakes sent back to prove their address first.", &[(&[], network.retries)]);
    out.counter(
        "datagrams_total",
        "Datagrams of the hop protocol.",
        &[(&[("direction", "in")], network.datagrams_in), (&[("direction", "out")], network.datagrams_out)],
    );
    out.counter(
        "network_bytes_total",
        "Bytes of streams and datagrams, without QUIC's own.",
        &[(&[("direction", "in")], network.bytes_in), (&[("direction", "out")], network.bytes_out)],
    );
    out.counters(
        "network_blocked_total",
        "Offers that the transport could not take at once.",
        [("datagram", network.datagrams_blocked), ("oversized", network.datagrams_oversized), ("write", network.writes_blocked)]
            .into_iter()
            .chain([("open", network.opens_blocked)])
            .map(|(what, count)| (vec![("what", what)], count)),
    );
    out.counter("panics_total", "Sessions ended by a bug of this software: please report it.", &[(&[], network.panics)]);
}

fn transports(out: &mut Families, transports: &[TransportCount]) {
    let named: Vec<(String, &TransportCount)> = transports.iter().map(|count| (count.transport.to_string(), count)).collect();
    out.gauges(
        "accepted_sessions",
        "Sessions open now that others began, by what carries them.",
        named.iter().map(|(name, count)| (vec![("transport", name.as_str())], u64::try_from(count.open).unwrap_or(u64::MAX))),
    );
    out.counters(
        "accepted_sessions_total",
        "Sessions that others began, by what carries them.",
        named.iter().map(|(name, count)| (vec![("transport", name.as_str())], count.begun)),
    );
}

fn web(out: &mut Families, counts: &Counts, network: &Counters) {
    out.counters(
        "web_requests_total",
        "HTTP requests answered, by what was asked for and the class of the answer.",
        counts.requests().map(|(kind, class, count)| (vec![("kind", kind.name()), ("status", class)], count)),
    );
    out.gauge("web_connections", "TCP connections open now, sessions over WebSocket included.", &[(&[], counts.connections())]);
    out.counters(
        "web_refused_total",
        "TCP connections ended before they were served.",
        counts.refused().map(|(why, count)| (vec![("reason", why.name())], count)),
    );
    out.counters(
        "web_broken_total",
        "Sessions of browsers refused or ended for what they sent.",
        [
            ("request", network.web_sessions_refused + network.web_requests_broken),
            ("stream", network.web_streams_broken),
            ("datagram", network.web_datagrams_broken),
            ("message", network.pipes_broken),
        ]
        .map(|(what, count)| (vec![("what", what)], count)),
    );
    out.gauge(
        "web_certificate_expiry_timestamp_seconds",
        "When the certificate ends that browsers compare by its hash; another one is shown a day before.",
        &[(&[], counts.expiry())],
    );
}

/// Families in the order in which they are added.
#[derive(Default)]
struct Families(Vec<MetricFamily>);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Families {
    fn counter(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) {
        self.counters(name, help, values.iter().map(|(labels, value)| (labels.to_vec(), *value)));
    }

    fn gauge(&mut self, name: &str, help: &str, values: &[(Labels<'_>, u64)]) {
        self.gauges(name, help, values.iter().map(|(labels, value)| (labels.to_vec(), *value)));
    }

    fn counters<'a>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, u64)>) {
        let metrics = values.into_iter().map(|(labels, value)| {
            let mut counter = Counter::default();
            counter.set_value(float(value));
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_counter(counter);
            metric
        });
        self.add(name, help, MetricType::COUNTER, metrics.collect());
    }

    fn gauges<'a>(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, u64)>) {
        let metrics = values.into_iter().map(|(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(float(value));
            let mut metric = Metric::from_label(pairs(&labels));
            metric.set_gauge(gauge);
            metric
        });
        self.add(name, help, MetricType::GAUGE, metrics.collect());
    }

    /// `counts` has one more than `bounds`: the rest.
    fn histogram(&mut self, name: &str, help: &str, bounds: &[f64], counts: &[u64], sum: f64) {
        let mut below = 0;
        let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum);
        let mut metric = Metric::from_label(Vec::new());
        metric.set_histogram(histogram);
        self.add(name, help, MetricType::HISTOGRAM, vec![metric]);
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        // A family without a value yet has nothing to show.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("conclave_relay_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    labels
        .iter()
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "metrics are floats; beyond 2^53 nobody counts single bytes")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use conclave_federation::wire::code::Code;
    use conclave_relay_core::stats::{Limit, LinkStats};

    use super::*;
    use crate::web::counts::Kind;

    fn link(relay: Option<u8>, bytes: u64) -> LinkStats {
        let relay = relay.map(|byte| RelayId::new([byte; 32]));
        LinkStats {
            relay,
            up: relay.is_some(),
            media_in: bytes,
            media_out: bytes * 2,
            control_in: bytes * 3,
            control_out: bytes * 4,
        }
    }

    /// Everything that can be counted, was.
    fn busy() -> Snapshot {
        let mut stats = Stats::default();
        for (count, code) in (1..).zip(Code::ALL) {
            stats.sessions_closed.insert(code.name(), count);
            stats.refused.insert(code.name(), count);
        }
        for (count, limit) in (1..).zip(Limit::ALL) {
            stats.limit_hits.insert(*limit, count);
        }
        stats.links = vec![link(None, 1), link(Some(7), 10), link(Some(9), 100)];
        stats.fanout.buckets = [1; 9];
        stats.fanout.count = 9;
        stats.fanout.sum = 1_000;
        let all = [Transport::Quic, Transport::WebTransport, Transport::WebSocket];
        let transports = all.map(|transport| TransportCount { transport, open: 1, begun: 2 }).to_vec();
        Snapshot { stats, network: Counters::default(), transports, draining: false, ready: true }
    }

    fn exporter() -> Exporter {
        let counts = Counts::default();
        for kind in Kind::ALL {
            for status in [101, 200, 304, 404, 503] {
                counts.on_request(kind, status);
            }
        }
        Exporter::new(vec![(RelayId::new([7; 32]), "Birch".to_owned())], Arc::new(Health::default()), Some(Arc::new(counts)))
    }

    #[test]
    fn every_name_unit_help_and_label_follows_the_rules() {
        let labels: BTreeSet<&str> =
            ["version", "kind", "reason", "role", "class", "result", "direction", "peer", "limit", "what", "transport", "status"]
                .into();
        let mut names = BTreeSet::new();
        let mut series = 0;
        for family in exporter().families(&busy()) {
            let name = family.name().to_owned();
            assert!(names.insert(name.clone()), "{name} twice");
            assert!(name.starts_with("conclave_relay_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(family.help().ends_with('.') && family.help().len() > 10, "{name}");
            let is_counter = family.get_field_type() == MetricType::COUNTER;
            assert_eq!(is_counter, name.ends_with("_total"), "{name}");
            for not_base in ["_ms", "_millis", "_kb", "_kib", "_mb", "_percent", "_count"] {
                assert!(!name.trim_end_matches("_total").ends_with(not_base), "{name}");
            }
            let mut seen = BTreeSet::new();
            for metric in family.get_metric() {
                series += 1;
                let pairs: Vec<(&str, &str)> = metric.get_label().iter().map(|pair| (pair.name(), pair.value())).collect();
                assert!(
                    seen.insert(pairs.iter().map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>()),
                    "{name} {pairs:?} twice"
                );
                for (label, value) in pairs {
                    assert!(labels.contains(label), "{name}: label {label}");
                    assert!(!value.is_empty() && value.len() <= 40, "{name}: {label}={value}");
                }
            }
        }
        assert!(names.len() > 30, "{}", names.len());
        assert!(series < 2_000, "{series}");
    }

    #[test]
    fn links_are_labelled_by_the_names_of_the_file_and_strangers_are_summed() {
        let text = exporter().render(&busy());
        for line in [
            r#"conclave_relay_link_bytes_total{peer="Birch",direction="in",kind="media"} 10"#,
            r#"conclave_relay_link_bytes_total{peer="Birch",direction="out",kind="control"} 40"#,
            r#"conclave_relay_link_bytes_total{peer="other",direction="out",kind="media"} 202"#,
            r#"conclave_relay_link_up{peer="other"} 1"#,
            r#"conclave_relay_accepted_sessions{transport="webtransport"} 1"#,
            r#"conclave_relay_accepted_sessions_total{transport="websocket"} 2"#,
            r#"conclave_relay_web_requests_total{kind="websocket",status="1xx"} 1"#,
            "conclave_relay_fanout_subscribers_bucket{le=\"2\"} 2",
            "conclave_relay_fanout_subscribers_count 9",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.lines().any(|found| found == line), "missing: {line}\n{text}");
        }
        assert!(!text.contains(&"09".repeat(32)) && !text.contains("090909"), "an id of a relay got out");
    }
}

//! The log goes to standard error; standard output carries the readiness line alone.
//!
//! Only our own crates speak: libraries below put addresses into their warnings, and no address may be logged.

use conclave_federation::id::RelayId;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::settings::{Format, Level, Log};

/// Starts logging. A second call in one process changes nothing.
pub fn start(settings: &Log, relay: Option<RelayId>) {
    let level = match settings.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let ours = Targets::new().with_target("conclave", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match settings.format {
        Format::Json => lines.json().boxed(),
        Format::Text => lines.with_ansi(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
    if let (Ok(()), Some(relay)) = (started, relay) {
        tracing::debug!(relay = relay.short(), "logging");
    }
}

//! What crossed each link between relays, against what was published behind it.

use std::time::Duration;

use super::cast::{LATE, OPERATORS};
use crate::call::metrics::Sample;

/// Bytes on links, by peer, direction and kind.
pub(crate) const LINK_BYTES: &str = "conclave_relay_link_bytes_total";

/// Media bytes by direction, and by what is at the other end.
pub(crate) const MEDIA_BYTES: &str = "conclave_relay_media_bytes_total";

/// All relays' metrics at one moment of the call.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Since the first participant's link.
    pub(crate) at: Duration,
    /// In the order of [`OPERATORS`].
    pub(crate) relays: Vec<Sample>,
}

/// One direction of one link.
#[derive(Clone, Debug)]
pub(crate) struct Crossing {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Media bytes that crossed in the measured window.
    pub(crate) crossed: f64,
    /// Media bytes that participants at `from` published in the same window.
    pub(crate) published: f64,
}

impl Crossing {
    pub(crate) fn ratio(&self) -> f64 {
        if self.published > 0.0 { self.crossed / self.published } else { f64::INFINITY }
    }
}

fn crossed(sample: &Sample, to: &str) -> f64 {
    sample.sum(LINK_BYTES, &[("peer", to), ("direction", "out"), ("kind", "media")])
}

fn published(sample: &Sample) -> f64 {
    sample.sum(MEDIA_BYTES, &[("direction", "in"), ("kind", "client")])
}

/// Every direction of every link between two moments.
pub(crate) fn crossings(first: &Moment, last: &Moment) -> Vec<Crossing> {
    let mut crossings = Vec::new();
    for (index, from) in OPERATORS.into_iter().enumerate() {
        let (Some(before), Some(after)) = (first.relays.get(index), last.relays.get(index)) else { continue };
        for to in OPERATORS {
            if to != from {
                crossings.push(Crossing {
                    from,
                    to,
                    crossed: crossed(after, to) - crossed(before, to),
                    published: published(after) - published(before),
                });
            }
        }
    }
    crossings
}

/// Media bytes sent towards the relay where nobody listens yet, and those published meanwhile: the first has to be nothing,
/// the second has to be something, or the first means nothing.
pub(crate) fn unwatched(moments: &[Moment], listener: &str) -> Option<(f64, f64)> {
    let last = moments.iter().rfind(|moment| moment.at < LATE)?;
    let mut sent = 0.0;
    let mut live = 0.0;
    for (from, sample) in OPERATORS.into_iter().zip(&last.relays) {
        if from != listener {
            if !sample.has(LINK_BYTES) || !sample.has(MEDIA_BYTES) {
                return None;
            }
            sent += crossed(sample, listener);
            live += published(sample);
        }
    }
    Some((sent, live))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(out_to_birch: u32, out_to_cedar: u32, inside: u32) -> Sample {
        Sample::parse(&format!(
            "{LINK_BYTES}{{direction=\"out\",kind=\"media\",peer=\"Birch\"}} {out_to_birch}\n\
             {LINK_BYTES}{{direction=\"out\",kind=\"media\",peer=\"Cedar\"}} {out_to_cedar}\n\
             {LINK_BYTES}{{direction=\"out\",kind=\"control\",peer=\"Cedar\"}} 77\n\
             {MEDIA_BYTES}{{direction=\"in\",kind=\"client\"}} {inside}\n"
        ))
    }

    fn moment(seconds: u64, out: u32, unwatched: u32, inside: u32) -> Moment {
        Moment { at: Duration::from_secs(seconds), relays: vec![sample(out, unwatched, inside); 3] }
    }

    #[test]
    fn the_ratio_is_of_the_window_and_not_of_the_call() {
        let crossings = crossings(&moment(12, 1_000, 0, 5_000), &moment(20, 3_000, 0, 7_000));
        let alder = crossings.iter().find(|one| one.from == "Alder" && one.to == "Birch").expect("a link");
        assert!((alder.ratio() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_byte_to_nobody_is_seen_and_so_is_a_metric_that_is_gone() {
        assert_eq!(unwatched(&[moment(9, 5, 3, 100)], "Cedar"), Some((6.0, 200.0)));
        assert_eq!(unwatched(&[moment(11, 5, 3, 100)], "Cedar"), None, "after the first listener came");
        let empty = Moment { at: Duration::from_secs(1), relays: vec![Sample::parse(""); 3] };
        assert_eq!(unwatched(&[empty], "Cedar"), None);
    }
}

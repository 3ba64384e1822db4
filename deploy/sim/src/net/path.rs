//! One direction between two hosts: how long bytes take, and which of them are lost.

use std::time::Duration;

use crate::chance::Chance;

/// What one direction between two hosts is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Time that every packet takes at least.
    pub latency: Duration,
    /// On top of it, drawn for each packet: more than the distance of two packets reorders them.
    pub jitter: Duration,
    /// Packets lost, of a thousand.
    pub loss: u32,
    /// Packets held back by [`Path::detour`], of a thousand.
    pub reordered: u32,
    /// How much later a held-back packet comes.
    pub detour: Duration,
    /// Bytes a second that pass the narrowest place.
    pub bandwidth: u64,
    /// How long a packet waits there at most; a datagram that would wait longer is lost.
    pub queue: Duration,
}

impl Path {
    /// A good connection in one country.
    pub const FINE: Self = Self {
        latency: Duration::from_millis(10),
        jitter: Duration::from_millis(2),
        loss: 0,
        reordered: 0,
        detour: Duration::ZERO,
        bandwidth: 12_500_000,
        queue: Duration::from_millis(200),
    };

    /// Somebody's wireless at the end of the garden.
    pub const ROUGH: Self = Self {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(30),
        loss: 30,
        reordered: 20,
        detour: Duration::from_millis(40),
        bandwidth: 1_250_000,
        queue: Duration::from_millis(300),
    };

    /// Something between [`Path::FINE`] and worse than [`Path::ROUGH`].
    #[must_use]
    pub fn drawn(chance: &mut Chance) -> Self {
        Self {
            latency: chance.between(Duration::from_millis(1), Duration::from_millis(120)),
            jitter: chance.up_to(Duration::from_millis(40)),
            loss: u32::try_from(chance.below(50)).unwrap_or(0),
            reordered: u32::try_from(chance.below(30)).unwrap_or(0),
            detour: chance.up_to(Duration::from_millis(60)),
            bandwidth: 500_000 + chance.below(10_000_000),
            queue: chance.between(Duration::from_millis(100), Duration::from_millis(500)),
        }
    }
}

/// Bytes of UDP, IP and QUIC around every packet.
const OVERHEAD: usize = 60;

/// Attempts after which even an unlucky packet arrives: a cut is modelled apart, this is chance alone.
const MAX_ATTEMPTS: u32 = 8;

/// The direction as it is used.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) path: Path,
    /// When the narrowest place is free again.
    busy_until: Duration,
}

/// What became of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Trip {
    /// When it has left the sender's buffer.
    pub(super) left: Duration,
    /// When it arrives; `None`: lost.
    pub(super) arrives: Option<Duration>,
    /// Times it was sent again.
    pub(super) again: u32,
    /// Whether it was held back.
    pub(super) detour: bool,
}

impl Way {
    pub(super) const fn new(path: Path) -> Self {
        Self { path, busy_until: Duration::ZERO }
    }

    fn through(&mut self, now: Duration, len: usize) -> Duration {
        let bytes = u64::try_from(len + OVERHEAD).unwrap_or(u64::MAX);
        let takes = Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.path.bandwidth.max(1));
        self.busy_until = self.busy_until.max(now) + takes;
        self.busy_until
    }

    fn flight(&self, chance: &mut Chance) -> (Duration, bool) {
        let detour = chance.permille(self.path.reordered);
        let extra = if detour { self.path.detour } else { Duration::ZERO };
        (self.path.latency + chance.up_to(self.path.jitter) + extra, detour)
    }

    /// A packet that is lost when it is lost.
    pub(super) fn datagram(&mut self, now: Duration, len: usize, chance: &mut Chance) -> Trip {
        if self.busy_until.saturating_sub(now) > self.path.queue {
            return Trip { left: now, arrives: None, again: 0, detour: false };
        }
        let left = self.through(now, len);
        let (flight, detour) = self.flight(chance);
        let arrives = (!chance.permille(self.path.loss)).then_some(left + flight);
        Trip { left, arrives, again: 0, detour }
    }

    /// A packet that is sent again until it arrives; `back` is the latency of the other direction.
    pub(super) fn reliable(&mut self, now: Duration, len: usize, back: Duration, chance: &mut Chance) -> Trip {
        let left = self.through(now, len);
        let (mut flight, detour) = self.flight(chance);
        let round = self.path.latency + back;
        let mut timeout = round + round / 4 + Duration::from_millis(5);
        let mut again = 0;
        while again < MAX_ATTEMPTS && chance.permille(self.path.loss) {
            flight += timeout;
            timeout *= 2;
            again += 1;
        }
        Trip { left, arrives: Some(left + flight), again, detour }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_place_sets_the_pace() {
        let mut chance = Chance::new(1);
        let path = Path { bandwidth: 100_000, jitter: Duration::ZERO, ..Path::FINE };
        let mut way = Way::new(path);
        let trips: Vec<_> =
            (0..10).map(|_| way.reliable(Duration::ZERO, 10_000 - OVERHEAD, Duration::ZERO, &mut chance)).collect();
        assert_eq!(trips.last().map(|trip| trip.left), Some(Duration::from_secs(1)));
        assert_eq!(trips.last().and_then(|trip| trip.arrives), Some(Duration::from_secs(1) + path.latency));
    }

    #[test]
    fn a_full_queue_loses_datagrams_and_delays_streams() {
        let mut chance = Chance::new(1);
        let mut way = Way::new(Path { bandwidth: 10_000, queue: Duration::from_millis(100), ..Path::FINE });
        let first = way.datagram(Duration::ZERO, 5_000, &mut chance);
        assert!(first.arrives.is_some());
        assert_eq!(way.datagram(Duration::ZERO, 100, &mut chance).arrives, None);
        assert!(way.reliable(Duration::ZERO, 100, Duration::ZERO, &mut chance).arrives > first.arrives);
    }

    #[test]
    fn loss_hits_datagrams_and_delays_streams() {
        let mut chance = Chance::new(1);
        let path = Path { loss: 500, bandwidth: u64::MAX / 2, ..Path::FINE };
        let mut way = Way::new(path);
        let lost = (0..1_000).filter(|_| way.datagram(Duration::ZERO, 100, &mut chance).arrives.is_none()).count();
        assert!((400..600).contains(&lost), "{lost}");
        let trips: Vec<_> = (0..1_000).map(|_| way.reliable(Duration::ZERO, 100, path.latency, &mut chance)).collect();
        assert!(trips.iter().all(|trip| trip.arrives.is_some()));
        assert!(trips.iter().any(|trip| trip.again > 2));
        assert!(trips.iter().filter(|trip| trip.again > 0).all(|trip| trip.arrives > Some(path.latency * 2)));
    }
}

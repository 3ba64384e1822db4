//! What was sent, received and lost, track by track, and how long it took.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use conclave::{InFrame, ParticipantId, RemoteTrack, TrackId};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    histogram::Histogram,
    said::{Track, Who, kind},
};

/// Tracks that are counted one by one. A participant may announce ever new ones; those beyond are received, not counted.
pub(crate) const MAX_ROWS: usize = 4_096;

/// What one of our own tracks has sent; counted where it is sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) kind: &'static str,
    pub(crate) label: String,
    pub(crate) frames: AtomicU64,
    pub(crate) key_frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Requests for a key frame that have come.
    pub(crate) wanted: AtomicU64,
    pub(crate) first_captured_us: AtomicU64,
    pub(crate) last_captured_us: AtomicU64,
}

/// A line of `sending`.
#[derive(Serialize, Debug)]
pub(crate) struct Sending {
    kind: &'static str,
    label: String,
    frames: u64,
    /// Of the frames as they were encoded.
    bytes: u64,
    key_frames: u64,
    key_frames_wanted: u64,
    first_captured_us: Option<u64>,
    last_captured_us: Option<u64>,
}

/// A line of `receiving`.
#[derive(Serialize, Debug)]
pub(crate) struct Receiving {
    pub(crate) participant: Who,
    pub(crate) name: String,
    pub(crate) track: Track,
    pub(crate) kind: &'static str,
    pub(crate) label: String,
    pub(crate) frames: u64,
    pub(crate) key_frames: u64,
    pub(crate) bytes: u64,
    /// Frames that the network lost.
    pub(crate) lost: u64,
    /// Frames that came and were dropped because this program was too slow.
    pub(crate) unread: u64,
    /// Objects of this participant, on whatever track, that were not what they claimed to be.
    pub(crate) refused: u64,
    /// Milliseconds since 1970.
    pub(crate) first_object_t: Option<u64>,
    pub(crate) first_frame_ms_since_join: Option<u64>,
    pub(crate) first_captured_us: Option<u64>,
    pub(crate) last_captured_us: Option<u64>,
    pub(crate) last_group: Option<u64>,
    pub(crate) last_object: Option<u64>,
    pub(crate) last_frame_age_ms: Option<u64>,
    pub(crate) latency_p50_us: Option<u64>,
    pub(crate) latency_p99_us: Option<u64>,
    /// Whether the track is still published.
    pub(crate) live: bool,
}

/// Everything that was received.
pub(crate) struct Tally {
    joined: Instant,
    rows: BTreeMap<(ParticipantId, TrackId), Row>,
    refused: BTreeMap<ParticipantId, u64>,
    sent: Vec<Arc<Sent>>,
}

struct Row {
    name: String,
    kind: &'static str,
    label: String,
    published: Instant,
    live: bool,
    frames: u64,
    key_frames: u64,
    bytes: u64,
    lost: u64,
    unread: u64,
    first: Option<First>,
    last: Option<Last>,
    latency: Histogram,
}

#[derive(Clone, Copy)]
struct First {
    unix_ms: u64,
    since_join: Duration,
    captured_us: u64,
}

#[derive(Clone, Copy)]
struct Last {
    at: Instant,
    captured_us: u64,
    group: u64,
    object: u64,
}

impl Sent {
    pub(crate) fn new(kind: &'static str, label: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            kind,
            label,
            frames: zero(),
            key_frames: zero(),
            bytes: zero(),
            wanted: zero(),
            first_captured_us: zero(),
            last_captured_us: zero(),
        }
    }

    /// Only the task that sends the track calls it.
    pub(crate) fn on_frame(&self, bytes: usize, key: bool, captured_us: u64) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.key_frames.fetch_add(u64::from(key), Ordering::Relaxed);
        if self.frames.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first_captured_us.store(captured_us, Ordering::Relaxed);
        }
        self.last_captured_us.store(captured_us, Ordering::Relaxed);
    }

    fn line(&self) -> Sending {
        let read = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let time = |value: &AtomicU64| Some(read(value)).filter(|time| *time != 0);
        Sending {
            kind: self.kind,
            label: self.label.clone(),
            frames: read(&self.frames),
            bytes: read(&self.bytes),
            key_frames: read(&self.key_frames),
            key_frames_wanted: read(&self.wanted),
            first_captured_us: time(&self.first_captured_us),
            last_captured_us: time(&self.last_captured_us),
        }
    }
}

impl Tally {
    pub(crate) fn starting_now() -> Self {
        Self { joined: Instant::now(), rows: BTreeMap::new(), refused: BTreeMap::new(), sent: Vec::new() }
    }

    pub(crate) fn on_sending(&mut self, sent: Arc<Sent>) {
        self.sent.push(sent);
    }

    pub(crate) fn on_track(&mut self, track: &RemoteTrack, name: &str) {
        let at = (track.participant, track.track);
        if let Some(row) = self.rows.get_mut(&at) {
            row.live = true;
            return;
        }
        if self.rows.len() >= MAX_ROWS {
            return;
        }
        let row = Row {
            name: name.to_owned(),
            kind: kind(track.media.kind),
            label: track.media.label.clone(),
            published: Instant::now(),
            live: true,
            frames: 0,
            key_frames: 0,
            bytes: 0,
            lost: 0,
            unread: 0,
            first: None,
            last: None,
            latency: Histogram::new(),
        };
        self.rows.insert(at, row);
    }

    pub(crate) fn on_track_gone(&mut self, participant: ParticipantId, track: TrackId) {
        if let Some(row) = self.rows.get_mut(&(participant, track)) {
            row.live = false;
        }
    }

    pub(crate) fn on_participant_gone(&mut self, participant: ParticipantId) {
        for ((of, _), row) in &mut self.rows {
            row.live &= *of != participant;
        }
    }

    /// Counts a frame that was read at this time on the wall; for the first of its track, how long that took since we
    /// joined and since it was announced.
    pub(crate) fn on_frame(&mut self, frame: &InFrame, unix_us: u64) -> Option<(Duration, Duration)> {
        let row = self.rows.get_mut(&(frame.participant, frame.track))?;
        let now = Instant::now();
        row.frames += 1;
        row.key_frames += u64::from(frame.key);
        row.bytes += frame.data.len() as u64;
        // A sender's clock ahead of ours makes it zero, not negative: on one machine it never is.
        row.latency.record(unix_us.saturating_sub(frame.captured_us));
        row.last = Some(Last { at: now, captured_us: frame.captured_us, group: frame.group, object: frame.object });
        if row.first.is_some() {
            return None;
        }
        let since_join = now.saturating_duration_since(self.joined);
        row.first = Some(First { unix_ms: unix_us / 1_000, since_join, captured_us: frame.captured_us });
        Some((since_join, now.saturating_duration_since(row.published)))
    }

    pub(crate) fn on_lost(&mut self, participant: ParticipantId, track: TrackId, count: u64) {
        if let Some(row) = self.rows.get_mut(&(participant, track)) {
            row.lost += count;
        }
    }

    pub(crate) fn on_unread(&mut self, participant: ParticipantId, track: TrackId, count: u64) {
        if let Some(row) = self.rows.get_mut(&(participant, track)) {
            row.unread += count;
        }
    }

    pub(crate) fn on_refused(&mut self, participant: ParticipantId) {
        if self.refused.len() < MAX_ROWS || self.refused.contains_key(&participant) {
            *self.refused.entry(participant).or_default() += 1;
        }
    }

    pub(crate) fn sending(&self) -> Vec<Sending> {
        self.sent.iter().map(|sent| sent.line()).collect()
    }

    pub(crate) fn receiving(&self) -> Vec<Receiving> {
        self.rows.iter().map(|((participant, track), row)| self.line(*participant, *track, row)).collect()
    }

    /// Over all tracks: what half of the frames, and 99 of 100, did not exceed; microseconds.
    pub(crate) fn latency(&self) -> (Option<u64>, Option<u64>) {
        let mut all = Histogram::new();
        for row in self.rows.values() {
            all.add(&row.latency);
        }
        (all.percentile(50), all.percentile(99))
    }

    fn line(&self, participant: ParticipantId, track: TrackId, row: &Row) -> Receiving {
        Receiving {
            participant: participant.into(),
            name: row.name.clone(),
            track: track.into(),
            kind: row.kind,
            label: row.label.clone(),
            frames: row.frames,
            key_frames: row.key_frames,
            bytes: row.bytes,
            lost: row.lost,
            unread: row.unread,
            refused: self.refused.get(&participant).copied().unwrap_or_default(),
            first_object_t: row.first.map(|first| first.unix_ms),
            first_frame_ms_since_join: row.first.map(|first| millis(first.since_join)),
            first_captured_us: row.first.map(|first| first.captured_us),
            last_captured_us: row.last.map(|last| last.captured_us),
            last_group: row.last.map(|last| last.group),
            last_object: row.last.map(|last| last.object),
            last_frame_age_ms: row.last.map(|last| millis(last.at.elapsed())),
            latency_p50_us: row.latency.percentile(50),
            latency_p99_us: row.latency.percentile(99),
            live: row.live,
        }
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave::{Media, Trust};

    use super::*;

    fn track(leaf: u16, id: u64) -> RemoteTrack {
        let participant = ParticipantId::of_leaf(leaf, &[0; 32]);
        RemoteTrack { participant, track: TrackId(id), media: Media::microphone(), muted: false, trust: Trust::Fresh }
    }

    fn frame(track: &RemoteTrack, object: u64, captured_us: u64) -> InFrame {
        let data = Bytes::from_static(&[0; 10]);
        InFrame { participant: track.participant, track: track.track, data, captured_us, key: true, layer: 0, group: 3, object }
    }

    #[tokio::test(start_paused = true)]
    async fn a_track_is_counted_from_its_first_frame_to_its_last() {
        let mut tally = Tally::starting_now();
        let voice = track(1, 20);
        tokio::time::advance(Duration::from_millis(100)).await;
        tally.on_track(&voice, "First");
        tokio::time::advance(Duration::from_millis(30)).await;
        let first = tally.on_frame(&frame(&voice, 0, 1_000_000), 1_002_000);
        assert_eq!(first, Some((Duration::from_millis(130), Duration::from_millis(30))));
        assert_eq!(tally.on_frame(&frame(&voice, 1, 1_020_000), 1_024_000), None);
        assert_eq!(tally.on_frame(&frame(&voice, 2, 9_000_000), 1_044_000), None, "a clock ahead of ours is no reason to panic");
        tally.on_lost(voice.participant, voice.track, 4);
        tally.on_lost(voice.participant, TrackId(99), 4);
        tally.on_refused(voice.participant);
        tally.on_participant_gone(voice.participant);
        tokio::time::advance(Duration::from_millis(50)).await;

        let rows = tally.receiving();
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.name.as_str(), row.kind, row.live), ("First", "microphone", false));
        assert_eq!((row.frames, row.key_frames, row.bytes, row.lost, row.refused), (3, 3, 30, 4, 1));
        assert_eq!((row.first_object_t, row.last_frame_age_ms), (Some(1_002), Some(50)));
        assert_eq!((row.first_captured_us, row.last_captured_us), (Some(1_000_000), Some(9_000_000)));
        assert_eq!((row.last_group, row.last_object), (Some(3), Some(2)));
        let p50 = row.latency_p50_us.expect("frames came");
        assert!((2_000..2_070).contains(&p50), "{p50}");
        assert_eq!(tally.latency().0, Some(p50));
    }

    #[test]
    fn a_participant_who_announces_without_end_fills_no_memory() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _inside = runtime.enter();
        let mut tally = Tally::starting_now();
        for id in 0..MAX_ROWS as u64 + 10 {
            tally.on_track(&track(1, id), "Stranger");
        }
        assert_eq!(tally.rows.len(), MAX_ROWS);
    }

    #[test]
    fn what_is_sent_is_counted_where_it_is_sent() {
        let sent = Sent::new("camera", "camera".to_owned());
        assert_eq!(sent.line().first_captured_us, None);
        sent.on_frame(100, true, 5_000);
        sent.on_frame(10, false, 6_000);
        let line = sent.line();
        assert_eq!((line.frames, line.bytes, line.key_frames), (2, 110, 1));
        assert_eq!((line.first_captured_us, line.last_captured_us), (Some(5_000), Some(6_000)));
    }
}

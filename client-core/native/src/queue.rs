//! Events on their way to the application: bounded, media dropped first and counted, nothing else ever lost.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use conclave_client_core::api::ParticipantId;
use conclave_federation::id::TrackId;
use tokio::sync::Notify;

use crate::event::Event;

/// Events that wait, media included. Beyond it the oldest frame makes place for whatever comes.
///
/// Lower drops frames at a short hiccup of the application; higher shows people what happened long ago. At 100
/// participants with sound (50 a second each) this is a fifth of a second, at five it is three.
pub(crate) const CAPACITY: usize = 1_024;

/// Events other than frames that may wait. An application that leaves this many lying does not read at all.
pub const MAX_UNREAD: usize = 4_096;

/// One side pushes, any number of tasks take; each event goes to one of them.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Notify,
}

/// Nothing fits: even without any frame, [`MAX_UNREAD`] events are waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    frames: usize,
    /// Frames dropped since they were last told.
    unread: BTreeMap<(ParticipantId, TrackId), u64>,
    /// Whether the whole state has come: until then other events stay behind it.
    begun: bool,
    closed: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::new(Waiting::default()), ready: Notify::new() }
    }

    /// Appends an event; the first whole state goes before everything else.
    pub(crate) fn push(&self, event: Event) -> Result<(), Full> {
        let pushed = self.lock().push(event);
        self.ready.notify_one();
        pushed
    }

    /// The last event: waiting frames stay, whatever the bound says, and nothing is taken after it.
    pub(crate) fn close(&self, last: Event) {
        {
            let mut waiting = self.lock();
            if waiting.closed {
                return;
            }
            waiting.events.push_back(last);
            waiting.closed = true;
        }
        self.ready.notify_waiters();
        self.ready.notify_one();
    }

    /// The next event; `None` after the last one.
    pub(crate) async fn next(&self) -> Option<Event> {
        loop {
            let ready = self.ready.notified();
            {
                let mut waiting = self.lock();
                if let Some(event) = waiting.pop() {
                    if !waiting.events.is_empty() || waiting.closed {
                        self.ready.notify_one();
                    }
                    return Some(event);
                }
                if waiting.closed {
                    // Others may wait for the same end.
                    self.ready.notify_one();
                    return None;
                }
            }
            ready.await;
        }
    }

    /// Nothing is done under the lock that could leave it half changed, so a panic elsewhere changes nothing here.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn push(&mut self, event: Event) -> Result<(), Full> {
        if self.closed {
            return Ok(());
        }
        let is_frame = matches!(event, Event::Frame(_));
        if self.events.len() >= CAPACITY && !self.drop_oldest_frame() {
            match event {
                Event::Frame(frame) => {
                    *self.unread.entry((frame.participant, frame.track)).or_default() += 1;
                    return Ok(());
                }
                Event::FramesLost { participant, track, count } if self.merge_lost(participant, track, count) => return Ok(()),
                _ if self.events.len() >= MAX_UNREAD => return Err(Full),
                _ => {}
            }
        }
        if matches!(event, Event::Joined(_)) && !std::mem::replace(&mut self.begun, true) {
            self.events.push_front(event);
        } else {
            self.frames += usize::from(is_frame);
            self.events.push_back(event);
        }
        Ok(())
    }

    /// Makes place; `false` when no frame is waiting.
    fn drop_oldest_frame(&mut self) -> bool {
        if self.frames == 0 {
            return false;
        }
        let oldest = self.events.iter().position(|event| matches!(event, Event::Frame(_)));
        let Some(Event::Frame(frame)) = oldest.and_then(|at| self.events.remove(at)) else { return false };
        self.frames -= 1;
        *self.unread.entry((frame.participant, frame.track)).or_default() += 1;
        true
    }

    /// Adds to a loss of the same track that waits already.
    fn merge_lost(&mut self, of: ParticipantId, on: TrackId, more: u64) -> bool {
        for event in &mut self.events {
            if let Event::FramesLost { participant, track, count } = event
                && (*participant, *track) == (of, on)
            {
                *count += more;
                return true;
            }
        }
        false
    }

    fn pop(&mut self) -> Option<Event> {
        // What was dropped lay before everything that waits now; only the whole state goes before it.
        if !matches!(self.events.front(), Some(Event::Joined(_)))
            && let Some(((participant, track), count)) = self.unread.pop_first()
        {
            return Some(Event::FramesUnread { participant, track, count });
        }
        let event = self.events.pop_front()?;
        self.frames -= usize::from(matches!(event, Event::Frame(_)));
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use conclave_client_core::api::{ConnectionState, InFrame};

    use super::*;
    use crate::event::{Ended, State};

    fn who(leaf: u16) -> ParticipantId {
        ParticipantId::of_leaf(leaf, &[7; 32])
    }

    fn frame(leaf: u16, object: u64) -> Event {
        let (participant, track) = (who(leaf), TrackId(100));
        Event::Frame(InFrame { participant, track, data: Bytes::new(), captured_us: 0, key: true, layer: 0, group: 0, object })
    }

    fn chat(text: &str) -> Event {
        Event::Chat {
            from: who(1),
            id: [0; 16],
            text: text.to_owned(),
            unix_ms: 0,
            name: String::new(),
            gone: false,
            history: false,
        }
    }

    fn state() -> Event {
        let (title, roster, tracks, safety_code) = (String::new(), vec![], vec![], String::new());
        Event::Joined(State { me: who(0), title, roster, tracks, epoch: 1, safety_code, transport: None })
    }

    fn drain(queue: &Queue) -> Vec<Event> {
        std::iter::from_fn(|| queue.lock().pop()).collect()
    }

    #[tokio::test]
    async fn the_whole_state_comes_first_whatever_came_before() {
        let queue = Queue::new();
        queue.push(Event::Connection { state: ConnectionState::Connected, transport: None }).expect("room");
        queue.push(state()).expect("room");
        queue.push(chat("hello")).expect("room");
        queue.push(state()).expect("room");
        queue.close(Event::Ended(Ended::Left));
        assert!(matches!(queue.next().await, Some(Event::Joined(_))));
        assert!(matches!(queue.next().await, Some(Event::Connection { .. })));
        assert!(matches!(queue.next().await, Some(Event::Chat { .. })));
        assert!(matches!(queue.next().await, Some(Event::Joined(_))));
        assert!(matches!(queue.next().await, Some(Event::Ended(Ended::Left))));
        assert!(queue.next().await.is_none());
        assert!(queue.next().await.is_none());
    }

    #[test]
    fn a_full_queue_drops_the_oldest_frames_and_says_how_many() {
        let queue = Queue::new();
        queue.push(chat("first")).expect("room");
        for object in 0..CAPACITY as u64 + 9 {
            queue.push(frame(2, object)).expect("frames make room for frames");
        }
        let events = drain(&queue);
        assert!(matches!(events[0], Event::FramesUnread { participant, count: 10, .. } if participant == who(2)));
        assert!(matches!(events[1], Event::Chat { .. }), "what is not media stays");
        assert!(matches!(&events[2], Event::Frame(frame) if frame.object == 10));
        assert_eq!(events.len(), CAPACITY + 1);
        assert_eq!(queue.lock().frames, 0);
    }

    #[test]
    fn without_frames_to_drop_a_new_frame_gives_way() {
        let queue = Queue::new();
        for _ in 0..CAPACITY {
            queue.push(chat("words")).expect("room");
        }
        queue.push(frame(2, 0)).expect("dropped, not refused");
        let lost = |count| Event::FramesLost { participant: who(3), track: TrackId(100), count };
        queue.push(lost(1)).expect("room");
        queue.push(lost(4)).expect("merged");
        let events = drain(&queue);
        assert_eq!(events.len(), CAPACITY + 2);
        assert!(matches!(events[0], Event::FramesUnread { count: 1, .. }));
        assert!(matches!(events.last(), Some(Event::FramesLost { count: 5, .. })));
    }

    #[test]
    fn an_application_that_never_reads_is_told_apart_from_a_slow_one() {
        let queue = Queue::new();
        for _ in 0..MAX_UNREAD {
            queue.push(chat("words")).expect("room");
        }
        assert_eq!(queue.push(chat("one more")), Err(Full));
        queue.close(Event::Ended(Ended::Left));
        let events = drain(&queue);
        assert_eq!(events.len(), MAX_UNREAD + 1);
        assert!(matches!(events.last(), Some(Event::Ended(_))), "the last event always fits");
    }

    #[tokio::test]
    async fn every_task_that_waits_wakes_up_and_each_event_goes_to_one() {
        let queue = std::sync::Arc::new(Queue::new());
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut taken = 0;
                    while queue.next().await.is_some() {
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        for _ in 0..100 {
            queue.push(chat("words")).expect("room");
            tokio::task::yield_now().await;
        }
        queue.close(Event::Ended(Ended::Left));
        let mut taken = 0;
        for task in tasks {
            taken += task.await.expect("no panic");
        }
        assert_eq!(taken, 101);
    }
}

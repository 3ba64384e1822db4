//! What waits to be sent, and what of it goes next.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::{
    Limits, Number, PIECE,
    frame::{self, Frame},
};
use crate::wire::code::Code;

/// The control stream, then one line for each of [`crate::track::priority`].
const LINES: usize = 5;

/// Of eight parts of the queue, those that a line may fill: the less urgent leave room for the more urgent.
const PARTS: [usize; LINES] = [8, 7, 6, 5, 4];

#[derive(Debug, Default)]
struct Waiting {
    line: usize,
    bytes: BytesMut,
    last: bool,
}

/// What is said about a stream; at most one of each for a stream that is open.
#[derive(Clone, Copy, Debug, Default)]
struct Signals {
    reset: Option<Code>,
    stop: Option<Code>,
}

/// A message that was chosen.
pub(super) struct Next {
    pub(super) message: Bytes,
    /// The stream whose half of ours is over with it.
    pub(super) ends: Option<Number>,
}

/// Everything that waits. Its length is bounded by the limits: bytes by `queue` and `datagrams`, the rest by open streams.
#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    signals: BTreeMap<Number, Signals>,
    datagrams: VecDeque<Bytes>,
    datagram_bytes: usize,
    waiting: HashMap<Number, Waiting>,
    lines: [VecDeque<Number>; LINES],
    bytes: usize,
}

fn line(stream: Number, priority: u8) -> usize {
    if stream == Number::CONTROL { 0 } else { (usize::from(priority) + 1).min(LINES - 1) }
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            signals: BTreeMap::new(),
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            waiting: HashMap::new(),
            lines: std::array::from_fn(|_| VecDeque::new()),
            bytes: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// How much more of this stream may wait.
    pub(super) fn room(&self, stream: Number, priority: u8) -> usize {
        let parts = PARTS.get(line(stream, priority)).copied().unwrap_or(0);
        (self.limits.queue * parts / 8).saturating_sub(self.bytes)
    }

    /// Whether it is worth while to write again: a quarter of the queue would be taken even of the least urgent.
    pub(super) fn has_room(&self) -> bool {
        self.bytes <= self.limits.queue / 4
    }

    pub(super) fn has_room_for_datagrams(&self) -> bool {
        self.datagram_bytes <= self.limits.datagrams / 2
    }

    fn waiting(&mut self, stream: Number, priority: u8) -> &mut Waiting {
        let lines = &mut self.lines;
        self.waiting.entry(stream).or_insert_with(|| {
            let line = line(stream, priority);
            if let Some(line) = lines.get_mut(line) {
                line.push_back(stream);
            }
            Waiting { line, ..Waiting::default() }
        })
    }

    /// Adds bytes; the caller asked for room.
    pub(super) fn push(&mut self, stream: Number, priority: u8, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.waiting(stream, priority).bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn finish(&mut self, stream: Number, priority: u8) {
        self.waiting(stream, priority).last = true;
    }

    /// Nothing of this stream is sent any more but that it is given up.
    pub(super) fn give_up(&mut self, stream: Number, code: Code) {
        if let Some(waiting) = self.waiting.remove(&stream) {
            self.bytes -= waiting.bytes.len();
            if let Some(line) = self.lines.get_mut(waiting.line) {
                line.retain(|waits| *waits != stream);
            }
        }
        self.signals.entry(stream).or_default().reset = Some(code);
    }

    pub(super) fn stop(&mut self, stream: Number, code: Code) {
        self.signals.entry(stream).or_default().stop = Some(code);
    }

    /// The stream has ended by itself.
    pub(super) fn forget_stop(&mut self, stream: Number) {
        if let Some(signals) = self.signals.get_mut(&stream) {
            signals.stop = None;
            if signals.reset.is_none() {
                self.signals.remove(&stream);
            }
        }
    }

    /// Whether it was taken.
    pub(super) fn push_datagram(&mut self, bytes: Bytes) -> bool {
        // One more than its bytes, so that empty ones do not wait without end.
        let cost = bytes.len() + 1;
        if self.datagram_bytes + cost > self.limits.datagrams {
            return false;
        }
        self.datagram_bytes += cost;
        self.datagrams.push_back(bytes);
        true
    }

    /// The most urgent message.
    pub(super) fn next(&mut self) -> Option<Next> {
        self.next_signal().or_else(|| self.next_datagram()).or_else(|| self.next_data())
    }

    fn next_signal(&mut self) -> Option<Next> {
        // An entry says something: what is said is removed with the last of it.
        let (&stream, signals) = self.signals.iter_mut().next()?;
        if let Some(code) = signals.stop.take() {
            if signals.reset.is_none() {
                self.signals.remove(&stream);
            }
            return Some(Next { message: Frame::Stop { stream, code }.encode(), ends: None });
        }
        let code = self.signals.remove(&stream)?.reset?;
        Some(Next { message: Frame::Reset { stream, code }.encode(), ends: Some(stream) })
    }

    fn next_datagram(&mut self) -> Option<Next> {
        let bytes = self.datagrams.pop_front()?;
        self.datagram_bytes -= bytes.len() + 1;
        Some(Next { message: Frame::Datagram(bytes).encode(), ends: None })
    }

    fn next_data(&mut self) -> Option<Next> {
        let line = self.lines.iter_mut().find(|line| !line.is_empty())?;
        let stream = line.pop_front()?;
        let waiting = self.waiting.get_mut(&stream)?;
        let piece = waiting.bytes.split_to(waiting.bytes.len().min(PIECE));
        self.bytes -= piece.len();
        let is_all = waiting.bytes.is_empty();
        let last = is_all && waiting.last;
        if is_all {
            self.waiting.remove(&stream);
        } else {
            line.push_back(stream);
        }
        Some(Next { message: frame::data(stream, &piece, last), ends: last.then_some(stream) })
    }
}

//! Frames of one track in order: wait a little for what is missing, then go on without it, or give it up and say so.
//!
//! The frames' own numbers, from inside the encryption, tell exactly what is missing, and each says which frame before it is
//! the newest that it needs. So a missing frame that nothing needs, of an upper layer, costs a short wait and itself; only
//! a base frame that needs a missing one ends the picture until the next key frame. The first frame that arrives sets the
//! beginning: what was before it was before we joined.

use std::{collections::BTreeMap, time::Duration};

use crate::{api::Media, frame::Frame};

/// How long sound waits for a datagram that was overtaken. More would be heard as a lag, less would lose what only came by
/// another path.
const SOUND_WAIT: Duration = Duration::from_millis(60);

/// How long pictures wait for a frame that is needed: a group's last packets may need one more round trip while the next
/// group is there already.
const PICTURE_WAIT: Duration = Duration::from_millis(250);

/// How long a frame that could be shown waits for those before it, which it does not need. More would make faces jump where
/// upper layers are dropped, less would drop what the base layer only overtook.
const UPPER_WAIT: Duration = Duration::from_millis(40);

/// Frames that wait behind a gap; more than a second of a busy track means that the gap is not worth waiting for.
const MAX_WAITING: usize = 128;

/// Bytes that wait behind a gap.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// The shortest time between two requests for a key frame: relays let one through in half a second.
const KEY_FRAME_PAUSE: Duration = Duration::from_millis(600);

/// How long a picture may fail to begin before a key frame is asked for.
pub(crate) const KEY_FRAME_AFTER: Duration = Duration::from_millis(1_200);

/// How long a track that was just subscribed to may show nothing before a key frame is asked for: what its relay keeps arrives
/// within a round trip.
const FIRST_PICTURE: Duration = Duration::from_millis(300);

/// A frame, and where relays saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Placed {
    /// The frame.
    pub(crate) frame: Frame,
    /// Its group.
    pub(crate) group: u64,
    /// Its place in the group.
    pub(crate) object: u64,
    /// Its temporal layer.
    pub(crate) layer: u8,
}

/// What comes out, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ready {
    /// The next frame.
    Frame(Placed),
    /// So many will not come, or are of no use without those that will not.
    Lost(u64),
}

/// How the frames of a track hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Frames {
    /// Each stands alone: sound.
    Alone,
    /// Each needs the one before it, up to a key frame.
    Chained,
    /// As each says: a picture of several layers.
    Layered,
}

impl Frames {
    pub(crate) const fn of(media: &Media) -> Self {
        if media.is_audio() {
            Self::Alone
        } else if media.layers > 1 {
            Self::Layered
        } else {
            Self::Chained
        }
    }
}

struct Waiting {
    placed: Placed,
    since: Duration,
}

/// One sender's frames on one track.
pub(crate) struct Order {
    frames: Frames,
    /// The next number; `None` before the first frame.
    next: Option<u32>,
    waiting: BTreeMap<u32, Waiting>,
    waiting_bytes: usize,
    given: Given,
    needs_key: bool,
    /// When to ask for a key frame, while one is needed.
    ask_at: Option<Duration>,
    /// When one was asked for last.
    asked: Option<Duration>,
}

impl Order {
    /// From now on.
    pub(crate) fn new(frames: Frames, now: Duration) -> Self {
        let needs_key = frames != Frames::Alone;
        let ask_at = needs_key.then(|| now + KEY_FRAME_AFTER);
        let given = Given::default();
        Self { frames, next: None, waiting: BTreeMap::new(), waiting_bytes: 0, given, needs_key, ask_at, asked: None }
    }

    /// The relay sends the track from now on: for the first time, or again after it was out of reach. Whatever its publisher began
    /// meanwhile went by, and without a frame nothing else would show that one is missing.
    pub(crate) fn on_subscribed(&mut self, now: Duration) {
        if self.frames != Frames::Alone {
            let at = now + FIRST_PICTURE;
            self.ask_at = Some(self.ask_at.map_or(at, |asks| asks.min(at)));
        }
    }

    /// Its publisher says something else of the track now; never whether it is sound.
    pub(crate) const fn is(&mut self, frames: Frames) {
        self.frames = frames;
    }

    /// A frame arrived.
    pub(crate) fn push(&mut self, now: Duration, placed: Placed, out: &mut Vec<Ready>) {
        let number = placed.frame.number;
        // Before the first key frame there is no picture, and nobody misses one.
        if self.next.is_none() && !placed.frame.is_key() {
            return;
        }
        let next = *self.next.get_or_insert(number);
        if number.wrapping_sub(next) > u32::MAX / 2 || self.waiting.contains_key(&number) {
            return;
        }
        self.waiting_bytes += placed.frame.data.len();
        self.waiting.insert(number, Waiting { placed, since: now });
        self.settle(now, out);
        while self.waiting.len() > MAX_WAITING || self.waiting_bytes > MAX_WAITING_BYTES {
            if let Some(first) = self.first(|_| true) {
                self.skip_to(first, out);
            }
            self.settle(now, out);
        }
    }

    /// Time has passed: goes on without what did not come.
    pub(crate) fn on_timeout(&mut self, now: Duration, out: &mut Vec<Ready>) {
        self.settle(now, out);
    }

    /// Whether a key frame has to be asked for now.
    pub(crate) fn wants_key_frame(&mut self, now: Duration) -> bool {
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask_at = Some(now + KEY_FRAME_PAUSE.max(KEY_FRAME_AFTER));
            self.asked = Some(now);
            return true;
        }
        false
    }

    /// A frame came that cannot be opened: whether a key frame has to be asked for now. Junk comes in crowds, so not always.
    pub(crate) fn on_damaged(&mut self, now: Duration) -> bool {
        let due = self.frames != Frames::Alone && self.asked.is_none_or(|asked| asked + KEY_FRAME_PAUSE <= now);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// When [`Order::on_timeout`] or [`Order::wants_key_frame`] has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let gap = self.waiting.values().map(|waiting| self.gives_up(waiting)).min();
        [gap, self.ask_at].into_iter().flatten().min()
    }

    /// When a waiting frame stops waiting for those before it.
    fn gives_up(&self, waiting: &Waiting) -> Duration {
        let wait = match self.frames {
            Frames::Alone => SOUND_WAIT,
            Frames::Chained | Frames::Layered if !self.is_ready(waiting) => PICTURE_WAIT,
            // The end of the last group may still come, unless it is of no use any more.
            Frames::Chained if !self.needs_key => PICTURE_WAIT,
            Frames::Chained | Frames::Layered => UPPER_WAIT,
        };
        waiting.since + wait
    }

    /// Whether all that a frame needs was given to the application.
    fn is_ready(&self, waiting: &Waiting) -> bool {
        waiting.placed.frame.needed().is_none_or(|needed| self.given.has(needed))
    }

    /// The first waiting frame, in order, of which this holds.
    fn first(&self, holds: impl Fn(&Waiting) -> bool) -> Option<u32> {
        let next = self.next?;
        let those = self.waiting.iter().filter(|(_, waiting)| holds(waiting));
        those.map(|(number, _)| *number).min_by_key(|number| number.wrapping_sub(next))
    }

    /// Gives what is in order, and goes over what was waited for long enough.
    fn settle(&mut self, now: Duration, out: &mut Vec<Ready>) {
        loop {
            self.drain(now, out);
            if !self.waiting.values().any(|waiting| self.gives_up(waiting) <= now) {
                return;
            }
            // To the first that can be shown if one of these has waited long enough, else to whichever has.
            let shown = self.waiting.values().any(|waiting| self.is_ready(waiting) && self.gives_up(waiting) <= now);
            let to = if shown {
                self.first(|waiting| self.is_ready(waiting))
            } else {
                self.first(|waiting| self.gives_up(waiting) <= now)
            };
            let Some(to) = to else { return };
            self.skip_to(to, out);
        }
    }

    fn take(&mut self, number: u32) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.placed.frame.data.len());
        Some(waiting)
    }

    /// Gives all that follows without a gap.
    fn drain(&mut self, now: Duration, out: &mut Vec<Ready>) {
        while let Some((next, waiting)) = self.next.and_then(|next| Some((next, self.take(next)?))) {
            self.next = Some(next.wrapping_add(1));
            let placed = waiting.placed;
            if placed.frame.needed().is_none_or(|needed| self.given.has(needed)) {
                self.given.add(next);
                if placed.layer == 0 || placed.frame.is_key() {
                    self.needs_key = false;
                    self.ask_at = None;
                }
                out.push(Ready::Frame(placed));
                continue;
            }
            // What it needs will not come. Of an upper layer it is no loss that lasts.
            out.push(Ready::Lost(1));
            if placed.layer == 0 && !self.needs_key && self.frames != Frames::Alone {
                self.needs_key = true;
                self.ask_at = Some(now);
            }
        }
    }

    /// What is missing before this waiting frame will not be waited for any longer.
    fn skip_to(&mut self, to: u32, out: &mut Vec<Ready>) {
        let Some(next) = self.next else { return };
        let missing = to.wrapping_sub(next);
        let passed: Vec<u32> = self.waiting.keys().copied().filter(|number| number.wrapping_sub(next) < missing).collect();
        for number in passed {
            self.take(number);
        }
        if missing > 0 {
            out.push(Ready::Lost(u64::from(missing)));
        }
        self.next = Some(to);
    }
}

/// Which of the last frames the application was given: as many as a frame can point back to.
struct Given(Box<[Option<u32>; 256]>);

impl Default for Given {
    fn default() -> Self {
        Self(Box::new([None; 256]))
    }
}

impl Given {
    fn place(number: u32) -> usize {
        let [.., low] = number.to_be_bytes();
        usize::from(low)
    }

    fn add(&mut self, number: u32) {
        if let Some(place) = self.0.get_mut(Self::place(number)) {
            *place = Some(number);
        }
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(Self::place(number)) == Some(&Some(number))
    }
}

#[cfg(test)]
mod tests;

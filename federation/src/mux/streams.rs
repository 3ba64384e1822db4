//! Which streams are open, and which of their halves: what may be said about them at all.

use std::collections::HashMap;

use super::{Broken, End, Limits, Number};
use crate::track::priority;

/// The half that we read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arriving {
    /// What arrives is for the machine.
    Wanted,
    /// The machine asked the remote to stop: what still arrives is thrown away.
    Unwanted,
}

/// The half that we write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaving {
    /// The machine may write.
    Open,
    /// All is written; the end has not been sent.
    Finished,
    /// Given up; that has not been sent.
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    priority: u8,
    arriving: Option<Arriving>,
    leaving: Option<Leaving>,
}

/// Streams of one session. One that is over in both ways is forgotten; that its number is below the next one of its
/// kind tells it from one that never was.
#[derive(Debug)]
pub(super) struct Streams {
    side: End,
    limits: Limits,
    open: HashMap<Number, Stream>,
    /// Per kind (the two low bits of a number): how many were opened ever, and how many are open.
    begun: [u64; 4],
    count: [usize; 4],
}

const fn kind(stream: Number) -> usize {
    match stream.0 & 3 {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    }
}

impl Streams {
    pub(super) fn new(side: End, limits: Limits) -> Self {
        let mut streams = Self { side, limits, open: HashMap::new(), begun: [0; 4], count: [0; 4] };
        streams.begin(Number::CONTROL, priority::CONTROL);
        streams
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    fn is_ours(&self, stream: Number) -> bool {
        stream.opener() == self.side
    }

    fn limit(&self, stream: Number) -> usize {
        match (stream.is_uni(), self.is_ours(stream)) {
            (false, _) => self.limits.bidi,
            (true, true) => self.limits.uni_out,
            (true, false) => self.limits.uni_in,
        }
    }

    /// The next number that we would open.
    fn next(&self, uni: bool) -> Number {
        let low = u64::from(self.side == End::Acceptor) | if uni { 2 } else { 0 };
        let begun = self.begun.get(kind(Number(low))).copied().unwrap_or(0);
        Number((begun << 2) | low)
    }

    fn has_place(&self, stream: Number) -> bool {
        self.count.get(kind(stream)).is_some_and(|count| *count < self.limit(stream))
    }

    /// Whether a stream that was refused would be opened now.
    pub(super) fn may_open(&self, uni: bool) -> bool {
        self.has_place(self.next(uni))
    }

    pub(super) fn open(&mut self, uni: bool, priority: u8) -> Option<Number> {
        let stream = self.next(uni);
        if !self.has_place(stream) {
            return None;
        }
        self.begin(stream, priority);
        Some(stream)
    }

    fn begin(&mut self, stream: Number, priority: u8) {
        let ours = self.is_ours(stream);
        let arriving = (!stream.is_uni() || !ours).then_some(Arriving::Wanted);
        let leaving = (!stream.is_uni() || ours).then_some(Leaving::Open);
        self.open.insert(stream, Stream { priority, arriving, leaving });
        if let (Some(begun), Some(count)) = (self.begun.get_mut(kind(stream)), self.count.get_mut(kind(stream))) {
            *begun += 1;
            *count += 1;
        }
    }

    /// The remote names a stream: if it is a new one of its own, that one and those of its kind before it are open
    /// from now on, because urgent streams overtake. Says whether the stream ever was.
    fn named(&mut self, stream: Number) -> Result<(), Broken> {
        let begun = self.begun.get(kind(stream)).copied().unwrap_or(0);
        let index = stream.0 >> 2;
        if index < begun {
            return Ok(());
        }
        if self.is_ours(stream) {
            return Err(Broken::Violation("a stream of ours that we never opened"));
        }
        let limit = u64::try_from(self.limit(stream)).unwrap_or(u64::MAX);
        if index - begun >= limit {
            return Err(Broken::Violation("too many streams"));
        }
        for index in begun..=index {
            let stream = Number((index << 2) | (stream.0 & 3));
            if !self.has_place(stream) {
                return Err(Broken::Violation("too many streams"));
            }
            self.begin(stream, priority::CONTROL);
        }
        Ok(())
    }

    /// Something of a stream arrived.
    pub(super) fn arriving(&mut self, stream: Number) -> Result<Arriving, Broken> {
        self.named(stream)?;
        let arriving = self.open.get(&stream).and_then(|stream| stream.arriving);
        arriving.ok_or(Broken::Violation("bytes on a stream that is over"))
    }

    /// The remote wants no more of a stream: how far we were with it, if there is anything to give up.
    pub(super) fn stopped(&mut self, stream: Number) -> Result<Option<Leaving>, Broken> {
        if stream.is_uni() && !self.is_ours(stream) {
            return Err(Broken::Violation("asked to stop what we do not send"));
        }
        self.named(stream)?;
        // None: it ended while this was under way.
        let Some(leaving) = self.open.get_mut(&stream).and_then(|stream| stream.leaving.as_mut()) else { return Ok(None) };
        let was = std::mem::replace(leaving, Leaving::GivenUp);
        Ok((was != Leaving::GivenUp).then_some(was))
    }

    /// The level of a stream that the machine may write to.
    pub(super) fn writable(&self, stream: Number) -> Option<u8> {
        self.open.get(&stream).filter(|stream| stream.leaving == Some(Leaving::Open)).map(|stream| stream.priority)
    }

    /// The machine has written all; the level, if there was something to finish.
    pub(super) fn finish(&mut self, stream: Number) -> Option<u8> {
        let found = self.open.get_mut(&stream).filter(|stream| stream.leaving == Some(Leaving::Open))?;
        found.leaving = Some(Leaving::Finished);
        Some(found.priority)
    }

    /// The machine gives a stream up; whether there is anything to give up.
    pub(super) fn reset(&mut self, stream: Number) -> bool {
        let Some(leaving) = self.open.get_mut(&stream).and_then(|stream| stream.leaving.as_mut()) else { return false };
        std::mem::replace(leaving, Leaving::GivenUp) != Leaving::GivenUp
    }

    /// The machine wants no more of a stream; whether more may come.
    pub(super) fn stop(&mut self, stream: Number) -> bool {
        let Some(arriving) = self.open.get_mut(&stream).and_then(|stream| stream.arriving.as_mut()) else { return false };
        std::mem::replace(arriving, Arriving::Unwanted) == Arriving::Wanted
    }

    /// The remote's half is over.
    pub(super) fn arrived(&mut self, stream: Number) {
        if let Some(found) = self.open.get_mut(&stream) {
            found.arriving = None;
            self.forget(stream);
        }
    }

    /// Our half is over, and that is on its way.
    pub(super) fn left(&mut self, stream: Number) {
        if let Some(found) = self.open.get_mut(&stream) {
            found.leaving = None;
            self.forget(stream);
        }
    }

    fn forget(&mut self, stream: Number) {
        if self.open.get(&stream).is_some_and(|stream| stream.arriving.is_none() && stream.leaving.is_none()) {
            self.open.remove(&stream);
            if let Some(count) = self.count.get_mut(kind(stream)) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

//! One session over WebTransport: what was handed to the browser and not taken yet, counted, so that little waits where
//! nobody can change their mind about it.
//!
//! The browser takes any number of writes and tells how far it is by promises. The worker reports those
//! ([`Pipes::sent`]); until then they count against the bounds here, and what is above them is refused as the
//! [`Outlet`](conclave_federation::io::Outlet) promises: [`Wrote::Blocked`] now, one [`Net::Writable`] when there is room.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, Bytes};
use conclave_federation::{
    io::{Closed, Net, SessionKey, StreamKey, StreamKind, Wrote},
    limits::{MAX_DATAGRAM, MAX_OPEN_STREAMS},
    track::priority,
    wire::code::Code,
};

use crate::deed::Deed;

/// Bytes of one stream that may wait in the browser: half a second of good video.
pub(crate) const STREAM_BYTES: usize = 64 * 1024;

/// Bytes of all streams together: as much as natively on the largest window.
pub(crate) const SESSION_BYTES: usize = 256 * 1024;

/// What of [`SESSION_BYTES`] is kept free of media, so that a control message always finds room.
const FOR_CONTROL: usize = 64 * 1024;

/// Datagrams that may wait: more would be delay and not delivery.
pub(crate) const DATAGRAMS: usize = 32;

/// Streams one way that we may have open: what a relay allows.
pub(crate) const UNI_OUT: usize = 64;

/// Streams for requests that we may have open, the control stream among them: what a relay allows.
pub(crate) const BIDI_OUT: usize = 64;

/// Our half of a stream.
#[derive(Clone, Copy, Debug)]
struct Sending {
    priority: u8,
    /// Bytes handed over and not reported.
    waiting: usize,
    finished: bool,
    /// A write was refused, in whole or in part, and not yet allowed again.
    refused: bool,
}

impl Sending {
    const fn new(priority: u8) -> Self {
        Self { priority, waiting: 0, finished: false, refused: false }
    }
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    kind: StreamKind,
    ours: bool,
    sending: Option<Sending>,
    receiving: bool,
}

/// What was refused and not yet allowed again.
#[derive(Clone, Copy, Default, Debug)]
struct Refused {
    /// On one stream or on several, which know it themselves.
    write: bool,
    uni: bool,
    bidi: bool,
    datagram: bool,
}

/// One session; see the module.
#[derive(Debug)]
pub(crate) struct Pipes {
    session: SessionKey,
    streams: BTreeMap<StreamKey, Stream>,
    next_stream: u32,
    /// Bytes of all streams that are handed over and not reported.
    waiting: usize,
    /// The same for datagrams, in pieces.
    datagrams: usize,
    refused: Refused,
    /// How often something was refused.
    blocked: u64,
    out: VecDeque<Net>,
    deeds: VecDeque<Deed>,
    over: bool,
}

impl Pipes {
    /// A session that is up: its first deed is to open the control stream.
    pub(crate) fn new(session: SessionKey) -> Self {
        let mut pipes = Self {
            session,
            streams: BTreeMap::new(),
            next_stream: 0,
            waiting: 0,
            datagrams: 0,
            refused: Refused::default(),
            blocked: 0,
            out: VecDeque::new(),
            deeds: VecDeque::new(),
            over: false,
        };
        // The first number is the control stream's.
        pipes.open(StreamKind::Control, priority::CONTROL);
        pipes
    }

    /// The next thing to do.
    pub(crate) fn next_deed(&mut self) -> Option<Deed> {
        self.deeds.pop_front()
    }

    /// The next thing that happened.
    pub(crate) fn next_net(&mut self) -> Option<Net> {
        self.out.pop_front()
    }

    /// Whether there is nothing left to do or to tell, and never will be.
    pub(crate) fn is_over(&self) -> bool {
        self.over && self.deeds.is_empty() && self.out.is_empty()
    }

    pub(crate) const fn blocked(&self) -> u64 {
        self.blocked
    }

    fn number(&mut self) -> Option<StreamKey> {
        let number = self.next_stream;
        // Numbers are never used again: a session with four thousand million streams has had its time.
        self.next_stream = number.checked_add(1)?;
        Some(StreamKey(u64::from(number)))
    }

    fn open(&mut self, kind: StreamKind, priority: u8) -> Option<StreamKey> {
        let stream = self.number()?;
        let bidi = kind != StreamKind::Uni;
        let sending = Some(Sending::new(priority));
        self.streams.insert(stream, Stream { kind, ours: true, sending, receiving: bidi });
        self.deeds.push_back(Deed::Open { stream, bidi, priority });
        Some(stream)
    }

    fn may_open(&self, kind: StreamKind) -> bool {
        let is_of = |stream: &&Stream| stream.ours && (stream.kind == StreamKind::Uni) == (kind == StreamKind::Uni);
        let limit = if kind == StreamKind::Uni { UNI_OUT } else { BIDI_OUT };
        self.streams.values().filter(is_of).count() < limit
    }

    /// As `open_uni` of an outlet.
    pub(crate) fn open_uni(&mut self, priority: u8) -> Option<StreamKey> {
        if self.over {
            return None;
        }
        if !self.may_open(StreamKind::Uni) {
            self.refused.uni = true;
            self.blocked += 1;
            return None;
        }
        self.open(StreamKind::Uni, priority)
    }

    /// As `open_bidi` of an outlet.
    pub(crate) fn open_bidi(&mut self) -> Option<StreamKey> {
        if self.over {
            return None;
        }
        if !self.may_open(StreamKind::Bidi) {
            self.refused.bidi = true;
            self.blocked += 1;
            return None;
        }
        self.open(StreamKind::Bidi, priority::CONTROL)
    }

    /// How many bytes a stream may take now.
    fn room(&self, sending: Sending) -> usize {
        let session = if sending.priority == priority::CONTROL { SESSION_BYTES } else { SESSION_BYTES - FOR_CONTROL };
        STREAM_BYTES.saturating_sub(sending.waiting).min(session.saturating_sub(self.waiting))
    }

    /// As `write` of an outlet.
    pub(crate) fn write(&mut self, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let Some(sending) = self.sending(stream).filter(|sending| !sending.finished) else { return Wrote::Gone };
        let offered: usize = chunks.iter().map(Bytes::len).sum();
        let taken = self.room(sending).min(offered);
        if taken < offered {
            self.refused.write = true;
            self.blocked += 1;
            if let Some(sending) = self.sending_mut(stream) {
                sending.refused = true;
            }
        }
        if taken == 0 {
            return if offered == 0 { Wrote::Accepted(0) } else { Wrote::Blocked };
        }
        let mut left = taken;
        let mut pieces = Vec::with_capacity(chunks.len());
        for chunk in chunks.iter_mut() {
            let part = chunk.len().min(left);
            if part > 0 {
                pieces.push(chunk.slice(..part));
                chunk.advance(part);
                left -= part;
            }
        }
        // What follows at once crosses the border as one.
        match self.deeds.back_mut() {
            Some(Deed::Send { stream: last, chunks, fin: false }) if *last == stream => chunks.append(&mut pieces),
            _ => self.deeds.push_back(Deed::Send { stream, chunks: pieces, fin: false }),
        }
        self.waiting += taken;
        if let Some(sending) = self.sending_mut(stream) {
            sending.waiting += taken;
        }
        Wrote::Accepted(taken)
    }

    /// As `finish` of an outlet.
    pub(crate) fn finish(&mut self, stream: StreamKey) {
        let Some(sending) = self.sending_mut(stream).filter(|sending| !sending.finished) else { return };
        sending.finished = true;
        match self.deeds.back_mut() {
            Some(Deed::Send { stream: last, fin, .. }) if *last == stream => *fin = true,
            _ => self.deeds.push_back(Deed::Send { stream, chunks: Vec::new(), fin: true }),
        }
        self.settle(stream);
    }

    /// As `reset` of an outlet: what the worker has not fetched yet is thrown away here, the rest by the browser.
    pub(crate) fn reset(&mut self, stream: StreamKey, code: Code) {
        if self.give_up(stream) {
            self.deeds.retain(|deed| !matches!(deed, Deed::Send { stream: of, .. } if *of == stream));
            self.deeds.push_back(Deed::Reset { stream, code });
        }
    }

    /// As `stop` of an outlet.
    pub(crate) fn stop(&mut self, stream: StreamKey, code: Code) {
        self.out.retain(|net| !matches!(net, Net::Data { stream: of, .. } if *of == stream));
        let Some(found) = self.streams.get_mut(&stream).filter(|found| found.receiving) else { return };
        found.receiving = false;
        self.deeds.push_back(Deed::Stop { stream, code });
        self.settle(stream);
    }

    /// As `datagram` of an outlet. One that no path carries whole is lost, as on such a path.
    pub(crate) fn datagram(&mut self, bytes: Bytes) -> Wrote {
        let len = bytes.len();
        if self.over {
            return Wrote::Gone;
        }
        if len > MAX_DATAGRAM {
            return Wrote::Accepted(len);
        }
        if self.datagrams >= DATAGRAMS {
            self.refused.datagram = true;
            self.blocked += 1;
            return Wrote::Blocked;
        }
        self.datagrams += 1;
        self.deeds.push_back(Deed::Datagram(bytes));
        Wrote::Accepted(len)
    }

    /// As `close` of an outlet.
    pub(crate) fn close(&mut self, code: Code, words: &str) {
        if !self.over {
            self.deeds.push_back(Deed::Close { code, words: words.to_owned() });
            self.end(Closed::ByUs);
        }
    }

    /// The session ended at the other end, or on the way.
    pub(crate) fn closed(&mut self, why: Closed) {
        if !self.over {
            self.deeds.clear();
            self.end(why);
        }
    }

    fn end(&mut self, why: Closed) {
        self.over = true;
        self.streams.clear();
        self.out.clear();
        self.out.push_back(Net::Closed { session: self.session, why });
    }

    /// The relay opened a stream; its number. One too many is stopped at once, and what comes on it ignored.
    pub(crate) fn stream_in(&mut self, bidi: bool) -> Option<StreamKey> {
        if self.over {
            return None;
        }
        let stream = self.number()?;
        if self.streams.values().filter(|stream| !stream.ours).count() >= MAX_OPEN_STREAMS {
            self.deeds.push_back(Deed::Stop { stream, code: Code::FULL });
            return Some(stream);
        }
        let kind = if bidi { StreamKind::Bidi } else { StreamKind::Uni };
        let sending = bidi.then_some(Sending::new(priority::CONTROL));
        self.streams.insert(stream, Stream { kind, ours: false, sending, receiving: true });
        Some(stream)
    }

    /// The next bytes of a stream.
    pub(crate) fn data(&mut self, stream: StreamKey, bytes: Bytes, fin: bool) {
        let Some(found) = self.streams.get_mut(&stream).filter(|found| found.receiving) else { return };
        found.receiving = !fin;
        self.out.push_back(Net::Data { session: self.session, stream, kind: found.kind, bytes, fin });
        self.settle(stream);
    }

    /// The relay gave up sending.
    pub(crate) fn reset_in(&mut self, stream: StreamKey, code: Code) {
        let Some(found) = self.streams.get_mut(&stream).filter(|found| found.receiving) else { return };
        found.receiving = false;
        self.out.push_back(Net::Reset { session: self.session, stream, code });
        self.settle(stream);
    }

    /// The relay does not want the rest.
    pub(crate) fn stopped_in(&mut self, stream: StreamKey, code: Code) {
        let was_open = self.sending(stream).is_some_and(|sending| !sending.finished);
        if self.give_up(stream) {
            self.deeds.retain(|deed| !matches!(deed, Deed::Send { stream: of, .. } if *of == stream));
            if was_open {
                self.out.push_back(Net::Stopped { session: self.session, stream, code });
            }
        }
    }

    /// A whole datagram.
    pub(crate) fn datagram_in(&mut self, bytes: Bytes) {
        if !self.over {
            self.out.push_back(Net::Datagram { session: self.session, bytes });
        }
    }

    /// The browser took so many bytes of a stream.
    pub(crate) fn sent(&mut self, stream: StreamKey, bytes: usize) {
        let Some(sending) = self.sending_mut(stream) else { return };
        let bytes = bytes.min(sending.waiting);
        sending.waiting -= bytes;
        self.waiting -= bytes;
        self.settle(stream);
        self.look_for_room();
    }

    /// The browser took so many datagrams.
    pub(crate) fn datagrams_sent(&mut self, count: usize) {
        self.datagrams = self.datagrams.saturating_sub(count);
        self.look_for_room();
    }

    fn sending(&self, stream: StreamKey) -> Option<Sending> {
        self.streams.get(&stream)?.sending
    }

    fn sending_mut(&mut self, stream: StreamKey) -> Option<&mut Sending> {
        self.streams.get_mut(&stream)?.sending.as_mut()
    }

    /// Ends our half; says whether there was one.
    fn give_up(&mut self, stream: StreamKey) -> bool {
        let Some(sending) = self.streams.get_mut(&stream).and_then(|found| found.sending.take()) else { return false };
        self.waiting -= sending.waiting;
        self.settle(stream);
        self.look_for_room();
        true
    }

    /// Forgets halves that are done, and streams without any.
    fn settle(&mut self, stream: StreamKey) {
        let Some(found) = self.streams.get_mut(&stream) else { return };
        if found.sending.is_some_and(|sending| sending.finished && sending.waiting == 0) {
            found.sending = None;
        }
        if found.sending.is_none() && !found.receiving {
            self.streams.remove(&stream);
            self.look_for_room();
        }
    }

    /// Tells the machine once when something that was refused would be taken.
    fn look_for_room(&mut self) {
        let Refused { write, uni, bidi, datagram } = self.refused;
        let room = (write && self.may_write())
            || (datagram && self.datagrams < DATAGRAMS)
            || (uni && self.may_open(StreamKind::Uni))
            || (bidi && self.may_open(StreamKind::Bidi));
        if room && !self.over {
            self.refused = Refused::default();
            for sending in self.streams.values_mut().filter_map(|stream| stream.sending.as_mut()) {
                sending.refused = false;
            }
            self.out.push_back(Net::Writable { session: self.session });
        }
    }

    /// Whether a stream that was refused has room now, or none of those is left.
    fn may_write(&self) -> bool {
        let mut refused = self.streams.values().filter_map(|stream| stream.sending).filter(|sending| sending.refused).peekable();
        refused.peek().is_none() || refused.any(|sending| self.room(sending) > 0)
    }
}

#[cfg(test)]
mod tests;

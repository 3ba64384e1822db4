//! One session of the hop protocol: bytes in, events out. Passive: it knows no room, no store and no timer but
//! [`Session::next_timeout`]; the machine that owns it decides what requests mean.
//!
//! ```text
//!   Net::Data(control) --> MessageReader --> handshake, then requests, answers, notices --+
//!   Net::Data(bidi)    --> MessageReader --> one request or its answer -------------------+--> Event
//!   Net::Data(uni)     --> StreamReader  --> pieces of groups, whole reliable objects ----+
//!   Net::Datagram      --> ObjectHeader  --> one object ----------------------------------+
//! ```

mod handshake;
mod request;

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;

pub use self::handshake::{Local, LocalRelay, Remote};
pub use self::request::Reply;
use self::{
    handshake::{Accepting, Dialling},
    request::Table,
};
use crate::{
    io::{Now, Outlet, SessionKey, Side, StreamKey, StreamKind, Wrote},
    limits::{HELLO_DEADLINE, MAX_LARGE_MESSAGE, MAX_OPEN_STREAMS},
    wire::{
        Malformed,
        code::Code,
        message::{Answer, Message, MessageReader, Notice, Refusal, Request, grease},
        object::ObjectHeader,
        stream::{Piece, StreamReader},
    },
};

/// Control bytes that may wait for a remote that does not read; then the session ends with `slow`.
const MAX_BACKLOG: usize = 2 * MAX_LARGE_MESSAGE;

/// Stream bytes that may overtake the greeting: what a relay has to say in the round trip after it. Streams wait for their own
/// losses only, so a lost greeting lets all others arrive before it.
const MAX_EARLY: usize = 1024 * 1024;

/// Events that may wait between two calls of [`Session::next_event`]; drained by the owner after every input, so only a bug reaches it.
const MAX_EVENTS: usize = 65_536;

/// The remote's fault: the session has to be closed with this.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {words}", code.name())]
pub struct Fault {
    /// Goes on the wire.
    pub code: Code,
    /// Goes on the wire: a sentence for the other side's operator.
    pub words: &'static str,
}

impl Fault {
    const fn new(code: Code, words: &'static str) -> Self {
        Self { code, words }
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::new(Code::MALFORMED, "the bytes are not conclave/1: check the version of the software")
    }
}

/// What a session has to tell its owner. `T` is what the owner attached to its own requests.
#[derive(Debug)]
pub enum Event<T> {
    /// The opening is complete; once, first.
    Active(Remote),
    /// The remote wants an answer.
    Request(Reply, Box<Request>),
    /// The remote answered, or time is up: then a refusal with [`Code::TIMEOUT`].
    Answer(T, Answer),
    /// The remote says something.
    Notice(Notice),
    /// From a unidirectional stream.
    Piece(StreamKey, Piece),
    /// A unidirectional stream ended: complete (`true`) or given up by its sender.
    StreamEnded(StreamKey, bool),
    /// A whole object in a datagram: header, payload, and the datagram as it came.
    Datagram(ObjectHeader, Bytes, Bytes),
}

enum Stage {
    Dialling(Box<Dialling>),
    Accepting(Box<Accepting>),
    Active,
}

/// Bytes of a stream that overtook the greeting.
struct Early {
    stream: StreamKey,
    kind: StreamKind,
    bytes: Bytes,
    fin: bool,
}

enum Incoming {
    Uni(StreamReader),
    /// A request of the remote, or the answer to one of ours.
    Bidi(MessageReader),
    /// Not wanted any more.
    Ignored,
}

/// One session; see the module.
pub struct Session<T> {
    key: SessionKey,
    stage: Stage,
    control: MessageReader,
    streams: HashMap<StreamKey, Incoming>,
    early: VecDeque<Early>,
    early_bytes: usize,
    outgoing: HashMap<StreamKey, Outgoing>,
    backlog: usize,
    requests: Table<T>,
    events: VecDeque<Event<T>>,
    deadline: Option<Duration>,
}

#[derive(Default)]
struct Outgoing {
    waiting: VecDeque<Bytes>,
    finish: bool,
}

impl<T> Session<T> {
    /// A connection is up. The dialler's `Hello` leaves at once.
    pub fn new(now: Now, key: SessionKey, side: Side, exporter: [u8; 32], local: &Local, outlet: &mut impl Outlet) -> Self {
        let mut session = Self {
            key,
            stage: Stage::Active,
            control: MessageReader::control(),
            streams: HashMap::new(),
            early: VecDeque::new(),
            early_bytes: 0,
            outgoing: HashMap::new(),
            backlog: 0,
            requests: Table::new(),
            events: VecDeque::new(),
            deadline: Some(now.mono + HELLO_DEADLINE),
        };
        match side {
            Side::Dialled(_, remote) | Side::DialledByName(_, remote) => {
                let (dialling, hello) = Dialling::start(local, remote, &exporter);
                session.stage = Stage::Dialling(Box::new(dialling));
                session.send(&Message::Notice(Notice::Hello(hello)), outlet);
                let [odd, number, ..] = exporter;
                if odd % 2 == 1 {
                    session.send(&Message::Unknown(grease(number)), outlet);
                }
            }
            Side::Accepted => session.stage = Stage::Accepting(Box::new(Accepting::start(local, exporter))),
        }
        session
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> SessionKey {
        self.key
    }

    /// Whether the opening is complete.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.stage, Stage::Active)
    }

    /// Bytes of a stream.
    ///
    /// # Errors
    /// When they are not what they have to be; close the session with the fault.
    pub fn on_data(
        &mut self,
        now: Now,
        stream: StreamKey,
        kind: StreamKind,
        bytes: Bytes,
        fin: bool,
        outlet: &mut impl Outlet,
    ) -> Result<(), Fault> {
        match kind {
            StreamKind::Control => {
                self.on_control(now, &bytes, fin, outlet)?;
                self.on_overtaken()?;
            }
            StreamKind::Uni | StreamKind::Bidi if matches!(self.stage, Stage::Dialling(_)) => {
                self.keep_early(Early { stream, kind, bytes, fin })?;
            }
            StreamKind::Uni => self.on_uni(stream, bytes, fin)?,
            StreamKind::Bidi => self.on_bidi(stream, &bytes, fin)?,
        }
        if self.events.len() > MAX_EVENTS {
            return Err(Fault::new(Code::RATE, "too much at once: send less in one go"));
        }
        Ok(())
    }

    /// The acceptor speaks as soon as it has greeted, and its greeting may come last. The dialler has no such excuse: it
    /// says nothing before the greeting.
    fn keep_early(&mut self, early: Early) -> Result<(), Fault> {
        self.early_bytes = self.early_bytes.saturating_add(early.bytes.len());
        if self.early_bytes > MAX_EARLY || self.early.len() >= MAX_OPEN_STREAMS {
            return Err(Fault::new(Code::FULL, "too much before the greeting: wait for an answer first"));
        }
        self.early.push_back(early);
        Ok(())
    }

    /// What overtook the greeting is taken now.
    fn on_overtaken(&mut self) -> Result<(), Fault> {
        if !self.is_active() {
            return Ok(());
        }
        self.early_bytes = 0;
        while let Some(early) = self.early.pop_front() {
            match early.kind {
                StreamKind::Uni => self.on_uni(early.stream, early.bytes, early.fin)?,
                StreamKind::Control | StreamKind::Bidi => self.on_bidi(early.stream, &early.bytes, early.fin)?,
            }
        }
        Ok(())
    }

    fn on_control(&mut self, now: Now, bytes: &[u8], fin: bool, outlet: &mut impl Outlet) -> Result<(), Fault> {
        self.control.push(bytes);
        while let Some(message) = self.control.next_message()? {
            self.on_message(now, message, outlet)?;
        }
        if fin {
            return Err(Fault::new(Code::VIOLATION, "the control stream may not end before the session"));
        }
        Ok(())
    }

    fn on_message(&mut self, now: Now, message: Message, outlet: &mut impl Outlet) -> Result<(), Fault> {
        match (std::mem::replace(&mut self.stage, Stage::Active), message) {
            (stage, Message::Unknown(_)) => self.stage = stage,
            (Stage::Dialling(state), Message::Notice(Notice::Greeting(greeting))) => {
                let remote = state.on_greeting(*greeting)?;
                self.opened(remote);
            }
            (Stage::Accepting(state), Message::Notice(Notice::Hello(hello))) => {
                let (greeting, remote) = state.on_hello(hello)?;
                self.send(&Message::Notice(Notice::Greeting(Box::new(greeting))), outlet);
                self.opened(remote);
            }
            (Stage::Dialling(_) | Stage::Accepting(_), _) => {
                return Err(Fault::new(Code::VIOLATION, "the opening has to come first"));
            }
            (Stage::Active, Message::Notice(Notice::Hello(_) | Notice::Greeting(_))) => {
                return Err(Fault::new(Code::VIOLATION, "the opening comes once"));
            }
            (Stage::Active, Message::Request(id, request)) => {
                if matches!(*request, Request::Append(_) | Request::Join(_)) {
                    return Err(Fault::new(Code::VIOLATION, "this request needs a stream of its own"));
                }
                let reply = self.requests.on_request(id, None)?;
                self.events.push_back(Event::Request(reply, request));
            }
            (Stage::Active, Message::Answer(id, answer)) => {
                if let Some(tag) = self.requests.on_answer(id) {
                    self.events.push_back(Event::Answer(tag, answer));
                }
            }
            (Stage::Active, Message::Notice(notice)) => self.events.push_back(Event::Notice(notice)),
        }
        let _ = now;
        Ok(())
    }

    fn opened(&mut self, remote: Remote) {
        self.stage = Stage::Active;
        self.deadline = None;
        self.events.push_back(Event::Active(remote));
    }

    fn early(&self) -> Result<(), Fault> {
        if self.is_active() { Ok(()) } else { Err(Fault::new(Code::VIOLATION, "the opening has to come first")) }
    }

    fn on_uni(&mut self, stream: StreamKey, bytes: Bytes, fin: bool) -> Result<(), Fault> {
        self.early()?;
        if self.streams.len() >= MAX_OPEN_STREAMS && !self.streams.contains_key(&stream) {
            return Err(Fault::new(Code::FULL, "too many streams at once: finish or reset some"));
        }
        let Incoming::Uni(reader) = self.streams.entry(stream).or_insert_with(|| Incoming::Uni(StreamReader::new())) else {
            if fin {
                self.streams.remove(&stream);
            }
            return Ok(());
        };
        reader.push(bytes)?;
        while let Some(piece) = reader.next_piece() {
            self.events.push_back(Event::Piece(stream, piece));
        }
        if fin {
            reader.finish()?;
            self.streams.remove(&stream);
            self.events.push_back(Event::StreamEnded(stream, true));
        }
        Ok(())
    }

    fn on_bidi(&mut self, stream: StreamKey, bytes: &[u8], fin: bool) -> Result<(), Fault> {
        self.early()?;
        if self.streams.len() >= MAX_OPEN_STREAMS && !self.streams.contains_key(&stream) {
            return Err(Fault::new(Code::FULL, "too many streams at once: finish or reset some"));
        }
        let Incoming::Bidi(reader) = self.streams.entry(stream).or_insert_with(|| Incoming::Bidi(MessageReader::large())) else {
            if fin {
                self.streams.remove(&stream);
            }
            return Ok(());
        };
        reader.push(bytes);
        match reader.next_message()? {
            None if fin => {
                reader.finish()?;
                self.streams.remove(&stream);
            }
            None => {}
            Some(message) => {
                self.streams.insert(stream, Incoming::Ignored);
                if fin {
                    self.streams.remove(&stream);
                }
                match message {
                    Message::Request(id, request) => {
                        let reply = self.requests.on_request(id, Some(stream))?;
                        self.events.push_back(Event::Request(reply, request));
                    }
                    Message::Answer(id, answer) => {
                        if let Some(tag) = self.requests.on_answer(id) {
                            self.events.push_back(Event::Answer(tag, answer));
                        }
                    }
                    Message::Unknown(_) => {}
                    Message::Notice(_) => return Err(Fault::new(Code::VIOLATION, "a notice belongs on the control stream")),
                }
            }
        }
        Ok(())
    }

    /// The remote gave up a stream.
    pub fn on_reset(&mut self, stream: StreamKey) {
        self.early.retain(|early| early.stream != stream);
        match self.streams.remove(&stream) {
            Some(Incoming::Uni(_)) => self.events.push_back(Event::StreamEnded(stream, false)),
            Some(Incoming::Bidi(_) | Incoming::Ignored) => {
                if let Some(tag) = self.requests.on_stream_lost(stream) {
                    self.events.push_back(Event::Answer(tag, Answer::Refused(Refusal::new(Code::INTERNAL, ""))));
                }
            }
            None => {}
        }
    }

    /// We do not want the rest of this unidirectional stream; nothing of it comes as an event any more.
    pub fn ignore(&mut self, stream: StreamKey) {
        if let Some(incoming) = self.streams.get_mut(&stream) {
            *incoming = Incoming::Ignored;
        }
    }

    /// One datagram.
    ///
    /// # Errors
    /// When it is not an object.
    pub fn on_datagram(&mut self, bytes: Bytes) -> Result<(), Fault> {
        // A datagram may overtake the opening; that is no fault, and no use either.
        if self.is_active() {
            let (header, payload) = ObjectHeader::split(&bytes)?;
            self.events.push_back(Event::Datagram(header, payload, bytes));
        }
        Ok(())
    }

    /// The next event, in the order in which things arrived.
    pub fn next_event(&mut self) -> Option<Event<T>> {
        self.events.pop_front()
    }

    /// Asks the remote. The answer comes as [`Event::Answer`] with `tag`; appends and joins take a stream of their own.
    pub fn request(&mut self, now: Now, request: Request, tag: T, outlet: &mut impl Outlet) {
        let own_stream = matches!(request, Request::Append(_) | Request::Join(_));
        let patient = matches!(request, Request::Join(_));
        if self.requests.is_full() {
            self.events.push_back(Event::Answer(
                tag,
                Answer::Refused(Refusal::new(Code::FULL, "too many requests at once: wait for answers")),
            ));
            return;
        }
        if own_stream {
            let Some(stream) = outlet.open_bidi(self.key) else {
                self.events.push_back(Event::Answer(
                    tag,
                    Answer::Refused(Refusal::new(Code::FULL, "too many requests at once: wait for answers")),
                ));
                return;
            };
            let id = self.requests.ask(now, patient, Some(stream), tag);
            self.write(stream, Message::Request(id, Box::new(request)).encode(), true, outlet);
        } else {
            let id = self.requests.ask(now, patient, None, tag);
            self.send(&Message::Request(id, Box::new(request)), outlet);
        }
    }

    /// Answers the remote, on the stream its request came on.
    pub fn answer(&mut self, reply: Reply, answer: Answer, outlet: &mut impl Outlet) {
        self.requests.on_answered(&reply);
        let message = Message::Answer(reply.id, answer);
        match reply.stream {
            Some(stream) => self.write(stream, message.encode(), true, outlet),
            None => self.send(&message, outlet),
        }
    }

    /// Says something that wants no answer.
    pub fn notify(&mut self, notice: Notice, outlet: &mut impl Outlet) {
        self.send(&Message::Notice(notice), outlet);
    }

    fn send(&mut self, message: &Message, outlet: &mut impl Outlet) {
        self.write(StreamKey::CONTROL, message.encode(), false, outlet);
    }

    fn write(&mut self, stream: StreamKey, bytes: Bytes, finish: bool, outlet: &mut impl Outlet) {
        self.backlog = self.backlog.saturating_add(bytes.len());
        let outgoing = self.outgoing.entry(stream).or_default();
        outgoing.waiting.push_back(bytes);
        outgoing.finish |= finish;
        self.flush_stream(stream, outlet);
    }

    fn flush_stream(&mut self, stream: StreamKey, outlet: &mut impl Outlet) {
        let Some(outgoing) = self.outgoing.get_mut(&stream) else { return };
        while let Some(front) = outgoing.waiting.front_mut() {
            match outlet.write(self.key, stream, std::slice::from_mut(front)) {
                Wrote::Accepted(len) => {
                    self.backlog = self.backlog.saturating_sub(len);
                    if !front.is_empty() {
                        return;
                    }
                    outgoing.waiting.pop_front();
                }
                Wrote::Blocked => return,
                Wrote::Gone => {
                    self.backlog = self.backlog.saturating_sub(outgoing.waiting.iter().map(Bytes::len).sum());
                    self.outgoing.remove(&stream);
                    return;
                }
            }
        }
        if outgoing.finish {
            outlet.finish(self.key, stream);
            self.outgoing.remove(&stream);
        }
    }

    /// Something that was blocked may go now.
    ///
    /// # Errors
    /// When too much has been waiting.
    pub fn on_writable(&mut self, outlet: &mut impl Outlet) -> Result<(), Fault> {
        let mut streams: Vec<_> = self.outgoing.keys().copied().collect();
        streams.sort_unstable();
        for stream in streams {
            self.flush_stream(stream, outlet);
        }
        self.check_backlog()
    }

    /// Whether the remote keeps up with what we have to say; call after anything that writes.
    ///
    /// # Errors
    /// When too much is waiting.
    pub fn check_backlog(&self) -> Result<(), Fault> {
        if self.backlog > MAX_BACKLOG {
            Err(Fault::new(Code::SLOW, "you do not read what you asked for: read faster or ask for less"))
        } else {
            Ok(())
        }
    }

    /// When [`Session::on_timeout`] wants to be called, on the `mono` line.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        [self.deadline, self.requests.next_timeout()].into_iter().flatten().min()
    }

    /// Deadlines: the opening's, and those of requests.
    ///
    /// # Errors
    /// When the opening took too long.
    pub fn on_timeout(&mut self, now: Now) -> Result<(), Fault> {
        if self.deadline.is_some_and(|at| at <= now.mono) {
            return Err(Fault::new(Code::TIMEOUT, "the opening took too long: try again"));
        }
        for tag in self.requests.expire(now) {
            let words = "the relay did not answer in time: try again, or through another relay";
            self.events.push_back(Event::Answer(tag, Answer::Refused(Refusal::new(Code::TIMEOUT, words))));
        }
        Ok(())
    }

    /// The session is over: what was asked and not answered.
    pub fn into_unanswered(self) -> Vec<T> {
        self.requests.into_tags()
    }
}

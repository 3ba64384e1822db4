//! Who has something for the driver: bells that quinn rings, in the order in which they rang.
//!
//! Every source of events (the port, a handshake, a stream) has one bell. A bell stands in the line at most once, so the
//! line is never longer than there are sources, and those are bounded by sessions and stream limits.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use conclave_federation::io::{SessionKey, StreamKey};

/// A place where events come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The port: somebody dials us.
    Port,
    /// A handshake or a dial under way.
    Attempt(u64),
    /// Something of a session.
    Session(SessionKey, Part),
}

/// What of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Closed,
    Datagram,
    Uni,
    Bidi,
    Read(StreamKey),
    Writable,
    /// The stream of a browser's request.
    Request,
    /// Messages from TCP.
    PipeIn,
    /// Room for messages to TCP.
    PipeOut,
}

#[derive(Default)]
struct Line {
    rung: VecDeque<Arc<Bell>>,
    driver: Option<Waker>,
}

/// The line of bells that rang, and the driver to wake when one joins it.
#[derive(Default)]
pub(crate) struct Ready(Mutex<Line>);

impl Ready {
    fn line(&self) -> MutexGuard<'_, Line> {
        // A line is whole after every statement here, whatever panicked meanwhile.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes `waker` from now on.
    pub(crate) fn listen(&self, waker: &Waker) {
        let mut line = self.line();
        match &mut line.driver {
            Some(known) if known.will_wake(waker) => {}
            driver => *driver = Some(waker.clone()),
        }
    }

    /// The bell that rang first. It may ring again from here on.
    pub(crate) fn next(&self) -> Option<Source> {
        let bell = self.line().rung.pop_front()?;
        bell.rung.store(false, Ordering::Release);
        Some(bell.source)
    }

    pub(crate) fn bell(self: &Arc<Self>, source: Source) -> Arc<Bell> {
        Arc::new(Bell { source, rung: AtomicBool::new(false), ready: Arc::downgrade(self) })
    }
}

/// Rings for one source; its waker is what quinn is given.
pub(crate) struct Bell {
    source: Source,
    rung: AtomicBool,
    ready: Weak<Ready>,
}

impl Bell {
    /// Joins the line, unless it stands in it already.
    pub(crate) fn ring(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(ready) = self.ready.upgrade() else { return };
        let driver = {
            let mut line = ready.line();
            line.rung.push_back(Arc::clone(self));
            line.driver.take()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_stands_in_line_once_and_rings_again_after_its_turn() {
        let ready = Arc::new(Ready::default());
        let (one, two) = (ready.bell(Source::Attempt(1)), ready.bell(Source::Attempt(2)));
        one.ring();
        two.ring();
        one.ring();
        assert_eq!(ready.next(), Some(Source::Attempt(1)));
        one.ring();
        assert_eq!(ready.next(), Some(Source::Attempt(2)));
        assert_eq!(ready.next(), Some(Source::Attempt(1)));
        assert_eq!(ready.next(), None);
    }

    #[test]
    fn a_bell_without_a_line_is_silent() {
        let ready = Arc::new(Ready::default());
        let bell = ready.bell(Source::Port);
        drop(ready);
        bell.ring();
        assert!(bell.rung.load(Ordering::Acquire));
    }
}

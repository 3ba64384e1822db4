//! Sessions in the making: who dials us, whom we dial, and how either ends.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use conclave_federation::{
    id::RelayId,
    io::{Dial, DialError, DialKey, Net, SessionKey, Side},
    wire::code::Code,
};
use quinn::Connection;

use super::Driver;
use crate::{
    accept::{Admission, HandshakeError, Shaken, admit, shake},
    config::{LEAST_DATAGRAM, Role},
    dial::{Reached, dial, dial_either},
    observe::Observer,
    ready::Source,
    session::{Session, Waiting},
    tls,
    web::Opened,
};

/// A handshake or dial under way.
pub(super) struct Attempt {
    pub(super) work: Work,
    waker: Waker,
}

pub(super) enum Work {
    Accepted {
        proven: bool,
        shaking: Waiting<Result<Shaken, HandshakeError>>,
    },
    Dialled {
        key: DialKey,
        dialling: Waiting<Result<Reached, DialError>>,
    },
    /// A session of a browser is over, and it has to hear of it.
    Leaving(Waiting<()>),
}

impl<O: Observer> Driver<O> {
    /// Reaches a relay; answered by [`Net::Connected`] or [`Net::DialFailed`].
    pub fn dial(&mut self, wanted: Dial) {
        let key = wanted.key;
        if self.load.stopping || self.sessions() >= self.endpoint.limits.sessions {
            self.out.push_back(Net::DialFailed { dial: key, why: DialError::Unreachable });
            return;
        }
        let (quic, transport) = (self.endpoint.quic.clone(), Arc::clone(&self.endpoint.dialling));
        let dialling: Waiting<_> = if self.endpoint.relay().is_some() {
            // Relays need UDP for their links, and may as well say so.
            Box::pin(async move { dial(quic, transport, wanted).await.map(|(met, relay)| Reached::Quic(met, relay)) })
        } else {
            Box::pin(dial_either(quic, transport, wanted))
        };
        self.attempt(Work::Dialled { key, dialling });
    }

    /// Sees to it that a browser hears of the end of its session.
    pub(super) fn leaving(&mut self, leaving: Waiting<()>) {
        self.load.leaving += 1;
        self.attempt(Work::Leaving(leaving));
        // At once, so that QUIC has the words even if nobody asks for events any more.
        self.serve_attempt(self.attempts_begun);
    }

    fn attempt(&mut self, work: Work) {
        self.attempts_begun += 1;
        let bell = self.ready.bell(Source::Attempt(self.attempts_begun));
        bell.ring();
        self.attempts.insert(self.attempts_begun, Attempt { work, waker: Waker::from(bell) });
    }

    pub(super) fn serve_port(&mut self) {
        let quic = &self.endpoint.quic;
        let poll = self.port.poll(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.accept().await })
        });
        let Poll::Ready(Some(incoming)) = poll else { return };
        self.port.bell.ring();
        let proven = incoming.remote_address_validated();
        self.load.sessions = self.sessions();
        match admit(self.endpoint.limits, self.load, proven) {
            Admission::Begin => match incoming.accept() {
                Ok(connecting) => {
                    self.load.handshakes += 1;
                    self.load.unproven += usize::from(!proven);
                    self.attempt(Work::Accepted { proven, shaking: Box::pin(shake(connecting)) });
                }
                Err(_) => self.counters.handshakes_failed += 1,
            },
            Admission::Prove => {
                self.counters.retries += 1;
                // Fails only for addresses that are proven, which are not asked again.
                let _ = incoming.retry();
            }
            Admission::Refuse => {
                self.counters.handshakes_refused += 1;
                incoming.refuse();
            }
        }
    }

    pub(super) fn serve_attempt(&mut self, number: u64) {
        let Some(Attempt { work, waker }) = self.attempts.remove(&number) else { return };
        let mut context = Context::from_waker(&waker);
        match work {
            Work::Accepted { proven, mut shaking } => {
                let poll = catch_unwind(AssertUnwindSafe(|| shaking.as_mut().poll(&mut context)));
                if let Ok(Poll::Pending) = poll {
                    self.attempts.insert(number, Attempt { work: Work::Accepted { proven, shaking }, waker });
                    return;
                }
                self.load.handshakes = self.load.handshakes.saturating_sub(1);
                self.load.unproven = self.load.unproven.saturating_sub(usize::from(!proven));
                match poll {
                    Ok(Poll::Ready(Ok(shaken))) => self.accepted(shaken),
                    Ok(Poll::Ready(Err(HandshakeError::Web))) => self.counters.web_sessions_refused += 1,
                    Ok(Poll::Ready(Err(HandshakeError::TimedOut))) => self.counters.handshakes_timed_out += 1,
                    Ok(Poll::Ready(Err(HandshakeError::Alpn))) => self.counters.handshakes_alpn += 1,
                    Ok(Poll::Ready(Err(HandshakeError::Other)) | Poll::Pending) => self.counters.handshakes_failed += 1,
                    Err(_) => self.counters.panics += 1,
                }
            }
            Work::Dialled { key, mut dialling } => {
                match catch_unwind(AssertUnwindSafe(|| dialling.as_mut().poll(&mut context))) {
                    Ok(Poll::Pending) => {
                        self.attempts.insert(number, Attempt { work: Work::Dialled { key, dialling }, waker });
                    }
                    Ok(Poll::Ready(Ok(Reached::Quic(connection, relay)))) => self.dialled(key, connection, relay),
                    Ok(Poll::Ready(Ok(Reached::Tcp(reached)))) => self.dialled_over_tcp(key, reached),
                    Ok(Poll::Ready(Err(why))) => self.dial_failed(key, why),
                    Err(_) => {
                        self.counters.panics += 1;
                        self.dial_failed(key, DialError::Unreachable);
                    }
                }
            }
            Work::Leaving(mut leaving) => match catch_unwind(AssertUnwindSafe(|| leaving.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => {
                    self.attempts.insert(number, Attempt { work: Work::Leaving(leaving), waker });
                }
                done => {
                    self.load.leaving = self.load.leaving.saturating_sub(1);
                    self.counters.panics += u64::from(done.is_err());
                }
            },
        }
    }

    fn dial_failed(&mut self, dial: DialKey, why: DialError) {
        let counter = match why {
            DialError::Unreachable => &mut self.counters.dials_unreachable,
            DialError::UnknownName => &mut self.counters.dials_unknown_name,
            DialError::WrongKey => &mut self.counters.dials_wrong_key,
            DialError::NotConclave => &mut self.counters.dials_not_conclave,
        };
        *counter += 1;
        self.out.push_back(Net::DialFailed { dial, why });
    }

    /// A handshake that somebody began with us is complete.
    fn accepted(&mut self, (connection, opened): Shaken) {
        let head = opened.as_ref().map_or(0, Opened::datagram_head);
        let carries = connection.max_datagram_size().is_some_and(|size| size >= LEAST_DATAGRAM + head);
        let (true, Some(exporter)) = (carries, tls::exporter(&connection)) else {
            self.counters.sessions_unfit += 1;
            let words = "this path or your software does not carry datagrams of 1,100 bytes";
            connection.close(u32::from(Code::UNSUPPORTED.0).into(), words.as_bytes());
            return;
        };
        self.counters.handshakes_ok += 1;
        let mut session = self.begin(connection, Role::Client);
        if let Some(opened) = opened {
            self.counters.web_sessions_ok += 1;
            session = session.with_web(opened);
        }
        self.out.push_back(Net::Connected { session: session.key, side: Side::Accepted, exporter });
        self.sessions.insert(session.key, session);
    }

    fn dialled(&mut self, dial: DialKey, connection: Connection, relay: RelayId) {
        let Some(exporter) = tls::exporter(&connection) else {
            return self.dial_failed(dial, DialError::NotConclave);
        };
        let role = if self.endpoint.relay().is_some() { Role::Link } else { Role::Client };
        let mut session = self.begin(connection, role);
        if !session.open_control() {
            return self.dial_failed(dial, DialError::NotConclave);
        }
        self.counters.dials_ok += 1;
        self.out.push_back(Net::Connected { session: session.key, side: Side::Dialled(dial, relay), exporter });
        self.sessions.insert(session.key, session);
    }

    fn begin(&mut self, connection: Connection, role: Role) -> Session {
        self.sessions_begun += 1;
        Session::new(SessionKey(self.sessions_begun), connection, role, &self.ready)
    }
}

//! One session of the driver over a pipe: a mux, and the bells that the pipe rings.

use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, SessionKey},
    mux::{Broken, End, Limits, Mux},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::{Arrived, Pipe};
use crate::{
    ready::{Bell, Part, Ready, Source},
    session::Announced,
};

type Permit = mpsc::OwnedPermit<Bytes>;

/// A session over TCP.
pub(crate) struct PipeSession {
    pub(crate) mux: Mux,
    pipe: Pipe,
    arriving: Arc<Bell>,
    waker: Waker,
    /// Waits for the pipe to take one more message.
    room: Announced<Option<Permit>>,
    permit: Option<Permit>,
}

impl PipeSession {
    pub(crate) fn new(key: SessionKey, end: End, pipe: Pipe, ready: &Arc<Ready>) -> Self {
        let limits = match end {
            End::Dialler => Limits::PARTICIPANT,
            End::Acceptor => Limits::RELAY,
        };
        let arriving = ready.bell(Source::Session(key, Part::PipeIn));
        arriving.ring();
        Self {
            mux: Mux::new(key, end, limits),
            pipe,
            waker: Waker::from(Arc::clone(&arriving)),
            arriving,
            room: Announced::new(ready.bell(Source::Session(key, Part::PipeOut))),
            permit: None,
        }
    }

    pub(crate) const fn remote(&self) -> Option<SocketAddr> {
        self.pipe.remote
    }

    /// Something was said to the mux: the driver looks at it in its turn, so that the urgent can still overtake.
    pub(crate) fn said(&self) {
        self.room.bell.ring();
    }

    /// Takes the next message of the remote, if there is one; what it means comes out of the mux.
    pub(crate) fn take(&mut self) -> Result<(), Broken> {
        match self.pipe.incoming.poll_recv(&mut Context::from_waker(&self.waker)) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Some(Arrived::Message(message))) => {
                self.arriving.ring();
                self.mux.handle_message(&message)?;
            }
            Poll::Ready(Some(Arrived::Ended(why))) => self.mux.lost(why),
            Poll::Ready(None) => self.mux.lost(Closed::Lost),
        }
        // What arrived may have signals as its answer.
        self.said();
        Ok(())
    }

    /// Hands over messages as long as the pipe takes them now.
    pub(crate) fn flush(&mut self) {
        loop {
            let Some(permit) = self.permit.take().or_else(|| self.reserve()) else { return };
            let Some(message) = self.mux.next_message() else {
                self.permit = Some(permit);
                return;
            };
            permit.send(message);
        }
    }

    fn reserve(&mut self) -> Option<Permit> {
        if !self.room.is_waiting() {
            match self.pipe.outgoing.clone().try_reserve_owned() {
                Ok(permit) => return Some(permit),
                Err(TrySendError::Closed(_)) => return None,
                Err(TrySendError::Full(_)) => {}
            }
        }
        let outgoing = &self.pipe.outgoing;
        let poll = self.room.poll(|| {
            let outgoing = outgoing.clone();
            Box::pin(async move { outgoing.reserve_owned().await.ok() })
        });
        match poll {
            Poll::Ready(permit) => permit,
            Poll::Pending => None,
        }
    }

    /// Says the last word, if there is one, and lets go. What comes back ends when the remote can have heard it.
    pub(crate) fn let_go(mut self) -> oneshot::Receiver<()> {
        if let Some(farewell) = self.mux.next_message().filter(|_| self.mux.is_over()) {
            // Fails when the pump has ended: then there is nobody to tell.
            let _ = self.pipe.farewell.send(farewell);
        }
        self.pipe.pumping
    }
}

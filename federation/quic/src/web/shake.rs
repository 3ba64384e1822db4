//! The second half of a browser's handshake: settings both ways, and the request for a session.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use quinn::{Connection, RecvStream, SendStream, VarInt};
use tokio::{io::AsyncReadExt, time::timeout};
use web_transport_proto::{ConnectRequest, ConnectResponse, Settings, http::StatusCode};

use super::prefix::{self, Heads, Kind};
use crate::config;

/// The one thing that can be asked for.
const PATH: &str = "/conclave/1";
/// The version of what is inside, for clients that name those which they speak.
const PROTOCOL: &str = "conclave-1";
/// How long a refusal may take to arrive before the connection ends.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// HTTP/3 knows nothing to complain about (RFC 9114, section 8.1).
pub(super) const H3_NO_ERROR: u32 = 0x100;

/// No session came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refused;

/// A session that a browser asked for and got.
pub(crate) struct Opened {
    /// The stream of the request. What ends it ends the session.
    pub(super) connect: (SendStream, RecvStream),
    /// Settings, ours and theirs: HTTP/3 forbids to end these streams.
    pub(super) settings: (SendStream, RecvStream),
    /// Streams that came before the settings did, with what was read of them.
    pub(super) early: Vec<(RecvStream, Vec<u8>)>,
}

impl Opened {
    /// Bytes in front of each datagram.
    pub(crate) fn datagram_head(&self) -> usize {
        Heads::new(VarInt::from(self.connect.0.id())).datagram_len()
    }
}

/// Takes in one session. The caller bounds the time.
pub(crate) async fn shake(connection: &Connection) -> Result<Opened, Refused> {
    let mut ours = Settings::default();
    ours.enable_webtransport(1);
    let mut settings = connection.open_uni().await.map_err(|_| Refused)?;
    ours.write(&mut settings).await.map_err(|_| Refused)?;
    let (theirs, early) = settings_of(connection).await?;
    let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| Refused)?;
    let request = ConnectRequest::read(&mut recv).await.map_err(|_| Refused)?;
    let Some(answer) = answer(&request) else {
        refuse(connection, send).await;
        return Err(Refused);
    };
    answer.write(&mut send).await.map_err(|_| Refused)?;
    config::admit_web(connection);
    Ok(Opened { connect: (send, recv), settings: (settings, theirs), early })
}

/// The stream with the browser's settings, which are read, and those that it opened beside it, with what was read of them.
///
/// None is waited for alone: browsers open streams that say what they are only when there is more to say. They are as many
/// as QUIC allows.
async fn settings_of(connection: &Connection) -> Result<(RecvStream, Vec<(RecvStream, Vec<u8>)>), Refused> {
    let mut streams: Vec<(RecvStream, Vec<u8>)> = Vec::new();
    let mut accepting = Box::pin(connection.accept_uni());
    let at = poll_fn(|context| {
        while let Poll::Ready(accepted) = accepting.as_mut().poll(context) {
            match accepted {
                Ok(recv) => streams.push((recv, Vec::new())),
                Err(_) => return Poll::Ready(Err(Refused)),
            }
            accepting = Box::pin(connection.accept_uni());
        }
        streams.retain_mut(|(recv, head)| !is_over(recv, head, context));
        match streams.iter().position(|(_, head)| prefix::uni(head) == Some(Kind::Settings)) {
            Some(at) => Poll::Ready(Ok(at)),
            None => Poll::Pending,
        }
    });
    let at = at.await?;
    let (mut recv, head) = streams.swap_remove(at);
    let theirs = Settings::read(&mut head.as_slice().chain(&mut recv)).await.map_err(|_| Refused)?;
    if theirs.supports_webtransport() > 0 { Ok((recv, streams)) } else { Err(Refused) }
}

/// Reads what a stream is, as far as it says. Says whether the stream is over before that.
fn is_over(recv: &mut RecvStream, head: &mut Vec<u8>, context: &mut Context<'_>) -> bool {
    while prefix::uni(head).is_none() {
        match pin!(recv.read_chunk(1, true)).poll(context) {
            Poll::Ready(Ok(Some(chunk))) => head.extend_from_slice(&chunk.bytes),
            Poll::Ready(Ok(None) | Err(_)) => return true,
            Poll::Pending => return false,
        }
    }
    false
}

/// The answer to a request that is for us; whoever names versions has to name ours.
fn answer(request: &ConnectRequest) -> Option<ConnectResponse> {
    if request.url.path() != PATH {
        return None;
    }
    if request.protocols.is_empty() {
        return Some(ConnectResponse::OK);
    }
    request.protocols.iter().any(|protocol| protocol == PROTOCOL).then(|| ConnectResponse::OK.with_protocol(PROTOCOL))
}

async fn refuse(connection: &Connection, mut send: SendStream) {
    let said = async {
        let answer = ConnectResponse::new(StatusCode::NOT_FOUND);
        if answer.write(&mut send).await.is_ok() && send.finish().is_ok() {
            // Ready when all of it has arrived, or nobody wants it.
            let _ = send.stopped().await;
        }
    };
    // A browser that does not take its refusal in time learns from the end of the connection.
    let _ = timeout(REFUSAL_TIMEOUT, said).await;
    connection.close(H3_NO_ERROR.into(), b"this port has only /conclave/1");
}

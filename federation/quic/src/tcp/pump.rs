//! One task for each TCP connection: messages between a pipe and a WebSocket, both ways at once.

use std::{future::pending, time::Duration};

use bytes::Bytes;
use conclave_federation::{io::Closed, mux};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{Arrived, Far};

/// A remote that is silent this long is lost; one that takes nothing for as long, too.
const IDLE: Duration = Duration::from_secs(15);
/// How often a sign of life is asked for and given.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long the remote may take to hear that the session is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// Carries messages until either end is done. To be spawned once for each connection, after the WebSocket handshake
/// with [`websocket_config`](super::websocket_config); it ends by itself when the driver drops its end.
pub async fn pump<S>(websocket: WebSocketStream<S>, far: Far)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Far { incoming, outgoing, mut farewell, _pumping } = far;
    let (mut sink, stream) = websocket.split();
    let mut complaint = None;
    let mut last = None;
    tokio::select! {
        // Whatever the socket is busy with: the driver's last word ends it.
        biased;
        said = last_word(&mut farewell) => last = Some(said),
        code = read(stream, incoming) => complaint = code,
        () = write(&mut sink, outgoing) => {}
    }
    let goodbye = async {
        if let Some(message) = last.or_else(|| farewell.try_recv().ok()) {
            sink.send(Message::Binary(message)).await?;
        }
        let frame = CloseFrame { code: complaint.unwrap_or(CloseCode::Normal), reason: "".into() };
        sink.send(Message::Close(Some(frame))).await?;
        sink.close().await
    };
    // Fails when the remote is gone, who needs no goodbye.
    let _ = timeout(GOODBYE, goodbye).await;
}

async fn last_word(farewell: &mut oneshot::Receiver<Bytes>) -> Bytes {
    match farewell.await {
        Ok(message) => message,
        // The driver dropped its end without a word: what it had sent still goes, and `write` ends then.
        Err(_) => pending().await,
    }
}

/// From the socket to the driver, in the driver's own time. The complaint for the remote, if there is one.
async fn read<S>(mut stream: SplitStream<WebSocketStream<S>>, driver: mpsc::Sender<Arrived>) -> Option<CloseCode>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (why, complaint) = loop {
        match timeout(IDLE, stream.next()).await {
            Ok(Some(Ok(Message::Binary(message)))) => {
                if driver.send(Arrived::Message(message)).await.is_err() {
                    return None;
                }
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Text(_) | Message::Frame(_)))) => break (Closed::Lost, Some(CloseCode::Unsupported)),
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => break (Closed::Lost, None),
            Err(_) => break (Closed::TimedOut, Some(CloseCode::Away)),
        }
    };
    // The driver may have dropped its end meanwhile: then it knows.
    let _ = driver.send(Arrived::Ended(why)).await;
    complaint
}

/// From the driver to the socket, and signs of life. Ends when the driver dropped its end or the socket takes nothing.
async fn write<S>(sink: &mut SplitSink<WebSocketStream<S>, Message>, mut driver: mpsc::Receiver<Bytes>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sending = async {
            tokio::select! {
                biased;
                _ = alive.tick() => {
                    // A browser does not see pings: it sees the message.
                    sink.feed(Message::Ping(Bytes::new())).await?;
                    sink.send(Message::Binary(mux::ALIVE)).await?;
                    Ok(true)
                }
                message = driver.recv() => match message {
                    Some(message) => sink.send(Message::Binary(message)).await.map(|()| true),
                    None => Ok(false),
                },
            }
        };
        // The keep-alive is due long before: only a socket that takes nothing is that slow.
        let Ok(Ok::<bool, tokio_tungstenite::tungstenite::Error>(true)) = timeout(IDLE, sending).await else { return };
    }
}

//! Somebody whose network lets no UDP through is in the call all the same.

use std::net::UdpSocket;

use bytes::Bytes;
use conclave::{Codec, EntryRelay, Event, Frame, Options, Room, Track, Transport};
use conclave_federation::mux::SUBPROTOCOL;
use conclave_quic::{tcp, tcp_server_tls};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::{
    handshake::server::{ErrorResponse, Request, Response},
    http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
};

use crate::{
    create, encoder, in_time,
    relay::{Relay, relays},
    wait_for,
};

/// A way to a relay on which UDP goes nowhere: a port where UDP is silent, and TCP leads to the relay.
struct Firewall {
    entry: EntryRelay,
    _silent: UdpSocket,
    door: JoinHandle<()>,
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.door.abort();
    }
}

impl Firewall {
    async fn before(relay: &Relay) -> Self {
        // The two halves of a port have the same number only by luck: ports are asked for until they do.
        let (silent, listener) = loop {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            if let Ok(silent) = UdpSocket::bind(listener.local_addr().expect("its address")) {
                break (silent, listener);
            }
        };
        let address = listener.local_addr().expect("its address");
        let entry = format!("{}@{address}", relay.id.to_hex()).parse().expect("a relay");
        let tls = TlsAcceptor::from(tcp_server_tls(&relay.key, None).expect("a key"));
        let pipes = relay.pipes.clone();
        let door = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let Some(pipe) = let_in(socket, &tls).await else { continue };
                if pipes.send(pipe).await.is_err() {
                    return;
                }
            }
        });
        Self { entry, _silent: silent, door }
    }
}

#[expect(clippy::result_large_err, reason = "the type is that of the WebSocket library")]
fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

async fn let_in(socket: TcpStream, tls: &TlsAcceptor) -> Option<tcp::Pipe> {
    tcp::tune(&socket);
    let stream = tls.accept(socket).await.ok()?;
    let websocket = tokio_tungstenite::accept_hdr_async_with_config(stream, choose, Some(tcp::websocket_config())).await.ok()?;
    let (pipe, far) = tcp::pipe();
    tokio::spawn(tcp::pump(websocket, far));
    Some(pipe)
}

/// Sends a frame of 3,000 bytes and one of 3 every 20 ms, until `until` has come.
async fn send_until(room: &Room, until: impl Future<Output = ()>) {
    let camera = room.publish(Track::camera("face", Codec::Vp8, 320, 180)).await.expect("a track");
    let voice = room.publish(Track::audio("voice")).await.expect("a track");
    let sending = async {
        let mut pace = encoder();
        loop {
            for n in 0..10 {
                let payload = Bytes::from(vec![n; 3_000]);
                let frame = if n == 0 { Frame::key(payload) } else { Frame::delta(payload) };
                camera.write(frame).await.expect("the room goes on");
                voice.write(Frame::key(Bytes::from_static(&[0xf8, 0xff, 0xfe]))).await.expect("the room goes on");
                pace.tick().await;
            }
        }
    };
    tokio::select! {
        () = sending => {}
        () = until => {}
    }
}

async fn sound_and_pictures(room: &Room, what: &str) {
    let (mut heard, mut seen) = (0, 0);
    wait_for(room, what, |event| {
        if let Event::Frame(frame) = event {
            heard += u32::from(frame.data.len() == 3);
            seen += u32::from(frame.data.len() == 3_000);
        }
        (heard >= 20 && seen >= 20).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_udp_hears_sees_and_is_heard_and_seen() {
    let [alder, birch] = relays();
    let firewall = Firewall::before(&birch).await;
    let (host, link) = create(&alder, "Host").await;
    assert_eq!(host.transport(), Some(Transport::Quic));

    let guest = Room::join(&link, Options::named("Guest").through(firewall.entry.clone()));
    let guest = in_time("coming in over TCP", guest).await.expect("the room of the link");
    assert_eq!(guest.transport(), Some(Transport::WebSocket));
    let Some(Event::Joined(state)) = guest.next_event().await else { panic!("the whole state comes first") };
    assert_eq!(state.transport, Some(Transport::WebSocket));

    send_until(&host, sound_and_pictures(&guest, "sound and pictures over TCP")).await;
    send_until(&guest, sound_and_pictures(&host, "sound and pictures from TCP")).await;

    for (from, to) in [(&guest, &host), (&host, &guest)] {
        from.chat("hello").await.expect("the room goes on");
        wait_for(to, "a word", |event| matches!(event, Event::Chat { text, .. } if text == "hello").then_some(())).await;
    }
    guest.leave().await;
    wait_for(&host, "the guest to leave", |event| matches!(event, Event::ParticipantLeft { .. }).then_some(())).await;
}

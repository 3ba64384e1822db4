//! Comes into a room, says hello with a frame of sound and a word, and listens until somebody says bye.

use conclave::{Event, Frame, Options, Room, Track};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// One visit.
pub async fn guest(link: &str) -> Result<(), Error> {
    let room = Room::join(link, Options::named("Guest")).await?;
    let microphone = room.publish(Track::audio("microphone")).await?;
    microphone.write(Frame::key(SILENCE)).await?;
    room.chat("hello").await?;
    while let Some(event) = room.next_event().await {
        match event {
            Event::ParticipantJoined(person) => println!("{} came", person.name),
            Event::Frame(frame) => println!("{} bytes of media", frame.data.len()),
            Event::Chat { text, .. } if text == "bye" => room.leave().await,
            Event::Chat { text, .. } => println!("somebody says {text}"),
            _ => {}
        }
    }
    Ok(())
}

/// 20 ms of nothing, in Opus.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

#[tokio::main]
async fn main() -> Result<(), Error> {
    guest(&std::env::args().nth(1).ok_or("which link?")?).await
}

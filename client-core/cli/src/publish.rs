//! Files in place of a camera, a microphone and a screen.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use conclave::{Codec, Frame, Kind, Media, PublishError, Room, Track, unix_us};
use conclave_media::{Dimensions, Source};
use tokio::sync::mpsc;

use crate::{
    exit::{Exit, Failure},
    pace::Pace,
    said::kind,
    tally::Sent,
};

/// A file that was opened and can be published.
pub(crate) struct Player {
    source: Source,
    media: Media,
    pub(crate) sent: Arc<Sent>,
}

/// What a player has to say.
pub(crate) enum Told {
    /// Its track is announced.
    Published { kind: &'static str, label: String },
    /// Its track is refused; the call goes on.
    Refused(PublishError),
    /// The file turned out to be broken in the middle; the call goes on.
    Broken(conclave_media::Error),
}

/// Opens all files, so that a wrong one is told before anybody is called. Reads each to its end: blocks.
pub(crate) fn open(publish: &[PathBuf], screen: &[PathBuf]) -> Result<Vec<Player>, Failure> {
    let mut players: Vec<Player> = Vec::new();
    let files = publish.iter().map(|path| (path, Kind::Camera)).chain(screen.iter().map(|path| (path, Kind::Screen)));
    for (path, picture) in files {
        let source = Source::open(path).map_err(|error| Failure::new(Exit::NoInput, error))?;
        let mut media = describe(path, &source, picture)?;
        let same = players.iter().filter(|player| player.media.kind == media.kind).count();
        media.label = match same {
            0 => kind(media.kind).to_owned(),
            earlier => format!("{}-{}", kind(media.kind), earlier + 1),
        };
        let sent = Arc::new(Sent::new(kind(media.kind), media.label.clone()));
        players.push(Player { source, media, sent });
    }
    Ok(players)
}

fn describe(path: &Path, source: &Source, picture: Kind) -> Result<Media, Failure> {
    match (source.codec(), source.dimensions(), picture) {
        (conclave_media::Codec::Vp8, Some(Dimensions { width, height }), Kind::Screen) => {
            Ok(Media::screen(Codec::Vp8, width, height))
        }
        (conclave_media::Codec::Vp8, Some(Dimensions { width, height }), _) => Ok(Media::camera(Codec::Vp8, width, height)),
        (_, _, Kind::Screen) => {
            let words =
                format!("{} is sound, and a screen is pictures: give --screen a VP8 .ivf, or use --publish", path.display());
            Err(Failure::new(Exit::NoInput, words))
        }
        (_, _, _) => Ok(Media::microphone()),
    }
}

impl Player {
    /// Publishes the file, over and over, until the room is over.
    pub(crate) async fn play(mut self, room: Room, told: mpsc::Sender<Told>) {
        let label = self.media.label.clone();
        let track = match room.publish(Track::of(self.media.clone())).await {
            Ok(track) => track,
            Err(PublishError::Over) => return,
            Err(error) => return tell(&told, Told::Refused(error)).await,
        };
        tell(&told, Told::Published { kind: kind(self.media.kind), label }).await;

        let sent = self.sent.clone();
        let mut pace = Pace::starting_now();
        let play = async {
            loop {
                // From the system's cache: shorter than the way to another thread.
                let frame = match self.source.next_frame() {
                    Ok(frame) => frame,
                    Err(error) => return tell(&told, Told::Broken(error)).await,
                };
                let late = pace.wait(frame.at).await;
                let captured_us = unix_us().saturating_sub(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
                let bytes = frame.data.len();
                let out = if frame.key { Frame::key(frame.data) } else { Frame::delta(frame.data) };
                if track.write(out.captured_at(captured_us)).await.is_err() {
                    return;
                }
                sent.on_frame(bytes, frame.key, captured_us);
            }
        };
        // A file has its key frames where it has them: what is asked for comes with the next one.
        let listen = async {
            loop {
                track.key_frame_wanted().await;
                sent.wanted.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! {
            () = play => {}
            () = listen => {}
        }
    }
}

async fn tell(to: &mpsc::Sender<Told>, told: Told) {
    // When nobody listens any more, the call is over.
    let _ = to.send(told).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/media").join(name)
    }

    #[test]
    fn a_file_is_a_microphone_a_camera_or_a_screen_by_what_is_in_it() {
        let publish = ["voice-1.ogg", "camera-1.ivf", "camera-2.ivf"].map(sample);
        let players = open(&publish, &[sample("screen.ivf")]).expect("four files");
        let labels: Vec<_> = players.iter().map(|player| (player.media.kind, player.media.label.as_str())).collect();
        assert_eq!(
            labels,
            [(Kind::Microphone, "microphone"), (Kind::Camera, "camera"), (Kind::Camera, "camera-2"), (Kind::Screen, "screen"),]
        );
        assert!(players.iter().skip(1).all(|player| player.media.width > 0 && player.media.height > 0));
    }

    #[test]
    fn a_file_that_is_not_what_it_says_is_one_sentence_and_66() {
        for (publish, screen, word) in [
            (vec![sample("README.md")], vec![], "is not an IVF or Ogg Opus file"),
            (vec![sample("gone.ivf")], vec![], "check the path"),
            (vec![], vec![sample("voice-1.ogg")], "is sound"),
        ] {
            let Err(failure) = open(&publish, &screen) else { panic!("{word}: was opened") };
            assert_eq!(failure.exit as u8, 66);
            assert!(failure.words.contains(word) && !failure.words.contains('\n'), "{}", failure.words);
        }
    }
}

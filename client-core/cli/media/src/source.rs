//! A file as a camera or a microphone: frames with the times they are due, again from the start at the end.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::{Codec, Dimensions, Error, Frame, Summary, ivf, opus, probe};

/// An endless supply of encoded frames.
#[derive(Debug)]
pub enum Source {
    /// Pictures from IVF.
    Video(Video),
    /// Sound from Ogg Opus.
    Audio(Audio),
}

/// A looped VP8 file.
#[derive(Debug)]
pub struct Video {
    path: PathBuf,
    summary: Summary,
    /// `None` only while the file is rewound, and for good if that fails.
    reader: Option<ivf::Reader<BufReader<File>>>,
    /// When this turn of the loop began.
    turn: Duration,
}

/// A looped Opus file.
pub struct Audio {
    path: PathBuf,
    summary: Summary,
    channels: u8,
    /// `None` only while the file is rewound, and for good if that fails.
    reader: Option<opus::Reader<BufReader<File>>>,
    /// Samples given out so far. Packets follow each other without holes, also where the file has some.
    position: u64,
}

impl Source {
    /// Opens a file by what is in it, whatever its name.
    ///
    /// Reads it once to the end, so that a file that is not what it says is refused before anything is published.
    /// Later reads come from the system's cache; a file that is changed meanwhile is an error when it is met.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let summary = probe(path)?;
        let (file, _) = crate::probe::open(path)?;
        let path = path.to_owned();
        match summary.codec {
            Codec::Vp8 => match ivf::Reader::new(file) {
                Ok(reader) => Ok(Source::Video(Video { path, summary, reader: Some(reader), turn: Duration::ZERO })),
                Err(fault) => Err(Error::Ivf { path, fault }),
            },
            Codec::Opus => match opus::Reader::new(file) {
                Ok(reader) => {
                    let channels = reader.head().channels;
                    Ok(Source::Audio(Audio { path, summary, channels, reader: Some(reader), position: 0 }))
                }
                Err(fault) => Err(Error::Opus { path, fault }),
            },
        }
    }

    /// The next frame. Behind the last one comes the first again, due where the last one ends.
    pub fn next_frame(&mut self) -> Result<Frame, Error> {
        match self {
            Source::Video(video) => video.next_frame().map_err(|fault| Error::Ivf { path: video.path.clone(), fault }),
            Source::Audio(audio) => audio.next_frame().map_err(|fault| Error::Opus { path: audio.path.clone(), fault }),
        }
    }

    /// How the frames are encoded.
    pub fn codec(&self) -> Codec {
        self.summary().codec
    }

    /// The size of the picture; `None` for sound.
    pub fn dimensions(&self) -> Option<Dimensions> {
        self.summary().dimensions
    }

    /// One turn of the loop, counted.
    pub fn summary(&self) -> &Summary {
        match self {
            Source::Video(video) => &video.summary,
            Source::Audio(audio) => &audio.summary,
        }
    }
}

impl Video {
    fn next_frame(&mut self) -> Result<Frame, ivf::Error> {
        let mut rewound = false;
        loop {
            let reader = self.reader.as_mut().ok_or(ivf::Error::NoFrames)?;
            if let Some(frame) = reader.next_frame()? {
                let at = self.turn + frame.at.saturating_sub(self.summary.start);
                return Ok(Frame { data: frame.data, at, key: frame.key });
            }
            if std::mem::replace(&mut rewound, true) {
                return Err(ivf::Error::NoFrames);
            }
            if let Some(reader) = self.reader.take() {
                let mut file = reader.into_inner();
                file.rewind()?;
                self.reader = Some(ivf::Reader::new(file)?);
            }
            self.turn += self.summary.duration;
        }
    }
}

impl Audio {
    /// One or two.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    fn next_frame(&mut self) -> Result<Frame, opus::Error> {
        let mut rewound = false;
        loop {
            let reader = self.reader.as_mut().ok_or(opus::Error::NoPackets)?;
            if let Some(packet) = reader.next_packet()? {
                let at = opus::duration(self.position);
                self.position += u64::from(packet.samples);
                return Ok(Frame { data: packet.data, at, key: true });
            }
            if std::mem::replace(&mut rewound, true) {
                return Err(opus::Error::NoPackets);
            }
            if let Some(reader) = self.reader.take() {
                let mut file = reader.into_inner();
                file.rewind().map_err(opus::Error::Io)?;
                self.reader = Some(opus::Reader::new(file)?);
            }
        }
    }
}

impl std::fmt::Debug for Audio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Audio").field("path", &self.path).field("position", &self.position).finish_non_exhaustive()
    }
}

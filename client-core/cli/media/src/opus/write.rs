//! Writing Ogg Opus: a recording of sound that came over a network, with what was lost marked as such.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use ogg::writing::{PacketWriteEndInfo, PacketWriter};

use super::packet::{self, MAX_SAMPLES, Toc};
use super::{Head, RATE, encode_tags};
use crate::{MAX_POSITION, Written};

/// One voice or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// One channel: every voice in a call.
    Mono,
    /// Left and right: the sound of a shared screen.
    Stereo,
}

/// Writes packets with the positions that follow from their lengths. Give it the file itself: pages are gathered here.
///
/// A page goes out whole, and after at most a second of sound: that much is missing in the file of a process that
/// is killed.
pub struct Writer<W: Write> {
    pages: PacketWriter<'static, BufWriter<W>>,
    serial: u32,
    /// Samples from zero to the end of the last packet; `None` before the first.
    position: Option<u64>,
    /// Held back by one, since the page's end is told with its last packet.
    held: Option<Held>,
    page: Page,
}

struct Held {
    packet: Vec<u8>,
    /// Position at its end.
    position: u64,
    samples: u32,
}

/// The page being gathered.
enum Page {
    /// The first page of sound says where the file begins and goes out with its first packet.
    First,
    /// Samples in it.
    Later(u32),
}

/// Why a packet is not in the recording. Only `Io` ends the recording.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk refused; the message of a full disk comes through here.
    #[error("the recording cannot be written: {0}")]
    Io(#[from] io::Error),
    /// Not an Opus packet; nothing was written.
    #[error("a received packet is not Opus: it {0}")]
    Packet(#[from] packet::Malformed),
    /// Further ahead than [`MAX_GAP`], or beyond [`MAX_POSITION`]; nothing was written.
    #[error("a received packet claims to be captured {0:?} after the one before it")]
    Leap(Duration),
}

/// The longest silence that is filled: a capture time that a stranger invents must not fill the disk. An hour of
/// silence takes 190 KB.
pub const MAX_GAP: Duration = Duration::from_secs(3600);

/// How far a packet may lie behind the sound already written and still be appended.
///
/// Less cuts words where capture times jitter; more lets the voice drift from the picture.
pub const SLACK: Duration = Duration::from_millis(60);

/// What the reference encoder needs to settle at 48 kHz: 6.5 ms, in samples.
const PRE_SKIP: u16 = 312;
/// A page ends before it holds more than this.
const PAGE: u32 = RATE;
/// Enough for a page of speech in one write to the file.
const BUFFER: usize = 64 << 10;

impl<W: Write> Writer<W> {
    /// Writes the two headers. `serial` tells the file's stream from others if files are ever joined: any number.
    pub fn new(inner: W, channels: Channels, serial: u32) -> io::Result<Self> {
        let channels = match channels {
            Channels::Mono => 1,
            Channels::Stereo => 2,
        };
        let head = Head { channels, pre_skip: PRE_SKIP }.encode();
        let mut pages = PacketWriter::new(BufWriter::with_capacity(BUFFER, inner));
        pages.write_packet(head, serial, PacketWriteEndInfo::EndPage, 0)?;
        pages.write_packet(encode_tags(), serial, PacketWriteEndInfo::EndPage, 0)?;
        pages.inner_mut().flush()?;
        Ok(Writer { pages, serial, position: None, held: None, page: Page::First })
    }

    /// Writes the packet captured `at`, counted from the recording's start.
    ///
    /// `at` is where the packet begins. Where the packets before it end at least a frame earlier, the time between is
    /// filled with concealment in whole frames; where they end more than [`SLACK`] later, the packet is skipped.
    /// The first packet sets where the sound begins.
    pub fn write(&mut self, at: Duration, packet: &[u8]) -> Result<Written, WriteError> {
        let samples = packet::samples(packet)?;
        if at > MAX_POSITION {
            return Err(WriteError::Leap(at));
        }
        let at = position(at);
        let end = self.position.unwrap_or(at);
        if at + position(SLACK) < end {
            return Ok(Written::Skipped);
        }
        let gap = at.saturating_sub(end);
        if gap > position(MAX_GAP) {
            return Err(WriteError::Leap(super::read::duration(gap)));
        }
        self.conceal(gap)?;
        let start = self.position.unwrap_or(at);
        self.push(packet.to_vec(), samples, start)?;
        Ok(Written::Kept)
    }

    /// Writes what is held back, ends the stream and gives the file back.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some(held) = self.held.take() {
            self.pages.write_packet(held.packet, self.serial, PacketWriteEndInfo::EndStream, held.position)?;
        }
        self.pages.into_inner().into_inner().map_err(io::IntoInnerError::into_error)
    }

    /// Fills `gap` samples as far as whole frames of the last packet's kind go.
    fn conceal(&mut self, mut gap: u64) -> io::Result<()> {
        let Some(toc) = self.held.as_ref().and_then(|held| Toc::of(&held.packet)) else { return Ok(()) };
        let frame = toc.frame();
        while gap >= u64::from(frame) {
            let frames = (MAX_SAMPLES / frame).min(u32::try_from(gap / u64::from(frame)).unwrap_or(u32::MAX));
            let samples = frames * frame;
            let start = self.position.unwrap_or(0);
            self.push(toc.concealed(frames as u8).to_vec(), samples, start)?;
            gap -= u64::from(samples);
        }
        Ok(())
    }

    /// Appends a packet that begins at `start`: writes the one before it, and holds this one back.
    fn push(&mut self, packet: Vec<u8>, samples: u32, start: u64) -> io::Result<()> {
        let end = start + u64::from(samples);
        if let Some(held) = self.held.replace(Held { packet, position: end, samples }) {
            self.write_out(held, samples)?;
        }
        self.position = Some(end);
        Ok(())
    }

    /// Writes one packet, and the page with it if the `next` samples do not fit any more.
    fn write_out(&mut self, held: Held, next: u32) -> io::Result<()> {
        let gathered = match self.page {
            Page::First => PAGE,
            Page::Later(samples) => samples + held.samples,
        };
        if gathered + next <= PAGE {
            self.page = Page::Later(gathered);
            return self.pages.write_packet(held.packet, self.serial, PacketWriteEndInfo::NormalPacket, held.position);
        }
        self.page = Page::Later(0);
        self.pages.write_packet(held.packet, self.serial, PacketWriteEndInfo::EndPage, held.position)?;
        self.pages.inner_mut().flush()
    }
}

/// A duration in samples at 48 kHz, to the nearest.
fn position(at: Duration) -> u64 {
    let rate = u64::from(RATE);
    at.as_secs() * rate + (u64::from(at.subsec_nanos()) * rate + 500_000_000) / 1_000_000_000
}

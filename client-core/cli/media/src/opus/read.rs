//! Reading Ogg Opus: the two headers at once, then packet by packet, with the pages' positions checked on the way.

use std::io::{Read, Seek};
use std::time::Duration;

use bytes::Bytes;
use ogg::PacketReader;

use super::{Error, Head, RATE, check_tags, packet};
use crate::MAX_POSITION;

/// Yields the packets of an Ogg Opus file in order. Give it a buffered reader.
pub struct Reader<R: Read + Seek> {
    inner: PacketReader<R>,
    head: Head,
    serial: u32,
    /// Packets yielded so far.
    packets: u64,
    clock: Clock,
    /// The page marked as the last was read to its end.
    ended: bool,
}

/// One packet of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What the encoder made.
    pub data: Bytes,
    /// How long it lasts, in samples at 48 kHz.
    pub samples: u32,
}

/// Where the file is in time, by its pages.
#[derive(Debug, Default)]
struct Clock {
    /// Position before the first packet; known at the end of the first page.
    start: Option<u64>,
    /// Position at the end of the last whole page.
    position: u64,
    /// Samples in the packets since.
    pending: u64,
    /// Samples that pages were ahead of the packets in them: lost while recording, by a writer that does not fill.
    missing: u64,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads and checks OpusHead and OpusTags.
    pub fn new(inner: R) -> Result<Self, Error> {
        let mut inner = PacketReader::new(inner);
        let first = inner.read_packet()?.ok_or(Error::NotOpus)?;
        let head = Head::decode(&first.data)?;
        let serial = first.stream_serial();
        let second = inner.read_packet()?.ok_or(Error::Tags)?;
        if second.stream_serial() != serial {
            return Err(Error::Streams);
        }
        check_tags(&second.data)?;
        Ok(Reader { inner, head, serial, packets: 0, clock: Clock::default(), ended: false })
    }

    /// What the file says at its beginning.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The next packet, or `None` where the file ends behind a whole page.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, Error> {
        let Some(read) = self.inner.read_packet()? else { return Ok(None) };
        let packet = self.packets + 1;
        if self.ended || read.stream_serial() != self.serial || read.first_in_stream() {
            return Err(Error::Streams);
        }
        let samples = packet::samples(&read.data).map_err(|fault| Error::Packet { packet, fault })?;
        self.clock.pending += u64::from(samples);
        if read.last_in_page() {
            self.clock.on_page(read.absgp_page(), read.last_in_stream()).map_err(|fault| match fault {
                PageFault::Early => Error::Position { packet },
                PageFault::Far => Error::TooLong { packet },
            })?;
        }
        self.ended = read.last_in_stream();
        self.packets = packet;
        Ok(Some(Packet { data: Bytes::from(read.data), samples }))
    }

    /// Where the sound begins, counted from zero: a recording of someone who came late does not begin there.
    pub fn start(&self) -> Duration {
        duration(self.clock.start.unwrap_or(0))
    }

    /// How long the sound of the pages read so far lasts, without what a player drops at its start.
    pub fn duration(&self) -> Duration {
        let start = self.clock.start.unwrap_or(self.clock.position);
        duration((self.clock.position - start).saturating_sub(u64::from(self.head.pre_skip)))
    }

    /// How much of that time has no packets: lost while it was recorded and not filled.
    pub fn missing(&self) -> Duration {
        duration(self.clock.missing)
    }

    /// Gives the underlying reader back, somewhere behind the last packet read.
    pub fn into_inner(self) -> R {
        self.inner.into_inner()
    }
}

enum PageFault {
    Early,
    Far,
}

impl Clock {
    /// A page ended, with the position it claims.
    ///
    /// The first page fixes where the file begins. The last may end earlier than its packets, to cut the sound to
    /// length. Any other ends with its packets; later is tolerated and counted (RFC 7845, section 4).
    fn on_page(&mut self, position: u64, last: bool) -> Result<(), PageFault> {
        if position > MAX_POSITION.as_secs() * u64::from(RATE) {
            return Err(PageFault::Far);
        }
        let pending = std::mem::take(&mut self.pending);
        let Some(start) = self.start else {
            let start = match position.checked_sub(pending) {
                Some(start) => start,
                None if last => 0,
                None => return Err(PageFault::Early),
            };
            (self.start, self.position) = (Some(start), position);
            return Ok(());
        };
        let expected = self.position + pending;
        if position < expected && !(last && position >= start) {
            return Err(PageFault::Early);
        }
        self.missing += position.saturating_sub(expected);
        // Cut by more than the last page holds: legal, and the length is what the last page says.
        self.position = position;
        Ok(())
    }
}

/// Samples at 48 kHz as a duration.
pub(crate) fn duration(samples: u64) -> Duration {
    let rate = u64::from(RATE);
    Duration::from_secs(samples / rate) + Duration::from_nanos(samples % rate * 1_000_000_000 / rate)
}

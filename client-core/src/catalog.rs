//! What the tracks of a participant are: known to participants alone, signed by the leaf, on SFrame's stream 254.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RoomId, TrackId},
    proof::{Label, Signature, VerifyingKey},
    wire::{List, Malformed, Reader, Text, Wire, Writer},
};

use crate::{
    api::{Codec, Kind, Media},
    publish::MAX_TRACKS,
};

/// Participants whose catalogs are kept: the leaves of a full room.
const MAX_CATALOGS: usize = conclave_federation::limits::MAX_LEAVES as usize;

const VERSION: u8 = 1;

/// One line: a track and what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line {
    /// Its name.
    pub(crate) track: TrackId,
    /// Its number in the KIDs of its publisher.
    pub(crate) stream: u8,
    /// What it carries.
    pub(crate) media: Media,
    /// Whether nothing is to be heard or seen of it now.
    pub(crate) muted: bool,
}

impl Wire for Line {
    fn put(&self, out: &mut Writer) {
        self.track.put(out);
        out.u8(self.stream);
        out.u8(match self.media.kind {
            Kind::Microphone => 1,
            Kind::Camera => 2,
            Kind::Screen => 3,
            Kind::ScreenAudio => 4,
            Kind::Data => 5,
        });
        out.u8(match self.media.codec {
            Codec::Opus => 1,
            Codec::Vp8 => 2,
            Codec::Vp9 => 3,
            Codec::Av1 => 4,
            Codec::H264 => 5,
            Codec::Raw => 6,
        });
        Text::<{ Media::MAX_LABEL }>::cut(&self.media.label).put(out);
        out.u16(self.media.width);
        out.u16(self.media.height);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let track = TrackId::take(from)?;
        let stream = from.u8()?;
        if track.is_reserved() || usize::from(stream) > MAX_TRACKS {
            return Err(Malformed::Value("catalog line"));
        }
        let kind = match from.u8()? {
            1 => Kind::Microphone,
            2 => Kind::Camera,
            3 => Kind::Screen,
            4 => Kind::ScreenAudio,
            5 => Kind::Data,
            _ => return Err(Malformed::Value("kind")),
        };
        let codec = match from.u8()? {
            1 => Codec::Opus,
            2 => Codec::Vp8,
            3 => Codec::Vp9,
            4 => Codec::Av1,
            5 => Codec::H264,
            6 => Codec::Raw,
            _ => return Err(Malformed::Value("codec")),
        };
        let label = Text::<{ Media::MAX_LABEL }>::take(from)?.as_str().to_owned();
        Ok(Self {
            track,
            stream,
            media: Media { kind, codec, label, width: from.u16()?, height: from.u16()?, layers: 1 },
            muted: false,
        })
    }
}

/// All tracks of one participant at one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Catalog {
    /// Counts up: an older one changes nothing.
    pub(crate) number: u32,
    /// The tracks.
    pub(crate) lines: List<Line, MAX_TRACKS>,
}

/// Whose catalog: what the signature is bound to besides its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author {
    /// The room.
    pub(crate) room: RoomId,
    /// The call.
    pub(crate) instance: Instance,
    /// The leaf.
    pub(crate) leaf: u16,
}

impl Author {
    pub(crate) fn put(&self, out: &mut Writer) {
        self.room.put(out);
        self.instance.put(out);
        out.u16(self.leaf);
    }
}

impl Catalog {
    fn claim(&self, author: Author) -> Vec<u8> {
        let mut out = Writer::new();
        author.put(&mut out);
        self.put_body(&mut out);
        out.into_vec()
    }

    fn put_body(&self, out: &mut Writer) {
        out.u8(VERSION);
        out.u32(self.number);
        self.lines.put(out);
    }

    /// With the leaf's signature, ready to be sealed.
    pub(crate) fn sign(&self, author: Author, sign: impl FnOnce(Label, &[u8]) -> Signature) -> Bytes {
        let mut out = Writer::new();
        self.put_body(&mut out);
        sign(Label::Catalog, &self.claim(author)).put(&mut out);
        out.into_bytes()
    }

    /// Reads and verifies what was opened.
    pub(crate) fn verify(bytes: &Bytes, author: Author, leaf: &VerifyingKey) -> Result<Self, Unreadable> {
        let mut from = Reader::new(bytes);
        let mut read = || -> Result<(Self, Signature), Malformed> {
            if from.u8()? != VERSION {
                return Err(Malformed::Value("catalog version"));
            }
            let catalog = Self { number: from.u32()?, lines: Wire::take(&mut from)? };
            Ok((catalog, Wire::take(&mut from)?))
        };
        let (catalog, signature) = read().map_err(|_| Unreadable::Malformed)?;
        from.finish().map_err(|_| Unreadable::Malformed)?;
        if !leaf.verify(Label::Catalog, &catalog.claim(author), &signature) {
            return Err(Unreadable::BadSignature);
        }
        Ok(catalog)
    }
}

/// What was opened is not what it has to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unreadable {
    /// Other bytes.
    Malformed,
    /// Not signed by the leaf that sealed it.
    BadSignature,
}

/// The newest catalog of everybody.
#[derive(Default)]
pub(crate) struct Catalogs(BTreeMap<u16, Catalog>);

/// What a newer catalog changes.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// Not published any more.
    pub(crate) gone: Vec<Line>,
    /// New, or with other properties.
    pub(crate) new: Vec<Line>,
}

impl Catalogs {
    /// Takes a leaf's catalog; an older one, or the same again, changes nothing.
    pub(crate) fn update(&mut self, leaf: u16, catalog: Catalog) -> Change {
        if self.0.len() >= MAX_CATALOGS && !self.0.contains_key(&leaf) {
            return Change::default();
        }
        let known = self.0.get(&leaf).map(|known| known.number);
        if known.is_some_and(|known| known >= catalog.number) {
            return Change::default();
        }
        let old = self.0.insert(leaf, catalog.clone()).map(|old| old.lines.into_vec()).unwrap_or_default();
        let new = catalog.lines.into_vec();
        Change {
            gone: old.iter().filter(|line| !new.contains(line)).cloned().collect(),
            new: new.iter().filter(|line| !old.contains(line)).cloned().collect(),
        }
    }

    /// A leaf is gone, or another sits there now.
    pub(crate) fn remove(&mut self, leaf: u16) -> Vec<Line> {
        self.0.remove(&leaf).map(|catalog| catalog.lines.into_vec()).unwrap_or_default()
    }

    /// Whether anything is known of a leaf's tracks.
    pub(crate) fn has(&self, leaf: u16) -> bool {
        self.0.contains_key(&leaf)
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::proof::SigningKey;

    use super::*;

    fn line(track: u64, stream: u8) -> Line {
        Line {
            track: TrackId(track),
            stream,
            media: Media { label: "desk".into(), ..Media::camera(Codec::Vp8, 640, 360) },
            muted: false,
        }
    }

    fn catalog(number: u32, lines: &[Line]) -> Catalog {
        Catalog { number, lines: List::new(lines.to_vec()).unwrap() }
    }

    fn author(leaf: u16) -> Author {
        Author { room: RoomId::new([5; 16]), instance: Instance(2), leaf }
    }

    #[test]
    fn a_catalog_is_read_back_and_bound_to_its_leaf() {
        let key = SigningKey::from_seed([1; 32]);
        let catalog = catalog(3, &[line(77, 0), line(78, 1)]);
        let bytes = catalog.sign(author(4), |label, body| key.sign(label, body));
        assert_eq!(Catalog::verify(&bytes, author(4), &key.verifying_key()), Ok(catalog));
        assert_eq!(Catalog::verify(&bytes, author(5), &key.verifying_key()), Err(Unreadable::BadSignature));
        let other = SigningKey::from_seed([2; 32]).verifying_key();
        assert_eq!(Catalog::verify(&bytes, author(4), &other), Err(Unreadable::BadSignature));
        let call = Author { instance: Instance(3), ..author(4) };
        assert_eq!(Catalog::verify(&bytes, call, &key.verifying_key()), Err(Unreadable::BadSignature));
    }

    #[test]
    fn a_catalog_is_version_number_and_lines_in_these_bytes() {
        let key = SigningKey::from_seed([1; 32]);
        let bytes = catalog(3, &[line(0x1122_3344_5566_7788, 1)]).sign(author(4), |label, body| key.sign(label, body));
        let (body, signature) = bytes.split_at(bytes.len() - 64);
        let expected = [
            &[1][..],                                          // version
            &[0, 0, 0, 3],                                     // number
            &[0, 1],                                           // lines
            &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88], // track
            &[1, 2, 2],                                        // stream, camera, VP8
            &[0, 4, b'd', b'e', b's', b'k'],                   // label
            &[2, 128, 1, 104],                                 // 640 x 360
        ];
        assert_eq!(body, expected.concat());
        let claim = [[5; 16].as_slice(), &[0, 0, 0, 2], &[0, 4], body].concat();
        assert_eq!(signature, key.sign(Label::Catalog, &claim).as_bytes());
    }

    #[test]
    fn every_truncation_and_a_longer_one_are_refused() {
        let key = SigningKey::from_seed([1; 32]);
        let bytes = catalog(3, &[line(77, 0)]).sign(author(4), |label, body| key.sign(label, body));
        for len in 0..bytes.len() {
            assert!(Catalog::verify(&bytes.slice(..len), author(4), &key.verifying_key()).is_err());
        }
        let longer = [bytes.as_ref(), b"x"].concat();
        assert!(Catalog::verify(&longer.into(), author(4), &key.verifying_key()).is_err());
    }

    #[test]
    fn reserved_tracks_and_streams_beyond_the_bound_are_refused() {
        let key = SigningKey::from_seed([1; 32]);
        for bad in [line(TrackId::LOG.0, 0), line(77, 17), line(77, 254)] {
            let bytes = catalog(1, &[bad]).sign(author(0), |label, body| key.sign(label, body));
            assert_eq!(Catalog::verify(&bytes, author(0), &key.verifying_key()), Err(Unreadable::Malformed));
        }
    }

    #[test]
    fn only_a_newer_catalog_changes_anything() {
        let mut catalogs = Catalogs::default();
        let change = catalogs.update(1, catalog(1, &[line(20, 0), line(21, 1)]));
        assert_eq!((change.new.len(), change.gone.len()), (2, 0));
        assert_eq!(catalogs.update(1, catalog(1, &[])), Change::default());
        let change = catalogs.update(1, catalog(2, &[line(21, 1), line(22, 0)]));
        assert_eq!(change, Change { gone: vec![line(20, 0)], new: vec![line(22, 0)] });
        assert_eq!(catalogs.update(1, catalog(1, &[line(20, 0)])), Change::default());
        assert_eq!(catalogs.remove(1).len(), 2);
        assert!(!catalogs.has(1));
    }
}

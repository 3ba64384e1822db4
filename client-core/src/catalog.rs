//! What the tracks of a participant are, and which relay they go through: known to participants alone, signed by the leaf, on
//! SFrame's stream 254.

use std::collections::BTreeMap;

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RoomId, TrackId},
    proof::{Label, Signature, VerifyingKey},
    record::RelayDescriptor,
    wire::{List, Malformed, Reader, Text, Wire, Writer},
};

use crate::{
    api::{Codec, Kind, Media, Profile},
    publish::MAX_TRACKS,
};

/// Participants whose catalogs are kept: the leaves of a full room.
const MAX_CATALOGS: usize = conclave_federation::limits::MAX_LEAVES as usize;

const VERSION: u8 = 3;

/// Flag of a catalog: its participant says that they record. Other bits are left for later and not looked at.
const RECORDING: u8 = 1;

/// Flag of a line: nothing is to be heard or seen of the track now. Other bits are left for later and not looked at.
const MUTED: u8 = 1;

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

impl Line {
    /// A length of one byte goes before, so that whoever does not know what a line means can pass over it.
    fn put(&self, out: &mut Writer) {
        let mut line = Writer::new();
        self.track.put(&mut line);
        line.u8(self.stream);
        line.u8(kind_number(self.media.kind));
        line.u8(match self.media.codec {
            Codec::Opus => 1,
            Codec::Vp8 => 2,
            Codec::Vp9 => 3,
            Codec::Av1 => 4,
            Codec::H264 => 5,
            Codec::Raw => 6,
        });
        Text::<{ Media::MAX_LABEL }>::cut(&self.media.label).put(&mut line);
        line.u16(self.media.width);
        line.u16(self.media.height);
        line.u8(self.media.layers);
        line.u8(if self.muted { MUTED } else { 0 });
        out.u8(u8::try_from(line.len()).unwrap_or(u8::MAX));
        out.raw(&line.into_vec());
    }

    /// `None`: a kind, a codec or a number of layers from the future. What follows the last field is from there as well.
    fn take(from: &mut Reader<'_>) -> Result<Option<Self>, Malformed> {
        let len = usize::from(from.u8()?);
        let line = from.bytes(len, "catalog line")?;
        let mut from = Reader::new(&line);
        let track = TrackId::take(&mut from)?;
        let stream = from.u8()?;
        if track.is_reserved() || usize::from(stream) > MAX_TRACKS {
            return Err(Malformed::Value("catalog line"));
        }
        let kind = kind_of(from.u8()?);
        let codec = match from.u8()? {
            1 => Some(Codec::Opus),
            2 => Some(Codec::Vp8),
            3 => Some(Codec::Vp9),
            4 => Some(Codec::Av1),
            5 => Some(Codec::H264),
            6 => Some(Codec::Raw),
            _ => None,
        };
        let label = Text::<{ Media::MAX_LABEL }>::take(&mut from)?.as_str().to_owned();
        let (width, height) = (from.u16()?, from.u16()?);
        let (layers, flags) = (from.u8()?, from.u8()?);
        let (Some(kind), Some(codec), 1..=Media::MAX_LAYERS) = (kind, codec, layers) else { return Ok(None) };
        let media = Media { kind, codec, label, width, height, layers };
        Ok(Some(Self { track, stream, media, muted: flags & MUTED != 0 }))
    }
}

/// How a kind of track is written.
pub(crate) const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Microphone => 1,
        Kind::Camera => 2,
        Kind::Screen => 3,
        Kind::ScreenAudio => 4,
        Kind::Data => 5,
    }
}

/// See [`kind_number`]; `None`: a kind from the future.
pub(crate) const fn kind_of(number: u8) -> Option<Kind> {
    match number {
        1 => Some(Kind::Microphone),
        2 => Some(Kind::Camera),
        3 => Some(Kind::Screen),
        4 => Some(Kind::ScreenAudio),
        5 => Some(Kind::Data),
        _ => None,
    }
}

/// What a participant says of themselves, apart from their tracks.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct About {
    /// What they call themselves now; empty: as their leaf says.
    pub(crate) name: Text<{ Profile::MAX_NAME }>,
    /// Since when their hand is up, milliseconds since 1970 on their own clock.
    pub(crate) hand: Option<u64>,
    /// Whether they say that they record.
    pub(crate) recording: bool,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About").field("hand", &self.hand).field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// All tracks of one participant at one time, and what else they say of themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Catalog {
    /// Counts up: an older one changes nothing.
    pub(crate) number: u32,
    /// The participant.
    pub(crate) about: About,
    /// The tracks.
    pub(crate) lines: List<Line, MAX_TRACKS>,
    /// The participant's own relay, as it described itself: so that all can see which operators carry the call. Nothing that
    /// its operator did not sign gets in here; that the participant uses it is the participant's word.
    pub(crate) relay: Option<RelayDescriptor>,
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
    /// What is signed: `body` as it travels, so that a line which somebody passes over still counts.
    fn claim(author: Author, body: &[u8]) -> Vec<u8> {
        let mut out = Writer::new();
        author.put(&mut out);
        out.raw(body);
        out.into_vec()
    }

    /// With the leaf's signature, ready to be sealed.
    pub(crate) fn sign(&self, author: Author, sign: impl FnOnce(Label, &[u8]) -> Signature) -> Bytes {
        let mut out = Writer::new();
        out.u8(VERSION);
        out.u32(self.number);
        out.u8(if self.about.recording { RECORDING } else { 0 });
        self.about.hand.put(&mut out);
        self.about.name.put(&mut out);
        out.u16(u16::try_from(self.lines.len()).unwrap_or(u16::MAX));
        for line in self.lines.iter() {
            line.put(&mut out);
        }
        self.relay.put(&mut out);
        let body = out.into_vec();
        let mut out = Writer::new();
        out.raw(&body);
        sign(Label::Catalog, &Self::claim(author, &body)).put(&mut out);
        out.into_bytes()
    }

    /// Reads and verifies what was opened. Lines that mean nothing to us, and a relay that its operator does not vouch for, are
    /// not in what comes out.
    pub(crate) fn verify(bytes: &Bytes, author: Author, leaf: &VerifyingKey) -> Result<Self, Unreadable> {
        let mut from = Reader::new(bytes);
        let mut read = || -> Result<(Self, usize, Signature), Malformed> {
            if from.u8()? != VERSION {
                return Err(Malformed::Value("catalog version"));
            }
            let number = from.u32()?;
            let recording = from.u8()? & RECORDING != 0;
            let about = About { recording, hand: Wire::take(&mut from)?, name: Wire::take(&mut from)? };
            let count = usize::from(from.u16()?);
            if count > MAX_TRACKS {
                return Err(Malformed::TooLong("catalog"));
            }
            let mut lines = Vec::with_capacity(count);
            for _ in 0..count {
                lines.extend(Line::take(&mut from)?);
            }
            let relay: Option<RelayDescriptor> = Wire::take(&mut from)?;
            let body = from.position();
            let lines = List::new(lines).ok_or(Malformed::TooLong("catalog"))?;
            let relay = relay.filter(|relay| relay.verify());
            Ok((Self { number, about, lines, relay }, body, Wire::take(&mut from)?))
        };
        let (catalog, body, signature) = read().map_err(|_| Unreadable::Malformed)?;
        from.finish().map_err(|_| Unreadable::Malformed)?;
        let body = bytes.get(..body).unwrap_or_default();
        if !leaf.verify(Label::Catalog, &Self::claim(author, body), &signature) {
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

    /// The relays that the participants use, as far as they say so.
    pub(crate) fn relays(&self) -> impl Iterator<Item = &RelayDescriptor> {
        self.0.values().filter_map(|catalog| catalog.relay.as_ref())
    }

    /// What a leaf says of itself.
    pub(crate) fn about(&self, leaf: u16) -> Option<&About> {
        self.0.get(&leaf).map(|catalog| &catalog.about)
    }

    /// Whose hands are up, and since when.
    pub(crate) fn hands(&self) -> impl Iterator<Item = (u64, u16)> {
        self.0.iter().filter_map(|(leaf, catalog)| Some((catalog.about.hand?, *leaf)))
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
            media: Media { label: "desk".into(), layers: 2, ..Media::camera(Codec::Vp8, 640, 360) },
            muted: false,
        }
    }

    fn catalog(number: u32, lines: &[Line]) -> Catalog {
        Catalog { number, about: About::default(), lines: List::new(lines.to_vec()).unwrap(), relay: None }
    }

    fn alder() -> RelayDescriptor {
        let addresses = List::new(vec![Text::cut("alder.example:4433")]).unwrap();
        let relay = conclave_federation::id::RelayId::new(*SigningKey::from_seed([8; 32]).verifying_key().as_bytes());
        RelayDescriptor::issue(&SigningKey::from_seed([9; 32]), relay, "Alder", addresses)
    }

    #[test]
    fn the_relay_is_the_one_that_its_operator_vouches_for_or_none() {
        let key = SigningKey::from_seed([1; 32]);
        let with = |relay| Catalog { relay: Some(relay), ..catalog(3, &[line(77, 0)]) };
        let read = |catalog: &Catalog| {
            let bytes = catalog.sign(author(4), |label, body| key.sign(label, body));
            for len in 0..bytes.len() {
                assert!(Catalog::verify(&bytes.slice(..len), author(4), &key.verifying_key()).is_err());
            }
            Catalog::verify(&bytes, author(4), &key.verifying_key()).unwrap()
        };
        assert_eq!(read(&with(alder())), with(alder()));
        let mut invented = alder();
        invented.operator_name = Text::cut("Birch");
        assert_eq!(read(&with(invented)).relay, None);
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
        let muted = Line { muted: true, ..line(0x1122_3344_5566_7788, 1) };
        let about = About { name: Text::cut("Jo"), hand: Some(258), recording: true };
        let said = Catalog { about, ..catalog(3, &[muted]) };
        let bytes = said.sign(author(4), |label, body| key.sign(label, body));
        assert_eq!(Catalog::verify(&bytes, author(4), &key.verifying_key()), Ok(said));
        let (body, signature) = bytes.split_at(bytes.len() - 64);
        let expected = [
            &[3][..],                                          // version
            &[0, 0, 0, 3],                                     // number
            &[1],                                              // records
            &[1, 0, 0, 0, 0, 0, 0, 1, 2],                      // a hand, up since 258
            &[0, 2, b'J', b'o'],                               // name
            &[0, 1],                                           // lines
            &[23],                                             // length of the line
            &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88], // track
            &[1, 2, 2],                                        // stream, camera, VP8
            &[0, 4, b'd', b'e', b's', b'k'],                   // label
            &[2, 128, 1, 104],                                 // 640 x 360
            &[2, 1],                                           // layers, muted
            &[0],                                              // no relay
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

    /// The second of three lines, with other bytes in it.
    fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Result<Catalog, Unreadable> {
        let key = SigningKey::from_seed([1; 32]);
        let mut out = Writer::new();
        out.raw(&[VERSION, 0, 0, 0, 9, 0, 0, 0, 0, 0, 3]);
        let mut change = Some(change);
        for number in 0..3 {
            let mut one = Writer::new();
            line(20 + u64::from(number), number).put(&mut one);
            let mut one = one.into_vec();
            if number == 1
                && let Some(change) = change.take()
            {
                change(&mut one);
                one[0] = u8::try_from(one.len() - 1).unwrap();
            }
            out.raw(&one);
        }
        out.u8(0);
        let body = out.into_vec();
        let signature = key.sign(Label::Catalog, &Catalog::claim(author(4), &body));
        let bytes = [body.as_slice(), signature.as_bytes()].concat();
        Catalog::verify(&bytes.into(), author(4), &key.verifying_key())
    }

    #[test]
    fn what_is_from_the_future_costs_its_own_line_alone_or_nothing() {
        let tracks = |catalog: Catalog| catalog.lines.iter().map(|line| line.track.0).collect::<Vec<_>>();
        let (kind, codec, layers, flags) = (10, 11, 22, 23);
        for (at, value) in [(kind, 77), (codec, 77), (layers, 0), (layers, 5)] {
            assert_eq!(changed(|line| line[at] = value).map(tracks), Ok(vec![20, 22]), "byte {at} is {value}");
        }
        let flagged = changed(|line| line[flags] = 0xff).unwrap();
        assert!(flagged.lines[1].muted && !flagged.lines[0].muted);
        assert_eq!(changed(|line| line[flags] = 0xfe).map(|catalog| catalog.lines[1].muted), Ok(false));
        assert_eq!(changed(|line| line.extend([1, 2, 3])).map(tracks), Ok(vec![20, 21, 22]), "more fields than we know");
        assert_eq!(changed(|line| line.truncate(20)), Err(Unreadable::Malformed), "fewer");
    }

    #[test]
    fn more_lines_than_a_participant_may_have_are_refused() {
        let key = SigningKey::from_seed([1; 32]);
        let mut body = vec![VERSION, 0, 0, 0, 1, 0, 0, 0, 0, 0, 17];
        for number in 0..17 {
            let mut one = Writer::new();
            line(20 + number, 1).put(&mut one);
            body.extend(one.into_vec());
        }
        let signature = key.sign(Label::Catalog, &Catalog::claim(author(4), &body));
        let bytes = [body.as_slice(), signature.as_bytes()].concat();
        assert_eq!(Catalog::verify(&bytes.into(), author(4), &key.verifying_key()), Err(Unreadable::Malformed));
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

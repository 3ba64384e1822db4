//! Recordings: a thread of its own that writes what others publish, so that a slow disk never stops a call.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use conclave::{Codec, InFrame, ParticipantId, RemoteTrack, TrackId};
use conclave_media::{Codec as FileCodec, ivf, opus, probe, vp8};
use tokio::sync::mpsc;

use crate::said::{Recording, kind};

/// Files of one call. A participant may announce ever new tracks; those beyond are not recorded.
const MAX_FILES: usize = 512;

/// Frames on their way to the disk: two seconds of twenty people. What does not fit is missing in the file.
const WAITING: usize = 2_048;

/// Sentences about the disk that wait to be shown.
const PROBLEMS: usize = 16;

/// A sender's clock that is further off than this is not believed: its frames are placed by when they arrive.
const MAX_SKEW_US: u64 = 10_000_000;

/// Letters of a name that go into a file's name.
const NAME_LETTERS: usize = 32;

/// The call's side: hands frames over and never waits.
pub(crate) struct Recorder {
    orders: SyncSender<Order>,
    thread: JoinHandle<Vec<Recording>>,
    /// Frames that the disk was too slow for.
    pub(crate) dropped: u64,
}

type Key = (ParticipantId, TrackId);

enum Order {
    Begin(RemoteTrack, String),
    Frame(InFrame, u64),
    End(Key),
}

/// What people should know of the disk's side.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Something is missing in the recordings that should be there.
    Incomplete(String),
    /// Something is not recorded that never could be.
    NotRecorded(String),
}

/// The thread's side.
struct Writers {
    folder: PathBuf,
    origin_us: u64,
    tracks: BTreeMap<Key, Writer>,
    /// How far the clock of each participant is off; learnt from their first frame.
    skews: BTreeMap<ParticipantId, i64>,
    /// Files begun, also those that are finished.
    begun: usize,
    finished: Vec<Finished>,
    problems: mpsc::Sender<Problem>,
}

struct Writer {
    track: RemoteTrack,
    name: String,
    state: State,
}

enum State {
    /// No frame yet that a file could begin with.
    Waiting,
    /// Pictures; the place of the last one written, to see whether the next one follows.
    Video { file: PathBuf, writer: ivf::Writer<File>, last: Option<(u64, u64)> },
    /// Sound.
    Audio { file: PathBuf, writer: Box<opus::Writer<File>> },
    /// Not a codec that we write, or the disk refused.
    Given,
}

struct Finished {
    file: PathBuf,
    track: RemoteTrack,
    name: String,
}

impl Recorder {
    /// Records into `folder`, which is made when it is not there. `origin_us` is the time zero of all its files.
    pub(crate) fn begin(folder: &Path, origin_us: u64) -> io::Result<(Self, mpsc::Receiver<Problem>)> {
        let (orders, inbox) = sync_channel(WAITING);
        let (problems, shown) = mpsc::channel(PROBLEMS);
        let writers = Writers {
            folder: folder.to_owned(),
            origin_us,
            tracks: BTreeMap::new(),
            skews: BTreeMap::new(),
            begun: 0,
            finished: Vec::new(),
            problems,
        };
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn(move || writers.run(&inbox))?;
        Ok((Self { orders, thread, dropped: 0 }, shown))
    }

    pub(crate) fn on_track(&mut self, track: &RemoteTrack, name: &str) {
        self.order(Order::Begin(track.clone(), name.to_owned()));
    }

    /// `unix_us` is now, on our clock.
    pub(crate) fn on_frame(&mut self, frame: &InFrame, unix_us: u64) {
        if !self.order(Order::Frame(frame.clone(), unix_us)) {
            self.dropped += 1;
        }
    }

    pub(crate) fn on_track_gone(&mut self, participant: ParticipantId, track: TrackId) {
        self.order(Order::End((participant, track)));
    }

    /// Finishes all files and reads them back. Blocks.
    pub(crate) fn finish(self) -> Vec<Recording> {
        drop(self.orders);
        self.thread.join().unwrap_or_default()
    }

    /// `false` when the disk does not keep up. A lost `Begin` or `End` costs a file its name or its early end, not more.
    fn order(&self, order: Order) -> bool {
        match self.orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

impl Writers {
    fn run(mut self, inbox: &Receiver<Order>) -> Vec<Recording> {
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Begin(track, name) => self.on_begin(track, name),
                Order::Frame(frame, unix_us) => self.on_frame(&frame, unix_us),
                Order::End(key) => self.on_end(key),
            }
        }
        while let Some((key, _)) = self.tracks.first_key_value() {
            self.on_end(*key);
        }
        self.finished.iter().map(read_back).collect()
    }

    fn on_begin(&mut self, track: RemoteTrack, name: String) {
        let key = (track.participant, track.track);
        if !self.tracks.contains_key(&key) && self.tracks.len() < MAX_FILES {
            self.tracks.insert(key, Writer { track, name, state: State::Waiting });
        }
    }

    fn on_frame(&mut self, frame: &InFrame, unix_us: u64) {
        let at = place(&mut self.skews, frame, unix_us, self.origin_us);
        let key = (frame.participant, frame.track);
        let Some(mut writer) = self.tracks.remove(&key) else { return };
        if matches!(writer.state, State::Waiting) {
            writer.state = match self.start(&writer, frame) {
                Ok(state) => state,
                Err(error) => self.give_up(&error, None),
            };
        }
        if let Err(error) = writer.state.write(at, frame) {
            let state = std::mem::replace(&mut writer.state, State::Given);
            let file = state.file().map(Path::to_owned);
            writer.state = self.give_up(&error, file.as_deref());
            if let Some(file) = file {
                self.finished.push(Finished { file, track: writer.track.clone(), name: writer.name.clone() });
            }
        }
        self.tracks.insert(key, writer);
    }

    /// A file that begins with this frame, if one can.
    fn start(&mut self, writer: &Writer, frame: &InFrame) -> io::Result<State> {
        if self.begun >= MAX_FILES {
            return Ok(State::Given);
        }
        match writer.track.media.codec {
            Codec::Vp8 => {
                let Ok(vp8::Tag::Key(dimensions)) = vp8::Tag::read(&frame.data) else { return Ok(State::Waiting) };
                let (file, handle) = self.create(writer, "ivf")?;
                Ok(State::Video { file, writer: ivf::Writer::new(handle, dimensions)?, last: None })
            }
            Codec::Opus => {
                let (file, handle) = self.create(writer, "ogg")?;
                let serial = writer.track.participant.get();
                Ok(State::Audio { file, writer: Box::new(opus::Writer::new(handle, channels(&frame.data), serial)?) })
            }
            Codec::Vp9 | Codec::Av1 | Codec::H264 | Codec::Raw => {
                let words = format!("a track of {} is not recorded: only VP8 and Opus are", writer.name);
                let _ = self.problems.try_send(Problem::NotRecorded(words));
                Ok(State::Given)
            }
        }
    }

    /// A new file; one that is there already is another recording and stays.
    fn create(&mut self, writer: &Writer, extension: &str) -> io::Result<(PathBuf, File)> {
        let track = &writer.track;
        let stem = format!("{}-{:08x}-{}", letters(&writer.name), track.participant.get(), kind(track.media.kind));
        for number in 1..=MAX_FILES {
            let path = self.folder.join(format!("{stem}-{number}.{extension}"));
            match File::create_new(&path) {
                Ok(file) => {
                    self.begun += 1;
                    return Ok((path, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn give_up(&self, error: &io::Error, file: Option<&Path>) -> State {
        let what = file.unwrap_or(&self.folder).display();
        let text =
            format!("cannot record to {what}: {error}; the call goes on without it: free some space or choose another folder");
        let _ = self.problems.try_send(Problem::Incomplete(text));
        State::Given
    }

    fn on_end(&mut self, key: Key) {
        let Some(writer) = self.tracks.remove(&key) else { return };
        let file = writer.state.file().map(Path::to_owned);
        let ended = match writer.state {
            State::Waiting | State::Given => return,
            State::Video { writer, .. } => writer.finish().map(drop),
            State::Audio { writer, .. } => writer.finish().map(drop),
        };
        if let Err(error) = ended {
            self.give_up(&error, file.as_deref());
        }
        if let Some(file) = file {
            self.finished.push(Finished { file, track: writer.track, name: writer.name });
        }
    }
}

impl State {
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Video { file, .. } | Self::Audio { file, .. } => Some(file),
            Self::Waiting | Self::Given => None,
        }
    }

    /// Writes the frame if it fits. Only what the disk says is an error: a frame that is no frame is left out.
    fn write(&mut self, at: Duration, frame: &InFrame) -> io::Result<()> {
        match self {
            Self::Waiting | Self::Given => Ok(()),
            Self::Audio { writer, .. } => match writer.write(at, &frame.data) {
                Err(opus::WriteError::Io(error)) => Err(error),
                Ok(_) | Err(opus::WriteError::Packet(_) | opus::WriteError::Leap(_)) => Ok(()),
            },
            Self::Video { writer, last, .. } => {
                // Without the frame before it a picture would be smeared until the next key frame: a hole is better.
                let is_key = matches!(vp8::Tag::read(&frame.data), Ok(vp8::Tag::Key(_)));
                let before = frame.object.checked_sub(1).map(|object| (frame.group, object));
                let follows = before.is_some() && *last == before;
                if !is_key && !follows {
                    *last = None;
                    return Ok(());
                }
                match writer.write(at, &frame.data) {
                    Ok(_) => {
                        *last = Some((frame.group, frame.object));
                        Ok(())
                    }
                    Err(ivf::WriteError::Io(error)) => Err(error),
                    Err(ivf::WriteError::Payload(_) | ivf::WriteError::TooLarge(_) | ivf::WriteError::TooLate) => {
                        *last = None;
                        Ok(())
                    }
                }
            }
        }
    }
}

/// Where a frame lies in the recording. All tracks of a participant are moved by the same amount, so that lips and
/// voice stay together.
fn place(skews: &mut BTreeMap<ParticipantId, i64>, frame: &InFrame, unix_us: u64, origin_us: u64) -> Duration {
    let skew = *skews.entry(frame.participant).or_insert_with(|| {
        let off = i64::try_from(i128::from(unix_us) - i128::from(frame.captured_us)).unwrap_or(0);
        if (0..=MAX_SKEW_US as i64).contains(&off) { 0 } else { off }
    });
    let captured = frame.captured_us.saturating_add_signed(skew).min(unix_us);
    Duration::from_micros(captured.saturating_sub(origin_us))
}

/// The first packet tells: bit 2 of its first byte (RFC 6716, section 3.1).
fn channels(packet: &Bytes) -> opus::Channels {
    match packet.first() {
        Some(toc) if toc & 4 != 0 => opus::Channels::Stereo,
        Some(_) | None => opus::Channels::Mono,
    }
}

/// A stranger's name as part of a file's: nothing that means anything to a file system.
fn letters(name: &str) -> String {
    let letters: String =
        name.chars().take(NAME_LETTERS).map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    if letters.is_empty() { "participant".to_owned() } else { letters }
}

fn read_back(finished: &Finished) -> Recording {
    let Finished { file, track, name } = finished;
    let empty = Recording {
        file: file.display().to_string(),
        participant: track.participant.into(),
        name: name.clone(),
        kind: kind(track.media.kind),
        frames: 0,
        key_frames: 0,
        duration_ms: 0,
        playable: false,
        problem: None,
    };
    match probe(file) {
        Ok(summary) => {
            debug_assert!(matches!(summary.codec, FileCodec::Vp8 | FileCodec::Opus));
            Recording {
                frames: summary.frames,
                key_frames: summary.key_frames,
                duration_ms: u64::try_from(summary.duration.as_millis()).unwrap_or(u64::MAX),
                playable: true,
                ..empty
            }
        }
        Err(error) => Recording { problem: Some(error.to_string()), ..empty },
    }
}

/// Makes the folder, so that a wrong one is told before anybody is called.
pub(crate) fn prepare(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot record into {}: {error}; choose another folder", folder.display()))
}

#[cfg(test)]
mod tests {
    use conclave::{Media, Trust};
    use conclave_media::Source;

    use super::*;

    const ORIGIN: u64 = 1_000_000_000_000;

    fn sample(name: &str) -> Source {
        Source::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/media").join(name)).expect(name)
    }

    fn camera(leaf: u16) -> RemoteTrack {
        let participant = ParticipantId::of_leaf(leaf, &[0; 32]);
        RemoteTrack {
            participant,
            track: TrackId(100 + u64::from(leaf)),
            media: Media::camera(Codec::Vp8, 320, 180),
            muted: false,
            trust: Trust::Fresh,
        }
    }

    /// The frames of a file as they would arrive, with groups as key frames begin them.
    fn frames(of: &RemoteTrack, file: &str, count: usize) -> Vec<InFrame> {
        let mut source = sample(file);
        let (mut group, mut object) = (0, 0);
        let mut made = Vec::new();
        for _ in 0..count {
            let frame = source.next_frame().expect("a frame");
            if frame.key {
                (group, object) = (group + 1, 0);
            }
            let captured_us = ORIGIN + frame.at.as_micros() as u64;
            let (participant, track) = (of.participant, of.track);
            made.push(InFrame { participant, track, data: frame.data, captured_us, key: frame.key, layer: 0, group, object });
            object += 1;
        }
        made
    }

    fn record(track: &RemoteTrack, name: &str, frames: &[InFrame]) -> (tempfile::TempDir, Vec<Recording>) {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut recorder, _problems) = Recorder::begin(folder.path(), ORIGIN).expect("a thread");
        recorder.on_track(track, name);
        for frame in frames {
            recorder.on_frame(frame, frame.captured_us + 5_000);
        }
        recorder.on_track_gone(track.participant, track.track);
        assert_eq!(recorder.dropped, 0);
        let recordings = recorder.finish();
        (folder, recordings)
    }

    #[test]
    fn a_camera_becomes_a_file_that_plays() {
        let track = camera(1);
        let (_folder, recordings) = record(&track, "First", &frames(&track, "camera-1.ivf", 90));
        assert_eq!(recordings.len(), 1);
        let recording = &recordings[0];
        assert_eq!((recording.frames, recording.key_frames, recording.playable), (90, 3, true), "{recording:?}");
        assert!(recording.file.ends_with("-camera-1.ivf") && recording.file.contains("/First-0001"), "{}", recording.file);
    }

    #[test]
    fn a_voice_becomes_a_file_that_plays() {
        let track = RemoteTrack { media: Media::microphone(), ..camera(2) };
        let (_folder, recordings) = record(&track, "First", &frames(&track, "voice-1.ogg", 100));
        let recording = &recordings[0];
        assert_eq!((recording.frames, recording.playable), (100, true), "{recording:?}");
        assert!(recording.file.ends_with("-microphone-1.ogg"));
    }

    #[test]
    fn after_a_loss_pictures_begin_again_with_a_key_frame() {
        let track = camera(1);
        let mut frames = frames(&track, "camera-1.ivf", 90);
        frames.drain(..7);
        frames.remove(30);
        let (_folder, recordings) = record(&track, "First", &frames);
        let recording = &recordings[0];
        assert_eq!((recording.frames, recording.key_frames, recording.playable), (37, 2, true), "{recording:?}");
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let track = camera(1);
        let (folder, recordings) = record(&track, "../../etc/\u{1b}[2Jpasswd", &frames(&track, "camera-1.ivf", 30));
        let file = Path::new(&recordings[0].file);
        assert_eq!(file.parent(), Some(folder.path()));
        assert!(file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("______etc___2Jpasswd-")), "{file:?}");
        assert_eq!(letters(""), "participant");
        assert!(letters(&"x".repeat(500)).len() <= NAME_LETTERS);
    }

    #[test]
    fn an_earlier_recording_stays() {
        let track = camera(1);
        let frames = frames(&track, "camera-1.ivf", 30);
        let folder = tempfile::tempdir().expect("a folder");
        for turn in 1..=2 {
            let (mut recorder, _problems) = Recorder::begin(folder.path(), ORIGIN).expect("a thread");
            recorder.on_track(&track, "First");
            for frame in &frames {
                recorder.on_frame(frame, frame.captured_us);
            }
            let recordings = recorder.finish();
            assert!(recordings[0].file.ends_with(&format!("-{turn}.ivf")), "{}", recordings[0].file);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_one_sentence_and_the_call_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let gone = folder.path().join("gone");
        let (mut recorder, mut problems) = Recorder::begin(&gone, ORIGIN).expect("a thread");
        let track = camera(1);
        recorder.on_track(&track, "First");
        for frame in frames(&track, "camera-1.ivf", 40) {
            recorder.on_frame(&frame, frame.captured_us);
        }
        assert!(recorder.finish().is_empty());
        let Ok(Problem::Incomplete(problem)) = problems.try_recv() else { panic!("a sentence is due") };
        assert!(problem.contains("gone") && problem.contains("the call goes on"), "{problem}");
        assert!(problems.try_recv().is_err(), "said once, not for every frame");
    }

    #[test]
    fn a_clock_that_is_off_moves_all_tracks_of_its_owner_alike() {
        let mut skews = BTreeMap::new();
        let mut at = |leaf: u16, captured_us: u64, now: u64| {
            let track = camera(leaf);
            let (participant, track) = (track.participant, track.track);
            let frame = InFrame { participant, track, data: Bytes::new(), captured_us, key: true, layer: 0, group: 0, object: 0 };
            place(&mut skews, &frame, now, ORIGIN).as_millis()
        };
        assert_eq!(at(1, ORIGIN + 50_000, ORIGIN + 70_000), 50, "a clock like ours is believed");
        assert_eq!(at(1, ORIGIN + 900_000, ORIGIN + 100_000), 100, "nothing was captured in the future");
        assert_eq!(at(2, 0, ORIGIN + 200_000), 200, "a clock that never was set");
        assert_eq!(at(2, 40_000, ORIGIN + 250_000), 240, "and its next frame");
        assert_eq!(at(3, ORIGIN * 2, ORIGIN + 300_000), 300, "a clock far ahead");
        assert_eq!(at(4, ORIGIN - 5_000_000, ORIGIN), 0, "captured before the recording began");
        assert_eq!(at(5, u64::MAX, ORIGIN + 1_000), 1);
    }
}

//! Our own words: which digests wait, which key signs them, and which old one is told now.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    proof::{Label, Signature, SigningKey},
    wire::List,
};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use zeroize::Zeroizing;

use super::word::{self, Digest, MAX_DIGESTS, Revealed, SignedKey, SignedWord, Word};
use crate::catalog::Author;

/// The time between two words of a stream. Receivers doubt after twice as long. A little less than a second: 48 digests of a voice
/// still fit the bucket of 512 bytes, and 51 would not.
pub(crate) const WORD_EVERY: Duration = Duration::from_millis(960);

/// How long a key signs.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(5 * 60);

/// How long after it was replaced a key's private half is told. Receivers take nothing by it long before, see
/// [`super::trust`].
pub(crate) const REVEAL_AFTER: Duration = Duration::from_secs(30);

/// With words that go on, the key is said again after so long: for who subscribes late, and to say its age.
const KEY_AGAIN: Duration = Duration::from_secs(20);

/// What was said less than this long ago may not have left with a session that was lost: it is said again.
const SAID_FOR: Duration = Duration::from_secs(10);
/// Words that are remembered for that: of all streams a participant can have.
const MAX_SAID: usize = 256;

/// Digests of one stream and epoch that may wait: nobody seals more in the seconds that a session takes to come back.
const MAX_PENDING: usize = 8 * MAX_DIGESTS;
/// Streams and epochs of which digests may wait; the oldest epoch's go first.
const MAX_RUNS: usize = 64;

struct Run {
    first: u64,
    digests: VecDeque<Digest>,
}

/// Digests of what was sealed and has not been said.
#[derive(Default)]
pub(crate) struct Pending(BTreeMap<(u64, u8), Run>);

impl Pending {
    /// A frame was sealed. Whether it left does not matter: nobody asks for a frame that did not come.
    pub(crate) fn note(&mut self, epoch: u64, stream: u8, counter: u64, digest: Digest) {
        let run = self.0.entry((epoch, stream)).or_insert_with(|| Run { first: counter, digests: VecDeque::new() });
        if run.first + u64::try_from(run.digests.len()).unwrap_or(0) != counter {
            *run = Run { first: counter, digests: VecDeque::new() };
        }
        run.digests.push_back(digest);
        if run.digests.len() > MAX_PENDING {
            run.digests.pop_front();
            run.first += 1;
        }
        while self.0.len() > MAX_RUNS {
            self.0.pop_first();
        }
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        for ((epoch, stream), run) in std::mem::take(&mut self.0) {
            let digests: Vec<Digest> = run.digests.into();
            let mut first = run.first;
            for part in digests.chunks(MAX_DIGESTS) {
                if let Some(digests) = List::new(part.to_vec()) {
                    words.push(Word { epoch, stream, first, digests });
                }
                first += u64::try_from(part.len()).unwrap_or(0);
            }
        }
        words
    }
}

/// One thing to be said on the control track.
#[derive(Debug)]
pub(crate) enum Saying {
    /// Who signs: kind 3.
    Key(SignedKey),
    /// What was sealed: kind 2.
    Word(SignedWord),
    /// Who signed, and does so no more: kind 4.
    Revealed(Revealed),
}

impl Saying {
    /// Its kind on the control track, and what follows it.
    pub(crate) fn encode(&self) -> (u8, Bytes) {
        match self {
            Self::Key(key) => (word::KEY, key.encode()),
            Self::Word(signed) => (word::WORD, signed.encode()),
            Self::Revealed(revealed) => (word::REVEALED, revealed.encode()),
        }
    }
}

struct Current {
    key: SigningKey,
    serial: u32,
    /// When it signed first; `None`: never, so it has no age.
    since: Option<Duration>,
    /// In which epoch it was said last, and when.
    said: Option<(u64, Duration)>,
}

struct Replaced {
    key: SigningKey,
    serial: u32,
    reveal_at: Duration,
}

/// Who says, and what is known of it: everything that signing a word takes.
pub(crate) struct Speaker<'a, S> {
    /// Our place.
    pub(crate) author: Author,
    /// Our epoch now.
    pub(crate) epoch: u64,
    /// Signs with the leaf key.
    pub(crate) leaf: S,
    /// For fresh keys.
    pub(crate) rng: &'a mut ChaCha20Rng,
}

/// See the module.
pub(crate) struct Sender {
    current: Current,
    replaced: VecDeque<Replaced>,
    /// Words go no more often than [`WORD_EVERY`].
    next_at: Duration,
    said: VecDeque<(Duration, Word)>,
    again: VecDeque<Word>,
}

impl Sender {
    /// With a fresh key.
    pub(crate) fn new(rng: &mut ChaCha20Rng) -> Self {
        Self {
            current: Current { key: fresh(rng), serial: 0, since: None, said: None },
            replaced: VecDeque::new(),
            next_at: Duration::ZERO,
            said: VecDeque::new(),
            again: VecDeque::new(),
        }
    }

    /// The session is gone, and with it perhaps what was said last.
    pub(crate) fn on_lost(&mut self, now: Duration) {
        self.forget_said(now);
        self.again.extend(std::mem::take(&mut self.said).into_iter().map(|(_, word)| word));
        self.current.said = None;
        self.next_at = now;
    }

    /// On another leaf: what was sealed on the old one concerns nobody any more.
    pub(crate) fn sit_down(&mut self, now: Duration) {
        self.said.clear();
        self.again.clear();
        self.current.said = None;
        self.next_at = now;
    }

    /// Whatever waits is said with the next [`Sender::say`].
    pub(crate) const fn hurry(&mut self, now: Duration) {
        self.next_at = now;
    }

    fn forget_said(&mut self, now: Duration) {
        while self.said.len() > MAX_SAID || self.said.front().is_some_and(|(at, _)| *at + SAID_FOR <= now) {
            self.said.pop_front();
        }
    }

    /// When [`Sender::say`] has something to say.
    pub(crate) fn next_at(&self, pending: &Pending) -> Option<Duration> {
        let words = (!pending.is_empty() || !self.again.is_empty()).then_some(self.next_at);
        let worn = self.current.since.map(|since| since + KEY_LIFE);
        let reveal = self.replaced.front().map(|replaced| replaced.reveal_at);
        [words, worn, reveal].into_iter().flatten().min()
    }

    /// What has to be said now, in this order.
    pub(crate) fn say<S: Fn(Label, &[u8]) -> Signature>(
        &mut self,
        now: Duration,
        pending: &mut Pending,
        speaker: &mut Speaker<'_, S>,
    ) -> Vec<Saying> {
        if self.current.since.is_some_and(|since| since + KEY_LIFE <= now) {
            self.replace(now, speaker.rng);
        }
        let mut sayings = Vec::new();
        while self.replaced.front().is_some_and(|replaced| replaced.reveal_at <= now) {
            sayings.extend(self.replaced.pop_front().map(|replaced| reveal(&replaced.key, replaced.serial)));
        }
        if self.next_at > now || (pending.is_empty() && self.again.is_empty()) {
            return sayings;
        }
        self.next_at = now + WORD_EVERY;
        let mut words: Vec<Word> = std::mem::take(&mut self.again).into();
        words.extend(pending.take());
        let said = self.current.said.is_some_and(|(epoch, at)| epoch == speaker.epoch && at + KEY_AGAIN > now);
        if !said {
            let since = *self.current.since.get_or_insert(now);
            let age = u16::try_from(now.saturating_sub(since).as_secs()).unwrap_or(u16::MAX);
            let number = (speaker.epoch, self.current.serial, age);
            let key = SignedKey::sign(number, self.current.key.verifying_key(), speaker.author, &speaker.leaf);
            sayings.push(Saying::Key(key));
            self.current.said = Some((speaker.epoch, now));
        }
        for word in words {
            self.said.push_back((now, word.clone()));
            sayings.push(Saying::Word(SignedWord::sign(word, speaker.author, &self.current.key)));
        }
        self.forget_said(now);
        sayings
    }

    fn replace(&mut self, now: Duration, rng: &mut ChaCha20Rng) {
        let serial = self.current.serial.wrapping_add(1);
        let next = Current { key: fresh(rng), serial, since: None, said: None };
        let worn = std::mem::replace(&mut self.current, next);
        self.replaced.push_back(Replaced { key: worn.key, serial: worn.serial, reveal_at: now + REVEAL_AFTER });
    }

    /// We go, and say nothing more: all that ever signed is told. Receivers take nothing more of us from here on.
    pub(crate) fn farewell(&mut self, now: Duration, rng: &mut ChaCha20Rng) -> Vec<Saying> {
        if self.current.since.is_some() {
            self.replace(now, rng);
        }
        self.replaced.drain(..).map(|replaced| reveal(&replaced.key, replaced.serial)).collect()
    }
}

fn fresh(rng: &mut ChaCha20Rng) -> SigningKey {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut());
    SigningKey::from_seed(*seed)
}

fn reveal(key: &SigningKey, serial: u32) -> Saying {
    Saying::Revealed(Revealed { serial, seed: Zeroizing::new(key.expose_seed()) })
}

//! What others say, held against what of theirs was opened.
//!
//! A frame is *covered* when a word says its digest. Frames that nobody covers make a stream doubtful after two seconds and
//! muted after five; a word that says another digest for a frame that was opened mutes it for good. Frames that are lost,
//! words that are lost, words about frames that never came, and frames that come before or after their word contradict
//! nothing.

use std::{collections::VecDeque, time::Duration};

use conclave_federation::proof::VerifyingKey;

use super::{
    sender::{KEY_LIFE, REVEAL_AFTER},
    word::{Revealed, Seen, SignedKey, SignedWord, Word},
};
use crate::{
    api::{Muted, Trust},
    catalog::Author,
};

/// How long a frame may stay uncovered before its stream is doubted: two words, and their way.
pub(crate) const DOUBT_AFTER: Duration = Duration::from_secs(2);

/// How long a frame may stay uncovered before nothing more of its stream is shown.
pub(crate) const MUTE_AFTER: Duration = Duration::from_secs(5);

/// Opened frames of one stream that may wait for their word: five seconds at two hundred a second. One more is as bad as
/// five seconds of silence, or a crowd of forged frames could push itself out of sight.
pub(crate) const MAX_UNCOVERED: usize = 1_024;

/// Digests that are remembered for frames that come after their word: the same.
pub(crate) const MAX_TOLD: usize = 1_024;

/// For so long beyond its life a key's words may be under way. Far less than [`REVEAL_AFTER`]: once its private half is
/// told, nobody takes anything by it, even who was kept from hearing that.
const KEY_SLACK: Duration = Duration::from_secs(15);

const _: () = assert!(KEY_SLACK.as_secs() < REVEAL_AFTER.as_secs(), "no key is believed when everybody has it");

struct Held {
    serial: u32,
    key: VerifyingKey,
    until: Duration,
    revealed: bool,
}

/// Whose signature counts for one leaf: its newest attest key, while it lives.
#[derive(Default)]
pub(crate) struct Keys(Option<Held>);

/// What became of a word about a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// It counts.
    Taken,
    /// It is old, or of another epoch, or says nothing that was not known.
    Passed,
}

impl Keys {
    /// The leaf certifies a key, in a word that was sealed in this epoch.
    pub(crate) fn on_key(&mut self, now: Duration, epoch: u64, signed: &SignedKey) -> Heard {
        let left = KEY_LIFE.saturating_sub(Duration::from_secs(u64::from(signed.age)));
        if signed.epoch != epoch || left.is_zero() {
            return Heard::Passed;
        }
        let until = now + left + KEY_SLACK;
        match &mut self.0 {
            Some(held) if held.serial == signed.serial && held.key == signed.key => {
                // Said again: it does not get younger.
                held.until = held.until.min(until);
                Heard::Taken
            }
            Some(held) if held.serial >= signed.serial => Heard::Passed,
            held => {
                *held = Some(Held { serial: signed.serial, key: signed.key, until, revealed: false });
                Heard::Taken
            }
        }
    }

    /// A private half is told: whoever it was made for, it signs nothing for us any more.
    pub(crate) fn on_revealed(&mut self, revealed: &Revealed) -> Heard {
        match &mut self.0 {
            Some(held) if held.serial == revealed.serial && held.key == revealed.public() => {
                held.revealed = true;
                Heard::Taken
            }
            Some(_) | None => Heard::Passed,
        }
    }

    /// Whether the word is signed by the key that may sign now.
    pub(crate) fn vouch(&self, now: Duration, author: Author, signed: &SignedWord) -> bool {
        let held = self.0.as_ref().filter(|held| !held.revealed && held.until > now);
        held.is_some_and(|held| signed.is_by(author, &held.key))
    }
}

/// One stream of one leaf.
pub(crate) struct Watch {
    trust: Trust,
    uncovered: VecDeque<(Duration, Seen)>,
    told: VecDeque<Word>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { trust: Trust::Fresh, uncovered: VecDeque::new(), told: VecDeque::new() }
    }
}

impl Watch {
    /// What is known now.
    pub(crate) const fn trust(&self) -> Trust {
        self.trust
    }

    /// Another track goes on this stream: it has shown nothing yet. What was told of the stream stays.
    pub(crate) fn begin(&mut self) {
        self.trust = Trust::Fresh;
        self.uncovered.clear();
    }

    /// We did not listen: nobody's silence counts so far.
    pub(crate) fn restart(&mut self, now: Duration) {
        for (at, _) in &mut self.uncovered {
            *at = now;
        }
    }

    /// A frame of this stream was opened. Says what is known afterwards.
    pub(crate) fn on_opened(&mut self, now: Duration, seen: Seen) -> Trust {
        self.forget(now);
        match self.told.iter().rev().find_map(|word| word.of(seen.epoch, seen.counter)) {
            Some(told) if told == seen.digest => self.on_covered(now),
            Some(_) => self.trust = Trust::Muted(Muted::Contradiction),
            None => {
                self.uncovered.push_back((now, seen));
                if self.uncovered.len() > MAX_UNCOVERED {
                    self.uncovered.pop_front();
                    self.on_silence();
                }
            }
        }
        self.on_timeout(now)
    }

    /// The sender says what they sealed; the signature is verified. Says what is known afterwards.
    pub(crate) fn on_word(&mut self, now: Duration, word: &Word) -> Trust {
        let (mut covers, mut contradicts) = (false, false);
        self.uncovered.retain(|(_, seen)| {
            let told = word.of(seen.epoch, seen.counter);
            covers |= told == Some(seen.digest);
            contradicts |= told.is_some_and(|told| told != seen.digest);
            told.is_none()
        });
        self.forget(now);
        self.told.push_back(word.clone());
        while self.told.iter().map(|word| word.digests.len().max(1)).sum::<usize>() > MAX_TOLD {
            self.told.pop_front();
        }
        if contradicts {
            self.trust = Trust::Muted(Muted::Contradiction);
        } else if covers {
            self.on_covered(now);
        }
        self.on_timeout(now)
    }

    /// Time has passed. Says what is known now.
    pub(crate) fn on_timeout(&mut self, now: Duration) -> Trust {
        self.forget(now);
        if self.is_doubtful(now) && !self.is_muted() {
            self.trust = Trust::Doubtful;
        }
        self.trust
    }

    /// When [`Watch::on_timeout`] changes something.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let oldest = self.uncovered.front()?.0;
        match self.trust {
            Trust::Fresh | Trust::Verified => Some(oldest + DOUBT_AFTER),
            Trust::Doubtful => Some(oldest + MUTE_AFTER),
            // Nothing gets worse; what is too old is forgotten with the next frame or word.
            Trust::Muted(_) => None,
        }
    }

    /// Whether nothing of it may be shown.
    pub(crate) const fn is_muted(&self) -> bool {
        matches!(self.trust, Trust::Muted(_))
    }

    fn is_doubtful(&self, now: Duration) -> bool {
        self.uncovered.front().is_some_and(|(at, _)| *at + DOUBT_AFTER <= now)
    }

    /// What nobody covered for too long has done its work.
    fn forget(&mut self, now: Duration) {
        while self.uncovered.front().is_some_and(|(at, _)| *at + MUTE_AFTER <= now) {
            self.uncovered.pop_front();
            self.on_silence();
        }
    }

    fn on_silence(&mut self) {
        if self.trust != Trust::Muted(Muted::Contradiction) {
            self.trust = Trust::Muted(Muted::NoWords);
        }
    }

    /// A frame is covered. That ends a doubt only if no other frame waits for too long.
    fn on_covered(&mut self, now: Duration) {
        if self.trust != Trust::Muted(Muted::Contradiction) && !self.is_doubtful(now) {
            self.trust = Trust::Verified;
        }
    }
}

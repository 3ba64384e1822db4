//! Who asked whom, and what is still to be revealed. One comparison at a time: a revealed nonce gives away all before it in its
//! chain, so none may be outstanding when the next is revealed.

use std::{collections::BTreeMap, fmt, time::Duration};

use conclave_federation::{limits::MAX_LEAVES, proof::VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{Ask, Chain, Nonce, Reveal};
use crate::{code::short_code, room::kdf32};

/// Epochs whose authenticators are remembered: an ask may be that old when it arrives.
const MAX_EPOCHS: usize = 9;

/// A comparison that got no answer is given up after this long; its nonce is not used again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks of one leaf that are answered: people need one or two, and each costs a nonce.
const MAX_ANSWERS: u8 = 3;

/// Nonces that are kept for comparisons of our own: others cannot use these up.
const RESERVE: u8 = 8;

/// Finished comparisons that wait for people's word.
const MAX_FINISHED: usize = 16;

/// What is true while a word is looked at.
pub(crate) struct Scene<'a> {
    pub(crate) now: Duration,
    /// Our leaf key.
    pub(crate) me: VerifyingKey,
    /// The other side: whose word it is.
    pub(crate) from: VerifyingKey,
    /// Our nonces.
    pub(crate) chain: &'a mut Chain,
    /// What their leaf committed to.
    pub(crate) commitment: [u8; 32],
    pub(crate) rng: &'a mut ChaCha20Rng,
}

/// What comes of a word.
#[derive(Default)]
pub(crate) struct Reply {
    /// To say.
    pub(crate) reveal: Option<Reveal>,
    /// To show.
    pub(crate) compared: Option<Compared>,
}

/// Both nonces are there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    /// With whom.
    pub(crate) with: VerifyingKey,
    /// Whose tree it vouches for.
    pub(crate) epoch: u64,
    /// To read to each other.
    pub(crate) words: String,
}

/// What both of a finished comparison know, and nobody else.
pub(crate) type Pairwise = Zeroizing<[u8; 32]>;

struct Open {
    with: VerifyingKey,
    epoch: u64,
    /// What they had committed to when we named or answered the epoch: a leaf that comes back may carry another commitment, made
    /// when our nonce was known.
    commitment: [u8; 32],
    mine: Nonce,
    secret: StaticSecret,
    /// The index of their nonce: known to whoever was asked.
    theirs: Option<u8>,
    until: Duration,
}

struct Finished {
    compared: Compared,
    pairwise: Pairwise,
}

/// Our comparisons in one call.
#[derive(Default)]
pub(crate) struct Comparisons {
    authenticators: BTreeMap<u64, Zeroizing<Vec<u8>>>,
    open: Option<Open>,
    /// Answers that a leaf got.
    answered: BTreeMap<VerifyingKey, u8>,
    /// The highest index that a leaf has used.
    used: BTreeMap<VerifyingKey, u8>,
    finished: Vec<Finished>,
}

impl fmt::Debug for Comparisons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparisons").finish_non_exhaustive()
    }
}

impl Comparisons {
    /// The group moved on.
    pub(crate) fn on_epoch(&mut self, epoch: u64, authenticator: &[u8]) {
        self.authenticators.insert(epoch, Zeroizing::new(authenticator.to_vec()));
        while self.authenticators.len() > MAX_EPOCHS {
            self.authenticators.pop_first();
        }
    }

    /// We were out of the group: what its epochs were on that branch is not known to be what they are now.
    pub(crate) fn on_back(&mut self) {
        self.authenticators.clear();
        self.open = None;
    }

    /// The authenticator of an epoch that we were in lately.
    pub(crate) fn authenticator(&self, epoch: u64) -> Option<&[u8]> {
        self.authenticators.get(&epoch).map(|authenticator| authenticator.as_slice())
    }

    /// People want to compare with the scene's other side. `None`: all our nonces are used.
    pub(crate) fn ask(&mut self, epoch: u64, scene: &mut Scene<'_>) -> Option<Ask> {
        let mine = scene.chain.take()?;
        self.open = Some(Open {
            with: scene.from,
            epoch,
            commitment: scene.commitment,
            mine,
            secret: secret(scene.rng),
            theirs: None,
            until: scene.now + PATIENCE,
        });
        Some(Ask { to: scene.from, epoch, index: mine.index })
    }

    /// Somebody asks. Nothing is answered that would use a nonce beside another, or take from our reserve.
    pub(crate) fn on_ask(&mut self, ask: &Ask, scene: &mut Scene<'_>) -> Option<Reveal> {
        let used = self.used.get(&scene.from).copied().unwrap_or(0);
        if ask.to != scene.me || ask.index <= used || ask.index > Chain::LENGTH || !self.authenticators.contains_key(&ask.epoch) {
            return None;
        }
        self.expire(scene.now);
        if let Some(open) = &self.open {
            // Both asked at once: whoever has the smaller key goes on as the one who asked.
            let yields = open.with == scene.from && open.theirs.is_none() && scene.me > scene.from;
            if !yields {
                return None;
            }
        }
        let full = self.answered.len() >= usize::from(MAX_LEAVES);
        let answers = self.answered.get(&scene.from).copied().unwrap_or(0);
        if answers >= MAX_ANSWERS || scene.chain.left() <= RESERVE || (full && answers == 0) {
            return None;
        }
        let mine = scene.chain.take()?;
        self.answered.insert(scene.from, answers + 1);
        let open = Open {
            with: scene.from,
            epoch: ask.epoch,
            commitment: scene.commitment,
            mine,
            secret: secret(scene.rng),
            theirs: Some(ask.index),
            until: scene.now + PATIENCE,
        };
        let reveal = open.reveal(ask.index);
        self.open = Some(open);
        Some(reveal)
    }

    /// Somebody reveals a nonce: to us, or to somebody else, and then it is known to be used all the same.
    pub(crate) fn on_reveal(&mut self, reveal: &Reveal, scene: &mut Scene<'_>) -> Reply {
        if !reveal.nonce.is_of(&scene.commitment) {
            return Reply::default();
        }
        let used = self.used.get(&scene.from).copied().unwrap_or(0);
        if reveal.nonce.index <= used || (self.used.len() >= usize::from(MAX_LEAVES) && used == 0) {
            return Reply::default();
        }
        self.used.insert(scene.from, reveal.nonce.index);
        self.expire(scene.now);
        let fits = |open: &Open| {
            reveal.to == scene.me
                && open.with == scene.from
                && reveal.nonce.is_of(&open.commitment)
                && open.epoch == reveal.epoch
                && open.mine.index == reveal.theirs
                && open.theirs.is_none_or(|theirs| theirs == reveal.nonce.index)
        };
        let Some(open) = self.open.take_if(|open| fits(open)) else { return Reply::default() };
        let answer = open.theirs.is_none().then(|| open.reveal(reveal.nonce.index));
        let Some(finished) = self.finish(&open, reveal, scene.me) else { return Reply::default() };
        let compared = finished.compared.clone();
        self.finished.retain(|old| old.compared.with != compared.with);
        if self.finished.len() >= MAX_FINISHED {
            self.finished.remove(0);
        }
        self.finished.push(finished);
        Reply { reveal: answer, compared: Some(compared) }
    }

    fn finish(&self, open: &Open, reveal: &Reveal, me: VerifyingKey) -> Option<Finished> {
        let authenticator = self.authenticator(open.epoch)?;
        let shared = open.secret.diffie_hellman(&PublicKey::from(reveal.public));
        if !shared.was_contributory() {
            return None;
        }
        let words = short_code(authenticator, (&me, &open.mine.value), (&open.with, &reveal.nonce.value));
        let own = PublicKey::from(&open.secret).to_bytes();
        let (first, second) =
            if me <= open.with { ((me, own), (open.with, reveal.public)) } else { ((open.with, reveal.public), (me, own)) };
        let context = [authenticator, first.0.as_bytes(), &first.1, second.0.as_bytes(), &second.1].concat();
        let pairwise = kdf32(shared.as_bytes(), "acquaintance", &context);
        Some(Finished { compared: Compared { with: open.with, epoch: open.epoch, words }, pairwise })
    }

    /// People said what came of a comparison: gives its epoch and what both may know each other by. Once.
    pub(crate) fn settle(&mut self, with: &VerifyingKey) -> Option<(u64, Pairwise)> {
        let at = self.finished.iter().position(|finished| finished.compared.with == *with)?;
        let finished = self.finished.remove(at);
        Some((finished.compared.epoch, finished.pairwise))
    }

    /// Somebody is gone for good.
    pub(crate) fn forget(&mut self, gone: &VerifyingKey) {
        self.answered.remove(gone);
        self.used.remove(gone);
        self.finished.retain(|finished| finished.compared.with != *gone);
        self.open.take_if(|open| open.with == *gone);
    }

    /// Gives up what got no answer: says whom we had asked.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<VerifyingKey> {
        let given_up = self.open.take_if(|open| open.until <= now)?;
        given_up.theirs.is_none().then_some(given_up.with)
    }

    /// When a comparison is given up.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.open.as_ref().map(|open| open.until)
    }
}

impl Open {
    fn reveal(&self, theirs: u8) -> Reveal {
        let public = PublicKey::from(&self.secret).to_bytes();
        Reveal { to: self.with, epoch: self.epoch, theirs, nonce: self.mine, public }
    }
}

fn secret(rng: &mut ChaCha20Rng) -> StaticSecret {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.fill_bytes(bytes.as_mut());
    StaticSecret::from(*bytes)
}

#[cfg(test)]
mod tests;

//! Who really sent what: our own signed digests, and those of others held against what we opened. See [`crate::attest`].

use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    io::Outlet,
    proof::{Label, VerifyingKey},
};

#[cfg(test)]
use conclave_federation::{
    track::TrackName,
    wire::{Wire, object::ObjectIdentity},
};

use super::{super::core::Ctx, Joined};
use crate::{
    api::OpenError,
    attest::{self, Change, NotVouched, Revealed, Saying, Seen, SignedKey, SignedWord, Speaker},
    sframe::Opened,
    subscribe::Arrived,
};
#[cfg(test)]
use crate::{frame::Frame, sframe::Sealer};

impl Joined {
    /// When we have something to say, while we can.
    pub(super) fn attest_due(&self) -> Option<Duration> {
        let can = self.own.control.is_announced() && self.seat.group().is_some();
        can.then(|| self.attest.next_at(self.sealer.pending())).flatten()
    }

    /// Says what we sealed, who signs that, and who did.
    pub(super) fn say_attest(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if self.attest_due().is_none_or(|at| at > ctx.now.mono) {
            return;
        }
        let author = self.author(self.me);
        let Some(group) = self.seat.group() else { return };
        let leaf = |label: Label, body: &[u8]| group.sign(label, body);
        let mut speaker = Speaker { author, epoch: group.epoch(), leaf, rng: &mut ctx.core.rng };
        let sayings = self.attest.say(ctx.now.mono, self.sealer.pending_mut(), &mut speaker);
        self.say_all(&sayings, ctx);
    }

    /// We go: every key that signed is told, so that what we said proves nothing to anybody else.
    pub(super) fn say_attest_farewell(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.attest.hurry(ctx.now.mono);
        self.say_attest(ctx);
        let sayings = self.attest.farewell(ctx.now.mono, &mut ctx.core.rng);
        self.say_all(&sayings, ctx);
    }

    fn say_all(&mut self, sayings: &[Saying], ctx: &mut Ctx<'_, impl Outlet>) {
        for saying in sayings {
            let (kind, body) = saying.encode();
            let word = [&[kind], body.as_ref()].concat();
            if self.say_sealed(&word, ctx) {
                ctx.core.stats.attest_said += 1;
            }
        }
    }

    /// A word about digests or their keys: `None`, it is about something else.
    pub(super) fn on_attest(
        &mut self,
        word: &Bytes,
        opened: &Opened,
        key: &VerifyingKey,
        ctx: &mut Ctx<'_, impl Outlet>,
    ) -> Option<Result<(), OpenError>> {
        let kind = *word.first()?;
        let body = word.slice(1..);
        match kind {
            attest::KEY => Some(self.on_attest_key(&body, opened, key, ctx)),
            attest::WORD => Some(self.on_digests(&body, opened, ctx)),
            attest::REVEALED => Some(match Revealed::decode(&body) {
                Ok(revealed) => {
                    self.trusts.on_revealed(opened.kid.leaf, &revealed);
                    Ok(())
                }
                Err(_) => Err(OpenError::Malformed),
            }),
            _ => None,
        }
    }

    fn on_attest_key(
        &mut self,
        body: &Bytes,
        opened: &Opened,
        key: &VerifyingKey,
        ctx: &mut Ctx<'_, impl Outlet>,
    ) -> Result<(), OpenError> {
        let from = opened.kid.leaf;
        let signed = SignedKey::verify(body, self.author(from), key)?;
        self.trusts.on_key(ctx.now.mono, from, opened.epoch, &signed);
        Ok(())
    }

    fn on_digests(&mut self, body: &Bytes, opened: &Opened, ctx: &mut Ctx<'_, impl Outlet>) -> Result<(), OpenError> {
        let from = opened.kid.leaf;
        let signed = SignedWord::decode(body).map_err(|_| OpenError::Malformed)?;
        let word = &signed.word;
        if word.epoch > opened.epoch || !self.roster.is_of_now(from, word.epoch) {
            // Of whoever had the leaf before, or of what has not been.
            return Ok(());
        }
        match self.trusts.on_word(ctx.now.mono, self.author(from), &signed) {
            Ok(change) => self.on_trust(change, ctx),
            // Not an error of anybody's: the key may have been said before we listened.
            Err(NotVouched) => ctx.core.stats.attest_refused += 1,
        }
        Ok(())
    }

    /// A frame of a track that is theirs was opened.
    pub(super) fn on_opened_frame(&mut self, arrived: &Arrived, opened: &Opened, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(kid) = opened.kid.get() else { return };
        let digest = attest::digest(kid, opened.counter, &self.identity(arrived), &arrived.payload);
        let seen = Seen { epoch: opened.epoch, counter: opened.counter, digest };
        let change = self.trusts.on_opened(ctx.now.mono, opened.kid.leaf, opened.kid.stream, seen);
        self.on_trust(change, ctx);
    }

    /// Time has passed.
    pub(super) fn on_trust_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        for change in self.trusts.on_timeout(ctx.now.mono) {
            self.on_trust(Some(change), ctx);
        }
    }

    /// Whoever is on this leaf now came in anew: nothing is known of their streams.
    pub(super) fn trust_anew(&mut self, leaf: u16, ctx: &mut Ctx<'_, impl Outlet>) {
        self.trusts.forget(leaf);
        for event in self.subscriber.trust_anew(leaf, ctx.now.mono) {
            self.tell(event, ctx);
        }
    }

    /// What an insider makes who seals in the name of somebody else: a frame of their microphone under this counter.
    #[cfg(test)]
    pub(in crate::client) fn forge(&self, leaf: u16, counter: u64, name: TrackName, group: u64, data: &'static [u8]) -> Bytes {
        let Some(group_state) = self.seat.group() else { return Bytes::new() };
        let mut sealer = Sealer::new(leaf, super::epoch_of(group_state));
        let place = ObjectIdentity { name, group, object: 0, layer: 0, flags: 0 };
        for _ in 0..counter {
            sealer.seal(0, &place, &[]).expect("few");
        }
        let number = u32::try_from(counter).expect("few");
        let frame = Frame { captured_us: 1, number, back: 0, data: Bytes::from_static(data) };
        sealer.seal(0, &place, &frame.encode()).expect("few")
    }

    fn on_trust(&mut self, change: Option<Change>, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(Change { leaf, stream, trust }) = change else { return };
        for event in self.subscriber.on_trust(leaf, stream, trust, ctx.now.mono) {
            self.tell(event, ctx);
        }
    }
}

//! The control track: what others say there, each kind to where it belongs, and what we say.

use conclave_federation::{io::Outlet, proof::SigningKey};

use super::{super::core::Ctx, Joined};
use crate::{
    api::OpenError,
    control::{Control, MAX_WORD},
    heartbeat::Heartbeat,
    sframe::{CONTROL_STREAM, Opened, unpad},
    state::RoomState,
};

impl Joined {
    /// Says one word on our control track, signed by our leaf; `false`: nobody can be told now, and a relay that does not
    /// read is noticed by the session.
    pub(super) fn say_control(&mut self, control: &Control, ctx: &mut Ctx<'_, impl Outlet>) -> bool {
        let Some(group) = self.seat.group() else { return false };
        let word = control.sign(self.author(self.me), |label, body| group.sign(label, body));
        self.say_sealed(&word, ctx)
    }

    /// The same for a word that is signed already.
    pub(super) fn say_sealed(&mut self, word: &[u8], ctx: &mut Ctx<'_, impl Outlet>) -> bool {
        let Some(session) = ctx.session().filter(|_| self.own.control.is_announced()) else { return false };
        let place = self.own.control.next_place(self.place);
        let Ok(sealed) = self.sealer.seal_padded(CONTROL_STREAM, &place, word) else { return false };
        self.own.control.write(sealed, &mut self.own.reliable, session, ctx.outlet).is_ok()
    }

    /// A word of somebody else.
    pub(super) fn on_control(&mut self, opened: &Opened, ctx: &mut Ctx<'_, impl Outlet>) -> Result<(), OpenError> {
        let from = opened.kid.leaf;
        let key = *self.roster.key(from).ok_or(OpenError::UnknownSender)?;
        let word = unpad(&opened.plain).map_err(|_| OpenError::Malformed)?;
        if word.len() > MAX_WORD {
            return Err(OpenError::TooMuch);
        }
        if let Some(taken) = self.on_attest(&word, opened, &key, ctx) {
            return taken;
        }
        match Control::verify(&word, self.author(from), &key)? {
            None => ctx.core.stats.control_unknown += 1,
            Some(Control::Heartbeat(beat)) => self.on_heartbeat(from, &beat, ctx),
            Some(Control::Ask(ask)) => self.on_ask(from, &ask, ctx),
            Some(Control::Reveal(reveal)) => self.on_reveal(from, &reveal, ctx),
            Some(Control::Recognise(tags)) => self.on_tags(from, &tags, ctx),
            Some(Control::LeafKey(seed)) => self.on_leaf_key(from, &seed, ctx)?,
            Some(Control::Reaction(reaction)) => self.on_reaction(from, &reaction, ctx)?,
            Some(Control::MuteRequest(request)) => self.on_mute_request(from, &request, ctx)?,
            Some(Control::Vote(vote)) => self.on_vote(from, vote, ctx),
        }
        Ok(())
    }

    /// A host has ended the call: says our leaf key to those who were here, if the room wants it so.
    pub(super) fn say_leaf_key(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let seed =
            self.seat.group().filter(|group| group.state().flags & RoomState::REVEAL != 0).map(crate::group::Group::leaf_seed);
        if let Some(seed) = seed {
            self.say_control(&Control::LeafKey(seed), ctx);
        }
    }

    /// From now on anybody here can sign as this leaf: nothing that it signs counts any more.
    fn on_leaf_key(&mut self, from: u16, seed: &[u8; 32], ctx: &mut Ctx<'_, impl Outlet>) -> Result<(), OpenError> {
        let key = SigningKey::from_seed(*seed).verifying_key();
        if self.roster.key(from) != Some(&key) {
            return Err(OpenError::BadSignature);
        }
        self.roster.on_revealed(from);
        ctx.core.stats.leaf_keys_revealed += 1;
        Ok(())
    }

    fn on_heartbeat(&mut self, from: u16, beat: &Heartbeat, ctx: &mut Ctx<'_, impl Outlet>) {
        if let (Some(counter), Some(key)) = (self.pulse.on_beat(from, beat, self.roster.vouches(from)), self.roster.key(from)) {
            self.chat.on_heard(key, counter);
        }
        if let Some(key) = self.roster.key(from) {
            self.votes.on_alive(key);
        }
        self.committer.on_alive(crate::group::Leaf(u32::from(from)));
        self.compare_heads(beat, ctx);
        if let Some(event) = self.roster.on_heartbeat(from, ctx.now.mono) {
            self.tell(event, ctx);
        }
    }
}

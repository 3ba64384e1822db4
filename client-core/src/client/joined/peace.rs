//! Whom we do not want to see or hear: nothing of it leaves this machine but the subscriptions that are not asked for.

use conclave_federation::{id::TrackId, io::Outlet, proof::VerifyingKey, wire::message::Notice};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Event, Participant, ParticipantId, Warning},
    peace::{Aside, Peace},
};

/// What a participant carries of our own wishes.
pub(super) fn decorate(participant: &mut Participant, key: Option<&VerifyingKey>, peace: &Peace) {
    let aside = key.map(|key| peace.of(key)).unwrap_or_default();
    participant.hidden = aside.hidden;
    participant.muted_by_me = aside.muted;
    participant.blocked = aside.blocked;
}

impl Joined {
    /// The application wants more or less of somebody.
    pub(in crate::client) fn set_aside(
        &mut self,
        participant: ParticipantId,
        change: impl FnOnce(&mut Aside),
        ctx: &mut Ctx<'_, impl Outlet>,
    ) {
        let known = self.roster.by_id(participant).filter(|known| !known.is_me).cloned();
        let (Some(known), Some(key)) = (known, self.roster.key(participant.leaf()).copied()) else {
            ctx.core.warn(Warning::NotInRoom);
            return;
        };
        let mut aside = ctx.core.peace.of(&key);
        change(&mut aside);
        if ctx.core.peace.set(key, aside).is_err() {
            ctx.core.warn(Warning::NotChanged);
            return;
        }
        for track in self.subscriber.tracks_of(participant) {
            self.mind(track, ctx);
        }
        self.subscribe(ctx);
        self.tell(Event::ParticipantChanged(known), ctx);
    }

    /// Asks for a track that somebody claims, or ends it, as we want those who claim it.
    pub(super) fn mind(&mut self, track: TrackId, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        let (roster, peace) = (&self.roster, &ctx.core.peace);
        let wants = |leaf: u16, sound: bool| roster.key(leaf).is_none_or(|key| peace.of(key).wants(sound));
        if let Some(alias) = self.subscriber.mind(now, track, wants) {
            ctx.notify(Notice::Unsubscribe(alias));
        }
    }
}

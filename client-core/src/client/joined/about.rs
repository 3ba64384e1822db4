//! What we say of ourselves in the catalog, what others say of themselves, and small signs between people.

use conclave_federation::{io::Outlet, proof::VerifyingKey, wire::Text};

use super::{super::core::Ctx, Joined};
use crate::{
    api::{Command, Event, Kind, OpenError, ParticipantId, Warning},
    control::Control,
    gesture::{MuteRequest, Reaction},
};

impl Joined {
    /// What the application says for the person in front of it.
    pub(in crate::client) fn on_person(&mut self, command: &Command, ctx: &mut Ctx<'_, impl Outlet>) {
        match command {
            Command::Compare { participant } => self.compare(*participant, ctx),
            Command::Verified { participant, matches } => self.verified(*participant, *matches, ctx),
            Command::Rename { name } => self.call_me(name, ctx),
            Command::RaiseHand { up } => self.raise_hand(*up, ctx),
            Command::Recording { on } => self.recording(*on, ctx),
            Command::React { text } => self.react(text, ctx),
            Command::AskMute { participant, kind } => self.ask_mute(*participant, *kind, ctx),
            _ => {}
        }
    }

    /// The application wants another name.
    fn call_me(&mut self, name: &str, ctx: &mut Ctx<'_, impl Outlet>) {
        self.about.name = Text::cut(name);
        self.about_changed(ctx);
    }

    /// The application raises the hand, or takes it down. One that is up stays up since the first time.
    fn raise_hand(&mut self, up: bool, ctx: &mut Ctx<'_, impl Outlet>) {
        self.about.hand = up.then(|| self.about.hand.unwrap_or(ctx.now.unix_ms));
        self.about_changed(ctx);
    }

    /// The application records, or does not any more.
    fn recording(&mut self, on: bool, ctx: &mut Ctx<'_, impl Outlet>) {
        self.about.recording = on;
        self.about_changed(ctx);
    }

    fn about_changed(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.own.catalog_changed();
        self.say_catalog(ctx);
        self.show_own_about(ctx);
    }

    /// Our own line in the roster: as the others see it.
    pub(super) fn show_own_about(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let (me, about) = (self.me, self.about.clone());
        self.show_about(me, about.name.as_str(), about.recording, ctx);
    }

    /// Somebody's catalog says something of them.
    pub(super) fn on_about(&mut self, leaf: u16, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(about) = self.catalogs.about(leaf).cloned() {
            self.show_about(leaf, about.name.as_str(), about.recording, ctx);
        }
    }

    fn show_about(&mut self, leaf: u16, name: &str, recording: bool, ctx: &mut Ctx<'_, impl Outlet>) {
        for event in self.roster.on_about(leaf, name, recording) {
            self.tell(event, ctx);
        }
        self.tell_hands(ctx);
    }

    /// Tells whose hands are up, in the order in which they say they were raised; leaves settle what is equal.
    pub(super) fn tell_hands(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let mut hands: Vec<(u64, u16)> = self.catalogs.hands().collect();
        hands.extend(self.about.hand.map(|since| (since, self.me)));
        hands.sort_unstable();
        let hands: Vec<ParticipantId> = hands.into_iter().filter_map(|(_, leaf)| self.roster.id(leaf)).collect();
        if hands != self.hands_told {
            self.hands_told.clone_from(&hands);
            self.tell(Event::Hands(hands), ctx);
        }
    }

    /// The application shows everybody a sign.
    fn react(&mut self, text: &str, ctx: &mut Ctx<'_, impl Outlet>) {
        match self.gestures.next(ctx.now.mono) {
            Some(number) => {
                self.say_control(&Control::Reaction(Reaction { number, text: Text::cut(text) }), ctx);
            }
            None => ctx.core.warn(Warning::TooManyGestures),
        }
    }

    /// The application asks somebody to mute themselves.
    fn ask_mute(&mut self, participant: ParticipantId, kind: Kind, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(to) = self.roster.leaf_of(participant).and_then(|leaf| self.roster.key(leaf)).copied() else {
            return ctx.core.warn(Warning::NobodyOfThatId);
        };
        match self.gestures.next(ctx.now.mono) {
            Some(number) => {
                self.say_control(&Control::MuteRequest(MuteRequest { number, to, kind }), ctx);
            }
            None => ctx.core.warn(Warning::TooManyGestures),
        }
    }

    /// Whether a gesture counts.
    fn takes(&mut self, leaf: u16, number: u32, ctx: &mut Ctx<'_, impl Outlet>) -> Result<bool, OpenError> {
        let new = self.gestures.on(leaf, number, ctx.now.mono).ok_or(OpenError::TooMuch)?;
        ctx.core.stats.control_repeated += u64::from(!new);
        // Whom we block shows us nothing; they are not told.
        let blocked = self.roster.id(leaf).and_then(|id| self.roster.by_id(id)).is_some_and(|one| one.blocked);
        Ok(new && !blocked)
    }

    pub(super) fn on_reaction(
        &mut self,
        leaf: u16,
        reaction: &Reaction,
        ctx: &mut Ctx<'_, impl Outlet>,
    ) -> Result<(), OpenError> {
        if let (true, Some(from)) = (self.takes(leaf, reaction.number, ctx)?, self.roster.id(leaf)) {
            self.tell(Event::Reaction { from, text: reaction.text.as_str().to_owned() }, ctx);
        }
        Ok(())
    }

    pub(super) fn on_mute_request(
        &mut self,
        leaf: u16,
        request: &MuteRequest,
        ctx: &mut Ctx<'_, impl Outlet>,
    ) -> Result<(), OpenError> {
        let new = self.takes(leaf, request.number, ctx)?;
        let me: Option<&VerifyingKey> = self.roster.key(self.me);
        if let (true, true, Some(by)) = (new, me == Some(&request.to), self.roster.id(leaf)) {
            self.tell(Event::MuteRequested { by, kind: request.kind }, ctx);
        }
        Ok(())
    }
}

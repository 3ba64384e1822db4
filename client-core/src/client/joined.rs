//! In the room: follows the log, sends and receives, keeps the others alive in the roster and the room open to newcomers.
//!
//! ```text
//!   log entry --> membership --> epoch, roster, keys --> everything held for them
//!   object    --> objects ----> frames, catalogs, control, chat
//!   command   --> tracks -----> announced, sealed, sent
//!   time      --> duties -----> heartbeat, commit, key frame requests, proofs renewed
//! ```
//!
//! A lost session changes nothing of who we are: the next one attaches, announces and subscribes anew, and the log goes on
//! where it was. Losing the group's thread has one way back, a new leaf under the same key.

mod about;
mod attest;
mod carriers;
mod chat;
mod commits;
mod compare;
mod control;
mod duties;
mod fresh;
mod generation;
mod history;
mod hosts;
mod knocks;
mod leave;
mod membership;
mod misdeeds;
mod objects;
mod peace;
mod report;
mod say;
mod tracks;
mod votes;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::{Alias, TrackId},
    io::{Now, Outlet, StreamKey},
    proof::{AttachClaim, Capability, Label, SigningKey},
    session,
    track::TrackName,
    wire::{
        code::Code,
        message::{Answer, Attach, Detach, Notice, Refusal, Request, Resolve, Resolved},
    },
};

use self::{
    carriers::Carriers, chat::Chat, fresh::Fresh, history::History, knocks::Knocks, leave::Leaving, membership::Seat,
    misdeeds::Misdeeds, report::Reports, say::Own, votes::Votes,
};
use super::{
    Ask,
    core::{Ctx, Hall, to_error},
    enter::{Access, Entered},
    held::Held,
};
use crate::{
    api::{ClientError, Event, LocalTrack, ParticipantId, Warning},
    attest::{Sender as Attestor, Trusts},
    catalog::{About, Author, Catalogs},
    committer::Committer,
    compare::Comparisons,
    gesture::Gestures,
    heartbeat::Pulse,
    keys::{BaseKey, Epoch},
    leaf::Profile,
    link::Link,
    publish::{Publisher, Way},
    room::AccessSecret,
    roster::{Member, Roster},
    sframe::{Opener, Sealer},
    subscribe::Subscriber,
};

/// Life of the capability that our relay shows to others; renewed at half of it.
const CAPABILITY_LIFE: Duration = Duration::from_secs(30 * 60);

/// How long the whole state waits for the catalogs of those who are here, before it is told without some of them.
const CATALOG_PATIENCE: Duration = Duration::from_millis(500);

/// Events that wait for the whole state to be told; a relay that sends media and no log loses the oldest.
const MAX_UNTOLD: usize = 1_024;

/// Refusals to attach before it is given up: a hub that is out of reach may come back, for about two minutes.
const MAX_ATTACH_REFUSALS: u32 = 60;

/// Refusals that say that it will not get better: a proof that does not verify, a policy.
const MAX_FIRM_REFUSALS: u32 = 3;

/// The pause before attaching again; grows to [`MAX_ATTACH_PAUSE`].
const ATTACH_PAUSE: Duration = Duration::from_millis(250);
/// See [`ATTACH_PAUSE`].
const MAX_ATTACH_PAUSE: Duration = Duration::from_secs(2);

/// What becomes of us.
pub(super) enum Next {
    /// We stay.
    Stay,
    /// The call is not ours any more: the way in from the start.
    Enter,
    /// As asked.
    Left,
    /// A host ended the call.
    CallEnded,
    /// It cannot go on.
    Failed(ClientError),
}

enum Attached {
    /// No session.
    No,
    /// Asked.
    Asked,
    /// Refused; asked again then.
    Again { at: Duration },
    /// Proved; the capability is renewed then.
    Yes { renew_at: Duration },
}

/// Whether the application has been told that it is in.
enum Told {
    /// Not yet: what happens meanwhile waits, or is part of the state.
    Waiting { until: Option<Duration>, events: VecDeque<Event> },
    /// Yes.
    Yes,
}

/// See the module.
pub(super) struct Joined {
    hall: Hall,
    access: Access,
    /// Room and call; its track is not looked at.
    place: TrackName,
    access_key: SigningKey,
    /// `A_g`, as far as we know: outlives the group on the way back.
    secret: AccessSecret,
    me: u16,
    /// The epoch in which we entered first.
    first_epoch: u64,
    /// What others see of us, with the founder's word if we have it: a leaf that is removed does not say it any more.
    profile: Profile,
    seat: Seat,
    committer: Committer,
    /// Since when the hub's CONFLICT has waited for the entry that explains it.
    conflict_since: Option<Duration>,
    attached: Attached,
    attach_refusals: u32,
    told: Told,
    roster: Roster,
    catalogs: Catalogs,
    pulse: Pulse,
    fresh: Fresh,
    /// What we say of ourselves besides our leaf.
    about: About,
    hands_told: Vec<ParticipantId>,
    gestures: Gestures,
    comparisons: Comparisons,
    /// Somebody may not have been shown yet who may recognise us.
    recognise_due: bool,
    sealer: Sealer,
    opener: Opener,
    attest: Attestor,
    trusts: Trusts,
    publisher: Publisher,
    published: BTreeSet<LocalTrack>,
    own: Own,
    subscriber: Subscriber,
    held: Held,
    chat: Chat,
    reports: Reports,
    history: History,
    leaving: Option<Leaving>,
    /// The last host was told what their leaving means.
    asked_to_leave: bool,
    carriers: Carriers,
    knocks: Knocks,
    votes: Votes,
    misdeeds: Misdeeds,
    /// Whether a proof of ours was taken in this session.
    proved: bool,
}

impl Joined {
    /// With a group in hand, and no proof shown to anybody yet.
    pub(super) fn new(entered: Entered, now: Now, ctx_rng: &mut rand_chacha::ChaCha20Rng) -> Self {
        let Entered { group, hall, founder } = entered;
        // Whoever was let in with an old link is given the current one.
        let link = Link::to_room(&hall.link.host, group.record(), group.link().clone());
        let mut events = VecDeque::new();
        if link.secret != hall.link.secret {
            events.push_back(Event::LinkChanged { link: link.clone() });
        }
        let hall = Hall { link, record: group.record().clone() };
        let place = TrackName { room: group.room(), instance: group.instance(), track: TrackId(0) };
        let epoch = epoch_of(&group);
        let me = leaf(group.me());
        let members: Vec<Member> = group.members().map(member).collect();
        let mut comparisons = Comparisons::default();
        comparisons.on_epoch(group.epoch(), group.epoch_authenticator());
        let mut chat = Chat::default();
        chat.transcripts.note(group.epoch(), group.transcript());
        Self {
            access: Access {
                secret: generation::secret_of_record(&group),
                founder,
                retired: group.retired_links().to_vec(),
                title: group.state().title.as_str().to_owned(),
                mode: group.state().mode,
            },
            hall,
            place,
            access_key: group.access_key().clone(),
            secret: group.access().clone(),
            me,
            first_epoch: group.first_epoch(),
            profile: group.member(group.me()).map_or_else(|| Profile::named(""), |member| member.profile),
            committer: Committer::new(),
            conflict_since: None,
            attached: Attached::No,
            attach_refusals: 0,
            told: Told::Waiting { until: None, events },
            roster: Roster::new(me, &members, group.epoch(), now.mono),
            catalogs: Catalogs::default(),
            pulse: Pulse::new(me, now.mono),
            fresh: Fresh::default(),
            about: About::default(),
            hands_told: Vec::new(),
            gestures: Gestures::default(),
            comparisons,
            recognise_due: true,
            sealer: Sealer::new(me, epoch.clone()),
            opener: Opener::new(epoch),
            attest: Attestor::new(ctx_rng),
            trusts: Trusts::default(),
            publisher: Publisher::new(place),
            published: BTreeSet::new(),
            own: Own::new(ctx_rng),
            subscriber: Subscriber::new(group.position().seq, now.mono),
            held: Held::default(),
            chat,
            reports: Reports::default(),
            history: History::new(now.mono),
            leaving: None,
            asked_to_leave: false,
            carriers: Carriers::default(),
            knocks: Knocks::default(),
            votes: Votes::new(now.mono),
            misdeeds: Misdeeds::default(),
            proved: false,
            seat: Seat::In(Box::new(group)),
        }
    }

    /// What the way in needs when it has to be taken anew.
    pub(super) fn into_hall(self) -> (Hall, Access) {
        (self.hall, self.access)
    }

    fn author(&self, leaf: u16) -> Author {
        Author { room: self.place.room, instance: self.place.instance, leaf }
    }

    fn is_attached(&self) -> bool {
        matches!(self.attached, Attached::Yes { .. })
    }

    /// A session can be used: proves to it that we are in the room.
    pub(super) fn on_open(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(open) = &ctx.open
            && self.carriers.on_open(&open.relay)
        {
            self.own.catalog_changed();
        }
        self.attach(ctx);
        // What was asked under way back in was lost with the session.
        self.ask_back(ctx);
    }

    fn attach(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(open) = &ctx.open else { return };
        let (relay, nonce) = (open.relay.relay, open.nonce);
        let (room, instance) = (self.place.room, self.place.instance);
        let generation = self.hall.record.generation;
        let claim = AttachClaim { relay, authority: &open.authority, nonce: &nonce, room, instance, generation, role: 0 };
        let signature = self.access_key.sign(Label::Attach, &claim.bytes());
        let Some(capability) = self.capability(ctx) else { return };
        // A session that had our proof goes on while it is shown the next one.
        if !self.is_attached() {
            self.attached = Attached::Asked;
        }
        let attach = Attach { room, instance, generation, role: 0, signature, capability };
        ctx.ask(Request::Attach(attach), Ask::Attach);
    }

    fn capability(&self, ctx: &Ctx<'_, impl Outlet>) -> Option<Capability> {
        let relay = ctx.relay()?;
        let life = u64::try_from(CAPABILITY_LIFE.as_millis()).unwrap_or(u64::MAX);
        let expires = ctx.now.unix_ms.saturating_add(life);
        let (room, instance) = (self.place.room, self.place.instance);
        Some(Capability::issue(&self.access_key, relay, room, instance, self.hall.record.generation, expires))
    }

    fn on_attached(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        self.attached = Attached::Yes { renew_at: ctx.now.mono + CAPABILITY_LIFE / 2 };
        self.attach_refusals = 0;
        if std::mem::replace(&mut self.proved, true) {
            return self.on_attached_again(ctx);
        }
        // We did not listen until now.
        self.roster.restart(ctx.now.mono);
        self.pulse.on_attached(ctx.now.mono);
        self.trusts.restart(ctx.now.mono);
        self.chat.restart(ctx.now.mono);
        self.subscribe(ctx);
        self.announce(ctx);
        self.lodge_again(ctx);
    }

    fn on_attach_refused(&mut self, refusal: &Refusal, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        self.attach_refusals += 1;
        let most = match refusal.code {
            Code::STALE_GENERATION => return Next::Enter,
            // The relay may have been started anew and know the room no more; then looking it up is all that it needs.
            Code::WRONG_INSTANCE | Code::UNKNOWN_ROOM => {
                self.look_up(ctx);
                MAX_ATTACH_REFUSALS
            }
            Code::TIMEOUT
            | Code::UNREACHABLE
            | Code::UNKNOWN_RELAY
            | Code::INTERNAL
            | Code::RATE
            | Code::FULL
            | Code::STORE
            | Code::NOT_ATTACHED => MAX_ATTACH_REFUSALS,
            _ => MAX_FIRM_REFUSALS,
        };
        if self.attach_refusals >= most {
            return Next::Failed(to_error(refusal));
        }
        let pause = (ATTACH_PAUSE * self.attach_refusals).min(MAX_ATTACH_PAUSE);
        self.attached = Attached::Again { at: ctx.now.mono + pause };
        Next::Stay
    }

    /// Asks what is known of the room: the entry relay learns it with the answer.
    fn look_up(&self, ctx: &mut Ctx<'_, impl Outlet>) {
        let via = self.hall.via(ctx.relay());
        ctx.ask(Request::Resolve(Resolve { via, room: self.place.room }), Ask::Resolve);
    }

    fn on_looked_up(&mut self, resolved: &Resolved, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        if !matches!(self.attached, Attached::Again { .. }) {
            return Next::Stay;
        }
        if resolved.instance != self.place.instance {
            // The call went on without us, or is over.
            return Next::Enter;
        }
        self.attach(ctx);
        Next::Stay
    }

    /// The session is gone.
    pub(super) fn on_lost(&mut self, now: Now) {
        self.attached = Attached::No;
        self.proved = false;
        self.publisher.on_lost();
        self.attest.on_lost(now.mono);
        self.own.on_lost();
        self.pulse.on_lost(now.mono);
        self.chat.on_lost(now.mono);
        self.subscriber.on_lost(now.mono);
        if self.seat.group().is_some_and(|group| group.pending().is_some()) {
            self.committer.on_timeout(now.mono);
        }
        if let Told::Waiting { until, .. } = &mut self.told {
            *until = None;
        }
    }

    /// The relay answered.
    pub(super) fn on_answer(&mut self, ask: Ask, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let next = match (ask, answer) {
            // Whatever was asked: there is no way back in.
            (_, Answer::Refused(refusal)) if refusal.code == Code::CLOSED => Next::Failed(to_error(&refusal)),
            (Ask::Attach, Answer::Done(())) => {
                self.on_attached(ctx);
                Next::Stay
            }
            (Ask::Attach, Answer::Refused(refusal)) => self.on_attach_refused(&refusal, ctx),
            (Ask::Renew, answer) => {
                if let (Attached::Yes { renew_at }, Answer::Refused(_)) = (&mut self.attached, answer) {
                    *renew_at = ctx.now.mono + CAPABILITY_LIFE / 8;
                }
                Next::Stay
            }
            (Ask::Subscribe(track), answer) => {
                self.on_subscribe_answer(track, answer, ctx);
                Next::Stay
            }
            (Ask::Publish(track), answer) => {
                self.on_publish_answer(track, answer, ctx);
                Next::Stay
            }
            (Ask::Stamp(number), answer) => {
                self.on_stamp_answer(number, answer, ctx);
                Next::Stay
            }
            (Ask::Append, answer) => self.on_append_answer(answer, ctx),
            (Ask::Join, answer) => self.on_join_answer(answer, ctx),
            (Ask::Resolve, Answer::Resolved(resolved)) => self.on_looked_up(&resolved, ctx),
            // The way in is behind us, a leave note's answer says nothing, and what is left are answers to something else.
            (Ask::Resolve | Ask::PutRecord | Ask::Genesis | Ask::Leave | Ask::Decline | Ask::Attach, _) => Next::Stay,
        };
        self.maybe_tell(ctx);
        next
    }

    /// The relay says something.
    pub(super) fn on_notice(&mut self, notice: &Notice, ctx: &mut Ctx<'_, impl Outlet>) {
        match notice {
            Notice::KeyFrame(alias) => {
                if let Some(track) = self.publisher.by_alias(*alias) {
                    self.tell(Event::KeyFrameWanted { track }, ctx);
                }
            }
            Notice::Ended(alias) => self.subscriber.wanted.on_ended(*alias, ctx.now.mono),
            Notice::Detach(detach) if (detach.room, detach.instance) == (self.place.room, self.place.instance) => {
                self.on_cut_off(ctx.now.mono);
            }
            // A relay that ends one of our tracks is asked for it again with the next session; a newer record comes with the
            // entry that it belongs to, or when the room is asked for.
            Notice::Unsubscribe(_)
            | Notice::Unpublish(_)
            | Notice::Detach(_)
            | Notice::Record(_)
            | Notice::Hello(_)
            | Notice::Greeting(_) => {}
        }
    }

    /// Something that was blocked may go now.
    pub(super) fn on_writable(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(session) = ctx.session() else { return };
        self.own.reliable.flush(session, ctx.outlet);
        self.flush_media(ctx);
    }

    fn flush_media(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(session) = ctx.session() else { return };
        for track in self.publisher.flush(ctx.now, session, ctx.outlet) {
            self.tell(Event::KeyFrameWanted { track }, ctx);
        }
    }

    /// The relay does not want the rest of a stream of ours.
    pub(super) fn on_stopped(&mut self, stream: StreamKey, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some(session) = ctx.session()
            && !self.own.reliable.is(stream)
        {
            self.publisher.on_stopped(stream, Way { now: ctx.now, session, outlet: ctx.outlet });
        }
    }

    /// Objects and pieces of objects.
    pub(super) fn on_session_event(&mut self, event: session::Event<Ask>, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        let now = ctx.now.mono;
        let arrived = match event {
            session::Event::Piece(stream, piece) => match self.subscriber.on_piece(now, stream, piece) {
                Ok(arrived) => arrived,
                Err(crate::subscribe::TooMuch) => {
                    if let Some(open) = ctx.open.as_deref_mut() {
                        open.session.ignore(stream);
                        ctx.outlet.stop(open.session.key(), stream, Code::FULL);
                    }
                    self.refuse(None, crate::api::OpenError::TooMuch, ctx);
                    None
                }
            },
            session::Event::Datagram(header, payload, _) => self.subscriber.on_object(now, header, payload),
            session::Event::StreamEnded(stream, _) => {
                self.subscriber.on_stream_ended(stream);
                None
            }
            session::Event::Active(_) | session::Event::Request(..) | session::Event::Answer(..) | session::Event::Notice(_) => {
                None
            }
        };
        let next = arrived.map_or(Next::Stay, |arrived| self.on_arrived(arrived, ctx));
        self.maybe_tell(ctx);
        next
    }

    /// Tells the application, or keeps it until the whole state has been told.
    fn tell(&mut self, mut event: Event, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Event::ParticipantJoined(participant) | Event::ParticipantChanged(participant) = &mut event {
            peace::decorate(participant, self.roster.key(participant.id.leaf()), &ctx.core.peace);
        }
        if let Event::Reaction { from: of, .. } | Event::MuteRequested { by: of, .. } = &event
            && self.roster.key(of.leaf()).is_some_and(|key| ctx.core.peace.is_blocked(key))
        {
            return;
        }
        match &mut self.told {
            Told::Yes => ctx.core.tell(event),
            Told::Waiting { events, .. } => match event {
                // What the state will say anyway.
                Event::ParticipantJoined(_)
                | Event::ParticipantChanged(_)
                | Event::ParticipantLeft { .. }
                | Event::TrackPublished(_)
                | Event::TrackChanged(_)
                | Event::TrackTrust { .. }
                | Event::TrackUnpublished { .. }
                | Event::Epoch { .. } => {}
                event => {
                    events.push_back(event);
                    if events.len() > MAX_UNTOLD {
                        events.pop_front();
                        ctx.core.stats.events_dropped += 1;
                    }
                }
            },
        }
    }

    /// Tells the whole state once it is there: the log is followed, and the catalogs of the others are known, or have been
    /// waited for, or something happened that cannot wait.
    fn maybe_tell(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        if matches!(self.told, Told::Yes) {
            return self.tell_carriers(ctx);
        }
        let Some(group) = self.seat.group() else { return };
        if !self.subscriber.wanted.is_following() {
            return;
        }
        let complete = self.roster.others().all(|leaf| self.catalogs.has(leaf));
        let Told::Waiting { until, events } = &mut self.told else { return };
        let until = *until.get_or_insert(ctx.now.mono + CATALOG_PATIENCE);
        let urgent = events.iter().any(|event| matches!(event, Event::Frame(_) | Event::Chat { .. }));
        if !complete && !urgent && until > ctx.now.mono {
            return;
        }
        let Some(me) = self.roster.id(self.me) else { return };
        let mut roster = self.roster.all();
        for participant in &mut roster {
            peace::decorate(participant, self.roster.key(participant.id.leaf()), &ctx.core.peace);
        }
        let joined = Event::Joined {
            me,
            title: group.state().title.as_str().to_owned(),
            roster,
            tracks: self.subscriber.tracks(),
            epoch: group.epoch(),
            safety_code: group.safety_code().to_string(),
        };
        ctx.core.tell(joined);
        for event in std::mem::take(events) {
            ctx.core.tell(event);
        }
        self.told = Told::Yes;
        self.tell_carriers(ctx);
    }

    /// The way back led through a new leaf: the whole state is told again.
    fn tell_anew(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        ctx.core.warn(Warning::Rejoined);
        self.told = Told::Waiting { until: Some(ctx.now.mono), events: VecDeque::new() };
        self.maybe_tell(ctx);
    }

    /// Asks the sender of a track for a key frame.
    fn ask_key_frame(alias: Alias, ctx: &mut Ctx<'_, impl Outlet>) {
        ctx.notify(Notice::KeyFrame(alias));
    }

    fn detach(&self, ctx: &mut Ctx<'_, impl Outlet>) {
        ctx.notify(Notice::Detach(Detach { room: self.place.room, instance: self.place.instance }));
    }

    /// Every secret that is held now.
    #[cfg(feature = "audit")]
    pub(super) fn secrets(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.seat.group().map(crate::group::Group::secrets_for_audit).unwrap_or_default();
        for epoch in self.opener.window().all() {
            all.push((format!("SFrame base key of epoch {}", epoch.number), epoch.base.expose().to_vec()));
        }
        all
    }
}

/// The index, in the width that KIDs carry; a room has at most a thousand leaves.
fn leaf(leaf: crate::group::Leaf) -> u16 {
    u16::try_from(leaf.0).unwrap_or(u16::MAX)
}

fn member(member: crate::group::Member) -> Member {
    Member { leaf: leaf(member.leaf), key: member.key, name: member.profile.name.as_str().to_owned(), host: member.host }
}

fn epoch_of(group: &crate::group::Group) -> Epoch {
    Epoch { number: group.epoch(), base: BaseKey::new(*group.sframe_base_key()) }
}

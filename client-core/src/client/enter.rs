//! The way in: found the room or look it up, then begin the call or ask to be let in.
//!
//! ```text
//!   [create: PutRecord] --> Resolve --+-- nobody there --> Genesis --+--> Entered
//!                             ^       +-- occupied ------> Join -----+
//!                             +--- CONFLICT, another instance -------+
//!                             +--- nobody answers: asked again ------+
//! ```
//!
//! A lost session loses nothing but time: the next one begins at the same step, or at the look-up.

use std::time::Duration;

use conclave_federation::{
    id::{Instance, RoomId},
    io::Outlet,
    proof::SigningKey,
    record::{Hub, RecordError, RoomRecord},
    wire::{
        List, Text,
        code::Code,
        message::{Admitted, Answer, Append, PutRecord, Refusal, Request, Resolve, Resolved, Via},
    },
};

use super::{
    Ask,
    asking::{Asking, Due},
    core::{Ctx, Hall, to_error},
};
use crate::{
    api::{ClientError, CreateRoom, Event},
    group::{FoundError, Founding, Group, JoinError, Joining, Lobby, RetiredLink},
    leaf::Profile,
    link::Link,
    room::{AccessSecret, new_room},
    state::Mode,
};

/// Look-ups before people are told that it does not work: a race that is lost, a hub that is just starting.
const MAX_LOOKUPS: u32 = 16;

/// The pause before a look-up that follows a failed one.
const LOOKUP_PAUSE: Duration = Duration::from_millis(700);

/// A room in which there has never been a call is somebody's who is about to begin one: its link waits for them so often.
const LOOKUPS_BEFORE_FIRST: u32 = 4;

/// What the first one in begins a call with, besides the link.
#[derive(Clone)]
pub(super) struct Access {
    /// `A_g` of the room's record, for those who have it: a call that others begin has its own.
    pub(super) secret: Option<AccessSecret>,
    /// The founder's key, when it is them: makes a host.
    pub(super) founder: Option<SigningKey>,
    /// Links of earlier generations, as far as they are known.
    pub(super) retired: Vec<RetiredLink>,
    /// The room's title.
    pub(super) title: String,
    /// Who may let others in, when a call begins.
    pub(super) mode: Mode,
}

impl Default for Access {
    /// Of those who have the link and nothing else.
    fn default() -> Self {
        Self { secret: None, founder: None, retired: Vec::new(), title: String::new(), mode: Mode::Open }
    }
}

/// What came of a step.
pub(super) enum Progress {
    /// Nothing yet.
    Stay,
    /// In.
    Entered(Box<Entered>),
    /// It cannot be done.
    Failed(ClientError),
}

/// What somebody has who is in.
pub(super) struct Entered {
    /// The call's group.
    pub(super) group: Group,
    /// The room.
    pub(super) hall: Hall,
    /// The founder's key, when it is them.
    pub(super) founder: Option<SigningKey>,
}

enum Step {
    /// For a session, or for the time to look again.
    Waiting { until: Duration },
    /// The record is offered to the hub.
    Putting,
    /// The room is looked up.
    Resolving,
    /// The genesis is offered to the hub; kept until we know whose genesis the hub took.
    Founding(Box<Begun>),
    /// The request is open.
    Requesting(Box<Asking>),
}

struct Begun {
    group: Group,
    append: Append,
    hall: Hall,
}

/// See the module.
pub(super) struct Enter {
    /// A room to found, until it is.
    create: Option<CreateRoom>,
    /// The record to offer, until the hub has it.
    record: Option<Box<RoomRecord>>,
    link: Option<Link>,
    access: Access,
    lookups: u32,
    step: Step,
}

impl Enter {
    fn at_the_door(create: Option<CreateRoom>, link: Option<Link>, access: Access) -> Self {
        let step = Step::Waiting { until: Duration::ZERO };
        Self { create, record: None, link, access, lookups: 0, step }
    }

    /// A new room.
    pub(super) fn create(room: CreateRoom) -> Self {
        Self::at_the_door(Some(room), None, Access::default())
    }

    /// Into the room of this link.
    pub(super) fn join(link: Link) -> Self {
        Self::at_the_door(None, Some(link), Access::default())
    }

    /// Back into a room that we were in, as if for the first time.
    pub(super) fn again(link: Link, access: Access) -> Self {
        Self::at_the_door(None, Some(link), access)
    }

    /// The link, once there is one.
    pub(super) const fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// A session can be used.
    pub(super) fn on_open(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        if matches!(self.step, Step::Requesting(_)) {
            // The same request again: the hub knows its id.
            return self.request(ctx);
        }
        self.begin(ctx)
    }

    /// The session is gone.
    pub(super) fn on_lost(&mut self) {
        if matches!(self.step, Step::Putting | Step::Resolving) {
            self.step = Step::Waiting { until: Duration::ZERO };
        }
    }

    fn begin(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        if let Some(room) = self.create.take()
            && let Err(error) = self.found_room(&room, ctx)
        {
            return Progress::Failed(error);
        }
        let Some(record) = &self.record else { return self.resolve(ctx) };
        let record = RoomRecord::clone(record);
        self.step = Step::Putting;
        ctx.ask(Request::PutRecord(PutRecord { via: None, record }), Ask::PutRecord);
        Progress::Stay
    }

    /// The entry relay becomes the room's hub.
    fn found_room(&mut self, room: &CreateRoom, ctx: &mut Ctx<'_, impl Outlet>) -> Result<(), ClientError> {
        let Some(open) = &ctx.open else { return Ok(()) };
        let hub = Hub { relay: open.relay.relay, addresses: open.relay.addresses.clone() };
        let host = hub.addresses.first().map_or("", |address| address.as_str()).to_owned();
        let mut new = new_room(&mut ctx.core.rng, vec![hub], ctx.now.unix_ms, room.max_members)?;
        self.link = Some(new.to_link(&host));
        if room.mode != Mode::Open {
            // Whoever comes early with the link must not be able to begin a call in which everybody lets in.
            new.record.host_required = true;
            new.record.sign(&new.founder);
        }
        self.access = Access {
            secret: Some(new.access.clone()),
            founder: Some(new.founder.clone()),
            retired: Vec::new(),
            title: room.title.clone(),
            mode: room.mode,
        };
        self.record = Some(Box::new(new.record));
        Ok(())
    }

    fn resolve(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        let Some((room, via)) = self.where_to_ask(ctx) else { return Progress::Failed(ClientError::LinkInvalid) };
        self.lookups += 1;
        if !matches!(self.step, Step::Founding(_) | Step::Requesting(_)) {
            self.step = Step::Resolving;
        }
        ctx.ask(Request::Resolve(Resolve { via, room }), Ask::Resolve);
        Progress::Stay
    }

    /// The room, and the hub to ask unless it is the entry relay itself. Of several hubs the next is asked each time.
    fn where_to_ask(&self, ctx: &Ctx<'_, impl Outlet>) -> Option<(RoomId, Option<Via>)> {
        let link = self.link.as_ref()?;
        let entry = ctx.relay()?;
        if link.hubs.iter().any(|hub| hub.is(&entry)) {
            return Some((link.room, None));
        }
        let turn = usize::try_from(self.lookups).unwrap_or(0) % link.hubs.len().max(1);
        let hub = link.hubs.get(turn)?;
        let addresses = List::new(vec![Text::cut(&hub.address)]).unwrap_or_default();
        Some((link.room, Some(Via { relay: hub.relay_id(), addresses })))
    }

    /// The relay answered.
    pub(super) fn on_answer(&mut self, ask: Ask, answer: Answer, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        match (ask, answer) {
            (Ask::PutRecord, Answer::Done(())) => {
                self.record = None;
                if let Some(link) = &self.link {
                    ctx.core.tell(Event::RoomCreated { link: link.clone() });
                }
                self.resolve(ctx)
            }
            (Ask::Resolve, Answer::Resolved(resolved)) => self.on_resolved(*resolved, ctx),
            (Ask::Genesis, Answer::Appended(head)) => match self.begun() {
                Some(begun) if begun.append.header.head() == head.head => self.entered(begun.group, begun.hall),
                Some(_) | None => self.look_again(ClientError::BadWelcome, ctx),
            },
            (Ask::Join, Answer::Admitted(admitted)) => self.on_admitted(&admitted, ctx),
            (Ask::Join, Answer::Declined(note)) => match &self.step {
                Step::Requesting(asking) => Progress::Failed(ClientError::Declined { reason: asking.declined(&note) }),
                Step::Waiting { .. } | Step::Putting | Step::Resolving | Step::Founding(_) => Progress::Stay,
            },
            (Ask::PutRecord | Ask::Resolve | Ask::Genesis | Ask::Join, Answer::Refused(refusal)) => {
                self.on_refused(ask, &refusal, ctx)
            }
            // Nothing else is asked on the way in.
            _ => Progress::Stay,
        }
    }

    /// The call that we began, if we did.
    fn begun(&mut self) -> Option<Begun> {
        match std::mem::replace(&mut self.step, Step::Resolving) {
            Step::Founding(begun) => Some(*begun),
            step => {
                self.step = step;
                None
            }
        }
    }

    fn entered(&self, group: Group, hall: Hall) -> Progress {
        let founder = self.access.founder.clone();
        Progress::Entered(Box::new(Entered { group, hall, founder }))
    }

    fn on_resolved(&mut self, resolved: Resolved, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        let Some(link) = self.link.clone() else { return Progress::Stay };
        let Resolved { record, instance, occupied, group, seq, call, .. } = resolved;
        match record.verify(link.room, ctx.now.unix_ms) {
            Ok(()) => {}
            Err(RecordError::Expired) => return Progress::Failed(ClientError::RoomExpired),
            Err(error) => return Progress::Failed(ClientError::Record(error)),
        }
        if link.secret.find(&record).is_none() {
            return Progress::Failed(ClientError::LinkInvalid);
        }
        if let Some(begun) = self.begun()
            && begun.append.commit.bytes() == group.bytes()
            && begun.append.header.instance == instance
        {
            // Ours it was: only the hub's word for it was lost.
            return self.entered(begun.group, begun.hall);
        }
        let hall = Hall { link, record };
        if !occupied {
            return self.found_call(hall, instance, ctx);
        }
        let lobby = Lobby {
            record: hall.record.clone(),
            call,
            link: hall.link.secret.clone(),
            instance,
            group: group.bytes().clone(),
            seq,
        };
        if let Step::Requesting(asking) = &mut self.step
            && asking.again(hall.clone(), lobby.clone(), ctx)
        {
            return Progress::Stay;
        }
        let profile = Profile::named(&ctx.core.profile.name);
        let commitment = ctx.core.commit();
        match Joining::new(ctx.core.seed(), lobby, profile, self.access.founder.as_ref(), commitment) {
            Ok(joining) => {
                self.step = Step::Requesting(Box::new(Asking::new(joining, hall, ctx.now.mono)));
                self.request(ctx)
            }
            Err(_) => self.look_again(ClientError::BadWelcome, ctx),
        }
    }

    /// Nobody is there: whoever has the room's link begins the next call.
    fn found_call(&mut self, hall: Hall, last: Instance, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        let access = &self.access;
        // Who made the room may be on the way: a link is often followed before its sender is in. Where it has to be them, too.
        let is_first = last == Instance(0) && access.founder.is_none() && self.lookups < LOOKUPS_BEFORE_FIRST;
        if is_first || (hall.record.host_required && access.founder.is_none()) {
            return self.look_again(ClientError::NobodyThere, ctx);
        }
        if hall.link.secret.keys_of(&hall.record).is_none() {
            // A waiting room in front of an empty one: nobody can let in.
            return Progress::Failed(ClientError::LinkInvalid);
        }
        let founding = Founding {
            record: hall.record.clone(),
            link: hall.link.secret.clone(),
            access: access.secret.clone(),
            retired: access.retired.clone(),
            instance: last.next(),
            profile: Profile::named(&ctx.core.profile.name),
            commitment: ctx.core.commit(),
            founder: access.founder.clone(),
            title: access.title.clone(),
            mode: access.mode,
        };
        match Group::found(ctx.core.seed(), &founding) {
            Ok((group, mut append)) => {
                append.via = hall.via(ctx.relay());
                ctx.ask(Request::Append(append.clone()), Ask::Genesis);
                self.step = Step::Founding(Box::new(Begun { group, append, hall }));
                Progress::Stay
            }
            Err(FoundError::Secrets) => Progress::Failed(ClientError::LinkInvalid),
            Err(FoundError::HostRequired) => Progress::Failed(ClientError::NobodyThere),
            Err(FoundError::Mls) => Progress::Failed(ClientError::BadWelcome),
        }
    }

    /// Makes the request, or makes it again.
    fn request(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        match &mut self.step {
            Step::Requesting(asking) => {
                if asking.request(ctx) {
                    Progress::Stay
                } else {
                    Progress::Failed(ClientError::BadWelcome)
                }
            }
            Step::Waiting { .. } | Step::Putting | Step::Resolving | Step::Founding(_) => Progress::Stay,
        }
    }

    fn on_admitted(&mut self, admitted: &Admitted, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        let Step::Requesting(asking) = &mut self.step else { return Progress::Stay };
        match asking.admitted(admitted) {
            Ok(group) => {
                let hall = asking.hall.clone();
                self.entered(group, hall)
            }
            // An answer to a request that was made anew meanwhile: the newer one's is on its way.
            Err(JoinError::Answer) => Progress::Stay,
            // Junk, or a race: the room is looked up again, with a fresh key package.
            Err(_) => self.look_again(ClientError::BadWelcome, ctx),
        }
    }

    fn on_refused(&mut self, ask: Ask, refusal: &Refusal, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        let error = to_error(refusal);
        match (ask, refusal.code) {
            (_, Code::CLOSED) => Progress::Failed(error),
            // Somebody else began the call, or ended it, or the answer was lost: look again, and see whose genesis it is.
            (Ask::Genesis, _) => self.keep_looking(error, ctx),
            (Ask::Join, Code::WRONG_INSTANCE | Code::STALE_GENERATION) => self.look_again(error, ctx),
            (Ask::Join, Code::UNANSWERED) => {
                if let Step::Requesting(asking) = &mut self.step {
                    asking.hurry(ctx.now.mono);
                }
                Progress::Stay
            }
            // Our own patience decides.
            (Ask::Join, Code::TIMEOUT | Code::INTERNAL | Code::RATE | Code::FULL | Code::EXISTS) => Progress::Stay,
            (_, Code::TIMEOUT | Code::UNREACHABLE | Code::RATE | Code::STORE | Code::INTERNAL) => self.look_again(error, ctx),
            _ => Progress::Failed(error),
        }
    }

    /// Looks again without forgetting what was begun.
    fn keep_looking(&mut self, error: ClientError, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        if self.lookups >= MAX_LOOKUPS {
            return Progress::Failed(error);
        }
        self.resolve(ctx)
    }

    fn look_again(&mut self, error: ClientError, ctx: &Ctx<'_, impl Outlet>) -> Progress {
        if let (Step::Requesting(asking), false) = (&mut self.step, matches!(error, ClientError::BadWelcome)) {
            asking.later(ctx.now.mono);
            return Progress::Stay;
        }
        if self.lookups >= MAX_LOOKUPS {
            return Progress::Failed(error);
        }
        self.step = Step::Waiting { until: ctx.now.mono + LOOKUP_PAUSE };
        Progress::Stay
    }

    /// Time has passed.
    pub(super) fn on_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) -> Progress {
        match &mut self.step {
            Step::Waiting { until } if *until <= ctx.now.mono => self.begin(ctx),
            Step::Requesting(asking) => match asking.on_timeout(ctx) {
                Due::Nothing => Progress::Stay,
                Due::Again => self.resolve(ctx),
                Due::Over => Progress::Failed(ClientError::NobodyAnswered),
            },
            Step::Waiting { .. } | Step::Putting | Step::Resolving | Step::Founding(_) => Progress::Stay,
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        match &self.step {
            Step::Waiting { until } => Some(*until),
            Step::Requesting(asking) => Some(asking.next_timeout()),
            Step::Putting | Step::Resolving | Step::Founding(_) => None,
        }
    }
}

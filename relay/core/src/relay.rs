//! The control plane's meeting place: who asks what, and which file answers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use conclave_federation::{
    id::{Alias, RelayId, RoomId, TrackId},
    io::{Dial, DialError, DialKey, Now, SessionKey},
    peering::Policy,
    record::CallKeys,
    session::{LocalRelay, Remote, Reply},
    wire::{
        code::Code,
        message::{Answer, Attach, Notice, Refusal, Request},
    },
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::{
    admit::{self, Bucket},
    between::{AskKey, ToRelay, ToShard},
    limits::{Limits, ROOM_TICK},
    link::{Links, Opened},
    node::{Config, Restored, StoreFailed, StoreKey, Write, earliest},
    order::{Closure, Obeyed, Order, OrderError, OrderKey},
    room::{Founding, Job, Room, closed::Closed, records::Records},
    stats::{Limit, Stats},
};

/// What every step of the control plane needs.
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) down: &'a mut VecDeque<ToShard>,
    pub(crate) stats: &'a mut Stats,
}

/// Whom to answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asker {
    pub(crate) session: SessionKey,
    pub(crate) reply: Reply,
}

impl Cx<'_> {
    pub(crate) fn answer(&mut self, asker: Asker, answer: Answer) {
        self.down.push_back(ToShard::Answer { session: asker.session, reply: asker.reply, answer });
    }

    pub(crate) fn refuse(&mut self, asker: Asker, code: Code, words: &str) {
        self.answer(asker, Answer::Refused(Refusal::new(code, words)));
    }

    /// Refuses with the sentence that goes with the code.
    pub(crate) fn refuse_proof(&mut self, asker: Asker, code: Code) {
        self.refuse(asker, code, admit::words(code));
    }

    /// Refuses because a bound is reached.
    pub(crate) fn refuse_limit(&mut self, asker: Asker, limit: Limit, code: Code, words: &str) {
        self.stats.hit(limit);
        self.refuse(asker, code, words);
    }

    pub(crate) fn notify(&mut self, session: SessionKey, notice: Notice) {
        self.down.push_back(ToShard::Notify { session, notice });
    }

    pub(crate) fn close(&mut self, session: SessionKey, code: Code, words: &'static str) {
        self.down.push_back(ToShard::Close { session, code, words });
    }
}

/// A session, as far as the control plane cares.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) who: Who,
    control: Bucket,
    subscribing: Bucket,
    pub(crate) commits: Bucket,
    /// Entries with a host's word.
    pub(crate) reserved: Bucket,
    pub(crate) stamps: Bucket,
    /// Tracks that it subscribes to.
    pub(crate) subscriptions: BTreeSet<Alias>,
}

/// Who is at the other end.
#[derive(Debug)]
pub(crate) enum Who {
    /// A participant's client.
    Client {
        nonce: [u8; 32],
        /// Rooms it is attached to.
        rooms: BTreeSet<RoomId>,
        /// Tracks that it publishes.
        published: usize,
        /// Join requests that are open.
        joins: usize,
    },
    /// Another relay.
    Link(RelayId),
}

impl Member {
    pub(crate) const fn link(&self) -> Option<RelayId> {
        match &self.who {
            Who::Link(relay) => Some(*relay),
            Who::Client { .. } => None,
        }
    }
}

/// What one of our own requests is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Asked for somebody else: the answer is passed back as it is.
    Forward(Asker),
    /// The same, of a genesis that chooses the keys of its call: worth knowing once the hub has taken it.
    Begin(Asker, Box<CallKeys>),
    /// The same, of a join request.
    ForwardJoin(Asker),
    /// A client attaches to a room that has not been served here yet: the hub has the word.
    Attach(Asker, Box<Attach>),
    /// A client knew a newer record of a room: whether the hub says the same.
    Confirm,
    /// A capability is shown.
    Present(RoomId, SessionKey),
    /// A track is announced at the hub.
    Publish(RoomId, TrackId),
    /// An upstream subscription.
    Subscribe(RoomId, TrackId, Alias),
}

/// Decides everything but where the next byte goes.
pub(crate) struct Relay {
    pub(crate) id: RelayId,
    pub(crate) local: LocalRelay,
    pub(crate) limits: Limits,
    policy: Policy,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) members: BTreeMap<SessionKey, Member>,
    pub(crate) rooms: BTreeMap<RoomId, Room>,
    pub(crate) records: Records,
    pub(crate) links: Links,
    pub(crate) asks: BTreeMap<AskKey, Purpose>,
    next_ask: u64,
    /// Our aliases.
    pub(crate) aliases: BTreeMap<Alias, (RoomId, TrackId)>,
    /// Aliases of others, for tracks that come over a link.
    pub(crate) upstreams: BTreeMap<(SessionKey, Alias), (RoomId, TrackId)>,
    /// Upstream subscriptions and announcements to be tried again.
    pub(crate) retries: BTreeSet<(Duration, RoomId, TrackId)>,
    /// Rooms that an operator closed.
    pub(crate) closed: Closed,
    /// What became of the operator's orders.
    pub(crate) obeyed: VecDeque<(OrderKey, Result<Obeyed, OrderError>)>,
    /// Rooms between two generations, or whose call was ended, and when to look at them.
    pub(crate) turns: BTreeSet<(Duration, RoomId)>,
    /// Rooms whose first record is being written.
    pub(crate) founding: BTreeMap<RoomId, Founding>,
    writes: VecDeque<(StoreKey, Write)>,
    jobs: BTreeMap<StoreKey, Job>,
    next_store: u64,
    dials: VecDeque<Dial>,
    /// Rooms whose next entry has to wait, and until when.
    pub(crate) paces: BTreeMap<RoomId, Duration>,
    tick: Option<Duration>,
    stopping: bool,
}

impl Relay {
    pub(crate) fn new(
        config: Config,
        seed: [u8; 32],
        restored: Vec<Restored>,
        down: &mut VecDeque<ToShard>,
        stats: &mut Stats,
    ) -> Self {
        let id = config.local.descriptor.relay;
        let operator = config.local.descriptor.operator_name.as_str().to_owned();
        let mut relay = Self {
            id,
            local: config.local,
            policy: config.policy,
            rng: ChaCha20Rng::from_seed(seed),
            members: BTreeMap::new(),
            rooms: BTreeMap::new(),
            records: Records::new(config.limits.cached_records),
            limits: config.limits,
            links: Links::new(id, config.peers),
            asks: BTreeMap::new(),
            next_ask: 0,
            aliases: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            retries: BTreeSet::new(),
            closed: Closed::new(&operator, ""),
            obeyed: VecDeque::new(),
            turns: BTreeSet::new(),
            founding: BTreeMap::new(),
            writes: VecDeque::new(),
            jobs: BTreeMap::new(),
            next_store: 0,
            dials: VecDeque::new(),
            paces: BTreeMap::new(),
            tick: None,
            stopping: false,
        };
        let now = Now { mono: Duration::ZERO, unix_ms: 0 };
        let mut cx = Cx { now, down, stats };
        for room in restored {
            relay.restore(&mut cx, room);
        }
        relay
    }

    /// 30 random bits that mean nothing yet.
    pub(crate) fn draw_alias(&mut self) -> Alias {
        loop {
            let alias = Alias::new(self.rng.next_u32());
            if !self.aliases.contains_key(&alias) {
                return alias;
            }
        }
    }

    /// Hands a write to the store.
    pub(crate) fn store(&mut self, write: Write, job: Job) {
        let key = StoreKey(self.next_store);
        self.next_store += 1;
        self.jobs.insert(key, job);
        self.writes.push_back((key, write));
    }

    /// Asks over an open session.
    pub(crate) fn ask(&mut self, cx: &mut Cx<'_>, session: SessionKey, request: Box<Request>, purpose: Purpose) {
        let ask = AskKey(self.next_ask);
        self.next_ask += 1;
        let binds = match &purpose {
            Purpose::Subscribe(_, _, alias) => Some(*alias),
            Purpose::Confirm
            | Purpose::Forward(_)
            | Purpose::Begin(..)
            | Purpose::ForwardJoin(_)
            | Purpose::Attach(..)
            | Purpose::Present(..)
            | Purpose::Publish(..) => None,
        };
        self.asks.insert(ask, purpose);
        cx.down.push_back(ToShard::Ask { session, ask, request, binds });
    }

    /// Asks a relay, as soon as the link with it is up; what cannot be is refused at once.
    pub(crate) fn ask_relay(&mut self, cx: &mut Cx<'_>, relay: RelayId, request: Box<Request>, purpose: Purpose) {
        if let Some(session) = self.links.session(relay) {
            return self.ask(cx, session, request, purpose);
        }
        let refusal = if !self.links.is_known(relay) {
            let words = format!(
                "this relay has no link to relay {}: its operator may add that relay and its address to the peers in the configuration",
                relay.to_hex()
            );
            Refusal::new(Code::UNKNOWN_RELAY, &words)
        } else if self.links.waiting(relay) >= self.limits.waiting_for_link {
            cx.stats.hit(Limit::WaitingForLink);
            Refusal::new(Code::FULL, "too many requests wait for the other relay: try again later")
        } else {
            return self.links.wait(cx.now.mono, relay, request, purpose);
        };
        self.on_answer(cx, None, purpose, Answer::Refused(refusal));
    }

    /// What a shard tells.
    pub(crate) fn handle(&mut self, now: Now, event: ToRelay, down: &mut VecDeque<ToShard>, stats: &mut Stats) {
        let cx = &mut Cx { now, down, stats };
        match event {
            ToRelay::Opened { session, remote, dial } => self.on_opened(cx, session, remote, dial),
            ToRelay::Closed { session, dial, reason, unanswered } => {
                tracing::debug!(session = session.0, reason, "session over");
                self.on_closed(cx, session, dial, unanswered);
            }
            ToRelay::Request { session, reply, request } => self.on_request(cx, Asker { session, reply }, *request),
            ToRelay::Answered { session, ask, answer } => {
                if let Some(purpose) = self.asks.remove(&ask) {
                    self.on_answer(cx, Some(session), purpose, answer);
                }
            }
            ToRelay::Notice { session, notice } => self.on_notice(cx, session, notice),
            ToRelay::Heard { alias, payload } => self.on_heard(cx, alias, &payload),
        }
        self.gauge(cx);
    }

    pub(crate) fn gauge(&self, cx: &mut Cx<'_>) {
        cx.stats.rooms_closed = u64::try_from(self.closed.len()).unwrap_or(u64::MAX);
        cx.stats.rooms = u64::try_from(self.rooms.len()).unwrap_or(u64::MAX);
        cx.stats.rooms_hub = u64::try_from(self.rooms.values().filter(|room| room.hub().is_some()).count()).unwrap_or(u64::MAX);
        let attached = self.rooms.values().map(|room| room.attached.len()).sum::<usize>();
        cx.stats.attached = u64::try_from(attached).unwrap_or(u64::MAX);
    }

    fn on_opened(&mut self, cx: &mut Cx<'_>, session: SessionKey, remote: Remote, dial: Option<DialKey>) {
        let who = match remote {
            Remote::Client { nonce } => Who::Client { nonce, rooms: BTreeSet::new(), published: 0, joins: 0 },
            Remote::Link { descriptor } | Remote::Relay { descriptor, .. } => {
                if !self.policy.allows(descriptor.operator) {
                    return cx.close(session, Code::POLICY, "this relay's policy does not allow your operator: ask its operator");
                }
                let relay = descriptor.relay;
                if self.links.session(relay).is_none() && self.links.len() >= self.limits.links {
                    cx.stats.hit(Limit::Links);
                    return cx.close(session, Code::FULL, "this relay has all the links it can serve");
                }
                match self.links.on_opened(cx.now.mono, relay, session, dial.is_some()) {
                    Opened::First => {}
                    Opened::Instead(old) => cx.close(old, Code::DUPLICATE, "another link between these relays goes on"),
                    Opened::Duplicate => {
                        return cx.close(session, Code::DUPLICATE, "another link between these relays goes on");
                    }
                }
                Who::Link(relay)
            }
        };
        let link = if let Who::Link(relay) = &who { Some(*relay) } else { None };
        let member = Member {
            who,
            control: Bucket::new(),
            subscribing: Bucket::new(),
            commits: Bucket::new(),
            reserved: Bucket::new(),
            stamps: Bucket::new(),
            subscriptions: BTreeSet::new(),
        };
        self.members.insert(session, member);
        if let Some(relay) = link {
            tracing::info!(relay = relay.short(), "link up");
            let slot = cx.stats.link_slot(relay);
            if let Some(link) = cx.stats.links.get_mut(slot) {
                link.up = true;
            }
            self.on_link_up(cx, relay, session);
            for waiting in self.links.take_waiting(relay) {
                self.ask(cx, session, waiting.request, waiting.purpose);
            }
        }
    }

    fn on_closed(&mut self, cx: &mut Cx<'_>, session: SessionKey, dial: Option<DialKey>, unanswered: Vec<AskKey>) {
        let member = self.members.remove(&session);
        match member.map(|member| member.who) {
            Some(Who::Link(relay)) => {
                if self.links.on_closed(cx.now.mono, relay, session, &mut self.rng) {
                    tracing::info!(relay = relay.short(), "link down");
                    let slot = cx.stats.link_slot(relay);
                    if let Some(link) = cx.stats.links.get_mut(slot) {
                        link.up = false;
                    }
                }
                self.on_link_down(cx, relay, session);
            }
            Some(Who::Client { rooms, .. }) => {
                for room in rooms {
                    self.detach(cx, room, session, false);
                }
                self.forget_asker(session);
            }
            None => {
                if let Some(relay) = dial.and_then(|dial| self.links.on_failed(cx.now.mono, dial, &mut self.rng)) {
                    self.fail_waiting(cx, relay);
                }
            }
        }
        for ask in unanswered {
            if let Some(purpose) = self.asks.remove(&ask) {
                let refusal = Refusal::new(Code::UNREACHABLE, "the other relay is not there any more: try again");
                self.on_answer(cx, Some(session), purpose, Answer::Refused(refusal));
            }
        }
    }

    /// An attempt to reach a relay came to nothing.
    pub(crate) fn on_dial_failed(
        &mut self,
        now: Now,
        dial: DialKey,
        why: &DialError,
        down: &mut VecDeque<ToShard>,
        stats: &mut Stats,
    ) {
        let cx = &mut Cx { now, down, stats };
        cx.stats.dials_failed += 1;
        if let Some(relay) = self.links.on_failed(now.mono, dial, &mut self.rng) {
            tracing::debug!(relay = relay.short(), %why, "dial failed");
            self.fail_waiting(cx, relay);
        }
    }

    fn fail_waiting(&mut self, cx: &mut Cx<'_>, relay: RelayId) {
        for waiting in self.links.take_waiting(relay) {
            let refusal = Refusal::new(Code::UNREACHABLE, UNREACHABLE);
            self.on_answer(cx, None, waiting.purpose, Answer::Refused(refusal));
        }
    }

    fn on_request(&mut self, cx: &mut Cx<'_>, asker: Asker, request: Request) {
        let Some(member) = self.members.get_mut(&asker.session) else { return };
        let link = member.link();
        let now = cx.now.mono;
        let within = match (link, &request) {
            (Some(_), _) => member.control.take(now, self.limits.link_control, 1),
            (None, Request::Subscribe(_)) => member.subscribing.take(now, self.limits.subscribing, 1),
            (None, _) => member.control.take(now, self.limits.control, 1),
        };
        if !within {
            return cx.refuse_limit(asker, Limit::Control, Code::RATE, "too many requests in a short time: wait a second");
        }
        if self.refuse_closed(cx, asker, &request) {
            return;
        }
        match (request, link) {
            (Request::Resolve(resolve), _) => self.on_resolve(cx, asker, resolve),
            (Request::PutRecord(put), _) => self.on_put_record(cx, asker, put),
            (Request::Append(append), _) => self.on_append(cx, asker, append),
            (Request::Join(join), _) => self.on_join(cx, asker, join),
            (Request::Subscribe(subscribe), _) => self.on_subscribe(cx, asker, subscribe),
            (Request::Publish(publish), None) => self.on_publish(cx, asker, &publish),
            (Request::Publish(publish), Some(relay)) => self.on_listing(cx, asker, relay, &publish),
            (Request::Attach(attach), None) => self.on_attach(cx, asker, attach),
            (Request::Renew(capability), None) => self.on_renew(cx, asker, capability),
            (Request::Present(present), Some(relay)) => self.on_present(cx, asker, relay, &present),
            (Request::Present(_), None) => {
                cx.close(asker.session, Code::VIOLATION, "only relays show capabilities: attach instead");
            }
            (Request::Decline(decline), _) => self.on_decline(cx, asker, decline),
            (Request::Stamp(stamp), _) => self.on_stamp(cx, asker, stamp),
            (Request::Attach(_) | Request::Renew(_), Some(_)) => {
                cx.close(asker.session, Code::VIOLATION, "only clients attach: show a capability instead");
            }
        }
    }

    fn on_notice(&mut self, cx: &mut Cx<'_>, session: SessionKey, notice: Notice) {
        let Some(member) = self.members.get_mut(&session) else { return };
        let link = member.link();
        let now = cx.now.mono;
        let within = match (link, &notice) {
            (Some(_), _) => member.control.take(now, self.limits.link_control, 1),
            (None, Notice::Unsubscribe(_)) => member.subscribing.take(now, self.limits.subscribing, 1),
            (None, _) => member.control.take(now, self.limits.control, 1),
        };
        // What ends something is heard in any case: it frees what it names, and finds nothing the second time.
        if !within {
            cx.stats.hit(Limit::Control);
        }
        match (notice, link) {
            (Notice::KeyFrame(alias), _) => {
                if within {
                    self.on_key_frame(cx, session, alias);
                }
            }
            (Notice::Unsubscribe(alias), _) => self.on_unsubscribe(cx, session, alias),
            (Notice::Ended(alias), Some(_)) => self.on_ended(cx, session, alias),
            (Notice::Unpublish(unpublish), None) => self.on_unpublish(cx, session, &unpublish),
            (Notice::Unpublish(unpublish), Some(relay)) => self.on_unlisted(cx, relay, &unpublish),
            (Notice::Detach(detach), None) => {
                if self.rooms.get(&detach.room).is_some_and(|room| room.instance == detach.instance) {
                    self.detach(cx, detach.room, session, true);
                }
            }
            (Notice::Detach(detach), Some(_)) => self.on_link_detach(cx, session, &detach),
            (Notice::Ended(_), None) => {
                cx.close(session, Code::VIOLATION, "clients end their tracks by unpublishing them");
            }
            (Notice::Record(record), Some(_)) => self.on_record_notice(cx, session, &record),
            (Notice::Record(_), None) => {
                cx.close(session, Code::VIOLATION, "clients hand records over in requests: put it instead");
            }
            (Notice::Hello(_) | Notice::Greeting(_), _) => {
                cx.close(session, Code::VIOLATION, "the opening comes once");
            }
        }
    }

    /// An answer to one of our own requests, over that session; without one it was never sent.
    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, session: Option<SessionKey>, purpose: Purpose, answer: Answer) {
        match purpose {
            Purpose::Forward(asker) => {
                self.learn(cx, session, &answer);
                cx.answer(asker, answer);
            }
            Purpose::Begin(asker, call) => {
                if matches!(answer, Answer::Appended(_)) {
                    self.learn_call(*call);
                }
                cx.answer(asker, answer);
            }
            Purpose::ForwardJoin(asker) => {
                self.release_join(asker.session);
                cx.answer(asker, answer);
            }
            Purpose::Confirm => self.learn(cx, session, &answer),
            Purpose::Attach(asker, attach) => self.on_hub_word(cx, session, asker, *attach, answer),
            Purpose::Present(room, shown) => self.on_presented(cx, room, shown, &answer),
            Purpose::Publish(room, track) => self.on_announced(cx, session, (room, track), &answer),
            Purpose::Subscribe(room, track, alias) => self.on_upstream(cx, session, (room, track), alias, &answer),
        }
    }

    /// What the operator decided before.
    pub(crate) fn remember(&mut self, contact: &str, closures: Vec<Closure>, down: &mut VecDeque<ToShard>, stats: &mut Stats) {
        let now = Now { mono: Duration::ZERO, unix_ms: 0 };
        let cx = &mut Cx { now, down, stats };
        self.closed = Closed::new(self.local.descriptor.operator_name.as_str(), contact);
        self.restore_closures(cx, closures);
    }

    /// The operator orders something.
    pub(crate) fn order(&mut self, now: Now, key: OrderKey, order: Order, down: &mut VecDeque<ToShard>, stats: &mut Stats) {
        let cx = &mut Cx { now, down, stats };
        self.on_order(cx, key, order);
        self.gauge(cx);
    }

    /// What became of an order.
    pub(crate) fn next_obeyed(&mut self) -> Option<(OrderKey, Result<Obeyed, OrderError>)> {
        self.obeyed.pop_front()
    }

    /// The store confirmed a write, or could not do it.
    pub(crate) fn on_stored(
        &mut self,
        now: Now,
        key: StoreKey,
        result: Result<(), StoreFailed>,
        down: &mut VecDeque<ToShard>,
        stats: &mut Stats,
    ) {
        let cx = &mut Cx { now, down, stats };
        if result.is_err() {
            cx.stats.store_failures += 1;
        }
        if let Some(job) = self.jobs.remove(&key) {
            self.on_job(cx, job, result);
        }
        self.gauge(cx);
    }

    /// Acts on deadlines that have passed.
    pub(crate) fn on_time(&mut self, now: Now, down: &mut VecDeque<ToShard>, stats: &mut Stats) {
        let cx = &mut Cx { now, down, stats };
        if self.stopping {
            return;
        }
        while let Some(dial) = self.links.next_dial(now.mono) {
            cx.stats.dials += 1;
            self.dials.push_back(dial);
        }
        for waiting in self.links.take_overdue(now.mono) {
            let refusal = Refusal::new(Code::UNREACHABLE, UNREACHABLE);
            self.on_answer(cx, None, waiting.purpose, Answer::Refused(refusal));
        }
        while let Some(&(at, room, track)) = self.retries.first() {
            if at > now.mono {
                break;
            }
            self.retries.pop_first();
            self.try_again(cx, room, track);
        }
        while let Some(&(at, room)) = self.turns.first() {
            if at > now.mono {
                break;
            }
            self.turns.pop_first();
            self.on_turn(cx, room);
        }
        let due: Vec<_> = self.paces.iter().filter(|(_, at)| **at <= now.mono).map(|(room, _)| *room).collect();
        for room in due {
            self.paces.remove(&room);
            self.write_next(cx, room);
        }
        if self.rooms.is_empty() {
            self.tick = None;
        } else if self.tick.is_none_or(|at| at <= now.mono) {
            self.tick = Some(now.mono + ROOM_TICK);
            for room in self.rooms.keys().copied().collect::<Vec<_>>() {
                self.sweep(cx, room);
            }
            self.gauge(cx);
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        if self.stopping {
            return None;
        }
        let tick = if self.rooms.is_empty() { None } else { Some(self.tick.unwrap_or_default()) };
        let turn = self.turns.first().map(|(at, _)| *at);
        let pace = self.paces.values().min().copied();
        earliest([tick, turn, pace, self.links.next_timeout(), self.retries.first().map(|(at, ..)| *at)])
    }

    pub(crate) fn next_dial(&mut self) -> Option<Dial> {
        self.dials.pop_front()
    }

    pub(crate) fn next_write(&mut self) -> Option<(StoreKey, Write)> {
        self.writes.pop_front()
    }

    /// Dials nobody any more.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        self.dials.clear();
    }
}

const UNREACHABLE: &str = "the relay that orders this room does not answer: try again, or ask its operator whether it runs";

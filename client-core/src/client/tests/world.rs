//! Participants and a hub on a virtual clock: bytes take five milliseconds, nothing is lost unless a session is cut.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{
    io::{Closed, Machine, Net, Now, Outlet, Output, SessionKey, Side, StreamKey, StreamKind, Wrote},
    wire::code::Code,
};

use super::hub::{Hub, NAME};
use crate::{
    Client,
    api::{
        Command, Config, CreateRoom, Entry, Event, InFrame, Input, LocalTrack, Media, Mode, OutFrame, Participant, ParticipantId,
        Profile, RemoteTrack,
    },
    link::Link,
};

const DELAY: Duration = Duration::from_millis(5);

/// 2026, for what strangers compare.
const EPOCH_MS: u64 = 1_790_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Whom {
    Hub,
    Client(usize),
}

/// What is on its way.
#[derive(Default)]
struct Wires {
    queue: BTreeMap<(Duration, u64), (Whom, Net)>,
    next: u64,
    next_stream: u64,
    /// Sessions that still carry anything, and whose they are.
    open: BTreeMap<SessionKey, usize>,
    bidi: BTreeSet<StreamKey>,
    now: Duration,
}

impl Wires {
    fn send(&mut self, to: Whom, net: Net) {
        let at = self.now + DELAY;
        self.queue.insert((at, self.next), (to, net));
        self.next += 1;
    }
}

/// One end of all its sessions.
#[derive(Clone)]
struct End {
    me: Whom,
    wires: Rc<RefCell<Wires>>,
}

impl End {
    fn other(&self, session: SessionKey) -> Option<Whom> {
        let client = *self.wires.borrow().open.get(&session)?;
        Some(match self.me {
            Whom::Hub => Whom::Client(client),
            Whom::Client(_) => Whom::Hub,
        })
    }

    fn kind(&self, stream: StreamKey) -> StreamKind {
        if stream == StreamKey::CONTROL {
            StreamKind::Control
        } else if self.wires.borrow().bidi.contains(&stream) {
            StreamKind::Bidi
        } else {
            StreamKind::Uni
        }
    }

    fn open(&self, session: SessionKey, bidi: bool) -> Option<StreamKey> {
        self.other(session)?;
        let mut wires = self.wires.borrow_mut();
        wires.next_stream += 1;
        let stream = StreamKey(wires.next_stream);
        if bidi {
            wires.bidi.insert(stream);
        }
        Some(stream)
    }
}

impl Outlet for End {
    fn open_uni(&mut self, session: SessionKey, _: u8) -> Option<StreamKey> {
        self.open(session, false)
    }

    fn open_bidi(&mut self, session: SessionKey) -> Option<StreamKey> {
        self.open(session, true)
    }

    fn write(&mut self, session: SessionKey, stream: StreamKey, chunks: &mut [Bytes]) -> Wrote {
        let Some(to) = self.other(session) else { return Wrote::Gone };
        let kind = self.kind(stream);
        let mut taken = 0;
        for chunk in chunks {
            let bytes = std::mem::take(chunk);
            taken += bytes.len();
            self.wires.borrow_mut().send(to, Net::Data { session, stream, kind, bytes, fin: false });
        }
        Wrote::Accepted(taken)
    }

    fn finish(&mut self, session: SessionKey, stream: StreamKey) {
        if let Some(to) = self.other(session) {
            let kind = self.kind(stream);
            self.wires.borrow_mut().send(to, Net::Data { session, stream, kind, bytes: Bytes::new(), fin: true });
        }
    }

    fn reset(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        if let Some(to) = self.other(session) {
            self.wires.borrow_mut().send(to, Net::Reset { session, stream, code });
        }
    }

    fn stop(&mut self, session: SessionKey, stream: StreamKey, code: Code) {
        if let Some(to) = self.other(session) {
            self.wires.borrow_mut().send(to, Net::Stopped { session, stream, code });
        }
    }

    fn datagram(&mut self, session: SessionKey, bytes: Bytes) -> Wrote {
        let Some(to) = self.other(session) else { return Wrote::Gone };
        let len = bytes.len();
        self.wires.borrow_mut().send(to, Net::Datagram { session, bytes });
        Wrote::Accepted(len)
    }

    fn close(&mut self, session: SessionKey, code: Code, words: &str) {
        if let Some(to) = self.other(session) {
            let words = words.to_owned();
            let me = self.me;
            let mut wires = self.wires.borrow_mut();
            wires.send(to, Net::Closed { session, why: Closed::ByRemote(code, words) });
            wires.send(me, Net::Closed { session, why: Closed::ByUs });
            wires.open.remove(&session);
        }
    }
}

struct Seat {
    client: Client,
    end: End,
    events: Vec<(Duration, Event)>,
    wake: Option<Duration>,
    alive: bool,
}

/// See the module.
pub(super) struct World {
    pub(super) hub: Hub,
    hub_end: End,
    seats: Vec<Seat>,
    wires: Rc<RefCell<Wires>>,
    next_session: u64,
    /// Dials come to nothing.
    pub(super) dark: bool,
    /// Sessions prove the hub's name and not its key, as in a browser without datagrams.
    pub(super) by_name: bool,
}

impl World {
    pub(super) fn new() -> Self {
        let wires = Rc::new(RefCell::new(Wires::default()));
        let hub_end = End { me: Whom::Hub, wires: Rc::clone(&wires) };
        Self { hub: Hub::new(), hub_end, seats: vec![], wires, next_session: 0, dark: false, by_name: false }
    }

    pub(super) fn now(&self) -> Now {
        let mono = self.wires.borrow().now;
        Now { mono, unix_ms: EPOCH_MS + u64::try_from(mono.as_millis()).unwrap() }
    }

    pub(super) fn config(&self, name: &str, seed: u8) -> Config {
        Config {
            seed: [seed; 32],
            profile: Profile { name: name.to_owned() },
            known: Vec::new(),
            entry: Entry { relay: Some(self.hub.id()), addresses: vec![NAME.to_owned()] },
        }
    }

    fn seat(&mut self, client: Client) -> usize {
        let me = self.seats.len();
        let end = End { me: Whom::Client(me), wires: Rc::clone(&self.wires) };
        self.seats.push(Seat { client, end, events: vec![], wake: None, alive: true });
        self.poll(me);
        me
    }

    pub(super) fn create(&mut self, name: &str) -> usize {
        self.create_in(name, Mode::Open, 50)
    }

    pub(super) fn create_in(&mut self, name: &str, mode: Mode, max_members: u16) -> usize {
        let room = CreateRoom { title: "A title".to_owned(), max_members, mode };
        let config = self.config(name, 1);
        self.seat(Client::create(config, room))
    }

    pub(super) fn join(&mut self, name: &str, link: &Link) -> usize {
        let mut config = self.config(name, 0);
        let number = u16::try_from(self.seats.len() + 1).unwrap().to_be_bytes();
        // As before for the first two hundred: seeds are a byte, over and over.
        config.seed = if number[0] == 0 { [number[1]; 32] } else { std::array::from_fn(|at| number[at % 2]) };
        self.join_as(config, link)
    }

    pub(super) fn join_as(&mut self, config: Config, link: &Link) -> usize {
        self.seat(Client::join(config, link.clone()))
    }

    pub(super) fn client(&self, who: usize) -> &Client {
        &self.seats[who].client
    }

    pub(super) fn command(&mut self, who: usize, command: Command) {
        let now = self.now();
        let seat = &mut self.seats[who];
        seat.client.handle(now, Input::Command(command), &mut seat.end);
        self.poll(who);
    }

    fn poll(&mut self, who: usize) {
        loop {
            let now = self.now();
            let seat = &mut self.seats[who];
            match seat.client.poll(now, &mut seat.end) {
                Output::Do(event) => seat.events.push((now.mono, event)),
                Output::Dial(dial) => {
                    let mut wires = self.wires.borrow_mut();
                    if self.dark {
                        let why = conclave_federation::io::DialError::Unreachable;
                        wires.send(Whom::Client(who), Net::DialFailed { dial: dial.key, why });
                        continue;
                    }
                    self.next_session += 1;
                    let session = SessionKey(self.next_session);
                    let [.., low] = self.next_session.to_be_bytes();
                    let exporter = [low; 32];
                    wires.open.insert(session, who);
                    wires.send(Whom::Hub, Net::Connected { session, side: Side::Accepted, exporter });
                    let (key, id) = (dial.key, self.hub.id());
                    let side = if self.by_name { Side::DialledByName(key, id) } else { Side::Dialled(key, id) };
                    wires.send(Whom::Client(who), Net::Connected { session, side, exporter });
                }
                Output::Wait(at) => {
                    self.seats[who].wake = at;
                    return;
                }
            }
        }
    }

    /// Everything up to `for_`, in order.
    pub(super) fn run(&mut self, for_: Duration) {
        let end = self.now().mono + for_;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, or panics after a minute.
    pub(super) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now().mono + Duration::from_secs(60);
        assert!(self.run_until(end, done), "never happened: {what}\n{}", self.story());
    }

    fn run_until(&mut self, end: Duration, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            let next_net = self.wires.borrow().queue.keys().next().map(|(at, _)| *at);
            let wakes = self.seats.iter().enumerate().filter(|(_, seat)| seat.alive);
            let next_wake = wakes.filter_map(|(who, seat)| Some((seat.wake?, who))).min();
            let now = self.now().mono;
            match (next_net, next_wake) {
                (Some(at), wake) if at <= end && wake.is_none_or(|(wake, _)| at <= wake) => {
                    self.wires.borrow_mut().now = at.max(now);
                    self.deliver();
                }
                (_, Some((at, who))) if at <= end => {
                    self.wires.borrow_mut().now = at.max(now);
                    self.poll(who);
                    let seat = &self.seats[who];
                    let still = seat.wake.is_some_and(|wake| wake <= self.now().mono);
                    assert!(!still, "client {who} asks to be woken in the past and does nothing then\n{}", self.story());
                }
                _ => {
                    self.wires.borrow_mut().now = end;
                    return false;
                }
            }
        }
    }

    fn deliver(&mut self) {
        let Some((_, (to, net))) = self.wires.borrow_mut().queue.pop_first() else { return };
        let now = self.now();
        match to {
            Whom::Hub => self.hub.handle(now, net, &mut self.hub_end),
            Whom::Client(who) => {
                let seat = &mut self.seats[who];
                if seat.alive {
                    seat.client.handle(now, Input::Net(net), &mut seat.end);
                    self.poll(who);
                }
            }
        }
    }

    /// The sessions of `who` are gone, without a word to anybody.
    pub(super) fn cut(&mut self, who: usize) {
        let mut wires = self.wires.borrow_mut();
        let lost: Vec<_> = wires.open.iter().filter(|(_, owner)| **owner == who).map(|(session, _)| *session).collect();
        for session in lost {
            wires.open.remove(&session);
            let of_session = |net: &Net| match net {
                Net::Connected { session: of, .. }
                | Net::Datagram { session: of, .. }
                | Net::Data { session: of, .. }
                | Net::Reset { session: of, .. }
                | Net::Stopped { session: of, .. }
                | Net::Writable { session: of }
                | Net::Closed { session: of, .. } => *of == session,
                Net::DialFailed { .. } => false,
            };
            let mut dialled = None;
            for (to, net) in wires.queue.values() {
                if let (Whom::Client(_), Net::Connected { side: Side::Dialled(dial, _) | Side::DialledByName(dial, _), .. }) =
                    (to, net)
                {
                    dialled = dialled.or(of_session(net).then_some(*dial));
                }
            }
            wires.queue.retain(|_, (_, net)| !of_session(net));
            if let Some(dial) = dialled {
                // It never came up.
                let why = conclave_federation::io::DialError::Unreachable;
                wires.send(Whom::Client(who), Net::DialFailed { dial, why });
                continue;
            }
            wires.send(Whom::Hub, Net::Closed { session, why: Closed::Lost });
            wires.send(Whom::Client(who), Net::Closed { session, why: Closed::Lost });
        }
    }

    /// As `kill -9` does it.
    pub(super) fn kill(&mut self, who: usize) {
        self.cut(who);
        self.seats[who].alive = false;
    }

    /// An insider and the relay work together: a frame of the victim's microphone under this counter, for all but the insider.
    pub(super) fn forge(&mut self, insider: usize, victim: ParticipantId, counter: u64, data: &'static [u8]) {
        let name = self.hub.sound_track();
        let group = 1_000_000 + counter;
        let payload = self.seats[insider].client.forge(victim.leaf(), counter, name, group, data);
        let sessions = self.wires.borrow().open.clone();
        let (except, _) = sessions.into_iter().find(|(_, owner)| *owner == insider).unwrap();
        self.hub.send_forged(except, name, group, &payload, &mut self.hub_end);
    }

    /// The hub keeps from `who` what it should show them, or does so no more.
    pub(super) fn withhold(&mut self, who: usize, withheld: bool) {
        let sessions: Vec<_> =
            self.wires.borrow().open.iter().filter(|(_, owner)| **owner == who).map(|(session, _)| *session).collect();
        self.hub.mischief.withheld.clear();
        if withheld {
            self.hub.mischief.withheld.extend(sessions);
        }
    }

    /// The hub signs a second history and shows it to everybody.
    pub(super) fn tell_another_history(&mut self) {
        self.hub.tell_another_history(&mut self.hub_end);
    }

    pub(super) fn junk(&mut self, payload: &[u8]) -> usize {
        self.hub.send_junk(&Bytes::copy_from_slice(payload), &mut self.hub_end)
    }

    pub(super) fn events(&self, who: usize) -> impl Iterator<Item = &Event> {
        self.seats[who].events.iter().map(|(_, event)| event)
    }

    pub(super) fn timed_events(&self, who: usize) -> &[(Duration, Event)] {
        &self.seats[who].events
    }

    /// All events of all participants, for a test that fails.
    pub(super) fn story(&self) -> String {
        let mut story = String::new();
        for (who, seat) in self.seats.iter().enumerate() {
            for (at, event) in &seat.events {
                story += &format!("{who} {at:?} {event:?}\n");
            }
        }
        story
    }
}

impl World {
    /// A room in this mode, its founder alone in it.
    pub(super) fn in_mode(mode: Mode, max_members: u16) -> Self {
        let mut world = Self::new();
        world.create_in("Participant 0", mode, max_members);
        world.until("the founder is in", |world| room_of(world, 0).is_some());
        world
    }

    /// A room with so many in it, all told of each other.
    pub(super) fn with_room(people: usize) -> Self {
        let mut world = Self::new();
        world.create("Participant 0");
        world.until("the founder is in", |world| room_of(world, 0).is_some());
        let link = link(&world, 0);
        for who in 1..people {
            world.join(&format!("Participant {who}"), &link);
            world.until("the next one is in", |world| (0..=who).all(|one| names(world, one).len() == who + 1));
        }
        world.run(Duration::from_millis(300));
        world
    }

    pub(super) fn publish(&mut self, who: usize, track: LocalTrack, media: Media) {
        self.command(who, Command::Publish { track, media });
    }

    pub(super) fn write(&mut self, who: usize, track: LocalTrack, len: usize, key: bool) {
        let captured_us = self.now().unix_ms * 1_000;
        let frame = OutFrame { data: Bytes::from(vec![0x5a; len]), captured_us, key, layer: 0, level: 0 };
        self.command(who, Command::Write { track, frame });
    }

    /// Frames that were told so far are not looked at any more.
    pub(super) fn forget_frames(&mut self) {
        for seat in &mut self.seats {
            seat.events.retain(|(_, event)| !matches!(event, Event::Frame(_)));
        }
    }
}

/// What [`Event::Joined`] said, the last time.
pub(super) fn room_of(world: &World, who: usize) -> Option<(ParticipantId, String, Vec<Participant>, Vec<RemoteTrack>)> {
    let mut last = None;
    for event in world.events(who) {
        if let Event::Joined { me, title, roster, tracks, .. } = event {
            last = Some((*me, title.clone(), roster.clone(), tracks.clone()));
        }
    }
    last
}

/// Everybody's name, as the events tell it.
pub(super) fn names(world: &World, who: usize) -> Vec<String> {
    let mut roster: BTreeMap<ParticipantId, String> = BTreeMap::new();
    for event in world.events(who) {
        match event {
            Event::Joined { roster: whole, .. } => {
                roster = whole.iter().map(|one| (one.id, one.name.clone())).collect();
            }
            Event::ParticipantJoined(one) => {
                assert!(roster.insert(one.id, one.name.clone()).is_none(), "somebody came twice");
            }
            Event::ParticipantLeft { id, .. } => {
                assert!(roster.remove(id).is_some(), "somebody left who was not there");
            }
            _ => {}
        }
    }
    roster.into_values().collect()
}

/// Epoch and safety code, as the events tell them.
pub(super) fn code(world: &World, who: usize) -> (u64, String) {
    let mut last = (0, String::new());
    for event in world.events(who) {
        if let Event::Joined { epoch, safety_code, .. } | Event::Epoch { epoch, safety_code, .. } = event {
            last = (*epoch, safety_code.clone());
        }
    }
    last
}

pub(super) fn link(world: &World, who: usize) -> Link {
    world.client(who).link().cloned().expect("the link is known")
}

pub(super) fn frames(world: &World, who: usize, from: ParticipantId) -> Vec<InFrame> {
    let of = |event: &Event| match event {
        Event::Frame(frame) if frame.participant == from => Some(frame.clone()),
        _ => None,
    };
    world.events(who).filter_map(of).collect()
}

pub(super) fn lost(world: &World, who: usize) -> u64 {
    let of = |event: &Event| match event {
        Event::FramesLost { count, .. } => *count,
        _ => 0,
    };
    world.events(who).map(of).sum()
}

pub(super) fn chats(world: &World, who: usize) -> Vec<(ParticipantId, [u8; 16], String)> {
    let of = |event: &Event| match event {
        Event::Chat { from, id, text, .. } => Some((*from, *id, text.clone())),
        _ => None,
    };
    world.events(who).filter_map(of).collect()
}

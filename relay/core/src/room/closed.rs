//! Rooms that an operator closed: refused here until they are reopened, and the call in them is over.
//!
//! Nothing of it depends on what is said in a room, which nobody here can know. Clients are refused with the operator's words;
//! so are the relays that follow the room, and they pass the words on.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::{Instance, RoomId},
    limits::MAX_WORDS,
    wire::{
        code::Code,
        message::{Answer, EntryKind, Refusal, Request},
    },
};

use super::{Job, Room, Side};
use crate::{
    limits::{CLOSED_ELSEWHERE, MAX_CLOSED_ELSEWHERE},
    node::{StoreFailed, Write},
    order::{Closure, ListedRoom, MAX_CLOSED_ROOMS, Obeyed, Order, OrderError, OrderKey, Role, RoomName, is_reason},
    relay::{Asker, Cx, Relay},
};

/// All closures that matter here.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// By this relay's operator.
    here: BTreeMap<RoomId, Closure>,
    /// By a hub's operator, in the hub's words, until we ask it again.
    elsewhere: BTreeMap<RoomId, (Duration, String)>,
    /// How a closure is appealed.
    appeal: String,
}

impl Closed {
    /// `contact` is said to people whose room is closed; empty: they are told to ask the operator.
    pub(crate) fn new(operator: &str, contact: &str) -> Self {
        let appeal = if contact.is_empty() { format!("ask them: {operator}") } else { format!("write to {contact}") };
        Self { appeal, ..Self::default() }
    }

    pub(crate) fn is_here(&self, room: RoomId) -> bool {
        self.here.contains_key(&room)
    }

    pub(crate) fn len(&self) -> usize {
        self.here.len()
    }

    /// What people are told of a closed room.
    fn words(&self, room: RoomId, now: Duration) -> Option<String> {
        if let Some(closure) = self.here.get(&room) {
            let words = format!("the operator closed this room: {}. If that is a mistake, {}", closure.reason, self.appeal);
            debug_assert!(words.len() <= MAX_WORDS);
            return Some(words);
        }
        self.elsewhere.get(&room).filter(|(until, _)| *until > now).map(|(_, words)| words.clone())
    }

    /// A hub answered one of our clients.
    pub(crate) fn learn(&mut self, room: RoomId, now: Duration, answer: &Answer) {
        if let Answer::Refused(refusal) = answer
            && refusal.code == Code::CLOSED
            && !self.is_here(room)
        {
            self.heard(room, now, refusal.words.as_str());
        }
    }

    /// A hub refused us with this.
    fn heard(&mut self, room: RoomId, now: Duration, words: &str) {
        self.elsewhere.retain(|_, (until, _)| *until > now);
        if self.elsewhere.len() < MAX_CLOSED_ELSEWHERE || self.elsewhere.contains_key(&room) {
            self.elsewhere.insert(room, (now + CLOSED_ELSEWHERE, words.to_owned()));
        }
    }
}

/// The room that a request is about; what names none is refused elsewhere.
const fn room_of(request: &Request) -> RoomId {
    match request {
        Request::Resolve(resolve) => resolve.room,
        Request::PutRecord(put) => put.record.room,
        Request::Attach(attach) => attach.room,
        Request::Renew(capability) => capability.room,
        Request::Present(present) => present.capability.room,
        Request::Append(append) => append.header.room,
        Request::Join(join) => join.room,
        Request::Subscribe(subscribe) => subscribe.room,
        Request::Publish(publish) => publish.room,
        Request::Decline(decline) => decline.room,
        Request::Stamp(stamp) => stamp.room,
    }
}

impl Relay {
    /// Refuses whatever is asked of a closed room. `false`: it is not closed.
    pub(crate) fn refuse_closed(&self, cx: &mut Cx<'_>, asker: Asker, request: &Request) -> bool {
        let Some(words) = self.closed.words(room_of(request), cx.now.mono) else { return false };
        cx.refuse(asker, Code::CLOSED, &words);
        true
    }

    /// The same of a room whose answer was under way when it was closed.
    pub(crate) fn refusal_of_closed(&self, cx: &Cx<'_>, room: RoomId) -> Option<Refusal> {
        self.closed.words(room, cx.now.mono).map(|words| Refusal::new(Code::CLOSED, &words))
    }

    /// A hub told us that the room is closed there: our clients hear it in its words.
    pub(crate) fn on_closed_at_hub(&mut self, cx: &mut Cx<'_>, id: RoomId, words: &str) {
        self.closed.heard(id, cx.now.mono, words);
        self.leave_room(cx, id);
    }

    /// The operator orders something. Says at once what can be said; a change is said when it is durable.
    pub(crate) fn on_order(&mut self, cx: &mut Cx<'_>, key: OrderKey, order: Order) {
        let outcome = match order {
            Order::List => Ok(Some(Obeyed::Listed(self.list()))),
            Order::Close { room, reason } => self.order_close(cx, key, &room, reason).map(|()| None),
            Order::Reopen { room } => self.order_reopen(key, &room).map(|()| None),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(obeyed)) => self.obeyed.push_back((key, Ok(obeyed))),
            Err(error) => self.obeyed.push_back((key, Err(error))),
        }
    }

    fn meant_room(&self, name: &RoomName) -> Result<RoomId, OrderError> {
        name.find(self.rooms.keys().chain(self.closed.here.keys()).copied())
    }

    fn order_close(&mut self, cx: &Cx<'_>, key: OrderKey, name: &RoomName, reason: String) -> Result<(), OrderError> {
        if !is_reason(&reason) {
            return Err(OrderError::Reason);
        }
        let room = self.meant_room(name)?;
        if self.closed.here.len() >= MAX_CLOSED_ROOMS && !self.closed.is_here(room) {
            return Err(OrderError::Full);
        }
        let closure = Closure { room, reason, since: cx.now.unix_ms };
        self.store(Write::Close(closure.clone()), Job::Closing(key, Box::new(closure)));
        Ok(())
    }

    fn order_reopen(&mut self, key: OrderKey, name: &RoomName) -> Result<(), OrderError> {
        let room = self.meant_room(name)?;
        if !self.closed.is_here(room) {
            return Err(OrderError::NotClosed);
        }
        self.store(Write::Reopen(room), Job::Reopening(key, room));
        Ok(())
    }

    /// A closure is durable, or could not be kept.
    pub(crate) fn on_closing(&mut self, cx: &mut Cx<'_>, key: OrderKey, closure: Closure, result: Result<(), StoreFailed>) {
        if let Err(failed) = result {
            return self.obeyed.push_back((key, Err(OrderError::Store(failed.words))));
        }
        let room = closure.room;
        tracing::info!(room = room.short(), reason = closure.reason, "room closed by the operator");
        let attached = self.rooms.get(&room).map_or(0, |room| room.attached.len());
        if self.closed.here.insert(room, closure).is_none() {
            cx.stats.rooms_closed_total += 1;
        }
        self.close_call(cx, room);
        self.obeyed.push_back((key, Ok(Obeyed::Closed { room, attached })));
    }

    /// A room is open again, or that could not be kept.
    pub(crate) fn on_reopening(&mut self, cx: &mut Cx<'_>, key: OrderKey, room: RoomId, result: Result<(), StoreFailed>) {
        if let Err(failed) = result {
            return self.obeyed.push_back((key, Err(OrderError::Store(failed.words))));
        }
        if self.closed.here.remove(&room).is_some() {
            tracing::info!(room = room.short(), "room reopened by the operator");
            cx.stats.rooms_reopened_total += 1;
        }
        self.obeyed.push_back((key, Ok(Obeyed::Reopened { room })));
    }

    /// Closures that the store remembers.
    pub(crate) fn restore_closures(&mut self, cx: &mut Cx<'_>, closures: Vec<Closure>) {
        for closure in closures.into_iter().take(MAX_CLOSED_ROOMS) {
            let room = closure.room;
            self.closed.here.insert(room, closure);
            // Killed between the closure and the end of the log.
            self.close_call(cx, room);
        }
        self.gauge(cx);
    }

    /// Everybody here is out of the room, and its log is dropped. Its record stays, and so does the number of its call.
    fn close_call(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        let instance = room.instance;
        match room.side {
            Side::Follower(_) => self.leave_room(cx, id),
            Side::Hub(ref hub) => {
                let had_call = hub.has_call();
                self.end_call(cx, id);
                self.refuse_waiting(cx, id);
                if had_call {
                    self.store(Write::Forget { room: id, instance }, Job::Forgotten);
                }
            }
        }
    }

    /// A write for a closed room is durable: it was under way. What it was goes the way of the rest.
    pub(crate) fn drop_written(&mut self, id: RoomId, kind: EntryKind, instance: Instance) {
        if kind == EntryKind::Genesis
            && let Some(room) = self.rooms.get_mut(&id)
        {
            // The number is used.
            room.instance = instance;
        }
        self.store(Write::Forget { room: id, instance }, Job::Forgotten);
    }

    fn list(&self) -> Vec<ListedRoom> {
        let listed = |id: RoomId, room: Option<&Room>| ListedRoom {
            room: id,
            role: room.map(|room| if room.hub().is_some() { Role::Hub } else { Role::Follower }),
            instance: room.map_or(Instance(0), |room| room.instance),
            attached: room.map_or(0, |room| room.attached.len()),
            closure: self.closed.here.get(&id).cloned(),
        };
        let mut all: BTreeMap<RoomId, ListedRoom> = self.closed.here.keys().map(|id| (*id, listed(*id, None))).collect();
        all.extend(self.rooms.iter().map(|(id, room)| (*id, listed(*id, Some(room)))));
        all.into_values().collect()
    }
}

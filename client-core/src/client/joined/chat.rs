//! Chat: what we say until everybody who was there has shown to have it, and what others say in the order of each.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use conclave_federation::{io::Outlet, proof::VerifyingKey, wire::Text};
use rand_core::RngCore;

use super::{super::core::Ctx, Joined, leaf};
use crate::{
    api::{Command, Event, OpenError, ParticipantId, Warning},
    chat::{Again, Heard, Kept, Message, Order, Ready, Recent, Scene, Telling, Transcripts, Word, epoch_of_message, spelled},
    group::{ChatError, Leaf},
    subscribe::Arrived,
};

/// Words that wait for a session; more are refused with a warning.
const MAX_WAITING: usize = 64;

/// Messages that are kept to be said again.
const MAX_SAID: usize = 64;

/// After this long a message is news no more, and its sender has other worries.
const SAID_FOR: Duration = Duration::from_secs(120);

/// How often a message is said again because somebody asks. Everybody gets it each time.
const MAX_AGAIN: u8 = 8;

/// The shortest time between two times that a message is said again because somebody asks.
const AGAIN_PAUSE: Duration = Duration::from_millis(300);

/// Our side of the chat.
#[derive(Default)]
pub(super) struct Chat {
    waiting: VecDeque<Waiting>,
    said: VecDeque<Said>,
    /// Of the next message.
    number: u32,
    /// In which the last one was said first.
    last_epoch: u64,
    pub(super) transcripts: Transcripts,
    order: Order,
    pub(super) recent: Recent,
}

/// What is to be said as soon as it can be.
enum Waiting {
    /// Words that were not said yet.
    New { id: [u8; 16], unix_ms: u64, text: String },
    /// A message that was: the same bytes in a new envelope.
    Again(u32),
    /// A wish.
    Ask(Again),
    /// What newcomers are told.
    Tell(Telling),
}

/// A message that somebody may not have got.
struct Said {
    number: u32,
    epoch: u64,
    signed: Bytes,
    /// Our newest heartbeat before it. All our reliable tracks share one ordered stream to the relay, and all that the
    /// relay has of us goes on in order: whoever has seen a later heartbeat has the message as well.
    after: u32,
    /// Those who were there and have not shown that. By key: on their way to a new leaf they are still owed it.
    unheard: BTreeSet<VerifyingKey>,
    at: Duration,
    /// How often somebody asked for it, and when last.
    asked: u8,
    asked_at: Duration,
}

impl Chat {
    /// The session is gone, and with it perhaps what was said last.
    pub(super) fn on_lost(&mut self, now: Duration) {
        self.forget(now);
        self.waiting.retain(|waiting| !matches!(waiting, Waiting::Ask(_) | Waiting::Tell(_)));
        self.say_again(|said| !said.unheard.is_empty());
    }

    /// Says some messages again, before all that waits. Whoever has them already knows their numbers.
    fn say_again(&mut self, which: impl Fn(&Said) -> bool) {
        let again: Vec<u32> = self.said.iter().filter(|said| which(said)).map(|said| said.number).collect();
        self.waiting.retain(|waiting| !matches!(waiting, Waiting::Again(number) if again.contains(number)));
        for number in again.into_iter().rev() {
            self.waiting.push_front(Waiting::Again(number));
        }
    }

    fn forget(&mut self, now: Duration) {
        while self.said.len() > MAX_SAID || self.said.front().is_some_and(|said| said.at + SAID_FOR <= now) {
            self.said.pop_front();
        }
    }

    /// Somebody has seen our heartbeat of this counter.
    pub(super) fn on_heard(&mut self, by: &VerifyingKey, counter: u32) {
        for said in self.said.iter_mut().filter(|said| said.after < counter) {
            said.unheard.remove(by);
        }
    }

    /// Somebody comes back on a new leaf: what they had not shown to have, they cannot open any more.
    pub(super) fn on_back(&mut self, who: &VerifyingKey) {
        self.say_again(|said| said.unheard.contains(who));
    }

    /// We come back on a new leaf ourselves, and do not know who else did.
    pub(super) fn on_sat_down(&mut self) {
        self.say_again(|said| !said.unheard.is_empty());
    }

    /// Somebody is gone, and is owed nothing any more.
    pub(super) fn on_gone(&mut self, gone: &VerifyingKey) {
        for said in &mut self.said {
            said.unheard.remove(gone);
        }
    }

    /// Somebody who is in the room since `joined` has not got these messages of ours.
    fn on_asked(&mut self, again: &Again, joined: u64, now: Duration) {
        let end = u64::from(again.from) + u64::from(again.count);
        let mut numbers = BTreeSet::new();
        for said in &mut self.said {
            let wanted = said.number >= again.from && u64::from(said.number) < end && said.epoch >= joined;
            if wanted && said.asked < MAX_AGAIN && said.asked_at + AGAIN_PAUSE <= now {
                said.asked += 1;
                said.asked_at = now;
                numbers.insert(said.number);
            }
        }
        self.say_again(|said| numbers.contains(&said.number));
    }

    /// Tells newcomers.
    pub(super) fn tell(&mut self, telling: Telling) {
        self.waiting.push_back(Waiting::Tell(telling));
    }

    /// Whether a message from before we came was not told yet.
    pub(super) fn is_new_of_before(&self, message: &Message) -> bool {
        self.recent.find(&message.id).is_none()
    }

    /// Time passes for what we miss from now on.
    pub(super) fn restart(&mut self, now: Duration) {
        self.order.restart(now);
    }

    /// When something is due.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.order.next_timeout()
    }

    fn waits(&self) -> usize {
        self.waiting.iter().filter(|waiting| matches!(waiting, Waiting::New { .. })).count()
    }
}

impl Joined {
    pub(super) fn scene(&self) -> Scene {
        Scene { room: self.place.room, instance: self.place.instance }
    }

    /// Takes words from the application.
    pub(in crate::client) fn say(&mut self, text: &str, ctx: &mut Ctx<'_, impl Outlet>) {
        if text.len() > Command::MAX_CHAT {
            ctx.core.warn(Warning::ChatTooLong);
            return;
        }
        if self.chat.waits() >= MAX_WAITING {
            ctx.core.warn(Warning::ChatNotSent);
            return;
        }
        let mut id = [0; 16];
        ctx.core.rng.fill_bytes(&mut id);
        self.chat.waiting.push_back(Waiting::New { id, unix_ms: ctx.now.unix_ms, text: text.to_owned() });
        self.say_waiting(ctx);
    }

    /// Sends what waits.
    pub(super) fn say_waiting(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let scene = self.scene();
        let Some(session) = ctx.session() else { return };
        let now = ctx.now.mono;
        while self.own.chat.is_announced() && self.fresh.may_send() {
            let Some(group) = self.seat.group_mut() else { return };
            let Some(waiting) = self.chat.waiting.pop_front() else { return };
            let epoch = group.epoch();
            let (word, new) = match &waiting {
                Waiting::Again(number) => match self.chat.said.iter().find(|said| said.number == *number) {
                    Some(said) => (Word::Said(said.signed.clone()), None),
                    None => continue,
                },
                Waiting::Ask(again) => (Word::Again(*again), None),
                Waiting::Tell(telling) => (Word::Told(telling.clone()), None),
                Waiting::New { id, unix_ms, text } => {
                    let message = Message {
                        id: *id,
                        number: self.chat.number,
                        before: self.chat.last_epoch,
                        unix_ms: *unix_ms,
                        epoch,
                        transcript: spelled(group.transcript()),
                        text: Text::cut(text),
                    };
                    let signed = message.sign(scene, |label, body| group.sign(label, body));
                    (Word::Said(signed.clone()), Some((message, signed)))
                }
            };
            let Ok(sealed) = group.encrypt_chat(&word.encode()) else {
                self.chat.waiting.push_front(waiting);
                return;
            };
            if self.own.chat.write(sealed, &mut self.own.reliable, session, ctx.outlet).is_err() {
                ctx.core.warn(Warning::ChatNotSent);
                return;
            }
            let after = self.pulse.counter();
            match (new, waiting) {
                (Some((message, signed)), _) => {
                    let (leaf, shared) = (self.me, self.shares_history());
                    let name = self.roster.name_of(leaf).unwrap_or_default().to_owned();
                    let author = self.roster.key(leaf).copied().unwrap_or(VerifyingKey::new([0; 32]));
                    self.chat.recent.keep(Kept {
                        id: message.id,
                        author,
                        leaf,
                        name,
                        signed: signed.clone(),
                        epoch,
                        at: now,
                        shared,
                    });
                    self.chat.number = self.chat.number.saturating_add(1);
                    self.chat.last_epoch = epoch;
                    let unheard = self.roster.others().filter_map(|leaf| self.roster.key(leaf)).copied().collect();
                    let (number, epoch) = (message.number, message.epoch);
                    self.chat.said.push_back(Said {
                        number,
                        epoch,
                        signed,
                        after,
                        unheard,
                        at: now,
                        asked: 0,
                        asked_at: Duration::ZERO,
                    });
                    self.chat.forget(now);
                }
                (None, Waiting::Again(number)) => {
                    // Whoever echoes what we said before this may have missed the first time.
                    if let Some(said) = self.chat.said.iter_mut().find(|said| said.number == number) {
                        said.after = after;
                    }
                }
                (None, Waiting::New { .. } | Waiting::Ask(_) | Waiting::Tell(_)) => {}
            }
        }
    }

    /// Whether newcomers are shown what is said now.
    fn shares_history(&self) -> bool {
        self.seat.group().is_some_and(|group| group.state().history > 0)
    }

    /// An object of somebody's chat.
    pub(super) fn on_chat(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group_mut() else {
            self.hold(arrived, ctx);
            return;
        };
        match epoch_of_message(&arrived.payload) {
            None => return self.refuse(None, OpenError::Malformed, ctx),
            Some(epoch) if epoch > group.epoch() => return self.hold(arrived, ctx),
            Some(epoch) if epoch < group.first_epoch() => return self.refuse(None, OpenError::BeforeJoin, ctx),
            Some(_) => {}
        }
        let opened = match group.open_chat(&arrived.payload) {
            Ok(opened) => opened,
            Err(ChatError::Own) => return,
            Err(ChatError::Malformed) => return self.refuse(None, OpenError::Malformed, ctx),
            Err(ChatError::Epoch) => return self.refuse(None, OpenError::LeftEpoch, ctx),
            Err(ChatError::Forged | ChatError::Gone) => return self.refuse(None, OpenError::Damaged, ctx),
        };
        ctx.core.stats.objects_opened += 1;
        let from = leaf(opened.leaf);
        if self.roster.key(from) == Some(&opened.key)
            && let Some(event) = self.roster.on_heard(from, ctx.now.mono)
        {
            self.tell(event, ctx);
        }
        match Word::decode(&opened.bytes) {
            Ok(Word::Said(signed)) => self.on_said(&signed, (from, opened.key), ctx),
            Ok(Word::Told(telling)) => self.on_telling(&telling, &opened.key, ctx),
            Ok(Word::Again(again)) => self.on_asked_again(&again, &opened.key, ctx),
            Err(_) => self.refuse(Some(from), OpenError::Malformed, ctx),
        }
    }

    fn on_said(&mut self, signed: &Bytes, (from, key): (u16, VerifyingKey), ctx: &mut Ctx<'_, impl Outlet>) {
        let message = match Message::verify(signed, self.scene(), &key) {
            Ok(message) => message,
            Err(unreadable) => return self.refuse(Some(from), unreadable.into(), ctx),
        };
        let epoch = self.seat.group().map_or(0, crate::group::Group::epoch);
        if message.epoch > epoch || !self.chat.transcripts.may_be(message.epoch, &message.transcript) {
            // Said in another history than ours, or nowhere.
            return self.refuse(Some(from), OpenError::BadSignature, ctx);
        }
        if message.epoch < self.first_epoch {
            // Said again for those who were there.
            return self.refuse(None, OpenError::BeforeJoin, ctx);
        }
        let heard = Heard { message, signed: signed.clone(), leaf: from };
        let ready = self.chat.order.take(ctx.now.mono, key, heard, self.first_epoch);
        // Said by somebody who may have gone since: the name stays theirs.
        self.show(ParticipantId::of_leaf(from, key.as_bytes()), &key, ready, ctx);
    }

    fn show(&mut self, from: ParticipantId, key: &VerifyingKey, ready: Vec<Ready>, ctx: &mut Ctx<'_, impl Outlet>) {
        let here = self.roster.by_id(from).map(|participant| participant.name.clone());
        for one in ready {
            let event = match one {
                Ready::Gap(count) => Event::ChatGap { from, count },
                Ready::Message(Heard { message: Message { id, unix_ms, text, epoch, .. }, signed, leaf }) => {
                    let (gone, name) = (here.is_none(), here.clone().unwrap_or_default());
                    let (at, shared) = (ctx.now.mono, self.shares_history());
                    self.chat.recent.keep(Kept { id, author: *key, leaf, name: name.clone(), signed, epoch, at, shared });
                    Event::Chat { from, id, text: text.as_str().to_owned(), unix_ms, name, gone, history: false }
                }
            };
            if !ctx.core.peace.is_blocked(key) {
                self.tell(event, ctx);
            }
        }
    }

    fn on_asked_again(&mut self, again: &Again, by: &VerifyingKey, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some(group) = self.seat.group().filter(|group| group.my_key() == again.author) else { return };
        let Some(asker) = group.leaf_of(by).and_then(|leaf| group.member(leaf)) else { return };
        self.chat.on_asked(again, asker.joined, ctx.now.mono);
        self.say_waiting(ctx);
    }

    /// What is missing is asked for, and given up in the end.
    pub(super) fn on_chat_timeout(&mut self, ctx: &mut Ctx<'_, impl Outlet>) {
        let now = ctx.now.mono;
        for (key, ready) in self.chat.order.on_timeout(now) {
            let from = self.name_of(&key);
            self.show(from, &key, ready, ctx);
        }
        let asks = self.chat.order.asks(now);
        if !asks.is_empty() {
            self.chat.waiting.extend(asks.into_iter().map(Waiting::Ask));
            self.say_waiting(ctx);
        }
    }

    /// Whose key this is, wherever they sit now.
    fn name_of(&self, key: &VerifyingKey) -> ParticipantId {
        let at = self.seat.group().and_then(|group| group.leaf_of(key)).unwrap_or(Leaf(0));
        ParticipantId::of_leaf(leaf(at), key.as_bytes())
    }
}

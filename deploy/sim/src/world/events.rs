//! What people are told, and what passes by at the relays, brought to the books.

use std::time::Duration;

use conclave_client_core::api::{Command, ConnectionState, Departure, Ended, Event, InFrame, OpenError, ParticipantId, Warning};
use conclave_federation::{
    io::{Net, SessionKey, StreamKind},
    wire::{
        Wire,
        message::{Answer, Entry, Message, Request},
    },
};

use super::{
    Id, What, World,
    person::{Person, Stage, TRACKS},
};
use crate::{
    check::{Frame, FrameKey, PersonNo, Rule},
    net::{HostId, Sent},
    tap::{Seen, Tap},
    trace::digest,
};

/// Letters of a control message that the diary keeps.
const LONGEST: usize = 160;

impl World {
    pub(super) fn on_event(&mut self, number: usize, event: Event) {
        if let Event::Frame(frame) = event {
            let of = FrameKey::of(&frame.data);
            let InFrame { captured_us, key, layer, .. } = frame;
            if layer > 0 {
                self.tally("upper frames received");
            }
            let got = Frame { digest: digest(&frame.data), captured_us, key, layer };
            return self.on_frame(number, frame.participant, of, got);
        }
        self.write_down(|| format!("person {number}: {event:?}"));
        self.trace.record(|trace| trace.bytes(format!("{number} {event:?}").as_bytes()));
        let who = PersonNo(number);
        self.hand.on_event(self.now, who, &event);
        match event {
            Event::RoomCreated { link } | Event::LinkChanged { link } => self.link = Some(link),
            Event::Joined { me, roster, epoch, safety_code, .. } => {
                self.begun = true;
                let person = &mut self.people[number];
                let again = person.me.replace(me).is_some();
                person.between = false;
                person.since = epoch;
                person.was.insert(me);
                person.names.insert(me);
                person.set_roster(roster);
                person.trouble = None;
                if person.stage == Stage::Coming {
                    person.stage = Stage::In;
                }
                if again {
                    self.tally("rejoined");
                    self.check.chats.excuse(who);
                    self.check.chats.excuse_author(who);
                } else if self.story.media {
                    for track in 0..TRACKS.len() {
                        self.command(number, Person::publish(track, self.story.layers));
                    }
                }
                self.on_epoch(number, epoch, safety_code);
            }
            Event::ParticipantJoined(participant) | Event::ParticipantChanged(participant) => {
                self.people[number].change_roster(|roster| {
                    roster.insert(participant.id, participant);
                });
            }
            Event::ParticipantLeft { id, how } => {
                self.people[number].change_roster(|roster| {
                    roster.remove(&id);
                });
                self.moves.push(self.now);
                self.tally(match how {
                    Departure::Left => "seen leaving",
                    Departure::Reaped => "seen reaped",
                    Departure::Moved => "seen moving",
                    Departure::Removed { .. } => "seen removed",
                });
            }
            Event::Epoch { epoch, safety_code, .. } => self.on_epoch(number, epoch, safety_code),
            Event::Published { track } => self.on_published(number, track.0),
            Event::KeyFrameWanted { track } => {
                if let Some(index) = TRACKS.iter().position(|known| *known == track) {
                    self.people[number].tracks[index].key_wanted = true;
                    self.tally("key frames wanted");
                }
            }
            Event::Chat { from, text, .. } => {
                let author = self.who(from);
                let outcome = self.check.chats.on_heard(who, author, &text);
                self.check.note(Rule::ChatOnce, outcome);
            }
            Event::ChatGap { .. } => self.tally("chat gaps"),
            Event::Equivocation { .. } => {
                self.check.note(Rule::Honest, Err(format!("{who:?} was shown two histories by an honest hub")));
            }
            Event::Warning(warning) => self.on_warning(number, warning),
            Event::FrameRefused { reason, .. } => self.on_refused(number, reason),
            Event::FramesLost { .. } => self.tally("gaps told"),
            Event::Ended(ended) => self.on_ended(number, &ended),
            Event::Connection(state) => self.people[number].connected = state == ConnectionState::Connected,
            // They go all the same: the room goes on as its mode lets it.
            Event::LastHost => self.command(number, Command::Leave),
            Event::TrackPublished(_)
            | Event::TrackChanged(_)
            | Event::TrackUnpublished { .. }
            | Event::TrackTrust { .. }
            | Event::Carriers(_)
            | Event::Knock { .. }
            | Event::KnockGone { .. }
            | Event::Waiting { .. }
            | Event::ModeChanged { .. }
            | Event::HostsChanged { .. }
            | Event::CompareCode { .. }
            | Event::CompareUnanswered { .. }
            | Event::Acquaintance { .. }
            | Event::Hands(_)
            | Event::Reaction { .. }
            | Event::MuteRequested { .. }
            | Event::ReportReady { .. }
            | Event::Misbehaved { .. }
            | Event::Frame(_) => {}
        }
    }

    fn on_epoch(&mut self, number: usize, epoch: u64, code: String) {
        let outcome = self.check.groups.on_epoch(PersonNo(number), epoch, &code);
        self.check.note(Rule::OneGroup, outcome);
        let person = &mut self.people[number];
        person.epoch = epoch;
        person.code = code;
    }

    fn on_published(&mut self, number: usize, track: u32) {
        let Some(index) = TRACKS.iter().position(|known| known.0 == track) else { return };
        let person = &mut self.people[number];
        person.tracks[index].published = true;
        person.tracks[index].key_wanted = true;
        if !std::mem::replace(&mut person.tracks[index].running, true) {
            let life = person.life;
            let first = self.chance.up_to(Person::pace(index));
            self.after(first, What::Frame { person: number, life, track: index });
        }
    }

    /// Who is, or was, this participant.
    fn who(&self, participant: ParticipantId) -> Option<PersonNo> {
        self.people.iter().find(|person| person.names.contains(&participant)).map(|person| person.number)
    }

    fn on_frame(&mut self, number: usize, participant: ParticipantId, of: Option<FrameKey>, got: Frame) {
        let reader = PersonNo(number);
        let Some(key) = of else {
            return self.check.note(Rule::FramesIntact, Err(format!("{reader:?} got a frame that nobody wrote")));
        };
        let life = self.people[number].life;
        self.trace.record(|trace| trace.bytes(format!("{number}.{life} {key:?}").as_bytes()));
        let outcome = self.check.media.may_open(reader, &self.people[number].was, key);
        self.check.note(Rule::OnlyMembersOpen, outcome);
        // Who is on the way back to another leaf may be heard from there before they know their name.
        let author = self.who(participant).or_else(|| self.people[key.author.0].between.then_some(key.author));
        let outcome = self.check.media.on_received(reader, author, key, got);
        self.check.note(Rule::FramesIntact, outcome);
    }

    fn on_warning(&mut self, number: usize, warning: Warning) {
        let who = PersonNo(number);
        self.tally(format!("warning {warning:?}"));
        match warning {
            Warning::ChatNotSent => self.check.chats.on_not_sent(who),
            Warning::Rejoined => {
                self.people[number].between = true;
                self.check.chats.excuse(who);
                self.check.chats.excuse_author(who);
            }
            Warning::HistoryMismatch
            | Warning::RecordMismatch
            | Warning::ChatTooLong
            | Warning::TooManyTracks
            | Warning::FrameTooLarge
            | Warning::UnpinnedRelay => {
                self.check.note(Rule::Honest, Err(format!("{who:?} was warned: {warning:?}")));
            }
            Warning::PublishRefused(_)
            | Warning::SubscribeRefused(_)
            | Warning::CodesDiffer
            | Warning::NoMoreComparisons
            | Warning::NotCompared
            | Warning::TooManyGestures
            | Warning::NobodyOfThatId
            | Warning::NotHost
            | Warning::Gone
            | Warning::NotInRoom
            | Warning::NotAllowed(_)
            | Warning::NothingToReport
            | Warning::NotChanged => {}
        }
    }

    fn on_refused(&mut self, number: usize, reason: OpenError) {
        self.tally(format!("refused {reason:?}"));
        match reason {
            // Somebody who does not know yet that they are gone, or on a new leaf before their new catalog, is still heard.
            OpenError::UnknownSender | OpenError::WrongObject => self.strangers.push((self.now, PersonNo(number))),
            OpenError::Malformed | OpenError::Damaged | OpenError::BadSignature => {
                let words = format!("{:?} refused an object: {reason:?}", PersonNo(number));
                self.check.note(Rule::Honest, Err(words));
            }
            OpenError::NoKeyYet | OpenError::LeftEpoch | OpenError::BeforeJoin | OpenError::Replayed | OpenError::TooMuch => {}
        }
    }

    fn on_ended(&mut self, number: usize, ended: &Ended) {
        let who = PersonNo(number);
        let stage = self.people[number].stage;
        let was_in = self.people[number].me.is_some();
        self.people[number].stop(Stage::Gone);
        let Ended::Failed(error) = ended else {
            if stage != Stage::Leaving {
                self.check.note(Rule::Honest, Err(format!("{who:?} left and was not asked to")));
            }
            if self.wanted.contains(&who) {
                // They were called back while they were on their way out.
                self.join(who);
            }
            return;
        };
        self.tally(if was_in { "fell out" } else { "came in vain" });
        self.people[number].trouble = Some(error.to_string());
        self.check.chats.excuse(who);
        self.check.chats.excuse_author(who);
        if !self.begun && self.is_founder(who) {
            // The room went with them: they found another one.
            self.link = None;
        }
        if was_in && stage != Stage::Leaving {
            self.check.note(Rule::Honest, Err(format!("{who:?} was in the room and fell out: {error}")));
        }
        // What people do: they wait a moment and open the link again.
        let again = self.chance.between(Duration::from_secs(1), Duration::from_secs(3));
        let life = self.people[number].life;
        self.after(again, What::TryAgain { person: number, life });
    }

    /// What a relay is about to be told.
    pub(super) fn on_received(&mut self, id: Id, host: HostId, net: &Net) {
        let Id::Relay(number) = id else { return };
        let (session, seen) = match net {
            Net::Data { session, stream, kind, bytes, fin } => {
                let seen = self.received.on_stream(*session, *stream, *kind, bytes);
                if *fin {
                    self.received.on_stream_over(*session, *stream);
                }
                (*session, seen)
            }
            Net::Datagram { session, bytes } => (*session, Tap::on_datagram(bytes).into_iter().collect()),
            Net::Reset { session, stream, .. } => return self.received.on_stream_over(*session, *stream),
            Net::Connected { .. } | Net::DialFailed { .. } | Net::Stopped { .. } | Net::Writable { .. } | Net::Closed { .. } => {
                return;
            }
        };
        let from_relay = self.net.ends(session).is_some_and(|(_, remote)| matches!(self.owners.get(&remote), Some(Id::Relay(_))));
        for one in seen {
            if let Seen::Message(message) = &one {
                self.write_message(number, '<', session, message);
            }
            let (alias, payload) = match one {
                Seen::Object(alias, payload) => (alias, payload),
                Seen::Message(Message::Answer(request, Answer::Subscribed(subscribed))) => {
                    self.check.visits.on_subscribed(session, request, subscribed.alias);
                    continue;
                }
                Seen::Message(_) => continue,
            };
            let outcome = if from_relay {
                let net = &self.net;
                self.check.visits.on_forwarded(host, (session, alias), &payload, |session| net.is_open(session))
            } else {
                self.check.visits.on_published(host, (session, alias), &payload)
            };
            self.check.note(Rule::OneVisit, outcome);
        }
    }

    /// What machines have just sent.
    pub(super) fn read_along(&mut self) {
        for sent in self.net.take_sent() {
            self.hand.overhear(&sent);
            let Some(Id::Relay(number)) = self.owners.get(&sent.host).copied() else { continue };
            let hub = self.relays[number].id;
            if let Some((from, to)) = self.net.ends(sent.session)
                && sent.stream.is_none_or(|(_, kind)| kind == StreamKind::Uni)
            {
                self.hand.on_object_bytes(self.now, from, to);
            }
            let Sent { session, stream: Some((stream, kind)), bytes, .. } = sent else { continue };
            for seen in self.sent.on_stream(session, stream, kind, &bytes) {
                if let Seen::Message(message) = &seen {
                    self.write_message(number, '>', session, message);
                }
                let outcome = match seen {
                    Seen::Message(Message::Answer(_, Answer::Appended(head))) => self.check.logs.on_stated(hub, &head),
                    Seen::Message(Message::Answer(_, Answer::Admitted(admitted))) => {
                        self.check.logs.on_stated(hub, &admitted.head)
                    }
                    Seen::Message(Message::Request(request, body)) => {
                        if let Request::Subscribe(subscribe) = *body {
                            self.check.visits.on_subscribe(session, request, subscribe.track);
                        }
                        continue;
                    }
                    Seen::Object(_, payload) => {
                        let Ok(entry) = Entry::decode(&payload) else { continue };
                        let outcome = self.check.logs.on_entry(&entry);
                        self.check.note(Rule::OneHistory, outcome);
                        self.check.logs.on_stated(hub, &entry.head)
                    }
                    Seen::Message(_) => continue,
                };
                self.check.note(Rule::AcknowledgedStays, outcome);
            }
        }
    }

    /// A line of the diary for a control message from (`<`) or to (`>`) the other end of a relay's session.
    fn write_message(&mut self, relay: usize, way: char, session: SessionKey, message: &Message) {
        if self.diary.is_some() {
            let remote = self.net.ends(session).and_then(|(_, remote)| self.owners.get(&remote).copied());
            let mut words = format!("{message:?}");
            words.truncate(words.char_indices().nth(LONGEST).map_or(words.len(), |(at, _)| at));
            self.write_down(|| format!("  relay {relay} {way} {remote:?} {words}"));
        }
    }
}

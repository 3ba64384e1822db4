//! Subscriptions: any number of sessions here, one subscription upstream, none when nobody is left.

use std::{collections::BTreeSet, time::Duration};

use conclave_federation::{
    id::{Alias, RelayId, RoomId, TrackId},
    io::SessionKey,
    limits::JOIN_DEADLINE,
    track::Class,
    wire::{
        List,
        code::Code,
        message::{Answer, Notice, Request, Start, Subscribe, Subscribed},
    },
};

use crate::{
    admit,
    between::ToShard,
    limits::{KEY_FRAME_SPACING, RESUBSCRIBE_MAX, RESUBSCRIBE_MIN},
    relay::{Asker, Cx, Purpose, Relay, Who},
    stats::Limit,
    window::Retention,
};

/// Where a track's objects come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// From here: the hub's own tracks.
    Here,
    /// From a client of ours.
    Client(SessionKey),
    /// From another relay.
    Upstream(RelayId, Stage),
}

/// How far an upstream subscription is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Not asked for: the link is down, or we were refused and wait.
    Idle,
    /// Asked for on this link.
    Asked(SessionKey),
    /// Objects come from this link under this alias.
    Live(SessionKey, Alias),
}

/// A track that has a publisher or a subscriber here.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) alias: Alias,
    pub(crate) class: Class,
    pub(crate) layers: u8,
    pub(crate) source: Source,
    pub(crate) subscribers: BTreeSet<SessionKey>,
    /// The control plane wants it whether or not anybody else does.
    pinned: bool,
    /// How the first subscriber wanted it, and the relays its wish has passed.
    start: Start,
    path: Vec<RelayId>,
    pub(crate) pause: Duration,
    asked_before: bool,
    key_frame: Option<Duration>,
}

impl Track {
    pub(crate) const fn new(alias: Alias, class: Class, source: Source) -> Self {
        Self {
            alias,
            class,
            layers: 1,
            source,
            subscribers: BTreeSet::new(),
            pinned: false,
            start: Start::Next,
            path: Vec::new(),
            pause: RESUBSCRIBE_MIN,
            asked_before: false,
            key_frame: None,
        }
    }
}

const fn retention(track: TrackId) -> Retention {
    match track {
        TrackId::LOG => Retention::Whole,
        TrackId::DIRECTORY => Retention::CurrentGroup,
        TrackId::REQUESTS => Retention::Aged(JOIN_DEADLINE),
        _ => Retention::Bounded,
    }
}

impl Relay {
    /// Somebody wants a track.
    pub(crate) fn on_subscribe(&mut self, cx: &mut Cx<'_>, asker: Asker, subscribe: Subscribe) {
        let Some(member) = self.members.get(&asker.session) else { return };
        let remote = member.link();
        let max = if remote.is_some() { self.limits.subscriptions_per_link } else { self.limits.subscriptions_per_client };
        let subscriptions = member.subscriptions.len();
        let (id, track) = (subscribe.room, subscribe.track);
        let Some(room) = self.rooms.get(&id) else { return cx.refuse_proof(asker, Code::NOT_ATTACHED) };
        let allowed = match remote {
            Some(_) => room.shown.get(&asker.session).is_some_and(|shown| admit::is_alive(cx.now, shown.expires)),
            None => room.attached.contains(&asker.session),
        };
        let reads_log = track == TrackId::LOG && room.turn.is_reader(asker.session);
        if !allowed && !reads_log {
            return cx.refuse_proof(asker, Code::NOT_ATTACHED);
        }
        if room.instance != subscribe.instance {
            return cx.refuse_proof(asker, Code::WRONG_INSTANCE);
        }
        let mut path = subscribe.path.into_vec();
        if path.last().copied() != remote {
            return cx.refuse(asker, Code::VIOLATION, "the path of a subscription ends with whoever passes it on");
        }
        if path.contains(&self.id) || path.len() >= conclave_federation::limits::MAX_HOPS {
            return cx.refuse(asker, Code::LOOP, "the subscription has come this way before: subscribe at the publisher's relay");
        }
        if subscriptions >= max {
            return cx.refuse_limit(asker, Limit::Subscriptions, Code::FULL, "too many subscriptions: end some first");
        }
        if let Some(known) = room.tracks.get(&track) {
            // The relay that a track comes from does not need to hear it from us.
            if matches!(known.source, Source::Upstream(relay, _) if Some(relay) == remote) {
                return cx.refuse(asker, Code::LOOP, "the track comes from you");
            }
        } else {
            let Some((class, layers, relay)) = self.whereabouts(id, track) else {
                return cx.refuse(asker, Code::UNKNOWN_TRACK, "nobody publishes that track: it may have ended");
            };
            if Some(relay) == remote {
                return cx.refuse(asker, Code::UNKNOWN_TRACK, "that track is published at your own relay");
            }
            if room.tracks.len() >= self.limits.tracks_per_room {
                let words = "the room has all the tracks it can have";
                return cx.refuse_limit(asker, Limit::TracksPerRoom, Code::FULL, words);
            }
            path.push(self.id);
            self.open_upstream(cx, (id, track), (class, layers), relay, subscribe.start, path);
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let until = if track == TrackId::LOG { room.turn.until(asker.session) } else { u64::MAX };
        let Some(known) = room.tracks.get_mut(&track) else { return };
        let (alias, class) = (known.alias, known.class);
        known.subscribers.insert(asker.session);
        if let Some(member) = self.members.get_mut(&asker.session) {
            member.subscriptions.insert(alias);
        }
        cx.answer(asker, Answer::Subscribed(Subscribed { alias, class }));
        cx.down.push_back(ToShard::Subscribe { alias, session: asker.session, start: subscribe.start, until });
        self.pull(cx, id, track);
    }

    fn open_upstream(
        &mut self,
        cx: &mut Cx<'_>,
        (id, track): (RoomId, TrackId),
        (class, layers): (Class, u8),
        relay: RelayId,
        start: Start,
        path: Vec<RelayId>,
    ) {
        let alias = self.draw_alias();
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let mut new = Track::new(alias, class, Source::Upstream(relay, Stage::Idle));
        new.layers = layers;
        // A window is filled from its beginning, or whoever comes second would miss what the first did not want.
        new.start = if class == Class::Reliable { Start::From(0) } else { start };
        new.path = path;
        room.tracks.insert(track, new);
        self.aliases.insert(alias, (id, track));
        let heard = matches!(track, TrackId::DIRECTORY | TrackId::LOG);
        cx.down.push_back(ToShard::Open { alias, class, retention: retention(track), heard });
    }

    /// A follower with clients follows the directory.
    pub(crate) fn follow_directory(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some((class, layers, hub)) = self.whereabouts(id, TrackId::DIRECTORY) else { return };
        let Some(room) = self.rooms.get(&id) else { return };
        if !room.tracks.contains_key(&TrackId::DIRECTORY) {
            let path = vec![self.id];
            self.open_upstream(cx, (id, TrackId::DIRECTORY), (class, layers), hub, Start::Current, path);
        }
        if let Some(track) = self.rooms.get_mut(&id).and_then(|room| room.tracks.get_mut(&TrackId::DIRECTORY)) {
            track.pinned = true;
        }
        self.pull(cx, id, TrackId::DIRECTORY);
    }

    /// Everything of a room that is wanted and not asked for.
    pub(crate) fn pull_all(&mut self, cx: &mut Cx<'_>, id: RoomId) {
        let Some(room) = self.rooms.get(&id) else { return };
        let idle = |source: &Source| matches!(source, Source::Upstream(_, Stage::Idle));
        let tracks: Vec<_> = room.tracks.iter().filter(|(_, track)| idle(&track.source)).map(|(track, _)| *track).collect();
        for track in tracks {
            self.pull(cx, id, track);
        }
    }

    /// The time has come to say or ask once more what another relay refused for a while.
    pub(crate) fn try_again(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        match self.rooms.get(&id).and_then(|room| room.tracks.get(&track)).map(|known| known.source) {
            Some(Source::Client(_)) => self.announce_again(cx, id, track),
            Some(Source::Upstream(..)) => self.pull(cx, id, track),
            Some(Source::Here) | None => {}
        }
    }

    /// Asks upstream for a track that somebody here wants, when its link is up; the hub carries what has no link of its own.
    pub(crate) fn pull(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        let Some(room) = self.rooms.get(&id) else { return };
        let Some(known) = room.tracks.get(&track) else { return };
        let Source::Upstream(relay, Stage::Idle) = known.source else { return };
        let relay = if self.links.is_known(relay) { Some(relay) } else { room.hub_relay().filter(|hub| *hub != self.id) };
        let Some(link) = relay.and_then(|relay| self.links.session(relay)) else { return };
        self.present(cx, id, link);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let instance = room.instance;
        let Some(known) = room.tracks.get_mut(&track) else { return };
        let Source::Upstream(_, stage) = &mut known.source else { return };
        let Some(path) = List::new(known.path.clone()) else { return };
        *stage = Stage::Asked(link);
        let start = if known.asked_before && known.class != Class::Reliable { Start::Next } else { known.start };
        let alias = known.alias;
        let subscribe = Subscribe { room: id, instance, track, start, path };
        self.ask(cx, link, Box::new(Request::Subscribe(subscribe)), Purpose::Subscribe(id, track, alias));
    }

    /// What the other relay said to an upstream subscription.
    pub(crate) fn on_upstream(
        &mut self,
        cx: &mut Cx<'_>,
        session: Option<SessionKey>,
        (id, track): (RoomId, TrackId),
        alias: Alias,
        answer: &Answer,
    ) {
        let Some(session) = session else { return };
        let is_hub = self.is_hub_link(id, session);
        let known = self.rooms.get_mut(&id).and_then(|room| room.tracks.get_mut(&track)).filter(|known| known.alias == alias);
        let known = known.filter(|known| matches!(known.source, Source::Upstream(_, Stage::Asked(link)) if link == session));
        match (known, answer) {
            (Some(known), Answer::Subscribed(subscribed)) if subscribed.class == known.class => {
                if let Source::Upstream(_, stage) = &mut known.source {
                    *stage = Stage::Live(session, subscribed.alias);
                }
                known.pause = RESUBSCRIBE_MIN;
                let resumed = std::mem::replace(&mut known.asked_before, true);
                let class = known.class;
                self.upstreams.insert((session, subscribed.alias), (id, track));
                if resumed && class == Class::Groups {
                    // The group that was cut is of no use; the next one should not be far.
                    cx.notify(session, Notice::KeyFrame(subscribed.alias));
                }
            }
            (None | Some(_), Answer::Subscribed(subscribed)) => {
                if self.is_asked_on(id, track, session) && !self.is_asked(id, track, alias) {
                    // Ended and wanted again meanwhile: the next answer is for it, and means the same subscription.
                    return;
                }
                // Nobody wants it any more, or it is not what the directory said.
                cx.notify(session, Notice::Unsubscribe(subscribed.alias));
                cx.down.push_back(ToShard::Unbind { session, remote: subscribed.alias });
                if self.is_asked(id, track, alias) {
                    self.end_track(cx, id, track);
                }
            }
            (Some(_), Answer::Refused(refusal)) if refusal.code == Code::CLOSED && is_hub => {
                self.on_closed_at_hub(cx, id, refusal.words.as_str());
            }
            (Some(known), answer) => {
                let code = if let Answer::Refused(refusal) = answer { refusal.code } else { Code::VIOLATION };
                if matches!(code, Code::UNKNOWN_TRACK | Code::LOOP | Code::VIOLATION) && !known.pinned {
                    return self.end_track(cx, id, track);
                }
                if let Source::Upstream(_, stage) = &mut known.source {
                    *stage = Stage::Idle;
                }
                let at = cx.now.mono + known.pause;
                known.pause = (known.pause * 2).min(RESUBSCRIBE_MAX);
                self.retries.insert((at, id, track));
                if code == Code::NOT_ATTACHED
                    && let Some(room) = self.rooms.get_mut(&id)
                {
                    room.presented.remove(&session);
                }
            }
            (None, _) => {}
        }
    }

    fn is_asked_on(&self, id: RoomId, track: TrackId, session: SessionKey) -> bool {
        let known = self.rooms.get(&id).and_then(|room| room.tracks.get(&track));
        known.is_some_and(|known| matches!(known.source, Source::Upstream(_, Stage::Asked(link)) if link == session))
    }

    fn is_asked(&self, id: RoomId, track: TrackId, alias: Alias) -> bool {
        let known = self.rooms.get(&id).and_then(|room| room.tracks.get(&track));
        known.is_some_and(|known| known.alias == alias && matches!(known.source, Source::Upstream(_, Stage::Asked(_))))
    }

    /// A link is gone: what came from there is asked for again when there is another one.
    pub(crate) fn suspend(&mut self, cx: &mut Cx<'_>, session: SessionKey) {
        let lost: Vec<_> = self
            .upstreams
            .range((session, Alias::new(0))..)
            .take_while(|((key, _), _)| *key == session)
            .map(|(key, _)| *key)
            .collect();
        for key in lost {
            self.upstreams.remove(&key);
        }
        let now = cx.now.mono;
        for (id, room) in &mut self.rooms {
            for (track, known) in &mut room.tracks {
                if let Source::Upstream(_, stage) = &mut known.source
                    && matches!(*stage, Stage::Asked(link) | Stage::Live(link, _) if link == session)
                {
                    *stage = Stage::Idle;
                    self.retries.insert((now + RESUBSCRIBE_MIN, *id, *track));
                }
            }
        }
    }

    /// Somebody does not want a track any more.
    pub(crate) fn on_unsubscribe(&mut self, cx: &mut Cx<'_>, session: SessionKey, alias: Alias) {
        if let Some((id, track)) = self.aliases.get(&alias).copied() {
            self.unsubscribe(cx, id, track, session);
        }
    }

    pub(crate) fn unsubscribe(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId, session: SessionKey) {
        let Some(known) = self.rooms.get_mut(&id).and_then(|room| room.tracks.get_mut(&track)) else { return };
        if !known.subscribers.remove(&session) {
            return;
        }
        let alias = known.alias;
        let idle = known.subscribers.is_empty() && !known.pinned && matches!(known.source, Source::Upstream(..));
        if let Some(member) = self.members.get_mut(&session) {
            member.subscriptions.remove(&alias);
        }
        cx.down.push_back(ToShard::Unsubscribe { alias, session });
        if idle {
            self.end_track(cx, id, track);
        }
    }

    /// A session wants nothing of a room any more.
    pub(crate) fn leave_tracks(&mut self, cx: &mut Cx<'_>, id: RoomId, session: SessionKey) {
        let Some(room) = self.rooms.get(&id) else { return };
        let wanted = room.tracks.iter().filter(|(_, track)| track.subscribers.contains(&session));
        for track in wanted.map(|(track, _)| *track).collect::<Vec<_>>() {
            self.unsubscribe(cx, id, track, session);
        }
    }

    /// The sender of a track says that there will be no more.
    pub(crate) fn on_ended(&mut self, cx: &mut Cx<'_>, session: SessionKey, remote: Alias) {
        let Some((id, track)) = self.upstreams.get(&(session, remote)).copied() else { return };
        let pinned = self.rooms.get(&id).and_then(|room| room.tracks.get(&track)).is_some_and(|track| track.pinned);
        self.end_track(cx, id, track);
        if pinned {
            // The hub does not know us any more: show the capability again, then ask again.
            if let Some(room) = self.rooms.get_mut(&id) {
                room.presented.remove(&session);
            }
            self.follow_directory(cx, id);
        }
    }

    /// A track is over here: everybody who wanted it is told, and whoever sent it.
    pub(crate) fn end_track(&mut self, cx: &mut Cx<'_>, id: RoomId, track: TrackId) {
        let Some(known) = self.rooms.get_mut(&id).and_then(|room| room.tracks.remove(&track)) else { return };
        let alias = known.alias;
        self.aliases.remove(&alias);
        for session in known.subscribers {
            if let Some(member) = self.members.get_mut(&session) {
                member.subscriptions.remove(&alias);
            }
            cx.notify(session, Notice::Ended(alias));
        }
        match known.source {
            Source::Here | Source::Upstream(_, Stage::Idle | Stage::Asked(_)) => {}
            Source::Client(session) => {
                if let Some(Who::Client { published, .. }) = self.members.get_mut(&session).map(|member| &mut member.who) {
                    *published = published.saturating_sub(1);
                }
                cx.down.push_back(ToShard::Unbind { session, remote: alias });
            }
            Source::Upstream(_, Stage::Live(session, remote)) => {
                self.upstreams.remove(&(session, remote));
                cx.notify(session, Notice::Unsubscribe(remote));
                cx.down.push_back(ToShard::Unbind { session, remote });
            }
        }
        cx.down.push_back(ToShard::Shut { alias });
    }

    /// Somebody needs a key frame: passed on towards the publisher, once in a while.
    pub(crate) fn on_key_frame(&mut self, cx: &mut Cx<'_>, session: SessionKey, alias: Alias) {
        let Some((id, track)) = self.aliases.get(&alias).copied() else { return };
        let Some(known) = self.rooms.get_mut(&id).and_then(|room| room.tracks.get_mut(&track)) else { return };
        if !known.subscribers.contains(&session) {
            return;
        }
        cx.stats.key_frames_asked += 1;
        if known.key_frame.is_some_and(|last| last + KEY_FRAME_SPACING > cx.now.mono) {
            return;
        }
        let target = match known.source {
            Source::Client(publisher) => Some((publisher, known.alias)),
            Source::Upstream(_, Stage::Live(link, remote)) => Some((link, remote)),
            Source::Here | Source::Upstream(_, Stage::Idle | Stage::Asked(_)) => None,
        };
        if let Some((to, alias)) = target {
            known.key_frame = Some(cx.now.mono);
            cx.stats.key_frames_passed += 1;
            cx.notify(to, Notice::KeyFrame(alias));
        }
    }
}

//! Objects of others, each to where it belongs.

use conclave_federation::{
    io::Outlet,
    limits::MAX_DIRECTORY,
    track::TrackName,
    wire::{
        Wire,
        message::Notice,
        object::{Directory, Knock, ObjectIdentity},
    },
};

use super::{super::core::Ctx, Joined, Next, leaf};
use crate::{
    api::{Event, OpenError},
    catalog::{Catalog, Unreadable},
    frame::{self, Frame},
    group::{Knocked, RequestKind},
    heads::BEACON,
    sframe::{CATALOG_STREAM, CONTROL_STREAM, Kid, NotOpened, Opened, unpad},
    subscribe::{Arrived, Given, What},
};

impl From<Unreadable> for OpenError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Malformed => Self::Malformed,
            Unreadable::BadSignature => Self::BadSignature,
        }
    }
}

impl Joined {
    /// A whole object of a track that we follow.
    pub(super) fn on_arrived(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) -> Next {
        match arrived.what {
            What::Log => return self.on_entry(&arrived, ctx),
            What::Directory => self.on_directory(&arrived, ctx),
            What::Requests => self.on_knock(&arrived, ctx),
            What::Reliable if arrived.payload.first() == Some(&0) => self.on_chat(arrived, ctx),
            What::Reliable if arrived.payload.first() == Some(&BEACON) => self.on_beacon(&arrived, ctx),
            What::Reliable => self.on_word(arrived, ctx),
            What::Media => self.on_media(arrived, ctx),
        }
        Next::Stay
    }

    /// Counts what was not taken, and tells.
    pub(super) fn refuse(&mut self, from: Option<u16>, reason: OpenError, ctx: &mut Ctx<'_, impl Outlet>) {
        let participant = from.and_then(|leaf| self.roster.id(leaf));
        if let Some(event) = ctx.core.refused(ctx.now, participant, reason) {
            self.tell(event, ctx);
        }
    }

    pub(super) fn identity(&self, arrived: &Arrived) -> ObjectIdentity {
        let header = &arrived.header;
        let name = TrackName { track: arrived.track, ..self.place };
        ObjectIdentity { name, group: header.group, object: header.object, layer: header.layer, flags: header.flags }
    }

    /// Opens an object, or keeps it for an epoch that has not come, or refuses it.
    fn open(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) -> Option<(Arrived, Opened)> {
        match self.opener.open(&self.identity(&arrived), &arrived.payload) {
            Ok(opened) if !self.roster.is_of_now(opened.kid.leaf, opened.epoch) => {
                // Whoever was removed is not heard any more, even where an old key still opens it and the leaf is somebody
                // else's by now. It may be nobody's fault: they may not know yet.
                ctx.core.stats.count_refused(OpenError::UnknownSender);
                None
            }
            Ok(opened) => {
                ctx.core.stats.objects_opened += 1;
                if let Some(event) = self.roster.on_heard(opened.kid.leaf, ctx.now.mono) {
                    self.tell(event, ctx);
                }
                Some((arrived, opened))
            }
            Err(NotOpened::Later) => {
                self.fresh.on_newer(ctx.now.mono);
                self.hold(arrived, ctx);
                None
            }
            Err(NotOpened::Refused(reason)) => {
                self.on_unopened(&arrived, reason, ctx);
                None
            }
        }
    }

    /// Why it is not opened, and what mends that: a picture that misses a frame needs a key frame.
    fn on_unopened(&mut self, arrived: &Arrived, reason: OpenError, ctx: &mut Ctx<'_, impl Outlet>) {
        let kid = Kid::peek(&arrived.payload);
        let is_media = arrived.what == What::Media;
        let reason = match (reason, kid) {
            (OpenError::Damaged, Some(kid)) if self.roster.key(kid.leaf).is_none() => OpenError::UnknownSender,
            (OpenError::Damaged, Some(kid)) if is_media => self.subscriber.explain(arrived.track, kid),
            (reason, _) => reason,
        };
        self.refuse(kid.map(|kid| kid.leaf), reason, ctx);
        if is_media
            && matches!(reason, OpenError::Damaged | OpenError::WrongObject)
            && let Some(alias) = self.subscriber.repair(arrived.track, ctx.now.mono)
        {
            ctx.core.stats.repairs_asked += 1;
            Self::ask_key_frame(alias, ctx);
        }
    }

    pub(super) fn hold(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        for _ in 0..self.held.keep(ctx.now.mono, arrived) {
            self.refuse(None, OpenError::TooMuch, ctx);
        }
    }

    fn on_media(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some((arrived, opened)) = self.open(arrived, ctx) else { return };
        if let Err(reason) = self.subscriber.is_theirs(&arrived, opened.kid) {
            self.refuse(Some(opened.kid.leaf), reason, ctx);
            return;
        }
        self.on_opened_frame(&arrived, &opened, ctx);
        if frame::is_cover(&opened.plain) {
            ctx.core.stats.cover_received += 1;
            return;
        }
        let Ok(frame) = Frame::decode(&opened.plain) else {
            self.refuse(Some(opened.kid.leaf), OpenError::Malformed, ctx);
            return;
        };
        let mut events = std::collections::VecDeque::new();
        let given = self.subscriber.on_frame(ctx.now.mono, &arrived, opened.kid, frame, &mut events);
        for event in events {
            self.tell(event, ctx);
        }
        if given == Given::Withheld {
            ctx.core.stats.frames_withheld += 1;
        }
    }

    /// A catalog or a control word.
    fn on_word(&mut self, arrived: Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Some((_, opened)) = self.open(arrived, ctx) else { return };
        let from = opened.kid.leaf;
        let taken = match opened.kid.stream {
            CATALOG_STREAM => self.on_catalog(&opened, ctx),
            CONTROL_STREAM => self.on_control(&opened, ctx),
            _ => Err(OpenError::Malformed),
        };
        if let Err(reason) = taken {
            self.refuse(Some(from), reason, ctx);
        }
    }

    fn on_catalog(&mut self, opened: &Opened, ctx: &mut Ctx<'_, impl Outlet>) -> Result<(), OpenError> {
        let from = opened.kid.leaf;
        let (Some(id), Some(key)) = (self.roster.id(from), self.roster.key(from)) else {
            return Err(OpenError::UnknownSender);
        };
        let plain = unpad(&opened.plain).map_err(|_| OpenError::Malformed)?;
        let catalog = Catalog::verify(&plain, self.author(from), key)?;
        let change = self.catalogs.update(from, catalog);
        self.carriers.on_catalog();
        for line in &change.gone {
            let replaced = change.new.iter().any(|new| new.track == line.track && new.stream == line.stream);
            if !replaced {
                self.unclaim(from, line.track, ctx);
            }
        }
        for line in change.new {
            let (track, stream) = (line.track, line.stream);
            let event = self.subscriber.claim(ctx.now.mono, id, line);
            if matches!(event, Event::TrackPublished(_)) {
                self.trusts.begin(from, stream);
                self.mind(track, ctx);
            }
            self.tell(event, ctx);
        }
        self.on_about(from, ctx);
        self.subscribe(ctx);
        Ok(())
    }

    fn unclaim(&mut self, from: u16, track: conclave_federation::id::TrackId, ctx: &mut Ctx<'_, impl Outlet>) {
        if let Some((event, alias)) = self.subscriber.unclaim(from, track) {
            if let Some(alias) = alias {
                ctx.notify(Notice::Unsubscribe(alias));
            }
            self.tell(event, ctx);
        }
    }

    /// A leaf is gone, and all that was known of it.
    pub(super) fn forget_leaf(&mut self, gone: u16, ctx: &mut Ctx<'_, impl Outlet>) {
        self.pulse.forget(gone);
        self.gestures.forget(gone);
        self.trusts.forget(gone);
        self.carriers.on_catalog();
        for line in self.catalogs.remove(gone) {
            self.unclaim(gone, line.track, ctx);
        }
    }

    fn on_directory(&mut self, arrived: &Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Ok(directory) = Directory::decode(&arrived.payload) else {
            self.refuse(None, OpenError::Malformed, ctx);
            return;
        };
        let now = ctx.now.mono;
        self.carriers.on_directory(&directory);
        match directory {
            Directory::Whole(listings) => {
                let named: std::collections::BTreeSet<_> = listings.iter().map(|listing| listing.track).collect();
                self.subscriber.wanted.unlist_others(|track| named.contains(&track));
                for listing in listings {
                    let ours = self.is_ours(listing.track);
                    self.subscriber.wanted.list(listing.track, listing.class, ours, now);
                }
            }
            Directory::Added(listing) => {
                let ours = self.is_ours(listing.track);
                if self.subscriber.wanted.listed() < MAX_DIRECTORY {
                    self.subscriber.wanted.list(listing.track, listing.class, ours, now);
                }
            }
            Directory::Removed(track) => self.subscriber.wanted.unlist(track),
        }
        self.subscribe(ctx);
    }

    fn is_ours(&mut self, track: conclave_federation::id::TrackId) -> bool {
        self.own.was(track) || self.own.by_id(track).is_some() || self.publisher.local(track).is_some()
    }

    fn on_knock(&mut self, arrived: &Arrived, ctx: &mut Ctx<'_, impl Outlet>) {
        let Ok(knock) = Knock::decode(&arrived.payload) else {
            self.refuse(None, OpenError::Malformed, ctx);
            return;
        };
        self.on_shown(knock.id, ctx);
        let Some(group) = self.seat.group() else { return };
        match group.open_request(&knock) {
            Ok(Knocked::Enter(candidate)) => {
                // Who asks for the first time and is in already was served before we saw it: to serve them again would
                // take the leaf from under them.
                let served =
                    candidate.kind == RequestKind::Join && candidate.attempt <= 1 && group.leaf_of(&candidate.key).is_some();
                if !served && candidate.is_back {
                    self.committer.on_request(*candidate, ctx.now.mono);
                } else if !served {
                    self.on_asker(*candidate, ctx);
                }
            }
            Ok(Knocked::Leave(id, note)) => {
                let here = group.leaf_of(&note.key) == Some(note.leaf);
                let gone = leaf(note.leaf);
                if here && gone != self.me {
                    self.committer.on_leave(note, Some(id), ctx.now.mono);
                    if let Some(event) = self.roster.on_leaving(gone) {
                        self.tell(event, ctx);
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "knock passed over");
                ctx.core.stats.knocks_refused += 1;
            }
        }
    }
}

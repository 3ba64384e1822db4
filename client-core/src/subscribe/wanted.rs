//! Which tracks we want, which of them the relay sends, and when to ask again.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    id::{Alias, TrackId},
    limits::MAX_LEAVES,
    track::Class,
    wire::message::Start,
};

/// Reliable tracks of others: three each in a full room, and as many again that were not taken down yet.
const MAX_RELIABLE: usize = 6 * MAX_LEAVES as usize;

/// Media tracks that are received at once. Rooms larger than this choose whom to see; the first ones win until they do.
const MAX_MEDIA: usize = 1_024;

/// Subscriptions that may be unanswered at once: a few round trips' worth, far below what a session allows.
const MAX_ASKED: usize = 64;

/// The first wait after a refusal; doubles. The hub's directory may be ahead of the relay that has to know the track.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Refusals in a row after which a warning is given, once; asking goes on as long as the track is listed.
const WARN_AFTER: u32 = 6;

/// What a track is to us.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum What {
    /// The hub's log.
    Log,
    /// The hub's directory.
    Directory,
    /// The hub's mailbox.
    Requests,
    /// Somebody's catalog, control or chat.
    Reliable,
    /// Somebody's sound or picture.
    Media,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not published as far as the directory says.
    Unlisted,
    /// To be asked for at this time.
    Due(Duration),
    /// Asked for.
    Asked,
    /// It comes, marked so.
    Active(Alias),
}

struct Want {
    what: What,
    state: State,
    refusals: u32,
    /// Object after the last one seen: where to go on.
    next: u64,
}

/// All subscriptions of a room.
#[derive(Default)]
pub(crate) struct Wanted {
    tracks: BTreeMap<TrackId, Want>,
    by_alias: BTreeMap<Alias, TrackId>,
    /// What the directory lists; bounded where it is read.
    listed: BTreeMap<TrackId, Class>,
}

impl Wanted {
    /// The hub's own tracks; the log from its next entry.
    pub(crate) fn new(next_entry: u64, now: Duration) -> Self {
        let mut wanted = Self::default();
        let whole_log = next_entry <= 1;
        for (track, what, next) in [
            (TrackId::LOG, What::Log, next_entry),
            (TrackId::DIRECTORY, What::Directory, 0),
            (TrackId::REQUESTS, What::Requests, u64::from(!whole_log)),
        ] {
            wanted.tracks.insert(track, Want { what, state: State::Due(now), refusals: 0, next });
        }
        wanted
    }

    /// A track appeared in the directory; `ours` are not subscribed.
    pub(crate) fn list(&mut self, track: TrackId, class: Class, ours: bool, now: Duration) {
        if track.is_reserved() || ours {
            return;
        }
        self.listed.insert(track, class);
        if class == Class::Reliable && !self.tracks.contains_key(&track) && self.make_room() {
            self.tracks.insert(track, Want { what: What::Reliable, state: State::Unlisted, refusals: 0, next: 0 });
        }
        if let Some(want) = self.tracks.get_mut(&track).filter(|want| want.state == State::Unlisted) {
            want.state = State::Due(now);
        }
    }

    /// Whether one more reliable track may be followed. Those that are not listed are remembered as long as there is room:
    /// when one comes back, we go on where we were.
    fn make_room(&mut self) -> bool {
        let reliable = |want: &Want| want.what == What::Reliable;
        if self.tracks.values().filter(|want| reliable(want)).count() < MAX_RELIABLE {
            return true;
        }
        let gone = self.tracks.iter().find(|(_, want)| reliable(want) && want.state == State::Unlisted).map(|(track, _)| *track);
        gone.is_some_and(|track| self.tracks.remove(&track).is_some())
    }

    /// How many tracks the directory lists.
    pub(crate) fn listed(&self) -> usize {
        self.listed.len()
    }

    /// A track disappeared from the directory. What comes goes on coming until our relay ends it, and what is asked for is
    /// answered: a hub that was started anew lists nothing for a moment, and nobody's track has ended with that.
    pub(crate) fn unlist(&mut self, track: TrackId) {
        self.listed.remove(&track);
        if let Some(want) = self.tracks.get_mut(&track).filter(|want| matches!(want.state, State::Due(_))) {
            want.state = State::Unlisted;
        }
    }

    /// The directory as a whole: what is not in it is gone.
    pub(crate) fn unlist_others(&mut self, keep: impl Fn(TrackId) -> bool) {
        let gone: Vec<_> = self.listed.keys().copied().filter(|track| !keep(*track)).collect();
        for track in gone {
            self.unlist(track);
        }
    }

    /// Somebody's catalog names a media track.
    pub(crate) fn want_media(&mut self, track: TrackId, now: Duration) {
        let count = self.tracks.values().filter(|want| want.what == What::Media).count();
        if self.tracks.contains_key(&track) || count >= MAX_MEDIA {
            return;
        }
        let listed = self.listed.get(&track).is_some_and(|class| *class != Class::Reliable);
        let state = if listed { State::Due(now) } else { State::Unlisted };
        self.tracks.insert(track, Want { what: What::Media, state, refusals: 0, next: 0 });
    }

    /// Nobody's catalog names it any more: the alias to unsubscribe.
    pub(crate) fn drop_media(&mut self, track: TrackId) -> Option<Alias> {
        if self.tracks.get(&track)?.what != What::Media {
            return None;
        }
        match self.tracks.remove(&track)?.state {
            State::Active(alias) => {
                self.by_alias.remove(&alias);
                Some(alias)
            }
            State::Unlisted | State::Due(_) | State::Asked => None,
        }
    }

    /// Whether as much is asked for as may be at once.
    fn is_busy(&self) -> bool {
        self.tracks.values().filter(|want| want.state == State::Asked).count() >= MAX_ASKED
    }

    /// The next one to ask for, now.
    pub(crate) fn next_due(&mut self, now: Duration) -> Option<(TrackId, Start)> {
        if self.is_busy() {
            return None;
        }
        let due = self.tracks.iter_mut().find(|(_, want)| matches!(want.state, State::Due(at) if at <= now));
        let (track, want) = due?;
        want.state = State::Asked;
        let start = match want.what {
            What::Log | What::Reliable => Start::From(want.next),
            What::Directory => Start::Current,
            // Of what was asked before we listened some is served already, and we could not tell which. Whoever is not
            // served asks again. Only who has seen the whole log may look at all of it.
            What::Requests if want.next == 0 => Start::From(0),
            What::Requests => Start::Next,
            What::Media => Start::Next,
        };
        Some((*track, start))
    }

    /// It comes. `false`: it is not wanted any more, so it has to be unsubscribed.
    pub(crate) fn on_subscribed(&mut self, track: TrackId, alias: Alias) -> bool {
        match self.tracks.get_mut(&track) {
            Some(want) if want.state == State::Asked => {
                want.state = State::Active(alias);
                want.refusals = 0;
                self.by_alias.insert(alias, track);
                true
            }
            // Asked for twice, because it was not listed for a moment: the second answer says what the first did.
            Some(want) => want.state == State::Active(alias),
            None => false,
        }
    }

    /// It does not come: asked for again later, as long as it is listed. `true`: people should be told.
    pub(crate) fn on_refused(&mut self, track: TrackId, now: Duration) -> bool {
        let Some(want) = self.tracks.get_mut(&track).filter(|want| want.state == State::Asked) else { return false };
        want.refusals = want.refusals.saturating_add(1);
        if !self.listed.contains_key(&track) && !track.is_reserved() {
            want.state = State::Unlisted;
            return false;
        }
        want.state = State::Due(now + FIRST_RETRY * (1 << want.refusals.min(5)) / 2);
        want.refusals == WARN_AFTER
    }

    /// Its sender ended it: asked for again, if it is still listed.
    pub(crate) fn on_ended(&mut self, alias: Alias, now: Duration) {
        let Some(track) = self.by_alias.remove(&alias) else { return };
        let listed = self.listed.contains_key(&track) || track.is_reserved();
        if let Some(want) = self.tracks.get_mut(&track) {
            want.state = if listed { State::Due(now + FIRST_RETRY) } else { State::Unlisted };
        }
    }

    /// A new proof was taken: what was refused before is asked for again, at once.
    pub(crate) fn ask_now(&mut self, now: Duration) {
        for want in self.tracks.values_mut() {
            if let State::Due(at) = &mut want.state {
                *at = now.min(*at);
                want.refusals = 0;
            }
        }
    }

    /// The session is gone: everything is asked for again on the next one; the directory will say anew what there is.
    pub(crate) fn on_lost(&mut self, now: Duration) {
        self.by_alias.clear();
        self.listed.clear();
        for (track, want) in &mut self.tracks {
            if want.what == What::Requests {
                want.next = 1;
            }
            want.state = if track.is_reserved() { State::Due(now) } else { State::Unlisted };
            want.refusals = 0;
        }
    }

    /// What an alias means.
    pub(crate) fn track(&self, alias: Alias) -> Option<(TrackId, What)> {
        let track = *self.by_alias.get(&alias)?;
        Some((track, self.tracks.get(&track)?.what))
    }

    /// How an active track is marked.
    pub(crate) fn alias(&self, track: TrackId) -> Option<Alias> {
        match self.tracks.get(&track)?.state {
            State::Active(alias) => Some(alias),
            State::Unlisted | State::Due(_) | State::Asked => None,
        }
    }

    /// Whether the hub's tracks come: from then on we are part of the call.
    pub(crate) fn is_following(&self) -> bool {
        [TrackId::LOG, TrackId::DIRECTORY].iter().all(|track| self.alias(*track).is_some())
    }

    /// An object of a reliable track: `false` when it was seen before.
    pub(crate) fn is_new(&mut self, track: TrackId, object: u64) -> bool {
        let Some(want) = self.tracks.get_mut(&track) else { return false };
        if object < want.next {
            return false;
        }
        want.next = object.saturating_add(1);
        true
    }

    /// Where the log goes on, when it was read by another way.
    pub(crate) fn log_is_at(&mut self, next_entry: u64) {
        if let Some(want) = self.tracks.get_mut(&TrackId::LOG) {
            want.next = next_entry;
        }
    }

    /// The log is asked for again at once, from where we are.
    pub(crate) fn restart_log(&mut self, now: Duration) -> Option<Alias> {
        let want = self.tracks.get_mut(&TrackId::LOG)?;
        match want.state {
            State::Active(alias) => {
                want.state = State::Due(now);
                self.by_alias.remove(&alias);
                Some(alias)
            }
            State::Unlisted | State::Due(_) | State::Asked => None,
        }
    }

    /// When something has to be asked for.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        if self.is_busy() {
            // An answer comes first.
            return None;
        }
        let due = self.tracks.values().filter_map(|want| match want.state {
            State::Due(at) => Some(at),
            State::Unlisted | State::Asked | State::Active(_) => None,
        });
        due.min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(1);

    fn due(wanted: &mut Wanted, now: Duration) -> Vec<TrackId> {
        std::iter::from_fn(|| wanted.next_due(now)).map(|(track, _)| track).collect()
    }

    #[test]
    fn the_hubs_tracks_are_asked_for_at_once_and_the_log_from_its_next_entry() {
        let mut wanted = Wanted::new(7, AT);
        assert_eq!(wanted.next_due(AT), Some((TrackId::LOG, Start::From(7))));
        assert_eq!(wanted.next_due(AT), Some((TrackId::DIRECTORY, Start::Current)));
        assert_eq!(wanted.next_due(AT), Some((TrackId::REQUESTS, Start::Next)));
        assert_eq!(wanted.next_due(AT), None);
        let mut founder = Wanted::new(1, AT);
        assert_eq!(founder.next_due(AT), Some((TrackId::LOG, Start::From(1))));
        assert_eq!(founder.next_due(AT), Some((TrackId::DIRECTORY, Start::Current)));
        assert_eq!(founder.next_due(AT), Some((TrackId::REQUESTS, Start::From(0))));
        assert!(wanted.on_subscribed(TrackId::LOG, Alias::new(1)));
        assert!(!wanted.is_following());
        assert!(wanted.on_subscribed(TrackId::DIRECTORY, Alias::new(2)));
        assert!(wanted.is_following());
        assert_eq!(wanted.track(Alias::new(1)), Some((TrackId::LOG, What::Log)));
    }

    #[test]
    fn reliable_tracks_are_wanted_when_listed_and_media_when_somebody_names_them() {
        let mut wanted = Wanted::new(0, AT);
        due(&mut wanted, AT);
        wanted.list(TrackId(100), Class::Reliable, false, AT);
        wanted.list(TrackId(101), Class::Reliable, true, AT);
        wanted.list(TrackId(102), Class::Groups, false, AT);
        assert_eq!(due(&mut wanted, AT), [TrackId(100)]);
        wanted.want_media(TrackId(102), AT);
        wanted.want_media(TrackId(103), AT);
        assert_eq!(due(&mut wanted, AT), [TrackId(102)]);
        wanted.list(TrackId(103), Class::Datagram, false, AT);
        assert_eq!(due(&mut wanted, AT), [TrackId(103)]);
        wanted.on_subscribed(TrackId(102), Alias::new(9));
        assert_eq!(wanted.drop_media(TrackId(102)), Some(Alias::new(9)));
        assert_eq!(wanted.track(Alias::new(9)), None);
    }

    #[test]
    fn regression_a_track_that_is_not_listed_for_a_moment_goes_on() {
        // The hub was started anew. Its first directory was empty, what came meanwhile was nobody's, and when the track was
        // asked for again, the newest of it was taken first and the rest for seen.
        let (mut wanted, track) = (Wanted::new(0, AT), TrackId(100));
        due(&mut wanted, AT);
        wanted.list(track, Class::Reliable, false, AT);
        assert_eq!(due(&mut wanted, AT), [track]);
        assert!(wanted.on_subscribed(track, Alias::new(5)));
        wanted.unlist_others(|_| false);
        assert_eq!(wanted.track(Alias::new(5)), Some((track, What::Reliable)));
        wanted.list(track, Class::Reliable, false, AT);
        assert_eq!(due(&mut wanted, AT), []);
        wanted.unlist(track);
        wanted.on_ended(Alias::new(5), AT);
        assert_eq!((wanted.track(Alias::new(5)), due(&mut wanted, AT + FIRST_RETRY)), (None, vec![]));
    }

    #[test]
    fn regression_what_is_asked_for_is_not_asked_for_twice() {
        // A publisher came back to the same relay: the directory took the track down and listed it again while the
        // subscription was on its way, and the answer to the second one had it unsubscribed.
        let (mut wanted, track) = (Wanted::new(0, AT), TrackId(100));
        due(&mut wanted, AT);
        wanted.list(track, Class::Reliable, false, AT);
        assert_eq!(due(&mut wanted, AT), [track]);
        wanted.unlist(track);
        wanted.list(track, Class::Reliable, false, AT);
        assert_eq!(due(&mut wanted, AT), []);
        assert!(wanted.on_subscribed(track, Alias::new(5)));
        assert!(wanted.on_subscribed(track, Alias::new(5)));
        assert!(!wanted.on_subscribed(track, Alias::new(6)));
    }

    #[test]
    fn a_refused_track_that_is_not_listed_any_more_is_left() {
        let (mut wanted, track) = (Wanted::new(0, AT), TrackId(100));
        due(&mut wanted, AT);
        wanted.list(track, Class::Reliable, false, AT);
        due(&mut wanted, AT);
        wanted.unlist(track);
        assert!(!wanted.on_refused(track, AT));
        assert_eq!(wanted.next_timeout(), None);
        wanted.list(track, Class::Reliable, false, AT);
        assert_eq!(due(&mut wanted, AT), [track]);
    }

    #[test]
    fn a_refused_track_is_asked_for_again_later_and_people_are_told_once() {
        let mut wanted = Wanted::new(0, AT);
        due(&mut wanted, AT);
        let mut now = AT;
        let mut told = 0;
        for _ in 0..10 {
            told += u32::from(wanted.on_refused(TrackId::LOG, now));
            assert_eq!(wanted.next_due(now), None);
            now = wanted.next_timeout().unwrap();
            assert_eq!(due(&mut wanted, now), [TrackId::LOG]);
        }
        assert_eq!(told, 1);
    }

    #[test]
    fn after_a_lost_session_everything_is_asked_for_again_from_where_it_was() {
        let mut wanted = Wanted::new(0, AT);
        wanted.list(TrackId(100), Class::Reliable, false, AT);
        due(&mut wanted, AT);
        wanted.on_subscribed(TrackId(100), Alias::new(5));
        assert!(wanted.is_new(TrackId(100), 0) && wanted.is_new(TrackId(100), 4));
        assert!(!wanted.is_new(TrackId(100), 4) && !wanted.is_new(TrackId(100), 1));
        wanted.log_is_at(12);
        wanted.on_lost(AT);
        assert_eq!(wanted.track(Alias::new(5)), None);
        assert_eq!(wanted.next_due(AT), Some((TrackId::LOG, Start::From(12))));
        assert_eq!(due(&mut wanted, AT), [TrackId::DIRECTORY, TrackId::REQUESTS]);
        wanted.list(TrackId(100), Class::Reliable, false, AT);
        assert_eq!(wanted.next_due(AT), Some((TrackId(100), Start::From(5))));
    }

    #[test]
    fn a_hub_that_lists_tracks_without_end_finds_an_end() {
        let mut wanted = Wanted::new(0, AT);
        for track in 16..20_000 {
            wanted.list(TrackId(track), Class::Reliable, false, AT);
            wanted.want_media(TrackId(1 << 40 | track), AT);
        }
        assert!(wanted.tracks.len() <= MAX_RELIABLE + MAX_MEDIA + 3);
        assert_eq!(due(&mut wanted, AT).len(), MAX_ASKED);
    }

    #[test]
    fn an_answer_to_what_is_not_wanted_any_more_has_to_be_taken_back() {
        let mut wanted = Wanted::new(0, AT);
        wanted.list(TrackId(100), Class::Groups, false, AT);
        wanted.want_media(TrackId(100), AT);
        due(&mut wanted, AT);
        assert_eq!(wanted.drop_media(TrackId(100)), None);
        assert!(!wanted.on_subscribed(TrackId(100), Alias::new(5)));
        wanted.on_subscribed(TrackId::LOG, Alias::new(6));
        wanted.on_ended(Alias::new(6), AT);
        assert_eq!(wanted.next_timeout(), Some(AT + FIRST_RETRY));
    }
}

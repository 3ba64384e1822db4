//! Tracks between the application's wish and the room's word: who waits for which answer.

use std::{collections::BTreeMap, sync::Arc};

use conclave_client_core::api::{LocalTrack, Media, Warning};
use tokio::sync::{Notify, oneshot};

use crate::error::PublishError;

/// The tracks of this participant.
#[derive(Default)]
pub(crate) struct Tracks {
    tracks: BTreeMap<LocalTrack, Published>,
}

struct Published {
    /// Of whoever waits for the room's word; `None` after it.
    reply: Option<oneshot::Sender<Result<(), PublishError>>>,
    wanted: Arc<Notify>,
}

/// A track that the application asks for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) track: LocalTrack,
    pub(crate) media: Media,
    pub(crate) wanted: Arc<Notify>,
    pub(crate) reply: oneshot::Sender<Result<(), PublishError>>,
}

impl Tracks {
    pub(crate) fn on_wish(&mut self, track: LocalTrack, wanted: Arc<Notify>, reply: oneshot::Sender<Result<(), PublishError>>) {
        self.tracks.insert(track, Published { reply: Some(reply), wanted });
    }

    /// The room's word. `false` when nobody waits for it any more, and the track has to end again.
    pub(crate) fn on_published(&mut self, track: LocalTrack) -> bool {
        let Some(published) = self.tracks.get_mut(&track) else { return false };
        match published.reply.take() {
            None => true,
            Some(reply) => reply.send(Ok(())).is_ok(),
        }
    }

    /// `true` when the warning answers a wish, and is nobody else's concern. It does not say which: the handle asks for
    /// one track at a time, so it is the one that waits.
    pub(crate) fn on_warning(&mut self, warning: Warning) -> bool {
        let error = match warning {
            Warning::PublishRefused(code) => PublishError::Refused(code),
            Warning::TooManyTracks => PublishError::TooMany,
            Warning::UnpinnedRelay
            | Warning::ChatTooLong
            | Warning::ChatNotSent
            | Warning::FrameTooLarge
            | Warning::SubscribeRefused(_)
            | Warning::Rejoined
            | Warning::HistoryMismatch
            | Warning::RecordMismatch
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
            | Warning::NotChanged => return false,
        };
        let Some(track) = self.tracks.iter().find(|(_, published)| published.reply.is_some()).map(|(track, _)| *track) else {
            return false;
        };
        match self.tracks.remove(&track).and_then(|published| published.reply) {
            Some(reply) => reply.send(Err(error)).is_ok(),
            None => false,
        }
    }

    /// Forgets it; `false` when it was not there.
    pub(crate) fn on_unpublish(&mut self, track: LocalTrack) -> bool {
        self.tracks.remove(&track).is_some()
    }

    pub(crate) fn on_key_frame_wanted(&self, track: LocalTrack) {
        if let Some(published) = self.tracks.get(&track) {
            published.wanted.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use conclave_federation::wire::code::Code;

    use super::*;

    type Answer = oneshot::Receiver<Result<(), PublishError>>;

    fn wish(tracks: &mut Tracks, track: u32) -> (Answer, Arc<Notify>) {
        let (reply, answer) = oneshot::channel();
        let wanted = Arc::new(Notify::new());
        tracks.on_wish(LocalTrack(track), wanted.clone(), reply);
        (answer, wanted)
    }

    #[test]
    fn the_answer_reaches_who_asked() {
        let mut tracks = Tracks::default();
        let (mut answer, _) = wish(&mut tracks, 1);
        assert!(tracks.on_published(LocalTrack(1)));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        assert!(tracks.on_published(LocalTrack(1)), "again after a reconnect");
        assert!(!tracks.on_warning(Warning::TooManyTracks), "nobody waits: everybody should know");
    }

    #[test]
    fn a_refusal_ends_the_wish_and_no_other_warning_does() {
        let mut tracks = Tracks::default();
        let (mut answer, _) = wish(&mut tracks, 1);
        assert!(!tracks.on_warning(Warning::Rejoined));
        assert!(tracks.on_warning(Warning::PublishRefused(Code::FULL)));
        assert_eq!(answer.try_recv(), Ok(Err(PublishError::Refused(Code::FULL))));
        assert!(!tracks.on_unpublish(LocalTrack(1)));
    }

    #[test]
    fn a_track_that_nobody_waits_for_any_more_is_to_end() {
        let mut tracks = Tracks::default();
        drop(wish(&mut tracks, 1).0);
        assert!(!tracks.on_published(LocalTrack(1)));
        assert!(tracks.on_unpublish(LocalTrack(1)));
        assert!(!tracks.on_published(LocalTrack(1)));
    }

    #[tokio::test]
    async fn key_frame_requests_wake_the_publisher_of_that_track() {
        let mut tracks = Tracks::default();
        let (_one, first) = wish(&mut tracks, 1);
        let (_two, second) = wish(&mut tracks, 2);
        tracks.on_key_frame_wanted(LocalTrack(2));
        tracks.on_key_frame_wanted(LocalTrack(2));
        tracks.on_key_frame_wanted(LocalTrack(3));
        second.notified().await;
        let mut idle = std::pin::pin!(first.notified());
        assert!(!idle.as_mut().enable(), "the other track was not asked for");
    }
}

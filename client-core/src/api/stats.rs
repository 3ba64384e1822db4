//! What a client counts.

use super::OpenError;

/// What a client has counted so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stats {
    /// Frames handed over by the application that left.
    pub frames_sent: u64,
    /// Frames handed over that were dropped: nobody could take them.
    pub frames_dropped: u64,
    /// Frames handed over for a track that is said to be muted: refused.
    pub frames_muted: u64,
    /// Frames dropped because the room's control was out of reach for a minute.
    pub frames_stopped: u64,
    /// Objects opened, of all kinds.
    pub objects_opened: u64,
    /// Objects that are not what participants send.
    pub refused_malformed: u64,
    /// Objects of epochs whose keys are not held.
    pub refused_unknown_key: u64,
    /// Objects from before we joined.
    pub refused_before_join: u64,
    /// Objects that nobody in the room sealed for their place.
    pub refused_forged: u64,
    /// Objects seen before.
    pub refused_replayed: u64,
    /// Objects of somebody who does not own the track.
    pub refused_wrong_sender: u64,
    /// Objects with a signature inside that does not verify.
    pub refused_bad_signature: u64,
    /// Objects beyond a bound.
    pub refused_too_much: u64,
    /// Control words of a kind from the future, passed over.
    pub control_unknown: u64,
    /// Control words that were here before.
    pub control_repeated: u64,
    /// Beacons that do not open: of another generation.
    pub beacons_refused: u64,
    /// Heartbeats that say another head of the log than the one we hold.
    pub heads_contradicted: u64,
    /// Times that the log was asked for again, because others went on without us.
    pub log_asked_again: u64,
    /// Entries of the log that were applied.
    pub entries_applied: u64,
    /// Entries of the log that were skipped, as by everybody.
    pub entries_skipped: u64,
    /// Entries of the log that we made.
    pub entries_made: u64,
    /// Requests in the mailbox that were passed over.
    pub knocks_refused: u64,
    /// Sessions with the entry relay.
    pub sessions: u64,
    /// Ways back into the group.
    pub rejoins: u64,
    /// Frames that the application did not fetch in time.
    pub events_dropped: u64,
}

impl Stats {
    pub(crate) const fn count_refused(&mut self, reason: OpenError) {
        let counter = match reason {
            OpenError::Malformed => &mut self.refused_malformed,
            OpenError::UnknownKey => &mut self.refused_unknown_key,
            OpenError::BeforeJoin => &mut self.refused_before_join,
            OpenError::Forged => &mut self.refused_forged,
            OpenError::Replayed => &mut self.refused_replayed,
            OpenError::WrongSender => &mut self.refused_wrong_sender,
            OpenError::BadSignature => &mut self.refused_bad_signature,
            OpenError::TooMuch => &mut self.refused_too_much,
        };
        *counter += 1;
    }
}

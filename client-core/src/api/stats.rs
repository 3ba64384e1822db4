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
    /// Objects of epochs that were not reached while they were held.
    pub refused_no_key_yet: u64,
    /// Objects of epochs that were left.
    pub refused_left_epoch: u64,
    /// Objects from before we joined.
    pub refused_before_join: u64,
    /// Objects whose authentication fails.
    pub refused_damaged: u64,
    /// Objects of another track of their sender than the one they came on.
    pub refused_wrong_object: u64,
    /// Objects seen before.
    pub refused_replayed: u64,
    /// Objects of somebody who is not in the room, or does not own the track.
    pub refused_unknown_sender: u64,
    /// Objects with a signature inside that does not verify.
    pub refused_bad_signature: u64,
    /// Objects beyond a bound.
    pub refused_too_much: u64,
    /// Control words of a kind from the future, passed over.
    pub control_unknown: u64,
    /// Control words that were here before.
    pub control_repeated: u64,
    /// Leaf keys that were said to all when the call was over.
    pub leaf_keys_revealed: u64,
    /// Beacons that do not open: of another generation.
    pub beacons_refused: u64,
    /// Heartbeats that say another head of the log than the one we hold.
    pub heads_contradicted: u64,
    /// Times that the log was asked for again: others went on without us, or objects came of an epoch that it had not brought.
    pub log_asked_again: u64,
    /// Frames of silence that were sent in place of frames: private audio.
    pub cover_sent: u64,
    /// Frames of silence that came.
    pub cover_received: u64,
    /// How often a key frame was asked for, because an object of a picture was damaged or of another track.
    pub repairs_asked: u64,
    /// Words of ours about what we sealed, and about the keys that sign them.
    pub attest_said: u64,
    /// Words of others about what they sealed that nobody signed who may.
    pub attest_refused: u64,
    /// Frames that were opened and not delivered: nobody answers for them, or somebody forged some.
    pub frames_withheld: u64,
    /// Entries of the log that were applied.
    pub entries_applied: u64,
    /// Entries of the log that were skipped, as by everybody.
    pub entries_skipped: u64,
    /// Entries of the log that we made.
    pub entries_made: u64,
    /// Messages told to us as newcomers that were forged, altered, too old or too many.
    pub history_refused: u64,
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
            OpenError::NoKeyYet => &mut self.refused_no_key_yet,
            OpenError::LeftEpoch => &mut self.refused_left_epoch,
            OpenError::BeforeJoin => &mut self.refused_before_join,
            OpenError::Damaged => &mut self.refused_damaged,
            OpenError::WrongObject => &mut self.refused_wrong_object,
            OpenError::Replayed => &mut self.refused_replayed,
            OpenError::UnknownSender => &mut self.refused_unknown_sender,
            OpenError::BadSignature => &mut self.refused_bad_signature,
            OpenError::TooMuch => &mut self.refused_too_much,
        };
        *counter += 1;
    }
}

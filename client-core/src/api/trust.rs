//! How sure it is that a track's frames are from who they seem to be from.

/// What is known of a stream's frames: everybody in the room can seal in anybody's name, so who really sent what is said
/// by signed digests, about once a second.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Trust {
    /// No word yet: the track has just begun.
    #[default]
    Fresh,
    /// Its publisher signed what was received, up to the last second or two.
    Verified,
    /// Frames of more than two seconds ago are signed by nobody.
    Doubtful,
    /// Its frames are not delivered.
    Muted(Muted),
}

/// Why a track is muted on our side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Muted {
    /// Frames of more than five seconds ago are signed by nobody. It ends when its publisher signs again what is received.
    NoWords,
    /// Its publisher signed something else than what was received: somebody forges their frames. It ends when they publish
    /// the track anew, or come in again.
    Contradiction,
}

//! Small words between people: reactions, and the request to be quiet. Nobody's microphone is anybody else's to open or close.

use std::{collections::BTreeMap, time::Duration};

use conclave_federation::{
    proof::VerifyingKey,
    wire::{Text, Wire},
};

use crate::{
    api::{Command, Kind},
    catalog::{kind_number, kind_of},
    wire::wire_struct,
};

/// Gestures of one leaf that are shown in a second; more are refused and counted.
const A_SECOND: u8 = 5;

wire_struct! {
    /// A sign that is shown for a moment.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub(crate) struct Reaction {
        /// Counts the sender's gestures up: what was said once is not said again by somebody else.
        pub(crate) number: u32,
        /// An emoji, as a rule.
        pub(crate) text: Text<{ Command::MAX_REACTION }>,
    }
}

/// Asks somebody to mute a track of theirs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MuteRequest {
    /// As in [`Reaction`].
    pub(crate) number: u32,
    /// Whom.
    pub(crate) to: VerifyingKey,
    /// What.
    pub(crate) kind: Kind,
}

impl Wire for MuteRequest {
    fn put(&self, out: &mut conclave_federation::wire::Writer) {
        out.u32(self.number);
        self.to.put(out);
        out.u8(kind_number(self.kind));
    }

    fn take(from: &mut conclave_federation::wire::Reader<'_>) -> Result<Self, conclave_federation::wire::Malformed> {
        let (number, to) = (from.u32()?, Wire::take(from)?);
        let kind = kind_of(from.u8()?).ok_or(conclave_federation::wire::Malformed::Value("kind of track"))?;
        Ok(Self { number, to, kind })
    }
}

/// What others sent lately, and what we did.
#[derive(Default)]
pub(crate) struct Gestures {
    number: u32,
    own: Pace,
    others: BTreeMap<u16, (u32, Pace)>,
}

/// Gestures in the second that began then.
#[derive(Default, Clone, Copy)]
struct Pace {
    since: Duration,
    count: u8,
}

impl Pace {
    fn may(&mut self, now: Duration) -> bool {
        if self.since + Duration::from_secs(1) <= now {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count <= A_SECOND
    }
}

impl Gestures {
    /// The number of our next one; `None`: too many.
    pub(crate) fn next(&mut self, now: Duration) -> Option<u32> {
        if !self.own.may(now) {
            return None;
        }
        self.number = self.number.wrapping_add(1);
        Some(self.number)
    }

    /// Somebody's came; `None`: more than are shown. `Some(false)`: it was here before.
    pub(crate) fn on(&mut self, leaf: u16, number: u32, now: Duration) -> Option<bool> {
        let (last, pace) = self.others.entry(leaf).or_default();
        if number <= *last {
            return Some(false);
        }
        if !pace.may(now) {
            return None;
        }
        *last = number;
        Some(true)
    }

    /// A leaf is gone, or another sits there now.
    pub(crate) fn forget(&mut self, leaf: u16) {
        self.others.remove(&leaf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gesture_counts_once_and_five_a_second() {
        let mut gestures = Gestures::default();
        assert_eq!(gestures.on(1, 3, Duration::ZERO), Some(true));
        assert_eq!(gestures.on(1, 3, Duration::ZERO), Some(false), "said again");
        assert_eq!(gestures.on(1, 2, Duration::ZERO), Some(false), "older");
        assert_eq!(gestures.on(2, 3, Duration::ZERO), Some(true), "somebody else's");
        for number in 4..8 {
            assert_eq!(gestures.on(1, number, Duration::ZERO), Some(true));
        }
        assert_eq!(gestures.on(1, 8, Duration::from_millis(999)), None);
        assert_eq!(gestures.on(1, 9, Duration::from_secs(1)), Some(true));
        for number in 1..=5 {
            assert_eq!(gestures.next(Duration::from_secs(9)), Some(number));
        }
        assert_eq!(gestures.next(Duration::from_secs(9)), None);
        assert_eq!(gestures.next(Duration::from_secs(10)), Some(6));
    }

    #[test]
    fn gestures_are_spelled_in_these_bytes() {
        let reaction = Reaction { number: 2, text: Text::cut("hm") };
        assert_eq!(reaction.encode(), [&[0, 0, 0, 2][..], &[0, 2], b"hm"].concat());
        assert_eq!(Reaction::decode(&reaction.encode()), Ok(reaction));
        let long = [&[0, 0, 0, 2][..], &[0, 17], &[b'x'; 17]].concat();
        assert!(Reaction::decode(&long.into()).is_err());
        let request = MuteRequest { number: 2, to: VerifyingKey::new([7; 32]), kind: Kind::Camera };
        let bytes = request.encode();
        assert_eq!(bytes, [&[0, 0, 0, 2][..], &[7; 32], &[2]].concat());
        assert_eq!(MuteRequest::decode(&bytes), Ok(request));
        for len in 0..bytes.len() {
            assert!(MuteRequest::decode(&bytes.slice(..len)).is_err());
        }
        let unknown = [&[0, 0, 0, 2][..], &[7; 32], &[9]].concat();
        assert!(MuteRequest::decode(&unknown.into()).is_err());
    }
}

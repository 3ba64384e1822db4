//! Who may do what, and how often: proofs against a room's record, and token buckets.

use std::time::Duration;

use conclave_federation::{
    id::{Generation, Instance, RelayId, RoomId},
    io::Now,
    limits::CLOCK_LEEWAY_MS,
    proof::{AttachClaim, Capability, Label, VerifyingKey},
    record::{CallKeys, RelayDescriptor, RoomRecord},
    wire::{
        code::Code,
        message::{Attach, Join},
    },
};

use crate::limits::Rate;

/// A token bucket that may be filled at first; thousandths of tokens, so that slow rates are exact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    level: u64,
    at: Duration,
    fresh: bool,
}

const MILLI: u64 = 1_000;

impl Bucket {
    /// Full.
    pub(crate) const fn new() -> Self {
        Self { level: 0, at: Duration::ZERO, fresh: true }
    }

    fn refill(&mut self, now: Duration, rate: Rate) {
        let full = rate.burst.saturating_mul(MILLI);
        if self.fresh {
            self.fresh = false;
            self.level = full;
            self.at = now;
            return;
        }
        let elapsed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            self.level = self.level.saturating_add(elapsed.saturating_mul(rate.per_second)).min(full);
            self.at = now;
        }
    }

    /// Takes `count` tokens, or none.
    pub(crate) fn take(&mut self, now: Duration, rate: Rate, count: u64) -> bool {
        self.refill(now, rate);
        let wanted = count.saturating_mul(MILLI);
        if wanted > self.level {
            return false;
        }
        self.level -= wanted;
        true
    }

    /// Takes one token, or says when there is one.
    ///
    /// # Errors
    /// The time at which there is one.
    pub(crate) fn take_or_when(&mut self, now: Duration, rate: Rate) -> Result<(), Duration> {
        if self.take(now, rate, 1) {
            return Ok(());
        }
        let missing = MILLI.saturating_sub(self.level);
        Err(now + Duration::from_millis(missing.div_ceil(rate.per_second.max(1)).max(1)))
    }

    /// Whether more than half of the burst is used.
    pub(crate) fn is_below_half(&mut self, now: Duration, rate: Rate) -> bool {
        self.refill(now, rate);
        self.level < rate.burst.saturating_mul(MILLI) / 2
    }
}

/// What proofs of a room are checked against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    /// Generation of the key.
    pub(crate) generation: Generation,
    /// What members sign with.
    pub(crate) access: VerifyingKey,
}

impl Keys {
    /// Those of a record in this call.
    pub(crate) fn of(record: &RoomRecord, call: Option<&CallKeys>) -> Self {
        Self { generation: record.generation, access: record.keys(call).0 }
    }
}

/// Whether a client may attach: its own proof, and the capability that it hands over.
///
/// The client signed for the key that it met, or, where its transport proves only names, for the name that it dialled: that
/// name has to be one of ours. So a proof made towards somebody else's name is of no use here, whoever carries it.
///
/// # Errors
/// The code for the client.
pub(crate) fn attach(now: Now, relay: &RelayDescriptor, nonce: &[u8; 32], attach: &Attach, keys: &Keys) -> Result<(), Code> {
    if attach.role != 0 {
        return Err(Code::UNSUPPORTED);
    }
    if attach.generation != keys.generation {
        return Err(Code::STALE_GENERATION);
    }
    let is_for = |authority: &str| {
        let claim = AttachClaim {
            relay: relay.relay,
            authority,
            nonce,
            room: attach.room,
            instance: attach.instance,
            generation: attach.generation,
            role: attach.role,
        };
        keys.access.verify(Label::Attach, &claim.bytes(), &attach.signature)
    };
    // Browsers write names in small letters, whatever was typed.
    let is_for_name =
        |name: &str| is_for(name) || (name.bytes().any(|byte| byte.is_ascii_uppercase()) && is_for(&name.to_ascii_lowercase()));
    if !is_for("") && !relay.addresses.iter().any(|address| is_for_name(address.as_str())) {
        return Err(Code::BAD_PROOF);
    }
    capability(now, relay.relay, (attach.room, attach.instance), &attach.capability, keys)
}

/// Whether `presenter` may use this capability for this call of the room.
///
/// # Errors
/// The code for whoever showed it.
pub(crate) fn capability(
    now: Now,
    presenter: RelayId,
    (room, instance): (RoomId, Instance),
    capability: &Capability,
    keys: &Keys,
) -> Result<(), Code> {
    if capability.room != room {
        return Err(Code::BAD_PROOF);
    }
    if capability.instance != instance {
        return Err(Code::WRONG_INSTANCE);
    }
    capability.check(presenter, &keys.access, keys.generation, now.unix_ms).map_err(Code::from)
}

/// Whether a capability that was good once still is.
pub(crate) const fn is_alive(now: Now, expires: u64) -> bool {
    expires.saturating_add(CLOCK_LEEWAY_MS) >= now.unix_ms
}

/// Whether a join request comes from a holder of the link, for this hub, now.
///
/// # Errors
/// The code for the joiner.
pub(crate) fn join(now: Now, hub: RelayId, join: &Join, record: &RoomRecord) -> Result<(), Code> {
    if join.time.abs_diff(now.unix_ms) > CLOCK_LEEWAY_MS {
        return Err(Code::EXPIRED);
    }
    let claim = Join::claim(hub, join.room, join.instance, join.generation, join.id, join.time, join.body.bytes());
    let signer = record.join_key(join.generation).ok_or(Code::STALE_GENERATION)?;
    if signer.verify(Label::Request, &claim, &join.signature) { Ok(()) } else { Err(Code::BAD_PROOF) }
}

/// What a refused proof means to people, and what to do.
pub(crate) const fn words(code: Code) -> &'static str {
    match code {
        Code::BAD_PROOF => "the proof does not fit this room: join with the current link",
        Code::STALE_GENERATION => "the room's keys have changed: ask for the current link",
        Code::EXPIRED => "the proof has expired: renew it, and check the clock",
        Code::FOREIGN_PROOF => "the proof was made for another relay: connect to the relay it was made for",
        Code::WRONG_INSTANCE => "that call is over or has not begun: ask again what the room's current call is",
        Code::NOT_ATTACHED => "not attached to this room: attach first",
        Code::UNKNOWN_ROOM => "this relay does not know the room: check the link, or register the room first",
        Code::BAD_RECORD => "the record that begins the room's next generation does not follow the one known: read the log first",
        Code::VIOLATION => "the entry contradicts itself: its hashes or its place do not fit what comes with it",
        Code::UNSUPPORTED => "this relay does not speak that yet: update it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate { per_second: 2, burst: 3 };
        let mut bucket = Bucket::new();
        let at = Duration::from_secs(100);
        assert!((0..3).all(|_| bucket.take(at, rate, 1)));
        assert!(!bucket.take(at, rate, 1));
        assert!(!bucket.take(at + Duration::from_millis(400), rate, 1));
        assert!(bucket.take(at + Duration::from_millis(500), rate, 1));
        assert!(!bucket.take(at + Duration::from_millis(501), rate, 1));
        assert!(!bucket.take(at + Duration::from_secs(900), rate, 4), "never more than the burst");
    }
}

//! What a host decides about, and what hosts are told of others.

use std::fmt;

use conclave_federation::id::JoinId;

/// A request to come in that a host may answer: see [`super::Event::Knock`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(JoinId);

impl RequestId {
    /// As the hub names it.
    #[must_use]
    pub const fn new(id: JoinId) -> Self {
        Self(id)
    }

    /// As the hub names it.
    #[must_use]
    pub const fn id(self) -> JoinId {
        self.0
    }

    /// As a page or a program wrote it down: what [`fmt::Display`] gave.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(JoinId::new(bytes)))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What somebody did that hosts are told of; removing them is for a host to decide.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Misdeed {
    /// Three entries of the log with their signature that the room's rules do not allow: everybody skipped them.
    Junk,
    /// A commit with their signature that some could not apply: those had to come back by themselves.
    Fault,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_written_down_and_read_again() {
        let id = RequestId(JoinId::new(std::array::from_fn(|at| u8::try_from(at * 16 + 7).unwrap_or(0))));
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        assert_eq!(RequestId::parse(&id.to_string().to_uppercase()), Some(id));
        for wrong in
            ["", "0", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &format!("+{}", "0".repeat(31)), &"\u{e9}".repeat(16)]
        {
            assert_eq!(RequestId::parse(wrong), None, "{wrong}");
        }
    }
}

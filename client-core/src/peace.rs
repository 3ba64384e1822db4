//! Local peace: whom we do not want to see or hear. By key, so that it holds on every leaf; said to nobody.

use std::collections::BTreeMap;

use conclave_federation::proof::VerifyingKey;

/// Keys that are remembered. People set them by hand, one by one; more are refused.
const MAX_KEYS: usize = 4_096;

/// What we do not want of somebody.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Aside {
    /// Their pictures.
    pub(crate) hidden: bool,
    /// Their sound.
    pub(crate) muted: bool,
    /// Anything: no media, no chat, no reaction, no knock.
    pub(crate) blocked: bool,
}

impl Aside {
    /// Whether sound, or else pictures and data, are wanted.
    pub(crate) const fn wants(self, sound: bool) -> bool {
        !self.blocked && if sound { !self.muted } else { !self.hidden }
    }
}

/// No more keys can be remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// See the module.
#[derive(Default)]
pub(crate) struct Peace(BTreeMap<VerifyingKey, Aside>);

impl Peace {
    /// What is not wanted of this key.
    pub(crate) fn of(&self, key: &VerifyingKey) -> Aside {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Whether nothing of this key is to be shown.
    pub(crate) fn is_blocked(&self, key: &VerifyingKey) -> bool {
        self.of(key).blocked
    }

    /// Changes what is wanted.
    pub(crate) fn set(&mut self, key: VerifyingKey, aside: Aside) -> Result<(), Full> {
        if aside == Aside::default() {
            self.0.remove(&key);
        } else if self.0.contains_key(&key) || self.0.len() < MAX_KEYS {
            self.0.insert(key, aside);
        } else {
            return Err(Full);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_is_remembered_by_key_and_bounded() {
        let mut peace = Peace::default();
        let key = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            VerifyingKey::new(bytes)
        };
        let hidden = Aside { hidden: true, ..Aside::default() };
        assert!(hidden.wants(true) && !hidden.wants(false));
        let muted = Aside { muted: true, ..Aside::default() };
        assert!(!muted.wants(true) && muted.wants(false));
        let blocked = Aside { blocked: true, ..Aside::default() };
        assert!(!blocked.wants(true) && !blocked.wants(false));
        for number in 0..5_000 {
            assert_eq!(peace.set(key(number), blocked).is_ok(), number < 4_096);
        }
        assert!(peace.is_blocked(&key(7)) && !peace.is_blocked(&key(4_500)));
        assert_eq!(peace.set(key(7), Aside::default()), Ok(()));
        assert_eq!(peace.set(key(4_500), hidden), Ok(()));
        assert_eq!((peace.of(&key(7)), peace.of(&key(4_500))), (Aside::default(), hidden));
    }
}

//! Plain objects for JavaScript, made in one go.

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

/// An object that is being filled.
pub(super) struct Record(Object);

impl Record {
    pub(super) fn new() -> Self {
        Self(Object::new())
    }

    /// `{ event: name }`
    pub(super) fn event(name: &str) -> Self {
        Self::new().with("event", name)
    }

    /// `{ do: name }`
    pub(super) fn deed(name: &str) -> Self {
        Self::new().with("do", name)
    }

    pub(super) fn with(self, name: &str, value: impl Into<JsValue>) -> Self {
        // A plain object that was just made refuses nothing.
        let _ = Reflect::set(&self.0, &name.into(), &value.into());
        self
    }

    /// Leaves it out when there is none.
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<JsValue>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// A number that counts something, and so stays below 2^53.
    pub(super) fn with_count(self, name: &str, count: u64) -> Self {
        self.with(name, number(count))
    }

    pub(super) fn done(self) -> JsValue {
        self.0.into()
    }
}

/// An unsigned number as JavaScript counts: exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "nothing that is counted or timed here comes near 2^53")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

/// One array of values.
pub(super) fn list<T>(values: impl IntoIterator<Item = T>, value: impl Fn(T) -> JsValue) -> Array {
    values.into_iter().map(value).collect()
}

/// A copy of some bytes that belongs to JavaScript alone.
pub(super) fn bytes(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// A copy of several pieces as one; the only copy that is made of them.
pub(super) fn joined<T: AsRef<[u8]>>(pieces: &[T]) -> Uint8Array {
    if let [piece] = pieces {
        return bytes(piece.as_ref());
    }
    let len: usize = pieces.iter().map(|piece| piece.as_ref().len()).sum();
    // A module's memory ends at 4 GiB.
    let all = Uint8Array::new_with_length(u32::try_from(len).unwrap_or(u32::MAX));
    let mut at = 0;
    for piece in pieces {
        let piece = piece.as_ref();
        let end = at + u32::try_from(piece.len()).unwrap_or(u32::MAX);
        all.subarray(at, end).copy_from(piece);
        at = end;
    }
    all
}

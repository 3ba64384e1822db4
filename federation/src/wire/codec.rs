//! Fixed-order structures: the writer cannot fail, the reader knows when it is done.

use std::{fmt, ops::Deref};

use bytes::Bytes;

use super::varint;
use crate::{
    id::{Alias, Generation, Head, Instance, JoinId, OperatorId, RelayId, RoomId, TrackId},
    proof::{Signature, VerifyingKey},
};

/// The remote's bytes are not what they claim to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside this.
    #[error("ends inside {0}")]
    Truncated(&'static str),
    /// More bytes follow than the structure has.
    #[error("bytes follow the end")]
    Trailing,
    /// A length or count above its maximum.
    #[error("{0} is longer than allowed")]
    TooLong(&'static str),
    /// A value that has no meaning.
    #[error("{0} has no such value")]
    Value(&'static str),
}

/// Collects bytes; never fails.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Two bytes, big endian.
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Four bytes, big endian.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// Eight bytes, big endian.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// A varint of RFC 9000; values above 2^62 - 1 are written as that.
    pub fn varint(&mut self, value: u64) {
        varint::put(value, &mut self.0);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// How much was written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

/// Walks over bytes; what it hands out are slices of the same buffer, without a copy.
pub struct Reader<'a> {
    whole: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    #[must_use]
    pub const fn new(whole: &'a Bytes) -> Self {
        Self { whole, at: 0 }
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn left(&self) -> usize {
        self.whole.len().saturating_sub(self.at)
    }

    /// Bytes read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The next `len` bytes, shared with the buffer.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<Bytes, Malformed> {
        if len > self.left() {
            return Err(Malformed::Truncated(what));
        }
        let start = self.at;
        self.at += len;
        Ok(self.whole.slice(start..self.at))
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        let end = self.at.checked_add(N).ok_or(Malformed::Truncated(what))?;
        let slice = self.whole.get(self.at..end).ok_or(Malformed::Truncated(what))?;
        self.at = end;
        slice.try_into().map_err(|_| Malformed::Truncated(what))
    }

    /// One byte.
    ///
    /// # Errors
    /// At the end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>("u8")?[0])
    }

    /// Two bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array("u16").map(u16::from_be_bytes)
    }

    /// Four bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array("u32").map(u32::from_be_bytes)
    }

    /// Eight bytes, big endian.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array("u64").map(u64::from_be_bytes)
    }

    /// A varint of RFC 9000.
    ///
    /// # Errors
    /// When it is not complete.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let rest = self.whole.get(self.at..).ok_or(Malformed::Truncated("varint"))?;
        let (value, len) = varint::take(rest).ok_or(Malformed::Truncated("varint"))?;
        self.at += len;
        Ok(value)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When bytes are left.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.left() == 0 { Ok(()) } else { Err(Malformed::Trailing) }
    }
}

/// Something with one spelling in bytes.
pub trait Wire: Sized {
    /// Appends the bytes.
    fn put(&self, out: &mut Writer);

    /// Reads them back.
    ///
    /// # Errors
    /// When the bytes are not this.
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// The bytes alone.
    fn encode(&self) -> Bytes {
        let mut out = Writer::new();
        self.put(&mut out);
        out.into_bytes()
    }

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// When the bytes are not exactly this.
    fn decode(bytes: &Bytes) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let value = Self::take(&mut from)?;
        from.finish()?;
        Ok(value)
    }
}

macro_rules! wire_int {
    ($($type:ty, $name:ident);*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Writer) {
                out.$name(*self);
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.$name()
            }
        }
    )*};
}
wire_int!(u8, u8; u16, u16; u32, u32; u64, u64);

macro_rules! wire_bytes {
    ($($type:ty, $len:literal, $name:literal);*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Writer) {
                out.raw(self.as_bytes());
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.array::<$len>($name).map(Self::new)
            }
        }
    )*};
}
wire_bytes!(
    RoomId, 16, "room id"; RelayId, 32, "relay id"; OperatorId, 32, "operator id"; JoinId, 16, "request id";
    Head, 32, "head"; VerifyingKey, 32, "key"; Signature, 64, "signature"
);

macro_rules! wire_newtype {
    ($($type:ident, $name:ident);*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Writer) {
                out.$name(self.0);
            }
            fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.$name().map(Self)
            }
        }
    )*};
}
wire_newtype!(Instance, u32; Generation, u32; TrackId, u64);

impl Wire for Alias {
    fn put(&self, out: &mut Writer) {
        out.u32(self.get());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let bits = from.u32()?;
        if bits > 0x3fff_ffff { Err(Malformed::Value("alias")) } else { Ok(Self::new(bits)) }
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Writer) {
        out.u8(u8::from(*self));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        match from.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed::Value("bool")),
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Writer) {
        out.raw(self);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        from.array("fixed bytes")
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Writer) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

/// Opaque bytes of at most `MAX`, after a `u32` length. Our own longer ones are a bug of the caller and are cut by nobody:
/// build them with [`Blob::new`], which refuses.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Blob<const MAX: usize>(Bytes);

impl<const MAX: usize> Blob<MAX> {
    /// Takes bytes of at most `MAX`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0.len())
    }
}

impl<const MAX: usize> Wire for Blob<MAX> {
    fn put(&self, out: &mut Writer) {
        out.u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        out.raw(&self.0);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = usize::try_from(from.u32()?).unwrap_or(usize::MAX);
        if len > MAX {
            return Err(Malformed::TooLong("opaque bytes"));
        }
        from.bytes(len, "opaque bytes").map(Self)
    }
}

/// UTF-8 of at most `MAX` bytes, after a `u16` length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Cuts at the last character that fits.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self(text.get(..end).unwrap_or_default().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text of {} B", self.0.len())
    }
}

impl<const MAX: usize> Wire for Text<MAX> {
    fn put(&self, out: &mut Writer) {
        out.u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        out.raw(self.0.as_bytes());
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let len = usize::from(from.u16()?);
        if len > MAX {
            return Err(Malformed::TooLong("text"));
        }
        let bytes = from.bytes(len, "text")?;
        std::str::from_utf8(&bytes).map(|text| Self(text.to_owned())).map_err(|_| Malformed::Value("text"))
    }
}

/// At most `MAX` values, after a `u16` count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes at most `MAX` values.
    #[must_use]
    pub fn new(values: Vec<T>) -> Option<Self> {
        (values.len() <= MAX).then_some(Self(values))
    }

    /// The values.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Wire, const MAX: usize> Wire for List<T, MAX> {
    fn put(&self, out: &mut Writer) {
        out.u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        for value in &self.0 {
            value.put(out);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = usize::from(from.u16()?);
        if count > MAX {
            return Err(Malformed::TooLong("list"));
        }
        // Every value has at least one byte: what is left bounds what is allocated.
        let mut values = Vec::with_capacity(count.min(from.left()));
        for _ in 0..count {
            values.push(T::take(from)?);
        }
        Ok(Self(values))
    }
}

/// Declares a structure whose fields are spelled one after the other, in this order.
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut $crate::wire::Writer) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }

            fn take(from: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::Malformed> {
                Ok(Self { $($field: $crate::wire::Wire::take(from)?),* })
            }
        }
    };
}
pub(crate) use wire_struct;

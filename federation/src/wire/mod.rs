//! How messages are spelled in bytes.
//!
//! Framing (types, lengths, ids of objects) is in varints of RFC 9000, section 16. Structures are fixed-order, big
//! endian, with `u16` counts before lists and `u32` lengths before opaque bytes, as in TLS' presentation language.

pub mod code;
mod codec;
mod control;
pub mod message;
pub mod object;
pub mod stream;
pub mod varint;

pub(crate) use codec::wire_struct;
pub use codec::{Blob, List, Malformed, Reader, Text, Wire, Writer};

//! Variable-length integers of RFC 9000, section 16: the two high bits of the first byte give the length.

/// Largest value: 2^62 - 1.
pub const MAX: u64 = (1 << 62) - 1;

/// How many bytes `value` takes.
#[must_use]
pub const fn len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Appends `value` in its shortest spelling; values above [`MAX`] are written as [`MAX`].
pub fn put(value: u64, out: &mut Vec<u8>) {
    let value = value.min(MAX);
    match len(value) {
        1 => out.extend_from_slice(&[value.to_be_bytes()[7]]),
        2 => out.extend_from_slice(&(0x4000 | u16::try_from(value).unwrap_or(0)).to_be_bytes()),
        4 => out.extend_from_slice(&(0x8000_0000 | u32::try_from(value).unwrap_or(0)).to_be_bytes()),
        _ => out.extend_from_slice(&(0xc000_0000_0000_0000 | value).to_be_bytes()),
    }
}

/// Reads one from the front: the value and its length, or `None` when it is not complete.
#[must_use]
pub fn take(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1usize << (first >> 6);
    let mut value = u64::from(first & 0x3f);
    for byte in bytes.get(1..len)? {
        value = (value << 8) | u64::from(*byte);
    }
    Some((value, len))
}

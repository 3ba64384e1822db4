//! The first byte names a decoder, the rest is its input.

#![no_main]

use bytes::Bytes;
use conclave_fuzz::targets;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let targets = targets();
    let target = &targets[usize::from(*first) % targets.len()];
    let _ = (target.feed)(&Bytes::copy_from_slice(rest));
});

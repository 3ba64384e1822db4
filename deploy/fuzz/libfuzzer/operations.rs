//! The first byte names a machine, the rest is a list of operations.

#![no_main]

use conclave_fuzz::operations::DRIVES;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let _ = (DRIVES[usize::from(*first) % DRIVES.len()].run)(rest);
});

//! A million inputs for every decoder: no panic, no more memory than the input is worth.
//!
//! One test, because what it watches is the whole process' allocator.

use std::{alloc::System, fmt::Write};

use bytes::Bytes;
use cap::Cap;
use conclave_fuzz::{Mutator, corpus, targets};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// For each decoder.
const INPUTS: usize = 1_000_000;

/// Damaged inputs that were taken all the same are damaged further; this many are kept of them.
const KEPT: usize = 256;

/// Seeds of the pool are not larger than this: a long input costs as much as many short ones.
const LONGEST: usize = 16 * 1024;

#[test]
fn every_decoder_stands_a_million_inputs() {
    let mut table = String::new();
    for (number, target) in (0..).zip(targets()) {
        let mut chance = Mutator::new(number);
        let mut pool: Vec<Vec<u8>> = corpus::of(target.name);
        assert!(!pool.is_empty(), "{} has no input to begin with: put one into corpus/{}", target.name, target.name);
        let good = pool.iter().filter(|input| (target.feed)(&Bytes::from((*input).clone()))).count();
        assert!(
            good > 0,
            "{} takes nothing of its own corpus: the decoder and the corpus are of different versions",
            target.name
        );
        pool.retain(|input| input.len() <= LONGEST);
        let (planted, mut taken, mut most) = (pool.len(), 0_u64, 0);
        for _ in 0..INPUTS {
            let input = Bytes::from(chance.input(&pool));
            let before = ALLOCATOR.total_allocated();
            let taken_now = (target.feed)(&input);
            let used = ALLOCATOR.total_allocated() - before;
            most = most.max(used);
            assert!(
                used <= (target.memory)(input.len()),
                "{} allocated {used} B for an input of {} B: {input:02x?}",
                target.name,
                input.len()
            );
            if taken_now {
                taken += 1;
                if pool.len() < planted + KEPT {
                    pool.push(input.to_vec());
                }
            }
        }
        let _ = writeln!(table, "{:<20} {INPUTS} inputs, {taken:>7} taken, at most {most:>8} B allocated", target.name);
    }
    println!("{table}");
}

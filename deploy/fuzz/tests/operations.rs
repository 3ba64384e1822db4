//! Lists of operations, random and grown from those that got far.

use conclave_fuzz::{Mutator, corpus, operations::DRIVES};

/// Lists for each machine.
const LISTS: usize = 10_000;

/// Lists that are grown further.
const KEPT: usize = 512;

#[test]
fn every_machine_stands_any_list_of_operations() {
    for (number, drive) in (100..).zip(DRIVES) {
        let mut chance = Mutator::new(number);
        let mut pool = corpus::of(drive.name);
        assert!(!pool.is_empty(), "{} has no list to begin with: put one into corpus/{}", drive.name, drive.name);
        let mut furthest = 0;
        let mut sum = 0_u64;
        for _ in 0..LISTS {
            let list = chance.input(&pool);
            let done = (drive.run)(&list);
            sum += u64::from(done);
            if done > furthest || (pool.len() < KEPT && done > 20) {
                furthest = furthest.max(done);
                pool.push(list);
            }
        }
        assert!(furthest > 100, "{} never got far: its operations do not fit any more", drive.name);
        println!("{:<8} {LISTS} lists, {sum} operations, the longest list {furthest}", drive.name);
    }
}

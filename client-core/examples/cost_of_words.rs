//! What signed digests of sealed frames cost, for `PROTOCOL.md`:
//! `cargo run -p conclave-client-core --example cost_of_words`.

#![forbid(unsafe_code)]

use std::{hint::black_box, time::Instant};

use conclave_federation::proof::{Label, SigningKey, sha256};

/// KID, counter and place: hashed before each object.
const AROUND: usize = 8 + 8 + 46;

/// Epoch, stream, first counter and the count, before the digests of a word.
const HEAD: usize = 8 + 1 + 8 + 2;

fn main() {
    for (what, len, a_second) in [("voice, 160 B at 50/s", 160, 50_u32), ("picture, 6 kB at 30/s", 6_000, 30)] {
        let (around, object) = (vec![1; AROUND], vec![7; len]);
        let begun = Instant::now();
        let rounds = 20_000_u32;
        for _ in 0..rounds {
            black_box(sha256(&[black_box(&around), black_box(&object)]));
        }
        let each = begun.elapsed() / rounds;
        println!("{what}: {each:?} a digest, {:?} a second", each * a_second);
    }
    let key = SigningKey::from_seed([2; 32]);
    let word = vec![3; HEAD + 50 * 8];
    let begun = Instant::now();
    let signed: Vec<_> = (0..500).map(|_| key.sign(Label::Media, black_box(&word))).collect();
    println!("a word of 50 digests: {:?} to sign, {} B", begun.elapsed() / 500, word.len() + 64);
    let begun = Instant::now();
    assert!(signed.iter().all(|signature| key.verifying_key().verify(Label::Media, &word, signature)));
    println!("and {:?} to verify", begun.elapsed() / 500);
}

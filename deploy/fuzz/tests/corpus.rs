//! Every target begins with something that it takes.

use bytes::Bytes;
use conclave_fuzz::{corpus, targets};

#[test]
fn every_decoder_takes_something_of_its_own_corpus() {
    let starved: Vec<&str> = targets()
        .into_iter()
        .filter(|target| !corpus::of(target.name).into_iter().any(|input| (target.feed)(&Bytes::from(input))))
        .map(|target| target.name)
        .collect();
    assert!(starved.is_empty(), "no input to begin with: put one into the folder of {starved:?} in corpus/");
}

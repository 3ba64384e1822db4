use conclave_federation::{
    proof::SigningKey,
    wire::{Malformed, Wire},
};
use rand_core::SeedableRng;

use super::*;

/// One client in one call: its leaf, and what it compares.
struct Client {
    leaf: SigningKey,
    chain: Chain,
    comparisons: Comparisons,
    rng: ChaCha20Rng,
    now: Duration,
}

const EPOCH: u64 = 7;

fn chain(seed: u8) -> Chain {
    Chain::new([seed; 32])
}

impl Client {
    fn new(seed: u8, authenticator: &[u8]) -> Self {
        let leaf = SigningKey::from_seed([seed; 32]);
        let mut comparisons = Comparisons::default();
        comparisons.on_epoch(EPOCH, authenticator);
        Self { leaf, chain: chain(seed), comparisons, rng: ChaCha20Rng::from_seed([seed; 32]), now: Duration::ZERO }
    }

    fn key(&self) -> VerifyingKey {
        self.leaf.verifying_key()
    }

    fn with<T>(&mut self, other: (VerifyingKey, [u8; 32]), act: impl FnOnce(&mut Comparisons, &mut Scene<'_>) -> T) -> T {
        let me = self.key();
        let (from, commitment) = other;
        let scene = &mut Scene { now: self.now, me, from, chain: &mut self.chain, commitment, rng: &mut self.rng };
        act(&mut self.comparisons, scene)
    }

    fn face(&self) -> (VerifyingKey, [u8; 32]) {
        (self.key(), self.chain.commitment())
    }

    fn ask(&mut self, other: &Self) -> Ask {
        self.with(other.face(), |comparisons, scene| comparisons.ask(EPOCH, scene)).unwrap()
    }

    fn on_ask(&mut self, ask: &Ask, from: &Self) -> Option<Reveal> {
        self.with(from.face(), |comparisons, scene| comparisons.on_ask(ask, scene))
    }

    fn on_reveal(&mut self, reveal: &Reveal, from: &Self) -> Reply {
        self.with(from.face(), |comparisons, scene| comparisons.on_reveal(reveal, scene))
    }
}

/// Ann asks, Ben answers: the words that each of them sees.
fn compare(ann: &mut Client, ben: &mut Client) -> (Option<String>, Option<String>) {
    let ask = ann.ask(ben);
    let Some(answer) = ben.on_ask(&ask, ann) else { return (None, None) };
    let Reply { reveal, compared } = ann.on_reveal(&answer, ben);
    let seen = reveal.and_then(|reveal| ben.on_reveal(&reveal, ann).compared);
    (compared.map(|compared| compared.words), seen.map(|compared| compared.words))
}

#[test]
fn two_who_compare_see_the_same_four_words_and_other_words_the_next_time() {
    let (mut ann, mut ben) = (Client::new(1, b"one tree"), Client::new(2, b"one tree"));
    let (first, same) = compare(&mut ann, &mut ben);
    assert_eq!(first, same);
    let first = first.unwrap();
    assert_eq!(first.split(' ').count(), 4);
    let (again, _) = compare(&mut ben, &mut ann);
    assert_ne!(again.unwrap(), first);
    let (one, other) = (ann.comparisons.settle(&ben.key()).unwrap(), ben.comparisons.settle(&ann.key()).unwrap());
    assert_eq!((one.0, other.0), (EPOCH, EPOCH));
    assert_eq!(one.1, other.1, "both know the same secret");
    assert!(ann.comparisons.settle(&ben.key()).is_none(), "settled once");
}

#[test]
fn two_halves_of_a_split_room_see_other_words() {
    let (mut ann, mut ben) = (Client::new(1, b"one tree"), Client::new(2, b"another tree"));
    let (hers, his) = compare(&mut ann, &mut ben);
    assert_ne!(hers.unwrap(), his.unwrap());
}

/// Mallory sits in both halves, as Ben towards Ann and as Ann towards Ben, and wants both to read the same words.
#[test]
fn somebody_in_the_middle_cannot_choose_the_words_even_with_all_nonces_of_the_others_in_hand() {
    let (mut ann, mut ben) = (Client::new(1, b"half of ann"), Client::new(2, b"half of ben"));
    let (as_ben, mut as_ann) = (Client::new(3, b"half of ann"), Client::new(4, b"half of ben"));
    // She asks Ben first, learns his nonce, and by that the words that he will see.
    let ask = as_ann.ask(&ben);
    let his = ben.on_ask(&ask, &as_ann).unwrap();
    let Reply { reveal, compared } = as_ann.on_reveal(&his, &ben);
    let wanted = compared.unwrap().words;
    assert_eq!(ben.on_reveal(&reveal.unwrap(), &as_ann).compared.unwrap().words, wanted);
    // Ann asks her. She may answer with any of her 32 nonces, but does not know Ann's yet: nothing to choose by.
    let ask = ann.ask(&as_ben);
    let mut chain = chain(3);
    let nonces: Vec<Nonce> = std::iter::from_fn(|| chain.take()).collect();
    let answer = Reveal { to: ann.key(), epoch: EPOCH, theirs: ask.index, nonce: nonces[0], public: [9; 32] };
    let Reply { reveal, compared } = ann.on_reveal(&answer, &as_ben);
    let seen = compared.unwrap().words;
    assert_ne!(seen, wanted);
    // Now she knows Ann's, and that another of hers, or one made for the purpose, would do no better: the answer stands.
    let anns = reveal.unwrap().nonce;
    for nonce in nonces.iter().skip(1).copied().chain([Nonce { index: 1, value: [5; 32] }]) {
        let other = Reveal { nonce, ..answer };
        assert!(ann.on_reveal(&other, &as_ben).compared.is_none());
        let would_be = short_code(b"half of ann", (&ann.key(), &anns.value), (&as_ben.key(), &nonce.value));
        assert_ne!(would_be, wanted);
    }
}

#[test]
fn a_nonce_that_the_leaf_was_not_bound_to_when_the_epoch_was_named_is_refused() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let ask = ben.ask(&ann);
    let answer = ann.on_ask(&ask, &ben).unwrap();
    // Ben knows Ann's nonce now, makes one that suits him, and comes back on a leaf that is bound to it.
    let made = Nonce { index: ask.index, value: [0x55; 32] };
    let bound = conclave_federation::proof::sha256(&[b"conclave/1 nonce", &made.value]);
    let reveal = Reveal { to: ann.key(), epoch: EPOCH, theirs: answer.nonce.index, nonce: made, public: answer.public };
    let reply = ann.with((ben.key(), bound), |comparisons, scene| comparisons.on_reveal(&reveal, scene));
    assert!(reply.compared.is_none());
}

#[test]
fn whoever_asked_has_to_reveal_the_nonce_that_they_named() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let ask = ann.ask(&ben);
    let answer = ben.on_ask(&ask, &ann).unwrap();
    let mut reveal = ann.on_reveal(&answer, &ben).reveal.unwrap();
    let mut chain = chain(1);
    chain.take();
    reveal.nonce = chain.take().unwrap();
    assert!(ben.on_reveal(&reveal, &ann).compared.is_none());
}

#[test]
fn nothing_is_revealed_before_its_turn_nor_for_an_epoch_that_is_not_known() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let ask = ann.ask(&ben);
    assert!(ben.on_ask(&Ask { epoch: EPOCH + 1, ..ask }, &ann).is_none(), "an epoch that he was not in");
    assert!(ben.on_ask(&Ask { to: ann.key(), ..ask }, &ann).is_none(), "for somebody else");
    let answer = ben.on_ask(&ask, &ann).unwrap();
    for other in [
        Reveal { epoch: EPOCH + 1, ..answer },
        Reveal { theirs: answer.theirs + 1, ..answer },
        Reveal { to: ben.key(), ..answer },
    ] {
        let mut ann = Client::new(1, b"tree");
        ann.ask(&ben);
        let reply = ann.on_reveal(&other, &ben);
        assert!(reply.reveal.is_none() && reply.compared.is_none(), "{other:?}");
    }
}

#[test]
fn what_was_said_once_does_nothing_when_it_is_said_again() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let ask = ann.ask(&ben);
    let answer = ben.on_ask(&ask, &ann).unwrap();
    let reply = ann.on_reveal(&answer, &ben);
    let last = reply.reveal.unwrap();
    assert!(ben.on_reveal(&last, &ann).compared.is_some());
    assert!(ben.on_ask(&ask, &ann).is_none(), "her nonce of that ask is used");
    assert!(ann.on_reveal(&answer, &ben).compared.is_none());
    assert!(ben.on_reveal(&last, &ann).compared.is_none());
    // Nor does an answer fit a later comparison: it names another nonce of ours.
    ann.ask(&ben);
    assert!(ann.on_reveal(&answer, &ben).compared.is_none());
}

#[test]
fn one_comparison_at_a_time_and_silence_ends_it() {
    let (mut ann, mut ben, mut cleo) = (Client::new(1, b"tree"), Client::new(2, b"tree"), Client::new(3, b"tree"));
    let asked = ben.ask(&ann);
    assert!(ann.on_ask(&asked, &ben).is_some());
    let asked = cleo.ask(&ann);
    assert!(ann.on_ask(&asked, &cleo).is_none(), "one nonce is outstanding");
    ann.now = PATIENCE;
    assert!(ann.on_ask(&asked, &cleo).is_some());
    assert_eq!(ann.comparisons.next_timeout(), Some(PATIENCE * 2));
    assert_eq!(ann.comparisons.expire(PATIENCE * 2), None, "we had not asked");
    let me = Client::new(2, b"tree");
    ann.ask(&me);
    assert_eq!(ann.comparisons.expire(ann.now + PATIENCE), Some(me.key()));
}

#[test]
fn when_both_ask_at_once_one_of_them_answers() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let (hers, his) = (ann.ask(&ben), ben.ask(&ann));
    let answers = [ann.on_ask(&his, &ben), ben.on_ask(&hers, &ann)];
    let (yielded, answer) = match answers {
        [Some(answer), None] => (true, answer),
        [None, Some(answer)] => (false, answer),
        other => panic!("one of them: {other:?}"),
    };
    let (asker, other) = if yielded { (&mut ben, &mut ann) } else { (&mut ann, &mut ben) };
    let Reply { reveal, compared } = asker.on_reveal(&answer, other);
    assert_eq!(other.on_reveal(&reveal.unwrap(), asker).compared.unwrap().words, compared.unwrap().words);
}

#[test]
fn nobody_can_use_up_our_nonces() {
    let mut ann = Client::new(1, b"tree");
    let mut answers = 0;
    for seed in 10..60 {
        let mut other = Client::new(seed, b"tree");
        for _ in 0..6 {
            let ask = other.ask(&ann);
            answers += usize::from(ann.on_ask(&ask, &other).is_some());
            ann.now += PATIENCE;
        }
    }
    assert_eq!(answers, usize::from(Chain::LENGTH - RESERVE));
    assert_eq!(ann.comparisons.answered.values().max(), Some(&MAX_ANSWERS));
    let ben = Client::new(2, b"tree");
    for _ in 0..RESERVE {
        ann.ask(&ben);
    }
    assert!(ann.with(ben.face(), |comparisons, scene| comparisons.ask(EPOCH, scene)).is_none(), "each of them once");
}

#[test]
fn a_public_key_that_gives_no_secret_ends_the_comparison() {
    let (mut ann, mut ben) = (Client::new(1, b"tree"), Client::new(2, b"tree"));
    let ask = ann.ask(&ben);
    let answer = ben.on_ask(&ask, &ann).unwrap();
    let reply = ann.on_reveal(&Reveal { public: [0; 32], ..answer }, &ben);
    assert!(reply.compared.is_none());
}

#[test]
fn words_are_spelled_in_these_bytes() {
    let ask = Ask { to: VerifyingKey::new([1; 32]), epoch: 7, index: 3 };
    assert_eq!(ask.encode(), [&[1; 32][..], &[0, 0, 0, 0, 0, 0, 0, 7], &[3]].concat());
    let nonce = Nonce { index: 5, value: [2; 32] };
    let reveal = Reveal { to: VerifyingKey::new([1; 32]), epoch: 7, theirs: 3, nonce, public: [4; 32] };
    let expected = [&[1; 32][..], &[0, 0, 0, 0, 0, 0, 0, 7], &[3], &[5], &[2; 32], &[4; 32]].concat();
    assert_eq!(reveal.encode(), expected);
    assert_eq!(Reveal::decode(&reveal.encode()), Ok(reveal));
    assert_eq!(Ask::decode(&ask.encode()), Ok(ask));
    for len in 0..expected.len() {
        assert!(Reveal::decode(&bytes::Bytes::copy_from_slice(&expected[..len])).is_err());
    }
    for index in [0, 33, 255] {
        let mut hostile = expected.clone();
        hostile[41] = index;
        assert_eq!(Reveal::decode(&hostile.into()), Err(Malformed::Value("index of a nonce")));
    }
}

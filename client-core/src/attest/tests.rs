use std::time::Duration;

use bytes::Bytes;
use conclave_federation::{
    id::{Instance, RoomId, TrackId},
    proof::{Label, SigningKey, sha256},
    track::TrackName,
    wire::{List, object::ObjectIdentity},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{
    Change, NotVouched, Pending, Revealed, Saying, Seen, Sender, SignedKey, SignedWord, Speaker, Trusts, digest,
    sender::{KEY_LIFE, REVEAL_AFTER},
    trust::{Heard, MAX_TOLD, MAX_UNCOVERED, Watch},
    word::{Digest, MAX_DIGESTS, Word},
};
use crate::{
    api::{Muted, Trust},
    catalog::{Author, Unreadable},
};

const LEAF: u16 = 4;
const STREAM: u8 = 1;
const EPOCH: u64 = 3;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn author(leaf: u16) -> Author {
    Author { room: RoomId::new([5; 16]), instance: Instance(2), leaf }
}

fn leaf_key() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

fn of(counter: u64) -> Digest {
    Digest::new(counter.to_be_bytes())
}

fn seen(counter: u64) -> Seen {
    Seen { epoch: EPOCH, counter, digest: of(counter) }
}

fn word(first: u64, count: u64) -> Word {
    let digests = (first..first + count).map(of).collect();
    Word { epoch: EPOCH, stream: STREAM, first, digests: List::new(digests).unwrap() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A sender and one receiver, between whom every word passes through its bytes.
struct Line {
    sender: Sender,
    pending: Pending,
    trusts: Trusts,
    rng: ChaCha20Rng,
    epoch: u64,
    counter: u64,
}

impl Line {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let sender = Sender::new(&mut rng);
        Self { sender, pending: Pending::default(), trusts: Trusts::default(), rng, epoch: EPOCH, counter: 0 }
    }

    /// Seals one frame.
    fn seal(&mut self) -> Seen {
        let seen = Seen { epoch: self.epoch, counter: self.counter, digest: of(self.counter) };
        self.pending.note(self.epoch, STREAM, self.counter, seen.digest);
        self.counter += 1;
        seen
    }

    fn say(&mut self, now: Duration) -> Vec<Saying> {
        let key = leaf_key();
        let leaf = |label: Label, body: &[u8]| key.sign(label, body);
        let mut speaker = Speaker { author: author(LEAF), epoch: self.epoch, leaf, rng: &mut self.rng };
        self.sender.say(now, &mut self.pending, &mut speaker)
    }

    fn hear(&mut self, now: Duration, sayings: &[Saying]) -> Vec<Change> {
        let mut changes = Vec::new();
        for saying in sayings {
            let (kind, body) = saying.encode();
            match kind {
                super::KEY => {
                    let signed = SignedKey::verify(&body, author(LEAF), &leaf_key().verifying_key()).unwrap();
                    self.trusts.on_key(now, LEAF, self.epoch, &signed);
                }
                super::WORD => {
                    let signed = SignedWord::decode(&body).unwrap();
                    changes.extend(self.trusts.on_word(now, author(LEAF), &signed).unwrap());
                }
                _ => {
                    self.trusts.on_revealed(LEAF, &Revealed::decode(&body).unwrap());
                }
            }
        }
        changes
    }

    fn open(&mut self, now: Duration, seen: Seen) -> Option<Change> {
        self.trusts.on_opened(now, LEAF, STREAM, seen)
    }

    fn trust(&mut self, now: Duration) -> Trust {
        let mut probe = None;
        // A word about nothing tells the state without changing it.
        self.trusts.on_timeout(now).into_iter().for_each(|change| probe = Some(change.trust));
        probe.unwrap_or(Trust::Fresh)
    }
}

#[test]
fn a_digest_is_over_key_id_counter_place_and_all_that_travels() {
    let name = TrackName { room: RoomId::new([0xaa; 16]), instance: Instance(7), track: TrackId(0x0102_0304_0506_0708) };
    let place = ObjectIdentity { name, group: 9, object: 11, layer: 1, flags: 0 };
    let object = b"header, ciphertext and tag";
    let by_hand = [&0x0301_0203_u64.to_be_bytes()[..], &17_u64.to_be_bytes(), &place.associated_data(), object].concat();
    assert_eq!(digest(0x0301_0203, 17, &place, object).as_bytes()[..], sha256(&[&by_hand])[..8]);
    for other in [
        digest(0x0301_0204, 17, &place, object),
        digest(0x0301_0203, 18, &place, object),
        digest(0x0301_0203, 17, &ObjectIdentity { object: 12, ..place }, object),
        digest(0x0301_0203, 17, &place, b"header, ciphertext and tah"),
    ] {
        assert_ne!(other, digest(0x0301_0203, 17, &place, object));
    }
}

#[test]
fn a_word_is_epoch_stream_counter_digests_and_the_attest_keys_signature_in_these_bytes() {
    let key = SigningKey::from_seed([2; 32]);
    let body = SignedWord::sign(word(0x0102, 2), author(LEAF), &key).encode();
    let (front, signature) = body.split_at(body.len() - 64);
    let expected = concat!(
        "0000000000000003", // epoch
        "01",               // stream
        "0000000000000102", // first counter
        "0002",             // two digests
        "0000000000000102",
        "0000000000000103",
    );
    assert_eq!(hex(front), expected);
    let claim = [&[5; 16][..], &[0, 0, 0, 2], &[0, 4], &[2], front].concat();
    assert_eq!(signature, key.sign(Label::Media, &claim).as_bytes());
    for len in 0..body.len() {
        assert!(SignedWord::decode(&body.slice(..len)).is_err());
    }
    assert!(SignedWord::decode(&[body.as_ref(), b"x"].concat().into()).is_err());
    let signed = SignedWord::decode(&body).unwrap();
    assert!(signed.is_by(author(LEAF), &key.verifying_key()));
    assert!(!signed.is_by(author(5), &key.verifying_key()), "of another leaf");
    assert!(!signed.is_by(author(LEAF), &leaf_key().verifying_key()), "by another key");
}

#[test]
fn an_attest_key_is_epoch_serial_age_key_and_the_leafs_signature_in_these_bytes() {
    let public = SigningKey::from_seed([2; 32]).verifying_key();
    let signed = SignedKey::sign((EPOCH, 7, 290), public, author(LEAF), |label, body| leaf_key().sign(label, body));
    let body = signed.encode();
    let (front, signature) = body.split_at(body.len() - 64);
    assert_eq!(hex(front), format!("00000000000000030000000701 22{}", hex(public.as_bytes())).replace(' ', ""));
    let claim = [&[5; 16][..], &[0, 0, 0, 2], &[0, 4], &[3], front].concat();
    assert_eq!(signature, leaf_key().sign(Label::AttestKey, &claim).as_bytes());
    assert_eq!(SignedKey::verify(&body, author(LEAF), &leaf_key().verifying_key()), Ok(signed));
    assert_eq!(SignedKey::verify(&body, author(5), &leaf_key().verifying_key()), Err(Unreadable::BadSignature));
    for len in 0..body.len() {
        assert_eq!(SignedKey::verify(&body.slice(..len), author(LEAF), &leaf_key().verifying_key()), Err(Unreadable::Malformed));
    }
}

#[test]
fn a_private_half_is_serial_and_seed_in_these_bytes() {
    let revealed = Revealed { serial: 7, seed: [2; 32].into() };
    let body = revealed.encode();
    assert_eq!(hex(&body), format!("00000007{}", "02".repeat(32)));
    assert_eq!(Revealed::decode(&body).unwrap().public(), SigningKey::from_seed([2; 32]).verifying_key());
    for len in 0..body.len() {
        assert!(Revealed::decode(&body.slice(..len)).is_err());
    }
    assert_eq!(format!("{revealed:?}"), "Revealed { serial: 7, .. }");
}

#[test]
fn what_is_sealed_is_said_within_a_second_and_verified() {
    let mut line = Line::new();
    let mut sent = Vec::new();
    for at in (0..3_000).step_by(20) {
        let now = ms(at);
        let seen = line.seal();
        sent.extend(line.open(now, seen));
        if line.sender.next_at(&line.pending).is_some_and(|at| at <= now) {
            let sayings = line.say(now);
            sent.extend(line.hear(now, &sayings));
        }
    }
    assert_eq!(sent, [Change { leaf: LEAF, stream: STREAM, trust: Trust::Verified }], "said once, and never doubted");
    assert_eq!(line.sender.next_at(&line.pending), Some(ms(3_840)), "words go about once a second");
}

#[test]
fn without_words_a_stream_is_doubted_after_two_seconds_and_muted_after_five_until_words_match_again() {
    let mut watch = Watch::default();
    assert_eq!(watch.next_timeout(), None, "without frames nothing is doubted");
    for counter in 0..50 {
        watch.on_opened(ms(counter * 100), seen(counter));
        let expected = if counter < 20 { Trust::Fresh } else { Trust::Doubtful };
        assert_eq!(watch.trust(), expected, "frame {counter}");
    }
    assert_eq!(watch.next_timeout(), Some(ms(5_000)));
    assert_eq!(watch.on_timeout(ms(4_999)), Trust::Doubtful);
    assert_eq!(watch.on_timeout(ms(5_000)), Trust::Muted(Muted::NoWords));
    // A word about a part of what is uncovered is not enough while something older than two seconds is left.
    assert_eq!(watch.on_word(ms(5_100), &word(40, 10)), Trust::Muted(Muted::NoWords));
    assert_eq!(watch.on_word(ms(5_200), &word(0, 40)), Trust::Verified);
}

#[test]
fn a_doubt_ends_with_the_words_that_were_late() {
    let mut watch = Watch::default();
    watch.on_opened(ms(0), seen(0));
    assert_eq!(watch.on_timeout(ms(2_000)), Trust::Doubtful);
    watch.on_opened(ms(2_500), seen(1));
    assert_eq!(watch.on_word(ms(2_600), &word(1, 1)), Trust::Doubtful, "the first one is still not covered");
    assert_eq!(watch.on_word(ms(2_700), &word(0, 1)), Trust::Verified);
}

#[test]
fn another_digest_for_a_frame_that_was_opened_mutes_for_good() {
    for before in [true, false] {
        let mut watch = Watch::default();
        watch.on_opened(ms(0), seen(0));
        watch.on_word(ms(10), &word(0, 1));
        let forged = Seen { digest: Digest::new([0xee; 8]), ..seen(1) };
        if before {
            assert_eq!(watch.on_opened(ms(20), forged), Trust::Verified, "not known yet");
            assert_eq!(watch.on_word(ms(900), &word(1, 5)), Trust::Muted(Muted::Contradiction));
        } else {
            watch.on_word(ms(900), &word(1, 5));
            assert_eq!(watch.on_opened(ms(910), forged), Trust::Muted(Muted::Contradiction), "the word came first");
        }
        watch.on_opened(ms(1_000), seen(6));
        assert_eq!(watch.on_word(ms(1_100), &word(6, 1)), Trust::Muted(Muted::Contradiction), "good words change nothing");
        assert_eq!(watch.on_timeout(ms(60_000)), Trust::Muted(Muted::Contradiction));
        watch.begin();
        watch.on_opened(ms(61_000), seen(7));
        assert_eq!(watch.on_word(ms(61_100), &word(7, 1)), Trust::Verified, "published anew");
    }
}

#[test]
fn frames_and_words_that_are_lost_or_late_contradict_nothing() {
    let mut watch = Watch::default();
    // Of ten frames three are lost; the word covers all ten.
    for counter in [0, 1, 3, 4, 6, 7, 9] {
        watch.on_opened(ms(counter * 20), seen(counter));
    }
    assert_eq!(watch.on_word(ms(250), &word(0, 10)), Trust::Verified);
    // A lost one comes after all, after its word.
    assert_eq!(watch.on_opened(ms(300), seen(2)), Trust::Verified);
    // The same word again, words of what was never opened, and one that says nothing.
    for word in [word(0, 10), word(1_000, 50), word(10, 0)] {
        assert_eq!(watch.on_word(ms(400), &word), Trust::Verified);
    }
    // The same counters in another epoch are other frames.
    let other = Word { epoch: EPOCH + 1, ..word(500, 10) };
    watch.on_word(ms(500), &other);
    assert_eq!(watch.on_opened(ms(510), seen(500)), Trust::Verified);
    assert_eq!(watch.on_word(ms(600), &word(500, 1)), Trust::Verified);
    assert_eq!(watch.next_timeout(), None, "all that was opened is covered");
}

#[test]
fn forged_frames_with_counters_of_their_own_mute_the_stream_although_the_others_are_covered() {
    let mut watch = Watch::default();
    let mut worst = Vec::new();
    for second in 0..12 {
        for frame in 0..10 {
            let now = ms(second * 1_000 + frame * 100);
            watch.on_opened(now, seen(second * 10 + frame));
            worst.push(watch.on_opened(now, Seen { digest: Digest::new([0xee; 8]), ..seen(100_000 + second * 10 + frame) }));
        }
        worst.push(watch.on_word(ms(second * 1_000 + 950), &word(second * 10, 10)));
    }
    assert!(worst.contains(&Trust::Verified), "the first words are true");
    let muted = worst.iter().position(|trust| *trust == Trust::Muted(Muted::NoWords)).expect("muted");
    assert!(worst[muted..].iter().all(|trust| *trust == Trust::Muted(Muted::NoWords)), "and it stays so while they go on");
}

#[test]
fn a_crowd_of_frames_cannot_push_forged_ones_out_of_sight() {
    let mut watch = Watch::default();
    let most = u64::try_from(MAX_UNCOVERED).unwrap();
    for counter in 0..most {
        assert_eq!(watch.on_opened(ms(1), seen(counter)), Trust::Fresh);
    }
    assert_eq!(watch.on_opened(ms(1), seen(most)), Trust::Muted(Muted::NoWords));
    for first in 0..100 {
        watch.on_word(ms(2), &word(1_000_000 + first * 512, 512));
    }
    let newest = 1_000_000 + 99 * 512;
    assert_eq!(watch.on_opened(ms(3), Seen { digest: Digest::new([0; 8]), ..seen(newest) }), Trust::Muted(Muted::Contradiction));
    const { assert!(MAX_TOLD >= 2 * MAX_DIGESTS, "the newest word is always remembered") };
}

#[test]
fn a_key_lives_five_minutes_and_is_told_half_a_minute_after_it_was_replaced() {
    let mut line = Line::new();
    let mut told = Vec::new();
    for second in 0..700 {
        let now = Duration::from_secs(second);
        line.seal();
        for saying in line.say(now) {
            if let Saying::Revealed(revealed) = &saying {
                told.push((second, revealed.serial));
            }
            line.hear(now, std::slice::from_ref(&saying));
        }
    }
    assert_eq!(told, [(330, 0), (630, 1)]);
    assert_eq!((KEY_LIFE.as_secs(), REVEAL_AFTER.as_secs()), (300, 30));
}

#[test]
fn a_key_is_told_on_time_although_nothing_more_is_sent() {
    let mut line = Line::new();
    assert_eq!(line.sender.next_at(&line.pending), None, "who sends nothing says nothing");
    line.seal();
    assert_eq!(line.say(ms(0)).len(), 2, "the key and the word");
    assert_eq!(line.sender.next_at(&line.pending), Some(Duration::from_secs(300)));
    assert!(line.say(Duration::from_secs(300)).is_empty());
    assert_eq!(line.sender.next_at(&line.pending), Some(Duration::from_secs(330)));
    let sayings = line.say(Duration::from_secs(330));
    assert!(matches!(sayings.as_slice(), [Saying::Revealed(revealed)] if revealed.serial == 0));
    assert_eq!(line.sender.next_at(&line.pending), None);
}

#[test]
fn who_leaves_tells_every_key_that_ever_signed_and_nothing_more_of_theirs_counts() {
    let mut line = Line::new();
    line.seal();
    let first = line.say(ms(0));
    line.hear(ms(0), &first);
    line.seal();
    let late = line.say(ms(1_000));
    let farewell = line.sender.farewell(ms(1_500), &mut line.rng);
    assert!(matches!(farewell.as_slice(), [Saying::Revealed(revealed)] if revealed.serial == 0));
    line.hear(ms(1_500), &farewell);
    let [Saying::Word(late)] = late.as_slice() else { panic!("one word") };
    assert_eq!(line.trusts.on_word(ms(1_510), author(LEAF), late), Err(NotVouched));
    assert!(line.sender.farewell(ms(2_000), &mut line.rng).is_empty());
}

/// What somebody makes who has the private half of a key.
fn forged(seed: [u8; 32], first: u64) -> SignedWord {
    SignedWord::sign(word(first, 1), author(LEAF), &SigningKey::from_seed(seed))
}

fn certified(seed: [u8; 32], serial: u32, age: u16) -> SignedKey {
    let public = SigningKey::from_seed(seed).verifying_key();
    SignedKey::sign((EPOCH, serial, age), public, author(LEAF), |label, body| leaf_key().sign(label, body))
}

#[test]
fn nothing_signed_by_a_key_that_was_told_replaced_or_outlived_is_taken() {
    let mut trusts = Trusts::default();
    assert_eq!(trusts.on_word(ms(0), author(LEAF), &forged([2; 32], 0)), Err(NotVouched), "before any key");
    assert_eq!(trusts.on_key(ms(0), LEAF, EPOCH, &certified([2; 32], 0, 0)), Heard::Taken);
    assert!(trusts.on_word(ms(10), author(LEAF), &forged([2; 32], 0)).is_ok());
    assert_eq!(trusts.on_word(ms(10), author(LEAF), &forged([3; 32], 0)), Err(NotVouched), "by another key");
    assert_eq!(trusts.on_word(ms(10), author(5), &forged([2; 32], 0)), Err(NotVouched), "of another leaf");
    // Told.
    assert_eq!(trusts.on_revealed(LEAF, &Revealed { serial: 0, seed: [7; 32].into() }), Heard::Passed, "does not fit");
    assert!(trusts.on_word(ms(20), author(LEAF), &forged([2; 32], 0)).is_ok());
    assert_eq!(trusts.on_revealed(LEAF, &Revealed { serial: 0, seed: [2; 32].into() }), Heard::Taken);
    assert_eq!(trusts.on_word(ms(30), author(LEAF), &forged([2; 32], 0)), Err(NotVouched));
    assert_eq!(trusts.on_key(ms(30), LEAF, EPOCH, &certified([2; 32], 0, 0)), Heard::Taken, "said again");
    assert_eq!(trusts.on_word(ms(30), author(LEAF), &forged([2; 32], 0)), Err(NotVouched), "and still told");
    // Replaced.
    assert_eq!(trusts.on_key(ms(40), LEAF, EPOCH, &certified([3; 32], 1, 0)), Heard::Taken);
    assert_eq!(trusts.on_key(ms(40), LEAF, EPOCH, &certified([2; 32], 0, 0)), Heard::Passed, "an old one does not come back");
    assert_eq!(trusts.on_key(ms(40), LEAF, EPOCH, &certified([4; 32], 1, 0)), Heard::Passed, "nor a second one of its number");
    assert!(trusts.on_word(ms(50), author(LEAF), &forged([3; 32], 0)).is_ok());
    // Outlived, for somebody who is kept from hearing what comes after; saying it again makes it no younger.
    assert_eq!(trusts.on_key(Duration::from_secs(100), LEAF, EPOCH, &certified([3; 32], 1, 0)), Heard::Taken);
    assert!(trusts.on_word(Duration::from_secs(314), author(LEAF), &forged([3; 32], 0)).is_ok());
    assert_eq!(trusts.on_word(Duration::from_secs(316), author(LEAF), &forged([3; 32], 0)), Err(NotVouched));
}

#[test]
fn a_certificate_counts_in_its_epoch_alone_and_says_how_old_its_key_is() {
    let mut trusts = Trusts::default();
    assert_eq!(trusts.on_key(ms(0), LEAF, EPOCH + 1, &certified([2; 32], 0, 0)), Heard::Passed, "replayed to a newcomer");
    assert_eq!(trusts.on_key(ms(0), LEAF, EPOCH, &certified([2; 32], 0, 300)), Heard::Passed, "too old");
    assert_eq!(trusts.on_key(ms(0), LEAF, EPOCH, &certified([2; 32], 0, 290)), Heard::Taken);
    assert!(trusts.on_word(ms(24_900), author(LEAF), &forged([2; 32], 0)).is_ok());
    assert_eq!(trusts.on_word(ms(25_000), author(LEAF), &forged([2; 32], 0)), Err(NotVouched));
}

#[test]
fn in_a_new_epoch_the_key_is_said_again_before_the_first_word_for_those_who_came() {
    let mut line = Line::new();
    line.seal();
    let first = line.say(ms(0));
    assert!(matches!(first.as_slice(), [Saying::Key(_), Saying::Word(_)]));
    line.seal();
    assert!(matches!(line.say(ms(1_000)).as_slice(), [Saying::Word(_)]), "not with every word");
    line.seal();
    line.epoch += 1;
    line.counter = 0;
    let seen = line.seal();
    let sayings = line.say(ms(2_000));
    assert!(
        matches!(sayings.as_slice(), [Saying::Key(key), Saying::Word(old), Saying::Word(new)]
            if key.epoch == EPOCH + 1 && old.word.epoch == EPOCH && new.word.epoch == EPOCH + 1),
        "the rest of the old epoch is said as well: {sayings:?}"
    );
    // The newcomer has heard nothing before.
    line.trusts = Trusts::default();
    line.open(ms(2_010), seen);
    assert_eq!(line.hear(ms(2_020), &sayings).last().map(|change| change.trust), Some(Trust::Verified));
}

#[test]
fn what_may_not_have_left_with_a_lost_session_is_said_again() {
    let mut line = Line::new();
    let old = line.seal();
    line.say(ms(0));
    let seen = line.seal();
    line.say(ms(9_000));
    line.sender.on_lost(ms(11_000));
    assert_eq!(line.sender.next_at(&line.pending), Some(ms(11_000)), "without anything new");
    let sayings = line.say(ms(12_000));
    assert!(matches!(sayings.as_slice(), [Saying::Key(_), Saying::Word(word)] if word.word.first == 1), "{sayings:?}");
    line.open(ms(12_000), seen);
    assert_eq!(line.hear(ms(12_010), &sayings).last().map(|change| change.trust), Some(Trust::Verified));
    line.open(ms(12_020), old);
    assert_eq!(line.trust(ms(14_020)), Trust::Doubtful, "what was said ten seconds ago had its time");
}

#[test]
fn while_we_do_not_listen_nobody_is_doubted_and_a_leaf_that_comes_anew_begins_anew() {
    let mut line = Line::new();
    let seen = line.seal();
    line.open(ms(0), seen);
    line.trusts.restart(ms(30_000));
    assert_eq!(line.trusts.next_timeout(), Some(ms(32_000)));
    assert_eq!(line.trust(ms(31_999)), Trust::Fresh);
    assert_eq!(line.trust(ms(35_000)), Trust::Muted(Muted::NoWords));
    line.trusts.forget(LEAF);
    assert_eq!(line.trusts.next_timeout(), None);
    let seen = line.seal();
    assert_eq!(line.open(ms(36_000), seen), None, "fresh");
}

#[test]
fn many_frames_are_said_in_several_words_and_too_many_lose_the_oldest() {
    let mut line = Line::new();
    for _ in 0..1_000 {
        line.seal();
    }
    let sayings = line.say(ms(0));
    let sizes = |sayings: &[Saying]| -> Vec<(u64, usize)> {
        let of = |saying: &Saying| match saying {
            Saying::Word(signed) => Some((signed.word.first, signed.word.digests.len())),
            Saying::Key(_) | Saying::Revealed(_) => None,
        };
        sayings.iter().filter_map(of).collect()
    };
    assert_eq!(sizes(&sayings), [(0, 512), (512, 488)]);
    for _ in 0..5_000 {
        line.seal();
    }
    let sayings = line.say(ms(1_000));
    let said: usize = sizes(&sayings).iter().map(|(_, len)| len).sum();
    assert_eq!((said, sizes(&sayings).first()), (4_096, Some(&(1_904, 512))));
}

#[test]
fn streams_that_nobody_can_have_are_not_kept() {
    let mut trusts = Trusts::default();
    for stream in 17..=255 {
        assert_eq!(trusts.on_opened(ms(0), LEAF, stream, seen(0)), None);
    }
    assert_eq!(trusts.next_timeout(), None);
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn another_implementation_says_the_same_words() {
    let vector: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/media.json")).unwrap();
    let bytes = |name: &str| Bytes::from(unhex(vector[name].as_str().unwrap()));
    let number = |name: &str| vector[name].as_u64().unwrap();
    let seed = |name: &str| SigningKey::from_seed(unhex(vector[name].as_str().unwrap()).try_into().unwrap());
    let room = RoomId::new(unhex(vector["room"].as_str().unwrap()).try_into().unwrap());
    let instance = Instance(u32::try_from(number("instance")).unwrap());
    let author = Author { room, instance, leaf: u16::try_from(number("leaf")).unwrap() };
    let name = TrackName { room, instance, track: TrackId(number("track")) };
    let layer = u8::try_from(number("layer")).unwrap();
    let place = ObjectIdentity { name, group: number("group"), object: number("object"), layer, flags: 0 };
    let objects = vector["objects"].as_array().unwrap();
    let digests: Vec<Digest> = (number("counter")..)
        .zip(objects)
        .map(|(counter, object)| digest(number("kid"), counter, &place, &unhex(object.as_str().unwrap())))
        .collect();
    let said: Vec<String> = digests.iter().map(|digest| hex(digest.as_bytes())).collect();
    assert_eq!(serde_json::json!(said), vector["digests"]);
    let word = Word { epoch: 2, stream: 1, first: number("counter"), digests: List::new(digests).unwrap() };
    let signed = SignedWord::sign(word, author, &seed("attest_seed"));
    assert_eq!(signed.encode(), bytes("word"));
    assert!(SignedWord::decode(&bytes("word")).unwrap().is_by(author, &seed("attest_seed").verifying_key()));
    let leaf = seed("leaf_seed");
    let of = (number("epoch"), u32::try_from(number("serial")).unwrap(), u16::try_from(number("age")).unwrap());
    let key = SignedKey::sign(of, seed("attest_seed").verifying_key(), author, |label, body| leaf.sign(label, body));
    assert_eq!(key.encode(), bytes("key"));
    assert_eq!(SignedKey::verify(&bytes("key"), author, &leaf.verifying_key()), Ok(key));
    let revealed = Revealed { serial: of.1, seed: seed("attest_seed").expose_seed().into() };
    assert_eq!(revealed.encode(), bytes("revealed"));
    let (captured_us, of_track) = (number("captured_us"), u32::try_from(number("number")).unwrap());
    let frame = crate::frame::Frame { captured_us, number: of_track, back: 0, data: bytes("frame") };
    let size = usize::try_from(number("size")).unwrap();
    assert_eq!((crate::frame::padded(&frame, size), crate::frame::cover(size)), (bytes("padded"), bytes("cover")));
}

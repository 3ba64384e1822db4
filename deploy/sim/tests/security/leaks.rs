//! What relays never have: every byte of a call is read, as the relays have it.

use conclave_sim::{Story, World, check::PersonNo};

use crate::led::{put_out, seconds};

#[test]
fn no_relay_has_a_name_a_word_a_title_a_frame_or_a_links_secret() {
    let mut world = World::new(1, Story::quiet(3, 4));
    world.overhear();
    world.run_until(seconds(5));
    put_out(&mut world, PersonNo(3));
    world.run_until(seconds(7));
    let outcome = world.play();
    assert!(outcome.is_fine() && outcome.chats > 0 && outcome.frames.1 > 50, "{outcome}");
    let links = world.links().to_vec();
    assert_eq!(links.len(), 2, "one of each generation");
    for link in &links {
        assert!(world.was_overheard(link.room.as_bytes()), "the room's id is what relays do have");
        assert!(!world.was_overheard(link.secret.expose()), "a link's secret was sent");
    }
    for words in ["person ", "simulated", "sim-chat", "says hello", "sim/frm1"] {
        assert!(!world.was_overheard(words.as_bytes()), "{words:?} was sent in the clear");
    }
}

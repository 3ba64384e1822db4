//! Ten people a second at the door.

use conclave_sim::{Story, World, check::PersonNo, script::Act};

use crate::led::{holds, ms, seconds};

/// So many come, one every 97 ms, into a room of two: all are in, each within two seconds, by at most so many commits.
fn come_at_once(guests: usize, most_commits: usize) {
    let everybody = guests + 2;
    let mut story = Story::quiet(3, everybody);
    story.media = false;
    story.acts.retain(|(_, act)| matches!(act, Act::Found(_) | Act::Join(PersonNo(1))));
    let begins = |guest: usize| seconds(3) + ms(97) * u32::try_from(guest - 2).unwrap_or(0);
    for guest in 2..everybody {
        story.acts.push((begins(guest), Act::Join(PersonNo(guest))));
    }
    let mut world = World::new(1, story);
    world.run_until(seconds(2));
    assert_eq!(world.names(PersonNo(1)).len(), 2);
    let before = world.check().logs.acknowledged();
    world.run_until(begins(everybody) + seconds(3));
    let commits = world.check().logs.acknowledged() - before;
    let waits = (2..everybody).map(|guest| world.told(PersonNo(guest), "Joined").first().map(|at| *at - begins(guest)));
    let waits: Option<Vec<_>> = waits.collect();
    let worst = waits.expect("everybody is in").into_iter().max().unwrap();
    println!("{guests} guests, {commits} commits, worst join {worst:?}");
    assert!(worst < seconds(2), "the slowest took {worst:?}");
    assert!(commits <= most_commits, "{commits} commits");
    assert_eq!(world.names(PersonNo(1)).len(), everybody);
    holds(&world);
}

#[test]
fn twenty_come_within_two_seconds_and_each_is_in_within_two() {
    come_at_once(20, 8);
}

#[test]
#[ignore = "minutes of computing in a debug build: cargo test -p conclave-sim --test security a_hundred -- --ignored"]
fn a_hundred_come_within_ten_seconds_and_each_is_in_within_two() {
    come_at_once(100, 30);
}

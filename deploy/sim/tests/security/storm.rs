//! A hundred people at the door within ten seconds.

use conclave_sim::{Story, World, check::PersonNo, script::Act};

use crate::led::{holds, ms, seconds, told};

#[test]
fn a_hundred_come_within_ten_seconds_and_each_is_in_within_two() {
    let mut story = Story::quiet(3, 102);
    story.media = false;
    story.acts.retain(|(_, act)| matches!(act, Act::Found(_) | Act::Join(PersonNo(1))));
    let begins = |guest: usize| seconds(3) + ms(97) * u32::try_from(guest - 2).unwrap_or(0);
    for guest in 2..102 {
        story.acts.push((begins(guest), Act::Join(PersonNo(guest))));
    }
    let mut world = World::new(1, story);
    world.run_until(seconds(2));
    assert_eq!(world.names(PersonNo(1)).len(), 2);
    let before = world.check().logs.acknowledged();
    world.run_until(seconds(15));
    let waits = (2..102).map(|guest| world.told(PersonNo(guest), "Joined").first().map(|at| *at - begins(guest)));
    let worst = waits.collect::<Option<Vec<_>>>().map(|waits| waits.into_iter().max());
    let commits = world.check().logs.acknowledged() - before;
    println!("{commits} commits, worst join {worst:?}");
    let worst = worst.flatten().expect("everybody is in");
    assert!(worst < seconds(2), "all in, and the slowest took {worst:?}\n{}", told(&world));
    assert!(commits <= 30, "{commits} commits");
    assert_eq!(world.names(PersonNo(1)).len(), 102);
    holds(&world);
}

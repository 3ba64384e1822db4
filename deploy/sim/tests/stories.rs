//! Stories by hand: one thing at a time.

use std::time::Duration;

use conclave_sim::{
    Outcome, Story, World,
    check::PersonNo,
    net::Path,
    script::{Act, Place},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn play(story: Story) -> Outcome {
    let mut world = World::new(1, story).with_diary();
    let outcome = world.play();
    assert!(outcome.is_fine(), "{}\n{outcome}", world.diary().join("\n"));
    outcome
}

fn links(world: &World) -> Vec<Option<u64>> {
    (0..3).map(|relay| Some(world.relay_stats(relay)?.sessions.link)).collect()
}

#[test]
fn relays_keep_one_link_each_whatever_breaks() {
    let (a, b) = (Place::Relay(0), Place::Relay(1));
    let story = Story::quiet(3, 0)
        .and(seconds(3), Act::Cut(a, b))
        .and(seconds(23), Act::Heal(a, b))
        .and(seconds(60), Act::Break(a, b))
        .and(seconds(70), Act::Kill(2))
        .and(seconds(90), Act::Start(2));
    let mut world = World::new(1, story);
    let mut at = |time, expected: [Option<u64>; 3]| {
        world.run_until(seconds(time));
        assert_eq!(links(&world), expected, "after {time} s");
    };
    at(2, [Some(2); 3]);
    at(20, [Some(1), Some(1), Some(2)]);
    at(59, [Some(2); 3]);
    at(69, [Some(2); 3]);
    at(89, [Some(1), Some(1), None]);
    at(120, [Some(2); 3]);
    assert_eq!(world.check().report(), "");
}

#[test]
fn two_people_at_one_relay_find_together() {
    let outcome = play(Story::quiet(1, 2));
    assert!(outcome.entries >= 2 && outcome.epochs >= 2 && outcome.chats == 2, "{outcome}");
    assert!(outcome.frames.1 > 50, "{outcome}");
}

#[test]
fn six_people_at_three_relays_find_together_at_once() {
    let outcome = play(Story::quiet(3, 6));
    assert!(outcome.together_after < Some(seconds(2)), "{outcome}");
    // Six writers with a voice and a face, five readers each, and nothing lost on fine paths but what begins.
    let (written, received) = outcome.frames;
    assert!(received as f64 > 4.0 * written as f64, "{outcome}");
}

#[test]
fn who_leaves_is_gone_from_every_roster_at_once_and_may_come_back() {
    let story = Story::quiet(3, 4).and(seconds(4), Act::Leave(PersonNo(2))).and(seconds(8), Act::Join(PersonNo(2)));
    let outcome = play(story.calm_from(seconds(10)));
    assert!(outcome.tallies.get("seen leaving") == Some(&3), "{outcome}");
    assert!(!outcome.tallies.contains_key("seen reaped"), "{outcome}");
}

#[test]
fn who_dies_is_reaped_within_twenty_five_seconds() {
    let outcome = play(Story::quiet(3, 5).and(seconds(5), Act::Die(PersonNo(3))).calm_from(seconds(5)));
    assert_eq!(outcome.tallies.get("seen reaped"), Some(&4), "{outcome}");
    assert!(outcome.together_after < Some(seconds(25)), "{outcome}");
}

#[test]
fn the_founder_may_die_and_the_call_goes_on() {
    let story = Story::quiet(3, 4).and(seconds(4), Act::Die(PersonNo(0))).and(seconds(5), Act::Die(PersonNo(1)));
    play(story.calm_from(seconds(5)));
}

#[test]
fn a_hub_that_is_killed_and_started_again_keeps_every_entry() {
    let mut story = Story::quiet(3, 6).calm_from(seconds(16));
    for restart in 0..4 {
        let at = Duration::from_millis(1_200 + 3_100 * restart);
        story = story.and(at, Act::Kill(0)).and(at + Duration::from_millis(700), Act::Start(0));
    }
    play(story);
}

#[test]
fn a_link_that_is_cut_heals_and_nobody_is_lost() {
    let (a, b) = (Place::Relay(0), Place::Relay(1));
    play(Story::quiet(3, 5).and(seconds(4), Act::Cut(a, b)).and(seconds(15), Act::Heal(a, b)).calm_from(seconds(15)));
}

#[test]
fn a_person_whose_path_breaks_comes_back_by_themselves() {
    let (a, b) = (Place::Person(1), Place::Relay(1));
    play(Story::quiet(3, 4).and(seconds(4), Act::Cut(a, b)).and(seconds(16), Act::Heal(a, b)).calm_from(seconds(16)));
}

#[test]
fn a_full_disk_lets_nobody_in_and_loses_nobody() {
    let story = Story::quiet(3, 3).and(Duration::from_millis(1_200), Act::Disk(0, true));
    let outcome = play(story.and(seconds(6), Act::Disk(0, false)).calm_from(seconds(6)));
    assert_eq!(outcome.chats, 6, "{outcome}");
}

#[test]
fn a_relay_that_stops_says_so_and_its_people_come_back() {
    let story = Story::quiet(3, 5).and(seconds(4), Act::Stop(1)).and(seconds(7), Act::Start(1));
    let outcome = play(story.calm_from(seconds(7)));
    assert!(outcome.tallies.get("closed shutting_down") >= Some(&1), "{outcome}");
}

#[test]
fn a_disk_that_breaks_its_word_is_noticed() {
    let story = Story::quiet(1, 3).and(seconds(4), Act::Kill(0)).and(seconds(5), Act::Forget(0)).and(seconds(6), Act::Start(0));
    let outcome = World::new(1, story.calm_from(seconds(6))).play();
    assert!(outcome.violations.iter().any(|line| line.contains("AcknowledgedStays")), "{outcome}");
}

#[test]
fn pictures_of_two_layers_go_on_over_narrow_and_lossy_paths() {
    let mut story = Story::quiet(2, 4);
    story.layers = 2;
    story.path = Some(Path { bandwidth: 60_000, loss: 20, ..Path::ROUGH });
    let outcome = play(story.calm_from(seconds(20)));
    assert!(outcome.frames.1 > 200, "{outcome}");
    assert!(outcome.tallies.contains_key("upper frames received"), "{outcome}");
}

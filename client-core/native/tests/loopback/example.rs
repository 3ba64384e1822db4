//! The example of the crate's documentation, run against a real relay.

#[path = "../../examples/guest.rs"]
#[allow(dead_code, unreachable_pub, reason = "as it stands in the documentation; its main is for the command line")]
mod guest;

use conclave::{Departure, Event};

use crate::{create, relay::relays, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_joins_is_heard_and_leaves() {
    let [relay] = relays();
    let (host, link) = create(&relay, "Host").await;
    let guest = tokio::spawn(async move { guest::guest(&link).await.map_err(|error| error.to_string()) });

    let id = wait_for(&host, "the guest", |event| match event {
        Event::ParticipantJoined(person) if person.name == "Guest" => Some(person.id),
        _ => None,
    })
    .await;
    let text = wait_for(&host, "a word of the guest", |event| match event {
        Event::Chat { from, text, .. } if *from == id => Some(text.clone()),
        _ => None,
    })
    .await;
    assert_eq!(text, "hello");
    host.chat("bye").await.expect("the room goes on");
    let how = wait_for(&host, "the guest to leave", |event| match event {
        Event::ParticipantLeft { id: left, how } if *left == id => Some(*how),
        _ => None,
    })
    .await;
    assert_eq!(how, Departure::Left);
    assert_eq!(guest.await.expect("no panic"), Ok(()));
    host.leave().await;
}

//! Rooms between real endpoints on loopback.

mod example;
mod relay;
mod rooms;
mod tcp;

use std::time::Duration;

use conclave::{CreateOptions, Event, Options, Room};

use crate::relay::Relay;

/// A room at this relay, and its link.
pub(crate) async fn create(relay: &Relay, name: &str) -> (Room, String) {
    let options = CreateOptions::at(relay.entry(), Options::named(name)).titled("Tea");
    let room = in_time("a new room", Room::create(options)).await.expect("a room");
    let link = room.link().to_string();
    (room, link)
}

/// The room of the link, through this relay.
pub(crate) async fn join(link: &str, relay: &Relay, name: &str) -> Room {
    let options = Options::named(name).through(relay.entry());
    in_time("coming in", Room::join(link, options)).await.expect("the room of the link")
}

/// Reads events until one is what is waited for; a test that waits too long names it.
pub(crate) async fn wait_for<T>(room: &Room, what: &str, mut found: impl FnMut(&Event) -> Option<T>) -> T {
    let search = async {
        loop {
            match room.next_event().await {
                Some(event) => {
                    if let Some(found) = found(&event) {
                        return found;
                    }
                    assert!(!matches!(event, Event::Ended(_)), "the room ended while waiting for {what}: {event:?}");
                }
                None => panic!("no more events while waiting for {what}"),
            }
        }
    };
    in_time(what, search).await
}

/// The pace of a camera and a microphone: something to send every 20 ms. A slow machine skips, and never sends a burst.
pub(crate) fn encoder() -> tokio::time::Interval {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pace
}

/// A test that waits in vain says for what.
pub(crate) async fn in_time<T>(what: &str, waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(40), waiting).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

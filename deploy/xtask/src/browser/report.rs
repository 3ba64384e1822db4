//! What the script saw and heard, as it says it at the end. The shapes are those of `client-core/web/tests/call.mjs`.

use std::collections::BTreeSet;

use serde::Deserialize;

/// All of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// The browser's version.
    pub(crate) browser: String,
    pub(crate) met: Met,
    pub(crate) talk: Both<Talked>,
    /// What Bo heard of Ada while the main thread of her page was busy.
    pub(crate) busy: Sound,
    pub(crate) hide: Hidden,
    pub(crate) three: Three,
    pub(crate) tcp: OverTcp,
    pub(crate) recorded: Both<Recorded>,
    /// Pictures that were left to the garbage collector, of the pages or of the test's own camera.
    pub(crate) unclosed: u64,
    /// Errors on the pages' consoles, and those that nobody caught.
    pub(crate) complaints: Vec<String>,
}

/// The same of the two pages that talk.
#[derive(Debug, Deserialize)]
pub(crate) struct Both<T> {
    pub(crate) ada: T,
    pub(crate) bo: T,
}

/// How long it took, in milliseconds.
#[derive(Debug, Deserialize)]
pub(crate) struct Met {
    pub(crate) create_ms: u64,
    pub(crate) join_ms: u64,
    /// From the press of the button to the first picture of the other that could be read from the page.
    pub(crate) first_picture_ms: u64,
    /// The same as the SDK counts it.
    pub(crate) first_frame_ms: Option<f64>,
}

/// What one of two saw and heard of the other.
#[derive(Debug, Deserialize)]
pub(crate) struct Talked {
    pub(crate) sees: Pictures,
    pub(crate) hears: Sound,
}

/// Pictures of the test camera on a page.
#[derive(Debug, Deserialize)]
pub(crate) struct Pictures {
    pub(crate) pictures: u64,
    pub(crate) unreadable: u64,
    /// In the best five seconds.
    pub(crate) best_fps: f64,
    pub(crate) mean_fps: f64,
    pub(crate) order: Order,
    /// Pictures that were captured before the one that was shown before them.
    pub(crate) back: u64,
    /// From the clock that is burnt in to the turn of the screen that showed it.
    pub(crate) latency_p50_ms: Option<f64>,
    pub(crate) latency_p95_ms: Option<f64>,
    /// The numbers of those who stamped them.
    pub(crate) who: Vec<u8>,
}

/// How the pictures' numbers went on.
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) one: u64,
    pub(crate) skipped: u64,
    pub(crate) back: u64,
}

/// What came out of a page's loudspeaker.
#[derive(Debug, Deserialize)]
pub(crate) struct Sound {
    pub(crate) seconds: f64,
    pub(crate) beeps: u32,
}

/// While one was muted.
#[derive(Debug, Deserialize)]
pub(crate) struct Hidden {
    pub(crate) beeps_while_muted: u32,
}

/// Two pages and a participant without a browser.
#[derive(Debug, Deserialize)]
pub(crate) struct Three {
    pub(crate) ada: Side,
    pub(crate) bo: Side,
    /// How often each message was read.
    pub(crate) chat: Both<Vec<u32>>,
}

/// What a page knew then.
#[derive(Debug, Deserialize)]
pub(crate) struct Side {
    /// The pictures of the participant without a browser: no barcode, so only that they change.
    pub(crate) native: Changes,
    /// Those of the other page.
    pub(crate) other: Pictures,
    pub(crate) code: Code,
    pub(crate) carriers: Vec<Carrier>,
    pub(crate) stats: Stats,
    pub(crate) transport: Option<String>,
    /// The share of time in which something was heard.
    pub(crate) loud: Option<f64>,
}

/// Pictures that differ from the one before.
#[derive(Debug, Deserialize)]
pub(crate) struct Changes {
    pub(crate) best_fps: f64,
}

/// The thirty digits and who is here.
#[derive(Debug, Deserialize)]
pub(crate) struct Code {
    pub(crate) epoch: u64,
    pub(crate) code: String,
    pub(crate) names: BTreeSet<String>,
}

/// A relay of the call.
#[derive(Debug, Deserialize)]
pub(crate) struct Carrier {
    pub(crate) operator: Option<String>,
    pub(crate) hub: bool,
    pub(crate) entry: bool,
}

/// The SDK's own counters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stats {
    pub(crate) refused_after_first_second: u64,
    pub(crate) audio_underruns: u64,
}

/// The page for which UDP is blocked.
#[derive(Debug, Deserialize)]
pub(crate) struct OverTcp {
    pub(crate) join_ms: u64,
    pub(crate) transport: Option<String>,
    /// What the page says about it.
    pub(crate) notice: String,
    pub(crate) sees: Pictures,
    pub(crate) native: Changes,
    pub(crate) seen_by_bo: Pictures,
    /// The participant without a browser for which UDP is blocked too.
    pub(crate) blocked: Blocked,
    pub(crate) stats: Stats,
}

/// How it got in.
#[derive(Debug, Deserialize)]
pub(crate) struct Blocked {
    pub(crate) transport: Option<String>,
    pub(crate) join_ms: Option<u64>,
}

/// A recording of the participant without a browser, decoded.
#[derive(Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) pictures: u64,
    pub(crate) unreadable: u64,
    pub(crate) order: Order,
    pub(crate) seconds: f64,
    pub(crate) beeps: u32,
}

/// What the participant without a browser said itself.
#[derive(Debug, Default)]
pub(crate) struct Native {
    pub(crate) name: String,
    /// Names it met, its own among them.
    pub(crate) names: BTreeSet<String>,
    /// The digits of each epoch.
    pub(crate) codes: std::collections::BTreeMap<u64, String>,
    pub(crate) chats: Vec<String>,
    /// What each of its recordings is, or why it does not play.
    pub(crate) recordings: Vec<Result<String, String>>,
    pub(crate) ended_well: bool,
}

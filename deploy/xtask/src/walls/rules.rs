//! What may depend on what, and why: `DESIGN.md` section 3 as a table.
//!
//! Names may end in `*`. "Reaches" means through any chain of dependencies that end up in what is shipped; what
//! only serves a build or a test is not meant, except where a rule says so.

use super::graph::Version;

/// The crates that hold every decision: no socket, no clock, no task, no disk.
pub(crate) const PURE: &[&str] = &["conclave-federation", "conclave-relay-core", "conclave-client-core"];

/// What else has to build for the browser's target.
pub(crate) const BROWSER: &[&str] = &["conclave-web"];

pub(crate) enum Rule {
    /// None of `from` reaches any of `to`.
    NeverReaches { from: &'static [&'static str], to: &'static [&'static str], why: &'static str },
    /// Of this workspace's crates only `owner` depends directly on any of `what`.
    OneOwner { what: &'static [&'static str], owner: &'static str, why: &'static str },
    /// Of this workspace's crates `from` depends directly on `may` and on no other. Every crate has such a line.
    Neighbours { from: &'static str, may: &'static [&'static str] },
    /// `from` depends directly on `may` and on nothing else at all.
    OnlyDirect { from: &'static str, may: &'static [&'static str], why: &'static str },
    /// Of this workspace's crates only `by` asks for a feature of this name, and none has it by default.
    AskedBy { feature: &'static str, by: &'static str, why: &'static str },
    /// Nothing depends on `what`, not even for a build or a test.
    NobodyDependsOn { what: &'static str, why: &'static str },
    /// Every version of `what` in the build is `version` or newer.
    AtLeast { what: &'static str, version: Version, why: &'static str },
    /// `what` is in nobody's build.
    Absent { what: &'static [&'static str], why: &'static str },
}

use Rule::{Absent, AskedBy, AtLeast, Neighbours, NeverReaches, NobodyDependsOn, OneOwner, OnlyDirect};

/// Whatever moves bytes or waits: it belongs in a driver.
const DRIVERS: &[&str] = &[
    "async-std",
    "axum",
    "hyper",
    "mio",
    "quinn*",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio*",
    "web-sys",
    "web-transport*",
];

/// Group key agreement and media encryption: whoever links it could join a group or open a frame.
const KEYS: &[&str] = &["openmls*", "sframe", "conclave-client-core"];

/// What a relay uses to remember, to count and to be configured.
const OPERATION: &[&str] = &["config", "etcd-client", "prometheus", "sled"];

const PURITY: &str = "a pure crate decides and leaves sockets, tasks and disks to its driver";

#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    // Who may see whom in the house. A crate without a line here has not been thought about.
    Neighbours { from: "conclave-federation", may: &[] },
    Neighbours { from: "conclave-quic", may: &["conclave-federation"] },
    Neighbours { from: "conclave-relay-core", may: &["conclave-federation"] },
    Neighbours { from: "conclave-relay", may: &["conclave-federation", "conclave-quic", "conclave-relay-core"] },
    Neighbours { from: "conclave-client-core", may: &["conclave-federation"] },
    Neighbours { from: "conclave", may: &["conclave-client-core", "conclave-federation", "conclave-quic"] },
    Neighbours { from: "conclave-cli", may: &["conclave", "conclave-media"] },
    Neighbours { from: "conclave-media", may: &[] },
    Neighbours { from: "conclave-web", may: &["conclave-client-core", "conclave-federation"] },
    Neighbours { from: "conclave-sim", may: PURE },
    Neighbours { from: "conclave-fuzz", may: &["conclave-client-core", "conclave-federation", "conclave-media",
        "conclave-relay-core"] },
    Neighbours { from: "conclave-glass", may: &["conclave", "conclave-cli", "conclave-client-core", "conclave-federation",
        "conclave-media", "conclave-quic", "conclave-relay", "conclave-relay-core"] },
    Neighbours { from: "xtask", may: &["conclave-media"] },

    NeverReaches { from: &["conclave-relay", "conclave-relay-core", "conclave-federation", "conclave-quic"], to: KEYS,
        why: "an operator's process holds no code that could join a group or open a frame" },
    NeverReaches { from: PURE, to: DRIVERS, why: PURITY },
    NeverReaches { from: PURE, to: OPERATION, why: PURITY },
    NeverReaches { from: &["conclave-client-core", "conclave-web"], to: &["conclave-relay*", "conclave-quic"],
        why: "a participant's decisions need neither a relay nor a socket" },
    NeverReaches { from: &["conclave-web"], to: &["tokio", "quinn*"],
        why: "the browser drives the pure core itself" },
    NeverReaches { from: &["conclave-quic"], to: &["conclave-relay*", "conclave-client-core"],
        why: "the transport moves bytes and does not know what they decide" },
    NeverReaches { from: &["conclave", "conclave-cli"], to: &["conclave-relay*", "sled", "prometheus", "config"],
        why: "a participant carries nothing of a relay" },

    OneOwner { what: &["quinn", "quinn-*", "web-transport*"], owner: "conclave-quic", why: "one crate owns the transport" },
    OneOwner { what: &["sled"], owner: "conclave-relay", why: "one file owns the store" },
    OneOwner { what: &["prometheus"], owner: "conclave-relay", why: "one file owns the names of metrics" },
    OneOwner { what: &["config"], owner: "conclave-relay", why: "one file reads the configuration" },
    OneOwner { what: &["openmls*", "sframe"], owner: "conclave-client-core", why: "keys live in one crate" },

    OnlyDirect { from: "conclave-cli",
        may: &["anyhow", "bytes", "clap", "conclave", "conclave-media", "serde", "serde_json", "tokio", "tracing",
            "tracing-subscriber"],
        why: "the command line uses what every app developer uses, the SDK, and nothing beneath it" },

    AskedBy { feature: "audit", by: "conclave-glass", why: "no program that anybody runs can hand out a room's secrets" },

    AskedBy { feature: "fuzzing", by: "conclave-fuzz", why: "decoders are nobody's business but their owner's" },
    NobodyDependsOn { what: "conclave-fuzz", why: "it feeds the house with nonsense from outside" },
    NobodyDependsOn { what: "conclave-sim", why: "the simulator stands outside the house" },
    NobodyDependsOn { what: "conclave-glass", why: "the leak check's window is not shipped" },
    NobodyDependsOn { what: "xtask", why: "it is a tool, not a library" },

    AtLeast { what: "quinn-proto", version: Version(0, 11, 19), why: "older ones can be stopped by a stranger's packets" },
    AtLeast { what: "rustls-webpki", version: Version(0, 103, 13), why: "older ones have known flaws in certificate checks" },
    AtLeast { what: "hpke-rs", version: Version(0, 6, 0), why: "older ones can use a nonce twice" },
    AtLeast { what: "protobuf", version: Version(3, 7, 2), why: "older ones can be made to overflow the stack" },

    Absent { what: &["openssl-sys", "native-tls"], why: "aws-lc-rs is the one TLS provider" },
];

/// Whether a name is meant by one of the patterns.
pub(crate) fn is_any(name: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_ending_and_nothing_else_does() {
        assert!(is_any("openmls_rust_crypto", &["sled", "openmls*"]));
        assert!(is_any("openmls", &["openmls*"]));
        assert!(!is_any("config-rs", &["config"]));
        assert!(!is_any("sframe", &[]));
    }
}

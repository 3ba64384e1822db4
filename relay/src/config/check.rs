//! What no single value can show: ranges, and values that do not go together.

use std::collections::BTreeSet;

use conclave_federation::limits::{MAX_ADDRESSES, MAX_OPERATOR_NAME};

use conclave_relay_core::order::MAX_CONTACT;

use super::settings::{Policy, Settings, Web};

/// Peers that are dialled and kept up.
const MAX_PEERS: usize = 200;

/// Smallest and largest page cache: below, every read goes to disk; above, it is no cache any more.
const CACHE: std::ops::RangeInclusive<u64> = (1 << 20)..=(4 << 30);

/// Key and complaint of everything that is wrong.
pub(super) fn check(settings: &Settings) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut add = |key: &str, words: String| wrong.push((key.to_owned(), words));

    if settings.operator.name.is_empty() {
        add("operator.name", "the operator needs a name: people in a call are shown who carries it".to_owned());
    }
    if settings.operator.name.len() > MAX_OPERATOR_NAME {
        add("operator.name", format!("the operator's name is longer than {MAX_OPERATOR_NAME} bytes: choose a shorter one"));
    }
    let contact = &settings.operator.contact;
    if contact.len() > MAX_CONTACT || contact.chars().any(char::is_control) {
        add(
            "operator.contact",
            format!("has to be at most {MAX_CONTACT} bytes without control characters: people read it in one sentence"),
        );
    }
    if settings.relay.addresses.is_empty() {
        add(
            "relay.addresses",
            "name at least one address under which others reach this relay, like [\"relay.example.org:4433\"]".to_owned(),
        );
    }
    if settings.relay.addresses.len() > MAX_ADDRESSES {
        add("relay.addresses", format!("at most {MAX_ADDRESSES} addresses fit into a descriptor: remove some"));
    }
    for (key, path) in [
        ("relay.key", &settings.relay.key),
        ("operator.key", &settings.operator.key),
        ("relay.descriptor", &settings.relay.descriptor),
        ("relay.data_dir", &settings.relay.data_dir),
        ("web.root", &settings.web.root),
        ("web.certificate", &settings.web.certificate),
        ("web.key", &settings.web.key),
    ] {
        let text = path.to_string_lossy();
        if text.is_empty() && !key.starts_with("web.") {
            add(key, "the path is empty: name a file, or remove the line for the default".to_owned());
        }
        // Never echoed: it may well be one.
        if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            add(key, "this looks like a key itself: put it into a file of mode 600 and name the file here".to_owned());
        }
    }
    if !settings.metrics.listen.ip().is_loopback() && !settings.metrics.allow {
        add(
            "metrics.listen",
            "this address can be reached from outside, and metrics say who is busy when: use 127.0.0.1, or set metrics.allow = true \
             behind a firewall"
                .to_owned(),
        );
    }
    if !CACHE.contains(&settings.store.cache.0) {
        add("store.cache", "the cache has to be between 1MiB and 4GiB".to_owned());
    }
    if settings.federation.policy == Policy::Open && !settings.federation.operators.is_empty() {
        add("federation.operators", "policy \"open\" reads no list: say \"allow\" or \"deny\", or remove the list".to_owned());
    }
    peers(settings, &mut add);
    web(&settings.web, &mut add);
    for (key, words) in settings.limits.check() {
        add(&format!("limits.{key}"), words);
    }
    wrong
}

fn web(web: &Web, add: &mut impl FnMut(&str, String)) {
    let (certificate, key) = (web.certificate.as_os_str().is_empty(), web.key.as_os_str().is_empty());
    if certificate && !key {
        add("web.key", "this is the key of a certificate that is not named: name it as web.certificate too".to_owned());
    }
    if key && !certificate {
        add("web.certificate", "a certificate is of no use without its key: name it as web.key too".to_owned());
    }
    if !(1..=65_536).contains(&web.connections) {
        add("web.connections", "has to be between 1 and 65536: nothing is unlimited, and 0 does not mean so either".to_owned());
    }
    for (key, span) in [("web.header_timeout", web.header_timeout), ("web.connection_time", web.connection_time)] {
        if !(100..=3_600_000).contains(&span.0.as_millis()) {
            add(key, "has to be between 100ms and 1h: nobody may take for ever".to_owned());
        }
    }
    if !(1 << 10..=1 << 30).contains(&web.max_page.0) {
        add("web.max_page", "has to be between 1KiB and 1GiB: all of the page is kept in memory".to_owned());
    }
}

fn peers(settings: &Settings, add: &mut impl FnMut(&str, String)) {
    if settings.peers.len() > MAX_PEERS {
        add("peers", format!("at most {MAX_PEERS} peers are kept up: remove some"));
    }
    let mut names = BTreeSet::new();
    let mut relays = BTreeSet::new();
    for (index, peer) in settings.peers.iter().enumerate() {
        let key = |field: &str| format!("peers[{index}].{field}");
        // It becomes the value of a label in metrics.
        if peer.name.is_empty() || peer.name.len() > 40 || peer.name == "other" || peer.name.chars().any(char::is_control) {
            add(&key("name"), "a peer needs a name of 1 to 40 bytes without control characters, and not \"other\"".to_owned());
        }
        if !names.insert(&peer.name) {
            add(&key("name"), "another peer has this name: metrics could not tell them apart".to_owned());
        }
        if !relays.insert(peer.relay.0) {
            add(&key("relay"), "this relay is named twice: remove one".to_owned());
        }
        if peer.addresses.is_empty() || peer.addresses.len() > MAX_ADDRESSES {
            add(&key("addresses"), format!("a peer needs 1 to {MAX_ADDRESSES} addresses"));
        }
        if peer.addresses.iter().any(super::values::HostPort::is_port_open) {
            add(&key("addresses"), "nobody answers on port 0: ask the peer's operator for the port".to_owned());
        }
    }
}

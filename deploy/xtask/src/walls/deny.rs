//! `deny.toml` says the same as the table of the walls; here the two are compared.

use std::collections::BTreeSet;
use std::fs;

use serde::Deserialize;

use super::rules::{RULES, Rule, is_any};
use crate::shell;

#[derive(Deserialize)]
struct File {
    bans: Bans,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    /// A name, or a name and the versions that are meant: `quinn-proto:<0.11.19`.
    #[serde(rename = "crate")]
    what: String,
    #[serde(default)]
    wrappers: BTreeSet<String>,
}

fn bans() -> Vec<Ban> {
    let text = fs::read_to_string(shell::root().join("deny.toml")).expect("deny.toml is there");
    toml::from_str::<File>(&text).expect("deny.toml is well formed").bans.deny
}

/// The crates of this workspace, each with those it may see.
fn house() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    RULES.iter().filter_map(|rule| match rule {
        Rule::Neighbours { from, may } => Some((*from, *may)),
        _ => None,
    })
}

#[test]
fn one_owner_here_is_one_wrapper_there() {
    let bans = bans();
    for rule in RULES {
        let Rule::OneOwner { what, owner, .. } = rule else { continue };
        let meant: Vec<&Ban> = bans.iter().filter(|ban| is_any(&ban.what, what) && !ban.wrappers.is_empty()).collect();
        assert!(!meant.is_empty(), "deny.toml does not speak of {what:?}");
        for ban in meant {
            let own: Vec<&str> = house().map(|(name, _)| name).filter(|name| ban.wrappers.contains(*name)).collect();
            assert_eq!(own, [*owner], "the wrappers of {}", ban.what);
        }
    }
}

#[test]
fn the_doors_of_the_house_are_the_same() {
    let bans = bans();
    let own: Vec<&Ban> = bans.iter().filter(|ban| house().any(|(name, _)| name == ban.what)).collect();
    assert!(own.iter().any(|ban| ban.what == "conclave-client-core"), "the wall that matters most is missing");
    for ban in own {
        let here: BTreeSet<String> =
            house().filter(|(_, may)| may.contains(&ban.what.as_str())).map(|(name, _)| name.to_owned()).collect();
        assert_eq!(ban.wrappers, here, "the wrappers of {}", ban.what);
    }
}

#[test]
fn least_versions_and_absent_crates_are_the_same() {
    let bans = bans();
    let is_banned = |what: &str| bans.iter().any(|ban| ban.what == what && ban.wrappers.is_empty());
    for rule in RULES {
        match rule {
            Rule::AtLeast { what, version, .. } => assert!(is_banned(&format!("{what}:<{version}")), "{what}"),
            Rule::Absent { what, .. } => assert!(what.iter().all(|name| is_banned(name)), "{what:?}"),
            _ => {}
        }
    }
}

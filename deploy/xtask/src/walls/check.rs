//! Holds a dependency graph against the rules; every violation is one sentence that names the edge and the reason.

use super::graph::{Graph, Package};
use super::rules::{Rule, is_any};

pub(crate) fn violations(graph: &Graph, rules: &[Rule]) -> Vec<String> {
    let mut found = strangers(graph, rules);
    found.extend(rules.iter().flat_map(|rule| broken(graph, rule)));
    found
}

/// Crates of the workspace that no line of the table speaks of.
fn strangers(graph: &Graph, rules: &[Rule]) -> Vec<String> {
    let is_known = |name: &str| rules.iter().any(|rule| matches!(rule, Rule::Neighbours { from, .. } if *from == name));
    graph
        .own()
        .filter(|package| !is_known(&package.name))
        .map(|package| {
            format!(
                "{} is in the workspace but not in the table of the walls: say there which of our crates it may depend on",
                package.name
            )
        })
        .collect()
}

fn broken(graph: &Graph, rule: &Rule) -> Vec<String> {
    match rule {
        Rule::NeverReaches { from, to, why } => never_reaches(graph, from, to, why),
        Rule::OneOwner { what, owner, why } => one_owner(graph, what, owner, why),
        Rule::Neighbours { from, may } => {
            let rest = |dependency: &Package| dependency.own && !may.contains(&dependency.name.as_str());
            only_direct(graph, from, rest, "the house has no door there")
        }
        Rule::OnlyDirect { from, may, why } => {
            only_direct(graph, from, |dependency| !may.contains(&dependency.name.as_str()), why)
        }
        Rule::AskedBy { feature, by, why } => graph
            .own()
            .filter(|package| {
                package.by_default.contains(*feature) || (package.name != *by && package.asks_for.contains(*feature))
            })
            .map(|package| format!("{} switches on the feature {feature}, which only {by} may: {why}", package.name))
            .collect(),
        Rule::NobodyDependsOn { what, why } => nobody_depends_on(graph, what, why),
        Rule::AtLeast { what, version, why } => graph
            .all()
            .filter(|package| package.name == *what && package.version < *version)
            .map(|package| format!("{what} is {} in Cargo.lock and has to be {version} or newer: {why}", package.version))
            .collect(),
        Rule::Absent { what, why } => graph
            .all()
            .filter(|package| is_any(&package.name, what))
            .map(|package| format!("{} is in the build, and nothing may use it: {why}", package.name))
            .collect(),
    }
}

fn never_reaches(graph: &Graph, from: &[&str], to: &[&str], why: &str) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.own().filter(|package| from.contains(&package.name.as_str())) {
        for pattern in to {
            let is_meant = |dependency: &Package| is_any(&dependency.name, &[pattern]);
            if let Some(path) = graph.path(package, is_meant) {
                let end = path.last().copied().unwrap_or_default();
                found.push(format!("{} must not reach {end}, but does ({}): {why}", package.name, path.join(" -> ")));
            }
        }
    }
    found
}

fn one_owner(graph: &Graph, what: &[&str], owner: &str, why: &str) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.own().filter(|package| package.name != owner) {
        for dependency in graph.direct(package).filter(|dependency| is_any(&dependency.name, what)) {
            found.push(format!(
                "{} depends on {}, which only {owner} may ({why}): go through {owner} or leave it out",
                package.name, dependency.name
            ));
        }
    }
    found
}

fn only_direct(graph: &Graph, from: &str, is_forbidden: impl Fn(&Package) -> bool, why: &str) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.own().filter(|package| package.name == from) {
        for dependency in graph.direct(package).filter(|dependency| is_forbidden(dependency)) {
            found.push(format!("{from} depends directly on {}, which it must not: {why}", dependency.name));
        }
    }
    found
}

fn nobody_depends_on(graph: &Graph, what: &str, why: &str) -> Vec<String> {
    graph
        .all()
        .filter(|package| package.name != what)
        .filter(|package| graph.direct_of_any_kind(package).any(|dependency| dependency.name == what))
        .map(|package| format!("{} depends on {what}, which nothing may: {why}", package.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::rules::RULES;
    use super::*;

    /// A synthetic workspace: `own` are its members with a version each, edges are `(from, to, kind)`.
    fn graph(own: &[&str], edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let mut names: BTreeSet<&str> = own.iter().copied().collect();
        names.extend(edges.iter().flat_map(|(from, to, _)| [*from, *to]));
        let packages: Vec<Value> = names
            .iter()
            .map(|name| {
                let (name, version) = name.split_once('@').unwrap_or((name, "1.0.0"));
                json!({ "id": name, "name": name, "version": version, "manifest_path": "/house/Cargo.toml" })
            })
            .collect();
        let bare = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
        let nodes: Vec<Value> = names
            .iter()
            .map(|name| {
                let deps: Vec<Value> = edges
                    .iter()
                    .filter(|(from, ..)| from == name)
                    .map(|(_, to, kind)| json!({ "pkg": bare(to), "dep_kinds": [{ "kind": kind, "target": null }] }))
                    .collect();
                json!({ "id": bare(name), "deps": deps })
            })
            .collect();
        let metadata = json!({ "packages": packages, "workspace_members": own, "resolve": { "nodes": nodes } });
        Graph::parse(&metadata.to_string()).expect("synthetic metadata is well formed")
    }

    const NORMAL: Option<&str> = None;
    const DEV: Option<&str> = Some("dev");
    const BUILD: Option<&str> = Some("build");

    #[test]
    fn a_house_as_it_is_drawn_has_no_broken_wall() {
        let graph = graph(
            &["conclave-federation", "conclave-quic", "conclave-relay", "conclave-relay-core", "conclave-client-core"],
            &[
                ("conclave-quic", "conclave-federation", NORMAL),
                ("conclave-quic", "quinn", NORMAL),
                ("quinn", "quinn-proto@0.11.19", NORMAL),
                ("conclave-relay-core", "conclave-federation", NORMAL),
                ("conclave-relay", "conclave-relay-core", NORMAL),
                ("conclave-relay", "conclave-quic", NORMAL),
                ("conclave-relay", "sled", NORMAL),
                ("conclave-client-core", "conclave-federation", NORMAL),
                ("conclave-client-core", "openmls", NORMAL),
            ],
        );
        assert_eq!(violations(&graph, RULES), Vec::<String>::new());
    }

    #[test]
    fn a_relay_that_reaches_openmls_is_caught_with_the_whole_path() {
        let graph = graph(
            &["conclave-relay"],
            &[("conclave-relay", "handy", NORMAL), ("handy", "handier", NORMAL), ("handier", "openmls", NORMAL)],
        );
        assert_eq!(
            violations(&graph, RULES),
            ["conclave-relay must not reach openmls, but does (conclave-relay -> handy -> handier -> openmls): \
             an operator's process holds no code that could join a group or open a frame"]
        );
    }

    #[test]
    fn what_only_serves_a_test_or_a_build_is_not_shipped() {
        let graph = graph(
            &["conclave-relay", "conclave-federation"],
            &[
                ("conclave-relay", "openmls", DEV),
                ("conclave-federation", "proptest", DEV),
                ("proptest", "tokio", NORMAL),
                ("conclave-federation", "cc", BUILD),
                ("cc", "mio", NORMAL),
            ],
        );
        assert_eq!(violations(&graph, RULES), Vec::<String>::new());
    }

    #[test]
    fn a_pure_crate_that_reaches_a_runtime_is_caught() {
        let graph =
            graph(&["conclave-federation"], &[("conclave-federation", "tracing", NORMAL), ("tracing", "tokio-macros", NORMAL)]);
        let found = violations(&graph, RULES);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("conclave-federation -> tracing -> tokio-macros"), "{found:?}");
    }

    #[test]
    fn a_second_owner_is_caught() {
        for (thief, loot, owner) in [
            ("conclave-relay", "quinn", "conclave-quic"),
            ("conclave-media", "prometheus", "conclave-relay"),
            ("conclave-media", "config", "conclave-relay"),
            ("conclave-media", "sled", "conclave-relay"),
            ("conclave-media", "openmls_traits", "conclave-client-core"),
            ("conclave-media", "sframe", "conclave-client-core"),
        ] {
            let found = violations(&graph(&[thief], &[(thief, loot, NORMAL)]), RULES);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("{thief} depends on {loot}, which only {owner} may")), "{found:?}");
        }
    }

    #[test]
    fn the_command_line_goes_through_the_sdk() {
        let beneath = graph(&["conclave-cli", "conclave-client-core"], &[("conclave-cli", "conclave-client-core", NORMAL)]);
        let found = violations(&beneath, RULES);
        assert!(found.iter().any(|sentence| sentence.contains("the house has no door there")), "{found:?}");
        assert!(found.iter().any(|sentence| sentence.contains("every app developer")), "{found:?}");

        let through = graph(
            &["conclave-cli", "conclave", "conclave-client-core"],
            &[
                ("conclave-cli", "conclave", NORMAL),
                ("conclave-cli", "clap", NORMAL),
                ("conclave", "conclave-client-core", NORMAL),
            ],
        );
        assert_eq!(violations(&through, RULES), Vec::<String>::new());
    }

    #[test]
    fn the_transport_does_not_know_what_is_decided() {
        let graph = graph(&["conclave-quic", "conclave-relay-core"], &[("conclave-quic", "conclave-relay-core", NORMAL)]);
        let found = violations(&graph, RULES);
        assert!(found.iter().any(|sentence| sentence.contains("the transport moves bytes")), "{found:?}");
    }

    #[test]
    fn nothing_leans_on_the_simulator_or_the_glass_even_in_tests() {
        for what in ["conclave-sim", "conclave-glass"] {
            let found = violations(&graph(&["conclave-media", what], &[("conclave-media", what, DEV)]), RULES);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(&format!("conclave-media depends on {what}")), "{found:?}");
        }
    }

    #[test]
    fn an_old_quinn_proto_is_caught() {
        let found = violations(&graph(&[], &[("quinn", "quinn-proto@0.11.18", NORMAL)]), RULES);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("quinn-proto is 0.11.18 in Cargo.lock and has to be 0.11.19 or newer"), "{found:?}");
    }

    #[test]
    fn a_second_tls_provider_is_caught_wherever_it_comes_from() {
        let found = violations(&graph(&[], &[("somebody", "openssl-sys", NORMAL)]), RULES);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("openssl-sys"), "{found:?}");
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_caught() {
        let found = violations(&graph(&["conclave-attic"], &[]), RULES);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("conclave-attic is in the workspace but not in the table"), "{found:?}");
    }

    #[test]
    fn a_feature_that_hands_out_secrets_is_caught_where_it_is_asked_for() {
        let metadata = |name: &str, features: serde_json::Value, asked: &[&str]| {
            let package = json!({
                "id": name, "name": name, "version": "1.0.0", "manifest_path": "/house/Cargo.toml",
                "features": features, "dependencies": [{ "features": asked }],
            });
            let metadata = json!({
                "packages": [package], "workspace_members": [name], "resolve": { "nodes": [{ "id": name, "deps": [] }] },
            });
            violations(&Graph::parse(&metadata.to_string()).expect("well formed"), RULES)
        };
        assert_eq!(metadata("conclave-glass", json!({}), &["audit"]), Vec::<String>::new());
        assert_eq!(metadata("conclave-cli", json!({ "audit": ["conclave/audit"] }), &[]), Vec::<String>::new());
        assert_eq!(metadata("conclave-cli", json!({}), &["audit"]).len(), 1);
        assert_eq!(metadata("conclave", json!({ "default": ["audit"] }), &[]).len(), 1);
    }
}

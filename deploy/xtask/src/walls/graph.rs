//! The dependency graph that `cargo metadata` describes.
//!
//! It is the union over all platforms and all features that somebody in the workspace asks for: a wall that
//! stands here stands in every build.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// All packages of a build by cargo's own package id.
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
}

pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// A member of this workspace.
    pub(crate) own: bool,
    /// Where its manifest lies.
    pub(crate) folder: PathBuf,
    /// Features of others that its manifest asks for, with or without a feature of its own.
    pub(crate) asks_for: BTreeSet<String>,
    /// Features that it has when nobody says anything.
    pub(crate) by_default: BTreeSet<String>,
    edges: Vec<Edge>,
}

struct Edge {
    to: String,
    /// Ends up in what is shipped; the others serve builds and tests only.
    normal: bool,
}

impl Graph {
    pub(crate) fn parse(json: &str) -> Result<Self> {
        let metadata: json::Metadata = serde_json::from_str(json)?;
        let members: BTreeSet<&str> = metadata.workspace_members.iter().map(String::as_str).collect();
        let mut packages = BTreeMap::new();
        for package in &metadata.packages {
            let id = package.id.clone();
            let version = Version::parse(&package.version)
                .with_context(|| format!("{} has the version {}", package.name, package.version))?;
            let folder = Path::new(&package.manifest_path).parent().unwrap_or(Path::new("")).to_path_buf();
            let own = members.contains(package.id.as_str());
            let asks_for = package.dependencies.iter().flat_map(|dependency| dependency.features.iter().cloned()).collect();
            let by_default = package.features.get("default").into_iter().flatten().cloned().collect();
            let name = package.name.clone();
            let package = Package { name, version, own, folder, asks_for, by_default, edges: Vec::new() };
            packages.insert(id, package);
        }
        for node in metadata.resolve.nodes {
            let package = packages.get_mut(&node.id).with_context(|| format!("{} is not a package", node.id))?;
            package.edges = node.deps.into_iter().map(Edge::from).collect();
        }
        Ok(Self { packages })
    }

    pub(crate) fn len(&self) -> usize {
        self.packages.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Package> {
        self.packages.values()
    }

    pub(crate) fn own(&self) -> impl Iterator<Item = &Package> {
        self.all().filter(|package| package.own)
    }

    /// The direct dependencies that end up in what is shipped.
    pub(crate) fn direct<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a Package> {
        package.edges.iter().filter(|edge| edge.normal).filter_map(|edge| self.packages.get(&edge.to))
    }

    /// The direct dependencies of every kind, those of builds and tests too.
    pub(crate) fn direct_of_any_kind<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a Package> {
        package.edges.iter().filter_map(|edge| self.packages.get(&edge.to))
    }

    /// A shortest chain of shipped dependencies from a package to the first one that is `wanted`, both named.
    pub(crate) fn path(&self, from: &Package, wanted: impl Fn(&Package) -> bool) -> Option<Vec<&str>> {
        let (start, _) = self.packages.iter().find(|(_, package)| std::ptr::eq(*package, from))?;
        let mut came_from: BTreeMap<&str, Option<&str>> = BTreeMap::from([(start.as_str(), None)]);
        let mut queue = VecDeque::from([start.as_str()]);
        while let Some(id) = queue.pop_front() {
            let package = self.packages.get(id)?;
            if id != start && wanted(package) {
                return Some(self.names_back(&came_from, id));
            }
            for edge in package.edges.iter().filter(|edge| edge.normal) {
                if !came_from.contains_key(edge.to.as_str()) {
                    came_from.insert(&edge.to, Some(id));
                    queue.push_back(&edge.to);
                }
            }
        }
        None
    }

    fn names_back<'a>(&'a self, came_from: &BTreeMap<&'a str, Option<&'a str>>, end: &'a str) -> Vec<&'a str> {
        let mut ids = vec![end];
        while let Some(Some(before)) = ids.last().and_then(|id| came_from.get(id)) {
            ids.push(before);
        }
        ids.into_iter().rev().filter_map(|id| self.packages.get(id)).map(|package| package.name.as_str()).collect()
    }
}

impl From<json::Dependency> for Edge {
    fn from(dependency: json::Dependency) -> Self {
        let normal = dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
        Self { to: dependency.pkg, normal }
    }
}

/// The three numbers of a version; what follows them only matters to those who publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u64, pub(crate) u64, pub(crate) u64);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers = text.split(['-', '+']).next()?;
        let mut numbers = numbers.split('.').map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What is read of cargo's answer; all else in it is skipped.
mod json {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct Metadata {
        pub(super) packages: Vec<Package>,
        pub(super) workspace_members: Vec<String>,
        pub(super) resolve: Resolve,
    }

    #[derive(Deserialize)]
    pub(super) struct Package {
        pub(super) id: String,
        pub(super) name: String,
        pub(super) version: String,
        pub(super) manifest_path: String,
        #[serde(default)]
        pub(super) dependencies: Vec<Asked>,
        #[serde(default)]
        pub(super) features: std::collections::BTreeMap<String, Vec<String>>,
    }

    #[derive(Deserialize)]
    pub(super) struct Asked {
        #[serde(default)]
        pub(super) features: Vec<String>,
    }

    #[derive(Deserialize)]
    pub(super) struct Resolve {
        pub(super) nodes: Vec<Node>,
    }

    #[derive(Deserialize)]
    pub(super) struct Node {
        pub(super) id: String,
        pub(super) deps: Vec<Dependency>,
    }

    #[derive(Deserialize)]
    pub(super) struct Dependency {
        pub(super) pkg: String,
        pub(super) dep_kinds: Vec<Kind>,
    }

    #[derive(Deserialize)]
    pub(super) struct Kind {
        /// Nothing for a normal dependency, else `build` or `dev`.
        pub(super) kind: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_by_its_numbers() {
        assert!(Version::parse("0.11.9").expect("a version") < Version(0, 11, 19));
        assert_eq!(Version::parse("1.2.3-rc.1+dfsg"), Some(Version(1, 2, 3)));
        assert_eq!(Version::parse("1.2"), None);
        assert_eq!(Version(1, 20, 3).to_string(), "1.20.3");
    }

    #[test]
    fn metadata_without_a_graph_is_an_error() {
        assert!(Graph::parse("{}").is_err());
        assert!(Graph::parse(r#"{"packages":[],"workspace_members":[],"resolve":null}"#).is_err());
    }
}

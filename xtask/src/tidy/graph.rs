//! The resolved graph of dependencies, from `cargo metadata`, once for each target.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use serde::Deserialize;

use crate::outcome::Failure;
use crate::shell;

/// One graph for each target.
pub(super) struct Graphs(Vec<Graph>);

impl Graphs {
    pub(super) fn load(targets: &[String]) -> Result<Self, Failure> {
        let graphs = targets.iter().map(|target| {
            let mut cargo = shell::cargo();
            cargo.args(["metadata", "--format-version", "1", "--filter-platform", target]);
            Graph::parse(target, &shell::capture_ok(&mut cargo)?)
        });
        Ok(Self(graphs.collect::<Result<_, _>>()?))
    }

    #[cfg(test)]
    pub(super) fn of(graphs: Vec<Graph>) -> Self {
        Self(graphs)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Graph> {
        self.0.iter()
    }

    /// Every package of every target once, members and those of tests included.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Package> {
        let all: BTreeMap<&str, &Package> = self
            .0
            .iter()
            .flat_map(|graph| graph.packages.values().map(|package| (package.id.as_str(), package)))
            .collect();
        all.into_values()
    }

    pub(super) fn package_count(&self) -> usize {
        self.packages().count()
    }
}

/// What one target builds.
pub(super) struct Graph {
    target: String,
    packages: BTreeMap<String, Package>,
    members: Vec<String>,
    edges: BTreeMap<String, Vec<String>>,
}

/// A package of the graph.
#[derive(Deserialize)]
pub(super) struct Package {
    id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    pub(super) links: Option<String>,
    pub(super) rust_version: Option<String>,
    pub(super) manifest_path: PathBuf,
    source: Option<String>,
    targets: Vec<BuildTarget>,
}

#[derive(Deserialize)]
struct BuildTarget {
    kind: Vec<String>,
}

impl Package {
    /// Whether it lies in this repository.
    pub(super) fn is_ours(&self) -> bool {
        self.source.is_none()
    }

    pub(super) fn has_build_script(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "custom-build"))
    }

    pub(super) fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// A package that is built for others to use, with one way that leads to it.
pub(super) struct Reached<'a> {
    pub(super) package: &'a Package,
    /// The names from a member down to the package.
    pub(super) way: Vec<&'a str>,
}

impl Graph {
    pub(super) fn parse(target: &str, json: &str) -> Result<Self, Failure> {
        let metadata: Metadata = serde_json::from_str(json)
            .map_err(|error| Failure::new(format!("cargo metadata for {target}: {error}")))?;
        let edges = metadata.resolve.nodes.into_iter().map(|node| {
            let built = node.deps.into_iter().filter(|dep| dep.dep_kinds.iter().any(DepKind::is_built));
            (node.id, built.map(|dep| dep.pkg).collect())
        });
        Ok(Self {
            target: target.to_owned(),
            edges: edges.collect(),
            members: metadata.workspace_members,
            packages: metadata.packages.into_iter().map(|package| (package.id.clone(), package)).collect(),
        })
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// What `cargo build --workspace` builds: normal and build dependencies, not those of tests.
    pub(super) fn built(&self) -> Vec<Reached<'_>> {
        self.reach(self.members.iter().map(String::as_str).collect())
    }

    /// The same for one member.
    pub(super) fn built_for(&self, member: &str) -> Vec<Reached<'_>> {
        let is_it = |id: &&str| self.packages.get(*id).is_some_and(|package| package.name == member);
        self.reach(self.members.iter().map(String::as_str).filter(is_it).collect())
    }

    /// The packages that a package depends on, by name, those of its tests left out.
    pub(super) fn direct(&self, package: &Package) -> Vec<&str> {
        let ids = self.edges.get(&package.id).into_iter().flatten();
        ids.filter_map(|id| self.packages.get(id)).map(|package| package.name.as_str()).collect()
    }

    fn reach<'a>(&'a self, from: Vec<&'a str>) -> Vec<Reached<'a>> {
        let mut came_from: BTreeMap<&str, Option<&str>> = from.iter().map(|&id| (id, None)).collect();
        let mut queue: VecDeque<&str> = from.into();
        while let Some(id) = queue.pop_front() {
            for next in self.edges.get(id).into_iter().flatten() {
                if !came_from.contains_key(next.as_str()) {
                    came_from.insert(next, Some(id));
                    queue.push_back(next);
                }
            }
        }
        let reached = came_from.keys().filter_map(|&id| {
            let way = std::iter::successors(Some(id), |id| came_from.get(id).copied().flatten());
            let mut way: Vec<&str> =
                way.filter_map(|id| Some(self.packages.get(id)?.name.as_str())).collect();
            way.reverse();
            Some(Reached { package: self.packages.get(id)?, way })
        });
        reached.collect()
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDep>,
}

#[derive(Deserialize)]
struct NodeDep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

impl DepKind {
    fn is_built(&self) -> bool {
        self.kind.as_deref() != Some("dev")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A package as cargo prints it. `extra` goes over the defaults.
    pub(in crate::tidy) fn package(name: &str, extra: &Value) -> Value {
        let mut package = json!({
            "id": name, "name": name, "version": "1.0.0", "license": "MIT", "links": null, "rust_version": null,
            "manifest_path": format!("/nowhere/{name}/Cargo.toml"), "source": "registry", "targets": [{"kind": ["lib"]}],
        });
        for (key, value) in extra.as_object().unwrap() {
            package[key] = value.clone();
        }
        package
    }

    /// A member of the workspace.
    pub(in crate::tidy) fn member(name: &str) -> Value {
        package(name, &json!({"source": null}))
    }

    /// The graph of these packages, the ones without a source being members, with edges `(from, to, kind)`.
    pub(in crate::tidy) fn graph(packages: &[Value], edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let members: Vec<&Value> =
            packages.iter().filter(|p| p["source"].is_null()).map(|p| &p["id"]).collect();
        let nodes = packages.iter().map(|package| {
            let deps = edges.iter().filter(|edge| package["id"] == edge.0);
            let deps =
                deps.map(|edge| json!({"pkg": edge.1, "dep_kinds": [{"kind": edge.2, "target": null}]}));
            json!({"id": package["id"], "deps": deps.collect::<Vec<_>>()})
        });
        let nodes: Vec<Value> = nodes.collect();
        let json = json!({"packages": packages, "workspace_members": members, "resolve": {"nodes": nodes}});
        Graph::parse("x86_64-unknown-linux-gnu", &json.to_string()).unwrap()
    }

    #[test]
    fn what_only_tests_need_is_not_built() {
        let none = json!({});
        let packages = [member("ours"), package("a", &none), package("b", &none), package("c", &none)];
        let graph =
            graph(&packages, &[("ours", "a", None), ("a", "b", Some("build")), ("ours", "c", Some("dev"))]);
        let built = graph.built();
        assert_eq!(
            built.iter().map(|reached| reached.package.name.as_str()).collect::<Vec<_>>(),
            ["a", "b", "ours"]
        );
        assert_eq!(built[1].way, ["ours", "a", "b"]);
    }
}

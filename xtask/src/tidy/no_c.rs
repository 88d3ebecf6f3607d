//! No crate in the graph of our targets compiles or links C of its own.
//!
//! Four signs give one away: its name is banned in `deny.toml`, its manifest has a `links` key, it has a build script
//! and C, assembly or object files beside it, or it is a second user of `ring`, for which our stand-in was not made.

use std::fs;
use std::path::Path;

use crate::tidy::Violation;
use crate::tidy::graph::{Graph, Graphs, Reached};
use crate::tidy::policy::Policy;

/// Packages that show a sign and are all right all the same. docs/decisions.md gives the reason of each, by name.
const EXCEPTIONS: &[&str] = &[];

/// Our stand-in has the API that russh uses, and no more.
const RING: &str = "ring";
const USERS_OF_RING: [&str; 3] = ["russh", "rustle-session", RING];

const FOREIGN: [&str; 15] =
    ["c", "cc", "cpp", "cxx", "m", "mm", "s", "S", "asm", "o", "obj", "a", "lib", "so", "dll"];

/// Checks the graph of each target.
pub(super) fn check(graphs: &Graphs, policy: &Policy, decisions: &str) -> Vec<Violation> {
    let mut violations = unexplained(EXCEPTIONS, decisions);
    for graph in graphs.iter() {
        for reached in graph.built() {
            for text in signs(graph, &reached, policy) {
                let place = format!("{} ({})", reached.package.label(), graph.target());
                violations
                    .push(Violation::of(place, format!("{text}; it comes by {}", reached.way.join(" -> "))));
            }
        }
    }
    violations
}

fn unexplained(exceptions: &[&str], decisions: &str) -> Vec<Violation> {
    let words: Vec<&str> = decisions.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).collect();
    let silent = exceptions.iter().filter(|name| !words.contains(name));
    silent
        .map(|name| {
            Violation::of(
                "docs/decisions.md",
                format!("does not say why `{name}` is an exception to \"no C\""),
            )
        })
        .collect()
}

fn signs(graph: &Graph, reached: &Reached<'_>, policy: &Policy) -> Vec<String> {
    let package = reached.package;
    let mut signs = Vec::new();
    if !USERS_OF_RING.contains(&package.name.as_str()) && graph.direct(package).contains(&RING) {
        signs.push("uses `ring`, whose stand-in here is made for russh alone".to_owned());
    }
    if package.is_ours() || EXCEPTIONS.contains(&package.name.as_str()) {
        return signs;
    }
    if let Some(reason) = policy.ban(&package.name) {
        signs.push(format!("is banned in deny.toml: {reason}"));
    }
    if let Some(links) = &package.links {
        signs.push(format!("links the native library `{links}`"));
    }
    if package.has_build_script()
        && let Some(file) = package.manifest_path.parent().and_then(foreign_file)
    {
        signs.push(format!("has a build script and `{file}`"));
    }
    signs
}

/// The first file that is not Rust but compiles or links, outside the folders that no build of a dependency reads.
fn foreign_file(folder: &Path) -> Option<String> {
    let entries = fs::read_dir(folder).ok()?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().find_map(|path| {
        let name = path.file_name()?.to_string_lossy();
        if path.is_dir() {
            let is_read = !["test", "tests", "benches", "examples", "fuzz", "target"].contains(&&*name);
            return is_read.then(|| foreign_file(path)).flatten();
        }
        let is_foreign =
            path.extension().is_some_and(|ending| FOREIGN.iter().any(|foreign| ending == *foreign));
        is_foreign.then(|| name.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use std::env;

    use serde_json::{Value, json};

    use super::*;
    use crate::tidy::graph::tests::{graph, member, package};

    fn found(packages: &[Value], edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        let policy = "[graph]\ntargets = []\n[licenses]\nallow = []\n\
                      [bans]\ndeny = [{ crate = \"cc\", reason = \"calls a C compiler\" }, { crate = \"ring@<0.17.1000\", reason = \"C\" }]";
        let graphs = Graphs::of(vec![graph(packages, edges)]);
        check(&graphs, &Policy::parse(policy).unwrap(), "").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_banned_build_dependency_is_named_with_the_way_to_it() {
        let packages = [member("ours"), package("innocent", &json!({})), package("cc", &json!({}))];
        let found = found(&packages, &[("ours", "innocent", None), ("innocent", "cc", Some("build"))]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("calls a C compiler; it comes by ours -> innocent -> cc"), "{found:?}");
    }

    #[test]
    fn a_banned_package_that_only_tests_use_is_let_be() {
        let packages = [member("ours"), package("cc", &json!({}))];
        assert!(found(&packages, &[("ours", "cc", Some("dev"))]).is_empty());
    }

    #[test]
    fn a_links_key_gives_a_package_away_whatever_its_name() {
        let packages = [member("ours"), package("nice", &json!({"links": "z"}))];
        let found = found(&packages, &[("ours", "nice", None)]);
        assert!(found.len() == 1 && found[0].contains("native library `z`"), "{found:?}");
    }

    #[test]
    fn the_real_ring_is_refused_and_our_own_is_not() {
        let real = [member("rustle-session"), package("ring", &json!({"links": "ring_core_0_17_14"}))];
        assert_eq!(found(&real, &[("rustle-session", "ring", None)]).len(), 2);
        let own = [member("rustle-session"), package("ring", &json!({"links": "own", "source": null}))];
        assert!(found(&own, &[("rustle-session", "ring", None)]).is_empty());
    }

    #[test]
    fn a_second_user_of_ring_is_refused() {
        let packages = [member("ring"), member("ours"), package("rustls", &json!({}))];
        let found = found(&packages, &[("ours", "rustls", None), ("rustls", "ring", None)]);
        assert!(found.len() == 1 && found[0].starts_with("rustls 1.0.0"), "{found:?}");
    }

    #[test]
    fn a_build_script_beside_c_gives_a_package_away() {
        let folder = env::temp_dir().join(format!("xtask-no-c-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/sys")).unwrap();
        fs::create_dir_all(folder.join("tests")).unwrap();
        fs::write(folder.join("tests/peer.c"), "").unwrap();
        let manifest = folder.join("Cargo.toml");
        let extra = json!({"manifest_path": manifest, "targets": [{"kind": ["custom-build"]}]});
        let packages = [member("ours"), package("nice", &extra)];
        let edges = [("ours", "nice", None)];
        let before = found(&packages, &edges);
        fs::write(folder.join("src/sys/fast.S"), "").unwrap();
        let after = found(&packages, &edges);
        fs::remove_dir_all(&folder).unwrap();
        assert!(before.is_empty(), "{before:?}");
        assert!(after.len() == 1 && after[0].contains("`fast.S`"), "{after:?}");
    }

    #[test]
    fn an_exception_without_a_reason_in_the_decisions_is_refused() {
        assert_eq!(unexplained(&["libthing-sys"], "- `libthing`: no").len(), 1);
        assert!(unexplained(&["libthing-sys"], "- `libthing-sys`: because").is_empty());
    }
}

//! The crates of values, and the pool's policy, neither await nor read a clock: time and events come in as arguments.

use std::collections::BTreeSet;

use crate::tidy::Violation;
use crate::tidy::graph::Graphs;
use crate::tidy::source::Source;

/// The packages, and their folders.
const CRATES: [(&str, &str); 3] = [
    ("rustle-trust", "crates/trust/src/"),
    ("rustle-ssh-config", "crates/ssh-config/src/"),
    ("rustle-sftp-proto", "crates/sftp-proto/src/"),
];
/// The same, in a crate that has a runtime for the rest: its file, and those below it.
const POLICY: &str = "crates/pool/src/policy";
const RUNTIMES: [&str; 4] = ["tokio", "async-std", "smol", "async-io"];
const CLOCKS: [&str; 4] = ["Instant", "SystemTime", "Utc", "Local"];

/// No file of these crates awaits or asks what time it is.
pub(super) fn check_source(source: &Source) -> Vec<Violation> {
    let folders = CRATES.iter().map(|(_, folder)| *folder);
    if source.is_test() || !folders.chain([POLICY]).any(|folder| source.path().starts_with(folder)) {
        return Vec::new();
    }
    let code = source.code();
    let text = |at: usize| code.get(at).map_or("", |token| token.text.as_str());
    let mut violations = Vec::new();
    for (index, token) in code.iter().enumerate() {
        if ["async", "await"].contains(&token.text.as_str()) {
            let text = format!("`{}` in a crate of values: let the caller await", token.text);
            violations.push(Violation::at(source, token.line, text));
        } else if CLOCKS.contains(&token.text.as_str()) && text(index + 3) == "now" {
            let text = format!("`{}::now` in a crate of values: take the time as an argument", token.text);
            violations.push(Violation::at(source, token.line, text));
        }
    }
    violations
}

/// None of these crates has an async runtime below it.
pub(super) fn check_graph(graphs: &Graphs) -> Vec<Violation> {
    let mut ways = BTreeSet::new();
    for graph in graphs.iter() {
        for (package, _) in CRATES {
            let reached = graph.built_for(package);
            let runtimes = reached.iter().filter(|reached| RUNTIMES.contains(&reached.package.name.as_str()));
            ways.extend(runtimes.map(|reached| (package, reached.way.join(" -> "))));
        }
    }
    let violations = ways
        .into_iter()
        .map(|(package, way)| Violation::of(package, format!("has an async runtime below it: {way}")));
    violations.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tidy::graph::tests::{graph, member, package};

    fn count(path: &str, text: &str) -> usize {
        check_source(&Source::parse(path, text).unwrap()).len()
    }

    #[test]
    fn a_crate_of_values_that_awaits_or_reads_a_clock_is_refused() {
        assert_eq!(count("crates/trust/src/a.rs", "fn f() { let t = std::time::SystemTime::now(); }"), 1);
        assert_eq!(count("crates/ssh-config/src/a.rs", "async fn f() { g().await }"), 2);
        assert_eq!(count("crates/sftp-proto/src/a.rs", "fn f() { Instant::now(); }"), 1);
        assert_eq!(count("crates/trust/src/a.rs", "fn f(now: SystemTime) {}"), 0);
        assert_eq!(count("crates/pool/src/policy.rs", "fn f() { Instant::now(); }"), 1);
        assert_eq!(count("crates/pool/src/policy/due.rs", "async fn f() {}"), 1);
        assert_eq!(count("crates/pool/src/driver.rs", "async fn f() { Instant::now(); }"), 0);
        assert_eq!(count("crates/session/src/a.rs", "async fn f() { Instant::now(); }"), 0);
    }

    #[test]
    fn a_runtime_below_a_crate_of_values_is_refused() {
        let packages = [member("rustle-trust"), package("key", &json!({})), package("tokio", &json!({}))];
        let edges = [("rustle-trust", "key", None), ("key", "tokio", None)];
        let found = check_graph(&Graphs::of(vec![graph(&packages, &edges)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().ends_with("rustle-trust -> key -> tokio"));
    }
}

//! Versions of Rust: no dependency asks for a newer one than we promise.

use std::fmt;

use crate::outcome::Failure;
use crate::shell;
use crate::tidy::Violation;
use crate::tidy::graph::Graphs;

/// `1.95` or `1.95.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version([u32; 3]);

impl Version {
    /// Reads one to three numbers; what follows a `-` or `+` is left out.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers = text.trim().split(['-', '+']).next()?.split('.').map(|part| part.parse().ok());
        let numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
        if numbers.is_empty() || numbers.len() > 3 {
            return None;
        }
        let mut version = [0; 3];
        version[..numbers.len()].copy_from_slice(&numbers);
        Some(Self(version))
    }

    /// `rust-version` of the workspace.
    pub(crate) fn of_workspace() -> Result<Self, Failure> {
        let text = shell::read(&shell::root().join("Cargo.toml"))?;
        let table: toml::Table =
            text.parse().map_err(|error| Failure::new(format!("Cargo.toml: {error}")))?;
        let promised =
            table.get("workspace").and_then(|workspace| workspace.get("package")?.get("rust-version"));
        let promised = promised.and_then(toml::Value::as_str).and_then(Self::parse);
        promised.ok_or_else(|| Failure::new("Cargo.toml has no [workspace.package] rust-version"))
    }

    /// The part that decides what the language can do.
    pub(crate) fn minor(self) -> (u32, u32) {
        (self.0[0], self.0[1])
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// No package of any target, those of tests included, asks for a newer Rust.
pub(super) fn check(graphs: &Graphs, promised: Version) -> Vec<Violation> {
    let asked = graphs.packages().filter_map(|package| Some((package, package.rust_version.as_deref()?)));
    let too_new = asked.filter(|(_, asked)| Version::parse(asked).is_none_or(|asked| asked > promised));
    let violations = too_new.map(|(package, asked)| {
        Violation::of(
            package.label(),
            format!("asks for Rust {asked}, our rust-version is {promised}; take an older one"),
        )
    });
    violations.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tidy::graph::tests::{graph, package};

    #[test]
    fn versions_compare_by_number() {
        assert!(Version::parse("1.100") > Version::parse("1.95.0"));
        assert_eq!(Version::parse("1.95.0-nightly"), Version::parse("1.95"));
        assert_eq!(Version::parse("new"), None);
    }

    #[test]
    fn a_dependency_that_asks_for_a_newer_rust_is_named() {
        let packages = [
            package("old", &json!({"rust_version": "1.60"})),
            package("new", &json!({"rust_version": "1.96"})),
        ];
        let graphs = Graphs::of(vec![graph(&packages, &[])]);
        let violations = check(&graphs, Version::parse("1.95").unwrap());
        assert_eq!(violations.len(), 1);
        assert!(violations[0].to_string().starts_with("new 1.0.0: asks for Rust 1.96"));
    }
}

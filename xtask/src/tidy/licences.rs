//! Every package that users get has a licence that `deny.toml` allows.

use crate::tidy::Violation;
use crate::tidy::graph::Graphs;
use crate::tidy::policy::Policy;

/// Checks the packages of all targets, those that only tests use left out.
pub(super) fn check(graphs: &Graphs, policy: &Policy) -> Vec<Violation> {
    let mut violations: Vec<Violation> = Vec::new();
    for reached in graphs.iter().flat_map(|graph| graph.built()) {
        let package = reached.package;
        let text = match package.license.as_deref() {
            None => "has no `license` in its manifest".to_owned(),
            Some(licence) if is_allowed(licence, policy) => continue,
            Some(licence) => format!("has the licence `{licence}`, which deny.toml does not allow"),
        };
        let place = package.label();
        if violations.iter().all(|known| known.place != place) {
            violations
                .push(Violation::of(place, format!("{text}; it comes by {}", reached.way.join(" -> "))));
        }
    }
    violations
}

/// An SPDX expression: `AND` binds closer than `OR`; the old `/` means `OR`; `WITH` belongs to the licence.
fn is_allowed(expression: &str, policy: &Policy) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words, policy };
    reader.either() == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
    policy: &'a Policy,
}

impl<'a> Reader<'a> {
    fn either(&mut self) -> Option<bool> {
        let mut allowed = self.both()?;
        while self.take("OR") {
            allowed |= self.both()?;
        }
        Some(allowed)
    }

    fn both(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.take("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let allowed = self.either()?;
            return self.take(")").then_some(allowed);
        }
        let licence = self.next()?;
        match self.take("WITH") {
            true => Some(self.policy.allows_licence(&format!("{licence} WITH {}", self.next()?))),
            false => Some(self.policy.allows_licence(licence)),
        }
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        if is_next {
            self.words = &self.words[1..];
        }
        is_next
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tidy::graph::tests::{graph, member, package};

    fn policy() -> Policy {
        Policy::parse(
            "[graph]\ntargets = []\n[bans]\ndeny = []\n\
             [licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Apache-2.0 WITH LLVM-exception\", \"Unicode-3.0\"]",
        )
        .unwrap()
    }

    #[test]
    fn one_allowed_side_of_an_or_is_enough_and_every_side_of_an_and_is_needed() {
        for good in ["MIT", "MIT/GPL-2.0", "GPL-2.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
            assert!(is_allowed(good, &policy()), "{good}");
        }
        for bad in
            ["GPL-2.0", "MIT AND GPL-2.0", "(MIT OR Apache-2.0) AND OpenSSL", "", "MIT OR", "(MIT", "MIT MIT"]
        {
            assert!(!is_allowed(bad, &policy()), "{bad}");
        }
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception", &policy()));
        assert!(!is_allowed("MIT WITH Some-exception", &policy()));
    }

    #[test]
    fn a_package_with_another_licence_or_none_is_named_with_the_way_to_it() {
        let packages = [
            member("ours"),
            package("copyleft", &json!({"license": "GPL-3.0-only"})),
            package("silent", &json!({"license": null})),
        ];
        let edges = [("ours", "copyleft", None), ("copyleft", "silent", None)];
        let graphs = Graphs::of(vec![graph(&packages, &edges), graph(&packages, &edges)]);
        let found: Vec<String> = check(&graphs, &policy()).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 2, "each once: {found:?}");
        assert!(found[0].contains("GPL-3.0-only") && found[0].ends_with("ours -> copyleft"));
        assert!(found[1].contains("no `license`"));
    }
}

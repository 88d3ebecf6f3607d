//! The SSH base has one door: `russh` is named in `crates/session/src/base/` and in the test server, and in the one
//! program that `cargo xtask bench` measures ours against; nowhere else. What stands below it under such a name may say its own.

use crate::tidy::Violation;
use crate::tidy::manifest::{Kinds, Manifest};
use crate::tidy::source::Source;

const BASE: &str = "russh";
/// Folders, and one file.
const PLACES: [&str; 4] =
    ["crates/session/src/base/", "crates/testserver/", "crates/russh-util/", "xtask/bench-base/src/base.rs"];
const PACKAGES: [&str; 3] = ["rustle-session", "rustle-testserver", "bench-base"];

/// No file but these names the base in its code; comments and docs may.
pub(super) fn check_source(source: &Source) -> Vec<Violation> {
    if PLACES.iter().any(|place| source.path().starts_with(place)) {
        return Vec::new();
    }
    let named = source.code().into_iter().filter(|token| is_base(&token.text, '_'));
    let violations = named.map(|token| {
        let text = format!("names `{}`; only {} may", token.text, PLACES.join(", "));
        Violation::at(source, token.line, text)
    });
    violations.collect()
}

/// No other package depends on the base, in its tests neither.
pub(super) fn check_manifest(manifest: &Manifest) -> Vec<Violation> {
    if PACKAGES.contains(&manifest.package()) {
        return Vec::new();
    }
    let named = manifest.dependencies(Kinds::All).into_iter().filter(|name| is_base(name, '-'));
    let violations = named.map(|name| {
        Violation::of(manifest.path(), format!("depends on `{name}`; only {} may", PACKAGES.join(", ")))
    });
    violations.collect()
}

/// The crate itself or one of its family, such as its SFTP half.
fn is_base(name: &str, joint: char) -> bool {
    name.strip_prefix(BASE).is_some_and(|rest| rest.is_empty() || rest.starts_with(joint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<String> {
        check_source(&Source::parse(path, text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_base_named_elsewhere_is_refused() {
        let found =
            lines("crates/session/src/dial.rs", "//! x\nuse russh::client;\nfn f() { russh_sftp::g() }");
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crates/session/src/dial.rs:2: names `russh`"), "{found:?}");
        assert_eq!(lines("crates/cli/src/main.rs", "fn f() { m!(russh::client) }").len(), 1);
        assert_eq!(lines("crates/session/tests/it/main.rs", "use russh::server;").len(), 1);
        assert_eq!(lines("xtask/bench-base/src/ours.rs", "use russh::client;").len(), 1);
    }

    #[test]
    fn its_own_folders_comments_strings_and_longer_words_are_fine() {
        assert!(lines("crates/session/src/base/loop_.rs", "use russh::client;").is_empty());
        assert!(lines("crates/testserver/src/lib.rs", "use russh::server;").is_empty());
        assert!(lines("xtask/bench-base/src/base.rs", "use russh::client;").is_empty());
        assert!(
            lines("crates/cli/src/a.rs", "//! russh\n// russh\nfn f() { g(\"russh=info\", russhian) }")
                .is_empty()
        );
    }

    #[test]
    fn a_manifest_that_asks_for_the_base_is_refused() {
        let check = |package: &str| {
            let text = format!("[package]\nname = \"{package}\"\n[dev-dependencies]\nrussh-sftp = \"3\"");
            check_manifest(&Manifest::parse("crates/x/Cargo.toml", &text).unwrap()).len()
        };
        assert_eq!(check("rustle-connect"), 1);
        assert_eq!(check("rustle-testserver"), 0);
    }
}

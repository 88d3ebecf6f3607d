//! Dependencies between our own crates point down only, as docs/architecture.md draws them.

use crate::tidy::Violation;
use crate::tidy::manifest::{Kinds, Manifest};

/// Each member, and the members it may build on. What only its tests use is its own affair.
const MAY_USE: &[(&str, &[&str])] = &[
    ("ring", &[]),
    ("russh-util", &[]),
    ("rustle-trust", &[]),
    ("rustle-ssh-config", &[]),
    ("rustle-sftp-proto", &[]),
    ("rustle-session", &["ring", "rustle-trust", "rustle-ssh-config"]),
    ("rustle-sftp", &["rustle-session", "rustle-sftp-proto"]),
    ("rustle-pool", &["rustle-session", "rustle-sftp", "rustle-ssh-config"]),
    ("rustle-testserver", &["rustle-sftp-proto"]),
    (
        "rustle-connect",
        &["rustle-session", "rustle-sftp", "rustle-testserver", "rustle-ssh-config", "rustle-trust"],
    ),
    ("xtask", &[]),
    ("rustle-fuzz", &["rustle-session", "rustle-sftp-proto", "rustle-ssh-config", "rustle-trust"]),
    ("bench-base", &["rustle-pool", "rustle-session"]),
    (
        "rustle-tests",
        &[
            "ring",
            "rustle-trust",
            "rustle-ssh-config",
            "rustle-session",
            "rustle-sftp",
            "rustle-testserver",
            "rustle-connect",
        ],
    ),
];

/// Checks one member's manifest.
pub(super) fn check(manifest: &Manifest) -> Vec<Violation> {
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == manifest.package()) else {
        let text = format!("`{}` has no line in xtask/src/tidy/direction.rs", manifest.package());
        return vec![Violation::of(manifest.path(), text)];
    };
    let is_ours = |name: &&str| MAY_USE.iter().any(|(member, _)| member == name);
    let ours = manifest.dependencies(Kinds::Shipped).into_iter().filter(is_ours);
    let upward = ours.filter(|name| !allowed.contains(name));
    let violations = upward.map(|name| {
        let text =
            format!("`{}` may not build on `{name}`: dependencies point down only", manifest.package());
        Violation::of(manifest.path(), text)
    });
    violations.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(package: &str, rest: &str) -> usize {
        let text = format!("[package]\nname = \"{package}\"\n{rest}");
        check(&Manifest::parse("crates/x/Cargo.toml", &text).unwrap()).len()
    }

    #[test]
    fn an_arrow_that_points_up_is_refused() {
        assert_eq!(found("rustle-trust", "[dependencies]\nrustle-session.workspace = true"), 1);
        assert_eq!(
            found("rustle-session", "[target.'cfg(unix)'.dependencies]\nrustle-testserver = \"1\""),
            1
        );
        assert_eq!(found("rustle-session", "[dependencies]\nt = { package = \"rustle-testserver\" }"), 1);
    }

    #[test]
    fn arrows_down_tests_and_other_peoples_crates_are_fine() {
        assert_eq!(found("rustle-session", "[dependencies]\nrustle-trust = \"1\"\ntokio = \"1\""), 0);
        assert_eq!(found("rustle-session", "[dev-dependencies]\nrustle-testserver = \"1\""), 0);
    }

    #[test]
    fn a_member_without_a_line_is_refused() {
        assert_eq!(found("rustle-newcomer", ""), 1);
    }
}

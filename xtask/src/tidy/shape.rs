//! How a file looks: it says first what it is for, re-exports by name, and its getters are nouns.

use syn::{Item, UseTree, Visibility};

use crate::tidy::Violation;
use crate::tidy::source::Source;

/// Checks one file.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !source.lines().next().is_some_and(|line| line.starts_with("//!")) {
        violations.push(Violation::at(source, 1, "has no `//!` in its first line: say what the file is for"));
    }
    globs(source, source.items(), &mut violations);
    getters(source, &mut violations);
    violations
}

fn globs(source: &Source, items: &[Item], violations: &mut Vec<Violation>) {
    for item in items {
        match item {
            Item::Use(used) if !matches!(used.vis, Visibility::Inherited) && has_glob(&used.tree) => {
                let line = used.use_token.span.start().line;
                violations.push(Violation::at(
                    source,
                    line,
                    "re-exports by `*`: name what is meant for others",
                ));
            }
            Item::Mod(module) => {
                globs(source, module.content.as_ref().map_or(&[], |(_, items)| items), violations);
            }
            _ => {}
        }
    }
}

fn has_glob(tree: &UseTree) -> bool {
    match tree {
        UseTree::Glob(_) => true,
        UseTree::Path(path) => has_glob(&path.tree),
        UseTree::Group(group) => group.items.iter().any(has_glob),
        _ => false,
    }
}

fn getters(source: &Source, violations: &mut Vec<Violation>) {
    let named = source.functions().into_iter().filter(|function| {
        function.is_public
            && function
                .name
                .rsplit("::")
                .next()
                .is_some_and(|name| name.starts_with("get_") && name != GETS_A_TREE)
    });
    violations.extend(named.map(|function| {
        let text = format!("`{}`: a getter is named for what it returns, without `get_`", function.name);
        Violation::at(source, function.line, text)
    }));
}

/// No getter: the opposite of `put_dir`, by the names that every SFTP client has for the two.
const GETS_A_TREE: &str = "get_dir";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check(&Source::parse("crates/x/src/lib.rs", text).unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_refused() {
        assert!(found("//! A file.\nfn f() {}").is_empty());
        assert_eq!(found("fn f() {}").len(), 1);
        assert_eq!(found("\n//! Late.\nfn f() {}").len(), 1);
    }

    #[test]
    fn a_glob_re_export_is_refused() {
        assert_eq!(found("//! x\npub use a::*;").len(), 1);
        assert_eq!(found("//! x\nmod m { pub(crate) use a::{b, c::*}; }").len(), 1);
        assert!(found("//! x\nuse super::*;\npub use a::{b, c};").is_empty());
    }

    #[test]
    fn a_getter_with_get_in_its_name_is_refused() {
        assert_eq!(found("//! x\nimpl A { pub fn get_name(&self) {} }").len(), 1);
        assert_eq!(found("//! x\npub fn get_name() {}").len(), 1);
        assert!(
            found("//! x\nimpl A { pub fn get(&self) {} pub fn get_dir(&self) {} fn get_own(&self) {} pub fn getter(&self) {} }")
                .is_empty()
        );
    }
}

//! Each public async function of `session` and `pool` is in the list of those that the crate's drop-safety test drops at
//! every await.

use std::collections::BTreeSet;
use std::path::Path;

use crate::shell;
use crate::tidy::Violation;
use crate::tidy::source::Source;

const CRATES: [&str; 2] = ["crates/session", "crates/pool"];
/// One `Type::method` a line, or the name of a free function; `#` begins a comment.
const LIST: &str = "tests/it/drop_safety.list";

/// Compares the lists with the sources, both ways.
pub(super) fn check(root: &Path, sources: &[Source]) -> Vec<Violation> {
    CRATES.iter().flat_map(|folder| check_crate(root, folder, sources)).collect()
}

fn check_crate(root: &Path, folder: &str, sources: &[Source]) -> Vec<Violation> {
    let path = format!("{folder}/{LIST}");
    match shell::read(&root.join(&path)) {
        Ok(list) => compare(&list, folder, sources),
        Err(_) => vec![Violation::of(
            &path,
            "cannot be read: it has to name each public async function of the crate",
        )],
    }
}

fn compare(list: &str, folder: &str, sources: &[Source]) -> Vec<Violation> {
    let path = format!("{folder}/{LIST}");
    let code = format!("{folder}/src/");
    let listed: BTreeSet<&str> = list
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty())
        .collect();
    let ours = sources.iter().filter(|source| source.path().starts_with(&code) && !source.is_test());
    let found: Vec<_> =
        ours.flat_map(|source| source.functions().into_iter().map(move |f| (source, f))).collect();
    // A trait's method is the embedder's own code; what calls it is in the list.
    let is_operation = |f: &crate::tidy::source::Function| f.is_public && f.is_async && !f.in_trait;
    let found: Vec<_> = found.into_iter().filter(|(_, function)| is_operation(function)).collect();

    let missing = found.iter().filter(|(_, function)| !listed.contains(function.name.as_str())).map(
        |(source, function)| {
            let text = format!(
                "`{}` is not in {path}: nothing shows that it may be dropped at any await",
                function.name
            );
            Violation::at(source, function.line, text)
        },
    );
    let stale = listed.iter().filter(|name| !found.iter().any(|(_, function)| function.name == **name));
    let stale =
        stale.map(|name| Violation::of(&path, format!("`{name}` is no public async function of the crate")));
    missing.chain(stale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(list: &str) -> Vec<String> {
        let text = "impl Session { pub async fn close(&self) {} pub fn id(&self) {} async fn inner(&self) {} }\n\
                    pub trait Ask { async fn ask(&self); }\npub async fn dial() {}";
        let sources = [
            Source::parse("crates/session/src/session.rs", text).unwrap(),
            Source::parse("crates/cli/src/main.rs", "pub async fn elsewhere() {}").unwrap(),
        ];
        compare(list, "crates/session", &sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_that_names_each_operation_is_fine() {
        assert!(found("# all of them\nSession::close\ndial # free\n").is_empty());
    }

    #[test]
    fn an_operation_without_an_entry_and_an_entry_without_an_operation_are_refused() {
        let found = found("dial\nSession::gone");
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("`Session::close` is not in"), "{found:?}");
        assert!(found[1].contains("`Session::gone` is no"), "{found:?}");
    }

    #[test]
    fn a_missing_list_is_refused() {
        assert_eq!(check(Path::new("/nowhere"), &[]).len(), CRATES.len());
    }
}

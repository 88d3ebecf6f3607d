//! Every public async function says what becomes of the remote side when its future is dropped.

use crate::tidy::Violation;
use crate::tidy::source::Source;

const HEADING: &str = "# Cancel safety";

/// Checks the functions of one file of `crates/`, those of public traits included.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    if source.is_test() || !source.path().starts_with("crates/") {
        return Vec::new();
    }
    let silent = source.functions().into_iter().filter(|function| {
        function.is_public && function.is_async && !function.docs.lines().any(|line| line.trim() == HEADING)
    });
    let violations = silent.map(|function| {
        let text = format!("`{}` is async and public: its docs need a section `{HEADING}`", function.name);
        Violation::at(source, function.line, text)
    });
    violations.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        check(&Source::parse("crates/session/src/lib.rs", text).unwrap()).len()
    }

    #[test]
    fn an_async_function_without_the_section_is_refused() {
        assert_eq!(count("/// Opens.\npub async fn open() {}"), 1);
        assert_eq!(
            count("struct A;\nimpl A {\n/// Mentions # Cancel safety in passing.\npub async fn open() {} }"),
            1
        );
        assert_eq!(count("/// Asks.\npub trait Ask { /// Asks.\n async fn ask(&self); }"), 1);
        assert_eq!(count("mod deep { pub fn open() -> impl Future<Output = ()> + Send {} }"), 1);
    }

    #[test]
    fn the_section_is_enough_and_others_need_none() {
        assert_eq!(
            count("/// Opens.\n///\n/// # Cancel safety\n///\n/// Nothing is sent.\npub async fn open() {}"),
            0
        );
        assert_eq!(count("pub fn open() {}\npub(crate) async fn inner() {}\nasync fn own() {}"), 0);
        assert_eq!(count("#[cfg(test)]\nmod tests { pub async fn helper() {} }"), 0);
    }
}

//! Files stay small enough to be read in one sitting.

use crate::tidy::Violation;
use crate::tidy::source::Source;

/// Past this a concept is missing; tidy reports the file.
const SMELL: usize = 500;
/// Past this it is refused.
const LIMIT: usize = 800;

/// Checks one file against the limit.
pub(super) fn check(source: &Source) -> Vec<Violation> {
    let lines = source.lines().count();
    if lines <= LIMIT {
        return Vec::new();
    }
    vec![Violation::at(
        source,
        lines,
        format!("has {lines} lines, the limit is {LIMIT}: which concept is missing?"),
    )]
}

/// The median, and the files that are on their way to the limit.
pub(super) fn report(sources: &[Source]) -> String {
    let mut sizes: Vec<(usize, &str)> =
        sources.iter().map(|source| (source.lines().count(), source.path())).collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).map_or(0, |(lines, _)| *lines);
    let mut text = format!("lines of a file: median {median}");
    for (lines, path) in sizes.iter().rev().take_while(|(lines, _)| *lines > SMELL) {
        text.push_str(&format!("\n  over {SMELL}: {path} has {lines}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: usize) -> Source {
        Source::parse(&format!("crates/x/src/f{lines}.rs"), &"// x\n".repeat(lines)).unwrap()
    }

    #[test]
    fn a_file_over_the_limit_is_refused() {
        assert!(check(&file(LIMIT)).is_empty());
        assert_eq!(check(&file(LIMIT + 1)).len(), 1);
    }

    #[test]
    fn the_report_names_large_files_and_the_median() {
        let text = report(&[file(10), file(700), file(90)]);
        assert_eq!(text, "lines of a file: median 90\n  over 500: crates/x/src/f700.rs has 700");
    }
}

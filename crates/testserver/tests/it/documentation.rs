//! The documentation keeps up with what it documents.

use std::{collections::BTreeSet, fs, path::Path};

/// What a server is told by: each public function of these stands in an example that runs.
const TOLD_BY: [&str; 16] = [
    "Algorithms",
    "Builder",
    "Damage",
    "Fault",
    "HostCertificate",
    "Network",
    "OneTimeCodes",
    "RawPeer",
    "RawScript",
    "Reply",
    "Round",
    "Sftp",
    "SftpEntry",
    "SftpFault",
    "Target",
    "User",
];

/// Every file of the crate's source.
fn sources(folder: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// The words of the examples in a file's doc comments.
fn words_of_examples(source: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut inside = false;
    for line in source.lines().map(str::trim) {
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            inside = false;
            continue;
        };
        if text.trim().starts_with("```") {
            inside = !inside;
        } else if inside {
            let apart = |c: char| !(c.is_alphanumeric() || c == '_');
            words.extend(text.split(apart).map(str::to_owned));
        }
    }
    words
}

/// The public functions of one type's plain `impl` blocks.
fn functions_of(source: &str, wanted: &str) -> Vec<String> {
    let mut within = false;
    let mut found = Vec::new();
    for line in source.lines() {
        if let Some(header) = line.strip_prefix("impl ") {
            within = header.strip_suffix(" {") == Some(wanted);
        }
        let function = line
            .strip_prefix("    pub ")
            .map(|rest| rest.trim_start_matches("async ").trim_start_matches("const "));
        if let Some(rest) = function.and_then(|rest| rest.strip_prefix("fn ")).filter(|_| within) {
            found.extend(rest.split(['(', '<']).next().map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_function_by_which_a_server_is_told_something_has_an_example() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    if !source.is_dir() {
        // A binary that was carried to another machine has no source beside it.
        return;
    }
    let mut all = Vec::new();
    sources(&source, &mut all);
    let words: BTreeSet<String> = all.iter().flat_map(|source| words_of_examples(source)).collect();
    let mut without = Vec::new();
    for name in TOLD_BY {
        let functions: Vec<String> = all.iter().flat_map(|source| functions_of(source, name)).collect();
        assert!(functions.len() > 2, "{name} was not found: {functions:?}");
        without.extend(
            functions
                .into_iter()
                .filter(|function| !words.contains(function))
                .map(|function| format!("{name}::{function}")),
        );
    }
    assert!(without.is_empty(), "no example calls {without:#?}");
}

#[test]
fn examples_and_functions_are_found() {
    let source = "/// Text with a word.\n/// ```\n/// let x = X::new().told(1);\n/// ```\n/// after\nimpl X {\n    pub fn new() -> Self {\n    pub async fn told<T>(self) {\n    fn hidden() {\n}\nimpl Y {\n    pub fn other() {";
    let words = words_of_examples(source);
    assert!(
        words.contains("told")
            && words.contains("new")
            && !words.contains("word")
            && !words.contains("after")
    );
    assert_eq!(functions_of(source, "X"), ["new", "told"]);
}

//! The list of mutants, `crates/pool/mutants.toml`, and the names of the invariants that they break.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use crate::outcome::Failure;
use crate::shell;

/// Where they are, below the root.
const LIST: &str = "crates/pool/mutants.toml";
const INVARIANTS: &str = "docs/architecture.md";

/// All of them.
pub(super) struct List {
    mutants: Vec<Mutant>,
    invariants: BTreeSet<String>,
}

/// One mistake.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mutant {
    pub(super) name: String,
    /// The invariant.
    pub(super) breaks: String,
    /// Below `crates/pool/src`.
    pub(super) file: String,
    /// A line that stands once in the file, without the blanks around it.
    line: String,
    /// What stands there instead.
    mistake: String,
    /// Whether it may be caught by tests that do not end.
    #[serde(default)]
    pub(super) hangs: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mutant: Vec<Mutant>,
}

impl List {
    /// Reads the list and holds it against the invariants.
    pub(super) fn load() -> Result<Self, Failure> {
        let root = shell::root();
        let read = |path: &str| shell::read(&root.join(Path::new(path)));
        Self::parse(&read(LIST)?, &read(INVARIANTS)?)
    }

    fn parse(list: &str, architecture: &str) -> Result<Self, Failure> {
        let file: File = toml::from_str(list).map_err(|error| Failure::new(format!("{LIST}: {error}")))?;
        let invariants = invariants(architecture);
        if invariants.is_empty() {
            return Err(Failure::new(format!("{INVARIANTS}: the pool's section names no invariant")));
        }
        let mut names = BTreeSet::new();
        for mutant in &file.mutant {
            if !names.insert(&mutant.name) {
                return Err(Failure::new(format!("{LIST}: two mutants are called `{}`", mutant.name)));
            }
            if !invariants.contains(&mutant.breaks) {
                let Mutant { name, breaks, .. } = mutant;
                return Err(Failure::new(format!(
                    "{LIST}: `{name}` breaks `{breaks}`, which {INVARIANTS} does not name"
                )));
            }
        }
        let broken: BTreeSet<&String> = file.mutant.iter().map(|mutant| &mutant.breaks).collect();
        if let Some(unbroken) = invariants.iter().find(|invariant| !broken.contains(invariant)) {
            return Err(Failure::new(format!(
                "{LIST}: no mutant breaks `{unbroken}`, so nothing shows that a test holds it"
            )));
        }
        Ok(Self { mutants: file.mutant, invariants })
    }

    pub(super) fn invariants(&self) -> &BTreeSet<String> {
        &self.invariants
    }

    /// Those with one of the words in their names; all, without any.
    pub(super) fn with(&self, words: &[String]) -> Vec<&Mutant> {
        let is_chosen = |mutant: &&Mutant| {
            words.is_empty() || words.iter().any(|word| mutant.name.contains(word.as_str()))
        };
        self.mutants.iter().filter(is_chosen).collect()
    }
}

impl Mutant {
    /// The text with the mistake in it, or why it has no place for it.
    pub(super) fn apply(&self, text: &str) -> Result<String, String> {
        if self.line == self.mistake {
            return Err("its mistake is the line itself".to_owned());
        }
        let found = text.lines().filter(|line| line.trim() == self.line).count();
        if found != 1 {
            return Err(format!(
                "its line stands {found} times in {}, and not once: {}",
                self.file, self.line
            ));
        }
        let lines = text.lines().map(|line| match line.trim() == self.line {
            true => line.replace(&self.line, &self.mistake),
            false => line.to_owned(),
        });
        Ok(lines.collect::<Vec<_>>().join("\n") + "\n")
    }
}

/// The first cells of the table in the section of the pool.
fn invariants(architecture: &str) -> BTreeSet<String> {
    let section = architecture.split("\n### `crates/pool`").nth(1).unwrap_or_default();
    let section = section.split("\n### ").next().unwrap_or_default();
    let table = section.split("**Its invariants:**").nth(1).unwrap_or_default();
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let names = rows.map_while(|row| row.strip_prefix('|')?.split('|').next());
    names.map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: &str = "## All\n\n### `crates/pool`\nText.\n**Its invariants:**\n\n| name | says |\n|---|---|\n\
        | limits | never more |\n| order | first come |\n\n| other | table |\n|---|---|\n| x | y |\n\n### `crates/x`\n";

    fn mutant(name: &str, breaks: &str) -> String {
        format!(
            "[[mutant]]\nname = '{name}'\nbreaks = '{breaks}'\nfile = 'a.rs'\nline = 'a < b'\nmistake = 'a <= b'\n"
        )
    }

    fn failure(list: &str) -> String {
        List::parse(list, ARCHITECTURE).err().map_or_else(String::new, |failure| failure.to_string())
    }

    #[test]
    fn each_invariant_has_a_mutant_and_each_mutant_an_invariant() {
        let both = mutant("one", "limits") + &mutant("two", "order");
        assert_eq!(failure(&both), "");
        assert!(failure(&mutant("one", "limits")).contains("no mutant breaks `order`"));
        assert!(failure(&(both.clone() + &mutant("three", "x"))).contains("breaks `x`"));
        assert!(failure(&(both + &mutant("two", "order"))).contains("two mutants"));
        assert!(List::parse("mutant = []", "").is_err());
    }

    #[test]
    fn a_line_that_does_not_stand_there_once_is_refused() {
        let list = List::parse(&(mutant("one", "limits") + &mutant("two", "order")), ARCHITECTURE).unwrap();
        let one = list.with(&["one".to_owned()])[0];
        assert_eq!(one.apply("x\n    a < b\ny\n").unwrap(), "x\n    a <= b\ny\n");
        assert!(one.apply("x\n").unwrap_err().contains("0 times"));
        assert!(one.apply("a < b\na < b\n").unwrap_err().contains("2 times"));
        assert!(one.apply("if a < b\n").is_err(), "a part of a line is not the line");
    }

    #[test]
    fn each_line_of_the_list_stands_in_the_policy_once() {
        let list = List::load().unwrap();
        for mutant in list.with(&[]) {
            let path = shell::root().join("crates/pool/src").join(&mutant.file);
            mutant.apply(&shell::read(&path).unwrap()).unwrap_or_else(|why| panic!("{}: {why}", mutant.name));
        }
    }
}

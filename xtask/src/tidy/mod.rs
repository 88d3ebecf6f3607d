//! `cargo xtask tidy`: the reviewer that never tires.
//!
//! Each file here is one family of rules over the sources ([`source`]), the manifests ([`manifest`]) or the graphs of
//! dependencies ([`graph`]). A rule is a function from those to a list of [`Violation`]s, and has a unit test with a
//! snippet that breaks it, so that it provably fires.

use std::fmt;
use std::path::PathBuf;

use crate::outcome::{Failure, Outcome};
use crate::shell;
use crate::tidy::graph::Graphs;
use crate::tidy::manifest::Manifest;
use crate::tidy::policy::Policy;
use crate::tidy::source::Source;

mod alphabet;
mod base;
mod cancel_safety;
mod direction;
mod drop_safety;
mod grammar;
mod graph;
mod licences;
mod manifest;
mod no_c;
mod policy;
mod shape;
mod size;
mod source;
mod spawn;
mod values;
pub(crate) mod version;

/// A place that breaks a rule, and what to do about it.
#[derive(Debug)]
struct Violation {
    place: String,
    text: String,
}

impl Violation {
    fn at(source: &Source, line: usize, text: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", source.path()), text: text.into() }
    }

    fn of(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), text: text.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Checks every rule and lists all that break one.
pub(crate) fn run() -> Result<Outcome, Failure> {
    let root = shell::root();
    let sources = source::read_all(&root)?;
    let manifests = manifest::read_all(&root)?;
    let policy = Policy::load(&root)?;
    let graphs = Graphs::load(policy.targets())?;

    let mut violations = check_sources(&sources);
    violations.extend(drop_safety::check(&root, &sources));
    violations.extend(grammar::check(&root));
    violations.extend(alphabet::check(&root, &sources));
    violations.extend(check_manifests(&manifests));
    violations.extend(no_c::check(&graphs, &policy, &decisions(&root)));
    violations.extend(licences::check(&graphs, &policy));
    violations.extend(version::check(&graphs, version::Version::of_workspace()?));
    violations.extend(values::check_graph(&graphs));

    println!("{}", size::report(&sources));
    println!(
        "{} files and {} manifests read, {} packages over {} targets",
        sources.len(),
        manifests.len(),
        graphs.package_count(),
        policy.targets().len()
    );
    if violations.is_empty() {
        return Ok(Outcome::Done);
    }
    for violation in &violations {
        println!("{violation}");
    }
    Err(Failure::new(format!("tidy found {} place(s) to mend, listed above", violations.len())))
}

fn check_sources(sources: &[Source]) -> Vec<Violation> {
    let rules: [fn(&Source) -> Vec<Violation>; 6] = [
        shape::check,
        size::check,
        spawn::check,
        cancel_safety::check,
        base::check_source,
        values::check_source,
    ];
    sources.iter().flat_map(|source| rules.iter().flat_map(|rule| rule(source))).collect()
}

fn check_manifests(manifests: &[Manifest]) -> Vec<Violation> {
    manifests
        .iter()
        .flat_map(|manifest| [base::check_manifest(manifest), direction::check(manifest)])
        .flatten()
        .collect()
}

/// The text in which each exception to "no C" has to be named. A file that is not there names none.
fn decisions(root: &std::path::Path) -> String {
    let path: PathBuf = root.join("docs/decisions.md");
    shell::read(&path).unwrap_or_default()
}

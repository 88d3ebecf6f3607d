//! Which lines the ssh that is asked prints besides ours, or never: that differs by version and by how it was built.

use crate::answer::Answer;

/// What is left out of answers before they are compared.
pub(crate) struct Build {
    /// Lines of later versions with their defaults, where we print those that were set alone.
    defaults: Vec<String>,
    /// Keywords that it was built without.
    unknown: Vec<&'static str>,
}

/// What ssh knows only where it was built with Kerberos.
const KERBEROS: [&str; 2] = ["gssapiauthentication", "gssapidelegatecredentials"];

impl Build {
    /// By what both say to an empty file.
    pub(crate) fn new(ours: &Answer, theirs: &Answer) -> Self {
        let defaults = theirs.lines().filter(|line| ours.value(keyword(line)).is_none()).map(str::to_owned);
        let unknown = KERBEROS.into_iter().filter(|keyword| theirs.value(keyword).is_none());
        Self { defaults: defaults.collect(), unknown: unknown.collect() }
    }

    /// Leaves out of each side what the other has no line for.
    pub(crate) fn leave_out(&self, ours: &mut Answer, theirs: &mut Answer) {
        let (Answer::Settings(ours), Answer::Settings(theirs)) = (ours, theirs) else { return };
        ours.retain(|line| !self.unknown.contains(&keyword(line)));
        theirs.retain(|line| {
            let is_set = || ours.iter().any(|other| keyword(other) == keyword(line));
            !self.defaults.contains(line) || is_set()
        });
    }
}

fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[test]
fn a_default_of_a_later_version_counts_where_the_keyword_is_set() {
    let settings = |lines: &[&str]| Answer::Settings(lines.iter().map(|&line| line.to_owned()).collect());
    let build =
        Build::new(&settings(&["port 22", "gssapiauthentication no"]), &settings(&["port 22", "tag a"]));
    let left = |ours: &[&str], theirs: &[&str]| {
        let (mut ours, mut theirs) = (settings(ours), settings(theirs));
        build.leave_out(&mut ours, &mut theirs);
        (ours, theirs)
    };
    assert_eq!(
        left(&["port 1", "gssapiauthentication no"], &["port 1", "tag a"]),
        (settings(&["port 1"]), settings(&["port 1"]))
    );
    assert_eq!(left(&["tag b"], &["tag a"]), (settings(&["tag b"]), settings(&["tag a"])));
    assert_eq!(left(&[], &["tag b"]).1, settings(&["tag b"]));
}
